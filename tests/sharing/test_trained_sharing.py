"""Trained sharing: against brute force on a tiny layer, today's tuning, and the bits of a real file."""

import itertools

import numpy as np
import pytest
import torch
from tiny import CONFIG, N_STEPS, assert_equal_weights, image_set, network, weights
from torch import nn

from common.codec.container import CompressedModel, save, sizes
from common.networks.models import prunable_parameters
from common.networks.training import train
from common.sharing.centroid_tuning import CentroidTuner
from common.sharing.trained_sharing import TrainedSharing
from common.sharing.weight_sharing import share_weights


class Killer:
    def __init__(self, step):
        self.kill_at = step

    def after_step(self, model, step):
        if step == self.kill_at:
            raise KeyboardInterrupt


def linear(weight):
    model = nn.Sequential(nn.Linear(weight.shape[1], weight.shape[0], bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.as_tensor(weight))
    return model


def shared_layer(weight, mask=None, n_clusters=3):
    return {"0.weight": share_weights(np.asarray(weight, np.float32), mask, n_clusters=n_clusters)}


def run(tuner_of, path=None, killer=None):
    model = network()
    shared = {
        name: share_weights(weight.detach().numpy(), np.abs(weight.detach().numpy()) > 0.1, n_clusters=4)
        for name, weight in prunable_parameters(model).items()
    }
    tuner = tuner_of(shared, model)
    others = [value for name, value in model.named_parameters() if name not in shared]
    train(
        model,
        image_set(),
        CONFIG,
        device="cpu",
        checkpoint=path,
        checkpoint_steps=1,
        callbacks=[tuner, killer or object()],
        parameters=[*tuner.parameters(), *others],
    )
    return model, tuner


def assert_equal_tensors(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        np.testing.assert_array_equal(tensor.codebook, second[name].codebook)
        np.testing.assert_array_equal(tensor.indices, second[name].indices)
        np.testing.assert_array_equal(tensor.positions, second[name].positions)


def test_frozen_and_without_a_price_it_is_the_plain_tuning_bit_for_bit():
    model, tuner = run(CentroidTuner)
    other, sharing = run(lambda shared, model: TrainedSharing(shared, model, every=0))
    assert_equal_weights(weights(model), weights(other))
    assert_equal_tensors(tuner.shared_tensors(), sharing.shared_tensors())


@pytest.mark.parametrize("with_zero", [True, False])
@pytest.mark.parametrize("price", [0.0, 0.02, 0.3])
def test_an_assignment_is_the_cheapest_of_all(price, with_zero):
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(2, 4)).astype(np.float32)
    mask = np.array([[1, 1, 0, 1], [1, 1, 1, 0]], dtype=bool)
    importance = torch.from_numpy(rng.uniform(0.5, 2, (2, 4)).astype(np.float32))
    sharing = TrainedSharing(
        shared_layer(weight, mask), linear(weight), importance={"0.weight": importance}, with_zero=with_zero
    )
    layer = sharing._layers["0.weight"]
    codebook, before = layer.codebook.detach().double().tolist(), layer.indices.clone()
    # the prices, by the formulas: shares of the clusters, and of kept weights by row and column
    shares = np.bincount(before, minlength=3) / 6
    rows, columns = mask.sum(1), mask.sum(0)
    costs = []
    for (row, column), latent in zip(np.argwhere(mask), weight[mask], strict=True):
        p = min(rows[row] * columns[column] / 6, 0.99)
        factor = float(importance[row, column])
        place = -np.log2(p) if with_zero else 0.0
        cost = [
            factor * (latent - c) ** 2 + price * (place - np.log2(s))
            for c, s in zip(codebook, shares, strict=True)
        ]
        costs.append([*cost, factor * latent**2 - price * np.log2(1 - p)] if with_zero else cost)
    best = min(
        itertools.product(range(3 + with_zero), repeat=6),
        key=lambda chosen: sum(cost[k] for cost, k in zip(costs, chosen, strict=True)),
    )
    sharing.assign_(price)
    assert layer.indices.tolist() == list(best)


def test_a_price_makes_zeros_and_fewer_bits_and_zeros_may_come_back():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(40, 50)).astype(np.float32)
    model = linear(weight)
    sharing = TrainedSharing(shared_layer(weight, np.abs(weight) > 0.3, n_clusters=8), model)
    bits, kept = [], []
    for price in (0.0, 0.1, 0.4):
        sharing.assign_(price)
        bits.append(sharing.priced_bits()["0.weight"])
        kept.append(sharing.shared_tensors()["0.weight"].n_kept)
    assert bits[0] > bits[1] > bits[2]
    assert kept[0] > kept[1] > kept[2]
    sharing.assign_(0.0)
    assert sharing.shared_tensors()["0.weight"].n_kept > kept[2]
    sharing.write_weights_(model)
    dense = sharing.shared_tensors()["0.weight"].to_dense()
    np.testing.assert_array_equal(dense, model[0].weight.detach().numpy())


@pytest.mark.parametrize(("density", "n_clusters"), [(0.06, 8), (0.2, 4), (0.4, 6)])
def test_the_price_is_what_the_file_takes(density, n_clusters):
    rng = np.random.default_rng(2)
    weight = rng.laplace(size=(400, 500)).astype(np.float32)
    mask = rng.random(weight.shape) < density
    sharing = TrainedSharing(shared_layer(weight, mask, n_clusters), linear(weight))
    for price in (0.0, 0.03):
        sharing.assign_(price)
        tensor = sharing.shared_tensors()["0.weight"]
        (row,) = sizes(save(CompressedModel({"0.weight": tensor}, {}), store_names=False))
        measured = row.values_bits + row.index_bits
        assert sharing.priced_bits()["0.weight"] == pytest.approx(measured, rel=0.02)


def test_gradients_reach_latents_and_codebook():
    weight = np.array([[1.0, 1.2, -2.0, 0.0]], dtype=np.float32)
    mask = np.array([[True, True, True, False]])
    model = linear(weight)
    sharing = TrainedSharing(shared_layer(weight, mask, 2), model)
    model[0].weight.grad = torch.tensor([[1.0, 2.0, 4.0, 8.0]])
    sharing.before_step(model, 0)
    codebook, latent = sharing.parameters()
    assert latent.grad.tolist() == [1.0, 2.0, 4.0]
    assert codebook.grad.tolist() == [4.0, 3.0]
    assert model[0].weight.grad is None


def test_the_price_climbs_along_a_line():
    weight = np.ones((1, 2), np.float32)
    sharing = TrainedSharing(shared_layer(weight), linear(weight), rate_weight=0.5, ramp_steps=10)
    assert [sharing.price_at(step) for step in (0, 5, 10, 20)] == [0.0, 0.25, 0.5, 0.5]


@pytest.mark.parametrize("step", [0, 2, 6, N_STEPS - 1])
def test_killed_it_resumes_bit_for_bit(tmp_path, step):
    def tuner_of(shared, model):
        return TrainedSharing(shared, model, every=2, rate_weight=0.05, ramp_steps=6)

    model, sharing = run(tuner_of)
    with pytest.raises(KeyboardInterrupt):
        run(tuner_of, tmp_path / "run.pt", Killer(step))
    again, resumed = run(tuner_of, tmp_path / "run.pt")
    assert_equal_weights(weights(model), weights(again))
    assert_equal_tensors(sharing.shared_tensors(), resumed.shared_tensors())
    with pytest.raises(ValueError, match="shared with every, rate_weight, ramp_steps"):
        run(lambda shared, model: TrainedSharing(shared, model, every=3), tmp_path / "run.pt")


@pytest.mark.parametrize("options", [{"every": -1}, {"rate_weight": -1.0}, {"ramp_steps": -2}])
def test_options_without_a_meaning_are_refused(options):
    weight = np.ones((1, 2), np.float32)
    with pytest.raises(ValueError, match="expected all >= 0"):
        TrainedSharing(shared_layer(weight), linear(weight), **options)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_latent_values_follow_their_weights():
    model = linear(np.linspace(-1, 1, 12).reshape(3, 4))
    sharing = TrainedSharing(shared_layer(model[0].weight.detach().numpy()), model, every=1)
    optimizer = torch.optim.Adam(sharing.parameters(), lr=0.1)
    model.cuda()
    for step in range(3):
        model(torch.ones(2, 4, device="cuda")).square().sum().backward()
        sharing.before_step(model, step)
        optimizer.step()
        sharing.after_step(model, step)
    assert {value.device.type for value in sharing.parameters()} == {"cuda"}
    assert torch.equal(
        model[0].weight.cpu(), torch.from_numpy(sharing.shared_tensors()["0.weight"].to_dense())
    )
