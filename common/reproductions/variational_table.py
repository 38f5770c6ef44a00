"""Sparse variational dropout as a table: the published rows beside ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from common.markdown import markdown_table
from common.published import PUBLISHED
from common.reproductions.lenet_table import TITLES

# Percent of each layer's weights that the paper leaves out: its table 1.
PAPER_SPARSITY = {"lenet_300_100": (98.9, 97.2, 62.0), "lenet_5": (67.0, 98.0, 99.8, 95.0)}
_SPARSE = "Sparse variational dropout"
_NEIGHBOURS = (_SPARSE, "EPR", "MIRACLE", "Soft weight sharing", "Deep Compression")


def published_rows(networks: Iterable[str]) -> list[dict]:
    """What others report for these networks; errors in percent, as the sources give them."""
    rows = []
    for network in networks:
        for method in _NEIGHBOURS:
            for row in PUBLISHED[network]:
                if row.method == method:
                    rows.append(
                        {
                            "network": network, "method": method, "source": row.source, "ratio": row.ratio,
                            "counts": row.counts, "error": row.error, "baseline_error": row.baseline_error,
                            "file_bytes": row.compressed_bytes, "quoted": row.quoted,
                            "layer_sparsity": PAPER_SPARSITY[network] if method == _SPARSE else None,
                        }
                    )  # fmt: skip
    return rows


def to_markdown(figures: Mapping) -> str:
    """The table from the figures of `variational_dropout.reproduce`."""
    heads = ("network", "by", "error", "weights kept", "fewer weights", "file", "smaller file")
    rows = []
    for network in figures["networks"]:
        name = network["network"]
        rows += [_published(row) for row in figures["published"] if row["network"] == name]
        rows += [_own(file) for file in figures["files"] if file["network"] == name]
    return "\n".join(
        [
            *markdown_table(heads, rows), "",
            f"Errors on {figures['budget']['n_test']:,} test images, reference → compressed. Ours are .dcz "
            "files, whole and decoded again; published sizes are as their sources have them.",
        ]
    )  # fmt: skip


def _published(row: Mapping) -> tuple[str, ...]:
    before = "" if row["baseline_error"] is None else f"{row['baseline_error']:.2f} → "
    by_count = row["counts"] == "parameters"
    size = "" if row["file_bytes"] is None else f"{row['file_bytes'] / 1000:.2f} KB"
    return (
        TITLES[row["network"]], row["method"], f"{before}{row['error']:.2f} %", "",
        f"{row['ratio']:.0f}×" if by_count else "", size, "" if by_count else f"{row['ratio']:.0f}×",
    )  # fmt: skip


def _own(file: Mapping) -> tuple[str, ...]:
    return (
        TITLES[file["network"]], f"ours, log α < {file['threshold']:g}",
        f"{100 * file['baseline_error']:.2f} → {100 * file['error']:.2f} %",
        f"{sum(file['kept']):,} of {file['n_weights']:,}", f"{file['parameter_ratio']:.0f}×",
        f"{file['file_bytes'] / 1000:.2f} KB", f"{file['dense_bytes'] / file['file_bytes']:.0f}×",
    )  # fmt: skip
