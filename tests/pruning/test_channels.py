"""Whole channels removed: which ones matter, how many stay, and that the slim network computes the same."""

from dataclasses import replace

import pytest
import torch
from tiny import assert_equal_weights, image_set, weights
from torch import nn

from common.networks.models import build, prunable_parameters, vgg
from common.pruning.channels import (
    channel_importance,
    choose_channels,
    configuration,
    input_channels,
    multiply_adds,
    slim,
)


def network():
    """Two convolutions whose batch norms all have something to say."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = vgg([6, "M", 5, "M", "M"], num_classes=3, in_channels=1)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.uniform_(0.1, 0.5)
    return model


def silence_(model, conv, norm, channels):
    """Make channels zero behind their batch norm, whatever their weights."""
    with torch.no_grad():
        for channel in channels:
            model.features[norm].weight[channel] = 0.0
            model.features[norm].bias[channel] = 0.0


def test_a_silent_channel_has_no_importance_and_the_others_have():
    model = network()
    silence_(model, 0, 1, [2, 4])
    importance = channel_importance(model, image_set(), batch_size=7, device="cpu")
    assert list(importance) == ["features.0.weight", "features.4.weight"]
    first = importance["features.0.weight"]
    assert first.shape == (6,)
    assert (first[[2, 4]] == 0).all()
    assert (first >= 0).all()
    assert (first > 0).sum() >= 3


def test_images_that_do_not_fill_a_batch_are_looked_at_all_the_same():
    few, many = (channel_importance(network(), image_set(7), batch_size=n, device="cpu") for n in (7, 128))
    assert torch.equal(few["features.0.weight"], many["features.0.weight"])
    assert few["features.0.weight"].sum() > 0


def test_importance_is_the_squared_first_order_change_of_the_loss():
    model, data = network(), image_set(7)
    importance = channel_importance(model, data, batch_size=7, n_batches=1, device="cpu")
    # Scale gamma and beta of one channel by 1 - t: the loss changes by t times the score's root.
    step = 1e-3
    model.eval()
    norm = model.features[1]
    from common.data.batches import BatchSource, normalization

    mean, std = normalization(data.name)
    images, labels = next(BatchSource(data.images, data.labels, mean=mean, std=std).plain_batches(7))
    with torch.no_grad():
        for channel in range(6):
            losses = []
            for factor in (1 - step, 1 + step):
                kept = norm.weight[channel].clone(), norm.bias[channel].clone()
                norm.weight[channel] *= factor
                norm.bias[channel] *= factor
                losses.append(nn.functional.cross_entropy(model(images).double(), labels))
                norm.weight[channel], norm.bias[channel] = kept
            slope = (losses[1] - losses[0]).item() / (2 * step)
            # the scores are measured in bfloat16
            assert importance["features.0.weight"][channel].item() == pytest.approx(
                slope**2, rel=0.2, abs=1e-5
            )


def test_measuring_leaves_the_model_as_it_was():
    model = network().train()
    before = weights(model)
    channel_importance(model, image_set(), n_batches=2, batch_size=7, device="cpu")
    assert_equal_weights(before, weights(model))
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("fraction", [1.0, 0.6, 0.3])
def test_as_many_channels_stay_as_the_budget_allows(fraction):
    model = build("vgg16", width=0.25)
    generator = torch.Generator().manual_seed(0)
    importance = {
        name: torch.rand(weight.shape[0], generator=generator) ** 4
        for name, weight in prunable_parameters(model).items()
        if weight.ndim == 4
    }
    kept = choose_channels(importance, model, macs_fraction=fraction, least=4, multiple=4)
    counts = iter([len(channels) for channels in kept.values()])
    slimmed = [entry if entry == "M" else next(counts) for entry in configuration(model)]
    ratio = multiply_adds(slimmed) / multiply_adds(configuration(model))
    assert fraction - 0.1 < ratio <= fraction
    for name, channels in kept.items():
        scores = importance[name]
        assert (channels.diff() > 0).all()
        assert len(channels) % 4 == 0
        # the best ones stay
        others = torch.ones(len(scores), dtype=torch.bool)
        others[channels] = False
        if others.any():
            assert scores[channels].min() >= scores[others].max()


def test_the_least_channels_stay_even_beyond_the_budget():
    model = network()
    weights = {name: w for name, w in prunable_parameters(model).items() if w.ndim == 4}
    importance = {name: torch.arange(1.0, 1 + len(w)) for name, w in weights.items()}
    kept = choose_channels(importance, model, macs_fraction=0.01, least=3, multiple=1)
    assert [len(rows) for rows in kept.values()] == [3, 3]


def test_a_fraction_is_a_fraction():
    with pytest.raises(ValueError, match=r"macs_fraction=20: expected a fraction in \(0, 1\]"):
        choose_channels({}, network(), macs_fraction=20)


def test_without_silent_channels_a_slim_network_computes_the_same():
    model = network().eval()
    silence_(model, 0, 1, [0, 3])
    silence_(model, 4, 5, [4])
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
    # a silent channel behind the second norm still reaches the classifier: as zero
    kept = {"features.0.weight": torch.tensor([1, 2, 4, 5]), "features.4.weight": torch.tensor([0, 1, 2, 3])}
    small = slim(model, kept).eval()
    assert configuration(small) == [4, "M", 4, "M", "M"]
    images = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(small(images), model(images))


def test_inputs_follow_the_outputs_of_the_layer_before():
    model = network()
    kept = {"features.0.weight": torch.tensor([1, 2]), "features.4.weight": torch.tensor([0, 4])}
    sources = input_channels(kept, model)
    assert sources["features.0.weight"] is None
    assert sources["features.4.weight"].tolist() == [1, 2]
    assert sources["classifier.0.weight"].tolist() == [0, 4]
    assert sources["classifier.2.weight"] is None


def test_multiply_adds_by_hand():
    # 8x8 image: 9 * 1 * 2 * 64 for the first convolution, 9 * 2 * 3 * 16 for the one behind the pooling
    assert multiply_adds([2, "M", 3], image_size=8, in_channels=1) == 9 * 2 * 64 + 9 * 2 * 3 * 16


def test_only_a_vgg_can_be_slimmed():
    with pytest.raises(ValueError, match="slimming expects a vgg"):
        slim(build("lenet_5", width=0.1), {})


def test_importance_is_measured_on_images_as_large_as_they_are_shown():
    """Images of 4×4 are too small for the network; enlarged to 8×8 they are not."""
    importance = channel_importance(network(), replace(image_set(side=4), shown_size=(8, 8)), device="cpu")
    assert [len(scores) for scores in importance.values()] == [6, 5]
