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

from common.results import read_result, write_result

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
    return importlib.import_module(f"common.reproductions.{name}").run(device=device, resume=resume)


def store(
    name: str, figures: Mapping[str, object], *, seed: int | None, datasets: tuple, device: str | None
) -> None:
    """Write a reproduction's figures with how they were made, where its lecture finds them."""
    from common.training import default_device

    write_result(
        ROOT / _known(name).result, figures, command=f"dnnc reproduce {name}", seed=seed,
        dataset=list(datasets), device=device or default_device(),
    )  # fmt: skip


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
