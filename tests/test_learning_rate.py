"""The learning rate's schedule, by hand."""

from dataclasses import replace

import pytest
from tiny import CONFIG

from common.learning_rate import learning_rate, one_cycle


def test_the_triangle_by_hand():
    assert [one_cycle(p, warmup=0.25) for p in (0, 0.125, 0.25, 0.625, 1)] == [0, 0.5, 1, 0.5, 0]
    assert one_cycle(0.0, warmup=0.0) == 1.0


def test_one_cycle_over_the_whole_run():
    config = replace(CONFIG, epochs=3, max_lr=0.5, warmup=0.5)
    rates = [learning_rate(config, step, steps_per_epoch=1) for step in range(3)]
    assert rates == pytest.approx([0.25, 0.5, 0.25])


def test_a_restart_draws_the_triangle_again():
    whole = replace(CONFIG, epochs=5, restarts=(2,))
    first, second = replace(CONFIG, epochs=2), replace(CONFIG, epochs=3)
    rates = [learning_rate(whole, step, steps_per_epoch=4) for step in range(20)]
    assert rates == [learning_rate(first, step, steps_per_epoch=4) for step in range(8)] + [
        learning_rate(second, step, steps_per_epoch=4) for step in range(12)
    ]


def test_a_restart_outside_the_run_has_no_effect():
    for restarts in ((), (0,), (3,), (7,)):
        config = replace(CONFIG, epochs=3, restarts=restarts)
        assert learning_rate(config, 5, steps_per_epoch=4) == learning_rate(
            replace(config, restarts=()), 5, steps_per_epoch=4
        )
