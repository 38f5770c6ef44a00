"""A list of small integers as bytes: streams, code lengths, blocks (specification: `common.codec.container`).

A Huffman code spends whole bits, and at least one, on every symbol. With few kinds of symbols this can be far
above their entropy: two kinds cost one bit per symbol, even where one of them hardly ever occurs. So several
symbols are encoded as one, a *block* (Shannon 1948, section 9).
"""

from __future__ import annotations

import numpy as np

from common.codec import huffman
from common.codec import huffman_kernels as kernels
from common.codec.byte_io import ByteReader, ByteWriter
from common.codec.huffman_kernels import count_symbols, spell_table

MAX_BLOCK = 8
_BLOCK_KINDS = 256
_MANY = 1 << 20  # symbols from which fewer sizes of blocks are tried, and blocks that are unpacked at a time


def code_bits(counts: np.ndarray) -> int:
    """Return the table and payload bits that symbols with these counts take in their best code."""
    lengths = huffman.code_lengths(counts)
    return payload_bits(counts, lengths) + spell_table(lengths).size


def payload_bits(counts: np.ndarray, lengths: np.ndarray) -> int:
    """Return the bits that symbols with these counts take in the code of these lengths."""
    return int(counts @ lengths.astype(np.int64))


def write_symbols(writer: ByteWriter, symbols: np.ndarray, lengths: np.ndarray, kind: str) -> None:
    """Append symbols (uint8 or uint16) in a code that the reader knows."""
    data, n_bits = huffman.encode(symbols, lengths)
    writer.varint(n_bits, "header")
    writer.put(data, kind, -n_bits % 8)


def read_symbols(
    reader: ByteReader, n_symbols: int, lengths: np.ndarray, field: str, kind: str
) -> np.ndarray:
    """Return `n_symbols` symbols, uint8 or (more than 256 kinds) uint16."""
    n_bits = reader.varint(f"{field} bits", most=n_symbols * huffman.MAX_LENGTH)
    data = reader.take(huffman.coded_bytes(n_bits, n_symbols), field, kind, -n_bits % 8)
    try:
        return huffman.decode(data, n_bits, n_symbols, lengths)
    except huffman.HuffmanError as error:
        raise reader.error(field, str(error), "a Huffman-coded stream") from error


def write_blocks(writer: ByteWriter, symbols: np.ndarray, n_kinds: int, kind: str) -> None:
    """Append symbols in blocks of the size that takes the fewest bits."""
    size, _ = best_block(symbols, n_kinds)
    blocks = _join_blocks(symbols, n_kinds, size)
    lengths = huffman.code_lengths(count_symbols(blocks, n_kinds**size))
    writer.varint(size)
    _write_table(writer, lengths)
    write_symbols(writer, blocks, lengths, kind)


def best_block(symbols: np.ndarray, n_kinds: int) -> tuple[int, int]:
    """Return the symbols per block that take the fewest bits, and these bits: those of table and payload."""
    sizes = [size for size in range(1, MAX_BLOCK + 1) if size == 1 or n_kinds**size <= _BLOCK_KINDS]
    if symbols.size >= _MANY:  # the table's bits hardly count then, and the largest block is the best
        sizes = sorted({1, sizes[-1]})
    bits = [code_bits(count_symbols(_join_blocks(symbols, n_kinds, size), n_kinds**size)) for size in sizes]
    best = int(np.argmin(bits))
    return sizes[best], bits[best]


def read_blocks(reader: ByteReader, n_symbols: int, n_kinds: int, field: str, kind: str) -> np.ndarray:
    """Return `n_symbols` symbols below `n_kinds` that were written in blocks."""
    size = reader.byte(f"{field} block", most=MAX_BLOCK)
    if size == 0 or (size > 1 and n_kinds**size > _BLOCK_KINDS):
        raise reader.error(f"{field} block", size, f"blocks of at most {_BLOCK_KINDS} kinds")
    lengths = _read_table(reader, n_kinds**size, f"{field} code lengths")
    blocks = read_symbols(reader, -(-n_symbols // size), lengths, field, kind)
    if size == 1:
        return blocks
    # Row b holds the symbols of block b: the digits of b in base n_kinds, the lowest first.
    places = (np.arange(n_kinds**size)[:, None] // n_kinds ** np.arange(size) % n_kinds).astype(np.uint8)
    symbols = np.empty(blocks.size * size, dtype=np.uint8)
    by_block = symbols.reshape(-1, size)
    for start in range(0, blocks.size, _MANY):  # np.take copies its indices as int64: of one part at a time
        part = slice(start, start + _MANY)
        np.take(places, blocks[part], axis=0, out=by_block[part], mode="clip")
    if symbols[n_symbols:].any():
        raise reader.error(field, "a last block filled up otherwise", "zeros behind the last symbol")
    return symbols[:n_symbols]


def _join_blocks(symbols: np.ndarray, n_kinds: int, size: int) -> np.ndarray:
    """Return blocks: every `size` symbols a, b, c, ... as one, a + b * n_kinds + c * n_kinds ** 2 + ..."""
    if size == 1:
        return symbols
    filled = np.zeros(-(-symbols.size // size) * size, dtype=np.uint8)
    filled[: symbols.size] = symbols
    digits = filled.reshape(-1, size)
    blocks = digits[:, size - 1].copy()
    for place in range(size - 2, -1, -1):
        blocks *= np.uint8(n_kinds)
        blocks += digits[:, place]
    return blocks


def _write_table(writer: ByteWriter, lengths: np.ndarray) -> None:
    """Append the code lengths of all kinds."""
    bits = spell_table(lengths)
    writer.put(np.packbits(bits).tobytes(), "table", -bits.size % 8)


def _read_table(reader: ByteReader, n_kinds: int, field: str) -> np.ndarray:
    """Return the code lengths of all kinds."""
    lengths = np.zeros(n_kinds, dtype=np.uint8)
    if n_kinds == 0:
        return lengths
    rest = np.frombuffer(reader.rest() or bytes(1), dtype=np.uint8)[: reader.n_left]
    rest.flags.writeable = False
    n_bits, status, got = kernels.read_table(rest, lengths)
    if status == kernels.TABLE_ENDS:
        reader.take(rest.size + 1, field)  # raises: more than is left
    if status == kernels.TABLE_RUN:
        raise reader.error(field, f"a run of more than {n_kinds}", "a run within the alphabet")
    if status == kernels.TABLE_FULL:
        raise reader.error(field, f"{got} lengths", f"{n_kinds} lengths")
    if status == kernels.TABLE_LENGTH:
        raise reader.error(field, got, f"another length of 0 to {huffman.MAX_LENGTH}")
    table = reader.take(-(-n_bits // 8), field, "table", -n_bits % 8)
    if table[-1] & (0xFF >> ((n_bits - 1) % 8 + 1)):
        raise reader.error(field, "set bits behind the table", "zero bits")
    return lengths
