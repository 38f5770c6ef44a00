"""The whole loop live on a small machine, on digits: train, prune, share, code, write, read back, evaluate.

A VGG-16 of a quarter of the width (an eighth under test) learns the 4,000 digits that come inside the
dependencies, padded to its 32×32 inputs. It is *not* CIFAR-10: digits are far easier, and its figures stand
in a table of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from common.datasets import load_dataset
from common.image_fitting import first_images, fit_images
from common.models import INPUT_SHAPES, build
from common.operating_points import OperatingPoint, run_point
from common.pipeline import CompressConfig, with_epochs
from common.training import TrainConfig, train

NAME = "vgg16_digits"
_TRAIN = TrainConfig(
    epochs=6, batch_size=100, max_lr=0.05, warmup=0.3, label_smoothing=0.0, crop_padding=2, flip=False
)
_CONFIG = CompressConfig(
    sparsity=0.95, conv_clusters=16, linear_clusters=16,
    prune=replace(_TRAIN, epochs=4, max_lr=0.02, warmup=0.1),
    share=replace(_TRAIN, epochs=2, max_lr=1e-3, warmup=0.1, optimizer="adam"),
)  # fmt: skip


@dataclass(frozen=True)
class DigitsRun:
    """Size of the run: the factor on VGG-16's channels, images, and epochs of each stage.

    `n_train` and `n_test` take the first images of each split, by default all 4,000 and 1,000.
    """

    width: float = 0.25
    n_train: int | None = None
    n_test: int | None = None
    train_epochs: int = 6
    config: CompressConfig = _CONFIG


WHOLE_RUN = DigitsRun()
SHORT_RUN = DigitsRun(
    width=0.125, train_epochs=2, config=replace(with_epochs(_CONFIG, prune=3, share=1), sparsity=0.92)
)


def run_digits(
    size: DigitsRun = WHOLE_RUN, *, folder: str | Path, device: str | None = None,
    say: Callable[[str], None] = print,
) -> dict:  # fmt: skip
    """Train a fresh network, and take it through all stages.

    Parameters
    ----------
    size : DigitsRun
    folder : path
        Where ``vgg16_digits.dcz`` is written.
    device : str, optional
        By default the GPU if there is one.
    say : callable
        Told what happens, one line a stage.

    Returns
    -------
    dict
        As `operating_points.run_point` returns it.
    """
    training, test = (
        fit_images(first_images(load_dataset("digits", split), n), INPUT_SHAPES["vgg16"])
        for split, n in (("train", size.n_train), ("test", size.n_test))
    )
    architecture = {"architecture": "vgg16", "num_classes": 10, "width": size.width}
    model = build("vgg16", width=size.width)
    say(f"digits: training a VGG-16 of width {size.width:g} on {len(training)} digits")
    config = replace(_TRAIN, epochs=size.train_epochs)
    train(model, training, config, description="digits: training", device=device)
    values = f"{size.config.conv_clusters} values a layer"
    say(f"digits: pruning {size.config.sparsity:.0%} of the weights and sharing {values}, with fine-tuning")
    with TemporaryDirectory() as checkpoints:  # the run is live each time: nothing of an earlier one is read
        figures = run_point(
            OperatingPoint(NAME, size.config), model, training, test=test, folder=folder, workdir=checkpoints,
            architecture=architecture, device=device,
        )  # fmt: skip
    say(f"digits: {figures['file']} has {figures['file_bytes']:,} bytes; read back from it and evaluated")
    return figures
