"""Noisy teacher, relational distillation, dropout's helpers: by slow oracles, by seed, and resumed."""

import math
from dataclasses import replace

import pytest
import torch
from tiny import CONFIG, Killer, assert_equal_weights, image_set, network, weights
from torch import nn

from common.methods.distillation_variants import (
    DropoutSeed,
    MaxNorm,
    NoisyTeacher,
    RelationalDistillation,
    angle_loss,
    distance_loss,
    noisy_logits,
)
from common.networks.distillation import Distillation
from common.networks.models import mlp
from common.networks.training import evaluate, train


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(n: int, d: int, seed: int) -> torch.Tensor:
    return 3 * torch.randn(n, d, generator=seeded(seed))


def batch(n: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(n, 1, 2, 2, generator=seeded(seed)), torch.arange(n) % 3


def small_teacher(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 3))


def huber(a: float, b: float) -> float:
    gap = abs(a - b)
    return 0.5 * gap**2 if gap < 1 else gap - 0.5


def slow_distance_loss(student, teacher) -> float:
    """Equations 6 to 8 of the paper, pair by pair, in float64."""

    def relative(points):
        found = {
            (i, j): math.dist(a, b) for i, a in enumerate(points) for j, b in enumerate(points) if i != j
        }
        mean = sum(found.values()) / len(found)
        return {pair: distance / mean for pair, distance in found.items()}

    own, theirs = relative(student.tolist()), relative(teacher.tolist())
    return sum(huber(own[pair], theirs[pair]) for pair in own) / len(own)


def slow_angle_loss(student, teacher) -> float:
    """Equations 9 to 11 of the paper, triple by triple, in float64."""

    def cosine(points, i, j, k):
        a = [x - y for x, y in zip(points[i], points[j], strict=True)]
        b = [x - y for x, y in zip(points[k], points[j], strict=True)]
        return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))

    own, theirs, n = student.tolist(), teacher.tolist(), len(student)
    triples = [
        (i, j, k) for i in range(n) for j in range(n) for k in range(n) if i != j and j != k and i != k
    ]
    return sum(huber(cosine(own, *t), cosine(theirs, *t)) for t in triples) / len(triples)


@pytest.mark.parametrize(
    ("fast", "slow"), [(distance_loss, slow_distance_loss), (angle_loss, slow_angle_loss)]
)
@pytest.mark.parametrize("n", [3, 7])
def test_relations_are_the_papers(fast, slow, n):
    student, teacher = rows(n, 4, 0), rows(n, 4, 1)
    assert fast(student, teacher).item() == pytest.approx(slow(student, teacher), rel=1e-4)
    other_space = rows(n, 9, 2)
    assert fast(student, other_space).item() == pytest.approx(slow(student, other_space), rel=1e-4)


def test_relations_of_a_right_triangle_by_hand():
    """3, 4, 5 against equal sides: distances 0.75, 1, 1.25 of the mean; cosines 0, 0.6, 0.8 against 0.5."""
    right = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    even = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5]])
    assert distance_loss(right, even).item() == pytest.approx(0.5 * (0.25**2 + 0 + 0.25**2) / 3)
    assert angle_loss(right, even).item() == pytest.approx(0.5 * (0.5**2 + 0.1**2 + 0.3**2) / 3, rel=1e-5)


@pytest.mark.parametrize("loss", [distance_loss, angle_loss])
def test_turned_moved_and_scaled_answers_cost_nothing(loss):
    teacher = rows(8, 5, 3)
    turn, _ = torch.linalg.qr(rows(5, 5, 4))
    assert loss(7 * teacher @ turn + 2.0, teacher).item() == pytest.approx(0, abs=1e-9)
    assert loss(rows(8, 5, 5), teacher).item() > 0.001


@pytest.mark.parametrize("loss", [distance_loss, angle_loss])
def test_images_answered_alike_leave_the_gradient_small(loss):
    student = rows(6, 3, 6)
    student[1] = student[0]
    student.requires_grad_()
    loss(student, rows(6, 3, 7)).backward()
    assert student.grad.abs().max() < 10  # dividing by a length of zero would make it 1e10 or nan
    collapsed = torch.zeros(6, 3, requires_grad=True)
    value = loss(collapsed, rows(6, 3, 7))
    value.backward()
    assert value.isfinite()
    assert collapsed.grad.isfinite().all()


def test_relational_loss_adds_up():
    images, labels = batch()
    teacher, logits = small_teacher(), rows(6, 3, 8)
    answers = teacher(images).detach()
    found = RelationalDistillation(teacher, distance=3.0, angle=5.0)(logits, images, labels)
    expected = (
        nn.functional.cross_entropy(logits, labels)
        + 3 * slow_distance_loss(logits, answers)
        + 5 * slow_angle_loss(logits, answers)
    )
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    first = RelationalDistillation(teacher, distance=3.0, angle=0.0, n_related=3)(logits, images, labels)
    expected = nn.functional.cross_entropy(logits, labels) + 3 * slow_distance_loss(logits[:3], answers[:3])
    assert first.item() == pytest.approx(expected.item(), rel=1e-4)
    options = {"weight": 0.4, "temperature": 3.0}
    with_soft = RelationalDistillation(teacher, distance=0.0, angle=0.0, **options)(logits, images, labels)
    assert with_soft.item() == Distillation(teacher, **options)(logits, images, labels).item()


def test_cosines_are_not_rounded_under_autocast():
    logits, answers = rows(40, 10, 9), rows(40, 10, 10)
    objective = RelationalDistillation(small_teacher(), distance=0.0, n_related=None)
    labels = torch.arange(40) % 10
    plain = objective.loss(logits, answers, labels).item()
    with torch.autocast("cpu", torch.bfloat16):
        assert objective.loss(logits, answers, labels).item() == pytest.approx(plain, rel=1e-6)


def test_noise_is_the_papers():
    logits = rows(50, 4, 11)
    found = noisy_logits(logits, sigma=0.7, share=0.3, generator=seeded(5))
    generator = seeded(5)
    chosen = [value.item() < 0.3 for value in torch.rand(50, generator=generator)]
    noise = torch.randn(50, 4, generator=generator)
    assert 5 < sum(chosen) < 25
    for i in range(50):
        for c in range(4):
            factor = 1 + 0.7 * noise[i, c].item() if chosen[i] else 1.0
            assert found[i, c].item() == pytest.approx(factor * logits[i, c].item(), rel=1e-5, abs=1e-6)
        assert torch.equal(found[i], logits[i]) == (not chosen[i])


def test_noise_has_its_size_and_its_share():
    ones = torch.ones(20_000, 10)
    found = noisy_logits(ones, sigma=0.5, share=0.25, generator=seeded(1))
    noisy = (found != 1).any(dim=1)
    assert noisy.float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert found[noisy].std().item() == pytest.approx(0.5, rel=0.02)
    assert found.mean().item() == pytest.approx(1.0, abs=0.005)


@pytest.mark.parametrize("options", [{"sigma": 0.0, "share": 1.0}, {"sigma": 2.0, "share": 0.0}])
def test_without_noise_it_is_plain_distillation(options):
    images, labels = batch()
    logits = rows(6, 3, 12)
    noisy = NoisyTeacher(small_teacher(), temperature=3.0, weight=0.8, **options)(logits, images, labels)
    assert (
        noisy.item()
        == Distillation(small_teacher(), temperature=3.0, weight=0.8)(logits, images, labels).item()
    )


def test_noise_is_a_function_of_seed_and_images():
    images, _ = batch()
    answers = [
        NoisyTeacher(small_teacher(), share=1.0, seed=seed).answers(pictures)
        for seed, pictures in ((0, images), (0, images), (1, images), (0, images.flip(0)))
    ]
    assert torch.equal(answers[0], answers[1])
    assert not torch.equal(answers[0], answers[2])
    assert not torch.equal(answers[0], answers[3].flip(0))  # the same pictures in another order


def test_a_run_resumes_with_the_same_options_only(tmp_path):
    plain, path = image_set(), tmp_path / "run.pt"
    config = replace(CONFIG, epochs=1)
    train(network(), plain, config, objective=NoisyTeacher(network(), sigma=0.2), checkpoint=path)
    with pytest.raises(ValueError, match="sigma"):
        train(network(), plain, config, objective=NoisyTeacher(network(), sigma=0.3), checkpoint=path)
    path = tmp_path / "related.pt"
    train(network(), plain, config, objective=RelationalDistillation(network()), checkpoint=path)
    with pytest.raises(ValueError, match="angle"):
        train(network(), plain, config, objective=RelationalDistillation(network(), angle=1), checkpoint=path)


@pytest.mark.parametrize("variant", [NoisyTeacher, RelationalDistillation])
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path, variant):
    def run(model, path=None, callbacks=()):
        objective = variant(network(), temperature=4.0)
        config = replace(CONFIG, max_lr=0.01)
        train(
            model,
            image_set(),
            config,
            objective=objective,
            checkpoint=path,
            checkpoint_steps=2,
            callbacks=callbacks or [object()],
            device="cpu",
        )
        return weights(model)

    expected = run(network())
    with pytest.raises(KeyboardInterrupt):
        run(network(), tmp_path / "run.pt", [Killer(7, "after_step")])
    assert_equal_weights(expected, run(network(), tmp_path / "run.pt"))


@pytest.mark.parametrize("variant", [NoisyTeacher, RelationalDistillation])
def test_students_learn_from_either(variant):
    images = image_set(64)
    teacher, student = network(), network()
    train(teacher, images, replace(CONFIG, epochs=8))
    options = {"weight": 1.0, "temperature": 3.0} if variant is NoisyTeacher else {"distance": 1, "angle": 2}
    before = evaluate(student, images).top1
    train(student, images, replace(CONFIG, epochs=24), objective=variant(teacher, **options))
    assert before < 0.5
    assert evaluate(student, images).top1 > 0.9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda t: NoisyTeacher(t, sigma=-0.1), r"sigma=-0\.1"),
        (lambda t: NoisyTeacher(t, share=1.1), r"share=1\.1"),
        (lambda t: NoisyTeacher(t, sigma=float("nan")), "sigma=nan"),
        (lambda t: RelationalDistillation(t, distance=-1.0), r"distance=-1\.0"),
        (lambda t: RelationalDistillation(t, angle=float("nan")), "angle=nan"),
        (lambda t: RelationalDistillation(t, n_related=2), "n_related=2"),
        (lambda t: RelationalDistillation(t, temperature=0.0), r"temperature=0\.0"),
    ],
)
def test_options_out_of_range_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(small_teacher())


def test_long_weights_are_shrunk_and_short_ones_left_alone():
    model = nn.Sequential(nn.Conv2d(2, 2, 3), nn.Flatten(), nn.Linear(2, 3))
    with torch.no_grad():
        model[0].weight.fill_(0.1)
        model[0].weight[1] = 5.0
        model[2].weight.copy_(torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]]))
        model[2].bias.fill_(100.0)
    before = weights(model)
    MaxNorm(2.0).after_step(model, 0)
    assert torch.equal(model[0].weight[0], before["0.weight"][0])
    assert model[0].weight[1].norm().item() == pytest.approx(2.0)
    torch.testing.assert_close(model[2].weight[0], torch.tensor([1.2, 1.6]))  # 2/5 of (3, 4)
    assert torch.equal(model[2].weight[1:], before["2.weight"][1:])
    assert torch.equal(model[2].bias, before["2.bias"])


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_a_bound_that_is_none_is_refused(limit):
    with pytest.raises(ValueError, match=f"limit={limit}"):
        MaxNorm(limit)


@pytest.mark.parametrize("kill_at", [0, 5, 9])
def test_dropout_goes_on_where_it_was(tmp_path, kill_at):
    def run(path=None, killer=None):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = mlp(12, num_classes=3, dropout=0.5)
            callbacks = [DropoutSeed(3), MaxNorm(1.5), killer or object()]
            train(
                model,
                image_set(side=28, name="digits"),
                CONFIG,
                callbacks=callbacks,
                checkpoint=path,
                checkpoint_steps=2,
                device="cpu",
            )
        return weights(model)

    expected = run()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run.pt", Killer(kill_at, "after_step"))
    torch.rand(17)  # the global generator is elsewhere by then
    assert_equal_weights(expected, run(tmp_path / "run.pt"))


def test_dropout_differs_from_step_to_step_and_from_seed_to_seed():
    drawn = {}
    with torch.random.fork_rng():
        for seed in (0, 1):
            callback = DropoutSeed(seed)
            for step in range(3):
                drawn[seed, step] = torch.rand(8)
                callback.after_step(None, step)
    values = list(drawn.values())
    assert all(not torch.equal(a, b) for i, a in enumerate(values) for b in values[:i])
