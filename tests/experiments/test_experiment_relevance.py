"""Pruning by relevance made again at a tiny scale: all parts, resumed, and the table from the JSON."""

import json
from dataclasses import replace

import pytest
import torch
from tiny import CONFIG

from common.codec.container import load_file
from common.experiments import read_experiment, relevance
from common.experiments import relevance as relevance_chain
from common.experiments.criteria import NAMES, CriteriaPlan, reference_images
from common.experiments.relevance import Chain, Plan, points_of, run, to_markdown
from common.networks.checkpoints import save_weights
from common.networks.models import build

pytestmark = pytest.mark.slow

BASELINE_WEIGHTS = relevance.baseline_weights
ONE = replace(CONFIG, epochs=1, batch_size=32, max_lr=0.01)
TINY = CriteriaPlan(
    n_little=10,
    n_much=30,
    seeds=(0, 1),
    weight_ratios=(0.5,),
    filter_ratios=(0.3,),
    tested=(("weights", 0.5), ("filters", 0.4)),
    n_measured=20,
    n_tested=30,
)
CHAIN = Chain(
    name="tiny",
    dataset="digits",
    sparsity_ratios=(0.2,),
    weight_prune_ratios=(0.9,),
    n_reference=20,
    n_tune=64,
    tune=ONE,
    share=replace(ONE, optimizer="adam", max_lr=1e-3),
    conv_clusters=4,
    linear_clusters=4,
)


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "vgg16.safetensors"
    save_weights(build("vgg16", width=0.05, seed=1), path)
    return Plan(
        dataset="digits",
        weights=path,
        width=0.05,
        criteria=TINY,
        short=(CHAIN,),
        long=(replace(CHAIN, name="longer", weight_prune_ratios=(0.5, 0.9)), replace(CHAIN, name="far")),
        long_on_a_cpu=replace(CHAIN, name="long", is_taught=True),
        cifar100_on="any",
    )


@pytest.fixture(autouse=True, scope="module")
def trained():
    """Part 3's baseline is there: a VGG-16 of full width would take minutes to train."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relevance, "baseline_weights", lambda plan, **options: plan.weights)
        yield


@pytest.fixture(scope="module")
def first(plan, tmp_path_factory):
    """A whole run, its work folder, and what it handed over to be kept."""
    workdir, kept = tmp_path_factory.mktemp("work"), []
    result = run(
        device="cpu", plan=plan, workdir=workdir, keep=lambda name, figures, **how: kept.append((name, how))
    )
    return result, workdir, kept


def test_all_parts_are_there(first):
    figures, kept = first[0].figures, first[2]
    for kind, ratios in (("weights", 1), ("filters", 1)):
        part = figures["criteria"][kind]
        assert set(part["top1"]) == set(NAMES)
        for name, amounts in part["top1"].items():
            draws = {"magnitude": {"none": 1}, "random": {"none": 2}}.get(name, {"much": 1, "little": 2})
            assert {amount: len(rows) for amount, rows in amounts.items()} == draws
            assert all(len(row) == ratios for rows in amounts.values() for row in rows)
        assert all(0 <= top1 <= 1 for row in part["test_top1"].values() for top1 in row.values())
        matrix = torch.tensor(part["correlation"])
        assert torch.equal(matrix, matrix.T)
        assert matrix.diagonal().tolist() == [1.0] * 5
    (chain,) = figures["iterative"]
    total = sum(chain["whole_channels"])
    assert sum(chain["channels"]) == round(0.8 * total)
    assert chain["weights_gone"] >= 0.9  # dead channels go, too
    assert chain["steps"] == 3 * 2
    assert figures["cifar100"]["status"] == "run on cpu"
    assert [name for name, _ in kept] == ["relevance"] * 4
    assert len(kept[-1][1]["datasets"]) == 6


def test_points_are_files_that_decode(first):
    result, workdir, _ = first
    points = result.figures["points"]
    assert len(points) == 2
    keys = ["method", "label", "network", "dataset", "file_bytes", "dense_bytes", "top1", "baseline_top1"]
    for point in points:
        assert list(point) == [*keys, "note"]
    (path,) = workdir.glob("tiny-*/tiny.dcz")
    assert path.stat().st_size == points[0]["file_bytes"]
    assert len(load_file(path).tensors) > 0


def test_a_second_run_measures_nothing_anew(first, plan, monkeypatch):
    result, workdir, _ = first

    def refuse(*args, **options):
        raise RuntimeError("run again")

    monkeypatch.setattr(relevance_chain, "_run", refuse)
    monkeypatch.setattr("common.experiments.criteria._measure", refuse)
    again = run(device="cpu", plan=plan, workdir=workdir, keep=lambda *args, **how: None)
    assert json.loads(json.dumps(again.figures)) == json.loads(json.dumps(result.figures))
    assert again.table() == result.table()
    with pytest.raises(RuntimeError, match="run again"):
        run(device="cpu", plan=plan, workdir=workdir, keep=lambda *args, **how: None, resume=False)


def test_what_a_gpu_has_finished_is_taken_as_it_is(plan, first, tmp_path):
    short = relevance.part3(plan, workdir=first[1], device="cpu")
    assert (short["name"], short["status"], short["further"]) == ("long", "run on cpu", [])
    for chain in plan.long:  # as on a GPU
        relevance.part3(replace(plan, long=(chain,), long_on_a_cpu=chain), workdir=tmp_path, device="cpu")
        (path,) = tmp_path.glob(f"{chain.name}-*/figures.json")
        content = json.loads(path.read_text())
        content["figures"]["chain"]["device"] = "a GPU"
        path.write_text(json.dumps(content))
        taken = relevance.part3(plan, workdir=tmp_path, device="cpu")
    assert (taken["name"], taken["status"]) == ("longer", "run on a GPU")
    assert [chain["name"] for chain in taken["further"]] == ["far"]
    figures = json.loads(json.dumps(first[0].figures)) | {"cifar100": taken}
    assert [point["dataset"] for point in points_of(figures)] == ["digits"] * 3
    said = "1 + 2 rounds, 8 steps of fine-tuning in all, on 64 training images; 1 + 1 rounds, 6 steps"
    assert said in to_markdown(figures)
    for path in tmp_path.glob("far-*/figures.json"):
        path.write_text("[]")  # damaged: only the other chain is taken
    only = relevance.part3(plan, workdir=tmp_path, device="cpu")
    assert (only["name"], only["further"]) == ("longer", [])
    fresh = {"workdir": tmp_path, "device": "cpu", "resume": False}
    assert relevance.part3(plan, **fresh)["name"] == "long"
    assert relevance.part3(plan, stored={"device": "cpu"}, **fresh)["name"] == "long"
    assert relevance.part3(plan, stored={"device": "a GPU"}, **fresh) == {"device": "a GPU"}


def test_without_a_gpu_it_says_what_is_not_run(plan, monkeypatch):
    plain = replace(plan, cifar100_on="gpu")
    monkeypatch.setattr(relevance, "BASELINE_FOLDERS", ())
    assert relevance._reason(plain, "cuda:0") is None
    assert relevance._reason(plan, "cpu") is None
    reason = relevance._reason(plain, "cpu")
    assert reason.startswith("not run on this device (cpu)")
    assert "dnnc train vgg16" in reason
    own = relevance._reason(relevance.Plan(), "cpu")
    assert "--start capstone/vgg16_cifar10.safetensors`" in own
    assert relevance.Plan().weights.is_file()


def test_a_baseline_that_is_there_is_used_on_a_cpu(plan, monkeypatch, tmp_path):
    whole = replace(plan, width=1.0, cifar100_on="gpu", long=(replace(CHAIN, dataset="cifar100"),))
    monkeypatch.setattr(relevance, "BASELINE_FOLDERS", (tmp_path / "no", tmp_path))
    assert relevance._reason(whole, "cpu") is not None
    (tmp_path / "vgg16_cifar100.safetensors").touch()
    assert relevance._reason(whole, "cpu") is None
    found = BASELINE_WEIGHTS(whole, workdir=tmp_path / "work", device="cpu")
    assert found == tmp_path / "vgg16_cifar100.safetensors"


def test_a_baseline_that_is_nowhere_is_trained_by_its_recipe(plan, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(relevance, "BASELINE_FOLDERS", (tmp_path,))
    monkeypatch.setattr(relevance, "train_baseline", lambda network, **how: asked.append((network, how)))
    whole = replace(plan, width=1.0, long=(replace(CHAIN, dataset="cifar100"),), baseline_epochs=7)
    path = BASELINE_WEIGHTS(whole, workdir=tmp_path / "work", device="cpu")
    ((network, how),) = asked
    assert (network, how["dataset"], how["epochs"]) == ("vgg16", "cifar100", 7)
    assert path == how["weights"] == tmp_path / "work" / "vgg16_cifar100.safetensors"
    assert how["resume"]


def test_reference_images_are_of_all_classes():
    from tiny import image_set

    data = image_set(60)
    some = reference_images(data, 9, seed=4)
    assert sorted(some.labels.tolist()) == [0] * 3 + [1] * 3 + [2] * 3
    assert some.sha256 != reference_images(data, 9, seed=5).sha256
    assert reference_images(data, 60) is data


def test_the_published_row_stands_beside_ours(first):
    table = first[0].table()
    assert "74.44 → 74.15 %" in table
    assert "527.8 → 46.3 MB" in table


def test_stored_figures_give_the_table():
    figures = read_experiment("relevance")
    assert figures["points"] == points_of(figures)
    assert "relevance" in to_markdown(figures)
    criteria = figures["criteria"]
    for kind in ("weights", "filters"):
        assert set(criteria[kind]["top1"]) == set(NAMES)
    whole = {"cifar10": 59_946_792, "cifar100": 60_131_472}
    for point in figures["points"]:
        assert 0 < point["file_bytes"] < point["dense_bytes"] == whole[point["dataset"]]


def test_a_stored_part_3_is_not_lost_where_its_baseline_is_not(plan, monkeypatch, tmp_path):
    found = {"status": "run on a GPU", "file_bytes": 5}
    monkeypatch.setattr(relevance, "read_experiment", lambda name: {"cifar100": found})
    assert relevance._stored_part3() == found
    monkeypatch.setattr(relevance, "read_experiment", lambda name: {"cifar100": {"status": "not run"}})
    assert relevance._stored_part3() is None


def test_the_table_says_how_long_part_3_was(first):
    assert "CIFAR-100, run on cpu: 1 + 1 rounds, 6 steps of fine-tuning" in first[0].table()
    figures = json.loads(json.dumps(first[0].figures))
    figures["cifar100"]["baseline"] = {"epochs": 12, "start": "vgg16_cifar10.safetensors"}
    said = "baseline of 12 epochs, begun with vgg16_cifar10.safetensors; 1 + 1 rounds"
    assert said in to_markdown(figures)
    assert "CIFAR-100, run" not in to_markdown(figures | {"cifar100": {"status": "not run"}})
