"""The loops over positions, compiled by numba.

Nothing here checks a bound: `common.codec.gaps` and `common.codec.zones` check everything before. Positions
are ascending, so a row pointer that only moves forward replaces a division, and no array is as long as the
tensor. A *strand* is a pair (column, tap); its label is the sum of the two labels, or 0 where one of them is
0. The smallest sum of three labels is 3, so row label + strand label - 3 is the number of a zone.
"""

from __future__ import annotations

import numpy as np

from common.base.compiled import kernel
from common.codec.huffman_kernels import _trailing_zeros

_USUAL = 1 << 9  # distances below which a table replaces a division


@kernel
def _count_gap(counts, skip, passed, times):
    """Count the gaps, skips included, of `times` kept weights that each follow `passed` pruned ones."""
    if passed >= skip:
        counts[skip] += passed // skip * times
        passed %= skip
    counts[passed] += times


@kernel
def gap_counts(positions, narrowest, widest):
    """Return how often each gap occurs at each width: int64 of shape (widths, 2 ** widest).

    The usual distances are counted first, whatever the width: a position then costs no division.
    """
    counts = np.zeros((widest - narrowest + 1, 1 << widest), dtype=np.int64)
    distances = np.zeros(min(4 << widest, positions.size), dtype=np.int64)
    previous = -1
    for position in positions:
        passed = position - previous - 1
        if passed < distances.size:
            distances[passed] += 1
        else:
            for width in range(narrowest, widest + 1):
                _count_gap(counts[width - narrowest], (1 << width) - 1, passed, 1)
        previous = position
    for width in range(narrowest, widest + 1):
        for passed in range(distances.size):
            if distances[passed]:
                _count_gap(counts[width - narrowest], (1 << width) - 1, passed, distances[passed])
    return counts


@kernel
def law_counts(n_kept, n_cells, n_bits):
    """Return the 2 ** n_bits counts of gaps where all cells are kept with the same probability.

    They add up to about 2 ** 30; the last is that of the skip. The loop is that of the specification
    (`common.codec.container`, The geometric law).
    """
    counts = np.empty(1 << n_bits, dtype=np.int64)
    left = 1 << 30
    for gap in range(counts.size - 1):
        still = left * (n_cells - n_kept) // n_cells
        counts[gap] = max(left - still, 1)
        left = still
    counts[counts.size - 1] = max(left, 1)
    return counts


@kernel
def gap_symbols(positions, n_bits, gaps):
    """Fill `gaps` with the gaps before the positions, skips included."""
    skip = (1 << n_bits) - 1
    gaps[:] = skip
    n_skips_before = np.arange(_USUAL) // skip  # no division for usual distances
    previous, at = -1, 0
    for position in positions:
        passed = position - previous - 1
        n_skips = n_skips_before[passed] if passed < _USUAL else passed // skip
        at += n_skips
        gaps[at] = passed - n_skips * skip
        at += 1
        previous = position


@kernel
def gap_positions(gaps, n_bits, positions):
    """Fill `positions` from the gaps: one for every gap that is not a skip.

    A skip's place is written too, and overwritten by the next: which gaps are skips is chance, and a
    processor that guesses a branch wrong loses more time than a write takes. Skips at the end have no place.
    """
    skip = (1 << n_bits) - 1
    position, at = -1, 0
    for gap in gaps:
        is_kept = np.int64(gap != skip)
        position += np.int64(gap) + is_kept
        if at == positions.size:
            break
        positions[at] = position
        at += is_kept


@kernel
def axis_counts(positions, n_rows, n_columns, n_taps):
    """Return how many positions lie in each row, in each column and in each tap."""
    rows = np.zeros(n_rows, dtype=np.int64)
    strands = np.zeros(n_columns * n_taps, dtype=np.int64)
    row, row_start = 0, 0
    for position in positions:
        while position - row_start >= strands.size:
            row += 1
            row_start += strands.size
        rows[row] += 1
        strands[position - row_start] += 1
    by_tap = strands.reshape(n_columns, n_taps)
    return rows, by_tap.sum(axis=1), by_tap.sum(axis=0)


@kernel
def line_counts(positions, of_rows, of_strands, n_counts):
    """Return how often each sum `of_rows[row] + of_strands[strand]` occurs among the positions.

    The sums lie below `n_counts`. The caller chooses the two arrays so that a sum stands for a row (column,
    tap) and the labels of the other two axes at once.
    """
    counts = np.zeros(n_counts, dtype=np.int64)
    n_strands = of_strands.size
    row, row_start = 0, 0
    for position in positions:
        while position - row_start >= n_strands:
            row += 1
            row_start += n_strands
        counts[of_rows[row] + of_strands[np.uint64(position - row_start)]] += 1
    return counts


@kernel
def zone_counts(positions, row_labels, strand_labels, n_zones):
    """Return how many positions lie in each zone."""
    counts = np.zeros(n_zones, dtype=np.int64)
    n_strands = strand_labels.size
    row, row_start = 0, 0
    for position in positions:
        while position - row_start >= n_strands:
            row += 1
            row_start += n_strands
        counts[row_labels[row] + strand_labels[position - row_start] - 3] += 1
    return counts


@kernel
def zone_ranks(positions, row_labels, strand_labels, strand_ranks, n_of_label, ats, ranks):
    """Write each position's number within its zone to `ranks`, from `ats[zone]` on, which is advanced."""
    n_strands, n_zones = strand_labels.size, ats.size
    starts = np.zeros(n_zones, dtype=np.int64)
    row, row_start = 0, 0
    for position in positions:
        while position - row_start >= n_strands:
            if row_labels[row]:
                for zone in range(n_zones):
                    label = zone + 3 - row_labels[row]
                    if 0 <= label < n_of_label.size:
                        starts[zone] += n_of_label[label]
            row += 1
            row_start += n_strands
        strand = position - row_start
        zone = row_labels[row] + strand_labels[strand] - 3
        ranks[ats[zone]] = starts[zone] + strand_ranks[strand]
        ats[zone] += 1


@kernel
def zone_positions(ranks, zone, row_labels, n_of_label, label_starts, strands, n_strands):
    """Replace ascending numbers within a zone, all below its number of cells, by positions."""
    row, before, n_here = -1, 0, 0
    for i in range(ranks.size):
        while ranks[i] - before >= n_here:
            before += n_here
            row += 1
            label = zone + 3 - row_labels[row]
            n_here = n_of_label[label] if row_labels[row] and 0 <= label < n_of_label.size else 0
        ranks[i] = row * n_strands + strands[label_starts[label] + ranks[i] - before]


@kernel
def sort_positions(positions, marks):
    """Sort distinct positions in place: each sets its bit of `marks` (uint64, all 0), which are then read."""
    for position in positions:
        marks[position >> 6] |= np.uint64(1) << np.uint64(position & 63)
    at = 0
    for word in range(marks.size):
        left = marks[word]
        while left:  # x & -x keeps the lowest set bit alone
            lowest = left & (~left + np.uint64(1))
            positions[at] = word << 6 | _trailing_zeros(lowest)
            at += 1
            left ^= lowest


@kernel
def scatter(dense, positions, indices, codebook):
    """Write the value of each kept weight to its place."""
    for i in range(positions.size):
        dense[np.uint64(positions[i])] = codebook[indices[i]]
