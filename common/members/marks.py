"""Points that a reader gives by a question's rubric; instructors keep them in ``members/marks.toml``.

::

    [ada_lovelace]
    week01 = 3
    week03 = 3.5
"""

from __future__ import annotations

import math
import os
import subprocess
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from common.base.files import ROOT, whole_file
from common.members.folders import read_regular, week_folder
from common.members.roster import RosterError, safe_name

# ----------------------------------------------------------------------------------------------------
# When something was last handed in: the day of the last commit that touched it, else that of the file.

_NOT_WORK = ("README.md", ".gitkeep")


def hand_ins(root: Path = ROOT) -> dict[tuple[str, str], datetime]:
    """The last hand-in by member and folder: ``{("ada", "week01"): ...}``; the template's files are none.

    Parameters
    ----------
    root : Path
        The repository; without git, or for what is not committed yet, the files' own times count.
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
    """Each file's last commit; empty outside git."""
    command = ["git", "-C", str(root), "log", "--format=%x01%cI", "--name-only", "-z", "--", "members"]
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


MARKS = ROOT / "members" / "marks.toml"
_HEAD = "# Points by rubric: `dnnc members mark NAME WEEK POINTS` writes them here.\n"


def load_marks(path: Path = MARKS) -> dict[tuple[str, str], float]:
    """Points by member and week; none where there is no such file.

    Raises
    ------
    RosterError
        The file cannot be read, or says something that cannot be.
    """
    if not path.exists():
        return {}
    try:
        content = tomllib.loads(read_regular(path, 1_000_000).decode())
        found = {}
        for name, weeks in content.items():
            if not isinstance(weeks, dict):
                raise ValueError(f"{name!r}: expected blocks such as [ada_lovelace]")
            for week, points in weeks.items():
                found[safe_name(name), week_folder(week)] = _points(points)
        return found
    except (ValueError, RecursionError) as error:  # TOML's and Unicode's errors are ValueErrors
        raise RosterError(f"{path}: {error}") from error


def set_mark(name: str, week: str | int, points: float, path: Path = MARKS) -> None:
    """Write the points of a member's week; those that stand there are replaced.

    Raises
    ------
    ValueError
        The name, the week or the points cannot be.
    """
    marks = load_marks(path) | {(safe_name(name), week_folder(week)): _points(points)}
    blocks = {}
    for (member, label), given in sorted(marks.items()):
        blocks.setdefault(member, []).append(f"{label} = {given:g}")
    text = _HEAD + "".join(f"\n[{member}]\n" + "\n".join(lines) + "\n" for member, lines in blocks.items())
    with whole_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _points(value: object) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value <= 100:
        raise ValueError(f"points {value!r}: expected a number from 0 to 100")
    return value
