"""The study of bits: at a tiny size, resumed, and its accounting of bits."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from common.experiments import bits
from common.experiments.bits import UNTRAINED, Plan
from common.methods.low_bit import weight_grid
from common.methods.low_bit_files import (
    code_weights_,
    coded_by_centroids,
    coded_by_scale,
    coded_on_grid,
    coded_without_ends,
)
from common.networks.checkpoints import save_weights
from common.networks.models import build, prunable_parameters
from tests.tiny import image_set, network

pytestmark = pytest.mark.slow

TINY = Plan(
    dataset="digits", seeds=(0,), n_train=1024, baseline_epochs=3, tune_epochs=1, bits=(2, 8), with_vgg=False
)


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("bits")
    return workdir, bits.run(workdir=workdir, device="cpu", resume=True, plan=TINY)


def top1(result, method, level):
    (row,) = [r for r in result.figures["points"] if r["method"] == method and r["level"] == level]
    return row["top1"]


def test_every_method_is_measured_once_at_every_level(tiny_run):
    _, result = tiny_run
    points = [(row["method"], row["level"]) for row in result.figures["points"]]
    assert len(set(points)) == len(points)
    expected = {("float32", None), ("k_means", 1), ("k_means_tuned", 1), ("binary", 1), ("binary_trained", 1)}
    expected |= {(name, math.log2(3)) for name in ("ternary", "ternary_trained")}
    grids = ("per_tensor", "per_channel", "per_channel_mse", "k_means", "qat", "k_means_tuned")
    expected |= {(name, n) for name in grids for n in (2, 8)}
    expected |= {("uniform_step", step) for step in bits.STEPS}
    assert set(points) == expected
    assert json.loads(json.dumps(result.figures["points"])) == result.figures["points"]


def test_eight_bits_change_little_and_training_repairs_binary_weights(tiny_run):
    _, result = tiny_run
    whole = top1(result, "float32", None)
    assert whole > 0.5  # it has learnt something: chance is 0.1
    assert top1(result, "per_channel", 8) == pytest.approx(whole, abs=0.02)
    assert top1(result, "k_means", 8) == pytest.approx(whole, abs=0.02)
    assert top1(result, "binary_trained", 1) > top1(result, "binary", 1)


def test_a_resumed_run_measures_nothing_again(tiny_run, monkeypatch):
    workdir, result = tiny_run
    path = max(workdir.glob("*/figures.json"), key=lambda path: path.stat().st_mtime)  # written last
    stored = json.loads(path.read_text())
    stored["figures"].popitem()
    path.write_text(json.dumps(stored))
    calls = []
    real = bits.evaluate
    monkeypatch.setattr(bits, "evaluate", lambda *a, **k: calls.append(1) or real(*a, **k))
    again = bits.run(workdir=workdir, device="cpu", resume=True, plan=TINY)
    assert len(calls) == 1
    assert again.figures["points"] == result.figures["points"]


def test_vgg_is_measured_without_training(tmp_path):
    model, data = network().eval(), image_set()
    points = bits._Points(tmp_path)
    levels = dict.fromkeys(UNTRAINED, (3,))
    points.measure("vgg16", model, data, levels, seed=None, device="cpu", precision="bf16")
    assert {row["method"] for row in points.rows} == {"float32", *UNTRAINED}
    assert bits.VGG_LEVELS.keys() <= UNTRAINED.keys()
    assert all(0 <= row["top1"] <= 1 for row in points.rows)
    before = [weight.clone() for weight in prunable_parameters(model).values()]
    fresh = prunable_parameters(network()).values()
    assert all(torch.equal(a, b) for a, b in zip(before, fresh, strict=True))  # copies were coded


def test_bits_are_counted_by_hand():
    weight = torch.tensor([[-3.0, 1, 2, 3], [1, 1, 1, 1]])
    coded = coded_on_grid(weight, weight_grid(weight, 3))
    assert (coded.code_bits, coded.extra_bits) == (3, 2 * 32)
    assert coded_by_scale(torch.tensor([[1, -1]]), torch.ones(1, 1)).code_bits == 1
    assert coded_by_scale(torch.tensor([[1, 0]]), torch.ones(1, 1)).code_bits == 2
    shared = coded_by_centroids(weight, 2)
    assert (shared.code_bits, shared.extra_bits) == (2, 4 * 32)
    assert torch.equal(shared.weight, weight)  # four values, four centroids


def test_a_grid_without_ends_is_as_near_as_half_its_step():
    weight = torch.randn(50, 40, generator=torch.Generator().manual_seed(0))
    coded = coded_without_ends(weight, 0.5)
    step = 0.5 * weight.std(correction=0)
    assert (coded.weight - weight).abs().max() <= 0.5001 * step
    assert torch.allclose(coded.weight / step, (coded.weight / step).round(), atol=1e-4)
    assert coded.codes.min() == 0
    assert coded.codes.max() < 2**coded.code_bits <= 2 * coded.codes.max() + 2
    assert not coded_without_ends(torch.zeros(2, 2), 1.0).weight.any()


def test_bits_a_weight_of_a_network_are_a_mean_over_its_layers():
    model = build("lenet_300_100", width=0.02)
    weights = [weight.detach().clone() for weight in prunable_parameters(model).values()]
    _, found = code_weights_(model, lambda weight, n: coded_on_grid(weight, weight_grid(weight, n)), 4)
    n_weights = sum(weight.numel() for weight in weights)
    assert found["bits"] == pytest.approx(4 + 32 * sum(weight.shape[0] for weight in weights) / n_weights)
    entropy = 0.0
    for weight in weights:
        codes = coded_on_grid(weight, weight_grid(weight, 4)).codes
        p = np.unique(codes, return_counts=True)[1] / codes.size
        entropy += -(p * np.log2(p)).sum() * codes.size
    scales = found["bits"] - 4
    assert entropy / n_weights <= found["huffman_bits"] - scales <= entropy / n_weights + 1


@pytest.fixture
def refuse(monkeypatch):
    """From now on, whoever measures or trains raises."""

    def fail(*args, **options):
        raise RuntimeError("measured again")

    monkeypatch.setattr(bits, "evaluate", fail)
    monkeypatch.setattr(bits, "train", fail)


@pytest.mark.parametrize("change", [{"tune_epochs": 2}, {"baseline_epochs": 2}, {"n_train": 512}])
def test_other_options_are_never_answered_from_memory(tiny_run, refuse, change):
    with pytest.raises(RuntimeError, match="measured again"):
        bits.run(workdir=tiny_run[0], device="cpu", resume=True, plan=replace(TINY, **change))


def test_other_images_are_never_answered_from_memory(tiny_run, refuse, monkeypatch):
    real = bits.load_dataset
    monkeypatch.setattr(bits, "load_dataset", lambda *key: replace(real(*key), sha256="0" * 64))
    with pytest.raises(RuntimeError, match="measured again"):
        bits.run(workdir=tiny_run[0], device="cpu", resume=True, plan=TINY)


def test_another_baseline_is_never_answered_from_memory(tiny_run, refuse):
    for path in tiny_run[0].rglob("*.safetensors"):
        save_weights(build(TINY.network, seed=9), path, dtype=torch.float32)
    with pytest.raises(RuntimeError, match="measured again"):
        bits.run(workdir=tiny_run[0], device="cpu", resume=True, plan=TINY)
