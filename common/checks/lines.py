"""Week 1, second half: thinning, hysteresis, the Hough transform, the lines of a road."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from common.checks.calling import call
from common.checks.comparing import as_array, expect
from common.checks.verdict import NotYet, check
from common.road_scene import CAMERA_HEIGHT, LANE, RoadScene, road_scene

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
        ("Those are the neighbours along the edge: compare across it, along the gradient.",
         _thin(magnitude, direction, steps=along)),
        ("The diagonals are exchanged: y runs downwards, so 45 degrees is down and right.",
         _thin(magnitude, direction, steps=swapped)),
        ("x and y are exchanged: direction 0 has its neighbours left and right.",
         _thin(magnitude, direction, steps=by_x)),
        ("At the border a neighbour is missing: the result is 0 there.",
         _thin(magnitude, direction, keep_border=True)),
        ("Negative directions are missed: opposite ones have the same neighbours, so take them mod π.",
         _thin(magnitude, direction, only_positive=True)),
        ("All pixels are compared left and right: the direction is not used.",
         _thin(magnitude, np.zeros_like(direction))),
        ("The place is right, the value is not: keep the magnitude there.", wanted > 0),
    ]  # fmt: skip
    expect(got, wanted, suspects=suspects, what="The thinned magnitude")
    ridge = np.zeros((5, 5))
    ridge[:, 2:4] = 7.0  # a step between two columns of pixels: both have the same slope
    wanted = _thin(ridge, np.zeros((5, 5)))
    got = call(answer, ridge, np.zeros((5, 5)), told="an edge of two equal columns")
    column = np.arange(5)
    suspects = [
        ("Two equal neighbours have suppressed each other, and the edge is gone: compare with >=, not >.",
         np.zeros((5, 5))),
        ("Of two equal neighbours one is dropped. OpenCV does so; here only a *larger* neighbour counts.",
         wanted * (column != 2), wanted * (column != 3)),
    ]  # fmt: skip
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
        ("It looks up, down, left and right only: diagonal neighbours are joined too.",
         _joined(weak, strong, np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]]))),
        ("A pixel at exactly a threshold counts: >=, not >.", _joined(magnitude > low, magnitude > high),
         _joined(magnitude > low, strong), _joined(weak, magnitude > high)),
        ("Truth values are asked for, not magnitudes.", np.where(_joined(weak, strong), magnitude, 0)),
    ]  # fmt: skip
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
        ("ρ can be negative, and a negative index counts from the end: add R to it.",
         np.roll(wanted, -reach, axis=0)),
        ("ρ is cut off instead of rounded: int() goes towards zero, np.rint to the nearest.",
         _votes(edges, thetas, reach, rounding=np.trunc), _votes(edges, thetas, reach, rounding=np.floor)),
        ("x and y are exchanged: np.nonzero gives rows (y) first; ρ = x cos θ + y sin θ.",
         _votes(edges.T, thetas, reach)),
        ("Votes are lost: `votes[rows] += 1` counts repeated rows once. Use np.add.at or np.bincount.",
         np.minimum(wanted, 1)),
        ("The angles are in radians already.", _votes(edges, np.radians(thetas), reach)),
        ("cos and sin want radians, and get degrees here.", _votes(edges, np.degrees(thetas), reach)),
        ("Every pixel votes: only the edge pixels should.", _votes(np.ones_like(edges), thetas, reach)),
    ]  # fmt: skip
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
