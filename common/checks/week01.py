"""The questions of week 1: from edges to lines."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
from scipy import ndimage

from common.checks import grading
from common.checks.comparing import Suspect, as_array, call, expect, expect_dtype, pair
from common.checks.grading import Grades, NotYet, Question, check
from common.data.pictures import CAMERA_HEIGHT, LANE, RoadScene, road_scene

# ----------------------------------------------------------------------------------------------------
# Week 1, first half: grey, convolution, Gaussian kernel, gradient.

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
        (
            "The fraction is cut off in every channel: add first, then round the sum.",
            np.floor(image * WEIGHTS).sum(axis=2),
        ),
        (
            "Red and blue are exchanged: the image is RGB; BGR is OpenCV's order.",
            np.rint(image[..., ::-1] @ WEIGHTS),
            np.floor(image[..., ::-1] @ WEIGHTS),
        ),
        (
            "The channels count alike: the eye sees green best, and the weights say so.",
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
        ("Weighted rightly, but not rounded yet: np.rint, then uint8.", exact),
        ("That is an average over the rows: the channels are the last axis.", image.mean(axis=0)),
    ]
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
            (
                "1 / 2πσ² makes the integral 1, and not the sum of samples: divide by the sum.",
                peak_one / (2 * np.pi * sigma**2),
            ),
            ("The exponent has σ where σ² belongs.", _gaussian(reach, 2 * sigma)),
            ("The exponent lacks the 2 of 2σ².", _gaussian(reach, sigma**2)),
            ("That is a row: the kernel is the product of a column and a row.", wanted.sum(axis=0)),
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


# ----------------------------------------------------------------------------------------------------
# Week 1, second half: thinning, hysteresis, the Hough transform, the lines of a road.

_ACROSS = ((0, 1), (1, 1), (1, 0), (1, -1))  # (dy, dx) by direction: 0, 45, 90, 135 degrees, y downwards


def _thin(magnitude, direction, *, steps=_ACROSS, strict=False, keep_border=False, only_positive=False):
    """Non-maximum suppression the slow way, with switches for what goes wrong."""
    height, width = magnitude.shape
    thinned = np.zeros_like(magnitude)
    framed = np.pad(magnitude, 1)
    for y in range(height):
        for x in range(width):
            border = y in (0, height - 1) or x in (0, width - 1)
            if (border and not keep_border) or (only_positive and direction[y, x] < 0):
                continue
            dy, dx = steps[round(direction[y, x] / (np.pi / 4)) % 4]
            best = max(framed[y + 1 + dy, x + 1 + dx], framed[y + 1 - dy, x + 1 - dx])
            if magnitude[y, x] > best or (magnitude[y, x] == best and not strict):
                thinned[y, x] = magnitude[y, x]
    return thinned


@check(5, "thin")
def check_thin(answer: Callable) -> str:
    """Magnitude where neither neighbour along the gradient is larger, else 0; 0 at the border."""
    rng = np.random.default_rng(3)
    magnitude = rng.permutation(49).reshape(7, 7).astype(float) + 1
    direction = (rng.integers(-3, 5, (7, 7)) + rng.uniform(-0.4, 0.4, (7, 7))) * np.pi / 4
    got = as_array(call(answer, magnitude, direction, told="magnitudes and directions of 7×7"))
    wanted = _thin(magnitude, direction)
    along = (*_ACROSS[2:], *_ACROSS[:2])
    swapped = (_ACROSS[0], _ACROSS[3], _ACROSS[2], _ACROSS[1])
    by_x = tuple((dx, dy) for dy, dx in _ACROSS)
    suspects = [
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
            "At the border a neighbour is missing: the result is 0 there.",
            _thin(magnitude, direction, keep_border=True),
        ),
        (
            "Negative directions are missed: opposite ones have the same neighbours, so take them mod π.",
            _thin(magnitude, direction, only_positive=True),
        ),
        (
            "All pixels are compared left and right: the direction is not used.",
            _thin(magnitude, np.zeros_like(direction)),
        ),
        ("The place is right, the value is not: keep the magnitude there.", wanted > 0),
    ]
    expect(got, wanted, suspects=suspects, what="The thinned magnitude")
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
            "Of two equal neighbours one is dropped. OpenCV does so; here only a *larger* neighbour counts.",
            wanted * (column != 2),
            wanted * (column != 3),
        ),
    ]
    shown = {"magnitude": ridge}
    expect(got, wanted, suspects=suspects, what="The thinned ridge", shown=shown)
    return "All four directions, both signs, and a plateau."


@check(6, "hysteresis")
def check_hysteresis(answer: Callable) -> str:
    """Truth values: magnitude >= high, or >= low and joined to such a pixel through pixels >= low."""
    magnitude = np.array(
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
    low, high = 4, 8
    got = as_array(call(answer, magnitude, low, high, told=f"low={low}, high={high}"))
    weak, strong = magnitude >= low, magnitude >= high
    near = ndimage.grey_dilation(strong, size=(3, 3)) & weak
    suspects = [
        ("Only the strong pixels are kept: the weak ones that hang on to them belong to the edge.", strong),
        ("Every weak pixel is kept: those without a strong one at the other end are noise.", weak),
        ("It stops one step beside the strong pixels: go on until nothing changes.", near),
        (
            "It looks up, down, left and right only: diagonal neighbours are joined too.",
            _joined(weak, strong, np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])),
        ),
        (
            "A pixel at exactly a threshold counts: >=, not >.",
            _joined(magnitude > low, magnitude > high),
            _joined(magnitude > low, strong),
            _joined(weak, magnitude > high),
        ),
        ("Truth values are asked for, not magnitudes.", np.where(_joined(weak, strong), magnitude, 0)),
    ]
    expect(got, _joined(weak, strong), suspects=suspects, shown={"magnitude": magnitude})
    return "A chain around corners, an isolated pair, pixels at the thresholds."


def _joined(weak: np.ndarray, strong: np.ndarray, structure: np.ndarray | None = None) -> np.ndarray:
    labels, _ = ndimage.label(weak, np.ones((3, 3)) if structure is None else structure)
    return np.isin(labels, np.unique(labels[strong & weak])) & weak


@check(7, "hough")
def check_hough(answer: Callable) -> str:
    """Votes of shape (2R + 1, len(thetas)), R = ceil(√(h² + w²)); row R + round(x cos θ + y sin θ)."""
    edges = np.zeros((4, 3), bool)
    edges[[0, 1, 2, 3, 1], [0, 1, 2, 2, 2]] = True
    thetas = np.array([0.0, 0.3, 0.75, 1.2, 2.1, 2.9])
    got = as_array(call(answer, edges, thetas, told="five edge pixels in a 4×3 image, and six angles"))
    reach = 5
    wanted = _votes(edges, thetas, reach)
    off_by_one = "Off by one: ρ = 0 has to be in the middle row, R, of 2R + 1."
    suspects = [
        (off_by_one, np.roll(wanted, 1, axis=0), np.roll(wanted, -1, axis=0), wanted[1:], wanted[:-1]),
        (off_by_one, _votes(edges, thetas, reach, offset=1), _votes(edges, thetas, reach, offset=-1)),
        (
            "ρ can be negative, and a negative index counts from the end: add R to it.",
            np.roll(wanted, -reach, axis=0),
        ),
        (
            "ρ is cut off instead of rounded: int() goes towards zero, np.rint to the nearest.",
            _votes(edges, thetas, reach, rounding=np.trunc),
            _votes(edges, thetas, reach, rounding=np.floor),
        ),
        (
            "x and y are exchanged: np.nonzero gives rows (y) first; ρ = x cos θ + y sin θ.",
            _votes(edges.T, thetas, reach),
        ),
        (
            "Votes are lost: `votes[rows] += 1` counts repeated rows once. Use np.add.at or np.bincount.",
            np.minimum(wanted, 1),
        ),
        ("The angles are in radians already.", _votes(edges, np.radians(thetas), reach)),
        ("cos and sin want radians, and get degrees here.", _votes(edges, np.degrees(thetas), reach)),
        ("Every pixel votes: only the edge pixels should.", _votes(np.ones_like(edges), thetas, reach)),
    ]
    shown = {"edges": edges}
    expect(got, wanted, suspects=suspects, what="The accumulator", shown=shown)
    return "Five pixels, six angles: every vote in its place."


def _votes(edges, thetas, reach, *, rounding=np.rint, offset=0):
    """The accumulator one vote at a time, with switches for what goes wrong."""
    votes = np.zeros((2 * reach + 1, len(thetas)), int)
    for y, x in zip(*np.nonzero(edges), strict=True):
        for column, theta in enumerate(thetas):
            row = reach + offset + int(rounding(x * np.cos(theta) + y * np.sin(theta)))
            votes[row % len(votes), column] += 1
    return votes


ROWS = (150, 230)  # where the distance to the true line is measured
WITHIN = 10  # pixels
_ELSEWHERE = {  # metres to the right of the lane's middle
    "That is the far edge of the opposite lane: your lane ends at the dashed line.": -1.5 * LANE,
    "That is where the asphalt ends, beside the painted line: the paint has the stronger edge.": LANE / 2
    + 0.7,
    "That is the seam in the asphalt.": 0.1,
}


@check(8, "road_lines")
def check_road_lines(answer: Callable) -> str:
    """RGB image of a road to (ρ, θ) of the left and of the right border of the lane, θ in [0, π)."""
    scene = _other_road()
    got = as_array(call(answer, scene.image, told="another road"), "The result")
    if got.shape != (2, 2):
        raise NotYet(
            f"It has shape {got.shape}, expected (2, 2): (ρ, θ) of the left and of the right border."
        )
    if np.abs(got[:, 1]).max() > np.pi + 1e-9:
        raise NotYet("θ is larger than π.", hint="Is it in degrees? Or are ρ and θ exchanged?")
    columns = {}
    for name, (rho, theta) in zip(("left", "right"), got, strict=True):
        if abs(np.cos(theta)) < 0.1:
            hint = "The horizon and shadows get many votes too: which angles can a lane's border have?"
            raise NotYet(f"The {name} border is almost horizontal (θ = {theta:.2f}).", hint=hint)
        columns[name] = np.array([(rho - row * np.sin(theta)) / np.cos(theta) for row in ROWS])
    truth = {name: np.array([scene.column(name, row) for row in ROWS]) for name in columns}
    if np.abs(columns["left"] - columns["right"]).max() < 25:
        hint = "Neighbours of a peak have almost as many votes: search each side's angles apart."
        raise NotYet("Both lines are the same border.", hint=hint)
    if all(_is_near(columns[name], truth[other]) for name, other in (("left", "right"), ("right", "left"))):
        raise NotYet(
            "Left and right are exchanged.", hint="A border that rises to the right has θ below π/2."
        )
    for name, found in columns.items():
        if not _is_near(found, truth[name]):
            miss = np.abs(found - truth[name]).max()
            message = (
                f"On another road the {name} border is {miss:.0f} pixels away, at most {WITHIN} are allowed."
            )
            raise NotYet(message, hint=_where_else(scene, found))
    return f"Both borders of a road that you have not seen, to {WITHIN} pixels."


@functools.lru_cache(maxsize=1)
def _other_road() -> RoadScene:
    return road_scene(3)


def _is_near(found: np.ndarray, true: np.ndarray) -> bool:
    return bool(np.abs(found - true).max() <= WITHIN)


def _where_else(scene: RoadScene, found: np.ndarray) -> str:
    """What else of the road a wrong line lies on."""
    middle = (scene.slopes["left"] + scene.slopes["right"]) / 2
    u0, v0 = scene.vanishing_point
    for hint, place in _ELSEWHERE.items():
        if _is_near(found, np.array([u0 + (row - v0) * (middle + place / CAMERA_HEIGHT) for row in ROWS])):
            return hint
    return "Draw your edges and the peaks of this road (road_scene(3)): which line won, and why?"


__all__ = [
    "QUESTIONS",
    "check_convolve",
    "check_gaussian_kernel",
    "check_gradient",
    "check_hough",
    "check_hysteresis",
    "check_road_lines",
    "check_thin",
    "check_to_grey",
    "grade",
]

QUESTIONS = (
    Question(1, "Grey", 1, "to_grey", check_to_grey),
    Question(2, "Convolution", 3, "convolve", check_convolve),
    Question(3, "A Gaussian kernel", 2, "gaussian_kernel", check_gaussian_kernel),
    Question(4, "Gradient", 2, "gradient", check_gradient),
    Question(5, "Thin edges", 2, "thin", check_thin),
    Question(6, "Hysteresis", 2, "hysteresis", check_hysteresis),
    Question(7, "Votes for lines", 2, "hough", check_hough),
    Question(8, "The lane", 2, "road_lines", check_road_lines),
    Question(9, "Defend your parameters", 4),
)


def grade(namespace: Mapping[str, object]) -> Grades:
    """Points of all questions; `namespace` is the notebook's ``globals()``."""
    return grading.grade(QUESTIONS, namespace)
