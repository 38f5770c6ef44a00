"""Week 4, lecture 2: right answers in several forms, and the usual mistakes with a word of their hint."""

import itertools
import math

import numpy as np

from common.checks.lectures import week04_2 as checks


def rate(n, k, bits=32):
    return n * bits / (n * math.log2(k) + k * bits)


def means(prefix, cuts, before, *, kept=True):
    found = []
    for cluster, (low, high) in enumerate(itertools.pairwise(cuts)):
        if high > low:
            found.append((prefix[high] - prefix[low]) / (high - low))
        else:
            found.append(before[cluster] if kept else np.nan)
    return found


def cut(before, P, Q, j, first, *, cost=None, added=True, pick=min, shift=0):
    cost = cost or (lambda i: Q[j] - Q[i] - (P[j] - P[i]) ** 2 / (j - i))
    totals = {i: (before[i] if added else 0) + cost(i) for i in range(first, j)}
    best = pick(totals, key=totals.get)
    return totals[best], best + shift


RIGHT = {
    "compression_rate": [
        checks.compression_rate.own,
        rate,
        lambda n, k, bits=32: np.float32(rate(n, k, bits)),
    ],
    "interval_means": [
        checks.interval_means.own,
        means,
        lambda prefix, cuts, before: np.float32(means(prefix, cuts, before)),
    ],
    "best_last_cut": [
        checks.best_last_cut.own,
        cut,
        lambda *a: [np.float32(cut(*a)[0]), np.int32(cut(*a)[1])],
    ],
}
RATES = {
    "The codebook has to be stored, too": lambda n, k, bits=32: bits / math.log2(k),
    "upside down": lambda n, k, bits=32: 1 / rate(n, k, bits),
    "An index takes log2 k bits": lambda n, k, bits=32: n * bits / (n * k + k * bits),
    "The logarithm's base is 2": lambda n, k, bits=32: n * bits / (n * math.log(k) + k * bits),
    "The codebook's values have": lambda n, k, bits=32: n * bits / (n * math.log2(k) + k),
    "The numerator is the size before": lambda n, k, bits=32: n / (n * math.log2(k) + k * bits),
    "32 is only its default": lambda n, k, bits=32: rate(n, k),
}
MEANS = {
    "Those are sums": lambda prefix, cuts, before: np.diff(prefix[cuts]),
    "keep the value of `before`": lambda p, c, before: np.array(means(p, c, before, kept=False)),
    "it does not become 0": lambda p, c, before: np.diff(p[c]) / np.maximum(np.diff(c), 1),
    "Every sum is divided by the same number": lambda p, c, before: np.diff(p[c]) / len(before),
    "The sum of an interval is the *difference*": lambda p, c, before: p[c[1:]] / np.maximum(np.diff(c), 1),
    "one interval fewer than cuts": lambda p, c, before: p[c],
}
CUTS = {
    "add before[i]": lambda *a: cut(*a, added=False),
    "divided by the number of weights": lambda before, P, Q, j, first: cut(
        before, P, Q, j, first, cost=lambda i: Q[j] - Q[i] - (P[j] - P[i]) ** 2
    ),
    "and then squared": lambda before, P, Q, j, first: cut(
        before, P, Q, j, first, cost=lambda i: Q[j] - Q[i] - (P[j] ** 2 - P[i] ** 2) / (j - i)
    ),
    "not the largest": lambda *a: cut(*a, pick=max),
    "the sum of squares about zero": lambda before, P, Q, j, first: cut(
        before, P, Q, j, first, cost=lambda i: Q[j] - Q[i]
    ),
    "a place in the list of candidates": lambda *a: cut(*a, shift=-a[4]),
    "counted twice": lambda *a: cut(*a, shift=a[4]),
}
MISTAKES = {"compression_rate": RATES, "interval_means": MEANS, "best_last_cut": CUTS}
