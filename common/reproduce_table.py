"""The reproduced rows as markdown: the paper beside ours, then our layers as in its tables 2 and 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common.markdown import markdown_table
from common.published import HAN_2016_STAGES, PUBLISHED

TITLES = {"lenet_300_100": "LeNet-300-100", "lenet_5": "LeNet-5"}


def to_markdown(points: Sequence[Mapping]) -> str:
    """Two tables from the figures of `reproduce.reproduce_lenets`."""
    heads = ("network", "by", "error, reference → compressed", "size", "ratio", "before Huffman", "target")
    rows = []
    for network in dict.fromkeys(point["network"] for point in points):
        rows.append(_paper_row(network))
        rows += [_own_row(point) for point in points if point["network"] == network]
    layer_heads = (
        "file", "layer", "weights", "kept", "value bits", "with Huffman", "index bits", "with Huffman",
        "bytes",
    )  # fmt: skip
    layers = [_layer_row(point["file"], layer) for point in points for layer in point["layers"]]
    return "\n".join(
        [
            *markdown_table(heads, rows), "", *markdown_table(layer_heads, layers), "",
            "Ratios are dense float32 bytes of all parameters over bytes of the file, everything included. "
            "Bits are per kept weight.",
        ]
    )  # fmt: skip


def _paper_row(network: str) -> tuple[str, ...]:
    (paper,) = (row for row in PUBLISHED[network] if row.method == "Deep Compression")
    return (
        TITLES[network], "paper", f"{paper.baseline_error:.2f} → {paper.error:.2f} %",
        f"{paper.compressed_bytes / 1000:.0f} KB", f"{paper.ratio:.0f}×",
        f"{HAN_2016_STAGES[network]['shared']:.0f}×", "",
    )  # fmt: skip


def _own_row(point: Mapping) -> tuple[str, ...]:
    targets = [
        f"{target['kind']} ≥ {target['ratio']:.0f}× at ≤ {100 * target['most_error']:.2f} %: "
        f"{'met' if target['is_met'] else 'missed'}"
        for target in point["targets"]
    ]
    return (
        "", point["file"], f"{100 * point['baseline_error']:.2f} → {100 * point['error']:.2f} %",
        f"{point['file_bytes'] / 1000:.2f} KB", f"{point['ratio']:.0f}×",
        f"{point['ratio_before_huffman']:.0f}×", "; ".join(targets),
    )  # fmt: skip


def _layer_row(file: str, layer: Mapping) -> tuple[str, ...]:
    return (
        file, layer["name"].removesuffix(".weight"), f"{layer['n_weights']:,}",
        f"{100 * layer['n_kept'] / layer['n_weights']:.2f} %", str(layer["value_bits"]),
        f"{layer['value_bits_huffman']:.2f}", f"{layer['index_bits']:.2f}",
        f"{layer['index_bits_huffman']:.2f}", f"{layer['file_bytes']:,}",
    )  # fmt: skip
