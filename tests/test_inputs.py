"""A table: files as people really have them × the commands that read them.

Each pair gives the right result, or one clear line and exit code 1; never a traceback, never half a file.
"""

import io
import json
import re
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import prune

from common import cli
from common.codec import container
from common.codec.container import CompressedModel
from common.codec.tensors import DenseTensor
from common.compress.state_files import State, compress_state
from common.networks.models import build

COMMANDS = {
    "inspect": ("inspect", "{file}"),
    "decompress": ("decompress", "{file}", "--out", "{out}.safetensors"),
    "compress": ("compress", "{file}", "--out", "{out}.dcz", "--clusters", "4"),
    "evaluate": ("evaluate", "{file}", "--dataset", "digits", "--first", "20", "--device", "cpu"),
}
OK = ""
NOT_DCZ = "not a .dcz file"
FOREIGN = {"embed.weight": (12, 8), "blocks.0.attn.weight": (24, 8), "norm.weight": (8,)}


def lenet(**options) -> dict[str, torch.Tensor]:
    return build("lenet_5", width=0.1, **options).state_dict()


def foreign() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in FOREIGN.items()}


def changed(name: str, value: float) -> dict[str, torch.Tensor]:
    state = lenet()
    state[name].view(-1)[0] = value
    return state


def pruned() -> dict[str, torch.Tensor]:
    model = build("lenet_5", width=0.1)
    for module in (model.conv1, model.fc1):
        prune.l1_unstructured(module, "weight", amount=0.5)
    return model.state_dict()


def safetensors(state):
    return lambda path: save_file({name: value.contiguous() for name, value in state().items()}, path)


def torch_file(content, **options):
    return lambda path: torch.save(content(), path, **options)


def raw(data: bytes):
    return lambda path: path.write_bytes(data)


def cut(make, share: float):
    def write(path):
        make(path)
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])

    return write


def archive(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("weights.npy", b"x")


def swelling(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/data.pkl", b"\0" * (8 << 20))


def pipeline_dcz(path):
    from common.compress.files import compress_file

    path.unlink(missing_ok=True)
    save_file(lenet(), path.with_name("for_dcz.safetensors"))
    compress_file(path.with_name("for_dcz.safetensors"), path, sparsity=0.5, clusters=4)


def state_dcz(state):
    return lambda path: container.save_file(compress_state(State(state())).model, path)


def dcz_about(about):
    tensor = DenseTensor(np.zeros(3, np.float16))
    return lambda path: container.save_file(CompressedModel({"a": tensor}, {"state": about}), path)


def flipped(path):
    pipeline_dcz(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def tied() -> dict[str, torch.Tensor]:
    state = foreign()
    return state | {"head.weight": state["embed.weight"]}


# name: (how it is made, and for inspect, decompress, compress, evaluate: OK, or what the line must say)
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
PAGE = b"<!DOCTYPE html>\n<html><body>404</body></html>"
NEAREST = "nearest is lenet_5: it "
TABLE = {
    "ok.safetensors": (safetensors(lenet), NOT_DCZ, NOT_DCZ, OK, OK),
    "OK.SAFETENSORS": (safetensors(lenet), NOT_DCZ, NOT_DCZ, OK, OK),
    "no_suffix": (safetensors(lenet), NOT_DCZ, NOT_DCZ, OK, OK),
    "state.pth": (torch_file(lenet), NOT_DCZ, NOT_DCZ, OK, OK),
    "state.PT": (torch_file(lenet), NOT_DCZ, NOT_DCZ, OK, OK),
    "legacy.pt": (torch_file(lenet, _use_new_zipfile_serialization=False), NOT_DCZ, NOT_DCZ, OK, OK),
    "checkpoint.pt": (torch_file(lambda: {"state_dict": lenet(), "epoch": 3}), NOT_DCZ, NOT_DCZ, OK, OK),
    "odd_entry.pt": (torch_file(lambda: {"mine": lenet(), "epoch": 3}), NOT_DCZ, NOT_DCZ, OK, OK),
    "two_entries.pt": (
        torch_file(lambda: {"a": lenet(), "b": lenet()}),
        *[NOT_DCZ] * 2,
        *["several state dicts"] * 2,
    ),
    "module.pth": (
        torch_file(lambda: nn.Linear(2, 2)),
        *[NOT_DCZ] * 2,
        *[r"torch\.load\('module\.pth', weights_only=False\); torch\.save\(model\.state_dict\(\)"] * 2,
    ),
    "list.pth": (torch_file(lambda: [1, 2]), NOT_DCZ, NOT_DCZ, *["no state dict but a list"] * 2),
    "empty_dict.pth": (torch_file(dict), NOT_DCZ, NOT_DCZ, *["holds no state dict"] * 2),
    "prefix.safetensors": (
        safetensors(lambda: {f"module.{n}": v for n, v in lenet().items()}),
        NOT_DCZ,
        NOT_DCZ,
        OK,
        OK,
    ),
    "compiled.pth": (
        torch_file(lambda: {f"_orig_mod.module.{n}": v for n, v in lenet().items()}),
        NOT_DCZ,
        NOT_DCZ,
        OK,
        OK,
    ),
    "counters.safetensors": (
        safetensors(lambda: build("vgg16", width=0.05).state_dict()),
        NOT_DCZ,
        NOT_DCZ,
        OK,
        OK,
    ),
    "torch_prune.pth": (torch_file(pruned), NOT_DCZ, NOT_DCZ, OK, OK),
    "nan.safetensors": (
        safetensors(lambda: changed("conv1.weight", float("nan"))),
        NOT_DCZ,
        NOT_DCZ,
        r"conv1\.weight.* NaN",
        "gives NaN or infinity for 20 of 20 images of digits",
    ),
    "inf.safetensors": (
        safetensors(lambda: changed("fc1.weight", float("inf"))),
        NOT_DCZ,
        NOT_DCZ,
        r"fc1\.weight",
        "gives NaN or infinity for 2?[0-9] of 20 images",
    ),
    "nan_bias.pth": (
        torch_file(lambda: changed("conv1.bias", float("nan"))),
        NOT_DCZ,
        NOT_DCZ,
        r"conv1\.bias holds 1 NaN",
        "gives NaN or infinity for 20 of 20 images of digits",
    ),
    "big_bias.safetensors": (
        safetensors(lambda: changed("conv1.bias", 1e6)),
        NOT_DCZ,
        NOT_DCZ,
        r"conv1\.bias holds 1e\+06, beyond float16's largest value 65504",
        OK,
    ),
    "big_weight.safetensors": (
        safetensors(lambda: changed("conv1.weight", 1e30)),
        NOT_DCZ,
        NOT_DCZ,
        r"conv1\.weight holds 1e\+30, beyond float16's largest value 65504",
        OK,
    ),
    "int8.safetensors": (
        safetensors(lambda: {n: (100 * v).to(torch.int8) for n, v in lenet().items()}),
        NOT_DCZ,
        NOT_DCZ,
        *["int8 numbers, which are weights only with a scale"] * 2,
    ),
    **{
        f"{name}.safetensors": (
            safetensors(lambda dtype=dtype: {n: v.to(dtype) for n, v in lenet().items()}),
            NOT_DCZ,
            NOT_DCZ,
            OK,
            OK,
        )
        for name, dtype in (
            ("float16", torch.float16),
            ("bfloat16", torch.bfloat16),
            ("float64", torch.float64),
            ("float8", torch.float8_e4m3fn),
        )
    },
    "lacking.safetensors": (
        safetensors(lambda: {n: v for n, v in lenet().items() if n != "conv1.bias"}),
        NOT_DCZ,
        NOT_DCZ,
        OK,
        f"{NEAREST}lacks conv1.bias",
    ),
    "extra.safetensors": (
        safetensors(lambda: lenet() | {"fc4.bias": torch.zeros(3)}),
        NOT_DCZ,
        NOT_DCZ,
        OK,
        f"{NEAREST}has also fc4.bias",
    ),
    "odd_shape.safetensors": (
        safetensors(lambda: lenet() | {"fc2.bias": torch.zeros(())}),
        NOT_DCZ,
        NOT_DCZ,
        OK,
        r"fc2\.bias has shape \(\)",
    ),
    "foreign.pth": (torch_file(foreign), NOT_DCZ, NOT_DCZ, OK, "embed.weight, .*no network of ours"),
    "tied.pth": (torch_file(tied), NOT_DCZ, NOT_DCZ, OK, "no network of ours"),
    "7_classes.pth": (
        torch_file(lambda: lenet(num_classes=7)),
        NOT_DCZ,
        NOT_DCZ,
        OK,
        "the network has 7 classes, digits has 10",
    ),
    "100_classes.pth": (
        torch_file(lambda: lenet(num_classes=100)),
        NOT_DCZ,
        NOT_DCZ,
        OK,
        "the network has 100 classes, digits has 10",
    ),
    "constant.pth": (
        torch_file(lambda: {n: torch.full_like(v, 0.25) for n, v in lenet().items()}),
        NOT_DCZ,
        NOT_DCZ,
        OK,
        OK,
    ),
    "zeros.pth": (
        torch_file(lambda: {n: torch.zeros_like(v) for n, v in lenet().items()}),
        NOT_DCZ,
        NOT_DCZ,
        OK,
        OK,
    ),
    "sparse.pth": (
        torch_file(lambda: {"w.weight": torch.eye(3).to_sparse()}),
        NOT_DCZ,
        NOT_DCZ,
        *["w.weight is sparse"] * 2,
    ),
    "complex.pth": (
        torch_file(lambda: {"w.weight": torch.zeros(3, 3, dtype=torch.complex64)}),
        NOT_DCZ,
        NOT_DCZ,
        *["w.weight is complex64: expected real numbers"] * 2,
    ),
    "stretched.pth": (
        torch_file(lambda: {"w.weight": torch.zeros(1).expand(1 << 16, 1 << 16)}),
        NOT_DCZ,
        NOT_DCZ,
        *["4,294,967,296 weights: expected at most"] * 2,
    ),
    "no_tensor.safetensors": (safetensors(dict), NOT_DCZ, NOT_DCZ, *["holds no tensor"] * 2),
    "empty.safetensors": (raw(b""), *["is empty"] * 4),
    "empty.dcz": (raw(b""), *["is empty"] * 4),
    "pointer.safetensors": (raw(LFS), *["Git LFS pointer.*git lfs pull"] * 4),
    "pointer.dcz": (raw(LFS), *["Git LFS pointer.*git lfs pull"] * 4),
    "page.pth": (raw(PAGE), *["is a web page"] * 4),
    "page.dcz": (raw(b"\n  " + PAGE), *["is a web page"] * 4),
    "graph.onnx": (raw(b"\x08\x07\x12\x07pytorch"), *["ONNX graph"] * 4),
    "model.h5": (raw(b"\x89HDF\r\n\x1a\n"), *["HDF5"] * 4),
    "model.gguf": (raw(b"GGUF\x03\0\0\0"), *["GGUF"] * 4),
    "array.npy": (raw(b"\x93NUMPY\x01\0"), *["NumPy array"] * 4),
    "noise.bin": (raw(b"\x01\x02\x03noise" * 9), *["it begins with b'"] * 4),
    "arrays.npz": (archive, NOT_DCZ, NOT_DCZ, *["not one of torch.save"] * 2),
    "bomb.pth": (swelling, NOT_DCZ, NOT_DCZ, *["swells"] * 2),
    "cut.safetensors": (cut(safetensors(lenet), 0.5), NOT_DCZ, NOT_DCZ, *["not a safetensors file"] * 2),
    "cut.pth": (cut(torch_file(lenet), 0.5), NOT_DCZ, NOT_DCZ, *["damaged archive"] * 2),
    "cut_legacy.pt": (
        cut(torch_file(lenet, _use_new_zipfile_serialization=False), 0.5),
        NOT_DCZ,
        NOT_DCZ,
        *["damaged"] * 2,
    ),
    "pipeline.dcz": (pipeline_dcz, OK, OK, OK, OK),
    "PIPELINE.DCZ": (pipeline_dcz, OK, OK, OK, OK),
    "by_name.dcz": (state_dcz(lenet), OK, OK, OK, OK),
    "foreign.dcz": (state_dcz(foreign), OK, OK, OK, "no network of ours"),
    "cut.dcz": (cut(pipeline_dcz, 0.5), *[r"cut\.dcz: "] * 4),
    "flipped.dcz": (flipped, *["digest"] * 4),
    "odd_alias.dcz": (dcz_about({"aliases": {"b": "c"}}), OK, *["an alias of no tensor"] * 3),
    "alias_of_itself.dcz": (dcz_about({"aliases": {"a": "a"}}), OK, *["an alias of no tensor"] * 3),
    "odd_dtype.dcz": (dcz_about({"float": "float4"}), OK, *["an unknown dtype"] * 3),
    "dtype_of_none.dcz": (dcz_about({"dtypes": {"z": "float16"}}), OK, *["a dtype of no tensor"] * 3),
    "odd_state.dcz": (dcz_about([]), OK, *["state is not an object"] * 3),
}
ROWS = [
    pytest.param(name, command, expected, id=f"{command}-{name}")
    for name, (_, *answers) in TABLE.items()
    for command, expected in zip(COMMANDS, answers, strict=True)
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """The file of a name, made once."""
    folder, made = tmp_path_factory.mktemp("inputs"), set()

    def path_of(name: str):
        path = folder / name
        if name not in made:
            TABLE[name][0](path)
            made.add(name)
        return path

    return path_of


def run(capsys, words) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    code = 0
    try:
        cli.main(list(words))
    except SystemExit as stop:
        code = stop.code or 0
    return code, *capsys.readouterr()


def test_the_table_is_long_enough():
    assert len(ROWS) >= 120


@pytest.mark.parametrize(("name", "command", "expected"), ROWS)
def test_right_or_refused_in_one_line(capsys, tmp_path, monkeypatch, inputs, name, command, expected):
    monkeypatch.chdir(tmp_path)
    words = [w.format(file=inputs(name), out=tmp_path / "made") for w in COMMANDS[command]]
    code, out, err = run(capsys, words)
    written = sorted(path.name for path in tmp_path.iterdir())
    if expected == OK:
        assert code == 0, err
        assert out.strip()
        assert all(line.startswith("note: ") for line in err.splitlines()), err
        output = {"decompress": ["made.safetensors"], "compress": ["made.dcz"]}
        assert written == output.get(command, [])
    else:
        assert (code, out, written) == (1, "", []), err
        assert err.startswith("dnnc: ")
        assert err.count("\n") == 1
        assert re.search(expected, err), err
        assert name in err, "the line names the file"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sparsity", "many"], "expected a fraction such as 0.9, or 'conv*=0.95'"),
        (["--sparsity", "conv*=2"], "sparsity=2.0: expected a fraction in [0, 1)"),
        (["--sparsity", "0.5", "--sparsity", "0.6"], "--sparsity: got 2 for all tensors"),
        (["--sparsity", "nan"], "sparsity=nan: expected a fraction in [0, 1)"),
        (["--keep", "nothing.*"], "'nothing.*' fits no tensor's name"),
        (["--criterion", "l7"], "criterion='l7': expected one of"),
        (["--epochs", "1"], "common.compress.compress takes any module"),
        (["--ratio", "20"], "common.compress.compress takes any module"),
        (["--ratio", "20", "--keep", "*norm*"], "do not go with --keep"),
    ],
)
def test_options_that_do_not_fit_a_foreign_network(capsys, tmp_path, monkeypatch, inputs, words, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, ["compress", str(inputs("foreign.pth")), "--out", "x.dcz", *words])
    assert (code, out, err.count("\n"), list(tmp_path.iterdir())) == (1, "", 1, [])
    assert message in err


def test_json_is_json_and_tells_what_stayed_dense(capsys, tmp_path, monkeypatch, inputs):
    monkeypatch.chdir(tmp_path)
    words = ["compress", str(inputs("foreign.pth")), "--out", "x.dcz", "--keep", "embed*", "--json"]
    code, out, _ = run(capsys, [*words, "--sparsity", "0.5", "--sparsity", "blocks.*=0.75"])
    assert code == 0
    figures = json.loads(out, parse_constant=lambda word: pytest.fail(word))
    assert figures["dense"] == {"embed.weight": "kept by 'embed*'", "norm.weight": "one axis"}
    assert figures["asked_sparsity"] == 0.5
    kept = {layer["name"]: layer["n_kept"] for layer in figures["layers"]}
    assert kept == {"embed.weight": 96, "blocks.0.attn.weight": 48, "norm.weight": 8}


def test_a_layer_pruned_empty_is_told(capsys, tmp_path, monkeypatch, inputs):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, ["compress", str(inputs("constant.pth")), "--out", "x.dcz"])
    assert code == 0
    assert "asked for: 90.00%" in out
    assert "note: every layer is pruned empty" in err or "note: pruned empty: " in err


def test_what_was_changed_on_the_way_is_told(capsys, tmp_path, monkeypatch, inputs):
    monkeypatch.chdir(tmp_path)
    for name, words in {
        "compiled.pth": ("the prefix '_orig_mod.'", "the prefix 'module.'"),
        "torch_prune.pth": ("2 masks of torch.nn.utils.prune were multiplied in",),
        "checkpoint.pt": ("its entry 'state_dict' was taken",),
        "lacking.safetensors": (f"{NEAREST}lacks conv1.bias",),
        "tied.pth": ("1 tied tensors are stored once",),
    }.items():
        _, _, err = run(capsys, ["compress", str(inputs(name)), "--out", "x.dcz", "--force"])
        assert all(word in err for word in words), (name, err)


def test_a_terminal_without_the_letters(inputs, tmp_path, monkeypatch, capsys):
    """What cannot be printed is replaced, and the exit code speaks of the work."""
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdout", plain)
    cli_code = 0
    try:
        cli.main(["compress", str(inputs("foreign.pth")), "--out", "x.dcz"])
    except SystemExit as stop:
        cli_code = stop.code or 0
    plain.flush()
    assert cli_code == 0
    assert b"? smaller than float32" in plain.buffer.getvalue()
