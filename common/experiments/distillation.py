"""Distillation of digits (Hinton, Vinyals, Dean 2015, arXiv 1503.02531, section 3), reproduced on MNIST.

    dnnc reproduce distillation        writes week06_quantization/results/distillation.json

The teacher has two layers of 1200 units and is trained with dropout, bounded weights, and images moved by up
to two pixels. The students have two layers of 800 units and none of these; they are trained alone and taught,
without any 3, and with variants of the loss. Then students become small files: distilled, pruned, shared,
coded. At last VGG-16 teaches a network a quarter as wide.

5,000 images are cut from the training set for choosing temperature, learning rates and the bias of the 3;
everything is trained on the others. Nothing is chosen on test images. Stopped at any moment, the command goes
on from its checkpoints; what is finished is stored at once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from common.base.text import markdown_table
from common.capstone.run import FOLDER
from common.capstone.shipped import BASELINE
from common.compress.pipeline import CompressConfig, compress, decompress
from common.data.batches import BatchSource
from common.data.datasets import load_dataset
from common.data.image_set import ImageSet, first_images, fit_images, train_val_split
from common.experiments import ROOT, Outcome, store
from common.methods.distillation_variants import DropoutSeed, MaxNorm, NoisyTeacher, RelationalDistillation
from common.networks.baseline import N_VALIDATION
from common.networks.checkpoints import load_weights
from common.networks.distillation import Distillation
from common.networks.models import INPUT_SHAPES, build, count_parameters, dense_bytes, mlp
from common.networks.training import TrainConfig, default_device, evaluate, train

# ----------------------------------------------------------------------------------------------------
# How large the reproduction of distillation is, on a CPU and on a GPU; tests run it smaller.

# Without regularization, as in the paper: no weight decay, no label smoothing, images as they are. At a
# learning rate of 0.1 the teacher with its dropout diverges, and so do students of soft answers, whose
# gradients are large.
_STUDENT = TrainConfig(
    epochs=15, max_lr=0.03, weight_decay=0.0, label_smoothing=0.0, crop_padding=0, flip=False
)
_TEACHER = replace(_STUDENT, epochs=24, crop_padding=2)
_VGG_EPOCHS_ON_GPU = 100
_VGG = TrainConfig(epochs=8, max_lr=0.05, label_smoothing=0.0, crop_padding=2)
_EIGHT_BITS = CompressConfig(sparsity=0.0, linear_clusters=256)
_PRUNED = CompressConfig(
    sparsity=0.95,
    linear_clusters=16,
    prune=replace(_STUDENT, epochs=10, max_lr=0.02),
    share=replace(_STUDENT, epochs=2, max_lr=1e-3, optimizer="adam"),
)


@dataclass(frozen=True)
class VggPlan:
    """VGG-16 teaches a VGG-16 of another width, on the first `n_train` training images, or on all.

    The first plan for a CPU, five epochs of 10,000 images, was given up after its result had been seen: too
    short to compare.
    """

    dataset: str = "cifar10"
    weights: Path = FOLDER / BASELINE
    teacher_width: float = 1.0
    width: float = 0.25
    n_train: int | None = None
    epochs_on_gpu: int = _VGG_EPOCHS_ON_GPU
    temperature: float = 4.0
    weight: float = 0.9
    train: TrainConfig = _VGG


@dataclass(frozen=True)
class Plan:
    """All choices that are not made on the validation split; tests use a smaller plan."""

    dataset: str = "mnist"
    teacher_hidden: int = 1200
    dropout: float = 0.5
    max_norm: float = 3.9
    teacher: TrainConfig = _TEACHER
    width: float = 0.667  # of 1200: the students' 800 units
    small_width: float = 0.025  # 30 units
    student: TrainConfig = _STUDENT
    seeds: tuple[int, ...] = (0, 1, 2)
    weight: float = 0.9  # of the teacher's answers
    temperatures: tuple[float, ...] = (1.0, 2.5, 4.0, 8.0, 20.0)
    rates: tuple[float, ...] = (0.01, 0.03, 0.1)
    search_epochs: int = 3
    small_seeds: tuple[int, ...] = (0, 1)
    omitted: tuple[int, ...] = (3,)
    shown: tuple[int, ...] = (7, 8)
    eight_bits: CompressConfig = _EIGHT_BITS
    pruned: CompressConfig = _PRUNED
    vgg: VggPlan = VggPlan()

    def to_dict(self) -> dict:
        """In JSON's types, without the paths of this machine."""
        plain = asdict(self) | {"eight_bits": self.eight_bits.told(), "pruned": self.pruned.told()}
        plain["vgg"]["weights"] = self.vgg.weights.name
        return plain


def plan_for(device: str) -> Plan:
    """The plan for a CPU, or that for a GPU, on which VGG-16's students train longer."""
    if device.startswith("cpu"):
        return Plan()
    return Plan(vgg=VggPlan(train=TrainConfig(epochs=_VGG_EPOCHS_ON_GPU, label_smoothing=0.0)))


# ----------------------------------------------------------------------------------------------------
# What the distillation of digits is made of: single trainings that go on from their checkpoints, and counting
# errors.

NETWORK = "mlp_1200"


@dataclass(frozen=True)
class Runs:
    """Trainings with a common folder of checkpoints (`workdir`), a device, and whether to `resume`."""

    workdir: Path
    device: str
    resume: bool

    def teacher(
        self, data: ImageSet, config: TrainConfig, *, hidden: int, dropout: float, max_norm: float
    ) -> nn.Module:
        """The regularized network with two layers of `hidden` units."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = mlp(hidden, num_classes=len(data.classes), dropout=dropout)
            self.train(
                "teacher", model, data, config, callbacks=[MaxNorm(max_norm), DropoutSeed(config.seed)]
            )
        return model.eval()

    def student(
        self,
        name: str,
        data: ImageSet,
        config: TrainConfig,
        *,
        width: float,
        objective: Distillation | None = None,
    ) -> nn.Module:
        """A network without regularization, from random weights of the configuration's seed."""
        model = build(NETWORK, num_classes=len(data.classes), width=width, seed=config.seed)
        self.train(name, model, data, config, objective=objective)
        return model.eval()

    def train(
        self, name: str, model: nn.Module, data: ImageSet, config: TrainConfig, **options: object
    ) -> None:
        """`training.train` with a checkpoint named after the run; a finished run is read from it."""
        checkpoint = self.workdir / f"{name}.pt"
        if not self.resume:
            checkpoint.unlink(missing_ok=True)
        train(model, data, config, device=self.device, checkpoint=checkpoint, description=name, **options)

    def coded(
        self,
        name: str,
        model: nn.Module,
        data: ImageSet,
        config: CompressConfig,
        *,
        architecture: dict,
        objective: Distillation | None = None,
    ) -> bytes:
        """Compress the model, in place, and return the bytes of its `.dcz` file."""
        if not self.resume:
            for checkpoint in ("prune.pt", "share.pt"):
                (self.workdir / name / checkpoint).unlink(missing_ok=True)
        return compress(
            model,
            data,
            config,
            architecture,
            workdir=self.workdir / name,
            objective=objective,
            device=self.device,
        )


def n_errors(model: nn.Module, data: ImageSet, *, device: str) -> int:
    """Number of images that the model classifies wrongly."""
    return round((1.0 - evaluate(model, data, device=device).top1) * len(data))


def map_point(
    data: bytes, test: ImageSet, *, teacher_top1: float, teacher_bytes: int, device: str, **words
) -> dict:
    """One point of the map of methods: a file's bytes and test accuracy, beside those of the teacher.

    `words` are the point's ``method``, ``label``, ``network`` and ``note``.
    """
    return {
        "method": words["method"],
        "label": words["label"],
        "network": words["network"],
        "dataset": test.name,
        "file_bytes": len(data),
        "dense_bytes": teacher_bytes,
        "top1": evaluate(decompress(data), test, device=device).top1,
        "baseline_top1": teacher_top1,
        "note": words["note"],
    }


def without_classes(data: ImageSet, omitted: Sequence[int]) -> ImageSet:
    """The images of all other classes; the classes keep their numbers."""
    chosen = ~np.isin(data.labels, omitted)
    name = ",".join(map(str, omitted))
    return replace(
        data, images=data.images[chosen], labels=data.labels[chosen], sha256=f"{data.sha256}/without {name}"
    )


def logits_of(model: nn.Module, data: ImageSet, *, device: str) -> np.ndarray:
    """The model's logits for every image in order, float32 of shape (n, classes)."""
    source = BatchSource.of(data, device=device)
    model = model.to(device).eval()
    with torch.no_grad():
        return np.concatenate([model(images).cpu().numpy() for images, _ in source.plain_batches(500)])


def bias_adjustment(
    model: nn.Module, omitted: Sequence[int], *, validation: ImageSet, test: ImageSet, device: str
) -> dict:
    """Add a bias to the logits of classes that the student never saw (section 3 of the paper).

    A student that was trained without 3s answers "3" too rarely. One number is added to the logits of all
    omitted classes: the one with the fewest errors on the validation split. The model is not changed.

    Parameters
    ----------
    model : nn.Module
    omitted : sequence of int
        The classes without training images.
    validation, test : ImageSet
        With all classes.
    device : str

    Returns
    -------
    dict
        ``omitted``; all ``biases`` that were tried, and their ``validation_errors``; ``bias``, the best one
        (of equal ones the smallest); ``n_omitted``, test images of the omitted classes; ``before`` and
        ``after`` it is added, a mapping each: ``errors``, ``errors_on_omitted`` and the ``confusion`` matrix
        (rows are labels, columns answers) on the test set.
    """
    raised = np.isin(np.arange(len(test.classes)), omitted)
    biases = np.arange(0.0, 20.01, 0.25)
    logits = logits_of(model, validation, device=device)
    tried = [int(((logits + b * raised).argmax(1) != validation.labels).sum()) for b in biases]
    best = float(biases[int(np.argmin(tried))])
    logits, hidden = logits_of(model, test, device=device), np.isin(test.labels, omitted)
    found = {
        "omitted": list(omitted),
        "biases": biases.tolist(),
        "validation_errors": tried,
        "bias": best,
        "n_omitted": int(hidden.sum()),
    }
    for when, bias in (("before", 0.0), ("after", best)):
        answers = (logits + bias * raised).argmax(1)
        confusion = np.zeros((len(raised), len(raised)), dtype=int)
        np.add.at(confusion, (test.labels, answers), 1)
        wrong = answers != test.labels
        found[when] = {
            "errors": int(wrong.sum()),
            "errors_on_omitted": int(wrong[hidden].sum()),
            "confusion": confusion.tolist(),
        }
    return found


# ----------------------------------------------------------------------------------------------------
# The published figures of distillation beside ours, as markdown.

_HINTON = "Hinton, Vinyals, Dean 2015, section 3"
# Errors among the 10,000 test digits. The paper chose its `bias` on the test set, we on the validation split.
_PUBLISHED_STUDENT = {"network": "mlp_800", "dataset": "mnist", "source": _HINTON}
PUBLISHED = [
    {"method": "teacher", "network": "mlp_1200", "dataset": "mnist", "source": _HINTON, "errors": 67},
    _PUBLISHED_STUDENT | {"method": "distilled student", "errors": 74, "temperature": 20.0},
    _PUBLISHED_STUDENT | {"method": "student alone", "errors": 146},
    _PUBLISHED_STUDENT
    | {
        "method": "distilled without 3s",
        "errors": 206,
        "errors_on_omitted": 133,
        "errors_after": 109,
        "errors_on_omitted_after": 14,
        "n_omitted": 1010,
        "bias": 3.5,
    },
    _PUBLISHED_STUDENT
    | {"method": "distilled on 7s and 8s only", "errors": 4730, "errors_after": 1320, "bias": 7.6},
]
BUDGETS = {
    "published": "60,000 training images; epochs, learning rates and batch size are not stated",
    "ours": "55,000 training images, 5,000 to choose by; epochs, rates and batch size stand in the plan",
}


def to_markdown(figures: Mapping) -> str:
    """Every published row with ours below it, as markdown; parts that are not made yet are left out."""
    published, n_test = {row["method"]: row for row in figures["published"]}, figures["n_test"]
    rows = []
    if figures["teacher"]:
        rows += _pair(published["teacher"], [figures["teacher"]["errors"]])
    for kind, method in (("alone", "student alone"), ("distilled", "distilled student")):
        if figures["errors"]:
            rows += _pair(published[method], figures["errors"][kind])
    if figures["errors"]:
        rows += [
            [name, "ours", _numbers(figures["errors"][kind]), "", ""]
            for kind, name in (("noisy", "noisy teacher"), ("relational", "relational distillation"))
        ]
    if figures["omitted"]:
        for kind, method in (("taught", "distilled without 3s"), ("few", "distilled on 7s and 8s only")):
            rows += [_omitted_published(published[method]), ["", *_omitted_ours(figures["omitted"][kind])]]
        rows.append(["labels only, without 3s", *_omitted_ours(figures["omitted"]["alone"])])
    heads = ["network", "whose", f"errors of {n_test:,}", "after raising the bias", "of them on omitted"]
    lines = [*markdown_table(heads, rows)]
    if figures["points"]:
        heads = ["file", "bytes", "smaller than the teacher", "top-1", "teacher's"]
        lines += ["", *markdown_table(heads, [_point(point) for point in figures["points"]])]
    if figures["vgg"]:
        vgg = figures["vgg"]
        lines += ["", *markdown_table(["VGG-16's student on CIFAR-10", "top-1"], vgg_rows(vgg)), ""]
        lines.append(f"{vgg['n_train']:,} training images, {vgg['epochs']} epochs, one seed.")
        if vgg["epochs"] < vgg["epochs_on_gpu"]:
            lines.append(f"On a GPU the command trains {vgg['epochs_on_gpu']} epochs.")
    return "\n".join(lines)


def vgg_rows(vgg: Mapping) -> list[list[str]]:
    """Rows (name, accuracy in percent) of VGG-16 as a teacher and of its students."""
    names = {
        "teacher": f"teacher, {vgg['parameters']['teacher']:,} parameters",
        "alone": f"student alone, {vgg['parameters']['student']:,} parameters",
        "distilled": "student distilled",
    }
    return [[names[kind], f"{100 * vgg['top1'][kind]:.2f} %"] for kind in names]


def _pair(published: Mapping, ours: list[int]) -> list[list[str]]:
    return [
        [published["method"], "paper", str(published["errors"]), "", ""],
        ["", "ours", _numbers(ours), "", ""],
    ]


def _numbers(errors: list[int]) -> str:
    """One number, or the mean with the number of every seed."""
    if len(errors) == 1:
        return str(errors[0])
    return f"{sum(errors) / len(errors):.1f} ({', '.join(map(str, errors))})"


def _omitted_published(row: Mapping) -> list[str]:
    hidden = ""
    if "errors_on_omitted" in row:
        hidden = f"{row['errors_on_omitted']} → {row['errors_on_omitted_after']}"
    return [row["method"], "paper", str(row["errors"]), f"{row['errors_after']} (by {row['bias']:g})", hidden]


def _omitted_ours(found: Mapping) -> list[str]:
    before, after = found["before"], found["after"]
    return [
        "ours",
        str(before["errors"]),
        f"{after['errors']} (by {found['bias']:g})",
        f"{before['errors_on_omitted']} → {after['errors_on_omitted']}",
    ]


def _point(point: Mapping) -> list[str]:
    return [
        f"{point['network']}: {point['label']}",
        f"{point['file_bytes']:,}",
        f"{point['dense_bytes'] / point['file_bytes']:.1f}×",
        f"{100 * point['top1']:.2f} %",
        f"{100 * point['baseline_top1']:.2f} %",
    ]


# ----------------------------------------------------------------------------------------------------
# VGG-16 as the teacher of a network a quarter as wide, on CIFAR-10.


def teach_small_vgg(
    plan: VggPlan, coding: CompressConfig, runs: Runs
) -> tuple[dict, list[dict], tuple[ImageSet, ImageSet]]:
    """Train two small networks, equal at first and on the same images, one of them with the teacher.

    Parameters
    ----------
    plan : VggPlan
    coding : CompressConfig
        How both are coded as files.
    runs : Runs

    Returns
    -------
    figures : dict
        ``top1`` on the test set of ``teacher``, ``alone`` and ``distilled``, parameters, images, epochs.
    points : list of dict
        For the map of methods; empty unless all training images were used.
    images : (ImageSet, ImageSet)
        Training and test images.
    """
    training, test = _image_sets(plan)
    n_classes = len(test.classes)
    teacher = build("vgg16", num_classes=n_classes, width=plan.teacher_width)
    load_weights(teacher, plan.weights).eval()
    objective = Distillation(teacher, temperature=plan.temperature, weight=plan.weight)
    whole, n_bytes = evaluate(teacher, test, device=runs.device).top1, dense_bytes(teacher)
    architecture = {"architecture": "vgg16", "num_classes": n_classes, "width": plan.width}
    found, points = {"teacher": whole}, []
    for kind, given in (("alone", None), ("distilled", objective)):
        student = build("vgg16", num_classes=n_classes, width=plan.width, seed=plan.train.seed)
        runs.train(f"vgg_{kind}", student, training, plan.train, objective=given)
        found[kind] = evaluate(student, test, device=runs.device).top1
        data = runs.coded(f"vgg_{kind}_coded", student, training, coding, architecture=architecture)
        points.append(
            map_point(
                data,
                test,
                teacher_top1=whole,
                teacher_bytes=n_bytes,
                device=runs.device,
                method="distillation",
                label=f"VGG-16 of width {plan.width:g}, {kind}, 8 bits",
                network="vgg16",
                note="dense_bytes and baseline_top1 are those of the teacher, VGG-16",
            )
        )
    figures = {
        "top1": found,
        "file_bytes": {"alone": points[0]["file_bytes"], "distilled": points[1]["file_bytes"]},
        "parameters": {"teacher": count_parameters(teacher), "student": count_parameters(student)},
        "n_train": len(training),
        "n_test": len(test),
        "epochs": plan.train.epochs,
        "epochs_on_gpu": plan.epochs_on_gpu,
    }
    return figures, points if plan.n_train is None else [], (training, test)


def _image_sets(plan: VggPlan) -> tuple[ImageSet, ImageSet]:
    """Training images, without those on which the teacher's training was chosen, and test images."""
    whole, test = (
        fit_images(load_dataset(plan.dataset, split), INPUT_SHAPES["vgg16"]) for split in ("train", "test")
    )
    training, _ = train_val_split(whole, n_validation=N_VALIDATION[plan.dataset])
    return first_images(training, plan.n_train), test


WORKDIR = ROOT / "runs" / "distillation"


def run(*, device: str | None = None, resume: bool = True) -> Outcome:
    """The whole reproduction, with its figures into the repository."""
    device = device or default_device()

    def save(figures: dict, datasets: tuple) -> None:
        store("distillation", figures, seed=0, datasets=datasets, device=device)

    return reproduce(plan_for(device), workdir=WORKDIR, device=device, resume=resume, save=save)


def reproduce(
    plan: Plan,
    *,
    workdir: str | Path,
    device: str,
    resume: bool = True,
    save: Callable[[dict, tuple], None] = lambda figures, datasets: None,
) -> Outcome:
    """Train, choose and measure; with `resume`, trainings that `workdir` has are not made again.

    Parameters
    ----------
    plan : Plan
    workdir : path
        Checkpoints, one per run.
    device : str
    resume : bool
        Whether to go on from checkpoints. If not, they are deleted.
    save : callable
        Called after every part with all figures so far and the image sets that were used.

    Returns
    -------
    Outcome
        Its figures: ``teacher``; ``search`` (errors on the validation split) and ``chosen``; ``errors`` on
        the test set, one per seed; ``omitted`` (`bias_adjustment` for each training set without some
        classes); ``points`` for the map of methods; ``vgg``; ``published``, ``budgets``, ``plan``. A part not
        made yet is None or empty.

    Raises
    ------
    ValueError
        A checkpoint was made with other options.
    DatasetNotFoundError
        MNIST or CIFAR-10 was not found, and could not be downloaded.
    """
    whole, test = load_dataset(plan.dataset, "train"), load_dataset(plan.dataset, "test")
    training, validation = train_val_split(whole, n_validation=N_VALIDATION[plan.dataset])
    bench = _Bench(plan, Runs(Path(workdir), device, resume), training, validation, test)
    figures = dict.fromkeys(("teacher", "search", "chosen", "errors", "omitted", "vgg")) | {
        "points": [],
        "n_train": len(training),
        "n_validation": len(validation),
        "n_test": len(test),
        "budgets": BUDGETS,
        "published": PUBLISHED,
        "plan": plan.to_dict(),
    }
    for part in (bench.teach, bench.search, bench.compare, bench.omit, bench.code, bench.teach_vgg):
        figures |= part(figures)
        save(figures, tuple(bench.images))
    return Outcome(figures, to_markdown(figures))


@dataclass
class _Bench:
    """The parts of the reproduction, in order; each takes the figures so far and gives new ones."""

    plan: Plan
    runs: Runs
    training: ImageSet
    validation: ImageSet
    test: ImageSet

    def __post_init__(self) -> None:
        self.images = [self.training, self.validation, self.test]  # all that have been used

    def teach(self, figures: dict) -> dict:
        plan = self.plan
        self.teacher = self.runs.teacher(
            self.training,
            plan.teacher,
            hidden=plan.teacher_hidden,
            dropout=plan.dropout,
            max_norm=plan.max_norm,
        )
        return {
            "teacher": {
                "errors": self._errors(self.teacher, self.test),
                "validation_errors": self._errors(self.teacher, self.validation),
                "parameters": count_parameters(self.teacher),
                "dense_bytes": dense_bytes(self.teacher),
            }
        }

    def search(self, figures: dict) -> dict:
        """Choose a temperature, then a learning rate for each way: alone, taught, and by relations."""
        plan, short = self.plan, replace(self.plan.student, epochs=self.plan.search_epochs)

        def tried(name: str, objective: Distillation | None, width: float = plan.width, **options) -> int:
            config, kept = replace(short, **options), {"width": width, "objective": objective}
            try:
                student = self.runs.student(f"search_{name}", self.training, config, **kept)
            except ValueError as error:
                if "the loss is" not in str(error):
                    raise
                return len(self.validation)  # it diverged: all wrong
            return self._errors(student, self.validation)

        by_temperature = [tried(f"t{t:g}", self._soft(t)) for t in plan.temperatures]
        small = [
            [
                tried(f"small_t{t:g}_{seed}", self._soft(t), plan.small_width, seed=seed)
                for t in plan.temperatures
            ]
            for seed in plan.small_seeds
        ]
        temperature = plan.temperatures[least(by_temperature)]

        # The student at the chosen temperature and the default rate has been trained above: read it again.
        def named(kind: str, rate: float) -> str:
            is_made = kind == "taught" and rate == plan.student.max_lr
            return f"t{temperature:g}" if is_made else f"{kind}_lr{rate:g}"

        by_rate = {
            kind: [tried(named(kind, rate), objective, max_lr=rate) for rate in plan.rates]
            for kind, objective in (
                ("alone", None),
                ("taught", self._soft(temperature)),
                ("relational", RelationalDistillation(self.teacher)),
            )
        }
        rates = {f"max_lr_{kind}": plan.rates[least(errors)] for kind, errors in by_rate.items()}
        return {
            "search": {
                "epochs": plan.search_epochs,
                "temperatures": list(plan.temperatures),
                "by_temperature": by_temperature,
                "by_temperature_small": small,
                "rates": list(plan.rates),
                "by_rate": by_rate,
            },
            "chosen": {"temperature": temperature, **rates},
        }

    def compare(self, figures: dict) -> dict:
        """Students alone and taught, one per seed, and the variants of the loss with the first seed."""
        chosen, plan = figures["chosen"], self.plan
        noisy = NoisyTeacher(self.teacher, temperature=chosen["temperature"], weight=plan.weight)
        kinds = (
            ("alone", "alone", None, plan.seeds),
            ("distilled", "taught", self._chosen_objective(figures), plan.seeds),
            ("noisy", "taught", noisy, plan.seeds[:1]),
            ("relational", "relational", RelationalDistillation(self.teacher), plan.seeds[:1]),
        )
        students = {}
        for kind, rate, objective, seeds in kinds:
            config = replace(plan.student, max_lr=chosen[f"max_lr_{rate}"])
            students[kind] = [self._run(f"{kind}_{s}", replace(config, seed=s), objective) for s in seeds]
        self.students = {kind: found[0] for kind, found in students.items()}
        return {
            "errors": {
                kind: [self._errors(one, self.test) for one in found] for kind, found in students.items()
            }
        }

    def omit(self, figures: dict) -> dict:
        """Students without some classes: with the teacher's answers and no labels, and with labels only."""
        answers_only = self._soft(figures["chosen"]["temperature"], weight=1.0)
        others = tuple(c for c in range(len(self.test.classes)) if c not in self.plan.shown)
        found = {}
        for name, omitted, objective in (
            ("taught", self.plan.omitted, answers_only),
            ("alone", self.plan.omitted, None),
            ("few", others, answers_only),
        ):
            data = without_classes(self.training, omitted)
            student = self._run(f"omit_{name}", self._taught(figures), objective, data)
            found[name] = {"n_train": len(data)} | bias_adjustment(
                student, omitted, validation=self.validation, test=self.test, device=self.runs.device
            )
        return {"omitted": found}

    def code(self, figures: dict) -> dict:
        """The first seed's students as files of eight bits per weight; pruned with and without a teacher."""
        plan, teacher = self.plan, figures["teacher"]
        network = f"mlp_{round(1200 * plan.width)}"
        architecture = {"architecture": NETWORK, "num_classes": len(self.test.classes), "width": plan.width}
        note = f"dense_bytes and baseline_top1 are those of the teacher, {plan.teacher_hidden} units a layer"
        sparse = f"{note}; {100 * plan.pruned.sparsity:g} % of the weights pruned"
        points = []
        for name, start, config, objective, label, words in (
            ("alone", "alone", plan.eight_bits, None, "student alone, 8 bits", note),
            ("distilled", "distilled", plan.eight_bits, None, "distilled student, 8 bits", note),
            ("by_labels", "distilled", plan.pruned, None, "distilled, pruned by labels", sparse),
            (
                "by_teacher",
                "distilled",
                plan.pruned,
                self._chosen_objective(figures),
                "distilled, pruned with the teacher",
                sparse,
            ),
        ):
            data = self.runs.coded(
                f"coded_{name}",
                copy.deepcopy(self.students[start]),
                self.training,
                config,
                architecture=architecture,
                objective=objective,
            )
            points.append(
                map_point(
                    data,
                    self.test,
                    teacher_top1=1 - teacher["errors"] / len(self.test),
                    teacher_bytes=teacher["dense_bytes"],
                    device=self.runs.device,
                    method="distillation",
                    label=label,
                    network=network,
                    note=words,
                )
            )
        return {"points": points}

    def teach_vgg(self, figures: dict) -> dict:
        vgg, points, images = teach_small_vgg(self.plan.vgg, self.plan.eight_bits, self.runs)
        self.images += images
        return {"vgg": vgg, "points": figures["points"] + points}

    def _soft(self, temperature: float, *, weight: float | None = None) -> Distillation:
        weight = self.plan.weight if weight is None else weight
        return Distillation(self.teacher, temperature=temperature, weight=weight)

    def _chosen_objective(self, figures: dict) -> Distillation:
        return self._soft(figures["chosen"]["temperature"])

    def _taught(self, figures: dict) -> TrainConfig:
        return replace(self.plan.student, max_lr=figures["chosen"]["max_lr_taught"])

    def _run(
        self, name: str, config: TrainConfig, objective: Distillation | None, data: ImageSet | None = None
    ) -> nn.Module:
        data = self.training if data is None else data
        return self.runs.student(name, data, config, width=self.plan.width, objective=objective)

    def _errors(self, model: nn.Module, data: ImageSet) -> int:
        return n_errors(model, data, device=self.runs.device)


def least(errors: Sequence[int]) -> int:
    """Index of the least; of equals the last, which is nearest to the paper's high temperature."""
    return max(range(len(errors)), key=lambda i: (-errors[i], i))
