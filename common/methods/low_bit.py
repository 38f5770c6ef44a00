"""Few bits per weight: uniform grids with scale and zero-point.

A grid holds the numbers ``scale * (q - zero_point)`` for whole ``q`` from ``q_min`` to ``q_max``:

    q = clamp(round(x / scale) + zero_point, q_min, q_max)        (Jacob et al. 2018, eq. 1, solved for q)

>>> grid = asymmetric_grid(-1.0, 2.0, n_bits=2)  # four levels: -1, 0, 1, 2
>>> quantize(torch.tensor([-1.3, 0.4, 1.6]), grid).tolist()
[0, 1, 3]
>>> fake_quantize(torch.tensor([-1.3, 0.4, 1.6]), grid).tolist()
[-1.0, 0.0, 2.0]

Rounding has no useful derivative: `fake_quantize` passes the gradient straight through where nothing was
clamped (Bengio, Léonard, Courville 2013).
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


_CLIPS = 0.93 ** torch.arange(42)  # fractions of the largest |w| that `weight_grid` tries: 1 to 0.05


@dataclass(frozen=True, eq=False)
class Grid:
    """Evenly spaced numbers, zero among them.

    Parameters
    ----------
    scale : Tensor of shape () or (n_channels,)
        float32, > 0: the distance between neighbours.
    zero_point : Tensor of the same shape
        int32: the ``q`` that stands for 0.
    q_min, q_max : int
        Ends, both included.
    axis : int, optional
        Which axis of a tensor the channels are; None for one scale for all.
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
        Range of the values; widened to hold 0. Where it is empty the scale is 1.
    n_bits : int in [1, 16]
    axis : int, optional
        As in `Grid`.

    Returns
    -------
    Grid
        Unsigned: ``q`` in [0, 2**n_bits - 1].

    Raises
    ------
    ValueError
        A range that is not finite or upside down, or n_bits outside its range.
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
    axis : int, optional
        As in `Grid`.

    Raises
    ------
    ValueError
        A largest value that is negative or not finite, or n_bits outside its range.
    """
    largest = torch.as_tensor(largest, dtype=torch.float32)
    if not 2 <= n_bits <= 16:
        raise ValueError(f"n_bits={n_bits} should be in [2, 16]: with one bit, `binarize`")
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
        One scale for each output channel, or one for all.
    clip : {"max", "mse"}
        Where the grid ends: at the largest absolute weight, or where the squared error is least (of 42 ends
        from there to a twentieth of it, each 7 % below the one before).

    Raises
    ------
    ValueError
        As `symmetric_grid`, and an unknown clip.
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
    """The code of the nearest level for each value (halves to the even code), int32."""
    scale, zero_point = grid.along(values.ndim)
    # Times the reciprocal, not divided: what torch's kernels do, and the last bit would show.
    return (torch.round(values * (1 / scale)) + zero_point).clamp(grid.q_min, grid.q_max).to(torch.int32)


def dequantize(codes: Tensor, grid: Grid) -> Tensor:
    """The numbers that codes stand for, float32."""
    scale, zero_point = grid.along(codes.ndim)
    return (codes - zero_point) * scale


def fake_quantize(values: Tensor, grid: Grid) -> Tensor:
    """Each value's nearest level, as float; the gradient goes straight through, and is 0 beyond the ends."""
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
    """No division by 0: a range without extent has the one level 0, whatever the scale."""
    return torch.where(scale > 0, scale, torch.ones_like(scale))


# ----------------------------------------------------------------------------------------------------
# Quantization-aware training: the layers compute with rounded weights, the optimiser moves float ones.
#
#     quantization_aware_(model, lambda weight: GridQuantizer(weight_grid(weight, 3)))
#     train(model, data, config)         # the plain loop; gradients pass straight through the rounding
#     settle_(model)                     # the rounded weights become the network's own
#
# (Courbariaux, Bengio, David 2015, for binary weights; Jacob et al. 2018, section 3, for uniform grids.)


class GridQuantizer(nn.Module):
    """Weights to a fixed grid, with the straight-through gradient of `fake_quantize`."""

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, weight: Tensor) -> Tensor:
        """The weights on the grid."""
        return fake_quantize(weight, self.grid)


class ScaledQuantizer(nn.Module):
    """Weights to ``scale * codes`` by a rule such as `binarize`, again at every step; gradient as it is."""

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
