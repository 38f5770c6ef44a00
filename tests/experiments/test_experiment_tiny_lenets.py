"""Tiny LeNets in tiny: every stage runs, the file is what it says, and a stopped run goes on."""

from dataclasses import replace

import pytest
import torch
from tiny import image_set

from common.base.results import read_result
from common.compress.pipeline import decompress
from common.experiments import tiny_lenets
from common.experiments.methods_map import KEYS
from common.experiments.tiny_lenets import PLANS, _points, reproduce, unit_masks
from common.networks.models import build

TRAIN = replace(PLANS[0].whole, epochs=1, rates=((0, 1), (1, 0)))
PLAN = replace(
    PLANS[1],
    name="tiny",
    units=(10, 8),
    n_kept=400,
    candidates=((4, 0.01), (3, 0.05)),
    whole=TRAIN,
    prune=TRAIN,
    share=TRAIN,
)


@pytest.fixture
def run(tmp_path):
    return lambda **options: reproduce(
        [PLAN],
        seeds=(0, 1),
        teachers=("capstone/lenet_5_small.dcz",),
        dataset="digits",
        folder=tmp_path / "files",
        workdir=tmp_path / "runs",
        device="cpu",
        **options,
    )


@pytest.mark.slow
def test_every_stage_runs_and_the_file_is_what_the_figures_say(run, tmp_path):
    made = run()
    (file,) = made.figures["files"]
    data = (tmp_path / "files" / "tiny.dcz").read_bytes()
    assert file["file_bytes"] == len(data)
    assert file["is_met"] == (len(data) <= PLAN.target_bytes and file["error"] <= PLAN.target_error)
    assert len(file["runs"]) == 2
    for one in file["runs"]:
        sizes = {row["file_bytes"] for row in one["candidates"]}
        assert one["file_bytes"] in sizes
        assert one["candidates"][1]["file_bytes"] < one["candidates"][0]["file_bytes"]
    assert (
        file["validation_error"]
        == min((one["validation_loss"], one["validation_error"]) for one in file["runs"])[1]
    )
    network = decompress(data)
    assert sum(int((weight != 0).sum()) for weight in network.parameters() if weight.ndim > 1) <= 400
    live = (network.fc1.weight != 0).any(1)
    assert not live[10:].any()
    stored = read_result(tmp_path / "files" / "results" / "tiny_lenets.json")["figures"]
    assert stored["files"][0]["error"] == file["error"]
    assert "tiny" not in made.table()
    assert "lenet_300_100" in made.table()
    again = run()
    assert again.figures == made.figures
    assert (tmp_path / "files" / "tiny.dcz").read_bytes() == data


@pytest.mark.slow
def test_a_stopped_run_leaves_the_old_file(run, tmp_path, monkeypatch):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "tiny.dcz").write_bytes(b"old")

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(tiny_lenets, "layer_rows", stop)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert (tmp_path / "files" / "tiny.dcz").read_bytes() == b"old"


def test_answers_of_other_teachers_are_not_found(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(tiny_lenets, "ROOT", tmp_path)
    monkeypatch.setattr(tiny_lenets, "decompress", lambda data: data)
    monkeypatch.setattr(
        tiny_lenets,
        "ensemble_answers",
        lambda teachers, copies, temperature: asked.append(teachers) or torch.tensor([[float(len(asked))]]),
    )

    def answer(teacher):
        (tmp_path / "teacher.dcz").write_bytes(teacher)
        return tiny_lenets._answers(PLAN, image_set(), ["teacher.dcz"], tmp_path / "runs").item()

    assert [answer(b"a"), answer(b"a"), answer(b"b"), answer(b"b")] == [1, 1, 2, 2]
    assert asked == [[b"a"], [b"b"]], "as long as the other, but another"


def test_points_stand_beside_the_dense_network_of_the_same_data():
    file = {
        "network": "lenet_5",
        "file": "x.dcz",
        "file_bytes": 1500,
        "dense_bytes": 1_724_320,
        "error": 0.01,
    }
    (point,) = _points([file], "mnist")
    assert point["top1"] == 0.99
    assert point["baseline_top1"] > 0.99
    assert set(KEYS) == set(point)
    assert not _points([file], "another")


def test_the_units_that_stay_are_those_of_most_worth():
    model = build("lenet_300_100", width=0.02)
    fisher = {
        f"{name}.weight": torch.ones_like(layer.weight)
        for name, layer in model.named_children()
        if hasattr(layer, "weight")
    }
    with torch.no_grad():
        model.fc1.weight.fill_(0.1)
        model.fc1.weight[[1, 4]] = 1.0
    masks = unit_masks(model, fisher, (2, 1))
    assert masks["fc1.weight"].any(1).nonzero().flatten().tolist() == [1, 4]
    assert int(masks["fc2.weight"].any(1).sum()) == 1
    assert masks["fc3.weight"].all()
    with pytest.raises(ValueError, match="1 numbers of units for 2 hidden layers"):
        unit_masks(model, fisher, (2,))
