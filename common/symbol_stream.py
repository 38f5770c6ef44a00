"""A list of small integers as bytes: code lengths, then the Huffman-coded symbols.

Layout of a stream whose number of symbols and number of kinds are known to the reader::

    varint       payload bits
    table        the code lengths of all kinds, as runs of equal lengths (below)
    bytes        the stream of `common.huffman`

A table is a row of runs, each a length and how often it comes, until all kinds have one. The first length takes
four bits. Each later one differs from the run before: `0` one more, `10` one less, `11` and four bits any length.
How often is an Elias gamma code: n zeros, then the n + 1 bits of the number. The last byte is filled with zeros.
"""

from __future__ import annotations

import numpy as np

from common import huffman
from common.byte_reader import ByteReader, ByteWriter


def table_bits(lengths: np.ndarray) -> int:
    """Return the bits of the table of these code lengths, without padding."""
    return len(_spell_table(lengths))


def write_symbols(writer: ByteWriter, symbols: np.ndarray, n_kinds: int, kind: str) -> None:
    """Append symbols (uint8 or uint16, below `n_kinds`) with the table of their own best code."""
    counts = np.bincount(symbols, minlength=n_kinds)
    lengths = huffman.code_lengths(counts)
    data, n_bits = huffman.encode(symbols, lengths)
    writer.varint(n_bits)
    if n_kinds > 1:
        bits = _spell_table(lengths)
        padding = -len(bits) % 8
        n_bytes = (len(bits) + padding) // 8
        writer.put(int(bits + "0" * padding, 2).to_bytes(n_bytes, "big"), "table", padding)
    writer.put(data, kind, -n_bits % 8)


def read_symbols(reader: ByteReader, n_symbols: int, n_kinds: int, field: str, kind: str) -> np.ndarray:
    """Return `n_symbols` symbols below `n_kinds`, uint8 or (more than 256 kinds) uint16."""
    n_bits = reader.varint(f"{field} bits", most=n_symbols * huffman.MAX_LENGTH)
    lengths = _read_table(reader, n_kinds, field) if n_kinds > 1 else np.ones(n_kinds, dtype=np.uint8)
    data = reader.take(huffman.coded_bytes(n_bits, n_symbols), field, kind, -n_bits % 8)
    try:
        return huffman.decode(data, n_bits, n_symbols, lengths)
    except huffman.HuffmanError as error:
        raise reader.error(field, str(error), "a Huffman-coded stream") from error


def _spell_table(lengths: np.ndarray) -> str:
    """Return the table's bits as a string of 0 and 1: a table is a few dozen bits."""
    edges = np.flatnonzero(np.diff(lengths)) + 1
    starts = np.concatenate([[0], edges])
    runs = np.diff(np.concatenate([starts, [len(lengths)]]))
    spelt, previous = [], None
    for length, run in zip(lengths[starts].tolist(), runs.tolist(), strict=True):
        if previous is None:
            spelt.append(f"{length:04b}")
        elif length == previous + 1:
            spelt.append("0")
        elif length == previous - 1:
            spelt.append("10")
        else:
            spelt.append(f"11{length:04b}")
        spelt.append("0" * (run.bit_length() - 1) + f"{run:b}")
        previous = length
    return "".join(spelt)


def _read_table(reader: ByteReader, n_kinds: int, field: str) -> np.ndarray:
    """Return the code lengths of all kinds."""
    bits = _TableBits(reader, f"{field} code lengths")
    lengths = np.zeros(n_kinds, dtype=np.uint8)
    at, length = 0, bits.number(4)
    while True:
        n_zeros = 0
        while bits.number(1) == 0:
            n_zeros += 1
            if n_zeros >= n_kinds.bit_length():
                raise reader.error(bits.field, f"a run of more than {n_kinds}", "a run within the alphabet")
        run = 1 << n_zeros | bits.number(n_zeros)
        if run > n_kinds - at:
            raise reader.error(bits.field, f"{at + run} lengths", f"{n_kinds} lengths")
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
            raise reader.error(bits.field, length, f"another length of 0 to {huffman.MAX_LENGTH}")
    bits.close()
    return lengths


class _TableBits:
    """Bits of a table, one byte at a time from the reader."""

    def __init__(self, reader: ByteReader, field: str) -> None:
        self.field = field
        self._reader = reader
        self._byte = self._n_left = 0

    def number(self, n_bits: int) -> int:
        value = 0
        for _ in range(n_bits):
            if self._n_left == 0:
                self._byte, self._n_left = self._reader.byte(self.field, "table"), 8
            self._n_left -= 1
            value = value << 1 | (self._byte >> self._n_left & 1)
        return value

    def close(self) -> None:
        if self._byte & ((1 << self._n_left) - 1):
            raise self._reader.error(self.field, "set bits behind the table", "zero bits")
        self._reader.bits["table"] -= self._n_left
        self._reader.bits["padding"] += self._n_left
