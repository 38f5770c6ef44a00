"""Week 6, lecture 3: the straight-through gradient, the best binary weights, signs multiplied as bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import call, expect, pair
from common.checks.lectures import fill_in


def _straight_through(gradient, w, scale, q_min, q_max):
    q = np.round(w / scale)
    return gradient * ((q >= q_min) & (q <= q_max))


@fill_in(own=_straight_through)
def straight_through(answer: Callable) -> str:
    """The gradient that the backward pass gives the float weight behind a rounded one."""
    rng = np.random.default_rng(2)
    for scale, q_min, q_max in ((0.5, -1, 1), (0.2, -4, 3)):
        w = np.linspace(q_min - 2.3, q_max + 2.4, 12) * scale
        gradient = rng.normal(size=12).round(2)
        got = call(
            answer,
            gradient,
            w,
            scale,
            q_min,
            q_max,
            told=f"12 weights, levels {q_min} to {q_max} times {scale}",
        )
        q = np.round(w / scale)
        inside = (q >= q_min) & (q <= q_max)
        suspects = [
            ("What was clamped gets nothing: moving it does not change the output.", gradient),
            ("Inverted: the gradient passes where nothing was clamped.", gradient * ~inside),
            ("The levels at both ends pass it on, too: <= and >=.", gradient * ((q > q_min) & (q < q_max))),
            (
                "The limits are those of the codes: compare round(w / scale), not w.",
                gradient * ((w >= q_min) & (w <= q_max)),
            ),
            (
                "Compare the *rounded* code: up to half a step beyond the last level nothing is clamped.",
                gradient * ((w / scale >= q_min) & (w / scale <= q_max)),
            ),
            (
                "That is the true derivative of rounding, 0 everywhere: nothing would be learned.",
                gradient * 0,
            ),
            (
                "The gradient itself is not clamped: it passes, or it does not.",
                np.clip(gradient, q_min, q_max),
            ),
            (
                "Rounding counts as the identity: there is no factor of the scale.",
                gradient * inside * scale,
                gradient * inside / scale,
            ),
            ("The gradient is asked for, not where it passes.", inside),
            ("Those are the rounded weights.", np.clip(q, q_min, q_max) * scale),
        ]
        shown = {"w": w} if q_max == 1 else {}
        expect(got, gradient * inside, tolerance=1e-6, suspects=suspects, what="The gradient", shown=shown)
    return "It passes where nothing is clamped, ends included."


def _binary(w):
    return np.abs(w).mean(), np.where(w >= 0, 1.0, -1.0)


@fill_in(own=_binary)
def binary(answer: Callable) -> str:
    """(alpha, signs): the nearest alpha times signs to an array of weights."""
    for w in (np.array([0.8, -0.2, -1.4, 0.6]), np.array([-3.0, 1.0, 0.5, -0.5, 2.0, -0.2])):
        alpha, signs = pair(call(answer, w, told=f"the weights {w.tolist()}"), 2, "alpha and the signs")
        suspects = [
            ("Take the mean of |w|, not of w: the signs are already in B.", w.mean(), abs(w.mean())),
            ("Take the mean of |w|, not the sum: divide by n.", np.abs(w).sum()),
            (
                "Take the mean of |w|: the squared error is least there, so no root, no square.",
                np.sqrt(np.square(w).mean()),
                np.square(w).mean(),
            ),
            ("Take the mean of |w|, not its largest value.", np.abs(w).max()),
            ("Take the mean of |w|, not its median.", np.median(np.abs(w))),
        ]
        expect(alpha, np.abs(w).mean(), tolerance=1e-6, suspects=suspects, what="alpha", shown={"w": w})
        wanted = np.where(w >= 0, 1.0, -1.0)
        suspects = [
            ("Bits stand for −1 and +1: the signs are asked for.", w > 0),
            (
                "Those are the weights that come back: the signs alone are asked for.",
                wanted * np.abs(w).mean(),
            ),
            ("Every sign is wrong.", -wanted),
        ]
        expect(signs, wanted, tolerance=1e-6, suspects=suspects, what="The array of signs", shown={"w": w})
    return "The mean absolute value, and the signs."


def _signed_dot(x, w, n):
    return n - 2 * (x ^ w).bit_count()


@fill_in(own=_signed_dot)
def signed_dot(answer: Callable) -> str:
    """The dot product of two vectors of n signs, each packed into one integer."""
    for x, w, n in ((0b10000011, 0b11000011, 8), (0b110100111, 0b011100101, 9), (0b00001, 0b11111, 5)):
        told = f"{x:0{n}b} and {w:0{n}b}"
        got = call(answer, x, w, n, told=told)
        different = (x ^ w).bit_count()
        suspects = [
            ("Each different pair costs two: it is −1 where it would have been +1.", n - different),
            ("Those are the different pairs: n minus twice their number.", different),
            ("The sign: equal pairs are +1, different ones −1.", 2 * different - n),
            (
                "& is the product of 0 and 1; signs that differ are found by ^ (XOR).",
                n - 2 * (x & w).bit_count(),
                (x & w).bit_count(),
            ),
            ("| finds ones in either; signs that differ are found by ^ (XOR).", n - 2 * (x | w).bit_count()),
            (
                "~ of a Python integer is negative: count what differs, by ^.",
                2 * (~(x ^ w)).bit_count() - n,
                n - 2 * (~(x ^ w)).bit_count(),
            ),
            ("The number of ones is meant, not the number itself: .bit_count().", n - 2 * (x ^ w)),
        ]
        expect(got, n - 2 * different, tolerance=0, suspects=suspects, what=f"The product of {told}")
    return "Words of 5, 8 and 9 signs."
