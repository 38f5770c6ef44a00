"""Week 3, lecture 2: right answers in several forms, and the usual mistakes with a word of their hint."""

import numpy as np
import torch

from common.checks.lectures import week03_2 as checks


def view(*, extra=1, move=True, flip="columns", half=0.5, same=False, stop="size"):
    def answer(picture, size, rng):
        height, width = picture.shape[:2]
        top = rng.integers(height - size + extra) if move and height - size + extra > 0 else 0
        left = rng.integers(width - size + extra) if move and width - size + extra > 0 else 0
        if same:
            left = min(top, width - size)
        part = (
            picture[top : top + size, left : left + size] if stop == "size" else picture[top:size, left:size]
        )
        if rng.random() >= half:
            return part
        return {"columns": part[:, ::-1], "rows": part[::-1], "colours": part[:, :, ::-1]}[flip]

    return answer


def cam(maps, gradient, *, over=(1, 2), act=lambda x: np.maximum(0, x), reduce=np.sum):
    return act(reduce(gradient.mean(axis=over)[:, None, None] * maps, axis=0))


RIGHT = {
    "random_view": [
        checks.random_view.own,
        lambda picture, size, rng: torch.tensor(view()(picture, size, rng).copy()),
        lambda picture, size, rng: (
            np.fliplr(view(half=0)(picture, size, rng))
            if rng.integers(2)
            else view(half=0)(picture, size, rng)
        ),
    ],
    "grad_cam_map": [
        checks.grad_cam_map.own,
        lambda maps, gradient: cam(maps.astype(np.float32), gradient.astype(np.float32)),
        lambda maps, gradient: torch.relu(
            torch.einsum("k,kij->ij", torch.tensor(gradient).mean(dim=(1, 2)), torch.tensor(maps))
        ),
        lambda maps, gradient: np.clip(np.tensordot(gradient.mean((1, 2)), maps, 1), 0, None).tolist(),
    ],
    "precision_and_recall": [
        checks.precision_and_recall.own,
        lambda c: np.stack([np.diag(c) / c.sum(axis=0), np.diag(c) / c.sum(axis=1)]).astype(np.float32),
        lambda c: (
            [c[i, i] / sum(row[i] for row in c) for i in range(len(c))],
            [row[i] / sum(row) for i, row in enumerate(c)],
        ),
    ],
}
VIEWS = {
    "The last position never occurs": view(extra=0),
    "It never moves": view(move=False),
    "No view is mirrored": view(half=0),
    "compare rng.random() with 0.5": view(half=0.9),
    "It is upside down": view(flip="rows"),
    "The colours are reversed": view(flip="colours"),
    "a position beyond the edge cuts it short": view(extra=2),
    "Draw top and left separately": view(same=True),
}
MAPS = {
    "Set negative values to zero": lambda m, g: cam(m, g, act=lambda x: x),
    "The ReLU comes last": lambda m, g: np.maximum(0, g.mean((1, 2))[:, None, None] * m).sum(axis=0),
    "that is the sum": lambda m, g: np.maximum(0, (g.sum((1, 2))[:, None, None] * m).sum(axis=0)),
    "One alpha per *channel*": lambda m, g: np.maximum(0, (g * m).sum(axis=0)),
    "not averaged": lambda m, g: cam(m, g, reduce=np.mean),
    "add over the channels, axis 0": lambda m, g: g.mean((1, 2))[:, None, None] * m,
    "The absolute value": lambda m, g: cam(m, g, act=np.abs),
    "not those of the maps": lambda m, g: cam(g, m),
}
SHARES = {
    "Precision and recall are exchanged": lambda c: (np.diag(c) / c.sum(axis=1), np.diag(c) / c.sum(axis=0)),
    "one number for all classes": lambda c: (np.trace(c) / c.sum(), np.trace(c) / c.sum()),
    "not by the sum of all": lambda c: (np.diag(c) / c.sum(), np.diag(c) / c.sum()),
    "the sum includes the diagonal": lambda c: (
        np.diag(c) / (c.sum(axis=0) - np.diag(c)),
        np.diag(c) / c.sum(axis=1),
    ),
    "expected 2 results": lambda c: np.diag(c) / c.sum(axis=0),
    "These are counts": lambda c: (np.diag(c), np.diag(c)),
}
MISTAKES = {"random_view": VIEWS, "grad_cam_map": MAPS, "precision_and_recall": SHARES}
