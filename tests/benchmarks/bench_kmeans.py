"""k-means for 32 clusters of 1, 15 and 100 million weights, one core, beside scikit-learn and kmeans1d.

``pytest tests/benchmarks/bench_kmeans.py --benchmark-only`` runs 1 and 15 million, ``-m "not slow"`` 1
million alone; DNNC_BENCH_LARGE=1 adds 100 million. Times come from one run, so that peers can be compared;
``extra_info`` holds the inertia and how far it is above the optimum:

- 1 million weights: above the exact optimum, by dynamic programming;
- more: above the optimum over clusters that start at one of 262,144 evenly spaced ranks, which is itself
  within millionths of the exact one.

scikit-learn runs Lloyd from the same linear start; for 100 million weights it runs 10 iterations only, which
flatters it. kmeans1d (exact, no start) gets 0.2 million weights; its time grows linearly.
"""

import os
from functools import lru_cache

import kmeans1d
import numpy as np
import pytest
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from common import kmeans_kernels as kernels
from common.kmeans import kmeans_1d
from common.kmeans_exact import optimal_partition, optimal_starts
from common.sorted_values import SortedValues

N_CLUSTERS = 32
N_RANKS = 1 << 18
SIZES = [
    pytest.param(1_000_000, id="1M"),
    pytest.param(15_000_000, id="15M", marks=pytest.mark.slow),
    pytest.param(
        100_000_000,
        id="100M",
        marks=[
            pytest.mark.slow,
            pytest.mark.skipif("DNNC_BENCH_LARGE" not in os.environ, reason="takes long"),
        ],
    ),
]
seconds: dict[tuple[str, int], float] = {}


@lru_cache(maxsize=1)
def laplace(n: int) -> np.ndarray:
    """Weights as a trained layer has them: many small ones, long tails."""
    rng = np.random.default_rng(0)
    weights = rng.standard_exponential(n, dtype=np.float32)
    weights *= np.float32(0.02) * rng.choice(np.float32([-1, 1]), n)
    return weights


@lru_cache(maxsize=1)
def optimum(n: int) -> float:
    """Least inertia, exact up to a million weights."""
    if n <= 1_000_000:
        return optimal_partition(np.sort(laplace(n)), N_CLUSTERS).inertia
    line = SortedValues(laplace(n))
    edges = np.arange(N_RANKS + 1) * n // N_RANKS
    weight, total = line.sums(edges)
    starts = optimal_starts(np.append(0.0, weight.cumsum()), np.append(0.0, total.cumsum()), N_CLUSTERS)
    return kernels.interval_inertia(line.values, line.weights, edges[starts], line.means(edges[starts]))


def record(benchmark, name: str, n: int, inertia: float, n_iter: int | None = None) -> None:
    """Store what is not a time."""
    benchmark.group = f"k-means, {N_CLUSTERS} clusters of {n:,} weights"
    benchmark.extra_info |= {"peer": name, "n_values": n, "inertia": inertia, "n_iter": n_iter}
    if n != 200_000:
        benchmark.extra_info["percent_above_optimum"] = 100 * (inertia / optimum(n) - 1)
    if benchmark.stats is not None:
        seconds[name, n] = benchmark.stats.stats.min


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("init", ["optimal", "linear"])
def test_this_course(benchmark, n, init):
    values = laplace(n)
    kmeans_1d(values[:1000], N_CLUSTERS)  # compiles
    result = benchmark.pedantic(kmeans_1d, (values, N_CLUSTERS), {"init": init}, rounds=3)
    record(benchmark, f"this course, {init}", n, result.inertia, result.n_iter)
    assert benchmark.extra_info["percent_above_optimum"] <= 0.1


@pytest.mark.parametrize("n", SIZES)
def test_scikit_learn(benchmark, n):
    values = laplace(n)
    start = np.linspace(values.min(), values.max(), N_CLUSTERS, dtype=np.float32)[:, None]
    max_iter = 10 if n > 15_000_000 else 300
    peer = KMeans(N_CLUSTERS, init=start, n_init=1, algorithm="lloyd", max_iter=max_iter)
    with threadpool_limits(1):
        benchmark.pedantic(peer.fit, (values[:, None],), rounds=1)
    inertia = float(((values - peer.cluster_centers_[:, 0][peer.labels_]).astype(np.float64) ** 2).sum())
    record(benchmark, "scikit-learn", n, inertia, peer.n_iter_)
    for init in ("optimal", "linear"):
        ours = seconds.get((f"this course, {init}", n))
        if ours is not None and benchmark.stats is not None:
            ratio = benchmark.stats.stats.min / ours
            benchmark.extra_info[f"times_slower_than_{init}"] = ratio
            assert ratio >= 100


def test_kmeans1d(benchmark):
    values = laplace(1_000_000)[:200_000]
    clusters = benchmark.pedantic(kmeans1d.cluster, (values, N_CLUSTERS), rounds=1)
    inertia = float(((values - np.array(clusters.centroids)[clusters.clusters]) ** 2).sum())
    record(benchmark, "kmeans1d", values.size, inertia)


def test_exact_optimum(benchmark):
    points = np.sort(laplace(1_000_000))
    optimal_partition(points[:1000], N_CLUSTERS)  # compiles
    result = benchmark.pedantic(optimal_partition, (points, N_CLUSTERS), rounds=1)
    record(benchmark, "this course, exact", points.size, result.inertia)
