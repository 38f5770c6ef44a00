"""What Frankle & Carbin say of their winning tickets, beside what ours do, as markdown."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.markdown import markdown_table

_PAPER = "Frankle, Carbin 2019, The Lottery Ticket Hypothesis, ICLR, arXiv:1803.03635"
_LENET = {"network": "lenet_300_100", "dataset": "mnist", "source": f"{_PAPER}, section 2"}
_CONV = {"network": "conv_2", "dataset": "cifar10", "source": f"{_PAPER}, section 3"}

# `kept` is the level's share of the weights. `earlier`: how much sooner the ticket's validation loss is least
# than the dense network's; `times_faster`: than the other network's; `points`: test accuracy above it.
PUBLISHED = [
    _LENET | {"method": "winning ticket", "beside": "dense", "kept": 0.211, "earlier": 0.38},
    _LENET | {"method": "winning ticket", "beside": "dense", "kept": 0.135, "more_than_points": 0.3},
    _LENET
    | {"method": "winning ticket", "beside": "reinit", "kept": 0.21, "times_faster": 2.51, "points": 0.5},
    _LENET | {"method": "winning ticket", "beside": "dense", "kept": 0.036, "points": 0.0},
    _CONV | {"method": "winning ticket", "beside": "dense", "kept": 0.088, "times_faster": 3.5},
    _CONV | {"method": "winning ticket", "beside": "dense", "kept": 0.046, "points": 3.4},
]


def to_markdown(figures: Mapping) -> str:
    """The paper's statements beside ours, then every level, then the files."""
    experiments = {row["network"]: row for row in figures["experiments"]}
    claims = [
        (
            row["network"], f"{100 * row['kept']:.1f} %", f"ticket against {row['beside']}", _statement(row),
            _own(row, experiments.get(row["network"])),
        )
        for row in figures["published"]
    ]  # fmt: skip
    lines = markdown_table(("network", "weights", "what", "paper", "ours"), claims)
    for experiment in figures["experiments"]:
        lines += ["", *_levels(experiment)]
    if figures["points"]:
        lines += ["", *_files(figures["points"])]
    for row in figures["not_run"]:
        what = f"{row['network']}, {row['epochs']} epochs, {row['trials']} trials"
        lines += ["", f"Not run at the paper's length: {what}; {row['reason']}."]
    return "\n".join(lines)


def compare(experiment: Mapping, beside: str, kept: float) -> dict | None:
    """A ticket of about this share of the weights against another network, means over the trials.

    Returns
    -------
    dict or None
        ``kept``; ``times_faster`` (the other's early-stop step over the ticket's); whether in any trial the
        other's loss was still falling at the last step (``at_the_end``: a lower bound), or the ticket's
        (``ticket_at_the_end``: an upper bound); ``points`` of test accuracy at the early stop,
        ``end_points`` at the end. None where the other was not trained there.
    """
    ticket = experiment["kinds"]["ticket"]
    other = ticket if beside == "dense" else experiment["kinds"].get(beside)
    place = int(np.argmin(np.abs(np.log(np.array(ticket["kept"]) / kept))))
    level = 0 if beside == "dense" else ticket["levels"][place]
    if other is None or level not in other["levels"] or abs(ticket["kept"][place] / kept - 1) > 0.15:
        return None
    at = other["levels"].index(level)
    steps, last = np.array(other["stop_step"][at]), experiment["curve_steps"][-1]
    return {
        "kept": ticket["kept"][place],
        "times_faster": float(np.mean(steps) / np.mean(ticket["stop_step"][place])),
        "at_the_end": bool((steps == last).any()),
        "ticket_at_the_end": bool((np.array(ticket["stop_step"][place]) == last).any()),
        "points": 100 * float(np.mean(ticket["stop_top1"][place]) - np.mean(other["stop_top1"][at])),
        "end_points": 100 * float(np.mean(ticket["end_top1"][place]) - np.mean(other["end_top1"][at])),
    }


def speed_in_words(found: Mapping, *, as_share: bool = False) -> str:
    """How much sooner a ticket's loss is least, of `compare`'s figures: a factor, or a share of the steps.

    It says "at least" or "at most" where only one of the two reached its least loss within the training.
    """
    if found["at_the_end"] and found["ticket_at_the_end"]:
        return "neither least within the training"
    is_least, times = found["at_the_end"], found["times_faster"]
    word = f"{times:.2f} times sooner"
    if as_share:
        share = 1 - 1 / times
        word = f"{100 * abs(share):.0f} % {'earlier' if share >= 0 else 'later'}"
        is_least = is_least if share >= 0 else found["ticket_at_the_end"]
    is_bound = found["at_the_end"] or found["ticket_at_the_end"]
    return ("at least " if is_least else "at most ") * is_bound + word


def _statement(row: Mapping) -> str:
    """A published statement in words."""
    parts = []
    if "earlier" in row:
        parts.append(f"least loss {100 * row['earlier']:.0f} % earlier")
    if "times_faster" in row:
        parts.append(f"least loss {row['times_faster']:g} times sooner")
    if "points" in row:
        parts.append(f"{row['points']:+.1f} points" if row["points"] else "as accurate")
    if "more_than_points" in row:
        parts.append(f"more than {row['more_than_points']:+.1f} points")
    return ", ".join(parts)


def _own(row: Mapping, experiment: Mapping | None) -> str:
    found = None if experiment is None else compare(experiment, row["beside"], row["kept"])
    if found is None:
        return "not run"
    parts = []
    if "earlier" in row:
        parts.append(speed_in_words(found, as_share=True))
    if "times_faster" in row:
        parts.append(speed_in_words(found))
    if "points" in row or "more_than_points" in row:
        parts.append(f"{found['points']:+.2f} points")
    return ", ".join(parts)


def _levels(experiment: Mapping) -> list[str]:
    """Every level of one experiment: early-stop step and test accuracy, mean (least to most)."""
    kinds = experiment["kinds"]
    heads = ["weights", *(f"{kind}: {what}" for kind in kinds for what in ("stop", "top-1 %"))]
    rows = []
    for level, kept in zip(kinds["ticket"]["levels"], kinds["ticket"]["kept"], strict=True):
        row = [f"{100 * kept:.2g} %" if kept < 1 else "100 %"]
        for kind in kinds.values():
            if level not in kind["levels"]:
                row += ["", ""]
                continue
            at = kind["levels"].index(level)
            row.append(f"{np.mean(kind['stop_step'][at]):.0f}")
            top1 = 100 * np.array(kind["stop_top1"][at])
            spread = f" ({top1.min():.2f}–{top1.max():.2f})" if len(top1) > 1 else ""
            row.append(f"{top1.mean():.2f}{spread}")
        rows.append(row)
    title = (
        f"{experiment['network']} on {experiment['dataset']}: {experiment['steps']:,} steps of "
        f"{experiment['batch_size']} of {experiment['n_train']:,} images, {len(experiment['trials'])} of "
        f"{experiment['planned_trials']} trials; early-stop step, and test accuracy there: mean (least to "
        "most)."
    )
    return [title, "", *markdown_table(heads, rows)]


def _files(points: list[Mapping]) -> list[str]:
    heads = ("file", "bytes", "ratio", "top-1", "dense network")
    rows = [
        (
            point["label"], f"{point['file_bytes']:,}", f"{point['dense_bytes'] / point['file_bytes']:.0f}×",
            f"{100 * point['top1']:.2f} %", f"{100 * point['baseline_top1']:.2f} %",
        )
        for point in points
    ]  # fmt: skip
    return markdown_table(heads, rows)
