"""Winning tickets: sparse networks that learn from their own initial weights (Frankle & Carbin 2019).

::

    rates = pruning_rates(model)                                  # 20 % per round, 10 % in the last layer
    for level, masks, outcome in iterative_pruning(model, train_round, rates=rates, levels=range(16)):
        ...

The hypothesis (ICLR 2019, arXiv 1803.03635): for a dense network f(x; θ₀) with random θ₀ there is a mask m
with few ones, such that f(x; m ⊙ θ₀), trained alone, needs no more steps than the dense network and is no
less accurate. The paper finds such masks by iterative magnitude pruning: train, prune the smallest weights of
each layer, reset the others to θ₀, and repeat.

The weights may also be reset to θₖ, those after k steps (rewinding: Frankle et al. 2020, arXiv 1912.05671).
Controls: the same mask with new random weights, and `shuffled` masks with the same initial weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from common.data.image_set import ImageSet
from common.networks.models import prunable_parameters
from common.networks.training import evaluate
from common.pruning.masks import (
    Masks,
    apply_masks_,
    check_sparsity,
    global_masks,
    layerwise_masks,
    magnitude_scores,
)

Weights = dict[str, Tensor]
TrainLevel = Callable[[nn.Module, Masks, int], Any]


def glorot_normal_(model: nn.Module, *, seed: int) -> None:
    """New initial weights, in place: normal of variance 2 / (fan-in + fan-out), biases 0.

    The paper's θ₀ (Glorot & Bengio 2010); drawn on the CPU, so that a seed means the same weights on every
    device.
    """
    generator = torch.Generator().manual_seed(seed)
    weights = prunable_parameters(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in weights:
                area = math.prod(parameter.shape[2:])
                std = math.sqrt(2 / (area * (parameter.shape[0] + parameter.shape[1])))
                parameter.copy_(std * torch.randn(parameter.shape, generator=generator))
            elif parameter.ndim == 1 and name.endswith("bias"):
                parameter.zero_()


def weights_of(model: nn.Module) -> Weights:
    """A copy of a model's whole state: parameters and buffers, by name."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def reset_(model: nn.Module, weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
    """m ⊙ θ, in place: the whole state as in `weights`, biases too, and zeros where a mask is False."""
    model.load_state_dict(weights)
    apply_masks_(model, masks)


def pruning_rates(model: nn.Module, rate: float = 0.2, *, conv_rate: float | None = None) -> dict[str, float]:
    """Fraction of each layer's kept weights that one round prunes, by weight name.

    Parameters
    ----------
    model : nn.Module
    rate : float in [0, 1]
        Of linear layers. The last layer, which is small and decides every class, is pruned at half this rate.
    conv_rate : float in [0, 1], optional
        Of convolutions; by default `rate`.

    Raises
    ------
    ValueError
        A rate is not in [0, 1].
    """
    check_sparsity(rate)
    conv_rate = rate if conv_rate is None else conv_rate
    check_sparsity(conv_rate)
    modules = dict(model.named_modules())
    names = list(prunable_parameters(model))
    rates = {}
    for name in names:
        rates[name] = conv_rate if isinstance(modules[name.removesuffix(".weight")], nn.Conv2d) else rate
    rates[names[-1]] = rate / 2
    return rates


def whole_masks(model: nn.Module) -> Masks:
    """Masks of a dense network: all True."""
    return {name: torch.ones_like(w, dtype=torch.bool) for name, w in prunable_parameters(model).items()}


def n_kept(masks: Mapping[str, Tensor]) -> int:
    """Number of weights that the masks keep."""
    return sum(int(mask.sum()) for mask in masks.values())


def prune_rounds(
    weights: Mapping[str, Tensor], masks: Masks, rates: Mapping[str, float], *, rounds: int = 1
) -> Masks:
    """Masks as sparse as after several rounds, all chosen by the magnitudes of the same `weights`.

    With `rounds` > 1 that is one-shot pruning. Each round leaves ``n - round(rate * n)`` of a layer's n kept
    weights, so one shot keeps exactly as many weights as single rounds do, though other ones. Of equal
    magnitudes the earlier weight is kept.

    Parameters
    ----------
    weights : mapping of name to tensor
        Trained; may have more names than `masks`.
    masks : Masks
        The masks so far: what they prune stays pruned.
    rates : mapping of name to float in [0, 1]
        See `pruning_rates`.
    rounds : int >= 0

    Returns
    -------
    Masks

    Raises
    ------
    ValueError
        Names of `rates` that are not those of `masks`, or a negative number of rounds.
    """
    if set(rates) != set(masks) or rounds < 0:
        raise ValueError(
            f"rates name {sorted(rates)}, masks {sorted(masks)}, rounds={rounds}: expected the same names "
            "and rounds >= 0"
        )
    scores = magnitude_scores({name: weights[name].to(masks[name].device) for name in masks})
    sparsity = {}
    for name, mask in masks.items():
        kept = int(mask.sum())
        for _ in range(rounds):
            kept -= round(rates[name] * kept)
        sparsity[name] = 1 - kept / mask.numel()
    return layerwise_masks(scores, sparsity, current=masks)


def shuffled(masks: Masks, *, seed: int) -> Masks:
    """Masks that keep as many weights in each layer, at random places: a control for the places of a mask."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: global_masks(
            {name: torch.rand(mask.shape, generator=generator)}, 1 - int(mask.sum()) / mask.numel()
        )[name].to(mask.device)
        for name, mask in masks.items()
    }


def iterative_pruning(
    model: nn.Module,
    train_level: TrainLevel,
    *,
    rates: Mapping[str, float],
    levels: Sequence[int],
    rewind: Callable[[], Mapping[str, Tensor]] | None = None,
) -> Iterator[tuple[int, Masks, Any]]:
    """Train, prune, reset, and repeat: how the paper finds winning tickets.

    Parameters
    ----------
    model : nn.Module
        With its initial weights θ₀; changed in place.
    train_level : callable, (model, masks, level) -> anything
        Must train `model`, whose weights are m ⊙ θ₀ at the call, and keep its pruned weights at zero.
    rates : mapping of name to float
        See `pruning_rates`.
    levels : sequence of int, ascending from 0
        A level is the number of rounds of pruning before a training: 0, 1, 2, ... in the paper. Where levels
        are left out, as in (0, 4, 8), their rounds are pruned at once.
    rewind : callable, () -> weights, optional
        Called once, after level 0, for the weights that all later levels start from, such as those of a
        `Snapshot`; by default θ₀.

    Yields
    ------
    level : int
    masks : Masks
        With which the network was trained.
    outcome
        What `train_level` returned.

    Raises
    ------
    ValueError
        Levels that do not ascend from 0.
    """
    levels = list(levels)
    if levels[:1] != [0] or any(a >= b for a, b in pairwise(levels)):
        raise ValueError(f"levels={levels}: expected 0 and then ascending numbers")
    start, masks = weights_of(model), whole_masks(model)
    for before, level in zip([0, *levels], levels, strict=False):
        if level:
            masks = prune_rounds(prunable_parameters(model), masks, rates, rounds=level - before)
            start = dict(rewind()) if rewind is not None and before == 0 else start
        reset_(model, start, masks)
        outcome = train_level(model, masks, level)
        yield level, masks, outcome


# ----------------------------------------------------------------------------------------------------
# What a lottery ticket's training needs beside the loop: callbacks for `training.train` that move only the
# kept weights (`KeptWeights`), copy an early state (`Snapshot`), and note the least validation loss
# (`LossWatch`).


class KeptWeights:
    """Training callback: the optimiser moves the kept weights only, as one vector per layer.

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
            # The kept weights are written into this flat tensor; its other places stay 0.
            self._layers.append((name, places, values, torch.zeros(weight.numel(), device=weight.device)))

    def parameters(self) -> list[nn.Parameter]:
        """What the optimiser is to move: the kept weights, then all parameters without a mask."""
        return [values for _, _, values, _ in self._layers] + self._others

    def before_step(self, model: nn.Module, step: int) -> None:
        """Gather the gradients of the kept weights, and drop those of the pruned ones."""
        for name, places, values, _ in self._layers:
            weight = model.get_parameter(name)
            values.grad = weight.grad.reshape(-1).index_select(0, places)
            weight.grad = None  # the optimiser does not know this tensor, so it would not clear it

    @torch.no_grad()
    def after_step(self, model: nn.Module, step: int) -> None:
        """Write the kept weights to their places in the model, and zeros elsewhere."""
        for name, places, values, whole in self._layers:
            weight = model.get_parameter(name)
            weight.copy_(whole.index_copy_(0, places, values.detach()).view(weight.shape))


class Snapshot:
    """Training callback that copies the model's state after `step` steps: θₖ, to which pruning may rewind.

    `weights` has the copy, or None before that step.
    """

    def __init__(self, step: int) -> None:
        self._step, self.weights = step, None

    def after_step(self, model: nn.Module, step: int) -> None:
        """Copy, when it is time."""
        if step + 1 == self._step:
            self.weights = weights_of(model)


class LossWatch:
    """Training callback that measures the validation loss from time to time, and keeps the best weights.

    The early-stop step is that of the least loss (the first of equals): the paper's measure of how fast a
    network learns. Nothing is stopped; only what a stop there would have given is remembered.

    Parameters
    ----------
    data : ImageSet
        Validation images.
    every : int >= 1
        Steps between two measurements.
    **options
        Passed on to `training.evaluate`: device, precision.

    Attributes
    ----------
    curve : list of (step, loss, top1)
        All measurements: steps made, mean loss in nats, accuracy in [0, 1].
    step : int or None
        The early-stop step; None before the first measurement.
    loss : float
        The least loss so far; infinite before the first measurement.
    weights : dict of name to tensor
        The model's state at the early-stop step.
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
