"""k-means for 32 clusters of 1, 15 and 100 million weights, one core, beside scikit-learn and kmeans1d.

``dnnc bench -k "kmeans and 1M"`` runs the million alone, ``-m "not slow"`` leaves 15 and 100 million out; the
latter need 8 GB of free memory. How far an inertia is above the optimum:

- up to 1 million weights: above the exact optimum, by dynamic programming;
- more: above the optimum over clusters that start at one of 262,144 evenly spaced ranks, which is itself
  within millionths of the exact one.

scikit-learn runs Lloyd from the same linear start, with its own defaults for when to stop. For 100 million
weights that would take a quarter of an hour, so it runs one iteration, then 10, from which 100 are reckoned:
fewer than the 245 that it needs for a million. kmeans1d is exact and has no start: it gets 0.2 million
weights, and its time grows linearly.
"""

import time
import warnings
from functools import lru_cache

import numpy as np
import psutil
import pytest
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from common.sharing import kmeans_kernels as kernels
from common.sharing.kmeans import SortedValues, kmeans_1d
from common.sharing.kmeans_exact import optimal_partition, optimal_starts

N_CLUSTERS = 32
N_RANKS = 1 << 18
SIZES = [
    pytest.param(200_000, id="0.2M"),
    pytest.param(1_000_000, id="1M"),
    pytest.param(15_000_000, id="15M", marks=pytest.mark.slow),
    pytest.param(
        100_000_000,
        id="100M",
        marks=[
            pytest.mark.slow,
            pytest.mark.skipif(psutil.virtual_memory().available < 8e9, reason="needs 8 GB of memory"),
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


@lru_cache
def optimum(n: int) -> float:
    """Least inertia, exact up to a million weights."""
    if n <= 1_000_000:
        return optimal_partition(np.sort(laplace(n)), N_CLUSTERS).inertia
    line = SortedValues(laplace(n))
    edges = np.arange(N_RANKS + 1) * n // N_RANKS
    weight, total = line.sums(edges)
    starts = optimal_starts(np.append(0.0, weight.cumsum()), np.append(0.0, total.cumsum()), N_CLUSTERS)
    return kernels.interval_inertia(line.values, line.weights, edges[starts], line.means(edges[starts]))


def group(n: int) -> str:
    """Table in which the peers stand together; pytest-benchmark wants it before the measurement."""
    return f"k-means, {N_CLUSTERS} clusters of {n:,} weights"


def record(benchmark, peer: str, n: int, inertia: float, n_iter: int | str = "") -> None:
    """Store what is not a time."""
    benchmark.extra_info |= {
        "peer": peer,
        "work": n / 1e6,
        "unit": "M weights",
        "iterations": n_iter,
        "inertia": inertia,
        "% above the optimum": 100 * (inertia / optimum(n) - 1),
    }
    if benchmark.stats is not None:
        seconds[peer, n] = benchmark.stats.stats.median


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("init", ["optimal", "linear"])
def bench_kmeans(benchmark, n, init):
    benchmark.group, values = group(n), laplace(n)
    kmeans_1d(values[:1000], N_CLUSTERS)  # compiles
    result = benchmark.pedantic(kmeans_1d, (values, N_CLUSTERS), {"init": init}, rounds=3)
    record(benchmark, f"this course, from the {init} start", n, result.inertia, result.n_iter)
    if init == "optimal":  # what weight sharing uses; plain Lloyd may end in a local optimum
        assert benchmark.extra_info["% above the optimum"] <= 0.1


@pytest.mark.parametrize("n", SIZES[1:])
def bench_kmeans_scikit_learn(benchmark, n):
    benchmark.group, values = group(n), laplace(n)
    start = np.linspace(values.min(), values.max(), N_CLUSTERS, dtype=np.float32)[:, None]
    is_cut_short = n > 15_000_000
    options = {"init": start, "n_init": 1, "algorithm": "lloyd"}
    peer = KMeans(N_CLUSTERS, **options, max_iter=10 if is_cut_short else 300)
    with threadpool_limits(1), warnings.catch_warnings(category=ConvergenceWarning, action="ignore"):
        if is_cut_short:
            begin = time.perf_counter()
            KMeans(N_CLUSTERS, **options, max_iter=1).fit(values[:, None])
            one = time.perf_counter() - begin
        benchmark.pedantic(peer.fit, (values[:, None],), rounds=1)
    centroids, labels = peer.cluster_centers_[:, 0].astype(np.float64), peer.labels_
    inertia = sum(
        float(((values[part] - centroids[labels[part]]) ** 2).sum())
        for part in (slice(start, start + 1_000_000) for start in range(0, n, 1_000_000))
    )
    name = "scikit-learn, 10 iterations" if is_cut_short else "scikit-learn"
    record(benchmark, name, n, inertia, peer.n_iter_)
    if benchmark.stats is None:
        return
    theirs = seconds[name, n]
    if is_cut_short:
        theirs += 90 * (theirs - one) / 9
        benchmark.extra_info["s for 100 iterations"] = theirs
    for init in ("optimal", "linear"):
        ours = seconds.get((f"this course, from the {init} start", n), 0.0)
        assert theirs >= 100 * ours, f"{n:,} weights: {theirs:.3g} s, ours {ours:.3g} s from the {init} start"


def bench_kmeans_kmeans1d(benchmark):
    kmeans1d = pytest.importorskip("kmeans1d", reason="it needs a C++ compiler; `make peers` installs it")
    benchmark.group, values = group(200_000), laplace(200_000)
    clusters = benchmark.pedantic(kmeans1d.cluster, (values, N_CLUSTERS), rounds=1)
    inertia = float(((values - np.array(clusters.centroids)[clusters.clusters]) ** 2).sum())
    record(benchmark, "kmeans1d, exact", values.size, inertia)


@pytest.mark.parametrize("n", SIZES[:2])
def bench_kmeans_exact_optimum(benchmark, n):
    benchmark.group, points = group(n), np.sort(laplace(n))
    optimal_partition(points[:1000], N_CLUSTERS)  # compiles
    result = benchmark.pedantic(optimal_partition, (points, N_CLUSTERS), rounds=1)
    record(benchmark, "this course, exact", n, result.inertia)
