"""Kernels of the tests are forks of a process that has imported the libraries, and otherwise like others."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import forked_kernels
import pytest
from jupyter_client.manager import KernelManager, start_new_kernel


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture
def kernel(folder: Path) -> Iterator[tuple[KernelManager, object]]:
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder))
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def answer(client, code: str) -> str:
    """Return what `code` prints in the kernel, or the name of its error."""
    said = []
    client.execute_interactive(code, timeout=60, output_hook=said.append)
    texts = [
        m["content"].get("text") or m["content"].get("ename")
        for m in said
        if m["msg_type"] in ("stream", "error")
    ]
    return "".join(texts).strip()


def test_a_kernel_starts_with_the_libraries_imported(kernel, folder):
    manager, client = kernel
    assert isinstance(manager.provisioner, forked_kernels.ForkedProvisioner)
    found = answer(client, "import os, sys; print('torch' in sys.modules, os.getcwd(), __name__)")
    assert found == f"True {folder} __main__"
    assert answer(client, "import matplotlib; print(matplotlib.get_backend())").endswith("inline")


def test_kernels_share_nothing_but_the_imports(kernel):
    manager, client = kernel
    answer(client, "import torch; torch.course_was_here = 1; torch.manual_seed(1)")
    other, other_client = start_new_kernel(kernel_name="python3", env={**os.environ, "DNNC_ANOTHER": "1"})
    try:
        code = "import os, torch; print(hasattr(torch, 'course_was_here'), os.environ['DNNC_ANOTHER'])"
        assert answer(other_client, code) == "False 1"
        assert manager.provisioner.pid != other.provisioner.pid
    finally:
        other_client.stop_channels()
        other.shutdown_kernel(now=True)


def test_a_kernel_is_interrupted_and_shut_down(kernel):
    manager, client = kernel
    client.execute("import time; print('begun', flush=True); time.sleep(60)")
    while client.get_iopub_msg(timeout=20)["msg_type"] != "stream":
        pass
    manager.interrupt_kernel()
    assert client.get_shell_msg(timeout=20)["content"]["ename"] == "KeyboardInterrupt"
    manager.shutdown_kernel()
    assert not manager.is_alive()


def test_a_killed_kernel_is_seen_as_dead(kernel):
    manager, _ = kernel
    process = manager.provisioner.process
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not manager.is_alive()


def test_another_kernel_starts_as_usual(tmp_path, monkeypatch):
    other = tmp_path / "kernels" / "other"
    other.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel", "-f", "{connection_file}"]
    (other / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "other", "language": "python"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    manager, client = start_new_kernel(kernel_name="other")
    try:
        assert answer(client, "import sys; print('torch' in sys.modules)") == "False"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
