"""Tables as markdown, for reports that people read in a terminal, a notebook or on the web."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    r"""The lines of a table; a name read from a file stays in its cell, whatever it holds.

    >>> markdown_table(["kind", "bytes"], [["header", "12"], ["a|b\n", "3"]])
    ['| kind | bytes |', '| --- | --- |', '| header | 12 |', '| a\\|b\\n | 3 |']
    """
    lines = (heads, ["---"] * len(heads), *rows)
    return ["| " + " | ".join(map(_cell, cells)) + " |" for cells in lines]


def printable(text: str, *, keep: str = "") -> str:
    r"""The text with what cannot be shown, or would steer a terminal, spelt out, but for what is to be kept.

    >>> printable("two\nlines \x1b[2J", keep="\n"), printable("half a character \udc80")
    ('two\nlines \\x1b[2J', 'half a character \\udc80')
    """
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def _cell(text: str) -> str:
    return printable(text).replace("|", r"\|")
