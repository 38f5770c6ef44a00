"""The whole loop live on a small machine, on digits: train, prune, share, code, write, read back, evaluate.

A VGG-16 of a quarter of the width (an eighth under test) learns the 4,000 digits that come inside the
dependencies, padded to its 32×32 inputs. It is *not* CIFAR-10: digits are far easier, and its figures stand
in a table of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from common.container import save_file
from common.datasets import load_dataset
from common.image_fitting import first_images, fit_images
from common.models import INPUT_SHAPES, build, dense_bytes
from common.packing import pack
from common.pipeline import CompressConfig, decompress, share, with_epochs
from common.report import stage_sizes
from common.thinning import prune, whole_network
from common.training import TrainConfig, evaluate, train

FILE = "vgg16_digits.dcz"
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
    """Take a fresh network through all stages and measure it after each.

    Parameters
    ----------
    size : DigitsRun
    folder : path
        Where `FILE` is written.
    device : str, optional
        By default the GPU if there is one.
    say : callable
        Told what happens, one line a stage.

    Returns
    -------
    dict
        As `operating_points.run_point` returns it, without the histograms.
    """
    training, test = (
        fit_images(first_images(load_dataset("digits", split), n), INPUT_SHAPES["vgg16"])
        for split, n in (("train", size.n_train), ("test", size.n_test))
    )
    architecture = {"architecture": "vgg16", "num_classes": 10, "width": size.width}
    model = build("vgg16", width=size.width)
    top1, where = {}, {"device": device}

    say(f"digits: training a VGG-16 of width {size.width:g} on {len(training)} digits")
    train(model, training, replace(_TRAIN, epochs=size.train_epochs), description="digits: training", **where)
    top1["dense"] = evaluate(model, test, **where).top1
    whole_bytes = dense_bytes(model)

    config = size.config
    say(f"digits: pruning {config.sparsity:.0%} of the weights and fine-tuning the rest")
    thin = whole_network(model)
    prune(thin, training, config.prune, sparsity=config.sparsity, description="digits: pruning", **where)
    top1["pruned"] = evaluate(thin.model, test, **where).top1

    say(f"digits: sharing {config.conv_clusters} values a layer and fine-tuning them")
    shared = share(thin, training, config, **where)
    top1["shared"] = evaluate(thin.model, test, **where).top1

    path = Path(folder) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(pack(thin.model, shared, architecture), path, store_names=False)
    data = path.read_bytes()
    decoded = evaluate(decompress(data), test, **where)
    top1["huffman"] = decoded.top1
    say(f"digits: wrote {FILE}, {len(data):,} bytes, and evaluated what was read back from it")
    return {
        "file": FILE,
        "file_bytes": len(data),
        "dense_bytes": whole_bytes,
        "ratio": whole_bytes / len(data),
        "bits_per_weight": 32 * len(data) / whole_bytes,
        "sparsity": thin.sparsity,
        "baseline_top1": top1["dense"],
        "top1": decoded.top1,
        "n_test": decoded.n,
        "drop_points": 100 * (top1["dense"] - decoded.top1),
        "stages": [
            {"name": name, "bytes": n_bytes, "top1": top1[name]}
            for name, n_bytes in stage_sizes(data, dense_bytes=whole_bytes).items()
        ],
    }
