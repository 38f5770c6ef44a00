"""Week 3, lecture 3: right answers in several forms, and the usual mistakes with a word of their hint."""

import numpy as np
import torch
from torch import nn

from common.checks.lectures import week03_3 as checks


def svd(W, r, part):
    u, s, vt = np.linalg.svd(np.asarray(W), full_matrices=False)
    return part(u, s, vt, r)


RIGHT = {
    "shuffle": [
        checks.shuffle.own,
        lambda x, groups: nn.ChannelShuffle(groups)(x),
        lambda x, groups: x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2),
        lambda x, groups: x[:, np.arange(x.shape[1]).reshape(groups, -1).T.ravel()],
    ],
    "separable_weights": [
        checks.separable_weights.own,
        lambda c, o, k: float(c * (k**2 + o)),
        lambda c, o, k: torch.tensor(c * k * k + c * o),
    ],
    "thin_layers": [
        checks.thin_layers.own,
        lambda W, r: svd(W, r, lambda u, s, vt, r: (u[:, :r], s[:r, None] * vt[:r])),
        lambda W, r: svd(
            W.astype(np.float32),
            r,
            lambda u, s, vt, r: (u[:, :r] * s[:r] ** 0.5, s[:r, None] ** 0.5 * vt[:r]),
        ),
        lambda W, r: svd(
            W, r, lambda u, s, vt, r: [torch.tensor(u[:, :r] @ np.diag(s[:r])), torch.tensor(vt[:r])]
        ),
    ],
}
SHUFFLES = {
    "The channels stand as before": lambda x, groups: x.clone(),
    "each other's length": lambda x, groups: nn.ChannelShuffle(x.shape[1] // groups)(x),
    "Only channels change places": lambda x, groups: x.transpose(2, 3).reshape(x.shape),
    "it should begin with": lambda x, groups: x.flip(1),
}
WEIGHTS = {
    "That is an ordinary convolution": lambda c, o, k: c * o * k * k,
    "The depth-wise layer is missing": lambda c, o, k: c * o,
    "The 1 × 1 layer is missing": lambda c, o, k: c * k * k,
    "it has c kernels, not o": lambda c, o, k: o * k * k + c * o,
    "A kernel has k × k weights": lambda c, o, k: c * k + c * o,
    "for *every* channel": lambda c, o, k: k * k + c * o,
    "Biases are left out": lambda c, o, k: c * k * k + c * o + o,
    "added, not multiplied": lambda c, o, k: c * k * k * c * o,
}
LAYERS = {
    "The singular values are missing": lambda W, r: svd(W, r, lambda u, s, vt, r: (u[:, :r], vt[:r])),
    "came in twice": lambda W, r: svd(W, r, lambda u, s, vt, r: (u[:, :r] * s[:r], s[:r, None] * vt[:r])),
    "These are the *last* pieces": lambda W, r: svd(W, r, lambda u, s, vt, r: (u[:, -r:] * s[-r:], vt[-r:])),
    "A and B are exchanged": lambda W, r: svd(W, r, lambda u, s, vt, r: (vt[:r], u[:, :r] * s[:r])),
    "B is transposed": lambda W, r: svd(W, r, lambda u, s, vt, r: (u[:, :r] * s[:r], vt[:r].T)),
    "Take r of them": lambda W, r: svd(W, r, lambda u, s, vt, r: (u * s, vt)),
    "expected 2 results": lambda W, r: svd(W, r, lambda u, s, vt, r: (u[:, :r] * s[:r]) @ vt[:r]),
}
MISTAKES = {"shuffle": SHUFFLES, "separable_weights": WEIGHTS, "thin_layers": LAYERS}
