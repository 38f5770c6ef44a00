"""Sparse variational dropout on the LeNets, reproduced, and its weights coded to real files.

    dnnc reproduce variational_dropout

Each network learns from random weights, with noise on every weight, in stages. Between the stages, units
whose output is constant are cut out (`pruning.constant_units`), so that later stages cost a fraction of the
first. What is cut out cannot come back. Then files are made, with the paper's threshold of log α, 3, and with
lower ones: what is left is fine-tuned with its masks fixed, and its weights share values. Of several files,
the smallest that hardly loses accuracy on 5,000 validation images is taken, and measured on the test images.
The baselines are those of ``dnnc reproduce lenets``.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import nn

from common.base.files import whole_file
from common.base.results import write_result
from common.base.text import markdown_table
from common.codec.container import Container
from common.compress.pipeline import CompressConfig, decompress, encode, share
from common.data.datasets import load_dataset
from common.data.image_set import ImageSet, train_val_split
from common.experiments import ROOT, Outcome, read_experiment
from common.experiments.lenets import TITLES
from common.methods.variational_dropout import (
    EDGES,
    THRESHOLD,
    NoiseHistory,
    VariationalObjective,
    to_plain,
    to_variational,
)
from common.networks.baseline import N_VALIDATION
from common.networks.models import build, dense_bytes, prunable_parameters
from common.networks.training import TrainConfig, default_device, evaluate, train
from common.pruning.callbacks import MaskKeeper
from common.pruning.constant_units import Places, grow_, grow_masks, grow_shared, without_constant_units
from common.pruning.masks import Masks
from common.pruning.network import ThinNetwork
from common.report.published import PUBLISHED
from common.report.sizes import layer_rows

# ----------------------------------------------------------------------------------------------------
# From what variational dropout leaves to a file: fine-tuned, shared, coded, chosen, measured.


@dataclass(frozen=True)
class CodingPlan:
    """How the kept weights are fine-tuned and coded.

    Attributes
    ----------
    tune, share : TrainConfig
        Of the kept weights, masks fixed; of shared values.
    clusters : tuple of (int, int)
        Shared values per convolution and per linear layer (0 where a network has none): each pair is tried.
    crops : tuple of int
        Shifts in pixels. The network is fine-tuned once with each; one is chosen on the validation images.
    tolerance : float
        By how much a file's validation error (a fraction) may be above that of the fine-tuned network.
    """

    tune: TrainConfig
    share: TrainConfig
    clusters: tuple[tuple[int, int], ...]
    crops: tuple[int, ...] = (0, 1)
    tolerance: float = 0.002


@dataclass(frozen=True)
class Sets:
    """The images, and the device to compute on."""

    training: ImageSet
    validation: ImageSet
    test: ImageSet
    device: str

    def error(self, model: nn.Module, which: str) -> float:
        """The model's error, in [0, 1], on ``"validation"`` or ``"test"``."""
        return 1.0 - evaluate(model, getattr(self, which), device=self.device).top1


def make_file(
    plan: CodingPlan,
    architecture: str,
    point: str,
    plain: nn.Module,
    masks: Masks,
    places: Places | None,
    sets: Sets,
    *,
    seed: int,
    folder: Path,
    workdir: Path,
) -> dict:
    """Fine-tune, share, encode; choose on the validation images; decode, measure and write.

    Parameters
    ----------
    plan : CodingPlan
    architecture, point : str
        Name of the whole network, such as "lenet_5"; name of the file.
    plain, masks
        From `methods.variational_dropout.to_plain`.
    places : mapping of parameter name to int64 tensor, optional
        From `pruning.constant_units.without_constant_units`, if units were cut out before.
    sets : Sets
    seed : int
    folder, workdir : path
        For the file, and for checkpoints.

    Returns
    -------
    dict
        Kept weights, bytes, and errors (fractions) on validation and test images; those ending in
        ``_learnt`` are measured before the fine-tuning.
    """
    learnt = {
        "validation_error_learnt": sets.error(plain, "validation"),
        "error_learnt": sets.error(plain, "test"),
        "kept": [int(mask.sum()) for mask in masks.values()],
    }
    small, places = without_constant_units(plain, masks, places=places)
    (workdir / point).mkdir(parents=True, exist_ok=True)
    masks = {name: weight != 0 for name, weight in prunable_parameters(small).items()}
    tuned = {}
    for crop in plan.crops:
        network, config = copy.deepcopy(small), replace(plan.tune, crop_padding=crop, seed=seed)
        train(
            network,
            sets.training,
            config,
            callbacks=[MaskKeeper(masks)],
            device=sets.device,
            checkpoint=workdir / point / f"tune{crop}.pt",
            description=f"{point} fine-tuning, crops of {crop}",
        )
        tuned[crop] = (sets.error(network, "validation"), network)
    crop = min(tuned, key=lambda key: tuned[key][0])
    least, network = tuned[crop]
    whole = build(architecture, num_classes=len(sets.training.classes), seed=seed)
    described = {"architecture": architecture, "num_classes": len(sets.training.classes)}
    n_weights = sum(weight.numel() for weight in prunable_parameters(whole).values())
    candidates, made = [], []
    for conv, linear in plan.clusters:
        config = CompressConfig(
            conv_clusters=max(1, conv),
            linear_clusters=linear,
            bias_clusters=8,
            share=replace(plan.share, crop_padding=crop, seed=seed),
        )
        thin = ThinNetwork(copy.deepcopy(network), n_weights, masks)
        shared = share(
            thin,
            sets.training,
            config,
            device=sets.device,
            checkpoint=workdir / point / f"share{conv}_{linear}.pt",
        )
        grow_(whole, thin.model, places)
        grown = ThinNetwork(whole, n_weights, grow_masks(masks, places, whole))
        made.append(encode(grown, grow_shared(shared, places, whole), config, described))
        error = sets.error(decompress(made[-1]), "validation")
        candidates.append(
            {"conv": conv, "linear": linear, "file_bytes": len(made[-1]), "validation_error": error}
        )
    fitting = [row for row in candidates if row["validation_error"] <= least + plan.tolerance + 1e-12]
    chosen = (
        min(fitting, key=lambda row: row["file_bytes"])
        if fitting
        else (min(candidates, key=lambda row: row["validation_error"]))
    )
    data = Container.open(made[candidates.index(chosen)])
    row = learnt | {
        "file": f"{point}.dcz",
        "file_bytes": len(data),
        "dense_bytes": dense_bytes(whole),
        "parameter_ratio": n_weights / sum(learnt["kept"]),
        "tune_crop": crop,
        "validation_errors_tuned": {str(key): error for key, (error, _) in tuned.items()},
        "candidates": candidates,
        "chosen": [chosen["conv"], chosen["linear"]],
        "layers": layer_rows(data),
        "validation_error": chosen["validation_error"],
        "error": sets.error(decompress(data), "test"),
    }
    with whole_file(folder / row["file"]) as aside:  # last: a run that is stopped earlier leaves the old file
        aside.write_bytes(made[candidates.index(chosen)])
    return row


# ----------------------------------------------------------------------------------------------------
# How long and with which options sparse variational dropout is trained: the plan that tests shrink.
#
# Shifts and codebook sizes of the files are chosen on validation images. For LeNet-300-100, the thresholds 1
# and 0 and the length of the fine-tuning were set after a first pass had shown test errors (1.80 and 2.14 %).


@dataclass(frozen=True)
class Stage:
    """A part of the training.

    Attributes
    ----------
    epochs : int
    weight : float
        Factor on the KL divergence at the end of the stage; it climbs from the stage before's, or from 0.
    warmup : float
        Epochs in which it climbs.
    rates : (float, float)
        Learning rate at the beginning and at the end, as fractions of the plan's.
    points : tuple of (str, float)
        Files that are made after the stage: a name, and the threshold of log α.
    """

    epochs: int
    weight: float = 1.0
    warmup: float = 0.0
    rates: tuple[float, float] = (1.0, 1.0)
    points: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class NetworkPlan:
    """How one network is trained and coded; epochs and rates of `train` are replaced by the stages' own."""

    network: str
    stages: tuple[Stage, ...]
    train: TrainConfig
    coding: CodingPlan
    log_sigma2: float = -10.0


_NOISY = TrainConfig(
    epochs=0,
    batch_size=128,
    max_lr=1e-3,
    weight_decay=0.0,
    label_smoothing=0.0,
    crop_padding=0,
    flip=False,
    optimizer="adam",
    precision="fp32",
)
_TUNE = replace(_NOISY, epochs=8, batch_size=256, max_lr=2e-3, rates=((0, 1), (8, 0)))
_SHARE = replace(_NOISY, epochs=4, batch_size=256, max_lr=2e-3, rates=((0, 1), (4, 0)))


@dataclass(frozen=True)
class Plan:
    """The whole reproduction.

    A step on the whole network takes as long as several on what is left of it, so most epochs come last.
    """

    networks: tuple[NetworkPlan, ...] = (
        NetworkPlan(
            "lenet_300_100",
            train=_NOISY,
            coding=CodingPlan(
                replace(_TUNE, epochs=24, rates=((0, 1), (24, 0))),
                _SHARE,
                crops=(1,),
                clusters=((0, 16), (0, 12), (0, 8), (0, 6)),
            ),
            stages=(
                Stage(8, warmup=6),
                Stage(8),
                Stage(
                    30,
                    rates=(1.0, 0.0),
                    points=(
                        ("lenet_300_100_variational", 3.0),
                        ("lenet_300_100_variational_middle", 1.0),
                        ("lenet_300_100_variational_small", 0.0),
                    ),
                ),
            ),
        ),
        NetworkPlan(
            "lenet_5",
            train=replace(_NOISY, batch_size=256, max_lr=2e-3, precision="bf16"),
            coding=CodingPlan(
                replace(_TUNE, epochs=5, rates=((0, 1), (5, 0))),
                replace(_SHARE, epochs=3, rates=((0, 1), (3, 0))),
                clusters=((16, 12), (12, 8), (8, 6)),
            ),
            stages=(
                Stage(4, warmup=4),
                Stage(4),
                Stage(
                    16,
                    rates=(1.0, 0.0),
                    points=(
                        ("lenet_5_variational", 3.0),
                        ("lenet_5_variational_middle", 1.0),
                        ("lenet_5_variational_small", 0.0),
                    ),
                ),
            ),
        ),
    )
    dataset: str = "mnist"
    seed: int = 0
    paper: str = "its code trains 200 epochs in batches of 100, Adam, 0.001 falling along a line"


# ----------------------------------------------------------------------------------------------------
# Sparse variational dropout as a table: the published rows beside ours.

# Percent of each layer's weights that the paper leaves out: its table 1.
PAPER_SPARSITY = {"lenet_300_100": (98.9, 97.2, 62.0), "lenet_5": (67.0, 98.0, 99.8, 95.0)}
_SPARSE = "Sparse variational dropout"
_NEIGHBOURS = (_SPARSE, "EPR", "MIRACLE", "Soft weight sharing", "Deep Compression")


def published_rows(networks: Iterable[str]) -> list[dict]:
    """What others report for these networks; errors in percent, as the sources give them."""
    rows = []
    for network in networks:
        for method in _NEIGHBOURS:
            for row in PUBLISHED[network]:
                if row.method == method:
                    rows.append(
                        {
                            "network": network,
                            "method": method,
                            "source": row.source,
                            "ratio": row.ratio,
                            "counts": row.counts,
                            "error": row.error,
                            "baseline_error": row.baseline_error,
                            "file_bytes": row.compressed_bytes,
                            "quoted": row.quoted,
                            "layer_sparsity": PAPER_SPARSITY[network] if method == _SPARSE else None,
                        }
                    )
    return rows


def to_markdown(figures: Mapping) -> str:
    """The figures of `reproduce` as a markdown table."""
    heads = ("network", "by", "error", "weights kept", "fewer weights", "file", "smaller file")
    rows = []
    for network in figures["networks"]:
        name = network["network"]
        rows += [_published(row) for row in figures["published"] if row["network"] == name]
        rows += [_own(file) for file in figures["files"] if file["network"] == name]
    return "\n".join(
        [
            *markdown_table(heads, rows),
            "",
            f"Errors on {figures['budget']['n_test']:,} test images, reference → compressed. Ours are .dcz "
            "files, whole and decoded again; published sizes are as their sources have them.",
        ]
    )


def _published(row: Mapping) -> tuple[str, ...]:
    before = "" if row["baseline_error"] is None else f"{row['baseline_error']:.2f} → "
    by_count = row["counts"] == "parameters"
    size = "" if row["file_bytes"] is None else f"{row['file_bytes'] / 1000:.2f} KB"
    return (
        TITLES[row["network"]],
        row["method"],
        f"{before}{row['error']:.2f} %",
        "",
        f"{row['ratio']:.0f}×" if by_count else "",
        size,
        "" if by_count else f"{row['ratio']:.0f}×",
    )


def _own(file: Mapping) -> tuple[str, ...]:
    return (
        TITLES[file["network"]],
        f"ours, log α < {file['threshold']:g}",
        f"{100 * file['baseline_error']:.2f} → {100 * file['error']:.2f} %",
        f"{sum(file['kept']):,} of {file['n_weights']:,}",
        f"{file['parameter_ratio']:.0f}×",
        f"{file['file_bytes'] / 1000:.2f} KB",
        f"{file['dense_bytes'] / file['file_bytes']:.0f}×",
    )


FOLDER = ROOT / "week05_pruning" / "results"
WORKDIR = ROOT / "runs" / "variational_dropout"
_THRESHOLDS = (4.0, 3.0, 2.0, 1.0, 0.0, -0.5, -1.0, -1.5, -2.0, -2.5, -3.0, -4.0)


def reproduce(
    plan: Plan,
    *,
    baselines: Mapping[str, float],
    folder: str | Path = FOLDER,
    workdir: str | Path = WORKDIR,
    device: str | None = None,
    resume: bool = True,
    command: str = "dnnc reproduce variational_dropout",
) -> Outcome:
    """Train, code and measure all networks of a plan.

    Parameters
    ----------
    plan : Plan
    baselines : mapping of network to float
        Top-1 accuracy on the test set of the plainly trained network, in [0, 1].
    folder : path
        Gets ``<point>.dcz`` and ``variational_dropout.json``.
    workdir : path
        Checkpoints.
    device : str, optional
        By default the GPU if there is one.
    resume : bool
        Whether to go on from checkpoints. If not, they are deleted.
    command : str
        The command that the stored results name as their origin.

    Returns
    -------
    Outcome
        Its figures are ``networks`` (one history each), ``files`` (one per point: kept weights, candidates,
        bytes, errors), ``points``, ``published``, ``budget``, and ``edges`` and ``threshold`` of log α.

    Raises
    ------
    ValueError
        A checkpoint was made with other options.
    """
    device, folder, workdir = device or default_device(), Path(folder), Path(workdir)
    folder.mkdir(parents=True, exist_ok=True)
    whole, test = load_dataset(plan.dataset, "train"), load_dataset(plan.dataset, "test")
    training, validation = train_val_split(whole, n_validation=N_VALIDATION[plan.dataset])
    sets = Sets(training, validation, test, device)
    networks, files = [], []
    for one in plan.networks:
        work = workdir / one.network
        if not resume:
            shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True, exist_ok=True)
        history, made = _run_network(one, sets, seed=plan.seed, folder=folder, workdir=work)
        networks.append(history)
        files += [file | {"baseline_error": 1.0 - baselines[one.network]} for file in made]
        figures = {
            "threshold": THRESHOLD,
            "edges": list(EDGES),
            "networks": networks,
            "files": files,
            "points": [_map_point(file, plan.dataset) for file in files],
            "published": published_rows([network["network"] for network in networks]),
            "budget": {
                "n_train": len(training),
                "n_validation": len(validation),
                "n_test": len(test),
                "paper": plan.paper,
            },
        }
        # After each network, so that a stopped run has stored what it has finished.
        write_result(
            folder / "variational_dropout.json",
            figures,
            command=command,
            seed=plan.seed,
            dataset=[training, validation, test],
            device=device,
        )
    return Outcome(figures, to_markdown(figures))


def run(*, device: str | None = None, resume: bool = True) -> Outcome:
    """The whole plan on MNIST, with files and figures into the repository."""
    baselines = {point["network"]: point["baseline_top1"] for point in read_experiment("lenets")["points"]}
    return reproduce(Plan(), baselines=baselines, device=device, resume=resume)


def _run_network(
    plan: NetworkPlan, sets: Sets, *, seed: int, folder: Path, workdir: Path
) -> tuple[dict, list[dict]]:
    """All stages of one network: its history, and the files that were made."""
    whole = build(plan.network, num_classes=len(sets.training.classes), seed=seed)
    names = list(prunable_parameters(whole))
    n_weights = sum(weight.numel() for weight in prunable_parameters(whole).values())
    model = to_variational(whole, log_sigma2=plan.log_sigma2, seed=seed)
    steps_per_epoch = len(sets.training) // plan.train.batch_size
    places, weight, epoch, records, files = None, 0.0, 0, [], []
    for number, stage in enumerate(plan.stages):
        first, last = stage.rates
        config = replace(
            plan.train, epochs=stage.epochs, seed=seed + number, rates=((0, first), (stage.epochs, last))
        )
        objective = VariationalObjective(
            model,
            n_images=len(sets.training),
            weight=stage.weight,
            start=weight,
            warmup_steps=round(stage.warmup * steps_per_epoch),
            seed=seed + number,
        )
        log = NoiseHistory(steps_per_epoch, None if records else model)
        history = train(
            model,
            sets.training,
            config,
            validation=sets.validation,
            objective=objective,
            callbacks=[objective, log],
            device=sets.device,
            checkpoint=workdir / f"stage{number}.pt",
            checkpoint_steps=100,
            description=f"{plan.network} stage {number + 1}",
        )
        errors = [None] * (len(log.records) - stage.epochs) + [1.0 - top1 for top1 in history.val_top1]
        for record, error in zip(log.records, errors, strict=True):
            kept = [record["kept"][name.removesuffix(".weight")] for name in names]
            when = {"epoch": epoch + record["step"] // steps_per_epoch, "stage": number}
            records.append(when | {"kept": kept, "histogram": record["histogram"], "validation_error": error})
        weight, epoch = stage.weight, epoch + stage.epochs
        sweep = _sweep(model, sets) if stage.points else None
        for name, threshold in stage.points:
            plain, masks = to_plain(model, threshold=threshold)
            made = make_file(
                plan.coding,
                plan.network,
                name,
                plain,
                masks,
                places,
                sets,
                seed=seed,
                folder=folder,
                workdir=workdir,
            )
            about = {"name": name, "network": plan.network, "n_weights": n_weights, "epochs": epoch}
            files.append(about | {"threshold": threshold, "sweep": sweep} | made)
        model, places = without_constant_units(model, to_plain(model)[1], places=places)
    history = {
        "network": plan.network,
        "layers": [name.removesuffix(".weight") for name in names],
        "weights": [weight.numel() for weight in prunable_parameters(whole).values()],
        "records": records,
        "stages": json.loads(json.dumps([asdict(stage) for stage in plan.stages])),  # lists for tuples
        "batch_size": plan.train.batch_size,
        "max_lr": plan.train.max_lr,
        "precision": plan.train.precision,
        "log_sigma2": plan.log_sigma2,
    }
    return history, files


def _sweep(model: nn.Module, sets: Sets) -> list[dict]:
    """What other thresholds would keep, and the error on the validation images, before any fine-tuning."""
    rows = []
    for threshold in _THRESHOLDS:
        plain, masks = to_plain(model, threshold=threshold)
        kept = sum(int(mask.sum()) for mask in masks.values())
        rows.append(
            {"threshold": threshold, "kept": kept, "validation_error": sets.error(plain, "validation")}
        )
    return rows


def _map_point(file: Mapping, dataset: str) -> dict:
    """One point of the map of methods."""
    label = f"variational dropout, log α < {file['threshold']:g}"
    return {
        "method": "variational dropout",
        "label": label,
        "network": file["network"],
        "dataset": dataset,
        "file_bytes": file["file_bytes"],
        "dense_bytes": file["dense_bytes"],
        "top1": 1.0 - file["error"],
        "baseline_top1": 1.0 - file["baseline_error"],
        "note": f"{file['epochs']} epochs with noise; {sum(file['kept']):,} weights kept",
    }
