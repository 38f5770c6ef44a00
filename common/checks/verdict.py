"""Right, or not yet and why; what a check raises when it has seen enough."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, repr=False)
class Verdict:
    """What a check says about one answer. Shown as text wherever it is printed or the last line of a cell.

    Attributes
    ----------
    question : int
        Number of the question in its assignment.
    name : str
        Of the function that was checked.
    ok : bool
    message : str
        What was checked, or what is wrong, in one line.
    hint : str
        What the reason may be.
    picture : str
        Small matrices that show where it goes wrong.

    Examples
    --------
    >>> Verdict(2, "convolve", False, "9 of 25 values are wrong.", hint="Is the kernel flipped?")
    Question 2, convolve: not yet. 9 of 25 values are wrong.
      Hint: Is the kernel flipped?
    """

    question: int
    name: str
    ok: bool
    message: str
    hint: str = ""
    picture: str = ""

    def __repr__(self) -> str:
        found = "right" if self.ok else "not yet"
        lines = [f"Question {self.question}, {self.name}: {found}. {self.message}"]
        lines += [f"    {line}".rstrip() for line in self.picture.splitlines()]
        return "\n".join([*lines, f"  Hint: {self.hint}"] if self.hint else lines)


class NotYet(Exception):
    """An answer is wrong, and this is why; becomes the check's verdict."""

    def __init__(self, message: str, *, hint: str = "", picture: str = "") -> None:
        super().__init__(message)
        self.message, self.hint, self.picture = message, hint, picture


def check(question: int, name: str) -> Callable[[Callable[[Callable], str]], Callable[[object], Verdict]]:
    """Turn a function that tries an answer into a check that never raises.

    The function takes the student's function; it returns a line that says what was checked, or raises
    `NotYet`.
    """

    def decorate(attempt: Callable[[Callable], str]) -> Callable[[object], Verdict]:
        @functools.wraps(attempt)
        def checked(answer: object) -> Verdict:
            if not callable(answer):
                kind = type(answer).__name__
                return Verdict(question, name, False, f"A function is expected, and this is of type {kind}.")
            try:
                return Verdict(question, name, True, attempt(answer))
            except NotYet as why:
                return Verdict(question, name, False, why.message, why.hint, why.picture)

        return checked

    return decorate
