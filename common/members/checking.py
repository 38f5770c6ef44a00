"""One member's week, checked: the notebook run in a sandbox, its answers graded.

The points are as honest as the notebook: it runs in the same process as its checks, so one that is made to
cheat can. Whoever suspects it reads the notebook, which is short.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from common.base.files import ROOT, whole_file
from common.base.text import json_text, markdown_table, printable
from common.checks.grading import Question
from common.members.folders import (
    NOTEBOOK,
    assignments,
    member_folder,
    member_names,
    read_regular,
    week_folder,
)
from common.members.roster import safe_name
from common.sandbox.notebook import code_cells
from common.sandbox.run import Finished, Limits, run_limited
from common.sandbox.work_copy import MAX_FILES, changes, environment, readable, snapshot, work_copy

# ----------------------------------------------------------------------------------------------------
# What a check of one member's week found, and where that is kept for the board.
#
# Results lie in ``runs/members/<name>/<week>.json``, outside git: they are made again by a command.

RESULTS = ROOT / "runs" / "members"
MAX_RESULT = 400_000
_MAX_TEXT = 300


@dataclass(frozen=True)
class WeekCheck:
    """What a check found.

    Attributes
    ----------
    member, week : str
    status : {"ran", "failed", "stopped", "refused"}
        It ran to the end; a cell failed; a limit was passed, or the process ended; nothing was run.
    message : str
        One line that everybody may read. Of an exception it has the type and the cell, never the text: a
        notebook can put into that whatever it has read.
    points, checkable, rubric : int
        Points earned by the checks, points that the checks can give, and points that a person gives.
    answers : tuple of dict
        ``question``, ``title``, ``points``, ``ok``, ``message``, ``hint`` of each question with a check.
    notes : tuple of str
        What else the author or the instructor should know.
    seconds : float
    guards : tuple of str
        What protected the machine (`common.sandbox.run.Finished`).
    digest : str
        From `digest`, of the week's folder and the checks: a result with another digest is out of date.
    detail : str
        What a failing cell printed as its error, or a process that did not start; for the instructor.
    """

    member: str
    week: str
    status: str
    message: str
    points: int = 0
    checkable: int = 0
    rubric: int = 0
    answers: tuple[dict, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    guards: tuple[str, ...] = ()
    digest: str = ""
    detail: str = ""

    @property
    def is_fine(self) -> bool:
        """Whether the notebook ran to its end."""
        return self.status == "ran"


def store(check: WeekCheck, folder: Path = RESULTS) -> Path:
    """Keep a result for the board, as JSON; the path that was written."""
    path = folder / check.member / f"{check.week}.json"
    with whole_file(path) as aside:
        aside.write_text(json_text(asdict(check), ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def stored(name: str, week: str, folder: Path = RESULTS) -> WeekCheck | None:
    """The result that was kept; None where there is none, or none that can be right."""
    try:
        content = json.loads(read_regular(folder / name / f"{week}.json", MAX_RESULT))
        content |= {key: tuple(content[key]) for key in ("answers", "notes", "guards")}
        check = WeekCheck(**content)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    is_sound = (check.member, check.week) == (name, week) and all(
        type(number) is int for number in (check.points, check.checkable, check.rubric)
    )
    return check if is_sound and 0 <= check.points <= check.checkable else None


def one_short_line(text: object) -> str:
    """One printable line of at most 300 characters."""
    return printable(" ".join(str(text).split()))[:_MAX_TEXT]


# ----------------------------------------------------------------------------------------------------
# What checks found, as text that reads well in a terminal and as markdown in a job's summary.

_WORDS = {"ran": "ran to its end", "failed": "a cell failed", "stopped": "was stopped", "refused": "not run"}


def report(checks: Sequence[WeekCheck], *, details: bool = False) -> str:
    """What checks found, as text: one notebook in detail; several as a table, with remarks below it.

    Parameters
    ----------
    checks : sequence of WeekCheck
    details : bool
        Also show the error texts of failing cells: not for a page that others read.
    """
    if not checks:
        return "Nothing to check: no notebook has been started. `dnnc members start NAME WEEK` does."
    if len(checks) == 1:
        return _detailed(checks[0], details)
    rows = [
        (check.member, check.week, _WORDS[check.status], f"{check.points} of {check.checkable}")
        for check in checks
    ]
    lines = markdown_table(("member", "week", "notebook", "points by the checks"), rows)
    for check in checks:
        remarks = [] if check.is_fine else [check.message]
        remarks += [f"it said: {check.detail}"] if details and check.detail else []
        lines += [f"\n{check.member}, {check.week}: {text}" for text in (*remarks, *check.notes)]
    return "\n".join(lines)


def _detailed(check: WeekCheck, details: bool) -> str:
    lines = [f"{check.member}, {check.week}: {check.message}"]
    if check.detail:
        lines.append(f"It said: {check.detail}" if details else "`--details` shows what it said.")
    lines.append("")
    rows = [
        (
            str(answer["question"]),
            answer["title"],
            f"{answer['points'] if answer['ok'] else 0} of {answer['points']}",
            "right" if answer["ok"] else answer["message"],
        )
        for answer in check.answers
    ]
    if rows:
        lines += [*markdown_table(("", "question", "points", "the check says"), rows), ""]
    for answer in check.answers:
        if not answer["ok"] and answer["hint"]:
            hint = answer["hint"].removeprefix(f"Question {answer['question']}: ")
            lines.append(f"Question {answer['question']}, hint: {hint}")
    if check.is_fine and not check.points and check.checkable:
        lines.append("It ran, and no answer is right yet: a green mark says only that it ran.")
    rest = f", {check.rubric} more by the rubric" if check.rubric else ""
    lines.append(f"{check.points} of {check.checkable} points by the checks{rest}.")
    lines += [f"Note: {note}." for note in check.notes]
    return "\n".join(lines)


MAX_NOTEBOOK = 8 << 20
DEFAULT_LIMITS = Limits()


def check_week(
    name: str,
    week: str | int,
    *,
    root: Path = ROOT,
    limits: Limits = DEFAULT_LIMITS,
    questions: Sequence[Question] | None = None,
) -> WeekCheck:
    """Run and grade a member's notebook of a week in a sandbox.

    Parameters
    ----------
    name : str
    week : str or int
        A number, or ``week03``.
    root : Path
        The repository.
    limits : Limits
        Time, memory, files and processes of the run.
    questions : sequence of Question, optional
        By default those of ``common.checks.<week>``.

    Returns
    -------
    WeekCheck
        Also for a notebook that fails, is stopped, or cannot be run.

    Raises
    ------
    ValueError
        There is no such member or no such week.
    OSError
        This system has no sandbox.
    """
    folder, week = member_folder(name, root), week_folder(week)
    if questions is None:
        try:
            questions = importlib.import_module(f"common.checks.{week}").QUESTIONS
        except ModuleNotFoundError as error:
            raise ValueError(f"{week} has no checks: its assignment is not written yet") from error
    points = _all_points(questions)
    base = WeekCheck(name, week, "refused", "", **points, digest=digest(name, week, root=root))
    try:
        if (folder / week).is_symlink():
            raise ValueError(f"{week} is a link, expected a folder")
        cells = code_cells(json.loads(read_regular(folder / week / NOTEBOOK, MAX_NOTEBOOK)))
        with work_copy(name, root=root) as copy:
            return _run(base, copy, cells, questions, root, limits)
    except (ValueError, RecursionError) as error:
        reason = "it is not JSON" if isinstance(error, json.JSONDecodeError | RecursionError) else error
        return replace(base, message=one_short_line(f"{week}/{NOTEBOOK} was not run: {reason}"))


def _run(
    base: WeekCheck, copy: Path, cells: list[dict], questions: Sequence[Question], root: Path, limits: Limits
) -> WeekCheck:
    notebook = copy / "course" / "members" / base.member / base.week / NOTEBOOK
    result = copy / "result.json"
    before = snapshot(root)
    finished = run_limited(
        [sys.executable, "-m", "common.sandbox.notebook", str(notebook), base.week, str(result)],
        folder=copy,
        limits=limits,
        environment=environment(copy),
        cwd=notebook.parent,
        readable=readable(root),
    )
    outside = changes(before, snapshot(root))
    state = read_state(result)
    where = _place(state, cells)
    detail = ""
    status, message = "ran", f"ran to the end, {len(cells)} cells in {finished.seconds:.0f} s"
    if finished.stopped:
        status, message = "stopped", f"stopped {where}: it took {finished.stopped}"
    elif state["stage"] == "start":
        status, message, detail = "stopped", "did not start", finished.output.strip()[-_MAX_TEXT:]
    elif state["stage"] != "done":
        status, message = "stopped", f"its process ended by itself {where}{_why(finished)}"
    elif state["error"]:
        error = state["error"]
        status, message, detail = "failed", f"stops {where}: {_kind(error['name'])}", _said(error)
    answers = _answers(state["verdicts"] if state["stage"] == "done" else None, questions)
    notes = []
    if unrun := sum(not cell["was_run"] for cell in cells):
        notes.append(f"{unrun} of {len(cells)} cells are stored without having been run: run all, then save")
    if outside:
        shown = ", ".join(outside[:3]) + (" ..." if len(outside) > 3 else "")
        notes.append(f"while it ran, files of the course changed: {shown}; look with `git status`")
    return replace(
        base,
        status=status,
        message=one_short_line(message),
        answers=answers,
        notes=tuple(map(one_short_line, notes)),
        points=sum(answer["points"] for answer in answers if answer["ok"]),
        seconds=round(finished.seconds, 1),
        guards=finished.guards,
        detail=one_short_line(detail),
    )


def read_state(path: Path) -> dict:
    """How far a run came. A hostile notebook may have written the file: only right types are taken."""
    state = {"cell": 0, "stage": "start", "error": None, "verdicts": None}
    try:
        content = json.loads(read_regular(path, MAX_RESULT))
    except (ValueError, RecursionError):
        return state
    if not isinstance(content, dict):
        return state
    if type(content.get("cell")) is int:
        state["cell"] = content["cell"]
    if content.get("stage") in ("cells", "checks", "done"):
        state["stage"] = content["stage"]
    error = content.get("error")
    if isinstance(error, dict):
        state["error"] = {key: one_short_line(error.get(key, "")) for key in ("name", "message")}
    verdicts = content.get("verdicts")
    if isinstance(verdicts, list):
        state["verdicts"] = [verdict for verdict in verdicts[:100] if isinstance(verdict, dict)]
    return state


def _kind(name: str) -> str:
    """The name of a built-in exception; the notebook could name a class of its own after what it has read."""
    kind = getattr(builtins, name, None) if name.isidentifier() else None
    return name if isinstance(kind, type) and issubclass(kind, BaseException) else "an error"


def _said(error: Mapping[str, str]) -> str:
    return f"{error['name']}: {error['message']}".rstrip(": ")


def digest(name: str, week: str, *, root: Path = ROOT) -> str:
    """SHA-256 of a week's folder and of the checks that judge it; empty where there is no notebook to read.

    All files of the folder count: a notebook may import modules and read pictures that lie beside it.
    """
    whole = hashlib.sha256()
    try:
        folder = member_folder(name, root) / week
        read_regular(folder / NOTEBOOK, MAX_NOTEBOOK)
        for path in _regular_files(folder):
            data = read_regular(path, MAX_NOTEBOOK)
            whole.update(
                f"{path.relative_to(folder).as_posix()}\0{len(data)}\0".encode(errors="surrogateescape")
            )
            whole.update(data)
    except ValueError:
        return ""
    for path in sorted((ROOT / "common" / "checks").glob("*.py")):
        whole.update(path.read_bytes())
    return whole.hexdigest()


def _regular_files(folder: Path) -> list[Path]:
    """The files that `work_copy` copies, in order."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [one for one in folders if one != "__pycache__" and not one.startswith(".ipynb_")]
        paths = (Path(place) / one for one in names)
        found += [path for path in paths if path.is_file() and not path.is_symlink()]
        if len(found) > MAX_FILES:
            raise ValueError(f"{folder.name} holds more than {MAX_FILES} files")
    return sorted(found)


def _answers(verdicts: list[dict] | None, questions: Sequence[Question]) -> tuple[dict, ...]:
    """A row for each question with a check. The notebook may have forged verdicts: only plain True counts."""
    found = {
        verdict.get("question"): verdict for verdict in verdicts or [] if type(verdict.get("question")) is int
    }
    return tuple(
        {
            "question": question.number,
            "title": question.title,
            "points": question.points,
            "ok": found.get(question.number, {}).get("ok") is True,
            "message": one_short_line(found.get(question.number, {}).get("message", "not reached")),
            "hint": one_short_line(found.get(question.number, {}).get("hint", "")),
        }
        for question in questions
        if question.check
    )


def _all_points(questions: Sequence[Question]) -> dict[str, int]:
    checkable = sum(question.points for question in questions if question.check)
    return {"checkable": checkable, "rubric": sum(question.points for question in questions) - checkable}


def _place(state: dict, cells: list[dict]) -> str:
    """Where a run was, in words, with the beginning of the cell."""
    if state["stage"] == "checks":
        return "while its answers were checked"
    number = state["cell"]
    if not 1 <= number <= len(cells):
        return "before its first cell"
    lines = [line.strip() for line in cells[number - 1]["source"].splitlines()]
    first = next((line for line in lines if line and not line.startswith("#")), lines[0])
    return f"in code cell {number} (`{first[:50]}`)"


def _why(finished: Finished) -> str:
    return f" (signal {finished.code - 128})" if finished.code > 128 else ""


def weeks_to_check(
    name: str | None, week: str | int | None, *, root: Path = ROOT, results: Path = RESULTS
) -> list[tuple[str, str, bool]]:
    """Which notebooks a command means: member, week, and whether the kept result is still current.

    Parameters
    ----------
    name : str or None
        None for everybody.
    week : str, int or None
        None for every week that has a notebook; a week that is named is taken in any case.

    Raises
    ------
    ValueError
        There is no such member, or no such week.
    """
    names = member_names(root) if name is None else [safe_name(name)]
    if name is not None:
        member_folder(name, root)
    weeks = list(assignments(root)) if week is None else [week_folder(week)]
    found = []
    for member in names:
        for label in weeks:
            is_asked_for = name is not None and week is not None
            if is_asked_for or (root / "members" / member / label / NOTEBOOK).exists():
                kept = stored(member, label, results)
                is_current = kept is not None and kept.digest == digest(member, label, root=root)
                found.append((member, label, is_current))
    return found
