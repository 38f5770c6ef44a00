"""Which rank each layer of a network takes: by the energy that is kept, or by a budget of parameters.

The energy of a weight matrix is the sum of its squared singular values, ‖W‖². Rank r keeps the first r of
them; a convolution has two such rows of singular values, one an unfolding (`low_rank.tucker2`).

>>> n_weights((300, 784), (10,)), n_weights((50, 20, 5, 5), (12, 8)), n_weights((50, 20, 5, 5), (50, 20))
(10840, 3160, 25000)
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from common.models import count_parameters, prunable_parameters

Ranks = dict[str, tuple[int, ...]]


def ranks_of(model: nn.Module) -> Ranks:
    """The full ranks of every layer, by weight name."""
    return {name: _full(weight.shape) for name, weight in prunable_parameters(model).items()}


def n_weights(shape: tuple[int, ...], ranks: tuple[int, ...]) -> int:
    """Weights of the thin layers that a layer of this shape becomes, or its own where its ranks are full."""
    if len(shape) == 2:
        return ranks[0] * sum(shape) if ranks[0] < min(shape) else math.prod(shape)
    (n_out, n_in, *taps), (p, q) = shape, ranks
    return p * q * math.prod(taps) + (n_out * p if p < n_out else 0) + (n_in * q if q < n_in else 0)


def ranks_by_energy(model: nn.Module, energy: float) -> Ranks:
    """The least ranks that keep a share of every layer's energy, ‖W'‖² ≥ energy · ‖W‖².

    A convolution may lose half of what is given up in each mode: HOSVD loses at most the sum of both. A layer
    that would have no fewer weights stays whole and is not named.

    Parameters
    ----------
    model : nn.Module
    energy : float in [0, 1]
    """
    if not 0 <= energy <= 1:
        raise ValueError(f"energy={energy}: expected a share in [0, 1]")
    ranks = {}
    for name, (shape, losses) in _spectra(model).items():
        most = (1.0 - energy) / len(losses)
        rank = tuple(int((lost > most + 1e-12).sum()) + 1 for lost in losses)
        if n_weights(shape, rank) < math.prod(shape):
            ranks[name] = rank
    return ranks


def ranks_by_budget(model: nn.Module, fraction: float) -> Ranks:
    """Ranks for a given number of parameters: the largest product of the shares of energy that layers keep.

    Layers act one after the other, so their shares multiply. Each layer takes the ranks with the least
    −Σ log(kept share) + price · weights, at the lowest common price at which the network is small enough: the
    next weight would then buy equally much in every layer.

    Parameters
    ----------
    model : nn.Module
    fraction : float in (0, 1]
        Of the network's parameters, biases and batch norms included.

    Raises
    ------
    ValueError
        Even ranks of 1 have more parameters.
    """
    layers, total = {}, count_parameters(model)
    for name, (shape, losses) in _spectra(model).items():
        logs = [-torch.log1p(-loss) for loss in losses]
        loss = logs[0] if len(logs) == 1 else logs[0][:, None] + logs[1]
        counts = [torch.arange(1, len(log) + 1, dtype=torch.float64) for log in logs]
        layers[name] = loss, _weights_of_all_ranks(shape, counts)
    others = total - sum(parameter.numel() for parameter in prunable_parameters(model).values())
    most = fraction * total - others

    def choose(price: float) -> Ranks:
        places = {name: int((loss + price * size).argmin()) for name, (loss, size) in layers.items()}
        return {
            name: tuple(int(i) + 1 for i in np.unravel_index(at, layers[name][0].shape))
            for name, at in places.items()
        }

    def size(ranks: Ranks) -> float:
        return sum(float(layers[name][1][tuple(r - 1 for r in rank)]) for name, rank in ranks.items())

    low, high = 1e-15, 1e3  # at a price of 1e3 no weight beyond ranks of 1 is worth it
    if size(choose(high)) > most:
        raise ValueError(f"fraction={fraction}: ranks of 1 keep {(others + size(choose(high))) / total:.4f}")
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if size(choose(middle)) <= most else (middle, high)
    full = ranks_of(model)
    shapes = {name: weight.shape for name, weight in prunable_parameters(model).items()}
    return {
        name: rank for name, rank in choose(high).items()
        if rank != full[name] and n_weights(shapes[name], rank) < math.prod(shapes[name])
    }  # fmt: skip


def _weights_of_all_ranks(shape: tuple[int, ...], counts: list[Tensor]) -> Tensor:
    """`n_weights` for a whole grid of ranks; never more than the layer has, since it may stay whole."""
    if len(shape) == 2:
        size = counts[0] * sum(shape)
        size[-1] = math.prod(shape)
    else:
        p, q = counts[0][:, None], counts[1]
        ends = shape[0] * p * (p < shape[0]) + shape[1] * q * (q < shape[1])
        size = p * q * math.prod(shape[2:]) + ends
    return size.clamp(max=math.prod(shape))


def _spectra(model: nn.Module) -> dict[str, tuple[tuple[int, ...], list[Tensor]]]:
    """Each layer's shape, and for each of its modes the share of energy that ranks 1, 2, ... lose."""
    spectra = {}
    for name, weight in prunable_parameters(model).items():
        taps = weight.detach().double()
        modes = [taps] if weight.ndim == 2 else [taps.flatten(1), taps.transpose(0, 1).flatten(1)]
        losses = []
        for mode in modes:
            small = mode @ mode.T if mode.shape[0] <= mode.shape[1] else mode.T @ mode
            squares = torch.linalg.eigvalsh(small).flip(0).clamp(min=0)
            lost = squares.flip(0).cumsum(0).flip(0)  # from each place on
            total = lost[0] if lost[0] > 0 else torch.ones_like(lost[0])
            losses.append(torch.cat([lost[1:], lost.new_zeros(1)]) / total)
        spectra[name] = (tuple(weight.shape), losses)
    return spectra


def _full(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (min(shape),) if len(shape) == 2 else tuple(shape[:2])
