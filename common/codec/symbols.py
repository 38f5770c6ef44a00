"""A list of small integers as bytes: streams, code lengths, blocks (specification: `common.codec.container`).

A Huffman code spends whole bits, and at least one, on every symbol. Where the kinds are few that is dear, and
several symbols are spelt as one: block coding (Shannon 1948, section 9).
"""

from __future__ import annotations

import numpy as np

from common.codec import huffman
from common.codec.byte_io import ByteReader, ByteWriter
from common.codec.huffman_kernels import count_symbols, spell_table

MAX_BLOCK = 8
_BLOCK_KINDS = 256
_MANY = 1 << 20


def code_bits(counts: np.ndarray) -> int:
    """Return the table and payload bits that symbols with these counts take in their best code."""
    lengths = huffman.code_lengths(counts)
    return payload_bits(counts, lengths) + spell_table(lengths).size


def payload_bits(counts: np.ndarray, lengths: np.ndarray) -> int:
    """Return the bits of symbols with these counts in the code of these lengths."""
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
    """Return the size of block that takes the fewest bits, and the table and payload bits it takes."""
    sizes = [size for size in range(1, MAX_BLOCK + 1) if size == 1 or n_kinds**size <= _BLOCK_KINDS]
    if symbols.size >= _MANY:  # a table is nothing then, and the largest block the best
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
    places = (np.arange(n_kinds**size)[:, None] // n_kinds ** np.arange(size) % n_kinds).astype(np.uint8)
    symbols = np.empty(blocks.size * size, dtype=np.uint8)
    by_block = symbols.reshape(-1, size)
    for start in range(0, blocks.size, _MANY):  # NumPy makes 8-byte numbers of indices: of a part at a time
        part = slice(start, start + _MANY)
        np.take(places, blocks[part], axis=0, out=by_block[part], mode="clip")
    if symbols[n_symbols:].any():
        raise reader.error(field, "a last block filled up otherwise", "zeros behind the last symbol")
    return symbols[:n_symbols]


def _join_blocks(symbols: np.ndarray, n_kinds: int, size: int) -> np.ndarray:
    """Return each `size` symbols as one."""
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
    bits = _TableBits(reader, field)
    at, length = 0, bits.number(4)
    while True:
        n_zeros = 0
        while bits.number(1) == 0:
            n_zeros += 1
            if n_zeros == n_kinds.bit_length():
                raise reader.error(field, f"a run of more than {n_kinds}", "a run within the alphabet")
        run = 1 << n_zeros | bits.number(n_zeros)
        if run > n_kinds - at:
            raise reader.error(field, f"{at + run} lengths", f"{n_kinds} lengths")
        lengths[at : at + run] = length
        at += run
        if at == n_kinds:
            break
        previous = length
        if bits.number(1) == 0:
            length += 1
        elif bits.number(1) == 0:
            length -= 1
        else:
            length = bits.number(4)
        if not 0 <= length <= huffman.MAX_LENGTH or length == previous:
            raise reader.error(field, length, f"another length of 0 to {huffman.MAX_LENGTH}")
    bits.close()
    return lengths


class _TableBits:
    """Bits of a table, one byte at a time from the reader."""

    def __init__(self, reader: ByteReader, field: str) -> None:
        self.field = field
        self._reader = reader
        self._left = self._n_left = 0

    def number(self, n_bits: int) -> int:
        while self._n_left < n_bits:
            self._left = self._left << 8 | self._reader.byte(self.field, "table")
            self._n_left += 8
        self._n_left -= n_bits
        value = self._left >> self._n_left
        self._left &= (1 << self._n_left) - 1
        return value

    def close(self) -> None:
        if self._left:
            raise self._reader.error(self.field, "set bits behind the table", "zero bits")
        self._reader.bits["table"] -= self._n_left
        self._reader.bits["padding"] += self._n_left
