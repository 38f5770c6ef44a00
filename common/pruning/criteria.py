"""Criteria for single weights, interchangeable: each is a function ``(model, data) -> scores``.

Scores are as in `masks`: one tensor per weight tensor, higher = keep, for `masks.global_masks`.

==============  =========================================================================================
``magnitude``   absolute value (Han et al. 2015, arXiv 1506.02626)
``normalized``  absolute value over the layer's root mean square
``lamp``        w² over the sum of the squares that are not smaller (Lee et al. 2021, arXiv 2010.07611)
``gradient``    squared gradient of the loss: how steep it is, whatever the weight's size
``taylor``      (w ∂L/∂w)²: what its removal costs, to first order (Molchanov et al. 2019, arXiv 1906.10771)
``relevance``   how much of the true classes' scores flows through it (`relevance`; Yeom et al. 2021)
``random``      drawn uniformly: the control that any criterion must beat
==============  =========================================================================================

``gradient`` and ``taylor`` sum squares over batches, since a trained network's gradients average out to
nearly zero while their squares do not. ``taylor`` is w² times the empirical Fisher information, which
approximates the second derivative of Optimal Brain Damage (LeCun et al. 1990).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.data.batches import BatchSource
from common.data.image_set import ImageSet
from common.networks.models import prunable_parameters
from common.pruning.masks import lamp_scores, magnitude_scores, normalized_scores

Scores = dict[str, Tensor]


def magnitude(model: nn.Module, data: ImageSet | None = None, *, seed: int = 0) -> Scores:
    """Return absolute values; neither the data nor the seed is used."""
    return magnitude_scores(prunable_parameters(model))


def normalized(model: nn.Module, data: ImageSet | None = None, *, seed: int = 0) -> Scores:
    """Return absolute values over the layer's root mean square; neither the data nor the seed is used."""
    return normalized_scores(prunable_parameters(model))


def lamp(model: nn.Module, data: ImageSet | None = None, *, seed: int = 0) -> Scores:
    """Return layer-adaptive magnitudes (`lamp_scores`); neither the data nor the seed is used."""
    return lamp_scores(prunable_parameters(model))


def random(model: nn.Module, data: ImageSet | None = None, *, seed: int = 0) -> Scores:
    """Return uniform random scores in [0, 1), the same on every device; only the seed is used."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(weight.shape, generator=generator).to(weight.device)
        for name, weight in prunable_parameters(model).items()
    }


def gradient(
    model: nn.Module, data: ImageSet, *, seed: int = 0, n_batches: int = 40, batch_size: int = 50
) -> Scores:
    """Return the squared gradients of the cross-entropy, summed over batches.

    Parameters
    ----------
    model : nn.Module
        Evaluated in eval mode; its weights, statistics, mode and gradients stay as they are.
    data : ImageSet
        Training images.
    seed, n_batches, batch_size : int
        The first batches of an epoch that is shuffled by the seed. With fewer than `batch_size` images, all
        of them make one batch.

    Returns
    -------
    dict of weight name to float32 tensor of the weight's shape, >= 0
    """
    weights = prunable_parameters(model)
    device = next(iter(weights.values())).device
    source = BatchSource.of(data, device=device)
    scores = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    was_training = model.training
    model.eval()
    batches = source.epoch_batches(min(batch_size, len(source)), seed=seed, epoch=0)
    for _, (images, labels) in zip(range(n_batches), batches, strict=False):
        loss = F.cross_entropy(model(images), labels)
        for name, slope in zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True):
            scores[name] += slope.square()
    model.train(was_training)
    return scores


def taylor(
    model: nn.Module, data: ImageSet, *, seed: int = 0, n_batches: int = 40, batch_size: int = 50
) -> Scores:
    """Return (weight times gradient)², summed over batches; parameters and result as in `gradient`."""
    slopes = gradient(model, data, seed=seed, n_batches=n_batches, batch_size=batch_size)
    return {
        name: weight.detach().square() * slopes[name] for name, weight in prunable_parameters(model).items()
    }


def relevance(
    model: nn.Module, data: ImageSet, *, seed: int = 0, n_batches: int = 40, batch_size: int = 50
) -> Scores:
    """Return the relevance of single weights; parameters and result as in `gradient`."""
    from common.pruning.relevance import weight_relevance  # imported here: zennit is loaded only when needed

    return weight_relevance(model, data, seed=seed, n_batches=n_batches, batch_size=batch_size)


CRITERIA: dict[str, Callable[..., Scores]] = {
    "magnitude": magnitude,
    "normalized": normalized,
    "lamp": lamp,
    "gradient": gradient,
    "taylor": taylor,
    "relevance": relevance,
    "random": random,
}
