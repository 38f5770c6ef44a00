"""The networks: parameter counts, shapes, folding of batch norm."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from common.networks.models import (
    INPUT_SHAPES,
    batch_norm_scales,
    build,
    build_from,
    count_parameters,
    dense_bytes,
    fold_batch_norm,
    prunable_parameters,
    skeleton,
    vgg,
)
from common.networks.shapes import dense_bytes_of, names_of, tensor_shapes

PARAMETERS = {
    "lenet_300_100": 266_610,
    "lenet_5": 431_080,
    "mlp_1200": 784 * 1200 + 1200 + 1200 * 1200 + 1200 + 1200 * 10 + 10,
    "vgg16": 14_986_698,
    "alexnet": 57_044_810,
    "vgg16_imagenet": 134_301_514,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts_of_the_papers(name):
    with torch.device("meta"):  # counts without memory: the largest network would take half a gigabyte
        model = build(name)
    assert count_parameters(model) == PARAMETERS[name]
    assert dense_bytes(model) == 4 * PARAMETERS[name]


@pytest.mark.parametrize("batch_norm", ["live", "folded"])
@pytest.mark.parametrize(
    ("name", "options"),
    [(name, {}) for name in INPUT_SHAPES]
    + [("vgg16", {"width": 0.25}), ("lenet_5", {"width": 0.01}), ("alexnet", {"num_classes": 37})],
)
def test_shapes_without_torch_are_those_of_the_modules(name, options, batch_norm):
    with torch.device("meta"):
        model = build(name, batch_norm=batch_norm, **options)
    shapes = {key: tuple(parameter.shape) for key, parameter in model.named_parameters()}
    assert list(tensor_shapes(name, batch_norm=batch_norm, **options).items()) == list(shapes.items())
    metadata = {"architecture": name, "num_classes": 10, **options}
    if batch_norm == "live":
        assert dense_bytes_of(metadata) == dense_bytes(model)
    else:
        assert names_of(metadata) == list(model.state_dict())


def test_shapes_import_no_torch():
    script = "import sys, common.networks.shapes, common.report.sizes; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert run.stdout == "False\n"


def test_layer_sizes_of_lenet_300_100_by_hand():
    sizes = {name: weight.numel() for name, weight in prunable_parameters(build("lenet_300_100")).items()}
    assert sizes == {"fc1.weight": 784 * 300, "fc2.weight": 300 * 100, "fc3.weight": 100 * 10}


def test_layer_sizes_of_lenet_5_by_hand():
    sizes = {name: weight.numel() for name, weight in prunable_parameters(build("lenet_5")).items()}
    assert sizes == {
        "conv1.weight": 20 * 25,
        "conv2.weight": 50 * 20 * 25,
        "fc1.weight": 500 * 50 * 4 * 4,
        "fc2.weight": 10 * 500,
    }


@pytest.mark.parametrize("name", ["lenet_300_100", "lenet_5", "mlp_1200", "vgg16"])
@pytest.mark.parametrize("num_classes", [10, 7])
def test_outputs_have_one_value_a_class(name, num_classes):
    model = build(name, num_classes=num_classes, width=0.125).eval()
    assert model(torch.zeros(2, *INPUT_SHAPES[name])).shape == (2, num_classes)


def test_width_scales_the_hidden_layers_only():
    model = build("lenet_300_100", width=0.5)
    assert model.fc1.weight.shape == (150, 784)
    assert model.fc3.weight.shape == (10, 50)


def test_the_seed_alone_decides_the_weights_and_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = build("vgg16", width=0.125, seed=1).state_dict()
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(6)
    second = build("vgg16", width=0.125, seed=1).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = build("vgg16", width=0.125, seed=2).state_dict()
    assert not torch.equal(first["features.0.weight"], other["features.0.weight"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "resnet"}, "unknown network 'resnet'"),
        ({"name": "vgg16", "batch_norm": "frozen"}, "batch_norm is 'frozen'"),
        ({"name": "vgg16", "width": 0.0}, "width is 0.0"),
        ({"name": "lenet_5", "width": 1.5}, "width is 1.5"),
        ({"name": "alexnet", "width": 0.5}, "width 1 only"),
    ],
)
def test_options_that_a_network_does_not_have_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_prunable_are_convolutions_and_linear_layers_in_the_order_of_the_data():
    names = list(prunable_parameters(build("vgg16", width=0.125)))
    assert len(names) == 15
    assert names[0] == "features.0.weight"
    assert names[-2:] == ["classifier.0.weight", "classifier.2.weight"]


def test_a_folded_network_computes_the_same():
    model = _network_with_statistics()
    folded = fold_batch_norm(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    images = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(folded(images), model(images), rtol=1e-4, atol=1e-4)
    built = build("vgg16", num_classes=10, width=0.125, batch_norm="folded")
    assert {n: v.shape for n, v in built.state_dict().items()} == {
        n: v.shape for n, v in folded.state_dict().items()
    }


def test_folding_leaves_the_model_as_it_was():
    model = _network_with_statistics()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fold_batch_norm(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_folding_without_batch_norm_is_a_copy():
    model = build("lenet_5", width=0.25)
    copy = fold_batch_norm(model)
    assert copy is not model
    assert torch.equal(copy.conv1.weight, model.conv1.weight)


def test_scales_are_those_of_the_formula():
    model = _network_with_statistics()
    norm = model.features[1]
    scale, bias = batch_norm_scales(model)["features.0"]
    for channel in range(norm.num_features):
        gamma, beta = norm.weight[channel].item(), norm.bias[channel].item()
        mean, variance = float(norm.running_mean[channel]), float(norm.running_var[channel])
        expected = gamma / (variance + norm.eps) ** 0.5
        assert float(scale[channel]) == pytest.approx(expected, rel=1e-5)
        assert float(bias[channel]) == pytest.approx(beta - expected * mean, rel=1e-4, abs=1e-6)


def test_a_batch_norm_too_few_is_an_error():
    model = vgg([4, 4], num_classes=2)
    model.features[1] = nn.Identity()
    with pytest.raises(ValueError, match="1 batch norms for 2 convolutions"):
        batch_norm_scales(model)


def _network_with_statistics() -> nn.Module:
    """A narrow VGG in evaluation mode whose batch norms have something to say."""
    model = build("vgg16", width=0.125, seed=3).eval()
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(-1.5, 1.5, generator=generator)
            module.bias.data.uniform_(-0.5, 0.5, generator=generator)
            module.running_mean.uniform_(-0.5, 0.5, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
    return model


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_classes": True}, "num_classes is True: expected an integer from 1 to 100000"),
        ({"num_classes": 0}, "expected an integer from 1"),
        ({"num_classes": 10**12}, "expected an integer from 1"),
        ({"width": True}, "expected a name and a number"),
        ({"width": "wide"}, "expected a name and a number"),
        ({"width": float("nan")}, "expected a factor in"),
        ({"architecture": 5}, "expected a name and a number"),
        ({"architecture": "resnet"}, "unknown network 'resnet'"),
    ],
)
@pytest.mark.parametrize("reader", [build_from, skeleton, names_of, dense_bytes_of])
def test_every_reading_of_an_architecture_refuses_the_same(reader, change, message):
    with pytest.raises(ValueError, match=message):
        reader({"architecture": "lenet_5", "num_classes": 10} | change)


def test_a_skeleton_takes_no_memory_and_has_the_names_of_the_whole():
    metadata = {"architecture": "vgg16", "num_classes": 100, "width": 0.25, "more": 1}
    bare = skeleton(metadata, batch_norm="live")
    assert all(value.is_meta for value in bare.state_dict().values())
    whole = build("vgg16", num_classes=100, width=0.25)
    assert list(bare.state_dict()) == list(whole.state_dict())
    assert dense_bytes_of(metadata) == dense_bytes(whole)
