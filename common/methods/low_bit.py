"""Few bits per weight: uniform grids with scale and zero-point.

A grid holds the numbers ``scale * (q - zero_point)`` for the integers ``q`` from ``q_min`` to ``q_max``. The
code of a value x is the ``q`` of the nearest of them:

    q = clamp(round(x / scale) + zero_point, q_min, q_max)        (Jacob et al. 2018, eq. 1, solved for q)

>>> grid = asymmetric_grid(-1.0, 2.0, n_bits=2)  # four levels: -1, 0, 1, 2
>>> quantize(torch.tensor([-1.3, 0.4, 1.6]), grid).tolist()
[0, 1, 3]
>>> fake_quantize(torch.tensor([-1.3, 0.4, 1.6]), grid).tolist()
[-1.0, 0.0, 2.0]

The derivative of rounding is 0 almost everywhere, so nothing could be learnt through it. `fake_quantize`
therefore uses the straight-through estimator: it passes the gradient on unchanged where nothing was clamped
(Bengio, Léonard, Courville 2013).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

# ----------------------------------------------------------------------------------------------------
# Weights of two or three values: a sign, perhaps a zero, times a scale.
#
# >>> codes, scale = binarize(torch.tensor([[3.0, -1.0, 2.0, -2.0]]))
# >>> (scale * codes).tolist()  # no scale is nearer to the weights than their mean absolute value
# [[2.0, -2.0, 2.0, -2.0]]
# >>> codes, scale = ternarize(torch.tensor([[3.0, -1.0, 2.0, -2.5]]))
# >>> (scale * codes).tolist()
# [[2.5, 0.0, 2.5, -2.5]]

TWN_THRESHOLD = 0.7  # times mean |w|: the optimum is 2/3 for uniform weights, 0.77 for Gaussian ones


def binarize(weight: Tensor, *, per_channel: bool = True) -> tuple[Tensor, Tensor]:
    """Signs and scales: of all such products, ``scale * signs`` is nearest to the weights in squared error.

    The signs are those of the weights, and the scale is their mean absolute value (Rastegari et al. 2016,
    XNOR-Net, section 3.1).

    Parameters
    ----------
    weight : Tensor of shape (n_channels, ...)
    per_channel : bool
        One scale per output channel, or one for the whole layer.

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

    The threshold is 0.7 mean |w|; the scale is the mean absolute value of the weights above it (Li and Liu
    2016, Ternary weight networks, section 2).

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
    count = is_kept.sum(dim=dims, keepdim=True).clamp(min=1)  # where all weights are 0: 0 / 1, not 0 / 0
    codes = (torch.sign(weight) * is_kept).to(torch.int8)
    return codes, (size * is_kept).sum(dim=dims, keepdim=True) / count


def _within(weight: Tensor, per_channel: bool) -> tuple[int, ...]:
    """The axes over which one scale is shared."""
    return tuple(range(1 if per_channel else 0, weight.ndim))


_CLIPS = 0.93 ** torch.arange(42)  # fractions of the largest |w| that `weight_grid` tries: 1 to 0.05


@dataclass(frozen=True, eq=False)
class Grid:
    """Evenly spaced numbers, zero among them.

    Parameters
    ----------
    scale : Tensor of shape () or (n_channels,)
        float32, > 0: the distance between neighbouring levels.
    zero_point : Tensor of the same shape
        int32: the code ``q`` that stands for 0.
    q_min, q_max : int
        Smallest and largest code, both included.
    axis : int, optional
        The tensor's axis along which the channels lie; None where all values share one scale.
    """

    scale: Tensor
    zero_point: Tensor
    q_min: int
    q_max: int
    axis: int | None = None

    def along(self, ndim: int) -> tuple[Tensor, Tensor]:
        """Scale and zero-point in a shape that broadcasts with a tensor of `ndim` axes."""
        if self.axis is None:
            return self.scale, self.zero_point
        shape = [-1 if axis == self.axis else 1 for axis in range(ndim)]
        return self.scale.view(shape), self.zero_point.view(shape)


def asymmetric_grid(
    low: Tensor | float, high: Tensor | float, n_bits: int, *, axis: int | None = None
) -> Grid:
    """The grid of 2**n_bits levels from `low` to `high`, moved so that 0 is a level.

    Parameters
    ----------
    low, high : float or Tensor of shape (n_channels,)
        Range of the values; widened to contain 0. Where both are 0 the scale is 1.
    n_bits : int in [1, 16]
    axis : int, optional
        As in `Grid`.

    Returns
    -------
    Grid
        With codes ``q`` in [0, 2**n_bits - 1].

    Raises
    ------
    ValueError
        A range that is not finite, `low` above `high`, or `n_bits` outside its range.
    """
    low, high = torch.as_tensor(low, dtype=torch.float32), torch.as_tensor(high, dtype=torch.float32)
    if not 1 <= n_bits <= 16:
        raise ValueError(f"n_bits={n_bits} should be in [1, 16]")
    if not (torch.isfinite(low) & torch.isfinite(high) & (low <= high)).all():
        raise ValueError(f"low={low}, high={high} should be finite, and low <= high")
    low, high = low.clamp(max=0), high.clamp(min=0)
    q_max = (1 << n_bits) - 1
    scale = _usable((high - low) / q_max)
    zero_point = torch.round(-low / scale).clamp(0, q_max).to(torch.int32)
    return Grid(scale, zero_point, 0, q_max, axis)


def symmetric_grid(largest: Tensor | float, n_bits: int, *, axis: int | None = None) -> Grid:
    """The grid of 2**n_bits - 1 levels from ``-largest`` to ``largest``: zero-point 0, one code unused.

    Parameters
    ----------
    largest : float >= 0 or Tensor of shape (n_channels,)
        Greatest absolute value; where it is 0 the scale is 1.
    n_bits : int in [2, 16]
        With one bit only the level 0 would be left: see `binarize`.
    axis : int, optional
        As in `Grid`.

    Returns
    -------
    Grid
        With codes ``q`` from -(2**(n_bits - 1) - 1) to 2**(n_bits - 1) - 1.

    Raises
    ------
    ValueError
        A `largest` that is negative or not finite, or `n_bits` outside its range.
    """
    largest = torch.as_tensor(largest, dtype=torch.float32)
    if not 2 <= n_bits <= 16:
        raise ValueError(f"n_bits={n_bits} should be in [2, 16]: for one bit, use binarize")
    if not (torch.isfinite(largest) & (largest >= 0)).all():
        raise ValueError(f"largest={largest} should be finite and >= 0")
    q_max = (1 << (n_bits - 1)) - 1
    scale = _usable(largest / q_max)
    return Grid(scale, torch.zeros_like(scale, dtype=torch.int32), -q_max, q_max, axis)


def weight_grid(weight: Tensor, n_bits: int, *, per_channel: bool = True, clip: str = "max") -> Grid:
    """A symmetric grid for the weights of a layer.

    Parameters
    ----------
    weight : Tensor of shape (n_channels, ...)
        Output channels first, as torch's layers have them.
    n_bits : int in [2, 16]
    per_channel : bool
        One scale per output channel, or one for the whole layer.
    clip : {"max", "mse"}
        Where the grid ends: at the largest absolute weight, or where the squared error is least. "mse" tries
        42 ends, from the largest weight down to a twentieth of it, each 7 % below the one before.

    Returns
    -------
    Grid
        Its ``axis`` is 0, or None without `per_channel`.

    Raises
    ------
    ValueError
        As in `symmetric_grid`, or an unknown `clip`.
    """
    if clip not in ("max", "mse"):
        raise ValueError(f"clip={clip!r} should be 'max' or 'mse'")
    rows = weight.detach().float().flatten(1) if per_channel else weight.detach().float().reshape(1, -1)
    largest = best = rows.abs().amax(dim=1)
    if clip == "mse":
        least = torch.full_like(largest, torch.inf)
        for fraction in _CLIPS.tolist():
            grid = symmetric_grid(fraction * largest, n_bits, axis=0)
            error = (dequantize(quantize(rows, grid), grid) - rows).square().sum(dim=1)
            best = torch.where(error < least, fraction * largest, best)
            least = torch.minimum(error, least)
    return symmetric_grid(best, n_bits, axis=0) if per_channel else symmetric_grid(best[0], n_bits)


def quantize(values: Tensor, grid: Grid) -> Tensor:
    """The code of the nearest level for each value, int32 of the same shape.

    Halves are rounded to the even code; values beyond the grid's ends get the code of the end.
    """
    scale, zero_point = grid.along(values.ndim)
    # Multiplied by the reciprocal, as torch's own kernels do: a division may differ in the last bit.
    return (torch.round(values * (1 / scale)) + zero_point).clamp(grid.q_min, grid.q_max).to(torch.int32)


def dequantize(codes: Tensor, grid: Grid) -> Tensor:
    """The numbers that the codes stand for, float32 of the same shape."""
    scale, zero_point = grid.along(codes.ndim)
    return (codes - zero_point) * scale


def fake_quantize(values: Tensor, grid: Grid) -> Tensor:
    """Each value rounded to its nearest level, as float.

    In the backward pass the gradient goes straight through; it is 0 where the value lies beyond the ends.
    """
    return _FakeQuantize.apply(values, grid)


class _FakeQuantize(torch.autograd.Function):
    """`fake_quantize`, and its gradient."""

    @staticmethod
    def forward(ctx, values: Tensor, grid: Grid) -> Tensor:
        scale, zero_point = grid.along(values.ndim)
        level = torch.round(values * (1 / scale)) + zero_point
        ctx.save_for_backward((level >= grid.q_min) & (level <= grid.q_max))
        return (level.clamp(grid.q_min, grid.q_max) - zero_point) * scale

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (is_inside,) = ctx.saved_tensors
        return gradient * is_inside, None


def _usable(scale: Tensor) -> Tensor:
    """1 in place of a scale of 0, by which nothing can be divided: such a range has only the level 0."""
    return torch.where(scale > 0, scale, torch.ones_like(scale))


# ----------------------------------------------------------------------------------------------------
# Quantization-aware training (QAT): the layers compute with rounded weights, the optimiser moves float ones.
#
#     quantization_aware_(model, lambda weight: GridQuantizer(weight_grid(weight, 3)))
#     train(model, data, config)         # the plain loop; gradients pass straight through the rounding
#     settle_(model)                     # the rounded weights become the network's own
#
# (Courbariaux, Bengio, David 2015, for binary weights; Jacob et al. 2018, section 3, for uniform grids.)


class GridQuantizer(nn.Module):
    """Rounds weights to a fixed grid, with the straight-through gradient of `fake_quantize`."""

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, weight: Tensor) -> Tensor:
        """The weights on the grid."""
        return fake_quantize(weight, self.grid)


class ScaledQuantizer(nn.Module):
    """Replaces weights by ``scale * codes``, found by a rule such as `binarize`.

    The rule is applied again in every forward pass; the gradient reaches the float weights unchanged.
    """

    def __init__(self, rule: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, weight: Tensor) -> Tensor:
        """The weights as ``scale * codes``."""
        codes, scale = self.rule(weight.detach())
        return _StraightThrough.apply(weight, scale * codes)


def quantization_aware_(model: nn.Module, quantizer_for: Callable[[Tensor], nn.Module]) -> nn.Module:
    """Let convolutions and linear layers compute with quantized weights, while the float ones are trained.

    Parameters
    ----------
    model : nn.Module
        Changed in place; its state dict then has ``parametrizations.weight.original`` for each ``weight``.
    quantizer_for : callable
        Takes a layer's weight, returns a module that quantizes it, such as `GridQuantizer`.

    Returns
    -------
    nn.Module
        The same model. `settle_` ends the quantization-aware training.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", quantizer_for(layer.weight.detach()))
    return model


def settle_(model: nn.Module) -> nn.Module:
    """After `quantization_aware_`: keep the quantized weights as the network's own, drop the float ones.

    The model is changed in place and returned.
    """
    for module in list(model.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    return model


class _StraightThrough(torch.autograd.Function):
    """Forward: `quantized`. Backward: the gradient goes to `weight`.

    The usual ``weight + (quantized - weight).detach()`` gives the same gradient, but its sum rounds.
    """

    @staticmethod
    def forward(ctx, weight: Tensor, quantized: Tensor) -> Tensor:
        return quantized

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None
