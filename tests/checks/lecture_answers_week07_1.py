"""Week 7, lecture 1: right answers in several forms, and the usual mistakes with a word of their hint."""

import heapq

import numpy as np

from common.checks.lectures import week07_1 as checks


def shares_of(counts):
    return np.asarray(counts)[np.asarray(counts) > 0] / np.sum(counts)


RIGHT = {
    "mean_surprise": [
        checks.mean_surprise.own,
        lambda counts: np.float32(-(shares_of(counts) * np.log2(shares_of(counts))).sum()),
        lambda counts: sum(-c / sum(counts) * np.log2(c / sum(counts)) for c in counts.tolist() if c),
    ],
    "words_from_lengths": [checks.words_from_lengths.own],
    "join_two_rarest": [checks.join_two_rarest.own],
}
SURPRISES = {
    "The base is 2": lambda c: -(shares_of(c) * np.log(shares_of(c))).sum(),
    "the mean is per symbol": lambda c: -(shares_of(c) * np.log2(shares_of(c))).sum() * c.sum(),
    "The sign": lambda c: (shares_of(c) * np.log2(shares_of(c))).sum(),
    "weigh each surprise by its share": lambda c: -np.log2(shares_of(c)).mean(),
    "a plain sum": lambda c: -np.log2(shares_of(c)).sum(),
    "Counts are not shares": lambda c: -(c[c > 0] * np.log2(c[c > 0])).sum(),
    "0 · log 0 is nan": lambda c: -(c / c.sum() * np.log2(c / c.sum())).sum(),
}


def words(lengths, *, shift=True, step=1, by=None, first=0, fill=True):
    found, start, before = {}, first, 0
    for length, symbol in sorted((n, s) for s, n in enumerate(np.asarray(lengths).tolist()) if n):
        start <<= (by(length, before) if by else length - before) if shift else 0
        found[symbol] = f"{start:0{length}b}" if fill else f"{start:b}"
        start, before = start + step, length
    return found


WORDS = {
    "append zeros": lambda n: words(n, shift=False),
    "Two symbols have one word": lambda n: words(n, step=0),
    "*difference* of the lengths": lambda n: words(n, by=lambda length, before: length),
    "leading zeros included": lambda n: words(n, fill=False),
    "Every symbol of length above 0": lambda n: {s: "0" for s in range(len(n) - 1)},
    "The first interval begins at 0": lambda n: words(n, first=1),
}


def join(pop=heapq.heappop, *, count=lambda a, b: a + b, push=True, drop=True, kind=1):
    def answer(heap, step):
        a, b = pop(heap), pop(heap)
        if not drop:
            heapq.heappush(heap, b)
        if push:
            total = count(a[0], b[0])
            heapq.heappush(heap, (total, kind, step, (total, a[3], b[3])))

    return answer


def pop_largest(heap):
    heap.sort()
    return heap.pop()


JOINS = {
    "*largest* were joined": join(pop_largest),
    "has not been pushed back": join(push=False),
    "*sum* of both counts": join(count=max),
    "two leave by heappop": join(drop=False),
    "so at ties a leaf goes first": join(kind=0),
}
MISTAKES = {"mean_surprise": SURPRISES, "words_from_lengths": WORDS, "join_two_rarest": JOINS}
