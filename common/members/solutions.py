"""Solution regions, from ``# solution: <reminder>`` to ``# end solution``, and stubs in their place."""

from __future__ import annotations

import json
import re

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
