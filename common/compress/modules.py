"""Any network in PyTorch: compressed with its own training data, written, and read back into the same module.

    from common.compress import compress, load_into

    compress(model, "mine.dcz", train_loader, sparsity=0.9, epochs=10, share_epochs=2)
    load_into(MyNetwork(), "mine.dcz")

The stages are those of the course: pruning by magnitude while fine-tuning, k-means weight sharing,
fine-tuning of the centroids, new batch norm statistics, Huffman coding. Without data there is no training: it
is one-shot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from common.base.files import whole_file
from common.codec import container
from common.codec.container import CompressedModel
from common.compress.state_files import (
    COUNTER,
    StateConfig,
    Treatment,
    pack_state,
    prune_state,
    restore,
    share_tensor,
    state_of,
    treatments,
)
from common.data.image_set import ImageSet
from common.networks.averaging import reestimate_statistics
from common.networks.training import TrainConfig, batch_source, default_device, place_, train
from common.pruning.callbacks import GradualPruner
from common.pruning.masks import apply_masks_
from common.pruning.network import SCORES
from common.sharing.centroid_tuning import CentroidTuner

RAMP = 0.6  # fraction of the fine-tuning's steps during which the sparsity rises


@dataclass(frozen=True)
class CompressedModule:
    """What `compress` made.

    Attributes
    ----------
    data : bytes
        The `.dcz` file.
    dense : dict of str to str
        Tensors that were stored as they are, and why.
    notes : tuple of str
        What the user should know: layers pruned empty, values outside float16.
    ratio : float
        Compression ratio: the bytes of all values as float32 (tied tensors once), over those of the file.
    sparsity : float
        Fraction of zeros in [0, 1], over the tensors that were pruned.
    """

    data: bytes
    dense: dict[str, str]
    notes: tuple[str, ...]
    ratio: float
    sparsity: float


def compress(
    model: nn.Module,
    out: str | Path | None = None,
    data: ImageSet | Iterable | None = None,
    *,
    sparsity: float = 0.9,
    sparsities: Sequence[tuple[str, float]] = (),
    keep: Sequence[str] = (),
    criterion: str = "magnitude",
    clusters: int | None = None,
    epochs: int = 0,
    share_epochs: int = 0,
    training: TrainConfig | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    device: str | None = None,
    workdir: str | Path | None = None,
) -> CompressedModule:
    """Compress a module and, if `out` is given, write the `.dcz` file.

    The module is changed in place: afterwards it has the weights that the file holds.

    Parameters
    ----------
    model : nn.Module
        Trained, of any architecture.
    out : path, optional
        Written whole or not at all.
    data : ImageSet, DataLoader or iterable, optional
        Training batches: pairs of inputs and labels. Fine-tuning needs them, and the new statistics of batch
        norm.
    sparsity : float in [0, 1)
        Fraction of zeros, over all tensors that are pruned and have no sparsity of their own.
    sparsities : sequence of (glob, float)
        Sparsities of tensors by name, for example ``[("conv*", 0.95)]``.
    keep : sequence of glob
        Names of tensors that stay as they are, for example ``["head.*"]``.
    criterion : {"magnitude", "normalized", "lamp"}
        Which weights are pruned (`common.pruning.masks`).
    clusters : int, optional
        Shared values per tensor; by default 256 for three and more axes, 32 for two.
    epochs, share_epochs : int
        Epochs of fine-tuning while pruning, and of the centroids.
    training : TrainConfig, optional
        Options of the fine-tuning; its epochs are replaced by the two above. By default SGD with a learning
        rate of 0.01 in batches of 128, in float32, without augmentation. An iterable has its own batches.
    loss : callable, optional
        From the module's output and the labels to a scalar; by default the cross-entropy.
    device : str, optional
        By default the GPU if there is one.
    workdir : path, optional
        Folder for checkpoints, so that an interrupted run on an ImageSet resumes.

    Returns
    -------
    CompressedModule

    Raises
    ------
    ValueError
        When there are epochs but no data, the data set has another number of classes, a glob matches no name,
        an option is out of its range, or a weight is not finite.
    """
    if (epochs or share_epochs) and data is None:
        raise ValueError(f"epochs={epochs}, share_epochs={share_epochs}: fine-tuning needs data")
    config = StateConfig(
        sparsity=sparsity, sparsities=tuple(sparsities), keep=tuple(keep), criterion=criterion
    )
    if clusters is not None:
        config = replace(config, conv_clusters=clusters, linear_clusters=clusters)
    model = unwrapped(model)
    device = torch.device(device or default_device())
    own = training or TrainConfig(
        epochs=0, max_lr=0.01, crop_padding=0, flip=False, label_smoothing=0.0, precision="fp32"
    )
    if isinstance(data, ImageSet):
        _check_classes(model, data, device)
    options = {"device": device, "objective": None if loss is None else _Objective(loss)}
    chosen = _chosen(model, config)
    masks = _pruned(model, data, config, chosen, replace(own, epochs=epochs), workdir, options)
    shared = _shared(model, data, config, chosen, masks, replace(own, epochs=share_epochs), workdir, options)
    if data is not None:
        reestimate_statistics(model, data, device=device)
    packed = pack_state(state_of(model), shared, chosen)
    content = container.save(packed.model)
    load_into(model, packed.model)
    if out is not None:
        with whole_file(out) as aside:
            aside.write_bytes(content)
    n_kept = sum(tensor.n_kept for tensor in shared.values())
    n_shared = sum(tensor.n_weights for tensor in shared.values())
    n_values = sum(tensor.n_weights for tensor in packed.model.tensors.values())
    return CompressedModule(
        data=content,
        dense={name: one.reason for name, one in chosen.items() if one.reason},
        notes=packed.notes,
        ratio=4 * n_values / len(content),
        sparsity=1 - n_kept / n_shared if n_shared else 0.0,
    )


def load_into(model: nn.Module, source: str | Path | bytes | CompressedModel) -> nn.Module:
    """Read a `.dcz` file into a module of the architecture that it was made from; return the module.

    Parameters
    ----------
    model : nn.Module
        Its weights are overwritten.
    source : path, bytes or CompressedModel
        The file, its bytes, or what they decode to.

    Raises
    ------
    ValueError
        When names or shapes differ (the message shows the first that do), or the file is damaged.
    """
    target = unwrapped(model)
    if isinstance(source, CompressedModel):
        state = restore(source)
    elif isinstance(source, bytes):
        state = restore(container.load(source))
    else:
        state = restore(container.load_file(source))
    own = target.state_dict()
    counters = {name for name in own if name.split(".")[-1] == COUNTER}
    if difference := differing(
        {n: v.shape for n, v in state.items()}, {n: v.shape for n, v in own.items()}, counters
    ):
        raise ValueError(f"the file does not fit this module: {difference}")
    target.load_state_dict(state, strict=False)
    return model


def differing(theirs: dict, own: dict, optional: Iterable[str] = ()) -> str:
    """Return the first names or shapes in which a file differs from a network; "" where it fits.

    `theirs` and `own` map names to shapes; names in `optional` may be missing in `theirs`.
    """
    lacking = [name for name in own if name not in theirs and name not in set(optional)]
    extra = [name for name in theirs if name not in own]
    told = []
    for what, names in (("lacks", lacking), ("has also", extra)):
        if names:
            told.append(
                f"it {what} {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if names[3:] else "")
            )
    if not told:
        for name, shape in theirs.items():
            if tuple(shape) != tuple(own[name]):
                return f"{name} has shape {tuple(shape)}: expected {tuple(own[name])}"
    return "; ".join(told)


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module itself, without the wrappers of DataParallel and torch.compile."""
    while True:
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif hasattr(model, "_orig_mod"):
            model = model._orig_mod
        else:
            return model


class _Objective:
    """A loss of outputs and labels, as an objective for `training.train`, which also gets the inputs."""

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.loss = loss
        self.options: dict = {}

    def __call__(self, outputs: Tensor, inputs: Tensor, labels: Tensor) -> Tensor:
        return self.loss(outputs, labels)


def _chosen(model: nn.Module, config: StateConfig) -> dict[str, Treatment]:
    """Return what is done with each tensor: tied ones count once, and buffers are never pruned."""
    parameters = dict(model.named_parameters())
    by_identity = {id(parameter): name for name, parameter in parameters.items()}
    state = model.state_dict(keep_vars=True)
    first = {name: tensor for name, tensor in state.items() if by_identity.get(id(tensor), name) == name}
    aliases = {n: by_identity[id(t)] for n, t in state.items() if n not in first}
    chosen = treatments(first, config, aliases=aliases)
    for name, one in chosen.items():
        if not one.reason and name not in parameters:
            chosen[name] = Treatment(name, "a buffer")
    return chosen


def _pruned(model, data, config, chosen, training, workdir, options) -> dict[str, Tensor]:
    """Prune in place, while fine-tuning if there are epochs; return the masks."""
    if training.epochs:
        source = batch_source(data, training, options["device"])
        steps = training.epochs * source.steps(training.batch_size)
        end = max(1, int(RAMP * steps))
        table = {None: config.sparsity} | dict(reversed(config.sparsities))
        pruners = []
        for group, sparsity in table.items():
            names = [name for name, one in chosen.items() if not one.reason and one.group == group]
            if names and sparsity:
                every = max(1, end // 60)
                pruners.append(
                    GradualPruner(
                        sparsity, 0, end, every=every, score=SCORES[config.criterion](), names=names
                    )
                )
        train(
            model,
            data,
            training,
            callbacks=pruners,
            checkpoint=None if workdir is None else Path(workdir) / "prune.pt",
            description="pruning",
            **options,
        )
    parameters = dict(model.named_parameters())
    masks = prune_state(parameters, config, chosen)
    apply_masks_(model, masks)
    return masks


def _shared(model, data, config, chosen, masks, training, workdir, options) -> dict:
    """Share values in place, and fine-tune the centroids if there are epochs; return the shared tensors."""
    parameters = dict(model.named_parameters())
    names = [name for name, one in chosen.items() if not one.reason]
    shared = {name: share_tensor(parameters[name], masks.get(name), config, name) for name in names}
    tuner = CentroidTuner(shared, model)
    if training.epochs:
        training = replace(training, optimizer="adam", max_lr=min(training.max_lr, 1e-3))
        others = [parameter for name, parameter in parameters.items() if name not in shared]
        train(
            model,
            data,
            training,
            callbacks=[tuner],
            parameters=[*tuner.parameters(), *others],
            checkpoint=None if workdir is None else Path(workdir) / "share.pt",
            description="sharing",
            **options,
        )
        shared = tuner.shared_tensors()
    CentroidTuner(shared, model)  # writes the rounded values of the file into the model
    return shared


def _check_classes(model: nn.Module, data: ImageSet, device: torch.device) -> None:
    """Raise ValueError when a network and the images that it is to be trained on differ in classes."""
    place_(model, device)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        inputs, _ = next(islice(batch_source(data, None, device).plain_batches(2), 1))
        outputs = model(inputs)
    model.train(was_training)
    if isinstance(outputs, Tensor) and outputs.ndim == 2 and outputs.shape[1] != len(data.classes):
        raise ValueError(
            f"the network has {outputs.shape[1]} classes, {data.name} has {len(data.classes)}: "
            "choose another set"
        )
