"""Week 2, lecture 1: the normal equations, and a confusion matrix of two classes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import call, expect
from common.checks.lectures import fill_in


def _normal_equations(X, y):
    return np.linalg.solve(X.T @ X, X.T @ y)


@fill_in(own=_normal_equations)
def normal_equations(answer: Callable) -> str:
    """The coefficients of least squares."""
    source = np.random.default_rng(3)
    for n, d in ((6, 2), (9, 3)):
        X, y = source.normal(size=(n, d)).round(1), source.normal(size=n).round(1)
        wanted = _normal_equations(X, y)
        suspects = [
            ("X'X is missing on the left: that is X'y alone.", X.T @ y),
            ("Solve with X'X, do not multiply by it.", X.T @ X @ (X.T @ y)),
            ("That is the prediction X w: the coefficients w are asked for.", X @ wanted),
            ("That is the residual: the coefficients w are asked for.", y - X @ wanted),
            (
                "You fit each column by itself: each coefficient depends on all columns, so solve "
                "with the whole X'X.",
                _one_by_one(X, y),
            ),
        ]
        got = call(answer, X, y, told=f"{n} rows and {d} columns")
        expect(
            got, wanted, tolerance=1e-6, suspects=suspects, what="The vector of coefficients", shown={"X": X}
        )
    return "Two and three columns."


def _one_by_one(X, y):
    return X.T @ y / (X**2).sum(axis=0)


def _confusion(p, truth, threshold):
    yes, is_true = p > threshold, truth == 1
    said = [(~is_true & ~yes).sum(), (~is_true & yes).sum(), (is_true & ~yes).sum(), (is_true & yes).sum()]
    return np.array(said).reshape(2, 2)


@fill_in(own=_confusion)
def confusion(answer: Callable) -> str:
    """True negatives and false positives above, false negatives and true positives below."""
    source = np.random.default_rng(12)
    for n, threshold in ((12, 0.5), (200, 0.3)):
        truth = (source.random(n) < 0.4).astype(float)
        p = np.clip(0.3 * truth + 0.7 * source.random(n), 0, 1).round(3)
        wanted = _confusion(p, truth, threshold)
        suspects = [
            ("Rows and columns are exchanged: a row is a true class.", wanted.T),
            ("Yes and no are exchanged: yes is where p > threshold.", wanted[:, ::-1]),
            ("The order of the classes is reversed: 0 (no) comes first.", wanted[::-1, ::-1], wanted[::-1]),
            ("Counts are asked for, not shares.", wanted / n, wanted / wanted.sum(axis=1, keepdims=True)),
            ("The threshold is an argument: it is not always 0.5.", _confusion(p, truth, 0.5)),
            ("A matrix is asked for: the four numbers in two rows of two.", wanted.ravel()),
        ]
        got = call(answer, p, truth, threshold, told=f"{n} probabilities, threshold {threshold}")
        expect(got, wanted, tolerance=1e-6, suspects=suspects, what="The confusion matrix")
    return "Two thresholds."
