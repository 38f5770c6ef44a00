"""The networks of the course: architectures as data, one builder.

>>> model = build("lenet_5")
>>> count_parameters(model)
431080

============== ========== ============ ==================================================
name           input      parameters   source
============== ========== ============ ==================================================
lenet_300_100  1×28×28        266,610  LeCun et al. 1998; Han et al. 2015, table 3
lenet_5        1×28×28        431,080  Caffe's variant, as used by Han et al. 2015
mlp_1200       1×28×28      2,395,210  Hinton, Vinyals, Dean 2015: the teacher's
vgg16          3×32×32     14,986,698  Simonyan & Zisserman 2015, batch norm, for CIFAR
alexnet        3×224×224   57,044,810  Krizhevsky 2014, torchvision's, 10 classes
vgg16_imagenet 3×224×224  134,301,514  Simonyan & Zisserman 2015, torchvision's, 10 classes
============== ========== ============ ==================================================

`build(name, width=0.25)` gives the same network with a quarter of the channels, for small machines.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import nn

from common.networks.shapes import INPUT_SHAPES as INPUT_SHAPES
from common.networks.shapes import VGG16_CONFIG, check_options, read_description, scaled


def build_from(metadata: Mapping[str, object], *, batch_norm: str = "folded") -> nn.Module:
    """Build the architecture that metadata describes, with random weights.

    Parameters
    ----------
    metadata : mapping
        ``architecture``, ``num_classes`` and, unless it is 1, ``width``; other keys are ignored.
    batch_norm : {"folded", "live"}
        As in `build`; a file holds the folded network.

    Raises
    ------
    ValueError
        When a key is missing or of another kind, or there is no such network.
    """
    return build(**read_description(metadata), batch_norm=batch_norm)


def build(
    name: str, *, num_classes: int = 10, width: float = 1.0, batch_norm: str = "live", seed: int = 0
) -> nn.Module:
    """Build a network by name, with random weights.

    Parameters
    ----------
    name : str
        A key of `INPUT_SHAPES`.
    num_classes : int
        Outputs of the last layer.
    width : float
        Factor on every hidden layer's channels or units, in (0, 1]; 1 for torchvision's two networks.
    batch_norm : {"live", "folded"}
        "folded" gives convolutions with a bias and no batch norm: the shape of a network after
        `fold_batch_norm`. Only `vgg16` has batch norm; elsewhere this changes nothing.
    seed : int
        Seed of the initial weights; the global generator is left as it was.

    Returns
    -------
    nn.Module
        On the CPU, in training mode.

    Raises
    ------
    ValueError
        When the name is unknown, or the network does not have the options.
    """
    check_options(name, width=width, batch_norm=batch_norm)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name == "lenet_300_100":
            return _lenet_300_100(num_classes, width)
        if name == "lenet_5":
            return _lenet_5(num_classes, width)
        if name == "mlp_1200":
            return mlp(scaled(1200, width), num_classes=num_classes)
        if name == "vgg16":
            channels = [v if v == "M" else scaled(v, width) for v in VGG16_CONFIG]
            return vgg(channels, num_classes=num_classes, batch_norm=batch_norm)
        return _torchvision(name, num_classes)


def vgg(
    channels: list,
    *,
    num_classes: int = 10,
    hidden: int | None = None,
    in_channels: int = 3,
    batch_norm: str = "live",
) -> nn.Module:
    """Build a VGG for 32×32 inputs from its configuration: channel counts, and "M" for a 2×2 max pooling.

    `hidden` is the number of units of the classifier's hidden layer, by default as many as the last
    convolution has channels. The filters start as the identity (`torch.nn.init.dirac_`), which passes each
    channel on, where there is a channel to pass; the others are He-normal. A plain network of this depth
    learns far faster in its first epochs with this start.
    """
    layers: list[nn.Module] = []
    width = in_channels
    for entry in channels:
        if entry == "M":
            layers.append(nn.MaxPool2d(2))
            continue
        conv = nn.Conv2d(width, entry, 3, padding=1, bias=batch_norm == "folded")
        nn.init.kaiming_normal_(conv.weight)
        if width > in_channels:
            with torch.no_grad():
                nn.init.dirac_(conv.weight[: min(width, entry)])
        layers += [conv, nn.BatchNorm2d(entry)] if batch_norm == "live" else [conv]
        layers.append(nn.ReLU(inplace=True))
        width = entry
    hidden = width if hidden is None else hidden
    classifier = nn.Sequential(
        nn.Linear(width, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, num_classes)
    )
    return nn.Sequential(
        OrderedDict(features=nn.Sequential(*layers), flatten=nn.Flatten(), classifier=classifier)
    )


def mlp(hidden: int, *, num_classes: int = 10, dropout: float = 0.0) -> nn.Module:
    """Build a network of two hidden layers with `hidden` units each, for 28×28 inputs.

    `dropout` is the probability, in [0, 1), with which a hidden unit is set to zero during training.
    """
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            hidden1=nn.Linear(784, hidden),
            relu1=nn.ReLU(),
            dropout1=nn.Dropout(dropout),
            hidden2=nn.Linear(hidden, hidden),
            relu2=nn.ReLU(),
            dropout2=nn.Dropout(dropout),
            answer=nn.Linear(hidden, num_classes),
        )
    )


def prunable_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weights of the convolutions and linear layers by name, in the order of the data flow."""
    return {
        f"{name}.weight": module.weight
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }


def rectified_layers(model: nn.Module) -> set[str]:
    """Return the names of the convolutions and linear layers whose output a ReLU follows, in a chain.

    LeNet-5's convolutions have none: behind them a negative value stays negative.
    """
    rectified, last = set(), None
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            last = name
        elif isinstance(module, nn.ReLU) and last is not None:
            rectified.add(last)
    return rectified


def count_parameters(model: nn.Module) -> int:
    """Return the number of parameters; buffers, such as batch norm's running statistics, do not count."""
    return sum(parameter.numel() for parameter in model.parameters())


def dense_bytes(model: nn.Module) -> int:
    """Return the bytes of the parameters as float32: the numerator of all the course's compression ratios."""
    return 4 * count_parameters(model)


def batch_norm_scales(model: nn.Module) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return the scale and bias (float32, one per channel) of each batch norm at inference, by conv name.

    In evaluation, batch norm computes s·z + t with s = γ/√(σ² + ε) and t = β − s·μ (Ioffe & Szegedy 2015).
    So a convolution without bias followed by it equals a convolution with weights s·W and bias t. A network
    without batch norm gives an empty dict; a ValueError says that not every convolution has one.
    """
    scales = {}
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    if norms and len(norms) != len(names):
        raise ValueError(f"{len(norms)} batch norms for {len(names)} convolutions: expected one each")
    for name, norm in zip(names, norms, strict=False):
        scale = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
        scales[name] = (scale, norm.bias.detach() - scale * norm.running_mean)
    return scales


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Return a copy of a `vgg` in which each batch norm is multiplied into the convolution before it."""
    scales = batch_norm_scales(model)
    if not scales:
        return copy.deepcopy(model)
    channels: list = []
    for module in model.features:
        if isinstance(module, nn.Conv2d):
            channels.append(module.out_channels)
        elif isinstance(module, nn.MaxPool2d):
            channels.append("M")
    first = model.features[0]
    with torch.random.fork_rng(devices=[]):
        folded = vgg(
            channels,
            num_classes=model.classifier[-1].out_features,
            hidden=model.classifier[0].out_features,
            in_channels=first.in_channels,
            batch_norm="folded",
        )
    convs = [module for module in model.features if isinstance(module, nn.Conv2d)]
    targets = [module for module in folded.features if isinstance(module, nn.Conv2d)]
    with torch.no_grad():
        for conv, target, (scale, bias) in zip(convs, targets, scales.values(), strict=True):
            target.weight.copy_(conv.weight * scale.view(-1, 1, 1, 1))
            target.bias.copy_(bias)
    folded.classifier.load_state_dict(model.classifier.state_dict())
    return folded.train(model.training)


def _lenet_300_100(num_classes: int, width: float) -> nn.Module:
    first, second = scaled(300, width), scaled(100, width)
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            fc1=nn.Linear(784, first),
            relu1=nn.ReLU(),
            fc2=nn.Linear(first, second),
            relu2=nn.ReLU(),
            fc3=nn.Linear(second, num_classes),
        )
    )


def _lenet_5(num_classes: int, width: float) -> nn.Module:
    first, second, hidden = scaled(20, width), scaled(50, width), scaled(500, width)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, first, 5),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(first, second, 5),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(second * 16, hidden),
            relu=nn.ReLU(),
            fc2=nn.Linear(hidden, num_classes),
        )
    )


def _torchvision(name: str, num_classes: int) -> nn.Module:
    with torch.device("cpu"):  # the caller's may be "meta", on which torch 2.6 cannot be imported to its end
        from torchvision import models  # slow to import, and only these two need it

    return {"alexnet": models.alexnet, "vgg16_imagenet": models.vgg16}[name](num_classes=num_classes)


# ----------------------------------------------------------------------------------------------------
# The network that a file's metadata describes, with shapes but no weights.


def skeleton(metadata: Mapping[str, object], *, batch_norm: str = "folded") -> nn.Module:
    """Like `build_from`, on torch's "meta" device: shapes without memory, whatever the metadata asks for."""
    with torch.device("meta"):
        return build_from(metadata, batch_norm=batch_norm)
