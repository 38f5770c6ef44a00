"""Positions as gaps, with skips, with fillers, by zones, and as bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.codec import huffman, position_kernels
from common.codec import positions as position_records
from common.codec import symbols as symbol_stream
from common.codec import zones as zone_search
from common.codec.byte_io import ByteReader, ByteWriter
from common.codec.gaps import decode_gaps, encode_gaps, encode_gaps_with_fillers, law_lengths
from common.codec.zones import MAX_LABEL, Zones, axis_counts, axis_sizes, labels_of
from tests import oracles

POSITIONS = st.sets(st.integers(0, 3000), max_size=60).map(lambda cells: np.array(sorted(cells), np.int64))
LABELS = st.lists(st.integers(0, MAX_LABEL), min_size=1, max_size=6).map(np.uint8)


def test_the_papers_example():
    """Figure 2: weights in cells 1, 4 and 15, gaps of 3 bits; a filler in cell 12, since 15 is 11 cells on.

    The figure counts distances from cell 0 (1, 3, 8, 3). A gap counts the cells between, from before cell 0,
    so that a weight in cell 0 has one, too: 1 cell before cell 1, 2 between 1 and 4, 7 between 4 and the
    filler in 12, 2 between 12 and 15. A skip stands in no cell: 7 cells are passed (5 to 11), then 3 more.
    """
    gaps, is_filler = encode_gaps_with_fillers(np.array([1, 4, 15]), 3)
    assert gaps.tolist() == [1, 2, 7, 2]
    assert is_filler.tolist() == [False, False, True, False]
    assert np.diff(np.cumsum(gaps + 1) - 1, prepend=0).tolist() == [1, 3, 8, 3]
    assert encode_gaps(np.array([1, 4, 15]), 3).tolist() == [1, 2, 7, 3]
    assert decode_gaps(np.array([1, 2, 7, 3]), 3).tolist() == [1, 4, 15]


@pytest.mark.parametrize(
    ("positions", "n_bits", "gaps"),
    [
        ([], 4, []),
        ([0], 1, [0]),
        ([0, 1, 2], 2, [0, 0, 0]),
        ([6], 3, [6]),
        ([7], 3, [7, 0]),  # a gap that is all ones is a skip, and the rest is 0
        ([8], 3, [7, 1]),
        ([14], 3, [7, 7, 0]),
        ([3], 1, [1, 1, 1, 0]),
    ],
)
def test_edges_of_gaps(positions, n_bits, gaps):
    assert encode_gaps(np.array(positions, dtype=np.int64), n_bits).tolist() == gaps
    assert decode_gaps(np.array(gaps, dtype=np.uint8), n_bits).tolist() == positions


@given(POSITIONS, st.integers(1, 16))
def test_gaps_come_back(positions, n_bits):
    gaps = encode_gaps(positions, n_bits)
    assert gaps.tolist() == oracles.gaps_slow(positions, n_bits)
    assert gaps.dtype == (np.uint8 if n_bits <= 8 else np.uint16)
    np.testing.assert_array_equal(decode_gaps(gaps, n_bits), positions)


def test_skips_at_the_end_have_no_place():
    gaps = np.array([0, 3, 1, 3, 3], dtype=np.uint8)
    assert decode_gaps(gaps, 2).tolist() == [0, 5]
    out = np.full(4, -7, dtype=np.int64)
    position_kernels.gap_positions(gaps, 2, out[1:3])
    assert out.tolist() == [-7, 0, 5, -7], "nothing is written beside the positions"


@given(POSITIONS, st.integers(1, 16))
def test_fillers_stand_in_cells(positions, n_bits):
    gaps, is_filler = encode_gaps_with_fillers(positions, n_bits)
    cells = np.cumsum(gaps.astype(np.int64) + 1) - 1
    np.testing.assert_array_equal(cells[~is_filler], positions)
    assert (gaps[is_filler] == 2**n_bits - 1).all()
    assert gaps.max(initial=0) < 2**n_bits


@pytest.mark.parametrize("encode", [encode_gaps, encode_gaps_with_fillers])
def test_what_cannot_be_gaps(encode):
    for n_bits in (0, 17):
        with pytest.raises(ValueError, match=f"n_bits: got {n_bits}"):
            encode(np.array([1]), n_bits)
    for positions in ([2, 2], [3, 1], [-1, 4]):
        with pytest.raises(ValueError, match="positions"):
            encode(np.array(positions), 3)
    with pytest.raises(ValueError, match="gaps: got 8 to 8"):
        decode_gaps(np.array([8]), 3)


def test_law_is_golombs_code():
    # One cell in two is kept: gap g has the probability 2 ** -(g + 1), and g + 1 bits.
    assert law_lengths(1, 2, 3).tolist() == [1, 2, 3, 4, 5, 6, 7, 7]
    # Golomb: where (1 - p) ** 4 is about 1/2, a length holds for four gaps.
    lengths = law_lengths(159, 1000, 5)
    assert lengths[:12].tolist() == [3] * 4 + [4] * 4 + [5] * 4


@pytest.mark.parametrize("n_bits", range(1, 13))
@pytest.mark.parametrize(("n_kept", "n_cells"), [(0, 1), (1, 1), (1, 2**33), (10, 1000), (999, 1000)])
def test_law_is_a_whole_code(n_kept, n_cells, n_bits):
    lengths = huffman.check_lengths(law_lengths(n_kept, n_cells, n_bits))
    assert lengths.shape == (2**n_bits,)
    assert lengths.all()


def test_labels_are_logarithms():
    # The fullest keeps 64. A power of two less is a label less, down to 1; nothing kept is 0.
    counts = np.array([64, 33, 32, 17, 16, 9, 8, 1, 0])
    assert labels_of(counts, 3, 2).tolist() == [3, 3, 2, 2, 1, 1, 1, 1, 0]
    assert labels_of(counts, 1, 2).tolist() == [1] * 8 + [0]
    # By halves of a power of two: the lines stand at 64 / 2 ** 0.5 = 45.25 and 32.
    assert labels_of(np.array([46, 45, 33, 32, 64]), 3, 1).tolist() == [3, 2, 2, 1, 3]
    assert labels_of(np.zeros(4, int), 8, 3).tolist() == [0] * 4
    assert labels_of(np.zeros(0, int), 8, 3).tolist() == []


@settings(deadline=None)
@given(LABELS, LABELS, LABELS, st.randoms(use_true_random=False))
def test_zones_number_their_cells(row_labels, column_labels, tap_labels, random):
    zones = Zones(row_labels, column_labels, tap_labels)
    slow = oracles.zones_slow(row_labels, column_labels, tap_labels)
    assert zones.n_cells.tolist() == [len(cells) for cells in slow] or not any(slow)
    positions = np.array(sorted(p for cells in slow for p in cells if random.random() < 0.5), dtype=np.int64)
    ranks = zones.ranks(positions)
    for zone, cells in enumerate(slow):
        kept = [cell for cell in cells if cell in positions]
        assert [cells[rank] for rank in ranks[zone]] == kept
        zones.locate_(zone, ranks[zone])
        assert ranks[zone].tolist() == kept


@pytest.mark.parametrize("shape", [(4, 5, 3, 2), (4, 5), (17,), (), (3, 0, 2), (0,)])
def test_counts_by_axis(shape):
    n = int(np.prod(shape))
    positions = np.flatnonzero(np.random.default_rng(0).random(n) < 0.4)
    counts = axis_counts(positions, axis_sizes(shape))
    where = np.unravel_index(positions, axis_sizes(shape))
    for of_axis, at, size in zip(counts, where, axis_sizes(shape), strict=True):
        assert of_axis.tolist() == np.bincount(at, minlength=size).tolist()


def as_bytes(positions, shape, **options):
    """Positions written and read back; returns the bytes."""
    writer = ByteWriter()
    position_records.write_positions(writer, positions, shape, **options)
    data = b"".join(writer.parts)
    reader = ByteReader(data, "positions")
    back = position_records.read_positions(reader, shape, positions.size)
    reader.done()
    np.testing.assert_array_equal(back, positions)
    assert back.dtype == np.int64
    assert writer.bits == reader.bits
    assert sum(writer.bits.values()) == 8 * len(data)
    return data


def uneven(shape, density, seed=0):
    """Positions with uneven rows and columns, some of them dead."""
    rng = np.random.default_rng(seed)
    rows, columns, taps = axis_sizes(shape)
    by_row, by_column = rng.normal(0, 1.2, (rows, 1, 1)), rng.normal(0, 1.2, (1, columns, 1))
    weight = np.exp(by_row + by_column + rng.normal(0, 0.3, taps))
    weight *= ((np.arange(rows) % 5 < 4)[:, None] & (np.arange(columns) % 3 < 2))[:, :, None]
    kept = rng.random(weight.shape) < np.minimum(weight * density / weight.mean(), 0.95)
    return np.flatnonzero(kept.reshape(-1))


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 9), max_size=4).map(tuple),
    st.one_of(st.just(0.0), st.just(1.0), st.floats(0, 1)),
    st.integers(0, 2**32),
)
def test_any_positions_come_back(shape, density, seed):
    n = int(np.prod(shape))
    positions = np.flatnonzero(np.random.default_rng(seed).random(n) < density)
    as_bytes(positions, shape)
    for plain in ("gaps", "bitmap"):
        as_bytes(positions, shape, plain=plain)


@pytest.mark.parametrize("density", [0.0005, 0.02, 0.1, 0.4, 0.9])
@pytest.mark.parametrize("shape", [(64, 48, 3, 3), (300, 200), (5000,), (3, 70, 5, 5)])
def test_smallest_is_the_smallest(shape, density):
    positions = uneven(shape, density)
    smallest = len(as_bytes(positions, shape))
    assert smallest <= len(as_bytes(positions, shape, plain="gaps"))
    assert smallest <= len(as_bytes(positions, shape, plain="bitmap"))


def test_dead_rows_and_columns_cost_a_bit_each():
    kept = np.zeros((64, 80), dtype=bool)
    kept[::3, ::4] = True
    data = as_bytes(np.flatnonzero(kept), kept.shape)
    assert len(data) <= 64 // 8 + 80 // 8 + 16


def test_uneven_densities_pay():
    """Rows and columns of very different densities: labels save over an eighth of plain gaps."""
    shape = (256, 128, 3, 3)
    positions = uneven(shape, 0.05)
    plain = len(as_bytes(positions, shape, plain="gaps"))
    assert len(as_bytes(positions, shape)) < 0.88 * plain


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("n_labels", [1, 3, 8])
def test_search_guesses_from_what_the_zones_hold(axis, n_labels):
    """The guess by one small table a search, and the same by grouping all positions anew."""
    positions, sizes = uneven((30, 40, 3, 3), 0.1), (30, 40, 9)
    counts = axis_counts(positions, sizes)
    labels = [labels_of(of_axis, 3, 2) for of_axis in counts]
    guess = zone_search._Lines(positions, counts, labels, axis).guess_bits(n_labels, 1)
    labels[axis] = labels_of(counts[axis], n_labels, 1)
    zones = Zones(*labels)
    bits = sum(huffman.entropy_bits(np.bincount(of_axis)) for of_axis in labels)
    for kept, cells in zip(zones.counts(positions).tolist(), zones.n_cells.tolist(), strict=True):
        bits += huffman.entropy_bits([kept, cells - kept]) + 56 * (kept > 0)
    assert guess == round(bits)


@given(st.lists(st.integers(0, 15), max_size=40))
def test_tables_of_code_lengths_come_back(lengths):
    writer = ByteWriter()
    symbol_stream._write_table(writer, np.uint8(lengths))
    reader = ByteReader(b"".join(writer.parts), "table")
    assert symbol_stream._read_table(reader, len(lengths), "lengths").tolist() == lengths
    reader.done()
    assert writer.bits == reader.bits


def test_tensors_too_large_for_labels():
    shape = (1, 2**20 + 1)
    data = as_bytes(np.array([5, 2**20]), shape)
    assert data[0] == 0
    with pytest.raises(ValueError, match="labelled axes"):
        position_records.read_positions(ByteReader(b"\1" + data[1:], "large"), shape, 2)


def test_positions_that_are_no_integers():
    for encode in (encode_gaps, encode_gaps_with_fillers):
        with pytest.raises(ValueError, match="positions: got float64, expected integers"):
            encode(np.array([0.5, 1.7]), 4)
        assert encode([], 4)[0].size == 0 if encode is encode_gaps_with_fillers else encode([], 4).size == 0


@pytest.mark.parametrize("n_rare", [0, 1, 5000])
def test_positions_of_zones_come_out_sorted(n_rare):
    rng = np.random.default_rng(n_rare)
    n_cells = 1_000_000
    positions = np.sort(rng.choice(n_cells, n_rare or 40_000, replace=False))
    mixed = rng.permutation(positions)
    position_records._sort_(mixed, n_cells)
    np.testing.assert_array_equal(mixed, positions)


def test_symbols_behind_the_last_of_a_block_are_refused():
    writer = ByteWriter()
    symbol_stream.write_blocks(writer, np.uint8([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]), 2, "index")
    data = b"".join(writer.parts)
    size = data[0]
    assert size > 1
    n_symbols = 12 - 12 % size + 1 if 12 % size else 12 - size + 1
    with pytest.raises(ValueError, match="zeros behind the last symbol"):
        symbol_stream.read_blocks(ByteReader(data, "w"), n_symbols, 2, "labels", "index")
