"""What a command of ``dnnc`` was given, checked before any work; and its errors, each in one line.

torch is imported only when a device is named: a wrong path is told at once.
"""

from __future__ import annotations

import os
from pathlib import Path

from common.markdown import printable


def input_file(path: Path) -> Path:
    """The path of a file that can be read.

    Raises
    ------
    OSError
        Nothing is there, something other than a file (a folder, a device that never ends), or it is locked.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there: check the path")
    if not path.is_file():
        raise OSError(f"{path} is no regular file: check the path")
    if not os.access(path, os.R_OK):
        raise PermissionError(f"{path} may not be read: change its permissions")
    return path


def output_file(path: Path, *, force: bool) -> Path:
    """A path where a file can be written; with `force` one that is there may be replaced.

    Raises
    ------
    ValueError
        The place is taken, or no place for a file.
    OSError
        Its folder cannot be written.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no regular file: choose another --out")
    if path.exists() and not force:
        raise ValueError(f"{path} exists: choose another --out, or add --force")
    if not path.parent.is_dir():
        raise ValueError(f"{path.parent} is no folder: make it, or choose another --out")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"{path.parent} may not be written: choose another --out")
    return path


def weights_file(path: Path) -> Path:
    """A path where `train` can write weights, its result as JSON beside them, and the folder if missing.

    Raises
    ------
    ValueError
        Another ending than ``.safetensors``, or no place for a file.
    OSError
        Its folder cannot be made or written.
    """
    if path.suffix != ".safetensors":
        raise ValueError(f"{path} ends in {path.suffix!r}: expected .safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    return output_file(path, force=True)


def device_name(name: str | None) -> str | None:
    """A device that this machine has; None, for the GPU if there is one, stays None.

    Raises
    ------
    ValueError
        Neither ``cpu`` nor a GPU that is there.
    """
    if name is None or name == "cpu":
        return name
    import torch

    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is not None and device.type == "cpu":
        return name
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device is not None and device.type == "cuda" and (device.index or 0) < n_gpus:
        return name
    found = f"or cuda ({n_gpus} there)" if n_gpus else "(there is no GPU)"
    raise ValueError(f"device {name!r}: expected cpu {found}")


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out: torch says so in a RuntimeError, on a GPU and on a CPU in other words."""
    return isinstance(error, MemoryError) or "memory" in str(error).lower()


def one_line(text: object) -> str:
    r"""The text in one line, and nothing in it that would steer a terminal.

    >>> one_line("a file\nnamed \x1b[2J")
    'a file named \\x1b[2J'
    """
    return printable(" ".join(str(text).split()))
