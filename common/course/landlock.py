"""Landlock: a process gives up its right to write outside one folder, and its children cannot take it back.

A Linux kernel from 5.13 on can do it for any user, without set-up (``man 7 landlock``); newer ones can also
refuse TCP and signals to processes outside. Reading is left as it was.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

# System calls have these numbers on every architecture of Linux.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES = 38  # prctl

_WRITE_FILE = 1 << 1
# remove a folder, a file; make a device, folder, file, socket, pipe, block device, link
_CHANGES = sum(1 << bit for bit in range(4, 13))
_MOVE_BETWEEN_FOLDERS, _TRUNCATE = 1 << 13, 1 << 14  # from versions 2 and 3 on
_TCP = 0b11  # bind, connect: from version 4 on
_SCOPES = 0b11  # abstract sockets, signals: from version 6 on
_HARMLESS = ("/dev/null", "/dev/zero", "/dev/full")


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


def write_only_below(folder: str | Path) -> tuple[str, ...]:
    """From now on, this process and those that it starts write below `folder` only.

    Returns
    -------
    tuple of str
        What is refused: ``writes`` elsewhere, ``tcp``, ``signals`` to other processes; empty where the kernel
        has no Landlock.

    Raises
    ------
    OSError
        The kernel has it, and refuses.
    """
    version = landlock_version()
    if not version:
        return ()
    writes = _WRITE_FILE | _CHANGES
    writes |= (_MOVE_BETWEEN_FOLDERS if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    asked = (writes, _TCP, _SCOPES)[: 1 + (version >= 4) + (version >= 6)]
    attributes = (ctypes.c_uint64 * len(asked))(*asked)
    ruleset = _call(_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(ctypes.sizeof(attributes)), 0)
    try:
        _allow(ruleset, folder, writes)
        for device in filter(os.path.exists, _HARMLESS):
            _allow(ruleset, device, _WRITE_FILE)
        if _libc().prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "no_new_privs")
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return ("writes", "tcp", "signals")[: len(asked)]


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
