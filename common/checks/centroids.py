"""Week 6, second half: the centroids' gradient, one step, and a whole fine-tuning."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.calling import call, pair
from common.checks.comparing import as_array, expect
from common.checks.verdict import NotYet, check

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
        ("An index that comes twice is written twice, not added: with `sums[indices] += grad` the last one "
         "wins. np.add.at or np.bincount add.", _summed(grad, indices, 5, reduce="last")),
        (only_present, wanted[present], wanted[:4]),
        ("Absolute values: pulls in opposite directions cancel.", _summed(grad, indices, 5, reduce="abs")),
        ("Those are the numbers of weights: their gradients are to be added.",
         _summed(grad, indices, 5, reduce="count")),
        ("That is the sum of all gradients: each centroid has its own weights.",
         np.full(5, grad.sum()), grad.sum()),
        ("One number a weight: one a centroid is asked for.", wanted[indices]),
    ]  # fmt: skip
    expect(
        got, wanted, suspects=suspects, what="The gradient by the centroids",
        shown={"grad": grad, "indices": indices},
    )  # fmt: skip
    return "Sums by cluster, zeros for clusters without weights."


@check(5, "take_step")
def check_take_step(answer: Callable) -> str:
    """(codebook after the step, weights after the step): the codebook moves, the weights follow by index."""
    codebook = np.array([-1.0, 0.0, 1.5, 2.0])
    indices = np.array([[3, 0, 2], [1, 2, 3]])
    grad = np.array([[1.0, -2.0, 3.0], [0.5, 1.0, 2.0]])
    rate = 0.25
    got = pair(
        call(answer, codebook, indices, grad, rate, told="6 weights, 4 centroids, rate 0.25"), 2,
        "codebook and weights",
    )  # fmt: skip
    by_centroid = _summed(grad, indices, 4)
    moved = codebook - rate * by_centroid
    suspects = [
        (_UPHILL, codebook + rate * by_centroid),
        (_MEAN, codebook - rate * _summed(grad, indices, 4, reduce="mean")),
        ("The rate is missing.", codebook - by_centroid),
        ("The rate is used twice.", codebook - rate**2 * by_centroid),
        ("The codebook is as it was.", codebook),
        ("That is the change alone: codebook minus rate times gradient.",
         -rate * by_centroid, rate * by_centroid),
        ("An index that comes twice is written twice, not added: the last one won.",
         codebook - rate * _summed(grad, indices, 4, reduce="last")),
    ]  # fmt: skip
    expect(got[0], moved, suspects=suspects, what="The codebook", shown={"indices": indices, "grad": grad})
    nearest = np.abs(codebook[indices][..., None] - moved).argmin(axis=-1)
    suspects = [
        ("The weights are still those of the old codebook.", codebook[indices]),
        ("Every weight moved by its own gradient: then they no longer share values.",
         codebook[indices] - rate * grad),
        ("The indices were assigned anew: they stay as they are, and the weights follow their centroids.",
         moved[nearest]),
        ("Those are the indices: decode them with the new codebook.", indices),
        ("The weights have the shape of the indices.", moved[indices].ravel()),
    ]  # fmt: skip
    expect(
        got[1], moved[indices], suspects=suspects, what="The matrix of weights",
        shown={"indices": indices, "new codebook": moved},
    )  # fmt: skip
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
        ("The gradient was taken once, at the beginning: each step needs it at the present weights.",
         _descended(*problem, fresh=False)),
        (_UPHILL, _descended(*problem, sign=1.0)),
        (_MEAN, _descended(*problem, reduce="mean")),
        ("An index that comes twice is written twice, not added: the last one won.",
         _descended(*problem, reduce="last")),
        ("That is one step: n_steps of them are asked for.",
         _descended(codebook, indices, gradient_of, rate, 1)),
        ("One step too many.", _descended(*more)),
        ("One step too few.", _descended(*fewer)),
        ("The rate is not used as given.", _descended(codebook, indices, gradient_of, 1.0, n_steps)),
        ("The weights were trained each by itself and averaged at the end: the centroids are to be trained.",
         _descended(*problem, free=True)),
        ("The codebook is as it was.", codebook),
        ("Those are the weights: the codebook is asked for.", _descended(*problem)[indices]),
    ]  # fmt: skip
    unknown = f"gradient_of was called {len(calls)} times in {n_steps} steps."
    expect(
        got, _descended(*problem), suspects=suspects, what="The codebook", shown={"indices": indices},
        unknown=unknown,
    )  # fmt: skip
    return "Four steps, each with the gradient at the weights as they are then."
