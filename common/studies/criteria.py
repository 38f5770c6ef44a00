"""Pruning criteria at equal sparsity: a small VGG on CIFAR-10, before and after a short fine-tuning.

Single weights are pruned globally, one-shot, to each sparsity, by every criterion of `methods.criteria`;
``uniform`` is magnitude with the same sparsity in every layer. Channels are removed for real, the same
fraction of every layer, by the criteria of `methods.channel_criteria` and by ThiNet with and without its
repair. All start from the same trained network, and are fine-tuned on the same images in the same order.
Everything is measured on the validation split, with several seeds: of the initial weights, of the order of
the images, and of the random criterion.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from common.datasets import ImageSet, load_dataset
from common.image_fitting import first_images
from common.masks import apply_masks_, global_masks, layerwise_masks
from common.methods.channel_criteria import CHANNEL_CRITERIA, best_channels
from common.methods.criteria import CRITERIA
from common.methods.thinet import thinet
from common.models import count_parameters, prunable_parameters, vgg
from common.progress import progress
from common.pruning import MaskKeeper
from common.slimming import configuration, multiply_adds, slim
from common.splits import train_val_split
from common.studies import StudyResult
from common.training import TrainConfig, evaluate, train
from common.whole_file import whole_file

_TRAIN = TrainConfig(epochs=6, batch_size=64, max_lr=0.1, crop_padding=2, label_smoothing=0.0)
_TUNE = replace(_TRAIN, epochs=1, max_lr=0.02)


@dataclass(frozen=True)
class Size:
    """How large the study is; `channels` is the network, and `n_tune` the images of one fine-tuning."""

    channels: tuple = (16, "M", 32, "M", 64, "M", 64, "M", "M")
    n_train: int = 10_000
    n_validation: int = 2000
    n_tune: int = 1280
    seeds: tuple[int, ...] = (0, 1, 2)
    sparsities: tuple[float, ...] = (0.5, 0.7, 0.85, 0.95)
    kept: tuple[float, ...] = (0.75, 0.5)
    train: TrainConfig = _TRAIN
    tune: TrainConfig = _TUNE


WHOLE = Size()


def run(*, workdir: str | Path, device: str, resume: bool) -> StudyResult:
    """The whole study on CIFAR-10; a seed that is finished is not run again."""
    data = load_dataset("cifar10", "train")
    return compare(data, WHOLE, workdir=Path(workdir), device=device, resume=resume)


def compare(data: ImageSet, size: Size, *, workdir: Path, device: str, resume: bool = True) -> StudyResult:
    """Run every criterion with every seed.

    Parameters
    ----------
    data : ImageSet
        The training set, from which the validation split is cut.
    size : Size
    workdir : path
        One file a seed, read again when `resume` and made with the same `size`, other seeds apart.
    device : str

    Returns
    -------
    StudyResult
        ``figures["unstructured"][criterion][when]`` is of shape (seeds, sparsities), and
        ``figures["structured"][criterion][when]`` of shape (seeds, kept): top-1 on the validation split,
        ``when`` being ``before`` or ``after`` the fine-tuning.
    """
    training, validation = train_val_split(data, n_validation=size.n_validation)
    training = first_images(training, size.n_train)
    workdir.mkdir(parents=True, exist_ok=True)
    key = json.loads(json.dumps({**asdict(size), "seeds": None, "images": training.sha256}))
    rounds = len(size.seeds) * (
        len(_weight_criteria()) * len(size.sparsities) + len(_channel_criteria()) * len(size.kept)
    )
    found = []
    with progress(total=rounds, desc="criteria", unit="network") as bar:
        for seed in size.seeds:
            path = workdir / f"seed{seed}.json"
            if resume and path.exists() and (stored := json.loads(path.read_text()))["size"] == key:
                found.append(stored["figures"])
                bar.update(rounds // len(size.seeds))
                continue
            found.append(_one_seed(training, validation, size, seed=seed, device=device, bar=bar))
            with whole_file(path) as aside:
                Path(aside).write_text(json.dumps({"size": key, "figures": found[-1]}))
    figures = {
        "channels": list(size.channels), "n_parameters": found[0]["n_parameters"],
        "n_train": len(training), "n_validation": len(validation), "n_tune": min(size.n_tune, len(training)),
        "train": asdict(size.train), "tune": asdict(size.tune), "seeds": list(size.seeds),
        "dense": [one["dense"] for one in found], "sparsities": list(size.sparsities),
        "kept": list(size.kept), "macs": found[0]["macs"], "whole_macs": found[0]["whole_macs"],
        "unstructured": _stacked([one["unstructured"] for one in found]),
        "structured": _stacked([one["structured"] for one in found]),
    }  # fmt: skip
    return StudyResult(figures, (training, validation), seed=size.seeds[0])


def _one_seed(training, validation, size: Size, *, seed: int, device: str, bar) -> dict:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = vgg(
            list(size.channels), num_classes=len(training.classes), in_channels=training.images.shape[1]
        )
    quiet = {"device": device, "description": f"criteria: seed {seed}"}
    train(model, training, replace(size.train, seed=seed), **quiet)
    some, tune = first_images(training, size.n_tune), replace(size.tune, seed=seed)

    def judged(network: nn.Module) -> float:
        return evaluate(network, validation, precision=size.train.precision, device=device).top1

    def measured(network: nn.Module, callbacks: tuple = ()) -> tuple[float, float]:
        before = judged(network)
        train(network, some, tune, callbacks=callbacks, **quiet)
        bar.update(1)
        return before, judged(network)

    result = {
        "dense": judged(model), "n_parameters": count_parameters(model),
        "unstructured": {}, "structured": {}, "macs": [],
    }  # fmt: skip
    sizes = {"image_size": training.images.shape[-1], "in_channels": training.images.shape[1]}
    result["whole_macs"] = multiply_adds(configuration(model), **sizes)
    for name, criterion in _weight_criteria().items():
        rows = []
        for sparsity, masks in zip(
            size.sparsities, criterion(model, some, size.sparsities, seed), strict=True
        ):
            pruned = copy.deepcopy(model)
            apply_masks_(pruned, masks)
            rows.append(measured(pruned, (MaskKeeper(masks),)))
            left = sum(int((weight != 0).sum()) for weight in prunable_parameters(pruned).values())
            allowed = sum(mask.numel() for mask in masks.values())
            if left > round((1 - sparsity) * allowed) + len(masks):  # rounded once a layer at most
                raise AssertionError(f"{name}: {left} weights are left at sparsity {sparsity}")
        result["unstructured"][name] = rows
    for name, criterion in _channel_criteria().items():
        rows = []
        for fraction in size.kept:
            small = criterion(model, some, fraction, seed)
            rows.append(measured(small))
            if name == "l1":
                result["macs"].append(multiply_adds(configuration(small), **sizes))
        result["structured"][name] = rows
    return result


def _weight_criteria() -> dict[str, Callable]:
    """Each gives its masks for all sparsities: scores are made once."""

    def by_scores(score: Callable) -> Callable:
        def masks(model, data, sparsities, seed):
            scores = score(model, data, seed=seed)
            return [global_masks(scores, sparsity) for sparsity in sparsities]

        return masks

    def uniform(model, data, sparsities, seed):
        scores = CRITERIA["magnitude"](model, data)
        return [layerwise_masks(scores, dict.fromkeys(scores, sparsity)) for sparsity in sparsities]

    # relevance is measured in `reproductions.relevance`, on VGG-16 and beside the others
    scores = {name: score for name, score in CRITERIA.items() if name != "relevance"}
    return {name: by_scores(score) for name, score in scores.items()} | {"uniform": uniform}


def _channel_criteria() -> dict[str, Callable]:
    def by_importance(importance: Callable) -> Callable:
        def small(model, data, fraction, seed):
            return slim(model, best_channels(importance(model, data, seed=seed), fraction))

        return small

    def by_thinet(*, repair: bool) -> Callable:
        def small(model, data, fraction, seed):
            return thinet(model, data, fraction=fraction, seed=seed, repair=repair)[0]

        return small

    return {name: by_importance(importance) for name, importance in CHANNEL_CRITERIA.items()} | {
        "thinet_choice": by_thinet(repair=False),
        "thinet": by_thinet(repair=True),
    }


def _stacked(results: list[dict]) -> dict:
    """Pairs (before, after) of each seed and criterion as {criterion: {"before": seeds × points, ...}}."""
    stacked = {}
    for name in results[0]:
        before, after = np.moveaxis(np.array([one[name] for one in results]), -1, 0).round(5).tolist()
        stacked[name] = {"before": before, "after": after}
    return stacked
