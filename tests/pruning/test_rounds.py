"""Pruning in rounds: exact counts, zeros that stay, filters gone for real, rounds that are not repeated."""

from dataclasses import replace

import pytest
import torch
from tiny import CONFIG, assert_equal_weights, image_set, weights
from torch import nn

from common.networks.models import prunable_parameters, vgg
from common.pruning.channels import configuration, slim
from common.pruning.criteria import CRITERIA
from common.pruning.masks import global_masks, magnitude_scores
from common.pruning.network import ThinNetwork, whole_network
from common.pruning.rounds import (
    FILTER_CRITERIA,
    choose_filters,
    fine_tuning,
    prune,
    prune_filters,
    prune_weights,
)


def network():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = vgg([6, "M", 8, "M", "M"], num_classes=3, in_channels=1, hidden=7)
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.data.normal_()  # its own start holds exact zeros
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.uniform_(-0.2, 0.3)
    return model.eval()


N_WEIGHTS = 9 * 6 + 9 * 6 * 8 + 8 * 7 + 7 * 3
TUNE = replace(CONFIG, epochs=1)


def n_zeros(model):
    return sum(int((weight == 0).sum()) for weight in prunable_parameters(model).values())


@pytest.mark.parametrize("criterion", FILTER_CRITERIA)
def test_ratios_are_exact_and_the_network_stays_as_it_was(criterion):
    model, data = network(), image_set(12)
    before = weights(model)
    thin = prune(
        model, data, sparsity_ratios=(0.2, 0.5), weight_prune_ratios=(0.75, 0.8), criterion=criterion
    )
    left = [entry for entry in configuration(thin.model) if entry != "M"]
    assert sum(left) == 7  # half of 14 filters
    assert min(left) >= 1
    assert thin.n_weights == N_WEIGHTS
    own = sum(weight.numel() for weight in prunable_parameters(thin.model).values())
    kept = min(own, round(0.2 * N_WEIGHTS))
    assert thin.n_kept == kept == own - n_zeros(thin.model)
    assert_equal_weights(before, weights(model))
    again = prune(
        model, data, sparsity_ratios=(0.2, 0.5), weight_prune_ratios=(0.75, 0.8), criterion=criterion
    )
    assert_equal_weights(weights(thin.model), weights(again.model))


def test_filters_of_all_layers_compete_and_relevance_is_not_normalised():
    scores = {"a": torch.tensor([3.0, 1.0, 0.0]), "b": torch.tensor([20.0, 10.0, 2.0])}
    # raw order: 20, 10, 3, 2, 1, 0; four stay
    assert {k: v.tolist() for k, v in choose_filters(scores, 1 / 3, is_conserved=True).items()} == {
        "a": [0],
        "b": [0, 1, 2],
    }
    # over norms √10 and √504: 0.95, 0.32, 0 and 0.89, 0.45, 0.09
    assert {k: v.tolist() for k, v in choose_filters(scores, 1 / 3).items()} == {"a": [0, 1], "b": [0, 1]}


def test_no_layer_is_emptied_and_ties_go_to_the_earlier():
    scores = {"a": torch.tensor([5.0, 5.0, 5.0]), "b": torch.tensor([0.0, 0.1])}
    kept = choose_filters(scores, 0.5, is_conserved=True)
    assert {name: channels.tolist() for name, channels in kept.items()} == {"a": [0], "b": [1]}
    silent = choose_filters({"a": torch.zeros(4)}, 0.5)
    assert silent["a"].tolist() == [0, 1]


def test_the_same_fraction_of_every_layer():
    scores = {"a": torch.tensor([3.0, 1.0, 2.0, 0.0]), "b": torch.tensor([0.1, 0.2])}
    kept = choose_filters(scores, 0.5, scope="layer")
    assert {name: channels.tolist() for name, channels in kept.items()} == {"a": [0, 2], "b": [1]}
    later = choose_filters({"a": torch.tensor([3.0, 2.0])}, 0.75, scope="layer", whole={"a": 4})
    assert later["a"].tolist() == [0]


def test_channels_are_counted_in_the_original():
    """Two rounds without fine-tuning are the original without what both took."""
    model, data = network(), image_set(12)
    thin = prune(model, data, sparsity_ratios=(0.3, 0.6))
    assert_equal_weights(weights(thin.model), weights(slim(model, thin.kept)))
    assert sum(len(channels) for channels in thin.kept.values()) == round(0.4 * 14)


def test_filters_can_go_after_weights():
    """The masks are cut along with the network."""
    model, data = network(), image_set(12)
    thin = whole_network(network())
    prune_weights(thin, data, 0.5, criterion="magnitude")
    masks = global_masks(magnitude_scores(prunable_parameters(model)), 0.5)
    assert_equal_weights(thin.masks, masks)
    small = prune_filters(thin, data, 0.5, original=model)
    first, second = small.kept.values()
    expected = {
        "features.0.weight": masks["features.0.weight"][first],
        "features.4.weight": masks["features.4.weight"][second][:, first],
        "classifier.0.weight": masks["classifier.0.weight"][:, second],
        "classifier.2.weight": masks["classifier.2.weight"],
    }
    assert_equal_weights(small.masks, expected)
    for name, weight in prunable_parameters(small.model).items():
        assert bool((weight[~expected[name]] == 0).all())


def test_pruned_weights_stay_pruned_and_more_than_asked_for_changes_nothing():
    thin, data = whole_network(network()), image_set(12)
    prune_weights(thin, data, 0.6, criterion="taylor")
    once = dict(thin.masks)
    prune_weights(thin, data, 0.4, criterion="random")
    assert_equal_weights(thin.masks, once)
    prune_weights(thin, data, 0.9, criterion="random")
    assert all(bool((once[name] | ~mask).all()) for name, mask in thin.masks.items())
    assert thin.n_kept == round(0.1 * N_WEIGHTS)


def test_fine_tuning_keeps_zeros_and_moves_the_rest():
    model, data = network(), image_set(16)
    options = {"sparsity_ratios": (0.2,), "weight_prune_ratios": (0.7,)}
    thin = prune(model, data, tune=fine_tuning(data, TUNE, device="cpu"), **options)
    plain = prune(model, data, **options)
    for name, weight in prunable_parameters(thin.model).items():
        assert bool((weight[~thin.masks[name]] == 0).all())
    assert thin.n_kept <= round(0.3 * N_WEIGHTS)
    assert thin.n_kept == sum(int((w != 0).sum()) for w in prunable_parameters(thin.model).values())
    assert not torch.equal(thin.model.classifier[2].bias, plain.model.classifier[2].bias)


def test_finished_rounds_are_not_run_again(tmp_path):
    model, data = network(), image_set(16)
    calls, options = [], {"sparsity_ratios": (0.2,), "weight_prune_ratios": (0.6, 0.8), "workdir": tmp_path}
    train_it = fine_tuning(data, TUNE, device="cpu")

    def stops_in_the_third(thin, checkpoint):
        calls.append(checkpoint.name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        train_it(thin, checkpoint)

    with pytest.raises(KeyboardInterrupt):
        prune(model, data, tune=stops_in_the_third, **options)
    resumed = prune(model, data, tune=stops_in_the_third, **options)
    assert calls == [f"round{k}.tune.pt" for k in (0, 1, 2, 2)]
    unbroken = prune(model, data, tune=train_it, **(options | {"workdir": tmp_path / "new"}))
    assert_equal_weights(weights(resumed.model), weights(unbroken.model))
    assert_equal_weights(resumed.masks, unbroken.masks)


def test_wrong_options_are_refused():
    model, data = network(), image_set(12)
    for options, message in (
        ({"criterion": "apoz"}, "criterion='apoz'"),
        ({"scope": "local"}, "scope='local'"),
        ({"sparsity_ratios": (0.5, 0.2)}, "ascending"),
        ({"weight_prune_ratios": (90,)}, r"\[0, 1\)"),
    ):
        with pytest.raises(ValueError, match=message):
            prune(model, data, **options)


def test_the_gradient_of_a_filter_is_its_weights_squares():
    model, data = network(), image_set(12)
    slopes = CRITERIA["gradient"](model, data, seed=1)
    for name, score in FILTER_CRITERIA["gradient"](model, data, seed=1).items():
        for channel, value in enumerate(score):
            assert value.item() == pytest.approx(sum(slopes[name][channel].flatten().tolist()), rel=1e-4)
    assert isinstance(prune(model, data), ThinNetwork)
