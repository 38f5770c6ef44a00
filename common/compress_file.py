"""From a file of weights to a `.dcz` file: what ``dnnc compress`` does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from common.datasets import ImageSet, load_dataset
from common.image_fitting import fit_images
from common.model_files import open_model
from common.models import INPUT_SHAPES
from common.operating_points import POINTS, run_point
from common.pipeline import CompressConfig, compress
from common.recipes import DATASETS, N_VALIDATION, train_config
from common.splits import train_val_split
from common.target_search import search
from common.whole_file import whole_file


def compress_file(
    source: str | Path, out: str | Path, *, sparsity: float, clusters: int | None = None,
    criterion: str = "magnitude", epochs: int = 0, share_epochs: int = 0, dataset: str | None = None,
    device: str | None = None, target_ratio: float | None = None, target_drop: float | None = None,
) -> None:  # fmt: skip
    """Compress a network with the course's own three stages.

    Parameters
    ----------
    source : path or str
        As in `model_files.open_model`.
    out : path
        Written whole or not at all.
    sparsity, criterion
        As in `pipeline.CompressConfig`.
    clusters : int, optional
        Shared values a layer; by default the paper's 256 for convolutions and 32 for linear layers.
    epochs, share_epochs : int
        Fine-tuning after pruning, and of the centroids; without any, no data set is read.
    dataset : str, optional
        By default the network's own.
    target_ratio, target_drop : float, optional
        In the place of `sparsity` and `clusters`: a target for `target_search.search`, on validation images.
    """
    model, architecture = open_model(source)
    network = architecture["architecture"]
    recipe = replace(train_config(network), warmup=0.1)
    config = CompressConfig(
        sparsity=sparsity, criterion=criterion,
        prune=replace(recipe, epochs=epochs, max_lr=recipe.max_lr / 4),
        share=replace(recipe, epochs=share_epochs, max_lr=1e-3, optimizer="adam"),
    )  # fmt: skip
    if clusters is not None:
        config = replace(config, conv_clusters=clusters, linear_clusters=clusters)
    training = validation = None
    is_searched = target_ratio is not None or target_drop is not None
    if epochs or share_epochs or is_searched:
        training, validation = _training_sets(dataset or DATASETS[network], architecture)
    if is_searched:
        best, _ = search(
            model, architecture, validation, target_ratio=target_ratio, target_drop=target_drop,
            criterion=criterion, device=device,
        )  # fmt: skip
        config = replace(config, sparsity=best.config.sparsity, layer_bits=best.config.layer_bits)
    data = compress(model, training, config, architecture, validation=validation, device=device)
    with whole_file(out) as aside:
        aside.write_bytes(data)


def compress_to_point(
    source: str | Path, point: str, out: str | Path, *, workdir: str | Path, device: str | None = None
) -> dict:
    """Compress a VGG-16 to one of the capstone's operating points; returns `run_point`'s figures.

    Raises
    ------
    ValueError
        No such point, or another network.
    """
    if point not in POINTS:
        raise ValueError(f"no operating point {point!r}: expected one of {', '.join(POINTS)}")
    model, architecture = open_model(source)
    if architecture != {"architecture": "vgg16", "num_classes": 10}:
        raise ValueError(f"{source} holds {architecture}: operating points are for vgg16 with 10 classes")
    training, validation = _training_sets("cifar10", architecture)
    Path(workdir).mkdir(parents=True, exist_ok=True)
    figures = run_point(
        POINTS[point], model, training, validation=validation, test=load_dataset("cifar10", "test"),
        folder=workdir, workdir=workdir, device=device,
    )  # fmt: skip
    with whole_file(out) as aside:
        aside.write_bytes((Path(workdir) / figures["file"]).read_bytes())
    return figures


def _training_sets(dataset: str, architecture: dict) -> tuple[ImageSet, ImageSet]:
    """Training and validation images of the recipe's split, in the network's shape."""
    shape = INPUT_SHAPES[architecture["architecture"]]
    whole = fit_images(load_dataset(dataset, "train"), shape, n_classes=architecture["num_classes"])
    return train_val_split(whole, n_validation=N_VALIDATION[dataset])
