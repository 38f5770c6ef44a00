"""Image sets in memory: fitted to a network's input, cut to their first images, split for validation."""

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
        Pixels from 0 to 255.
    labels : int64 ndarray of shape (n,), values in [0, len(classes))
        The class of each image.
    classes : tuple of str
        Names of the classes.
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


# Most pixels of padding, over both sides: digits of 28×28 go into 32×32, but a wide frame would change the
# task.
MAX_PADDING = 8


def fit_images(data: ImageSet, shape: tuple[int, int, int], *, n_classes: int | None = None) -> ImageSet:
    """Return the images in the shape that a network takes: padded with zeros, a grey channel repeated.

    A network for ImageNet's 224×224 gets its images enlarged. In memory they stay small: 50,000 of 32×32
    would take 7.5 GB at 224×224, so `batches.BatchSource` resizes one batch at a time (`shown_size`).

    Parameters
    ----------
    data : ImageSet
        Images of the same shape or smaller.
    shape : (channels, height, width)
        What the network takes.
    n_classes : int, optional
        Classes of the network; if given, the set must have as many.

    Raises
    ------
    ValueError
        When the images are larger or much smaller, have several channels but not as many as the network, or
        the classes are not `n_classes`.
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
    """Return the first `n` images (None: all): a random sample, as sets are in the order of their digests."""
    if n is None or n >= len(data):
        return data
    return replace(data, images=data.images[:n], labels=data.labels[:n], sha256=_derived(data, f"first {n}"))


def _derived(data: ImageSet, what: str) -> str:
    return hashlib.sha256(f"{data.sha256}/{what}".encode()).hexdigest()


# ----------------------------------------------------------------------------------------------------
# The validation split: cut from the training set, the same for everyone. All choices are made on it, none on
# test images.


def train_val_split(data: ImageSet, *, n_validation: int, seed: int = 0) -> tuple[ImageSet, ImageSet]:
    """Cut a stratified validation split from a training set.

    Parameters
    ----------
    data : ImageSet
        A training set.
    n_validation : int
        Images of the validation split, in [1, len(data) − 1]. Each class gives its share, rounded so that the
        total is exact (largest remainders first, of equal ones the lower class).
    seed : int
        Of the draw within each class.

    Returns
    -------
    training, validation : ImageSet
        Disjoint, in the order of `data`, together all of it.

    Raises
    ------
    ValueError
        When `n_validation` is out of range.
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
