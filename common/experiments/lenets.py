"""The LeNets of the Deep Compression paper, made again: the first two rows of its table beside ours.

    dnnc reproduce lenets        trains, compresses, writes capstone/lenet_*.dcz and results/lenets.json

Each network is trained, and each operating point goes from the same trained network through the whole
pipeline to a file. The files are read back, and what they decode to is measured on the test images. Recipes
and points were chosen on 5,000 images cut from the training set (`splits`, `choices`).
Stopped at any moment, the command goes on from its checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from common.base.files import ROOT, whole_file
from common.base.results import write_result
from common.base.text import markdown_table
from common.codec.container import Container
from common.codec.tensors import SharedTensor
from common.compress.pipeline import CompressConfig, compress, decompress
from common.data.datasets import load_dataset
from common.data.image_set import ImageSet, train_val_split
from common.experiments import Outcome
from common.networks.baseline import N_VALIDATION, train_baseline, train_config
from common.networks.checkpoints import load_weights
from common.networks.distillation import Distillation
from common.networks.models import build, dense_bytes
from common.networks.training import default_device, evaluate
from common.report.published import HAN_2016_LAYERS, HAN_2016_STAGES, PUBLISHED, PublishedLayer
from common.report.sizes import fixed_gap_bits, size_report, stage_sizes

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
    """Two tables from the figures of `lenets.reproduce_lenets` or `vgg16.reproduce_vgg16`."""
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
        f"{100 * point['baseline_error']:.2f} → {100 * point['error']:.2f} %",
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


@dataclass(frozen=True)
class LenetPoint:
    """How far a network is compressed, and how: the name of its file, and its configuration.

    Where it `is_taught`, the trained network teaches all fine-tuning (`distillation`).
    """

    name: str
    network: str
    config: CompressConfig
    is_taught: bool = False


def lenet_point(
    name: str,
    network: str,
    *,
    sparsity: float,
    crop_padding: int,
    epochs: tuple[int, int],
    is_taught: bool = False,
    **options,
) -> LenetPoint:
    """`epochs` of fine-tuning while pruning, and of centroids; one of LeNet-5's takes ten times as long."""
    prune_epochs, share_epochs = epochs
    recipe = replace(train_config(network), warmup=0.1, crop_padding=crop_padding)
    share = replace(recipe, epochs=share_epochs, optimizer="adam", max_lr=1e-3, weight_decay=0.0)
    config = CompressConfig(
        sparsity=sparsity, prune=replace(recipe, epochs=prune_epochs), share=share, bias_clusters=8, **options
    )
    return LenetPoint(name, network, config, is_taught)


# Moved by a pixel or two, digits stay the same digits: the networks that must not lose are fine-tuned so.
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
    points: Sequence[LenetPoint] = POINTS,
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
    points : sequence of LenetPoint
    dataset : {"mnist", "digits"}
        ``digits``, 5,000 of MNIST's images, comes inside the dependencies.
    baseline_epochs : int, optional
        By default the recipe's.
    folder : path
        Gets ``<point>.dcz``, and ``results/lenets.json`` with how they were made.
    workdir : path
        Trained networks and checkpoints.
    device : str, optional
        By default the GPU if there is one.
    resume : bool
        Whether to go on from checkpoints; else they are deleted.
    command : str
        What the results say that they were made with.

    Returns
    -------
    Outcome
        Its figures are ``points``, and a point has ``name``, ``network``, ``file``, ``file_bytes``,
        ``dense_bytes``, ``ratio``, ``sparsity``, ``baseline_error``, ``error`` and ``validation_error``
        (fractions; of the decoded file), ``n_test``, ``stages`` (bytes, dense to Huffman),
        ``ratio_before_huffman``, ``layers``, ``config`` and ``targets``.

    Raises
    ------
    ValueError
        A checkpoint was made with other options.
    DatasetNotFoundError
        MNIST is nowhere to be had.
    """
    device = device or default_device()
    folder, workdir = Path(folder), Path(workdir)
    folder.mkdir(parents=True, exist_ok=True)
    whole, test = load_dataset(dataset, "train"), load_dataset(dataset, "test")
    training, validation = train_val_split(whole, n_validation=N_VALIDATION[dataset])
    rows = []
    for network in dict.fromkeys(point.network for point in points):
        weights = workdir / network / f"{network}.safetensors"
        baseline = train_baseline(
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
                row = _run_point(
                    point,
                    model,
                    training,
                    validation=validation,
                    test=test,
                    baseline_top1=baseline["top1"],
                    path=folder / f"{point.name}.dcz",
                    workdir=workdir / point.name,
                    device=device,
                    resume=resume,
                )
                print(
                    f"{row['file']}: {row['file_bytes']:,} bytes, {row['ratio']:.0f}×, test error "
                    f"{100 * row['error']:.2f} % (trained network {100 * row['baseline_error']:.2f} %)",
                    flush=True,
                )
                rows.append(row)
        # After each network, so that a stopped run has stored what it has finished.
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
    """All points, into the repository."""
    return reproduce_lenets(device=device, resume=resume)


def compressed_point(
    point: LenetPoint,
    model: nn.Module,
    training: ImageSet,
    *,
    validation: ImageSet,
    workdir: Path,
    device: str | None = None,
    resume: bool = True,
) -> bytes:
    """The bytes of the point's file; the trained network `model` is changed."""
    if not resume:
        for checkpoint in ("prune.pt", "share.pt"):
            (workdir / checkpoint).unlink(missing_ok=True)
    return compress(
        model,
        training,
        point.config,
        {"architecture": point.network, "num_classes": len(training.classes)},
        workdir=workdir,
        validation=validation,
        device=device,
        objective=Distillation(model) if point.is_taught else None,
    )


def _run_point(
    point: LenetPoint,
    model: nn.Module,
    training: ImageSet,
    *,
    validation: ImageSet,
    test: ImageSet,
    baseline_top1: float,
    path: Path,
    workdir: Path,
    device: str,
    resume: bool,
) -> dict:
    """Compress to a file, and measure what the file decodes to."""
    whole_bytes = dense_bytes(model)
    data = compressed_point(
        point, model, training, validation=validation, workdir=workdir, device=device, resume=resume
    )
    with whole_file(path) as aside:
        aside.write_bytes(data)
    data = path.read_bytes()
    opened = Container.open(data)
    decoded = decompress(opened)
    report, stages = size_report(opened), stage_sizes(opened, dense_bytes=whole_bytes)
    figures = {
        "name": point.name,
        "network": point.network,
        "file": path.name,
        "file_bytes": len(data),
        "dense_bytes": whole_bytes,
        "ratio": whole_bytes / len(data),
        "ratio_before_huffman": whole_bytes / stages["shared"],
        "sparsity": report.sparsity,
        "baseline_error": 1.0 - baseline_top1,
        "error": 1.0 - evaluate(decoded, test, device=device).top1,
        "validation_error": 1.0 - evaluate(decoded, validation, device=device).top1,
        "n_test": len(test),
        "stages": stages,
        "layers": layer_rows(opened),
        "config": point.config.told(),
    }
    return figures | {"targets": _targets(figures)}


def layer_rows(data: bytes | Container) -> list[dict]:
    """What the paper's tables 2, 3 and 5 say of each layer of a container; bits are per kept weight."""
    opened, rows = Container.open(data), []
    for layer, tensor in zip(size_report(opened).layers, opened.tensors.values(), strict=True):
        if len(layer.shape) < 2 or not isinstance(tensor, SharedTensor):
            continue
        width, n_kept = max(0, layer.n_clusters - 1).bit_length(), max(1, layer.n_kept)
        index_bits = 0.0
        if tensor.positions is not None:
            index_bits = fixed_gap_bits(tensor.positions, width) / n_kept - width
        rows.append(
            {
                "name": layer.name,
                "n_weights": layer.n_weights,
                "n_kept": layer.n_kept,
                "n_clusters": layer.n_clusters,
                "value_bits": width,
                "value_bits_huffman": layer.values_bits / n_kept,
                "index_bits": index_bits,
                "index_bits_huffman": layer.index_bits / n_kept,
                "file_bytes": layer.file_bytes,
            }
        )
    return rows


def _targets(figures: dict) -> list[dict]:
    """Which of ours the point meets."""
    rows = []
    for kind, ratio, percent in TARGETS[figures["network"]]:
        most = figures["baseline_error"] if percent is None else percent / 100
        is_met = figures["ratio"] >= ratio and figures["error"] <= most + 1e-12
        rows.append({"kind": kind, "ratio": ratio, "most_error": most, "is_met": is_met})
    return rows
