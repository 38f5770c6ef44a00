"""Week 2, lecture 2: the gain of a question, bias and variance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import call, expect, pair
from common.checks.lectures import fill_in


def _gini(p):
    return 1 - (p**2).sum(axis=-1)


def _entropy(p):
    return -(p * np.log2(np.where(p > 0, p, 1))).sum(axis=-1)


def _gain(yes, no, impurity):
    n_yes, n_no = yes.sum(), no.sum()
    after = n_yes * impurity(yes / n_yes) + n_no * impurity(no / n_no)
    return impurity((yes + no) / (n_yes + n_no)) - after / (n_yes + n_no)


@fill_in(own=_gain)
def gain(answer: Callable) -> str:
    """Impurity before minus the mean impurity after, weighted by the groups' sizes."""
    for yes, no, impurity in (
        ([10, 2], [3, 25], _entropy),
        ([4, 0, 6], [5, 9, 0], _gini),
        ([7, 1], [2, 2], _gini),
    ):
        yes, no = np.array(yes), np.array(no)
        n_yes, n_no = yes.sum(), no.sum()
        n = n_yes + n_no
        before, of_yes, of_no = impurity((yes + no) / n), impurity(yes / n_yes), impurity(no / n_no)
        wanted = _gain(yes, no, impurity)
        suspects = [
            (
                "Weight each group by its share of the bottles, not by one half.",
                before - (of_yes + of_no) / 2,
            ),
            (
                "That is before minus the plain sum: weight each group by its share of the bottles.",
                before - of_yes - of_no,
            ),
            ("The sign is wrong: the gain is before minus after.", -wanted),
            ("That is the impurity after; the gain is what it was before minus that.", before - wanted),
            ("That is the impurity before: subtract the one after the question.", before),
            (
                "The weights are exchanged: each group is weighted by its own share.",
                before - (n_no * of_yes + n_yes * of_no) / n,
            ),
            ("Divide by the number of all bottles.", before - (n_yes * of_yes + n_no * of_no)),
            (
                "`impurity` takes shares: divide the counts by their sum first.",
                impurity(yes + no) - (n_yes * impurity(yes) + n_no * impurity(no)) / n,
            ),
            (
                "The impurity before is that of all bottles together, not a mean of two shares.",
                impurity((yes / n_yes + no / n_no) / 2) - (n_yes * of_yes + n_no * of_no) / n,
            ),
        ]
        got = call(answer, yes, no, impurity, told=f"yes {yes.tolist()}, no {no.tolist()}")
        shown = {"yes": yes, "no": no}
        expect(got, wanted, tolerance=1e-6, suspects=suspects, what="The gain", shown=shown)
    return "Groups of unequal size, with entropy and Gini."


def _bias_and_variance(guesses, truth):
    centre = guesses.mean(axis=0)
    return ((centre - truth) ** 2).mean(), guesses.var(axis=0).mean()


@fill_in(own=_bias_and_variance)
def bias_and_variance(answer: Callable) -> str:
    """Squared bias of the mean model, and the models' variance, each as the mean over the points."""
    source = np.random.default_rng(9)
    for n_sets, n_points in ((5, 5), (4, 7)):
        truth = source.normal(size=n_points).round(1)
        guesses = (truth + 0.5 + source.normal(size=(n_sets, n_points))).round(1)
        told = f"{n_sets} training sets and {n_points} points"
        bias2, variance = pair(call(answer, guesses, truth, told=told), 2, "bias² and variance")
        wanted_bias, wanted_variance = _bias_and_variance(guesses, truth)
        centre = guesses.mean(axis=0)
        suspects = [
            (
                "That is the whole error: average over the training sets *before* you square.",
                ((guesses - truth) ** 2).mean(),
            ),
            ("Square the bias of each point before the mean over the points.", (centre - truth).mean() ** 2),
            (
                "The squared bias is asked for: square it.",
                (centre - truth).mean(),
                np.abs(centre - truth).mean(),
            ),
            ("Take the mean over the points: one number is asked for.", (centre - truth) ** 2),
            ("Take the mean over the points, not their sum.", ((centre - truth) ** 2).sum()),
            (
                "You average over the points first: average over the training sets, axis 0.",
                *([((guesses.mean(axis=1) - truth) ** 2).mean()] if n_sets == n_points else []),
            ),
            ("Variance and bias² are exchanged: bias² first.", wanted_variance),
        ]
        expect(bias2, wanted_bias, tolerance=1e-6, suspects=suspects, what="The squared bias")
        suspects = [
            (
                "Take the variance over the training sets, axis 0: the points differ anyway.",
                guesses.var(),
                guesses.var(axis=1).mean(),
            ),
            ("Divide by the number of training sets, not by one less.", guesses.var(axis=0, ddof=1).mean()),
            ("That is the standard deviation: its square is the variance.", guesses.std(axis=0).mean()),
            ("Take the mean over the points: one number is asked for.", guesses.var(axis=0)),
            (
                "Take the variance around the models' own mean, not around the truth.",
                ((guesses - truth) ** 2).mean(),
            ),
        ]
        expect(variance, wanted_variance, tolerance=1e-6, suspects=suspects, what="The variance")
    return "Five and four training sets."
