"""Sparse variational dropout on the LeNets, made again, and its weights coded to real files.

    dnnc reproduce variational_dropout

Each network learns from its random start with noise on every weight, in stages. Between them the units that
say nothing are cut out (`methods.constant_units`), so that later stages cost a fraction of the first; what is
cut out cannot come back. Then files are made, with the paper's threshold of log α, 3, and with lower ones:
what is left is fine-tuned with its masks fixed, its weights share values, and of several files the smallest
that hardly loses on 5,000 validation images is the one that is measured on the test images. The baselines are
those of ``dnnc reproduce lenets``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from torch import nn

from common.datasets import load_dataset
from common.methods.constant_units import without_constant_units
from common.methods.noise_history import EDGES, NoiseHistory
from common.methods.variational_dropout import THRESHOLD, VariationalObjective, to_plain, to_variational
from common.models import build, prunable_parameters
from common.recipes import N_VALIDATION
from common.reproductions import ROOT, Reproduction, read_reproduction
from common.reproductions.variational_files import Sets, make_file
from common.reproductions.variational_plan import NetworkPlan, Plan
from common.reproductions.variational_table import published_rows, to_markdown
from common.results import write_result
from common.splits import train_val_split
from common.training import default_device, train

FOLDER = ROOT / "week05_pruning" / "results"
WORKDIR = ROOT / "runs" / "variational_dropout"
_THRESHOLDS = (4.0, 3.0, 2.0, 1.0, 0.0, -0.5, -1.0, -1.5, -2.0, -2.5, -3.0, -4.0)


def reproduce(
    plan: Plan, *, baselines: Mapping[str, float], folder: str | Path = FOLDER,
    workdir: str | Path = WORKDIR, device: str | None = None, resume: bool = True,
    command: str = "dnnc reproduce variational_dropout",
) -> Reproduction:  # fmt: skip
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
        Whether to go on from checkpoints; else they are deleted.
    command : str
        What the results say that they were made with.

    Returns
    -------
    Reproduction
        Figures ``networks`` (histories, per network), ``files`` (one a point: kept weights, candidates,
        bytes, errors), ``points``, ``published``, ``edges`` and ``threshold`` of log α.

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
            "threshold": THRESHOLD, "edges": list(EDGES), "networks": networks, "files": files,
            "points": [_map_point(file, plan.dataset) for file in files],
            "published": published_rows([network["network"] for network in networks]),
            "budget": {
                "n_train": len(training), "n_validation": len(validation), "n_test": len(test),
                "paper": plan.paper,
            },
        }  # fmt: skip
        # After each network, so that a stopped run has stored what it has finished.
        write_result(
            folder / "variational_dropout.json", figures, command=command, seed=plan.seed,
            dataset=[training, validation, test], device=device,
        )  # fmt: skip
    return Reproduction(figures, to_markdown(figures))


def run(*, device: str | None = None, resume: bool = True) -> Reproduction:
    """The whole plan on MNIST, into the repository."""
    baselines = {
        point["network"]: 1.0 - point["baseline_error"] for point in read_reproduction("lenets")["points"]
    }
    return reproduce(Plan(), baselines=baselines, device=device, resume=resume)


def _run_network(
    plan: NetworkPlan, sets: Sets, *, seed: int, folder: Path, workdir: Path
) -> tuple[dict, list[dict]]:
    """All stages: what happened, and the files made."""
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
            model, n_images=len(sets.training), weight=stage.weight, start=weight,
            warmup_steps=round(stage.warmup * steps_per_epoch), seed=seed + number,
        )  # fmt: skip
        log = NoiseHistory(steps_per_epoch, None if records else model)
        history = train(
            model, sets.training, config, validation=sets.validation, objective=objective,
            callbacks=[objective, log], device=sets.device, checkpoint=workdir / f"stage{number}.pt",
            checkpoint_steps=100, description=f"{plan.network} stage {number + 1}",
        )  # fmt: skip
        errors = [None] * (len(log.records) - stage.epochs) + [1.0 - top1 for top1 in history.val_top1]
        for record, error in zip(log.records, errors, strict=True):
            kept = [record["kept"][name.removesuffix(".weight")] for name in names]
            when = {"epoch": epoch + record["step"] // steps_per_epoch, "stage": number}
            records.append(
                when | {"kept": kept, "histogram": record["histogram"], "validation_error": error}
            )
        weight, epoch = stage.weight, epoch + stage.epochs
        sweep = _sweep(model, sets) if stage.points else None
        for name, threshold in stage.points:
            plain, masks = to_plain(model, threshold=threshold)
            made = make_file(
                plan.coding, plan.network, name, plain, masks, places, sets, seed=seed, folder=folder,
                workdir=workdir,
            )  # fmt: skip
            about = {"name": name, "network": plan.network, "n_weights": n_weights, "epochs": epoch}
            files.append(about | {"threshold": threshold, "sweep": sweep} | made)
        model, places = without_constant_units(model, to_plain(model)[1], places=places)
    history = {
        "network": plan.network, "layers": [name.removesuffix(".weight") for name in names],
        "weights": [weight.numel() for weight in prunable_parameters(whole).values()], "records": records,
        "stages": json.loads(json.dumps([asdict(stage) for stage in plan.stages])),  # lists for tuples
        "batch_size": plan.train.batch_size, "max_lr": plan.train.max_lr, "precision": plan.train.precision,
        "log_sigma2": plan.log_sigma2,
    }  # fmt: skip
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
        "method": "variational dropout", "label": label, "network": file["network"],
        "dataset": dataset, "file_bytes": file["file_bytes"], "dense_bytes": file["dense_bytes"],
        "top1": 1.0 - file["error"], "baseline_top1": 1.0 - file["baseline_error"],
        "note": f"{file['epochs']} epochs with noise; {sum(file['kept']):,} weights kept",
    }  # fmt: skip
