"""Weights of two or three values: the LeNets on MNIST, trained with such weights, to files and back.

    dnnc reproduce binary        trains, measures, writes week06_quantization/results/binary.json

A trained network goes on training with binary weights in its layers (Courbariaux et al. 2015; with one scale
per filter as in XNOR-Net, Rastegari et al. 2016) or with ternary ones (Li and Liu 2016). The gradients pass
straight through, and the learning rate falls to zero. Small first and last layers stay at 8 bits, with one
scale per row, and are trained so. A file holds the Huffman-coded codes of the weights, and scales and biases
as float16. Activations stay floats. Nothing is chosen on test images.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import nn
from torch.nn.utils import parametrize

from common.base.memo import Memo, as_json
from common.base.text import markdown_table
from common.codec import container
from common.codec.container import CompressedModel
from common.compress.packing import unpack
from common.data.datasets import load_dataset
from common.data.image_set import ImageSet, train_val_split
from common.experiments import ROOT, Outcome, store
from common.experiments.lenets import TITLES
from common.experiments.low_rank import LENETS
from common.methods.low_bit import ScaledQuantizer, binarize, ternarize
from common.methods.low_bit_files import Rule, eight_bits, pack_codes
from common.networks.baseline import N_VALIDATION, train_baseline, train_config
from common.networks.checkpoints import load_weights, state_digest
from common.networks.models import build, dense_bytes, prunable_parameters
from common.networks.training import TrainConfig, default_device, evaluate, train

WORKDIR = ROOT / "runs" / "binary"
PUBLISHED = (
    {
        "method": "BinaryConnect",
        "network": "an MLP",
        "error": 1.18,
        "source": "Courbariaux, Bengio, David 2015, arXiv:1511.00363; the authors' code, README: "
        "about 1.18 % (stochastic signs)",
    },
    {
        "method": "Ternary weights, another's code",
        "network": "lenet_5",
        "error": 0.86,
        "baseline_error": 0.75,
        "source": "B. Reidy, TernaryWeightNetworks, README: 99.14 against 99.25 % after 10 epochs",
    },
)


RULES: dict[str, Rule] = {"binary": binarize, "ternary": ternarize, "8 bits": eight_bits}


@dataclass(frozen=True)
class NetworkPlan:
    """A network, how it goes on training (`tune`), and the weights that stay at 8 bits."""

    network: str
    dataset: str
    tune: TrainConfig
    at_eight_bits: tuple[str, ...]
    baseline_epochs: int | None = None


def _tune(network: str, *, epochs: int, max_lr: float, crop_padding: int) -> TrainConfig:
    return replace(
        train_config(network),
        epochs=epochs,
        max_lr=max_lr,
        warmup=0.1,
        weight_decay=0.0,
        crop_padding=crop_padding,
    )


@dataclass(frozen=True)
class Plan:
    """What is trained; tests use a smaller plan."""

    networks: tuple[NetworkPlan, ...] = field(
        default=(
            NetworkPlan(
                "lenet_300_100",
                "mnist",
                _tune("lenet_300_100", epochs=15, max_lr=0.05, crop_padding=1),
                ("fc3.weight",),
            ),
            NetworkPlan(
                "lenet_5",
                "mnist",
                _tune("lenet_5", epochs=4, max_lr=0.02, crop_padding=2),
                ("conv1.weight", "fc2.weight"),
            ),
        )
    )
    kinds: tuple[str, ...] = ("binary", "ternary")


def run(
    *,
    device: str | None = None,
    resume: bool = True,
    plan: Plan | None = None,
    workdir: Path = WORKDIR,
    baselines: Path = LENETS,
    is_stored: bool = True,
) -> Outcome:
    """Train, write, read back and measure.

    The figures are ``files``, one mapping each: ``network``, ``kind``, ``file_bytes``, ``bits_per_weight``,
    ``top1`` and ``baseline_top1`` (test), ``untrained_validation_top1`` (the same rule without training),
    ``validation_top1``, ``baseline_validation_top1``, ``zeros`` (share of the ternary weights); further
    ``points`` for the map of methods, ``published`` and the ``plan``.

    Parameters
    ----------
    device : str, optional
        By default the GPU if there is one.
    resume : bool
        Whether what an earlier run has measured is taken from `workdir`.
    plan : Plan, optional
        By default the whole experiment.
    workdir, baselines : path
        For checkpoints and files; for the trained networks that everything starts from.
    is_stored : bool
        Whether the figures go into the repository.
    """
    plan, device = plan or Plan(), device or default_device()
    files, sets = [], []
    for one in plan.networks:
        whole, test = load_dataset(one.dataset, "train"), load_dataset(one.dataset, "test")
        images = (*train_val_split(whole, n_validation=N_VALIDATION[one.dataset]), test)
        sets += [each for each in images if each.sha256 not in {known.sha256 for known in sets}]
        model, baseline = _baseline(one, baselines, n_classes=len(whole.classes), device=device)
        made_of = [state_digest(model), *(each.sha256 for each in images)]
        for kind in plan.kinds:
            memo = Memo(workdir / one.network / kind, [one, kind, made_of, baseline], resume=resume)
            row = memo.get(
                "file",
                lambda one=one, kind=kind, images=images, start=(model, baseline), memo=memo: _measure(
                    one, kind, images, *start, folder=memo.folder, device=device
                ),
            )
            print(
                f"{one.network}, {kind}: {row['file_bytes']:,} bytes, test error {1 - row['top1']:.2%} "
                f"(trained network {1 - row['baseline_top1']:.2%})",
                flush=True,
            )
            files.append(row)
    figures = {
        "files": files,
        "points": [point_of(row) for row in files],
        "published": list(PUBLISHED),
        "plan": as_json(plan),
    }
    if is_stored:
        store("binary", figures, seed=plan.networks[0].tune.seed, datasets=tuple(sets), device=device)
    return Outcome(figures, to_markdown(figures))


def point_of(row: Mapping) -> dict:
    """A file as a point of the map of methods."""
    return {
        "method": "binary, ternary",
        "label": row["kind"],
        "network": row["network"],
        "dataset": row["dataset"],
        "file_bytes": row["file_bytes"],
        "dense_bytes": row["dense_bytes"],
        "top1": row["top1"],
        "baseline_top1": row["baseline_top1"],
        "note": f"{row['kind']}, a scale a row; {', '.join(row['at_eight_bits'])} at 8 bits; "
        f"{row['epochs']} epochs",
    }


def to_markdown(figures: Mapping) -> str:
    """Our rows and the published ones, as markdown."""
    rows = []
    for row in figures["files"]:
        rows.append(
            (
                TITLES.get(row["network"], row["network"]),
                f"ours, {row['kind']}",
                f"{row['file_bytes']:,}",
                f"{row['dense_bytes'] / row['file_bytes']:.1f}×",
                f"{row['bits_per_weight']:.2f}",
                f"{100 * (1 - row['baseline_top1']):.2f} → {100 * (1 - row['top1']):.2f} %",
            )
        )
    for row in figures["published"]:
        before = f"{row['baseline_error']:.2f} → " if "baseline_error" in row else ""
        network = TITLES.get(row["network"], row["network"])
        rows.append((network, f"{row['method']}, published", "", "", "", f"{before}{row['error']:.2f} %"))
    heads = ("network", "what", "bytes", "ratio", "bits per weight", "test error")
    notes = [
        f"{TITLES.get(row['network'], row['network'])}, {row['kind']}: {row['epochs']} epochs from the "
        f"trained network; {', '.join(row['at_eight_bits'])} at 8 bits."
        for row in figures["files"]
    ]
    sources = [f"{row['method']}: {row['source']}." for row in figures["published"]]
    return "\n".join([*markdown_table(heads, rows), "", *notes, *sources])


def _measure(
    plan: NetworkPlan,
    kind: str,
    images: tuple[ImageSet, ImageSet, ImageSet],
    model: nn.Module,
    baseline: Mapping,
    *,
    folder: Path,
    device: str,
) -> dict:
    """One file: a copy of `model` is trained on, written, read back and measured."""
    model = copy.deepcopy(model)
    training, validation, test = images
    architecture = {"architecture": plan.network, "num_classes": len(training.classes)}
    rules = {
        name: RULES["8 bits" if name in plan.at_eight_bits else kind] for name in prunable_parameters(model)
    }
    untrained = unpack(_coded(model, rules, architecture))
    for name, rule in rules.items():
        layer = model.get_submodule(name.removesuffix(".weight"))
        parametrize.register_parametrization(layer, "weight", ScaledQuantizer(rule))
    train(
        model,
        training,
        plan.tune,
        device=device,
        checkpoint=folder / f"{kind}.pt",
        checkpoint_steps=200,
        description=f"{plan.network}, {kind}",
    )
    for name in rules:  # the float weights come back: `pack_codes` applies the rules to them
        layer = model.get_submodule(name.removesuffix(".weight"))
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    packed = _coded(model, rules, architecture)
    path = folder / f"{kind}.dcz"
    container.save_file(packed, path, store_names=False)
    decoded = unpack(container.load(path.read_bytes()))
    n_weights = sum(weight.numel() for weight in prunable_parameters(decoded).values())
    few = [w for name, w in prunable_parameters(decoded).items() if name not in plan.at_eight_bits]
    n_few = sum(weight.numel() for weight in few)
    measure = {"device": device}
    return {
        "network": plan.network,
        "dataset": plan.dataset,
        "kind": kind,
        "epochs": plan.tune.epochs,
        "at_eight_bits": list(plan.at_eight_bits),
        "file_bytes": path.stat().st_size,
        "dense_bytes": dense_bytes(decoded),
        "bits_per_weight": 8 * path.stat().st_size / n_weights,
        "zeros": sum(int((weight == 0).sum()) for weight in few) / n_few,
        "baseline_top1": baseline["top1"],
        "baseline_validation_top1": baseline["validation_top1"],
        "untrained_validation_top1": evaluate(untrained, validation, **measure).top1,
        "validation_top1": evaluate(decoded, validation, **measure).top1,
        "top1": evaluate(decoded, test, **measure).top1,
        "n_test": len(test),
    }


def _coded(model: nn.Module, rules: Mapping[str, Rule], architecture: Mapping) -> CompressedModel:
    """The network as codes and scales, as a reader finds it in the bytes of a file."""
    return container.load(container.save(pack_codes(model, rules, architecture), store_names=False))


def _baseline(plan: NetworkPlan, folder: Path, *, n_classes: int, device: str) -> tuple[nn.Module, dict]:
    weights = folder / plan.network / f"{plan.network}.safetensors"
    figures = train_baseline(
        plan.network,
        weights=weights,
        result=weights.with_suffix(".json"),
        workdir=weights.parent,
        dataset=plan.dataset,
        epochs=plan.baseline_epochs,
        device=device,
        command="dnnc reproduce binary",
    )
    return load_weights(build(plan.network, num_classes=n_classes), weights), figures
