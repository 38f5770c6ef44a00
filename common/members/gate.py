"""The gate: a pull request of a mentee may touch the mentee's own folder, and nothing else.

The roster says which folder belongs to which GitHub account; instructors' accounts may change everything.
Code and roster are those of the base branch, never those of the pull request, and nothing of it is run or
even checked out: git tells what would change. It needs nothing but Python and git::

    python -m common.members.gate AUTHOR BASE HEAD
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from common.members.roster import Roster, RosterError, account_name, load_roster

ROOT = Path(__file__).resolve().parents[2]
MAX_FILES = 200
_LINK, _SUBMODULE, _NOTHING = "120000", "160000", "000000"
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_WEEK = re.compile(r"week[0-9]{2}")
_MAX_SHOWN = 10


@dataclass(frozen=True)
class Change:
    """One path that a pull request adds, changes or deletes; a renaming is two of them.

    Attributes
    ----------
    path : str
        As git spells it, from the top of the repository.
    mode : str
        Git's six digits after the change; ``000000`` when it is deleted.
    n_bytes : int
        After the change.
    """

    path: str
    mode: str = "100644"
    n_bytes: int = 0


@dataclass(frozen=True)
class Decision:
    """Whether a pull request may be merged as far as folders go.

    Attributes
    ----------
    is_allowed : bool
    message : str
        For its author, in markdown.
    member : str
        Whose folder is touched; empty for an instructor, and for a stranger.
    weeks : tuple of str
        That member's weeks with changes in them that are not deletions: ``("week03",)``.
    """

    is_allowed: bool
    message: str
    member: str = ""
    weeks: tuple[str, ...] = field(default=())


def decide(author: str, changes: Sequence[Change], roster: Roster) -> Decision:
    """Judge a pull request.

    Parameters
    ----------
    author : str
        The GitHub account that opened it.
    changes : sequence of Change
        Everything that differs, both sides of a renaming.
    roster : Roster
        That of the base branch.
    """
    try:
        author = account_name(author)
    except ValueError as error:
        return Decision(False, f"Refused: {error}.")
    if roster.is_instructor(author):
        return Decision(True, f"{author} is an instructor, and may change everything.")
    member = roster.of_account(author)
    if member is None:
        return Decision(
            False,
            f"Refused: the roster knows no GitHub account {author}. Ask an instructor to write "
            f'`github = "{author}"` into your block of `members/team.toml`, then let this check run again.',
        )
    folder = f"members/{member.name}"
    problems = [text for change in changes if (text := _problem(change, folder))]
    if len(changes) > MAX_FILES:
        problems.insert(0, f"{len(changes)} files are changed, at most {MAX_FILES} at once")
    if problems:
        shown = [f"- {text}" for text in problems[:_MAX_SHOWN]]
        if len(problems) > _MAX_SHOWN:
            shown.append(f"- and {len(problems) - _MAX_SHOWN} more")
        advice = (
            f"Your work goes to `{folder}/` and nowhere else. To take back what you changed elsewhere: "
            "`git checkout origin/main -- PATH`, commit, push."
        )
        return Decision(False, "\n".join(["Refused:", "", *shown, "", advice]), member.name)
    weeks = {
        parts[2]
        for change in changes
        if change.mode != _NOTHING
        and len(parts := PurePosixPath(change.path).parts) > 3
        and _WEEK.fullmatch(parts[2])
    }
    message = f"{len(changes)} changed file{'s' * (len(changes) != 1)}, all in `{folder}/`."
    return Decision(True, message, member.name, tuple(sorted(weeks)))


def _problem(change: Change, folder: str) -> str:
    """What is wrong with a change, empty when nothing is; the path is shown so that it cannot mislead."""
    shown = f"`{ascii(change.path)[1:-1].replace('`', '?')[:120]}`"
    parts = change.path.split("/")
    if not change.path.isprintable() or "\\" in change.path or {"", ".", ".."} & set(parts):
        return f"{shown} is no path for work: plain names, please"
    if not change.path.startswith(f"{folder}/"):
        return f"{shown} is outside your folder"
    if any(part.lower().startswith(".git") for part in parts):
        return f"{shown} would change how git or GitHub behaves"
    if change.mode == _LINK:
        return f"{shown} is a symbolic link: commit the file itself"
    if change.mode == _SUBMODULE:
        return f"{shown} is a repository of its own: delete its `.git` folder, and add the files"
    most = _most_bytes(parts)
    if change.n_bytes > most:
        return f"{shown} has {change.n_bytes:,} bytes, at most {most:,} are allowed there"
    return ""


def _most_bytes(parts: Sequence[str]) -> int:
    """16 MB for the leaderboard's files, 8 MB for slides, 1 MB for all else: notebooks with small figures."""
    if parts[2] == "capstone" and parts[-1].endswith(".dcz"):
        return 16 << 20
    return 8 << 20 if parts[2] == "presentations" else 1_000_000


def changes_between(base: str, head: str, root: Path = ROOT) -> list[Change]:
    """What `head` changes since it left `base`, told by git without checking anything out.

    Raises
    ------
    ValueError
        Not full commit ids, or git does not know them.
    """
    for commit in (base, head):
        if not _COMMIT.fullmatch(commit):
            raise ValueError(f"commit {commit[:80]!r}: expected all of its hexadecimal digits")
    raw = _git(root, "diff", "--raw", "-z", "--no-renames", "--no-abbrev", f"{base}...{head}")
    fields = raw.decode("utf-8", "surrogateescape").split("\0")
    found = []
    for head_line, path in zip(fields[0::2], fields[1::2], strict=False):
        _, mode, _, blob, _ = head_line.split(" ")
        found.append((path, mode, blob))
    blobs = "".join(f"{blob}\n" for _, mode, blob in found if mode not in (_NOTHING, _SUBMODULE))
    told = _git(root, "cat-file", "--batch-check=%(objectname) %(objectsize)", text=blobs) if blobs else b""
    sizes = dict(line.split(" ") for line in told.decode().splitlines())
    return [Change(path, mode, int(sizes.get(blob, 0))) for path, mode, blob in found]


def _git(root: Path, *arguments: str, text: str = "") -> bytes:
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=120)
    if done.returncode:
        raise ValueError(f"git {arguments[0]}: {done.stderr.decode(errors='replace').strip()[:200]}")
    return done.stdout


def judge_pull_request(author: str, base: str, head: str, root: Path = ROOT) -> Decision:
    """The decision about a pull request, by the roster in `root`; a roster that is broken allows nothing."""
    try:
        roster = load_roster(root / "members" / "team.toml")
        return decide(author, changes_between(base, head, root), roster)
    except RosterError as error:
        return Decision(
            False, f"Refused: the roster of the main branch is broken; tell an instructor: {error}"
        )
    except ValueError as error:
        return Decision(False, f"Refused: {error}")


def main(arguments: Sequence[str]) -> int:
    """Say the decision; on GitHub also in the job's summary, with the member and weeks as its outputs."""
    decision = judge_pull_request(*arguments)
    print(decision.message)
    for variable, text in (
        ("GITHUB_STEP_SUMMARY", f"### Hand-in\n\n{decision.message}\n"),
        ("GITHUB_OUTPUT", f"member={decision.member}\nweeks={' '.join(decision.weeks)}\n"),
    ):
        if os.environ.get(variable):
            with open(os.environ[variable], "a", encoding="utf-8") as file:
                file.write(text)
    return 0 if decision.is_allowed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
