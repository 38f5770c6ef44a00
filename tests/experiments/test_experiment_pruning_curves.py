"""The study of pruning curves: ways to prune, figures, going on after a stop; on a tiny network."""

from dataclasses import replace

import pytest
import torch
from tiny import CONFIG, assert_equal_weights, image_set, network, weights

from common.experiments import pruning_curves
from common.experiments.pruning_curves import (
    Memory,
    StepPruner,
    fine_tuned,
    lenet_curves,
    round_after_round,
    sensitivity,
    untrained_curves,
)
from common.networks.models import prunable_parameters
from common.pruning.callbacks import cubic_sparsity, global_masks, magnitude_scores, sparsity_of

pytestmark = pytest.mark.slow

TUNING = replace(CONFIG, epochs=2)
DATA = image_set()


def zeros(model):
    """Fraction of exact zeros among the prunable weights."""
    values = torch.cat([weight.detach().flatten() for weight in prunable_parameters(model).values()])
    return int((values == 0).sum()) / len(values)


@pytest.mark.parametrize("way", ["one-shot", "iterative", "gradual"])
def test_every_way_ends_at_the_asked_sparsity_and_leaves_the_original_alone(way):
    model = network()
    before = weights(model)
    pruned = fine_tuned(model, DATA, TUNING, way=way, sparsity=0.75)
    n = sum(weight.numel() for weight in prunable_parameters(model).values())
    assert zeros(pruned) == 1 - round(0.25 * n) / n
    assert_equal_weights(weights(model), before)
    moved = [not torch.equal(a, b) for a, b in zip(pruned.parameters(), model.parameters(), strict=True)]
    assert all(moved), "fine-tuning moves every tensor"


def test_ways_differ_in_when_they_prune(monkeypatch):
    """The sparsity after every step: from the start, in two stairs, along the cubic."""
    seen = []

    def spy(model, data, config, *, callbacks, **options):
        (pruner,) = callbacks
        of_way = []
        for step in range(8):
            pruner.after_step(model, step)
            of_way.append(sparsity_of(pruner.masks))
        seen.append(of_way)

    monkeypatch.setattr(pruning_curves, "train", spy)
    for way in ("one-shot", "iterative", "gradual"):
        fine_tuned(network(), DATA, TUNING, way=way, sparsity=0.75)
    n = sum(weight.numel() for weight in prunable_parameters(network()).values())
    rounded = [
        [1 - round((1 - sparsity) * n) / n for sparsity in goals]
        for goals in (
            [0.75] * 8,
            [0.5] * 3 + [0.75] * 5,
            [cubic_sparsity(step, 0, 4, 0.75) for step in range(8)],
        )
    ]
    assert seen == [pytest.approx(goals, abs=1e-12) for goals in rounded]


def test_an_unknown_way_is_named():
    with pytest.raises(ValueError, match="one-shot, iterative or gradual"):
        fine_tuned(network(), DATA, TUNING, way="all", sparsity=0.5)


def test_step_pruner_prunes_by_magnitude_and_nothing_grows_back():
    model = network()
    first = global_masks(magnitude_scores(prunable_parameters(model)), 0.5)
    pruner = StepPruner(first, {3: 0.8})
    pruner.after_step(model, 0)
    assert pruner.masks.keys() == first.keys()
    assert sparsity_of(pruner.masks) == sparsity_of(first)
    with torch.no_grad():  # what is pruned already becomes large, and is passed over
        for name, weight in prunable_parameters(model).items():
            weight[~first[name]] = 9.0
    pruner.after_step(model, 3)
    assert all(bool((first[name] | ~mask).all()) for name, mask in pruner.masks.items())
    assert sparsity_of(pruner.masks) == pytest.approx(0.8, abs=0.01)


def test_rounds_go_on_from_each_other_and_from_where_they_stopped(tmp_path, monkeypatch):
    asked = {"sparsities": (0.5, 0.9), "folder": tmp_path}
    whole = [weights(model) for model in round_after_round(network(), DATA, TUNING, **asked)]
    assert ((whole[0]["features.0.weight"] == 0) <= (whole[1]["features.0.weight"] == 0)).all()
    (tmp_path / "rounds_0.9.pt").unlink()
    started = []
    real = pruning_curves.fine_tuned

    def spy(model, *arguments, **options):
        started.append(weights(model))
        return real(model, *arguments, **options)

    monkeypatch.setattr(pruning_curves, "fine_tuned", spy)
    again = [weights(model) for model in round_after_round(network(), DATA, TUNING, **asked)]
    (start,) = started
    assert_equal_weights(start, whole[0])
    assert_equal_weights(again[1], whole[1])


def test_figures_hold_every_curve_and_start_from_the_whole_network(tmp_path):
    memory = Memory(tmp_path / "points.json")
    ways = {"one-shot": (0.5, 0.9), "gradual": (0.9,)}
    figures = lenet_curves(
        network(), DATA, image_set(9, seed=1), TUNING, memory, ways=ways, sparsities=(0.0, 0.5, 0.9)
    )
    assert {name: len(curve) for name, curve in figures["curves"].items()} == {
        "not fine-tuned": 3,
        "one-shot": 2,
        "gradual": 1,
        "round after round": 3,
    }
    assert figures["curves"]["not fine-tuned"][0] == (0.0, figures["top1"])
    rules = untrained_curves(network(), DATA, memory, sparsities=(0.0, 1.0))["curves"]
    assert list(rules) == ["global", "layer-wise", "LAMP"]
    for curve in rules.values():
        assert curve[0][1] == memory.known["vgg16 dense"]
        assert curve[1][1] == pytest.approx(1 / 3, abs=0.02), "without weights one class is left"


def test_the_scan_has_every_layer_and_leaves_the_network_alone(tmp_path):
    model = network()
    before = weights(model)
    figures = sensitivity(model, DATA, Memory(tmp_path / "points.json"), sparsities=(0.0, 0.9))
    assert list(figures["layers"]) == list(prunable_parameters(model))
    assert all(rows[0][1] == figures["top1"] for rows in figures["layers"].values())
    assert_equal_weights(weights(model), before)


def test_a_stopped_study_goes_on_from_the_last_point(tmp_path):
    path = tmp_path / "points.json"
    calls = []
    for number in (1, 2):
        assert Memory(path).recall("a", lambda: calls.append("a") or 0.5) == 0.5
        assert Memory(path).recall(f"b{number}", lambda: calls.append("b") or 0.25) == 0.25
    assert calls == ["a", "b", "b"]
    Memory(path, resume=False).recall("a", lambda: calls.append("again") or 0.1)
    assert calls[-1] == "again"
