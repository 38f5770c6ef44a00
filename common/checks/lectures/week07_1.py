"""Week 7, lecture 1: mean surprise, the first word of each length, one join of Huffman's tree."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

import numpy as np

from common.checks.comparing import call, expect, side_by_side
from common.checks.grading import NotYet
from common.checks.lectures import fill_in
from common.codec.huffman import code_lengths


def _mean_surprise(counts):
    shares = np.asarray(counts)[np.asarray(counts) > 0] / np.sum(counts)
    return float(-(shares * np.log2(shares)).sum())


@fill_in(own=_mean_surprise)
def mean_surprise(answer: Callable) -> str:
    """The entropy of counts, in bits per symbol; a count of 0 adds nothing."""
    for counts in ([4, 2, 1, 1], [6, 0, 2, 4]):
        counts = np.array(counts)
        shares = counts[counts > 0] / counts.sum()
        wanted = float(-(shares * np.log2(shares)).sum())
        got = call(answer, counts, told=f"counts {counts.tolist()}")
        if np.isnan(np.asarray(got, dtype=float)).any():
            raise NotYet(
                "The entropy is nan.",
                hint="0 · log 0 is nan in NumPy: leave out the levels of count 0.",
                picture=side_by_side({"counts": counts}),
            )
        suspects = [
            ("The base is 2: np.log2.", wanted * np.log(2), wanted * np.log10(2)),
            ("That is the sum over all symbols: the mean is per symbol.", wanted * counts.sum()),
            ("The sign is wrong: the logarithm of a share is negative, the surprise is positive.", -wanted),
            ("That is a mean over the levels: weigh each surprise by its share.", -np.log2(shares).mean()),
            ("That is a plain sum of surprises: weigh each by its share.", -np.log2(shares).sum()),
            (
                "Counts are not shares: divide by their sum first.",
                float((counts[counts > 0] * np.log2(counts[counts > 0])).sum()),
                -float((counts[counts > 0] * np.log2(counts[counts > 0])).sum()),
            ),
        ]
        expect(got, wanted, tolerance=1e-6, suspects=suspects, what="The entropy", shown={"counts": counts})
    return "Bits per symbol, with and without absent levels."


def _words_from_lengths(lengths):
    words, start, before = {}, 0, 0
    pairs = ((length, symbol) for symbol, length in enumerate(np.asarray(lengths).tolist()) if length)
    for length, symbol in sorted(pairs):
        start <<= length - before
        words[symbol] = f"{start:0{length}b}"
        start, before = start + 1, length
    return words


@fill_in(own=_words_from_lengths)
def words_from_lengths(answer: Callable) -> str:
    """Kraft's construction: intervals from the left, shortest first."""
    for lengths in ([1, 2, 3, 3], [2, 2, 3, 3, 4], [3, 1, 0, 3, 4, 4], [1, 5, 5]):
        got = call(answer, lengths, told=f"lengths {lengths}")
        wanted = _words_from_lengths(lengths)
        if not isinstance(got, dict):
            raise NotYet(f"It returns a {type(got).__name__}, expected the dictionary of words.")
        if got == wanted:
            continue
        shown = "  ".join(f"{symbol}: {got.get(symbol)}" for symbol in wanted)
        raise NotYet(
            f"The words for the lengths {lengths} are not those of Kraft's proof.",
            hint=_hint_of_words(got, wanted),
            picture=f"yours  {shown}",
        )
    return "Words of complete codes, of codes with gaps, and with an absent symbol."


def _hint_of_words(got: dict, wanted: dict) -> str:
    if got.keys() != wanted.keys():
        return "Every symbol of length above 0 gets a word, and no other one."
    if "1" in str(got[next(iter(wanted))]):
        return "The first interval begins at 0, and each next one directly behind it."
    if any(len(str(got[symbol])) < len(word) for symbol, word in wanted.items()):
        return "A word has too few bits: it is text of exactly its length, leading zeros included."
    if any(len(str(got[symbol])) > len(word) for symbol, word in wanted.items()):
        return "A word has too many bits: is `start` shifted by the *difference* of the lengths?"
    if len(set(got.values())) < len(got):
        return "Two symbols have one word: the next interval begins where this one ends, at start + 1."
    words = sorted(got.values())
    if any(b.startswith(a) for a, b in itertools.pairwise(words)):
        return "One word is the beginning of another: when words get longer, append zeros to `start` (<<)."
    return "Each interval begins directly behind the one before it."


def _join(heap, step):
    least, second = heapq.heappop(heap), heapq.heappop(heap)
    count = least[0] + second[0]
    heapq.heappush(heap, (count, 1, step, (count, least[3], second[3])))


@fill_in(own=_join)
def join_two_rarest(answer: Callable) -> str:
    """One join: the two smallest leave the heap, their sum enters it."""
    for counts in ([5, 9, 12, 13], [3, 3, 3], [40, 22, 16, 12, 7, 3]):
        heap = [(count, 0, symbol, (count, symbol)) for symbol, count in enumerate(counts)]
        heapq.heapify(heap)
        for step in range(1, len(counts)):
            before = sorted(entry[0] for entry in heap)
            _try_join(answer, heap, step, counts)
            after = sorted(entry[0] for entry in heap)
            wanted = sorted([*before[2:], before[0] + before[1]])
            picture = f"before  {before}\nafter   {after}"
            if after != wanted:
                raise NotYet(
                    f"After join {step} of {counts} the heap holds other counts than it should.",
                    hint=_hint_of_join(before, after),
                    picture=picture,
                )
            joined = (before[0] + before[1], 1, step)
            if not any(tuple(entry[:3]) == joined for entry in heap):
                raise NotYet(
                    f"After join {step} of {counts} no entry of the heap begins with {joined}.",
                    hint="A joined node enters as (sum, 1, step, node): 1, so at ties a leaf goes first.",
                )
        total, cost = sum(counts), _cost(heap[0][3])
        best = int(np.dot(counts, code_lengths(np.array(counts)).astype(int)))
        if heap[0][0] != total or cost != best:
            raise NotYet(
                f"The tree of {counts} does not have the joined nodes below it.",
                hint="The new node is (count, left, right): both nodes are the last part of their entries.",
            )
    return "Every join of three lists of counts, ties included."


def _try_join(answer: Callable, heap: list, step: int, counts: list) -> None:
    try:
        answer(heap, step)
    except NotImplementedError as error:
        raise NotYet("It is not written yet.", hint=str(error)) from None
    except Exception as error:
        raise NotYet(f"It raises {type(error).__name__} for {counts}: {error}") from None


def _hint_of_join(before: list, after: list) -> str:
    if len(after) == len(before):
        return "The heap has as many entries as before: two leave by heappop, one enters."
    if after == sorted([*before[:-2], before[-1] + before[-2]]):
        return "The two *largest* were joined: a heap's smallest comes by heapq.heappop."
    if len(after) == len(before) - 2:
        return "The joined node has not been pushed back."
    return "The joined node has the *sum* of both counts."


def _cost(node: tuple) -> int:
    """Sum of the counts of all joins below a node; 0 of a leaf. A malformed tree costs nothing."""
    if not isinstance(node, tuple) or len(node) != 3:
        return 0
    return node[0] + _cost(node[1]) + _cost(node[2])
