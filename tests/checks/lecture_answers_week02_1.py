"""Week 2, lecture 1: right answers in several forms, and the usual mistakes with a word of their hint."""

import numpy as np
from sklearn.metrics import confusion_matrix

from common.checks.lectures import week02_1 as checks

least_squares, table = checks.normal_equations.own, checks.confusion.own

RIGHT = {
    "normal_equations": [
        least_squares,
        lambda X, y: np.linalg.lstsq(X, y, rcond=None)[0],
        lambda X, y: np.float32(np.linalg.inv(X.T @ X) @ X.T @ y),
        lambda X, y: (np.linalg.pinv(X) @ y).tolist(),
    ],
    "confusion": [
        table,
        lambda p, truth, threshold: confusion_matrix(truth, p > threshold),
        lambda p, truth, threshold: [
            [sum((p <= threshold) & (truth == k)), sum((p > threshold) & (truth == k))] for k in (0, 1)
        ],
    ],
}
EQUATIONS = {
    "X'y alone": lambda X, y: X.T @ y,
    "do not multiply": lambda X, y: X.T @ X @ (X.T @ y),
    "That is the prediction": lambda X, y: X @ least_squares(X, y),
    "That is the residual": lambda X, y: y - X @ least_squares(X, y),
    "each coefficient depends on all columns": lambda X, y: X.T @ y / (X**2).sum(axis=0),
}
TABLES = {
    "a row is a true class": lambda *a: table(*a).T,
    "Yes and no are exchanged": lambda *a: table(*a)[:, ::-1],
    "The order of the classes": lambda *a: table(*a)[::-1, ::-1],
    "not shares": lambda *a: table(*a) / len(a[0]),
    "not always 0.5": lambda p, truth, threshold: table(p, truth, 0.5),
    "two rows of two": lambda *a: table(*a).ravel(),
}
MISTAKES = {"normal_equations": EQUATIONS, "confusion": TABLES}
