"""Binary and ternary networks as files, and their reproduction on the digits inside the dependencies."""

import json

import numpy as np
import pytest
import torch

from common.codec import container
from common.compress.packing import unpack
from common.data.datasets import load_dataset
from common.experiments import binary, read_experiment
from common.experiments.binary import NetworkPlan, Plan, point_of, run, to_markdown
from common.methods.low_bit import binarize, ternarize
from common.methods.low_bit_files import eight_bits, pack_codes
from common.networks.models import build, prunable_parameters
from common.networks.training import TrainConfig, evaluate

pytestmark = pytest.mark.slow

TINY = TrainConfig(
    epochs=1, batch_size=50, max_lr=0.02, label_smoothing=0.0, crop_padding=0, flip=False, precision="fp32"
)
PLAN = Plan((NetworkPlan("lenet_300_100", "digits", TINY, ("fc3.weight",), baseline_epochs=1),))
ARCHITECTURE = {"architecture": "lenet_5", "num_classes": 10, "width": 0.2}


def test_eight_bits_by_hand():
    codes, scale = eight_bits(torch.tensor([[1.0, -0.5, 0.004], [0.0, 12.7, -12.7]]))
    assert codes.tolist() == [[127, -64, 1], [0, 127, -127]]  # −63.5 goes to the even one
    assert scale.tolist() == [[pytest.approx(1 / 127)], [pytest.approx(0.1)]]


@pytest.mark.parametrize("rule", [binarize, ternarize, eight_bits])
def test_a_file_holds_codes_times_scales(rule):
    model = build("lenet_5", width=0.2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter += 0.01
    rules = dict.fromkeys(prunable_parameters(model), rule)
    data = container.save(pack_codes(model, rules, ARCHITECTURE), store_names=False)
    decoded = unpack(container.load(data))
    for name, weight in prunable_parameters(model).items():
        codes, scale = rule(weight.detach())
        expected = scale.half().float() * codes
        assert torch.allclose(decoded.get_parameter(name), expected, rtol=1e-6, atol=0)
    for name in ("conv1.bias", "fc2.bias"):
        assert torch.equal(decoded.get_parameter(name), model.get_parameter(name).half().float())
    n_weights = sum(weight.numel() for weight in prunable_parameters(model).values())
    n_rows = sum(len(weight) for weight in prunable_parameters(model).values())
    most = {binarize: 1.0, ternarize: 1.75, eight_bits: 8.0}[rule]
    assert 8 * len(data) < most * n_weights + 8 * (4 * n_rows + 2 * 255 * 4 + 400)


def test_zeros_may_be_pruned_weights_where_that_is_shorter():
    model = build("lenet_5", width=0.2)
    with torch.no_grad():
        model.fc1.weight.zero_()
        model.fc1.weight[:, :8] = 1.0  # one block of 8 in each row of 160
    rules = dict.fromkeys(prunable_parameters(model), ternarize)
    packed = pack_codes(model, rules, ARCHITECTURE)
    weight = packed.tensors["fc1.weight"]
    codes, scale = ternarize(model.fc1.weight.detach())
    assert np.array_equal(weight.to_dense(), (scale.half().float() * codes).numpy())
    # two kinds only: 0 and 1
    assert sorted(weight.codebook.tolist()) == [0.0, 1.0]
    model.fc1.weight.data[0, 0] = -1.0
    weight = pack_codes(model, rules, ARCHITECTURE).tensors["fc1.weight"]
    codes, scale = ternarize(model.fc1.weight.detach())
    assert np.array_equal(weight.to_dense(), (scale.half().float() * codes).numpy())
    assert weight.codebook.tolist() == [-1.0, 1.0]
    assert weight.n_kept == 8 * len(model.fc1.weight)


def test_order_is_the_architectures_whatever_the_models_is():
    model = build("lenet_5", width=0.2)
    bias = model.conv1.bias
    del model.conv1.bias
    weight = model.conv1.weight
    del model.conv1.weight
    model.conv1.bias, model.conv1.weight = bias, weight  # as after a parametrization that came and went
    assert next(iter(model.state_dict())) == "conv1.bias"
    packed = pack_codes(model, dict.fromkeys(prunable_parameters(model), binarize), ARCHITECTURE)
    assert list(packed.tensors)[:2] == ["conv1.weight", "conv1.bias"]


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory):
    """LeNet-300-100, binary and ternary, an epoch each."""
    root = tmp_path_factory.mktemp("binary")
    options = {
        "device": "cpu",
        "plan": PLAN,
        "workdir": root / "runs",
        "baselines": root / "lenets",
        "is_stored": False,
    }
    return run(**options), root, options


def test_the_files_are_what_the_figures_say(reproduction):
    result, root, _ = reproduction
    test = load_dataset("digits", "test")
    for row, n_values in zip(result.figures["files"], (2, 3), strict=True):
        data = next(root.rglob(f"{row['kind']}.dcz")).read_bytes()
        decoded = unpack(container.load(data))
        assert row["file_bytes"] == len(data)
        assert row["bits_per_weight"] == 8 * len(data) / 266_200
        for name in ("fc1", "fc2"):
            assert all(len(r.unique()) <= n_values for r in decoded.get_submodule(name).weight)
        assert max(len(r.unique()) for r in decoded.fc3.weight) > 20
        assert row["top1"] == evaluate(decoded, test, device="cpu").top1 > 0.6
        assert row["validation_top1"] > 0.6
    one, two = result.figures["files"]
    assert one["zeros"] == 0 < two["zeros"] < 0.7
    assert one["bits_per_weight"] < 1.15 < two["bits_per_weight"] < 1.8


def test_figures_table_and_points(reproduction):
    figures = json.loads(json.dumps(reproduction[0].figures))
    assert to_markdown(figures) == reproduction[0].table()
    assert [point["label"] for point in figures["points"]] == ["binary", "ternary"]
    assert all("fc3.weight at 8 bits; 1 epochs" in point["note"] for point in figures["points"])
    lines = [line for line in reproduction[0].table().splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {7}
    assert len(lines) == 2 + 2 + len(figures["published"])


def test_a_second_run_goes_on_to_the_same_figures(reproduction, monkeypatch):
    result, root, options = reproduction
    next(root.rglob("ternary-*/figures.json")).unlink()
    assert run(**options) == result

    def refuse(*args, **kwargs):
        raise RuntimeError("measured again")

    monkeypatch.setattr(binary, "_measure", refuse)
    assert run(**options) == result
    with pytest.raises(RuntimeError, match="measured again"):
        run(**options, resume=False)


def test_the_stored_result_is_consistent():
    figures = read_experiment("binary")
    assert figures["points"] == [point_of(row) for row in figures["files"]]
    assert "BinaryConnect" in to_markdown(figures)
    kinds = [(row["network"], row["kind"]) for row in figures["files"]]
    assert kinds == [(name, kind) for name in ("lenet_300_100", "lenet_5") for kind in ("binary", "ternary")]
    for row in figures["files"]:
        bits = 8 * row["file_bytes"] / (row["dense_bytes"] / 4)
        assert row["bits_per_weight"] == pytest.approx(bits, rel=0.01)
        assert row["n_test"] == 10_000
