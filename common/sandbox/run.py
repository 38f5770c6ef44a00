"""A command that nobody trusts, run with limits: time, memory, files, processes, output.

It runs in a process group, and where Linux allows it in namespaces of its own (`common.sandbox.confine`). A
watcher beside it measures the whole tree of processes, and kills it when a limit is passed.

What it does not do: it is no virtual machine. The command can read whatever its user can read. Where the
kernel has no Landlock it can also write wherever its user can (`common.sandbox.work_copy` notices for the
repository), and without namespaces it can reach the network and stop this very process. For work of people
whom nobody knows, use a container or a machine that is thrown away, as the workflows on GitHub do.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
_PAUSE_S = 0.05
_FOLDER_PAUSE_S = 0.5


@dataclass(frozen=True)
class Limits:
    """What a command may use; sizes in bytes."""

    seconds: float = 300.0
    memory_bytes: int = 4 << 30
    file_bytes: int = 64 << 20
    folder_bytes: int = 256 << 20
    processes: int = 32
    output_bytes: int = 1 << 20


@dataclass(frozen=True)
class Finished:
    """How a command ended.

    Attributes
    ----------
    code : int
        Its exit code; 128 and more after a signal.
    output : str
        What it wrote to stdout and stderr together, at most the limit's bytes.
    stopped : str
        Which limit ended it, in words; empty when it ended by itself.
    seconds : float
    guards : tuple of str
        What protected the others: ``namespaces``, ``writes``, ``data``, ... as far as this system has it.
    """

    code: int
    output: str
    stopped: str
    seconds: float
    guards: tuple[str, ...]


def run_limited(
    command: Sequence[str],
    *,
    folder: Path,
    limits: Limits,
    environment: Mapping[str, str],
    namespaces: bool = True,
    landlock: bool = True,
    cwd: Path | None = None,
) -> Finished:
    """Run a command that may do anything, and come back in time whatever it does.

    Parameters
    ----------
    command : sequence of str
        An absolute path and its arguments.
    folder : Path
        The only folder below which it may write; its size counts.
    limits : Limits
    environment : mapping
        All of its environment: nothing is inherited, so no secret is.
    namespaces, landlock : bool
        Switched off in tests of what is left without them.
    cwd : Path, optional
        Where it starts; `folder` by default.

    Raises
    ------
    OSError
        The system has no process limits (Windows), or the sandbox cannot start.
    """
    if os.name != "posix":
        raise OSError("limits on processes need Linux or macOS: on Windows use WSL or Colab")
    read_end, write_end = os.pipe()
    settings = {
        "folder": str(folder),
        "report": write_end,
        "namespaces": namespaces,
        "landlock": landlock,
        "file_bytes": limits.file_bytes,
        "memory_bytes": limits.memory_bytes,
        "cpu_seconds": 8 * limits.seconds + 10,
        "threads": _threads_now() + 32 * limits.processes,
        "environment": dict(environment),
    }
    start = [sys.executable, "-m", "common.sandbox.confine", json.dumps(settings), *command]
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            start,
            cwd=cwd or folder,
            env={"PYTHONSAFEPATH": "1", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(write_end,),
        )
    except BaseException:
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
    output = _Output(process.stdout, limits.output_bytes)
    try:
        stopped = _watch(process, folder, limits, output, began)
    finally:
        _kill_tree(process)
        process.wait()
        output.close()
        with open(read_end, "rb") as report:
            os.set_blocking(read_end, False)
            guards = report.read(4096) or b"[]"
    return Finished(
        process.returncode, output.text(), stopped, time.monotonic() - began, tuple(json.loads(guards))
    )


def _watch(process: subprocess.Popen, folder: Path, limits: Limits, output: _Output, began: float) -> str:
    """Wait for the end, or for the first limit that is passed; the limit in words."""
    next_folder = began + _FOLDER_PAUSE_S
    while process.poll() is None:
        now = time.monotonic()
        if now - began > limits.seconds:
            return f"more than {limits.seconds:g} seconds"
        if output.is_full:
            return f"more than {_size(limits.output_bytes)} of output"
        n_processes, memory = _use(process.pid)
        if n_processes > limits.processes:
            return f"more than {limits.processes} processes at once"
        if memory > limits.memory_bytes:
            return f"more than {_size(limits.memory_bytes)} of memory"
        if now > next_folder:
            if folder_bytes(folder) > limits.folder_bytes:
                return f"more than {_size(limits.folder_bytes)} of files"
            next_folder = time.monotonic() + _FOLDER_PAUSE_S
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PAUSE_S)
    return ""


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder; links are not followed, and what vanishes meanwhile is nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


class _Output:
    """What a pipe brings, kept up to a limit by a thread; the rest is read and dropped."""

    def __init__(self, pipe, most: int) -> None:
        self._pipe, self._most, self._parts, self._n_bytes = pipe, most, [], 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def is_full(self) -> bool:
        return self._n_bytes > self._most

    def text(self) -> str:
        return b"".join(self._parts)[: self._most].decode(errors="replace")

    def close(self) -> None:
        self._thread.join(timeout=2)  # a process that escaped may hold the pipe open: not worth waiting for

    def _read(self) -> None:
        with self._pipe, contextlib.suppress(OSError, ValueError):
            while part := self._pipe.read1(1 << 16):
                if not self.is_full:
                    self._parts.append(part)
                self._n_bytes += len(part)


def _use(pid: int) -> tuple[int, int]:
    """Processes that the command has started, and bytes of memory that they hold."""
    n_processes = memory = 0
    for process in _tree(pid)[1:]:
        with contextlib.suppress(psutil.Error):
            memory += process.memory_info().rss
            n_processes += 1
    return n_processes, memory


def _tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _kill_tree(process: subprocess.Popen) -> None:
    """Stop everybody first, so that nobody starts another one; then kill, until nobody is left."""
    for _ in range(20):
        tree = [one for one in _tree(process.pid) if one.pid != process.pid or process.poll() is None]
        for order in (signal.SIGSTOP, signal.SIGKILL):
            for one in tree[1:]:  # the first one collects the others, and goes last
                with contextlib.suppress(psutil.Error):
                    one.send_signal(order)
        if len(tree) < 2:
            break
        time.sleep(0.02)
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _threads_now() -> int:
    """Threads of this user on the whole machine: the system counts them all against its limit."""
    user, total = os.getuid(), 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.uids().real == user:
                total += process.num_threads()
    return total


def _size(n_bytes: int) -> str:
    return f"{n_bytes >> 20} MB" if n_bytes >= 1 << 20 else f"{n_bytes} bytes"
