"""A compressed VGG made trainable again: its channels, masks and batch norms, from the file alone.

A `.dcz` file holds the network as it is at inference (`packing`): each batch norm is one scale and one bias
per channel. In training, batch norm divides by the deviation of its own batch, so a network with such scales
would compute something else. From training images the mean μ and deviation σ of each channel are measured
again; γ = s·σ and β = t + s·μ then give the same scale s and bias t at inference, and nearly the same
function in training.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from common.codec.container import CompressedModel
from common.codec.tensors import SharedTensor
from common.compress.packing import named_tensors
from common.data.image_set import ImageSet
from common.networks.models import prunable_parameters, skeleton, vgg
from common.networks.shapes import VGG16_CONFIG
from common.networks.training import batch_source, place_
from common.pruning.network import ThinNetwork


def trainable(
    compressed: CompressedModel, data: ImageSet, *, n: int = 5000, device: str | torch.device = "cpu"
) -> ThinNetwork:
    """Return the network of a file with batch norms, without its unused channels, ready to be trained on.

    Parameters
    ----------
    compressed : CompressedModel
        A VGG-16 for 32×32 images, as `packing.pack` makes it.
    data : ImageSet
        Training images, for the statistics of the batch norms.
    n : int >= 1
        Number of these images, spread evenly over the set.
    device : str or torch.device
        Where the statistics are computed; the model stays there.

    Returns
    -------
    ThinNetwork
        In eval mode it gives the logits of `packing.unpack`, up to rounding; its weights have the shared
        values. Channels of convolutions that are never read, or always 0, are gone.

    Raises
    ------
    ValueError
        When the file holds another network, a convolution has no channel in use, or `n` < 1.
    """
    if n < 1:
        raise ValueError(f"n={n}: expected one image or more")
    architecture = compressed.metadata
    if architecture.get("architecture") != "vgg16":
        raise ValueError(
            f"got {architecture.get('architecture')!r}: expected a vgg16; other networks have no batch norm "
            "to recover"
        )
    whole = skeleton(architecture)
    tensors = named_tensors(whole, compressed)
    weights, scales = {}, {}
    for name in prunable_parameters(whole):
        tensor = tensors[name]
        is_scaled = isinstance(tensor, SharedTensor) and tensor.row_scales is not None
        scales[name] = tensor.row_scales.to_dense() if is_scaled else np.ones(tensor.shape[0])
        plain = replace(tensor, row_scales=None) if is_scaled else tensor
        weights[name] = plain.to_dense().astype(np.float32)
    biases = {name: tensors[name.removesuffix("weight") + "bias"].to_dense() for name in weights}
    kept = _used_channels(weights, biases)
    empty = [name for name, rows in kept.items() if not len(rows)]
    if empty:
        raise ValueError(f"{empty[0]} has no channel in use: the network answers the same to every image")
    widths = iter(len(rows) for rows in kept.values())
    hidden, n_classes = (len(weight) for weight in list(weights.values())[-2:])
    model = vgg(
        [entry if entry == "M" else next(widths) for entry in VGG16_CONFIG],
        num_classes=n_classes,
        hidden=hidden,
        in_channels=next(iter(weights.values())).shape[1],
    )
    columns = np.arange(model.features[0].in_channels)
    own = dict(zip(prunable_parameters(model), weights, strict=True))  # batch norms shift the layers' numbers
    norms = iter(module for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    modules = dict(model.named_modules())
    thin_kept = {}
    with torch.no_grad():
        for name, whole_name in own.items():
            layer, is_conv = modules[name.removesuffix(".weight")], whole_name in kept
            rows = kept[whole_name] if is_conv else np.arange(len(weights[whole_name]))
            layer.weight.copy_(torch.from_numpy(weights[whole_name][rows][:, columns]))
            bias = torch.from_numpy(np.ascontiguousarray(biases[whole_name][rows])).float()
            if is_conv:
                norm = next(norms)
                norm.weight.copy_(torch.from_numpy(np.ascontiguousarray(scales[whole_name][rows])))
                norm.bias.copy_(bias)
                norm.running_var.fill_(1.0 - norm.eps)  # the division is by √(σ² + ε)
                thin_kept[name] = torch.from_numpy(rows)
            else:
                layer.bias.copy_(bias)
            columns = rows
    _measure_batch_norms_(model, data, n, torch.device(device))
    n_weights = sum(weight.size for weight in weights.values())
    masks = {name: weight.detach() != 0 for name, weight in prunable_parameters(model).items()}
    return ThinNetwork(model, n_weights, masks=masks, kept=thin_kept)


def _used_channels(weights: dict[str, np.ndarray], biases: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the output channels of each convolution that may be other than 0 and are read, ascending."""
    names, used = list(weights), {}
    for name, reader in pairwise(names):
        if weights[name].ndim != 4:
            break
        n_channels = len(weights[name])
        written = weights[name].reshape(n_channels, -1).any(1) | (biases[name] > 0)
        read = weights[reader].reshape(len(weights[reader]), n_channels, -1).any((0, 2))
        used[name] = np.flatnonzero(written & read).astype(np.int64)
    return used


@torch.no_grad()
def _measure_batch_norms_(model: nn.Module, data: ImageSet, n: int, device: torch.device) -> None:
    """Give each batch norm the mean and variance of its inputs, and the γ and β that keep its function.

    Until all are measured, the norms act by their present scales: so each sees what it sees at inference.
    """
    sums = {}

    def record(norm: nn.Module, inputs: tuple) -> None:
        z = inputs[0].double()
        count, total, squares = sums.get(norm, (0, 0.0, 0.0))
        sums[norm] = (
            count + z.numel() // z.shape[1],
            total + z.sum((0, 2, 3)),
            squares + z.square().sum((0, 2, 3)),
        )

    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(record) for norm in norms]
    chosen = np.linspace(0, len(data) - 1, min(n, len(data))).round().astype(np.int64)
    data = replace(data, images=data.images[chosen], labels=data.labels[chosen])
    place_(model, device).eval()
    for images, _ in batch_source(data, None, device).plain_batches(
        math.ceil(len(data) / -(-len(data) // 500))
    ):
        model(images)
    for hook in hooks:
        hook.remove()
    for norm in norms:
        count, total, squares = sums[norm]
        mean = total / count
        variance = (squares / count - mean.square()).clamp_min(0.0)
        scale = norm.weight.double()
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(scale * torch.sqrt(variance + norm.eps))
        norm.bias.copy_(norm.bias.double() + scale * mean)
