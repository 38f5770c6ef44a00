"""Published results made again, beside the published figures: ``dnnc reproduce NAME``.

A reproduction is a module with a function ``run(*, device, resume)`` that trains and measures, stores its
figures as JSON (`store`), goes on from checkpoints in ``runs/NAME``, and returns a `Reproduction`. A lecture
reads the stored figures with `read_reproduction` and shows them beside a small live run of the same code.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.base.results import read_result, write_result

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Entry:
    """A reproduction's result file, relative to the repository, and what it is, in a few words."""

    result: str
    what: str


@dataclass(frozen=True)
class Reproduction:
    """What came out: figures in JSON's types, and the published rows beside ours as markdown."""

    figures: Mapping[str, object]
    markdown: str

    def to_dict(self) -> dict:
        """All figures."""
        return dict(self.figures)

    def table(self) -> str:
        """The published rows and ours."""
        return self.markdown


REPRODUCTIONS = {
    "choices": Entry("capstone/results/choices.json", "the shipped files' options, on validation images"),
    "relevance": Entry("week05_pruning/results/relevance.json", "pruning by relevance, VGG-16"),
    "lenets": Entry("capstone/results/lenets.json", "Deep Compression's LeNets on MNIST"),
    "tiny_lenets": Entry("capstone/results/tiny_lenets.json", "the LeNets as small as they go, three seeds"),
    "variational_dropout": Entry(
        "week05_pruning/results/variational_dropout.json", "sparse variational dropout's LeNets on MNIST"
    ),
    "binary": Entry("week06_quantization/results/binary.json", "binary and ternary weights, the LeNets"),
    "low_rank": Entry("week03_cnns/results/low_rank.json", "thin layers for trained ones, SVD and Tucker-2"),
    "alexnet": Entry("capstone/results/alexnet.json", "AlexNet of ten classes at 224×224; wants a GPU"),
    "vgg16": Entry("capstone/results/vgg16_layers.json", "Deep Compression's table of VGG-16, for our files"),
    "lottery_tickets": Entry(
        "week05_pruning/results/lottery_tickets.json", "winning tickets and controls, LeNet-300-100, Conv-2"
    ),
    "distillation": Entry("week06_quantization/results/distillation.json", "distillation of MNIST's digits"),
}


def run_reproduction(name: str, *, device: str | None = None, resume: bool = True):
    """Train and measure; an object with ``to_dict()`` and ``table()``.

    Raises
    ------
    ValueError
        No reproduction of that name.
    """
    _known(name)
    return importlib.import_module(f"common.experiments.{name}").run(device=device, resume=resume)


def store(
    name: str, figures: Mapping[str, object], *, seed: int | None, datasets: tuple, device: str | None
) -> None:
    """Write a reproduction's figures with how they were made, where its lecture finds them."""
    from common.networks.training import default_device

    write_result(
        ROOT / _known(name).result,
        figures,
        command=f"dnnc reproduce {name}",
        seed=seed,
        dataset=list(datasets),
        device=device or default_device(),
    )


def read_reproduction(name: str) -> dict:
    """The stored figures of a reproduction.

    Raises
    ------
    ValueError
        No reproduction of that name.
    FileNotFoundError
        It has not been run.
    """
    path = ROOT / _known(name).result
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there: make it with `dnnc reproduce {name}`")
    return read_result(path)["figures"]


def _known(name: str) -> Entry:
    if name not in REPRODUCTIONS:
        raise ValueError(f"cannot reproduce {name!r}: expected one of {', '.join(REPRODUCTIONS)}")
    return REPRODUCTIONS[name]


# ----------------------------------------------------------------------------------------------------
# Measurements that take too long for a lecture: ``dnnc study NAME`` makes them, the notebooks plot them.
#
# A study is a module with one function ``run(*, workdir, device, resume) -> StudyResult``. Its figures are
# stored as JSON in the week's ``results/`` with how they were made (`common.base.results`); a lecture reads
# them with `read_study` and shows them beside a small live run of the same code.


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
    name: str,
    *,
    workdir: str | Path = ROOT / "runs" / "studies",
    device: str | None = None,
    resume: bool = True,
    command: str | None = None,
) -> dict:
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
    study = _known___init__(name)
    from common.networks.training import default_device

    device = device or default_device()
    module = importlib.import_module(f"common.experiments.{name}")
    result = module.run(workdir=Path(workdir) / name, device=device, resume=resume)
    write_result(
        ROOT / study.result,
        result.figures,
        command=command or f"dnnc study {name}",
        seed=result.seed,
        dataset=list(result.datasets),
        device=device,
    )
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
    path = ROOT / _known___init__(name).result
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there: make it with `dnnc study {name}`")
    return read_result(path)["figures"]


def _known___init__(name: str) -> Study:
    if name not in STUDIES:
        raise ValueError(f"study {name!r}: expected one of {', '.join(STUDIES)}")
    return STUDIES[name]
