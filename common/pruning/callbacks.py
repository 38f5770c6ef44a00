"""Pruning: how sparse when (schedules), and the callbacks that keep pruned weights at zero in training.

This is the one door to pruning: scores and masks (from `masks`) and dead channels (from `dead_channels`) can
be had from here. Biases and batch norm have one axis, and are pruned only when they are asked for by name.

    scores = magnitude_scores(weights)            # L1 magnitude (Han et al., NIPS 2015, arXiv 1506.02626)
    masks = global_masks(scores, 0.9)             # exactly round(0.1 * n) weights kept
    train(model, data, config, callbacks=[MaskKeeper(masks)])
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from common.pruning.channels import dead_channels, remove_dead_channels_
from common.pruning.masks import (
    Masks,
    apply_masks_,
    check_sparsity,
    global_masks,
    lamp_scores,
    layerwise_masks,
    magnitude_scores,
    normalized_scores,
    random_masks,
    sparsity_of,
)

__all__ = [
    "GradualPruner",
    "MaskKeeper",
    "Masks",
    "SensitivityRow",
    "apply_masks_",
    "cubic_sparsity",
    "dead_channels",
    "global_masks",
    "iterative_schedule",
    "lamp_scores",
    "layerwise_masks",
    "magnitude_scores",
    "normalized_scores",
    "prunable_names",
    "random_masks",
    "remove_dead_channels_",
    "sensitivity_scan",
    "sparsity_of",
]


def cubic_sparsity(step: int, start_step: int, end_step: int, final: float, *, initial: float = 0.0) -> float:
    """Sparsity at a training step: fast at first while much is redundant, slower and slower towards the end.

    ``final + (initial - final) * (1 - (step - start) / (end - start))**3`` between the two steps
    (Zhu & Gupta 2017, arXiv 1710.01878, eq. 1); ``initial`` before, ``final`` from ``end_step`` on.

    Raises
    ------
    ValueError
        A sparsity outside [0, 1] or an end before the start.
    """
    check_sparsity(initial)
    check_sparsity(final)
    if end_step < start_step:
        raise ValueError(f"end_step={end_step} should be >= start_step={start_step}")
    if step >= end_step:
        return final
    if step < start_step:
        return initial
    return final + (initial - final) * (1 - (step - start_step) / (end_step - start_step)) ** 3


def iterative_schedule(final: float, rounds: int) -> list[float]:
    """Sparsities of N-shot pruning: every round removes the same share of the weights still kept.

    ``iterative_schedule(0.75, 2) -> [0.5, 0.75]``

    Raises
    ------
    ValueError
        Fewer than one round, or a final sparsity outside [0, 1].
    """
    check_sparsity(final)
    if rounds < 1:
        raise ValueError(f"rounds={rounds} should be >= 1")
    return [1 - (1 - final) ** (k / rounds) for k in range(1, rounds)] + [final]


def prunable_names(model: nn.Module) -> list[str]:
    """Names of the parameters with two or more axes: conv and linear weights, not biases, not batch norm."""
    return [name for name, parameter in model.named_parameters() if parameter.ndim >= 2]


class MaskKeeper:
    """Training callback that puts pruned weights back to exactly 0.0 after the optimiser has moved them.

    Momentum and weight decay move pruned weights even when their gradient is zero; masking after each step
    makes the network see them as absent in every forward pass.

    Parameters
    ----------
    masks : Masks
    """

    def __init__(self, masks: Masks) -> None:
        self.masks = dict(masks)

    def after_step(self, model: nn.Module, step: int) -> None:
        """Apply the masks."""
        self._follow(model)
        apply_masks_(model, self.masks)

    def _follow(self, model: nn.Module) -> None:
        """Move the masks, once, to where the weights are."""
        devices = {name: parameter.device for name, parameter in model.named_parameters()}
        self.masks = {name: mask.to(devices.get(name, mask.device)) for name, mask in self.masks.items()}

    def state_dict(self) -> dict[str, Masks]:
        """What a checkpoint must hold for training to resume: the masks."""
        return {"masks": dict(self.masks)}

    def load_state_dict(self, state: Mapping[str, Masks]) -> None:
        """Take the masks of a checkpoint."""
        self.masks = dict(state["masks"])


class GradualPruner(MaskKeeper):
    """Training callback that prunes during training, by `cubic_sparsity`, globally, and keeps the masks.

    Parameters
    ----------
    final_sparsity : float in [0, 1]
        Over all pruned tensors together, from ``end_step`` on.
    start_step, end_step : int
        Optimiser steps, counted as the training loop counts them.
    every : int
        New masks at every so many steps from ``start_step``, and at ``end_step``.
    initial_sparsity : float in [0, 1]
    score : callable, mapping of weights -> mapping of scores
        The criterion: `magnitude_scores`, `normalized_scores`, `lamp_scores`, a `fisher.FisherScores` or your
        own.
    names : sequence of str, optional
        Parameters to prune; by default those with two or more axes.
    masks : Masks, optional
        Where to start; what is pruned never grows back.
    """

    def __init__(
        self,
        final_sparsity: float,
        start_step: int,
        end_step: int,
        every: int = 100,
        *,
        initial_sparsity: float = 0.0,
        score: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = magnitude_scores,
        names: Sequence[str] | None = None,
        masks: Masks | None = None,
    ) -> None:
        cubic_sparsity(start_step, start_step, end_step, final_sparsity, initial=initial_sparsity)
        if every < 1:
            raise ValueError(f"every={every} should be >= 1")
        super().__init__(masks or {})
        self.final_sparsity, self.initial_sparsity = final_sparsity, initial_sparsity
        self.start_step, self.end_step, self.every = start_step, end_step, every
        self.score, self.names = score, None if names is None else tuple(names)

    def _rule(self) -> dict[str, object]:
        """What decides its masks, beside the weights."""
        return {
            "final_sparsity": self.final_sparsity,
            "initial_sparsity": self.initial_sparsity,
            "start_step": self.start_step,
            "end_step": self.end_step,
            "every": self.every,
            "score": getattr(self.score, "__name__", type(self.score).__name__),
        }

    def state_dict(self) -> dict[str, object]:
        """The masks, the rule that made them, and what a criterion has collected."""
        state = super().state_dict() | {"rule": self._rule()}
        return state | ({"score": self.score.state_dict()} if hasattr(self.score, "state_dict") else {})

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Take the masks of a checkpoint; it is refused if other options made them."""
        rule = state.get("rule", self._rule())
        if rule != self._rule():
            changed = [key for key, value in self._rule().items() if rule.get(key) != value]
            raise ValueError(
                f"the checkpoint was pruned with other {', '.join(changed)}: delete it, or use its options "
                "again"
            )
        super().load_state_dict(state)
        if "score" in state:
            self.score.load_state_dict(state["score"])

    def before_step(self, model: nn.Module, step: int) -> None:
        """Let a criterion that learns from gradients (`fisher`) see them."""
        if hasattr(self.score, "before_step"):
            self.score.before_step(model, step)

    def target(self, step: int) -> float:
        """The scheduled sparsity at a step."""
        return cubic_sparsity(
            step, self.start_step, self.end_step, self.final_sparsity, initial=self.initial_sparsity
        )

    def _names(self, model: nn.Module) -> Sequence[str]:
        return prunable_names(model) if self.names is None else self.names

    def after_step(self, model: nn.Module, step: int) -> None:
        """Prune when it is due, and apply the masks."""
        due = (step - self.start_step) % self.every == 0 or step == self.end_step
        if self.start_step <= step <= self.end_step and due:
            self._follow(model)
            parameters = dict(model.named_parameters())
            weights = {name: parameters[name] for name in self._names(model)}
            new = global_masks(self.score(weights), self.target(step), current=self.masks or None)
            self.masks = self.masks | new
        super().after_step(model, step)


@dataclass(frozen=True)
class SensitivityRow:
    """One line of a sensitivity scan: the model's value with one tensor pruned and all others whole."""

    name: str
    sparsity: float
    value: float


def sensitivity_scan(
    model: nn.Module,
    evaluate: Callable[[nn.Module], float],
    sparsities: Iterable[float],
    *,
    names: Sequence[str] | None = None,
    score: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = magnitude_scores,
) -> list[SensitivityRow]:
    """Prune one tensor at a time and measure: which layers bear how much (Han et al., NIPS 2015, fig. 6).

    The model has its own weights back afterwards, bit for bit, and also when ``evaluate`` raises.

    Parameters
    ----------
    model : nn.Module
    evaluate : callable, model -> float
        Such as the top-1 accuracy on the validation split.
    sparsities : iterable of float in [0, 1]
    names : sequence of str, optional
        Parameters to scan; by default those with two or more axes.
    score : callable
        The criterion, as in `GradualPruner`.

    Returns
    -------
    list of SensitivityRow
        By tensor, then in the order of ``sparsities``.
    """
    sparsities = list(sparsities)
    for sparsity in sparsities:
        check_sparsity(sparsity)
    parameters = dict(model.named_parameters())
    rows = []
    for name in prunable_names(model) if names is None else names:
        original = parameters[name].detach().clone()
        scores = score({name: original})
        try:
            for sparsity in sparsities:
                with torch.no_grad():
                    parameters[name].copy_(original)
                apply_masks_(model, global_masks(scores, sparsity))
                rows.append(SensitivityRow(name, sparsity, float(evaluate(model))))
        finally:
            with torch.no_grad():
                parameters[name].copy_(original)
    return rows
