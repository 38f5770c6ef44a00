"""A temporary copy of one member's work, in which it is run; and the course's files before and after the run.

The copy looks like the repository: the package itself, links to the weeks and the capstone, and of the
members' folders only this one. Links, devices and pipes in a member's folder are not copied.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from common.base.files import ROOT
from common.data.cache import user_cache

MAX_FILES = 2000
MAX_BYTES = 128 << 20
_PREFIX = "dnnc-check-"
_MOMENT_S = 60  # a copy that is younger may not have its lock yet


@contextlib.contextmanager
def work_copy(name: str | None, *, root: Path = ROOT) -> Iterator[Path]:
    """A temporary folder that holds what a member's notebook needs; it is deleted afterwards in any case.

    Parameters
    ----------
    name : str or None
        The member; None for nobody's work, for a program of the course that reads a doubtful file.
    root : Path
        The repository.

    Yields
    ------
    Path
        The temporary folder, with ``course/`` (the copy), ``home/`` and ``tmp/`` in it.

    Raises
    ------
    ValueError
        The member's folder is too large to copy.
    """
    _sweep()
    base = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
    lock = _locked(base)
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
        remove(base)
        if lock is not None:
            os.close(lock)


def readable(root: Path = ROOT) -> list[Path]:
    """What a notebook in the copy may read outside of it: the weeks, the capstone, the data sets."""
    places = [*sorted(root.glob("week[0-9][0-9]_*")), root / "capstone", user_cache()]
    return places + ([Path(os.environ["DNNC_DATA"])] if os.environ.get("DNNC_DATA") else [])


def environment(base: Path) -> dict[str, str]:
    """All environment variables of a notebook in the copy: a fixed list, so that no secret is among them."""
    copied = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL", "DNNC_DATA") if key in os.environ}
    return copied | {
        "HOME": str(base / "home"),
        "TMPDIR": str(base / "tmp"),
        "USER": "student",
        "LOGNAME": "student",
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
    """Copy a folder's regular files; returns the paths that were left behind (links, pipes, devices).

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


def snapshot(root: Path = ROOT) -> dict[str, tuple[int, int, int]]:
    """Size, time and mode of the repository's files by path; without git's own files and caches."""
    skipped = {".git", ".venv", "__pycache__", "runs", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints"}
    found = {}
    for place, folders, names in os.walk(root):
        folders[:] = [folder for folder in folders if folder not in skipped]
        for name in names:
            path = os.path.join(place, name)
            with contextlib.suppress(OSError):
                status = os.lstat(path)
                found[os.path.relpath(path, root)] = (status.st_size, status.st_mtime_ns, status.st_mode)
    return found


def changes(before: dict[str, tuple], after: dict[str, tuple]) -> list[str]:
    """The files that are new, gone or changed between two snapshots."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def _copy_font_cache(home: Path) -> None:
    """Matplotlib looks for fonts for seconds, once per home folder: give it the list that it made before."""
    own = Path.home() / (".matplotlib" if sys.platform == "darwin" else ".cache/matplotlib")
    with contextlib.suppress(OSError):
        for path in Path(os.environ.get("MPLCONFIGDIR", own)).glob("fontlist-*.json"):
            shutil.copyfile(path, home / path.name)


def remove(base: Path) -> None:
    """Delete the copy, whatever is in it: unreadable folders, or thousands of folders in each other.

    Each inner folder is moved to the top before it is emptied, so that no path grows too long and nothing
    recurses.
    """
    n_moved, pending = 0, [base]
    with contextlib.suppress(OSError):
        while pending:
            folder = pending.pop()
            os.chmod(folder, 0o700)
            for entry in list(os.scandir(folder)):
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)
                    continue
                place = Path(entry.path)
                if folder != base:
                    n_moved += 1
                    os.chmod(place, 0o700)
                    place = place.rename(base / f".moved-{n_moved}")
                pending.append(place)
            if folder != base:
                os.rmdir(folder)
        os.rmdir(base)


def _locked(base: Path) -> int | None:
    """A lock on the copy that ends with this process; None where the system has none."""
    try:
        import fcntl
    except ImportError:
        return None
    opened = os.open(base, os.O_RDONLY)
    with contextlib.suppress(OSError):
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return opened


def _sweep() -> None:
    """Delete copies whose process was killed before it could: ours, old enough, and locked by nobody."""
    try:
        import fcntl
    except ImportError:
        return
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
                continue
            if time.time() - status.st_mtime < _MOMENT_S:
                continue
            opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(path)
            finally:
                os.close(opened)
