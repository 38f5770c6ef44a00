"""The study of penalties: the L1 gradient, soft thresholding, and a run on a few digits that resumes."""

import pytest
import torch
from torch import nn

from common.base.memo import Memo
from common.data import load_dataset
from common.data.image_set import first_images
from common.experiments import penalties, read_experiment
from common.experiments.penalties import (
    L1Penalty,
    SoftThreshold,
    measure,
    penalized,
    soft_threshold,
    zero_masks,
)
from common.networks import TrainConfig, build, evaluate, prunable_parameters

CONFIG = TrainConfig(
    epochs=1,
    batch_size=32,
    max_lr=0.05,
    weight_decay=5e-4,
    label_smoothing=0.0,
    crop_padding=0,
    flip=False,
    precision="fp32",
)


def test_soft_threshold_is_torchs_softshrink_and_the_minimum_of_its_objective():
    weight = torch.linspace(-1, 1, 41, dtype=torch.float64)
    shrunk = soft_threshold(weight, 0.3)
    assert torch.equal(shrunk, nn.functional.softshrink(weight, 0.3))
    candidates = torch.linspace(-1, 1, 2001, dtype=torch.float64)
    objective = (candidates - weight[:, None]) ** 2 / 2 + 0.3 * candidates.abs()
    assert torch.allclose(candidates[objective.argmin(dim=1)], shrunk, atol=1e-3)


def test_the_l1_penalty_adds_its_gradient():
    model = build("lenet_300_100", seed=0)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = {name: weight.detach().clone() for name, weight in prunable_parameters(model).items()}
    L1Penalty(0.25).before_step(model, 0)
    for name, weight in prunable_parameters(model).items():
        (gradient,) = torch.autograd.grad(0.25 * weight.abs().sum(), weight)
        assert torch.equal(weight.grad, gradient)
        assert torch.equal(weight, before[name])
    assert all(p.grad.eq(0).all() for name, p in model.named_parameters() if name.endswith("bias"))


def test_the_force_moves_weights_by_the_rate_of_the_step():
    model = build("lenet_300_100", seed=0)
    before = {name: weight.detach().clone() for name, weight in prunable_parameters(model).items()}
    config = TrainConfig(**{**CONFIG.__dict__, "rates": ((0, 1), (1, 1))})
    SoftThreshold(0.01, config, steps_per_epoch=10).after_step(model, 3)
    for name, weight in prunable_parameters(model).items():
        assert torch.allclose(weight, soft_threshold(before[name], 0.01 * 0.05 / 0.1), atol=1e-7)
    assert any((~mask).any() for mask in zero_masks(model).values())


@pytest.mark.parametrize("make", [L1Penalty, lambda s: SoftThreshold(s, CONFIG, 1)])
@pytest.mark.parametrize("strength", [-1.0, float("nan")])
def test_a_strength_is_not_negative(make, strength):
    with pytest.raises(ValueError, match="expected a number >= 0"):
        make(strength)


def test_a_penalty_is_one_of_two():
    assert penalized(CONFIG, "L2", 0.1)[0].weight_decay == 0.1
    config, (callback,) = penalized(CONFIG, "L1", 0.1)
    assert config.weight_decay == 0
    assert callback.strength == 0.1
    with pytest.raises(ValueError, match="expected L1 or L2"):
        penalized(CONFIG, "L3", 0.1)


def test_a_small_run_measures_every_curve_and_resumes(tmp_path, monkeypatch):
    digits, held_out = load_dataset("digits", "train"), load_dataset("digits", "test")
    digits, held_out = first_images(digits, 320), first_images(held_out, 100)
    options = {"l1": (1e-4,), "l2": (1e-4,), "forces": (1e-4, 5e-3), "sparsities": (0.5, 0.9)}
    options["tuned_sparsities"] = (0.9,)

    def top1(model):
        return evaluate(model, held_out).top1

    figures = measure(digits, CONFIG, CONFIG, Memo(tmp_path / "points", None), top1, **options)
    l2, l1 = figures["penalties"]
    assert [l2["penalty"], l1["penalty"]] == ["L2", "L1"]
    assert [sparsity for sparsity, _ in l1["not fine-tuned"]] == [0.5, 0.9]
    assert [sparsity for sparsity, _ in l1["fine-tuned with L2"]] == [0.9]
    assert "fine-tuned with L2" not in l2
    weak, strong = figures["force"]
    assert 0 <= weak["sparsity"] < strong["sparsity"] <= 1
    assert set(strong["sparsity_of_layers"]) == {"fc1.weight", "fc2.weight", "fc3.weight"}

    monkeypatch.setattr(penalties, "train", None)  # nothing is trained again
    again = measure(digits, CONFIG, CONFIG, Memo(tmp_path / "points", None), top1, **options)
    assert again["force"] == figures["force"]
    assert again["penalties"][0]["top1"] == l2["top1"]


def test_the_lecture_says_what_was_measured():
    measured = read_experiment("penalties")
    before = {(row["penalty"], row["strength"]): dict(row["not fine-tuned"]) for row in measured["penalties"]}
    after = {key: dict(row["fine-tuned"]) for key, row in zip(before, measured["penalties"], strict=True)}
    strongest = max((key for key in before if key[0] == "L1"), key=lambda key: key[1])
    assert max(before, key=lambda key: before[key][0.98]) == strongest  # the stronger L1 penalty is best
    assert before["L2", 1e-3][0.98] < before["L2", 1e-4][0.98]  # stronger weight decay does not help
    for sparsity in (0.9, 0.95, 0.98, 0.99):
        values = [curve[sparsity] for curve in after.values()]
        assert max(values) - min(values) < 0.0105  # about a point
    for row in measured["penalties"]:
        if row["penalty"] == "L1":  # L1 before and L2 after is the same
            for (_, same), (_, other) in zip(row["fine-tuned"], row["fine-tuned with L2"], strict=True):
                assert abs(same - other) < 0.003
    force = measured["force"]
    assert force[0]["sparsity"] < 0.05
    assert force[-1]["sparsity"] > 0.9
    assert all(abs(row["top1_released"] - row["top1"]) < 0.003 for row in force)
