"""Pruning by relevance, made again: criteria compared, then VGG-16 pruned in rounds and written to files.

    dnnc reproduce relevance        writes week05_pruning/results/relevance.json

Three parts, each resumable, each stored as soon as it is there (of the first, one draw before part 2, the
others after it):

1. ``criteria``   five criteria at equal sparsity without fine-tuning, with little and with much data, on the
                  shipped VGG-16 for CIFAR-10 (`relevance_criteria`).
2. ``iterative``  the same network pruned in rounds, filters then weights, each followed by a short
                  fine-tuning; then shared weights, Huffman code, a file, and what the file decodes to. By
                  relevance, and by magnitude with everything else equal. Short enough for one processor core.
3. ``cifar100``   what the source did: VGG-16 on CIFAR-100. The baseline is trained by its recipe; then
                  rounds, fine-tuning, sharing and coding as in part 2. At full length on a GPU: 120 epochs
                  for the baseline, and 70 and 104 for two chains of rounds, one mild and one far-going.

What a GPU has finished of part 3 is taken as it is from ``runs/relevance``, on any device, or else stays
stored as it is. Where a GPU has done nothing, a processor runs one chain, with an epoch a round and two
thirds of the images, once the baseline is there; without that, part 3 is reported as not run. The baseline is
looked for in ``capstone/``, ``runs/vgg16_cifar100/`` and ``runs/relevance/``; ``run(plan=...)`` with
``cifar100_on="any"`` trains it in any case. On a processor

    dnnc train vgg16 --dataset cifar100 --start capstone/vgg16_cifar10.safetensors

makes it: 12 epochs that begin with CIFAR-10's filters, an hour and a half, which may be stopped and go on.

Everything was chosen on the validation split (see `relevance_chain` for what), with one exception: of part 3,
the far-going chain came first, and lost 1.3 points. The mild one (fewer weights gone; two more epochs a
round, a higher rate and cutout, if fewer epochs in all) was set after that had been seen, on validation and
test images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from common.baseline import train_baseline
from common.checkpoints import load_weights
from common.datasets import ImageSet, load_dataset
from common.image_fitting import fit_images
from common.models import INPUT_SHAPES, build
from common.recipes import N_VALIDATION
from common.reproductions import REPRODUCTIONS, ROOT, Reproduction, read_reproduction, store
from common.reproductions.relevance_chain import Chain, is_made, run_chain
from common.reproductions.relevance_criteria import CriteriaPlan, compare_criteria
from common.reproductions.relevance_table import PUBLISHED, points_of, to_markdown
from common.results import read_result
from common.splits import train_val_split
from common.training import TrainConfig, default_device

WORKDIR = ROOT / "runs" / "relevance"
BASELINE_FOLDERS = (ROOT / "capstone", ROOT / "runs" / "vgg16_cifar100", WORKDIR)

_TUNE = TrainConfig(epochs=1, batch_size=128, max_lr=0.02, warmup=0.2, label_smoothing=0.1)
_SHORT = Chain(
    name="vgg16_cifar10_relevance", dataset="cifar10", sparsity_ratios=(0.15, 0.3, 0.45),
    weight_prune_ratios=(0.8, 0.88, 0.92, 0.94), n_reference=100, n_tune=5120, tune=_TUNE,
    share=replace(_TUNE, epochs=1, max_lr=1e-3, optimizer="adam"),
)  # fmt: skip
_FAR = Chain(
    name="vgg16_cifar100_relevance", dataset="cifar100", sparsity_ratios=(0.15, 0.3),
    weight_prune_ratios=(0.8, 0.9, 0.95), n_reference=1000, n_tune=None, is_taught=True,
    tune=replace(_TUNE, epochs=20, batch_size=256, max_lr=0.07), conv_clusters=32,
    share=replace(_TUNE, epochs=4, batch_size=256, max_lr=1e-3, optimizer="adam"),
)  # fmt: skip
_MILD = replace(
    _FAR, sparsity_ratios=(0.1,), weight_prune_ratios=(0.7, 0.88),
    tune=replace(_FAR.tune, epochs=22, max_lr=0.1, cutout=8),
)  # fmt: skip
# As much smaller as the source's, in as many rounds as two thirds of the images leave time for.
_LONG_ON_A_CPU = replace(
    _FAR, sparsity_ratios=(0.1, 0.2), weight_prune_ratios=(0.8, 0.92), n_tune=32_000, tune=_TUNE,
    share=replace(_FAR.share, epochs=1, batch_size=128), conv_clusters=16,
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """The whole reproduction at its published size.

    Attributes
    ----------
    network : str
    dataset, weights : str, path
        Of parts 1 and 2: the trained network is shipped.
    criteria : CriteriaPlan
    short : tuple of Chain
        Part 2.
    long : tuple of Chain
        Part 3, of one data set; the first is the one that the source's figures stand beside.
    long_on_a_cpu : Chain
        In its place, on the same data set.
    baseline_epochs : int, optional
        Of part 3; by default the recipe's.
    cifar100_on : {"gpu", "any", "none"}
        Where part 3 is run; with "gpu" elsewhere, too, once the baseline is there.
    width : float
        As in `models.build`: for tests.
    """

    network: str = "vgg16"
    dataset: str = "cifar10"
    weights: Path = ROOT / "capstone" / "vgg16_cifar10.safetensors"
    width: float = 1.0
    criteria: CriteriaPlan = field(default_factory=CriteriaPlan)
    short: tuple[Chain, ...] = (
        _SHORT, replace(_SHORT, name="vgg16_cifar10_magnitude", criterion="magnitude"),
    )  # fmt: skip
    long: tuple[Chain, ...] = (_MILD, _FAR)
    long_on_a_cpu: Chain = _LONG_ON_A_CPU
    baseline_epochs: int | None = None
    cifar100_on: str = "gpu"


def run(
    *, device: str | None = None, resume: bool = True, plan: Plan | None = None,
    workdir: str | Path = WORKDIR, keep: Callable[..., None] | None = None,
) -> Reproduction:  # fmt: skip
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
        What the figures are handed to after each part, as `reproductions.store` takes them: the default.

    Returns
    -------
    Reproduction
        Its figures are ``criteria`` (`compare_criteria`), ``iterative`` (a list of `run_chain`'s),
        ``cifar100`` (`part3`; or the status alone, which says why not), ``points`` and ``published``.
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

    def finished() -> Reproduction:
        figures["points"] = points_of(figures)
        keep("relevance", figures, seed=plan.criteria.seeds[0], datasets=tuple(used), device=device)
        return Reproduction(figures, to_markdown(figures))

    def criteria(seeds: tuple[int, ...], *, resume: bool) -> None:
        figures["criteria"] = compare_criteria(
            model, *sets, replace(plan.criteria, seeds=seeds), workdir=workdir / "criteria", device=device,
            resume=resume,
        )  # fmt: skip
        finished()

    criteria(plan.criteria.seeds[:1], resume=resume)  # the other draws last: they only add their spread
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


def part3(
    plan: Plan, *, workdir: Path, device: str, resume: bool = True, stored: dict | None = None
) -> dict:  # fmt: skip
    """VGG-16 on CIFAR-100: `run_chain`'s figures of the first chain, and a list ``further`` of the others'.

    Beside them ``status`` (where it was run) and ``baseline`` (how that was trained). On a processor, what a
    GPU has made (in `workdir`, or as `stored`) is not replaced by less.
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
    train_baseline(  # finished once, it is measured only; one of other options is refused
        plan.network, weights=weights, result=weights.with_suffix(".json"), workdir=workdir / "baseline",
        dataset=plan.long[0].dataset, epochs=plan.baseline_epochs, device=device, resume=resume,
        command="dnnc reproduce relevance",
    )  # fmt: skip
    return weights


def _training_of(weights: Path) -> dict | None:
    """How a baseline was trained, from the result beside it: epochs, images, its start, and on what."""
    result = weights.with_suffix(".json")
    if not result.exists():
        return None
    found = read_result(result)
    made = {key: found[key] for key in ("commit", "machine", "versions")}
    return {k: found["figures"].get(k) for k in ("epochs", "start", "n_train", "validation_top1")} | made


def _stored_part3() -> dict | None:
    """Part 3 as the repository has it: its baseline does not travel, so elsewhere it cannot be run again."""
    if not (ROOT / REPRODUCTIONS["relevance"].result).exists():
        return None
    found = read_reproduction("relevance")["cifar100"]
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
