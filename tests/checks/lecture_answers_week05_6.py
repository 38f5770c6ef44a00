"""Week 5, lecture 6: right answers in several forms, and the usual mistakes with a word of their hint."""

import numpy as np
import torch

from common.checks.lectures import week05_6 as checks


def signed(z, eps):
    return z + eps * np.where(z < 0, -1, 1)


def epsilon(part, r, eps):
    return part / signed(part.sum(1, keepdims=True), eps) * r[:, None]


def plus(part, r, eps):
    part = np.maximum(part, 0)
    return part / (part.sum(1, keepdims=True) + eps) * r[:, None]


def epsilon_by_loops(a, w, r, eps):
    rows = []
    for j in range(len(w)):
        z = sum(a[i] * w[j][i] for i in range(len(a)))
        rows.append([a[i] * w[j][i] / (z + (eps if z >= 0 else -eps)) * r[j] for i in range(len(a))])
    return rows


def plus_by_torch(a, w, r, eps):
    part = torch.from_numpy(w * a).clamp(min=0)
    return part * (torch.from_numpy(r) / (part.sum(1) + eps))[:, None]


RIGHT = {
    "epsilon_messages": [
        epsilon_by_loops,
        lambda a, w, r, eps: w * a * (r / signed(w @ a, eps))[:, None],
        lambda a, w, r, eps: torch.from_numpy(epsilon(w * a, r, eps)),
    ],
    "plus_messages": [plus_by_torch, lambda a, w, r, eps: plus(a[None, :] * w, r, eps).tolist()],
    "filter_scores": [
        lambda relevance, start: torch.einsum("nchw,n->c", relevance, 1 / start),
        lambda relevance, start: (relevance.flatten(2).sum(2) / start[:, None]).sum(0).float().numpy(),
    ],
}
EPSILON = {
    "one row per output": lambda a, w, r, eps: epsilon(w * a, r, eps).sum(0),
    "the transpose": lambda a, w, r, eps: epsilon(w * a, r, eps).T,
    "Shares are not messages": lambda a, w, r, eps: epsilon(w * a, np.ones(len(r)), eps),
    "eps has the sign": lambda a, w, r, eps: w * a / ((w @ a)[:, None] + eps) * r[:, None],
    "eps is missing": lambda a, w, r, eps: w * a / (w @ a)[:, None] * r[:, None],
    "The inputs are missing": lambda a, w, r, eps: epsilon(w, r, eps),
    "z⁺ rule": lambda a, w, r, eps: plus(w * a, r, eps),
    "one number per row": lambda a, w, r, eps: w * a / signed((w * a).sum(0), eps) * r[:, None],
    "Divide each contribution": lambda a, w, r, eps: w * a * r[:, None],
    "not by its magnitude": lambda a, w, r, eps: w * a / (abs(w @ a)[:, None] + eps) * r[:, None],
}
PLUS = {
    "one row per output": lambda a, w, r, eps: plus(w * a, r, eps).sum(0),
    "Shares are not messages": lambda a, w, r, eps: plus(w * a, np.ones(len(r)), eps),
    "the epsilon rule": lambda a, w, r, eps: epsilon(w * a, r, eps),
    "The denominator": lambda a, w, r, eps: np.maximum(w * a, 0) / ((w @ a)[:, None] + eps) * r[:, None],
    "in the numerator": lambda a, w, r, eps: (
        w * a / (np.maximum(w * a, 0).sum(1) + eps)[:, None] * r[:, None]
    ),
    "You take the magnitude": lambda a, w, r, eps: plus(abs(w * a), r, eps),
    "eps is missing": lambda a, w, r, eps: plus(w * a, r, 0),
    "Divide each contribution": lambda a, w, r, eps: np.maximum(w * a, 0) * r[:, None],
    "may be negative": lambda a, w, r, eps: np.maximum(plus(w * a, r, eps), 0),
    "the transpose": lambda a, w, r, eps: plus(w * a, r, eps).T,
    "The inputs are missing": lambda a, w, r, eps: plus(w, r, eps),
}
SCORES = {
    "have not been divided": lambda relevance, start: relevance.sum((0, 2, 3)),
    "its *own* start": lambda relevance, start: relevance.sum((0, 2, 3)) / start.sum(),
    "a score per image": lambda relevance, start: relevance.sum((1, 2, 3)) / start,
    "Sum over the images": lambda relevance, start: relevance.sum((2, 3)) / start[:, None],
    "Sum over the places": lambda relevance, start: (relevance / start[:, None, None, None]).sum(0),
    "not a mean": lambda relevance, start: (relevance / start[:, None, None, None]).mean((0, 2, 3)),
    "Keep the signs": lambda relevance, start: checks.filter_scores.own(relevance.abs(), start),
    "do not multiply": lambda relevance, start: checks.filter_scores.own(relevance, 1 / start),
}
MISTAKES = {"epsilon_messages": EPSILON, "plus_messages": PLUS, "filter_scores": SCORES}
