"""The questions of week 1: from a road to its lines."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
from scipy import ndimage

from common.checks import grading
from common.checks.comparing import Suspect, as_array, call, expect, expect_dtype, pair, refuses
from common.checks.grading import Grades, NotYet, Question, check
from common.data.pictures import CAMERA_HEIGHT, LANE, RoadScene, road_scene

# ----------------------------------------------------------------------------------------------------
# For cells of the lecture that students fill in: grey, convolution, Gaussian kernel.

WEIGHTS = np.array([0.299, 0.587, 0.114])  # of red, green and blue: ITU-R BT.601


@check(0, "to_grey")
def check_to_grey(answer: Callable) -> str:
    """uint8 RGB of shape (h, w, 3) to uint8 grey of shape (h, w), with BT.601's weights, rounded."""
    first = [[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[200, 120, 7], [90, 250, 160], [9, 33, 70]]
    second = np.random.default_rng(6).integers(0, 256, (3, 5, 3))
    for image in (np.array(first, np.uint8), second.astype(np.uint8)):
        height, width, _ = image.shape
        values = as_array(call(answer, image, told=f"an image of {height}×{width} pixels"))
        expect(values, np.rint(image @ WEIGHTS), suspects=_wrong_greys(image), tolerance=1e-3)
        expect_dtype(values, "uint8", "Return uint8: libraries take an image of floats to be in [0, 1].")
    return "Weighted, rounded, uint8."


def _wrong_greys(image: np.ndarray) -> list[Suspect]:
    exact, mean, wrapped = image @ WEIGHTS, image.mean(axis=2), image.sum(axis=2) % 256
    return [
        (
            "Red and blue are exchanged: the image is RGB; BGR is OpenCV's order.",
            np.rint(image[..., ::-1] @ WEIGHTS),
            np.floor(image[..., ::-1] @ WEIGHTS),
        ),
        ("The fraction is cut off: round before you convert to uint8.", np.floor(exact)),
        (
            "The fraction is cut off in every channel: add first, then round the sum.",
            np.floor(image * WEIGHTS).sum(axis=2),
        ),
        (
            "All three channels have the same weight: the eye sees green best, so green counts most.",
            mean,
            np.rint(mean),
            np.floor(mean),
        ),
        (
            "uint8 overflows: 255 + 1 is 0. Convert to float before you add.",
            wrapped // 3,
            wrapped / 3,
            np.rint(wrapped / 3),
        ),
        ("The image is in [0, 1]: multiply by 255, then round.", exact / 255, np.rint(exact / 255)),
        ("The weights are right, but the sum is not rounded yet: np.rint, then uint8.", exact),
        ("That is an average over the rows: the channels are the last axis.", image.mean(axis=0)),
    ]


_SQUARE = np.array([[1, 0, 0], [0, 0, -1], [2, 0, 0]], float)  # no symmetry: a missing flip shows
_TALL = np.array([[1, 2, 0], [0, 1, 0], [0, 0, 3], [-1, 0, 0], [0, 1, 1]], float)

_FLIPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "": lambda kernel: kernel,
    "That is correlation: convolution flips the kernel first, both ways.": lambda kernel: kernel[::-1, ::-1],
    "The kernel is flipped up-down only: flip it left-right too.": lambda kernel: kernel[:, ::-1],
    "The kernel is flipped left-right only: flip it up-down too.": lambda kernel: kernel[::-1],
    "The kernel is transposed, which is not a rotation by 180 degrees: flip both axes.": lambda kernel: (
        kernel.T[::-1, ::-1]
    ),
}
_BORDERS = {  # scipy's name of a border, and what it says about the student's
    "mirror": "",
    "constant": "The padding is zeros, which draw a dark frame: reflect the image instead.",
    "nearest": "The padding repeats the outermost pixel, as 'symmetric' and 'edge' do: use 'reflect'.",
    "wrap": "The padding continues at the opposite side: reflect the image instead.",
}
_VALID = "The image shrinks: pad it by half of the kernel on each side first."
_FRAME = "The outermost pixels are left out: pad the image first, then visit them all."
_BYTES = "The result is squeezed into bytes: keep it in float64."


@check(0, "convolve")
def check_convolve(answer: Callable) -> str:
    """Convolution (the kernel is flipped) of a grey image, borders reflected, same shape, float64."""
    rng = np.random.default_rng(5)
    image = rng.integers(0, 10, (5, 5)).astype(float)
    got = call(answer, image, _SQUARE, told="a 5×5 image and a 3×3 kernel")
    wanted = ndimage.convolve(image, _SQUARE, mode="mirror")
    shown = {"image": image, "kernel": _SQUARE}
    expect(got, wanted, suspects=_wrong_convolutions(image, _SQUARE), shown=shown)
    white = np.full((5, 5), 200, np.uint8)
    got = as_array(call(answer, white, np.ones((3, 3)), told="a uint8 image"))
    overflow = "The sum of nine bytes does not fit into a byte: make the image float64 first."
    suspects = [(overflow, np.full((5, 5), 1800 % 256), np.full((5, 5), 255), np.full((5, 5), 200))]
    expect(got, np.full((5, 5), 1800.0), suspects=suspects, what="The sum of 3×3 pixels of 200")
    expect_dtype(got, "float", overflow)
    image = rng.normal(size=(7, 9))
    got = call(answer, image, _TALL, told="a 7×9 image and a 5×3 kernel")
    hint = "Right for a 3×3 kernel, wrong for 5×3: rows and columns need their own padding."
    expect(got, ndimage.convolve(image, _TALL, mode="mirror"), unknown=hint)
    return "3×3 and 5×3 kernels, borders reflected, bytes without overflow."


def _wrong_convolutions(image: np.ndarray, kernel: np.ndarray) -> list[Suspect]:
    """Every combination of a flip and a border; the right one of both comes with its own mistakes."""
    found = []
    for (flip, flipped), (mode, border) in product(_FLIPS.items(), _BORDERS.items()):
        whole = ndimage.convolve(image, flipped(kernel), mode=mode)
        found.append((f"{flip} {border}".strip(), whole))
        if mode == "mirror":
            inside = whole[1:-1, 1:-1]
            found.append((f"{flip} {_VALID}".strip(), inside))
            found.append((f"{flip} {_FRAME}".strip(), np.pad(inside, 1)))
            found.append((f"{flip} {_BYTES}".strip(), np.clip(whole, 0, 255), whole % 256))
    return found


@check(0, "gaussian_kernel")
def check_gaussian_kernel(answer: Callable) -> str:
    """A square kernel of side 2·ceil(3σ) + 1, proportional to exp(−(x² + y²) / 2σ²), of sum 1."""
    for sigma in (0.8, 1.4, 2.0):  # at 1.4 the sides of the different rules differ
        got = as_array(call(answer, sigma, told=f"sigma={sigma}"))
        reach = int(np.ceil(3 * sigma))
        wanted = _gaussian(reach, 2 * sigma**2)
        peak_one = wanted / wanted.max()
        suspects = [
            ("It does not sum to 1, so it brightens the image: divide by the sum.", peak_one),
            (
                "1 / 2πσ² makes the integral 1, and not the sum of samples: divide by the sum.",
                peak_one / (2 * np.pi * sigma**2),
            ),
            ("The exponent has σ where σ² belongs.", _gaussian(reach, 2 * sigma)),
            ("The exponent lacks the 2 of 2σ².", _gaussian(reach, sigma**2)),
            ("That is a row: the kernel is the product of a column and a row.", wanted.sum(axis=0)),
            (
                "That is OpenCV's side, round(6σ + 1) made odd; here it reaches ceil(3σ) to each side.",
                _gaussian((round(6 * sigma + 1) | 1) // 2, 2 * sigma**2),
            ),
            (
                "It is cut off too early: it reaches ceil(3σ) pixels to each side.",
                _gaussian(int(np.ceil(1.5 * sigma)), 2 * sigma**2),
                _gaussian(int(3 * sigma), 2 * sigma**2),
            ),
        ]
        if got.ndim == 2 and got.shape[0] == got.shape[1] and got.shape[0] % 2 == 0:
            hint = "An even side has no middle pixel, and moves the image by half a pixel."
            raise NotYet(f"For sigma={sigma} it has side {got.shape[0]}.", hint=hint)
        hint = f"For sigma={sigma} it reaches {reach} pixels to each side of the middle one."
        expect(got, wanted, suspects=suspects, unknown=hint if got.shape != wanted.shape else "")
    return "Side, shape and sum for three values of sigma."


def _gaussian(reach: int, denominator: float) -> np.ndarray:
    x = np.arange(-reach, reach + 1)
    kernel = np.exp(-(x[:, None] ** 2 + x**2) / denominator)
    return kernel / kernel.sum()


# ----------------------------------------------------------------------------------------------------
# Week 1, first half: a blur that costs the same at every radius, kernels in two passes, the gradient.


@check(1, "box_blur")
def check_box_blur(answer: Callable) -> str:
    """Mean of the (2r + 1) × (2r + 1) pixels around each one, borders reflected, float."""
    rng = np.random.default_rng(8)
    cases = (
        (rng.integers(0, 10, (5, 6)).astype(float), 1),
        (rng.integers(150, 256, (7, 5)).astype(np.uint8), 2),
        (rng.normal(size=(60, 45)), 12),
        (rng.integers(0, 10, (4, 5)).astype(float), 0),
    )
    for image, radius in cases:
        height, width = image.shape
        kind = "a uint8" if image.dtype == np.uint8 else "a"
        got = as_array(call(answer, image, radius, told=f"{kind} {height}×{width} image, radius {radius}"))
        what = f"The blurred {height}×{width} image"
        wanted = _boxed(image, radius)
        shown = {"image": image}
        expect(got, wanted, suspects=_wrong_boxes(image, radius), what=what, shown=shown, unknown=_ZEROS)
        expect_dtype(got, "float", "A mean has fractions: keep it in float.")
    return "Four images, radius 0 to 12, borders reflected, bytes without overflow."


_ZEROS = (
    "The sum of rows a to b − 1 is S[b] − S[a], where S begins with a row (and a column) of zeros. "
    "Is a corner subtracted twice?"
)


def _boxed(image: np.ndarray, radius: int, mode: str = "mirror") -> np.ndarray:
    return ndimage.uniform_filter(image.astype(float), 2 * radius + 1, mode=mode)


def _wrong_boxes(image: np.ndarray, radius: int) -> list[Suspect]:
    right, side = _boxed(image, radius), 2 * radius + 1
    inside = right[radius : right.shape[0] - radius, radius : right.shape[1] - radius]
    padded = np.pad(image.astype(float), radius, mode="reflect")
    sums = np.cumsum(np.cumsum(padded, axis=0), axis=1)
    without_zeros = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    framed = np.pad(sums, ((1, 0), (1, 0)))
    twice = framed[side:, side:] - framed[:-side, side:] - framed[side:, :-side]
    borders = [(border, _boxed(image, radius, mode)) for mode, border in _BORDERS.items() if border]
    byte = "The sum of bytes does not fit into a byte: make the image float64 before you add."
    return [
        (byte, *_sums_of_bytes(image, radius)),
        ("That is the sum: divide by the number of pixels in the window.", right * side**2),
        ("Divided by the side, not by the number of pixels in the window.", right * side),
        ("The radius is not the side: the window has 2r + 1 rows.", _boxed(image, radius // 2)),
        (
            "The integral image begins with a row and a column of zeros, which yours lacks: S[0] is "
            "an empty sum.",
            without_zeros / side**2,
        ),
        ("One corner is subtracted twice: it has to be added again.", twice / side**2),
        (
            "It averages along one axis only: the window is a square.",
            *(_one_way(image, radius, axis) for axis in (0, 1)),
        ),
        (_VALID, inside),
        (
            "The mean is rounded, or its fraction cut off: keep the mean in float.",
            np.floor(right),
            np.rint(right),
        ),
        *borders,
    ]


def _one_way(image: np.ndarray, radius: int, axis: int) -> np.ndarray:
    return ndimage.uniform_filter1d(image.astype(float), 2 * radius + 1, axis=axis, mode="mirror")


def _sums_of_bytes(image: np.ndarray, radius: int) -> list[np.ndarray]:
    """What the sums become where uint8 is kept."""
    if image.dtype != np.uint8:
        return []
    side = 2 * radius + 1
    wrapped = np.rint(_boxed(image, radius) * side**2) % 256
    return [wrapped / side**2, wrapped // side**2, wrapped]


@check(2, "separate")
def check_separate(answer: Callable) -> str:
    """(column, row) whose outer product is the kernel; ValueError where there are none."""
    kernels = (
        np.outer([1.0, 2.0, 1.0], [-3.0, 0.0, 3.0]),  # the sum of all is 0
        np.outer([0.0, 4.0, 1.0, -2.0, 0.5], [0.0, 2.0, -1.0]),  # begins with zeros
        np.outer([0.5, 1.5, 0.25], [0.1, 0.3, 0.6, 0.3, 0.2]),
    )
    for kernel in kernels:
        rows, columns = kernel.shape
        got = pair(call(answer, kernel, told=f"a {rows}×{columns} kernel"), 2, "the column, the row")
        column, row = (as_array(part, what).squeeze() for part, what in zip(got, _PARTS, strict=True))
        if column.shape == (columns,) and row.shape == (rows,) and rows != columns:
            raise NotYet("The two results are exchanged.", hint="The column first: one entry per row.")
        for part, what, n in zip((column, row), _PARTS, kernel.shape, strict=True):
            if part.shape != (n,):
                raise NotYet(f"{what} has shape {part.shape}, expected ({n},).")
        with np.errstate(all="ignore"):
            made = np.outer(column, row)
        left, values, right = np.linalg.svd(kernel)
        suspects = [
            ("The two results are exchanged: the column first, one entry per row.", kernel.T),
            (
                "The singular value is missing: put it on one side, or its root on both.",
                np.outer(left[:, 0], right[0]),
            ),
            ("The singular value counts twice.", np.outer(left[:, 0], right[0]) * values[0] ** 2),
            ("That is the last singular vector: svd sorts the largest first.", np.zeros_like(kernel)),
        ]
        hint = (
            "Any row of the kernel that is not all zeros will do. Do you divide by a first entry, or by "
            "a sum, that can be 0?"
        )
        expect(
            made,
            kernel,
            suspects=suspects,
            what="The product of column and row",
            unknown=hint,
            shown={"kernel": kernel},
        )
    for kernel, told in (
        (np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]), "the Laplacian"),
        (np.eye(3), "the diagonal"),
        (np.outer([1.0, 2, 1], [1.0, 2, 1]) + 0.02 * np.diag([0, 0, 1]), "a kernel that is nearly a product"),
    ):
        hint = (
            "Its rows are not all multiples of one row, so it is not such a product. Refuse it: raise "
            "ValueError."
        )
        refuses(answer, kernel, told=told, hint=hint)
    return "Products of several sizes, zeros in front, sums of 0; other kernels are refused."


_PARTS = ("The column", "The row")


@check(3, "convolve_separable")
def check_convolve_separable(answer: Callable) -> str:
    """Convolution (flipped) with the kernel column × row, in two passes, borders reflected, float."""
    rng = np.random.default_rng(5)
    cases = (
        (rng.integers(0, 10, (5, 5)).astype(float), [1.0, 2.0, 4.0], [3.0, 0.0, -1.0]),
        (rng.integers(0, 10, (6, 8)).astype(np.uint8), [1.0, 0.0, 3.0, -2.0, 1.0], [1.0, 2.0, -2.0]),
        (rng.normal(size=(9, 7)), [2.0], [1.0, -3.0, 0.5, 0.0, 2.0]),
    )
    for image, column, row in cases:
        column, row = np.array(column), np.array(row)
        told = f"a {image.shape[0]}×{image.shape[1]} image, {column.size} and {row.size} entries"
        got = as_array(call(answer, image, column, row, told=told))
        kernel, exact = np.outer(column, row), image.astype(float)
        wanted = ndimage.convolve(exact, kernel, mode="mirror")
        flip = "That is correlation in one of the two passes: convolution flips column and row."
        suspects = [
            *_wrong_convolutions(exact, kernel),
            (flip, *(ndimage.convolve(exact, k, mode="mirror") for k in (kernel[::-1], kernel[:, ::-1]))),
            (
                "Column and row are exchanged: the column runs down, along axis 0.",
                ndimage.convolve(exact, kernel.T, mode="mirror"),
                ndimage.correlate(exact, kernel.T, mode="mirror"),
            ),
            (
                "One pass is missing: the second one convolves what the first one made.",
                ndimage.convolve1d(exact, column, axis=0, mode="mirror"),
                ndimage.convolve1d(exact, row, axis=1, mode="mirror"),
            ),
            (
                "The two passes are added: the second one convolves what the first one made.",
                ndimage.convolve1d(exact, column, axis=0, mode="mirror")
                + ndimage.convolve1d(exact, row, axis=1, mode="mirror"),
            ),
            ("uint8 overflows: make the image float64 first.", wanted % 256),
        ]
        hint = "Rows and columns need their own padding: half of the column's, half of the row's length."
        shown = {"image": image, "column": column[:, None], "row": row}
        expect(got, wanted, suspects=suspects, shown=shown, unknown=hint)
        expect_dtype(got, "float", "Sums of bytes need more room: keep them in float.")
    return "Three images, columns and rows of several lengths, both flipped, borders reflected."


@check(4, "gradient")
def check_gradient(answer: Callable) -> str:
    """Sobel's magnitude, and the direction of rising brightness in radians, x rightwards, y downwards."""
    y, x = np.mgrid[0:5, 0:5].astype(float)
    hill = 2 * (x - 2) ** 2 + (y - 3) ** 2 + x * y  # uphill and downhill in both directions
    for image in (hill, np.random.default_rng(12).integers(0, 256, (6, 9)).astype(float)):
        _check_one_gradient(answer, image)
    return "Magnitude and direction on a curved slope, and on noise."


def _check_one_gradient(answer: Callable, image: np.ndarray) -> None:
    told = f"a {image.shape[0]}×{image.shape[1]} image"
    got = pair(call(answer, image, told=told), 2, "magnitude and direction")
    magnitude, direction = (as_array(part) for part in got)
    gx, gy = _sobel(image)
    length, angle = np.hypot(gx, gy), np.arctan2(gy, gx)
    slope = length > 1e-4 * length.max()  # elsewhere there is no direction to judge
    other = {"Sobel's weights are 1, 2, 1 across: these are Prewitt's 1, 1, 1.": ndimage.prewitt}
    borders = [
        (border, *(np.hypot(*_sobel(image, mode)) for mode in modes))
        for border, modes in (
            ("SciPy's default border repeats the outermost pixel: mode='mirror' does not.", ["reflect"]),
            (_BORDERS["constant"], ["constant"]),
            (_BORDERS["wrap"], ["wrap"]),
        )
    ]
    suspects = [
        ("|gx| + |gy| is not the length of the gradient: √(gx² + gy²) is.", np.abs(gx) + np.abs(gy)),
        ("That is the square of the length: the root is missing.", length**2),
        ("Only one of the two derivatives is in it.", np.abs(gx), np.abs(gy), gx, gy),
        ("gx + gy is not a length: slopes up and down cancel.", gx + gy, np.abs(gx + gy)),
        ("The two results are exchanged: magnitude first, then direction.", angle),
        (
            "Yours is divided by 4 or 8: Sobel's weights are 1, 2, 1 here, without a factor.",
            length / 4,
            length / 8,
        ),
        *((hint, np.hypot(*(f(image, axis, mode="mirror") for axis in (1, 0)))) for hint, f in other.items()),
        (
            "Those are differences of two neighbours: Sobel also weighs 1, 2, 1 across.",
            np.hypot(*np.gradient(image)),
            2 * np.hypot(*np.gradient(image)),
        ),
        *borders,
    ]
    shown = {"image": image}
    expect(magnitude, length, tolerance=1e-6, suspects=suspects, what="The magnitude", shown=shown)

    with np.errstate(divide="ignore", invalid="ignore"):
        half = np.where(slope, np.arctan(gy / gx), 0)
    suspects = [
        (
            "It points downhill: convolution flips a kernel, so pass Sobel's to it flipped.",
            np.arctan2(-gy, -gx),
        ),
        (
            "gx and gy are exchanged: arctan2 takes y first, then x; gx compares left and right.",
            np.arctan2(gx, gy),
            np.arctan2(-gx, -gy),
        ),
        ("arctan cannot tell a slope from the opposite one; arctan2(gy, gx) can.", half),
        (
            "The sign of gy is wrong: y runs downwards, and flipping changes the sign of Sobel's kernel.",
            np.arctan2(-gy, gx),
        ),
        ("The sign of gx is wrong: flipping changes the sign of Sobel's kernel.", np.arctan2(gy, -gx)),
        (
            "That is the direction of the edge: the gradient points across it.",
            angle + np.pi / 2,
            angle - np.pi / 2,
        ),
    ]
    suspects = [(hint, *(np.where(slope, wrong, 0) for wrong in wrongs)) for hint, *wrongs in suspects]
    judged = np.where(slope, direction, 0) if direction.shape == slope.shape else direction
    wanted = np.where(slope, angle, 0)
    if judged.shape == wanted.shape and np.allclose(judged, np.degrees(wanted) % 360, atol=0.1):
        raise NotYet("The direction is in degrees; radians are asked for.")
    if judged.shape == wanted.shape and np.allclose(judged, np.degrees(wanted), atol=0.1):
        raise NotYet("The direction is in degrees; radians are asked for.")
    options = {"suspects": suspects, "what": "The direction", "shown": shown, "period": 2 * np.pi}
    expect(judged, wanted, tolerance=5e-3, **options)  # OpenCV's angles are right to 0.3 degrees


def _sobel(image: np.ndarray, mode: str = "mirror") -> tuple[np.ndarray, np.ndarray]:
    return tuple(ndimage.sobel(image, axis=axis, mode=mode) for axis in (1, 0))


# ----------------------------------------------------------------------------------------------------
# Week 1, second half: thinning, hysteresis, the Hough transform, the lines of a road.

_ACROSS = ((0, 1), (1, 1), (1, 0), (1, -1))  # (dy, dx) by direction: 0, 45, 90, 135 degrees, y downwards


def _thin(
    magnitude,
    direction,
    *,
    steps=_ACROSS,
    strict=False,
    keep_border=False,
    only_positive=False,
    nearest=round,
    in_place=False,
):
    """Non-maximum suppression the slow way, with switches for what goes wrong."""
    height, width = magnitude.shape
    magnitude = magnitude.copy()
    thinned = np.zeros_like(magnitude)
    framed = np.pad(magnitude, 1)
    for y in range(height):
        for x in range(width):
            border = y in (0, height - 1) or x in (0, width - 1)
            if (border and not keep_border) or (only_positive and direction[y, x] < 0):
                continue
            dy, dx = steps[int(nearest(direction[y, x] / (np.pi / 4))) % 4]
            best = max(framed[y + 1 + dy, x + 1 + dx], framed[y + 1 - dy, x + 1 - dx])
            if magnitude[y, x] > best or (magnitude[y, x] == best and not strict):
                thinned[y, x] = magnitude[y, x]
            elif in_place:  # the next pixel sees what has become of this one
                framed[y + 1, x + 1] = 0
    return thinned


@check(5, "thin")
def check_thin(answer: Callable) -> str:
    """Magnitude where neither neighbour along the gradient is larger, else 0; 0 at the border."""
    for seed, (height, width) in ((3, (7, 7)), (4, (6, 9))):
        rng = np.random.default_rng(seed)
        magnitude = rng.permutation(height * width).reshape(height, width).astype(float) + 1
        sector = rng.integers(-3, 5, (height, width)) + rng.uniform(-0.4, 0.4, (height, width))
        direction = sector * np.pi / 4
        told = f"magnitudes and directions of {height}×{width}"
        got = as_array(call(answer, magnitude, direction, told=told))
        suspects = _wrong_thins(magnitude, direction)
        expect(got, _thin(magnitude, direction), suspects=suspects, what="The thinned magnitude")
    ridge = np.zeros((5, 5))
    ridge[:, 2:4] = 7.0  # a step between two columns of pixels: both have the same slope
    wanted = _thin(ridge, np.zeros((5, 5)))
    got = call(answer, ridge, np.zeros((5, 5)), told="an edge of two equal columns")
    column = np.arange(5)
    suspects = [
        (
            "Two equal neighbours have suppressed each other, and the edge is gone: compare with >=, not >.",
            np.zeros((5, 5)),
        ),
        (
            "Of two equal neighbours one is dropped. OpenCV does so; here only a *larger* one "
            "suppresses a pixel.",
            wanted * (column != 2),
            wanted * (column != 3),
        ),
    ]
    shown = {"magnitude": ridge}
    expect(got, wanted, suspects=suspects, what="The thinned ridge", shown=shown)
    return "All four directions, both signs, two sizes, and a plateau."


def _wrong_thins(magnitude: np.ndarray, direction: np.ndarray) -> list[Suspect]:
    along = (*_ACROSS[2:], *_ACROSS[:2])
    swapped = (_ACROSS[0], _ACROSS[3], _ACROSS[2], _ACROSS[1])
    by_x = tuple((dx, dy) for dy, dx in _ACROSS)
    return [
        (
            "Those are the neighbours along the edge: compare across it, along the gradient.",
            _thin(magnitude, direction, steps=along),
        ),
        (
            "The diagonals are exchanged: y runs downwards, so 45 degrees is down and right.",
            _thin(magnitude, direction, steps=swapped),
        ),
        (
            "x and y are exchanged: direction 0 has its neighbours left and right.",
            _thin(magnitude, direction, steps=by_x),
        ),
        (
            "The neighbours are read from the array that is being thinned: some are 0 already. "
            "Read from the one, write into another.",
            _thin(magnitude, direction, in_place=True),
        ),
        (
            "The direction is cut off, not rounded: 40 degrees belong to 45, not to 0.",
            _thin(magnitude, direction, nearest=np.floor),
            _thin(magnitude, direction, nearest=np.trunc),
        ),
        (
            "Pixels at the border are kept: they lack a neighbour, so the result is 0 there.",
            _thin(magnitude, direction, keep_border=True),
        ),
        (
            "Negative directions are missed: opposite directions have the same neighbours, so take "
            "them modulo π.",
            _thin(magnitude, direction, only_positive=True),
        ),
        (
            "All pixels are compared left and right: the direction is not used.",
            _thin(magnitude, np.zeros_like(direction)),
        ),
        ("The place is right, the value is not: keep the magnitude there.", _thin(magnitude, direction) > 0),
    ]


_CORNERS = np.array(
    [
        [9, 0, 0, 0, 0, 0, 4],
        [0, 5, 0, 0, 0, 0, 5],
        [0, 0, 5, 5, 4, 0, 0],
        [0, 0, 0, 0, 0, 4, 0],
        [0, 3, 0, 0, 0, 0, 5],
        [8, 0, 0, 5, 5, 0, 0],
        [4, 0, 0, 0, 0, 0, 0],
    ],
    float,
)
_CLIMB = np.array(  # from its strong pixel at the lower right the chain climbs, and turns back down
    [
        [0, 5, 5, 0, 0, 0, 0],
        [5, 0, 0, 5, 0, 0, 0],
        [5, 0, 0, 0, 5, 0, 0],
        [0, 5, 0, 0, 0, 6, 0],
        [0, 0, 0, 0, 0, 5, 0],
        [8, 8, 0, 0, 0, 9, 0],
        [0, 0, 0, 0, 0, 5, 0],
        [0, 0, 0, 0, 0, 0, 5],
    ],
    float,
)


def _spiral() -> np.ndarray:
    """A weak line of 180 pixels wound around its strong end, among noise that is not joined to it."""
    magnitude = np.zeros((19, 19))
    y, x, length, heading = 9, 9, 2, 0
    magnitude[y, x] = 9
    while length <= 18:
        for _ in range(2):
            dy, dx = ((0, 1), (1, 0), (0, -1), (-1, 0))[heading % 4]
            for _ in range(length):
                y, x = y + dy, x + dx
                if 0 <= y < 19 and 0 <= x < 19:
                    magnitude[y, x] = 5
            heading += 1
        length += 2
    return magnitude


@check(6, "hysteresis")
def check_hysteresis(answer: Callable) -> str:
    """Truth values: pixels >= low joined to one >= high, in chains of at least `shortest` pixels."""
    noise = ndimage.gaussian_filter(np.random.default_rng(2).normal(size=(30, 42)), 0.8)
    noise = np.rint(20 * noise / noise.std())
    for magnitude, low, high, shortest, told in (
        (_CORNERS, 4, 8, 1, "low=4, high=8, shortest=1"),
        (_CLIMB, 4, 8, 3, "a chain that climbs, low=4, high=8, shortest=3"),
        (_spiral(), 4, 8, 3, "a long chain"),
        (noise, 18, 36, 4, "a 30×42 picture, low=18, high=36, shortest=4"),
    ):
        got = as_array(call(answer, magnitude, low, high, shortest, told=told))
        weak, strong = magnitude >= low, magnitude >= high
        every = _joined(weak, strong)
        wanted = _of_length(every, shortest)
        if got.shape == wanted.shape and np.array_equal(got, 255 * wanted):
            hint = "OpenCV marks edges by 255; here truth values are asked for: `> 0` makes them."
            raise NotYet("It holds 0 and 255.", hint=hint)
        suspects = [(hint, *wrongs) for hint, *wrongs in _wrong_edges(magnitude, low, high, shortest)]
        expect(got, wanted, suspects=suspects, what="The edges", shown={"magnitude": magnitude})
    return "Chains around corners, upwards and long, thresholds met exactly, short chains dropped."


def _wrong_edges(magnitude: np.ndarray, low: float, high: float, shortest: int) -> list[Suspect]:
    weak, strong = magnitude >= low, magnitude >= high
    above = magnitude > low, magnitude > high
    every, cross = _joined(weak, strong), ndimage.generate_binary_structure(2, 1)
    near = ndimage.binary_dilation(strong, np.ones((3, 3))) & weak
    two = ndimage.binary_dilation(strong, np.ones((3, 3)), 2, mask=weak | strong)
    found = [
        (
            "Only the strong pixels are kept: the weak ones that are connected to them belong to the edge.",
            strong,
        ),
        ("Every weak pixel is kept: those that no chain connects to a strong pixel are noise.", weak),
        ("It stops one step away from the strong pixels: go on until nothing changes.", near, two),
        (
            "It goes through the picture once: a chain that climbs, or turns back, needs more. "
            "Repeat until nothing changes.",
            _one_pass(weak, strong),
            _one_pass(weak[::-1, ::-1], strong[::-1, ::-1])[::-1, ::-1],
        ),
        (
            "It looks up, down, left and right only: diagonal neighbours are joined too.",
            _joined(weak, strong, cross),
            _joined(*above, cross),  # as scikit-image's function
        ),
        (
            "A pixel at exactly a threshold counts: >=, not >.",
            _joined(*above),
            _joined(above[0], strong),
            _joined(weak, above[1]),
        ),
        ("It stops too early: repeat until nothing changes.", *_grown(weak, strong, 60)),
    ]
    rest = [(hint, *(_of_length(wrong, shortest) for wrong in wrongs), *wrongs) for hint, *wrongs in found]
    return [
        ("Truth values are asked for, not magnitudes.", np.where(_of_length(every, shortest), magnitude, 0)),
        (f"Chains of fewer than {shortest} pixels are still there: count the pixels of each.", every),
        ("A chain of exactly `shortest` pixels is long enough.", _of_length(every, shortest + 1)),
        (
            "The length is that of the whole chain: not of its strong pixels alone.",
            np.isin(labels := _labelled(every), np.flatnonzero(np.bincount(labels[strong]) >= shortest)[0:])
            & every,
        ),
        (
            "Diagonal neighbours belong to one chain: give ndimage.label a structure of 3×3 ones.",
            _of_length(every, shortest, cross),
            _of_length(_joined(weak, strong, cross), shortest, cross),
        ),
        *rest,
    ]


def _joined(weak: np.ndarray, strong: np.ndarray, structure: np.ndarray | None = None) -> np.ndarray:
    labels = _labelled(weak, structure)
    return np.isin(labels, np.unique(labels[strong & weak])) & weak


def _labelled(mask: np.ndarray, structure: np.ndarray | None = None) -> np.ndarray:
    return ndimage.label(mask, np.ones((3, 3)) if structure is None else structure)[0]


def _of_length(edges: np.ndarray, shortest: int, structure: np.ndarray | None = None) -> np.ndarray:
    """The edges in chains of at least `shortest` pixels."""
    labels = _labelled(edges, structure)
    return edges & (np.bincount(labels.ravel())[labels] >= shortest)


def _one_pass(weak: np.ndarray, strong: np.ndarray) -> np.ndarray:
    """Strong pixels, and weak ones beside what was found before, row after row."""
    found = np.pad(strong & weak, 1)
    for y, x in np.argwhere(weak):
        found[y + 1, x + 1] |= found[y : y + 3, x : x + 3].any()
    return found[1:-1, 1:-1]


def _grown(weak: np.ndarray, strong: np.ndarray, most: int) -> list[np.ndarray]:
    """The edges after 1, 2, … steps, until nothing changes."""
    steps = [strong & weak]
    for _ in range(most):
        steps.append(ndimage.binary_dilation(steps[-1], np.ones((3, 3))) & weak)
        if (steps[-1] == steps[-2]).all():
            break
    return steps[1:-1]


_SPREAD = 0.2  # radians


@check(7, "hough")
def check_hough(answer: Callable) -> str:
    """Votes of shape (2R + 1, len(thetas)), R = h + w, each pixel for angles near its own direction."""
    small = np.zeros((4, 3), bool)
    small[[0, 1, 2, 3, 1], [0, 1, 2, 2, 2]] = True
    rng = np.random.default_rng(9)
    for edges, thetas in (
        (small, np.array([0.0, 0.3, 0.75, 1.2, 2.1, 2.9, 3.1])),
        (rng.random((9, 6)) < 0.4, np.linspace(0, 3.1, 23)),
    ):
        # every angle has a pixel that lies near it, forwards or backwards; none lies on the limit
        nearest = thetas[rng.integers(0, len(thetas), edges.shape)] + rng.uniform(-0.15, 0.15, edges.shape)
        directions = nearest - np.pi * rng.integers(0, 2, edges.shape)
        if edges is small:  # 0 and π are one line; so are −π and 0
            directions[[0, 1, 2], [0, 1, 2]] = -3.07, 3.02, 0.12
        told = f"{int(edges.sum())} edge pixels in a {'×'.join(map(str, edges.shape))} image"
        got = as_array(call(answer, edges, directions, thetas, _SPREAD, told=told))
        wanted = _votes(edges, directions, thetas)
        shown = {"edges": edges}
        suspects = _wrong_votes(edges, directions, thetas, wanted)
        expect(got, wanted, suspects=suspects, what="The accumulator", shown=shown)
    return "Two pictures, every vote in its place, each pixel near its own direction."


def _wrong_votes(edges, directions, thetas, wanted) -> list[Suspect]:
    height, width = edges.shape
    off_by_one = "Off by one: of the 2R + 1 rows, ρ = 0 belongs to the middle one, row R."
    diagonal = int(np.ceil(np.hypot(height, width)))
    reaches = {diagonal, int(np.hypot(height, width)) + 1, height + width - 1, max(height, width)}
    other = [_votes(edges, directions, thetas, reach=reach) for reach in sorted(reaches)]
    every = _votes(edges, directions, thetas, spread=np.inf)
    exchanged = _votes(edges.T, directions.T, thetas)
    return [
        ("R is height + width here, as in the lecture and in OpenCV.", *other),
        (off_by_one, np.roll(wanted, 1, axis=0), np.roll(wanted, -1, axis=0), wanted[1:], wanted[:-1]),
        (
            "ρ can be negative, and a negative index counts from the end: add R to it.",
            np.roll(wanted, -(height + width), axis=0),
        ),
        ("Every pixel votes for every angle: it should vote only for those near its own direction.", every),
        (
            "0 and π are the same line: the difference of two directions counts modulo π.",
            _votes(edges, directions, thetas, period=np.inf),
            _votes(edges, directions % np.pi, thetas, period=np.inf),
            _votes(edges, np.abs(directions), thetas, period=np.inf),
        ),
        (
            "Modulo π, not 2π: the two sides of a line have opposite directions, and the same angle θ.",
            _votes(edges, directions, thetas, period=2 * np.pi),
        ),
        (
            "Modulo π a difference is at most π/2: 3.1 is near 0 (where it is more, take π minus it).",
            _votes(edges, directions, thetas, one_sided=True),
        ),
        (
            "θ is the direction *across* the line, as the gradient's: not along it.",
            _votes(edges, directions + np.pi / 2, thetas),
        ),
        (
            "The spread counts on both sides: |difference| <= spread.",
            _votes(edges, directions, thetas, spread=_SPREAD / 2),
        ),
        (
            "ρ is cut off instead of rounded: int() goes towards zero, np.rint to the nearest.",
            _votes(edges, directions, thetas, rounding=np.trunc),
            _votes(edges, directions, thetas, rounding=np.floor),
        ),
        ("x and y are exchanged: np.nonzero gives rows (y) first; ρ = x cos θ + y sin θ.", exchanged),
        (
            "Votes are lost: `votes[rows] += 1` counts repeated rows once. Use np.add.at or np.bincount.",
            np.minimum(wanted, 1),
        ),
        (
            "The angles are in radians already: do not convert them.",
            _votes(edges, directions, thetas, turned=np.radians),
        ),
        (
            "cos and sin want radians, and get degrees here.",
            _votes(edges, directions, thetas, turned=np.degrees),
        ),
        ("Every pixel votes: only the edge pixels should.", _votes(np.ones_like(edges), directions, thetas)),
    ]


def _votes(
    edges,
    directions,
    thetas,
    *,
    reach=None,
    rounding=np.rint,
    spread=_SPREAD,
    period=np.pi,
    one_sided=False,
    turned=lambda theta: theta,
):
    """The accumulator one vote at a time, with switches for what goes wrong."""
    reach = sum(edges.shape) if reach is None else reach
    votes = np.zeros((2 * reach + 1, len(thetas)), int)
    for y, x in zip(*np.nonzero(edges), strict=True):
        for column, theta in enumerate(thetas):
            apart = theta - directions[y, x]
            apart = apart % period if np.isfinite(period) else abs(apart)
            if not one_sided and np.isfinite(period):
                apart = min(apart, period - apart)
            if apart <= spread:
                rho = x * np.cos(turned(theta)) + y * np.sin(turned(theta))
                votes[(reach + int(rounding(rho))) % len(votes), column] += 1
    return votes


ROADS = (4, 7, 10)  # the notebook draws others; each of these lies elsewhere in the picture
ROWS = (150, 230)  # where the distance to the true line is measured
WITHIN = 10  # pixels
_ELSEWHERE = {  # metres to the right of the lane's middle
    "That is the far edge of the opposite lane: your lane ends at the dashed line.": -1.5 * LANE,
    "That is where the asphalt ends, beside the painted line: the paint has the stronger edge.": LANE / 2
    + 0.7,
    "That is the seam in the asphalt, in the middle of the lane.": 0.1,
}


@check(8, "road_lines")
def check_road_lines(answer: Callable) -> str:
    """RGB image of a road to (ρ, θ) of the left and of the right border of the lane, θ in [0, π)."""
    for seed in ROADS:
        scene = _road(seed)
        got = as_array(call(answer, scene.image, told=f"road_scene({seed})"), "The result")
        _check_lines(got, scene, seed)
    return f"Both borders of three roads that you have not seen, to {WITHIN} pixels."


def _check_lines(got: np.ndarray, scene: RoadScene, seed: int) -> None:
    """Raise `NotYet` unless the two lines lie on the borders of the scene's lane."""
    got = got.squeeze() if got.size == 4 else got  # OpenCV's lines have an axis more
    if got.shape != (2, 2):
        raise NotYet(
            f"It has shape {got.shape}, expected (2, 2): (ρ, θ) of the left and of the right border."
        )
    if np.abs(got[:, 1]).max() > np.pi + 1e-6:
        raise NotYet("θ is larger than π.", hint="Is it in degrees? Or are ρ and θ exchanged?")
    columns = {}
    for name, (rho, theta) in zip(("left", "right"), got, strict=True):
        if abs(np.cos(theta)) < 0.1:
            hint = "The horizon and shadows get many votes too: which angles can a lane's border have?"
            raise NotYet(f"The {name} border is almost horizontal (θ = {theta:.2f}).", hint=hint)
        columns[name] = np.array([(rho - row * np.sin(theta)) / np.cos(theta) for row in ROWS])
    truth = {name: np.array([scene.column(name, row) for row in ROWS]) for name in columns}
    if np.abs(columns["left"] - columns["right"]).max() < 25:
        hint = "Neighbours of a peak have almost as many votes: search the angles of each side separately."
        raise NotYet("Both lines are the same border.", hint=hint)
    if all(_is_near(columns[name], truth[other]) for name, other in (("left", "right"), ("right", "left"))):
        raise NotYet(
            "Left and right are exchanged.", hint="A border that rises to the right has θ below π/2."
        )
    for name, found in columns.items():
        if not _is_near(found, truth[name]):
            miss = np.abs(found - truth[name]).max()
            message = (
                f"On road_scene({seed}) the {name} border is {miss:.0f} pixels away, "
                f"at most {WITHIN} are allowed."
            )
            raise NotYet(message, hint=_where_else(scene, found, seed))


@functools.lru_cache(maxsize=8)
def _road(seed: int) -> RoadScene:
    return road_scene(seed)


def _is_near(found: np.ndarray, true: np.ndarray) -> bool:
    return bool(np.abs(found - true).max() <= WITHIN)


def _where_else(scene: RoadScene, found: np.ndarray, seed: int) -> str:
    """What else of the road a wrong line lies on."""
    middle = (scene.slopes["left"] + scene.slopes["right"]) / 2
    u0, v0 = scene.vanishing_point
    for hint, place in _ELSEWHERE.items():
        if _is_near(found, np.array([u0 + (row - v0) * (middle + place / CAMERA_HEIGHT) for row in ROWS])):
            return hint
    for other in range(4):  # drawn in the notebook
        drawn = _road(other)
        if any(_is_near(found, np.array([drawn.column(n, row) for row in ROWS])) for n in drawn.slopes):
            return "That is where a border is on a road of the notebook: does the answer look at the picture?"
    return f"Draw your edges and the peaks of this road (road_scene({seed})): which line won, and why?"


__all__ = [
    "QUESTIONS",
    "check_box_blur",
    "check_convolve",
    "check_convolve_separable",
    "check_gaussian_kernel",
    "check_gradient",
    "check_hough",
    "check_hysteresis",
    "check_road_lines",
    "check_separate",
    "check_thin",
    "check_to_grey",
    "grade",
]

QUESTIONS = (
    Question(1, "A blur of any size", 2, "box_blur", check_box_blur),
    Question(2, "A kernel as a product", 2, "separate", check_separate),
    Question(3, "Convolution in two passes", 2, "convolve_separable", check_convolve_separable),
    Question(4, "Gradient", 2, "gradient", check_gradient),
    Question(5, "Thin edges", 2, "thin", check_thin),
    Question(6, "Hysteresis, and no crumbs", 2, "hysteresis", check_hysteresis),
    Question(7, "Votes that know their direction", 2, "hough", check_hough),
    Question(8, "The lane", 2, "road_lines", check_road_lines),
    Question(9, "Defend your parameters", 4),
)


def grade(namespace: Mapping[str, object]) -> Grades:
    """Points of all questions; `namespace` is the notebook's ``globals()``."""
    return grading.grade(QUESTIONS, namespace)
