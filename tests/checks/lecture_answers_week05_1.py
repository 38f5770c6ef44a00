"""Week 5, lecture 1: right answers in several forms, and the usual mistakes with a word of their hint."""

import numpy as np
import torch

from common.checks.lectures import week05_1 as checks


def by_lists(scores, n_keep):
    order = sorted(range(scores.numel()), key=lambda i: (-scores.flatten()[i].item(), i))
    mask = torch.zeros(scores.shape, dtype=torch.bool)
    for i in order[:n_keep]:
        mask[np.unravel_index(i, scores.shape)] = True
    return mask


def first_of(order_of, *, dtype=torch.bool, kept=True):
    def answer(scores, n_keep):
        mask = torch.full((scores.numel(),), not kept)
        mask[order_of(scores.flatten())[:n_keep]] = kept
        return mask.view_as(scores).to(dtype)

    return answer


def lowest_kept(scores, n_keep):
    return scores.flatten().sort(descending=True).values[n_keep - 1] if n_keep else torch.inf


def formula(share, final, initial, power=3):
    return final + (initial - final) * (1 - share) ** power


def clipped(t, t0, t1):
    return min(max((t - t0) / (t1 - t0), 0), 1)


RIGHT = {
    "keep_largest": [checks.keep_largest.own, by_lists],
    "cubic": [
        checks.cubic.own,
        lambda t, t0, t1, s, s0=0: np.float32(formula(clipped(t, t0, t1), s, s0)),
        lambda t, t0, t1, s, s0=0: s0 if t < t0 else s if t > t1 else formula((t - t0) / (t1 - t0), s, s0),
        lambda t, t0, t1, s, s0=0: torch.tensor(formula(clipped(t, t0, t1), s, s0)),
    ],
    "soft_threshold": [
        checks.soft_threshold.own,
        lambda w, a: torch.nn.functional.softshrink(w, a),
        lambda w, a: torch.where(w > a, w - a, torch.where(w < -a, w + a, 0 * w)).double(),
    ],
}
MASKS = {
    "keeps all of the tied": lambda scores, n: scores >= lowest_kept(scores, n),
    "drops all of the tied": lambda scores, n: scores > lowest_kept(scores, n),
    "Those are the smallest": first_of(lambda flat: flat.argsort(stable=True)),
    "True means kept": first_of(lambda flat: flat.argsort(descending=True, stable=True), kept=False),
    "a reversed ascending order": first_of(lambda flat: flat.argsort(stable=True).flip(0)),
    "sort with stable=True": first_of(
        lambda flat: torch.from_numpy(np.lexsort((np.arange(len(flat)) * 7919 % len(flat), -flat.numpy())))
    ),
    "dtype=torch.bool": first_of(
        lambda flat: flat.argsort(descending=True, stable=True), dtype=torch.float32
    ),
}
SCHEDULES = {
    "limit the share to [0, 1]": lambda t, a, b, s, s0: formula((t - a) / (b - a), s, s0),
    "limit it from below": lambda t, a, b, s, s0: formula(min((t - a) / (b - a), 1), s, s0),
    "limit the share from above": lambda t, a, b, s, s0: formula(max((t - a) / (b - a), 0), s, s0),
    "a straight line": lambda t, a, b, s, s0: formula(clipped(t, a, b), s, s0, 1),
    "a square": lambda t, a, b, s, s0: formula(clipped(t, a, b), s, s0, 2),
    "1 minus the share": lambda t, a, b, s, s0: formula(1 - clipped(t, a, b), s, s0),
    "starts at `initial`": lambda t, a, b, s, s0: formula(clipped(t, a, b), s, 0),
    "measured from t0": lambda t, a, b, s, s0: formula(clipped(t, 0, b), s, s0),
    "t1 - t0 steps long": lambda t, a, b, s, s0: formula(min(max((t - a) / b, 0), 1), s, s0),
    "The sign": lambda t, a, b, s, s0: s + (s - s0) * (1 - clipped(t, a, b)) ** 3,
}
THRESHOLDS = {
    "stop at zero": lambda w, a: w - a * w.sign(),
    "hard thresholding": lambda w, a: w * (w.abs() > a),
    "The signs are lost": lambda w, a: (w.abs() - a).clamp(min=0),
    "that is up": lambda w, a: (w - a).clamp(min=0),
    "what L2 does": lambda w, a: w * (1 - a),
    "changes its argument": lambda w, a: w.copy_(checks.soft_threshold.own(w, a)),
}
MISTAKES = {"keep_largest": MASKS, "cubic": SCHEDULES, "soft_threshold": THRESHOLDS}
