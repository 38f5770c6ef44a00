"""One plain training loop for every network of the course, and their evaluation.

The loop knows nothing of pruning or weight sharing: they act through a callback, an object with any of

``before_step(model, step)``   after the backward pass, before the optimiser changes the weights
``after_step(model, step)``    after the optimiser has changed them
``evaluated(model)``           a context in which the model has the weights that validation measures
``state_dict() / load_state_dict(state)``   what a resumed run must know

The loss is the cross-entropy, unless an `objective` is given: a callable that takes (logits, images, labels)
and returns the loss. It has an attribute ``options``, a dict; a resumed run must have the same.

A run with a checkpoint path can be killed at any moment: it goes on from its last checkpoint, and ends with
the same weights as an uninterrupted run on the same machine, since order and augmentation depend on (seed,
epoch, step) alone. Under ``torchrun --nproc-per-node N`` the batch is split over N processes
(DistributedDataParallel).
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from common.base.progress import is_quiet, note, progress
from common.data.batches import BatchSource, LoaderSource
from common.data.image_set import ImageSet
from common.networks.checkpoints import load_checkpoint, save_checkpoint, state_digest

# ----------------------------------------------------------------------------------------------------
# The learning rate at every step of a training: one cycle, or straight lines between given points.


class Schedule(Protocol):
    """The fields of `TrainConfig` that make its schedule."""

    epochs: int
    max_lr: float
    warmup: float
    rates: tuple[tuple[float, float], ...]


def learning_rate(config: Schedule, step: int, *, steps_per_epoch: int) -> float:
    """Return the learning rate of a step (counted from 0), in [0, max_lr].

    It is one cycle over the whole run or, where the configuration gives `rates`, linear between those points,
    taken at the middle of the step. Such points allow several cycles (warm restarts: Loshchilov & Hutter
    2017) or a longer tail.
    """
    if config.rates:
        epochs, fractions = zip(*config.rates, strict=True)
        return config.max_lr * float(np.interp((step + 0.5) / steps_per_epoch, epochs, fractions))
    total = config.epochs * steps_per_epoch
    return config.max_lr * one_cycle((step + 1) / (total + 1), warmup=config.warmup)


def one_cycle(progress_made: float, *, warmup: float) -> float:
    """Return the factor on the learning rate at a point in [0, 1] of the run: linear up, then linear to zero.

    Smith & Topin 2018 (super-convergence); the peak is at `warmup`, a fraction of the run in (0, 1).
    """
    if progress_made < warmup:
        return progress_made / warmup
    return (1.0 - progress_made) / (1.0 - warmup)


# Least seconds between two checkpoints: on a GPU an epoch takes seconds, and writing AlexNet's checkpoint
# one.
CHECKPOINT_SECONDS = {"cpu": 0.0, "cuda": 30.0}


@dataclass(frozen=True)
class TrainConfig:
    """Options of a training run: all that influences the weights, besides the data and the start."""

    epochs: int
    batch_size: int = 128
    max_lr: float = 0.1
    warmup: float = 0.2  # fraction of all steps during which the learning rate rises to max_lr
    rates: tuple[tuple[float, float], ...] = ()  # instead: (epoch, fraction of max_lr), joined by lines
    momentum: float = 0.9  # of SGD
    weight_decay: float = 5e-4  # of parameters with two or more axes, so not of biases and batch norm
    label_smoothing: float = 0.1
    crop_padding: int = 4  # pixels
    flip: bool = True
    cutout: int | tuple[tuple[int, int], ...] = 0  # pixels, or (first epoch, pixels) pairs: it may grow
    optimizer: str = "sgd"  # "sgd" (Nesterov) or "adam"
    precision: str = "bf16"  # "bf16" autocast where the device has it (`usable_precision`), or "fp32"
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
        if not isinstance(self.cutout, int):
            epochs = [epoch for epoch, _ in self.cutout]
            if not epochs or epochs[0] != 0 or epochs != sorted(set(epochs)):
                raise ValueError(
                    f"cutout={self.cutout}: expected pixels, or (first epoch, pixels) pairs from epoch 0 on, "
                    "in order"
                )

    def cutout_at(self, epoch: int) -> int:
        """Return the side of the cutout's square in an epoch (counted from 0), in pixels."""
        if isinstance(self.cutout, int):
            return self.cutout
        return next(pixels for first, pixels in reversed(self.cutout) if epoch >= first)


@dataclass(frozen=True)
class Evaluation:
    """Results on a set of `n` images: `top1` accuracy in [0, 1], `loss` the mean cross-entropy in nats."""

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
    parameters: Sequence[nn.Parameter | dict] | None = None,
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
        From inputs to logits of shape (n, classes).
    data : ImageSet or DataLoader
        Training images.
    config : TrainConfig
        Options that influence the weights.
    validation : ImageSet, optional
        Split off the training set; its accuracy is measured after every epoch.
    callbacks : sequence of objects
        See the module's docstring.
    parameters : sequence of nn.Parameter, or of groups, optional
        What the optimiser changes; by default all of the model's parameters. Weight sharing gives its
        centroids here. A group is ``{"params": [...], "rate": factor on the learning rate}``.
    objective : callable, optional
        See the module's docstring; by default the cross-entropy with the configured label smoothing.
    device : str or torch.device, optional
        By default the GPU if there is one.
    checkpoint : path, optional
        Written after every epoch and every `checkpoint_steps` steps, if `CHECKPOINT_SECONDS` have passed
        since the last one, and at the end; if it exists, the run goes on from it.
    checkpoint_steps : int, optional
        By default checkpoints are written between epochs only.
    description : str
        Label of the progress bar.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        When there are too few images for one batch, the checkpoint belongs to other options or another start,
        or the loss is no longer finite.
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
    model.zero_grad(set_to_none=True)  # else gradients left by an earlier run would add to the first step's
    groups = _groups(list(model.parameters() if parameters is None else parameters))
    parameters = [parameter for group in groups for parameter in group["params"]]
    optimizer = _optimizer(groups, config)
    history, first = History(), 0
    precision = usable_precision(config.precision, device)
    images = getattr(data, "sha256", "a loader's")
    options = {**asdict(config), "precision": precision, "images": images, "n": len(source)}
    if objective is not None:
        options |= {f"objective {key}": value for key, value in objective.options.items()}
    rates = [group["rate"] for group in groups]
    if any(rate != 1.0 for rate in rates):  # older checkpoints of equal rates do not hold them
        options["rates"] = rates
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
            config.batch_size,
            seed=config.seed,
            epoch=epoch,
            first_step=offset,
            rank=rank,
            world=world,
            cutout=config.cutout_at(epoch),
        )
        for images, labels in batches:
            rate = learning_rate(config, step, steps_per_epoch=steps_per_epoch)
            for group in optimizer.param_groups:
                group["lr"] = rate * group.get("rate", 1.0)
            with autocast(device, precision):
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
            with _evaluated(callbacks, model):
                score = evaluate(model, validation, precision=precision, device=device).top1
        history.val_top1.append(score)
        losses = []
        model.train()
        if not silent:
            shown = "" if score is None else f"  validation {score:.4f}"
            note(bar, description, f"epoch {epoch + 1}/{config.epochs}  loss {mean_loss:.4f}{shown}")
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
    """Return top-1 accuracy and mean cross-entropy of `model` over all images of `data`.

    Parameters
    ----------
    model : nn.Module
        Evaluated in eval mode; its mode is restored. It stays on `device`.
    data : ImageSet or DataLoader
        Images, not augmented.
    batch_size : int
        Images at a time; a loader has its own.
    precision : {"fp32", "bf16"}
        Of the forward pass.
    device : str or torch.device, optional
        By default the GPU if there is one.

    Raises
    ------
    ValueError
        When the network gives NaN or infinity for an image: ``argmax`` would count that as a class.
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
    """Return the batches of an ImageSet, augmented as configured (None: not at all), or those of a loader."""
    if not isinstance(data, ImageSet):
        return LoaderSource(data, device)
    if config is None:
        return BatchSource.of(data, device=device)
    return BatchSource.of(
        data, crop_padding=config.crop_padding, flip=config.flip, cutout=config.cutout_at(0), device=device
    )


def place_(model: nn.Module, device: torch.device) -> nn.Module:
    """Move a model to a device, in the memory layout in which its convolutions run fastest; return it.

    On a GPU, cuDNN tries its algorithms on the first batches and keeps the fastest one.
    """
    if device.type == "cuda" and not torch.are_deterministic_algorithms_enabled():
        torch.backends.cudnn.benchmark = True
    if any(parameter.ndim == 5 for parameter in model.parameters()):  # volumes have no such layout
        return model.to(device)
    return model.to(device, memory_format=torch.channels_last)


def default_device() -> str:
    """Return the GPU of this process if there is one, or else the CPU."""
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"


def is_first_process() -> bool:
    """Return whether this process is to write files and print: always True, except under ``torchrun``."""
    return int(os.environ.get("RANK", 0)) == 0


def usable_precision(precision: str, device: torch.device) -> str:
    """Return the precision that is really used: "fp32" for "bf16" on a CPU that does not compute in bfloat16.

    Without instructions for bfloat16 (AVX512-BF16 or AMX on x86, BF16 on ARM) a CPU converts every value to
    float32 and back: a training step of VGG-16 takes several times as long as in float32. Most laptops are
    such machines. GPUs are not checked.
    """
    return "fp32" if device.type == "cpu" and not _cpu_has_bfloat16() else precision


@functools.cache
def _cpu_has_bfloat16() -> bool:
    if hasattr(torch.cpu, "get_capabilities"):
        return any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # older torch: functions for x86 only
    return any(getattr(torch.cpu, check, bool)() for check in checks)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the mixed-precision context of a device.

    Unlike float16, bfloat16 has float32's range, so small gradients do not vanish and no loss scaling is
    needed.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=usable_precision(precision, device) == "bf16")


def _cross_entropy(label_smoothing: float) -> Callable[..., torch.Tensor]:
    return lambda logits, images, labels: F.cross_entropy(logits, labels, label_smoothing=label_smoothing)


def _groups(parameters: list[nn.Parameter | dict]) -> list[dict]:
    """Return the parameters in groups, each with its factor on the learning rate."""
    alone = [parameter for parameter in parameters if not isinstance(parameter, dict)]
    groups = [parameter for parameter in parameters if isinstance(parameter, dict)]
    return ([{"params": alone, "rate": 1.0}] if alone else []) + groups


def _optimizer(groups: list[dict], config: TrainConfig) -> torch.optim.Optimizer:
    # Biases and batch norm's parameters are not decayed: they are few and do not overfit.
    groups = [
        {
            "params": [p for p in group["params"] if (p.ndim > 1) == is_decayed],
            "weight_decay": config.weight_decay if is_decayed else 0.0,
            "rate": group["rate"],
        }
        for group in groups
        for is_decayed in (True, False)
    ]
    groups = [group for group in groups if group["params"]]
    # On a GPU one kernel updates all parameters; on a CPU the loop over them takes no time worth saving.
    options = {"fused": True} if all(p.is_cuda for group in groups for p in group["params"]) else {}
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, lr=config.max_lr, **options)
    is_nesterov = config.momentum > 0
    return torch.optim.SGD(
        groups, lr=config.max_lr, momentum=config.momentum, nesterov=is_nesterov, **options
    )


def _process_group() -> tuple[int, int]:
    """Return (rank, number of processes); join the group that torchrun announces in the environment."""
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
    # Each process has seen its own share of each batch. All take the batch norm statistics of the first one,
    # so that they measure, decide and write the same.
    if world > 1:
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, 0)


def _stalled(history: History, patience: int | None) -> bool:
    scores = [score for score in history.val_top1 if score is not None]
    if patience is None or len(scores) <= patience:
        return False
    return max(scores[-patience:]) <= max(scores[:-patience])


@contextlib.contextmanager
def _evaluated(callbacks: Sequence[object], model: nn.Module):
    with contextlib.ExitStack() as stack:
        for callback in callbacks:
            if hasattr(callback, "evaluated"):
                stack.enter_context(callback.evaluated(model))
        yield


def _call(callbacks: Sequence[object], event: str, model: nn.Module, step: int) -> None:
    for callback in callbacks:
        hook = getattr(callback, event, None)
        if hook is not None:
            hook(model, step)
