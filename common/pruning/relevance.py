"""Layer-wise relevance propagation (LRP): how much a pixel, a filter or a weight contributes to an answer.

The score of one class starts at the output and is propagated backwards. Each layer distributes the relevance
of its outputs over its inputs, in proportion to what they contributed (Bach et al. 2015, doi
10.1371/journal.pone.0130140, section 2.4; the rules are zennit's ``EpsilonPlusFlat``). With inputs a, weights
w, outputs z and R the relevance of an output, the message from output j to input i is

    linear layers, epsilon rule   a_i w_ji / (z_j + ε sign z_j) · R_j
    convolutions, z+ rule         (a_i w_ji)⁺ / (Σ_k (a_k w_jk)⁺ + ε) · R_j
    the first layer, flat rule    R_j in equal parts to all inputs that it reads

ReLUs pass relevance on, max poolings give it to the largest input, batch norm is merged into the convolution
before it, and the biases of convolutions take nothing. So the relevance of every layer adds up to the score
at the output, less what the biases of linear layers take.

Pruning by relevance (Yeom et al. 2021, "Pruning by explaining", arXiv 1912.08881) sums over reference images.
Each starts with 1 at its true class, so that confident answers count no more than others:

    filter j        S_j = Σ_images Σ_places R_j
    single weight   S_ji = | Σ_images Σ_places a_i w_ji / (z_j + ε sign z_j) · R_j |

A weight's message is by default that of the epsilon rule, in convolutions too: the z+ rule gives exactly 0 to
weights with negative contributions, and a network does not work without those (Becking et al. 2022, arXiv
2109.04236, also score single weights).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from common.data.batches import BatchSource
from common.data.image_set import ImageSet

EPSILON = 1e-6


def heatmaps(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the relevance of every pixel for the logit of one class.

    Parameters
    ----------
    model : nn.Module
        Of convolutions, linear layers, ReLUs, poolings, and batch norm after a convolution; stays as it is.
    images : float tensor of shape (n, channels, height, width)
        Normalised, on the model's device.
    labels : int64 tensor of shape (n,)
        The class to explain, of each image.

    Returns
    -------
    float tensor of the images' shape
        The sum over an image is its logit, less what the biases of linear layers took.
    """
    with _explained(model) as (network, layers):
        return _propagate(network, layers, images, labels, start="logit").detach()


def weight_relevance(
    model: nn.Module,
    data: ImageSet,
    *,
    seed: int = 0,
    n_batches: int = 40,
    batch_size: int = 50,
    rule: str = "epsilon",
) -> dict[str, Tensor]:
    """Return scores of single weights, interchangeable with the criteria of `criteria`.

    Parameters
    ----------
    model : nn.Module
        As in `heatmaps`; its weights, statistics, mode and gradients stay as they are.
    data : ImageSet
        Reference images, with their true classes.
    seed, n_batches, batch_size : int
        The first batches of an epoch that is shuffled by the seed. With fewer than `batch_size` images, all
        of them make one batch.
    rule : {"epsilon", "zplus"}
        How the relevance of a convolution's outputs is distributed over its weights.

    Returns
    -------
    dict of weight name to float32 tensor of the weight's shape
        >= 0, higher = keep.

    Raises
    ------
    ValueError
        When the rule is unknown.
    """
    if rule not in ("epsilon", "zplus"):
        raise ValueError(f"rule={rule!r}: expected epsilon or zplus")
    scores: dict[str, Tensor] = {}
    for name, layer, inputs, relevance in _layer_by_layer(model, data, seed, n_batches, batch_size):
        plus = rule == "zplus" and isinstance(layer, nn.Conv2d)
        messages = _messages(layer, inputs, relevance, plus=plus)
        scores[name] = scores[name] + messages if name in scores else messages
    return {name: score.abs() for name, score in scores.items()}


def filter_relevance(
    model: nn.Module, data: ImageSet, *, seed: int = 0, n_batches: int = 40, batch_size: int = 50
) -> dict[str, Tensor]:
    """Return the importance of whole channels, interchangeable with the criteria of `channel_criteria`.

    Parameters are as in `weight_relevance`.

    Returns
    -------
    dict of weight name to float32 tensor of shape (out_channels,)
        One entry per convolution. A negative value: the filter is evidence against the true classes.
    """
    scores: dict[str, Tensor] = {}
    for name, layer, _, relevance in _layer_by_layer(model, data, seed, n_batches, batch_size):
        if isinstance(layer, nn.Conv2d):
            total = relevance.sum(dim=(0, 2, 3)).cpu()
            scores[name] = scores[name] + total if name in scores else total
    return scores


def layer_relevance(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return the relevance of every layer's outputs for the logit: by weight name, (n, channels, ...)."""
    with _explained(model) as (network, layers):
        _propagate(network, layers, images, labels, start="logit")
        return {name: output.grad.detach() for name, (_, _, output) in layers.items()}


def _layer_by_layer(
    model: nn.Module, data: ImageSet, seed: int, n_batches: int, batch_size: int
) -> Iterator[tuple[str, nn.Module, Tensor, Tensor]]:
    """Yield (weight name, layer, its inputs, relevance of its outputs), layers in order, batch by batch."""
    source = BatchSource.of(data, device=next(model.parameters()).device)
    batches = source.epoch_batches(min(batch_size, len(source)), seed=seed, epoch=0)
    with _explained(model) as (network, layers):
        for _, (images, labels) in zip(range(n_batches), batches, strict=False):
            _propagate(network, layers, images, labels, start="one")
            for name, (layer, inputs, output) in layers.items():
                yield name, layer, inputs.detach(), output.grad


def _messages(layer: nn.Module, inputs: Tensor, relevance: Tensor, *, plus: bool) -> Tensor:
    """Return the relevance that flows through each weight, summed over images and places.

    A backward pass with R / z as the gradient of the output gives each weight the sum of a_i R_j / z_j over
    all places where it is used; times the weight, this is the sum of its messages.
    """
    weight, bias = layer.weight.detach(), layer.bias
    parts = [(inputs, weight)]
    if plus:  # positive contributions only: both positive, or both negative
        bias = None
        parts = [(inputs.clamp(min=0), weight.clamp(min=0))]
        if bool((inputs < 0).any()):
            parts.append((inputs.clamp(max=0), weight.clamp(max=0)))
    weights = [part[1].requires_grad_() for part in parts]
    with torch.enable_grad():
        z = sum(
            functional_call(layer, {"weight": own, "bias": bias}, (some,))
            for own, (some, _) in zip(weights, parts, strict=True)
        )
        sign = torch.where(z.detach() < 0, -1.0, 1.0)
        slopes = torch.autograd.grad(z, weights, relevance / (z.detach() + EPSILON * sign))
    return sum(own.detach() * slope for own, slope in zip(weights, slopes, strict=True))


def _propagate(network: nn.Module, layers: dict, images: Tensor, labels: Tensor, *, start: str) -> Tensor:
    """Fill `layers` with the inputs and outputs of each layer; return the relevance of the pixels."""
    layers.clear()
    with torch.enable_grad():
        images = images.detach().clone().requires_grad_()
        logits = network(images)
        at_class = torch.zeros_like(logits).scatter_(1, labels.view(-1, 1), 1.0)
        beginning = at_class * logits.detach() if start == "logit" else at_class
        logits.backward(beginning, inputs=[images, *(output for _, _, output in layers.values())])
    return images.grad


@contextmanager
def _explained(model: nn.Module):
    """Yield a copy of the network with zennit's rules in place of its gradients, and what its hooks fill."""
    from zennit.canonizers import SequentialMergeBatchNorm  # imported here: loaded only when needed
    from zennit.composites import EpsilonPlusFlat
    from zennit.rules import ZPlus
    from zennit.types import Convolution

    network = copy.deepcopy(model).eval().float()
    layers: dict[str, tuple[nn.Module, Tensor, Tensor]] = {}

    def note(name: str):
        def hook(layer: nn.Module, inputs: tuple, output: Tensor) -> None:
            output.retain_grad()
            layers[name] = (layer, inputs[0], output)

        return hook

    plus = (Convolution, ZPlus(stabilizer=EPSILON, zero_params="bias"))
    composite = EpsilonPlusFlat(epsilon=EPSILON, layer_map=[plus], canonizers=[SequentialMergeBatchNorm()])
    with composite.context(network) as changed:
        for name, module in changed.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                # Merged batch norm has to be the identity, so without eps; torch refuses 0.
                module.eps = torch.finfo(torch.float32).tiny
            elif isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(note(f"{name}.weight"))
        yield changed, layers
