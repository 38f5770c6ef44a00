"""The lectures' animations, each a GIF beside its notebook: ``python tools/animations.py [name ...]``.

Each is made of plain data by a function below; the same versions of matplotlib and Pillow give the same
bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from common.figures.animations import forest, kmeans_frame, pruning_frame, save_gif

ROOT = Path(__file__).resolve().parents[1]


def kmeans_1d() -> int:
    """Lloyd's two steps on 120 weights, until no value changes its cluster."""
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


ANIMATIONS: dict[str, Callable[[], int]] = {
    "kmeans_1d": kmeans_1d,
    "gradual_pruning": gradual_pruning,
    "huffman_tree": huffman_tree,
}


def main(names: list[str]) -> int:
    """Make the animations named, or all; 1 when a name is unknown."""
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
