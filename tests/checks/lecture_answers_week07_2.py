"""Week 7, lecture 2: right answers in several forms, and the usual mistakes with a word of their hint."""

import itertools
from bisect import bisect_right
from fractions import Fraction

import numpy as np

from common.checks.lectures import week07_2 as checks
from common.codec.huffman import code_lengths, entropy_bits

RIGHT = {
    "huffman_bits": [
        checks.huffman_bits.own,
        lambda stream: float(checks.huffman_bits.own(stream)),
        lambda stream: sum(int(code_lengths(np.bincount(stream))[symbol]) for symbol in stream.tolist()),
    ],
    "narrow": [
        checks.narrow.own,
        lambda left, width, symbol, shares: (left + width * before(symbol, shares), width * shares[symbol]),
    ],
    "rans_pop": [checks.rans_pop.own],
}


def before(symbol, shares):
    names = list(shares)
    return sum(list(shares.values())[: names.index(symbol)], Fraction(0))


BITS = {
    "the sum over the stream": lambda s: checks.huffman_bits.own(s) / len(s),
    "counts @ lengths": lambda s: int(code_lengths(np.bincount(s)).sum()),
    "a fixed width": lambda s: 3 * len(s),
    "That is the entropy": lambda s: entropy_bits(np.bincount(s)),
}


def narrow(*, left_scale=True, own=False, add=True, width_scale=True, shift=True):
    def answer(left, width, symbol, shares):
        passed = before(symbol, shares) + (shares[symbol] if own else 0)
        start = (left if add else 0) + (passed * (width if left_scale else 1) if shift else 0)
        return start, shares[symbol] * (width if width_scale else 1)

    return answer


NARROW = {
    "the *present* width: multiply": narrow(width_scale=False),
    "shares of the *present* width": narrow(left_scale=False),
    "its own share is not passed": narrow(own=True),
    "begins at `left`": narrow(add=False),
    "left grows by their shares": narrow(shift=False),
}


def pop(*, shift=1, state=lambda f, rest, residue, start: f * rest + residue - start):
    def answer(x, counts):
        starts = [0, *itertools.accumulate(counts)]
        rest, residue = divmod(x, starts[-1])
        symbol = bisect_right(starts, residue) - shift
        return symbol, state(counts[min(symbol, len(counts) - 1)], rest, residue, starts[symbol])

    return answer


POP = {
    "subtract 1": pop(shift=0),
    "+ residue - starts[symbol]": pop(state=lambda f, rest, residue, start: f * rest),
    "from the symbol's first one": pop(state=lambda f, rest, residue, start: f * rest + residue),
    "multiply by it": pop(state=lambda f, rest, residue, start: rest + residue - start),
    "does not fit into a float": pop(state=lambda f, rest, residue, start: f * rest + residue - float(start)),
}
MISTAKES = {"huffman_bits": BITS, "narrow": NARROW, "rans_pop": POP}
