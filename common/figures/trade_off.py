"""Size against accuracy: our operating points, members' files and other methods, beside published ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from common.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LIGHT,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    CourseFigure,
    human_bytes,
    styled,
)
from common.report.pareto import pareto_front
from common.report.published import PublishedResult
from common.report.targets import COURSE_DROP_POINTS, COURSE_RATIO

# ----------------------------------------------------------------------------------------------------
# Labels beside points, placed so that none lies on another label or on a point.

_ANGLES = (0, 180, 45, -45, 135, -135, 90, -90)  # degrees; beside the point first, above and below it last
_DISTANCES = (9, 16, 26, 38, 54)  # typographic points, 1/72 inch
_LEADER_FROM = 20  # points: a label further away has a line to its point
_MARKER = 5  # half the side, in points, of what a marker covers


def place_labels(
    axes: Axes,
    labels: Sequence[tuple[str, float, float]],
    *,
    avoid: Sequence[tuple[float, float]] = (),
    **style,
) -> list[Annotation]:
    """Write each text beside its point, at the first free place of a fixed list.

    Where no place is free, the text goes where it covers least.

    Parameters
    ----------
    axes : Axes
        With its limits set: changing them afterwards moves points under labels.
    labels : sequence of (text, x, y)
        Points in data coordinates.
    avoid : sequence of (x, y)
        More places to keep clear, in data coordinates, such as samples of a curve.
    **style
        Passed to every annotation: color, fontsize, ...

    Returns
    -------
    list of Annotation
        In the order given.
    """
    figure = axes.figure
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()  # only now does the layout settle, and with it the place of every point
    scale = figure.dpi / 72
    anchors = [axes.transData.transform((x, y)) for _, x, y in labels]
    half = _MARKER * scale
    taken = [Bbox.from_extents(x - half, y - half, x + half, y + half) for x, y in anchors]
    taken += [Bbox.from_extents(x - 1, y - 1, x + 1, y + 1) for x, y in map(axes.transData.transform, avoid)]
    placed = []
    for text, x, y in labels:
        best = None
        for distance, angle in ((d, a) for d in _DISTANCES for a in _ANGLES):
            note = _annotate(axes, text, x, y, distance, angle, style)
            box = note.get_window_extent(renderer).padded(1.5 * scale)
            cost = _cost(box, taken, axes.bbox)
            if best is None or cost < best[0]:
                if best is not None:
                    best[1].remove()
                best = (cost, note, box)
            else:
                note.remove()
            if best[0] == 0:
                break
        taken.append(best[2])
        placed.append(best[1])
    return placed


def _annotate(
    axes: Axes, text: str, x: float, y: float, distance: float, angle: int, style: dict
) -> Annotation:
    dx, dy = (distance * f(math.radians(angle)) for f in (math.cos, math.sin))
    leader = None
    if distance > _LEADER_FROM:
        leader = {"arrowstyle": "-", "color": "#9A9A9A", "linewidth": 0.7, "shrinkB": 4}
    return axes.annotate(
        text,
        (x, y),
        (dx, dy),
        textcoords="offset points",
        arrowprops=leader,
        annotation_clip=False,
        ha="left" if dx > 1 else "right" if dx < -1 else "center",
        va="center" if abs(dy) < 1 else "bottom" if dy > 0 else "top",
        **style,
    )


def _cost(box: Bbox, taken: Sequence[Bbox], inside: Bbox) -> float:
    """Square pixels of the box that lie on others or outside the axes."""
    cost = sum(_area(Bbox.intersection(box, other)) for other in taken)
    return cost + box.width * box.height - _area(Bbox.intersection(box, inside))


def _area(box: Bbox | None) -> float:
    return 0.0 if box is None else box.width * box.height


# ----------------------------------------------------------------------------------------------------
# The members' files: ratio against accuracy drop, with the Pareto front, the targets and published methods.

_REFERENCE_ERROR = 6.6  # what the published methods with a stated baseline start from, in percent


@styled
def leaderboard_figure(
    places: Sequence[tuple[str, float, float, bool]],
    published: Sequence[PublishedResult],
    *,
    most_drop: float = 5.0,
) -> CourseFigure:
    """Each file as a point, the Pareto front as a staircase; to the right and below is better.

    Parameters
    ----------
    places : sequence of (label, ratio, drop in percentage points, is on the front)
    published : sequence of PublishedResult
        Drawn hollow where the source states no baseline, with a dagger where the figure is second-hand.
    most_drop : float
        Percentage points: a file that loses more is drawn at the upper edge, as a triangle, with its drop.

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
        (COURSE_RATIO, low),
        (4, 3),
        textcoords="offset points",
        ha="left",
        va="bottom",
        color=GREY,
        fontsize=8.5,
    )
    front = sorted({(ratio, drop) for _, ratio, drop, is_front, off in shown if is_front and not off})
    grid = np.geomspace(*axes.get_xlim(), 200)
    avoid: list[tuple[float, float]] = [(x, 0.0) for x in grid]
    if front:
        # Of all files of at least a given ratio, the next one on the front has the least drop.
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
    labels += [(row.label, ratio, drop) for row, ratio, drop in theirs]
    for note in place_labels(axes, labels, avoid=avoid, fontsize=8.5)[: len(shown)]:
        note.set_color(BLUE)
        note.set_parse_math(False)  # a "$" in a member's name must not start a formula
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


# ----------------------------------------------------------------------------------------------------
# The map of methods: bytes of the file against test error, for one network, with a mark for each method.

# Colour and shape both mark a method: there are no more than seven colours that everybody tells apart.
_COLORS = (VERMILION, BLUE, GREEN, ORANGE, PURPLE, SKY, BLACK)
_SHAPES = ("o", "s", "^", "D", "v", "P", "X")


def marks(methods: Sequence[str]) -> dict[str, tuple[str, str]]:
    """(colour, shape) for each method, the same in every figure that is given the same list.

    >>> marks(["a", "b"])
    {'a': ('#D55E00', 'o'), 'b': ('#0072B2', 's')}
    """
    n = len(_COLORS)
    return {
        method: (_COLORS[i % n], _SHAPES[(i + i // n) % n]) for i, method in enumerate(dict.fromkeys(methods))
    }


@styled
def methods_map(
    points: Sequence[Mapping],
    published: Sequence[Mapping] = (),
    *,
    title: str,
    most_error: float,
    methods: Sequence[str] | None = None,
) -> CourseFigure:
    """Every file as a point; to the left is smaller, further down is better.

    Errors, not drops: files that start from different baselines can then be compared.

    Parameters
    ----------
    points : sequence of mapping, at least one
        Ours: ``{"method": str, "label": str, "file_bytes": int, "top1": float, "baseline_top1": float}``,
        accuracies in [0, 1]. Points on the Pareto front have their labels beside them. Dotted lines show the
        errors of the uncompressed networks.
    published : sequence of mapping
        ``{"method": str, "file_bytes": int, "error": float, "is_quoted": bool}``, the error in percent:
        open grey marks with their names, squares where the figure is second-hand.
    title : str
    most_error : float
        Percent: a file of greater error is drawn at the upper edge, with an arrow and its error.
    methods : sequence of str, optional
        All methods of a set of figures, so that each has the same mark in all of them; by default those of
        `points`.

    Returns
    -------
    CourseFigure
    """
    own = [(p["method"], p["label"], p["file_bytes"], 100 * (1 - p["top1"])) for p in points]
    theirs = [(p["method"], p["file_bytes"], p["error"], p["is_quoted"]) for p in published]
    baselines = sorted({round(100 * (1 - p["baseline_top1"]), 6) for p in points})
    shown = marks(methods or [method for method, *_ in own])
    figure = CourseFigure(height=4.8)
    axes = figure.subplots()
    sizes = [size for *_, size, _ in own] + [size for _, size, *_ in theirs]
    errors = [error for *_, error in own] + [error for _, _, error, _ in theirs] + baselines
    low, high = (min(function(errors), most_error) for function in (min, max))
    margin = 0.1 * max(high - low, 0.1)
    axes.set_xscale("log")
    axes.set_xlim(min(sizes) / 1.5, 1.8 * max(sizes))
    axes.set_ylim(low - margin, high + margin)

    grid = np.geomspace(*axes.get_xlim(), 120)
    avoid = []
    for baseline in baselines:
        axes.axhline(baseline, color=GREY, linewidth=0.8, linestyle=":")
        avoid += [(x, baseline) for x in grid if baseline <= most_error]
    best = pareto_front(own, lambda entry: entry[2:])
    visible = [(size, error) for *_, size, error in best if error <= most_error]
    if visible:
        xs, ys = [*(x for x, _ in visible), axes.get_xlim()[1]], [*(y for _, y in visible), visible[-1][1]]
        axes.step(xs, ys, where="post", color=LIGHT, linewidth=2.2, zorder=1)
        avoid += [(x, ys[np.searchsorted(xs, x, side="right") - 1]) for x in grid if x >= xs[0]]
    for method, _, size, error in own:
        color, shape = shown[method]
        axes.plot(size, min(error, most_error), shape, color=color, markersize=7, zorder=3)
    open_mark = {"markersize": 7, "markerfacecolor": "white", "markeredgecolor": GREY, "markeredgewidth": 1.4}
    for _, size, error, is_quoted in theirs:
        axes.plot(size, min(error, most_error), "s" if is_quoted else "o", zorder=2.5, **open_mark)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: human_bytes(value, digits=1)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("bytes of the file, everything included (logarithmic)")
    axes.set_ylabel("top-1 error of the decoded network (%)")
    axes.set_title(title)
    handles = [
        Line2D([], [], color=color, marker=shape, linestyle="none", label=method)
        for method, (color, shape) in shown.items()
        if method in {name for name, *_ in own}
    ]
    for is_quoted, word in ((False, "published"), (True, "published, second-hand")):
        if is_quoted in {quoted for *_, quoted in theirs}:
            shape = "s" if is_quoted else "o"
            handles.append(Line2D([], [], marker=shape, linestyle="none", label=word, **open_mark))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)

    # Labels come last, when the axes have their final size. Points without one take part with an empty text,
    # so that labels keep clear of them too.
    labels, colors = [], []
    for entry in own:
        method, label, size, error = entry
        text = f"↑ {error:.1f}" if error > most_error else label if entry in best else ""
        labels.append((text, size, min(error, most_error)))
        colors.append(shown[method][0])
    for method, size, error, _ in theirs:
        text = f"{method} ↑ {error:.1f}" if error > most_error else method
        labels.append((text, size, min(error, most_error)))
        colors.append(GREY)
    for note, color in zip(place_labels(axes, labels, avoid=avoid, fontsize=8), colors, strict=True):
        note.set_color(color)
        if not note.get_text():
            note.remove()
    return figure


@styled
def trade_off_curve(
    points: Sequence[Mapping],
    published: Sequence[PublishedResult],
    *,
    reference_error: float = 6.6,
    title: str = "VGG-16 on CIFAR-10: smaller against worse",
) -> CourseFigure:
    """Our points as a curve, and each published method as a point; to the right and below is better.

    Parameters
    ----------
    points : sequence of mapping, at least one
        ``{"ratio": float, "drop_points": float, "file_bytes": int}`` each, the drop in percentage points.
    published : sequence of PublishedResult
        A method whose source states no baseline is drawn hollow, its drop counted from `reference_error`; a
        dagger behind its name says that the figure is second-hand.
    reference_error : float
        Baseline error in percent that the other published methods state.
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
    ratios = [ratio for ratio, *_ in ours] + [ratio for _, ratio, _ in theirs] + [COURSE_RATIO]
    drops = [drop for _, drop, _ in ours] + [drop for *_, drop in theirs] + [0.0, COURSE_DROP_POINTS]
    axes.set_xscale("log")
    axes.set_xlim(0.8 * min(ratios), 2.2 * max(ratios))
    margin = 0.12 * (max(drops) - min(drops))
    axes.set_ylim(min(drops) - margin, max(drops) + margin)

    axes.axhline(0, color=GREY, linewidth=0.8, linestyle=":")
    right, low = axes.get_xlim()[1], axes.get_ylim()[0]
    axes.fill_between([COURSE_RATIO, right], low, COURSE_DROP_POINTS, color=LIGHT, alpha=0.45, linewidth=0)
    axes.annotate(
        f"course target:\n≥ {COURSE_RATIO:g}×, < {COURSE_DROP_POINTS:g} points",
        (COURSE_RATIO, COURSE_DROP_POINTS),
        (4, -4),
        textcoords="offset points",
        ha="left",
        va="top",
        color=GREY,
        fontsize=8.5,
    )
    axes.plot(
        [x for x, *_ in ours], [y for _, y, _ in ours], color=VERMILION, linewidth=1.8, marker="o", zorder=3
    )
    for row, ratio, drop in theirs:
        filled = ORANGE if row.drop_points is not None else "white"
        axes.plot(
            ratio, drop, "s", markersize=6.5, markerfacecolor=filled, markeredgecolor=ORANGE, zorder=2.5
        )

    labels = [(f"{size / 1000:,.0f} kB", ratio, drop) for ratio, drop, size in ours]
    labels += [(row.label, ratio, drop) for row, ratio, drop in theirs]
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
