"""Members' folders and the check of their notebooks: nothing is written over, and nobody else pays."""

import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common import cli
from common.checks.grading import Question
from common.members import board as boards
from common.members import checking, folders
from common.members import checking as check_report
from common.members import checking as week_results
from common.members.checking import check_week, weeks_to_check
from common.members.feedback import write_feedback
from common.members.lists import Person, import_people, load_people, people_file
from common.members.marks import Mark, load_grades, load_marks, marks_file, migrate, set_mark
from common.members.roster import RosterError, load_roster
from common.sandbox import work_copy
from common.sandbox.run import Limits

ROOT = Path(__file__).resolve().parents[2]
# The questions of a tiny course: its checks lie in its own `common`, which the sandbox gets a copy of.
QUESTIONS = (
    Question(1, "Double", 2, "double", print),
    Question(2, "Halve", 3, "halve", print),
    Question(3, "Why?", 4),
)
WEEK01 = """
from common.checks import grading
from common.checks.grading import Question
from common.checks.grading import NotYet, check


@check(1, "double")
def check_double(answer):
    if answer(4) != 8:
        raise NotYet("It does not double.", hint="Times two.")
    return "doubled"


@check(2, "halve")
def check_halve(answer):
    return "halved" if answer(4) == 2 else "?"


QUESTIONS = (
    Question(1, "Double", 2, "double", check_double), Question(2, "Halve", 3, "halve", check_halve),
    Question(3, "Why?", 4),
)


def grade(namespace):
    return grading.grade(QUESTIONS, namespace)
"""
FORKS = """import os, time
for _ in range(50):
    if os.fork() == 0:
        time.sleep(20)
        os._exit(0)
time.sleep(20)"""
NOW = datetime(2027, 3, 1, tzinfo=UTC)
SOLVED = ("def double(x):\n    return 2 * x", "def halve(x):\n    return x // 2")


def notebook(*sources, tags=(), count=1):
    """A notebook of code cells, as text; the last one gets the tags."""
    cells = [
        {"cell_type": "code", "source": source, "metadata": {}, "execution_count": count, "outputs": []}
        for source in sources
    ]
    cells[-1]["metadata"] = {"tags": list(tags)}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})


@pytest.fixture
def course(tmp_path):
    """A course of one week, with its own small package, a template and an empty roster."""
    for name in ("__init__.py", "checks/grading.py", "sandbox/notebook.py"):
        (tmp_path / "common" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / "common" / name, tmp_path / "common" / name)
    for package in ("checks", "sandbox"):
        (tmp_path / "common" / package / "__init__.py").touch()
    (tmp_path / "common/checks/week01.py").write_text(WEEK01)
    assignment = tmp_path / "week01_tea" / "assignment" / "assignment.ipynb"
    assignment.parent.mkdir(parents=True)
    assignment.write_text(notebook("def double(x):\n    raise NotImplementedError"))
    shutil.copytree(ROOT / "members" / "template", tmp_path / "members" / "template")
    (tmp_path / "members" / "team.toml").write_text("")
    return tmp_path


@pytest.fixture
def ada(course):
    """Writes ada's notebook of week 1 and checks it: within seconds, with small limits."""
    folders.new_member("ada", root=course)

    def check(*sources, text=None, **options):
        limits = Limits(**{"seconds": 60, "memory_bytes": 1 << 30, **options.pop("limits", {})})
        (course / "members/ada/week01/assignment.ipynb").write_text(text or notebook(*sources, **options))
        return check_week("ada", 1, root=course, limits=limits, questions=QUESTIONS)

    return check


def test_a_new_member_has_a_profile_and_a_folder_a_week(course):
    made = folders.new_member("ada_lovelace", team="analytical", root=course)
    folder = course / "members" / "ada_lovelace"
    assert {path.relative_to(folder).as_posix() for path in made} == {
        "profile.md",
        "capstone/README.md",
        "presentations/README.md",
        *(f"week{week:02}/README.md" for week in range(1, 8)),
    }
    profile = (folder / "profile.md").read_text()
    assert profile.startswith("# Ada Lovelace\n")
    assert "- Team: analytical\n" in profile


def test_a_second_time_nothing_is_written_over(course):
    folders.new_member("ada", root=course)
    profile = course / "members/ada/profile.md"
    profile.write_text("mine")
    (course / "members/ada/week03/README.md").unlink()
    assert folders.new_member("ada", root=course) == [course / "members/ada/week03/README.md"]
    assert profile.read_text() == "mine"


@pytest.mark.parametrize("name", ["../ada", "template", "Ada", "a/b", "", "members\\ada"])
def test_path_tricks_make_no_folder(course, name):
    before = sorted(course.rglob("*"))
    for attempt in (folders.new_member, folders.enrol, folders.member_folder):
        with pytest.raises(ValueError, match="name"):
            attempt(name, root=course)
    with pytest.raises(ValueError, match="name"):
        folders.start_week(name, 1, root=course)
    with pytest.raises(ValueError, match="team"):
        folders.new_member("eve", team=name or "..", root=course)
    assert sorted(course.rglob("*")) == before


def test_links_in_place_of_folders_are_not_followed(course, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (course / "members" / "eve").symlink_to(elsewhere)
    for attempt in (
        lambda: folders.new_member("eve", root=course),
        lambda: folders.start_week("eve", 1, root=course),
    ):
        with pytest.raises(ValueError, match="members/eve"):
            attempt()
    folders.new_member("ada", root=course)
    shutil.rmtree(course / "members/ada/week01")
    (course / "members/ada/week01").symlink_to(elsewhere)
    with pytest.raises(ValueError, match="is a link"):
        folders.start_week("ada", 1, root=course)
    assert not list(elsewhere.iterdir())


def test_start_copies_once(course):
    folders.new_member("ada", root=course)
    path, is_new = folders.start_week("ada", "week01", root=course)
    assert is_new
    assert path.read_bytes() == (course / "week01_tea/assignment/assignment.ipynb").read_bytes()
    path.write_text("mine")
    assert folders.start_week("ada", 1, root=course) == (path, False)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("week", ["0", "8", "week02", "../week01", "week01/..", "", "1.5", "week001x"])
def test_weeks_that_are_not_there(course, week):
    folders.new_member("ada", root=course)
    with pytest.raises(ValueError, match="week"):
        folders.start_week("ada", week, root=course)


def test_who_enrols_stands_in_the_roster(course):
    assert folders.enrol(
        "ada", full_name='Ada "the \\ first" Łovelace', team="a", github="ada-l", root=course
    )
    assert not folders.enrol("ada", root=course)
    member = load_roster(course / "members/team.toml").member("ada")
    assert (member.full_name, member.team, member.github) == ('Ada "the \\ first" Łovelace', "a", "ada-l")
    before = (course / "members/team.toml").read_text()
    for wrong in ({"github": "ADA-L"}, {"full_name": "two\nlines"}, {"github": 'x"\n[[members]]'}):
        with pytest.raises(ValueError, match=r"account|full_name|TOML"):
            folders.enrol("eve", root=course, **wrong)
        assert (course / "members/team.toml").read_text() == before


def test_a_solved_notebook_earns_its_points(ada):
    check = ada(*SOLVED, "print(halve(double(21)))")
    assert (check.status, check.points, check.checkable, check.rubric) == ("ran", 5, 5, 4)
    assert check.message.startswith("ran to the end, 3 cells in ")
    assert check.notes == ()
    assert [answer["ok"] for answer in check.answers] == [True, True]
    text = check_report.report([check])
    assert "5 of 5 points by the checks, 4 more by the rubric." in text


def test_a_wrong_answer_gets_its_hint(ada):
    check = ada("def double(x):\n    return x", SOLVED[1])
    assert (check.status, check.points) == ("ran", 3)
    text = check_report.report([check])
    assert "It does not double." in text
    assert "Question 1, hint: Times two." in text


def test_a_failing_cell_is_named_and_what_stands_before_it_counts(ada):
    check = ada(SOLVED[0], "# a comment\n1 / 0", SOLVED[1])
    assert (check.status, check.points) == ("failed", 2)
    assert check.message == "stops in code cell 2 (`1 / 0`): ZeroDivisionError"
    assert check.detail == "ZeroDivisionError: division by zero"
    assert "division by zero" not in check_report.report([check])
    assert "division by zero" not in check_report.report([check, check])
    assert "It said: ZeroDivisionError: division by zero" in check_report.report([check], details=True)
    assert check.answers[1]["message"] == "The notebook defines no such function, or stopped before it."


def test_a_cell_that_may_fail_does_not_stop_the_notebook(ada):
    assert ada(*SOLVED, "raise NotImplementedError", tags=["raises-exception"]).status == "ran"


def test_magics_and_helpers_beside_the_notebook_work(ada, course):
    (course / "members/ada/week01/helper.py").write_text("two = 2\n")
    check = ada("%gui\nfrom helper import two", "def double(x):\n    return two * x", SOLVED[1])
    assert (check.status, check.points) == ("ran", 5)


def test_cells_stored_without_having_been_run_are_told(ada):
    assert ada(*SOLVED, count=None).notes == (
        "2 of 2 cells are stored without having been run: run all, then save",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "limits", "message"),
    [
        ("while True: pass", {"seconds": 8}, r"it took more than 8 seconds$"),
        ("while True: print('x' * 1000)", {"output_bytes": 20_000}, r"cell 2 .*more than 20000 bytes of"),
        (FORKS, {"processes": 8}, r"in code cell 2 .*more than 8 processes at once"),
        ("import os\nos._exit(0)", {}, r"its process ended by itself in code cell 2 \(`import os`\)"),
        ("import os\nos.abort()", {}, r"ended by itself in code cell 2 .* \(signal 6\)"),
    ],
    ids=["loop", "output", "forks", "exit", "crash"],
)
def test_hostile_notebooks_cost_their_author_a_line(ada, source, limits, message):
    import re

    check = ada(SOLVED[0], source, limits=limits)
    assert check.status == "stopped"
    assert re.search(message, check.message), check.message
    assert check.points == 0
    assert "\n" not in check.message


def test_ten_gigabytes_are_refused_to_the_cell(ada):
    check = ada(SOLVED[0], "block = b'x' * (10 << 30)")
    assert check.status in ("failed", "stopped")
    assert "MemoryError" in check.message or "memory" in check.message


def test_writing_outside_is_refused_or_noticed(ada, course):
    target = course / "members" / "team.toml"
    check = ada(f"open({str(target)!r}, 'w').write('[[members]]')", *SOLVED)
    if {"writes", "view"} & set(check.guards):
        assert check.message.startswith("stops in code cell 1")
        assert "PermissionError" in check.message or "FileNotFoundError" in check.message
        assert target.read_text() == ""
    else:
        assert "files of the course changed: members/team.toml" in check.notes[0]


def test_without_landlock_writing_outside_is_noticed(ada, course, monkeypatch):
    monkeypatch.setattr(
        checking, "run_limited", lambda *args, **kw: work_run(*args, **kw, landlock=False, namespaces=False)
    )
    from common.sandbox.run import run_limited as work_run

    check = ada(f"open({str(course / 'members/team.toml')!r}, 'a').write('# x')", *SOLVED)
    assert check.status == "ran"
    assert "files of the course changed: members/team.toml" in check.notes[0]


def test_modes_outside_are_compared_too(ada, course, monkeypatch):
    monkeypatch.setattr(checking, "run_limited", lambda *args, **kw: work_run(*args, **kw, namespaces=False))
    from common.sandbox.run import run_limited as work_run

    check = ada(f"import os\nos.chmod({str(course / 'members/team.toml')!r}, 0o666)", *SOLVED)
    assert "files of the course changed: members/team.toml" in check.notes[0]


def test_a_notebook_cannot_publish_what_it_reads(ada, course):
    """Neither what the instructor has nor, in an error's name or text, anything else: the board is public."""
    key = course / "attendance" / "attendance.sqlite3"
    key.parent.mkdir()
    key.write_text("the-key")
    check = ada(f"raise Exception(open({str(key)!r}).read())", *SOLVED)
    assert "the-key" not in repr(check) or "view" not in check.guards
    check = ada("raise type('K' + 'the_key', (Exception,), {})('the-key')", *SOLVED)
    assert check.message.endswith(": an error")
    assert "the-key" in check.detail
    assert "the-key" not in check_report.report([check])
    check = ada("import sys\nprint(open('/etc/hosts').read())", *SOLVED)
    if "view" in check.guards:
        assert check.message.endswith("FileNotFoundError")


@pytest.mark.parametrize("place", ["tests", ".git", "runs", "members/eve", "attendance"])
def test_other_parts_of_the_repository_are_not_there(ada, course, place):
    (course / place).mkdir(parents=True)
    (course / place / "file.py").write_text("x = 1")
    check = ada(f"import os\nassert not os.path.exists({str(course / place / 'file.py')!r})", *SOLVED)
    if "view" in check.guards:
        assert (check.status, check.points) == ("ran", 5), check


def test_work_done_in_the_copy_does_not_reach_the_folder(ada, course):
    before = work_copy.snapshot(course)
    check = ada("open('made.txt', 'w').write('x')\nopen('assignment.ipynb', 'w').write('gone')", *SOLVED)
    assert check.points == 5
    changed = work_copy.changes(before, work_copy.snapshot(course))
    assert changed == ["members/ada/week01/assignment.ipynb"], "that is the one the test wrote"
    assert json.loads((course / changed[0]).read_text())["nbformat"] == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not even JSON", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[]", "of format 4"),
        ('{"nbformat": 3}', "format 4"),
        ('{"nbformat": 4}', "a cell is broken"),
        ('{"nbformat": 4, "cells": [{"cell_type": "code", "source": 3}]}', "a cell is broken"),
        ('{"nbformat": 4, "cells": [{"cell_type": "code", "source": "1", "metadata": 3}]}', "is broken"),
        ("{" + " " * (8 << 20) + "}", "at most 8,388,608 are allowed"),
    ],
    ids=["text", "deep", "list", "old", "empty", "number", "metadata", "huge"],
)
def test_what_is_no_notebook_is_not_run(ada, text, message):
    check = ada(text=text)
    assert check.status == "refused"
    assert message in check.message


def test_links_and_pipes_are_not_read(ada, course):
    path = course / "members/ada/week01/assignment.ipynb"
    for make in (lambda: path.symlink_to("/etc/passwd"), lambda: os.mkfifo(path), lambda: path.mkdir()):
        make()
        check = check_week("ada", 1, root=course, questions=QUESTIONS)
        assert check.status == "refused"
        assert "was not run" in check.message
        path.rmdir() if path.is_dir() else path.unlink()
    assert "No such file" in check_week("ada", 1, root=course, questions=QUESTIONS).message


def test_a_folder_that_is_too_large_is_not_copied(ada, course, monkeypatch):
    monkeypatch.setattr(work_copy, "MAX_FILES", 5)
    assert "too much for homework" in ada(*SOLVED).message


def test_the_copy_holds_regular_files_only_and_goes_away(course):
    folders.new_member("ada", root=course)
    (course / "members/ada/secret").symlink_to("/etc/passwd")
    (course / "members/ada/way").symlink_to("/etc", target_is_directory=True)
    os.mkfifo(course / "members/ada/pipe")
    with work_copy.work_copy("ada", root=course) as base:
        held = {path.name for path in (base / "course/members/ada").iterdir()}
        assert not {"secret", "way", "pipe"} & held
        assert "week01" in held
        assert [path.name for path in (base / "course/members").iterdir()] == ["ada"]
        locked = base / "home" / "locked"
        (locked / "in").mkdir(parents=True)
        locked.chmod(0)
    assert not base.exists()


def test_a_forged_result_cannot_say_more_than_right_or_wrong(tmp_path):
    path = tmp_path / "result.json"
    for text in ("", "[]", "[" * 100_000, '{"verdicts": 3, "stage": "won", "cell": "x"}', "x" * 500_000):
        path.write_text(text)
        assert checking.read_state(path) == {"cell": 0, "stage": "start", "error": None, "verdicts": None}
    forged = [
        {"question": 1, "ok": "yes", "message": "\x1b[2J" + "x" * 999},
        {"question": 99, "ok": True},
        3,
        {"question": [1], "ok": True},
        {"question": 3, "ok": True},
    ]
    path.write_text(json.dumps({"stage": "done", "cell": 1, "verdicts": forged}))
    answers = checking._answers(checking.read_state(path)["verdicts"], QUESTIONS)
    assert [(answer["question"], answer["ok"]) for answer in answers] == [(1, False), (2, False)]
    assert "\x1b" not in answers[0]["message"]
    assert len(answers[0]["message"]) == 300


def test_a_changed_helper_makes_a_kept_result_outdated(ada, course):
    ada(*SOLVED)
    before = checking.digest("ada", "week01", root=course)
    helper = course / "members/ada/week01/helper.py"
    helper.write_text("ok = False")
    first = checking.digest("ada", "week01", root=course)
    helper.write_text("ok = True")
    second = checking.digest("ada", "week01", root=course)
    (helper.parent / "pictures").mkdir()
    helper.rename(helper.parent / "pictures" / "helper.py")
    third = checking.digest("ada", "week01", root=course)
    assert len({before, first, second, third}) == 4
    (helper.parent / "__pycache__").mkdir()
    (helper.parent / "__pycache__" / "x.pyc").write_text("made by running it")
    assert checking.digest("ada", "week01", root=course) == third


def test_a_hint_does_not_say_its_question_twice():
    answer = {
        "question": 1,
        "title": "Double",
        "points": 2,
        "ok": False,
        "message": "no",
        "hint": "Question 1: think",
    }
    check = week_results.WeekCheck("ada", "week01", "ran", "ran", 0, 2, 0, (answer,))
    text = check_report.report([check])
    assert "Question 1, hint: think" in text
    assert "no answer is right yet" in text


def test_results_are_kept_until_the_notebook_changes(ada, course, tmp_path):
    results = tmp_path / "results"
    check = replace(ada(*SOLVED), seconds=1.0)
    week_results.store(check, results)
    assert week_results.stored("ada", "week01", results) == check
    assert weeks_to_check(None, None, root=course, results=results) == [("ada", "week01", True)]
    (course / "members/ada/week01/assignment.ipynb").write_text(notebook("1"))
    assert weeks_to_check(None, None, root=course, results=results) == [("ada", "week01", False)]
    assert weeks_to_check("ada", 1, root=course, results=results) == [("ada", "week01", False)]
    path = results / "ada" / "week01.json"
    for broken in ("", "[]", "{}", path.read_text().replace('"points": 5', '"points": 50', 1)):
        path.write_text(broken)
        assert week_results.stored("ada", "week01", results) is None


def test_marks_are_written_and_read(tmp_path):
    path = tmp_path / "marks.toml"
    assert load_marks(path) == {}
    set_mark("ada", 3, 3.5, path)
    set_mark("eve", "week01", 4, path)
    set_mark("ada", 3, 2, path)
    assert load_marks(path) == {("ada", "week03"): 2, ("eve", "week01"): 4}
    for wrong in (-1, 101, float("nan"), True):
        with pytest.raises(ValueError, match="points"):
            set_mark("ada", 3, wrong, path)
    for text in ("x = 3", "[ada]\nweek01 = 'many'", "[ada", "['../ada']\nweek01 = 3", "[ada]\nmonth = 1"):
        path.write_text(text)
        with pytest.raises(RosterError, match="marks"):
            load_marks(path)


def test_grades_hold_comments_and_extensions_and_stay_private(tmp_path):
    path, until = tmp_path / "grades" / "marks.toml", datetime(2027, 2, 26, 18, tzinfo=UTC)
    set_mark("ada", 3, 3.5, path, comment='Say "why":\n- the third\tclaim \\ é')
    set_mark("ada", 3, path=path, extension=until)
    assert load_grades(path) == {("ada", "week03"): Mark(3.5, 'Say "why":\n- the third\tclaim \\ é', until)}
    set_mark("ada", 3, 2, path)
    assert load_grades(path)["ada", "week03"].comment.startswith("Say"), "what is not given stays"
    set_mark("ada", 3, path=path, extension=None, comment="")
    assert load_grades(path) == {("ada", "week03"): Mark(2)}
    assert path.stat().st_mode & 0o77 == 0
    assert path.parent.stat().st_mode & 0o77 == 0
    for wrong in ({"comment": "\x1b[2J"}, {"comment": "x" * 5001}, {"extension": datetime(2027, 1, 1)}):
        with pytest.raises(ValueError, match=r"comment|extension"):
            set_mark("ada", 3, path=path, **wrong)
    path.write_text("[ada.week03]\npoint = 3")
    with pytest.raises(RosterError, match="unknown 'point'"):
        load_grades(path)


def test_marks_of_earlier_versions_move_out_of_the_repository(course, monkeypatch):
    monkeypatch.setenv("DNNC_GRADES", str(course / "private"))
    old = course / "members" / "marks.toml"
    old.write_text("[ada]\nweek01 = 3\nweek02 = 1\n")
    set_mark("ada", 2, 2.5, marks_file(course))
    assert migrate(course) == (2, course / "private" / "marks.toml")
    assert load_marks(marks_file(course)) == {("ada", "week01"): 3, ("ada", "week02"): 2.5}
    assert not old.exists()
    assert migrate(course)[0] == 0


def test_grades_lie_beside_the_repository_by_default(course, monkeypatch):
    monkeypatch.delenv("DNNC_GRADES", raising=False)
    assert marks_file(course) == course.parent / f"{course.name}-grades" / "marks.toml"
    assert not marks_file(course).is_relative_to(course)


@pytest.mark.parametrize(("mark", "delimiter"), [("", ","), ("\ufeff", ";"), ("", "\t")])
def test_a_class_comes_from_a_spreadsheet(course, monkeypatch, mark, delimiter):
    """As Excel and learning platforms write it."""
    monkeypatch.setenv("DNNC_GRADES", str(course / "private"))
    lines = [
        ["First name", "Surname", "ID number", "Email address", "Team", "GitHub", "shoe size"],
        ["Ada", "Łovelace", "007", "ada@uni.example", "analytical", "@ada-l", "38"],
        ["Blaise", "Pascal", "008", "b@uni.example", "", "", ""],
        ["", "", "", "", "", "", ""],
    ]
    source = course / "class.csv"
    source.write_text(mark + "\r\n".join(delimiter.join(line) for line in lines) + "\r\n", encoding="utf-8")
    assert import_people(source, root=course) == (["ada_ovelace", "blaise_pascal"], [])
    roster = load_roster(course / "members/team.toml")
    assert roster.of_account("ada-l").full_name == "Ada Łovelace"
    assert roster.member("blaise_pascal").github is None
    assert "@uni" not in (course / "members/team.toml").read_text()
    assert load_people(people_file(course))["ada_ovelace"] == Person(
        "ada_ovelace", "Ada Łovelace", "007", "ada@uni.example"
    )
    assert import_people(source, root=course) == ([], ["ada_ovelace", "blaise_pascal"])
    assert people_file(course).stat().st_mode & 0o77 == 0


def test_a_class_that_cannot_be_changes_nothing(course, monkeypatch):
    monkeypatch.setenv("DNNC_GRADES", str(course / "private"))
    source, before = course / "class.csv", (course / "members/team.toml").read_text()
    for text in (
        "name\n../ada\n",
        "name,github\nada,a b\n",
        "full name\nAda\nAda\n",
        "",
        "full name\n\u0410\n",
    ):
        source.write_text(text, encoding="utf-8")
        with pytest.raises(RosterError):
            import_people(source, root=course)
        assert (course / "members/team.toml").read_text() == before
    source.write_bytes("name\nZoë\n".encode("latin-1"))
    with pytest.raises(RosterError, match="CSV UTF-8"):
        import_people(source, root=course)


def test_full_names_may_stay_out_of_the_public_roster(course, monkeypatch):
    monkeypatch.setenv("DNNC_GRADES", str(course / "private"))
    (course / "class.csv").write_text(
        "name,full name,nickname\ns01,Ada Lovelace,Countess\ns02,Blaise Pascal,\n"
    )
    import_people(course / "class.csv", root=course, private_names=True)
    text = (course / "members/team.toml").read_text()
    assert "Lovelace" not in text
    assert "Pascal" not in text
    board = boards.gather(root=course, results=course / "r", made=NOW)
    assert [row.full_name for row in board.rows] == ["Ada Lovelace", "Blaise Pascal"]


def test_enrolling_and_starting_leave_no_two_makers_of_one_file(course):
    """What an instructor commits is the roster alone: the member's folder meets nothing when it is merged."""
    before = {path for path in course.rglob("*") if path.is_file()}
    folders.enrol("ada", github="ada-l", root=course)
    assert {path for path in course.rglob("*") if path.is_file()} == before
    assert folders.start_week("ada", 1, root=course)[1]
    assert not (course / "members/ada/profile.md").exists(), "it may be on its way on another branch"
    with pytest.raises(ValueError, match="dnnc members new eve"):
        folders.start_week("eve", 1, root=course)


def test_the_due_date_stands_in_the_copied_assignment(course):
    source = course / "week01_tea/assignment/assignment.ipynb"
    text = {"cell_type": "markdown", "metadata": {}, "source": ["# Assignment 1"]}
    content = json.loads(source.read_text())
    source.write_text(json.dumps(content | {"cells": [text, *content["cells"]]}))
    (course / "members/team.toml").write_text(
        'timezone = "Europe/Berlin"\n[[members]]\nname = "ada"\nfull_name = "Ada"\n'
        "[due]\nweek01 = 2027-02-08\n"
    )
    path, _ = folders.start_week("ada", 1, root=course)
    cells = json.loads(path.read_text())["cells"]
    assert "".join(cells[0]["source"]).endswith("**Due:** Monday 8 February 2027, 23:59 Europe/Berlin")
    assert cells[1:] == content["cells"]


def dnnc(capsys, *arguments):
    """Exit code, stdout, stderr."""
    code = 0
    try:
        cli.main(["members", *arguments])
    except SystemExit as stop:
        code = stop.code or 0
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["new", "../ada"], "name '../ada'"),
        (["start", "nobody_here", "1"], "dnnc members new nobody_here"),
        (["check"], "a member's name, or --all"),
        (["check", "ada", "--all"], "not both"),
        (["check", "nobody_here"], "members/nobody_here is not there"),
        (["mark", "nobody_here", "1", "3"], "nobody is named nobody_here"),
    ],
)
def test_wrong_usage_is_one_line(capsys, arguments, message):
    code, out, err = dnnc(capsys, *arguments)
    assert (code, out) == (1, "")
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.fixture
def commands(course, monkeypatch):
    """The commands' functions, at home in the small course."""
    results, members = course / "runs" / "members", course / "members"
    monkeypatch.setenv("DNNC_GRADES", str(course / "grades"))
    for function in (
        folders.new_member,
        folders.enrol,
        folders.start_week,
        weeks_to_check,
        boards.gather,
        write_feedback,
    ):
        monkeypatch.setitem(function.__kwdefaults__, "root", course)
        if "results" in function.__kwdefaults__:
            monkeypatch.setitem(function.__kwdefaults__, "results", results)
    for function, defaults in (
        (folders.member_folder, (course,)),
        (folders.known_member, (course,)),
        (folders.member_names, (course,)),
        (load_roster, (members / "team.toml",)),
        (week_results.store, (results,)),
        (week_results.stored, (results,)),
    ):
        monkeypatch.setattr(function, "__defaults__", defaults)
    ran = []

    def pretend(name, week, **options):
        ran.append((name, week))
        status = "failed" if name == "eve" else "ran"
        now = checking.digest(name, week, root=course)
        return week_results.WeekCheck(name, week, status, f"{status} it", 5, 5, 4, digest=now)

    monkeypatch.setattr(checking, "check_week", pretend)
    return ran


def test_from_a_new_member_to_the_board(capsys, course, commands):
    """What mentee and instructor type, as JSON for scripts."""
    code, out, _ = dnnc(capsys, "new", "ada", "--team", "one", "--json")
    told = json.loads(out)
    assert code == 0
    assert (told["name"], told["is_in_roster"]) == ("ada", False)
    assert "Tell your instructor your GitHub account" in dnnc(capsys, "new", "eve")[1]
    assert (course / "members/eve/profile.md").exists()
    shutil.rmtree(course / "members/eve")
    code, out, _ = dnnc(capsys, "new", "ada", "--team", "one", "--github", "ada-l", "--enrol")
    assert "members/team.toml: one block added" in out
    assert "warning: team one has 1 member" in out
    assert load_roster().of_account("ada-l").team == "one"
    assert json.loads(dnnc(capsys, "start", "ada", "1", "--json")[1])["is_new"]
    assert "stays as it is" in dnnc(capsys, "start", "ada", "1")[1]
    code, out, err = dnnc(capsys, "check", "ada", "1", "--json")
    assert (code, json.loads(out)[0]["points"], err) == (0, 5, "ada, week01 ...\n")

    dnnc(capsys, "new", "eve")
    dnnc(capsys, "start", "eve", "1")
    code, out, _ = dnnc(capsys, "check", "--all")
    assert code == 1, "eve's notebook fails"
    assert "| ada | week01 | ran to its end | 5 of 5 |" in out
    assert "eve, week01: failed it" in out
    assert commands == [("ada", "week01"), ("eve", "week01")], "ada's has not changed since"
    dnnc(capsys, "check", "--all", "--again")
    assert commands[2:] == [("ada", "week01"), ("eve", "week01")]

    assert "3.5 of 4 points" in dnnc(capsys, "mark", "ada", "1", "3.5", "--comment", "Fine.")[1]
    for wrong in ("99", "-1", "nan", "many"):
        code, _, err = dnnc(capsys, "mark", "ada", "1", wrong)
        assert (code, "points" in err) == (1, True), wrong
    assert "week44" in dnnc(capsys, "mark", "ada", "44", "3")[2]
    assert "did you mean ada?" in dnnc(capsys, "mark", "adda", "1", "3")[2]
    page = course / "out" / "board.html"
    code, out, _ = dnnc(capsys, "board", "--no-leaderboard", "--grades", "--out", str(page), "--json")
    assert code == 0
    assert json.loads(out)["files"] == [str(page), str(page.with_suffix(".csv"))]
    assert "✓ 8.5/9" in page.read_text()
    table = page.with_suffix(".csv").read_bytes()
    assert table.startswith(b"\xef\xbb\xbf"), "spreadsheets look for the mark"
    assert "ada,Ada,one,ran,8.5,9," in table.decode()
    public = course / "out" / "public.html"
    assert dnnc(capsys, "board", "--no-leaderboard", "--out", str(public))[0] == 0
    assert "8.5/9" not in public.read_text()
    assert "points" not in public.with_suffix(".csv").read_text().splitlines()[0]
    assert ",8.5," not in public.with_suffix(".csv").read_text()
    assert "✓ handed in" in public.read_text()

    code, out, _ = dnnc(capsys, "feedback", "ada")
    text = (course / "grades" / "feedback" / "ada_all_weeks.md").read_text()
    assert "## Week 1: 8.5 of 9 points" in text
    assert "> Fine." in text
    assert not (course / "members/ada/feedback").exists()
    assert dnnc(capsys, "feedback", "ada", "--week", "1", "--into-folders")[0] == 0
    assert (course / "members/ada/feedback/week01.md").exists()
    out = course / "grades.csv"
    assert dnnc(capsys, "export", str(out))[0] == 0
    assert ",,ada,Ada,8.5,9,0,8.5,0" in out.read_text(encoding="utf-8-sig")
    assert dnnc(capsys, "export", str(out))[0] == 1, "it exists"
