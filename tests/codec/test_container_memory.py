"""The memory that reading takes: what `max_dense_bytes` promises, whatever the file asks for."""

import tracemalloc

import numpy as np
import pytest

from common.codec.byte_io import ByteWriter
from common.codec.container import ContainerError, load
from common.codec.gaps import law_lengths
from common.codec.symbols import write_blocks, write_symbols
from tests.tiny_container import body_of, file_of

N = 1 << 24
SIDE = 1 << 12
SLACK = 48 << 20  # what is worked on at a time, and tables
ONE, MANY = np.float32([1]).tobytes(), np.arange(300, dtype="<f4").tobytes()
HEAD = (64, 2, SIDE, SIDE, 1, ONE)


def blocks(n: int, n_kinds: int = 1, dtype=np.uint8, value: int = 0) -> bytes:
    writer = ByteWriter()
    write_blocks(writer, np.full(n, value, dtype=dtype), n_kinds, "values")
    return b"".join(bytes(part) for part in writer.parts)


def law(n: int) -> bytes:
    writer = ByteWriter()
    write_symbols(writer, np.zeros(n, np.uint8), law_lengths(n, N, 1), "index")
    return b"".join(bytes(part) for part in writer.parts)


def stripes(period: int) -> tuple:
    """Labels of rows in which every `period` rows come in all zones, so that positions have to be sorted."""
    return 7, 8, (np.arange(SIDE) % period + 1, 9), 8, (np.arange(SIDE) % 3 + 1, 9), 1, ([1], 2)


# What a record says, and the bytes that it is charged.
BOMBS = {
    "nothing kept": ((*HEAD, 1, 0, blocks(0), 0, 0), 4 * N),
    "all kept": ((*HEAD, 0, blocks(N)), 8 * N),
    "all kept, wide indices": ((64, 2, SIDE, SIDE, 300, MANY, 0, blocks(N, 300, np.uint16, 299)), 8 * N),
    "all kept by a zone": ((*HEAD, 1, N, blocks(N), 0, 14), 20 * N),
    "all kept by many zones": ((*HEAD, 1, N, blocks(N), *stripes(5), *[14] * 7), 20 * N),
    "bitmap": ((*HEAD, 1, N, blocks(N), 0, 13, b"\xff" * (N // 8)), 20 * N),
    "gaps": ((*HEAD, 1, N, blocks(N), 0, 3, N, blocks(N, 8)), 24 * N),
    "gaps by law": ((*HEAD, 1, N, blocks(N), 0, 17, N, 0, law(N)), 24 * N),
    "fillers": ((*HEAD, 2, N, blocks(N, 2, value=1), 1, blocks(N, 2)), 20 * N),
    "fillers only": ((*HEAD, 2, N, blocks(N, 2), 1, blocks(N, 2)), 20 * N),
    "dense": ((2, 1, N // 8, bytes(N)), 12 * N // 8),
    "scales of nothing": (
        (96, 2, N, 0, 1, ONE, 0, blocks(0), 64, 1, N, 1, ONE, 1, 0, blocks(0), 0, 0),
        4 * N,
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_memory_is_what_was_promised(name):
    parts, charged = BOMBS[name]
    data = file_of(body_of(*parts))
    with pytest.raises(ContainerError, match=r"^w: .*bytes of memory.*max_dense_bytes"):
        load(data, max_dense_bytes=charged - 1)
    tracemalloc.start()
    try:
        tensor = load(data, max_dense_bytes=charged).tensors["w"]
        dense = tensor.to_dense()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert dense.size == tensor.n_weights
    assert peak < charged + SLACK


def test_a_file_is_refused_before_its_memory_is_taken():
    """8 MB that stand for half a thousand million kept weights: 4 GiB of positions."""
    n = 1 << 29
    zeros = np.zeros(1 << 16, np.uint8)
    values = blocks(zeros.size)  # its table; then a stream of 2 ** 26 bits that is never read
    data = file_of(
        body_of(64, 2, 1 << 15, 1 << 14, 1, ONE, 1, n, values[:2], n // 8, bytes(12 + n // 64), 0, 14)
    )
    assert len(data) < 9 << 20
    tracemalloc.start()
    try:
        with pytest.raises(ContainerError, match=r"^w: kept weights: got 8589934592 bytes of memory"):
            load(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(data) + (1 << 20)


def test_sixty_five_thousand_tensors_share_the_limit():
    """What is charged is added up over the file."""
    from common.codec.container import CompressedModel, save
    from common.codec.tensors import DenseTensor

    data = save(CompressedModel({str(i): DenseTensor(np.zeros(4, np.float32)) for i in range(100)}))
    load(data, max_dense_bytes=100 * 32)
    with pytest.raises(ContainerError, match=r"^99: "):
        load(data, max_dense_bytes=100 * 32 - 1)
