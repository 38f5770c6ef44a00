"""Week 5, lecture 3: right answers in several forms, and the usual mistakes with a word of their hint."""

import numpy as np
import torch

from common.checks.lectures import week05_3 as checks


def by_lists(mask, n, scores):
    places = [i for i in range(mask.numel()) if not mask.flatten()[i]]
    grown = mask.flatten().clone()
    for i in sorted(places, key=lambda i: -scores.flatten()[i].item())[:n]:
        grown[i] = True
    return grown.reshape(mask.shape)


def growing(order_of, kept=True):
    def answer(mask, n, scores):
        grown = mask.clone() if kept else torch.zeros_like(mask)
        grown.view(-1)[order_of(mask.flatten(), scores.flatten())[:n]] = True
        return grown

    return answer


def below(mask, scores):
    return torch.where(mask, -torch.inf, scores)


def at_threshold(mask, n, scores):
    candidates = below(mask, scores)
    return mask | (candidates >= candidates.flatten().sort(descending=True).values[max(n, 1) - 1])


def in_place(mask, n, scores):
    mask.view(-1)[below(mask, scores).flatten().argsort(descending=True, stable=True)[:n]] = True
    return mask


def sums(masks):
    return masks.flatten(1).sum(1)


def by_comparing(masks):
    return [(sums(masks) == m).double().mean().item() for m in range(10)]


RIGHT = {
    "grow": [by_lists, growing(lambda mask, scores: below(mask, scores).neg().argsort(stable=True))],
    "kernel_shares": [
        by_comparing,
        lambda masks: np.histogram(sums(masks).numpy(), bins=range(11), density=True)[0].astype(np.float32),
    ],
    "taylor": [
        lambda g, b, dg, db: (g * dg + b * db).square().float(),
        lambda g, b, dg, db: [float(x * u + y * v) ** 2 for x, y, u, v in zip(g, b, dg, db, strict=True)],
    ],
}
GROWN = {
    "the kept ones stay": growing(lambda m, s: below(m, s).argsort(descending=True, stable=True), kept=False),
    "take part in the contest": growing(lambda m, s: s.argsort(descending=True, stable=True)),
    "score of -inf": growing(lambda m, s: torch.where(m, 0.0, s).argsort(descending=True, stable=True)),
    "descending order": growing(lambda m, s: torch.where(m, torch.inf, s).argsort(stable=True)),
    "stable=True": growing(lambda m, s: below(m, s).argsort(stable=True).flip(0)),
    "count instead of using a threshold": at_threshold,
    "Nothing has grown": lambda mask, n, scores: mask.clone(),
    "sort in descending": growing(lambda m, s: below(m, s).argsort(stable=True)),
    "copy the old one": lambda mask, n, scores: checks.grow.own(mask, n, scores).float(),
    "changes its argument": in_place,
}
SHARES = {
    "divide by the number of kernels": lambda masks: torch.bincount(sums(masks), minlength=10),
    "not of weights": lambda masks: torch.bincount(sums(masks), minlength=10) / masks.numel(),
    "minlength": lambda masks: torch.bincount(sums(masks)) / len(masks),
    "weights that are gone": lambda masks: torch.bincount(9 - sums(masks), minlength=10) / len(masks),
    "sum over all nine": lambda masks: torch.bincount(masks.sum(2).flatten(), minlength=10) / len(masks),
}
IMPORTANCES = {
    "First the sum": lambda g, b, dg, db: (g * dg) ** 2 + (b * db) ** 2,
    "Square the sum": lambda g, b, dg, db: (g * dg + b * db).abs(),
    "its *own* gradient": lambda g, b, dg, db: (g * db + b * dg) ** 2,
    "beta goes to zero": lambda g, b, dg, db: (g * dg) ** 2,
    "gamma goes to zero": lambda g, b, dg, db: (b * db) ** 2,
    "A gradient alone": lambda g, b, dg, db: (dg + db) ** 2,
    "A gradient alone does": lambda g, b, dg, db: dg**2 + db**2,
    "The gradients are missing": lambda g, b, dg, db: g**2,
    "per channel": lambda g, b, dg, db: ((g * dg + b * db) ** 2).sum(),
}
MISTAKES = {"grow": GROWN, "kernel_shares": SHARES, "taylor": IMPORTANCES}
