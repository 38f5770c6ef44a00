"""An array beside the expected one, and beside what the usual mistakes return."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from common.checks.grading import NotYet

# ----------------------------------------------------------------------------------------------------
# The student's function called with care: errors, missing returns, changed arguments.

_HINTS: Mapping[type[Exception], str] = {
    OverflowError: "uint8 holds 0 to 255 and nothing else: convert the pixels to float before you calculate.",
    IndexError: "An index runs past the end: compare the loop's bounds with the array's shape.",
    NameError: "A name is not defined: was its cell run, and before this one?",
    UnboundLocalError: "A variable is read before it was given a value in this function.",
    RecursionError: "The function calls itself without end.",
}


def call(answer: Callable, *arguments: object, told: str = "", **options: object) -> object:
    """The answer's result for copies of the arguments.

    Parameters
    ----------
    answer : callable
    told : str
        How the arguments are described in messages, such as ``a 5×5 image``.

    Raises
    ------
    NotYet
        It is not written yet, fails, returns nothing, or changes its arguments.
    """
    own, named = copy.deepcopy(arguments), copy.deepcopy(options)
    where = f" for {told}" if told else ""
    try:
        # NumPy's and Python's warnings would go to stderr, which no two machines write alike
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = answer(*own, **named)
    except NotImplementedError as error:
        raise NotYet("It is not written yet.", hint=_one_line(error)) from None
    except Exception as error:
        raise NotYet(
            f"It raises {type(error).__name__}{where}: {_one_line(error)}", hint=_HINTS.get(type(error), "")
        ) from None
    if result is None:
        raise NotYet(f"It returns nothing{where}.", hint="Is there a return at its end, on every path?")
    if not (_same(arguments, own) and _same(options, named)):
        raise NotYet(
            f"It changes its argument{where}.",
            hint="The caller's array is written over: make a new one (mind `-=` and `[:] =`).",
        )
    return result


def pair(result: object, n: int, what: str) -> tuple:
    """A result of several parts; `what` names them.

    Raises
    ------
    NotYet
        The result is not a tuple or list of n parts.
    """
    if not isinstance(result, tuple | list) or len(result) != n:
        kind = type(result).__name__
        length = f" of {len(result)}" if isinstance(result, tuple | list) else ""
        raise NotYet(f"It returns a {kind}{length}, expected {n} results: {what}.")
    return tuple(result)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 160 else text[:157] + "..."


def _same(before: object, after: object) -> bool:
    """Whether two copies still hold the same values; what cannot be compared counts as unchanged."""
    if isinstance(before, np.ndarray):
        return before.shape == after.shape and np.array_equal(
            before, after, equal_nan=before.dtype.kind == "f"
        )
    if isinstance(before, Mapping):
        return before.keys() == after.keys() and all(_same(before[key], after[key]) for key in before)
    if isinstance(before, tuple | list):
        return len(before) == len(after) and all(map(_same, before, after))
    if hasattr(before, "detach"):  # a tensor, without importing torch
        return before.shape == after.shape and bool((before == after).all())
    return True


# ----------------------------------------------------------------------------------------------------
# Small matrices side by side, as text.

LARGEST = 9  # rows and columns of a matrix that is still shown


def side_by_side(matrices: Mapping[str, np.ndarray]) -> str:
    """Matrices beside each other, each below its name; those too large to read are left out.

    >>> print(side_by_side({"image": np.eye(2, dtype=int), "yours": np.array([[0.5, 2], [-1, 0]])}))
    image    yours
     1 0      0.5   2
     0 1       -1   0
    """
    blocks = [block(name, matrix) for name, matrix in matrices.items() if is_small(matrix)]
    height = max((len(lines) for lines in blocks), default=0)
    for lines in blocks:
        width = max(map(len, lines))
        lines += [""] * (height - len(lines))
        lines[:] = [line.ljust(width) for line in lines]
    return "\n".join("    ".join(row).rstrip() for row in zip(*blocks, strict=True))


def block(name: str, matrix: np.ndarray) -> list[str]:
    """A matrix' lines, its name above."""
    rows = np.atleast_2d(matrix)
    cells = [[entry(value) for value in row] for row in rows]
    width = max(len(cell) for row in cells for cell in row)
    return [name, *(" " + " ".join(cell.rjust(width) for cell in row) for row in cells)]


def entry(value: object) -> str:
    """One number in few characters, a truth value as a mark.

    >>> [entry(value) for value in (3, 2.50001, -0.0, 1234.5, float("nan"), True)]
    ['3', '2.5', '0', '1.2e+03', 'nan', 'x']
    """
    if isinstance(value, bool | np.bool_):
        return "x" if value else "·"
    number = float(value)
    return f"{number:.0f}" if number.is_integer() and abs(number) < 1e4 else f"{number:.2g}"


def is_small(matrix: np.ndarray) -> bool:
    """Whether it can be shown: of one or two dimensions, and few numbers."""
    return matrix.ndim in (1, 2) and 0 < matrix.size and max(matrix.shape) <= LARGEST


Suspect = tuple  # a hint, then what this mistake returns, in one or several variants


def expect(
    got: object,
    wanted: object,
    *,
    tolerance: float = 1e-9,
    suspects: Iterable[Suspect] = (),
    what: str = "It",
    shown: Mapping[str, np.ndarray] | None = None,
    unknown: str = "",
) -> None:
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
