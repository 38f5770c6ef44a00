"""The questions of week 5: the highest sparsity within one point."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from common.checks import grading
from common.checks.comparing import as_array, call, expect, expect_dtype, pair
from common.checks.grading import Grades, NotYet, Question, check

# ----------------------------------------------------------------------------------------------------
# Week 5, the end: gaps with fillers, and what a sparse layer costs in bits.


def _gaps(positions, n_bits, *, filler=True, once=False, over=0, first=-1, more=0, skips=False):
    """Gaps and fillers, with switches for what goes wrong."""
    most, at, gaps, fillers = 2**n_bits - 1, first, [], []
    for position in positions:
        gap = position - at - 1
        while filler and gap > most - over:
            gaps.append(most + more)
            fillers.append(True)
            gap -= most if skips else most + 1
            if once:
                break
        gaps.append(gap + more)
        fillers.append(False)
        at = position
    return gaps, fillers


@check(7, "encode_gaps")
def check_encode_gaps(answer: Callable) -> str:
    """(gaps, is_filler): zeros passed before each stored weight; where they are too many, fillers."""
    cases = (
        ([1, 4, 15], 3),  # the lecture's
        ([0, 8, 9, 40], 3),  # a gap that just fits, and one that takes several fillers
        ([2, 3, 5], 4),
        ([7, 15, 31], 2),
    )
    for positions, n_bits in cases:
        told = f"the positions {positions} and {n_bits} bits"
        got = pair(call(answer, np.array(positions), n_bits, told=told), 2, "gaps, is_filler")
        gaps, flags = as_array(got[0], "The list of gaps"), as_array(got[1], "The list of fillers")
        wanted, wanted_flags = _gaps(positions, n_bits)
        most = 2**n_bits - 1
        wrong = {
            "Distances, not gaps: between neighbours no zero is passed, and the gap is 0.": [
                _gaps(positions, n_bits, more=1),
                _gaps(positions, n_bits, filler=False, more=1),
            ],
            f"Too large a gap: {n_bits} bits hold 0 to {most}, and what is larger needs a filler.": [
                _gaps(positions, n_bits, filler=False)
            ],
            "One filler is not always enough: repeat until the rest fits.": [
                _gaps(positions, n_bits, once=True)
            ],
            f"A filler too many: a gap of {most} just fits.": [_gaps(positions, n_bits, over=1)],
            "A filler stands in a cell of its own: it passes one more than its gap says.": [
                _gaps(positions, n_bits, skips=True)
            ],
            "The first gap counts from the beginning: before position 2 there are two zeros.": [
                _gaps(positions, n_bits, first=0)
            ],
        }
        suspects = [(hint, *(gaps for gaps, _ in variants)) for hint, variants in wrong.items()]
        cut = [min(gap, most) for gap in _gaps(positions, n_bits, filler=False)[0]]
        rest = [gap % (most + 1) for gap in _gaps(positions, n_bits, filler=False)[0]]
        suspects += [
            ("What does not fit is cut off, and the position is lost: put a filler before it.", cut, rest),
            ("The positions themselves: store how many zeros lie between.", positions),
        ]
        shown = {"positions": np.array(positions)}
        expect(gaps, wanted, suspects=suspects, what="The list of gaps", shown=shown)
        suspects = [
            ("The flags are turned round: True is a filler.", [not flag for flag in wanted_flags]),
            ("The filler comes *before* the weight that is too far.", wanted_flags[1:] + wanted_flags[:1]),
            ("No filler is marked: the decoder would take it for a weight.", [False] * len(wanted_flags)),
            (
                "A gap of the largest size is not always a filler: it may belong to a weight.",
                [gap == most for gap in wanted],
            ),
        ]
        expect(flags, wanted_flags, suspects=suspects, what="The list of fillers", shown=shown)
    got = pair(call(answer, np.array([], dtype=int), 3, told="no positions"), 2, "gaps, is_filler")
    expect(np.size(as_array(got[0])), 0, what="The number of gaps of an empty layer")
    return "Gaps that fit, that just fit, and that need fillers; and an empty layer."


@check(8, "layer_bits")
def check_layer_bits(answer: Callable) -> str:
    """(bits with a bitmap, bits with gaps) of a layer, values included."""
    mask = np.zeros((4, 10), dtype=bool)
    mask.flat[[1, 4, 15, 38]] = True
    n, n_kept, value_bits, gap_bits = mask.size, 4, 5, 3
    n_gaps = len(_gaps(np.flatnonzero(mask), gap_bits)[0])
    got = call(answer, mask, value_bits, gap_bits, told="a 4×10 mask, 5-bit values, 3-bit gaps")
    bitmap, gaps = pair(got, 2, "bits with a bitmap, bits with gaps")
    suspects = [
        (
            "Only kept weights have a value: a bit for every weight, a value for each kept one.",
            n * (value_bits + 1),
        ),
        ("The bitmap has a bit for *every* weight.", n_kept * (value_bits + 1), n_kept * value_bits),
        ("The values are missing.", n),
        ("Bytes, not bits.", (n + n_kept * value_bits) / 8),
    ]
    expect(bitmap, n + n_kept * value_bits, suspects=suspects, what="The size with a bitmap")
    suspects = [
        ("The fillers are missing: they are stored like weights.", n_kept * (value_bits + gap_bits)),
        (
            "A filler has a value too, 0: every entry takes value_bits + gap_bits.",
            n_kept * value_bits + n_gaps * gap_bits,
        ),
        ("The values are missing.", n_gaps * gap_bits),
        ("The bitmap is not needed when there are gaps.", n + n_gaps * (value_bits + gap_bits)),
        ("Bytes, not bits.", n_gaps * (value_bits + gap_bits) / 8),
        (
            "The rows are coded one by one: the positions run on through the whole layer, row after row.",
            sum(len(_gaps(np.flatnonzero(row), gap_bits)[0]) for row in mask) * (value_bits + gap_bits),
        ),
    ]
    expect(gaps, n_gaps * (value_bits + gap_bits), suspects=suspects, what="The size with gaps")
    return "A small layer both ways, fillers counted."


# ----------------------------------------------------------------------------------------------------
# Week 5, first half: scores, and the masks that follow from them with exact counts.

Arrays = Mapping[str, np.ndarray]


def named_arrays(got: object, names: Arrays, what: str) -> dict[str, np.ndarray]:
    """The arrays of a dict that should have the keys of `names`.

    Raises
    ------
    NotYet
        It is no dict, has other keys, or something else than arrays in it.
    """
    if not isinstance(got, Mapping):
        raise NotYet(f"It returns a {type(got).__name__}, expected a dict: name -> {what}.")
    if set(got) != set(names):
        raise NotYet(f"Its keys are {sorted(map(str, got))}, expected {sorted(names)}.")
    return {name: as_array(got[name], f"The {what} of {name!r}") for name in names}


def expect_each(
    got: Arrays, wanted: Arrays, *, suspects: list[tuple[str, Arrays]], shown: Arrays, what: str
) -> None:
    """Compare arrays of the same names; a suspect has to fit all of them.

    Raises
    ------
    NotYet
        With the first suspect's hint that fits, at the first array that is wrong.
    """
    hint = next((hint for hint, wrong in suspects if _all_equal(got, wrong)), "")
    for name, right in wanted.items():
        expect(
            got[name],
            right,
            what=f"The {what} of {name!r}",
            shown={f"{name!r}": shown[name]},
            suspects=[(hint, got[name])] if hint else [],
        )


def keep(scores: Arrays, n_keep: int, *, last: bool = False) -> dict[str, np.ndarray]:
    """Masks of the n_keep highest of all scores; among equals the first win, or the last."""
    flat = np.concatenate([np.ravel(score) for score in scores.values()])
    order = np.argsort(-flat, kind="stable")
    if last:
        order = flat.size - 1 - np.argsort(-flat[::-1], kind="stable")
    kept = np.zeros(flat.size, dtype=bool)
    kept[order[:n_keep]] = True
    ends = np.cumsum([score.size for score in scores.values()])[:-1]
    parts = np.split(kept, ends)
    return {
        name: part.reshape(score.shape) for (name, score), part in zip(scores.items(), parts, strict=True)
    }


_WEIGHTS = {"fc1": np.array([[0.5, -2.0, 0.0], [1.5, -0.25, 3.0]]), "fc2": np.array([[-1.0, 4.0]])}


@check(1, "magnitude")
def check_magnitude(answer: Callable) -> str:
    """{name: |weights|}."""
    got = named_arrays(call(answer, _WEIGHTS, told="two small layers"), _WEIGHTS, "scores")
    suspects = [
        ("A large negative weight matters as much as a large positive one: the sign has to go.", _WEIGHTS),
        ("Squares order one layer alike, but the criterion is the magnitude itself.", _mapped(np.square)),
        (
            "Each layer is divided by its own largest weight: then the layers cannot be compared any more.",
            _mapped(lambda w: np.abs(w) / np.abs(w).max()),
        ),
        ("One number a layer: every weight has its own score.", _mapped(lambda w: np.abs(w).mean())),
        ("Every sign is turned: higher means keep.", _mapped(lambda w: -np.abs(w))),
    ]
    expect_each(got, _mapped(np.abs), suspects=suspects, shown=_WEIGHTS, what="scores")
    return "The magnitudes of two layers."


def _mapped(function: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
    return {name: function(weight) for name, weight in _WEIGHTS.items()}


# Ten scores, four of them tied where the cut is; then negative ones; then a number that has to be rounded.
_TIED = {"fc1": np.array([[3.0, 1, 2], [2, 0, 4]]), "fc2": np.array([[2.0, 5], [1, 2]])}
_NEGATIVE = {"fc1": np.array([[-3.0, 0.5], [-0.1, -2]]), "fc2": np.array([[5.0, -4]])}
_MANY = {"fc1": np.arange(16.0).reshape(4, 4)[::-1].copy()}


@check(2, "global_masks")
def check_global_masks(answer: Callable) -> str:
    """{name: bool mask}: exactly round((1 − sparsity) · n) of all weights, the earlier of equals first."""
    cases = (
        (_TIED, 0.6, "10 scores, four of them equal, sparsity 0.6"),
        (_NEGATIVE, 0.5, "scores that may be negative, sparsity 0.5"),
        (_MANY, 0.9, "16 scores, sparsity 0.9"),
        (_MANY, 0.85, "16 scores, sparsity 0.85"),
        (_TIED, 0.0, "sparsity 0"),
        (_TIED, 1.0, "sparsity 1"),
    )
    for scores, sparsity, told in cases:
        n = sum(score.size for score in scores.values())
        n_keep = round((1 - sparsity) * n)
        got = _masks(call(answer, scores, sparsity, told=told), scores)
        magnitudes = {name: np.abs(score) for name, score in scores.items()}
        suspects = [
            (
                "The number to keep is rounded to the nearest, not down.",
                keep(scores, int((1 - sparsity) * n)),
            ),
            (
                "The number to keep is rounded to the nearest, not up.",
                keep(scores, int(np.ceil((1 - sparsity) * n))),
            ),
            (
                "All that reach the threshold are kept, the tied ones too: that is more than was asked for.",
                _above(scores, n_keep, np.greater_equal),
            ),
            (
                "None of those that are tied at the threshold is kept: that is fewer than was asked for.",
                _above(scores, n_keep, np.greater),
            ),
            (
                "Among equal scores the *earlier* one wins: a stable sort keeps their order.",
                keep(scores, n_keep, last=True),
            ),
            (
                "That many are kept of *each* layer: here all scores compete in one list.",
                _each(scores, sparsity),
            ),
            (
                "The mask is turned round: True stands for a weight that is kept.",
                {name: ~mask for name, mask in keep(scores, n_keep).items()},
            ),
            ("The lowest scores are kept.", keep({k: -v for k, v in scores.items()}, n_keep)),
            ("Sparsity is the fraction of *zeros*: 1 − sparsity is kept.", keep(scores, round(sparsity * n))),
            (
                "The scores are compared as they are: other criteria than magnitude may be negative.",
                keep(magnitudes, n_keep),
            ),
        ]
        expect_each(got, keep(scores, n_keep), suspects=suspects, shown=scores, what="mask")
    return "Exact counts over two layers, with ties, negative scores, and at both ends."


@check(3, "layerwise_masks")
def check_layerwise_masks(answer: Callable) -> str:
    """{name: bool mask}, each layer at its own sparsity."""
    goals = {"fc1": 0.75, "fc2": 0.5}
    got = _masks(call(answer, _TIED, goals, told=f"the sparsities {goals}"), _TIED)
    n_keep = sum(round((1 - goals[name]) * score.size) for name, score in _TIED.items())
    wanted = _each(_TIED, goals)
    suspects = [
        ("The layers compete with each other: each should have a list of its own.", keep(_TIED, n_keep)),
        ("Every layer got the first one's sparsity.", _each(_TIED, 0.75)),
        ("Every layer got the last one's sparsity.", _each(_TIED, 0.5)),
        (
            "Sparsity is the fraction of *zeros*: 1 − sparsity is kept.",
            _each(_TIED, {name: 1 - goal for name, goal in goals.items()}),
        ),
        (
            "The mask is turned round: True stands for a weight that is kept.",
            {name: ~mask for name, mask in wanted.items()},
        ),
    ]
    expect_each(got, wanted, suspects=suspects, shown=_TIED, what="mask")
    return "Two layers, two sparsities."


def _masks(got: object, scores: Arrays) -> dict[str, np.ndarray]:
    """A dict of boolean arrays of the scores' shapes."""
    masks = named_arrays(got, scores, "mask")
    for name, mask in masks.items():
        if mask.shape == scores[name].shape:
            expect_dtype(mask, "bool", "A mask is boolean: True is kept.", what=f"The mask of {name!r}")
    return masks


def _above(scores: Arrays, n_keep: int, compare: Callable) -> dict[str, np.ndarray]:
    flat = np.sort(np.concatenate([np.ravel(score) for score in scores.values()]))[::-1]
    threshold = flat[n_keep - 1] if n_keep else np.inf
    return {name: compare(score, threshold) for name, score in scores.items()}


def _each(scores: Arrays, sparsity: float | Mapping[str, float]) -> dict[str, np.ndarray]:
    masks = {}
    for name, score in scores.items():
        own = sparsity[name] if isinstance(sparsity, Mapping) else sparsity
        masks |= keep({name: score}, round((1 - own) * score.size))
    return masks


def _all_equal(got: Arrays, wrong: Arrays) -> bool:
    return all(
        got[name].shape == np.shape(wrong[name]) and np.allclose(got[name], wrong[name]) for name in got
    )


# ----------------------------------------------------------------------------------------------------
# Week 5, second half: the cubic schedule, a step that keeps the masks, the sensitivity scan.

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
        (
            "Before the start nothing is pruned: the curve must not go on below 0.",
            _FINAL * (1 - (1 - np.minimum(part, 1)) ** 3),
        ),
        (
            "After the end the sparsity stays at its final value.",
            _FINAL * (1 - (1 - np.maximum(part, 0)) ** 3),
        ),
        (
            "It is right between start and end only: hold it at 0 before, and at the final value after.",
            _FINAL * (1 - (1 - part) ** 3),
        ),
        ("That is a straight line: the exponent 3 is missing.", _FINAL * inside),
        ("That is slow at first and steep at the end: it should be the other way round.", _FINAL * inside**3),
        ("The curve goes down: that is what is still to be pruned.", _FINAL * (1 - inside) ** 3),
        ("That is the density: the sparsity is asked for.", 1 - right),
        (
            "The steps count from the start, not from 0.",
            _FINAL * (1 - (1 - np.clip(steps / _END, 0, 1)) ** 3),
        ),
        (
            "Divided by the end: the way is end − start long.",
            _FINAL * (1 - (1 - np.clip((steps - _START) / _END, 0, 1)) ** 3),
        ),
        ("The exponent is 2, expected 3.", _FINAL * (1 - (1 - inside) ** 2)),
        ("It ends at 1: the final sparsity is not used.", 1 - (1 - inside) ** 3),
    ]
    expect(
        [value.item() for value in got],
        right,
        suspects=suspects,
        what="The curve",
        shown={"step": np.array(_STEPS)},
    )
    return "Seven steps, two of them outside."


_START = {"fc1": np.array([[1.0, 0.0, -2.0], [0.0, 3.0, 0.5]]), "fc2": np.array([[0.0, -1.0]])}
_GRADIENTS = {"fc1": np.array([[0.2, -0.4, 0.6], [1.0, 0.0, -0.2]]), "fc2": np.array([[0.8, 0.4]])}
_VELOCITY = {"fc1": np.array([[0.5, 1.0, 0.0], [-1.0, 0.5, 1.5]]), "fc2": np.array([[2.0, 0.0]])}
_MASKS = {name: weight != 0 for name, weight in _START.items()}
_RATE, _MOMENTUM = 0.1, 0.9


def _step(*, sign=-1.0, of_gradient=False, at_end=True, turned=False, momentum=_MOMENTUM, scaled=1.0):
    """Weights and velocity after a step, with switches for what is forgotten."""
    weights, velocity = {}, {}
    for name, mask in _MASKS.items():
        mask = ~mask if turned else mask
        gradient = _GRADIENTS[name] * mask if of_gradient else _GRADIENTS[name]
        velocity[name] = momentum * _VELOCITY[name] + gradient
        weights[name] = _START[name] + sign * scaled * _RATE * velocity[name]
        if at_end:
            weights[name] = weights[name] * mask
    return weights, velocity


@check(5, "masked_step")
def check_masked_step(answer: Callable) -> str:
    """(weights, velocity) after v ← μ v + g, w ← w − η v, and the mask; in new dicts."""
    arguments = (_START, _GRADIENTS, _VELOCITY, _MASKS, _RATE, _MOMENTUM)
    got = call(answer, *arguments, told="two layers, and a velocity from before")
    weights, velocity = pair(got, 2, "new weights, new velocity")
    weights = named_arrays(weights, _START, "weights")
    velocity = named_arrays(velocity, _START, "velocity")
    right, right_velocity = _step()
    unmoved = {name: -_RATE * _GRADIENTS[name] * mask + _START[name] for name, mask in _MASKS.items()}
    suspects = [
        ("The pruned weights move: apply the mask after the step.", _step(at_end=False)[0]),
        (
            "Masking the gradient is not enough: the velocity from before still pushes pruned weights.",
            _step(at_end=False, of_gradient=True)[0],
        ),
        ("The mask is turned round: True stands for a weight that is kept.", _step(turned=True)[0]),
        ("Uphill: the step goes against the velocity.", _step(sign=1.0)[0]),
        ("The momentum is not used.", unmoved, _step(momentum=0.0)[0]),
        (
            "The velocity from before counts in full: it is multiplied by the momentum.",
            _step(momentum=1.0)[0],
        ),
        ("The learning rate is missing, or used twice.", _step(scaled=1 / _RATE)[0], _step(scaled=_RATE)[0]),
        (
            "The step uses the old velocity: renew it first.",
            {name: (_START[name] - _RATE * _VELOCITY[name]) * mask for name, mask in _MASKS.items()},
        ),
        ("Nothing moves.", _START),
    ]
    flat = [(hint, wrong) for hint, *wrongs in suspects for wrong in wrongs]
    expect_each(weights, right, suspects=flat, shown=_MASKS, what="weights")
    for name, mask in _MASKS.items():  # the velocity of a pruned weight may be what it likes
        if velocity[name].shape != mask.shape:
            raise NotYet(f"The velocity of {name!r} has shape {velocity[name].shape}, expected {mask.shape}.")
        velocity[name] = np.where(mask, velocity[name], right_velocity[name])
    suspects = [
        ("The velocity is returned as it came: the next step needs the new one.", _VELOCITY),
        (
            "The learning rate belongs to the weights, not into the velocity.",
            {name: _RATE * value for name, value in right_velocity.items()},
        ),
    ]
    visible = [
        (hint, {name: np.where(mask, wrong[name], right_velocity[name]) for name, mask in _MASKS.items()})
        for hint, wrong in suspects
    ]
    expect_each(velocity, right_velocity, suspects=visible, shown=_MASKS, what="velocity")
    return "Two layers; pruned weights at exactly 0, the others moved."


_LAYERS = {
    "fc1": np.array([[4.0, -1.0], [2.0, -3.0]]),
    "fc2": np.array([[0.5, -8.0]]),
    "fc3": np.array([[-6.0, 5.0]]),
}
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
        (
            "A layer stays pruned when the next one is: start from the whole network every time.",
            cumulative,
            one_after_the_other,
        ),
        (
            "A layer stays pruned from one sparsity to the next: start from the whole layer every time.",
            deeper,
        ),
        (
            "All layers are pruned together: only one at a time.",
            {name: [_accuracy(_pruned(_LAYERS, names, level)) for level in _LEVELS] for name in names},
        ),
        (
            "All layers but the one are pruned: it is the one that should be.",
            {
                name: [_accuracy(_pruned(_LAYERS, tuple(set(names) - {name}), level)) for level in _LEVELS]
                for name in names
            },
        ),
        ("Nothing was pruned when it was measured.", {name: [whole] * len(_LEVELS) for name in names}),
        (
            "Sparsity is the fraction of *zeros*: 1 − sparsity is kept.",
            {name: [_accuracy(_pruned(_LAYERS, (name,), 1 - level)) for level in _LEVELS] for name in names},
        ),
        (
            "Losses, not accuracies: return what was measured.",
            {name: [whole - value for value in row] for name, row in alone.items()},
        ),
        (
            "The sparsities are in another order: keep the caller's.",
            {name: [row[2], row[0], row[1]] for name, row in alone.items()},
        ),
    ]
    flat = [(hint, wrong) for hint, *wrongs in suspects for wrong in wrongs]
    expect_each(rows, alone, suspects=flat, shown=_LAYERS, what="accuracies")
    return "Three layers at three sparsities, one at a time."


__all__ = [
    "QUESTIONS",
    "check_cubic_sparsity",
    "check_encode_gaps",
    "check_global_masks",
    "check_layer_bits",
    "check_layerwise_masks",
    "check_magnitude",
    "check_masked_step",
    "check_sensitivity",
    "grade",
]

QUESTIONS = (
    Question(1, "Scores", 1, "magnitude", check_magnitude),
    Question(2, "One threshold for all", 3, "global_masks", check_global_masks),
    Question(3, "A sparsity for each layer", 1, "layerwise_masks", check_layerwise_masks),
    Question(4, "Little by little", 2, "cubic_sparsity", check_cubic_sparsity),
    Question(5, "Zeros that stay", 2, "masked_step", check_masked_step),
    Question(6, "Which layers bear it", 2, "sensitivity", check_sensitivity),
    Question(7, "Gaps with fillers", 3, "encode_gaps", check_encode_gaps),
    Question(8, "What a layer costs", 2, "layer_bits", check_layer_bits),
    Question(9, "Defend your schedule", 4),
)


def grade(namespace: Mapping[str, object]) -> Grades:
    """Points of all questions; `namespace` is the notebook's ``globals()``."""
    return grading.grade(QUESTIONS, namespace)
