"""Week 2, lecture 3: right answers in several forms, and the usual mistakes with a word of their hint."""

import numpy as np

from common.checks.lectures import week02_3 as checks


def back(delta, weight, before, *, gate=lambda below, before: before > 0, w=None, b=None):
    by_weight = delta.T @ before if w is None else w(delta, weight, before)
    by_bias = delta.sum(axis=0) if b is None else b(delta)
    below = delta @ weight
    return by_weight, by_bias, below * gate(below, before)


def in_loops(delta, weight, before):
    by_weight, by_bias, below = np.zeros_like(weight), np.zeros(len(weight)), np.zeros_like(before)
    for error, a, row in zip(delta, before, below, strict=True):
        by_weight += np.outer(error, a)
        by_bias += error
        row[:] = weight.T @ error * np.sign(a)
    return [by_weight.tolist(), by_bias.tolist(), below.tolist()]


def drop_some(a, drop, rng, *, keep=np.greater_equal, scale=lambda drop: 1 / (1 - drop), shape=None, of=1):
    mask = keep(rng.random(a.shape if shape is None else shape(a)), drop)
    return (a if of else 1) * mask * scale(drop)


def stop(losses, patience, **mistake):
    return checks._stop(losses, patience, **mistake)


OWN_GENERATOR = np.random.default_rng(5)


def own_generator(a, drop, rng):
    return drop_some(a, drop, OWN_GENERATOR)


RIGHT = {
    "backward_layer": [
        checks.backward_layer.own,
        in_loops,
        lambda *a: tuple(part.astype(np.float32) for part in back(*a)),
    ],
    "dropout": [
        checks.dropout.own,
        lambda a, drop, rng: np.where(rng.random(a.shape) < drop, 0, np.float32(a / (1 - drop))),
        lambda a, drop, rng: a * rng.binomial(1, 1 - drop, a.shape) / (1 - drop),
    ],
    "stop_at": [checks.stop_at.own, stop, lambda losses, patience: np.array(stop(losses, patience))],
}
BACK = {
    "do not take the mean": lambda *a: back(*a, w=lambda d, w, b: d.T @ b / len(d)),
    "It is transposed": lambda *a: back(*a, w=lambda d, w, b: b.T @ d),
    "not by the weight": lambda *a: back(*a, w=lambda d, w, b: d @ w),
    "sums over the samples": lambda *a: back(*a, w=lambda d, w, b: d[:, :, None] * b[:, None, :]),
    "sum over the batch": lambda *a: back(*a, b=lambda d: d.mean(axis=0)),
    "axis 0": lambda *a: back(*a, b=lambda d: d),
    "one value per output": lambda *a: back(*a, b=lambda d: d.sum()),
    "derivative is missing": lambda *a: back(*a, gate=lambda below, before: 1),
    "not the activation itself": lambda *a: back(*a, gate=lambda below, before: before),
    "not where delta is positive": lambda *a: back(*a, gate=lambda below, before: below > 0),
    "without a transpose": lambda d, w, b: (d.T @ b, d.sum(axis=0), (d @ w.T) * (b > 0)),
}
DROPS = {
    "so that the expected value stays": lambda *a: drop_some(*a, scale=lambda drop: 1),
    "not by drop": lambda *a: drop_some(*a, scale=lambda drop: 1 / drop),
    "not multiplied": lambda *a: drop_some(*a, scale=lambda drop: 1 - drop),
    "probability of being *off*": lambda *a: drop_some(*a, keep=np.less),
    "Each value is decided by itself": lambda *a: drop_some(*a, shape=lambda a: a.shape[1]),
    "That is the mask alone": lambda *a: drop_some(*a, of=0),
    "Draw from `rng`": own_generator,
}
STOPS = {
    "the other way round": lambda *a: stop(*a)[::-1],
    "An equal loss is not better": lambda *a: stop(*a, tie=True),
    "One epoch late": lambda *a: stop(*a, late=1),
    "One epoch early": lambda *a: stop(*a, late=-1),
    "not with the epoch before": lambda *a: stop(*a, before=True),
    "A smaller loss is better": lambda *a: stop(*a, largest=True),
    "wait `patience` epochs": lambda losses, patience: stop(losses, 1),
    "It never stops early": lambda losses, patience: (len(losses) - 1, int(np.argmin(losses))),
    "not losses": lambda losses, patience: [losses[epoch] for epoch in stop(losses, patience)],
}
MISTAKES = {"backward_layer": BACK, "dropout": DROPS, "stop_at": STOPS}
