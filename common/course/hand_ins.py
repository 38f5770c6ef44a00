"""When something was last handed in: the day of the last commit that touched it, else that of the file."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_NOT_WORK = ("README.md", ".gitkeep")


def hand_ins(root: Path = ROOT) -> dict[tuple[str, str], datetime]:
    """The last hand-in by member and folder: ``{("ada", "week01"): ...}``; the template's files are none.

    Parameters
    ----------
    root : Path
        The repository; without git, or for what is not committed yet, the files' own times count.
    """
    committed = _commit_times(root)
    found: dict[tuple[str, str], datetime] = {}
    for place, folders, names in os.walk(root / "members"):
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
        for name in names:
            path = Path(place) / name
            parts = path.relative_to(root / "members").parts
            if len(parts) < 3 or name in _NOT_WORK or name.startswith(".") or path.is_symlink():
                continue
            when = committed.get(path.relative_to(root).as_posix())
            if when is None:
                when = datetime.fromtimestamp(path.lstat().st_mtime, UTC)
            key = (parts[0], parts[1])
            found[key] = max(when, found.get(key, when))
    return found


def _commit_times(root: Path) -> dict[str, datetime]:
    """Each file's last commit; empty outside git."""
    command = ["git", "-C", str(root), "log", "--format=%x01%cI", "--name-only", "-z", "--", "members"]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return {}
    found: dict[str, datetime] = {}
    for commit in done.stdout.decode(errors="replace").split("\x01")[1:]:
        head, _, names = commit.partition("\0")
        for name in names.replace("\n", "").split("\0"):
            found.setdefault(name, datetime.fromisoformat(head.strip()).astimezone(UTC))
    return found
