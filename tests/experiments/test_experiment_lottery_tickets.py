"""The reproduction of the lottery tickets: a tiny run of the same code, resumed, and the stored figures."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import image_set

from common.compress.pipeline import decompress
from common.data.datasets import load_dataset
from common.experiments import EXPERIMENTS, read_experiment
from common.experiments import lottery_tickets as lottery_bench
from common.experiments.lottery_tickets import (
    CONVS,
    LONG,
    PLANS,
    PUBLISHED,
    SHORT,
    SHORT_CONV,
    compare,
    conv_network,
    network,
    reproduce_lottery_tickets,
    speed_in_words,
    to_markdown,
)
from common.methods.lottery_tickets import n_kept, prune_rounds, pruning_rates, whole_masks
from common.networks.models import count_parameters, dense_bytes, prunable_parameters
from common.networks.training import evaluate

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("ticket", "reinit", "random_mask", "one_shot", "fine_tuned", "early")
TINY = replace(
    SHORT,
    dataset="digits",
    n_validation=500,
    n_watched=100,
    every=20,
    early_step=5,
    width=0.05,
    levels=(0, 1, 3),
    trials=(0, 1),
    train=replace(SHORT.train, epochs=1),
    files=(0.0, 0.2),
    controls=tuple((kind, (1, 3)) for kind in KINDS[1:]),
)
STORED = ROOT / EXPERIMENTS["lottery_tickets"].result


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory):
    """Two trials of thirteen networks; what came out, and the options that it was made with."""
    options = {
        "plans": [TINY],
        "workdir": tmp_path_factory.mktemp("tickets"),
        "device": "cpu",
        "is_stored": False,
    }
    return reproduce_lottery_tickets(**options), options


def test_every_network_is_measured_in_every_trial(reproduction):
    (experiment,) = reproduction[0].figures["experiments"]
    assert tuple(experiment["kinds"]) == KINDS
    ticket = experiment["kinds"]["ticket"]
    assert ticket["levels"] == [0, 1, 3]
    model = network(TINY, 10)
    rates = pruning_rates(model)
    for level, kept in zip(ticket["levels"], ticket["kept"], strict=True):
        masks = prune_rounds(prunable_parameters(model), whole_masks(model), rates, rounds=level)
        assert kept == round(n_kept(masks) / experiment["n_weights"], 6)
    for kind in KINDS[1:]:
        assert experiment["kinds"][kind]["levels"] == [1, 3]
        assert experiment["kinds"][kind]["kept"] == ticket["kept"][1:]
    for kind in experiment["kinds"].values():
        for name in ("stop_step", "stop_loss", "stop_top1", "end_top1", "validation_top1"):
            assert np.shape(kind[name]) == (len(kind["levels"]), 2)
        assert set(np.ravel(kind["stop_step"])) <= {20, 40}
    assert experiment["steps"] == 3500 // 60
    assert experiment["curve_steps"] == [20, 40]
    assert experiment["trials"] == [0, 1]
    starts = [experiment["kinds"][kind]["stop_top1"][0] for kind in KINDS[1:]]
    assert len({tuple(start) for start in starts}) == len(starts)  # the kinds are not one and the same


def test_connections_of_the_pixels_are_counted(reproduction):
    (experiment,) = reproduction[0].figures["experiments"]
    units = round(300 * TINY.width)
    assert list(experiment["inputs"]) == ["1"]
    counts = np.array(experiment["inputs"]["1"])
    assert counts.shape == (784,)
    assert counts.max() <= units
    assert counts.sum() == pytest.approx(0.8 * 784 * units, abs=1)


def test_a_second_run_trains_nothing_and_finds_the_same(reproduction, monkeypatch):
    result, options = reproduction

    def refuse(*args, **other):
        raise AssertionError("trained again")

    monkeypatch.setattr(lottery_bench, "train", refuse)
    assert (
        reproduce_lottery_tickets(**options | {"plans": [replace(TINY, files=())]}).figures["experiments"]
        == result.figures["experiments"]
    )
    with pytest.raises(AssertionError, match="trained again"):
        reproduce_lottery_tickets(**options, resume=False)
    with pytest.raises(AssertionError, match="trained again"):
        reproduce_lottery_tickets(**options | {"plans": [replace(TINY, early_step=6)]})
    real = lottery_bench.load_dataset
    monkeypatch.setattr(  # another test set
        lottery_bench,
        "load_dataset",
        lambda name, split: image_set(30, side=28) if split == "test" else real(name, split),
    )
    with pytest.raises(AssertionError, match="trained again"):
        reproduce_lottery_tickets(**options)


def test_a_stopped_run_goes_on_to_the_same_figures(reproduction):
    result, options = reproduction
    folder = options["workdir"] / TINY.network / "trial1"
    for name in ("ticket_03", "reinit_03", "fine_tuned_03", "early_01"):
        (made,) = folder.glob(f"{name}-*")
        shutil.rmtree(made)
    assert reproduce_lottery_tickets(**options).figures == result.figures


def test_the_files_decode_to_what_the_points_say(reproduction):
    result, options = reproduction
    test = load_dataset("digits", "test")
    points = result.figures["points"]
    assert len(points) == 2
    files = {len(path.read_bytes()): path for path in options["workdir"].rglob("*.dcz")}
    for point in points:
        assert set(point) == {
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
        model = decompress(files[point["file_bytes"]].read_bytes())
        assert evaluate(model, test, device="cpu").top1 == point["top1"]
        assert point["dense_bytes"] == dense_bytes(network(TINY, 10)) == dense_bytes(model)
    (experiment,) = result.figures["experiments"]
    assert points[0]["baseline_top1"] == pytest.approx(experiment["kinds"]["ticket"]["stop_top1"][0][0])


def test_what_was_not_run_is_said(reproduction):
    result, _ = reproduction
    assert [row["network"] for row in result.figures["not_run"]] == [
        "lenet_300_100",
        "conv_2",
        "conv_4",
        "conv_6",
    ]
    assert result.table().count("Not run at the paper's length: ") == 4
    assert result.table() == to_markdown(json.loads(json.dumps(result.to_dict())))


def experiment(stop_steps, top1):
    """Figures of a ticket at 100, 21 and 3.6 %, and of one reinitialised network."""
    ticket = {"levels": [0, 7, 15], "kept": [1.0, 0.211, 0.036]}
    ticket |= {"stop_step": stop_steps[:3], "stop_top1": top1[:3], "end_top1": top1[:3]}
    reinit = {"levels": [7], "kept": [0.211], "stop_step": stop_steps[3:], "stop_top1": top1[3:]}
    reinit |= {"end_top1": top1[3:]}
    return {"kinds": {"ticket": ticket, "reinit": reinit}, "curve_steps": [500, 1000, 2000]}


def test_comparison_by_hand():
    figures = experiment(
        [[1000, 1000], [500, 500], [1000, 2000], [1000, 2000]], [[0.9], [0.92], [0.9], [0.85]]
    )
    dense = compare(figures, "dense", 0.21)
    assert dense["times_faster"] == 2.0
    assert dense["points"] == pytest.approx(2.0)
    assert not dense["at_the_end"]
    reinit = compare(figures, "reinit", 0.211)
    assert reinit["times_faster"] == 3.0
    assert reinit["at_the_end"]
    assert reinit["end_points"] == pytest.approx(7.0)
    assert compare(figures, "reinit", 0.036) is None  # not trained there
    assert compare(figures, "dense", 0.1) is None  # no such level


@pytest.mark.parametrize(
    ("ticket", "other", "times", "share"),
    [
        (500, 1000, "2.00 times sooner", "50 % earlier"),
        (1500, 1000, "0.67 times sooner", "50 % later"),
        (500, 2000, "at least 4.00 times sooner", "at least 75 % earlier"),
        (2000, 1000, "at most 0.50 times sooner", "at least 100 % later"),
        (2000, 2000, "neither least within the training", "neither least within the training"),
    ],
)
def test_a_loss_that_still_falls_at_the_end_gives_a_bound_only(ticket, other, times, share):
    found = compare(experiment([[other], [ticket], [1], [1]], [[0.9]] * 4), "dense", 0.211)
    assert (speed_in_words(found), speed_in_words(found, as_share=True)) == (times, share)


def test_the_paper_s_networks_and_budgets():
    """Two, four or six convolutions, a linear layer that reads what the poolings leave, 256 units, 10."""
    for name, convs, read in (
        ("conv_2", [(3, 64), (64, 64)], 64 * 16 * 16),
        ("conv_4", [(3, 64), (64, 64), (64, 128), (128, 128)], 128 * 8 * 8),
        ("conv_6", [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256)], 256 * 4 * 4),
    ):
        shapes = [tuple(weight.shape) for weight in prunable_parameters(conv_network(name)).values()]
        expected = [(after, before, 3, 3) for before, after in convs]
        assert shapes == [*expected, (256, read), (256, 256), (10, 256)]
    assert round(count_parameters(conv_network("conv_2")) / 1e6, 1) == 4.3
    for plan, least in ((LONG, 50_000), *zip(CONVS, (20_000, 25_000, 30_000), strict=True)):
        n_train = {"mnist": 60_000, "cifar10": 50_000}[plan.dataset] - plan.n_validation
        assert 0 <= plan.train.epochs * (n_train // plan.train.batch_size) - least < 1000
        assert plan.needs_gpu
    assert [plan.network for plan in PLANS if not plan.needs_gpu] == ["lenet_300_100", "conv_2"]
    assert [plan.conv_rate for plan in CONVS] == [0.1, 0.1, 0.15]


def test_the_networks_for_cifar_run_too(tmp_path, monkeypatch):
    def pictures(name, split):
        grey = image_set(40 if split == "train" else 12, side=32, name=name)
        return replace(grey, images=grey.images.repeat(3, axis=1))

    monkeypatch.setattr(lottery_bench, "load_dataset", pictures)
    plan = replace(
        CONVS[0],
        width=0.03,
        n_validation=10,
        n_watched=10,
        every=2,
        early_step=1,
        levels=(0, 2),
        controls=(("reinit", (2,)),),
        trials=(0,),
        train=replace(CONVS[0].train, epochs=1, batch_size=10),
    )
    result = reproduce_lottery_tickets(plans=[plan], workdir=tmp_path, device="cpu", is_stored=False)
    (found,) = result.figures["experiments"]
    assert found["network"] == "conv_2"
    assert found["rates"] == [0.1, 0.1, 0.2, 0.2, 0.1]
    assert found["inputs"] == {}
    assert result.figures["points"] == []


@pytest.mark.parametrize("plan", [SHORT, SHORT_CONV], ids=lambda plan: plan.network)
def test_the_stored_figures_are_of_this_plan(plan):
    figures = read_experiment("lottery_tickets")
    assert figures["published"] == json.loads(json.dumps(PUBLISHED))
    found = next(row for row in figures["experiments"] if row["network"] == plan.network)
    model = network(plan, 10)
    rates, ticket = pruning_rates(model, conv_rate=plan.conv_rate), found["kinds"]["ticket"]
    assert found["rates"] == list(rates.values())
    assert found["n_train"] == plan.n_train
    assert found["steps"] == plan.train.epochs * (plan.n_train // plan.train.batch_size)
    levels = {kind: list(levels) for kind, levels in (("ticket", plan.levels), *plan.controls)}
    assert {kind: own["levels"] for kind, own in found["kinds"].items()} == levels
    n_weights = n_kept(whole_masks(model))
    assert found["n_weights"] == n_weights
    masks, before = whole_masks(model), 0
    for level, kept in zip(ticket["levels"], ticket["kept"], strict=True):
        masks = prune_rounds(prunable_parameters(model), masks, rates, rounds=level - before)
        before = level
        assert kept == round(n_kept(masks) / n_weights, 6)
    n_trials = len(found["trials"])
    for kind in found["kinds"].values():
        assert np.shape(kind["stop_step"]) == (len(kind["levels"]), n_trials)
        assert set(np.ravel(kind["stop_step"])) <= set(found["curve_steps"])
        # What the table says must be accuracies of whole test images.
        images = np.ravel(kind["stop_top1"]) * found["n_test"]
        assert np.abs(images - images.round()).max() < 0.2
    table = to_markdown(figures)
    for point in figures["points"]:
        assert point["dense_bytes"] == 4 * 266_610
        assert f"{point['file_bytes']:,}" in table
    assert f"{n_trials} of {found['planned_trials']} trials" in table
