"""Relevance against a slow oracle of its rules, one connection after the other; what must add up, adds up."""

import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import torch
from tiny import assert_equal_weights, image_set, weights
from torch import nn

from common.data.batches import BatchSource, normalization
from common.networks.models import build, vgg
from common.pruning import relevance
from common.pruning.channel_criteria import first_batch
from common.pruning.relevance import filter_relevance, heatmaps, layer_relevance, weight_relevance

EPSILON = 1e-6


def network(*, batch_norm="live", biases=True):
    """Two convolutions and two linear layers, none of which is silent."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = vgg([4, "M", 3, "M", "M"], num_classes=3, in_channels=1, hidden=5, batch_norm=batch_norm)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.uniform_(-0.2, 0.3)
                module.running_mean.uniform_(-0.3, 0.3)
                module.running_var.uniform_(0.5, 1.5)
            elif isinstance(module, nn.Conv2d) and module.bias is None:
                module.weight.data.normal_()  # its own start holds exact zeros
            elif getattr(module, "bias", None) is not None:
                module.bias.data.uniform_(-0.2, 0.3) if biases else module.bias.data.zero_()
    return model.eval()


def connections(weight, shape):
    """(output, input, weight) positions of a 3×3 convolution with padding 1, or of a linear layer."""
    if weight.ndim == 2:
        return [((j,), (i,), (j, i)) for j, i in product(*map(range, weight.shape))]
    found = []
    for j, y, x in product(range(len(weight)), range(shape[1]), range(shape[2])):
        for c, dy, dx in product(range(shape[0]), range(3), range(3)):
            place = (c, y + dy - 1, x + dx - 1)
            if 0 <= place[1] < shape[1] and 0 <= place[2] < shape[2]:
                found.append(((j, y, x), place, (j, c, dy, dx)))
    return found


def slow(model, image, label, *, start):
    """The rules of the module's docstring in float64: of pixels, of layers' outputs, of weights."""
    steps, h = [], image.double().numpy()
    modules = [*model.features, nn.Flatten(), *model.classifier]
    for position, module in enumerate(modules):
        if isinstance(module, nn.Conv2d | nn.Linear):
            w = module.weight.detach().double().numpy()
            b = np.zeros(len(w)) if module.bias is None else module.bias.detach().double().numpy()
            follower = modules[position + 1] if position + 1 < len(modules) else None
            if isinstance(follower, nn.BatchNorm2d):
                scale = (follower.weight / torch.sqrt(follower.running_var + follower.eps)).detach().numpy()
                shift = (follower.bias - torch.tensor(scale) * follower.running_mean).detach().numpy()
                w, b = w * scale[:, None, None, None], b * scale + shift
            out = np.zeros((len(w), *h.shape[1:])) + b.reshape(-1, *(1,) * (h.ndim - 1))
            places = connections(w, h.shape)
            for j, i, k in places:
                out[j] += h[i] * w[k]
            steps.append(("layer", h, w, b, out, places))
            h = out
        elif isinstance(module, nn.ReLU):
            h = np.maximum(h, 0)
        elif isinstance(module, nn.MaxPool2d):
            windows = h.reshape(h.shape[0], h.shape[1] // 2, 2, h.shape[2] // 2, 2)
            steps.append(("pool", h, windows.max((2, 4))))
            h = windows.max((2, 4))
        elif isinstance(module, nn.Flatten):
            steps.append(("flatten", h.shape))
            h = h.ravel()
    r = np.zeros(len(h))
    r[label] = h[label] if start == "logit" else 1.0
    outputs, messages = [], []
    n_layers = sum(step[0] == "layer" for step in steps)
    for step in reversed(steps):
        if step[0] == "flatten":
            r = r.reshape(step[1])
        elif step[0] == "pool":
            back = np.zeros(step[1].shape)
            for c, y, x in product(*map(range, step[2].shape)):
                window = step[1][c, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
                dy, dx = divmod(int(window.argmax()), 2)
                back[c, 2 * y + dy, 2 * x + dx] += r[c, y, x]
            r = back
        else:
            r, both = slow_layer(r, *step[1:], is_first=len(outputs) == n_layers - 1)
            outputs.append(both[0])
            messages.append(both[1:])
    return r, outputs[::-1], messages[::-1]


def slow_layer(r, h, w, b, out, places, *, is_first):
    """Relevance of a layer's inputs; and its outputs' with the messages through its weights, by two rules."""
    plus = np.zeros(out.shape)
    count = np.zeros(out.shape)
    for j, i, k in places:
        plus[j] += max(0.0, h[i] * w[k])
        count[j] += 1
    below, by_epsilon, by_plus = np.zeros(h.shape), np.zeros(w.shape), np.zeros(w.shape)
    for j, i, k in places:
        message = h[i] * w[k] / (out[j] + (EPSILON if out[j] >= 0 else -EPSILON)) * r[j]
        positive = max(0.0, h[i] * w[k]) / (plus[j] + EPSILON) * r[j]
        by_epsilon[k] += message
        by_plus[k] += positive if w.ndim == 4 else message
        below[i] += r[j] / count[j] if is_first else positive if w.ndim == 4 else message
    return below, (r, by_epsilon, by_plus)


def reference(n=3):
    """A few images, as a criterion sees them when they all fit into one batch."""
    data = image_set(n)
    mean, std = normalization(data.name)
    source = BatchSource(data.images, data.labels, mean=mean, std=std)
    return data, *next(iter(source.epoch_batches(n, seed=0, epoch=0)))


@pytest.mark.parametrize("batch_norm", ["live", "folded"])
def test_pixels_and_layers_are_the_slow_ones(batch_norm):
    model, (_, images, labels) = network(batch_norm=batch_norm), reference()
    pixels, layers = heatmaps(model, images, labels), layer_relevance(model, images, labels)
    assert pixels.shape == images.shape
    for k in range(len(images)):
        expected, outputs, _ = slow(model, images[k], int(labels[k]), start="logit")
        assert np.allclose(pixels[k], expected, rtol=1e-3, atol=1e-4)
        for found, output in zip(layers.values(), outputs, strict=True):
            assert np.allclose(found[k], output, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("rule", ["epsilon", "zplus"])
def test_weights_are_the_slow_ones(rule):
    model, (data, images, labels) = network(), reference()
    scores = weight_relevance(model, data, rule=rule)
    each = [slow(model, *pair, start="one")[2] for pair in zip(images, labels.tolist(), strict=True)]
    for position, (name, score) in enumerate(scores.items()):
        total = sum(messages[position][0 if rule == "epsilon" else 1] for messages in each)
        assert score.shape == dict(model.named_parameters())[name].shape
        assert np.allclose(score, np.abs(total), rtol=1e-3, atol=1e-5), name
        assert np.abs(total).max() > 1e-3


def test_filters_are_the_slow_ones():
    model, (data, images, labels) = network(), reference()
    scores = filter_relevance(model, data)
    each = [slow(model, *pair, start="one")[1] for pair in zip(images, labels.tolist(), strict=True)]
    assert list(scores) == ["features.0.weight", "features.4.weight"]
    for position, score in enumerate(scores.values()):
        expected = sum(outputs[position].sum((1, 2)) for outputs in each)
        assert np.allclose(score, expected, rtol=1e-3, atol=1e-4)


def test_nothing_is_lost_between_layers():
    """Every layer's relevance adds up to the logit: biases of convolutions take none."""
    model, (_, images, labels) = network(), reference(6)
    for layer in model.classifier:
        if isinstance(layer, nn.Linear):
            layer.bias.data.zero_()
    with torch.no_grad():
        logits = model(images)[torch.arange(6), labels]
    for name, output in layer_relevance(model, images, labels).items():
        assert torch.allclose(output.flatten(1).sum(1), logits, rtol=1e-3, atol=1e-4), name
    assert torch.allclose(heatmaps(model, images, labels).flatten(1).sum(1), logits, rtol=1e-3, atol=1e-4)


def test_every_image_counts_the_same():
    """Each starts with 1: with no bias in the linear layers, all filters of a layer get one per image."""
    model, (data, _, _) = network(batch_norm="folded", biases=False), reference(6)
    for score in filter_relevance(model, data).values():
        assert float(score.sum()) == pytest.approx(6, rel=1e-3)


def test_the_plus_rule_is_blind_for_weights_that_inhibit():
    model, data = network(), reference()[0]
    name = "features.4.weight"  # reads what a ReLU wrote: nothing below zero
    inhibits = model.get_parameter(name) < 0
    plus, both = (weight_relevance(model, data, rule=rule)[name] for rule in ("zplus", "epsilon"))
    assert bool((plus[inhibits] == 0).all())
    assert bool((both[inhibits] > 0).any())


def test_batches_add_up_and_the_seed_chooses_them():
    model, data = network(), image_set(12)
    whole = filter_relevance(model, data, batch_size=12)
    parts = filter_relevance(model, data, batch_size=4)
    for name, score in whole.items():
        assert torch.allclose(score, parts[name], rtol=1e-4, atol=1e-5)
    one, other = (weight_relevance(model, data, seed=seed, n_batches=1, batch_size=4) for seed in (0, 1))
    assert not torch.equal(one["features.0.weight"], other["features.0.weight"])
    assert_equal_weights(one, weight_relevance(model, data, seed=0, n_batches=1, batch_size=4))


def test_the_network_stays_as_it_was_even_when_something_fails(monkeypatch):
    model, (_, images, labels) = network().train(), reference()
    before = weights(model)
    heatmaps(model, images, labels)
    with pytest.raises(RuntimeError):
        heatmaps(model, images[:, :, :5], labels)
    assert_equal_weights(before, weights(model))
    assert model.training
    assert all(module._forward_hooks == {} for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    with pytest.raises(ValueError, match="rule='gamma'"):
        weight_relevance(model, image_set(), rule="gamma")


def test_lenet_has_no_batch_norm_and_pools_before_any_relu():
    model, data = build("lenet_5", width=0.2), image_set(5, side=28, name="digits")
    model.fc2 = nn.Linear(model.fc1.out_features, 3)
    images = first_batch(model, data, 5)
    assert torch.isfinite(heatmaps(model, images, torch.tensor(data.labels))).all()
    layers = ("conv1", "conv2", "fc1", "fc2")
    assert list(weight_relevance(model, data)) == [f"{name}.weight" for name in layers]


def test_criteria_load_zennit_only_when_relevance_is_asked_for():
    code = "import sys, common.pruning.criteria, common.pruning.rounds, common.pruning.relevance"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'zennit' not in sys.modules"], check=True)
    assert relevance.EPSILON == EPSILON
