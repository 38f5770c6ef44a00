"""The pipeline in figures: its three stages, sizes and accuracies, weights, code lengths, and layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from common.codec.gaps import encode_gaps
from common.codec.huffman import code_lengths, entropy_bits
from common.codec.tensors import SharedTensor
from common.figures.style import (
    BLACK,
    BLUE,
    CLUSTERS,
    GREEN,
    GREY,
    LIGHT,
    ORANGE,
    SKY,
    STAGE_COLORS,
    STAGE_LABELS,
    VERMILION,
    CourseFigure,
    human_bytes,
    styled,
    times,
    y_grid,
)
from common.report.sizes import Report

# ----------------------------------------------------------------------------------------------------
# Small matrices as coloured cells with their numbers, one colour per cluster, as in figure 3 of Han, Mao,
# Dally 2016 (Deep Compression, arXiv 1510.00149).

CLUSTER_COLORS = CLUSTERS
_TINT = 0.42  # opacity at which black numbers stay legible


def coloured_cells(
    axes: Axes,
    values: Sequence[Sequence[float]],
    clusters: Sequence[Sequence[int]],
    *,
    title: str,
    form: str = ".2f",
) -> None:
    """Write a matrix into `axes`, each number on the colour of its cluster.

    Parameters
    ----------
    axes : Axes
        Empty ones.
    values : rows of numbers
        Rows may differ in length.
    clusters : rows of int
        The cluster of each number, in rows of the same lengths; −1 is a pruned weight, in grey.
    title : str
    form : str
        Format specification of the numbers.
    """
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            cluster = int(clusters[y][x])
            color = LIGHT if cluster < 0 else CLUSTER_COLORS[cluster % len(CLUSTER_COLORS)]
            axes.add_patch(
                Rectangle((x, y), 1, 1, facecolor=color, alpha=_TINT, edgecolor="white", linewidth=2)
            )
            text = f"{value + 0:{form}}"  # -0.0 + 0 is 0.0: no minus sign before a zero
            axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=9)
    axes.set(xlim=(0, max(map(len, values))), ylim=(len(values), 0), aspect="equal")
    axes.set_title(title, fontsize=9.5)
    axes.axis("off")


# ----------------------------------------------------------------------------------------------------
# Huffman code lengths against the entropy: how close whole bits come to the Shannon bound.


def codes_of(tensor: SharedTensor, *, gap_bits: int = 8) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Huffman codes of a tensor's values and gaps, one symbol at a time as in the paper, ready to be drawn.

    A `.dcz` file may encode several symbols as one, or positions without gaps; these are the plain codes to
    learn from.

    Parameters
    ----------
    tensor : SharedTensor
    gap_bits : int
        Bits of a gap symbol; a longer gap takes several of them, see `codec.gaps.encode_gaps`.

    Returns
    -------
    dict of str to (counts, lengths)
        ``values``, and ``gaps`` unless every weight is kept: how often each symbol occurs, and the length of
        its code in bits. For `code_length_distribution`.
    """
    symbols = {"values": (tensor.indices, tensor.n_clusters)}
    if tensor.positions is not None:
        symbols["gaps"] = (encode_gaps(tensor.positions, gap_bits), 1 << gap_bits)
    counts = {name: np.bincount(each, minlength=n_kinds) for name, (each, n_kinds) in symbols.items()}
    return {name: (each, code_lengths(each)) for name, each in counts.items()}


@styled
def code_length_distribution(
    streams: Mapping[str, tuple[Sequence[int], Sequence[int]]], *, columns: int = 2
) -> CourseFigure:
    """One panel per stream: the share of its symbols by code length, the mean code length, and the entropy.

    Parameters
    ----------
    streams : mapping of str to (counts, lengths)
        By title: how often each symbol occurs, and the length of its code in bits (0: it has no code).
    columns : int
        Panels side by side.

    Returns
    -------
    CourseFigure
    """
    columns = min(columns, len(streams))
    rows = -(-len(streams) // columns)
    figure = CourseFigure(height=0.5 + 2.6 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (title, (counts, lengths)) in zip(panels, streams.items(), strict=False):
        counts, lengths = np.asarray(counts, dtype=np.int64), np.asarray(lengths, dtype=np.int64)
        total = max(1, int(counts.sum()))
        share = np.bincount(lengths, weights=counts) / total
        kinds = np.bincount(lengths[counts > 0], minlength=share.size)
        used = np.flatnonzero(kinds)
        mean, entropy = float(counts @ lengths) / total, entropy_bits(counts) / total
        axes.bar(used, 100 * share[used], width=0.7, color=SKY)
        top = 100 * share.max(initial=0) or 1.0  # 1.0 for a stream without symbols
        for length in used:
            axes.annotate(
                f"{kinds[length]}",
                (length, 100 * share[length]),
                (0, 2),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=8,
            )
        axes.axvline(entropy, color=VERMILION, linestyle="--", linewidth=1.5, label=f"entropy {entropy:.3f}")
        axes.axvline(mean, color=GREEN, linewidth=1.5, label=f"mean length {mean:.3f}")
        axes.set_ylim(0, 1.45 * top)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="upper right", title="bits per symbol", title_fontsize=9)
        axes.set_title(title)
        axes.set_xlabel("code length (bits)")
        axes.set_ylabel("share of the symbols (%)")
        y_grid(axes)
    for axes in panels[len(streams) :]:
        axes.remove()
    figure.supxlabel("Above each bar: how many kinds of symbols have a code of this length.", fontsize=8.5)
    return figure


# ----------------------------------------------------------------------------------------------------
# The three stages of Deep Compression as a schematic, with measured sizes.

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
    "dense": "32 bits\nper weight",
    "pruned": "small weights go,\nthe rest is fine-tuned",
    "shared": "a few values per layer,\neach weight names one",
    "huffman": "frequent symbols\nget short codes",
}


@styled
def three_stages(stages: Sequence[Mapping], *, title: str | None = None) -> CourseFigure:
    """What happens to a few weights in each stage, and how small the whole network is after it.

    Parameters
    ----------
    stages : sequence of mapping
        ``{"name": str, "bytes": int}`` for each of dense, pruned, shared and huffman.
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
            2,
            6.3,
            human_bytes(sizes[name]),
            ha="center",
            va="center",
            fontsize=13,
            weight="bold",
            color=STAGE_COLORS[name],
        )
        if at:
            axes.text(2, 7.0, f"{times(sizes['dense'] / sizes[name])} smaller", ha="center", va="center")
            axes.annotate(
                "",
                (-0.1, 2),
                (-0.62, 2),
                annotation_clip=False,
                arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 1.5},
            )
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


# ----------------------------------------------------------------------------------------------------
# Size and accuracy after each stage of the pipeline.


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
        ``{"name": str, "top1": float}``, top-1 in [0, 1], the dense one first.
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
        f"course target: less than {allowed_drop:g} points lost",
        (len(stages) - 1, limit),
        (0, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        color=VERMILION,
    )
    axes.plot(places, accuracies, color=BLUE, marker="o", linewidth=2)
    for at, accuracy in enumerate(accuracies):
        lost = "" if at == 0 else f"\n{accuracy - accuracies[0]:+.2f}".replace("-", "−")
        axes.annotate(
            f"{accuracy:.2f} %{lost}",
            (at, accuracy),
            (0, 7),
            textcoords="offset points",
            ha="center",
            va="bottom",
            color=BLACK,
        )
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
    """Exponent of the largest power of ten that is not above a number >= 1."""
    return len(str(int(value))) - 1


_PANEL_TITLES = {
    "dense": "before pruning",
    "pruned": "after pruning and fine-tuning",
    "shared": "after weight sharing: one spike a centroid",
}


@styled
def weight_histograms(
    histograms: Mapping[str, Mapping], *, centroids: Sequence[float] | None = None
) -> CourseFigure:
    """Counts of the non-zero weights at each stage, one panel per stage, on a logarithmic scale.

    Parameters
    ----------
    histograms : mapping of "dense", "pruned" or "shared" to mapping
        ``{"counts": one per bin, "edges": [lowest, highest]}``: bins of equal width, the outermost ones with
        what lies beyond them, as `compress.points.run_point` stores them.
    centroids : sequence of float, optional
        Values that the shared weights take, marked below the last panel.

    Returns
    -------
    CourseFigure
    """
    figure = CourseFigure(height=0.6 + 1.55 * len(histograms))
    panels = figure.subplots(len(histograms), 1, sharex=True, squeeze=False).ravel()
    top = max(max(histogram["counts"]) for histogram in histograms.values())
    reach = max(_reach(histogram) for histogram in histograms.values())
    for axes, (name, histogram) in zip(panels, histograms.items(), strict=True):
        counts = np.asarray(histogram["counts"], dtype=np.float64)
        edges = np.linspace(*histogram["edges"], counts.size + 1)
        axes.stairs(counts, edges, fill=True, color=STAGE_COLORS[name], baseline=0.5)
        axes.set_yscale("log")
        axes.set_ylim(0.5, 3 * top)
        axes.set_title(f"{_PANEL_TITLES[name]}: {int(counts.sum()):,} weights", loc="left")
        axes.set_ylabel("weights a bin")
        y_grid(axes)
    if centroids is not None:
        values = np.asarray(centroids, dtype=np.float64)
        panels[-1].plot(
            values,
            np.full(values.size, 0.5),
            linestyle="none",
            marker="|",
            markersize=9,
            color=VERMILION,
            clip_on=False,
            label=f"{values.size} centroids",
        )
        panels[-1].legend(loc="upper right")
    panels[-1].set_xlim(-1.05 * reach, 1.05 * reach)
    panels[-1].set_xlabel("value of the weight")
    return figure


def _reach(histogram: Mapping) -> float:
    """Largest absolute value at which a histogram counts anything."""
    edges = np.linspace(*histogram["edges"], len(histogram["counts"]) + 1)
    used = np.flatnonzero(histogram["counts"])
    return float(max(abs(edges[used[0]]), abs(edges[used[-1] + 1]))) if used.size else float(edges[-1])


@styled
def layer_sparsity_and_bits(report: Report) -> CourseFigure:
    """Density of each layer, and the bits that a kept weight takes in the file, beside the Shannon bound.

    Parameters
    ----------
    report : Report
        Layers with two axes or more are drawn; biases are not.

    Returns
    -------
    CourseFigure
    """
    layers = [layer for layer in report.layers if len(layer.shape) > 1]
    places = np.arange(len(layers))
    kept = np.array([layer.n_kept or np.inf for layer in layers])  # bits / inf = 0 where no weight is kept
    figure = CourseFigure(height=5.2)
    upper, lower = figure.subplots(2, 1, sharex=True)

    density = np.array([100 * (1 - layer.sparsity) for layer in layers])
    shown = np.maximum(density, 1e-3)
    upper.bar(places, shown, width=0.7, color=BLUE)
    for at, value in zip(places, density, strict=True):
        upper.annotate(
            f"{value:.2g}",
            (at, max(value, 1e-3)),
            (0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
        )
    upper.set_yscale("log")
    upper.set_ylim(min(0.5 * shown.min(), 0.5), 300)
    upper.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    whole = 100 * (1 - report.sparsity)
    upper.axhline(whole, color=GREY, linestyle=":", linewidth=1.2)
    upper.set_ylabel("kept weights (%)")
    upper.set_title(f"kept of each layer; of all: {whole:.2f} % (dotted), sparsity {report.sparsity:.4f}")

    values = np.array([layer.values_bits for layer in layers]) / kept
    index = np.array([layer.index_bits for layer in layers]) / kept
    others = np.array([8 * layer.file_bytes for layer in layers]) / kept - values - index
    lower.bar(places, values, width=0.7, color=ORANGE, label="values")
    lower.bar(places, index, width=0.7, bottom=values, color=STAGE_COLORS["pruned"], label="index")
    lower.bar(places, others, width=0.7, bottom=values + index, color=GREY, label="codebook and the rest")
    totals = values + index + others
    bounds = np.array([layer.values_entropy_bits + layer.index_entropy_bits for layer in layers]) / kept
    # A bar can end below its bound, which assumes weights kept at random places: make room for both.
    top = 1.35 * max(totals.max(), bounds.max())
    lower.set_ylim(0, top)
    for at, total, bound in zip(places, totals, bounds, strict=True):
        foot = bound if total - 0.01 * top < bound < total + 0.1 * top else total
        lower.annotate(
            f"{total:.1f}" if total else "–",
            (at, foot),
            (0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
        )
    lower.plot(places, bounds, linestyle="", marker="_", markersize=16, color=BLACK, label="Shannon bound")
    lower.set_ylabel("bits per kept weight")
    lower.legend(loc="upper left", ncols=4)
    lower.set_title("where its bits go in the file")
    names = [layer.name.removesuffix(".weight") for layer in layers]
    lower.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
    for axes in (upper, lower):
        y_grid(axes)
    return figure
