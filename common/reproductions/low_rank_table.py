"""The rows of `low_rank`, as markdown and as points of the map of methods."""

from __future__ import annotations

from collections.abc import Mapping

from common.markdown import markdown_table
from common.reproductions.lenet_table import TITLES

_ADA_TUCKER = "Zhong et al. 2019, ADA-Tucker, arXiv:1906.07671, abstract: no loss of accuracy"
PUBLISHED = (
    {
        "method": "SCADA-Tucker", "network": "lenet_300_100", "ratio": 233.0, "drop_points": 0.0,
        "source": _ADA_TUCKER,
    },
    {
        "method": "SCADA-Tucker", "network": "lenet_5", "ratio": 691.0, "drop_points": 0.0,
        "source": _ADA_TUCKER,
    },
)  # fmt: skip


def points_of(network: Mapping) -> list[dict]:
    """One network's files as points of the map of methods."""
    return [
        {
            "method": "low rank" if file["coding"] == "float16" else "low rank, shared",
            "label": f"{100 * size['parameters'] / network['parameters']:.0f} % of the parameters",
            "network": network["network"], "dataset": network["dataset"],
            "file_bytes": file["file_bytes"], "dense_bytes": network["dense_bytes"],
            "top1": file["top1"], "baseline_top1": network["baseline_top1"],
            "note": f"{file['coding']}; fine-tuned for {network['tuning']}",
        }
        for size in network["sizes"]
        for file in size.get("files", ())
    ]  # fmt: skip


def to_markdown(figures: Mapping) -> str:
    """Ours and the published rows, by network."""
    rows = []
    for network in figures["networks"]:
        title, whole = TITLES.get(network["network"], network["network"]), network["parameters"]
        rows.append((title, "whole, float32", f"{whole:,}", "", f"{network['dense_bytes']:,}", "1×",
                     f"{100 * (1 - network['baseline_top1']):.2f} %"))
        rows += [
            (title, f"{row['method']}, published", "", "", "", f"{row['ratio']:.0f}×", "no loss")
            for row in figures["published"]
            if row["network"] == network["network"]
        ]
        rows += [
            (
                title, f"ours, {file['coding']}", f"{size['parameters']:,}",
                f"{network['multiply_adds'] / size['multiply_adds']:.1f}×", f"{file['file_bytes']:,}",
                f"{network['dense_bytes'] / file['file_bytes']:.0f}×", f"{100 * (1 - file['top1']):.2f} %",
            )
            for size in network["sizes"]
            for file in size.get("files", ())
        ]  # fmt: skip
    heads = ("network", "what", "parameters", "fewer multiply-adds", "bytes", "ratio", "test error")
    notes = [
        f"{TITLES.get(network['network'], network['network'])}: fine-tuned for {network['tuning']}."
        for network in figures["networks"]
    ]
    sources = sorted({f"{row['method']}: {row['source']}." for row in figures["published"]})
    return "\n".join([*markdown_table(heads, rows), "", *notes, *sources])
