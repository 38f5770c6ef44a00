"""Week 4, lecture 2: right answers in any form are taken, and every usual mistake has a hint."""

import itertools
import math

import numpy as np
import pytest

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
    "one interval less than cuts": lambda p, c, before: p[c],
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


@pytest.mark.parametrize("name", RIGHT)
def test_right_answers_are_taken_and_go_on(name, capsys):
    for answer in RIGHT[name]:
        assert getattr(checks, name)(answer) is answer
        assert capsys.readouterr().out.startswith(f"{name}: right. ")


@pytest.mark.parametrize(
    ("name", "hint", "answer"),
    [
        *(("compression_rate", hint, answer) for hint, answer in RATES.items()),
        *(("interval_means", hint, answer) for hint, answer in MEANS.items()),
        *(("best_last_cut", hint, answer) for hint, answer in CUTS.items()),
    ],
)
def test_a_mistake_has_its_hint_and_the_lecture_goes_on(name, hint, answer, capsys):
    check = getattr(checks, name)
    assert check(answer) is check.own
    said = capsys.readouterr().out
    assert said.startswith(f"{name}: not yet. ")
    assert hint in said
    assert f"The lecture goes on with the course's own {name}." in said


@pytest.mark.parametrize("name", RIGHT)
def test_stubs_and_odd_answers_are_told_in_one_line(name, capsys):
    def stub(*arguments):
        raise NotImplementedError("divide them")

    def broken(*arguments):
        raise ZeroDivisionError("of nothing")

    check = getattr(checks, name)
    for answer, said in (
        (stub, "not yet. It is not written yet.\n  Hint: divide them"),
        (broken, "It raises ZeroDivisionError"),
        (3, "A function is expected, and this is of type int."),
        (lambda *arguments: None, "not yet."),
    ):
        assert check(answer) is check.own
        assert said in capsys.readouterr().out
