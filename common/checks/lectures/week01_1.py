"""Week 1, lecture 1: bytes that saturate, erosion, and Otsu's criterion."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import as_array, call, expect, expect_dtype
from common.checks.grading import NotYet
from common.checks.lectures import fill_in


def _brighten(picture, amount):
    return np.clip(np.asarray(picture).astype(np.int16) + amount, 0, 255).astype(np.uint8)


@fill_in(own=_brighten)
def brighten(answer: Callable) -> str:
    """Add a number to bytes; what passes 0 or 255 stays there."""
    results = []
    for rows, amount in (([[0, 90], [200, 255]], 70), ([[3, 60, 130], [254, 41, 7]], -40), ([[9, 250]], 130)):
        picture = np.array(rows, dtype=np.uint8)
        got = call(answer, picture, amount, told=f"bytes {rows} and {amount}")
        wanted, free = _brighten(picture, amount), picture.astype(int) + amount
        suspects = [
            (
                "It wraps around. Calculate in a type with room (np.int16), and go back to bytes with what "
                "np.clip returns.",
                free % 256,
                np.clip(free % 256, 0, 255),
            ),
            ("Clipped at 255 only: a negative amount can go below 0.", np.minimum(free, 255)),
            ("Below 0 or above 255 nothing fits into a byte: clip to 0 and 255.", free),
            (
                "What does not fit becomes 255 (or 0): it keeps no old value.",
                np.where((free > 255) | (free < 0), picture, free),
            ),
        ]
        expect(got, wanted, tolerance=0, suspects=suspects, what="The picture", shown={"before": picture})
        results.append(got)
    for got in results:
        expect_dtype(
            got, "uint8", hint="Right numbers; .astype(np.uint8) makes them bytes again.", what="The picture"
        )
    return "Brighter and darker bytes, at both ends."


def _windows(mask, outside):
    padded = np.pad(np.asarray(mask, dtype=bool), 1, constant_values=outside)
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3))


def _erode(mask):
    return _windows(mask, True).all(axis=(2, 3))


_MASKS = (
    ("......", ".xxxx.", ".xxxx.", ".xxxx.", "......"),
    ("xxx..", "xxxx.", "xxxxx", "xx.xx", "xxxxx", "xxxxx"),
)


@fill_in(own=_erode)
def erode(answer: Callable) -> str:
    """True where all nine pixels of the window are; what lies outside the picture counts as True."""
    for rows in _MASKS:
        mask = np.array([list(row) for row in rows]) == "x"
        got = call(answer, mask, told=f"a mask of {mask.shape}")
        cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=bool)
        suspects = [
            ("That is a dilation: the mask grew.", _windows(mask, False).any(axis=(2, 3))),
            (
                "The rim is eaten: what lies outside the picture counts as True.",
                _windows(mask, False).all(axis=(2, 3)),
            ),
            (
                "The diagonal neighbours count, too: all nine pixels of the window.",
                (_windows(mask, True) | ~cross).all(axis=(2, 3)),
                (_windows(mask, False) | ~cross).all(axis=(2, 3)),
            ),
            (
                "That is the dilation of the inverted mask: invert the result as well (~).",
                _windows(~mask, False).any(axis=(2, 3)),
            ),
            (
                "Invert the mask *before* the dilation, too: it is the background that grows.",
                ~_windows(mask, False).any(axis=(2, 3)),
            ),
            ("Nothing was removed.", mask),
        ]
        expect(got, _erode(mask), tolerance=0, suspects=suspects, what="The mask", shown={"mask": mask})
        if as_array(got).dtype.kind != "b":
            raise NotYet(
                "The mask is right, but not of truth values (bool).", hint="`> 0` makes a mask of numbers."
            )
    return "A block, and a mask with a hole that reaches the rim."


def _shares_and_means(counts, t):
    counts = np.asarray(counts, dtype=float)
    levels = np.arange(len(counts))
    low, high = counts[: t + 1], counts[t + 1 :]
    shares = low.sum() / counts.sum(), high.sum() / counts.sum()
    return shares, (low @ levels[: t + 1] / low.sum(), high @ levels[t + 1 :] / high.sum())


def _between_variance(counts, t):
    if not (counts[: t + 1].sum() and counts[t + 1 :].sum()):
        return 0.0
    (w0, w1), (m0, m1) = _shares_and_means(counts, t)
    return float(w0 * w1 * (m0 - m1) ** 2)


@fill_in(own=_between_variance)
def between_variance(answer: Callable) -> str:
    """Otsu's criterion for a threshold t: levels up to t against those above."""
    for counts, t in (([4, 1, 0, 2, 3], 1), ([1, 5, 2, 0, 0, 1, 6, 1], 4), ([0, 3, 1, 0, 9], 2)):
        counts = np.array(counts)
        got = call(answer, counts, t, told=f"counts {counts.tolist()} and t = {t}")
        (w0, w1), (m0, m1) = _shares_and_means(counts, t)
        n = counts.sum()
        levels = np.arange(len(counts))
        suspects = [
            ("The square is missing: (m0 − m1)².", w0 * w1 * (m0 - m1), w0 * w1 * (m1 - m0)),
            ("The two shares are missing: multiply by w0 · w1.", (m0 - m1) ** 2),
            (
                "You use numbers of pixels in place of shares: divide by the number of all pixels.",
                n * n * w0 * w1 * (m0 - m1) ** 2,
                n * w0 * w1 * (m0 - m1) ** 2,
            ),
            (
                "The mean of the *levels* is asked for, each weighted by its count.",
                w0 * w1 * (counts[: t + 1].mean() - counts[t + 1 :].mean()) ** 2,
                w0 * w1 * (levels[: t + 1].mean() - levels[t + 1 :].mean()) ** 2,
            ),
            ("The levels of the upper class begin at t + 1, not at 0.", w0 * w1 * (m0 - (m1 - t - 1)) ** 2),
            ("Divide each class's sum by the number of its own pixels.", w0 * w1 * (w0 * m0 - w1 * m1) ** 2),
        ]
        if counts[t]:
            (v0, v1), (k0, k1) = (
                _shares_and_means(counts, t - 1) if t and counts[:t].sum() else ((w0, w1), (m0, m1))
            )
            suspects.append(
                ("Level t itself belongs to the lower class: counts[: t + 1].", v0 * v1 * (k0 - k1) ** 2)
            )
        expect(
            got,
            w0 * w1 * (m0 - m1) ** 2,
            tolerance=1e-6,
            suspects=suspects,
            what="The variance between the classes",
            shown={"counts": counts},
        )
    return "Three histograms, with empty levels in them."
