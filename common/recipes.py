"""How each network of the course is trained from scratch: one frozen configuration a network and machine."""

from __future__ import annotations

from dataclasses import replace

from common.training import TrainConfig

DATASETS = {
    "lenet_300_100": "mnist",
    "lenet_5": "mnist",
    "vgg16": "cifar10",
    "alexnet": "cifar10",
    "vgg16_imagenet": "cifar10",
}
N_VALIDATION = {"mnist": 5000, "cifar10": 2500, "cifar100": 2500, "digits": 500, "digits8x8": 200}

_LENET = TrainConfig(
    epochs=30, batch_size=128, max_lr=0.1, weight_decay=1e-4, label_smoothing=0.0, crop_padding=0, flip=False,
    precision="fp32",
)  # fmt: skip
_VGG_GPU = TrainConfig(epochs=120, batch_size=256, max_lr=0.15, weight_decay=5e-4)
# Two CPU cores give an epoch in five minutes: few epochs, so a milder augmentation. The second cycle was
# added when the first had not converged (validation 91.6 % and rising), and its end drawn out.
_VGG_CPU = replace(
    _VGG_GPU, epochs=23, batch_size=128, max_lr=0.1, crop_padding=2,
    rates=((0, 0), (2.4, 1), (12, 0), (13.6, 1), (18, 0.3125), (23, 0)),
)  # fmt: skip
# From another data set's weights: a rate that bends its filters but keeps them.
_VGG_CPU_STARTED = replace(_VGG_GPU, epochs=12, batch_size=128, max_lr=0.05, warmup=0.15)


def train_config(network: str, *, device: str = "cpu", is_started: bool = False) -> TrainConfig:
    """The configuration with which `network` is trained on a device ("cpu", or "cuda" and its like).

    `is_started` says that it begins with weights that another data set has trained: shorter where time is
    dear, on a CPU.

    Raises
    ------
    ValueError
        There is no recipe for the network.
    """
    if network == "lenet_5":
        return replace(_LENET, epochs=20, max_lr=0.03)  # diverges at 0.1
    if network == "lenet_300_100":
        return _LENET
    if network == "vgg16":
        on_a_cpu = _VGG_CPU_STARTED if is_started else _VGG_CPU
        return on_a_cpu if device.startswith("cpu") else _VGG_GPU
    if network in DATASETS:
        # Without batch norm, at the rate of torchvision's own training; for a GPU: VGG-16's batch takes 8 GB.
        return replace(_VGG_GPU, epochs=40, batch_size=128, max_lr=0.01)
    raise ValueError(f"no recipe for {network!r}: expected one of {', '.join(DATASETS)}")
