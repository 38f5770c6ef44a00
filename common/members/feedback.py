"""What returns to a member: points, what the checks said, comments; one Markdown file each."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from common.base.files import ROOT, whole_file
from common.base.text import markdown_table
from common.members.board import Board, WeekCell, gather
from common.members.checking import RESULTS, stored
from common.members.folders import known_member, week_folder
from common.members.marks import Mark, grades_folder, load_grades, marks_file, old_marks_file
from common.members.roster import date_text, in_zone


def write_feedback(
    name: str | None = None,
    *,
    week: str | int | None = None,
    into_folders: bool = False,
    root: Path = ROOT,
    results: Path = RESULTS,
) -> list[Path]:
    """Write a report for one member, or for each who has handed in or been marked.

    Parameters
    ----------
    name : str, optional
        By default everybody.
    week : str or int, optional
        Only this one.
    into_folders : bool
        Write into ``members/<name>/feedback/``, which is as public as the repository once committed; by
        default beside the grades.
    root : Path
        The repository.
    results : Path
        Where `common.members.checking.store` keeps what checks found.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    ValueError
        There is no such member, or no such week.
    """
    if name is not None:
        known_member(name, root)
    board = gather(root=root, results=results, made=datetime.now(UTC))
    marks = load_grades(old_marks_file(root)) | load_grades(marks_file(root))
    weeks = board.weeks if week is None else (week_folder(week),)
    if unknown := set(weeks) - set(board.weeks):
        raise ValueError(f"{unknown.pop()} has no assignment: there are {', '.join(board.weeks)}")
    written = []
    for row in board.rows:
        text = feedback_text(row, board, marks, weeks, results)
        if name in (None, row.name) and (text or name is not None):
            label = f"{week_folder(week)}.md" if week is not None else "all_weeks.md"
            folder = (
                root / "members" / row.name / "feedback" if into_folders else grades_folder(root) / "feedback"
            )
            path = folder / label if into_folders else folder / f"{row.name}_{label}"
            if into_folders and (folder.is_symlink() or folder.parent.is_symlink()):
                raise ValueError(f"members/{row.name} holds a link in place of a folder")
            heading = f"# Feedback for {row.shown}\n\n"
            with whole_file(path) as aside:
                aside.write_text(heading + (text or "Nothing has been handed in yet.\n"), encoding="utf-8")
            written.append(path)
    return written


def feedback_text(row, board: Board, marks: dict, weeks: tuple[str, ...], results: Path = RESULTS) -> str:
    """A member's weeks as Markdown; empty where there is nothing to say."""
    found = []
    for cell in row.weeks:
        mark = marks.get((cell.by or row.name, cell.week), Mark())
        if cell.week in weeks and (cell.state != "none" or mark != Mark()):
            found.append(_week_text(row.name, cell, mark, board, results))
    if not found:
        return ""
    late = ""
    if row.days_late:
        late = f"Late days so far: {row.days_late} of {board.roster.late_days}.\n\n"
    return late + "\n".join(found)


def _week_text(name: str, cell: WeekCell, mark: Mark, board: Board, results: Path) -> str:
    lines = [f"## Week {int(cell.week[4:])}: {cell.points:g} of {cell.out_of:g} points", ""]
    if cell.by:
        lines.append(f"Group work: the notebook in the folder of {cell.by} counts for the team.")
    if cell.handed_in:
        zone = board.roster.timezone
        lines.append(f"On the main branch since {date_text(in_zone(cell.handed_in, zone), zone)}.")
    due = board.roster.due_text(cell.week)
    if mark.extension:
        due = f"{date_text(mark.extension, board.roster.timezone)}, your extension"
    if due:
        lines.append(f"Due {due}." + (f" That is {cell.days_late} late days." if cell.days_late else ""))
    if cell.state in ("failed", "stopped", "refused", "outdated", "unchecked"):
        lines.append(f"Notebook: {cell.message}.")
    check = stored(cell.by or name, cell.week, results)
    if check is not None and check.answers:
        rows = [
            (
                str(answer["question"]),
                answer["title"],
                f"{answer['points'] if answer['ok'] else 0} of {answer['points']}",
                "right" if answer["ok"] else answer["message"],
            )
            for answer in check.answers
        ]
        lines += ["", *markdown_table(("", "question", "points", "the check says"), rows)]
    if mark.points is not None:
        lines += ["", f"By the rubric: {mark.points:g} points."]
    if mark.comment:
        lines += ["", *(f"> {line}".rstrip() for line in mark.comment.splitlines())]
    return "\n".join(lines) + "\n"
