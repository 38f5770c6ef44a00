"""How the shipped files' options were chosen: by the rule alone, from validation images alone."""

from dataclasses import replace

import pytest

from common.base.results import git_commit
from common.capstone import vgg16
from common.compress.pipeline import CompressConfig
from common.compress.points import OperatingPoint
from common.data.datasets import load_dataset
from common.data.image_set import train_val_split
from common.experiments import choices, lenets, read_experiment
from common.experiments.choices import CHOICES, Choice, Rule, choose, is_of, options_of, to_markdown
from common.networks.baseline import train_config
from common.networks.training import TrainConfig

pytestmark = pytest.mark.slow

TINY = TrainConfig(
    epochs=1, batch_size=50, max_lr=0.02, label_smoothing=0.0, crop_padding=1, flip=False, precision="fp32"
)
SHIPPED = {point.name: point for point in (*lenets.POINTS, *vgg16.POINTS.values())}


def _row(name, file_bytes, error):
    return {"name": name, "file_bytes": file_bytes, "ratio": 1000 / file_bytes, "validation_error": error}


ROWS = [_row("a", 10, 0.020), _row("b", 8, 0.015), _row("c", 5, 0.017), _row("d", 4, 0.030)]


@pytest.mark.parametrize(
    ("rule", "most_error", "name"),
    [
        (Rule(100.0), 0.0, "b"),
        (Rule(150.0), 1.0, "c"),
        (Rule(250.0), 0.0, "d"),
        (Rule(251.0), 1.0, None),
        (Rule(0.0, is_smallest=True), 0.017, "c"),  # not worse than the trained network: equal is enough
        (Rule(0.0, is_smallest=True), 0.0169, "b"),
        (Rule(0.0, is_smallest=True), 0.5, "d"),
        (Rule(150.0, is_smallest=True), 0.001, "c"),  # none is as good: the best
    ],
)
def test_a_rule_takes_what_it_says(rule, most_error, name):
    assert rule.choose(ROWS, most_error=most_error) == name
    assert rule.choose(ROWS[::-1], most_error=most_error) == name


def test_of_equal_errors_the_smaller_file_is_taken():
    rows = [_row("large", 10, 0.01), _row("small", 9, 0.01)]
    assert Rule(1.0).choose(rows, most_error=0.0) == "small"


def test_every_shipped_file_has_its_choice():
    assert {choice.name for choice in CHOICES} == set(SHIPPED)
    for choice in CHOICES:
        options = [options_of(point) for point in choice.candidates.values()]
        assert all(one not in options[:at] for at, one in enumerate(options)), "no candidate twice"
        assert options_of(SHIPPED[choice.name]) in options


def test_what_is_stored_is_what_is_shipped():
    stored = {row["name"]: row for row in read_experiment("choices")["choices"]}
    assert set(stored) == set(SHIPPED)
    for choice in CHOICES:
        row = stored[choice.name]
        assert row["rule"] == str(choice.rule)
        assert {one["name"]: one["options"] for one in row["candidates"]} == {
            label: options_of(point) for label, point in choice.candidates.items()
        }
        taken = choice.rule.choose(row["candidates"], most_error=row["trained_validation_error"])
        assert row["chosen"] == taken
        (options,) = (one["options"] for one in row["candidates"] if one["name"] == taken)
        assert options == options_of(SHIPPED[choice.name])


def test_candidates_are_compressed_measured_and_one_is_taken(tmp_path):
    config = CompressConfig(
        sparsity=0.9, prune=TINY, share=replace(TINY, optimizer="adam", max_lr=1e-3), linear_clusters=16
    )
    small = replace(config, sparsity=0.97, linear_clusters=4)
    candidates = {
        name: OperatingPoint("tiny", options, network="lenet_300_100", teacher=teacher)
        for name, options, teacher in (
            ("large", config, None),
            ("small", small, None),
            ("taught", small, "trained"),
        )
    }
    options = {"lenet_workdir": tmp_path, "baseline_epochs": 1, "device": "cpu"}
    images = _, validation = train_val_split(load_dataset("digits", "train"), n_validation=500)
    choice = Choice("tiny", Rule(50.0), candidates)
    row = choose(choice, images, **options)
    large, smaller, taught = row["candidates"]
    assert large["file_bytes"] > smaller["file_bytes"]
    assert smaller["options"] != taught["options"]
    assert taught["validation_error"] != smaller["validation_error"] or (
        taught["file_bytes"] != smaller["file_bytes"]
    )
    assert row["chosen"] in ("small", "taught")
    assert row["n_validation"] == len(validation) == 500
    assert choose(choice, images, **options) == row, "from the checkpoints"
    assert not is_of(row, choice, images), "a row that does not tell its trained network"
    row["trained"] = repr(train_config("lenet_300_100"))
    assert is_of(row, choice, images)
    assert not is_of(row | {"trained": "another"}, choice, images)
    other, _ = train_val_split(load_dataset("digits", "train"), n_validation=400)
    assert not is_of(row, choice, (other, validation))
    assert not is_of(row, replace(choice, rule=Rule(51.0)), images)
    assert not is_of(row, replace(choice, candidates={"large": candidates["large"]}), images)
    assert to_markdown([row]).count("\n") == 4


def test_a_stored_choice_stays_with_its_commit_unless_something_has_changed(monkeypatch):
    images = train_val_split(load_dataset("digits", "train"), n_validation=500)
    point = OperatingPoint("tiny", CompressConfig(), network="lenet_300_100")
    old, new = Choice("old", Rule(1.0), {"a": point}), Choice("new", Rule(2.0), {"a": point})

    def measured(choice, images, **_):
        one = _row("a", 10, 0.02) | {"options": options_of(point)}
        return {
            "name": choice.name,
            "rule": str(choice.rule),
            "images": [one.sha256 for one in images],
            "trained_validation_error": 0.02,
            "candidates": [one],
            "chosen": "a",
            "trained": repr(train_config("lenet_300_100")),
        }

    stored = {"old": measured(old, images) | {"commit": "before"}, "new": measured(old, images)}
    kept = {}
    monkeypatch.setattr(choices, "CHOICES", (old, new))
    monkeypatch.setattr(choices, "_stored_rows", lambda: stored)
    monkeypatch.setattr(choices, "_images", lambda choice: images)
    monkeypatch.setattr(choices, "choose", measured)
    monkeypatch.setattr(choices, "store", lambda name, figures, **_: kept.update(figures))
    choices.run()
    first, second = kept["choices"]
    assert (first["commit"], second["commit"]) == ("before", git_commit())
    choices.run(resume=False)
    assert kept["choices"][0]["commit"] == git_commit()
