"""Questions with their points, and the points that a notebook has earned."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# ----------------------------------------------------------------------------------------------------
# Right, or not yet and why; what a check raises when it has seen enough.


@dataclass(frozen=True, repr=False)
class Verdict:
    """What a check says about one answer. Shown as text wherever it is printed or the last line of a cell.

    Attributes
    ----------
    question : int
        Number of the question in its assignment; 0 for a cell of a lecture.
    name : str
        Name of the function that was checked.
    ok : bool
        Whether the answer is right.
    message : str
        What was checked, or what is wrong, in one line.
    hint : str
        What the reason may be; empty where none is known.
    picture : str
        Small matrices, as text, that show where it goes wrong; empty where they would be too large.

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
        place = f"Question {self.question}, " if self.question else ""
        lines = [f"{place}{self.name}: {found}. {self.message}"]
        lines += [f"    {line}".rstrip() for line in self.picture.splitlines()]
        return "\n".join([*lines, f"  Hint: {self.hint}"] if self.hint else lines)


class NotYet(Exception):
    """An answer is wrong, and this is why; becomes the check's verdict."""

    def __init__(self, message: str, *, hint: str = "", picture: str = "") -> None:
        super().__init__(message)
        self.message, self.hint, self.picture = message, hint, picture


def check(question: int, name: str) -> Callable[[Callable[[Callable], str]], Callable[[object], Verdict]]:
    """Turn a function that tries an answer into a check that returns a `Verdict` and does not raise.

    The decorated function takes the student's function. It returns a line that says what was checked, or
    raises `NotYet`.

    Parameters
    ----------
    question : int
        Number of the question in its assignment; 0 for a cell of a lecture.
    name : str
        The name that the notebook gives to the student's function.
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


@dataclass(frozen=True)
class Question:
    """One graded question of an assignment.

    Attributes
    ----------
    number : int
    title : str
        As in the notebook's heading.
    points : int
        For a right answer; there are no parts of them.
    answer : str
        Name of the function that the student writes; empty for a question that a person reads.
    check : callable, optional
        Takes that function and returns a `Verdict`; None for a question that a person grades by a rubric.
    """

    number: int
    title: str
    points: int
    answer: str = ""
    check: Callable[[object], Verdict] | None = None


@dataclass(frozen=True, repr=False)
class Grades:
    """Verdicts (by question number) and points of a whole assignment; shown as a line per question."""

    questions: tuple[Question, ...]
    verdicts: Mapping[int, Verdict]

    @property
    def earned(self) -> int:
        """Points of the questions that a check has found right."""
        right = {number for number, verdict in self.verdicts.items() if verdict.ok}
        return sum(question.points for question in self.questions if question.number in right)

    @property
    def checkable(self) -> int:
        """Points of all questions that have a check."""
        return sum(question.points for question in self.questions if question.check)

    def __repr__(self) -> str:
        width = max(len(question.title) for question in self.questions)
        lines = []
        for question in self.questions:
            verdict = self.verdicts.get(question.number)
            earned = "by rubric" if verdict is None else f"{question.points if verdict.ok else 0:9}"
            lines.append(f"{question.number:2}  {question.title:{width}}  {earned} of {question.points}")
        rest = sum(question.points for question in self.questions) - self.checkable
        total = f"{self.earned} of {self.checkable} points by the checks, {rest} more by the rubric"
        return "\n".join([*lines, total])


def grade(questions: tuple[Question, ...], namespace: Mapping[str, object]) -> Grades:
    """Check every answer that a notebook defines.

    Parameters
    ----------
    questions : tuple of Question
    namespace : mapping of str to object
        The notebook's names: its ``globals()``.

    Returns
    -------
    Grades
        With a verdict for every question that has a check; a function that is not defined is "not yet".
    """
    verdicts = {}
    for question in questions:
        if question.check is None:
            continue
        if question.answer in namespace:
            verdicts[question.number] = question.check(namespace[question.answer])
        else:
            message = "The notebook defines no such function, or stopped before it."
            verdicts[question.number] = Verdict(question.number, question.answer, False, message)
    return Grades(questions, verdicts)
