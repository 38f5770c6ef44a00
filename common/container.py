"""The `.dcz` container, version 1: a compressed model in one file.

(The byte-level specification goes here; it is not frozen yet.)
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from common.byte_reader import ByteReader, ByteWriter, ContainerError
from common.container_records import read_tensor, write_tensor
from common.shared_tensor import DenseTensor, SharedTensor

__all__ = ["CompressedModel", "ContainerError", "TensorSizes", "file_bytes", "load", "load_file", "load_tensor",
           "save", "save_file", "sizes"]

MAGIC = b"DCZ"
VERSION = 1
SUFFIX = ".dcz"
MAX_DENSE_BYTES = 4 << 30
MAX_METADATA_BYTES = 1 << 20
MAX_NAME_BYTES = 1 << 10
MAX_TENSORS = 1 << 16
_DIGEST_BYTES = 8
_CRC_BYTES = 4


@dataclass(frozen=True)
class CompressedModel:
    """What a container holds.

    Parameters
    ----------
    tensors : dict of str to DenseTensor or SharedTensor
        The tensors by name.
    metadata : dict
        Anything JSON can spell: {"architecture": "vgg16", "num_classes": 10, ...}.
    """

    tensors: dict[str, DenseTensor | SharedTensor]
    metadata: dict = field(default_factory=dict)


@dataclass(frozen=True)
class TensorSizes:
    """Where the bits of one tensor's record go; they add up to `n_bytes`.

    `table_bits` are Huffman code lengths, `values_bits` and `index_bits` Huffman-coded payload, `padding_bits` what
    fills last bytes, `checksum_bytes` the CRC-32.
    """

    name: str
    shape: tuple[int, ...]
    n_weights: int
    n_kept: int
    n_clusters: int
    header_bytes: int
    codebook_bytes: int
    table_bits: int
    values_bits: int
    index_bits: int
    dense_bytes: int
    padding_bits: int
    checksum_bytes: int

    @property
    def n_bytes(self) -> int:
        """Bytes of the record, everything included."""
        bits = self.table_bits + self.values_bits + self.index_bits + self.padding_bits
        return self.header_bytes + self.codebook_bytes + self.dense_bytes + self.checksum_bytes + bits // 8


def save(model: CompressedModel, *, store_names: bool = True) -> bytes:
    """Return the model as a container.

    Parameters
    ----------
    model : CompressedModel
        Tensors and metadata.
    store_names : bool
        With names the tensors are written in the natural order of their names, so that the bytes do not depend on
        the order of the dictionary. Without names they keep that order and are called "0", "1", ... when read.

    Raises
    ------
    ContainerError
        When a tensor or the metadata cannot be stored; the message names it.
    """
    metadata = _spell_metadata(model.metadata)
    names = list(model.tensors)
    if store_names:
        names.sort(key=_natural_order)
    header, records = ByteWriter(), []
    header.put(MAGIC + bytes([VERSION, int(store_names)]))
    header.varint(len(metadata))
    header.put(metadata)
    header.varint(len(names))
    for number, name in enumerate(names):
        stored_name = name if store_names else str(number)
        record = ByteWriter()
        try:
            write_tensor(record, model.tensors[name])
        except ValueError as error:
            raise ContainerError(f"{name}: {error}") from error
        body = record.getvalue()
        body += _crc(stored_name, body)
        if store_names:
            spelt = name.encode()
            header.varint(len(spelt))
            header.put(spelt)
        header.varint(len(body))
        records.append(body)
    data = b"".join([header.getvalue(), *records])
    return data + hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


def load(data: bytes, *, max_dense_bytes: int = MAX_DENSE_BYTES) -> CompressedModel:
    """Return the model of a container.

    Parameters
    ----------
    data : bytes-like
        The whole file.
    max_dense_bytes : int
        Most bytes that all tensors may have as float32; a file that announces more is refused.

    Raises
    ------
    ContainerError
        When anything is not as the specification says.
    """
    layout = _read_layout(data)
    _check_digest(data)
    tensors, left = {}, max_dense_bytes // 4
    for name, record in layout.records.items():
        tensors[name] = _read_record(name, record, left)[0]
        left -= tensors[name].n_weights
    return CompressedModel(tensors, layout.metadata)


def load_tensor(data: bytes, name: str | int, *, max_dense_bytes: int = MAX_DENSE_BYTES) -> DenseTensor | SharedTensor:
    """Return one tensor, by name or by its place in the file, without reading the others."""
    layout = _read_layout(data)
    names = list(layout.records)
    if isinstance(name, int):
        if not 0 <= name < len(names):
            raise ContainerError(f"tensor: got number {name}, expected 0 to {len(names) - 1}")
        name = names[name]
    if name not in layout.records:
        raise ContainerError(f"tensor: got {name!r}, expected one of {', '.join(names)}")
    return _read_record(name, layout.records[name], max_dense_bytes // 4)[0]


def sizes(data: bytes, *, max_dense_bytes: int = MAX_DENSE_BYTES) -> list[TensorSizes]:
    """Return where the bytes go, tensor by tensor; with `file_bytes` they add up to `len(data)`."""
    _check_digest(data)
    result = []
    for name, record in _read_layout(data).records.items():
        tensor, reader = _read_record(name, record, max_dense_bytes // 4)
        bits = reader.bits
        result.append(TensorSizes(
            name=name, shape=tensor.shape, n_weights=tensor.n_weights, n_kept=tensor.n_kept,
            n_clusters=tensor.n_clusters if isinstance(tensor, SharedTensor) else 0,
            header_bytes=bits["header"] // 8, codebook_bytes=bits["codebook"] // 8, table_bits=bits["table"],
            values_bits=bits["values"], index_bits=bits["index"], dense_bytes=bits["dense"] // 8,
            padding_bits=bits["padding"], checksum_bytes=_CRC_BYTES))
    return result


def file_bytes(data: bytes) -> int:
    """Return the bytes that belong to no tensor: magic, version, metadata, names, lengths, and the file's digest."""
    return len(data) - sum(len(record) for record in _read_layout(data).records.values())


def save_file(model: CompressedModel, path: str | os.PathLike, *, store_names: bool = True) -> int:
    """Write the container to `path` (aside first, then renamed); return its size in bytes."""
    data = save(model, store_names=store_names)
    path = Path(path)
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        aside.write_bytes(data)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return len(data)


def load_file(path: str | os.PathLike, *, max_dense_bytes: int = MAX_DENSE_BYTES) -> CompressedModel:
    """Return the model of the container at `path`; messages begin with the path."""
    data = Path(path).read_bytes()
    try:
        return load(data, max_dense_bytes=max_dense_bytes)
    except ContainerError as error:
        raise ContainerError(f"{path}: {error}") from error


@dataclass(frozen=True)
class _Layout:
    """The file's header, read: metadata, and the bytes of each record by name."""

    metadata: dict
    records: dict[str, memoryview]


def _read_layout(data: bytes) -> _Layout:
    reader = ByteReader(data, "file")
    if bytes(reader.take(len(MAGIC), "magic")) != MAGIC:
        raise reader.error("magic", bytes(data[: len(MAGIC)]), f"{MAGIC!r}: this is no {SUFFIX} file")
    version = reader.byte("version")
    if version != VERSION:
        raise reader.error("version", version, f"{VERSION}; update the reader")
    store_names = bool(reader.byte("flags", most=1))
    metadata = _read_metadata(reader)
    entries, previous = {}, None
    for number in range(reader.varint("tensors", most=MAX_TENSORS)):
        name = _read_name(reader) if store_names else str(number)
        if previous is not None and store_names and _natural_order(name) <= _natural_order(previous):
            raise reader.error("names", f"{name!r} behind {previous!r}", "ascending names")
        entries[name] = reader.varint("record bytes", most=reader.n_left)
        previous = name
    records = {name: reader.take(n_bytes, f"record of {name}") for name, n_bytes in entries.items()}
    reader.take(_DIGEST_BYTES, "digest")
    reader.done()
    return _Layout(metadata, records)


def _read_name(reader: ByteReader) -> str:
    spelt = reader.take(reader.varint("name bytes", most=MAX_NAME_BYTES), "name")
    try:
        return str(spelt, "utf-8")
    except UnicodeDecodeError as error:
        raise reader.error("name", bytes(spelt), "UTF-8") from error


def _read_metadata(reader: ByteReader) -> dict:
    spelt = bytes(reader.take(reader.varint("metadata bytes", most=MAX_METADATA_BYTES), "metadata"))
    try:
        metadata = json.loads(spelt)
        is_canonical = isinstance(metadata, dict) and _spell_metadata(metadata) == spelt
    except (ValueError, RecursionError) as error:
        raise reader.error("metadata", f"{len(spelt)} bytes", f"JSON ({error})") from error
    if not is_canonical:
        raise reader.error("metadata", spelt[:40], "a JSON object with sorted keys and without spaces")
    return metadata


def _spell_metadata(metadata: dict) -> bytes:
    try:
        spelt = json.dumps(metadata, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return spelt.encode()
    except (TypeError, ValueError) as error:
        raise ContainerError(f"metadata: got {error}, expected what JSON can spell") from error


def _read_record(name: str, record: memoryview, max_weights: int) -> tuple[DenseTensor | SharedTensor, ByteReader]:
    """Return the tensor of a record, and the reader with its tally."""
    body, crc = record[:-_CRC_BYTES], record[-_CRC_BYTES:]
    if len(record) < _CRC_BYTES or _crc(name, body) != crc:
        raise ContainerError(f"{name}: checksum: got another, expected the CRC-32 of the record; the data is damaged")
    reader = ByteReader(body, name)
    tensor = read_tensor(reader, max_weights)
    reader.done()
    return tensor, reader


def _crc(name: str, body: bytes | memoryview) -> bytes:
    return zlib.crc32(body, zlib.crc32(name.encode())).to_bytes(_CRC_BYTES, "little")


def _check_digest(data: bytes) -> None:
    view = memoryview(data)
    digest = hashlib.blake2b(view[:-_DIGEST_BYTES], digest_size=_DIGEST_BYTES).digest()
    if digest != view[-_DIGEST_BYTES:]:
        raise ContainerError("file: digest: got another, expected that of the content; the file is damaged")


def _natural_order(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Return a sort key in which conv2 stands before conv10."""
    parts = re.split("([0-9]+)", name)
    return [(i % 2 == 0, int(part) if i % 2 else 0, "" if i % 2 else part) for i, part in enumerate(parts)], name
