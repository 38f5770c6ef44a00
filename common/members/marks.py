"""Grades: points and comments that a reader gives, and extensions. They are private: not in the repository.

They lie in a folder beside it, ``../<repository>-grades/marks.toml``, or in the one that ``DNNC_GRADES``
names::

    [ada_lovelace.week03]
    points = 3.5                       by the rubric
    comment = "The third claim has no figure."
    extension = 2027-02-26T23:59:59+01:00

``members/marks.toml``, where earlier versions kept points, is still read until `migrate` has moved it.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from common.base.files import ROOT, whole_file
from common.members.folders import read_regular, week_folder
from common.members.roster import Roster, RosterError, safe_name

# ----------------------------------------------------------------------------------------------------
# When something was handed in: when it came to main (the merge's date, which GitHub writes), else when its
# file was written. The dates of a member's own commits do not count: their author can set them at will.

_NOT_WORK = ("README.md", ".gitkeep")


def hand_ins(root: Path = ROOT) -> dict[tuple[str, str], datetime]:
    """The last hand-in by member and folder: ``{("ada", "week01"): ...}``; the template's files do not count.

    Parameters
    ----------
    root : Path
        The repository; without git, or for what is not committed yet, the files' own times count.

    Returns
    -------
    dict
        From (member, folder) to a datetime in UTC.
    """
    committed = _commit_times(root)
    found: dict[tuple[str, str], datetime] = {}
    for place, folders, names in os.walk(root / "members"):
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
        for name in names:
            path = Path(place) / name
            parts = path.relative_to(root / "members").parts
            if len(parts) < 3 or name in _NOT_WORK or name.startswith(".") or path.is_symlink():
                continue
            when = committed.get(path.relative_to(root).as_posix())
            if when is None:
                when = datetime.fromtimestamp(path.lstat().st_mtime, UTC)
            key = (parts[0], parts[1])
            found[key] = max(when, found.get(key, when))
    return found


def _commit_times(root: Path) -> dict[str, datetime]:
    """When each file last changed on main, by the commits that main itself is made of; empty outside git."""
    command = ["git", "-C", str(root), "-c", "core.quotePath=false", "log", "--first-parent", "-m"]
    command += ["--format=%x01%cI", "--name-only", "-z", "--", "members"]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return {}
    found: dict[str, datetime] = {}
    for commit in done.stdout.decode(errors="replace").split("\x01")[1:]:
        head, _, names = commit.partition("\0")
        for name in names.replace("\n", "").split("\0"):
            found.setdefault(name, datetime.fromisoformat(head.strip()).astimezone(UTC))
    return found


# ----------------------------------------------------------------------------------------------------
# The file of grades.

_HEAD = (
    "# Grades: `dnnc members mark`, `review` and `extend` write them here. Private: keep this out of the\n"
    "# course's repository, and as safe as other grades.\n"
)
MAX_COMMENT = 5000


@dataclass(frozen=True)
class Mark:
    """What a reader has decided about a member's week; None or empty for what was not decided."""

    points: float | None = None
    comment: str = ""
    extension: datetime | None = None


def grades_folder(root: Path = ROOT) -> Path:
    """Where grades lie: beside the repository, not in it, unless ``DNNC_GRADES`` says where."""
    return Path(os.environ.get("DNNC_GRADES") or root.parent / f"{root.name}-grades")


def marks_file(root: Path = ROOT) -> Path:
    """The file of grades, which need not be there."""
    return grades_folder(root) / "marks.toml"


def load_grades(path: Path | None = None) -> dict[tuple[str, str], Mark]:
    """What was decided, by member and week; nothing where there is no such file.

    Parameters
    ----------
    path : Path, optional
        By default that of the course, together with the one that earlier versions kept in the repository.

    Raises
    ------
    RosterError
        The file cannot be read, or holds a value that is not allowed.
    """
    if path is None:
        return load_grades(old_marks_file()) | load_grades(marks_file())
    if not path.exists():
        return {}
    try:
        content = tomllib.loads(read_regular(path, 10_000_000).decode())
        found = {}
        for name, weeks in content.items():
            if not isinstance(weeks, dict):
                raise ValueError(f"{name!r}: expected blocks such as [ada_lovelace.week03]")
            for week, given in weeks.items():
                found[safe_name(name), week_folder(week)] = _mark(given)
        return found
    except (ValueError, RecursionError) as error:  # TOML's and Unicode's errors are ValueErrors
        raise RosterError(f"{path}: {error}") from error


def load_marks(path: Path | None = None) -> dict[tuple[str, str], float]:
    """The points alone, by member and week."""
    return {key: mark.points for key, mark in load_grades(path).items() if mark.points is not None}


def set_mark(
    name: str, week: str | int, points: float | None = None, path: Path | None = None, **more: object
) -> Mark:
    """Write the points of a member's week into the file; what is not given stays as it is there.

    Parameters
    ----------
    name : str
    week : str or int
    points : float, optional
    path : Path, optional
        By default that of the course.
    **more
        ``comment`` (str), ``extension`` (datetime with a time zone, or None to take it back).

    Raises
    ------
    ValueError
        The name, the week, the points, the comment or the extension is not valid.
    """
    path = path or marks_file()
    marks = load_grades(path)
    key = safe_name(name), week_folder(week)
    given = dict(more) | ({} if points is None else {"points": points})
    mark = replace(marks.get(key, Mark()), **given)
    marks[key] = _mark({field: value for field, value in mark.__dict__.items() if value not in (None, "")})
    _write(marks, path)
    return marks[key]


def old_marks_file(root: Path = ROOT) -> Path:
    """Where earlier versions kept points: in the repository, for everybody to read."""
    return root / "members" / "marks.toml"


def migrate(root: Path = ROOT) -> tuple[int, Path]:
    """Move the points of earlier versions out of the repository; what the new file says already wins.

    Returns
    -------
    n_marks : int
        How many were moved; 0 where there was no old file.
    path : Path
        The new file.
    """
    old, path = old_marks_file(root), marks_file(root)
    found = load_grades(old)
    if old.exists():
        _write(found | load_grades(path), path)
        old.unlink()
    return len(found), path


def _write(marks: Mapping[tuple[str, str], Mark], path: Path) -> None:
    blocks = []
    for (member, label), mark in sorted(marks.items()):
        lines = [f"[{member}.{label}]"]
        lines += [] if mark.points is None else [f"points = {mark.points:g}"]
        lines += [f"comment = {json.dumps(mark.comment, ensure_ascii=False)}"] if mark.comment else []
        lines += [f"extension = {mark.extension.isoformat()}"] if mark.extension else []
        blocks.append("\n".join(lines) + "\n")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with whole_file(path) as aside:
        aside.touch(mode=0o600)
        aside.write_text("\n".join([_HEAD, *blocks]), encoding="utf-8")


def _mark(given: object) -> Mark:
    if not isinstance(given, dict):
        return Mark(_points(given))
    if unknown := sorted(set(given) - {"points", "comment", "extension"}):
        raise ValueError(f"unknown {unknown[0]!r}; known are points, comment, extension")
    comment, extension = given.get("comment", ""), given.get("extension")
    is_text = isinstance(comment, str) and len(comment) <= MAX_COMMENT
    if not is_text or not all(letter.isprintable() or letter in "\n\t" for letter in comment):
        raise ValueError(f"comment: expected text of at most {MAX_COMMENT:,} characters")
    if extension is not None and (not isinstance(extension, datetime) or extension.tzinfo is None):
        raise ValueError(
            f"extension {extension!r}: expected a time with its zone, as `dnnc members extend` writes it"
        )
    return Mark(_points(given["points"]) if "points" in given else None, comment, extension)


def _points(value: object) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value <= 100:
        raise ValueError(f"points {value!r}: expected a number from 0 to 100")
    return value


# ----------------------------------------------------------------------------------------------------
# Late days.


def days_late(week: str, handed_in: datetime | None, roster: Roster, mark: Mark | None = None) -> int:
    """Days that a week came after its due date; a day that has begun counts whole. 0 without a due date.

    Parameters
    ----------
    week : str
        Such as ``week03``.
    handed_in : datetime or None
        With a time zone; None where nothing was handed in.
    roster : Roster
        Has the due dates.
    mark : Mark, optional
        Its extension takes the place of the due date, where there is one.
    """
    due = (mark.extension if mark else None) or roster.due.get(week)
    if due is None or handed_in is None or handed_in <= due:
        return 0
    return -((due - handed_in) // timedelta(days=1))  # // rounds down, so this rounds up
