"""Models and hand-made files for the container's tests; the tiny model is that of the golden file."""

import hashlib

import numpy as np

from common.codec.byte_io import ByteWriter
from common.codec.container import CompressedModel, crc
from common.codec.symbols import write_blocks, write_symbols
from common.codec.tensors import DenseTensor, SharedTensor

DTYPES = ("f4", "f2", "f8", "?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8")


def sparse_tensor(shape, n_kept, n_clusters, *, dtype=np.float16, seed=0, row_scales=None) -> SharedTensor:
    """A tensor with the weights of some rows and columns more often kept than others."""
    rng = np.random.default_rng(seed)
    lines = [np.exp(rng.normal(0, 1, size)) for size in shape]
    weight = lines[0]
    for line in lines[1:]:
        weight = np.multiply.outer(weight, line)
    order = np.argsort(-(weight * rng.random(shape)).reshape(-1), kind="stable")
    indices = rng.binomial(max(n_clusters - 1, 0), 0.5, n_kept)
    return SharedTensor(
        shape,
        (np.arange(n_clusters) - n_clusters / 2 + 0.25).astype(dtype),
        np.sort(order[:n_kept]),
        indices.astype(np.uint8 if n_clusters <= 256 else np.uint16),
        row_scales,
    )


def tiny_model() -> CompressedModel:
    """A few hundred bytes: dense tensors, all weights kept, zones, row scales, a bitmap, nothing kept."""
    scales = SharedTensor((6,), np.float16([0.5, 1, 2]), None, np.uint8([0, 1, 2, 1, 0, 2]))
    nothing = np.zeros(0, np.int64), np.zeros(0, np.uint8)
    tensors = {
        "conv10.weight": sparse_tensor((6, 5, 3, 3), 60, 5, row_scales=scales),
        "conv2.weight": sparse_tensor((4, 8), 5, 2, dtype=np.float32),
        "conv2.bias": SharedTensor((4,), np.float32([-1, 0.25]), None, np.uint8([1, 0, 0, 1])),
        "empty.weight": SharedTensor((7, 3), np.zeros(0, np.float32), *nothing),
        "norm.mean": DenseTensor(np.float16([0.5, -2])),
        "norm.n": DenseTensor(np.array(3, np.int64)),
    }
    return CompressedModel(tensors, {"architecture": "tiny", "num_classes": 10})


def assert_same(one: CompressedModel, other: CompressedModel, *, names: bool = True) -> None:
    """Both hold the same: metadata, names (order aside), and every part of every tensor."""
    assert one.metadata == other.metadata
    if names:
        assert set(one.tensors) == set(other.tensors)
        pairs = [(tensor, other.tensors[name]) for name, tensor in one.tensors.items()]
    else:
        pairs = list(zip(one.tensors.values(), other.tensors.values(), strict=True))
    for a, b in pairs:
        assert_same_tensor(a, b)


def assert_same_tensor(a: DenseTensor | SharedTensor, b: DenseTensor | SharedTensor) -> None:
    """Both tensors have the same parts; positions None and all positions are the same."""
    assert type(a) is type(b)
    assert a.shape == b.shape
    if isinstance(a, DenseTensor):
        assert a.values.dtype == b.values.dtype.newbyteorder("=")
        assert a.values.tobytes() == b.values.tobytes()
        return
    assert a.codebook.dtype == b.codebook.dtype
    assert a.codebook.tobytes() == b.codebook.tobytes()
    np.testing.assert_array_equal(a.indices, b.indices)
    if a.n_kept < a.n_weights:
        np.testing.assert_array_equal(a.positions, b.positions)
    assert (a.row_scales is None) == (b.row_scales is None)
    if a.row_scales is not None:
        assert_same_tensor(a.row_scales, b.row_scales)


def seal(data: bytes) -> bytes:
    """The file with its digest made right again."""
    return data[:-8] + hashlib.blake2b(data[:-8], digest_size=8).digest()


def file_of(body: bytes, name: str = "w") -> bytes:
    """A file of one tensor with these bytes, all checksums right."""
    header = b"DCZ\1\1\2{}\1" + bytes([len(name)]) + name.encode()
    length = ByteWriter()
    length.varint(len(body) + 4)
    return seal(header + b"".join(length.parts) + body + crc(name, [body]) + bytes(8))


def body_of(*parts) -> bytes:
    """A record's bytes: integers as varints, bytes as they are, (symbols, kinds) as blocks."""
    writer = ByteWriter()
    for part in parts:
        if isinstance(part, int):
            writer.varint(part)
        elif isinstance(part, bytes):
            writer.put(part)
        else:
            write_blocks(writer, np.array(part[0], dtype=np.uint8), part[1], "values")
    return b"".join(writer.parts)


def stream_of(symbols, lengths) -> bytes:
    """A stream of symbols in the code of these lengths."""
    writer = ByteWriter()
    write_symbols(writer, np.array(symbols, dtype=np.uint8), np.array(lengths), "index")
    return b"".join(writer.parts)
