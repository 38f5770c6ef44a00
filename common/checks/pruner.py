"""Week 5, second half: the cubic schedule, a step that keeps the masks, the sensitivity scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from common.checks.calling import call, pair
from common.checks.comparing import as_array, expect
from common.checks.mask_rules import expect_each, keep, named_arrays
from common.checks.verdict import NotYet, check

_STEPS = (0, 2, 4, 6, 8, 10, 12)
_START, _END, _FINAL = 2, 10, 0.8


@check(4, "cubic_sparsity")
def check_cubic_sparsity(answer: Callable) -> str:
    """0 until the start, along 1 − (1 − part)³ to the final sparsity at the end, and there from then on."""
    told = f"start {_START}, end {_END}, final {_FINAL}"
    got = [as_array(call(answer, step, _START, _END, _FINAL, told=f"step {step}, {told}")) for step in _STEPS]
    if any(value.size != 1 for value in got):
        raise NotYet("It returns an array, expected one number a step.")
    steps = np.array(_STEPS, dtype=float)
    part = (steps - _START) / (_END - _START)
    inside = np.clip(part, 0, 1)
    right = _FINAL * (1 - (1 - inside) ** 3)
    suspects = [
        ("Before the start nothing is pruned: the curve must not go on below 0.",
         _FINAL * (1 - (1 - np.minimum(part, 1)) ** 3)),
        ("After the end the sparsity stays at its final value.",
         _FINAL * (1 - (1 - np.maximum(part, 0)) ** 3)),
        ("It is right between start and end only: hold it at 0 before, and at the final value after.",
         _FINAL * (1 - (1 - part) ** 3)),
        ("That is a straight line: the exponent 3 is missing.", _FINAL * inside),
        ("That is slow at first and steep at the end: it should be the other way round.",
         _FINAL * inside**3),
        ("The curve goes down: that is what is still to be pruned.", _FINAL * (1 - inside) ** 3),
        ("That is the density: the sparsity is asked for.", 1 - right),
        ("The steps count from the start, not from 0.",
         _FINAL * (1 - (1 - np.clip(steps / _END, 0, 1)) ** 3)),
        ("Divided by the end: the way is end − start long.",
         _FINAL * (1 - (1 - np.clip((steps - _START) / _END, 0, 1)) ** 3)),
        ("The exponent is 2, expected 3.", _FINAL * (1 - (1 - inside) ** 2)),
        ("It ends at 1: the final sparsity is not used.", 1 - (1 - inside) ** 3),
    ]  # fmt: skip
    expect(
        [value.item() for value in got], right, suspects=suspects, what="The curve",
        shown={"step": np.array(_STEPS)},
    )  # fmt: skip
    return "Seven steps, two of them outside."


_WEIGHTS = {"fc1": np.array([[1.0, 0.0, -2.0], [0.0, 3.0, 0.5]]), "fc2": np.array([[0.0, -1.0]])}
_GRADIENTS = {"fc1": np.array([[0.2, -0.4, 0.6], [1.0, 0.0, -0.2]]), "fc2": np.array([[0.8, 0.4]])}
_VELOCITY = {"fc1": np.array([[0.5, 1.0, 0.0], [-1.0, 0.5, 1.5]]), "fc2": np.array([[2.0, 0.0]])}
_MASKS = {name: weight != 0 for name, weight in _WEIGHTS.items()}
_RATE, _MOMENTUM = 0.1, 0.9


def _step(*, sign=-1.0, of_gradient=False, at_end=True, turned=False, momentum=_MOMENTUM, scaled=1.0):
    """Weights and velocity after a step, with switches for what is forgotten."""
    weights, velocity = {}, {}
    for name, mask in _MASKS.items():
        mask = ~mask if turned else mask
        gradient = _GRADIENTS[name] * mask if of_gradient else _GRADIENTS[name]
        velocity[name] = momentum * _VELOCITY[name] + gradient
        weights[name] = _WEIGHTS[name] + sign * scaled * _RATE * velocity[name]
        if at_end:
            weights[name] = weights[name] * mask
    return weights, velocity


@check(5, "masked_step")
def check_masked_step(answer: Callable) -> str:
    """(weights, velocity) after v ← μ v + g, w ← w − η v, and the mask; in new dicts."""
    arguments = (_WEIGHTS, _GRADIENTS, _VELOCITY, _MASKS, _RATE, _MOMENTUM)
    got = call(answer, *arguments, told="two layers, and a velocity from before")
    weights, velocity = pair(got, 2, "new weights, new velocity")
    weights = named_arrays(weights, _WEIGHTS, "weights")
    velocity = named_arrays(velocity, _WEIGHTS, "velocity")
    right, right_velocity = _step()
    unmoved = {name: -_RATE * _GRADIENTS[name] * mask + _WEIGHTS[name] for name, mask in _MASKS.items()}
    suspects = [
        ("The pruned weights move: apply the mask after the step.", _step(at_end=False)[0]),
        ("Masking the gradient is not enough: the velocity from before still pushes pruned weights.",
         _step(at_end=False, of_gradient=True)[0]),
        ("The mask is turned round: True stands for a weight that is kept.", _step(turned=True)[0]),
        ("Uphill: the step goes against the velocity.", _step(sign=1.0)[0]),
        ("The momentum is not used.", unmoved, _step(momentum=0.0)[0]),
        ("The velocity from before counts in full: it is multiplied by the momentum.",
         _step(momentum=1.0)[0]),
        ("The learning rate is missing, or used twice.",
         _step(scaled=1 / _RATE)[0], _step(scaled=_RATE)[0]),
        ("The step uses the old velocity: renew it first.",
         {name: (_WEIGHTS[name] - _RATE * _VELOCITY[name]) * mask for name, mask in _MASKS.items()}),
        ("Nothing moves.", _WEIGHTS),
    ]  # fmt: skip
    flat = [(hint, wrong) for hint, *wrongs in suspects for wrong in wrongs]
    expect_each(weights, right, suspects=flat, shown=_MASKS, what="weights")
    for name, mask in _MASKS.items():  # the velocity of a pruned weight may be what it likes
        if velocity[name].shape != mask.shape:
            raise NotYet(f"The velocity of {name!r} has shape {velocity[name].shape}, expected {mask.shape}.")
        velocity[name] = np.where(mask, velocity[name], right_velocity[name])
    suspects = [
        ("The velocity is returned as it came: the next step needs the new one.", _VELOCITY),
        ("The learning rate belongs to the weights, not into the velocity.",
         {name: _RATE * value for name, value in right_velocity.items()}),
    ]  # fmt: skip
    visible = [
        (hint, {name: np.where(mask, wrong[name], right_velocity[name]) for name, mask in _MASKS.items()})
        for hint, wrong in suspects
    ]
    expect_each(velocity, right_velocity, suspects=visible, shown=_MASKS, what="velocity")
    return "Two layers; pruned weights at exactly 0, the others moved."


_LAYERS = {
    "fc1": np.array([[4.0, -1.0], [2.0, -3.0]]), "fc2": np.array([[0.5, -8.0]]),
    "fc3": np.array([[-6.0, 5.0]]),
}  # fmt: skip
_LEVELS = (0.5, 1.0, 0.25)


def _accuracy(weights: Mapping[str, np.ndarray]) -> float:
    """Something that every weight changes, in place of a network's accuracy."""
    return sum(
        float(factor * np.abs(weights[name]).sum())
        for name, factor in zip(_LAYERS, (0.01, 0.02, 0.03), strict=True)
    )


def _pruned(weights: Mapping[str, np.ndarray], names: tuple[str, ...], sparsity: float) -> dict:
    """The weights with some layers pruned by magnitude, each on its own."""
    result = dict(weights)
    for name in names:
        scores = {name: np.abs(weights[name])}
        result[name] = weights[name] * keep(scores, round((1 - sparsity) * weights[name].size))[name]
    return result


@check(6, "sensitivity")
def check_sensitivity(answer: Callable) -> str:
    """{name: [accuracy at each sparsity]}, one layer pruned at a time, all others whole."""
    got = call(answer, _LAYERS, _accuracy, _LEVELS, told=f"three layers, the sparsities {_LEVELS}")
    rows = named_arrays(got, _LAYERS, "accuracies")
    names = tuple(_LAYERS)
    alone = {name: [_accuracy(_pruned(_LAYERS, (name,), level)) for level in _LEVELS] for name in names}
    cumulative, left = {}, dict(_LAYERS)
    for name in names:
        cumulative[name] = []
        for level in _LEVELS:
            left = _pruned(left, (name,), level)
            cumulative[name].append(_accuracy(left))
    one_after_the_other = {
        name: [_accuracy(_pruned(_LAYERS, names[: place + 1], level)) for level in _LEVELS]
        for place, name in enumerate(names)
    }
    deeper = {}
    for name in names:
        left, deeper[name] = dict(_LAYERS), []
        for level in _LEVELS:
            left = _pruned(left, (name,), level)
            deeper[name].append(_accuracy(left))
    whole = _accuracy(_LAYERS)
    suspects = [
        ("A layer stays pruned when the next one is: start from the whole network every time.",
         cumulative, one_after_the_other),
        ("A layer stays pruned from one sparsity to the next: start from the whole layer every time.",
         deeper),
        ("All layers are pruned together: only one at a time.",
         {name: [_accuracy(_pruned(_LAYERS, names, level)) for level in _LEVELS] for name in names}),
        ("All layers but the one are pruned: it is the one that should be.",
         {name: [_accuracy(_pruned(_LAYERS, tuple(set(names) - {name}), level)) for level in _LEVELS]
          for name in names}),
        ("Nothing was pruned when it was measured.", {name: [whole] * len(_LEVELS) for name in names}),
        ("Sparsity is the fraction of *zeros*: 1 − sparsity is kept.",
         {name: [_accuracy(_pruned(_LAYERS, (name,), 1 - level)) for level in _LEVELS] for name in names}),
        ("Losses, not accuracies: return what was measured.",
         {name: [whole - value for value in row] for name, row in alone.items()}),
        ("The sparsities are in another order: keep the caller's.",
         {name: [row[2], row[0], row[1]] for name, row in alone.items()}),
    ]  # fmt: skip
    flat = [(hint, wrong) for hint, *wrongs in suspects for wrong in wrongs]
    expect_each(rows, alone, suspects=flat, shown=_LAYERS, what="accuracies")
    return "Three layers at three sparsities, one at a time."
