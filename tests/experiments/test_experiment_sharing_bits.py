"""The study `sharing_bits` on a tiny network: its short cut, its file sizes, its memory."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from common.codec import container
from common.data.datasets import load_dataset
from common.data.image_set import first_images, fit_images
from common.experiments import sharing_bits
from common.experiments.sharing_bits import Plan, measure, network_file, renew_batch_norm_, share
from common.networks.models import INPUT_SHAPES, build
from common.networks.training import evaluate
from common.sharing.centroid_tuning import CentroidTuner

pytestmark = pytest.mark.slow

PLAN = Plan(
    conv_bits=(1, 3, None),
    fc_bits=(2, None),
    renormed=(3,),
    tuned=((3, 2),),
    n_renorm=40,
    n_steps=3,
    tune=replace(Plan().tune, batch_size=20, max_lr=1e-2),
)


@pytest.fixture(scope="module")
def images():
    digits = fit_images(load_dataset("digits", "train"), INPUT_SHAPES["vgg16"])
    return first_images(digits, 60), first_images(replace(digits, images=digits.images[::-1].copy()), 50)


@pytest.fixture(scope="module")
def model():
    return build("vgg16", width=0.0625)


@pytest.fixture(scope="module")
def figures(model, images, tmp_path_factory):
    return measure(model, *images, PLAN, workdir=tmp_path_factory.mktemp("study"), device="cpu")


def test_a_row_computes_what_the_whole_network_would(model, images, figures):
    assert [(e["conv_bits"], e["fc_bits"]) for e in figures["grid"]] == [
        (c, f) for c in PLAN.conv_bits for f in PLAN.fc_bits
    ]
    for entry in figures["grid"]:
        network = copy.deepcopy(model)
        shared = share(model, entry["conv_bits"], entry["fc_bits"])
        CentroidTuner(shared, network)
        whole = evaluate(network, images[1], precision="bf16", batch_size=250, device="cpu")
        assert entry["top1"] == whole.top1
        assert entry["file_bytes"] == len(network_file(model, shared))


def test_bits_go_to_the_layers_they_are_for(model):
    shared = share(model, 3, None)
    assert all(len(tensor.shape) == 4 and tensor.n_clusters <= 8 for tensor in shared.values())
    assert len(shared) == 13
    assert sorted(share(model, None, 1)) == ["classifier.0.weight", "classifier.2.weight"]


def test_the_file_holds_the_whole_network(model):
    shared = share(model, 2, 1)
    held = container.load(network_file(model, shared)).tensors
    assert set(held) == set(model.state_dict())
    for name, value in model.state_dict().items():
        wanted = shared[name].to_dense() if name in shared else value.numpy()
        np.testing.assert_array_equal(held[name].to_dense(), wanted)


def test_batch_norm_anew_is_measured_beside(model, images, figures):
    anew = {e["fc_bits"]: e["top1_renormed"] for e in figures["grid"] if "top1_renormed" in e}
    assert list(anew) == list(PLAN.fc_bits)
    network = copy.deepcopy(model)
    CentroidTuner(share(model, 3, 2), network)
    renew_batch_norm_(network, first_images(images[0], PLAN.n_renorm), "cpu")
    assert anew[2] == evaluate(network, images[1], precision="bf16", batch_size=250, device="cpu").top1


def test_fine_tuning_is_measured(figures):
    (tuned,) = figures["tuned"]
    assert (tuned["conv_bits"], tuned["fc_bits"]) == (3, 2)
    assert 0 <= tuned["top1_tuned"] <= 1
    assert 0 < tuned["file_bytes"] < figures["dense_bytes"]


def test_what_was_measured_is_not_measured_again(model, images, tmp_path, monkeypatch):
    plan = replace(PLAN, conv_bits=(1, 3), n_steps=2)
    first = measure(model, *images, plan, workdir=tmp_path, device="cpu")

    def refuse(*arguments, **options):
        raise AssertionError("measured again")

    monkeypatch.setattr(sharing_bits, "_row", refuse)
    monkeypatch.setattr(sharing_bits, "_tuned", refuse)
    assert measure(model, *images, plan, workdir=tmp_path, device="cpu") == first
    with pytest.raises(AssertionError, match="measured again"):
        measure(model, *images, replace(plan, n_renorm=20), workdir=tmp_path, device="cpu")
    with pytest.raises(AssertionError, match="measured again"):
        measure(build("vgg16", width=0.0625, seed=1), *images, plan, workdir=tmp_path, device="cpu")
    with pytest.raises(AssertionError, match="measured again"):
        measure(model, *images, plan, workdir=tmp_path, device="cpu", resume=False)


def test_batch_norm_taken_anew_fits_the_images_it_saw(images):
    network = build("vgg16", width=0.0625)
    renew_batch_norm_(network, images[0], "cpu")
    norm = next(module for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    from common.data.batches import BatchSource, normalization

    mean, std = normalization("digits")
    source = BatchSource(images[0].images, images[0].labels, mean=mean, std=std)
    with torch.no_grad():
        (batch, _), *_ = source.plain_batches(250)
        outputs = network.features[0](batch)
    torch.testing.assert_close(norm.running_mean, outputs.mean(dim=(0, 2, 3)), rtol=0.02, atol=0.02)
    torch.testing.assert_close(norm.running_var, outputs.var(dim=(0, 2, 3)), rtol=0.05, atol=0.02)
    assert norm.momentum == 0.1
    assert not network.training
