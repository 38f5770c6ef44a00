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
(see `common.huffman`, also for the entry points of long streams). *Blocks* bring their own code, and may
spell several symbols a, b, c, ... below n as one, a + b * n + c * n ** 2 + ..., zeros filling up the last::

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
and cells with the same sum of labels make up a zone: see `common.zones`. ::

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
for none (see `common.sparse_index`). The last gap is no skip.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from common.byte_reader import ByteReader, ByteWriter, ContainerError
from common.container_layout import (
    CRC_BYTES,
    check_crc,
    check_digest,
    crc,
    join_file,
    natural_order,
    read_file,
    read_layout,
)
from common.container_records import INDEX_CODINGS, read_tensor, write_tensor
from common.shared_tensor import DenseTensor, SharedTensor
from common.tensor_sizes import TensorSizes
from common.whole_file import whole_file

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
