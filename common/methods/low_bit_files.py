"""A network of codes and scales in a `.dcz` file: few values per layer, times a scale per row.

The container holds both as they are: the codes are indices into a codebook of two or three values, or of up
to 255, and the scales are `SharedTensor.row_scales`, multiplied in when the file is read. So `packing.unpack`
reads the file like any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from common.base.numbers import to_half
from common.codec import container
from common.codec.container import CompressedModel
from common.codec.huffman import code_lengths
from common.codec.tensors import DenseTensor, SharedTensor
from common.methods.low_bit import Grid, dequantize, quantize, weight_grid
from common.networks.models import prunable_parameters
from common.networks.shapes import names_of
from common.sharing.weight_sharing import share_weights

Rule = Callable[[Tensor], tuple[Tensor, Tensor]]


def eight_bits(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Codes from −127 to 127 and a scale per row: ``scale * codes`` is the weight rounded to 8 bits.

    Returns
    -------
    codes : Tensor of the weight's shape
        int32.
    scale : Tensor of shape (rows, 1, ...)
        float32.
    """
    grid = weight_grid(weight.detach(), 8)
    return quantize(weight.detach(), grid), grid.along(weight.ndim)[0]


def pack_codes(model: nn.Module, rules: Mapping[str, Rule], architecture: Mapping) -> CompressedModel:
    """What the container stores of a network whose weights are codes times a scale per row.

    `packing.unpack` makes a network of it again. Tensors without a rule are stored as float16.

    Parameters
    ----------
    model : nn.Module
        Without batch norm; the rules are applied to its float weights.
    rules : mapping of weight name to rule
        A rule takes a weight tensor and returns integer codes, of at most 256 kinds, and one scale per row,
        such as `low_bit.binarize`.
    architecture : mapping
        What `models.build` needs, such as ``{"architecture": "lenet_5", "num_classes": 10}``.

    Raises
    ------
    ValueError
        A scale or a tensor without a rule does not fit into float16.
    """
    tensors: dict[str, DenseTensor | SharedTensor] = {}
    state = model.state_dict()
    # Removing a parametrization puts `weight` behind `bias`: the model's own order is not to be relied on.
    for name in names_of(architecture):
        value = state[name]
        if name not in rules:
            tensors[name] = DenseTensor(to_half(value.cpu().numpy(), name))
            continue
        codes, scale = rules[name](value.cpu())
        codebook, indices = np.unique(codes.numpy(), return_inverse=True)
        candidates = [
            SharedTensor(
                shape=tuple(value.shape),
                codebook=to_half(codebook, name),
                positions=None,
                indices=indices.reshape(-1).astype(np.uint8),
                row_scales=DenseTensor(to_half(scale.reshape(-1).numpy(), f"the scales of {name}")),
            )
        ]
        if len(codebook) == 3:  # ternary: its zeros may be cheaper as pruned weights
            candidates.append(_without_zeros(candidates[0]))
        tensors[name] = min(candidates, key=_size)
    return CompressedModel(tensors, dict(architecture))


def _without_zeros(tensor: SharedTensor) -> SharedTensor:
    """The same ternary tensor with its zeros pruned."""
    is_kept = tensor.codebook[tensor.indices] != 0
    return replace(
        tensor,
        codebook=tensor.codebook[[0, 2]],
        positions=np.flatnonzero(is_kept).astype(np.int64),
        indices=(tensor.indices[is_kept] // 2).astype(np.uint8),
    )


def _size(tensor: SharedTensor) -> int:
    return len(container.save(CompressedModel({"0": tensor}), store_names=False))


# ----------------------------------------------------------------------------------------------------
# How many bits a layer's weights take, for every way of quantizing them.
#
# A coder turns a weight tensor into the rounded weights that the network computes with, and into the codes,
# integers that are written for them: of fixed length, or Huffman-coded. Scales and codebooks count as well.
#
# >>> coded = coded_by_centroids(torch.tensor([[0.1, 0.1, 0.9, 1.1]]), 1)
# >>> coded.codes.tolist(), coded.code_bits, coded.extra_bits  # two centroids of 32 bits
# ([[0, 0, 1, 1]], 1, 64)

SCALE_BITS = CENTROID_BITS = 32


@dataclass(frozen=True, eq=False)
class Coded:
    """The weights of one layer in few bits.

    Parameters
    ----------
    weight : Tensor
        float32: the rounded weights that the layer computes with.
    codes : ndarray of the weight's shape
        Integers from 0, one per weight.
    code_bits : int
        Length of one code in bits, all codes being equally long.
    extra_bits : int
        Bits of the layer's scales or of its codebook.
    """

    weight: Tensor
    codes: np.ndarray
    code_bits: int
    extra_bits: int


Coder = Callable[[Tensor, float], Coded]


def coded_on_grid(weight: Tensor, grid: Grid) -> Coded:
    """Round each weight to a grid, such as one of `low_bit.weight_grid`; every scale counts 32 bits."""
    codes = quantize(weight, grid)
    extra = SCALE_BITS * grid.scale.numel()
    n_bits = (grid.q_max - grid.q_min).bit_length()
    return Coded(dequantize(codes, grid), (codes - grid.q_min).numpy(), n_bits, extra)


def coded_by_scale(codes: Tensor, scale: Tensor) -> Coded:
    """Take codes and scales of `low_bit.binarize` (one bit per weight) or `low_bit.ternarize` (two bits)."""
    has_zeros = bool((codes == 0).any())
    kinds = codes.int() + 1 if has_zeros else (codes.int() + 1) // 2
    return Coded(scale * codes, kinds.numpy(), 1 + has_zeros, SCALE_BITS * scale.numel())


def coded_by_centroids(weight: Tensor, n_bits: float) -> Coded:
    """Replace each weight by one of at most 2**n_bits centroids, found by k-means over the layer."""
    shared = share_weights(weight.detach().numpy(), n_bits=int(n_bits))
    dense = torch.from_numpy(shared.codebook[shared.indices]).view(weight.shape)
    codes = shared.indices.reshape(weight.shape)
    return Coded(dense, codes, int(n_bits), CENTROID_BITS * shared.codebook.size)


def coded_without_ends(weight: Tensor, step: float) -> Coded:
    """Round each weight to a multiple of `step` standard deviations of the layer, without clamping any.

    So there are many codes, most of them rare: only Huffman coding makes them short. Beside the codes, the
    scale and the lowest code are written, 32 bits each.
    """
    scale = step * weight.std(correction=0)
    scale = scale if scale > 0 else torch.ones_like(scale)
    codes = torch.round(weight / scale).int()
    first = codes - codes.min()
    n_bits = max(1, math.ceil(math.log2(int(first.max()) + 1)))
    return Coded(scale * codes, first.numpy(), n_bits, SCALE_BITS + 32)


def code_weights_(model: nn.Module, coder: Coder, level: float) -> tuple[nn.Module, dict[str, float]]:
    """Code the weights of every convolution and linear layer, and let the model compute with them.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    coder : callable
        Takes a weight and the level, returns `Coded`.
    level : float
        Bits per weight, or whatever the coder takes, such as a step.

    Returns
    -------
    nn.Module
        The same model.
    dict
        ``bits``: bits per weight with codes of fixed length, scales and codebooks included; ``huffman_bits``:
        the same with the codes of each layer Huffman-coded. The Huffman code's own table is not counted.
    """
    parameters = prunable_parameters(model)
    n_weights = sum(weight.numel() for weight in parameters.values())
    bits = huffman_bits = 0
    with torch.no_grad():
        for weight in parameters.values():
            coded = coder(weight.detach().cpu(), level)
            weight.copy_(coded.weight)
            counts = np.bincount(coded.codes.reshape(-1))
            bits += coded.code_bits * coded.codes.size + coded.extra_bits
            huffman_bits += int(counts @ code_lengths(counts).astype(np.int64)) + coded.extra_bits
    return model, {"bits": bits / n_weights, "huffman_bits": huffman_bits / n_weights}
