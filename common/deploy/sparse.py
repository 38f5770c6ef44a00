"""Layers that run compressed: products from a codebook and the columns that share each of its values.

At batch 1 a layer is as fast as its weights come from memory. A CSR matrix reads 8 bytes per kept weight (a
float32 and an int32 column). Weight sharing allows better: in a row, the inputs of all weights of one value
are added first, and multiplied once (the distributive law; as in UCNN, Hegde et al., ISCA 2018, arXiv
1804.06508). What is stored are the columns, two bytes each, in *units* of four that share a value, with one
byte for the value: about 2.3 bytes per kept weight, a quarter of the multiplications, and hardly a branch. A
last unit that is not full is filled up with a column of zeros behind the input.

Gaps of a byte and an index of a byte (EIE: Han et al., ISCA 2016, arXiv 1602.01528) take two bytes, but every
column must wait for the one before: on a CPU that was no faster than CSR.

>>> tensor = SharedTensor((2, 3), np.float32([-1, 2]), np.array([0, 4]), np.uint8([1, 0]))
>>> SparseMatrix.of(tensor) @ np.float32([10, 20, 30])
array([ 20., -20.], dtype=float32)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np

from common.codec.position_kernels import kernel
from common.codec.tensors import SharedTensor

# Energy of one operation in pJ, 45 nm (Horowitz, ISSCC 2014, as quoted by Han et al. 2016).
DRAM_PJ_PER_WORD = 640.0  # 32 bits
SRAM_PJ_PER_WORD = 5.0
MULTIPLY_PJ, ADD_PJ = 3.7, 0.9  # float32
_0, _1, _TWO, _3 = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3)
_UNIT = 4  # columns that share a value
_UNIT_PAYS = 2.4  # units of one that take as long as one of four, and a little


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """A pruned weight tensor with shared values, as rows of units.

    Parameters
    ----------
    shape : tuple of int
        (rows, columns): a convolution's columns are channels, height and width together.
    columns : ndarray of shape (n_units, width)
        uint16, or uint32 from 65,536 columns on. The width is 4, or 1 where few weights of a row share a
        value.
    values : ndarray of shape (n_units,)
        uint8 or uint16: the index of the value that the columns of a unit share.
    starts : ndarray of shape (rows + 1,)
        int64, where the units of each row begin.
    codebook : ndarray of shape (n_clusters,)
        float32.
    row_scales : ndarray of shape (rows,) or None
        float32 factors of the results.
    """

    shape: tuple[int, int]
    columns: np.ndarray
    values: np.ndarray
    starts: np.ndarray
    codebook: np.ndarray
    row_scales: np.ndarray | None = None

    @classmethod
    def of(cls, tensor: SharedTensor) -> SparseMatrix:
        """Return the matrix of a tensor with two axes or more; further axes are columns.

        Raises
        ------
        ValueError
            When the tensor has fewer axes.
        """
        if len(tensor.shape) < 2:
            raise ValueError(f"shape: got {tensor.shape}, expected a matrix or a convolution's weights")
        n_rows, n_columns = tensor.shape[0], math.prod(tensor.shape[1:])
        positions, indices = tensor.positions, tensor.indices
        if positions is None:
            positions = np.arange(tensor.n_weights, dtype=np.int64)
        edges = np.searchsorted(positions, np.arange(n_rows + 1) * n_columns)
        starts = np.zeros(n_rows + 1, dtype=np.int64)
        n_units = _count_units(indices, edges, tensor.n_clusters, _UNIT, starts)
        width = _UNIT
        if n_units * _UNIT_PAYS > positions.size:
            width, n_units, starts = 1, positions.size, edges
        columns = np.full((n_units, width), n_columns, dtype=np.uint16 if n_columns < 1 << 16 else np.uint32)
        values = np.empty(n_units, dtype=indices.dtype)
        _fill_units(positions, indices, edges, n_columns, tensor.n_clusters, starts, columns, values)
        scales = tensor.row_scales
        scales = None if scales is None else scales.to_dense().astype(np.float32)
        return cls((n_rows, n_columns), columns, values, starts, tensor.codebook.astype(np.float32), scales)

    @property
    def n_bytes(self) -> int:
        """Bytes that a product reads of the matrix."""
        scales = 0 if self.row_scales is None else self.row_scales.nbytes
        parts = self.columns, self.values, self.starts, self.codebook
        return sum(part.nbytes for part in parts) + scales

    def __matmul__(self, x: np.ndarray) -> np.ndarray:
        """Return the product with a vector, or with a column per example.

        Parameters
        ----------
        x : ndarray of shape (columns,) or (columns, batch)
            float32.

        Returns
        -------
        ndarray of shape (rows,) or (rows, batch)
            float32, summed in float32.

        Raises
        ------
        ValueError
            When `x` has another shape or dtype.
        """
        x = np.asarray(x)
        if x.dtype != np.float32 or x.ndim not in (1, 2) or x.shape[0] != self.shape[1]:
            raise ValueError(
                f"x: got {x.dtype} of shape {x.shape}, expected float32 of shape ({self.shape[1]},) "
                f"or ({self.shape[1]}, batch)"
            )
        padded = np.zeros((x.shape[0] + 1, *x.shape[1:]), dtype=np.float32)  # the columns that fill up units
        padded[:-1] = x
        y = np.zeros((self.shape[0], *x.shape[1:]), dtype=np.float32)
        times = _times_vector if x.ndim == 1 else _times_columns
        times(self.columns, self.values, self.starts, self.codebook, padded, y)
        if self.row_scales is not None:
            y *= self.row_scales.reshape(-1, *[1] * (y.ndim - 1))
        return y

    def convolve(self, images: np.ndarray, kernel_size: int, *, padding: int = 0) -> np.ndarray:
        """Return the convolution (stride 1) of images with these filters, by gathered columns.

        Parameters
        ----------
        images : ndarray of shape (n, channels, height, width)
            float32.
        kernel_size, padding : int
            Of the square filters; zeros on each side.

        Returns
        -------
        ndarray of shape (n, rows, height + 2 * padding - kernel_size + 1, ...)
            float32.
        """
        if padding:
            images = np.pad(images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
        windows = np.lib.stride_tricks.sliding_window_view(images, (kernel_size, kernel_size), axis=(2, 3))
        n, _, height, width = windows.shape[:4]
        columns = windows.transpose(1, 4, 5, 0, 2, 3).reshape(self.shape[1], -1)  # a column per output place
        return (self @ columns).reshape(-1, n, height, width).swapaxes(0, 1)


def csr_bytes(n_kept: int, n_rows: int) -> int:
    """Bytes that a product reads of a CSR matrix with float32 values and int32 indices."""
    return 8 * n_kept + 4 * (n_rows + 1)


def product_energy(n_bytes: int, n_kept: int, *, n_multiplied: int | None = None) -> float:
    """Estimate the energy of a product with a vector, in joules: weights from DRAM, inputs from SRAM.

    An estimate from the pJ of 45 nm and the bytes moved, not a measurement: caches and the rest of the
    machine are left out.

    Parameters
    ----------
    n_bytes : int
        Bytes of the matrix, each read once.
    n_kept : int
        Inputs read and added.
    n_multiplied : int, optional
        Multiplications; by default one for each.
    """
    n_multiplied = n_kept if n_multiplied is None else n_multiplied
    arithmetic = n_kept * (ADD_PJ + SRAM_PJ_PER_WORD) + n_multiplied * MULTIPLY_PJ
    return 1e-12 * (n_bytes / 4 * DRAM_PJ_PER_WORD + arithmetic)


@kernel
def _count_units(indices, edges, n_clusters, width, starts):
    """Fill `starts` with where the units of each row begin; return how many there are."""
    for row in range(edges.size - 1):
        counts = np.zeros(n_clusters, dtype=np.int64)
        for i in range(edges[row], edges[row + 1]):
            counts[indices[i]] += 1
        starts[row + 1] = starts[row] + ((counts + width - 1) // width).sum()
    return starts[-1]


@kernel
def _fill_units(positions, indices, edges, n_columns, n_clusters, starts, columns, values):
    """Write each row's columns value by value, and the values of the units."""
    width = columns.shape[1]
    flat = columns.reshape(-1)
    for row in range(edges.size - 1):
        counts = np.zeros(n_clusters, dtype=np.int64)
        for i in range(edges[row], edges[row + 1]):
            counts[indices[i]] += 1
        unit = starts[row]
        for value in range(n_clusters):
            n_units = (counts[value] + width - 1) // width
            counts[value] = unit * width  # from here on: where the value's next column goes
            values[unit : unit + n_units] = value
            unit += n_units
        for i in range(edges[row], edges[row + 1]):
            flat[counts[indices[i]]] = positions[i] - row * n_columns
            counts[indices[i]] += 1


_fused = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})


@_fused
def _times_vector(columns, values, starts, codebook, x, y):
    """Fill y with the product; two units at a time, so that their sums do not wait for each other."""
    if columns.shape[1] == 1:
        for row in range(y.size):
            total0 = total1 = np.float32(0)
            start, stop = np.uint64(starts[row]), np.uint64(starts[row + 1])
            for unit in range(start, stop - (stop - start) % _TWO, 2):
                total0 += codebook[values[unit]] * x[columns[unit, _0]]
                total1 += codebook[values[unit + _1]] * x[columns[unit + _1, _0]]
            if (stop - start) % _TWO:
                total0 += codebook[values[stop - _1]] * x[columns[stop - _1, _0]]
            y[row] = total0 + total1
        return
    for row in range(y.size):
        total0 = total1 = np.float32(0)
        start, stop = np.uint64(starts[row]), np.uint64(starts[row + 1])
        for unit in range(start, stop - (stop - start) % _TWO, 2):
            total0 += codebook[values[unit]] * _sum_of_four(columns, unit, x)
            total1 += codebook[values[unit + _1]] * _sum_of_four(columns, unit + _1, x)
        if (stop - start) % _TWO:
            total0 += codebook[values[stop - _1]] * _sum_of_four(columns, stop - _1, x)
        y[row] = total0 + total1


@_fused
def _sum_of_four(columns, unit, x):
    """Return the sum of the inputs of a unit."""
    left = x[columns[unit, _0]] + x[columns[unit, _1]]
    return left + (x[columns[unit, _TWO]] + x[columns[unit, _3]])


@_fused
def _times_columns(columns, values, starts, codebook, x, y):
    """Add the product to y: a row of y gets a value times the sum of some rows of x."""
    for row in range(y.shape[0]):
        out = y[row]
        for unit in range(starts[row], starts[row + 1]):
            value = codebook[values[unit]]
            if columns.shape[1] == 1:
                source = x[columns[unit, 0]]
                for k in range(out.size):
                    out[k] += value * source[k]
            else:
                source0, source1 = x[columns[unit, 0]], x[columns[unit, 1]]
                source2, source3 = x[columns[unit, 2]], x[columns[unit, 3]]
                for k in range(out.size):
                    out[k] += value * ((source0[k] + source1[k]) + (source2[k] + source3[k]))
