"""Week 4, lecture 1: the nearest centroid, what a candidate of k-means++ leaves, the bits of a palette."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from common.checks.comparing import call, expect
from common.checks.lectures import fill_in


def _assign(points, centroids):
    return ((points[:, None] - centroids) ** 2).sum(axis=2).argmin(axis=1)


@fill_in(own=_assign)
def assign(answer: Callable) -> str:
    """The number of the nearest centroid of every point; of equally near ones the lower number."""
    cases = [
        (
            [[0.0, 0.0], [4.0, 1.0], [1.0, 5.0], [2.0, 0.0], [-3.0, -3.0]],
            [[4.0, 0.0], [0.0, 0.0], [0.0, 4.0]],
        ),
        ([[-2.0], [0.5], [1.0], [7.0]], [[2.0], [0.0]]),
        ([[5.0, 1.0, 0.0], [0.0, 2.0, 2.0]], [[4.0, 4.0, 0.0], [0.0, 0.0, 0.0], [5.0, 0.0, 3.0]]),
    ]
    for points, centroids in cases:
        points, centroids = np.array(points), np.array(centroids)
        told = f"{len(points)} points and {len(centroids)} centroids"
        got = call(answer, points, centroids, told=told)
        squared = ((points[:, None] - centroids) ** 2).sum(axis=2)
        backwards = len(centroids) - 1 - squared[:, ::-1].argmin(axis=1)
        suspects = [
            ("Those are the farthest centroids: use argmin.", squared.argmax(axis=1)),
            ("The distances themselves are not asked for, but where they are smallest: argmin.", squared),
            ("That is the nearest distance: argmin gives its place.", squared.min(axis=1)),
            ("That is the nearest point of every centroid: one label per point.", squared.argmin(axis=0)),
            (
                "Differences can be negative: square them before they are summed.",
                (points[:, None] - centroids).sum(axis=2).argmin(axis=1),
            ),
            ("Of two equally near centroids the lower number wins.", backwards),
        ]
        shown = {"points": points, "centroids": centroids}
        expect(got, squared.argmin(axis=1), suspects=suspects, what="The labels", shown=shown)
    return "Points of one, two and three axes, ties included."


def _what_is_left(nearest, points, candidates):
    return np.minimum(nearest, ((candidates[:, None] - points) ** 2).sum(axis=2))


@fill_in(own=_what_is_left)
def what_is_left(answer: Callable) -> str:
    """Squared distance of every point from its nearest centroid, if a candidate became one."""
    for points, chosen, candidates in (
        ([[0.0, 0.0], [1.0, 0.0], [3.0, 4.0], [6.0, 0.0]], [0.0, 0.0], [[3.0, 4.0], [6.0, 0.0], [0.0, 0.0]]),
        ([[1.0], [2.0], [10.0]], [2.0], [[10.0]]),
    ):
        points, candidates = np.array(points), np.array(candidates)
        nearest = ((points - np.array(chosen)) ** 2).sum(axis=1)
        squared = ((candidates[:, None] - points) ** 2).sum(axis=2)
        told = f"{len(points)} points and {len(candidates)} candidates"
        got = call(answer, nearest, points, candidates, told=told)
        suspects = [
            ("The centroids so far count, too: np.minimum with `nearest`.", squared),
            ("The nearer one counts: take the minimum.", np.maximum(nearest, squared)),
            (
                "`nearest` is squared: the new distances have to be squared, too.",
                np.minimum(nearest, np.sqrt(squared)),
            ),
            (
                "One row per candidate: the candidates get the new axis, not the points.",
                np.minimum(nearest, squared).T,
            ),
            (
                "The sum over the points comes later: one value per candidate and point.",
                np.minimum(nearest, squared).sum(axis=1),
            ),
            (
                "Sum the squares over the axes, not the differences.",
                np.minimum(nearest, (candidates[:, None] - points).sum(axis=2) ** 2),
            ),
        ]
        shown = {"points": points, "nearest": nearest, "candidates": candidates}
        expect(
            got,
            np.minimum(nearest, squared),
            tolerance=1e-5,
            suspects=suspects,
            what="What is left",
            shown=shown,
        )
    return "Several candidates, one, and one that is a centroid already."


def _palette_bits(n, k):
    return n * math.ceil(math.log2(k)) + 24 * k


@fill_in(own=_palette_bits)
def palette_bits(answer: Callable) -> str:
    """Bits of n indices of whole bits, and of a palette of k colours."""
    for n, k in ((1000, 4), (500, 5), (70, 256), (900, 33)):
        got = call(answer, n, k, told=f"{n} pixels and {k} colours")
        width = math.ceil(math.log2(k))
        suspects = [
            ("The palette has to be stored, too.", n * width),
            ("An index has a whole number of bits: round up.", n * math.log2(k) + 24 * k),
            (
                "An index has a whole number of bits: round up, not down.",
                n * math.floor(math.log2(k)) + 24 * k,
            ),
            ("`bit_length` of k is one too many when k is a power of two.", n * k.bit_length() + 24 * k),
            ("A colour of the palette has 24 bits.", n * width + k, n * width + 8 * k),
            ("Every index takes ceil(log2 k) bits, not 24.", 24 * n + 24 * k),
            ("That is in bytes; bits are asked for.", (n * width + 24 * k) / 8),
        ]
        expect(got, n * width + 24 * k, tolerance=1e-2, suspects=suspects, what="The number of bits")
    return "Numbers of colours that are powers of two, and others."
