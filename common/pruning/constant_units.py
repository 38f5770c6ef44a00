"""A pruned chain of layers without its constant and unread units: smaller, faster, and the same function.

A unit (a channel of a convolution) is constant when all weights that compute it are pruned: its value follows
from its bias alone, and can be added to the next layer's biases. It is unread when all weights that read it
are pruned. Without both kinds, training goes on at a fraction of the cost, and `grow_` puts the result back
into the whole architecture.

    small, places = without_constant_units(model, masks)     # places: where each parameter stood
    grow_(whole, small, places)
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from common.codec.tensors import SharedTensor
from common.pruning.masks import Masks

Places = dict[str, Tensor]


@torch.no_grad()
def without_constant_units(
    model: nn.Sequential, masks: Mapping[str, Tensor], *, places: Mapping[str, Tensor] | None = None
) -> tuple[nn.Sequential, Places]:
    """Cut out all constant and all unread units.

    Parameters
    ----------
    model : nn.Sequential
        Linear layers and convolutions without padding, one after the other, with biases; between them ReLUs,
        max poolings and a flatten. Any parameter of a weight's shape is cut as the weight is.
    masks : mapping of weight name to bool tensor
        True = kept, one for every layer. What they prune counts as 0, whatever the weight is.
    places : mapping of parameter name to int64 tensor, optional
        Where the model's own parameters stood, when it was cut before.

    Returns
    -------
    model : nn.Sequential
        A smaller copy. With masks applied, it computes the same as the given model. Every layer has at least
        one unit; the inputs of the first layer and the units of the last stay.
    places : dict of parameter name to int64 tensor
        Of the smaller parameter's shape: flat positions in the parameter of the whole network.

    Raises
    ------
    ValueError
        When a layer has no mask or no bias, or a convolution has padding: at the border a constant channel
        meets the zeros of the padding, so its effect is not constant there.
    """
    model = copy.deepcopy(model)
    layers, rectified = _chain(model, masks)
    kept = {name: masks[f"{name}.weight"].detach().clone() for name in layers}
    for name, reader in pairwise(layers):  # constants are added to the next layer's biases
        constant = ~kept[name].flatten(1).any(1)
        says = layers[name].bias.clamp_min(0) if name in rectified else layers[name].bias
        read = layers[reader].weight * kept[reader]
        read = read.reshape(*read.shape[:2], -1).sum(2)  # a constant feature map is the same under every tap
        factor = read.shape[1] // len(says)  # after a flatten, the inputs of one channel are consecutive
        layers[reader].bias += read @ (says * constant).repeat_interleave(factor)
        kept[reader][:, constant.repeat_interleave(factor)] = False
    alive = {name: torch.ones(len(mask), dtype=torch.bool, device=mask.device) for name, mask in kept.items()}
    for name, reader in reversed(list(pairwise(layers))):
        read = kept[reader].unflatten(1, (len(alive[name]), -1)).transpose(0, 1).flatten(1).any(1)
        read[0] |= not read.any()
        alive[name], kept[name][~read] = read, False
    places = dict(places or {})
    inputs = None
    for name, layer in layers.items():
        for part, parameter in layer.named_parameters(recurse=False):
            key = f"{name}.{part}"
            where = torch.arange(parameter.numel(), device=parameter.device).view(parameter.shape)
            where = where[alive[name]]
            if inputs is not None and parameter.ndim > 1:
                where = where[:, inputs.repeat_interleave(where.shape[1] // len(inputs))]
            setattr(layer, part, nn.Parameter(parameter.flatten()[where]))
            places[key] = places[key].flatten()[where.cpu()] if key in places else where.cpu()
        _resize(layer)
        inputs = alive[name]
    return model, places


def first_places(small: nn.Module, whole: nn.Module) -> Places:
    """Return the places of a smaller network's parameters: the beginning of every axis of the whole one's.

    For a chain of layers that has been cut to the first units of each layer. This holds after a flatten, too,
    where the inputs of one channel are consecutive in both.
    """
    shapes = {name: parameter.shape for name, parameter in whole.named_parameters()}
    places = {}
    for name, parameter in small.named_parameters():
        where = torch.arange(shapes[name].numel()).view(shapes[name])
        for axis, size in enumerate(parameter.shape):
            where = where.narrow(axis, 0, size)
        places[name] = where.clone()
    return places


@torch.no_grad()
def grow_(whole: nn.Module, small: nn.Module, places: Mapping[str, Tensor]) -> nn.Module:
    """Write a smaller network's parameters to their places in the whole one, 0 elsewhere; return `whole`."""
    parameters = dict(small.named_parameters())
    for name, parameter in whole.named_parameters():
        parameter.zero_()
        parameter.view(-1)[places[name].flatten()] = parameters[name].detach().cpu().flatten()
    return whole


def grow_masks(masks: Mapping[str, Tensor], places: Mapping[str, Tensor], whole: nn.Module) -> Masks:
    """Return a smaller network's masks in the whole one's shapes: what was cut out is pruned."""
    grown = {}
    for name, parameter in whole.named_parameters():
        if name in masks:
            grown[name] = torch.zeros(parameter.shape, dtype=torch.bool)
            grown[name].view(-1)[places[name][masks[name].cpu()]] = True
    return grown


def grow_shared(
    shared: Mapping[str, SharedTensor], places: Mapping[str, Tensor], whole: nn.Module
) -> dict[str, SharedTensor]:
    """Return a smaller network's shared weights at their places in the whole one."""
    shapes = {name: tuple(parameter.shape) for name, parameter in whole.named_parameters()}
    grown = {}
    for name, tensor in shared.items():
        where = places[name].flatten().numpy()
        positions = where if tensor.positions is None else where[tensor.positions]
        everything = positions.size == int(np.prod(shapes[name]))
        grown[name] = replace(tensor, shape=shapes[name], positions=None if everything else positions)
    return grown


def _chain(model: nn.Sequential, masks: Mapping[str, Tensor]) -> tuple[dict[str, nn.Module], set[str]]:
    """Return the layers with weights, by name, and the names of those that a ReLU follows."""
    layers, rectified, last = {}, set(), None
    for name, module in model.named_children():
        if isinstance(module, nn.Linear | nn.Conv2d):
            padded = isinstance(module, nn.Conv2d) and module.padding not in ((0, 0), "valid")
            if f"{name}.weight" not in masks or module.bias is None or padded:
                raise ValueError(f"layer {name}: expected a mask, a bias, and no padding; it is {module}")
            layers[name], last = module, name
        elif isinstance(module, nn.ReLU) and last is not None:
            rectified.add(last)
        elif not isinstance(module, nn.MaxPool2d | nn.Flatten):
            raise ValueError(f"{name} is {module}: expected layers in a chain, ReLU, max pooling or flatten")
    return layers, rectified


def _resize(layer: nn.Module) -> None:
    """Set a layer's attributes of size to those of its weight."""
    outputs, inputs = layer.weight.shape[:2]
    if isinstance(layer, nn.Conv2d):
        layer.out_channels, layer.in_channels = outputs, inputs
    else:
        layer.out_features, layer.in_features = outputs, inputs
