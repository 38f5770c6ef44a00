"""Every method's files as points of one map: bytes against accuracy, ours from stored results, and published.

A point is a mapping with ``method``, ``label``, ``network``, ``dataset``, ``file_bytes``, ``dense_bytes``,
``top1``, ``baseline_top1`` (both in [0, 1]) and ``note``. The reproductions store theirs under ``points``;
those of the pipeline (prune, share, Huffman-code) are made here from the capstone's results. A result that
has not been made yet is not skipped in silence: `Gathered.missing` names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.base.results import read_result
from common.experiments import EXPERIMENTS, ROOT, STUDY
from common.experiments.low_rank import PUBLISHED as LOW_RANK_PUBLISHED
from common.networks.shapes import dense_bytes_of
from common.report.pareto import pareto_front
from common.report.published import PUBLISHED, PublishedResult

PIPELINE = "prune, share, code"
KEYS = ("method", "label", "network", "dataset", "file_bytes", "dense_bytes", "top1", "baseline_top1", "note")
_OTHER_SHAPE = ("alexnet", "choices", "lenets", "vgg16")  # no points, or those of `pipeline_points`


@dataclass(frozen=True)
class Gathered:
    """All points, and the commands that make the results that are not there yet (`missing`)."""

    points: tuple[dict, ...]
    missing: tuple[str, ...]

    def of(self, network: str, dataset: str) -> list[dict]:
        """The points of one network on one data set."""
        return [p for p in self.points if (p["network"], p["dataset"]) == (network, dataset)]

    @property
    def panels(self) -> list[tuple[str, str]]:
        """Every (network, dataset) that has points, in the order of the points."""
        return list(dict.fromkeys((point["network"], point["dataset"]) for point in self.points))


def gather(root: str | Path = ROOT) -> Gathered:
    """Read every stored result of the repository.

    Raises
    ------
    ValueError
        A stored point lacks one of its entries.
    """
    root = Path(root)
    points, missing = pipeline_points(root)
    for name, entry in EXPERIMENTS.items():
        if name in _OTHER_SHAPE or entry.command == STUDY:
            continue
        path = root / entry.result
        if not path.exists():
            missing.append(f"dnnc reproduce {name}")
            continue
        for point in read_result(path)["figures"].get("points", ()):
            lacking = [key for key in KEYS if key not in point]
            if lacking:
                raise ValueError(
                    f"{entry.result}: a point without {', '.join(lacking)}: make it again with "
                    f"`{entry.command} {name}`"
                )
            points.append({key: point[key] for key in KEYS})
    return Gathered(tuple(points), tuple(missing))


def pipeline_points(root: str | Path = ROOT) -> tuple[list[dict], list[str]]:
    """The capstone's files as points, and the commands that make the results that are not there yet."""
    folder, points, missing = Path(root) / "capstone" / "results", [], []
    if (folder / "lenets.json").exists():
        for row in read_result(folder / "lenets.json")["figures"]["points"]:
            points.append(_pipeline_point(row))
    else:
        missing.append("dnnc reproduce lenets")
    if (folder / "operating_points.json").exists():
        for row in read_result(folder / "operating_points.json")["figures"].values():
            points.append(_pipeline_point(row))
    else:
        missing.append("dnnc capstone --profile full")
    return points, missing


def published_points(network: str, dataset: str) -> tuple[list[dict], list[tuple[str, str]]]:
    """Published files of a network, and what cannot be drawn.

    Returns
    -------
    list of dict
        ``method``, ``file_bytes``, ``error`` (percent), ``is_quoted``: whether the figure is second-hand.
    list of (method, reason)
        Methods without an error, or without a size that counts the whole file.
    """
    if (network, dataset) not in {("lenet_300_100", "mnist"), ("lenet_5", "mnist"), ("vgg16", "cifar10")}:
        return [], []
    drawn, left_out = [], []
    for row in PUBLISHED[network]:
        reason = _why_not(row)
        if reason:
            left_out.append((row.method, reason))
            continue
        size = row.compressed_bytes
        if size is None:
            size = round(dense_bytes_of({"architecture": network, "num_classes": 10}) / row.ratio)
        drawn.append({"method": row.method, "file_bytes": size, "error": row.error, "is_quoted": row.quoted})
    left_out += [
        (row["method"], f"says that {row['ratio']:g}× cost {row['drop_points']:g} points, and gives no error")
        for row in LOW_RANK_PUBLISHED
        if row["network"] == network
    ]
    return drawn, left_out


def drop_points(point: Mapping) -> float:
    """Percentage points that a file loses against its own baseline."""
    return 100 * (point["baseline_top1"] - point["top1"])


def error_percent(point: Mapping) -> float:
    """Top-1 error of the network decoded from a file, in percent."""
    return 100 * (1 - point["top1"])


def front(points: list[dict]) -> list[dict]:
    """The Pareto front of bytes and test error, the smallest file first."""
    return pareto_front(points, lambda point: (point["file_bytes"], -point["top1"]))


def _why_not(row: PublishedResult) -> str:
    if row.counts != "file":
        return "counts parameters, not bytes"
    return "" if row.error is not None else "gives no error"


def _pipeline_point(row: Mapping) -> dict:
    file = row["file"].removesuffix(".dcz")
    return {
        "method": PIPELINE,
        "label": next((size for size in ("small", "tiny") if file.endswith(f"_{size}")), "main"),
        "file_bytes": row["file_bytes"],
        "dense_bytes": row["dense_bytes"],
        "note": f"capstone/{row['file']}",
        **{key: row[key] for key in ("network", "dataset", "top1", "baseline_top1")},
    }
