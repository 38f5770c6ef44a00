"""Huffman coding: every code passes one checker, every stream a bit-by-bit decoder."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.codec import huffman, huffman_kernels
from common.codec import huffman as huffman_codes
from tests import oracles

COUNTS = st.lists(st.one_of(st.just(0), st.integers(1, 9), st.integers(1, 10**9)), max_size=70)
FIBONACCI = [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181, 6765, 10946]


def check_code(counts, lengths):
    """A code is sound: its symbols occur, it is complete, ordered and consecutive, and ties are kept."""
    counts = [int(count) for count in counts]
    assert lengths.dtype == np.uint8
    assert [count > 0 for count in counts] == [length > 0 for length in lengths.tolist()]
    used = [(length, symbol) for symbol, length in enumerate(lengths.tolist()) if length]
    if len(used) == 1:
        assert used[0][0] == 1
    elif used:
        assert sum(2 ** (15 - length) for length, _ in used) == 2**15
    codes = huffman.canonical_codes(lengths)
    spelt = [f"{codes[symbol]:0{length}b}" for length, symbol in sorted(used)]
    assert spelt == sorted(spelt)
    assert all(not b.startswith(a) for a, b in itertools.pairwise(spelt))
    assert {s: f"{codes[s]:0{length}b}" for length, s in used} == oracles.canonical_slow(lengths.tolist())
    assert not codes[lengths == 0].any()
    for (length_a, a), (length_b, b) in itertools.combinations(used, 2):
        if counts[a] == counts[b] and a < b:
            assert length_a <= length_b
        if counts[a] > counts[b]:
            assert length_a <= length_b


def check_stream(symbols, lengths):
    """A stream is what the slow coder spells, and comes back; returns its bytes and bits."""
    data, n_bits = huffman.encode(symbols, lengths)
    assert len(data) == huffman.coded_bytes(n_bits, symbols.size)
    payload = data[len(data) - (n_bits + 7) // 8 :]
    bits = "".join(f"{byte:08b}" for byte in payload)
    assert bits == oracles.encode_slow(symbols.tolist(), np.asarray(lengths).tolist()).ljust(len(bits), "0")
    assert oracles.decode_slow(bits[:n_bits], np.asarray(lengths).tolist()) == symbols.tolist()
    np.testing.assert_array_equal(huffman.decode(data, n_bits, symbols.size, lengths), symbols)
    return data, n_bits


def test_hand_worked_code():
    # 5, 2, 1: 1 and 2 are joined (3), then 3 and 5. Lengths 1, 2, 2; codes 0, 10, 11, the lower symbol first.
    lengths = huffman.code_lengths([5, 1, 0, 2])
    assert lengths.tolist() == [1, 2, 0, 2]
    assert huffman.canonical_codes(lengths).tolist() == [0b0, 0b10, 0, 0b11]
    # 0 3 0 1 is 0 11 0 10
    assert huffman.encode(np.uint8([0, 3, 0, 1]), lengths) == (bytes([0b01101000]), 6)


@given(COUNTS)
def test_lengths_are_optimal_and_sound(counts):
    lengths = huffman.code_lengths(counts)
    check_code(counts, lengths)
    best, slow_lengths = oracles.huffman_slow(counts)
    if max(slow_lengths, default=0) <= huffman_codes.MAX_LENGTH:
        assert sum(int(c) * int(n) for c, n in zip(counts, lengths, strict=True)) == best


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=12), st.integers(1, 6))
def test_limited_lengths_are_optimal(counts, max_length):
    if sum(count > 0 for count in counts) > 2**max_length:
        with pytest.raises(ValueError, match="max_length"):
            huffman.code_lengths(counts, max_length=max_length)
        return
    lengths = huffman.code_lengths(counts, max_length=max_length)
    check_code(counts, lengths)
    assert int(lengths.max()) <= max_length
    if any(counts):
        bits = sum(count * int(length) for count, length in zip(counts, lengths, strict=True))
        assert bits == max(oracles.best_limited_bits(counts, max_length), sum(counts))


def test_very_unbalanced_counts_are_limited_to_15_bits():
    lengths = huffman.code_lengths(FIBONACCI)
    check_code(FIBONACCI, lengths)
    assert lengths.max() == 15
    assert max(oracles.huffman_slow(FIBONACCI)[1]) == 20
    assert int(np.dot(FIBONACCI, lengths.astype(int))) == oracles.best_limited_bits(FIBONACCI, 15)


@pytest.mark.parametrize("counts", [[1] * 256, [7, 0] * 9, [1], [0, 9], [2**40, 1, 2**40], range(300)])
def test_shapes_of_counts(counts):
    check_code(counts, huffman.code_lengths(counts))


def test_nothing_to_code():
    assert huffman.code_lengths([]).tolist() == []
    assert huffman.code_lengths([0, 0]).tolist() == [0, 0]
    assert huffman.encode(np.zeros(0, np.uint8), [0, 0]) == (b"", 0)
    for lengths in ([], [0, 0], [1, 1]):
        assert huffman.decode(b"", 0, 0, lengths).size == 0


@pytest.mark.parametrize("n_symbols", [1, 7, 8, 9, 1000, 65535, 65536, 65537, 70001])
def test_one_symbol_takes_one_bit_each(n_symbols):
    symbols = np.full(n_symbols, 3, np.uint8)
    lengths = huffman.code_lengths(np.bincount(symbols))
    assert lengths.tolist() == [0, 0, 0, 1]
    data, n_bits = check_stream(symbols, lengths)
    assert n_bits == n_symbols
    assert not any(data[len(data) - (n_bits + 7) // 8 :])


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), max_size=400), st.booleans())
def test_streams_come_back(values, wide):
    symbols = np.array(values, dtype=np.uint16 if wide else np.uint8)
    check_stream(symbols, huffman.code_lengths(np.bincount(symbols, minlength=41)))


@pytest.mark.parametrize("n_symbols", [0, 1, 63, 65535, 65536, 65539, 200_001])
@pytest.mark.parametrize(("n_kinds", "decay"), [(2, 0.5), (5, 3), (32, 1), (256, 30), (300, 200), (4000, 9)])
def test_long_streams_come_back(n_symbols, n_kinds, decay):
    """With four lanes and with one, codes longer than the table is wide, symbols of one byte and of two."""
    rng = np.random.default_rng(n_symbols + n_kinds)
    symbols = np.minimum(rng.exponential(decay, n_symbols), n_kinds - 1)
    symbols = symbols.astype(np.uint8 if n_kinds <= 256 else np.uint16)
    lengths = huffman.code_lengths(np.bincount(symbols, minlength=n_kinds))
    data, n_bits = huffman.encode(symbols, lengths)
    assert n_bits == int(lengths[symbols].sum(dtype=np.int64))
    assert len(data) == (n_bits + 7) // 8 + (12 if n_symbols >= 65536 else 0)
    decoded = huffman.decode(data, n_bits, n_symbols, lengths)
    assert decoded.dtype == symbols.dtype
    np.testing.assert_array_equal(decoded, symbols)


def long_codes(n_kinds):
    """Lengths 1, 2, ..., 14, 15, 15 or 14, 14 for 16 or 15 kinds: the longest codes that there are."""
    return np.array([*range(1, n_kinds), n_kinds - 1], dtype=np.uint8)


@pytest.mark.parametrize("n_symbols", [1, 3, 15, 32, 33, 67, 5000, 65_536, 70_003])
@pytest.mark.parametrize(
    ("dtype", "lengths"),
    [
        (np.uint8, [1, 1]),
        (np.uint8, long_codes(15)),  # pairs of 28 bits
        (np.uint8, long_codes(16)),  # too long for pairs
        (np.uint8, [6] * 64),
        (np.uint8, [7, 7, *[6] * 63]),  # the first alphabet without pairs
        (np.uint8, [8] * 256),
        (np.uint8, [0, 2, 0, 2, 2, 0, 2]),
        (np.uint16, [1, 1]),
        (np.uint16, long_codes(16)),
        (np.uint16, [9] * 512),
        (np.uint16, [12] * 4096),
    ],
)
def test_encoded_as_by_the_slow_coder(dtype, lengths, n_symbols):
    """Pairs and single symbols, four lanes moved together at any bit, rare codes in a row."""
    lengths = np.array(lengths, dtype=np.uint8)
    kinds = np.flatnonzero(lengths)
    rng = np.random.default_rng(n_symbols)
    codes = huffman.canonical_codes(lengths).astype(np.int64)
    for chances in (None, 0.5 ** lengths[kinds].astype(float), kinds == kinds[-1]):
        chances = None if chances is None else chances / chances.sum()
        symbols = rng.choice(kinds, n_symbols, p=chances).astype(dtype)
        data, n_bits = huffman.encode(symbols, lengths)
        head = 12 if n_symbols >= 65_536 else 0
        assert data[head:] == oracles.encode_bits(symbols, lengths, codes)
        assert n_bits == int(lengths[symbols].sum(dtype=np.int64))
        np.testing.assert_array_equal(huffman.decode(data, n_bits, n_symbols, lengths), symbols)


@pytest.mark.parametrize("n_symbols", [1, 40, 5000, 70_000])
@pytest.mark.parametrize(("dtype", "n_kinds"), [(np.uint8, 20), (np.uint8, 200), (np.uint16, 3000)])
def test_a_symbol_without_a_code_is_found_wherever_it_stands(dtype, n_kinds, n_symbols):
    lengths = huffman.code_lengths(np.where(np.arange(n_kinds) == 7, 0, 1))
    rng = np.random.default_rng(0)
    for place in {0, n_symbols // 3, n_symbols // 2, n_symbols - 1}:
        for wrong in {7, n_kinds, np.iinfo(dtype).max}:
            symbols = rng.integers(8, n_kinds, n_symbols).astype(dtype)
            symbols[place] = wrong
            with pytest.raises(ValueError, match=f"symbols: got {wrong},"):
                huffman.encode(symbols, lengths)


@pytest.mark.parametrize("n_symbols", [0, 1, 7, 4095, 4096, 4103, 100_001])
@pytest.mark.parametrize(
    ("dtype", "top"),
    [
        (np.uint8, 0),
        (np.uint8, 1),
        (np.uint8, 31),
        (np.uint8, 63),
        (np.uint8, 64),
        (np.uint8, 255),
        (np.uint16, 9),
        (np.uint16, 65_535),
    ],
)
def test_counts_are_those_of_bincount(dtype, top, n_symbols):
    symbols = np.random.default_rng(top).integers(0, top + 1, n_symbols).astype(dtype)
    expected = np.bincount(symbols, minlength=top + 1)
    np.testing.assert_array_equal(huffman_kernels.count_symbols(symbols, top + 1), expected)
    np.testing.assert_array_equal(huffman_kernels.count_symbols(symbols[::-1], top + 1), expected)


def test_every_lane_meets_long_codes():
    lengths = huffman.code_lengths(FIBONACCI)
    symbols = np.random.default_rng(0).integers(0, len(FIBONACCI), 80_000).astype(np.uint8)
    check_stream(symbols, lengths)


def test_entry_points_are_where_the_quarters_begin():
    symbols = (np.arange(65_537) % 7).astype(np.uint8)
    lengths = huffman.code_lengths(np.bincount(symbols))
    data, n_bits = huffman.encode(symbols, lengths)
    quarters = [lengths[part].sum(dtype=int) for part in np.split(symbols, [16384, 32768, 49152])]
    assert np.frombuffer(data, "<u4", 3).tolist() == quarters[:3]
    assert sum(quarters) == n_bits


def test_payload_is_that_of_another_canonical_coder():
    bitarray, util = pytest.importorskip("bitarray"), pytest.importorskip("bitarray.util")
    symbols = np.random.default_rng(1).geometric(0.3, 5000).clip(max=20).astype(np.uint8)
    counts = np.bincount(symbols)
    lengths = huffman.code_lengths(counts)
    codes = oracles.canonical_slow(lengths.tolist())
    theirs = bitarray.bitarray()
    theirs.encode({symbol: bitarray.bitarray(code) for symbol, code in codes.items()}, symbols.tolist())
    assert huffman.encode(symbols, lengths) == (theirs.tobytes(), len(theirs))
    best, _, _ = util.canonical_huffman({symbol: int(count) for symbol, count in enumerate(counts) if count})
    assert sum(int(counts[symbol]) * len(code) for symbol, code in best.items()) == len(theirs)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([1], None),
        ([2], "one symbol"),
        ([1, 1, 1], "Kraft"),
        ([1, 2], "Kraft"),
        ([2, 2, 2], "Kraft"),
        ([16, 1], "0 to 15"),
        ([-1, 1], "0 to 15"),
        ([1.0, 1.0], "integers"),
        ([[1, 1]], "one axis"),
    ],
)
def test_lengths_that_are_no_code(lengths, message):
    if message is None:
        assert huffman.check_lengths(lengths).tolist() == lengths
        return
    for use in (huffman.canonical_codes, lambda n: huffman.encode(np.zeros(1, np.uint8), n)):
        with pytest.raises(huffman.HuffmanError, match=message):
            use(lengths)
    with pytest.raises(huffman.HuffmanError, match=message):
        huffman.decode(b"\0", 1, 1, lengths)


@pytest.mark.parametrize(
    "counts", [[-1, 2], [0.5, 1], [[1, 2]], np.array([2**63, 1, 1], np.uint64), [2**61, 2**61]]
)
def test_counts_that_are_none(counts):
    with pytest.raises(ValueError, match="counts"):
        huffman.code_lengths(counts)


@pytest.mark.parametrize("max_length", [0, 16])
def test_limits_that_are_none(max_length):
    with pytest.raises(ValueError, match="max_length"):
        huffman.code_lengths([1, 2], max_length=max_length)


def test_symbols_without_a_code():
    with pytest.raises(ValueError, match="symbols: got 2"):
        huffman.encode(np.uint8([0, 1, 2]), [1, 1, 0])
    with pytest.raises(ValueError, match="symbols: got 7"):
        huffman.encode(np.uint8([0, 7]), [1, 1])
    with pytest.raises(ValueError, match="uint8 or uint16"):
        huffman.encode(np.array([0, 1]), [1, 1])


def coded(n_symbols=100, n_kinds=6):
    """A stream of symbols, its bits, how many they are, and the code."""
    symbols = (np.arange(n_symbols) ** 2 % n_kinds).astype(np.uint8)
    lengths = huffman.code_lengths(np.bincount(symbols, minlength=n_kinds))
    return (*huffman.encode(symbols, lengths), n_symbols, lengths)


@pytest.mark.parametrize("n_symbols", [100, 70_000])
def test_sizes_that_do_not_fit(n_symbols):
    data, n_bits, n_symbols, lengths = coded(n_symbols)
    for wrong_bits in (-1, 0, n_bits - 1, n_bits + 1, n_bits - 8, n_bits + 8, 2**62):
        with pytest.raises(huffman.HuffmanError):
            huffman.decode(data, wrong_bits, n_symbols, lengths)
    for wrong_symbols in (-1, 0, n_symbols - 1, n_symbols + 1, n_bits + 1, 2**62):
        with pytest.raises(huffman.HuffmanError):
            huffman.decode(data, n_bits, wrong_symbols, lengths)
    for wrong_data in (b"", data[:-1], data + b"\0"):
        with pytest.raises(huffman.HuffmanError):
            huffman.decode(wrong_data, n_bits, n_symbols, lengths)


def test_bits_behind_the_last_code():
    data, n_bits, n_symbols, lengths = coded(101)
    assert n_bits % 8
    with pytest.raises(huffman.HuffmanError, match="behind"):
        huffman.decode(data[:-1] + bytes([data[-1] | 1]), n_bits, n_symbols, lengths)


def test_bits_of_a_one_symbol_code_that_are_not_zero():
    for n_symbols in (9, 70_000):
        data, n_bits = huffman.encode(np.zeros(n_symbols, np.uint8), [1])
        with pytest.raises(huffman.HuffmanError):
            huffman.decode(data[:-1] + bytes([data[-1] | 0x80]), n_bits, n_symbols, [1])


@pytest.mark.parametrize("entry_point", range(3))
@pytest.mark.parametrize("value", [0, 1, 40_000, 2**32 - 1])
def test_entry_points_that_lie(entry_point, value):
    data, n_bits, n_symbols, lengths = coded(70_000)
    damaged = bytearray(data)
    damaged[4 * entry_point : 4 * entry_point + 4] = value.to_bytes(4, "little")
    with pytest.raises(huffman.HuffmanError):
        huffman.decode(bytes(damaged), n_bits, n_symbols, lengths)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_damaged_streams_never_crash(data):
    """Random bytes against random codes: an error, or symbols that spell those very bits."""
    lengths = huffman.code_lengths(data.draw(st.lists(st.integers(0, 99), min_size=1, max_size=40)))
    payload = data.draw(st.binary(max_size=60))
    n_bits = max(8 * len(payload) - data.draw(st.integers(0, 7)), 0)
    n_symbols = data.draw(st.integers(0, 8 * len(payload) + 1))
    try:
        symbols = huffman.decode(payload, n_bits, n_symbols, lengths)
    except huffman.HuffmanError:
        return
    assert huffman.encode(symbols, lengths) == (payload, n_bits)


def test_entropy():
    assert huffman.entropy_bits([]) == huffman.entropy_bits([5]) == huffman.entropy_bits([0, 0]) == 0.0
    assert huffman.entropy_bits([4, 4]) == 8.0
    assert huffman.entropy_bits([8, 4, 2, 2, 0]) == 8 + 8 + 6 + 6


def test_warm_import_compiles_nothing():
    """The second process finds every kernel in the cache."""
    script = (
        "import numpy as np; from common.codec import huffman, huffman_kernels as k;"
        "s = np.zeros(9, np.uint8); d, n = huffman.encode(s, [1]); huffman.decode(d, n, 9, [1]);"
        "print(sum(k.decode_lane.stats.cache_misses.values()), sum(k.decode_lane.stats.cache_hits.values()))"
    )
    for _ in range(2):
        run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert run.stdout.split() == ["0", "1"]
