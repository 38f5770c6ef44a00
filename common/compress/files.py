"""Networks from files: whatever the file is, the network in it and the words that rebuild it.

A `.dcz` says in its metadata what it holds. A safetensors file holds names and shapes only, so the network is
recognised by them: names decide which one it is, the first layer its width, the last its classes.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from common.base.files import whole_file
from common.codec.container import load_file
from common.compress.packing import unpack
from common.compress.pipeline import CompressConfig, compress
from common.compress.search import search
from common.data.datasets import load_dataset
from common.data.image_set import ImageSet, fit_images, train_val_split
from common.networks.baseline import DATASETS, N_VALIDATION, train_config
from common.networks.checkpoints import load_weights
from common.networks.models import INPUT_SHAPES, build, build_from


def open_model(source: str | Path) -> tuple[nn.Module, dict]:
    """Read a network, or build one by name with random weights.

    Parameters
    ----------
    source : path or str
        A ``.dcz``, a ``.safetensors``, or a key of `models.INPUT_SHAPES`.

    Returns
    -------
    model : nn.Module
        In evaluation mode.
    architecture : dict
        ``architecture``, ``num_classes`` and, unless it is 1, ``width``: a container's metadata.

    Raises
    ------
    FileNotFoundError
        Neither a file nor a network's name.
    ValueError
        A file that holds no network of ours.
    """
    if str(source) in INPUT_SHAPES:
        return build(str(source)).eval(), {"architecture": str(source), "num_classes": 10}
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"{source} is no file, and no network: {', '.join(INPUT_SHAPES)}")
    if path.suffix == ".dcz":
        compressed = load_file(path)
        return unpack(compressed), dict(compressed.metadata)
    if path.suffix == ".safetensors":
        architecture, batch_norm = recognise(path)
        model = build_from(architecture, batch_norm=batch_norm)
        return load_weights(model, path).eval(), architecture
    raise ValueError(f"{source} ends in {path.suffix!r}: expected .dcz or .safetensors")


def recognise(path: str | Path) -> tuple[dict, str]:
    """The architecture of a safetensors file, and whether its batch norm is "live" or "folded".

    Raises
    ------
    ValueError
        Not a safetensors file, or names that are those of no network of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from error
    for name in INPUT_SHAPES:
        for batch_norm in ("live", "folded") if name == "vgg16" else ("live",):
            if _shapes(name, batch_norm).keys() == shapes.keys():
                try:
                    return _describe(name, batch_norm, shapes), batch_norm
                except ValueError as error:
                    raise ValueError(f"{path}: {error}") from error
    raise ValueError(f"{path} holds {len(shapes)} tensors whose names fit none of {', '.join(INPUT_SHAPES)}")


def _describe(name: str, batch_norm: str, shapes: dict[str, tuple[int, ...]]) -> dict:
    """The architecture whose state has these shapes; the shortest width of all that round to them."""
    plain = _shapes(name, batch_norm)
    for key, shape in plain.items():
        if len(shapes[key]) != len(shape) or 0 in shapes[key]:
            raise ValueError(f"tensor {key} has shape {shapes[key]}: expected one such as {name}'s {shape}")
    last = list(plain)[-1]  # in the network's order; a file's is that of the alphabet
    architecture = {"architecture": name, "num_classes": shapes[last][0]}
    own = _shapes(name, batch_norm, num_classes=shapes[last][0])
    if own == shapes:
        return architecture
    widest = max(own, key=lambda key: own[key][0])
    width = shapes[widest][0] / own[widest][0]
    for digits in range(1, 6):
        candidate = architecture | {"width": round(width, digits)}
        if 0 < candidate["width"] < 1:
            options = {key: value for key, value in candidate.items() if key != "architecture"}
            if _shapes(name, batch_norm, **options) == shapes:
                return candidate
    raise ValueError(f"{name} has no width at which its tensors have these shapes: {widest} {shapes[widest]}")


def _shapes(name: str, batch_norm: str, **options) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a network's floating-point state, without its memory."""
    with torch.device("meta"):
        model = build(name, batch_norm=batch_norm, **options)
    return {key: tuple(value.shape) for key, value in model.state_dict().items() if value.is_floating_point()}


# ----------------------------------------------------------------------------------------------------
# From a file of weights to a `.dcz` file: what ``dnnc compress`` does.


def compress_file(
    source: str | Path,
    out: str | Path,
    *,
    sparsity: float,
    clusters: int | None = None,
    criterion: str = "magnitude",
    epochs: int = 0,
    share_epochs: int = 0,
    dataset: str | None = None,
    device: str | None = None,
    target_ratio: float | None = None,
    target_drop: float | None = None,
) -> None:
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
        Shared values per layer; by default the paper's 256 for convolutions and 32 for linear layers.
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
        sparsity=sparsity,
        criterion=criterion,
        prune=replace(recipe, epochs=epochs, max_lr=recipe.max_lr / 4),
        share=replace(recipe, epochs=share_epochs, max_lr=1e-3, optimizer="adam"),
    )
    if clusters is not None:
        config = replace(config, conv_clusters=clusters, linear_clusters=clusters)
    training = validation = None
    is_searched = target_ratio is not None or target_drop is not None
    if epochs or share_epochs or is_searched:
        training, validation = training_sets(dataset or DATASETS[network], architecture)
    if is_searched:
        best, _ = search(
            model,
            architecture,
            validation,
            target_ratio=target_ratio,
            target_drop=target_drop,
            criterion=criterion,
            device=device,
        )
        config = replace(config, sparsity=best.config.sparsity, layer_bits=best.config.layer_bits)
    data = compress(model, training, config, architecture, validation=validation, device=device)
    with whole_file(out) as aside:
        aside.write_bytes(data)


def training_sets(dataset: str, architecture: dict) -> tuple[ImageSet, ImageSet]:
    """Training and validation images of the recipe's split, in the network's shape."""
    shape = INPUT_SHAPES[architecture["architecture"]]
    whole = fit_images(load_dataset(dataset, "train"), shape, n_classes=architecture["num_classes"])
    return train_val_split(whole, n_validation=N_VALIDATION[dataset])
