"""The cells filled in while reading: right answers in any form are taken, and every usual mistake has a hint.

The answers of a lecture stand in `lecture_answers_weekWW_L.py` beside this file: `RIGHT`, by the name of the
function, and `MISTAKES`, by name and then by words that the mistake's hint says.
"""

import importlib
import pkgutil

import numpy as np
import pytest

from common.checks import lectures

LECTURES = sorted(module.name for module in pkgutil.iter_modules(lectures.__path__))
ANSWERS = {name: importlib.import_module(f"checks.lecture_answers_{name}") for name in LECTURES}
FUNCTIONS = [(lecture, name) for lecture in LECTURES for name in ANSWERS[lecture].RIGHT]


def check_of(lecture, name):
    return getattr(importlib.import_module(f"common.checks.lectures.{lecture}"), name)


@pytest.mark.parametrize("lecture", LECTURES)
def test_every_check_has_answers_to_try(lecture):
    module = importlib.import_module(f"common.checks.lectures.{lecture}")
    checks = {name for name, value in vars(module).items() if hasattr(value, "own")}
    assert checks == set(ANSWERS[lecture].RIGHT) == set(ANSWERS[lecture].MISTAKES)
    assert all(len(mistakes) >= 2 for mistakes in ANSWERS[lecture].MISTAKES.values())


@pytest.mark.parametrize(("lecture", "name"), FUNCTIONS)
def test_right_answers_are_taken_and_go_on(lecture, name, capsys):
    check = check_of(lecture, name)
    for answer in [check.own, *ANSWERS[lecture].RIGHT[name]]:
        assert check(answer) is answer
        assert capsys.readouterr().out.startswith(f"{name}: right. ")


@pytest.mark.parametrize(
    ("lecture", "name", "hint"),
    [(lecture, name, hint) for lecture, name in FUNCTIONS for hint in ANSWERS[lecture].MISTAKES[name]],
)
def test_a_mistake_has_its_hint_and_the_lecture_goes_on(lecture, name, hint, capsys):
    check = check_of(lecture, name)
    with np.errstate(all="ignore"):
        assert check(ANSWERS[lecture].MISTAKES[name][hint]) is check.own
    said = capsys.readouterr().out
    assert said.startswith(f"{name}: not yet. ")
    assert hint in said
    assert f"The lecture goes on with the course's own {name}." in said


@pytest.mark.parametrize(("lecture", "name"), FUNCTIONS)
def test_stubs_and_odd_answers_are_told_in_one_line(lecture, name, capsys):
    def stub(*arguments):
        raise NotImplementedError("measure them")

    def broken(*arguments):
        raise ZeroDivisionError("of nothing")

    check = check_of(lecture, name)
    for answer, said in (
        (stub, "not yet. It is not written yet.\n  Hint: measure them"),
        (broken, "It raises ZeroDivisionError"),
        (3, "A function is expected, and this is of type int."),
        (lambda *arguments: None, "not yet."),
    ):
        assert check(answer) is check.own
        assert said in capsys.readouterr().out
