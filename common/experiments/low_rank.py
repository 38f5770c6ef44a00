"""Low rank at several sizes: the LeNets on MNIST and the shipped VGG-16 on CIFAR-10, to files and back.

    dnnc reproduce low_rank        factorizes, fine-tunes, measures, writes week03_cnns/results/low_rank.json

Every network is factorized for several budgets of parameters (`methods.low_rank.ranks_by_budget`). What that
costs is measured on the validation split: as factorized, with batch norm's statistics estimated again, and
after fine-tuning. A fine-tuned network is then written to two files, with its weights as float16 and with
shared values. Both are read back, and what they decode to is measured on the test images, on which nothing is
chosen. Stopped at any moment, the command goes on: finished sizes are kept, and a fine-tuning has its
checkpoint.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from common.base.memo import Memo, as_json
from common.base.text import markdown_table
from common.codec import container
from common.compress.files import open_model
from common.data.datasets import load_dataset
from common.data.image_set import ImageSet, first_images, train_val_split
from common.experiments import ROOT, Outcome, store
from common.experiments.lenets import TITLES
from common.experiments.sharing_bits import renew_batch_norm_
from common.methods.low_rank import factorize, pack_low_rank, ranks_by_budget, unpack_low_rank
from common.networks.baseline import N_VALIDATION, train_baseline
from common.networks.checkpoints import load_weights, state_digest
from common.networks.models import INPUT_SHAPES, build, count_parameters, dense_bytes
from common.networks.training import TrainConfig, default_device, evaluate, train

# ----------------------------------------------------------------------------------------------------
# The results as markdown, and as points of the map of methods.

_ADA_TUCKER = "Zhong et al. 2019, ADA-Tucker, arXiv:1906.07671, abstract: no loss of accuracy"
PUBLISHED = (
    {
        "method": "SCADA-Tucker",
        "network": "lenet_300_100",
        "ratio": 233.0,
        "drop_points": 0.0,
        "source": _ADA_TUCKER,
    },
    {
        "method": "SCADA-Tucker",
        "network": "lenet_5",
        "ratio": 691.0,
        "drop_points": 0.0,
        "source": _ADA_TUCKER,
    },
)


def points_of(network: Mapping) -> list[dict]:
    """One network's files as points of the map of methods."""
    return [
        {
            "method": "low rank" if file["coding"] == "float16" else "low rank, shared",
            "label": f"{100 * size['parameters'] / network['parameters']:.0f} % of the parameters",
            "network": network["network"],
            "dataset": network["dataset"],
            "file_bytes": file["file_bytes"],
            "dense_bytes": network["dense_bytes"],
            "top1": file["top1"],
            "baseline_top1": network["baseline_top1"],
            "note": f"{file['coding']}; fine-tuned for {network['tuning']}",
        }
        for size in network["sizes"]
        for file in size.get("files", ())
    ]


def to_markdown(figures: Mapping) -> str:
    """Our rows and the published ones, by network, as markdown."""
    rows = []
    for network in figures["networks"]:
        title, whole = TITLES.get(network["network"], network["network"]), network["parameters"]
        rows.append(
            (
                title,
                "whole, float32",
                f"{whole:,}",
                "",
                f"{network['dense_bytes']:,}",
                "1×",
                f"{100 * (1 - network['baseline_top1']):.2f} %",
            )
        )
        rows += [
            (title, f"{row['method']}, published", "", "", "", f"{row['ratio']:.0f}×", "no loss")
            for row in figures["published"]
            if row["network"] == network["network"]
        ]
        rows += [
            (
                title,
                f"ours, {file['coding']}",
                f"{size['parameters']:,}",
                f"{network['multiply_adds'] / size['multiply_adds']:.1f}×",
                f"{file['file_bytes']:,}",
                f"{network['dense_bytes'] / file['file_bytes']:.0f}×",
                f"{100 * (1 - file['top1']):.2f} %",
            )
            for size in network["sizes"]
            for file in size.get("files", ())
        ]
    heads = ("network", "what", "parameters", "fewer multiply-adds", "bytes", "ratio", "test error")
    notes = [
        f"{TITLES.get(network['network'], network['network'])}: fine-tuned for {network['tuning']}."
        for network in figures["networks"]
    ]
    sources = sorted({f"{row['method']}: {row['source']}." for row in figures["published"]})
    return "\n".join([*markdown_table(heads, rows), "", *notes, *sources])


WORKDIR = ROOT / "runs" / "low_rank"
LENETS = ROOT / "runs" / "lenets"  # `common.experiments.lenets` trains the same networks


@dataclass(frozen=True)
class NetworkPlan:
    """One network's sizes, and how they are fine-tuned.

    Attributes
    ----------
    network, dataset : str
    fractions : tuple of float
        Budgets: parameters left, as fractions of the whole network's.
    tuned : tuple of float
        Those of the fractions that are fine-tuned and written to files.
    tune : TrainConfig
    n_tune : int, optional
        Training images in an epoch of fine-tuning; by default all.
    n_validation : int, optional
        Validation images; by default all.
    n_renewed : int
        Training images from which batch norm's statistics are estimated again; 0 for a network without it.
    n_clusters : int
        Shared values per thin layer, in the second file.
    is_shipped : bool
        Whether to start from the capstone's shipped weights, or from a network trained by its recipe.
    baseline_epochs : int, optional
        Epochs of that training; by default the recipe's.
    """

    network: str
    dataset: str
    fractions: tuple[float, ...]
    tuned: tuple[float, ...]
    tune: TrainConfig
    n_tune: int | None = None
    n_validation: int | None = None
    n_renewed: int = 0
    n_clusters: int = 32
    is_shipped: bool = False
    baseline_epochs: int | None = None


_LENET = TrainConfig(
    epochs=5,
    max_lr=0.05,
    warmup=0.1,
    weight_decay=1e-4,
    label_smoothing=0.0,
    crop_padding=1,
    flip=False,
    precision="fp32",
)
_SIZES = (0.5, 0.25, 0.12, 0.06, 0.03)


@dataclass(frozen=True)
class Plan:
    """What is measured; tests use a smaller plan."""

    networks: tuple[NetworkPlan, ...] = field(
        default=(
            NetworkPlan("lenet_300_100", "mnist", _SIZES, _SIZES[1:], _LENET),
            NetworkPlan(
                "lenet_5", "mnist", _SIZES, _SIZES[2:], replace(_LENET, epochs=3, max_lr=0.02, crop_padding=2)
            ),
            NetworkPlan(
                "vgg16",
                "cifar10",
                (0.7, 0.5, 0.35, 0.25, 0.12, 0.06),
                (0.25, 0.12),
                TrainConfig(epochs=1, max_lr=0.01, warmup=0.1, label_smoothing=0.1, crop_padding=2),
                n_tune=150 * 128,
                n_validation=1000,
                n_renewed=2000,
                is_shipped=True,
            ),
        )
    )


def run(
    *,
    device: str | None = None,
    resume: bool = True,
    plan: Plan | None = None,
    workdir: Path = WORKDIR,
    baselines: Path = LENETS,
    is_stored: bool = True,
) -> Outcome:
    """Factorize, fine-tune, write, read back and measure.

    The figures are ``networks``, one mapping each: ``network``, ``dataset``, ``baseline_top1`` (test),
    ``baseline_validation_top1``, ``parameters``, ``multiply_adds`` and ``sizes``; a size has ``fraction``
    (asked for), ``parameters``, ``multiply_adds``, ``ranks``, ``validation_top1`` (as factorized, ``renewed``
    or ``tuned`` where that was measured) and, if it was fine-tuned, ``files``; further ``points`` for the map
    of methods, ``published`` and the ``plan``.

    Parameters
    ----------
    device : str, optional
        By default the GPU if there is one.
    resume : bool
        Whether sizes that an earlier run has finished are taken from `workdir`.
    plan : Plan, optional
        By default the whole experiment.
    workdir, baselines : path
        For checkpoints and files; for the trained LeNets that everything starts from.
    is_stored : bool
        Whether the figures go into the repository.
    """
    plan, device = plan or Plan(), device or default_device()
    networks, sets = [], []
    for one in plan.networks:
        figures, images = _measure_network(
            one, workdir=workdir / one.network, baselines=baselines, device=device, resume=resume
        )
        networks.append(figures)
        sets += [each for each in images if each.sha256 not in {known.sha256 for known in sets}]
        figures = {
            "networks": networks,
            "points": [point for network in networks for point in points_of(network)],
            "published": list(PUBLISHED),
            "plan": as_json(plan),
        }
        if is_stored:  # after each network, so that a stopped run has stored what it has finished
            store("low_rank", figures, seed=one.tune.seed, datasets=tuple(sets), device=device)
    return Outcome(figures, to_markdown(figures))


def multiply_adds(model: nn.Module, shape: Sequence[int]) -> int:
    """Multiply-adds for one image of shape (channels, height, width), in convolutions and linear layers."""
    skeleton = copy.deepcopy(model).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        skeleton(torch.empty(1, *shape, device="meta"))
    return counter.get_total_flops() // 2  # a multiply-add counts as two operations


def _measure_network(
    plan: NetworkPlan, *, workdir: Path, baselines: Path, device: str, resume: bool
) -> tuple[dict, tuple[ImageSet, ...]]:
    """A network's figures, and the image sets that were used."""
    whole, test = load_dataset(plan.dataset, "train"), load_dataset(plan.dataset, "test")
    training, validation = train_val_split(whole, n_validation=N_VALIDATION[plan.dataset])
    validation = first_images(validation, plan.n_validation)
    model, architecture = _baseline(plan, baselines, n_classes=len(whole.classes), device=device)
    precision = plan.tune.precision

    def measured() -> dict:
        return {
            "baseline_top1": evaluate(model, test, device=device).top1,
            "baseline_validation_top1": evaluate(model, validation, precision=precision, device=device).top1,
        }

    made_of = [state_digest(model), training.sha256, validation.sha256, test.sha256]
    shape = INPUT_SHAPES[plan.network]
    n_images = len(training) if plan.n_tune is None else min(plan.n_tune, len(training))
    figures = {
        "network": plan.network,
        "dataset": plan.dataset,
        "parameters": count_parameters(model),
        "dense_bytes": dense_bytes(model),
        "multiply_adds": multiply_adds(model, shape),
        "n_test": len(test),
        "n_validation": len(validation),
        "tuning": f"{plan.tune.epochs} epochs of {n_images // plan.tune.batch_size} steps of "
        f"{plan.tune.batch_size} images",
        **Memo(workdir / "baseline", [*made_of, precision], resume=resume).get("top1", measured),
        "sizes": [],
    }
    for fraction in plan.fractions:
        own = replace(plan, fractions=(fraction,), tuned=(fraction,) if fraction in plan.tuned else ())
        memo = Memo(workdir / f"{fraction:g}", [*made_of, own], resume=resume)
        row = memo.get(
            "size",
            lambda own=own, fraction=fraction, folder=memo.folder: _measure_size(
                own, fraction, model, architecture, training, validation, test, folder=folder, device=device
            ),
        )
        figures["sizes"].append(row)
        print(f"{plan.network}, {fraction:g} of the parameters: {_in_words(row)}", flush=True)
    return figures, (training, validation, test)


def _measure_size(
    plan: NetworkPlan,
    fraction: float,
    model: nn.Module,
    architecture: Mapping,
    training: ImageSet,
    validation: ImageSet,
    test: ImageSet,
    *,
    folder: Path,
    device: str,
) -> dict:
    """One size: factorized and, if the plan says so, fine-tuned and written to two files."""
    ranks = ranks_by_budget(model.cpu(), fraction)
    small = factorize(model, ranks)

    def top1() -> float:
        return evaluate(small, validation, precision=plan.tune.precision, device=device).top1

    row = {
        "fraction": fraction,
        "parameters": count_parameters(small),
        "multiply_adds": multiply_adds(small, INPUT_SHAPES[plan.network]),
        "ranks": {name: list(rank) for name, rank in ranks.items()},
        "validation_top1": {"factorized": top1()},
    }
    if plan.n_renewed:
        renew_batch_norm_(small, first_images(training, plan.n_renewed), device)
        row["validation_top1"]["renewed"] = top1()
    if fraction not in plan.tuned:
        return row
    train(
        small,
        first_images(training, plan.n_tune),
        plan.tune,
        device=device,
        checkpoint=folder / "tuned.pt",
        checkpoint_steps=50,
        description=f"{plan.network} at {fraction:g}",
    )
    row["validation_top1"]["tuned"] = top1()
    row["files"] = []
    for coding, n_clusters in (("float16", None), (f"{plan.n_clusters} shared values", plan.n_clusters)):
        packed = pack_low_rank(small.cpu(), ranks, architecture, n_clusters=n_clusters)
        path = folder / f"{fraction:g}-{n_clusters or 'float16'}.dcz"
        container.save_file(packed, path, store_names=False)
        decoded = unpack_low_rank(container.load(path.read_bytes()))
        row["files"].append(
            {
                "coding": coding,
                "file_bytes": path.stat().st_size,
                "top1": evaluate(decoded, test, device=device).top1,
            }
        )
    return row


def _baseline(
    plan: NetworkPlan, folder: Path, *, n_classes: int, device: str
) -> tuple[nn.Module, dict[str, object]]:
    """The trained whole network, and what rebuilds it."""
    if plan.is_shipped:
        from common.capstone.run import FOLDER
        from common.capstone.shipped import BASELINE

        return open_model(FOLDER / BASELINE)
    weights = folder / plan.network / f"{plan.network}.safetensors"
    train_baseline(
        plan.network,
        weights=weights,
        result=weights.with_suffix(".json"),
        workdir=weights.parent,
        dataset=plan.dataset,
        epochs=plan.baseline_epochs,
        device=device,
        command="dnnc reproduce low_rank",
    )
    model = load_weights(build(plan.network, num_classes=n_classes), weights).eval()
    return model, {"architecture": plan.network, "num_classes": n_classes}


def _in_words(row: Mapping) -> str:
    parts = [f"validation {name} {top1:.2%}" for name, top1 in row["validation_top1"].items()]
    parts += [f"{file['file_bytes']:,} bytes {file['top1']:.2%}" for file in row.get("files", ())]
    return ", ".join(parts)
