"""A network on its way through pruning: exact counts, masks that hold, files that come back."""

from dataclasses import replace

import pytest
import torch
from tiny import CONFIG, assert_equal_weights, image_set, network, weights

from common.networks.models import build, prunable_parameters
from common.networks.training import evaluate
from common.pruning.masks import lamp_scores
from common.pruning.network import (
    load_thin,
    one_shot_scores,
    prune,
    save_thin,
    take_out_channels,
    whole_network,
)

NO_EPOCHS = replace(CONFIG, epochs=0)


def zeros_hold(thin):
    """Every pruned weight of the model is exactly zero."""
    parameters = prunable_parameters(thin.model)
    return all((parameters[name][~mask] == 0).all() for name, mask in thin.masks.items())


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9])
def test_one_shot_pruning_keeps_no_more_than_asked_for_and_the_largest(sparsity):
    model = build("lenet_300_100", num_classes=3, width=0.1)
    before = torch.cat([weight.detach().flatten() for weight in prunable_parameters(model).values()])
    thin = whole_network(model)
    prune(thin, image_set(), NO_EPOCHS, sparsity=sparsity)
    n_asked = round((1 - sparsity) * thin.n_weights)
    assert n_asked - 30 <= thin.n_kept <= n_asked  # units without input or reader go too
    assert thin.sparsity == 1 - thin.n_kept / before.numel()
    assert zeros_hold(thin)
    threshold = before.abs().sort(descending=True).values[n_asked - 1]
    for name, mask in thin.masks.items():
        assert (prunable_parameters(model)[name][mask].abs() >= threshold).all()


@pytest.mark.parametrize("criterion", ["magnitude", "normalized", "lamp"])
def test_gradual_pruning_reaches_the_sparsity_while_it_trains(criterion):
    data = image_set(40)
    thin = whole_network(network())
    n_asked = round(0.4 * thin.n_weights)
    config = replace(CONFIG, epochs=12, flip=False)
    history = prune(thin, data, config, sparsity=0.6, criterion=criterion, device="cpu")
    assert len(history.loss) == 12
    assert thin.n_kept <= n_asked
    assert zeros_hold(thin)
    assert evaluate(thin.model, data, device="cpu").top1 > 0.6  # a guess is right in a third


def test_pruning_goes_on_from_masks_and_nothing_grows_back():
    thin = whole_network(network())
    prune(thin, image_set(), CONFIG, sparsity=0.4, device="cpu")
    first = {name: mask.clone() for name, mask in thin.masks.items()}
    prune(thin, image_set(), CONFIG, sparsity=0.7, device="cpu")
    assert thin.sparsity >= 0.7 - 1e-9
    assert all((mask <= first[name]).all() for name, mask in thin.masks.items())
    assert zeros_hold(thin)


def test_one_shot_pruning_drops_only_channels_that_say_nothing():
    # A unit that no weight feeds but whose bias is positive still speaks, as a constant.
    model = build("lenet_300_100", num_classes=3, width=0.02)
    with torch.no_grad():
        model.fc1.weight[:2] = 0.0
        model.fc1.bias[:2] = torch.tensor([1.0, -1.0])
    images = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    before = model(images)
    thin = whole_network(model)
    prune(thin, image_set(), NO_EPOCHS, sparsity=2 * 784 / thin.n_weights)
    assert thin.masks["fc2.weight"][:, 0].all()
    assert not thin.masks["fc2.weight"][:, 1].any()
    torch.testing.assert_close(model(images), before)


def test_a_stopped_pruning_resumes_to_the_same_network(tmp_path, monkeypatch):
    def run(checkpoint=None):
        thin = whole_network(network())
        prune(
            thin, image_set(), CONFIG, sparsity=0.6, checkpoint=checkpoint, checkpoint_steps=1, device="cpu"
        )
        return thin

    expected, save, n_saved = run(), torch.save, []

    def stop_at_the_seventh(state, target):
        n_saved.append(1)
        if len(n_saved) == 7:
            raise KeyboardInterrupt
        save(state, target)

    monkeypatch.setattr(torch, "save", stop_at_the_seventh)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "prune.pt")
    monkeypatch.undo()
    resumed = run(tmp_path / "prune.pt")
    assert_equal_weights(weights(expected.model), weights(resumed.model))
    assert_equal_weights(expected.masks, resumed.masks)


def test_sparsity_counts_the_channels_that_were_taken_out():
    thin = take_out_channels(_wide_network(), image_set(), macs_fraction=0.5)
    n_before = thin.n_kept
    assert n_before < thin.n_weights
    assert thin.sparsity == 1 - n_before / thin.n_weights > 0.1
    prune(thin, image_set(), NO_EPOCHS, sparsity=0.9)
    assert thin.n_kept <= round(0.1 * thin.n_weights)


def test_channels_are_taken_out_a_second_time():
    once = take_out_channels(_wide_network(), image_set(), macs_fraction=0.5, least=2)
    prune(once, image_set(), NO_EPOCHS, sparsity=0.8)
    twice = take_out_channels(once, image_set(), macs_fraction=0.5, least=2)
    names = list(prunable_parameters(once.model))
    assert twice.n_kept < once.n_kept
    assert twice.n_weights == once.n_weights
    assert twice.masks.keys() == once.masks.keys()
    convs = [name for name in names if name in twice.kept]
    inputs = torch.arange(1)
    for name in convs:
        # among the original's channels, in their order, and the weights are those of the first slimming
        assert set(twice.kept[name].tolist()) < set(once.kept[name].tolist())
        rows = [once.kept[name].tolist().index(channel) for channel in twice.kept[name].tolist()]
        assert rows == sorted(rows)
        expected = once.model.get_parameter(name)[rows][:, inputs]
        assert torch.equal(twice.model.get_parameter(name), expected)
        assert torch.equal(twice.masks[name], expected != 0)
        inputs = torch.tensor(rows)


def test_a_sparsity_that_slimming_has_passed_is_refused():
    thin = take_out_channels(_wide_network(), image_set(), macs_fraction=0.5)
    with pytest.raises(ValueError, match=r"sparsity=0\.01 keeps \d+ weights: only \d+ are left"):
        prune(thin, image_set(), NO_EPOCHS, sparsity=0.01)


def test_an_unknown_criterion_is_refused():
    with pytest.raises(ValueError, match="criterion='luck': expected one of magnitude, normalized, lamp"):
        prune(whole_network(network()), image_set(), NO_EPOCHS, sparsity=0.5, criterion="luck")


@pytest.mark.parametrize("is_slim", [False, True])
def test_a_thin_network_makes_the_round_trip(tmp_path, is_slim):
    thin = _wide_network()
    if is_slim:
        thin = take_out_channels(thin, image_set(), macs_fraction=0.5)
    prune(thin, image_set(), NO_EPOCHS, sparsity=0.8)
    save_thin(thin, tmp_path / "folder" / "thin.pt")
    loaded = load_thin(tmp_path / "folder" / "thin.pt", _wide_network().model)
    assert_equal_weights(weights(thin.model), weights(loaded.model))
    assert_equal_weights(thin.masks, loaded.masks)
    assert_equal_weights(thin.kept, loaded.kept)
    assert loaded.sparsity == thin.sparsity


def _wide_network():
    """Wide enough for the least count of channels that slimming leaves."""
    from common.networks.models import vgg

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return whole_network(vgg([32, "M", 40, "M", "M"], num_classes=3, in_channels=1))


def test_a_criterion_of_gradients_is_not_for_one_shot_without_data():
    assert one_shot_scores("lamp") is lamp_scores
    with pytest.raises(
        ValueError, match="criterion='fisher' learns from gradients: give epochs, or take one"
    ):
        one_shot_scores("fisher")
