"""Answers to the questions of week 1, right and wrong, with a pattern of what a wrong one must be told."""

import cv2
import numpy as np
from scipy import ndimage

from common.data.pictures import road_scene


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
):
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


ROWS = [
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
]
