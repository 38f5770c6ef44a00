"""Who made VGG-16 smallest, and at what price: ranks, ties, and the Pareto front.

All are compared with the same network, whatever theirs has become on the way: the ratio is the dense
float32 bytes of the whole VGG-16 over those of the file, the drop is counted from the course's trained
baseline. First come the files that meet the course's targets, the smallest first; then the others. Files of
the same size and accuracy share a rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.course.entries import Entry
from common.results import read_result
from common.targets import COURSE_DROP_POINTS, COURSE_RATIO

ROOT = Path(__file__).resolve().parents[2]
BASELINE = ROOT / "capstone" / "results" / "baseline.json"


@dataclass(frozen=True)
class Place:
    """One row of the leaderboard.

    Attributes
    ----------
    rank : int
        From 1; equal files share one, and the next rank is that much further.
    ratio : float
    drop_points : float
        Percentage points below the baseline; negative for a better network.
    meets_targets : bool
        Ratio and drop are as the course asks.
    is_on_front : bool
        No other file is smaller and as accurate, or more accurate and as small.
    same_as : tuple of str
        Members who handed in the very same bytes.
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
    """Order what was measured.

    Parameters
    ----------
    entries : sequence of Entry
    dense_bytes, baseline_top1 : optional
        Of the dense network; by default those of the course's trained baseline.
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
    ordered = [keys[entry] for entry, *_ in rows]
    places = tuple(
        Place(
            entry, 1 + ordered.index(keys[entry]), ratio, drop, not keys[entry][0],
            is_on_front((ratio, drop), [(other, lost) for _, other, lost in rows]),
            tuple(sorted({
                one.member for one, *_ in rows if one.sha256 == entry.sha256 and one.member != entry.member
            })),
        )
        for entry, ratio, drop in rows
    )  # fmt: skip
    return Leaderboard(places, tuple(one for one in entries if one.problem), dense_bytes, baseline_top1)


def is_on_front(point: tuple[float, float], others: Sequence[tuple[float, float]]) -> bool:
    """Whether no other (ratio, drop) is at least as good in both, and better in one.

    >>> points = [(100, 0.5), (200, 1.0), (150, 1.0), (200, 1.0)]
    >>> [is_on_front(point, points) for point in points]
    [True, True, False, True]
    """
    ratio, drop = point
    return not any(
        other >= ratio and lost <= drop and (other > ratio or lost < drop) for other, lost in others
    )


def _key(ratio: float, drop: float) -> tuple[bool, float, float]:
    return (not (ratio >= COURSE_RATIO and drop < COURSE_DROP_POINTS), -ratio, drop)
