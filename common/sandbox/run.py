"""A command that nobody trusts, run with limits: time, memory, files, processes, output.

It runs in a process group and, where Linux allows it, in **namespaces** of its own
(`common.sandbox.confine`): there it sees nothing of the disk but Python, the data sets and its folder
(`common.sandbox.view`). Where ordinary users may not make namespaces but bubblewrap is installed, those of
bubblewrap are used. A watcher beside it measures the whole tree of processes, and kills it when a limit is
passed.

What it does not do: it is not a virtual machine, so a fault of the kernel is a way out. `Finished.guards`
says what was in effect. Without ``view`` the command can reach UNIX sockets, and change modes and times of
files; without ``reads`` it reads what its user can read; without ``writes`` it writes where its user can
(`common.sandbox.work_copy` notices changes of the repository); without ``namespaces`` it can reach the
network over UDP and stop this very process. For work of people whom nobody knows, use a machine that is
thrown away afterwards, as the workflows on GitHub do.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from common.base.files import ROOT
from common.sandbox.view import bubblewrap, readable_places

_PAUSE_S = 0.05
_FOLDER_PAUSE_S = 0.5


@dataclass(frozen=True)
class Limits:
    """What a command may use.

    Attributes
    ----------
    seconds : float
        Time by the clock. CPU time is limited to eight times as much, for threads.
    memory_bytes : int
        Resident memory of all its processes together; also the data segment of each one.
    file_bytes : int
        Size of any one file that it writes.
    folder_bytes : int
        Size of all files in its folder together.
    processes : int
        Processes at once.
    output_bytes : int
        What it may write to stdout and stderr together.
    files : int
        Files and folders below its folder.
    depth : int
        How deep folders may lie in each other.
    open_files : int
        Files that one process may have open.
    """

    seconds: float = 300.0
    memory_bytes: int = 4 << 30
    file_bytes: int = 64 << 20
    folder_bytes: int = 256 << 20
    processes: int = 32
    output_bytes: int = 1 << 20
    files: int = 20_000
    depth: int = 40
    open_files: int = 512


@dataclass(frozen=True)
class Finished:
    """How a command ended.

    Attributes
    ----------
    code : int
        Its exit code; 128 plus the signal's number when a signal ended it, and negative when the sandbox's
        first process had to be killed.
    output : str
        What it wrote to stdout and stderr together, cut off at the limit.
    stopped : str
        Which limit ended it, in words; empty when it ended by itself.
    seconds : float
        How long it ran.
    guards : tuple of str
        What protected the rest of the machine: ``namespaces``, ``view``, ``reads``, ``writes``, ``data``,
        ..., as far as this system has it.
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
    call_filter: bool = True,
    cwd: Path | None = None,
    readable: Iterable[Path] = (),
) -> Finished:
    """Run a command that may do anything, and come back in time whatever it does.

    Parameters
    ----------
    command : sequence of str
        An absolute path and its arguments.
    folder : Path
        The only folder below which it may write; its size counts.
    limits : Limits
        What it may use.
    environment : mapping
        All of its environment: nothing is inherited, so no secret is.
    namespaces, landlock, call_filter : bool
        Switched off in tests of what is left without them.
    cwd : Path, optional
        Where it starts; `folder` by default.
    readable : iterable of Path
        What it may read besides `folder`, Python and the system's libraries.

    Returns
    -------
    Finished
        Also when a limit ended it.

    Raises
    ------
    OSError
        The system has no process limits (Windows), or the sandbox cannot start.
    """
    if os.name != "posix":
        raise OSError("limits on processes need Linux or macOS: on Windows use WSL or Colab")
    read_end, write_end = os.pipe()
    folder = folder.resolve()
    places = readable_places(readable)
    settings = {
        "folder": str(folder),
        "report": write_end,
        "namespaces": namespaces,
        "landlock": landlock,
        "filter": call_filter,
        "readable": places,
        "guards": [],
        "file_bytes": limits.file_bytes,
        "memory_bytes": limits.memory_bytes,
        "cpu_seconds": 8 * limits.seconds + 10,
        "threads": _threads_now() + 32 * limits.processes,
        "open_files": limits.open_files,
        "environment": dict(environment),
    }
    outer = []
    if namespaces and not own_namespaces():
        outer = bubblewrap([*places, str(ROOT / "common")], str(folder), str(cwd or folder))
        if outer and _works(outer):
            settings |= {"namespaces": False, "guards": ["bubblewrap", "namespaces", "view"]}
        else:
            outer = []
    start = [*outer, sys.executable, "-m", "common.sandbox.confine", json.dumps(settings), *command]
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


@functools.cache
def own_namespaces() -> bool:
    """Whether this user may make namespaces: tried once, in a process that ends right away."""
    code = "from common.sandbox.confine import _enter_namespaces as enter; enter()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True)
    return done.returncode == 0


def _works(outer: list[str]) -> bool:
    """Whether a command starts inside bubblewrap."""
    try:
        return (
            subprocess.run([*outer, "/usr/bin/env", "true"], capture_output=True, timeout=20).returncode == 0
        )
    except (OSError, subprocess.SubprocessError):
        return False


def _watch(process: subprocess.Popen, folder: Path, limits: Limits, output: _Output, began: float) -> str:
    """Wait for the end, or for the first limit that is passed; the limit in words."""
    next_folder, hidden = began + _FOLDER_PAUSE_S, 0
    while process.poll() is None:
        now = time.monotonic()
        if now - began > limits.seconds:
            return f"more than {limits.seconds:g} seconds"
        if output.is_full:
            return f"more than {_size(limits.output_bytes)} of output"
        n_processes, memory = _use(process.pid)
        memory += hidden
        if n_processes > limits.processes:
            return f"more than {limits.processes} processes at once"
        if memory > limits.memory_bytes:
            return f"more than {_size(limits.memory_bytes)} of memory"
        if now > next_folder:
            n_bytes, n_files, depth = folder_use(folder, limits.depth)
            if n_bytes > limits.folder_bytes:
                return f"more than {_size(limits.folder_bytes)} of files"
            if n_files > limits.files:
                return f"more than {limits.files:,} files"
            if depth > limits.depth:
                return f"more than {limits.depth} folders in each other"
            hidden = hidden_bytes([one.pid for one in _tree(process.pid)[1:]])
            next_folder = time.monotonic() + _FOLDER_PAUSE_S
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PAUSE_S)
    return ""


def folder_use(folder: Path, most: int) -> tuple[int, int, int]:
    """What lies below a folder: bytes of all files, number of files and folders, and how deep they go.

    Links are not followed, what vanishes meanwhile does not count, and deeper than `most` it does not look.
    """
    n_bytes = n_files = deepest = 0
    pending = [(str(folder), 0)]
    while pending:
        place, depth = pending.pop()
        deepest = max(deepest, depth)
        if depth > most:
            continue
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                n_files += 1
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        pending.append((entry.path, depth + 1))
                    else:
                        n_bytes += entry.stat(follow_symlinks=False).st_size
    return n_bytes, n_files, deepest


def hidden_bytes(pids: Iterable[int]) -> int:
    """Bytes of files without a name that processes hold open: in memory (memfd), or deleted while open.

    A process's limits do not count the first, and looking into the folder does not find the second.
    """
    found: dict[tuple[int, int], int] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for number in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    status = os.stat(f"/proc/{pid}/fd/{number}")
                    if stat.S_ISREG(status.st_mode) and not status.st_nlink:
                        found[status.st_dev, status.st_ino] = 512 * status.st_blocks
    return sum(found.values())


class _Output:
    """What comes from a pipe, kept up to a limit by a thread; the rest is read and dropped.

    It has to be read: a command that fills a pipe which nobody reads would wait for ever.
    """

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
    """Stop all processes first, so that none starts another one; then kill them, until none is left."""
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
    """Threads of this user on the whole machine: the system counts all of them against RLIMIT_NPROC."""
    user, total = os.getuid(), 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.uids().real == user:
                total += process.num_threads()
    return total


def _size(n_bytes: int) -> str:
    return f"{n_bytes >> 20} MB" if n_bytes >= 1 << 20 else f"{n_bytes} bytes"
