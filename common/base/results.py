"""Results as JSON, with all that is needed to reproduce them: no number in the tables is typed by hand.

A file holds::

    format      1
    figures     the measured values, as given
    command     the command line that made them
    commit      the git commit of the code, ``-dirty`` when tracked files other than results and
                `.dcz` had been changed; outside git, what ``DNNC_COMMIT`` says, or null
    date        when, in UTC
    seed        the seed, null when nothing was random
    dataset     name and SHA-256 of every image set that was used
    device      name of the device, such as ``cpu`` or ``cuda``
    machine     processor, its widest vector instructions, cores, memory, operating system, and the GPU if any
    versions    those of Python and of the libraries that influence the figures
    sha256      checksum of all the above, so that a figure edited by hand is noticed
"""

import hashlib
import json
import math
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from common.base.files import ROOT, whole_file

FORMAT = 1
_LIBRARIES = ("numpy", "scipy", "numba", "torch", "torchvision", "safetensors", "scikit-learn")
_OUTPUTS = (":(exclude)*/results/*", ":(exclude)*.dcz")


class ResultError(ValueError):
    """A result file is damaged, was edited, or has another format."""


def write_result(
    path: str | Path,
    figures: Mapping[str, Any],
    *,
    command: str | Sequence[str],
    seed: int | None,
    dataset: Any,
    device: Any,
) -> dict[str, Any]:
    """Write measured figures and how they were made; the file is replaced whole or not at all.

    Parameters
    ----------
    path : path
        Its folder is made when missing.
    figures : mapping
        From strings to numbers, strings, booleans, None, and lists and mappings of them; NumPy's scalars and
        arrays are converted. NaN and infinity are refused: JSON does not have them.
    command : str or sequence of str
        As typed in a shell, or as in ``sys.argv``.
    seed : int or None
        None when nothing was random.
    dataset : ImageSet, mapping with ``name`` and ``sha256``, a sequence of these, or None
        The image sets that were used.
    device : str or torch.device
        Where it was computed.

    Returns
    -------
    dict
        What was written.

    Raises
    ------
    ValueError
        When a figure cannot be written as JSON.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "result.json"
    >>> _ = write_result(path, {"ratio": 9.5}, command="dnnc compress", seed=0, dataset=None, device="cpu")
    >>> read_result(path)["figures"]["ratio"]
    9.5
    """
    content = {
        "format": FORMAT,
        "figures": _plain(figures, "figures"),
        "command": command if isinstance(command, str) else " ".join(map(str, command)),
        "commit": code_commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "dataset": _dataset_ids(dataset),
        "device": str(device),
        "machine": machine(),
        "versions": versions(),
    }
    content["sha256"] = _checksum(content)
    text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
    with whole_file(path) as aside:
        aside.write_text(f"{text}\n", encoding="utf-8")
    return content


def read_result(path: str | Path) -> dict[str, Any]:
    """Read a file of `write_result`.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ResultError
        When it is not a result, has another format, or was changed since it was written.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ResultError(f"{path} is not JSON: {error}; make it again with its command") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise ResultError(f"{path} has format {found}, expected {FORMAT}; make it again with its command")
    if content.get("sha256") != _checksum(content):
        command = content.get("command")
        raise ResultError(f"{path} was changed since it was written; make it again with: {command}")
    return content


_started: list[str | None] = []


@contextmanager
def commit_of_start():
    """Context, or decorator, in which results name the commit at its beginning (`code_commit`).

    A measurement takes hours, and its code was read when it began. What is committed meanwhile did not make
    its figures. In a context within another one the outer one's commit counts.
    """
    _started.append(_started[0] if _started else git_commit())
    try:
        yield
    finally:
        _started.pop()


def code_commit() -> str | None:
    """Return the commit for a result: that of `commit_of_start`, or outside of it the present one."""
    return _started[0] if _started else git_commit()


def git_commit() -> str | None:
    """Return the commit of the code that runs, with ``-dirty`` when tracked files differ from it.

    Results and `.dcz` files do not count: a command that stores results after each part would otherwise find
    its own code changed. Outside git, for example in a copy on a rented machine, it is the value of
    ``DNNC_COMMIT`` in the environment, or None.

    Raises
    ------
    ResultError
        When ``DNNC_COMMIT`` is not 40 hexadecimal digits.
    """
    if not (ROOT / ".git").exists():
        told = os.environ.get("DNNC_COMMIT") or None
        if told is not None and not re.fullmatch(r"[0-9a-f]{40}(-dirty)?", told):
            raise ResultError(f"DNNC_COMMIT is {told!r}: expected 40 hexadecimal digits of a git commit")
        return told
    try:
        commit = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *_OUTPUTS)
        return commit + "-dirty" if changed else commit
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout.strip()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed libraries that influence the figures."""
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Return what the figures were measured on, without anything that shows whose it is: host name, path."""
    found: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "vectors": _vectors(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
    }
    torch = sys.modules.get("torch")  # a program that never imported torch did not compute on a GPU
    if torch is not None and torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _vectors() -> str:
    """Return the widest vector instructions, which the processor's name does not always show."""
    with suppress(OSError):
        flags = set(Path("/proc/cpuinfo").read_text().split())
        return next((name for name in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if name in flags), "")
    return ""


def _dataset_ids(dataset: Any) -> list[dict[str, str]]:
    if dataset is None:
        return []
    if isinstance(dataset, Mapping):
        return [{"name": dataset["name"], "sha256": dataset["sha256"]}]
    if isinstance(dataset, Sequence) and not isinstance(dataset, str):
        return [identity for one in dataset for identity in _dataset_ids(one)]
    return [{"name": dataset.name, "sha256": dataset.sha256}]


def _plain(value: Any, where: str) -> Any:
    """Return the value in JSON's types; `where` is its place, for the message."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist(), where)
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{where}[{position}]") for position, item in enumerate(value)]
    if isinstance(value, np.generic):
        return _plain(value.item(), where)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}, which JSON cannot hold; leave it out, or write None")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"{where} is a {type(value).__name__}, expected numbers, strings, lists and mappings")


def _checksum(content: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
