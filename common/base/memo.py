"""Figures measured with some options, stored in a file: a stopped run does not measure them again."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from common.base.files import whole_file

_FILE = "figures.json"


class Memo:
    """Figures that were measured with given options, in a folder for these options alone.

    A digest of the options is part of the folder's name, so figures made with other options are never found.
    Checkpoints that belong to the options may be stored in `folder` too.

    Parameters
    ----------
    path : path
        The folder, without the digest.
    options : dataclass, mapping, sequence, str, number or None
        Everything that decides the figures: options, and digests of the images and of the network they start
        from.
    resume : bool
        Whether figures that were measured before are used; else the folder is deleted.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "study"
    >>> Memo(path, {"epochs": 2}).get("top1", lambda: 0.5)
    0.5
    >>> Memo(path, {"epochs": 2}).get("top1", lambda: 0.9), Memo(path, {"epochs": 3}).get("top1", lambda: 0.9)
    (0.5, 0.9)
    """

    def __init__(self, path: str | Path, options: object, *, resume: bool = True) -> None:
        self._options = as_json(options)
        digest = hashlib.sha256(json.dumps(self._options, sort_keys=True).encode()).hexdigest()
        path = Path(path)
        self.folder = path.with_name(f"{path.name}-{digest[:12]}")
        if not resume:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._known = self._read()

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def get(self, key: str, measure: Callable[[], object]) -> Any:
        """Return the figures under `key`: the stored ones, or else those of ``measure()``, which are stored.

        Both are as JSON gives them back: lists for tuples.
        """
        if key not in self._known:
            self._known[key] = as_json(measure())
            with whole_file(self.folder / _FILE) as aside:
                aside.write_text(json.dumps({"options": self._options, "figures": self._known}))
        return self._known[key]

    def _read(self) -> dict:
        """Return the file's figures; none where there is no file, or one of another kind."""
        try:
            stored = json.loads((self.folder / _FILE).read_text())
        except (OSError, ValueError):
            return {}
        is_ours = isinstance(stored, dict) and stored.get("options") == self._options
        return stored["figures"] if is_ours and isinstance(stored.get("figures"), dict) else {}


def as_json(value: object) -> Any:
    """Return the value as JSON gives it back: lists for tuples, dicts for dataclasses.

    >>> as_json({"shape": (2, 3)})
    {'shape': [2, 3]}
    """
    return json.loads(json.dumps(value, default=_as_mapping))


def _as_mapping(value: object) -> dict:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
