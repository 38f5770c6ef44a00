"""Criteria for whole channels of a `vgg` with batch norm, interchangeable: ``(model, data) -> importance``.

Importance is as in `channels`: one value per output channel of each convolution, higher = keep.

============  ======================================================================================
``l1``        sum of the filter's absolute weights (Li et al. 2017, arXiv 1608.08710)
``l2``        root of the sum of their squares
``bn_scale``  absolute scale of the batch norm behind it (Liu et al. 2017, arXiv 1708.06519)
``apoz``      share of its outputs that are not zero behind the ReLU (Hu et al. 2016, arXiv 1607.03250)
``taylor``    (γ ∂L/∂γ + β ∂L/∂β)², see `channels.channel_importance`
``random``    drawn uniformly: the control
============  ======================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from common.data.batches import BatchSource
from common.data.image_set import ImageSet, first_images
from common.pruning.channels import channel_importance

Importance = dict[str, Tensor]


def l1(model: nn.Module, data: ImageSet | None = None, *, seed: int = 0) -> Importance:
    """Return the L1 norm of each filter; neither the data nor the seed is used."""
    return {name: conv.weight.detach().abs().flatten(1).sum(1) for name, conv in _convolutions(model).items()}


def l2(model: nn.Module, data: ImageSet | None = None, *, seed: int = 0) -> Importance:
    """Return the L2 norm of each filter; neither the data nor the seed is used."""
    return {name: conv.weight.detach().flatten(1).norm(dim=1) for name, conv in _convolutions(model).items()}


def bn_scale(model: nn.Module, data: ImageSet | None = None, *, seed: int = 0) -> Importance:
    """Return the scale |γ| of each channel's batch norm; neither the data nor the seed is used."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    convs = _convolutions(model)
    return {name: norm.weight.detach().abs() for name, norm in zip(convs, norms, strict=True)}


def random(model: nn.Module, data: ImageSet | None = None, *, seed: int = 0) -> Importance:
    """Return uniform random values in [0, 1); only the seed is used."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(conv.out_channels, generator=generator)
        for name, conv in _convolutions(model).items()
    }


@torch.no_grad()
def apoz(model: nn.Module, data: ImageSet, *, seed: int = 0, n_images: int = 500) -> Importance:
    """Return the share of positive outputs behind the ReLU: one minus the average percentage of zeros (APoZ).

    Parameters
    ----------
    model : nn.Module
        A `vgg`; evaluated in eval mode.
    data : ImageSet
        The first `n_images` are used.
    seed : int
        Not used.
    n_images : int
        Number of images.

    Returns
    -------
    dict of weight name to float32 tensor of shape (out_channels,), in [0, 1]
    """
    names = iter(_convolutions(model))
    shares: Importance = {}

    def note(layer: nn.Module, inputs: tuple, output: Tensor) -> None:
        shares[next(names)] = (output > 0).float().mean(dim=(0, 2, 3)).cpu()

    relus = [module for module in model.features if isinstance(module, nn.ReLU)]
    hooks = [relu.register_forward_hook(note) for relu in relus]
    was_training = model.training
    model.eval()
    try:
        model(first_batch(model, data, n_images))
    finally:
        for hook in hooks:
            hook.remove()
        model.train(was_training)
    return shares


def taylor(model: nn.Module, data: ImageSet, *, seed: int = 0) -> Importance:
    """Return a first-order estimate of the change of the loss without each channel; the seed draws images."""
    return channel_importance(model, data, seed=seed, device=str(next(model.parameters()).device))


def first_batch(model: nn.Module, data: ImageSet, n_images: int) -> Tensor:
    """Return the first images of a set, normalised: float32 of shape (n, channels, height, width)."""
    source = BatchSource.of(first_images(data, n_images), device=next(model.parameters()).device)
    return torch.cat([images for images, _ in source.plain_batches(n_images)])


def best_channels(importance: Mapping[str, Tensor], fraction: float) -> dict[str, Tensor]:
    """Return the most important channels of each layer, the same fraction of each: for `channels.slim`.

    Parameters
    ----------
    importance : mapping of weight name to tensor of shape (out_channels,)
        Higher = keep.
    fraction : float in (0, 1]
        ``max(1, round(fraction * out_channels))`` are kept; of equal ones the earlier.

    Returns
    -------
    dict of weight name to int64 tensor
        Kept output channels, ascending.

    Raises
    ------
    ValueError
        When fraction is out of its range.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction={fraction}: expected the kept fraction of the channels, in (0, 1]")
    return {
        name: score.argsort(descending=True, stable=True)[: max(1, round(fraction * len(score)))]
        .sort()
        .values
        for name, score in importance.items()
    }


def _convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    return {
        f"{name}.weight": module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)
    }


CHANNEL_CRITERIA: dict[str, Callable[..., Importance]] = {
    "l1": l1,
    "l2": l2,
    "bn_scale": bn_scale,
    "apoz": apoz,
    "taylor": taylor,
    "random": random,
}
