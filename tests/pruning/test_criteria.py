"""Criteria for weights and channels against slow formulas; ThiNet's choice and repair against brute force."""

import numpy as np
import pytest
import torch
from tiny import assert_equal_weights, image_set, weights
from torch import nn
from torch.nn import functional as F

from common.data.batches import BatchSource, normalization
from common.networks.models import prunable_parameters, vgg
from common.pruning.channel_criteria import CHANNEL_CRITERIA, best_channels, first_batch
from common.pruning.channels import configuration, slim
from common.pruning.criteria import CRITERIA
from common.pruning.thinet import greedy_removal, repair_factors, thinet


def network():
    """Two convolutions whose batch norms all have something to say."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = vgg([6, "M", 5, "M", "M"], num_classes=3, in_channels=1)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.uniform_(-0.3, 0.5)
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 1.5)
    return model


def batches(data, size, n):
    mean, std = normalization(data.name)
    source = BatchSource(data.images, data.labels, mean=mean, std=std)
    return [batch for _, batch in zip(range(n), source.epoch_batches(size, seed=3, epoch=0), strict=False)]


@pytest.mark.parametrize("name", CRITERIA)
def test_scores_fit_the_weights_and_leave_the_network_alone(name):
    model, data = network().train(), image_set()
    before = weights(model)
    scores = CRITERIA[name](model, data, seed=0)
    assert {key: score.shape for key, score in scores.items()} == {
        key: weight.shape for key, weight in prunable_parameters(model).items()
    }
    assert all(bool((score >= 0).all()) and not score.requires_grad for score in scores.values())
    assert_equal_weights(before, weights(model))
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    again = CRITERIA[name](model, data, seed=0)
    assert_equal_weights(scores, again)


def test_taylor_is_the_squared_slope_of_the_loss_along_each_weight():
    """(w ∂L/∂w)² by finite differences: each weight times 1 ± t, in float64, one batch after the other."""
    model, data = network(), image_set()
    scores = CRITERIA["taylor"](model, data, seed=3, n_batches=2, batch_size=10)
    slow = network().double().eval()
    step = 1e-5
    for name, weight in prunable_parameters(slow).items():
        for place in [0, weight.numel() // 2, weight.numel() - 1]:
            expected = 0.0
            for images, labels in batches(data, 10, 2):
                losses = []
                for factor in (1 + step, 1 - step):
                    with torch.no_grad():
                        kept = weight.view(-1)[place].item()
                        weight.view(-1)[place] = kept * factor
                        losses.append(F.cross_entropy(slow(images.double()), labels).item())
                        weight.view(-1)[place] = kept
                expected += ((losses[0] - losses[1]) / (2 * step)) ** 2
            assert scores[name].view(-1)[place].item() == pytest.approx(expected, rel=1e-3, abs=1e-9)


def test_gradient_times_weight_squared_is_taylor():
    model, data = network(), image_set()
    slopes, estimates = (CRITERIA[name](model, data, seed=1) for name in ("gradient", "taylor"))
    for name, weight in prunable_parameters(model).items():
        assert torch.allclose(slopes[name] * weight**2, estimates[name], rtol=1e-6, atol=0)
        assert (slopes[name] > 0).any()


def test_seeds_choose_the_random_scores_and_the_images():
    model, data = network(), image_set()
    for name, options in (("random", {}), ("taylor", {"n_batches": 1, "batch_size": 5})):
        first, second = (CRITERIA[name](model, data, seed=seed, **options) for seed in (0, 1))
        assert not torch.equal(first["features.0.weight"], second["features.0.weight"])


@pytest.mark.parametrize("name", CHANNEL_CRITERIA)
def test_importance_has_one_value_a_channel(name):
    model = network()
    importance = CHANNEL_CRITERIA[name](model, image_set(), seed=0)
    assert {key: tuple(value.shape) for key, value in importance.items()} == {
        "features.0.weight": (6,),
        "features.4.weight": (5,),
    }
    assert all(bool((value >= 0).all()) and not value.requires_grad for value in importance.values())


def test_filter_norms_and_scales_weight_by_weight():
    model = network()
    l1, l2, scale = (CHANNEL_CRITERIA[name](model) for name in ("l1", "l2", "bn_scale"))
    for position, name in ((0, "features.0.weight"), (4, "features.4.weight")):
        for channel, kernel in enumerate(model.features[position].weight.tolist()):
            flat = np.array(kernel).ravel()
            assert l1[name][channel].item() == pytest.approx(sum(abs(x) for x in flat), rel=1e-5)
            assert l2[name][channel].item() == pytest.approx(sum(x * x for x in flat) ** 0.5, rel=1e-5)
            own = model.features[position + 1].weight[channel].item()
            assert scale[name][channel].item() == pytest.approx(abs(own))


def test_apoz_counts_positive_outputs_one_by_one():
    model, data = network().eval(), image_set(9)
    shares = CHANNEL_CRITERIA["apoz"](model, data)
    with torch.no_grad():
        h = model.features[1](model.features[0](first_batch(model, data, 9)))
    for channel in range(6):
        values = h[:, channel].flatten().tolist()
        expected = sum(value > 0 for value in values) / len(values)
        assert shares["features.0.weight"][channel].item() == pytest.approx(expected)
    assert len(list(model.features[2]._forward_hooks)) == 0


def test_the_same_fraction_of_every_layer_ties_to_the_earlier():
    kept = best_channels({"a": torch.tensor([1.0, 3.0, 3.0, 2.0]), "b": torch.tensor([0.0, 0.0])}, 0.5)
    assert kept["a"].tolist() == [1, 2]
    assert kept["b"].tolist() == [0]
    assert best_channels({"a": torch.tensor([5.0, 1.0])}, 0.1)["a"].tolist() == [0]
    with pytest.raises(ValueError, match="fraction=0"):
        best_channels({"a": torch.ones(2)}, 0)


def slow_greedy(x, n_keep):
    """Remove one channel at a time, each time trying all of them."""
    removed = []
    while x.shape[1] - len(removed) > n_keep:
        candidates = [c for c in range(x.shape[1]) if c not in removed]
        costs = [np.sum(x[:, [*removed, c]].sum(axis=1) ** 2) for c in candidates]
        removed.append(candidates[int(np.argmin(costs))])
    return [c for c in range(x.shape[1]) if c not in removed]


@pytest.mark.parametrize("n_keep", [1, 3, 6, 7])
def test_greedy_removal_is_the_slow_one(n_keep):
    x = np.random.default_rng(n_keep).normal(0.3, 1, (40, 7)) * np.arange(1, 8)
    assert greedy_removal(x, n_keep).tolist() == slow_greedy(x, n_keep)


def test_greedy_removal_sees_channels_that_cancel():
    """Two large channels of opposite sign go together; by their own size they would stay."""
    rng = np.random.default_rng(0)
    large, small = rng.normal(size=100), 0.1 * rng.normal(size=(100, 2))
    x = np.column_stack([large, small[:, 0], -large, small[:, 1]])
    # the first to go is a small one; after both small ones, either large one, and then its opposite for free
    assert greedy_removal(x, 2).tolist() == [0, 2]
    assert greedy_removal(np.column_stack([5 * large, 5 * large, -5 * large]), 1).tolist() == [1]
    with pytest.raises(ValueError, match="n_keep=0"):
        greedy_removal(x, 0)


def test_repair_is_least_squares():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(60, 4)), rng.normal(size=60)
    expected = np.linalg.lstsq(x, y, rcond=None)[0]
    assert np.allclose(repair_factors(x, y, ridge=0), expected, rtol=0, atol=1e-10)
    assert np.allclose(repair_factors(x, x.sum(axis=1)), 1, rtol=0, atol=1e-12)
    nothing = repair_factors(np.zeros((5, 2)), np.zeros(5))
    assert np.allclose(nothing, 1)


def test_repair_makes_up_for_a_channel_that_repeats_another():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 50))
    factors = repair_factors(np.column_stack([a, b]), a + 2 * a + b, ridge=0)  # a third channel was 2 a
    assert np.allclose(factors, [3, 1], rtol=0, atol=1e-10)


def test_thinet_with_all_channels_changes_nothing():
    model, data = network(), image_set()
    same, kept = thinet(model, data, fraction=1.0, n_samples=300)
    assert [len(channels) for channels in kept.values()] == [6, 5]
    images = first_batch(model, data, 20)
    with torch.no_grad():
        assert torch.allclose(same.eval()(images), model.eval()(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize("repair", [False, True])
def test_thinet_drops_silent_channels_first_and_then_nothing_is_lost(repair):
    model, data = network(), image_set()
    with torch.no_grad():
        for norm, channels in ((1, [0, 4, 5]), (5, [1, 3])):
            model.features[norm].weight[channels] = 0.0
            model.features[norm].bias[channels] = 0.0
    before = weights(model)
    small, kept = thinet(model, data, fraction=0.5, n_samples=300, repair=repair)
    assert kept["features.0.weight"].tolist() == [1, 2, 3]
    assert set(kept["features.4.weight"].tolist()) <= {0, 2, 4}
    assert configuration(small)[0] == 3
    assert_equal_weights(before, weights(model))
    if not repair:
        assert_equal_weights(weights(small), weights(slim(model, kept)))


@pytest.mark.parametrize("seed", [5, 6])
def test_repair_brings_the_next_layer_nearer(seed):
    """Nearer at the layer that is repaired; what the scores make of that is not promised."""
    model, data = network().eval(), image_set(60)
    images = first_batch(model, data, 60)
    with torch.no_grad():
        whole = model[:2](images) @ model.classifier[0].weight.T
        errors = []
        for repair in (False, True):
            small, _ = thinet(model, data, fraction=0.5, seed=seed, repair=repair)
            errors.append((small[:2](images) @ small.classifier[0].weight.T - whole).square().mean())
    assert errors[1] < 0.6 * errors[0]


def test_contributions_are_those_of_the_convolution():
    """Sampled contributions add up to the layer's output at the sampled places."""
    from common.pruning.thinet import _Sampler

    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3, padding=1, bias=False)
    inputs = torch.randn(5, 3, 6, 7)
    sampler = _Sampler(conv, 5, 50, np.random.default_rng(0))
    with torch.no_grad():
        x, whole = sampler(inputs), conv(inputs)
    rows = (sampler.place[0] * 6).astype(int)
    columns = (sampler.place[1] * 7).astype(int)
    expected = whole[sampler.image, sampler.output, rows, columns].numpy()
    assert x.shape == (50, 3)
    assert np.allclose(x.sum(axis=1), expected, rtol=0, atol=1e-5)
