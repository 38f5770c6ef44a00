"""The capstone: VGG-16 for CIFAR-10, compressed end to end and judged by the course's targets.

``dnnc capstone`` and ``capstone/capstone.ipynb`` both call `run_capstone`. What it does depends on the
profile (`profiles`); every figure says whether it was measured in this run or quoted from the stored results.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from common.baseline import train_baseline
from common.datasets import load_dataset
from common.digits_run import SHORT_RUN, WHOLE_RUN, DigitsRun, run_digits
from common.model_files import open_model
from common.operating_points import POINTS, run_point
from common.packing import unpack
from common.profiles import Profile, choose_profile
from common.recipes import N_VALIDATION
from common.report import is_met, target_table
from common.results import read_result, write_result
from common.shipped import (
    BASELINE,
    RESULTS,
    FineTune,
    Shipped,
    code_anew,
    fine_tune_briefly,
    fingerprint,
    load_shipped,
)
from common.splits import train_val_split
from common.training import default_device, evaluate, is_first_process

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "capstone"
WORKDIR = ROOT / "runs" / "vgg16_cifar10"
HEADLINE = "vgg16_cifar10"
SEED = 0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """One compressed network of the result.

    Attributes
    ----------
    title : str
        Network and data set, in plain words.
    figures : dict
        As `operating_points.run_point` returns it.
    stored : frozenset of str
        Keys of `figures` that were not measured in this run but quoted from the stored results.
    is_judged : bool
        Whether the course's targets must hold for it.
    """

    title: str
    figures: dict
    stored: frozenset[str] = frozenset()
    is_judged: bool = True

    @property
    def is_met(self) -> bool:
        """Whether all of the course's targets hold."""
        return is_met(self.figures)

    def table(self) -> str:
        """The title and the targets, each with its measured value, as markdown."""
        return f"{self.title}\n\n{target_table(self.figures, stored=self.stored)}"


@dataclass(frozen=True)
class CapstoneResult:
    """What a run of the capstone found: its parts by name, the headline first."""

    profile: Profile
    parts: dict[str, Part]
    fine_tune: FineTune | None = None

    @property
    def is_met(self) -> bool:
        """Whether every part that is judged meets the course's targets."""
        return all(part.is_met for part in self.parts.values() if part.is_judged)

    def table(self) -> str:
        """The targets of every part, and the verdict, as markdown."""
        verdict = "The course's targets are met." if self.is_met else "The course's targets are MISSED."
        return "\n\n".join([*(part.table() for part in self.parts.values()), verdict])

    def to_dict(self) -> dict:
        """For JSON."""
        return {
            "profile": self.profile.name,
            "reason": self.profile.reason,
            "targets_met": self.is_met,
            "parts": {
                name: {"title": part.title, "targets_met": part.is_met, "is_judged": part.is_judged,
                       "stored_not_measured_now": sorted(part.stored), **part.figures}
                for name, part in self.parts.items()
            },
        }  # fmt: skip


def run_capstone(
    profile: str | None = None, *, resume: bool = True, folder: str | Path = FOLDER,
    workdir: str | Path = WORKDIR, device: str | None = None, say: Say = print,
    digits: DigitsRun | None = None,
) -> CapstoneResult:  # fmt: skip
    """Run the capstone to its table of targets.

    Parameters
    ----------
    profile : {"full", "cpu", "offline", "test"}, optional
        By default what the environment asks for, else what the machine allows (`profiles.choose_profile`).
    resume : bool
        In the full profile: whether to go on from the checkpoints in `workdir`; else they are deleted.
    folder : path
        Where the shipped files are, and where the full profile writes them.
    workdir : path
        Checkpoints, and the files of the live runs.
    device : str, optional
        By default the GPU if there is one.
    say : callable
        Told what happens, one line at a time; the profile first.
    digits : DigitsRun, optional
        Another size for the live run of the profiles offline and test.

    Raises
    ------
    FileNotFoundError, ValueError
        Shipped files or the data set are missing, or do not belong together.
    """
    chosen = choose_profile(profile)
    say = say if is_first_process() else _say_nothing
    say(str(chosen))
    folder, workdir = Path(folder), Path(workdir)
    if chosen.name == "full":
        return CapstoneResult(chosen, _run_full(folder, workdir, resume=resume, device=device, say=say))
    shipped = load_shipped(folder)
    if chosen.name == "cpu":
        parts = _measure_shipped(folder, shipped, device=device, say=say)
        tuned = fine_tune_briefly(
            shipped[HEADLINE], load_dataset("cifar10", "train"), load_dataset("cifar10", "test"),
            device=device, say=say,
        )  # fmt: skip
        return CapstoneResult(chosen, parts, tuned)
    parts = {name: _quote(point, code_anew(point, say=say)) for name, point in shipped.items()}
    size = digits or (SHORT_RUN if chosen.name == "test" else WHOLE_RUN)
    with TemporaryDirectory() as passing:  # tests leave nothing behind
        live = Path(passing) if chosen.name == "test" else workdir.with_name("vgg16_digits")
        figures = run_digits(size, folder=live, device=device, say=say)
    title = f"VGG-16 of width {size.width:g} on 28×28 digits: the whole loop, live. This is *not* CIFAR-10."
    return CapstoneResult(chosen, parts | {"digits": Part(title, figures)})


def _say_nothing(line: str) -> None:
    """What the other processes under ``torchrun`` say."""


def _run_full(folder: Path, workdir: Path, *, resume: bool, device: str | None, say: Say) -> dict[str, Part]:
    """Train if there is no baseline, make every operating point, and store files and figures after each."""
    if not resume:
        for checkpoint in workdir.glob(f"{HEADLINE}*.pt"):
            checkpoint.unlink()
    baseline = folder / BASELINE
    if not baseline.exists():
        say(f"training the baseline: there is no {baseline}")
        train_baseline(
            "vgg16", weights=baseline, result=folder / "results/baseline.json", workdir=workdir,
            device=device, resume=resume, command="dnnc capstone --profile full",
        )  # fmt: skip
    model, _ = open_model(baseline)
    test = load_dataset("cifar10", "test")
    training, validation = train_val_split(
        load_dataset("cifar10", "train"), n_validation=N_VALIDATION["cifar10"], seed=SEED
    )
    results = folder / RESULTS
    stored = read_result(results)["figures"] if resume and results.exists() else {}
    parts = {}
    for name, point in POINTS.items():
        say(f"{name}: pruning to {point.config.sparsity:.1%}, sharing, coding")
        figures = run_point(
            point, copy.deepcopy(model), training, validation=validation, test=test, folder=folder,
            workdir=workdir, device=device,
        )  # fmt: skip
        figures["sha256"] = fingerprint((folder / figures["file"]).read_bytes())
        stored[name] = figures
        if is_first_process():  # after each point: files and figures belong together whenever it is stopped
            write_result(
                results, stored, command="dnnc capstone --profile full", seed=SEED,
                dataset=[training, validation, test], device=device or default_device(),
            )  # fmt: skip
        say(f"{name}: {figures['file_bytes']:,} bytes, {figures['ratio']:.0f}×, top-1 {figures['top1']:.4f}")
        parts[name] = Part(_title(name), figures, is_judged=name == HEADLINE)
    return parts


def _measure_shipped(
    folder: Path, shipped: dict[str, Shipped], *, device: str | None, say: Say
) -> dict[str, Part]:
    """Code the shipped files anew, and measure what is decoded from them beside the baseline."""
    test = load_dataset("cifar10", "test")
    model, _ = open_model(folder / BASELINE)
    baseline = evaluate(model, test, device=device)
    say(f"baseline: top-1 {baseline.top1:.4f} on {baseline.n:,} test images, measured now")
    parts = {}
    for name, point in shipped.items():
        figures = code_anew(point, say=say)
        decoded = evaluate(unpack(point.model), test, device=device)
        say(f"{name}: top-1 {decoded.top1:.4f} of the decoded network, measured now")
        figures |= {
            "baseline_top1": baseline.top1, "top1": decoded.top1, "n_test": decoded.n,
            "drop_points": 100 * (baseline.top1 - decoded.top1),
        }  # fmt: skip
        parts[name] = _quote(point, figures)
    return parts


def _quote(point: Shipped, measured: dict) -> Part:
    """A part whose figures were measured now where they could be, and quoted where not."""
    return Part(
        _title(point.name), point.stored | measured, stored=frozenset(point.stored) - frozenset(measured),
        is_judged=point.name == HEADLINE,
    )  # fmt: skip


def _title(name: str) -> str:
    return f"VGG-16 on CIFAR-10: {name}.dcz" + ("" if name == HEADLINE else " (for the curve only)")
