"""Pruning by relevance, reproduced: criteria compared, then VGG-16 pruned in rounds and written to files.

    dnnc reproduce relevance        writes week05_pruning/results/relevance.json

There are three parts. Each can be resumed, and is stored as soon as it is finished (of the first part, one
draw is measured before part 2 and the others after it):

1. ``criteria``   Five criteria at equal sparsity without fine-tuning, with little and with much data, on the
                  shipped VGG-16 for CIFAR-10 (`compare_criteria`).
2. ``iterative``  The same network is pruned in rounds, first filters, then weights, with a short fine-tuning
                  after each. Then its weights are shared and Huffman-coded, and the file is measured. Once by
                  relevance, and once by magnitude with all else equal. Short enough for one CPU core.
3. ``cifar100``   What the source did: VGG-16 on CIFAR-100. The baseline is trained by its recipe; then come
                  rounds, fine-tuning, sharing and coding as in part 2. At full length on a GPU: 120 epochs
                  for the baseline, and 70 and 104 for two chains of rounds, a mild one and one that prunes
                  far more.

What a GPU has finished of part 3 is read from ``runs/relevance``, on any device; if that folder is not there,
the stored figures are kept. If no GPU has run it, a CPU runs one chain, with one epoch per round and two
thirds of the images, provided that the baseline is there; else part 3 is reported as not run. The baseline
is looked for in ``capstone/``, ``runs/vgg16_cifar100/`` and ``runs/relevance/``. ``run(plan=...)`` with
``cifar100_on="any"`` trains it in any case. On a CPU

    dnnc train vgg16 --dataset cifar100 --start capstone/vgg16_cifar10.safetensors

makes it: 12 epochs that start from CIFAR-10's filters. That takes an hour and a half, and may be interrupted.

Everything was chosen on the validation split (what was chosen is said above `Chain`), with one exception. Of
part 3, the chain that prunes far more came first, and lost 1.3 points. The mild one was set after that had
been seen, on validation and test images: fewer weights are pruned, with two more epochs per round, a higher
learning rate and cutout, though with fewer epochs in all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from common.base.files import whole_file
from common.base.memo import Memo, as_json
from common.base.results import code_commit, machine, read_result, versions
from common.base.text import markdown_table
from common.codec.container import Container
from common.compress.pipeline import CompressConfig, decompress, encode, share
from common.data.datasets import load_dataset
from common.data.image_set import ImageSet, first_images, fit_images, train_val_split
from common.experiments import EXPERIMENTS, ROOT, Outcome, read_experiment, store
from common.experiments.criteria import CriteriaPlan, compare_criteria, reference_images
from common.networks.baseline import N_VALIDATION, train_baseline
from common.networks.checkpoints import load_weights, state_digest
from common.networks.distillation import Distillation
from common.networks.models import INPUT_SHAPES, build, dense_bytes
from common.networks.training import TrainConfig, default_device, evaluate
from common.pruning.channels import configuration, multiply_adds
from common.pruning.rounds import fine_tuning, prune
from common.report.sizes import stage_sizes

# ----------------------------------------------------------------------------------------------------
# A trained network pruned in rounds, fine-tuned, shared, coded and measured.
#
# Learning rates, ratios and the number of reference images of a chain were set beforehand, after a look at a
# few hundred validation images; no chain was run twice. (CIFAR-100 has two: see the module's docstring.)


@dataclass(frozen=True)
class Chain:
    """One way from a trained network to a file.

    Attributes
    ----------
    name : str
        Of the file; chains of the same name with other options have folders of their own.
    dataset : str
    sparsity_ratios, weight_prune_ratios, criterion
        As in `pruning.rounds.prune`: fractions of the filters, then of the weights, that are gone after each
        round.
    n_reference : int
        Reference images for each round's scores.
    n_tune : int, optional
        Training images in an epoch of fine-tuning; by default all.
    tune, share : TrainConfig
        After every round, and with shared weights.
    is_taught : bool
        Whether the trained network teaches in all fine-tuning (`Distillation`).
    conv_clusters, linear_clusters : int
        Shared values per layer.
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
    chain: Chain,
    model: nn.Module,
    training: ImageSet,
    validation: ImageSet,
    test: ImageSet,
    architecture: Mapping[str, object],
    *,
    workdir: Path,
    device: str,
    resume: bool = True,
) -> dict:
    """Prune, fine-tune, share, code, write ``workdir/<name>-<digest>/<name>.dcz``, read it back, and measure.

    Parameters
    ----------
    chain : Chain
    model : nn.Module
        The trained network; not changed.
    training, validation, test : ImageSet
    architecture : mapping
        What `models.build` needs for the network.
    workdir : path
    device : str
    resume : bool
        Whether finished rounds, or the finished chain, are taken from `workdir`.

    Returns
    -------
    dict
        ``name``, ``criterion``, ``baseline_top1`` and ``top1`` (of the decoded file; ``n_test`` images),
        ``baseline_loss`` and ``loss``, ``pruned_validation_top1`` and ``validation_top1``, ``file_bytes``,
        ``dense_bytes``, ``stages`` (bytes), ``filters_gone`` and ``weights_gone`` (fractions),
        ``multiply_adds`` and ``whole_multiply_adds``, ``channels`` and ``whole_channels``, ``steps`` of
        fine-tuning in all, ``device``, ``chain`` (its options), and ``made``: commit, machine and versions.
    """
    of_model = {"model": state_digest(model), "images": test.sha256}
    memo = Memo(workdir / f"baseline-{chain.dataset}", of_model, resume=resume)
    baseline = memo.get("test", lambda: evaluate(model, test, device=device))
    memo = _memo(workdir, chain, model, training, validation, test, resume=resume)
    return memo.get(
        "chain",
        lambda: _run(chain, model, training, validation, test, architecture, memo.folder, baseline, device),
    )


def is_made(
    chain: Chain, model: nn.Module, training: ImageSet, validation: ImageSet, test: ImageSet, *, workdir: Path
) -> bool:
    """Whether `run_chain` has finished the chain in `workdir`, on any device, and will only read it."""
    return "chain" in _memo(workdir, chain, model, training, validation, test)


def _memo(workdir: Path, chain: Chain, model: nn.Module, *sets: ImageSet, resume: bool = True) -> Memo:
    """The chain's memo, keyed by all that decides its figures."""
    options = {"chain": chain, "images": [one.sha256 for one in sets], "model": state_digest(model)}
    return Memo(workdir / chain.name, options, resume=resume)


def _run(
    chain: Chain,
    model: nn.Module,
    training: ImageSet,
    validation: ImageSet,
    test: ImageSet,
    architecture: Mapping[str, object],
    place: Path,
    baseline: Mapping,
    device: str,
) -> dict:
    some = first_images(training, chain.n_tune)
    objective = Distillation(model, label_smoothing=chain.tune.label_smoothing) if chain.is_taught else None
    options = {"objective": objective, "device": device}
    thin = prune(
        model,
        reference_images(training, chain.n_reference, seed=chain.tune.seed),
        sparsity_ratios=chain.sparsity_ratios,
        weight_prune_ratios=chain.weight_prune_ratios,
        criterion=chain.criterion,
        seed=chain.tune.seed,
        workdir=place,
        tune=fine_tuning(some, chain.tune, description=chain.name, checkpoint_steps=100, **options),
    )
    pruned_top1 = evaluate(thin.model, validation, precision="bf16", device=device).top1
    config = CompressConfig(
        share=chain.share, conv_clusters=chain.conv_clusters, linear_clusters=chain.linear_clusters
    )
    shared = share(thin, some, config, checkpoint=place / "share.pt", checkpoint_steps=100, **options)
    path = place / f"{chain.name}.dcz"
    with whole_file(path) as aside:
        aside.write_bytes(encode(thin, shared, config, architecture))
    data = Container.open(path.read_bytes())
    decoded = decompress(data)
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
        "chain": as_json(chain),
        "made": {"commit": code_commit(), "machine": machine(), "versions": versions()},
    }


def _channels(model: nn.Module) -> list[int]:
    return [entry for entry in configuration(model) if entry != "M"]


# ----------------------------------------------------------------------------------------------------
# The results as markdown, with the published row beside ours, and as points of the map of methods.

SOURCE = "the course's source on pruning by relevance, after Yeom et al. 2021, Pattern Recognition 115"
PUBLISHED = (
    {
        "method": "pruning by relevance, unstructured and structured",
        "source": SOURCE,
        "network": "vgg16",
        "dataset": "cifar100",
        "baseline_top1": 0.7444,
        "top1": 0.7415,
        "baseline_loss": 1.055,
        "loss": 1.1855,
        "dense_megabytes": 527.8,  # of VGG-16 for ImageNet's 224×224 pixels: 138 million weights
        "megabytes": 46.3,
        "smaller": 0.912,
        "counts": "weights that are kept, as float32; neither shared nor coded",
    },
)
_KINDS = {"weights": "single weights", "filters": "filters"}


def points_of(figures: Mapping) -> list[dict]:
    """A point for the map of methods from every file."""
    return [
        {
            "method": "pruning by relevance" if chain["criterion"] == "relevance" else "pruning in rounds",
            "label": f"{chain['criterion']}, {chain['weights_gone']:.0%} of weights gone",
            "network": "vgg16",
            "dataset": chain["chain"]["dataset"],
            "file_bytes": chain["file_bytes"],
            "dense_bytes": chain["dense_bytes"],
            "top1": chain["top1"],
            "baseline_top1": chain["baseline_top1"],
            "note": f"{chain['filters_gone']:.0%} of the filters and {chain['weights_gone']:.1%} of the "
            f"weights gone, {chain['steps']} steps of fine-tuning in all, weights shared, Huffman-coded",
        }
        for chain in chains_of(figures)
    ]


def chains_of(figures: Mapping) -> list[Mapping]:
    """All chains that ended in a file: CIFAR-10's, then CIFAR-100's, in the order of `Plan.long`."""
    last = figures["cifar100"]
    return [*figures["iterative"], *([last, *last.get("further", ())] if "file_bytes" in last else ())]


def to_markdown(figures: Mapping) -> str:
    """Criteria at equal sparsity, then the files beside the published result, as markdown."""
    lines = []
    for kind, title in _KINDS.items():
        lines += [*_criteria(figures["criteria"], kind, title), ""]
    heads = ("by", "network, data", "top-1, before → after", "size", "smaller by", "filters, weights gone")
    rows = [_published(row) for row in figures["published"]]
    rows += [_own(chain) for chain in chains_of(figures)]
    if "file_bytes" not in figures["cifar100"]:
        rows.append(("ours", "VGG-16, cifar100", figures["cifar100"]["status"], "", "", ""))
    note = (
        "The published size counts kept weights as float32, of a VGG-16 for 224×224 pixels; ours are bytes "
        "of whole files, and our accuracies those of the networks in them, on all test images."
    )
    return "\n".join([*lines, *markdown_table(heads, rows), "", note, *_length(figures["cifar100"])])


def _length(found: Mapping) -> list[str]:
    """How long part 3 was, if it was run: a GPU's plan is longer than a CPU's."""
    if "file_bytes" not in found:
        return []
    baseline = found["baseline"] or {}
    start = f", begun with {baseline['start']}" if baseline.get("start") else ""
    trained = f"baseline of {baseline['epochs']} epochs{start}; " if baseline else ""
    lengths = []
    for one in (found, *found.get("further", ())):
        chain = one["chain"]
        rounds = f"{len(chain['sparsity_ratios'])} + {len(chain['weight_prune_ratios'])} rounds"
        images = "all" if chain["n_tune"] is None else f"{chain['n_tune']:,}"
        lengths.append(f"{rounds}, {one['steps']:,} steps of fine-tuning in all, on {images} training images")
    return ["", f"CIFAR-100, {found['status']}: {trained}{'; '.join(lengths)}."]


def _criteria(criteria: Mapping, kind: str, title: str) -> list[str]:
    ours, little, much = criteria[kind], criteria["n_little"], criteria["n_much"]
    heads = (
        f"{title}: criterion",
        "reference images",
        *(f"{ratio:.0%} gone" for ratio in ours["ratios"]),
        f"test, {ours['test_ratio']:.0%} gone",
    )
    images = {"none": "none", "little": f"{little}", "much": f"{much}"}
    rows = [
        (
            "nothing pruned",
            "",
            *(_mean([criteria["dense"]["top1"]]),) * len(ours["ratios"]),
            _mean([criteria["dense"]["test_top1"]]),
        )
    ]
    for name, amounts in ours["top1"].items():
        for amount, draws in amounts.items():
            cells = [_mean([draw[k] for draw in draws]) for k in range(len(ours["ratios"]))]
            rows.append((name, images[amount], *cells, _mean([ours["test_top1"][name][amount]])))
    note = (
        f"Top-1 without fine-tuning, in percent, on {criteria['n_measured']:,} validation images, in the "
        f"last column on {criteria['n_tested']:,} test images; ± is the standard deviation of "
        f"{len(criteria['seeds'])} draws."
    )
    return [*markdown_table(heads, rows), "", note]


def _mean(values: list[float]) -> str:
    mean = f"{100 * np.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {100 * np.std(values, ddof=1):.1f}"


def _published(row: Mapping) -> tuple[str, ...]:
    return (
        "published",
        f"VGG-16, {row['dataset']}",
        f"{100 * row['baseline_top1']:.2f} → {100 * row['top1']:.2f} %",
        f"{row['dense_megabytes']:.1f} → {row['megabytes']:.1f} MB",
        f"{row['smaller']:.1%}",
        "",
    )


def _own(chain: Mapping) -> tuple[str, ...]:
    return (
        f"ours, {chain['criterion']}",
        f"VGG-16, {chain['chain']['dataset']}",
        f"{100 * chain['baseline_top1']:.2f} → {100 * chain['top1']:.2f} %",
        f"{chain['dense_bytes'] / 1e6:.1f} → {chain['file_bytes'] / 1e6:.2f} MB",
        f"{1 - chain['file_bytes'] / chain['dense_bytes']:.1%}",
        f"{chain['filters_gone']:.0%}, {chain['weights_gone']:.1%}",
    )


WORKDIR = ROOT / "runs" / "relevance"
BASELINE_FOLDERS = (ROOT / "capstone", ROOT / "runs" / "vgg16_cifar100", WORKDIR)

_TUNE = TrainConfig(epochs=1, batch_size=128, max_lr=0.02, warmup=0.2, label_smoothing=0.1)
_SHORT = Chain(
    name="vgg16_cifar10_relevance",
    dataset="cifar10",
    sparsity_ratios=(0.15, 0.3, 0.45),
    weight_prune_ratios=(0.8, 0.88, 0.92, 0.94),
    n_reference=100,
    n_tune=5120,
    tune=_TUNE,
    share=replace(_TUNE, epochs=1, max_lr=1e-3, optimizer="adam"),
)
_FAR = Chain(
    name="vgg16_cifar100_relevance",
    dataset="cifar100",
    sparsity_ratios=(0.15, 0.3),
    weight_prune_ratios=(0.8, 0.9, 0.95),
    n_reference=1000,
    n_tune=None,
    is_taught=True,
    tune=replace(_TUNE, epochs=20, batch_size=256, max_lr=0.07),
    conv_clusters=32,
    share=replace(_TUNE, epochs=4, batch_size=256, max_lr=1e-3, optimizer="adam"),
)
_MILD = replace(
    _FAR,
    sparsity_ratios=(0.1,),
    weight_prune_ratios=(0.7, 0.88),
    tune=replace(_FAR.tune, epochs=22, max_lr=0.1, cutout=8),
)
# As much smaller as the source's file, with as many rounds and images as there is time for on a CPU.
_LONG_ON_A_CPU = replace(
    _FAR,
    sparsity_ratios=(0.1, 0.2),
    weight_prune_ratios=(0.8, 0.92),
    n_tune=32_000,
    tune=_TUNE,
    share=replace(_FAR.share, epochs=1, batch_size=128),
    conv_clusters=16,
)


@dataclass(frozen=True)
class Plan:
    """The whole reproduction at its published size.

    Attributes
    ----------
    network : str
    dataset, weights : str, path
        Of parts 1 and 2; their trained network is shipped.
    criteria : CriteriaPlan
    short : tuple of Chain
        Part 2.
    long : tuple of Chain
        Part 3, all of one data set; the first is the one that stands beside the source's figures.
    long_on_a_cpu : Chain
        Part 3 on a CPU, on the same data set.
    baseline_epochs : int, optional
        Of part 3's baseline; by default the recipe's.
    cifar100_on : {"gpu", "any", "none"}
        Where part 3 is run; with "gpu" also on a CPU, if the baseline is there.
    width : float
        As in `models.build`; tests use narrow networks.
    """

    network: str = "vgg16"
    dataset: str = "cifar10"
    weights: Path = ROOT / "capstone" / "vgg16_cifar10.safetensors"
    width: float = 1.0
    criteria: CriteriaPlan = field(default_factory=CriteriaPlan)
    short: tuple[Chain, ...] = (
        _SHORT,
        replace(_SHORT, name="vgg16_cifar10_magnitude", criterion="magnitude"),
    )
    long: tuple[Chain, ...] = (_MILD, _FAR)
    long_on_a_cpu: Chain = _LONG_ON_A_CPU
    baseline_epochs: int | None = None
    cifar100_on: str = "gpu"


def run(
    *,
    device: str | None = None,
    resume: bool = True,
    plan: Plan | None = None,
    workdir: str | Path = WORKDIR,
    keep: Callable[..., None] | None = None,
) -> Outcome:
    """Run all three parts.

    Parameters
    ----------
    device : str, optional
        By default the GPU if there is one.
    resume : bool
        Whether finished parts and checkpoints in `workdir` are used.
    plan : Plan, optional
        By default the published size.
    workdir : path
        Checkpoints, and the `.dcz` files.
    keep : callable, optional
        Called with the figures after each part, with the arguments of `common.experiments.store`, which is
        the default.

    Returns
    -------
    Outcome
        Its figures are ``criteria`` (`compare_criteria`), ``iterative`` (a list of `run_chain`'s),
        ``cifar100`` (`part3`'s, or only a ``status`` that says why it was not run), ``points`` and
        ``published``.
    """
    plan, device, workdir = plan or Plan(), device or default_device(), Path(workdir)
    stored = _stored_part3() if keep is None else None
    keep = keep or store
    sets = _sets(plan.network, plan.dataset)
    options = {"num_classes": len(sets[0].classes), "width": plan.width}
    model = load_weights(build(plan.network, **options), plan.weights).to(device).eval()
    figures: dict = {"published": list(PUBLISHED), "network": plan.network, "dataset": plan.dataset}
    figures |= {"iterative": [], "cifar100": stored or {"status": _reason(plan, device) or "not run yet"}}
    used: list[ImageSet] = list(sets)

    def finished() -> Outcome:
        figures["points"] = points_of(figures)
        keep("relevance", figures, seed=plan.criteria.seeds[0], datasets=tuple(used), device=device)
        return Outcome(figures, to_markdown(figures))

    def criteria(seeds: tuple[int, ...], *, resume: bool) -> None:
        figures["criteria"] = compare_criteria(
            model,
            *sets,
            replace(plan.criteria, seeds=seeds),
            workdir=workdir / "criteria",
            device=device,
            resume=resume,
        )
        finished()

    criteria(plan.criteria.seeds[:1], resume=resume)  # the other draws come last: they only show the spread
    architecture = _architecture(plan.network, options)
    for chain in plan.short:
        figures["iterative"].append(
            run_chain(chain, model, *sets, architecture, workdir=workdir, device=device, resume=resume)
        )
        finished()
    criteria(plan.criteria.seeds, resume=True)
    if _reason(plan, device) is None:
        used += _sets(plan.network, plan.long[0].dataset)
        figures["cifar100"] = part3(plan, workdir=workdir, device=device, resume=resume, stored=stored)
    return finished()


def part3(plan: Plan, *, workdir: Path, device: str, resume: bool = True, stored: dict | None = None) -> dict:
    """VGG-16 on CIFAR-100: `run_chain`'s figures of the first chain, and a list ``further`` of the others'.

    Also ``status`` (where it was run) and ``baseline`` (how that was trained). On a CPU, the longer chains
    that a GPU has made (in `workdir`, or as `stored` figures) are kept, and not replaced by the shorter one.
    """
    sets = _sets(plan.network, plan.long[0].dataset)
    weights = baseline_weights(plan, workdir=workdir, device=device, resume=resume)
    options = {"num_classes": len(sets[0].classes), "width": plan.width}
    model = load_weights(build(plan.network, **options), weights).to(device).eval()
    chains = plan.long
    if device.startswith("cpu"):
        chains = [chain for chain in chains if resume and is_made(chain, model, *sets, workdir=workdir)]
        if not chains and stored is not None and stored.get("device", "cpu") != "cpu":
            return stored
        chains = chains or [plan.long_on_a_cpu]
    architecture = _architecture(plan.network, options)
    found, *further = (
        run_chain(chain, model, *sets, architecture, workdir=workdir, device=device, resume=resume)
        for chain in chains
    )
    status = {"status": f"run on {found.get('device', device)}", "baseline": _training_of(weights)}
    return status | found | {"further": further}


def baseline_weights(plan: Plan, *, workdir: Path, device: str, resume: bool = True) -> Path:
    """Part 3's trained network: found, or trained by its recipe."""
    found = _found_baseline(plan)
    if found is not None:
        return found
    weights = workdir / f"{plan.network}_{plan.long[0].dataset}.safetensors"
    train_baseline(  # a finished one is only measured; one with other options is refused
        plan.network,
        weights=weights,
        result=weights.with_suffix(".json"),
        workdir=workdir / "baseline",
        dataset=plan.long[0].dataset,
        epochs=plan.baseline_epochs,
        device=device,
        resume=resume,
        command="dnnc reproduce relevance",
    )
    return weights


def _training_of(weights: Path) -> dict | None:
    """How a baseline was trained, from the result file beside it: epochs, start, images, and machine."""
    result = weights.with_suffix(".json")
    if not result.exists():
        return None
    found = read_result(result)
    made = {key: found[key] for key in ("commit", "machine", "versions")}
    return {k: found["figures"].get(k) for k in ("epochs", "start", "n_train", "validation_top1")} | made


def _stored_part3() -> dict | None:
    """Part 3 as stored in the repository. Its baseline is not there, so elsewhere it cannot be run again."""
    if not (ROOT / EXPERIMENTS["relevance"].result).exists():
        return None
    found = read_experiment("relevance")["cifar100"]
    return found if "file_bytes" in found else None


def _found_baseline(plan: Plan) -> Path | None:
    paths = [folder / f"{plan.network}_{plan.long[0].dataset}.safetensors" for folder in BASELINE_FOLDERS]
    return next((path for path in paths if path.exists()), None) if plan.width == 1 else None


def _reason(plan: Plan, device: str) -> str | None:
    """Why part 3 is not run here; None where it is."""
    if plan.cifar100_on == "none":
        return "not asked for"
    if plan.cifar100_on == "any" or not device.startswith("cpu") or _found_baseline(plan) is not None:
        return None
    start = plan.weights.relative_to(ROOT) if plan.weights.is_relative_to(ROOT) else plan.weights
    return (
        f"not run on this device ({device}): its baseline takes an hour and a half. Make it with `dnnc train "
        f"{plan.network} --dataset {plan.long[0].dataset} --start {start}`, or run the command on a GPU"
    )


def _sets(network: str, dataset: str) -> tuple[ImageSet, ImageSet, ImageSet]:
    """Training, validation and test images in the shape that the network takes."""
    whole, test = (
        fit_images(load_dataset(dataset, split), INPUT_SHAPES[network]) for split in ("train", "test")
    )
    return *train_val_split(whole, n_validation=N_VALIDATION[dataset]), test


def _architecture(network: str, options: Mapping) -> dict:
    return {"architecture": network} | {k: v for k, v in options.items() if k != "width" or v != 1.0}
