"""Week 3, lecture 4: right answers in several forms, and the usual mistakes with a word of their hint."""

import numpy as np
import torch

from common.checks.lectures import week03_4 as checks


def rank(sigma, share, *, power=2, extra=1):
    parts = np.asarray(sigma) ** power
    return int(np.argmax(np.cumsum(parts) / parts.sum() >= share)) + extra


def costs(o, c, k, p, q, *, first=None, core=None, last=None):
    return {
        "1 × 1 in": c * q if first is None else first,
        "core": p * q * k * k if core is None else core,
        "1 × 1 out": o * p if last is None else last,
    }


RIGHT = {
    "rank_for_energy": [
        checks.rank_for_energy.own,
        lambda sigma, share: np.int64(rank(sigma.astype(np.float32), share)),
        lambda sigma, share: next(
            r for r in range(1, len(sigma) + 1) if sum(sigma[:r] ** 2) >= share * sum(sigma**2)
        ),
        lambda sigma, share: int((np.cumsum(sigma**2) / np.sum(sigma**2) < share).sum()) + 1,
    ],
    "three_costs": [checks.three_costs.own, costs],
    "best_rank": [
        checks.best_rank.own,
        lambda kept, weights, price: (
            1 + min(range(len(kept)), key=lambda i: -np.log(kept[i]) + price * weights[i])
        ),
        lambda kept, weights, price: (
            torch.argmin(-torch.log(torch.tensor(kept)) + price * torch.tensor(weights)) + 1
        ),
    ],
}
RANKS = {
    "An index counts from 0": lambda sigma, share: rank(sigma, share, extra=0),
    "One piece too many": lambda sigma, share: rank(sigma, share, extra=2),
    "the sum of *squares*": lambda sigma, share: rank(sigma, share, power=1),
    "the first in the list, not the last": lambda sigma, share: len(sigma),
}
COSTS = {
    "P belongs to the outputs": lambda o, c, k, p, q: costs(o, c, k, p, q, first=c * p, last=o * q),
    "The core has k × k weights": lambda o, c, k, p, q: costs(o, c, k, p, q, core=p * q),
    "in which a picture passes them": lambda o, c, k, p, q: costs(o, c, k, p, q, first=o * p, last=c * q),
    "The core connects the few": lambda o, c, k, p, q: costs(o, c, k, p, q, core=o * c * k * k),
    "a dictionary of three layers": lambda o, c, k, p, q: c * q + p * q * k * k + o * p,
}
DECISIONS = {
    "An index counts from 0": lambda kept, weights, price: int(np.argmin(-np.log(kept) + price * weights)),
    "np.argmin": lambda kept, weights, price: int(np.argmax(-np.log(kept) + price * weights)) + 1,
    "The sign": lambda kept, weights, price: int(np.argmin(np.log(kept) + price * weights)) + 1,
    "is *added*": lambda kept, weights, price: int(np.argmin(-np.log(kept) - price * weights)) + 1,
    "not what is lost": lambda kept, weights, price: int(np.argmin(1 - kept + price * weights)) + 1,
    "the cost itself": lambda kept, weights, price: float((-np.log(kept) + price * weights).min()),
}
MISTAKES = {"rank_for_energy": RANKS, "three_costs": COSTS, "best_rank": DECISIONS}
