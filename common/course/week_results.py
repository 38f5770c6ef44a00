"""What a check of one member's week found, and where that is kept for the board.

Results lie in ``runs/members/<name>/<week>.json``, outside git: they are made anew by a command.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from common.course.folders import read_regular
from common.markdown import printable
from common.whole_file import whole_file

RESULTS = Path(__file__).resolve().parents[2] / "runs" / "members"
MAX_RESULT = 400_000
_MAX_TEXT = 300


@dataclass(frozen=True)
class WeekCheck:
    """What a check found.

    Attributes
    ----------
    member, week : str
    status : {"ran", "failed", "stopped", "refused"}
        To the end; a cell failed; a limit was passed, or the process ended; nothing was run.
    message : str
        One line for the author.
    points, checkable, rubric : int
        Earned by the checks; of how many; what a reader gives beyond.
    answers : tuple of dict
        ``question``, ``title``, ``points``, ``ok``, ``message``, ``hint`` of each question with a check.
    notes : tuple of str
        What else the author or the instructor should know.
    seconds : float
    guards : tuple of str
        What protected the machine (`sandbox.Finished`).
    digest : str
        Of the notebook and the checks: a result with another digest is out of date.
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

    @property
    def is_fine(self) -> bool:
        """Whether the notebook ran to its end."""
        return self.status == "ran"


def store(check: WeekCheck, folder: Path = RESULTS) -> Path:
    """Keep a result for the board."""
    path = folder / check.member / f"{check.week}.json"
    with whole_file(path) as aside:
        aside.write_text(json.dumps(asdict(check), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def stored(name: str, week: str, folder: Path = RESULTS) -> WeekCheck | None:
    """The result that was kept; None where there is none that can be read."""
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
