"""What every self-check bears: right answers pass, mistakes get the hint that names them, nothing raises.

The answers stand in ``answers_weekNN.py``, a row each: the function's name, an answer, and None where it is
right or a pattern of what it must be told.
"""

import importlib
import math
import re
import time

import answers_week01
import answers_week05
import answers_week07
import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage

from common.checks import week01, week02, week04, week05, week07
from common.checks.comparing import call
from common.checks.grading import NotYet, Verdict
from common.checks.week07 import _tables
from common.codec import huffman
from common.codec.byte_io import ByteReader
from common.codec.symbols import _read_table  # the course's own reader of a table, to compare with
from common.data.pictures import road_scene

WEEKS = {
    name: importlib.import_module(f"common.checks.{name}") for name in (f"week{n:02}" for n in range(1, 8))
}
ROWS = {name: importlib.import_module(f"answers_{name}").ROWS for name in WEEKS}
QUESTIONS = [
    pytest.param(week, question, id=f"{week}-{question.answer}")
    for week, module in WEEKS.items()
    for question in module.QUESTIONS
    if question.check
]
NAMES = [
    pytest.param(week, name, id=f"{week}-{name}")
    for week, rows in ROWS.items()
    for name in dict.fromkeys(name for name, _, _ in rows)
]
every_question = pytest.mark.parametrize(("week", "question"), QUESTIONS)
every_week = pytest.mark.parametrize("week", list(WEEKS))


def stub(*arguments, **options):
    raise NotImplementedError("Question 3: add them up.")


def crash(*arguments, **options):
    return {}["nothing"]


ODD_ANSWERS = {
    "none": lambda *a, **o: None,
    "text": lambda *a, **o: "42",
    "number": lambda *a, **o: 3.0,
    "nan": lambda *a, **o: float("nan"),
    "empty": lambda *a, **o: np.zeros(0),
    "ragged": lambda *a, **o: [[1], [1, 2]],
    "objects": lambda *a, **o: np.array([None, 3]),
    "complex": lambda *a, **o: np.array([1j]),
    "dict": lambda *a, **o: {},
    "texts": lambda *a, **o: {"fc1": "a", "fc2": "b"},
    "pair": lambda *a, **o: (np.zeros((2, 2)), None),
    "pair of dicts": lambda *a, **o: ({}, {}),
    "bytes": lambda *a, **o: (b"", 0),
    "triple": lambda *a, **o: ("a", "b", "c"),
    "itself": lambda *a, **o: a[0],
    "tensor": lambda *a, **o: torch.zeros(2, 3),
    "exit": lambda: 0,
    "crash": crash,
    "no function": 5,
    "a class": dict,
}


def complaint(check, answer, hint):
    """What a check says wrongly about one answer; empty where it says what it must."""
    verdict = check(answer)
    said = f"{verdict.message} {verdict.hint}"
    if "1 times" in re.findall(r"[\d.]+ times", said) or len(verdict.message.splitlines()) != 1:
        return said
    if hint is None or verdict.ok:
        return "" if (hint is None) == verdict.ok else f"expected {hint or 'right'!r}: {verdict}"
    return "" if re.search(hint, said) else f"expected {hint!r}: {verdict}"


@pytest.mark.parametrize(("week", "name"), NAMES)
def test_right_answers_pass_and_hints_name_the_mistake(week, name):
    check = getattr(WEEKS[week], f"check_{name}")
    rows = [(number, row) for number, row in enumerate(ROWS[week]) if row[0] == name]
    found = {number: complaint(check, answer, hint) for number, (_, answer, hint) in rows}
    assert not any(found.values()), "\n".join(f"row {n}: {said}" for n, said in found.items() if said)


@every_question
def test_odd_answers_get_a_verdict(week, question):
    for odd, answer in ODD_ANSWERS.items():
        verdict = question.check(answer)
        assert isinstance(verdict, Verdict), odd
        assert not verdict.ok, odd
        assert verdict.message, odd
        assert "\n" not in verdict.message, odd


@every_week
def test_there_are_a_hundred_right_and_wrong_answers(week):
    assert len(ROWS[week]) >= 100


@every_question
def test_a_stub_is_told_in_one_line_with_its_reminder(week, question):
    head = f"Question {question.number}, {question.answer}: not yet. It is not written yet."
    assert repr(question.check(stub)) == f"{head}\n  Hint: add them up."


@every_question
def test_every_question_has_right_and_wrong_answers_here(week, question):
    hints = [hint for name, _, hint in ROWS[week] if name == question.answer]
    assert hints.count(None) >= 2, "one right answer, and one in another style"
    assert sum(hint is not None for hint in hints) >= 3


@every_question
def test_a_check_is_quick_and_always_says_the_same(week, question):
    for answer in [answer for name, answer, _ in ROWS[week] if name == question.answer][:3]:
        question.check(answer)  # imports, and compiled kernels
        start = time.process_time()
        first = repr(question.check(answer))
        assert time.process_time() - start < 1.0
        assert repr(question.check(answer)) == first


@every_week
def test_questions_are_numbered_and_add_up_to_twenty(week):
    questions = WEEKS[week].QUESTIONS
    assert [question.number for question in questions] == list(range(1, len(questions) + 1))
    assert 6 <= len(questions) <= 10
    assert sum(question.points for question in questions) == 20
    assert sum(question.points for question in questions if question.check) == 16
    assert [question.number for question in questions if not question.check] == [len(questions)]


@every_week
def test_right_answers_earn_all_points_that_checks_can_give(week):
    right = {}
    for name, answer, hint in ROWS[week]:
        if hint is None:
            right.setdefault(name, answer)
    grades = WEEKS[week].grade(right)
    assert grades.earned == grades.checkable == 16
    name, question = next((q.answer, q) for q in WEEKS[week].QUESTIONS if q.check)
    assert WEEKS[week].grade(right | {name: stub}).earned == 16 - question.points


def test_overflowing_integers_are_explained():
    verdict = week01.check_to_grey(lambda image: (299 * image[..., 0] + 587 * image[..., 1]) // 1000)
    assert not verdict.ok
    assert "uint8" in verdict.hint or "OverflowError" in verdict.message


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda a, b: not a, "~, &, |, np.minimum"),
        (lambda a, b: min(0, a), "`min` and `max`"),
        (lambda a, b: a + b, "different shapes"),
        (lambda a, b: a.__setitem__(slice(None), b), "different shapes"),
        (lambda a, b: a @ b[:2].T, "as the second has rows"),
        (lambda a, b: np.bincount(b[0]), "np.rint rounds"),
        (lambda a, b: a[b[0]], "np.rint rounds"),
        (lambda a, b: range(b[0, 0]), "np.rint rounds"),
        (lambda a, b: math.sqrt(a), "for an array use NumPy's"),
        (lambda a, b: torch.from_numpy(a) + torch.from_numpy(b), "different shapes"),
        (lambda a, b: torch.from_numpy(b) @ torch.from_numpy(b), "different shapes"),
        (lambda a, b: torch.from_numpy(a) and b, "torch.maximum"),
        (lambda a, b: a[7], "runs past the end"),
        (lambda a, b: cv2.dilate(a > 0, None), "OpenCV takes no bool"),
        (lambda a, b: int("seven"), ""),
    ],
)
def test_what_numpy_and_torch_say_is_explained(answer, hint):
    with pytest.raises(NotYet) as caught:
        call(answer, np.ones((2, 3)), np.ones((3, 2)))
    assert caught.value.message.startswith("It raises ")
    assert hint in caught.value.hint if hint else not caught.value.hint


def test_changed_arguments_are_noticed():
    def standardize(train, test):
        train[:] = 0
        return train, test

    def sort_in_place(values, k, kind):
        values.sort(axis=None) if values.ndim == 1 else values.sort(axis=1)
        return np.linspace(values.min(), values.max(), k)

    assert "changes its argument" in week02.check_standardize(standardize).message
    assert "changes its argument" in week04.check_starting_centroids(sort_in_place).message


def test_a_verdict_shows_where_it_went_wrong():
    said = repr(week01.check_convolve(lambda image, kernel: ndimage.correlate(image, kernel, mode="mirror")))
    assert said.startswith("convolve: not yet. "), "no question of an assignment: a cell of the lecture"
    for part in ("image", "kernel", "yours", "wrong", "x", "·", "  Hint: That is correlation"):
        assert part in said
    masks = answers_week05.global_masks(answers_week05.last_of_equals)
    said = repr(week05.check_global_masks(masks))
    for part in ("Question 2, global_masks: not yet. ", "'fc1'", "yours", "wrong", "·", "Hint: Among equal"):
        assert part in said


def test_points_are_earned_by_right_answers_only():
    right, wrong = answers_week01.box(), answers_week01.separate(refuse=False)
    grades = week01.grade({"box_blur": right, "separate": wrong, "hough": 5})
    assert (grades.earned, grades.checkable) == (2, 16)
    lines = repr(grades).splitlines()
    assert lines[0].split() == "1 A blur of any size 2 of 2".split()
    assert lines[1].split() == "2 A kernel as a product 0 of 2".split()
    assert lines[-2].endswith("by rubric of 4")
    assert lines[-1] == "2 of 16 points by the checks, 4 more by the rubric"
    assert "defines no such function" in grades.verdicts[3].message
    assert "expected" in grades.verdicts[7].message


def test_no_hint_tells_the_answer():
    """What a wrong answer is told holds none of the right values."""
    verdict = week07.check_code_lengths(answers_week07.lengths_by_heap(largest=True))
    assert "1 3 3 3 4 4" not in repr(verdict)
    data, _ = huffman.encode(np.uint8([3, 0, 4, 1, 0, 3, 3]), [1, 3, 0, 2, 3])
    verdict = week07.check_encode(answers_week07.encoder(lowest=True))
    assert data.hex() not in repr(verdict)
    assert " ".join(f"{data[0]:08b}") not in repr(verdict)


def test_tables_are_read_as_the_course_reads_them():
    for lengths, data, _ in _tables():
        reader = ByteReader(data, "table")
        assert _read_table(reader, lengths.size, "lengths").tolist() == lengths.tolist()
        assert reader.n_left == 0
        assert answers_week07.table()(data + b"\xff", lengths.size) == (lengths.tolist(), len(data))


def test_road_scene_knows_its_lines():
    """The paint is bright where the scene says that it is, and the scene is the same every time."""
    for seed in range(4):
        scene = road_scene(seed, shadows=False, noise=0.0)
        assert np.array_equal(scene.image, road_scene(seed, shadows=False, noise=0.0).image)
        for row in (160, 200, 240):
            column = scene.column("right", row)
            line = scene.image[row].astype(float).mean(axis=1)
            paint = line[round(column)]
            beside = line[round(column) - 25 : round(column) - 12].mean()
            assert paint > beside + 40
    assert not np.array_equal(road_scene(0).image, road_scene(1).image)
