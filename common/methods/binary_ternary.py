"""Weights of two or three values: a sign, perhaps a zero, times a scale.

>>> codes, scale = binarize(torch.tensor([[3.0, -1.0, 2.0, -2.0]]))
>>> (scale * codes).tolist()  # no scale is nearer to the weights than their mean absolute value
[[2.0, -2.0, 2.0, -2.0]]
>>> codes, scale = ternarize(torch.tensor([[3.0, -1.0, 2.0, -2.5]]))
>>> (scale * codes).tolist()
[[2.5, 0.0, 2.5, -2.5]]
"""

from __future__ import annotations

import torch
from torch import Tensor

TWN_THRESHOLD = 0.7  # times mean |w|: the optimum is 2/3 for uniform weights, 0.77 for Gaussian ones


def binarize(weight: Tensor, *, per_channel: bool = True) -> tuple[Tensor, Tensor]:
    """Signs and scales: ``scale * signs`` is the nearest to the weights in squared error.

    The signs are those of the weights, and the scale is their mean absolute value (Rastegari et al. 2016,
    XNOR-Net, section 3.1).

    Parameters
    ----------
    weight : Tensor of shape (n_channels, ...)
    per_channel : bool
        One scale for each output channel, or one for all.

    Returns
    -------
    signs : Tensor of the weight's shape
        int8, 1 or -1; 1 for a weight of 0.
    scale : Tensor of shape (n_channels, 1, ...)
        float32; of shape (1, 1, ...) without `per_channel`.
    """
    signs = torch.where(weight >= 0, 1, -1).to(torch.int8)
    return signs, weight.detach().float().abs().mean(dim=_within(weight, per_channel), keepdim=True)


def ternarize(weight: Tensor, *, per_channel: bool = True) -> tuple[Tensor, Tensor]:
    """Codes -1, 0, 1 and scales: weights below a threshold become 0, the others their sign times the scale.

    Threshold 0.7 mean |w|; the scale is the mean absolute value of the weights above it (Li and Liu 2016,
    Ternary weight networks, section 2).

    Parameters
    ----------
    weight, per_channel
        As in `binarize`.

    Returns
    -------
    codes : Tensor of the weight's shape
        int8.
    scale : Tensor
        As in `binarize`; 0 where all weights are 0.
    """
    size, dims = weight.detach().float().abs(), _within(weight, per_channel)
    is_kept = size > TWN_THRESHOLD * size.mean(dim=dims, keepdim=True)
    count = is_kept.sum(dim=dims, keepdim=True).clamp(min=1)
    codes = (torch.sign(weight) * is_kept).to(torch.int8)
    return codes, (size * is_kept).sum(dim=dims, keepdim=True) / count


def _within(weight: Tensor, per_channel: bool) -> tuple[int, ...]:
    """The axes that share a scale."""
    return tuple(range(1 if per_channel else 0, weight.ndim))
