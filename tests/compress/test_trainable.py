"""A file made trainable again: the same logits, channels and masks, and batch norms that can be trained."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import CONFIG, half_masks, image_set
from torch import nn

from common.codec import container
from common.codec.tensors import DenseTensor
from common.compress.packing import unpack
from common.compress.pipeline import CompressConfig, encode, share
from common.compress.trainable import trainable
from common.data.image_set import ImageSet
from common.networks.models import build, prunable_parameters
from common.networks.training import batch_source, train
from common.pruning.callbacks import MaskKeeper
from common.pruning.channels import remove_dead_channels_, slim
from common.pruning.network import ThinNetwork, load_thin, save_thin

ARCHITECTURE = {"architecture": "vgg16", "num_classes": 10, "width": 0.125}


def images(n=64):
    rng = np.random.default_rng(3)
    labels = np.arange(n) % 10
    patterns = rng.integers(0, 200, (10, 3, 32, 32))
    pixels = patterns[labels] + rng.integers(0, 56, (n, 3, 32, 32))
    return ImageSet(pixels.astype(np.uint8), labels, tuple("abcdefghij"), "cifar10", "0" * 64)


@pytest.fixture(scope="module")
def compressed():
    """A trained, slim, pruned VGG-16 in the form of a container's content, and its shared network."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        whole = build("vgg16", width=0.125)
    train(whole, images(), replace(CONFIG, epochs=4, batch_size=32), device="cpu")
    kept = {
        name: torch.arange(0, len(weight), 2)
        for name, weight in prunable_parameters(whole).items()
        if weight.ndim == 4
    }
    thin = ThinNetwork(
        slim(whole, kept), sum(w.numel() for w in prunable_parameters(whole).values()), kept=kept
    )
    thin.masks = half_masks(thin.model)
    names = list(thin.masks)
    thin.masks[names[2]][1] = False  # a channel that is computed from nothing
    thin.masks[names[5]][:, 3] = False  # one that nobody reads
    remove_dead_channels_(thin.masks, names)
    train(
        thin.model, images(), replace(CONFIG, batch_size=32), callbacks=[MaskKeeper(thin.masks)], device="cpu"
    )
    config = CompressConfig(conv_clusters=16, linear_clusters=16)
    data = encode(thin, share(thin, None, config), config, ARCHITECTURE)
    return container.load(data), thin


def test_it_answers_as_the_decoded_network_does(compressed):
    content, _ = compressed
    again = trainable(content, images()).model.eval()
    x = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(again(x), unpack(content)(x), rtol=1e-3, atol=1e-4)


def test_weights_masks_and_places_are_those_of_the_network_that_was_coded(compressed):
    content, thin = compressed
    again = trainable(content, images())
    assert again.n_weights == thin.n_weights
    assert again.n_kept == thin.n_kept
    assert again.sparsity == thin.sparsity
    for name, rows in again.kept.items():
        assert set(rows.tolist()) <= set(thin.kept[name].tolist())
        own = [thin.kept[name].tolist().index(row) for row in rows.tolist()]
        assert torch.equal(again.masks[name].flatten(1).sum(1), thin.masks[name].flatten(1).sum(1)[own])
    second = list(again.kept)[2]
    assert len(again.kept[second]) < len(thin.kept[second]), "the channel from nothing is gone"
    for name, weight in prunable_parameters(again.model).items():
        assert torch.equal(again.masks[name], weight != 0)


def test_its_batch_norms_are_measured_so_training_starts_where_the_file_ends(compressed):
    content, _ = compressed
    again, data = trainable(content, images()), images()
    inputs = {}
    norms = {name: m for name, m in again.model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    for name, norm in norms.items():
        norm.register_forward_pre_hook(lambda module, x, name=name: inputs.__setitem__(name, x[0]))
    (x, _), *_ = batch_source(data, None, torch.device("cpu")).plain_batches(len(data))
    with torch.no_grad():
        expected = again.model.eval()(x)
        for name, norm in norms.items():
            torch.testing.assert_close(norm.running_mean, inputs[name].mean((0, 2, 3)), rtol=1e-3, atol=1e-5)
            variance = inputs[name].var((0, 2, 3), unbiased=False)
            torch.testing.assert_close(norm.running_var, variance, rtol=1e-3, atol=1e-6)
        # in training each batch norm divides by the deviation of its batch: here of the same images
        found = again.model.train()(x)
    torch.testing.assert_close(found, expected, rtol=0.01, atol=0.01)


def test_it_is_coded_into_the_same_weights_again(compressed, tmp_path):
    content, _ = compressed
    again = trainable(content, images())
    save_thin(again, tmp_path / "thin.pt")
    again = load_thin(tmp_path / "thin.pt", build("vgg16", width=0.125))
    config = CompressConfig(conv_clusters=16, linear_clusters=16)
    data = encode(again, share(again, None, config), config, ARCHITECTURE)
    first, second = unpack(content).state_dict(), unpack(container.load(data)).state_dict()
    for name, value in first.items():
        assert torch.equal(value != 0, second[name] != 0), name
        torch.testing.assert_close(value, second[name], rtol=5e-3, atol=1e-3)


def test_another_network_is_refused():
    model = build("lenet_300_100", num_classes=3, width=0.05)
    thin = ThinNetwork(model, 1)
    config = CompressConfig()
    data = encode(
        thin,
        share(thin, None, config),
        config,
        {"architecture": "lenet_300_100", "num_classes": 3, "width": 0.05},
    )
    with pytest.raises(ValueError, match="got 'lenet_300_100': expected a vgg16"):
        trainable(container.load(data), image_set(side=28))


def test_what_does_not_fit_is_refused_as_unpack_refuses_it(compressed):
    content, _ = compressed
    tensors = dict(content.tensors)
    fewer = replace(content, tensors=dict(list(tensors.items())[:-1]))
    wrong = replace(content, tensors=tensors | {"1": list(tensors.values())[-1]})
    for broken in (fewer, wrong):
        with pytest.raises(ValueError, match="tensor") as told:
            unpack(broken)
        with pytest.raises(ValueError, match=re.escape(str(told.value))):
            trainable(broken, images())
    with pytest.raises(ValueError, match="n=0: expected one image or more"):
        trainable(content, images(), n=0)


def test_named_tensors_may_come_in_any_order(compressed):
    content, _ = compressed
    names = list(unpack(content).state_dict())
    named = dict(reversed(list(zip(names, content.tensors.values(), strict=True))))
    first, second = trainable(content, images()), trainable(replace(content, tensors=named), images())
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_a_layer_without_weights_is_refused_by_name(compressed):
    content, _ = compressed
    tensors = dict(content.tensors)
    third = list(tensors)[4]
    nothing = np.zeros(0, np.int64)
    tensors[third] = replace(tensors[third], positions=nothing, indices=nothing.astype(np.uint8))
    bias = str(int(third) + 1)
    tensors[bias] = DenseTensor(np.zeros(tensors[bias].shape, np.float16))
    with pytest.raises(ValueError, match=r"features\..*\.weight has no channel in use"):
        trainable(replace(content, tensors=tensors), images())
