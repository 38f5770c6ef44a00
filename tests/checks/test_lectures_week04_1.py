"""Week 4, lecture 1: right answers in any form are taken, and every usual mistake has a hint."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from common.checks.lectures import week04_1 as checks


def squared(points, centroids):
    return cdist(points, centroids, "sqeuclidean")


def left(nearest, points, candidates):
    return [
        [min(near, ((point - candidate) ** 2).sum()) for near, point in zip(nearest, points, strict=True)]
        for candidate in candidates
    ]


RIGHT = {
    "assign": [
        checks.assign.own,
        lambda points, centroids: squared(points, centroids).argmin(axis=1).astype(np.uint8),
        lambda points, centroids: [int(((centroids - p) ** 2).sum(axis=1).argmin()) for p in points],
    ],
    "what_is_left": [
        checks.what_is_left.own,
        left,
        lambda nearest, points, candidates: np.float32(left(nearest, points, candidates)),
    ],
    "palette_bits": [
        checks.palette_bits.own,
        lambda n, k: n * (k - 1).bit_length() + 24 * k,
        lambda n, k: np.float32(n * math.ceil(math.log2(k)) + 24 * k),
    ],
}
LABELS = {
    "the farthest": lambda p, c: squared(p, c).argmax(axis=1),
    "The distances themselves": squared,
    "the nearest distance": lambda p, c: squared(p, c).min(axis=1),
    "the nearest point of every centroid": lambda p, c: squared(p, c).argmin(axis=0),
    "square them": lambda p, c: (p[:, None] - c).sum(axis=2).argmin(axis=1),
    "the lower number wins": lambda p, c: len(c) - 1 - squared(p, c)[:, ::-1].argmin(axis=1),
}
LEFT = {
    "The centroids so far count": lambda nearest, p, c: squared(c, p),
    "The nearer one counts": lambda nearest, p, c: np.maximum(nearest, squared(c, p)),
    "the new distances have to be squared": lambda nearest, p, c: np.minimum(nearest, cdist(c, p)),
    "One row per candidate": lambda nearest, p, c: np.minimum(nearest[:, None], squared(p, c)),
    "The sum over the points comes later": lambda n, p, c: np.minimum(n, squared(c, p)).sum(axis=1),
    "Sum the squares over the axes": lambda n, p, c: np.minimum(n, (c[:, None] - p).sum(axis=2) ** 2),
}
BITS = {
    "The palette has to be stored": lambda n, k: n * math.ceil(math.log2(k)),
    "round up.": lambda n, k: n * math.log2(k) + 24 * k,
    "not down": lambda n, k: n * math.floor(math.log2(k)) + 24 * k,
    "one too many": lambda n, k: n * k.bit_length() + 24 * k,
    "A colour of the palette has 24 bits": lambda n, k: n * math.ceil(math.log2(k)) + 8 * k,
    "not 24": lambda n, k: 24 * n + 24 * k,
    "That is in bytes": lambda n, k: (n * math.ceil(math.log2(k)) + 24 * k) / 8,
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_answers_are_taken_and_go_on(name, capsys):
    for answer in RIGHT[name]:
        assert getattr(checks, name)(answer) is answer
        assert capsys.readouterr().out.startswith(f"{name}: right. ")


@pytest.mark.parametrize(
    ("name", "hint", "answer"),
    [
        *(("assign", hint, answer) for hint, answer in LABELS.items()),
        *(("what_is_left", hint, answer) for hint, answer in LEFT.items()),
        *(("palette_bits", hint, answer) for hint, answer in BITS.items()),
    ],
)
def test_a_mistake_has_its_hint_and_the_lecture_goes_on(name, hint, answer, capsys):
    check = getattr(checks, name)
    assert check(answer) is check.own
    said = capsys.readouterr().out
    assert said.startswith(f"{name}: not yet. ")
    assert hint in said
    assert f"The lecture goes on with the course's own {name}." in said


@pytest.mark.parametrize("name", RIGHT)
def test_stubs_and_odd_answers_are_told_in_one_line(name, capsys):
    def stub(*arguments):
        raise NotImplementedError("measure them")

    def broken(*arguments):
        raise ZeroDivisionError("of nothing")

    check = getattr(checks, name)
    for answer, said in (
        (stub, "not yet. It is not written yet.\n  Hint: measure them"),
        (broken, "It raises ZeroDivisionError"),
        (3, "A function is expected, and this is of type int."),
        (lambda *arguments: None, "not yet."),
    ):
        assert check(answer) is check.own
        assert said in capsys.readouterr().out
