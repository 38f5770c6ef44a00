"""The paper's table of VGG-16, made again from the shipped files: ours is for CIFAR-10, theirs for ImageNet.

    dnnc reproduce vgg16        reads capstone/vgg16_cifar10*.dcz, writes results/vgg16_layers.json

Every size is counted in the bytes of a file. Accuracies are those of ``results/operating_points.json``, which
were measured when the file was made; a file that is not the measured one is refused.
"""

from __future__ import annotations

from pathlib import Path

from common.base.results import read_result, write_result
from common.capstone.shipped import RESULTS, Shipped, load_shipped
from common.experiments import Outcome
from common.experiments.lenets import FOLDER, to_markdown
from common.report.sizes import layer_rows, stage_sizes

LAYERS = "results/vgg16_layers.json"


def reproduce_vgg16(*, folder: str | Path = FOLDER, command: str = "dnnc reproduce vgg16") -> Outcome:
    """Measure the shipped VGG-16 files layer by layer.

    Parameters
    ----------
    folder : path
        Holds the files and ``results/operating_points.json``; gets ``results/vgg16_layers.json``.
    command : str
        What the results say that they were made with.

    Returns
    -------
    Outcome
        Points as `lenets.reproduce_lenets` describes them, without ``config``, ``targets`` and
        ``validation_error``, and with ``sha256``, that of the file.

    Raises
    ------
    FileNotFoundError
        A file or its results are missing.
    ValueError
        A file is not the one that the results were measured on.
    """
    folder = Path(folder)
    points = [_row(shipped) for shipped in load_shipped(folder).values()]
    result = Outcome({"points": points}, to_markdown(points))
    measured = read_result(folder / RESULTS)
    write_result(
        folder / LAYERS,
        result.to_dict(),
        command=command,
        device="cpu",
        seed=measured["seed"],
        dataset=measured["dataset"],
    )
    return result


def run(*, device: str | None = None, resume: bool = True) -> Outcome:
    """The shipped files; nothing is trained, so neither option changes anything."""
    return reproduce_vgg16()


def _row(shipped: Shipped) -> dict:
    """The figures of one file."""
    stored, data = shipped.stored, shipped.opened
    stages = stage_sizes(data, dense_bytes=stored["dense_bytes"])
    layers = layer_rows(data)
    n_weights, n_kept = (sum(layer[key] for layer in layers) for key in ("n_weights", "n_kept"))
    return {
        "name": shipped.name,
        "network": "vgg16",
        "file": stored["file"],
        "sha256": stored["sha256"],
        "file_bytes": len(data),
        "dense_bytes": stored["dense_bytes"],
        "ratio": stored["dense_bytes"] / len(data),
        "ratio_before_huffman": stored["dense_bytes"] / stages["shared"],
        "sparsity": 1.0 - n_kept / n_weights,
        "baseline_error": 1.0 - stored["baseline_top1"],
        "error": 1.0 - stored["top1"],
        "n_test": stored["n_test"],
        "stages": stages,
        "layers": layers,
    }
