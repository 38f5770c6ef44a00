"""Huffman code lengths against the entropy: how close whole bits come to the Shannon bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from common.figures.style import GREEN, SKY, VERMILION, CourseFigure, styled, y_grid
from common.huffman import code_lengths, entropy_bits
from common.shared_tensor import SharedTensor
from common.sparse_index import encode_gaps


def codes_of(tensor: SharedTensor, *, gap_bits: int = 8) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Huffman codes of a tensor's values and gaps, one symbol at a time as in the paper, ready to be drawn.

    The file may spell several symbols as one, or leave gaps out; this is the plain code to learn from.

    Parameters
    ----------
    tensor : SharedTensor
    gap_bits : int
        Width of a gap; what passes more weights takes several.

    Returns
    -------
    dict of str to (counts, lengths)
        ``values``, and ``gaps`` unless every weight is kept.
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
    """For each stream the share of its symbols by code length, its mean code length, and its entropy.

    Parameters
    ----------
    streams : mapping of str to (counts, lengths)
        By title: how often each symbol occurs, and the length of its code in bits (0 without a code).
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
        top = 100 * share.max(initial=0) or 1.0  # a stream without symbols
        for length in used:
            axes.annotate(
                f"{kinds[length]}", (length, 100 * share[length]), (0, 2), textcoords="offset points",
                ha="center", va="bottom", fontsize=8,
            )  # fmt: skip
        axes.axvline(entropy, color=VERMILION, linestyle="--", linewidth=1.5, label=f"entropy {entropy:.3f}")
        axes.axvline(mean, color=GREEN, linewidth=1.5, label=f"mean length {mean:.3f}")
        axes.set_ylim(0, 1.45 * top)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="upper right", title="bits a symbol", title_fontsize=9)
        axes.set_title(title)
        axes.set_xlabel("code length (bits)")
        axes.set_ylabel("share of the symbols (%)")
        y_grid(axes)
    for axes in panels[len(streams) :]:
        axes.remove()
    figure.supxlabel("Above each bar: how many kinds of symbols have a code of this length.", fontsize=8.5)
    return figure
