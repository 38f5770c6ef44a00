"""The questions of week 6: centroid fine-tuning, and whole numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from common.checks import grading
from common.checks.comparing import as_array, call, expect, expect_integers, pair
from common.checks.grading import Grades, NotYet, Question, check

# ----------------------------------------------------------------------------------------------------
# Week 6, second part: the centroids' gradient, one step, and a whole fine-tuning.

_MEAN = "That is the mean per centroid: by the chain rule, the gradients of all of its weights add up."
_UPHILL = "Uphill: the loss falls against the gradient, so subtract."


def _summed(grad: np.ndarray, indices: np.ndarray, n_clusters: int, *, reduce: str = "sum") -> np.ndarray:
    """The gradient by the centroids, with a switch for what is done instead of a sum."""
    flat, index = grad.ravel(), indices.ravel()
    counts = np.bincount(index, minlength=n_clusters)
    if reduce == "last":
        last = np.zeros(n_clusters)
        last[index] = flat
        return last
    if reduce == "count":
        return counts.astype(float)
    total = np.bincount(index, weights=np.abs(flat) if reduce == "abs" else flat, minlength=n_clusters)
    return total / np.maximum(counts, 1) if reduce == "mean" else total


@check(2, "centroid_gradient")
def check_centroid_gradient(answer: Callable) -> str:
    """For each centroid the sum of the gradients of its weights; 0 for one without weights."""
    grad = np.array([[-3.0, -1.0, 3.0, 2.0], [-1.0, 1.0, -2.0, 12.0], [-1.0, 2.0, 5.0, 1.0]])
    indices = np.array([[3, 0, 1, 1], [1, 1, 0, 3], [0, 3, 1, 0]])
    _check_gradient_of(answer, grad, indices)
    rng = np.random.default_rng(6)
    _check_gradient_of(answer, rng.normal(size=(2, 3, 2, 2)), rng.choice([0, 1, 3], (2, 3, 2, 2)))
    return "Sums by cluster in a matrix and in a convolution, zeros for clusters without weights."


def _check_gradient_of(answer: Callable, grad: np.ndarray, indices: np.ndarray) -> None:
    got = as_array(call(answer, grad, indices, 5, told=f"{grad.size} weights, 5 clusters"))
    wanted = _summed(grad, indices, 5)
    with np.errstate(invalid="ignore"):
        nan_mean = wanted / np.bincount(indices.ravel(), minlength=5)
    present = np.unique(indices)
    only_present = "Clusters 2 and 4 have no weights, and still have a gradient: 0. One number per cluster."
    suspects = [
        (_MEAN, _summed(grad, indices, 5, reduce="mean"), nan_mean, nan_mean[present]),
        (
            "An index that comes twice is written twice, not added: with `sums[indices] += grad` the last "
            "wins. np.add.at or np.bincount add.",
            _summed(grad, indices, 5, reduce="last"),
        ),
        (only_present, wanted[present], wanted[:4]),
        (
            "Absolute values are summed: keep the signs, for opposite gradients cancel.",
            _summed(grad, indices, 5, reduce="abs"),
        ),
        (
            "Those are the numbers of weights per centroid: add up their gradients.",
            _summed(grad, indices, 5, reduce="count"),
        ),
        (
            "That is the sum of all gradients: each centroid has its own weights.",
            np.full(5, grad.sum()),
            grad.sum(),
        ),
        ("One number per weight: one per centroid is asked for.", wanted[indices]),
        ("That is divided by the number of weights: the gradients add up.", wanted / grad.size),
    ]
    expect(
        got,
        wanted,
        suspects=suspects,
        what="The gradient by the centroids",
        shown={"grad": grad, "indices": indices},
    )


@check(3, "take_step")
def check_take_step(answer: Callable) -> str:
    """(codebook after the step, weights after the step): the codebook moves, the weights follow by index."""
    codebook = np.array([-1.0, 0.0, 1.5, 2.0])
    indices = np.array([[3, 0, 2], [1, 2, 3]])
    grad = np.array([[1.0, -2.0, 3.0], [0.5, 1.0, 2.0]])
    _check_step(answer, codebook, indices, grad, 0.25)
    rng = np.random.default_rng(7)
    codebook, indices = np.sort(rng.normal(size=5)), rng.integers(0, 5, (4, 6))
    _check_step(answer, codebook, indices, rng.normal(size=(4, 6)), 0.5)
    return "The codebook against its gradient, the weights with it."


def _check_step(answer: Callable, codebook, indices, grad, rate: float) -> None:
    told = f"{indices.size} weights, {codebook.size} centroids, rate {rate}"
    got = pair(call(answer, codebook, indices, grad, rate, told=told), 2, "codebook and weights")
    by_centroid = _summed(grad, indices, codebook.size)
    moved = codebook - rate * by_centroid
    suspects = [
        (_UPHILL, codebook + rate * by_centroid),
        (_MEAN, codebook - rate * _summed(grad, indices, codebook.size, reduce="mean")),
        ("The rate is missing.", codebook - by_centroid),
        ("The rate is used twice.", codebook - rate**2 * by_centroid),
        ("The codebook is as it was.", codebook),
        (
            "That is the change alone: codebook minus rate times gradient.",
            -rate * by_centroid,
            rate * by_centroid,
        ),
        (
            "An index that comes twice is written twice, not added: the last one won.",
            codebook - rate * _summed(grad, indices, codebook.size, reduce="last"),
        ),
    ]
    expect(got[0], moved, suspects=suspects, what="The codebook", shown={"indices": indices, "grad": grad})
    nearest = np.abs(codebook[indices][..., None] - moved).argmin(axis=-1)
    suspects = [
        ("The weights are still those of the old codebook.", codebook[indices]),
        (
            "Every weight moved by its own gradient: then they no longer share values.",
            codebook[indices] - rate * grad,
        ),
        (
            "The indices were assigned again: they stay as they are, and the weights follow their centroids.",
            moved[nearest],
        ),
        ("Those are the indices: decode them with the new codebook.", indices),
        ("Yours are flat: the weights have the shape of the indices.", moved[indices].ravel()),
    ]
    expect(
        got[1],
        moved[indices],
        suspects=suspects,
        what="The matrix of weights",
        shown={"indices": indices, "new codebook": moved},
    )


def _descended(
    codebook,
    indices,
    gradient_of,
    rate,
    n_steps,
    *,
    reduce="sum",
    sign=-1.0,
    fresh=True,
    free=False,
    momentum=0.0,
    reassign=False,
    ahead=False,
):
    """The codebook after some steps, with switches for what goes wrong."""
    book, weights, index = codebook.copy(), codebook[indices], indices
    start, velocity, own = gradient_of(weights), np.zeros(codebook.size), weights
    for _ in range(n_steps):
        grad = gradient_of(weights) if fresh else start
        if free:
            weights = weights + sign * rate * grad
            continue
        velocity = momentum * velocity + _summed(grad, index, book.size, reduce=reduce)
        book = book + sign * rate * velocity
        if reassign:  # to the nearest centroid, as k-means would
            old = own if ahead else book[index]
            index = np.abs(old[..., None] - book).argmin(axis=-1)
        weights = book[index]
    return _summed(weights, indices, book.size, reduce="mean") if free else book


def _nearest_again(codebook, indices, gradient_of, rate, n_steps):
    """Each weight takes its own step, and then the centroid that is nearest."""
    book, weights = codebook.copy(), codebook[indices]
    for _ in range(n_steps):
        grad = gradient_of(weights)
        book = book - rate * _summed(grad, indices, book.size)
        indices = np.abs((weights - rate * grad)[..., None] - book).argmin(axis=-1)
        weights = book[indices]
    return book


@check(4, "fine_tune")
def check_fine_tune(answer: Callable) -> str:
    """The codebook after n steps, the gradient taken at the present weights each time."""
    codebook = np.array([-1.0, 0.0, 1.0])
    indices = np.array([[0, 1, 2, 2], [1, 1, 0, 2]])
    target = np.array([[-0.5, 0.4, 2.0, 1.2], [0.2, -0.6, -1.6, 1.0]])
    importance = np.array([[1.0, 2.0, 1.0, 0.5], [1.0, 0.5, 2.0, 1.0]])
    _check_tuning(answer, codebook, indices, target, importance, rate=0.2, n_steps=4)
    # centroids that pass each other: whoever assigns the weights again ends elsewhere
    codebook = np.array([-1.0, -0.8, 1.0, 1.1])
    indices = np.array([[0, 1, 0, 1, 2], [3, 2, 3, 0, 1]])
    target = np.array([[1.5, -2.0, 1.2, -1.5, -1.0], [2.0, -1.2, 1.8, 0.9, -0.4]])
    _check_tuning(answer, codebook, indices, target, np.ones((2, 5)), rate=0.12, n_steps=7)
    return "Four and seven steps, each with the gradient at the weights as they are then; the indices stay."


def _check_tuning(
    answer: Callable, codebook, indices, target, importance, *, rate: float, n_steps: int
) -> None:
    asked: list[np.ndarray] = []

    def gradient_of(weights: np.ndarray) -> np.ndarray:
        asked.append(np.array(as_array(weights), dtype=float))
        if asked[-1].shape != target.shape:  # told below
            return np.zeros_like(asked[-1])
        return importance * (asked[-1] - target)

    problem = (codebook, indices, gradient_of, rate, n_steps)
    told = f"{indices.size} weights, {codebook.size} centroids, {n_steps} steps"
    got = as_array(call(answer, *problem, told=told))
    calls = list(asked)
    if any(weights.shape != indices.shape for weights in calls):
        raise NotYet(
            f"gradient_of was given arrays of other shapes than {indices.shape}.",
            hint="It takes the decoded weights, not the codebook.",
        )
    start = problem[:-1]
    suspects = [
        (
            "The weights were assigned to centroids again: which weight has which index never changes here.",
            _descended(*problem, reassign=True),
            _descended(*problem, reassign=True, ahead=True),
            _nearest_again(*problem),
        ),
        (
            "The gradient was taken once, at the beginning: each step needs it at the present weights.",
            _descended(*problem, fresh=False),
        ),
        (_UPHILL, _descended(*problem, sign=1.0)),
        (_MEAN, _descended(*problem, reduce="mean")),
        (
            "An index that comes twice is written twice, not added: the last one won.",
            _descended(*problem, reduce="last"),
        ),
        ("That is one step: n_steps of them are asked for.", _descended(*start, 1)),
        ("One step too many.", _descended(*start, n_steps + 1)),
        ("One step too few.", _descended(*start, n_steps - 1)),
        (
            "That has momentum: plain gradient descent is asked for, each step with its own gradient only.",
            *(_descended(*problem, momentum=momentum) for momentum in (0.5, 0.9, 0.99)),
        ),
        (
            "The rate is not used as given: multiply each step by it.",
            _descended(codebook, indices, gradient_of, 1.0, n_steps),
        ),
        (
            "The weights were trained each by itself and averaged at the end: train the centroids.",
            _descended(*problem, free=True),
        ),
        ("The codebook is as it was.", codebook),
        ("Those are the weights: the codebook is asked for.", _descended(*problem)[indices]),
    ]
    times = f"{len(calls)} time" + "s" * (len(calls) != 1)
    unknown = (
        "Each step: gradient at the present weights, sum by index, subtract, decode with the old indices."
    )
    if len(calls) != n_steps:
        unknown = f"gradient_of was called {times} in {n_steps} steps: once per step is needed."
    shown = {"indices": indices}
    expect(got, _descended(*problem), suspects=suspects, what="The codebook", shown=shown, unknown=unknown)


# ----------------------------------------------------------------------------------------------------
# Week 6, first part: decoding a codebook, and a codebook put in order.


@check(1, "decode")
def check_decode(answer: Callable) -> str:
    """The kept weights by index, row by row; 0 where pruned."""
    mask = np.array([[0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1]], bool)
    _check_decoded(answer, np.array([-1.0, 0.5, 2.0]), np.array([2, 1, 0, 2, 2, 1]), mask)
    rng = np.random.default_rng(2)
    mask = rng.random((2, 3, 2, 3)) < 0.6
    _check_decoded(answer, np.array([-0.3, 0.0, 0.2, 0.9]), rng.integers(0, 4, mask.sum()), mask)
    return "Kept weights in their places, zeros elsewhere, in a matrix and in a convolution."


def _check_decoded(answer: Callable, codebook, indices, mask) -> None:
    told = f"{indices.size} kept weights of a {'×'.join(map(str, mask.shape))} layer"
    got = call(answer, codebook, indices, mask, told=told)
    values = codebook[indices]
    full = np.zeros(mask.shape, int)
    full[mask] = indices
    first = np.zeros(mask.size)
    first[: values.size] = values
    suspects = [
        (
            "The values are cut off to whole numbers: np.zeros(shape, int) holds integers only.",
            _placed(np.trunc(values), mask),
        ),
        (
            "The values became truth values: np.zeros_like(mask) is boolean, as the mask is.",
            _placed(values != 0, mask),
        ),
        (
            "The pruned weights took the first centroid: they are 0, whatever the codebook holds.",
            codebook[full],
        ),
        ("Those are the indices: the value is codebook[index].", full),
        ("One value per kept weight: put them into an array of the mask's shape.", values),
        (
            "Kept and pruned are exchanged: True in the mask is a kept weight.",
            *([_placed(values, ~mask)] if (~mask).sum() == values.size else []),
        ),
        (
            "The values are filled in column by column: kept weights are counted row by row.",
            _placed(values, mask.T).T,
        ),
        (
            "The values fill the first places: the mask says which places are theirs.",
            first.reshape(mask.shape),
        ),
    ]
    shown = {"mask": mask, "indices": indices}
    expect(got, _placed(values, mask), suspects=suspects, what="The layer", shown=shown)


def _placed(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    dense = np.zeros(mask.shape)
    dense[mask] = values
    return dense


@check(5, "tidy")
def check_tidy(answer: Callable) -> str:
    """A codebook strictly ascending, equal centroids merged; the indices follow."""
    for codebook, indices in (
        (np.array([0.5, -1.0, 2.0, 0.5, 1.0]), np.array([[0, 1, 2, 3], [4, 4, 0, 2]])),
        (np.array([1.0, 3.0, -2.0, 3.0, 1.0, 0.0, 1.0]), np.array([[6, 0, 4], [1, 3, 5], [2, 5, 6]])),
    ):
        _check_tidied(answer, codebook, indices)
    unused = np.array([3.0, -2.0, 0.0])
    book, _ = pair(call(answer, unused, np.array([0, 0]), told="unused centroids"), 2, "codebook and indices")
    hint = "Centroids without weights stay: only their order changes."
    expect(book, np.sort(unused), what="The codebook with unused centroids", unknown=hint)
    return "Ascending, merged, and every index names the value that it named before."


def _check_tidied(answer: Callable, codebook: np.ndarray, indices: np.ndarray) -> None:
    told = f"the codebook {codebook.tolist()}"
    book, index = pair(call(answer, codebook, indices, told=told), 2, "codebook and indices")
    merged, place = np.unique(codebook, return_inverse=True)
    order = np.argsort(codebook, kind="stable")
    suspects = [
        ("Equal centroids are still there twice: two clusters of one value become one.", np.sort(codebook)),
        ("Descending: the file needs them ascending.", merged[::-1], np.sort(codebook)[::-1]),
        ("The codebook is as it was.", codebook),
    ]
    expect(book, merged, suspects=suspects, what="The codebook", shown={"codebook": codebook})
    wanted = place.ravel()[indices]
    suspects = [
        ("The indices did not follow: an index has to name the same value as before.", indices),
        (
            "argsort tells where each sorted value came from; you need to know where each old one went.",
            order[indices],
            np.minimum(order, merged.size - 1)[indices],
        ),
        ("Yours are flat: the indices keep the shape that they had.", wanted.ravel()),
        ("Those are the values: the indices into the new codebook are asked for.", codebook[indices]),
    ]
    shown = {"old codebook": codebook, "old indices": indices}
    expect(index, wanted, suspects=suspects, what="The table of indices", shown=shown)
    expect_integers(index, "The table of indices")


# ----------------------------------------------------------------------------------------------------
# Week 6, the end: whole numbers in the place of floats, and a layer that computes with them.


@check(6, "quantize")
def check_quantize(answer: Callable) -> str:
    """(codes, scale, zero-point) of n bits, 0 to 2ⁿ − 1, for a range that is widened to hold 0."""
    rng = np.random.default_rng(3)
    spread = rng.normal(0.4, 1.3, (3, 5))
    for values, low, high, n_bits in (
        (np.array([[-1.9, -1.2, -0.31, 0.0], [0.44, 1.37, 2.29, 3.1]]), -1.2, 2.4, 4),
        (rng.uniform(0.2, 6, (2, 4)), 0.8, 5.3, 8),  # all above 0
        (-rng.uniform(0.2, 6, 7), -4.1, -0.7, 3),  # all below
        (spread, float(spread.min()), float(spread.max()), 8),
    ):
        told = f"values from {values.min():.2g} to {values.max():.2g}, the range {low:.2g} to {high:.2g}"
        got = call(answer, values, low, high, n_bits, told=f"{told}, {n_bits} bits")
        codes, scale, zero_point = pair(got, 3, "the codes, the scale, the zero-point")
        wanted, right_scale, right_zero = _quantized(values, low, high, n_bits)
        suspects = [
            (
                "The range has to hold 0: widen it to min(low, 0) and max(high, 0) first.",
                (high - low) / (2**n_bits - 1),
            ),
            (
                f"{n_bits} bits have 2^{n_bits} codes, and one step fewer than codes.",
                right_scale * (2**n_bits - 1) / 2**n_bits,
            ),
            ("Upside down: the scale is the width of one step.", 1 / right_scale),
            (
                "The range is the one that is given, not that of these values: what lies outside is clamped.",
                (max(values.max(), 0) - min(values.min(), 0)) / (2**n_bits - 1),
                (values.max() - values.min()) / (2**n_bits - 1),
            ),
            (
                "That is the symmetric scale: here the codes run from 0, and the range has two ends.",
                max(-low, high) / (2 ** (n_bits - 1) - 1),
            ),
        ]
        expect(scale, right_scale, suspects=suspects, what="The scale")
        exact = -min(low, 0.0) / right_scale
        suspects = [
            ("The zero-point is a code, so a whole number: round it.", exact),
            ("The zero-point is cut off: round it.", np.floor(exact)),
            ("The sign is wrong: z is the code of 0, so −low / scale.", -right_zero),
            (
                "That is the zero-point of signed codes: here codes run from 0.",
                right_zero - 2 ** (n_bits - 1),
            ),
            ("The zero-point is the code of 0, not the code of the least value.", 0),
        ]
        expect(zero_point, right_zero, tolerance=1e-6, suspects=suspects, what="The zero-point")
        expect(codes, wanted, tolerance=0, suspects=_wrong_codes(values, low, high, n_bits), what="The codes")
        expect_integers(codes, "The array of codes", "A layer will multiply them as whole numbers.")
    return "Ranges on both sides of 0, above and below it; 3, 4 and 8 bits; what lies outside is clamped."


def _quantized(values, low, high, n_bits) -> tuple[np.ndarray, float, int]:
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / (2**n_bits - 1)
    zero_point = round(-low / scale)
    return np.clip(np.rint(values / scale) + zero_point, 0, 2**n_bits - 1), scale, zero_point


def _wrong_codes(values, low, high, n_bits) -> list[tuple]:
    right, scale, zero_point = _quantized(values, low, high, n_bits)
    most, free = 2**n_bits - 1, np.rint(values / scale) + zero_point
    return [
        ("Values outside of the range have to be clamped to the first or the last code.", free, free % 256),
        (
            "The zero-point is missing: code = round(value / scale) + z.",
            np.clip(free - zero_point, 0, most),
            free - zero_point,
        ),
        (
            "Clamped before the zero-point was added: add first.",
            np.clip(free - zero_point, 0, most) + zero_point,
        ),
        ("The zero-point has to be added, not subtracted.", np.clip(free - 2 * zero_point, 0, most)),
        (
            "The fraction is cut off: round to the nearest code.",
            np.clip(np.floor(values / scale) + zero_point, 0, most),
            np.clip(np.trunc(values / scale) + zero_point, 0, most),
        ),
        ("Multiplied by the scale: divide by it.", np.clip(np.rint(values * scale) + zero_point, 0, most)),
        ("Those are the values again: the codes are asked for.", (right - zero_point) * scale),
        ("Those are signed codes: here they run from 0.", right - 2 ** (n_bits - 1)),
    ]


@check(7, "integer_linear")
def check_integer_linear(answer: Callable) -> str:
    """uint8 codes of a linear layer's outputs from uint8 inputs and int8 weights, summed in 32 bits."""
    rng = np.random.default_rng(5)
    for n, n_in, n_out in ((2, 4, 3), (3, 3000, 5), (5, 5, 5)):
        x = rng.integers(0, 256, (n, n_in)).astype(np.uint8)
        w = rng.integers(-127, 128, (n_out, n_in)).astype(np.int8)
        bias = rng.integers(-20000, 20000, n_out).astype(np.int32)
        multiplier = rng.uniform(0.6, 1.4, n_out) * 45 / (2500 * np.sqrt(4 * n_in))
        problem = (x, 90, w, bias, multiplier, 90)
        told = f"{n} inputs of {n_in} codes, {n_out} outputs"
        got = as_array(call(answer, *problem, told=told), "The array of outputs")
        hint = "q_y = clamp(z_y + round(M · (Σ (q_x − z_x) q_w + b)), 0, 255), one M and b per output."
        wanted, what = _linear(*problem), "The array of outputs"
        expect(got, wanted, tolerance=0, suspects=_wrong_outputs(*problem), what=what, unknown=hint)
        expect_integers(got, what, "They are codes: the next layer multiplies them as whole numbers.")
    return "Short and long sums, a bias and a multiplier per output, clamped to 0 and 255."


def _linear(x, z_x, w, bias, multiplier, z_y, *, kind=np.int64, rounding=np.rint, clip=True, add=1, after=0):
    sums = ((x.astype(kind) - np.array(z_x, kind)) @ w.astype(kind).T).astype(np.int64)
    outputs = rounding((sums + add * bias) * multiplier + after * bias) + z_y
    return np.clip(outputs, 0, 255) if clip else outputs


def _wrong_outputs(x, z_x, w, bias, multiplier, z_y) -> list[tuple]:
    problem = (x, z_x, w, bias, multiplier, z_y)
    with np.errstate(all="ignore"):
        wrapped = [_linear(x, z_x, w, bias, multiplier, z_y, kind=kind) for kind in (np.int8, np.int16)]
        unsigned = (x - np.uint8(z_x)).astype(np.int64) @ w.astype(np.int64).T
    unclipped = _linear(*problem, clip=False)
    return [
        (
            "The sums do not fit: products of two bytes need 16 bits, their sums 32. Convert to int32 first.",
            *wrapped,
            np.clip(np.rint((unsigned + bias) * multiplier) + z_y, 0, 255),
        ),
        (
            "The inputs' zero-point is missing: the value is s (q − z).",
            _linear(x, 0, w, bias, multiplier, z_y),
        ),
        ("The inputs' zero-point is added: subtract it, q − z.", _linear(x, -z_x, w, bias, multiplier, z_y)),
        ("The bias is missing.", _linear(*problem, add=0)),
        ("The bias belongs to the sums: add it before the multiplier.", _linear(*problem, add=0, after=1)),
        ("The outputs' zero-point is missing.", _linear(x, z_x, w, bias, multiplier, 0)),
        ("Codes below 0 and above 255 do not exist: clamp.", unclipped, unclipped % 256),
        (
            "The fraction is cut off: round to the nearest code.",
            _linear(*problem, rounding=np.floor),
            _linear(*problem, rounding=np.trunc),
        ),
        (
            "The multiplier is missing: the sums are far larger than codes.",
            _linear(x, z_x, w, bias, 1.0, z_y),
            _linear(x, z_x, w, bias, 1.0, z_y, clip=False),
        ),
        (
            "You use one multiplier for all outputs: each has its own.",
            _linear(x, z_x, w, bias, multiplier[0], z_y),
        ),
        ("Transposed: one row per input, one column per output.", _linear(*problem).T),
    ]


__all__ = [
    "QUESTIONS",
    "check_centroid_gradient",
    "check_decode",
    "check_fine_tune",
    "check_integer_linear",
    "check_quantize",
    "check_take_step",
    "check_tidy",
    "grade",
]

QUESTIONS = (
    Question(1, "Decode", 2, "decode", check_decode),
    Question(2, "The gradient by the centroids", 3, "centroid_gradient", check_centroid_gradient),
    Question(3, "One step", 2, "take_step", check_take_step),
    Question(4, "Fine-tuning", 3, "fine_tune", check_fine_tune),
    Question(5, "A tidy codebook", 2, "tidy", check_tidy),
    Question(6, "Scale and zero-point", 2, "quantize", check_quantize),
    Question(7, "A layer in whole numbers", 2, "integer_linear", check_integer_linear),
    Question(8, "How many bits does a layer need?", 4),
)


def grade(namespace: Mapping[str, object]) -> Grades:
    """Points of all questions; `namespace` is the notebook's ``globals()``."""
    return grading.grade(QUESTIONS, namespace)
