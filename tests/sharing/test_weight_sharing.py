"""Weight sharing and the fine-tuning of centroids, against hand-worked vectors and slow loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracles import entropy_bits
from torch import nn

from common.codec.tensors import DenseTensor, SharedTensor
from common.sharing.centroid_tuning import CentroidTuner
from common.sharing.kmeans import kmeans_1d
from common.sharing.weight_sharing import bits_per_layer, centroid_gradient, merge_equal, share_weights

LECTURE = np.float32(
    [[2.09, -0.98, 1.48, 0.09], [0.05, -0.14, -1.08, 2.12], [-0.91, 1.92, 0, -1.03], [1.87, 0, 1.53, 1.49]]
)
LECTURE_INDICES = np.array([[3, 0, 2, 1], [1, 1, 0, 3], [0, 3, 1, 0], [3, 1, 2, 2]])


def test_the_lectures_example():
    shared = share_weights(LECTURE, n_bits=2)
    np.testing.assert_allclose(shared.codebook, [-1.0, 0.0, 1.5, 2.0], atol=1e-6)
    np.testing.assert_array_equal(shared.indices.reshape(4, 4), LECTURE_INDICES)
    assert shared.positions is None
    dense = [[2, -1, 1.5, 0], [0, 0, -1, 2], [-1, 2, 0, -1], [2, 0, 1.5, 1.5]]
    np.testing.assert_allclose(shared.to_dense(), dense, atol=1e-6)


def test_importance_moves_centroids_to_where_an_error_costs_most():
    rng = np.random.default_rng(0)
    weight, mask = rng.normal(size=(20, 30)).astype(np.float32), rng.random((20, 30)) < 0.7
    importance = rng.random((20, 30)) ** 4
    plain = share_weights(weight, mask, n_clusters=4)
    weighted = share_weights(weight, mask, n_clusters=4, importance=torch.from_numpy(importance))
    np.testing.assert_array_equal(weighted.positions, np.flatnonzero(mask))

    def cost(shared):
        return (importance * mask * (shared.to_dense() - weight) ** 2).sum()

    assert cost(weighted) < cost(plain)
    for cluster, centroid in enumerate(weighted.codebook):  # each is the weighted mean of its weights
        own = np.zeros(weight.size, bool)
        own[weighted.positions[weighted.indices == cluster]] = True
        own = own.reshape(weight.shape)
        np.testing.assert_allclose(np.average(weight[own], weights=importance[own]), centroid, rtol=1e-5)
    same = share_weights(weight, mask, n_clusters=4, importance=np.ones(weight.shape))
    np.testing.assert_array_equal(same.indices, plain.indices)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"importance": np.ones(3)}, r"fc\.weight: importance of shape \(3,\)"),
        ({"importance": np.ones((2, 3)), "rate_weight": 0.1}, "no rate_weight"),
        ({"importance": -np.ones((2, 3))}, ">= 0"),
        ({"weight": np.array([[1, np.inf]])}, r"fc\.weight holds 1 NaN or infinite of 2 values"),
    ],
)
def test_what_cannot_be_shared_is_refused_by_name(options, said):
    with pytest.raises(ValueError, match=said):
        share_weights(**{"weight": np.ones((2, 3)), "n_clusters": 2, "name": "fc.weight"} | options)


def test_the_lectures_example_takes_one_step():
    # Multiples of 1/64, so that every sum below is exact.
    grad = np.float32([[4, -2, 1, 3], [-1, 2, 5, -2], [3, 1, -4, 2], [6, 1, -3, 4]]) / 64
    # cluster 0 (-1.00): -2 + 5 + 3 + 2 = 8;    cluster 1 (0.00): 3 - 1 + 2 - 4 + 1 = 1
    # cluster 2 ( 1.50):  1 - 3 + 4 = 2;        cluster 3 (2.00): 4 - 2 + 1 + 6 = 9
    summed = centroid_gradient(grad, LECTURE_INDICES, 4)
    np.testing.assert_array_equal(summed * 64, [8, 1, 2, 9])

    model = nn.Linear(4, 4, bias=False)
    codebook = np.float32([-1, 0, 1.5, 2])
    tuner = CentroidTuner(
        {"weight": SharedTensor((4, 4), codebook, None, LECTURE_INDICES.astype(np.uint8).reshape(-1))}, model
    )
    model.weight.grad = torch.from_numpy(grad)
    tuner.collect_gradients_(model)
    torch.optim.SGD(tuner.parameters(), lr=0.5).step()
    tuner.write_weights_(model)
    expected = np.float32([-1 - 4 / 64, -0.5 / 64, 1.5 - 1 / 64, 2 - 4.5 / 64])
    np.testing.assert_array_equal(tuner.shared_tensors()["weight"].codebook, expected)
    np.testing.assert_array_equal(model.weight.detach().numpy(), expected[LECTURE_INDICES])


@given(
    hnp.arrays(np.float32, hnp.array_shapes(max_dims=4, max_side=5), elements=st.floats(-9, 9, width=16)),
    st.integers(0, 4),
    st.sampled_from([np.float32, np.float16]),
    st.sampled_from([0.0, 1e-3]),
    st.data(),
)
@settings(deadline=None)
def test_shared_weights_are_those_of_k_means(weight, n_bits, dtype, rate_weight, data):
    mask = data.draw(st.none() | hnp.arrays(np.bool_, weight.shape))
    shared = share_weights(weight, mask, n_bits, codebook_dtype=dtype, rate_weight=rate_weight)
    kept = np.ones(weight.shape, bool) if mask is None else mask
    dense = shared.to_dense()
    assert shared.codebook.dtype == dtype
    assert shared.codebook.size <= 2**n_bits
    assert shared.shape == dense.shape == weight.shape
    assert (shared.positions is None) == kept.all()
    assert (dense[~kept] == 0).all()
    if rate_weight == 0 and dtype == np.float32 and kept.any():
        expected = kmeans_1d(weight[kept], 2**n_bits)
        np.testing.assert_array_equal(dense[kept], expected.codebook[expected.indices])


def test_fifteen_bits_of_clusters():
    weight = np.arange(70_000, dtype=np.float32)
    shared = share_weights(weight, n_bits=15)
    assert shared.codebook.size == 32_768
    assert shared.indices.dtype == np.uint16
    assert np.abs(shared.to_dense() - weight).max() <= 3


def test_a_price_on_bits_lowers_the_entropy():
    weight = np.random.default_rng(0).normal(size=5000).astype(np.float32)
    free, priced = (share_weights(weight, n_bits=4, rate_weight=rate) for rate in (0.0, 0.02))
    assert entropy_bits(priced.indices) < entropy_bits(free.indices) - 0.2


def test_centroids_that_round_to_the_same_float16_are_merged():
    weight = np.float32([1, 1.0001, 2, 2.0001])
    shared = share_weights(weight, n_clusters=4, codebook_dtype=np.float16)
    np.testing.assert_array_equal(shared.codebook, np.float16([1, 2]))
    np.testing.assert_array_equal(shared.indices, [0, 0, 1, 1])


def test_merging_sorts_a_codebook():
    codebook, indices = merge_equal(np.float32([3, 1, 3, 2]), np.uint8([0, 1, 2, 3, 1]))
    np.testing.assert_array_equal(codebook, np.float32([1, 2, 3]))
    np.testing.assert_array_equal(indices, np.uint8([2, 0, 2, 1, 0]))
    assert indices.dtype == np.uint8


@given(hnp.arrays(np.float32, st.integers(0, 50), elements=st.floats(-99, 99, width=32)), st.data())
@settings(deadline=None)
def test_centroid_gradient_is_the_sum_a_cluster(grad, data):
    indices = data.draw(hnp.arrays(np.uint8, grad.shape, elements=st.integers(0, 6)))
    expected = [0.0] * 8
    for value, index in zip(grad, indices, strict=True):
        expected[index] += float(value)
    np.testing.assert_allclose(centroid_gradient(grad, indices, 8), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("grad", "indices", "message"),
    [
        (np.ones(3), np.zeros(4, int), "shape"),
        (np.ones(2), np.array([0, 4]), "0 to 4"),
        (np.ones(1), [-1], "-1 to"),
    ],
)
def test_centroid_gradient_refuses(grad, indices, message):
    with pytest.raises(ValueError, match=message):
        centroid_gradient(grad, indices, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "one of them"),
        ({"n_bits": 2, "n_clusters": 4}, "one of them"),
        ({"n_bits": 16}, "n_bits=16"),
        ({"n_clusters": 32_769}, "n_clusters=32769"),
        ({"n_clusters": 0}, "n_clusters=0"),
        ({"n_bits": 2, "mask": np.ones(3, bool)}, r"expected bool \(4, 4\)"),
        ({"n_bits": 2, "mask": np.ones((4, 4))}, "float64"),
    ],
)
def test_share_weights_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        share_weights(LECTURE, **arguments)


def test_bits_per_layer_meets_its_budget_with_few_bits():
    rng = np.random.default_rng(0)
    weights = {
        "wide": rng.normal(size=(40, 100)),
        "narrow": 0.1 * rng.normal(size=(40, 100)),
        "pruned": np.ones(9),
    }
    masks = {"narrow": rng.random((40, 100)) < 0.5, "pruned": np.zeros(9, bool)}
    energy = (weights["wide"] ** 2).sum() + (weights["narrow"][masks["narrow"]] ** 2).sum()

    def distortion(bits):
        shared = {name: share_weights(weights[name], masks.get(name), n) for name, n in bits.items()}
        kept = {name: masks.get(name, np.ones(weights[name].shape, bool)) for name in bits}
        return sum(((shared[n].to_dense() - weights[n])[kept[n]] ** 2).sum() for n in bits) / energy

    bits = bits_per_layer(weights, masks, 0.01)
    assert distortion(bits) <= 0.01
    assert bits["wide"] > bits["narrow"] >= bits["pruned"] == 1
    assert distortion(bits | {"wide": bits["wide"] - 1}) > 0.01
    favoured = bits_per_layer(weights, masks, 0.01, importance={"narrow": 1e4})
    assert favoured["narrow"] > bits["narrow"]
    with pytest.raises(ValueError, match="max_bits=2"):
        bits_per_layer(weights, masks, 1e-6, max_bits=2)
    with pytest.raises(ValueError, match="min_bits=3"):
        bits_per_layer(weights, masks, 0.1, min_bits=3, max_bits=2)


def shared_net(seed=0, memory_format=torch.contiguous_format):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 5))
    net = net.to(memory_format=memory_format)
    rng = np.random.default_rng(seed)
    masks = {"0.weight": rng.random((8, 3, 3, 3)) < 0.4, "3.weight": None}
    shared = {
        name: share_weights(dict(net.named_parameters())[name].detach().numpy(), mask, 3)
        for name, mask in masks.items()
    }
    return net, shared, torch.randn(6, 3, 6, 6)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_centroids_train_as_autograd_would(memory_format):
    net, shared, x = shared_net(memory_format=memory_format)
    tuner = CentroidTuner(shared, net)
    for name, tensor in shared.items():
        np.testing.assert_array_equal(dict(net.named_parameters())[name].detach().numpy(), tensor.to_dense())
    optimizer = torch.optim.SGD(tuner.parameters(), lr=0.1, momentum=0.9)

    books = [torch.from_numpy(tensor.codebook.copy()).requires_grad_() for tensor in shared.values()]
    peer = torch.optim.SGD(books, lr=0.1, momentum=0.9)

    for step in range(4):
        optimizer.zero_grad()
        net(x).square().mean().backward()
        tuner.before_step(net, step)
        optimizer.step()
        tuner.after_step(net, step)

        peer.zero_grad()
        dense = []
        for book, tensor in zip(books, shared.values(), strict=True):
            places = np.arange(tensor.n_weights) if tensor.positions is None else tensor.positions
            flat = torch.zeros(tensor.n_weights).scatter(
                0, torch.from_numpy(places), book[torch.from_numpy(tensor.indices.astype(np.int64))]
            )
            dense.append(flat.view(tensor.shape))
        y = torch.relu(nn.functional.conv2d(x, dense[0], net[0].bias)).flatten(1)
        nn.functional.linear(y, dense[1], net[3].bias).square().mean().backward()
        peer.step()

    for mine, theirs in zip(tuner.parameters(), books, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    for name, tensor in tuner.shared_tensors().items():
        np.testing.assert_array_equal(dict(net.named_parameters())[name].detach().numpy(), tensor.to_dense())
        assert not np.array_equal(tensor.codebook, shared[name].codebook), "nothing was trained"


def test_gradients_do_not_pile_up_on_the_weights():
    net, shared, x = shared_net()
    tuner = CentroidTuner(shared, net)
    gradients = []
    for _ in range(2):
        net(x).square().mean().backward()
        tuner.collect_gradients_(net)
        gradients.append(tuner.parameters()[1].grad.clone())
    assert torch.equal(*gradients)


def test_row_scales_stay_fixed_and_count_in_the_gradient():
    model = nn.Linear(3, 2, bias=False)
    tensor = SharedTensor(
        (2, 3),
        np.float32([1, 2]),
        np.int64([0, 2, 4]),
        np.uint8([0, 1, 0]),
        DenseTensor(np.float32([10, 100])),
    )
    tuner = CentroidTuner({"weight": tensor}, model)
    assert model.weight.tolist() == [[10, 0, 20], [0, 100, 0]]
    model.weight.grad = torch.tensor([[1.0, 5.0, 2.0], [5.0, 3.0, 5.0]])
    tuner.collect_gradients_(model)
    assert tuner.parameters()[0].grad.tolist() == [1 * 10 + 3 * 100, 2 * 10]
    assert tuner.shared_tensors()["weight"].row_scales is tensor.row_scales


def test_tuner_resumes_from_its_state():
    net, shared, x = shared_net()
    first = CentroidTuner(shared, net)
    net(x).square().mean().backward()
    first.collect_gradients_(net)
    torch.optim.SGD(first.parameters(), lr=1.0).step()
    second = CentroidTuner(shared, net)
    second.load_state_dict(first.state_dict())
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_tuner_keeps_the_codebooks_dtype_and_order():
    model = nn.Linear(2, 1, bias=False)
    tuner = CentroidTuner({"weight": SharedTensor((1, 2), np.float16([1, 2]), None, np.uint8([0, 1]))}, model)
    with torch.no_grad():
        tuner.parameters()[0].copy_(torch.tensor([3.0, 1.00001]))  # they passed each other
    tensor = tuner.shared_tensors()["weight"]
    np.testing.assert_array_equal(tensor.codebook, np.float16([1, 3]))
    np.testing.assert_array_equal(tensor.indices, [1, 0])


def test_tuner_refuses_what_does_not_fit():
    tensor = SharedTensor((1, 2), np.float32([1, 2]), None, np.uint8([0, 1]))
    with pytest.raises(ValueError, match="'nosuch'"):
        CentroidTuner({"nosuch": tensor}, nn.Linear(2, 1))
    with pytest.raises(ValueError, match=r"\(1, 2\) in shared, \(3, 2\)"):
        CentroidTuner({"weight": tensor}, nn.Linear(2, 3))


def test_torch_tensors_are_welcome():
    weight = torch.nn.Parameter(torch.tensor([[1.0, -2.0], [3.0, 0.5]]))
    mask = torch.tensor([[True, False], [True, True]])
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        shared = share_weights(weight.to(dtype), mask, n_clusters=4)
        assert shared.to_dense().tolist() == [[1.0, 0.0], [3.0, 0.5]]
