"""Few bits a weight: uniform grids with scale and zero-point.

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

from dataclasses import dataclass

import torch
from torch import Tensor

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
