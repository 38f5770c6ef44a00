"""Week 7, second half: symbols to bytes and back, and the table of lengths as the file has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from common import huffman
from common.checks.calling import call, pair
from common.checks.comparing import as_array, expect
from common.checks.pictures import side_by_side
from common.checks.verdict import NotYet, check
from common.table_kernels import spell_table

_LENGTHS = np.array([1, 3, 0, 2, 3])  # words 0, 110, -, 10, 111
_SYMBOLS = np.uint8([3, 0, 4, 1, 0, 3, 3])


def _bits(data: bytes) -> np.ndarray:
    """Bits of bytes, a row of eight for each."""
    return np.unpackbits(np.frombuffer(data, np.uint8)).reshape(-1, 8)


def _refuses(answer: Callable, *arguments: object, told: str, hint: str) -> None:
    """Raise `NotYet` unless the answer raises ValueError."""
    try:
        with np.errstate(all="ignore"):
            result = answer(*arguments)
    except ValueError:
        return
    except Exception as error:
        name = type(error).__name__
        raise NotYet(f"It raises {name} for {told}, expected ValueError.", hint=hint) from None
    raise NotYet(f"It returns a {type(result).__name__} for {told}, expected ValueError.", hint=hint)


@check(5, "encode")
def check_encode(answer: Callable) -> str:
    """(bytes, payload bits): words in a row, the first bit in the highest bit of the first byte."""
    got = call(answer, _SYMBOLS, _LENGTHS, told="seven symbols")
    data, n_bits = pair(got, 2, "the bytes, and the number of payload bits")
    if not isinstance(data, bytes | bytearray):
        hint = "bytes(...) of a list of numbers below 256, or np.packbits(...).tobytes()."
        raise NotYet(f"The data is of type {type(data).__name__}, expected bytes.", hint=hint)
    wanted, n_wanted = huffman.encode(_SYMBOLS, _LENGTHS)
    hints = {
        8 * len(wanted): "Padding is no payload: count the words' bits only.",
        len(wanted): "Bits are asked for, not bytes.",
        _SYMBOLS.size: "That is how many symbols there are.",
    }
    suspects = [(hint, value) for value, hint in hints.items()]
    expect(n_bits, n_wanted, suspects=suspects, what="The number of payload bits")
    expect_bytes(bytes(data), wanted, n_wanted)
    data, n_bits = pair(call(answer, _SYMBOLS[:0], _LENGTHS, told="no symbols"), 2, "bytes and bits")
    if bytes(data) != b"" or n_bits != 0:
        raise NotYet("No symbols do not give no bytes and 0 bits.", hint="Is a byte of padding added anyway?")
    data, n_bits = pair(
        call(answer, np.full(9, 1, np.uint8), np.array([0, 1]), told="nine times the only symbol"), 2, "two"
    )
    if (bytes(data), n_bits) != (b"\0\0", 9):
        raise NotYet("Nine symbols of one kind are wrong.", hint="Its word is a 0 of one bit, each time.")
    rng = np.random.default_rng(3)
    symbols = rng.binomial(20, 0.4, 2000).astype(np.uint8)
    lengths = huffman.code_lengths(np.bincount(symbols, minlength=21)).astype(np.int64)
    data, n_bits = pair(call(answer, symbols, lengths, told="2,000 symbols"), 2, "bytes and bits")
    expect_bytes(bytes(data), *huffman.encode(symbols, lengths))
    _refuses(
        answer, np.uint8([0, 2]), _LENGTHS, told="a symbol without a word",
        hint="A symbol of length 0 would vanish without a trace: refuse it.",
    )  # fmt: skip
    return "Words in a row, the highest bit first, zeros behind; none, one kind, and a symbol without a word."


def expect_bytes(data: bytes, wanted: bytes, n_bits: int) -> None:
    """Raise `NotYet` with the usual mistakes of packing bits, unless both are the same bytes."""
    if data == wanted:
        return
    padding = -n_bits % 8
    number = int.from_bytes(wanted, "big")
    suspects = {
        np.packbits(_bits(wanted)[:, ::-1]).tobytes():
            "The bits of each byte are in reverse order: the first bit is the highest of its byte.",
        (number >> padding).to_bytes(len(wanted), "big"):
            "The zeros that fill up the last byte stand at the front: shift the bits to the left.",
        (number | (1 << padding) - 1).to_bytes(len(wanted), "big"): "The last byte is filled up with zeros.",
        wanted[::-1]: "The bytes are in reverse order.",
        wanted[: n_bits // 8]: "The last byte, which is not full, is missing.",
        "".join(map(str, np.unpackbits(np.frombuffer(wanted, np.uint8))[:n_bits])).encode():
            "Those are the characters '0' and '1', a byte for every bit: eight bits make one byte.",
        np.unpackbits(np.frombuffer(wanted, np.uint8))[:n_bits].tobytes():
            "A byte for every bit: eight bits make one byte.",
    }  # fmt: skip
    hint = suspects.get(data, "")
    if not hint and len(data) < len(wanted):
        hint = "Too few bytes: a word of length 3 has three bits, also when its number begins with zeros."
    if not hint and len(data) == len(wanted) + 1 and data[:-1] == wanted:
        hint = "A byte too many at the end: no padding where the bits fill the last byte, or a full one more."
    picture = ""
    if 0 < len(data) <= 4 and len(wanted) <= 4:
        picture = side_by_side({"symbols": _SYMBOLS, "lengths": _LENGTHS, "your bits": _bits(data)})
    if len(data) != len(wanted):
        message = f"{len(data)} bytes, expected {len(wanted)}."
    else:
        differing = [at for at, (a, b) in enumerate(zip(data, wanted, strict=True)) if a != b]
        message = f"The bytes differ from byte {differing[0]} on."
    hint = hint or "Join the words from `canonical_codes`, each in its length."
    raise NotYet(message, hint=hint, picture=picture)


@check(6, "decode")
def check_decode(answer: Callable) -> str:
    """The symbols again; ValueError where the bits are no `n_symbols` words."""
    data, n_bits = huffman.encode(_SYMBOLS, _LENGTHS)
    what = "The list of symbols"
    got = as_array(call(answer, data, n_bits, _SYMBOLS.size, _LENGTHS, told="seven symbols"), what)
    reverse = _decoded(np.packbits(_bits(data)[:, ::-1]).tobytes(), _SYMBOLS.size)
    suspects = [
        ("The bits of each byte are read in reverse order: the highest comes first.",
         *([] if reverse is None else [reverse])),
        ("Those are the places in the canonical order: look up which symbol stands there.",
         np.array([{0: 0, 3: 1, 1: 2, 4: 3}[symbol] for symbol in _SYMBOLS.tolist()])),
        ("The symbols are in reverse order.", _SYMBOLS[::-1]),
        ("The last symbol is missing.", _SYMBOLS[:-1]),
        ("The padding was read, too: stop after n_symbols.", np.append(_SYMBOLS, 0)),
        ("Those are words, not symbols.", huffman.canonical_codes(_LENGTHS)[_SYMBOLS]),
        ("Those are lengths, not symbols.", _LENGTHS[_SYMBOLS]),
    ]  # fmt: skip
    expect(
        got, _SYMBOLS, suspects=suspects, what=what, shown={"lengths": _LENGTHS},
        unknown="Read bit by bit; a word is whole when its length *and* its bits fit.",
    )  # fmt: skip
    got = as_array(call(answer, b"", 0, 0, _LENGTHS, told="no symbols"))
    if got.size:
        raise NotYet("No symbols do not come back as none.")
    got = call(answer, b"\0\0", 9, 9, np.array([0, 1]), told="nine times the only symbol")
    expect(got, np.ones(9), what="Nine times the only symbol", unknown="Its word is a single 0.")
    rng = np.random.default_rng(4)
    symbols = rng.binomial(30, 0.4, 3000).astype(np.uint8)
    lengths = huffman.code_lengths(np.bincount(symbols, minlength=31)).astype(np.int64)
    stream, n_long = huffman.encode(symbols, lengths)
    got = call(answer, stream, n_long, symbols.size, lengths, told="3,000 symbols")
    expect(got, symbols, what="The list of 3,000 symbols")
    for arguments, told, hint in (
        ((data, n_bits, 9, _LENGTHS), "more symbols than the bits spell",
         "The padding is no payload: past n_bits nothing may be read."),
        ((data, n_bits, 6, _LENGTHS), "fewer symbols than the bits spell",
         "After the last symbol exactly n_bits must have been read, else the stream is damaged."),
        ((b"\x80", 1, 1, np.array([0, 1])), "a 1 where the only word is 0", "No word matches: refuse it."),
    ):  # fmt: skip
        _refuses(answer, *arguments, told=told, hint=hint)
    return "Symbols come back; none, one kind, 3,000; damaged streams are refused."


def _decoded(data: bytes, n_symbols: int) -> np.ndarray | None:
    """What other bits would spell, if anything."""
    words = {(1, 0): 0, (3, 6): 1, (2, 2): 3, (3, 7): 4}
    symbols, word, length = [], 0, 0
    for bit in _bits(data).reshape(-1).tolist():
        word, length = word << 1 | bit, length + 1
        if (length, word) in words:
            symbols.append(words[length, word])
            word = length = 0
    return np.array(symbols[:n_symbols]) if len(symbols) >= n_symbols else None


def _read(data: bytes, n_kinds: int, *, step: int = 1, gamma: int = 0, absolute: int = 4) -> tuple[list, int]:
    """A table of lengths, with switches for what goes wrong; bits behind the data are zeros."""
    bits = iter([*_bits(data).reshape(-1).tolist(), *[0] * 200])
    n_read = 0

    def number(n: int) -> int:
        nonlocal n_read
        n_read += n
        value = 0
        for _ in range(n):
            value = value << 1 | next(bits, 0)
        return value

    lengths, length = [], number(4)
    while len(lengths) < n_kinds and n_read < 8 * len(data) + 60:
        n_zeros = 0
        while number(1) == 0 and n_zeros < 12:
            n_zeros += 1
        run = (1 << n_zeros | number(n_zeros)) + gamma
        lengths += [length] * max(run, 1)
        if len(lengths) < n_kinds:
            steps = length + step if number(1) == 0 else length - step if number(1) == 0 else None
            length = number(absolute) if steps is None else steps
    return lengths[:n_kinds], -(-n_read // 8)


def _tables() -> Iterator[tuple[np.ndarray, bytes, int]]:
    jumps = [0, 0, 5, 5, 4, 3, 2, 1, 0], [1, 0, 2, 3, 3, 0, 0, 0]
    for lengths in ([3, 3, 2, 2, 2, 2], [0, 2, 2, 2, 2], *jumps):
        bits = spell_table(np.array(lengths, np.uint8))
        yield np.array(lengths), np.packbits(bits).tobytes(), bits.size
    lengths = huffman.code_lengths(np.random.default_rng(5).integers(0, 90, 200))
    bits = spell_table(lengths)
    yield lengths.astype(np.int64), np.packbits(bits).tobytes(), bits.size


@check(7, "read_lengths")
def check_read_lengths(answer: Callable) -> str:
    """(lengths, bytes that the table takes), from bytes that go on behind the table."""
    for lengths, table, n_bits in _tables():
        data, n_kinds = table + b"\xa5\x5a\xff", lengths.size
        told = f"a table of {n_kinds} lengths"
        got = pair(call(answer, data, n_kinds, told=told), 2, "the lengths, and how many bytes they take")
        suspects = [
            ("After a first length: `0` is one *more*, `10` one less.", _read(data, n_kinds, step=-1)[0]),
            ("A run is an Elias gamma code: n zeros, a one, n bits; the one counts, as the highest bit.",
             _read(data, n_kinds, gamma=1)[0], _read(data, n_kinds, gamma=-1)[0]),
            ("A length after `11` has four bits.", _read(data, n_kinds, absolute=3)[0]),
            ("The bits of each byte are read in reverse order.",
             _read(np.packbits(_bits(data)[:, ::-1]).tobytes(), n_kinds)[0]),
        ]  # fmt: skip
        shown = {"table": _bits(table)} if len(table) <= 4 else {}
        expect(
            got[0], lengths, suspects=suspects, what="The list of lengths", shown=shown,
            unknown="The first length in four bits; then runs and steps, until n_kinds are there.",
        )  # fmt: skip
        suspects = [
            ("Bytes are asked for, not bits.", n_bits),
            ("The table ends before the end of the data: count what was read.", len(data)),
            ("Round up: a byte that was begun belongs to the table.", n_bits // 8),
            ("Round up only where the last byte is not full.", n_bits // 8 + 1),
        ]
        expect(got[1], len(table), suspects=suspects, what="The number of bytes")
    return "Runs and steps in tables of 4 to 200 lengths, and where they end."
