"""Lottery tickets: masks by a slow oracle, exact resets, levels that all start from the same weights."""

import pytest
import torch
from tiny import CONFIG, assert_equal_weights, half_masks, image_set, network, weights
from torch import nn

from common.methods.lottery_tickets import (
    glorot_normal_,
    iterative_pruning,
    n_kept,
    prune_rounds,
    pruning_rates,
    reset_,
    shuffled,
    weights_of,
    whole_masks,
)
from common.networks.models import build, prunable_parameters
from common.networks.training import train


def slow_prune(values, kept, rate, rounds):
    """Places of a list that are still kept: each round drops the smallest share of those that are left."""
    kept = [place for place, is_kept in enumerate(kept) if is_kept]
    for _ in range(rounds):
        n_gone = round(rate * len(kept))
        by_size = sorted(kept, key=lambda place: (abs(values[place]), -place))  # of equals the later goes
        kept = sorted(by_size[n_gone:])
    return kept


@pytest.mark.parametrize("rounds", [0, 1, 2, 5, 40])
def test_masks_are_those_of_the_slow_rule(rounds):
    generator = torch.Generator().manual_seed(rounds)
    values = {name: torch.randint(-9, 10, (7, 11), generator=generator).float() for name in "ab"}  # many ties
    masks = {name: torch.rand(7, 11, generator=generator) < 0.8 for name in "ab"}
    found = prune_rounds(values, masks, {"a": 0.2, "b": 0.1}, rounds=rounds)
    for name, rate in (("a", 0.2), ("b", 0.1)):
        expected = slow_prune(values[name].flatten().tolist(), masks[name].flatten(), rate, rounds)
        assert found[name].flatten().nonzero().flatten().tolist() == expected


def test_one_shot_keeps_as_many_weights_as_the_single_rounds():
    model = build("lenet_300_100", width=0.1)
    rates = pruning_rates(model)
    masks = whole_masks(model)
    for level in range(1, 15):
        masks = prune_rounds(prunable_parameters(model), masks, rates)
        once = prune_rounds(prunable_parameters(model), whole_masks(model), rates, rounds=level)
        assert [int(m.sum()) for m in once.values()] == [int(m.sum()) for m in masks.values()]
        assert_equal_weights(once, masks)  # and, as the weights have not changed, the same


def test_levels_of_the_paper():
    """51.3, 21.1, 13.5, 7.0, 3.6 and 1.9 % are the levels that its figures name."""
    model = build("lenet_300_100")
    rates, masks = pruning_rates(model), whole_masks(model)
    assert rates == {"fc1.weight": 0.2, "fc2.weight": 0.2, "fc3.weight": 0.1}
    shares = {
        level: 100 * n_kept(prune_rounds(prunable_parameters(model), masks, rates, rounds=level)) / 266_200
        for level in (3, 7, 9, 12, 15, 18)
    }
    assert {level: round(share, 1) for level, share in shares.items()} == {
        3: 51.3,
        7: 21.1,
        9: 13.5,
        12: 7.0,
        15: 3.6,
        18: 1.9,
    }


def test_rates_by_kind_of_layer():
    rates = pruning_rates(network(), conv_rate=0.1)
    assert list(rates.values()) == [0.1, 0.1, 0.2, 0.1]  # two convolutions, hidden, last
    assert set(pruning_rates(network(), 0.3).values()) == {0.3, 0.15}


def test_shuffled_masks_keep_the_counts_and_forget_the_places():
    masks = half_masks(network(), share=0.3)
    one, same, other = (shuffled(masks, seed=seed) for seed in (0, 0, 1))
    assert_equal_weights(one, same)
    for name, mask in masks.items():
        assert int(one[name].sum()) == int(other[name].sum()) == int(mask.sum())
    assert any(not torch.equal(one[name], other[name]) for name in masks)
    assert any(not torch.equal(one[name], masks[name]) for name in masks)
    dense = shuffled(whole_masks(network()), seed=0)
    assert all(mask.all() for mask in dense.values())


def test_glorot_weights_have_their_variance_and_are_the_seed_s():
    model = build("lenet_300_100", seed=5)
    glorot_normal_(model, seed=3)
    first = weights_of(model)
    assert first["fc1.weight"].std().item() == pytest.approx((2 / 1084) ** 0.5, rel=0.01)
    assert all(not value.any() for name, value in first.items() if name.endswith("bias"))
    glorot_normal_(model, seed=4)
    assert not torch.equal(first["fc1.weight"], model.fc1.weight)
    glorot_normal_(model, seed=3)
    assert_equal_weights(weights_of(model), first)
    conv = nn.Sequential(nn.Conv2d(16, 32, 3))
    glorot_normal_(conv, seed=0)
    assert conv[0].weight.std().item() == pytest.approx((2 / (9 * 48)) ** 0.5, rel=0.05)


def test_a_reset_is_the_masked_first_weights_and_nothing_else():
    model = network()
    first, masks = weights_of(model), half_masks(model)
    train(model, image_set(), CONFIG)
    reset_(model, first, masks)
    for name, value in model.state_dict().items():  # batch norm's statistics too
        expected = first[name] * masks[name] if name in masks else first[name]
        assert torch.equal(value, expected), name


def test_every_level_starts_from_the_same_first_weights():
    model = network()
    first, rates, seen = weights_of(model), pruning_rates(model), []

    def train_level(model, masks, level):
        seen.append(weights(model))
        with torch.no_grad():
            for weight in prunable_parameters(model).values():
                weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(level)))
        return {"end": weights(model)}

    masks_before, end = whole_masks(model), None
    levels = (0, 1, 2, 4)
    for (level, masks, outcome), at_start in zip(
        iterative_pruning(model, train_level, rates=rates, levels=levels), seen, strict=False
    ):
        rounds = {0: 0, 1: 1, 2: 1, 4: 2}[level]
        expected = masks_before if end is None else prune_rounds(end, masks_before, rates, rounds=rounds)
        assert_equal_weights(masks, expected)
        for name, mask in masks.items():
            assert torch.equal(at_start[name], first[name] * mask)
            assert not (mask & ~masks_before[name]).any()  # what is pruned stays pruned
        masks_before, end = masks, outcome["end"]
    assert len(seen) == len(levels)


def test_rewinding_goes_to_the_weights_that_it_is_told():
    model = network()
    early = {name: value + 1 for name, value in weights_of(model).items() if value.is_floating_point()}
    early |= {name: value for name, value in weights_of(model).items() if name not in early}
    starts = [
        weights(model)
        for _ in iterative_pruning(
            model, lambda *_: None, rates=pruning_rates(model), levels=range(3), rewind=lambda: early
        )
    ]
    assert_equal_weights(starts[0], weights(network()))
    for start in starts[1:]:
        kept = start["classifier.2.weight"] != 0
        assert torch.equal(start["classifier.2.weight"][kept], early["classifier.2.weight"][kept])
        assert torch.equal(start["classifier.2.bias"], early["classifier.2.bias"])


@pytest.mark.parametrize("levels", [(), (1, 2), (0, 2, 2), (0, 3, 1)])
def test_levels_must_ascend_from_nought(levels):
    with pytest.raises(ValueError, match="expected 0 and then ascending"):
        next(iterative_pruning(network(), lambda *_: None, rates=pruning_rates(network()), levels=levels))


def test_wrong_options_are_named():
    masks = whole_masks(network())
    with pytest.raises(ValueError, match="expected the same names"):
        prune_rounds({}, masks, {"other": 0.2})
    with pytest.raises(ValueError, match="rounds=-1"):
        prune_rounds({}, masks, dict.fromkeys(masks, 0.2), rounds=-1)
    with pytest.raises(ValueError, match=r"sparsity=1\.2"):
        pruning_rates(network(), 1.2)
