"""Week 5, first half: scores, and the masks that follow from them with exact counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from common.checks.calling import call
from common.checks.comparing import as_array, expect, expect_dtype
from common.checks.verdict import NotYet, check

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
            got[name], right, what=f"The {what} of {name!r}", shown={f"{name!r}": shown[name]},
            suspects=[(hint, got[name])] if hint else [],
        )  # fmt: skip


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


_WEIGHTS = {
    "fc1": np.array([[0.5, -2.0, 0.0], [1.5, -0.25, 3.0]]),
    "fc2": np.array([[-1.0, 4.0]]),
}


@check(1, "magnitude")
def check_magnitude(answer: Callable) -> str:
    """{name: |weights|}."""
    got = named_arrays(call(answer, _WEIGHTS, told="two small layers"), _WEIGHTS, "scores")
    suspects = [
        ("A large negative weight matters as much as a large positive one: the sign has to go.", _WEIGHTS),
        ("Squares order one layer alike, but the criterion is the magnitude itself.", _mapped(np.square)),
        ("Each layer is divided by its own largest weight: then the layers cannot be compared any more.",
         _mapped(lambda w: np.abs(w) / np.abs(w).max())),
        ("One number a layer: every weight has its own score.", _mapped(lambda w: np.abs(w).mean())),
        ("Every sign is turned: higher means keep.", _mapped(lambda w: -np.abs(w))),
    ]  # fmt: skip
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
            ("The number to keep is rounded to the nearest, not down.",
             keep(scores, int((1 - sparsity) * n))),
            ("The number to keep is rounded to the nearest, not up.",
             keep(scores, int(np.ceil((1 - sparsity) * n)))),
            ("All that reach the threshold are kept, the tied ones too: that is more than was asked for.",
             _above(scores, n_keep, np.greater_equal)),
            ("None of those that are tied at the threshold is kept: that is fewer than was asked for.",
             _above(scores, n_keep, np.greater)),
            ("Among equal scores the *earlier* one wins: a stable sort keeps their order.",
             keep(scores, n_keep, last=True)),
            ("That many are kept of *each* layer: here all scores compete in one list.",
             _each(scores, sparsity)),
            ("The mask is turned round: True stands for a weight that is kept.",
             {name: ~mask for name, mask in keep(scores, n_keep).items()}),
            ("The lowest scores are kept.", keep({k: -v for k, v in scores.items()}, n_keep)),
            ("Sparsity is the fraction of *zeros*: 1 − sparsity is kept.",
             keep(scores, round(sparsity * n))),
            ("The scores are compared as they are: other criteria than magnitude may be negative.",
             keep(magnitudes, n_keep)),
        ]  # fmt: skip
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
        ("Sparsity is the fraction of *zeros*: 1 − sparsity is kept.",
         _each(_TIED, {name: 1 - goal for name, goal in goals.items()})),
        ("The mask is turned round: True stands for a weight that is kept.",
         {name: ~mask for name, mask in wanted.items()}),
    ]  # fmt: skip
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
