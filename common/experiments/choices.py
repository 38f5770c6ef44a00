"""How the options of the shipped files were chosen: by rules, on images cut from the training set.

    dnnc reproduce choices      compresses with every candidate, writes capstone/results/choices.json

The candidates for a file are compressed and decoded like the file itself, and measured on the validation
split (`train_val_split`); no test image is looked at. The file's rule then takes one of them. The points that
are shipped (`POINTS` in `common.capstone.vgg16` and in `common.experiments.lenets`) must be the ones that
were taken: a test compares them.

The candidates are few, since each costs minutes to an hour of training. They were written down by people who
had seen test errors of earlier files. These errors decided where to look, but not which candidate is taken.

Stopped at any moment, the command goes on from its checkpoints, which are those of the shipped files as well.
A choice whose rule, candidates, images and trained network are those of the stored result is not made again:
its row stays, with the commit that measured it. ``--fresh`` makes all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from torch import nn

from common.base.files import ROOT
from common.base.results import code_commit, read_result
from common.base.text import markdown_table
from common.capstone.run import FOLDER
from common.capstone.run import WORKDIR as VGG_WORKDIR
from common.capstone.shipped import BASELINE
from common.capstone.vgg16 import POINTS as VGG_POINTS
from common.compress.files import open_model
from common.compress.pipeline import SharingConfig, decompress
from common.compress.points import OperatingPoint, Sets, make_file, options_of
from common.data.datasets import load_dataset
from common.data.image_set import ImageSet, train_val_split
from common.experiments import EXPERIMENTS, Outcome, store
from common.experiments.lenets import WORKDIR as LENET_WORKDIR
from common.experiments.lenets import lenet_point
from common.networks.baseline import N_VALIDATION, train_baseline, train_config
from common.networks.checkpoints import load_weights
from common.networks.models import build, dense_bytes
from common.networks.training import evaluate


@dataclass(frozen=True)
class Rule:
    """Which candidate is taken.

    Attributes
    ----------
    least_ratio : float
        Files of a smaller compression ratio are never taken.
    is_smallest : bool
        If True, the smallest file is taken whose validation error is not above the trained network's. If
        False, or if there is no such file, the one of the least validation error is taken (of equal ones the
        smallest).
    """

    least_ratio: float
    is_smallest: bool = False

    def choose(self, rows: Sequence[Mapping], *, most_error: float) -> str | None:
        """The name of the candidate that is taken; None if no ratio is reached.

        Parameters
        ----------
        rows : sequence of mapping
            ``name``, ``file_bytes``, ``ratio``, ``validation_error`` (a fraction) of each candidate.
        most_error : float
            The trained network's validation error, a fraction.
        """
        rows = [row for row in rows if row["ratio"] >= self.least_ratio]
        # 1 - top1 is rounded: without 1e-12 an equal error might count as a greater one.
        good = [row for row in rows if row["validation_error"] <= most_error + 1e-12]
        if self.is_smallest and good:
            return min(good, key=lambda row: row["file_bytes"])["name"]
        best = min(rows, key=lambda row: (row["validation_error"], row["file_bytes"]), default=None)
        return best and best["name"]

    def __str__(self) -> str:
        reach = f"a ratio of {self.least_ratio:g} or more"
        if self.is_smallest:
            return f"the smallest of {reach} that is not worse than the trained network"
        return f"the least error at {reach}"


@dataclass(frozen=True)
class Choice:
    """A file's name, its rule, and its candidates, each by a name that says what distinguishes it."""

    name: str
    rule: Rule
    candidates: Mapping[str, OperatingPoint]


def _shared(
    name: str, conv_clusters: int, linear_clusters: int, *, price: float | None = None, epochs: int = 2
) -> OperatingPoint:
    """The point with other numbers of shared values, another price of a bit, and other epochs of sharing.

    Without a price the weights stay in their first clusters, and only the centroids are trained.
    """
    config = VGG_POINTS[name].config
    config = replace(
        config,
        share=replace(config.share, epochs=epochs),
        conv_clusters=conv_clusters,
        linear_clusters=linear_clusters,
        trained=None if price is None else SharingConfig(rate_weight=price),
    )
    return replace(VGG_POINTS[name], config=config)


def _lenets(name: str, rule: Rule, network: str, epochs: tuple[int, int], **variants: Mapping) -> Choice:
    return Choice(
        name,
        rule,
        {
            label: lenet_point(name, network, **({"epochs": epochs} | options))
            for label, options in variants.items()
        },
    )


_A, _B = {"crop_padding": 1}, {"crop_padding": 2}  # digits are shifted by up to one pixel, or two
CHOICES = (
    _lenets(
        "lenet_300_100",
        Rule(40.0, is_smallest=True),
        "lenet_300_100",
        (40, 15),
        s95=_A | {"sparsity": 0.95, "linear_clusters": 16},
        s96=_A | {"sparsity": 0.96, "linear_clusters": 16},
        s97=_A | {"sparsity": 0.97, "linear_clusters": 16},
        s97_taught=_A | {"sparsity": 0.97, "linear_clusters": 16, "is_taught": True},
        s98_taught=_A | {"sparsity": 0.98, "linear_clusters": 16, "is_taught": True},
        s985_taught=_A | {"sparsity": 0.985, "linear_clusters": 16, "is_taught": True},
    ),
    _lenets(
        "lenet_300_100_small",
        Rule(124.0),
        "lenet_300_100",
        (40, 15),
        s975=_A | {"sparsity": 0.975, "linear_clusters": 8},
        s98=_A | {"sparsity": 0.98, "linear_clusters": 8},
        s98_taught=_A | {"sparsity": 0.98, "linear_clusters": 8, "is_taught": True},
    ),
    _lenets(
        "lenet_5",
        Rule(39.0, is_smallest=True),
        "lenet_5",
        (8, 3),
        s96=_B | {"sparsity": 0.96, "conv_clusters": 16, "linear_clusters": 16},
        s97_taught=_B | {"sparsity": 0.97, "conv_clusters": 16, "linear_clusters": 16, "is_taught": True},
        s98_taught=_B | {"sparsity": 0.98, "conv_clusters": 16, "linear_clusters": 16, "is_taught": True},
    ),
    _lenets(
        "lenet_5_small",
        Rule(280.0),
        "lenet_5",
        (24, 8),
        s987=_B | {"sparsity": 0.987, "conv_clusters": 12, "linear_clusters": 6},
        s986=_B | {"sparsity": 0.986, "conv_clusters": 8, "linear_clusters": 5},
        s987_long=_B | {"sparsity": 0.987, "conv_clusters": 12, "linear_clusters": 6, "epochs": (60, 20)},
        s9875_long=_B | {"sparsity": 0.9875, "conv_clusters": 12, "linear_clusters": 6, "epochs": (60, 20)},
    ),
    Choice(
        "vgg16_cifar10",
        Rule(160.0),
        {
            "values16": _shared("vgg16_cifar10", 16, 8, epochs=0),
            "values24": _shared("vgg16_cifar10", 24, 8, epochs=0),
            "values16_tuned": _shared("vgg16_cifar10", 16, 8, epochs=1),
            "values12_trained": _shared("vgg16_cifar10", 12, 8, price=0.005, epochs=1),
        },
    ),
    Choice(
        "vgg16_cifar10_small",
        Rule(465.0),
        {
            "values8_tuned": _shared("vgg16_cifar10_small", 8, 4),
            "values12_trained": _shared("vgg16_cifar10_small", 12, 8, price=0.005),
        },
    ),
    Choice(
        "vgg16_cifar10_tiny",
        Rule(800.0),
        {
            "values8_trained": _shared("vgg16_cifar10_tiny", 8, 6, price=0.02),
            "values12_trained": _shared("vgg16_cifar10_tiny", 12, 8, price=0.005),
        },
    ),
)


def run(*, device: str | None = None, resume: bool = True) -> Outcome:
    """Measure every candidate, choose, and store the figures.

    Parameters
    ----------
    device : str, optional
        By default the GPU if there is one.
    resume : bool
        If False, no stored row is kept, and the rest is as in `choose`.
    """
    stored = _stored_rows() if resume else {}
    rows, sets = [], []
    for choice in CHOICES:
        images = _images(choice)
        row = stored.get(choice.name)
        if row is None or not is_of(row, choice, images):
            row = choose(choice, images, device=device, resume=resume) | {
                "trained": _trained(choice),
                "commit": code_commit(),
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        sets += [one for one in images if one.sha256 not in {known.sha256 for known in sets}]
        rows.append(row)
    figures = {"choices": rows}
    store("choices", figures, seed=0, datasets=tuple(sets), device=device)
    return Outcome(figures, to_markdown(rows))


def _stored_rows() -> dict[str, dict]:
    """Return the stored rows by name."""
    path = ROOT / EXPERIMENTS["choices"].result
    rows = read_result(path)["figures"]["choices"] if path.exists() else ()
    return {row["name"]: row for row in rows}


def _trained(choice: Choice) -> str:
    """Return what identifies the network before its compression: the file's SHA-256, or the recipe."""
    network = _network(choice)
    if network == "vgg16":
        return hashlib.sha256((FOLDER / BASELINE).read_bytes()).hexdigest()
    return repr(train_config(network))


def is_of(row: Mapping, choice: Choice, images: Sequence[ImageSet]) -> bool:
    """Return whether a stored row was measured for this rule, these candidates, images and trained network.

    Rows of earlier versions do not tell their images and network, and are made again.
    """
    return (
        row["rule"] == str(choice.rule)
        and row.get("trained") == _trained(choice)
        and {one["name"]: one["options"] for one in row["candidates"]}
        == {label: options_of(point) for label, point in choice.candidates.items()}
        and {one.sha256 for one in images} <= set(row.get("images", ()))
    )


def _images(choice: Choice) -> tuple[ImageSet, ImageSet]:
    """Return the training and the validation images of a choice."""
    dataset = "cifar10" if _network(choice) == "vgg16" else "mnist"
    return train_val_split(load_dataset(dataset, "train"), n_validation=N_VALIDATION[dataset])


def _network(choice: Choice) -> str:
    (network,) = {point.network for point in choice.candidates.values()}
    return network


def choose(
    choice: Choice,
    images: tuple[ImageSet, ImageSet],
    *,
    device: str | None = None,
    resume: bool = True,
    lenet_workdir: Path = LENET_WORKDIR,
    vgg_workdir: Path = VGG_WORKDIR,
    baseline_epochs: int | None = None,
) -> dict:
    """Compress with each candidate, measure on validation images, and choose.

    Parameters
    ----------
    choice : Choice
    images : tuple of ImageSet
        To train on, and to choose by.
    device : str, optional
        By default the GPU if there is one.
    resume : bool
        If False, a LeNet's candidates are made again. VGG-16's take hours, and share their work folder with
        the shipped files: what is there is always used. To make them again, delete it by hand.
    lenet_workdir, vgg_workdir : path
        Trained networks and checkpoints.
    baseline_epochs : int, optional
        Epochs of a LeNet's training before the compression; by default the recipe's.

    Returns
    -------
    dict
        ``name``, ``rule`` in words, ``images`` (their SHA-256), ``trained_validation_error``, ``candidates``
        (``name``, ``options``, ``file_bytes``, ``ratio``, ``validation_error``), and ``chosen``, a
        candidate's name or None.
    """
    kind = _network(choice)
    is_vgg = kind == "vgg16"
    training, validation = images
    sets = Sets(training, test=validation, validation=validation)  # no test image is looked at
    if is_vgg:
        network, _ = open_model(FOLDER / BASELINE)
    else:
        network = _trained_lenet(
            kind, training.name, workdir=lenet_workdir, epochs=baseline_epochs, device=device
        )
    trained = evaluate(network, validation, device=device)
    rows = []
    for label, point in choice.candidates.items():
        data = make_file(
            point,
            network,
            sets,
            vgg_workdir if is_vgg else lenet_workdir / choice.name,
            device=device,
            resume=resume or is_vgg,
        )
        whole_bytes = dense_bytes(network)
        row = {
            "name": label,
            "options": options_of(point),
            "file_bytes": len(data),
            "ratio": whole_bytes / len(data),
            "validation_error": 1 - evaluate(decompress(data), validation, device=device).top1,
        }
        print(
            f"{choice.name}, {label}: {len(data):,} bytes, {row['ratio']:.0f}×, "
            f"validation error {row['validation_error']:.2%} (trained network {1 - trained.top1:.2%})",
            flush=True,
        )
        rows.append(row)
    return {
        "name": choice.name,
        "rule": str(choice.rule),
        "images": sorted(one.sha256 for one in images),
        "n_validation": len(validation),
        "trained_validation_error": 1 - trained.top1,
        "candidates": rows,
        "chosen": choice.rule.choose(rows, most_error=1 - trained.top1),
    }


def to_markdown(rows: Sequence[Mapping]) -> str:
    """One line per candidate, as markdown; the rule stands beside the one that is taken."""
    heads = ("file", "candidate", "bytes", "ratio", "validation error", "trained network", "taken")
    lines = [
        (
            row["name"],
            one["name"],
            f"{one['file_bytes']:,}",
            f"{one['ratio']:.0f}×",
            f"{one['validation_error']:.2%}",
            f"{row['trained_validation_error']:.2%}",
            row["rule"] if one["name"] == row["chosen"] else "",
        )
        for row in rows
        for one in row["candidates"]
    ]
    return "\n".join(markdown_table(heads, lines))


def _trained_lenet(
    network: str, dataset: str, *, workdir: Path, epochs: int | None, device: str | None
) -> nn.Module:
    """The trained network that `common.experiments.lenets` starts from; it is trained if it is not there."""
    weights = workdir / network / f"{network}.safetensors"
    train_baseline(
        network,
        weights=weights,
        result=weights.with_suffix(".json"),
        workdir=weights.parent,
        dataset=dataset,
        epochs=epochs,
        device=device,
        resume=True,
        command="dnnc reproduce choices",
    )
    return load_weights(build(network), weights)
