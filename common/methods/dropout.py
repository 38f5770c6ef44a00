"""Dropout as large networks were first trained with it (Hinton et al. 2012, arXiv 1207.0580).

    with torch.random.fork_rng():
        train(mlp(1200, dropout=0.5), data, config, callbacks=[MaxNorm(3.9), DropoutSeed(0)])

Half of the hidden units are left out at random in each step. A bound on the length of every unit's incoming
weights keeps a high learning rate from making them ever longer (section 2 of the paper).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from common.models import prunable_parameters


class MaxNorm:
    """A callback for `training.train`: a unit whose weights have grown too long is shrunk onto the bound.

    Unlike weight decay it leaves short weights alone.

    Parameters
    ----------
    limit : float > 0
        Largest Euclidean length of the weights that enter one unit or channel; the bias does not count.

    Raises
    ------
    ValueError
        The limit is not positive and finite.
    """

    def __init__(self, limit: float) -> None:
        if not 0 < limit < math.inf:
            raise ValueError(f"limit={limit}: expected a positive, finite length")
        self._limit = limit

    @torch.no_grad()
    def after_step(self, model: nn.Module, step: int) -> None:
        """Shrink what has grown too long; all else stays bit for bit."""
        for weight in prunable_parameters(model).values():
            rows = weight.view(len(weight), -1)
            lengths = rows.norm(dim=1)
            too_long = lengths > self._limit
            if too_long.any():
                rows[too_long] *= (self._limit / lengths[too_long]).unsqueeze(1)


class DropoutSeed:
    """A callback for `training.train`: which units are left out becomes a function of (seed, step) alone.

    PyTorch's dropout draws from the global generator, which a resumed run finds in another state. This
    seeds it anew before every step, from the moment of its making: make it where training starts, inside
    `torch.random.fork_rng`, which puts the generator back afterwards.
    """

    def __init__(self, seed: int) -> None:
        self._seed, self._step = seed, 0
        self._reseed()

    def after_step(self, model: nn.Module, step: int) -> None:
        """Seed the next step's."""
        self._step = step + 1
        self._reseed()

    def state_dict(self) -> dict[str, int]:
        """What a resumed run must know."""
        return {"step": self._step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where another run was."""
        self._step = state["step"]
        self._reseed()

    def _reseed(self) -> None:
        key = np.random.SeedSequence((self._seed, self._step)).generate_state(1, np.uint64)
        torch.manual_seed(int(key[0] >> np.uint64(1)))
