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
from common.figures.style import BLACK, BLUE, CLUSTERS, GREY, LIGHT, ORANGE, VERMILION, CourseFigure, styled

MOST_BYTES = 300_000  # of a file
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
        For how long each frame is shown, or one number for all; a GIF counts in hundredths of a second.
    dpi : int
        Pixels per inch.

    Returns
    -------
    int
        Bytes written.

    Raises
    ------
    ValueError
        There are no frames, their sizes differ, or the file would be larger than 300 kB (`MOST_BYTES`).
    """
    pictures = [_picture(frame, dpi) for frame in frames]
    if not pictures:
        raise ValueError(f"{path}: expected at least one frame, got none")
    if len(sizes := {picture.size for picture in pictures}) > 1:
        raise ValueError(f"{path}: frames have the sizes {sorted(sizes)}, expected one size")
    each = [seconds] * len(pictures) if np.isscalar(seconds) else list(seconds)
    # One palette for all frames, so that a colour stays the same from frame to frame.
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
            f"{path}: {len(data):,} bytes, expected at most {MOST_BYTES:,}: use fewer frames or a lower dpi"
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
        if "google.colab" in sys.modules:  # a notebook's page on Colab cannot load files beside the notebook
            source = f"data:image/gif;base64,{base64.b64encode(self.path.read_bytes()).decode()}"
        else:
            source = Path(os.path.relpath(self.path)).as_posix()
        return f'<img src="{source}" alt="{html.escape(self.alternative)}">'


def show_animation(path: str | Path, alternative: str) -> Animation:
    """An animation for the last line of a cell.

    Parameters
    ----------
    path : path
        Relative to the repository's top folder, such as ``week04_kmeans/kmeans_1d.gif``.
    alternative : str
        Text alternative: what is seen, for those who do not see it.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The text alternative is empty.
    """
    return Animation(path, alternative)


@styled
def sliding_kernel_frame(
    picture: np.ndarray, kernel: np.ndarray, result: np.ndarray, n_done: int
) -> CourseFigure:
    """A kernel at one of its places on a small picture, and the sums that it has written so far.

    Parameters
    ----------
    picture : int array of shape (height, width)
    kernel : int array of shape (n_rows, n_columns)
    result : int array of shape (height - n_rows + 1, width - n_columns + 1)
        The sums of all places.
    n_done : int
        How many of them are shown, row after row. The last one is framed, and so is what the kernel covers.

    Returns
    -------
    CourseFigure
    """
    figure = CourseFigure(height=2.9)
    widths = [matrix.shape[1] for matrix in (picture, kernel, result)]
    left, middle, right = figure.subplots(1, 3, width_ratios=widths)
    n_rows, n_columns = kernel.shape
    y, x = divmod(max(n_done, 1) - 1, result.shape[1])
    shown = np.arange(result.size).reshape(result.shape) < n_done
    _numbers(left, picture, "picture", dark=1 - picture / picture.max())
    _numbers(middle, kernel, "kernel", dark=np.zeros(kernel.shape))
    _numbers(right, result, "result", dark=1 - np.abs(result) / max(1, np.abs(result).max()), shown=shown)
    if n_done:
        _frame(left, x, y, n_columns, n_rows, VERMILION)
        _frame(right, x, y, 1, 1, VERMILION)
        window = picture[y : y + n_rows, x : x + n_columns]
        said = (
            f"{(window * kernel)[kernel > 0].sum()} − {-(window * kernel)[kernel < 0].sum()} = {result[y, x]}"
        )
    else:
        said = "multiply, add up, write down, slide on"
    figure.suptitle(said, color=VERMILION if n_done else BLACK)
    return figure


def _numbers(
    axes, matrix: np.ndarray, title: str, *, dark: np.ndarray, shown: np.ndarray | None = None
) -> None:
    """A small matrix as cells with numbers: `dark` in [0, 1] shades them, `shown` tells which are filled."""
    shown = np.ones(matrix.shape, dtype=bool) if shown is None else shown
    axes.imshow(np.where(shown, 1 - 0.75 * dark, 1), cmap="gray", vmin=0, vmax=1)
    for (y, x), number in np.ndenumerate(matrix):
        if shown[y, x]:
            ink = "white" if dark[y, x] > 0.6 else BLACK
            axes.text(x, y, f"{number}".replace("-", "−"), ha="center", va="center", color=ink)
    for y, x in np.ndindex(matrix.shape):
        _frame(axes, x, y, 1, 1, LIGHT, linewidth=0.8)
    axes.set(title=title, xlim=(-0.6, matrix.shape[1] - 0.4), ylim=(matrix.shape[0] - 0.4, -0.6))
    axes.set_axis_off()


def _frame(axes, x: int, y: int, width: int, height: int, color: str, *, linewidth: float = 2.5) -> None:
    right, low = x + width - 0.5, y + height - 0.5
    across, down = [x - 0.5, right, right, x - 0.5, x - 0.5], [y - 0.5, y - 0.5, low, low, y - 0.5]
    axes.plot(across, down, color=color, linewidth=linewidth)


@styled
def flood_frame(ridge: np.ndarray, found: np.ndarray, low: float, high: float, title: str) -> CourseFigure:
    """A moment of Canny's hysteresis: strong pixels, weak ones that have been reached, and other weak ones.

    Parameters
    ----------
    ridge : array of shape (height, width)
        Strength of the gradient after thinning (non-maximum suppression).
    found : bool array of shape (height, width)
        Reached so far.
    low, high : float
        The thresholds: strong pixels are above `high`, weak ones above `low`.
    title : str

    Returns
    -------
    CourseFigure
    """
    figure = CourseFigure(height=3.6, width=5.2)
    axes = figure.subplots()
    colours = np.full((*ridge.shape, 3), 255, dtype=np.uint8)
    colours[ridge > low] = (86, 180, 233)  # sky
    colours[found & (ridge <= high)] = (230, 159, 0)  # orange
    colours[found & (ridge > high)] = (0, 0, 0)
    axes.imshow(colours, interpolation="nearest")
    axes.set(title=title, xticks=[], yticks=[])
    return figure


@styled
def votes_frame(points: Sequence[tuple[int, int]], n_voted: int, side: int) -> CourseFigure:
    """A moment of the Hough transform: points vote one after the other for the lines through them.

    Parameters
    ----------
    points : sequence of (x, y)
        Inside a square of `side` pixels.
    n_voted : int
        How many have voted; the last one is highlighted.
    side : int
        Of the square, in pixels.

    Returns
    -------
    CourseFigure
    """
    figure = CourseFigure(height=2.9)
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.7])
    theta = np.arange(180)
    angles = np.radians(theta)
    votes = np.zeros((2 * side, 180), dtype=int)  # ρ from -side / 2 on
    for number, (x, y) in enumerate(points, 1):
        colour = VERMILION if number == n_voted else BLUE if number < n_voted else GREY
        left.plot(x, y, "o", color=colour, markersize=7)
        if number <= n_voted:
            rho = x * np.cos(angles) + y * np.sin(angles)
            votes[np.rint(rho).astype(int) + side // 2, theta] += 1
            right.plot(theta, rho, color=colour, linewidth=2 if number == n_voted else 1)
            if number == n_voted:
                for angle in np.radians(range(0, 180, 15)):  # some of the lines it votes for
                    dx, dy = -9 * np.sin(angle), 9 * np.cos(angle)
                    left.plot([x - dx, x + dx], [y - dy, y + dy], color=ORANGE, linewidth=0.8, zorder=0)
    left.set(xlim=(0, side), ylim=(side, 0), xticks=[0, side], yticks=[0, side], aspect="equal")
    left.set_title(f"{n_voted} of {len(points)} points have voted")
    most = votes.max()
    right.set(title=f"most votes in one cell: {most}", xlabel="θ (degrees)", ylabel="ρ (pixels)")
    right.set(xticks=[0, 45, 90, 135], xlim=(-0.5, 179.5), ylim=(1.5 * side, -side / 2))
    if most > 1:
        rho, at = np.unravel_index(votes.argmax(), votes.shape)
        right.plot(at, rho - side // 2, "o", markersize=15, markerfacecolor="none", markeredgecolor=BLACK)
    return figure


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
    # Dots of (nearly) equal value are stacked, as in a histogram.
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
    """Huffman's forest of trees after some of its joins.

    Parameters
    ----------
    leaves : sequence of (name, count)
        The symbols, in the order in which they are drawn from left to right.
    joins : sequence of (left, right, count)
        All joins in order: the sets of leaves (by position) of the two trees that are joined, and the sum of
        their counts.
    n_joined : int
        How many joins are drawn; the last of them is highlighted.

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
def centroid_frame(
    values: np.ndarray,
    importance: np.ndarray,
    indices: np.ndarray,
    path: np.ndarray,
    curves: dict[str, Sequence[float]],
    *,
    n_steps: int,
    title: str,
) -> CourseFigure:
    """One step of centroid fine-tuning: weights and centroids on a line, and two curves over the steps.

    Parameters
    ----------
    values, importance : array of shape (n,)
        The original weights, and how strongly the loss reacts to an error of each: the size of its dot.
    indices : int array of shape (n,)
        The cluster of each weight; it does not change.
    path : array of shape (step + 1, k)
        The centroids at every step from the start up to now.
    curves : dict of name to sequence of step + 1 numbers
        Two of them, relative to their starts; drawn in blue and orange.
    n_steps : int
        Steps in all: the right end of the curves' axis.
    title : str

    Returns
    -------
    CourseFigure
    """
    figure = CourseFigure(height=2.6)
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
    bins = np.round(values * 16).astype(int)
    height = np.array([(bins[:at] == b).sum() for at, b in enumerate(bins)])
    colours = np.array(CLUSTERS)[indices % len(CLUSTERS)]
    left.scatter(bins / 16, height, c=colours, s=6 + 34 * importance / importance.max(), linewidths=0)
    top = height.max() + 2.5
    for cluster, (start, now) in enumerate(zip(path[0], path[-1], strict=True)):
        colour = CLUSTERS[cluster % len(CLUSTERS)]
        left.plot([start] * 2, [-0.8, top - 1.2], color=colour, linewidth=1, linestyle=":")
        left.plot([now] * 2, [-0.8, top - 1.2], color=colour, linewidth=2)
        left.text(now, top - 1, f"{now:.2f}", ha="center", va="bottom", fontsize=8.5)
    left.set(title=title, yticks=[], ylim=(-1, top + 1), xlabel="weight")
    left.set_xlim(values.min() - 0.15, values.max() + 0.15)
    left.spines["left"].set_visible(False)
    steps = np.arange(len(path))
    for (name, curve), colour in zip(curves.items(), (BLUE, ORANGE), strict=True):
        right.plot(steps, curve, color=colour)
        right.plot(steps[-1:], curve[-1:], "o", color=colour, markersize=5)
        right.text(0.04, 0.13 if colour == BLUE else 0.88, name, color=colour, transform=right.transAxes)
    right.set(title="relative to the start", xlabel="step", xlim=(-0.5, n_steps + 0.5), ylim=(0.4, 1.6))
    return figure


@styled
def table_look_up(
    bits: str, at: int, table: Sequence[tuple[str, int]], written: str, *, title: str
) -> CourseFigure:
    """One look-up of a table-driven Huffman decoder: window in the stream, line of the table, symbols so far.

    Parameters
    ----------
    bits : str
        The stream, of "0" and "1".
    at : int
        Where the window begins; at the end of the stream no line is marked.
    table : sequence of (symbols, n_used)
        One line for each value of the window, 2**width of them: the symbols whose codes lie completely in
        the window, and how many bits these codes take.
    written : str
        The symbols decoded so far.
    title : str

    Returns
    -------
    CourseFigure
    """
    width = (len(table) - 1).bit_length()
    figure = CourseFigure(height=3.4, width=6.0)
    axes = figure.subplots()
    window = bits[at : at + width].ljust(width, "0")
    line = int(window, 2) if at < len(bits) else None
    n_used = table[line][1] if line is not None else 0
    top = len(table) + 2.4
    for place, bit in enumerate(bits):
        is_read, is_word = place < at, at <= place < at + n_used
        colour = GREY if is_read else VERMILION if is_word else BLACK
        axes.text(place, top, bit, ha="center", va="center", family="monospace", color=colour)
    if line is not None:
        axes.plot(
            [at - 0.5, at + width - 0.5, at + width - 0.5, at - 0.5, at - 0.5],
            [top - 0.5, top - 0.5, top + 0.5, top + 0.5, top - 0.5],
            color=BLUE,
            linewidth=1.6,
        )
    left, right = 1.5, len(bits) * 0.58
    for x, head in ((left, "window"), (left + 3.2, "symbols"), (left + 6.4, "bits used")):
        axes.text(x, len(table) + 0.2, head, ha="center", va="center", color=GREY, fontsize=8.5)
    for number, (symbols, used) in enumerate(table):
        y = len(table) - 1 - number
        is_hit = number == line
        colour, weight = (VERMILION, "bold") if is_hit else (BLACK, "normal")
        for x, text in ((left, f"{number:0{width}b}"), (left + 3.2, symbols), (left + 6.4, used)):
            axes.text(
                x, y, text, ha="center", va="center", family="monospace", color=colour, fontweight=weight
            )
    axes.text(right, len(table) + 0.2, "written", color=GREY, fontsize=8.5, va="center")
    for row in range(0, len(written), 8):
        axes.text(right, len(table) - 1 - row / 8, written[row : row + 8], family="monospace", va="center")
    axes.set(title=title, xticks=[], yticks=[], xlim=(-0.8, len(bits) - 0.2), ylim=(-0.7, top + 0.9))
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
