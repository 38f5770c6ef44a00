"""Where the kept weights stand: positions as gaps, as in the Deep Compression paper (Han, Mao, Dally 2016, section 2).

A gap is the number of pruned weights that are passed before the next kept one, in `n_bits` bits. Where more than
2 ** n_bits - 2 are to be passed, the largest gap says so: it passes 2 ** n_bits - 1 of them and stands for no weight.

>>> encode_gaps(np.array([1, 4, 15]), 3).tolist()
[1, 2, 7, 3]
>>> decode_gaps(np.array([1, 2, 7, 3]), 3).tolist()
[1, 4, 15]

The paper does the same with a *filler*, a weight of zero that is stored like a kept one and stands in a cell itself:

>>> gaps, is_filler = encode_gaps_with_fillers(np.array([1, 4, 15]), 3)
>>> gaps.tolist(), is_filler.tolist()
([1, 2, 7, 2], [False, False, True, False])
"""

from __future__ import annotations

import numpy as np

MAX_GAP_BITS = 16


def encode_gaps(positions: np.ndarray, n_bits: int) -> np.ndarray:
    """Return the gaps before the positions, with an all-ones gap wherever a gap is too long.

    Parameters
    ----------
    positions : ndarray of shape (n_kept,)
        Integers, strictly ascending, not negative.
    n_bits : int
        Width of a gap, 1 to 16.

    Returns
    -------
    ndarray of shape (n_gaps,)
        uint16, below 2 ** n_bits; n_gaps >= n_kept.

    Raises
    ------
    ValueError
        When `n_bits` is out of range or the positions are not ascending.
    """
    passed = _passed(positions, n_bits)
    skip = (1 << n_bits) - 1
    n_skips, rest = np.divmod(passed, skip)
    gaps = np.full(positions.size + int(n_skips.sum()), skip, dtype=np.uint16)
    gaps[np.cumsum(n_skips + 1) - 1] = rest
    return gaps


def decode_gaps(gaps: np.ndarray, n_bits: int) -> np.ndarray:
    """Return the int64 positions that `encode_gaps` spelt; an all-ones gap stands for no weight.

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
    is_weight = gaps != skip
    return (np.cumsum(gaps.astype(np.int64)) + np.cumsum(is_weight) - 1)[is_weight]


def encode_gaps_with_fillers(positions: np.ndarray, n_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return gaps as the paper stores them: a filler takes a cell, and a weight of zero in the list of values.

    Returns
    -------
    gaps : ndarray of shape (n_stored,)
        uint16, below 2 ** n_bits: the paper's distances (figure 2) less one. Add up gap + 1 for the positions.
    is_filler : ndarray of shape (n_stored,)
        bool.

    Raises
    ------
    ValueError
        When `n_bits` is out of range or the positions are not ascending.
    """
    passed = _passed(positions, n_bits)
    n_fillers, rest = np.divmod(passed, 1 << n_bits)
    gaps = np.full(positions.size + int(n_fillers.sum()), (1 << n_bits) - 1, dtype=np.uint16)
    is_filler = np.ones(gaps.size, dtype=bool)
    weights = np.cumsum(n_fillers + 1) - 1
    gaps[weights] = rest
    is_filler[weights] = False
    return gaps, is_filler


def _passed(positions: np.ndarray, n_bits: int) -> np.ndarray:
    """Return how many pruned weights lie before each position."""
    _check_bits(n_bits)
    positions = np.asarray(positions)
    passed = np.diff(positions, prepend=-1) - 1
    if passed.size and int(passed.min()) < 0:
        raise ValueError("positions: got repeated, unsorted or negative ones, expected them strictly ascending")
    return passed


def _check_bits(n_bits: int) -> None:
    if not 1 <= n_bits <= MAX_GAP_BITS:
        raise ValueError(f"n_bits: got {n_bits}, expected 1 to {MAX_GAP_BITS}")
