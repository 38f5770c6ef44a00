"""Writes the sources of the site for Sphinx: the course's READMEs and notebooks are the pages.

`stage` copies them into a folder, each to its own place, a README as the index of its folder. On the way:

- links between files become links between pages: to a notebook, a README, a module of ``common`` (its page in
  the API), an interactive page. Data files become downloads, other code a link to the repository;
- badges, which are pictures from other hosts, become buttons with text, for Colab and for JupyterLab;
- what is folded in a notebook stays folded: Jupyter's metadata becomes MyST-NB's tags. An exercise shows its
  stub first, and its solution folded;
- a week's page gets its hours in one line, and the list of its pages.

Pages are found by pattern, so that a new notebook, week or module needs no line here.
"""

from __future__ import annotations

import ast
import base64
import copy
import json
import os
import posixpath
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from badges import address, owner_and_name  # noqa: E402
from notebook_tags import is_prediction, source_of  # noqa: E402

from common import MAY_IMPORT  # noqa: E402
from common.members.release import reading_order  # noqa: E402
from common.members.solutions import has_solution, without_solutions  # noqa: E402

OWN_PAGES = Path(__file__).with_name("pages")
TEXTS = ("*.md", "week[0-9][0-9]_*/**/*.md", "capstone/**/*.md", "members/README.md", "common/**/README.md")
NOTEBOOKS = ("week[0-9][0-9]_*/**/*.ipynb", "capstone/**/*.ipynb")
DOWNLOADS = {".json", ".dcz", ".toml", ".csv", ".cff"}  # data that a reader may want; code is in the API
_EXPLORABLES = "common/deploy/web/"
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
_IMAGE_TAG = re.compile(r'(<img\b[^>]*\bsrc=")([^"]+)(")')
_BADGE = re.compile(r"\[!\[[^\]]*\]\(https?://[^)\s]+\)\]\((https?://[^)\s]+)\)")
_COLAB = re.compile(r"https://colab\.research\.google\.com/github/[\w.-]+/[\w.-]+/blob/main/(\S+\.ipynb)")
_FENCE = re.compile(r"^ {0,3}(```+|~~~+)")
_MINUTES_ROW = re.compile(r"^\|[^|]*\]\([^)]*\.ipynb\)[^|]*\|\s*(\d+)\s*\|", re.MULTILINE)
_ASSIGNMENT_HOURS = re.compile(r"^## Assignment$.*?\b(\d+(?: to \d+)?) hours", re.MULTILINE | re.DOTALL)
_MADE = re.compile(r"<!-- (\w+):start -->\n(.*?)<!-- \1:end -->", re.DOTALL)  # by tools/readme_tables.py
_HEADINGS = {"headlines": "Headlines", "results": "The pipeline's files"}
_FIGURE = re.compile(r"^#@title\s+(?:Figure:\s*)?(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Course:
    """All pages of the site.

    `pages` maps a file's path from the root, with slashes, to that of its page, without suffix.
    """

    root: Path
    pages: dict[str, str]
    url: str

    @classmethod
    def of(cls, root: Path = ROOT) -> Course:
        """Return the pages of a checkout."""
        found = [path for pattern in (*TEXTS, *NOTEBOOKS) for path in root.glob(pattern)]
        names = sorted(
            path.relative_to(root).as_posix()
            for path in found
            if not any(part.startswith(".") for part in path.relative_to(root).parts)
        )
        return cls(root, {name: _page_of(name) for name in names}, address(root))

    def modules(self) -> dict[str, str]:
        """Return the API's page of each module of ``common``, by dotted name; packages included."""
        found = {"common": "api/index"}
        for path in sorted((self.root / "common").rglob("*.py")):
            parts = path.relative_to(self.root / "common").with_suffix("").parts
            if parts[-1] == "__init__" and len(parts) > 1:
                found[".".join(("common", *parts[:-1]))] = "/".join(("api", *parts[:-1], "index"))
            elif not parts[-1].startswith("__"):
                found[".".join(("common", *parts))] = "/".join(("api", *parts))
        return found


def _page_of(name: str) -> str:
    """Return a file's page; a folder's README becomes its index: week01_x/README.md is week01_x/index."""
    stem = posixpath.splitext(name)[0]
    return re.sub(r"(^|/)README$", r"\1index", stem)


def target(link: str, name: str, course: Course) -> str:
    """Return where a link in a file leads on the site: to a page, a download, or the repository.

    Parameters
    ----------
    link : str
        As written, relative to the file's folder.
    name : str
        The file, from the root.

    Returns
    -------
    str
        Relative to the file's page. A broken link is returned unchanged, so that Sphinx reports it.
    """
    path, _, anchor = link.partition("#")
    if not path or re.match(r"[a-z][a-z0-9+.-]*:", path):
        return link
    here = posixpath.dirname(name)
    wanted = posixpath.normpath(posixpath.join(here, path))
    anchor = f"#{anchor}" if anchor else ""
    if wanted in (".", ""):
        wanted = "README.md"
    file = course.root / wanted
    if file.is_dir() and f"{wanted}/README.md" in course.pages:
        wanted = f"{wanted}/README.md"
    if wanted in course.pages:
        suffix = posixpath.splitext(wanted)[1]
        return posixpath.relpath(course.pages[wanted] + suffix, here or ".") + anchor
    dotted = wanted.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    if dotted in course.modules():
        return posixpath.relpath(course.modules()[dotted] + ".rst", here or ".")
    if wanted.startswith(_EXPLORABLES) and wanted.endswith(".html"):
        page = "network" if wanted.endswith("/index.html") else Path(wanted).stem
        return posixpath.relpath(f"explore/{page}.md", here or ".")
    if file.suffix in DOWNLOADS or not file.exists():
        return link
    return f"{course.url}/{'tree' if file.is_dir() else 'blob'}/main/{quote(wanted)}{anchor}"


def buttons(notebook: str, course: Course) -> str:
    """Return the HTML of the buttons that open a notebook (its path from the root) where it can be run."""
    name, place = owner_and_name(course.url), quote(notebook)
    colab = f"https://colab.research.google.com/github/{name}/blob/main/{place}"
    lab = f"https://mybinder.org/v2/gh/{name}/main?urlpath={quote('lab/tree/' + notebook, safe='')}"
    where = (("Colab", "Open in Colab", colab), ("JupyterLab", "Open in JupyterLab, on mybinder.org", lab))
    stem = Path(notebook).stem.replace("_", " ")
    return " ".join(
        f'<a class="launch" href="{link}" title="{title}" aria-label="{title}: {stem}">{text}</a>'
        for text, title, link in where
    )


def renewed_text(text: str, name: str, course: Course) -> str:
    """Return the Markdown of a file (its path from the root) with the site's links and buttons."""
    lines, fence = [], None
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if fence:
            fence = None if mark and mark[1].startswith(fence) else fence
        elif mark:
            fence = mark[1]
        else:
            line = _BADGE.sub(lambda found: _button_for(found[1], course), line)
            line = _LINK.sub(lambda found: _link(found, name, course), line)
        lines.append(line)
    return "".join(lines)


def _button_for(link: str, course: Course) -> str:
    colab = _COLAB.fullmatch(link)
    return buttons(colab[1], course) if colab else f'<a class="launch" href="{link}">Open</a>'


def _link(found: re.Match, name: str, course: Course) -> str:
    mark, text, link = found.groups()
    if mark:
        return found[0]
    text = _LINK.sub(lambda inner: inner[0] if inner[1] else inner[2], text)
    return f"[{text}]({target(link, name, course)})"


def pictures(text: str) -> list[str]:
    """Return the links of Markdown or HTML to pictures in the repository, as they are written."""
    links = [link for mark, _, link in _LINK.findall(text) if mark]
    links += [found[1] for found in _IMAGE_TAG.findall(text)]
    return [link for link in links if not re.match(r"[a-z]+:", link)]


def linked_data(text: str) -> list[str]:
    """Return the links of a text to data files, as they are written."""
    links = [link.partition("#")[0] for mark, _, link in _LINK.findall(text) if not mark]
    return [link for link in links if not re.match(r"[a-z]+:", link) and Path(link).suffix in DOWNLOADS]


def hours(text: str) -> str | None:
    """Return a line on the time that a week's lectures take, from the minutes in its table, or None."""
    minutes = [int(found) for found in _MINUTES_ROW.findall(text)]
    if not minutes:
        return None
    whole, rest = divmod(sum(minutes), 60)
    time = " ".join(part for part in (f"{whole} h" * bool(whole), f"{rest} min" * bool(rest)) if part)
    count = "one notebook" if len(minutes) == 1 else f"{len(minutes)} notebooks"
    assignment = _ASSIGNMENT_HOURS.search(text)
    hand_in = f" The assignment takes {assignment[1]} hours more." if assignment else ""
    return f"{time} for {count}.{hand_in}"


def renewed_notebook(notebook: dict, name: str, course: Course) -> dict:
    """Return a copy of a notebook for MyST-NB: with links and buttons, and with folded what Jupyter folds."""
    notebook = copy.deepcopy(notebook)
    cells: list[dict] = []
    is_asked = False
    for cell in notebook["cells"]:
        cell.get("metadata", {}).pop("slideshow", None)
        if cell["cell_type"] == "markdown":
            cell["source"] = renewed_text(source_of(cell), name, course)
            is_asked = is_prediction(cell)
            cells.append(cell)
        elif cell["cell_type"] == "code":
            cells += _code_cells(cell, is_asked)
    for cell in cells:
        if not cell.get("attachments"):
            cell.pop("attachments", None)
    first = cells[0]
    download = f'<a class="launch" href="{_download_of(name)}" download>Download</a>'
    if 'class="launch"' in source_of(first):
        first["source"] = re.sub(
            r"((?:<a class=\"launch\".*?</a> ?)+)", rf"\1 {download}", first["source"], count=1
        )
    else:
        title, _, rest = source_of(first).partition("\n")
        first["source"] = f"{title}\n\n{buttons(name, course)} {download}\n{rest}"
    notebook["cells"] = cells
    notebook["metadata"].pop("widgets", None)  # would load scripts from other hosts
    return notebook


def _download_of(name: str) -> str:
    """Return the path of the unchanged notebook on the site, relative to its page."""
    return posixpath.relpath(f"notebooks/{name}", posixpath.dirname(name) or ".")


def _code_cells(cell: dict, is_asked: bool) -> list[dict]:
    """Return a code cell with the tags and prompts that fold it; an exercise as two, stub and solution."""
    metadata = cell.setdefault("metadata", {})
    source = source_of(cell)
    hidden = metadata.get("jupyter", {})
    folds_source = bool(hidden.get("source_hidden")) or source.startswith("#@title")
    folds_output = bool(hidden.get("outputs_hidden")) or is_asked or "predict" in metadata.get("tags", [])
    title = _FIGURE.match(source)
    shown: dict = {}
    if title:
        cell["source"] = _FIGURE.sub("", source, count=1).lstrip("\n")
        shown["code_prompt_show"] = f"Code of the figure: {title[1]}"
        shown["code_prompt_hide"] = "Fold the code"
    if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
        about = f"{title[1]}; " if title else ""
        shown["image"] = {"alt": f"Figure: {about}described in the text below it."}
    if folds_output:
        shown["code_prompt_show"] = "What comes out" if not folds_source else "The figure that answers"
        shown["code_prompt_hide"] = "Fold it again"
    if shown:
        metadata["mystnb"] = {**shown, **metadata.get("mystnb", {})}
    tags = set(metadata.get("tags", []))
    tags |= {"hide-input"} if folds_source and not folds_output else set()
    tags |= {"hide-cell"} if folds_source and folds_output else set()
    tags |= {"hide-output"} if folds_output and not folds_source and cell.get("outputs") else set()
    metadata["tags"] = sorted(tags)
    if "exercise" not in tags or not has_solution(source):
        return [cell]
    stub = copy.deepcopy(cell)
    stub |= {"source": without_solutions(source, todo=True), "outputs": []}
    if "id" in stub:
        stub["id"] = f"{stub['id'][:58]}-stub"
    metadata["tags"] = sorted(tags | {"hide-input"})
    metadata["mystnb"] = {"code_prompt_show": "A solution", "code_prompt_hide": "Fold the solution"}
    return [stub, cell]


def toctree(entries: list[str], *, caption: str | None = None, hidden: bool = True) -> str:
    """Return a list of pages for Sphinx, in Markdown."""
    options = [f":caption: {caption}"] * bool(caption) + [":hidden:"] * hidden
    return "\n".join(["", "```{toctree}", *options, ":maxdepth: 1", "", *entries, "```", ""])


def own_list(index: str, course: Course) -> list[str]:
    """Return the entries of an index's list: the pages in its folder, and the indexes of folders in it.

    Notebooks are in the order in which the folder's README links them, and before the folders.
    """
    folder = posixpath.dirname(index)
    order = reading_order(course.root / folder / "README.md")
    place = {_page_of(f"{folder}/{path.name}"): number for number, path in enumerate(order)}
    below = [page for page in course.pages.values() if page != index and page.startswith(f"{folder}/")]
    indexes = {posixpath.dirname(page) for page in below if posixpath.basename(page) == "index"}
    listed = []
    for page in sorted(below, key=lambda page: (page.count("/"), place.get(page, len(place)), page)):
        parents = [
            parent for parent in indexes if page.startswith(f"{parent}/") and page != f"{parent}/index"
        ]
        if not parents:
            listed.append(posixpath.relpath(page, folder))
    return listed


def sources(course: Course) -> dict[str, bytes]:
    """Return the site's sources: the bytes of each file, by its path."""
    files: dict[str, bytes] = {}
    for name, page in course.pages.items():
        source = (course.root / name).read_text(encoding="utf-8")
        place = page + posixpath.splitext(name)[1]
        if name.endswith(".ipynb"):
            notebook = json.loads(source)
            texts = "\n".join([*map(source_of, notebook["cells"]), *_html_outputs(notebook)])
            files[place] = json.dumps(renewed_notebook(notebook, name, course), ensure_ascii=False).encode()
        else:
            texts = source
            files[place] = _text_page(source, name, course).encode()
        for link in [*pictures(texts), *linked_data(texts)]:
            linked = posixpath.normpath(posixpath.join(posixpath.dirname(name), link))
            if (course.root / linked).is_file() and not linked.startswith(".."):
                files[linked] = (course.root / linked).read_bytes()
    files |= _api(course) | _results(course)
    for page in sorted(path for path in OWN_PAGES.rglob("*") if path.is_file()):
        files[page.relative_to(OWN_PAGES).as_posix()] = page.read_bytes()
    return files


def stage(folder: Path, course: Course | None = None) -> Course:
    """Write the site's sources into a folder; unchanged files are left alone, so that Sphinx skips them."""
    course = course or Course.of()
    wanted = sources(course)
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.relative_to(folder).as_posix() not in wanted:
            path.unlink()
    for name, data in wanted.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return course


def _html_outputs(notebook: dict) -> list[str]:
    return [
        "".join(output["data"]["text/html"])
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {})
    ]


def _text_page(source: str, name: str, course: Course) -> str:
    """Return a README, or another text, as a page."""
    text = renewed_text(source, name, course)
    page = course.pages[name]
    if not re.search(r"^# ", text, re.MULTILINE):
        text = f"# {posixpath.basename(page).replace('_', ' ').capitalize()}\n\n{text}"
    if page == "index":
        return text + _main_list(course)
    if posixpath.basename(page) != "index":
        return text
    time = hours(source)
    if time:
        title, _, rest = text.partition("\n")
        text = f"{title}\n\n{{.hours}}\n{time}\n{rest}"
    entries = own_list(page, course)
    return text + toctree(entries) if entries else text


def _main_list(course: Course) -> str:
    """Return the site's table of contents."""
    weeks = sorted(page for page in course.pages.values() if re.fullmatch(r"week\d\d_\w+/index", page))
    listed = {"index", *weeks, "capstone/index"}
    texts = [page for page in course.pages.values() if "/" not in page and page not in listed]
    others = [
        page for page in course.pages.values() if page in ("members/index",) or page.startswith("common/")
    ]
    return (
        toctree([*weeks, "capstone/index"], caption="The course")
        + toctree(["results", "explore/index"], caption="Results, and things to try")
        + toctree(["format", "api/index"], caption="The code")
        + toctree([*sorted(others), *sorted(texts)], caption="Taking part")
    )


def _results(course: Course) -> dict[str, bytes]:
    """Return the page of results: tables that a command makes, and figures of the capstone's notebooks."""
    parts = ["# Results\n\nTables and figures are made by commands from what was measured; each says which."]
    files = {}
    for name in ("README.md", "capstone/README.md"):
        text = (course.root / name).read_text(encoding="utf-8")
        for found in _MADE.finditer(text):
            above = re.findall(r"^#+ (.*)$", text[: found.start()], re.MULTILINE)[-1]
            heading = _HEADINGS.get(found[1], above)
            link = target(name, "README.md", course)
            block = _moved(found[2], posixpath.dirname(name))
            parts.append(
                f"## {heading}\n\n{renewed_text(block, 'README.md', course)}\n\nFrom [{name}]({link})."
            )
    for name, page in course.pages.items():
        if not (name.startswith("capstone/") and name.endswith(".ipynb")):
            continue
        notebook = json.loads((course.root / name).read_text(encoding="utf-8"))
        parts.append(f"## Figures of [{_title(notebook)}]({page}.ipynb)")
        for number, (title, png) in enumerate(_figures(notebook), 1):
            place = f"results/{Path(name).stem}_{number}.png"
            files[place] = png
            parts.append(f"![Figure: {title}]({place})\n\n*{title}*")
    return {"results.md": "\n\n".join(parts).encode(), **files}


def _moved(text: str, folder: str) -> str:
    """Return the Markdown of a file in a folder with its links relative to the root."""

    def moved(found: re.Match) -> str:
        mark, said, link = found.groups()
        is_elsewhere = re.match(r"[a-z]+:|#", link)
        return f"{mark}[{said}]({link if is_elsewhere else posixpath.normpath(posixpath.join(folder, link))})"

    return _LINK.sub(moved, text)


def _title(notebook: dict) -> str:
    return source_of(notebook["cells"][0]).partition("\n")[0].lstrip("# ")


def _figures(notebook: dict) -> list[tuple[str, bytes]]:
    """Return each figure of a notebook with its title, or else the heading above it."""
    found, heading = [], _title(notebook)
    for cell in notebook["cells"]:
        headings = re.findall(r"^#{2,} (.*)$", source_of(cell), re.MULTILINE)
        if cell["cell_type"] == "markdown":
            heading = headings[-1] if headings else heading
            continue
        titles = _FIGURE.findall(source_of(cell))
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                png = base64.b64decode("".join(output["data"]["image/png"]))
                found.append((titles[0] if titles else heading, png))
    return found


def _api(course: Course) -> dict[str, bytes]:
    """Return the API's pages: one per module, and one per folder with a line for each of its modules."""
    modules, files = course.modules(), {}
    for dotted, page in modules.items():
        title = f"``{dotted}``"
        text = f"{title}\n{'=' * len(title)}\n\n.. automodule:: {dotted}\n"
        if posixpath.basename(page) != "index":
            files[f"{page}.rst"] = f"{text}   :members:\n   :show-inheritance:\n".encode()
            continue
        below = [name for name in modules if name.rpartition(".")[0] == dotted]
        below.sort(key=lambda name: _rank(name.removeprefix("common.")))
        text += "   :no-members:\n"
        if handed := _handed_on(course.root / dotted.replace(".", "/") / "__init__.py"):
            text += _rst_section("Names to import from here")
            text += "".join(
                f"- :py:obj:`{name} <{dotted}.{module}.{name}>`\n" for name, module in handed.items()
            )
        if below:
            text += _rst_section("Folders and modules" if dotted == "common" else "Modules")
            text += "".join(f":py:mod:`{name}`\n   {_first_line(name, course)}\n\n" for name in below)
            text += "\n.. toctree::\n   :hidden:\n\n"
            for name in below:  # short titles: the sidebar is narrow
                place = posixpath.relpath(modules[name], posixpath.dirname(page))
                text += f"   {name.rpartition('.')[2]} <{place}>\n"
        files[f"{page}.rst"] = text.encode()
    return files


def _rst_section(title: str) -> str:
    return f"\n{title}\n{'-' * len(title)}\n\n"


def _first_line(dotted: str, course: Course) -> str:
    """Return a module's summary, read without importing it."""
    path = course.root / dotted.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(said.partition("\n\n")[0].split())


def _rank(name: str) -> tuple[int, str]:
    """Return a sort key: folders in the order of the pipeline, then modules."""
    order = list(MAY_IMPORT)
    return (order.index(name) if name in order else len(order), name)


def _handed_on(init: Path) -> dict[str, str]:
    """Return the names of a folder's facade with the module of each, read without importing it."""
    if not init.is_file():
        return {}
    for node in ast.walk(ast.parse(init.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "hand_on" and len(node.args) == 2:
            try:
                return {str(name): str(module) for name, module in ast.literal_eval(node.args[1]).items()}
            except ValueError:
                return {}
    return {}


def copy_notebooks(out: Path, course: Course) -> None:
    """Copy the unchanged notebooks, for download from the site, and the animations that they show."""
    for name in (name for name in course.pages if name.endswith(".ipynb")):
        source = course.root / name
        links = pictures("".join(_html_outputs(json.loads(source.read_text(encoding="utf-8")))))
        shown = [posixpath.normpath(posixpath.join(posixpath.dirname(name), link)) for link in links]
        places = [(name, out / "notebooks" / name), *((picture, out / picture) for picture in shown)]
        for origin, place in places:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(course.root / origin, place)


if __name__ == "__main__":
    stage(Path(os.fspath(sys.argv[1])))
