"""The page on which an instructor reads: everybody's answers side by side, written down outside of git."""

import base64
import json
import shutil
from pathlib import Path

import pytest
from browsers import chromium

from common.members import review
from common.members.marks import Mark, load_grades

ROOT = Path(__file__).resolve().parents[2]
SECRET = "not-to-be-guessed"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n rest").decode()


def cell(kind, source, **more):
    extra = {"outputs": [], "execution_count": 1} if kind == "code" else {}
    return {"cell_type": kind, "metadata": {}, "source": source, **extra, **more}


def notebook(answer):
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["printed <b>text</b>"]},
        {"output_type": "display_data", "data": {"image/png": PNG, "text/plain": "a figure"}},
        {"output_type": "display_data", "data": {"image/png": "no picture at all", "text/html": "<script>"}},
        {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []},
    ]
    cells = [
        cell("markdown", "## Question 7: before"),
        cell("code", "before = 1"),
        cell("markdown", "## Question 8: A diagnosis (4 points)\n\nWhat is wrong?"),
        cell("code", "x = 1", outputs=outputs),
        cell("markdown", answer),
        cell("markdown", "## Your points"),
        cell("code", "after = 1"),
    ]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}


@pytest.fixture
def course(tmp_path, monkeypatch):
    monkeypatch.setenv("DNNC_GRADES", str(tmp_path / "grades"))
    source = next(ROOT.glob("week02_*"))
    shutil.copytree(source / "assignment", tmp_path / source.name / "assignment")
    people = [
        ("ada", "It *varies* too much."),
        ("eve", "<script>alert(1)</script> [x](javascript:alert(1)) ![y](http://e)"),
    ]
    text = ""
    for name, answer in people:
        path = tmp_path / "members" / name / "week02" / "assignment.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(notebook(answer)))
        text += f'[[members]]\nname = "{name}"\nfull_name = "{name.title()} <i>X</i>"\n'
    (tmp_path / "members" / "team.toml").write_text(text)
    return tmp_path


def client(course):
    app = review.make_app(2, SECRET, root=course, path=course / "grades/marks.toml", tell=lambda line: None)
    return app.test_client()


def test_the_rubric_tells_which_questions_and_how_many_points():
    assert review.rubric_questions(2) == {8: "A diagnosis"}
    assert review.rubric_points("week01") == 4
    with pytest.raises(ValueError, match="week44 has no assignment"):
        review.rubric_points(44)


def test_a_questions_cells_are_found_with_their_outputs():
    pieces = review.question_pieces(notebook("My answer."), {8})
    assert [piece.kind for piece in pieces] == ["markdown", "code", "text", "picture", "text", "markdown"]
    assert pieces[-1].content == "My answer."
    assert not any("before" in piece.content or "after" in piece.content for piece in pieces)


@pytest.mark.parametrize(
    "broken", ["[]", "{}", "x", '{"cells": 3}', '{"cells": [{"cell_type": "markdown"}]}']
)
def test_a_broken_notebook_is_told_and_the_others_are_shown(course, broken):
    (course / "members/ada/week02/assignment.ipynb").write_text(broken)
    ada, eve = review.answers(2, root=course, path=course / "none")
    assert ada.problem
    assert eve.pieces


def test_the_assignments_own_cells_stand_above_once(course):
    source = next(course.glob("week02_*/assignment/assignment.ipynb"))
    shutil.copy(source, course / "members/ada/week02/assignment.ipynb")
    ada, eve = review.answers(2, root=course, path=course / "none")
    assert ada.problem.startswith("nothing is written")
    assert not any(piece.kind in ("markdown", "code") for piece in ada.pieces)
    assert not eve.problem


def test_the_page_shows_all_and_runs_nothing(course):
    page = client(course).get(f"/{SECRET}/")
    text = page.get_data(as_text=True)
    assert page.status_code == 200
    assert "<em>varies</em>" in text
    assert "Ada &lt;i&gt;X&lt;/i&gt;" in text
    assert "printed &lt;b&gt;text&lt;/b&gt;" in text
    assert f"data:image/png;base64,{PNG}" in text
    assert "<script>alert" not in text
    assert 'href="javascript' not in text
    assert 'src="http' not in text, "nothing is loaded from elsewhere"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_points_and_comments_are_written_outside_of_git(course):
    path = course / "grades/marks.toml"
    page = client(course)
    given = {"name": "ada", "points": 3.5, "comment": "Which curve\r\nsays so?"}
    assert page.post(f"/{SECRET}/mark", json=given).json == {"problem": ""}
    assert load_grades(path) == {("ada", "week02"): Mark(3.5, "Which curve\nsays so?")}
    assert "Which curve\nsays so?" in page.get(f"/{SECRET}/").get_data(as_text=True)
    assert page.post(f"/{SECRET}/mark", json={"name": "ada", "comment": ""}).json == {"problem": ""}
    assert load_grades(path) == {("ada", "week02"): Mark(3.5)}


@pytest.mark.parametrize("given", [None, [], {}, {"name": "nobody"}, {"name": "../ada"}, {"name": 3}])
def test_only_members_are_marked(course, given):
    assert client(course).post(f"/{SECRET}/mark", json=given).status_code == 400
    assert not (course / "grades/marks.toml").exists()


@pytest.mark.parametrize("points", [-1, 4.5, "3", True, 1e999])
def test_points_stay_within_the_rubric(course, points):
    answer = client(course).post(f"/{SECRET}/mark", json={"name": "ada", "points": points, "comment": ""})
    assert "points" in answer.json["problem"]
    assert not (course / "grades/marks.toml").exists()


def test_without_the_secret_there_is_nothing(course):
    page = client(course)
    for path in ("/", "/x/", f"/{SECRET}x/", "/mark"):
        assert page.get(path).status_code == 404
    assert page.post("/x/mark", json={"name": "ada", "points": 4}).status_code == 404
    assert page.get(f"/{SECRET}/mark").status_code == 405, "only its own script writes, by POST and as JSON"
    assert page.post(f"/{SECRET}/mark", data={"name": "ada", "points": 4}).status_code == 400


@pytest.mark.slow
def test_a_digit_then_c_then_a_comment_then_the_next(course):
    html = client(course).get(f"/{SECRET}/").get_data(as_text=True)
    with chromium("--disable-gpu") as browser:
        page = browser.new_page()
        page.set_content(html)
        page.keyboard.press("3")
        page.keyboard.press("c")
        page.keyboard.type("Name nice curves, p. 2")
        comments, points = page.locator(".comment"), page.locator(".points")
        assert points.first.input_value() == "3"
        assert comments.first.input_value() == "Name nice curves, p. 2", "letters in a comment are text"
        page.keyboard.press("Escape")
        page.keyboard.press("n")
        page.keyboard.press("2")
        page.keyboard.press("p")
        page.keyboard.press("c")
        assert points.last.input_value() == "2"
        assert page.evaluate("document.activeElement === document.querySelector('.comment')")
