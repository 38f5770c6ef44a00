"""Week 5, lecture 4: right answers in several forms, and the usual mistakes with a word of their hint."""

import math

import numpy as np
import torch

from common.checks.lectures import week05_4 as checks


def by_lists(weight, mask, rate):
    kept = [i for i in range(mask.numel()) if mask.flatten()[i]]
    left = torch.zeros(mask.numel(), dtype=torch.bool)
    n_left = len(kept) - round(rate * len(kept))
    for i in sorted(kept, key=lambda i: -abs(weight.flatten()[i].item()))[:n_left]:
        left[i] = True
    return left.reshape(mask.shape)


def pruned(size_of, n_left=lambda mask, rate: int(mask.sum()) - round(rate * int(mask.sum()))):
    def answer(weight, mask, rate):
        left = torch.zeros_like(mask)
        left.view(-1)[
            size_of(weight, mask).flatten().argsort(descending=True, stable=True)[: n_left(mask, rate)]
        ] = True
        return left

    return answer


def size(weight, mask):
    return torch.where(mask, weight.abs(), -1.0)


def unstable(weight, mask, rate):
    n_left = int(mask.sum()) - round(rate * int(mask.sum()))
    left = torch.zeros_like(mask)
    left.view(-1)[size(weight, mask).flatten().argsort(stable=True).flip(0)[:n_left]] = True
    return left


def by_counting(rate, target):
    n, left = 0, 1.0
    while left > target:
        n, left = n + 1, left * (1 - rate)
    return n


def differing(a, b):
    return sum(int((a[name] ^ b[name]).sum()) for name in a)


def places(a):
    return sum(mask.numel() for mask in a.values())


def flat(masks):
    return torch.cat([mask.flatten() for mask in masks.values()])


RIGHT = {
    "prune_smallest": [by_lists, pruned(lambda w, m: (w.abs() + 1) * m - (~m).double())],
    "n_rounds": [
        by_counting,
        lambda rate, target: np.ceil(np.log(target) / np.log(1 - rate)),
        lambda rate, target: -int(math.log(target) // math.log(1 / (1 - rate))),
    ],
    "mask_distance": [
        lambda a, b: (flat(a) != flat(b)).float().mean(),
        lambda a, b: np.float32(differing(a, b) / places(a)),
    ],
}
MASKS = {
    "*still kept*": pruned(size, lambda mask, rate: max(int(mask.sum()) - round(rate * mask.numel()), 0)),
    "come back": pruned(lambda w, m: w.abs()),
    "take abs() first": pruned(lambda w, m: torch.where(m, w, -torch.inf)),
    "Those are the smallest": pruned(lambda w, m: torch.where(m, -w.abs(), -torch.inf)),
    "kept minus pruned": pruned(size, lambda mask, rate: round(rate * int(mask.sum()))),
    "True means kept": lambda w, m, rate: m & ~checks.prune_smallest.own(w, m, rate),
    "stable=True": unstable,
    "torch.zeros_like": lambda w, m, rate: checks.prune_smallest.own(w, m, rate).float(),
}
ROUNDS = {
    "round up": lambda rate, target: math.log(target) / math.log(1 - rate),
    "what is *left*: 1 - rate": lambda rate, target: math.ceil((1 - target) / rate),
    "rate to the power n is not": lambda rate, target: math.ceil(math.log(target) / math.log(rate)),
    "mind the sign": lambda rate, target: -math.ceil(math.log(target) / math.log(1 - rate)),
    "Divide the logarithm of the target": lambda rate, target: math.ceil(
        math.log(1 - rate) / math.log(target)
    ),
    "one round more": lambda rate, target: by_counting(rate, target) + 1,
}
DISTANCES = {
    "That is a count": differing,
    "*equal* places": lambda a, b: 1 - differing(a, b) / places(a),
    "All layers together": lambda a, b: float(np.mean([(a[name] != b[name]).float().mean() for name in a])),
    "not by the kept ones": lambda a, b: differing(a, b) / sum(int(mask.sum()) for mask in a.values()),
    "Both kinds count": lambda a, b: sum(int((a[name] & ~b[name]).sum()) for name in a) / places(a),
}
MISTAKES = {"prune_smallest": MASKS, "n_rounds": ROUNDS, "mask_distance": DISTANCES}
