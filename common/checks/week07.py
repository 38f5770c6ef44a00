"""The questions of week 7: a codec that reads the course's own streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from common.checks import grading
from common.checks.comparing import as_array, call, expect, kind_of, pair, refuses, side_by_side
from common.checks.grading import Grades, NotYet, Question, check
from common.codec import huffman
from common.codec.huffman_kernels import spell_table

# ----------------------------------------------------------------------------------------------------
# Week 7, first half: entropy, Huffman's lengths, complete codes, canonical words.


@check(1, "entropy")
def check_entropy(answer: Callable) -> str:
    """Bits per symbol, from counts; a count of 0 adds nothing."""
    for counts in (np.array([8, 1, 0, 4, 3]), np.array([0, 500, 20, 3, 3, 0, 1, 90])):
        _check_entropy_of(answer, counts)
    got = call(answer, np.array([0, 7]), told="one kind only")
    expect(got, 0.0, what="The entropy of one kind", unknown="A symbol that is certain does not surprise.")
    return "Bits per symbol, with absent kinds, and of a single kind."


def _check_entropy_of(answer: Callable, counts: np.ndarray) -> None:
    got = call(answer, counts, told=f"{counts.size} counts, some of them 0")
    used = counts[counts > 0]
    p = used / counts.sum()
    wanted = -(p * np.log2(p)).sum()
    if np.isnan(as_array(got, "The entropy").astype(float)).any():
        raise NotYet(
            "The entropy is nan.",
            hint="0 · log 0 is nan in NumPy: leave out the kinds of count 0.",
            picture=side_by_side({"counts": counts}),
        )
    suspects = [
        ("The base is 2, not e or 10.", wanted * np.log(2), wanted * np.log10(2)),
        ("That is for all symbols together: an entropy is per symbol.", wanted * counts.sum()),
        ("The sign is wrong: a logarithm of a share is negative, the surprise is not.", -wanted),
        ("The surprises are averaged over the kinds: weigh each by its share.", -np.log2(p).mean()),
        ("The surprises are added up: weigh each by its share.", -np.log2(p).sum()),
        (
            "Those are the bits of a fixed width, whatever the counts: weigh by the shares.",
            *(bits(n) for n in (counts.size, used.size) for bits in (np.log2, lambda n: np.ceil(np.log2(n)))),
        ),
        (
            "Counts are not shares yet: divide by their sum first.",
            -(used * np.log2(used)).sum(),
            (used * np.log2(used)).sum(),
        ),
        ("That is the Gini index of week 2.", 1 - (p**2).sum()),
        (
            "Divided by the number of kinds, not by the sum of the counts.",
            wanted * counts.sum() / counts.size,
        ),
    ]
    expect(got, wanted, suspects=suspects, what="The entropy", shown={"counts": counts})


_COUNTS = (
    np.array([40, 22, 16, 12, 7, 3]),
    np.array([5, 1, 0, 2]),
    np.array([3, 3, 3, 3, 3]),
    np.array([1, 1, 2, 3, 5, 8, 13, 21]),
    np.array([2, 9, 0, 4, 4, 30, 1, 1, 0]),
    np.random.default_rng(1).integers(1, 500, 40),
)


@check(2, "code_lengths")
def check_code_lengths(answer: Callable) -> str:
    """Lengths of an optimal prefix code: any tie may be broken in any way."""
    for counts in _COUNTS:
        told = f"counts {counts.tolist()}" if counts.size < 10 else f"{counts.size} counts"
        lengths = as_array(call(answer, counts, told=told), "The list of lengths")
        picture = side_by_side({"counts": counts, "yours": lengths})
        if lengths.shape != counts.shape:
            raise NotYet(
                f"It has shape {lengths.shape}, expected one length per count: {counts.shape}.",
                picture=picture,
            )
        if not np.array_equal(lengths, np.rint(lengths)) or (lengths < 0).any():
            raise NotYet("A length is not a whole number of bits.", picture=picture)
        _check_optimal(counts, lengths.astype(np.int64), picture)
    for counts, hint in (
        ([0, 6, 0], "A single kind still spends one bit per symbol: length 1."),
        ([0, 0], "Without symbols there is no tree, and every length is 0."),
    ):
        lengths = call(answer, np.array(counts), told=f"counts {counts}")
        wanted = [int(count > 0) for count in counts]
        expect(lengths, wanted, what=f"The answer for counts {counts}", unknown=hint)
    return "Optimal lengths, ties, absent symbols, a single symbol, and none."


def _check_optimal(counts: np.ndarray, lengths: np.ndarray, picture: str) -> None:
    """Raise `NotYet` with what is wrong with these lengths."""
    used = counts > 0
    if lengths[~used].any():
        raise NotYet(
            "A symbol of count 0 has a length.", hint="Absent symbols get no leaf: length 0.", picture=picture
        )
    if (lengths[used] == 0).any():
        raise NotYet(
            "A symbol that occurs has length 0.",
            hint="Each leaf's length is its depth: is a leaf lost?",
            picture=picture,
        )
    if np.array_equal(lengths[used], counts[used]):
        raise NotYet("Those are the counts.", hint="Bits are asked for, not counts.", picture=picture)
    kraft = (2.0 ** -lengths[used].astype(float)).sum()
    shannon = np.ceil(-np.log2(counts[used] / counts.sum())).astype(int)
    if np.array_equal(lengths[used], shannon) and kraft < 1:
        raise NotYet(
            "The lengths are longer than they need to be.",
            picture=picture,
            hint="That is the surprise rounded up, as Shannon did: Huffman joins the two rarest.",
        )
    if abs(kraft - 1) > 1e-9:
        hint = (
            "No prefix code has such lengths: every join adds one bit to *all* symbols below it."
            if kraft > 1
            else "Bits are wasted: is every length one too large, or a join made of one node?"
        )
        raise NotYet(f"The Kraft sum is {kraft:.4g}, expected exactly 1.", hint=hint, picture=picture)
    best = counts @ huffman.code_lengths(counts).astype(np.int64)
    if counts @ lengths == best:
        return
    order = np.argsort(-counts[used], kind="stable")
    falling = lengths[used][order]
    more, longer = (np.subtract.outer(part, part) > 0 for part in (counts[used], lengths[used]))
    if (more & longer).any() and not (more & longer.T).any():
        hint = "Frequent symbols have the long words: join the two *smallest* counts, not the largest."
    elif np.array_equal(np.sort(falling), [*range(1, falling.size), falling.size - 1]):
        hint = "A list, not a tree: a joined node has the *sum* of both counts, and goes back among all."
    elif falling.max() - falling.min() <= 1:
        hint = "Nearly equal lengths: are the counts of joined nodes added up, and put back among the others?"
    else:
        hint = "A prefix code, but not the shortest: after each join look for the two smallest again."
    raise NotYet(
        f"The symbols take {counts @ lengths} bits, more than they need to.", hint=hint, picture=picture
    )


_COMPLETE = (
    ([1, 2, 2], True, "½ + ¼ + ¼ is exactly 1."),
    ([2, 2, 2], False, "A Kraft sum below 1 leaves bit patterns that no word owns: not complete."),
    ([1, 1, 1], False, "A Kraft sum above 1: no prefix code has these lengths."),
    ([1, 0, 2, 2], True, "Length 0 means that the symbol does not occur: it owns nothing, and 2⁻⁰ is 1."),
    ([0, 1, 0], True, "One symbol of length 1 is allowed, although half of the interval is empty."),
    ([0, 3, 0], False, "A single symbol has length 1, no other."),
    ([2, 0], False, "A single symbol has length 1, no other."),
    ([0, 0, 0], True, "No symbols at all need no words: that is allowed."),
    ([2, 2, 2, 3, 0, 3], True, "¾ + ⅛ + ⅛ is exactly 1."),
    ([3, 1, 3, 3], False, "A Kraft sum below 1 leaves bit patterns that no word owns: not complete."),
    ([1, 1], True, "Two words of one bit, 0 and 1, leave nothing over."),
    ([*range(1, 15), 15, 15], True, "Long words count, too: 2⁻¹⁵ and 2⁻¹⁵ make 2⁻¹⁴."),
    ([*range(1, 15), 15], False, "The sum lacks 2⁻¹⁵: nearly 1 is not 1. Calculate in whole numbers."),
)


@check(3, "is_complete")
def check_is_complete(answer: Callable) -> str:
    """Whether lengths are a code that the file format takes."""
    wrong = []
    for lengths, wanted, hint in _COMPLETE:
        got = call(answer, np.array(lengths), told=f"lengths {lengths}")
        if getattr(got, "shape", None) == ():  # a truth value of NumPy or torch
            got = got.item()
        if not isinstance(got, int) or got not in (0, 1):
            hint = "Compare the sum with 1." if isinstance(got, float) else ""
            raise NotYet(f"It returns {kind_of(got)}, expected True or False.", hint=hint)
        if bool(got) != wanted:
            wrong.append((lengths, bool(got), hint))
    if len(wrong) == len(_COMPLETE):
        raise NotYet("Every answer is the opposite.", hint="True means that the lengths are a code.")
    if wrong:
        lengths, got, hint = wrong[0]
        raise NotYet(f"It says {got} for the lengths {lengths}.", hint=hint)
    return "Complete and incomplete codes, absent symbols, a single one, and none."


def _words(lengths: np.ndarray, *, key=lambda length, symbol: (length, symbol), shift=True, first=0):
    """Canonical codes with a switch for what goes wrong."""
    codes, word, before = [0] * len(lengths), first, 0
    used = [(length, symbol) for symbol, length in enumerate(lengths) if length]
    for length, symbol in sorted(used, key=lambda pair: key(*pair)):
        if shift:
            word = word << (length - before) if length >= before else word >> (before - length)
        codes[symbol], before = word, length
        word += 1
    return codes


@check(4, "canonical_codes")
def check_canonical_codes(answer: Callable) -> str:
    """The word of each symbol as a number: shorter first, of equals the lower symbol, counting."""
    for lengths in ([2, 0, 3, 1, 3], [3, 3, 2, 2, 2], [4, 4, 3, 1, 2], [0, 1, 0], [0, 0]):
        got = call(answer, np.array(lengths), told=f"lengths {lengths}")
        if isinstance(got, list | tuple) and any(isinstance(code, str) for code in got):
            raise NotYet("It returns words as text.", hint="Numbers are asked for: '110' is 6.")
        wanted = huffman.canonical_codes(lengths)
        reverse = [int(f"{code:0{n}b}"[::-1], 2) if n else 0 for code, n in zip(wanted, lengths, strict=True)]
        ones = [(1 << n) - 1 - int(code) if n else 0 for code, n in zip(wanted, lengths, strict=True)]
        suspects = [
            (
                "Of equally long words the lower symbol comes first.",
                _words(lengths, key=lambda length, symbol: (length, -symbol)),
            ),
            (
                "Shorter words come first: sort by length, then by symbol.",
                _words(lengths, key=lambda length, symbol: symbol),
            ),
            (
                "The shortest words come first, not the longest.",
                _words(lengths, key=lambda length, symbol: (-length, symbol)),
            ),
            (
                "When words get longer, zeros are appended: shift to the left by the difference.",
                _words(lengths, shift=False),
            ),
            ("The first word is all zeros: start counting at 0.", _words(lengths, first=1)),
            (
                "The words' bits are in reverse order: the first bit of a word is the highest of its number.",
                reverse,
            ),
            ("Zeros and ones are exchanged.", ones),
        ]
        expect(
            got,
            wanted,
            suspects=suspects,
            what="The list of codes",
            shown={"lengths": np.array(lengths)},
            unknown="Count upwards; where the length grows, shift to the left. Absent symbols get 0.",
        )
        if as_array(got).dtype.kind == "f":
            raise NotYet(
                "The codes are floats.", hint="Words are bits: whole numbers, so that << works on them."
            )
    lengths = huffman.code_lengths(_COUNTS[-1])
    got = call(answer, lengths.astype(np.int64), told="40 lengths")
    expect(got, huffman.canonical_codes(lengths), what="The list of 40 codes")
    return "Words of one and of several lengths, absent symbols, a single one, and 40."


# ----------------------------------------------------------------------------------------------------
# Week 7, second half: symbols to bytes and back, and the table of lengths as the file has it.

_LENGTHS = np.array([1, 3, 0, 2, 3])  # words 0, 110, -, 10, 111
_SYMBOLS = np.uint8([3, 0, 4, 1, 0, 3, 3])


def _bits(data: bytes) -> np.ndarray:
    """Bits of bytes, a row of eight for each."""
    return np.unpackbits(np.frombuffer(data, np.uint8)).reshape(-1, 8)


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
        8 * len(wanted): "Padding is not payload: count only the bits of the words.",
        len(wanted): "Bits are asked for, not bytes.",
        _SYMBOLS.size: "That is how many symbols there are.",
    }
    suspects = [(hint, value) for value, hint in hints.items()]
    expect(n_bits, n_wanted, suspects=suspects, what="The number of payload bits")
    expect_bytes(bytes(data), wanted, n_wanted)
    data, n_bits = pair(call(answer, _SYMBOLS[:0], _LENGTHS, told="no symbols"), 2, "bytes and bits")
    if bytes(data) != b"" or n_bits != 0:
        raise NotYet(
            "For no symbols, no bytes and 0 bits are expected.", hint="Is a byte of padding added anyway?"
        )
    data, n_bits = pair(
        call(answer, np.full(9, 1, np.uint8), np.array([0, 1]), told="nine times the only symbol"),
        2,
        "bytes and bits",
    )
    if (bytes(data), n_bits) != (b"\0\0", 9):
        raise NotYet(
            "Nine times the only symbol is encoded wrongly.",
            hint="Its word is a single 0 bit, written once per symbol.",
        )
    rng = np.random.default_rng(3)
    symbols = rng.binomial(20, 0.4, 2000).astype(np.uint8)
    lengths = huffman.code_lengths(np.bincount(symbols, minlength=21)).astype(np.int64)
    data, n_bits = pair(call(answer, symbols, lengths, told="2,000 symbols"), 2, "bytes and bits")
    expect_bytes(bytes(data), *huffman.encode(symbols, lengths))
    refuses(
        answer,
        np.uint8([0, 2]),
        _LENGTHS,
        told="a symbol without a word",
        hint="A symbol of length 0 would vanish without a trace: refuse it with a ValueError.",
    )
    return (
        "Words in a row, the highest bit first, padding at the end; none, one kind, a symbol without a word."
    )


def expect_bytes(data: bytes, wanted: bytes, n_bits: int) -> None:
    """Raise `NotYet` with the usual mistakes of packing bits, unless both are the same bytes."""
    if data == wanted:
        return
    padding = -n_bits % 8
    number = int.from_bytes(wanted, "big")
    suspects = {
        np.packbits(
            _bits(wanted)[:, ::-1]
        ).tobytes(): "The bits of each byte are in reverse order: the first bit is the highest of its byte.",
        (number >> padding).to_bytes(
            len(wanted), "big"
        ): "The zeros that fill up the last byte stand at the front: shift the bits to the left.",
        (number | (1 << padding) - 1).to_bytes(
            len(wanted), "big"
        ): "The last byte is filled up with zeros, not with ones.",
        wanted[::-1]: "The bytes are in reverse order.",
        wanted[: n_bits // 8]: "The last byte, which is not full, is missing.",
        "".join(
            map(str, np.unpackbits(np.frombuffer(wanted, np.uint8))[:n_bits])
        ).encode(): "Those are the characters '0' and '1', a byte for every bit: eight bits make one byte.",
        np.unpackbits(np.frombuffer(wanted, np.uint8))[
            :n_bits
        ].tobytes(): "A byte for every bit: eight bits make one byte.",
    }
    hint = suspects.get(data, "")
    if not hint and len(data) < len(wanted):
        hint = "Too few bytes: a word of length 3 has three bits, also when its number begins with zeros."
    if not hint and len(data) == len(wanted) + 1 and data[:-1] == wanted:
        hint = "One byte too many at the end: where the bits fill the last byte, there is no padding."
    picture = ""
    if 0 < len(data) <= 4 and len(wanted) <= 4:
        picture = side_by_side({"symbols": _SYMBOLS, "lengths": _LENGTHS, "your bits": _bits(data)})
    if len(data) != len(wanted):
        message = f"{len(data)} bytes, expected {len(wanted)}."
    else:
        differing = [at for at, (a, b) in enumerate(zip(data, wanted, strict=True)) if a != b]
        message = f"The bytes differ from byte {differing[0]} on."
    hint = hint or "Join the words from `canonical_codes`, each with its own number of bits."
    raise NotYet(message, hint=hint, picture=picture)


@check(6, "decode")
def check_decode(answer: Callable) -> str:
    """The symbols again; ValueError where the bits are not exactly `n_symbols` words."""
    data, n_bits = huffman.encode(_SYMBOLS, _LENGTHS)
    what = "The list of symbols"
    got = as_array(call(answer, data, n_bits, _SYMBOLS.size, _LENGTHS, told="seven symbols"), what)
    reverse = _decoded(np.packbits(_bits(data)[:, ::-1]).tobytes(), _SYMBOLS.size)
    suspects = [
        (
            "The bits of each byte are read in reverse order: the highest comes first.",
            *([] if reverse is None else [reverse]),
        ),
        (
            "Those are the places in the canonical order: look up which symbol stands there.",
            np.array([{0: 0, 3: 1, 1: 2, 4: 3}[symbol] for symbol in _SYMBOLS.tolist()]),
        ),
        ("The symbols are in reverse order.", _SYMBOLS[::-1]),
        ("The last symbol is missing.", _SYMBOLS[:-1]),
        ("The padding was read, too: stop after n_symbols.", np.append(_SYMBOLS, 0)),
        ("Those are words, not symbols.", huffman.canonical_codes(_LENGTHS)[_SYMBOLS]),
        ("Those are lengths, not symbols.", _LENGTHS[_SYMBOLS]),
    ]
    expect(
        got,
        _SYMBOLS,
        suspects=suspects,
        what=what,
        shown={"lengths": _LENGTHS},
        unknown="Read bit by bit; a word is whole when its length *and* its bits fit.",
    )
    got = as_array(call(answer, b"", 0, 0, _LENGTHS, told="no symbols"))
    if got.size:
        raise NotYet("For no symbols it returns some, expected none.")
    got = call(answer, b"\0\0", 9, 9, np.array([0, 1]), told="nine times the only symbol")
    expect(got, np.ones(9), what="Nine times the only symbol", unknown="Its word is a single 0.")
    rng = np.random.default_rng(4)
    symbols = rng.binomial(30, 0.4, 3000).astype(np.uint8)
    lengths = huffman.code_lengths(np.bincount(symbols, minlength=31)).astype(np.int64)
    stream, n_long = huffman.encode(symbols, lengths)
    got = call(answer, stream, n_long, symbols.size, lengths, told="3,000 symbols")
    expect(got, symbols, what="The list of 3,000 symbols")
    if as_array(got).dtype.kind == "f":
        raise NotYet("The symbols are floats.", hint="Symbols are integers.")
    unfinished = "A word has begun when the bits end: that is a damaged stream, although the count is right."
    short = "The bytes end before n_bits bits: that is a damaged stream too, not an IndexError."
    for arguments, told, hint in (
        (
            (data, n_bits, 9, _LENGTHS),
            "more symbols than the bits encode",
            "The padding is not payload: past n_bits nothing may be read.",
        ),
        (
            (data, n_bits, 6, _LENGTHS),
            "fewer symbols than the bits encode",
            "After the last symbol exactly n_bits must have been read, else the stream is damaged.",
        ),
        ((b"\x60", 3, 1, np.array([1, 3, 0, 2, 3])), "an unfinished word at the end", unfinished),
        ((b"\xc0", 2, 0, _LENGTHS), "nothing but an unfinished word", unfinished),
        ((b"\x80", 1, 1, np.array([0, 1])), "a 1 where the only word is 0", "No word matches: refuse it."),
        ((data[:-1], n_bits, _SYMBOLS.size, _LENGTHS), "bytes that end too soon", short),
        ((stream[:100], n_long, symbols.size, lengths), "a long stream cut off after 100 bytes", short),
        ((b"", 5, 2, _LENGTHS), "no bytes, and 5 bits", short),
    ):
        refuses(answer, *arguments, told=told, hint=hint)
    return "Symbols come back; none, one kind, 3,000; damaged streams are refused."


def _decoded(data: bytes, n_symbols: int) -> np.ndarray | None:
    """The symbols that other bits encode; None where they are fewer than asked for."""
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
    for lengths in ([4, 4, 4, 4, 2, 2, 3, 3], [0, 2, 2, 2, 2], *jumps):
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
            (
                "A run is an Elias gamma code: n zeros, a one, n bits; the one counts, as the highest bit.",
                _read(data, n_kinds, gamma=1)[0],
                _read(data, n_kinds, gamma=-1)[0],
            ),
            ("A length after `11` has four bits.", _read(data, n_kinds, absolute=3)[0]),
            (
                "The bits of each byte are read in reverse order.",
                _read(np.packbits(_bits(data)[:, ::-1]).tobytes(), n_kinds)[0],
            ),
        ]
        shown = {"table": _bits(table)} if len(table) <= 4 else {}
        expect(
            got[0],
            lengths,
            suspects=suspects,
            what="The list of lengths",
            shown=shown,
            unknown="The first length in four bits; then runs and steps, until n_kinds are there.",
        )
        suspects = [
            ("Bytes are asked for, not bits.", n_bits),
            ("The table ends before the end of the data: count what was read.", len(data)),
            ("Round up: a byte that was begun belongs to the table.", n_bits // 8),
            ("Round up only where the last byte is not full.", n_bits // 8 + 1),
            ("That is how many lengths there are; how many bytes did they take?", n_kinds),
        ]
        expect(got[1], len(table), suspects=suspects, what="The number of bytes")
    return "Runs and steps in tables of 4 to 200 lengths, and where they end."


__all__ = [
    "QUESTIONS",
    "check_canonical_codes",
    "check_code_lengths",
    "check_decode",
    "check_encode",
    "check_entropy",
    "check_is_complete",
    "check_read_lengths",
    "grade",
]

QUESTIONS = (
    Question(1, "Entropy", 1, "entropy", check_entropy),
    Question(2, "Huffman's lengths", 3, "code_lengths", check_code_lengths),
    Question(3, "Complete or not", 1, "is_complete", check_is_complete),
    Question(4, "Canonical words", 3, "canonical_codes", check_canonical_codes),
    Question(5, "Encode", 3, "encode", check_encode),
    Question(6, "Decode", 3, "decode", check_decode),
    Question(7, "The table in the file", 2, "read_lengths", check_read_lengths),
    Question(8, "What do the bits buy?", 4),
)


def grade(namespace: Mapping[str, object]) -> Grades:
    """Points of all questions; `namespace` is the notebook's ``globals()``."""
    return grading.grade(QUESTIONS, namespace)
