"""The questions of week 4: k-means from scratch on weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np

from common.checks import grading
from common.checks.comparing import as_array, call, expect, expect_integers, pair
from common.checks.grading import Grades, NotYet, Question, check

# ----------------------------------------------------------------------------------------------------
# Week 4, first half: where k-means starts, its two steps, and the loop of them.


@check(1, "starting_centroids")
def check_starting_centroids(answer: Callable) -> str:
    """k float values, ascending: evenly spaced (linear), or at evenly spaced ranks (density)."""
    _check_starts(
        answer, np.array([[0.3, -0.1, 0.0, 1.9], [0.1, -0.7, 0.2, -0.2], [0.05, 0.4, -0.3, 0.15]]), 3
    )
    _check_starts(answer, np.random.default_rng(8).normal(0.5, 1, (4, 5)), 5)
    return "Both starts, for two matrices of unsorted weights."


def _check_starts(answer: Callable, values: np.ndarray, k: int) -> None:
    ordered, n = np.sort(values, axis=None), values.size
    low, high, middles = ordered[0], ordered[-1], (np.arange(k) + 0.5) / k
    got = call(
        answer, values, k, "linear", told=f'weights of {"×".join(map(str, values.shape))}, k={k}, "linear"'
    )
    reach = abs(ordered).max()
    suspects = [
        (
            "The linear start includes both ends: the first centroid is the smallest value, the last "
            "the largest.",
            low + (high - low) * middles,
            np.linspace(low, high, k, endpoint=False),
            np.linspace(low, high, k + 2)[1:-1],
            np.linspace(low, high, k + 1)[1:],
        ),
        (
            "The range is from the smallest to the largest *value*: it need not be symmetric.",
            np.linspace(-reach, reach, k),
        ),
        ("Ascending order is asked for.", np.linspace(high, low, k)),
        (
            "That is the density start: linear means equal steps between values, not between ranks.",
            ordered[(middles * n).astype(int)],
        ),
        (
            "That does not look at the values: their range is asked for, not 0 to 1 or −1 to 1.",
            np.linspace(0, 1, k),
            np.linspace(-1, 1, k),
        ),
    ]
    expect(
        got, np.linspace(low, high, k), suspects=suspects, what="The linear start", shown={"values": values}
    )
    got = call(
        answer, values, k, "density", told=f'weights of {"×".join(map(str, values.shape))}, k={k}, "density"'
    )
    flat = values.ravel()
    suspects = [
        ("The values are not sorted: a rank is a place in ascending order.", flat[(middles * n).astype(int)]),
        (
            "That is the linear start: density means equal steps between ranks, not between values.",
            np.linspace(low, high, k),
        ),
        (
            "Those lie between two weights: take the sorted value at rank floor((i + ½)/k · n) itself.",
            np.quantile(flat, middles),
        ),
        (
            "The density start excludes the ends: the ranks are in the middle of k equal groups.",
            np.quantile(flat, np.linspace(0, 1, k)),
            ordered[np.linspace(0, n - 1, k).astype(int)],
            ordered[np.rint(np.linspace(0, n - 1, k)).astype(int)],
        ),
        (
            "The ranks are where the groups begin: half a group more, (i + ½)/k, is their middle.",
            ordered[(np.arange(k) / k * n).astype(int)],
        ),
        (
            "That is the mean of each group; the value at its middle rank is asked for.",
            ordered.reshape(k, -1).mean(axis=1),
        ),
        ("One place too low: indices count from 0.", ordered[(middles * n).astype(int) - 1]),
    ]
    wanted = ordered[(middles * n).astype(int)]
    expect(got, wanted, suspects=suspects, what="The density start", shown={"values": values})


def _labels(values: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    return np.abs(values[..., None] - centroids).argmin(axis=-1)


@check(2, "assign")
def check_assign(answer: Callable) -> str:
    """The number of each value's nearest centroid, in the values' shape; the lower number of two."""
    values = np.array([[-2.0, 0.4, 1.0], [3.0, -0.6, 0.6]])
    for centroids in (np.array([-1.0, 0.0, 2.0]), np.array([2.0, -1.0, 0.0])):
        in_order = "ascending" if centroids[0] < 0 else "unsorted"
        got = call(answer, values, centroids, told=f"{in_order} centroids {centroids.tolist()}")
        wanted = _labels(values, centroids)
        differences = values[..., None] - centroids
        ties_up = len(centroids) - 1 - np.abs(differences)[..., ::-1].argmin(axis=-1)
        ordered = np.sort(centroids)
        midpoints = (ordered[:-1] + ordered[1:]) / 2
        suspects = [
            ("Of two centroids equally near (a value on a midpoint), the lower number wins.", ties_up),
            (
                "The distance needs its absolute value (or its square): −3 is not nearer than 1.",
                differences.argmin(axis=-1),
                (-differences).argmin(axis=-1),
            ),
            ("That is the farthest centroid.", np.abs(differences).argmax(axis=-1)),
            ("Those are the centroids themselves; their numbers are asked for.", centroids[wanted]),
            (
                "Those are the distances; the numbers of the centroids are asked for.",
                np.abs(differences).min(axis=-1),
                (differences**2).min(axis=-1),
            ),
            ("The labels have lost the values' shape.", wanted.ravel()),
            ("The numbers of the centroids start at 0.", wanted + 1),
            (
                "Clusters meet at the midpoints between centroids, not at the centroids.",
                np.searchsorted(centroids, values, side="right") - 1,
                np.maximum(np.searchsorted(centroids, values, side="right") - 1, 0),
                np.searchsorted(centroids, values),
                np.searchsorted(centroids, values, side="right"),
                np.minimum(np.searchsorted(centroids, values), len(centroids) - 1),
            ),
            (
                "Centroids need not be in ascending order here: midpoints and searches want them sorted.",
                np.searchsorted((centroids[:-1] + centroids[1:]) / 2, values),
                np.searchsorted((centroids[:-1] + centroids[1:]) / 2, values, side="right"),
                np.searchsorted(midpoints, values),
                np.searchsorted(midpoints, values, side="right"),
            ),
        ]
        shown = {"values": values, "centroids": centroids}
        hint = (
            "" if centroids[0] < 0 else "Centroids may come in any order: does a search expect them sorted?"
        )
        expect(got, wanted, tolerance=0, suspects=suspects, what="The labels", shown=shown, unknown=hint)
        expect_integers(got, "The array of labels", "They will index a codebook.")
    return "Nearest centroids in any order, ties, and the values' shape."


def _means(values: np.ndarray, labels: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Means of the clusters; the empty ones restart at the farthest values, one each."""
    values, labels = values.ravel(), labels.ravel()
    farthest = np.argsort(-np.abs(values - centroids[labels]), kind="stable")
    moved, n_empty = np.empty(len(centroids)), 0
    for cluster in range(len(centroids)):
        if (labels == cluster).any():
            moved[cluster] = values[labels == cluster].mean()
        else:
            moved[cluster] = values[farthest[n_empty]]
            n_empty += 1
    return moved


@check(3, "update")
def check_update(answer: Callable) -> str:
    """float64 means of the values with each label; an empty cluster restarts at the farthest value."""
    values = np.array([[0.0, 1.0, 2.0, 6.0], [-1.0, -2.5, 0.5, 5.0]])
    centroids = np.array([-2.0, 0.5, 5.2])
    labels = _labels(values, centroids)
    means = _means(values, labels, centroids)
    got = call(answer, values, labels, centroids, told="three clusters, none empty")
    counts = np.bincount(labels.ravel(), minlength=3)
    suspects = [
        ("The sums are not divided by the number of values in the cluster.", means * counts),
        (
            "Divided by the number of all values: divide by the number of values in the cluster.",
            means * counts / values.size,
        ),
        (
            "That is the median; the mean minimizes the squared distances.",
            np.array([np.median(values[labels == cluster]) for cluster in range(3)]),
        ),
        ("The centroids have not moved: are the values used?", centroids),
        ("That is the mean of the mean and the old centroid.", (means + centroids) / 2),
        (
            "One mean for all: select the cluster's values, values[labels == cluster].",
            np.full(3, values.mean()),
        ),
        (
            "Cut off to whole numbers: make an array of floats for the means.",
            np.trunc(means),
            np.floor(means),
        ),
    ]
    expect(got, means, suspects=suspects, what="The means", shown={"values": values, "labels": labels})
    for empty in (np.array([-2.0, 30.0, 0.5, 5.2]), np.array([-2.0, 30.0, 0.5, 40.0, 5.2])):
        labels = _labels(values, empty)
        wanted = _means(values, labels, empty)
        n_empty = len(empty) - 3
        told = f"{n_empty} of {len(empty)} clusters empty"
        got = call(answer, values, labels, empty, told=told)
        shown = {"values": values, "labels": labels, "centroids": empty}
        suspects = [(hint, *wrongs) for hint, *wrongs in _wrong_restarts(values, labels, empty, wanted)]
        what = "The update with an empty cluster" if n_empty == 1 else "The update with two empty clusters"
        hint = (
            "An empty cluster restarts at the value farthest from its own centroid; a second one, at "
            "the second farthest."
        )
        expect(got, wanted, suspects=suspects, what=what, shown=shown, unknown=hint)
    return "Means, one empty cluster, two empty clusters."


def _wrong_restarts(values, labels, centroids, wanted):
    """What becomes of empty clusters where their restart is forgotten, or goes elsewhere."""
    flat, numbers = values.ravel(), labels.ravel()
    is_empty = np.bincount(numbers, minlength=len(centroids)) == 0

    def with_empty(places):
        moved = wanted.copy()
        moved[is_empty] = places
        return moved

    distances = np.abs(flat - centroids[numbers])
    far, new = flat[distances.argmax()], np.abs(flat - wanted[numbers])
    n_empty = int(is_empty.sum())
    by_new = flat[np.argsort(-new, kind="stable")[:n_empty]]
    from_middle = flat[np.argsort(-np.abs(flat - flat.mean()), kind="stable")[:n_empty]]
    return [
        (
            "The mean of an empty cluster is nan, and nan spreads: the cluster needs a new place.",
            with_empty(np.nan),
        ),
        (
            "An empty cluster stays where it was, and will stay empty: it should restart.",
            with_empty(centroids[is_empty]),
        ),
        ("An empty cluster has gone to 0: it should restart.", with_empty(0.0)),
        ("An empty cluster is left out: k centroids go in, and k come out.", wanted[~is_empty]),
        ("Both empty clusters restart at the same value: then one of them stays empty.", with_empty(far)),
        (
            "Restart at the value farthest from its own centroid: not from the mean of all, nor at "
            "the largest.",
            with_empty(from_middle),
            with_empty(flat.max()),
            with_empty(flat[np.abs(flat).argmax()]),
            with_empty(np.sort(flat)[::-1][:n_empty]),
        ),
        ("That is the nearest value: the farthest is asked for.", with_empty(flat[distances.argmin()])),
        (
            "Take distances from the centroids before the update (the argument), not from the new means.",
            with_empty(by_new),
        ),
        (
            "The farthest value is for the empty cluster with the lower number.",
            with_empty(wanted[is_empty][::-1]),
        ),
    ]


def _kmeans(values, start, most):
    """Centroids after at most `most` iterations, and every value's nearest one."""
    centroids, labels = np.array(start, dtype=np.float64), None
    for _ in range(most):
        moved = _labels(values, centroids)
        if labels is not None and np.array_equal(labels, moved):
            break
        labels = moved
        centroids = _means(values, labels, centroids)
    return centroids, _labels(values, centroids)


@check(4, "kmeans")
def check_kmeans(answer: Callable) -> str:
    """(centroids, labels) when no label changes any more, or after max_iter iterations."""
    values = np.array(
        [[0.0, 0.3, 0.5, 0.9, 1.2, 1.4], [2.0, 2.2, 2.3, 3.1, 3.2, 3.6], [4.0, 4.4, 5.0, 5.1, 5.3, 5.9]]
    )
    start = np.array([0.0, 0.3, 0.5])
    for most in (1000, 2):
        told = "three starting centroids" if most == 1000 else "three starting centroids, max_iter=2"
        got = pair(call(answer, values, start, max_iter=most, told=told), 2, "centroids and labels")
        centroids, labels = _kmeans(values, start, most)
        if np.shape(got[0]) == values.shape and np.shape(got[1]) == start.shape:
            raise NotYet("The two results are exchanged.", hint="Centroids first, then labels.")
        earlier, _ = _kmeans(values, start, 1)
        suspects = [
            ("max_iter is ignored.", _kmeans(values, start, 1000)[0])
            if most == 2
            else ("That is after one iteration: repeat assign and update in a loop.", earlier),
            (
                "One iteration too few or too many: each of the max_iter iterations is one assign "
                "and one update.",
                *(_kmeans(values, start, n)[0] for n in (1, 3) if most == 2),
            ),
            ("The centroids have not moved from the start.", start),
            (
                "It stops too early: a small step does not mean that it is done. Stop when no label changes.",
                *(_kmeans(values, start, n)[0] for n in range(2, 12) if most == 1000),
            ),
        ]
        expect(got[0], centroids, suspects=suspects, what="The centroids")
        before, _ = _kmeans(values, start, most - 1)
        suspects = [
            ("Those are the labels of the start.", _labels(values, start)),
            ("The labels are from before the last update: assign once more.", _labels(values, before)),
            ("The labels have lost the values' shape.", labels.ravel()),
        ]
        expect(got[1], labels, tolerance=0, suspects=suspects, what="The labels")
        expect_integers(got[1], "The array of labels", "They will index the centroids.")
    far = np.array([0.0, 3.0, 90.0])
    got = pair(
        call(answer, values, far, max_iter=1000, told="a start with one centroid far outside"),
        2,
        "centroids and labels",
    )
    hint = "Does the loop call your update, with the centroids of this iteration, so that empty ones restart?"
    expect(got[0], _kmeans(values, far, 1000)[0], what="The result of a start far outside", unknown=hint)
    return "To the end, stopped after two iterations, and a start far outside."


# ----------------------------------------------------------------------------------------------------
# Week 4, second half: what codebook and indices cost, their bytes, and the exact optimum.


@check(5, "shared_bits")
def check_shared_bits(answer: Callable) -> str:
    """n indices of ceil(log2 k) bits, and k centroids of `bits` bits."""
    for n, k, bits in ((40, 8, 32), (1000, 5, 32), (300, 64, 16), (50, 1, 32), (77, 33, 64)):
        got = as_array(call(answer, n, k, bits=bits, told=f"n={n}, k={k}, bits={bits}"))
        wide = math.ceil(math.log2(k))
        wanted = n * wide + k * bits
        suspects = [
            ("The codebook is missing.", n * wide),
            ("The indices are missing.", k * bits),
            ("An index has a whole number of bits: five clusters need three.", n * math.log2(k) + k * bits),
            ("Rounded down: with two bits there is no fifth index.", n * math.floor(math.log2(k)) + k * bits),
            (
                "Indices run from 0 to k − 1: four clusters need two bits, and one cluster needs none.",
                n * k.bit_length() + k * bits,
                n * max(1, wide) + k * bits,
            ),
            ("That is bytes; bits are asked for.", wanted / 8, wanted // 8),
            (
                "That counts the weights themselves: they are not stored any more, only indices and "
                "codebook.",
                n * bits,
                n * bits + n * wide,
                n * bits + wanted,
            ),
            ("`bits` is not used: a centroid may have 16 bits.", n * wide + k * 32),
            (
                "Each *weight* has an index, each *cluster* a centroid: n and k are exchanged.",
                k * wide + n * bits,
                k * math.ceil(math.log2(n)) + n * bits,
            ),
            ("That is the compression rate; the bits are asked for.", n * bits / wanted, wanted / (n * bits)),
            ("The base of the logarithm is 2.", n * math.ceil(math.log(k)) + k * bits),
        ]
        suspects = [(hint, *(wrong for wrong in wrongs if wrong != wanted)) for hint, *wrongs in suspects]
        expect(got, wanted, tolerance=0, suspects=suspects, what=f"The size for n={n}, k={k}")
    return "Four sizes: k a power of two and not, 16-bit centroids, a single cluster."


def _packed(labels: np.ndarray, n_bits: int, *, low_first: bool = False, bitorder: str = "big") -> np.ndarray:
    shifts = np.arange(n_bits) if low_first else np.arange(n_bits)[::-1]
    bits = (labels.reshape(-1, 1) >> shifts) & 1
    return np.packbits(bits.astype(np.uint8), bitorder=bitorder)


def _bit_table(labels: np.ndarray, n_bits: int) -> np.ndarray:
    return ((labels.reshape(-1, 1) >> np.arange(n_bits)[::-1]) & 1).astype(np.uint8)


@check(6, "pack")
def check_pack(answer: Callable) -> str:
    """n_bits bits per label, the highest first, one label after the other; zeros fill the last byte."""
    cases = (
        (np.array([6, 1, 3, 0, 5], dtype=np.uint8), 3),
        (np.array([[1, 0, 1], [1, 1, 0], [0, 0, 1]], dtype=np.uint8), 1),
        (np.array([19, 31, 0, 4, 8, 30], dtype=np.int64), 5),
    )
    for labels, n_bits in cases:
        told = f"{labels.size} labels, n_bits={n_bits}"
        got = call(answer, labels, n_bits, told=told)
        if not isinstance(got, bytes | bytearray | memoryview):
            hint = {
                "str": "Text of 0 and 1 takes a byte per bit: eight bits are one byte.",
                "ndarray": "`.tobytes()` makes bytes of an array of uint8.",
                "list": "`bytes(numbers)` makes bytes of a list of numbers below 256.",
            }.get(type(got).__name__, "")
            raise NotYet(f"It returns a {type(got).__name__}, expected bytes.", hint=hint)
        got, wanted = np.frombuffer(bytes(got), np.uint8), _packed(labels, n_bits)
        flat = labels.ravel()
        number = sum(int(label) << (n_bits * place) for place, label in enumerate(flat[::-1]))
        in_front = np.frombuffer(number.to_bytes(wanted.size, "big"), np.uint8)
        suspects = [
            (
                "A byte per label, or more: several labels share one byte.",
                flat,
                np.frombuffer(flat.tobytes(), np.uint8),
            ),
            ("Within a label, the highest bit comes first.", _packed(flat, n_bits, low_first=True)),
            (
                "Within a byte, the first bit is the highest: np.packbits does so by default.",
                _packed(flat, n_bits, bitorder="little"),
                _packed(flat, n_bits, low_first=True, bitorder="little"),
            ),
            ("The padding zeros belong at the end, not in front.", in_front),
            ("Eight bits of every label are packed: pack only its lowest n_bits.", _packed(flat, 8)),
            (
                "Each label, or row, is filled up to a byte of its own: make one row of bits of all labels.",
                np.packbits(_bit_table(flat, n_bits), axis=1).ravel(),
                np.packbits(_bit_table(flat, n_bits), axis=0).ravel(),
                *(np.concatenate([_packed(row, n_bits) for row in labels]) for _ in range(labels.ndim - 1)),
            ),
            ("The labels are in reverse order: the first label comes first.", _packed(flat[::-1], n_bits)),
            ("The last byte is missing: one that is not full is still a byte.", wanted[:-1]),
            (
                "That is text, with a byte per digit: eight bits are one byte.",
                np.frombuffer("".join(f"{label:0{n_bits}b}" for label in flat).encode(), np.uint8),
            ),
        ]
        expect(
            got,
            wanted,
            tolerance=0,
            suspects=suspects,
            what=f"The packed bytes of {labels.size} labels",
            shown={"labels": labels},
        )
    return "Labels of 3, 1 and 5 bits; bytes that are not full."


def _inertia(ordered: np.ndarray, cuts: tuple[int, ...]) -> float:
    """Sum of squared distances from the means of the intervals between cuts."""
    parts = np.split(ordered, cuts)
    return float(sum(((part - part.mean()) ** 2).sum() for part in parts if part.size))


def _least(ordered: np.ndarray, k: int) -> float:
    places = itertools.combinations(range(1, ordered.size), k - 1)
    return min(_inertia(ordered, cuts) for cuts in places)


def _lloyd(ordered: np.ndarray, centroids: np.ndarray) -> float:
    """The inertia where Lloyd's iteration ends."""
    for _ in range(100):
        cuts = np.searchsorted(ordered, (centroids[:-1] + centroids[1:]) / 2, side="right")
        parts = np.split(ordered, cuts)
        centroids = np.array([p.mean() if p.size else c for p, c in zip(parts, centroids, strict=True)])
    return float(sum(((part - c) ** 2).sum() for part, c in zip(parts, centroids, strict=True)))


@check(7, "optimal_inertia")
def check_optimal_inertia(answer: Callable) -> str:
    """The least sum of squared distances over all ways to cut ascending values into k intervals."""
    ordered = np.array([-3.0, -0.5, -0.45, -0.4, -0.1, 0.0, 0.05, 0.1, 0.4, 1.5, 1.6, 1.8])
    n = ordered.size
    for k in (1, 2, 3, 4, 12):
        got = as_array(call(answer, ordered, k, told=f"12 values, k={k}"))
        wanted = _least(ordered, k)
        starts = (
            np.linspace(ordered[0], ordered[-1], k),
            ordered[((np.arange(k) + 0.5) / k * n).astype(int)],
        )
        even = tuple(np.arange(1, k) * n // k)
        suspects = [
            (
                "That is where Lloyd's algorithm ends from one of the starts: a local minimum.",
                *(_lloyd(ordered, start) for start in starts),
            ),
            (
                "That is for k intervals of equally many values: the cuts are to be chosen.",
                _inertia(ordered, even),
            ),
            (
                "One interval too few or too many: k intervals have k − 1 cuts.",
                _least(ordered, max(1, k - 1)),
                _least(ordered, min(n, k + 1)),
            ),
            ("That is the mean, not the sum: do not divide by n.", wanted / n),
            ("That is the square root: the inertia is the sum of the squares itself.", math.sqrt(wanted)),
            (
                "That is the greatest inertia, not the least.",
                max(_inertia(ordered, cuts) for cuts in itertools.combinations(range(1, n), k - 1)),
            ),
            (
                "Those are distances from 0: each interval has its own mean, (P_j − P_i) / (j − i).",
                float((ordered**2).sum()),
            ),
            (
                "The cost is the sum of squares *less* (P_j − P_i)² / (j − i); yours is without the "
                "sum of squares.",
                wanted - float((ordered**2).sum()),
            ),
        ]
        suspects = [
            (hint, *(wrong for wrong in wrongs if abs(wrong - wanted) > 1e-9)) for hint, *wrongs in suspects
        ]
        hint = "D[q, j] is the least over i < j of D[q - 1, i] + cost(i, j), and D[0, 0] = 0."
        expect(got, wanted, suspects=suspects, what=f"The inertia for k={k}", unknown=hint)
    _check_many(answer)
    return "Twelve values in one to twelve clusters, and eighty in sixteen."


def _check_many(answer: Callable) -> None:
    """Eighty values in groups of unequal size and width: hardly any start of Lloyd's finds their optimum."""
    rng = np.random.default_rng(15)
    middles = np.cumsum(rng.uniform(0.6, 3.0, 26))
    values = np.concatenate([rng.normal(m, rng.uniform(0.05, 0.5), rng.integers(2, 8)) for m in middles])
    ordered, k = np.sort(values)[:80], 16
    got = as_array(call(answer, ordered, k, told=f"{ordered.size} values, k={k}"))
    wanted = _by_table(ordered, k)
    hint = "It is above the optimum: k-means from many starts proves nothing. Fill the table D[q, j]."
    if got.size == 1 and float(got.flat[0]) < wanted * (1 - 1e-5):
        hint = "It is below the optimum: are there more than k intervals?"
    expect(got, wanted, what=f"The inertia for {ordered.size} values, k={k}", unknown=hint)


def _by_table(ordered: np.ndarray, k: int) -> float:
    """The least inertia by the dynamic program."""
    n = ordered.size
    sums, squares = (np.concatenate([[0.0], np.cumsum(values)]) for values in (ordered, ordered**2))
    best = np.full(n + 1, np.inf)
    best[0] = 0.0
    for _ in range(k):
        row = np.full(n + 1, np.inf)
        for j in range(1, n + 1):
            i = np.arange(j)
            cost = squares[j] - squares[i] - (sums[j] - sums[i]) ** 2 / (j - i)
            row[j] = (best[i] + cost).min()
        best = row
    return float(best[n])


__all__ = [
    "QUESTIONS",
    "check_assign",
    "check_kmeans",
    "check_optimal_inertia",
    "check_pack",
    "check_shared_bits",
    "check_starting_centroids",
    "check_update",
    "grade",
]

QUESTIONS = (
    Question(1, "Where to start", 2, "starting_centroids", check_starting_centroids),
    Question(2, "Assign", 2, "assign", check_assign),
    Question(3, "Update", 3, "update", check_update),
    Question(4, "The loop", 3, "kmeans", check_kmeans),
    Question(5, "What it costs", 1, "shared_bits", check_shared_bits),
    Question(6, "Pack", 2, "pack", check_pack),
    Question(7, "The exact optimum", 3, "optimal_inertia", check_optimal_inertia),
    Question(8, "Which start would you use?", 4),
)


def grade(namespace: Mapping[str, object]) -> Grades:
    """Points of all questions; `namespace` is the notebook's ``globals()``."""
    return grading.grade(QUESTIONS, namespace)
