"""Compression ratio against accuracy drop: our operating points beside the published ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from common.figures.labels import place_labels
from common.figures.style import GREY, LIGHT, ORANGE, VERMILION, CourseFigure, styled
from common.published import PublishedResult

_COURSE_RATIO, _COURSE_DROP = 9.0, 1.5


@styled
def trade_off_curve(
    points: Sequence[Mapping], published: Sequence[PublishedResult], *, reference_error: float = 6.6,
    title: str = "VGG-16 on CIFAR-10: smaller against worse",
) -> CourseFigure:  # fmt: skip
    """Our points as a curve, and each published method as a point; to the right and below is better.

    Parameters
    ----------
    points : sequence of mapping, at least one
        ``{"ratio": float, "drop_points": percentage points, "file_bytes": int}`` each.
    published : sequence of PublishedResult
        A method whose source states no baseline is drawn hollow, its drop counted from `reference_error`.
    reference_error : float
        Baseline error that the other methods of the table state, in percent.
    title : str

    Returns
    -------
    CourseFigure
    """
    figure = CourseFigure(height=4.4)
    axes = figure.subplots()
    ours = sorted((point["ratio"], point["drop_points"], point["file_bytes"]) for point in points)
    theirs = [
        (row, row.ratio, row.error - reference_error if row.drop_points is None else row.drop_points)
        for row in published
        if row.drop_points is not None or row.error is not None
    ]
    ratios = [ratio for ratio, *_ in ours] + [ratio for _, ratio, _ in theirs] + [_COURSE_RATIO]
    drops = [drop for _, drop, _ in ours] + [drop for *_, drop in theirs] + [0.0, _COURSE_DROP]
    axes.set_xscale("log")
    axes.set_xlim(0.8 * min(ratios), 2.2 * max(ratios))
    margin = 0.12 * (max(drops) - min(drops))
    axes.set_ylim(min(drops) - margin, max(drops) + margin)

    axes.axhline(0, color=GREY, linewidth=0.8, linestyle=":")
    right, low = axes.get_xlim()[1], axes.get_ylim()[0]
    axes.fill_between([_COURSE_RATIO, right], low, _COURSE_DROP, color=LIGHT, alpha=0.45, linewidth=0)
    axes.annotate(
        f"course target:\n≥ {_COURSE_RATIO:g}×, < {_COURSE_DROP:g} points", (_COURSE_RATIO, _COURSE_DROP),
        (4, -4), textcoords="offset points", ha="left", va="top", color=GREY, fontsize=8.5,
    )  # fmt: skip
    axes.plot(
        [x for x, *_ in ours], [y for _, y, _ in ours], color=VERMILION, linewidth=1.8, marker="o", zorder=3
    )
    for row, ratio, drop in theirs:
        filled = ORANGE if row.drop_points is not None else "white"
        axes.plot(
            ratio, drop, "s", markersize=6.5, markerfacecolor=filled, markeredgecolor=ORANGE, zorder=2.5
        )

    labels = [(f"{size / 1000:,.0f} kB", ratio, drop) for ratio, drop, size in ours]
    labels += [(row.method, ratio, drop) for row, ratio, drop in theirs]
    xs = np.geomspace(*axes.get_xlim(), 300)
    curve = np.interp(np.log(xs), [math.log(x) for x, *_ in ours], [y for _, y, _ in ours], left=0, right=0)
    avoid = [*zip(xs, curve, strict=True), *zip(xs, np.zeros(xs.size), strict=True)]
    for note in place_labels(axes, labels, avoid=avoid, fontsize=8.5)[: len(ours)]:
        note.set_color(VERMILION)

    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("compression ratio (dense float32 bytes ÷ file bytes, logarithmic)")
    axes.set_ylabel("accuracy drop (percentage points)")
    axes.set_title(title)
    handles = [
        Line2D([], [], color=VERMILION, marker="o", label="this course"),
        Line2D([], [], color=ORANGE, marker="s", linestyle="none", label="published"),
    ]
    if any(row.drop_points is None for row, *_ in theirs):
        hollow = f"published, baseline not stated (counted from {reference_error:g} % error)"
        handles.append(
            Line2D([], [], color=ORANGE, marker="s", markerfacecolor="white", linestyle="none", label=hollow)
        )
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure
