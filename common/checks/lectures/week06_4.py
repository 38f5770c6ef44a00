"""Week 6, lecture 4: bits per weight with scales and codebooks counted, and the entropy of codes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import call, expect
from common.checks.grading import NotYet
from common.checks.lectures import fill_in


def _bits_per_weight(shape, n_bits, kind):
    extra = {"per_tensor": 1, "per_channel": shape[0], "k_means": 2**n_bits}[kind]
    return n_bits + 32 * extra / np.prod(shape)


@fill_in(own=_bits_per_weight)
def bits_per_weight(answer: Callable) -> str:
    """Bits per weight of a layer: codes, and its scales or its codebook of 32 bits each."""
    for shape, n_bits in (((4, 10), 3), ((8, 4, 3, 3), 2), ((5, 7), 4)):
        n, channels = int(np.prod(shape)), shape[0]
        for kind in ("per_tensor", "per_channel", "k_means"):
            got = call(answer, shape, n_bits, kind, told=f"a layer of shape {shape}, {n_bits} bits, {kind}")
            extra = {"per_tensor": 1, "per_channel": channels, "k_means": 2**n_bits}[kind]
            wanted = n_bits + 32 * extra / n
            suspects = [
                ("The scales, or the codebook, are missing.", n_bits),
                ("That is the whole layer: divide by its number of weights.", n * n_bits + 32 * extra),
                ("A codebook has 2 to the power of n_bits values.", n_bits + 32 * n_bits / n),
                (
                    "Each number beside the codes is a float of 32 bits.",
                    n_bits + extra / n,
                    n_bits + 4 * extra / n,
                ),
                ("The output channels are the first axis.", n_bits + 32 * shape[1] / n),
                (
                    "One scale per layer, one scale per channel, or one centroid per code: they differ.",
                    *(n_bits + 32 * other / n for other in (1, channels, 2**n_bits)),
                ),
                ("Spread over all weights: divide by their number.", n_bits + 32 * extra),
            ]
            expect(got, wanted, tolerance=1e-6, suspects=suspects, what=f"{kind} of shape {shape}: it")
    return "Three layers, three ways of storing them."


def _entropy_of(codes):
    counts = np.unique(codes, return_counts=True)[1]
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


@fill_in(own=_entropy_of)
def entropy_of(answer: Callable) -> str:
    """Entropy of an array of codes, which may be negative, in bits per code."""
    for codes in ([0, 0, 0, 1, -1, 0, 2, 1], [5, 5, 5, -3, 7, 7], [[-1, 0, 0, 1], [0, 0, 4, 0]]):
        codes = np.array(codes)
        counts = np.unique(codes, return_counts=True)[1]
        shares = counts / codes.size
        wanted = float(-(shares * np.log2(shares)).sum())
        got = call(answer, codes, told=f"the codes {codes.tolist()}")
        if np.isnan(np.asarray(got, dtype=float)).any():
            raise NotYet(
                "The entropy is nan.", hint="0 · log 0 is nan in NumPy: count only the codes that occur."
            )
        suspects = [
            ("The base is 2: np.log2.", wanted * np.log(2), wanted * np.log10(2)),
            ("That is the sum over all codes: the mean is per code.", wanted * codes.size),
            ("The sign is wrong: the logarithm of a share is negative, the entropy is not.", -wanted),
            ("Weight each logarithm by its share.", -np.log2(shares).sum(), -np.log2(shares).mean()),
            (
                "That is what a fixed width takes: the entropy weights by shares.",
                np.log2(counts.size),
                np.ceil(np.log2(counts.size)),
            ),
            (
                "Counts are not shares: divide by their sum.",
                float(-(counts * np.log2(counts)).sum()),
                float((counts * np.log2(counts)).sum()),
            ),
            (
                "Count how often each code occurs: shares of the counts, not of the numbers themselves.",
                *_of_the_numbers(codes),
            ),
        ]
        expect(got, wanted, tolerance=1e-6, suspects=suspects, what="The entropy", shown={"codes": codes})
    return "Negative codes, and codes that do not occur."


def _of_the_numbers(codes: np.ndarray) -> list[float]:
    size = np.abs(codes[codes != 0]) / np.abs(codes).sum()
    return [float(-(size * np.log2(size)).sum())]
