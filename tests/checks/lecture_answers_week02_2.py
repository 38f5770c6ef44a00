"""Week 2, lecture 2: right answers in several forms, and the usual mistakes with a word of their hint."""

import numpy as np

from common.checks.lectures import week02_2 as checks

gain, parts = checks.gain.own, checks.bias_and_variance.own


def weighed(yes, no, impurity, *, w=None, sign=1, shares=True, before=True):
    n = yes.sum() + no.sum()
    of_yes = impurity(yes / yes.sum() if shares else yes)
    of_no = impurity(no / no.sum() if shares else no)
    w_yes, w_no = w(yes.sum(), no.sum()) if w else (yes.sum() / n, no.sum() / n)
    start = impurity((yes + no) / n if shares else yes + no) if before else 0
    return sign * (start - w_yes * of_yes - w_no * of_no)


RIGHT = {
    "gain": [gain, weighed, lambda *a: np.float32(weighed(*a))],
    "bias_and_variance": [
        parts,
        lambda g, t: [np.mean((np.mean(g, 0) - t) ** 2), np.mean((g - np.mean(g, 0)) ** 2)],
        lambda g, t: np.float32(parts(g, t)),
    ],
}
GAINS = {
    "not by one half": lambda *a: weighed(*a, w=lambda a, b: (0.5, 0.5)),
    "the plain sum": lambda *a: weighed(*a, w=lambda a, b: (1, 1)),
    "The sign is wrong": lambda *a: weighed(*a, sign=-1),
    "That is the impurity after": lambda *a: weighed(*a, before=False, sign=-1),
    "That is the impurity before": lambda *a: weighed(*a, w=lambda a, b: (0, 0)),
    "The weights are exchanged": lambda *a: weighed(*a, w=lambda a, b: (b / (a + b), a / (a + b))),
    "number of all bottles": lambda *a: weighed(*a, w=lambda a, b: (a, b)),
    "takes shares": lambda *a: weighed(*a, shares=False),
}
PARTS = {
    "*before* you square": lambda g, t: (((g - t) ** 2).mean(), parts(g, t)[1]),
    "Square the bias of each point": lambda g, t: ((g.mean(axis=0) - t).mean() ** 2, parts(g, t)[1]),
    "The squared bias is asked for": lambda g, t: ((g.mean(axis=0) - t).mean(), parts(g, t)[1]),
    "one number": lambda g, t: ((g.mean(axis=0) - t) ** 2, parts(g, t)[1]),
    "not their sum": lambda g, t: (((g.mean(axis=0) - t) ** 2).sum(), parts(g, t)[1]),
    "average over the training sets, axis 0": lambda g, t: (
        ((g.mean(axis=1) - t) ** 2).mean(),
        parts(g, t)[1],
    ),
    "bias² first": lambda g, t: parts(g, t)[::-1],
    "the points differ anyway": lambda g, t: (parts(g, t)[0], g.var()),
    "not by one less": lambda g, t: (parts(g, t)[0], g.var(axis=0, ddof=1).mean()),
    "standard deviation": lambda g, t: (parts(g, t)[0], g.std(axis=0).mean()),
    "not around the truth": lambda g, t: (parts(g, t)[0], ((g - t) ** 2).mean()),
}
MISTAKES = {"gain": GAINS, "bias_and_variance": PARTS}
