"""The whole pipeline on tiny networks: from a trained network to bytes that are the same network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import CONFIG, image_set

from common.codec import container
from common.compress.pipeline import (
    CompressConfig,
    SharingConfig,
    compress,
    decompress,
    encode,
    share,
    with_epochs,
)
from common.networks.models import build, prunable_parameters
from common.networks.training import evaluate, train
from common.pruning.network import prune, take_out_channels, whole_network

FULL = CompressConfig(
    sparsity=0.8,
    prune=replace(CONFIG, epochs=4),
    share=replace(CONFIG, optimizer="adam", max_lr=0.005),
    conv_clusters=16,
    linear_clusters=8,
    bias_clusters=8,
)
LENET = {"architecture": "lenet_300_100", "num_classes": 3, "width": 0.1}


def digits(n=60, seed=0):
    return image_set(n, side=28, seed=seed, name="digits")


def trained_lenet():
    model = build("lenet_300_100", num_classes=3, width=0.1)
    train(model, digits(), replace(CONFIG, flip=False), device="cpu")
    return model


def test_a_trained_network_survives_compression():
    model = trained_lenet()
    before = evaluate(model, digits(30, seed=1), device="cpu").top1
    data = compress(model, digits(), FULL, LENET, device="cpu")
    decoded = decompress(data)
    assert evaluate(decoded, digits(30, seed=1), device="cpu").top1 >= before - 0.1
    assert len(data) < 4 * 23_873 / 10
    weights = prunable_parameters(decoded)
    n_kept = sum(int((weight != 0).sum()) for weight in weights.values())
    n_weights = sum(weight.numel() for weight in weights.values())
    assert n_kept <= round(0.2 * n_weights)
    assert all(len(np.unique(weight.detach())) <= 8 + 1 for weight in weights.values())  # and the zero


def test_the_decoded_network_is_the_fine_tuned_one():
    thin = whole_network(trained_lenet())
    prune(thin, digits(), FULL.prune, sparsity=FULL.sparsity, device="cpu")
    shared = share(thin, digits(), FULL, device="cpu")
    decoded = decompress(encode(thin, shared, replace(FULL, bias_clusters=256), LENET))
    for name, weight in prunable_parameters(thin.model).items():
        torch.testing.assert_close(prunable_parameters(decoded)[name], weight, rtol=1e-3, atol=1e-6)
    images = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(decoded(images), thin.model.eval()(images), rtol=0.01, atol=0.01)


def test_convolutions_and_linear_layers_have_codebooks_of_their_own_size():
    thin = whole_network(build("lenet_5", width=0.1))
    shared = share(thin, None, CompressConfig(conv_clusters=32, linear_clusters=4))
    sizes = {name: tensor.n_clusters for name, tensor in shared.items()}
    assert sizes == {"conv1.weight": 32, "conv2.weight": 32, "fc1.weight": 4, "fc2.weight": 4}


def test_a_dearer_bit_gives_a_smaller_file():
    sizes = [
        len(compress(build("lenet_5", width=0.2), None, CompressConfig(rate_weight=price), LENET5))
        for price in (0.0, 1e-4)
    ]
    assert sizes[1] < 0.9 * sizes[0]


LENET5 = {"architecture": "lenet_5", "num_classes": 10, "width": 0.2}


def test_without_epochs_no_data_is_needed():
    data = compress(build("lenet_5", width=0.2), None, CompressConfig(sparsity=0.5), LENET5)
    assert container.load(data).metadata == LENET5
    weights = prunable_parameters(decompress(data)).values()
    density = sum(int((w != 0).sum()) for w in weights) / sum(w.numel() for w in weights)
    assert density == pytest.approx(0.5, abs=0.02)


def test_the_same_network_gives_the_same_bytes():
    first, second = (compress(trained_lenet(), digits(), FULL, LENET, device="cpu") for _ in range(2))
    assert first == second


def test_a_compression_stopped_in_any_stage_resumes_to_the_same_bytes(tmp_path, monkeypatch):
    import common.networks.checkpoints as checkpoints

    expected = compress(trained_lenet(), digits(), FULL, LENET, device="cpu")
    for n_writes in (2, 6):  # four epochs of pruning, three of sharing: a checkpoint after each
        workdir, save, n_saved = tmp_path / str(n_writes), torch.save, []

        def stop(state, target, save=save, n_saved=n_saved, n_writes=n_writes):
            if len(n_saved) == n_writes:
                raise KeyboardInterrupt
            n_saved.append(target)
            save(state, target)

        monkeypatch.setattr(checkpoints.torch, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            compress(trained_lenet(), digits(), FULL, LENET, workdir=workdir, device="cpu")
        monkeypatch.undo()
        assert compress(trained_lenet(), digits(), FULL, LENET, workdir=workdir, device="cpu") == expected


def test_a_vgg_loses_whole_channels_first():
    model = build("vgg16", num_classes=3, width=0.125)
    data = image_set(32, side=32, name="cifar10")
    data = replace(data, images=np.repeat(data.images, 3, axis=1))
    config = CompressConfig(sparsity=0.9, macs_fraction=0.6, conv_clusters=8, linear_clusters=4)
    architecture = {"architecture": "vgg16", "num_classes": 3, "width": 0.125}
    slim_size = take_out_channels(whole_network(model), data, macs_fraction=0.6).n_kept
    assert slim_size < 0.9 * whole_network(model).n_kept
    decoded = decompress(compress(model, data, config, architecture, device="cpu"))
    assert decoded.features[0].weight.shape == model.features[0].weight.shape
    weights = prunable_parameters(decoded).values()
    assert sum(int((w != 0).sum()) for w in weights) <= 0.1 * sum(w.numel() for w in weights) + 1
    images = torch.zeros(2, 3, 32, 32)
    assert torch.isfinite(decoded(images)).all()


def test_trained_sharing_at_a_price_gives_a_smaller_file_that_decodes_to_the_network():
    sizes, config = [], replace(FULL, share=replace(FULL.share, epochs=6))
    for trained in (None, SharingConfig(every=2, rate_weight=0.2)):
        thin = whole_network(trained_lenet())
        prune(thin, digits(), config.prune, sparsity=config.sparsity, device="cpu")
        how = replace(config, trained=trained)
        data = encode(thin, share(thin, digits(), how, device="cpu"), how, LENET)
        sizes.append(len(data))
        decoded = prunable_parameters(decompress(data))
        for name, weight in prunable_parameters(thin.model).items():
            torch.testing.assert_close(decoded[name], weight, rtol=1e-3, atol=1e-6)
    assert sizes[1] < 0.9 * sizes[0]


def test_statistics_are_measured_anew_after_sharing(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "common.compress.pipeline.reestimate_statistics",
        lambda model, data, n, **options: seen.append((n, len(next(model.parameters()).unique()))),
    )
    compress(trained_lenet(), digits(), replace(FULL, reestimate=30), LENET, device="cpu")
    assert [n for n, _ in seen] == [30, 30]
    assert seen[0][1] > 20 >= seen[1][1]  # of the pruned network, and of the shared one


def test_trained_sharing_without_training_is_refused():
    with pytest.raises(ValueError, match="trained sharing needs epochs"):
        CompressConfig(trained=SharingConfig())


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 90])
def test_a_sparsity_is_a_fraction(sparsity):
    with pytest.raises(ValueError, match=rf"sparsity={sparsity}: expected a fraction in \[0, 1\)"):
        CompressConfig(sparsity=sparsity)


def test_other_epochs_leave_all_else():
    other = with_epochs(FULL, prune=1, share=0)
    assert (other.prune.epochs, other.share.epochs) == (1, 0)
    assert with_epochs(other, prune=4, share=3) == FULL
