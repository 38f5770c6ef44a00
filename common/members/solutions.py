"""Lectures without their answers: stubs for solution regions, and predictions without their asserts.

A solution region goes from ``# solution: <reminder>`` to ``# end solution``.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

_START = re.compile(r"^(\s*)# solution\b:?\s*(.*)$")
_END = re.compile(r"^\s*# end solution\s*$")


def without_solutions(code: str, *, todo: bool = False) -> str:
    r"""Code with a stub in the place of each solution region.

    Parameters
    ----------
    code : str
    todo : bool
        Also keep the reminder as a ``# TODO`` line above the stub.

    Raises
    ------
    ValueError
        A region has no end, no beginning, no reminder, or another region in it.

    Examples
    --------
    >>> print(without_solutions("# solution: square it\ny = x * x\n# end solution\nprint(y)"))
    raise NotImplementedError("square it")
    print(y)
    """
    kept: list[str] = []
    inside = False
    for line in code.splitlines():
        start = _START.match(line)
        if start and (inside or not start[2]):
            raise ValueError(f"{line.strip()!r}: " + ("a region in a region" if inside else "no reminder"))
        if start:
            inside = True
            if todo:
                kept.append(f"{start[1]}# TODO: {start[2]}")
            kept.append(f"{start[1]}raise NotImplementedError({json.dumps(start[2], ensure_ascii=False)})")
        elif _END.match(line):
            if not inside:
                raise ValueError("`# end solution` without a beginning")
            inside = False
        elif not inside:
            kept.append(line)
    if inside:
        raise ValueError("`# solution` without an end")
    return "\n".join(kept)


def without_asserts(code: str) -> str:
    r"""Code without its assert statements, which state what the code will find.

    A loop or condition that holds nothing else goes with them; a branch beside another one becomes ``pass``.

    Parameters
    ----------
    code : str
        Code that Python cannot parse, such as a cell with a magic command, is returned as it is.

    Examples
    --------
    >>> print(without_asserts("total = 200 + 100\nassert total == 300\nprint(total)"))
    total = 200 + 100
    print(total)
    """
    try:
        body = ast.parse(code).body
    except SyntaxError:
        return code
    lines = code.splitlines()
    for first, last, instead in _asserts(body):
        lines[first - 1 : last] = [instead] + [None] * (last - first)
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(line for line in lines if line is not None).rstrip())


def _asserts(body: list[ast.stmt]) -> Iterator[tuple[int, int, str | None]]:
    """First and last line of what goes, and the line that stands there instead, if one has to."""
    for statement in body:
        if _only_asserts(statement):
            yield statement.lineno, statement.end_lineno, None
        elif not isinstance(statement, ast.FunctionDef | ast.ClassDef):
            for part in (getattr(statement, "body", []), getattr(statement, "orelse", [])):
                if part and all(map(_only_asserts, part)):
                    yield part[0].lineno, part[-1].end_lineno, " " * part[0].col_offset + "pass"
                else:
                    yield from _asserts(part)


def _only_asserts(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.For | ast.If | ast.With):
        return all(map(_only_asserts, [*statement.body, *getattr(statement, "orelse", [])]))
    return isinstance(statement, ast.Assert)


def has_solution(code: str) -> bool:
    """Whether a line begins a solution region."""
    return any(_START.match(line) for line in code.splitlines())


def solution_lines(code: str) -> list[list[str]]:
    """The lines of each solution region, without its markers; the code is taken to be well formed."""
    found: list[list[str]] = []
    inside = False
    for line in code.splitlines():
        if _START.match(line):
            inside = True
            found.append([])
        elif _END.match(line):
            inside = False
        elif inside:
            found[-1].append(line)
    return found
