"""Deep Compression's table of VGG-16 for the shipped files: ours is for CIFAR-10, theirs for ImageNet.

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
from common.report.sizes import layer_rows, size_report, stage_sizes

LAYERS = "results/vgg16_layers.json"


def reproduce_vgg16(*, folder: str | Path = FOLDER, command: str = "dnnc reproduce vgg16") -> Outcome:
    """Measure the shipped VGG-16 files layer by layer.

    Parameters
    ----------
    folder : path
        Holds the files and ``results/operating_points.json``; gets ``results/vgg16_layers.json``.
    command : str
        The command that the stored results name as their origin.

    Returns
    -------
    Outcome
        Its figures are ``points``: a `compress.points.Row` each, without histograms and options.

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
    """The stored row, with every size counted again in the file's bytes."""
    data, whole_bytes = shipped.opened, shipped.stored["dense_bytes"]
    report, sizes = size_report(data, dense_bytes=whole_bytes), stage_sizes(data, dense_bytes=whole_bytes)
    stored = {key: value for key, value in shipped.stored.items() if key not in ("histograms", "config")}
    return stored | {
        "file_bytes": len(data),
        "ratio": report.ratio,
        "ratio_before_huffman": whole_bytes / sizes["shared"],
        "bits_per_weight": report.bits_per_weight,
        "sparsity": report.sparsity,
        "stages": [stage | {"bytes": sizes[stage["name"]]} for stage in shipped.stored["stages"]],
        "layers": layer_rows(data),
    }
