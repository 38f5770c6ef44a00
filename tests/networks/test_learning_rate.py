"""The learning rate's schedule, by hand."""

from dataclasses import replace

import pytest
from tiny import CONFIG

from common.networks.baseline import train_config
from common.networks.training import learning_rate, one_cycle


def rates(config, *, steps_per_epoch):
    steps = range(config.epochs * steps_per_epoch)
    return [learning_rate(config, step, steps_per_epoch=steps_per_epoch) for step in steps]


def test_the_triangle_by_hand():
    assert [one_cycle(p, warmup=0.25) for p in (0, 0.125, 0.25, 0.625, 1)] == [0, 0.5, 1, 0.5, 0]
    assert one_cycle(0.0, warmup=0.0) == 1.0


def test_one_cycle_over_the_whole_run():
    config = replace(CONFIG, epochs=3, max_lr=0.5, warmup=0.5)
    assert rates(config, steps_per_epoch=1) == pytest.approx([0.25, 0.5, 0.25])


def test_lines_between_given_points_by_hand():
    config = replace(CONFIG, epochs=3, max_lr=0.5, rates=((0, 0), (1, 1), (2, 0.5), (3, 0)))
    assert rates(config, steps_per_epoch=2) == pytest.approx([0.125, 0.375, 0.4375, 0.3125, 0.1875, 0.0625])


def test_a_fraction_of_the_batches_changes_the_steps_not_the_shape():
    config = train_config("vgg16", device="cpu")
    fine, coarse = rates(config, steps_per_epoch=100), rates(config, steps_per_epoch=10)
    assert [sum(fine[i : i + 10]) / 10 for i in range(0, len(fine), 10)] == pytest.approx(coarse, abs=2e-3)
    assert max(fine) <= config.max_lr
    assert min(fine) > 0
