"""A tensor's cells, grouped into zones of about the same density of kept weights.

Pruned networks are uneven: some filters and some channels keep many weights, others few or none, and gaps are
short where many are kept. A code for both kinds of places suits neither. So each row, column and tap of a
weight tensor (of shape (rows, columns, ...); taps are all further axes together) gets a *label*: 0 where
nothing is kept, otherwise 1, 2, ..., one more for each factor of 2 (or of 2 ** 0.5, or 2 ** 1.5) by which it
keeps more. The cells whose three labels have the same sum make up a *zone*. A zone's cells are numbered in
row-major order, and its kept weights are encoded on their own, with a code of their own. Cells with a label 0
are in no zone and cost nothing.

Labels are logarithms, so their sum stands for the product of a row's, a column's and a tap's density.

Below, a *line* is a row, a column or a tap, whichever axis is meant, and a *strand* is a pair (column, tap).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from common.codec import position_kernels as kernels
from common.codec.huffman import entropy_bits

MAX_LABEL = 8
_MAX_LABELLED = 1 << 20


def axis_sizes(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return (rows, columns, taps): the first axis, the second, and all the others together.

    >>> axis_sizes((64, 32, 3, 3)), axis_sizes((10, 512)), axis_sizes((7,))
    ((64, 32, 9), (10, 512, 1), (1, 7, 1))
    """
    if len(shape) < 2:
        return 1, math.prod(shape), 1
    return shape[0], shape[1], math.prod(shape[2:])


def can_label(sizes: tuple[int, int, int]) -> bool:
    """Return whether the axes are short enough for labels: at most 2 ** 20 rows, and as many strands."""
    return sizes[0] <= _MAX_LABELLED and sizes[1] * sizes[2] <= _MAX_LABELLED


def axis_counts(positions: np.ndarray, sizes: tuple[int, int, int]) -> list[np.ndarray]:
    """Return how many of the positions lie in each row, column and tap: three int64 arrays, one per axis."""
    return list(kernels.axis_counts(positions, *sizes))


def labels_of(counts: np.ndarray, n_labels: int, half_octaves: int) -> np.ndarray:
    """Return the label of each row (column, tap) from how many weights it keeps.

    The fullest has label `n_labels`. Each factor of 2 ** (half_octaves / 2) below it lowers the label by one,
    down to 1; where nothing is kept the label is 0. The bounds are integers, so that every machine finds the
    same.

    Parameters
    ----------
    counts : ndarray of shape (n,)
        Kept weights, integers >= 0.
    n_labels : int
        Number of labels beside 0, 1 to `MAX_LABEL`.
    half_octaves : int
        Width of a label: 2 for a factor of 2, 1 for a factor of 2 ** 0.5.

    Returns
    -------
    ndarray of shape (n,)
        uint8, 0 to n_labels.

    >>> labels_of(np.array([0, 100, 51, 50, 3]), 3, 2).tolist()
    [0, 3, 3, 2, 1]
    """
    most = int(counts.max(initial=0))
    lines = [math.isqrt(most**2 >> (half_octaves * k)) for k in range(n_labels - 1, 0, -1)]
    return (np.searchsorted(np.array(lines, dtype=np.int64), counts) + 1).astype(np.uint8) * (counts > 0)


def keep_probability(mask: np.ndarray) -> np.ndarray:
    """Return the probability that each cell is kept, from how many weights its row, column and tap keep.

    The three are taken as independent, as the sum of labels takes them: row count times column count times
    tap count over the squared total. Lines with the same label (`labels_of`, factors of 2) get the mean of
    their counts: the differences within a label are chance, which no label describes.

    Parameters
    ----------
    mask : bool ndarray of any shape
        True = kept.

    Returns
    -------
    float64 ndarray of the mask's shape, in [0, 1]
    """
    cube = mask.reshape(axis_sizes(mask.shape))
    n_kept = max(int(cube.sum()), 1)
    rows, columns, taps = (_label_means(cube.sum(axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    expected = rows[:, None, None] / n_kept * (columns[:, None] / n_kept * taps)
    return np.minimum(expected, 1.0).reshape(mask.shape)


def _label_means(counts: np.ndarray) -> np.ndarray:
    """Return the counts, each replaced by the mean of all that have the same label."""
    labels = labels_of(counts, MAX_LABEL, 2)
    return (np.bincount(labels, counts) / np.maximum(np.bincount(labels), 1))[labels]


def place_bits(mask: np.ndarray) -> np.ndarray:
    """Estimate, for each cell, how many bits it takes to store the position of a weight kept there.

    A cell that is kept with probability p takes H(p) bits, kept or not (H is the binary entropy), so a kept
    weight takes H(p) / p. Where a row, column or tap keeps nothing, p counts as 1 / size.

    Parameters
    ----------
    mask : bool ndarray of any shape

    Returns
    -------
    float64 ndarray of the mask's shape, >= 0
    """
    p = np.maximum(keep_probability(mask), 1.0 / max(mask.size, 2))
    q = np.maximum(1.0 - p, 1e-12)
    return (-p * np.log2(p) - q * np.log2(q)) / p


class Zones:
    """The zones that labels make, and the number of each cell within its zone.

    Parameters
    ----------
    row_labels, column_labels, tap_labels : ndarray of uint8
        A label of 0 to `MAX_LABEL` for each row, column and tap.

    Attributes
    ----------
    n_zones : int
        Number of zones, some of which may have no cells; zone z has the sum of labels z + 3.
    n_cells : ndarray of shape (n_zones,)
        Cells of each zone.
    """

    def __init__(self, row_labels: np.ndarray, column_labels: np.ndarray, tap_labels: np.ndarray) -> None:
        self.row_labels = row_labels
        strands = np.add.outer(column_labels, tap_labels)
        strands[column_labels == 0] = 0
        strands[:, tap_labels == 0] = 0
        self._strand_labels = strands.reshape(-1)
        self._n_of_label = np.bincount(self._strand_labels, minlength=3)
        self._n_of_label[0] = 0
        self.n_zones = max(int(row_labels.max(initial=0)) + self._n_of_label.size - 3, 0)
        n_rows = np.bincount(row_labels, minlength=2)[1:]
        # Rows of label a and strands of label b make n_a * n_b cells of zone a + b - 3: a convolution.
        self.n_cells = np.convolve(n_rows, self._n_of_label[2:])[: self.n_zones]

    def counts(self, positions: np.ndarray) -> np.ndarray:
        """Return how many positions lie in each zone, int64 of shape (n_zones,)."""
        return kernels.zone_counts(positions, self.row_labels, self._strand_labels, self.n_zones)

    def ranks(self, positions: np.ndarray) -> list[np.ndarray]:
        """Return for each zone the numbers, within the zone and ascending, of the positions that lie in it.

        Parameters
        ----------
        positions : ndarray of shape (n_kept,)
            int64, ascending, none in a cell with a label 0.
        """
        edges = np.concatenate([[0], np.cumsum(self.counts(positions))])
        ranks = np.empty(positions.size, dtype=np.int64)
        _, strand_ranks = self._strand_order
        labels, ats = (self.row_labels, self._strand_labels), edges[:-1].copy()
        kernels.zone_ranks(positions, *labels, strand_ranks, self._n_of_label, ats, ranks)
        return [ranks[edges[zone] : edges[zone + 1]] for zone in range(self.n_zones)]

    def locate_(self, zone: int, ranks: np.ndarray) -> None:
        """Replace numbers within a zone, ascending and below `n_cells[zone]`, by positions, in place."""
        n_of_label = self._n_of_label
        strands, _ = self._strand_order
        starts = np.cumsum(n_of_label) - n_of_label
        kernels.zone_positions(ranks, zone, self.row_labels, n_of_label, starts, strands, strands.size)

    @cached_property
    def _strand_order(self) -> tuple[np.ndarray, np.ndarray]:
        """All strands by label, those of label 0 last, and the place of each among those of its label."""
        order = np.argsort(np.where(self._strand_labels == 0, 255, self._strand_labels), kind="stable")
        starts = np.cumsum(self._n_of_label) - self._n_of_label
        places = np.empty(order.size, dtype=np.int64)
        places[order] = np.arange(order.size)
        return order, places - starts[self._strand_labels]


# ----------------------------------------------------------------------------------------------------
# The writer's search for the labels that make a tensor's positions take the fewest bits.
#
# The counts of kept weights show which rows, columns and taps are alike, but not how many labels to use, nor
# how wide each should be. So a few of both are tried, one axis after the other. The bits are estimated, not
# measured: entropies, and a fixed cost per zone.

_N_LABELS = (1, 2, 3, 4, 6, 8)
_HALF_OCTAVES = (1, 2, 3)
_MANY = 1 << 22  # positions from which fewer labels are tried
_ZONE_BITS = 56  # coding, sizes, perhaps code lengths of a zone: a rough guess, which only steers the search


def candidates(positions: np.ndarray, sizes: tuple[int, int, int]) -> Iterator[list[np.ndarray] | None]:
    """Yield the labels to try: none (one zone); 0 for empty lines, 1 for others; those of a search."""
    yield None
    if positions.size == 0 or not can_label(sizes):
        return
    counts = axis_counts(positions, sizes)
    dead_only = [labels_of(of_axis, 1, 2) for of_axis in counts]
    if any((of_axis == 0).any() for of_axis in dead_only):
        yield dead_only
    best = _search(positions, counts)
    if best is not None:
        yield best


def _search(positions: np.ndarray, counts: list[np.ndarray]) -> list[np.ndarray] | None:
    """Return the labels of the three axes with the lowest estimate, or None where none beat a single zone."""
    best = [np.ones(of_axis.size, dtype=np.uint8) for of_axis in counts]
    n_cells = math.prod(of_axis.size for of_axis in counts)
    least, is_plain = _guess_bits(np.array([positions.size]), np.array([n_cells])), True
    n_labels_to_try, widths = (_N_LABELS, _HALF_OCTAVES) if positions.size < _MANY else ((1, 3), (2,))
    lines_of: dict[tuple[int, bytes], _Lines] = {}  # they cost most, and few labels change between widths
    for half_octaves in widths:
        for axis in (0, 1, 2, 0):
            if counts[axis].size == 1:
                continue  # its label, whatever it is, changes nothing
            others = b"".join(best[other].tobytes() for other in range(3) if other != axis)
            if (axis, others) not in lines_of:
                lines_of[axis, others] = _Lines(positions, counts, best, axis)
            lines = lines_of[axis, others]
            for n_labels in n_labels_to_try:
                guess = lines.guess_bits(n_labels, half_octaves)
                if guess < least:
                    best[axis] = labels_of(counts[axis], n_labels, half_octaves)
                    least, is_plain = guess, False
    return None if is_plain else best


class _Lines:
    """The lines of one axis, while the labels of the other two axes are fixed.

    Lines that keep equally many weights always get the same label, so they are counted together. The
    positions are counted once, and the cost of any labels follows from a small table.
    """

    def __init__(
        self, positions: np.ndarray, counts: list[np.ndarray], labels: list[np.ndarray], axis: int
    ) -> None:
        self.counts, which, self.n_lines = np.unique(counts[axis], return_inverse=True, return_counts=True)
        lines = [np.zeros(of_axis.size, dtype=np.int64) for of_axis in counts]
        lines[axis] = which
        others = [of_axis.astype(np.int64) - 1 for of_axis in labels]
        others[axis][:] = 0
        n_of_label = [np.bincount(of_axis)[1:] for k, of_axis in enumerate(labels) if k != axis]
        self.n_cells = np.convolve(*n_of_label)  # of one line, by the sum of the other two labels, less 2
        self.label_bits = sum(entropy_bits(np.bincount(labels[k])) for k in range(3) if k != axis)
        # A cell's line and the sum of its other labels as one number: line * sums + sum, added up from parts.
        n_sums = self.n_cells.size
        parts = [of_axis * n_sums + of_others for of_axis, of_others in zip(lines, others, strict=True)]
        of_strands = np.add.outer(parts[1], parts[2]).reshape(-1)
        n_kept = kernels.line_counts(
            positions, parts[0].astype(np.int32), of_strands.astype(np.int32), self.counts.size * n_sums
        )
        # How many weights the first n lines keep, by sum: a label's lines stand side by side, in their order.
        self.n_kept = np.zeros((self.counts.size + 1, n_sums), dtype=np.int64)
        np.cumsum(n_kept.reshape(self.counts.size, n_sums), axis=0, out=self.n_kept[1:])

    def guess_bits(self, n_labels: int, half_octaves: int) -> int:
        """Return about how many bits all positions take when this axis gets `n_labels` labels this wide."""
        labels = labels_of(self.counts, n_labels, half_octaves)
        n_of_label = np.bincount(labels, weights=self.n_lines).astype(np.int64)
        cells = np.convolve(n_of_label[1:], self.n_cells)
        kept = np.zeros(cells.size, dtype=np.int64)
        edges = np.searchsorted(labels, np.arange(1, n_of_label.size + 1))
        for label, of_sum in enumerate(self.n_kept[edges[1:]] - self.n_kept[edges[:-1]]):
            kept[label : label + self.n_cells.size] += of_sum
        return _guess_bits(kept, cells, self.label_bits + entropy_bits(n_of_label))


def _guess_bits(kept: np.ndarray, cells: np.ndarray, label_bits: float = 0.0) -> int:
    """Return about how many bits say which cells of each zone are kept: cells * H(kept / cells) per zone."""
    bits = label_bits + _ZONE_BITS * np.count_nonzero(kept)
    for part in (kept, cells - kept):
        bits += float((part * np.log2(np.maximum(cells, 1) / np.maximum(part, 1))).sum())
    return round(bits)
