"""The reproduction of sparse variational dropout, tiny, on the digits that come inside the dependencies."""

import json
from dataclasses import replace

import pytest
import torch

from common.base.results import read_result
from common.codec import container
from common.compress.pipeline import decompress
from common.data.datasets import load_dataset
from common.experiments import ROOT, read_experiment
from common.experiments.variational_dropout import FOLDER, Plan, reproduce, to_markdown
from common.methods import variational_dropout as noise_history
from common.networks.training import evaluate
from common.report.published import PUBLISHED

pytestmark = pytest.mark.slow

POINT = {
    "method",
    "label",
    "network",
    "dataset",
    "file_bytes",
    "dense_bytes",
    "top1",
    "baseline_top1",
    "note",
}
BASELINES = {"lenet_300_100": 0.95, "lenet_5": 0.97}


def tiny_plan(network="lenet_300_100"):
    """The shipped plan, one short epoch a stage."""
    one = next(plan for plan in Plan().networks if plan.network == network)
    short = {"epochs": 1, "batch_size": 250, "rates": ()}
    coding = replace(
        one.coding,
        tune=replace(one.coding.tune, **short),
        share=replace(one.coding.share, **short),
        crops=(0,),
        clusters=((8, 6), (4, 3)),
        tolerance=0.05,
    )
    stages = tuple(replace(stage, epochs=1, warmup=min(stage.warmup, 0.5)) for stage in one.stages[1:])
    training = replace(one.train, batch_size=250, max_lr=0.01)
    return Plan(
        networks=(replace(one, stages=stages, train=training, coding=coding, log_sigma2=-6.0),),
        dataset="digits",
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What came out, and the options that made it."""
    root = tmp_path_factory.mktemp("variational")
    options = {
        "baselines": BASELINES,
        "folder": root / "out",
        "workdir": root / "runs",
        "device": "cpu",
        "command": "a test",
    }
    return reproduce(tiny_plan(), **options), options


def test_figures_are_those_of_the_decoded_file(made):
    result, options = made
    file, point = result.figures["files"][0], result.figures["points"][0]
    data = (options["folder"] / file["file"]).read_bytes()
    assert file["file_bytes"] == point["file_bytes"] == len(data)
    assert file["dense_bytes"] == point["dense_bytes"] == 4 * 266_610
    test = load_dataset("digits", "test")
    assert point["top1"] == 1.0 - file["error"] == pytest.approx(evaluate(decompress(data), test).top1)
    assert point["baseline_top1"] == pytest.approx(0.95)
    assert set(point) == POINT
    assert file["parameter_ratio"] == file["n_weights"] / sum(file["kept"]) > 2
    # Units that say nothing take their weights with them: the file holds no more than was kept.
    for layer, kept in zip(file["layers"], file["kept"], strict=True):
        assert 0 < layer["n_kept"] <= kept
    assert list(container.load(data).metadata.values()) == ["lenet_300_100", 10]


def test_the_smallest_file_within_the_tolerance_is_chosen_on_validation_images(made):
    file = made[0].figures["files"][1]
    least = min(file["validation_errors_tuned"].values())
    fitting = [row for row in file["candidates"] if row["validation_error"] <= least + 0.05 + 1e-12]
    assert fitting
    smallest = min(fitting, key=lambda row: row["file_bytes"])
    assert (file["chosen"], file["file_bytes"]) == (
        [smallest["conv"], smallest["linear"]],
        smallest["file_bytes"],
    )
    assert file["validation_error"] == smallest["validation_error"]


def test_a_lower_threshold_keeps_fewer_weights_as_the_sweep_says(made):
    paper, middle, small = made[0].figures["files"]
    assert [file["threshold"] for file in (paper, middle, small)] == [3.0, 1.0, 0.0]
    assert sum(small["kept"]) < sum(middle["kept"]) < sum(paper["kept"])
    assert small["file_bytes"] < middle["file_bytes"] < paper["file_bytes"]
    sweep = {row["threshold"]: row for row in paper["sweep"]}
    assert list(sweep) == sorted(sweep, reverse=True)
    for file in (paper, middle, small):
        row = sweep[file["threshold"]]
        assert row["kept"] == sum(file["kept"])
        assert row["validation_error"] == file["validation_error_learnt"]


def test_the_history_has_every_epoch_and_every_weight(made):
    (network,) = made[0].figures["networks"]
    assert [record["epoch"] for record in network["records"]] == [0, 1, 2]
    assert network["weights"] == [235_200, 30_000, 1_000]
    first, *later = network["records"]
    assert sum(first["histogram"]) == sum(network["weights"])
    assert first["validation_error"] is None
    assert all(0 <= record["validation_error"] <= 1 for record in later)
    assert sum(later[-1]["kept"]) < sum(first["kept"])
    assert len(first["histogram"]) == len(made[0].figures["edges"]) - 1 == len(noise_history.EDGES) - 1


def test_it_resumes_to_the_same_figures_without_a_step(made, monkeypatch):
    result, options = made

    def refuse(self, *args):
        raise RuntimeError("a step was made")

    monkeypatch.setattr(torch.optim.Adam, "step", refuse)
    again = reproduce(tiny_plan(), **options)
    assert again.figures == result.figures
    with pytest.raises(RuntimeError, match="a step was made"):
        reproduce(tiny_plan(), **options, resume=False)


def test_stored_figures_are_those_returned_and_the_table_has_both(made):
    result, options = made
    stored = read_result(options["folder"] / "variational_dropout.json")
    assert stored["figures"] == json.loads(json.dumps(result.figures))
    assert stored["command"] == "a test"
    assert result.table() == to_markdown(stored["figures"])
    lines = result.table().splitlines()
    assert any("Sparse variational dropout | 1.64 → 1.92 % |  | 68×" in line for line in lines)
    assert any("EPR" in line and "8.56 KB | 124×" in line for line in lines)
    assert sum("ours" in line for line in lines) == 3


def test_the_committed_result_is_consistent_and_its_files_are_there():
    figures = read_experiment("variational_dropout")
    assert len(to_markdown(figures).splitlines()) == 2 + len(figures["published"]) + len(figures["files"]) + 2
    assert [row["ratio"] for row in figures["published"] if row["counts"] == "parameters"] == [
        row.ratio
        for network in PUBLISHED
        for row in PUBLISHED[network]
        if row.counts == "parameters" and network in [one["network"] for one in figures["networks"]]
    ]
    for file, point in zip(figures["files"], figures["points"], strict=True):
        data = (FOLDER / file["file"]).read_bytes()
        assert len(data) == file["file_bytes"] == point["file_bytes"]
        assert sum(layer["n_kept"] for layer in file["layers"]) <= sum(file["kept"])
        assert point["top1"] == pytest.approx(1 - file["error"])
        decompress(data)
    assert FOLDER.is_relative_to(ROOT)


def test_the_shipped_plan_is_for_the_published_networks_and_images():
    plan = Plan()
    assert plan.dataset == "mnist"
    assert [one.network for one in plan.networks] == ["lenet_300_100", "lenet_5"]
    points = [point for one in plan.networks for stage in one.stages for point in stage.points]
    assert len(points) == len({name for name, _ in points}) == 6
    assert [threshold for _, threshold in points] == 2 * [3.0, 1.0, 0.0]  # the paper's, and ours
    for one in plan.networks:
        assert not one.train.flip  # a mirrored digit is another one
        assert one.train.weight_decay == 0  # the divergence is the only price
        assert one.stages[0].weight == 1.0  # the variational bound
