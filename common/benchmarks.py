"""`dnnc bench`: the benchmarks of tests/benchmarks, as JSON and as tables for the README.

The course's code is compared with *peers*, other libraries for the same work. Each benchmark describes itself
in its `extra_info` (tests/benchmarks/README.md):

peer
    What was measured: "this course" (or "this course, variant"), or the peer's name.
work, unit
    What one call does, such as 4.0 and "M symbols": the rate follows from it.
untimed
    True where the time means nothing, as when memory is measured: it is left out of the table.
anything else
    Becomes a column of its own.

A machine's speed changes within seconds, mostly by what its neighbours do, so one run of two codes that are
about equally fast says little about which is faster. All benchmarks run once; those within `_CLOSE` of ours
run in `SWEEPS` sweeps, each of ours and its close peers one after the other. A ratio is the median of the
sweeps' own ratios, and stands beside the lowest and the highest of them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median

from common.base.files import ROOT, whole_file
from common.base.results import code_commit, commit_of_start, machine, read_result, write_result
from common.base.text import markdown_table

FOLDER = ROOT / "tests" / "benchmarks"
RESULTS = ROOT / "capstone" / "results"
OURS = "this course"
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
PEERS = (
    *("bitarray", "constriction", "dahuffman", "zstandard", "scikit-learn", "kmeans1d", "scipy", "torch"),
    *("safetensors", "numpy", "numba", "zipnn"),
)
HEADLINES = (  # the lines in the README; bench.md has all groups
    "Huffman, encoding of 32 kinds",
    "Huffman, encoding of gaps",
    "Huffman, decoding of 32 kinds",
    "k-means, 32 clusters of 15,000,000 weights",
    "pruned layer alexnet.fc6, 4096 x 9216 at density 0.09, batch 1",
    "pruned layer vgg16.fc7, 4096 x 4096 at density 0.04, batch 1",
    "storage, 15M weights: file to dense weights",
    "storage, 134M weights: file to dense weights",
)
_KNOWN = ("peer", "kind", "work", "unit")
SWEEPS = 5
_CLOSE = 3.0  # a peer that is this many times slower than ours is measured once


@commit_of_start()
def main(arguments: Sequence[str] = (), *, results: Path = RESULTS) -> int:
    """Run the benchmarks on one thread and write ``bench.json`` and ``bench.md``.

    Parameters
    ----------
    arguments : sequence of str
        Passed on to pytest: ``-k "storage and 15M"`` runs some benchmarks only. Results of the others from an
        earlier run on this machine are kept.
    results : path
        Folder of the two files.

    Returns
    -------
    int
        pytest's exit code; nothing is written when it is not 0.
    """
    busy = too_busy()
    if busy:
        print(f"bench: {busy}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.json"
        sweeps: list[dict[str, list[dict]]] = []
        left_out: list[str] = []
        for _ in range(SWEEPS):
            code = _run_pytest(raw, arguments, left_out)
            if code:
                return code
            printed = json.loads(raw.read_text())
            sweeps.append(collect(printed))
            if len(sweeps) == 1:
                left_out = decided(printed, sweeps[0])
                if len(left_out) == len(printed["benchmarks"]):
                    break
        groups = together(sweeps)
    path = results / "bench.json"
    command = shlex.join(["dnnc", "bench", *arguments])
    now = {"command": command, "commit": code_commit(), "date": datetime.now(UTC).date().isoformat()}
    earlier = _still_valid(path)
    figures = {
        "groups": earlier["groups"] | groups,
        "measured": earlier["measured"] | dict.fromkeys(groups, now | {"busy": busy}),
        "versions": versions(),
        "busy": busy,
    }
    written = write_result(path, figures, command=command, seed=None, dataset=None, device="cpu")
    table = to_markdown(written)
    with whole_file(results / "bench.md") as aside:
        aside.write_text(table, encoding="utf-8")
    print(table)
    return 0


def too_busy() -> str:
    """Return a warning when other programs use the processor, so that times mean nothing; else ""."""
    load, n_cores = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0, os.cpu_count() or 1
    if load <= n_cores / 2:
        return ""
    return (
        f"load {load:.1f} on {n_cores} cores: too busy to measure; "
        "ratios within this run may hold, times do not"
    )


def versions() -> dict[str, str]:
    """Return the versions of the peers that are installed."""
    found = {}
    for name in PEERS:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _run_pytest(raw: Path, arguments: Sequence[str], left_out: Sequence[str]) -> int:
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(FOLDER),
        "--benchmark-only",
        f"--benchmark-json={raw}",
        "--benchmark-disable-gc",
        "--override-ini=python_files=bench_*.py",
        "--override-ini=python_functions=bench_* test_*",
        "-p",
        "no:cacheprovider",
        *arguments,
        *(f"--deselect={name}" for name in left_out),
    ]
    environment = os.environ | dict.fromkeys(_ONE_THREAD, "1") | {"DNNC_QUIET": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def collect(raw: Mapping) -> dict[str, list[dict]]:
    """Return the rows of each group from pytest-benchmark's JSON, ours first, then by speed.

    Returns
    -------
    dict of str to list of dict
        ``peer``, ``seconds`` (median of the rounds), ``rounds``; ``rate`` and ``unit`` where the benchmark
        gives its work; for peers ``ours_is_faster`` (their seconds for the same work over those of our
        fastest), where one of ours is in the group; and all other `extra_info`.
    """
    groups: dict[str, list[dict]] = {}
    for benchmark in raw["benchmarks"]:
        info, stats = benchmark["extra_info"], benchmark["stats"]
        row = {"peer": _peer(benchmark), "seconds": stats["median"], "rounds": stats["rounds"]}
        if "work" in info:
            row |= {"rate": info["work"] / stats["median"], "unit": info.get("unit", "calls")}
        row |= {key: value for key, value in info.items() if key not in _KNOWN}
        groups.setdefault(_group(benchmark), []).append(row)
    for rows in groups.values():
        rows.sort(key=lambda row: (not _is_ours(row), _slowness(row)))
        for row in rows:
            if _is_ours(rows[0]) and not _is_ours(row):
                row["ours_is_faster"] = _slowness(row) / _slowness(rows[0])
    return groups


def decided(raw: Mapping, groups: Mapping[str, Sequence[Mapping]]) -> list[str]:
    """Return pytest's names of the benchmarks whose result one sweep settles.

    What is left are the peers less than `_CLOSE` times slower than ours, and ours in the same groups.
    """
    close = {
        (group, row["peer"])
        for group, rows in groups.items()
        for row in rows
        if row.get("ours_is_faster", _CLOSE) < _CLOSE and not row.get("untimed")
    }
    close |= {
        (group, rows[0]["peer"]) for group, rows in groups.items() if group in {name for name, _ in close}
    }
    return [each["fullname"] for each in raw["benchmarks"] if (_group(each), _peer(each)) not in close]


def together(sweeps: Sequence[Mapping[str, Sequence[Mapping]]]) -> dict[str, list[dict]]:
    """Return the rows of the first sweep, with the medians of all sweeps in which a row was measured.

    Parameters
    ----------
    sweeps : sequence of dict
        Each of `collect`. A ratio compares rows of one sweep.

    Returns
    -------
    dict of str to list of dict
        As from `collect`; ``sweeps`` counts those of a row with more than one, and ``ratios`` has the lowest
        and the highest of its ratios.
    """
    groups = {}
    for group, rows in sweeps[0].items():
        merged = []
        for row in rows:
            same = [each for sweep in sweeps for each in sweep.get(group, ()) if each["peer"] == row["peer"]]
            kept = dict(row)
            for key in ("seconds", "rate", "ours_is_faster"):
                if key in row:
                    kept[key] = median(each[key] for each in same)
            if len(same) > 1:
                kept["sweeps"] = len(same)
                if "ours_is_faster" in row:
                    ratios = [each["ours_is_faster"] for each in same]
                    kept["ratios"] = [min(ratios), max(ratios)]
            merged.append(kept)
        groups[group] = sorted(merged, key=lambda row: (not _is_ours(row), _slowness(row)))
    return groups


def _group(benchmark: Mapping) -> str:
    return benchmark["group"] or benchmark["name"]


def _peer(benchmark: Mapping) -> str:
    info = benchmark["extra_info"]
    return info.get("peer", info.get("kind", benchmark["name"]))


def _slowness(row: Mapping) -> float:
    """Return the seconds per unit of work, since a slow peer may get less to do; or else per call."""
    return 1 / row["rate"] if "rate" in row else row["seconds"]


def _is_ours(row: Mapping) -> bool:
    return row["peer"].partition(",")[0] == OURS


def to_markdown(result: Mapping) -> str:
    """Return a written result (`results.write_result`) as one table per group, with machine and date."""
    lines = [_where(result)]
    for group, rows in sorted(result["figures"]["groups"].items()):
        lines += ["", f"**{group}**{_when(result, group)}", "", *_group_table(rows)]
    return "\n".join([*lines, ""])


def _when(result: Mapping, group: str) -> str:
    """Return commit and date of a group that was not measured by the last run; else ""."""
    how = result["figures"].get("measured", {}).get(group)
    if not how or (how["commit"], how["command"]) == (result["commit"], result["command"]):
        return ""
    busy = f"; {how['busy']}" if how["busy"] else ""
    return f" ({how['date']}, `{how['command']}`, commit {(how['commit'] or 'unknown')[:7]}{busy})"


def to_summary(result: Mapping) -> str:
    """Return a written result as one table: a line per headline that has peers, ours beside the fastest one.

    Where no headline was measured, the first groups by name are shown.
    """
    body = []
    groups = sorted(result["figures"]["groups"].items())
    chosen = [
        item for start in HEADLINES for item in groups if re.match(rf"{re.escape(start)}(?![0-9])", item[0])
    ]
    rest = [item for item in groups if item not in chosen and any("ours_is_faster" in row for row in item[1])]
    for group, rows in (chosen or rest)[: len(HEADLINES)]:
        peers = [row for row in rows if "ours_is_faster" in row]
        if peers:
            best = min(peers, key=lambda row: row["ours_is_faster"])
            ratio = f"{_digits(best['ours_is_faster'])}×{_spread(best)}"
            body.append(
                [group + _when(result, group), _speed(rows[0]), f"{best['peer']}: {_speed(best)}", ratio]
            )
    heads = ["what", OURS, "the fastest peer", "times as fast"]
    return "\n".join([_where(result), "", *markdown_table(heads, body), ""])


def _where(result: Mapping) -> str:
    machine = result["machine"]
    peers, busy = result["figures"].get("versions", {}), result["figures"].get("busy", "")
    swept = any("ratios" in row for rows in result["figures"]["groups"].values() for row in rows)
    cores = "1 core" if machine["cores"] == 1 else f"{machine['cores']} cores"
    return (
        f"Measured on {machine['processor']} ({cores}, {machine['memory_bytes'] / 1e9:.0f} GB, "
        f"{machine['system']}), one thread, {result['date'][:10]}, with `{result['command']}`. "
        "Ratios to peers of one run hold better than times."
        + (" In brackets: the lowest and the highest ratio of several sweeps." if swept else "")
        + (f" Peers: {', '.join(' '.join(peer) for peer in peers.items())}." if peers else "")
        + (f" **{busy[0].upper()}{busy[1:]}.**" if busy else "")
    )


def _speed(row: Mapping) -> str:
    return f"{_digits(row['rate'])} {row['unit']}/s" if "rate" in row else _duration(row["seconds"])


def _spread(row: Mapping) -> str:
    """Return the lowest and the highest ratio of the sweeps, in brackets; "" after a single sweep."""
    return f" ({_digits(row['ratios'][0])} to {_digits(row['ratios'][1])})" if "ratios" in row else ""


def _group_table(rows: Sequence[Mapping]) -> list[str]:
    fixed = ("peer", "seconds", "rounds", "rate", "unit", "untimed", "ours_is_faster", "sweeps", "ratios")
    extras = list(dict.fromkeys(key for row in rows for key in row if key not in fixed))
    units = sorted({row["unit"] for row in rows if "unit" in row})
    heads = ["", "time", *(f"{unit}/s" for unit in units), *extras, "ours is"]
    body = []
    for row in rows:
        rates = [f"{_digits(row['rate'])}" if row.get("unit") == unit else "" for unit in units]
        told = [_spell(row[key]) if key in row else "" for key in extras]
        ratio = row.get("ours_is_faster")
        verdict = "" if ratio is None else f"{_digits(ratio)}× as fast{_spread(row)}"
        time = "" if row.get("untimed") else _duration(row["seconds"])
        body.append([row["peer"], time, *rates, *told, verdict])
    return markdown_table(heads, body)


def _still_valid(path: Path) -> dict[str, dict]:
    """Return the groups of earlier runs on this machine, and how each was measured."""
    kept: dict[str, dict] = {"groups": {}, "measured": {}}
    if path.exists():
        earlier, here = read_result(path), machine()
        if all(earlier["machine"].get(key) == here.get(key) for key in ("processor", "vectors", "cores")):
            measured = earlier["figures"].get("measured", {})
            kept = {"groups": earlier["figures"]["groups"], "measured": measured}
    return kept


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{_digits(seconds / size)} {unit}"
    return f"{_digits(seconds / 1e-6)} µs"


def _spell(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else _digits(value)


def _digits(number: float) -> str:
    """Return a number with three significant digits; whole digits from 100 on."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
