"""Members' folders: made from the template, filled from the assignments, never written over.

A member has ``profile.md``, a folder per week, ``capstone/`` for ``.dcz`` files, and ``presentations/``.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import stat
from pathlib import Path

from common.base.files import ROOT, whole_file
from common.members.roster import account_name, load_roster, read_roster, safe_name

NOTEBOOK = "assignment.ipynb"
_WEEK = re.compile(r"(?:week)?0*([1-9]\d?)")


def week_folder(week: str | int) -> str:
    """The name of a week's folder.

    >>> week_folder(3), week_folder("03"), week_folder("week03")
    ('week03', 'week03', 'week03')
    """
    found = _WEEK.fullmatch(str(week).lower())
    if not found:
        raise ValueError(f"week {week!r}: expected a number such as 3, or week03")
    return f"week{int(found[1]):02}"


def assignments(root: Path = ROOT) -> dict[str, Path]:
    """The students' notebooks by week: ``{"week01": Path(...), ...}``."""
    found = sorted(root.glob(f"week[0-9][0-9]_*/assignment/{NOTEBOOK}"))
    return {path.parents[1].name[:6]: path for path in found}


def member_folder(name: str, root: Path = ROOT) -> Path:
    """The folder of a member, ``members/<name>``: it exists, and is not a link.

    Raises
    ------
    ValueError
        The name is not safe, or there is no such folder.
    """
    folder = root / "members" / safe_name(name)
    if folder.is_symlink() or not folder.is_dir():
        raise ValueError(
            f"members/{name} is not there: `dnnc members new {name}` makes it, once; is it on another branch?"
        )
    return folder


def known_member(name: str, root: Path = ROOT) -> None:
    """Refuse a name that is neither in the roster nor that of a folder.

    Raises
    ------
    ValueError
        The name is not safe, or nobody has it.
    """
    if safe_name(name) not in member_names(root):
        near = difflib.get_close_matches(name, member_names(root), 1)
        hint = f"did you mean {near[0]}?" if near else "`dnnc members new NAME --enrol` writes the roster"
        raise ValueError(f"nobody is named {name}: {hint}")


def member_names(root: Path = ROOT) -> list[str]:
    """All members who have a folder, and those of the roster."""
    found = set()
    for path in (root / "members").iterdir():
        try:
            if path.is_dir() and not path.is_symlink():
                found.add(safe_name(path.name))
        except ValueError:
            continue  # the template, or a folder that nobody could have made with our commands
    return sorted(found | {member.name for member in load_roster(root / "members" / "team.toml").members})


def new_member(
    name: str, *, full_name: str | None = None, team: str | None = None, root: Path = ROOT
) -> list[Path]:
    """Make a member's folder from the template; what is there already stays as it is.

    Parameters
    ----------
    name : str
        A safe name.
    full_name, team : str, optional
        For the profile; by default those of the roster.

    Returns
    -------
    list of Path
        The files that were made.

    Raises
    ------
    ValueError
        The name or the team is not safe.
    """
    listed = load_roster(root / "members" / "team.toml").member(safe_name(name))
    full_name = full_name or (listed and listed.full_name) or name.replace("_", " ").title()
    team = team or (listed and listed.team)
    if team is not None:
        safe_name(team, "team")
    if not full_name.isprintable():
        raise ValueError(f"full name {full_name!r}: expected one line of text")
    template, folder = root / "members" / "template", root / "members" / name
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ValueError(f"members/{name} is there, and is not a folder: remove it, or choose another name")
    made = []
    for source in sorted(path for path in template.rglob("*") if path.is_file()):
        text = source.read_text(encoding="utf-8")
        if source.name == "profile.md":
            text = text.replace("# Your name", f"# {full_name}")
            text = text.replace("- Team:", f"- Team: {team}") if team else text
        target = folder / source.relative_to(template)
        if _write_new(target, text.encode()):
            made.append(target)
    return made


def enrol(
    name: str,
    *,
    full_name: str | None = None,
    team: str | None = None,
    github: str | None = None,
    root: Path = ROOT,
) -> bool:
    """Write a member's block at the end of the roster; False when the roster has the name already.

    Raises
    ------
    ValueError
        The roster would not be valid with it; then it stays as it was.
    """
    path = root / "members" / "team.toml"
    if load_roster(path).member(safe_name(name)):
        return False
    block = roster_block(name, full_name=full_name, team=team, github=github)
    text = f"{path.read_text(encoding='utf-8').rstrip()}\n\n{block}"
    read_roster(text)
    with whole_file(path) as aside:
        aside.write_text(text, encoding="utf-8")
    return True


def roster_block(
    name: str, *, full_name: str | None = None, team: str | None = None, github: str | None = None
) -> str:
    """A member's block for the roster, as TOML; with a comment in place of an account that is not given."""
    quoted = (full_name or name.replace("_", " ").title()).replace("\\", "\\\\").replace('"', '\\"')
    lines = ["[[members]]", f'name = "{safe_name(name)}"', f'full_name = "{quoted}"']
    lines += [f'team = "{safe_name(team, "team")}"'] if team else []
    lines += [f'github = "{account_name(github)}"' if github else '# github = "..." (hand-ins come from it)']
    return "\n".join(lines) + "\n"


def start_week(name: str, week: str | int, *, root: Path = ROOT) -> tuple[Path, bool]:
    """Copy a week's assignment into a member's folder, unless one is there.

    A member who is in the roster but has no folder on this branch yet gets one. It has no profile: that is
    written once, and may be on its way to main on another branch. Where the roster says when the week is due,
    the copy's first text cell says it, too.

    Returns
    -------
    path : Path
        The member's notebook.
    is_new : bool
        False when it was there already, and was left alone.

    Raises
    ------
    ValueError
        There is no such member, or no assignment that week.
    """
    roster, label = load_roster(root / "members" / "team.toml"), week_folder(week)
    known = assignments(root)
    if label not in known:
        raise ValueError(f"{label} has no assignment: there are {', '.join(known) or 'none'}")
    folder = root / "members" / safe_name(name)
    if roster.member(name) is None or folder.is_symlink() or folder.exists():
        folder = member_folder(name, root)
    if (folder / label).is_symlink():
        raise ValueError(f"members/{name}/{label} is a link: remove it, work belongs in a folder")
    target = folder / label / NOTEBOOK
    return target, _write_new(target, with_due_date(known[label].read_bytes(), roster.due_text(label)))


def with_due_date(notebook: bytes, due: str) -> bytes:
    """The notebook with the due date added to its first text cell; unchanged where `due` is empty."""
    if not due:
        return notebook
    content = json.loads(notebook)
    cell = next((one for one in content["cells"] if one["cell_type"] == "markdown"), None)
    if cell is None:
        return notebook
    line = f"**Due:** {due}"
    lines = [cell["source"]] if isinstance(cell["source"], str) else cell["source"]
    cell["source"] = [*lines, f"\n\n{line}"]
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def read_regular(path: Path, most: int) -> bytes:
    """The bytes of a regular file (not a link, pipe or device) of at most `most` bytes.

    Raises
    ------
    ValueError
        It is something else, longer, or cannot be read.
    """
    # O_NONBLOCK: opening a pipe that nobody writes to would wait for ever
    try:
        opened = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        reason = "a link" if path.is_symlink() else error.strerror
        raise ValueError(f"{path.name} cannot be read: {reason}") from error
    status = os.fstat(opened)
    if not stat.S_ISREG(status.st_mode):
        os.close(opened)
        raise ValueError(f"{path.name} is not a regular file")
    with open(opened, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{path.name} has {status.st_size:,} bytes, at most {most:,} are allowed")
    return data


def _write_new(path: Path, data: bytes) -> bool:
    """Write a file that is not there; False when something is there, whoever made it a moment ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:
            try:
                file.write(data)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
    except FileExistsError:
        return False
    return True
