"""Week 6, lecture 5: right answers in several forms, and the usual mistakes with a word of their hint."""

import numpy as np
import torch
from scipy.special import softmax
from torch.nn import functional as F


def soft(z, t):
    return softmax(np.asarray(z, float) / t, axis=-1)


def kl(student, teacher, t):
    p, q = soft(teacher, t), soft(student, t)
    return (p * np.log(p / q)).sum(axis=1)


def library(student, teacher, t):
    log_q, p = F.log_softmax(torch.tensor(student) / t, 1), F.softmax(torch.tensor(teacher) / t, 1)
    return t * t * F.kl_div(log_q, p, reduction="batchmean")


def tried(logits, labels, digit, biases, *, choose=np.argmin, rows=None, sign=1):
    errors = []
    for bias in biases:
        moved = logits.copy()
        moved[:, digit] += sign * bias
        wrong = moved.argmax(axis=1) != labels
        errors.append(wrong[slice(None) if rows is None else rows].sum())
    return biases[choose(errors)], errors


def in_place(logits, labels, digit, biases):
    logits[:, digit] += biases[3]
    return biases[3]


RIGHT = {
    "soften": [
        soft,
        lambda z, t: np.float32(soft(z, t)),
        lambda z, t: torch.softmax(torch.tensor(z) / t, dim=-1),
    ],
    "soft_loss": [
        lambda s, v, t: t**2 * kl(s, v, t).mean(),
        library,
        lambda s, v, t: np.float32(t**2 * kl(s, v, t).mean()),
    ],
    "best_bias": [
        lambda z, labels, digit, biases: tried(z, labels, digit, biases)[0],
        lambda z, labels, digit, biases: tried(
            z, labels, digit, biases, choose=lambda e: len(e) - 1 - int(np.argmin(e[::-1]))
        )[0],
    ],
}
MISTAKES = {
    "soften": {
        "before the exponential": lambda z, t: soft(z, 1),
        "a high one softens": lambda z, t: soft(z, 1 / t),
        "One softmax per image": lambda z, t: softmax(z / t),
        "not the probabilities": lambda z, t: soft(z, 1) / t,
        "They must sum to 1": lambda z, t: np.exp(z / t),
        "exp(900) overflows": lambda z, t: np.exp(z / t) / np.exp(z / t).sum(axis=-1, keepdims=True),
        "logarithm of the softmax": lambda z, t: np.log(soft(z, t)),
    },
    "soft_loss": {
        "T² is missing": lambda s, v, t: kl(s, v, t).mean(),
        "T squared": lambda s, v, t: t * kl(s, v, t).mean(),
        "mean over the images": lambda s, v, t: t**2 * kl(s, v, t).sum(),
        "is the teacher's": lambda s, v, t: t**2 * kl(v, s, t).mean(),
        "own entropy is missing": lambda s, v, t: (
            -(t**2) * (soft(v, t) * np.log(soft(s, t))).sum(axis=1).mean()
        ),
        "The sign": lambda s, v, t: -(t**2) * kl(s, v, t).mean(),
        "softened by the same T": lambda s, v, t: t**2 * kl(s, v, 1).mean(),
    },
    "best_bias": {
        "That many errors": lambda z, labels, digit, biases: min(tried(z, labels, digit, biases)[1]),
        "That is the place": lambda z, labels, digit, biases: int(
            np.argmin(tried(z, labels, digit, biases)[1])
        ),
        "The most errors": lambda z, labels, digit, biases: tried(z, labels, digit, biases, choose=np.argmax)[
            0
        ],
        "errors on *all* images": lambda z, labels, digit, biases: tried(
            z, labels, digit, biases, rows=labels == digit
        )[0],
        "Those are the errors": lambda z, labels, digit, biases: tried(z, labels, digit, biases)[1],
        "It changes its argument": in_place,
    },
}
