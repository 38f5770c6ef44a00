"""Quantization-aware training: the layers compute with rounded weights, the optimiser moves float ones.

    quantization_aware_(model, lambda weight: GridQuantizer(weight_grid(weight, 3)))
    train(model, data, config)         # the plain loop; gradients pass straight through the rounding
    settle_(model)                     # the rounded weights become the network's own

(Courbariaux, Bengio, David 2015, for binary weights; Jacob et al. 2018, section 3, for uniform grids.)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from common.methods.low_bit import Grid, fake_quantize


class GridQuantizer(nn.Module):
    """Weights to a fixed grid, with the straight-through gradient of `fake_quantize`."""

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, weight: Tensor) -> Tensor:
        """The weights on the grid."""
        return fake_quantize(weight, self.grid)


class ScaledQuantizer(nn.Module):
    """Weights to ``scale * codes`` by a rule such as `binarize`, anew at every step; gradient as it is."""

    def __init__(self, rule: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, weight: Tensor) -> Tensor:
        """The weights with few values."""
        codes, scale = self.rule(weight.detach())
        return _StraightThrough.apply(weight, scale * codes)


def quantization_aware_(model: nn.Module, quantizer_for: Callable[[Tensor], nn.Module]) -> nn.Module:
    """Let every convolution and linear layer compute with quantized weights, and train the float ones behind.

    Parameters
    ----------
    model : nn.Module
        Changed in place; its state then has ``parametrizations.weight.original`` for each ``weight``.
    quantizer_for : callable
        From a layer's weight to a module that quantizes it, such as `GridQuantizer`.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", quantizer_for(layer.weight.detach()))
    return model


def settle_(model: nn.Module) -> nn.Module:
    """After `quantization_aware_`: the quantized weights become the network's own, the float ones go."""
    for module in list(model.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    return model


class _StraightThrough(torch.autograd.Function):
    """The second tensor in place of the first, which gets the gradient: ``a + (b - a)`` would round."""

    @staticmethod
    def forward(ctx, weight: Tensor, quantized: Tensor) -> Tensor:
        return quantized

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None
