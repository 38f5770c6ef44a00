"""Week 6, first half: decoding a codebook, assigning indices, what sharing saves, a codebook put in order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.calling import call, pair
from common.checks.comparing import as_array, expect
from common.checks.verdict import NotYet, check


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
        ("The pruned weights took the first centroid: they are 0, whatever the codebook holds.",
         codebook[full]),
        ("Those are the indices: the value is codebook[index].", full),
        ("One value a kept weight: put them into a matrix of the mask's shape.", values),
        ("Kept and pruned are exchanged: True in the mask is a kept weight.", _placed(values, ~mask)),
        ("The values go down the columns: kept weights are counted row by row.",
         _placed(values, mask.T).T),
        ("The values fill the first places: the mask says which places are theirs.",
         first.reshape(mask.shape)),
    ]  # fmt: skip
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
        ("Of two equally near centroids the lower index wins.",
         3 - distance[..., ::-1].argmin(axis=-1)),
        ("Those are the values: the indices are asked for.", codebook[nearest]),
        ("That is the farthest centroid.", distance.argmax(axis=-1)),
        ("Without an absolute value (or a square), the least difference is the most negative one.",
         (weights[..., None] - codebook).argmin(axis=-1), (codebook - weights[..., None]).argmin(axis=-1)),
        ("That is the first centroid above the weight, not the nearest.", above, np.minimum(above, 3)),
        ("That is the last centroid below the weight, not the nearest.",
         above - 1, np.clip(above - 1, 0, 3)),
        ("Signs count: compare the numbers, not their absolute values.",
         np.abs(np.abs(weights)[..., None] - np.abs(codebook)).argmin(axis=-1)),
        ("The indices have the shape of the weights.", nearest.ravel()),
        ("That is the weight nearest to each centroid: each weight looks for its centroid.",
         np.abs(weights.reshape(-1, 1) - codebook).argmin(axis=0)),
        ("Those are distances: the place of the least one is asked for.", distance.min(axis=-1)),
    ]  # fmt: skip
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
        ("Rounded down, an index cannot tell all clusters apart.",
         _factor(n, k, bits=lambda k: np.floor(np.log2(k)))),
        ("A bit doubles what an index can tell apart: the base of the logarithm is 2.",
         _factor(n, k, bits=np.log), _factor(n, k, bits=lambda k: np.ceil(np.log(k))),
         _factor(n, k, bits=lambda k: np.ceil(np.log10(k)))),
        ("An index among k clusters takes log2 k bits, not k.", _factor(n, k, bits=lambda k: k)),
        ("Centroids are stored as floats of 32 bits.", _factor(n, k, book=5.0), _factor(n, k, book=1.0),
         _factor(n, k, book=8.0), _factor(n, k, book=64.0)),
        ("Upside down: how many times *smaller* does the layer become?", 1 / wanted),
        ("That is the size in bits: by what factor is it smaller than 32 n?", 32 * n / wanted),
        ("A float has 32 bits, also those that are not shared.", _factor(n, k, dense=64.0)),
        ("Bits and bytes are mixed: count everything in bits.", wanted / 8, wanted * 8,
         _factor(n, k, book=4.0)),
    ]  # fmt: skip
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
    ]  # fmt: skip
    expect(book, merged, suspects=suspects, what="The codebook", shown={"codebook": codebook})
    wanted = place.ravel()[indices]
    suspects = [
        ("The indices did not follow: an index has to name the same value as before.", indices),
        ("argsort says from where each sorted value came; needed is where each old one went.",
         order[indices], np.minimum(order, 3)[indices]),
        ("The indices have the shape that they had.", wanted.ravel()),
    ]  # fmt: skip
    shown = {"old codebook": codebook, "old indices": indices}
    expect(index, wanted, suspects=suspects, what="The table of indices", shown=shown)
    unused = np.array([3.0, -2.0, 0.0])
    book, _ = pair(call(answer, unused, np.array([0, 0]), told="unused centroids"), 2, "codebook and indices")
    hint = "Centroids without weights stay: only their order changes."
    expect(book, np.sort(unused), what="The codebook with unused centroids", unknown=hint)
    return "Ascending, merged, and every index names the value that it named before."
