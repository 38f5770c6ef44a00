"""`dnnc export` from the shell: what it writes, what it refuses, and the limit on memory."""

import json
import re
import sys
from pathlib import Path

import pytest

from common import cli
from common.codec.container import MAX_DENSE_BYTES
from common.deploy.web_page import PAGE, export_web

ROOT = Path(__file__).resolve().parents[2]
LENET, VGG = ROOT / "capstone/lenet_5_small.dcz", ROOT / "capstone/vgg16_cifar10_small.dcz"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def dnnc(capsys, *arguments) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    code = 0
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code or 0
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_header(capsys):
    code, out, err = dnnc(capsys, "export", LENET, "--c", "net.h")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"net\.h: [0-9,]+ bytes\n", out)
    assert "net_classify(const uint8_t *pixels)" in Path("net.h").read_text()


def test_an_onnx_file(capsys):
    pytest.importorskip("onnx", reason="onnx is not installed (extra: export)")
    code, _, err = dnnc(capsys, "export", LENET, "--onnx", "net.onnx")
    assert (code, err) == (0, "")
    assert 0 < Path("net.onnx").stat().st_size < 100_000


def test_a_page_with_the_courses_networks_and_one_with_another(capsys):
    code, out, err = dnnc(capsys, "export", "--web", "page")
    assert (code, err) == (0, "")
    assert "open it in a browser" in out
    assert sorted(path.name for path in Path("page").iterdir()) == sorted(
        [*(path.name for path in PAGE.iterdir()), "networks.js"]
    )
    assert '"name": "vgg16_cifar10_small.dcz"' in Path("page/networks.js").read_text()
    code, _, err = dnnc(capsys, "export", LENET, "--web", "page")
    assert (code, err) == (1, "dnnc: page is not empty: choose another folder, or add --force\n")
    code, _, err = dnnc(capsys, "export", LENET, "--web", "page", "--force")
    assert (code, err) == (0, "")
    script = Path("page/networks.js").read_text()
    networks = json.loads(re.sub(r",\n}", "\n}", script[script.index("{\n") : -2]))
    assert networks["digits"]["name"] == "lenet_5_small.dcz"
    assert networks["pictures"]["classes"][3] == "cat"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([LENET], "expected one of --onnx FILE, --c FILE, --web FOLDER"),
        ([LENET, "--c", "x.h", "--onnx", "x.onnx"], "expected one of --onnx FILE, --c FILE, --web FOLDER"),
        ([LENET, "--c", "x.h", "--int8"], "--int8 and --dense belong to --onnx"),
        (["--c", "x.h"], "got 0 files, expected one .dcz file"),
        ([LENET, VGG, "--c", "x.h"], "got 2 files, expected one .dcz file"),
        ([VGG, "--c", "x.h"], "'vgg16': C is written for lenet_300_100 and lenet_5 only"),
        (["missing.dcz", "--c", "x.h"], "missing.dcz"),
        ([ROOT / "README.md", "--c", "x.h"], "DCZ"),
        ([LENET, "--c", "nowhere/x.h"], "nowhere"),
        ([LENET, LENET, "--web", "page"], "are both for digits: give one of them"),
        (
            [ROOT / "capstone/alexnet_cifar10.dcz", "--web", "page"],
            "holds alexnet, the page runs lenet_300_100",
        ),
        ([ROOT / "tests/data/tiny.dcz", "--web", "page"], "tiny.dcz"),
        ([LENET, "--c", "x.h", "--max-dense-bytes", "10000"], "raise max_dense_bytes"),
        ([LENET, "--web", "page", "--max-dense-bytes", "10000"], "raise max_dense_bytes"),
    ],
)
def test_errors_are_one_line_and_nothing_is_written(capsys, arguments, message):
    code, out, err = dnnc(capsys, "export", *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("dnnc: ")
    assert err.count("\n") == 1
    assert message in err
    assert not [path for path in Path().iterdir() if path.is_file() or any(path.iterdir())]


def test_without_onnx_it_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    code, _, err = dnnc(capsys, "export", LENET, "--onnx", "x.onnx")
    assert (code, err) == (1, "dnnc: this export needs onnx: pip install onnx onnxruntime\n")
    assert not Path("x.onnx").exists()


def test_every_command_that_reads_a_file_has_the_limit(capsys):
    assert cli.MAX_DENSE_BYTES == MAX_DENSE_BYTES
    commands = (
        ["inspect", VGG],
        ["decompress", VGG, "--out", "x.safetensors"],
        ["evaluate", VGG, "--dataset", "digits"],
    )
    for command in commands:
        code, out, err = dnnc(capsys, *command, "--max-dense-bytes", 59_000_000)
        assert (code, out) == (1, ""), command
        assert re.search(r"bytes of memory, expected at most \d+; raise max_dense_bytes\n$", err), err
    code, out, err = dnnc(capsys, "inspect", LENET, "--max-dense-bytes", 4_000_000)
    assert (code, err) == (0, "")


def test_a_failed_write_leaves_no_half_page(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="no space left"):
        export_web([], tmp_path / "page")
    assert list((tmp_path / "page").iterdir()) == []
