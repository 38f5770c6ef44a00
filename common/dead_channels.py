"""Dead channels: what is left without input or without reader after pruning, and can be dropped on both
sides.

Output channel c of a layer is dead when all weights that compute it are pruned (it is constant), or when all
weights that read it are pruned (nobody sees it). Dropping it prunes the other side too, which can kill the
next channel: so this runs to a fixed point. At 1 % density whole rows and columns vanish, and with them
their positions in the file.

The layers form a chain: each reads what the one before wrote, with elementwise activations that map 0 to 0
and pooling between them, and a flatten before the first linear layer.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor


def remove_dead_channels_(
    masks: Mapping[str, Tensor], chain: Sequence[str], *, biases: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Prune dead channels on both sides, in place, until nothing changes.

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
        Biases as they stand at inference, batch norm folded. A channel without input but with a positive
        bias says something constant and is then left alone; without ``biases`` it is dropped (fine-tuning
        makes up for it).

    Returns
    -------
    dict of weight name to int64 tensor
        Output channels that are kept, ascending, for every layer of the chain.

    Raises
    ------
    ValueError
        A name without a mask, or layers that do not fit together.
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
    """Which output channels `remove_dead_channels_` would drop; the masks stay as they are.

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
    """How many inputs of each layer belong to one channel of the layer before."""
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
