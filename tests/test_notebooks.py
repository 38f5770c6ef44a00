"""The rules that every notebook of the course keeps, and that each of them can be broken."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parents[1]
FIRST_CELL = (ROOT / "tools" / "first_cell.py").read_text().rstrip("\n")
NOTEBOOKS = sorted(
    path
    for folder in [*ROOT.glob("week*"), ROOT / "capstone"]
    for path in folder.rglob("*.ipynb")
    if ".ipynb_checkpoints" not in path.parts
)
MAX_BYTES = 2_000_000
_IGNORES_OUTPUT = re.compile(r"^\s*#\s*NBVAL_IGNORE_OUTPUT\s*$", re.MULTILINE)
_RAISES = re.compile(r"^\s*#\s*NBVAL_RAISES_EXCEPTION\s*$", re.MULTILINE)
_SKIPPED = re.compile(r"^\s*#\s*NBVAL_SKIP\s*$", re.MULTILINE)

Rule = Callable[[nbformat.NotebookNode], Iterator[str]]


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The cells that hold code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def texts(notebook: nbformat.NotebookNode) -> Iterator[tuple[nbformat.NotebookNode, str]]:
    """Every piece of text among the outputs, with its cell."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if output.output_type == "stream":
                yield cell, output.text
            for kind, data in output.get("data", {}).items():
                if kind.startswith("text/"):
                    yield cell, "".join(data)


def is_marked(cell: nbformat.NotebookNode, mark: re.Pattern, tag: str) -> bool:
    """Whether a cell carries a mark of nbval, as a comment or as a tag."""
    return bool(mark.search(cell.source)) or tag in cell.metadata.get("tags", [])


def executed(notebook):
    """Restart and run all: counts from 1 without a gap."""
    counts = [cell.execution_count for cell in code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"execution counts are {counts}: run `make notebooks`"


def starts_with_the_first_cell(notebook):
    """One first cell finds or fetches the package, everywhere."""
    cells = code_cells(notebook)
    if not cells or cells[0].source != FIRST_CELL:
        yield "the first code cell is not that of tools/first_cell.py: run `make badges`"


def names_no_machine(notebook):
    """Outputs and sources hold no place on the author's disk."""
    places = re.compile(rf"{re.escape(str(ROOT))}|/home/\w|/Users/\w|/root/|/tmp/|/content/|ipykernel_\d+")
    for cell, text in [*texts(notebook), *((cell, cell.source) for cell in notebook.cells)]:
        if match := places.search(text):
            yield f"{match[0]!r} in {cell.source[:40]!r}"


def leaks_no_reprs(notebook):
    """No `<Figure size ...>` and no `<object at 0x...>` among the outputs: write `_ = ...` and plt.show()."""
    for cell, text in texts(notebook):
        if match := re.search(r"<Figure size|<Axes|\bat 0x[0-9a-f]{6,}", text):
            yield f"{match[0]!r} printed by {cell.source[:40]!r}"


def writes_no_stderr(notebook):
    """Warnings and progress bars go to stderr, and never compare equal."""
    for cell in code_cells(notebook):
        if any(output.output_type == "stream" and output.name == "stderr" for output in cell.outputs):
            yield f"stderr written by {cell.source[:40]!r}"


def fails_only_where_it_says_so(notebook):
    """Errors are stored only in cells that are marked for them."""
    for cell in code_cells(notebook):
        failed = any(output.output_type == "error" for output in cell.outputs)
        if failed and not is_marked(cell, _RAISES, "raises-exception"):
            yield f"an error stored by {cell.source[:40]!r}"


def asserts_what_it_does_not_compare(notebook):
    """A cell whose output is ignored says itself what must hold."""
    for cell in code_cells(notebook):
        ignored = is_marked(cell, _IGNORES_OUTPUT, "nbval-ignore-output")
        if ignored and not re.search(r"\bassert\b", cell.source):
            yield f"output ignored, nothing asserted, in {cell.source[:40]!r}"


def skips_nothing(notebook):
    """A skipped cell is an untested cell."""
    for cell in code_cells(notebook):
        if is_marked(cell, _SKIPPED, "nbval-skip"):
            yield f"skipped: {cell.source[:40]!r}"


def describes_its_figures(notebook):
    """A picture is followed by a text cell that says what it shows."""
    for cell, following in zip(notebook.cells, [*notebook.cells[1:], None], strict=True):
        shows = cell.cell_type == "code" and any("image/png" in out.get("data", {}) for out in cell.outputs)
        if shows and (following is None or following.cell_type != "markdown"):
            yield f"no text after the figure of {cell.source[:40]!r}"


def stays_in_python(notebook):
    """No shell commands and no installing: the first cell has done it."""
    for cell in code_cells(notebook):
        if match := re.search(r"^\s*(!|%pip|%conda|%%bash|%%sh)", cell.source, re.MULTILINE):
            yield f"{match[0].strip()!r} in {cell.source[:40]!r}"


def runs_on_the_usual_kernel(notebook):
    """The kernel's name is python3, not that of the author's environment."""
    name = notebook.metadata.get("kernelspec", {}).get("name")
    if name != "python3":
        yield f"kernelspec {name!r}, expected 'python3'"


def opens_in_colab(notebook):
    """The badge stands in the first cell of text, below the title; on slides it would be in the way."""
    is_slides = any("slideshow" in cell.metadata for cell in notebook.cells)
    if not is_slides and "colab-badge.svg" not in "".join(cell.source for cell in notebook.cells[:2]):
        yield "no Colab badge below the title: see tools/badges.py"


RULES: list[Rule] = [
    executed,
    starts_with_the_first_cell,
    names_no_machine,
    leaks_no_reprs,
    writes_no_stderr,
    fails_only_where_it_says_so,
    asserts_what_it_does_not_compare,
    skips_nothing,
    describes_its_figures,
    stays_in_python,
    runs_on_the_usual_kernel,
    opens_in_colab,
]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_notebook_keeps_the_rules(path):
    assert path.stat().st_size <= MAX_BYTES, f"{path.stat().st_size:,} bytes, at most {MAX_BYTES:,}"
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    broken = [f"{rule.__name__}: {complaint}" for rule in RULES for complaint in rule(notebook)]
    assert not broken, "\n".join(broken)


def sound_notebook() -> nbformat.NotebookNode:
    """A notebook that keeps all rules: what the tests below break, one rule at a time."""
    figure = new_output("display_data", data={"image/png": "iVBORw0KGgo=", "text/plain": "a plot"})
    cells = [
        new_markdown_cell("# A lecture\n\n[![Open in Colab](https://example.org/colab-badge.svg)](x)"),
        new_code_cell(FIRST_CELL, execution_count=1),
        new_code_cell("print(1)", execution_count=2, outputs=[new_output("stream", text="1\n")]),
        new_code_cell("plt.show()", execution_count=3, outputs=[figure]),
        new_markdown_cell("The curve falls."),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def test_sound_notebook_breaks_no_rule():
    assert [complaint for rule in RULES for complaint in rule(sound_notebook())] == []


def _printed(text: str, *, name: str = "stdout") -> Callable:
    return lambda cell: cell.outputs.append(new_output("stream", text=text, name=name))


def _sourced(source: str) -> Callable:
    return lambda cell: cell.update(source=source)


@pytest.mark.parametrize(
    ("rule", "damage"),
    [
        (executed, lambda cell: cell.update(execution_count=None)),
        (executed, lambda cell: cell.update(execution_count=7)),
        (names_no_machine, _printed(f"saved to {ROOT}/x.dcz")),
        (names_no_machine, _sourced('path = "/home/ada/data"')),
        (leaks_no_reprs, _printed("<Figure size 640x480 with 1 Axes>")),
        (leaks_no_reprs, _printed("[<matplotlib.lines.Line2D at 0x7f0012345678>]")),
        (writes_no_stderr, _printed("UserWarning", name="stderr")),
        (
            fails_only_where_it_says_so,
            lambda cell: cell.outputs.append(new_output("error", ename="E", evalue="", traceback=[])),
        ),
        (asserts_what_it_does_not_compare, _sourced("# NBVAL_IGNORE_OUTPUT\nprint(time())")),
        (asserts_what_it_does_not_compare, lambda cell: cell.metadata.update(tags=["nbval-ignore-output"])),
        (skips_nothing, _sourced("# NBVAL_SKIP\nprint(1)")),
        (stays_in_python, _sourced("!pip install torch")),
        (stays_in_python, _sourced("x = 1\n%pip install torch")),
    ],
)
def test_every_rule_can_be_broken(rule, damage):
    notebook = sound_notebook()
    damage(notebook.cells[2])
    assert list(rule(notebook))


def test_rules_on_the_notebook_as_a_whole_can_be_broken():
    notebook = sound_notebook()
    del notebook.cells[1]
    assert list(starts_with_the_first_cell(notebook))
    notebook = sound_notebook()
    del notebook.cells[4]
    assert list(describes_its_figures(notebook))
    notebook = sound_notebook()
    notebook.metadata.kernelspec.name = "my-env"
    assert list(runs_on_the_usual_kernel(notebook))
    notebook = sound_notebook()
    notebook.cells[0].source = "# A lecture"
    assert list(opens_in_colab(notebook))
    notebook.cells[0].metadata.slideshow = {"slide_type": "slide"}
    assert not list(opens_in_colab(notebook))


def test_marked_cells_may_fail_and_may_differ():
    notebook = sound_notebook()
    cell = notebook.cells[2]
    cell.source = "# NBVAL_RAISES_EXCEPTION\nraise ValueError"
    cell.outputs = [new_output("error", ename="ValueError", evalue="", traceback=[])]
    assert not list(fails_only_where_it_says_so(notebook))
    cell.source = "# NBVAL_IGNORE_OUTPUT\nassert seconds < 60"
    assert not list(asserts_what_it_does_not_compare(notebook))


def first_cell(folder, *, after="", path="", git=True):
    """The first cell in a folder, by an interpreter that does not see the installed package."""
    import os
    import subprocess
    import sys

    code = f"import sys; sys.path[:0] = [{str(path)!r}] if {str(path)!r} else []\n{FIRST_CELL}\n{after}"
    environment = (
        os.environ | {} if git else {k: v for k, v in os.environ.items() if k != "PATH"} | {"PATH": ""}
    )
    # -I: an isolated interpreter; -S: one that does not see the installed package either
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )


def checkout(folder):
    (folder / "common").mkdir(parents=True)
    (folder / "common" / "__init__.py").write_text("here = True\n")
    (folder / "common" / "cli.py").write_text("")
    (folder / "tools").mkdir()
    (folder / "tools" / "install_missing.py").write_text(
        "import pathlib, sys\n"
        "tried = pathlib.Path('tried')\n"
        "sys.exit(0 if tried.exists() else tried.write_text('once') and 1)\n"
    )


def test_first_cell_finds_the_package_from_a_week_folder(tmp_path):
    """In a checkout whose package is not installed, the cell finds it above the notebook's folder."""
    checkout(tmp_path)
    week = tmp_path / "week01"
    week.mkdir()
    done = first_cell(week, after="import common; assert common.here")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["module", "package"])
def test_first_cell_finds_ours_though_another_is_first(tmp_path, kind):
    checkout(tmp_path / "repository")
    other = tmp_path / "other"
    other.mkdir()
    if kind == "module":
        (other / "common.py").write_text("here = False\n")
    else:
        (other / "common").mkdir()
        (other / "common" / "__init__.py").write_text("here = False\n")
    done = first_cell(tmp_path / "repository", path=other, after="import common; assert common.here")
    assert done.returncode == 0, done.stderr


def test_first_cell_run_again_installs_what_the_first_run_could_not(tmp_path):
    checkout(tmp_path / "course")
    first = first_cell(tmp_path)
    assert first.returncode == 1
    assert "Packages are missing (see above): with a network, run this cell again." in first.stderr
    again = first_cell(tmp_path, after="import common; assert common.here")
    assert again.returncode == 0, again.stderr


def test_first_cell_without_git_says_what_to_do(tmp_path):
    done = first_cell(tmp_path, git=False)
    assert done.returncode == 1
    assert "as a ZIP, unpack it, and open the notebook in there." in done.stderr
    assert "Traceback" not in done.stderr


def test_first_cell_does_nothing_where_the_package_is_installed(monkeypatch):
    import sys

    before = list(sys.path)
    exec(compile(FIRST_CELL, "first cell", "exec"), {})
    assert sys.path == before
