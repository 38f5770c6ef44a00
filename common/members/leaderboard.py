"""Who made VGG-16 smallest, and at what loss of accuracy: ranks, ties, and the Pareto front.

All files are compared with the same network, whatever has become of its layers: the ratio is the dense
float32 bytes of the whole VGG-16 over those of the file, and the drop is counted from the course's trained
baseline. First come the files that meet the course's targets, the smallest first; then the others. Files of
the same size and accuracy share a rank.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from common.base.files import ROOT, whole_file
from common.base.results import read_result
from common.base.text import json_text
from common.members.checking import RESULTS, one_short_line
from common.members.folders import member_folder, member_names, read_regular
from common.report.pareto import pareto_front
from common.report.targets import COURSE_DROP_POINTS, COURSE_RATIO
from common.sandbox.run import Limits, run_limited
from common.sandbox.work_copy import environment, readable, work_copy

# ----------------------------------------------------------------------------------------------------
# The .dcz files that members hand in for the leaderboard: found, measured in a sandbox, remembered.
#
# They lie in ``members/<name>/capstone/``, at most three per member, of at most 16 MB each. A file is data:
# nothing in it is executed, and a process of its own, with limits, decodes it. What was measured is kept
# under the file's SHA-256.

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
        Of `common.report.sizes.size_report`: file bits over all weights, and the fraction of zeros.
    top1 : float or None
        Accuracy, a fraction; None when it was not measured.
    n_test : int or None
        How many images of CIFAR-10's test set were used.
    problem : str
        Why it does not count, in one line; empty when it does.
    weights : str
        SHA-256 of the decoded weights: equal for equal networks, however they are packed.
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
    weights: str = ""


def measure_entries(
    *,
    root: Path = ROOT,
    results: Path = RESULTS,
    first: int | None = None,
    limits: Limits = ENTRY_LIMITS,
    say=lambda text: None,
    names: Sequence[str] | None = None,
) -> list[Entry]:
    """Every file that was handed in, measured; those measured before are not measured again.

    Parameters
    ----------
    root : Path
        The repository.
    results : Path
        Where measurements are kept.
    first : int, optional
        Use only so many test images: for this repository's own tests.
    limits : Limits
        Of the process that decodes and evaluates a file.
    say : callable
        Called with a line of text before a file is measured: which file, and how many there are.
    names : sequence of str, optional
        Only these members.

    Returns
    -------
    list of Entry
        Also of the files that do not count; their `problem` says why.
    """
    names = member_names(root) if names is None else names
    files = [(name, place, path) for name in names for place, path in entry_files(name, root)]
    found = []
    for number, (name, place, path) in enumerate(files, 1):
        entry = Entry(name, one_short_line(path.name))
        counted = lambda text, number=number: say(f"{number} of {len(files)}: {text}")  # noqa: E731
        found.append(_entry(entry, place, path, root, results, first, limits, counted))
    return found


def entry_files(name: str, root: Path = ROOT) -> list[tuple[int, Path]]:
    """A member's ``.dcz`` files (in any case of letters) in the order of names, with their numbers from 0."""
    folder = root / "members" / name / "capstone"
    if folder.is_symlink() or folder.parent.is_symlink() or not folder.is_dir():
        return []
    return list(enumerate(sorted(path for path in folder.iterdir() if path.suffix.lower() == ".dcz")))


def check_entries(
    name: str, *, root: Path = ROOT, results: Path = RESULTS, limits: Limits = ENTRY_LIMITS
) -> list[Entry]:
    """One member's files, measured: what a member wants to know before handing in.

    Raises
    ------
    ValueError
        There is no such member.
    """
    member_folder(name, root)
    return [
        _entry(
            Entry(name, one_short_line(path.name)),
            place,
            path,
            root,
            results,
            None,
            limits,
            lambda text: None,
        )
        for place, path in entry_files(name, root)
    ]


def other_entries(
    name: str, *, root: Path = ROOT, results: Path = RESULTS
) -> tuple[list[Entry], tuple[int, ...]]:
    """Everybody else's files, as far as they were measured on this machine before; nothing is measured now.

    Returns
    -------
    known : list of Entry
    unknown : tuple of int
        Bytes of each file that has not been measured here.
    """
    known, unknown = [], []
    for member in member_names(root):
        for place, path in entry_files(member, root):
            if member == name or place >= MAX_ENTRIES:
                continue
            try:
                data = read_regular(path, MAX_ENTRY)
            except ValueError:
                continue  # it counts nowhere
            sha256 = hashlib.sha256(data).hexdigest()
            entry = Entry(member, one_short_line(path.name), sha256, len(data))
            try:
                figures = json.loads(read_regular(results / "entries" / f"{sha256}.json", 10_000))
            except (ValueError, RecursionError):
                unknown.append(len(data))
            else:
                known.append(_checked(entry, figures, None))
    return known, tuple(unknown)


def rank_text(place: Place, n_files: int, unknown: Sequence[int] = ()) -> str:
    """The rank that a file would take; a range of ranks where others' files are not measured here.

    Parameters
    ----------
    place : Place
        The file's place among those that are measured.
    n_files : int
        How many are measured.
    unknown : sequence of int
        Bytes of each file that is not. A file that meets the targets is overtaken by smaller ones only, any
        other by every one of them.

    Examples
    --------

    >>> good = Place(Entry("ada", "a.dcz", file_bytes=400_000), 3, 150.0, 1.0, True, False)
    >>> rank_text(good, 7), rank_text(good, 7, [300_000, 500_000])
    ('rank 3 of 7', 'rank 3 or 4 of 9')
    """
    ahead = sum(n_bytes <= place.entry.file_bytes or not place.meets_targets for n_bytes in unknown)
    last = place.rank + ahead
    ranks = f"{place.rank}" if not ahead else f"{place.rank} {'or' if ahead == 1 else 'to'} {last}"
    return f"rank {ranks} of {n_files + len(unknown)}"


def entries_report(entries: Sequence[Entry], board: Leaderboard, unknown: Sequence[int] = ()) -> str:
    """What `check_entries` found, as text, a line per file.

    Parameters
    ----------
    entries : sequence of Entry
        One member's.
    board : Leaderboard
        Of these entries, and of those of others that are known.
    unknown : sequence of int
        Bytes of others' files that have not been measured.
    """
    if not entries:
        return "capstone/ holds no .dcz file yet: `dnnc compress` makes one."
    own = {entry.member for entry in entries}
    places = {place.entry.file: place for place in board.places if place.entry.member in own}
    lines = []
    for entry in entries:
        place = places.get(entry.file)
        if place is None:
            lines.append(f"capstone/{entry.file}: does not count: {entry.problem}")
            continue
        met = "meets the course's targets" if place.meets_targets else "misses the course's targets"
        lines.append(
            f"capstone/{entry.file}: {entry.file_bytes:,} bytes, {place.ratio:.1f}× smaller, "
            f"top-1 {entry.top1:.2%}, {place.drop_points:.2f} points below the baseline: {met}; "
            f"{rank_text(place, len(board.places), unknown)} on the leaderboard"
        )
    if unknown and places:
        files = "file" if len(unknown) == 1 else "files"
        lines.append(
            f"{len(unknown)} {files} of others not measured on this machine: "
            "`dnnc members board` does, a minute or two each"
        )
    return "\n".join(lines)


def _entry(entry: Entry, place: int, path: Path, root: Path, results: Path, first, limits, say) -> Entry:
    try:
        if place >= MAX_ENTRIES:
            raise ValueError(f"only the first {MAX_ENTRIES} files of a member count")
        data = read_regular(path, MAX_ENTRY)
    except ValueError as error:
        return _invalid(entry, error)
    return _known_or_measured(entry, data, root, results, first, limits, say)


def _known_or_measured(entry: Entry, data: bytes, root: Path, results: Path, first, limits, say) -> Entry:
    sha256 = hashlib.sha256(data).hexdigest()
    entry = Entry(entry.member, entry.file, sha256, len(data))
    kept = results / "entries" / f"{sha256}{f'-{first}' if first else ''}.json"
    try:
        figures = json.loads(read_regular(kept, 10_000))
        if isinstance(figures, dict) and "top1" in figures and "weights" not in figures:
            raise ValueError("measured by an earlier version, which did not tell the weights")
    except ValueError:
        say(f"{entry.member}/{entry.file}: {len(data):,} bytes")
        figures = measure_file(data, root=root, first=first, limits=limits)
        # missing images, or a limit passed, may be this machine's fault: next time the file is measured again
        if not {"missing", "stopped"} & set(figures):
            with whole_file(kept) as aside:
                aside.write_text(json_text(figures, indent=None))
    return _checked(entry, figures, first)


def measure_file(data: bytes, *, root: Path = ROOT, first: int | None = None, limits: Limits) -> dict:
    """What `common.sandbox.entry.measure` finds, in a process of its own.

    Where that process ends badly: ``{"stopped": the limit}`` or ``{"error": why}``.
    """
    _fetch_images()
    with work_copy(None, root=root) as base:
        source, result = base / "entry.dcz", base / "result.json"
        source.write_bytes(data)
        finished = run_limited(
            [sys.executable, "-m", "common.sandbox.entry", str(source), str(result), str(first or 0)],
            folder=base,
            limits=limits,
            environment=environment(base),
            readable=readable(root),
        )
        if finished.stopped:
            return {"stopped": f"decoding or evaluating it took {finished.stopped}"}
        try:
            return json.loads(read_regular(result, 10_000))
        except ValueError:
            said = finished.output.strip().splitlines()
            return {"error": f"the process that decoded it ended ({said[-1] if said else finished.code})"}


@functools.cache
def _fetch_images() -> None:
    """Download CIFAR-10 into the cache, where that is possible: the sandbox has no network."""
    from common.data.datasets import load_dataset

    with contextlib.suppress(OSError, ValueError):
        load_dataset("cifar10", "test")


def _checked(entry: Entry, figures: object, first: int | None) -> Entry:
    """The entry with its measured figures, or with a problem where they are missing or cannot be right."""
    if not isinstance(figures, dict):
        return _invalid(entry, "its measurement makes no sense: delete it, and measure again")
    if why := figures.get("error") or figures.get("stopped"):
        return _invalid(entry, why)
    if course_file := figures.get("course_file"):
        return _invalid(
            entry, f"its weights are those of the course's own {course_file}: shown, and not ranked"
        )
    if figures.get("missing"):
        return _invalid(entry, f"not measured: {figures['missing']}")
    numbers = {key: figures.get(key) for key in ("bits_per_weight", "sparsity", "top1", "n_test")}
    is_sound = all(type(value) in (int, float) and math.isfinite(value) for value in numbers.values())
    if not is_sound or not 0 <= numbers["top1"] <= 1 or numbers["n_test"] != (first or 10_000):
        return _invalid(entry, "its measurement makes no sense: delete it, and measure again")
    weights = figures.get("weights")
    return Entry(**(asdict(entry) | numbers | {"weights": weights if isinstance(weights, str) else ""}))


def _invalid(entry: Entry, why: object) -> Entry:
    return Entry(**(asdict(entry) | {"problem": one_short_line(why)}))


BASELINE = ROOT / "capstone" / "results" / "baseline.json"


@dataclass(frozen=True)
class Place:
    """One row of the leaderboard.

    Attributes
    ----------
    rank : int
        From 1; equal files share one, and the next rank is that much further.
    ratio : float
        Dense float32 bytes of VGG-16 over the file's bytes.
    drop_points : float
        Percentage points of top-1 accuracy below the baseline; negative for a better network.
    meets_targets : bool
        Whether ratio and drop are as the course asks.
    is_on_front : bool
        Whether it is on the Pareto front: no other file is smaller and as accurate, or more accurate and as
        small.
    same_as : tuple of str
        Members who handed in the very same network, packed alike or not.
    """

    entry: Entry
    rank: int
    ratio: float
    drop_points: float
    meets_targets: bool
    is_on_front: bool
    same_as: tuple[str, ...] = ()


@dataclass(frozen=True)
class Leaderboard:
    """Places, the best first; and the files that do not count, each with its reason."""

    places: tuple[Place, ...]
    invalid: tuple[Entry, ...]
    dense_bytes: int
    baseline_top1: float


def rank_entries(
    entries: Sequence[Entry], *, dense_bytes: int | None = None, baseline_top1: float | None = None
) -> Leaderboard:
    """Rank what was measured.

    Parameters
    ----------
    entries : sequence of Entry
        Those with a problem are not ranked.
    dense_bytes : int, optional
        Bytes of the dense network; by default four per parameter of the course's trained baseline.
    baseline_top1 : float, optional
        Its accuracy, a fraction; by default the baseline's.
    """
    if dense_bytes is None or baseline_top1 is None:
        figures = read_result(BASELINE)["figures"]
        dense_bytes = dense_bytes or 4 * figures["parameters"]
        baseline_top1 = baseline_top1 if baseline_top1 is not None else figures["top1"]
    rows = []
    for entry in entries:
        if not entry.problem and entry.top1 is not None:
            drop = round(100 * (baseline_top1 - entry.top1), 6)
            rows.append((entry, dense_bytes / entry.file_bytes, drop))
    keys = {entry: _key(ratio, drop) for entry, ratio, drop in rows}
    rows.sort(key=lambda row: (keys[row[0]], row[0].member, row[0].file))
    costs = pareto_front(((-ratio, drop) for _, ratio, drop in rows), lambda pair: pair)
    front = {(-cost, drop) for cost, drop in costs}
    ordered = [keys[entry] for entry, *_ in rows]
    places = tuple(
        Place(
            entry,
            1 + ordered.index(keys[entry]),
            ratio,
            drop,
            not keys[entry][0],
            (ratio, drop) in front,
            tuple(
                sorted(
                    {
                        one.member
                        for one, *_ in rows
                        if one.member != entry.member
                        and (one.sha256 == entry.sha256 or (one.weights and one.weights == entry.weights))
                    }
                )
            ),
        )
        for entry, ratio, drop in rows
    )
    return Leaderboard(places, tuple(one for one in entries if one.problem), dense_bytes, baseline_top1)


def _key(ratio: float, drop: float) -> tuple[bool, float, float]:
    return (not (ratio >= COURSE_RATIO and drop < COURSE_DROP_POINTS), -ratio, drop)
