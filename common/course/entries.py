"""The .dcz files that members hand in for the leaderboard: found, measured in a sandbox, remembered.

They lie in ``members/<name>/capstone/``, at most three each, of at most 16 MB. A file is data: nothing in it
is executed, and a process of its own, with limits, decodes it. What was measured is kept by the file's
SHA-256.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from common.course.folders import member_names, read_regular
from common.course.sandbox import Limits, run_limited
from common.course.week_results import RESULTS, one_short_line
from common.course.work_copy import environment, work_copy
from common.whole_file import whole_file

ROOT = Path(__file__).resolve().parents[2]
MAX_ENTRY = 16 << 20
MAX_ENTRIES = 3
ENTRY_LIMITS = Limits(seconds=900, processes=16, folder_bytes=64 << 20)


@dataclass(frozen=True)
class Entry:
    """One file on the leaderboard.

    Attributes
    ----------
    member, file : str
        Who, and the file's name.
    sha256 : str
        Of its bytes; empty when it could not be read.
    file_bytes : int
    bits_per_weight, sparsity : float
    top1 : float or None
        None when it was not measured.
    n_test : int or None
        Images of CIFAR-10's test set.
    problem : str
        Why it does not count, in one line; empty when it does.
    """

    member: str
    file: str
    sha256: str = ""
    file_bytes: int = 0
    bits_per_weight: float = 0.0
    sparsity: float = 0.0
    top1: float | None = None
    n_test: int | None = None
    problem: str = ""


def measure_entries(
    *, root: Path = ROOT, results: Path = RESULTS, first: int | None = None, limits: Limits = ENTRY_LIMITS,
    say=lambda text: None,
) -> list[Entry]:  # fmt: skip
    """Every file that was handed in, measured; those measured before are not measured again.

    Parameters
    ----------
    root : Path
        The repository.
    results : Path
        Where measurements are kept.
    first : int, optional
        Only so many test images: for tests.
    limits : Limits
        Of the process that decodes and evaluates a file.
    say : callable
        Told the name of each file before it is measured.
    """
    found = []
    for name in member_names(root):
        folder = root / "members" / name / "capstone"
        if folder.is_symlink() or folder.parent.is_symlink() or not folder.is_dir():
            continue
        for place, path in enumerate(sorted(folder.glob("*.dcz"))):
            entry = Entry(name, one_short_line(path.name))
            try:
                if place >= MAX_ENTRIES:
                    raise ValueError(f"only the first {MAX_ENTRIES} files of a member count")
                data = read_regular(path, MAX_ENTRY)
            except ValueError as error:
                found.append(_invalid(entry, error))
                continue
            found.append(_known_or_measured(entry, data, root, results, first, limits, say))
    return found


def _known_or_measured(entry: Entry, data: bytes, root: Path, results: Path, first, limits, say) -> Entry:
    sha256 = hashlib.sha256(data).hexdigest()
    entry = Entry(entry.member, entry.file, sha256, len(data))
    kept = results / "entries" / f"{sha256}{f'-{first}' if first else ''}.json"
    try:
        figures = json.loads(read_regular(kept, 10_000))
    except ValueError:
        say(f"{entry.member}/{entry.file}: {len(data):,} bytes")
        figures = measure_file(data, root=root, first=first, limits=limits)
        if not {"missing", "stopped"} & set(
            figures
        ):  # those may be the machine's fault, and go on trial again
            with whole_file(kept) as aside:
                aside.write_text(json.dumps(figures))
    return _checked(entry, figures, first)


def measure_file(data: bytes, *, root: Path = ROOT, first: int | None = None, limits: Limits) -> dict:
    """What `measure_entry` finds in a process of its own.

    When that ends badly, ``{"stopped": the limit}`` or ``{"error": why}``.
    """
    _fetch_images()
    with work_copy(None, root=root) as base:
        source, result = base / "entry.dcz", base / "result.json"
        source.write_bytes(data)
        finished = run_limited(
            [sys.executable, "-m", "common.course.measure_entry", str(source), str(result), str(first or 0)],
            folder=base, limits=limits, environment=environment(base),
        )  # fmt: skip
        if finished.stopped:
            return {"stopped": f"decoding or evaluating it took {finished.stopped}"}
        try:
            return json.loads(read_regular(result, 10_000))
        except ValueError:
            said = finished.output.strip().splitlines()
            return {"error": f"the process that decoded it ended ({said[-1] if said else finished.code})"}


@functools.cache
def _fetch_images() -> None:
    """CIFAR-10 into the cache, where it may be downloaded: the sandbox has no network."""
    from common.datasets import load_dataset

    with contextlib.suppress(OSError, ValueError):
        load_dataset("cifar10", "test")


def _checked(entry: Entry, figures: object, first: int | None) -> Entry:
    """The entry with its figures, where they can be what they should."""
    if not isinstance(figures, dict):
        return _invalid(entry, "its measurement makes no sense: delete it, and measure again")
    if why := figures.get("error") or figures.get("stopped"):
        return _invalid(entry, why)
    if figures.get("missing"):
        return _invalid(entry, f"not measured: {figures['missing']}")
    numbers = {key: figures.get(key) for key in ("bits_per_weight", "sparsity", "top1", "n_test")}
    is_sound = all(type(value) in (int, float) and math.isfinite(value) for value in numbers.values())
    if not is_sound or not 0 <= numbers["top1"] <= 1 or numbers["n_test"] != (first or 10_000):
        return _invalid(entry, "its measurement makes no sense: delete it, and measure again")
    return Entry(**(asdict(entry) | numbers))


def _invalid(entry: Entry, why: object) -> Entry:
    return Entry(**(asdict(entry) | {"problem": one_short_line(why)}))
