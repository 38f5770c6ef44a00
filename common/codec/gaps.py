"""Positions of the kept weights as gaps, or relative indices (Deep Compression: Han et al. 2016, section 2).

Most weights are pruned, so the distance to the next kept one is a smaller number than its position, and takes
fewer bits. A gap is the number of pruned weights before the next kept one, in `n_bits` bits. Where a gap does
not fit, the largest value, 2 ** n_bits - 1, is a *skip*: it passes that many weights and stands for none.

>>> encode_gaps(np.array([1, 4, 15]), 3).tolist()
[1, 2, 7, 3]
>>> decode_gaps(np.array([1, 2, 7, 3]), 3).tolist()
[1, 4, 15]

The paper has *fillers* instead: weights of zero that are stored like kept ones, at a position of their own.

>>> gaps, is_filler = encode_gaps_with_fillers(np.array([1, 4, 15]), 3)
>>> gaps.tolist(), is_filler.tolist()
([1, 2, 7, 2], [False, False, True, False])
>>> (np.cumsum(gaps + 1) - 1).tolist()
[1, 4, 12, 15]

A filler costs a symbol in both Huffman-coded lists, gaps and values; a skip costs one in the gaps alone.
"""

from __future__ import annotations

import numpy as np

from common.codec import position_kernels as kernels
from common.codec.huffman import code_lengths

MAX_GAP_BITS = 16


def encode_gaps(positions: np.ndarray, n_bits: int) -> np.ndarray:
    """Return the gaps before the positions, with skips wherever a gap does not fit.

    Parameters
    ----------
    positions : ndarray of shape (n_kept,)
        Integers, strictly ascending, not negative.
    n_bits : int
        Width of a gap, 1 to 16.

    Returns
    -------
    ndarray of shape (n_gaps,)
        uint8, or uint16 for more than eight bits; below 2 ** n_bits. n_gaps counts the kept weights and the
        skips.

    Raises
    ------
    ValueError
        When `n_bits` is out of range or the positions are not ascending.
    """
    positions = _check_positions(positions, n_bits)
    return spell_gaps(positions, n_bits, int(kernels.gap_counts(positions, n_bits, n_bits).sum()))


def spell_gaps(positions: np.ndarray, n_bits: int, n_gaps: int) -> np.ndarray:
    """Return what `encode_gaps` returns, from positions that were checked and whose gaps were counted."""
    gaps = np.empty(n_gaps, dtype=np.uint8 if n_bits <= 8 else np.uint16)
    kernels.gap_symbols(positions, n_bits, gaps)
    return gaps


def decode_gaps(gaps: np.ndarray, n_bits: int) -> np.ndarray:
    """Return the int64 positions of shape (n_kept,) that `encode_gaps` encoded with the same `n_bits`.

    Raises
    ------
    ValueError
        When `n_bits` is out of range or a gap does not fit in it.
    """
    _check_bits(n_bits)
    gaps = np.asarray(gaps)
    skip = (1 << n_bits) - 1
    if gaps.size and not 0 <= int(gaps.min()) <= int(gaps.max()) <= skip:
        raise ValueError(f"gaps: got {gaps.min()} to {gaps.max()}, expected 0 to {skip} for n_bits={n_bits}")
    positions = np.empty(int(np.count_nonzero(gaps != skip)), dtype=np.int64)
    kernels.gap_positions(gaps, n_bits, positions)
    return positions


def encode_gaps_with_fillers(positions: np.ndarray, n_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return gaps as the paper stores them: a filler has a position, and a zero in the list of values.

    Parameters
    ----------
    positions : ndarray of shape (n_kept,)
        Integers, strictly ascending, not negative.
    n_bits : int
        Width of a gap, 1 to 16.

    Returns
    -------
    gaps : ndarray of shape (n_stored,)
        uint16, below 2 ** n_bits: the distances of the paper's figure 2 less one. The stored positions,
        fillers included, are ``np.cumsum(gaps + np.int64(1)) - 1``.
    is_filler : ndarray of shape (n_stored,)
        bool, True where a gap leads to a filler.

    Raises
    ------
    ValueError
        When `n_bits` is out of range or the positions are not ascending.
    """
    positions = _check_positions(positions, n_bits)
    n_fillers, rest = np.divmod(np.diff(positions, prepend=-1) - 1, 1 << n_bits)
    gaps = np.full(positions.size + int(n_fillers.sum()), (1 << n_bits) - 1, dtype=np.uint16)
    is_filler = np.ones(gaps.size, dtype=bool)
    weights = np.cumsum(n_fillers + 1) - 1
    gaps[weights] = rest
    is_filler[weights] = False
    return gaps, is_filler


def law_lengths(n_kept: int, n_cells: int, n_bits: int) -> np.ndarray:
    """Return code lengths for the gaps of `n_kept` weights scattered at random over `n_cells` cells.

    Where every cell is kept with the same probability p, a gap of g has the probability p * (1 - p) ** g: the
    geometric distribution, whose Huffman codes are Golomb's (Gallager and Van Voorhis 1975, IEEE Trans. Inf.
    Theory 21(2)). Reader and writer both compute the lengths, so the file spends no bits on them. They are
    computed with integers, so that every machine gets the same.

    Parameters
    ----------
    n_kept, n_cells : int
        Kept weights and all weights, 1 <= n_kept <= n_cells; p is their quotient.
    n_bits : int
        Width of a gap; the largest, 2 ** n_bits - 1, is a skip.

    Returns
    -------
    ndarray of shape (2 ** n_bits,)
        uint8; every gap has a code.

    >>> law_lengths(1, 2, 3).tolist()
    [1, 2, 3, 4, 5, 6, 7, 7]
    """
    return code_lengths(kernels.law_counts(n_kept, n_cells, n_bits))


def _check_positions(positions: np.ndarray, n_bits: int) -> np.ndarray:
    """Return the positions as int64; raise ValueError unless they are ascending."""
    _check_bits(n_bits)
    positions = np.asarray(positions)
    if positions.size and positions.dtype.kind not in "iu":
        raise ValueError(f"positions: got {positions.dtype}, expected integers")
    positions = positions.astype(np.int64, copy=False)
    if positions.size and (positions[0] < 0 or (positions[1:] <= positions[:-1]).any()):
        raise ValueError("positions: got repeated, unsorted or negative ones, expected them ascending")
    return positions


def _check_bits(n_bits: int) -> None:
    if not 1 <= n_bits <= MAX_GAP_BITS:
        raise ValueError(f"n_bits: got {n_bits}, expected 1 to {MAX_GAP_BITS}")
