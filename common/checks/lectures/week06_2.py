"""Week 6, lecture 2: codes of numbers, batch norm folded into a convolution, codes again by a shift."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import call, expect, expect_integers, pair
from common.checks.lectures import fill_in


def _free_codes(r, scale, zero_point, *, rounding=np.round):
    return rounding(np.asarray(r, np.float32) * (np.float32(1) / np.float32(scale))) + zero_point


def _to_codes(r, scale, zero_point, n_bits):
    return np.clip(_free_codes(r, scale, zero_point), 0, 2**n_bits - 1).astype(np.int64)


@fill_in(own=_to_codes)
def to_codes(answer: Callable) -> str:
    """Round to the nearest level, add the zero-point, clamp to the codes that there are."""
    for scale, zero_point, n_bits in ((0.25, 5, 4), (0.6, 2, 3), (0.05, 0, 8)):
        most = 2**n_bits - 1
        reach = scale * most
        # in thirds of a step, so that nothing lies halfway between two levels
        r = (np.arange(-12, 3 * most + 12, 5) / 3 - zero_point) * scale
        told = f"scale {scale}, zero-point {zero_point}, {n_bits} bits"
        got = call(answer, r, scale, zero_point, n_bits, told=told)
        free, wanted = _free_codes(r, scale, zero_point), _to_codes(r, scale, zero_point, n_bits)
        cut = np.clip(_free_codes(r, scale, zero_point, rounding=np.floor), 0, most)
        toward_zero = np.clip(_free_codes(r, scale, zero_point, rounding=np.trunc), 0, most)
        suspects = [
            ("There are no codes below 0 and above 2ⁿ − 1: clamp.", free, free % (most + 1)),
            (
                "The zero-point is missing: it is added to the rounded quotient.",
                np.clip(free - zero_point, 0, most),
            ),
            ("Clamp after adding the zero-point.", np.clip(free - zero_point, 0, most) + zero_point),
            ("The zero-point has to be added, not subtracted.", np.clip(free - 2 * zero_point, 0, most)),
            ("Cut off instead of rounded: use np.round.", cut, toward_zero),
            (f"{n_bits} bits have 2^{n_bits} codes, the last is one less.", np.clip(free, 0, most + 1)),
            ("Divide by the scale.", np.clip(np.round(r * scale) + zero_point, 0, most)),
            ("Those are the numbers again: the codes are asked for.", (wanted - zero_point) * scale),
            ("Not rounded: codes are whole numbers.", np.clip(r / scale + zero_point, 0, most)),
        ]
        shown = {} if reach > 12 else {"r": r}
        expect(got, wanted, tolerance=0, suspects=suspects, what="The array of codes", shown=shown)
        expect_integers(got, "The array of codes", "End with .astype(np.int64).")
    return "Codes of 3, 4 and 8 bits, clamped at both ends."


def _fold(weight, gamma, beta, mean, var, eps=1e-5):
    factor = gamma / np.sqrt(var + eps)
    return weight * factor[:, None, None, None], beta - mean * factor


@fill_in(own=_fold)
def fold(answer: Callable) -> str:
    """Weight and bias of the one convolution that stands for a convolution and its batch norm."""
    rng = np.random.default_rng(4)
    for n_out, n_in, eps in ((3, 2, 1e-5), (4, 4, 0.1)):
        weight = rng.normal(size=(n_out, n_in, 3, 3))
        gamma, beta, mean = rng.uniform(0.5, 2, n_out), rng.normal(size=n_out), rng.normal(size=n_out)
        var = rng.uniform(0.3, 4, n_out)
        problem = (weight, gamma, beta, mean, var, eps)
        told = f"{n_in} channels in, {n_out} out"
        got = pair(call(answer, *problem, told=told), 2, "the weight and the bias")
        factor = gamma / np.sqrt(var + eps)
        by_channel = factor[:, None, None, None]
        wrong_axis = factor[None, :, None, None] if n_out == n_in else by_channel * 0
        suspects = [
            (
                "Divide by the deviation, not by the variance: np.sqrt.",
                weight * (gamma / (var + eps))[:, None, None, None],
            ),
            (
                "Multiplied by the deviation: divide by it.",
                weight * (gamma * np.sqrt(var + eps))[:, None, None, None],
            ),
            ("gamma is missing in the factor.", weight / np.sqrt(var + eps)[:, None, None, None]),
            (
                "eps stands inside the root: it is added to the variance.",
                weight * (gamma / np.sqrt(var))[:, None, None, None],
                weight * (gamma / (np.sqrt(var) + eps))[:, None, None, None],
            ),
            (
                "One factor per *output* channel: the first axis.",
                weight * wrong_axis,
                weight * np.resize(factor, weight.shape[-1]) if n_out == 3 else wrong_axis,
            ),
            ("The weight is as it was: multiply it by the factor.", weight),
            ("That is the factor alone: multiply the weight by it.", factor),
        ]
        expect(got[0], weight * by_channel, tolerance=1e-5, suspects=suspects, what="The weight")
        suspects = [
            ("The mean has to be scaled, too: it is subtracted before the factor multiplies.", beta - mean),
            ("The sign is wrong: the mean is subtracted.", beta + mean * factor),
            ("beta is missing.", -mean * factor, mean * factor),
            (
                "beta is added after the factor, so it is not scaled.",
                (beta - mean) * factor,
                beta * factor - mean * factor,
            ),
            ("The bias is not beta alone: the mean is subtracted, times the factor.", beta),
            (
                "The mean takes the whole factor: divided by the deviation, and multiplied by gamma.",
                beta - mean / np.sqrt(var + eps),
                beta - mean * gamma,
            ),
        ]
        expect(
            got[1],
            beta - mean * factor,
            tolerance=1e-5,
            suspects=suspects,
            what="The bias",
            shown={"beta": beta, "mean": mean, "factor": factor},
        )
    return "One factor per output channel; the bias takes the mean with it."


def _requantize(sums, multiplier, shift, zero_point):
    product = sums.astype(np.int64) * multiplier
    rounded = (product + (np.int64(1) << (shift - 1))) >> shift
    return np.clip(rounded + zero_point, 0, 255)


@fill_in(own=_requantize)
def requantize(answer: Callable) -> str:
    """8-bit codes from int32 sums: times a whole number, a rounding shift, the zero-point, the clamp."""
    rng = np.random.default_rng(8)
    several = np.array([1_610_612_000, 1_100_000_001, 2_000_000_003])
    for multiplier, shift, zero_point, shape in (
        (np.int64(1_610_612_000), np.int64(38), 12, 48),
        (several, np.array([38, 36, 37]), 100, (20, 3)),  # one multiplier and one shift per output
    ):
        sums = rng.integers(-12_000, 40_000, shape).astype(np.int32)
        told = f"sums of shape {sums.shape} and {np.size(multiplier)} multipliers"
        got = call(answer, sums, multiplier, shift, zero_point, told=told)
        product = sums.astype(np.int64) * multiplier
        rounded = (product + (1 << (shift - 1))) >> shift
        wanted = np.clip(rounded + zero_point, 0, 255)
        with np.errstate(all="ignore"):
            wrapped = (sums * multiplier.astype(np.int32)).astype(np.int64)
        suspects = [
            (
                "A shift cuts off: add a half, 1 << (shift - 1), before it.",
                np.clip((product >> shift) + zero_point, 0, 255),
            ),
            (
                "The product does not fit into 32 bits: convert the sums to int64 first.",
                np.clip(((wrapped + (1 << (shift - 1))) >> shift) + zero_point, 0, 255),
                np.clip((wrapped >> shift) + zero_point, 0, 255),
            ),
            (
                "The codes end at 0 and 255: clamp, after the zero-point.",
                rounded + zero_point,
                np.clip(rounded, 0, 255) + zero_point,
                (rounded + zero_point) % 256,
            ),
            ("The zero-point is missing.", np.clip(rounded, 0, 255)),
            (
                "The zero-point is a code: add it after the shift.",
                np.clip((product + zero_point + (1 << (shift - 1))) >> shift, 0, 255),
            ),
            (
                "One half, before the shift, is 1 << (shift - 1): you add a whole.",
                np.clip(((product + (1 << shift)) >> shift) + zero_point, 0, 255),
            ),
            ("The multiplier is missing.", np.clip((sums.astype(np.int64) >> shift) + zero_point, 0, 255)),
            ("The shift is missing: the product is far too large.", np.clip(product + zero_point, 0, 255)),
        ]
        expect(
            got,
            wanted,
            tolerance=0,
            suspects=suspects,
            what="The array of codes",
            unknown="(sum · multiplier + half) >> shift, then the zero-point, then the clamp.",
        )
        expect_integers(got, "The array of codes", "No float is needed.")
    return "Rounded, shifted and clamped, in whole numbers only."
