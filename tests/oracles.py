"""Slow, plain re-implementations that the tests compare with."""

from itertools import combinations

import numpy as np

# --- k-means and weight sharing


def lloyd_slow(values, centroids, max_iter=10_000):
    """Plain Lloyd in float64 with all distances; every cluster must stay in use; (centroids, labels)."""
    values = np.asarray(values, dtype=np.float64).reshape(-1)
    centroids = np.sort(np.asarray(centroids, dtype=np.float64))
    labels = None
    for _ in range(max_iter):
        new = np.abs(values[:, None] - centroids[None, :]).argmin(axis=1)
        if labels is not None and (new == labels).all():
            break
        labels = new
        assert np.unique(labels).size == centroids.size, "the oracle knows no empty clusters"
        centroids = np.array([values[labels == k].mean() for k in range(centroids.size)])
    return centroids, labels


def best_inertia_brute_force(points, n_clusters, weights=None):
    """Least weighted inertia over all ways to cut sorted points into at most n_clusters intervals."""
    points = np.asarray(points, dtype=np.float64)
    weights = np.ones(points.size) if weights is None else np.asarray(weights, dtype=np.float64)
    n_clusters = min(n_clusters, points.size)
    best = np.inf
    for cuts in combinations(range(1, points.size), n_clusters - 1):
        total = 0.0
        for start, stop in zip((0, *cuts), (*cuts, points.size), strict=True):
            part, weight = points[start:stop], weights[start:stop]
            total += (weight * (part - np.average(part, weights=weight)) ** 2).sum()
        best = min(best, total)
    return best


def entropy_bits(indices):
    """Shannon entropy of the indices' frequencies, in bits an index."""
    share = np.unique(indices, return_counts=True)[1] / np.size(indices)
    return float(-(share * np.log2(share)).sum())


# --- pruning


def kept_by_sorting(scores, n_keep, allowed):
    """Positions of the n_keep highest scores among the allowed ones; the earlier of equals wins."""
    candidates = [(-score, position) for position, score in enumerate(scores) if allowed[position]]
    return sorted(position for _, position in sorted(candidates)[:n_keep])
