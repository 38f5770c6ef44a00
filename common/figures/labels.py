"""Labels beside points, placed so that none lies on another label or on a point."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

_ANGLES = (0, 180, 45, -45, 135, -135, 90, -90)  # beside the point first, above and below it last
_DISTANCES = (9, 16, 26, 38, 54)  # points
_LEADER_FROM = 20  # points: a label further away has a line to its point
_MARKER = 5  # half the side, in points, of what a marker covers


def place_labels(
    axes: Axes, labels: Sequence[tuple[str, float, float]], *, avoid: Sequence[tuple[float, float]] = (),
    **style,
) -> list[Annotation]:  # fmt: skip
    """Write each text beside its point, at the first free place of a fixed list.

    Parameters
    ----------
    axes : Axes
        With its limits set: changing them afterwards moves points under labels.
    labels : sequence of (text, x, y)
        Points in data coordinates.
    avoid : sequence of (x, y)
        Further places to keep clear, in data coordinates: samples of a curve.
    **style
        For every text: color, fontsize, ...

    Returns
    -------
    list of Annotation
        In the order given.
    """
    figure = axes.figure
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()  # the layout settles, and data coordinates become places on the page
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
        text, (x, y), (dx, dy), textcoords="offset points", arrowprops=leader, annotation_clip=False,
        ha="left" if dx > 1 else "right" if dx < -1 else "center",
        va="center" if abs(dy) < 1 else "bottom" if dy > 0 else "top", **style,
    )  # fmt: skip


def _cost(box: Bbox, taken: Sequence[Bbox], inside: Bbox) -> float:
    """Square pixels that the box shares with others or has outside the axes."""
    cost = sum(_area(Bbox.intersection(box, other)) for other in taken)
    return cost + box.width * box.height - _area(Bbox.intersection(box, inside))


def _area(box: Bbox | None) -> float:
    return 0.0 if box is None else box.width * box.height
