"""A member's functions taken from the notebooks, tried, and the course's own in place of what is missing."""

import importlib
import json

import numpy as np
import pytest

from common.capstone import own_work as module
from common.capstone.own_work import NEEDED, own_work

GOOD = """import numpy as np
%matplotlib inline
weight = load('what the function uses by this name is its own')
def helper(x):
    return np.abs(x)
def magnitude(weights: "Anything") -> dict:
    return {name: helper(weight) for name, weight in weights.items()}
"""


def notebook(*cells):
    return json.dumps({"cells": [{"cell_type": "code", "source": cell} for cell in cells]})


@pytest.fixture
def member(tmp_path):
    """A function that writes a member's notebook of a week, in a repository of its own."""

    def write(week, text):
        folder = tmp_path / "members" / "ada" / week
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "assignment.ipynb").write_text(text)
        return tmp_path

    return write


def row(work, week, function):
    return next(found[2:] for found in work.rows if found[:2] == (week, function))


def test_the_reference_solutions_are_all_right():
    work = own_work()
    assert work.n_own == len(work.rows) == sum(map(len, NEEDED.values()))
    assert {remark for *_, remark in work.rows} == {"the reference solution"}
    assert work.week07.encode([1, 0, 1], np.array([1, 1]))[1] == 3


@pytest.mark.parametrize(("week", "name"), [(week, name) for week, names in NEEDED.items() for name in names])
def test_the_courses_own_functions_pass_the_assignments_checks(week, name):
    questions = importlib.import_module(f"common.checks.{week}").QUESTIONS
    (check,) = (question.check for question in questions if question.answer == name)
    verdict = check(module._COURSE[week][name])
    assert verdict.ok, verdict


def test_a_function_comes_with_what_it_uses_and_nothing_else_runs(member):
    root = member("week05", notebook(GOOD, "raise SystemExit('a cell that must not run')"))
    work = own_work("ada", root=root)
    assert row(work, "week05", "magnitude") == ("yours", "right")
    assert work.week05.magnitude({"a": np.array([-2.0])})["a"].tolist() == [2.0]
    assert work.n_own == 1


def test_the_last_definition_counts(member):
    root = member("week05", notebook("def magnitude(weights):\n    return 3", GOOD))
    assert own_work("ada", root=root).n_own == 1
    root = member("week05", notebook(GOOD, "def magnitude(weights):\n    return 3"))
    assert own_work("ada", root=root).n_own == 0


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        (notebook("def magnitude(weights):\n    raise NotImplementedError('write it')"), "not yet: "),
        (notebook("def magnitude(weights):\n    return weights"), "not yet: "),
        (notebook("x = 1"), "not found in the notebook"),
        (notebook("def magnitude(:\n"), "not found in the notebook"),
        (
            notebook("def deco(f):\n    raise KeyError\n@deco\ndef magnitude(w):\n    return w"),
            "its definition raises KeyError",
        ),
        ("{", "the notebook cannot be read"),
        ("[]", "the notebook cannot be read"),
        ('{"cells": 3}', "the notebook cannot be read"),
    ],
)
def test_what_is_missing_or_wrong_is_the_courses(member, text, remark):
    work = own_work("ada", root=member("week05", text))
    whose, said = row(work, "week05", "magnitude")
    assert whose == "the course's"
    assert said.startswith(remark)
    assert work.week05.magnitude({"a": np.array([-2.0])})["a"].tolist() == [2.0]
    assert row(work, "week07", "encode")[1].endswith("`dnnc members start ada 7`")
    assert "| week05 | magnitude | the course's |" in work.table()


def test_without_name_and_solutions_all_is_the_courses(tmp_path):
    work = own_work(root=tmp_path)
    assert work.n_own == 0
    assert row(work, "week06", "tidy") == ("the course's", "no name given")
    symbols = np.array([3, 0, 3, 2, 3])  # int64, as np.bincount and the notebook's lists have it
    lengths = work.week07.code_lengths(np.bincount(symbols))
    data, n_bits = work.week07.encode(symbols, lengths)
    assert work.week07.decode(data, n_bits, 5, lengths) == symbols.tolist()
    with pytest.raises(ValueError, match="got 4 to 4, expected 0 to 3"):
        work.week07.encode([4], lengths)


@pytest.mark.parametrize("name", ["nobody", "../ada", "Ada", "", "a/b"])
def test_a_name_without_a_folder_is_refused(member, name):
    with pytest.raises(ValueError, match="is not there"):
        own_work(name, root=member("week05", notebook(GOOD)))
