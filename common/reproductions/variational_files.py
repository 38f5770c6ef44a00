"""From what variational dropout leaves to a file: fine-tuned, shared, coded, chosen, measured."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from common.datasets import ImageSet
from common.masks import Masks
from common.methods.constant_units import Places, grow_, grow_masks, grow_shared, without_constant_units
from common.models import build, dense_bytes, prunable_parameters
from common.pipeline import CompressConfig, decompress, encode, share
from common.pruning import MaskKeeper
from common.reproductions.lenets import layer_rows
from common.thinning import ThinNetwork
from common.training import TrainConfig, evaluate, train
from common.whole_file import whole_file


@dataclass(frozen=True)
class CodingPlan:
    """How what is left is fine-tuned and coded.

    Attributes
    ----------
    tune, share : TrainConfig
        Of the kept weights, masks fixed; of shared values.
    crops : tuple of int
        Fine-tuned once with each padding in pixels; the validation images choose.
    clusters : tuple of (int, int)
        Shared values in a convolution and in a linear layer (0 where a network has none): each pair is tried.
    tolerance : float
        How much more of the validation images a smaller file may get wrong than the fine-tuned network.
    """

    tune: TrainConfig
    share: TrainConfig
    clusters: tuple[tuple[int, int], ...]
    crops: tuple[int, ...] = (0, 1)
    tolerance: float = 0.002


@dataclass(frozen=True)
class Sets:
    """The images, and where to compute."""

    training: ImageSet
    validation: ImageSet
    test: ImageSet
    device: str

    def error(self, model: nn.Module, which: str) -> float:
        """Fraction of wrong answers on ``"validation"`` or ``"test"``."""
        return 1.0 - evaluate(model, getattr(self, which), device=self.device).top1


def make_file(
    plan: CodingPlan, architecture: str, point: str, plain: nn.Module, masks: Masks, places: Places | None,
    sets: Sets, *, seed: int, folder: Path, workdir: Path,
) -> dict:  # fmt: skip
    """Fine-tune, share, encode; choose on the validation images; write, read back and measure.

    Parameters
    ----------
    plan : CodingPlan
    architecture, point : str
        What the network is part of, and the file's name.
    plain, masks
        From `methods.variational_dropout.to_plain`.
    places : mapping of parameter name to int64 tensor, optional
        From `methods.constant_units.without_constant_units`, where the network was cut.
    sets : Sets
    seed : int
    folder, workdir : path
        For the file, and for checkpoints.

    Returns
    -------
    dict
        Kept weights, bytes, and errors on validation and test images: ``..._learnt`` without fine-tuning.
    """
    learnt = {
        "validation_error_learnt": sets.error(plain, "validation"), "error_learnt": sets.error(plain, "test"),
        "kept": [int(mask.sum()) for mask in masks.values()],
    }  # fmt: skip
    small, places = without_constant_units(plain, masks, places=places)
    (workdir / point).mkdir(parents=True, exist_ok=True)
    masks = {name: weight != 0 for name, weight in prunable_parameters(small).items()}
    tuned = {}
    for crop in plan.crops:
        network, config = copy.deepcopy(small), replace(plan.tune, crop_padding=crop, seed=seed)
        train(
            network, sets.training, config, callbacks=[MaskKeeper(masks)], device=sets.device,
            checkpoint=workdir / point / f"tune{crop}.pt",
            description=f"{point} fine-tuning, crops of {crop}",
        )  # fmt: skip
        tuned[crop] = (sets.error(network, "validation"), network)
    crop = min(tuned, key=lambda key: tuned[key][0])
    least, network = tuned[crop]
    whole = build(architecture, num_classes=len(sets.training.classes), seed=seed)
    described = {"architecture": architecture, "num_classes": len(sets.training.classes)}
    n_weights = sum(weight.numel() for weight in prunable_parameters(whole).values())
    candidates, made = [], []
    for conv, linear in plan.clusters:
        config = CompressConfig(
            conv_clusters=max(1, conv), linear_clusters=linear, bias_clusters=8,
            share=replace(plan.share, crop_padding=crop, seed=seed),
        )  # fmt: skip
        thin = ThinNetwork(copy.deepcopy(network), n_weights, masks)
        shared = share(
            thin, sets.training, config, device=sets.device,
            checkpoint=workdir / point / f"share{conv}_{linear}.pt",
        )  # fmt: skip
        grow_(whole, thin.model, places)
        grown = ThinNetwork(whole, n_weights, grow_masks(masks, places, whole))
        made.append(encode(grown, grow_shared(shared, places, whole), config, described))
        error = sets.error(decompress(made[-1]), "validation")
        candidates.append(
            {"conv": conv, "linear": linear, "file_bytes": len(made[-1]), "validation_error": error}
        )
    fitting = [row for row in candidates if row["validation_error"] <= least + plan.tolerance + 1e-12]
    chosen = min(fitting, key=lambda row: row["file_bytes"]) if fitting else (
        min(candidates, key=lambda row: row["validation_error"])
    )  # fmt: skip
    path = folder / f"{point}.dcz"
    with whole_file(path) as aside:
        aside.write_bytes(made[candidates.index(chosen)])
    data = path.read_bytes()
    return learnt | {
        "file": path.name, "file_bytes": len(data), "dense_bytes": dense_bytes(whole),
        "parameter_ratio": n_weights / sum(learnt["kept"]), "tune_crop": crop,
        "validation_errors_tuned": {str(key): error for key, (error, _) in tuned.items()},
        "candidates": candidates, "chosen": [chosen["conv"], chosen["linear"]], "layers": layer_rows(data),
        "validation_error": chosen["validation_error"], "error": sets.error(decompress(data), "test"),
    }  # fmt: skip
