"""The command line: what it prints, what it writes, and how it fails."""

import json
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from common import cli
from common.capstone.run import CapstoneResult, Part, Profile
from common.codec import container
from common.codec.container import load
from common.experiments import Outcome
from common.networks.checkpoints import save_weights
from common.networks.models import build

COMMANDS = (
    "study",
    "train",
    "compress",
    "decompress",
    "inspect",
    "evaluate",
    "export",
    "capstone",
    "reproduce",
    "bench",
    "doctor",
)
GROUPS = ("attendance", "members", "course")  # of commands, each with its own help


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Defaults point into a temporary folder."""
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)


def dnnc(capsys, *arguments) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    code = 0
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code or 0
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "lenet.safetensors"
    save_weights(build("lenet_300_100"), path)
    return path


def test_help_lists_every_command_with_an_example(capsys):
    code, out, _ = dnnc(capsys, "--help")
    assert code == 0
    listed = [line.split()[0] for line in out.partition("Commands:")[2].splitlines() if line.strip()]
    assert tuple(listed) == COMMANDS + GROUPS
    commands = list(COMMANDS)
    for group in GROUPS:
        _, out, _ = dnnc(capsys, group, "--help")
        lines = [line for line in out.partition("Commands:")[2].splitlines() if line.strip()]
        commands += [f"{group} {line.split()[0]}" for line in lines]
    assert len(commands) > len(COMMANDS) + len(GROUPS)
    for command in commands:
        code, out, _ = dnnc(capsys, *command.split(), "--help")
        assert code == 0
        assert f"Example: dnnc {command}" in out


def test_help_does_not_wait_for_torch():
    code = "import sys, common.cli; print([m for m in ('torch', 'numpy', 'numba') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_inspect_imports_nothing_that_it_does_not_need():
    code = (
        "import sys; from common.cli import main\n"
        "unneeded = {'torch', 'scipy.linalg', 'cffi', 'coverage'}\n"
        "try: main(['inspect', sys.argv[1], '--json'])\n"
        "except SystemExit: print([name for name in unneeded if name in sys.modules])"
    )
    file = Path(__file__).parents[1] / "capstone/lenet_5_small.dcz"
    run = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    *report, loaded = run.stdout.strip().splitlines()
    assert json.loads("\n".join(report))["file_bytes"] == file.stat().st_size
    assert loaded == "[]"


def test_it_runs_as_a_module_too():
    command = [sys.executable, "-m", "common", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "decompress" in done.stdout


def test_train_compress_inspect_decompress_evaluate(capsys, tmp_path):
    trained = tmp_path / "t.safetensors"
    code, out, _ = dnnc(
        capsys, "train", "lenet_300_100", "--dataset", "digits", "--epochs", 1, "--out", trained, "--json"
    )
    assert code == 0
    figures = json.loads(out)
    assert (tmp_path / "t.json").exists()
    assert (tmp_path / "runs/lenet_300_100_digits/baseline.pt").exists()

    code, out, _ = dnnc(capsys, "evaluate", trained, "--dataset", "digits", "--json")
    assert code == 0
    assert json.loads(out) == {
        "file": str(trained),
        "dataset": "digits",
        "split": "test",
        "top1": figures["top1"],
        "loss": figures["loss"],
        "n": 1000,
    }

    code, out, _ = dnnc(
        capsys,
        "compress",
        trained,
        "--sparsity",
        0.8,
        "--clusters",
        16,
        "--share-epochs",
        1,
        "--dataset",
        "digits",
        "--out",
        "t.dcz",
    )
    assert code == 0
    assert out.startswith("t.dcz: ")
    n_bytes = (tmp_path / "t.dcz").stat().st_size
    assert f"{n_bytes:,} bytes" in out
    tensors = load((tmp_path / "t.dcz").read_bytes()).tensors
    n_weights = sum(tensor.n_weights for tensor in tensors.values() if len(tensor.shape) == 2)
    n_kept = sum(tensor.n_kept for tensor in tensors.values() if len(tensor.shape) == 2)
    assert n_kept == round(0.2 * n_weights)

    code, out, _ = dnnc(capsys, "inspect", "t.dcz", "--json")
    assert code == 0
    report = json.loads(out)
    assert sum(report["bytes_by_kind"].values()) == n_bytes
    code, out, _ = dnnc(capsys, "inspect", "t.dcz")
    assert code == 0
    assert "fc1.weight" in out

    code, out, _ = dnnc(capsys, "decompress", "t.dcz")
    assert code == 0
    decoded = load_file(tmp_path / "t_decoded.safetensors")
    assert np.count_nonzero(decoded["fc1.weight"]) <= tensors["0"].n_kept
    assert np.unique(decoded["fc1.weight"]).size <= 17

    measured = [
        json.loads(dnnc(capsys, "evaluate", name, "--dataset", "digits", "--json")[1])
        for name in ("t.dcz", "t_decoded.safetensors")
    ]
    assert measured[0]["top1"] == measured[1]["top1"] > 0.5


def test_a_network_by_name_needs_no_weights(capsys, tmp_path):
    code, out, _ = dnnc(capsys, "compress", "lenet_5", "--sparsity", 0.92, "--json")
    assert code == 0
    report = json.loads(out)
    assert report["dense_bytes"] == 4 * 431_080
    assert report["file_bytes"] == (tmp_path / "lenet_5.dcz").stat().st_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compress", "nosuch"), "nosuch is not a file, nor a network"),
        (("compress", "lenet.safetensors", "--sparsity", "1.5"), "sparsity=1.5"),
        (("compress", "lenet.safetensors", "--criterion", "size"), "criterion='size'"),
        (("compress", "lenet.safetensors", "--point", "huge"), "no operating point 'huge'"),
        (("compress", "lenet.safetensors", "--point", "vgg16_cifar10"), "operating points are for vgg16"),
        (("compress", "lenet.safetensors", "--out", "nowhere/x.dcz"), "nowhere is not a folder"),
        (("compress", "garbage.safetensors"), "garbage.safetensors is not a safetensors file"),
        (("decompress", "broken.dcz"), "broken.dcz"),
        (("decompress", "nosuch.dcz"), "nosuch.dcz"),
        (("inspect", "broken.dcz"), "broken.dcz is not a .dcz file: it begins with"),
        (("inspect", "nosuch.dcz"), "nosuch.dcz"),
        (("evaluate", "lenet.safetensors", "--dataset", "imagenet"), "imagenet"),
        (("evaluate", "lenet.safetensors", "--dataset", "digits8x8"), "digits8x8"),
        (("evaluate", "lenet.safetensors", "--device", "tpu"), "device 'tpu'"),
        (("evaluate", "notes.txt"), "notes.txt is not a .dcz, .safetensors or torch.save file"),
        (("inspect", "."), ". is not a regular file"),
        (("decompress", "/dev/zero"), "/dev/zero is not a regular file"),
        (("inspect", "/dev/zero"), "/dev/zero is not a regular file"),
        (("evaluate", "."), ". is not a file, nor a network"),
        (("compress", "lenet_5", "--out", "."), ". is not a regular file"),
        (("compress", "lenet_5", "--out", "/dev/null", "--force"), "/dev/null is not a regular file"),
        (("decompress", "tiny.dcz", "--out", "notes.txt"), "notes.txt exists"),
        (("decompress", "tiny.dcz", "--out", "folder", "--force"), "folder is not a regular file"),
        (("train", "resnet"), "no recipe for 'resnet'"),
        (("train", "lenet_5", "--dataset", "cifar10", "--out", "model.json"), "ends in '.json'"),
        (("train", "lenet_5", "--start", "nosuch.safetensors"), "file not found: nosuch.safetensors"),
        (("capstone", "--profile", "quick"), "expected one of full, cpu, offline, test"),
        (("capstone", "--profile", "offline", "--folder", "nowhere"), "no stored results at"),
        (("reproduce", "resnet"), "expected one of"),
    ],
)
def test_errors_are_one_line(capsys, tmp_path, weights, arguments, message):
    (tmp_path / "broken.dcz").write_bytes(b"not a container")
    (tmp_path / "garbage.safetensors").write_bytes(b"not safetensors")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "folder").mkdir()
    container.save_file(container.CompressedModel({}), tmp_path / "tiny.dcz")
    before = set(tmp_path.rglob("*"))
    code, out, err = dnnc(capsys, *arguments)
    assert code == 1
    lines = err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("dnnc: ")
    assert message in lines[0]
    assert "Traceback" not in out + err
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("start", [None, "lenet.safetensors"])
def test_only_the_recipe_from_scratch_replaces_the_shipped_baseline(capsys, monkeypatch, weights, start):
    asked = []

    def train_baseline(network, **how):
        asked.append(how)
        return {"top1": 0.5, "n_test": 10}

    monkeypatch.setattr("common.networks.baseline.train_baseline", train_baseline)
    assert dnnc(capsys, "train", "vgg16", *(() if start is None else ("--start", start)))[0] == 0
    ((how,), shipped) = asked, cli.ROOT / "capstone" / "vgg16_cifar10.safetensors"
    assert how["start"] == (start and Path(start))
    assert (how["weights"] == shipped) is (start is None)
    assert (how["result"].name == "baseline.json") is (start is None)


def test_wrong_usage_exits_with_2(capsys):
    for arguments in (("nosuch",), ("train", "lenet_5", "--epochs", "-1"), ("inspect",)):
        code, _, err = dnnc(capsys, *arguments)
        assert code == 2
        assert "Error: " in err


def test_an_existing_file_is_replaced_only_by_force(capsys, tmp_path, weights):
    (tmp_path / "lenet.dcz").write_bytes(b"precious")
    code, _, err = dnnc(capsys, "compress", weights)
    assert code == 1
    assert "lenet.dcz exists: choose another --out, or add --force" in err
    assert (tmp_path / "lenet.dcz").read_bytes() == b"precious"
    assert dnnc(capsys, "compress", weights, "--force")[0] == 0
    assert load((tmp_path / "lenet.dcz").read_bytes()).metadata["architecture"] == "lenet_300_100"


@pytest.mark.parametrize(("ratio", "code"), [(100.0, 0), (8.0, 1)])
def test_the_capstone_exits_with_0_only_when_the_targets_are_met(capsys, monkeypatch, tmp_path, ratio, code):
    figures = {
        "ratio": ratio,
        "drop_points": 0.2,
        "bits_per_weight": 32 / ratio,
        "sparsity": 0.97,
        "top1": 0.93,
        "baseline_top1": 0.932,
        "file_bytes": 1,
        "dense_bytes": 1,
        "n_test": 1,
    }
    asked = {}

    def run(profile, **options):
        asked.update(options, profile=profile)
        print("progress")
        return CapstoneResult(Profile("cpu", "a test"), {"vgg16_cifar10": Part("VGG-16", figures)})

    monkeypatch.setattr("common.capstone.run.run_capstone", run)
    found, out, _ = dnnc(capsys, "capstone", "--fresh", "--folder", tmp_path)
    assert found == code
    assert out.startswith("progress\n")
    assert ("MISSED" in out) == (code == 1)
    assert (asked["resume"], asked["folder"], asked["profile"]) == (False, Path(tmp_path), None)
    found, out, err = dnnc(capsys, "capstone", "--json")
    assert found == code
    assert json.loads(out)["targets_met"] == (code == 0)
    assert "progress" in err


def test_bench_and_reproduce_are_thin(capsys, monkeypatch):
    seen = {}
    benchmarks = types.ModuleType("common.benchmarks")
    benchmarks.main = lambda arguments: seen.update(bench=arguments) or 3
    result = Outcome({"rows": 2}, "a table")
    lenets = types.ModuleType("common.experiments.lenets")
    lenets.run = lambda **options: seen.update(options) or result
    monkeypatch.setitem(sys.modules, "common.benchmarks", benchmarks)
    monkeypatch.setitem(sys.modules, "common.experiments.lenets", lenets)
    assert dnnc(capsys, "bench", "--quick", "huffman")[0] == 3
    assert seen["bench"] == ["--quick", "huffman"]
    assert dnnc(capsys, "reproduce", "lenets", "--device", "cpu")[:2] == (0, "a table\n")
    assert json.loads(dnnc(capsys, "reproduce", "lenets", "--json")[1]) == {"rows": 2}


def test_doctor_tells_whether_the_machine_is_ready(capsys, monkeypatch):
    from common.doctor import Check

    monkeypatch.setattr("common.doctor.examine", lambda: [Check("Python", "ok", "3.12")])
    assert dnnc(capsys, "doctor")[0] == 0
    monkeypatch.setattr("common.doctor.examine", lambda: [Check("torch", "fail", "missing", "install it")])
    code, out, _ = dnnc(capsys, "doctor", "--json")
    assert code == 1
    assert json.loads(out)[0]["status"] == "fail"


@pytest.mark.parametrize(
    "words",
    [
        ("study", "bits"),
        ("capstone",),
        ("reproduce", "lenets"),
        ("members", "board"),
        ("course", "release", "x"),
    ],
)
def test_what_needs_a_clone_says_so_in_one_line(capsys, tmp_path, monkeypatch, words):
    """An installed wheel: there is no pyproject.toml above the package."""
    from common.base import files

    monkeypatch.setattr(files, "ROOT", tmp_path / "site-packages")
    code, out, err = dnnc(capsys, *words)
    assert (code, out, list(tmp_path.iterdir())) == (1, "", [])
    assert err == f"dnnc: dnnc {words[0]} needs the course's files: run it in a clone of the repository\n"
