"""Low rank against slow sums: the factors, the layers made of them, the choice of ranks, the file."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import CONFIG, assert_equal_weights, image_set, network, weights
from torch import nn
from torch.nn import functional as F

from common.codec import container
from common.compress.packing import unpack
from common.methods.low_rank import (
    factorize,
    factorize_conv,
    factorize_linear,
    n_weights,
    pack_low_rank,
    ranks_by_budget,
    ranks_by_energy,
    ranks_of,
    tucker2,
    unpack_low_rank,
)
from common.networks.models import build, count_parameters, prunable_parameters
from common.networks.training import evaluate, train


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_product(core, out_factor, in_factor):
    """Σ core[p, q] out[o, p] in[c, q], number by number."""
    core, a, b = core.numpy(), out_factor.numpy(), in_factor.numpy()
    whole = np.zeros((a.shape[0], b.shape[0], *core.shape[2:]))
    for o, c, p, q in itertools.product(*map(range, (*whole.shape[:2], *core.shape[:2]))):
        whole[o, c] += core[p, q] * a[o, p] * b[c, q]
    return torch.from_numpy(whole)


def error(weight, ranks, **options):
    return (slow_product(*tucker2(weight, ranks, **options)) - weight).norm().item()


def test_full_ranks_are_the_weight_itself():
    weight = noise(5, 4, 3, 3)
    assert error(weight, (5, 4)) < 1e-12
    for factor in tucker2(weight, (3, 2))[1:]:
        assert torch.allclose(factor.T @ factor, torch.eye(factor.shape[1], dtype=torch.float64))


def test_a_weight_of_low_rank_is_found_exactly():
    weight = slow_product(noise(2, 3, 3, 3), noise(7, 2, seed=1), noise(6, 3, seed=2))
    assert error(weight, (2, 3)) < 1e-12
    assert error(weight, (1, 3)) > 0.1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ranks", [(2, 2), (3, 1), (5, 3)])
def test_no_sweep_increases_the_error_and_all_stay_within_the_bound(seed, ranks):
    weight = noise(6, 5, 3, 3, seed=seed)
    errors = [error(weight, ranks, sweeps=sweeps) for sweeps in range(4)]
    assert all(after <= before + 1e-12 for before, after in itertools.pairwise(errors))
    lost = [
        np.linalg.svd(weight.transpose(0, mode).reshape(weight.shape[mode], -1).numpy())[1][rank:]
        for mode, rank in enumerate(ranks)
    ]
    squares = [float(np.sum(values**2)) for values in lost]
    assert max(squares) <= errors[-1] ** 2 + 1e-9
    assert errors[0] ** 2 <= sum(squares) + 1e-9


def test_a_linear_layer_becomes_the_nearest_of_its_rank():
    layer = nn.Linear(9, 6).double()
    thin = factorize_linear(layer, 4)
    product = thin[1].weight @ thin[0].weight
    u, s, vt = np.linalg.svd(layer.weight.detach().numpy())
    assert np.allclose(product.detach().numpy(), (u[:, :4] * s[:4]) @ vt[:4], rtol=0, atol=1e-12)
    assert thin[0].bias is None
    assert torch.equal(thin[1].bias, layer.bias)
    x = noise(3, 9)
    assert torch.allclose(thin(x), F.linear(x, product, layer.bias))
    # both thin layers get the same share of every singular value
    assert thin[0].weight.norm().item() == pytest.approx(thin[1].weight.norm().item())


@pytest.mark.parametrize(
    ("ranks", "shapes"),
    [
        ((3, 2), [(2, 4, 1, 1), (3, 2, 3, 3), (6, 3, 1, 1)]),
        ((6, 2), [(2, 4, 1, 1), (6, 2, 3, 3)]),
        ((3, 4), [(3, 4, 3, 3), (6, 3, 1, 1)]),
        ((6, 4), [(6, 4, 3, 3)]),
    ],
)
@pytest.mark.parametrize("bias", [True, False])
def test_three_convolutions_are_one_with_the_product_as_weight(ranks, shapes, bias):
    layer = nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=1, bias=bias).double()
    thin = factorize_conv(layer, ranks, sweeps=2)
    assert [tuple(one.weight.shape) for one in thin] == shapes
    assert [one.bias is not None for one in thin] == [False] * (len(shapes) - 1) + [bias]
    weight = slow_product(*tucker2(layer.weight, ranks, sweeps=2))
    x = noise(2, 4, 9, 8)
    expected = F.conv2d(x, weight, layer.bias, stride=2, padding=1)
    assert torch.allclose(thin(x), expected, rtol=0, atol=1e-10)
    if len(shapes) == 1:
        assert torch.allclose(thin(x), layer(x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["lenet_300_100", "lenet_5", "vgg16"])
def test_a_network_at_full_ranks_answers_as_before(name):
    model = build(name, width=0.1).eval()
    before = weights(model)
    same = factorize(model, ranks_of(model))
    shape = {"vgg16": (3, 32, 32)}.get(name, (1, 28, 28))
    x = noise(3, *shape).float()
    with torch.no_grad():
        assert torch.allclose(same(x), model(x), rtol=0, atol=1e-5)
    assert count_parameters(same) == count_parameters(model)
    assert_equal_weights(before, weights(model))


def test_parameters_are_counted_as_they_are():
    linear, conv = nn.Linear(8, 5, bias=False), nn.Conv2d(4, 6, 3, bias=False)
    for rank in range(1, 6):
        thin = count_parameters(factorize_linear(linear, rank))
        assert n_weights((5, 8), (rank,)) == (thin if rank < 5 else 40)
    for ranks in itertools.product(range(1, 7), range(1, 5)):
        assert n_weights((6, 4, 3, 3), ranks) == count_parameters(factorize_conv(conv, ranks))


@pytest.mark.parametrize("energy", [0.0, 0.5, 0.9, 0.99])
def test_the_energy_that_is_asked_for_is_kept_and_no_linear_rank_is_wasted(energy):
    model = build("lenet_5", width=0.3).double()
    ranks = ranks_by_energy(model, energy)
    small = dict(factorize(model, ranks, sweeps=0).named_modules())
    for name, rank in ranks.items():
        weight, thin = model.get_parameter(name), small[name.removesuffix(".weight")]
        assert sum(one.weight.numel() for one in thin) == n_weights(weight.shape, rank) < weight.numel()
        if weight.ndim == 2:
            product = thin[1].weight @ thin[0].weight
            s = torch.linalg.svdvals(weight.detach())
            assert rank == (1,) or s[: rank[0] - 1].square().sum() < energy * s.square().sum()
        else:
            product = slow_product(*tucker2(weight, rank))
        assert product.norm() ** 2 >= energy * weight.norm() ** 2 - 1e-9
    assert ranks or energy == 0.99


def test_all_energy_leaves_every_layer_whole():
    assert ranks_by_energy(build("lenet_5", width=0.3), 1.0) == {}
    model = nn.Sequential(nn.Linear(6, 6))  # of rank 2: two thin layers lose nothing
    model[0].weight.data = (noise(6, 2) @ noise(2, 6, seed=1)).float()
    assert ranks_by_energy(model.double(), 1 - 1e-9) == {"0.weight": (2,)}


def kept_shares(weight):
    s = np.linalg.svd(weight.detach().numpy())[1] ** 2
    return np.cumsum(s) / s.sum()


def test_no_other_ranks_of_the_same_size_keep_a_larger_product():
    model = nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 8)).double()
    shares = [kept_shares(model[0].weight), kept_shares(model[2].weight)]
    shapes = [(9, 12), (8, 9)]
    for fraction in (0.3, 0.5, 0.7, 0.9):
        ranks = ranks_of(model) | ranks_by_budget(model, fraction)
        chosen = [ranks["0.weight"], ranks["2.weight"]]
        size = sum(n_weights(shape, rank) for shape, rank in zip(shapes, chosen, strict=True))
        assert size + 17 <= fraction * count_parameters(model)
        best = max(
            shares[0][r - 1] * shares[1][s - 1]
            for r, s in itertools.product(range(1, 10), range(1, 9))
            if n_weights(shapes[0], (r,)) + n_weights(shapes[1], (s,)) <= size
        )
        own = math.prod(share[rank[0] - 1] for share, rank in zip(shares, chosen, strict=True))
        assert own == pytest.approx(best)


def test_budgets_are_kept_and_more_of_it_keeps_more():
    model = build("lenet_5", width=0.5)
    sizes = []
    for fraction in (0.05, 0.1, 0.3, 0.6, 1.0):
        ranks = ranks_by_budget(model, fraction)
        sizes.append(count_parameters(factorize(model, ranks)))
        assert sizes[-1] <= fraction * count_parameters(model)
        assert all(1 <= r for rank in ranks.values() for r in rank)
    assert sizes == sorted(sizes)
    assert sizes[-1] == count_parameters(model)
    assert sizes[2] > 0.25 * count_parameters(model)


def test_a_layer_of_zeros_has_rank_one():
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    nn.init.zeros_(model[0].weight)
    assert ranks_by_budget(model, 0.6)["0.weight"] == (1,)
    assert ranks_by_energy(model, 0.9)["0.weight"] == (1,)
    assert torch.equal(factorize(model, {"0.weight": (1,)})[0](torch.ones(8)), model[0](torch.ones(8)))


def test_what_cannot_be_is_named():
    model = build("lenet_5", width=0.1)
    with pytest.raises(ValueError, match=r"'fc9\.weight' is not a layer's weight: expected some of conv1"):
        factorize(model, {"fc9.weight": (1,)})
    with pytest.raises(ValueError, match=r"fc1\.weight, ranks \(0,\): rank=0: expected 1 to 50"):
        factorize(model, {"fc1.weight": (0,)})
    with pytest.raises(ValueError, match=r"ranks \(6, 2\): rank of the outputs=6: expected 1 to 5"):
        factorize(model, {"conv2.weight": (6, 2)})
    with pytest.raises(ValueError, match="groups=2: expected 1"):
        factorize_conv(nn.Conv2d(4, 4, 3, groups=2), (1, 1))
    with pytest.raises(ValueError, match="ranks of 1 keep"):
        ranks_by_budget(model, 0.01)
    for energy in (-0.1, 1.5, math.nan):
        with pytest.raises(ValueError, match="expected a share"):
            ranks_by_energy(model, energy)


def test_a_factorized_network_trains_and_batch_norm_stays_in_place():
    images = image_set(64)
    small = factorize(network(), {"features.4.weight": (2, 2), "classifier.0.weight": (2,)})
    assert isinstance(small.features[4], nn.Sequential)
    assert isinstance(small.features[5], nn.BatchNorm2d)
    train(small, images, replace(CONFIG, epochs=12))
    assert evaluate(small, images).top1 > 0.9


def with_statistics(model):
    """Batch norms that all have something to say."""
    generator = torch.Generator().manual_seed(7)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value, low, high in (
                (module.weight, 0.5, 1.5),
                (module.bias, -0.3, 0.5),
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 1.5),
            ):
                value.data.uniform_(low, high, generator=generator)
    return model.eval()


@pytest.mark.parametrize("n_clusters", [None, 64])
@pytest.mark.parametrize(
    ("name", "options"), [("lenet_5", {"width": 0.2}), ("vgg16", {"width": 0.1, "num_classes": 4})]
)
def test_the_file_holds_the_network(name, options, n_clusters):
    model = with_statistics(build(name, **options))
    ranks = ranks_by_budget(model, 0.1 if name == "lenet_5" else 0.6)
    assert 1 < len(ranks) < len(prunable_parameters(model))
    small = factorize(model, ranks)
    architecture = {"architecture": name, "num_classes": 10} | options
    packed = pack_low_rank(small, ranks, architecture, n_clusters=n_clusters)
    data = container.save(packed, store_names=False)
    loaded = container.load(data)
    decoded = unpack_low_rank(loaded)
    chosen = loaded.metadata["ranks"]
    names = list(prunable_parameters(model))
    assert {n: tuple(r) for n, r in zip(names, chosen, strict=True) if r is not None} == ranks
    x = noise(4, *{"vgg16": (3, 32, 32)}.get(name, (1, 28, 28))).float()
    with torch.no_grad():
        expected, found = small(x), decoded(x)
    assert (found - expected).abs().max() < (0.01 if n_clusters is None else 0.1) * expected.abs().max()
    assert len(data) < (2.1 if n_clusters is None else 1.3) * count_parameters(small) + 2500
    with pytest.raises(ValueError, match="the file belongs to another network"):
        unpack(loaded)  # a reader that knows nothing of ranks
    again = pack_low_rank(small, ranks, architecture, n_clusters=n_clusters)
    assert container.save(again, store_names=False) == data


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        (None, "expected a list of 4 entries, one per layer"),
        ([None] * 3, "expected a list of 4 entries, one per layer"),
        ([None, None, [3, 3], None], r"ranks of fc1.weight are \[3, 3\]: expected null or 1 integers"),
        ([None, [1], [3], None], r"ranks of conv2.weight are \[1\]: expected null or 2 integers"),
        ([None, None, [True], None], r"ranks of fc1.weight are \[True\]"),
        ([None, None, [0], None], "rank=0: expected 1 to"),
        ([None, None, [10**9], None], "rank=1000000000: expected 1 to"),
        ([None, None, "3", None], "ranks of fc1.weight are 3"),
        ([None, None, [2], None], "has shape"),
    ],
)
def test_a_file_with_other_ranks_is_refused(ranks, message):
    model = build("lenet_5", width=0.1)
    chosen = {"fc1.weight": (3,)}
    architecture = {"architecture": "lenet_5", "num_classes": 10, "width": 0.1}
    packed = pack_low_rank(factorize(model, chosen), chosen, architecture)
    with pytest.raises(ValueError, match=message):
        unpack_low_rank(replace(packed, metadata=packed.metadata | {"ranks": ranks}))
