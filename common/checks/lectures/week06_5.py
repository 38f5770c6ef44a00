"""Week 6, lecture 5: soft targets, the loss of distillation, the best bias of a class never seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import as_array, call, expect
from common.checks.grading import NotYet
from common.checks.lectures import fill_in


def _soften(logits, temperature):
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


@fill_in(own=_soften)
def soften(answer: Callable) -> str:
    """Softmax of logits over temperature, along the last axis, also of large logits."""
    for logits, temperature in (
        (np.array([2.0, -1.0, 0.5]), 3.0),
        (np.array([[1.0, 3.0, -2.0, 0.0], [0.5, 0.5, 4.0, -1.0]]), 2.0),
        (np.array([[1900.0, 1897.0], [-1880.0, -1884.0]]), 1.5),
    ):
        told = f"logits of shape {logits.shape}, T = {temperature}"
        got = as_array(call(answer, logits, temperature, told=told), "The array of probabilities")
        wanted = _soften(logits, temperature)
        large = bool(np.abs(logits).max() > 700)
        if large and not np.isfinite(got).all():
            raise NotYet(
                "The probabilities of logits near 1,900 are nan.",
                hint="exp(900) overflows: subtract the largest logit first, which changes no quotient.",
            )
        with np.errstate(all="ignore"):
            all_rows = np.exp((logits - logits.max()) / temperature)
            raw = np.exp(logits / temperature)
        suspects = [
            ("Divide by the temperature before the exponential.", _soften(logits, 1.0)),
            (
                "Divide by the temperature, not multiply: a high one softens.",
                _soften(logits * temperature**2, temperature),
            ),
            (
                "One softmax per image: sum along the last axis, axis=-1, keepdims=True.",
                all_rows / all_rows.sum(),
                np.exp(logits / temperature) / raw.sum(axis=0) if not large else 0 * logits,
            ),
            (
                "The temperature divides the logits, not the probabilities.",
                _soften(logits, 1.0) / temperature,
            ),
            ("They must sum to 1: divide by the sum of the exponentials.", raw, all_rows),
            ("That is the logarithm of the softmax.", np.log(wanted)),
        ]
        expect(
            got,
            wanted,
            tolerance=1e-6,
            suspects=suspects,
            what="The array of probabilities",
            shown={"logits": logits},
        )
    return "One image and several, and logits that would overflow."


def _soft_loss(student, teacher, temperature):
    p, q = _soften(teacher, temperature), _soften(student, temperature)
    return temperature**2 * (p * np.log(p / q)).sum(axis=1).mean()


@fill_in(own=_soft_loss)
def soft_loss(answer: Callable) -> str:
    """T² times the Kullback-Leibler divergence of the student's soft answers from the teacher's."""
    rng = np.random.default_rng(11)
    for n, classes, temperature in ((1, 3, 2.0), (4, 5, 3.0)):
        student, teacher = rng.normal(0, 2, (2, n, classes))
        told = f"{n} images, {classes} classes, T = {temperature}"
        got = call(answer, student, teacher, temperature, told=told)
        p, q = _soften(teacher, temperature), _soften(student, temperature)
        each = (p * np.log(p / q)).sum(axis=1)
        wanted = temperature**2 * each.mean()
        suspects = [
            ("The factor T² is missing.", each.mean()),
            ("The factor is T squared, not T.", temperature * each.mean()),
            (
                "Take the sum over the classes, and the mean over the images.",
                temperature**2 * each.sum(),
                wanted / classes,
            ),
            (
                "The roles are exchanged: p, the weight in the sum, is the teacher's.",
                _soft_loss(teacher, student, temperature),
            ),
            (
                "That is the cross-entropy; the teacher's own entropy is missing.",
                -(temperature**2) * (p * np.log(q)).sum(axis=1).mean(),
            ),
            ("The sign is wrong: log(p / q).", -wanted),
            (
                "Both have to be softened by the same T.",
                temperature**2 * _unequal(student, teacher, temperature),
                temperature**2
                * (_soften(teacher, 1) * np.log(_soften(teacher, 1) / _soften(student, 1)))
                .sum(axis=1)
                .mean(),
            ),
            ("One number: the mean over the images.", temperature**2 * each),
        ]
        expect(got, wanted, tolerance=1e-6, suspects=suspects, what="The loss")
    return "One image and four, at two temperatures."


def _unequal(student, teacher, temperature) -> float:
    p, q = _soften(teacher, temperature), _soften(student, 1.0)
    return float((p * np.log(p / q)).sum(axis=1).mean())


def _raised(logits, digit, bias):
    return logits + bias * (np.arange(logits.shape[1]) == digit)


def _best_bias(logits, labels, digit, biases):
    errors = [(_raised(logits, digit, bias).argmax(axis=1) != labels).sum() for bias in biases]
    return biases[int(np.argmin(errors))]


@fill_in(own=_best_bias)
def best_bias(answer: Callable) -> str:
    """The bias that, added to the logit of one class, gives the fewest errors."""
    rng = np.random.default_rng(13)
    for n, classes, digit, deficit in ((60, 4, 2, 3.0), (90, 3, 0, 1.4)):
        labels = np.arange(n) % classes
        logits = rng.normal(0, 1.0, (n, classes)) + 2.0 * np.eye(classes)[labels]
        logits[:, digit] -= deficit
        biases = np.arange(0.0, 6.01, 0.5)
        told = f"{n} images, {classes} classes, class {digit} too low"
        got = call(answer, logits, labels, digit, biases, told=told)
        errors = np.array([(_raised(logits, digit, b).argmax(axis=1) != labels).sum() for b in biases])
        value = as_array(got, "The bias").astype(float)
        if value.size == 1 and np.any(np.isclose(biases, value.reshape(())) & (errors == errors.min())):
            continue  # of equally good ones any will do
        lowered = np.array([(_raised(logits, digit, -b).argmax(axis=1) != labels).sum() for b in biases])
        own = np.array(
            [(_raised(logits, digit, b).argmax(axis=1) != labels)[labels == digit].sum() for b in biases]
        )
        suspects = [
            ("That many errors are left: the bias is asked for.", errors.min()),
            ("That is the place of the best bias among those tried, not the bias.", int(errors.argmin())),
            ("The most errors are made with that one: use argmin.", biases[errors.argmax()]),
            (
                "Count the errors on *all* images: a high bias takes away from the other classes.",
                biases[own.argmin()],
            ),
            (
                "The bias has to be added to the logit, not subtracted.",
                biases[lowered.argmin()],
                -biases[errors.argmin()],
            ),
            ("Those are the errors of every bias: return the best bias.", errors),
            ("The same number added to all logits changes no answer: add it to one class only.", biases[0]),
        ]
        expect(
            got,
            biases[errors.argmin()],
            tolerance=1e-6,
            suspects=suspects,
            what="The bias",
            unknown="Add each bias to the logits of this class, take argmax, count what is not the label.",
        )
    return "Two students that had never seen one of their classes."
