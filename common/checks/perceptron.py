"""Week 2, second half: the gradients of a perceptron, and the learning curve."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import log_softmax, softmax

from common.checks.calling import call, pair
from common.checks.comparing import as_array, expect
from common.checks.verdict import NotYet, check

NAMES = ("W1", "b1", "W2", "b2")


def _network(parameters, x, labels, *, mistake=""):
    """Loss and gradients of x W1 + b1, ReLU, W2, b2, softmax, cross-entropy; with switches for mistakes."""
    w1, b1, w2, b2 = (parameters[name] for name in NAMES)
    before = x @ w1 + b1
    hidden = before if mistake == "no relu" else np.maximum(before, 0)
    scores = hidden @ w2 + b2
    n = len(x)
    loss = -log_softmax(scores, axis=1)[np.arange(n), labels].mean()
    error = softmax(scores, axis=1) - (mistake != "no labels") * np.eye(len(b2))[labels]
    error = error / (1 if mistake == "sum" else n) * (-1 if mistake == "sign" else 1)
    back = error @ w2.T
    if mistake in ("sigmoid slope", "tanh slope"):
        slope = hidden * (1 - hidden) if mistake == "sigmoid slope" else 1 - hidden**2
    else:
        slope = np.ones_like(before) if mistake in ("no slope", "no relu") else before > 0
    delta = hidden * back if mistake == "slope is hidden" else back * slope
    source = before if mistake == "before relu" else hidden
    gradients = {"W1": x.T @ delta, "b1": delta.sum(axis=0), "W2": source.T @ error, "b2": error.sum(axis=0)}
    return loss, gradients


@check(6, "mlp_gradients")
def check_mlp_gradients(answer: Callable) -> str:
    """(loss, {"W1", "b1", "W2", "b2": gradients}) of a perceptron with one hidden layer of ReLUs."""
    rng = np.random.default_rng(11)
    shapes = {"W1": (4, 5), "b1": (5,), "W2": (5, 3), "b2": (3,)}
    parameters = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    x, labels = rng.normal(size=(6, 4)), np.array([0, 1, 2, 2, 1, 0])
    got = call(answer, parameters, x, labels, told="6 points, 4 features, 5 hidden units, 3 classes")
    loss, gradients = pair(got, 2, "the loss, and a dict of gradients")
    wanted, right = _network(parameters, x, labels)
    suspects = [
        ("The hidden layer has no ReLU: max(0, x W1 + b1).",
         _network(parameters, x, labels, mistake="no relu")[0]),
        ("A sum over the rows: the loss is their mean.", wanted * len(x)),
        ("The sign is turned: −ln p is positive.", -wanted),
    ]  # fmt: skip
    expect(loss, wanted, tolerance=1e-8, suspects=suspects, what="The loss")
    if not isinstance(gradients, dict) or set(gradients) != set(NAMES):
        raise NotYet(f"The gradients should be a dict with the keys {', '.join(NAMES)}.")
    hints = {
        "sum": "Not divided by n: the loss is a mean, so its gradient is one.",
        "sign": "Uphill: the error is p minus the one-hot labels, in this order.",
        "no labels": "The labels are missing: the error is p minus the one-hot labels.",
        "no slope": "ReLU's derivative is missing: where it cut to 0, nothing flows back.",
        "slope is hidden": "ReLU's derivative is 0 or 1, and not the hidden value itself.",
        "sigmoid slope": "That is the sigmoid's derivative: ReLU's is 1 above 0, else 0.",
        "tanh slope": "That is tanh's derivative: ReLU's is 1 above 0, else 0.",
        "before relu": "W2 meets the hidden values after the ReLU: its gradient uses these.",
    }
    wrong = {hint: _network(parameters, x, labels, mistake=name)[1] for name, hint in hints.items()}
    for name in reversed(NAMES):  # as the error flows: what is wrong at the end is wrong before it
        suspects = [(hint, gradients_[name]) for hint, gradients_ in wrong.items()]
        if name.startswith("b"):
            mean = "The mean over the rows divides by n twice: sum, the error is divided already."
            suspects.append((mean, right[name] / len(x)))
            summed = np.full_like(right[name], right[name].sum())
            suspects.append(("Summed over the units too: sum over the rows, axis 0.", summed, summed[0]))
        expect(
            gradients[name], right[name], tolerance=1e-8, suspects=suspects, what=f"The gradient of {name}"
        )
    return "Loss and four gradients."


@check(7, "learning_curve")
def check_learning_curve(answer: Callable) -> str:
    """Accuracies of shape (len(sizes), 2): on the m rows that were fitted, and on the validation set."""
    rng = np.random.default_rng(2)
    x, labels = rng.normal(size=(40, 2)), rng.integers(0, 3, 40)
    x_val, labels_val = rng.normal(size=(25, 2)), rng.integers(0, 3, 25)
    sizes = (5, 12, 40)
    asked: list[int] = []

    def fit(rows: np.ndarray, answers: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        asked.append(len(rows))
        return lambda new: answers[np.abs(new[:, None] - rows - 0.4).sum(axis=2).argmin(axis=1)]

    got = as_array(call(answer, fit, (x, labels), (x_val, labels_val), sizes, told="40 and 25 rows"))
    calls = list(asked)
    models = [fit(x[:m], labels[:m]) for m in sizes]
    whole = fit(x, labels)
    train = np.array([(model(x[:m]) == labels[:m]).mean() for model, m in zip(models, sizes, strict=True)])
    val = np.array([(model(x_val) == labels_val).mean() for model in models])
    on_all = np.array([(model(x) == labels).mean() for model in models])
    right = np.stack([train, val], axis=1)
    on_whole = [[(whole(x[:m]) == labels[:m]).mean(), (whole(x_val) == labels_val).mean()] for m in sizes]
    last = [fit(x[-m:], labels[-m:]) for m in sizes]
    from_end = [
        [(model(x[-m:]) == labels[-m:]).mean(), (model(x_val) == labels_val).mean()]
        for model, m in zip(last, sizes, strict=True)
    ]
    suspects = [
        ("Errors, not accuracies: 1 minus what is there.", 1 - right),
        ("The columns are exchanged: training first, then validation.", right[:, ::-1]),
        ("The training accuracy is over rows that were not fitted: use the first m only.",
         np.stack([on_all, val], axis=1)),
        ("Both columns are training accuracies.",
         np.stack([train, train], axis=1), np.stack([train, on_all], axis=1)),
        ("Every model was fitted to all rows: the first m are for the m-th.", on_whole),
        ("The first m rows are asked for, not the last.", from_end),
        ("Percent: fractions in [0, 1] are asked for.", 100 * right),
        ("One row a size, two columns.", right.T),
    ]  # fmt: skip
    random = f"fit was called with {', '.join(map(str, calls)) or 'no'} rows, for the sizes {sizes}."
    expect(got, right, suspects=suspects, what="The curve", unknown=random)
    return "Three sizes, the first m rows each, both accuracies."
