"""Points on the trade-off curve of size and accuracy: how each is made from a trained network, and measured.

`run_point` is the one way from a trained network to a measured file: the capstone, the LeNets, AlexNet, the
digits and the choice of options call it, or `make_file`, its first half. It runs the stages of
`common.compress.pipeline`.

A point may start from the pruned network of another one, so the whole curve costs little more than its
sparsest point. Every run is resumable. What it leaves in the work folder is kept in folders that are named by
a digest of everything that decides it (`common.base.memo`): so other options, images or weights never find
it, and points that are pruned alike share it.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
from torch import nn

from common.base.files import ROOT, whole_file
from common.base.memo import Memo
from common.base.results import code_commit
from common.codec.container import Container
from common.compress.pipeline import CompressConfig, decompress, encode, pruned, share, slimmed
from common.compress.trainable import trainable
from common.data.image_set import ImageSet
from common.networks.checkpoints import state_digest
from common.networks.distillation import Distillation, Ensemble
from common.networks.models import dense_bytes, prunable_parameters
from common.networks.training import TrainConfig, evaluate, is_first_process
from common.pruning.network import ThinNetwork, load_thin, save_thin, take_out_channels
from common.report.sizes import layer_rows, size_report, stage_sizes

_TEMPERATURE = 2.0  # of knowledge distillation
_COMMITS = "commits.json"
_IS_SHARED = "is_shared"
_LEAST_AGAIN = 8  # channels of a layer that is slimmed a second time


@dataclass(frozen=True)
class StartFile:
    """A `.dcz` file of the repository, and which trained network it was made from.

    Attributes
    ----------
    path : str
        Relative to the repository.
    trained : str
        `checkpoints.state_digest` of the trained network.
    """

    path: str
    trained: str


@dataclass(frozen=True)
class OperatingPoint:
    """How far a network is compressed, and how.

    Attributes
    ----------
    name : str
        Name of its file, without suffix.
    config : CompressConfig
        Options of the stages.
    start : OperatingPoint, optional
        The point whose pruned network is pruned further; by default it starts from the trained network. With
        a start of either kind, the `macs_fraction` of `config` has no effect.
    network : str
        A key of `models.INPUT_SHAPES`.
    teacher : {"pruned", "trained", None}
        The teacher of knowledge distillation while fine-tuning. "pruned": the pruned network of `start`
        during pruning (none without `start`), and the point's own pruned network during weight sharing.
        "trained": the trained network in both. None: labels only.
    slim_again : float in (0, 1], optional
        The start loses channels a second time, down to this fraction of the multiply-adds that it has.
    start_file : StartFile, optional
        What `start` has made, as a `.dcz` file: its network is pruned further (`trainable`) when the trained
        network is the one that the file was made from. For any other trained network `start` is made.
    teachers : tuple of str
        `.dcz` files of the repository whose networks teach the pruning together with the trained network
        (`distillation.Ensemble`), which is as wide; `teacher` then says who teaches the weight sharing.

    Raises
    ------
    ValueError
        There is a `start_file` without a `start`, or with `slim_again`.
    """

    name: str
    config: CompressConfig
    start: OperatingPoint | None = None
    network: str = "vgg16"
    teacher: Literal["pruned", "trained"] | None = "pruned"
    slim_again: float | None = None
    start_file: StartFile | None = None
    teachers: tuple[str, ...] = ()

    def __post_init__(self):
        if self.start_file is not None and (self.start is None or self.slim_again is not None):
            raise ValueError(
                f"{self.name}: a start_file needs the start that made it, and cannot be slimmed again"
            )


def options_of(point: OperatingPoint) -> dict:
    """Return all options that decide a file's bytes, in JSON's types.

    Options that were added later are left out where they are not used, so that older results stay valid.
    """
    later: dict[str, object] = {} if point.slim_again is None else {"slim_again": point.slim_again}
    if point.network == "vgg16" and point.teacher == "trained":
        later["is_taught_by_baseline"] = True
    if point.start is not None:
        later["start"] = options_of(point.start)
    if point.start_file is not None:
        later["start_file"] = _identity(point.start_file.path)
    if point.teachers:
        later["teachers"] = [_identity(path) for path in point.teachers]
    return point.config.told() | later | {"is_taught": point.teacher is not None}


def _identity(path: str) -> dict[str, str]:
    """Return the name and the SHA-256 of a file of the repository."""
    return {"file": path, "sha256": _sha256(path)}


def _sha256(path: str) -> str:
    return hashlib.sha256((ROOT / path).read_bytes()).hexdigest()


@dataclass(frozen=True)
class Sets:
    """Training and test images, and the part of the training set that is kept apart for validation."""

    training: ImageSet
    test: ImageSet
    validation: ImageSet | None = None


class Stage(TypedDict):
    """Bytes after a stage (``dense``, ``pruned``, ``shared``, ``huffman``), and the test accuracy there.

    The accuracy is None where it was not measured: older results of the LeNets.
    """

    name: str
    bytes: int
    top1: float | None


class _Measured(TypedDict):
    name: str
    network: str
    dataset: str
    file: str
    sha256: str  # of the file
    file_bytes: int
    dense_bytes: int  # of the whole network as float32
    ratio: float  # of these two
    ratio_before_huffman: float
    bits_per_weight: float  # of the file, for each weight of the whole network
    sparsity: float  # in [0, 1], of convolutions and linear layers
    baseline_top1: float  # of the trained network
    top1: float
    n_test: int
    drop_points: float  # percentage points
    stages: list[Stage]
    layers: list[dict]  # `report.sizes.layer_rows`


class Row(_Measured, total=False):
    """What is measured of a point's file: every stored result of the pipeline consists of such rows.

    Accuracies are fractions, of the network decoded from the file. The entries of this class are missing in
    results that were stored before they existed, and `validation_top1` where there are no validation images.
    """

    start: str | None  # the point that was pruned further; None: the trained network
    validation_top1: float
    histograms: dict[str, dict]  # of the weights after each stage but the last
    config: dict  # `options_of` the point
    commits: dict[str, list[str | None]]  # stage: the code that trained it, which may be older than the row's


def run_point(
    point: OperatingPoint,
    model: nn.Module,
    sets: Sets,
    workdir: str | Path,
    *,
    folder: str | Path | None = None,
    architecture: Mapping[str, object] | None = None,
    device: str | None = None,
    resume: bool = True,
) -> Row:
    """Make one point: prune, share, code, write ``<name>.dcz``, read it back, and measure every stage.

    Parameters
    ----------
    point : OperatingPoint
        What is made.
    model : nn.Module
        The trained whole network; stays as it is.
    sets : Sets
        Images for training and measuring.
    workdir : path
        Folder for checkpoints.
    folder : path, optional
        The measured file is copied there, last of all; by default it is in `workdir` only.
    architecture : mapping, optional
        What `models.build_from` needs: by default the point's network with the classes of the training set.
    device : str, optional
        By default the GPU if there is one.
    resume : bool
        Whether to go on from checkpoints; else those of this point are deleted first.

    Returns
    -------
    Row
        Sizes, accuracies and options, ready for JSON.
    """
    measure = {"device": device}
    baseline = evaluate(model, sets.test, **measure)
    top1, histograms = {"dense": baseline.top1}, {"dense": _histogram(model)}

    def after_stage(name: str, thin: ThinNetwork) -> None:
        top1[name] = evaluate(thin.model, sets.test, **measure).top1
        histograms[name] = _histogram(thin.model)

    data = make_file(
        point,
        model,
        sets,
        workdir,
        architecture=architecture,
        device=device,
        resume=resume,
        after_stage=after_stage,
    )
    path = Path(workdir) / f"{point.name}.dcz"
    with whole_file(path) as aside:
        aside.write_bytes(data)
    opened = Container.open(path.read_bytes())
    network = decompress(opened)
    decoded = evaluate(network, sets.test, **measure)
    top1["huffman"] = decoded.top1
    whole_bytes = dense_bytes(model)
    sizes = stage_sizes(opened, dense_bytes=whole_bytes)
    row: Row = {
        "name": point.name,
        "network": point.network,
        "dataset": sets.training.name,
        "file": path.name,
        "sha256": hashlib.sha256(opened.data).hexdigest(),
        "file_bytes": len(opened),
        "dense_bytes": whole_bytes,
        "ratio": whole_bytes / len(opened),
        "ratio_before_huffman": whole_bytes / sizes["shared"],
        "bits_per_weight": 8 * len(opened) / (whole_bytes / 4),
        "sparsity": size_report(opened, dense_bytes=whole_bytes).sparsity,
        "baseline_top1": baseline.top1,
        "top1": decoded.top1,
        "n_test": decoded.n,
        "drop_points": 100 * (baseline.top1 - decoded.top1),
        "stages": [{"name": name, "bytes": sizes[name], "top1": top1[name]} for name in sizes],
        "layers": layer_rows(opened),
        "histograms": histograms,
        "start": None if point.start is None else point.start.name,
        "config": options_of(point),
        "commits": _commits(point, model, sets, Path(workdir)),
    }
    if sets.validation is not None:
        row["validation_top1"] = evaluate(network, sets.validation, **measure).top1
    if folder is not None:  # only now: a run that is stopped earlier leaves the old file with its old row
        with whole_file(Path(folder) / path.name) as aside:
            aside.write_bytes(data)
    return row


def make_file(
    point: OperatingPoint,
    model: nn.Module,
    sets: Sets,
    workdir: str | Path,
    *,
    architecture: Mapping[str, object] | None = None,
    device: str | None = None,
    resume: bool = True,
    after_stage: Callable[[str, ThinNetwork], None] = lambda name, thin: None,
) -> bytes:
    """Return the bytes of a point's file; parameters are those of `run_point`.

    `after_stage` is called with ``"pruned"`` and ``"shared"`` and the network at that time.
    """
    if architecture is None:
        architecture = {"architecture": point.network, "num_classes": len(sets.training.classes)}
    config, workdir = point.config, Path(workdir)
    options = {"validation": sets.validation, "device": device}
    thin = _pruned_network(point, model, sets, workdir, options, resume=resume)
    after_stage("pruned", thin)
    objective = None
    if point.teacher == "trained":
        objective = _taught_by(model, config.share)
    elif point.teacher == "pruned":
        objective = _taught_by(thin.model, config.share)
    memo = Memo(workdir / "shared", _decides_sharing(point, state_digest(model), sets), resume=resume)
    is_trained = not config.share.epochs or (memo.folder / "share.pt").exists()
    if _IS_SHARED not in memo or not is_trained:
        _note_commit(memo.folder)
    shared = share(
        thin, sets.training, config, objective=objective, checkpoint=memo.folder / "share.pt", **options
    )
    memo.get(_IS_SHARED, lambda: True)
    after_stage("shared", thin)
    return encode(thin, shared, config, architecture)


def _pruned_network(
    point: OperatingPoint, trained: nn.Module, sets: Sets, workdir: Path, options: Mapping, *, resume: bool
) -> ThinNetwork:
    """Return the point's pruned and fine-tuned network: read from `workdir`, or else made from a copy."""
    made_of = _decides_pruning(point, state_digest(trained), sets)
    memo = Memo(workdir / "pruned", made_of, resume=resume)
    path = memo.folder / "pruned.pt"
    if path.exists():
        return load_thin(path, copy.deepcopy(trained))
    _note_commit(memo.folder)
    objective, config = None, point.config
    if point.teachers:
        members = [trained, *(_of_file(file, trained, sets).model for file in point.teachers)]
        objective = _taught_by(Ensemble(members, temperature=_TEMPERATURE), config.prune)
    elif point.teacher == "trained":
        objective = _taught_by(trained, config.prune)
    if _starts_from_file(point, state_digest(trained)):
        start = _of_file(point.start_file.path, trained, sets)
    elif point.start is not None:
        start = _pruned_network(point.start, trained, sets, workdir, options, resume=True)
        if point.teacher == "pruned" and objective is None:
            objective = _taught_by(start.model, config.prune)
        if point.slim_again is not None:
            start = take_out_channels(
                start, sets.training, macs_fraction=point.slim_again, least=_LEAST_AGAIN
            )
    elif (memo.folder / "slim.pt").exists():
        start = load_thin(memo.folder / "slim.pt", copy.deepcopy(trained))
    else:
        start = slimmed(copy.deepcopy(trained), sets.training, config)
        save_thin(start, memo.folder / "slim.pt")
    thin = pruned(
        start,
        sets.training,
        config,
        objective=objective,
        checkpoint=memo.folder / "prune.pt",
        description=f"pruning {point.name}",
        **options,
    )
    save_thin(thin, path)
    return thin


def _decides_pruning(point: OperatingPoint, model: str, sets: Sets) -> dict:
    """Return everything that decides a pruned network; `model` is the digest of the trained one."""
    config, start = point.config, point.start
    return {
        "model": model,
        "training": sets.training.sha256,
        "validation": None if sets.validation is None else sets.validation.sha256,
        "sparsity": config.sparsity,
        "criterion": config.criterion,
        "macs_fraction": config.macs_fraction,
        "reestimate": config.reestimate,
        "slim_again": point.slim_again,
        "prune": config.prune,
        "teacher": point.teacher,
        "start": None if start is None else _decides_pruning(start, model, sets),
        "start_file": _sha256(point.start_file.path) if _starts_from_file(point, model) else None,
        "teachers": [_sha256(path) for path in point.teachers],
    }


def _starts_from_file(point: OperatingPoint, trained: str) -> bool:
    return point.start_file is not None and point.start_file.trained == trained


def _decides_sharing(point: OperatingPoint, model: str, sets: Sets) -> dict:
    """Return everything that decides a network with shared values."""
    config = point.config
    return {
        "pruned": _decides_pruning(point, model, sets),
        "share": config.share,
        "clusters": [config.conv_clusters, config.linear_clusters, config.layer_bits, config.rate_weight],
        "trained": config.trained,
    }


def _note_commit(folder: Path) -> None:
    """Add the commit of the code to those that have trained in a folder."""
    known, commit = _noted(folder), code_commit()
    if commit not in known and is_first_process():
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / _COMMITS) as aside:
            aside.write_text(json.dumps([*known, commit]), encoding="utf-8")


def _noted(folder: Path) -> list[str | None]:
    path = folder / _COMMITS
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def _commits(point: OperatingPoint, model: nn.Module, sets: Sets, workdir: Path) -> dict[str, list]:
    """Return the commits that have pruned and shared a point, as far as its work folders tell.

    Those that pruned its `start` are not among them.
    """
    digest = state_digest(model)
    folders = {
        "pruned": Memo(workdir / "pruned", _decides_pruning(point, digest, sets)).folder,
        "shared": Memo(workdir / "shared", _decides_sharing(point, digest, sets)).folder,
    }
    return {stage: _noted(folder) for stage, folder in folders.items()}


def _of_file(path: str, trained: nn.Module, sets: Sets) -> ThinNetwork:
    """Return the network of a `.dcz` file of the repository, which must be as wide as the trained one."""
    content = Container.open((ROOT / path).read_bytes()).model
    found = sum(tensor.n_weights for tensor in content.tensors.values() if len(tensor.shape) > 1)
    n_weights = sum(weight.numel() for weight in prunable_parameters(trained).values())
    if found != n_weights:
        raise ValueError(f"{path} holds a network of {found:,} weights: expected {n_weights:,}")
    return trainable(content, sets.training)


def _taught_by(teacher: nn.Module, config: TrainConfig) -> Distillation:
    """Return a distillation objective whose teacher is the network as it is now (Hinton et al. 2015)."""
    return Distillation(teacher, temperature=_TEMPERATURE, weight=0.7, label_smoothing=config.label_smoothing)


def _histogram(model: nn.Module, *, bins: int = 201, reach: float = 0.5) -> dict[str, list]:
    """Return counts of the non-zero prunable weights in `bins` equal bins of [−reach, reach].

    Weights beyond count in the outermost bins.
    """
    values = np.concatenate(
        [weight.detach().cpu().numpy().ravel() for weight in prunable_parameters(model).values()]
    )
    values = values[values != 0]
    counts, edges = np.histogram(np.clip(values, -reach, reach), bins=bins, range=(-reach, reach))
    return {"counts": counts.tolist(), "edges": [float(edges[0]), float(edges[-1])]}
