"""Markdown tables, text that is safe to print, and JSON that every parser reads."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    r"""Return the lines of a markdown table; a text from a file stays in its cell, whatever it contains.

    >>> markdown_table(["kind", "bytes"], [["header", "12"], ["a|b\n", "3"]])
    ['| kind | bytes |', '| --- | --- |', '| header | 12 |', '| a\\|b\\n | 3 |']
    """
    lines = (heads, ["---"] * len(heads), *rows)
    return ["| " + " | ".join(map(_cell, cells)) + " |" for cells in lines]


def printable(text: str, *, keep: str = "") -> str:
    r"""Return the text with escapes for what cannot be printed or controls a terminal, except for `keep`.

    >>> printable("two\nlines \x1b[2J", keep="\n"), printable("half a character \udc80")
    ('two\nlines \\x1b[2J', 'half a character \\udc80')
    """
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def json_text(value: object, *, indent: int | None = 1, ensure_ascii: bool = True) -> str:
    """Return the value as JSON that every parser reads: NaN and infinity, which JSON lacks, become null.

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
