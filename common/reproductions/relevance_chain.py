"""A trained network pruned in rounds, fine-tuned, shared, coded and measured: part of `relevance`.

Rates, ratios and the number of reference images of a chain were set beforehand, after a look at a few hundred
validation images; no chain was run twice. (CIFAR-100 has two: see `relevance`.)
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from common.checkpoints import state_digest
from common.datasets import ImageSet
from common.image_fitting import first_images
from common.methods.distillation import Distillation
from common.methods.relevance_pruning import fine_tuning, prune
from common.models import dense_bytes
from common.pipeline import CompressConfig, decompress, encode, share
from common.reproductions.kept import is_kept, kept
from common.reproductions.relevance_criteria import reference_images
from common.results import git_commit, machine, versions
from common.slimming import configuration, multiply_adds
from common.stage_sizes import stage_sizes
from common.training import TrainConfig, evaluate
from common.whole_file import whole_file


@dataclass(frozen=True)
class Chain:
    """One way from a trained network to a file.

    Attributes
    ----------
    name : str
        Of the file; chains of one name have folders of their own.
    dataset : str
    sparsity_ratios, weight_prune_ratios, criterion
        As in `relevance_pruning.prune`.
    n_reference : int
        Reference images for each round's scores.
    n_tune : int, optional
        Training images in an epoch of fine-tuning; by default all.
    tune, share : TrainConfig
        After every round, and with shared weights.
    is_taught : bool
        Whether the trained network teaches (`distillation`).
    conv_clusters, linear_clusters : int
        Shared values a layer.
    """

    name: str
    dataset: str
    sparsity_ratios: tuple[float, ...]
    weight_prune_ratios: tuple[float, ...]
    n_reference: int
    n_tune: int | None
    tune: TrainConfig
    share: TrainConfig
    criterion: str = "relevance"
    is_taught: bool = False
    conv_clusters: int = 16
    linear_clusters: int = 16


def run_chain(
    chain: Chain, model: nn.Module, training: ImageSet, validation: ImageSet, test: ImageSet,
    architecture: Mapping[str, object], *, workdir: Path, device: str, resume: bool = True,
) -> dict:  # fmt: skip
    """Prune, fine-tune, share, code, write ``workdir/<name>-<digest>/<name>.dcz``, read it back, and measure.

    Returns
    -------
    dict
        ``name``, ``criterion``, ``baseline_top1`` and ``top1`` (of the decoded file; ``n_test`` images),
        ``baseline_loss`` and ``loss``, ``pruned_validation_top1`` and ``validation_top1``, ``file_bytes``,
        ``dense_bytes``, ``stages`` (bytes), ``filters_gone`` and ``weights_gone`` (fractions),
        ``multiply_adds`` and ``whole_multiply_adds``, ``channels``, ``steps`` of fine-tuning in all,
        ``device``, ``chain``, how it was made, and ``made``: commit, machine and versions.
    """
    key = _key(chain, model, training, validation, test)
    place = _place(workdir, chain, key)
    if not resume:
        shutil.rmtree(place, ignore_errors=True)
    measured = {"model": key["model"], "images": test.sha256}
    baseline = kept(
        workdir / f"baseline-{chain.dataset}.json", measured,
        lambda: asdict(evaluate(model, test, device=device)), resume=resume,
    )  # fmt: skip
    return kept(
        place / "figures.json", key,
        lambda: _run(chain, model, training, validation, test, architecture, place, baseline, device),
        resume=resume,
    )  # fmt: skip


def is_made(
    chain: Chain, model: nn.Module, training: ImageSet, validation: ImageSet, test: ImageSet, *, workdir: Path
) -> bool:
    """Whether `run_chain` has finished it in `workdir`, on whatever device, and will only read it."""
    key = _key(chain, model, training, validation, test)
    return is_kept(_place(workdir, chain, key) / "figures.json", key)


def _key(chain: Chain, model: nn.Module, *sets: ImageSet) -> dict:
    """All that decides what comes out."""
    options = json.loads(json.dumps(asdict(chain)))
    return options | {"images": [one.sha256 for one in sets], "model": state_digest(model)}


def _place(workdir: Path, chain: Chain, key: dict) -> Path:
    return workdir / f"{chain.name}-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:8]}"


def _run(
    chain: Chain, model: nn.Module, training: ImageSet, validation: ImageSet, test: ImageSet,
    architecture: Mapping[str, object], place: Path, baseline: Mapping, device: str,
) -> dict:  # fmt: skip
    some = first_images(training, chain.n_tune)
    objective = Distillation(model, label_smoothing=chain.tune.label_smoothing) if chain.is_taught else None
    options = {"objective": objective, "device": device}
    thin = prune(
        model, reference_images(training, chain.n_reference, seed=chain.tune.seed),
        sparsity_ratios=chain.sparsity_ratios, weight_prune_ratios=chain.weight_prune_ratios,
        criterion=chain.criterion, seed=chain.tune.seed, workdir=place,
        tune=fine_tuning(some, chain.tune, description=chain.name, checkpoint_steps=100, **options),
    )  # fmt: skip
    pruned_top1 = evaluate(thin.model, validation, precision="bf16", device=device).top1
    config = CompressConfig(
        share=chain.share, conv_clusters=chain.conv_clusters, linear_clusters=chain.linear_clusters
    )
    shared = share(thin, some, config, checkpoint=place / "share.pt", checkpoint_steps=100, **options)
    data = encode(thin, shared, config, architecture)
    with whole_file(place / f"{chain.name}.dcz") as aside:
        aside.write_bytes(data)
    decoded = decompress((place / f"{chain.name}.dcz").read_bytes())
    measured = evaluate(decoded, test, device=device)
    size = {"image_size": training.images.shape[-1], "in_channels": training.images.shape[1]}
    rounds = len(chain.sparsity_ratios) + len(chain.weight_prune_ratios)
    per_epoch = [len(some) // config.batch_size for config in (chain.tune, chain.share)]
    return {
        "name": chain.name,
        "criterion": chain.criterion,
        "baseline_top1": baseline["top1"],
        "baseline_loss": baseline["loss"],
        "top1": measured.top1,
        "loss": measured.loss,
        "n_test": measured.n,
        "pruned_validation_top1": pruned_top1,
        "validation_top1": evaluate(decoded, validation, precision="bf16", device=device).top1,
        "file_bytes": len(data),
        "dense_bytes": dense_bytes(model),
        "stages": stage_sizes(data, dense_bytes=dense_bytes(model)),
        "filters_gone": 1 - sum(_channels(thin.model)) / sum(_channels(model)),
        "weights_gone": thin.sparsity,
        "channels": _channels(thin.model),
        "whole_channels": _channels(model),
        "multiply_adds": multiply_adds(configuration(thin.model), **size),
        "whole_multiply_adds": multiply_adds(configuration(model), **size),
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "steps": rounds * chain.tune.epochs * per_epoch[0] + chain.share.epochs * per_epoch[1],
        "chain": json.loads(json.dumps(asdict(chain))),
        "made": {"commit": git_commit(), "machine": machine(), "versions": versions()},
    }


def _channels(model: nn.Module) -> list[int]:
    return [entry for entry in configuration(model) if entry != "M"]
