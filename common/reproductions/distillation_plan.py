"""How large the reproduction of distillation is, on a CPU and on a GPU; tests run it smaller."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from common.capstone import FOLDER
from common.pipeline import CompressConfig
from common.shipped import BASELINE
from common.training import TrainConfig

# Without regularization, as in the paper: no decay, no smoothing, images as they are. The teacher with its
# dropout, and students of soft answers, whose loss is as steep as it is large, diverge at a rate of 0.1.
_STUDENT = TrainConfig(
    epochs=15, max_lr=0.03, weight_decay=0.0, label_smoothing=0.0, crop_padding=0, flip=False
)
_TEACHER = replace(_STUDENT, epochs=24, crop_padding=2)
_VGG_EPOCHS_ON_GPU = 100
_VGG = TrainConfig(epochs=8, max_lr=0.05, label_smoothing=0.0, crop_padding=2)
_EIGHT_BITS = CompressConfig(sparsity=0.0, linear_clusters=256)
_PRUNED = CompressConfig(
    sparsity=0.95, linear_clusters=16, prune=replace(_STUDENT, epochs=10, max_lr=0.02),
    share=replace(_STUDENT, epochs=2, max_lr=1e-3, optimizer="adam"),
)  # fmt: skip


@dataclass(frozen=True)
class VggPlan:
    """VGG-16 teaches a VGG-16 of another width, on the first `n_train` training images, or on all.

    For a CPU it was five epochs of 10,000 images, until a first result had been seen: too short to compare.
    """

    dataset: str = "cifar10"
    weights: Path = FOLDER / BASELINE
    teacher_width: float = 1.0
    width: float = 0.25
    n_train: int | None = None
    epochs_on_gpu: int = _VGG_EPOCHS_ON_GPU
    temperature: float = 4.0
    weight: float = 0.9
    train: TrainConfig = _VGG


@dataclass(frozen=True)
class Plan:
    """All choices that are not made on the validation split."""

    dataset: str = "mnist"
    teacher_hidden: int = 1200
    dropout: float = 0.5
    max_norm: float = 3.9
    teacher: TrainConfig = _TEACHER
    width: float = 0.667  # of 1200: the students' 800 units
    small_width: float = 0.025  # 30 units
    student: TrainConfig = _STUDENT
    seeds: tuple[int, ...] = (0, 1, 2)
    weight: float = 0.9  # of the teacher's answers
    temperatures: tuple[float, ...] = (1.0, 2.5, 4.0, 8.0, 20.0)
    rates: tuple[float, ...] = (0.01, 0.03, 0.1)
    search_epochs: int = 3
    small_seeds: tuple[int, ...] = (0, 1)
    omitted: tuple[int, ...] = (3,)
    shown: tuple[int, ...] = (7, 8)
    eight_bits: CompressConfig = _EIGHT_BITS
    pruned: CompressConfig = _PRUNED
    vgg: VggPlan = VggPlan()

    def to_dict(self) -> dict:
        """In JSON's types, without places on a disk."""
        plain = asdict(self)
        plain["vgg"]["weights"] = self.vgg.weights.name
        return plain


def plan_for(device: str) -> Plan:
    """The plan of a CPU, or of a GPU, where VGG-16 teaches for longer."""
    if device.startswith("cpu"):
        return Plan()
    return Plan(vgg=VggPlan(train=TrainConfig(epochs=_VGG_EPOCHS_ON_GPU, label_smoothing=0.0)))
