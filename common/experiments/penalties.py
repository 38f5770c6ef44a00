"""L1 against L2 regularization before pruning, and L1 as the force that prunes.

LeNet-300-100 is trained on MNIST with an L2 penalty (weight decay) or an L1 penalty of several strengths,
pruned by magnitude over all layers together, and fine-tuned with the same penalty, or the other one. That is
figure 5 of Han, Pool, Tran, Dally (NIPS 2015, arXiv 1506.02626) on a network that fits into a lecture. Other
networks are not pruned at all: after each step every weight moves towards zero by a constant and stops there
(soft thresholding, the proximal step of the L1 penalty), so that the strength decides how many are zero. They
are measured as they are, and again after training without the penalty, zeros kept.

All accuracies are measured on images cut from the training set. Every point is stored at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from common.base.memo import Memo
from common.data.datasets import load_dataset
from common.data.image_set import ImageSet, first_images, train_val_split
from common.experiments import WORKDIR, Outcome
from common.experiments.pruning_curves import magnitude_masks
from common.networks.baseline import N_VALIDATION, train_config
from common.networks.models import build, prunable_parameters
from common.networks.training import TrainConfig, default_device, evaluate, learning_rate, train
from common.pruning.callbacks import MaskKeeper, apply_masks_, sparsity_of

N_IMAGES, EPOCHS, FINE_TUNING_EPOCHS = 10_000, 6, 2
L2_STRENGTHS = (1e-4, 1e-3)  # the weight decay of the recipe, and ten times as much
L1_STRENGTHS = (3e-5, 1e-4)
SPARSITIES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
TUNED_SPARSITIES = SPARSITIES[2:]
FORCES = (3e-5, 1e-4, 3e-4, 1e-3)
SEED = 0


class L1Penalty:
    """Training callback that adds the gradient of ``strength * sum(abs(w))`` to every prunable weight's.

    The gradient is `strength` times the sign: as large for a small weight as for a large one. The optimiser's
    steps jump over zero, so weights come close to it and are hardly ever exactly zero; see `SoftThreshold`.

    Raises
    ------
    ValueError
        The strength is negative or not a number.
    """

    def __init__(self, strength: float) -> None:
        if not strength >= 0:
            raise ValueError(f"strength={strength}: expected a number >= 0")
        self.strength = strength

    def before_step(self, model: nn.Module, step: int) -> None:
        """Add the penalty's gradient."""
        for weight in prunable_parameters(model).values():
            weight.grad.add_(weight.detach().sign(), alpha=self.strength)


def soft_threshold(weight: Tensor, amount: float) -> Tensor:
    """Every weight moved towards zero by `amount` (>= 0); those that would pass zero become exactly zero.

    The solution of ``min_v (v - w)**2 / 2 + amount * abs(v)``, weight by weight.

    >>> soft_threshold(torch.tensor([-0.5, -0.1, 0.0, 0.25]), 0.25).tolist()
    [-0.25, -0.0, 0.0, 0.0]
    """
    return weight.sign() * (weight.abs() - amount).clamp(min=0)


class SoftThreshold:
    """Training callback: the proximal step of the L1 penalty after every step of the optimiser.

    The amount is ``strength * rate / (1 - momentum)`` with the learning rate of the step: what a constant
    gradient of that strength would move a weight by in the long run.

    Parameters
    ----------
    strength : float >= 0
    config : TrainConfig
        Of the training in which it is a callback: with SGD, whose rate and momentum it reads.
    steps_per_epoch : int

    Raises
    ------
    ValueError
        The strength is negative or not a number.
    """

    def __init__(self, strength: float, config: TrainConfig, steps_per_epoch: int) -> None:
        if not strength >= 0:
            raise ValueError(f"strength={strength}: expected a number >= 0")
        self.strength, self.config, self.steps_per_epoch = strength, config, steps_per_epoch

    @torch.no_grad()
    def after_step(self, model: nn.Module, step: int) -> None:
        """Move every prunable weight towards zero."""
        rate = learning_rate(self.config, step, steps_per_epoch=self.steps_per_epoch)
        amount = self.strength * rate / (1 - self.config.momentum)
        for weight in prunable_parameters(model).values():
            weight.copy_(soft_threshold(weight, amount))


def penalized(config: TrainConfig, penalty: str, strength: float) -> tuple[TrainConfig, list]:
    """A configuration and callbacks that train with one of the two penalties.

    Parameters
    ----------
    config : TrainConfig
    penalty : {"L1", "L2"}
        L2 is the weight decay; with L1 there is none.
    strength : float >= 0

    Returns
    -------
    config : TrainConfig
    callbacks : list
        Both for `training.train`.

    Raises
    ------
    ValueError
        Another penalty, or a negative strength of L1.
    """
    if penalty == "L2":
        return replace(config, weight_decay=strength), []
    if penalty == "L1":
        return replace(config, weight_decay=0.0), [L1Penalty(strength)]
    raise ValueError(f"penalty={penalty!r}: expected L1 or L2")


def zero_masks(model: nn.Module) -> dict[str, Tensor]:
    """Masks that keep what is not exactly zero."""
    return {name: weight.detach() != 0 for name, weight in prunable_parameters(model).items()}


def measure(
    training: ImageSet,
    config: TrainConfig,
    tuning: TrainConfig,
    memo: Memo,
    top1: Callable[[nn.Module], float],
    *,
    l1: Sequence[float] = L1_STRENGTHS,
    l2: Sequence[float] = L2_STRENGTHS,
    forces: Sequence[float] = FORCES,
    sparsities: Sequence[float] = SPARSITIES,
    tuned_sparsities: Sequence[float] = TUNED_SPARSITIES,
    device: str = "cpu",
) -> dict:
    """Curves of every penalty and strength, and the networks that the L1 force has pruned.

    Parameters
    ----------
    training : ImageSet
    config, tuning : TrainConfig
        Of the training and of the fine-tuning.
    memo : Memo
        Figures of finished networks, which are not measured again.
    top1 : callable
        Takes a network, returns its accuracy in [0, 1].
    l1, l2, forces : sequence of float
        Strengths of the two penalties, and of the L1 force (`SoftThreshold`).
    sparsities, tuned_sparsities : sequence of float in [0, 1]
        Measured without fine-tuning, and with it.
    device : str

    Returns
    -------
    dict
        ``penalties``, one mapping per penalty and strength: its ``top1``, and for each way a list of
        (sparsity, top1). ``force``, one mapping per strength: ``sparsity``, ``sparsity_of_layers``, ``top1``,
        and ``top1_released`` after training without the force.
    """
    strengths = [("L2", value) for value in l2] + [("L1", value) for value in l1]

    def trained(penalty: str, strength: float) -> nn.Module:
        model = build("lenet_300_100", seed=SEED)
        options, callbacks = penalized(config, penalty, strength)
        train(
            model, training, options, callbacks=callbacks, device=device, description=f"{penalty} {strength}"
        )
        return model

    def tuned(model: nn.Module, sparsity: float, penalty: str, strength: float) -> nn.Module:
        model = deepcopy(model)
        masks = magnitude_masks(model, sparsity)
        apply_masks_(model, masks)
        options, callbacks = penalized(tuning, penalty, strength)
        callbacks = [*callbacks, MaskKeeper(masks)]
        train(model, training, options, callbacks=callbacks, device=device, description=f"{sparsity}")
        return model

    def curves(penalty: str, strength: float) -> dict:
        model = trained(penalty, strength)
        found: dict = {"penalty": penalty, "strength": strength, "top1": top1(model)}
        found["not fine-tuned"] = []
        for sparsity in sparsities:
            pruned = deepcopy(model)
            apply_masks_(pruned, magnitude_masks(pruned, sparsity))
            found["not fine-tuned"].append((sparsity, top1(pruned)))
        ways = {"fine-tuned": (penalty, strength)}
        if penalty == "L1":
            ways["fine-tuned with L2"] = ("L2", l2[0])
        for way, with_penalty in ways.items():
            found[way] = [(s, top1(tuned(model, s, *with_penalty))) for s in tuned_sparsities]
        return found

    def forced(strength: float) -> dict:
        model = build("lenet_300_100", seed=SEED)
        options = replace(config, weight_decay=0.0)
        steps = len(training) // config.batch_size
        force = SoftThreshold(strength, options, steps)
        train(model, training, options, callbacks=[force], device=device, description=f"force {strength}")
        masks = zero_masks(model)
        row = {"strength": strength, "sparsity": sparsity_of(masks), "top1": top1(model)}
        row["sparsity_of_layers"] = {name: 1 - mask.float().mean().item() for name, mask in masks.items()}
        options = replace(tuning, weight_decay=0.0)
        train(model, training, options, callbacks=[MaskKeeper(masks)], device=device, description="released")
        return {**row, "top1_released": top1(model)}

    return {
        "penalties": [memo.get(f"{p} {s}", lambda p=p, s=s: curves(p, s)) for p, s in strengths],
        "force": [memo.get(f"force {s}", lambda s=s: forced(s)) for s in forces],
    }


def run(*, device: str | None = None, resume: bool = True, workdir: Path = WORKDIR / "penalties") -> Outcome:
    """Measure all curves; takes a few minutes on one core."""
    device = device or default_device()
    training, validation = train_val_split(load_dataset("mnist", "train"), n_validation=N_VALIDATION["mnist"])
    training = first_images(training, N_IMAGES)
    config = replace(train_config("lenet_300_100"), epochs=EPOCHS, seed=SEED)
    tuning = replace(config, epochs=FINE_TUNING_EPOCHS, warmup=0.1)
    options = [
        config,
        tuning,
        training.sha256,
        validation.sha256,
        SPARSITIES,
        TUNED_SPARSITIES,
        L2_STRENGTHS[0],
    ]
    memo = Memo(workdir, options, resume=resume)
    figures = measure(
        training,
        config,
        tuning,
        memo,
        lambda model: evaluate(model, validation, device=device).top1,
        device=device,
    )
    figures |= {"n_train": len(training), "n_validation": len(validation)}
    figures |= {"epochs": EPOCHS, "fine_tuning_epochs": FINE_TUNING_EPOCHS}
    return Outcome(figures, datasets=(training, validation), seed=SEED)
