"""Capstone, "Build it": right answers in several forms, and the usual mistakes with a word of their hint."""

import itertools

import numpy as np

from common.checks.lectures import capstone_build as checks
from common.networks import prunable_parameters
from common.pruning import apply_masks_, global_masks, layerwise_masks, magnitude_scores
from common.sharing import share_weights

RIGHT = {
    "prune": [checks.prune.own, lambda model, sparsity: checks.prune.own(model, np.float32(sparsity).item())],
    "share": [checks.share.own],
    "lost_points": [
        checks.lost_points.own,
        lambda accuracies: np.float32(checks.lost_points.own(accuracies)),
        lambda accuracies: [100 * (a - b) for a, b in itertools.pairwise(accuracies)],
    ],
}


def prune(*, scores=magnitude_scores, choose=global_masks, apply=True, sparsity=lambda s: s, flip=False):
    def answer(model, s):
        masks = choose(scores(prunable_parameters(model)), sparsity(s))
        if flip:
            masks = {name: ~mask for name, mask in masks.items()}
        if apply:
            apply_masks_(model, masks)
        return masks

    return answer


def layerwise(scores, sparsity):
    return layerwise_masks(scores, dict.fromkeys(scores, sparsity))


PRUNES = {
    "apply_masks_(model, masks)": prune(apply=False),
    "the *sparsity*": prune(sparsity=lambda s: 0.9),
    "True where a weight is *kept*": lambda model, s: prune(
        scores=magnitude_scores, flip=True, sparsity=lambda _: s
    )(model, s),
    "the score is the magnitude": prune(scores=lambda weights: {n: w.detach() for n, w in weights.items()}),
    "That many of *each* layer": prune(choose=layerwise),
}


def share(*, mask=True, bits=False, dtype=np.float16):
    def answer(model, masks, values):
        return {
            name: share_weights(
                weight,
                masks[name] if mask else None,
                values if bits else None,
                n_clusters=None if bits else values,
                codebook_dtype=dtype,
            )
            for name, weight in prunable_parameters(model).items()
        }

    return answer


SHARES = {
    "zeros would take a cluster": share(mask=False),
    "a number of *bits*": share(bits=True),
    "saves two bytes per value": share(dtype=np.float32),
}
LOSSES = {
    "A list knows no arithmetic": lambda a: 100 * (a[:-1] - a[1:]),
    "The sign": lambda a: -checks.lost_points.own(a),
    "times 100": lambda a: checks.lost_points.own(a) / 100,
    "not from the first": lambda a: 100 * (a[0] - np.array(a[1:])),
    "not a share": lambda a: checks.lost_points.own(a) / np.array(a[:-1]),
}
MISTAKES = {"prune": PRUNES, "share": SHARES, "lost_points": LOSSES}
