"""The mentees' edition: this course without its answers, ready to be pushed as a group's repository.

Made from the files that git holds (in an unpacked archive, from all that are there), with these changes:

- In the lectures a region from ``# solution: <reminder>`` to ``# end solution`` is a ``# TODO`` line and a
  stub that raises `NotImplementedError`. What cells print is cleared from a lecture's first prediction on: a
  later figure, on the same screen as the question, would answer it. A prediction's cell has no asserts, which
  would name the answer before it is run.
- No answer key: no ``assignment/source.py``, no tests, and a Makefile without them.
- README, Makefile and CONTRIBUTING are a mentee's; badges, first cells and addresses name the group's
  repository.
- ``members/`` has the template, its README and a roster; nobody's work.

The same course and address give the same bytes. ``.dnnc-release.json`` in the edition lists what was written,
with digests: a later release removes what is no longer part of it, and says what changed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from common.base.files import ROOT
from common.members.solutions import without_asserts, without_solutions

MANIFEST = ".dnnc-release.json"
_TEMPLATES = Path(__file__).with_name("templates")
_LEFT_OUT = re.compile(
    r"^(tests|\.ci|tools|runs|attendance)/"
    r"|(^|/)conftest\.py$|^(CHANGELOG\.md|\.github/workflows/(test|site)\.yml)$"
    r"|^week\d\d_[^/]+/assignment/source\.py$"
    r"|^members/(?!template/|README\.md$|team\.toml$|team_example\.toml$)"
    r"|(^|/)(\.git|\.venv|__pycache__|\.ipynb_checkpoints|[^/]+\.egg-info)/"
)
# what the first cell, the set-up and Colab need
_TOOLS = ("tools/first_cell.py", "tools/install_missing.py", "tools/setup.sh")
_KEPT = ("members/team.toml",)  # written once; from then on it is the group's own
_LEFT_ALONE = re.compile(
    r"^\.git/|^members/(?!template/|README\.md$|team_example\.toml$)"
)  # whatever a list says
_CLEARED = {"predict", "exercise", "check"}
_QUESTION = "My prediction: …"
_LECTURE = re.compile(r"^(week\d\d_[^/]+|capstone)/[^/]+\.ipynb$")


@dataclass(frozen=True)
class Release:
    """What a release did to a folder; paths from its top, sorted.

    Attributes
    ----------
    new, changed, removed : tuple of str
        Files that the edition did not have, had with other content, or no longer has.
    overwritten : tuple of str
        Those among `changed` and `removed` that somebody had edited there since the last release.
    kept : tuple of str
        The roster and the members' folders, left as they were.
    """

    new: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    overwritten: tuple[str, ...]
    kept: tuple[str, ...]

    def table(self) -> str:
        """The release in words: counts, and the first names of each kind."""
        lines = []
        for what in ("new", "changed", "removed", "overwritten", "kept"):
            names = getattr(self, what)
            if names:
                more = f", and {len(names) - 12} more" if len(names) > 12 else ""
                lines.append(f"{what}: {len(names)} ({', '.join(names[:12])}{more})")
        if self.overwritten:
            lines.append("overwritten files had been edited in the edition: git there still has the edits")
        if not (self.new or self.changed or self.removed):
            lines.insert(0, "nothing changed")
        return "\n".join(lines)


def release(folder: str | Path, repository: str, *, root: Path = ROOT) -> Release:
    """Make the mentees' edition, or renew one; either all of it is written or nothing.

    Parameters
    ----------
    folder : path
        New or empty, or one that an earlier release made. Its ``.git`` and ``members/`` stay.
    repository : str
        The group's repository, ``https://github.com/<owner>/<name>``.

    Returns
    -------
    Release

    Raises
    ------
    ValueError
        The address is not a GitHub repository's; the folder is in use, or inside the course; a solution
        region is broken.
    OSError
        The folder cannot be written.
    """
    folder = Path(folder).absolute()
    url = _address(repository)
    before = _manifest_of(folder, root)
    files = {name: data for name, data in edition(url, root=root).items() if not _is_kept(folder, name)}
    digests = {
        name: hashlib.sha256(data).hexdigest()
        for name, (data, _) in sorted(files.items())
        if name not in _KEPT
    }
    note = {"edition": "mentees", "repository": url, "files": digests}
    files[MANIFEST] = ((json.dumps(note, indent=1) + "\n").encode(), False)

    gone = sorted(
        name
        for name in before
        if name not in files and not _LEFT_ALONE.search(name) and _is_file(folder / name)
    )
    there = {name: (folder / name).read_bytes() for name in files if _is_file(folder / name)}
    changed = sorted(name for name in there if there[name] != files[name][0] and name != MANIFEST)
    edited = [
        name
        for name in [*changed, *gone]
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != before.get(name)
    ]
    _write(folder, files, gone)
    return Release(
        new=tuple(sorted(name for name in files if name not in there and name != MANIFEST)),
        changed=tuple(changed),
        removed=tuple(gone),
        overwritten=tuple(sorted(edited)),
        kept=tuple(_kept(folder)),
    )


def edition(url: str, *, root: Path = ROOT) -> dict[str, tuple[bytes, bool]]:
    """All files of the mentees' edition: path -> (bytes, whether it is executable).

    Parameters
    ----------
    url : str
        The group's repository.
    root : Path
        This course.

    Raises
    ------
    ValueError
        A solution region in a lecture is broken.
    """
    folder = url.rpartition("/")[2]  # that a clone makes
    with tempfile.TemporaryDirectory(prefix="dnnc-release-") as aside:
        stage = Path(aside) / "course"
        for name in _course_files(root):
            target = stage / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, target)  # with its mode
            if rewrite := _rewriter(name, folder):
                target.write_text(rewrite(target.read_text(encoding="utf-8"), name), encoding="utf-8")
        pyproject = stage / "pyproject.toml"
        text = re.sub(r'^(Repository = ")[^"]*', rf"\g<1>{url}", pyproject.read_text(), flags=re.MULTILINE)
        pyproject.write_text(text)
        (stage / "Makefile").write_text((_TEMPLATES / "mentees.mk").read_text())
        readme = (_TEMPLATES / "mentees_readme.md").read_text()
        (stage / "README.md").write_text(readme.format(url=url, name=folder, lectures=_lecture_tables(stage)))
        badges = _tool("badges", root)
        for path, renewed in badges.renewed_files(stage).items():
            path.write_text(renewed, encoding="utf-8")
        found = sorted(path for path in stage.rglob("*") if path.is_file())
        return {
            path.relative_to(stage).as_posix(): (path.read_bytes(), bool(path.stat().st_mode & 0o100))
            for path in found
        }


def mentees_notebook(text: str, name: str = "notebook") -> str:
    """A lecture's notebook with stubs for its solutions, and without what would answer its predictions.

    Parameters
    ----------
    text : str
        The notebook as JSON, tagged by ``tools/notebook_tags.py``.
    name : str
        For messages.

    Raises
    ------
    ValueError
        A solution region is broken, or a cell with one is not tagged.
    """
    notebook = json.loads(text)
    asked = False
    for number, cell in enumerate(notebook["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] != "code":
            asked = asked or _QUESTION in source
            continue
        tags = set(cell["metadata"].get("tags", []))
        try:
            stub = without_solutions(source, todo=True)
        except ValueError as error:
            raise ValueError(f"{name}, cell {number}: {error}") from None
        if stub != source.rstrip("\n") and "exercise" not in tags:
            raise ValueError(f"{name}, cell {number}: a solution without the tag `exercise`: run `make tags`")
        if "exercise" in tags:
            cell["source"] = stub.splitlines(keepends=True)
        if "predict" in tags:
            cell["source"] = without_asserts(source).splitlines(keepends=True)
        if asked or tags & _CLEARED:
            cell["outputs"], cell["execution_count"] = [], None
            jupyter = cell["metadata"].get("jupyter", {})
            jupyter.pop("outputs_hidden", None)
            if not jupyter:
                cell["metadata"].pop("jupyter", None)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _address(repository: str) -> str:
    url = repository.removesuffix("/").removesuffix(".git")
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
        raise ValueError(
            f"repository {repository!r}: expected https://github.com/<owner>/<name>, as Colab wants"
        )
    return url


def _course_files(root: Path) -> list[str]:
    """The files that the edition takes over, from the repository's top."""
    if (root / ".git").exists():
        listing = ["git", "ls-files", "-z"]
        done = subprocess.run(listing, cwd=root, check=True, capture_output=True, text=True)
        names = [name for name in done.stdout.split("\0") if name]
    else:
        names = [path.relative_to(root).as_posix() for path in root.rglob("*")]
    taken = [name for name in names if name in _TOOLS or not _LEFT_OUT.search(name)]
    return sorted(name for name in taken if _is_file(root / name))


def _rewriter(name: str, folder: str) -> Callable[[str, str], str] | None:
    """How a file's text is changed, if it is; `folder` is what a clone of the edition is called."""
    if _LECTURE.match(name):
        return mentees_notebook
    if name == "CONTRIBUTING.md":
        return lambda text, _: _mentees_way(text, folder)
    if name == "members/team.toml":
        return lambda text, _: re.sub(
            r"^instructors = \[.*\]$", "instructors = []", _no_members(text), flags=re.M
        )
    return None


def _mentees_way(text: str, folder: str) -> str:
    """CONTRIBUTING.md without the part for developers, naming the folder and the forks of the edition."""
    text = text.partition("## Everyone else")[0].rstrip() + "\n"
    text = re.sub(r"(?m)^(git clone \S+ && cd )\S+$", rf"\g<1>{folder}", text)
    return re.sub(r"(https://github\.com/YOU/)[\w.-]+", rf"\g<1>{folder}", text)


def _no_members(roster: str) -> str:
    """The roster without the blocks of this course's own members; comments and schedule stay."""
    return re.sub(r"^\[\[members\]\]\n(?:(?!\[|#).*\n)*", "", roster, flags=re.MULTILINE)


def _lecture_tables(stage: Path) -> str:
    """A table of the weeks' pages and their notebooks, with badges once the addresses are renewed."""
    rows = ["| week | lecture | Colab |", "|---|---|---|"]
    for page in [*sorted(stage.glob("week[0-9][0-9]_*/README.md")), stage / "capstone" / "README.md"]:
        title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        folder = page.parent.name
        rows.append(f"| [{title}]({folder}/README.md) | | |")
        for notebook in reading_order(page):
            rows.append(f"| | [{_title(notebook)}]({folder}/{notebook.name}) |  |")
    return "\n".join(rows)


def reading_order(page: Path) -> list[Path]:
    """The notebooks beside a README, in the order in which it links them; those without a link come last."""
    text = page.read_text(encoding="utf-8")
    places = {path: text.find(f"]({path.name}") for path in page.parent.glob("*.ipynb")}
    return sorted(places, key=lambda path: (places[path] < 0, places[path], path.name))


def _title(notebook: Path) -> str:
    first = "".join(json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]["source"])
    return first.partition("\n")[0].removeprefix("# ")


def _tool(name: str, root: Path) -> ModuleType:
    """A module of ``tools/``, which is not a package, so that no import statement finds it."""
    spec = importlib.util.spec_from_file_location(f"_dnnc_{name}", root / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _manifest_of(folder: Path, root: Path) -> dict[str, str]:
    """What the last release wrote there: path -> SHA-256; empty for a new or empty folder.

    Raises
    ------
    ValueError
        The folder is the course itself, or holds something else.
    """
    resolved = folder.resolve()
    if resolved == root.resolve() or root.resolve() in resolved.parents:
        raise ValueError(f"{folder} is inside the course: choose a folder beside it")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ValueError(f"{folder} is not a folder: choose another one")
    if not folder.exists() or not any(path.name != ".git" for path in folder.iterdir()):
        return {}
    try:
        note = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = note["files"]
        safe = all(
            isinstance(digest, str) and not name.startswith("/") and ".." not in Path(name).parts
            for name, digest in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        safe = False
    if not safe:
        raise ValueError(f"{folder} is not empty and not a mentees' edition: choose a new folder")
    return files


def _is_kept(folder: Path, name: str) -> bool:
    return name in _KEPT and (folder / name).exists()


def _kept(folder: Path) -> Iterator[str]:
    """What is the group's own: roster, marks, members' folders."""
    shipped = {"template", "README.md", "team_example.toml"}
    for path in sorted((folder / "members").iterdir()):
        if path.name not in shipped:
            yield f"members/{path.name}" + ("/" if path.is_dir() else "")


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _write(folder: Path, files: dict[str, tuple[bytes, bool]], gone: list[str]) -> None:
    """Write and remove files; if something fails (an interrupt included), all is as it was before.

    Everything is first written beside the folder; then files are exchanged by renaming, each old one moved
    aside, and moved back if a later one fails.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    new, old = aside / "new", aside / "old"
    undo: list[tuple[Path, Path | None]] = []
    made: list[Path] = []
    try:
        for name, (data, is_executable) in files.items():
            target = new / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            target.chmod(0o755 if is_executable else 0o644)
        if not folder.exists():
            os.rename(new, folder)
            return
        for name in [*gone, *files]:
            target, saved = folder / name, old / name
            made += _make_folders(target.parent)
            if target.is_symlink() or target.exists():
                saved.parent.mkdir(parents=True, exist_ok=True)
                os.rename(target, saved)
                undo.append((target, saved))
            if name in files:
                os.rename(new / name, target)
                undo.append((target, None))
    except BaseException:
        for target, saved in reversed(undo):
            if saved is None:
                target.unlink(missing_ok=True)
            else:
                os.rename(saved, target)
        for path in reversed(made):
            path.rmdir()
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    for name in gone:
        _remove_empty(folder, (folder / name).parent)


def _make_folders(path: Path) -> list[Path]:
    """Make a folder and those above it; the list of those that were not there."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for each in reversed(missing):
        each.mkdir()
    return missing[::-1]


def _remove_empty(top: Path, path: Path) -> None:
    while path != top and path.is_dir() and not any(path.iterdir()):
        path.rmdir()
        path = path.parent
