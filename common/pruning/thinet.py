"""ThiNet: removes the channels that change the *next* layer's output least, and corrects it by least squares.

Luo, Wu and Lin 2017, "ThiNet: a filter level pruning method for deep neural network compression", arXiv
1707.06342. One number y of the next layer's output (before its bias) is a sum over its input channels c,
y = Σ_c x_c. From many such samples, channels are removed one at a time, always the one that keeps the
square of the removed sum smallest (eq. 6). Then one factor w_c per kept channel is fitted so that
Σ_kept w_c x_c is as near to y as possible (eq. 7), and multiplied into the next layer's weights.
"""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.data.image_set import ImageSet
from common.pruning.channel_criteria import first_batch
from common.pruning.channels import slim


def greedy_removal(contributions: np.ndarray, n_keep: int) -> np.ndarray:
    """Return the channels that are kept when the others are removed one at a time.

    Each removal is the one after which the sum of what was removed, squared and added over the samples, is
    smallest.

    Parameters
    ----------
    contributions : float ndarray of shape (n_samples, n_channels)
        What each channel adds to each sampled output.
    n_keep : int
        In [1, n_channels].

    Returns
    -------
    int64 ndarray of shape (n_keep,)
        Kept channels, ascending.

    Raises
    ------
    ValueError
        When `n_keep` is out of its range.
    """
    n_channels = contributions.shape[1]
    if not 1 <= n_keep <= n_channels:
        raise ValueError(f"n_keep={n_keep}: expected 1 to {n_channels}, the number of channels")
    x = np.asarray(contributions, dtype=np.float64)
    products = x.T @ x
    # |removed + x_c|² = |removed|² + 2 removed·x_c + |x_c|²: the first term is the same for every candidate.
    cost = products.diagonal().copy()
    for _ in range(n_channels - n_keep):
        worst = int(cost.argmin())
        cost += 2 * products[worst]
        cost[worst] = np.inf
    return np.flatnonzero(np.isfinite(cost))


def repair_factors(contributions: np.ndarray, target: np.ndarray, *, ridge: float = 1e-3) -> np.ndarray:
    """Return factors w, one per column, that bring ``contributions @ w`` nearest to the target.

    Parameters
    ----------
    contributions : float ndarray of shape (n_samples, n_kept)
        What each kept channel adds to each sampled output.
    target : float ndarray of shape (n_samples,)
        The outputs of the whole layer.
    ridge : float
        Ridge regression: pulls the factors towards 1, in units of the mean square of a column. Without it,
        columns that are alike could get huge factors of opposite signs.

    Returns
    -------
    float64 ndarray of shape (n_kept,)
    """
    x = np.asarray(contributions, dtype=np.float64)
    products = x.T @ x
    pull = ridge * max(products.diagonal().mean(), np.finfo(np.float64).tiny)
    missing = x.T @ (target - x.sum(axis=1))  # the factors are 1 + what is solved for here
    return 1 + np.linalg.solve(products + pull * np.eye(x.shape[1]), missing)


@torch.no_grad()
def thinet(
    model: nn.Module,
    data: ImageSet,
    *,
    fraction: float,
    n_images: int = 200,
    n_samples: int = 2000,
    seed: int = 0,
    repair: bool = True,
) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return a `vgg` with fewer channels, chosen by ThiNet layer after layer, from the input on.

    Parameters
    ----------
    model : nn.Module
        A `vgg` with batch norm; stays as it is.
    data : ImageSet
        Training images.
    fraction : float in (0, 1]
        Fraction of each layer's channels that is kept, rounded, at least one.
    n_images : int
        The first images of `data`, of which outputs are sampled.
    n_samples : int
        Numbers that are sampled from the next layer's output.
    seed : int
        Of the sampling.
    repair : bool
        Whether the kept channels get the factors of the least-squares fit.

    Returns
    -------
    model : nn.Module
        The slim copy.
    kept : dict of weight name to int64 tensor
        Its channels, as `channels.slim` takes them.

    Raises
    ------
    ValueError
        When a convolution has a stride or groups.
    """
    thin = copy.deepcopy(model).eval()
    images, rng = first_batch(model, data, n_images), np.random.default_rng(seed)
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    norms = [module for module in thin.modules() if isinstance(module, nn.BatchNorm2d)]
    was_training = model.training
    model.eval()
    kept = {}
    for (name, reader), norm in zip(pairwise(names), norms, strict=False):
        layer = thin.get_submodule(reader)
        sampler = _Sampler(layer, len(images), n_samples, rng)
        x = sampler(_input_of(thin, reader, images))
        target = sampler(_input_of(model, reader, images), model.get_submodule(reader).weight).sum(axis=1)
        channels = greedy_removal(x, max(1, round(fraction * x.shape[1])))
        removed = torch.from_numpy(np.setdiff1d(np.arange(x.shape[1]), channels))
        norm.weight[removed] = norm.bias[removed] = 0.0
        kept[f"{name}.weight"] = torch.from_numpy(channels)
        if repair:
            factors = torch.from_numpy(repair_factors(x[:, channels], target)).to(layer.weight)
            shape = (1, -1) + (1,) * (layer.weight.ndim - 2)
            layer.weight[:, kept[f"{name}.weight"]] *= factors.view(shape)
    model.train(was_training)
    return slim(thin, kept).train(was_training), kept


class _Sampler:
    """The contributions of each input channel to randomly chosen numbers of a layer's output."""

    def __init__(self, layer: nn.Module, n_images: int, n_samples: int, rng: np.random.Generator) -> None:
        self.layer, self.n = layer, n_samples
        self.image = torch.from_numpy(rng.integers(n_images, size=n_samples))
        self.output = torch.from_numpy(rng.integers(layer.weight.shape[0], size=n_samples))
        self.place = rng.random((2, n_samples))

    def __call__(self, inputs: Tensor, weight: Tensor | None = None) -> np.ndarray:
        """Return float64 of shape (n_samples, in_channels), from the layer's inputs and its own weights.

        Other weights of the same shape may be given in their place.
        """
        weight = (self.layer.weight if weight is None else weight)[self.output]
        if isinstance(self.layer, nn.Linear):
            return (inputs[self.image] * weight).double().cpu().numpy()
        if self.layer.stride != (1, 1) or self.layer.groups != 1:
            raise ValueError("thinet expects convolutions of stride 1, ungrouped")
        k, edge = self.layer.kernel_size[0], self.layer.padding[0]
        padded = F.pad(inputs, (edge,) * 4)
        sides = np.array(padded.shape[2:])[:, None] - k + 1
        rows, columns = torch.from_numpy((self.place * sides).astype(np.int64))
        offsets = torch.arange(k)
        windows = padded[
            self.image[:, None, None],
            :,
            (rows[:, None] + offsets)[:, :, None],
            (columns[:, None] + offsets)[:, None, :],
        ]
        return torch.einsum("sijc,scij->sc", windows, weight).double().cpu().numpy()


def _input_of(model: nn.Module, name: str, images: Tensor) -> Tensor:
    found = []
    hook = model.get_submodule(name).register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    try:
        model(images)
    finally:
        hook.remove()
    return found[0]
