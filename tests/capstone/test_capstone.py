"""The capstone in small: a VGG-16 of a tenth of the width stands in for the shipped files."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from common.base.results import read_result, write_result
from common.capstone import run as capstone
from common.capstone.run import HEADLINE, SHORT_RUN, SWITCH, choose_profile, run_capstone
from common.capstone.shipped import BASELINE, RESULTS, Shipped, encode_again, fingerprint, load_shipped
from common.codec import container
from common.compress.files import open_model
from common.compress.pipeline import CompressConfig, compress, with_epochs
from common.compress.points import OperatingPoint
from common.data.datasets import DatasetNotFoundError
from common.data.image_set import ImageSet, first_images, fit_images
from common.networks.baseline import Refinement, train_baseline, train_config
from common.networks.checkpoints import round_to_half_, save_weights
from common.networks.models import build, prunable_parameters

WIDTH = 0.1
ARCHITECTURE = {"architecture": "vgg16", "num_classes": 10, "width": WIDTH}
CONFIG = CompressConfig(sparsity=0.95, criterion="lamp", conv_clusters=8, linear_clusters=8)
ONE_SHOT = with_epochs(CONFIG, prune=0, share=0)
TINY_DIGITS = replace(SHORT_RUN, width=0.05, n_train=100, n_test=50, train_epochs=1, config=ONE_SHOT)
STORED = {"baseline_top1": 0.93, "top1": 0.929, "n_test": 10_000, "drop_points": 0.1}


def small_set(n: int, seed: int = 0) -> ImageSet:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
    labels = np.arange(n, dtype=np.int64) % 10
    return ImageSet(images, labels, tuple("0123456789"), "cifar10", f"random-{n}-{seed}")


def fake_load(name: str, split: str, **options) -> ImageSet:
    assert name == "cifar10"
    return small_set(3000 if split == "train" else 40, seed=split == "train")


@pytest.fixture
def folder(tmp_path):
    """Shipped files of a network with random weights, and made-up stored accuracies."""
    where = tmp_path / "capstone"
    model = round_to_half_(build("vgg16", width=WIDTH))
    save_weights(model, where / BASELINE)
    figures = {}
    for name, sparsity in ((HEADLINE, 0.95), (f"{HEADLINE}_small", 0.98)):
        data = compress(model, None, replace(CONFIG, sparsity=sparsity), ARCHITECTURE)
        (where / f"{name}.dcz").write_bytes(data)
        figures[name] = {"file": f"{name}.dcz", "sha256": fingerprint(data), "stages": [], **STORED}
    write_result(where / RESULTS, figures, command="a test", seed=0, dataset=None, device="cpu")
    return where


@pytest.fixture
def said():
    return []


def test_offline_codes_the_real_network_and_runs_the_whole_loop_on_digits(folder, tmp_path, said):
    result = run_capstone(
        "offline", folder=folder, workdir=tmp_path / "runs" / "vgg", say=said.append, digits=TINY_DIGITS
    )
    assert said[0] == "profile offline: asked for"
    assert list(result.parts) == [HEADLINE, f"{HEADLINE}_small", "digits"]
    real, live = result.parts[HEADLINE], result.parts["digits"]
    assert real.figures["file_bytes"] == (folder / f"{HEADLINE}.dcz").stat().st_size
    assert real.figures["top1"] == STORED["top1"]
    assert {"top1", "baseline_top1", "drop_points"} <= real.stored
    assert not {"file_bytes", "ratio", "sparsity", "bits_per_weight"} & real.stored
    written = tmp_path / "runs" / "vgg16_digits" / "vgg16_digits.dcz"
    assert live.figures["file_bytes"] == written.stat().st_size
    assert [stage["name"] for stage in live.figures["stages"]] == ["dense", "pruned", "shared", "huffman"]
    assert live.figures["n_test"] == 50
    assert not live.stored
    # Without fine-tuning in between, what is read back is what was shared, up to float16 biases.
    assert abs(live.figures["stages"][2]["top1"] - live.figures["top1"]) <= 0.02


def test_the_table_says_what_was_not_measured_and_what_is_not_cifar10(folder, tmp_path, said):
    table = run_capstone(
        "test", folder=folder, workdir=tmp_path / "vgg", say=said.append, digits=TINY_DIGITS
    ).table()
    real, _, live = table.split("VGG-16 ")[1:]
    assert "stored, not measured now" in real
    assert "*not* CIFAR-10" in live
    assert "stored" not in live


def test_the_verdict_counts_the_headline_and_the_live_run_but_not_the_curve(folder, tmp_path, said):
    result = run_capstone("test", folder=folder, workdir=tmp_path / "v", say=said.append, digits=TINY_DIGITS)
    good = {"ratio": 20.0, "drop_points": 0.2, "bits_per_weight": 1.6, "sparsity": 0.95}
    parts = {name: replace(part, figures=part.figures | good) for name, part in result.parts.items()}
    assert replace(result, parts=parts).is_met
    for key, bad in (("ratio", 8.9), ("drop_points", 1.5), ("bits_per_weight", 3.58), ("sparsity", 0.899)):
        for name in parts:
            one = {name: replace(parts[name], figures=parts[name].figures | {key: bad})}
            assert replace(result, parts=parts | one).is_met == (name == f"{HEADLINE}_small")
    assert result.to_dict()["parts"][HEADLINE]["ratio"] == result.parts[HEADLINE].figures["ratio"]


def test_the_cpu_profile_measures_what_is_decoded_and_moves_centroids(folder, tmp_path, said, monkeypatch):
    monkeypatch.setattr(capstone, "load_dataset", fake_load)
    result = run_capstone("cpu", folder=folder, workdir=tmp_path, say=said.append, device="cpu")
    part = result.parts[HEADLINE]
    assert not {"top1", "baseline_top1", "drop_points", "n_test", "file_bytes"} & part.stored
    assert part.figures["n_test"] == 40
    figures = part.figures
    assert figures["drop_points"] == pytest.approx(100 * (figures["baseline_top1"] - figures["top1"]))
    assert result.fine_tune.n_steps == 30
    assert result.fine_tune.largest_move > 0
    assert np.isfinite([result.fine_tune.loss_before, result.fine_tune.loss_after]).all()
    assert result.fine_tune.loss_after != result.fine_tune.loss_before


def test_the_full_profile_trains_compresses_and_stores(tmp_path, said, monkeypatch):
    def train_quickly(network, *, weights, **options):
        save_weights(round_to_half_(build(network, width=WIDTH)), weights)

    points = {name: OperatingPoint(name, CONFIG) for name in (HEADLINE, "second")}
    monkeypatch.setattr(capstone, "load_dataset", fake_load)
    monkeypatch.setattr(capstone, "train_baseline", train_quickly)
    monkeypatch.setattr(capstone, "POINTS", points)
    monkeypatch.setattr(capstone, "ARCHITECTURE", ARCHITECTURE)
    folder, workdir = tmp_path / "capstone", tmp_path / "runs"
    workdir.mkdir()
    result = run_capstone("full", folder=folder, workdir=workdir, say=said.append, device="cpu")
    assert not any(part.stored for part in result.parts.values())
    stored = read_result(folder / RESULTS)["figures"]
    assert stored[HEADLINE] == stored[HEADLINE] | result.parts[HEADLINE].figures
    assert set(load_shipped(folder)) == set(points)
    before = (folder / f"{HEADLINE}.dcz").read_bytes()
    (made,) = workdir.glob("pruned-*/pruned.pt")  # both points are pruned alike
    assert made.exists()

    def run_again(**options):
        return run_capstone("full", folder=folder, workdir=workdir, say=said.append, device="cpu", **options)

    monkeypatch.setitem(
        points, "second", replace(points["second"], config=replace(CONFIG, linear_clusters=4))
    )
    again = run_again()
    assert f"{HEADLINE}: made by commit {stored[HEADLINE]['commit']}" in "\n".join(said)
    assert not {"ratio", "top1", "drop_points"} & again.parts[HEADLINE].stored, "measured again"
    assert "stages" in again.parts[HEADLINE].stored, "but not made again"
    assert not again.parts["second"].stored, "its options have changed"
    now = read_result(folder / RESULTS)["figures"]
    assert now[HEADLINE] == stored[HEADLINE]
    assert now["second"]["config"]["linear_clusters"] == 4
    assert capstone._is_made(now[HEADLINE], points[HEADLINE], now[HEADLINE]["trained"], folder)
    assert not capstone._is_made(now[HEADLINE], points[HEADLINE], "another network", folder)
    file = folder / f"{HEADLINE}.dcz"
    for change in (file.unlink, lambda: file.write_bytes(before + b" ")):  # gone, another one
        change()
        assert not run_again().parts[HEADLINE].stored
        assert file.read_bytes() == before

    def refuse(shipped, *, say):
        raise ValueError("other bytes came out")

    monkeypatch.setattr(capstone, "encode_again", refuse)  # as after a change of the coder
    assert not run_again().parts[HEADLINE].stored
    assert "other bytes came out: made again" in said
    assert not any(part.stored for part in run_again(resume=False).parts.values())
    assert (folder / f"{HEADLINE}.dcz").read_bytes() == before


def test_missing_or_foreign_files_are_named(folder):
    path = folder / f"{HEADLINE}.dcz"
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(ValueError, match=r"is not the file that .*operating_points.json was measured on"):
        load_shipped(folder)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"no compressed network at .*{HEADLINE}.dcz: fetch it"):
        load_shipped(folder)
    (folder / RESULTS).unlink()
    with pytest.raises(FileNotFoundError, match="no stored results at"):
        load_shipped(folder)


def test_a_file_that_is_coded_otherwise_is_refused(folder, said):
    model = container.load_file(folder / f"{HEADLINE}.dcz")
    with_names = container.save(model, store_names=True)
    with pytest.raises(ValueError, match="differ from the shipped"):
        encode_again(Shipped("x", with_names, {}), say=said.append)
    without = Shipped("x", container.save(model, store_names=False), {})
    assert encode_again(without, say=said.append)["ratio"] > 10


def test_a_profile_can_be_asked_for(monkeypatch):
    monkeypatch.setenv(SWITCH, "offline")
    assert choose_profile().name == "offline"
    assert SWITCH in choose_profile().reason
    assert choose_profile("cpu").name == "cpu"
    for bad in ("CPU", "quick"):
        with pytest.raises(ValueError, match="expected one of full, cpu, offline, test"):
            choose_profile(bad)
    monkeypatch.setenv(SWITCH, "quick")
    with pytest.raises(ValueError, match=SWITCH):
        choose_profile()


@pytest.mark.parametrize(
    ("has_data", "has_gpu", "name"),
    [(False, True, "offline"), (False, False, "offline"), (True, False, "cpu"), (True, True, "full")],
)
def test_otherwise_the_machine_decides(monkeypatch, has_data, has_gpu, name):
    def load(*arguments, **options):
        if not has_data:
            raise DatasetNotFoundError("nowhere")

    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.setattr("common.data.datasets.load_dataset", load)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    assert choose_profile().name == name


def test_a_baseline_is_measured_as_it_is_written(tmp_path):
    figures = train_baseline(
        "lenet_300_100",
        dataset="digits",
        epochs=1,
        device="cpu",
        weights=tmp_path / "w.safetensors",
        result=tmp_path / "w.json",
        workdir=tmp_path,
    )
    assert figures["n_train"] + figures["n_validation"] == 4000
    assert figures["top1"] > 0.5
    assert read_result(tmp_path / "w.json")["figures"]["top1"] == figures["top1"]
    model, architecture = open_model(tmp_path / "w.safetensors")
    assert architecture == {"architecture": "lenet_300_100", "num_classes": 10}
    again = train_baseline(
        "lenet_300_100",
        dataset="digits",
        epochs=1,
        device="cpu",
        weights=tmp_path / "again.safetensors",
        result=tmp_path / "again.json",
        workdir=tmp_path,
    )
    assert again == figures
    halves = [value for value in model.state_dict().values() if value.is_floating_point()]
    assert all(torch.equal(value, value.half().float()) for value in halves)


def test_a_baseline_may_start_from_the_weights_of_other_classes(tmp_path):
    start = build("lenet_300_100", num_classes=7, seed=5)
    save_weights(start, tmp_path / "start.safetensors")
    options = {"epochs": 0, "device": "cpu", "result": tmp_path / "w.json", "workdir": tmp_path}
    options |= {"dataset": "digits", "weights": tmp_path / "w.safetensors"}
    assert train_baseline("lenet_300_100", **options)["start"] is None
    own = load_file(tmp_path / "w.safetensors")
    figures = train_baseline("lenet_300_100", start=tmp_path / "start.safetensors", **options)
    assert figures["start"] == "start.safetensors"
    got, given = load_file(tmp_path / "w.safetensors"), load_file(tmp_path / "start.safetensors")
    last = list(prunable_parameters(start))[-1]
    assert got[last].shape == (10, 100)
    for name in given:
        is_last = name.split(".")[:-1] == last.split(".")[:-1]
        assert torch.equal(got[name], (own if is_last else given)[name]), name
    with pytest.raises(ValueError, match="does not fit this architecture"):
        train_baseline("lenet_5", start=tmp_path / "start.safetensors", **options)


def test_a_baseline_may_be_refined(tmp_path, monkeypatch):
    start = build("lenet_300_100", seed=5)
    save_weights(start, tmp_path / "start.safetensors")
    options = {"device": "cpu", "result": tmp_path / "w.json", "workdir": tmp_path, "dataset": "digits"}
    options |= {"refine": tmp_path / "start.safetensors", "weights": tmp_path / "w.safetensors"}
    with pytest.raises(ValueError, match="no refinement for 'lenet_300_100': expected one of vgg16"):
        train_baseline("lenet_300_100", **options)
    config = replace(train_config("lenet_300_100"), epochs=1, max_lr=0.01)
    recipe = Refinement(config, ema_decay=0.99, ema_epoch=0)
    monkeypatch.setattr("common.networks.baseline._REFINEMENTS", {"lenet_300_100": recipe})
    figures = train_baseline("lenet_300_100", epochs=0, **options)
    assert figures["refine"] == "start.safetensors"
    got, given = load_file(tmp_path / "w.safetensors"), load_file(tmp_path / "start.safetensors")
    assert all(torch.equal(got[name], value) for name, value in given.items())  # the last layer, too
    figures = train_baseline("lenet_300_100", **options)
    assert (figures["epochs"], figures["start"]) == (1, None)
    state = torch.load(tmp_path / "refined_start.pt", weights_only=True)
    average = state["callbacks"][0]["average"]
    for name, value in load_file(tmp_path / "w.safetensors").items():
        assert torch.equal(value, average[name].half()), name
        assert not torch.equal(average[name], state["model"][name]), name
    with pytest.raises(ValueError, match="start and refine are both given"):
        train_baseline("lenet_300_100", start=tmp_path / "start.safetensors", **options)


@pytest.mark.parametrize(
    ("batch_norm", "width"), [("live", 0.125), ("folded", 0.125), ("live", 0.1), ("live", 1)]
)
def test_a_safetensors_file_is_recognised(tmp_path, batch_norm, width):
    model = build("vgg16", num_classes=7, width=width, batch_norm=batch_norm)
    save_weights(model, tmp_path / "m.safetensors", dtype=torch.float32)
    read, architecture = open_model(tmp_path / "m.safetensors")
    expected = {"architecture": "vgg16", "num_classes": 7}
    assert architecture == expected | ({} if width == 1 else {"width": width})
    for name, value in model.state_dict().items():
        assert torch.equal(read.state_dict()[name], value)


def test_a_network_of_other_shapes_is_refused(tmp_path):
    model = build("lenet_300_100", width=0.5)
    model.fc2 = torch.nn.Linear(150, 77)
    save_weights(model, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="lenet_300_100 has no width"):
        open_model(tmp_path / "m.safetensors")


def test_images_are_padded_and_repeated():
    images = np.arange(2 * 28 * 28, dtype=np.int64).reshape(2, 1, 28, 28).astype(np.uint8)
    data = ImageSet(images, np.zeros(2, dtype=np.int64), ("0",), "digits", "x")
    fitted = fit_images(data, (3, 32, 32))
    assert fitted.images.shape == (2, 3, 32, 32)
    assert all(np.array_equal(fitted.images[:, c, 2:30, 2:30], images[:, 0]) for c in range(3))
    assert fitted.images.sum() == 3 * images.sum()
    assert fitted.sha256 != data.sha256
    assert fit_images(data, (1, 28, 28)) is data
    assert fitted.shown_size is None
    with pytest.raises(ValueError, match=r"digits has images of \(1, 28, 28\), expected \(3, 64, 64\)"):
        fit_images(data, (3, 64, 64))
    with pytest.raises(ValueError, match="expected"):
        fit_images(fitted, (1, 28, 28))
    assert first_images(data, 1).images.shape[0] == 1
    assert first_images(data, None) is data


def test_images_for_imagenets_networks_stay_small_until_they_are_shown():
    images = np.arange(2 * 28 * 28, dtype=np.int64).reshape(2, 1, 28, 28).astype(np.uint8)
    data = ImageSet(images, np.zeros(2, dtype=np.int64), ("0",), "digits", "x")
    fitted = fit_images(data, (3, 224, 224))
    assert fitted.images.shape == (2, 3, 28, 28)
    assert all(np.array_equal(fitted.images[:, c], images[:, 0]) for c in range(3))
    assert fitted.shown_size == (224, 224)
    assert first_images(fitted, 1).shown_size == (224, 224)
    assert fitted.sha256 not in (data.sha256, fit_images(data, (3, 32, 32)).sha256)
    with pytest.raises(ValueError, match="expected"):
        fit_images(fitted, (1, 224, 224))
