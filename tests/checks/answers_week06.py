"""Answers to the questions of week 6, right and wrong, with a pattern of what a wrong one must be told."""

import numpy as np
import torch
from styles import in_single, listed, single, tensor


def decode(codebook, indices, mask):
    layer = np.zeros(mask.shape)
    layer[mask] = codebook[indices]
    return layer


def decode_padded(codebook, indices, mask):
    every = np.zeros(mask.shape, int)
    every[mask] = indices
    return codebook[every]


def decode_columns(codebook, indices, mask):
    return decode(codebook, indices, np.ascontiguousarray(mask.T)).T


def decode_first(codebook, indices, mask):
    layer = np.zeros(mask.size)
    layer[: indices.size] = codebook[indices]
    return layer.reshape(mask.shape)


def assign(weights, codebook, distance=np.abs, choose=np.argmin):
    return choose(distance(weights[..., None] - codebook), axis=-1)


def quantize(
    *,
    widen=True,
    levels=lambda n: 2**n - 1,
    zero=lambda low, scale: round(-low / scale),
    rounding=np.rint,
    clip=True,
    add=1,
    form=lambda codes, scale, zero_point: (codes.astype(int), scale, zero_point),
):
    def answer(values, low, high, n_bits):
        low, high = (min(low, 0.0), max(high, 0.0)) if widen else (low, high)
        scale = (high - low) / levels(n_bits)
        zero_point = zero(low, scale)
        codes = rounding(values / scale) + add * zero_point
        return form(np.clip(codes, 0, 2**n_bits - 1) if clip else codes, scale, zero_point)

    return answer


def quantize_by_torch(values, low, high, n_bits):
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / (2**n_bits - 1)
    zero_point = int(np.rint(-low / scale))
    fake = torch.fake_quantize_per_tensor_affine(torch.tensor(values), scale, zero_point, 0, 2**n_bits - 1)
    return torch.round(fake / scale).int() + zero_point, scale, zero_point


def linear(
    *,
    kind=np.int64,
    z=1,
    bias_in=1,
    bias_after=0,
    out=1,
    rounding=np.rint,
    clip=True,
    of=lambda m: m,
    form=np.asarray,
):
    def answer(x, z_x, w, bias, multiplier, z_y):
        sums = (x.astype(kind) - np.array(z * z_x, kind)) @ w.astype(kind).T + bias_in * bias
        outputs = rounding(sums * of(multiplier) + bias_after * bias) + out * z_y
        return form((np.clip(outputs, 0, 255) if clip else outputs).astype(int))

    return answer


def linear_by_loops(x, z_x, w, bias, multiplier, z_y):
    """The second sum known in advance, as in the lecture."""
    outputs = []
    for row in x.astype(np.int32):
        sums = [int(row @ v.astype(np.int32)) - z_x * int(v.sum(dtype=np.int64)) for v in w]
        outputs.append(
            [
                min(255, max(0, z_y + round((s + int(b)) * m)))
                for s, b, m in zip(sums, bias, multiplier, strict=True)
            ]
        )
    return outputs


def linear_by_torch(x, z_x, w, bias, multiplier, z_y):
    sums = (torch.from_numpy(x).int() - z_x) @ torch.from_numpy(w).int().T + torch.from_numpy(bias)
    return (torch.round(sums * torch.from_numpy(multiplier)) + z_y).clamp(0, 255).to(torch.uint8)


def gradient(reduce=np.sum):
    return lambda grad, indices, k: np.array([reduce(grad[indices == c]) for c in range(k)])


def lossy(grad, indices, k):
    sums = np.zeros(k)
    sums[indices] += grad
    return sums


SUM = gradient()


def step(sign=-1.0, weights=lambda book, indices, old, grad, rate: book[indices], grad_of=SUM):
    def answer(codebook, indices, grad, rate):
        book = codebook + sign * rate * grad_of(grad, indices, codebook.size)
        return book, weights(book, indices, codebook, grad, rate)

    return answer


def anew(book, indices, old, grad, rate):
    return book[assign(old[indices], book)]


def tune(*, sign=-1.0, extra=0, steps=None, once=False, grad_of=SUM, given="weights"):
    def answer(codebook, indices, gradient_of, rate, n_steps):
        book = codebook.copy()
        start = gradient_of(book[indices])
        for _ in range(steps or n_steps + extra):
            of = start if once else gradient_of(book[indices] if given == "weights" else book)
            book = book + sign * rate * grad_of(of, indices, book.size)
        return book

    return answer


def tune_in_place(codebook, indices, gradient_of, rate, n_steps):
    for _ in range(n_steps):
        codebook -= rate * gradient()(gradient_of(codebook[indices]), indices, codebook.size)
    return codebook


def tune_weights(codebook, indices, gradient_of, rate, n_steps):
    weights = codebook[indices]
    for _ in range(n_steps):
        weights = weights - rate * gradient_of(weights)
    return np.array([weights[indices == c].mean() for c in range(codebook.size)])


def tune_with_momentum(codebook, indices, gradient_of, rate, n_steps, momentum=0.9):
    book, velocity = codebook.copy(), 0
    for _ in range(n_steps):
        velocity = momentum * velocity + SUM(gradient_of(book[indices]), indices, book.size)
        book = book - rate * velocity
    return book


def tune_and_assign(codebook, indices, gradient_of, rate, n_steps):
    """Assigns the weights to the nearest centroid after each step."""
    book = codebook.copy()
    for _ in range(n_steps):
        weights = book[indices]
        book = book - rate * SUM(gradient_of(weights), indices, book.size)
        indices = assign(weights, book)
    return book


def tune_with_own_steps(codebook, indices, gradient_of, rate, n_steps):
    book, weights = codebook.copy(), codebook[indices]
    for _ in range(n_steps):
        grad = gradient_of(weights)
        book = book - rate * SUM(grad, indices, book.size)
        indices = assign(weights - rate * grad, book)
        weights = book[indices]
    return book


def tune_by_autograd(codebook, indices, gradient_of, rate, n_steps):
    book = torch.tensor(codebook, requires_grad=True)
    optimizer = torch.optim.SGD([book], lr=rate)
    for _ in range(n_steps):
        optimizer.zero_grad()
        weights = book[torch.from_numpy(indices)]
        weights.backward(torch.from_numpy(gradient_of(weights.detach().numpy())))
        optimizer.step()
    return book


def tidy(codebook, indices):
    book, place = np.unique(codebook, return_inverse=True)
    return book, place.ravel()[indices]


def tidy_by_search(codebook, indices):
    book = np.array(sorted(set(codebook.tolist())))
    return book, np.searchsorted(book, codebook[indices])


ROWS = [
    ("decode", decode, None),
    ("decode", decode_padded, "first centroid"),
    ("decode", lambda c, i, m: decode(np.arange(3.0), i, m), "codebook\\[index\\]"),
    ("decode", lambda c, i, m: c[i], "One value per kept weight"),
    ("decode", lambda c, i, m: decode(c, i, ~m), "exchanged"),
    ("decode", decode_columns, "row by row"),
    ("decode", decode_first, "first places"),
    ("centroid_gradient", gradient(), None),
    ("centroid_gradient", lambda g, i, k: np.eye(k)[i.ravel()].T @ g.ravel(), None),
    ("centroid_gradient", lambda g, i, k: np.bincount(i.ravel(), g.ravel(), k), None),
    ("centroid_gradient", gradient(np.mean), "add up"),
    ("centroid_gradient", gradient(lambda part: part.mean() if part.size else 0.0), "add up"),
    ("centroid_gradient", lossy, "np.add.at"),
    ("centroid_gradient", lambda g, i, k: np.bincount(i.ravel(), g.ravel()), "have no weights"),
    ("centroid_gradient", lambda g, i, k: np.array([g[i == c].sum() for c in np.unique(i)]), "no weights"),
    ("centroid_gradient", gradient(lambda part: np.abs(part).sum()), "Absolute"),
    ("centroid_gradient", gradient(lambda part: -part.sum()), "sign is wrong"),
    ("centroid_gradient", gradient(np.size), "numbers of weights"),
    ("centroid_gradient", lambda g, i, k: gradient()(g, i, k)[i], "one per centroid"),
    ("centroid_gradient", lambda g, i, k: np.full(k, g.sum()), "sum of all"),
    ("take_step", step(), None),
    ("take_step", step(sign=1.0), "Uphill"),
    ("take_step", step(grad_of=gradient(np.mean)), "add up"),
    ("take_step", lambda c, i, g, r: step()(c, i, g, 1.0), "rate is missing"),
    ("take_step", lambda c, i, g, r: step()(c, i, g, r * r), "used twice"),
    ("take_step", step(grad_of=lossy), "last one won"),
    ("take_step", lambda c, i, g, r: (c, c[i]), "as it was"),
    ("take_step", lambda c, i, g, r: (step()(c, i, g, r)[0] - c, c[i]), "change alone"),
    ("take_step", step(weights=lambda b, i, old, g, r: old[i]), "old codebook"),
    ("take_step", step(weights=lambda b, i, old, g, r: old[i] - r * g), "its own gradient"),
    ("take_step", step(weights=anew), "assigned again"),
    ("take_step", step(weights=lambda b, i, old, g, r: i), "Those are the indices"),
    ("take_step", lambda c, i, g, r: step()(c, i, g, r)[0], "codebook and weights"),
    ("fine_tune", tune(), None),
    ("fine_tune", tune(once=True), "present weights"),
    ("fine_tune", tune(sign=1.0), "Uphill"),
    ("fine_tune", tune(grad_of=gradient(np.mean)), "add up"),
    ("fine_tune", tune(grad_of=lossy), "last one won"),
    ("fine_tune", tune(steps=1), "one step"),
    ("fine_tune", tune(extra=1), "too many"),
    ("fine_tune", tune(extra=-1), "too few"),
    ("fine_tune", lambda c, i, f, r, n: tune()(c, i, f, 1.0, n), "not used as given"),
    ("fine_tune", tune_weights, "averaged at the end"),
    ("fine_tune", tune_in_place, "changes its argument"),
    ("fine_tune", lambda c, i, f, r, n: c, "as it was"),
    ("fine_tune", lambda c, i, f, r, n: tune()(c, i, f, r, n)[i], "codebook is asked for"),
    ("fine_tune", lambda c, i, f, r, n: (f(c[i].ravel()), c)[1], "decoded weights"),
    ("fine_tune", tune(given="codebook"), "decoded weights|IndexError"),
    ("tidy", tidy, None),
    ("tidy", tidy_by_search, None),
    ("tidy", lambda c, i: (np.sort(c), i), "still there twice"),
    ("tidy", lambda c, i: (np.unique(c)[::-1], i), "Descending"),
    ("tidy", lambda c, i: (c, i), "as it was"),
    ("tidy", lambda c, i: (np.unique(c), i), "did not follow"),
    ("tidy", lambda c, i: (np.unique(c), np.argsort(c, kind="stable")[i]), "argsort"),
    ("tidy", lambda c, i: (np.unique(c), tidy(c, i)[1].ravel()), "shape that they had"),
    ("tidy", lambda c, i: tidy(np.where(np.isin(np.arange(c.size), i), c, c[i.flat[0]]), i), "stay"),
    ("decode", in_single(decode), None),
    ("decode", tensor(decode), None),
    ("decode", listed(decode), None),
    ("decode", lambda c, i, m: np.putmask(z := np.zeros(m.shape), m, 0) or decode(c, i, m) + z, None),
    ("decode", lambda c, i, m: decode(c, i, m).astype(int), "np.zeros\\(shape, int\\)"),
    ("decode", lambda c, i, m: decode(c, i, m).astype(bool), "zeros_like\\(mask\\)"),
    ("decode", lambda c, i, m: decode(c, i, m).ravel(), "shape|axis"),
    ("centroid_gradient", in_single(gradient()), None),
    ("centroid_gradient", tensor(gradient()), None),
    ("centroid_gradient", lambda g, i, k: [float(g[i == c].sum()) for c in range(k)], None),
    ("centroid_gradient", lambda g, i, k: gradient()(g, i, k) / g.size, "divided by the number"),
    ("centroid_gradient", lambda g, i, k: gradient()(g, i, k)[::-1], "wrong"),
    ("take_step", single(step()), None),
    ("take_step", tensor(step()), None),
    ("take_step", listed(step()), None),
    ("take_step", step(weights=lambda b, i, old, g, r: b[i].ravel()), "shape"),
    ("fine_tune", tune_by_autograd, None),
    ("fine_tune", single(tune()), None),
    ("fine_tune", listed(tune()), None),
    ("fine_tune", tune_and_assign, "assigned to centroids again"),
    ("fine_tune", tune_with_own_steps, "assigned to centroids again"),
    ("fine_tune", tune_with_momentum, "momentum"),
    ("fine_tune", lambda *a: tune_with_momentum(*a, momentum=0.5), "momentum"),
    ("fine_tune", lambda c, i, f, r, n: (f(c[i]), tune()(c, i, f, 0.37 * r, n))[1], "times in"),
    ("tidy", listed(tidy), None),
    ("tidy", tensor(tidy), None),
    ("tidy", single(tidy), None),
    ("tidy", lambda c, i: (tidy(c, i)[0], tidy(c, i)[1].astype(float)), "integers"),
    ("tidy", lambda c, i: (tidy(c, i)[0], c[i]), "Those are the values"),
    ("quantize", quantize(), None),
    ("quantize", quantize_by_torch, None),
    ("quantize", in_single(quantize()), None),
    ("quantize", tensor(quantize()), None),
    ("quantize", listed(quantize()), None),
    ("quantize", quantize(form=lambda q, s, z: (q.astype(np.uint8), np.float32(s), float(z))), None),
    ("quantize", quantize(widen=False), "widen it"),
    ("quantize", quantize(levels=lambda n: 2**n), "one step fewer"),
    ("quantize", quantize(levels=lambda n: 2**n - 2), "wrong"),
    ("quantize", quantize(form=lambda q, s, z: (q.astype(int), 1 / s, z)), "Upside down"),
    ("quantize", lambda v, low, high, n: quantize()(v, v.min(), v.max(), n), "not that of these values"),
    ("quantize", quantize(zero=lambda low, scale: -low / scale), "round it"),
    ("quantize", quantize(zero=lambda low, scale: int(-low / scale)), "cut off"),
    ("quantize", quantize(zero=lambda low, scale: round(low / scale)), "sign is wrong"),
    ("quantize", quantize(zero=lambda low, scale: 0), "code of 0"),
    ("quantize", quantize(zero=lambda low, scale: round(-low / scale) - 8), "signed codes|wrong"),
    ("quantize", quantize(clip=False), "clamped"),
    (
        "quantize",
        quantize(clip=False, form=lambda q, s, z: (q.astype(np.int64).astype(np.uint8), s, z)),
        "clamped",
    ),
    ("quantize", quantize(add=0), "zero-point is missing"),
    ("quantize", quantize(add=-1), "not subtracted"),
    ("quantize", quantize(rounding=np.floor), "cut off"),
    ("quantize", quantize(rounding=np.trunc), "cut off"),
    ("quantize", quantize(rounding=np.ceil), "wrong"),
    ("quantize", quantize(form=lambda q, s, z: ((q - z) * s, s, z)), "values again"),
    ("quantize", quantize(form=lambda q, s, z: (q.astype(float), s, z)), "whole numbers"),
    ("quantize", quantize(form=lambda q, s, z: (q, s)), "3 results"),
    ("integer_linear", linear(), None),
    ("integer_linear", linear(form=lambda q: q.astype(np.uint8)), None),
    ("integer_linear", linear_by_loops, None),
    ("integer_linear", linear_by_torch, None),
    ("integer_linear", linear(kind=np.float64), None),
    ("integer_linear", linear(kind=np.int16), "do not fit"),
    ("integer_linear", linear(kind=np.int8), "do not fit|raises"),
    ("integer_linear", linear(z=0), "zero-point is missing"),
    ("integer_linear", linear(z=-1), "is added"),
    ("integer_linear", linear(bias_in=0), "bias is missing"),
    ("integer_linear", linear(bias_in=0, bias_after=1), "before the multiplier"),
    ("integer_linear", linear(out=0), "outputs' zero-point"),
    ("integer_linear", linear(clip=False), "clamp"),
    ("integer_linear", linear(clip=False, form=lambda q: q.astype(np.uint8)), "clamp"),
    ("integer_linear", linear(rounding=np.floor), "cut off"),
    ("integer_linear", linear(rounding=np.trunc), "cut off"),
    ("integer_linear", linear(of=lambda m: 1.0), "multiplier is missing"),
    ("integer_linear", linear(of=lambda m: m[0]), "its own"),
    ("integer_linear", linear(form=np.transpose), "[Tt]ransposed"),
    ("integer_linear", linear(form=lambda q: q.astype(float)), "whole numbers"),
    ("integer_linear", linear(form=lambda q: q[0]), "shape"),
]
