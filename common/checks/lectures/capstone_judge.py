"""Capstone, the judgement: ratio, bits per weight and drop; the bits of a kept weight's position."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import call, expect, pair
from common.checks.grading import NotYet
from common.checks.lectures import fill_in


def _three_numbers(n_weights, file_bytes, original_top1, top1):
    return 4 * n_weights / file_bytes, 8 * file_bytes / n_weights, 100 * (original_top1 - top1)


@fill_in(own=_three_numbers)
def three_numbers(answer: Callable) -> str:
    """Compression ratio, bits per weight, drop in points."""
    for n_weights, file_bytes, original, top1 in (
        (1_000_000, 160_000, 0.9, 0.875),
        (4096, 1000, 0.5, 0.5625),
    ):
        told = f"{n_weights:,} weights, {file_bytes:,} bytes, accuracies {original} and {top1}"
        got = pair(
            call(answer, n_weights, file_bytes, original, top1, told=told), 3, "ratio, bits per weight, drop"
        )
        ratio, bits, drop = _three_numbers(n_weights, file_bytes, original, top1)
        expect(
            got[0],
            ratio,
            tolerance=1e-4,
            what="The ratio",
            suspects=[
                ("A float32 weight takes 4 bytes.", ratio / 4),
                ("The ratio is the original over the file, not the other way round.", 1 / ratio),
                ("Bytes over bytes: 32 bits are 4 bytes.", 8 * ratio),
            ],
        )
        expect(
            got[1],
            bits,
            tolerance=1e-4,
            what="The bits per weight",
            suspects=[
                ("A byte has 8 bits.", bits / 8),
                ("Upside down: divide the bits by the number of weights.", 1 / bits, n_weights / file_bytes),
            ],
        )
        expect(
            got[2],
            drop,
            tolerance=1e-4,
            what="The drop",
            suspects=[
                ("Percentage points are asked for: times 100.", drop / 100),
                ("A drop is positive where accuracy is lost.", -drop),
                ("Points are a difference, not a share of the original.", drop / original),
            ],
        )
    return "Ratio, bits per weight and drop of two files."


def _position_bits(density):
    return (-density * np.log2(density) - (1 - density) * np.log2(1 - density)) / density


@fill_in(own=_position_bits)
def position_bits(answer: Callable) -> str:
    """H(d) / d, also for an array of densities."""
    for density in (0.25, np.array([0.5, 0.125, 0.03125])):
        told = f"density {density if np.ndim(density) == 0 else density.tolist()}"
        wanted = _position_bits(density)
        suspects = [
            ("The bits per *kept* weight are asked for: divide by the density.", wanted * density),
            (
                "Both terms are needed: the places that are not kept carry information, too.",
                -np.log2(density),
            ),
            ("The base is 2: np.log2.", wanted * np.log(2)),
            ("The sign is wrong: logarithms of shares are negative.", -wanted),
            ("Divide by the share that is kept, not by that which is not.", wanted * density / (1 - density)),
        ]
        got = call(answer, density, told=told)
        if np.shape(got) != np.shape(wanted):
            raise NotYet(
                f"It returns shape {np.shape(got)} for {told}, expected {np.shape(wanted)}.",
                hint="np.log2 works on arrays, too.",
            )
        expect(got, wanted, tolerance=1e-4, suspects=suspects, what="The bits per kept weight")
    return "Bits at four densities, a number and an array of them."
