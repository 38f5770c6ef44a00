"""The learning rate at every step of a training: one cycle, or several after one another."""

from __future__ import annotations

from typing import Protocol


class Schedule(Protocol):
    """The fields of `TrainConfig` that make its schedule."""

    epochs: int
    max_lr: float
    warmup: float
    restarts: tuple[int, ...]


def learning_rate(config: Schedule, step: int, *, steps_per_epoch: int) -> float:
    """Learning rate of a step (counted from 0), in [0, max_lr].

    The one-cycle triangle is drawn once over the whole run, or anew after each epoch count in `restarts`
    (warm restarts: Loshchilov & Hutter 2017). Restarts at or beyond the last epoch have no effect.
    """
    corners = [0, *(epoch for epoch in sorted(config.restarts) if 0 < epoch < config.epochs), config.epochs]
    corners = [epoch * steps_per_epoch for epoch in corners]
    first = max(corner for corner in corners[:-1] if corner <= step)
    last = min(corner for corner in corners if corner > first)
    return config.max_lr * one_cycle((step - first + 1) / (last - first + 1), warmup=config.warmup)


def one_cycle(progress_made: float, *, warmup: float) -> float:
    """Factor on the learning rate at a point in [0, 1] of the cycle: linear up, then linear down to zero.

    Smith & Topin 2018 (super-convergence), with the triangle's corner at `warmup`.
    """
    if progress_made < warmup:
        return progress_made / warmup
    return (1.0 - progress_made) / (1.0 - warmup)
