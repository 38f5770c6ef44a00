"""The learning rate at every step of a training: one cycle, or lines between given points."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Schedule(Protocol):
    """The fields of `TrainConfig` that make its schedule."""

    epochs: int
    max_lr: float
    warmup: float
    rates: tuple[tuple[float, float], ...]


def learning_rate(config: Schedule, step: int, *, steps_per_epoch: int) -> float:
    """Learning rate of a step (counted from 0), in [0, max_lr].

    One cycle over the whole run, or, where the configuration gives `rates`, straight lines between them,
    taken at the middle of the step: several cycles (warm restarts: Loshchilov & Hutter 2017), a longer tail.
    """
    if config.rates:
        epochs, fractions = zip(*config.rates, strict=True)
        return config.max_lr * float(np.interp((step + 0.5) / steps_per_epoch, epochs, fractions))
    total = config.epochs * steps_per_epoch
    return config.max_lr * one_cycle((step + 1) / (total + 1), warmup=config.warmup)


def one_cycle(progress_made: float, *, warmup: float) -> float:
    """Factor on the learning rate at a point in [0, 1] of the run: linear up, then linear down to zero.

    Smith & Topin 2018 (super-convergence), with the triangle's corner at `warmup`.
    """
    if progress_made < warmup:
        return progress_made / warmup
    return (1.0 - progress_made) / (1.0 - warmup)
