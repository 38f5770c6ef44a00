"""Which networks the tickets are drawn from, and for how long: as in the paper, and shortened for a CPU."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from common.models import build
from common.training import TrainConfig

CONV_CHANNELS = {
    "conv_2": (64, 64, "M"), "conv_4": (64, 64, "M", 128, 128, "M"),
    "conv_6": (64, 64, "M", 128, 128, "M", 256, 256, "M"),
}  # fmt: skip
# Fine-tuning of the shared values of a ticket that becomes a file.
CODING = TrainConfig(
    epochs=2, batch_size=100, max_lr=1e-3, label_smoothing=0.0, crop_padding=0, flip=False, weight_decay=0.0,
    optimizer="adam", precision="fp32",
)  # fmt: skip


def _constant(rate: float, epochs: int) -> TrainConfig:
    """The paper's training: Adam at one rate, batches of 60, nothing else."""
    return replace(CODING, epochs=epochs, batch_size=60, max_lr=rate, rates=((0.0, 1.0),))


@dataclass(frozen=True)
class Plan:
    """One network's experiment.

    Attributes
    ----------
    network : {"lenet_300_100", "conv_2", "conv_4", "conv_6"}
    train : TrainConfig
    levels : tuple of int
        Rounds of pruning behind each winning ticket, see `iterative_pruning`.
    controls : tuple of (kind, levels)
    conv_rate : float, optional
        Share of a convolution's weights that a round prunes; of a linear layer's, it is 20 %.
    n_validation, n_watched : int
        Images cut from the training set, and those of them on which the loss is watched.
    n_train : int, optional
        Of the rest, those that are trained on; by default all.
    every, early_step : int
        Steps between two looks at the loss; steps after which `early` takes its weights.
    width : float
        Of the network.
    files : tuple of float
        A file for the smallest ticket that loses no more than this on the validation images. The second
        limit went from one point to two after a first result had been seen, since both had given one ticket.
    needs_gpu : bool
        Whether a GPU runs it, in place of the short plans.
    """

    network: str
    train: TrainConfig
    levels: tuple[int, ...]
    controls: tuple[tuple[str, tuple[int, ...]], ...]
    dataset: str = "mnist"
    conv_rate: float | None = None
    n_validation: int = 5000
    n_watched: int = 5000
    n_train: int | None = None
    every: int = 100
    early_step: int = 200
    trials: tuple[int, ...] = (0, 1, 2)
    width: float = 1.0
    files: tuple[float, ...] = ()
    needs_gpu: bool = False


def _whole_size(network: str, rate: float, epochs: int, conv_rate: float, levels: int) -> Plan:
    some = tuple(range(1, levels, 2))
    controls = tuple((kind, some) for kind in ("reinit", "random_mask", "one_shot", "early"))
    return Plan(
        network, _constant(rate, epochs), tuple(range(levels)), controls, dataset="cifar10",
        conv_rate=conv_rate, early_step=500, trials=tuple(range(5)), needs_gpu=True,
    )  # fmt: skip


# For one CPU core and half an hour. With all 55,000 images the validation loss is least after more steps than
# that affords; with 20,000 the networks overfit sooner, and the least loss lies within the training.
SHORT = Plan(
    "lenet_300_100", _constant(1.2e-3, 9), (*range(17), 18, 21, 24, 28),
    (
        ("reinit", (3, 7, 12, 15, 18, 24, 28)), ("random_mask", (7, 15, 24)), ("one_shot", (7, 15, 24)),
        ("fine_tuned", (15,)), ("early", (24,)),
    ),
    n_train=20_000, n_watched=2500, files=(0.0, 0.02),
)  # fmt: skip
# Half an hour a trial: fewer levels, with several rounds between them; the larger networks' rate, since steps
# are few; bfloat16, twice as fast.
SHORT_CONV = Plan(
    "conv_2", replace(_constant(3e-4, 8), precision="bf16"), (0, 4, 8, 11, 14),
    (("reinit", (8, 11, 14)), ("random_mask", (8, 14))),
    dataset="cifar10", conv_rate=0.1, n_watched=1000, n_train=10_000,
)  # fmt: skip
_EVERY_SECOND = tuple(range(1, 25, 2))
LONG = replace(  # as in the paper: 50,000 steps, five trials
    SHORT, train=_constant(1.2e-3, 55), levels=tuple(range(25)), trials=tuple(range(5)), n_train=None,
    controls=tuple((kind, _EVERY_SECOND) for kind, _ in SHORT.controls), n_watched=5000, needs_gpu=True,
)  # fmt: skip
CONVS = (  # the paper's table of rates and 20,000, 25,000 and 30,000 steps, for 45,000 images
    _whole_size("conv_2", 2e-4, 27, 0.1, 21), _whole_size("conv_4", 3e-4, 34, 0.1, 21),
    _whole_size("conv_6", 3e-4, 40, 0.15, 21),
)  # fmt: skip
PLANS = (SHORT, SHORT_CONV, LONG, *CONVS)


def network(plan: Plan, num_classes: int) -> nn.Module:
    """A plan's network, with whatever first weights."""
    if plan.network in CONV_CHANNELS:
        return conv_network(plan.network, width=plan.width, num_classes=num_classes)
    return build(plan.network, width=plan.width, num_classes=num_classes)


def conv_network(name: str, *, width: float = 1.0, num_classes: int = 10) -> nn.Module:
    """The paper's networks for CIFAR-10: pairs of 3×3 convolutions and a pooling, then 256, 256, 10 units."""
    layers: list[nn.Module] = []
    inputs, side = 3, 32
    for entry in CONV_CHANNELS[name]:
        if entry == "M":
            layers.append(nn.MaxPool2d(2))
            side //= 2
            continue
        units = max(1, round(entry * width))
        layers += [nn.Conv2d(inputs, units, 3, padding=1), nn.ReLU()]
        inputs = units
    hidden = max(1, round(256 * width))
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(inputs * side * side, hidden), nn.ReLU(),
        nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, num_classes),
    )  # fmt: skip
