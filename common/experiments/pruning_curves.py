"""Accuracy against sparsity: how far a network can be pruned, in which way, with and without fine-tuning.

LeNet-300-100 is trained on MNIST, then pruned by magnitude over all layers together: without training after
it, and in three ways with fine-tuning (in one shot, in rounds, gradually). These three get the same few
epochs and the same learning rates, so that they differ only in *when* the weights are pruned. In a fourth
way, that of Han et al. (2015), every round gets all of these epochs, and starts where the one before ended:
more training for more sparsity. The shipped VGG-16 is pruned without any training: over all layers together,
to the same sparsity in every layer, and by LAMP's scores; and one layer at a time, for the layers'
sensitivity.
All accuracies are measured on images cut from the training set.

Every measured point is stored at once, so a stopped run goes on from the last one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from common.base.files import whole_file
from common.base.memo import Memo
from common.base.progress import progress
from common.data.datasets import load_dataset
from common.data.image_set import ImageSet, first_images, train_val_split
from common.experiments import ROOT, WORKDIR, Outcome
from common.networks.baseline import N_VALIDATION, train_config
from common.networks.checkpoints import load_weights, state_digest
from common.networks.models import build, prunable_parameters
from common.networks.training import TrainConfig, default_device, evaluate, train
from common.pruning.callbacks import (
    GradualPruner,
    MaskKeeper,
    Masks,
    apply_masks_,
    global_masks,
    iterative_schedule,
    lamp_scores,
    layerwise_masks,
    magnitude_scores,
    sensitivity_scan,
)

VGG16_WEIGHTS = ROOT / "capstone" / "vgg16_cifar10.safetensors"
RAMP = 0.6  # the part of the fine-tuning in which gradual pruning prunes

LENET_SPARSITIES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
WAYS = {"one-shot": LENET_SPARSITIES, "iterative": LENET_SPARSITIES[2:], "gradual": LENET_SPARSITIES[2:]}
LENET_IMAGES, LENET_EPOCHS, FINE_TUNING_EPOCHS = 20_000, 8, 3

VGG16_SPARSITIES = (0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
VGG16_IMAGES = 1000
SCAN_SPARSITIES = (0.5, 0.8, 0.95)
SCAN_IMAGES = 300


class StepPruner(MaskKeeper):
    """Training callback that prunes by magnitude, over all layers together, after the given steps.

    Parameters
    ----------
    masks : Masks
        The masks at the start; what is pruned never grows back.
    schedule : mapping of int to float
        Steps of the optimiser, counted from 0, and the sparsities in [0, 1] that are reached after them.
    """

    def __init__(self, masks: Masks, schedule: Mapping[int, float]) -> None:
        super().__init__(masks)
        self.schedule = dict(schedule)

    def after_step(self, model: nn.Module, step: int) -> None:
        """Prune when it is due, and apply the masks."""
        if step in self.schedule:
            self._follow(model)
            self.masks = magnitude_masks(model, self.schedule[step], current=self.masks)
        super().after_step(model, step)


def magnitude_masks(model: nn.Module, sparsity: float, *, current: Masks | None = None) -> Masks:
    """Masks of a sparsity over all layers together, by magnitude; what `current` prunes stays pruned."""
    return global_masks(magnitude_scores(prunable_parameters(model)), sparsity, current=current)


def fine_tuned(
    model: nn.Module, data: ImageSet, config: TrainConfig, *, way: str, sparsity: float, device: str = "cpu"
) -> nn.Module:
    """A copy of a trained network, pruned in one of three ways and fine-tuned.

    Parameters
    ----------
    model : nn.Module
        Not changed.
    data : ImageSet
        Training images.
    config : TrainConfig
        Of the fine-tuning; the same for every way.
    way : {"one-shot", "iterative", "gradual"}
        When weights are pruned: all before the training; the same fraction of what is left at the beginning
        of every epoch; or along a cubic curve over the first `RAMP` of the steps.
    sparsity : float in [0, 1]
        At the end, over all layers together.
    device : str

    Returns
    -------
    nn.Module

    Raises
    ------
    ValueError
        There is no such way.
    """
    model = deepcopy(model).to(device)
    steps = len(data) // config.batch_size
    if way == "gradual":
        end = max(1, int(RAMP * config.epochs * steps))
        pruner: MaskKeeper = GradualPruner(sparsity, 0, end, every=max(1, end // 60))
    elif way in ("one-shot", "iterative"):
        rounds = iterative_schedule(sparsity, 1 if way == "one-shot" else config.epochs)
        masks = magnitude_masks(model, rounds[0])
        apply_masks_(model, masks)
        pruner = StepPruner(masks, {k * steps - 1: goal for k, goal in enumerate(rounds) if k})
    else:
        raise ValueError(f"way={way!r}: expected one-shot, iterative or gradual")
    train(model, data, config, callbacks=[pruner], device=device, description=f"{way} {sparsity}")
    return model


def round_after_round(
    model: nn.Module,
    data: ImageSet,
    config: TrainConfig,
    *,
    sparsities: tuple[float, ...],
    folder: Path,
    device: str = "cpu",
) -> Iterator[nn.Module]:
    """Yield the network at ascending sparsities, each pruned and fine-tuned from the one before.

    Finished ones are read from `folder`.
    """
    for sparsity in sparsities:
        path = folder / f"rounds_{sparsity}.pt"
        if path.exists():
            model = deepcopy(model)
            model.load_state_dict(torch.load(path, map_location=device, weights_only=True))
        else:
            model = fine_tuned(model, data, config, way="one-shot", sparsity=sparsity, device=device)
            with whole_file(path) as aside:
                torch.save(model.state_dict(), aside)
        yield model


def lenet_curves(
    model: nn.Module,
    training: ImageSet,
    validation: ImageSet,
    config: TrainConfig,
    *,
    workdir: Path,
    resume: bool = True,
    ways: Mapping[str, tuple[float, ...]] = WAYS,
    sparsities: tuple[float, ...] = LENET_SPARSITIES,
    device: str = "cpu",
) -> dict:
    """Accuracy against sparsity of a trained network: without fine-tuning, and in every way of it.

    The result's ``curves`` map a way to a list of (sparsity, top1).
    """

    def untrained(sparsity: float) -> float:
        pruned = deepcopy(model).to(device)
        apply_masks_(pruned, magnitude_masks(pruned, sparsity))
        return evaluate(pruned, validation, device=device).top1

    def trained(way: str, sparsity: float) -> float:
        pruned = fine_tuned(model, training, config, way=way, sparsity=sparsity, device=device)
        return evaluate(pruned, validation, device=device).top1

    options = [state_digest(model), training.sha256, validation.sha256, config, RAMP]
    memo = Memo(workdir / "lenet", options, resume=resume)
    rounds_memo = Memo(workdir / "lenet-rounds", [*options, sparsities], resume=resume)
    curves = {
        "not fine-tuned": [
            (sparsity, memo.get(f"lenet none {sparsity}", lambda s=sparsity: untrained(s)))
            for sparsity in sparsities
        ]
    }
    jobs = [(way, sparsity) for way, of_way in ways.items() for sparsity in of_way]
    for way, sparsity in progress(jobs, desc="ways to prune"):
        top1 = memo.get(f"lenet {way} {sparsity}", lambda w=way, s=sparsity: trained(w, s))
        curves.setdefault(way, []).append((sparsity, top1))

    def rounds() -> list[float]:
        networks = round_after_round(
            model, training, config, sparsities=sparsities, folder=rounds_memo.folder, device=device
        )
        return [evaluate(pruned, validation, device=device).top1 for pruned in networks]

    curves["round after round"] = list(zip(sparsities, rounds_memo.get("top1", rounds), strict=True))
    return {
        "n_weights": sum(weight.numel() for weight in prunable_parameters(model).values()),
        "n_train": len(training),
        "n_validation": len(validation),
        "fine_tuning_epochs": config.epochs,
        "top1": memo.get("lenet dense", lambda: evaluate(model, validation, device=device).top1),
        "curves": curves,
    }


def untrained_curves(
    model: nn.Module,
    images: ImageSet,
    *,
    workdir: Path,
    resume: bool = True,
    sparsities: tuple[float, ...] = VGG16_SPARSITIES,
    device: str = "cpu",
) -> dict:
    """Accuracy against sparsity without any training: over all layers, the same in every layer, by LAMP.

    The result's ``curves`` map a rule to a list of (sparsity, top1).
    """
    weights = prunable_parameters(model)
    choose = {
        "global": lambda sparsity: global_masks(magnitude_scores(weights), sparsity),
        "layer-wise": lambda sparsity: layerwise_masks(
            magnitude_scores(weights), dict.fromkeys(weights, sparsity)
        ),
        "LAMP": lambda sparsity: global_masks(lamp_scores(weights), sparsity),
    }

    def top1(rule: str, sparsity: float) -> float:
        pruned = deepcopy(model)
        apply_masks_(pruned, choose[rule](sparsity))
        return evaluate(pruned, images, batch_size=100, precision="bf16", device=device).top1

    memo = Memo(workdir / "vgg16", [state_digest(model), images.sha256], resume=resume)
    jobs = [(rule, sparsity) for rule in choose for sparsity in sparsities]
    curves: dict[str, list] = {}
    for rule, sparsity in progress(jobs, desc="VGG-16 without training"):
        value = memo.get(f"vgg16 {rule} {sparsity}", lambda r=rule, s=sparsity: top1(r, s))
        curves.setdefault(rule, []).append((sparsity, value))
    dense = memo.get("vgg16 dense", lambda: top1("global", 0.0))
    return {"n_images": len(images), "top1": dense, "curves": curves}


def sensitivity(
    model: nn.Module,
    images: ImageSet,
    *,
    workdir: Path,
    resume: bool = True,
    sparsities: tuple[float, ...] = SCAN_SPARSITIES,
    device: str = "cpu",
) -> dict:
    """Accuracy with one layer pruned and all others whole: for every layer a list of (sparsity, top1)."""

    def top1(network: nn.Module) -> float:
        return evaluate(network, images, batch_size=100, precision="bf16", device=device).top1

    memo = Memo(workdir / "scan", [state_digest(model), images.sha256, sparsities], resume=resume)
    layers = {}
    for name in progress(list(prunable_parameters(model)), desc="layer by layer"):
        layers[name] = memo.get(
            f"scan {name}",
            lambda n=name: [
                (row.sparsity, row.value) for row in sensitivity_scan(model, top1, sparsities, names=[n])
            ],
        )
    return {"n_images": len(images), "top1": memo.get("scan dense", lambda: top1(model)), "layers": layers}


def run(
    *, device: str | None = None, resume: bool = True, workdir: Path = WORKDIR / "pruning_curves"
) -> Outcome:
    """Measure all curves; takes about four minutes on one core."""
    device = device or default_device()
    where = {"workdir": workdir, "resume": resume, "device": device}
    cifar = load_dataset("cifar10", "train")
    _, cifar = train_val_split(cifar, n_validation=N_VALIDATION["cifar10"])
    few, fewer = first_images(cifar, VGG16_IMAGES), first_images(cifar, SCAN_IMAGES)
    vgg16 = load_weights(build("vgg16"), VGG16_WEIGHTS)
    figures = {"vgg16": untrained_curves(vgg16, few, **where)}
    figures["vgg16"]["sensitivity"] = sensitivity(vgg16, fewer, **where)

    training, validation = train_val_split(load_dataset("mnist", "train"), n_validation=N_VALIDATION["mnist"])
    training = first_images(training, LENET_IMAGES)
    config = replace(train_config("lenet_300_100"), epochs=LENET_EPOCHS)
    lenet = build("lenet_300_100", seed=0)
    trained = Memo(workdir / "lenet-trained", [config, training.sha256], resume=resume)
    train(
        lenet,
        training,
        config,
        device=device,
        checkpoint=trained.folder / "lenet.pt",
        description="LeNet-300-100",
    )
    tuning = replace(config, epochs=FINE_TUNING_EPOCHS, warmup=0.1)
    figures["lenet"] = lenet_curves(lenet, training, validation, tuning, **where)
    figures["lenet"]["epochs"] = LENET_EPOCHS
    return Outcome(figures, datasets=(few, fewer, training, validation))
