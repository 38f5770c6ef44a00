"""Week 5, lecture 6: messages of the epsilon rule and of the z⁺ rule, and scores of filters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import call, expect
from common.checks.lectures import fill_in

_CASES = (  # inputs, weights, relevance of the outputs
    ([1.0, 2.0], [[1.0, 0.5], [1.0, -2.0], [0.5, 0.25]], [2.0, -1.0, 0.5]),
    ([0.5, 1.0, 2.0], [[2.0, -1.5, 1.0], [-1.0, -0.5, -0.25]], [1.0, 3.0]),
)


def _epsilon_messages(a, w, r, eps=1e-6):
    contributions = w * a
    z = contributions.sum(axis=1, keepdims=True)
    return contributions / (z + eps * np.where(z < 0, -1, 1)) * r[:, None]


@fill_in(own=_epsilon_messages)
def epsilon_messages(answer: Callable) -> str:
    """The epsilon rule's messages from each output to each input."""
    for a, w, r in _CASES:
        a, w, r = np.array(a), np.array(w), np.array(r)
        for eps in (0.5, 1e-6):
            got = call(answer, a, w, r, eps, told=f"{len(a)} inputs, {len(r)} outputs and eps {eps:g}")
            part = w * a
            z = part.sum(axis=1, keepdims=True)
            sign = np.where(z < 0, -1, 1)
            wanted = part / (z + eps * sign) * r[:, None]
            suspects = [
                ("Those are the inputs' sums: return the messages, one row per output.", wanted.sum(axis=0)),
                ("A row per output, a column per input: that is the transpose.", wanted.T),
                (
                    "Shares are not messages yet: multiply each row by its output's relevance.",
                    part / (z + eps * sign),
                ),
                (
                    "eps has the sign of z: where z is negative, it is subtracted.",
                    part / (z + eps) * r[:, None],
                ),
                ("eps is missing in the denominator.", part / z * r[:, None]),
                ("The inputs are missing: a contribution is a weight times its input.", _of(w, eps, r)),
                ("You keep only positive contributions: that is the z⁺ rule.", _plus(part, eps, r)),
                ("z is the sum over the inputs of one output: one number per row.", _by_input(part, eps, r)),
                ("Divide each contribution by its output's sum z.", part * r[:, None]),
                ("Divide by z, not by its magnitude.", part / (np.abs(z) + eps) * r[:, None]),
            ]
            shown = {"w · a": part}
            expect(got, wanted, tolerance=1e-7, suspects=suspects, what="The table of messages", shown=shown)
    return "Two layers, with z of both signs, and with a large and a small eps."


def _of(part: np.ndarray, eps: float, r: np.ndarray) -> np.ndarray:
    z = part.sum(axis=1, keepdims=True)
    return part / (z + eps * np.where(z < 0, -1, 1)) * r[:, None]


def _by_input(part: np.ndarray, eps: float, r: np.ndarray) -> np.ndarray:
    z = part.sum(axis=0, keepdims=True)
    return part / (z + eps * np.where(z < 0, -1, 1)) * r[:, None]


def _plus(part: np.ndarray, eps: float, r: np.ndarray) -> np.ndarray:
    part = np.maximum(part, 0)
    return part / (part.sum(axis=1, keepdims=True) + eps) * r[:, None]


def _plus_messages(a, w, r, eps=1e-6):
    contributions = np.maximum(w * a, 0)
    return contributions / (contributions.sum(axis=1, keepdims=True) + eps) * r[:, None]


@fill_in(own=_plus_messages)
def plus_messages(answer: Callable) -> str:
    """The z⁺ rule's messages: contributions above zero only."""
    for a, w, r in _CASES:
        a, w, r = np.array(a), np.array(w), np.array(r)
        for eps in (0.5, 1e-6):
            got = call(answer, a, w, r, eps, told=f"{len(a)} inputs, {len(r)} outputs and eps {eps:g}")
            part = w * a
            positive = np.maximum(part, 0)
            sums = positive.sum(axis=1, keepdims=True)
            wanted = _plus(part, eps, r)
            with np.errstate(all="ignore"):
                suspects = [
                    (
                        "Those are the inputs' sums: return the messages, one row per output.",
                        wanted.sum(axis=0),
                    ),
                    (
                        "Shares are not messages yet: multiply each row by its output's relevance.",
                        positive / (sums + eps),
                    ),
                    ("That is the epsilon rule: clip the contributions at 0.", _of(part, eps, r)),
                    (
                        "The denominator sums only the *positive* contributions, too.",
                        positive / (part.sum(axis=1, keepdims=True) + eps) * r[:, None],
                    ),
                    ("Clip in the denominator and in the numerator.", part / (sums + eps) * r[:, None]),
                    (
                        "You take the magnitude: what is negative should become 0.",
                        _plus(np.abs(part), eps, r),
                    ),
                    (
                        "eps is missing: an output without positive contributions divides by 0.",
                        positive / sums * r[:, None],
                    ),
                    (
                        "The relevance may be negative: only the contributions are clipped.",
                        np.maximum(wanted, 0),
                    ),
                    ("Divide each contribution by its output's sum.", positive * r[:, None]),
                    ("A row per output, a column per input: that is the transpose.", wanted.T),
                    ("The inputs are missing: a contribution is a weight times its input.", _plus(w, eps, r)),
                ]
            shown = {"w · a": part}
            expect(got, wanted, tolerance=1e-7, suspects=suspects, what="The table of messages", shown=shown)
    return "Two layers, one output without any positive contribution, and a negative relevance."


def _filter_scores(relevance, start):
    return (relevance / start[:, None, None, None]).sum(dim=(0, 2, 3))


@fill_in(own=_filter_scores)
def filter_scores(answer: Callable) -> str:
    """Relevance per filter, each image divided by its start."""
    import torch

    rng = np.random.default_rng(12)
    for shape in ((2, 3, 1, 2), (4, 4, 3, 3)):
        relevance, start = rng.normal(size=shape), rng.uniform(0.5, 4, size=shape[0])
        got = call(
            answer, torch.from_numpy(relevance), torch.from_numpy(start), told=f"relevance of shape {shape}"
        )
        each = relevance / start[:, None, None, None]
        wanted = each.sum(axis=(0, 2, 3))
        suspects = [
            ("The images have not been divided by their starts.", relevance.sum(axis=(0, 2, 3))),
            (
                "Divide each image by its *own* start, not by their sum.",
                relevance.sum(axis=(0, 2, 3)) / start.sum(),
            ),
            ("That is a score per image: sum over the images, keep the filters.", each.sum(axis=(1, 2, 3))),
            ("Sum over the images, too.", each.sum(axis=(2, 3))),
            ("Sum over the places, too.", each.sum(axis=0)),
            (
                "Take the sum, not a mean: then the scores of every layer have the same total.",
                each.mean(axis=(0, 2, 3)),
            ),
            (
                "Keep the signs: a filter may speak against the class.",
                np.abs(each).sum(axis=(0, 2, 3)),
                np.abs(wanted),
            ),
            (
                "Divide by the start, do not multiply.",
                (relevance * start[:, None, None, None]).sum(axis=(0, 2, 3)),
            ),
        ]
        if shape[0] == shape[1]:
            wrong = (relevance / start[None, :, None, None]).sum(axis=(0, 2, 3))
            suspects.append(("The starts belong to the images, the first axis.", wrong))
        expect(got, wanted, tolerance=1e-6, suspects=suspects, what="The list of scores")
    return "Two layers, each image with a start of its own."
