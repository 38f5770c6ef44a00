"""The lectures' animations, each a GIF beside its notebook: ``python tools/animations.py [name ...]``.

A function below makes each from plain data. The same versions of matplotlib and Pillow give the same bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from common.data.pictures import photograph
from common.figures.animations import (
    centroid_frame,
    flood_frame,
    forest,
    kmeans_frame,
    pruning_frame,
    save_gif,
    sliding_kernel_frame,
    table_look_up,
    votes_frame,
)

ROOT = Path(__file__).resolve().parents[1]
_WEEK1 = ROOT / "week01_cv_foundations"


def sliding_kernel() -> int:
    """A 3 × 3 kernel slides over a picture with one edge."""
    picture = np.array([
        [1, 1, 1, 8, 8, 8, 8],
        [1, 2, 1, 8, 9, 8, 8],
        [1, 1, 2, 8, 8, 8, 9],
        [2, 1, 1, 1, 8, 9, 8],
        [1, 1, 2, 1, 8, 8, 8],
        [1, 2, 1, 1, 9, 8, 8],
    ])  # fmt: skip
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    windows = np.lib.stride_tricks.sliding_window_view(picture, (3, 3))
    result = (windows * kernel).sum(axis=(2, 3))
    frames = [sliding_kernel_frame(picture, kernel, result, n) for n in range(result.size + 1)]
    return save_gif(
        frames, _WEEK1 / "sliding_kernel.gif", dpi=120, seconds=[2.0, *[0.7] * (result.size - 1), 4.0]
    )


def hysteresis() -> int:
    """Weak edge pixels are reached from strong ones, on the horizon behind the cameraman."""
    camera = cv2.GaussianBlur(photograph("camera"), (0, 0), 1.5)
    edges = [cv2.Canny(camera, threshold, threshold) > 0 for threshold in (40, 100)]
    view = slice(140, 240), slice(340, 480)
    # 1 where weak, 2 where strong: what Canny keeps with both thresholds equal
    ridge = edges[0][view].astype(int) + (edges[0] & edges[1])[view]
    found, masks = ridge > 1, []
    while not masks or not np.array_equal(found, masks[-1]):
        masks.append(found)
        found = (ridge > 0) & (cv2.dilate(found.astype(np.uint8), np.ones((3, 3))) > 0)
    steps = sorted({0, 1, 2, 3, 4, *range(6, len(masks) - 1, 4), len(masks) - 1})
    frames = [flood_frame(ridge, masks[step], 0, 1, f"step {step}") for step in steps]
    pauses = [2.0, *[0.6] * (len(steps) - 2), 3.0]
    return save_gif(frames, _WEEK1 / "hysteresis.gif", dpi=120, seconds=pauses)


def hough_votes() -> int:
    """Four points on a line and two beside it vote in turn."""
    points = [(12, 10), (45, 14), (22, 20), (32, 30), (12, 45), (47, 45)]
    frames = [votes_frame(points, n, 60) for n in range(len(points) + 1)]
    return save_gif(frames, _WEEK1 / "hough_votes.gif", dpi=120, seconds=[1.5] * len(points) + [4.0])


def kmeans_1d() -> int:
    """Lloyd's two steps on 120 weights, until the centroids hardly move."""
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(mean, 0.13, 40) for mean in (-0.7, 0.1, 0.8)])
    centroids = np.linspace(values.min(), values.max(), 5)[
        :4
    ]  # a poor start, so that there is something to see
    frames = [kmeans_frame(values, centroids, title="start: four centroids", is_assigned=False)]
    pauses = [1.5]
    for step in range(1, 50):
        nearest = np.abs(values[:, None] - centroids).argmin(axis=1)
        title = f"step {step}: each weight goes to its nearest centroid"
        frames.append(kmeans_frame(values, centroids, title=title, is_assigned=True))
        moved = np.array([values[nearest == cluster].mean() for cluster in range(4)])
        title = f"step {step}: each centroid moves to the mean of its weights"
        frames.append(kmeans_frame(values, moved, title=title, is_assigned=True))
        pauses += [0.8, 0.8]
        if np.allclose(moved, centroids, rtol=0, atol=0.004):
            break
        centroids = moved
    return save_gif(frames, ROOT / "week04_kmeans" / "kmeans_1d.gif", seconds=[*pauses[:-1], 3.0])


def huffman_tree() -> int:
    """The five joins of week 7's six symbols, leaves first among equals."""
    leaves = [("A", 40), ("B", 22), ("C", 16), ("D", 12), ("F", 3), ("E", 7)]
    alive = [(count, place, frozenset([place])) for place, (_, count) in enumerate(leaves)]
    joins = []
    while len(alive) > 1:
        alive.sort(key=lambda tree: (tree[0], len(tree[2]) > 1, tree[1]))
        (a, _, left), (b, _, right), *alive = alive
        joins.append((left, right, a + b))
        alive.append((a + b, len(joins), left | right))
    frames = [forest(leaves, joins, n) for n in range(len(joins) + 1)]
    return save_gif(frames, ROOT / "week07_huffman" / "huffman_tree.gif", seconds=[1.5] * len(joins) + [4])


def centroid_tuning() -> int:
    """Four centroids of 60 weights move from k-means to the minimum of a quadratic loss; indices stay."""
    values = np.sort(np.random.default_rng(5).laplace(scale=0.45, size=60).clip(-1.8, 1.8))
    importance = 0.1 + np.abs(values) ** 2  # in the loss, errors of large weights count more
    centroids = np.array([-1.0, -0.3, 0.3, 1.0])
    for _ in range(50):  # Lloyd
        indices = np.abs(values[:, None] - centroids).argmin(axis=1)
        centroids = np.array([values[indices == cluster].mean() for cluster in range(4)])
    path, n_steps, rate = [centroids], 24, 0.03
    for _ in range(n_steps):
        gradient = importance * (path[-1][indices] - values)  # of the loss, with respect to each weight
        summed = np.bincount(indices, weights=gradient, minlength=4)
        path.append(path[-1] - rate * summed)
    errors = np.square(np.array(path)[:, indices] - values)
    loss, squared = errors @ importance, errors.sum(axis=1)
    frames = []
    for step in range(n_steps + 1):
        curves = {"loss": (loss / loss[0])[: step + 1], "squared error": (squared / squared[0])[: step + 1]}
        said = (
            "start: the centroids of k-means" if step == 0 else f"step {step}: indices stay, centroids move"
        )
        now = np.array(path[: step + 1])
        frames.append(centroid_frame(values, importance, indices, now, curves, n_steps=n_steps, title=said))
    path_of = ROOT / "week06_quantization" / "centroid_tuning.gif"
    return save_gif(frames, path_of, seconds=[2.0] + [0.35] * (n_steps - 1) + [4.0])


def table_decoder() -> int:
    """Week 7's code of four symbols (lengths 1, 2, 3, 3), decoded by windows of three bits."""
    words, width = {"A": "0", "B": "10", "C": "110", "D": "111"}, 3
    table = []
    for number in range(1 << width):
        window, at, symbols = f"{number:0{width}b}", 0, ""
        while hit := next((s for s, word in words.items() if window.startswith(word, at)), None):
            symbols, at = symbols + hit, at + len(words[hit])
        table.append((symbols, at))
    bits = "".join(words[symbol] for symbol in "ABAACABADBAABAB")
    at, written, frames = 0, "", []
    while at < len(bits):
        left = len(bits) - at
        symbols, used = table[int(bits[at : at + width].ljust(width, "0"), 2)]
        while used > left:  # symbols decoded from the zeros behind the end do not count
            used, symbols = used - len(words[symbols[-1]]), symbols[:-1]
        title = f"look up {bits[at : at + width]}: write {symbols}, move on by {used} bits"
        frames.append(table_look_up(bits, at, table, written, title=title))
        at, written = at + used, written + symbols
    frames.append(
        table_look_up(bits, at, table, written, title=f"{len(frames)} look-ups, {len(written)} symbols")
    )
    path = ROOT / "week07_huffman" / "table_decoder.gif"
    return save_gif(frames, path, seconds=[1.4] * (len(frames) - 1) + [3.5])


def gradual_pruning() -> int:
    """A linear layer of 256 weights in training, pruned along the cubic schedule every second step."""
    rng = np.random.default_rng(4)
    inputs = rng.normal(size=(400, 16))
    wanted = inputs @ (rng.normal(size=(16, 16)) ** 3 / 3)  # few large weights, many small ones
    weights, mask = rng.normal(size=(16, 16)) / 4, np.ones((16, 16), dtype=bool)
    ramp_start, ramp_end, final, n_steps = 6, 40, 0.85, 49
    share = np.clip((np.arange(n_steps) - ramp_start) / (ramp_end - ramp_start), 0, 1)
    sparsities = final - final * (1 - share) ** 3
    seen, errors = [], []
    for step in range(n_steps):
        if step % 2 == 0:
            n_kept = round((1 - sparsities[step]) * mask.size)
            order = np.argsort(-np.abs(weights * mask), axis=None, kind="stable")
            mask = np.isin(np.arange(mask.size), order[:n_kept]).reshape(mask.shape)
        error = inputs @ (weights * mask) - wanted
        errors.append(float((error**2).mean()))
        seen.append((weights.copy(), mask))
        weights = (weights - 0.25 * inputs.T @ error / len(inputs)) * mask
    frames = [pruning_frame(*seen[step], sparsities, errors, step) for step in range(0, n_steps, 2)]
    path = ROOT / "week05_pruning" / "gradual_pruning.gif"
    return save_gif(frames, path, seconds=[1.2] + [0.4] * (len(frames) - 2) + [3.0])


ANIMATIONS: dict[str, Callable[[], int]] = {
    "sliding_kernel": sliding_kernel,
    "hysteresis": hysteresis,
    "hough_votes": hough_votes,
    "kmeans_1d": kmeans_1d,
    "centroid_tuning": centroid_tuning,
    "huffman_tree": huffman_tree,
    "table_decoder": table_decoder,
    "gradual_pruning": gradual_pruning,
}


def main(names: list[str]) -> int:
    """Make the animations named, or all; return 1 when a name is unknown."""
    if unknown := set(names) - set(ANIMATIONS):
        print(
            f"animations: no {', '.join(sorted(unknown))}; there are {', '.join(ANIMATIONS)}", file=sys.stderr
        )
        return 1
    for name in names or ANIMATIONS:
        print(f"{name}: {ANIMATIONS[name]():,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
