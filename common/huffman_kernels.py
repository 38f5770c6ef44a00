"""The loops of the Huffman coder, compiled by numba. `common.huffman` checks everything before it calls them.

A bit stream lies in 64-bit words, the first bit of the stream in the highest bit of the first word.
Nothing here checks a bound: the caller pads the words and counts the output, and the loops keep to both.

The decoder's table is looked up with the next bits of the stream, as many as the table is wide. An entry
holds every whole code that fits in those bits: up to six symbols (three, where a symbol takes two bytes) in
its low 48 bits, the bits they took in the next 8, and how many they are in the top 8. Zero symbols: the code
is longer than the table is wide.
"""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

MAX_LENGTH = 15
N_LANES = 4
LOOKUPS = 5  # of at most 12 bits each: five fit in a 64-bit window, and so do four and a code of 15 bits

_ZERO, _ONE, _SIX, _EIGHT = np.uint64(0), np.uint64(1), np.uint64(6), np.uint64(8)
_63, _64, _BYTE = np.uint64(63), np.uint64(64), np.uint64(0xFF)
_BITS_AT, _COUNT_AT, _PEEK_AT = np.uint64(48), np.uint64(56), np.uint64(64 - MAX_LENGTH)

kernel = numba.njit(cache=True, nogil=True, error_model="numpy")


@intrinsic
def _store(_context, array, at, value):
    """Write the 8 bytes of `value` over the elements from `at` on, whatever their alignment."""

    def codegen(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(64).as_pointer())
        builder.store(arguments[2], address, align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), codegen


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


@kernel
def _window(words, bit):
    """Return the 64 bits of the stream from `bit` on."""
    at, shift = bit >> 6, np.uint64(bit & 63)
    return (words[at] << shift) | ((words[at + 1] >> _ONE) >> (_63 - shift))


@kernel
def _one_symbol(window, limits, offsets, by_code):
    """Return the first symbol of the window and its bits; 0 bits where no code matches (one-symbol codes)."""
    peek = np.int64(window >> _PEEK_AT)
    length = 1
    while length <= MAX_LENGTH and peek >= limits[length]:
        length += 1
    if length > MAX_LENGTH:
        return np.int64(0), 0
    return np.int64(by_code[offsets[length] + (peek >> (MAX_LENGTH - length))]), length


@kernel
def decode_table(table_bits, symbol_bits, limits, offsets, by_code):
    """Return the decoder's table of 2 ** table_bits entries (the module's docstring tells their fields)."""
    table = np.empty(1 << table_bits, dtype=np.uint64)
    for i in range(table.size):
        window = np.uint64(i) << np.uint64(64 - table_bits)
        entry, n_bits, n_symbols = _ZERO, 0, 0
        while (n_symbols + 1) * symbol_bits <= 48:
            symbol, length = _one_symbol(window, limits, offsets, by_code)
            if length == 0 or n_bits + length > table_bits:
                break
            entry |= np.uint64(symbol) << np.uint64(n_symbols * symbol_bits)
            n_bits += length
            n_symbols += 1
            window <<= np.uint64(length)
        table[i] = entry | (np.uint64(n_bits) << _BITS_AT) | (np.uint64(n_symbols) << _COUNT_AT)
    return table


@kernel
def decode_lane(words, bit, end, out, at, stop, table, table_bits, limits, offsets, by_code):
    """Decode `out[at:stop]` from the bits [bit, end); return whether exactly those bits were a code each."""
    shift = np.uint64(64 - table_bits)
    while at + 8 <= stop and bit + MAX_LENGTH <= end:
        window = _window(words, bit)
        entry = table[window >> shift]
        count = np.int64(entry >> _COUNT_AT)
        if count:
            _store(out, at, entry)
            at += count
            bit += np.int64((entry >> _BITS_AT) & _BYTE)
        else:
            symbol, length = _one_symbol(window, limits, offsets, by_code)
            if length == 0:
                return False
            out[at] = symbol
            at += 1
            bit += length
    while at < stop:
        symbol, length = _one_symbol(_window(words, bit), limits, offsets, by_code)
        if length == 0 or bit + length > end:
            return False
        out[at] = symbol
        at += 1
        bit += length
    return bit == end


@kernel
def _step(table, window, shift, out, at):
    """One look-up: write its symbols; return the window moved on, the new `at`, and the entry."""
    entry = table[window >> shift]
    _store(out, at, entry)
    return window << ((entry >> _BITS_AT) & _BYTE), at + np.int64(entry >> _COUNT_AT), entry


@kernel
def _long_code(words, bit, out, at, limits, offsets, by_code):
    """Decode the symbol at `bit`, whose code is longer than the table is wide; return the new bit and at."""
    symbol, length = _one_symbol(_window(words, bit), limits, offsets, by_code)
    out[at] = symbol
    return bit + length, at + 1


@kernel
def decode_four(words, bits, ends, out, ats, stops, table, table_bits, limits, offsets, by_code):
    """Decode four lanes side by side until one is nearly done; move `bits` and `ats` on. For complete codes.

    Four look-ups that do not wait for each other keep the processor busy: about three times a single lane.
    """
    shift = np.uint64(64 - table_bits)
    most = LOOKUPS * (48 // (8 * out.itemsize))
    bit0, bit1, bit2, bit3 = bits[0], bits[1], bits[2], bits[3]
    at0, at1, at2, at3 = ats[0], ats[1], ats[2], ats[3]
    while True:
        rounds = min(
            min((stops[0] - at0 - 8) // most, (ends[0] - bit0) // 64),
            min((stops[1] - at1 - 8) // most, (ends[1] - bit1) // 64),
            min((stops[2] - at2 - 8) // most, (ends[2] - bit2) // 64),
            min((stops[3] - at3 - 8) // most, (ends[3] - bit3) // 64),
        )
        if rounds <= 0:
            break
        for _ in range(rounds):
            window0, window1 = _window(words, bit0), _window(words, bit1)
            window2, window3 = _window(words, bit2), _window(words, bit3)
            used0 = used1 = used2 = used3 = _ZERO
            entry0 = entry1 = entry2 = entry3 = _ZERO
            for _ in range(LOOKUPS):
                window0, at0, entry0 = _step(table, window0, shift, out, at0)
                window1, at1, entry1 = _step(table, window1, shift, out, at1)
                window2, at2, entry2 = _step(table, window2, shift, out, at2)
                window3, at3, entry3 = _step(table, window3, shift, out, at3)
                used0 += (entry0 >> _BITS_AT) & _BYTE
                used1 += (entry1 >> _BITS_AT) & _BYTE
                used2 += (entry2 >> _BITS_AT) & _BYTE
                used3 += (entry3 >> _BITS_AT) & _BYTE
            bit0, bit1 = bit0 + np.int64(used0), bit1 + np.int64(used1)
            bit2, bit3 = bit2 + np.int64(used2), bit3 + np.int64(used3)
            # An entry without symbols leaves its lane where it is: then the last entry is empty, too.
            if entry0 >> _COUNT_AT == _ZERO:
                bit0, at0 = _long_code(words, bit0, out, at0, limits, offsets, by_code)
            if entry1 >> _COUNT_AT == _ZERO:
                bit1, at1 = _long_code(words, bit1, out, at1, limits, offsets, by_code)
            if entry2 >> _COUNT_AT == _ZERO:
                bit2, at2 = _long_code(words, bit2, out, at2, limits, offsets, by_code)
            if entry3 >> _COUNT_AT == _ZERO:
                bit3, at3 = _long_code(words, bit3, out, at3, limits, offsets, by_code)
    bits[0], bits[1], bits[2], bits[3] = bit0, bit1, bit2, bit3
    ats[0], ats[1], ats[2], ats[3] = at0, at1, at2, at3
