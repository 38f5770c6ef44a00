"""Week 7, lecture 2: bits of a stream in its Huffman code, one step of arithmetic coding, one pop of rANS."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from common.checks.comparing import call, expect, pair
from common.checks.grading import NotYet
from common.checks.lectures import fill_in
from common.codec.huffman import code_lengths, entropy_bits


def _huffman_bits(stream):
    counts = np.bincount(stream)
    return int(counts @ code_lengths(counts).astype(np.int64))


@fill_in(own=_huffman_bits)
def huffman_bits(answer: Callable) -> str:
    """Sum of count times code length."""
    for stream in ([0, 3, 3, 1, 3, 0, 3, 5, 3], [2] * 9 + [1] * 5 + [0, 4, 4]):
        stream = np.array(stream, dtype=np.uint8)
        counts, wanted = np.bincount(stream), _huffman_bits(stream)
        lengths = code_lengths(counts).astype(int)
        suspects = [
            ("That is the bits per symbol: the sum over the stream is asked for.", wanted / stream.size),
            ("Each length counts as often as its symbol occurs: counts @ lengths.", int(lengths.sum())),
            ("That is a fixed width: code_lengths(counts) gives each symbol's own.", 3 * stream.size),
            ("That is the entropy: Huffman's words have whole bits.", entropy_bits(counts)),
            ("Count the symbols: code_lengths takes counts, not the stream.", _lengths_of_stream(stream)),
        ]
        got = call(answer, stream, told=f"the stream {stream.tolist()}")
        expect(got, wanted, tolerance=1e-6, suspects=suspects, what="The number of bits")
    return "Two streams, with symbols that do not occur."


def _lengths_of_stream(stream: np.ndarray) -> int:
    return int(stream.astype(int) @ code_lengths(stream).astype(int))


def _narrow(left, width, symbol, shares):
    before = sum((share for other, share in shares.items() if other < symbol), Fraction(0))
    return left + width * before, width * shares[symbol]


@fill_in(own=_narrow)
def narrow(answer: Callable) -> str:
    """The interval of a symbol within another one."""
    shares = {"A": Fraction(1, 2), "B": Fraction(3, 8), "C": Fraction(1, 8)}
    for left, width, symbol in ((Fraction(0), Fraction(1), "B"), (Fraction(1, 4), Fraction(1, 2), "C")):
        start, size = _narrow(left, width, symbol, shares)
        told = f"[{left}, {left + width}) and {symbol}"
        got = pair(call(answer, left, width, symbol, shares, told=told), 2, "left and width")
        own = shares[symbol]
        for what, value, wanted, suspects in (
            (
                "The width",
                got[1],
                size,
                [
                    ("The symbol's part of the *present* width: multiply.", float(own)),
                    ("That is the right end: the width is asked for.", float(start + size)),
                ],
            ),
            (
                "The left end",
                got[0],
                start,
                [
                    (
                        "The shares before the symbol are shares of the *present* width.",
                        _unscaled(left, start, width),
                    ),
                    (
                        "Add the shares of the symbols *before* it only: its own share is not passed.",
                        float(start + size),
                    ),
                    ("The interval begins at `left`: add it.", float(start - left)),
                    ("The symbols before it come first: left grows by their shares.", float(left)),
                ],
            ),
        ):
            expect(float(value), float(wanted), tolerance=1e-9, suspects=suspects, what=what)
    return "Two intervals, one of them within another."


def _unscaled(left: Fraction, start: Fraction, width: Fraction) -> float:
    return float(left + (start - left) / width)


def _rans_pop(x, counts):
    starts = [0, *itertools.accumulate(counts)]
    rest, residue = divmod(x, starts[-1])
    symbol = bisect_right(starts, residue) - 1
    return symbol, counts[symbol] * rest + residue - starts[symbol]


def _rans_push(x: int, symbol: int, counts: list) -> int:
    starts = [0, *itertools.accumulate(counts)]
    return x // counts[symbol] * starts[-1] + starts[symbol] + x % counts[symbol]


@fill_in(own=_rans_pop)
def rans_pop(answer: Callable) -> str:
    """The symbol on top of the state, and the state below it."""
    for counts, message in (([5, 2, 1], [1, 0, 2, 0]), ([1, 3, 4, 8], [3, 2, 0, 1, 3])):
        x, states = 11, []
        for symbol in message:
            x = _rans_push(x, symbol, counts)
            states.append(x)
        for x, symbol in zip(reversed(states), reversed(message), strict=True):
            _, below = _rans_pop(x, counts)
            told = f"state {x} and counts {counts}"
            got = pair(call(answer, x, counts, told=told), 2, "symbol and state")
            if isinstance(got[1], float):
                raise NotYet(
                    f"The state is a float for {told}.",
                    hint="Whole numbers: // and %, or divmod. A state of 60 bits does not fit into a float.",
                )
            if got[0] != symbol:
                hint = "The symbol owns the residue: starts[symbol] <= x % M < starts[symbol + 1]."
                if got[0] == symbol + 1:
                    hint = "bisect_right counts the starts up to the residue: subtract 1."
                raise NotYet(f"The symbol is {got[0]}, which is wrong for {told}.", hint=hint)
            if got[1] != below:
                raise NotYet(
                    f"The state is {got[1]}, which is wrong for {told}.",
                    hint=_hint_of_state(int(got[1]), x, symbol, counts),
                )
    return "Every state of two messages."


def _hint_of_state(got: int, x: int, symbol: int, counts: list) -> str:
    total, start = sum(counts), sum(counts[:symbol])
    rest, residue = divmod(x, total)
    if got == counts[symbol] * rest:
        return "The place within the symbol's residues is missing: + residue - starts[symbol]."
    if got == counts[symbol] * rest + residue:
        return "Count the residue from the symbol's first one: - starts[symbol]."
    if got in (rest, rest + residue - start):
        return "The state was divided by the symbol's count when it was pushed: multiply by it."
    return (
        "The state below is counts[symbol] * (x // M) + x % M - starts[symbol], with M the sum of the counts."
    )
