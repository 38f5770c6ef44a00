"""Files that are written whole or not at all, and the folders that the course writes to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # of the repository


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to, which is renamed to `path` when the block ends without error.

    A reader sees the old file or the new one, never a part. When the block raises (an interrupt included),
    what was written is deleted, and the old file stays as it was. The folder is made when missing.

    Parameters
    ----------
    path : path
        Name of the finished file.

    Raises
    ------
    OSError
        When the folder cannot be written to, or `path` is a folder.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "figures.txt"
    >>> with whole_file(path) as aside:
    ...     _ = aside.write_text("9×")
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('9×', 1)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")  # processes may write the same file: one each
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def is_checkout() -> bool:
    """Return whether the package runs from a clone: an installed wheel has no place for outputs beside it."""
    return (ROOT / "pyproject.toml").is_file()


def workplace() -> Path:
    """Return the folder for outputs: the clone that the package runs from, or else the current folder."""
    return ROOT if is_checkout() else Path.cwd()


def needs_checkout(what: str) -> None:
    """Raise ValueError, in one line for the user, unless the package runs from a clone."""
    if not is_checkout():
        raise ValueError(f"{what} needs the course's files: run it in a clone of the repository")


def user_cache() -> Path:
    """Return the cache folder: ``DNNC_CACHE`` if set, or else the platform's (``~/.cache/dnnc`` on Linux).

    For a user without a home folder it is a temporary one.
    """
    import platformdirs  # here, since this module is also imported before anything is installed

    try:
        return Path(os.environ.get("DNNC_CACHE") or platformdirs.user_cache_dir("dnnc")).expanduser()
    except RuntimeError:  # neither HOME nor an entry in the list of users
        return Path(tempfile.gettempdir()) / f"dnnc-{os.getuid() if hasattr(os, 'getuid') else 0}"
