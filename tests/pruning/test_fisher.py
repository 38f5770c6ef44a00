"""The Fisher criterion: its running mean, its price in bits, its place in pruning, and its checkpoints."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import CONFIG, N_STEPS, assert_equal_weights, image_set, network, weights

from common.codec.zones import keep_probability, place_bits
from common.networks.models import prunable_parameters
from common.networks.training import train
from common.pruning.callbacks import GradualPruner
from common.pruning.fisher import FisherScores
from common.pruning.network import prune, whole_network


class Gradients:
    def __init__(self):
        self.squares = []

    def before_step(self, model, step):
        self.squares.append({n: p.grad.double() ** 2 for n, p in prunable_parameters(model).items()})


class Killer:
    def __init__(self, step):
        self.kill_at = step

    def after_step(self, model, step):
        if step == self.kill_at:
            raise KeyboardInterrupt


def pruned_run(path=None, killer=None, **options):
    pruner = GradualPruner(0.7, 0, 9, every=2, score=FisherScores(**options))
    model = network()
    train(
        model,
        image_set(),
        CONFIG,
        device="cpu",
        checkpoint=path,
        checkpoint_steps=1,
        callbacks=[pruner, killer or object()],
    )
    return model, pruner


def test_the_running_mean_is_plain_at_first_and_then_forgets():
    recorded, score = Gradients(), FisherScores(decay=0.75)
    model = network()
    train(model, image_set(), CONFIG, device="cpu", callbacks=[recorded, score])
    assert set(score.fisher) == set(prunable_parameters(model))
    for name, mean in score.fisher.items():
        expected = torch.zeros_like(mean, dtype=torch.float64)
        for step, squares in enumerate(recorded.squares):
            share = 1 / (step + 1) if step < 3 else 0.25
            expected = (1 - share) * expected + share * squares[name]
        torch.testing.assert_close(mean.double(), expected, rtol=1e-4, atol=1e-12)


def test_the_score_is_squared_weight_times_mean_squared_gradient():
    score = FisherScores()
    score.fisher = {"a": torch.tensor([[1.0, 4.0], [0.25, 9.0]])}
    weight = torch.tensor([[2.0, 1.0], [4.0, 0.0]])
    assert score({"a": weight})["a"].tolist() == [[4.0, 4.0], [4.0, 0.0]]
    with pytest.raises(ValueError, match="no gradient of 'b' was seen"):
        score({"b": weight})


def test_per_bit_a_weight_alone_in_its_row_scores_less_than_its_equal_in_a_crowd():
    weight = torch.zeros(8, 16)
    weight[0] = 1.0
    weight[5, 3] = 1.0
    score = FisherScores(value_bits=3.0)
    score.fisher = {"a": torch.ones(8, 16)}
    scores = score({"a": weight})["a"]
    assert scores[5, 3] < scores[0, 7]
    assert scores[5, 3] == pytest.approx(1 / (3 + place_bits((weight != 0).numpy())[5, 3]))


def bits_of(pruner):
    return sum(float(place_bits(mask.numpy())[mask.numpy()].sum()) for mask in pruner.masks.values())


def test_the_price_in_bits_changes_what_a_gradual_pruning_keeps():
    (_, plain), (_, by_rate) = pruned_run(), pruned_run(value_bits=3.0)
    assert any((plain.masks[name] != by_rate.masks[name]).any() for name in plain.masks)
    assert bits_of(by_rate) < bits_of(plain)


def test_without_the_masks_a_gradual_pruning_keeps_what_plain_fisher_information_keeps():
    (_, plain), (_, older) = pruned_run(), pruned_run(value_bits=3.0, uses_masks=False)
    assert_equal_weights(plain.masks, older.masks)


def test_a_mask_decides_what_counts_as_kept():
    weight, mask = torch.ones(8, 16), torch.zeros(8, 16, dtype=torch.bool)
    mask[0], mask[5, 3] = True, True
    score = FisherScores(value_bits=3.0)
    score.fisher = {"a": torch.ones(8, 16)}
    expected = score({"a": torch.where(mask, weight, 0.0)})["a"]
    torch.testing.assert_close(score({"a": weight}, {"a": mask})["a"][mask], expected[mask])


def test_the_name_of_a_criterion_tells_whether_it_sees_the_masks():
    names = {FisherScores(value_bits=3.0, uses_masks=seen).__name__ for seen in (True, False)}
    assert len(names) == 2
    assert FisherScores().__name__ == FisherScores(uses_masks=False).__name__


@pytest.mark.parametrize("options", [{"decay": 1.0}, {"decay": -1}, {"value_bits": 0}, {"value_bits": -2.0}])
def test_options_without_a_meaning_are_refused(options):
    with pytest.raises(ValueError, match="expected in"):
        FisherScores(**options)


@pytest.mark.parametrize("value_bits", [None, 3.0])
@pytest.mark.parametrize("step", [0, 3, 7, N_STEPS - 1])
def test_killed_a_pruning_by_fisher_resumes_to_the_same_masks(tmp_path, value_bits, step):
    model, pruner = pruned_run(value_bits=value_bits)
    with pytest.raises(KeyboardInterrupt):
        pruned_run(tmp_path / "run.pt", Killer(step), value_bits=value_bits)
    resumed, again = pruned_run(tmp_path / "run.pt", value_bits=value_bits)
    assert_equal_weights(weights(model), weights(resumed))
    assert_equal_weights(pruner.masks, again.masks)
    assert_equal_weights(pruner.score.fisher, again.score.fisher)


def test_a_checkpoint_of_another_decay_is_refused(tmp_path):
    pruned_run(tmp_path / "run.pt")
    with pytest.raises(ValueError, match="pruned with other score: delete it"):
        pruned_run(tmp_path / "run.pt", decay=0.5)


@pytest.mark.parametrize("criterion", ["fisher", "fisher_by_rate", "fisher_per_bit"])
@pytest.mark.parametrize("epochs", [0, 2])
def test_a_network_is_pruned_to_its_sparsity(criterion, epochs):
    thin = whole_network(network())
    config = replace(CONFIG, epochs=epochs)
    prune(thin, image_set(), config, sparsity=0.6, criterion=criterion, device="cpu")
    n_kept = sum(int((weight != 0).sum()) for weight in prunable_parameters(thin.model).values())
    # dead channels may take a few with them
    assert n_kept <= round(0.4 * thin.n_weights)
    assert n_kept > 0.25 * thin.n_weights


def test_one_shot_without_images_is_refused():
    with pytest.raises(ValueError, match="looks at gradients: give it training images"):
        prune(whole_network(network()), None, replace(CONFIG, epochs=0), sparsity=0.5, criterion="fisher")


def test_places_are_as_probable_as_their_row_and_column_are_full():
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=bool)
    # rows keep 4, 2, 0 and columns 2, 2, 1, 1 of 6: 4 * 2 / 6 is more than certain
    expected = [[1, 1, 4 / 6, 4 / 6], [4 / 6, 4 / 6, 2 / 6, 2 / 6], [0, 0, 0, 0]]
    np.testing.assert_allclose(keep_probability(mask), expected)


def test_in_an_even_tensor_the_places_take_its_entropy():
    mask = np.zeros((16, 16), dtype=bool)
    for row in range(16):
        mask[row, (row + np.arange(4)) % 16] = True
    entropy = -0.25 * np.log2(0.25) - 0.75 * np.log2(0.75)
    assert place_bits(mask)[mask].sum() == pytest.approx(256 * entropy)
