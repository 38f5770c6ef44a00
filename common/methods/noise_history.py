"""A callback that writes down how noisy a variational network's weights are while it learns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from common.methods.variational_dropout import variational_layers

EDGES = tuple(float(edge) for edge in range(-12, 17))  # of log α; what is beyond counts in the last bin


class NoiseHistory:
    """Records of a variational network.

    Parameters
    ----------
    every : int
        Steps of the optimiser between two records.
    model : nn.Module, optional
        From `methods.variational_dropout.to_variational`; recorded at once, as step 0.

    Attributes
    ----------
    records : list of dict
        ``step``: steps made; ``kept``: kept weights, by layer; ``histogram``: weights of all layers in each
        bin of log α between `EDGES`.
    """

    def __init__(self, every: int, model: nn.Module | None = None) -> None:
        if every < 1:
            raise ValueError(f"every={every}: expected at least 1")
        self._every = every
        self.records: list[dict] = [] if model is None else [noise_record(model, 0)]

    def after_step(self, model: nn.Module, step: int) -> None:
        """Training hook."""
        if (step + 1) % self._every == 0:
            self.records.append(noise_record(model, step + 1))

    def state_dict(self) -> dict[str, list[dict]]:
        """All records, for a checkpoint."""
        return {"records": list(self.records)}

    def load_state_dict(self, state: Mapping[str, list[dict]]) -> None:
        """Take the records of a checkpoint."""
        self.records = list(state["records"])


@torch.no_grad()
def noise_record(model: nn.Module, step: int) -> dict:
    """One record, as `NoiseHistory` describes it."""
    kept, counts = {}, np.zeros(len(EDGES) - 1, dtype=np.int64)
    for name, layer in variational_layers(model).items():
        kept[name] = int(layer.mask().sum())
        values = layer.log_alpha().clamp(EDGES[0], EDGES[-1]).flatten().cpu().numpy()
        counts += np.histogram(values, EDGES)[0]
    return {"step": step, "kept": kept, "histogram": counts.tolist()}
