"""The student's function called with care: errors, missing returns, changed arguments."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping

import numpy as np

from common.checks.verdict import NotYet

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
