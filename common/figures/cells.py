"""Small matrices as coloured cells with their numbers, one colour a cluster, as in the paper's figure 3."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from common.figures.style import BLUE, GREEN, LIGHT, ORANGE, PURPLE, SKY, VERMILION

CLUSTER_COLORS = (VERMILION, GREEN, ORANGE, BLUE, PURPLE, SKY)
_TINT = 0.42  # black numbers stay legible on it


def coloured_cells(
    axes: Axes, values: Sequence[Sequence[float]], clusters: Sequence[Sequence[int]], *, title: str,
    form: str = ".2f",
) -> None:  # fmt: skip
    """Write a matrix into `axes`, each number on the colour of its cluster.

    Parameters
    ----------
    axes : Axes
        Without anything in it.
    values : rows of numbers
        Rows may differ in length.
    clusters : rows of int
        Of the same lengths; −1 is a pruned weight, in grey.
    title : str
    form : str
        Format of the numbers.
    """
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            cluster = int(clusters[y][x])
            color = LIGHT if cluster < 0 else CLUSTER_COLORS[cluster % len(CLUSTER_COLORS)]
            axes.add_patch(
                Rectangle((x, y), 1, 1, facecolor=color, alpha=_TINT, edgecolor="white", linewidth=2)
            )
            text = f"{value + 0:{form}}"  # no minus sign before a zero
            axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=9)
    axes.set(xlim=(0, max(map(len, values))), ylim=(len(values), 0), aspect="equal")
    axes.set_title(title, fontsize=9.5)
    axes.axis("off")
