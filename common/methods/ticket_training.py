"""What a lottery ticket's training needs beside the loop: callbacks for `training.train`.

Only the kept weights move, the step of the least validation loss is remembered, and an early state is kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from common.datasets import ImageSet
from common.masks import apply_masks_
from common.methods.lottery_tickets import weights_of
from common.training import evaluate


class KeptWeights:
    """Training callback: the optimiser moves the kept weights only, one vector a layer.

    With Adam or SGD and no weight decay this trains exactly as `pruning.MaskKeeper` does, bit for bit, but
    the optimiser's work shrinks with the network.

        keeper = KeptWeights(model, masks)
        train(model, data, config, callbacks=[keeper], parameters=keeper.parameters())

    Parameters
    ----------
    model : nn.Module
        On the device where it will be trained; its pruned weights are set to zero now.
    masks : Masks
    """

    def __init__(self, model: nn.Module, masks: Mapping[str, Tensor]) -> None:
        apply_masks_(model, masks)
        parameters = dict(model.named_parameters())
        self._others = [parameter for name, parameter in parameters.items() if name not in masks]
        self._layers = []
        for name, mask in masks.items():
            weight = parameters[name].detach()
            places = mask.flatten().nonzero().flatten().to(weight.device)
            values = nn.Parameter(weight.reshape(-1).index_select(0, places))
            self._layers.append((name, places, values, torch.zeros(weight.numel(), device=weight.device)))

    def parameters(self) -> list[nn.Parameter]:
        """What the optimiser is to move: the kept weights, then all that no mask is about."""
        return [values for _, _, values, _ in self._layers] + self._others

    def before_step(self, model: nn.Module, step: int) -> None:
        """Gather the gradients of the kept weights, and drop the others'."""
        for name, places, values, _ in self._layers:
            weight = model.get_parameter(name)
            values.grad = weight.grad.reshape(-1).index_select(0, places)
            weight.grad = None  # the optimiser does not know this tensor, so it would not clear it

    @torch.no_grad()
    def after_step(self, model: nn.Module, step: int) -> None:
        """Write the kept weights to their places."""
        for name, places, values, whole in self._layers:
            weight = model.get_parameter(name)
            weight.copy_(whole.index_copy_(0, places, values.detach()).view(weight.shape))


class Snapshot:
    """Training callback that copies the model's state after `step` steps: θₖ, to which pruning may rewind."""

    def __init__(self, step: int) -> None:
        self._step, self.weights = step, None

    def after_step(self, model: nn.Module, step: int) -> None:
        """Copy, when it is time."""
        if step + 1 == self._step:
            self.weights = weights_of(model)


class LossWatch:
    """Training callback that measures the validation loss every so many steps, and keeps the best weights.

    The early-stop step is that of the least loss (the first of equals): the paper's measure of how fast a
    network learns. Nothing is stopped; only what a stop there would have given is remembered.

    Parameters
    ----------
    data : ImageSet
        Validation images.
    every : int >= 1
        Steps.
    **options
        Passed on to `training.evaluate`: device, precision.

    Attributes
    ----------
    curve : list of (step, loss, top1)
    step : int or None
        The early-stop step; None before the first measurement.
    weights : dict of name to tensor
        The model's state then.
    """

    def __init__(self, data: ImageSet, every: int, **options) -> None:
        if every < 1:
            raise ValueError(f"every={every}: expected >= 1")
        self._data, self._every, self._options = data, every, options
        self.curve: list[tuple[int, float, float]] = []
        self.step: int | None = None
        self.loss, self.weights = math.inf, {}

    def after_step(self, model: nn.Module, step: int) -> None:
        """Measure, when it is time."""
        if (step + 1) % self._every:
            return
        found = evaluate(model, self._data, **self._options)
        self.curve.append((step + 1, found.loss, found.top1))
        if found.loss < self.loss:
            self.step, self.loss, self.weights = step + 1, found.loss, weights_of(model)
