"""The board: everybody's weeks, hand-ins, group work and presentations, gathered from the files.

There are two boards. The public one says who has handed in what, and shows the leaderboard, with nicknames
where the roster has some. The instructor's also has full names, points, late days, and what went wrong.
Nothing is run here: points come from the results that `dnnc members check` kept, and from the marks that
instructors gave.
"""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from common.base.files import ROOT, whole_file
from common.members.checking import RESULTS, digest, one_short_line, stored
from common.members.folders import NOTEBOOK, assignments, member_names
from common.members.leaderboard import Leaderboard
from common.members.lists import harmless, load_people, people_file
from common.members.marks import Mark, days_late, hand_ins, load_grades, marks_file, old_marks_file
from common.members.roster import Lecture, Roster, load_roster


@dataclass(frozen=True)
class WeekCell:
    """A member's week.

    Attributes
    ----------
    week : str
    state : {"none", "handed in", "unchecked", "outdated", "ran", "failed", "stopped", "refused"}
        No notebook; all that the public board says of one; not checked; checked before it was changed; or
        what the check found (`common.members.checking.WeekCheck`).
    points, out_of : float
        Points by the checks and by the rubric together, and how many there are.
    message : str
        What the check said.
    handed_in : datetime or None
        When it came to main (`common.members.marks.hand_ins`).
    by : str
        The team's member whose notebook counts, for group work; empty for one's own.
    days_late : int
        Days after the due date or the extension; a day that has begun counts whole.
    """

    week: str
    state: str
    points: float = 0
    out_of: float = 0
    message: str = ""
    handed_in: datetime | None = None
    by: str = ""
    days_late: int = 0


@dataclass(frozen=True)
class Row:
    """A member's line; `is_listed`: the roster has the name, `shown`: what the board calls the member."""

    name: str
    full_name: str
    team: str
    is_listed: bool
    weeks: tuple[WeekCell, ...]
    presentations: tuple[str, ...]
    shown: str = ""

    @property
    def days_late(self) -> int:
        """Sum of the late days of all weeks; in group weeks those of the team's notebook."""
        return sum(cell.days_late for cell in self.weeks)

    @property
    def points(self) -> float:
        """All points together."""
        return sum(cell.points for cell in self.weeks)

    @property
    def last(self) -> datetime | None:
        """The member's own last hand-in of any week; a teammate's does not count."""
        return max((cell.handed_in for cell in self.weeks if cell.handed_in and not cell.by), default=None)


@dataclass(frozen=True)
class Board:
    """All that the page shows; where it `is_public`, there are no points and no full names in it."""

    rows: tuple[Row, ...]
    weeks: tuple[str, ...]
    group_weeks: tuple[str, ...]
    lectures: tuple[Lecture, ...]
    warnings: tuple[str, ...]
    leaderboard: Leaderboard | None
    made: datetime
    is_public: bool = False
    roster: Roster | None = None

    def called(self, name: str) -> str:
        """What the leaderboard calls a member."""
        member = self.roster.member(name) if self.roster else None
        return member.nickname if self.is_public and member and member.nickname else name


def gather(
    *,
    root: Path = ROOT,
    results: Path = RESULTS,
    leaderboard: Leaderboard | None = None,
    made: datetime,
    grades: bool = True,
) -> Board:
    """Collect the board.

    Parameters
    ----------
    root : Path
        The repository.
    results : Path
        Where `common.members.checking.store` keeps what checks found.
    leaderboard : Leaderboard, optional
        From `common.members.leaderboard.rank_entries`; without one the board shows none.
    made : datetime
        When the board was made; shown on the page. With a time zone.
    grades : bool
        True for the instructor's board, False for the public one.

    Raises
    ------
    RosterError
        The roster or the marks cannot be read.
    """
    roster = load_roster(root / "members" / "team.toml")
    marks = load_grades(old_marks_file(root)) | load_grades(marks_file(root)) if grades else {}
    people = load_people(people_file(root)) if grades else {}
    weeks, times = tuple(assignments(root)), hand_ins(root)
    group_weeks = tuple(week for week in weeks if int(week[4:]) in roster.group_weeks)
    names = member_names(root)
    cells = {
        (name, week): _cell(
            name, week, root, results, marks.get((name, week)), times.get((name, week)), grades
        )
        for name in names
        for week in weeks
    }
    mates_of = {}
    for name in names:
        member = roster.member(name)
        mates_of[name] = [mate.name for mate in roster.of_team(member.team if member else None)] or [name]
    for (name, week), cell in cells.items():
        mark = marks.get((name, week))
        if week in group_weeks:
            mark = _team_mark(mates_of[name], week, marks)
        late = days_late(week, cell.handed_in, roster, mark) if grades else 0
        cells[name, week] = replace(cell, days_late=late)
    rows = []
    for name in names:
        member, mates = roster.member(name), mates_of[name]
        team = member.team if member else None
        own = tuple(
            _best(week, name, mates, cells) if week in group_weeks else cells[name, week] for week in weeks
        )
        full_name = member.full_name if member else name.replace("_", " ").title()
        full_name = people[name].full_name or full_name if name in people else full_name
        shown = full_name if grades else (member and member.nickname) or name
        is_listed, slides = member is not None, _presentations(root, name)
        rows.append(Row(name, full_name, team or "", is_listed, own, slides, shown))
    order = {team: place for place, team in enumerate(roster.teams)}
    rows.sort(key=lambda row: (order.get(row.team, len(order)), row.name))
    warnings = roster.warnings if grades else ()
    if grades and old_marks_file(root).exists():
        warnings += ("members/marks.toml is in the repository, for all to read: run `dnnc members migrate`",)
    lectures = roster.lectures
    return Board(tuple(rows), weeks, group_weeks, lectures, warnings, leaderboard, made, not grades, roster)


def _cell(
    name: str, week: str, root: Path, results: Path, mark: Mark | None, when: datetime | None, grades: bool
) -> WeekCell:
    folder, points = root / "members" / name / week, (mark and mark.points) or 0
    if folder.is_symlink() or not (folder / NOTEBOOK).exists():
        return WeekCell(week, "none", points, points)
    if not grades:
        return WeekCell(week, "handed in", handed_in=when)
    check = stored(name, week, results)
    if check is None:
        return WeekCell(week, "unchecked", points, points, "not checked yet", when)
    state = check.status if check.digest == digest(name, week, root=root) else "outdated"
    message = check.message if state != "outdated" else "it, or its checks, changed since it was checked"
    given = min(points, check.rubric)
    return WeekCell(week, state, check.points + given, check.checkable + check.rubric, message, when)


def _best(week: str, name: str, mates: list[str], cells: dict[tuple[str, str], WeekCell]) -> WeekCell:
    """The team's best notebook of a group week; the member's own where it is as good as the best."""
    candidates = [mate for mate in mates if (mate, week) in cells and cells[mate, week].state != "none"]
    if not candidates:
        return cells[name, week]
    best = max(candidates, key=lambda mate: (cells[mate, week].points, mate == name))
    cell = cells[best, week]
    return cell if best == name else replace(cell, by=best)


def _team_mark(mates: list[str], week: str, marks: Mapping[tuple[str, str], Mark]) -> Mark:
    """A team has one notebook, so one due date: the latest extension that anybody of the team has."""
    extensions = [marks[mate, week].extension for mate in mates if (mate, week) in marks]
    return Mark(extension=max((until for until in extensions if until), default=None))


def _presentations(root: Path, name: str) -> tuple[str, ...]:
    """Names of the files in a member's ``presentations/``, without the README that explains the folder."""
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
        Name of the CSV file that the page links to; no link by default.
    """
    figure, text = _figure(board) if board.leaderboard else ("", "")
    return (
        template_environment()
        .get_template("board.html")
        .render(
            board=board,
            csv_name=csv_name,
            figure=figure,
            figure_text=text,
            kind=_kind,
            said=_said,
            called=lambda names: ", ".join(map(board.called, names)),
        )
    )


def template_environment() -> Environment:
    """Templates of this folder, in which all that is filled in is escaped."""
    return Environment(
        loader=PackageLoader("common.members"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def table(board: Board) -> str:
    """The board as CSV: a line per member."""
    if board.is_public:
        lines = [["member", "team", *(f"{week} handed in" for week in board.weeks), "presentations"]]
        for row in board.rows:
            days = [_day(cell.handed_in) for cell in row.weeks]
            lines.append([row.shown, row.team, *days, "; ".join(row.presentations)])
        return _csv(lines)
    heads = ["name", "full_name", "team"]
    kinds = ("state", "points", "of", "handed in", "days late")
    heads += [f"{week} {what}" for week in board.weeks for what in kinds]
    lines = [[*heads, "points", "days late", "last hand-in", "presentations"]]
    for row in board.rows:
        line: list[object] = [row.name, row.full_name, row.team]
        for cell in row.weeks:
            line += [cell.state, f"{cell.points:g}", f"{cell.out_of:g}", _day(cell.handed_in)]
            line.append(cell.days_late)
        lines.append([*line, f"{row.points:g}", row.days_late, _day(row.last), "; ".join(row.presentations)])
    return _csv(lines)


def leaderboard_table(board: Leaderboard, called: Callable[[str], str] = str) -> str:
    """The leaderboard as CSV: a line per file, those that do not count at the end."""
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
                called(entry.member),
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
        lines.append(["", called(entry.member), entry.file, size, *[""] * 5, entry.sha256, entry.problem])
    return _csv(lines)


def write_board(board: Board, path: Path) -> list[Path]:
    """Write the page, and beside it ``.csv`` and ``_leaderboard.csv``; the paths that were written."""
    members, ranks = path.with_suffix(".csv"), path.with_name(f"{path.stem}_leaderboard.csv")
    files = {path: page(board, csv_name=members.name), members: table(board)}
    if board.leaderboard:
        files[ranks] = leaderboard_table(board.leaderboard, board.called)
    for place, text in files.items():
        with whole_file(place) as aside:  # spreadsheets know UTF-8 by a byte-order mark at the beginning
            encoding = "utf-8-sig" if place.suffix == ".csv" else "utf-8"
            aside.write_text(text, encoding=encoding, newline="")
    return list(files)


def _kind(cell: WeekCell) -> str:
    """The CSS class of a week's cell; `_said` says the same in signs, not by colour alone."""
    if cell.state == "handed in":
        return "full"
    if cell.state == "ran":
        return "full" if cell.points and _is_full(cell) else "part" if cell.points else "wrong"
    return "none" if cell.state in ("none", "unchecked", "outdated") else "wrong"


def _said(cell: WeekCell) -> str:
    if cell.state == "handed in":
        return "✓ handed in"
    points = f"{cell.points:g}/{cell.out_of:g}"
    if cell.state == "ran":
        return f"{'✓' if _is_full(cell) else '◐' if cell.points else '○'} {points}"
    mark = _MARKS[cell.state]
    return mark if not cell.out_of else f"{mark} {points}"


def _is_full(cell: WeekCell) -> bool:
    """Whether four fifths of the points are there: in every week, 16 of 20 are by the checks."""
    return 5 * cell.points >= 4 * cell.out_of


def _figure(whole: Board) -> tuple[str, str]:
    """The trade-off as PNG in base64, and what it shows in a sentence."""
    board = whole.leaderboard
    if not board.places:
        return "", ""
    from common.figures.trade_off import leaderboard_figure
    from common.report.published import PUBLISHED

    points: dict[tuple[float, float, bool], list[str]] = {}
    for place in board.places:
        key = (place.ratio, place.drop_points, place.is_on_front)
        points.setdefault(key, []).append(whole.called(place.entry.member))
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
    csv.writer(text).writerows([harmless(value) for value in line] for line in lines)
    return text.getvalue()


def _day(when) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if when else ""
