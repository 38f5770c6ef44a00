"""Pruning: exact counts, schedules, callbacks through an optimiser, dead channels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import kept_by_sorting
from torch import nn
from torch.nn.utils import prune

from common.pruning import masks as masks_module
from common.pruning.callbacks import (
    GradualPruner,
    MaskKeeper,
    apply_masks_,
    cubic_sparsity,
    dead_channels,
    global_masks,
    iterative_schedule,
    lamp_scores,
    layerwise_masks,
    magnitude_scores,
    normalized_scores,
    prunable_names,
    random_masks,
    remove_dead_channels_,
    sensitivity_scan,
    sparsity_of,
)

FEW_SCORES = st.lists(st.sampled_from([0.0, 1.0, 2.0, -torch.inf]), max_size=12)  # ties are the rule


def small_net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 4, 5)
    )


def flat(masks):
    return torch.cat([mask.flatten() for mask in masks.values()])


@given(FEW_SCORES, FEW_SCORES, st.floats(0, 1), st.randoms(use_true_random=False), st.booleans())
@settings(deadline=None)
def test_global_masks_keep_exactly_the_best(first, second, sparsity, random, constrained):
    scores = {"a": torch.tensor(first), "b": torch.tensor(second)}
    allowed = [not constrained or random.random() < 0.6 for _ in first + second]
    current = dict(
        zip("ab", torch.tensor(allowed, dtype=torch.bool).split([len(first), len(second)]), strict=True)
    )
    masks = global_masks(scores, sparsity, current=current if constrained else None)
    n_keep = round((1 - sparsity) * len(first + second))
    expected = kept_by_sorting(first + second, min(n_keep, sum(allowed)), allowed)
    assert flat(masks).nonzero().flatten().tolist() == expected
    assert [mask.shape for mask in masks.values()] == [score.shape for score in scores.values()]


def test_equal_scores_keep_the_exact_count_in_order():
    masks = global_masks({"b": torch.ones(7, 3), "a": torch.ones(79)}, 0.9)
    assert flat(masks).tolist() == [True] * 10 + [False] * 90


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.37, 0.9, 0.99, 1.0])
def test_global_masks_agree_with_torch_prune(sparsity):
    net = small_net()
    weights = {"0.weight": net[0].weight, "5.weight": net[5].weight}
    masks = global_masks(magnitude_scores(weights), sparsity)
    total = sum(weight.numel() for weight in weights.values())
    prune.global_unstructured(
        [(net[0], "weight"), (net[5], "weight")],
        prune.L1Unstructured,
        amount=total - round((1 - sparsity) * total),
    )
    assert torch.equal(masks["0.weight"], net[0].weight_mask.bool())
    assert torch.equal(masks["5.weight"], net[5].weight_mask.bool())


@given(st.lists(st.sampled_from([-np.inf, 0.0, 0.5, 1.0, 2.0, np.inf]), min_size=1, max_size=30), st.data())
def test_sorting_finds_what_searching_finds(scores, data):
    k = data.draw(st.integers(1, len(scores)))
    found = [masks_module._kth_smallest(torch.tensor(scores), k, by_sorting=way) for way in (True, False)]
    assert torch.equal(*found)


def test_layerwise_masks_agree_with_torch_prune():
    net = small_net()
    weights = {"0.weight": net[0].weight, "5.weight": net[5].weight}
    masks = layerwise_masks(magnitude_scores(weights), {"0.weight": 0.25, "5.weight": 0.7})
    prune.l1_unstructured(net[0], "weight", amount=216 - round(0.75 * 216))
    prune.l1_unstructured(net[5], "weight", amount=160 - round(0.3 * 160))
    assert torch.equal(masks["0.weight"], net[0].weight_mask.bool())
    assert torch.equal(masks["5.weight"], net[5].weight_mask.bool())


def test_pruned_weights_never_grow_back():
    weights = {"a": torch.tensor([5.0, 4.0, 3.0, 2.0])}
    current = {"a": torch.tensor([False, True, True, True])}
    assert global_masks(weights, 0.5, current=current)["a"].tolist() == [False, True, True, False]
    assert global_masks(weights, 0.0, current=current)["a"].tolist() == [False, True, True, True]
    assert layerwise_masks(weights, {"a": 0.75}, current=current)["a"].tolist() == [False, True, False, False]


def test_normalized_scores_are_blind_to_scale():
    weight = torch.randn(50, generator=torch.Generator().manual_seed(0))
    scores = normalized_scores(
        {"a": weight, "b": -1000 * weight, "zero": torch.zeros(3), "none": torch.zeros(0)}
    )
    torch.testing.assert_close(scores["a"], scores["b"])
    torch.testing.assert_close(scores["a"].square().mean(), torch.tensor(1.0))
    assert scores["zero"].tolist() == [0, 0, 0]


def test_lamp_scores_by_hand():
    # Squares 1, 4, 9: 1 / (1 + 4 + 9), 4 / (4 + 9), 9 / 9.
    scores = lamp_scores({"a": torch.tensor([[-3.0, 1.0, 2.0]]), "zero": torch.zeros(2)})
    torch.testing.assert_close(scores["a"], torch.tensor([[1.0, 1 / 14, 4 / 13]]))
    assert scores["zero"].tolist() == [0, 0]


def test_random_masks_repeat_with_their_seed():
    weights = {"a": torch.zeros(30, 30), "b": torch.zeros(100)}
    first, again, other = (random_masks(weights, 0.8, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(flat(first), flat(again))
    assert not torch.equal(flat(first), flat(other))
    assert int(flat(first).sum()) == 200


def test_sparsity_counts_over_all_masks():
    assert sparsity_of({"a": torch.tensor([True, False]), "b": torch.zeros(6, dtype=torch.bool)}) == 0.875
    assert sparsity_of({}) == 0.0


def test_cubic_schedule():
    steps = [cubic_sparsity(step, 10, 20, 0.8, initial=0.2) for step in (0, 9, 10, 15, 19, 20, 99)]
    np.testing.assert_allclose(steps, [0.2, 0.2, 0.2, 0.8 - 0.6 / 8, 0.8 - 0.6 / 1000, 0.8, 0.8])
    assert cubic_sparsity(5, 5, 5, 0.9) == 0.9


def test_iterative_schedule_removes_equal_shares():
    rounds = iterative_schedule(0.99, 4)
    kept = 1 - np.array([0.0, *rounds])
    np.testing.assert_allclose(kept[1:] / kept[:-1], 0.01**0.25)
    assert rounds[-1] == 0.99


@pytest.mark.parametrize("optimizer", ["momentum", "adamw"])
def test_mask_keeper_holds_zeros_through_the_optimiser(optimizer):
    net = small_net()
    weights = {name: dict(net.named_parameters())[name] for name in prunable_names(net)}
    x = torch.randn(16, 3, 6, 6)
    opt = {
        "momentum": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=1e-2),
        "adamw": lambda p: torch.optim.AdamW(p, 0.01),
    }[optimizer](net.parameters())
    net(x).square().mean().backward()
    opt.step()  # fills the momentum of weights that are pruned only now
    keeper = MaskKeeper(global_masks(magnitude_scores(weights), 0.7))
    for step in range(5):
        opt.zero_grad()
        net(x).square().mean().backward()
        opt.step()
        moved = sum(int((weights[name][~mask] != 0).sum()) for name, mask in keeper.masks.items())
        assert moved > 0, "without the keeper the optimiser revives pruned weights"
        keeper.after_step(net, step)
        for name, mask in keeper.masks.items():
            assert torch.equal(weights[name].detach()[~mask], torch.zeros(int((~mask).sum())))
            assert (weights[name].detach()[mask] != 0).all()


def test_gradual_pruner_follows_its_schedule():
    net = small_net()
    pruner = GradualPruner(0.9, start_step=2, end_step=9, every=3)
    seen, before = [], None
    for step in range(12):
        with torch.no_grad():
            for parameter in net.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
        pruner.after_step(net, step)
        seen.append(round(sparsity_of(pruner.masks), 6))
        if before is not None and pruner.masks:
            assert not (flat(pruner.masks) & ~before).any(), "a pruned weight grew back"
        before = flat(pruner.masks) if pruner.masks else None
    due = [round(1 - round((1 - cubic_sparsity(step, 2, 9, 0.9)) * 376) / 376, 6) for step in (2, 5, 8, 9)]
    assert seen == [0, 0, *[due[0]] * 3, *[due[1]] * 3, due[2], *[due[3]] * 3]
    assert set(pruner.masks) == {"0.weight", "5.weight"}
    assert (net[1].weight != 0).all()
    assert int((net[0].weight == 0).sum() + (net[5].weight == 0).sum()) == 376 - round(0.1 * 376)


def test_gradual_pruner_resumes_from_its_state():
    net = small_net()
    first = GradualPruner(0.5, 0, 10, 5)
    first.after_step(net, 0)
    first.after_step(net, 5)
    second = GradualPruner(0.5, 0, 10, 5)
    second.load_state_dict(first.state_dict())
    assert torch.equal(flat(first.masks), flat(second.masks))


def test_pruning_a_bias_only_when_asked():
    net = small_net()
    GradualPruner(1.0, 0, 1, names=["5.bias"]).after_step(net, 1)
    assert net[5].bias.tolist() == [0] * 5
    assert (net[5].weight != 0).all()


def test_sensitivity_scan_restores_the_model():
    net = small_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    rows = sensitivity_scan(net, lambda model: float((model[0].weight == 0).float().mean()), [0.25, 0.5])
    assert [(row.name, row.sparsity, row.value) for row in rows] == [
        ("0.weight", 0.25, 0.25),
        ("0.weight", 0.5, 0.5),
        ("5.weight", 0.25, 0.0),
        ("5.weight", 0.5, 0.0),
    ]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_sensitivity_scan_restores_the_model_when_evaluation_fails():
    net = small_net()
    before = net[0].weight.detach().clone()

    def fail(model):
        raise KeyError("evaluation")

    with pytest.raises(KeyError, match="evaluation"):
        sensitivity_scan(net, fail, [0.5])
    assert torch.equal(net[0].weight, before)


def chain_net(seed):
    """Biases of both signs, a flatten of 2 x 2 positions a channel."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 12, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(12, 10, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(10 * 4, 9),
        nn.ReLU(),
        nn.Linear(9, 3),
    )


CHAIN = ["0.weight", "2.weight", "6.weight", "8.weight"]


@pytest.mark.parametrize("bias_sign", ["not positive", "any"])
@pytest.mark.parametrize("seed", range(5))
def test_without_dead_channels_the_output_is_the_same(seed, bias_sign):
    net = chain_net(seed)
    if bias_sign == "not positive":
        with torch.no_grad():
            for layer in (net[0], net[2], net[6]):
                layer.bias.copy_(-layer.bias.abs())
    parameters = dict(net.named_parameters())
    masks = layerwise_masks(
        magnitude_scores({name: parameters[name] for name in CHAIN}),
        dict(zip(CHAIN, [0.9, 0.97, 0.93, 0.7], strict=True)),
    )
    apply_masks_(net, masks)
    x = torch.randn(8, 2, 4, 4)
    with torch.no_grad():
        expected = net(x)
        biases = {name: parameters[name.replace("weight", "bias")] for name in CHAIN}
        kept = remove_dead_channels_(masks, CHAIN, biases=None if bias_sign == "not positive" else biases)
        apply_masks_(net, masks)
        assert torch.equal(net(x), expected)
        assert torch.equal(smaller(net, kept)(x), net(x)) or torch.allclose(
            smaller(net, kept)(x), expected, atol=1e-6
        )
    assert sum(channels.numel() for channels in kept.values()) < 12 + 10 + 9 + 3, "nothing was dropped"
    assert kept["8.weight"].tolist() == [0, 1, 2]


def smaller(net, kept):
    """The network of the kept channels alone."""
    rows = [kept[name] for name in CHAIN]
    columns = [torch.arange(2), rows[0], (rows[1][:, None] * 4 + torch.arange(4)).flatten(), rows[2]]
    layers = []
    for old, row, column in zip((net[0], net[2], net[6], net[8]), rows, columns, strict=True):
        sizes = (column.numel(), row.numel())
        new = nn.Linear(*sizes) if isinstance(old, nn.Linear) else nn.Conv2d(*sizes, 3, padding=1)
        new.weight.copy_(old.weight[row][:, column])
        new.bias.copy_(old.bias[row])
        layers.append(new)
    return nn.Sequential(
        layers[0],
        nn.ReLU(),
        layers[1],
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        layers[2],
        nn.ReLU(),
        layers[3],
    )


def test_dead_channels_run_to_a_fixed_point():
    # Channel 1 of "a" has no input. "b" reads channel 1 only for its own channel 0, which so dies too, and
    # takes with it column 0 of "c". "d" does not read output 2 of "c".
    masks = {
        name: torch.ones(shape, dtype=torch.bool)
        for name, shape in {"a": (2, 3), "b": (2, 2), "c": (3, 4), "d": (2, 3)}.items()
    }
    masks["a"][1] = False
    masks["b"][0, 0] = False
    masks["d"][:, 2] = False
    untouched = {name: mask.clone() for name, mask in masks.items()}
    dead = dead_channels(masks, ["a", "b", "c", "d"])
    assert {name: channels.tolist() for name, channels in dead.items()} == {
        "a": [1],
        "b": [0],
        "c": [2],
        "d": [],
    }
    assert all(torch.equal(masks[name], untouched[name]) for name in masks)

    kept = remove_dead_channels_(masks, ["a", "b", "c", "d"])
    assert {name: channels.tolist() for name, channels in kept.items()} == {
        "a": [0],
        "b": [1],
        "c": [0, 1],
        "d": [0, 1],
    }
    assert masks["b"].tolist() == [[False, False], [True, False]]
    assert masks["c"].tolist() == [[False, False, True, True]] * 2 + [[False] * 4]
    assert masks["d"].tolist() == [[True, True, False]] * 2


def test_a_constant_channel_stays_when_its_bias_is_positive():
    masks = {"a": torch.tensor([[False], [True], [False]]), "b": torch.ones(1, 3, dtype=torch.bool)}
    kept = remove_dead_channels_(masks, ["a", "b"], biases={"a": torch.tensor([0.5, -1.0, 0.0])})
    assert kept["a"].tolist() == [0, 1]
    assert masks["b"].tolist() == [[True, True, False]]


@pytest.mark.parametrize("sparsity", [-0.1, 1.5, 90, float("nan")])
def test_refuses_a_sparsity_that_is_no_fraction(sparsity):
    for call in (
        lambda: global_masks({"a": torch.ones(3)}, sparsity),
        lambda: layerwise_masks({"a": torch.ones(3)}, {"a": sparsity}),
        lambda: cubic_sparsity(0, 0, 1, sparsity),
        lambda: iterative_schedule(sparsity, 3),
        lambda: sensitivity_scan(small_net(), lambda model: 0.0, [sparsity]),
    ):
        with pytest.raises(ValueError, match="sparsity="):
            call()


def test_refuses_what_does_not_fit():
    ones = torch.ones(3)
    whole = torch.ones(3, dtype=torch.bool)
    for call, message in (
        (lambda: global_masks({"a": ones * torch.nan}, 0.5), "'a' hold NaN"),
        (lambda: global_masks({"a": ones}, 0.5, current={"b": whole}), "lack 'a'"),
        (lambda: layerwise_masks({"a": ones}, {"a": 0.5}, current={"b": whole}), "lack 'a'"),
        (lambda: global_masks({"a": ones}, 0.5, current={"a": whole[:2]}), r"expected torch.bool \(3,\)"),
        (lambda: layerwise_masks({"a": ones}, {"b": 0.5}), r"missing \['a'\], unknown \['b'\]"),
        (lambda: apply_masks_(small_net(), {"nosuch": whole}), "'nosuch'"),
        (lambda: apply_masks_(small_net(), {"5.bias": whole}), r"expected torch.bool \(5,\)"),
        (lambda: apply_masks_(small_net(), {"5.bias": torch.ones(5)}), "torch.float32"),
        (lambda: cubic_sparsity(0, 5, 4, 0.5), "end_step=4"),
        (lambda: iterative_schedule(0.5, 0), "rounds=0"),
        (lambda: GradualPruner(0.5, 0, 1, every=0), "every=0"),
        (lambda: dead_channels({"a": torch.ones(2, 2, dtype=torch.bool)}, ["a", "b"]), r"\['b'\]"),
        (lambda: dead_channels({"a": whole[:, None], "b": whole[None, :2]}, ["a", "b"]), "has 2 inputs"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_no_tensors_give_no_masks():
    assert global_masks({}, 0.5) == {}
    assert layerwise_masks({}, {}) == {}
