"""Week 6, lecture 1: a codebook that autograd can train, SQNR in decibels, the cheapest cluster."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import call, expect, expect_integers, expect_tensor
from common.checks.grading import NotYet
from common.checks.lectures import fill_in


def _decoded(codebook, indices):
    return codebook[indices]


@fill_in(own=_decoded)
def decoded(answer: Callable) -> str:
    """Weights from codebook and indices, as torch tensors, with a gradient that reaches the codebook."""
    import torch

    for values, rows in (
        ([-1.5, 0.25, 2.0], [[0, 2, 1, 1], [2, 2, 0, 1]]),
        ([0.5, -0.75], [[1], [0], [1], [1], [1]]),
    ):
        codebook = torch.tensor(values, requires_grad=True)
        indices = torch.tensor(rows)
        told = f"{len(values)} centroids and {indices.numel()} indices"
        got = call(lambda book=codebook, index=indices: answer(book, index), told=told)
        expect_tensor(got, "What comes back")
        wanted = codebook.detach().numpy()[indices.numpy()]
        suspects = [
            ("It has the shape of the indices: a row stays a row.", wanted.ravel()),
            ("Those are the indices: the weight is the centroid of that number.", indices.numpy()),
            ("That is the codebook: one value per weight is asked for.", codebook.detach().numpy()),
        ]
        shown = {"codebook": codebook.detach().numpy(), "indices": indices.numpy()}
        expect(got, wanted, tolerance=1e-6, suspects=suspects, what="The layer", shown=shown)
        if not got.requires_grad:
            raise NotYet(
                "The weights are right, but no gradient reaches the codebook.",
                hint="Stay in torch: no .detach(), .data or .numpy(), and no torch.tensor(...).",
            )
        pull = torch.linspace(-1, 2, indices.numel()).view(indices.shape)
        got.backward(pull)
        summed = np.bincount(indices.numpy().ravel(), weights=pull.numpy().ravel(), minlength=len(values))
        if codebook.grad is None:
            raise NotYet(
                "No gradient reaches the codebook.", hint="Index the codebook itself, not a copy of it."
            )
        expect(codebook.grad, summed, tolerance=1e-5, what="The gradient by the codebook")
    return "The values, and the gradient that reaches the codebook."


def _sqnr(weight, decoded):
    return float(10 * np.log10(np.square(weight).sum() / np.square(weight - decoded).sum()))


@fill_in(own=_sqnr)
def sqnr(answer: Callable) -> str:
    """Signal-to-noise ratio of decoded weights, in decibels."""
    for weight, decoded in (
        (np.array([[0.9, -1.1], [2.2, -0.3]]), np.array([[1.0, -1.0], [2.0, -0.1]])),
        (np.array([0.31, -0.12, 0.07, 0.55, -0.4]), np.array([0.4, -0.1, 0.0, 0.4, -0.4])),
    ):
        error = weight - decoded
        signal, noise = np.square(weight).sum(), np.square(error).sum()
        wanted = 10 * np.log10(signal / noise)
        got = call(answer, weight, decoded, told=f"{weight.size} weights")
        suspects = [
            ("Upside down: signal over noise, so that less noise is more decibels.", -wanted),
            ("20 is for ratios of amplitudes: squares are energies, and take 10.", 2 * wanted),
            ("Decibels are ten times the logarithm.", wanted / 10),
            (
                "The logarithm of decibels has base 10.",
                10 * np.log(signal / noise),
                10 * np.log2(signal / noise),
            ),
            ("That is the ratio itself: decibels are 10 times its logarithm.", signal / noise),
            (
                "Squares, not absolute values: of the weights and of the errors.",
                10 * np.log10(np.abs(weight).sum() / np.abs(error).sum()),
            ),
            (
                "The noise is the difference between weights and decoded weights.",
                10 * np.log10(signal / np.square(decoded).sum()),
            ),
            ("Sum first, then divide: a sum of ratios is something else.", _mean_of_ratios(weight, error)),
        ]
        shown = {"weight": weight, "decoded": decoded}
        expect(got, wanted, tolerance=1e-5, suspects=suspects, what="The SQNR", shown=shown)
    return "Ten times the logarithm of energy over squared error."


def _mean_of_ratios(weight: np.ndarray, error: np.ndarray) -> float:
    safe = np.where(error == 0, 1, error)
    return float(10 * np.log10(np.mean(np.square(weight / safe))))


def _costs(weights, codebook, shares, price, *, sign=-1.0, log=np.log2):
    distance = np.square(np.asarray(weights)[..., None] - np.asarray(codebook))
    return distance + sign * price * log(shares)


def _cheapest(weights, codebook, shares, price):
    return _costs(weights, codebook, shares, price).argmin(axis=-1)


@fill_in(own=_cheapest)
def cheapest(answer: Callable) -> str:
    """The index of the cluster with the least squared error plus price of its bits, of each weight."""
    grid = np.linspace(-2, 2, 81)
    for codebook, shares, price in (
        (np.array([-1.0, 0.0, 1.5]), np.array([0.2, 0.7, 0.1]), 0.21),
        (np.array([-1.2, -0.4, 0.4, 1.2]), np.array([0.05, 0.5, 0.3, 0.15]), 0.11),
    ):
        told = f"{grid.size} weights, {codebook.size} clusters, price {price}"
        got = call(answer, grid, codebook, shares, price, told=told)
        wanted = _cheapest(grid, codebook, shares, price)
        square = np.square(grid[:, None] - codebook)
        absolute = np.abs(grid[:, None] - codebook)
        suspects = [
            ("That is the nearest cluster: the bits cost nothing here.", square.argmin(axis=1)),
            (
                "The sign is wrong: a rare cluster is expensive. Bits are -log2 of the share.",
                _costs(grid, codebook, shares, price, sign=1.0).argmin(axis=1),
            ),
            ("Bits have base 2: np.log2.", _costs(grid, codebook, shares, price, log=np.log).argmin(axis=1)),
            (
                "The price is that of a bit, not of a share: a cluster costs -log2 of its share in bits.",
                (square + price * shares).argmin(axis=1),
                (square - price * shares).argmin(axis=1),
            ),
            (
                "The error counts squared, not as an absolute value.",
                (absolute - price * np.log2(shares)).argmin(axis=1),
            ),
            ("The price is missing.", _costs(grid, codebook, shares, 1.0).argmin(axis=1)),
            (
                "That is the most expensive cluster: use argmin.",
                _costs(grid, codebook, shares, price).argmax(axis=1),
            ),
            (
                "Those are the costs: the index of the least is asked for.",
                _costs(grid, codebook, shares, price),
            ),
            ("Those are the values: the index is asked for.", codebook[wanted]),
        ]
        expect(
            got,
            wanted,
            tolerance=0,
            suspects=suspects,
            what="The array of indices",
            unknown="The least of (weight − centroid)² − price · log2(share), over the clusters.",
        )
        expect_integers(got, "The array of indices")
    return "Weights between the clusters go to the frequent ones, as far as the price allows."
