"""What checks found, as text that reads well in a terminal and as markdown in a job's summary."""

from __future__ import annotations

from collections.abc import Sequence

from common.course.week_results import WeekCheck
from common.markdown import markdown_table

_WORDS = {"ran": "ran to its end", "failed": "a cell failed", "stopped": "was stopped", "refused": "not run"}


def report(checks: Sequence[WeekCheck]) -> str:
    """One notebook in detail; several as a table, with what each author should know below it."""
    if not checks:
        return "Nothing to check: no notebook has been started. `dnnc members start NAME WEEK` does."
    if len(checks) == 1:
        return _detailed(checks[0])
    rows = [
        (check.member, check.week, _WORDS[check.status], f"{check.points} of {check.checkable}")
        for check in checks
    ]
    lines = markdown_table(("member", "week", "notebook", "points by the checks"), rows)
    for check in checks:
        remarks = [] if check.is_fine else [check.message]
        lines += [f"\n{check.member}, {check.week}: {text}" for text in (*remarks, *check.notes)]
    return "\n".join(lines)


def _detailed(check: WeekCheck) -> str:
    lines = [f"{check.member}, {check.week}: {check.message}", ""]
    rows = [
        (str(answer["question"]), answer["title"], f"{answer['points'] if answer['ok'] else 0} of "
         f"{answer['points']}", "right" if answer["ok"] else answer["message"])
        for answer in check.answers
    ]  # fmt: skip
    if rows:
        lines += [*markdown_table(("", "question", "points", ""), rows), ""]
    for answer in check.answers:
        if not answer["ok"] and answer["hint"]:
            lines.append(f"Question {answer['question']}, hint: {answer['hint']}")
    rest = f", {check.rubric} more by the rubric" if check.rubric else ""
    lines.append(f"{check.points} of {check.checkable} points by the checks{rest}.")
    lines += [f"Note: {note}." for note in check.notes]
    return "\n".join(lines)
