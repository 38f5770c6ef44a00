"""From a file to a file: what reaches the pipeline, and that the output is written whole."""

from types import SimpleNamespace

import numpy as np
import pytest
from tiny_container import tiny_model

from common.capstone import vgg16
from common.capstone.vgg16 import POINTS, compress_to_point
from common.codec import container
from common.compress import files as module
from common.compress.files import compress_file
from common.data.image_set import ImageSet


def cifar(n: int = 3000) -> ImageSet:
    labels = np.arange(n, dtype=np.int64) % 10
    return ImageSet(np.zeros((n, 3, 32, 32), np.uint8), labels, tuple("0123456789"), "cifar10", "x")


@pytest.fixture
def point_run(monkeypatch):
    """`run_point` writes a file without any training, and keeps what it was given."""
    seen = {}

    def run(point, model, sets, workdir, **options):
        seen.update(options, point=point, model=model, workdir=workdir, **vars(sets))
        container.save_file(tiny_model(), workdir / f"{point.name}.dcz")
        return {"file": f"{point.name}.dcz", "top1": 0.9}

    monkeypatch.setattr(vgg16, "run_point", run)
    for one in (module, vgg16):
        monkeypatch.setattr(one, "load_dataset", lambda name, split: cifar())
    return seen


def test_a_point_is_made_on_the_training_images_and_measured_on_the_test_images(
    tmp_path, monkeypatch, point_run
):
    architecture = {"architecture": "vgg16", "num_classes": 10}
    monkeypatch.setattr(vgg16, "open_model", lambda source: ("a model", architecture))
    out, workdir = tmp_path / "mine.dcz", tmp_path / "runs" / "new"
    figures = compress_to_point("v.safetensors", "vgg16_cifar10_small", out, workdir=workdir, device="cpu")
    assert figures["top1"] == 0.9
    assert out.read_bytes() == container.save(tiny_model())
    assert point_run["point"] == POINTS["vgg16_cifar10_small"]
    assert (point_run["model"], point_run["device"], point_run["workdir"]) == ("a model", "cpu", workdir)
    sizes = [len(point_run[name]) for name in ("training", "validation", "test")]
    assert sizes == [500, 2500, 3000]
    assert {path.name for path in tmp_path.iterdir()} == {"mine.dcz", "runs"}


@pytest.mark.parametrize(
    "architecture",
    [
        {"architecture": "lenet_5", "num_classes": 10},
        {"architecture": "vgg16", "num_classes": 100},
        {"architecture": "vgg16", "num_classes": 10, "width": 0.5},
    ],
)
def test_points_are_for_one_network(tmp_path, monkeypatch, point_run, architecture):
    monkeypatch.setattr(vgg16, "open_model", lambda source: (None, architecture))
    with pytest.raises(ValueError, match="operating points are for vgg16 with 10 classes"):
        compress_to_point("x", "vgg16_cifar10", tmp_path / "x.dcz", workdir=tmp_path / "runs")
    with pytest.raises(ValueError, match="expected one of vgg16_cifar10, vgg16_cifar10_small"):
        compress_to_point("x", "vgg16", tmp_path / "x.dcz", workdir=tmp_path / "runs")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("clusters", "expected"), [(None, (256, 32)), (7, (7, 7))])
def test_options_reach_the_pipeline(tmp_path, monkeypatch, clusters, expected):
    seen = SimpleNamespace()

    def fake(model, data, config, architecture, **options):
        seen.data, seen.config, seen.options = data, config, options
        return b"bytes"

    monkeypatch.setattr(module, "compress", fake)
    options = {"sparsity": 0.5, "criterion": "lamp", "clusters": clusters}
    compress_file("lenet_300_100", tmp_path / "x.dcz", **options, device="cpu")
    assert (tmp_path / "x.dcz").read_bytes() == b"bytes"
    assert (seen.config.sparsity, seen.config.criterion) == (0.5, "lamp")
    assert (seen.config.conv_clusters, seen.config.linear_clusters) == expected
    assert (seen.config.prune.epochs, seen.config.share.epochs) == (0, 0)
    assert seen.data is None, "without epochs no data set is read"
    assert seen.options == {"validation": None, "device": "cpu"}
