"""Answers to the questions of week 6, right and wrong, with a pattern of what a wrong one must be told."""

import numpy as np
import torch


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


def by_torch(weights, codebook):
    return torch.cdist(torch.tensor(weights).view(-1, 1), torch.tensor(codebook).view(-1, 1)).argmin(1)


def factor(bits=lambda k: int(np.ceil(np.log2(k))), book=32):
    return lambda n, k: 32 * n / (n * bits(k) + book * k)


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
    ("decode", lambda c, i, m: c[i], "One value a kept weight"),
    ("decode", lambda c, i, m: decode(c, i, ~m), "exchanged"),
    ("decode", decode_columns, "row by row"),
    ("decode", decode_first, "first places"),
    ("assign", assign, None),
    ("assign", by_torch, "shape of the weights"),
    ("assign", lambda w, c: by_torch(w, c).view(w.shape), None),
    ("assign", lambda w, c: c[assign(w, c)], "values"),
    ("assign", lambda w, c: assign(w, c, choose=np.argmax), "farthest"),
    ("assign", lambda w, c: assign(w, c, distance=lambda d: d), "absolute value"),
    ("assign", lambda w, c: np.searchsorted(c, w), "above"),
    ("assign", lambda w, c: np.clip(np.searchsorted(c, w) - 1, 0, None), "below"),
    ("assign", lambda w, c: c.size - 1 - assign(w, c[::-1]), "lower index"),
    ("assign", lambda w, c: assign(np.abs(w), np.abs(c)), "Signs count"),
    ("assign", lambda w, c: assign(c, w.ravel()), "each weight looks"),
    ("assign", lambda w, c: np.abs(w[..., None] - c).min(axis=-1), "place of the least"),
    ("assign", lambda w, c: assign(w, c).astype(float), "integers"),
    ("shrink_factor", factor(), None),
    ("shrink_factor", factor(lambda k: (k - 1).bit_length()), None),
    ("shrink_factor", factor(book=0), "codebook is missing"),
    ("shrink_factor", factor(np.log2), "rounded up"),
    ("shrink_factor", factor(lambda k: int(np.log2(k))), "down"),
    ("shrink_factor", factor(np.log), "base of the logarithm"),
    ("shrink_factor", factor(lambda k: k), "not k"),
    ("shrink_factor", factor(book=5), "floats of 32"),
    ("shrink_factor", lambda n, k: 1 / factor()(n, k), "Upside down"),
    ("shrink_factor", lambda n, k: n * 5 + 32 * k, "size in bits"),
    ("shrink_factor", factor(lambda k: k.bit_length()), "exactly 4 bits"),
    ("shrink_factor", factor(lambda k: max(1, (k - 1).bit_length())), "no index at all"),
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
    ("centroid_gradient", lambda g, i, k: gradient()(g, i, k)[i], "one a centroid"),
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
    ("take_step", step(weights=anew), "assigned anew"),
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
]
