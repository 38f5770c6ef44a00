"""A network of codes and scales in a `.dcz` file: few values a layer, times a scale a row.

The container holds both as they are: the codes are indices into a codebook of two or three values, or of up
to 255, and the scales are `SharedTensor.row_scales`, multiplied in when the file is read. So `packing.unpack`
reads the file as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from common import container
from common.container import CompressedModel
from common.methods.low_bit import quantize, weight_grid
from common.packing import build_from
from common.shared_tensor import DenseTensor, SharedTensor

Rule = Callable[[Tensor], tuple[Tensor, Tensor]]


def eight_bits(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Codes −127 ... 127 and a scale a row: ``scale * codes`` is the weight rounded to 8 bits.

    Returns
    -------
    codes : Tensor of the weight's shape
        Integers.
    scale : Tensor of shape (rows, 1, ...)
        float32.
    """
    grid = weight_grid(weight.detach(), 8)
    return quantize(weight.detach(), grid), grid.along(weight.ndim)[0]


def pack_codes(model: nn.Module, rules: Mapping[str, Rule], architecture: Mapping) -> CompressedModel:
    """A network whose layers are codes times a scale a row: what `packing.unpack` makes a network of again.

    Parameters
    ----------
    model : nn.Module
        Without batch norm; its weights are those that the rules give codes for.
    rules : mapping of weight name to rule
        A rule gives integer codes and a scale a row, such as `binarize`.
    architecture : mapping
    """
    tensors: dict[str, DenseTensor | SharedTensor] = {}
    state = model.state_dict()
    with torch.device("meta"):  # its order: a parametrization that came and went has changed the model's
        names = list(build_from(architecture).state_dict())
    for name in names:
        value = state[name]
        if name not in rules:
            tensors[name] = DenseTensor(value.cpu().numpy().astype(np.float16))
            continue
        codes, scale = rules[name](value.cpu())
        codebook, indices = np.unique(codes.numpy(), return_inverse=True)
        candidates = [
            SharedTensor(
                shape=tuple(value.shape), codebook=codebook.astype(np.float16), positions=None,
                indices=indices.reshape(-1).astype(np.uint8),
                row_scales=DenseTensor(scale.reshape(-1).numpy().astype(np.float16)),
            )
        ]  # fmt: skip
        if len(codebook) == 3:  # or the zeros as pruned weights
            candidates.append(_without_zeros(candidates[0]))
        tensors[name] = min(candidates, key=_size)
    return CompressedModel(tensors, dict(architecture))


def _without_zeros(tensor: SharedTensor) -> SharedTensor:
    """The same ternary tensor with its zeros pruned."""
    is_kept = tensor.codebook[tensor.indices] != 0
    return replace(
        tensor, codebook=tensor.codebook[[0, 2]], positions=np.flatnonzero(is_kept).astype(np.int64),
        indices=(tensor.indices[is_kept] // 2).astype(np.uint8),
    )  # fmt: skip


def _size(tensor: SharedTensor) -> int:
    return len(container.save(CompressedModel({"0": tensor}), store_names=False))
