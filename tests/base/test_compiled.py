"""Compiled code is kept where that works, and a place that will not do costs a compilation and no more."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.base import compiled
from common.base.compiled import njit

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys, types
from common.base import compiled
loop = compiled.njit(lambda x: x + 1)
assert loop(41) == 42
print(compiled.cache_place())
"""


def run(tmp_path, monkeypatch, **environment) -> str:
    """A program in a package that cannot be written, in a process of its own."""
    code = f"import numba.core.caching as c\nc.CacheImpl._locator_classes[1:] = []\n{PROGRAM}"
    (tmp_path / "program.py").write_text(code)
    own = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "DNNC_CACHE")} | environment
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")],
        capture_output=True,
        text=True,
        env=own | {"PYTHONPATH": str(ROOT)},
        check=True,
    )
    return done.stdout.strip()


def test_our_cache_comes_first(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    assert run(tmp_path, monkeypatch, DNNC_CACHE=str(cache)) == str(cache / "compiled")
    assert list((cache / "compiled").rglob("*.nbi"))


@pytest.mark.skipif(os.name == "nt", reason="folders have owners and modes")
def test_then_a_private_temporary_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    told = run(tmp_path, monkeypatch, DNNC_CACHE=str(tmp_path / "file" / "x"), TMPDIR=str(temporary))
    (found,) = temporary.glob("dnnc-compiled-*")
    assert told == str(found)
    assert found.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.name == "nt", reason="folders have owners and modes")
def test_then_none_and_never_one_that_others_may_write(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    open_to_all = tmp_path / f"dnnc-compiled-{os.getuid()}"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    told = run(tmp_path, monkeypatch, DNNC_CACHE=str(tmp_path / "file" / "x"), TMPDIR=str(tmp_path))
    assert told.startswith("nowhere")
    assert not list(open_to_all.iterdir())


def test_a_full_disk_and_a_damaged_file_cost_a_compilation(monkeypatch):
    loop = njit(lambda x: x * 2)
    cache = loop._cache

    def full(*_):
        raise OSError(28, "No space left on device")

    def damaged(*_):
        raise EOFError

    for name, broken in (("_save_overload", full), ("_load_overload", damaged)):
        if hasattr(cache, name):
            monkeypatch.setattr(cache, name, broken)
    assert loop(np.int64(4)) == 8


def test_options_are_numbas_own():
    @njit(nogil=True)
    def plus(x):
        return x + 1

    assert plus(1) == 2
    assert plus.targetoptions["nogil"]
    assert compiled.kernel(lambda x: x).targetoptions["error_model"] == "numpy"
