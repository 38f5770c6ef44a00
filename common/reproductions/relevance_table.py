"""What `relevance` found as markdown, the published row beside ours, and its points for the map."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.markdown import markdown_table

SOURCE = "the course's source on pruning by relevance, after Yeom et al. 2021, Pattern Recognition 115"
PUBLISHED = (
    {
        "method": "pruning by relevance, unstructured and structured",
        "source": SOURCE,
        "network": "vgg16",
        "dataset": "cifar100",
        "baseline_top1": 0.7444,
        "top1": 0.7415,
        "baseline_loss": 1.055,
        "loss": 1.1855,
        "dense_megabytes": 527.8,  # of VGG-16 for ImageNet's 224×224 pixels: 138 million weights
        "megabytes": 46.3,
        "smaller": 0.912,
        "counts": "weights that are kept, as float32; neither shared nor coded",
    },
)
_KINDS = {"weights": "single weights", "filters": "filters"}


def points_of(figures: Mapping) -> list[dict]:
    """A point for the map of methods from every file."""
    return [
        {
            "method": "pruning by relevance" if chain["criterion"] == "relevance" else "pruning in rounds",
            "label": f"{chain['criterion']}, {chain['weights_gone']:.0%} of weights gone",
            "network": "vgg16", "dataset": chain["chain"]["dataset"],
            "file_bytes": chain["file_bytes"], "dense_bytes": chain["dense_bytes"],
            "top1": chain["top1"], "baseline_top1": chain["baseline_top1"],
            "note": f"{chain['filters_gone']:.0%} of the filters and {chain['weights_gone']:.1%} of the "
            f"weights gone, {chain['steps']} steps of fine-tuning in all, weights shared, Huffman-coded",
        }
        for chain in chains_of(figures)
    ]  # fmt: skip


def chains_of(figures: Mapping) -> list[Mapping]:
    """All chains that ended in a file: CIFAR-10's, then CIFAR-100's, the source's neighbour first."""
    last = figures["cifar100"]
    return [*figures["iterative"], *([last, *last.get("further", ())] if "file_bytes" in last else ())]


def to_markdown(figures: Mapping) -> str:
    """Criteria at equal sparsity, then the files beside the published result."""
    lines = []
    for kind, title in _KINDS.items():
        lines += [*_criteria(figures["criteria"], kind, title), ""]
    heads = ("by", "network, data", "top-1, before → after", "size", "smaller by", "filters, weights gone")
    rows = [_published(row) for row in figures["published"]]
    rows += [_own(chain) for chain in chains_of(figures)]
    if "file_bytes" not in figures["cifar100"]:
        rows.append(("ours", "VGG-16, cifar100", figures["cifar100"]["status"], "", "", ""))
    note = (
        "The published size counts kept weights as float32, of a VGG-16 for 224×224 pixels; ours are bytes "
        "of whole files, and our accuracies those of the networks in them, on all test images."
    )
    return "\n".join([*lines, *markdown_table(heads, rows), "", note, *_length(figures["cifar100"])])


def _length(found: Mapping) -> list[str]:
    """How long part 3 was, where it was run: a GPU's plan is longer than a processor's."""
    if "file_bytes" not in found:
        return []
    baseline = found["baseline"] or {}
    start = f", begun with {baseline['start']}" if baseline.get("start") else ""
    trained = f"baseline of {baseline['epochs']} epochs{start}; " if baseline else ""
    lengths = []
    for one in (found, *found.get("further", ())):
        chain = one["chain"]
        rounds = f"{len(chain['sparsity_ratios'])} + {len(chain['weight_prune_ratios'])} rounds"
        images = "all" if chain["n_tune"] is None else f"{chain['n_tune']:,}"
        lengths.append(f"{rounds}, {one['steps']:,} steps of fine-tuning in all, on {images} training images")
    return ["", f"CIFAR-100, {found['status']}: {trained}{'; '.join(lengths)}."]


def _criteria(criteria: Mapping, kind: str, title: str) -> list[str]:
    ours, little, much = criteria[kind], criteria["n_little"], criteria["n_much"]
    heads = (
        f"{title}: criterion", "reference images",
        *(f"{ratio:.0%} gone" for ratio in ours["ratios"]), f"test, {ours['test_ratio']:.0%} gone",
    )  # fmt: skip
    images = {"none": "none", "little": f"{little}", "much": f"{much}"}
    rows = [("nothing pruned", "", *(_mean([criteria["dense"]["top1"]]),) * len(ours["ratios"]),
             _mean([criteria["dense"]["test_top1"]]))]  # fmt: skip
    for name, amounts in ours["top1"].items():
        for amount, draws in amounts.items():
            cells = [_mean([draw[k] for draw in draws]) for k in range(len(ours["ratios"]))]
            rows.append((name, images[amount], *cells, _mean([ours["test_top1"][name][amount]])))
    note = (
        f"Top-1 without fine-tuning, in percent, on {criteria['n_measured']:,} validation images, in the "
        f"last column on {criteria['n_tested']:,} test images; ± is the standard deviation of "
        f"{len(criteria['seeds'])} draws."
    )
    return [*markdown_table(heads, rows), "", note]


def _mean(values: list[float]) -> str:
    mean = f"{100 * np.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {100 * np.std(values, ddof=1):.1f}"


def _published(row: Mapping) -> tuple[str, ...]:
    return (
        "published", f"VGG-16, {row['dataset']}",
        f"{100 * row['baseline_top1']:.2f} → {100 * row['top1']:.2f} %",
        f"{row['dense_megabytes']:.1f} → {row['megabytes']:.1f} MB", f"{row['smaller']:.1%}", "",
    )  # fmt: skip


def _own(chain: Mapping) -> tuple[str, ...]:
    return (
        f"ours, {chain['criterion']}", f"VGG-16, {chain['chain']['dataset']}",
        f"{100 * chain['baseline_top1']:.2f} → {100 * chain['top1']:.2f} %",
        f"{chain['dense_bytes'] / 1e6:.1f} → {chain['file_bytes'] / 1e6:.2f} MB",
        f"{1 - chain['file_bytes'] / chain['dense_bytes']:.1%}",
        f"{chain['filters_gone']:.0%}, {chain['weights_gone']:.1%}",
    )  # fmt: skip
