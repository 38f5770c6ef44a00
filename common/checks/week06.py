"""The questions of week 6: centroid fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from common.checks import grading
from common.checks.comparing import as_array, call, expect, pair
from common.checks.grading import Grades, NotYet, Question, check

# ----------------------------------------------------------------------------------------------------
# Week 6, second half: the centroids' gradient, one step, and a whole fine-tuning.

_MEAN = "The mean of each group: by the chain rule the gradients of all weights of a centroid add up."
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


@check(4, "centroid_gradient")
def check_centroid_gradient(answer: Callable) -> str:
    """For each centroid the sum of the gradients of its weights; 0 for one without weights."""
    grad = np.array([[-3.0, -1.0, 3.0, 2.0], [-1.0, 1.0, -2.0, 12.0], [-1.0, 2.0, 5.0, 1.0]])
    indices = np.array([[3, 0, 1, 1], [1, 1, 0, 3], [0, 3, 1, 0]])
    got = as_array(call(answer, grad, indices, 5, told="12 weights, 5 clusters"))
    wanted = _summed(grad, indices, 5)
    with np.errstate(invalid="ignore"):
        nan_mean = wanted / np.bincount(indices.ravel(), minlength=5)
    present = np.unique(indices)
    only_present = "Clusters 2 and 4 have no weights, and still have a gradient: 0. One number a cluster."
    suspects = [
        (_MEAN, _summed(grad, indices, 5, reduce="mean"), nan_mean, nan_mean[present]),
        (
            "An index that comes twice is written twice, not added: with `sums[indices] += grad` the last "
            "wins. np.add.at or np.bincount add.",
            _summed(grad, indices, 5, reduce="last"),
        ),
        (only_present, wanted[present], wanted[:4]),
        ("Absolute values: pulls in opposite directions cancel.", _summed(grad, indices, 5, reduce="abs")),
        (
            "Those are the numbers of weights: their gradients are to be added.",
            _summed(grad, indices, 5, reduce="count"),
        ),
        (
            "That is the sum of all gradients: each centroid has its own weights.",
            np.full(5, grad.sum()),
            grad.sum(),
        ),
        ("One number a weight: one a centroid is asked for.", wanted[indices]),
    ]
    expect(
        got,
        wanted,
        suspects=suspects,
        what="The gradient by the centroids",
        shown={"grad": grad, "indices": indices},
    )
    return "Sums by cluster, zeros for clusters without weights."


@check(5, "take_step")
def check_take_step(answer: Callable) -> str:
    """(codebook after the step, weights after the step): the codebook moves, the weights follow by index."""
    codebook = np.array([-1.0, 0.0, 1.5, 2.0])
    indices = np.array([[3, 0, 2], [1, 2, 3]])
    grad = np.array([[1.0, -2.0, 3.0], [0.5, 1.0, 2.0]])
    rate = 0.25
    got = pair(
        call(answer, codebook, indices, grad, rate, told="6 weights, 4 centroids, rate 0.25"),
        2,
        "codebook and weights",
    )
    by_centroid = _summed(grad, indices, 4)
    moved = codebook - rate * by_centroid
    suspects = [
        (_UPHILL, codebook + rate * by_centroid),
        (_MEAN, codebook - rate * _summed(grad, indices, 4, reduce="mean")),
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
            codebook - rate * _summed(grad, indices, 4, reduce="last"),
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
            "The indices were assigned anew: they stay as they are, and the weights follow their centroids.",
            moved[nearest],
        ),
        ("Those are the indices: decode them with the new codebook.", indices),
        ("The weights have the shape of the indices.", moved[indices].ravel()),
    ]
    expect(
        got[1],
        moved[indices],
        suspects=suspects,
        what="The matrix of weights",
        shown={"indices": indices, "new codebook": moved},
    )
    return "The codebook against its gradient, the weights with it."


def _descended(
    codebook, indices, gradient_of, rate, n_steps, *, reduce="sum", sign=-1.0, fresh=True, free=False
):
    """The codebook after some steps, with switches for what goes wrong."""
    book, weights = codebook.copy(), codebook[indices]
    start = gradient_of(weights)
    for _ in range(n_steps):
        grad = gradient_of(weights) if fresh else start
        if free:
            weights = weights + sign * rate * grad
            continue
        book = book + sign * rate * _summed(grad, indices, book.size, reduce=reduce)
        weights = book[indices]
    return _summed(weights, indices, book.size, reduce="mean") if free else book


@check(6, "fine_tune")
def check_fine_tune(answer: Callable) -> str:
    """The codebook after n steps, the gradient taken at the present weights each time."""
    codebook = np.array([-1.0, 0.0, 1.0])
    indices = np.array([[0, 1, 2, 2], [1, 1, 0, 2]])
    target = np.array([[-0.5, 0.4, 2.0, 1.2], [0.2, -0.6, -1.6, 1.0]])
    importance = np.array([[1.0, 2.0, 1.0, 0.5], [1.0, 0.5, 2.0, 1.0]])
    asked: list[np.ndarray] = []

    def gradient_of(weights: np.ndarray) -> np.ndarray:
        asked.append(np.array(weights, dtype=float))
        if asked[-1].shape != target.shape:  # told below
            return np.zeros_like(asked[-1])
        return importance * (np.asarray(weights) - target)

    rate, n_steps = 0.2, 4
    problem = (codebook, indices, gradient_of, rate, n_steps)
    got = as_array(call(answer, *problem, told="8 weights, 3 centroids, 4 steps"))
    calls = list(asked)
    if any(weights.shape != indices.shape for weights in calls):
        raise NotYet(
            f"gradient_of was given arrays of other shapes than {indices.shape}.",
            hint="It takes the decoded weights, not the codebook.",
        )
    more, fewer = (codebook, indices, gradient_of, rate, 5), (codebook, indices, gradient_of, rate, 3)
    suspects = [
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
        (
            "That is one step: n_steps of them are asked for.",
            _descended(codebook, indices, gradient_of, rate, 1),
        ),
        ("One step too many.", _descended(*more)),
        ("One step too few.", _descended(*fewer)),
        ("The rate is not used as given.", _descended(codebook, indices, gradient_of, 1.0, n_steps)),
        (
            "The weights were trained each by itself and averaged at the end: train the centroids.",
            _descended(*problem, free=True),
        ),
        ("The codebook is as it was.", codebook),
        ("Those are the weights: the codebook is asked for.", _descended(*problem)[indices]),
    ]
    unknown = f"gradient_of was called {len(calls)} times in {n_steps} steps."
    expect(
        got,
        _descended(*problem),
        suspects=suspects,
        what="The codebook",
        shown={"indices": indices},
        unknown=unknown,
    )
    return "Four steps, each with the gradient at the weights as they are then."


# ----------------------------------------------------------------------------------------------------
# Week 6, first half: decoding a codebook, assigning indices, what sharing saves, a codebook put in order.


@check(1, "decode")
def check_decode(answer: Callable) -> str:
    """The kept weights by index, row by row; 0 where pruned."""
    codebook = np.array([-1.0, 0.5, 2.0])
    indices = np.array([2, 1, 0, 2, 2, 1])
    mask = np.array([[0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1]], bool)
    got = call(answer, codebook, indices, mask, told="6 kept weights of a 3×4 layer")
    values = codebook[indices]
    full = np.zeros(mask.shape, int)
    full[mask] = indices
    first = np.zeros(mask.size)
    first[: values.size] = values
    suspects = [
        (
            "The pruned weights took the first centroid: they are 0, whatever the codebook holds.",
            codebook[full],
        ),
        ("Those are the indices: the value is codebook[index].", full),
        ("One value a kept weight: put them into a matrix of the mask's shape.", values),
        ("Kept and pruned are exchanged: True in the mask is a kept weight.", _placed(values, ~mask)),
        ("The values go down the columns: kept weights are counted row by row.", _placed(values, mask.T).T),
        (
            "The values fill the first places: the mask says which places are theirs.",
            first.reshape(mask.shape),
        ),
    ]
    shown = {"mask": mask, "indices": indices}
    expect(got, _placed(values, mask), suspects=suspects, what="The layer", shown=shown)
    return "Kept weights in their places, zeros elsewhere."


def _placed(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    dense = np.zeros(mask.shape)
    dense[mask] = values
    return dense


@check(2, "assign")
def check_assign(answer: Callable) -> str:
    """Index of the nearest centroid, the lower one of two equally near, in the weights' shape."""
    codebook = np.array([-1.0, 0.0, 1.5, 2.0])
    weights = np.array([[2.09, -0.98, 1.48, 0.09], [-0.5, 0.75, 1.75, 5.0], [-7.0, -0.6, 0.7, 1.8]])
    got = as_array(call(answer, weights, codebook, told="weights of 3×4, four centroids"))
    distance = np.abs(weights[..., None] - codebook)
    nearest = distance.argmin(axis=-1)
    above = np.searchsorted(codebook, weights)
    suspects = [
        ("Of two equally near centroids the lower index wins.", 3 - distance[..., ::-1].argmin(axis=-1)),
        ("Those are the values: the indices are asked for.", codebook[nearest]),
        ("That is the farthest centroid.", distance.argmax(axis=-1)),
        (
            "Without an absolute value (or a square), the least difference is the most negative one.",
            (weights[..., None] - codebook).argmin(axis=-1),
            (codebook - weights[..., None]).argmin(axis=-1),
        ),
        ("That is the first centroid above the weight, not the nearest.", above, np.minimum(above, 3)),
        ("That is the last centroid below the weight, not the nearest.", above - 1, np.clip(above - 1, 0, 3)),
        (
            "Signs count: compare the numbers, not their absolute values.",
            np.abs(np.abs(weights)[..., None] - np.abs(codebook)).argmin(axis=-1),
        ),
        ("The indices have the shape of the weights.", nearest.ravel()),
        (
            "That is the weight nearest to each centroid: each weight looks for its centroid.",
            np.abs(weights.reshape(-1, 1) - codebook).argmin(axis=0),
        ),
        ("Those are distances: the place of the least one is asked for.", distance.min(axis=-1)),
    ]
    shown = {"weights": weights, "codebook": codebook}
    expect(got, nearest, suspects=suspects, what="The table of indices", shown=shown)
    if got.dtype.kind not in "iu":
        raise NotYet(f"The indices are of dtype {got.dtype}.", hint="They will index an array: integers.")
    return "Nearest centroids, ties to the lower index."


def _factor(n: int, k: int, *, bits=lambda k: np.ceil(np.log2(k)), book=32.0, dense=32.0) -> float:
    return dense * n / (n * bits(k) + book * k)


@check(3, "shrink_factor")
def check_shrink_factor(answer: Callable) -> str:
    """32 n bits over n index bits each and a codebook of k floats."""
    n, k = 1000, 20
    got = as_array(call(answer, n, k, told=f"{n} weights, {k} clusters"))
    wanted = _factor(n, k)
    suspects = [
        ("The codebook is missing: it is stored too.", _factor(n, k, book=0.0)),
        ("An index has a whole number of bits: the logarithm is rounded up.", _factor(n, k, bits=np.log2)),
        (
            "Rounded down, an index cannot tell all clusters apart.",
            _factor(n, k, bits=lambda k: np.floor(np.log2(k))),
        ),
        (
            "A bit doubles what an index can tell apart: the base of the logarithm is 2.",
            _factor(n, k, bits=np.log),
            _factor(n, k, bits=lambda k: np.ceil(np.log(k))),
            _factor(n, k, bits=lambda k: np.ceil(np.log10(k))),
        ),
        ("An index among k clusters takes log2 k bits, not k.", _factor(n, k, bits=lambda k: k)),
        (
            "Centroids are stored as floats of 32 bits.",
            _factor(n, k, book=5.0),
            _factor(n, k, book=1.0),
            _factor(n, k, book=8.0),
            _factor(n, k, book=64.0),
        ),
        ("Upside down: how many times *smaller* does the layer become?", 1 / wanted),
        ("That is the size in bits: by what factor is it smaller than 32 n?", 32 * n / wanted),
        ("A float has 32 bits, also those that are not shared.", _factor(n, k, dense=64.0)),
        (
            "Bits and bytes are mixed: count everything in bits.",
            wanted / 8,
            wanted * 8,
            _factor(n, k, book=4.0),
        ),
    ]
    expect(got, wanted, tolerance=1e-6, suspects=suspects, what="The factor")
    got = as_array(call(answer, n, 16, told=f"{n} weights, 16 clusters"))
    hint = "Sixteen clusters need exactly 4 bits: log2(16) is whole."
    expect(got, _factor(n, 16), tolerance=1e-6, what="The factor for 16 clusters", unknown=hint)
    got = as_array(call(answer, 500, 1, told="500 weights, one cluster"))
    hint = "One cluster needs no index at all: zero bits each, and a codebook of one value."
    expect(got, _factor(500, 1), tolerance=1e-6, what="The factor for one cluster", unknown=hint)
    return "Indices and codebook, for 20, 16 and 1 clusters."


@check(7, "tidy")
def check_tidy(answer: Callable) -> str:
    """A codebook strictly ascending, equal centroids merged; the indices follow."""
    codebook = np.array([0.5, -1.0, 2.0, 0.5, 1.0])
    indices = np.array([[0, 1, 2, 3], [4, 4, 0, 2]])
    told = f"the codebook {codebook.tolist()}"
    book, index = pair(call(answer, codebook, indices, told=told), 2, "codebook and indices")
    merged, place = np.unique(codebook, return_inverse=True)
    order = np.argsort(codebook, kind="stable")
    suspects = [
        ("Equal centroids are still there twice: two clusters of one value become one.", np.sort(codebook)),
        ("Descending: the file wants them ascending.", merged[::-1], np.sort(codebook)[::-1]),
        ("The codebook is as it was.", codebook),
    ]
    expect(book, merged, suspects=suspects, what="The codebook", shown={"codebook": codebook})
    wanted = place.ravel()[indices]
    suspects = [
        ("The indices did not follow: an index has to name the same value as before.", indices),
        (
            "argsort says from where each sorted value came; needed is where each old one went.",
            order[indices],
            np.minimum(order, 3)[indices],
        ),
        ("The indices have the shape that they had.", wanted.ravel()),
    ]
    shown = {"old codebook": codebook, "old indices": indices}
    expect(index, wanted, suspects=suspects, what="The table of indices", shown=shown)
    unused = np.array([3.0, -2.0, 0.0])
    book, _ = pair(call(answer, unused, np.array([0, 0]), told="unused centroids"), 2, "codebook and indices")
    hint = "Centroids without weights stay: only their order changes."
    expect(book, np.sort(unused), what="The codebook with unused centroids", unknown=hint)
    return "Ascending, merged, and every index names the value that it named before."


__all__ = [
    "QUESTIONS",
    "check_assign",
    "check_centroid_gradient",
    "check_decode",
    "check_fine_tune",
    "check_shrink_factor",
    "check_take_step",
    "check_tidy",
    "grade",
]

QUESTIONS = (
    Question(1, "Decode", 2, "decode", check_decode),
    Question(2, "Assign", 2, "assign", check_assign),
    Question(3, "What sharing saves", 2, "shrink_factor", check_shrink_factor),
    Question(4, "The gradient by the centroids", 3, "centroid_gradient", check_centroid_gradient),
    Question(5, "One step", 2, "take_step", check_take_step),
    Question(6, "Fine-tuning", 3, "fine_tune", check_fine_tune),
    Question(7, "A tidy codebook", 2, "tidy", check_tidy),
    Question(8, "How many bits does a layer need?", 4),
)


def grade(namespace: Mapping[str, object]) -> Grades:
    """Points of all questions; `namespace` is the notebook's ``globals()``."""
    return grading.grade(QUESTIONS, namespace)
