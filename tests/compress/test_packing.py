"""From a network to what the container stores, and back: the same network, at its own places."""

import numpy as np
import pytest
import torch
from torch import nn

from common.codec.container import CompressedModel
from common.codec.tensors import DenseTensor, SharedTensor
from common.compress.packing import pack, unpack
from common.networks.models import build, build_from, fold_batch_norm, prunable_parameters
from common.pruning.channels import slim
from common.sharing.weight_sharing import share_weights


def shared_weights(model, *, density=1.0, n_clusters=16, seed=0):
    """Weight sharing of a random part of every layer; the model's weights are overwritten with the result."""
    rng = np.random.default_rng(seed)
    shared = {}
    for name, weight in prunable_parameters(model).items():
        mask = rng.random(tuple(weight.shape)) < density
        shared[name] = share_weights(weight.detach().numpy(), mask, n_clusters=n_clusters)
        with torch.no_grad():
            weight.copy_(torch.from_numpy(shared[name].to_dense()))
    return shared


def assert_same_outputs(first, second, shape, tolerance):
    images = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(
            first.eval()(images), second.eval()(images), rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("name", ["lenet_300_100", "lenet_5"])
@pytest.mark.parametrize("density", [1.0, 0.1])
def test_a_lenet_makes_the_round_trip(name, density):
    model = build(name, width=0.2, seed=1)
    shared = shared_weights(model, density=density)
    metadata = {"architecture": name, "num_classes": 10, "width": 0.2}
    packed = pack(model, shared, metadata, bias_clusters=256)
    assert list(packed.tensors) == list(model.state_dict())
    assert packed.metadata == metadata
    restored = unpack(packed)
    for layer in prunable_parameters(model):
        assert torch.equal(restored.state_dict()[layer], model.state_dict()[layer])
    assert_same_outputs(model, restored, (1, 28, 28), 1e-3)  # biases are float16


def test_batch_norm_is_carried_as_scales_beside_the_codebook():
    model = _network_with_statistics()
    shared = shared_weights(model, n_clusters=8)
    metadata = {"architecture": "vgg16", "num_classes": 10, "width": 0.125}
    packed = pack(model, shared, metadata, bias_clusters=256)
    for name, tensor in packed.tensors.items():
        if name.startswith("features") and name.endswith("weight"):
            assert tensor.n_clusters <= 8
            assert tensor.row_scales.shape == tensor.shape[:1]
    restored = unpack(packed)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in restored.modules())
    folded = fold_batch_norm(model)
    for name, value in folded.state_dict().items():
        torch.testing.assert_close(restored.state_dict()[name], value, rtol=2e-3, atol=1e-4)
    assert_same_outputs(model, restored, (3, 32, 32), 0.02)


def test_a_slim_network_returns_to_its_places_in_the_whole_one():
    model = _network_with_statistics()
    generator = torch.Generator().manual_seed(0)
    kept = {
        name: torch.randperm(weight.shape[0], generator=generator)[: weight.shape[0] // 2].sort().values
        for name, weight in prunable_parameters(model).items()
        if weight.ndim == 4
    }
    small = slim(model, kept)
    shared = shared_weights(small, density=0.5)
    # The last convolution's channels, all alive in the slim network, read nothing else: outputs must agree.
    packed = pack(
        small,
        shared,
        {"architecture": "vgg16", "num_classes": 10, "width": 0.125},
        kept=kept,
        bias_clusters=256,
    )
    restored = unpack(packed)
    whole = {name: value.shape for name, value in fold_batch_norm(model).state_dict().items()}
    assert {name: value.shape for name, value in restored.state_dict().items()} == whole
    first = next(name for name in whole if name.endswith("weight"))
    gone = torch.ones(whole[first][0], dtype=torch.bool)
    gone[kept["features.0.weight"]] = False
    assert (restored.state_dict()[first][gone] == 0).all()
    assert (restored.state_dict()[first.replace("weight", "bias")][gone] == 0).all()
    assert_same_outputs(small, restored, (3, 32, 32), 0.02)


def test_a_unit_that_is_gone_says_nothing_and_one_with_a_voice_keeps_it():
    model = build("lenet_300_100", width=0.1, seed=2)  # units: 30 and 10
    mask = np.ones((30, 784), dtype=bool)
    mask[[0, 1]] = False
    reader = np.ones((10, 30), dtype=bool)
    reader[:, 2] = False
    with torch.no_grad():
        model.fc1.bias[:3] = torch.tensor([-1.0, 1.0, 1.0])
    shared = {
        name: share_weights(weight.detach().numpy(), chosen, n_clusters=16)
        for (name, weight), chosen in zip(
            prunable_parameters(model).items(), (mask, reader, None), strict=True
        )
    }
    for name, weight in prunable_parameters(model).items():
        with torch.no_grad():
            weight.copy_(torch.from_numpy(shared[name].to_dense()))
    restored = unpack(pack(model, shared, {"architecture": "lenet_300_100", "num_classes": 10, "width": 0.1}))
    # unit 0 is silent for its negative bias, unit 1 a constant, unit 2 is read by nobody
    assert restored.fc1.bias[0] == 0
    assert restored.fc1.bias[1] == 1
    assert restored.fc1.bias[2] == 0
    assert_same_outputs(model, restored, (1, 28, 28), 1e-3)


def test_without_a_relu_a_negative_constant_is_kept():
    model = build("lenet_5", width=0.2, seed=2)  # units: 4, 10 and 100; no ReLU behind a convolution
    masks = {
        name: torch.ones(weight.shape, dtype=torch.bool)
        for name, weight in prunable_parameters(model).items()
    }
    masks["conv1.weight"][1] = masks["conv2.weight"][[2, 3]] = masks["fc1.weight"][5] = False
    with torch.no_grad():
        model.conv1.bias[1], model.conv2.bias[2], model.conv2.bias[3], model.fc1.bias[5] = (
            -0.5,
            -0.25,
            0.25,
            -1,
        )
    shared = {}
    for name, weight in prunable_parameters(model).items():
        shared[name] = share_weights(weight.detach().numpy(), masks[name].numpy(), n_clusters=16)
        with torch.no_grad():
            weight.copy_(torch.from_numpy(shared[name].to_dense()))
    metadata = {"architecture": "lenet_5", "num_classes": 10, "width": 0.2}
    restored = unpack(pack(model, shared, metadata, bias_clusters=256))
    assert (restored.conv1.bias[1], restored.conv2.bias[2], restored.fc1.bias[5]) == (-0.5, -0.25, 0)
    assert_same_outputs(model, restored, (1, 28, 28), 1e-3)


@pytest.mark.parametrize("bias_clusters", [1, 4, 8])
def test_biases_share_values_where_there_are_many(bias_clusters):
    model = build("lenet_300_100", seed=1)
    metadata = {"architecture": "lenet_300_100", "num_classes": 10}
    packed = pack(model, shared_weights(model, density=0.2), metadata, bias_clusters=bias_clusters)
    tensor = packed.tensors["fc1.bias"]
    assert isinstance(tensor, SharedTensor)
    assert tensor.n_clusters <= bias_clusters
    error = np.abs(tensor.to_dense() - model.fc1.bias.detach().numpy())
    assert error.max() < 0.06 / bias_clusters  # they span -1/28 to 1/28
    few = packed.tensors["fc3.bias"]
    assert isinstance(few, DenseTensor) == (10 < 4 * bias_clusters)


def test_unnamed_tensors_get_their_names_back():
    model = build("lenet_5", width=0.1)
    packed = pack(model, shared_weights(model), {"architecture": "lenet_5", "num_classes": 10, "width": 0.1})
    unnamed = CompressedModel(dict(zip("01234567", packed.tensors.values(), strict=True)), packed.metadata)
    for first, second in zip(
        unpack(packed).state_dict().values(), unpack(unnamed).state_dict().values(), strict=True
    ):
        assert torch.equal(first, second)


def test_an_unpacked_network_is_ready_for_evaluation():
    model = build("lenet_5", width=0.1)
    metadata = {"architecture": "lenet_5", "num_classes": 10, "width": 0.1}
    assert not unpack(pack(model, shared_weights(model), metadata)).training


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "resnet"}, "unknown network 'resnet'"),
        ({"architecture": None}, "expected a name and a number"),
        ({"num_classes": 0}, "num_classes is 0"),
        ({"num_classes": "10"}, "num_classes is '10'"),
        ({"num_classes": True}, "num_classes is True"),
        ({"num_classes": 10**9}, "num_classes is 1000000000"),
        ({"num_classes": 7}, r"tensor fc2\.weight has shape \(10, 50\): expected \(7, 50\)"),
        ({"width": "wide"}, "expected a name and a number"),
        ({"width": float("nan")}, "width is nan"),
        ({"width": 1.0}, "expected"),
        ({"architecture": "lenet_300_100"}, "8 tensors, lenet_300_100 has 6"),
    ],
)
def test_a_file_that_fits_no_network_is_refused(change, message):
    model = build("lenet_5", width=0.1)
    metadata = {"architecture": "lenet_5", "num_classes": 10, "width": 0.1}
    packed = pack(model, shared_weights(model), metadata)
    with pytest.raises(ValueError, match=message):
        unpack(CompressedModel(packed.tensors, metadata | change))


@pytest.mark.parametrize("metadata", [{}, {"architecture": "lenet_5"}, {"num_classes": 10}])
def test_metadata_without_an_architecture_is_refused(metadata):
    with pytest.raises(ValueError, match="expected the keys architecture and num_classes"):
        build_from(metadata)


def _network_with_statistics():
    model = build("vgg16", width=0.125, seed=3).eval()
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.uniform_(-0.3, 0.3, generator=generator)
            module.running_mean.uniform_(-0.3, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
    return model
