"""The trained network that everything starts from: trained by its recipe, then rounded to float16.

The rounded weights *are* the baseline: they are in the repository, they are compressed, and every drop of
accuracy is measured from theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from common.base.results import commit_of_start, write_result
from common.data.catalog import CATALOG
from common.data.datasets import load_dataset
from common.data.image_set import fit_images, train_val_split
from common.networks.averaging import Ema, reestimate_statistics
from common.networks.checkpoints import load_weights, round_to_half_, save_weights
from common.networks.models import INPUT_SHAPES, build, count_parameters
from common.networks.training import TrainConfig, default_device, evaluate, is_first_process, train

# ----------------------------------------------------------------------------------------------------
# How each network of the course is trained from scratch: one fixed configuration per network and device.

DATASETS = {
    "lenet_300_100": "mnist",
    "lenet_5": "mnist",
    "vgg16": "cifar10",
    "alexnet": "cifar10",
    "vgg16_imagenet": "cifar10",
}


def dataset_for(architecture: Mapping[str, object]) -> str:
    """Return the data set on which a network is fine-tuned or measured by default, by its number of classes.

    >>> dataset_for({"architecture": "vgg16", "num_classes": 100})
    'cifar100'

    Raises
    ------
    ValueError
        When no data set has as many classes, in images of the network's shape.
    """
    network, n_classes = architecture["architecture"], architecture["num_classes"]
    own = DATASETS.get(network, "mnist")
    fitting = [own, *(name for name in CATALOG if CATALOG[name].image_shape == CATALOG[own].image_shape)]
    for name in fitting:
        if len(CATALOG[name].classes) == n_classes:
            return name
    known = ", ".join(f"{name} ({len(CATALOG[name].classes)})" for name in dict.fromkeys(fitting))
    raise ValueError(f"the network has {n_classes} classes, and no data set has: {known}")


# Images that are split off each training set for validation.
N_VALIDATION = {"mnist": 5000, "cifar10": 2500, "cifar100": 2500, "digits": 500, "digits8x8": 200}

_LENET = TrainConfig(
    epochs=30,
    batch_size=128,
    max_lr=0.1,
    weight_decay=1e-4,
    label_smoothing=0.0,
    crop_padding=0,
    flip=False,
    precision="fp32",
)
_VGG_GPU = TrainConfig(epochs=120, batch_size=256, max_lr=0.15, weight_decay=5e-4)
# An epoch takes five minutes on two CPU cores, so there are few epochs, and with few epochs a milder
# augmentation is better. The second cycle was added, with a longer tail, because the first had not converged
# (validation 91.6 % and rising).
_VGG_CPU = replace(
    _VGG_GPU,
    epochs=23,
    batch_size=128,
    max_lr=0.1,
    crop_padding=2,
    rates=((0, 0), (2.4, 1), (12, 0), (13.6, 1), (18, 0.3125), (23, 0)),
)
# From another data set's weights: a learning rate low enough to adapt its filters without losing them.
_VGG_CPU_STARTED = replace(_VGG_GPU, epochs=12, batch_size=128, max_lr=0.05, warmup=0.15)


@dataclass(frozen=True)
class Refinement:
    """How a trained network is trained further on the same images.

    Attributes
    ----------
    train : TrainConfig
        Options of the training.
    ema_decay : float
        Decay of the average of weights (`averaging.Ema`).
    ema_epoch : int
        The weights are averaged from this epoch on, counted from 0.
    """

    train: TrainConfig
    ema_decay: float
    ema_epoch: int


# One long decrease of the learning rate to 0, from the first run's weights.
_REFINEMENTS = {
    "vgg16": Refinement(
        replace(
            _VGG_GPU,
            epochs=24,
            batch_size=128,
            max_lr=0.05,
            rates=((0, 0), (1, 1), (24, 0)),
            cutout=((0, 8), (12, 12)),
        ),
        ema_decay=0.999,
        ema_epoch=6,
    )
}


def refinement(network: str) -> Refinement:
    """Return how the trained `network` is trained further.

    Raises
    ------
    ValueError
        When there is no such recipe for the network.
    """
    if network not in _REFINEMENTS:
        raise ValueError(f"no refinement for {network!r}: expected one of {', '.join(_REFINEMENTS)}")
    return _REFINEMENTS[network]


def train_config(network: str, *, device: str = "cpu", is_started: bool = False) -> TrainConfig:
    """Return the configuration with which `network` is trained on a device ("cpu", or "cuda", "cuda:0", ...).

    `is_started` says that it starts with weights trained on another data set: on a CPU, where training is
    slow, it is then shorter.

    Raises
    ------
    ValueError
        When there is no recipe for the network.
    """
    if network == "lenet_5":
        return replace(_LENET, epochs=20, max_lr=0.03)  # diverges at 0.1
    if network == "lenet_300_100":
        return _LENET
    if network == "vgg16":
        on_a_cpu = _VGG_CPU_STARTED if is_started else _VGG_CPU
        return on_a_cpu if device.startswith("cpu") else _VGG_GPU
    if network in DATASETS:
        # Without batch norm, so with the learning rate of torchvision's own training. For a GPU: a batch of
        # VGG-16 takes 8 GB.
        return replace(_VGG_GPU, epochs=40, batch_size=128, max_lr=0.01)
    raise ValueError(f"no recipe for {network!r}: expected one of {', '.join(DATASETS)}")


@commit_of_start()
def train_baseline(
    network: str,
    *,
    weights: str | Path,
    result: str | Path,
    workdir: str | Path,
    dataset: str | None = None,
    start: str | Path | None = None,
    refine: str | Path | None = None,
    epochs: int | None = None,
    device: str | None = None,
    resume: bool = True,
    command: str = "dnnc train",
) -> dict:
    """Train a network on its data set without the validation split, and write its weights and its accuracy.

    Parameters
    ----------
    network : str
        A key of `models.INPUT_SHAPES`.
    weights, result : path
        Files to write: the weights as float16 safetensors, and JSON with the accuracy of exactly these
        weights.
    workdir : path
        Folder of the checkpoint ``baseline.pt``, ``baseline_from_<start>.pt`` or ``refined_<refine>.pt``,
        from which a stopped run goes on.
    dataset : str, optional
        By default the network's own (`DATASETS`).
    start : path, optional
        Safetensors of the same network, trained on other images: all layers but the last start from them.
    refine : path, optional
        Safetensors of the same network, trained on the same images, to be trained further (`refinement`).
        What is written is the average of the weights, with batch norm statistics computed for them.
    epochs : int, optional
        By default the recipe's.
    device : str, optional
        By default the GPU if there is one.
    resume : bool
        Whether to go on from a checkpoint; else it is deleted.
    command : str
        The command that the result names as its origin.

    Returns
    -------
    dict
        ``network``, ``dataset``, ``parameters``, ``top1`` and ``loss`` on the test set, ``n_test``,
        ``validation_top1``, ``n_train``, ``n_validation``, ``epochs``, ``start`` (a file's name, or None),
        and ``refine`` where a network was refined.

    Raises
    ------
    ValueError
        When there is no recipe, the images have another size than the network's, the checkpoint belongs to
        other options or another start, both `start` and `refine` are given, or one does not fit the network.
    """
    if start is not None and refine is not None:
        raise ValueError("start and refine are both given: expected one at most")
    device = device or default_device()
    further = None if refine is None else refinement(network)
    config = further.train if further else train_config(network, device=device, is_started=start is not None)
    config = config if epochs is None else replace(config, epochs=epochs)
    dataset = DATASETS[network] if dataset is None else dataset
    whole, test = (
        fit_images(load_dataset(dataset, split), INPUT_SHAPES[network]) for split in ("train", "test")
    )
    training, validation = train_val_split(whole, n_validation=N_VALIDATION[dataset], seed=config.seed)
    name = "baseline" if start is None else f"baseline_from_{Path(start).stem}"
    checkpoint = Path(workdir) / f"{name if refine is None else f'refined_{Path(refine).stem}'}.pt"
    if not resume:
        checkpoint.unlink(missing_ok=True)
    model = build(network, num_classes=len(whole.classes), seed=config.seed)
    if start is not None:
        load_weights(model, start, keeps_last_layer=True)
    callbacks, steps = [], len(training) // config.batch_size
    if further is not None:
        load_weights(model, refine)
        callbacks = [Ema(further.ema_decay, start_step=further.ema_epoch * steps)]
    # On two cores without bfloat16 a step of VGG-16 takes 2 s and more: with a checkpoint every 25 or 100
    # steps, a stopped run loses a few minutes only.
    train(
        model,
        training,
        config,
        validation=validation,
        device=device,
        checkpoint=checkpoint,
        callbacks=callbacks,
        checkpoint_steps=100 if further is None else 25,
        description=network,
    )
    for average in callbacks:
        average.copy_to_(model)
        reestimate_statistics(model, training, device=device)
    round_to_half_(model)
    measured = evaluate(model, test, device=device)
    figures = {
        "network": network,
        "dataset": dataset,
        "parameters": count_parameters(model),
        "top1": measured.top1,
        "loss": measured.loss,
        "n_test": measured.n,
        "validation_top1": evaluate(model, validation, device=device).top1,
        "n_train": len(training),
        "n_validation": len(validation),
        "epochs": config.epochs,
        "start": None if start is None else Path(start).name,
    }
    if refine is not None:
        figures["refine"] = Path(refine).name
    if is_first_process():  # all processes have the same weights, so one writes
        save_weights(model, weights)
        write_result(
            result,
            figures,
            command=command,
            seed=config.seed,
            dataset=[training, validation, test],
            device=device,
        )
    return figures
