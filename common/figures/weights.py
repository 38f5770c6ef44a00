"""Weights before and after pruning and sharing, and what is left of each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import FuncFormatter

from common.figures.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    STAGE_COLORS,
    VERMILION,
    CourseFigure,
    styled,
    y_grid,
)
from common.report import Report

_PANEL_TITLES = {
    "dense": "before pruning",
    "pruned": "after pruning and fine-tuning",
    "shared": "after weight sharing: one spike a centroid",
}


@styled
def weight_histograms(
    histograms: Mapping[str, Mapping], *, centroids: Sequence[float] | None = None
) -> CourseFigure:
    """Counts of the non-zero weights at each stage, one panel a stage, on a logarithmic scale.

    Parameters
    ----------
    histograms : mapping of "dense", "pruned" or "shared" to mapping
        ``{"counts": one a bin, "edges": [lowest, highest]}``: equal bins, the outermost ones with what lies
        beyond them, as `operating_points.run_point` stores them.
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
            values, np.full(values.size, 0.5), linestyle="none", marker="|", markersize=9, color=VERMILION,
            clip_on=False, label=f"{values.size} centroids",
        )  # fmt: skip
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
    """Density of each layer, and the bits a kept weight takes in the file, beside the Shannon bound.

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
    kept = np.array([layer.n_kept or np.inf for layer in layers])  # no bits a kept weight where none is kept
    figure = CourseFigure(height=5.2)
    upper, lower = figure.subplots(2, 1, sharex=True)

    density = np.array([100 * (1 - layer.sparsity) for layer in layers])
    shown = np.maximum(density, 1e-3)
    upper.bar(places, shown, width=0.7, color=BLUE)
    for at, value in zip(places, density, strict=True):
        upper.annotate(
            f"{value:.2g}", (at, max(value, 1e-3)), (0, 2), textcoords="offset points", ha="center",
            va="bottom", fontsize=8,
        )  # fmt: skip
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
    # A stack can lie below its bound, which counts the index of weights kept at random: make room for both.
    top = 1.35 * max(totals.max(), bounds.max())
    lower.set_ylim(0, top)
    for at, total, bound in zip(places, totals, bounds, strict=True):
        foot = bound if total - 0.01 * top < bound < total + 0.1 * top else total
        lower.annotate(
            f"{total:.1f}" if total else "–", (at, foot), (0, 2), textcoords="offset points", ha="center",
            va="bottom", fontsize=8,
        )  # fmt: skip
    lower.plot(places, bounds, linestyle="", marker="_", markersize=16, color=BLACK, label="Shannon bound")
    lower.set_ylabel("bits a kept weight")
    lower.legend(loc="upper left", ncols=4)
    lower.set_title("where its bits go in the file")
    names = [layer.name.removesuffix(".weight") for layer in layers]
    lower.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
    for axes in (upper, lower):
        y_grid(axes)
    return figure
