"""What a sandboxed command sees of the disk: Python, the course's data, and its own folder; nothing else.

In a mount namespace of its own, a new root is built from read-only bind mounts: no home folder, no ``/run``
and no ``/tmp`` with their UNIX sockets, no ``.git``, no attendance, nobody else's work. Read-only also means
that modes, times and attributes outside the folder cannot be changed, which Landlock does not cover. Where
ordinary users may not make namespaces, bubblewrap (``bwrap``) may still be allowed to: it gets the same list.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import shutil
import site
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from common.base.files import ROOT

_SYSTEM = [
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"),
    *("/etc/alternatives", "/etc/fonts", "/etc/localtime"),
    *("/sys/devices/system/cpu", "/sys/devices/system/node"),
]
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")

# of mount and umount2 (``man 2 mount``): MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH
_BIND, _REC, _PRIVATE, _DETACH = 1 << 12, 1 << 14, 1 << 18, 2
_NOSUID_NODEV_NOEXEC = 0b1110
_MOUNT_SETATTR, _ATTR_RDONLY, _AT_RECURSIVE, _AT_FDCWD = 442, 1, 0x8000, -100
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}


def readable_places(extra: Iterable[str | Path] = ()) -> list[str]:
    """Files and folders that Python and the system's libraries need, and the extra ones.

    Parameters
    ----------
    extra : iterable of path
        What else may be read; what is not there is left out.

    Returns
    -------
    list of str
        Absolute paths, links both as they are written and as they resolve; none lies below another one.
    """
    python = [sys.prefix, sys.base_prefix, Path(sys.executable).parent, *site.getsitepackages()]
    python += [place for place in sys.path if place.endswith(("site-packages", "dist-packages"))]
    python += [Path(os.path.realpath(sys.executable)).parent]
    found: dict[str, None] = {}
    for place in map(str, [*_SYSTEM, *python, *extra]):
        for name in (os.path.abspath(place), os.path.realpath(place)):
            if os.path.exists(name) and not _holds_private(name):
                found[name] = None
    kept: list[str] = []
    for place in sorted(found):  # a folder before what is in it
        if not any(place.startswith(f"{one}/") for one in kept):
            kept.append(place)
    return kept


def _holds_private(place: str) -> bool:
    """Whether a place, such as / or a home folder that is Python's prefix, also holds private files."""
    private = {os.path.realpath(one) for one in (Path.home(), ROOT, "/tmp", "/run", "/var", "/etc", "/home")}
    return os.path.realpath(place) == "/" or any(
        one == os.path.realpath(place) or one.startswith(f"{os.path.realpath(place)}/") for one in private
    )


def enter_view(places: Sequence[str], folder: str) -> None:
    """Make a new root of the places, read-only, and of `folder`, writable, and move into it.

    The process has to be in a mount namespace of its own (`common.sandbox.confine`).

    Parameters
    ----------
    places : sequence of str
        From `readable_places`.
    folder : str
        The only writable folder.

    Raises
    ------
    OSError
        The kernel refuses.
    """
    root = Path(folder) / ".root"
    root.mkdir(exist_ok=True)
    _mount(None, "/", None, _REC | _PRIVATE)
    _mount("tmpfs", root, "tmpfs", 0b110, "size=1m,mode=0755")  # nosuid, nodev; 1 MB: mount points only
    for place in places:
        _show(root, place)
    _mount(folder, _target(root, folder, is_folder=True), None, _BIND)  # alone: not the new root in itself
    for device in filter(os.path.exists, _DEVICES):
        _bind(device, _target(root, device, is_folder=False))
    for name in ("fd", "stdin", "stdout", "stderr"):
        number = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}[name]
        (root / "dev" / name).symlink_to(f"/proc/self/fd{number}")
    (root / "tmp").mkdir(exist_ok=True)
    (root / "proc").mkdir()
    _mount("proc", root / "proc", "proc", _NOSUID_NODEV_NOEXEC)
    cwd = os.getcwd()
    old = root / ".old"
    old.mkdir()
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(f"pivot_root of {platform.machine()} is unknown")
    _call(number, os.fsencode(root), os.fsencode(old))  # root becomes /, what was / is now /.old
    os.chdir("/")
    _check(_libc().umount2(b"/.old", _DETACH), "umount2")
    os.rmdir("/.old")
    os.rmdir(Path(folder) / ".root")
    _read_only("/", recursive=False)
    os.chdir(cwd)


def _show(root: Path, place: str) -> None:
    """Show one place in the new root, read-only; a link stays a link."""
    if os.path.islink(place):
        target = root / place.lstrip("/")
        if not target.exists() and not target.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(os.readlink(place))
        return
    target = _target(root, place, is_folder=os.path.isdir(place))
    _bind(place, target)
    _read_only(target)


def _target(root: Path, place: str, *, is_folder: bool) -> Path:
    target = root / place.lstrip("/")
    (target if is_folder else target.parent).mkdir(parents=True, exist_ok=True)
    if not is_folder and not target.exists():
        target.touch()
    return target


def _bind(source: str | Path, target: Path) -> None:
    _mount(source, target, None, _BIND | _REC)


def _read_only(place: str | Path, *, recursive: bool = True) -> None:
    """Make a mount read-only, also the mounts below it; other attributes of theirs stay as they are."""
    attributes = (ctypes.c_uint64 * 4)(_ATTR_RDONLY, 0, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    flags = ctypes.c_uint(_AT_RECURSIVE * recursive)
    _call(_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(place), flags, ctypes.byref(attributes), size)


def _mount(source, target, kind: str | None, flags: int, options: str | None = None) -> None:
    encoded = [
        os.fsencode(one) if one is not None else None for one in (source or "none", target, kind, options)
    ]
    done = _libc().mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])
    _check(done, f"mount {target}")


def _call(number: int, *arguments: object) -> None:
    _check(_libc().syscall(ctypes.c_long(number), *arguments), f"system call {number}")


def _check(result: int, what: str) -> None:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def bubblewrap(places: Sequence[str], folder: str, cwd: str) -> list[str]:
    """The beginning of a command that shows the same view through bubblewrap; empty where it is not there."""
    program = shutil.which("bwrap")
    if program is None or not sys.platform.startswith("linux"):
        return []
    command = [
        program,
        "--unshare-user",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-ipc",
        "--die-with-parent",
    ]
    command += ["--new-session", "--cap-drop", "ALL", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for place in places:
        is_link = os.path.islink(place)
        command += ["--symlink", os.readlink(place), place] if is_link else ["--ro-bind", place, place]
    return [
        *command,
        "--bind",
        folder,
        folder,
        "--remount-ro",
        "/tmp",
        "--remount-ro",
        "/",
        "--chdir",
        cwd,
        "--",
    ]


# ----------------------------------------------------------------------------------------------------
# Memory that no limit of a process counts: in file descriptors and shared segments, not in mappings.
#
# The filter is a small program for the kernel (seccomp, ``man 2 seccomp``): each instruction is a code, how
# many instructions to skip if a test is true or false, and a number. It reads the system call's number at
# byte 0 and the machine's architecture at byte 4.

_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NOT_THERE, _NOT_PERMITTED = 38, 1  # ENOSYS, EPERM
# memfd_create, memfd_secret, shmget, io_uring_setup; the last is not memory, but a way around such filters
_CALLS = {"x86_64": (0xC000003E, (319, 447, 29, 425)), "aarch64": (0xC00000B7, (279, 447, 194, 425))}


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("yes", ctypes.c_uint8),
        ("no", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(_Instruction)))


def refuse_hidden_memory() -> bool:
    """From now on the calls in `_CALLS` fail, here and in what is started; whether the kernel agreed."""
    known = _CALLS.get(platform.machine())
    if known is None or not sys.platform.startswith("linux"):
        return False
    architecture, numbers = known
    lines = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _ERROR | _NOT_THERE),
        (_LOAD, 0, 0, 0),
    ]
    if platform.machine() == "x86_64":  # the other calling convention, x32, sets bit 30 in its numbers
        lines += [(_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, _ERROR | _NOT_THERE)]
    for number in numbers:
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERROR | _NOT_PERMITTED)]
    lines += [(_RETURN, 0, 0, _ALLOW)]
    instructions = (_Instruction * len(lines))(*lines)
    program = _Program(len(lines), instructions)
    libc = _libc()
    with contextlib.suppress(AttributeError):
        if not libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
            return libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0) == 0
    return False
