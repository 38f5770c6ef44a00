"""Week 1, lecture 2: correlation, the growth of edges, and votes for lines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import as_array, call, expect
from common.checks.grading import NotYet
from common.checks.lectures import fill_in

# ----------------------------------------------------------------------------------------------------
# Correlation


def _correlate(picture, kernel, border="reflect"):
    height, width = picture.shape
    n_rows, n_columns = kernel.shape
    up, left = n_rows // 2, n_columns // 2
    padded = np.pad(picture.astype(np.float64), ((up, up), (left, left)), mode=border)
    result = np.zeros(picture.shape)
    for i in range(n_rows):
        for j in range(n_columns):
            result += kernel[i, j] * padded[i : i + height, j : j + width]
    return result


@fill_in(own=_correlate)
def correlate(answer: Callable) -> str:
    """Sums of kernel × window at every pixel; the border is reflected unless told otherwise."""
    square = np.array([[1, 2, 0], [0, -1, 3], [4, 0, -2]])
    for picture, kernel, border in (
        (np.array([[3, 1, 4, 1], [5, 9, 2, 6], [5, 3, 5, 8]], dtype=np.uint8), square, "reflect"),
        (
            np.array([[250, 3, 200], [4, 100, 30], [7, 9, 255], [1, 2, 60]], dtype=np.uint8),
            square,
            "constant",
        ),
        (np.array([[1.0, 2.5, -3.0, 0.0], [4.0, 7.0, 1.0, 2.0]]), np.array([[1, 0, -2]]), "edge"),
    ):
        told = f"a picture of {picture.shape}, a kernel of {kernel.shape} and border {border!r}"
        got = call(answer, picture, kernel, border, told=told)
        height, width = picture.shape
        up, left = kernel.shape[0] // 2, kernel.shape[1] // 2
        padded = np.pad(picture.astype(float), ((up, up), (left, left)), mode=border)
        suspects = [
            (
                "The kernel is rotated by 180°: that is convolution. Entry [i, j] meets the pixel i rows "
                "further down and j columns further right.",
                _correlate(picture, kernel[::-1, ::-1], border),
            ),
            (
                "Only the last entry's product is left: add it to what the entries before have summed up.",
                kernel[-1, -1] * padded[2 * up :, 2 * left :],
            ),
            (
                "Every entry meets the same pixels: the part of `padded` begins at row i and column j.",
                kernel.sum() * padded[:height, :width],
                kernel.sum() * picture.astype(float),
            ),
            (
                "The kernel's entries are left out: multiply each shifted picture by its entry.",
                _correlate(picture, kernel * 0 + 1, border),
            ),
            (
                "That is a mean over the window: correlation is a sum.",
                _correlate(picture, kernel, border) / kernel.size,
            ),
        ]
        if kernel.shape[0] == kernel.shape[1]:
            hint = "Rows and columns are exchanged: i shifts rows, j shifts columns."
            suspects.append((hint, _correlate(picture, kernel.T, border)))
        shown = {"picture": picture, "kernel": kernel}
        expect(
            got,
            _correlate(picture, kernel, border),
            tolerance=1e-6,
            suspects=suspects,
            what="The result",
            shown=shown,
        )
    return "Square and flat kernels, bytes and floats, three borders."


# ----------------------------------------------------------------------------------------------------
# Hysteresis, one step


def _touched(found, *, straight=False, middle=True):
    height, width = found.shape
    framed = np.pad(np.asarray(found, dtype=bool), 1)
    result = np.zeros(found.shape, dtype=bool)
    for y, x in np.ndindex(3, 3):
        if (straight and y != 1 and x != 1) or (not middle and y == x == 1):
            continue
        result |= framed[y : y + height, x : x + width]
    return result


def _grow(found, allowed):
    return _touched(found) & allowed


@fill_in(own=_grow)
def grow(answer: Callable) -> str:
    """One step of the flood: what is found, and every allowed pixel that touches it."""
    for rows in (
        (".x..xx", "x.O...", "..x.xx", ".x..x."),  # reached in the middle
        ("O..x", "x..x", "..xO", ".x..", "x..."),  # at the rim, and a chain of which one step is taken
    ):
        letters = np.array([list(row) for row in rows])
        found, allowed = letters == "O", letters != "."
        wanted = _touched(found) & allowed
        got = call(answer, found, allowed, told=f"masks of {found.shape}")
        everything = wanted
        for _ in range(10):
            everything = _touched(everything) & allowed
        suspects = [
            ("It takes more than the allowed pixels: keep the neighbours that are allowed.", _touched(found)),
            ("Diagonal neighbours count, too: eight directions.", _touched(found, straight=True) & allowed),
            (
                "What was found before is lost: it stays.",
                _touched(found, middle=False) & allowed,
                _touched(found, middle=False) & allowed & ~found,
            ),
            ("Nothing grew: look one pixel further, in eight directions.", found),
            (
                "That is everything allowed, touching or not: take only what touches the found pixels.",
                allowed,
            ),
            (
                "It went on until nothing changed. One step is asked for: the loop stands in `hysteresis`.",
                everything,
            ),
            ("Truth values are expected: compare with > 0.", 255 * wanted.astype(int)),
        ]
        shown = {"found": found, "allowed": allowed}
        expect(got, wanted, tolerance=0, suspects=suspects, what="The mask", shown=shown)
        if as_array(got).dtype.kind != "b":
            raise NotYet(
                "The mask is right, but not of truth values (bool).", hint="`> 0` makes a mask of numbers."
            )
    return "Neighbours in eight directions, at the rim, and only one step."


# ----------------------------------------------------------------------------------------------------
# Votes for lines


def _rhos(edges, theta):
    y, x = np.nonzero(edges)
    return x * np.cos(np.radians(theta)) + y * np.sin(np.radians(theta))


def _votes(edges, rounded=lambda rho: np.rint(rho), swap=False, turn=1):
    reach = sum(edges.shape)
    votes = np.zeros((2 * reach + 1, 180), dtype=np.int64)
    for theta in range(180):
        rho = _rhos(edges.T if swap else edges, turn * theta)
        votes[:, theta] = np.bincount(rounded(rho).astype(np.int64) + reach, minlength=len(votes))
    return votes


@fill_in(own=_votes)
def hough_lines(answer: Callable) -> str:
    """Votes of shape (2 R + 1, 180), R = height + width: row R + rho, column theta in degrees."""
    for shape, points in (
        ((9, 14), [(2, 3), (2, 9), (5, 3), (8, 13)]),
        ((11, 6), [(1, 1), (4, 2), (7, 3), (10, 4)]),
    ):
        edges = np.zeros(shape, dtype=bool)
        edges[tuple(np.transpose(points))] = True
        told = f"{len(points)} points in a picture of {shape}"
        try:
            got = call(answer, edges, told=told)
        except NotYet as why:
            if "broadcast" in why.message:
                why.hint = "One column has 2 R + 1 rows: np.bincount's `minlength` makes it that long."
            elif "negative" in why.message or "out of bounds" in why.message:
                why.hint = "ρ can be negative: row R + ρ holds its votes, so add `reach` before you count."
            raise
        wanted = _votes(edges)
        suspects = [
            (
                "A cell has at most one vote per angle: `votes[rows, theta] += 1` counts a row once, however "
                "often it occurs. np.bincount (or np.add.at) counts all.",
                wanted > 0,
            ),
            ("x and y are exchanged: x is the column, and goes with the cosine.", _votes(edges, swap=True)),
            (
                "`theta` is in degrees: cosine and sine want `angle`, in radians.",
                _votes(edges, turn=np.degrees(1)),
            ),
            (
                "Round to the nearest integer (np.rint): astype alone cuts off the fraction.",
                _votes(edges, np.trunc),
                _votes(edges, np.floor),
            ),
            (
                "The row of ρ is R + ρ: the offset R is missing, or another one is added.",
                *(np.roll(wanted, step, axis=0) for step in (sum(shape), -sum(shape), 1, -1)),
            ),
            (
                "ρ is negative for some angles, and its sign counts: take no absolute value.",
                _votes(edges, lambda rho: np.abs(np.rint(rho))),
            ),
        ]
        expect(got, wanted, tolerance=1e-6, suspects=suspects, what="The accumulator")
    return "All votes of a rectangle's corners, and of points on a line."
