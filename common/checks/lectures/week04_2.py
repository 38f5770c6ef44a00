"""Week 4, lecture 2: the compression rate, means of intervals, one step of the dynamic program."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import call, expect, pair
from common.checks.grading import NotYet
from common.checks.lectures import fill_in


def _compression_rate(n, k, bits=32):
    return n * bits / (n * np.log2(k) + k * bits)


@fill_in(own=_compression_rate)
def compression_rate(answer: Callable) -> str:
    """Bits before over bits after: indices and codebook."""
    for n, k, bits in ((1000, 8, 32), (90, 4, 16), (300, 256, 32)):
        got = call(answer, n, k, bits, told=f"{n} weights of {bits} bits, {k} clusters")
        wanted = _compression_rate(n, k, bits)
        suspects = [
            ("The codebook has to be stored, too: k values of `bits` bits.", bits / np.log2(k)),
            ("That is upside down: before over after is larger than 1 when it saves.", 1 / wanted),
            ("An index takes log2 k bits, not k.", n * bits / (n * k + k * bits)),
            ("The logarithm's base is 2.", n * bits / (n * np.log(k) + k * bits)),
            (
                "The codebook's values have `bits` bits each.",
                n * bits / (n * np.log2(k) + k),
                n * bits / (n * np.log2(k) + bits),
            ),
            ("The numerator is the size before: n weights of `bits` bits.", n / (n * np.log2(k) + k * bits)),
            ("`bits` is an argument: 32 is only its default.", _compression_rate(n, k)),
        ]
        expect(got, wanted, tolerance=1e-4, suspects=suspects, what="The compression rate")
    return "Three layers, of 16 and of 32 bits."


def _interval_means(prefix, cuts, before):
    counts = np.diff(cuts)
    return np.where(counts > 0, np.diff(prefix[cuts]) / np.maximum(counts, 1), before)


@fill_in(own=_interval_means)
def interval_means(answer: Callable) -> str:
    """The mean of every interval from prefix sums; an empty one keeps its centroid."""
    for ordered, cuts, before in (
        ([-3.0, -1.0, 0.5, 2.0, 2.5, 4.0], [0, 2, 3, 6], [-2.0, 0.0, 3.0]),
        ([1.0, 2.0, 4.0, 9.0], [0, 0, 3, 3, 4], [-7.0, 2.0, 6.0, 8.0]),
    ):
        ordered, cuts, before = np.array(ordered), np.array(cuts), np.array(before)
        prefix = np.concatenate([[0.0], np.cumsum(ordered)])
        got = call(answer, prefix, cuts, before, told=f"cuts {cuts.tolist()}")
        wanted = _interval_means(prefix, cuts, before)
        counts = np.diff(cuts)
        if counts.min() == 0 and not np.isfinite(np.asarray(got, dtype=float)).all():
            raise NotYet(
                "An empty interval has no mean: nan.",
                hint="Where the count is 0, keep the value of `before`: np.where(counts > 0, ..., before).",
            )
        sums = np.diff(prefix[cuts])
        filled = np.maximum(counts, 1)
        suspects = [
            (
                "Those are sums: divide by the number of weights between two cuts.",
                sums,
                np.where(counts > 0, sums, before),
            ),
            ("An empty interval keeps its centroid from `before`; it does not become 0.", sums / filled),
            (
                "Every sum is divided by the same number: each interval has its own count.",
                sums / len(sums),
                sums / ordered.size,
            ),
            (
                "The sum of an interval is the *difference* of two prefix sums.",
                prefix[cuts[1:]] / filled,
                np.where(counts > 0, prefix[cuts[1:]] / filled, before),
            ),
            ("That is one number per cut: there is one interval fewer than cuts.", prefix[cuts]),
        ]
        expect(got, wanted, tolerance=1e-5, suspects=suspects, what="The means", shown={"cuts": cuts})
    return "Intervals of several sizes, one of them empty."


def _best_last_cut(before, P, Q, j, first):
    i = np.arange(first, j)
    total = before[i] + (Q[j] - Q[i]) - (P[j] - P[i]) ** 2 / (j - i)
    return total.min(), i[total.argmin()]


@fill_in(own=_best_last_cut)
def best_last_cut(answer: Callable) -> str:
    """The least inertia of the first j weights, and where their last cluster begins."""
    for values, j, first in (
        ([-2.0, -1.5, 0.0, 0.5, 3.0, 3.5], 6, 1),
        ([-4.0, 0.5, 1.0, 1.5, 2.0], 4, 1),
        ([0.0, 1.0, 5.0, 6.0, 7.0], 5, 2),
    ):
        x = np.array(values)
        P, Q = (np.concatenate([[0.0], np.cumsum(x**power)]) for power in (1, 2))
        before = np.full(x.size + 1, np.inf)
        for i in range(1, x.size + 1):  # one cluster for the first i
            before[i] = Q[i] - P[i] ** 2 / i
        if first == 2:  # two clusters
            before = np.array(
                [np.inf, np.inf, *(_best_last_cut(before, P, Q, t, 1)[0] for t in range(2, x.size + 1))]
            )
        i = np.arange(first, j)
        cost = (Q[j] - Q[i]) - (P[j] - P[i]) ** 2 / (j - i)
        told = f"the first {j} of {values}"
        got = pair(
            call(answer, before, P, Q, j, first, told=told), 2, "the least inertia, and where it begins"
        )
        least, begins = _best_last_cut(before, P, Q, j, first)
        alone = cost.min()
        suspects = [
            ("What stands before the last cluster costs something, too: add before[i].", alone),
            (
                "The squared sum has to be divided by the number of weights, j - i.",
                (before[i] + (Q[j] - Q[i]) - (P[j] - P[i]) ** 2).min(),
            ),
            (
                "The sum of the last cluster is P[j] - P[i]: first subtracted, and then squared.",
                (before[i] + (Q[j] - Q[i]) - (P[j] ** 2 - P[i] ** 2) / (j - i)).min(),
            ),
            ("The least of all is asked for, not the largest.", (before[i] + cost).max()),
            (
                "That is the sum of squares about zero: subtract the squared sum over the count.",
                (before[i] + Q[j] - Q[i]).min(),
            ),
        ]
        expect(got[0], least, tolerance=1e-4, suspects=suspects, what="The least inertia")
        expect(
            got[1],
            begins,
            suspects=[
                ("That is a place in the list of candidates: return i at that place.", begins - first),
                ("`first` has been counted twice.", begins + first),
            ],
            what="The place where the last cluster begins",
        )
    return "The last of two clusters, and of three."
