"""The board: everybody's weeks, points, last hand-in, group work and presentations, gathered from the files.

Nothing is run here: points come from the results that `dnnc members check` kept, and from the marks that
instructors gave.
"""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from common.base.files import ROOT, whole_file
from common.members.checking import RESULTS, digest, one_short_line, stored
from common.members.folders import NOTEBOOK, assignments, member_names
from common.members.leaderboard import Leaderboard
from common.members.marks import hand_ins, load_marks
from common.members.roster import Lecture, load_roster


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


# ----------------------------------------------------------------------------------------------------
# The board as a page and as CSV: one file without scripts, that a browser opens from the disk.

_MARKS = {"none": "–", "unchecked": "?", "outdated": "?", "failed": "✗", "stopped": "✗", "refused": "✗"}


def page(board: Board, *, csv_name: str = "") -> str:
    """The board as HTML; all that comes from members is escaped.

    Parameters
    ----------
    board : Board
    csv_name : str
        The file to link to; none by default.
    """
    environment = Environment(
        loader=PackageLoader("common.members"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    figure, text = _figure(board.leaderboard) if board.leaderboard else ("", "")
    return environment.get_template("board.html").render(
        board=board, csv_name=csv_name, figure=figure, figure_text=text, kind=_kind, said=_said
    )


def table(board: Board) -> str:
    """The board as CSV: a line a member."""
    heads = ["name", "full_name", "team"]
    heads += [f"{week} {what}" for week in board.weeks for what in ("state", "points", "of", "handed in")]
    lines = [[*heads, "points", "last hand-in", "presentations"]]
    for row in board.rows:
        line: list[object] = [row.name, row.full_name, row.team]
        for cell in row.weeks:
            line += [cell.state, f"{cell.points:g}", f"{cell.out_of:g}", _day(cell.handed_in)]
        lines.append([*line, f"{row.points:g}", _day(row.last), "; ".join(row.presentations)])
    return _csv(lines)


def leaderboard_table(board: Leaderboard) -> str:
    """The leaderboard as CSV: a line a file, those that do not count at the end."""
    lines = [
        [
            "rank",
            "member",
            "file",
            "bytes",
            "ratio",
            "top1",
            "drop_points",
            "meets_targets",
            "on_front",
            "sha256",
            "problem",
        ]
    ]
    for place in board.places:
        entry = place.entry
        lines.append(
            [
                place.rank,
                entry.member,
                entry.file,
                entry.file_bytes,
                f"{place.ratio:.3f}",
                f"{entry.top1:.4f}",
                f"{place.drop_points:.2f}",
                place.meets_targets,
                place.is_on_front,
                entry.sha256,
                "",
            ]
        )
    for entry in board.invalid:
        size = entry.file_bytes or ""
        lines.append(["", entry.member, entry.file, size, *[""] * 5, entry.sha256, entry.problem])
    return _csv(lines)


def write_board(board: Board, path: Path) -> list[Path]:
    """Write the page, and beside it ``.csv`` and ``_leaderboard.csv``; what was written."""
    members, ranks = path.with_suffix(".csv"), path.with_name(f"{path.stem}_leaderboard.csv")
    files = {path: page(board, csv_name=members.name), members: table(board)}
    if board.leaderboard:
        files[ranks] = leaderboard_table(board.leaderboard)
    for place, text in files.items():
        with whole_file(place) as aside:
            aside.write_text(text, encoding="utf-8", newline="")
    return list(files)


def _kind(cell: WeekCell) -> str:
    """The style of a week: by what it says, not by colour alone."""
    if cell.state == "ran":
        return "full" if cell.points and _is_full(cell) else "part"
    return "none" if cell.state in ("none", "unchecked", "outdated") else "wrong"


def _said(cell: WeekCell) -> str:
    points = f"{cell.points:g}/{cell.out_of:g}"
    if cell.state == "ran":
        return f"{'✓' if _is_full(cell) else '◐'} {points}"
    mark = _MARKS[cell.state]
    return mark if not cell.out_of else f"{mark} {points}"


def _is_full(cell: WeekCell) -> bool:
    """At least four fifths: what the checks can give, in every week."""
    return 5 * cell.points >= 4 * cell.out_of


def _figure(board: Leaderboard) -> tuple[str, str]:
    """The trade-off as PNG in base64, and what it shows in a sentence."""
    if not board.places:
        return "", ""
    from common.figures.trade_off import leaderboard_figure
    from common.report.published import PUBLISHED

    points: dict[tuple[float, float, bool], list[str]] = {}
    for place in board.places:
        key = (place.ratio, place.drop_points, place.is_on_front)
        points.setdefault(key, []).append(place.entry.member)
    places = [(_label(names), *key) for key, names in points.items()]
    png = leaderboard_figure(places, PUBLISHED["vgg16"])._repr_png_()
    front = sorted({key[:2] for key in points if key[2]})
    n_met = sum(place.meets_targets for place in board.places)
    text = (
        f"{n_met} of {len(board.places)} files meet the course's targets; on the Pareto front are "
        + ", ".join(f"{ratio:.0f}× at {drop:.2f} points".replace("-", "−") for ratio, drop in front)
        + ". Squares are published methods."
    )
    return base64.b64encode(png).decode(), text


def _label(names: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(names))
    return ", ".join(distinct[:2]) + (f" and {len(distinct) - 2} more" if len(distinct) > 2 else "")


def _csv(lines: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([_harmless(value) for value in line] for line in lines)
    return text.getvalue()


def _harmless(value: object) -> object:
    """A spreadsheet takes text that begins like a formula for one: put a quote before it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value


def _day(when) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if when else ""
