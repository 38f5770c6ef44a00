"""The network that a file's metadata describes, with shapes but no weights: for names and for the dense size.

>>> dense_bytes_of({"architecture": "vgg16", "num_classes": 10})
59946792
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from common.models import build, dense_bytes


def skeleton(metadata: Mapping[str, object], *, batch_norm: str) -> nn.Module:
    """The network, on torch's "meta" device: it takes no memory, whatever the metadata says.

    Parameters
    ----------
    metadata : mapping
        ``architecture``, ``num_classes`` (10 where missing) and ``width`` (1 where missing).
    batch_norm : {"live", "folded"}

    Raises
    ------
    ValueError
        The metadata names no network that `models.build` knows.
    """
    name, width = metadata.get("architecture"), metadata.get("width", 1.0)
    num_classes = metadata.get("num_classes", 10)
    if not isinstance(name, str) or not isinstance(width, int | float):
        raise ValueError(f"architecture {name!r} of width {width!r}: expected a name and a number")
    if not isinstance(num_classes, int) or not 1 <= num_classes <= 100_000:
        raise ValueError(f"num_classes is {num_classes!r}: expected an integer from 1 to 100000")
    with torch.device("meta"):
        return build(name, num_classes=num_classes, width=width, batch_norm=batch_norm)


def dense_bytes_of(metadata: Mapping[str, object]) -> int:
    """Bytes of the uncompressed network's parameters as float32, batch norms and all."""
    return dense_bytes(skeleton(metadata, batch_norm="live"))


def names_of(metadata: Mapping[str, object]) -> list[str]:
    """Names of the tensors that a file of this network holds, in their order: batch norms are folded."""
    return list(skeleton(metadata, batch_norm="folded").state_dict())
