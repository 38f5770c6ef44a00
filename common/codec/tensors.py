"""What the codec stores: tensors as they are (`DenseTensor`), and weights that share values (`SharedTensor`).

The three stages of Deep Compression meet in `SharedTensor`: pruning leaves the `positions` of the kept
weights, weight sharing leaves a `codebook` and one small integer per kept weight (`indices`), and Huffman
coding has only two lists of small integers left to encode: the gaps between positions, and the indices.

>>> tensor = SharedTensor(shape=(2, 2), codebook=np.float32([-1, 2]), positions=np.array([0, 3]),
...                       indices=np.uint8([1, 0]))
>>> tensor.to_dense().tolist()
[[2.0, 0.0], [0.0, -1.0]]
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from common.codec.position_kernels import scatter

CODEBOOK_DTYPES = (np.dtype(np.float32), np.dtype(np.float16))
INDEX_DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16))
_CHUNK = 1 << 20  # kept weights unpacked at a time, so that no second array is as long as the tensor
MAX_CLUSTERS = 1 << 15


@dataclass(frozen=True, eq=False)
class DenseTensor:
    """A tensor that is stored as it is.

    Parameters
    ----------
    values : ndarray of any shape
        float32, float16, float64, signed or unsigned integers, or bool; kept bit for bit.

    Raises
    ------
    TypeError
        When `values` is not a NumPy array.
    """

    values: np.ndarray

    def __post_init__(self) -> None:
        if not isinstance(self.values, np.ndarray):
            raise TypeError(f"values: got {type(self.values).__name__}, expected a NumPy array")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.values.shape

    @property
    def n_weights(self) -> int:
        """Number of weights, kept or not."""
        return self.values.size

    @property
    def n_kept(self) -> int:
        """Number of stored weights: all of them."""
        return self.values.size

    @property
    def sparsity(self) -> float:
        """Fraction of weights that are not stored: 0."""
        return 0.0

    def to_dense(self) -> np.ndarray:
        """Return the values themselves, in their own dtype."""
        return self.values


@dataclass(frozen=True, eq=False)
class SharedTensor:
    """A weight tensor after pruning and weight sharing (Han, Mao, Dally 2016, sections 2 and 3).

    Parameters
    ----------
    shape : tuple of int
        Shape of the dense tensor.
    codebook : ndarray of shape (n_clusters,)
        float32 or float16, finite, strictly ascending: the values that the kept weights share.
    positions : ndarray of shape (n_kept,) or None
        int64, strictly ascending flat row-major positions of the kept weights; None = all are kept.
    indices : ndarray of shape (n_kept,)
        uint8 or uint16, the cluster of each kept weight, in the order of `positions`.
    row_scales : DenseTensor, SharedTensor or None
        One factor per row (index of the first axis: a filter, an output unit), of shape (shape[0],). Folding
        batch normalization into a layer scales each filter by a factor of its own; with the factors kept
        apart, all filters still share one codebook.

    Raises
    ------
    ValueError
        When the parts do not fit each other; the message names the part.
    """

    shape: tuple[int, ...]
    codebook: np.ndarray
    positions: np.ndarray | None
    indices: np.ndarray
    row_scales: DenseTensor | SharedTensor | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        self._check_codebook()
        self._check_positions()
        self._check_indices()
        self._check_row_scales()

    @property
    def n_weights(self) -> int:
        """Number of weights, kept or not."""
        return math.prod(self.shape)

    @property
    def n_kept(self) -> int:
        """Number of weights that were not pruned."""
        return self.indices.size

    @property
    def n_clusters(self) -> int:
        """Number of shared values."""
        return self.codebook.size

    @property
    def sparsity(self) -> float:
        """Fraction of pruned weights, in [0, 1]; 0 for a tensor without weights."""
        return 1.0 - self.n_kept / self.n_weights if self.n_weights else 0.0

    def to_dense(self) -> np.ndarray:
        """Return the float32 tensor of `shape`: codebook values times row scales, 0 for pruned weights."""
        codebook = self.codebook.astype(np.float32)
        dense = np.zeros(self.n_weights, dtype=np.float32)
        if self.positions is None:
            for start in range(0, self.n_kept, _CHUNK):
                dense[start : start + _CHUNK] = codebook[self.indices[start : start + _CHUNK]]
        else:
            scatter(dense, self.positions, self.indices, codebook)
        dense = dense.reshape(self.shape)
        if self.row_scales is not None:
            # A file may hold any scales, so a product may overflow: the result is inf, without a warning.
            with np.errstate(over="ignore", invalid="ignore"):
                scales = self.row_scales.to_dense().astype(np.float32, copy=False)
                dense *= scales.reshape(-1, *[1] * (len(self.shape) - 1))
        return dense

    def _check_codebook(self) -> None:
        codebook = self.codebook
        if codebook.ndim != 1 or codebook.dtype not in CODEBOOK_DTYPES or codebook.size > MAX_CLUSTERS:
            raise ValueError(
                f"codebook: got {codebook.dtype} of shape {codebook.shape}, "
                f"expected one axis of at most {MAX_CLUSTERS} float32 or float16 values"
            )
        if not np.isfinite(codebook).all():
            most = np.finfo(codebook.dtype).max
            raise ValueError(
                f"codebook: got NaN or values beyond {codebook.dtype}, expected finite ones, within ±{most:g}"
            )
        if (codebook[1:] <= codebook[:-1]).any():
            raise ValueError(
                "codebook: got repeated or unsorted values, expected them strictly ascending; "
                "sort with np.unique"
            )

    def _check_positions(self) -> None:
        if any(size < 0 for size in self.shape):
            raise ValueError(f"shape: got {self.shape}, expected no negative size")
        positions = self.positions
        if positions is None:
            return
        if positions.ndim != 1 or positions.dtype != np.int64:
            raise ValueError(
                f"positions: got {positions.dtype} of shape {positions.shape}, expected one axis of int64"
            )
        if positions.size and not (0 <= positions[0] and positions[-1] < self.n_weights):
            raise ValueError(
                f"positions: got {positions[0]} to {positions[-1]}, "
                f"expected them within 0 to {self.n_weights - 1}"
            )
        if (positions[1:] <= positions[:-1]).any():
            raise ValueError("positions: got repeated or unsorted ones, expected them strictly ascending")

    def _check_indices(self) -> None:
        indices = self.indices
        if indices.ndim != 1 or indices.dtype not in INDEX_DTYPES:
            raise ValueError(
                f"indices: got {indices.dtype} of shape {indices.shape}, expected one axis of uint8 or uint16"
            )
        n_expected = self.n_weights if self.positions is None else self.positions.size
        if indices.size != n_expected:
            raise ValueError(f"indices: got {indices.size}, expected one per kept weight: {n_expected}")
        if indices.size and int(indices.max()) >= self.n_clusters:
            raise ValueError(f"indices: got {indices.max()}, expected less than n_clusters={self.n_clusters}")

    def _check_row_scales(self) -> None:
        scales = self.row_scales
        if scales is None:
            return
        if not isinstance(scales, DenseTensor | SharedTensor):
            raise ValueError(f"row_scales: got {type(scales).__name__}, expected DenseTensor or SharedTensor")
        if not self.shape or scales.shape != self.shape[:1]:
            raise ValueError(f"row_scales: got shape {scales.shape}, expected one per row: {self.shape[:1]}")
