"""Answers to the questions of week 2, right and wrong, with a pattern of what a wrong one must be told."""

import numpy as np
import torch
from scipy import special
from styles import in_single, listed, single, tensor
from torch import nn


def standardize(axis=0, ddof=0, *, safe=True, own=False, power=1):
    def answer(train, other):
        mean, std = (
            train.mean(axis=axis, keepdims=True),
            train.std(axis=axis, ddof=ddof, keepdims=True) ** power,
        )
        std = np.where(std == 0, 1, std) if safe else std
        if own:
            other_std = np.where(other.std(axis=0) == 0, 1, other.std(axis=0))
            return (train - mean) / std, (other - other.mean(axis=0)) / other_std
        return (train - mean) / std, (other - mean[..., : other.shape[1]][: len(other)]) / std[: len(other)]

    return answer


def softmax(scores, axis=1, *, shift=True):
    scores = scores - scores.max(axis=axis, keepdims=True) if shift else scores
    return np.exp(scores) / np.exp(scores).sum(axis=axis, keepdims=True)


def entropy(finish=np.mean, log=np.log, sign=-1.0, least=1e-12):
    return lambda p, labels: finish(sign * log(np.maximum(p[np.arange(len(p)), labels], least)))


def logistic(
    *, n=None, sign=1.0, l2_of=lambda w: w, half=0.5, bias_penalty=0.0, penalty=True, labels_in=True, row=0
):
    def answer(weights, bias, x, labels, l2):
        p = softmax(x @ weights + bias)
        error = sign * (p - labels_in * np.eye(len(bias))[labels]) / (n or len(x))
        loss = entropy()(p, labels) + penalty * half * l2 * (weights**2).sum()
        grad_bias = error.sum(axis=row) + (bias_penalty * l2 * bias if bias_penalty else 0)
        return loss, x.T @ error + penalty * l2 * l2_of(weights), grad_bias

    return answer


def descent(*, sign=-1.0, extra=0, only=None, move_bias=True, penalty=1.0, start=0.0, rate=None):
    def answer(x, labels, *, n_classes, step_size, n_steps, l2):
        weights, bias = np.full((x.shape[1], n_classes), start), np.zeros(n_classes)
        for _ in range(only if only is not None else n_steps + extra):
            _, by_weights, by_bias = logistic()(weights, bias, x, labels, penalty * l2)
            weights = weights + sign * (rate or step_size) * by_weights
            bias = bias + sign * (rate or step_size) * by_bias * move_bias
        return weights, bias

    return answer


def mlp(*, relu=True, slope="relu", per_row=True, sign=1.0, source="hidden", bias=np.sum, labels_in=True):
    """By torch's autograd where nothing is wrong, by hand where something is."""

    def answer(parameters, x, labels):
        before = x @ parameters["W1"] + parameters["b1"]
        hidden = np.maximum(before, 0) if relu else before
        p = softmax(hidden @ parameters["W2"] + parameters["b2"])
        error = sign * (p - labels_in * np.eye(p.shape[1])[labels]) / (len(x) if per_row else 1)
        slopes = {"relu": before > 0, "none": 1.0, "hidden": hidden, "sigmoid": hidden * (1 - hidden)}
        back = error @ parameters["W2"].T * slopes[slope]
        gradients = {
            "W1": x.T @ back,
            "b1": bias(back, axis=0),
            "W2": {"hidden": hidden, "before": before}[source].T @ error,
            "b2": bias(error, axis=0),
        }
        return entropy()(p, labels), gradients

    return answer


def mlp_by_autograd(parameters, x, labels):
    tensors = {name: torch.tensor(value, requires_grad=True) for name, value in parameters.items()}
    hidden = (torch.tensor(x) @ tensors["W1"] + tensors["b1"]).relu()
    loss = nn.functional.cross_entropy(hidden @ tensors["W2"] + tensors["b2"], torch.tensor(labels))
    loss.backward()
    return loss.item(), {name: tensor.grad.numpy() for name, tensor in tensors.items()}


def curve(*, whole=False, on_all=False, both_train=False, last=False, form=lambda rows: rows):
    def answer(fit, train, validation, sizes):
        rows = []
        for m in sizes:
            part = slice(-m, None) if last else slice(None) if whole else slice(0, m)
            predict = fit(train[0][part], train[1][part])
            first = slice(None) if on_all else slice(-m, None) if last else slice(0, m)
            on_train = (predict(train[0][first]) == train[1][first]).mean()
            rows.append(
                [on_train, on_train if both_train else (predict(validation[0]) == validation[1]).mean()]
            )
        return form(np.array(rows))

    return answer


ROWS = [
    ("standardize", standardize(), None),
    ("standardize", standardize(safe=False), "never changes"),
    ("standardize", lambda a, b: (standardize(axis=1)(a, a)[0], b), "wrong axis"),
    ("standardize", lambda a, b: ((a - a.mean()) / a.std(), (b - a.mean()) / a.std()), "whole array"),
    ("standardize", standardize(own=True), "its own mean"),
    ("standardize", lambda a, b: (standardize()(a, b)[0], b), "not scaled"),
    ("standardize", lambda a, b: (a - a.mean(axis=0), b - a.mean(axis=0)), "nothing is divided"),
    ("standardize", standardize(power=2), "variance"),
    ("standardize", standardize(ddof=1), "n − 1"),
    (
        "standardize",
        lambda a, b: ((a - a.mean(axis=0).astype(np.uint8)) / np.maximum(a.std(axis=0), 1), b),
        "wraps",
    ),
    ("softmax", softmax, None),
    ("softmax", lambda s: softmax(s, shift=False), "overflow"),
    ("softmax", lambda s: (lambda e: e / e.sum(axis=1, keepdims=True))(np.exp(s - s.max())), "row's own"),
    ("softmax", lambda s: softmax(s, axis=0), "over the rows"),
    ("softmax", lambda s: np.exp(s) / np.exp(s).sum(), "everything"),
    ("softmax", np.exp, "not divided"),
    ("softmax", lambda s: 1 / (1 + np.exp(-s)), "sigmoid"),
    ("softmax", lambda s: np.log(softmax(s)), "logarithm"),
    ("softmax", lambda s: s / s.sum(axis=1, keepdims=True), "without the exponential"),
    ("cross_entropy", entropy(), None),
    ("cross_entropy", entropy(np.sum), "The sum, not the mean"),
    ("cross_entropy", entropy(sign=1.0), "sign is missing"),
    ("cross_entropy", entropy(log=np.log2), "base is e"),
    ("cross_entropy", lambda p, y: (-np.eye(p.shape[1])[y] * np.log(p)).mean(), "rows times classes"),
    ("cross_entropy", lambda p, y: -np.log(p).mean(), "Every class counts"),
    ("cross_entropy", lambda p, y: -np.log(p[np.arange(len(p)), y].mean()), "logarithm of the mean"),
    ("cross_entropy", entropy(lambda losses: losses), "One loss per row"),
    ("cross_entropy", lambda p, y: -np.log(p[:, y]).mean(), "exchanged"),
    ("cross_entropy", entropy(least=0.0), "−∞"),
    ("logistic_gradients", logistic(), None),
    ("logistic_gradients", logistic(n=1), "Not divided by n"),
    ("logistic_gradients", logistic(sign=-1), "Uphill"),
    ("logistic_gradients", logistic(penalty=False), "missing from the loss"),
    ("logistic_gradients", logistic(half=1.0), "half is missing"),
    ("logistic_gradients", logistic(l2_of=lambda w: 2 * w), "cancels the half"),
    ("logistic_gradients", logistic(l2_of=lambda w: 0 * w), "gradient is l2"),
    ("logistic_gradients", logistic(l2_of=lambda w: w / 10), "not divided by n"),
    ("logistic_gradients", logistic(bias_penalty=1.0), "bias is not penalized"),
    ("logistic_gradients", logistic(labels_in=False), "labels are missing"),
    ("logistic_gradients", logistic(row=1), "over the classes"),
    ("logistic_gradients", lambda *a: (lambda loss, w, b: (loss, w.T, b))(*logistic()(*a)), "Transposed"),
    ("fit_logistic", descent(), None),
    ("fit_logistic", descent(sign=1.0), "Uphill"),
    ("fit_logistic", descent(only=1), "one step"),
    ("fit_logistic", descent(extra=1), "too many"),
    ("fit_logistic", descent(extra=-1), "too few"),
    ("fit_logistic", descent(move_bias=False), "bias never moves"),
    ("fit_logistic", descent(penalty=0.0), "penalty is not used"),
    ("fit_logistic", descent(rate=1.0), "step size"),
    ("fit_logistic", descent(start=0.1), "begin with zeros"),
    ("mlp_gradients", mlp_by_autograd, None),
    ("mlp_gradients", mlp(), None),
    ("mlp_gradients", mlp(slope="none"), "derivative is missing"),
    ("mlp_gradients", mlp(slope="hidden"), "0 or 1"),
    ("mlp_gradients", mlp(slope="sigmoid"), "sigmoid's"),
    ("mlp_gradients", mlp(relu=False, slope="none"), "has no ReLU"),
    ("mlp_gradients", mlp(per_row=False), "Not divided by n"),
    ("mlp_gradients", mlp(sign=-1.0), "Uphill"),
    ("mlp_gradients", mlp(source="before"), "after the ReLU"),
    ("mlp_gradients", mlp(bias=np.mean), "twice"),
    ("mlp_gradients", mlp(bias=lambda values, axis: values.sum()), "units too|shape"),
    ("mlp_gradients", mlp(labels_in=False), "labels are missing"),
    ("learning_curve", curve(), None),
    ("learning_curve", curve(on_all=True), "not fitted"),
    ("learning_curve", curve(whole=True), "fitted to all rows"),
    ("learning_curve", curve(both_train=True), "Both columns"),
    ("learning_curve", curve(last=True), "not the last"),
    ("learning_curve", curve(form=lambda rows: 1 - rows), "Errors"),
    ("learning_curve", curve(form=lambda rows: rows[:, ::-1]), "exchanged"),
    ("learning_curve", curve(form=lambda rows: 100 * rows), "Percent"),
    ("learning_curve", curve(form=lambda rows: rows.T), "two columns"),
    ("standardize", single(standardize()), None),
    ("standardize", tensor(standardize()), None),
    ("standardize", listed(standardize()), None),
    (
        "standardize",
        lambda a, b: (standardize()(a, b)[0], (b - a.mean(axis=0)) / (a.std(axis=0) + 1e-8)),
        "constant only in training",
    ),
    (
        "standardize",
        lambda a, b: (standardize()(a, b)[0], (b - a.mean(axis=0)) / (a.std(axis=0) + 1e-12)),
        "constant only in training",
    ),
    ("softmax", lambda s: special.softmax(s, axis=1), None),
    ("softmax", in_single(softmax), None),
    ("softmax", lambda s: torch.from_numpy(s).softmax(dim=1), None),
    ("softmax", lambda s: torch.from_numpy(s).float().softmax(dim=1), None),
    ("softmax", listed(softmax), None),
    ("softmax", lambda s: softmax(-s), "wrong"),
    ("cross_entropy", single(entropy()), None),
    ("cross_entropy", tensor(entropy()), None),
    (
        "cross_entropy",
        lambda p, y: nn.functional.nll_loss(torch.from_numpy(p).clamp(1e-12).log(), torch.from_numpy(y)),
        None,
    ),
    (
        "cross_entropy",
        lambda p, y: nn.functional.cross_entropy(torch.from_numpy(p), torch.from_numpy(y)),
        "softmax once more",
    ),
    ("logistic_gradients", in_single(logistic()), None),
    ("logistic_gradients", tensor(logistic()), None),
    ("logistic_gradients", listed(logistic()), None),
    ("fit_logistic", in_single(descent()), None),
    ("fit_logistic", tensor(descent()), None),
    ("fit_logistic", listed(descent()), None),
    ("mlp_gradients", in_single(mlp()), None),
    ("mlp_gradients", tensor(mlp()), None),
    ("mlp_gradients", lambda *a: (mlp()(*a)[0], {n: g.T for n, g in mlp()(*a)[1].items()}), "transposed"),
    ("learning_curve", single(curve()), None),
    ("learning_curve", listed(curve()), None),
    ("learning_curve", tensor(curve()), None),
    ("learning_curve", curve(form=lambda rows: rows[:-1]), "shape"),
    ("softmax", lambda s: softmax(s).astype(int), "wrong"),
    ("fit_logistic", lambda *a, **o: descent()(*a, **o)[::-1], "shape"),
    ("logistic_gradients", lambda *a: logistic()(*a)[1:], "3 results"),
    ("cross_entropy", lambda p, y: 1 - p[np.arange(len(p)), y].mean(), "probability of being wrong"),
]
