"""Rounding to float16: a value that does not fit is an error that names the tensor, never infinity.

>>> to_half(np.float32([1.5, -2.0]), "conv1.bias").tolist()
[1.5, -2.0]
>>> to_half(np.float32([1e6]), "conv1.bias")
Traceback (most recent call last):
ValueError: conv1.bias holds 1e+06, beyond float16's largest value 65504: rescale that layer, or look for a \
diverged training run
"""

from __future__ import annotations

import numpy as np

HALF_MAX = 65504.0  # the largest finite float16 (IEEE 754 binary16)


def to_half(values: np.ndarray, name: str, *, may_vanish: bool = True) -> np.ndarray:
    """Return the values as float16, each rounded to the nearest.

    Parameters
    ----------
    values : ndarray of real numbers
        Of any shape.
    name : str
        Name of the tensor, for the message.
    may_vanish : bool
        Whether it is allowed that all become zero, because all are below float16's smallest number (6e-8). A
        layer can do without its biases, but not without its weights.

    Raises
    ------
    ValueError
        When a value is NaN or infinite or would become infinite; or, unless `may_vanish`, when all would
        become zero.
    """
    values = np.asarray(values)
    check_finite(values, name)
    with np.errstate(over="ignore", under="ignore"):
        half = values.astype(np.float16)
    if not np.isfinite(half).all():
        worst = values.reshape(-1)[np.argmax(np.abs(values))]
        raise ValueError(
            f"{name} holds {worst:g}, beyond float16's largest value {HALF_MAX:.0f}: rescale that layer, "
            "or look for a diverged training run"
        )
    if not may_vanish and not half.any() and values.any():
        raise ValueError(
            f"{name} holds no value above {np.abs(values).max():g}: float16, whose smallest is 6e-08, "
            "would make all of them zero; rescale that layer"
        )
    return half


def check_finite(values: np.ndarray, name: str) -> None:
    """Raise ValueError when values are NaN or infinite; the message says how many, and the tensor's name."""
    n_broken = int(values.size - np.isfinite(values).sum())
    if n_broken:
        raise ValueError(
            f"{name} holds {n_broken:,} NaN or infinite of {values.size:,} values: "
            "look for a diverged training run"
        )
