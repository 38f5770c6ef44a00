"""`numba.njit` with a cache, so that loops are compiled once and not in every run, wherever that is possible.

numba stores compiled code beside the source, or below the home folder. Where neither can be written (a
package that somebody else has installed, a user without a home), it raises at import. Here the course's own
cache folder is tried next, then a temporary one; without any, the code is compiled again in every run.

Compiled code is read back with pickle, which can run anything. So a folder into which other users may write
is never used.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numba
from numba.core import config

from common.base import compiling as compiling  # prints a notice before the first compilation
from common.base.files import user_cache

# The folder that was found for the first function is used for all; `dnnc doctor` shows it.
_found: dict[str, object] = {}


def njit(function: Callable | None = None, **options) -> Callable:
    """Compile as `numba.njit`, with a cache where possible; a decorator with or without options."""
    if function is None:
        return lambda decorated: njit(decorated, **options)
    for folder in _folders():
        try:
            with _cache_in(folder):
                compiled = numba.njit(cache=True, **options)(function)
        except RuntimeError:  # "no locator available": this place will not do
            continue
        _found.setdefault("where", folder)
        _bear_a_broken_cache(compiled)
        return compiled
    _found.setdefault("where", "")
    return numba.njit(**options)(function)


kernel = njit(nogil=True, error_model="numpy")


def cache_place() -> str:
    """Return where compiled code is kept, in words for the user."""
    where = _found.get("where")
    if where is None:
        return os.environ.get("NUMBA_CACHE_DIR") or "beside the source"
    return str(where) if where else "nowhere: compiled again in every run, some ten seconds"


def _folders() -> Iterator[Path | None]:
    """Yield the folders to try; None is numba's own choice."""
    if "where" in _found:
        if _found["where"] != "":
            yield _found["where"]
        return
    yield None
    for candidate in (user_cache() / "compiled", Path(tempfile.gettempdir()) / f"dnnc-compiled-{_user()}"):
        if _is_private(candidate):
            yield candidate


@contextmanager
def _cache_in(folder: Path | None) -> Iterator[None]:
    """Set numba's cache folder for one decoration; functions of other packages keep theirs."""
    before = config.CACHE_DIR
    if folder is not None:
        config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        config.CACHE_DIR = before


def _is_private(folder: Path) -> bool:
    """Return whether the folder exists (or could be made) and this user alone owns it and may write to it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    if not stat.S_ISDIR(found.st_mode):
        return False
    if not hasattr(os, "getuid"):
        return True
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _bear_a_broken_cache(compiled: Callable) -> None:
    """Let a full disk or a truncated file lead to a new compilation, not to an error."""
    cache = getattr(compiled, "_cache", None)
    if not (hasattr(cache, "load_overload") and hasattr(cache, "save_overload")):
        return
    load, save = cache.load_overload, cache.save_overload

    def load_overload(*arguments):
        try:
            return load(*arguments)
        except Exception:  # whatever pickle makes of a damaged file
            return None

    def save_overload(*arguments):
        try:
            save(*arguments)
        except OSError:
            pass

    cache.load_overload, cache.save_overload = load_overload, save_overload
