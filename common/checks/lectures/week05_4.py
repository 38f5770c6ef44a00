"""Week 5, lecture 4: one round of pruning, the number of rounds, and the mask distance."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from common.checks.comparing import call, expect, expect_dtype
from common.checks.grading import NotYet
from common.checks.lectures import fill_in


def _prune_smallest(weight, mask, rate):
    import torch

    n_left = int(mask.sum()) - round(rate * int(mask.sum()))
    size = torch.where(mask, weight.abs(), -1.0)
    left = torch.zeros_like(mask)
    left.view(-1)[size.flatten().argsort(descending=True, stable=True)[:n_left]] = True
    return left


@fill_in(own=_prune_smallest)
def prune_smallest(answer: Callable) -> str:
    """The mask without the smallest of the weights that it keeps; of equal sizes the first stays."""
    import torch

    rng = np.random.default_rng(8)
    cases = [
        (np.array([[0.5, -3.0, 0.25], [2.0, -1.0, 4.0]]), np.ones((2, 3), dtype=bool), 0.35),
        (np.array([[9.0, -3.0, 0.25], [2.0, -1.0, 8.0]]), np.array([[0, 1, 1], [1, 1, 0]], dtype=bool), 0.25),
        (rng.integers(-4, 5, (30, 40)).astype(float), rng.random((30, 40)) < 0.5, 0.2),  # ties, kept zeros
    ]
    for weight, mask, rate in cases:
        n_kept = int(mask.sum())
        told = f"a layer that keeps {n_kept} of {mask.size}, rate {rate}"
        got = call(answer, torch.from_numpy(weight), torch.from_numpy(mask), rate, told=told)
        if not isinstance(got, torch.Tensor):
            raise NotYet(f"The mask is of type {type(got).__name__}, expected a torch tensor.")
        expect_dtype(got, "bool", "A mask holds True and False: torch.zeros_like(mask).", what="The mask")
        n_gone = round(rate * n_kept)
        size = np.where(mask, np.abs(weight), -1).ravel()

        def first(order, n=n_kept - n_gone, shape=mask.shape):
            chosen = np.zeros(int(np.prod(shape)), dtype=bool)
            chosen[order[:n]] = True
            return chosen.reshape(shape)

        stable = np.argsort(-size, kind="stable")
        free = np.argsort(-np.abs(weight).ravel(), kind="stable")
        signed = np.argsort(-np.where(mask, weight, -np.inf).ravel(), kind="stable")
        smallest = np.argsort(np.where(mask, np.abs(weight), np.inf).ravel(), kind="stable")
        of_all = max(n_kept - round(rate * mask.size), 0)
        suspects = [
            (
                "The rate is of the weights that are *still kept*, not of all.",
                first(stable, of_all),
                first(stable, mask.size - round(rate * mask.size)),
            ),
            ("A pruned weight has come back: give what is gone a size below 0.", first(free)),
            ("The size is the magnitude: take abs() first.", first(signed)),
            ("Those are the smallest: sort in descending order.", first(smallest)),
            ("That many are *left*, and they should go: kept minus pruned.", first(stable, n_gone)),
            ("That is True where a weight goes: True means kept.", mask & ~first(stable)),
            (
                "Of equal sizes the first stays: sort with stable=True.",
                first(np.argsort(size, kind="stable")[::-1]),
            ),
        ]
        n_left = int(got.sum())
        unknown = f"{n_left} are left, and {n_kept - n_gone} should be."
        if n_left == n_kept - n_gone:
            unknown = "Of equal sizes the first stays: sort with stable=True."
        shown = {"weights": weight, "mask": mask} if weight.size <= 6 else None
        expect(got, first(stable), suspects=suspects, what="The mask", shown=shown, unknown=unknown)
    return "A whole layer, one pruned before, and one with ties."


def _n_rounds(rate, target):
    return math.ceil(math.log(target) / math.log(1 - rate))


@fill_in(own=_n_rounds)
def n_rounds(answer: Callable) -> str:
    """The least number of rounds until at most a share is left."""
    for rate, target in ((0.25, 0.2), (0.5, 0.01), (0.2, 0.01), (0.8, 0.9)):
        exact = math.log(target) / math.log(1 - rate)
        got = call(answer, rate, target, told=f"{rate:.0%} per round, target {target}")
        wanted = math.ceil(exact)
        suspects = [
            ("A round cannot be done in part: round up.", exact, math.floor(exact), round(exact)),
            (
                "A round removes a share of what is *left*: 1 - rate is multiplied, round after round.",
                math.ceil((1 - target) / rate),
                (1 - target) / rate,
            ),
            (
                "(1 - rate) to the power n is what is *left*, and rate to the power n is not.",
                math.ceil(math.log(target) / math.log(rate)),
            ),
            ("Logarithms of numbers below 1 are negative, their quotient is not: mind the sign.", -wanted),
            ("Divide the logarithm of the target by that of 1 - rate.", math.ceil(1 / exact)),
            ("That is one round more than needed.", wanted + 1),
        ]
        expect(got, wanted, tolerance=0, suspects=suspects, what="The number of rounds")
    return "Four pairs of rate and target, one of them reached by the first round."


def _mask_distance(a, b):
    return sum(int((a[name] != b[name]).sum()) for name in a) / sum(mask.numel() for mask in a.values())


@fill_in(own=_mask_distance)
def mask_distance(answer: Callable) -> str:
    """The share of places where two lists of masks differ."""
    import torch

    rng = np.random.default_rng(9)
    for shapes in (((2, 3), (4,)), ((10, 20), (20, 3), (3,))):
        a = {f"layer{k}": rng.random(shape) < 0.3 for k, shape in enumerate(shapes)}
        b = {name: mask ^ (rng.random(mask.shape) < 0.4) for name, mask in a.items()}
        b["layer0"].flat[0] = ~a["layer0"].flat[0]  # at least one place differs
        got = call(
            answer,
            *({name: torch.from_numpy(mask) for name, mask in masks.items()} for masks in (a, b)),
            told=f"masks of shapes {[mask.shape for mask in a.values()]}",
        )
        differ = {name: int((a[name] != b[name]).sum()) for name in a}
        n_places = sum(mask.size for mask in a.values())
        n_kept = sum(int(mask.sum()) for mask in a.values())
        total = sum(differ.values())
        suspects = [
            ("That is a count: divide by the number of places.", total),
            ("That is the share of *equal* places.", 1 - total / n_places),
            (
                "All layers together: sum over the layers first, then divide. A mean of the layers' "
                "shares differs.",
                np.mean([differ[name] / a[name].size for name in a]),
                sum(differ[name] / a[name].size for name in a),
            ),
            ("Divide by all places, not by the kept ones.", total / n_kept),
            (
                "Both kinds count: kept in the first only, and kept in the second only.",
                sum(int((a[name] & ~b[name]).sum()) for name in a) / n_places,
                sum(int((b[name] & ~a[name]).sum()) for name in a) / n_places,
            ),
        ]
        expect(got, total / n_places, tolerance=1e-6, suspects=suspects, what="The mask distance")
    return "Two networks with layers of unequal size."
