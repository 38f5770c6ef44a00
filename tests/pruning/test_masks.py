"""Scores in more precision than the weights have: nothing overflows, nothing is chosen by its place."""

import pytest
import torch

from common.pruning.masks import global_masks, lamp_scores, magnitude_scores, normalized_scores


def slow_lamp(weight):
    """The definition, in float64: w² over the sum of squares that are not smaller."""
    squares = [float(w) ** 2 for w in weight.double().flatten()]
    order = sorted(range(len(squares)), key=lambda i: squares[i])
    scores = [0.0] * len(squares)
    for place, i in enumerate(order):
        total = sum(squares[j] for j in order[place:])
        scores[i] = squares[i] / total if total else 0.0
    return torch.tensor(scores)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e25, 1e30])
def test_scores_do_not_depend_on_the_scale(scale):
    weight = torch.tensor([3.0, -1.0, 0.5, 2.0])
    for score in (normalized_scores, lamp_scores):
        plain, scaled = (score({"a": w})["a"] for w in (weight, weight * scale))
        torch.testing.assert_close(scaled, plain, rtol=1e-5, atol=0)
    torch.testing.assert_close(lamp_scores({"a": weight})["a"], slow_lamp(weight), rtol=1e-6, atol=0)


def test_weights_far_apart_have_scores():
    scores = lamp_scores({"a": torch.tensor([1e30, 1e25, 1.0])})["a"]
    assert scores.isfinite().all()
    assert scores.tolist() == pytest.approx([1.0, 1e-10, 0.0], rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_half_precision_does_not_overflow(dtype):
    weight = (torch.tensor([1.0, 2.0, 3.0, 4.0]) * 1000).to(dtype)
    scores = normalized_scores({"a": weight})["a"]
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, normalized_scores({"a": weight.float()})["a"], rtol=1e-6, atol=0)
    assert global_masks({"a": scores}, 0.5)["a"].tolist() == [False, False, True, True]


def test_the_most_negative_integer_is_the_largest():
    scores = magnitude_scores({"a": torch.tensor([-128, 127, 1], dtype=torch.int8)})["a"]
    assert scores.tolist() == [128, 127, 1]


def test_zeros_and_nothing_score_nothing():
    for score in (normalized_scores, lamp_scores):
        assert score({"a": torch.zeros(3)})["a"].tolist() == [0, 0, 0]
        assert score({"a": torch.zeros(0, 2)})["a"].shape == (0, 2)
