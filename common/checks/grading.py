"""Questions with their points, and the points that a notebook has earned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from common.checks.verdict import Verdict


@dataclass(frozen=True)
class Question:
    """One graded question of an assignment.

    Attributes
    ----------
    number : int
    title : str
        As in the notebook's heading.
    points : int
    answer : str
        Name of the function that the student writes; empty for a question that a person reads.
    check : callable, optional
        From the function to a `Verdict`; None for a question that a person reads against its rubric.
    """

    number: int
    title: str
    points: int
    answer: str = ""
    check: Callable[[object], Verdict] | None = None


@dataclass(frozen=True, repr=False)
class Grades:
    """Verdicts and points of a whole assignment; shown as a table of one line a question."""

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
    namespace : dict
        The notebook's names: its ``globals()``.
    """
    verdicts = {}
    for question in questions:
        if question.check is None:
            continue
        if question.answer in namespace:
            verdicts[question.number] = question.check(namespace[question.answer])
        else:
            message = "The notebook defines no such function."
            verdicts[question.number] = Verdict(question.number, question.answer, False, message)
    return Grades(questions, verdicts)
