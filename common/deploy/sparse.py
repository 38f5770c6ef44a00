"""Matrix products with compressed layers, from a codebook and the columns that share each of its values.

At batch 1 the time of a linear layer is that of reading its weights from memory. A CSR matrix reads 8 bytes
per kept weight (a float32 and an int32 column). Weight sharing allows better: in a row, the inputs of all
weights with the same value are added first, and multiplied once (the distributive law; as in UCNN, Hegde et
al., ISCA 2018, arXiv 1804.06508). What is stored are *units* of 64 bits: four columns that share a value, and
the value's index. That is about 2.3 bytes per kept weight, a quarter of the multiplications, and one load for
four weights. A last unit that is not full refers to a zero behind the input.

Rows with similar numbers of units are computed four at a time: so no sum waits for another, and there is one
end of a loop for four rows. A column has 14 bits, so wider matrices are cut into tiles, whose inputs fit in
the cache.

Gaps of a byte and an index of a byte (EIE: Han et al., ISCA 2016, arXiv 1602.01528) take two bytes, but every
column has to wait for the one before: on a CPU that was no faster than CSR.

>>> tensor = SharedTensor((2, 3), np.float32([-1, 2]), np.array([0, 4]), np.uint8([1, 0]))
>>> SparseMatrix.of(tensor) @ np.float32([10, 20, 30])
array([ 20., -20.], dtype=float32)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from common.base.compiled import kernel, njit
from common.codec.tensors import SharedTensor

# Energy of one operation in pJ, 45 nm (Horowitz, ISSCC 2014, as quoted by Han et al. 2016).
DRAM_PJ_PER_WORD = 640.0  # 32 bits
SRAM_PJ_PER_WORD = 5.0
MULTIPLY_PJ, ADD_PJ = 3.7, 0.9  # float32
_1, _2, _3 = np.uint64(1), np.uint64(2), np.uint64(3)
_COLUMN = np.uint64(0x3FFF)
_14, _28, _42, _56 = (np.uint64(bits) for bits in (14, 28, 42, 56))
MAX_TILE = 7168  # columns of a tile: their inputs, 28 KiB, stay in the level-1 cache
MAX_VALUES = 256
LANES = 4


@dataclass(frozen=True, eq=False)
class Tile:
    """Some columns of a matrix as units; those of four rows are interleaved.

    Parameters
    ----------
    first, last : int
        The columns [first, last).
    units : ndarray of shape (n_units,)
        uint64: four columns within the tile, 14 bits each from the lowest on, and the index of a value.
    starts : ndarray of shape (n_groups + 1,)
        int64, where the units of each group of four rows begin.
    order : ndarray of shape (4 * n_groups,)
        int64, the rows of each group; n_rows where the last group lacks a row.
    """

    first: int
    last: int
    units: np.ndarray
    starts: np.ndarray
    order: np.ndarray

    @property
    def n_bytes(self) -> int:
        """Bytes that a product reads."""
        return self.units.nbytes + self.starts.nbytes + self.order.nbytes


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """A pruned weight tensor with shared values, ready for products.

    Parameters
    ----------
    shape : tuple of int
        (rows, columns): a convolution's columns are channels, height and width together.
    tiles : list of Tile
        The weights.
    codebook : ndarray of shape (n_clusters,)
        float32.
    row_scales : ndarray of shape (rows,) or None
        float32 factors by which the results are multiplied.
    """

    shape: tuple[int, int]
    tiles: list[Tile]
    codebook: np.ndarray
    row_scales: np.ndarray | None = None

    @classmethod
    def of(cls, tensor: SharedTensor) -> SparseMatrix:
        """Return the matrix of a tensor with two axes or more; further axes are columns.

        Raises
        ------
        ValueError
            When the tensor has fewer axes, or more than 256 values.
        """
        if len(tensor.shape) < 2:
            raise ValueError(f"shape: got {tensor.shape}, expected a matrix or a convolution's weights")
        if tensor.n_clusters > MAX_VALUES:
            raise ValueError(f"codebook: got {tensor.n_clusters} values, expected at most {MAX_VALUES}")
        n_rows, n_columns = tensor.shape[0], math.prod(tensor.shape[1:])
        positions = tensor.positions
        if positions is None:
            positions = np.arange(tensor.n_weights, dtype=np.int64)
        n_tiles = max(-(-n_columns // MAX_TILE), 1)
        edges = [n_columns * tile // n_tiles for tile in range(n_tiles + 1)]
        tiles = [
            _tile(positions, tensor.indices, tensor.n_clusters, (n_rows, n_columns), first, last)
            for first, last in pairwise(edges)
        ]
        scales = tensor.row_scales
        scales = None if scales is None else scales.to_dense().astype(np.float32)
        return cls((n_rows, n_columns), tiles, tensor.codebook.astype(np.float32), scales)

    @property
    def n_bytes(self) -> int:
        """Bytes that a product reads of the matrix."""
        scales = 0 if self.row_scales is None else self.row_scales.nbytes
        return sum(tile.n_bytes for tile in self.tiles) + self.codebook.nbytes + scales

    @property
    def n_units(self) -> int:
        """Multiplications of a product with a vector."""
        return sum(tile.units.size for tile in self.tiles)

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
        y = np.zeros((self.shape[0] + 1, *x.shape[1:]), dtype=np.float32)  # the last for incomplete groups
        times = _times_vector if x.ndim == 1 else _times_columns
        for tile in self.tiles:
            # Behind the tile's inputs stands the zero that fills up units.
            inputs = np.zeros((tile.last - tile.first + 1, *x.shape[1:]), dtype=np.float32)
            inputs[:-1] = x[tile.first : tile.last]
            times(tile.units, tile.starts, tile.order, self.codebook, inputs, y)
        y = y[:-1]
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
    """Return the bytes that a product reads of a CSR matrix with float32 values and int32 indices."""
    return 8 * n_kept + 4 * (n_rows + 1)


def product_energy(n_bytes: int, n_kept: int, *, n_multiplied: int | None = None) -> float:
    """Estimate the energy of a product with a vector, in joules: weights from DRAM, inputs from SRAM.

    An estimate from the energies of 45 nm technology and the bytes moved, not a measurement: caches and the
    rest of the machine are left out.

    Parameters
    ----------
    n_bytes : int
        Bytes of the matrix, each read once.
    n_kept : int
        Kept weights: for each, an input is read and added.
    n_multiplied : int, optional
        Multiplications; by default one per kept weight.
    """
    n_multiplied = n_kept if n_multiplied is None else n_multiplied
    arithmetic = n_kept * (ADD_PJ + SRAM_PJ_PER_WORD) + n_multiplied * MULTIPLY_PJ
    return 1e-12 * (n_bytes / 4 * DRAM_PJ_PER_WORD + arithmetic)


def _tile(
    positions: np.ndarray, indices: np.ndarray, n_clusters: int, shape: tuple[int, int], first: int, last: int
) -> Tile:
    """Return the tile of the columns [first, last)."""
    n_rows, n_columns = shape
    counts = np.zeros((n_rows, max(n_clusters, 1)), dtype=np.int32)
    _count_kept(positions, indices, n_columns, first, last, counts)
    n_units = ((counts + 3) // 4).sum(axis=1)
    order = np.argsort(n_units, kind="stable")
    order = np.concatenate([order, np.full(-n_rows % LANES, n_rows, dtype=np.int64)])
    most = np.append(n_units, 0)[order].reshape(-1, LANES).max(axis=1)
    starts = np.append(0, LANES * np.cumsum(most)).astype(np.int64)
    # All units begin as four columns of zeros.
    width = np.uint64(last - first)
    empty = width | width << _14 | width << _28 | width << _42
    units = np.full(int(starts[-1]), empty, dtype=np.uint64)
    _fill_units(positions, indices, n_columns, first, last, counts, starts, order, units)
    return Tile(first, last, units, starts, order)


@kernel
def _count_kept(positions, indices, n_columns, first, last, counts):
    """Count the kept weights of each row by value, in the columns [first, last)."""
    row, row_start = 0, 0
    for i in range(positions.size):
        while positions[i] - row_start >= n_columns:
            row, row_start = row + 1, row_start + n_columns
        if first <= positions[i] - row_start < last:
            counts[row, indices[i]] += 1


@kernel
def _fill_units(positions, indices, n_columns, first, last, counts, starts, order, units):
    """Write each row's columns, value by value, into the units of its lane."""
    bases = np.zeros(counts.shape[0] + 1, dtype=np.int64)
    for place in range(order.size):
        bases[order[place]] = starts[place // 4] + place % 4
    for row in range(counts.shape[0]):
        slot = 0  # columns of the row so far, whole units
        for value in range(counts.shape[1]):
            n_kept = counts[row, value]
            counts[row, value] = slot  # from here on: where the value's next column goes
            for unit in range(slot >> 2, (slot + n_kept + 3) >> 2):
                units[bases[row] + 4 * unit] |= np.uint64(value) << _56
            slot += (n_kept + 3) >> 2 << 2
    row, row_start = 0, 0
    for i in range(positions.size):
        while positions[i] - row_start >= n_columns:
            row, row_start = row + 1, row_start + n_columns
        column = positions[i] - row_start
        if first <= column < last:
            slot = counts[row, indices[i]]
            counts[row, indices[i]] = slot + 1
            at, shift = bases[row] + (slot >> 2) * 4, np.uint64(14 * (slot & 3))
            units[at] = units[at] & ~(_COLUMN << shift) | np.uint64(column - first) << shift


# "contract" allows fused multiply-add instructions, and no other change of the order of operations.
_fused = njit(nogil=True, error_model="numpy", fastmath={"contract"})


@_fused
def _shared(unit, codebook, x):
    """Return what a unit adds: its value times the sum of its inputs."""
    left = x[unit & _COLUMN] + x[unit >> _14 & _COLUMN]
    return codebook[unit >> _56] * (left + (x[unit >> _28 & _COLUMN] + x[unit >> _42 & _COLUMN]))


@_fused
def _times_vector(units, starts, order, codebook, x, y):
    """Add the product to y, four rows at a time."""
    for group in range(starts.size - 1):
        total0 = total1 = total2 = total3 = np.float32(0)
        for at in range(np.uint64(starts[group]), np.uint64(starts[group + 1]), 4):
            total0 += _shared(units[at], codebook, x)
            total1 += _shared(units[at + _1], codebook, x)
            total2 += _shared(units[at + _2], codebook, x)
            total3 += _shared(units[at + _3], codebook, x)
        y[order[4 * group]] += total0
        y[order[4 * group + 1]] += total1
        y[order[4 * group + 2]] += total2
        y[order[4 * group + 3]] += total3


@_fused
def _times_columns(units, starts, order, codebook, x, y):
    """Add the product to y: a row of y gets a value times the sum of some rows of x."""
    for group in range(starts.size - 1):
        for lane in range(4):
            out = y[order[4 * group + lane]]
            for at in range(starts[group] + lane, starts[group + 1], 4):
                unit = units[at]
                value = codebook[unit >> _56]
                source0, source1 = x[unit & _COLUMN], x[unit >> _14 & _COLUMN]
                source2, source3 = x[unit >> _28 & _COLUMN], x[unit >> _42 & _COLUMN]
                for k in range(out.size):
                    out[k] += value * ((source0[k] + source1[k]) + (source2[k] + source3[k]))
