"""Test vectors of the .dcz format: small files, and as JSON what a reader must find in them.

    .venv/bin/python tools/make_test_vectors.py

writes `tests/data/vectors/NAME.dcz` and `NAME.json`, for tests of other readers of the format: together the
files use every kind of record of the specification (`common.codec.container`). They are the same on every
machine, and a test compares them with the stored ones.

The JSON holds `metadata` and `tensors`, in the order of the file: name, dtype, shape, and the `values` in
row-major order, "NaN", "Infinity" and "-Infinity" as text. A long list is replaced by the SHA-256 of the
values' little-endian bytes. A tensor with shared weights is given dense, as float32, multiplied by its row
scales, with the number of its kept weights and clusters.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from pathlib import Path

import numpy as np

from common.codec.byte_io import ByteWriter
from common.codec.container import CompressedModel, crc, join_file, load, save
from common.codec.gaps import encode_gaps, law_lengths
from common.codec.symbols import write_blocks, write_symbols
from common.codec.tensors import DenseTensor, SharedTensor

FOLDER = Path(__file__).resolve().parents[1] / "tests/data/vectors"
_LONG = 2000
_DTYPES = ("<f4", "<f2", "<f8", "?", "u1", "<u2", "<u4", "<u8", "i1", "<i2", "<i4", "<i8")


def main() -> None:
    """Write all vectors."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, data in vectors().items():
        (FOLDER / f"{name}.dcz").write_bytes(data)
        (FOLDER / f"{name}.json").write_text(expected_json(data), encoding="utf-8")
        print(f"{name}: {len(data)} bytes", file=sys.stderr)


def vectors() -> dict[str, bytes]:
    """Return the files by name."""
    return {
        "dense": _dense(),
        "names": _names(),
        "blocks": _blocks(),
        "gaps": _gaps(),
        "law": _law(),
        "zones": _zones(),
        "bitmap": _bitmap(),
        "fillers": _fillers(),
        "scales": _scales(),
        "lanes": _lanes(),
    }


def expected_json(data: bytes) -> str:
    """Return what a reader must find in a file, as JSON."""
    model = load(data)
    tensors = [_described(name, tensor) for name, tensor in model.tensors.items()]
    lines = ",\n  ".join(json.dumps(tensor, ensure_ascii=False) for tensor in tensors)
    metadata = json.dumps(model.metadata, ensure_ascii=False)
    return f'{{"metadata": {metadata},\n "tensors": [\n  {lines}]}}\n'


def _described(name: str, tensor: DenseTensor | SharedTensor) -> dict:
    values = tensor.to_dense()
    found = {"name": name, "dtype": values.dtype.name, "shape": list(values.shape)}
    if isinstance(tensor, SharedTensor):
        found |= {"n_kept": tensor.n_kept, "n_clusters": tensor.n_clusters}
    if values.size > _LONG:
        little = values.astype(values.dtype.newbyteorder("<"))
        return found | {"sha256": hashlib.sha256(little.tobytes()).hexdigest()}
    return found | {"values": [_json_number(value) for value in values.reshape(-1).tolist()]}


def _json_number(value: float | int | bool) -> float | int | bool | str:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _dense() -> bytes:
    """Every dtype, NaN and infinities, no axes, no weights."""
    tensors = {}
    for number, dtype in enumerate(_DTYPES):
        kind = np.dtype(dtype).kind
        values = [0, 1, 1] if kind == "b" else [0, 3, 7]
        if kind == "i":
            values = [np.iinfo(dtype).min, -1, np.iinfo(dtype).max]
        if kind == "u":
            values = [0, 1, np.iinfo(dtype).max]
        if kind == "f":
            values = [np.nan, np.inf, -np.inf, -0.0, np.finfo(dtype).smallest_subnormal, 1 / 3]
        tensors[f"{number:02}.{np.dtype(dtype).name}"] = DenseTensor(np.array(values, dtype=dtype))
    tensors["20.no_axes"] = DenseTensor(np.array(0.5, dtype=np.float32))
    tensors["21.no_weights"] = DenseTensor(np.zeros((3, 0, 2), dtype=np.float16))
    tensors["22.matrix"] = DenseTensor(np.arange(6, dtype=np.float32).reshape(2, 3))
    return save(CompressedModel(tensors))


def _names() -> bytes:
    """Natural order, names beyond ASCII and an empty one; every kind of value in the metadata."""
    names = ["", "a", "a01", "a1", "a2", "a10", "a10.b", "a010.c", "b", "ä", "重み", "\N{GRINNING FACE}"]
    metadata = {
        "architecture": "names",
        "big": 2**70,
        "escapes": 'a "b" \\ \n\t\x01 é \N{GRINNING FACE}',
        "false": False,
        "floats": [0.0, -0.0, 1.0, 0.1, 1e-4, 1e-5, 1e15, 1e16, 1.5e300, 5e-324],
        "integers": [0, -7, 2**53],
        "nested": {"": [], "a": {}, "b": [[1]]},
        "null": None,
        "\N{GRINNING FACE}": 2,
        "\uffee": 1,
    }
    return save(CompressedModel({name: DenseTensor(np.uint8([i])) for i, name in enumerate(names)}, metadata))


def _blocks() -> bytes:
    """Blocks of one to eight symbols, the last one filled up; no cluster, one, 300 of them."""
    rng = np.random.default_rng(0)
    tensors = {}
    for n_clusters, n_weights, rare in (
        (2, 77, 0.02),
        (2, 50, 0.3),
        (3, 61, 0.05),
        (5, 40, 0.2),
        (16, 90, 0.5),
    ):
        indices = np.where(rng.random(n_weights) < rare, rng.integers(0, n_clusters, n_weights), 0)
        codebook = np.linspace(-1, 2, n_clusters).astype(np.float16)
        tensor = SharedTensor((n_weights,), codebook, None, indices.astype(np.uint8))
        tensors[f"clusters{n_clusters}.weights{n_weights}"] = tensor
    many = np.sort(rng.choice(2000, 300, replace=False)).astype(np.float32)
    tensors["clusters300"] = SharedTensor((20, 30), many, None, rng.integers(0, 300, 600).astype(np.uint16))
    tensors["clusters1"] = SharedTensor((3, 3), np.float32([0.25]), None, np.zeros(9, np.uint8))
    tensors["clusters0"] = SharedTensor((0, 4), np.float32([]), None, np.zeros(0, np.uint8))
    tensors["no_axes"] = SharedTensor((), np.float16([-3]), None, np.zeros(1, np.uint8))
    return save(CompressedModel(tensors))


def _gaps() -> bytes:
    """One zone in gaps of each width, skips among them."""
    positions = np.array([0, 1, 5, 6, 40, 41, 44, 299], dtype=np.int64)
    records = []
    for width in range(1, 13):
        record = _shared_head((5, 60), 8)
        record.varint(0)  # no labels: one zone
        record.varint(width)
        gaps = encode_gaps(positions, width)
        record.varint(gaps.size)
        write_blocks(record, gaps, 1 << width, "index")
        records.append(record)
    return _file(records)


def _law() -> bytes:
    """The same in the code of the geometric law; with wide gaps its tree is deeper than 15: package-merge."""
    records = []
    for width in range(1, 13):
        rng = np.random.default_rng(width)
        density = (0.5, 0.3, 0.02)[width % 3]
        positions = np.flatnonzero(rng.random(300) < density).astype(np.int64)
        record = _shared_head((5, 60), positions.size)
        record.varint(0)
        record.varint(16 + width)
        gaps = encode_gaps(positions, width)
        record.varint(positions.size)
        record.varint(gaps.size - positions.size)
        write_symbols(record, gaps, law_lengths(positions.size, 300, width), "index")
        records.append(record)
    return _file(records)


def _zones() -> bytes:
    """Labels on every set of axes, zones with nothing and everything kept, some rows without a zone."""
    rng = np.random.default_rng(3)
    tensors = {}
    for number, shape in enumerate([(24, 20), (16, 12, 3, 3), (40,), (6, 5, 4), (1, 90), (90, 1)]):
        density = np.ones(shape)
        for axis, size in enumerate(shape):
            crowded = np.exp(rng.normal(0, 1.5, size)) * (rng.random(size) < 0.8)
            density = density * crowded.reshape([-1 if i == axis else 1 for i in range(len(shape))])
        positions = np.flatnonzero(rng.random(shape) < 0.15 * density / max(density.mean(), 1e-9))
        indices = rng.binomial(7, 0.4, positions.size).astype(np.uint8)
        tensors[f"zones{number}"] = SharedTensor(shape, np.float16(np.arange(8) - 3.5), positions, indices)
    return save(CompressedModel(tensors))


def _bitmap() -> bytes:
    """A bit per weight; nothing kept; everything kept, as the zone's coding says."""
    records = []
    positions = np.array([0, 2, 3, 7, 8, 18], dtype=np.int64)
    record = _shared_head((19,), positions.size)
    bits = np.zeros(19, np.uint8)
    bits[positions] = 1
    record.put(bytes([0, 13]) + np.packbits(bits).tobytes())
    records.append(record)
    nothing = _shared_head((7, 3), 0)
    nothing.put(bytes([0, 0]))
    records.append(nothing)
    everything = _shared_head((3, 5), 15)
    everything.put(bytes([0, 14]))
    records.append(everything)
    no_weights = _shared_head((0, 5), 0)
    no_weights.put(bytes([0]))  # no cells, no zone
    records.append(no_weights)
    return _file(records)


def _fillers() -> bytes:
    """Gaps with fillers, as in Deep Compression."""
    rng = np.random.default_rng(4)
    positions = np.sort(rng.choice(3000, 60, replace=False))
    indices = rng.integers(0, 6, 60).astype(np.uint8)
    tensor = SharedTensor((30, 100), np.float16(np.arange(6) - 2.75), positions, indices)
    return save(CompressedModel({"w": tensor, "x": tensor}), index="fillers", store_names=False)


def _scales() -> bytes:
    """Row scales of other dtypes, dense and shared; products rounded in float32."""
    indices = np.uint8(np.arange(12) % 4)
    codebook = np.float32([-1.1, -0.1, 0.3, 1e30])
    matrix = {"shape": (4, 3), "codebook": codebook, "positions": None, "indices": indices}
    half = SharedTensor((4,), np.float16([0.5, 3]), np.array([0, 2, 3]), np.uint8([1, 0, 1]))
    large = np.array([2**63 - 1, -(2**60) - 2**36 - 1, 3, 0])
    tensors = {
        "double": SharedTensor(**matrix, row_scales=DenseTensor(np.array([1 / 3, -1e-40, 1e39, 0]))),
        "half": SharedTensor(**matrix, row_scales=DenseTensor(np.float16([0.1, -2, 65504, 6e-8]))),
        "integer": SharedTensor(**matrix, row_scales=DenseTensor(large)),
        "nothing": SharedTensor(
            (0, 3), np.float32([]), None, np.zeros(0, np.uint8), DenseTensor(np.zeros(0))
        ),
        "shared": SharedTensor(**matrix, row_scales=half),
        "vector": SharedTensor((4,), codebook, None, indices[:4], DenseTensor(np.float32([1, 2, 3, 4]))),
    }
    return save(CompressedModel(tensors))


def _lanes() -> bytes:
    """Streams of 65,535 symbols, without entry points, and 65,536, with three; one symbol, long codes."""
    rng = np.random.default_rng(5)
    tensors = {}
    for n in (65_535, 65_536, 65_538):
        indices = np.minimum(rng.geometric(0.93, n) - 1, 16).astype(np.uint8)
        tensors[f"geometric{n}"] = SharedTensor((n,), np.float32(np.arange(17)), None, indices)
    one = np.zeros(65_536, np.uint8)
    tensors["one"] = SharedTensor((8 * 65_536,), np.float16([2]), None, np.repeat(one, 8))
    counts = [max(1, 2**15 >> k) for k in range(20)]  # deeper than 15: package-merge on the writer's side
    long = np.repeat(np.arange(20, dtype=np.uint8), counts)
    rng.shuffle(long)
    tensors["long_codes"] = SharedTensor((long.size,), np.float32(np.arange(20)), None, long)
    return save(CompressedModel(tensors))


def _shared_head(shape: tuple[int, ...], n_kept: int) -> ByteWriter:
    """Return the beginning of a record of shared weights in zones, up to the positions."""
    record = ByteWriter()
    record.put(bytes([64, len(shape), *shape]))
    codebook = np.array([-1, 0.5, 4], dtype="<f4")
    record.put(bytes([codebook.size]) + codebook.tobytes() + b"\1")
    record.varint(n_kept)
    write_blocks(record, np.uint8(np.arange(n_kept) % 3), 3, "values")
    return record


def _file(records: list[ByteWriter]) -> bytes:
    """Return a file of records without names."""
    for number, record in enumerate(records):
        record.put(crc(str(number), record.parts))
    return join_file({}, None, records)


if __name__ == "__main__":
    main()
