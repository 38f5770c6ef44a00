"""The validation split: cut from the training set, the same for everyone; no test image ever chooses."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from common.datasets import ImageSet


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
