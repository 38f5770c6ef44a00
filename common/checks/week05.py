"""The questions of week 5: the highest sparsity within one point."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from common.checks import grading
from common.checks.comparing import as_array, call, expect, expect_dtype, expect_integers, kind_of, pair
from common.checks.grading import Grades, NotYet, Question, check

# ----------------------------------------------------------------------------------------------------
# Week 5, the end: gaps with fillers.


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
        ([2, 6, 19], 3),
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
            "Distances instead of gaps: between neighbours no zero is passed, so the gap is 0.": [
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
            "A filler takes a cell of its own: it passes one cell more than its gap says.": [
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
            ("Those are the positions themselves: store how many zeros lie between.", positions),
        ]
        shown = {"positions": np.array(positions)}
        expect(gaps, wanted, suspects=suspects, what="The list of gaps", shown=shown)
        suspects = [
            ("The flags are inverted: True marks a filler.", [not flag for flag in wanted_flags]),
            ("The filler comes *before* the weight that is too far.", wanted_flags[1:] + wanted_flags[:1]),
            ("No filler is marked: the decoder would take fillers for weights.", [False] * len(wanted_flags)),
            (
                "A gap of the largest size is not always a filler: it may belong to a weight.",
                [gap == most for gap in wanted],
            ),
        ]
        expect(flags, wanted_flags, suspects=suspects, what="The list of fillers", shown=shown)
        expect_integers(gaps, "The list of gaps", "A gap counts zeros.")
        hint = "Use True and False: as an index, 0 and 1 select places, and `~` turns them into −1 and −2."
        expect_dtype(flags, "bool", hint, what="The list of fillers")
    got = pair(call(answer, np.array([], dtype=int), 3, told="no positions"), 2, "gaps, is_filler")
    expect(np.size(as_array(got[0])), 0, what="The number of gaps of an empty layer")
    return "Gaps that fit, that just fit, and that need fillers; and an empty layer."


# ----------------------------------------------------------------------------------------------------
# Week 5, first half: scores, and the masks that follow from them with exact counts.

Arrays = Mapping[str, np.ndarray]


def named_arrays(got: object, names: Arrays, what: str) -> dict[str, np.ndarray]:
    """The arrays of a dict that should have the keys of `names`.

    Raises
    ------
    NotYet
        It is not a dict, has other keys, or something else than arrays in it.
    """
    if not isinstance(got, Mapping):
        raise NotYet(f"It returns {kind_of(got)}, expected a dict: name -> {what}.")
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
        ("Squares give the same order, but the criterion is the magnitude itself.", _mapped(np.square)),
        (
            "Each layer is divided by its own largest weight: then the layers cannot be compared any more.",
            _mapped(lambda w: np.abs(w) / np.abs(w).max()),
        ),
        ("One number per layer: every weight has its own score.", _mapped(lambda w: np.abs(w).mean())),
        ("Every sign is inverted: a higher score means keep.", _mapped(lambda w: -np.abs(w))),
    ]
    expect_each(got, _mapped(np.abs), suspects=suspects, shown=_WEIGHTS, what="scores")
    kernels = {"conv": np.random.default_rng(1).normal(size=(2, 3, 2, 2)), "bias": np.array([-3.0, 2.0])}
    got = named_arrays(call(answer, kernels, told="a convolution and a bias"), kernels, "scores")
    wanted = {name: np.abs(weight) for name, weight in kernels.items()}
    expect_each(got, wanted, suspects=[], shown=kernels, what="scores")
    return "The magnitudes of two layers, and of a convolution."


def _mapped(function: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
    return {name: function(weight) for name, weight in _WEIGHTS.items()}


# Ten scores, four of them tied where the cut is; then negative ones; then a number that has to be rounded.
_TIED = {"fc1": np.array([[7.0, 6, 2], [2, 8, 4]]), "fc2": np.array([[2.0, 1], [0, 2]])}
_NEGATIVE = {"fc1": np.array([[-3.0, 0.5], [-0.1, -2]]), "fc2": np.array([[5.0, -4]])}
_THOUSANDS = {  # equal ones at the cut, in both layers; far more than an unstable sort leaves in order
    "fc1": np.rint(np.abs(np.random.default_rng(4).normal(size=(40, 50))) * 2),
    "fc2": np.rint(np.abs(np.random.default_rng(5).normal(size=(20, 50))) * 2.5),
}
_MANY = {"fc1": np.arange(16.0).reshape(4, 4)[::-1].copy()}


@check(2, "global_masks")
def check_global_masks(answer: Callable) -> str:
    """{name: bool mask}: exactly round((1 − sparsity) · n) of all weights, the earlier of equals first."""
    cases = (
        (_TIED, 0.5, "10 scores, four of them equal, sparsity 0.5"),
        (_THOUSANDS, 0.55, "3,000 scores, of which a thousand are equal, sparsity 0.55"),
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
                "That many are kept of *each* layer: here all scores compete in one list.",
                _each(scores, sparsity),
            ),
            ("Round the number to keep to the nearest, not down.", keep(scores, int((1 - sparsity) * n))),
            (
                "Round the number to keep to the nearest, not up.",
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
                "The mask is inverted: True stands for a weight that is kept.",
                {name: ~mask for name, mask in keep(scores, n_keep).items()},
            ),
            (
                "The lowest scores are kept: keep the highest.",
                keep({k: -v for k, v in scores.items()}, n_keep),
            ),
            ("Sparsity is the fraction of *zeros*: 1 − sparsity is kept.", keep(scores, round(sparsity * n))),
            (
                "You take absolute values: compare the scores as they are, for other criteria can be "
                "negative.",
                keep(magnitudes, n_keep),
            ),
        ]
        wanted = keep(scores, n_keep)
        if _right_but_ties(got, wanted, scores):  # before the layers: a few ties can look like them
            suspects.insert(
                0,
                (
                    "Which of the equal scores are kept is left to chance: a sort keeps their order only if "
                    "asked (kind='stable', or stable=True in torch), and topk never does.",
                    got,
                ),
            )
            if _all_equal(got, keep(scores, n_keep, last=True)):
                hint = "Among equal scores the *earlier* one wins: a stable sort keeps their order."
                suspects.insert(0, (hint, got))
        expect_each(got, wanted, suspects=suspects, shown=scores, what="mask")
    return "Exact counts over two layers, with ties, negative scores, and at both ends."


def _right_but_ties(got: Arrays, wanted: Arrays, scores: Arrays) -> bool:
    """Whether the right number of scores is kept, and the same scores, but other ones of the equal."""
    if any(got[name].shape != wanted[name].shape for name in wanted):
        return False
    kept = [
        np.sort(np.concatenate([scores[n][mask[n].astype(bool)] for n in scores])) for mask in (got, wanted)
    ]
    return np.array_equal(*kept) and not _all_equal(got, wanted)


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


@check(3, "cubic_sparsity")
def check_cubic_sparsity(answer: Callable) -> str:
    """0 until the start, along 1 − (1 − part)³ to the final sparsity at the end, and there from then on."""
    _check_curve(answer, (0, 2, 4, 6, 8, 10, 12), 2, 10, 0.8)
    _check_curve(answer, (3, 5, 6, 11, 29, 30, 44), 5, 30, 0.95)
    return "Two schedules of seven steps, some of them outside."


def _check_curve(answer: Callable, places: tuple[int, ...], start: int, end: int, final: float) -> None:
    told = f"start {start}, end {end}, final {final}"
    got = [as_array(call(answer, step, start, end, final, told=f"step {step}, {told}")) for step in places]
    if any(value.size != 1 for value in got):
        raise NotYet("It returns an array, expected one number per step.")
    steps = np.array(places, dtype=float)
    part = (steps - start) / (end - start)
    inside = np.clip(part, 0, 1)
    right = final * (1 - (1 - inside) ** 3)
    suspects = [
        (
            "Before the start nothing is pruned: the curve must not go on below 0.",
            final * (1 - (1 - np.minimum(part, 1)) ** 3),
        ),
        (
            "After the end the sparsity stays at its final value.",
            final * (1 - (1 - np.maximum(part, 0)) ** 3),
        ),
        (
            "It is right between start and end only: hold it at 0 before, and at the final value after.",
            final * (1 - (1 - part) ** 3),
        ),
        ("That is a straight line: the exponent 3 is missing.", final * inside),
        ("That is slow at first and steep at the end: it should be the other way round.", final * inside**3),
        ("The curve goes down: that is what is still to be pruned.", final * (1 - inside) ** 3),
        ("That is the density: the sparsity is asked for.", 1 - right),
        ("Count the steps from the start, not from 0.", final * (1 - (1 - np.clip(steps / end, 0, 1)) ** 3)),
        (
            "Divided by `end`: the schedule is end − start steps long.",
            final * (1 - (1 - np.clip((steps - start) / end, 0, 1)) ** 3),
        ),
        ("The exponent is 2, expected 3.", final * (1 - (1 - inside) ** 2)),
        ("It ends at 1: the final sparsity is not used.", 1 - (1 - inside) ** 3),
        ("That is what is added at each step: the sparsity itself is asked for.", np.diff(right, prepend=0)),
    ]
    expect(
        [value.item() for value in got],
        right,
        suspects=suspects,
        what="The curve",
        shown={"step": np.array(places)},
    )


# a mask is not `weights != 0`: a kept weight may be 0 at this moment, and a pruned one not yet
_START = {"fc1": np.array([[1.0, 0.0, -2.0], [0.0, 3.0, 0.5]]), "fc2": np.array([[0.7, -1.0]])}
_GRADIENTS = {"fc1": np.array([[0.2, -0.4, 0.6], [1.0, 0.0, -0.2]]), "fc2": np.array([[0.8, 0.4]])}
_VELOCITY = {"fc1": np.array([[0.5, 1.0, 0.0], [-1.0, 0.5, 1.5]]), "fc2": np.array([[2.0, 0.0]])}
_MASKS = {"fc1": np.array([[1, 1, 0], [0, 1, 1]], bool), "fc2": np.array([[0, 1]], bool)}
_RATE, _MOMENTUM = 0.1, 0.9


def _step(
    *,
    sign=-1.0,
    of_gradient=False,
    at_end=True,
    turned=False,
    momentum=_MOMENTUM,
    scaled=1.0,
    dampened=1.0,
    nesterov=False,
    masks=_MASKS,
    before=False,
):
    """Weights and velocity after a step, with switches for what is forgotten."""
    weights, velocity = {}, {}
    for name, mask in masks.items():
        mask = ~mask if turned else mask
        gradient = dampened * (_GRADIENTS[name] * mask if of_gradient else _GRADIENTS[name])
        velocity[name] = momentum * _VELOCITY[name] + gradient
        push = gradient + momentum * velocity[name] if nesterov else velocity[name]
        start = _START[name] * mask if before else _START[name]
        weights[name] = start + sign * scaled * _RATE * push
        if at_end:
            weights[name] = weights[name] * mask
    return weights, velocity


@check(4, "masked_step")
def check_masked_step(answer: Callable) -> str:
    """(weights, velocity) after v ← μ v + g, w ← w − η v, and the mask; in new dicts."""
    arguments = (_START, _GRADIENTS, _VELOCITY, _MASKS, _RATE, _MOMENTUM)
    got = call(answer, *arguments, told="two layers, and a velocity from before")
    weights, velocity = pair(got, 2, "new weights, new velocity")
    weights = named_arrays(weights, _START, "weights")
    velocity = named_arrays(velocity, _START, "velocity")
    right, right_velocity = _step()
    unmoved = {name: -_RATE * _GRADIENTS[name] * mask + _START[name] for name, mask in _MASKS.items()}
    of_zeros = {name: weight != 0 for name, weight in _START.items()}
    suspects = [
        (
            "`masks` is not used: a kept weight may be 0 at this moment, and a pruned one not yet.",
            _step(masks=of_zeros)[0],
        ),
        ("The pruned weights move: apply the mask after the step.", _step(at_end=False)[0]),
        ("The mask comes last: here it was applied before the step.", _step(at_end=False, before=True)[0]),
        ("That is Nesterov's momentum: here w ← w − η v, with the new v.", _step(nesterov=True)[0]),
        ("The gradient counts in full: v ← μ v + g, not μ v + (1 − μ) g.", _step(dampened=1 - _MOMENTUM)[0]),
        (
            "Masking the gradient is not enough: the velocity from before still pushes pruned weights.",
            _step(at_end=False, of_gradient=True)[0],
        ),
        ("The mask is inverted: True stands for a weight that is kept.", _step(turned=True)[0]),
        ("Uphill: subtract the velocity times the learning rate, do not add it.", _step(sign=1.0)[0]),
        ("The momentum is not used.", unmoved, _step(momentum=0.0)[0]),
        ("The old velocity counts in full: it has to be multiplied by the momentum.", _step(momentum=1.0)[0]),
        ("The learning rate is missing, or used twice.", _step(scaled=1 / _RATE)[0], _step(scaled=_RATE)[0]),
        (
            "The step uses the old velocity: update it first.",
            {name: (_START[name] - _RATE * _VELOCITY[name]) * mask for name, mask in _MASKS.items()},
        ),
        ("Nothing moves: return the weights after the step.", _START),
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
            "The learning rate belongs in the step of the weights, not in the velocity.",
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


def _pruned_globally(weights: Arrays, name: str, sparsity: float) -> dict:
    """One layer pruned by the threshold that all layers together would have."""
    scores = {other: np.abs(weight) for other, weight in weights.items()}
    n_keep = round((1 - sparsity) * sum(score.size for score in scores.values()))
    return {**weights, name: weights[name] * keep(scores, n_keep)[name]}


def _pruned(weights: Arrays, names: tuple[str, ...], sparsity: float, of: Callable = np.abs) -> dict:
    """The weights with some layers pruned by magnitude, each on its own."""
    result = dict(weights)
    for name in names:
        scores = {name: of(weights[name])}
        result[name] = weights[name] * keep(scores, round((1 - sparsity) * weights[name].size))[name]
    return result


@check(5, "sensitivity")
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
            "All layers are pruned together: prune only one at a time.",
            {name: [_accuracy(_pruned(_LAYERS, names, level)) for level in _LEVELS] for name in names},
        ),
        (
            "All layers but the one are pruned: prune that one, and leave the others whole.",
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
            "Losses instead of accuracies: return what was measured.",
            {name: [whole - value for value in row] for name, row in alone.items()},
        ),
        (
            "Pruned by the weights as they are: the smallest *magnitudes* go, so take the absolute value.",
            {
                name: [_accuracy(_pruned(_LAYERS, (name,), level, of=lambda w: w)) for level in _LEVELS]
                for name in names
            },
        ),
        (
            "You use one threshold for all layers together: only the one layer's own weights compete.",
            {
                name: [_accuracy(_pruned_globally(_LAYERS, name, level)) for level in _LEVELS]
                for name in names
            },
        ),
        (
            "The sparsities are in another order: keep the caller's.",
            {name: [row[2], row[0], row[1]] for name, row in alone.items()},
        ),
    ]
    flat = [(hint, wrong) for hint, *wrongs in suspects for wrong in wrongs]
    expect_each(rows, alone, suspects=flat, shown=_LAYERS, what="accuracies")
    return "Three layers at three sparsities, one at a time."


# ----------------------------------------------------------------------------------------------------
# Week 5: sparsities from a scan, and a channel cut out of conv, batch norm, conv.

_TOP1 = 0.92
_SCANS = (
    {
        "conv1": [(0.5, 0.915), (0.8, 0.86), (0.95, 0.4)],
        "conv2": [(0.5, 0.93), (0.8, 0.905), (0.95, 0.912)],  # falls below the line, and comes back
        "fc1": [(0.5, 0.92), (0.8, 0.925), (0.95, 0.918)],
        "fc2": [(0.5, 0.70), (0.8, 0.915), (0.95, 0.2)],
    },
    {"a": [(0.3, 0.88), (0.6, 0.87), (0.9, 0.60)], "b": [(0.3, 0.9), (0.6, 0.91), (0.9, 0.89)]},
)


@check(6, "sparsities_from_scan")
def check_sparsities_from_scan(answer: Callable) -> str:
    """{layer: the highest sparsity up to which no level of its scan loses more than `allowed`, else 0}."""
    for scan, allowed in zip(_SCANS, (0.01, 0.045), strict=True):
        told = f"{len(scan)} layers of three levels, top-1 {_TOP1}, {allowed} allowed"
        got = named_arrays(call(answer, scan, _TOP1, allowed, told=told), scan, "sparsity")
        wanted = {name: _highest(rows, allowed) for name, rows in scan.items()}
        first = next(iter(wanted.values()))
        suspects = [
            (
                "Once a layer has lost too much, stop there, even where a higher level is allowed "
                "again by luck.",
                {name: _highest(rows, allowed, stop=False) for name, rows in scan.items()},
            ),
            (
                "Each level is one too high: the last that is still allowed is asked for.",
                {name: _highest(rows, allowed, beyond=True) for name, rows in scan.items()},
            ),
            (
                "Compare each layer's accuracy with that of the whole network, less `allowed`.",
                {name: _highest(rows, 0.0) for name, rows in scan.items()},
                {name: _highest(rows, _TOP1 - allowed) for name, rows in scan.items()},
            ),
            (
                "A layer for which no level is allowed stays whole: sparsity 0.",
                {name: value or scan[name][0][0] for name, value in wanted.items()},
            ),
            (
                "The *highest* level that is allowed is asked for.",
                {name: min(value, scan[name][0][0]) for name, value in wanted.items()},
            ),
            (
                "Those are accuracies: the sparsities are asked for.",
                {name: dict(scan[name]).get(value, _TOP1) for name, value in wanted.items()},
            ),
            ("Densities: sparsity is the fraction of zeros.", {name: 1 - v for name, v in wanted.items()}),
            (
                "Every layer has the first one's sparsity: each has a scan of its own.",
                dict.fromkeys(wanted, first),
            ),
        ]
        suspects = [
            (hint, {name: np.asarray(value) for name, value in wrong.items()})
            for hint, *wrongs in suspects
            for wrong in wrongs
        ]
        right = {name: np.asarray(value) for name, value in wanted.items()}
        shown = {name: np.array(rows) for name, rows in scan.items()}
        expect_each(got, right, suspects=suspects, shown=shown, what="sparsity")
    return "Layers that bear much, little and nothing, and one that comes back by luck."


def _highest(rows, allowed: float, *, stop: bool = True, beyond: bool = False) -> float:
    """The highest level allowed, with switches for what goes wrong."""
    best = 0.0
    for sparsity, top1 in rows:
        if top1 >= _TOP1 - allowed - 1e-9:
            best = sparsity
        elif stop:
            return sparsity if beyond else best
    return best


@check(8, "cut_channel")
def check_cut_channel(answer: Callable) -> str:
    """(conv, batch norm, conv) without one channel between them; what is left computes as before."""
    for number in range(3):
        first, norm, second, images = _three_layers(number)
        for channel in (0, first.out_channels - 1, 1):
            told = f"{first.out_channels} channels, channel {channel}"
            got = call(answer, first, norm, second, channel, told=told)
            _check_cut(
                pair(got, 3, "the first convolution, batch norm, the second one"),
                first,
                norm,
                second,
                channel,
                images,
            )
    return "Three pairs of convolutions, with and without bias, stride and padding: each was run."


def _three_layers(number: int) -> tuple:
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(number)
        first, second = (
            (nn.Conv2d(3, 5, 3, padding=1, bias=False), nn.Conv2d(5, 4, 3, padding=1)),
            (nn.Conv2d(2, 4, 5, stride=2, padding=2), nn.Conv2d(4, 6, 1, bias=False)),
            (nn.Conv2d(1, 3, (1, 3)), nn.Conv2d(3, 3, 3, padding=2, dilation=2)),
        )[number]
        norm = nn.BatchNorm2d(first.out_channels)
        with torch.no_grad():
            for values in (norm.weight, norm.bias, norm.running_mean):
                values.normal_()
            norm.running_var.uniform_(0.5, 3)
        return first.eval(), norm.eval(), second.eval(), torch.randn(2, first.in_channels, 9, 12)


def _check_cut(parts: tuple, first, norm, second, channel: int, images) -> None:
    """Raise `NotYet` unless the three modules are the first three without the channel."""
    import torch
    from torch import nn

    n = first.out_channels
    for part, kind, what in zip(parts, (nn.Conv2d, nn.BatchNorm2d, nn.Conv2d), _PLACES, strict=True):
        if not isinstance(part, kind):
            raise NotYet(f"{what} is {kind_of(part)}, expected an nn.{kind.__name__}.")
    found = {
        "weight of the first convolution": (parts[0].weight, (n - 1, *first.weight.shape[1:])),
        "weight of batch norm": (parts[1].weight, (n - 1,)),
        "running_mean of batch norm": (parts[1].running_mean, (n - 1,)),
        "weight of the second convolution": (
            parts[2].weight,
            (second.out_channels, n - 1, *second.kernel_size),
        ),
    }
    if first.bias is not None:
        found["bias of the first convolution"] = (parts[0].bias, (n - 1,))
    hints = {
        "first": "Axis 0 of a convolution's weight (and its bias) counts its outputs.",
        "batch": "Batch norm has four numbers per channel: weight, bias, running_mean, running_var.",
        "second": "The second convolution reads the channel: axis 1 of its weight counts its inputs.",
    }
    for what, (values, shape) in found.items():
        if values is None or tuple(values.shape) != shape:
            got = "None" if values is None else tuple(values.shape)
            hint = next(hint for word, hint in hints.items() if word in what)
            raise NotYet(f"The {what} has shape {got}, expected {shape}.", hint=hint)
    with torch.no_grad():
        kept = torch.arange(n) != channel
        between = norm(first(images)).relu()
        wanted = second(between * kept[:, None, None])
        others = [second(between * (torch.arange(n) != other)[:, None, None]) for other in range(n)]
        try:
            inner = parts[0].eval()(images)
            got = parts[2].eval()(parts[1].eval()(inner).relu())
        except RuntimeError as error:
            hint = "Stride, padding and dilation stay; the numbers of channels must fit from one to the next."
            raise NotYet(f"The three do not run: {' '.join(str(error).split())[:120]}", hint=hint) from None
        fresh = nn.BatchNorm2d(n).eval()
        fresh.weight, fresh.bias = norm.weight, norm.bias
        suspects = [
            ("Another channel than the one asked for was cut.", *others),
            (
                "Batch norm has forgotten its running mean and variance: copy them, too.",
                second(fresh(first(images)).relu() * kept[:, None, None]),
            ),
            ("Nothing is cut: all channels are still read.", second(between)),
        ]
    hint = (
        "Weight, bias, running_mean and running_var keep the entries of the other channels, in their order."
    )
    expect(got, wanted, tolerance=1e-5, suspects=suspects, what="The output of the three", unknown=hint)
    if (parts[0].out_channels, parts[1].num_features, parts[2].in_channels) != (n - 1,) * 3:
        hint = "Set out_channels, num_features and in_channels: print and export read them."
        raise NotYet("The modules still name the old numbers of channels.", hint=hint)


_PLACES = ("The first result", "The second result", "The third result")


__all__ = [
    "QUESTIONS",
    "check_cubic_sparsity",
    "check_cut_channel",
    "check_encode_gaps",
    "check_global_masks",
    "check_magnitude",
    "check_masked_step",
    "check_sensitivity",
    "check_sparsities_from_scan",
    "grade",
]

QUESTIONS = (
    Question(1, "Scores", 1, "magnitude", check_magnitude),
    Question(2, "One threshold for all", 3, "global_masks", check_global_masks),
    Question(3, "Little by little", 2, "cubic_sparsity", check_cubic_sparsity),
    Question(4, "Zeros that stay", 2, "masked_step", check_masked_step),
    Question(5, "Which layers bear it", 2, "sensitivity", check_sensitivity),
    Question(6, "Sparsities for VGG-16", 2, "sparsities_from_scan", check_sparsities_from_scan),
    Question(7, "Gaps with fillers", 2, "encode_gaps", check_encode_gaps),
    Question(8, "One channel less", 2, "cut_channel", check_cut_channel),
    Question(9, "Defend your schedule", 4),
)


def grade(namespace: Mapping[str, object]) -> Grades:
    """Points of all questions; `namespace` is the notebook's ``globals()``."""
    return grading.grade(QUESTIONS, namespace)
