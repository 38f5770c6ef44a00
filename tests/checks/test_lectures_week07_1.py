"""Week 7, lecture 1: right answers in any form are taken, and every usual mistake has a hint."""

import heapq

import numpy as np
import pytest

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
    "A plain sum": lambda c: -np.log2(shares_of(c)).sum(),
    "Counts are not shares": lambda c: -(c[c > 0] * np.log2(c[c > 0])).sum(),
    "0 · log 0 is nan": lambda c: -(c / c.sum() * np.log2(c / c.sum())).sum(),
}


def words(lengths, *, shift=True, step=1, by=None, first=0):
    found, start, before = {}, first, 0
    for length, symbol in sorted((n, s) for s, n in enumerate(np.asarray(lengths).tolist()) if n):
        start <<= (by(length, before) if by else length - before) if shift else 0
        found[symbol] = f"{start:0{length}b}"
        start, before = start + step, length
    return found


WORDS = {
    "append zeros": lambda n: words(n, shift=False),
    "Two symbols have one word": lambda n: words(n, step=0),
    "*difference* of the lengths": lambda n: words(n, by=lambda length, before: length),
    "Every symbol of length above 0": lambda n: {s: "0" for s in range(len(n) - 1)},
    "The first interval begins at 0": lambda n: words(n, first=1),
}


def join(pop=heapq.heappop, *, count=lambda a, b: a + b, push=True, drop=True):
    def answer(heap, step):
        a, b = pop(heap), pop(heap)
        if not drop:
            heapq.heappush(heap, b)
        if push:
            total = count(a[0], b[0])
            heapq.heappush(heap, (total, 1, step, (total, a[3], b[3])))

    return answer


def pop_largest(heap):
    heap.sort()
    return heap.pop()


JOINS = {
    "*largest* were joined": join(pop_largest),
    "has not been pushed back": join(push=False),
    "*sum* of both counts": join(count=max),
    "two leave by heappop": join(drop=False),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_answers_are_taken_and_go_on(name, capsys):
    for answer in RIGHT[name]:
        assert getattr(checks, name)(answer) is answer
        assert capsys.readouterr().out.startswith(f"{name}: right. ")


@pytest.mark.parametrize(
    ("name", "hint", "answer"),
    [
        *(("mean_surprise", hint, answer) for hint, answer in SURPRISES.items()),
        *(("words_from_lengths", hint, answer) for hint, answer in WORDS.items()),
        *(("join_two_rarest", hint, answer) for hint, answer in JOINS.items()),
    ],
)
def test_a_mistake_has_its_hint_and_the_lecture_goes_on(name, hint, answer, capsys):
    check = getattr(checks, name)
    with np.errstate(all="ignore"):
        assert check(answer) is check.own
    said = capsys.readouterr().out
    assert said.startswith(f"{name}: not yet. ")
    assert hint in said
    assert f"The lecture goes on with the course's own {name}." in said


@pytest.mark.parametrize("name", RIGHT)
def test_stubs_and_odd_answers_are_told_in_one_line(name, capsys):
    def stub(*arguments):
        raise NotImplementedError("square it")

    def broken(*arguments):
        raise ZeroDivisionError("of nothing")

    check = getattr(checks, name)
    for answer, said in (
        (stub, "not yet. It is not written yet.\n  Hint: square it"),
        (broken, "It raises ZeroDivisionError"),
        (3, "A function is expected, and this is of type int."),
        (lambda *arguments: None, "not yet."),
    ):
        assert check(answer) is check.own
        assert said in capsys.readouterr().out
