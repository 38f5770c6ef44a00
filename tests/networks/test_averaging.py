"""The average of the weights, and batch-norm statistics measured again: against slow formulas, resumed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_resume import Killer
from tiny import CONFIG, N_STEPS, assert_equal_weights, image_set, network, weights
from torch import nn

from common.data.batches import normalization
from common.networks.averaging import Ema, reestimate_statistics
from common.networks.training import evaluate, train


class Recorder:
    def __init__(self):
        self.states = []

    def after_step(self, model, step):
        self.states.append({name: value.double() for name, value in weights(model).items()})


def averaged_run(path=None, killer=None):
    model, ema = network(), Ema(0.8, start_step=3)
    history = train(
        model,
        image_set(),
        CONFIG,
        validation=image_set(9, seed=1),
        device="cpu",
        checkpoint=path,
        callbacks=[ema, killer or object()],
        checkpoint_steps=1,
    )
    return model, ema, history


def test_the_average_is_that_of_the_formula_and_the_training_is_left_alone():
    recorder, model = Recorder(), network()
    train(model, image_set(), CONFIG, validation=image_set(9, seed=1), device="cpu", callbacks=[recorder])
    averaged, ema, _ = averaged_run()
    assert_equal_weights(weights(model), weights(averaged))
    names = [name for name, value in weights(model).items() if value.is_floating_point()]
    assert list(ema.average) == names
    for name in names:
        expected = recorder.states[3][name]
        for state in recorder.states[4:]:
            expected = 0.8 * expected + 0.2 * state[name]
        torch.testing.assert_close(ema.average[name].double(), expected, rtol=1e-5, atol=1e-6)


def test_validation_measures_the_average_once_there_is_one():
    _, _, history = averaged_run()
    plain = train(network(), image_set(), CONFIG, validation=image_set(9, seed=1), device="cpu")
    assert history.loss == plain.loss
    model, ema, _ = averaged_run()
    ema.copy_to_(model)
    assert evaluate(model, image_set(9, seed=1), device="cpu").top1 == history.val_top1[-1]


def test_inside_the_context_the_model_is_the_average_and_afterwards_itself_even_after_an_error():
    model, ema, _ = averaged_run()
    before = weights(model)
    with ema.evaluated(model):
        state = weights(model)
    assert all(torch.equal(state[name], value) for name, value in ema.average.items())
    assert not torch.equal(state["features.0.weight"], before["features.0.weight"])
    assert_equal_weights(before, weights(model))
    with pytest.raises(KeyError), ema.evaluated(model):
        raise KeyError
    assert_equal_weights(before, weights(model))


def test_before_its_first_step_the_average_is_the_model():
    model = network()
    before = weights(model)
    with Ema(start_step=5).evaluated(model):
        assert_equal_weights(before, weights(model))


@pytest.mark.parametrize("step", range(N_STEPS))
def test_killed_at_any_step_the_average_resumes_bit_for_bit(tmp_path, step):
    _, expected, history = averaged_run()
    with pytest.raises(KeyboardInterrupt):
        averaged_run(tmp_path / "run.pt", Killer(step, "before_step" if step % 2 else "after_step"))
    _, resumed, resumed_history = averaged_run(tmp_path / "run.pt")
    assert_equal_weights(expected.average, resumed.average)
    assert resumed_history.val_top1 == history.val_top1


def test_a_checkpoint_averaged_by_another_rule_is_refused(tmp_path):
    averaged_run(tmp_path / "run.pt")
    options = {"validation": image_set(9, seed=1), "device": "cpu", "checkpoint": tmp_path / "run.pt"}
    with pytest.raises(ValueError, match=r"averaged with decay, start_step = .*: delete it"):
        train(network(), image_set(), CONFIG, callbacks=[Ema(0.9, start_step=3), object()], **options)


@pytest.mark.parametrize("options", [{"decay": 1.0}, {"decay": -0.1}, {"start_step": -1}])
def test_averages_without_a_meaning_are_refused(options):
    with pytest.raises(ValueError, match="expected in"):
        Ema(**options)


def test_statistics_are_the_mean_over_plain_images_batch_by_batch():
    data, model = image_set(30), network()
    train(model, data, replace(CONFIG, epochs=1), device="cpu")
    model.eval()
    before = weights(model)
    assert reestimate_statistics(model, data, n=30, batch_size=16, device="cpu") is model
    mean, std = normalization(data.name)
    pixels = torch.from_numpy((data.images / 255.0 - mean[0]) / std[0]).float()
    norm = next(module for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    with torch.no_grad():
        batches = [model.features[0](part) for part in pixels.split(15)]  # two equal ones, at most 16 each
    means = torch.stack([part.mean((0, 2, 3)) for part in batches]).mean(0)
    variances = torch.stack([part.transpose(0, 1).flatten(1).var(1) for part in batches]).mean(0)
    torch.testing.assert_close(norm.running_mean, means, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, variances, rtol=1e-4, atol=1e-5)
    assert norm.momentum == 0.1
    assert not any(module.training for module in model.modules())
    for name, value in weights(model).items():
        if "running" not in name and "tracked" not in name:
            assert torch.equal(value, before[name]), name


def test_statistics_look_at_images_spread_over_the_set_and_never_at_more_than_there_are():
    model = network().train()
    sorted_set = image_set(40)
    order = np.argsort(sorted_set.labels, kind="stable")
    sorted_set = replace(sorted_set, images=sorted_set.images[order], labels=sorted_set.labels[order])
    seen = []
    model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    reestimate_statistics(model, sorted_set, n=3, device="cpu")
    assert len(seen) == 1
    mean, std = normalization(sorted_set.name)
    expected = sorted_set.images[[0, 20, 39]] / 255.0
    np.testing.assert_allclose(seen[0] * std[0] + mean[0], expected, atol=1e-5)
    reestimate_statistics(model, sorted_set, device="cpu")
    assert len(seen[1]) == 40
    assert model.training


def test_a_network_without_batch_norm_keeps_its_weights():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    before = weights(model)
    reestimate_statistics(model, image_set(), device="cpu")
    assert_equal_weights(before, weights(model))
