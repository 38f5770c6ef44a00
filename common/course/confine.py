"""The first process of a sandbox: it gives up rights, starts the command, and leaves nobody behind.

Run as ``python -m common.course.confine SETTINGS COMMAND...`` by `common.course.sandbox`, never imported by a
notebook. On Linux it tries, in this order, and goes on with less where the system refuses:

- namespaces of its own: the command sees no other process and no network, and all of its processes end
  with it, however they detached themselves;
- the limits of ``setrlimit``: memory, size of a file, processes;
- Landlock: writing below the working folder only.

What took effect is written to a pipe before the command starts.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys

from common.course.landlock import write_only_below

_DIE_WITH_PARENT, _ADOPT_ORPHANS = 1, 36  # prctl
_NEW_MOUNTS, _NEW_IPC, _NEW_USER, _NEW_PIDS, _NEW_NET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_PRIVATE_AND_BELOW = (1 << 18) | (1 << 14)


def main(settings: dict, command: list[str]) -> int:
    """Run the command under the settings; its exit code, or 128 and the signal that ended it."""
    guards = ["session"]
    report = settings["report"]
    _prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    _prctl(_ADOPT_ORPHANS, 1)
    if settings["namespaces"] and _in_child(_enter_namespaces):
        _enter_namespaces(fork=False)
        guards.append("namespaces")
        first = os.fork()
        if first:
            os.close(report)
            return _code(os.waitpid(first, 0)[1])
        _prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        _mount_proc()
    worker = os.fork()
    if not worker:
        _become(settings, command, guards)
    os.close(report)
    return _wait_for(worker)


def _become(settings: dict, command: list[str], guards: list[str]) -> None:
    """Take on the limits, say which took effect, and turn into the command."""
    try:
        _prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        guards += _set_limits(settings)
        guards += write_only_below(settings["folder"]) if settings["landlock"] else ()
        os.write(settings["report"], json.dumps(guards).encode())
        os.close(settings["report"])
        os.execve(command[0], command, settings["environment"])
    except BaseException as error:
        print(f"the sandbox did not start: {error}", flush=True)
    os._exit(125)


def _set_limits(settings: dict) -> list[str]:
    """The limits of one process; a limit that is lower already stays."""
    wanted = {
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": settings["file_bytes"],
        "RLIMIT_DATA": settings["memory_bytes"],  # not the address space: torch maps far more than it uses
        "RLIMIT_CPU": int(settings["cpu_seconds"]),
        "RLIMIT_NPROC": settings["threads"],
    }
    effective = []
    for name, value in wanted.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (value, value))
            effective.append(name.removeprefix("RLIMIT_").lower())
    return effective


def _enter_namespaces(*, fork: bool = True) -> None:
    """Own users, processes, network and mounts; with `fork` also try what the first process will do."""
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_USER | _NEW_PIDS | _NEW_NET | _NEW_MOUNTS | _NEW_IPC):
        raise OSError(ctypes.get_errno(), "unshare")
    maps = {"setgroups": "deny", "uid_map": f"{user} {user} 1", "gid_map": f"{group} {group} 1"}
    for name, text in maps.items():
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    if fork and not _in_child(_mount_proc):
        raise OSError("proc cannot be mounted")


def _mount_proc() -> None:
    """Let /proc show the processes of this namespace only."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", b"/", None, _PRIVATE_AND_BELOW, None) or libc.mount(
        b"proc", b"/proc", b"proc", 0b1110, None
    ):
        raise OSError(ctypes.get_errno(), "mount")


def _in_child(attempt) -> bool:
    """Whether an attempt succeeds, made in a process of its own."""
    child = os.fork()
    if not child:
        try:
            attempt()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def _wait_for(worker: int) -> int:
    """The worker's exit code; whatever it left running is killed and collected."""
    status = None
    while status is None:
        ended, how = os.wait()
        if ended == worker:
            status = how
    while True:
        for child in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return _code(status)


def _children() -> list[int]:
    with contextlib.suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(word) for word in file.read().split()]
    return []


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _prctl(option: int, value: int) -> None:
    """Only Linux has it; elsewhere the watcher of `sandbox` does what it can."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
