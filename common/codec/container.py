"""The `.dcz` container, version 1: a compressed network in one file.

Holds named tensors of any shape, as they are or with shared weights, and metadata. Every tensor can be read
alone, nothing in it is executed, and the same model always gives the same bytes. Multi-byte numbers are
little-endian; `varint` is an unsigned integer, 7 bits a byte, lowest first, the top bit set in all bytes but
the last, in its shortest spelling. Bits fill a byte from its highest one, and the last byte of any run of
bits ends in zeros.

File
----
::

    3 bytes  magic                      "DCZ"
    byte     version                    1
    byte     names are stored           0 or 1
    varint   bytes of metadata, then it: a JSON object in UTF-8, keys sorted, no spaces, no NaN
    varint   number of tensors, then for each:
               varint, bytes            length of its name and the name, UTF-8 (if names are stored)
               varint                   bytes of its record
    records  one after the other, without gaps
    8 bytes  BLAKE2b of all bytes before

Stored names ascend in natural order (conv2 before conv10) without repeats. Without stored names the tensors
are called "0", "1", ... and the reader knows what they are, say from the architecture in the metadata.

Record
------
::

    tensor   see below
    4 bytes  CRC-32 of the name (UTF-8) followed by the tensor's bytes

    byte     kind: 0 to 11 a dense tensor of float32, float16, float64, bool, uint8, uint16, uint32, uint64,
             int8, int16, int32, int64; 64 shared weights with a float32 codebook, 65 with a float16 one;
             32 more if row scales follow
    varint   number of axes, at most 8, then a varint for each size; at most 2 ** 33 weights

A dense tensor goes on with its values, row-major. One with shared weights goes on with::

    varint   number of clusters, at most 32768, then the codebook, strictly ascending
    byte     index coding: 0 every weight is kept; 1 zones; 2 fillers
      0      blocks of cluster indices, one a weight
      1      varint of kept weights; blocks of their cluster indices; positions (below)
      2      varint of stored weights; blocks of their values (0 a filler, k + 1 cluster k); a byte, the
             width of a gap; blocks of gaps (weights passed before each stored one)
    tensor   row scales, if announced: of shape (rows,), without row scales of its own

Streams, tables, blocks
-----------------------
A *stream* of symbols in a known code is a varint, its payload bits, and the codes in a row: canonical Huffman
(see `common.codec.huffman`, also for the entry points of long streams). *Blocks* bring their own code, and
may spell several symbols a, b, c, ... below n as one, a + b * n + c * n ** 2 + ..., zeros filling up the
last::

    byte     symbols in a block, 1 to 8; n ** symbols is at most 256 unless it is 1
    table    the code lengths of all kinds of blocks
    stream   the blocks

A *table* is a row of runs, each a length and how often it comes, until every kind has its length, 0 to 15.
The first length takes four bits; a later one differs from the one before and is `0` for one more, `10` for
one less, `11` and four bits for any. How often is an Elias gamma code: n zeros, then the n + 1 bits of the
number.

Positions
---------
Rows (axis 0), columns (axis 1) and taps (all further axes; a vector has one row, and one tap) have labels,
and cells with the same sum of labels make up a zone: see `common.codec.zones`. ::

    byte     which axes have labels: rows 1, columns 2, taps 4; the others have label 1 throughout. It is
             0 if there are more than 2 ** 20 rows, or columns times taps
    labels   for each axis that has them: a byte m, at most 8, and blocks of labels 0 to m
    zones    for each zone that has cells, the lowest sum of labels first:
      byte     0 no weight is kept; 1 to 12 gaps of that width; 13 a bitmap; 14 all are kept;
               17 to 28 gaps of that width less 16, in the code of the geometric law
      1-12     varint of gaps, then blocks of gaps
      13       a bit a cell
      17-28    varint of kept weights, varint of skips, then a stream of gaps in the code `law_lengths` gives

A gap is the number of cells passed before a kept one; 2 ** width - 1 is a skip, passes that many and stands
for none (see `common.codec.gaps`). The last gap is no skip.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from common.base.files import whole_file
from common.codec.byte_io import ByteReader, ByteWriter, ContainerError
from common.codec.records import INDEX_CODINGS, read_tensor, write_tensor
from common.codec.tensors import DenseTensor, SharedTensor

# ----------------------------------------------------------------------------------------------------
# The container around its records: metadata, names, lengths, checksums.

MAGIC = b"DCZ"
VERSION = 1
CRC_BYTES = 4
DIGEST_BYTES = 8
MAX_FILE_BYTES = 4 << 30
MAX_METADATA_BYTES = 1 << 20
MAX_NAME_BYTES = 1 << 10
MAX_TENSORS = 1 << 16


def join_file(metadata: dict, names: list[str] | None, records: list[ByteWriter]) -> bytes:
    """Return the file around the records; `names` are theirs, or None to store none."""
    writer = ByteWriter()
    spelt = _spell_metadata(metadata)
    if len(spelt) > MAX_METADATA_BYTES or len(records) > MAX_TENSORS:
        raise ContainerError(
            f"file: got {len(spelt)} bytes of metadata and {len(records)} tensors, "
            f"expected at most {MAX_METADATA_BYTES} and {MAX_TENSORS}"
        )
    writer.put(MAGIC + bytes([VERSION, names is not None]))
    writer.varint(len(spelt))
    writer.put(spelt)
    writer.varint(len(records))
    for number, record in enumerate(records):
        if names is not None:
            name = names[number].encode()
            if len(name) > MAX_NAME_BYTES:
                raise ContainerError(f"{name[:40]!r}: name: got {len(name)} bytes, expected {MAX_NAME_BYTES}")
            writer.varint(len(name))
            writer.put(name)
        writer.varint(record.n_bytes)
    for record in records:
        writer.append(record)
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in writer.parts:
        digest.update(part)
    return b"".join([*writer.parts, digest.digest()])


def read_file(path: str | os.PathLike, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return the bytes of the container at `path`, of which only magic and size have been looked at.

    Raises
    ------
    ContainerError
        When it begins in another way, or is larger than any network that may be read.
    OSError
        When the file cannot be read.
    """
    with open(path, "rb") as file:
        start = file.read(len(MAGIC))
        if start != MAGIC:
            raise ContainerError(f"file: magic: got {start}, expected {MAGIC}; this is no .dcz file")
        n_bytes = os.fstat(file.fileno()).st_size
        if n_bytes > max_bytes:
            raise ContainerError(f"file: size: got {n_bytes} bytes, expected at most {max_bytes}")
        return start + file.read(max(0, n_bytes - len(start)))


def read_layout(data: bytes) -> tuple[dict, dict[str, memoryview]]:
    """Return the metadata, and the bytes of each record by name, in the order of the file."""
    reader = ByteReader(data, "file")
    magic = bytes(reader.take(len(MAGIC), "magic"))
    if magic != MAGIC:
        raise reader.error("magic", magic, f"{MAGIC}; this is no .dcz file")
    version = reader.byte("version")
    if version != VERSION:
        raise reader.error("version", version, f"{VERSION}; a newer file needs a newer reader")
    has_names = reader.byte("names", most=1)
    metadata = _read_metadata(reader)
    lengths, previous = {}, None
    for number in range(reader.varint("tensors", most=MAX_TENSORS)):
        name = _read_name(reader) if has_names else str(number)
        if has_names and previous is not None and natural_order(name) <= natural_order(previous):
            raise reader.error("names", f"{name!r} after {previous!r}", "ascending names")
        lengths[name] = reader.varint("bytes of the record", most=reader.n_left)
        previous = name
    records = {name: reader.take(length, f"record of {name}") for name, length in lengths.items()}
    reader.take(DIGEST_BYTES, "digest")
    reader.done()
    return metadata, records


def check_digest(data: bytes) -> None:
    """Raise ContainerError unless the file ends in the digest of what comes before."""
    view = memoryview(data)
    digest = hashlib.blake2b(view[:-DIGEST_BYTES], digest_size=DIGEST_BYTES).digest()
    if digest != view[-DIGEST_BYTES:]:
        raise ContainerError("file: digest: got another, expected that of the content; the file is damaged")


def crc(name: str, parts: Iterable[bytes | memoryview]) -> bytes:
    """Return the checksum of a record's parts under its name."""
    value = zlib.crc32(name.encode())
    for part in parts:
        value = zlib.crc32(part, value)
    return value.to_bytes(CRC_BYTES, "little")


def check_crc(name: str, record: memoryview) -> None:
    """Raise ContainerError unless the record ends in its checksum."""
    if len(record) < CRC_BYTES or crc(name, [record[:-CRC_BYTES]]) != record[-CRC_BYTES:]:
        raise ContainerError(f"{name}: checksum: got another, expected the record's; the file is damaged")


def natural_order(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key in which conv2 stands before conv10: runs of digits compare as numbers."""
    parts = re.split("([0-9]+)", name)
    parts[1::2] = [digits.lstrip("0") for digits in parts[1::2]]
    return [(len(part) if i % 2 else 0, part) for i, part in enumerate(parts)], name


def _read_name(reader: ByteReader) -> str:
    spelt = bytes(reader.take(reader.varint("bytes of a name", most=MAX_NAME_BYTES), "name"))
    try:
        return spelt.decode()
    except UnicodeDecodeError as error:
        raise reader.error("name", spelt, "UTF-8") from error


def _spell_metadata(metadata: dict) -> bytes:
    """Return the one JSON spelling that files hold."""
    try:
        _check_keys(metadata)
        options = {"sort_keys": True, "separators": (",", ":"), "ensure_ascii": False, "allow_nan": False}
        return json.dumps(metadata, **options).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ContainerError(f"metadata: got {error}, expected what JSON can spell") from error


def _check_keys(value: object) -> None:
    """Raise TypeError for a key that JSON would turn into a string."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a key {key!r}")
            _check_keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_keys(inner)


def _read_metadata(reader: ByteReader) -> dict:
    spelt = bytes(reader.take(reader.varint("bytes of metadata", most=MAX_METADATA_BYTES), "metadata"))
    try:
        metadata = json.loads(spelt)
        is_ours = isinstance(metadata, dict) and _spell_metadata(metadata) == spelt
    except (ValueError, RecursionError) as error:
        raise reader.error("metadata", spelt[:40], f"a JSON object ({error})") from error
    if not is_ours:
        raise reader.error("metadata", spelt[:40], "a JSON object, keys sorted, no spaces, no NaN")
    return metadata


# ----------------------------------------------------------------------------------------------------
# Where the bits of one tensor in a container go.


@dataclass(frozen=True)
class TensorSizes:
    """Bits and bytes of a record by kind, row scales included; they add up to `n_bytes`.

    Parameters
    ----------
    name, shape
        The tensor's.
    n_weights, n_kept, n_clusters : int
        Weights, those that are stored, and the values they share (0 in a dense tensor).
    header_bytes, codebook_bytes, dense_bytes, checksum_bytes : int
        Shape and sizes; shared values; values of dense tensors; CRC-32.
    table_bits, values_bits, index_bits, padding_bits : int
        Huffman code lengths; which value; where; what fills up last bytes.
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

    @classmethod
    def of(cls, name: str, tensor: DenseTensor | SharedTensor, bits: Mapping[str, int]) -> TensorSizes:
        """Return the sizes of a tensor from the reader's tally of bits by kind."""
        return cls(
            name=name,
            shape=tensor.shape,
            n_weights=tensor.n_weights,
            n_kept=tensor.n_kept,
            n_clusters=tensor.n_clusters if isinstance(tensor, SharedTensor) else 0,
            header_bytes=bits["header"] // 8,
            codebook_bytes=bits["codebook"] // 8,
            table_bits=bits["table"],
            values_bits=bits["values"],
            index_bits=bits["index"],
            dense_bytes=bits["dense"] // 8,
            padding_bits=bits["padding"],
            checksum_bytes=bits["checksum"] // 8,
        )

    @property
    def n_bytes(self) -> int:
        """Bytes of the record, everything included."""
        bits = self.table_bits + self.values_bits + self.index_bits + self.padding_bits
        return self.header_bytes + self.codebook_bytes + self.dense_bytes + self.checksum_bytes + bits // 8


__all__ = [
    "CompressedModel",
    "ContainerError",
    "TensorSizes",
    "file_bytes",
    "load",
    "load_file",
    "load_tensor",
    "save",
    "save_file",
    "sizes",
]

SUFFIX = ".dcz"
MAX_DENSE_BYTES = 4 << 30


@dataclass(frozen=True)
class CompressedModel:
    """What a container holds.

    Parameters
    ----------
    tensors : dict of str to DenseTensor or SharedTensor
        The tensors by name.
    metadata : dict
        Anything that JSON can spell: {"architecture": "vgg16", "num_classes": 10, ...}.
    """

    tensors: dict[str, DenseTensor | SharedTensor]
    metadata: dict = field(default_factory=dict)


def save(model: CompressedModel, *, store_names: bool = True, index: str = "smallest") -> bytes:
    """Return the model as a container.

    Parameters
    ----------
    model : CompressedModel
        Tensors and metadata.
    store_names : bool
        With names the tensors are written in the natural order of their names, whatever the order of the
        dictionary. Without names they keep its order, and are called "0", "1", ... when they are read.
    index : str
        How positions are spelt: "smallest" tries what the format has; "gaps", "bitmap" (of all weights) and
        "fillers" (the paper's) are there to compare with.

    Raises
    ------
    ContainerError
        When a tensor or the metadata cannot be stored; the message names it.
    ValueError
        When `index` is unknown.
    """
    if index not in INDEX_CODINGS:
        raise ValueError(f"index: got {index!r}, expected one of {', '.join(INDEX_CODINGS)}")
    names = sorted(model.tensors, key=natural_order) if store_names else list(model.tensors)
    records = []
    for number, name in enumerate(names):
        record = ByteWriter()
        try:
            write_tensor(record, model.tensors[name], index)
            record.put(crc(name if store_names else str(number), record.parts), "checksum")
        except ValueError as error:
            raise ContainerError(f"{name!r}: {error}") from error
        records.append(record)
    return join_file(model.metadata, names if store_names else None, records)


def load(data: bytes, *, max_dense_bytes: int = MAX_DENSE_BYTES) -> CompressedModel:
    """Return the model of a container.

    Parameters
    ----------
    data : bytes-like
        The whole file.
    max_dense_bytes : int
        Most bytes that all tensors together may take as float32; a file that announces more is refused.

    Raises
    ------
    ContainerError
        When anything is not as the specification says. The message names the tensor and the field.
    """
    check_digest(data)
    metadata, records = read_layout(data)
    tensors, n_left = {}, max_dense_bytes // 4
    for name, record in records.items():
        tensors[name], _ = _read_record(name, record, n_left)
        n_left -= tensors[name].n_weights
    return CompressedModel(tensors, metadata)


def load_tensor(
    data: bytes, name: str | int, *, max_dense_bytes: int = MAX_DENSE_BYTES
) -> DenseTensor | SharedTensor:
    """Return one tensor, by name or by its place in the file, without reading the others.

    Its own checksum is compared, not that of the file.

    Raises
    ------
    ContainerError
        When there is no such tensor, or its record is not as the specification says.
    """
    _, records = read_layout(data)
    names = list(records)
    if isinstance(name, int) and 0 <= name < len(names):
        name = names[name]
    if name not in records:
        raise ContainerError(f"tensor: got {name!r}, expected a number below {len(names)} or one of {names}")
    return _read_record(name, records[name], max_dense_bytes // 4)[0]


def sizes(data: bytes, *, max_dense_bytes: int = MAX_DENSE_BYTES) -> list[TensorSizes]:
    """Return where the bytes go, tensor by tensor; with `file_bytes` they add up to `len(data)`.

    Raises
    ------
    ContainerError
        When anything is not as the specification says.
    """
    check_digest(data)
    result = []
    for name, record in read_layout(data)[1].items():
        tensor, reader = _read_record(name, record, max_dense_bytes // 4)
        result.append(TensorSizes.of(name, tensor, reader.bits))
    return result


def file_bytes(data: bytes) -> int:
    """Return the bytes that belong to no tensor: magic, version, metadata, names, lengths and digest."""
    return len(data) - sum(len(record) for record in read_layout(data)[1].values())


def save_file(
    model: CompressedModel, path: str | os.PathLike, *, store_names: bool = True, index: str = "smallest"
) -> int:
    """Write the container to `path`, whole or not at all; return its size in bytes.

    Raises
    ------
    ContainerError
        When a tensor or the metadata cannot be stored.
    OSError
        When the file cannot be written.
    """
    data = save(model, store_names=store_names, index=index)
    with whole_file(path) as aside:
        aside.write_bytes(data)
    return len(data)


def load_file(path: str | os.PathLike, *, max_dense_bytes: int = MAX_DENSE_BYTES) -> CompressedModel:
    """Return the model of the container at `path`.

    Raises
    ------
    ContainerError
        When anything is not as the specification says; the message begins with the path.
    OSError
        When the file cannot be read.
    """
    try:
        return load(read_file(path, max_dense_bytes), max_dense_bytes=max_dense_bytes)
    except ContainerError as error:
        raise ContainerError(f"{path}: {error}") from error


def _read_record(
    name: str, record: memoryview, max_weights: int
) -> tuple[DenseTensor | SharedTensor, ByteReader]:
    """Return the tensor of a record, and the reader with its tally."""
    check_crc(name, record)
    reader = ByteReader(record[:-CRC_BYTES], name)
    tensor = read_tensor(reader, max_weights)
    reader.done()
    reader.bits["checksum"] = 8 * CRC_BYTES
    return tensor, reader
