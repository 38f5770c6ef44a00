"""Pruning during training: schedules, the callbacks that keep pruned weights at zero, and a sensitivity scan.

Scores and masks come from `masks`, dead channels from `channels`; both are handed on from here. Biases and
batch norm have one axis, and are pruned only where they are named.

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
    """Return the sparsity at a training step: it rises fast while much is redundant, and slowly at the end.

    ``final + (initial - final) * (1 - (step - start) / (end - start))**3`` between the two steps
    (Zhu & Gupta 2017, arXiv 1710.01878, eq. 1); ``initial`` before, ``final`` from ``end_step`` on.

    Parameters
    ----------
    step, start_step, end_step : int
        Optimiser steps: the present one, and those between which the sparsity rises.
    final, initial : float in [0, 1]
        Sparsity at the end and at the start.

    Raises
    ------
    ValueError
        When a sparsity is outside [0, 1] or the end is before the start.
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
    """Return the sparsity after each round of iterative pruning.

    Every round removes the same share of the weights still kept, so the last ones are removed in small steps:
    ``iterative_schedule(0.75, 2) -> [0.5, 0.75]``

    Raises
    ------
    ValueError
        When there is fewer than one round, or the final sparsity is outside [0, 1].
    """
    check_sparsity(final)
    if rounds < 1:
        raise ValueError(f"rounds={rounds} should be >= 1")
    return [1 - (1 - final) ** (k / rounds) for k in range(1, rounds)] + [final]


def prunable_names(model: nn.Module) -> list[str]:
    """Return the names of the parameters with two or more axes: weights, but not biases nor batch norm."""
    return [name for name, parameter in model.named_parameters() if parameter.ndim >= 2]


class MaskKeeper:
    """Training callback that puts pruned weights back to exactly 0.0 after the optimiser has moved them.

    Gradients, momentum and weight decay move pruned weights, too. Masking after every step sets them back, so
    that every forward pass sees them as absent.

    Parameters
    ----------
    masks : Masks
        By parameter name, True = kept; parameters without a mask are left alone.
    """

    def __init__(self, masks: Masks) -> None:
        self.masks = dict(masks)

    def after_step(self, model: nn.Module, step: int) -> None:
        """Training hook: apply the masks."""
        self._follow(model)
        apply_masks_(model, self.masks)

    def _follow(self, model: nn.Module) -> None:
        """Move the masks to the devices of their weights; later calls find them there."""
        devices = {name: parameter.device for name, parameter in model.named_parameters()}
        self.masks = {name: mask.to(devices.get(name, mask.device)) for name, mask in self.masks.items()}

    def state_dict(self) -> dict[str, Masks]:
        """What a checkpoint must hold for training to resume: the masks."""
        return {"masks": dict(self.masks)}

    def load_state_dict(self, state: Mapping[str, Masks]) -> None:
        """Replace the masks by those of a checkpoint."""
        self.masks = dict(state["masks"])


class GradualPruner(MaskKeeper):
    """Training callback that prunes globally during training, along `cubic_sparsity`, and keeps the masks.

    Parameters
    ----------
    final_sparsity : float in [0, 1]
        Over all pruned tensors together, from ``end_step`` on.
    start_step, end_step : int
        First and last optimiser step at which it prunes, counted from 0 over the whole training.
    every : int
        Steps from one choice of masks to the next; the last is always at ``end_step``.
    initial_sparsity : float in [0, 1]
        At ``start_step``.
    score : callable, mapping of weights -> mapping of scores
        The criterion: `magnitude_scores`, `normalized_scores`, `lamp_scores`, a `fisher.FisherScores` or your
        own. With an attribute ``uses_masks`` that is True, it gets the present masks as a second argument.
    names : sequence of str, optional
        Parameters to prune; by default those with two or more axes.
    masks : Masks, optional
        Masks at the start, for a network that is pruned already. A pruned weight never grows back.

    Raises
    ------
    ValueError
        When a sparsity is outside [0, 1], ``end_step`` is before ``start_step``, or ``every`` < 1.
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
        """Return the options that decide the masks, for comparison with a checkpoint's."""
        return {
            "final_sparsity": self.final_sparsity,
            "initial_sparsity": self.initial_sparsity,
            "start_step": self.start_step,
            "end_step": self.end_step,
            "every": self.every,
            "score": getattr(self.score, "__name__", type(self.score).__name__),
        }

    def state_dict(self) -> dict[str, object]:
        """What a checkpoint must hold: the masks, the options, and what the criterion has collected."""
        state = super().state_dict() | {"rule": self._rule()}
        return state | ({"score": self.score.state_dict()} if hasattr(self.score, "state_dict") else {})

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on from a checkpoint.

        Raises
        ------
        ValueError
            When it was made with other options.
        """
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
        """Training hook: show the gradients to a criterion that uses them (`fisher`)."""
        if hasattr(self.score, "before_step"):
            self.score.before_step(model, step)

    def target(self, step: int) -> float:
        """Return the scheduled sparsity at a step."""
        return cubic_sparsity(
            step, self.start_step, self.end_step, self.final_sparsity, initial=self.initial_sparsity
        )

    def _names(self, model: nn.Module) -> Sequence[str]:
        return prunable_names(model) if self.names is None else self.names

    def after_step(self, model: nn.Module, step: int) -> None:
        """Training hook: choose new masks when they are due, and apply the masks."""
        due = (step - self.start_step) % self.every == 0 or step == self.end_step
        if self.start_step <= step <= self.end_step and due:
            self._follow(model)
            parameters = dict(model.named_parameters())
            weights = {name: parameters[name] for name in self._names(model)}
            # After the optimizer's step pruned weights are not 0: a criterion that asks where the kept ones
            # are has to be told.
            told = (weights, self.masks) if getattr(self.score, "uses_masks", False) else (weights,)
            new = global_masks(self.score(*told), self.target(step), current=self.masks or None)
            self.masks = self.masks | new
        super().after_step(model, step)


@dataclass(frozen=True)
class SensitivityRow:
    """One line of a sensitivity scan: what `evaluate` gives with one tensor pruned and all others whole."""

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
    """Prune one tensor at a time and evaluate: how much sparsity each bears (Han et al., NIPS 2015, fig. 6).

    The model gets its own weights back afterwards, bit for bit, even when ``evaluate`` raises.

    Parameters
    ----------
    model : nn.Module
        Not fine-tuned in between.
    evaluate : callable, model -> float
        For example top-1 accuracy on the validation split.
    sparsities : iterable of float in [0, 1]
        Sparsities to try, of the one tensor.
    names : sequence of str, optional
        Parameters to scan; by default those with two or more axes.
    score : callable
        The criterion, as in `GradualPruner`.

    Returns
    -------
    list of SensitivityRow
        One per tensor and sparsity: by tensor, then in the order of ``sparsities``.

    Raises
    ------
    ValueError
        When a sparsity is outside [0, 1].
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
