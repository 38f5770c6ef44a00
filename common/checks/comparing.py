"""An array beside the expected one, and beside what the usual mistakes return."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from common.checks.pictures import is_small, side_by_side
from common.checks.verdict import NotYet

Suspect = tuple  # a hint, then what this mistake returns, in one or several variants


def expect(
    got: object, wanted: object, *, tolerance: float = 1e-9, suspects: Iterable[Suspect] = (),
    what: str = "It", shown: Mapping[str, np.ndarray] | None = None, unknown: str = "",
) -> None:  # fmt: skip
    """Compare a result with the expected one.

    Parameters
    ----------
    got : what the student's function returned
    wanted : array-like
    tolerance : float
        Largest absolute difference that still counts as equal.
    suspects : tuples of a hint and one or several array-likes
        What known mistakes return, the likeliest first.
    what : str
        The result's name at the beginning of a sentence.
    shown : dict of arrays, optional
        The inputs, for the picture.
    unknown : str
        The hint when no suspect fits.

    Raises
    ------
    NotYet
        With the first suspect's hint that fits.
    """
    wanted = np.asarray(wanted)
    values = as_array(got, what)
    hint = next((hint for hint, *wrongs in suspects if _is_any(values, wrongs, tolerance)), "")
    if values.shape != wanted.shape:
        raise NotYet(
            f"{what} has shape {values.shape}, expected {wanted.shape}.",
            hint=hint or _hint_of_shape(values.shape, wanted.shape) or unknown,
            picture=side_by_side({**(shown or {}), "yours": values}),
        )
    wrong = ~np.isclose(values.astype(np.float64), wanted.astype(np.float64), rtol=0, atol=tolerance)
    if not wrong.any():
        return
    picture = side_by_side({**(shown or {}), "yours": values, "wrong": wrong}) if is_small(values) else ""
    if not hint and not np.isfinite(values).all() and np.isfinite(wanted).all():
        count = int((~np.isfinite(values)).sum())
        raise NotYet(f"{what} has {count} values that are nan or inf.", hint=unknown, picture=picture)
    if values.size == 1:
        message = f"{what} is {float(values):.4g}, which is wrong."
    else:
        message = f"{int(wrong.sum())} of {wrong.size} values of {what[:1].lower() + what[1:]} are wrong."
        message = message.replace(" of it are", " are")
    raise NotYet(message, hint=hint or _hint_of_values(values, wanted, tolerance) or unknown, picture=picture)


def as_array(got: object, what: str = "It") -> np.ndarray:
    """A result as an array of numbers.

    Raises
    ------
    NotYet
        It is of another kind.
    """
    if hasattr(got, "detach"):
        got = got.detach().cpu().numpy()
    if isinstance(got, np.ndarray | np.generic | int | float | list | tuple):
        try:
            values = np.asarray(got)
        except ValueError:  # rows of unequal length
            values = np.array(None)
        if values.dtype.kind in "biuf":
            return values
    raise NotYet(f"{what} is of type {type(got).__name__}, expected an array of numbers.")


def expect_dtype(got: np.ndarray, kind: str, hint: str = "", *, what: str = "It") -> None:
    """Raise `NotYet` unless the dtype's name begins with `kind`, as ``uint8`` or ``float``."""
    name = str(getattr(got, "dtype", type(got).__name__)).removeprefix("torch.")
    if not name.startswith(kind):
        raise NotYet(f"{what} has dtype {name}, expected {kind}.", hint=hint)


def _is_any(values: np.ndarray, wrongs: list, tolerance: float) -> bool:
    return any(_equal(values, np.asarray(wrong), tolerance) for wrong in wrongs)


def _equal(values: np.ndarray, wrong: np.ndarray, tolerance: float) -> bool:
    return values.shape == wrong.shape and np.allclose(
        values.astype(np.float64), wrong.astype(np.float64), rtol=1e-6, atol=tolerance, equal_nan=True
    )


def _hint_of_shape(got: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if len(got) > 1 and got == wanted[::-1]:
        return "Rows and columns are exchanged: an array's shape is (height, width)."
    if len(got) != len(wanted):
        return f"It has {len(got)} axes where {len(wanted)} are expected."
    return ""


def _hint_of_values(values: np.ndarray, wanted: np.ndarray, tolerance: float) -> str:
    """What any answer can suffer from: a sign, a factor, exchanged axes."""
    values, wanted = values.astype(np.float64), wanted.astype(np.float64)
    if _equal(values, -wanted, tolerance):
        return "Every sign is wrong."
    if values.ndim == 2 and values.shape[0] == values.shape[1] and _equal(values, wanted.T, tolerance):
        return "Rows and columns are exchanged: the first index is the row, that is y."
    largest = np.abs(wanted).argmax()
    factor = values.flat[largest] / wanted.flat[largest] if wanted.flat[largest] else 0.0
    if values.size > 1 and factor and _equal(values, factor * wanted, tolerance * max(1.0, abs(factor))):
        return f"Every value is {factor:.4g} times what it should be: a factor is missing, or one too many."
    return ""
