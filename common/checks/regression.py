"""Week 2, first half: standardization, softmax, cross-entropy, logistic regression."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import log_softmax, softmax

from common.checks.calling import call, pair
from common.checks.comparing import as_array, expect
from common.checks.verdict import NotYet, check


@check(1, "standardize")
def check_standardize(answer: Callable) -> str:
    """Both sets with the training set's mean and deviation by column; a constant column becomes 0."""
    train = np.array([[0, 10, 7, 200], [4, 20, 7, 250], [2, 60, 7, 240]], np.uint8)
    test = np.array([[6, 30, 9, 100], [2, 30, 7, 0]], np.uint8)
    got = pair(call(answer, train, test, told="3 and 2 rows of 4 columns"), 2, "train and test, scaled")
    mean, std = train.mean(axis=0), train.std(axis=0)
    safe = np.where(std > 0, std, 1)
    row_mean, row_std = train.mean(axis=1, keepdims=True), train.std(axis=1, keepdims=True)
    own = np.where(test.std(axis=0) > 0, test.std(axis=0), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        divided = (train - mean) / std
    suspects = [
        ("A column that never changes has deviation 0: divide by 1 there.", divided, np.nan_to_num(divided)),
        ("That is the mean over the wrong axis: one mean a column, over all rows.",
         (train - row_mean) / row_std),
        ("One mean and deviation for the whole array: each column needs its own.",
         (train - train.mean()) / train.std()),
        ("The mean is taken away, but nothing divided.", train - mean),
        ("Divided by the variance: its root is the standard deviation.",
         (train - mean) / np.where(std > 0, std**2, 1)),
        ("Divided by n − 1: np.std's default, n, is asked for.",
         (train - mean) / np.where(std > 0, train.std(axis=0, ddof=1), 1)),
        ("uint8 wraps below 0: convert to float before you subtract.",
         (train - mean.astype(np.uint8)) / safe),
    ]  # fmt: skip
    expect(got[0], (train - mean) / safe, suspects=suspects, what="The training set", shown={"train": train})
    suspects = [
        ("The test set is scaled by its own mean and deviation: nothing may be learned from it.",
         (test - test.mean(axis=0)) / own),
        ("The test set is scaled by the mean and deviation of both sets together.",
         (test - np.vstack([train, test]).mean(axis=0)) / np.vstack([train, test]).std(axis=0)),
        ("The test set is not scaled.", test),
    ]  # fmt: skip
    expect(got[1], (test - mean) / safe, suspects=suspects, what="The test set", shown={"test": test})
    return "Column by column, the test set by the training set's numbers, a constant column."


@check(2, "softmax")
def check_softmax(answer: Callable) -> str:
    """exp(s) over the sum of its row, for scores of any size."""
    scores = np.array([[1.0, 2.0, 3.0], [0.0, 0.5, -2.0]])
    got = call(answer, scores, told="scores of 2×3")
    power = np.exp(scores)
    suspects = [
        ("That sums over the rows: each row (axis 1) has to sum to 1.", softmax(scores, axis=0)),
        ("That divides by the sum of everything: each row has to sum to 1.", softmax(scores)),
        ("The exponentials are not divided by their sum yet.",
         power, np.exp(scores - scores.max(axis=1, keepdims=True))),
        ("That is its logarithm.", log_softmax(scores, axis=1)),
        ("The scores are divided by their sum without the exponential.",
         scores / scores.sum(axis=1, keepdims=True)),
        ("That is the sigmoid of every score: classes exclude each other here.", 1 / (1 + np.exp(-scores))),
    ]  # fmt: skip
    expect(got, softmax(scores, axis=1), suspects=suspects, shown={"scores": scores})
    large = np.array([[1000.0, 999.0, 0.0], [-1000.0, -1001.0, -1000.0]])
    got = call(answer, large, told="scores of 1000 and -1000")
    hint = (
        "exp(1000) overflows and exp(-1000) is 0: take each row's own maximum away first. "
        "That changes no quotient."
    )
    expect(got, softmax(large, axis=1), what="The softmax of scores around ±1000", unknown=hint)
    return "Rows sum to 1, and large scores do not overflow."


@check(3, "cross_entropy")
def check_cross_entropy(answer: Callable) -> str:
    """Mean over the rows of −ln p[label], p not below 1e-12."""
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.2, 0.3, 0.5], [0.3, 0.3, 0.4]])
    labels = np.array([0, 1, 2, 0])
    got = as_array(call(answer, p, labels, told="probabilities of 4×3"))
    of_label = p[np.arange(4), labels]
    wanted = -np.log(of_label).mean()
    suspects = [
        ("The sum, not the mean: divide by the number of rows.", wanted * 4),
        ("The sign is missing: a logarithm of a probability is negative, the loss is not.", -wanted),
        ("The base is e here, not 2 or 10.", wanted / np.log(2), wanted / np.log(10)),
        ("That divides by rows times classes: one term a row, so divide by the rows.", wanted / 3),
        ("Every class counts: only the probability of the label should.",
         -np.log(p).mean(), -np.log(p).sum() / 4),
        ("That is the logarithm of the mean: take the logarithm of each, then the mean.",
         -np.log(of_label.mean())),
        ("One loss a row: return their mean.", -np.log(of_label)),
        ("The indices are exchanged, or rows and labels do not meet: p[np.arange(n), labels].",
         -np.log(p[:, labels]).mean()),
        ("1 − p is the chance to be wrong; the loss is −ln p.",
         (1 - of_label).mean(), -np.log(1 - of_label).mean()),
    ]  # fmt: skip
    expect(got, wanted, suspects=suspects, what="The loss", shown={"probabilities": p, "labels": labels})
    sure = np.array([[1.0, 0.0], [0.0, 1.0]])
    got = as_array(call(answer, sure, np.array([0, 0]), told="a probability of 0"))
    hint = "The logarithm of 0 is −∞: raise probabilities to at least 1e-12 first."
    expect(got, -np.log(1e-12) / 2, tolerance=1e-6, what="The loss at a probability of 0", unknown=hint)
    return "The mean of −ln p of the labels, finite at p = 0."


def _problem() -> tuple[np.ndarray, ...]:
    """Ten points of three features in three classes, and weights to start from."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(10, 3))
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 1, 0, 0])
    return rng.normal(size=(3, 3)), rng.normal(size=3), x, labels


def _gradients(weights, bias, x, labels, l2):
    """The penalized loss and its derivatives."""
    scores = x @ weights + bias
    error = softmax(scores, axis=1) - np.eye(len(bias))[labels]
    loss = -log_softmax(scores, axis=1)[np.arange(len(x)), labels].mean() + l2 / 2 * (weights**2).sum()
    return loss, x.T @ error / len(x) + l2 * weights, error.mean(axis=0)


@check(4, "logistic_gradients")
def check_logistic_gradients(answer: Callable) -> str:
    """(loss, its gradient by the weights (d, k), by the bias (k,)), mean over rows, plus l2/2 · Σw²."""
    weights, bias, x, labels = _problem()
    for l2 in (0.0, 0.5):
        loss, by_weights, by_bias = _gradients(weights, bias, x, labels, l2)
        got = call(answer, weights, bias, x, labels, l2, told=f"10 points, 3 features, 3 classes, l2={l2}")
        found = pair(got, 3, "loss, gradient of the weights, gradient of the bias")
        n, square, data = len(x), (weights**2).sum(), by_weights - l2 * weights
        p = softmax(x @ weights + bias, axis=1)
        plain = loss - l2 / 2 * square
        suspects = [
            ("The penalty is missing from the loss.", plain),
            ("The penalty is l2 / 2 · Σw²: the half is missing.", plain + l2 * square),
            ("The bias is not penalized.", loss + l2 / 2 * (bias**2).sum()),
            ("The data's part is a sum; divide it by n.", n * plain + l2 / 2 * square),
            ("The penalty is not divided by n.", plain + l2 / 2 * square / n),
        ]
        expect(found[0], loss, tolerance=1e-8, suspects=suspects, what="The loss")
        suspects = [
            ("Not divided by n: the loss is a mean, so its gradient is one.",
             n * data + l2 * weights, n * data),
            ("Uphill: the error is p minus the one-hot labels, in this order.",
             l2 * weights - data, -by_weights),
            ("The penalty is missing: its gradient is l2 · w.", data),
            ("The penalty's gradient is l2 · w: the 2 of the square cancels the half.",
             data + 2 * l2 * weights),
            ("The penalty is not divided by n.", data + l2 * weights / n),
            ("The labels are missing: the error is p minus the one-hot labels.", x.T @ p / n + l2 * weights),
            ("The softmax is missing: the error is p minus the one-hot labels, not scores minus labels.",
             x.T @ (x @ weights + bias - np.eye(3)[labels]) / n + l2 * weights),
            ("Transposed: features first, classes second, as the weights.", by_weights.T),
        ]  # fmt: skip
        expect(found[1], by_weights, tolerance=1e-8, suspects=suspects, what="The weights' gradient")
        suspects = [
            ("Not divided by n: a mean over the rows is asked for.", n * by_bias),
            ("The bias is not penalized.", by_bias + l2 * bias),
            ("Uphill: the error is p minus the one-hot labels, in this order.", -by_bias),
            ("Summed over the classes: the mean over the rows (axis 0) has one entry a class.",
             (p - np.eye(3)[labels]).mean(axis=1), (p - np.eye(3)[labels]).sum(axis=1)),
        ]  # fmt: skip
        expect(found[2], by_bias, tolerance=1e-8, suspects=suspects, what="The bias's gradient")
    return "Loss and gradients, with and without penalty."


@check(5, "fit_logistic")
def check_fit_logistic(answer: Callable) -> str:
    """Weights and bias after n_steps steps of gradient descent from zeros."""
    _, _, x, labels = _problem()
    options = {"n_classes": 3, "step_size": 0.4, "n_steps": 30, "l2": 0.1}
    got = pair(call(answer, x, labels, **options, told="30 steps"), 2, "weights and bias")
    weights, bias = _descend(x, labels, **options)
    changes = [
        ("Uphill: subtract the gradient.", {"step_size": -0.4}),
        ("That is one step: all of them are in a loop.", {"n_steps": 1}),
        ("One step too many, or too few: range(n_steps) has it right.", {"n_steps": 31}, {"n_steps": 29}),
        ("The step size is not used.", {"step_size": 1.0}),
        ("The penalty is not used: pass l2 on.", {"l2": 0.0}),
        ("The bias never moves.", {"frozen_bias": True}),
        ("No step was made.", {"n_steps": 0}),
    ]
    for number, (part, wanted) in enumerate((("The weights", weights), ("The bias", bias))):
        suspects = [
            (hint, *(_descend(x, labels, **{**options, **change})[number] for change in all_))
            for hint, *all_ in changes
        ]
        random = "Another start, or another order: begin with zeros, compute both gradients, then move both."
        if as_array(got[number], part).shape != wanted.shape:
            raise NotYet(f"{part} of shape {np.shape(got[number])}, expected {wanted.shape}.")
        expect(got[number], wanted, tolerance=1e-8, suspects=suspects, what=part, unknown=random)
    return "30 steps from zeros, with a penalty."


def _descend(x, labels, *, n_classes, step_size, n_steps, l2, frozen_bias=False):
    """Gradient descent, with a switch for what is forgotten."""
    weights, bias = np.zeros((x.shape[1], n_classes)), np.zeros(n_classes)
    for _ in range(n_steps):
        _, by_weights, by_bias = _gradients(weights, bias, x, labels, l2)
        weights = weights - step_size * by_weights
        bias = bias - step_size * by_bias * (not frozen_bias)
    return weights, bias
