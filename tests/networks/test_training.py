"""The training loop: processes, callbacks, early stop, schedule, one step by hand, and the evaluation."""

import math
import os
import socket
from dataclasses import replace

import pytest
import torch
import torch.multiprocessing as mp
from tiny import CONFIG, assert_equal_weights, image_set, network, weights
from torch import nn

from common.data.batches import normalization
from common.networks import training
from common.networks.models import build
from common.networks.training import autocast, evaluate, one_cycle, train, usable_precision


class Recorder:
    def __init__(self):
        self.events = []

    def before_step(self, model, step):
        weight = model.fc3.weight
        self.events.append(("before", step, weight.detach().clone(), weight.grad is not None))

    def after_step(self, model, step):
        self.events.append(("after", step, model.fc3.weight.detach().clone(), None))


@pytest.mark.slow
def test_two_processes_have_one_process_losses(tmp_path):
    config = replace(CONFIG, crop_padding=0, flip=False, batch_size=16)
    data = image_set(64, side=28, name="digits")
    model = build("lenet_300_100", num_classes=3, width=0.1)
    history = train(model, data, config, validation=image_set(9, side=28, name="digits"), device="cpu")
    mp.spawn(_one_of_two, args=(config, _free_port(), str(tmp_path)), nprocs=2)
    shared = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    assert_equal_weights(shared[0]["model"], shared[1]["model"])
    assert shared[0]["loss"] == shared[1]["loss"] == pytest.approx(history.loss, rel=1e-5)
    assert shared[0]["val_top1"] == history.val_top1
    for name, value in weights(model).items():
        torch.testing.assert_close(shared[0]["model"][name], value, rtol=1e-4, atol=1e-6)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0.pt", "1.pt", "run.pt"]


def _one_of_two(rank, config, port, folder):
    """What torchrun gives to each process, and the run itself."""
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "DNNC_QUIET": "1",
    }
    torch.set_num_threads(1)
    model = build("lenet_300_100", num_classes=3, width=0.1)
    history = train(
        model,
        image_set(64, side=28, name="digits"),
        config,
        device="cpu",
        checkpoint=f"{folder}/run.pt",
        validation=image_set(9, side=28, name="digits"),
    )
    torch.save(
        {"model": weights(model), "loss": history.loss, "val_top1": history.val_top1}, f"{folder}/{rank}.pt"
    )
    torch.distributed.destroy_process_group()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_batch_that_the_processes_cannot_share_is_refused(monkeypatch):
    monkeypatch.setattr("common.networks.training._process_group", lambda: (0, 3))
    with pytest.raises(ValueError, match="batch_size=8 is not a multiple of the 3 processes"):
        train(network(), image_set(), CONFIG, device="cpu")


def test_one_step_of_sgd_is_that_of_the_formulas():
    config = replace(CONFIG, epochs=1, batch_size=35, crop_padding=0, flip=False, weight_decay=0.25)
    data = image_set()
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    weight, bias = (value.detach().clone().double() for value in model.parameters())
    train(model, data, config, device="cpu")

    mean, std = normalization(data.name)
    pixels = torch.from_numpy((data.images.reshape(35, 64) / 255 - mean[0]) / std[0])
    target = torch.nn.functional.one_hot(torch.from_numpy(data.labels), 3) * 0.9 + 0.1 / 3  # smoothed by 0.1
    error = (torch.softmax(pixels @ weight.T + bias, 1) - target) / 35
    rate = config.max_lr * one_cycle(0.5, warmup=config.warmup)
    # Nesterov's first step: momentum times the gradient on top of the gradient; biases do not decay.
    weight -= rate * 1.9 * (error.T @ pixels + 0.25 * weight)
    bias -= rate * 1.9 * error.sum(0)
    torch.testing.assert_close(model[1].weight.detach().double(), weight, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(model[1].bias.detach().double(), bias, rtol=1e-4, atol=1e-6)


def test_training_learns():
    data = image_set(60)
    model = network()
    history = train(model, data, replace(CONFIG, epochs=8, flip=False), validation=data, device="cpu")
    assert history.loss[-1] < 0.75 * history.loss[0]
    assert history.val_top1[-1] > 0.8  # a guess is right in a third


def test_callbacks_stand_on_both_sides_of_the_optimiser_step():
    recorder = Recorder()
    model = build("lenet_300_100", num_classes=3, width=0.05)
    config = replace(CONFIG, epochs=1, batch_size=16)
    train(model, image_set(64, side=28), config, callbacks=[object(), recorder], device="cpu")
    kinds = [(kind, step) for kind, step, *_ in recorder.events]
    assert kinds == [(kind, step) for step in range(4) for kind in ("before", "after")]
    values = [value for *_, value, _ in recorder.events]
    for before, after, following in zip(values[::2], values[1::2], values[2::2], strict=False):
        assert not torch.equal(before, after)
        assert torch.equal(after, following)
    assert all(has_gradient for kind, *_, has_gradient in recorder.events if kind == "before")


def test_only_the_given_parameters_move():
    model = build("lenet_300_100", num_classes=3, width=0.05)
    before = weights(model)
    config = replace(CONFIG, epochs=1, batch_size=16)
    train(model, image_set(64, side=28), config, parameters=[model.fc3.bias], device="cpu")
    moved = [name for name, value in weights(model).items() if not torch.equal(value, before[name])]
    assert moved == ["fc3.bias"]


def test_gradients_of_an_earlier_run_have_no_say():
    class Gradients:
        def __init__(self):
            self.first = None

        def before_step(self, model, step):
            if step == 0:
                self.first = model.fc1.weight.grad.clone()

    config = replace(CONFIG, epochs=1, batch_size=16)
    seen = []
    for stale in (None, 1.0):
        model, gradients = build("lenet_300_100", num_classes=3, width=0.05), Gradients()
        if stale is not None:
            model.fc1.weight.grad = torch.full_like(model.fc1.weight, stale)
        data = image_set(16, side=28)
        train(model, data, config, parameters=[model.fc3.bias], callbacks=[gradients], device="cpu")
        seen.append(gradients.first)
    assert torch.equal(*seen)


@pytest.mark.parametrize(("patience", "epochs"), [(1, 2), (3, 4), (None, 6)])
def test_early_stop_after_epochs_without_a_better_validation(patience, epochs):
    config = replace(CONFIG, epochs=6, max_lr=1e-12, patience=patience)  # nothing can become better
    history = train(network(), image_set(), config, validation=image_set(9, seed=1), device="cpu")
    assert len(history.val_top1) == epochs


def test_without_validation_there_is_no_score():
    assert train(network(), image_set(), CONFIG, device="cpu").val_top1 == [None] * 3


def test_the_schedule_by_hand():
    history = train(network(), image_set(), CONFIG, device="cpu")
    # the last of 4, 8 and 12 steps, of which there are 12; the corner stands at a fifth of the run
    expected = [0.05 * (1 - step / 13) / 0.8 for step in (4, 8, 12)]
    assert history.lr == pytest.approx(expected)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_evaluation_against_a_slow_loop(precision):
    data = image_set(23)
    model = network()
    train(model, data, CONFIG, device="cpu")
    measured = evaluate(model, data, batch_size=7, precision=precision, device="cpu")
    mean, std = normalization(data.name)
    correct, loss = 0, 0.0
    model.eval()
    for image, label in zip(data.images, data.labels, strict=True):
        pixels = torch.from_numpy((image[None] / 255.0 - mean[0]) / std[0]).float()
        with torch.no_grad():
            logits = model(pixels)[0].double().tolist()
        correct += max(range(3), key=logits.__getitem__) == label
        loss += math.log(sum(math.exp(value) for value in logits)) - logits[label]
    assert measured.n == 23
    assert measured.top1 == correct / 23
    assert measured.loss == pytest.approx(loss / 23, rel=1e-5 if precision == "fp32" else 0.05)


def test_evaluation_keeps_weights_and_mode():
    model = network().train()
    before = weights(model)
    evaluate(model, image_set(), device="cpu")
    assert model.training
    assert_equal_weights(before, weights(model))


def test_a_run_that_diverges_is_stopped_with_advice():
    with pytest.raises(ValueError, match=r"the loss is (nan|inf) in epoch 1: lower max_lr=1e\+30"):
        train(network(), image_set(), replace(CONFIG, max_lr=1e30), device="cpu")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": -1}, "epochs=-1"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"precision": "fp16"}, "precision='fp16'"),
        ({"optimizer": "lion"}, "optimizer='lion'"),
        ({"cutout": ()}, r"cutout=\(\): expected pixels, or"),
        ({"cutout": ((1, 8),)}, "from epoch 0 on"),
        ({"cutout": ((0, 8), (5, 12), (5, 2))}, "in order"),
    ],
)
def test_options_without_a_meaning_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **options)


def test_too_few_images_for_a_batch():
    with pytest.raises(ValueError, match="5 images do not fill one batch of 8"):
        train(network(), image_set(5), CONFIG, device="cpu")


def test_no_epochs_change_nothing():
    model = network()
    before = weights(model)
    assert train(model, image_set(5), replace(CONFIG, epochs=0), device="cpu").loss == []
    assert_equal_weights(before, weights(model))


def test_a_cutout_grows_by_its_epochs(monkeypatch):
    seen, batches = [], training.BatchSource.epoch_batches

    def recorded(self, *args, epoch, cutout, **options):
        seen.append((epoch, cutout))
        return batches(self, *args, epoch=epoch, cutout=cutout, **options)

    monkeypatch.setattr(training.BatchSource, "epoch_batches", recorded)
    train(network(), image_set(), replace(CONFIG, epochs=5, cutout=((0, 0), (2, 3), (3, 4))), device="cpu")
    assert seen == [(0, 0), (1, 0), (2, 3), (3, 4), (4, 4)]


def test_a_cutout_that_never_grows_is_the_fixed_one():
    states = []
    for cutout in (3, ((0, 3),)):
        model = network()
        train(model, image_set(), replace(CONFIG, cutout=cutout), device="cpu")
        states.append(weights(model))
    assert_equal_weights(*states)


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, "fp32"),
        ({"avx512_f": True, "avx512_bf16": False}, "fp32"),
        ({"avx512_bf16": True, "amx_bf16": False}, "bf16"),
        ({"amx_bf16": True}, "bf16"),
        ({"neon": True, "bf16": True}, "bf16"),
        ({"neon": True, "bf16": False}, "fp32"),
    ],
)
def test_bfloat16_is_used_where_the_processor_computes_in_it(tmp_path, monkeypatch, capabilities, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    training._cpu_has_bfloat16.cache_clear()
    try:
        cpu, seen = torch.device("cpu"), []
        assert usable_precision("bf16", cpu) == precision
        assert usable_precision("fp32", cpu) == "fp32"
        assert usable_precision("bf16", torch.device("cuda")) == "bf16"
        with autocast(cpu, "bf16"):
            assert torch.is_autocast_enabled("cpu") == (precision == "bf16")
        model, path = network(), tmp_path / "run.pt"
        model.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
        train(model, image_set(), replace(CONFIG, epochs=1, precision="bf16"), device="cpu", checkpoint=path)
        evaluate(model, image_set(), precision="bf16", device="cpu")
        assert set(seen) == {torch.bfloat16 if precision == "bf16" else torch.float32}
        assert torch.load(path, weights_only=True)["options"]["precision"] == precision
    finally:
        training._cpu_has_bfloat16.cache_clear()


def test_an_older_torch_is_asked_by_its_own_names(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    for has in (False, True):
        training._cpu_has_bfloat16.cache_clear()
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has=has: has, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
        assert usable_precision("bf16", torch.device("cpu")) == ("bf16" if has else "fp32")
    training._cpu_has_bfloat16.cache_clear()
