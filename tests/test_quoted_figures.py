"""Figures that the prose of notebooks quotes, where an assert beside it would give an exercise away."""

import math
from pathlib import Path

from common.base.results import read_result
from common.capstone.vgg16 import POINTS
from common.compress import points as operating_points
from common.networks import TrainConfig, build
from common.report import size_report

CAPSTONE = Path(__file__).resolve().parents[1] / "capstone"


def test_the_layers_of_the_large_file():
    """capstone.ipynb: the text below the figure of layers, and exercises 1 and 2."""
    report = size_report((CAPSTONE / "vgg16_cifar10.dcz").read_bytes())
    weights = [layer for layer in report.layers if len(layer.shape) > 1]
    *others, last = (layer for layer in weights if layer.shape[:2] == (512, 512) and len(layer.shape) == 4)
    assert all(0.99 < layer.sparsity < 0.999 and 1.8 < layer.index_bits_per_kept < 2.3 for layer in others)
    assert 1 / 33 < 1 - last.sparsity < 1 / 28
    assert round(last.index_bits_per_kept) == 3
    dearest = max(weights, key=lambda layer: layer.file_bytes / layer.n_kept)
    assert dearest is max(weights, key=lambda layer: layer.index_bits_per_kept)
    assert dearest.name == "features.14.weight"
    assert round(dearest.index_bits_per_kept, 1) == 3.4
    assert 0.88 < dearest.sparsity < 0.92
    n_kept = sum(layer.n_kept for layer in weights if layer.n_clusters == 16)
    assert {layer.n_clusters for layer in weights if "classifier" in layer.name} == {8}
    assert round(n_kept, -4) == 350_000
    assert round(report.file_bytes / (n_kept * math.log2(16 / 8) / 8)) == 8


def test_who_taught_the_vgg_files():
    """week06/05: the tiny file's teacher is the small one, the large one's are two, at T = 2 and w = 0.7."""
    large, small, tiny = (POINTS[f"vgg16_cifar10{name}"] for name in ("", "_small", "_tiny"))
    assert (small.start, tiny.start) == (None, small)
    assert (small.teachers, tiny.teachers) == ((), ())
    # the trained network, and the tiny one as it was
    assert large.teachers == ("capstone/results/vgg16_cifar10_teacher.dcz",)
    assert (large.start.start, large.start.teachers) == (None, ())
    assert {point.teacher for point in POINTS.values()} == {"pruned"}
    taught = operating_points._taught_by(build("lenet_300_100"), TrainConfig(epochs=1)).options
    assert (taught["temperature"], taught["weight"]) == (2.0, 0.7)


def test_what_the_readme_says_of_a_small_network_s_way_from_file_to_weights():
    text = " ".join((CAPSTONE.parent / "README.md").read_text().split())
    rows = read_result(CAPSTONE / "results" / "bench.json")["figures"]["groups"]
    ratios = [
        row["ours_is_faster"]
        for row in rows["storage, 15M weights: file to dense weights"]
        if row["peer"].startswith("safetensors")
    ]
    assert ("At 15 M weights, twice safetensors' time was the must: missed." in text) == (max(ratios) < 0.5)
