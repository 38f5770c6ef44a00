"""The students' notebooks, each from one source: ``python tools/make_assignments.py [--check]``.

A source is a percent script, ``weekNN_*/assignment/source.py``: the whole assignment with its solution. The
notebook ``assignment.ipynb`` beside it is the same with these changes:

- a region from ``# solution: <reminder>`` to ``# end solution`` becomes one
  ``raise NotImplementedError("<reminder>")``, at the region's indentation;
- a markdown cell tagged ``answer`` (a model answer) becomes a place for the student's own;
- the first cell of all notebooks is inserted after the title, and the Colab badge below the title;
- cells have ids that depend on their content alone.

Cells tagged ``raises-exception`` are those that stop with an error while an answer is missing. Outdated
notebooks are written and executed; with ``--check`` they are only named.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import jupytext
import nbformat
from badges import FIRST_CELL, ROOT, address, badge
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from common.members.solutions import without_solutions

_PLACE = "*Write your answer here.*"
_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def sources(root: Path = ROOT) -> list[Path]:
    """Return the assignments' sources, in the order of the weeks."""
    return sorted(root.glob("week*/assignment/source.py"))


def notebook_path(source: Path) -> Path:
    """Return the path of the student's notebook of a source."""
    return source.with_name("assignment.ipynb")


def solved_notebook(source: Path, root: Path = ROOT) -> NotebookNode:
    """Return the source as a notebook with its solutions, in which no cell may fail."""
    cells = []
    for cell in jupytext.read(source, fmt="py:percent").cells:
        if cell.cell_type == "markdown":
            cells.append(new_markdown_cell(cell.source, metadata=_tagged(cell)))
        else:
            cells.append(new_code_cell(cell.source, metadata=_tagged(cell, without="raises-exception")))
    return _completed(cells, source, root)


def student_notebook(source: Path, root: Path = ROOT) -> NotebookNode:
    """Return the source as the notebook that a student gets, not executed."""
    cells = []
    for number, cell in enumerate(jupytext.read(source, fmt="py:percent").cells):
        if cell.cell_type == "markdown":
            is_answer = "answer" in cell.metadata.get("tags", [])
            cells.append(new_markdown_cell(_PLACE if is_answer else cell.source, metadata=_tagged(cell)))
        else:
            try:
                code = without_solutions(cell.source)
            except ValueError as error:
                raise ValueError(f"{source}, cell {number}: {error}") from None
            cells.append(new_code_cell(code, metadata=_tagged(cell)))
    return _completed(cells, source, root)


def is_stale(source: Path, root: Path = ROOT) -> bool:
    """Return whether the stored notebook differs from what its source makes now; outputs do not count."""
    path = notebook_path(source)
    if not path.exists():
        return True
    stored = nbformat.read(path, as_version=4)
    return _content(stored) != _content(student_notebook(source, root))


def is_executed(notebook: NotebookNode) -> bool:
    """Return whether every code cell has been run."""
    return all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")


def _tagged(cell: NotebookNode, *, without: str = "") -> dict:
    tags = [tag for tag in cell.metadata.get("tags", []) if tag != without]
    return {"tags": tags} if tags else {}


def _completed(cells: list[NotebookNode], source: Path, root: Path) -> NotebookNode:
    """Return a notebook of the cells, with badge, first cell, kernel and ids."""
    title, newline, rest = cells[0].source.partition("\n")
    if not title.startswith("# "):
        raise ValueError(f"{source}: the first cell should begin with the title, and begins with {title!r}")
    taken: set[str] = set()
    for cell in cells:
        cell.id = _id(cell, taken)
    # After the ids are made, so that they do not depend on the repository's address.
    place = notebook_path(source).relative_to(root).as_posix()
    cells[0].source = f"{title}\n\n{badge(address(root), place)}{newline}{rest}"
    cells.insert(1, new_code_cell((root / FIRST_CELL).read_text().rstrip("\n"), id="first-cell"))
    return new_notebook(cells=cells, metadata={"kernelspec": dict(_KERNEL)})


def _id(cell: NotebookNode, taken: set[str]) -> str:
    """Return a cell's id: a digest of its content, and of a counter where two cells have the same content."""
    for repetition in range(len(taken) + 1):
        digest = hashlib.sha256(f"{cell.cell_type} {repetition} {cell.source}".encode()).hexdigest()[:12]
        if digest not in taken:
            break
    taken.add(digest)
    return digest


def _content(notebook: NotebookNode) -> list[tuple]:
    return [(cell.cell_type, cell.id, cell.source, dict(cell.metadata)) for cell in notebook.cells]


def main(arguments: list[str]) -> int:
    """Write and execute outdated notebooks, or with ``--check`` only name them; return 1 if it finds any."""
    stale = [source for source in sources() if is_stale(source)]
    for source in stale:
        print(
            f"{notebook_path(source).relative_to(ROOT)} is not what source.py makes: run `make assignments`"
        )
    if "--check" in arguments:
        return 1 if stale else 0
    from run_notebooks import execute  # the check needs no kernel

    for source in stale:
        nbformat.write(student_notebook(source), notebook_path(source))
    for path in map(notebook_path, sources()):
        if not is_executed(nbformat.read(path, as_version=4)):
            execute(path, timeout_s=600)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
