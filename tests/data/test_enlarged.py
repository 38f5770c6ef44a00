"""Networks of ImageNet's size on small pictures: trained and evaluated, a batch enlarged at a time."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import CONFIG, image_set
from torch import nn

from common import cli
from common.compress import files as compress_file
from common.data.batches import ENLARGED_PIXELS
from common.data.datasets import load_dataset
from common.data.image_set import first_images, fit_images
from common.networks import baseline, models
from common.networks.baseline import train_config
from common.networks.models import build, count_parameters
from common.networks.training import evaluate, train

SHAPE = (3, 224, 224)


class Small(nn.Module):
    """In AlexNet's place: its input, a thousandth of its weights; it notes the shapes that it is shown."""

    seen: list = []  # noqa: RUF012

    def __init__(self, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 11, stride=16)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(4 * 14 * 14, num_classes)

    def forward(self, images):
        self.seen.append(tuple(images.shape))
        return self.fc(self.flatten(self.conv(images)))


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Commands meet the small network, and 120 digits."""
    monkeypatch.setattr(models, "_torchvision", lambda name, num_classes: Small(num_classes))
    monkeypatch.setattr(Small, "seen", [])

    def config(*arguments, **options):
        return replace(train_config(*arguments, **options), batch_size=8)

    for module in (baseline, compress_file):
        monkeypatch.setattr(module, "load_dataset", lambda *key: first_images(load_dataset(*key), 120))
        monkeypatch.setattr(module, "N_VALIDATION", {"digits": 60})
        monkeypatch.setattr(module, "train_config", config)
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return Small.seen


def answer(capsys, *words) -> dict:
    with pytest.raises(SystemExit) as stop:
        cli.main([*map(str, words), "--device", "cpu", "--json"])
    out, err = capsys.readouterr()
    assert not stop.value.code, err
    return json.loads(out)


@pytest.mark.parametrize("network", ["alexnet", "vgg16_imagenet"])
def test_commands_enlarge_a_batch_at_a_time(capsys, small, network):
    data = ("--dataset", "digits")
    trained = answer(capsys, "train", network, *data, "--epochs", 1, "--out", "n.safetensors")
    assert (trained["n_train"], trained["n_validation"], trained["n_test"]) == (60, 60, 120)
    assert {shape[1:] for shape in small} == {SHAPE}
    assert [n for n, *_ in small[:7]] == [8] * 7
    assert max(n for n, *_ in small) == ENLARGED_PIXELS // 224**2 == 41
    answer(
        capsys,
        "compress",
        "n.safetensors",
        *data,
        "--sparsity",
        0.5,
        "--epochs",
        1,
        "--share-epochs",
        1,
        "--out",
        "n.dcz",
    )
    measured = answer(capsys, "evaluate", "n.dcz", *data, "--first", 8)
    assert (measured["n"], measured["dataset"]) == (8, "digits")
    assert small[-1] == (8, *SHAPE)
    assert {shape[1:] for shape in small} == {SHAPE}


def test_alexnet_itself_takes_a_step():
    data = image_set(8, side=28, name="digits")
    data = fit_images(replace(data, classes=tuple("0123456789")), SHAPE)
    model = build("alexnet")
    before = model.classifier[6].weight.detach().clone()
    history = train(model, data, replace(CONFIG, epochs=1, max_lr=0.01), device="cpu")
    assert np.isfinite(history.loss).all()
    assert not torch.equal(model.classifier[6].weight, before)
    assert count_parameters(model) == 57_044_810
    measured = evaluate(model, data, device="cpu")
    assert measured.n == 8
    assert np.isfinite(measured.loss)


def test_a_checkpoint_of_small_pictures_is_not_gone_on_from_with_large_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "_torchvision", lambda name, num_classes: Small(num_classes))
    data = image_set(16, side=28, name="digits")
    options = {"device": "cpu", "checkpoint": tmp_path / "run.pt"}
    train(build("alexnet", num_classes=3), fit_images(data, SHAPE), CONFIG, **options)
    with pytest.raises(ValueError, match="was made with other images"):
        train(build("alexnet", num_classes=3), fit_images(data, (3, 32, 32)), CONFIG, **options)


def test_evaluations_agree_whatever_the_batch(monkeypatch):
    data = fit_images(image_set(9, side=28, name="digits"), SHAPE)
    model = Small(3)
    whole = evaluate(model, data, device="cpu")
    monkeypatch.setattr("common.data.batches.ENLARGED_PIXELS", 1)
    single = evaluate(model, data, device="cpu")
    assert (single.top1, single.n) == (whole.top1, 9)
    assert single.loss == pytest.approx(whole.loss, rel=1e-5)
