"""Week 5, the end: gaps with fillers, and what a sparse layer costs in bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.calling import call, pair
from common.checks.comparing import as_array, expect
from common.checks.verdict import check


def _gaps(positions, n_bits, *, filler=True, once=False, over=0, first=-1, more=0, skips=False):
    """Gaps and fillers, with switches for what goes wrong."""
    most, at, gaps, fillers = 2**n_bits - 1, first, [], []
    for position in positions:
        gap = position - at - 1
        while filler and gap > most - over:
            gaps.append(most + more)
            fillers.append(True)
            gap -= most if skips else most + 1
            if once:
                break
        gaps.append(gap + more)
        fillers.append(False)
        at = position
    return gaps, fillers


@check(7, "encode_gaps")
def check_encode_gaps(answer: Callable) -> str:
    """(gaps, is_filler): zeros passed before each stored weight; where they are too many, fillers."""
    cases = (
        ([1, 4, 15], 3),  # the lecture's
        ([0, 8, 9, 40], 3),  # a gap that just fits, and one that takes several fillers
        ([2, 3, 5], 4),
        ([7, 15, 31], 2),
    )
    for positions, n_bits in cases:
        told = f"the positions {positions} and {n_bits} bits"
        got = pair(call(answer, np.array(positions), n_bits, told=told), 2, "gaps, is_filler")
        gaps, flags = as_array(got[0], "The list of gaps"), as_array(got[1], "The list of fillers")
        wanted, wanted_flags = _gaps(positions, n_bits)
        most = 2**n_bits - 1
        wrong = {
            "Distances, not gaps: between neighbours no zero is passed, and the gap is 0.":
                [_gaps(positions, n_bits, more=1), _gaps(positions, n_bits, filler=False, more=1)],
            f"Too large a gap: {n_bits} bits hold 0 to {most}, and what is larger needs a filler.":
                [_gaps(positions, n_bits, filler=False)],
            "One filler is not always enough: repeat until the rest fits.":
                [_gaps(positions, n_bits, once=True)],
            f"A filler too many: a gap of {most} just fits.": [_gaps(positions, n_bits, over=1)],
            "A filler stands in a cell of its own: it passes one more than its gap says.":
                [_gaps(positions, n_bits, skips=True)],
            "The first gap counts from the beginning: before position 2 there are two zeros.":
                [_gaps(positions, n_bits, first=0)],
        }  # fmt: skip
        suspects = [(hint, *(gaps for gaps, _ in variants)) for hint, variants in wrong.items()]
        cut = [min(gap, most) for gap in _gaps(positions, n_bits, filler=False)[0]]
        rest = [gap % (most + 1) for gap in _gaps(positions, n_bits, filler=False)[0]]
        suspects += [
            ("What does not fit is cut off, and the position is lost: put a filler before it.", cut, rest),
            ("The positions themselves: store how many zeros lie between.", positions),
        ]
        shown = {"positions": np.array(positions)}
        expect(gaps, wanted, suspects=suspects, what="The list of gaps", shown=shown)
        suspects = [
            ("The flags are turned round: True is a filler.", [not flag for flag in wanted_flags]),
            ("The filler comes *before* the weight that is too far.", wanted_flags[1:] + wanted_flags[:1]),
            ("No filler is marked: the decoder would take it for a weight.", [False] * len(wanted_flags)),
            ("A gap of the largest size is not always a filler: it may belong to a weight.",
             [gap == most for gap in wanted]),
        ]  # fmt: skip
        expect(flags, wanted_flags, suspects=suspects, what="The list of fillers", shown=shown)
    got = pair(call(answer, np.array([], dtype=int), 3, told="no positions"), 2, "gaps, is_filler")
    expect(np.size(as_array(got[0])), 0, what="The number of gaps of an empty layer")
    return "Gaps that fit, that just fit, and that need fillers; and an empty layer."


@check(8, "layer_bits")
def check_layer_bits(answer: Callable) -> str:
    """(bits with a bitmap, bits with gaps) of a layer, values included."""
    mask = np.zeros((4, 10), dtype=bool)
    mask.flat[[1, 4, 15, 38]] = True
    n, n_kept, value_bits, gap_bits = mask.size, 4, 5, 3
    n_gaps = len(_gaps(np.flatnonzero(mask), gap_bits)[0])
    got = call(answer, mask, value_bits, gap_bits, told="a 4×10 mask, 5-bit values, 3-bit gaps")
    bitmap, gaps = pair(got, 2, "bits with a bitmap, bits with gaps")
    suspects = [
        ("Only kept weights have a value: a bit for every weight, a value for each kept one.",
         n * (value_bits + 1)),
        ("The bitmap has a bit for *every* weight.", n_kept * (value_bits + 1), n_kept * value_bits),
        ("The values are missing.", n),
        ("Bytes, not bits.", (n + n_kept * value_bits) / 8),
    ]  # fmt: skip
    expect(bitmap, n + n_kept * value_bits, suspects=suspects, what="The size with a bitmap")
    suspects = [
        ("The fillers are missing: they are stored like weights.", n_kept * (value_bits + gap_bits)),
        ("A filler has a value too, 0: every entry takes value_bits + gap_bits.",
         n_kept * value_bits + n_gaps * gap_bits),
        ("The values are missing.", n_gaps * gap_bits),
        ("The bitmap is not needed when there are gaps.", n + n_gaps * (value_bits + gap_bits)),
        ("Bytes, not bits.", n_gaps * (value_bits + gap_bits) / 8),
        ("The rows are coded one by one: the positions run on through the whole layer, row after row.",
         sum(len(_gaps(np.flatnonzero(row), gap_bits)[0]) for row in mask) * (value_bits + gap_bits)),
    ]  # fmt: skip
    expect(gaps, n_gaps * (value_bits + gap_bits), suspects=suspects, what="The size with gaps")
    return "A small layer both ways, fillers counted."
