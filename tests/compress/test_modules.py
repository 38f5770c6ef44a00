"""Any module, any loader: pruned while fine-tuning, shared, tuned, written, read back into the module."""

import pytest
import torch
from tiny import assert_equal_weights, image_set
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from common.codec import container
from common.compress import compress, load_into
from common.compress.modules import differing
from common.networks.averaging import reestimate_statistics
from common.networks.training import TrainConfig, evaluate, train


class Residual(nn.Module):
    """A block of He et al. 2016 with two convolutions; the shortcut pads channels with zeros (option A)."""

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.stride, self.more = stride, channels - channels_in

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        short = nn.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
        return torch.relu(y + short)


class ResNet20(nn.Module):
    """Three stages of three blocks, for small images."""

    def __init__(self, *, channels: int = 16, n_classes: int = 10, in_channels: int = 3):
        super().__init__()
        self.conv, self.bn = (
            nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        blocks, width = [], channels
        for stage in range(3):
            for block in range(3):
                wanted = channels << stage
                blocks.append(Residual(width, wanted, 2 if stage and not block else 1))
                width = wanted
        self.blocks, self.head = nn.Sequential(*blocks), nn.Linear(width, n_classes)

    def forward(self, x):
        return self.head(self.blocks(torch.relu(self.bn(self.conv(x)))).mean((2, 3)))


QUICK = TrainConfig(
    epochs=0, batch_size=16, max_lr=0.05, crop_padding=0, flip=False, label_smoothing=0.0, precision="fp32"
)
DATA = image_set(96)


def trained() -> ResNet20:
    torch.manual_seed(0)
    model = ResNet20(channels=4, n_classes=3, in_channels=1)
    train(model, DATA, TrainConfig(**{**vars(QUICK), "epochs": 4}), device="cpu")
    return model


def loader(n: int = 96) -> DataLoader:
    data = image_set(n)
    inputs = (torch.from_numpy(data.images).float() - 100) / 60
    return DataLoader(TensorDataset(inputs, torch.from_numpy(data.labels)), batch_size=16)


def test_a_resnet_of_ones_own_from_end_to_end(tmp_path):
    """At small scale, what the documentation shows for ResNet-20 on CIFAR-10."""
    model = trained()
    before = evaluate(model, DATA, device="cpu").top1
    assert before > 0.9
    made = compress(
        model,
        tmp_path / "mine.dcz",
        DATA,
        sparsity=0.7,
        keep=["head.*"],
        sparsities=[("conv.*", 0.2)],
        epochs=3,
        share_epochs=1,
        clusters=16,
        training=QUICK,
        device="cpu",
    )
    assert made.data == (tmp_path / "mine.dcz").read_bytes()
    assert made.dense["head.weight"] == "kept by 'head.*'"
    assert made.dense["blocks.0.bn1.weight"] == "one axis"
    assert made.notes == ()
    other = load_into(ResNet20(channels=4, n_classes=3, in_channels=1), tmp_path / "mine.dcz")
    images = torch.from_numpy(DATA.images[:8]).float() / 100
    model.eval(), other.eval()
    states = [
        {name: value for name, value in one.state_dict().items() if value.is_floating_point()}
        for one in (other, model)  # but for the counters of batches
    ]
    assert_equal_weights(*states)
    with torch.no_grad():  # in another memory layout: sums in another order
        torch.testing.assert_close(other(images), model(images), rtol=1e-5, atol=1e-5)
    assert evaluate(other, DATA, device="cpu").top1 >= before - 0.1
    tensors = container.load(made.data).tensors
    assert tensors["conv.weight"].n_kept == round(0.8 * 36)
    rest = [t for n, t in tensors.items() if n.startswith("blocks") and len(t.shape) == 4]
    assert sum(t.n_kept for t in rest) == round(0.3 * sum(t.n_weights for t in rest))
    assert all(t.n_clusters <= 16 for t in rest)


def test_a_loader_and_a_loss_of_ones_own():
    torch.manual_seed(0)
    model, seen = ResNet20(channels=4, n_classes=3, in_channels=1), []

    def loss(outputs, labels):
        seen.append(len(labels))
        return nn.functional.cross_entropy(outputs, labels)

    made = compress(
        model, None, loader(), sparsity=0.5, epochs=1, share_epochs=1, loss=loss, training=QUICK, device="cpu"
    )
    assert sum(seen) == 2 * 96
    assert made.sparsity == pytest.approx(0.5, abs=1e-3)


def test_tokens_and_a_tied_network():
    from test_state_files import TinyGPT

    torch.manual_seed(0)
    model, other = TinyGPT(), TinyGPT()
    tokens = torch.randint(0, 50, (8, 10))
    batches = [(tokens[:4], tokens[:4]), (tokens[4:], tokens[4:])]

    def loss(outputs, labels):
        return nn.functional.cross_entropy(outputs.flatten(0, 1), labels.flatten())

    made = compress(model, None, batches, sparsity=0.4, epochs=2, share_epochs=1, loss=loss, device="cpu")
    load_into(other, made.data)
    assert other.lm_head.weight is other.wte.weight
    model.eval(), other.eval()
    with torch.no_grad():
        torch.testing.assert_close(other(tokens), model(tokens), rtol=0, atol=0)


def test_batch_norm_is_estimated_again():
    model = trained()
    norm = model.blocks[0].bn1
    norm.running_mean.fill_(50.0)
    broken = evaluate(model, DATA, device="cpu").loss
    assert reestimate_statistics(model, DATA, device="cpu") is model
    assert norm.momentum == 0.1
    assert evaluate(model, DATA, device="cpu").loss < broken


def test_small_batches_of_a_loader_count_by_their_images():
    """Not by their number: 96 images in batches of 16 are all looked at, or as many as were asked for."""
    model, seen = trained(), []
    model.conv.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    for n, expected in ((5000, 96), (40, 48)):
        seen.clear()
        reestimate_statistics(model, loader(), n=n, device="cpu")
        assert sum(seen) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 1}, "fine-tuning needs data"),
        ({"share_epochs": 1}, "fine-tuning needs data"),
        ({"sparsity": 1.0}, r"expected a fraction in \[0, 1\)"),
        ({"keep": ["nothing"]}, "fits no tensor's name"),
        ({"criterion": "l7"}, "expected one of magnitude"),
        ({"data": image_set(20)}, "the network has 10 classes, digits8x8 has 3"),
        ({"data": iter([])}, "is an iterator"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, options, message):
    data = options.pop("data", None)
    if data is not None:
        options = options | {"epochs": 1}
    model = ResNet20(channels=2, in_channels=1)
    with pytest.raises(ValueError, match=message):
        compress(model, tmp_path / "x.dcz", data, training=QUICK, device="cpu", **options)
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_network_says_what_differs(tmp_path):
    compress(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), tmp_path / "x.dcz")
    with pytest.raises(ValueError, match=r"does not fit this module: it lacks 2\.weight, 2\.bias"):
        load_into(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2), nn.Linear(2, 2)), tmp_path / "x.dcz")
    with pytest.raises(ValueError, match=r"it has also 1\.bias, 1\.weight"):
        load_into(nn.Sequential(nn.Linear(4, 3)), tmp_path / "x.dcz")
    with pytest.raises(ValueError, match=r"1\.bias has shape \(2,\): expected \(5,\)"):
        load_into(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 5)), tmp_path / "x.dcz")


def test_differing_counts_what_it_does_not_show():
    own = {name: (1,) for name in "abcdef"}
    assert differing({"a": (1,)}, own) == "it lacks b, c, d and 2 more"
    assert differing(own, own) == ""
