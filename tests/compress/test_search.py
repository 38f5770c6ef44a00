"""The search meets its target with what it measures, and says when it cannot."""

import copy
from dataclasses import replace

import pytest
from tiny import CONFIG, image_set

from common.compress.pipeline import compress, decompress
from common.compress.search import TargetMissed, _highest, _lowest, search
from common.networks.models import build, prunable_parameters
from common.networks.training import evaluate, train

LENET = {"architecture": "lenet_300_100", "num_classes": 3, "width": 0.1}
DISTORTIONS = (0.01, 0.1)


def digits(n=60, seed=0):
    return image_set(n, side=28, seed=seed, name="digits")


@pytest.fixture(scope="module")
def trained():
    model = build("lenet_300_100", num_classes=3, width=0.1)
    train(model, digits(), replace(CONFIG, flip=False), device="cpu")
    return model


def test_a_ratio_is_met_with_the_least_drop_that_was_found(trained):
    before = copy.deepcopy(trained.state_dict())
    best, trials = search(trained, LENET, digits(90, seed=1), target_ratio=20.0, distortions=DISTORTIONS)
    assert best.ratio >= 20.0
    assert len(best.data) * best.ratio == pytest.approx(4 * sum(p.numel() for p in trained.parameters()))
    assert best.ratio < 24.0, "and not by far more than was asked for"
    measured = evaluate(decompress(best.data), digits(90, seed=1)).top1
    top1 = evaluate(trained, digits(90, seed=1)).top1
    assert best.drop_points == pytest.approx(100 * (top1 - measured))
    assert {trial.distortion for trial in trials} == set(DISTORTIONS)
    assert all((before[name] == value).all() for name, value in trained.state_dict().items())


def test_a_drop_is_kept_by_the_smallest_file_that_was_found(trained):
    best, trials = search(trained, LENET, digits(90, seed=1), target_drop=5.0, distortions=DISTORTIONS)
    assert best.drop_points <= 5.0
    within = [trial for trial in trials if trial.drop_points <= 5.0]
    assert len(within) > 1
    assert len(best.data) == min(len(trial.data) for trial in within)


def test_what_was_found_can_be_made_again(trained):
    best, _ = search(trained, LENET, digits(90, seed=1), target_ratio=15.0, distortions=(0.03,))
    assert compress(copy.deepcopy(trained), None, best.config, LENET) == best.data
    bits = dict(best.config.layer_bits)
    assert bits.keys() == prunable_parameters(trained).keys()
    for name, weight in prunable_parameters(decompress(best.data)).items():
        assert len(weight[weight != 0].unique()) <= 2 ** bits[name]


def test_a_target_out_of_reach_is_said(trained):
    with pytest.raises(TargetMissed, match=r"ratio 5000\.0: none of"):
        search(trained, LENET, digits(30, seed=1), target_ratio=5000.0, distortions=(0.1,))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({}, "give one of them"),
        ({"target_ratio": 9.0, "target_drop": 1.0}, "give one of them"),
        ({"target_ratio": 1.0}, "expected more than 1"),
        ({"target_ratio": float("nan")}, "expected more than 1"),
        ({"target_drop": -1.0}, "from 0 to 100"),
    ],
)
def test_targets_are_checked_before_any_work(targets, message):
    with pytest.raises(ValueError, match=message):
        search(None, LENET, None, **targets)


@pytest.mark.parametrize("threshold", [0.0, 0.123, 0.5, 0.9])
def test_bisection_ends_beside_the_threshold(threshold):
    lowest = _lowest(lambda s: s, lambda s: s >= threshold)
    highest = _highest(lambda s: s, lambda s: s <= threshold)
    assert threshold <= lowest <= threshold + 0.01
    assert threshold - 0.01 <= highest <= threshold
