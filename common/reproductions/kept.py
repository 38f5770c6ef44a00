"""Finished parts of a reproduction, kept in files, so that a stopped run does not measure them again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from common.whole_file import whole_file


def kept(path: Path, options: object, measure: Callable[[], dict], *, resume: bool) -> dict:
    """What `measure` gave for these options, from a file if it is there."""
    if resume and path.exists():
        stored = json.loads(path.read_text())
        if stored["options"] == options:
            return stored["figures"]
    figures = json.loads(json.dumps(measure()))
    with whole_file(path) as aside:
        aside.write_text(json.dumps({"options": options, "figures": figures}))
    return figures
