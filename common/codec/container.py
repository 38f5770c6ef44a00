"""The `.dcz` container, version 1: a compressed network in one file.

Holds named tensors of any shape, as they are or with shared weights, and metadata. Every tensor can be read
alone, nothing in it is executed, and the same model always gives the same bytes. This text is the whole
specification: a reader refuses a file that differs from it in anything. `tests/data/vectors` holds small
files that use all of it, with what a reader must find in them as JSON; `common/deploy/web/dcz.js` is a second
reader, in JavaScript.

Multi-byte numbers are little-endian; floats are IEEE 754. A `varint` is an unsigned integer, 7 bits per byte,
lowest first, the top bit set in all bytes but the last, in as few bytes as possible, at most nine. Bits fill
a byte from its highest one, and the last byte of any run of bits ends in zeros.

File
----
At most 4 GiB::

    3 bytes  magic                      "DCZ"
    byte     version                    1
    byte     names are stored           0 or 1
    varint   bytes of metadata, at most 2 ** 20, then it
    varint   number of tensors, at most 65,536, then for each:
               varint, bytes            length of its name, at most 1024, and the name, UTF-8 (if stored)
               varint                   bytes of its record
    records  one after the other, in the same order, without gaps
    8 bytes  BLAKE2b of all bytes before, with a digest size of 8 (RFC 7693: the size is part of the hash)

Stored names ascend in natural order (conv2 before conv10) without repeats: cut each into runs of digits 0 to
9 and what stands between them, beginning with what stands before the first run, even if it is empty. Compare
part by part, runs of digits as numbers, the others by code points; a name that ends first comes first. Names
that are equal so far (a1, a01) are ordered by their code points. Without stored names the tensors are called
"0", "1", ... and the reader has to know what they are, for example from the architecture in the metadata.

Metadata
--------
A JSON object in UTF-8, written in one way only: that of Python's ``json.dumps(metadata, sort_keys=True,
separators=(",", ":"), ensure_ascii=False, allow_nan=False)``:

- no spaces; keys ascend by code points, without repeats; objects and arrays at most 64 deep, the outer one
  counted;
- in strings, ``\\"``, ``\\\\``, ``\\b``, ``\\f``, ``\\n``, ``\\r``, ``\\t``, other characters below U+0020 as
  ``\\u00`` and two lower-case hexadecimal digits, and everything else as it is; no half of a surrogate pair;
- an integer has at most 4300 digits, no leading zeros, and is not ``-0``;
- another number is a float64, finite, in the fewest digits that round to it (of those the nearest); as
  ``1.0``, ``0.0001``, ``-0.0`` when its decimal exponent is from -4 to 15, with at least one digit behind the
  point; else as ``1e+16``, ``2.5e-05``, the exponent with a sign and at least two digits.

Record
------
::

    tensor   see below
    4 bytes  CRC-32 (as in zip) of the name (UTF-8; "0", "1", ... where none is stored) and the tensor's bytes

    byte     kind: 0 to 11 a dense tensor of float32, float16, float64, bool, uint8, uint16, uint32, uint64,
             int8, int16, int32, int64; 64 shared weights with a float32 codebook, 65 with a float16 one, to
             which 32 is added if row scales follow; no other
    varint   number of axes, at most 8, then a varint for each size; the product of the sizes, those of 0
             counted as 1, is at most 2 ** 33. Without axes there is one weight.

A dense tensor goes on with its values, row-major; a bool is a byte 0 or 1. One with shared weights goes on
with::

    varint   number of clusters, at most 32,768, then the codebook: finite, strictly ascending
    byte     index coding: 0 every weight is kept; 1 zones; 2 fillers
      0      blocks of cluster indices (n: the number of clusters), one per weight, row-major
      1      varint of kept weights, at most all; blocks of their cluster indices, in the row-major order of
             the whole tensor (not zone by zone); positions (below)
      2      varint of stored weights, at most all; blocks of their values (0 a filler, which stands in a cell
             but is zero, k + 1 cluster k; n: clusters + 1); a byte, the width of a gap, 1 to 12; blocks of
             gaps below 2 ** width (weights passed before each stored one); the last may be a filler
    tensor   row scales, if announced: a dense or shared tensor, itself without row scales, of the shape
             (rows,), where rows is the size of the first axis; there is at least one axis

The weight is the codebook's value as float32, or 0 where nothing is kept. It is then *multiplied* by the
scale of its row (its place on the first axis), rounded to float32, in float32.

Codes
-----
A *stream* is symbols in a code that is known from its code lengths, 0 to 15 bits per kind of symbol, 0 for a
kind that does not occur. ::

    varint   payload bits: the sum of the symbols' code lengths
    12 bytes entry points, if there are 65,536 symbols or more: three uint32, the payload bits of the first,
             second and third quarter of the symbols; quarter i (1, 2, 3) ends before symbol
             i * symbols // 4. They are not counted in the payload bits.
    bits     the codes in a row

How many symbols a stream has is never stored: it follows from what was read before. Codes are canonical:
ordered by length, then by symbol, each is the one before plus 1, shifted to its length by zeros; the first is
all zeros. Where only one kind occurs, its length is 1 and its code is 0. Where more kinds occur, the code is
complete: the sum of 2 ** -length is 1. Without symbols there are 0 bits.

*Blocks* carry their own code, and may encode several symbols a, b, c, ... below n as one, a + b * n
+ c * n ** 2 + ..., zeros filling up the last::

    byte     symbols in a block, 1 to 8; if it is not 1, n ** symbols is at most 256
    table    the code lengths of all n ** symbols kinds of blocks, also of an empty list; no byte if n = 0
    stream   the blocks: as many as there are symbols, divided by the symbols in a block and rounded up

A *table* is a sequence of runs, each a length and a repeat count, until every kind has its length. The first
length takes four bits; a later one differs from the one before and is `0` for one more, `10` for one less,
`11` and four bits for any. The repeat count is an Elias gamma code: z zeros, then the z + 1 bits of the
number, whose highest is 1.

Positions
---------
Rows (axis 0), columns (axis 1) and taps (all further axes as one, row-major) have labels from 0 to 8. A
tensor of one axis, or none, has one row, its weights as columns, and one tap. A cell (row, column, tap) of
which a label is 0 is in no zone and not kept; cells with the same sum of labels make up a *zone*, numbered in
row-major order. ::

    byte     which axes have labels: rows 1, columns 2, taps 4, added; the others have label 1 throughout. It
             is 0 if there are more than 2 ** 20 rows, or columns times taps. 0 makes one zone of all cells
    labels   for each axis that has them, in this order: a byte m, at most 8, and blocks of labels below m + 1
    zones    for each zone that has cells, the lowest sum of labels first:
      byte     0 no weight is kept; 1 to 12 gaps of that width; 13 a bitmap; 14 all are kept;
               17 to 28 gaps whose width is that less 16, in the code of the geometric law; no other
      1-12     varint of gaps, at least 1, then blocks of gaps below 2 ** width
      13       a bit for each cell
      17-28    varint of kept weights, at least 1, varint of skips (gaps that are skips), then a stream of all
               gaps in the code of the geometric law, kinds 0 to 2 ** width - 1

The zones together keep as many weights as the record says. A gap is the number of cells of the zone passed
before a kept one; 2 ** width - 1 is a skip, passes that many and stands for none (see `common.codec.gaps`).
The last gap is no skip, and no kept weight lies behind the zone's last cell.

The geometric law
-----------------
Where k of a zone's c cells are kept, the code lengths of its gaps are not stored: they are those of Huffman's
code for these counts, in integers (`//` rounds down)::

    left = 2 ** 30
    for gap in 0 ... 2 ** width - 2:
        still = left * (c - k) // c
        count of gap = max(left - still, 1)
        left = still
    count of 2 ** width - 1 = max(left, 1)

and Huffman's code is this one. Leaves are the symbols by ascending count, of equal counts the higher symbol
first. They are joined with two queues: the leaves, and the joined nodes in the order in which they were made.
Each step takes two nodes, one after the other, each time the smaller of the two heads, the leaf where they
are equal; the pair's sum joins the second queue. The steps go on until one node is left. A symbol's length is
its depth. Where a depth is above 15, all lengths are computed again by package-merge: list 1 is the leaves'
counts; list i + 1 merges the leaves with the sums of list i's
pairs (first and second, third and fourth, ..., a last one alone left out), ascending, leaves first where
equal; there are 15 lists. From list 15 the first 2 * n - 2 entries are taken (n leaves); of each list before,
the first two for every pair taken from the list behind it. A leaf's length is the number of lists in which it
was taken.
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
from common.codec.byte_io import ByteReader, ByteWriter, ContainerError, MemoryBudget
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
MAX_NESTING = 64
MAX_NAME_BYTES = 1 << 10
MAX_TENSORS = 1 << 16


def join_file(metadata: dict, names: list[str] | None, records: list[ByteWriter]) -> bytes:
    """Return the file around the records; `names` are theirs, or None to store none."""
    writer = ByteWriter()
    encoded = _encode_metadata(metadata)
    if len(encoded) > MAX_METADATA_BYTES or len(records) > MAX_TENSORS:
        raise ContainerError(
            f"file: got {len(encoded)} bytes of metadata and {len(records)} tensors, "
            f"expected at most {MAX_METADATA_BYTES} and {MAX_TENSORS}"
        )
    writer.put(MAGIC + bytes([VERSION, names is not None]))
    writer.varint(len(encoded))
    writer.put(encoded)
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
    """Return the bytes of the container at `path`; only its magic and its size are checked here.

    Raises
    ------
    ContainerError
        When the file does not begin with the magic, or has more than `max_bytes` bytes.
    OSError
        When the file cannot be read.
    """
    with open(path, "rb") as file:
        start = file.read(len(MAGIC))
        if start != MAGIC:
            raise ContainerError(f"file: magic: got {start}, expected {MAGIC}; this is not a .dcz file")
        n_bytes = os.fstat(file.fileno()).st_size
        if n_bytes > max_bytes:
            raise ContainerError(f"file: size: got {n_bytes} bytes, expected at most {max_bytes}")
        file.seek(0)
        return file.read(n_bytes)


def read_layout(data: bytes) -> tuple[dict, dict[str, memoryview]]:
    """Return the metadata, and the bytes of each record by name, in the order of the file.

    The records are not decoded, and neither their checksums nor the file's digest are compared.

    Raises
    ------
    ContainerError
        When magic, version, metadata, names or lengths are not as the specification says.
    """
    reader = ByteReader(data, "file")
    magic = bytes(reader.take(len(MAGIC), "magic"))
    if magic != MAGIC:
        raise reader.error("magic", magic, f"{MAGIC}; this is not a .dcz file")
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
    # The pattern's group makes every second part a run of digits. Without leading zeros, the longer run is
    # the larger number, and runs of equal length compare as text: no int() of a number of any length.
    parts = re.split("([0-9]+)", name)
    parts[1::2] = [digits.lstrip("0") for digits in parts[1::2]]
    return [(len(part) if i % 2 else 0, part) for i, part in enumerate(parts)], name


def _read_name(reader: ByteReader) -> str:
    encoded = bytes(reader.take(reader.varint("bytes of a name", most=MAX_NAME_BYTES), "name"))
    try:
        return encoded.decode()
    except UnicodeDecodeError as error:
        raise reader.error("name", encoded, "UTF-8") from error


def _encode_metadata(metadata: dict) -> bytes:
    """Return the metadata as JSON, in the one form that the specification allows."""
    _check_metadata(metadata, 1)
    try:
        options = {"sort_keys": True, "separators": (",", ":"), "ensure_ascii": False, "allow_nan": False}
        return json.dumps(metadata, **options).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ContainerError(f"metadata: got {error}, expected what JSON can hold") from error


def _check_metadata(value: object, depth: int) -> None:
    """Raise ContainerError where JSON would change a key, or where nesting is too deep (or circular)."""
    if not isinstance(value, dict | list | tuple):
        return
    if depth > MAX_NESTING:
        raise ContainerError(f"metadata: got more than {MAX_NESTING} lists and dicts within each other")
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ContainerError(f"metadata: got the key {key!r}, expected text: JSON has no other keys")
        value = value.values()
    for part in value:
        _check_metadata(part, depth + 1)


def _read_metadata(reader: ByteReader) -> dict:
    encoded = bytes(reader.take(reader.varint("bytes of metadata", most=MAX_METADATA_BYTES), "metadata"))
    try:
        metadata = json.loads(encoded)
        is_ours = isinstance(metadata, dict) and _encode_metadata(metadata) == encoded
    except (ValueError, RecursionError) as error:
        raise reader.error("metadata", encoded[:40], f"a JSON object ({error})") from error
    if not is_ours:
        raise reader.error("metadata", encoded[:40], "a JSON object, keys sorted, no spaces, no NaN")
    return metadata


# ----------------------------------------------------------------------------------------------------
# Where the bits of one tensor in a container go.


@dataclass(frozen=True)
class TensorSizes:
    """Bits and bytes of a record by kind, row scales included; they add up to `n_bytes`.

    Parameters
    ----------
    name : str
        Name of the tensor.
    shape : tuple of int
        Shape of the tensor.
    n_weights, n_kept, n_clusters : int
        Number of weights, of kept weights, and of shared values (0 for a dense tensor).
    header_bytes : int
        Kind, shape, and the sizes of all lists.
    codebook_bytes : int
        Shared values.
    table_bits : int
        Code lengths of the Huffman codes.
    values_bits : int
        Cluster indices of the kept weights (of the fillers too, where there are any), Huffman-coded.
    index_bits : int
        Positions of the kept weights.
    dense_bytes : int
        Values of a dense tensor.
    padding_bits : int
        Zero bits that fill up last bytes.
    checksum_bytes : int
        The CRC-32.
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
    "Container",
    "ContainerError",
    "TensorSizes",
    "file_bytes",
    "load",
    "load_file",
    "load_tensor",
    "load_with_sizes",
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
        Anything that JSON can hold, with text as keys, at most 1 MiB of it: for example
        {"architecture": "vgg16", "num_classes": 10}.
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
        How positions are encoded: "smallest" tries what the format offers and keeps the shortest. "gaps",
        "bitmap" (a bit per weight) and "fillers" (the coding of Han et al. 2016) force one coding, for
        comparison.

    Returns
    -------
    bytes
        The whole file. Equal models give equal bytes.

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
        Limit of the memory, in bytes, that the tensors may take: all of them dense as float32, and the lists
        of positions and indices that are read from the file. A small file can announce huge tensors; one that
        announces more than this is refused before the memory is allocated. The file's own bytes are not
        counted.

    Raises
    ------
    ContainerError
        When the file differs from the specification in anything, or needs more than `max_dense_bytes`. The
        message names the tensor and the field.
    """
    return load_with_sizes(data, max_dense_bytes=max_dense_bytes)[0]


def load_with_sizes(
    data: bytes, *, max_dense_bytes: int = MAX_DENSE_BYTES
) -> tuple[CompressedModel, list[TensorSizes]]:
    """Return what `load` and `sizes` return, but decode the file only once.

    Raises
    ------
    ContainerError
        When anything is not as the specification says.
    """
    check_digest(data)
    metadata, records = read_layout(data)
    budget = MemoryBudget(max_dense_bytes)
    tensors, found = {}, []
    for name, record in records.items():
        tensors[name], reader = _read_record(name, record, budget)
        found.append(TensorSizes.of(name, tensors[name], reader.bits))
    return CompressedModel(tensors, metadata), found


def load_tensor(
    data: bytes, name: str | int, *, max_dense_bytes: int = MAX_DENSE_BYTES
) -> DenseTensor | SharedTensor:
    """Return one tensor, by name or by its place in the file (from 0), without decoding the others.

    Its own checksum is compared, not the digest of the whole file. `max_dense_bytes` is as in `load`.

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
    return _read_record(name, records[name], MemoryBudget(max_dense_bytes))[0]


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
        tensor, reader = _read_record(name, record, MemoryBudget(max_dense_bytes))
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

    `max_dense_bytes` is as in `load`; a file larger than that is not read at all.

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


@dataclass(frozen=True)
class Container:
    """A whole file together with what it decodes to, so that nothing has to decode it a second time.

    Attributes
    ----------
    data : bytes
        The file.
    model : CompressedModel
        What it holds.
    sizes : tuple of TensorSizes
        Where its bytes go, tensor by tensor; with `own_bytes` they add up to ``len(data)``.
    """

    data: bytes
    model: CompressedModel
    sizes: tuple[TensorSizes, ...]

    @classmethod
    def open(cls, data: bytes | Container, *, max_dense_bytes: int = MAX_DENSE_BYTES) -> Container:
        """Decode a file; a `Container` is returned as it is.

        Raises
        ------
        ContainerError
            When anything is not as the specification says.
        """
        if isinstance(data, Container):
            return data
        model, found = load_with_sizes(data, max_dense_bytes=max_dense_bytes)
        return cls(data, model, tuple(found))

    def __len__(self) -> int:
        return len(self.data)

    @property
    def tensors(self) -> dict[str, DenseTensor | SharedTensor]:
        """The tensors by name, in the order of the file."""
        return self.model.tensors

    @property
    def metadata(self) -> dict:
        """The metadata, as it was stored."""
        return self.model.metadata

    @property
    def own_bytes(self) -> int:
        """Bytes that belong to no tensor: magic, version, metadata, names, lengths and digest."""
        return len(self) - sum(size.n_bytes for size in self.sizes)


def _read_record(
    name: str, record: memoryview, budget: MemoryBudget
) -> tuple[DenseTensor | SharedTensor, ByteReader]:
    """Return the tensor of a record, and the reader with its tally."""
    check_crc(name, record)
    reader = ByteReader(record[:-CRC_BYTES], name, budget)
    tensor = read_tensor(reader)
    reader.done()
    reader.bits["checksum"] = 8 * CRC_BYTES
    return tensor, reader
