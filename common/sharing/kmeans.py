"""1-D k-means for millions of weights: sort once, then an iteration of Lloyd's algorithm takes microseconds.

Weight sharing clusters the weights of a layer, which are numbers on a line. In sorted order a cluster is an
interval: its mean follows from prefix sums, and its ends are found by searching for the midpoints between
centroids. So after one sort, an iteration over a hundred million weights looks at a few thousand of them.

    kmeans_1d([2.09, -0.98, 1.48, 0.09, ...], 4).codebook -> [-1.0, 0.0, 1.5, 2.0]     (the lecture's 4x4
    example)
"""

from dataclasses import dataclass

import numpy as np

from common.sharing import kmeans_kernels as kernels
from common.sharing.kmeans_exact import optimal_starts

# ----------------------------------------------------------------------------------------------------
# Values in ascending order, where every cluster is an interval, and the way back to the input's order.

_SIMD_CLUSTERS = 256  # up to here comparing with every threshold (SIMD) is faster than a binary search
_RUN = 1 << 16  # values searched at a time


def assign_to_intervals(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return the cluster of each value, where thresholds separate the clusters: how many lie below it.

    Parameters
    ----------
    values : ndarray of shape (n,)
        float32, contiguous.
    thresholds : ndarray of shape (n_clusters - 1,)
        float64, ascending; a value on a threshold belongs below.

    Returns
    -------
    ndarray of shape (n,)
        uint8, or uint16 for more than 256 clusters.
    """
    # value > threshold has to give the same answer in float32: a threshold that was rounded up is moved down
    # to the next float32, since no float32 value lies between.
    single = thresholds.astype(np.float32)
    single = np.where(single > thresholds, np.nextafter(single, np.float32(-np.inf)), single)
    indices = np.empty(values.shape, dtype=np.uint8 if thresholds.size < 256 else np.uint16)
    if thresholds.size < _SIMD_CLUSTERS:
        kernels.assign(values, single, indices)
    else:
        for start in range(0, values.size, _RUN):
            part = slice(start, start + _RUN)
            indices[part] = np.searchsorted(single, values[part], side="left")
    return indices


class SortedValues:
    """Values in ascending order, with the prefix sums that the kernels read.

    Parameters
    ----------
    flat : ndarray of shape (n,)
        float32, n >= 1.
    sample_weight : array_like of n numbers, optional
        Non-negative and finite. Values of weight 0 are left out. By default all count alike.

    Raises
    ------
    ValueError
        When values are NaN or infinite, or weights of another size, negative, infinite, or all 0.
    """

    def __init__(self, flat: np.ndarray, sample_weight: np.ndarray | None = None) -> None:
        if sample_weight is None:
            bits = np.empty(flat.size, dtype=np.uint32)
            kernels.sort_float32(flat, bits, np.empty_like(bits))
            self.values, self.weights = bits.view(np.float32), np.zeros(0)
        else:
            weights = np.asarray(sample_weight, dtype=np.float64).reshape(-1)
            if weights.size != flat.size or not np.isfinite(weights).all() or (weights < 0).any():
                raise ValueError(
                    f"sample_weight of size {weights.size} should be {flat.size} finite values >= 0"
                )
            order = np.argsort(flat, kind="stable")
            order = order[weights[order] > 0]
            if not order.size:
                raise ValueError("sample_weight is 0 throughout; give at least one value a positive weight")
            self.values, self.weights = flat[order], weights[order]
        if not np.isfinite(self.values[[0, -1]]).all() or (
            sample_weight is not None and not np.isfinite(flat).all()
        ):
            n_bad = flat.size - np.count_nonzero(np.isfinite(flat))
            raise ValueError(
                f"values hold {n_bad} NaN or infinite of {flat.size}; look for a diverged training run"
            )
        self.weight_sums, self.value_sums = kernels.block_prefix(self.values, self.weights)

    def even_starts(self, n_clusters: int) -> np.ndarray:
        """Return the starts of n_clusters intervals of about equally many values, and the end of the last."""
        return np.arange(n_clusters + 1) * self.values.size // n_clusters

    def partition(self, thresholds: np.ndarray) -> np.ndarray:
        """Return the starts of the intervals between ascending thresholds, and the end of the last."""
        starts = self.even_starts(thresholds.size + 1)
        kernels.partition(self.values, thresholds, starts)
        return starts

    def means(self, starts: np.ndarray) -> np.ndarray:
        """Return the weighted mean (float64) of each interval, none of which may be empty."""
        weight, total = self.sums(starts)
        return np.clip(total / weight, self.values[starts[:-1]], self.values[starts[1:] - 1])

    def sums(self, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the sum of the weights, and of weights * values, in each interval (float64)."""
        return kernels.interval_sums(self.values, self.weights, self.weight_sums, self.value_sums, starts)


MAX_CLUSTERS = 1 << 16
INITS = ("optimal", "linear", "density", "random")
_MAX_OPTIMAL = 1024  # clusters; the dynamic program's table grows with their square
_MIN_BINS, _BINS_PER_CLUSTER = 2048, 32  # of the histogram, by count and again by width


@dataclass(frozen=True, eq=False)
class KMeansResult:
    """What k-means found.

    Parameters
    ----------
    codebook : ndarray of shape (n_clusters,)
        float32, strictly ascending; no cluster is empty.
    indices : ndarray of the values' shape
        Cluster of each value in the input's order: uint8 up to 256 clusters, uint16 above.
    inertia : float
        Sum of (weighted) squared distances of the values from their centroids.
    n_iter : int
        Iterations that were made: until no value changed its cluster, or ``max_iter``.
    """

    codebook: np.ndarray
    indices: np.ndarray
    inertia: float
    n_iter: int


def kmeans_1d(
    values: np.ndarray,
    n_clusters: int,
    *,
    init: str = "optimal",
    max_iter: int = 10_000,
    seed: int = 0,
    sample_weight: np.ndarray | None = None,
) -> KMeansResult:
    """Cluster numbers with Lloyd's algorithm, until no value changes its cluster.

    Minimises the sum of squared distances between values and their centroids. Deterministic: the same input
    gives the same bits. Needs 8 bytes per value beside input and output (24 with weights).

    Parameters
    ----------
    values : array_like of any shape
        Real and finite; converted to float32, so float64 is rounded.
    n_clusters : int in [1, 65536]
        With fewer distinct values than that, each gets a cluster of its own, and the codebook is shorter.
    init : {"optimal", "linear", "density", "random"}
        Where the centroids start. ``optimal``: the exact optimum over a fine histogram, by dynamic
        programming, which Lloyd's iterations then refine on the values themselves: in practice the global
        optimum to within millionths. (Above 1024 clusters, where its table would grow large, it means
        ``density``.) The others are those of Deep Compression (Han et al. 2016, section 3.2). ``linear``:
        evenly spaced from the smallest to the largest value; ``density``: at evenly spaced quantiles;
        ``random`` (Forgy): at randomly drawn values.
    max_iter : int
        Limit of the number of iterations.
    seed : int
        Of the random draw, for ``random``.
    sample_weight : array_like of the values' shape, optional
        How much the squared distance of each value counts, non-negative and finite. A value of weight 0 does
        not move any centroid, but gets an index. By default all count alike.

    Returns
    -------
    KMeansResult
        Every index is that of the nearest codebook entry, the lower of two equally near. A cluster that runs
        empty restarts at the value farthest from its centroid, one cluster per iteration. Without values the
        codebook is empty.

    Raises
    ------
    ValueError
        When values are complex, NaN or infinite, sample weights of another size, negative, infinite or all 0,
        n_clusters is outside its range, or init is unknown.
    """
    if not isinstance(n_clusters, int | np.integer) or not 1 <= n_clusters <= MAX_CLUSTERS:
        raise ValueError(f"n_clusters={n_clusters} should be an integer in [1, {MAX_CLUSTERS}]")
    if init not in INITS:
        raise ValueError(f"init={init!r} should be one of {', '.join(INITS)}")
    if np.iscomplexobj(values):
        raise ValueError(f"values: got {np.asarray(values).dtype}, expected real numbers")
    flat = np.ascontiguousarray(values, dtype=np.float32).reshape(-1)
    if not flat.size:
        return KMeansResult(np.zeros(0, np.float32), np.zeros(np.shape(values), np.uint8), 0.0, 0)
    line = SortedValues(flat, sample_weight)
    if kernels.distinct_up_to(line.values, n_clusters) <= n_clusters:
        codebook, n_iter = np.unique(line.values), 0
    else:
        centroids = _initial_centroids(line, n_clusters, init, seed)
        starts = line.even_starts(n_clusters)
        n_iter = kernels.lloyd(
            line.values, line.weights, line.weight_sums, line.value_sums, centroids, starts, max_iter
        )
        codebook = np.unique(centroids.astype(np.float32))
    while True:
        wide = codebook.astype(np.float64)
        thresholds = (wide[:-1] + wide[1:]) / 2
        starts = line.partition(thresholds)
        if (np.diff(starts) > 0).all():
            break
        codebook = codebook[np.diff(starts) > 0]  # empty clusters are left only where max_iter stopped Lloyd
    indices = assign_to_intervals(flat, thresholds).reshape(np.shape(values))
    inertia = kernels.interval_inertia(line.values, line.weights, starts, wide)
    return KMeansResult(codebook, indices, inertia, n_iter)


def _initial_centroids(line: SortedValues, n_clusters: int, init: str, seed: int) -> np.ndarray:
    """Return the float64 centroids, ascending, from which Lloyd's algorithm starts."""
    values = line.values
    if init == "optimal" and n_clusters <= _MAX_OPTIMAL:
        return _histogram_optimum(line, n_clusters)
    if init == "linear":
        return np.linspace(float(values[0]), float(values[-1]), n_clusters)
    if init == "random":
        drawn = np.random.default_rng(seed).choice(values.size, n_clusters, replace=False)
    else:
        quantiles = (np.arange(n_clusters) + 0.5) / n_clusters
        drawn = (quantiles * values.size).astype(np.int64)
        if line.weights.size:
            drawn = np.searchsorted(np.cumsum(line.weights), quantiles * line.weights.sum())
    return np.sort(values[drawn]).astype(np.float64)


def _histogram_optimum(line: SortedValues, n_clusters: int) -> np.ndarray:
    """Return the centroids of the exact optimum over a histogram's bins.

    The bins' edges are both evenly spaced and at quantiles: so no bin is wide, and none holds many values.
    """
    values, n_bins = line.values, max(_MIN_BINS, _BINS_PER_CLUSTER * n_clusters)
    if values.size <= 2 * n_bins:
        edges = np.arange(values.size + 1)
    else:
        by_count = np.arange(n_bins + 1) * values.size // n_bins
        by_width = line.partition(np.linspace(float(values[0]), float(values[-1]), n_bins + 1)[1:-1])
        edges = np.union1d(by_count, by_width)
    weight, total = line.sums(edges)
    centred = total - total.sum() / weight.sum() * weight  # small numbers keep the prefix sums precise
    starts = optimal_starts(np.append(0.0, weight.cumsum()), np.append(0.0, centred.cumsum()), n_clusters)
    return line.means(edges[starts])


def entropy_constrained_kmeans_1d(
    values: np.ndarray,
    n_clusters: int,
    *,
    rate_weight: float,
    init: str = "optimal",
    max_iter: int = 10_000,
    seed: int = 0,
) -> KMeansResult:
    """Cluster numbers so that their indices take few bits: squared error + rate_weight * code length.

    K-means looks at the error alone, though an ideal code spends ``-log2 p_k`` bits on an index of cluster k,
    where p_k is the share of values in it. This minimises ``sum over i of (x_i - c_k(i))^2 - rate_weight *
    log2 p_k(i)``, alternately over the clusters and the assignment (Chou, Lookabaugh, Gray 1989,
    "Entropy-constrained vector quantization"). Frequent clusters grow, rare ones shrink, and those that cost
    more bits than they save in error disappear.

    Parameters
    ----------
    values : array_like of any shape
        As in `kmeans_1d`.
    n_clusters : int in [1, 65536]
        Number of clusters at the start; the codebook may be shorter in the end.
    rate_weight : float >= 0
        How much squared error one bit is worth (a Lagrange multiplier); 0 is plain k-means.
    init, seed
        As in `kmeans_1d`, whose result is the start.
    max_iter : int
        Limit of the number of iterations, first of k-means and again of this method's own.

    Returns
    -------
    KMeansResult
        ``inertia`` is the squared error alone, ``n_iter`` counts both kinds of iterations. An index need not
        be that of the nearest centroid.

    Raises
    ------
    ValueError
        As in `kmeans_1d`; also when rate_weight is negative or infinite.
    """
    if not 0 <= rate_weight < np.inf:
        raise ValueError(f"rate_weight={rate_weight} should be finite and >= 0")
    start = kmeans_1d(values, n_clusters, init=init, max_iter=max_iter, seed=seed)
    if rate_weight == 0 or start.codebook.size < 2:
        return start
    flat = np.ascontiguousarray(values, dtype=np.float32).reshape(-1)
    line = SortedValues(flat)
    centroids = start.codebook.astype(np.float64)
    starts = line.partition((centroids[:-1] + centroids[1:]) / 2)
    n_iter = 0
    while n_iter < max_iter:
        n_iter += 1
        counts = np.diff(starts)
        price = rate_weight * -np.log2(counts / line.values.size)
        moved = np.unique(line.partition(_cheapest_thresholds(line.means(starts), price)))
        if np.array_equal(moved, starts):
            break
        starts = moved
    codebook = line.means(starts).astype(np.float32)
    indices = assign_to_intervals(flat, line.values[starts[1:-1] - 1].astype(np.float64))
    inertia = kernels.interval_inertia(line.values, line.weights, starts, codebook.astype(np.float64))
    return KMeansResult(codebook, indices.reshape(np.shape(values)), inertia, start.n_iter + n_iter)


def _cheapest_thresholds(centroids: np.ndarray, price: np.ndarray) -> np.ndarray:
    """Return the thresholds between the regions where each cluster's (x - c_k)^2 + price_k is the smallest.

    A cluster that is never the smallest gets no region. Without x^2, which all clusters share, the costs are
    straight lines in x; the convex hull trick finds their lower envelope.
    """
    used, thresholds = [0], []
    for k in range(1, centroids.size):
        while True:
            j = used[-1]
            distance = centroids[k] - centroids[j]
            crossing = (centroids[j] + centroids[k]) / 2 + (price[k] - price[j]) / (2 * distance)
            if not thresholds or crossing > thresholds[-1]:
                break
            used.pop()
            thresholds.pop()
        used.append(k)
        thresholds.append(crossing)
    return np.array(thresholds, dtype=np.float64)
