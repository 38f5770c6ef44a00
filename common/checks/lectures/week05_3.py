"""Week 5, lecture 3: growing connections, shares of kernels, and the Taylor criterion."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import call, expect, expect_dtype
from common.checks.grading import NotYet
from common.checks.lectures import fill_in


def _grow(mask, n, scores):
    import torch

    candidates = torch.where(mask, -torch.inf, scores)
    grown = mask.clone()
    grown.view(-1)[candidates.flatten().argsort(descending=True, stable=True)[:n]] = True
    return grown


def _first(order: np.ndarray, n: int, shape: tuple) -> np.ndarray:
    """A mask of that shape with the first n places of an order."""
    chosen = np.zeros(int(np.prod(shape)), dtype=bool)
    chosen[order[:n]] = True
    return chosen.reshape(shape)


@fill_in(own=_grow)
def grow(answer: Callable) -> str:
    """n more places, those of the highest scores among the absent; of equal scores the earlier."""
    import torch

    rng = np.random.default_rng(2)
    cases = [
        (np.array([[1, 0, 0], [0, 1, 0]]), np.array([[0.9, 0.2, 0.5], [0.4, 0.25, 0.3]]), 2),
        (rng.random((4, 6)) < 0.4, -rng.random((4, 6)), 5),  # all scores below zero
        (rng.random((30, 40)) < 0.2, rng.integers(0, 4, (30, 40)).astype(float), 300),  # many ties
        (np.array([[1, 0], [0, 1]]), np.array([[0.5, 0.1], [0.7, 0.2]]), 0),
    ]
    for mask, scores, n in cases:
        mask = mask.astype(bool)
        told = f"a mask of {mask.size} places, {n} to grow"
        got = call(answer, torch.from_numpy(mask), n, torch.from_numpy(scores), told=told)
        if not isinstance(got, torch.Tensor):
            raise NotYet(f"The mask is of type {type(got).__name__}, expected a torch tensor.")
        expect_dtype(got, "bool", "A mask holds True and False: copy the old one.", what="The mask")
        shape, flat = mask.shape, np.where(mask, -np.inf, scores).ravel()
        wanted = mask | _first(np.argsort(-flat, kind="stable"), n, shape)
        absent = np.where(mask, np.inf, scores).ravel()
        zeroed = np.where(mask, 0, scores).ravel()
        suspects = [
            (
                "Nothing has grown: give kept places a score of -inf, sort in descending order, and set the "
                "first n places True in a copy.",
                mask,
            ),
            ("Those are the new places alone: the kept ones stay.", wanted & ~mask),
            (
                "Kept places must not take part in the contest: give them a score of -inf.",
                mask | _first(np.argsort(-scores.ravel(), kind="stable"), n, shape),
                mask | _first(np.argsort(-zeroed, kind="stable"), n, shape),
            ),
            (
                "Those are the lowest scores: sort in descending order.",
                mask | _first(np.argsort(absent, kind="stable"), n, shape),
            ),
            (
                "Of equal scores the earlier one comes first: sort with stable=True.",
                mask | _first(np.argsort(flat, kind="stable")[::-1], n, shape),
            ),
        ]
        n_new = int(got.sum()) - int(mask.sum())
        unknown = f"{n_new} more than before, and {n} should be: count instead of using a threshold."
        if n_new == n:
            unknown = "Of equal scores the earlier one comes first: sort with stable=True."
        shown = {"mask": mask, "scores": scores} if scores.size <= 6 else None
        expect(got, wanted, suspects=suspects, what="The mask", shown=shown, unknown=unknown)
    return "Exactly n more, the highest of the absent, with many ties and with negative scores."


def _kernel_shares(masks):
    import torch

    return torch.bincount(masks.flatten(1).sum(1), minlength=10) / len(masks)


@fill_in(own=_kernel_shares)
def kernel_shares(answer: Callable) -> str:
    """Shares of 3 × 3 kernels that keep 0 to 9 weights."""
    import torch

    rng = np.random.default_rng(4)
    for n, density in ((8, 0.2), (20, 0.5), (5, 1.0)):
        masks = rng.random((n, 3, 3)) < density
        got = call(answer, torch.from_numpy(masks), told=f"{n} kernels")
        sums = masks.reshape(n, 9).sum(axis=1)
        counts = np.bincount(sums, minlength=10)
        gone = np.bincount(9 - sums, minlength=10)
        short, rows = np.bincount(sums), np.bincount(masks.sum(axis=2).ravel(), minlength=10)
        suspects = [
            ("Those are counts: divide by the number of kernels.", counts, short),
            ("Divide by the number of kernels, not of weights.", counts / masks.size),
            (
                "Up to 9 weights are kept, so there are ten shares: bincount has the option minlength.",
                short / n,
            ),
            ("That counts the weights that are gone: True means kept.", gone / n),
            (
                "That counts rows: sum over all nine weights of a kernel.",
                rows / n,
                rows / rows.sum(),
                np.bincount(masks.sum(axis=1).ravel(), minlength=10) / (3 * n),
            ),
        ]
        expect(got, counts / n, tolerance=1e-6, suspects=suspects, what="The list of shares")
    return "Few kernels, many, and only full ones."


def _taylor(gamma, beta, gamma_gradient, beta_gradient):
    return (gamma * gamma_gradient + beta * beta_gradient) ** 2


@fill_in(own=_taylor)
def taylor(answer: Callable) -> str:
    """The squared first-order change of the loss when a channel's scale and shift go to zero."""
    import torch

    rng = np.random.default_rng(6)
    for n in (4, 7):
        gamma, beta, by_gamma, by_beta = rng.normal(size=(4, n))
        arrays = [torch.from_numpy(each) for each in (gamma, beta, by_gamma, by_beta)]
        got = call(answer, *arrays, told=f"{n} channels")
        change = gamma * by_gamma + beta * by_beta
        suspects = [
            (
                "First the sum, then the square: the two terms may cancel.",
                (gamma * by_gamma) ** 2 + (beta * by_beta) ** 2,
            ),
            (
                "Square the sum, so that a falling and a rising loss count alike.",
                change,
                -change,
                np.abs(change),
            ),
            ("Multiply each number by its *own* gradient.", (gamma * by_beta + beta * by_gamma) ** 2),
            ("beta goes to zero as well: its term is missing.", (gamma * by_gamma) ** 2),
            ("gamma goes to zero as well: its term is missing.", (beta * by_beta) ** 2),
            (
                "A gradient alone does not say how far the number is from zero: multiply it by the number.",
                (by_gamma + by_beta) ** 2,
                by_gamma**2 + by_beta**2,
            ),
            (
                "The gradients are missing: a large number may matter little to the loss.",
                gamma**2,
                gamma**2 + beta**2,
                (gamma + beta) ** 2,
            ),
            (
                "One importance per channel: do not sum over the channels.",
                (change**2).sum(),
                change.sum() ** 2,
            ),
        ]
        expect(got, change**2, tolerance=1e-6, suspects=suspects, what="The importance")
    return "Two sets of channels, with terms that cancel."
