"""Distillation: the loss by its formula, the teacher left alone, resuming only with the same one."""

import math
from dataclasses import replace

import pytest
import torch
from tiny import CONFIG, image_set, network
from torch import nn

from common.data.batches import BatchSource
from common.networks.distillation import (
    Distillation,
    Ensemble,
    StoredAnswers,
    distillation_loss,
    ensemble_answers,
    numbered,
    shifted_copies,
)
from common.networks.training import evaluate, train


def slow_loss(student, teacher, temperature):
    """The formula of the docstring, number by number, in float64."""
    total = 0.0
    for z, v in zip(student.tolist(), teacher.tolist(), strict=True):
        p = [math.exp(value / temperature) for value in v]
        q = [math.exp(value / temperature) for value in z]
        p, q = [value / sum(p) for value in p], [value / sum(q) for value in q]
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    return temperature**2 * total / len(student)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 7.5])
def test_loss_is_the_formula(temperature):
    generator = torch.Generator().manual_seed(0)
    student, teacher = 3 * torch.randn(2, 5, 4, generator=generator)
    found = distillation_loss(student, teacher, temperature=temperature).item()
    assert found == pytest.approx(slow_loss(student, teacher, temperature), rel=1e-5)


def test_equal_answers_cost_nothing_and_a_shift_of_all_logits_neither():
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    assert distillation_loss(logits, logits + 5.0, temperature=3.0).item() == pytest.approx(0, abs=1e-5)


def test_gradients_of_soft_targets_keep_their_size_at_any_temperature():
    student, teacher = torch.randn(2, 8, 5, generator=torch.Generator().manual_seed(2)) * 0.1
    sizes = []
    for temperature in (50.0, 500.0):
        z = student.clone().requires_grad_()
        distillation_loss(z, teacher, temperature=temperature).backward()
        sizes.append(z.grad.norm().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.01)


def test_weights_mix_the_labels_and_the_teacher():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    images, labels = torch.randn(5, 1, 2, 2), torch.tensor([0, 1, 2, 0, 1])
    logits = torch.randn(5, 3)
    soft, hard, mixed = (
        Distillation(net, weight=weight, temperature=2.0)(logits, images, labels).item()
        for weight in (1.0, 0.0, 0.25)
    )
    assert hard == pytest.approx(nn.functional.cross_entropy(logits, labels).item())
    assert mixed == pytest.approx(0.25 * soft + 0.75 * hard)


def test_teacher_is_copied_and_not_trained():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    objective = Distillation(net)
    before = objective.options["teacher"]
    with torch.no_grad():
        net[1].weight.add_(1.0)
    objective(torch.zeros(2, 3, requires_grad=True), torch.ones(2, 1, 2, 2), torch.tensor([0, 1])).backward()
    assert objective.options["teacher"] == before
    assert Distillation(net).options["teacher"] != before


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"weight": 1.5}, {"temperature": float("nan")}])
def test_options_out_of_range_are_named(options):
    with pytest.raises(ValueError, match="expected > 0 and in"):
        Distillation(nn.Linear(2, 2), **options)


def test_student_comes_to_answer_as_its_teacher_without_a_label():
    images = image_set(64)
    teacher = network()
    train(teacher, images, replace(CONFIG, epochs=8))
    student = network()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    right = evaluate(teacher, images).top1
    mislabelled = replace(images, labels=(images.labels + 1) % 3)  # a weight of 1 must not look at them
    train(student, mislabelled, replace(CONFIG, epochs=12), objective=Distillation(teacher, weight=1.0))
    assert right > 0.9
    assert evaluate(student, images).top1 == pytest.approx(right, abs=0.1)


def test_a_run_resumes_with_the_same_teacher_only(tmp_path):
    images, path = image_set(), tmp_path / "run.pt"
    train(network(), images, CONFIG, objective=Distillation(network()), checkpoint=path)
    train(network(), images, CONFIG, objective=Distillation(network()), checkpoint=path)
    other = network()
    nn.init.zeros_(other.classifier[-1].weight)
    with pytest.raises(ValueError, match="teacher"):
        train(network(), images, CONFIG, objective=Distillation(other), checkpoint=path)


def test_stored_answers_give_the_loss_of_the_teacher_that_gave_them():
    data, teacher, student = image_set(20), network().eval(), network().eval()
    with torch.no_grad():
        next(student.parameters()).mul_(-1)
    answers = ensemble_answers([teacher], data, temperature=3.0, batch_size=7)
    assert answers.shape == (20, 3)
    torch.testing.assert_close(answers.sum(1), torch.ones(20))
    labels = torch.from_numpy(data.labels)
    stored = StoredAnswers(answers, labels, temperature=3.0, weight=0.6)
    numbers = torch.tensor([3, 17, 0, 9])
    images = torch.cat([part for part, _ in BatchSource.of(data).plain_batches(20)])[numbers]
    logits = student(images)
    live = Distillation(teacher, temperature=3.0, weight=0.6)
    torch.testing.assert_close(stored(logits, images, numbers), live(logits, images, labels[numbers]))


def test_an_ensemble_answers_with_the_mean_of_its_probabilities():
    data, first, second = image_set(5), network().eval(), network().eval()
    with torch.no_grad():
        next(second.parameters()).mul_(-1)
    alone = [ensemble_answers([one], data, temperature=2.0) for one in (first, second)]
    both = ensemble_answers([first, second], data, temperature=2.0)
    torch.testing.assert_close(both, (alone[0] + alone[1]) / 2)


def test_an_ensemble_teaches_the_mean_of_its_members_softened_probabilities():
    temperature = 2.0
    members = [network().eval(), nn.Sequential(nn.Flatten(), nn.Linear(64, 3))]
    images = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    teacher = Ensemble(members, temperature=temperature)
    with torch.no_grad():
        expected = sum((member(images).double() / temperature).softmax(1) for member in members) / 2
        found = (teacher(images).double() / temperature).softmax(1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    digests = {
        Distillation(Ensemble(chosen, temperature=2.0)).options["teacher"]
        for chosen in (members, members[:1])
    }
    assert len(digests) == 2


def test_shifted_copies_are_the_windows_that_crops_cut():
    data = image_set(4)
    copies = shifted_copies(data, 1)
    assert copies.images.shape == (36, 1, 8, 8)
    assert copies.labels.tolist() == 9 * data.labels.tolist()
    assert copies.sha256 != data.sha256
    assert (copies.images[16:20] == data.images).all()  # the middle one of nine
    ((cropped, labels),) = BatchSource.of(data, crop_padding=1).epoch_batches(4, seed=0, epoch=0)
    shown = torch.cat([part for part, _ in BatchSource.of(copies).plain_batches(36)])
    for image, label in zip(cropped, labels, strict=True):
        assert any(
            torch.allclose(image, window, atol=1e-6)
            for window, number in zip(shown, copies.labels, strict=True)
            if number == label
        )


def test_a_run_with_stored_answers_resumes_only_with_the_same(tmp_path):
    data = image_set()
    answers = ensemble_answers([network().eval()], data, temperature=2.0)
    labels = torch.from_numpy(data.labels)
    options = {"device": "cpu", "checkpoint": tmp_path / "run.pt"}
    model = network()
    objective = StoredAnswers(answers, labels, temperature=2.0)
    history = train(model, numbered(data), replace(CONFIG, epochs=8), objective=objective, **options)
    assert history.loss[-1] < history.loss[0]
    other = StoredAnswers(answers.flip(0), labels, temperature=2.0)
    with pytest.raises(ValueError, match="made with other objective answers"):
        train(network(), numbered(data), replace(CONFIG, epochs=8), objective=other, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature=0.0"),
        ({"temperature": 1.0, "weight": 1.5}, "weight=1.5"),
        ({"temperature": 1.0, "labels": torch.zeros(3, dtype=torch.int64)}, r"labels of shape \(3,\)"),
    ],
)
def test_stored_answers_that_do_not_fit_are_refused(options, message):
    options = {"answers": torch.ones(4, 2) / 2, "labels": torch.zeros(4, dtype=torch.int64)} | options
    with pytest.raises(ValueError, match=message):
        StoredAnswers(**options)
