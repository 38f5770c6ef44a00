"""Week 1, first half: grey, convolution, Gaussian kernel, gradient."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
from scipy import ndimage

from common.checks.calling import call, pair
from common.checks.comparing import Suspect, as_array, expect, expect_dtype
from common.checks.verdict import NotYet, check

WEIGHTS = np.array([0.299, 0.587, 0.114])  # of red, green and blue: ITU-R BT.601


@check(1, "to_grey")
def check_to_grey(answer: Callable) -> str:
    """uint8 RGB of shape (h, w, 3) to uint8 grey of shape (h, w), with BT.601's weights, rounded."""
    pixels = [[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[200, 120, 7], [90, 250, 160], [9, 33, 70]]
    image = np.array(pixels, np.uint8)
    values = as_array(call(answer, image, told="an image of 2×3 pixels"))
    exact, mean, wrapped = image @ WEIGHTS, image.mean(axis=2), image.sum(axis=2) % 256
    suspects = [
        ("The fraction is cut off: round before you convert to uint8.", np.floor(exact)),
        ("The fraction is cut off in every channel: add first, then round the sum.",
         np.floor(image * WEIGHTS).sum(axis=2)),
        ("Red and blue are exchanged: the image is RGB; BGR is OpenCV's order.",
         np.rint(image[..., ::-1] @ WEIGHTS), np.floor(image[..., ::-1] @ WEIGHTS)),
        ("The channels count alike: the eye sees green best, and the weights say so.",
         mean, np.rint(mean), np.floor(mean)),
        ("uint8 overflows: 255 + 1 is 0. Convert to float before you add.",
         wrapped // 3, wrapped / 3, np.rint(wrapped / 3)),
        ("The image is in [0, 1]: multiply by 255, then round.", exact / 255, np.rint(exact / 255)),
        ("Weighted rightly, but not rounded yet: np.rint, then uint8.", exact),
        ("That is an average over the rows: the channels are the last axis.", image.mean(axis=0)),
    ]  # fmt: skip
    expect(values, np.rint(exact), suspects=suspects)
    expect_dtype(values, "uint8", "Libraries take an image of floats to be in [0, 1].")
    return "Weighted, rounded, uint8."


_SQUARE = np.array([[1, 0, 0], [0, 0, -1], [2, 0, 0]], float)  # no symmetry: a missing flip shows
_TALL = np.array([[1, 2, 0], [0, 1, 0], [0, 0, 3], [-1, 0, 0], [0, 1, 1]], float)

_FLIPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "": lambda kernel: kernel,
    "That is correlation: convolution flips the kernel first, both ways.": lambda kernel: kernel[::-1, ::-1],
    "The kernel is flipped up-down only: flip it left-right too.": lambda kernel: kernel[:, ::-1],
    "The kernel is flipped left-right only: flip it up-down too.": lambda kernel: kernel[::-1],
    "The kernel is transposed, which is not a turn by 180 degrees.": lambda kernel: kernel.T[::-1, ::-1],
}
_BORDERS = {  # scipy's name of a border, and what it says about the student's
    "mirror": "",
    "constant": "The padding is zeros, which draw a dark frame: reflect the image instead.",
    "nearest": "The padding repeats the outermost pixel: 'reflect' does not ('symmetric', 'edge' do).",
    "wrap": "The padding continues at the opposite side: reflect the image instead.",
}
_VALID = "The image shrinks: pad it by half of the kernel on each side first."
_FRAME = "The outermost pixels are left out: pad the image first, then visit them all."
_BYTES = "The result is squeezed into bytes: keep it in float64."


@check(2, "convolve")
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


@check(3, "gaussian_kernel")
def check_gaussian_kernel(answer: Callable) -> str:
    """A square kernel of side 2·ceil(3σ) + 1, proportional to exp(−(x² + y²) / 2σ²), of sum 1."""
    for sigma in (0.8, 2.0):
        got = as_array(call(answer, sigma, told=f"sigma={sigma}"))
        reach = int(np.ceil(3 * sigma))
        wanted = _gaussian(reach, 2 * sigma**2)
        peak_one = wanted / wanted.max()
        suspects = [
            ("It does not sum to 1, so it brightens the image: divide by the sum.", peak_one),
            ("1 / 2πσ² makes the integral 1, and not the sum of samples: divide by the sum.",
             peak_one / (2 * np.pi * sigma**2)),
            ("The exponent has σ where σ² belongs.", _gaussian(reach, 2 * sigma)),
            ("The exponent lacks the 2 of 2σ².", _gaussian(reach, sigma**2)),
            ("That is a row: the kernel is the product of a column and a row.", wanted.sum(axis=0)),
            ("It is cut off too early: it reaches ceil(3σ) pixels to each side.",
             _gaussian(int(np.ceil(1.5 * sigma)), 2 * sigma**2), _gaussian(int(3 * sigma), 2 * sigma**2)),
        ]  # fmt: skip
        if got.ndim == 2 and got.shape[0] == got.shape[1] and got.shape[0] % 2 == 0:
            hint = "An even side has no middle pixel, and moves the image by half a pixel."
            raise NotYet(f"For sigma={sigma} it has side {got.shape[0]}.", hint=hint)
        hint = f"For sigma={sigma} it reaches {reach} pixels to each side of the middle one."
        expect(got, wanted, suspects=suspects, unknown=hint if got.shape != wanted.shape else "")
    return "Side, shape and sum for two values of sigma."


def _gaussian(reach: int, denominator: float) -> np.ndarray:
    x = np.arange(-reach, reach + 1)
    kernel = np.exp(-(x[:, None] ** 2 + x**2) / denominator)
    return kernel / kernel.sum()


@check(4, "gradient")
def check_gradient(answer: Callable) -> str:
    """Sobel's magnitude, and the direction of rising brightness in (−π, π], x rightwards, y downwards."""
    y, x = np.mgrid[0:5, 0:5].astype(float)
    image = 2 * (x - 2) ** 2 + (y - 3) ** 2 + x * y  # uphill and downhill in both directions
    got = call(answer, image, told="a 5×5 image")
    magnitude, direction = (as_array(part) for part in pair(got, 2, "magnitude and direction"))
    gx, gy = (ndimage.sobel(image, axis=axis, mode="mirror") for axis in (1, 0))
    length = np.hypot(gx, gy)
    suspects = [
        ("|gx| + |gy| is not the length of the gradient: √(gx² + gy²) is.", np.abs(gx) + np.abs(gy)),
        ("That is the square of the length: the root is missing.", length**2),
        ("Only one of the two derivatives is in it.", np.abs(gx), np.abs(gy), gx, gy),
        ("gx + gy is no length: slopes up and down cancel.", gx + gy),
        ("The two results are exchanged: magnitude first, then direction.", np.arctan2(gy, gx)),
        ("Sobel's weights are 1, 2, 1 without a factor.", length / 4, length / 8),
    ]
    shown = {"image": image}
    expect(magnitude, length, tolerance=1e-6, suspects=suspects, what="The magnitude", shown=shown)

    slope = length > 1e-9  # elsewhere there is no direction to judge
    with np.errstate(divide="ignore", invalid="ignore"):
        half = np.where(slope, np.arctan(gy / gx), 0)
    angle = np.arctan2(gy, gx)
    suspects = [
        ("It points downhill: convolution has flipped Sobel's kernels.", np.arctan2(-gy, -gx)),
        ("arctan2 takes y first, then x.", np.arctan2(gx, gy)),
        ("The direction is in degrees; radians are asked for.", np.degrees(angle)),
        ("arctan cannot tell a slope from the opposite one; arctan2(gy, gx) can.", half),
        ("The sign of gy is turned: y runs downwards, and flipping turns Sobel's sign.", np.arctan2(-gy, gx)),
        ("The sign of gx is turned: flipping turns Sobel's sign.", np.arctan2(gy, -gx)),
        ("It is in [0, 2π): leave it as arctan2 gives it.", angle % (2 * np.pi)),
    ]
    suspects = [(hint, np.where(slope, wrong, 0)) for hint, wrong in suspects]
    judged = np.where(slope, direction, 0) if direction.shape == slope.shape else direction
    wanted = np.where(slope, angle, 0)
    expect(judged, wanted, tolerance=1e-6, suspects=suspects, what="The direction", shown=shown)
    return "Magnitude and direction on a curved slope."
