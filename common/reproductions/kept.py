"""Finished parts of a reproduction, kept in files, so that a stopped run does not measure them again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from common.whole_file import whole_file


def kept(path: Path, options: object, measure: Callable[[], dict], *, resume: bool) -> dict:
    """What `measure` gave for these options, from a file if it is there."""
    stored = _read(path) if resume else {}
    if stored.get("options") == options:
        return stored["figures"]
    figures = json.loads(json.dumps(measure()))
    with whole_file(path) as aside:
        aside.write_text(json.dumps({"options": options, "figures": figures}))
    return figures


def is_kept(path: Path, options: object) -> bool:
    """Whether `kept` will only read a file."""
    return _read(path).get("options") == options


def _read(path: Path) -> dict:
    """What a file holds; nothing where there is none, or another thing."""
    try:
        stored = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) and {"options", "figures"} <= stored.keys() else {}
