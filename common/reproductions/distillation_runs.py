"""What the distillation of digits is made of: single runs that go on from their checkpoints, and counting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from common.augmentation import BatchSource
from common.datasets import ImageSet
from common.methods.distillation import Distillation
from common.methods.dropout import DropoutSeed, MaxNorm
from common.models import build, mlp
from common.pipeline import CompressConfig, compress, decompress
from common.preprocessing import normalization
from common.training import TrainConfig, evaluate, train

NETWORK = "mlp_1200"


@dataclass(frozen=True)
class Runs:
    """Where runs keep their checkpoints, on which device they run, and whether they go on from there."""

    workdir: Path
    device: str
    resume: bool

    def teacher(
        self, data: ImageSet, config: TrainConfig, *, hidden: int, dropout: float, max_norm: float
    ) -> nn.Module:
        """The regularized network with two layers of `hidden` units."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = mlp(hidden, num_classes=len(data.classes), dropout=dropout)
            self.train(
                "teacher", model, data, config, callbacks=[MaxNorm(max_norm), DropoutSeed(config.seed)]
            )
        return model.eval()

    def student(
        self, name: str, data: ImageSet, config: TrainConfig, *, width: float,
        objective: Distillation | None = None,
    ) -> nn.Module:  # fmt: skip
        """A network without regularization, from random weights of the configuration's seed."""
        model = build(NETWORK, num_classes=len(data.classes), width=width, seed=config.seed)
        self.train(name, model, data, config, objective=objective)
        return model.eval()

    def train(
        self, name: str, model: nn.Module, data: ImageSet, config: TrainConfig, **options: object
    ) -> None:
        """`training.train` with a checkpoint of the run's name, which a finished run is read from."""
        checkpoint = self.workdir / f"{name}.pt"
        if not self.resume:
            checkpoint.unlink(missing_ok=True)
        train(
            model, data, config, device=self.device, checkpoint=checkpoint, description=name, **options
        )

    def coded(
        self, name: str, model: nn.Module, data: ImageSet, config: CompressConfig, *, architecture: dict,
        objective: Distillation | None = None,
    ) -> bytes:  # fmt: skip
        """The bytes of the file that the model is compressed to; the model is changed."""
        if not self.resume:
            for checkpoint in ("prune.pt", "share.pt"):
                (self.workdir / name / checkpoint).unlink(missing_ok=True)
        return compress(
            model, data, config, architecture, workdir=self.workdir / name, objective=objective,
            device=self.device,
        )  # fmt: skip


def n_errors(model: nn.Module, data: ImageSet, *, device: str) -> int:
    """Images that the model gets wrong."""
    return round((1.0 - evaluate(model, data, device=device).top1) * len(data))


def map_point(
    data: bytes, test: ImageSet, *, teacher_top1: float, teacher_bytes: int, device: str, **words
) -> dict:
    """One point of the map of methods: what the file's network gets right, beside the teacher's.

    `words` are its ``method``, ``label``, ``network`` and ``note``.
    """
    return {
        "method": words["method"], "label": words["label"], "network": words["network"],
        "dataset": test.name, "file_bytes": len(data), "dense_bytes": teacher_bytes,
        "top1": evaluate(decompress(data), test, device=device).top1, "baseline_top1": teacher_top1,
        "note": words["note"],
    }  # fmt: skip


def without_classes(data: ImageSet, omitted: Sequence[int]) -> ImageSet:
    """The images of all other classes; the classes keep their numbers."""
    chosen = ~np.isin(data.labels, omitted)
    name = ",".join(map(str, omitted))
    return replace(
        data, images=data.images[chosen], labels=data.labels[chosen], sha256=f"{data.sha256}/without {name}"
    )


def logits_of(model: nn.Module, data: ImageSet, *, device: str) -> np.ndarray:
    """Answers to every image in order, float32 of shape (n, classes)."""
    mean, std = normalization(data.name)
    source = BatchSource(data.images, data.labels, mean=mean, std=std, device=device)
    model = model.to(device).eval()
    with torch.no_grad():
        return np.concatenate([model(images).cpu().numpy() for images, _ in source.plain_batches(500)])


def bias_adjustment(
    model: nn.Module, omitted: Sequence[int], *, validation: ImageSet, test: ImageSet, device: str
) -> dict:
    """Raise the biases of classes that the transfer set lacked, by the best number on the validation split.

    Returns
    -------
    dict
        ``omitted``, ``biases`` and ``validation_errors`` of all numbers tried, ``bias`` (the best, the
        smallest of equals), and ``before`` and ``after`` it: each ``errors``, ``errors_on_omitted`` and the
        ``confusion`` matrix (rows are labels, columns answers) on the test set, ``n_omitted`` test images.
    """
    raised = np.isin(np.arange(len(test.classes)), omitted)
    biases = np.arange(0.0, 20.01, 0.25)
    logits = logits_of(model, validation, device=device)
    tried = [int(((logits + b * raised).argmax(1) != validation.labels).sum()) for b in biases]
    best = float(biases[int(np.argmin(tried))])
    logits, hidden = logits_of(model, test, device=device), np.isin(test.labels, omitted)
    found = {
        "omitted": list(omitted), "biases": biases.tolist(), "validation_errors": tried, "bias": best,
        "n_omitted": int(hidden.sum()),
    }  # fmt: skip
    for when, bias in (("before", 0.0), ("after", best)):
        answers = (logits + bias * raised).argmax(1)
        confusion = np.zeros((len(raised), len(raised)), dtype=int)
        np.add.at(confusion, (test.labels, answers), 1)
        wrong = answers != test.labels
        found[when] = {
            "errors": int(wrong.sum()), "errors_on_omitted": int(wrong[hidden].sum()),
            "confusion": confusion.tolist(),
        }  # fmt: skip
    return found
