"""Positions of kept weights as bytes (specified in `common.codec.container`, section Positions).

The writer tries a few sets of labels (`common.codec.zones`). In each zone it tries gap widths around what the
mean distance needs, and a bitmap. It keeps what takes the fewest bytes.
"""

from __future__ import annotations

import math

import numpy as np

from common.codec import position_kernels as kernels
from common.codec.byte_io import ByteReader, ByteWriter
from common.codec.gaps import law_lengths, spell_gaps
from common.codec.symbols import (
    best_block,
    code_bits,
    payload_bits,
    read_blocks,
    read_symbols,
    write_blocks,
    write_symbols,
)
from common.codec.zones import MAX_LABEL, Zones, axis_sizes, can_label, candidates

MAX_WIDTH = 12
_NONE_KEPT, _BITMAP, _ALL_KEPT, _LAW = 0, 13, 14, 16
_BLOCK_WIDTH = 4  # widest gaps of which blocks can be made: two of 4 bits have 256 kinds
_PER_GAP = 4  # bytes of memory while a zone is read: the gap, its block, and a flag
_CHUNK = 1 << 20  # cells made into positions at a time
_RARE = 512  # cells per kept weight from which marking a bit per cell takes longer than sorting
_SIZE_BITS = 24  # of a gap stream: its number of gaps, its number of bits


def write_positions(
    writer: ByteWriter, positions: np.ndarray, shape: tuple[int, ...], *, plain: str = ""
) -> None:
    """Append ascending int64 positions; `plain` "gaps" or "bitmap" forces one zone in that coding."""
    best = None
    for labels in [None] if plain else candidates(positions, axis_sizes(shape)):
        attempt = ByteWriter()
        _write_zones(attempt, positions, shape, labels, plain)
        if best is None or attempt.n_bytes < best.n_bytes:
            best = attempt
    writer.append(best)


def read_positions(reader: ByteReader, shape: tuple[int, ...], n_kept: int) -> np.ndarray:
    """Return the `n_kept` ascending int64 positions."""
    sizes = axis_sizes(shape)
    labelled = reader.byte("labelled axes", "index", most=7 if can_label(sizes) else 0)
    zones = None
    if labelled:
        flags = [bool(labelled >> axis & 1) for axis in range(3)]
        labels = [_read_labels(reader, size, flag) for size, flag in zip(sizes, flags, strict=True)]
        zones = Zones(*labels)
    positions, n_read = np.empty(n_kept, dtype=np.int64), 0
    for zone, n_cells in enumerate([math.prod(shape)] if zones is None else zones.n_cells.tolist()):
        if n_cells:
            ranks = _read_zone(reader, n_cells, positions[n_read:])
            if zones is not None:
                zones.locate_(zone, ranks)
            n_read += ranks.size
    if n_read < n_kept:
        raise reader.error("positions", n_read, f"one per kept weight: {n_kept}")
    if zones is not None:
        _sort_(positions, math.prod(shape))
    return positions


def _sort_(positions: np.ndarray, n_cells: int) -> None:
    """Sort distinct positions in place: by marking a bit per cell, unless very few are kept."""
    if positions.size < 64 or positions.size < n_cells // _RARE:
        positions.sort(kind="stable")
    else:
        kernels.sort_positions(positions, np.zeros(n_cells // 64 + 1, dtype=np.uint64))


def _write_zones(
    writer: ByteWriter,
    positions: np.ndarray,
    shape: tuple[int, ...],
    labels: list[np.ndarray] | None,
    plain: str,
) -> None:
    """Append the labels and all zones; without labels, the one zone of all cells."""
    labelled = [labels is not None and bool((of_axis != 1).any()) for of_axis in labels or ()]
    writer.varint(sum(flag << axis for axis, flag in enumerate(labelled)), "index")
    if not any(labelled):
        _write_zone(writer, positions, math.prod(shape), plain)
        return
    for of_axis, flag in zip(labels, labelled, strict=True):
        if flag:
            n_labels = int(of_axis.max())
            writer.varint(n_labels, "index")
            write_blocks(writer, of_axis, n_labels + 1, "index")
    zones = Zones(*labels)
    for ranks, n_cells in zip(zones.ranks(positions), zones.n_cells.tolist(), strict=True):
        _write_zone(writer, ranks, n_cells)


def _read_labels(reader: ByteReader, size: int, is_labelled: bool) -> np.ndarray:
    """Return the labels of an axis: uint8 of shape (size,)."""
    if not is_labelled:
        return np.ones(size, dtype=np.uint8)
    n_labels = reader.byte("labels", "index", most=MAX_LABEL)
    return read_blocks(reader, size, n_labels + 1, "labels", "index")


def _write_zone(writer: ByteWriter, ranks: np.ndarray, n_cells: int, plain: str = "") -> None:
    """Append the numbers of the kept weights within a zone."""
    if n_cells == 0:
        return
    if ranks.size in (0, n_cells):
        writer.varint(_ALL_KEPT if ranks.size else _NONE_KEPT, "index")
        return
    coding, n_gaps = _BITMAP, 0
    if plain != "bitmap":
        coding, n_gaps = _best_coding(ranks, n_cells, may_be_bitmap=not plain)
    writer.varint(coding, "index")
    if coding == _BITMAP:
        bitmap = np.zeros(n_cells, dtype=np.uint8)
        bitmap[ranks] = 1
        writer.put(np.packbits(bitmap).tobytes(), "index", -n_cells % 8)
        return
    width = coding % _LAW
    gaps = spell_gaps(ranks, width, n_gaps)
    if coding < _LAW:
        writer.varint(gaps.size, "index")
        write_blocks(writer, gaps, 1 << width, "index")
    else:
        writer.varint(ranks.size, "index")
        writer.varint(gaps.size - ranks.size, "index")
        write_symbols(writer, gaps, law_lengths(ranks.size, n_cells, width), "index")


def _best_coding(ranks: np.ndarray, n_cells: int, *, may_be_bitmap: bool) -> tuple[int, int]:
    """Return the coding of a zone that takes the fewest bits, and its number of gaps (0 for a bitmap).

    Tried are a bitmap and a few gap widths, each with the code lengths in a table and with those of the
    geometric law.
    """
    best = (n_cells if may_be_bitmap else math.inf, _BITMAP, 0)
    usual = min((n_cells // ranks.size).bit_length(), MAX_WIDTH)
    narrowest, widest = max(usual - 2, 1), min(usual + 1, MAX_WIDTH)
    for width, counts in enumerate(kernels.gap_counts(ranks, narrowest, widest), narrowest):
        counts, n_gaps = counts[: 1 << width], int(counts.sum())
        by_law = payload_bits(counts, law_lengths(ranks.size, n_cells, width))
        if width <= _BLOCK_WIDTH:
            by_table = best_block(spell_gaps(ranks, width, n_gaps), 1 << width)[1]
        else:
            by_table = code_bits(counts)
        best = min(best, (by_law + _SIZE_BITS, _LAW + width, n_gaps), (by_table + _SIZE_BITS, width, n_gaps))
    return best[1:]


def _read_zone(reader: ByteReader, n_cells: int, out: np.ndarray) -> np.ndarray:
    """Return the numbers of the kept weights within a zone: the beginning of `out`, which is filled."""
    coding = reader.byte("zone", "index", most=_LAW + MAX_WIDTH)
    if coding == _NONE_KEPT:
        return out[:0]
    if coding == _ALL_KEPT:
        if n_cells > out.size:
            raise reader.error("zone", f"{n_cells} kept weights", f"at most {out.size}")
        for start in range(0, n_cells, _CHUNK):
            stop = min(start + _CHUNK, n_cells)
            out[start:stop] = np.arange(start, stop)
        return out[:n_cells]
    if _ALL_KEPT < coding <= _LAW:
        raise reader.error("zone", coding, "a known coding")
    read = _read_bitmap if coding == _BITMAP else _read_gaps
    ranks = read(reader, coding, n_cells, out)
    if ranks.size and ranks[-1] >= n_cells:
        raise reader.error("zone", f"a kept weight in cell {ranks[-1]}", f"at most {n_cells - 1}")
    return ranks


def _read_bitmap(reader: ByteReader, _coding: int, n_cells: int, out: np.ndarray) -> np.ndarray:
    """Return the numbers that a bitmap encodes, at the beginning of `out`."""
    data = reader.take(-(-n_cells // 8), "bitmap", "index", -n_cells % 8)
    bytes_ = np.frombuffer(data, dtype=np.uint8)
    n_kept = 0
    for start in range(0, bytes_.size, _CHUNK // 8):
        ranks = np.flatnonzero(np.unpackbits(bytes_[start : start + _CHUNK // 8])) + 8 * start
        n_kept += ranks.size
        if n_kept > out.size:
            raise reader.error("bitmap", f"{n_kept} kept weights", f"at most {out.size}")
        out[n_kept - ranks.size : n_kept] = ranks
    return out[:n_kept]


def _read_gaps(reader: ByteReader, coding: int, n_cells: int, out: np.ndarray) -> np.ndarray:
    """Return the numbers that a gap stream encodes, at the beginning of `out`."""
    width = coding % _LAW
    announced = None
    if coding < _LAW:
        n_gaps = reader.varint("gaps", "index", most=64 * reader.n_left)
        reader.charge(_PER_GAP * n_gaps, "gaps")
        gaps = read_blocks(reader, n_gaps, 1 << width, "gaps", "index")
    else:
        announced = reader.varint("kept weights", "index", most=min(out.size, n_cells))
        n_gaps = announced + reader.varint("skips", "index", most=8 * reader.n_left)
        reader.charge(_PER_GAP * n_gaps, "gaps")
        gaps = read_symbols(reader, n_gaps, law_lengths(announced, n_cells, width), "gaps", "index")
    skip = (1 << width) - 1
    if n_gaps == 0 or gaps[-1] == skip:
        raise reader.error("gaps", "a skip at the end", "a kept weight")
    n_kept = int(np.count_nonzero(gaps != skip))
    if n_kept > out.size:
        raise reader.error("gaps", f"{n_kept} kept weights", f"at most {out.size}")
    if announced is not None and n_kept != announced:
        raise reader.error("gaps", f"{n_kept} kept weights", f"as many as announced: {announced}")
    kernels.gap_positions(gaps, width, out[:n_kept])
    reader.charge(-_PER_GAP * n_gaps, "gaps")
    return out[:n_kept]
