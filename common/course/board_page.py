"""The board as a page and as CSV: one file without scripts, that a browser opens from the disk."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from common.course.board import Board, WeekCell
from common.course.leaderboard import Leaderboard
from common.whole_file import whole_file

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
        loader=PackageLoader("common.course"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
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
    lines = [["rank", "member", "file", "bytes", "ratio", "top1", "drop_points", "meets_targets",
              "on_front", "sha256", "problem"]]  # fmt: skip
    for place in board.places:
        entry = place.entry
        lines.append([
            place.rank, entry.member, entry.file, entry.file_bytes, f"{place.ratio:.3f}", f"{entry.top1:.4f}",
            f"{place.drop_points:.2f}", place.meets_targets, place.is_on_front, entry.sha256, "",
        ])  # fmt: skip
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
    from common.figures.leaderboard import leaderboard_figure
    from common.published import PUBLISHED

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
