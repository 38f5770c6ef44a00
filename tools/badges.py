"""Updates the repository's address wherever it is used, from pyproject.toml.

``python tools/badges.py`` rewrites Colab badges, Binder links and ``git clone`` lines in the markdown files,
CITATION.cff, and the notebooks' first cells and text. With ``--check`` it only names the files that are
outdated. In a table row that links to a notebook, an empty last cell or an old badge becomes the badge of
that notebook.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIRST_CELL = Path("tools/first_cell.py")
_BADGE_IMAGE = "https://colab.research.google.com/assets/colab-badge.svg"
_NOTEBOOK_LINK = re.compile(r"\]\(([^)\s:]+\.ipynb)\)")
_LAST_CELL = re.compile(r"\|\s*(?:\[!\[[^\]]*\]\([^)]*\)\]\([^)]*\))?\s*\|\s*$")


def address(root: Path = ROOT) -> str:
    """Return the repository's address from pyproject.toml, without a slash or ".git" at its end."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return project["urls"]["Repository"].removesuffix("/").removesuffix(".git")


def owner_and_name(url: str) -> str:
    """Return ``owner/name`` of a GitHub address; raise ValueError for another address."""
    match = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+)", url)
    if not match:
        raise ValueError(f"Repository = {url!r} should be https://github.com/<owner>/<name>, as Colab wants")
    return match[1]


def badge(url: str, notebook: str) -> str:
    """Return the markdown of the badge that opens a notebook (its path from the root) on Colab."""
    link = f"https://colab.research.google.com/github/{owner_and_name(url)}/blob/main/{notebook}"
    return f"[![Open in Colab]({_BADGE_IMAGE})]({link})"


def renewed_markdown(text: str, url: str, folder: str = "") -> str:
    """Return a markdown file's text with the current address; `folder` is the file's, from the root."""
    lines = []
    for line in text.splitlines(keepends=True):
        link = _NOTEBOOK_LINK.search(line)
        if link and line.startswith("|") and _LAST_CELL.search(line):
            notebook = f"{folder}/{link[1]}" if folder else link[1]
            line = _LAST_CELL.sub("", line.rstrip("\n")) + f"| {badge(url, notebook)} |\n"
        lines.append(line)
    return renewed_links("".join(lines), url)


def renewed_links(text: str, url: str) -> str:
    """Return the text with all Colab, Binder and clone addresses changed to this repository's."""
    name = owner_and_name(url)
    text = re.sub(r"(colab\.research\.google\.com/github/)[\w.-]+/[\w.-]+", rf"\g<1>{name}", text)
    text = re.sub(r"(mybinder\.org/(?:v2/gh|badge)/)(?!logo)[\w.-]+/[\w.-]+", rf"\g<1>{name}", text)
    text = re.sub(r"(git clone )https://\S+?(?=[\s`]|$)", rf"\g<1>{url}", text)
    text = re.sub(r'(REPOSITORY = ")[^"]*', rf"\g<1>{url}", text)
    return re.sub(r'(repository-code: ")[^"]*', rf"\g<1>{url}", text)


def renewed_notebook(text: str, first_cell: str, url: str) -> str:
    """Return a notebook's text with the current first code cell and links, otherwise the same bytes."""
    notebook = json.loads(text)
    wanted = {}
    code = [number for number, cell in enumerate(notebook["cells"]) if cell["cell_type"] == "code"]
    wanted.update({number: first_cell for number in code[:1]})
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "markdown":
            wanted[number] = renewed_links("".join(cell["source"]), url)
    changed = {n: new for n, new in wanted.items() if "".join(notebook["cells"][n]["source"]) != new}
    for number, source in changed.items():
        notebook["cells"][number]["source"] = source.splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n" if changed else text


def renewed_files(root: Path = ROOT) -> dict[Path, str]:
    """Return every file that is outdated, with the text that it should have."""
    url = address(root)
    plain = (root / "CITATION.cff", root / FIRST_CELL)
    wanted = {path: renewed_links(path.read_text(), url) for path in plain}
    first_cell = wanted[root / FIRST_CELL].rstrip("\n")
    for path in [*root.glob("*.md"), *root.glob("week*/*.md"), *root.glob("capstone/*.md")]:
        folder = path.parent.relative_to(root).as_posix().removeprefix(".")
        wanted[path] = renewed_markdown(path.read_text(), url, folder)
    for path in [*root.glob("week*/**/*.ipynb"), *root.glob("capstone/*.ipynb")]:
        if ".ipynb_checkpoints" not in path.parts:
            wanted[path] = renewed_notebook(path.read_text(), first_cell, url)
    return {path: text for path, text in wanted.items() if path.read_text() != text}


def main(arguments: list[str]) -> int:
    """Rewrite outdated files, or with ``--check`` only name them; return 1 when the check finds any."""
    stale = renewed_files()
    for path, text in stale.items():
        print(path.relative_to(ROOT))
        if "--check" not in arguments:
            path.write_text(text)
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
