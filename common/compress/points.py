"""Points on the trade-off curve of size and accuracy: how each one is made from a trained network.

A point may start from the pruned network of another one, so the curve costs little more than its far end;
that network is then its teacher (`distillation`). Every pruned network teaches itself with shared weights.
Every run is resumable: its checkpoints stand in the work folder, and finished stages are not run again.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from common.codec.container import CompressedModel, save_file
from common.compress.packing import pack
from common.compress.pipeline import CompressConfig, decompress, share
from common.data.image_set import ImageSet
from common.networks.averaging import reestimate_statistics
from common.networks.distillation import Distillation
from common.networks.models import dense_bytes, prunable_parameters
from common.networks.training import Evaluation, TrainConfig, evaluate
from common.pruning.network import ThinNetwork, load_thin, prune, save_thin, take_out_channels, whole_network
from common.report.sizes import stage_sizes

_LEAST_AGAIN = 8  # channels of a layer that is slimmed a second time


@dataclass(frozen=True)
class OperatingPoint:
    """One point: its file's name, its configuration, and the point whose pruned network it starts from.

    `pruned_as` names the point whose pruned network it shares, where only the later stages differ. A point
    with a start may lose channels a second time, down to the fraction `slim_again` of the multiply-adds that
    its start has. Where it `is_taught_by_baseline`, the trained network teaches pruning and sharing, and else
    the network that each of them begins with.
    """

    name: str
    config: CompressConfig
    start: OperatingPoint | None = None
    pruned_as: str | None = None
    slim_again: float | None = None
    is_taught_by_baseline: bool = False


def run_point(
    point: OperatingPoint,
    model: nn.Module,
    training: ImageSet,
    *,
    test: ImageSet,
    folder: str | Path,
    workdir: str | Path,
    architecture: Mapping,
    validation: ImageSet | None = None,
    device: str | None = None,
) -> dict:
    """Make one point: prune, share, code, write `folder/<name>.dcz`, read it back, and measure every stage.

    Parameters
    ----------
    point : OperatingPoint
    model : nn.Module
        The trained whole network.
    training, validation, test : ImageSet
    folder, workdir : path
        Where the file goes, and where checkpoints are kept.
    architecture : mapping
        What `models.build` needs to build the model: ``architecture``, ``num_classes``, perhaps ``width``.

    Returns
    -------
    dict
        ``file``, ``file_bytes``, ``dense_bytes``, ``ratio``, ``bits_per_weight``, ``sparsity``,
        ``baseline_top1``, ``top1``, ``drop_points`` (percentage points), ``stages``: a list of
        ``{"name", "bytes", "top1"}`` for dense, pruned, shared and huffman, and the weights' ``histograms``.
    """
    workdir = Path(workdir)
    measure = {"device": device}
    baseline = evaluate(model, test, **measure)
    teacher = copy.deepcopy(model) if point.is_taught_by_baseline else None
    histograms = {"dense": _histogram(model)}  # now: without slimming, pruning works on the model itself
    thin = pruned_network(point, model, training, validation=validation, workdir=workdir, device=device)
    pruned_top1 = evaluate(thin.model, test, **measure).top1
    histograms["pruned"] = _histogram(thin.model)
    packed = shared_and_packed(
        point,
        thin,
        training,
        validation=validation,
        workdir=workdir,
        architecture=architecture,
        baseline=teacher,
        device=device,
    )
    shared_top1 = evaluate(thin.model, test, **measure).top1
    histograms["shared"] = _histogram(thin.model)
    path = Path(folder) / f"{point.name}.dcz"
    save_file(packed, path, store_names=False)
    data = path.read_bytes()
    decoded: Evaluation = evaluate(decompress(data), test, **measure)
    whole_bytes = dense_bytes(model)
    sizes = stage_sizes(data, dense_bytes=whole_bytes)
    top1 = {"dense": baseline.top1, "pruned": pruned_top1, "shared": shared_top1, "huffman": decoded.top1}
    return {
        "file": path.name,
        "file_bytes": len(data),
        "dense_bytes": whole_bytes,
        "ratio": whole_bytes / len(data),
        "bits_per_weight": 8 * len(data) / (whole_bytes / 4),
        "sparsity": thin.sparsity,
        "baseline_top1": baseline.top1,
        "top1": decoded.top1,
        "n_test": decoded.n,
        "drop_points": 100 * (baseline.top1 - decoded.top1),
        "stages": [{"name": name, "bytes": sizes[name], "top1": top1[name]} for name in sizes],
        "histograms": histograms,
    }


def shared_and_packed(
    point: OperatingPoint,
    thin: ThinNetwork,
    training: ImageSet,
    *,
    workdir: Path,
    architecture: Mapping,
    validation: ImageSet | None = None,
    baseline: nn.Module | None = None,
    device: str | None = None,
) -> CompressedModel:
    """Share the weights of the point's pruned network, in place, and what the container stores of it.

    `baseline` is the trained network, for a point that it teaches.
    """
    shared = share(
        thin,
        training,
        point.config,
        validation=validation,
        device=device,
        objective=_taught_by(baseline if point.is_taught_by_baseline else thin.model, point.config.share),
        checkpoint=workdir / f"{point.name}.share.pt",
    )
    return pack(
        thin.model, shared, architecture, kept=thin.kept or None, bias_clusters=point.config.bias_clusters
    )


def pruned_network(
    point: OperatingPoint,
    model: nn.Module,
    training: ImageSet,
    *,
    workdir: Path,
    validation: ImageSet | None = None,
    device: str | None = None,
) -> ThinNetwork:
    """The point's pruned and fine-tuned network: read if it stands in `workdir`, else made."""
    name = point.pruned_as or point.name
    path = workdir / f"{name}.pruned.pt"
    if path.exists():
        return load_thin(path, model)
    # Copied now: without slimming, pruning changes the model itself.
    taught = _taught_by(model, point.config.prune) if point.is_taught_by_baseline else None
    objective = None
    if point.start is not None:
        thin = pruned_network(
            point.start, model, training, workdir=workdir, validation=validation, device=device
        )
        objective = _taught_by(thin.model, point.config.prune)
        if point.slim_again is not None:
            thin = take_out_channels(thin, training, macs_fraction=point.slim_again, least=_LEAST_AGAIN)
    else:
        start = workdir / f"{name}.slim.pt"
        if start.exists():
            thin = load_thin(start, model)
        else:
            thin = whole_network(model)
            if point.config.macs_fraction is not None:
                thin = take_out_channels(thin, training, macs_fraction=point.config.macs_fraction)
            save_thin(thin, start)
    prune(
        thin,
        training,
        point.config.prune,
        sparsity=point.config.sparsity,
        criterion=point.config.criterion,
        validation=validation,
        device=device,
        objective=taught or objective,
        checkpoint=workdir / f"{name}.prune.pt",
        description=f"pruning {name}",
    )
    if point.config.reestimate:
        reestimate_statistics(thin.model, training, point.config.reestimate, device=device)
    save_thin(thin, path)
    return thin


def _taught_by(teacher: nn.Module, config: TrainConfig) -> Distillation:
    """A network as it is now, as a teacher of what becomes of it."""
    return Distillation(teacher, temperature=2.0, weight=0.7, label_smoothing=config.label_smoothing)


def _histogram(model: nn.Module, *, bins: int = 201, reach: float = 0.5) -> dict[str, list]:
    """Counts of the non-zero prunable weights in `bins` equal bins of [−reach, reach]."""
    values = np.concatenate(
        [weight.detach().cpu().numpy().ravel() for weight in prunable_parameters(model).values()]
    )
    values = values[values != 0]
    counts, edges = np.histogram(np.clip(values, -reach, reach), bins=bins, range=(-reach, reach))
    return {"counts": counts.tolist(), "edges": [float(edges[0]), float(edges[-1])]}
