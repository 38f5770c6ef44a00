"""The exact optimum of 1-D k-means, by dynamic programming over sorted points.

In one dimension an optimal cluster is an interval, so the best cost of the first j points in k clusters is

    best[k, j] = min over i <= j of best[k - 1, i] + cost(i, j)

and the minimising i never decreases as j grows. So divide and conquer fills the row of each k in O(n log n)
(Wang & Song, "Ckmeans.1d.dp", The R Journal 3/2, 2011; the monotonicity: Wu 1991; Grønlund et al. 2017, arXiv
1701.07204).
"""

from dataclasses import dataclass

import numpy as np

from common.base.compiled import njit


@dataclass(frozen=True, eq=False)
class Partition:
    """Clusters of sorted points, as intervals.

    Parameters
    ----------
    starts : ndarray of shape (n_clusters + 1,)
        int64, strictly ascending; cluster k is ``points[starts[k] : starts[k + 1]]``.
    centroids : ndarray of shape (n_clusters,)
        float64 weighted means, ascending.
    inertia : float
        Sum of weighted squared distances.
    """

    starts: np.ndarray
    centroids: np.ndarray
    inertia: float


def optimal_partition(points: np.ndarray, n_clusters: int, *, weights: np.ndarray | None = None) -> Partition:
    """Return the partition of sorted points into clusters with the smallest possible inertia.

    Takes O(n_clusters * n * log n) time and 4 * n_clusters * n bytes: a million points in 32 clusters take
    seconds. `kmeans_1d` is much faster and in practice as good.

    Parameters
    ----------
    points : ndarray of shape (n,)
        Finite, ascending (repeated values are allowed), n >= 1.
    n_clusters : int
        At least 1. With more clusters than points, each point gets its own.
    weights : ndarray of shape (n,), optional
        Positive; 1 by default.

    Returns
    -------
    Partition
        Of several equally good ones, that with the lower starts.

    Raises
    ------
    ValueError
        When there are no points, points are unsorted or not finite, weights are not positive, or n_clusters <
        1.
    """
    points = np.asarray(points, dtype=np.float64)
    weights = np.ones(points.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if points.ndim != 1 or not points.size or not np.isfinite(points).all() or (np.diff(points) < 0).any():
        raise ValueError(
            f"points of shape {points.shape} should be one axis of finite ascending values, "
            "at least one; use np.sort"
        )
    if weights.shape != points.shape or not np.isfinite(weights).all() or (weights <= 0).any():
        raise ValueError(f"weights of shape {weights.shape} should be {points.shape} finite positive values")
    if n_clusters < 1:
        raise ValueError(f"n_clusters={n_clusters} should be >= 1")
    centre = np.average(points, weights=weights)  # small numbers keep the prefix sums precise
    centred = points - centre
    weight_before = np.concatenate([[0.0], np.cumsum(weights)])
    value_before = np.concatenate([[0.0], np.cumsum(weights * centred)])
    starts = optimal_starts(weight_before, value_before, min(n_clusters, points.size))
    weight, value = weight_before[starts], value_before[starts]
    centroids = np.diff(value) / np.diff(weight)
    distances = centred - np.repeat(centroids, np.diff(starts))
    return Partition(starts, centroids + centre, float((weights * distances**2).sum()))


@njit
def optimal_starts(weight_before, value_before, n_clusters):
    """Return the starts of the optimal intervals, from the prefix sums of weights and of weights * points.

    No interval is empty. The squared error of an interval is sum w x^2 - (sum w x)^2 / sum w. The first terms
    add up to the same for every partition, so they are left out.
    """
    n = weight_before.size - 1
    best = np.empty(n + 1)
    best[0] = 0.0
    for j in range(1, n + 1):
        best[j] = _cost(weight_before, value_before, 0, j)
    split = np.zeros((n_clusters, n + 1), dtype=np.int32)
    stack = np.empty((128, 4), dtype=np.int64)  # halving 2 ** 63 points goes less deep
    for k in range(1, n_clusters):
        new = np.full(n + 1, np.inf)
        # Among j in [low, high] the best splits lie in [first, last]: solve the middle j, then both sides.
        top = 0
        stack[0] = (k + 1, n, k, n - 1)
        while top >= 0:
            low, high, first, last = stack[top]
            top -= 1
            middle = (low + high) // 2
            lowest, at = np.inf, first
            for i in range(first, min(last, middle - 1) + 1):
                cost = best[i] + _cost(weight_before, value_before, i, middle)
                if cost < lowest:
                    lowest, at = cost, i
            new[middle] = lowest
            split[k, middle] = at
            if low < middle:
                top += 1
                stack[top] = (low, middle - 1, first, at)
            if middle < high:
                top += 1
                stack[top] = (middle + 1, high, at, last)
        best = new
    starts = np.empty(n_clusters + 1, dtype=np.int64)
    starts[n_clusters] = n
    for k in range(n_clusters - 1, -1, -1):
        starts[k] = split[k, starts[k + 1]]
    return starts


@njit(inline="always")
def _cost(weight_before, value_before, i, j):
    value = value_before[j] - value_before[i]
    return -value * value / (weight_before[j] - weight_before[i])
