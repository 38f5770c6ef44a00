"""Week 3, lecture 2: AlexNet's random view, the map of Grad-CAM, precision and recall."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import as_array, call, expect, pair
from common.checks.grading import NotYet
from common.checks.lectures import fill_in


def _random_view(picture, size, rng):
    top = rng.integers(picture.shape[0] - size + 1)
    left = rng.integers(picture.shape[1] - size + 1)
    view = picture[top : top + size, left : left + size]
    return view[:, ::-1] if rng.random() < 0.5 else view


@fill_in(own=_random_view)
def random_view(answer: Callable) -> str:
    """Every crop of the size can occur, and half of all views are mirrored."""
    for height, width, size in ((6, 6, 4), (5, 8, 3), (4, 4, 4)):
        picture = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
        crops = {}
        for top in range(height - size + 1):
            for left in range(width - size + 1):
                view = picture[top : top + size, left : left + size]
                crops[view.tobytes()] = (top, left, False)
                crops[np.ascontiguousarray(view[:, ::-1]).tobytes()] = (top, left, True)
        told = f"a {height}×{width} picture, size {size}"
        rng = np.random.default_rng(height)  # one generator for all calls, as an epoch has
        seen = [_place_of(answer, picture, size, rng, crops, told) for _ in range(400)]
        _check_places(seen, height - size, width - size, told)
    return "Every position of three sizes occurs, and half of the views are mirrored."


def _place_of(answer, picture, size, rng, crops, told) -> tuple[int, int, bool]:
    got = as_array(_called(answer, picture, size, rng, told), "The view")
    if got.shape != (size, size, 3):
        raise NotYet(
            f"The view has shape {got.shape}, expected {(size, size, 3)}, for {told}.",
            hint="A crop ends at top + size and left + size; a position beyond the edge cuts it short.",
        )
    place = crops.get(np.ascontiguousarray(got.astype(np.uint8)).tobytes())
    if place is None:
        upright = np.ascontiguousarray(got[::-1].astype(np.uint8)).tobytes()
        turned = np.ascontiguousarray(got.transpose(1, 0, 2).astype(np.uint8)).tobytes()
        reversed_colours = np.ascontiguousarray(got[:, :, ::-1].astype(np.uint8)).tobytes()
        hint = "Neither a crop nor its mirror image: are rows and columns cut with the right start?"
        if upright in crops:
            hint = "It is upside down: a horizontal flip reverses the columns, the second axis."
        elif turned in crops:
            hint = "It is transposed: a flip reverses one axis, and exchanges none."
        elif reversed_colours in crops:
            hint = "The colours are reversed: the columns are the second axis, the channels the third."
        raise NotYet(f"The view is not a part of the picture, for {told}.", hint=hint)
    return place


def _called(answer, picture, size, rng, told):
    # `call` copies its arguments: the generator must go on from call to call
    return call(lambda image: answer(image, size, rng), picture, told=told)


def _check_places(seen: list, last_top: int, last_left: int, told: str) -> None:
    tops, lefts = {top for top, _, _ in seen}, {left for _, left, _ in seen}
    mirrored = np.mean([flipped for *_, flipped in seen])
    for name, found, last in (("top", tops, last_top), ("left", lefts, last_left)):
        if found == set(range(last + 1)):
            continue
        if found == set(range(last)):
            hint = (
                "The last position never occurs: there are length − size + 1 of them, and "
                "rng.integers(n) leaves n out."
            )
        elif len(found) == 1:
            hint = "It never moves: draw it at random in each call."
        else:
            hint = "Draw it from 0 to length − size, each end included."
        raise NotYet(f"In 400 views, `{name}` takes the values {sorted(found)}, for {told}.", hint=hint)
    if last_top and last_left:
        pairs = {(top, left) for top, left, _ in seen}
        if len(pairs) < (last_top + 1) * (last_left + 1):
            raise NotYet(
                f"Only {len(pairs)} of {(last_top + 1) * (last_left + 1)} crops occur, for {told}.",
                hint="Draw top and left separately, each from the generator.",
            )
    if not 0.38 < mirrored < 0.62:
        hint = "Mirror half of the time: compare rng.random() with 0.5."
        if mirrored == 0:
            hint = "No view is mirrored: reverse the columns half of the time, view[:, ::-1]."
        raise NotYet(f"{mirrored:.0%} of 400 views are mirrored, expected about half.", hint=hint)


def _grad_cam_map(maps, gradient):
    maps, gradient = np.asarray(maps), np.asarray(gradient)
    return np.maximum(0, (gradient.mean(axis=(1, 2))[:, None, None] * maps).sum(axis=0))


@fill_in(own=_grad_cam_map)
def grad_cam_map(answer: Callable) -> str:
    """One weight per channel, the weighted sum of the maps, and no negative values."""
    rng = np.random.default_rng(7)
    for channels, rows, columns in ((4, 3, 5), (3, 2, 2), (5, 4, 4)):
        maps = rng.integers(0, 5, (channels, rows, columns)).astype(float)
        gradient = rng.integers(-4, 4, maps.shape).astype(float)
        alpha = gradient.mean(axis=(1, 2))[:, None, None]
        wanted = _grad_cam_map(maps, gradient)
        plain = (alpha * maps).sum(axis=0)
        suspects = [
            ("Set negative values to zero: they speak against the class.", plain),
            (
                "The ReLU comes last, on the sum: before it, maps that speak against must still count.",
                np.maximum(0, alpha * maps).sum(axis=0),
                (np.maximum(0, alpha) * maps).sum(axis=0),
            ),
            (
                "Alpha is the *mean* of a channel's gradient, over its positions; that is the sum.",
                np.maximum(0, plain * rows * columns),
            ),
            (
                "One alpha per *channel*: average the gradient over rows and columns first.",
                np.maximum(0, (gradient * maps).sum(axis=0)),
                np.maximum(0, (gradient * maps).mean(axis=0)),
            ),
            ("The maps have to be added up, not averaged.", np.maximum(0, plain / channels)),
            ("A class map has one value per position: add over the channels, axis 0.", alpha * maps),
            (
                "Alpha belongs to channels: the mean goes over axes 1 and 2, not over the channels.",
                np.maximum(0, (gradient.mean(axis=0) * maps).sum(axis=0)),
            ),
            (
                "The weights are the means of the gradient, not those of the maps.",
                _grad_cam_map(gradient, maps),
            ),
            (
                "The absolute value makes what speaks against the class speak for it: set negative "
                "values to 0.",
                np.abs(plain),
            ),
        ]
        got = call(answer, maps, gradient, told=f"{channels} maps of {rows}×{columns}")
        expect(got, wanted, tolerance=1e-6, suspects=suspects, what="The map")
    return "Three stacks of maps, with channels that speak for and against."


def _precision_and_recall(confusion):
    confusion = np.asarray(confusion)
    return np.diag(confusion) / confusion.sum(axis=0), np.diag(confusion) / confusion.sum(axis=1)


@fill_in(own=_precision_and_recall)
def precision_and_recall(answer: Callable) -> str:
    """Diagonal over column sums, diagonal over row sums."""
    for confusion in ([[8, 1, 1], [2, 5, 3], [0, 4, 16]], [[3, 1], [6, 10]]):
        confusion = np.array(confusion)
        wanted = _precision_and_recall(confusion)
        got = call(answer, confusion, told=f"{len(confusion)} classes")
        got = pair(got, 2, "precision and recall")
        right, total = np.diag(confusion), confusion.sum()
        suspects = {
            "precision": [("Precision and recall are exchanged: precision goes by columns.", wanted[1])],
            "recall": [("Precision and recall are exchanged: recall goes by rows.", wanted[0])],
        }
        common = [
            ("That is one number for all classes: divide the diagonal, class by class.", right.sum() / total),
            ("Divide by the sum of the class's column or row, not by the sum of all.", right / total),
            (
                "You divide by the wrong ones alone: the sum includes the diagonal.",
                right / (confusion.sum(0) - right),
            ),
            ("These are counts: divide them by a sum to get shares.", right),
        ]
        for name, value, target in zip(("precision", "recall"), got, wanted, strict=True):
            expect(
                value,
                target,
                tolerance=1e-6,
                suspects=suspects[name] + common,
                what=f"The {name}",
                shown={"confusion": confusion},
            )
    return "Shares of columns and of rows, for two and three classes."
