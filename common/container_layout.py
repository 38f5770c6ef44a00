"""The container around its records: metadata, names, lengths, checksums (specified in `common.container`)."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterable

from common.byte_reader import ByteReader, ByteWriter, ContainerError

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
        options = {"sort_keys": True, "separators": (",", ":"), "ensure_ascii": False, "allow_nan": False}
        return json.dumps(metadata, **options).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ContainerError(f"metadata: got {error}, expected what JSON can spell") from error


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
