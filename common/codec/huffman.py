"""Canonical Huffman codes: from counts to code lengths, and from symbols to bits and back.

A canonical code is known from its *lengths* alone: one per symbol, 0 for a symbol that does not occur. The
codes follow from them (shorter codes first, and among equal lengths the lower symbol first), so a file stores
lengths only.

>>> lengths = code_lengths([5, 1, 0, 2])
>>> lengths.tolist(), canonical_codes(lengths).tolist()  # the codes 0, 10 and 11
([1, 2, 0, 2], [0, 2, 0, 3])
>>> data, n_bits = encode(np.uint8([0, 3, 0, 1]), lengths)
>>> f"{data[0]:08b}", n_bits, decode(data, n_bits, 4, lengths).tolist()
('01101000', 6, [0, 3, 0, 1])

A stream is the codes in a row, the first bit in the highest bit of the first byte, the last byte filled with
zero bits. From `LANE_SYMBOLS` symbols on, three *entry points* go before it (uint32 each, little-endian: the
bits that the first, second and third quarter of the symbols take), so that a decoder can start at four places
at once; the bits themselves are the same.

Edge rules: no symbols give no bits. A code for one symbol has length 1 and spends one bit, 0, per symbol.
Every other code is complete: its Kraft sum, the sum of 2 ** -length, is 1, so that no bits are wasted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from common.codec import huffman_kernels as kernels
from common.codec.huffman_kernels import MAX_LENGTH, N_LANES

# ----------------------------------------------------------------------------------------------------
# The code book of Huffman coding: from counts to code lengths, and from lengths to canonical codes.

MAX_KINDS = 1 << 16


class HuffmanError(ValueError):
    """Code lengths that make no prefix code, or bits that are not as many whole codes as announced."""


def code_lengths(counts: ArrayLike, *, max_length: int = MAX_LENGTH) -> np.ndarray:
    """Return the optimal code lengths for the counts, none longer than `max_length`.

    Optimal: no other prefix code within the limit takes fewer bits in all. It is Huffman's code (1952); where
    that has codes above the limit, package-merge (Larmore and Hirschberg 1990, J. ACM 37(3), A fast algorithm
    for optimal length-limited Huffman codes).

    Parameters
    ----------
    counts : array_like of shape (n_kinds,)
        Non-negative integers: how often each symbol occurs.
    max_length : int
        Longest code, in bits, 1 to 15.

    Returns
    -------
    ndarray of shape (n_kinds,)
        uint8; 0 for a symbol of count 0. Among equal counts the lower symbol never has the longer code.

    Raises
    ------
    ValueError
        When counts are not integers >= 0 along one axis, their sum is 2 ** 62 or more, `max_length` is out of
        range, or more symbols occur than `max_length` bits can tell apart.
    """
    counts = np.asarray(counts)
    if counts.size == 0:
        return np.zeros(0, dtype=np.uint8)
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or counts.min() < 0:
        raise ValueError(f"counts: got {counts.dtype} {counts.shape}, expected one axis of integers >= 0")
    if not 1 <= max_length <= MAX_LENGTH:
        raise ValueError(f"max_length: got {max_length}, expected 1 to {MAX_LENGTH}")
    if counts.sum(dtype=np.float64) >= 2.0**62:
        raise ValueError(
            f"counts: got a sum of {counts.sum(dtype=np.float64):.3g}, expected less than 2 ** 62"
        )
    counts = counts.astype(np.int64)
    lengths = np.zeros(counts.size, dtype=np.uint8)
    present = np.flatnonzero(counts)
    if present.size > 1 << max_length:
        raise ValueError(
            f"max_length: got {max_length} for {present.size} symbols, expected enough for all: "
            f"at least {(present.size - 1).bit_length()}"
        )
    if present.size <= 1:
        lengths[present] = 1
        return lengths
    rarest_first = present[np.lexsort((-present, counts[present]))]
    depths = kernels.huffman_depths(counts[rarest_first])
    if depths[0] > max_length:  # the rarest symbol is the deepest leaf
        depths = _package_merge(counts[rarest_first], max_length)
    lengths[rarest_first] = depths
    return lengths


def _package_merge(leaves: np.ndarray, max_length: int) -> np.ndarray:
    """Return the limited code lengths of two or more ascending counts.

    List 1 holds the leaves, and each further list the leaves and the sums of the previous list's pairs, all
    ascending. From the last list the first 2n - 2 entries are taken; from each list before it, two for every
    pair taken from the list behind. A leaf's length is the number of lists in which it was taken.
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
    """Return the lengths as uint8 of shape (n_kinds,) when they make a code.

    Raises
    ------
    HuffmanError
        When they are not one axis of at most 65,536 integers from 0 to 15, or the Kraft sum is not exactly 1
        (for a single symbol: its length is not 1).
    """
    lengths = np.asarray(lengths)
    if lengths.ndim != 1 or lengths.size > MAX_KINDS or (lengths.size and lengths.dtype.kind not in "iu"):
        raise HuffmanError(
            f"code lengths: got {lengths.dtype} of shape {lengths.shape}, "
            f"expected one axis of at most {MAX_KINDS} integers"
        )
    if lengths.size and not 0 <= int(lengths.min()) <= int(lengths.max()) <= MAX_LENGTH:
        got = f"{lengths.min()} to {lengths.max()}"
        raise HuffmanError(f"code lengths: got {got}, expected 0 to {MAX_LENGTH}")
    used = lengths[lengths > 0].astype(np.int64)
    # The Kraft sum in units of 2 ** -15, so that it is an integer, and exact.
    kraft = int((1 << (MAX_LENGTH - used)).sum())
    if used.size == 1 and used[0] != 1:
        raise HuffmanError(f"code lengths: got one symbol of {used[0]} bits, expected 1 bit")
    if used.size > 1 and kraft != 1 << MAX_LENGTH:
        raise HuffmanError(f"code lengths: got a Kraft sum of {kraft}/{1 << MAX_LENGTH}, expected exactly 1")
    return lengths.astype(np.uint8)


def canonical_codes(lengths: ArrayLike) -> np.ndarray:
    """Return the code of each symbol: uint32 of shape (n_kinds,), 0 where the length is 0.

    A code's bits are the lowest `length` bits of its number: 2 of length 2 is the code 10.

    Raises
    ------
    HuffmanError
        When the lengths make no code.
    """
    return _codes_of(check_lengths(lengths))


def _codes_of(lengths: np.ndarray) -> np.ndarray:
    """Return the code of each symbol from lengths that were checked."""
    by_code, _, offsets, _ = kernels.code_book(lengths)
    codes = np.zeros(lengths.size, dtype=np.uint32)
    codes[by_code] = np.arange(by_code.size) - offsets[lengths[by_code]]
    return codes


def entropy_bits(counts: ArrayLike) -> float:
    """Return the Shannon bound, in bits, for a stream with these counts: their sum times their entropy.

    No code that spends whole bits on each symbol takes fewer.
    """
    counts = np.asarray(counts, dtype=np.float64)
    counts = counts[counts > 0]
    return float((counts * np.log2(counts.sum() / counts)).sum()) + 0.0


__all__ = [
    "HuffmanError",
    "canonical_codes",
    "check_lengths",
    "code_lengths",
    "coded_bytes",
    "decode",
    "encode",
    "entropy_bits",
]

LANE_SYMBOLS = 1 << 16
_ENTRY_POINTS = np.dtype("<u4")
_LONG_CODES = 5  # mean code length, in bits, from which narrow table entries are faster


def coded_bytes(n_bits: int, n_symbols: int) -> int:
    """Return the bytes of a stream of `n_bits` for `n_symbols`, entry points included."""
    return _entry_bytes(n_symbols) + (n_bits + 7) // 8


def _entry_bytes(n_symbols: int) -> int:
    return (N_LANES - 1) * _ENTRY_POINTS.itemsize if n_symbols >= LANE_SYMBOLS else 0


def _quarters(n_symbols: int) -> np.ndarray:
    """Return where the lanes' symbols begin and end: N_LANES + 1 int64."""
    return np.arange(N_LANES + 1, dtype=np.int64) * n_symbols // N_LANES


def encode(symbols: np.ndarray, lengths: ArrayLike) -> tuple[bytes, int]:
    """Encode the symbols with the canonical code of these lengths.

    Parameters
    ----------
    symbols : ndarray of shape (n_symbols,)
        uint8 or uint16.
    lengths : array_like of shape (n_kinds,)
        Code lengths, from `code_lengths`.

    Returns
    -------
    bytes
        The stream, `coded_bytes(n_bits, n_symbols)` long.
    int
        Payload bits: the sum of the symbols' lengths.

    Raises
    ------
    HuffmanError
        When the lengths make no code.
    ValueError
        When the symbols are not one axis of uint8 or uint16, or one of them has no code.
    """
    lengths = check_lengths(lengths)
    symbols = np.asarray(symbols)
    if symbols.ndim != 1 or symbols.dtype not in (np.uint8, np.uint16):
        got = f"{symbols.dtype} of shape {symbols.shape}"
        raise ValueError(f"symbols: got {got}, expected one axis of uint8 or uint16")
    if symbols.size == 0:
        return b"", 0
    used = np.flatnonzero(lengths)
    n_kinds = int(used[-1]) + 1 if used.size else 0
    lengths = lengths[:n_kinds]
    most = int(lengths.max(initial=1))
    # Where few kinds occur, the kernel looks up two symbols at a time, in a table of 4 ** n_bits pairs;
    # filling it pays for a stream at least as long.
    paired_bits = 0
    if symbols.itemsize == 1 and n_kinds <= kernels.PAIR_KINDS and most <= kernels.MOST_PAIRED:
        n_bits = max(n_kinds - 1, 1).bit_length()
        paired_bits = n_bits if symbols.size >= 1 << 2 * n_bits else 0
    head = _entry_bytes(symbols.size)
    out = np.empty(head + N_LANES * kernels.lane_bytes(symbols.size, most), dtype=np.uint8)
    data = kernels.as_bytes(symbols)
    codes = _codes_of(lengths)
    lane_bits = kernels.encode_lanes(data, symbols.itemsize, codes, lengths, paired_bits, most, head, out)
    if lane_bits[-1] < 0:
        has_code = np.append(lengths > 0, np.zeros(MAX_KINDS - n_kinds, dtype=bool))
        missing = int(symbols[~has_code[symbols]].min())
        raise ValueError(f"symbols: got {missing}, expected only symbols with a code; count them first")
    n_bits = int(lane_bits.sum())
    if head:
        out[:head].view(_ENTRY_POINTS)[:] = lane_bits[:-1]
    return out[: coded_bytes(n_bits, symbols.size)].tobytes(), n_bits


def decode(data: bytes, n_bits: int, n_symbols: int, lengths: ArrayLike) -> np.ndarray:
    """Decode `n_symbols` symbols from a stream that `encode` returned.

    Parameters
    ----------
    data : bytes-like
        The stream, `coded_bytes(n_bits, n_symbols)` long.
    n_bits, n_symbols : int
        Payload bits and number of symbols.
    lengths : array_like of shape (n_kinds,)
        The code lengths that `encode` was given.

    Returns
    -------
    ndarray of shape (n_symbols,)
        uint8, or uint16 for more than 256 kinds of symbols.

    Raises
    ------
    HuffmanError
        When the lengths make no code, the sizes do not fit, or the bits are not `n_symbols` whole codes.
    """
    lengths = np.array(lengths)
    if lengths.dtype != np.uint8 or lengths.ndim != 1 or lengths.size > MAX_KINDS:
        lengths = check_lengths(lengths)
    by_code, limits, offsets, kraft = kernels.code_book(lengths)
    n_used = by_code.size
    if kraft != 1 << MAX_LENGTH:  # not complete: no symbol or one only, or lengths that are refused here
        check_lengths(lengths)
    if not n_symbols <= n_bits <= n_symbols * MAX_LENGTH or (n_symbols > 0 and n_used == 0):
        raise HuffmanError(
            f"stream: got {n_bits} bits for {n_symbols} symbols of {n_used} kinds, "
            f"expected 1 to {MAX_LENGTH} bits per symbol"
        )
    if len(data) != coded_bytes(n_bits, n_symbols):
        raise HuffmanError(f"stream: got {len(data)} bytes, expected {coded_bytes(n_bits, n_symbols)}")
    out = np.empty(n_symbols, dtype=np.uint8 if lengths.size <= 256 else np.uint16)
    if n_symbols == 0:
        return out
    payload = np.frombuffer(data, dtype=np.uint8)[_entry_bytes(n_symbols) :]
    payload.flags.writeable = False  # as those of a bytes object: the kernels are compiled for this type only
    if n_bits % 8 and payload[-1] & (0xFF >> n_bits % 8):
        raise HuffmanError("stream: got set bits behind the last code, expected zero bits")
    table, table_bits = _decode_table(lengths, by_code, n_bits, n_symbols, out.itemsize)
    tables = table, table_bits, limits, offsets, by_code
    if n_symbols < LANE_SYMBOLS:
        bits, ats = np.array([0, n_bits], dtype=np.int64), np.array([0, n_symbols], dtype=np.int64)
        ends, stops = bits[1:], ats[1:]
    else:
        lane_bits = np.frombuffer(data, dtype=_ENTRY_POINTS, count=N_LANES - 1).astype(np.int64)
        bits = np.append(0, np.cumsum(lane_bits))
        if bits[-1] > n_bits:
            raise HuffmanError(f"stream: got entry points up to bit {bits[-1]}, expected at most {n_bits}")
        ats = _quarters(n_symbols)
        ends, stops = np.append(bits[1:], n_bits), ats[1:].copy()
        if n_used > 1:
            kernels.decode_four(payload, bits, ends, out, ats, stops, *tables)
    for bit, end, at, stop in zip(bits, ends, ats, stops, strict=False):
        if not kernels.decode_lane(payload, bit, end, out, at, stop, *tables):
            raise HuffmanError(f"stream: got {n_bits} bits, expected the codes of {n_symbols} symbols")
    return out


def _decode_table(
    lengths: np.ndarray, by_code: np.ndarray, n_bits: int, n_symbols: int, itemsize: int
) -> tuple[np.ndarray, int]:
    """Return the table that the decoding kernels look up, and its width in bits.

    The widest tables take 32 KiB, a processor's level-1 data cache. For a short stream, filling one would
    cost more than it saves, so it gets an entry for every two to four symbols.
    """
    is_narrow = itemsize == 1 and n_bits >= _LONG_CODES * n_symbols
    table_bits = min(13 if is_narrow else 12, max(n_symbols.bit_length() - 2, 1))
    table = np.empty(1 << table_bits, dtype=np.uint32 if is_narrow else np.uint64)
    kernels.fill_table(table, table_bits, 8 * itemsize, lengths, by_code)
    return table, table_bits
