"""The cells that a student fills in while reading a lecture, checked at once: a module per lecture.

A check is called with the student's function, and returns the function that the lecture goes on with::

    mean_surprise = checks.mean_surprise(mean_surprise)

If the function is right, the check says so and returns it. If it is wrong or not written yet, the check says
what, where and why, and returns the course's own function, so that the rest of the lecture runs in any case.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from common.checks.grading import NotYet, Verdict

__all__ = ["fill_in"]


def fill_in(own: Callable) -> Callable[[Callable[[Callable], str]], Callable[[object], Callable]]:
    """Turn a function that tries an answer into the check of a cell that is filled in.

    The check has the name of the decorated function, which is also the student's name for the answer. Its
    attribute ``own`` is the course's function.

    Parameters
    ----------
    own : callable
        The course's function, which the lecture goes on with when the answer is not right yet.

    Examples
    --------
    >>> from common.checks.comparing import call, expect
    >>> @fill_in(own=lambda x: x * x)
    ... def square(answer):
    ...     expect(call(answer, 3, told="3"), 9, suspects=[("That is the double.", 6)], what="The square")
    ...     return "The square of 3."
    >>> go_on = square(lambda x: 2 * x)
    square: not yet. The square is 6, which is wrong.
      Hint: That is the double.
      The lecture goes on with the course's own square.
    >>> go_on(4)
    16
    """

    def decorate(attempt: Callable[[Callable], str]) -> Callable[[object], Callable]:
        name = attempt.__name__

        @functools.wraps(attempt)
        def checked(answer: object) -> Callable:
            verdict = _verdict(name, attempt, answer)
            print(verdict)
            if verdict.ok:
                return answer
            print(f"  The lecture goes on with the course's own {name}.")
            return own

        checked.own = own
        return checked

    return decorate


def _verdict(name: str, attempt: Callable[[Callable], str], answer: object) -> Verdict:
    if not callable(answer):
        kind = type(answer).__name__
        return Verdict(0, name, False, f"A function is expected, and this is of type {kind}.")
    try:
        return Verdict(0, name, True, attempt(answer))
    except NotYet as why:
        return Verdict(0, name, False, why.message, why.hint, why.picture)
