"""The paper's table of VGG-16 from shipped files: counted in their bytes, quoted only for the same bytes."""

import json
from pathlib import Path

import numpy as np
import pytest

from common.base.results import ResultError, read_result, write_result
from common.capstone.shipped import RESULTS, fingerprint
from common.codec import container
from common.codec.container import CompressedModel
from common.codec.tensors import DenseTensor
from common.compress.points import Row
from common.experiments.lenets import TITLES
from common.experiments.vgg16 import LAYERS, reproduce_vgg16
from common.report.published import HAN_2016_LAYERS, HAN_2016_STAGES, PUBLISHED
from common.report.sizes import layer_rows
from tests.tiny_container import sparse_tensor

ROOT = Path(__file__).resolve().parents[2]
STAGES = ["dense", "pruned", "shared", "huffman"]


def ship(folder, name, seed, *, dense_bytes=40_000):
    """A small file, and the figures that a measurement would have stored."""
    tensors = {
        "0": sparse_tensor((8, 5, 3, 3), 90, 6, seed=seed),
        "1": DenseTensor(np.float16([0.5, -2, 1])),
        "2": sparse_tensor((20, 30), 100, 4, seed=seed + 1),
    }
    data = container.save(CompressedModel(tensors), store_names=False)
    (folder / f"{name}.dcz").write_bytes(data)
    return data, {
        "name": name,
        "network": "vgg16",
        "dataset": "cifar10",
        "stages": [
            {"name": one, "bytes": 0, "top1": 0.9} for one in ("dense", "pruned", "shared", "huffman")
        ],
        "file": f"{name}.dcz",
        "sha256": fingerprint(data),
        "dense_bytes": dense_bytes,
        "baseline_top1": 0.92,
        "top1": 0.915,
        "n_test": 10_000,
    }


@pytest.fixture
def shipped(tmp_path):
    """A folder with two files and their results."""
    files, stored = {}, {}
    for seed, name in enumerate(("large", "small")):
        files[name], stored[name] = ship(tmp_path, name, 10 * seed)
    data_set = {"name": "cifar10", "sha256": "0" * 64}
    write_result(tmp_path / RESULTS, stored, command="dnnc capstone", seed=0, dataset=data_set, device="cpu")
    return tmp_path, files


def test_every_size_is_that_of_the_file(shipped):
    folder, files = shipped
    result = reproduce_vgg16(folder=folder)
    assert [row["name"] for row in result.figures["points"]] == ["large", "small"]
    for row in result.figures["points"]:
        data = files[row["name"]]
        sizes = {stage["name"]: stage["bytes"] for stage in row["stages"]}
        assert row["file_bytes"] == sizes["huffman"] == len(data)
        assert row["ratio"] == 40_000 / len(data)
        assert row["ratio_before_huffman"] == 40_000 / sizes["shared"]
        assert row["sparsity"] == pytest.approx(1 - 190 / (360 + 600))
        assert (row["baseline_top1"], row["top1"]) == (0.92, 0.915)
        sizes = {size.name: size for size in container.sizes(data)}
        assert [layer["name"] for layer in row["layers"]] == ["0", "2"]  # biases are no layers
        for layer in row["layers"]:
            size = sizes[layer["name"]]
            assert (layer["n_weights"], layer["n_kept"]) == (size.n_weights, size.n_kept)
            assert layer["value_bits"] == {6: 3, 4: 2}[size.n_clusters]
            assert layer["value_bits_huffman"] == size.values_bits / size.n_kept
            assert layer["index_bits_huffman"] == size.index_bits / size.n_kept
            assert layer["file_bytes"] == size.n_bytes


def test_results_say_how_they_were_made_and_on_which_images(shipped):
    folder, _ = shipped
    result = reproduce_vgg16(folder=folder)
    content = read_result(folder / LAYERS)
    assert content["figures"] == json.loads(json.dumps(result.to_dict()))
    assert content["command"] == "dnnc reproduce vgg16"
    assert content["dataset"] == [{"name": "cifar10", "sha256": "0" * 64}]
    assert content["seed"] == 0


def test_a_file_that_was_not_measured_is_refused(shipped):
    folder, _ = shipped
    ship(folder, "small", 77)
    with pytest.raises(ValueError, match=r"small\.dcz is not the file that"):
        reproduce_vgg16(folder=folder)
    (folder / "small.dcz").unlink()
    with pytest.raises(FileNotFoundError, match="no compressed network"):
        reproduce_vgg16(folder=folder)
    text = (folder / RESULTS).read_text()
    (folder / RESULTS).write_text(text.replace("0.915", "0.995"))
    with pytest.raises(ResultError, match="changed since it was written"):
        reproduce_vgg16(folder=folder)
    assert not (folder / LAYERS).exists()


def test_the_table_has_theirs_beside_ours(shipped):
    folder, _ = shipped
    lines = reproduce_vgg16(folder=folder).table().splitlines()
    assert "| VGG-16 | paper, ImageNet | 31.50 → 31.17 % | 11.3 MB | 49× | 31× |  |" in lines
    assert any(line.startswith("|  | large.dcz | 8.00 → 8.50 % |") for line in lines)
    theirs = [line for line in lines if line.startswith("| paper, ImageNet |")]
    assert len(theirs) == len(HAN_2016_LAYERS["vgg16_imagenet"]) == 16
    assert "| paper, ImageNet | fc6 | 103,000,000 | 4 % | 5 | 3.6 | 5 | 3.5 |  |" in theirs
    ours = [line for line in lines if line.startswith(("| large.dcz", "| small.dcz"))]
    assert len(ours) == 4
    assert {line.count("|") for line in lines if line.startswith("|")} == {8, 10}


def test_the_stored_table_is_of_the_shipped_files():
    stored = read_result(ROOT / "capstone" / LAYERS)["figures"]["points"]
    measured = read_result(ROOT / "capstone" / RESULTS)["figures"]
    files = {row["file"]: row["sha256"] for row in stored}
    assert files == {figures["file"]: figures["sha256"] for figures in measured.values()}, (
        "run `dnnc reproduce vgg16`"
    )
    smallest = min(stored, key=lambda row: row["file_bytes"])
    data = (ROOT / "capstone" / smallest["file"]).read_bytes()
    assert layer_rows(data) == smallest["layers"], "run `dnnc reproduce vgg16`"


@pytest.mark.parametrize("name", ["operating_points", "lenets", "vgg16_layers", "alexnet"])
def test_every_stored_result_of_the_pipeline_has_the_same_rows(name):
    figures = read_result(ROOT / "capstone" / "results" / f"{name}.json")["figures"]
    for row in figures.get("points") or figures.values():
        assert set(row) - {"targets", "baseline", "trained", "commit", "date"} <= set(Row.__annotations__)
        assert set(row) >= Row.__required_keys__
        assert [stage["name"] for stage in row["stages"]] == STAGES
        data = (ROOT / "capstone" / row["file"]).read_bytes()
        assert (row["file_bytes"], row["sha256"]) == (len(data), fingerprint(data))
        assert row["ratio"] == row["dense_bytes"] / len(data)
        assert row["stages"][-1]["top1"] == row["top1"]
        assert row["stages"][0]["top1"] == row["baseline_top1"]


SIZES = {  # of the layers, which the paper rounds
    "lenet_300_100": [235_200, 30_000, 1_000],
    "lenet_5": [500, 25_000, 400_000, 5_000],
    "vgg16_imagenet": [
        1_728,
        36_864,
        73_728,
        147_456,
        294_912,
        589_824,
        589_824,
        1_179_648,
        *[2_359_296] * 5,
        102_760_448,
        16_777_216,
        4_096_000,
    ],
}


@pytest.mark.parametrize("network", list(HAN_2016_LAYERS))
def test_published_layers_agree_with_the_published_totals(network):
    """A typing error would show: bits times kept weights give the rates, and the rates the whole."""
    layers, stages, sizes = HAN_2016_LAYERS[network], HAN_2016_STAGES[network], np.array(SIZES[network])
    for key, stage in (("kept", "pruned"), ("rate", "shared"), ("rate_huffman", "huffman")):
        shares = np.array([getattr(layer, key) for layer in layers])
        assert sizes.sum() / (shares @ sizes) == pytest.approx(stages[stage], rel=0.08)  # as far as rounded
    for layer, size in zip(layers, sizes, strict=True):
        assert abs(layer.n_weights - size) <= 0.18 * size  # "2M" are 2.36 million
        book = 2**layer.value_bits / size
        for rate, bits in (
            (layer.rate, layer.value_bits + layer.index_bits),
            (layer.rate_huffman, layer.value_bits_huffman + layer.index_bits_huffman),
        ):
            # a kept share in whole percent is off by up to 0.005; fillers and the codebook come on top
            low, high = (layer.kept - 0.005) * bits / 32, (layer.kept + 0.005) * bits / 32
            assert 0.98 * low <= rate <= 1.19 * high + book


def test_published_networks_have_titles():
    assert {network.removesuffix("_imagenet") for network in HAN_2016_LAYERS} <= set(TITLES)
    assert set(HAN_2016_LAYERS) <= set(PUBLISHED)
