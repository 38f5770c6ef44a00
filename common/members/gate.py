"""The gate: a pull request of a mentee may touch the mentee's own folder, and nothing else.

The roster says which folder belongs to which GitHub account; instructors' accounts may change everything.
Code and roster are those of the base branch, never those of the pull request. Nothing of the pull request is
run or even checked out: git lists what would change. The gate judges the tree that merging would make, not
only the difference to one common ancestor: a history with several ancestors can be arranged so that git picks
the one that hides a change. The limit of bytes is for all files of the history that would come to main, also
for those that a later commit removes again. The gate needs nothing but Python and git (2.38 or newer)::

    python -m common.members.gate AUTHOR BASE HEAD
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from common.base.files import ROOT
from common.members.roster import Roster, RosterError, account_name, is_device, load_roster

MAX_FILES = 200
MAX_BYTES = 64 << 20  # of a pull request, all versions of all files together
MAX_ENTRIES = 3  # .dcz files of a member
MAX_PATH, MAX_PART = 150, 80  # characters: Windows allows about 260 for a whole path, clone's folder included
_LINK, _SUBMODULE, _NOTHING = "120000", "160000", "000000"
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_WEEK = re.compile(r"week[0-9]{2}")
_SHORT_GIT = re.compile(r"git~[0-9]+", re.IGNORECASE)  # what Windows may call .git
_NOT_ON_WINDOWS = set('<>:"|?*')
_MAX_SHOWN = 10


@dataclass(frozen=True)
class Change:
    """One path that a pull request adds, changes or deletes; a renaming is two of them.

    Attributes
    ----------
    path : str
        As git writes it, from the top of the repository.
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
        That member's weeks with changes in them that are not deletions: ``("week03",)``; ``capstone`` comes
        last where a ``.dcz`` file changed.
    """

    is_allowed: bool
    message: str
    member: str = ""
    weeks: tuple[str, ...] = field(default=())


def decide(
    author: str,
    changes: Sequence[Change],
    roster: Roster,
    *,
    history: Sequence[Change] = (),
    kept: Sequence[str] | None = None,
) -> Decision:
    """Judge a pull request by what it changes; the message says what is refused, and what to do.

    Parameters
    ----------
    author : str
        The GitHub account that opened it.
    changes : sequence of Change
        Everything that differs, both sides of a renaming.
    roster : Roster
        That of the base branch.
    history : sequence of Change
        Every version of every file that its commits bring.
    kept : sequence of str, optional
        All paths of the author's folder after the merge; by default those of `changes`.
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
            f'`github = "{author}"` into your block of `members/team.toml`, then let this check run again. '
            "If this is not a hand-in but a contribution to the course: an instructor reads it, and decides.",
        )
    folder = f"members/{member.name}"
    if kept is None:
        kept = [change.path for change in changes if change.mode != _NOTHING]
    problems = [text for change in changes if (text := _problem(change, folder))]
    problems += _twins(kept)
    entries = [path for path in kept if _is_entry(path.split("/"))]
    if len(entries) > MAX_ENTRIES:
        problems.append(
            f"`{folder}/capstone/` would hold {len(entries)} .dcz files, at most {MAX_ENTRIES} are allowed"
        )
    if len(changes) > MAX_FILES:
        problems.insert(0, f"{len(changes)} files are changed, at most {MAX_FILES} at once")
    problems += _too_heavy(history or changes, {(change.path, change.n_bytes) for change in changes})
    if problems:
        shown = [f"- {text}" for text in problems[:_MAX_SHOWN]]
        if len(problems) > _MAX_SHOWN:
            shown.append(f"- and {len(problems) - _MAX_SHOWN} more")
        advice = (
            f"Your work goes to `{folder}/` and nowhere else. To take back what you changed elsewhere: "
            "`git checkout origin/main -- PATH`, commit, push."
        )
        return Decision(False, "\n".join(["Refused:", "", *shown, "", advice]), member.name)
    changed = [change.path.split("/") for change in changes if change.mode != _NOTHING]
    weeks = sorted({parts[2] for parts in changed if len(parts) > 3 and _WEEK.fullmatch(parts[2])})
    weeks += ["capstone"] * any(map(_is_entry, changed))
    message = f"{len(changes)} changed file{'s' * (len(changes) != 1)}, all in `{folder}/`."
    return Decision(True, message, member.name, tuple(weeks))


def _problem(change: Change, folder: str) -> str:
    """What is wrong with a change, empty when nothing is."""
    shown, parts = _shown(change.path), change.path.split("/")
    if not change.path.isprintable() or "\\" in change.path or {"", ".", ".."} & set(parts):
        return f"{shown} is not a path for work: use plain names"
    if not change.path.startswith(f"{folder}/"):
        return f"{shown} is outside your folder"
    if any(part.lower().startswith(".git") or _SHORT_GIT.fullmatch(part) for part in parts):
        return f"{shown} would change how git or GitHub behaves"
    if change.mode == _NOTHING:
        return ""  # a deletion is allowed, whatever the file's name
    if change.mode == _LINK:
        return f"{shown} is a symbolic link: commit the file itself"
    if change.mode == _SUBMODULE:
        return f"{shown} is a repository of its own: delete its `.git` folder, and add the files"
    if any(_is_unsafe(part) for part in parts):
        return (
            f'{shown} cannot be a file on Windows: no reserved names (`con`, `aux`, ...), none of `<>:"|?*`'
        )
    if len(change.path) > MAX_PATH or any(len(part) > MAX_PART for part in parts):
        return f"{shown} is too long: at most {MAX_PATH} characters, {MAX_PART} for each name in it"
    most = _most_bytes(parts)
    if change.n_bytes > most:
        return f"{shown} has {change.n_bytes:,} bytes, at most {most:,} are allowed there"
    return ""


def _shown(path: str) -> str:
    """The path, so that it cannot mislead."""
    return f"`{ascii(path)[1:-1].replace('`', '?')[:120]}`"


def _is_unsafe(part: str) -> bool:
    """A name that Windows has no file for: a checkout with it fails for the whole class."""
    return is_device(part.split(".")[0].rstrip()) or part[-1] in ". " or bool(_NOT_ON_WINDOWS & set(part))


def _twins(paths: Iterable[str]) -> list[str]:
    """Names that are one file on macOS or Windows: they differ only in case or in Unicode's normal form."""
    known: dict[str, str] = {}
    problems = []
    every = {str(one) for given in paths for one in (given, *PurePosixPath(given).parents)}
    for path in sorted(every):
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())
        if known.setdefault(folded, path) != path:
            problems.append(f"{_shown(path)} and {_shown(known[folded])} are one file on Windows and macOS")
    return problems


def _too_heavy(history: Sequence[Change], told: set[tuple[str, int]]) -> list[str]:
    """Versions of files that are too large although they are gone by the last commit, and the sum of all."""
    problems = [
        f"an earlier commit holds {_shown(change.path)} with {change.n_bytes:,} bytes: it would stay in the "
        f"history; make a new branch from main, copy the files that count, commit them at once"
        for change in history
        if (change.path, change.n_bytes) not in told and change.n_bytes > _most_bytes(change.path.split("/"))
    ]
    total = sum(change.n_bytes for change in history)
    if total > MAX_BYTES:
        problems.append(f"all versions of all files together have {total:,} bytes, at most {MAX_BYTES:,}")
    return problems


def _is_entry(parts: Sequence[str]) -> bool:
    """Whether a path is a file for the leaderboard."""
    return len(parts) == 4 and parts[2] == "capstone" and parts[-1].lower().endswith(".dcz")


def _most_bytes(parts: Sequence[str]) -> int:
    """16 MB for the leaderboard's files, 8 MB for slides, 1 MB for all else: notebooks with small figures."""
    if _is_entry(parts):
        return 16 << 20
    return 8 << 20 if parts[2:3] == ["presentations"] else 1_000_000


def changes_between(base: str, head: str, root: Path = ROOT) -> list[Change]:
    """What merging `head` into `base` would change; git finds it without checking anything out.

    Raises
    ------
    ValueError
        They are not full commit ids, git does not know them, they have several common ancestors or none, or
        they conflict.
    """
    for commit in (base, head):
        if not _COMMIT.fullmatch(commit):
            raise ValueError(f"commit {commit[:80]!r}: expected all of its hexadecimal digits")
    return _changes(base, _merged_tree(base, head, root), root)


def _merged_tree(base: str, head: str, root: Path) -> str:
    """The tree that merging would make."""
    again = (
        "make a new branch from main (`git switch -c NEW origin/main`), copy your folder to it "
        "(`git checkout OLD -- members/YOU`), commit, push"
    )
    ancestors = _git(root, "merge-base", "--all", base, head, may_fail=True).split()
    if len(ancestors) != 1:
        found = f"{len(ancestors)} common ancestors" if ancestors else "no common ancestor"
        raise ValueError(f"this branch and main have {found}, expected one: {again}")
    merged = _git(root, "merge-tree", "--write-tree", "--no-messages", base, head, may_fail=True)
    lines = merged.decode(errors="replace").splitlines()
    if len(lines) != 1 or not _COMMIT.fullmatch(lines[0]):
        raise ValueError(f"this branch conflicts with main, which has changed your folder meanwhile: {again}")
    return lines[0]


def _changes(base: str, tree: str, root: Path) -> list[Change]:
    raw = _git(root, "diff-tree", "-r", "--raw", "-z", "--no-renames", "--no-abbrev", base, tree)
    fields = raw.decode("utf-8", "surrogateescape").split("\0")
    found = []
    for head_line, path in zip(fields[0::2], fields[1::2], strict=False):
        _, mode, _, blob, _ = head_line.split(" ")
        found.append((Change(path, mode), blob))
    return _weighed(found, root)


def _weighed(found: list[tuple[Change, str]], root: Path) -> list[Change]:
    """Changes with the bytes of their blobs; of other objects (trees, submodules) none."""
    blobs = "".join(f"{blob}\n" for change, blob in found if change.mode not in (_NOTHING, _SUBMODULE))
    check = "--batch-check=%(objectname) %(objecttype) %(objectsize)"
    told = _git(root, "cat-file", check, text=blobs).decode().splitlines() if blobs else []
    sizes = {name: int(size) for name, kind, size in map(str.split, told) if kind == "blob"}
    return [replace(change, n_bytes=sizes.get(blob, 0)) for change, blob in found]


def history_between(base: str, head: str, root: Path = ROOT) -> list[Change]:
    """Every version of every file that the commits of `head` bring to `base`, with its bytes."""
    listed = _git(root, "rev-list", "--objects", f"{base}..{head}").decode("utf-8", "surrogateescape")
    named = [line.partition(" ") for line in listed.splitlines()]
    return [
        one
        for one in _weighed([(Change(path), blob) for blob, _, path in named if path], root)
        if one.n_bytes
    ]


def _folder_paths(tree: str, folder: str, root: Path) -> list[str]:
    listed = _git(root, "ls-tree", "-r", "-z", "--name-only", tree, "--", f"{folder}/")
    return [path for path in listed.decode("utf-8", "surrogateescape").split("\0") if path]


def _git(root: Path, *arguments: str, text: str = "", may_fail: bool = False) -> bytes:
    """What git prints; with `may_fail` an exit code of 1 is an answer, too."""
    command = ["git", "-C", str(root), "-c", "core.quotePath=false", *arguments]
    done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=120)
    if done.returncode > may_fail or done.returncode < 0:
        raise ValueError(f"git {arguments[0]}: {done.stderr.decode(errors='replace').strip()[:200]}")
    return done.stdout


def judge_pull_request(author: str, base: str, head: str, root: Path = ROOT) -> Decision:
    """The decision about a pull request, by the roster in `root`; a roster that is broken allows nothing.

    Parameters
    ----------
    author : str
        The GitHub account that opened it.
    base, head : str
        Full commit ids: main, and what is to be merged.
    root : Path
        A clone that has both commits.
    """
    try:
        roster = load_roster(root / "members" / "team.toml")
        if roster.is_instructor(author):
            return decide(author, (), roster)
        changes = changes_between(base, head, root)
        # what differs from the common ancestor: GitHub shows this, so both have to be all right
        ancestor = _git(root, "merge-base", base, head).decode().strip()
        changes = list(dict.fromkeys([*changes, *_changes(ancestor, head, root)]))
        member = roster.of_account(author)
        folder = f"members/{member.name}" if member else "members"
        kept = _folder_paths(_merged_tree(base, head, root), folder, root)
        return decide(author, changes, roster, history=history_between(base, head, root), kept=kept)
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
