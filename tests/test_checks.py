"""The self-checks: right answers pass, each usual mistake gets the hint that names it, and nothing raises."""

import re
import time

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch import nn

from common.checks import week01, week02, week03
from common.checks.grading import grade
from common.checks.verdict import Verdict
from common.road_scene import road_scene

WEEKS = {"week01": week01, "week02": week02, "week03": week03}
QUESTIONS = [
    pytest.param(question, id=f"{week}-{question.answer}")
    for week, module in WEEKS.items()
    for question in module.QUESTIONS
    if question.check
]


# What every check bears


def stub(*arguments, **options):
    raise NotImplementedError("Question 3: add them up.")


def crash(*arguments, **options):
    return {}["nothing"]


ODD_ANSWERS = {
    "none": lambda *a, **o: None,
    "text": lambda *a, **o: "42",
    "number": lambda *a, **o: 3.0,
    "nan": lambda *a, **o: float("nan"),
    "empty": lambda *a, **o: np.zeros(0),
    "ragged": lambda *a, **o: [[1], [1, 2]],
    "objects": lambda *a, **o: np.array([None, 3]),
    "complex": lambda *a, **o: np.array([1j]),
    "dict": lambda *a, **o: {},
    "pair": lambda *a, **o: (np.zeros((2, 2)), None),
    "triple": lambda *a, **o: ("a", "b", "c"),
    "itself": lambda *a, **o: a[0],
    "tensor": lambda *a, **o: torch.zeros(2, 3),
    "exit": lambda: 0,
    "crash": crash,
    "no function": 5,
    "a class": dict,
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("odd", list(ODD_ANSWERS))
def test_odd_answers_get_a_verdict(question, odd):
    verdict = question.check(ODD_ANSWERS[odd])
    assert isinstance(verdict, Verdict)
    assert not verdict.ok
    assert verdict.message
    assert "\n" not in verdict.message


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_stub_is_told_in_one_line_with_its_reminder(question):
    verdict = question.check(stub)
    head = f"Question {question.number}, {question.answer}: not yet. It is not written yet."
    assert repr(verdict) == f"{head}\n  Hint: Question 3: add them up."


def test_changed_arguments_are_noticed():
    def standardize(train, test):
        train[:] = 0
        return train, test

    assert "changes its argument" in week02.check_standardize(standardize).message


def test_overflowing_integers_are_explained():
    verdict = week01.check_to_grey(lambda image: (299 * image[..., 0] + 587 * image[..., 1]) // 1000)
    assert not verdict.ok
    assert "uint8" in verdict.hint or "OverflowError" in verdict.message


def test_a_verdict_shows_where_it_went_wrong():
    said = repr(week01.check_convolve(lambda image, kernel: ndimage.correlate(image, kernel, mode="mirror")))
    assert said.startswith("Question 2, convolve: not yet. ")
    for part in ("image", "kernel", "yours", "wrong", "x", "·", "  Hint: That is correlation"):
        assert part in said


# Week 1


def grey(weights=(0.299, 0.587, 0.114), finish=np.rint):
    return lambda image: finish(image @ np.array(weights)).astype(np.uint8)


def by_scipy(mode="mirror", flip=lambda kernel: kernel):
    return lambda image, kernel: ndimage.convolve(image.astype(float), flip(kernel), mode=mode)


def valid(image, kernel):
    j, i = kernel.shape[0] // 2, kernel.shape[1] // 2
    return ndimage.convolve(image.astype(float), kernel)[j:-j, i:-i]


def padded_by_one(image, kernel):
    framed = np.pad(image.astype(float), 1, mode="reflect")
    return ndimage.convolve(framed, kernel, mode="nearest")[1:-1, 1:-1]


def gaussian(sigma, *, reach=3.0, exponent=lambda sigma: 2 * sigma**2, scale=None):
    x = np.arange(-int(np.ceil(reach * sigma)), int(np.ceil(reach * sigma)) + 1)
    kernel = np.exp(-(x[:, None] ** 2 + x**2) / exponent(sigma))
    return kernel / (kernel.sum() if scale is None else scale(sigma))


def sobel(image):
    return ndimage.sobel(image, axis=1, mode="mirror"), ndimage.sobel(image, axis=0, mode="mirror")


def gradient(length=np.hypot, angle=lambda gx, gy: np.arctan2(gy, gx)):
    def answer(image):
        gx, gy = sobel(image)
        with np.errstate(all="ignore"):
            return length(gx, gy), angle(gx, gy)

    return answer


def thin(
    steps=((0, 1), (1, 1), (1, 0), (1, -1)), *, better=np.greater_equal, ahead=None, border=0.0, sector=None
):  # fmt: skip
    def answer(magnitude, direction):
        sectors = np.rint(direction / np.pi * 4).astype(int) % 4 if sector is None else sector(direction)
        framed = np.pad(magnitude, 1)
        height, width = magnitude.shape
        result = np.zeros_like(magnitude)
        for number, (dy, dx) in enumerate(steps):
            sides = [
                framed[1 + s * dy : 1 + s * dy + height, 1 + s * dx : 1 + s * dx + width] for s in (1, -1)
            ]
            beats_ahead = (ahead or better)(magnitude, sides[0])
            keep = (sectors == number) & beats_ahead & better(magnitude, sides[1])
            result[keep] = magnitude[keep]
        if border is not None:
            result[[0, -1]] = result[:, [0, -1]] = border
        return result

    return answer


EIGHT = np.ones((3, 3))


def hysteresis(structure=EIGHT, at_least=np.greater_equal):
    def answer(magnitude, low, high):
        labels, _ = ndimage.label(at_least(magnitude, low), structure)
        return np.isin(labels, labels[at_least(magnitude, high)])

    return answer


def hough(*, rounding=np.rint, offset=0, extra=1, exchanged=False, lossy=False, angle=lambda t: t):
    def answer(edges, thetas):
        reach = int(np.ceil(np.hypot(*edges.shape)))
        y, x = np.nonzero(edges)
        x, y = (y, x) if exchanged else (x, y)
        votes = np.zeros((2 * reach + extra, len(thetas)), int)
        for column, theta in enumerate(angle(thetas)):
            rows = reach + offset + rounding(x * np.cos(theta) + y * np.sin(theta)).astype(int)
            if lossy:
                votes[rows, column] += 1
            else:
                np.add.at(votes[:, column], rows, 1)
        return votes

    return answer


def true_lines(*, left="left", right="right", shift=0.0, form=lambda lines: lines):
    """The borders of the road that the check draws, spoilt in one way."""
    scene = road_scene(3)
    (u0, v0), lane = scene.vanishing_point, scene.slopes["right"] - scene.slopes["left"]
    far = scene.slopes["right"] - 2 * lane
    lines = []
    for name in (left, right):
        slope = far if name == "far" else scene.slopes[name]
        theta = np.arctan2(-slope, 1) % np.pi
        lines.append([(u0 + shift) * np.cos(theta) + v0 * np.sin(theta), theta])
    return lambda image: form(np.array(lines))


WEEK_1 = [
    ("to_grey", grey(), None),
    ("to_grey", grey((1 / 3, 1 / 3, 1 / 3)), "green best"),
    ("to_grey", lambda image: image.mean(axis=2), "green best"),
    ("to_grey", grey((0.114, 0.587, 0.299)), "BGR"),
    ("to_grey", lambda image: cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), "BGR"),
    ("to_grey", grey(finish=np.floor), "cut off"),
    ("to_grey", lambda i: (i[..., 0] + i[..., 1] + i[..., 2]) // 3, "overflows"),
    ("to_grey", lambda image: image @ np.array([0.299, 0.587, 0.114]), "not rounded"),
    ("to_grey", lambda image: image @ np.array([0.299, 0.587, 0.114]) / 255, r"in \[0, 1\]"),
    ("to_grey", lambda image: np.rint(image @ np.array([0.299, 0.587, 0.114])), "floats to be"),
    ("to_grey", lambda image: image.mean(axis=0), "last axis"),
    ("convolve", by_scipy(), None),
    ("convolve", by_scipy(flip=lambda k: k[::-1, ::-1]), "correlation"),
    ("convolve", lambda i, k: cv2.filter2D(i.astype(float), -1, k), "correlation"),
    ("convolve", by_scipy("constant"), "zeros"),
    ("convolve", by_scipy("constant", lambda k: k[::-1, ::-1]), "correlation.*zeros"),
    ("convolve", by_scipy("nearest"), "repeats"),
    ("convolve", by_scipy("reflect"), "symmetric"),
    ("convolve", by_scipy("wrap"), "opposite side"),
    ("convolve", by_scipy(flip=lambda k: k[:, ::-1]), "up-down only"),
    ("convolve", by_scipy(flip=lambda k: k[::-1]), "left-right only"),
    ("convolve", valid, "shrinks"),
    ("convolve", lambda i, k: np.clip(by_scipy()(i, k), 0, 255).astype(np.uint8), "bytes"),
    ("convolve", lambda i, k: ndimage.convolve(i, k.astype(i.dtype), mode="mirror"), "into a byte"),
    ("convolve", padded_by_one, "own padding"),
    ("gaussian_kernel", gaussian, None),
    ("gaussian_kernel", lambda s: gaussian(s, scale=lambda s: 1), "sum to 1"),
    ("gaussian_kernel", lambda s: gaussian(s, scale=lambda s: 2 * np.pi * s**2), "integral"),
    ("gaussian_kernel", lambda s: gaussian(s, exponent=lambda s: 2 * s), "σ where σ²"),
    ("gaussian_kernel", lambda s: gaussian(s, exponent=lambda s: s**2), "lacks the 2"),
    ("gaussian_kernel", lambda s: gaussian(s).sum(axis=0), "That is a row"),
    ("gaussian_kernel", lambda s: gaussian(s, reach=1.5), "too early"),
    ("gaussian_kernel", lambda s: gaussian(s)[:-1, :-1], "even side"),
    ("gaussian_kernel", lambda s: gaussian(s, reach=4), "to each side of the middle"),
    ("gradient", gradient(), None),
    ("gradient", gradient(lambda gx, gy: abs(gx) + abs(gy)), "length of the gradient"),
    ("gradient", gradient(lambda gx, gy: gx**2 + gy**2), "root is missing"),
    ("gradient", gradient(lambda gx, gy: abs(gx)), "Only one"),
    ("gradient", gradient(lambda gx, gy: gx + gy), "cancel"),
    ("gradient", gradient(lambda gx, gy: np.hypot(gx, gy) / 8), "without a factor"),
    ("gradient", lambda image: gradient()(image)[::-1], "exchanged"),
    ("gradient", gradient(angle=lambda gx, gy: np.arctan2(-gy, -gx)), "downhill"),
    ("gradient", gradient(angle=lambda gx, gy: np.arctan2(gx, gy)), "y first"),
    ("gradient", gradient(angle=lambda gx, gy: np.degrees(np.arctan2(gy, gx))), "degrees"),
    ("gradient", gradient(angle=lambda gx, gy: np.arctan(gy / gx)), "arctan cannot"),
    ("gradient", gradient(angle=lambda gx, gy: np.arctan2(-gy, gx)), "sign of gy"),
    ("gradient", gradient(angle=lambda gx, gy: np.arctan2(gy, -gx)), "sign of gx"),
    ("thin", thin(), None),
    ("thin", thin(((1, 0), (1, -1), (0, 1), (1, 1))), "along the edge"),
    ("thin", thin(((0, 1), (1, -1), (1, 0), (1, 1))), "diagonals"),
    ("thin", thin(((1, 0), (1, 1), (0, 1), (-1, 1))), "x and y"),
    ("thin", thin(border=None), "border"),
    ("thin", thin(sector=lambda d: np.zeros(d.shape, int)), "direction is not used"),
    ("thin", lambda m, d: thin()(m, d) > 0, "value is not"),
    ("thin", thin(better=np.greater), "edge is gone.*>=, not >"),
    ("thin", thin(ahead=np.greater), "one is dropped"),
    ("thin", thin(better=np.greater, ahead=np.greater_equal), "one is dropped"),
    ("hysteresis", hysteresis(), None),
    ("hysteresis", lambda m, low, high: m >= high, "Only the strong"),
    ("hysteresis", lambda m, low, high: m >= low, "Every weak"),
    ("hysteresis", lambda m, low, high: (m >= low) & ndimage.binary_dilation(m >= high, EIGHT), "one step"),
    ("hysteresis", hysteresis(None), "diagonal"),
    ("hysteresis", hysteresis(at_least=np.greater), "exactly a threshold"),
    ("hysteresis", lambda m, low, high: m * hysteresis()(m, low, high), "Truth values"),
    ("hough", hough(), None),
    ("hough", hough(offset=1, extra=2), "Off by one|shape"),
    ("hough", lambda e, t: hough()(e, t)[1:], "Off by one"),
    ("hough", hough(offset=-1), "Off by one"),
    ("hough", lambda e, t: np.roll(hough()(e, t), -5, axis=0), "negative"),
    ("hough", hough(rounding=np.trunc), "cut off"),
    ("hough", hough(rounding=np.floor), "cut off"),
    ("hough", hough(exchanged=True), "x and y"),
    ("hough", hough(lossy=True), "np.add.at"),
    ("hough", hough(angle=np.radians), "radians already"),
    ("hough", hough(angle=np.degrees), "degrees here"),
    ("hough", lambda e, t: hough()(np.ones_like(e), t), "Every pixel"),
    ("road_lines", true_lines(), None),
    ("road_lines", true_lines(left="right", right="left"), "rises to the right"),
    ("road_lines", true_lines(right="left"), "Neighbours of a peak"),
    ("road_lines", true_lines(left="far"), "opposite lane"),
    ("road_lines", true_lines(shift=30), "which line won"),
    ("road_lines", true_lines(form=lambda lines: lines * [1, 180 / np.pi]), "degrees"),
    ("road_lines", lambda image: np.array([[90, np.pi / 2], [91, 1.5]]), "horizon"),
]  # fmt: skip


# Week 2


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
            "W1": x.T @ back, "b1": bias(back, axis=0),
            "W2": {"hidden": hidden, "before": before}[source].T @ error, "b2": bias(error, axis=0),
        }  # fmt: skip
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


WEEK_2 = [
    ("standardize", standardize(), None),
    ("standardize", standardize(safe=False), "never changes"),
    ("standardize", lambda a, b: (standardize(axis=1)(a, a)[0], b), "wrong axis"),
    ("standardize", lambda a, b: ((a - a.mean()) / a.std(), (b - a.mean()) / a.std()), "whole array"),
    ("standardize", standardize(own=True), "its own mean"),
    ("standardize", lambda a, b: (standardize()(a, b)[0], b), "not scaled"),
    ("standardize", lambda a, b: (a - a.mean(axis=0), b - a.mean(axis=0)), "nothing divided"),
    ("standardize", standardize(power=2), "variance"),
    ("standardize", standardize(ddof=1), "n − 1"),
    ("standardize", lambda a, b: ((a - a.mean(axis=0).astype(np.uint8)) / np.maximum(a.std(axis=0), 1), b),
     "wraps"),
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
    ("cross_entropy", entropy(lambda losses: losses), "One loss a row"),
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
]  # fmt: skip


# Week 3

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
MEAN_3D, STD_3D = MEAN[:, None, None], STD[:, None, None]


def resize(sides, method=Image.Resampling.BILINEAR):
    def answer(image, size):
        height, width = image.shape[:2]
        return np.asarray(Image.fromarray(image).resize(sides(width, height, size), method))

    return answer


def shorter(width, height, size):
    return int(size * width / min(width, height)), int(size * height / min(width, height))


def rounded_up(width, height, size):
    return -(-size * width // min(width, height)), -(-size * height // min(width, height))


def as_tensor(values):
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def to_input(scale=lambda image: (image / 255 - MEAN) / STD, form=lambda x: x.transpose(2, 0, 1)[None]):
    return lambda image: as_tensor(form(scale(image)))


def features(
    *, kinds="cbr", padding=1, bias=False, pool=nn.MaxPool2d, follows=True, nested=False, side=3
):  # fmt: skip
    def answer(config, in_channels=3):
        layers = []
        for entry in config:
            if entry == "M":
                layers += [pool(2)] if pool else []
                continue
            parts = {
                "c": nn.Conv2d(in_channels, entry, side, padding=padding, bias=bias),
                "b": nn.BatchNorm2d(entry), "r": nn.ReLU(),
            }  # fmt: skip
            block = [parts[kind] for kind in kinds]
            layers += [nn.Sequential(*block)] if nested else block
            in_channels = entry if follows else in_channels
        return nn.Sequential(*layers)

    return answer


def costs(*, shrink=2, follows=True, side=9, bias=0, places=True, times=1, form=lambda rows: rows):
    def answer(config, height, width, in_channels=3):
        rows = []
        for entry in config:
            if entry == "M":
                height, width = height // shrink, width // shrink
                continue
            n = side * in_channels * entry + bias * entry
            rows.append((n, times * n * (height * width if places else 1)))
            in_channels = entry if follows else in_channels
        return form(rows)

    return answer


def maps(
    *, evaluate=True, clone=True, no_grad=True, restore=True, hooks=False, before=False, leaves_training=False
):  # fmt: skip
    def answer(model, inputs, numbers):
        was_training, found, handles = model.training, {}, []
        if evaluate:
            model.eval()
        if hooks:
            handles = [model[n].register_forward_hook(lambda *_: None) for n in numbers]
        with torch.set_grad_enabled(not no_grad):
            x = inputs
            for number, layer in enumerate(model):
                if number in numbers and before:
                    found[number] = x.clone()
                x = layer(x)
                if number in numbers and not before:
                    found[number] = x.clone() if clone else x
        if restore:
            model.train(was_training or leaves_training)
        assert handles or not hooks
        return found

    return answer


WEEK_3 = [
    ("resize_shorter", resize(shorter), None),
    ("resize_shorter", resize(lambda w, h, s: (s, s)), "distorted"),
    ("resize_shorter", resize(lambda w, h, s: shorter(w, h, s)[::-1]), "exchanged"),
    ("resize_shorter", resize(lambda w, h, s: (s * w // max(w, h), s * h // max(w, h))), "longer side"),
    ("resize_shorter", resize(rounded_up), "rounded up"),
    ("resize_shorter", resize(shorter, Image.Resampling.NEAREST), "alias"),
    ("resize_shorter", lambda i, s: cv2.resize(i, shorter(i.shape[1], i.shape[0], s)), "alias"),
    ("resize_shorter", lambda i, s: i, "old shape"),
    ("resize_shorter", lambda i, s: resize(shorter)(i, s) / 255, "bytes"),
    ("center_crop", lambda i, s: i[1 : 1 + s, 3 : 3 + s], None),
    ("center_crop", lambda i, s: i[:s, :s], "upper left"),
    ("center_crop", lambda i, s: i[3 : 3 + s, 1 : 1 + s], "exchanged|shape"),
    ("center_crop", lambda i, s: i[2 : 2 + s, 3 : 3 + s], "One pixel"),
    ("to_input", to_input(), None),
    ("to_input", to_input(lambda i: (i - MEAN) / STD), "divide by 255 first"),
    ("to_input", to_input(lambda i: i / 255), "are missing"),
    ("to_input", lambda i: as_tensor([(i.reshape(3, *i.shape[:2]) / 255 - MEAN_3D) / STD_3D]), "scrambled"),
    ("to_input", to_input(lambda i: (i[..., ::-1] / 255 - MEAN) / STD), "Red and blue"),
    ("to_input", to_input(lambda i: i / 255 / STD), "not taken away"),
    ("to_input", to_input(lambda i: i / 255 - MEAN), "Not divided"),
    ("to_input", to_input(lambda i: (i / 255 - MEAN) * STD), "divided"),
    ("to_input", to_input(lambda i: i / 255 / STD - MEAN), "the other way round"),
    ("to_input", to_input(form=lambda x: x.transpose(2, 1, 0)[None]), "Rows and columns"),
    ("to_input", to_input(form=lambda x: x.transpose(2, 0, 1)), "batch axis"),
    ("to_input", to_input(form=lambda x: x[None]), "Channels come first"),
    ("to_input", lambda i: to_input()(i).double(), "float32"),
    ("to_input", to_input(lambda i: (i // 255 - MEAN) / STD), "divided as an integer"),
    ("to_input", to_input(lambda i: (i - i.mean(axis=(0, 1))) / i.std(axis=(0, 1))), "this picture"),
    ("build_features", features(), None),
    ("build_features", features(kinds="cb"), "Without a ReLU"),
    ("build_features", features(kinds="cr"), "batch norm after"),
    ("build_features", features(kinds="crb"), "between the convolution and its ReLU"),
    ("build_features", features(padding=0), "Without padding"),
    ("build_features", features(bias=True), "bias=False"),
    ("build_features", features(pool=nn.AvgPool2d), "not the mean"),
    ("build_features", features(pool=None), "Nothing pools"),
    ("build_features", features(pool=lambda n: nn.MaxPool2d(2, stride=1)), "stride 2"),
    ("build_features", features(follows=False), "the one before it"),
    ("build_features", features(nested=True), "one flat row"),
    ("layer_costs", costs(), None),
    ("layer_costs", costs(shrink=1), "halves"),
    ("layer_costs", costs(follows=False), "3 input channels"),
    ("layer_costs", costs(side=1), "9 places"),
    ("layer_costs", costs(bias=1), "no bias"),
    ("layer_costs", costs(places=False), "height × width"),
    ("layer_costs", costs(times=2), "counts as one"),
    ("layer_costs", costs(form=lambda rows: [row[::-1] for row in rows]), "columns are exchanged"),
    ("feature_maps", maps(), None),
    ("feature_maps", maps(evaluate=False), "evaluation mode"),
    ("feature_maps", maps(clone=False), "clone"),
    ("feature_maps", maps(no_grad=False), "no_grad"),
    ("feature_maps", maps(restore=False), "was_training"),
    ("feature_maps", maps(leaves_training=True), "came in training mode only"),
    ("feature_maps", maps(hooks=True), "remove"),
    ("feature_maps", maps(before=True), "layer's input"),
    ("feature_vectors", lambda m: m.mean(dim=(2, 3)), None),
    ("feature_vectors", lambda m: m.mean(dim=1), "over the channels"),
    ("feature_vectors", lambda m: m.mean(dim=(0, 2, 3)), "over the pictures"),
    ("feature_vectors", lambda m: m.amax(dim=(2, 3)), "maximum"),
    ("feature_vectors", lambda m: m.sum(dim=(2, 3)), "sum"),
    ("feature_vectors", lambda m: m.flatten(1), "flattened"),
    ("feature_vectors", lambda m: m.mean(dim=(2, 3), keepdim=True), "length 1"),
    ("feature_vectors", lambda m: m.mean(dim=2), "Only the rows"),
]  # fmt: skip


def cases():
    for week, rows in (("week01", WEEK_1), ("week02", WEEK_2), ("week03", WEEK_3)):
        for number, (name, answer, hint) in enumerate(rows):
            yield pytest.param(
                getattr(WEEKS[week], f"check_{name}"), answer, hint, id=f"{week}-{name}-{number}"
            )


@pytest.mark.parametrize(("check", "answer", "hint"), list(cases()))
def test_the_hint_names_the_mistake(check, answer, hint):
    verdict = check(answer)
    if hint is None:
        assert verdict.ok, verdict
        return
    assert not verdict.ok
    assert re.search(hint, f"{verdict.message} {verdict.hint}"), verdict


def test_every_question_has_right_and_wrong_answers_here():
    for module, rows in ((week01, WEEK_1), (week02, WEEK_2), (week03, WEEK_3)):
        for question in module.QUESTIONS:
            hints = [hint for name, _, hint in rows if name == question.answer]
            if question.check:
                assert None in hints
                assert sum(hint is not None for hint in hints) >= 3, question.answer


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_check_is_quick_and_always_says_the_same(question):
    rows = {"week01": WEEK_1, "week02": WEEK_2, "week03": WEEK_3}
    answers = [answer for all_ in rows.values() for name, answer, _ in all_ if name == question.answer][:3]
    for answer in answers:
        question.check(answer)  # imports, and the road of question 8
        start = time.process_time()
        first = repr(question.check(answer))
        assert time.process_time() - start < 1.0
        assert repr(question.check(answer)) == first


def test_points_are_earned_by_right_answers_only():
    namespace = {"to_grey": grey(), "convolve": valid, "hough": 5}
    grades = grade(week01.QUESTIONS, namespace)
    assert (grades.earned, grades.checkable) == (1, 16)
    lines = repr(grades).splitlines()
    assert lines[0].split() == ["1", "Grey", "1", "of", "1"]
    assert lines[1].split() == ["2", "Convolution", "0", "of", "3"]
    assert lines[-2].endswith("by rubric of 4")
    assert lines[-1] == "1 of 16 points by the checks, 4 more by the rubric"
    assert "defines no such function" in grades.verdicts[3].message
    assert "expected" in grades.verdicts[7].message


@pytest.mark.parametrize("module", list(WEEKS.values()), ids=list(WEEKS))
def test_questions_are_numbered_and_add_up_to_twenty(module):
    assert [question.number for question in module.QUESTIONS] == list(range(1, len(module.QUESTIONS) + 1))
    assert 6 <= len(module.QUESTIONS) <= 10
    assert sum(question.points for question in module.QUESTIONS) == 20
    assert [question.number for question in module.QUESTIONS if not question.check] == [len(module.QUESTIONS)]


def test_road_scene_knows_its_lines():
    """The paint is bright where the scene says that it is, and the scene is the same every time."""
    for seed in range(4):
        scene = road_scene(seed, shadows=False, noise=0.0)
        assert np.array_equal(scene.image, road_scene(seed, shadows=False, noise=0.0).image)
        for row in (160, 200, 240):
            column = scene.column("right", row)
            line = scene.image[row].astype(float).mean(axis=1)
            paint = line[round(column)]
            beside = line[round(column) - 25 : round(column) - 12].mean()
            assert paint > beside + 40
    assert not np.array_equal(road_scene(0).image, road_scene(1).image)
