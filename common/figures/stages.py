"""Size and accuracy after each stage of the pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.ticker import FuncFormatter, NullLocator

from common.figures.style import (
    BLACK,
    BLUE,
    GREY,
    STAGE_COLORS,
    STAGE_LABELS,
    VERMILION,
    CourseFigure,
    human_bytes,
    styled,
    times,
    y_grid,
)


@styled
def size_after_each_stage(stages: Sequence[Mapping], *, title: str = "Size after each stage") -> CourseFigure:
    """Bars on a logarithmic scale, each with its size and its ratio to the dense network.

    Parameters
    ----------
    stages : sequence of mapping
        ``{"name": "dense" | "pruned" | "shared" | "huffman", "bytes": int}``, the dense one first.
    title : str

    Returns
    -------
    CourseFigure
    """
    sizes = [stage["bytes"] for stage in stages]
    figure = CourseFigure(height=3.6)
    axes = figure.subplots()
    colors = [STAGE_COLORS[stage["name"]] for stage in stages]
    axes.bar([STAGE_LABELS[stage["name"]] for stage in stages], sizes, width=0.62, color=colors)
    for at, size in enumerate(sizes):
        text = human_bytes(size) if at == 0 else f"{human_bytes(size)}\n{times(sizes[0] / size)} smaller"
        axes.annotate(text, (at, size), (0, 4), textcoords="offset points", ha="center", va="bottom")
    axes.set_yscale("log")
    axes.set_ylim(10 ** _floor_log(min(sizes)), max(sizes) * 4)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: human_bytes(value, digits=1)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("size (bytes, logarithmic)")
    axes.set_title(title)
    y_grid(axes)
    return figure


@styled
def accuracy_along_pipeline(
    stages: Sequence[Mapping], *, allowed_drop: float = 1.5, title: str = "Accuracy along the pipeline"
) -> CourseFigure:
    """Top-1 accuracy after each stage, with the least that the target allows.

    Parameters
    ----------
    stages : sequence of mapping
        ``{"name": str, "top1": fraction in [0, 1]}``, the dense one first.
    allowed_drop : float
        Percentage points below the dense network.
    title : str

    Returns
    -------
    CourseFigure
    """
    accuracies = [100 * stage["top1"] for stage in stages]
    figure = CourseFigure(height=3.2)
    axes = figure.subplots()
    places = range(len(stages))
    axes.axhline(accuracies[0], color=GREY, linewidth=1, linestyle=":")
    limit = accuracies[0] - allowed_drop
    axes.axhline(limit, color=VERMILION, linewidth=1, linestyle="--")
    axes.annotate(
        f"course target: less than {allowed_drop:g} points lost", (len(stages) - 1, limit), (0, -4),
        textcoords="offset points", ha="right", va="top", color=VERMILION,
    )  # fmt: skip
    axes.plot(places, accuracies, color=BLUE, marker="o", linewidth=2)
    for at, accuracy in enumerate(accuracies):
        lost = "" if at == 0 else f"\n{accuracy - accuracies[0]:+.2f}".replace("-", "−")
        axes.annotate(
            f"{accuracy:.2f} %{lost}", (at, accuracy), (0, 7), textcoords="offset points", ha="center",
            va="bottom", color=BLACK,
        )  # fmt: skip
    lowest = min([*accuracies, limit])
    span = max(accuracies) - lowest
    axes.set_ylim(lowest - 0.2 * span, max(accuracies) + 0.35 * span)
    axes.set_xlim(-0.4, len(stages) - 0.6)
    axes.set_xticks(list(places), [STAGE_LABELS.get(stage["name"], stage["name"]) for stage in stages])
    axes.set_ylabel("top-1 accuracy (%)")
    axes.set_title(title)
    y_grid(axes)
    return figure


def _floor_log(value: float) -> int:
    """The power of ten below a positive number."""
    return len(str(int(value))) - 1
