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

_ZERO, _ONE, _THREE, _SEVEN, _EIGHT = (np.uint64(number) for number in (0, 1, 3, 7, 8))
_16, _32, _48, _63, _64 = np.uint64(16), np.uint64(32), np.uint64(48), np.uint64(63), np.uint64(64)
_BYTE, _FIELD = np.uint64(0xFF), np.uint64(0xFFFF)
_FIELDS = 0x0001_0001_0001_0001  # multiplied by a 16-bit number: four copies of it in a word
PAIR_KINDS = 64  # most kinds of symbols of which two are looked up at a time
MOST_PAIRED = 14  # longest code, in bits, in a pair: four of 14 bits fill a store of 56
_PAIRS_PAY = 1 << 12  # symbols from which a table of pairs is worth filling


@intrinsic
def _load_raw(_context, array, at):
    """Return the 8 bytes from `at` on, the first in the lowest bits."""

    def codegen(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(64).as_pointer())
        return builder.load(address, align=1)

    return types.uint64(array, types.int64), codegen


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
def _store_big(_context, array, at, value):
    """Write the 8 bytes of `value` from `at` on, those of the highest bits first."""

    def codegen(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(64).as_pointer())
        builder.store(builder.bswap(arguments[2]), address, align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), codegen


def as_bytes(symbols):
    """Return the symbols as read-only uint8: the one type for which the loops over symbols are compiled."""
    data = np.ascontiguousarray(symbols).view(np.uint8)
    data.flags.writeable = False
    return data


def count_symbols(symbols, n_kinds):
    """Return the int64 count of each symbol (uint8 or uint16), all of them below `n_kinds`."""
    return _count_symbols(as_bytes(symbols), symbols.dtype.itemsize, n_kinds)


@kernel
def _count_symbols(data, itemsize, n_kinds):
    """Return the counts, gathered in four tables: equal symbols in a row need not wait for each other."""
    counts = np.zeros((4, n_kinds), dtype=np.int64)
    whole = data.size - data.size % 8
    if itemsize == 2:
        for i in range(0, whole, 8):
            word = _load_raw(data, i)
            counts[0, word & _FIELD] += 1
            counts[1, word >> _16 & _FIELD] += 1
            counts[2, word >> _32 & _FIELD] += 1
            counts[3, word >> _48] += 1
        for i in range(whole, data.size, 2):
            counts[0, np.int64(data[i]) | np.int64(data[i + 1]) << 8] += 1
        return counts.sum(axis=0)
    seen = np.uint8(0xFF)
    if whole >= _PAIRS_PAY:
        seen = np.uint8(0)
        for i in range(whole):
            seen |= data[i]
    if seen < PAIR_KINDS:
        _count_pairs(data, whole, seen, counts)
    else:
        for i in range(0, whole, 8):
            word = _load_raw(data, i)
            for j in range(4):
                counts[j, word & _BYTE] += 1
                word >>= _EIGHT
            for j in range(4):
                counts[j, word & _BYTE] += 1
                word >>= _EIGHT
    for i in range(whole, data.size):
        counts[0, data[i]] += 1
    return counts.sum(axis=0)


@kernel
def _count_pairs(data, whole, seen, counts):
    """Add the first `whole` symbols, whose set bits are all in `seen`, two at a time: half the steps."""
    n_bits = 1
    while seen >> n_bits:
        n_bits += 1
    shift, low = np.uint64(8 - n_bits), np.uint64(((1 << n_bits) - 1) * _FIELDS)
    high = low << np.uint64(n_bits)
    other = np.uint64(1 << 2 * n_bits if n_bits < 6 else 0)  # two tables where both fit in the level-1 cache
    for start in range(0, whole, 1 << 30):  # 32-bit counts keep the tables small; in parts, none overflows
        pairs = np.zeros(2 << 2 * n_bits, dtype=np.uint32)
        for i in range(start, min(start + (1 << 30), whole), 8):
            word = _load_raw(data, i)
            word = word & low | word >> shift & high
            pairs[word & _FIELD] += np.uint32(1)
            pairs[other + (word >> _16 & _FIELD)] += np.uint32(1)
            pairs[word >> _32 & _FIELD] += np.uint32(1)
            pairs[other + (word >> _48)] += np.uint32(1)
        for pair in range(pairs.size):
            if pairs[pair]:
                counts[0, pair & ((1 << n_bits) - 1)] += pairs[pair]
                counts[1, pair >> n_bits & ((1 << n_bits) - 1)] += pairs[pair]


@kernel
def huffman_depths(counts):
    """Return the depth of each leaf of Huffman's tree over two or more ascending counts: int64, descending.

    Huffman 1952 with two queues, leaves and joined nodes (van Leeuwen 1976). Both are ascending without any
    sorting, so the two smallest nodes are at their heads. A leaf goes first where they are equal, which keeps
    the tree shallow.
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
    depths = np.zeros(2 * n - 1, dtype=np.int64)  # the last node is the root; parents come after children
    for node in range(2 * n - 3, -1, -1):
        depths[node] = depths[parents[node]] + 1
    return depths[:n]


# ----------------------------------------------------------------------------------------------------
# The loop that writes a Huffman stream.
#
# Four lanes, a quarter of the symbols each, are written side by side, so that none waits for the other; they
# start at whole bytes with room for the longest codes, and are moved together in the end, bit by bit.
#
# A step of a lane takes four *entries* from a table: a code in the highest bits and its length in the lowest.
# Up to 64 kinds an entry is a pair of symbols. The entries are merged from the last to the first, each time
# `merged >> length | entry`: the first ends up in the highest bits, where the stream begins. The lengths stay
# below the codes, and are cut off in the end. Four entries nearly always take at most 56 bits and are written
# in one store; where they do not, they are written one by one.

_LENGTH = np.uint64(0x3FF)  # the lowest bits of an entry, or of a sum of four
_MISSING = 0x80  # the length of a symbol without a code: makes any sum too long for a store
_MOST_STORED = np.uint64(56)  # bits of a store of 64 that may begin anywhere in a byte
_UNDER = np.uint64(0xFF)  # the bits of an entry below every code
_WHOLE = np.uint64(0x38)  # of a number of bits below 64, those in whole bytes: all but the lowest three


@kernel
def _entries(codes, lengths, table, paired_bits):
    """Fill the table with an entry per symbol or, with `paired_bits` > 0, per pair a | b << paired_bits."""
    for b in range(table.size >> paired_bits):
        known = b < lengths.size and lengths[b] > 0
        length_b = np.uint64(lengths[b] if known else _MISSING)
        code_b = np.uint64(codes[b]) << (_64 - length_b) if known else _ZERO
        if paired_bits == 0:
            table[b] = code_b | length_b
            continue
        for a in range(1 << paired_bits):
            if a < lengths.size and lengths[a] > 0:
                length = np.uint64(lengths[a])
                entry = np.uint64(codes[a]) << (_64 - length) | code_b >> length | (length + length_b)
            else:
                entry = np.uint64(_MISSING)
            table[a | b << paired_bits] = entry


@kernel
def _put(out, at, used, pending, bits, length):
    """Store `length` bits behind the `used` pending bits of an unfinished byte; return at, used and pending.

    All 8 bytes of the word are written; the next store begins at the byte that is left unfinished.
    """
    word = pending | bits >> used
    _store_big(out, at, word)
    used += length
    return at + np.int64(used >> _THREE), used & _SEVEN, word << (used & _WHOLE)


@kernel
def _spread(raw):
    """Return four symbols of a byte each as fields of two bytes."""
    raw &= np.uint64(0xFFFFFFFF)
    raw = (raw | raw << _16) & np.uint64(0x0000FFFF0000FFFF)
    return (raw | raw << _EIGHT) & np.uint64(0x00FF00FF00FF00FF)


@kernel
def _entries_of(table, word):
    """Return the table's entries for the four fields of a word."""
    return table[word & _FIELD], table[word >> _16 & _FIELD], table[word >> _32 & _FIELD], table[word >> _48]


@kernel
def _total(entries):
    """Return the bits of four entries."""
    return (entries[0] + entries[1] + entries[2] + entries[3]) & _LENGTH


@kernel
def _merged(entries):
    """Return the codes of four entries that have no more than `_MOST_STORED` bits, in the highest bits."""
    bits = entries[2] | entries[3] >> (entries[2] & _63)
    bits = entries[1] | bits >> (entries[1] & _63)
    return (entries[0] | bits >> (entries[0] & _63)) & ~_UNDER


@kernel
def _put_singly(out, at, used, pending, entries):
    """Store four entries one after the other; return at, used, pending, and whether all have a code."""
    for entry in entries:
        length = entry & _LENGTH
        if length > _MOST_STORED:
            return at, used, pending, False
        at, used, pending = _put(out, at, used, pending, entry & ~_UNDER, length)
    return at, used, pending, True


@kernel
def encode_lanes(data, itemsize, codes, lengths, paired_bits, max_length, head, out):
    """Write the codes of the symbols to `out` from byte `head` on; return the bits of each quarter (a lane).

    `out` has room for `lane_bytes` of every lane. Where some symbol has no code, all four values are -1.
    """
    n_symbols = data.size // itemsize
    singles = np.empty(256 if itemsize == 1 else max(lengths.size, 1), dtype=np.uint64)
    _entries(codes, lengths, singles, 0)
    table = singles
    is_spread, shift, limit = itemsize == 1, _ZERO, _FIELD
    if paired_bits > 0:
        table = np.empty(1 << 2 * paired_bits, dtype=np.uint64)
        _entries(codes, lengths, table, paired_bits)
        is_spread, shift = False, np.uint64(8 - paired_bits)
        limit = np.uint64(((1 << paired_bits) - 1) * 0x0101)  # what fields hold where all symbols are known
    elif itemsize == 2:
        n_bits = 1
        while lengths.size - 1 >> n_bits:
            n_bits += 1
        limit = np.uint64((1 << n_bits) - 1)
        table = np.full(1 << n_bits, _MISSING, dtype=np.uint64)
        table[: singles.size] = singles
    low, high = np.uint64(((1 << paired_bits) - 1) * _FIELDS), limit * np.uint64(_FIELDS)
    high = low << np.uint64(paired_bits) if paired_bits > 0 else high
    stride = 4 if is_spread else 8
    ends = np.empty(5, dtype=np.int64)
    starts = np.empty(5, dtype=np.int64)
    for lane in range(5):
        ends[lane] = n_symbols * lane // 4 * itemsize
        starts[lane] = head + lane * lane_bytes(n_symbols, max_length)
    i0, i1, i2, i3 = ends[0], ends[1], ends[2], ends[3]
    at0, at1, at2, at3 = starts[0], starts[1], starts[2], starts[3]
    used0 = used1 = used2 = used3 = _ZERO
    pending0 = pending1 = pending2 = pending3 = _ZERO
    seen, fine = _ZERO, True
    for _ in range((min(i1 - i0, i2 - i1, i3 - i2, data.size - i3) - 8) // stride + 1):
        raw0, raw1, raw2, raw3 = (
            _load_raw(data, i0),
            _load_raw(data, i1),
            _load_raw(data, i2),
            _load_raw(data, i3),
        )
        if is_spread:
            raw0, raw1, raw2, raw3 = _spread(raw0), _spread(raw1), _spread(raw2), _spread(raw3)
        seen |= raw0 | raw1 | raw2 | raw3
        entries0 = _entries_of(table, raw0 & low | raw0 >> shift & high)
        entries1 = _entries_of(table, raw1 & low | raw1 >> shift & high)
        entries2 = _entries_of(table, raw2 & low | raw2 >> shift & high)
        entries3 = _entries_of(table, raw3 & low | raw3 >> shift & high)
        total0, total1, total2, total3 = (
            _total(entries0),
            _total(entries1),
            _total(entries2),
            _total(entries3),
        )
        if max(max(total0, total1), max(total2, total3)) <= _MOST_STORED:
            at0, used0, pending0 = _put(out, at0, used0, pending0, _merged(entries0), total0)
            at1, used1, pending1 = _put(out, at1, used1, pending1, _merged(entries1), total1)
            at2, used2, pending2 = _put(out, at2, used2, pending2, _merged(entries2), total2)
            at3, used3, pending3 = _put(out, at3, used3, pending3, _merged(entries3), total3)
        else:
            at0, used0, pending0, fine0 = _put_singly(out, at0, used0, pending0, entries0)
            at1, used1, pending1, fine1 = _put_singly(out, at1, used1, pending1, entries1)
            at2, used2, pending2, fine2 = _put_singly(out, at2, used2, pending2, entries2)
            at3, used3, pending3, fine3 = _put_singly(out, at3, used3, pending3, entries3)
            fine = fine0 and fine1 and fine2 and fine3
            if not fine:
                break
        i0, i1, i2, i3 = i0 + stride, i1 + stride, i2 + stride, i3 + stride
    n_bits = np.full(4, -1, dtype=np.int64)
    if not fine or seen & ~(limit * np.uint64(_FIELDS)):
        return n_bits
    firsts, ats = (i0, i1, i2, i3), (at0, at1, at2, at3)
    useds, pendings = (used0, used1, used2, used3), (pending0, pending1, pending2, pending3)
    end = 8 * head  # in bits
    for lane in range(4):
        at, used, pending = ats[lane], useds[lane], pendings[lane]
        for i in range(firsts[lane], ends[lane + 1], itemsize):
            symbol = np.int64(data[i]) if itemsize == 1 else np.int64(data[i]) | np.int64(data[i + 1]) << 8
            entry = singles[symbol] if symbol < singles.size else np.uint64(_MISSING)
            length = entry & _LENGTH
            if length > _MOST_STORED:
                return np.full(4, -1, dtype=np.int64)
            at, used, pending = _put(out, at, used, pending, entry & ~_UNDER, length)
        _store_big(out, at, pending)
        n_bits[lane] = 8 * (at - starts[lane]) + np.int64(used)
        if lane:
            _join(out, end, starts[lane], n_bits[lane])
        end += n_bits[lane]
    return n_bits


@kernel
def lane_bytes(n_symbols, max_length):
    """Return the bytes that a quarter of the symbols may take, with room for what a store writes beyond."""
    return ((n_symbols // 4 + 1) * max_length >> 3) + 24


@kernel
def _join(out, end, start, n_bits):
    """Move `n_bits` bits from byte `start` down to bit `end`; both are followed by zero bits."""
    at, gap = end >> 3, np.uint64(end & 7)
    n_bytes = (n_bits + 7) >> 3
    if gap == _ZERO:
        for i in range(0, n_bytes, 8):
            _store_big(out, at + i, _load(out, start + i))
        return
    if n_bytes:
        out[at] |= out[start] >> np.uint8(gap)
    for i in range(0, n_bytes, 8):
        word = _load(out, start + i) << (_EIGHT - gap) | np.uint64(out[start + i + 8]) >> gap
        _store_big(out, at + 1 + i, word)


# ----------------------------------------------------------------------------------------------------
# The loops that read a Huffman stream; `common.codec.huffman` checks everything before.
#
# The decoder looks up the next bits of the stream, as many as its table is wide. The entry that it finds
# stands for all whole codes that fit in them: how many bits they take (lowest byte), their symbols, and how
# many symbols these are (highest byte). It has no symbols where the code is longer, or there is none.
#
#     wide entries, 8 bytes     six symbols of one byte, or three of two: for codes that are short on average
#     narrow entries, 4 bytes   two symbols of one byte: for long codes, of which three rarely fit anyway; an
#                               entry takes half the memory, so the table may have twice as many
#
# A *window* is the next 57 bits of the stream or more, from one load, and below them a set bit that no
# look-up reaches. It is shifted up with the rest, so its place shows in the end how many bits were taken.
#
# Symbols are written 8 bytes at a time, so a loop stops that far from the end of its output. Nothing here
# checks another bound.

N_LANES = 4
LOOKUPS = 4  # in a window of 57 bits: tables are at most 14 bits wide

_56 = np.uint64(56)
_WINDOW = 64  # bits of a load
_STORE = 8  # elements of `out` that a store may write
_MOST = LOOKUPS * 6  # symbols of a window


@intrinsic
def _trailing_zeros(_context, value):
    """Return how many low bits are 0; one must be set."""

    def codegen(_context, builder, _signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), codegen


@kernel
def code_book(lengths):
    """Return the canonical order of a code, and the numbers with which a code finds its symbol there.

    Returns
    -------
    by_code : ndarray of shape (n_used,)
        uint16, the symbols that have a code, in the order of their codes.
    limits : ndarray of shape (MAX_LENGTH + 1,)
        int64; for each length, the bound below which its codes lie when zeros extend them to 15 bits.
    offsets : ndarray of shape (MAX_LENGTH + 1,)
        int64; for each length, what to add to a code to get its place in `by_code`.
    kraft : int
        The Kraft sum in units of 2 ** -15, or -1 where a length is above `MAX_LENGTH`.
    """
    n_of_length = np.zeros(MAX_LENGTH + 1, dtype=np.int64)
    limits = np.zeros(MAX_LENGTH + 1, dtype=np.int64)
    offsets = np.zeros(MAX_LENGTH + 1, dtype=np.int64)
    for length in lengths:
        if length > MAX_LENGTH:
            return np.zeros(0, dtype=np.uint16), limits, offsets, -1
        n_of_length[length] += 1
    n_of_length[0] = 0
    places = np.zeros(MAX_LENGTH + 1, dtype=np.int64)
    first, place, kraft = 0, 0, 0
    for length in range(1, MAX_LENGTH + 1):
        first = (first + n_of_length[length - 1]) << 1
        places[length], offsets[length] = place, place - first
        limits[length] = (first + n_of_length[length]) << (MAX_LENGTH - length)
        place += n_of_length[length]
        kraft += n_of_length[length] << (MAX_LENGTH - length)
    by_code = np.empty(place, dtype=np.uint16)
    for symbol in range(lengths.size):
        length = lengths[symbol]
        if length:
            by_code[places[length]] = symbol
            places[length] += 1
    return by_code, limits, offsets, kraft


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
    """One look-up: write its symbols; return the shifted window, the new `at`, and the number of symbols."""
    entry = np.uint64(table[window >> shift])
    # Rotated by 8, which saves an instruction; what it writes behind the symbols is overwritten by the next.
    _store(out, at, entry >> _EIGHT | entry << _56)
    count = np.int64(entry >> np.uint64(8 * table.itemsize - 8))
    return window << (entry & _63), at + count, count


@kernel
def _window(data, bit):
    """Return the stream's bits from `bit` on, 57 at least, and a set bit behind them."""
    return _load(data, bit >> 3) << np.uint64(bit & 7) | _ONE


@kernel
def _one_symbol(data, bit, limits, offsets, by_code):
    """Return the symbol whose code begins at `bit`, and its length; the length is 0 where no code matches.

    Tries one length after the other. The data counts as followed by zeros.
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
    """Decode `out[at:stop]` from the bits [bit, end); return whether whole codes took exactly these bits."""
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
    """Decode four lanes side by side until one is nearly done; update `bits` and `ats`. For complete codes.

    A look-up needs the result of the one before it in its lane. Four lanes do not wait for each other, and
    keep the processor busy: about three times as fast as a single lane.
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
            # An entry without symbols does not move its lane on, so all later look-ups of the window find it
            # again. It is enough to test the last one.
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
# The loop that writes a table of code lengths, compiled (specification: `common.codec.container`).
#
# It runs for every code that the writer considers; of most, only the number of bits is used.


@kernel
def spell_table(lengths):
    """Return a table of code lengths as bits: uint8, 0 or 1."""
    bits = np.zeros(8 * lengths.size, dtype=np.uint8)  # a run of n takes at most 6 + 2 * n bits
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


TABLE_READ, TABLE_ENDS, TABLE_RUN, TABLE_FULL, TABLE_LENGTH = range(5)


@kernel
def read_table(data, lengths):
    """Fill `lengths` from the table at the beginning of `data`.

    Returns
    -------
    n_bits : int
        Bits that the table takes.
    status : int
        `TABLE_READ`, or what is wrong: `TABLE_ENDS`, the data ends within the table; `TABLE_RUN`, a run is
        longer than the alphabet; `TABLE_FULL`, the runs together are; `TABLE_LENGTH`, a length is out of
        range or equal to the one before.
    got : int
        The wrong number of lengths or the wrong length; else 0.
    """
    n_kinds, n_data = lengths.size, 8 * data.size
    longest = 0
    while n_kinds >> longest:
        longest += 1
    bit, at, length = 0, 0, -1
    while True:
        previous, n_bits = length, 4
        if at > 0:
            if bit >= n_data:
                return bit, TABLE_ENDS, 0
            n_bits = 0
            if data[bit >> 3] >> (7 - (bit & 7)) & 1 == 0:
                length += 1
                bit += 1
            else:
                bit += 1
                if bit >= n_data:
                    return bit, TABLE_ENDS, 0
                if data[bit >> 3] >> (7 - (bit & 7)) & 1 == 0:
                    length -= 1
                else:
                    n_bits = 4
                bit += 1
        if n_bits:
            if bit + n_bits > n_data:
                return bit, TABLE_ENDS, 0
            length = 0
            for _ in range(n_bits):
                length = length << 1 | (data[bit >> 3] >> (7 - (bit & 7)) & 1)
                bit += 1
        if length < 0 or length > MAX_LENGTH or length == previous:
            return bit, TABLE_LENGTH, length
        n_zeros = 0
        while True:
            if bit >= n_data:
                return bit, TABLE_ENDS, 0
            bit += 1
            if data[(bit - 1) >> 3] >> (7 - ((bit - 1) & 7)) & 1:
                break
            n_zeros += 1
            if n_zeros == longest:
                return bit, TABLE_RUN, 0
        if bit + n_zeros > n_data:
            return bit, TABLE_ENDS, 0
        run = 1
        for _ in range(n_zeros):
            run = run << 1 | (data[bit >> 3] >> (7 - (bit & 7)) & 1)
            bit += 1
        if run > n_kinds - at:
            return bit, TABLE_FULL, at + run
        lengths[at : at + run] = length
        at += run
        if at == n_kinds:
            return bit, TABLE_READ, 0
