"""Weight sharing: each kept weight takes one of a few shared values (Han, Mao, Dally 2016, section 3).

K-means over the kept weights of a tensor replaces them by a codebook and one small index per kept weight.
NumPy only; `centroid_tuning` fine-tunes the centroids in a network.

    share_weights(weight, mask, 5) -> SharedTensor with at most 32 values
"""

from collections.abc import Mapping

import numpy as np

from common.base.numbers import check_finite, to_half
from common.codec.tensors import MAX_CLUSTERS, SharedTensor
from common.sharing.kmeans import entropy_constrained_kmeans_1d, kmeans_1d


def share_weights(
    weight: np.ndarray,
    mask: np.ndarray | None = None,
    n_bits: int | None = None,
    *,
    n_clusters: int | None = None,
    init: str = "optimal",
    codebook_dtype: type = np.float32,
    rate_weight: float = 0.0,
    importance: np.ndarray | None = None,
    seed: int = 0,
    name: str = "the tensor",
) -> SharedTensor:
    """Cluster the kept weights of one tensor, and return it with shared values.

    Parameters
    ----------
    weight : ndarray of any shape, or a torch tensor
        Real numbers.
    mask : ndarray of the weight's shape, optional
        bool, True = kept; by default everything is kept.
    n_bits : int in [0, 15]
        Width of an index before Huffman coding: at most ``2**n_bits`` clusters. Give this or ``n_clusters``.
    n_clusters : int in [1, 32768]
        Number of clusters, where it is not a power of two.
    init : {"optimal", "linear", "density", "random"}
        As in `kmeans_1d`.
    codebook_dtype : float32 or float16
        float16 saves two bytes per centroid; centroids that become equal are merged.
    rate_weight : float >= 0
        How much squared error one bit of an index is worth. 0 minimises the squared error alone; more makes
        the indices' entropy smaller, so that Huffman coding takes fewer bits (see
        `entropy_constrained_kmeans_1d`).
    importance : ndarray of the weight's shape, optional
        How much the squared error of each weight counts, non-negative and finite. With the second derivatives
        of the loss, or the Fisher information in their place, k-means minimises the growth of the loss (Choi,
        El-Khamy, Lee 2017, arXiv 1612.01543). By default all count alike. Not together with `rate_weight`.
    seed : int
        For ``init="random"``.
    name : str
        Name of the tensor, for error messages.

    Returns
    -------
    SharedTensor
        ``positions`` is None when every weight is kept.

    Raises
    ------
    ValueError
        When the mask has another shape or dtype, both or neither of ``n_bits`` and ``n_clusters`` are given
        or one is out of range, weights are NaN or infinite, a centroid is beyond the range of a float16
        codebook, `kmeans_1d` refuses the importance, or `rate_weight` comes with it.
    """
    weight, mask = _as_array(weight), None if mask is None else _as_array(mask)
    if (n_bits is None) == (n_clusters is None):
        raise ValueError(
            f"give n_bits or n_clusters, one of them: got n_bits={n_bits}, n_clusters={n_clusters}"
        )
    if n_bits is not None:
        if not 0 <= n_bits < MAX_CLUSTERS.bit_length():
            raise ValueError(f"n_bits={n_bits} should be in [0, {MAX_CLUSTERS.bit_length() - 1}]")
        n_clusters = 1 << n_bits
    if not 1 <= n_clusters <= MAX_CLUSTERS:
        raise ValueError(f"n_clusters={n_clusters} should be in [1, {MAX_CLUSTERS}]")
    positions = kept_positions(mask, weight.shape)
    kept = weight.reshape(-1) if positions is None else weight.reshape(-1)[positions]
    check_finite(kept, name)
    if importance is not None:
        importance = _as_array(importance)
        if rate_weight or importance.shape != weight.shape:
            raise ValueError(
                f"{name}: importance of shape {importance.shape} and rate_weight={rate_weight}: expected the "
                f"weight's shape {weight.shape}, and no rate_weight"
            )
        counts = importance.reshape(-1) if positions is None else importance.reshape(-1)[positions]
        result = kmeans_1d(kept, n_clusters, init=init, seed=seed, sample_weight=counts)
    elif rate_weight:
        result = entropy_constrained_kmeans_1d(
            kept, n_clusters, rate_weight=rate_weight, init=init, seed=seed
        )
    else:
        result = kmeans_1d(kept, n_clusters, init=init, seed=seed)
    codebook, indices = merge_equal(as_codebook(result.codebook, codebook_dtype, name), result.indices)
    return SharedTensor(shape=weight.shape, codebook=codebook, positions=positions, indices=indices)


def _as_array(values: object) -> np.ndarray:
    """Return an array of what may be a torch tensor: on any device, with gradients, or in bfloat16."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
    return np.asarray(values)


def as_codebook(values: np.ndarray, dtype: type, name: str) -> np.ndarray:
    """Return centroids in the codebook's dtype; one beyond its range raises a ValueError."""
    if np.dtype(dtype) == np.float16:
        return to_half(values, name, may_vanish=False)
    return values.astype(dtype)


def kept_positions(mask: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the flat row-major positions of the kept weights (int64, ascending); None when all are kept."""
    if mask is None:
        return None
    mask = np.asarray(mask)
    if mask.dtype != np.bool_ or mask.shape != tuple(shape):
        raise ValueError(f"mask has dtype {mask.dtype} and shape {mask.shape}; expected bool {tuple(shape)}")
    return None if mask.all() else np.flatnonzero(mask).astype(np.int64, copy=False)


def merge_equal(codebook: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort a codebook, merge equal centroids, and renumber the indices; unused centroids stay.

    The file needs a strictly ascending codebook. Rounding centroids to float16 can make two of them equal,
    and training can move one past another.

    Parameters
    ----------
    codebook : ndarray of shape (n_clusters,)
        Finite centroids, in any order.
    indices : ndarray of any shape
        Unsigned integers, the cluster of each weight.

    Returns
    -------
    codebook : ndarray of shape (n_merged,)
        Strictly ascending, n_merged <= n_clusters.
    indices : ndarray of the given shape
        uint8 or uint16; every weight has the same value as before.
    """
    merged, new_index = np.unique(codebook, return_inverse=True)
    if np.array_equal(merged, codebook):
        return codebook, indices
    dtype = np.uint8 if merged.size <= 256 else np.uint16
    return merged, new_index.astype(dtype)[indices]


def centroid_gradient(grad: np.ndarray, indices: np.ndarray, n_clusters: int) -> np.ndarray:
    """Return the gradient of the loss with respect to the centroids: of each, the sum over its weights.

    ``dL/dC_k = sum over i, j of dL/dW_ij * [I_ij = k]`` (Han, Mao, Dally 2016, eq. 3)

    Parameters
    ----------
    grad : ndarray of any shape
        Gradient with respect to the (kept) weights.
    indices : ndarray of the same shape
        Cluster of each weight, integers in [0, n_clusters).
    n_clusters : int
        Number of centroids.

    Returns
    -------
    ndarray of shape (n_clusters,)
        float64; 0 for a cluster without weights.

    Raises
    ------
    ValueError
        When the shapes differ, or an index is outside its range.
    """
    grad, indices = np.asarray(grad), np.asarray(indices)
    if grad.shape != indices.shape:
        raise ValueError(f"grad has shape {grad.shape}, expected that of the indices: {indices.shape}")
    if indices.size and not 0 <= int(indices.min()) <= int(indices.max()) < n_clusters:
        raise ValueError(f"indices span {indices.min()} to {indices.max()}; expected 0 to {n_clusters - 1}")
    return np.bincount(indices.reshape(-1), weights=grad.reshape(-1), minlength=n_clusters)


def bits_per_layer(
    weights: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray],
    distortion: float,
    *,
    min_bits: int = 1,
    max_bits: int = 8,
    importance: Mapping[str, float] | None = None,
) -> dict[str, int]:
    """Choose the index width of each layer so that the squared error of all layers stays within a budget.

    Starts at ``min_bits`` everywhere. Then gives one bit more to the layer where it lowers the error most per
    index bit that it costs, until the budget is met. Where each layer's error is a convex function of its
    bits, this greedy choice is optimal except for the last step.

    Parameters
    ----------
    weights, masks : mapping of name to ndarray
        As in `share_weights`; a name without a mask keeps all its weights.
    distortion : float >= 0
        Budget: squared error of the shared weights over the energy (sum of squares) of the kept weights, both
        weighted by importance.
    min_bits, max_bits : int
        Range of index widths to choose from, 0 <= min_bits <= max_bits <= 10.
    importance : mapping of name to float, optional
        How much a squared error of this layer counts, for example from a sensitivity scan; 1 by default.

    Returns
    -------
    dict of name to int
        Bits per index, for `share_weights`.

    Raises
    ------
    ValueError
        When the range of bits is empty, or ``max_bits`` cannot meet the budget.
    """
    if not 0 <= min_bits <= max_bits <= 10:
        raise ValueError(
            f"min_bits={min_bits}, max_bits={max_bits} should satisfy 0 <= min_bits <= max_bits <= 10"
        )
    errors, counts, energy = {}, {}, 0.0
    for name, weight in weights.items():
        positions = kept_positions(masks.get(name), np.shape(weight))
        kept = np.asarray(weight).reshape(-1)
        kept = kept if positions is None else kept[positions]
        factor = 1.0 if importance is None else importance.get(name, 1.0)
        energy += factor * float(np.square(kept, dtype=np.float64).sum())
        counts[name] = kept.size
        errors[name] = {b: factor * kmeans_1d(kept, 1 << b).inertia for b in range(min_bits, max_bits + 1)}
    bits = dict.fromkeys(weights, min_bits)

    def gain(name: str) -> float:
        return (errors[name][bits[name]] - errors[name][bits[name] + 1]) / max(1, counts[name])

    while sum(errors[name][n] for name, n in bits.items()) > distortion * energy:
        open_layers = [name for name, n in bits.items() if n < max_bits]
        if not open_layers:
            raise ValueError(
                f"distortion={distortion} cannot be met with max_bits={max_bits}; raise one of them"
            )
        bits[max(open_layers, key=gain)] += 1
    return bits
