"""The LeNets of the Deep Compression paper, reproduced: the first two rows of its table beside ours.

    dnnc reproduce lenets        trains, compresses, writes capstone/lenet_*.dcz and results/lenets.json

Each network is trained once, and from it each operating point is taken through the whole pipeline to a file.
The files are read back, and the networks in them are measured on the test images. Recipes and points were
chosen on 5,000 images cut from the training set (`train_val_split`, `common.experiments.choices`).
Stopped at any moment, the command goes on from its checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from common.base.files import ROOT, whole_file
from common.base.results import write_result
from common.base.text import markdown_table
from common.compress.pipeline import CompressConfig
from common.compress.points import OperatingPoint, Sets, run_point
from common.data.datasets import load_dataset
from common.data.image_set import train_val_split
from common.experiments import Outcome
from common.networks.baseline import N_VALIDATION, train_baseline, train_config
from common.networks.checkpoints import load_weights
from common.networks.models import build
from common.networks.training import default_device
from common.report.published import HAN_2016_LAYERS, HAN_2016_STAGES, PUBLISHED, PublishedLayer

# ----------------------------------------------------------------------------------------------------
# The reproduced rows as markdown: the paper's networks and layers beside ours, as in its tables 1 to 5.

TITLES = {
    "lenet_300_100": "LeNet-300-100",
    "lenet_5": "LeNet-5",
    "vgg16": "VGG-16",
    "mlp_800": "MLP of 800, 800 units",
}
PAPERS = {"vgg16": "vgg16_imagenet"}  # where the paper's network is another one: 224 × 224, 1000 classes


def to_markdown(points: Sequence[Mapping]) -> str:
    """Two tables, networks and layers, from the points of `reproduce_lenets` or `vgg16.reproduce_vgg16`."""
    heads = ("network", "by", "error, reference → compressed", "size", "ratio", "before Huffman", "target")
    rows = []
    for network in dict.fromkeys(point["network"] for point in points):
        rows.append(_paper_row(network))
        rows += [_own_row(point) for point in points if point["network"] == network]
    layer_heads = (
        "file",
        "layer",
        "weights",
        "kept",
        "value bits",
        "with Huffman",
        "index bits",
        "with Huffman",
        "bytes",
    )
    layers = []
    for network in dict.fromkeys(point["network"] for point in points):
        layers += [_paper_layer(network, layer) for layer in HAN_2016_LAYERS[PAPERS.get(network, network)]]
        for point in points:
            if point["network"] == network:
                layers += [_layer_row(point["file"], layer) for layer in point["layers"]]
    return "\n".join(
        [
            *markdown_table(heads, rows),
            "",
            *markdown_table(layer_heads, layers),
            "",
            "Ratios are dense float32 bytes of all parameters over bytes of the file, everything included. "
            "Bits are per kept weight.",
        ]
    )


def error_of(top1: float) -> str:
    """The error in percent, as in the paper's tables, from an accuracy in [0, 1].

    >>> error_of(0.9917)
    '0.83 %'
    """
    return f"{100 * (1 - top1):.2f} %"


def _paper(network: str) -> str:
    return "paper, ImageNet" if network in PAPERS else "paper"


def _paper_row(network: str) -> tuple[str, ...]:
    published = PAPERS.get(network, network)
    (paper,) = (row for row in PUBLISHED[published] if row.method == "Deep Compression")
    return (
        TITLES[network],
        _paper(network),
        f"{paper.baseline_error:.2f} → {paper.error:.2f} %",
        _size(paper.compressed_bytes),
        f"{paper.ratio:.0f}×",
        f"{HAN_2016_STAGES[published]['shared']:.0f}×",
        "",
    )


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
        "",
        point["file"],
        f"{error_of(point['baseline_top1']).removesuffix(' %')} → {error_of(point['top1'])}",
        f"{point['file_bytes'] / 1000:.2f} KB",
        f"{point['ratio']:.0f}×",
        f"{point['ratio_before_huffman']:.0f}×",
        "; ".join(targets),
    )


def _paper_layer(network: str, layer: PublishedLayer) -> tuple[str, ...]:
    return (
        _paper(network),
        layer.name,
        f"{layer.n_weights:,}",
        f"{100 * layer.kept:.0f} %",
        f"{layer.value_bits}",
        f"{layer.value_bits_huffman}",
        f"{layer.index_bits}",
        f"{layer.index_bits_huffman}",
        "",
    )


def _layer_row(file: str, layer: Mapping) -> tuple[str, ...]:
    return (
        file,
        layer["name"].removesuffix(".weight"),
        f"{layer['n_weights']:,}",
        f"{100 * layer['n_kept'] / layer['n_weights']:.2f} %",
        str(layer["value_bits"]),
        f"{layer['value_bits_huffman']:.2f}",
        f"{layer['index_bits']:.2f}",
        f"{layer['index_bits_huffman']:.2f}",
        f"{layer['file_bytes']:,}",
    )


FOLDER = ROOT / "capstone"
WORKDIR = ROOT / "runs" / "lenets"

# (least ratio, most error in percent; None: not above our own baseline's)
TARGETS = {
    "lenet_300_100": (("must", 40.0, None), ("aim", 124.0, 1.9)),
    "lenet_5": (("must", 39.0, None), ("aim", 280.0, 0.8)),
}


def lenet_point(
    name: str,
    network: str,
    *,
    sparsity: float,
    crop_padding: int,
    epochs: tuple[int, int],
    is_taught: bool = False,
    **options,
) -> OperatingPoint:
    """An operating point with the course's recipe for a LeNet.

    Parameters
    ----------
    name, network : str
        Of the file; "lenet_300_100" or "lenet_5".
    sparsity : float in [0, 1]
    crop_padding : int
        Images are shifted by up to this many pixels in fine-tuning.
    epochs : (int, int)
        Of fine-tuning while pruning, and while sharing. An epoch takes ten times as long for LeNet-5.
    is_taught : bool
        Whether the trained network teaches in both fine-tunings (distillation).
    **options
        Passed to `CompressConfig`, such as conv_clusters and linear_clusters.
    """
    prune_epochs, share_epochs = epochs
    recipe = replace(train_config(network), warmup=0.1, crop_padding=crop_padding)
    share = replace(recipe, epochs=share_epochs, optimizer="adam", max_lr=1e-3, weight_decay=0.0)
    config = CompressConfig(
        sparsity=sparsity, prune=replace(recipe, epochs=prune_epochs), share=share, bias_clusters=8, **options
    )
    return OperatingPoint(name, config, network=network, teacher="trained" if is_taught else None)


# Moved by a pixel or two, a digit stays the same digit: `crop_padding` augments the fine-tuning's images so.
POINTS = (
    lenet_point(
        "lenet_300_100", "lenet_300_100", sparsity=0.97, crop_padding=1, epochs=(40, 15), linear_clusters=16
    ),
    lenet_point(
        "lenet_300_100_small",
        "lenet_300_100",
        sparsity=0.975,
        crop_padding=1,
        epochs=(40, 15),
        linear_clusters=8,
    ),
    lenet_point(
        "lenet_5",
        "lenet_5",
        sparsity=0.96,
        crop_padding=2,
        epochs=(8, 3),
        conv_clusters=16,
        linear_clusters=16,
    ),
    lenet_point(
        "lenet_5_small",
        "lenet_5",
        sparsity=0.9875,
        crop_padding=2,
        epochs=(60, 20),
        conv_clusters=12,
        linear_clusters=6,
    ),
)


def reproduce_lenets(
    *,
    points: Sequence[OperatingPoint] = POINTS,
    dataset: str = "mnist",
    baseline_epochs: int | None = None,
    folder: str | Path = FOLDER,
    workdir: str | Path = WORKDIR,
    device: str | None = None,
    resume: bool = True,
    command: str = "dnnc reproduce lenets",
) -> Outcome:
    """Train the LeNets, compress them, and measure the files.

    Parameters
    ----------
    points : sequence of OperatingPoint
        Those of one network are made one after the other, from the same trained network.
    dataset : {"mnist", "digits"}
        ``digits``, 5,000 of MNIST's images, comes inside the dependencies.
    baseline_epochs : int, optional
        Epochs of the training before the compression; by default the recipe's.
    folder : path
        Gets ``<point>.dcz``, and ``results/lenets.json`` with how they were made.
    workdir : path
        Trained networks and checkpoints.
    device : str, optional
        By default the GPU if there is one.
    resume : bool
        Whether to go on from checkpoints. If not, they are deleted.
    command : str
        The command that the stored results name as their origin.

    Returns
    -------
    Outcome
        Its figures are ``points``: a `compress.points.Row` each, with ``targets``.

    Raises
    ------
    ValueError
        The baseline's checkpoint was made with other options.
    DatasetNotFoundError
        MNIST was not found, and could not be downloaded.
    """
    device = device or default_device()
    folder, workdir = Path(folder), Path(workdir)
    folder.mkdir(parents=True, exist_ok=True)
    whole, test = load_dataset(dataset, "train"), load_dataset(dataset, "test")
    training, validation = train_val_split(whole, n_validation=N_VALIDATION[dataset])
    rows, sets = [], Sets(training, test, validation)
    for network in dict.fromkeys(point.network for point in points):
        weights = workdir / network / f"{network}.safetensors"
        train_baseline(
            network,
            weights=weights,
            result=weights.with_suffix(".json"),
            workdir=weights.parent,
            dataset=dataset,
            epochs=baseline_epochs,
            device=device,
            resume=resume,
            command=command,
        )
        for point in points:
            if point.network == network:
                model = load_weights(build(network, num_classes=len(whole.classes)), weights)
                row = run_point(point, model, sets, workdir / point.name, device=device, resume=resume)
                row = row | {"targets": _targets(row)}
                print(
                    f"{row['file']}: {row['file_bytes']:,} bytes, {row['ratio']:.0f}×, test error "
                    f"{error_of(row['top1'])} (trained network {error_of(row['baseline_top1'])})",
                    flush=True,
                )
                rows.append(row)
    # All together, at the end: a run that is stopped earlier leaves the old files with their old figures.
    for row in rows:
        with whole_file(folder / row["file"]) as aside:
            aside.write_bytes((workdir / row["name"] / row["file"]).read_bytes())
    write_result(
        folder / "results" / "lenets.json",
        {"points": rows},
        command=command,
        device=device,
        seed=points[0].config.prune.seed,
        dataset=[training, validation, test],
    )
    return Outcome({"points": rows}, to_markdown(rows))


def run(*, device: str | None = None, resume: bool = True) -> Outcome:
    """All points, with files and figures into the repository."""
    return reproduce_lenets(device=device, resume=resume)


def _targets(row: Mapping) -> list[dict]:
    """The network's entries of `TARGETS`, each with whether the point meets it."""
    rows = []
    for kind, ratio, percent in TARGETS[row["network"]]:
        most = 1.0 - row["baseline_top1"] if percent is None else percent / 100
        is_met = row["ratio"] >= ratio and 1.0 - row["top1"] <= most + 1e-12
        rows.append({"kind": kind, "ratio": ratio, "most_error": most, "is_met": is_met})
    return rows
