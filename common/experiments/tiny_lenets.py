"""The LeNets as small as they go: units first, then weights, then values, all taught by an ensemble.

    dnnc reproduce tiny_lenets

writes capstone/lenet_*_tiny.dcz and results/tiny_lenets.json.

A network is trained briefly, and only its most important units stay: a small dense network, whose weights
cost fewer position bits than the same number spread over 400,000 places. It is trained further on the
averaged answers of three of the course's own files, while it is pruned by Fisher information. Then
its weights and biases share values while it trains (`sharing.trained_sharing`); several numbers of values and
prices of a bit are the candidates. In the file the remaining units are the first ones of their layers: their
order means nothing to the network, and the dead units behind them then take hardly a bit.

Everything is done with several seeds. For each seed, one of the candidates within the target's bytes is
chosen on the validation images, and so is, of the seeds' files, the one that ships. Test images are looked at
afterwards.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from common.base.files import whole_file
from common.base.results import read_result, write_result
from common.base.text import markdown_table
from common.codec.container import CompressedModel, save
from common.codec.tensors import SharedTensor
from common.compress.packing import pack
from common.compress.pipeline import decompress
from common.data.datasets import load_dataset
from common.data.image_set import ImageSet, train_val_split
from common.experiments import ROOT, Outcome
from common.networks.baseline import N_VALIDATION
from common.networks.distillation import StoredAnswers, ensemble_answers, numbered, shifted_copies
from common.networks.models import build, dense_bytes, prunable_parameters
from common.networks.training import TrainConfig, default_device, evaluate, place_, train
from common.pruning.callbacks import GradualPruner
from common.pruning.constant_units import first_places, grow_, grow_shared, without_constant_units
from common.pruning.fisher import FisherScores
from common.report.sizes import layer_rows
from common.sharing.trained_sharing import TrainedSharing
from common.sharing.weight_sharing import share_weights

FOLDER = ROOT / "capstone"
WORKDIR = ROOT / "runs" / "tiny_lenets"
TEACHERS = (
    "capstone/lenet_5.dcz",
    "capstone/lenet_5_small.dcz",
    "week05_pruning/results/lenet_5_variational.dcz",
)


@dataclass(frozen=True)
class TinyPlan:
    """How one network becomes tiny.

    Attributes
    ----------
    name, network : str
        Name of its file; the network that it is a part of.
    units : tuple of int
        How many units stay in each hidden layer.
    n_kept : int
        How many weights pruning leaves.
    candidates : tuple of (int, float)
        How many values the weights of a layer share, and the price of a bit (`TrainedSharing`).
    target_bytes, target_error : int, float
        The file's bytes and its test error (a fraction) must be at most these.
    whole, prune, share : TrainConfig
        Of the three trainings. An epoch of `whole` goes once over the images, one of the others once over
        all their shifted copies.
    bias_values : int
        How many values the biases of a layer share.
    value_bits : float > 0
        Bits that a weight's value is assumed to take, while pruning (`FisherScores`).
    temperature, teacher_weight : float
        Of the distillation (`StoredAnswers`).
    shift : int
        Images are shifted by up to this many pixels in each direction.
    """

    name: str
    network: str
    units: tuple[int, ...]
    n_kept: int
    candidates: tuple[tuple[int, float], ...]
    target_bytes: int
    target_error: float
    whole: TrainConfig
    prune: TrainConfig
    share: TrainConfig
    bias_values: int = 4
    value_bits: float = 3.0
    temperature: float = 2.0
    teacher_weight: float = 0.8
    shift: int = 1


_WHOLE = TrainConfig(
    epochs=2,
    batch_size=128,
    max_lr=2e-3,
    rates=((0, 1), (2, 0.5)),
    weight_decay=0.0,
    label_smoothing=0.0,
    crop_padding=0,
    flip=False,
    optimizer="adam",
    precision="fp32",
)


def _falling(config: TrainConfig, *, epochs: int, max_lr: float, **options) -> TrainConfig:
    return replace(config, epochs=epochs, max_lr=max_lr, rates=((0, 1), (epochs, 0)), **options)


PLANS = (
    TinyPlan(
        "lenet_5_tiny",
        "lenet_5",
        units=(8, 12, 20),
        n_kept=1700,
        candidates=((6, 0.005), (6, 0.015)),
        target_bytes=1520,
        target_error=0.0096,
        whole=replace(_WHOLE, epochs=1, rates=((0, 1), (1, 0.5))),
        prune=_falling(_WHOLE, epochs=2, max_lr=3e-3),
        share=_falling(_WHOLE, epochs=1, max_lr=1.5e-3),
    ),
    TinyPlan(
        "lenet_300_100_tiny",
        "lenet_300_100",
        units=(40, 30),
        n_kept=2800,
        candidates=((6, 0.01), (6, 0.02), (8, 0.02)),
        target_bytes=2500,
        target_error=0.019,
        whole=_WHOLE,
        prune=_falling(_WHOLE, epochs=3, max_lr=3e-3),
        share=_falling(_WHOLE, epochs=1, max_lr=1.5e-3),
    ),
)


def reproduce(
    plans: Sequence[TinyPlan] = PLANS,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    teachers: Sequence[str | Path] = TEACHERS,
    dataset: str = "mnist",
    folder: str | Path = FOLDER,
    workdir: str | Path = WORKDIR,
    device: str | None = None,
    resume: bool = True,
    command: str = "dnnc reproduce tiny_lenets",
) -> Outcome:
    """Make all files, with all seeds.

    Parameters
    ----------
    plans : sequence of TinyPlan
    seeds : sequence of int
        Of the initial weights and of the order of images.
    teachers : sequence of path
        `.dcz` files, relative to the repository.
    dataset : str
    folder, workdir : path
        For ``<name>.dcz`` and ``results/tiny_lenets.json``; for checkpoints.
    device : str, optional
        By default the GPU if there is one.
    resume : bool
        Whether to go on from checkpoints. If not, those of these plans and seeds are deleted.
    command : str
        The command that the stored result names as its origin.

    Returns
    -------
    Outcome
        Its figures are ``points`` for the map of methods, and ``files``, one mapping per plan:
        ``file_bytes``, ``error`` and ``validation_error`` (fractions), ``seed``, ``is_met``, ``layers``, and
        ``runs``, the same for each seed with its ``candidates``.
    """
    device, folder, workdir = device or default_device(), Path(folder), Path(workdir)
    folder.mkdir(parents=True, exist_ok=True)
    whole, test = load_dataset(dataset, "train"), load_dataset(dataset, "test")
    training, validation = train_val_split(whole, n_validation=N_VALIDATION[dataset])
    files, data = [], {}
    for plan in plans:
        copies = shifted_copies(training, plan.shift)
        answers = _answers(plan, copies, teachers, workdir)
        labels = torch.from_numpy(copies.labels)
        taught = StoredAnswers(answers, labels, temperature=plan.temperature, weight=plan.teacher_weight)
        runs = []
        for seed in seeds:
            own = workdir / plan.name / str(seed)
            own.mkdir(parents=True, exist_ok=True)
            if not resume:
                for old in own.glob("*.pt"):
                    old.unlink()
            runs.append(
                _run(
                    plan,
                    training,
                    numbered(copies),
                    taught,
                    validation=validation,
                    seed=seed,
                    workdir=own,
                    device=device,
                )
            )
        chosen = min(runs, key=lambda run: (run["file_bytes"] > plan.target_bytes, run["validation_loss"]))
        data[f"{plan.name}.dcz"] = chosen["data"]
        for run in runs:  # after everything is chosen
            run["error"] = 1.0 - evaluate(decompress(run.pop("data")), test, device=device).top1
        whole_network = build(plan.network, num_classes=len(whole.classes))
        files.append(
            {
                "name": plan.name,
                "network": plan.network,
                "file": f"{plan.name}.dcz",
                "file_bytes": chosen["file_bytes"],
                "dense_bytes": dense_bytes(whole_network),
                "ratio": dense_bytes(whole_network) / chosen["file_bytes"],
                "seed": chosen["seed"],
                "error": chosen["error"],
                "validation_error": chosen["validation_error"],
                "n_test": len(test),
                "target_bytes": plan.target_bytes,
                "target_error": plan.target_error,
                "is_met": chosen["file_bytes"] <= plan.target_bytes
                and chosen["error"] <= plan.target_error + 1e-9,
                "layers": layer_rows(data[f"{plan.name}.dcz"]),
                "runs": runs,
                "plan": json.loads(json.dumps(asdict(plan))),  # lists for tuples
                "teachers": [str(teacher) for teacher in teachers],
            }
        )
    # All together, at the end: a run that is stopped earlier leaves the old files with their old figures.
    figures = {"files": files, "points": _points(files, dataset)}
    for name, content in data.items():
        with whole_file(folder / name) as aside:
            aside.write_bytes(content)
    write_result(
        folder / "results" / "tiny_lenets.json",
        figures,
        command=command,
        seed=seeds[0],
        dataset=[training, validation, test],
        device=device,
    )
    return Outcome(figures, to_markdown(figures))


def _points(files: Sequence[dict], dataset: str) -> list[dict]:
    """Rows of the map of methods, beside the dense networks of ``dnnc reproduce lenets``."""
    stored = FOLDER / "results" / "lenets.json"
    rows = read_result(stored)["figures"]["points"] if stored.exists() else []
    baselines = {row["network"]: row["baseline_top1"] for row in rows if row["dataset"] == dataset}
    return [
        {
            "method": "units, Fisher, trained sharing",
            "label": "tiny",
            "network": file["network"],
            "dataset": dataset,
            "file_bytes": file["file_bytes"],
            "dense_bytes": file["dense_bytes"],
            "top1": 1.0 - file["error"],
            "baseline_top1": baselines[file["network"]],
            "note": f"capstone/{file['file']}",
        }
        for file in files
        if file["network"] in baselines
    ]


def run(*, device: str | None = None, resume: bool = True) -> Outcome:
    """All plans on MNIST, with files and figures into the repository."""
    return reproduce(device=device, resume=resume)


def to_markdown(figures: dict) -> str:
    """One row per seed and file, as markdown."""
    rows = [
        (
            file["network"],
            f"{run['seed']}{' (shipped)' if run['seed'] == file['seed'] else ''}",
            f"{run['file_bytes']:,}",
            f"{100 * run['validation_error']:.2f} %",
            f"{100 * run['error']:.2f} %",
            f"≤ {file['target_bytes']:,} B, ≤ {100 * file['target_error']:.2f} %",
        )
        for file in figures["files"]
        for run in file["runs"]
    ]
    return "\n".join(
        markdown_table(("network", "seed", "bytes", "validation error", "test error", "target"), rows)
    )


def _answers(plan: TinyPlan, copies: ImageSet, teachers: Sequence[str | Path], workdir: Path) -> Tensor:
    """The ensemble's answers; read from `workdir` if made of the same images, teachers and temperature."""
    files = [(ROOT / teacher).read_bytes() for teacher in teachers]
    key = [copies.sha256, plan.temperature, [hashlib.sha256(file).hexdigest() for file in files]]
    path = workdir / f"answers_shift{plan.shift}.pt"
    if path.exists():
        stored = torch.load(path, weights_only=True)
        if stored["key"] == key:
            return stored["answers"]
    answers = ensemble_answers([decompress(data) for data in files], copies, temperature=plan.temperature)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as aside:
        torch.save({"key": key, "answers": answers}, aside)
    return answers


def _run(
    plan: TinyPlan,
    training: ImageSet,
    copies: ImageSet,
    taught: StoredAnswers,
    *,
    validation: ImageSet,
    seed: int,
    workdir: Path,
    device: str,
) -> dict:
    """One seed: its candidates, and the bytes of the one that is chosen on the validation images."""
    options = {"device": device, "checkpoint_steps": 500}
    model = build(plan.network, num_classes=len(training.classes), seed=seed)
    score = FisherScores()
    train(
        model,
        training,
        replace(plan.whole, seed=seed),
        callbacks=[score],
        checkpoint=workdir / "whole.pt",
        description=f"{plan.name} whole, seed {seed}",
        **options,
    )
    small, _ = without_constant_units(model.cpu(), unit_masks(model, score.fisher, plan.units))
    names = list(prunable_parameters(small))
    n_weights = sum(weight.numel() for weight in prunable_parameters(small).values())
    config = replace(plan.prune, seed=seed)
    steps = config.epochs * (len(copies) // config.batch_size)
    pruner = GradualPruner(  # prunes in the first 60 % of the steps, in about a hundred small cuts
        1.0 - plan.n_kept / n_weights,
        0,
        max(1, int(0.6 * steps)),
        every=max(1, int(0.6 * steps) // 100),
        # As the shipped files were made. In a trial with masks (LeNet-5, one seed, validation images) the
        # file was no better.
        score=FisherScores(value_bits=plan.value_bits, uses_masks=False),
        names=names,
    )
    train(
        small,
        copies,
        config,
        callbacks=[pruner],
        objective=taught,
        checkpoint=workdir / "prune.pt",
        description=f"{plan.name} pruning, seed {seed}",
        **options,
    )
    masks = {name: mask.cpu() for name, mask in pruner.masks.items()}
    pruned = evaluate(small, validation, device=device)
    small, _ = without_constant_units(small.cpu(), masks)  # units left without incoming or outgoing weights
    masks = {name: weight != 0 for name, weight in prunable_parameters(small).items()}
    candidates = []
    for number, (n_values, price) in enumerate(plan.candidates):
        data = _shared_file(
            plan,
            copy.deepcopy(small),
            masks,
            copies,
            taught,
            n_values=n_values,
            price=price,
            seed=seed,
            checkpoint=workdir / f"share{number}.pt",
            **options,
        )
        measured = evaluate(decompress(data), validation, device=device)
        candidates.append(
            {
                "values": n_values,
                "price": price,
                "file_bytes": len(data),
                "validation_error": 1.0 - measured.top1,
                "validation_loss": measured.loss,
                "data": data,
            }
        )
    chosen = min(candidates, key=lambda row: (row["file_bytes"] > plan.target_bytes, row["validation_loss"]))
    about = {"seed": seed, "validation_error_pruned": 1.0 - pruned.top1, "data": chosen["data"]}
    for row in candidates:
        del row["data"]
    return about | chosen | {"candidates": candidates}


def unit_masks(model: nn.Module, fisher: dict[str, Tensor], units: Sequence[int]) -> dict[str, Tensor]:
    """Masks that keep the most important units of each hidden layer.

    A unit's importance is the sum of w² times Fisher information over its incoming weights w.

    Parameters
    ----------
    model : nn.Module
        A chain of layers.
    fisher : mapping of weight name to tensor of its shape
        `FisherScores.fisher`.
    units : sequence of int
        How many units to keep, one entry per hidden layer.

    Returns
    -------
    dict of weight name to bool tensor
        On the CPU. All incoming weights of a unit are kept, or none; the last layer is kept whole.

    Raises
    ------
    ValueError
        `units` has not one entry per hidden layer.
    """
    weights = prunable_parameters(model)
    if len(units) != len(weights) - 1:
        raise ValueError(
            f"{len(units)} numbers of units for {len(weights) - 1} hidden layers: expected one each"
        )
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    for (name, weight), n_units in zip(weights.items(), units, strict=False):
        worth = (weight.detach().square() * fisher[name].to(weight.device)).flatten(1).sum(1)
        dropped = worth.argsort(descending=True, stable=True)[n_units:]
        masks[name][dropped] = False
    return {name: mask.cpu() for name, mask in masks.items()}


def _shared_file(
    plan: TinyPlan,
    small: nn.Module,
    masks: dict[str, Tensor],
    copies: ImageSet,
    taught: StoredAnswers,
    *,
    n_values: int,
    price: float,
    seed: int,
    **options,
) -> bytes:
    """Share the values of weights and biases while the network trains, and return the bytes of its file."""
    config = replace(plan.share, seed=seed)
    steps = config.epochs * (len(copies) // config.batch_size)
    shared = {}
    place_(small, torch.device(options["device"]))  # before the codebooks are made, whose optimizer resumes
    for name, parameter in small.named_parameters():
        mask = masks[name].numpy() if name in masks else None
        shared[name] = share_weights(
            parameter.detach().cpu().numpy(),
            mask,
            n_clusters=n_values if name in masks else plan.bias_values,
            codebook_dtype=np.float16,
        )
    sharing = TrainedSharing(shared, small, rate_weight=price, ramp_steps=steps // 2)
    train(
        small,
        copies,
        config,
        callbacks=[sharing],
        parameters=sharing.groups(codebooks=0.1, latents=0.3),
        objective=taught,
        description=f"{plan.name} sharing {n_values} values at {price:g} a bit, seed {seed}",
        **options,
    )
    tensors = sharing.shared_tensors()
    sharing.write_weights_(small.cpu())
    whole = build(plan.network, num_classes=len(copies.classes))
    places = first_places(small, whole)
    grow_(whole, small, places)
    weights: dict[str, SharedTensor] = {name: tensors[name] for name in masks}
    described = {"architecture": plan.network, "num_classes": len(copies.classes)}
    packed: CompressedModel = pack(
        whole, grow_shared(weights, places, whole), described, bias_clusters=plan.bias_values
    )
    return save(packed, store_names=False)
