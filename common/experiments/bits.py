"""What each bit buys: accuracy against bits per weight, for every way of quantizing weights.

Two networks are quantized. LeNet-300-100 on MNIST is trained with three seeds, and each of the three is
quantized with and without quantization-aware training (QAT), so that the spread over the seeds is seen. The
shipped VGG-16 is quantized only after training (PTQ). Accuracies are measured on validation images. Only
weights are quantized, not activations.
"""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from common.base.memo import Memo
from common.base.progress import progress
from common.data.datasets import load_dataset
from common.data.image_set import ImageSet, first_images, train_val_split
from common.experiments import ROOT, WORKDIR, Outcome
from common.methods.low_bit import (
    GridQuantizer,
    ScaledQuantizer,
    binarize,
    quantization_aware_,
    settle_,
    ternarize,
    weight_grid,
)
from common.methods.low_bit_files import (
    Coder,
    code_weights_,
    coded_by_centroids,
    coded_by_scale,
    coded_on_grid,
    coded_without_ends,
)
from common.networks.baseline import N_VALIDATION, train_config
from common.networks.checkpoints import load_weights, save_weights, state_digest
from common.networks.models import build, fold_batch_norm, prunable_parameters
from common.networks.training import default_device, evaluate, train
from common.sharing.centroid_tuning import CentroidTuner
from common.sharing.weight_sharing import share_weights

STEPS = (4.0, 3.0, 2.0, 1.5, 1.0, 0.5)  # of `coded_without_ends`, in standard deviations of the layer
UNTRAINED: dict[str, Coder] = {
    "per_tensor": lambda weight, n: coded_on_grid(weight, weight_grid(weight, n, per_channel=False)),
    "per_channel": lambda weight, n: coded_on_grid(weight, weight_grid(weight, n)),
    "per_channel_mse": lambda weight, n: coded_on_grid(weight, weight_grid(weight, n, clip="mse")),
    "k_means": coded_by_centroids,
    "uniform_step": coded_without_ends,
    "binary": lambda weight, _: coded_by_scale(*binarize(weight)),
    "ternary": lambda weight, _: coded_by_scale(*ternarize(weight)),
}
LEVELS = {"uniform_step": STEPS, "binary": (1,), "ternary": (math.log2(3),)}  # log2(3) bits tell three values
_EIGHT_DOWN = (2, 3, 4, 5, 6, 8)
VGG_LEVELS = {
    "per_tensor": _EIGHT_DOWN,
    "per_channel": _EIGHT_DOWN,
    "per_channel_mse": (2, 3, 4, 5, 6),
    "k_means": (2, 3, 4, 6),
    "uniform_step": STEPS,
}


@dataclass(frozen=True)
class Plan:
    """How large the study is; tests use a smaller plan."""

    network: str = "lenet_300_100"
    dataset: str = "mnist"
    seeds: tuple[int, ...] = (0, 1, 2)
    n_train: int | None = 20_000
    baseline_epochs: int = 8
    tune_epochs: int = 2
    bits: tuple[int, ...] = (2, 3, 4, 6, 8)
    with_vgg: bool = True
    vgg_images: int = 1000


def run(
    *,
    device: str | None = None,
    resume: bool = True,
    workdir: Path = WORKDIR / "bits",
    plan: Plan | None = None,
) -> Outcome:
    """Measure all points; with `resume`, those of an earlier run are taken from `workdir`.

    The figures are ``points``, a list of mappings with ``network``, ``method``, ``level`` (bits, or the step
    in standard deviations), ``seed``, ``bits`` (bits per weight with codes of fixed length, scales and
    codebooks included), ``huffman_bits`` (the same with Huffman-coded codes) and ``top1`` in [0, 1]; and
    ``plan``.
    """
    plan, device = plan or Plan(), device or default_device()
    if not resume:
        shutil.rmtree(workdir, ignore_errors=True)
    points = _Points(workdir)
    whole = load_dataset(plan.dataset, "train")
    training, validation = train_val_split(whole, n_validation=N_VALIDATION[plan.dataset])
    training = first_images(training, plan.n_train)
    for seed in plan.seeds:
        model = _baseline(plan, training, seed=seed, workdir=workdir, device=device)
        tuning = _tuning(plan, seed)
        levels = dict.fromkeys(("per_tensor", "per_channel", "per_channel_mse"), plan.bits) | LEVELS
        levels["k_means"] = (1, *plan.bits)
        points.measure(plan.network, model, validation, levels, seed=seed, device=device)
        for name, level, tune in _trained_runs(plan):
            points.add(
                (plan.network, name, level, seed),
                [state_digest(model), training.sha256, validation.sha256, tuning],
                lambda tune=tune, level=level, model=model, tuning=tuning: _accuracy(
                    tune(copy.deepcopy(model), training, level, tuning, device), validation, device
                ),
            )
    sets = [training, validation]
    if plan.with_vgg:
        _, images = train_val_split(load_dataset("cifar10", "train"), n_validation=N_VALIDATION["cifar10"])
        images = first_images(images, plan.vgg_images)
        vgg = load_weights(build("vgg16"), ROOT / "capstone" / "vgg16_cifar10.safetensors").eval()
        options = {"seed": None, "device": device, "precision": "bf16"}
        points.measure("vgg16", vgg, images, VGG_LEVELS, **options)
        points.measure("vgg16_folded", fold_batch_norm(vgg), images, {"per_tensor": _EIGHT_DOWN}, **options)
        sets.append(images)
    return Outcome({"points": points.rows, "plan": vars(plan)}, datasets=tuple(sets), seed=plan.seeds[0])


class _Points:
    """The points measured so far, in the order in which they were asked for."""

    def __init__(self, workdir: Path) -> None:
        self.rows: list[dict] = []
        self._workdir, self._bar = workdir, progress(desc="bits", unit="point")

    def add(self, key: tuple, options: object, measure: Callable[[], dict]) -> None:
        """Measure a point, or read it if it was measured with these options before."""
        named = dict(zip(("network", "method", "level", "seed"), key, strict=True))
        memo = Memo(self._workdir / named["network"], options)
        figures = memo.get(f"{named['method']} {named['level']}", measure)
        self.rows.append(named | figures)
        self._bar.update(1)

    def measure(
        self,
        network: str,
        model: nn.Module,
        data: ImageSet,
        levels: Mapping[str, Sequence[float]],
        *,
        seed: int | None,
        device: str,
        precision: str = "fp32",
    ) -> None:
        """Measure the network as it is, and quantized without training by every method at its levels."""
        options = [state_digest(model), data.sha256, precision]
        whole = {"bits": 32.0, "huffman_bits": 32.0}
        self.add(
            (network, "float32", None, seed),
            options,
            lambda: whole | {"top1": evaluate(model, data, precision=precision, device=device).top1},
        )
        for name, of_method in levels.items():
            for level in of_method:
                self.add(
                    (network, name, level, seed),
                    options,
                    lambda name=name, level=level: _accuracy(
                        code_weights_(copy.deepcopy(model), UNTRAINED[name], level), data, device, precision
                    ),
                )


def _accuracy(
    coded: tuple[nn.Module, dict[str, float]], data: ImageSet, device: str, precision: str = "fp32"
) -> dict[str, float]:
    model, bits = coded
    return bits | {"top1": evaluate(model, data, precision=precision, device=device).top1}


def _trained_runs(plan: Plan) -> list[tuple[str, float, Callable]]:
    """Name, level and function of every quantization with training."""
    runs = [("qat", n_bits, _tune_grid) for n_bits in plan.bits]
    runs += [("k_means_tuned", n_bits, _tune_centroids) for n_bits in (1, *plan.bits)]
    return runs + [(f"{name}_trained", LEVELS[name][0], _TUNE_SCALED[name]) for name in ("binary", "ternary")]


def _tuning(plan: Plan, seed: int):
    return replace(
        train_config(plan.network), epochs=plan.tune_epochs, max_lr=0.02, warmup=0.1, seed=seed + 100
    )


def _tune_grid(model, training, n_bits, config, device) -> tuple[nn.Module, dict[str, float]]:
    """Quantization-aware training with the best grid of each channel, found once, on the trained weights."""
    grids = [weight_grid(weight, n_bits, clip="mse") for weight in prunable_parameters(model).values()]
    waiting = iter(grids)  # both functions below go through the layers in this same order
    quantization_aware_(model, lambda _: GridQuantizer(next(waiting)))
    train(model, training, config, device=device, description=f"QAT, {n_bits} bits")
    waiting = iter(grids)
    return code_weights_(settle_(model), lambda weight, _: coded_on_grid(weight, next(waiting)), n_bits)


def _tune_scaled(rule, model, training, config, device) -> tuple[nn.Module, dict[str, float]]:
    quantization_aware_(model, lambda _: ScaledQuantizer(rule))
    train(model, training, config, device=device, description=rule.__name__)
    return code_weights_(settle_(model), lambda weight, _: coded_by_scale(*rule(weight)), 0)


_TUNE_SCALED = {
    "binary": lambda model, data, _, config, device: _tune_scaled(binarize, model, data, config, device),
    "ternary": lambda model, data, _, config, device: _tune_scaled(ternarize, model, data, config, device),
}


def _tune_centroids(model, training, n_bits, config, device) -> tuple[nn.Module, dict[str, float]]:
    shared = {
        name: share_weights(weight.detach().cpu().numpy(), n_bits=n_bits)
        for name, weight in prunable_parameters(model).items()
    }
    tuner = CentroidTuner(shared, model)
    config = replace(config, optimizer="adam", max_lr=1e-3, weight_decay=0.0)
    train(
        model,
        training,
        config,
        parameters=tuner.parameters(),
        callbacks=[tuner],
        device=device,
        description=f"centroids, {n_bits} bits",
    )
    return code_weights_(model, coded_by_centroids, n_bits)


def _baseline(plan: Plan, training, *, seed, workdir, device) -> nn.Module:
    config = replace(train_config(plan.network), epochs=plan.baseline_epochs, seed=seed)
    memo = Memo(workdir / f"{plan.network}-trained", [plan.network, config, training.sha256])
    weights = memo.folder / "trained.safetensors"
    model = build(plan.network, num_classes=len(training.classes), seed=seed)
    if not weights.exists():
        train(model, training, config, device=device, description=f"{plan.network}, seed {seed}")
        save_weights(model, weights, dtype=torch.float32)
    return load_weights(model, weights).eval()
