"""Distillation of digits (Hinton, Vinyals, Dean 2015, arXiv 1503.02531, section 3), made again on MNIST.

    dnnc reproduce distillation        week06_quantization/results/distillation.json

A teacher with two layers of 1200 units, dropout, bounded weights, and images moved by up to two pixels;
students with two layers of 800 and none of these, alone and taught; students that never see a 3; variants of
the loss; and the teacher's place taken by small files: a student distilled, pruned, shared, coded. Then
VGG-16 as the teacher of a network a quarter as wide.

Everything is trained on what is left of the training set when 5,000 images have been cut off for choosing
temperature, learning rates and the bias of the 3. No test image chooses. Stopped at any moment, the command
goes on from its checkpoints; what is finished is stored at once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from common.datasets import ImageSet, load_dataset
from common.methods.distillation import Distillation
from common.methods.distillation_variants import NoisyTeacher, RelationalDistillation
from common.models import count_parameters, dense_bytes
from common.recipes import N_VALIDATION
from common.reproductions import ROOT, Reproduction, store
from common.reproductions.distillation_plan import Plan, plan_for
from common.reproductions.distillation_runs import (
    NETWORK,
    Runs,
    bias_adjustment,
    map_point,
    n_errors,
    without_classes,
)
from common.reproductions.distillation_table import BUDGETS, PUBLISHED, to_markdown
from common.reproductions.distillation_vgg import teach_small_vgg
from common.splits import train_val_split
from common.training import TrainConfig, default_device

WORKDIR = ROOT / "runs" / "distillation"


def run(*, device: str | None = None, resume: bool = True) -> Reproduction:
    """All of it, into the repository."""
    device = device or default_device()

    def save(figures: dict, datasets: tuple) -> None:
        store("distillation", figures, seed=0, datasets=datasets, device=device)

    return reproduce(plan_for(device), workdir=WORKDIR, device=device, resume=resume, save=save)


def reproduce(
    plan: Plan, *, workdir: str | Path, device: str, resume: bool = True,
    save: Callable[[dict, tuple], None] = lambda figures, datasets: None,
) -> Reproduction:  # fmt: skip
    """Train, choose, measure; runs that stand in `workdir` are read.

    Parameters
    ----------
    plan : Plan
    workdir : path
        Checkpoints, one a run.
    device : str
    resume : bool
        Whether to go on from checkpoints; else they are deleted.
    save : callable
        Gets all figures and the image sets after every part.

    Returns
    -------
    Reproduction
        Its figures: ``teacher``; ``search`` and ``chosen`` (errors on the validation split); ``errors`` (on
        the test set, one a seed); ``omitted`` (`bias_adjustment` of each transfer set); ``points`` for the
        map of methods; ``vgg``; ``published``, ``budgets``, ``plan``. A part not yet made is None or empty.

    Raises
    ------
    ValueError
        A checkpoint was made with other options.
    DatasetNotFoundError
        MNIST or CIFAR-10 is nowhere to be had.
    """
    whole, test = load_dataset(plan.dataset, "train"), load_dataset(plan.dataset, "test")
    training, validation = train_val_split(whole, n_validation=N_VALIDATION[plan.dataset])
    bench = _Bench(plan, Runs(Path(workdir), device, resume), training, validation, test)
    figures = dict.fromkeys(("teacher", "search", "chosen", "errors", "omitted", "vgg")) | {
        "points": [], "n_train": len(training), "n_validation": len(validation), "n_test": len(test),
        "budgets": BUDGETS, "published": PUBLISHED, "plan": plan.to_dict(),
    }  # fmt: skip
    for part in (bench.teach, bench.search, bench.compare, bench.omit, bench.code, bench.teach_vgg):
        figures |= part(figures)
        save(figures, tuple(bench.images))
    return Reproduction(figures, to_markdown(figures))


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
            self.training, plan.teacher, hidden=plan.teacher_hidden, dropout=plan.dropout,
            max_norm=plan.max_norm,
        )  # fmt: skip
        return {
            "teacher": {
                "errors": self._errors(self.teacher, self.test),
                "validation_errors": self._errors(self.teacher, self.validation),
                "parameters": count_parameters(self.teacher), "dense_bytes": dense_bytes(self.teacher),
            }
        }  # fmt: skip

    def search(self, figures: dict) -> dict:
        """A temperature at one learning rate, then a learning rate each: alone, taught, and by relations."""
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

        def named(kind: str, rate: float) -> str:  # one of the runs has been made for its temperature already
            is_made = kind == "taught" and rate == plan.student.max_lr
            return f"t{temperature:g}" if is_made else f"{kind}_lr{rate:g}"

        by_rate = {
            kind: [tried(named(kind, rate), objective, max_lr=rate) for rate in plan.rates]
            for kind, objective in (
                ("alone", None), ("taught", self._soft(temperature)),
                ("relational", RelationalDistillation(self.teacher)),
            )
        }  # fmt: skip
        rates = {f"max_lr_{kind}": plan.rates[least(errors)] for kind, errors in by_rate.items()}
        return {
            "search": {
                "epochs": plan.search_epochs, "temperatures": list(plan.temperatures),
                "by_temperature": by_temperature, "by_temperature_small": small, "rates": list(plan.rates),
                "by_rate": by_rate,
            },
            "chosen": {"temperature": temperature, **rates},
        }  # fmt: skip

    def compare(self, figures: dict) -> dict:
        """Students alone and taught, one a seed, and the variants of the loss with the first seed."""
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
            "errors": {kind: [self._errors(one, self.test) for one in found]
                       for kind, found in students.items()}
        }  # fmt: skip

    def omit(self, figures: dict) -> dict:
        """Transfer sets that lack classes: with the teacher's answers and no label, and with labels only."""
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
        """The first seed's students as files of eight bits a weight; pruned with and without the teacher."""
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
            ("by_teacher", "distilled", plan.pruned, self._chosen_objective(figures),
             "distilled, pruned with the teacher", sparse),
        ):  # fmt: skip
            data = self.runs.coded(
                f"coded_{name}", copy.deepcopy(self.students[start]), self.training, config,
                architecture=architecture, objective=objective,
            )  # fmt: skip
            points.append(
                map_point(
                    data, self.test, teacher_top1=1 - teacher["errors"] / len(self.test),
                    teacher_bytes=teacher["dense_bytes"], device=self.runs.device, method="distillation",
                    label=label, network=network, note=words,
                )
            )  # fmt: skip
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
    """Where the least stands; of equals the last, which is nearest to the paper's high temperature."""
    return max(range(len(errors)), key=lambda i: (-errors[i], i))
