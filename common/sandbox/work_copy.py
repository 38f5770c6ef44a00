"""A temporary copy of one member's work, in which it is run; and the course as it was before and after.

The copy looks like the repository: the package itself, links to the weeks and the capstone, and of the
members' folders only this one. Links, devices and pipes in it are left behind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from common.data.cache import user_cache

ROOT = Path(__file__).resolve().parents[2]
MAX_FILES = 2000
MAX_BYTES = 128 << 20


@contextlib.contextmanager
def work_copy(name: str | None, *, root: Path = ROOT) -> Iterator[Path]:
    """A temporary folder that holds what a member's notebook needs; gone afterwards, whatever happened.

    With None for a name it holds nobody's work: for a program of the course that reads a doubtful file.

    Raises
    ------
    ValueError
        The member's folder is too large to copy.
    """
    base = Path(tempfile.mkdtemp(prefix="dnnc-check-")).resolve()
    try:
        copy = base / "course"
        shutil.copytree(root / "common", copy / "common")
        for path in [*sorted(root.glob("week[0-9][0-9]_*")), root / "capstone"]:
            if path.is_dir():
                (copy / path.name).symlink_to(path.resolve(), target_is_directory=True)
        if name is not None:
            copy_regular(root / "members" / name, copy / "members" / name)
        for place in ("home", "tmp"):
            (base / place).mkdir()
        _copy_font_cache(base / "home")
        yield base
    finally:
        _remove(base)


def environment(base: Path) -> dict[str, str]:
    """All that a notebook in the copy finds in its environment: no secret is among it."""
    copied = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL", "DNNC_DATA") if key in os.environ}
    return copied | {
        "HOME": str(base / "home"),
        "TMPDIR": str(base / "tmp"),
        "PYTHONPATH": str(base / "course"),
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "IPYTHONDIR": str(base / "home" / "ipython"),
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": str(base / "home"),
        "DNNC_CACHE": str(user_cache()),
        "DNNC_OFFLINE": "1",
        "DNNC_QUIET": "1",
        "OMP_NUM_THREADS": "2",
        "CUDA_VISIBLE_DEVICES": "",
    }


def copy_regular(source: Path, target: Path) -> list[str]:
    """Copy a folder's regular files; what was left behind (links, pipes, devices).

    Raises
    ------
    ValueError
        More than 2000 files or 128 MB.
    """
    left, n_files, n_bytes = [], 0, 0
    target.mkdir(parents=True)
    for place, folders, names in os.walk(source):
        inside = Path(place).relative_to(source)
        for folder in [*folders]:
            if (Path(place) / folder).is_symlink():
                folders.remove(folder)
                left.append((inside / folder).as_posix())
            else:
                (target / inside / folder).mkdir()
        for name in names:
            path = Path(place) / name
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                left.append((inside / name).as_posix())
                continue
            n_files, n_bytes = n_files + 1, n_bytes + status.st_size
            if n_files > MAX_FILES or n_bytes > MAX_BYTES:
                raise ValueError(
                    f"{source.name} holds more than {MAX_FILES} files or {MAX_BYTES >> 20} MB: "
                    "too much for homework"
                )
            shutil.copyfile(path, target / inside / name, follow_symlinks=False)
    return left


def snapshot(root: Path = ROOT) -> dict[str, tuple[int, int]]:
    """Size and time of every file of the repository but git's own and what can be made anew (caches)."""
    skipped = {".git", ".venv", "__pycache__", "runs", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints"}
    found = {}
    for place, folders, names in os.walk(root):
        folders[:] = [folder for folder in folders if folder not in skipped]
        for name in names:
            path = os.path.join(place, name)
            with contextlib.suppress(OSError):
                status = os.lstat(path)
                found[os.path.relpath(path, root)] = (status.st_size, status.st_mtime_ns)
    return found


def changes(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> list[str]:
    """The files that are new, gone or changed between two snapshots."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def _copy_font_cache(home: Path) -> None:
    """Matplotlib looks for fonts for seconds, once a home: give it what it found before."""
    own = Path.home() / (".matplotlib" if sys.platform == "darwin" else ".cache/matplotlib")
    with contextlib.suppress(OSError):
        for path in Path(os.environ.get("MPLCONFIGDIR", own)).glob("fontlist-*.json"):
            shutil.copyfile(path, home / path.name)


def _remove(base: Path) -> None:
    """Delete the copy, folders that were made unreadable included."""

    def again(function, path, _) -> None:
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(path), 0o700)
            os.chmod(path, 0o700)
            function(path)

    shutil.rmtree(base, **{"onexc" if sys.version_info >= (3, 12) else "onerror": again})
