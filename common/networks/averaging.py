"""Averages that make a trained network better at little cost: of weights, and of batch norm statistics.

    ema = Ema(decay=0.999, start_step=6 * steps_per_epoch)
    train(model, data, config, callbacks=[ema])       # validation measures the average
    ema.copy_to_(model)
    reestimate_statistics(model, data)                # the statistics that belong to these weights

Steps at a high learning rate move the weights around a point that is better than each of them; their average
is near it (Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization").
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from common.data.image_set import ImageSet
from common.networks.training import autocast, batch_source, default_device, place_


class Ema:
    """Training callback that keeps an exponential moving average of the weights (Polyak & Juditsky 1992).

    ``average = decay * average + (1 - decay) * weights`` after each step, beginning with the weights of
    ``start_step``. Parameters and floating-point buffers (batch norm statistics) are averaged; the training
    itself is not affected. Where masks keep weights at zero, apply them to the average too: it still holds a
    share of what a weight was before it was pruned.

    Parameters
    ----------
    decay : float in [0, 1)
        The average covers about the last ``1 / (1 - decay)`` steps.
    start_step : int >= 0
        Steps before this one, while the weights still change much, are left out.

    Raises
    ------
    ValueError
        When an option is out of its range.
    """

    def __init__(self, decay: float = 0.999, *, start_step: int = 0) -> None:
        if not 0 <= decay < 1 or start_step < 0:
            raise ValueError(f"decay={decay}, start_step={start_step}: expected in [0, 1) and >= 0")
        self.decay, self.start_step = decay, start_step
        self.average: dict[str, Tensor] = {}

    @torch.no_grad()
    def after_step(self, model: nn.Module, step: int) -> None:
        """Training hook: add the weights of this step to the average."""
        if step < self.start_step:
            return
        state = _floating_state(model)
        if not self.average:
            self.average = {name: value.detach().clone() for name, value in state.items()}
            return
        for name, value in state.items():
            mean = self.average[name] = self.average[name].to(value.device)  # a checkpoint's are on the CPU
            mean.lerp_(value, 1 - self.decay)

    @contextlib.contextmanager
    def evaluated(self, model: nn.Module):
        """Context in which the model has the averaged weights; afterwards its own are back, bit for bit."""
        own = {name: value.detach().clone() for name, value in _floating_state(model).items()}
        try:
            self.copy_to_(model)
            yield model
        finally:
            _set_state_(model, own)

    def copy_to_(self, model: nn.Module) -> None:
        """Copy the averaged weights into the model; before ``start_step`` it keeps its own."""
        _set_state_(model, self.average)
        if self.average and torch.distributed.is_available() and torch.distributed.is_initialized():
            for buffer in model.buffers():  # every process has averaged its own share's statistics
                torch.distributed.broadcast(buffer, 0)

    def state_dict(self) -> dict[str, object]:
        """What a checkpoint must hold: the average and the options."""
        return {"average": dict(self.average), "rule": [self.decay, self.start_step]}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on from a checkpoint.

        Raises
        ------
        ValueError
            When it was made with other options.
        """
        if list(state["rule"]) != [self.decay, self.start_step]:
            raise ValueError(
                f"the checkpoint was averaged with decay, start_step = {state['rule']}, not "
                f"{[self.decay, self.start_step]}: delete it, or use its options again"
            )
        self.average = dict(state["average"])


@torch.no_grad()
def reestimate_statistics(
    model: nn.Module,
    data: ImageSet,
    n: int = 5000,
    *,
    batch_size: int = 500,
    device: str | torch.device | None = None,
    precision: str = "fp32",
) -> nn.Module:
    """Compute every batch norm's mean and variance again on training images without augmentation, in place.

    The running statistics of a training belong to augmented images, and to weights that have changed since:
    by later steps, averaging or sharing. Here they are the plain mean over `n` images, spread evenly over the
    set. Meanwhile everything but the batch norms is in evaluation mode.

    Parameters
    ----------
    model : nn.Module
        Its batch norm statistics change, nothing else.
    data : ImageSet or loader
        Training images; of a loader, which has its own order and batches, the first ones.
    n : int >= 1
        Number of images; all of them where there are fewer.
    batch_size : int
        Images at a time, at most; the batches are (nearly) equal.
    device : str or torch.device, optional
        By default the GPU if there is one; the model stays there.
    precision : {"fp32", "bf16"}
        Of the forward pass.

    Returns
    -------
    nn.Module
        The model.
    """
    norms = [
        m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats
    ]
    if not norms:
        return model
    device = torch.device(device or default_device())
    if isinstance(data, ImageSet):
        chosen = np.linspace(0, len(data) - 1, min(n, len(data))).round().astype(np.int64)
        data = replace(data, images=data.images[chosen], labels=data.labels[chosen])
        batch_size = math.ceil(len(chosen) / math.ceil(len(chosen) / batch_size))
    batches = batch_source(data, None, device).plain_batches(batch_size)
    modes = [(module, module.training) for module in model.modules()]
    momenta = [norm.momentum for norm in norms]
    place_(model, device).eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # for torch: the plain mean over all batches, not an exponential one
        norm.train()
    n_seen = 0
    for images, labels in batches:  # images are counted, since a loader's batches may have any size
        with autocast(device, precision):
            model(images)
        n_seen += len(labels)
        if n_seen >= n:
            break
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for module, training in modes:
        module.training = training
    return model


def _floating_state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in model.state_dict().items() if value.is_floating_point()}


@torch.no_grad()
def _set_state_(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    own = model.state_dict()
    for name, value in state.items():
        own[name].copy_(value)
