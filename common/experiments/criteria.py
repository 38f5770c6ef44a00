"""Pruning criteria at equal sparsity: a small VGG on CIFAR-10, before and after a short fine-tuning.

Single weights are pruned globally, one-shot, to each sparsity, by every criterion of
`common.pruning.criteria` but relevance (see `common.experiments.relevance`); ``uniform`` is magnitude with
the same sparsity in every layer. Channels are really taken out, the same fraction of every layer, by the
criteria of `common.pruning.channel_criteria`, and by ThiNet with and without its repair. All start from the
same trained network, and are fine-tuned on the same images in the same order. Everything is measured on the
validation split and repeated with several seeds, which decide the initial weights, the order of the images,
and the random criterion.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from common.base.memo import Memo
from common.base.progress import progress
from common.data.datasets import load_dataset
from common.data.image_set import ImageSet, first_images, train_val_split
from common.experiments import WORKDIR, Outcome
from common.networks.checkpoints import state_digest
from common.networks.models import count_parameters, prunable_parameters, vgg
from common.networks.training import TrainConfig, default_device, evaluate, train
from common.pruning.callbacks import MaskKeeper
from common.pruning.channel_criteria import CHANNEL_CRITERIA, best_channels
from common.pruning.channels import configuration, multiply_adds, slim
from common.pruning.criteria import CRITERIA
from common.pruning.masks import apply_masks_, global_masks, layerwise_masks
from common.pruning.rounds import FILTER_CRITERIA, choose_filters
from common.pruning.thinet import thinet

# ----------------------------------------------------------------------------------------------------
# Criteria at equal sparsity, without any fine-tuning, with little and with much data: the first part of
# `common.experiments.relevance`.
#
# Every criterion scores the weights, or the filters, of one trained network on reference images: on
# `n_little` of them (as many of each class, drawn once per seed) or on `n_much`. The lowest scores are pruned
# in one shot, and what is left is measured on the validation split; at one sparsity, stated in the plan, on
# test images as well.

NAMES = ("magnitude", "gradient", "taylor", "relevance", "random")
NEEDS_DATA = ("gradient", "taylor", "relevance")
N_SAMPLED = 20_000  # weights whose scores are kept, for the rank correlations


@dataclass(frozen=True)
class CriteriaPlan:
    """How large the comparison is.

    Attributes
    ----------
    n_little, n_much : int
        Reference images, from the training split.
    seeds : tuple of int
        Of the draws of little data, and of the random criterion; much data is drawn once, with the first.
    weight_ratios, filter_ratios : tuple of float
        Fractions of the weights, or of the filters, that are pruned.
    tested : tuple of (str, float)
        For weights and for filters, the ratio at which test images are looked at too, with the first seed.
    n_measured, n_tested : int
        Images of the validation split, and of the test set.
    """

    n_little: int = 10
    n_much: int = 500
    seeds: tuple[int, ...] = (0, 1, 2)
    weight_ratios: tuple[float, ...] = (0.5, 0.7, 0.8)
    filter_ratios: tuple[float, ...] = (0.1, 0.2, 0.3)
    tested: tuple[tuple[str, float], ...] = (("weights", 0.7), ("filters", 0.2))
    n_measured: int = 500
    n_tested: int = 1000


def reference_images(data: ImageSet, n: int, *, seed: int = 0) -> ImageSet:
    """`n` images of a set, evenly from all classes, drawn by the seed; the whole set if it has no more."""
    return data if n >= len(data) else train_val_split(data, n_validation=n, seed=seed)[1]


def compare_criteria(
    model: nn.Module,
    training: ImageSet,
    validation: ImageSet,
    test: ImageSet,
    plan: CriteriaPlan,
    *,
    workdir: Path,
    device: str,
    resume: bool = True,
) -> dict:
    """Run every criterion, with little and with much data.

    Parameters
    ----------
    model : nn.Module
        A trained `vgg` with batch norm; it stays as it is.
    training, validation, test : ImageSet
        For the scores; for comparing the criteria; for the last column of the table.
    plan : CriteriaPlan
    workdir : path
        Measurements.
    device : str
    resume : bool
        Whether measurements of the same plan, images and network are read from `workdir`.

    Returns
    -------
    dict
        ``weights`` and ``filters`` have one mapping each, with

        - ``ratios``, and ``top1[criterion][amount]`` of shape (draws, ratios), where ``amount`` is
          ``little``, ``much``, or ``none`` for a criterion without data;
        - ``test_ratio`` and ``test_top1[criterion][amount]``, with the first seed;
        - ``kept``, the filters or weights left in each layer at the test ratio, with most data;
        - ``correlation``, Spearman's rank correlation between the criteria's scores with much data (rows and
          columns in the order of ``criteria``);
        - ``stability``, the same between a criterion's scores with little data and with much.
    """
    measured, tested = first_images(validation, plan.n_measured), first_images(test, plan.n_tested)
    key = {name: value for name, value in asdict(plan).items() if name != "seeds"}
    key["images"] = [training.sha256, validation.sha256, test.sha256]
    key["model"] = state_digest(model)
    figures: dict = {
        "n_little": plan.n_little,
        "n_much": plan.n_much,
        "seeds": list(plan.seeds),
        "n_measured": len(measured),
        "n_tested": len(tested),
        "criteria": list(NAMES),
    }
    memo = Memo(workdir, key, resume=resume)
    figures["dense"] = memo.get(
        "dense",
        lambda: {
            "top1": evaluate(model, measured, precision="bf16", device=device).top1,
            "test_top1": evaluate(model, tested, precision="bf16", device=device).top1,
        },
    )
    jobs = [(kind, *job) for kind in ("weights", "filters") for job in _jobs(plan)]
    found: dict = {}
    for kind, name, amount, seed in progress(jobs, desc="criteria", unit="scoring"):
        found[kind, name, amount, seed] = memo.get(
            f"{kind} {name} {amount} {seed}",
            lambda kind=kind, name=name, amount=amount, seed=seed: _measure(
                model, training, measured, tested, plan, kind, name, amount, seed, device=device
            ),
        )
    for kind in ("weights", "filters"):
        figures[kind] = _together(plan, kind, found)
    return figures


def _jobs(plan: CriteriaPlan) -> Iterator[tuple[str, str, int]]:
    for name in NAMES:
        if name in NEEDS_DATA:
            yield name, "much", plan.seeds[0]
            yield from ((name, "little", seed) for seed in plan.seeds)
        else:
            yield from ((name, "none", seed) for seed in (plan.seeds if name == "random" else plan.seeds[:1]))


def _measure(
    model: nn.Module,
    training: ImageSet,
    measured: ImageSet,
    tested: ImageSet,
    plan: CriteriaPlan,
    kind: str,
    name: str,
    amount: str,
    seed: int,
    *,
    device: str,
) -> dict:
    n = plan.n_little if amount == "little" else plan.n_much
    some = reference_images(training, n, seed=seed)
    criterion = (CRITERIA if kind == "weights" else FILTER_CRITERIA)[name]
    scores = criterion(model, some, seed=seed)
    test_ratio = dict(plan.tested)[kind]
    top1, row = [], {"sample": _sample(scores)}
    ratios = plan.weight_ratios if kind == "weights" else plan.filter_ratios
    for ratio in dict.fromkeys((*ratios, test_ratio)):  # each ratio once, the test's among them
        if kind == "weights":
            pruned, left = copy.deepcopy(model), global_masks(scores, ratio)
            apply_masks_(pruned, left)
            counts = {layer: int(mask.sum()) for layer, mask in left.items()}
        else:
            left = choose_filters(scores, ratio, is_conserved=name == "relevance")
            pruned, counts = slim(model, left), {layer: len(channels) for layer, channels in left.items()}
        if ratio in ratios:
            top1.append(evaluate(pruned, measured, precision="bf16", device=device).top1)
        if ratio == test_ratio and seed == plan.seeds[0]:
            row["test_top1"] = evaluate(pruned, tested, precision="bf16", device=device).top1
            row["kept"] = counts
    return row | {"top1": top1}


def _sample(scores: dict[str, Tensor]) -> list[float]:
    """Scores of the same places for every criterion, in the layers' order: all filters, or some weights."""
    flat = torch.cat([score.flatten().cpu() for score in scores.values()])
    if len(flat) > N_SAMPLED:
        flat = flat[np.random.default_rng(0).choice(len(flat), N_SAMPLED, replace=False)]
    return [float(f"{value:.4g}") for value in flat.tolist()]


def _together(plan: CriteriaPlan, kind: str, found: dict) -> dict:
    ratios = plan.weight_ratios if kind == "weights" else plan.filter_ratios
    amounts = {name: ("much", "little") if name in NEEDS_DATA else ("none",) for name in NAMES}
    best = {name: found[kind, name, amounts[name][0], plan.seeds[0]] for name in NAMES}

    def draws(name: str, amount: str, what: str) -> list:
        return [row[what] for key, row in found.items() if key[:3] == (kind, name, amount)]

    return {
        "ratios": list(ratios),
        "top1": {name: {amount: draws(name, amount, "top1") for amount in amounts[name]} for name in NAMES},
        "test_ratio": dict(plan.tested)[kind],
        "test_top1": {
            name: {amount: found[kind, name, amount, plan.seeds[0]]["test_top1"] for amount in amounts[name]}
            for name in NAMES
        },
        "kept": {name: best[name]["kept"] for name in NAMES},
        "correlation": [[_rank(best[a]["sample"], best[b]["sample"]) for b in NAMES] for a in NAMES],
        "stability": {
            name: [_rank(sample, best[name]["sample"]) for sample in draws(name, "little", "sample")]
            for name in NEEDS_DATA
        },
    }


def _rank(first: list[float], second: list[float]) -> float:
    """Spearman's correlation in three digits; 0 where one of them has no order at all."""
    if len(set(first)) < 2 or len(set(second)) < 2:
        return 0.0
    return round(float(spearmanr(first, second).statistic), 3)


_TRAIN = TrainConfig(epochs=6, batch_size=64, max_lr=0.1, crop_padding=2, label_smoothing=0.0)
_TUNE = replace(_TRAIN, epochs=1, max_lr=0.02)


@dataclass(frozen=True)
class Size:
    """How large the study is.

    `channels` describes the network, as in `models.vgg`; `n_tune` images are used for scores and fine-tuning;
    `kept` are the fractions of the channels that stay.
    """

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


def run(*, device: str | None = None, resume: bool = True, workdir: Path = WORKDIR / "criteria") -> Outcome:
    """The whole study on CIFAR-10; with `resume`, a finished seed is not run again."""
    data = load_dataset("cifar10", "train")
    return compare(data, WHOLE, workdir=workdir, device=device or default_device(), resume=resume)


def compare(data: ImageSet, size: Size, *, workdir: Path, device: str, resume: bool = True) -> Outcome:
    """Run every criterion with every seed.

    Parameters
    ----------
    data : ImageSet
        The training set, from which the validation split is cut.
    size : Size
    workdir : path
        Finished seeds.
    device : str
    resume : bool
        Whether finished seeds are read from `workdir`, if all else of `size` and the images are the same.

    Returns
    -------
    Outcome
        ``figures["unstructured"][criterion][when]`` is of shape (seeds, sparsities), and
        ``figures["structured"][criterion][when]`` of shape (seeds, kept): top-1 on the validation split,
        ``when`` being ``before`` or ``after`` the fine-tuning.
    """
    training, validation = train_val_split(data, n_validation=size.n_validation)
    training = first_images(training, size.n_train)
    key = {**asdict(size), "seeds": None, "images": [training.sha256, validation.sha256]}
    rounds = len(size.seeds) * (
        len(_weight_criteria()) * len(size.sparsities) + len(_channel_criteria()) * len(size.kept)
    )
    found = []
    with progress(total=rounds, desc="criteria", unit="network") as bar:
        for seed in size.seeds:
            memo = Memo(workdir / f"seed{seed}", key, resume=resume)
            if "figures" in memo:
                bar.update(rounds // len(size.seeds))
            found.append(
                memo.get(
                    "figures",
                    lambda seed=seed: _one_seed(
                        training, validation, size, seed=seed, device=device, bar=bar
                    ),
                )
            )
    figures = {
        "channels": list(size.channels),
        "n_parameters": found[0]["n_parameters"],
        "n_train": len(training),
        "n_validation": len(validation),
        "n_tune": min(size.n_tune, len(training)),
        "train": asdict(size.train),
        "tune": asdict(size.tune),
        "seeds": list(size.seeds),
        "dense": [one["dense"] for one in found],
        "sparsities": list(size.sparsities),
        "kept": list(size.kept),
        "macs": found[0]["macs"],
        "whole_macs": found[0]["whole_macs"],
        "unstructured": _stacked([one["unstructured"] for one in found]),
        "structured": _stacked([one["structured"] for one in found]),
    }
    return Outcome(figures, datasets=(training, validation), seed=size.seeds[0])


def _one_seed(training, validation, size: Size, *, seed: int, device: str, bar) -> dict:
    with torch.random.fork_rng(devices=[]):  # seeded inside, and as before outside
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
        "dense": judged(model),
        "n_parameters": count_parameters(model),
        "unstructured": {},
        "structured": {},
        "macs": [],
    }
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
            if left > round((1 - sparsity) * allowed) + len(masks):  # each layer's count may be rounded up
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
    """Functions (model, data, sparsities, seed) -> masks for every sparsity; scores are computed once."""

    def by_scores(score: Callable) -> Callable:
        def masks(model, data, sparsities, seed):
            scores = score(model, data, seed=seed)
            return [global_masks(scores, sparsity) for sparsity in sparsities]

        return masks

    def uniform(model, data, sparsities, seed):
        scores = CRITERIA["magnitude"](model, data)
        return [layerwise_masks(scores, dict.fromkeys(scores, sparsity)) for sparsity in sparsities]

    # Relevance is measured in `common.experiments.relevance`, on VGG-16 and beside the others.
    scores = {name: score for name, score in CRITERIA.items() if name != "relevance"}
    return {name: by_scores(score) for name, score in scores.items()} | {"uniform": uniform}


def _channel_criteria() -> dict[str, Callable]:
    """Functions (model, data, fraction of the channels that stay, seed) -> a smaller network."""

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
