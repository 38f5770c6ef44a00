"""Week 7, lecture 3: bytes of a layer's tables, memory for outputs, and an estimate of energy."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from common.checks.comparing import call, expect
from common.checks.lectures import fill_in


def _table_bytes(n_gaps, n_kept, n_clusters, n_outputs):
    return n_gaps + n_kept + 4 * n_clusters + 4 * n_outputs


@fill_in(own=_table_bytes)
def table_bytes(answer: Callable) -> str:
    """Bytes of the four tables of a layer in the C header."""
    for n_gaps, n_kept, n_clusters, n_outputs in ((90, 71, 9, 6), (1234, 1000, 16, 30)):
        wanted = _table_bytes(n_gaps, n_kept, n_clusters, n_outputs)
        told = f"{n_gaps} gaps, {n_kept} kept weights, {n_clusters} values, {n_outputs} outputs"
        got = call(answer, n_gaps, n_kept, n_clusters, n_outputs, told=told)
        suspects = [
            (
                "Only the codebook and the biases are floats: a gap or an index takes one byte.",
                4 * (n_gaps + n_kept + n_clusters + n_outputs),
            ),
            (
                "The codebook and the biases are floats: four bytes each.",
                n_gaps + n_kept + n_clusters + n_outputs,
            ),
            ("Kept weights are indices of one byte each, not floats.", wanted + 3 * n_kept),
            ("The gaps are stored, too: one byte each.", wanted - n_gaps),
            ("A value of the codebook is a float: four bytes.", wanted - 3 * n_clusters),
            ("Each output has a bias, a float.", wanted - 4 * n_outputs, wanted - 3 * n_outputs),
            (
                "A skip is a gap without a weight: gaps and indices are two counts.",
                2 * n_kept + wanted - n_gaps - n_kept,
            ),
        ]
        expect(got, wanted, tolerance=1e-6, suspects=suspects, what=f"The size for {told}")
    return "Two tables of bytes and two of floats."


def _peak_bytes(outputs):
    return 4 * max(before + behind for before, behind in itertools.pairwise(outputs))


@fill_in(own=_peak_bytes)
def peak_bytes(answer: Callable) -> str:
    """The largest sum of two neighbours, in bytes of float32."""
    for outputs in ([6, 20, 10, 3], [50, 8, 30, 24, 2]):
        wanted = _peak_bytes(outputs)
        got = call(answer, list(outputs), told=f"outputs {outputs}")
        suspects = [
            ("That counts numbers: a float32 takes four bytes.", wanted / 4),
            (
                "A buffer is free again once the next layer has read it: not all live at once.",
                4 * sum(outputs),
            ),
            ("Input and output differ in size: add the two neighbours.", 8 * max(outputs)),
            ("The largest output alone: the layer also needs its input.", 4 * max(outputs), max(outputs)),
            (
                "The two largest need not be neighbours: a layer has the output before it as its input.",
                4 * sum(sorted(outputs)[-2:]),
            ),
        ]
        expect(got, wanted, tolerance=1e-6, suspects=suspects, what=f"The peak for {outputs}")
    return "The largest pair of neighbours, in bytes."


def _picojoules(n_bytes, n_products, on_chip):
    per_word = 5 if on_chip else 640
    return n_bytes / 4 * per_word + (3 * 5 + 3.7 + 0.9) * n_products


@fill_in(own=_picojoules)
def picojoules(answer: Callable) -> str:
    """The weights' words from where they lie, and products with three accesses each."""
    for n_bytes, n_products, on_chip in itertools.product((4000, 800), (1000, 6000), (True, False)):
        wanted = _picojoules(n_bytes, n_products, on_chip)
        weights = n_bytes / 4 * (5 if on_chip else 640)
        told = f"{n_bytes} bytes {'on' if on_chip else 'off'} the chip, {n_products} products"
        got = call(answer, n_bytes, n_products, on_chip, told=told)
        suspects = [
            ("A word has four bytes: divide the bytes by 4.", wanted + 3 * weights),
            ("The weights are to be fetched, too.", wanted - weights),
            (
                "A product has three accesses on the chip, 5 pJ each.",
                wanted - 15 * n_products,
                wanted - 10 * n_products,
            ),
            (
                "A product is a multiplication and an addition: one of the two is missing.",
                wanted - 0.9 * n_products,
                wanted - 3.7 * n_products,
            ),
            (
                "640 pJ is the word that comes from outside, 5 pJ the one on the chip.",
                _picojoules(n_bytes, n_products, not on_chip),
            ),
            (
                "Inputs and sums stay on the chip, wherever the weights are: 5 pJ each.",
                wanted + 3 * 635 * n_products,
            ),
        ]
        expect(got, wanted, tolerance=1e-6, suspects=suspects, what=f"The energy for {told}")
    return "Weights on the chip and off it."
