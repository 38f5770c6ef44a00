"""The members' files on the trade-off: ratio against drop, the Pareto front, the targets, the published."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from common.figures.labels import place_labels
from common.figures.style import BLUE, GREY, LIGHT, ORANGE, CourseFigure, styled
from common.published import PublishedResult
from common.targets import COURSE_DROP_POINTS, COURSE_RATIO

_REFERENCE_ERROR = 6.6  # what the published methods with a stated baseline start from, in percent


@styled
def leaderboard_figure(
    places: Sequence[tuple[str, float, float, bool]], published: Sequence[PublishedResult], *,
    most_drop: float = 5.0,
) -> CourseFigure:  # fmt: skip
    """Each file as a point, the Pareto front as a staircase; to the right and below is better.

    Parameters
    ----------
    places : sequence of (label, ratio, drop in percentage points, is on the front)
    published : sequence of PublishedResult
        Hollow where the source states no baseline.
    most_drop : float
        A file that loses more stands at the upper edge, as a triangle, and says how much.

    Returns
    -------
    CourseFigure
    """
    figure = CourseFigure(height=4.6)
    axes = figure.subplots()
    theirs = [
        (row, row.ratio, row.error - _REFERENCE_ERROR if row.drop_points is None else row.drop_points)
        for row in published
        if row.drop_points is not None or row.error is not None
    ]
    shown = [
        (label, ratio, min(drop, most_drop), front, drop > most_drop) for label, ratio, drop, front in places
    ]
    ratios = [ratio for _, ratio, *_ in shown] + [ratio for _, ratio, _ in theirs] + [COURSE_RATIO]
    drops = [drop for _, _, drop, *_ in shown] + [drop for *_, drop in theirs] + [0.0, COURSE_DROP_POINTS]
    axes.set_xscale("log")
    axes.set_xlim(0.8 * min(ratios), 2.4 * max(ratios))
    margin = 0.12 * (max(drops) - min(drops))
    axes.set_ylim(min(drops) - margin, max(drops) + margin)
    right, low = axes.get_xlim()[1], axes.get_ylim()[0]
    axes.axhline(0, color=GREY, linewidth=0.8, linestyle=":")
    axes.fill_between([COURSE_RATIO, right], low, COURSE_DROP_POINTS, color=LIGHT, alpha=0.45, linewidth=0)
    axes.annotate(
        f"course target:\n≥ {COURSE_RATIO:g}×, < {COURSE_DROP_POINTS:g} points",
        (COURSE_RATIO, low), (4, 3), textcoords="offset points", ha="left", va="bottom",
        color=GREY, fontsize=8.5,
    )  # fmt: skip
    front = sorted({(ratio, drop) for _, ratio, drop, is_front, off in shown if is_front and not off})
    grid = np.geomspace(*axes.get_xlim(), 200)
    avoid: list[tuple[float, float]] = [(x, 0.0) for x in grid]
    if front:
        # up to its ratio, a file on the front is the best there is
        xs = [axes.get_xlim()[0], *(ratio for ratio, _ in front)]
        ys = [front[0][1], *(drop for _, drop in front)]
        axes.step(xs, ys, where="pre", color=BLUE, linewidth=1.4, zorder=2)
        avoid += [(x, next(drop for ratio, drop in front if x <= ratio)) for x in grid if x <= front[-1][0]]
    square = {"marker": "s", "color": ORANGE, "linestyle": "none"}
    for row, ratio, drop in theirs:
        filled = ORANGE if row.drop_points is not None else "white"
        axes.plot(ratio, drop, markerfacecolor=filled, markersize=6.5, zorder=2.5, **square)
    for _, ratio, drop, is_front, is_off in shown:
        marker = "^" if is_off else "o"
        filled = BLUE if is_front else "white"
        axes.plot(ratio, drop, marker, markersize=7, markerfacecolor=filled, markeredgecolor=BLUE, zorder=3)
    labels = [
        (f"{label}: {drop:.1f} points" if drop > most_drop else label, ratio, min(drop, most_drop))
        for label, ratio, drop, _ in places
    ]
    labels += [(row.method, ratio, drop) for row, ratio, drop in theirs]
    for note in place_labels(axes, labels, avoid=avoid, fontsize=8.5)[: len(shown)]:
        note.set_color(BLUE)
        note.set_parse_math(False)  # a name is text, whatever characters it has
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("compression ratio (dense float32 bytes of VGG-16 ÷ file bytes, logarithmic)")
    axes.set_ylabel("accuracy drop (percentage points)")
    axes.set_title("VGG-16 on CIFAR-10: what the members handed in")
    circle = {"marker": "o", "color": BLUE}
    hollow = {"markerfacecolor": "white", "linestyle": "none"}
    handles = [
        Line2D([], [], **circle, label="a member's file, on the Pareto front"),
        Line2D([], [], **{**circle, **hollow}, label="a member's file"),
        Line2D([], [], **square, label="published"),
        Line2D([], [], **{**square, **hollow}, label=f"published, drop from {_REFERENCE_ERROR} % error"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure
