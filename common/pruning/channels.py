"""Structured pruning: channels without use are found, and whole channels of a VGG are removed.

A network with fewer channels is smaller, so that fine-tuning it takes far less time. A channel's importance
is the first-order Taylor estimate of how much the loss changes without it (Molchanov et al. 2019, "Importance
estimation for neural network pruning", Taylor-FO-BN): (γ ∂L/∂γ + β ∂L/∂β)², summed over batches. The file
still holds the whole network: removed channels are zeros at their own places, and cost about a bit each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.data.batches import BatchSource
from common.data.image_set import ImageSet
from common.networks.models import vgg
from common.networks.training import autocast, default_device

# ----------------------------------------------------------------------------------------------------
# Dead channels: those that pruning leaves without input or without reader.
#
# Output channel c of a layer is dead when all weights that compute it are pruned (it is constant), or when
# all weights that read it are pruned (it has no effect). Then the weights on its other side are useless, and
# are pruned too. This can make the next channel dead, so it is repeated until nothing changes. At 1 % density
# whole rows and columns vanish, and with them their positions in the file.
#
# The layers form a chain: each reads what the one before wrote, with elementwise activations that map 0 to 0
# and pooling between them, and a flatten before the first linear layer.


def remove_dead_channels_(
    masks: Mapping[str, Tensor], chain: Sequence[str], *, biases: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Prune all weights that compute or read a dead channel, in place, until nothing changes.

    The network computes exactly the same as before when the biases of dropped channels are not positive
    (after a ReLU such a channel is 0). Inputs of the first layer and outputs of the last are never dropped.

    Parameters
    ----------
    masks : mapping of name to bool tensor
        Of shape (out, in, ...) each; those in ``chain`` are changed.
    chain : sequence of str
        Weight names from input to output. Where ``in`` is a multiple of the ``out`` before it (flatten), the
        inputs of one channel are consecutive.
    biases : mapping of weight name to tensor of shape (out,), optional
        Biases as they act at inference, with batch norm folded in. A channel without input but with a
        positive bias is a positive constant, and stays. Without ``biases`` it is dropped, too; fine-tuning
        has to make up for the constant.

    Returns
    -------
    dict of weight name to int64 tensor
        Output channels that are kept, ascending, for every layer of the chain.

    Raises
    ------
    ValueError
        When a name has no mask, or layers do not fit together.
    """
    factors = _flatten_factors(masks, chain)
    alive = {
        name: torch.ones(masks[name].shape[0], dtype=torch.bool, device=masks[name].device) for name in chain
    }
    changed = True
    while changed:
        changed = False
        for name, reader, factor in zip(chain, chain[1:], factors, strict=False):
            written = masks[name].flatten(1).any(1)
            if biases is not None and name in biases:
                written |= biases[name].detach().to(written.device) > 0
            read = masks[reader].unflatten(1, (-1, factor)).transpose(0, 1).flatten(1).any(1)
            now = alive[name] & written & read
            if bool((now != alive[name]).any()):
                changed = True
                alive[name] = now
                masks[name][~now] = False
                masks[reader][:, ~now.repeat_interleave(factor)] = False
    return {name: mask.nonzero().flatten() for name, mask in alive.items()}


def dead_channels(
    masks: Mapping[str, Tensor], chain: Sequence[str], *, biases: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return the output channels that `remove_dead_channels_` would drop; the masks stay as they are.

    Parameters
    ----------
    masks, chain, biases
        As in `remove_dead_channels_`.

    Returns
    -------
    dict of weight name to int64 tensor
        Output channels that are dead, ascending, for every layer of the chain.
    """
    copies = {name: masks[name].clone() for name in chain if name in masks}
    kept = remove_dead_channels_(copies, chain, biases=biases)
    dead = {}
    for name, channels in kept.items():
        alive = torch.zeros(masks[name].shape[0], dtype=torch.bool, device=channels.device)
        alive[channels] = True
        dead[name] = (~alive).nonzero().flatten()
    return dead


def _flatten_factors(masks: Mapping[str, Tensor], chain: Sequence[str]) -> list[int]:
    """Return how many inputs of each layer belong to one channel of the layer before."""
    missing = [name for name in chain if name not in masks]
    if missing:
        raise ValueError(f"chain names {missing}, for which there is no mask; masks are {sorted(masks)}")
    factors = []
    for name, reader in pairwise(chain):
        n_out, n_in = masks[name].shape[0], masks[reader].shape[1]
        if n_out == 0 or n_in % n_out:
            raise ValueError(
                f"{reader!r} has {n_in} inputs, expected a multiple of the {n_out} outputs of {name!r}; "
                f"give the layers in the order of the data flow"
            )
        factors.append(n_in // n_out)
    return factors


def channel_importance(
    model: nn.Module,
    data: ImageSet,
    *,
    n_batches: int = 40,
    batch_size: int = 128,
    seed: int = 0,
    device: str | None = None,
) -> dict[str, Tensor]:
    """Return the importance of every channel of every convolution that a batch norm follows.

    Parameters
    ----------
    model : nn.Module
        A `vgg` with batch norm that is not folded. Its weights and statistics stay as they are; it is moved
        to the device.
    data : ImageSet
        Training images.
    n_batches, batch_size, seed : int
        The first batches of an epoch that is shuffled by the seed. With fewer than `batch_size` images, all
        of them make one batch.
    device : str, optional
        By default the GPU, where there is one.

    Returns
    -------
    dict of weight name to float32 tensor of shape (out_channels,)
        >= 0, on the CPU; higher = keep.
    """
    device = torch.device(device or default_device())
    source = BatchSource.of(data, device=device)
    was_training = model.training
    model.to(device).eval()
    convs, norms = _layers(model)
    scores = {f"{name}.weight": torch.zeros(conv.out_channels, device=device) for name, conv in convs.items()}
    batches = source.epoch_batches(min(batch_size, len(source)), seed=seed, epoch=0)
    for step, (images, labels) in enumerate(batches):
        if step == n_batches:
            break
        model.zero_grad(set_to_none=True)
        with autocast(device, "bf16"):
            loss = F.cross_entropy(model(images), labels)
        loss.backward()
        for score, norm in zip(scores.values(), norms, strict=True):
            score += (norm.weight.detach() * norm.weight.grad + norm.bias.detach() * norm.bias.grad).square()
    model.zero_grad(set_to_none=True)
    model.train(was_training)
    return {name: score.cpu() for name, score in scores.items()}


def choose_channels(
    importance: Mapping[str, Tensor],
    model: nn.Module,
    *,
    macs_fraction: float,
    image_size: int = 32,
    least: int = 32,
    multiple: int = 8,
) -> dict[str, Tensor]:
    """Return the channels to keep: the most important of all layers, within a budget of multiply-adds.

    A channel costs multiply-adds in proportion to the area of its feature map. Importances are compared after
    division by the square root of this area: a compromise between importance alone and importance per cost.

    Parameters
    ----------
    importance : mapping of weight name to tensor of shape (out_channels,)
        As `channel_importance` returns it.
    model : nn.Module
        A `vgg`.
    macs_fraction : float in (0, 1]
        Fraction of the convolutions' multiply-adds that may be left. It is exceeded where `least` channels in
        every layer take more already.
    image_size : int
        Height and width of the input, in pixels.
    least : int
        Channels that a layer keeps at least, where it has as many.
    multiple : int
        Numbers of channels are rounded up to a multiple of this.

    Returns
    -------
    dict of weight name to int64 tensor
        Kept output channels of each convolution, ascending.

    Raises
    ------
    ValueError
        When `macs_fraction` is out of its range.
    """
    if not 0 < macs_fraction <= 1:
        raise ValueError(f"macs_fraction={macs_fraction}: expected a fraction in (0, 1]")
    entries = configuration(model)
    sizes = {"image_size": image_size, "in_channels": model.features[0].in_channels}
    budget = macs_fraction * multiply_adds(entries, **sizes)
    scores, side = {}, image_size
    names = iter(importance)
    for entry in entries:
        if entry == "M":
            side = max(1, side // 2)
        else:
            name = next(names)
            scores[name] = importance[name] / side
    thresholds = torch.cat(list(scores.values())).sort(descending=True).values

    def counts(threshold: float) -> list[int]:
        wanted = [int((score >= threshold).sum()) for score in scores.values()]
        return [
            min(len(score), max(least, -(-n // multiple) * multiple))
            for n, score in zip(wanted, scores.values(), strict=True)
        ]

    # Binary search for the lowest threshold whose network fits the budget.
    low, high = 0, len(thresholds) - 1
    while low < high:
        middle = (low + high + 1) // 2
        chosen = iter(counts(thresholds[middle]))
        slimmed = [entry if entry == "M" else next(chosen) for entry in entries]
        fits = multiply_adds(slimmed, **sizes) <= budget
        low, high = (middle, high) if fits else (low, middle - 1)
    return {
        name: score.argsort(descending=True, stable=True)[:n].sort().values
        for (name, score), n in zip(scores.items(), counts(thresholds[low]), strict=True)
    }


def slim(model: nn.Module, kept: Mapping[str, Tensor]) -> nn.Module:
    """Return a copy of a `vgg` that has only the kept output channels of each convolution.

    Parameters
    ----------
    model : nn.Module
        A `vgg` with batch norm that is not folded.
    kept : mapping of weight name to int64 tensor
        As `choose_channels` returns it, one entry per convolution.

    Raises
    ------
    ValueError
        When the model is not a `vgg` with one batch norm per convolution.
    """
    convs, norms = _layers(model)
    counts = iter([len(channels) for channels in kept.values()])
    entries = [entry if entry == "M" else next(counts) for entry in configuration(model)]
    first, last = next(iter(convs.values())), model.classifier[-1]
    hidden = model.classifier[0].out_features
    small = vgg(entries, num_classes=last.out_features, hidden=hidden, in_channels=first.in_channels)
    small_convs, small_norms = _layers(small)
    inputs = torch.arange(first.in_channels)
    with torch.no_grad():
        for (name, conv), norm, to, to_norm in zip(
            convs.items(), norms, small_convs.values(), small_norms, strict=True
        ):
            outputs = kept[f"{name}.weight"]
            to.weight.copy_(conv.weight[outputs][:, inputs])
            for key in ("weight", "bias", "running_mean", "running_var"):
                getattr(to_norm, key).copy_(getattr(norm, key)[outputs])
            inputs = outputs
        small.classifier[0].weight.copy_(model.classifier[0].weight[:, inputs])
        small.classifier[0].bias.copy_(model.classifier[0].bias)
        last_small = small.classifier[-1]
        last_small.load_state_dict(last.state_dict())
    return small


def input_channels(kept: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor | None]:
    """Return, by weight name of the slim network, which inputs of the whole one it reads; None = all."""
    sources: dict[str, Tensor | None] = {}
    previous = None
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            sources[f"{name}.weight"] = previous
            previous = kept.get(f"{name}.weight")
    return sources


def configuration(model: nn.Module) -> list:
    """Return the configuration list of a `vgg`: channel counts, and "M" for a pooling."""
    return [
        module.out_channels if isinstance(module, nn.Conv2d) else "M"
        for module in model.features
        if isinstance(module, nn.Conv2d | nn.MaxPool2d)
    ]


def multiply_adds(entries: list, *, image_size: int = 32, in_channels: int = 3) -> int:
    """Return the multiply-adds that one image takes in the convolutions (3x3) of a `vgg` configuration."""
    total, side, width = 0, image_size, in_channels
    for entry in entries:
        if entry == "M":
            side //= 2
        else:
            total, width = total + 9 * width * entry * side * side, entry
    return total


def _layers(model: nn.Module) -> tuple[dict[str, nn.Conv2d], list[nn.BatchNorm2d]]:
    convs = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    if len(convs) != len(norms) or not hasattr(model, "features"):
        raise ValueError(
            f"{len(convs)} convolutions and {len(norms)} batch norms: slimming expects a vgg with one each"
        )
    return convs, norms
