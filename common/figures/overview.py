"""The three stages of Deep Compression as a schematic, with sizes that were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from common.figures.style import (
    GREY,
    LIGHT,
    STAGE_COLORS,
    CourseFigure,
    human_bytes,
    styled,
    times,
)

# Weights and centroids of figure 3 in Han, Mao, Dally 2016; the five smallest are pruned here.
_WEIGHTS = np.array(
    [
        [2.09, -0.98, 1.48, 0.09],
        [0.05, -0.14, -1.08, 2.12],
        [-0.91, 1.92, 0.0, -1.03],
        [1.87, 0.0, 1.53, 1.49],
    ]
)
_KEPT = np.abs(_WEIGHTS) > 0.5
_CENTROIDS = np.array([-1.0, 1.5, 2.0])
_TINTS = ("#A9CCE6", "#F6D998", "#EBC8DB")  # blue, orange and purple, light enough for black digits
_EMPTY = "#F6F6F6"
_CODES = ("0", "10", "11")
_TITLES = {
    "dense": "trained network",
    "pruned": "1  prune",
    "shared": "2  share weights",
    "huffman": "3  Huffman-code",
}
_WORDS = {
    "dense": "32 bits\na weight",
    "pruned": "small weights go,\nthe rest is fine-tuned",
    "shared": "a few values a layer,\neach weight names one",
    "huffman": "frequent symbols\nget short codes",
}


@styled
def three_stages(stages: Sequence[Mapping], *, title: str | None = None) -> CourseFigure:
    """What happens to a few weights in each stage, and what it is worth for the whole network.

    Parameters
    ----------
    stages : sequence of mapping
        ``{"name": ..., "bytes": int}`` for dense, pruned, shared and huffman, in this order.
    title : str, optional

    Returns
    -------
    CourseFigure
    """
    sizes = {stage["name"]: stage["bytes"] for stage in stages}
    figure = CourseFigure(width=9.0, height=3.7)
    if title:
        figure.suptitle(title)
    for at, (name, axes) in enumerate(zip(_TITLES, figure.subplots(1, 4), strict=True)):
        axes.set_xlim(-0.25, 4.6)
        axes.set_ylim(7.3, -0.95)
        axes.set_aspect("equal")
        axes.axis("off")
        axes.text(2, -0.45, _TITLES[name], ha="center", fontsize=11, weight="bold")
        _DRAWINGS[name](axes)
        axes.text(2, 4.3, _WORDS[name], ha="center", va="top", fontsize=8.5, color=GREY, linespacing=1.3)
        axes.text(
            2, 6.3, human_bytes(sizes[name]), ha="center", va="center", fontsize=13, weight="bold",
            color=STAGE_COLORS[name],
        )  # fmt: skip
        if at:
            axes.text(2, 7.0, f"{times(sizes['dense'] / sizes[name])} smaller", ha="center", va="center")
            axes.annotate(
                "", (-0.1, 2), (-0.62, 2), annotation_clip=False,
                arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 1.5},
            )  # fmt: skip
    return figure


def _cells(axes: Axes, texts: Sequence[Sequence[str]], colors: Sequence[Sequence[str]]) -> None:
    for (row, column), color in np.ndenumerate(np.asarray(colors)):
        axes.add_patch(Rectangle((column, row), 1, 1, facecolor=color, edgecolor="white", linewidth=1.5))
        axes.text(column + 0.5, row + 0.5, texts[row][column], ha="center", va="center", fontsize=8)


def _dense(axes: Axes) -> None:
    _cells(axes, [[_signed(w) for w in row] for row in _WEIGHTS], np.full((4, 4), LIGHT))


def _pruned(axes: Axes) -> None:
    texts = np.where(_KEPT, [[_signed(w) for w in row] for row in _WEIGHTS], "")
    _cells(axes, texts, np.where(_KEPT, "#BBDFF5", _EMPTY))


def _shared(axes: Axes) -> None:
    clusters = np.abs(_WEIGHTS[..., None] - _CENTROIDS).argmin(axis=-1)
    colors = np.where(_KEPT, np.array(_TINTS)[clusters], _EMPTY)
    _cells(axes, np.where(_KEPT, clusters.astype(str), ""), colors)


def _huffman(axes: Axes) -> None:
    for cluster, (value, code) in enumerate(zip(_CENTROIDS, _CODES, strict=True)):
        y = 0.55 + 1.2 * cluster
        axes.add_patch(Rectangle((0.1, y - 0.4), 0.8, 0.8, facecolor=_TINTS[cluster], linewidth=0))
        axes.text(0.5, y, f"{cluster}", ha="center", va="center", fontsize=8)
        axes.text(1.15, y, _signed(value), va="center", fontsize=8.5)
        axes.text(3.9, y, code, va="center", ha="right", fontsize=11, family="monospace", weight="bold")


def _signed(weight: float) -> str:
    return f"{weight:.2f}".replace("-", "−")


_DRAWINGS = {"dense": _dense, "pruned": _pruned, "shared": _shared, "huffman": _huffman}
