"""AlexNet with ten classes at 224×224, on enlarged CIFAR-10: the course's "228 MB → 25 MB", measured.

    dnnc reproduce alexnet      on a GPU: writes capstone/alexnet_cifar10.dcz and results/alexnet.json

The network is trained by its recipe and rounded to float16; it is pruned during fine-tuning, its weights are
shared and coded, and the file is written, read back, and measured on all test images. The options were set
beforehand, and this was run once. Without a GPU it would take days, so the command refuses to start.
`dnnc evaluate capstone/alexnet_cifar10.dcz` measures the shipped file on any machine.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from common.compress.pipeline import CompressConfig
from common.compress.points import OperatingPoint, Sets, run_point
from common.data.datasets import load_dataset
from common.data.image_set import fit_images, train_val_split
from common.experiments import ROOT, Outcome, store
from common.networks.baseline import N_VALIDATION, train_baseline
from common.networks.checkpoints import load_weights
from common.networks.models import INPUT_SHAPES, build
from common.networks.training import TrainConfig, default_device
from common.report.sizes import target_table

NETWORK = "alexnet"
WORKDIR = ROOT / "runs" / "alexnet"

# AlexNet has no batch norm: a tenth of VGG-16's learning rate, and a lower one for its centroids too.
_PRUNE = TrainConfig(epochs=20, batch_size=128, max_lr=0.01, warmup=0.1, label_smoothing=0.1)
_SHARE = TrainConfig(epochs=3, batch_size=128, max_lr=3e-4, warmup=0.1, label_smoothing=0.1, optimizer="adam")


POINT = OperatingPoint(
    "alexnet_cifar10",
    CompressConfig(
        sparsity=0.975, criterion="lamp", prune=_PRUNE, share=_SHARE, conv_clusters=16, linear_clusters=8
    ),
    network=NETWORK,
)


def run(*, device: str | None = None, resume: bool = True) -> Outcome:
    """Train, compress and measure AlexNet, and write file and figures into the repository.

    Raises
    ------
    ValueError
        There is no GPU.
    """
    device = device or default_device()
    if device.startswith("cpu"):
        raise ValueError(
            "AlexNet's training takes minutes on a GPU and days on this device (cpu): run it on a GPU, or "
            "measure the shipped file with `dnnc evaluate capstone/alexnet_cifar10.dcz`"
        )
    return reproduce_alexnet(device=device, resume=resume)


def reproduce_alexnet(
    *,
    point: OperatingPoint = POINT,
    dataset: str = "cifar10",
    baseline_epochs: int | None = None,
    folder: str | Path = ROOT / "capstone",
    workdir: str | Path = WORKDIR,
    device: str | None = None,
    resume: bool = True,
    keep: Callable[..., None] = store,
) -> Outcome:
    """Train AlexNet, compress it to a file, and measure what the file decodes to.

    Parameters
    ----------
    point : OperatingPoint
        How far it is compressed, and how; by default like the shipped file.
    dataset : str
        A name for `load_dataset`.
    baseline_epochs : int, optional
        Epochs of the training before the compression; by default the recipe's.
    folder : path
        Where the file goes.
    workdir : path
        The trained weights and checkpoints, from which a stopped run goes on.
    device : str, optional
        By default the GPU if there is one.
    resume : bool
        Whether to go on from checkpoints in `workdir`. If not, they are deleted.
    keep : callable, optional
        Called with the figures, with the arguments of `common.experiments.store`, which is the default.

    Returns
    -------
    Outcome
        Its figures have one entry, by the file's name: those of `compress.points.run_point`, the file's
        ``sha256``, and ``baseline``, how the network was trained.
    """
    folder, workdir, device = Path(folder), Path(workdir), device or default_device()
    weights = workdir / f"{NETWORK}_{dataset}.safetensors"
    trained = train_baseline(
        NETWORK,
        weights=weights,
        result=weights.with_suffix(".json"),
        workdir=workdir,
        dataset=dataset,
        epochs=baseline_epochs,
        device=device,
        resume=resume,
        command=f"dnnc reproduce {NETWORK}",
    )
    whole, test = (
        fit_images(load_dataset(dataset, split), INPUT_SHAPES[NETWORK]) for split in ("train", "test")
    )
    training, validation = train_val_split(whole, n_validation=N_VALIDATION[dataset])
    model = load_weights(build(NETWORK, num_classes=len(whole.classes)), weights)
    figures = run_point(
        point,
        model,
        Sets(training, test, validation),
        workdir,
        folder=folder,
        architecture={"architecture": NETWORK, "num_classes": len(whole.classes)},
        device=device,
        resume=resume,
    )
    figures["baseline"] = {key: trained[key] for key in ("epochs", "n_train", "validation_top1")}
    stored = {point.name: figures}
    keep(NETWORK, stored, seed=point.config.prune.seed, datasets=(training, validation, test), device=device)
    return Outcome(stored, to_markdown(stored))


def to_markdown(figures: dict) -> str:
    """The course's targets, each with what was measured, as markdown."""
    parts = []
    for name, one in figures.items():
        size = f"{one['dense_bytes'] / 1e6:.1f} MB → {one['file_bytes'] / 1e6:.2f} MB"
        parts.append(f"AlexNet, ten classes at 224×224, {name}.dcz: {size}\n\n{target_table(one)}")
    return "\n\n".join(parts)
