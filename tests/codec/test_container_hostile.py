"""Hostile containers, all checksums right: one named error, in bounded time and memory."""

import json
import time
import tracemalloc

import numpy as np
import pytest

from common.codec.byte_io import ByteReader, ByteWriter
from common.codec.container import CompressedModel, ContainerError, load, save
from common.codec.gaps import law_lengths
from common.codec.tensors import SharedTensor
from tests.tiny_container import body_of, file_of, seal, stream_of

# --- the file around the records


def with_header(header: bytes) -> bytes:
    """A file that begins so, and has no tensors after it."""
    return seal(header + bytes(8))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "digest|magic"),
        (with_header(b"PCZ\1\1\2{}\0"), "magic"),
        (with_header(b"DCZ\2\1\2{}\0"), "version: got 2"),
        (with_header(b"DCZ\1\2\2{}\0"), "names: got 2"),
        (with_header(b"DCZ\1\1\2[]\0"), "metadata.*object"),
        (with_header(b"DCZ\1\1\0\0"), "metadata"),
        (with_header(b"DCZ\1\1\3{} \0"), "metadata.*no spaces"),
        (with_header(b"DCZ\1\1\x0d" + b'{"b":1,"a":2}' + b"\0"), "metadata.*sorted"),
        (with_header(b"DCZ\1\1\x0d" + b'{"a":1,"a":2}' + b"\0"), "metadata"),
        (with_header(b"DCZ\1\1\x09" + b'{"a":NaN}' + b"\0"), "metadata"),
        (with_header(b"DCZ\1\1\x08" + b'{"a":"\xff"}'[:8] + b"\0"), "metadata"),
        (with_header(b'DCZ\1\1\x05{"a":' + b"\0"), "metadata"),
        (with_header(b"DCZ\1\1\xff\xff\xff\x7f{}\0"), "bytes of metadata"),
        (with_header(b"DCZ\1\1\x82\0{}\0"), "bytes of metadata.*shortest"),
        (with_header(b"DCZ\1\1\2{}" + b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "tensors"),
        (with_header(b"DCZ\1\1\2{}\1\1w\5"), "record|digest"),
        (with_header(b"DCZ\1\1\2{}\1\2\xff\xfe\0"), "name.*UTF-8"),
        (with_header(b"DCZ\1\1\2{}\2\1b\0\1a\0"), "names.*'a' after 'b'"),
        (with_header(b"DCZ\1\1\2{}\2\1a\0\1a\0"), "names.*'a' after 'a'"),
        (with_header(b"DCZ\1\1\2{}\1\1w\0"), "w: checksum"),
        (with_header(b"DCZ\1\0\2{}\1\3abc"), "0: checksum"),
    ],
)
def test_headers(data, message):
    with pytest.raises(ContainerError, match=message):
        load(data)


def test_metadata_that_is_deeply_nested():
    spelt = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    length = ByteWriter()
    length.varint(len(spelt))
    with pytest.raises(ContainerError, match="metadata"):
        load(with_header(b"DCZ\1\1" + b"".join(length.parts) + spelt + b"\0"))


def test_metadata_with_a_number_of_a_million_digits():
    spelt = json.dumps({"a": 0}).replace(" ", "").replace("0", "1" * 500_000).encode()
    length = ByteWriter()
    length.varint(len(spelt))
    with pytest.raises(ContainerError, match="metadata"):
        load(with_header(b"DCZ\1\1" + b"".join(length.parts) + spelt + b"\0"))


# --- records

F4 = np.float32([-1, 1]).tobytes()
HEAD = (64, 2, 4, 8, 2, F4)  # shared weights of shape (4, 8), two clusters
KEPT = (1, 3, ([0, 1, 0], 2))  # zones, three kept weights
SOUND = [
    (*HEAD, *KEPT, 0, 13, b"\x80\x00\x00\x03"),  # a bitmap
    (*HEAD, *KEPT, 0, 3, 4, ([1, 7, 0, 2], 8)),  # gaps of 3 bits, one of them a skip
    (*HEAD, *KEPT, 0, 19, 3, 1, stream_of([1, 7, 0, 2], law_lengths(3, 32, 3))),  # the same, by law
    (*HEAD, *KEPT, 1, 1, ([1, 0, 0, 0], 2), 13, b"\x83"),  # one live row
    (*HEAD, *KEPT, 3, 1, ([1, 1, 0, 1], 2), 1, ([1, 0, 0, 0, 0, 0, 0, 0], 2), 14),  # three rows, a column
    (*HEAD, 0, ([0, 1] * 16, 2)),  # all kept
    (*HEAD, 2, 3, ([1, 0, 2], 3), 2, ([0, 3, 3], 4)),  # fillers
    (64, 3, 1, 0, 2**33, 2, F4, 0, ([], 2)),  # no weights, though an axis is long
]


@pytest.mark.parametrize("parts", SOUND)
def test_sound_records_by_hand(parts):
    """The records from which the hostile ones below are made are read."""
    tensor = load(file_of(body_of(*parts))).tensors["w"]
    assert tensor.n_kept in (0, 2, 3, 32)
    assert tensor.to_dense().shape == tensor.shape


NESTED = body_of(96, 1, 4, 2, F4, 0, ([0, 1, 0, 1], 2), 1, 1, 4, np.zeros(4, np.float16).tobytes())


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((), "kind: got 0 bytes"),
        ((12, 0), "kind: got 12"),
        ((66, 2, 4, 8), "kind: got 66"),
        ((b"\xc0", 2, 4, 8), "kind: got 192"),
        ((1, 9, *[1] * 9), "axes: got 9"),
        ((1, 2, 2**34, 1), "shape"),
        ((1, 2, 2**20, 2**20), "shape.*max_dense_bytes"),
        ((1, 3, 2**33, 2**33, 0), "shape"),
        ((1, 1, 4, bytes(7)), "values: got 7 bytes, expected 8"),
        ((1, 1, 4, bytes(9)), "end: got 1 bytes more"),
        ((3, 1, 2, b"\1\2"), "values.*bool"),
        ((64, 2, 4, 8, 32769), "clusters: got 32769"),
        ((64, 2, 4, 8, 2, bytes(7)), "codebook: got 7 bytes"),
        ((64, 2, 4, 8, 2, F4[4:] + F4[:4], *KEPT, 0, 13, b"\x80\0\0\3"), "codebook.*ascending"),
        ((64, 2, 4, 8, 2, b"\xff" * 8, *KEPT, 0, 13, b"\x80\0\0\3"), "codebook.*finite"),
        ((*HEAD, 3), "index coding: got 3"),
        ((*HEAD, 1, 33), "kept weights: got 33"),
        ((*HEAD, 1, 3, b"\0"), "values block: got 0"),
        ((*HEAD, 1, 3, b"\x09"), "values block: got 9"),
        ((64, 2, 4, 8, 17, np.arange(17, dtype="<f4").tobytes(), 1, 3, b"\2"), "values block: got 2"),
        ((*HEAD, *KEPT, b"\x08"), "labelled axes: got 8"),
        ((*HEAD, *KEPT, 1, 9), "labels: got 9"),
        ((*HEAD, *KEPT, 0, 15), "zone: got 15"),
        ((*HEAD, *KEPT, 0, 16), "zone: got 16"),
        ((*HEAD, *KEPT, 0, 29), "zone: got 29"),
        ((*HEAD, *KEPT, 0, 14), "zone: got 32 kept weights, expected at most 3"),
        ((*HEAD, *KEPT, 0, 0), "positions: got 0"),
        ((*HEAD, *KEPT, 0, 13, b"\x80\x00\x00\x01"), "positions: got 2"),
        ((*HEAD, *KEPT, 0, 13, b"\x80\x00\x00\x07"), "bitmap: got 4 kept weights, expected at most 3"),
        ((*HEAD, *KEPT, 0, 13, b"\x80\x00\x00"), "bitmap: got 3 bytes, expected 4"),
        ((*HEAD, *KEPT, 1, 1, ([0, 0, 0, 0], 2)), "positions: got 0"),
        ((*HEAD, *KEPT, 1, 0, ([0, 0, 0, 0], 1)), "positions: got 0"),
        ((*HEAD, *KEPT, 0, 3, 4, ([1, 7, 0, 7], 8)), "skip at the end"),
        ((*HEAD, *KEPT, 0, 3, 0, ([], 8)), "skip at the end"),
        ((*HEAD, *KEPT, 0, 3, 4, ([1, 0, 0, 2], 8)), "gaps: got 4 kept weights, expected at most 3"),
        ((*HEAD, *KEPT, 0, 4, 3, ([14, 14, 14], 16)), "zone: got a kept weight in cell 44"),
        ((*HEAD, *KEPT, 0, 3, 2**40, ([1], 8)), "gaps: got"),
        ((*HEAD, *KEPT, 0, 19, 4, 1, b"\5\0"), "kept weights: got 4"),
        ((*HEAD, *KEPT, 0, 19, 3, 2**30, b"\5\0"), "skips: got"),
        ((*HEAD, *KEPT, 0, 19, 0, 1, stream_of([7], law_lengths(0, 32, 3))), "skip at the end"),
        (
            (*HEAD, *KEPT, 0, 19, 2, 2, stream_of([1, 7, 0, 2], law_lengths(2, 32, 3))),
            "gaps: got 3 kept weights",
        ),
        (
            (*HEAD, *KEPT, 0, 19, 3, 1, stream_of([1, 7, 7, 2], law_lengths(3, 32, 3))),
            "gaps: got 2 kept weights",
        ),
        ((*HEAD, *KEPT, 0, 13, b"\x80\x00\x00\x03", 0), "end: got 1 bytes more"),
        ((*HEAD, 2, 33), "stored weights: got 33"),
        ((*HEAD, 2, 3, ([1, 0, 2], 3), 0), "gap bits: got 0"),
        ((*HEAD, 2, 3, ([1, 0, 2], 3), 13), "gap bits: got 13"),
        ((*HEAD, 2, 3, ([1, 0, 2], 3), 4, ([15, 15, 0], 16)), "gaps: got a weight in cell 32"),
        ((96, *HEAD[1:], 0, ([0, 1] * 16, 2), NESTED), "kind: got 96"),
        ((96, *HEAD[1:], 0, ([0, 1] * 16, 2), 1, 1, 3, bytes(6)), "row_scales"),
        ((96, *HEAD[1:], 0, ([0, 1] * 16, 2)), "kind: got 0 bytes"),
    ],
)
def test_records(parts, message):
    with pytest.raises(ContainerError, match=f"^w: .*{message}"):
        load(file_of(body_of(*parts)))


def bits(text: str) -> bytes:
    """Bits as bytes, filled up with zeros."""
    text = text.replace(" ", "")
    text += "0" * (-len(text) % 8)
    return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        # two kinds, in blocks of one: lengths 1 1 are 0001, then a run of two: 010
        (bits("0001 010 1"), "set bits behind the table"),
        (bits("0001 011"), "got 3 lengths, expected 2"),
        (bits("0001 1 10 1"), "codes of 3 symbols"),  # 1, 0: one symbol, all bits 0
        (bits("0010 010"), "Kraft"),  # 2, 2
        (bits("0001 1 0 1"), "Kraft"),  # 1, 2
        (bits("1111 1 0 1"), "another length of 0 to 15"),  # 15, 16
        (bits("0000 1 10 1"), "another length of 0 to 15"),  # 0, -1
        (bits("0001 1 11 0001 1"), "another length of 0 to 15"),  # 1, then 1 again as if another
        (bits("0001 00"), "a run of more than 2"),
        (b"", "code lengths: got 0 bytes"),
    ],
)
def test_tables(table, message):
    """A table of two kinds, and where there is one, a stream of the three bits 010 behind it."""
    stream = b"\3\x40" if table else b""
    with pytest.raises(ContainerError, match=f"^w: .*{message}"):
        load(file_of(body_of(*HEAD, 1, 3, 1) + table + stream))


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"\2\x40", "2 bits for 3 symbols"),
        (b"\x2e" + bytes(6), "values bits: got 46"),
        (b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "values bits"),
        (b"\4\x40", "got 4 bits, expected the codes of 3 symbols"),
        (b"\3\x50", "set bits behind"),
        (b"\3", "values: got 0 bytes"),
    ],
)
def test_streams(stream, message):
    with pytest.raises(ContainerError, match=f"^w: .*{message}"):
        load(file_of(body_of(*HEAD, 1, 3, 1) + bits("0001 010") + stream))


def test_blocks_are_filled_up_with_zeros():
    """Three symbols in blocks of two: 1 0, then 0 and a filling 1; with zeros in its place they are read."""
    table = bits("0000 1 0 010 10 1")  # kinds 1 and 2 of 4, a bit each
    ends = [0, 13, b"\x80\x00\x00\x03"]
    sound = body_of(*HEAD, 1, 3, 2, table, stream_of([1, 1], [0, 1, 1, 0]), *ends)
    assert load(file_of(sound)).tensors["w"].indices.tolist() == [1, 0, 1]
    spoilt = body_of(*HEAD, 1, 3, 2, table, stream_of([1, 2], [0, 1, 1, 0]), *ends)
    with pytest.raises(ContainerError, match=r"^w: values: got a last block filled up otherwise"):
        load(file_of(spoilt))


# --- bombs: few bytes that ask for much


@pytest.mark.parametrize(
    "parts",
    [
        (0, 1, 2**30),
        (64, 1, 2**30, 1, F4[:4], 0, 8, b"\x01\x80", 2**27),
        (64, 1, 2**30, 1, F4[:4], 1, 2**30, 8, b"\x01\x80", 2**27),
        (64, 2, 2, 2**29, 2, F4, *KEPT, 1),
        (64, 2, 2, 2**29, 2, F4, *KEPT, 0, 14),
        (64, 2, 2, 2**29, 2, F4, *KEPT, 0, 13),
        (64, 2, 2, 2**29, 2, F4, *KEPT, 0, 12, 2**40),
        (64, 2, 2**15, 2**15, 2, F4, *KEPT, 7, 1),
        (64, 2, 2**20, 2**10, 2, F4, *KEPT, 2, 8, ([8, 1] * 512, 9), *[0] * 7, 14),
        (64, 2, 2**20, 2**10, 2, F4, *KEPT, 2, 8, ([8, 1] * 512, 9), *[28, 3, 2**40] * 8),
        (64, 2, 4, 8, 32768),
        (64, 2, 4, 8, 32768, np.arange(32768, dtype="<f4").tobytes(), 1, 3, 1, b"\xff"),
    ],
)
def test_bombs(parts):
    data = file_of(body_of(*parts))
    np.zeros(3).sum()
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(ContainerError, match=r"^w: "):
            load(data, max_dense_bytes=8 << 30)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (64 << 20) + 600 * len(data)
    assert time.process_time() - start < 5


def test_one_kept_weight_in_a_thousand_million():
    """Positions take what their file takes, whatever the shape: only the dense form is large."""
    tensor = SharedTensor((2**15, 2**15), np.float32([1]), np.array([7, 2**30 - 1]), np.uint8([0, 0]))
    data = save(CompressedModel({"w": tensor}))
    limit = 4 * 2**30 + 2 * 16
    load(data, max_dense_bytes=limit)
    with pytest.raises(ContainerError, match=r"w: kept weights: got 32 bytes of memory, expected at most 31"):
        load(data, max_dense_bytes=limit - 1)
    tracemalloc.start()
    assert load(data, max_dense_bytes=limit).tensors["w"].positions.tolist() == [7, 2**30 - 1]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_reader_is_bounded():
    reader = ByteReader(b"\x85\x01\x00", "here")
    assert reader.varint("number", most=133) == 133
    with pytest.raises(ContainerError, match="here: rest: got 1 bytes, expected 2 bytes"):
        reader.take(2, "rest")
    with pytest.raises(ContainerError, match="here: end: got 1 bytes more"):
        reader.done()
    assert reader.byte("last") == 0
    reader.done()


@pytest.mark.parametrize("metadata", [{1: "a"}, {"a": {None: 1}}, {"a": [{True: 1}]}])
def test_metadata_keys_that_json_would_change(metadata):
    with pytest.raises(ContainerError, match=r"metadata: got the key .*expected text"):
        save(CompressedModel({}, metadata))
