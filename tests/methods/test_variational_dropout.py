"""Sparse variational dropout: divergence against integral, noise against sampled weights, exactness."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from tiny import CONFIG, N_STEPS, assert_equal_weights, image_set, network, weights
from torch import nn

from common.methods.variational_dropout import (
    EDGES,
    K1,
    Noise,
    NoiseHistory,
    VariationalLinear,
    VariationalObjective,
    kl_divergence,
    noise_record,
    to_plain,
    to_variational,
    total_kl,
    variational_layers,
)
from common.networks.models import build, prunable_parameters
from common.networks.training import evaluate, train
from common.pruning.constant_units import grow_, grow_masks, grow_shared, without_constant_units
from common.pruning.masks import apply_masks_, random_masks
from common.sharing.weight_sharing import share_weights

ADAM = replace(CONFIG, optimizer="adam", max_lr=0.01, weight_decay=0.0, label_smoothing=0.0)


def integrated_kl(log_alpha):
    """−½ log α + E log|ε| with ε ~ N(1, α), less its limit at infinity, by adaptive quadrature."""
    alpha = math.exp(log_alpha)
    density = stats.norm(1.0, math.sqrt(alpha)).pdf
    points = [0.0, 1.0]
    width = 40 * math.sqrt(alpha)
    parts = [1.0 - width, *[p for p in points if abs(p - 1) < width], 1.0 + width]
    mean = sum(
        integrate.quad(lambda x: density(x) * math.log(abs(x)) if x else 0.0, low, high, limit=400)[0]
        for low, high in zip(sorted(parts), sorted(parts)[1:], strict=False)
    )
    return mean - 0.5 * log_alpha + 0.5 * (np.euler_gamma + math.log(2))


def exact_kl(log_alpha):
    """½ (Σ_j Poisson(j; 1/2α) ψ(j + ½) − ψ(½)): ε² is a Poisson mixture of χ² variables."""
    rate = 0.5 * math.exp(-log_alpha)
    j = np.arange(int(rate + 12 * math.sqrt(rate) + 40))
    return 0.5 * float((stats.poisson(rate).pmf(j) * special.digamma(j + 0.5)).sum() - special.digamma(0.5))


@pytest.mark.parametrize("log_alpha", [-4.0, -2.0, -1.0, 0.0, 1.0, 3.0, 5.0])
def test_divergence_is_the_integral_within_the_papers_precision(log_alpha):
    truth = integrated_kl(log_alpha)
    assert truth == pytest.approx(exact_kl(log_alpha), abs=2e-4)  # two derivations of the truth
    found = kl_divergence(torch.tensor(log_alpha, dtype=torch.float64)).item()
    assert abs(found - truth) < 0.0095


def test_divergence_is_within_the_papers_precision_everywhere():
    grid = np.linspace(-7, 12, 400)
    found = kl_divergence(torch.from_numpy(grid)).numpy()
    off = found - [exact_kl(x) for x in grid]
    assert np.abs(off).max() < 0.0095
    # The paper's 0.009 holds where both count from the paper's constant.
    assert np.abs(off + 0.5 * (np.euler_gamma + math.log(2)) - K1).max() < 0.009
    assert np.all(np.diff(found) < 0)  # more noise is always cheaper
    assert kl_divergence(torch.tensor([20.0, 60.0])).tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    steep = kl_divergence(torch.tensor([-21.0, -20.0], dtype=torch.float64))
    assert (steep[0] - steep[1]).item() == pytest.approx(0.5, abs=1e-6)  # 0.5 for every factor e of the noise


def noisy_layer(kind):
    torch.manual_seed(0)
    layer, images = {
        "linear": (nn.Linear(6, 4), torch.randn(1, 6)),
        "conv": (nn.Conv2d(2, 3, 3, stride=2, padding=1), torch.randn(1, 2, 6, 6)),
    }[kind]
    layer = to_variational(nn.Sequential(layer))[0]
    with torch.no_grad():
        layer.log_sigma2.uniform_(-3.0, 0.0)
    return layer, images


@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_noise_of_outputs_has_the_moments_of_sampled_weights(kind):
    layer, image = noisy_layer(kind)
    plain = to_plain(nn.Sequential(layer))[0][0]
    n, generator = 4000, torch.Generator().manual_seed(1)
    spread = layer.log_sigma2.exp().sqrt()
    sampled = []
    with torch.no_grad():
        for _ in range(n):  # the slow way: a weight of its own for every image
            noise = torch.randn(spread.shape, generator=generator)
            plain.weight.copy_(layer.weight + spread * noise)
            sampled.append(plain(image))
        found = layer.train()(image.expand(n, *image.shape[1:]))
    sampled = torch.cat(sampled)
    scale = sampled.std(0)
    assert torch.all((found.mean(0) - sampled.mean(0)).abs() < 6 * scale * math.sqrt(2 / n))
    assert torch.allclose(found.std(0), scale, rtol=0.1)
    flat = found.flatten(1).double()  # outputs of one image are drawn independently of each other
    off_diagonal = torch.corrcoef(flat.T) - torch.eye(flat.shape[1])
    assert off_diagonal.abs().max() < 6 / math.sqrt(n)


def test_log_alpha_and_mask_by_hand():
    layer = to_variational(nn.Sequential(nn.Linear(3, 1)), log_sigma2=-2.0)[0]
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, math.exp(-2.4), math.exp(-2.6)]]))
    assert layer.log_alpha()[0].tolist() == pytest.approx([-2.0, 2.8, 3.2], abs=1e-4)
    assert layer.mask().tolist() == [[True, True, False]]


def test_the_way_there_and_back_leaves_kept_weights_bit_for_bit_and_exact_zeros():
    model = build("lenet_5", width=0.2)
    before = weights(model)
    noisy = to_variational(model, log_sigma2=-6.0)
    assert_equal_weights(weights(model), before)
    assert [type(layer).__name__ for layer in variational_layers(noisy).values()] == [
        "VariationalConv2d",
        "VariationalConv2d",
        "VariationalLinear",
        "VariationalLinear",
    ]
    plain, masks = to_plain(noisy)
    assert [type(module) for module in plain.modules()] == [type(module) for module in model.modules()]
    assert list(plain.state_dict()) == list(before)
    assert set(masks) == set(prunable_parameters(model))
    for name, value in plain.state_dict().items():
        mask = masks.get(name, torch.ones_like(value, dtype=torch.bool))
        assert torch.equal(value[mask], before[name][mask])
        assert torch.all(value[~mask] == 0)
    assert 0 < sum(int(mask.sum()) for mask in masks.values()) < sum(m.numel() for m in masks.values())
    images = torch.randn(3, 1, 28, 28)
    assert torch.equal(noisy.eval()(images), plain.eval()(images))


def test_the_noise_of_a_step_is_always_the_same():
    value = torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last)
    noise = Noise(seed=5, step=7)
    first, second = noise.like(value), noise.like(value)
    assert not torch.equal(first, second)
    assert first.is_contiguous(memory_format=torch.channels_last)
    noise.rewind(5, 7)
    assert torch.equal(copy.deepcopy(noise).like(value), first)
    assert torch.equal(noise.like(value), first)
    noise.rewind(5, 8)
    assert not torch.equal(noise.like(value), first)
    assert noise.like(value.bfloat16()).dtype == torch.bfloat16


def test_gradients_are_finite_for_a_weight_of_zero_and_for_extreme_noise():
    model = to_variational(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)))
    layer = model[1]
    with torch.no_grad():
        layer.weight[0], layer.weight[1] = 0.0, 1e-12
        layer.log_sigma2[:, 0], layer.log_sigma2[:, 1] = -60.0, 20.0
    objective = VariationalObjective(model, n_images=1)
    images = torch.zeros(2, 1, 2, 2)  # no input, no variance: the square root's steepest place
    objective(model(images), images, torch.tensor([0, 1])).backward()
    for parameter in model.parameters():
        assert parameter.grad.isfinite().all()


def test_the_loss_is_the_formula_and_its_weight_climbs_along_a_line():
    model = to_variational(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)))
    objective = VariationalObjective(model, n_images=50, weight=2.0, start=1.0, warmup_steps=4)
    logits, images, labels = torch.randn(5, 3), torch.randn(5, 1, 2, 2), torch.tensor([0, 1, 2, 0, 1])
    layer = model[1]
    slow = 0.0
    for theta, log_sigma2 in zip(layer.weight.flatten(), layer.log_sigma2.flatten(), strict=True):
        log_alpha = log_sigma2.item() - math.log(theta.item() ** 2)
        sigmoid = 1 / (1 + math.exp(-(1.87320 + 1.48695 * log_alpha)))
        slow -= 0.63576 * sigmoid - 0.5 * math.log1p(math.exp(-log_alpha)) - 0.63576
    assert total_kl(model).item() == pytest.approx(slow, rel=1e-4)
    cross_entropy = nn.functional.cross_entropy(logits, labels).item()
    for step, weight in enumerate([1.0, 1.25, 1.5, 1.75, 2.0, 2.0]):
        found = objective(logits, images, labels).item()
        assert found == pytest.approx(cross_entropy + weight * slow / 50, rel=1e-4)
        objective.after_step(model, step)


def noisy_run(path=None, *, epochs=CONFIG.epochs, seed=0, config=ADAM):
    """A tiny network trained with noise; the network and its history."""
    model = to_variational(network(), log_sigma2=-5.0, seed=seed)
    objective = VariationalObjective(model, n_images=35, warmup_steps=6, seed=seed)
    log = NoiseHistory(4, model)
    train(
        model,
        image_set(),
        replace(config, epochs=epochs),
        objective=objective,
        callbacks=[objective, log],
        checkpoint=path,
        checkpoint_steps=1,
    )
    return model, log


def test_a_seed_decides_everything():
    one, same, other = noisy_run(), noisy_run(), noisy_run(seed=1)
    assert_equal_weights(weights(one[0]), weights(same[0]))
    assert one[1].records == same[1].records
    assert not torch.equal(one[0].features[0].weight, other[0].features[0].weight)


def test_a_run_broken_within_an_epoch_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    whole, log = noisy_run()
    step, calls = VariationalObjective.after_step, []

    def break_off(self, model, number):
        calls.append(number)
        if len(calls) == 7:
            raise KeyboardInterrupt
        step(self, model, number)

    monkeypatch.setattr(VariationalObjective, "after_step", break_off)
    with pytest.raises(KeyboardInterrupt):
        noisy_run(tmp_path / "run.pt")
    monkeypatch.setattr(VariationalObjective, "after_step", step)
    resumed, resumed_log = noisy_run(tmp_path / "run.pt")
    assert_equal_weights(weights(resumed), weights(whole))
    assert resumed_log.records == log.records
    assert len(log.records) == 1 + N_STEPS // 4
    with pytest.raises(ValueError, match="objective seed"):
        noisy_run(tmp_path / "run.pt", seed=1)


def test_a_network_learns_and_loses_most_weights():
    images = image_set(240)
    model = to_variational(build_chain(), log_sigma2=-5.0)
    config = replace(ADAM, epochs=15, max_lr=0.02, crop_padding=0, flip=False)
    objective = VariationalObjective(model, n_images=len(images), warmup_steps=200)
    train(model, images, config, objective=objective, callbacks=[objective])
    plain, masks = to_plain(model)
    kept = sum(int(mask.sum()) for mask in masks.values())
    total = sum(mask.numel() for mask in masks.values())
    assert evaluate(plain, images).top1 > 0.95
    assert kept < 0.25 * total


def build_chain():
    """A linear chain for `image_set`, always with the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 3))


def test_history_counts_every_weight_once():
    model = to_variational(network(), log_sigma2=0.0)
    with torch.no_grad():
        for parameter in prunable_parameters(model).values():
            parameter.fill_(1.0)
        model.features[0].weight.zero_()  # α is infinite: the last bin, and left out
    record = noise_record(model, 3)
    sizes = {name: layer.weight.numel() for name, layer in variational_layers(model).items()}
    assert record["step"] == 3
    assert record["kept"] == sizes | {"features.0": 0}
    expected = [0] * (len(EDGES) - 1)
    expected[-1] = sizes["features.0"]
    expected[EDGES.index(0.0)] = sum(sizes.values()) - sizes["features.0"]
    assert record["histogram"] == expected


@pytest.mark.parametrize(
    "options", [{"n_images": 0}, {"weight": -1.0}, {"start": math.nan}, {"warmup_steps": -1}]
)
def test_options_out_of_range_are_named(options):
    model = to_variational(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(ValueError, match=next(iter(options))):
        VariationalObjective(model, **{"n_images": 5, **options})
    with pytest.raises(ValueError, match="no layer with noise"):
        VariationalObjective(nn.Linear(2, 2), n_images=5)
    with pytest.raises(ValueError, match="every=0"):
        NoiseHistory(0)


@pytest.mark.parametrize("sparsity", [0.5, 0.97, 0.995, 0.9995])
@pytest.mark.parametrize("name", ["lenet_300_100", "lenet_5"])
def test_without_constant_units_the_function_is_the_same(name, sparsity):
    model = build(name, width=0.25)
    masks = random_masks(prunable_parameters(model), sparsity, seed=3)
    images = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    small, places = without_constant_units(model, masks)  # as if masked, whatever the weights are
    apply_masks_(model, masks)
    left = {key: mask.new_tensor([]) for key, mask in masks.items()}
    for key in left:
        left[key] = masks[key].flatten()[places[key]]
    apply_masks_(small, left)
    wanted = model(images)
    assert torch.allclose(small(images), wanted, atol=1e-6)
    again, places_again = without_constant_units(small, left, places=places)
    assert [value.shape for value in again.parameters()] == [value.shape for value in small.parameters()]
    assert all(torch.equal(places_again[key], places[key]) for key in places)
    whole = grow_(build(name, width=0.25), small, places)
    assert torch.allclose(whole(images), wanted, atol=1e-6)
    grown = grow_masks(left, places, whole)
    assert all(torch.all(~mask | masks[key]) for key, mask in grown.items())  # nothing grows back
    smaller = [value.numel() for value in small.parameters()]
    assert sum(smaller) <= sum(value.numel() for value in model.parameters())
    shared = {
        key: share_weights(weight.detach().numpy(), left[key].numpy(), n_clusters=4)
        for key, weight in prunable_parameters(small).items()
    }
    for key, tensor in grow_shared(shared, places, whole).items():
        wanted = np.zeros(tensor.n_weights, dtype=np.float32)
        wanted[places[key].flatten().numpy()] = shared[key].to_dense().ravel()
        assert np.array_equal(tensor.to_dense().ravel(), wanted)
        assert tensor.positions is None or np.all(np.diff(tensor.positions) > 0)


def test_a_cut_cuts_the_noise_as_well_and_training_goes_on():
    model = to_variational(build_chain(), log_sigma2=-6.0)
    with torch.no_grad():
        model[1].weight[4:] = 0.0
    _, masks = to_plain(model)
    small, places = without_constant_units(model, masks)
    assert small[1].log_sigma2.shape == small[1].weight.shape == (4, 64)
    assert small[3].log_sigma2.shape == (3, 4)
    assert small[1].out_features == small[3].in_features == 4
    assert isinstance(small[3], VariationalLinear)
    assert torch.equal(places["3.weight"][2], torch.arange(4) + 2 * 20)
    images = torch.randn(5, 1, 8, 8)
    assert torch.allclose(small.eval()(images), model.eval()(images), atol=1e-6)
    objective = VariationalObjective(small, n_images=35)
    train(small, image_set(), replace(ADAM, epochs=1), objective=objective, callbacks=[objective])


def test_what_cannot_be_cut_is_named():
    masks = {"0.weight": torch.ones(2, 1, 3, 3, dtype=torch.bool)}
    cases = ((nn.Conv2d(1, 2, 3, padding=1), "padding"), (nn.Conv2d(1, 2, 3, bias=False), "bias"))
    for layer, named in cases:
        with pytest.raises(ValueError, match=named):
            without_constant_units(nn.Sequential(layer), masks)
    with pytest.raises(ValueError, match="in a chain"):
        without_constant_units(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sigmoid()), masks)
    with pytest.raises(ValueError, match="expected a mask"):
        without_constant_units(nn.Sequential(nn.Linear(2, 2)), {})
