"""Networks from files of any kind, and from a file of weights to a `.dcz` file and back.

A `.dcz` of the pipeline names its architecture in the metadata. Any other file holds names, shapes and values
only, so the network is recognised by them: its names decide which one it is, the widest layer gives its
width, and the last layer its number of classes. A network that is not recognised is compressed, too, from the
names and shapes of its tensors alone (`state_files`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from common.base.files import whole_file
from common.codec import container
from common.codec.container import MAX_DENSE_BYTES, load_file
from common.compress import modules
from common.compress.file_kinds import sniff
from common.compress.modules import differing
from common.compress.packing import unpack
from common.compress.pipeline import CompressConfig, compress
from common.compress.search import search
from common.compress.state_files import State, StateConfig, compress_state, read_state, restore
from common.data.datasets import load_dataset
from common.data.image_set import ImageSet, fit_images, train_val_split
from common.networks.baseline import N_VALIDATION, dataset_for, train_config
from common.networks.checkpoints import save_state
from common.networks.models import INPUT_SHAPES, build, build_from


class UnknownNetwork(ValueError):
    """Tensors that are not those of one of the course's networks; the message names the nearest."""


def open_model(source: str | Path, *, max_dense_bytes: int = MAX_DENSE_BYTES) -> tuple[nn.Module, dict]:
    """Read a network, or build one by name with random weights.

    Parameters
    ----------
    source : path or str
        A ``.dcz``, a ``.safetensors`` or a file of ``torch.save``, or a key of `models.INPUT_SHAPES`.
    max_dense_bytes : int
        Limit of the memory, in bytes, that the tensors of a ``.dcz`` may take (`container.load`).

    Returns
    -------
    model : nn.Module
        In evaluation mode.
    architecture : dict
        ``architecture``, ``num_classes`` and, unless it is 1, ``width``, as in a container's metadata.

    Raises
    ------
    FileNotFoundError
        When the source is neither a file nor a network's name.
    ValueError
        When the file is damaged, or holds none of the course's networks (then an `UnknownNetwork`).
    """
    if str(source) in INPUT_SHAPES:
        return build(str(source)).eval(), {"architecture": str(source), "num_classes": 10}
    if sniff(_known_file(source)) == "dcz":
        compressed = load_file(source, max_dense_bytes=max_dense_bytes)
        if "architecture" in compressed.metadata:
            try:
                return unpack(compressed), dict(compressed.metadata)
            except ValueError as error:
                raise ValueError(f"{source}: {error}") from error
    try:
        return _model_of(read_state(source, max_dense_bytes=max_dense_bytes))
    except UnknownNetwork as error:
        raise UnknownNetwork(f"{source}: {error}") from error


def _known_file(source: str | Path) -> Path:
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"{source} is not a file, nor a network: {', '.join(INPUT_SHAPES)}")
    return path


def _model_of(state: State) -> tuple[nn.Module, dict]:
    """Return the recognised network with its weights, and its architecture."""
    tensors = {name: value for name, value in state.full().items() if value.is_floating_point()}
    architecture, batch_norm = recognise(tensors)
    model = build_from(architecture, batch_norm=batch_norm)
    model.load_state_dict({name: value.float() for name, value in tensors.items()}, strict=False)
    return model.eval(), architecture


def recognise(tensors: Mapping[str, Tensor]) -> tuple[dict, str]:
    """Return the architecture that has these tensors, and whether its batch norm is "live" or "folded".

    Raises
    ------
    UnknownNetwork
        When the names or shapes are those of none of the course's networks; the message names the nearest,
        and the first differences.
    """
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    nearest: tuple[float, str, dict] = (0.0, "", {})
    for name in INPUT_SHAPES:
        for batch_norm in ("live", "folded") if name == "vgg16" else ("live",):
            own = _shapes(name, batch_norm)
            if own.keys() == shapes.keys():
                return _describe(name, batch_norm, shapes), batch_norm
            common = len(own.keys() & shapes.keys()) / len(own.keys() | shapes.keys())
            nearest = max(nearest, (common, name, own), key=lambda found: found[0])
    if not nearest[1]:
        raise UnknownNetwork(
            f"{len(shapes)} tensors ({', '.join(list(shapes)[:3])}, ...) of no network of ours: "
            f"{', '.join(INPUT_SHAPES)}"
        )
    _, name, own = nearest
    raise UnknownNetwork(f"not a network of ours; the nearest is {name}: {differing(shapes, own)}")


def _describe(name: str, batch_norm: str, shapes: dict[str, tuple[int, ...]]) -> dict:
    """Return the architecture whose state has these shapes; its width has as few digits as possible."""
    plain = _shapes(name, batch_norm)
    for key, shape in plain.items():
        if len(shapes[key]) != len(shape) or 0 in shapes[key]:
            raise UnknownNetwork(
                f"tensor {key} has shape {shapes[key]}: expected one such as {name}'s {shape}"
            )
    last = list(plain)[-1]  # in the network's order; the names in a file may be sorted by alphabet
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
    raise UnknownNetwork(
        f"{name} has no width at which its tensors have these shapes: {widest} {shapes[widest]}"
    )


def _shapes(name: str, batch_norm: str, **options) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of a network's floating-point state, without allocating its memory."""
    with torch.device("meta"):
        model = build(name, batch_norm=batch_norm, **options)
    return {key: tuple(value.shape) for key, value in model.state_dict().items() if value.is_floating_point()}


# ----------------------------------------------------------------------------------------------------
# From a file of weights to a `.dcz` file: what ``dnnc compress`` does.


@dataclass(frozen=True)
class Told:
    """What the user should know after a compression.

    Attributes
    ----------
    summary : str
        One line, or "".
    notes : tuple of str
        What was changed or noticed on the way, a line each.
    dense : mapping of tensor name to str, optional
        The tensors that were stored dense, and why.
    """

    summary: str = ""
    notes: tuple[str, ...] = ()
    dense: Mapping[str, str] | None = None


def compress_file(
    source: str | Path,
    out: str | Path,
    *,
    sparsity: float,
    sparsities: Sequence[tuple[str, float]] = (),
    keep: Sequence[str] = (),
    clusters: int | None = None,
    criterion: str = "magnitude",
    epochs: int = 0,
    share_epochs: int = 0,
    dataset: str | None = None,
    device: str | None = None,
    target_ratio: float | None = None,
    target_drop: float | None = None,
) -> Told:
    """Compress a network in a file with the three stages of Deep Compression: what ``dnnc compress`` does.

    The course's networks are fine-tuned on request. Any other network, and one with options for single
    tensors and without fine-tuning, is compressed one-shot, by its tensors' names
    (`state_files.compress_state`).

    Parameters
    ----------
    source : path or str
        As in `open_model`.
    out : path
        Written whole or not at all.
    sparsity, criterion
        As in `pipeline.CompressConfig`.
    sparsities, keep
        For tensors by name, as in `state_files.StateConfig`.
    clusters : int, optional
        Shared values per layer; by default the paper's 256 for convolutions and 32 for linear layers.
    epochs, share_epochs : int
        Epochs of fine-tuning while and after pruning, and of the centroids. With neither, and without a
        target, no data set is read.
    dataset : str, optional
        By default the network's own, by its number of classes.
    device : str, optional
        By default the GPU if there is one.
    target_ratio, target_drop : float, optional
        One of them, in place of `sparsity` and `clusters`: a target for `search.search`, on validation
        images.

    Returns
    -------
    Told

    Raises
    ------
    FileNotFoundError
        When the source is neither a file nor a network's name.
    ValueError
        When options do not fit the network, or a weight cannot be stored; the message names it.
    """
    by_name = StateConfig(
        sparsity=sparsity, sparsities=tuple(sparsities), keep=tuple(keep), criterion=criterion
    )
    if clusters is not None:
        by_name = replace(by_name, conv_clusters=clusters, linear_clusters=clusters)
    is_searched = target_ratio is not None or target_drop is not None
    has_own_options = bool(sparsities or keep)
    if is_searched and has_own_options:
        raise ValueError(
            "--ratio and --drop search one sparsity for all: they do not go with --keep or 'glob=...'"
        )
    is_trained = bool(epochs or share_epochs or is_searched)
    notes: tuple[str, ...] = ()
    state = None
    if str(source) not in INPUT_SHAPES:
        is_named = sniff(_known_file(source)) == "dcz" and "architecture" in load_file(source).metadata
        state = None if is_named else read_state(source)
    try:
        model, architecture = open_model(source) if state is None else _model_of(state)
    except UnknownNetwork as error:
        if is_trained:
            raise UnknownNetwork(
                f"{source}: {error}. Fine-tuning it from the shell is not possible: in Python, "
                "common.compress.compress takes any module and its data"
            ) from error
        if state is None:
            raise
        return _compress_by_name(state, out, by_name, (*state.notes, f"compressed by its names: {error}"))
    notes = () if state is None else state.notes
    network = architecture["architecture"]
    if has_own_options and not is_trained:
        return _compress_by_name(state or modules.state_of(model), out, by_name, notes)
    recipe = replace(train_config(network), warmup=0.1)
    prune = replace(recipe, epochs=epochs, max_lr=recipe.max_lr / 4)
    training = validation = None
    if is_trained:
        training, validation = training_sets(dataset or dataset_for(architecture), architecture)
    if has_own_options:
        made = modules.compress(
            model,
            out,
            training,
            sparsity=sparsity,
            sparsities=sparsities,
            keep=keep,
            criterion=criterion,
            clusters=clusters,
            epochs=epochs,
            share_epochs=share_epochs,
            training=prune,
            device=device,
        )
        return Told(notes=(*notes, *made.notes), dense=made.dense)
    config = CompressConfig(
        sparsity=sparsity,
        criterion=criterion,
        prune=prune,
        share=replace(recipe, epochs=share_epochs, max_lr=1e-3, optimizer="adam"),
    )
    if clusters is not None:
        config = replace(config, conv_clusters=clusters, linear_clusters=clusters)
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
    return Told(notes=notes)


def _compress_by_name(state: State, out: str | Path, config: StateConfig, notes: tuple[str, ...]) -> Told:
    made = compress_state(state, config)
    container.save_file(made.model, out)
    dense = {name: one.reason for name, one in made.treatments.items() if one.reason}
    return Told(made.summary(), tuple(dict.fromkeys((*notes, *made.notes))), dense)


def training_sets(dataset: str, architecture: dict) -> tuple[ImageSet, ImageSet]:
    """Return the training and validation images of the recipe's split, in the network's input shape.

    Raises
    ------
    ValueError
        When the set has another number of classes than the network.
    """
    shape = INPUT_SHAPES[architecture["architecture"]]
    whole = fit_images(load_dataset(dataset, "train"), shape, n_classes=architecture["num_classes"])
    return train_val_split(whole, n_validation=N_VALIDATION[dataset])


# ----------------------------------------------------------------------------------------------------
# And back: what ``dnnc decompress`` does.


def decompress_file(source: str | Path, out: str | Path, *, max_dense_bytes: int = MAX_DENSE_BYTES) -> None:
    """Decode a `.dcz` file to safetensors, or with the suffix .pt or .pth to a file of ``torch.save``.

    `max_dense_bytes` limits the memory that its tensors may take (`container.load`).

    Raises
    ------
    FileNotFoundError
        When there is no file.
    ValueError
        When it is not a `.dcz` file, is damaged, or its tensors would take more memory than is allowed.
    """
    if (kind := sniff(source)) != "dcz":
        raise ValueError(f"{source} is a {kind} file, not a .dcz file: there is nothing to decompress")
    compressed = load_file(source, max_dense_bytes=max_dense_bytes)
    try:
        if "architecture" in compressed.metadata:
            state = unpack(compressed).state_dict()
        else:
            state = restore(compressed)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    n_bytes = sum(4 * tensor.numel() for tensor in state.values())
    if n_bytes > max_dense_bytes:
        raise ValueError(f"{source}: tied tensors of {n_bytes} bytes, expected at most {max_dense_bytes}")
    save_state(state, out)
