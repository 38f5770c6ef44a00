"""Measurements that take too long for a lecture: ``dnnc study NAME`` makes them, the notebooks plot them.

A study is a module with one function ``run(*, workdir, device, resume) -> StudyResult``. Its figures are
stored as JSON in the week's ``results/`` with how they were made (`common.results`); a lecture reads them
with `read_study` and shows them beside a small live run of the same code.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.results import read_result, write_result

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Study:
    """A study's result file, relative to the repository, and what it measures, in a few words."""

    result: str
    what: str


@dataclass(frozen=True)
class StudyResult:
    """What a study's ``run`` returns: figures in JSON's types, the image sets it used, and its seed."""

    figures: Mapping[str, object]
    datasets: tuple
    seed: int | None = 0


STUDIES = {
    "pruning_curves": Study("week05_pruning/results/pruning_curves.json", "accuracy against sparsity"),
    "criteria": Study("week05_pruning/results/criteria.json", "pruning criteria at equal sparsity"),
    "bits": Study("week06_quantization/results/bits.json", "accuracy against bits a weight"),
    "sharing_bits": Study(
        "week06_quantization/results/sharing_bits.json", "shared weights of VGG-16: bits against accuracy"
    ),
}


def run_study(
    name: str, *, workdir: str | Path = ROOT / "runs" / "studies", device: str | None = None,
    resume: bool = True, command: str | None = None,
) -> dict:  # fmt: skip
    """Run a study and store its figures.

    Parameters
    ----------
    name : str
        A key of `STUDIES`; the module of that name in this package runs it.
    workdir : path
        Where checkpoints are kept, one folder a study.
    device : str, optional
        By default the GPU if there is one.
    resume : bool
        Whether to go on from checkpoints.
    command : str, optional
        What the result says that it was made with.

    Raises
    ------
    ValueError
        No study of that name.
    """
    study = _known(name)
    from common.training import default_device

    device = device or default_device()
    module = importlib.import_module(f"common.studies.{name}")
    result = module.run(workdir=Path(workdir) / name, device=device, resume=resume)
    write_result(
        ROOT / study.result, result.figures, command=command or f"dnnc study {name}", seed=result.seed,
        dataset=list(result.datasets), device=device,
    )  # fmt: skip
    return dict(result.figures)


def read_study(name: str) -> dict:
    """The stored figures of a study.

    Raises
    ------
    ValueError
        No study of that name.
    FileNotFoundError
        It has not been run.
    """
    path = ROOT / _known(name).result
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there: make it with `dnnc study {name}`")
    return read_result(path)["figures"]


def _known(name: str) -> Study:
    if name not in STUDIES:
        raise ValueError(f"study {name!r}: expected one of {', '.join(STUDIES)}")
    return STUDIES[name]
