"""Tags and folded cells follow from the text; a lecture that is done keeps limits that can be broken."""

import copy
import doctest
import json
import sys
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
try:
    import notebook_tags as tool
finally:
    sys.path.remove(str(ROOT / "tools"))

ANSWER = "<details><summary>Answer</summary>\n\nFour.\n\n</details>"
PRACTICE = ANSWER.replace("Answer", "Hint") + "\n" + ANSWER.replace("Answer", "Solution")
SOLVED = "def f(x):\n    # solution: square it\n    return x * x\n    # end solution"


def lecture() -> dict:
    """A lecture that is done."""
    ask = "**Predict, then run.** What is 2 + 2?\n\nMy prediction: …"
    cells = [new_markdown_cell("# A lecture\n\nnot counted"), new_code_cell("import common")]
    for _ in range(2):
        cells += [new_markdown_cell(ask), new_code_cell("print(4)"), new_code_cell("#@title Figure: 4\nfig")]
        cells += [new_markdown_cell(ANSWER), new_code_cell(SOLVED), new_code_cell("f = checks.f(f)")]
    cells += [
        new_markdown_cell("## Questions\n\n" + f"1. Why?\n\n{ANSWER}\n\n" * 5),
        new_markdown_cell("## Exercises\n\n" + f"1. Do.\n\n{PRACTICE}\n\n" * 3),
        new_markdown_cell("## Glossary\n\n**bit**: 0 or 1"),
    ]
    notebook = json.loads(json.dumps(new_notebook(cells=cells)))
    tool.set_tags(notebook)
    return notebook


def test_the_stored_lectures_are_in_step(capsys):
    assert tool.main(["--check"]) == 0, capsys.readouterr().out


def test_the_doctests_of_the_tool():
    assert doctest.testmod(tool) == (0, 1) or doctest.testmod(tool).failed == 0


def test_tags_follow_from_the_text():
    notebook = lecture()
    _, first, _, asked, figure, _, exercise, check, *_ = notebook["cells"]
    assert first["metadata"] == {"jupyter": {"source_hidden": True}}
    assert asked["metadata"] == {"tags": ["predict"], "jupyter": {"outputs_hidden": True}}
    assert figure["metadata"]["tags"] == ["predict"]
    assert figure["metadata"]["jupyter"] == {"source_hidden": True, "outputs_hidden": True}
    assert figure["metadata"]["cellView"] == "form"
    assert exercise["metadata"] == {"tags": ["exercise"]}
    assert check["metadata"] == {"tags": ["check"]}


def test_wrong_tags_go_and_foreign_ones_stay():
    notebook = lecture()
    wanted = copy.deepcopy(notebook)
    cell = notebook["cells"][1]
    cell["metadata"] = {"tags": ["predict"], "jupyter": {"outputs_hidden": True}, "cellView": "form"}
    notebook["cells"][7]["metadata"]["tags"] = []
    notebook["cells"][3]["metadata"]["tags"] = ["nbval-ignore-output"]
    wanted["cells"][3]["metadata"]["tags"] = ["nbval-ignore-output", "predict"]
    tool.set_tags(notebook)
    assert notebook == wanted


def test_a_sound_lecture_breaks_nothing_and_is_counted():
    notebook = lecture()
    assert tool.limits_broken(notebook) == []
    counts = tool.count(notebook)
    assert (counts.predictions, counts.fill_ins, counts.questions, counts.exercises) == (2, 2, 5, 3)
    assert counts.words == 2 * len("Predict, then run. What is 2 2? My prediction:".split())
    assert counts.lines == 2 * (1 + 4 + 1)


def test_second_reading_ends_at_the_next_heading_of_its_level():
    notebook = lecture()
    extra = ["## 1. Part", "### More (second reading)\n\none two", "#### Deeper\n\nthree", "### Back\n\nfour"]
    before = tool.count(notebook)
    for number, text in enumerate(extra):
        notebook["cells"].insert(2 + number, json.loads(json.dumps(new_markdown_cell(text))))
    notebook["cells"].insert(4, json.loads(json.dumps(new_code_cell("a = 1\nb = 2"))))
    counts = tool.count(notebook)
    assert counts.words - before.words == len("1. Part".split()) + len("Back four".split())
    assert counts.lines == before.lines


def _source(number, text):
    return lambda cells: cells[number].update(source=text)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (_source(2, "word " * 1501 + "?\n\nMy prediction: …"), "words, at most 1,500"),
        (_source(3, "x = 1\n" * 251), "visible lines of code, at most 250"),
        (_source(2, "text"), "1 predictions, at least 2"),
        (_source(2, "**Predict, then run.** What?"), "without its last line"),
        (_source(2, "Say it.\n\nMy prediction: …"), "asks a question"),
        (_source(5, "**Answer.** Four."), "a folded <summary>Answer</summary>"),
        (
            _source(5, "<details><summary>Answer</summary>\nno empty line</details>"),
            "a folded <summary>Answer",
        ),
        (_source(5, f"{ANSWER}\n\n**Turn.** How far? sliders(draw)"), "a **Turn.** question has a folded"),
        (_source(6, "pass"), "1 cells to fill in, expected 2 or 3"),
        (_source(6, "# solution: x\ny = 1\n# end solution"), "outside of a function"),
        (_source(6, SOLVED.replace("    # end solution", "")), "the stub is not valid Python"),
        (
            _source(6, SOLVED.replace("return x", "x += 1\n    x += 1\n" * 3 + "    return x")),
            "lines to fill in",
        ),
        (_source(7, "print(f(3))"), "followed by the cell that checks it"),
        (_source(-3, "## Questions\n\n" + ANSWER), "1 folded answers below `## Questions`"),
        (_source(-2, "## Exercises\n\n" + PRACTICE), "1 folded solutions below `## Exercises`"),
        (
            _source(-2, "## Exercises\n\n" + PRACTICE.replace("Hint", "Aid") * 3),
            "one <summary>Hint</summary>",
        ),
        (_source(-1, "text"), "no `## Glossary`"),
        (_source(-1, "## Glossary\n\n<details>"), "not closed"),
    ],
)
def test_every_limit_can_be_broken(damage, complaint):
    notebook = lecture()
    damage(notebook["cells"])
    assert [line for line in tool.limits_broken(notebook) if complaint in line]


def test_the_command_sets_what_it_checks(tmp_path, capsys):
    path = tmp_path / "lecture.ipynb"
    notebook = lecture()
    notebook["cells"][3]["metadata"] = {}
    path.write_text(tool.dumped(notebook))
    assert tool.main(["--check", str(path)]) == 1
    assert "tags are out of step: run `make tags`" in capsys.readouterr().out
    assert tool.main([str(path)]) == 0
    assert tool.main(["--check", str(path)]) == 0
    assert path.read_text() == tool.dumped(lecture() | {"cells": json.loads(path.read_text())["cells"]})
