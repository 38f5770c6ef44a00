"""Week 5, lecture 1: the mask of the largest scores, the cubic schedule, and soft thresholding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import call, expect, expect_dtype
from common.checks.grading import NotYet
from common.checks.lectures import fill_in


def _keep_largest(scores, n_keep):
    import torch

    order = scores.flatten().argsort(descending=True, stable=True)
    mask = torch.zeros(scores.numel(), dtype=torch.bool)
    mask[order[:n_keep]] = True
    return mask.view_as(scores)


@fill_in(own=_keep_largest)
def keep_largest(answer: Callable) -> str:
    """Exactly n_keep scores, the largest ones; of equal scores the earlier one."""
    import torch

    tied = np.random.default_rng(1).integers(0, 5, size=(40, 30)).astype(np.float32)
    cases = [
        (np.array([[3.0, 1, 3], [0.5, 3, 2]]), 2),
        (np.array([0.0, 0.25, 0, 0.5, 0]), 3),
        (tied, 500),
        (np.array([[1.0, 2], [2, 1]]), 0),
        (np.array([[1.0, 2], [2, 1]]), 4),
    ]
    for scores, n_keep in cases:
        told = f"{scores.size} scores of which {n_keep} are kept"
        got = call(answer, torch.from_numpy(scores), n_keep, told=told)
        if not isinstance(got, torch.Tensor):
            raise NotYet(f"The mask is of type {type(got).__name__}, expected a torch tensor.")
        expect_dtype(
            got, "bool", "A mask holds True and False: make it with dtype=torch.bool.", what="The mask"
        )
        flat = scores.ravel()
        stable = np.argsort(-flat, kind="stable")

        def first(order, n_keep=n_keep, scores=scores):
            mask = np.zeros(scores.size, dtype=bool)
            mask[order[:n_keep]] = True
            return mask.reshape(scores.shape)

        lowest = flat[stable[n_keep - 1]] if n_keep else np.inf
        suspects = [
            ("A threshold keeps all of the tied scores: count instead.", scores >= lowest),
            ("A threshold drops all of the tied scores: count instead.", scores > lowest),
            (
                "Those are the smallest scores: sort in descending order.",
                first(stable[::-1]),
                first(np.argsort(flat, kind="stable")),
            ),
            ("That mask is True where a score goes: True means kept.", ~first(stable)),
            (
                "Of equal scores keep the earlier one: a reversed ascending order has the later first.",
                first(np.argsort(flat, kind="stable")[::-1]),
            ),
        ]
        n_kept = int(got.sum())
        unknown = "Of equal scores the earlier one is kept: sort with stable=True."
        if n_kept != n_keep:
            unknown = f"{n_kept} are kept, and {n_keep} should be."
        expect(
            got, first(stable), suspects=suspects, what="The mask", shown={"scores": scores}, unknown=unknown
        )
    return "Exactly as many as asked, of equal scores the earlier ones."


def _cubic(t, t0, t1, final, initial=0.0):
    share = min(max((t - t0) / (t1 - t0), 0.0), 1.0)
    return final + (initial - final) * (1 - share) ** 3


@fill_in(own=_cubic)
def cubic(answer: Callable) -> str:
    """Zhu and Gupta's sparsity at a step, before, on and after the ramp."""
    steps = [0, 10, 15, 20, 30, 45]
    for t0, t1, final, initial in ((10, 30, 0.8, 0.0), (0, 40, 0.9, 0.3)):
        got = [
            call(answer, t, t0, t1, final, initial, told=f"step {t} of a ramp {t0} to {t1}") for t in steps
        ]
        share = np.clip((np.array(steps) - t0) / (t1 - t0), 0, 1)
        free = (np.array(steps) - t0) / (t1 - t0)

        def formula(share, power=3, final=final, initial=initial):
            return final + (initial - final) * (1 - share) ** power

        wanted = formula(share)
        suspects = [
            ("Before t0 and after t1 nothing changes: limit the share to [0, 1].", formula(free)),
            ("Before t0 nothing is pruned yet: limit it from below, too.", formula(np.minimum(free, 1))),
            ("After t1 the sparsity stays: limit the share from above, too.", formula(np.maximum(free, 0))),
            ("That is a straight line: the bracket is cubed.", formula(share, 1)),
            ("That is a square: the bracket is cubed.", formula(share, 2)),
            ("The bracket is 1 minus the share: fast first, slow at the end.", formula(1 - share)),
            ("It starts at `initial`, not at 0.", final - final * (1 - share) ** 3),
            ("The share is measured from t0.", formula(np.clip(np.array(steps) / t1, 0, 1))),
            ("The ramp is t1 - t0 steps long.", formula(np.clip((np.array(steps) - t0) / t1, 0, 1))),
            (
                "The sign is wrong: *add* (s0 - s) times the cube to s; it is negative.",
                final + (final - initial) * (1 - share) ** 3,
            ),
        ]
        expect(
            np.array([float(value) for value in got]),
            wanted,
            tolerance=1e-6,
            suspects=suspects,
            what="The sparsity",
            shown={"step": np.array(steps)},
        )
    return "Before, on and after two ramps."


def _soft_threshold(weight, amount):
    return weight.sign() * (weight.abs() - amount).clamp(min=0)


@fill_in(own=_soft_threshold)
def soft_threshold(answer: Callable) -> str:
    """Every weight moved towards zero by an amount, and stopped there."""
    import torch

    for values, amount in (([0.5, -2.0, 0.1, 0.0, -0.3], 0.25), ([[1.5, -0.75], [-4.0, 1.0]], 1.0)):
        weight = np.array(values, dtype=np.float32)
        got = call(answer, torch.from_numpy(weight), amount, told=f"amount {amount}")
        if not isinstance(got, torch.Tensor):
            raise NotYet(f"The weights are of type {type(got).__name__}, expected a torch tensor.")
        wanted = np.sign(weight) * np.maximum(np.abs(weight) - amount, 0)
        suspects = [
            (
                "Small weights have passed zero and come out on the other side: stop at zero.",
                weight - amount * np.sign(weight),
            ),
            (
                "That only cuts the small ones off (hard thresholding): the large ones move, too.",
                np.where(np.abs(weight) > amount, weight, 0),
            ),
            (
                "The signs are lost: negative weights move up towards zero, and stay negative.",
                np.maximum(np.abs(weight) - amount, 0),
            ),
            (
                "Negative weights move towards zero as well: that is up.",
                np.maximum(weight - amount, 0),
                weight - amount,
            ),
            (
                "That is what L2 does, the same factor for all: here the amount is the same for all.",
                weight * (1 - amount),
            ),
        ]
        expect(got, wanted, tolerance=1e-6, suspects=suspects, what="The weights", shown={"weights": weight})
    return "Positive, negative, small and zero weights."
