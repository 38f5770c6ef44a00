"""Experiments: run by name, stored with how they were made, read back."""

import pytest

from common import experiments
from common.base.results import read_result
from common.experiments import EXPERIMENTS, Outcome, read_experiment, run_experiment


def stand_in(monkeypatch, outcome):
    """A module that measures nothing."""
    module = type("Module", (), {"run": staticmethod(lambda **options: outcome)})
    monkeypatch.setattr(experiments.importlib, "import_module", lambda name: module)


@pytest.mark.parametrize("name", ["criteria", "lenets"])
def test_an_experiment_is_stored_beside_its_lecture_and_read_back(name, tmp_path, monkeypatch):
    stand_in(monkeypatch, Outcome({"top1": 0.5}, "a table", datasets=(), seed=3))
    monkeypatch.setattr(experiments, "ROOT", tmp_path)
    assert run_experiment(name, device="cpu").to_dict() == {"top1": 0.5}
    assert read_experiment(name) == {"top1": 0.5}
    stored = read_result(tmp_path / EXPERIMENTS[name].result)
    assert (stored["command"], stored["seed"]) == (f"{EXPERIMENTS[name].command} {name}", 3)


def test_what_stores_after_each_part_is_not_stored_again(tmp_path, monkeypatch):
    stand_in(monkeypatch, Outcome({"top1": 0.5}, "a table"))
    monkeypatch.setattr(experiments, "ROOT", tmp_path)
    assert run_experiment("lenets").table() == "a table"
    assert not list(tmp_path.iterdir())


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "ROOT", tmp_path)
    with pytest.raises(FileNotFoundError, match="dnnc study bits"):
        read_experiment("bits")
    with pytest.raises(FileNotFoundError, match="dnnc reproduce lenets"):
        read_experiment("lenets")
    with pytest.raises(ValueError, match="no experiment 'nothing': expected one of"):
        run_experiment("nothing")


def test_every_experiment_is_a_module_and_has_a_place_for_its_result():
    for name, entry in EXPERIMENTS.items():
        assert (experiments.ROOT / "common" / "experiments" / f"{name}.py").exists()
        path = experiments.ROOT / entry.result
        assert path.parent.is_dir()
        assert path.suffix == ".json"
