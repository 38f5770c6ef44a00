"""The code book of Huffman coding: from counts to code lengths, and from lengths to canonical codes.

>>> code_lengths([5, 1, 0, 2]).tolist()
[1, 2, 0, 2]
>>> canonical_codes([1, 2, 0, 2]).tolist()  # 0, 10 and 11
[0, 2, 0, 3]
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from common import huffman_kernels as kernels
from common.huffman_kernels import MAX_LENGTH

MAX_KINDS = 1 << 16


class HuffmanError(ValueError):
    """Code lengths that are no code, or bits that are not what the code and the sizes announce."""


def code_lengths(counts: ArrayLike, *, max_length: int = MAX_LENGTH) -> np.ndarray:
    """Return the optimal code lengths for the counts, none longer than `max_length`.

    Huffman's own code (1952); where that has longer ones, package-merge (Larmore and Hirschberg 1990, J. ACM
    37(3), A fast algorithm for optimal length-limited Huffman codes).

    Parameters
    ----------
    counts : array_like of shape (n_kinds,)
        Non-negative integers: how often each symbol occurs.
    max_length : int
        Longest code, in bits, 1 to 15.

    Returns
    -------
    ndarray of shape (n_kinds,)
        uint8; 0 for a symbol of count 0. Among equal counts the lower symbol has the shorter code.

    Raises
    ------
    ValueError
        When counts are no integers, or more symbols occur than `max_length` bits can tell apart.
    """
    counts = np.asarray(counts)
    if counts.size == 0:
        return np.zeros(0, dtype=np.uint8)
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or counts.min() < 0:
        raise ValueError(f"counts: got {counts.dtype} {counts.shape}, expected one axis of integers >= 0")
    if not 1 <= max_length <= MAX_LENGTH:
        raise ValueError(f"max_length: got {max_length}, expected 1 to {MAX_LENGTH}")
    counts = counts.astype(np.int64)
    lengths = np.zeros(counts.size, dtype=np.uint8)
    present = np.flatnonzero(counts)
    if present.size > 1 << max_length:
        raise ValueError(f"max_length: got {max_length} for {present.size} symbols, expected enough for all")
    if present.size <= 1:
        lengths[present] = 1
        return lengths
    rarest_first = present[np.lexsort((-present, counts[present]))]
    depths = kernels.huffman_depths(counts[rarest_first])
    if depths[0] > max_length:
        depths = _package_merge(counts[rarest_first], max_length)
    lengths[rarest_first] = depths
    return lengths


def _package_merge(leaves: np.ndarray, max_length: int) -> np.ndarray:
    """Return the limited code lengths of two or more ascending counts.

    Each list holds the leaves and the pairs of the list before, ascending; a leaf's length is the number of
    lists in which it is among those taken, 2n - 2 of the last list and two for every pair taken, list by
    list.
    """
    merged, leaf_flags = leaves, [np.ones(leaves.size, dtype=bool)]
    for _ in range(max_length - 1):
        packages = merged[: merged.size // 2 * 2].reshape(-1, 2).sum(axis=1)
        merged = np.concatenate([leaves, packages])
        order = np.argsort(merged, kind="stable")
        merged = merged[order]
        leaf_flags.append(order < leaves.size)
    lengths = np.zeros(leaves.size, dtype=np.uint8)
    n_taken = 2 * leaves.size - 2
    for flags in reversed(leaf_flags):
        n_leaves = int(np.count_nonzero(flags[:n_taken]))
        lengths[:n_leaves] += 1
        n_taken = 2 * (n_taken - n_leaves)
    return lengths


def check_lengths(lengths: ArrayLike) -> np.ndarray:
    """Return the lengths as uint8 of shape (n_kinds,) when they are a code.

    Raises
    ------
    HuffmanError
        When a length is above 15, or the Kraft sum is not exactly 1 (one symbol: its length is not 1).
    """
    lengths = np.asarray(lengths)
    if lengths.ndim != 1 or lengths.size > MAX_KINDS or (lengths.size and lengths.dtype.kind not in "iu"):
        raise HuffmanError(f"code lengths: got {lengths.dtype} of shape {lengths.shape}, "
                           f"expected one axis of at most {MAX_KINDS} integers")
    if lengths.size and not 0 <= int(lengths.min()) <= int(lengths.max()) <= MAX_LENGTH:
        raise HuffmanError(f"code lengths: got up to {lengths.max()}, expected 0 to {MAX_LENGTH}")
    used = lengths[lengths > 0].astype(np.int64)
    kraft = int((1 << (MAX_LENGTH - used)).sum())
    if used.size == 1 and used[0] != 1:
        raise HuffmanError(f"code lengths: got one symbol of {used[0]} bits, expected 1 bit")
    if used.size > 1 and kraft != 1 << MAX_LENGTH:
        raise HuffmanError(f"code lengths: got a Kraft sum of {kraft}/{1 << MAX_LENGTH}, expected exactly 1")
    return lengths.astype(np.uint8)


def canonical_codes(lengths: ArrayLike) -> np.ndarray:
    """Return the uint32 code of each symbol, of shape (n_kinds,); 0 where the length is 0.

    Raises
    ------
    HuffmanError
        When the lengths are no code.
    """
    lengths = check_lengths(lengths)
    by_code, first_codes, offsets = canonical_order(lengths)
    codes = np.zeros(lengths.size, dtype=np.uint32)
    ranks = np.arange(by_code.size) - offsets[lengths[by_code]]
    codes[by_code] = first_codes[lengths[by_code]] + ranks
    return codes


def canonical_order(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the used symbols in code order, and of each length the first code and its place there."""
    used = np.flatnonzero(lengths)
    by_code = used[np.argsort(lengths[used], kind="stable")]
    n_of_length = np.bincount(lengths[used], minlength=MAX_LENGTH + 1)
    first_codes = np.zeros(MAX_LENGTH + 1, dtype=np.int64)
    for length in range(1, MAX_LENGTH + 1):
        first_codes[length] = (first_codes[length - 1] + n_of_length[length - 1]) << 1
    return by_code, first_codes, np.cumsum(n_of_length) - n_of_length


def entropy_bits(counts: ArrayLike) -> float:
    """Return the Shannon bound: the fewest bits, on average, for a stream with these counts."""
    counts = np.asarray(counts, dtype=np.float64)
    counts = counts[counts > 0]
    return float((counts * np.log2(counts.sum() / counts)).sum()) + 0.0
