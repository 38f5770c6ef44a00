"""Files and paths that mean ill, or merely come unlucky: one clear line, and nothing half-written."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import save_file
from tiny_container import tiny_model

from common import cli
from common.cli import device_name, input_file, output_file, weights_file
from common.codec import container
from common.networks.checkpoints import save_weights
from common.networks.models import build


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Defaults point into a temporary folder."""
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)


def refusal(capsys, folder, *words) -> str:
    """The one line with which a command refuses; it leaves the folder as it was."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(SystemExit) as stop:
        cli.main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert stop.value.code == 1
    assert out == ""
    assert err.startswith("dnnc: ")
    assert err.count("\n") == 1
    assert err.rstrip("\n").isprintable()
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    return err


def answer(capsys, *words) -> str:
    """What a command prints that does its work."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(word) for word in words])
    assert not stop.value.code
    return capsys.readouterr().out


def lenet_tensors() -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in build("lenet_300_100", width=0.1).state_dict().items()}


@pytest.mark.parametrize("command", ["inspect", "decompress", "evaluate"])
def test_a_truncated_container(capsys, tmp_path, command):
    container.save_file(tiny_model(), tmp_path / "t.dcz")
    data = (tmp_path / "t.dcz").read_bytes()
    for length in (0, 2, 3, 5, len(data) // 2, len(data) - 1):
        (tmp_path / "t.dcz").write_bytes(data[:length])
        assert "t.dcz" in refusal(capsys, tmp_path, command, "t.dcz")


@pytest.mark.parametrize("command", ["inspect", "decompress", "evaluate"])
def test_a_container_of_a_terabyte_takes_no_memory(capsys, tmp_path, command):
    with open(tmp_path / "t.dcz", "wb") as file:
        file.write(b"DCZ\x01")
        file.truncate(1 << 40)
    assert "size: got 1099511627776 bytes" in refusal(capsys, tmp_path, command, "t.dcz")


@pytest.mark.parametrize("command", ["decompress", "evaluate"])
def test_a_container_of_no_network_of_ours(capsys, tmp_path, command):
    container.save_file(tiny_model(), tmp_path / "t.dcz")
    assert "unknown network 'tiny'" in refusal(capsys, tmp_path, command, "t.dcz")
    model = container.CompressedModel({}, {"architecture": "lenet_5", "num_classes": 10**9})
    container.save_file(model, tmp_path / "t.dcz")
    assert "num_classes is 1000000000" in refusal(capsys, tmp_path, command, "t.dcz")
    assert "t.dcz: " in refusal(capsys, tmp_path, "inspect", "t.dcz")


def test_names_cannot_steer_the_terminal(capsys, tmp_path):
    tensor = next(iter(tiny_model().tensors.values()))
    model = container.CompressedModel({"a|b\nc\x1b[2J": tensor})
    container.save_file(model, "odd\n\x1b[31m.dcz")
    out = answer(capsys, "inspect", "odd\n\x1b[31m.dcz")
    assert r"a\|b\nc\x1b[2J" in out
    assert out.replace("\n", "").isprintable()
    (tmp_path / "odd\n\x1b[31m.dcz").write_bytes(b"DCZ")
    assert r"odd \x1b[31m.dcz: file" in refusal(capsys, tmp_path, "inspect", "odd\n\x1b[31m.dcz")


def test_a_file_name_of_stray_bytes_is_shown(capsys, tmp_path):
    name = os.fsdecode(b"\xff.dcz")
    words = ("compress", "lenet_5", "--sparsity", 0.99, "--out", name)
    assert answer(capsys, *words).startswith(r"\udcff.dcz: ")
    assert json.loads(answer(capsys, *words, "--force", "--json"))["file"] == name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fc3.bias": np.zeros((), np.float32)}, r"tensor fc3.bias has shape ()"),
        ({"fc3.bias": np.zeros(0, np.float32)}, r"tensor fc3.bias has shape (0,)"),
        ({"fc1.weight": np.zeros((30, 0), np.float32)}, r"tensor fc1.weight has shape (30, 0)"),
        ({"fc3.bias": np.zeros(11, np.float32)}, "lenet_300_100 has no width"),
        ({"fc4.bias": np.zeros(10, np.float32)}, "the nearest is lenet_300_100: it has also fc4.bias"),
        ({"a\nb\x1b[2J": np.zeros(10, np.float32)}, r"it has also a b\x1b[2J"),
    ],
)
def test_safetensors_of_odd_shapes_and_names(capsys, tmp_path, change, message):
    save_file(lenet_tensors() | change, tmp_path / "t.safetensors")
    assert message in refusal(capsys, tmp_path, "evaluate", "t.safetensors")
    assert message in refusal(capsys, tmp_path, "compress", "t.safetensors", "--epochs", 1)
    assert answer(capsys, "compress", "t.safetensors").startswith("t.dcz: "), (
        "names are enough to compress it"
    )


def test_safetensors_that_are_none(capsys, tmp_path):
    save_file(lenet_tensors(), tmp_path / "t.safetensors")
    data = (tmp_path / "t.safetensors").read_bytes()
    endless = (1 << 62).to_bytes(8, "little") + data[8:]
    for content in (b"", data[:7], data[:100], data[:-1], data + b"more", endless):
        (tmp_path / "t.safetensors").write_bytes(content)
        message = refusal(capsys, tmp_path, "compress", "t.safetensors")
        expected = "t.safetensors is not a safetensors file" if content else "t.safetensors is empty"
        assert expected in message


def test_a_set_with_more_classes_than_the_network(capsys, tmp_path):
    save_weights(build("lenet_300_100", num_classes=3, width=0.1), tmp_path / "t.safetensors")
    expected = "the network has 3 classes, digits has 10"
    for words in (("evaluate", "t.safetensors"), ("compress", "t.safetensors", "--epochs", 1)):
        assert expected in refusal(capsys, tmp_path, *words, "--dataset", "digits")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("cannot allocate 9 TB"),
        RuntimeError("CUDA out of memory. Tried to allocate 9 TB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 TB"),
    ],
)
def test_not_enough_memory_is_one_line(capsys, tmp_path, monkeypatch, error):
    def greedy(*_, **__):
        raise error

    monkeypatch.setattr("common.compress.files.compress_file", greedy)
    assert refusal(capsys, tmp_path, "compress", "lenet_5").startswith(f"dnnc: not enough memory: {error}")


def test_a_bug_keeps_its_traceback(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("common.compress.files.compress_file", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        cli.main(["compress", "lenet_5"])


def test_paths_are_checked_before_any_work(tmp_path, monkeypatch):
    file, pipe = tmp_path / "file", tmp_path / "pipe"
    file.write_text("x")
    os.mkfifo(pipe)
    assert input_file(file) == output_file(file, force=True) == file
    assert weights_file(tmp_path / "new/w.safetensors").parent.is_dir()
    with pytest.raises(FileNotFoundError, match="file not found"):
        input_file(tmp_path / "missing")
    for path in (pipe, tmp_path):
        with pytest.raises(OSError, match="is not a regular file"):
            input_file(path)
        with pytest.raises(ValueError, match="is not a regular file"):
            output_file(path, force=True)
    with pytest.raises(FileExistsError):
        weights_file(file / "w.safetensors")
    monkeypatch.setattr(cli.os, "access", lambda path, mode: False)  # root may everything
    with pytest.raises(PermissionError, match="file may not be read"):
        input_file(file)
    with pytest.raises(PermissionError, match="may not be written: choose another --out"):
        output_file(tmp_path / "new.dcz", force=False)


def test_devices_are_those_that_are_there(monkeypatch):
    assert [device_name(name) for name in (None, "cpu", "cpu:0")] == [None, "cpu", "cpu:0"]
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [device_name(name) for name in ("cuda", "cuda:1")] == ["cuda", "cuda:1"]
    for name in ("cuda:2", "tpu", "meta", ""):
        with pytest.raises(ValueError, match=r"expected cpu or cuda \(2 there\)"):
            device_name(name)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="there is no GPU"):
        device_name("cuda")


def test_an_interrupt_while_a_file_is_written_leaves_the_old_one(capsys, tmp_path):
    (tmp_path / "out.safetensors").write_bytes(b"precious")
    save_weights(build("lenet_300_100", width=0.1), tmp_path / "w.safetensors")
    answer(capsys, "compress", "w.safetensors", "--out", "w.dcz")
    code = (
        "import time, sys\nfrom common import cli\nfrom common.networks import checkpoints\n"
        "def slowly(state, target):\n"
        "    target.write_bytes(b'half'); print('writing', flush=True); time.sleep(60)\n"
        "checkpoints.save_file = slowly\n"
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # else a background job's
        "cli.main(['decompress', 'w.dcz', '--out', 'out.safetensors', '--force'])\n"
    )
    command = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert command.stdout.readline() == "writing\n"
    time.sleep(0.1)
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=60)
    assert command.returncode in (1, 130)  # as typer's version has it
    assert out == ""
    assert err.strip() in ("Aborted!", "dnnc: stopped")
    assert (tmp_path / "out.safetensors").read_bytes() == b"precious"
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"out.safetensors", "w.safetensors", "w.dcz"}


def test_a_reader_that_goes_away_is_no_traceback(tmp_path):
    container.save_file(tiny_model(), tmp_path / "t.dcz")
    line = f"{sys.executable} -m common inspect t.dcz | true"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
