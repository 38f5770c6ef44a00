"""1-D k-means against plain Lloyd, scikit-learn, kmeans1d and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracles import best_inertia_brute_force, entropy_bits, lloyd_slow
from sklearn.cluster import KMeans

from common.sharing.kmeans import INITS, entropy_constrained_kmeans_1d, kmeans_1d
from common.sharing.kmeans_exact import optimal_partition

LECTURE = np.float32(
    [[2.09, -0.98, 1.48, 0.09], [0.05, -0.14, -1.08, 2.12], [-0.91, 1.92, 0, -1.03], [1.87, 0, 1.53, 1.49]]
)
FINITE = st.floats(-1e6, 1e6, width=32)
VALUES = hnp.arrays(np.float32, st.integers(1, 60), elements=FINITE)


def laplace(n, seed=0):
    return (np.random.default_rng(seed).laplace(size=n) * 0.02).astype(np.float32)


def check(values, result, n_clusters):
    """What every result promises."""
    flat = np.asarray(values, dtype=np.float32).reshape(-1)
    codebook = result.codebook
    assert codebook.dtype == np.float32
    assert (np.diff(codebook) > 0).all()
    assert codebook.size == min(n_clusters, np.unique(flat).size)
    assert result.indices.dtype == (np.uint8 if codebook.size <= 256 else np.uint16)
    assert result.indices.shape == np.shape(values)
    assert (np.bincount(result.indices.reshape(-1), minlength=codebook.size) > 0).all()
    distances = np.abs(flat[:, None].astype(np.float64) - codebook.astype(np.float64))
    np.testing.assert_array_equal(result.indices.reshape(-1), distances.argmin(axis=1))
    np.testing.assert_allclose(result.inertia, (distances.min(axis=1) ** 2).sum(), rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("init", ["optimal", "linear", "density"])
def test_the_lectures_example(init):
    result = kmeans_1d(LECTURE, 4, init=init)
    np.testing.assert_allclose(result.codebook, [-1.0, 0.0, 1.5, 2.0], atol=1e-6)
    np.testing.assert_array_equal(result.indices, [[3, 0, 2, 1], [1, 1, 0, 3], [0, 3, 1, 0], [3, 1, 2, 2]])


@given(VALUES, st.integers(1, 20), st.sampled_from(INITS))
@settings(deadline=None)
def test_promises_hold_for_any_values(values, n_clusters, init):
    check(values, kmeans_1d(values, n_clusters, init=init), n_clusters)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("n_clusters", [1, 2, 255, 256, 257, 1025, 2000])
def test_promises_hold_for_many_clusters(init, n_clusters):
    values = laplace(5000)
    check(values, kmeans_1d(values, n_clusters, init=init), n_clusters)


@pytest.mark.parametrize("n_clusters", [2, 5, 16])
def test_reaches_the_fixed_point_of_plain_lloyd(n_clusters):
    values = np.random.default_rng(1).uniform(-1, 1, 700).astype(np.float32)
    centroids, labels = lloyd_slow(values, np.linspace(values.min(), values.max(), n_clusters))
    result = kmeans_1d(values, n_clusters, init="linear")
    np.testing.assert_array_equal(result.indices, labels)
    np.testing.assert_allclose(result.codebook, centroids, rtol=1e-6)


def test_agrees_with_scikit_learn_from_the_same_start():
    values = np.random.default_rng(2).normal(size=3000).astype(np.float32)
    start = np.linspace(values.min(), values.max(), 8, dtype=np.float64)[:, None]
    peer = KMeans(8, init=start, n_init=1, algorithm="lloyd", tol=0, max_iter=10_000)
    peer.fit(values[:, None].astype(np.float64))
    result = kmeans_1d(values, 8, init="linear")
    np.testing.assert_array_equal(result.indices, peer.labels_)
    np.testing.assert_allclose(result.codebook, peer.cluster_centers_[:, 0], rtol=1e-6)
    np.testing.assert_allclose(result.inertia, peer.inertia_, rtol=1e-6)


def test_starts_are_those_of_the_paper():
    values = np.arange(100, dtype=np.float32)
    ends = {init: kmeans_1d(values, 4, init=init, max_iter=0).codebook for init in ("linear", "density")}
    np.testing.assert_array_equal(ends["linear"], np.float32([0, 33, 66, 99]))
    np.testing.assert_array_equal(ends["density"], np.float32([12, 37, 62, 87]))


def test_random_start_depends_on_the_seed_alone():
    values = laplace(2000)
    shuffled = np.random.default_rng(0).permutation(values)
    first = kmeans_1d(values, 16, init="random", seed=3, max_iter=2).codebook
    np.testing.assert_array_equal(kmeans_1d(shuffled, 16, init="random", seed=3, max_iter=2).codebook, first)
    assert not np.array_equal(kmeans_1d(values, 16, init="random", seed=4, max_iter=2).codebook, first)


@pytest.mark.parametrize("n_clusters", [4, 32, 256])
@pytest.mark.parametrize("kind", ["laplace", "heavy tails", "two humps without the middle"])
def test_optimal_start_ends_within_a_thousandth_of_the_optimum(kind, n_clusters):
    values = laplace(30_000)
    if kind == "heavy tails":
        values = np.random.default_rng(0).standard_t(2, size=30_000).astype(np.float32)
    elif kind == "two humps without the middle":  # what is left after magnitude pruning
        values = values[np.abs(values) > 0.03]
    best = optimal_partition(np.sort(values), n_clusters).inertia
    assert best * (1 - 1e-9) <= kmeans_1d(values, n_clusters).inertia <= best * 1.001


def test_an_empty_cluster_restarts_at_the_farthest_value():
    # From 0, 5, 10 the middle cluster is empty. The value farthest from its cluster's mean is 2.5.
    values = np.float32([0, 0.25, 2.5, 9.75, 10])
    result = kmeans_1d(values, 3, init="linear")
    np.testing.assert_array_equal(result.codebook, np.float32([0.125, 2.5, 9.875]))


def test_a_restart_that_moves_no_interval_does_not_end_it():
    # Found by hypothesis: after one restart nothing moved, while a second cluster was still empty.
    values = np.float32([3, 6, 16, 1, 2, 0])
    check(values, kmeans_1d(values, 5, init="linear"), 5)


def test_fewer_distinct_values_than_clusters():
    result = kmeans_1d(np.float32([3, 1, 3, 1, -0.0, 0.0]), 16)
    np.testing.assert_array_equal(result.codebook, np.float32([0, 1, 3]))
    np.testing.assert_array_equal(result.indices, [2, 1, 2, 1, 0, 0])
    assert result.inertia == 0


def test_no_values():
    result = kmeans_1d(np.zeros((0, 3), np.float32), 4)
    assert (result.codebook.shape, result.indices.shape, result.inertia) == ((0,), (0, 3), 0.0)


def test_ties_go_to_the_lower_cluster():
    np.testing.assert_array_equal(kmeans_1d(np.float32([0, 0, 1, 2, 2]), 2, max_iter=0).codebook.size, 2)
    result = kmeans_1d(np.float32([-2, -2, 0, 2, 2, 0]), 2, init="linear", max_iter=0)
    np.testing.assert_array_equal(result.indices, [0, 0, 0, 1, 1, 0])


def test_float16_and_float64_values():
    values = laplace(1000).astype(np.float16)
    first, second = kmeans_1d(values, 8), kmeans_1d(values.astype(np.float64), 8)
    np.testing.assert_array_equal(first.codebook, second.codebook)
    np.testing.assert_array_equal(first.indices, second.indices)


@given(VALUES, st.data())
@settings(max_examples=50, deadline=None)
def test_integer_weights_are_repetitions(values, data):
    weight = data.draw(hnp.arrays(np.int64, values.size, elements=st.integers(0, 4)))
    if not weight.any():
        weight[0] = 1
    repeated = np.repeat(values, weight)
    weighted = kmeans_1d(values, 3, init="optimal", sample_weight=weight)
    plain = kmeans_1d(repeated, 3, init="optimal")
    np.testing.assert_allclose(
        weighted.inertia, plain.inertia, rtol=1e-5, atol=1e-6 * float(np.ptp(values)) ** 2
    )


@pytest.mark.parametrize("init", INITS)
def test_weights_of_one_change_nothing(init):
    values = laplace(3000)
    plain, weighted = (kmeans_1d(values, 16, init=init, sample_weight=w) for w in (None, np.ones(3000)))
    np.testing.assert_array_equal(plain.codebook, weighted.codebook)
    np.testing.assert_array_equal(plain.indices, weighted.indices)


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("weights", [None, np.ones(100)])
def test_refuses_what_is_not_finite(bad, weights):
    values = laplace(100)
    values[50] = bad
    with pytest.raises(ValueError, match="1 NaN or infinite of 100"):
        kmeans_1d(values, 4, sample_weight=weights)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_clusters": 0}, "n_clusters=0"),
        ({"n_clusters": 65537}, "n_clusters=65537"),
        ({"n_clusters": 4, "init": "best"}, "init='best'"),
        ({"n_clusters": 4, "sample_weight": np.ones(5)}, "size 5"),
        ({"n_clusters": 4, "sample_weight": -np.ones(10)}, ">= 0"),
        ({"n_clusters": 4, "sample_weight": np.zeros(10)}, "0 throughout"),
    ],
)
def test_refuses_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        kmeans_1d(np.arange(10.0), **arguments)


@given(hnp.arrays(np.float64, st.integers(1, 9), elements=FINITE), st.integers(1, 5), st.data())
@settings(max_examples=60, deadline=None)
def test_exact_optimum_equals_brute_force(points, n_clusters, data):
    points = np.sort(points)
    weights = data.draw(hnp.arrays(np.float64, points.size, elements=st.integers(1, 9)))
    found = optimal_partition(points, n_clusters, weights=weights)
    best = best_inertia_brute_force(points, n_clusters, weights)
    np.testing.assert_allclose(found.inertia, best, rtol=1e-6, atol=1e-9 * max(1, np.ptp(points)) ** 2)
    assert found.starts[0] == 0
    assert found.starts[-1] == points.size
    assert (np.diff(found.starts) > 0).all()


@pytest.mark.parametrize("n_clusters", [1, 2, 7, 32])
def test_exact_optimum_equals_kmeans1d(n_clusters):
    kmeans1d = pytest.importorskip("kmeans1d", reason="it needs a C++ compiler; `make peers` installs it")
    points = np.sort(laplace(2000).astype(np.float64))
    found, peer = optimal_partition(points, n_clusters), kmeans1d.cluster(points, n_clusters)
    np.testing.assert_allclose(found.centroids, peer.centroids, rtol=1e-9)
    np.testing.assert_array_equal(np.repeat(np.arange(n_clusters), np.diff(found.starts)), peer.clusters)


@pytest.mark.parametrize(
    ("points", "n_clusters", "weights", "message"),
    [
        ([], 1, None, "at least one"),
        ([2.0, 1.0], 1, None, "ascending"),
        ([1.0, np.nan], 1, None, "finite"),
        ([1.0, 2.0], 0, None, "n_clusters=0"),
        ([1.0, 2.0], 1, [1.0, 0.0], "positive"),
        ([1.0, 2.0], 1, [1.0], "weights of shape"),
    ],
)
def test_exact_optimum_refuses(points, n_clusters, weights, message):
    with pytest.raises(ValueError, match=message):
        optimal_partition(np.array(points), n_clusters, weights=weights)


def test_entropy_constraint_trades_distortion_for_bits():
    values = laplace(20_000)
    results = [entropy_constrained_kmeans_1d(values, 32, rate_weight=w) for w in (0, 1e-6, 1e-5, 1e-4, 1e-3)]
    inertia, bits = [r.inertia for r in results], [entropy_bits(r.indices) for r in results]
    assert inertia == sorted(inertia)
    assert bits == sorted(bits, reverse=True)
    assert inertia[0] == kmeans_1d(values, 32).inertia


def test_entropy_constraint_needs_fewer_bits_at_equal_distortion():
    values = laplace(20_000)
    plain = kmeans_1d(values, 8)
    found = [
        entropy_constrained_kmeans_1d(values, 32, rate_weight=rate) for rate in np.geomspace(1e-5, 1e-3, 15)
    ]
    cheapest = min(entropy_bits(result.indices) for result in found if result.inertia <= plain.inertia)
    assert cheapest < entropy_bits(plain.indices) - 0.1


@given(VALUES, st.integers(1, 8), st.floats(0, 1e3))
@settings(deadline=None)
def test_entropy_constraint_promises(values, n_clusters, rate_weight):
    result = entropy_constrained_kmeans_1d(values, n_clusters, rate_weight=rate_weight)
    counts = np.bincount(result.indices, minlength=result.codebook.size)
    assert (np.diff(result.codebook) > 0).all()
    assert (counts > 0).all()
    exact = [values[result.indices == k].astype(np.float64) for k in range(counts.size)]
    np.testing.assert_allclose(result.codebook, [part.mean() for part in exact], rtol=1e-6, atol=1e-6)
    error = (values.astype(np.float64) - result.codebook.astype(np.float64)[result.indices]) ** 2
    np.testing.assert_allclose(result.inertia, error.sum(), rtol=1e-9, atol=1e-300)
    plain = kmeans_1d(values, n_clusters)
    objective = [r.inertia + rate_weight * entropy_bits(r.indices) * values.size for r in (result, plain)]
    assert objective[0] <= objective[1] * (1 + 1e-6) + 1e-9


def test_entropy_constraint_is_a_fixed_point():
    values, rate_weight = laplace(5000).astype(np.float64), 1e-5
    result = entropy_constrained_kmeans_1d(values, 16, rate_weight=rate_weight)
    share = np.bincount(result.indices) / values.size
    cost = (
        values.astype(np.float32)[:, None] - result.codebook.astype(np.float64)
    ) ** 2 - rate_weight * np.log2(share)
    chosen = cost[np.arange(values.size), result.indices]
    np.testing.assert_allclose(chosen, cost.min(axis=1), atol=1e-9)


@pytest.mark.parametrize("rate_weight", [-1.0, np.inf, np.nan])
def test_entropy_constraint_refuses(rate_weight):
    with pytest.raises(ValueError, match="rate_weight"):
        entropy_constrained_kmeans_1d(np.arange(10.0), 2, rate_weight=rate_weight)


@pytest.mark.parametrize(
    ("values", "n_clusters", "message"),
    [
        (np.ones(3), 2.5, "integer in"),
        (np.ones(3), np.float64(2), "integer in"),
        (np.ones(3) * 1j, 2, "complex128"),
    ],
)
def test_fractional_clusters_and_complex_values_are_refused(values, n_clusters, message):
    with pytest.raises(ValueError, match=message):
        kmeans_1d(values, n_clusters)
