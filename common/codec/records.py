"""One tensor as bytes: a record of `common.codec.container`, whose docstring holds the specification."""

from __future__ import annotations

import math

import numpy as np

from common.codec.byte_io import ByteReader, ByteWriter
from common.codec.gaps import encode_gaps_with_fillers
from common.codec.positions import MAX_WIDTH, read_positions, write_positions
from common.codec.symbols import best_block, read_blocks, write_blocks
from common.codec.tensors import MAX_CLUSTERS, DenseTensor, SharedTensor

INDEX_CODINGS = ("smallest", "gaps", "fillers", "bitmap")
MAX_AXES = 8
MAX_WEIGHTS = 1 << 33
_DTYPE_NAMES = ("<f4", "<f2", "<f8", "?", "u1", "<u2", "<u4", "<u8", "i1", "<i2", "<i4", "<i8")
_DTYPES = tuple(np.dtype(name) for name in _DTYPE_NAMES)
_SHARED, _HAS_SCALES = 0x40, 0x20
# Bytes of memory that the reader charges to its budget: per weight, the float32 it becomes; per kept weight,
# its index, or, where positions are stored, its position, its index and the temporary arrays behind them.
_PER_WEIGHT, _PER_INDEX, _PER_KEPT = 4, 4, 16
_CHUNK = 1 << 20  # stored weights at a time
_ALL, _ZONES, _FILLERS = range(3)


def write_tensor(writer: ByteWriter, tensor: DenseTensor | SharedTensor, index: str = "smallest") -> None:
    """Append a tensor, its positions in one of `INDEX_CODINGS`; ValueError when the format cannot hold it."""
    if isinstance(tensor, DenseTensor):
        _write_dense(writer, tensor.values)
        return
    if not isinstance(tensor, SharedTensor):
        raise ValueError(f"tensor: got {type(tensor).__name__}, expected DenseTensor or SharedTensor")
    dtype = tensor.codebook.dtype.newbyteorder("<")
    writer.varint(_SHARED | _DTYPES.index(dtype) | (_HAS_SCALES if tensor.row_scales is not None else 0))
    _write_shape(writer, tensor.shape)
    writer.varint(tensor.n_clusters)
    writer.put(tensor.codebook.astype(dtype).tobytes(), "codebook")
    if tensor.positions is None or tensor.n_kept == tensor.n_weights:
        writer.varint(_ALL)
        write_blocks(writer, tensor.indices, tensor.n_clusters, "values")
    elif index == "fillers":
        writer.varint(_FILLERS)
        _write_fillers(writer, tensor)
    else:
        writer.varint(_ZONES)
        writer.varint(tensor.n_kept)
        write_blocks(writer, tensor.indices, tensor.n_clusters, "values")
        write_positions(writer, tensor.positions, tensor.shape, plain="" if index == "smallest" else index)
    if tensor.row_scales is not None:
        write_tensor(writer, tensor.row_scales, index)


def read_tensor(reader: ByteReader, *, with_scales: bool = True) -> DenseTensor | SharedTensor:
    """Return the tensor of a record; what it will take is charged to the reader before it is allocated."""
    kind = reader.byte("kind")
    shape = _read_shape(reader)
    if kind < _SHARED:
        return _read_dense(reader, kind, shape)
    if kind & ~(_HAS_SCALES if with_scales else 0) not in (_SHARED, _SHARED | 1):
        raise reader.error("kind", kind, "a dtype, or a codebook's dtype and row scales")
    dtype = _DTYPES[kind & 1]
    n_clusters = reader.varint("clusters", most=MAX_CLUSTERS)
    codebook = np.frombuffer(reader.take(n_clusters * dtype.itemsize, "codebook", "codebook"), dtype=dtype)
    coding = reader.byte("index coding", most=_FILLERS)
    if coding == _FILLERS:
        positions, indices = _read_fillers(reader, shape, n_clusters)
    else:
        n_weights = math.prod(shape)
        n_kept = n_weights if coding == _ALL else reader.varint("kept weights", most=n_weights)
        reader.charge((_PER_INDEX if coding == _ALL else _PER_KEPT) * n_kept, "kept weights")
        indices = read_blocks(reader, n_kept, n_clusters, "values", "values")
        positions = None if coding == _ALL else read_positions(reader, shape, n_kept)
    scales = read_tensor(reader, with_scales=False) if kind & _HAS_SCALES else None
    try:
        return SharedTensor(shape, codebook.astype(dtype.newbyteorder("=")), positions, indices, scales)
    except ValueError as error:
        raise reader.error("parts", str(error), "parts that fit each other") from error


def kind_and_shape(reader: ByteReader) -> tuple[np.dtype | None, tuple[int, ...]]:
    """Return what a record's first bytes say: the dtype (None for shared weights) and the shape."""
    kind = reader.byte("kind")
    shape = _read_shape(reader)
    return (_DTYPES[kind] if kind < len(_DTYPES) else None), shape


def _write_dense(writer: ByteWriter, values: np.ndarray) -> None:
    dtype = values.dtype.newbyteorder("<")
    if dtype not in _DTYPES:
        raise ValueError(f"dtype: got {values.dtype}, expected one of {', '.join(map(str, _DTYPES))}")
    writer.varint(_DTYPES.index(dtype))
    _write_shape(writer, values.shape)
    writer.put(memoryview(np.ascontiguousarray(values, dtype=dtype).reshape(-1).view(np.uint8)), "dense")


def _read_dense(reader: ByteReader, kind: int, shape: tuple[int, ...]) -> DenseTensor:
    if kind >= len(_DTYPES):
        raise reader.error("kind", kind, f"less than {len(_DTYPES)}, a dtype")
    dtype = _DTYPES[kind]
    n_bytes = math.prod(shape) * dtype.itemsize
    reader.charge(n_bytes, "values")
    values = np.frombuffer(reader.take(n_bytes, "values", "dense"), dtype=dtype)
    if dtype == np.bool_ and (values.view(np.uint8) > 1).any():
        raise reader.error("values", "a byte above 1", "0 or 1 for bool")
    return DenseTensor(values.reshape(shape).astype(dtype.newbyteorder("=")))


def _write_shape(writer: ByteWriter, shape: tuple[int, ...]) -> None:
    if len(shape) > MAX_AXES or math.prod(shape) > MAX_WEIGHTS:
        raise ValueError(f"shape: got {shape}, expected at most {MAX_AXES} axes and {MAX_WEIGHTS} weights")
    writer.varint(len(shape))
    for size in shape:
        writer.varint(size)


def _read_shape(reader: ByteReader) -> tuple[int, ...]:
    n_axes = reader.varint("axes", most=MAX_AXES)
    shape = tuple(reader.varint("shape", most=MAX_WEIGHTS) for _ in range(n_axes))
    reader.charge(_PER_WEIGHT * math.prod(shape), "shape")
    if math.prod(max(size, 1) for size in shape) > MAX_WEIGHTS:
        raise reader.error("shape", shape, f"at most {MAX_WEIGHTS} weights")
    return shape


def _write_fillers(writer: ByteWriter, tensor: SharedTensor) -> None:
    """Append values and gaps as the paper has them: a filler is value 0, cluster k is value k + 1.

    Gap widths around what the mean distance needs are tried, and the one with the fewest bits is kept.
    """
    if tensor.n_clusters == MAX_CLUSTERS:
        raise ValueError(f"codebook: got {MAX_CLUSTERS} values, expected fewer: the filler takes one index")
    usual = min((tensor.n_weights // max(tensor.n_kept, 1)).bit_length(), MAX_WIDTH)
    best = None
    for width in range(max(usual - 2, 1), min(usual + 2, MAX_WIDTH) + 1):
        gaps, is_filler = encode_gaps_with_fillers(tensor.positions, width)
        values = np.zeros(gaps.size, dtype=np.uint8 if tensor.n_clusters < 256 else np.uint16)
        values[~is_filler] = tensor.indices.astype(values.dtype) + 1
        gaps = gaps.astype(np.uint8 if width <= 8 else np.uint16)
        bits = best_block(values, tensor.n_clusters + 1)[1] + best_block(gaps, 1 << width)[1]
        if best is None or bits < best[0]:
            best = bits, values, width, gaps
    _, values, width, gaps = best
    writer.varint(gaps.size)
    write_blocks(writer, values, tensor.n_clusters + 1, "values")
    writer.varint(width, "index")
    write_blocks(writer, gaps, 1 << width, "index")


def _read_fillers(
    reader: ByteReader, shape: tuple[int, ...], n_clusters: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and indices of the kept weights."""
    n_weights = math.prod(shape)
    n_stored = reader.varint("stored weights", most=n_weights)
    reader.charge(_PER_KEPT * n_stored, "stored weights")
    values = read_blocks(reader, n_stored, n_clusters + 1, "values", "values")
    width = reader.byte("gap bits", "index", most=MAX_WIDTH)
    if width == 0:
        raise reader.error("gap bits", 0, f"1 to {MAX_WIDTH}")
    gaps = read_blocks(reader, n_stored, 1 << width, "gaps", "index")
    positions = np.empty(np.count_nonzero(values), dtype=np.int64)
    indices = np.empty(positions.size, dtype=np.uint8 if n_clusters <= 256 else np.uint16)
    last, n_kept = -1, 0
    for start in range(0, n_stored, _CHUNK):
        part = slice(start, start + _CHUNK)
        cells = last + np.cumsum(gaps[part] + np.int64(1))
        last = int(cells[-1])
        if last >= n_weights:
            raise reader.error("gaps", f"a weight in cell {last}", f"at most {n_weights - 1}")
        is_kept = values[part] > 0
        found = slice(n_kept, n_kept + np.count_nonzero(is_kept))
        positions[found], indices[found] = cells[is_kept], values[part][is_kept] - 1
        n_kept = found.stop
    return positions, indices
