"""The reproduction of the LeNets, on the digits that come inside the dependencies."""

import shutil
from dataclasses import replace

import pytest
import torch

from common.base.results import read_result
from common.codec import container
from common.compress.pipeline import decompress
from common.compress.points import OperatingPoint
from common.data.datasets import load_dataset
from common.experiments.lenets import POINTS, TARGETS, _targets, reproduce_lenets, to_markdown
from common.networks.models import build, dense_bytes, prunable_parameters
from common.networks.training import TrainConfig, evaluate
from common.report.published import PUBLISHED

pytestmark = pytest.mark.slow

TINY = TrainConfig(
    epochs=1, batch_size=50, max_lr=0.02, label_smoothing=0.0, crop_padding=2, flip=False, precision="fp32"
)


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory):
    """One epoch a stage of LeNet-300-100, two points; what came out, and where."""
    shipped = next(point for point in POINTS if point.network == "lenet_300_100").config
    config = replace(shipped, sparsity=0.9, prune=TINY, share=replace(TINY, optimizer="adam", max_lr=1e-3))
    points = [
        OperatingPoint(name, options, network="lenet_300_100", teacher=None)
        for name, options in (("large", config), ("small", replace(config, sparsity=0.95, linear_clusters=4)))
    ]
    root = tmp_path_factory.mktemp("lenets")
    options = {
        "points": points,
        "dataset": "digits",
        "baseline_epochs": 1,
        "folder": root / "shipped",
        "workdir": root / "runs",
        "device": "cpu",
        "command": "dnnc reproduce lenets",
    }
    return reproduce_lenets(**options), root, options


def test_the_files_are_what_the_figures_say(reproduction):
    result, root, _ = reproduction
    test = load_dataset("digits", "test")
    for row in result.figures["points"]:
        data = (root / "shipped" / row["file"]).read_bytes()
        decoded = decompress(data)
        assert row["file_bytes"] == len(data)
        assert row["dense_bytes"] == 4 * 266_610
        assert row["ratio"] == 4 * 266_610 / len(data)
        assert row["n_test"] == len(test) == 1000
        assert row["top1"] == evaluate(decoded, test, device="cpu").top1
        weights = prunable_parameters(decoded)
        n_kept = {name: int((weight != 0).sum()) for name, weight in weights.items()}
        assert {layer["name"]: layer["n_kept"] for layer in row["layers"]} == n_kept
        assert row["sparsity"] == pytest.approx(1 - sum(n_kept.values()) / 266_200)
        sizes = [stage["bytes"] for stage in row["stages"]]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1] == len(data)
        assert row["ratio_before_huffman"] < row["ratio"]


def test_the_networks_are_compressed_as_configured_and_still_see_digits(reproduction):
    large, small = reproduction[0].figures["points"]
    assert large["sparsity"] >= 0.9
    assert small["sparsity"] >= 0.95
    assert small["file_bytes"] < large["file_bytes"]
    assert large["baseline_top1"] == small["baseline_top1"] > 0.7
    assert large["top1"] > 0.7
    assert [layer["value_bits"] for layer in small["layers"]] == [2, 2, 2]
    for layer in large["layers"] + small["layers"]:
        assert layer["value_bits_huffman"] <= layer["value_bits"] + 1e-9
        # a fixed width must fit the longest gaps; Huffman's bits follow the frequent ones
        assert layer["index_bits_huffman"] < layer["index_bits"] + 0.1


def test_index_bits_of_the_paper_by_a_slow_loop(reproduction):
    result, root, _ = reproduction
    row = result.figures["points"][0]
    tensors = container.load_file(root / "shipped" / row["file"]).tensors
    first = tensors["0"]
    best = None
    for width in range(1, 17):
        entries, at = 0, -1
        for position in first.positions.tolist():
            while position - at > 2**width:
                at += 2**width
                entries += 1
            at = position
            entries += 1
        bits = entries * (first.n_clusters - 1).bit_length() + entries * width
        best = bits if best is None else min(best, bits)
    layer = row["layers"][0]
    both = layer["index_bits"] + layer["value_bits"]
    assert both * layer["n_kept"] == pytest.approx(best)


def test_the_results_are_written_with_how_they_were_made(reproduction):
    result, root, _ = reproduction
    content = read_result(root / "shipped" / "results" / "lenets.json")
    assert content["figures"]["points"] == result.to_dict()["points"]
    assert content["command"] == "dnnc reproduce lenets"
    assert content["seed"] == 0
    assert [data["name"] for data in content["dataset"]] == ["digits"] * 3
    assert len({data["sha256"] for data in content["dataset"]}) == 3


def test_a_second_run_goes_on_from_the_checkpoints_to_the_same_files(reproduction, monkeypatch):
    result, root, options = reproduction
    files = {path.name: path.read_bytes() for path in (root / "shipped").glob("*.dcz")}
    assert sorted(files) == ["large.dcz", "small.dcz"]
    next((root / "runs" / "small").rglob("share.pt")).unlink()  # stopped before the last stage
    steps = []
    step = torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self, *args: (steps.append(1), step(self, *args))[1])
    again = reproduce_lenets(**options)
    assert len(steps) == 3500 // 50  # one epoch, and no other stage has been run again
    assert {path.name: path.read_bytes() for path in (root / "shipped").glob("*.dcz")} == files
    assert again == result


def test_a_fresh_run_takes_no_checkpoint(reproduction, tmp_path):
    _, root, options = reproduction
    shutil.copytree(root / "runs", tmp_path / "runs")
    for part in ("baseline.pt", "prune.pt", "share.pt", "pruned.pt"):
        for mark in (tmp_path / "runs").rglob(part):
            mark.write_bytes(b"damaged")
    options = options | {"folder": tmp_path, "workdir": tmp_path / "runs", "points": options["points"][:1]}
    with pytest.raises(ValueError, match=r"baseline\.pt cannot be read"):
        reproduce_lenets(**options)
    result = reproduce_lenets(**options, resume=False)
    assert [row["name"] for row in result.figures["points"]] == ["large"]


def test_the_table_has_the_paper_beside_ours(reproduction):
    result, _, _ = reproduction
    lines = result.table().splitlines()
    paper = next(line for line in lines if "| paper |" in line)
    assert "1.64 → 1.58 %" in paper
    assert "27 KB | 40× | 32×" in paper
    row = result.figures["points"][0]
    own = next(line for line in lines if line.startswith("|  | large.dcz"))
    assert f"{100 * (1 - row['top1']):.2f} %" in own
    assert f"{row['ratio']:.0f}×" in own
    assert "must ≥ 40× at ≤" in own
    assert sum(line.startswith("| small.dcz") for line in lines) == 3  # its layers
    columns = {line.count("|") for line in lines if line.startswith("|")}
    assert columns == {8, 10}


@pytest.mark.parametrize(
    ("ratio", "error", "met"),
    [
        (40.0, 0.0110, [True, False]),  # an error equal to the baseline's is not above it
        (40.0, 0.0111, [False, False]),
        (39.9, 0.0100, [False, False]),
        (124.0, 0.0110, [True, True]),
        (124.0, 0.0190, [False, True]),
        (124.0, 0.0191, [False, False]),
    ],
)
def test_targets_by_hand(ratio, error, met):
    figures = {"network": "lenet_300_100", "ratio": ratio, "top1": 1 - error, "baseline_top1": 1 - 0.0110}
    assert [row["is_met"] for row in _targets(figures)] == met


def test_targets_are_those_of_the_paper_and_of_the_best_published():
    for network in TARGETS:
        paper = next(row for row in PUBLISHED[network] if row.method == "Deep Compression")
        (must, must_ratio, must_error), (aim, _, _) = TARGETS[network]
        assert (must, must_ratio, must_error, aim) == ("must", paper.ratio, None, "aim")
    assert 124.0 in [row.ratio for row in PUBLISHED["lenet_300_100"]]
    assert 280.0 in [row.ratio for row in PUBLISHED["lenet_5"]]


def test_every_point_has_a_file_of_its_own_and_each_network_its_points():
    assert len({point.name for point in POINTS}) == len(POINTS)
    assert {point.network for point in POINTS} == {"lenet_300_100", "lenet_5"}
    for point in POINTS:
        assert (
            dense_bytes(build(point.network))
            == 4 * {"lenet_300_100": 266_610, "lenet_5": 431_080}[point.network]
        )
        assert point.config.prune.seed == point.config.share.seed == 0
        assert not point.config.prune.flip  # a mirrored digit is another one


def test_nothing_measured_is_an_empty_reproduction():
    assert "Ratios are" in to_markdown([])


def test_a_stopped_run_leaves_the_old_files(reproduction, tmp_path, monkeypatch):
    _, root, options = reproduction
    folder = shutil.copytree(root / "shipped", tmp_path / "shipped")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("common.experiments.lenets._targets", stop)
    point = replace(options["points"][0], config=replace(options["points"][0].config, linear_clusters=2))
    with pytest.raises(KeyboardInterrupt):
        reproduce_lenets(**options | {"points": [point], "folder": folder})
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
