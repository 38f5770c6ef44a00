"""A network of thin layers in a `.dcz` file, and back.

The metadata name the whole network, as always, and the ranks of its layers in their order, null for a layer
that was left whole::

    {"architecture": "lenet_5", "num_classes": 10, "ranks": [null, [12, 8], [30], null]}

A reader that knows nothing of ranks refuses the file: it holds more tensors than the network has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from common.container import CompressedModel
from common.methods.low_rank import factorize
from common.models import build, prunable_parameters
from common.packing import build_from, fill
from common.shared_tensor import DenseTensor, SharedTensor
from common.weight_sharing import share_weights

# A codebook of float16 pays for itself only where more values share it than this many times its size.
_LEAST_SHARED = 4
_VECTOR_CLUSTERS = 32


def pack_low_rank(
    model: nn.Module, ranks: Mapping[str, tuple[int, ...]], architecture: Mapping[str, object], *,
    n_clusters: int | None = None,
) -> CompressedModel:  # fmt: skip
    """What the container stores of a factorized network; a batch norm becomes scales and biases.

    Parameters
    ----------
    model : nn.Module
        What `low_rank.factorize` gave, fine-tuned or not.
    ranks : mapping of weight name to ranks
        What it was factorized with: names of the whole network.
    architecture : mapping
        What `models.build` needs for the whole network.
    n_clusters : int, optional
        Shared values a thin layer; by default every weight is stored as float16.
    """
    with torch.device("meta"):
        whole = build(**{"name" if key == "architecture" else key: v for key, v in architecture.items()})
    chosen = [list(ranks[name]) if name in ranks else None for name in prunable_parameters(whole)]
    metadata = {**architecture, "ranks": chosen}
    skeleton = _skeleton(metadata)
    places = [name for name, module in skeleton.named_modules() if _is_layer(module)]
    tensors: dict[str, DenseTensor | SharedTensor] = {}
    for place, (weight, scale, bias) in zip(places, _thin_layers(model), strict=True):
        tensors[f"{place}.weight"] = _weights(weight, scale, n_clusters)
        if bias is not None:
            tensors[f"{place}.bias"] = _vector(bias)
    return CompressedModel({name: tensors[name] for name in skeleton.state_dict()}, metadata)


def unpack_low_rank(compressed: CompressedModel) -> nn.Module:
    """The factorized network that a container holds, ready for `training.evaluate`.

    Raises
    ------
    ValueError
        The metadata name no network of ours or no ranks that it can have, or the tensors do not fit it.
    """
    return fill(_skeleton(compressed.metadata), compressed)


def _skeleton(metadata: Mapping[str, object]) -> nn.Module:
    """The factorized network with folded batch norms, on torch's "meta" device: shapes without memory."""
    with torch.device("meta"):
        whole = build_from(metadata)
        names, ranks = list(prunable_parameters(whole)), metadata.get("ranks")
        if not isinstance(ranks, list) or len(ranks) != len(names):
            raise ValueError(f"ranks {str(ranks)[:60]}: expected a list, one entry a layer, {len(names)}")
        chosen = {}
        for name, rank in zip(names, ranks, strict=True):
            if rank is None:
                continue
            n_modes = 1 if whole.get_parameter(name).ndim == 2 else 2
            if not isinstance(rank, list) or [type(r) for r in rank] != [int] * n_modes:
                raise ValueError(f"ranks of {name} are {str(rank)[:60]}: expected null or {n_modes} integers")
            chosen[name] = tuple(rank)
        return factorize(whole, chosen, sweeps=0)


def _is_layer(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d | nn.Linear)


def _thin_layers(model: nn.Module) -> list[tuple[Tensor, Tensor | None, Tensor | None]]:
    """Weight, scale and bias of each layer as they act at inference, in order."""
    layers: list[list] = []
    for module in model.modules():
        if _is_layer(module):
            bias = None if module.bias is None else module.bias.detach()
            layers.append([module.weight.detach(), None, bias])
        elif isinstance(module, nn.BatchNorm2d):  # see `models.batch_norm_scales`
            scale = module.weight.detach() / torch.sqrt(module.running_var + module.eps)
            layers[-1][1:] = [scale, module.bias.detach() - scale * module.running_mean]
    return [tuple(layer) for layer in layers]


def _weights(weight: Tensor, scale: Tensor | None, n_clusters: int | None) -> DenseTensor | SharedTensor:
    values = _to_numpy(weight)
    if n_clusters is None or values.size < _LEAST_SHARED * n_clusters:
        whole = weight if scale is None else weight * scale.view(-1, 1, 1, 1)
        return DenseTensor(_to_numpy(whole).astype(np.float16))
    shared = share_weights(values, n_clusters=n_clusters, codebook_dtype=np.float16)
    return shared if scale is None else replace(shared, row_scales=_vector(scale))


def _vector(values: Tensor) -> DenseTensor | SharedTensor:
    if values.numel() < _LEAST_SHARED * _VECTOR_CLUSTERS:
        return DenseTensor(_to_numpy(values).astype(np.float16))
    return share_weights(_to_numpy(values), n_clusters=_VECTOR_CLUSTERS, codebook_dtype=np.float16)


def _to_numpy(value: Tensor) -> np.ndarray:
    return value.cpu().numpy().astype(np.float32)
