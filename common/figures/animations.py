"""Animations: frames drawn from plain data, written as a small GIF, shown with a text alternative."""

from __future__ import annotations

import base64
import html
import io
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import PIL.Image

from common.base.files import ROOT, whole_file
from common.figures.style import BLACK, BLUE, CLUSTERS, GREY, VERMILION, CourseFigure, styled

MOST_BYTES = 300_000
_COLOURS = 32  # of all frames together


def save_gif(
    frames: Iterable[CourseFigure], path: str | Path, *, seconds: float | Sequence[float] = 1.0, dpi: int = 80
) -> int:
    """Write figures as an endless GIF, whole or not at all; the same figures give the same bytes.

    Parameters
    ----------
    frames : iterable of CourseFigure
        Of one size.
    path : path
    seconds : float or sequence of float
        For how long each frame is shown, in hundredths of a second at best.
    dpi : int

    Returns
    -------
    int
        Bytes written.

    Raises
    ------
    ValueError
        There are no frames, their sizes differ, or the file would pass 300 kB.
    """
    pictures = [_picture(frame, dpi) for frame in frames]
    if not pictures:
        raise ValueError(f"{path}: expected at least one frame, got none")
    if len(sizes := {picture.size for picture in pictures}) > 1:
        raise ValueError(f"{path}: frames have the sizes {sorted(sizes)}, expected one size")
    each = [seconds] * len(pictures) if np.isscalar(seconds) else list(seconds)
    # one palette for all frames: a colour then stays the same from frame to frame
    strip = PIL.Image.fromarray(np.concatenate([np.asarray(picture) for picture in pictures]))
    palette = strip.quantize(_COLOURS, kmeans=1, dither=PIL.Image.Dither.NONE)
    few = [picture.quantize(palette=palette, dither=PIL.Image.Dither.NONE) for picture in pictures]
    buffer = io.BytesIO()
    few[0].save(
        buffer,
        "gif",
        save_all=True,
        append_images=few[1:],
        duration=[round(1000 * one) for one in each],
        loop=0,
        optimize=True,
    )
    data = buffer.getvalue()
    if len(data) > MOST_BYTES:
        raise ValueError(
            f"{path}: {len(data):,} bytes, expected at most {MOST_BYTES:,}: fewer frames or dots"
        )
    with whole_file(path) as aside:
        aside.write_bytes(data)
    return len(data)


def _picture(figure: CourseFigure, dpi: int) -> PIL.Image.Image:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return PIL.Image.open(buffer).convert("RGB")


class Animation:
    """An animation's file as Jupyter shows it: a picture beside the notebook, with its text alternative."""

    def __init__(self, path: str | Path, alternative: str) -> None:
        self.path, self.alternative = ROOT / path, alternative
        if not self.path.is_file():
            raise FileNotFoundError(f"file not found: {path}: make it with `make animations`")
        if not alternative.strip():
            raise ValueError(f"{path}: expected a text that says what is seen, got an empty one")

    def __repr__(self) -> str:
        return f"Animation: {self.alternative}"

    def _repr_html_(self) -> str:
        if "google.colab" in sys.modules:  # the page of a notebook on Colab sees no files
            source = f"data:image/gif;base64,{base64.b64encode(self.path.read_bytes()).decode()}"
        else:
            source = Path(os.path.relpath(self.path)).as_posix()
        return f'<img src="{source}" alt="{html.escape(self.alternative)}">'


def show_animation(path: str | Path, alternative: str) -> Animation:
    """An animation for the last line of a cell.

    Parameters
    ----------
    path : path
        From the repository's top, such as ``week04_kmeans/kmeans_1d.gif``.
    alternative : str
        What is seen, for those who do not see it.

    Raises
    ------
    FileNotFoundError
        It is not there.
    ValueError
        The text is empty.
    """
    return Animation(path, alternative)


@styled
def kmeans_frame(values: np.ndarray, centroids: np.ndarray, *, title: str, is_assigned: bool) -> CourseFigure:
    """One step of k-means in one dimension: values as dots, centroids as lines, boundaries between them.

    Parameters
    ----------
    values : array of shape (n,)
    centroids : array of shape (k,)
        In ascending order.
    title : str
    is_assigned : bool
        Colour each value by its nearest centroid; else all are grey.

    Returns
    -------
    CourseFigure
    """
    figure = CourseFigure(height=2.4)
    axes = figure.subplots()
    # dots of equal value stand on each other, as in a histogram
    bins = np.round(values * 25).astype(int)
    height = np.array([(bins[:at] == b).sum() for at, b in enumerate(bins)])
    nearest = np.abs(values[:, None] - centroids).argmin(axis=1)
    colours = np.array(CLUSTERS)[nearest % len(CLUSTERS)] if is_assigned else GREY
    axes.scatter(bins / 25, height, c=colours, s=14)
    top = height.max() + 2.5
    for number, centroid in enumerate(centroids):
        axes.plot([centroid] * 2, [-0.8, top - 1], color=CLUSTERS[number % len(CLUSTERS)], linewidth=2)
        axes.text(centroid, top - 0.9, f"{centroid:.2f}", ha="center", va="bottom", fontsize=8.5)
    if is_assigned:
        for boundary in (centroids[1:] + centroids[:-1]) / 2:
            axes.axvline(boundary, color=GREY, linestyle=":", linewidth=1)
    axes.set(title=title, yticks=[], ylim=(-1, top + 1), xlabel="weight")
    axes.set_xlim(values.min() - 0.1, values.max() + 0.1)
    axes.spines["left"].set_visible(False)
    return figure


@styled
def forest(
    leaves: Sequence[tuple[str, int]],
    joins: Sequence[tuple[frozenset[int], frozenset[int], int]],
    n_joined: int,
) -> CourseFigure:
    """Huffman's forest after some of its joins.

    Parameters
    ----------
    leaves : sequence of (name, count)
        In the order in which they stand.
    joins : sequence of (left, right, count)
        The leaves' places below both sides of a join, and its count, in the order in which they are made.
    n_joined : int
        How many of them to draw; the last of these is highlighted.

    Returns
    -------
    CourseFigure
    """
    figure = CourseFigure(height=3.2, width=5.2)
    axes = figure.subplots()
    at = {frozenset([place]): (float(place), 0) for place in range(len(leaves))}
    for place, (name, count) in enumerate(leaves):
        axes.plot(place, 0, "o", color=BLUE, markersize=6)
        axes.text(place, -0.25, f"{name}\n{count}", ha="center", va="top", color=BLACK)
    for number, (left, right, count) in enumerate(joins[:n_joined], 1):
        (x0, y0), (x1, y1) = at[left], at[right]
        is_new = number == n_joined
        colour = VERMILION if is_new else GREY
        axes.plot([x0, x0, x1, x1], [y0, number, number, y1], color=colour, linewidth=2.2 if is_new else 1.2)
        axes.text((x0 + x1) / 2, number + 0.08, count, ha="center", va="bottom", color=colour)
        at[left | right] = ((x0 + x1) / 2, number)
    said = f"join {n_joined} of {len(joins)}" if n_joined else f"{len(leaves)} symbols and their counts"
    axes.set(title=said, xticks=[], yticks=[], xlim=(-0.6, len(leaves) - 0.4), ylim=(-1.5, len(joins) + 0.8))
    axes.spines[:].set_visible(False)
    return figure


@styled
def pruning_frame(
    weights: np.ndarray, mask: np.ndarray, sparsities: Sequence[float], errors: Sequence[float], step: int
) -> CourseFigure:
    """One moment of gradual pruning: a matrix with its zeros, the schedule, and the error so far.

    Parameters
    ----------
    weights : array of shape (rows, columns)
    mask : bool array of shape (rows, columns)
        True = kept; what is pruned is drawn white.
    sparsities : sequence of float in [0, 1]
        The schedule, one value per step.
    errors : sequence of float > 0
        One per step, at least up to this one.
    step : int

    Returns
    -------
    CourseFigure
    """
    figure = CourseFigure(height=2.6)
    matrix, schedule, error = figure.subplots(1, 3, width_ratios=(1, 1.15, 1.15))
    reach = np.abs(weights).max()
    matrix.imshow(np.where(mask, weights, np.nan), cmap="RdBu_r", vmin=-reach, vmax=reach)
    matrix.set(title=f"{int(mask.sum())} of {mask.size} weights", xticks=[], yticks=[])
    steps = np.arange(len(sparsities))
    schedule.plot(steps, sparsities, color=GREY)
    schedule.plot(step, sparsities[step], "o", color=VERMILION)
    schedule.set(title=f"step {step}: sparsity {sparsities[step]:.2f}", ylim=(-0.03, 1), xlabel="step")
    error.plot(steps[: step + 1], errors[: step + 1], color=BLUE)
    error.plot(step, errors[step], "o", color=VERMILION)
    error.set(title="error (log scale)", yscale="log", xlim=schedule.get_xlim(), xlabel="step")
    error.set(ylim=(0.7 * min(errors), 1.4 * max(errors)), yticks=[])
    error.minorticks_off()
    return figure
