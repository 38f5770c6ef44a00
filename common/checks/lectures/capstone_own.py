"""Capstone, "Your own pipeline": a layer as gaps and values with fillers, and back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import as_array, call, pair, side_by_side
from common.checks.grading import NotYet
from common.checks.lectures import fill_in
from common.codec.gaps import encode_gaps_with_fillers

# (mask, indices, bits per gap): with and without fillers, several in a row, one directly at the start
_LAYERS = (
    ([[0, 1, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1]], [2, 0, 1], 2),
    ([[1, 1, 0], [0, 1, 0]], [0, 3, 1], 3),
    ([[0] * 11, [1] + [0] * 9 + [1]], [1, 0], 2),
)


def _own_gaps(positions, n_bits):
    gaps, is_filler = encode_gaps_with_fillers(np.asarray(positions), n_bits)
    return gaps.tolist(), is_filler.tolist()


def _to_entries(mask, indices, n_bits, encode_gaps):
    gaps, is_filler = encode_gaps(np.flatnonzero(mask), n_bits)
    values = np.zeros(len(gaps), dtype=int)
    values[~np.asarray(is_filler, dtype=bool)] = np.asarray(indices) + 1
    return np.asarray(gaps), values


@fill_in(own=_to_entries)
def to_entries(answer: Callable) -> str:
    """Gaps, and values with 0 at fillers and index + 1 elsewhere."""
    for rows, indices, n_bits in _LAYERS:
        mask, indices = np.array(rows, dtype=bool), np.array(indices)
        gaps, values = _to_entries(mask, indices, n_bits, _own_gaps)
        told = f"a {mask.shape[0]}×{mask.shape[1]} mask and gaps of {n_bits} bits"
        found = pair(call(answer, mask, indices, n_bits, _own_gaps, told=told), 2, "gaps and values")
        got = [as_array(each, what).ravel() for each, what in zip(found, ("gaps", "values"), strict=True)]
        picture = side_by_side({"mask": mask.astype(int)})
        if got[0].size != gaps.size or not np.array_equal(got[0], gaps):
            hint = "encode_gaps(np.flatnonzero(mask), n_bits) gives the gaps and which are fillers."
            raise NotYet(
                f"The gaps are {got[0].tolist()}, which is wrong for {told}.", hint=hint, picture=picture
            )
        if got[1].size != values.size:
            hint = "A filler has an entry in the values as well: 0."
            raise NotYet(f"{got[1].size} values for {gaps.size} gaps.", hint=hint, picture=picture)
        if not np.array_equal(got[1], values):
            hint = _hint_of_values(got[1], values, indices)
            raise NotYet(
                f"The values are {got[1].tolist()}, which is wrong for {told}.", hint=hint, picture=picture
            )
    return "Gaps and values of three layers, with fillers and without."


def _hint_of_values(got: np.ndarray, values: np.ndarray, indices: np.ndarray) -> str:
    if np.array_equal(got[values > 0], indices):
        return "Store index + 1: 0 is kept for fillers."
    if np.array_equal(np.flatnonzero(got == 0), np.flatnonzero(values == 0)):
        return "The indices belong to the entries that are not fillers, in their order."
    return "The value is 0 exactly where is_filler is True."


def _from_entries(gaps, values):
    cells = np.cumsum(np.asarray(gaps) + 1) - 1
    values = np.asarray(values)
    return cells[values > 0], values[values > 0] - 1


@fill_in(own=_from_entries)
def from_entries(answer: Callable) -> str:
    """Positions and indices of the kept weights, from gaps and values."""
    for rows, indices, n_bits in _LAYERS:
        mask = np.array(rows, dtype=bool)
        gaps, values = _to_entries(mask, indices, n_bits, _own_gaps)
        positions = np.flatnonzero(mask)
        told = f"gaps {gaps.tolist()} and values {values.tolist()}"
        found = pair(call(answer, gaps, values, told=told), 2, "positions and indices")
        got = [as_array(each, w).ravel() for each, w in zip(found, ("positions", "indices"), strict=True)]
        if not np.array_equal(got[0], positions):
            raise NotYet(
                f"The positions are {got[0].tolist()}, which is wrong for {told}.",
                hint=_hint_of_positions(got[0], positions, gaps, values),
            )
        if not np.array_equal(got[1], indices):
            right = np.array_equal(got[1], np.array(indices) + 1)
            hint = (
                "The index is value - 1: 0 is kept for fillers."
                if right
                else "Take the values of the kept weights, in their order."
            )
            raise NotYet(f"The indices are {got[1].tolist()}, which is wrong for {told}.", hint=hint)
    return "Positions and indices of three layers, with fillers and without."


def _hint_of_positions(got: np.ndarray, positions: np.ndarray, gaps: np.ndarray, values: np.ndarray) -> str:
    cells = np.cumsum(gaps + 1) - 1
    if np.array_equal(got, cells):
        return "Fillers have a cell too, but are not kept weights: leave out entries of value 0."
    if np.array_equal(got, cells[values > 0] + 1) or np.array_equal(got, cells + 1):
        return "The first entry of gap 0 stands at position 0: subtract 1."
    if np.array_equal(got, np.cumsum(gaps)[values > 0]) or np.array_equal(got, np.cumsum(gaps)):
        return "An entry takes a cell of its own: sum up gap + 1."
    kept = gaps[values > 0]
    if np.array_equal(got, np.cumsum(kept + 1) - 1):
        return "A filler's gap and its cell are passed, too: sum over *all* entries first."
    return "Each entry stands one cell behind its gap: a running sum of gap + 1, minus 1."
