"""Tables as markdown, for reports that people read in a terminal, a notebook or on the web."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table.

    >>> markdown_table(["kind", "bytes"], [["header", "12"]])
    ['| kind | bytes |', '| --- | --- |', '| header | 12 |']
    """
    return ["| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *rows)]
