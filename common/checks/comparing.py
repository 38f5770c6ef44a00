"""The student's function called with care, its result compared with the expected one and usual mistakes."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from common.checks.grading import NotYet

# ----------------------------------------------------------------------------------------------------
# The student's function called with care: errors, missing returns, changed arguments.

_HINTS: Mapping[type[Exception], str] = {
    OverflowError: "uint8 holds 0 to 255 and nothing else: convert the pixels to float before you calculate.",
    IndexError: "An index runs past the end: compare the loop's bounds with the array's shape.",
    NameError: "A name is not defined: is it misspelt, or was the cell that defines it not run yet?",
    UnboundLocalError: "A variable is read before it was given a value in this function.",
    RecursionError: "The function calls itself without end.",
}
_SHAPES = "Two arrays of different shapes meet: print both shapes, then cut or reshape one of them."
_TRUTH = (
    "Python's `if`, `not`, `and`, `or`, `min` and `max` want single values: number by number, write ~, &, |, "
    "{} and {}."
)
_INTEGERS = "Integers are needed here, and these are floats: np.rint rounds, and .astype(int) converts."
_HINTS_BY_MESSAGE: Mapping[str, str] = {  # patterns in Python's, NumPy's and torch's messages
    r"unsupported operand .*'list'": "A list knows no arithmetic: np.asarray makes an array, which knows it.",
    "truth value of an array": _TRUTH.format("np.minimum", "np.maximum"),
    "Boolean value of Tensor": _TRUTH.format("torch.minimum", "torch.maximum"),
    "could not be broadcast": _SHAPES,
    "could not broadcast": _SHAPES,
    "must match the size of tensor": _SHAPES,
    "shapes cannot be multiplied": _SHAPES,
    "mismatch in its core dimension": "The first needs as many columns as the second has rows: print shapes.",
    "data type = bool is not supported": "OpenCV takes no bool: give it .astype(np.uint8).",
    "according to the rule 'safe'": _INTEGERS,
    "must be of integer": _INTEGERS,
    "cannot be interpreted as an integer": _INTEGERS,
    "converted to Python scalars": "Python's math takes one number: for an array use NumPy's function.",
}


def call(answer: Callable, *arguments: object, told: str = "", **options: object) -> object:
    """The student's function called with deep copies of the arguments, and its result.

    Parameters
    ----------
    answer : callable
        The student's function.
    *arguments, **options
        What it is called with.
    told : str
        How the arguments are described in messages, such as ``a 5×5 image``.

    Raises
    ------
    NotYet
        The function is not written yet, fails, returns None, or changes its arguments.
    """
    own, named = copy.deepcopy(arguments), copy.deepcopy(options)
    where = f" for {told}" if told else ""
    try:
        # NumPy's and Python's warnings would go to stderr, which no two machines write alike
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = answer(*own, **named)
    except NotImplementedError as error:
        # the verdict names the question already
        raise NotYet(
            "It is not written yet.", hint=re.sub(r"^Question \d+: ", "", _one_line(error))
        ) from None
    except Exception as error:
        raise NotYet(
            f"It raises {_kind_of_error(error)}{where}: {_one_line(error)}", hint=_hint_of_error(error)
        ) from None
    if result is None:
        raise NotYet(f"It returns nothing{where}.", hint="Is there a return at its end, on every path?")
    if not (_same(arguments, own) and _same(options, named)):
        raise NotYet(
            f"It changes its argument{where}.",
            hint="The caller's array is written over: make a new one (`-=` and `[:] =` change the old one).",
        )
    return result


def pair(result: object, n: int, what: str) -> tuple:
    """The n parts of a result, which may also be one array with a row for each part.

    Parameters
    ----------
    result : object
        What the student's function returned.
    n : int
        How many parts are expected.
    what : str
        Names of the parts, for the message.

    Raises
    ------
    NotYet
        The result is not a tuple, list, array or tensor of n parts.
    """
    stacked = hasattr(result, "shape") and len(result.shape) > 0  # as np.stack or torch.stack makes it
    several = isinstance(result, tuple | list) or stacked
    if not several or len(result) != n:
        length = f" of {len(result)}" if several else ""
        raise NotYet(f"It returns {kind_of(result)}{length}, expected {n} results: {what}.")
    return tuple(result)


def refuses(answer: Callable, *arguments: object, told: str, hint: str) -> None:
    """Raise `NotYet`, with the hint, unless the answer raises ValueError for copies of the arguments."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = answer(*copy.deepcopy(arguments))
    except ValueError:
        return
    except Exception as error:
        name = type(error).__name__
        raise NotYet(f"It raises {name} for {told}, expected ValueError.", hint=hint) from None
    raise NotYet(f"It returns {kind_of(result)} for {told}, expected ValueError.", hint=hint)


def kind_of(thing: object) -> str:
    """The name of a type with its article.

    >>> kind_of(3), kind_of([])
    ('an int', 'a list')
    """
    name = type(thing).__name__
    return f"{'an' if name[0].lower() in 'aeio' else 'a'} {name}"


def _kind_of_error(error: Exception) -> str:
    """Its name, with the module where that is what tells: ``cv2.error``."""
    kind = type(error)
    return f"{kind.__module__}.{kind.__name__}" if kind.__name__ == "error" else kind.__name__


def _hint_of_error(error: Exception) -> str:
    known = (hint for part, hint in _HINTS_BY_MESSAGE.items() if re.search(part, str(error)))
    return next(known, _HINTS.get(type(error), ""))


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
    if hasattr(before, "state_dict"):  # a module, without importing torch
        return _same(before.state_dict(), after.state_dict())
    if hasattr(before, "detach"):  # a tensor
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
    """The lines of a matrix as text, its name above them."""
    rows = np.atleast_2d(matrix)
    cells = [[entry(value) for value in row] for row in rows]
    width = max(len(cell) for row in cells for cell in row)
    return [name, *(" " + " ".join(cell.rjust(width) for cell in row) for row in cells)]


def entry(value: object) -> str:
    """One number in few characters, a truth value as a mark.

    >>> [entry(value) for value in (3, 2.50001, 1234.5, -0.0, float("nan"), True)]
    ['3', '2.5', '1.2e+03', '0', 'nan', 'x']
    """
    if isinstance(value, bool | np.bool_):
        return "x" if value else "·"
    number = float(value) + 0.0  # a sign on a zero would look like a mistake
    return f"{number:.0f}" if number.is_integer() and abs(number) < 1e4 else f"{number:.2g}"


def is_small(matrix: np.ndarray) -> bool:
    """Whether it can be shown: one or two dimensions, at most `LARGEST` rows and columns, not empty."""
    return matrix.ndim in (1, 2) and 0 < matrix.size and max(matrix.shape) <= LARGEST


Suspect = tuple  # a hint, then what this mistake returns, in one or several variants


SINGLE = 1e-5  # relative: single precision has seven digits, and sums lose one or two of them


def expect(
    got: object,
    wanted: object,
    *,
    tolerance: float = 1e-9,
    suspects: Iterable[Suspect] = (),
    what: str = "It",
    shown: Mapping[str, np.ndarray] | None = None,
    unknown: str = "",
    period: float = 0.0,
) -> None:
    """Compare a result with the expected one. What is right to single precision is right.

    Parameters
    ----------
    got : object
        What the student's function returned: an array, tensor, number, or lists of numbers.
    wanted : array-like
        The right values; their shape is required, too.
    tolerance : float
        Largest absolute difference that still counts as equal, in addition to what single precision costs;
        0 where the values must be the same.
    suspects : iterable of tuple
        Each is a hint, followed by one or several array-likes: what this mistake returns. The first that
        equals the result gives the hint, so the likeliest comes first.
    what : str
        The result's name as a sentence begins with it, such as ``The labels``.
    shown : mapping of str to array, optional
        The inputs, for the picture.
    unknown : str
        The hint when neither a suspect nor a general mistake (a sign, a factor, exchanged axes) fits.
    period : float
        Values that differ by a multiple of it are the same, as angles do by 2π; 0 for plain numbers.

    Raises
    ------
    NotYet
        The result is wrong; with the message, the hint and the picture.
    """
    wanted = np.asarray(wanted)
    values = as_array(got, what)
    if wanted.ndim == 0 and values.size == 1:  # an array of one number is a number
        values = values.reshape(())

    def equal(wrong: object) -> bool:
        return bool(_is_close(values, np.asarray(wrong), tolerance, period).all())

    if equal(wanted):
        return
    hint = next((hint for hint, *wrongs in suspects if any(map(equal, wrongs))), "")
    if values.shape != wanted.shape:
        raise NotYet(
            f"{what} has shape {values.shape}, expected {wanted.shape}.",
            hint=hint or _hint_of_shape(values.shape, wanted.shape) or unknown,
            picture=side_by_side({**(shown or {}), "yours": values}),
        )
    wrong = ~_is_close(values, wanted, tolerance, period)
    picture = side_by_side({**(shown or {}), "yours": values, "wrong": wrong}) if is_small(values) else ""
    if not hint and not np.isfinite(values).all() and np.isfinite(wanted).all():
        count = int((~np.isfinite(values)).sum())
        kinds = "1 value that is" if count == 1 else f"{count} values that are"
        raise NotYet(f"{what} has {kinds} nan or inf.", hint=unknown, picture=picture)
    if values.size == 1:
        message = f"{what} is {float(values.flat[0]):.4g}, which is wrong."
    else:
        message = f"{int(wrong.sum())} of {wrong.size} values of {what[:1].lower() + what[1:]} are wrong."
        message = message.replace(" of it are", " are")
    raise NotYet(message, hint=hint or _hint_of_values(values, wanted, equal) or unknown, picture=picture)


def as_array(got: object, what: str = "It") -> np.ndarray:
    """A result as a NumPy array: from an array, a tensor, a PIL image, a number, or lists of these.

    Raises
    ------
    NotYet
        It is something else, or does not hold real numbers or truth values.
    """
    if isinstance(got, list | tuple):
        got = _without_tensors(got)
    elif hasattr(got, "detach"):
        got = got.detach().cpu().numpy()
    elif hasattr(got, "__array__") and not isinstance(got, np.ndarray | np.generic):
        got = np.asarray(got)
    if isinstance(got, np.ndarray | np.generic | int | float | list):
        try:
            values = np.asarray(got)
        except ValueError:  # rows of unequal length
            values = np.array(None)
        if values.dtype.kind in "biuf":
            return values
    raise NotYet(f"{what} is of type {type(got).__name__}, expected an array of numbers.")


def _without_tensors(got: object) -> object:
    if isinstance(got, list | tuple):
        return [_without_tensors(part) for part in got]
    return got.detach().cpu().numpy() if hasattr(got, "detach") else got


def expect_integers(got: object, what: str = "It", hint: str = "They will index an array.") -> np.ndarray:
    """The result as an array, which has to be of integers.

    Raises
    ------
    NotYet
        It holds floats or truth values.
    """
    values = as_array(got, what)
    if values.dtype.kind not in "iu":
        raise NotYet(f"{what} has dtype {values.dtype}, expected integers.", hint=hint)
    return values


def expect_tensor(got: object, what: str = "It") -> None:
    """Raise `NotYet` unless it is a torch tensor, which the notebook goes on with."""
    if not hasattr(got, "detach"):
        raise NotYet(f"{what} is {kind_of(got)}, expected a torch tensor.")


def expect_dtype(got: np.ndarray, kind: str, hint: str = "", *, what: str = "It") -> None:
    """Raise `NotYet` unless the dtype's name begins with `kind`: ``uint8``, or ``float`` for any width."""
    name = str(getattr(got, "dtype", type(got).__name__)).removeprefix("torch.")
    if not name.startswith(kind):
        raise NotYet(f"{what} has dtype {name}, expected {kind}.", hint=hint)


def _is_close(values: np.ndarray, wanted: np.ndarray, tolerance: float, period: float = 0.0) -> np.ndarray:
    """Which values are equal; a single False where the shapes differ."""
    if values.shape != wanted.shape:
        return np.array(False)
    values, wanted = values.astype(np.float64), wanted.astype(np.float64)
    if period:
        distance = np.abs((values - wanted + period / 2) % period - period / 2)
        return distance <= tolerance + SINGLE * period
    if not tolerance:
        return (values == wanted) | (np.isnan(values) & np.isnan(wanted))
    finite = np.abs(wanted[np.isfinite(wanted)])
    # where large numbers cancel, the small results are only as exact as the large ones were
    largest = finite.max() if finite.size else 0.0
    return np.isclose(values, wanted, rtol=SINGLE, atol=tolerance + SINGLE / 10 * largest, equal_nan=True)


def _hint_of_shape(got: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if len(got) > 1 and got == wanted[::-1]:
        return "The axes are exchanged: it is transposed."
    if len(got) != len(wanted):
        axes = "1 axis" if len(got) == 1 else f"{len(got) or 'no'} axes"
        return f"It has {axes} where {len(wanted) or 'none'} {'is' if len(wanted) == 1 else 'are'} expected."
    return ""


def _hint_of_values(values: np.ndarray, wanted: np.ndarray, equal: Callable[[object], bool]) -> str:
    """A hint at what any answer can suffer from: a sign, a factor, exchanged axes, a shift, rounding."""
    wanted = wanted.astype(np.float64)
    if equal(-wanted):
        return "Every sign is wrong."
    if values.ndim == 2 and values.shape[0] == values.shape[1] and equal(wanted.T):
        return "Rows and columns are exchanged: the first index is the row, that is y."
    for axis in range(values.ndim):
        if values.shape[axis] > 2 and any(equal(np.roll(wanted, step, axis)) for step in (1, -1)):
            return f"Everything is shifted by one place along axis {axis}."
    largest = np.abs(wanted).argmax()
    factor = float(values.flat[largest]) / wanted.flat[largest] if wanted.flat[largest] else 0.0
    if abs(factor - 1) < 0.02:  # "1 times what it should be" would help nobody
        near = np.allclose(values, wanted, rtol=1e-2, atol=1e-2 * abs(wanted.flat[largest]))
        return "Nearly right: is something rounded, or cut off, on the way?" if near else ""
    if values.size > 1 and factor and np.isfinite(factor) and equal(factor * wanted):
        return f"Every value is {factor:.4g} times what it should be: a factor is missing, or one too many."
    return ""
