"""Which labels make a tensor's positions cheap: the writer's search (`common.zones` tells what labels are).

How many weights each row, column and tap keeps tells which are alike, but not how many labels pay, nor how
wide they are. So a few of both are tried, one axis after the other, and the bits are guessed: entropies, and
a round figure a zone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from common import sparse_index_kernels as kernels
from common.huffman import entropy_bits
from common.zones import axis_counts, can_label, labels_of

_N_LABELS = (1, 2, 3, 4, 6, 8)
_HALF_OCTAVES = (1, 2, 3)
_MANY = 1 << 22  # positions of which less is tried
_ZONE_BITS = 56  # coding, sizes, perhaps code lengths; a guess that steers the search


def candidates(positions: np.ndarray, sizes: tuple[int, int, int]) -> Iterator[list[np.ndarray] | None]:
    """Yield the labels to try: none, dead lines only, and the best guess of a search, axis by axis."""
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
    """Return the labels of the three axes with the best guess, or None where no labels are as good."""
    best = [np.ones(of_axis.size, dtype=np.uint8) for of_axis in counts]
    n_cells = math.prod(of_axis.size for of_axis in counts)
    least, is_plain = _guess_bits(np.array([positions.size]), np.array([n_cells])), True
    n_labels_to_try, widths = (_N_LABELS, _HALF_OCTAVES) if positions.size < _MANY else ((1, 3), (2,))
    for half_octaves in widths:
        for axis in (0, 1, 2, 0):
            if counts[axis].size == 1:
                continue  # its label, whatever it is, changes nothing
            lines = _Lines(positions, counts, best, axis)
            for n_labels in n_labels_to_try:
                guess = lines.guess_bits(n_labels, half_octaves)
                if guess < least:
                    best[axis] = labels_of(counts[axis], n_labels, half_octaves)
                    least, is_plain = guess, False
    return None if is_plain else best


class _Lines:
    """The rows (columns, taps) of one axis, while the labels of the other two stay.

    Lines that keep equally many weights have the same label and are taken together: so the positions are
    counted once, and what any labels cost follows from a small table.
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
        self.n_cells = np.convolve(*n_of_label)  # of a line, by the sum of the other labels, less 2
        self.label_bits = sum(entropy_bits(np.bincount(labels[k])) for k in range(3) if k != axis)
        self.n_kept = kernels.line_counts(
            positions,
            (lines[0], others[0]),
            (np.add.outer(lines[1], lines[2]).reshape(-1), np.add.outer(others[1], others[2]).reshape(-1)),
            (self.counts.size, self.n_cells.size),
        )

    def guess_bits(self, n_labels: int, half_octaves: int) -> int:
        """Return about how many bits all positions take when this axis gets such labels."""
        labels = labels_of(self.counts, n_labels, half_octaves)
        n_of_label = np.bincount(labels, weights=self.n_lines).astype(np.int64)
        cells = np.convolve(n_of_label[1:], self.n_cells)
        kept = np.zeros(cells.size, dtype=np.int64)
        for label in range(1, n_of_label.size):
            kept[label - 1 : label - 1 + self.n_cells.size] += self.n_kept[labels == label].sum(axis=0)
        return _guess_bits(kept, cells, self.label_bits + entropy_bits(n_of_label))


def _guess_bits(kept: np.ndarray, cells: np.ndarray, label_bits: float = 0.0) -> int:
    """Return about how many bits it takes to tell which cells of each zone are kept."""
    bits = label_bits + _ZONE_BITS * np.count_nonzero(kept)
    for part in (kept, cells - kept):
        bits += float((part * np.log2(np.maximum(cells, 1) / np.maximum(part, 1))).sum())
    return round(bits)
