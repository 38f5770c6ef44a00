"""The reproduced rows as markdown: the paper's networks and layers beside ours, as in its tables 1 to 5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common.markdown import markdown_table
from common.published import HAN_2016_LAYERS, HAN_2016_STAGES, PUBLISHED, PublishedLayer

TITLES = {
    "lenet_300_100": "LeNet-300-100", "lenet_5": "LeNet-5", "vgg16": "VGG-16",
    "mlp_800": "MLP of 800, 800 units",
}  # fmt: skip
PAPERS = {"vgg16": "vgg16_imagenet"}  # where the paper's network is another one: 224 × 224, 1000 classes


def to_markdown(points: Sequence[Mapping]) -> str:
    """Two tables from the figures of `lenets.reproduce_lenets` or `vgg16.reproduce_vgg16`."""
    heads = ("network", "by", "error, reference → compressed", "size", "ratio", "before Huffman", "target")
    rows = []
    for network in dict.fromkeys(point["network"] for point in points):
        rows.append(_paper_row(network))
        rows += [_own_row(point) for point in points if point["network"] == network]
    layer_heads = (
        "file", "layer", "weights", "kept", "value bits", "with Huffman", "index bits", "with Huffman",
        "bytes",
    )  # fmt: skip
    layers = []
    for network in dict.fromkeys(point["network"] for point in points):
        layers += [_paper_layer(network, layer) for layer in HAN_2016_LAYERS[PAPERS.get(network, network)]]
        for point in points:
            if point["network"] == network:
                layers += [_layer_row(point["file"], layer) for layer in point["layers"]]
    return "\n".join(
        [
            *markdown_table(heads, rows), "", *markdown_table(layer_heads, layers), "",
            "Ratios are dense float32 bytes of all parameters over bytes of the file, everything included. "
            "Bits are per kept weight.",
        ]
    )  # fmt: skip


def _paper(network: str) -> str:
    return "paper, ImageNet" if network in PAPERS else "paper"


def _paper_row(network: str) -> tuple[str, ...]:
    published = PAPERS.get(network, network)
    (paper,) = (row for row in PUBLISHED[published] if row.method == "Deep Compression")
    return (
        TITLES[network], _paper(network), f"{paper.baseline_error:.2f} → {paper.error:.2f} %",
        _size(paper.compressed_bytes), f"{paper.ratio:.0f}×",
        f"{HAN_2016_STAGES[published]['shared']:.0f}×", "",
    )  # fmt: skip


def _size(n_bytes: int) -> str:
    """As the paper has it: a KB is 1000 bytes."""
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1_000_000 else f"{n_bytes / 1000:.0f} KB"


def _own_row(point: Mapping) -> tuple[str, ...]:
    targets = [
        f"{target['kind']} ≥ {target['ratio']:.0f}× at ≤ {100 * target['most_error']:.2f} %: "
        f"{'met' if target['is_met'] else 'missed'}"
        for target in point.get("targets", ())
    ]
    return (
        "", point["file"], f"{100 * point['baseline_error']:.2f} → {100 * point['error']:.2f} %",
        f"{point['file_bytes'] / 1000:.2f} KB", f"{point['ratio']:.0f}×",
        f"{point['ratio_before_huffman']:.0f}×", "; ".join(targets),
    )  # fmt: skip


def _paper_layer(network: str, layer: PublishedLayer) -> tuple[str, ...]:
    return (
        _paper(network), layer.name, f"{layer.n_weights:,}", f"{100 * layer.kept:.0f} %",
        f"{layer.value_bits}", f"{layer.value_bits_huffman}", f"{layer.index_bits}",
        f"{layer.index_bits_huffman}", "",
    )  # fmt: skip


def _layer_row(file: str, layer: Mapping) -> tuple[str, ...]:
    return (
        file, layer["name"].removesuffix(".weight"), f"{layer['n_weights']:,}",
        f"{100 * layer['n_kept'] / layer['n_weights']:.2f} %", str(layer["value_bits"]),
        f"{layer['value_bits_huffman']:.2f}", f"{layer['index_bits']:.2f}",
        f"{layer['index_bits_huffman']:.2f}", f"{layer['file_bytes']:,}",
    )  # fmt: skip
