"""One tensor as bytes: the record that `common.container` puts into a file."""

from __future__ import annotations

import math

import numpy as np

from common import sparse_index
from common.byte_reader import ByteReader, ByteWriter
from common.shared_tensor import MAX_CLUSTERS, DenseTensor, SharedTensor
from common.symbol_stream import read_symbols, write_symbols

_DTYPES = tuple(np.dtype(name) for name in (
    "<f4", "<f2", "<f8", "?", "u1", "<u2", "<u4", "<u8", "i1", "<i2", "<i4", "<i8"))
_SHARED = 0x40
_ROW_SCALES = 0x20
MAX_AXES = 8
MAX_WEIGHTS = 1 << 48
_ALL, _BITMAP, _GAPS = range(3)


def write_tensor(writer: ByteWriter, tensor: DenseTensor | SharedTensor) -> None:
    """Append the record of a tensor."""
    if isinstance(tensor, DenseTensor):
        dtype = tensor.values.dtype.newbyteorder("<")
        if dtype not in _DTYPES:
            raise ValueError(f"dtype: got {dtype}, expected one of {', '.join(map(str, _DTYPES))}")
        writer.varint(_DTYPES.index(dtype))
        _write_shape(writer, tensor.shape)
        writer.put(np.ascontiguousarray(tensor.values, dtype=dtype).tobytes(), "dense")
        return
    dtype = tensor.codebook.dtype.newbyteorder("<")
    writer.varint(_SHARED | _DTYPES.index(dtype) | (_ROW_SCALES if tensor.row_scales is not None else 0))
    _write_shape(writer, tensor.shape)
    writer.varint(tensor.n_clusters)
    writer.put(tensor.codebook.astype(dtype).tobytes(), "codebook")
    if tensor.positions is None:
        writer.varint(_ALL)
    else:
        gaps = min((sparse_index.encode_gaps(tensor.positions, n_bits) for n_bits in (4, 6, 8)), key=lambda g: g.size)
        n_bits = 8
        gaps = sparse_index.encode_gaps(tensor.positions, n_bits)
        writer.varint(_GAPS)
        writer.varint(n_bits)
        writer.varint(gaps.size)
        write_symbols(writer, gaps, 1 << n_bits, "index")
    if tensor.n_clusters > 1:
        write_symbols(writer, tensor.indices, tensor.n_clusters, "values")
    if tensor.row_scales is not None:
        write_tensor(writer, tensor.row_scales)


def _write_shape(writer: ByteWriter, shape: tuple[int, ...]) -> None:
    if len(shape) > MAX_AXES:
        raise ValueError(f"shape: got {len(shape)} axes, expected at most {MAX_AXES}")
    writer.varint(len(shape))
    for size in shape:
        writer.varint(size)


def read_tensor(reader: ByteReader, max_weights: int, *, depth: int = 0) -> DenseTensor | SharedTensor:
    """Return the tensor of a record."""
    kind = reader.byte("kind")
    shape = _read_shape(reader, max_weights)
    n_weights = math.prod(shape)
    if kind < _SHARED:
        if kind >= len(_DTYPES):
            raise reader.error("kind", kind, "a known dtype")
        dtype = _DTYPES[kind]
        data = reader.take(n_weights * dtype.itemsize, "values", "dense")
        return DenseTensor(np.frombuffer(data, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("=")))
    dtype = _DTYPES[kind & 1]
    n_clusters = reader.varint("clusters", most=MAX_CLUSTERS)
    codebook = np.frombuffer(reader.take(n_clusters * dtype.itemsize, "codebook", "codebook"), dtype=dtype)
    mode = reader.byte("index coding", most=_GAPS)
    positions = None
    n_kept = n_weights
    if mode == _GAPS:
        n_bits = reader.byte("gap bits", most=16)
        n_gaps = reader.varint("gaps", most=8 * reader.n_left)
        gaps = read_symbols(reader, n_gaps, 1 << n_bits, "gaps", "index")
        positions = sparse_index.decode_gaps(gaps, n_bits)
        n_kept = positions.size
    if n_clusters > 1:
        indices = read_symbols(reader, n_kept, n_clusters, "values", "values")
    else:
        indices = np.zeros(n_kept, dtype=np.uint8)
    scales = None
    if kind & _ROW_SCALES:
        if depth >= 1:
            raise reader.error("row scales", "row scales of row scales", "none")
        scales = read_tensor(reader, max_weights, depth=depth + 1)
    try:
        return SharedTensor(shape, codebook.astype(dtype.newbyteorder("=")), positions, indices, scales)
    except ValueError as error:
        raise reader.error("tensor", str(error), "parts that fit each other") from error


def _read_shape(reader: ByteReader, max_weights: int) -> tuple[int, ...]:
    n_axes = reader.varint("axes", most=MAX_AXES)
    shape = tuple(reader.varint("shape", most=MAX_WEIGHTS) for _ in range(n_axes))
    if math.prod(shape) > max_weights:
        raise reader.error("shape", shape, f"at most {max_weights} weights; raise max_dense_bytes")
    return shape
