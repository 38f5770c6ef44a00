"""The decoder in JavaScript beside the one in Python: the same files read, the same files refused."""

import hashlib
import json
import math
import runpy
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from common.codec.container import ContainerError, file_bytes, load, read_layout, save, sizes
from common.codec.gaps import law_lengths
from common.codec.huffman import code_lengths
from common.codec.tensors import DenseTensor
from tests.tiny_container import file_of, seal, tiny_model

ROOT = Path(__file__).resolve().parents[2]
DCZ_JS = ROOT / "common/deploy/web/dcz.js"
ANSWERS = Path(__file__).with_name("answers.js")
VECTORS = sorted((ROOT / "tests/data/vectors").glob("*.dcz"))
SHIPPED = sorted(ROOT.glob("capstone/*.dcz")) + sorted(ROOT.glob("week*/results/*.dcz"))
FILES = [*SHIPPED, ROOT / "tests/data/tiny.dcz", *VECTORS]
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no Node.js on this machine: install the package nodejs")
LIMIT = 1 << 24


def node_answers(files: list[bytes], *, max_dense_bytes: int = 4 << 30) -> list[dict]:
    """What dcz.js makes of the files."""
    frames = b"".join(struct.pack("<I", len(data)) + data for data in files)
    command = [NODE, str(ANSWERS), str(DCZ_JS), str(max_dense_bytes)]
    done = subprocess.run(command, input=frames, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(files)
    return answers


def node_value(expression: str) -> object:
    """The value of an expression about DCZ."""
    program = f"const DCZ = require({str(DCZ_JS)!r}); console.log(JSON.stringify({expression}));"
    done = subprocess.run([NODE, "-"], input=program, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def digest_of(tensor) -> str:
    """A hash over every part of a tensor, as in answers.js."""
    digest = hashlib.sha256()
    is_shared = not isinstance(tensor, DenseTensor)
    dtype = (tensor.codebook if is_shared else tensor.values).dtype
    digest.update(json.dumps([is_shared, list(tensor.shape), dtype.name], separators=(",", ":")).encode())
    if not is_shared:
        digest.update(tensor.values.astype(dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()
    digest.update(tensor.codebook.astype("<f4").tobytes() + tensor.indices.astype("<u2").tobytes())
    digest.update(b"all" if tensor.positions is None else tensor.positions.astype("<u4").tobytes())
    with np.errstate(all="ignore"):  # hostile scales overflow
        dense = tensor.to_dense().astype("<f4")
    bits = dense.reshape(-1).view("<u4")
    bits[np.isnan(dense.reshape(-1))] = 0x7FC00000
    digest.update(dense.tobytes())
    if tensor.row_scales is not None:
        digest.update(digest_of(tensor.row_scales).encode())
    return digest.hexdigest()


def python_answer(data: bytes, *, max_dense_bytes: int = 4 << 30) -> list[tuple[str, str]] | None:
    """Names and hashes of what Python reads; None where it refuses."""
    try:
        model = load(data, max_dense_bytes=max_dense_bytes)
    except ContainerError:
        return None
    return [[name, digest_of(tensor)] for name, tensor in model.tensors.items()]


@needs_node
def test_every_file_of_the_repository_is_read_alike():
    files = [path.read_bytes() for path in FILES]
    for path, data, answer in zip(FILES, files, node_answers(files), strict=True):
        assert "error" not in answer, path
        assert answer["tensors"] == python_answer(data), path
        assert answer["fileBytes"] == file_bytes(data)
        for size in sizes(data):
            bits = answer["bits"][size.name]
            assert bits.get("header", 0) == 8 * size.header_bytes
            assert bits.get("codebook", 0) == 8 * size.codebook_bytes
            assert bits.get("dense", 0) == 8 * size.dense_bytes
            assert [bits.get(kind, 0) for kind in ("table", "values", "index", "padding")] == [
                size.table_bits,
                size.values_bits,
                size.index_bits,
                size.padding_bits,
            ]


def without_big_integers(value):
    """Metadata as answers.js spells it: integers beyond 2 ** 53 as text."""
    if isinstance(value, dict):
        return {key: without_big_integers(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_big_integers(part) for part in value]
    return f"big:{value}" if type(value) is int and abs(value) >= 2**53 else value


@needs_node
def test_metadata_is_read_alike():
    paths = [*VECTORS, ROOT / "capstone/lenet_5.dcz"]
    files = [path.read_bytes() for path in paths]
    for data, answer in zip(files, node_answers(files), strict=True):
        assert answer["metadata"] == without_big_integers(load(data).metadata)


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_vectors_say_what_python_reads(path):
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    model = load(path.read_bytes())
    assert model.metadata == expected["metadata"]
    assert list(model.tensors) == [tensor["name"] for tensor in expected["tensors"]]
    for tensor, stored in zip(model.tensors.values(), expected["tensors"], strict=True):
        values = tensor.to_dense()
        assert (values.dtype.name, list(values.shape)) == (stored["dtype"], stored["shape"])
        if not isinstance(tensor, DenseTensor):
            assert (tensor.n_kept, tensor.codebook.size) == (stored["n_kept"], stored["n_clusters"])
        if "sha256" in stored:
            assert hashlib.sha256(values.tobytes()).hexdigest() == stored["sha256"]
        else:
            dtype = np.dtype(stored["dtype"])
            numbers = [float(value) if isinstance(value, str) else value for value in stored["values"]]
            np.testing.assert_array_equal(values.reshape(-1), np.array(numbers, dtype=dtype))


def test_vectors_are_what_the_tool_writes():
    tool = runpy.run_path(str(ROOT / "tools/make_test_vectors.py"))
    made = tool["vectors"]()
    assert sorted(made) == [path.stem for path in VECTORS]
    for path in VECTORS:
        assert made[path.stem] == path.read_bytes(), f"{path.stem}: run tools/make_test_vectors.py"
        assert tool["expected_json"](made[path.stem]) == path.with_suffix(".json").read_text(encoding="utf-8")


# --- metadata: one spelling, whatever the language

ALLOWED = [
    "{}",
    '{"a":1}',
    '{"a":-1}',
    '{"a":0.1}',
    '{"a":-0.0}',
    '{"a":1e-05}',
    '{"a":0.0001}',
    '{"a":1e+16}',
    '{"a":123456789012345.0}',
    '{"a":1e+300}',
    '{"a":5e-324}',
    '{"a":1.7976931348623157e+308}',
    '{"":0}',
    '{"a":[],"b":{}}',
    '{"a":"\x7f"}',
    r'{"a":"\"\\\b\f\n\r\t\u0000\u001f"}',
    '{"\uffee":1,"\U0001f600":2}',
    '{"a":true,"b":false,"c":null}',
    '{"__proto__":1}',
    f'{{"a":{2**70}}}',
    f'{{"a":{"9" * 4300}}}',
    '{"a":9007199254740993.0}'.replace("3.0", "2.0"),
    '{"a":100000.0}',
    '{"a":12345.678}',
    '{"a":2.5e-07}',
    '{"a":' + "[" * 62 + "]" * 62 + "}",
]
REFUSED = [
    "",
    "[]",
    "1",
    "null",
    '"a"',
    "{",
    "{}}",
    "{} ",
    " {}",
    '{"a": 1}',
    '{"a":1,}',
    '{"b":1,"a":2}',
    '{"a":1,"a":1}',
    '{"a":01}',
    '{"a":-0}',
    '{"a":1.}',
    '{"a":.5}',
    '{"a":+1}',
    '{"a":1.50}',
    '{"a":1e5}',
    '{"a":1E-05}',
    '{"a":1e-5}',
    '{"a":1e16}',
    '{"a":0.00001}',
    '{"a":1e400}',
    '{"a":NaN}',
    '{"a":Infinity}',
    '{"a":-Infinity}',
    r'{"a":"\/"}',
    r'{"a":"\u0041"}',
    r'{"a":"\u000a"}',
    r'{"a":"\u001F"}',
    r'{"a":"\ud800"}',
    '{"a":"\n"}',
    r'{"a":"\ud83d\ude00"}',
    '{"a":1e+015}',
    '{"a":0.10000000000000001}',
    '{"\U0001f600":2,"\uffee":1}',
    '{"a":tru}',
    "{'a':1}",
    '{"a":1;}',
    f'{{"a":{"9" * 4301}}}',
    '{"a":' + "[" * 5000 + "]" * 5000 + "}",
    '{"a":' + "[" * 64 + "]" * 64 + "}",
    '{"a":100000000000000000.0}',
    '\ufeff{"a":1}',
    '{1:"a"}',
    '{"a" :1}',
]


def file_with_metadata(spelt: bytes) -> bytes:
    length = len(spelt)
    varint = bytearray()
    while length > 0x7F:
        varint.append(length & 0x7F | 0x80)
        length >>= 7
    return seal(b"DCZ\1\0" + bytes([*varint, length]) + spelt + b"\0" + bytes(8))


@needs_node
def test_metadata_has_one_spelling():
    files = [file_with_metadata(text.encode()) for text in (*ALLOWED, *REFUSED)]
    files += [file_with_metadata(b'{"a":"\xff"}'), file_with_metadata(b'{"a":"\xed\xa0\x80"}')]
    files += [file_with_metadata('{"a":1}'.encode("utf-16"))]
    answers = node_answers(files)
    for i, (data, answer) in enumerate(zip(files, answers, strict=True)):
        is_allowed = i < len(ALLOWED)
        assert ("error" not in answer) == is_allowed, [*ALLOWED, *REFUSED, "bytes"][i]
        assert (python_answer(data) is not None) == is_allowed, [*ALLOWED, *REFUSED, "bytes"][i]


@needs_node
def test_floats_are_spelt_as_in_python():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**64, 3000, dtype=np.uint64).view(np.float64)
    values = [*values[np.isfinite(values)], *(rng.normal(size=500) * 10.0 ** rng.integers(-8, 20, 500))]
    files = [
        file_with_metadata(json.dumps({"a": float(value)}, separators=(",", ":")).encode())
        for value in values
    ]
    for value, answer in zip(values, node_answers(files), strict=True):
        assert answer["metadata"] == {"a": value}


@needs_node
def test_names_are_in_natural_order():
    names = [
        "",
        "0",
        "1",
        "01",
        "9",
        "10",
        "a",
        "A",
        "a1b",
        "a01b",
        "a1b2",
        "a2",
        "a10",
        "ä",
        "重",
        "\U0001f600",
        "\uffee",
    ]
    from common.codec.container import natural_order

    order = [
        [(natural_order(a) > natural_order(b)) - (natural_order(a) < natural_order(b)) for b in names]
        for a in names
    ]
    text = json.dumps(names)
    assert node_value(f"{text}.map(a => {text}.map(b => Math.sign(DCZ.compareNames(a, b))))") == order


# --- codes that are worked out on both sides


@needs_node
def test_code_lengths_are_the_same():
    rng = np.random.default_rng(1)
    lists = [[], [0], [3], [0, 5, 0], [1, 1], [1] * 7, [1 << k for k in range(30)], [5, 5, 5, 1, 0, 5, 2]]
    lists += [rng.integers(0, 6, rng.integers(2, 60)).tolist() for _ in range(200)]
    lists += [(1.5 ** rng.integers(0, 60, rng.integers(2, 300))).astype(int).tolist() for _ in range(100)]
    expected = [code_lengths(np.array(counts, dtype=np.int64)).tolist() for counts in lists]
    assert node_value(f"{json.dumps(lists)}.map(counts => Array.from(DCZ.codeLengths(counts)))") == expected


@needs_node
def test_law_lengths_are_the_same():
    rng = np.random.default_rng(2)
    cases = [(1, 2, 3), (1, 2**33, 12), (2**33, 2**33, 4), (2**32, 2**33, 12), (1, 1, 1), (3, 32, 3)]
    for _ in range(300):
        n_cells = int(2.0 ** rng.uniform(0, 33))
        cases.append((max(1, int(n_cells * rng.random() ** 4)), n_cells, int(rng.integers(1, 13))))
    expected = [law_lengths(*case).tolist() for case in cases]
    assert any(max(lengths) == 15 for lengths in expected)
    assert node_value(f"{json.dumps(cases)}.map(c => Array.from(DCZ.lawLengths(...c)))") == expected


@needs_node
def test_checksums_are_the_standards():
    messages = [bytes(range(n % 256)) * (1 + n // 256) for n in (0, 1, 3, 127, 128, 129, 255, 1000)]
    expected = [hashlib.blake2b(message, digest_size=8).hexdigest() for message in messages]
    texts = json.dumps([message.hex() for message in messages])
    assert (
        node_value(f"{texts}.map(t => Buffer.from(DCZ.blake2b(Buffer.from(t, 'hex'))).toString('hex'))")
        == expected
    )
    assert (
        node_value("DCZ.crc32(Buffer.from('123456789'))") == 0xCBF43926
    )  # the check value of every CRC catalogue


@needs_node
def test_every_half_precision_number():
    values = np.arange(65536, dtype=np.uint16).view(np.float16).astype(float)
    found = node_value(
        "Array.from({length: 65536}, (_, i) => DCZ.fromFloat16(i)).map(x => Number.isFinite(x) ? x : 9e9)"
    )
    np.testing.assert_array_equal(found, np.where(np.isfinite(values), values, 9e9))


# --- damage


def damaged_files(n_files: int, seed: int) -> list[bytes]:
    """Files with one to three changes and every checksum made right again: what an attacker would send."""
    rng = np.random.default_rng(seed)
    sources = [path.read_bytes() for path in VECTORS if path.stem != "lanes"]
    sources += [save(tiny_model()), (ROOT / "capstone/lenet_5_small.dcz").read_bytes()]
    bodies = [
        (name, bytes(record[:-4]))
        for data in sources
        for name, record in read_layout(data)[1].items()
        if name.isascii() and 0 < len(name) < 128
    ]
    files = []
    for number in range(n_files):
        if number % 8 == 0:  # the file around the records
            data = sources[int(rng.integers(len(sources)))]
            head = len(data) - sum(len(record) for record in read_layout(data)[1].values()) - 8
            files.append(seal(changed(data[:head], rng) + data[head:]))
        else:
            name, body = bodies[int(rng.integers(len(bodies)))]
            # changes near the beginning, where sizes and codings are, as often as anywhere
            head = min(len(body), 40) if rng.random() < 0.5 else len(body)
            files.append(file_of(changed(body[:head], rng) + body[head:], name))
    return files


def changed(data: bytes, rng: np.random.Generator) -> bytes:
    """The data with one to three random changes."""
    data = bytearray(data or b"\0")
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(data)))
        match int(rng.integers(6)):
            case 0:
                data[at] = int(rng.integers(256))
            case 1:
                data[at] ^= 1 << int(rng.integers(8))
            case 2:
                del data[at : at + int(rng.integers(1, 5))]
            case 3:
                data[at:at] = data[at : at + int(rng.integers(1, 9))]
            case 4:
                data[at] = max(0, min(255, data[at] + int(rng.integers(-2, 3))))
            case _:
                data[at : at + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\x80\x80\x80\x01"])
        data = data or bytearray(b"\0")
    return bytes(data)


def compare_on_damage(n_files: int, seed: int) -> None:
    files = damaged_files(n_files, seed)
    n_refused = 0
    for data, answer in zip(files, node_answers(files, max_dense_bytes=LIMIT), strict=True):
        expected = python_answer(data, max_dense_bytes=LIMIT)
        assert answer.get("tensors") == expected, (answer, data.hex())
        n_refused += expected is None
    assert 0.5 * n_files < n_refused < 0.99 * n_files, "the damage is neither harmless nor always noticed"


@needs_node
def test_damaged_files_are_refused_alike():
    compare_on_damage(300, seed=0)


@needs_node
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_five_thousand_damaged_files_are_refused_alike(seed):
    compare_on_damage(1000, seed)


@needs_node
def test_a_flipped_bit_is_always_noticed():
    data = save(tiny_model())
    files = [data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :] for at in range(len(data))]
    assert all("error" in answer for answer in node_answers(files))


# --- the networks


@needs_node
@pytest.mark.parametrize(
    "path", [path for path in SHIPPED if "alexnet" not in path.name], ids=lambda path: path.stem
)
def test_networks_answer_as_in_torch(path):
    import torch

    from common.compress.packing import unpack

    model = unpack(load(path.read_bytes()))
    shape = (3, 32, 32) if "vgg" in path.name else (1, 28, 28)
    inputs = np.random.default_rng(0).normal(size=(2, math.prod(shape))).astype(np.float32)
    with torch.inference_mode():
        expected = model(torch.from_numpy(inputs).reshape(2, *shape)).numpy()
    logits = node_value(
        f"(() => {{ const bytes = new Uint8Array(require('fs').readFileSync({str(path)!r}));"
        "const net = DCZ.network(DCZ.load(bytes));"
        f"return {json.dumps(inputs.tolist())}"
        ".map(x => Array.from(DCZ.forward(net, Float32Array.from(x)))); })()"
    )
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@needs_node
def test_other_networks_are_refused():
    path = str(ROOT / "capstone/alexnet_cifar10.dcz")
    message = node_value(
        f"(() => {{ try {{ DCZ.network(DCZ.load(new Uint8Array(require('fs').readFileSync({path!r})))) }}"
        "catch (error) { return error.message } })()"
    )
    assert message.startswith('architecture: got "alexnet"')
