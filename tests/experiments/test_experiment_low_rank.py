"""The reproduction of low rank, on the digits that come inside the dependencies."""

import json
from dataclasses import replace

import pytest

from common.codec import container
from common.data.datasets import load_dataset
from common.experiments import low_rank, read_experiment
from common.experiments.low_rank import NetworkPlan, Plan, multiply_adds, points_of, run, to_markdown
from common.methods.low_rank import unpack_low_rank
from common.networks.models import build, count_parameters
from common.networks.training import TrainConfig, evaluate

pytestmark = pytest.mark.slow

TINY = TrainConfig(
    epochs=1, batch_size=50, max_lr=0.05, label_smoothing=0.0, crop_padding=1, flip=False, precision="fp32"
)
PLAN = Plan(
    (NetworkPlan("lenet_300_100", "digits", (0.3, 0.1), (0.1,), TINY, n_tune=1000, baseline_epochs=1),)
)
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


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory):
    """One network, two sizes, one of them fine-tuned and in files."""
    root = tmp_path_factory.mktemp("low_rank")
    options = {
        "device": "cpu",
        "plan": PLAN,
        "workdir": root / "runs",
        "baselines": root / "lenets",
        "is_stored": False,
    }
    return run(**options), root, options


def test_the_files_are_what_the_figures_say(reproduction):
    result, root, _ = reproduction
    (network,) = result.figures["networks"]
    rough, tuned = network["sizes"]
    assert set(rough["validation_top1"]) == {"factorized"}
    assert "files" not in rough
    assert tuned["parameters"] < rough["parameters"] <= 0.3 * 266_610
    assert tuned["multiply_adds"] < rough["multiply_adds"] < network["multiply_adds"] == 266_200
    test = load_dataset("digits", "test")
    for file, name in zip(tuned["files"], ("0.1-float16.dcz", "0.1-32.dcz"), strict=True):
        data = next(root.rglob(name)).read_bytes()
        decoded = unpack_low_rank(container.load(data))
        assert file["file_bytes"] == len(data)
        assert count_parameters(decoded) == tuned["parameters"]
        assert file["top1"] == evaluate(decoded, test, device="cpu").top1 > 0.5
    assert tuned["files"][1]["file_bytes"] < 0.5 * tuned["files"][0]["file_bytes"]
    assert tuned["validation_top1"]["tuned"] > 0.5
    assert network["baseline_top1"] > 0.6
    assert network["n_test"] == len(test) == 1000


def test_the_points_of_the_map(reproduction):
    points = reproduction[0].figures["points"]
    assert [set(point) for point in points] == [POINT, POINT]
    assert [point["method"] for point in points] == ["low rank", "low rank, shared"]
    assert points[0]["dense_bytes"] == 4 * 266_610
    assert "1 epochs of 20 steps of 50 images" in points[0]["note"]


def test_the_table_is_made_of_the_figures(reproduction):
    figures = json.loads(json.dumps(reproduction[0].figures))
    assert to_markdown(figures) == reproduction[0].table()
    assert "| LeNet-300-100 | SCADA-Tucker, published |" in reproduction[0].table()
    columns = {line.count("|") for line in reproduction[0].table().splitlines() if line.startswith("|")}
    assert columns == {8}


def test_a_second_run_goes_on_to_the_same_figures(reproduction, monkeypatch):
    result, root, options = reproduction
    next(root.rglob("0.1-*/figures.json")).unlink()  # stopped while the last size was written
    steps = []

    def counted(model, *args, **kwargs):
        steps.append(kwargs["checkpoint"].exists())
        return trained(model, *args, **kwargs)

    trained = low_rank.train
    monkeypatch.setattr(low_rank, "train", counted)
    assert run(**options) == result
    assert steps == [True]

    def refuse(*args, **kwargs):
        raise RuntimeError("measured again")

    monkeypatch.setattr(low_rank, "_measure_size", refuse)
    assert run(**options) == result
    with pytest.raises(RuntimeError, match="measured again"):
        run(**options, resume=False)
    longer = Plan((replace(PLAN.networks[0], n_clusters=16),))
    with pytest.raises(RuntimeError, match="measured again"):
        run(**options | {"plan": longer})


def test_multiply_adds_of_a_network_by_hand():
    convolutions = 24 * 24 * 25 * 20 + 8 * 8 * 25 * 20 * 50
    assert multiply_adds(build("lenet_5"), (1, 28, 28)) == convolutions + 800 * 500 + 5000


def test_the_stored_result_is_consistent():
    figures = read_experiment("low_rank")
    names = [network["network"] for network in figures["networks"]]
    assert names == ["lenet_300_100", "lenet_5", "vgg16"][: len(names)]
    assert figures["points"] == [point for network in figures["networks"] for point in points_of(network)]
    assert all(set(point) == POINT for point in figures["points"])
    assert "SCADA-Tucker" in to_markdown(figures)
    for network in figures["networks"]:
        sizes = [size["parameters"] for size in network["sizes"]]
        assert sizes == sorted(sizes, reverse=True)
        for size in network["sizes"]:
            assert size["parameters"] <= size["fraction"] * network["parameters"]
            bits = [8 * file["file_bytes"] / size["parameters"] for file in size.get("files", ())]
            assert all(2 < each < 17 for each in bits)
