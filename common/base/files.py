"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # of the repository


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a path beside `path` to write to, which takes its name when the block ends well.

    Whoever looks sees the old file or the new one. When the block raises, an interrupt included, what was
    written is deleted, and the old file stands as it was. The folder is made when missing.

    Parameters
    ----------
    path : path
        Where the file is to be.

    Raises
    ------
    OSError
        The folder cannot be written, or `path` is a folder.

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
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")  # processes that write the same file: one each
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def is_checkout() -> bool:
    """Whether the package runs from a clone: an installed wheel has no place for outputs beside it."""
    return (ROOT / "pyproject.toml").is_file()


def workplace() -> Path:
    """Where outputs go: the clone that the package runs from, or the present folder; never site-packages."""
    return ROOT if is_checkout() else Path.cwd()


def needs_checkout(what: str) -> None:
    """Raise ValueError, in one line for people, where there is no clone."""
    if not is_checkout():
        raise ValueError(f"{what} needs the course's files: run it in a clone of the repository")


def user_cache() -> Path:
    """The cache folder: ``DNNC_CACHE`` if set, else the platform's (``~/.cache/dnnc`` on Linux).

    A user without a home folder has a temporary one.
    """
    import platformdirs  # the gate of the members' folders runs before anything is installed

    try:
        return Path(os.environ.get("DNNC_CACHE") or platformdirs.user_cache_dir("dnnc")).expanduser()
    except RuntimeError:  # neither HOME nor an entry in the list of users
        return Path(tempfile.gettempdir()) / f"dnnc-{os.getuid() if hasattr(os, 'getuid') else 0}"
