"""Image sets made to fit: padded or enlarged to what a network takes, or cut to their first images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

CROP = 224  # pixels: the side of ImageNet's inputs


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with labels, in memory.

    Attributes
    ----------
    images : uint8 ndarray of shape (n, channels, height, width)
    labels : int64 ndarray of shape (n,), values in [0, len(classes))
    classes : tuple of str
    name : str
        Of the set, such as ``cifar10``.
    sha256 : str
        Of the content: the same for the same images and labels, whatever file they came from.
    shown_size : (height, width), optional
        In pixels: what batches of the images are resized to; by default the images' own size.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    name: str
    sha256: str
    shown_size: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.labels)


# Digits of 28×28 go into 32×32; a wider frame would be another task.
MAX_PADDING = 8


def fit_images(data: ImageSet, shape: tuple[int, int, int], *, n_classes: int | None = None) -> ImageSet:
    """The same images in the shape that a network takes: zeros around smaller ones, grey repeated as colour.

    A network of ImageNet's size is shown its pictures enlarged. They stay small in memory: 50,000 of 32×32
    would take 7.5 GB at 224×224, so `augmentation.BatchSource` resizes one batch at a time.

    Parameters
    ----------
    data : ImageSet
    shape : (channels, height, width)
    n_classes : int, optional
        That the network tells apart, where it is to be checked that the set has as many.

    Raises
    ------
    ValueError
        The images are larger, the channels are not one that can be repeated, or another number of classes.
    """
    if n_classes is not None and len(data.classes) != n_classes:
        raise ValueError(
            f"the network has {n_classes} classes, {data.name} has {len(data.classes)}: choose another set"
        )
    own, shape = data.images.shape[1:], tuple(shape)
    if own == shape:
        return data
    edges = [wanted - side for wanted, side in zip(shape[1:], own[1:], strict=True)]
    is_resized = shape[1:] == (CROP, CROP)
    if min(edges) < 0 or (max(edges) > MAX_PADDING and not is_resized) or own[0] not in (1, shape[0]):
        raise ValueError(f"{data.name} has images of {own}, expected {shape}: choose another set")
    around = [(0, 0) if is_resized else (edge // 2, edge - edge // 2) for edge in edges]
    images = np.pad(data.images, [(0, 0), (0, 0), *around])
    if own[0] != shape[0]:
        images = np.repeat(images, shape[0], axis=1)
    size = shape[1:] if is_resized else None
    return replace(data, images=images, sha256=_derived(data, f"fit {shape}"), shown_size=size)


def first_images(data: ImageSet, n: int | None) -> ImageSet:
    """The first `n` images (None for all): a fair sample, since sets are in the order of their digests."""
    if n is None or n >= len(data):
        return data
    return replace(data, images=data.images[:n], labels=data.labels[:n], sha256=_derived(data, f"first {n}"))


def _derived(data: ImageSet, what: str) -> str:
    return hashlib.sha256(f"{data.sha256}/{what}".encode()).hexdigest()


# ----------------------------------------------------------------------------------------------------
# The validation split: cut from the training set, the same for everyone; no test image ever chooses.


def train_val_split(data: ImageSet, *, n_validation: int, seed: int = 0) -> tuple[ImageSet, ImageSet]:
    """Cut a stratified validation split from a training set.

    Parameters
    ----------
    data : ImageSet
    n_validation : int
        Images of the validation split, in [1, len(data) − 1]; each class gives its share, rounded so that the
        total is exact (largest remainders, lower class first).
    seed : int

    Returns
    -------
    training, validation : ImageSet
        Disjoint, in the order of `data`, together all of it.

    Raises
    ------
    ValueError
        `n_validation` out of range.
    """
    if not 1 <= n_validation < len(data):
        raise ValueError(f"n_validation={n_validation}: expected 1 to {len(data) - 1} of {len(data)} images")
    rng = np.random.default_rng(seed)
    counts = np.bincount(data.labels, minlength=len(data.classes))
    shares = counts * n_validation / len(data)
    quota = np.floor(shares).astype(int)
    remainders = np.argsort(-(shares - quota), kind="stable")
    quota[remainders[: n_validation - quota.sum()]] += 1
    chosen = np.zeros(len(data), dtype=bool)
    for label, n in enumerate(quota):
        chosen[rng.permutation(np.flatnonzero(data.labels == label))[:n]] = True
    return _subset(data, ~chosen, f"{seed}/train"), _subset(data, chosen, f"{seed}/validation")


def _subset(data: ImageSet, chosen: np.ndarray, what: str) -> ImageSet:
    key = hashlib.sha256(f"{data.sha256}/{what}/".encode() + np.packbits(chosen).tobytes()).hexdigest()
    return replace(data, images=data.images[chosen], labels=data.labels[chosen], sha256=key)
