"""Points that a reader gives by a question's rubric; instructors keep them in ``members/marks.toml``.

::

    [ada_lovelace]
    week01 = 3
    week03 = 3.5
"""

from __future__ import annotations

import math
import tomllib
from pathlib import Path

from common.course.folders import read_regular, week_folder
from common.course.names import safe_name
from common.course.roster import RosterError
from common.whole_file import whole_file

MARKS = Path(__file__).resolve().parents[2] / "members" / "marks.toml"
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
