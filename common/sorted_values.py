"""Values in ascending order, where every cluster is an interval, and the way back to the input's order."""

import numpy as np

from common import kmeans_kernels as kernels

_SIMD_CLUSTERS = 256  # up to here counting thresholds by vector compares is faster than a binary search
_RUN = 1 << 16  # values searched at a time


def assign_to_intervals(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Number of thresholds below each value: its cluster, when thresholds part the clusters.

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
    """Values (of positive weight) in ascending order with the prefix sums that the kernels read.

    Parameters
    ----------
    flat : ndarray of shape (n,)
        float32, n >= 1.
    sample_weight : array_like, optional

    Raises
    ------
    ValueError
        NaN or infinite values; weights of another size, negative, infinite, or all 0.
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
        """Starts of n_clusters intervals of about equally many values, with the end."""
        return np.arange(n_clusters + 1) * self.values.size // n_clusters

    def partition(self, thresholds: np.ndarray) -> np.ndarray:
        """Starts of the intervals that thresholds cut, with the end."""
        starts = self.even_starts(thresholds.size + 1)
        kernels.partition(self.values, thresholds, starts)
        return starts

    def means(self, starts: np.ndarray) -> np.ndarray:
        """float64 weighted mean of each interval, none of them empty."""
        weight, total = self.sums(starts)
        return np.clip(total / weight, self.values[starts[:-1]], self.values[starts[1:] - 1])

    def sums(self, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sums of weights and of weights * values in each interval."""
        return kernels.interval_sums(self.values, self.weights, self.weight_sums, self.value_sums, starts)
