"""Who was in which lecture: a table for people, CSV for a spreadsheet, a dictionary for programs."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from common.attendance.store import AttendanceStore, Presence
from common.base.text import markdown_table
from common.figures.style import BLUE, GREY, LIGHT, ORANGE, CourseFigure, styled, y_grid
from common.members.lists import Person, harmless
from common.members.roster import Roster

ABSENT, SCANNED, BY_HAND, LATE, EXCUSED = "absent", "present", "present (by hand)", "late", "excused"
_MARKS = {ABSENT: "–", SCANNED: "✓", BY_HAND: "✓*", LATE: "L", EXCUSED: "E"}


@dataclass(frozen=True)
class LectureHeld:
    """A lecture that was opened, or in which somebody was marked."""

    number: int
    title: str
    is_open: bool
    n_present: int


@dataclass(frozen=True)
class MemberRow:
    """A member's attendance by lecture: `marks`, and `times` (ISO 8601; None where nothing is recorded)."""

    name: str
    full_name: str
    team: str | None
    marks: dict[int, str]
    times: dict[int, str | None]

    @property
    def n_present(self) -> int:
        """Lectures in which the member was present, late ones included."""
        return sum(mark not in (ABSENT, EXCUSED) for mark in self.marks.values())

    @property
    def n_expected(self) -> int:
        """Lectures held, without those in which the member was excused."""
        return sum(mark != EXCUSED for mark in self.marks.values())


@dataclass(frozen=True)
class AttendanceReport:
    """Lectures held, a row per member, and notes: what an instructor may want to look at."""

    lectures: tuple[LectureHeld, ...]
    members: tuple[MemberRow, ...]
    notes: tuple[str, ...]

    def to_text(self) -> str:
        """A table in Markdown, a legend, and the notes."""
        if not self.lectures:
            return "No lecture has been opened yet."
        heads = ["member", "team", *(f"L{one.number}" for one in self.lectures), "present"]
        rows = [
            [
                row.full_name,
                row.team or "",
                *(_MARKS[mark] for mark in row.marks.values()),
                f"{row.n_present} of {row.n_expected}",
            ]
            for row in self.members
        ]
        rows.append(["all", "", *(str(one.n_present) for one in self.lectures), ""])
        held = [f"L{one.number}: {one.title}{' (open now)' if one.is_open else ''}" for one in self.lectures]
        notes = [f"- {note}" for note in self.notes]
        table = markdown_table(*_aligned(heads, rows))
        table[1] = re.sub(r"[^|]", "-", table[0])
        legend = "✓ by scan, ✓* by the instructor's hand, L late, E excused, – absent"
        return "\n".join([*table, "", legend, *held, *(["", "Worth a look:", *notes] if notes else [])])

    def to_csv(self, people: Mapping[str, Person] | None = None, *, times: bool = False) -> str:
        r"""CSV with a line per member; an apostrophe keeps a spreadsheet from running a cell as a formula.

        Parameters
        ----------
        people : mapping, optional
            Members' ids and e-mail addresses by name. They become the first two columns: a learning platform
            knows members by them.
        times : bool
            Add a column per lecture: when each was recorded.
        """
        text = io.StringIO()
        lines = csv.writer(text)
        own = ["id", "email"] if people else []
        heads = [*own, "name", "full name", "team", *map(_column, self.lectures), "present", "lectures"]
        heads += [f"{_column(one)} at" for one in self.lectures] if times else []
        lines.writerow(map(harmless, heads))
        for row in self.members:
            person = (people or {}).get(row.name, Person(row.name))
            cells = [person.id, person.email] if people else []
            cells += [row.name, row.full_name, row.team or "", *row.marks.values()]
            when = [at or "" for at in row.times.values()] if times else []
            lines.writerow([*map(harmless, cells), row.n_present, row.n_expected, *when])
        return text.getvalue()

    def to_dict(self) -> dict:
        """The report as dicts and lists, for JSON."""
        return {
            "lectures": [asdict(one) for one in self.lectures],
            "members": [{**asdict(row), "n_present": row.n_present} for row in self.members],
            "notes": list(self.notes),
        }


def attendance_report(store: AttendanceStore, roster: Roster) -> AttendanceReport:
    """The report over all lectures held so far.

    Parameters
    ----------
    store : AttendanceStore
    roster : Roster
        Gives the order of members; a recorded name that is no longer in it comes after them.
    """
    presences, remarks, openings = (
        store.presences(),
        store.remarks(),
        {one.number: one for one in store.openings()},
    )
    titles = {one.number: one.title for one in roster.lectures}
    numbers = sorted(openings.keys() | {one.lecture for one in presences})
    found = {(one.lecture, one.member): one for one in presences}
    people = {one.name: (one.full_name, one.team) for one in roster.members}
    for one in presences:
        people.setdefault(one.member, (f"{one.member} (not in the roster)", None))
    members = tuple(
        MemberRow(
            name,
            full_name,
            team,
            {number: _mark(found.get((number, name)), remarks.get((number, name))) for number in numbers},
            {number: _time(found.get((number, name))) for number in numbers},
        )
        for name, (full_name, team) in people.items()
    )
    present = Counter(one.lecture for one in presences if one.is_present)
    lectures = tuple(
        LectureHeld(
            number,
            titles.get(number, "(not in the schedule)"),
            number in openings and openings[number].closed_at is None,
            present[number],
        )
        for number in numbers
    )
    return AttendanceReport(lectures, members, _notes(store, presences))


def _notes(store: AttendanceStore, presences: list[Presence]) -> tuple[str, ...]:
    """Several names from one phone or one address, and the refusals; none of these proves anything."""
    notes = []
    for (lecture, _), names in _shared(presences, lambda one: one.address and (one.lecture, one.address)):
        if len(names) <= 4:  # more: a router or a tunnel stands before the class
            notes.append(f"lecture {lecture}: {_joined(names)} came from one network address")
    for _, names in _shared(presences, lambda one: one.device):
        notes.append(f"one phone has recorded {_joined(names)}, in different lectures")
    refused = Counter(
        (event.lecture, event.kind.removeprefix("refused: ").replace("_", " "))
        for event in store.events()
        if event.kind.startswith("refused: ")
    )
    by_lecture = defaultdict(list)
    for (lecture, kind), count in sorted(refused.items()):
        by_lecture[lecture].append(f"{count} × {kind}")
    notes += [f"lecture {lecture}: refused {', '.join(kinds)}" for lecture, kinds in by_lecture.items()]
    return tuple(notes)


def _shared(presences: list[Presence], key: Callable[[Presence], object]) -> list[tuple]:
    """(key, names) of every key with more than one name."""
    names = defaultdict(set)
    for one in presences:
        if key(one):
            names[key(one)].add(one.member)
    return [(what, sorted(found)) for what, found in names.items() if len(found) > 1]


def _joined(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _aligned(heads: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Cells padded to their columns' widths, to be read in a terminal."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in [heads, *rows]]
    return padded[0], padded[1:]


def _mark(presence: Presence | None, remark: str | None) -> str:
    if presence is None or not presence.is_present:
        return EXCUSED if presence is not None and remark == "excused" else ABSENT
    if remark == "late":
        return LATE
    return SCANNED if presence.source == "scan" else BY_HAND


def _time(presence: Presence | None) -> str | None:
    if presence is None:
        return None
    return datetime.fromtimestamp(presence.at).astimezone().isoformat(timespec="seconds")


def _column(lecture: LectureHeld) -> str:
    return f"lecture {lecture.number}"


# ----------------------------------------------------------------------------------------------------
# Attendance as a picture: a square per lecture and member, and how many came to each lecture.

_MAX_LABEL = 24


@styled
def attendance_figure(report: AttendanceReport) -> CourseFigure:
    """Bars of how many were present, above a square for each lecture (column) and member (row).

    Present is filled, present by hand carries a ring as well, absent is empty: the figure reads in grey too.

    Parameters
    ----------
    report : AttendanceReport
        With at least one lecture and one member.

    Returns
    -------
    CourseFigure

    Raises
    ------
    ValueError
        There is nothing to draw.
    """
    if not report.lectures or not report.members:
        raise ValueError("no lecture or no member yet: there is nothing to draw")
    n_members, n_lectures = len(report.members), len(report.lectures)
    rows_height = max(0.8, 0.2 * n_members)
    figure = CourseFigure(height=rows_height + 2.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.1, rows_height])
    places = range(n_lectures)

    bars = above.bar(places, [one.n_present for one in report.lectures], color=BLUE, width=0.8)
    above.bar_label(bars, fontsize=8.5)
    above.set_ylim(0, 1.15 * n_members)
    above.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    above.set_ylabel("present")
    above.set_title(f"Attendance of {n_members} members in {n_lectures} lectures")
    y_grid(above)

    for row, member in enumerate(report.members):
        for column, mark in enumerate(member.marks.values()):
            is_absent = mark in (ABSENT, EXCUSED)
            below.add_patch(
                Rectangle(
                    (column - 0.4, row - 0.4),
                    0.8,
                    0.8,
                    linewidth=0.8,
                    facecolor="white" if is_absent else BLUE,
                    edgecolor=LIGHT if is_absent else BLUE,
                )
            )
            if mark in (LATE, EXCUSED):
                color = GREY if is_absent else "white"
                below.text(column, row, _MARKS[mark], va="center", ha="center", fontsize=8, color=color)
            if mark == BY_HAND:
                below.plot(column, row, "o", markersize=5, markerfacecolor="white", markeredgecolor=ORANGE)
        below.text(
            n_lectures - 0.45, row, f"{member.n_present}", va="center", ha="left", fontsize=9, color=GREY
        )
    below.set_ylim(n_members - 0.4, -0.6)
    below.set_xlim(-0.6, max(n_lectures, 8) + 0.1)
    below.set_xticks(list(places), [str(one.number) for one in report.lectures])
    below.set_yticks(range(n_members), [_short(member.full_name) for member in report.members])
    below.tick_params(length=0)
    below.spines[["left", "bottom"]].set_visible(False)
    below.set_xlabel("lecture; at the right, how many each has attended")
    square = {"linestyle": "none", "marker": "s", "markersize": 8}
    figure.legend(
        handles=[
            Line2D([], [], markerfacecolor=BLUE, markeredgecolor=BLUE, label="present", **square),
            Line2D(
                [],
                [],
                linestyle="none",
                marker="o",
                markersize=6,
                markerfacecolor="white",
                markeredgecolor=ORANGE,
                label="present, by hand",
            ),
            Line2D([], [], markerfacecolor="white", markeredgecolor=GREY, label="absent", **square),
        ],
        loc="outside lower center",
        ncols=3,
        title="L late, E excused" if _has_remarks(report) else None,
    )
    return figure


def _has_remarks(report: AttendanceReport) -> bool:
    return any(mark in (LATE, EXCUSED) for one in report.members for mark in one.marks.values())


def _short(name: str) -> str:
    """A name short enough to leave room for the squares, with dollar signs that start no formula."""
    return (name if len(name) <= _MAX_LABEL else f"{name[: _MAX_LABEL - 1]}…").replace("$", r"\$")
