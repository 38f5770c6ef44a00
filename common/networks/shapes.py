"""The tensors of the course's networks by name and shape, computed without torch.

A report needs only the names of a network's tensors and how many weights they hold; importing torch for that
would take seconds. A test compares the shapes with those of the modules in `common.networks.models`.

>>> dense_bytes_of({"architecture": "vgg16", "num_classes": 10})
59946792
>>> list(tensor_shapes("lenet_300_100"))[:2]
['fc1.weight', 'fc1.bias']
"""

from __future__ import annotations

import math
from collections.abc import Mapping

VGG16_CONFIG = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")
INPUT_SHAPES = {
    "lenet_300_100": (1, 28, 28),
    "lenet_5": (1, 28, 28),
    "mlp_1200": (1, 28, 28),
    "vgg16": (3, 32, 32),
    "alexnet": (3, 224, 224),
    "vgg16_imagenet": (3, 224, 224),
}
_ALEXNET = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


def scaled(units: int, width: float) -> int:
    """Return the channels or units of a hidden layer in a network of this width: at least one."""
    return max(1, round(units * width))


def tensor_shapes(
    name: str, *, num_classes: int = 10, width: float = 1.0, batch_norm: str = "folded"
) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter, in the order of the module's state dict.

    Parameters
    ----------
    name, num_classes, width, batch_norm
        As for `common.networks.models.build`. Buffers, such as batch norm's running statistics, are left out.

    Raises
    ------
    ValueError
        When the name is unknown, or the network does not have the options.
    """
    check_options(name, width=width, batch_norm=batch_norm)
    if name == "vgg16":
        return _vgg16(num_classes, width, batch_norm)
    weights = {
        "lenet_300_100": lambda: _chain(
            ("fc1", "fc2", "fc3"), (784, scaled(300, width), scaled(100, width), num_classes)
        ),
        "lenet_5": lambda: _lenet_5(num_classes, width),
        "mlp_1200": lambda: _chain(
            ("hidden1", "hidden2", "answer"), (784, scaled(1200, width), scaled(1200, width), num_classes)
        ),
        "alexnet": lambda: {
            **{f"features.{at}": (n_out, n_in, k, k) for at, (n_out, n_in, k) in _ALEXNET.items()},
            **_chain(("classifier.1", "classifier.4", "classifier.6"), (9216, 4096, 4096, num_classes)),
        },
        "vgg16_imagenet": lambda: {
            **_convolutions(VGG16_CONFIG, per_layer=2)[0],
            **_chain(("classifier.0", "classifier.3", "classifier.6"), (25088, 4096, 4096, num_classes)),
        },
    }[name]()
    return _with_biases(weights)


def check_options(name: str, *, width: float, batch_norm: str) -> None:
    """Raise ValueError for an unknown network, or options that it does not have."""
    if name not in INPUT_SHAPES:
        raise ValueError(f"unknown network {name!r}: expected one of {', '.join(INPUT_SHAPES)}")
    if batch_norm not in ("live", "folded"):
        raise ValueError(f"batch_norm is {batch_norm!r}: expected 'live' or 'folded'")
    if not 0 < width <= 1:
        raise ValueError(f"width is {width}: expected a factor in (0, 1]")
    if width != 1.0 and name in ("alexnet", "vgg16_imagenet"):
        raise ValueError(f"width is {width} for {name}: torchvision's network comes in width 1 only")


def read_description(metadata: Mapping[str, object]) -> dict[str, object]:
    """Return the options of `build` that a file's metadata gives; no other function reads them.

    Parameters
    ----------
    metadata : mapping
        ``architecture``, ``num_classes`` and, unless it is 1, ``width``; other keys are ignored.

    Returns
    -------
    dict
        ``name``, ``num_classes`` and ``width``.

    Raises
    ------
    ValueError
        When a key is missing, or its value is of another kind or out of range.
    """
    try:
        name, num_classes = metadata["architecture"], metadata["num_classes"]
        width = metadata.get("width", 1.0)
    except (KeyError, TypeError) as error:
        raise ValueError(f"metadata {metadata!r}: expected the keys architecture and num_classes") from error
    if type(num_classes) is not int or not 1 <= num_classes <= 100_000:
        raise ValueError(f"num_classes is {num_classes!r}: expected an integer from 1 to 100000")
    if not isinstance(name, str) or type(width) not in (int, float):
        raise ValueError(f"architecture {name!r} of width {width!r}: expected a name and a number")
    return {"name": name, "num_classes": num_classes, "width": width}


def described_shapes(metadata: Mapping[str, object], *, batch_norm: str) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the network that a file's metadata describes, as `tensor_shapes`."""
    return tensor_shapes(**read_description(metadata), batch_norm=batch_norm)


def dense_bytes_of(metadata: Mapping[str, object]) -> int:
    """Return the bytes of the uncompressed network's parameters as float32, those of batch norm included."""
    return 4 * sum(math.prod(shape) for shape in described_shapes(metadata, batch_norm="live").values())


def names_of(metadata: Mapping[str, object]) -> list[str]:
    """Return the names of the tensors in a file of this network, in their order; batch norm is folded."""
    return list(described_shapes(metadata, batch_norm="folded"))


def _vgg16(num_classes: int, width: float, batch_norm: str) -> dict[str, tuple[int, ...]]:
    config = [entry if entry == "M" else scaled(entry, width) for entry in VGG16_CONFIG]
    is_live = batch_norm == "live"
    convolutions, n_last = _convolutions(config, per_layer=3 if is_live else 2)
    shapes = {} if is_live else _with_biases(convolutions)
    for name, shape in convolutions.items() if is_live else ():
        norm = f"features.{int(name.removeprefix('features.')) + 1}"
        shapes |= {f"{name}.weight": shape, f"{norm}.weight": shape[:1], f"{norm}.bias": shape[:1]}
    return shapes | _with_biases(_chain(("classifier.0", "classifier.2"), (n_last, n_last, num_classes)))


def _convolutions(config, *, per_layer: int) -> tuple[dict[str, tuple[int, ...]], int]:
    """Return the weights of a VGG's 3×3 convolutions, and its last number of channels.

    Each convolution is followed by per_layer - 1 other modules, which count in the names.
    """
    weights, at, channels = {}, 0, 3
    for entry in config:
        if entry == "M":
            at += 1
            continue
        weights[f"features.{at}"] = (entry, channels, 3, 3)
        at, channels = at + per_layer, entry
    return weights, channels


def _lenet_5(num_classes: int, width: float) -> dict[str, tuple[int, ...]]:
    first, second, hidden = scaled(20, width), scaled(50, width), scaled(500, width)
    linear = _chain(("fc1", "fc2"), (16 * second, hidden, num_classes))
    return {"conv1": (first, 1, 5, 5), "conv2": (second, first, 5, 5), **linear}


def _chain(names: tuple[str, ...], units: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Return the weights of linear layers in a row."""
    return {name: (units[at + 1], units[at]) for at, name in enumerate(names)}


def _with_biases(weights: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Return each layer's weight and its bias."""
    shapes = {}
    for name, shape in weights.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes
