"""The loops that count symbols, build Huffman's tree and spell, compiled by numba; for `common.huffman`.

The bits are gathered in 64-bit words, the first bit of the stream in the highest bit of the first word.
Nothing here checks a bound: the caller checks everything and sizes the words.
"""

from __future__ import annotations

import numba
import numpy as np

MAX_LENGTH = 15

_ZERO, _ONE, _SIX, _EIGHT = np.uint64(0), np.uint64(1), np.uint64(6), np.uint64(8)
_63, _64, _BYTE = np.uint64(63), np.uint64(64), np.uint64(0xFF)

kernel = numba.njit(cache=True, nogil=True, error_model="numpy")


@kernel
def count_symbols(symbols, n_kinds):
    """Return the int64 count of each symbol below `n_kinds`; four tables, so that repeats do not wait."""
    counts = np.zeros((4, n_kinds), dtype=np.int64)
    whole = symbols.size - symbols.size % 4
    for i in range(0, whole, 4):
        counts[0, symbols[i]] += 1
        counts[1, symbols[i + 1]] += 1
        counts[2, symbols[i + 2]] += 1
        counts[3, symbols[i + 3]] += 1
    for i in range(whole, symbols.size):
        counts[0, symbols[i]] += 1
    return counts.sum(axis=0)


@kernel
def huffman_depths(counts):
    """Return the depth of each leaf of Huffman's tree over two or more ascending counts.

    Huffman 1952 with two queues, leaves and joined nodes, both ascending by themselves (van Leeuwen 1976):
    the two least of both are joined; a leaf goes first where they are equal, which keeps the tree shallow.
    """
    n = counts.size
    weights = np.empty(2 * n - 1, dtype=np.int64)
    weights[:n] = counts
    parents = np.empty(2 * n - 1, dtype=np.int64)
    leaf, joined = 0, n
    for node in range(n, 2 * n - 1):
        weights[node] = 0
        for _ in range(2):
            if leaf < n and (joined >= node or weights[leaf] <= weights[joined]):
                least = leaf
                leaf += 1
            else:
                least = joined
                joined += 1
            weights[node] += weights[least]
            parents[least] = node
    depths = np.zeros(2 * n - 1, dtype=np.int64)
    for node in range(2 * n - 3, -1, -1):
        depths[node] = depths[parents[node]] + 1
    return depths[:n]


@kernel
def pair_codes(codes, lengths):
    """Return the code of every pair of symbols a, b, at a * n_kinds + b: code << 8 | bits."""
    n_kinds = codes.size
    pairs = np.empty(n_kinds * n_kinds, dtype=np.uint64)
    for a in range(n_kinds):
        for b in range(n_kinds):
            length = np.uint64(lengths[b])
            code = (np.uint64(codes[a]) << length) | np.uint64(codes[b])
            pairs[a * n_kinds + b] = (code << _EIGHT) | (np.uint64(lengths[a]) + length)
    return pairs


@kernel
def _append(words, at, word, used, code, length):
    """Append the `length` (1 to 60) low bits of `code`; return the new at, word, used. Free of branches."""
    aligned = code << (_64 - length)
    filled = word | (aligned >> used)
    words[at] = filled
    total = used + length
    rest = (aligned << _ONE) << (_63 - used)
    is_full = total >> _SIX
    return at + np.int64(is_full), rest if is_full else filled, total & _63


@kernel
def encode_pairs(symbols, codes, lengths, words):
    """Write the codes of the symbols, four to a step."""
    n_kinds = codes.size
    pairs = pair_codes(codes, lengths)
    at, word, used = 0, _ZERO, _ZERO
    whole = symbols.size - symbols.size % 4
    for i in range(0, whole, 4):
        first = pairs[np.int64(symbols[i]) * n_kinds + np.int64(symbols[i + 1])]
        second = pairs[np.int64(symbols[i + 2]) * n_kinds + np.int64(symbols[i + 3])]
        length = second & _BYTE
        code = ((first >> _EIGHT) << length) | (second >> _EIGHT)
        at, word, used = _append(words, at, word, used, code, (first & _BYTE) + length)
    for i in range(whole, symbols.size):
        symbol = symbols[i]
        at, word, used = _append(words, at, word, used, np.uint64(codes[symbol]), np.uint64(lengths[symbol]))
    words[at] = word


@kernel
def encode_singles(symbols, codes, lengths, words):
    """Write the codes of the symbols, one to a step: for alphabets whose pairs would not pay their table."""
    at, word, used = 0, _ZERO, _ZERO
    for i in range(symbols.size):
        symbol = symbols[i]
        at, word, used = _append(words, at, word, used, np.uint64(codes[symbol]), np.uint64(lengths[symbol]))
    words[at] = word
