"""One plain training loop for every network of the course, and the evaluation that judges it.

The loop knows nothing of pruning or weight sharing: they act through a callback, an object with any of

``before_step(model, step)``   after the backward pass, before the optimiser moves the weights
``after_step(model, step)``    after the optimiser has moved them
``state_dict() / load_state_dict(state)``   what a resumed run must know

What is minimised is the cross-entropy, unless an `objective` says otherwise: a callable with (logits, images,
labels) that returns the loss, with an attribute ``options`` that a resumed run must find again.

Killed at any moment, a run with a checkpoint path goes on from its last checkpoint to the same weights as an
unbroken run on the same machine: order and augmentation are functions of (seed, epoch, step) alone.
Under ``torchrun --nproc-per-node N`` the batch is shared out over N processes (DistributedDataParallel).
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from common.base.progress import is_quiet, progress
from common.data.batches import BatchSource, LoaderSource, normalization
from common.data.image_set import ImageSet
from common.networks.checkpoints import load_checkpoint, save_checkpoint, state_digest

# ----------------------------------------------------------------------------------------------------
# The learning rate at every step of a training: one cycle, or lines between given points.


class Schedule(Protocol):
    """The fields of `TrainConfig` that make its schedule."""

    epochs: int
    max_lr: float
    warmup: float
    rates: tuple[tuple[float, float], ...]


def learning_rate(config: Schedule, step: int, *, steps_per_epoch: int) -> float:
    """Learning rate of a step (counted from 0), in [0, max_lr].

    One cycle over the whole run, or, where the configuration gives `rates`, straight lines between them,
    taken at the middle of the step: several cycles (warm restarts: Loshchilov & Hutter 2017), a longer tail.
    """
    if config.rates:
        epochs, fractions = zip(*config.rates, strict=True)
        return config.max_lr * float(np.interp((step + 0.5) / steps_per_epoch, epochs, fractions))
    total = config.epochs * steps_per_epoch
    return config.max_lr * one_cycle((step + 1) / (total + 1), warmup=config.warmup)


def one_cycle(progress_made: float, *, warmup: float) -> float:
    """Factor on the learning rate at a point in [0, 1] of the run: linear up, then linear down to zero.

    Smith & Topin 2018 (super-convergence), with the triangle's corner at `warmup`.
    """
    if progress_made < warmup:
        return progress_made / warmup
    return (1.0 - progress_made) / (1.0 - warmup)


CHECKPOINT_SECONDS = {"cpu": 0.0, "cuda": 30.0}  # a GPU's epoch takes seconds, AlexNet's checkpoint one


@dataclass(frozen=True)
class TrainConfig:
    """Options of a training run; every field has an influence on the weights."""

    epochs: int
    batch_size: int = 128
    max_lr: float = 0.1
    warmup: float = 0.2  # fraction of all steps in which the learning rate climbs to max_lr
    rates: tuple[tuple[float, float], ...] = ()  # instead: (epoch, fraction of max_lr), joined by lines
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    crop_padding: int = 4  # pixels
    flip: bool = True
    cutout: int = 0  # pixels
    optimizer: str = "sgd"  # "sgd" (Nesterov) or "adam"
    precision: str = "bf16"  # "bf16" autocast or "fp32"
    patience: int | None = None  # epochs without a better validation accuracy before an early stop
    seed: int = 0

    def __post_init__(self):
        if self.epochs < 0 or self.batch_size < 1:
            raise ValueError(f"epochs={self.epochs}, batch_size={self.batch_size}: expected >= 0 and >= 1")
        if self.precision not in ("bf16", "fp32") or self.optimizer not in ("sgd", "adam"):
            raise ValueError(
                f"precision={self.precision!r}, optimizer={self.optimizer!r}: "
                "expected bf16 or fp32, sgd or adam"
            )


@dataclass(frozen=True)
class Evaluation:
    """Accuracy on a set: `top1` a fraction in [0, 1], `loss` the mean cross-entropy in nats, `n` images."""

    top1: float
    loss: float
    n: int


@dataclass
class History:
    """One entry per epoch: training loss, last learning rate, validation accuracy (None if unmeasured)."""

    loss: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    val_top1: list[float | None] = field(default_factory=list)


def train(
    model: nn.Module,
    data: ImageSet,
    config: TrainConfig,
    *,
    validation: ImageSet | None = None,
    callbacks: Sequence[object] = (),
    parameters: Sequence[nn.Parameter] | None = None,
    objective: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    device: str | torch.device | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_steps: int | None = None,
    description: str = "training",
) -> History:
    """Train `model` in place.

    Parameters
    ----------
    model : nn.Module
    data, validation : ImageSet
        `validation`, a split cut from the training set, is measured after every epoch.
    config : TrainConfig
    callbacks : sequence of objects
        See the module's docstring.
    parameters : sequence of nn.Parameter, optional
        What the optimiser moves; by default all of the model's parameters. Centroids, for one.
    objective : callable, optional
        See the module's docstring; by default the cross-entropy with the configured label smoothing.
    device : str or torch.device, optional
        By default the GPU if there is one.
    checkpoint : path, optional
        Written after every epoch and every `checkpoint_steps` steps, if `CHECKPOINT_SECONDS` have passed
        since the last one, and at the end; if it exists, the run goes on from it.
    description : str
        Label of the progress bar.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        The checkpoint belongs to other options or another start, or the loss is no longer finite.
    """
    device = torch.device(device or default_device())
    rank, world = _process_group()
    if config.batch_size % world:
        raise ValueError(f"batch_size={config.batch_size} is not a multiple of the {world} processes")
    source = batch_source(data, config, device)
    steps_per_epoch = source.steps(config.batch_size)
    if config.epochs and not steps_per_epoch:
        raise ValueError(f"{len(source)} images do not fill one batch of {config.batch_size}")
    place_(model, device).train()
    model.zero_grad(set_to_none=True)  # what an earlier run left would add to the first step's gradients
    parameters = list(model.parameters() if parameters is None else parameters)
    optimizer = _optimizer(parameters, config)
    history, first = History(), 0
    options = {**asdict(config), "images": getattr(data, "sha256", "a loader's"), "n": len(source)}
    if objective is not None:
        options |= {f"objective {key}": value for key, value in objective.options.items()}
    if checkpoint is not None:
        options["start"] = state_digest(model)
    if checkpoint is not None and Path(checkpoint).exists():
        first = load_checkpoint(
            checkpoint,
            model=model,
            optimizer=optimizer,
            parameters=parameters,
            history=history,
            callbacks=callbacks,
            options=options,
        )
    # The wrapper averages the gradients of all processes; one process needs no wrapper.
    forward = nn.parallel.DistributedDataParallel(model) if world > 1 else model
    minimised = objective or _cross_entropy(config.label_smoothing)
    total, losses = config.epochs * steps_per_epoch, []
    pause, last_kept = CHECKPOINT_SECONDS.get(device.type, 0.0), time.monotonic()

    def keep(step: int) -> None:
        nonlocal last_kept
        is_due = time.monotonic() - last_kept >= pause or step == total or _stalled(history, config.patience)
        if checkpoint and rank == 0 and is_due:
            save_checkpoint(
                checkpoint,
                model=model,
                optimizer=optimizer,
                parameters=parameters,
                history=history,
                callbacks=callbacks,
                options=options,
                step=step,
            )
            last_kept = time.monotonic()

    silent = rank > 0 or is_quiet()
    bar = progress(total=total, initial=first, desc=description, unit="step", disable=silent)
    step = first
    while step < total and not _stalled(history, config.patience):
        epoch, offset = divmod(step, steps_per_epoch)
        batches = source.epoch_batches(
            config.batch_size, seed=config.seed, epoch=epoch, first_step=offset, rank=rank, world=world
        )
        for images, labels in batches:
            rate = learning_rate(config, step, steps_per_epoch=steps_per_epoch)
            for group in optimizer.param_groups:
                group["lr"] = rate
            with autocast(device, config.precision):
                loss = minimised(forward(images), images, labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            _call(callbacks, "before_step", model, step)
            optimizer.step()
            _call(callbacks, "after_step", model, step)
            losses.append(loss.detach())
            step += 1
            bar.update(1)
            if step % 20 == 0:
                bar.set_postfix(loss=f"{losses[-1].item():.3f}", lr=f"{rate:.3f}")
            if checkpoint_steps and step % checkpoint_steps == 0 and step % steps_per_epoch:
                keep(step)
        _agree_on_statistics(model, world)
        mean_loss = _mean_over_processes(torch.stack(losses).mean(), world)
        if not math.isfinite(mean_loss):
            raise ValueError(f"the loss is {mean_loss} in epoch {epoch + 1}: lower max_lr={config.max_lr}")
        history.loss.append(mean_loss)
        history.lr.append(rate)
        score = None
        if validation is not None:
            score = evaluate(model, validation, precision=config.precision, device=device).top1
        history.val_top1.append(score)
        losses = []
        model.train()
        if not silent:
            shown = "" if score is None else f"  validation {score:.4f}"
            bar.write(f"{description}: epoch {epoch + 1}/{config.epochs}  loss {mean_loss:.4f}{shown}")
        keep(step)
    bar.close()
    return history


@torch.no_grad()
def evaluate(
    model: nn.Module,
    data: ImageSet,
    *,
    batch_size: int = 500,
    precision: str = "fp32",
    device: str | torch.device | None = None,
) -> Evaluation:
    """Top-1 accuracy and mean cross-entropy of `model` on every image of `data`; the model's mode is kept.

    Raises
    ------
    ValueError
        The network gives NaN or infinity for an image: ``argmax`` would count that as a class.
    """
    device = torch.device(device or default_device())
    source = batch_source(data, None, device)
    training, correct, loss, n_broken = model.training, 0, 0.0, 0
    place_(model, device).eval()
    for images, labels in source.plain_batches(batch_size):
        with autocast(device, precision):
            logits = model(images)
        n_broken += int((~logits.isfinite()).any(1).sum())
        correct += int((logits.argmax(1) == labels).sum())
        loss += float(F.cross_entropy(logits.float(), labels, reduction="sum"))
    model.train(training)
    if n_broken:
        name = getattr(data, "name", "the loader")
        raise ValueError(
            f"the network gives NaN or infinity for {n_broken:,} of {len(source):,} images of {name}: "
            "it has no accuracy; look for NaN or huge weights"
        )
    return Evaluation(top1=correct / len(source), loss=loss / len(source), n=len(source))


def batch_source(data, config: TrainConfig | None, device: torch.device) -> BatchSource | LoaderSource:
    """Batches of an ImageSet, augmented as configured (not at all without), or those of a loader."""
    if not isinstance(data, ImageSet):
        return LoaderSource(data, device)
    mean, std = normalization(data.name)
    return BatchSource(
        data.images,
        data.labels,
        mean=mean,
        std=std,
        crop_padding=config.crop_padding if config else 0,
        flip=config.flip if config else False,
        cutout=config.cutout if config else 0,
        size=data.shown_size,
        device=device,
    )


def place_(model: nn.Module, device: torch.device) -> nn.Module:
    """Move a model to a device, in the layout in which its convolutions run fastest."""
    if any(parameter.ndim == 5 for parameter in model.parameters()):  # volumes have no such layout
        return model.to(device)
    return model.to(device, memory_format=torch.channels_last)


def reestimate_batch_norm_(
    model: nn.Module, data: ImageSet, *, device: str | torch.device | None = None, n_batches: int = 64
) -> int:
    """Estimate the running statistics of all batch norms again, in place; returns the number of batches.

    Pruned and shared weights give other means and variances than those that training has left. They are
    averaged over the batches, with nothing else in training mode.

    Parameters
    ----------
    model : nn.Module
    data : ImageSet or loader
        Training images.
    n_batches : int
        At most so many.
    """
    norms = [
        module
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    ]
    if not norms:
        return 0
    device = torch.device(device or default_device())
    training, momenta = model.training, [norm.momentum for norm in norms]
    place_(model, device).eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
        norm.train()
    n = 0
    with torch.no_grad():
        for inputs, _ in islice(batch_source(data, None, device).plain_batches(256), n_batches):
            model(inputs)
            n += 1
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train(training)
    return n


def default_device() -> str:
    """The GPU of this process if there is one, else the CPU."""
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"


def is_first_process() -> bool:
    """Whether this process is the one that writes and speaks: always, except under ``torchrun``."""
    return int(os.environ.get("RANK", 0)) == 0


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The mixed-precision context of a device; bfloat16 has float32's range, so no loss scaling is needed."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _cross_entropy(label_smoothing: float) -> Callable[..., torch.Tensor]:
    return lambda logits, images, labels: F.cross_entropy(logits, labels, label_smoothing=label_smoothing)


def _optimizer(parameters: list[nn.Parameter], config: TrainConfig) -> torch.optim.Optimizer:
    # Biases and batch norm's scales are not decayed: it would only shift what the data asks for.
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, lr=config.max_lr)
    return torch.optim.SGD(groups, lr=config.max_lr, momentum=config.momentum, nesterov=config.momentum > 0)


def _process_group() -> tuple[int, int]:
    """(rank, number of processes); joins the group that torchrun announces in the environment."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return 0, 1
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def _mean_over_processes(value: torch.Tensor, world: int) -> float:
    if world > 1:
        torch.distributed.all_reduce(value)
    return float(value) / world


def _agree_on_statistics(model: nn.Module, world: int) -> None:
    # Each process has seen its own share of the last batch: all take the first one's batch-norm statistics,
    # so that they measure, decide and write the same.
    if world > 1:
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, 0)


def _stalled(history: History, patience: int | None) -> bool:
    scores = [score for score in history.val_top1 if score is not None]
    if patience is None or len(scores) <= patience:
        return False
    return max(scores[-patience:]) <= max(scores[:-patience])


def _call(callbacks: Sequence[object], event: str, model: nn.Module, step: int) -> None:
    for callback in callbacks:
        hook = getattr(callback, event, None)
        if hook is not None:
            hook(model, step)
