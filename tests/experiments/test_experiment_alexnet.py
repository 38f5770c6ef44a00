"""AlexNet's reproduction: the whole of it with a small network in its place, and the file that ships."""

from dataclasses import replace

import pytest
from tiny import CONFIG

from common import cli
from common.capstone.shipped import fingerprint
from common.codec import container
from common.compress.files import open_model
from common.compress.pipeline import CompressConfig, decompress
from common.compress.points import OperatingPoint
from common.data.batches import BatchSource
from common.data.datasets import DatasetNotFoundError, load_dataset
from common.data.image_set import first_images, fit_images
from common.experiments import ROOT, alexnet, read_experiment
from common.experiments.alexnet import reproduce_alexnet, to_markdown
from common.networks import baseline, models
from common.networks.baseline import train_config
from common.networks.models import INPUT_SHAPES
from common.networks.training import evaluate
from common.report.sizes import size_report
from tests.data.test_enlarged import Small

pytestmark = pytest.mark.slow

ONE = replace(CONFIG, epochs=1, max_lr=0.01)
TINY = OperatingPoint(
    "tiny",
    CompressConfig(
        sparsity=0.9,
        criterion="lamp",
        prune=ONE,
        share=replace(ONE, optimizer="adam", max_lr=1e-3),
        conv_clusters=4,
        linear_clusters=4,
    ),
    network="alexnet",
)


@pytest.fixture
def small(monkeypatch):
    """A thousandth of AlexNet's weights in its place, and 120 digits."""
    monkeypatch.setattr(models, "_torchvision", lambda name, num_classes: Small(num_classes))
    config = replace(train_config("alexnet"), batch_size=8)
    monkeypatch.setattr(baseline, "train_config", lambda *network, **where: config)
    for module in (baseline, alexnet):
        monkeypatch.setattr(module, "load_dataset", lambda *key: first_images(load_dataset(*key), 120))
        monkeypatch.setattr(module, "N_VALIDATION", {"digits": 60})


def test_from_training_to_a_measured_file_and_again(small, tmp_path, monkeypatch):
    kept = []
    options = {
        "dataset": "digits",
        "baseline_epochs": 1,
        "device": "cpu",
        "folder": tmp_path,
        "workdir": tmp_path / "work",
        "keep": lambda name, figures, **how: kept.append((name, how["seed"], len(how["datasets"]))),
    }
    first = reproduce_alexnet(point=TINY, **options)
    figures, data = first.figures["tiny"], (tmp_path / "tiny.dcz").read_bytes()
    assert kept == [("alexnet", 0, 3)]
    assert (figures["file_bytes"], figures["sha256"]) == (len(data), fingerprint(data))
    test = fit_images(first_images(load_dataset("digits", "test"), 120), INPUT_SHAPES["alexnet"])
    assert figures["top1"] == evaluate(decompress(data), test, device="cpu").top1
    assert figures["sparsity"] >= 0.9
    assert figures["baseline"].items() >= {"epochs": 1, "n_train": 60}.items()
    assert 0 <= figures["baseline"]["validation_top1"] <= 1
    assert "tiny.dcz" in first.table()

    def refuse(*arguments, **options):
        raise RuntimeError("trained again")

    monkeypatch.setattr(BatchSource, "epoch_batches", refuse)
    again = reproduce_alexnet(point=TINY, **options)  # from what stands in the work folder
    assert again.to_dict() == first.to_dict()
    with pytest.raises(RuntimeError, match="trained again"):
        reproduce_alexnet(point=TINY, resume=False, **options)
    other = replace(TINY, config=replace(TINY.config, sparsity=0.8))
    with pytest.raises(RuntimeError, match="trained again"):  # the baseline is there, its pruned network not
        reproduce_alexnet(point=other, **options)


def test_without_a_gpu_one_line_says_what_to_do(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["reproduce", "alexnet", "--device", "cpu"])
    err = capsys.readouterr().err
    assert (stop.value.code, err.count("\n")) == (1, 1)
    assert "dnnc evaluate capstone/alexnet_cifar10.dcz" in err


def test_the_shipped_file_is_the_one_that_was_measured():
    (figures,) = read_experiment("alexnet").values()
    data = (ROOT / "capstone" / figures["file"]).read_bytes()
    assert fingerprint(data) == figures["sha256"]
    assert figures["dense_bytes"] == 4 * 57_044_810
    report = size_report(data)
    assert (report.file_bytes, report.dense_bytes) == (figures["file_bytes"], figures["dense_bytes"])
    assert report.sparsity >= 0.975
    assert container.save(container.load(data), store_names=False) == data
    assert "228.2 MB" in to_markdown({"a": figures})


def test_the_shipped_file_recognises_pictures():
    try:
        test = first_images(load_dataset("cifar10", "test", download=False), 200)
    except DatasetNotFoundError:
        pytest.skip("CIFAR-10 is not at hand")
    (figures,) = read_experiment("alexnet").values()
    model, architecture = open_model(ROOT / "capstone" / figures["file"])
    assert architecture == {"architecture": "alexnet", "num_classes": 10}
    measured = evaluate(model, fit_images(test, INPUT_SHAPES["alexnet"]), device="cpu").top1
    assert measured == pytest.approx(figures["top1"], abs=0.06)  # nearly three standard errors
