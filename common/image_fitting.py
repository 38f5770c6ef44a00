"""Image sets made to fit: padded to the shape that a network takes, or cut to their first images."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from common.datasets import ImageSet

# Digits of 28×28 go into 32×32; a wider frame would be another task.
MAX_PADDING = 8


def fit_images(data: ImageSet, shape: tuple[int, int, int]) -> ImageSet:
    """The same images in the shape that a network takes: zeros around smaller ones, grey repeated as colour.

    Parameters
    ----------
    data : ImageSet
    shape : (channels, height, width)

    Raises
    ------
    ValueError
        The images are larger, or the channels are not one that can be repeated.
    """
    own = data.images.shape[1:]
    if own == tuple(shape):
        return data
    edges = [wanted - side for wanted, side in zip(shape[1:], own[1:], strict=True)]
    if min(edges) < 0 or max(edges) > MAX_PADDING or own[0] not in (1, shape[0]):
        raise ValueError(f"{data.name} has images of {own}, expected {tuple(shape)}: choose another set")
    around = [(edge // 2, edge - edge // 2) for edge in edges]
    images = np.pad(data.images, [(0, 0), (0, 0), *around])
    images = np.ascontiguousarray(np.broadcast_to(images, (len(data), *shape)))
    return replace(data, images=images, sha256=_derived(data, f"fit {tuple(shape)}"))


def first_images(data: ImageSet, n: int | None) -> ImageSet:
    """The first `n` images (None for all): a fair sample, since sets are in the order of their digests."""
    if n is None or n >= len(data):
        return data
    return replace(
        data, images=data.images[:n], labels=data.labels[:n], sha256=_derived(data, f"first {n}")
    )


def _derived(data: ImageSet, what: str) -> str:
    return hashlib.sha256(f"{data.sha256}/{what}".encode()).hexdigest()
