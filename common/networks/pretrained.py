"""torchvision's AlexNet, pretrained on ImageNet; downloaded only on request."""

from __future__ import annotations

import socket
from collections.abc import Callable

import torch
from torch import nn
from torchvision.models import AlexNet_Weights, alexnet

PATIENCE = 10.0  # seconds without an answer, after which the network counts as unreachable


def imagenet_alexnet(
    *, fetch: bool, say: Callable[[str], None] = print
) -> tuple[nn.Module, tuple[str, ...]] | None:
    """Return AlexNet pretrained on ImageNet and the names of its thousand classes, or None and say why not.

    Parameters
    ----------
    fetch : bool
        Whether the 233 MB may be downloaded; later calls find them in torch's own cache.
    say : callable
        Is given the line that says why there is none.

    Returns
    -------
    (nn.Module, tuple of str) or None
        The network in evaluation mode; None if `fetch` is False or the download failed.
    """
    if not fetch:
        say("ImageNet's AlexNet was not fetched: with a network at hand, set ONLINE = True (233 MB, once).")
        return None
    published = AlexNet_Weights.IMAGENET1K_V1
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        state = published.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:  # no network; a download of other bytes than the published ones
        say(f"ImageNet's AlexNet could not be fetched ({error}); the rest of the lecture needs no network.")
        return None
    finally:
        socket.setdefaulttimeout(before)
    with torch.device("meta"):  # no random weights that are thrown away at once
        network = alexnet()
    network.load_state_dict(state, assign=True)
    return network.eval(), tuple(published.meta["categories"])
