"""Operating points: measured files, teachers, and a work folder that answers the same options only."""

import copy
from dataclasses import replace

import pytest
import torch
from tiny import CONFIG, assert_equal_weights, image_set, weights

from common.capstone import vgg16
from common.codec import container
from common.compress import points as operating_points
from common.compress.pipeline import CompressConfig, SharingConfig, compress, decompress
from common.compress.points import OperatingPoint, Row, Sets, StartFile, make_file, options_of, run_point
from common.networks.checkpoints import state_digest
from common.networks.models import build, dense_bytes, prunable_parameters
from common.networks.training import evaluate
from common.report.sizes import size_report, stage_sizes

FIRST = CompressConfig(
    sparsity=0.5,
    conv_clusters=8,
    linear_clusters=8,
    prune=replace(CONFIG, epochs=2),
    share=replace(CONFIG, epochs=1, optimizer="adam", max_lr=0.01),
)
_FIRST = OperatingPoint("first", FIRST, network="lenet_300_100")
POINTS = {
    "first": _FIRST,
    "second": replace(_FIRST, name="second", config=replace(FIRST, sparsity=0.8), start=_FIRST),
    "trained": replace(_FIRST, name="trained", teacher="trained"),
    "alone": replace(_FIRST, name="alone", teacher=None),
    "taught": replace(
        _FIRST,
        name="taught",
        config=replace(FIRST, sparsity=0.8, reestimate=20),
        start=_FIRST,
        teacher="trained",
    ),
}
SETS = Sets(image_set(side=28), image_set(side=28, seed=1), image_set(20, side=28, seed=2))
ARCHITECTURE = {"architecture": "lenet_300_100", "num_classes": 3, "width": 0.05}


def network():
    return build("lenet_300_100", num_classes=3, width=0.05)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a point; the sparsity of the teachers that it had."""
    teachers, kind = [], operating_points.Distillation

    class Recorded(kind):
        def __init__(self, teacher, **options):
            super().__init__(teacher, **options)
            teachers.append(_sparsity(teacher))

    monkeypatch.setattr(operating_points, "Distillation", Recorded)

    def run_once(name):
        teachers.clear()
        run_point(POINTS[name], network(), SETS, tmp_path, architecture=ARCHITECTURE, device="cpu")
        return list(teachers)

    return run_once


def _sparsity(model):
    found = prunable_parameters(model).values()
    return sum(int((weight == 0).sum()) for weight in found) / sum(weight.numel() for weight in found)


@pytest.mark.parametrize(
    ("name", "teachers"), [("first", [0.5]), ("second", [0.5, 0.8]), ("trained", [0.0, 0.0]), ("alone", [])]
)
def test_who_teaches(run, name, teachers):
    assert run(name) == pytest.approx(teachers, abs=0.02)


def test_finished_stages_are_read_again_and_shared_by_points_that_are_pruned_alike(run, tmp_path):
    run("first")
    made = {path: path.read_bytes() for path in tmp_path.glob("pruned-*/pruned.pt")}
    assert len(made) == 1
    assert run("second") == pytest.approx([0.5, 0.8], abs=0.02)
    assert len(list(tmp_path.glob("pruned-*/pruned.pt"))) == 2
    assert run("second") == pytest.approx([0.8], abs=0.02), "only sharing has a teacher: it is pruned already"
    assert {path: path.read_bytes() for path in made} == made


def test_a_row_says_what_the_file_is(tmp_path):
    model = network()
    before = weights(model)
    row = run_point(
        _FIRST, model, SETS, tmp_path, folder=tmp_path / "out", architecture=ARCHITECTURE, device="cpu"
    )
    assert_equal_weights(weights(model), before)
    assert set(row) == set(Row.__annotations__)
    data = (tmp_path / "out" / "first.dcz").read_bytes()
    decoded = decompress(data)
    assert row["top1"] == row["stages"][-1]["top1"] == evaluate(decoded, SETS.test, device="cpu").top1
    assert row["validation_top1"] == evaluate(decoded, SETS.validation, device="cpu").top1
    assert row["baseline_top1"] == row["stages"][0]["top1"] == evaluate(model, SETS.test, device="cpu").top1
    assert row["drop_points"] == 100 * (row["baseline_top1"] - row["top1"])
    sizes = stage_sizes(data, dense_bytes=dense_bytes(model))
    assert {stage["name"]: stage["bytes"] for stage in row["stages"]} == sizes
    assert row["config"] == options_of(_FIRST)
    assert row["ratio_before_huffman"] == sizes["dense"] / sizes["shared"]
    report = size_report(data)
    for key in ("file_bytes", "dense_bytes", "ratio", "bits_per_weight", "sparsity"):
        assert row[key] == getattr(report, key), key
    assert row["sparsity"] == pytest.approx(_sparsity(decoded))
    assert (row["network"], row["dataset"], row["n_test"]) == ("lenet_300_100", "digits8x8", 35)


def test_a_row_names_the_commits_that_trained_it_not_the_one_that_measured(tmp_path, monkeypatch):
    def row(point, now):
        monkeypatch.setattr(operating_points, "code_commit", lambda: now)
        return run_point(point, network(), SETS, tmp_path, architecture=ARCHITECTURE, device="cpu")

    assert row(POINTS["first"], "a")["commits"] == {"pruned": ["a"], "shared": ["a"]}
    assert row(POINTS["first"], "b")["commits"] == {"pruned": ["a"], "shared": ["a"]}
    fewer = replace(POINTS["first"], config=replace(FIRST, linear_clusters=4))
    assert row(fewer, "b")["commits"] == {"pruned": ["a"], "shared": ["b"]}

    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(operating_points, "save_thin", stop)
    with pytest.raises(KeyboardInterrupt):
        row(POINTS["second"], "c")
    monkeypatch.undo()
    assert row(POINTS["second"], "d")["commits"] == {"pruned": ["c", "d"], "shared": ["d"]}


def test_a_point_is_what_compress_makes(tmp_path):
    whole = compress(network(), SETS.training, FIRST, ARCHITECTURE, validation=SETS.validation, device="cpu")
    point = make_file(POINTS["alone"], network(), SETS, tmp_path, architecture=ARCHITECTURE, device="cpu")
    assert point == whole


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A finished point, after which nothing may be trained."""
    options = {"architecture": ARCHITECTURE, "device": "cpu"}
    data = make_file(_FIRST, network(), SETS, tmp_path, **options)

    def refuse(*args, **how):
        raise RuntimeError("trained again")

    monkeypatch.setattr("common.data.batches.BatchSource.epoch_batches", refuse)
    assert make_file(_FIRST, network(), SETS, tmp_path, **options) == data
    return lambda point=_FIRST, model=None, sets=SETS, **how: make_file(
        point, model or network(), sets, tmp_path, **options, **how
    )


def _moved():
    model = copy.deepcopy(network())
    with torch.no_grad():
        next(model.parameters()).add_(0.1)
    return model


@pytest.mark.parametrize(
    "change",
    [
        {"point": replace(_FIRST, config=replace(FIRST, sparsity=0.6))},
        {"point": replace(_FIRST, config=replace(FIRST, criterion="lamp"))},
        {"point": replace(_FIRST, config=replace(FIRST, prune=replace(CONFIG, epochs=2, max_lr=0.01)))},
        {"point": replace(_FIRST, config=replace(FIRST, share=replace(FIRST.share, max_lr=0.02)))},
        {"point": replace(_FIRST, config=replace(FIRST, linear_clusters=4))},
        {"point": POINTS["trained"]},
        {"sets": replace(SETS, training=image_set(side=28, seed=5))},
        {"sets": replace(SETS, validation=image_set(20, side=28, seed=5))},
        {"model": _moved()},
        {"resume": False},
    ],
)
def test_other_options_images_and_weights_find_nothing(finished, change):
    with pytest.raises(RuntimeError, match="trained again"):
        finished(**change)


def test_what_only_the_file_needs_trains_nothing_again(finished):
    data = finished(replace(_FIRST, name="another", config=replace(FIRST, bias_clusters=4)))
    assert len(container.load(data).tensors) == 6


def test_what_is_told_of_a_point_names_what_is_new_only_where_it_is_used():
    point = OperatingPoint("point", FIRST)
    told = options_of(point)
    assert told["sparsity"] == 0.5
    assert not {"trained", "reestimate", "slim_again", "is_taught_by_baseline"} & told.keys()
    config = replace(FIRST, reestimate=10, trained=SharingConfig())
    assert options_of(replace(point, slim_again=0.5, teacher="trained", config=config)) == told | {
        "slim_again": 0.5,
        "is_taught_by_baseline": True,
        "reestimate": 10,
        "trained": {"every": 10, "rate_weight": 0.0, "ramp": 0.5, "codebook_rate": 0.1, "latent_rate": 0.3},
    }
    further = OperatingPoint("further", FIRST, start=point)
    assert options_of(further) == told | {"start": told}


VGG = {"architecture": "vgg16", "num_classes": 3, "width": 0.125}


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A folder in the repository's place, with files of two pruned VGG-16 of three classes."""
    monkeypatch.setattr(operating_points, "ROOT", tmp_path)
    images = image_set(64, side=32)
    images = replace(images, images=images.images.repeat(3, 1), name="cifar10")
    for seed, name in enumerate(("first.dcz", "other.dcz")):
        model = build("vgg16", num_classes=3, width=0.125, seed=seed)
        config = replace(FIRST, sparsity=0.3 + 0.2 * seed)
        (tmp_path / name).write_bytes(compress(model, images, config, VGG, device="cpu"))
    return Sets(images, images, images)


def test_a_point_goes_on_from_a_file_taught_by_the_trained_network_and_others(
    repository, tmp_path, monkeypatch
):
    model = build("vgg16", num_classes=3, width=0.125, seed=7)
    members = []
    monkeypatch.setattr(
        operating_points,
        "Ensemble",
        lambda nets, temperature: members.extend(map(_sparsity, nets)) or nets[0],
    )
    point = OperatingPoint(
        "further",
        replace(FIRST, sparsity=0.8),
        start=_FIRST,
        start_file=StartFile("first.dcz", state_digest(model)),
        teachers=("other.dcz",),
    )
    data = make_file(point, model, repository, tmp_path / "work", architecture=VGG, device="cpu")
    assert members == pytest.approx([_sparsity(model), 0.5], abs=0.02)
    kept = {
        name: {key: value != 0 for key, value in decompress(content).state_dict().items() if value.ndim > 1}
        for name, content in (("first", (tmp_path / "first.dcz").read_bytes()), ("further", data))
    }
    assert size_report(data).sparsity == pytest.approx(0.8, abs=0.02)
    for key, mask in kept["further"].items():
        assert not (mask & ~kept["first"][key]).any(), "a pruned weight does not come back"
    told = options_of(point)
    assert told["start_file"]["file"] == "first.dcz"
    assert [one["file"] for one in told["teachers"]] == ["other.dcz"]
    (tmp_path / "other.dcz").write_bytes((tmp_path / "first.dcz").read_bytes())
    assert options_of(point) != told, "other bytes, another recipe"


def test_another_trained_network_does_not_start_from_the_file(repository, tmp_path, run):
    start = StartFile("first.dcz", state_digest(build("vgg16", num_classes=3, width=0.125, seed=7)))
    point = OperatingPoint("further", replace(FIRST, sparsity=0.8), start=_FIRST, start_file=start)
    model = build("vgg16", num_classes=3, width=0.125, seed=8)
    made = [
        make_file(each, model, repository, tmp_path / folder, architecture=VGG, device="cpu")
        for folder, each in (("a", point), ("b", replace(point, start_file=None)))
    ]
    assert made[0] == made[1]


def test_a_start_file_needs_the_start_that_made_it():
    start = StartFile("first.dcz", "0" * 64)
    for wrong in ({"start_file": start}, {"start_file": start, "start": _FIRST, "slim_again": 0.5}):
        with pytest.raises(ValueError, match="a start_file needs the start that made it"):
            OperatingPoint("further", FIRST, **wrong)


def test_a_stopped_run_leaves_the_old_file(tmp_path, monkeypatch):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "first.dcz").write_bytes(b"old")

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(operating_points, "layer_rows", stop)
    with pytest.raises(KeyboardInterrupt):
        run_point(_FIRST, network(), SETS, tmp_path, folder=folder, architecture=ARCHITECTURE, device="cpu")
    assert (folder / "first.dcz").read_bytes() == b"old"
    monkeypatch.undo()
    run_point(_FIRST, network(), SETS, tmp_path, folder=folder, architecture=ARCHITECTURE, device="cpu")
    assert (folder / "first.dcz").read_bytes() == (tmp_path / "first.dcz").read_bytes()


def test_a_start_file_of_another_width_is_refused(repository, tmp_path):
    model = build("vgg16", num_classes=3, width=0.25)
    start = StartFile("first.dcz", state_digest(model))
    point = OperatingPoint("further", FIRST, start=_FIRST, start_file=start)
    with pytest.raises(ValueError, match=r"first\.dcz holds a network of .* weights: expected"):
        make_file(
            point, model, repository, tmp_path / "work", architecture=VGG | {"width": 0.25}, device="cpu"
        )


def test_shipped_points_follow_each_other():
    for point in vgg16.POINTS.values():
        assert point.start is None or point.start in vgg16.POINTS.values() or point.start_file
        assert point.config.prune.epochs > 0
        assert point.config.share.optimizer == "adam"
