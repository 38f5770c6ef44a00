"""Numbers on their way into fewer bits: what does not fit is an error that names the tensor, never infinity.

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
    """The values as float16, each rounded to the nearest.

    Parameters
    ----------
    values : ndarray of real numbers
    name : str
        Of the tensor, for the message.
    may_vanish : bool
        Whether all may become zero, being below float16's smallest (6e-8): biases may, weights may not.

    Raises
    ------
    ValueError
        A value that is NaN or infinite, or that would become infinite; or, unless they may vanish, values of
        which nothing would be left.
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
    """Refuse NaN and infinite values.

    Raises
    ------
    ValueError
        With the tensor's name and how many there are.
    """
    n_broken = int(values.size - np.isfinite(values).sum())
    if n_broken:
        raise ValueError(
            f"{name} holds {n_broken:,} NaN or infinite of {values.size:,} values: "
            "look for a diverged training run"
        )
