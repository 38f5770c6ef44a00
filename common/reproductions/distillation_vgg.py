"""VGG-16 as the teacher of a network a quarter as wide, on CIFAR-10."""

from __future__ import annotations

from common.checkpoints import load_weights
from common.datasets import ImageSet, load_dataset
from common.image_fitting import first_images, fit_images
from common.methods.distillation import Distillation
from common.models import INPUT_SHAPES, build, count_parameters, dense_bytes
from common.pipeline import CompressConfig
from common.recipes import N_VALIDATION
from common.reproductions.distillation_plan import VggPlan
from common.reproductions.distillation_runs import Runs, map_point
from common.splits import train_val_split
from common.training import evaluate


def teach_small_vgg(
    plan: VggPlan, coding: CompressConfig, runs: Runs
) -> tuple[dict, list[dict], tuple[ImageSet, ImageSet]]:
    """Two small networks from the same weights on the same pictures, one of them with the teacher.

    Returns
    -------
    figures : dict
        ``top1`` on the test set of ``teacher``, ``alone`` and ``distilled``, parameters, images, epochs.
    points : list of dict
        Of the map of methods; empty unless all training images were used.
    images : (ImageSet, ImageSet)
        Those of the training and of the test.
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
                data, test, teacher_top1=whole, teacher_bytes=n_bytes, device=runs.device,
                method="distillation", label=f"VGG-16 of width {plan.width:g}, {kind}, 8 bits",
                network="vgg16", note="dense_bytes and baseline_top1 are those of the teacher, VGG-16",
            )
        )  # fmt: skip
    figures = {
        "top1": found, "file_bytes": {"alone": points[0]["file_bytes"], "distilled": points[1]["file_bytes"]},
        "parameters": {"teacher": count_parameters(teacher), "student": count_parameters(student)},
        "n_train": len(training), "n_test": len(test), "epochs": plan.train.epochs,
        "epochs_on_gpu": plan.epochs_on_gpu,
    }  # fmt: skip
    return figures, points if plan.n_train is None else [], (training, test)


def _image_sets(plan: VggPlan) -> tuple[ImageSet, ImageSet]:
    """Training images, less those that chose how the teacher was trained, and test images."""
    whole, test = (
        fit_images(load_dataset(plan.dataset, split), INPUT_SHAPES["vgg16"]) for split in ("train", "test")
    )
    training, _ = train_val_split(whole, n_validation=N_VALIDATION[plan.dataset])
    return first_images(training, plan.n_train), test
