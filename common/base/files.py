"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
