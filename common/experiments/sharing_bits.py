"""Weight sharing on the shipped VGG-16: index bits against accuracy and bytes, before and after fine-tuning.

Each convolution has a codebook of at most ``2**conv_bits`` values, each fully connected layer one of at most
``2**fc_bits``; None leaves the weights float32. Accuracies are measured on the first validation images. There
is a third measurement between sharing and fine-tuning: the shared weights as they are, with batch norm's
means and variances estimated again. Fine-tuning does that as well, so only a comparison with this measurement
shows what the moved centroids add.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from common.base.memo import Memo
from common.base.progress import progress
from common.codec import container
from common.codec.container import CompressedModel
from common.codec.tensors import DenseTensor, SharedTensor
from common.data.batches import BatchSource
from common.data.datasets import load_dataset
from common.data.image_set import ImageSet, first_images, train_val_split
from common.experiments import ROOT, WORKDIR, Outcome
from common.networks.baseline import N_VALIDATION
from common.networks.checkpoints import load_weights, state_digest
from common.networks.models import build, dense_bytes, prunable_parameters
from common.networks.training import TrainConfig, autocast, default_device, evaluate, train
from common.sharing.centroid_tuning import CentroidTuner
from common.sharing.weight_sharing import share_weights

WEIGHTS = ROOT / "capstone" / "vgg16_cifar10.safetensors"
_PRECISION, _BATCH = "bf16", 250


_TUNE = TrainConfig(
    epochs=1, batch_size=32, max_lr=1e-4, warmup=0.1, label_smoothing=0.0, crop_padding=2, optimizer="adam"
)


@dataclass(frozen=True)
class Plan:
    """What is measured, and how. None as bits leaves the weights float32; tests use a smaller plan."""

    conv_bits: tuple[int | None, ...] = (1, 2, 3, 4, 5, 6, 8, None)
    fc_bits: tuple[int | None, ...] = (1, 2, 3, 4, 5, 8, None)
    renormed: tuple[int, ...] = (3, 1, 2)  # of conv_bits: also with batch norm estimated again
    tuned: tuple[tuple[int, int], ...] = ((2, 2),)  # pairs of renormed and fc_bits
    n_validation: int = 1000
    n_renorm: int = 640  # training images that batch norm is measured on again
    tune: TrainConfig = _TUNE
    n_steps: int = 80


def run(
    *, device: str | None = None, resume: bool = True, workdir: Path = WORKDIR / "sharing_bits"
) -> Outcome:
    """Measure all pairs of bits, then the fine-tuning; see `common.experiments`."""
    plan, device = Plan(), device or default_device()
    whole = load_dataset("cifar10", "train")
    training, validation = train_val_split(whole, n_validation=N_VALIDATION["cifar10"])
    some = first_images(validation, plan.n_validation)
    model = load_weights(build("vgg16"), WEIGHTS)
    figures = measure(model, training, some, plan, workdir=workdir, device=device, resume=resume)
    return Outcome(figures, datasets=(training, some), seed=plan.tune.seed)


def measure(
    model: nn.Module,
    training: ImageSet,
    validation: ImageSet,
    plan: Plan,
    *,
    workdir: Path,
    device: str,
    resume: bool = True,
) -> dict:
    """The study's figures for any network of `models.vgg`.

    Parameters
    ----------
    model : nn.Module
        Trained; not changed.
    training, validation : ImageSet
    plan : Plan
    workdir : path
        Measurements and checkpoints.
    device : str
    resume : bool
        Whether what was measured before is read from `workdir`.

    Returns
    -------
    dict
        ``grid``: one entry per pair of bits, with ``top1`` and ``file_bytes``; (None, None) is the network as
        it is; some have ``top1_renormed``, with batch norm's statistics estimated again. ``tuned``: one entry
        per pair of ``plan.tuned``, with ``top1_tuned``. Further, how they were measured. Accuracies are in
        [0, 1].
    """
    options = [state_digest(model), training.sha256, validation.sha256, plan.fc_bits]
    memo = Memo(workdir, options, resume=resume)
    few = first_images(training, plan.n_renorm)
    grid = []
    for conv_bits in progress(plan.conv_bits, desc="bits of the convolutions", unit="row"):
        grid += memo.get(f"row {conv_bits}", lambda b=conv_bits: _row(model, validation, b, plan, device))
    at = {(entry["conv_bits"], entry["fc_bits"]): entry for entry in grid}
    for conv_bits in progress(plan.renormed, desc="batch norm estimated again", unit="row"):
        row = memo.get(
            f"renormed {conv_bits}, {plan.n_renorm}",
            lambda b=conv_bits: _row(model, validation, b, plan, device, few),
        )
        for entry in row:
            at[entry["conv_bits"], entry["fc_bits"]]["top1_renormed"] = entry["top1"]
    tuned = []
    for bits in plan.tuned:
        figures = memo.get(
            f"tuned {bits}, {plan.n_steps} steps, {asdict(plan.tune)}",
            lambda b=bits: _tuned(model, b, training, validation, plan, device, memo.folder),
        )
        tuned.append({"conv_bits": bits[0], "fc_bits": bits[1], **figures})
    return {
        "dense_bytes": dense_bytes(model),
        "n_validation": len(validation),
        "grid": grid,
        "tuned": tuned,
        "n_steps": plan.n_steps,
        "batch_size": plan.tune.batch_size,
        "max_lr": plan.tune.max_lr,
        "n_renorm": plan.n_renorm,
    }


def share(model: nn.Module, conv_bits: int | None, fc_bits: int | None) -> dict[str, SharedTensor]:
    """Each layer's weights shared by k-means, by name; layers whose bits are None are left out."""
    shared = {}
    for name, weight in prunable_parameters(model).items():
        n_bits = conv_bits if weight.ndim > 2 else fc_bits
        if n_bits is not None:
            shared[name] = share_weights(weight.detach().cpu().numpy(), n_bits=n_bits)
    return shared


def network_file(model: nn.Module, shared: Mapping[str, SharedTensor]) -> bytes:
    """Bytes of the network's `.dcz` file: shared weights as codebook and indices, all else as it is."""
    state = {name: DenseTensor(value.cpu().numpy()) for name, value in model.state_dict().items()}
    return container.save(CompressedModel({**state, **shared}))


def _row(
    model: nn.Module,
    validation: ImageSet,
    conv_bits: int | None,
    plan: Plan,
    device: str,
    renorm: ImageSet | None = None,
) -> list[dict]:
    """One choice of `conv_bits` with every choice of `fc_bits`: the features are computed only once.

    With `renorm`, batch norm's statistics are first estimated again on these images; the classifier has none.
    """
    of_row = copy.deepcopy(model)
    convolutions = share(model, conv_bits, None)
    CentroidTuner(convolutions, of_row)  # writes the shared values into the network
    if renorm is not None:
        renew_batch_norm_(of_row, renorm, device)
    features, labels = _features(of_row, validation, device)
    entries = []
    for fc_bits in plan.fc_bits:
        linear = share(model, None, fc_bits)
        network = copy.deepcopy(of_row)
        CentroidTuner(linear, network)
        with torch.no_grad(), autocast(torch.device(device), _PRECISION):
            answers = network.classifier(features).argmax(1)
        entries.append(
            {
                "conv_bits": conv_bits,
                "fc_bits": fc_bits,
                "top1": float((answers == labels).double().mean()),
                "file_bytes": len(network_file(model, {**convolutions, **linear})),
            }
        )
    return entries


@torch.no_grad()
def _features(model: nn.Module, data: ImageSet, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The features that a VGG's classifier gets for each image, and the labels."""
    model.to(device, memory_format=torch.channels_last).eval()
    found = []
    for images in _batches(data, device):
        with autocast(torch.device(device), _PRECISION):
            found.append(model.flatten(model.features(images)))
    return torch.cat(found), torch.from_numpy(data.labels).to(device)


def _batches(data: ImageSet, device: str):
    source = BatchSource.of(data, device=device)
    return (images for images, _ in source.plain_batches(_BATCH))


def _tuned(
    model: nn.Module,
    bits: tuple[int, int],
    training: ImageSet,
    validation: ImageSet,
    plan: Plan,
    device: str,
    folder: Path,
) -> dict:
    """Accuracy of one setting after `n_steps` of centroid fine-tuning."""
    network = copy.deepcopy(model)
    tuner = CentroidTuner(share(model, *bits), network)
    train(
        network,
        first_images(training, plan.n_steps * plan.tune.batch_size),
        plan.tune,
        callbacks=[tuner],
        parameters=tuner.parameters(),
        device=device,
        checkpoint_steps=10,
        checkpoint=folder / f"{bits[0]}_{bits[1]}_{plan.n_steps}.pt",
        description=f"{bits[0]} and {bits[1]} bits: fine-tuning centroids",
    )
    tuned = evaluate(network, validation, precision=_PRECISION, batch_size=_BATCH, device=device)
    return {"top1_tuned": tuned.top1, "file_bytes": len(network_file(network, tuner.shared_tensors()))}


@torch.no_grad()
def renew_batch_norm_(model: nn.Module, data: ImageSet, device: str) -> None:
    """Estimate every batch norm's mean and variance again, in place: averages over the batches of `data`."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch then takes the plain average over all batches
    model.to(device, memory_format=torch.channels_last).train()
    for images in _batches(data, device):
        with autocast(torch.device(device), _PRECISION):
            model(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
