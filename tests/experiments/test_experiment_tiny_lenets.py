"""Tiny LeNets in tiny: every stage runs, the file is what it says, and a stopped run goes on."""

from dataclasses import replace

import pytest
import torch

from common.base.results import read_result
from common.compress.pipeline import decompress
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
