"""Compress: the pipeline, and its doors for any network.

>>> from common.compress import compress, load_into, open_file
"""

from __future__ import annotations

import importlib

_FROM = {
    "compress": "common.compress.modules",
    "load_into": "common.compress.modules",
    "open_file": "common.compress.state_files",
}
__all__ = ["compress", "load_into", "open_file"]


def __getattr__(name: str) -> object:
    """Hand on what the modules have when it is asked for: importing this folder loads no torch."""
    if name in _FROM:
        return getattr(importlib.import_module(_FROM[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
