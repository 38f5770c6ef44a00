"""Answers to the questions of week 1, right and wrong, with a pattern of what a wrong one must be told."""

import functools

import cv2
import numpy as np
import torch
from scipy import ndimage
from skimage import filters
from styles import in_single, listed, single, tensor
from torch import nn

from common.checks.week01 import ROADS
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


def hysteresis(structure=EIGHT, at_least=np.greater_equal, enough=np.greater_equal, drop=True, of=None):
    def answer(magnitude, low, high, shortest):
        labels, n = ndimage.label(at_least(magnitude, low), structure)
        stays = np.isin(np.arange(n + 1), labels[at_least(magnitude, high)])
        if drop:
            counted = labels if of is None else labels[of(magnitude, low, high)]
            stays &= enough(np.bincount(counted.ravel(), minlength=n + 1), shortest)
        stays[0] = False
        return stays[labels]

    return answer


def without_crumbs(grow):
    """The edges that `grow` finds, less its short chains."""

    def answer(magnitude, low, high, shortest):
        edges = grow(magnitude >= low, magnitude >= high)
        labels, _ = ndimage.label(edges, EIGHT)
        return edges & (np.bincount(labels.ravel())[labels] >= shortest)

    return answer


def one_pass(weak, strong):
    """Row by row, once: what stands above or to the left of an edge is missed."""
    edges = np.pad(strong & weak, 1)
    for y, x in np.argwhere(weak):
        edges[y + 1, x + 1] |= edges[y : y + 3, x : x + 3].any()
    return edges[1:-1, 1:-1]


def there_and_back(weak, strong):
    edges = one_pass(weak, strong)
    return one_pass(weak[::-1, ::-1], edges[::-1, ::-1])[::-1, ::-1]


def grown(n_steps=None):
    def grow(weak, strong):
        edges = strong & weak
        for _ in range(n_steps or weak.size):
            edges = ndimage.binary_dilation(edges, EIGHT) & weak
        return edges

    return grow


def by_opencv(weak, strong):
    n, labels = cv2.connectedComponents(weak.astype(np.uint8), connectivity=8)
    stays = np.isin(np.arange(n), labels[strong])
    stays[0] = False
    return stays[labels]


def hough(
    *,
    rounding=np.rint,
    offset=0,
    extra=1,
    exchanged=False,
    lossy=False,
    angle=lambda t: t,
    reach=sum,
    apart=lambda a, b: np.minimum((a - b) % np.pi, (b - a) % np.pi),
    wide=1.0,
):
    def answer(edges, directions, thetas, spread):
        r = int(reach(edges.shape))
        y, x = np.nonzero(edges)
        own = directions[y, x]
        x, y = (y, x) if exchanged else (x, y)
        votes = np.zeros((2 * r + extra, len(thetas)), int)
        for column, theta in enumerate(thetas):
            near = apart(theta, own) <= wide * spread
            rho = x[near] * np.cos(angle(theta)) + y[near] * np.sin(angle(theta))
            rows = (r + offset + rounding(rho).astype(int)) % len(votes)
            if lossy:
                votes[rows, column] += 1
            else:
                np.add.at(votes[:, column], rows, 1)
        return votes

    return answer


def smallest_difference(a, b):
    """Modulo π by complex numbers of twice the angle."""
    return np.abs(np.angle(np.exp(2j * (a - b)))) / 2


def found_lines(seed, *, left="left", right="right", shift=0.0, form=lambda lines: lines):
    """The borders of one road, spoilt in one way."""
    scene = road_scene(seed)
    (u0, v0), lane = scene.vanishing_point, scene.slopes["right"] - scene.slopes["left"]
    places = {
        "far": scene.slopes["right"] - 2 * lane,
        "verge": scene.slopes["right"] + 0.7 / 1.9,
        "seam": (scene.slopes["left"] + scene.slopes["right"]) / 2 + 0.1 / 1.9,
        **scene.slopes,
    }
    lines = []
    for name in (left, right):
        theta = np.arctan2(-places[name], 1) % np.pi
        lines.append([(u0 + shift) * np.cos(theta) + v0 * np.sin(theta), theta])
    return form(np.array(lines))


@functools.lru_cache(maxsize=1)
def known_roads():
    return {road_scene(seed).image.tobytes(): seed for seed in ROADS}


def true_lines(**spoilt):
    """An oracle in place of a detector: it knows the roads that the check draws."""
    return lambda image: found_lines(known_roads()[image.tobytes()], **spoilt)


def box(*, mode="mirror", side=lambda r: 2 * r + 1, finish=lambda mean, r: mean):
    def answer(image, radius):
        return finish(ndimage.uniform_filter(image.astype(float), side(radius), mode=mode), radius)

    return answer


def box_by_sums(*, zeros=1, corner=1, exact=True, border="reflect"):
    def answer(image, radius):
        side = 2 * radius + 1
        padded = np.pad(image.astype(float) if exact else image, radius, mode=border)
        sums = np.cumsum(np.cumsum(padded, axis=0, dtype=padded.dtype), axis=1, dtype=padded.dtype)
        sums = np.pad(sums, ((zeros, 0), (zeros, 0)))
        total = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + corner * sums[:-side, :-side]
        return total / side**2

    return answer


def box_by_windows(image, radius):
    padded = np.pad(image.astype(float), radius, mode="reflect")
    side = 2 * radius + 1
    return np.lib.stride_tricks.sliding_window_view(padded, (side, side)).mean(axis=(2, 3))


def box_of_bytes(image, radius):
    padded = np.pad(image, radius, mode="reflect")
    total = np.zeros_like(image)
    for y in range(2 * radius + 1):
        for x in range(2 * radius + 1):
            total += padded[y : y + image.shape[0], x : x + image.shape[1]]
    return total / (2 * radius + 1) ** 2


def separate(*, refuse=True, scale=lambda s: (s, 1.0), place=0, form=lambda column, row: (column, row)):
    def answer(kernel):
        left, values, right = np.linalg.svd(kernel)
        if refuse and values[1] > 1e-9 * values[0]:
            raise ValueError("kernel: not a product")
        of_column, of_row = scale(values[place])
        return form(of_column * left[:, place], of_row * right[place])

    return answer


def separate_by_first(kernel):
    """The first row and column: wrong where they are zero."""
    column, row = kernel[:, 0], kernel[0] / kernel[0, 0]
    if not np.allclose(np.outer(column, row), kernel):
        raise ValueError("kernel: not a product")
    return column, row


def separate_by_sums(kernel):
    """Row sums and column sums: wrong where they cancel."""
    with np.errstate(all="ignore"):
        column, row = kernel.sum(axis=1), kernel.sum(axis=0) / kernel.sum()
    if np.isfinite(row).all() and not np.allclose(np.outer(column, row), kernel):
        raise ValueError("kernel: not a product")
    return column, row


def two_passes(*, flip=(-1, -1), mode="mirror", swap=False, only=(True, True), added=False, kind=float):
    def answer(image, column, row):
        column, row = (row, column) if swap else (column, row)
        start = result = image.astype(kind)
        total = 0
        for axis, entries, step, wanted in zip((0, 1), (column, row), flip, only, strict=True):
            if wanted:
                entries = np.asarray(entries)[::step].astype(kind)
                source = start if added else result
                result = ndimage.correlate1d(source, entries, axis=axis, mode=mode)
                total = total + result
        return total if added else result

    return answer


def two_passes_by_hand(image, column, row):
    """With loops over pixels, in plain Python."""
    height, width = image.shape

    def mirrored(place, length):
        place = abs(place)
        return place if place < length else 2 * (length - 1) - place

    def one(values, entries, down):
        half, result = len(entries) // 2, [[0.0] * width for _ in range(height)]
        for y in range(height):
            for x in range(width):
                for at, entry in enumerate(entries):
                    there = (y, x)
                    if down:
                        there = (mirrored(y - at + half, height), x)
                    else:
                        there = (y, mirrored(x - at + half, width))
                    result[y][x] += float(entry) * float(values[there[0]][there[1]])
        return result

    return one(one(image.tolist(), column, True), row, False)


def two_passes_by_torch(image, column, row):
    pixels = torch.from_numpy(image.astype(np.float32))[None, None]
    kernel = torch.from_numpy(np.outer(column, row)[::-1, ::-1].astype(np.float32).copy())[None, None]
    border = (len(row) // 2,) * 2 + (len(column) // 2,) * 2
    return nn.functional.conv2d(nn.functional.pad(pixels, border, mode="reflect"), kernel)[0, 0]


def thinned_in_place(magnitude, direction):
    """Reads what it has already written over."""
    result, steps = magnitude.copy(), ((0, 1), (1, 1), (1, 0), (1, -1))
    for y in range(1, len(magnitude) - 1):
        for x in range(1, magnitude.shape[1] - 1):
            dy, dx = steps[int(np.rint(direction[y, x] / np.pi * 4)) % 4]
            if result[y, x] < max(result[y + dy, x + dx], result[y - dy, x - dx]):
                result[y, x] = 0
    result[[0, -1]] = result[:, [0, -1]] = 0
    return result


def unflipped(image):
    """The lecture's Sobel kernels handed to a convolution, which flips them."""
    gx, gy = (-part for part in sobel(image))
    return np.hypot(gx, gy), np.arctan2(gy, gx)


def negated(image):
    """The flip mended by a sign: zeros become negative ones, and π becomes −π."""
    gx, gy = sobel(image)
    gy = np.where(gy == 0, -0.0, gy)
    return np.hypot(gx, gy), np.arctan2(gy, gx)


def by_opencv_sobel(image):
    gx, gy = (cv2.Sobel(image.astype(np.float32), cv2.CV_32F, *d) for d in ((1, 0), (0, 1)))
    return cv2.cartToPolar(gx, gy)


def gradient_of(derivatives):
    def answer(image):
        gx, gy = derivatives(image)
        return np.hypot(gx, gy), np.arctan2(gy, gx)

    return answer


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
    ("hysteresis", tensor(hysteresis()), None),
    ("hysteresis", lambda *a: hysteresis()(*a).astype(int), None),
    ("hysteresis", without_crumbs(grown()), None),
    ("hysteresis", without_crumbs(by_opencv), None),
    ("hysteresis", without_crumbs(lambda weak, strong: strong), "Only the strong"),
    ("hysteresis", without_crumbs(lambda weak, strong: weak), "Every weak"),
    ("hysteresis", lambda m, low, high, n: m >= high, "Only the strong"),
    ("hysteresis", lambda m, low, high, n: m >= low, "Every weak"),
    ("hysteresis", without_crumbs(grown(1)), "one step"),
    ("hysteresis", without_crumbs(grown(2)), "one step"),
    ("hysteresis", without_crumbs(grown(12)), "too early"),
    ("hysteresis", without_crumbs(one_pass), "once"),
    ("hysteresis", without_crumbs(there_and_back), "once|values of"),
    ("hysteresis", hysteresis(None), "[Dd]iagonal"),
    ("hysteresis", hysteresis(at_least=np.greater), "exactly a threshold"),
    ("hysteresis", lambda m, low, high, n: filters.apply_hysteresis_threshold(m, low, high), "[Dd]iagonal"),
    ("hysteresis", lambda m, low, high, n: m * hysteresis()(m, low, high, n), "Truth values"),
    ("hysteresis", lambda *a: 255 * hysteresis()(*a).astype(np.uint8), "truth values"),
    ("hysteresis", hysteresis(drop=False), "still there"),
    ("hysteresis", hysteresis(enough=np.greater), "exactly .shortest."),
    ("hysteresis", hysteresis(of=lambda m, low, high: m >= high), "whole chain"),
    ("hough", hough(), None),
    ("hough", hough(apart=smallest_difference), None),
    ("hough", listed(hough()), None),
    ("hough", tensor(hough()), None),
    ("hough", hough(reach=lambda shape: np.ceil(np.hypot(*shape))), "R is height"),
    ("hough", hough(reach=lambda shape: int(np.hypot(*shape)) + 1), "R is height"),
    ("hough", hough(reach=max), "R is height"),
    ("hough", hough(offset=1, extra=2), "Off by one|shape"),
    ("hough", lambda *a: hough()(*a)[1:], "Off by one"),
    ("hough", hough(offset=-1), "Off by one"),
    ("hough", lambda e, *a: np.roll(hough()(e, *a), -sum(e.shape), axis=0), "negative"),
    ("hough", hough(rounding=np.trunc), "cut off"),
    ("hough", hough(rounding=np.floor), "cut off"),
    ("hough", hough(exchanged=True), "x and y|wrong"),
    ("hough", hough(lossy=True), "np.add.at|wrong"),
    ("hough", hough(angle=np.radians), "radians already"),
    ("hough", hough(angle=np.degrees), "degrees here"),
    ("hough", hough(apart=lambda a, b: 0 * b), "every angle"),
    ("hough", hough(apart=lambda a, b: np.abs(a - b)), "modulo π"),
    ("hough", hough(apart=lambda a, b: np.abs(a - b % np.pi)), "modulo π"),
    ("hough", hough(apart=lambda a, b: np.minimum((a - b) % 6.2831853, (b - a) % 6.2831853)), "not 2π"),
    ("hough", hough(apart=lambda a, b: (a - b) % np.pi), "at most π/2"),
    ("hough", lambda e, d, t, s: hough()(e, d + np.pi / 2, t, s), "not along it"),
    ("hough", hough(wide=0.5), "both sides"),
    ("hough", lambda e, *a: hough()(np.ones_like(e), *a), "Every pixel"),
    ("road_lines", true_lines(), None),
    ("road_lines", listed(true_lines()), None),
    ("road_lines", true_lines(form=lambda lines: lines[:, None].astype(np.float32)), None),
    ("road_lines", true_lines(shift=-6), None),
    ("road_lines", true_lines(left="right", right="left"), "rises to the right"),
    ("road_lines", true_lines(right="left"), "Neighbours of a peak"),
    ("road_lines", true_lines(left="far"), "opposite lane"),
    ("road_lines", true_lines(right="verge"), "asphalt ends"),
    ("road_lines", true_lines(left="seam"), "seam"),
    ("road_lines", true_lines(shift=30), "which line won"),
    ("road_lines", lambda image: found_lines(0), "road of the notebook"),
    ("road_lines", lambda image: found_lines(2), "road of the notebook"),
    ("road_lines", lambda image: found_lines(4), "away"),
    ("road_lines", true_lines(form=lambda lines: lines * [1, 180 / np.pi]), "degrees"),
    ("road_lines", true_lines(form=lambda lines: lines[:, ::-1]), "exchanged"),
    ("road_lines", true_lines(form=lambda lines: lines[:1]), "shape"),
    ("road_lines", lambda image: np.array([[90, np.pi / 2], [91, 1.5]]), "horizon"),
    ("box_blur", box(), None),
    ("box_blur", box_by_sums(), None),
    ("box_blur", box_by_windows, None),
    ("box_blur", lambda i, r: cv2.blur(i.astype(float), (2 * r + 1,) * 2), None),
    ("box_blur", lambda i, r: cv2.boxFilter(i, cv2.CV_32F, (2 * r + 1,) * 2), None),
    ("box_blur", in_single(box_by_sums()), None),
    ("box_blur", listed(box()), None),
    ("box_blur", tensor(box()), None),
    ("box_blur", box(finish=lambda m, r: m * (2 * r + 1) ** 2), "That is the sum"),
    ("box_blur", box(finish=lambda m, r: m * (2 * r + 1)), "Divided by the side"),
    ("box_blur", box(side=lambda r: max(1, r)), "not the side|shape|wrong"),
    ("box_blur", box_by_sums(zeros=0), "begins with a row"),
    ("box_blur", box_by_sums(corner=0), "added again"),
    ("box_blur", box_of_bytes, "fit into a byte"),
    ("box_blur", box_by_sums(exact=False), "byte"),
    ("box_blur", box_by_sums(border="edge"), "repeats"),
    ("box_blur", box_by_sums(border="symmetric"), "repeats"),
    ("box_blur", box_by_sums(border="constant"), "zeros"),
    ("box_blur", box(mode="wrap"), "opposite side"),
    ("box_blur", box(finish=lambda m, r: m[r : len(m) - r, r : m.shape[1] - r]), "shrinks"),
    ("box_blur", box(finish=lambda m, r: np.rint(m).astype(np.uint8)), "keep the mean in float"),
    (
        "box_blur",
        lambda i, r: ndimage.uniform_filter1d(i.astype(float), 2 * r + 1, mode="mirror"),
        "one axis",
    ),
    ("box_blur", lambda i, r: np.roll(box()(i, r), 1, axis=0), "shifted"),
    ("separate", separate(), None),
    ("separate", separate(scale=lambda s: (s**0.5, -(s**0.5)), form=lambda c, r: (c, -r)), None),
    ("separate", separate(form=lambda c, r: (c[:, None], r[None])), None),
    ("separate", single(separate()), None),
    ("separate", tensor(separate()), None),
    ("separate", listed(separate()), None),
    ("separate", separate(scale=lambda s: (1, 1)), "singular value is missing"),
    ("separate", separate(scale=lambda s: (s, s)), "counts twice"),
    ("separate", separate(scale=lambda s: (-s, 1)), "sign"),
    ("separate", separate(form=lambda c, r: (r, c)), "exchanged"),
    ("separate", separate(refuse=False), "Refuse it"),
    ("separate", separate(place=-1), "largest first"),
    ("separate", separate_by_first, "raises|first entry"),
    ("separate", separate_by_sums, "by a sum|nan"),
    ("separate", lambda kernel: kernel, "2 results"),
    ("separate", lambda kernel: (kernel, kernel), "shape"),
    ("convolve_separable", two_passes(), None),
    ("convolve_separable", in_single(two_passes()), None),
    ("convolve_separable", two_passes_by_hand, None),
    ("convolve_separable", two_passes_by_torch, None),
    ("convolve_separable", lambda i, c, r: ndimage.convolve(i * 1.0, np.outer(c, r), mode="mirror"), None),
    ("convolve_separable", lambda i, c, r: cv2.sepFilter2D(i, cv2.CV_64F, r[::-1], c[::-1]), None),
    ("convolve_separable", tensor(two_passes()), None),
    ("convolve_separable", lambda i, c, r: cv2.sepFilter2D(i, cv2.CV_64F, r, c), "correlation"),
    ("convolve_separable", two_passes(flip=(1, 1)), "correlation"),
    ("convolve_separable", two_passes(flip=(1, -1)), "flip"),
    ("convolve_separable", two_passes(flip=(-1, 1)), "flip"),
    ("convolve_separable", two_passes(swap=True), "exchanged"),
    ("convolve_separable", two_passes(only=(True, False)), "One pass is missing"),
    ("convolve_separable", two_passes(only=(False, True)), "One pass is missing"),
    ("convolve_separable", two_passes(added=True), "are added"),
    ("convolve_separable", two_passes(mode="constant"), "zeros"),
    ("convolve_separable", two_passes(mode="nearest"), "repeats"),
    ("convolve_separable", two_passes(mode="reflect"), "symmetric"),
    ("convolve_separable", two_passes(mode="wrap"), "opposite side"),
    ("convolve_separable", lambda i, c, r: two_passes()(i, c, r)[1:-1, 1:-1], "shrinks"),
    ("convolve_separable", lambda i, c, r: two_passes()(i, c, r).astype(np.uint8), "bytes|wrong"),
    ("gradient", by_opencv_sobel, None),
    ("gradient", negated, None),
    ("gradient", lambda image: np.stack(gradient()(image)), None),
    ("gradient", in_single(gradient()), None),
    ("gradient", tensor(gradient()), None),
    ("gradient", gradient(angle=lambda gx, gy: np.arctan2(gy, gx) % (2 * np.pi)), None),
    ("gradient", unflipped, "downhill"),
    ("gradient", gradient(angle=lambda gx, gy: np.arctan2(gy, gx) + np.pi / 2), "across it"),
    ("gradient", gradient_of(lambda i: sobel(i)[::-1]), "exchanged"),
    ("gradient", gradient_of(lambda i: (ndimage.sobel(i, 1), ndimage.sobel(i, 0))), "SciPy's default"),
    (
        "gradient",
        gradient_of(lambda i: (ndimage.sobel(i, 1, mode="constant"), ndimage.sobel(i, 0, mode="constant"))),
        "zeros",
    ),
    (
        "gradient",
        gradient_of(lambda i: (ndimage.prewitt(i, 1, mode="mirror"), ndimage.prewitt(i, 0, mode="mirror"))),
        "Prewitt",
    ),
    ("gradient", gradient_of(lambda i: np.gradient(i)[::-1]), "two neighbours"),
    ("gradient", lambda image: gradient()(image)[0], "2 results|shape"),
    ("thin", in_single(thin()), None),
    ("thin", tensor(thin()), None),
    ("thin", thinned_in_place, "written|being thinned"),
    ("thin", thin(sector=lambda d: np.floor(d / np.pi * 4).astype(int) % 4), "cut off"),
    ("thin", thin(sector=lambda d: np.trunc(d / np.pi * 4).astype(int) % 4), "cut off"),
    ("convolve", in_single(by_scipy()), None),
    ("convolve", lambda i, k: cv2.filter2D(i.astype(np.float32), -1, k[::-1, ::-1].copy()), None),
    ("convolve", lambda i, k: np.roll(by_scipy()(i, k), 1, axis=1), "shifted"),
    ("gaussian_kernel", single(gaussian), None),
    ("gaussian_kernel", listed(gaussian), None),
    (
        "gaussian_kernel",
        lambda s: (lambda k: k @ k.T)(cv2.getGaussianKernel(2 * int(np.ceil(3 * s)) + 1, s)),
        None,
    ),
    (
        "gaussian_kernel",
        lambda s: (lambda k: k @ k.T)(cv2.getGaussianKernel(round(6 * s + 1) | 1, s)),
        "OpenCV's side",
    ),
    ("to_grey", lambda image: cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None),
    ("to_grey", tensor(grey()), None),
]
