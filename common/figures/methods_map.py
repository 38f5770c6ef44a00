"""The map of methods: bytes of the file against accuracy drop, one network, every method its own mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from common.figures.labels import place_labels
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

# Colour and shape both tell a method: seven colours are told apart, and no more.
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
    points: Sequence[Mapping], published: Sequence[Mapping] = (), *, title: str, most_drop: float = 3.0,
    methods: Sequence[str] | None = None,
) -> CourseFigure:  # fmt: skip
    """Every file as a point; to the left is smaller, further down is better.

    Parameters
    ----------
    points : sequence of mapping, at least one
        Ours: ``{"method": str, "label": str, "file_bytes": int, "top1": float, "baseline_top1": float}``.
        A point on the front, smaller than every better one, bears its label.
    published : sequence of mapping
        ``{"method": str, "file_bytes": int, "drop_points": float}``: open grey marks with their names.
    title : str
    most_drop : float
        Percentage points: a file that loses more stands at the upper edge, with an arrow and how much.
    methods : sequence of str, optional
        All methods of a set of figures, so that each has the same mark in all; by default this one's.

    Returns
    -------
    CourseFigure
    """
    own = [
        (p["method"], p["label"], p["file_bytes"], 100 * (p["baseline_top1"] - p["top1"])) for p in points
    ]
    theirs = [(p["method"], p["file_bytes"], p["drop_points"]) for p in published]
    shown = marks(methods or [method for method, *_ in own])
    figure = CourseFigure(height=4.8)
    axes = figure.subplots()
    sizes = [size for *_, size, _ in own] + [size for _, size, _ in theirs]
    drops = [min(drop, most_drop) for *_, drop in own] + [min(drop, most_drop) for *_, drop in theirs]
    low, high = min(0.0, *drops), max(0.3, *drops)
    margin = 0.12 * (high - low)
    axes.set_xscale("log")
    axes.set_xlim(min(sizes) / 1.5, 1.8 * max(sizes))
    axes.set_ylim(low - margin, high + margin)

    axes.axhline(0, color=GREY, linewidth=0.8, linestyle=":")
    grid = np.geomspace(*axes.get_xlim(), 120)
    avoid = [(x, 0.0) for x in grid]
    best = _front(own)
    visible = [(size, drop) for *_, size, drop in best if drop <= most_drop]
    if visible:
        xs, ys = [*(x for x, _ in visible), axes.get_xlim()[1]], [*(y for _, y in visible), visible[-1][1]]
        axes.step(xs, ys, where="post", color=LIGHT, linewidth=2.2, zorder=1)
        avoid += [(x, ys[np.searchsorted(xs, x, side="right") - 1]) for x in grid if x >= xs[0]]
    for method, _, size, drop in own:
        color, shape = shown[method]
        axes.plot(size, min(drop, most_drop), shape, color=color, markersize=7, zorder=3)
    for _, size, drop in theirs:
        axes.plot(
            size, min(drop, most_drop), "o", markersize=7, markerfacecolor="white", markeredgecolor=GREY,
            markeredgewidth=1.4, zorder=2.5,
        )  # fmt: skip
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: human_bytes(value, digits=1)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("bytes of the file, everything included (logarithmic)")
    axes.set_ylabel("accuracy drop (percentage points)")
    axes.set_title(title)
    handles = [
        Line2D([], [], color=color, marker=shape, linestyle="none", label=method)
        for method, (color, shape) in shown.items()
        if method in {name for name, *_ in own}
    ]
    if theirs:
        open_mark = {"marker": "o", "markerfacecolor": "white", "linestyle": "none"}
        handles.append(Line2D([], [], color=GREY, label="published", **open_mark))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)

    # Last, when the axes have their final size. Every point, so that labels keep clear of all.
    labels, colors = [], []
    for entry in own:
        method, label, size, drop = entry
        text = f"↑ {drop:.1f}" if drop > most_drop else label if entry in best else ""
        labels.append((text, size, min(drop, most_drop)))
        colors.append(shown[method][0])
    for method, size, drop in theirs:
        labels.append((f"{method} ↑ {drop:.1f}" if drop > most_drop else method, size, min(drop, most_drop)))
        colors.append(GREY)
    for note, color in zip(place_labels(axes, labels, avoid=avoid, fontsize=8), colors, strict=True):
        note.set_color(color)
        if not note.get_text():
            note.remove()
    return figure


def _front(own: Sequence[tuple[str, str, int, float]]) -> list[tuple[str, str, int, float]]:
    """Those than which none is both smaller and better, the smallest first."""
    best, kept = float("inf"), []
    for entry in sorted(own, key=lambda entry: (entry[2], entry[3])):
        if entry[3] < best:
            best = entry[3]
            kept.append(entry)
    return kept
