"""Attendance as a picture: a square a lecture and member, and how many came to each."""

from __future__ import annotations

from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from common.course.attendance_report import ABSENT, BY_HAND, AttendanceReport
from common.figures.style import BLUE, GREY, LIGHT, ORANGE, CourseFigure, styled, y_grid

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
            is_absent = mark == ABSENT
            below.add_patch(
                Rectangle(
                    (column - 0.4, row - 0.4), 0.8, 0.8, linewidth=0.8,
                    facecolor="white" if is_absent else BLUE, edgecolor=LIGHT if is_absent else BLUE,
                )
            )  # fmt: skip
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
            Line2D([], [], linestyle="none", marker="o", markersize=6, markerfacecolor="white",
                   markeredgecolor=ORANGE, label="present, by hand"),
            Line2D([], [], markerfacecolor="white", markeredgecolor=GREY, label="absent", **square),
        ],
        loc="outside lower center", ncols=3,
    )  # fmt: skip
    return figure


def _short(name: str) -> str:
    """A name that leaves room for the squares; a dollar sign is no formula."""
    return (name if len(name) <= _MAX_LABEL else f"{name[: _MAX_LABEL - 1]}…").replace("$", r"\$")
