"""Operating points: one starts from another's pruned network and learns from it."""

import copy
from dataclasses import replace

import pytest
import torch
from tiny import CONFIG, image_set, network

from common.capstone import vgg16
from common.compress import points as operating_points
from common.compress.pipeline import CompressConfig, SharingConfig
from common.compress.points import OperatingPoint, run_point
from common.experiments.choices import options_of

FIRST = CompressConfig(
    sparsity=0.5,
    conv_clusters=8,
    linear_clusters=8,
    prune=replace(CONFIG, epochs=2),
    share=replace(CONFIG, epochs=1, optimizer="adam", max_lr=0.01),
)
_FIRST = OperatingPoint("first", FIRST)
_SECOND = OperatingPoint("second", replace(FIRST, sparsity=0.8), start=_FIRST)
POINTS = {
    "first": _FIRST,
    "second": _SECOND,
    "taught": replace(
        _SECOND, name="taught", is_taught_by_baseline=True, config=replace(_SECOND.config, reestimate=20)
    ),
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a tiny point; the teachers that it had, by their options."""
    monkeypatch.setattr(operating_points, "pack", lambda model, *_, **__: model)
    monkeypatch.setattr(operating_points, "save_file", lambda model, path, **_: torch.save(model, path))
    monkeypatch.setattr(operating_points, "decompress", lambda data: network())
    monkeypatch.setattr(operating_points, "stage_sizes", lambda data, **_: {"dense": 2, "huffman": 1})
    teachers, kind = [], operating_points.Distillation

    class Recorded(kind):
        def __init__(self, teacher, **options):
            super().__init__(teacher, **options)
            teachers.append(copy.deepcopy(teacher))

    monkeypatch.setattr(operating_points, "Distillation", Recorded)

    def run_once(name):
        teachers.clear()
        run_point(
            POINTS[name],
            network(),
            image_set(),
            test=image_set(seed=1),
            folder=tmp_path,
            workdir=tmp_path,
            architecture={},
            device="cpu",
        )
        return [_sparsity(teacher) for teacher in teachers]

    return run_once


def _sparsity(model):
    kinds = torch.nn.Conv2d | torch.nn.Linear
    weights = [module.weight for module in model.modules() if isinstance(module, kinds)]
    n_zeros = sum(int((weight == 0).sum()) for weight in weights)
    return n_zeros / sum(weight.numel() for weight in weights)


def test_a_point_with_a_start_learns_from_that_network_and_then_from_its_own(run):
    assert run("first") == pytest.approx([0.5], abs=0.02)
    assert run("second") == pytest.approx([0.5, 0.8], abs=0.02)


def test_a_point_that_the_baseline_teaches_learns_from_it_throughout(run):
    run("first")
    assert run("taught") == pytest.approx([0.0, 0.5, 0.0], abs=0.02)  # the start's own teacher goes unused


def test_what_is_told_of_a_point_names_what_is_new_only_where_it_is_used():
    point = OperatingPoint("point", FIRST)
    told = options_of(point)
    assert told["sparsity"] == 0.5
    assert not {"trained", "reestimate", "slim_again", "is_taught_by_baseline"} & told.keys()
    changed = replace(point, slim_again=0.5, config=replace(FIRST, reestimate=10, trained=SharingConfig()))
    assert options_of(changed) == told | {
        "slim_again": 0.5,
        "reestimate": 10,
        "trained": {"every": 10, "rate_weight": 0.0, "ramp": 0.5, "codebook_rate": 0.1, "latent_rate": 0.3},
    }


def test_a_point_makes_its_start_when_it_is_not_there(run, tmp_path):
    assert run("second") == pytest.approx([0.5, 0.8], abs=0.02)
    assert {path.name for path in tmp_path.glob("*.pruned.pt")} == {"first.pruned.pt", "second.pruned.pt"}


def test_finished_stages_are_read_again(run, tmp_path):
    run("second")
    before = (tmp_path / "second.pruned.pt").read_bytes()
    assert run("second") == pytest.approx([0.8], abs=0.02)
    assert (tmp_path / "second.pruned.pt").read_bytes() == before


def test_shipped_points_follow_each_other():
    for point in vgg16.POINTS.values():
        assert point.start is None or point.start in vgg16.POINTS.values()
        assert point.config.prune.epochs > 0
        assert point.config.share.optimizer == "adam"
