"""The questions of week 2: digits, and a diagnosis."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy.special import log_softmax, softmax

from common.checks import grading
from common.checks.comparing import as_array, call, expect, pair
from common.checks.grading import Grades, NotYet, Question, check

# ----------------------------------------------------------------------------------------------------
# Week 2, second half: the gradients of a perceptron, and the learning curve.

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
        (
            "The hidden layer has no ReLU: max(0, x W1 + b1).",
            _network(parameters, x, labels, mistake="no relu")[0],
        ),
        ("A sum over the rows: the loss is their mean.", wanted * len(x)),
        ("The sign is wrong: −ln p is positive.", -wanted),
    ]
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
        "before relu": "W2 multiplies the hidden values after the ReLU: its gradient uses these, not "
        "those before it.",
    }
    wrong = {hint: _network(parameters, x, labels, mistake=name)[1] for name, hint in hints.items()}
    for name in reversed(NAMES):  # as the error flows: what is wrong at the end is wrong before it
        suspects = [(hint, gradients_[name]) for hint, gradients_ in wrong.items()]
        if name.startswith("b"):
            mean = (
                "The mean over the rows divides by n twice: take the sum, for the error is divided by "
                "n already."
            )
            suspects.append((mean, right[name] / len(x)))
            summed = np.full_like(right[name], right[name].sum())
            suspects.append(("Summed over the units too: sum over the rows only, axis 0.", summed, summed[0]))
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
        ("Errors instead of accuracies: an accuracy is 1 minus the error.", 1 - right),
        ("The columns are exchanged: training first, then validation.", right[:, ::-1]),
        (
            "The training accuracy is over rows that were not fitted: use the first m only.",
            np.stack([on_all, val], axis=1),
        ),
        (
            "Both columns are training accuracies.",
            np.stack([train, train], axis=1),
            np.stack([train, on_all], axis=1),
        ),
        ("Every model was fitted to all rows: fit each to the first m rows only, with its own m.", on_whole),
        ("The first m rows are asked for, not the last.", from_end),
        ("Percentages: fractions in [0, 1] are asked for.", 100 * right),
        ("Transposed: one row per size, and two columns.", right.T),
    ]
    random = f"fit was called with {', '.join(map(str, calls)) or 'no'} rows, for the sizes {sizes}."
    expect(got, right, suspects=suspects, what="The curve", unknown=random)
    return "Three sizes, the first m rows each, both accuracies."


# ----------------------------------------------------------------------------------------------------
# Week 2, first half: standardization, softmax, cross-entropy, logistic regression.


@check(1, "standardize")
def check_standardize(answer: Callable) -> str:
    """Both sets with the training set's mean and deviation by column; a constant column becomes 0."""
    train = np.array([[0, 10, 7, 200], [4, 20, 7, 250], [2, 60, 7, 240]], np.uint8)
    _check_scaled(answer, train, np.array([[6, 30, 9, 100], [2, 30, 7, 0]], np.uint8))
    rng = np.random.default_rng(5)
    _check_scaled(answer, rng.normal(3, 20, (6, 3)), rng.normal(size=(6, 3)))
    return "Column by column, the test set by the training set's numbers, a constant column."


def _check_scaled(answer: Callable, train: np.ndarray, test: np.ndarray) -> None:
    told = f"{len(train)} and {len(test)} rows of {train.shape[1]} columns"
    got = pair(call(answer, train, test, told=told), 2, "train and test, scaled")
    mean, std = train.mean(axis=0), train.std(axis=0)
    safe = np.where(std > 0, std, 1)
    row_mean, row_std = train.mean(axis=1, keepdims=True), train.std(axis=1, keepdims=True)
    own = np.where(test.std(axis=0) > 0, test.std(axis=0), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        divided = (train - mean) / std
    suspects = [
        ("A column that never changes has deviation 0: divide by 1 there.", divided, np.nan_to_num(divided)),
        (
            "That is the mean over the wrong axis: one mean per column, over all rows.",
            (train - row_mean) / row_std,
        ),
        (
            "One mean and deviation for the whole array: each column needs its own.",
            (train - train.mean()) / train.std(),
        ),
        ("The mean is subtracted, but nothing is divided by the deviation.", train - mean),
        (
            "Divided by the variance: its root is the standard deviation.",
            (train - mean) / np.where(std > 0, std**2, 1),
        ),
        (
            "Divided by n − 1: divide by n, which is np.std's default.",
            (train - mean) / np.where(std > 0, train.std(axis=0, ddof=1), 1),
        ),
        (
            "uint8 wraps below 0: convert to float before you subtract.",
            (train - mean.astype(np.uint8)) / safe,
        ),
    ]
    expect(got[0], (train - mean) / safe, suspects=suspects, what="The training set", shown={"train": train})
    suspects = [
        (
            "The test set is scaled by its own mean and deviation: use those of the training set.",
            (test - test.mean(axis=0)) / own,
        ),
        (
            "The test set is scaled by the mean and deviation of both sets: use those of the training set.",
            (test - np.vstack([train, test]).mean(axis=0)) / np.vstack([train, test]).std(axis=0),
        ),
        ("The test set is not scaled.", test),
        (
            "A small number is added to the deviation: a column that is constant only in training "
            "becomes huge. "
            "Divide by 1 there.",
            *((test - mean) / (std + small) for small in (1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6)),
        ),
    ]
    expect(got[1], (test - mean) / safe, suspects=suspects, what="The test set", shown={"test": test})


@check(2, "softmax")
def check_softmax(answer: Callable) -> str:
    """exp(s) over the sum of its row, for scores of any size."""
    scores = np.array([[1.0, 2.0, 3.0], [0.0, 0.5, -2.0]])
    got = call(answer, scores, told="scores of 2×3")
    power = np.exp(scores)
    suspects = [
        ("That sums over the rows: each row (axis 1) has to sum to 1.", softmax(scores, axis=0)),
        ("That divides by the sum of everything: each row has to sum to 1.", softmax(scores)),
        (
            "The exponentials are not divided by their sum yet.",
            power,
            np.exp(scores - scores.max(axis=1, keepdims=True)),
        ),
        ("That is the logarithm of the softmax.", log_softmax(scores, axis=1)),
        (
            "The scores are divided by their sum without the exponential.",
            scores / scores.sum(axis=1, keepdims=True),
        ),
        ("That is the sigmoid of every score: classes exclude each other here.", 1 / (1 + np.exp(-scores))),
    ]
    expect(got, softmax(scores, axis=1), suspects=suspects, shown={"scores": scores})
    large = np.array([[1000.0, 999.0, 0.0], [-1000.0, -1001.0, -1000.0]])
    got = call(answer, large, told="scores of 1000 and -1000")
    hint = (
        "exp(1000) overflows and exp(-1000) is 0: subtract each row's own maximum first. "
        "The result stays the same."
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
        (
            "That divides by rows times classes: there is one term per row, so divide by the number of rows.",
            wanted / 3,
        ),
        (
            "The inputs are probabilities already: torch's cross_entropy wants scores, and takes "
            "softmax once more.",
            -log_softmax(p, axis=1)[np.arange(4), labels].mean(),
        ),
        (
            "Every class counts in your sum: only the probability of the label should.",
            -np.log(p).mean(),
            -np.log(p).sum() / 4,
        ),
        (
            "That is the logarithm of the mean: take the logarithm of each, then the mean.",
            -np.log(of_label.mean()),
        ),
        ("One loss per row: return their mean.", -np.log(of_label)),
        (
            "The indices are exchanged, or rows and labels are not paired: p[np.arange(n), labels].",
            -np.log(p[:, labels]).mean(),
        ),
        (
            "1 − p is the probability of being wrong; the loss is −ln p.",
            (1 - of_label).mean(),
            -np.log(1 - of_label).mean(),
        ),
    ]
    expect(got, wanted, suspects=suspects, what="The loss", shown={"probabilities": p, "labels": labels})
    sure = np.array([[1.0, 0.0], [0.0, 1.0]])
    got = as_array(call(answer, sure, np.array([0, 0]), told="a probability of 0"))
    hint = "The logarithm of 0 is −∞: raise probabilities to at least 1e-12 first."
    expect(got, -np.log(1e-12) / 2, tolerance=1e-6, what="The loss at a probability of 0", unknown=hint)
    return "The mean of −ln p of the labels, finite at p = 0."


def _problem() -> tuple[np.ndarray, ...]:
    """Ten points of four features in three classes, and weights to start from."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(10, 4))
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 1, 0, 0])
    return rng.normal(size=(4, 3)), rng.normal(size=3), x, labels


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
        got = call(answer, weights, bias, x, labels, l2, told=f"10 points, 4 features, 3 classes, l2={l2}")
        found = pair(got, 3, "loss, gradient of the weights, gradient of the bias")
        n, square, data = len(x), (weights**2).sum(), by_weights - l2 * weights
        p = softmax(x @ weights + bias, axis=1)
        plain = loss - l2 / 2 * square
        suspects = [
            ("The penalty is missing from the loss.", plain),
            ("The penalty is l2 / 2 · Σw²: the half is missing.", plain + l2 * square),
            (
                "The penalty is on the weights alone: the bias is not penalized.",
                loss + l2 / 2 * (bias**2).sum(),
            ),
            ("The data's part is a sum; divide it by n.", n * plain + l2 / 2 * square),
            (
                "Only the data's part is divided by n: the penalty is not divided by n.",
                plain + l2 / 2 * square / n,
            ),
        ]
        expect(found[0], loss, tolerance=1e-8, suspects=suspects, what="The loss")
        suspects = [
            (
                "Not divided by n: the loss is a mean, so its gradient is one.",
                n * data + l2 * weights,
                n * data,
            ),
            (
                "Uphill: the error is p minus the one-hot labels, in this order.",
                l2 * weights - data,
                -by_weights,
            ),
            ("The penalty is missing: its gradient is l2 · w.", data),
            (
                "The penalty's gradient is l2 · w: the 2 of the square cancels the half.",
                data + 2 * l2 * weights,
            ),
            (
                "Only the data's part is divided by n: the penalty is not divided by n.",
                data + l2 * weights / n,
            ),
            ("The labels are missing: the error is p minus the one-hot labels.", x.T @ p / n + l2 * weights),
            (
                "The softmax is missing: the error is p minus the one-hot labels, not scores minus labels.",
                x.T @ (x @ weights + bias - np.eye(3)[labels]) / n + l2 * weights,
            ),
            ("Transposed: features first, classes second, as in the weights.", by_weights.T),
        ]
        expect(found[1], by_weights, tolerance=1e-8, suspects=suspects, what="The weights' gradient")
        suspects = [
            ("Not divided by n: the loss is a mean over the rows, so its gradient is one.", n * by_bias),
            ("The penalty is on the weights alone: the bias is not penalized.", by_bias + l2 * bias),
            ("Uphill: the error is p minus the one-hot labels, in this order.", -by_bias),
            (
                "Summed over the classes: the mean over the rows (axis 0) has one entry per class.",
                (p - np.eye(3)[labels]).mean(axis=1),
                (p - np.eye(3)[labels]).sum(axis=1),
            ),
        ]
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
        ("That is the result of one step: repeat it n_steps times, in a loop.", {"n_steps": 1}),
        ("One step too many, or too few: range(n_steps) has it right.", {"n_steps": 31}, {"n_steps": 29}),
        ("The step size is not used.", {"step_size": 1.0}),
        ("The penalty is not used: pass l2 on.", {"l2": 0.0}),
        ("The bias never moves: it takes a step against its own gradient.", {"frozen_bias": True}),
        ("No step was made.", {"n_steps": 0}),
    ]
    for number, (part, wanted) in enumerate((("The weights", weights), ("The bias", bias))):
        suspects = [
            (hint, *(_descend(x, labels, **{**options, **change})[number] for change in all_))
            for hint, *all_ in changes
        ]
        random = "Another start, or another order: begin with zeros, compute both gradients, then move both."
        if as_array(got[number], part).shape != wanted.shape:
            raise NotYet(f"{part}: shape {np.shape(got[number])}, expected {wanted.shape}.")
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


__all__ = [
    "QUESTIONS",
    "check_cross_entropy",
    "check_fit_logistic",
    "check_learning_curve",
    "check_logistic_gradients",
    "check_mlp_gradients",
    "check_softmax",
    "check_standardize",
    "grade",
]

QUESTIONS = (
    Question(1, "Standardize", 2, "standardize", check_standardize),
    Question(2, "Softmax", 2, "softmax", check_softmax),
    Question(3, "Cross-entropy", 2, "cross_entropy", check_cross_entropy),
    Question(4, "The gradient of logistic regression", 3, "logistic_gradients", check_logistic_gradients),
    Question(5, "Gradient descent", 2, "fit_logistic", check_fit_logistic),
    Question(6, "Backpropagation", 3, "mlp_gradients", check_mlp_gradients),
    Question(7, "The learning curve", 2, "learning_curve", check_learning_curve),
    Question(8, "A diagnosis", 4),
)


def grade(namespace: Mapping[str, object]) -> Grades:
    """Points of all questions; `namespace` is the notebook's ``globals()``."""
    return grading.grade(QUESTIONS, namespace)
