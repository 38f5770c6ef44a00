"""The doctor: every check can find fault, says what to do, and none of them hurts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common import doctor
from common.data import datasets
from common.data.datasets import DatasetNotFoundError
from common.doctor import Check

ROOT = Path(__file__).resolve().parents[1]


def test_report_has_a_line_a_check_and_a_verdict():
    checks = [Check("Python", "ok", "3.12"), Check("GPU", "note", "none", "none is needed")]
    assert doctor.report(checks) == "ok    Python: 3.12\nnote  GPU: none; none is needed\nReady."
    assert doctor.is_healthy(checks)
    checks.append(Check("torch", "fail", "not installed", "install it"))
    closing = "fail  torch: not installed; install it\nNot ready: 1 of 3 checks failed."
    assert doctor.report(checks).endswith(closing)
    assert not doctor.is_healthy(checks)


def test_this_environment_is_healthy(monkeypatch):
    """It runs the tests, so it has what the course needs; the data sets may be missing."""
    monkeypatch.setattr(datasets, "locate_dataset", lambda name, split: "somewhere")
    checks = doctor.examine()
    assert doctor.is_healthy(checks), doctor.report(checks)
    names = [check.what for check in checks]
    expected = [
        "Python",
        "torch",
        "packages",
        "compression",
        "cores",
        "memory",
        "GPU",
        "DNNC_DATA",
        "cache",
        "disk",
    ]
    assert names == [*expected, "cifar10", "cifar100", "mnist", "digits", "digits8x8"]


def test_faults_come_with_advice():
    """Whatever is not ok says what to do."""
    found = [
        doctor.check_python((3, 9)),
        doctor.check_modules(["numpy", "no_such_module_anywhere"]),
        doctor.check_memory(2 << 30),
        doctor.check_prepared_folder("/no/such/folder"),
    ]
    assert [check.status for check in found] == ["fail", "fail", "note", "note"]
    assert all(check.advice for check in found)
    assert "no_such_module_anywhere missing" in found[1].found
    assert doctor.check_python((3, 11)).status == doctor.check_memory(8 << 30).status == "ok"
    assert doctor.check_prepared_folder(None).status == "ok"


def test_pair_that_does_not_belong_together_fails(monkeypatch):
    def no_such_operator(*_):
        raise RuntimeError("operator torchvision::nms does not exist\nand more lines")

    import torchvision

    monkeypatch.setattr(torchvision.ops, "nms", no_such_operator)
    check = doctor.check_torch()
    assert (check.status, check.found) == ("fail", "operator torchvision::nms does not exist")
    assert "constraints.txt" in check.advice


def test_missing_torch_fails(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert doctor.check_torch().status == "fail"
    assert doctor.check_gpu().status == "note"


def test_busy_machine_is_noted(monkeypatch):
    monkeypatch.setattr(doctor.os, "getloadavg", lambda: (99.0, 99.0, 99.0))
    assert doctor.check_cores().status == "note"
    monkeypatch.setattr(doctor.os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setattr(doctor.os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    assert doctor.check_cores() == Check("cores", "ok", "4, load 0.0")


def test_cache_is_tried_by_writing(tmp_path):
    assert doctor.check_cache(tmp_path / "new").status == "ok"
    file = tmp_path / "file"
    file.write_text("in the way")
    check = doctor.check_cache(file / "cache")
    assert check.status == "note"
    assert "DNNC_CACHE" in check.advice
    assert list((tmp_path / "new").iterdir()) == []


def test_full_disk_is_noted(tmp_path, monkeypatch):
    class Usage:
        free = 1 << 20

    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: Usage)
    check = doctor.check_disk(tmp_path / "not" / "yet" / "there")
    assert check.status == "note"
    assert check.found == "0.0 GiB free"


def test_absent_set_is_noted_with_what_to_do(monkeypatch):
    def absent(name, split):
        raise DatasetNotFoundError("cifar10/test not found; tried a, b; to do: put it in a folder")

    monkeypatch.setattr(datasets, "locate_dataset", absent)
    expected = Check("cifar10", "note", "not on this machine", "put it in a folder")
    assert doctor.check_dataset("cifar10") == expected


def test_a_truncated_set_is_not_merely_absent(monkeypatch):
    def absent(name, split):
        raise DatasetNotFoundError(
            "cifar10/test not found; tried DNNC_DATA /x (/x/t.parquet cannot be read: magic bytes not found)"
            ", the cache /c (not there); to do: put it in a folder"
        )

    monkeypatch.setattr(datasets, "locate_dataset", absent)
    found = doctor.check_dataset("cifar10").found
    assert found == ("not on this machine: DNNC_DATA /x (/x/t.parquet cannot be read: magic bytes not found)")


def test_no_check_takes_the_doctor_with_it(monkeypatch):
    def broken(*_):
        raise RuntimeError("cannot cache function: no locator\nand more lines")

    for name in ("check_compression", "check_torch", "check_memory", "check_dataset", "check_cache"):
        monkeypatch.setattr(doctor, name, broken)
    checks = doctor.examine()
    failed = [check for check in checks if check.status == "fail"]
    assert len(failed) == 4 + len(doctor.SETS)
    assert failed[0].found == "RuntimeError: cannot cache function: no locator"
    assert doctor.report(checks).count("\n") == len(checks)


def test_the_sets_are_those_of_the_catalog():
    from common.data.catalog import CATALOG

    assert doctor.SETS == tuple(CATALOG)


def test_compression_is_tried():
    check = doctor.check_compression()
    assert check.status == "ok"
    assert check.found.startswith("works; compiled code is kept ")


def test_broken_copy_beside_a_good_one_is_noted(monkeypatch):
    import warnings

    def found(name, split):
        warnings.warn("mnist/test is broken in root x (cut short); looking elsewhere", stacklevel=1)
        return "the cache"

    monkeypatch.setattr(datasets, "locate_dataset", found)
    check = doctor.check_dataset("mnist")
    assert check.status == "note"
    assert "broken in root x" in check.advice


@pytest.mark.parametrize("name", ["digits", "digits8x8"])
def test_embedded_sets_are_found(name):
    assert doctor.check_dataset(name).status == "ok"


def test_modules_cover_the_requirements():
    """Every requirement of pyproject.toml is looked for by its import name (torch has its own check)."""
    import tomllib

    from packaging.requirements import Requirement

    text = (Path(doctor.__file__).parents[1] / "pyproject.toml").read_text()
    names = {Requirement(line).name for line in tomllib.loads(text)["project"]["dependencies"]}
    imported_as = {"scikit-learn": "sklearn", "scikit-image": "skimage", "pillow": "PIL"}
    imported_as |= {"opencv-python-headless": "cv2", "torch-pruning": "torch_pruning"}
    imported_as |= {"markdown-it-py": "markdown_it"}
    own = {"torch", "torchvision"}
    assert {imported_as.get(name, name) for name in names - own} == set(doctor._MODULES)


@pytest.mark.slow
def test_after_warming_up_nothing_is_compiled(tmp_path):
    """Coding a real file, k-means and a sparse product find every loop in the cache."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    work = """
from numba.core import event
compiled = event.RecordingListener()
event.register("numba:compile", compiled)
import numpy as np
from common.codec import container
from common.deploy.sparse import SparseMatrix
from common.sharing.kmeans import kmeans_1d
for name in ("vgg16_cifar10", "lenet_5_small"):
    model = container.load_file(f"capstone/{name}.dcz")
    container.save(model)
    dense = [tensor.to_dense() for tensor in model.tensors.values()]
kmeans_1d(dense[0], 32)
matrix = SparseMatrix.of(next(t for t in model.tensors.values() if len(t.shape) == 2))
matrix @ np.ones(matrix.shape[1], dtype=np.float32)
print(sorted({str(e.data["dispatcher"]) for _, e in compiled.buffer}))
"""
    for script in ("from common.doctor import warm_up; print(warm_up())", work):
        command = [sys.executable, "-c", script]
        run = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert run.stdout == "[]\n"
