"""``dnnc attendance``: open, close, mark, report, log; flask and matplotlib are imported inside."""

from __future__ import annotations

import difflib
import os
import sys
import time
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from common.attendance.store import DEFAULT_STORE, AttendanceStore
from common.base.files import whole_file
from common.base.text import json_text, markdown_table, printable
from common.members.commands import members_app
from common.members.lists import load_people
from common.members.roster import ROSTER, Lecture, Member, Roster, load_roster

attendance_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Attendance by QR code, at any moment of a lecture.",
)

Number = Annotated[int, typer.Argument(metavar="LECTURE", help="The lecture's number in the schedule.")]
Store = Annotated[
    Path, typer.Option(help="The attendance; by default attendance/attendance.sqlite3.", show_default=False)
]
RosterPath = Annotated[
    Path, typer.Option(help="Members and lectures; by default members/team.toml.", show_default=False)
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@attendance_app.command("open")
def open_attendance(
    lecture: Number,
    host: Annotated[
        str | None, typer.Option(help="This machine's address in the room's network; found by default.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    url: Annotated[
        str | None, typer.Option(help="What the code leads to, where a tunnel stands before this machine.")
    ] = None,
    reopen: Annotated[bool, typer.Option("--reopen", help="Open a closed lecture again.")] = False,
    late_after: Annotated[
        float | None, typer.Option(min=0, help="Who scans so many minutes after the opening is late.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Show the projector's page in a browser.")] = True,
    store: Store = DEFAULT_STORE,
    roster: RosterPath = ROSTER,
) -> None:
    """Show a code to scan, and record who does.

    Ctrl-C pauses, the same command resumes; `dnnc attendance close` ends it.

    \b
    Example: dnnc attendance open 3
    """
    people = load_roster(roster)
    meeting = _lecture(people, lecture)
    if not people.members:
        raise ValueError(f"{roster} has no members yet: add them first")
    if url is not None and not url.startswith(("http://", "https://")):
        raise ValueError(f"--url is {url!r}, expected an address that begins with http:// or https://")
    from common.attendance.app import make_app, make_server
    from common.attendance.network import lan_addresses, listening_sockets
    from common.attendance.tokens import AttendanceSigner

    others = lan_addresses()
    chosen = host or (others[0] if others else None)
    if chosen is None:
        raise ValueError("this machine is in no network: connect it to the room's Wi-Fi, or give --host")
    sockets = listening_sockets(chosen, port)
    address, port = sockets[0].getsockname()[:2]
    shown = others[0] if chosen == "0.0.0.0" and others else chosen
    phones = (url or f"http://{f'[{shown}]' if ':' in shown else shown}:{port}").rstrip("/")
    book = AttendanceStore(store)
    opening = book.open_lecture(lecture, reopen=reopen)
    app = make_app(book, people, lecture, phones, tell=_tell, late_after=late_after)
    server = make_server(app, sockets)
    secret = AttendanceSigner(book.key, clock=time.time).projector_secret(lecture)
    link = f"http://127.0.0.1:{port}/projector/{secret}"
    n_present = sum(one.is_present for one in book.presences(lecture))
    _tell(f'Lecture {lecture}, "{meeting.title}": attendance is open since {_clock(opening.opened_at)}.')
    _tell(f"Phones     {phones}{'' if url else ', in the same network as this machine'}")
    if (rest := [one for one in others if one != shown]) and not url:
        _tell(f"           (other addresses of this machine: {', '.join(rest)}; choose with --host)")
    if address in ("127.0.0.1", "::1") and not url:
        _tell("           This address leads phones nowhere: only this machine reaches it.")
    _tell(f"Projector  {link}")
    _tell(
        "           (open it on the projector's window; do not show this terminal, for the link is a secret)"
    )
    _tell(f"{n_present} of {len(people.members)} are recorded. Ctrl-C pauses, the same command resumes;")
    _tell(f"`dnnc attendance close {lecture}` ends it.")
    if browser and _has_screen():
        webbrowser.open(link)
    try:
        server.run()  # until Ctrl-C, which waitress keeps to itself
    finally:
        server.close()
        book.close()
    _tell("Paused.")


@attendance_app.command("close")
def close_attendance(lecture: Number, store: Store = DEFAULT_STORE, roster: RosterPath = ROSTER) -> None:
    """End a lecture's attendance; a running server refuses from then on.

    \b
    Example: dnnc attendance close 3
    """
    book = AttendanceStore(store, create=False)
    opening = book.close_lecture(lecture)
    n_present = sum(one.is_present for one in book.presences(lecture))
    members = load_roster(roster).members
    closed = f"Lecture {lecture} is closed since {_clock(opening.closed_at)}"
    _tell(f"{closed}: {n_present} of {len(members)} present.")


@attendance_app.command("mark")
def mark_attendance(
    lecture: Number,
    name: Annotated[str, typer.Argument(help="The member's folder name, or full name in quotes.")],
    absent: Annotated[bool, typer.Option("--absent", help="Not present, whatever a phone said.")] = False,
    late: Annotated[bool, typer.Option("--late", help="Present, and late.")] = False,
    excused: Annotated[
        bool, typer.Option("--excused", help="Absent, with a reason: does not count.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take back what is recorded of the member.")] = False,
    store: Store = DEFAULT_STORE,
    roster: RosterPath = ROSTER,
) -> None:
    """Set one member's attendance by hand, present unless another option says so; the log keeps it.

    \b
    Example: dnnc attendance mark 3 ada_lovelace
    """
    if absent + late + excused + undo > 1:
        raise ValueError("mark: expected one of --absent, --late, --excused, --undo")
    people = load_roster(roster)
    meeting = _lecture(people, lecture)
    member = _member(people, name)
    book = AttendanceStore(store)
    if undo:
        found = book.unmark(lecture, member.name)
        told = "is taken back" if found else "had nothing recorded"
        _tell(f"Lecture {lecture}: {member.full_name} {told}.")
        return
    is_new = book.opening(lecture) is None and not book.presences(lecture)
    remark = "late" if late else "excused" if excused else ""
    book.mark(lecture, member.name, is_present=not (absent or excused), remark=remark)
    state = remark or ("absent" if absent else "present")
    _tell(f"Lecture {lecture}: {member.full_name} is {state}, set by hand.")
    if is_new:
        _tell(
            f'Lecture {lecture}, "{meeting.title}", counts as held from now on, though it was never opened.'
        )
        _tell(f"By mistake? `dnnc attendance undo {lecture}` takes it back.")


@attendance_app.command("undo")
def undo_lecture(
    lecture: Number,
    force: Annotated[bool, typer.Option("--force", help="Also where phones were recorded.")] = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Take back a lecture that was opened, or marked in, by mistake; it no longer counts as held.

    \b
    Example: dnnc attendance undo 9
    """
    n_rows = AttendanceStore(store, create=False).forget_lecture(lecture, force=force)
    _tell(f"Lecture {lecture} is taken back, {n_rows} members with it; the log keeps what happened.")


@attendance_app.command("report")
def report_attendance(
    csv: Annotated[Path | None, typer.Option(help="A file for a spreadsheet.")] = None,
    times: Annotated[bool, typer.Option("--times", help="With --csv: also when each was recorded.")] = False,
    figure: Annotated[Path | None, typer.Option(help="A picture: .png, .svg or .pdf.")] = None,
    force: Force = False,
    as_json: Json = False,
    store: Store = DEFAULT_STORE,
    roster: RosterPath = ROSTER,
) -> None:
    """Show who was in which lecture.

    \b
    Example: dnnc attendance report --csv attendance/attendance.csv
    """
    _check_free("--csv", csv, force=force)
    _check_free("--figure", figure, force=force)
    if figure is not None and figure.suffix not in (".png", ".svg", ".pdf"):
        raise ValueError(f"--figure {figure}: expected a name that ends in .png, .svg or .pdf")
    from common.attendance.report import attendance_report

    report = attendance_report(AttendanceStore(store, create=False), load_roster(roster))
    if csv is not None:
        with whole_file(csv) as aside:
            aside.write_text(
                report.to_csv(load_people(), times=times), encoding="utf-8-sig", newline=""
            )  # spreadsheets know UTF-8 by its byte-order mark
    if figure is not None:
        from common.attendance.report import attendance_figure

        with whole_file(figure) as aside:
            attendance_figure(report).savefig(aside, format=figure.suffix[1:])
    if as_json:
        print(json_text(report.to_dict()))
    else:
        _tell(report.to_text())
        for path in filter(None, (csv, figure)):
            _tell(f"{path}: {path.stat().st_size:,} bytes")


@attendance_app.command("log")
def log_attendance(
    lecture: Annotated[int | None, typer.Argument(metavar="[LECTURE]", help="By default all.")] = None,
    store: Store = DEFAULT_STORE,
) -> None:
    """Show what happened, refusals and corrections included.

    Phones and addresses appear as the beginnings of their fingerprints: equal ones are the same phone.

    \b
    Example: dnnc attendance log 3
    """
    heads = ["time", "lecture", "what", "member", "phone", "address", "detail"]
    rows = [
        [
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.at)),
            str(event.lecture),
            event.kind,
            event.member or "",
            (event.device or "")[:6],
            (event.address or "")[:6],
            event.detail,
        ]
        for event in AttendanceStore(store, create=False).events(lecture)
    ]
    _tell("\n".join(markdown_table(heads, rows)))


@members_app.command("certificate")
def write_certificate(
    name: Annotated[str, typer.Argument(help="A member's name.")],
    out: Annotated[Path | None, typer.Option(help="The page; by default beside the grades.")] = None,
    measure: Annotated[
        bool, typer.Option("--leaderboard/--no-leaderboard", help="With the capstone's file, or not.")
    ] = True,
    force: Force = False,
) -> None:
    """Make a certificate to print: weeks, hours of lectures, the capstone's measured file.

    \b
    Example: dnnc members certificate ada_lovelace
    """
    from common.attendance.certificate import write_certificate as write
    from common.members.marks import grades_folder

    out = out or grades_folder() / "certificates" / f"{name}.html"
    _check_free("--out", out, force=force)
    _tell(f"{write(name, out, measure=measure)}: open it in a browser, and print it")


def _lecture(roster: Roster, number: int) -> Lecture:
    for lecture in roster.lectures:
        if lecture.number == number:
            return lecture
    known = ", ".join(str(lecture.number) for lecture in roster.lectures) or "none yet"
    raise ValueError(f"lecture {number} is not in the schedule; there are: {known}")


def _member(roster: Roster, name: str) -> Member:
    found = [one for one in roster.members if name == one.name or name.casefold() == one.full_name.casefold()]
    if len(found) == 1:
        return found[0]
    known = [one.name for one in roster.members]
    same = [one.name for one in found]
    near = same or [one for one in known if name.lower() in one] or difflib.get_close_matches(name, known)
    hint = f"did you mean {' or '.join(near[:3])}?" if near else "it is the name of the member's folder"
    raise ValueError(f"{len(found) or 'no'} member{'s are' if found else ' is'} named {name!r}: {hint}")


def _check_free(option: str, path: Path | None, *, force: bool) -> None:
    if path is not None and path.exists() and not (force and path.is_file()):
        raise ValueError(f"{option} {path} exists: choose another name, or add --force")


def _clock(at: float) -> str:
    return time.strftime("%H:%M", time.localtime(at))


def _tell(text: str) -> None:
    print(printable(text, keep="\n"), flush=True)


def _has_screen() -> bool:
    """Whether a browser would open in a window, and not in this terminal."""
    if sys.platform.startswith("linux"):
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True
