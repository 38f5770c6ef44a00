"""The loop that spells a table of code lengths, compiled (specification: `common.container`).

It runs for every code that the writer considers, and most are only measured.
"""

from __future__ import annotations

import numpy as np

from common.huffman_kernels import kernel


@kernel
def spell_table(lengths):
    """Return a table of code lengths as bits: uint8, 0 or 1."""
    bits = np.zeros(8 * lengths.size, dtype=np.uint8)  # a run of n takes at most 6 bits and 2 * n
    at, start, previous = 0, 0, -1
    while start < lengths.size:
        length, stop = np.int64(lengths[start]), start + 1
        while stop < lengths.size and lengths[stop] == length:
            stop += 1
        if start == 0:
            value, n_bits = length, 4
        elif length == previous + 1:
            value, n_bits = 0b0, 1
        elif length == previous - 1:
            value, n_bits = 0b10, 2
        else:
            value, n_bits = 0b11 << 4 | length, 6
        n_digits = 1
        while (stop - start) >> n_digits:
            n_digits += 1
        gamma_bits = 2 * n_digits - 1
        value, n_bits = value << gamma_bits | (stop - start), n_bits + gamma_bits
        for k in range(n_bits):
            bits[at + k] = (value >> (n_bits - 1 - k)) & 1
        at += n_bits
        start, previous = stop, length
    return bits[:at]
