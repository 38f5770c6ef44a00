"""The capstone's points on the trade-off curve: how far VGG-16 for CIFAR-10 is compressed, and how.

`common.compress.points` makes a point; ``dnnc reproduce choices`` shows how these options were chosen.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from common.base.files import whole_file
from common.base.results import commit_of_start
from common.compress.files import open_model, training_sets
from common.compress.pipeline import CompressConfig, SharingConfig
from common.compress.points import OperatingPoint, Sets, StartFile, run_point
from common.data.datasets import load_dataset
from common.networks.training import TrainConfig

ARCHITECTURE = {"architecture": "vgg16", "num_classes": 10}

# The original's learning rate, as in its training (Renda et al. 2020, "Comparing rewinding and fine-tuning"),
# and a stronger augmentation than it had: with crops of 2 pixels alone the pruned network overfitted.
_PRUNE = TrainConfig(epochs=18, batch_size=128, max_lr=0.1, warmup=0.1, label_smoothing=0.1, cutout=8)

_SHARE = TrainConfig(epochs=2, batch_size=128, max_lr=1e-3, warmup=0.1, label_smoothing=0.1, optimizer="adam")

# The large file was made in two steps. The first took 18 epochs from the trained network. From its file
# it goes on: the weights that cost most bits for what they do are pruned, while the trained network and that
# of a tiny file, which err on different images, teach it together. Half the learning rate is enough: it does
# not start from scratch.
_FIRST_POINT = OperatingPoint(
    "vgg16_cifar10_first",
    CompressConfig(
        sparsity=0.966,
        criterion="lamp",
        macs_fraction=0.35,
        prune=_PRUNE,
        share=_SHARE,
        conv_clusters=14,
        linear_clusters=8,
    ),
)
_FIRST = StartFile(
    "capstone/results/vgg16_cifar10_first.dcz",
    trained="7d3c8618eeac0e4ec9ab6d30cdf070dcdede2d8ac37fe00fb06d21bd48ad58ff",
)
# The tiny file as it was then: the shipped one may become another.
_TEACHER = "capstone/results/vgg16_cifar10_teacher.dcz"

_MAIN = CompressConfig(
    sparsity=0.972,
    criterion="fisher_by_rate",
    prune=replace(_PRUNE, epochs=9, max_lr=0.05, precision="fp32"),
    share=replace(_SHARE, epochs=1, precision="fp32"),
    conv_clusters=16,
    linear_clusters=8,
    reestimate=5000,
)

# The smaller two are pruned by Fisher information, and their values are trained. A network of fewer
# channels trains faster: so the small one got more epochs for the same hours.
_SMALL = CompressConfig(
    sparsity=0.990,
    criterion="fisher_per_bit",
    macs_fraction=0.22,
    prune=replace(_PRUNE, epochs=24, precision="fp32"),
    share=_SHARE,
    conv_clusters=12,
    linear_clusters=8,
    trained=SharingConfig(rate_weight=0.005),
    reestimate=5000,
)
_TINY = replace(
    _SMALL,
    sparsity=0.9938,
    prune=replace(_SMALL.prune, epochs=12),
    conv_clusters=8,
    linear_clusters=6,
    trained=SharingConfig(rate_weight=0.02),
)

_SMALL_POINT = OperatingPoint("vgg16_cifar10_small", _SMALL)
POINTS = {
    point.name: point
    for point in (
        OperatingPoint("vgg16_cifar10", _MAIN, start=_FIRST_POINT, start_file=_FIRST, teachers=(_TEACHER,)),
        _SMALL_POINT,
        # From the pruned small network, which teaches it; a fifth of the multiply-adds go first.
        OperatingPoint("vgg16_cifar10_tiny", _TINY, start=_SMALL_POINT, slim_again=0.8),
    )
}


@commit_of_start()
def compress_to_point(
    source: str | Path, point: str, out: str | Path, *, workdir: str | Path, device: str | None = None
) -> dict:
    """Compress a trained VGG-16 to one of the capstone's operating points.

    Parameters
    ----------
    source : path
        As in `compress.files.open_model`: a VGG-16 with ten classes, such as a ``.safetensors`` file.
    point : str
        A key of `POINTS`.
    out : path
        Where the `.dcz` file is written.
    workdir : path
        Checkpoints, from which a stopped run goes on.
    device : str, optional
        By default the GPU if there is one.

    Returns
    -------
    dict
        The figures of `compress.points.run_point`.

    Raises
    ------
    ValueError
        There is no such point, or `source` holds another network.
    """
    if point not in POINTS:
        raise ValueError(f"no operating point {point!r}: expected one of {', '.join(POINTS)}")
    model, architecture = open_model(source)
    if architecture != ARCHITECTURE:
        raise ValueError(f"{source} holds {architecture}: operating points are for vgg16 with 10 classes")
    training, validation = training_sets("cifar10", architecture)
    sets = Sets(training, load_dataset("cifar10", "test"), validation)
    figures = run_point(POINTS[point], model, sets, workdir, architecture=ARCHITECTURE, device=device)
    with whole_file(out) as aside:
        aside.write_bytes((Path(workdir) / figures["file"]).read_bytes())
    return figures
