"""Week 2, lecture 3: backpropagation through one layer, dropout, early stopping."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import as_array, call, expect, pair
from common.checks.grading import NotYet
from common.checks.lectures import fill_in


def _backward_layer(delta, weight, before):
    return delta.T @ before, delta.sum(axis=0), (delta @ weight) * (before > 0)


@fill_in(own=_backward_layer)
def backward_layer(answer: Callable) -> str:
    """Gradients of a layer's weight and bias, summed over the batch, and the error signal one layer down."""
    source = np.random.default_rng(6)
    for n, n_in, n_out in ((4, 3, 3), (3, 4, 2)):
        delta, weight = source.normal(size=(n, n_out)).round(2), source.normal(size=(n_out, n_in)).round(2)
        before = np.maximum(source.normal(size=(n, n_in)), 0).round(2)
        before[0, 0], before[1, 1] = 0.0, 1.5  # a unit that is off, and one that is on
        told = f"{n} samples, {n_in} inputs, {n_out} outputs"
        by_weight, by_bias, below = pair(
            call(answer, delta, weight, before, told=told),
            3,
            "the gradients of weight and bias, and delta one layer down",
        )
        right, back = delta.T @ before, delta @ weight
        shown = {"delta": delta, "before": before}
        suspects = [
            ("delta holds the 1/n already: sum over the batch, do not take the mean.", right / n),
            ("It is transposed: a weight is (outputs × inputs), so delta.T comes first.", right.T),
            ("Multiply delta by the activation *before* the layer, not by the weight.", back),
            (
                "One gradient for the whole batch: delta.T @ before sums over the samples.",
                _per_sample(delta, before),
            ),
        ]
        expect(
            by_weight,
            right,
            tolerance=1e-5,
            suspects=suspects,
            what="The gradient of the weight",
            shown=shown,
        )
        suspects = [
            ("delta holds the 1/n already: sum over the batch, do not take the mean.", delta.mean(axis=0)),
            ("Sum over the samples, axis 0.", delta, delta.sum(axis=1)),
            ("Sum over the samples only: one value per output.", delta.sum()),
        ]
        expect(by_bias, delta.sum(axis=0), tolerance=1e-5, suspects=suspects, what="The gradient of the bias")
        suspects = [
            (
                "ReLU's derivative is missing: nothing flows back where `before` is 0. (It is never "
                "negative, so `before >= 0` is true everywhere.)",
                back,
            ),
            ("ReLU's derivative is 0 or 1, and not the activation itself.", back * before),
            (
                "ReLU's derivative is 1 where the unit was on, `before > 0`, not where delta is positive.",
                back * (back > 0),
            ),
            (
                "Back through the layer: delta @ weight, without a transpose.",
                *([(delta @ weight.T) * (before > 0)] if n_in == n_out else []),
            ),
        ]
        shown = {"delta @ weight": back, "before": before}
        expect(
            below,
            back * (before > 0),
            tolerance=1e-5,
            suspects=suspects,
            what="delta one layer down",
            shown=shown,
        )
    return "Batches of three and four samples, with units on and off."


def _per_sample(delta, before):
    return delta[:, :, None] * before[:, None, :]


def _dropout(a, drop, rng):
    return a * (rng.random(a.shape) >= drop) / (1 - drop)


@fill_in(own=_dropout)
def dropout(answer: Callable) -> str:
    """Each value to 0 with probability drop, by itself, and the others divided by 1 − drop."""
    source = np.random.default_rng(8)
    for drop, shape in ((0.2, (60, 50)), (0.7, (40, 90))):
        a = source.uniform(0.5, 2, shape)
        told = f"an array of shape {shape}, drop={drop}"
        got = as_array(call(answer, a, drop, np.random.default_rng(1), told=told), "It")
        if got.shape != shape:
            raise NotYet(
                f"It has shape {got.shape}, expected {shape}.", hint="Multiply `a` by a mask of its shape."
            )
        again = as_array(call(answer, a, drop, np.random.default_rng(1), told=told))
        if not np.array_equal(got, again):
            raise NotYet(
                "The same generator gives another mask each time.",
                hint="Draw from `rng`: rng.random(a.shape).",
            )
        off = got == 0
        if off.all(axis=0).any() or off.all(axis=1).any():
            raise NotYet(
                "Whole rows or columns are off.", hint="Each value is decided by itself: rng.random(a.shape)."
            )
        near = 5 * np.sqrt(drop * (1 - drop) / a.size)  # five standard errors of the share
        if abs(off.mean() - drop) > near:
            turned = abs(off.mean() - (1 - drop)) < near
            hint = (
                "drop is the probability of being *off*: keep where rng.random(...) >= drop."
                if turned
                else ""
            )
            raise NotYet(f"{off.mean():.0%} of the values are off, expected about {drop:.0%}.", hint=hint)
        kept = ~off
        suspects = [
            ("Divide the others by 1 − drop, so that the expected value stays the same.", a[kept]),
            ("The probability of staying is 1 − drop: divide by that, not by drop.", a[kept] / drop),
            ("The others have to be divided by 1 − drop, not multiplied.", a[kept] * (1 - drop)),
            (
                "That is the mask alone: multiply `a` by it.",
                np.ones(kept.sum()),
                np.full(kept.sum(), 1 / (1 - drop)),
            ),
        ]
        expect(
            got[kept], a[kept] / (1 - drop), tolerance=1e-5, suspects=suspects, what="The values that stay"
        )
    return "Two probabilities: how many are off, and what the others become."


def _stop_at(losses, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        if epoch - best >= patience:
            return epoch, best
    return len(losses) - 1, best


def _stop(losses, patience, *, tie=False, late=0, before=False, largest=False):
    """Early stopping with one mistake."""
    best = waited = 0
    for epoch, loss in enumerate(losses):
        reference = losses[max(epoch - 1, 0)] if before else losses[best]
        better = loss > reference if largest else (loss <= reference if tie else loss < reference)
        if better:
            best, waited = epoch, 0
        elif epoch:
            waited += 1
        if waited >= patience + late:
            return epoch, best
    return len(losses) - 1, best


@fill_in(own=_stop_at)
def stop_at(answer: Callable) -> str:
    """The epoch at which training stops, and the best epoch until then."""
    for losses, patience in (
        ([5.0, 4.0, 3.0, 3.5, 3.2, 3.1, 3.4, 2.0, 2.5, 2.4], 3),
        ([5.0, 4.0, 3.0, 3.5, 3.2, 3.1, 3.4, 2.0, 2.5, 2.4], 6),
        ([2.0, 1.0, 1.0, 1.5, 0.5], 2),
        ([1.0, 2.0, 3.0, 4.0], 1),
    ):
        got = pair(
            call(answer, losses, patience, told=f"losses {losses}, patience {patience}"), 2, "epoch and best"
        )
        stopped, best = wanted = _stop_at(losses, patience)
        suspects = [
            ("It is the other way round: first the epoch at which it stops, then the best.", (best, stopped)),
            (
                "An equal loss is not better: only a smaller one is a new best.",
                _stop(losses, patience, tie=True),
            ),
            (
                "One epoch late: stop when `epoch - best` reaches the patience.",
                _stop(losses, patience, late=1),
            ),
            (
                "One epoch early: stop when `epoch - best` reaches the patience.",
                _stop(losses, patience, late=-1),
            ),
            (
                "Compare with the best loss so far, not with the epoch before.",
                _stop(losses, patience, before=True),
            ),
            ("A smaller loss is better.", _stop(losses, patience, largest=True)),
            ("It stops at the first rise: wait `patience` epochs.", _stop(losses, 1)),
            ("It never stops early.", (len(losses) - 1, int(np.argmin(losses)))),
            ("Epochs are asked for, not losses.", (losses[stopped], losses[best])),
        ]
        told = f"(Epoch, best) for the losses {losses} and patience {patience}"
        expect(np.array([float(part) for part in got]), wanted, tolerance=0, suspects=suspects, what=told)
    return "Four lists of losses, with a tie, a late best, and no early stop."
