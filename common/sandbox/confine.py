"""The first process of a sandbox: it gives up rights, starts the command, and leaves nobody behind.

Run as ``python -m common.sandbox.confine SETTINGS COMMAND...`` by `common.sandbox.run`, never imported by a
notebook. On Linux it tries, in this order, and goes on with less where the system refuses:

- namespaces of its own: the command sees no other process and no network, and all of its processes end
  with it, however they detached themselves;
- a view of the disk that holds only Python, the course's data and the working folder (`common.sandbox.view`);
- the limits of ``setrlimit``: memory, size of a file, open files, processes;
- Landlock: writing only below the working folder, reading only what the view holds;
- a filter of system calls (seccomp): no memory that the limits above do not count.

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
from collections.abc import Sequence
from pathlib import Path

from common.sandbox.view import enter_view, refuse_hidden_memory

# ----------------------------------------------------------------------------------------------------
# Landlock: a process gives up its right to write outside one folder, and its children cannot take it back.
#
# A Linux kernel from 5.13 on can do it for any user, without set-up; ``man 7 landlock`` explains the numbers
# below. Newer kernels can also refuse TCP and signals to processes outside. It covers neither UNIX sockets
# nor modes, times and attributes of files: those need the view.

# System calls have these numbers on every architecture of Linux.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES = 38  # of prctl: needed before an ordinary user may restrict itself

_WRITE_FILE, _READ_FILE, _READ_FOLDER = 1 << 1, 1 << 2, 1 << 3
# remove a folder, a file; make a device, folder, file, socket, pipe, block device, link
_CHANGES = sum(1 << bit for bit in range(4, 13))
_MOVE_BETWEEN_FOLDERS, _TRUNCATE = 1 << 13, 1 << 14  # from versions 2 and 3 on
_TCP = 0b11  # bind, connect: from version 4 on
_SCOPES = 0b11  # abstract sockets, signals: from version 6 on
_HARMLESS = ("/dev/null", "/dev/zero", "/dev/full")
_READ_ANYWAY = (*_HARMLESS, "/dev/random", "/dev/urandom", "/proc")


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def landlock_version() -> int:
    """The kernel's version of Landlock; 0 where there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    version = _libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION)
    return max(0, version)


def write_only_below(folder: str | Path, readable: Sequence[str] | None = None) -> tuple[str, ...]:
    """From now on, this process and those that it starts can write only below `folder`.

    Parameters
    ----------
    folder : path
    readable : sequence of str, optional
        Where they may read, besides `folder`; everywhere by default.

    Returns
    -------
    tuple of str
        What is refused: ``writes`` elsewhere, ``tcp``, ``signals`` to other processes, ``reads``; empty where
        the kernel has no Landlock.

    Raises
    ------
    OSError
        The kernel has Landlock, but refuses.
    """
    version = landlock_version()
    if not version:
        return ()
    writes = _WRITE_FILE | _CHANGES
    writes |= (_MOVE_BETWEEN_FOLDERS if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    reads = 0 if readable is None else _READ_FILE | _READ_FOLDER
    asked = (writes | reads, _TCP, _SCOPES)[: 1 + (version >= 4) + (version >= 6)]
    attributes = (ctypes.c_uint64 * len(asked))(*asked)
    ruleset = _call(_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(ctypes.sizeof(attributes)), 0)
    try:
        _allow(ruleset, folder, writes | reads)
        for device in filter(os.path.exists, _HARMLESS):
            _allow(ruleset, device, _WRITE_FILE)
        for place in filter(os.path.exists, () if readable is None else (*readable, *_READ_ANYWAY)):
            _allow(ruleset, place, reads if os.path.isdir(place) else _READ_FILE)
        if _libc().prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "no_new_privs")
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return ("writes", "tcp", "signals")[: len(asked)] + ("reads",) * bool(reads)


def _allow(ruleset: int, place: str | Path, rights: int) -> None:
    opened = os.open(place, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _PathRule(rights, opened)
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(opened)


def _call(number: int, *arguments: object) -> int:
    result = _libc().syscall(number, *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"landlock: {os.strerror(error)}")
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


# of prctl: PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_CAPBSET_DROP
_DIE_WITH_PARENT, _ADOPT_ORPHANS, _DROP_CAPABILITY = 1, 36, 24
# of unshare: CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET
_NEW_MOUNTS, _NEW_IPC, _NEW_USER, _NEW_PIDS, _NEW_NET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_PRIVATE_AND_BELOW = (1 << 18) | (1 << 14)  # of mount: MS_PRIVATE | MS_REC


def main(settings: dict, command: list[str]) -> int:
    """Run the command under the settings; its exit code, or 128 plus the signal that ended it."""
    guards = ["session", *settings["guards"]]
    report = settings["report"]
    _prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    _prctl(_ADOPT_ORPHANS, 1)
    found = _namespaces(settings) if settings["namespaces"] else ""
    if found:
        _enter_namespaces()
        guards += found.split()
        first = os.fork()  # a new process namespace begins with the next child: its process number is 1
        if first:
            os.close(report)
            return _code(os.waitpid(first, 0)[1])
        _prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        _enter_mounts(settings, found)
    worker = os.fork()
    if not worker:
        _become(settings, command, guards)
    os.close(report)
    return _wait_for(worker)


def _become(settings: dict, command: list[str], guards: list[str]) -> None:
    """Take on the limits, report which took effect, and turn into the command."""
    try:
        _prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        guards += _set_limits(settings)
        if "namespaces" in guards:  # root outside stays root inside: it must not mount anything again
            for capability in range(64):
                _prctl(_DROP_CAPABILITY, capability)
        if settings["landlock"]:
            guards += write_only_below(settings["folder"], settings["readable"])
        guards += ["hidden memory"] if settings["filter"] and refuse_hidden_memory() else []
        os.write(settings["report"], json.dumps(guards).encode())
        os.close(settings["report"])
        os.execve(command[0], command, settings["environment"])
    except BaseException as error:
        print(f"the sandbox did not start: {error}", flush=True)
    os._exit(125)


def _namespaces(settings: dict) -> str:
    """What this system allows, tried in a child process: ``namespaces view``, ``namespaces`` or nothing."""
    for found in ("namespaces view", "namespaces"):

        def attempt(found: str = found) -> None:
            _enter_namespaces()
            if not _in_child(lambda: _enter_mounts(settings, found)):
                raise OSError("nothing can be mounted")

        if _in_child(attempt):
            return found
    return ""


def _enter_mounts(settings: dict, found: str) -> None:
    if "view" in found:
        enter_view(settings["readable"], settings["folder"])
    else:
        _mount_proc()


def _set_limits(settings: dict) -> list[str]:
    """Set the limits of one process, and name those that are set; a limit that is lower already stays."""
    wanted = {
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": settings["file_bytes"],
        "RLIMIT_DATA": settings["memory_bytes"],  # not the address space: torch maps far more than it uses
        "RLIMIT_CPU": int(settings["cpu_seconds"]),
        "RLIMIT_NPROC": settings["threads"],
        "RLIMIT_NOFILE": settings["open_files"],
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


def _enter_namespaces() -> None:
    """Enter namespaces of our own: users, processes, network, mounts and interprocess communication."""
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_USER | _NEW_PIDS | _NEW_NET | _NEW_MOUNTS | _NEW_IPC):
        raise OSError(ctypes.get_errno(), "unshare")
    maps = {"setgroups": "deny", "uid_map": f"{user} {user} 1", "gid_map": f"{group} {group} 1"}
    for name, text in maps.items():
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _mount_proc() -> None:
    """Let /proc show only the processes of this namespace."""
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
    """Only Linux has prctl; elsewhere the watcher of `common.sandbox.run` does what it can."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
