"""The whole pipeline: prune, share weights, Huffman-code, write one file; for the course's or any network.

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
    """Import a name from its module on first use, so that importing this folder does not load torch."""
    if name in _FROM:
        return getattr(importlib.import_module(_FROM[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
