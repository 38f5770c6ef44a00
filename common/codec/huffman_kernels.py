"""The loops of `common.codec.huffman`, compiled: count symbols, build Huffman's tree, encode, decode.

The bits are gathered in 64-bit words, the first bit of the stream in the highest bit of the first word.
Nothing here checks a bound: the caller checks everything and sizes the words.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from common.base.compiled import kernel

MAX_LENGTH = 15

_ZERO, _ONE, _SIX, _EIGHT = np.uint64(0), np.uint64(1), np.uint64(6), np.uint64(8)
_63, _64, _BYTE = np.uint64(63), np.uint64(64), np.uint64(0xFF)


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


# ----------------------------------------------------------------------------------------------------
# The loops that read a Huffman stream; `common.codec.huffman` checks everything before.
#
# The decoder looks up the next bits of the stream, as many as its table is wide, in a table whose entry holds
# every whole code that fits in them: the bits that these take (lowest byte), their symbols, and how many they
# are (highest byte). No symbol: the code is longer than the table is wide, or none.
#
#     wide entries, 8 bytes     six symbols of one byte, or three of two: for codes that are short on average
#     narrow entries, 4 bytes   two symbols of one byte: for long codes, of which hardly three fit anyway; the
#                               table takes half the cache, so that it may be wider
# A *window* is the next 57 bits of the stream or more, from one load, and below them a set bit that no
# look-up reaches: moved up with the rest, it tells in the end how many bits were taken.
#
# Symbols are written 8 bytes at a time, so a loop stops that far from the end of its output. Nothing here
# checks another bound.

N_LANES = 4
LOOKUPS = 4  # in a window of 57 bits: tables are at most 14 bits wide

_56 = np.uint64(56)
_WINDOW = 64
_STORE = 8
_MOST = LOOKUPS * 6  # symbols of a window


@intrinsic
def _store(_context, array, at, value):
    """Write the 8 bytes of `value` over the elements from `at` on, whatever their alignment."""

    def codegen(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(64).as_pointer())
        builder.store(arguments[2], address, align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), codegen


@intrinsic
def _load(_context, array, at):
    """Return the 8 bytes from `at` on, the first in the highest bits."""

    def codegen(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(64).as_pointer())
        return builder.bswap(builder.load(address, align=1))

    return types.uint64(array, types.int64), codegen


@intrinsic
def _trailing_zeros(_context, value):
    """Return how many low bits are 0; one must be set."""

    def codegen(_context, builder, _signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), codegen


@kernel
def fill_table(table, table_bits, symbol_bits, lengths, by_code):
    """Fill the 2 ** table_bits entries of the decoder's table.

    First each entry gets its first symbol: in the order of codes, a code of n bits owns the next
    2 ** (table_bits - n) entries. Then its other symbols are those that begin where the first one ends.
    """
    firsts = np.zeros(table.size, dtype=np.int64)  # symbol << 8 | bits; 0 where the code does not fit
    at = 0
    for symbol in by_code:
        length = np.int64(lengths[symbol])
        if length > table_bits:
            break
        n_owned = 1 << (table_bits - length)
        firsts[at : at + n_owned] = np.int64(symbol) << 8 | length
        at += n_owned
    room = 8 * table.itemsize - 16
    for i in range(table.size):
        entry, n_bits, n_symbols = np.int64(0), np.int64(0), np.int64(0)
        while (n_symbols + 1) * symbol_bits <= room:
            first = firsts[(i << n_bits) & (table.size - 1)]
            if first == 0 or n_bits + (first & 0xFF) > table_bits:
                break
            entry |= first >> 8 << (8 + n_symbols * symbol_bits)
            n_bits += first & 0xFF
            n_symbols += 1
        table[i] = entry | n_bits | n_symbols << (room + 8)


@kernel
def _step(table, window, shift, out, at):
    """One look-up: write its symbols; return the window moved on, the new `at`, and how many they were."""
    entry = np.uint64(table[window >> shift])
    _store(out, at, entry >> _EIGHT | entry << _56)  # rotated: an instruction less than shifted
    count = np.int64(entry >> np.uint64(8 * table.itemsize - 8))
    return window << (entry & _63), at + count, count


@kernel
def _window(data, bit):
    """Return the stream's bits from `bit` on, 57 at least, and a set bit behind them."""
    return _load(data, bit >> 3) << np.uint64(bit & 7) | _ONE


@kernel
def _one_symbol(data, bit, limits, offsets, by_code):
    """Return the symbol at `bit`, one bit after the other, and its bits; 0 bits where no code matches.

    Behind the data there are zeros.
    """
    peek = 0
    for at in range(bit >> 3, (bit >> 3) + 3):
        peek = peek << 8 | (np.int64(data[at]) if at < data.size else 0)
    peek = peek >> (24 - MAX_LENGTH - (bit & 7)) & ((1 << MAX_LENGTH) - 1)
    length = 1
    while length <= MAX_LENGTH and peek >= limits[length]:
        length += 1
    if length > MAX_LENGTH:
        return np.int64(0), 0
    return np.int64(by_code[offsets[length] + (peek >> (MAX_LENGTH - length))]), length


@kernel
def decode_lane(data, bit, end, out, at, stop, table, table_bits, limits, offsets, by_code):
    """Decode `out[at:stop]` from the bits [bit, end); return whether exactly those bits were a code each."""
    shift = np.uint64(64 - table_bits)
    while at + _MOST + _STORE <= stop and bit + _WINDOW <= end:
        window, count = _window(data, bit), 0
        for _ in range(LOOKUPS):
            window, at, count = _step(table, window, shift, out, at)
        bit += _trailing_zeros(window)
        if count == 0:
            symbol, length = _one_symbol(data, bit, limits, offsets, by_code)
            if length == 0:
                return False
            out[at] = symbol
            at += 1
            bit += length
    while at < stop:
        symbol, length = _one_symbol(data, bit, limits, offsets, by_code)
        if length == 0 or bit + length > end:
            return False
        out[at] = symbol
        at += 1
        bit += length
    return bit == end


@kernel
def _long_code(data, bit, out, at, limits, offsets, by_code):
    """Decode the symbol at `bit`, whose code is longer than the table is wide; return the new bit and at."""
    symbol, length = _one_symbol(data, bit, limits, offsets, by_code)
    out[at] = symbol
    return bit + length, at + 1


@kernel
def decode_four(data, bits, ends, out, ats, stops, table, table_bits, limits, offsets, by_code):
    """Decode four lanes side by side until one is nearly done; move `bits` and `ats` on. For complete codes.

    Four look-ups that do not wait for each other keep the processor busy: about three times a single lane.
    """
    shift = np.uint64(64 - table_bits)
    bit0, bit1, bit2, bit3 = bits[0], bits[1], bits[2], bits[3]
    at0, at1, at2, at3 = ats[0], ats[1], ats[2], ats[3]
    while True:
        rounds = min(
            min((stops[0] - at0 - _STORE) // _MOST, (ends[0] - bit0) // _WINDOW),
            min((stops[1] - at1 - _STORE) // _MOST, (ends[1] - bit1) // _WINDOW),
            min((stops[2] - at2 - _STORE) // _MOST, (ends[2] - bit2) // _WINDOW),
            min((stops[3] - at3 - _STORE) // _MOST, (ends[3] - bit3) // _WINDOW),
        )
        if rounds <= 0:
            break
        for _ in range(rounds):
            window0, window1 = _window(data, bit0), _window(data, bit1)
            window2, window3 = _window(data, bit2), _window(data, bit3)
            count0 = count1 = count2 = count3 = 0
            for _ in range(LOOKUPS):
                window0, at0, count0 = _step(table, window0, shift, out, at0)
                window1, at1, count1 = _step(table, window1, shift, out, at1)
                window2, at2, count2 = _step(table, window2, shift, out, at2)
                window3, at3, count3 = _step(table, window3, shift, out, at3)
            bit0, bit1 = bit0 + _trailing_zeros(window0), bit1 + _trailing_zeros(window1)
            bit2, bit3 = bit2 + _trailing_zeros(window2), bit3 + _trailing_zeros(window3)
            # An entry without symbols leaves its lane where it is: then the last entry is empty, too.
            if count0 == 0:
                bit0, at0 = _long_code(data, bit0, out, at0, limits, offsets, by_code)
            if count1 == 0:
                bit1, at1 = _long_code(data, bit1, out, at1, limits, offsets, by_code)
            if count2 == 0:
                bit2, at2 = _long_code(data, bit2, out, at2, limits, offsets, by_code)
            if count3 == 0:
                bit3, at3 = _long_code(data, bit3, out, at3, limits, offsets, by_code)
    bits[0], bits[1], bits[2], bits[3] = bit0, bit1, bit2, bit3
    ats[0], ats[1], ats[2], ats[3] = at0, at1, at2, at3


# ----------------------------------------------------------------------------------------------------
# The loop that spells a table of code lengths, compiled (specification: `common.codec.container`).
#
# It runs for every code that the writer considers, and most are only measured.


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
