"""The board: everybody's weeks, points, last hand-in, group work and presentations, gathered from the files.

Nothing is run here: points come from the results that `dnnc members check` kept, and from the marks that
instructors gave.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from common.course.checking import digest
from common.course.folders import NOTEBOOK, assignments, member_names
from common.course.hand_ins import hand_ins
from common.course.leaderboard import Leaderboard
from common.course.marks import load_marks
from common.course.roster import Lecture, load_roster
from common.course.week_results import RESULTS, one_short_line, stored

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class WeekCell:
    """A member's week.

    Attributes
    ----------
    week : str
    state : {"none", "unchecked", "outdated", "ran", "failed", "stopped", "refused"}
        Nothing there; not checked; checked before it was changed; or what the check found.
    points, out_of : float
        By checks and by rubric together.
    message : str
        What the check said.
    handed_in : datetime or None
    by : str
        The team's member whose notebook counts, for group work; else empty.
    """

    week: str
    state: str
    points: float = 0
    out_of: float = 0
    message: str = ""
    handed_in: datetime | None = None
    by: str = ""


@dataclass(frozen=True)
class Row:
    """A member; `is_listed` says whether the roster has the name."""

    name: str
    full_name: str
    team: str
    is_listed: bool
    weeks: tuple[WeekCell, ...]
    presentations: tuple[str, ...]

    @property
    def points(self) -> float:
        """All points together."""
        return sum(cell.points for cell in self.weeks)

    @property
    def last(self) -> datetime | None:
        """The last hand-in of any week."""
        return max((cell.handed_in for cell in self.weeks if cell.handed_in), default=None)


@dataclass(frozen=True)
class Board:
    """All that the page shows."""

    rows: tuple[Row, ...]
    weeks: tuple[str, ...]
    group_weeks: tuple[str, ...]
    lectures: tuple[Lecture, ...]
    warnings: tuple[str, ...]
    leaderboard: Leaderboard | None
    made: datetime


def gather(
    *, root: Path = ROOT, results: Path = RESULTS, leaderboard: Leaderboard | None = None, made: datetime
) -> Board:
    """Collect the board.

    Parameters
    ----------
    root : Path
        The repository.
    results : Path
        Where `week_results.store` keeps what checks found.
    leaderboard : Leaderboard, optional
    made : datetime
        When; shown on the page.

    Raises
    ------
    RosterError
        The roster or the marks cannot be read.
    """
    roster, marks = load_roster(root / "members" / "team.toml"), load_marks(root / "members" / "marks.toml")
    weeks, times = tuple(assignments(root)), hand_ins(root)
    group_weeks = tuple(week for week in weeks if int(week[4:]) in roster.group_weeks)
    names = member_names(root)
    cells = {
        (name, week): _cell(name, week, root, results, marks.get((name, week)), times.get((name, week)))
        for name in names
        for week in weeks
    }
    rows = []
    for name in names:
        member = roster.member(name)
        team = member.team if member else None
        mates = [mate.name for mate in roster.of_team(team)] or [name]
        own = tuple(
            _best(week, name, mates, cells) if week in group_weeks else cells[name, week] for week in weeks
        )
        full_name = member.full_name if member else name.replace("_", " ").title()
        rows.append(Row(name, full_name, team or "", member is not None, own, _presentations(root, name)))
    order = {team: place for place, team in enumerate(roster.teams)}
    rows.sort(key=lambda row: (order.get(row.team, len(order)), row.name))
    return Board(tuple(rows), weeks, group_weeks, roster.lectures, roster.warnings, leaderboard, made)


def _cell(
    name: str, week: str, root: Path, results: Path, mark: float | None, when: datetime | None
) -> WeekCell:
    folder = root / "members" / name / week
    if folder.is_symlink() or not (folder / NOTEBOOK).exists():
        return WeekCell(week, "none", mark or 0, mark or 0)
    check = stored(name, week, results)
    if check is None:
        return WeekCell(week, "unchecked", mark or 0, mark or 0, "not checked yet", when)
    state = check.status if check.digest == digest(name, week, root=root) else "outdated"
    message = check.message if state != "outdated" else "it, or its checks, changed since it was checked"
    given = min(mark or 0, check.rubric)
    return WeekCell(week, state, check.points + given, check.checkable + check.rubric, message, when)


def _best(week: str, name: str, mates: list[str], cells: dict[tuple[str, str], WeekCell]) -> WeekCell:
    """The team's best notebook of a group week; its own where two are as good."""
    candidates = [mate for mate in mates if (mate, week) in cells and cells[mate, week].state != "none"]
    if not candidates:
        return cells[name, week]
    best = max(candidates, key=lambda mate: (cells[mate, week].points, mate == name))
    cell = cells[best, week]
    return cell if best == name else WeekCell(**(cell.__dict__ | {"by": best}))


def _presentations(root: Path, name: str) -> tuple[str, ...]:
    """Names of the files in a member's ``presentations/``, the explaining one left out."""
    folder = root / "members" / name / "presentations"
    if folder.is_symlink() or not folder.is_dir():
        return ()
    return tuple(
        one_short_line(path.name)[:60]
        for path in sorted(folder.iterdir())
        if path.name != "README.md" and not path.name.startswith(".") and not path.is_symlink()
    )
