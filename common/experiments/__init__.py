"""Measurements that take too long for a lecture: ``dnnc study NAME`` and ``dnnc reproduce NAME`` make them.

An experiment is a module with a function ``run(*, device, resume)`` that trains and measures, goes on from
what an earlier run has left in ``runs/``, and returns an `Outcome`. Its figures are stored as JSON together
with how they were made (`common.base.results`). A lecture reads them with `read_experiment` and shows them
beside a small live run of the same code. A reproduction is an experiment whose figures stand beside published
ones.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

from common.base.files import ROOT
from common.base.results import commit_of_start, read_result, write_result

WORKDIR = ROOT / "runs" / "studies"


@dataclass(frozen=True)
class Entry:
    """An experiment's result file, relative to the repository, what it measures, and its command."""

    result: str
    what: str
    command: str = "dnnc reproduce"


@dataclass(frozen=True)
class Outcome:
    """What an experiment has found.

    Attributes
    ----------
    figures : mapping
        In JSON's types.
    markdown : str
        The published rows beside ours, where there are any.
    datasets : tuple of ImageSet, optional
        The images that were used; `run_experiment` then stores the figures. None if `run` has stored them
        itself, after each of its parts.
    seed : int, optional
        The first of the experiment's seeds.
    """

    figures: Mapping[str, object]
    markdown: str = ""
    datasets: tuple | None = None
    seed: int | None = 0

    def to_dict(self) -> dict:
        """All figures."""
        return dict(self.figures)

    def table(self) -> str:
        """The published rows and ours, as markdown; empty where none were published."""
        return self.markdown


STUDY = "dnnc study"
EXPERIMENTS = {
    "choices": Entry("capstone/results/choices.json", "the shipped files' options, on validation images"),
    "relevance": Entry("week05_pruning/results/relevance.json", "pruning by relevance, VGG-16"),
    "lenets": Entry("capstone/results/lenets.json", "Deep Compression's LeNets on MNIST"),
    "tiny_lenets": Entry(
        "capstone/results/tiny_lenets.json", "the LeNets as small as they go, with three seeds"
    ),
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
    "pruning_curves": Entry("week05_pruning/results/pruning_curves.json", "accuracy against sparsity", STUDY),
    "penalties": Entry(
        "week05_pruning/results/penalties.json", "L1 against L2, before and after pruning", STUDY
    ),
    "criteria": Entry("week05_pruning/results/criteria.json", "pruning criteria at equal sparsity", STUDY),
    "bits": Entry("week06_quantization/results/bits.json", "accuracy against bits per weight", STUDY),
    "sharing_bits": Entry(
        "week06_quantization/results/sharing_bits.json", "shared weights of VGG-16: bits and accuracy", STUDY
    ),
}


@commit_of_start()
def run_experiment(name: str, *, device: str | None = None, resume: bool = True) -> Outcome:
    """Train and measure, and store the figures where `read_experiment` finds them.

    Parameters
    ----------
    name : str
        A key of `EXPERIMENTS`; the module of that name in this package runs it.
    device : str, optional
        By default the GPU if there is one.
    resume : bool
        Whether to go on from what an earlier run has left in ``runs/``.

    Returns
    -------
    Outcome

    Raises
    ------
    ValueError
        No experiment of that name.
    """
    _known(name)
    outcome = importlib.import_module(f"common.experiments.{name}").run(device=device, resume=resume)
    if outcome.datasets is not None:
        store(name, outcome.figures, seed=outcome.seed, datasets=outcome.datasets, device=device)
    return outcome


def store(
    name: str, figures: Mapping[str, object], *, seed: int | None, datasets: tuple, device: str | None
) -> None:
    """Write an experiment's figures with how they were made: command, seed, images and device."""
    from common.networks.training import default_device

    entry = _known(name)
    write_result(
        ROOT / entry.result,
        figures,
        command=f"{entry.command} {name}",
        seed=seed,
        dataset=list(datasets),
        device=device or default_device(),
    )


def read_experiment(name: str) -> dict:
    """The stored figures of an experiment.

    Raises
    ------
    ValueError
        No experiment of that name.
    FileNotFoundError
        The experiment has not been run.
    """
    entry = _known(name)
    path = ROOT / entry.result
    if not path.exists():
        raise FileNotFoundError(f"file not found: {path}; make it with `{entry.command} {name}`")
    return read_result(path)["figures"]


def _known(name: str) -> Entry:
    if name not in EXPERIMENTS:
        raise ValueError(f"no experiment {name!r}: expected one of {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]
