"""Damaged containers: one named error or the exact original; never a crash, a hang or a wrong model."""

import time
import tracemalloc

import numpy as np
import pytest

from common.codec.container import CompressedModel, ContainerError, load, load_tensor, read_layout, save
from common.codec.tensors import DenseTensor, SharedTensor
from tests.tiny_container import assert_same, file_of, seal, sparse_tensor, tiny_model

TINY = save(tiny_model())


def test_every_truncation_is_an_error():
    for n_bytes in range(len(TINY)):
        with pytest.raises(ContainerError):
            load(TINY[:n_bytes])
    for n_bytes in range(len(TINY) - 8):
        with pytest.raises(ContainerError):
            load(seal(TINY[:n_bytes] + bytes(8)))


def test_every_appended_byte_is_an_error():
    for more in (b"\0", b"\xff", bytes(8), TINY[-8:]):
        with pytest.raises(ContainerError):
            load(TINY + more)
        with pytest.raises(ContainerError):
            load(seal(TINY + more))


def test_every_flipped_bit_is_an_error():
    for at in range(len(TINY)):
        for bit in range(8):
            damaged = bytearray(TINY)
            damaged[at] ^= 1 << bit
            with pytest.raises(ContainerError):
                load(bytes(damaged))


def test_every_flipped_byte_of_one_tensor_read_alone():
    """Without the file's digest the record's checksum still finds damage to a record or its name."""
    for at in range(len(TINY)):
        damaged = bytearray(TINY)
        damaged[at] ^= 0xFF
        for number in range(6):
            try:
                tensor = load_tensor(bytes(damaged), number)
            except ContainerError:
                continue
            name = list(load(TINY).tensors)[number]
            np.testing.assert_array_equal(tensor.to_dense(), tiny_model().tensors[name].to_dense())


def real_model() -> CompressedModel:
    """A model of a few kB with the tensors of a LeNet-5: thousands of weights, a few hundred kept."""
    tensors = {
        "conv1.weight": sparse_tensor((20, 1, 5, 5), 120, 16, seed=1),
        "conv2.weight": sparse_tensor((50, 20, 5, 5), 900, 8, seed=2),
        "fc1.weight": sparse_tensor((500, 800), 1500, 8, seed=3),
        "fc1.bias": SharedTensor((500,), np.float16([-1, 0, 1]), None, np.uint8(np.arange(500) % 7 // 3)),
        "fc2.weight": sparse_tensor((10, 500), 300, 6, seed=4),
        "fc2.bias": DenseTensor(np.linspace(-1, 1, 10, dtype=np.float16)),
    }
    return CompressedModel(tensors, {"architecture": "lenet_5"})


def test_ten_thousand_mutations():
    """A few bytes changed, cut out, doubled or set to extremes: a named error, or the exact original."""
    model = real_model()
    data = save(model)
    rng = np.random.default_rng(0)
    n_errors = 0
    for _ in range(10_000):
        damaged = mutate(data, rng)
        try:
            back = load(damaged)
        except ContainerError:
            n_errors += 1
            continue
        assert_same(back, model)
    assert n_errors > 9_900


def test_mutations_with_right_checksums():
    """What an attacker would send: an error, or some sound model, in little time and memory."""
    records = {name: bytes(record[:-4]) for name, record in read_layout(save(real_model()))[1].items()}
    rng = np.random.default_rng(1)
    tracemalloc.start()
    n_errors, slowest = 0, 0.0
    for _ in range(300):
        for name, body in records.items():
            damaged = file_of(mutate(body, rng), name)
            tracemalloc.reset_peak()
            start = time.process_time()
            try:
                tensor = load(damaged, max_dense_bytes=1 << 24).tensors[name]
                assert tensor.to_dense().shape == tensor.shape
            except ContainerError as error:
                n_errors += 1
                assert str(error).startswith(f"{name}: ")  # noqa: PT017
            slowest = max(slowest, time.process_time() - start)
            assert tracemalloc.get_traced_memory()[1] < 3 * (1 << 24)
    tracemalloc.stop()
    assert n_errors > 1000
    assert slowest < 5


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """The data with one to three random changes."""
    damaged = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(damaged)))
        match int(rng.integers(5)):
            case 0:
                damaged[at] = int(rng.integers(256))
            case 1:
                damaged[at] ^= 1 << int(rng.integers(8))
            case 2:
                del damaged[at : at + int(rng.integers(1, 9))]
            case 3:
                damaged[at:at] = damaged[at : at + int(rng.integers(1, 9))]
            case _:
                damaged[at : at + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\x80\x80\x80\x01"])
        if not damaged:
            damaged = bytearray(b"\0")
    return bytes(damaged)
