"""A certificate: one page to print, with a member's weeks, hours, and the measured file of the capstone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from common.attendance.report import AttendanceReport
from common.members.board import Board
from common.members.leaderboard import Place


@dataclass(frozen=True)
class Certificate:
    """What the page says.

    Attributes
    ----------
    full_name : str
    weeks : tuple of (int, bool)
        Weeks of the course, and whether the member's notebook (or the team's) ran to its end.
    n_attended, n_held : int
        Lectures in which the member was present, and lectures held; those excused are left out.
    hours : float
        Hours of the lectures attended.
    place : Place or None
        The member's best file on the leaderboard; None without one.
    day : date
        Date of the certificate.
    """

    full_name: str
    weeks: tuple[tuple[int, bool], ...]
    n_attended: int
    n_held: int
    hours: float
    place: Place | None
    day: date


def certificate(name: str, board: Board, attendance: AttendanceReport | None, day: date) -> Certificate:
    """Gather a member's certificate.

    Parameters
    ----------
    name : str
    board : Board
        The instructor's, with the leaderboard where the capstone is to appear.
    attendance : AttendanceReport or None
        None where no lecture was recorded.
    day : date
        Date of the certificate.

    Raises
    ------
    ValueError
        There is no such member.
    """
    row = next((one for one in board.rows if one.name == name), None)
    if row is None:
        raise ValueError(f"nobody is named {name}: `dnnc members new` makes a member")
    mine = next((one for one in attendance.members if one.name == name), None) if attendance else None
    n_attended, n_held = (mine.n_present, mine.n_expected) if mine else (0, 0)
    places = board.leaderboard.places if board.leaderboard else ()
    place = next((one for one in places if one.entry.member == name), None)
    weeks = tuple((int(cell.week[4:]), cell.state == "ran") for cell in row.weeks)
    hours = n_attended * (board.roster.lecture_hours if board.roster else 1.5)
    return Certificate(row.shown or row.full_name, weeks, n_attended, n_held, hours, place, day)


def certificate_page(found: Certificate) -> str:
    """The page as HTML: one sheet of A4, without scripts."""
    environment = Environment(
        loader=PackageLoader("common.attendance", "pages"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("certificate.html").render(one=found)


def write_certificate(name: str, out: Path, *, measure: bool = True) -> Path:
    """Gather and write a member's certificate; the path that was written.

    Parameters
    ----------
    name : str
        The member's folder name.
    out : Path
        The HTML file, which is written over.
    measure : bool
        Measure the member's ``.dcz`` files where that has not been done; False leaves the capstone out.

    Raises
    ------
    ValueError
        There is no such member.
    """
    from datetime import UTC, datetime

    from common.attendance.report import attendance_report
    from common.attendance.store import DEFAULT_STORE, AttendanceStore
    from common.base.files import whole_file
    from common.members.board import gather
    from common.members.folders import known_member
    from common.members.leaderboard import entry_files, measure_entries, rank_entries
    from common.members.roster import load_roster

    known_member(name)
    ranks = rank_entries(measure_entries(say=print, names=[name])) if measure and entry_files(name) else None
    board = gather(leaderboard=ranks, made=datetime.now(UTC))
    attendance = None
    if DEFAULT_STORE.exists():
        attendance = attendance_report(AttendanceStore(DEFAULT_STORE, create=False), load_roster())
    with whole_file(out) as aside:
        aside.write_text(
            certificate_page(certificate(name, board, attendance, date.today())), encoding="utf-8"
        )
    return out
