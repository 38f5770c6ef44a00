"""The capstone: VGG-16 for CIFAR-10, compressed end to end and judged by the course's targets.

``dnnc capstone`` and ``capstone/capstone.ipynb`` both call `run_capstone`. What it does depends on the
profile (`choose_profile`); every figure says whether it was measured in this run or quoted from the stored
results.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from common.base.files import ROOT
from common.base.results import code_commit, commit_of_start, read_result, write_result
from common.capstone.shipped import (
    BASELINE,
    RESULTS,
    FineTune,
    Shipped,
    encode_again,
    fine_tune_briefly,
    fingerprint,
    load_shipped,
)
from common.capstone.vgg16 import ARCHITECTURE, POINTS
from common.compress.files import open_model
from common.compress.packing import unpack
from common.compress.pipeline import CompressConfig, with_epochs
from common.compress.points import OperatingPoint, Sets, options_of, run_point
from common.data.datasets import load_dataset
from common.data.image_set import first_images, fit_images, train_val_split
from common.networks.baseline import N_VALIDATION, train_baseline
from common.networks.models import INPUT_SHAPES, build
from common.networks.training import TrainConfig, default_device, evaluate, is_first_process, train
from common.report.sizes import is_met, target_table

# ----------------------------------------------------------------------------------------------------
# The whole pipeline live on a small machine, on digits: train, prune, share, code, write, read back, measure.
#
# A VGG-16 of a quarter of the width (an eighth under test) is trained on the 4,000 digits that come inside
# the dependencies, padded to its 32×32 inputs. That is *not* CIFAR-10: digits are far easier, and their
# figures stand in a table of their own.

NAME = "vgg16_digits"
_TRAIN = TrainConfig(
    epochs=6, batch_size=100, max_lr=0.05, warmup=0.3, label_smoothing=0.0, crop_padding=2, flip=False
)
_CONFIG = CompressConfig(
    sparsity=0.95,
    conv_clusters=16,
    linear_clusters=16,
    prune=replace(_TRAIN, epochs=4, max_lr=0.02, warmup=0.1),
    share=replace(_TRAIN, epochs=2, max_lr=1e-3, warmup=0.1, optimizer="adam"),
)


@dataclass(frozen=True)
class DigitsRun:
    """How large the run on digits is.

    Attributes
    ----------
    width : float > 0
        Factor on VGG-16's channels.
    n_train, n_test : int, optional
        Only the first images of each split are used; by default all 4,000 and all 1,000.
    train_epochs : int
        Epochs of the training before the pruning.
    config : CompressConfig
        The pipeline's options, with the epochs of its two fine-tunings.
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
    size: DigitsRun = WHOLE_RUN,
    *,
    folder: str | Path,
    device: str | None = None,
    say: Callable[[str], None] = print,
) -> dict:
    """Train a new network on digits, and take it through all stages of the pipeline.

    Parameters
    ----------
    size : DigitsRun
    folder : path
        Where ``vgg16_digits.dcz`` is written.
    device : str, optional
        By default the GPU if there is one.
    say : callable
        Called with one line of text per stage.

    Returns
    -------
    dict
        As `compress.points.run_point` returns it.
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
    values = f"{size.config.conv_clusters} values per layer"
    say(f"digits: pruning {size.config.sparsity:.0%} of the weights and sharing {values}, with fine-tuning")
    with TemporaryDirectory() as checkpoints:  # the run is live each time: nothing of an earlier one is read
        figures = run_point(
            OperatingPoint(NAME, size.config),
            model,
            Sets(training, test),
            checkpoints,
            folder=folder,
            architecture=architecture,
            device=device,
        )
    say(f"digits: {figures['file']} has {figures['file_bytes']:,} bytes; read back from it and evaluated")
    return figures


# ----------------------------------------------------------------------------------------------------
# The capstone's profiles: how much of it this machine can do, chosen once and printed first.
#
# ===========  ==========================  =================================================================
# ``full``     a GPU, CIFAR-10             everything is trained, compressed and measured; what is made
#                                          already is measured only
# ``cpu``      CIFAR-10, at most 15 min    shipped files are coded again and measured; a short live fine-tune
# ``offline``  neither, at most 3 min      shipped files are coded again, their accuracies quoted; the whole
#                                          loop live on the digits that come inside the dependencies
# ``test``     as offline, a minute        the same with the fewest epochs that still meet the targets
# ===========  ==========================  =================================================================
#
# ``dnnc capstone --profile``, or ``DNNC_CAPSTONE_PROFILE`` in the environment, chooses by hand; the suite of
# tests sets ``test``.

PROFILES = ("full", "cpu", "offline", "test")
SWITCH = "DNNC_CAPSTONE_PROFILE"


@dataclass(frozen=True)
class Profile:
    """A profile's name, and why it is this one."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"profile {self.name}: {self.reason}"


def choose_profile(requested: str | None = None) -> Profile:
    """The profile that was asked for, here or in the environment, else the one that the machine allows.

    Parameters
    ----------
    requested : {"full", "cpu", "offline", "test"}, optional
        Goes before the environment variable ``DNNC_CAPSTONE_PROFILE``.

    Returns
    -------
    Profile
        Where neither asks for one, CIFAR-10 is looked for, and downloaded if no folder has it. Without an
        internet connection that is given up within ten seconds.

    Raises
    ------
    ValueError
        No such profile.
    """
    for name, reason in ((requested, "asked for"), (os.environ.get(SWITCH), f"{SWITCH} asks for it")):
        if name:
            if name not in PROFILES:
                raise ValueError(f"profile {name!r} ({reason}): expected one of {', '.join(PROFILES)}")
            return Profile(name, reason)
    return _fitting_profile()


def _fitting_profile() -> Profile:
    import torch  # slow to import, and a profile that was asked for needs neither

    from common.data.datasets import DatasetNotFoundError, load_dataset

    try:
        for split in ("test", "train"):
            load_dataset("cifar10", split)
    except DatasetNotFoundError:
        return Profile("offline", "CIFAR-10 is neither on this machine nor to be downloaded")
    if torch.cuda.is_available():
        return Profile("full", f"CIFAR-10 and a GPU ({torch.cuda.get_device_name()}) are at hand")
    return Profile("cpu", "CIFAR-10 is at hand, a GPU is not")


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
        As `compress.points.run_point` returns it.
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
                name: {
                    "title": part.title,
                    "targets_met": part.is_met,
                    "is_judged": part.is_judged,
                    "stored_not_measured_now": sorted(part.stored),
                    **part.figures,
                }
                for name, part in self.parts.items()
            },
        }


def run_capstone(
    profile: str | None = None,
    *,
    resume: bool = True,
    folder: str | Path = FOLDER,
    workdir: str | Path = WORKDIR,
    device: str | None = None,
    say: Say = print,
    digits: DigitsRun | None = None,
) -> CapstoneResult:
    """Run the capstone to its table of targets.

    Parameters
    ----------
    profile : {"full", "cpu", "offline", "test"}, optional
        By default what the environment asks for, else what the machine allows (`choose_profile`).
    resume : bool
        In the full profile: whether to go on from the checkpoints in `workdir`. If not, they are deleted.
    folder : path
        Where the shipped files are, and where the full profile writes them.
    workdir : path
        Checkpoints, and the files of the live runs.
    device : str, optional
        By default the GPU if there is one.
    say : callable
        Called with one line of text for everything that happens; the profile comes first.
    digits : DigitsRun, optional
        Another size for the live run of the profiles offline and test.

    Returns
    -------
    CapstoneResult

    Raises
    ------
    FileNotFoundError
        Shipped files or the data set are missing.
    ValueError
        There is no such profile, or a shipped file is not the one that the stored figures were measured on.
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
            shipped[HEADLINE],
            load_dataset("cifar10", "train"),
            load_dataset("cifar10", "test"),
            device=device,
            say=say,
        )
        return CapstoneResult(chosen, parts, tuned)
    parts = {name: _quote(point, encode_again(point, say=say)) for name, point in shipped.items()}
    size = digits or (SHORT_RUN if chosen.name == "test" else WHOLE_RUN)
    with TemporaryDirectory() as passing:  # tests leave nothing behind
        live = Path(passing) if chosen.name == "test" else workdir.with_name("vgg16_digits")
        figures = run_digits(size, folder=live, device=device, say=say)
    title = f"VGG-16 of width {size.width:g} on 28×28 digits: the whole loop, live. This is *not* CIFAR-10."
    return CapstoneResult(chosen, parts | {"digits": Part(title, figures)})


def _say_nothing(line: str) -> None:
    """Print nothing: under ``torchrun`` only the first process speaks."""


@commit_of_start()
def _run_full(folder: Path, workdir: Path, *, resume: bool, device: str | None, say: Say) -> dict[str, Part]:
    """Train if there is no baseline, make every operating point, and store files and figures after each.

    A point is not made again if its stored figures are of the same options and the same trained network, and
    its file is there: it is measured, and its row stays. So each row tells ``trained`` (SHA-256 of the
    trained network's file), ``commit`` and ``date``, besides what `compress.points.Row` has.
    """
    if not resume:
        for checkpoint in workdir.glob(f"{HEADLINE}*.pt"):
            checkpoint.unlink()
    baseline = folder / BASELINE
    if not baseline.exists():
        say(f"training the baseline: there is no {baseline}")
        train_baseline(
            "vgg16",
            weights=baseline,
            result=folder / "results/baseline.json",
            workdir=workdir,
            device=device,
            resume=resume,
            command="dnnc capstone --profile full",
        )
    model, _ = open_model(baseline)
    test = load_dataset("cifar10", "test")
    training, validation = train_val_split(
        load_dataset("cifar10", "train"), n_validation=N_VALIDATION["cifar10"], seed=SEED
    )
    results = folder / RESULTS
    stored = read_result(results)["figures"] if resume and results.exists() else {}
    trained = fingerprint(baseline.read_bytes())
    parts = {}
    for name, point in POINTS.items():
        row = stored.get(name, {})
        if _is_made(row, point, trained, folder):
            say(f"{name}: made by commit {row['commit']} on {row['date'][:10]}; measured again")
            made = {name: Shipped(name, (folder / row["file"]).read_bytes(), row)}
            try:
                parts |= _measure_shipped(folder, made, device=device, say=say)
                continue
            except ValueError as error:  # the coder has changed
                say(f"{error}: made again")
        say(f"{name}: pruning to {point.config.sparsity:.1%}, sharing, coding")
        figures = run_point(
            point,
            model,
            Sets(training, test, validation),
            workdir,
            folder=folder,
            architecture=ARCHITECTURE,
            device=device,
            resume=resume,
        )
        stored[name] = figures | {
            "trained": trained,
            "commit": code_commit(),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        if is_first_process():  # after each point: wherever the run is stopped, figures and files still agree
            write_result(
                results,
                stored,
                command="dnnc capstone --profile full",
                seed=SEED,
                dataset=[training, validation, test],
                device=device or default_device(),
            )
        say(f"{name}: {figures['file_bytes']:,} bytes, {figures['ratio']:.0f}×, top-1 {figures['top1']:.4f}")
        parts[name] = Part(_title(name), figures, is_judged=name == HEADLINE)
    return parts


def _is_made(row: Mapping, point: OperatingPoint, trained: str, folder: Path) -> bool:
    """Return whether a row is of this point and of the network with this SHA-256, and its file is there.

    Rows of earlier versions do not tell their options, and are made again.
    """
    path = folder / str(row.get("file"))
    return (
        row.get("config") == options_of(point)
        and row.get("trained") == trained
        and path.is_file()
        and fingerprint(path.read_bytes()) == row["sha256"]
    )


def _measure_shipped(
    folder: Path, shipped: dict[str, Shipped], *, device: str | None, say: Say
) -> dict[str, Part]:
    """Code the shipped files again, decode them, and measure the decoded networks beside the baseline."""
    test = load_dataset("cifar10", "test")
    model, _ = open_model(folder / BASELINE)
    baseline = evaluate(model, test, device=device)
    say(f"baseline: top-1 {baseline.top1:.4f} on {baseline.n:,} test images, measured now")
    parts = {}
    for name, point in shipped.items():
        figures = encode_again(point, say=say)
        decoded = evaluate(unpack(point.model), test, device=device)
        say(f"{name}: top-1 {decoded.top1:.4f} of the decoded network, measured now")
        figures |= {
            "baseline_top1": baseline.top1,
            "top1": decoded.top1,
            "n_test": decoded.n,
            "drop_points": 100 * (baseline.top1 - decoded.top1),
        }
        parts[name] = _quote(point, figures)
    return parts


def _quote(point: Shipped, measured: dict) -> Part:
    """A part with the figures that were measured now; all others are the stored ones."""
    return Part(
        _title(point.name),
        point.stored | measured,
        stored=frozenset(point.stored) - frozenset(measured),
        is_judged=point.name == HEADLINE,
    )


def _title(name: str) -> str:
    return f"VGG-16 on CIFAR-10: {name}.dcz" + ("" if name == HEADLINE else " (for the curve only)")
