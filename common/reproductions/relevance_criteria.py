"""Criteria at equal sparsity, without any fine-tuning, with little and with much data: part of `relevance`.

Every criterion scores the weights, or the filters, of one trained network, from `n_little` reference images
(as many of each class, a draw a seed) or from `n_much`. The lowest go, in one shot, and what is left is
measured on the validation split; at one sparsity, stated in the plan, on test images as well.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from common.checkpoints import state_digest
from common.datasets import ImageSet
from common.image_fitting import first_images
from common.masks import apply_masks_, global_masks
from common.methods.criteria import CRITERIA
from common.methods.relevance_pruning import FILTER_CRITERIA, choose_filters
from common.progress import progress
from common.reproductions.kept import kept
from common.slimming import slim
from common.splits import train_val_split
from common.training import evaluate

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
        Of the draws of little data, and of the random criterion; much data is drawn with the first.
    weight_ratios, filter_ratios : tuple of float
        Fractions that are pruned.
    tested : tuple of (str, float)
        For weights and for filters, the ratio at which test images are looked at, too, with the first seed.
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
    """`n` images of a set, as many of each class as can be, drawn by the seed."""
    return data if n >= len(data) else train_val_split(data, n_validation=n, seed=seed)[1]


def compare_criteria(
    model: nn.Module, training: ImageSet, validation: ImageSet, test: ImageSet, plan: CriteriaPlan, *,
    workdir: Path, device: str, resume: bool = True,
) -> dict:  # fmt: skip
    """Run every criterion, with little and with much data.

    Parameters
    ----------
    model : nn.Module
        A trained `vgg` with batch norm; it stays as it is.
    training, validation, test : ImageSet
        Reference images, where criteria are compared, and where the table's last column comes from.
    workdir : path
        One file a measurement, read again when `resume` and made with the same plan.

    Returns
    -------
    dict
        ``weights`` and ``filters``, each: ``ratios``, and ``top1[criterion][amount]``, of shape (draws,
        ratios), ``amount`` being ``little``, ``much``, or ``none`` where no data is looked at; ``test_ratio``
        and ``test_top1[criterion][amount]``, with the first seed; ``kept``, filters or weights left in each
        layer at the test ratio with most data; ``correlation``, Spearman's, of the scores with much data
        (rows and columns in the order of ``criteria``), and ``stability``, of a criterion with little data
        with itself with much.
    """
    measured, tested = first_images(validation, plan.n_measured), first_images(test, plan.n_tested)
    key = {name: value for name, value in asdict(plan).items() if name != "seeds"}
    key["images"] = [training.sha256, validation.sha256, test.sha256]
    key["model"] = state_digest(model)
    figures: dict = {
        "n_little": plan.n_little, "n_much": plan.n_much, "seeds": list(plan.seeds),
        "n_measured": len(measured), "n_tested": len(tested), "criteria": list(NAMES),
        "dense": kept(
            workdir / "dense.json", _plain(key),
            lambda: {
                "top1": evaluate(model, measured, precision="bf16", device=device).top1,
                "test_top1": evaluate(model, tested, precision="bf16", device=device).top1,
            }, resume=resume,
        ),
    }  # fmt: skip
    jobs = [(kind, *job) for kind in ("weights", "filters") for job in _jobs(plan)]
    found: dict = {}
    for kind, name, amount, seed in progress(jobs, desc="criteria", unit="scoring"):
        job = _plain(key | {"kind": kind, "criterion": name, "amount": amount, "seed": seed})
        found[kind, name, amount, seed] = kept(
            workdir / f"{kind}-{name}-{amount}-{seed}.json", job,
            lambda kind=kind, name=name, amount=amount, seed=seed: _measure(
                model, training, measured, tested, plan, kind, name, amount, seed, device=device
            ), resume=resume,
        )  # fmt: skip
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
    model: nn.Module, training: ImageSet, measured: ImageSet, tested: ImageSet, plan: CriteriaPlan, kind: str,
    name: str, amount: str, seed: int, *, device: str,
) -> dict:  # fmt: skip
    n = plan.n_little if amount == "little" else plan.n_much
    some = reference_images(training, n, seed=seed)
    criterion = (CRITERIA if kind == "weights" else FILTER_CRITERIA)[name]
    scores = criterion(model, some, seed=seed)
    test_ratio = dict(plan.tested)[kind]
    top1, row = [], {"sample": _sample(scores)}
    ratios = plan.weight_ratios if kind == "weights" else plan.filter_ratios
    for ratio in dict.fromkeys((*ratios, test_ratio)):  # the test's own, where it is none of them
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
    """The same few scores of every criterion, in layers' order: all filters, or weights drawn once."""
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
    }  # fmt: skip


def _rank(first: list[float], second: list[float]) -> float:
    """Spearman's correlation in three digits; 0 where one of them has no order at all."""
    if len(set(first)) < 2 or len(set(second)) < 2:
        return 0.0
    return round(float(spearmanr(first, second).statistic), 3)


def _plain(options: dict) -> dict:
    """Options as JSON will give them back: lists for tuples."""
    return json.loads(json.dumps(options))
