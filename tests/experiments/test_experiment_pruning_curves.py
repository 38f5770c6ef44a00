"""The study of pruning curves: ways to prune, figures, going on after a stop; on a tiny network."""

from dataclasses import replace

import pytest
import torch
from tiny import CONFIG, assert_equal_weights, image_set, network, weights

from common.experiments import pruning_curves
from common.experiments.pruning_curves import (
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
    ways = {"one-shot": (0.5, 0.9), "gradual": (0.9,)}
    figures = lenet_curves(
        network(), DATA, image_set(9, seed=1), TUNING, workdir=tmp_path, ways=ways, sparsities=(0.0, 0.5, 0.9)
    )
    assert {name: len(curve) for name, curve in figures["curves"].items()} == {
        "not fine-tuned": 3,
        "one-shot": 2,
        "gradual": 1,
        "round after round": 3,
    }
    assert figures["curves"]["not fine-tuned"][0] == (0.0, figures["top1"])
    found = untrained_curves(network(), DATA, workdir=tmp_path, sparsities=(0.0, 1.0))
    rules = found["curves"]
    assert list(rules) == ["global", "layer-wise", "LAMP"]
    for curve in rules.values():
        assert curve[0][1] == found["top1"]
        assert curve[1][1] == pytest.approx(1 / 3, abs=0.02), "without weights one class is left"


def test_the_scan_has_every_layer_and_leaves_the_network_alone(tmp_path):
    model = network()
    before = weights(model)
    figures = sensitivity(model, DATA, workdir=tmp_path, sparsities=(0.0, 0.9))
    assert list(figures["layers"]) == list(prunable_parameters(model))
    assert all(rows[0][1] == figures["top1"] for rows in figures["layers"].values())
    assert_equal_weights(weights(model), before)


def another_model():
    model = network()
    with torch.no_grad():
        next(model.parameters()).add_(0.1)
    return model


OTHER = replace(DATA, sha256="f" * 64)


def curves(workdir, *, model=None, training=DATA, validation=DATA, config=TUNING):
    sizes = {"ways": {"one-shot": (0.5,)}, "sparsities": (0.5,)}
    return lenet_curves(model or network(), training, validation, config, workdir=workdir, **sizes)


def of_vgg16(workdir, *, model=None, images=DATA):
    return untrained_curves(model or network(), images, workdir=workdir, sparsities=(0.5,))


def scan(workdir, *, model=None, images=DATA):
    return sensitivity(model or network(), images, workdir=workdir, sparsities=(0.5,))


@pytest.mark.parametrize(
    ("study", "change"),
    [
        (curves, {"config": replace(TUNING, max_lr=0.01)}),
        (curves, {"training": OTHER}),
        (curves, {"validation": OTHER}),
        (curves, {"model": another_model()}),
        (of_vgg16, {"images": OTHER}),
        (of_vgg16, {"model": another_model()}),
        (scan, {"images": OTHER}),
        (scan, {"model": another_model()}),
    ],
)
def test_only_the_same_options_images_and_baseline_are_answered_from_memory(
    study, change, tmp_path, monkeypatch
):
    first = study(tmp_path)

    def refuse(*args, **options):
        raise RuntimeError("measured again")

    monkeypatch.setattr(pruning_curves, "evaluate", refuse)
    monkeypatch.setattr(pruning_curves, "train", refuse)
    assert study(tmp_path) == first
    with pytest.raises(RuntimeError, match="measured again"):
        study(tmp_path, **change)


def test_rounds_of_other_options_are_made_again(tmp_path, monkeypatch):
    curves(tmp_path)
    made = []
    real = pruning_curves.fine_tuned
    monkeypatch.setattr(
        pruning_curves, "fine_tuned", lambda *args, **how: made.append(how["way"]) or real(*args, **how)
    )
    curves(tmp_path, config=replace(TUNING, max_lr=0.01))
    assert made == ["one-shot", "one-shot"], "the way, and the round"
