"""Tables as markdown, for reports that people read in a terminal, a notebook or on the web."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    r"""The lines of a table; a name read from a file stays in its cell, whatever it holds.

    >>> markdown_table(["kind", "bytes"], [["header", "12"], ["a|b\n", "3"]])
    ['| kind | bytes |', '| --- | --- |', '| header | 12 |', '| a\\|b\\n | 3 |']
    """
    lines = (heads, ["---"] * len(heads), *rows)
    return ["| " + " | ".join(map(_cell, cells)) + " |" for cells in lines]


def printable(text: str, *, keep: str = "") -> str:
    r"""The text with what cannot be shown, or would steer a terminal, escaped, but for what is to be kept.

    >>> printable("two\nlines \x1b[2J", keep="\n"), printable("half a character \udc80")
    ('two\nlines \\x1b[2J', 'half a character \\udc80')
    """
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def json_text(value: object, *, indent: int | None = 1, ensure_ascii: bool = True) -> str:
    """The value as JSON that every parser reads: NaN and infinity, for which JSON has no word, become null.

    >>> json_text({"loss": float("nan"), "n": [1, 2]}, indent=None)
    '{"loss": null, "n": [1, 2]}'
    """
    return json.dumps(_without_nan(value), indent=indent, ensure_ascii=ensure_ascii, allow_nan=False)


def _without_nan(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value


def _cell(text: str) -> str:
    return printable(text).replace("|", r"\|")
