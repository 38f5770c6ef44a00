"""The students' notebooks: made from one source, solved by it, stopped by nothing but their stubs."""

import ast
import contextlib
import importlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
try:
    import make_assignments as tool
finally:
    sys.path.remove(str(ROOT / "tools"))

SOURCES = tool.sources()
NAMES = [source.parents[1].name[:6] for source in SOURCES]
each = pytest.mark.parametrize("source", SOURCES, ids=NAMES)


def questions_of(source):
    """The questions of the checks for a source's week."""
    return importlib.import_module(f"common.checks.{source.parents[1].name[:6]}")


@pytest.fixture
def quiet_settings(monkeypatch):
    """An assignment's cells run in this process: figures in memory, settings as before at the end."""
    import torch

    threads = torch.get_num_threads()
    with matplotlib.rc_context(), contextlib.redirect_stdout(io.StringIO()):
        yield
    torch.set_num_threads(threads)


def run(cell, namespace):
    """Run a code cell as Jupyter does; the value of its last expression."""
    tree = ast.parse(cell.source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), namespace)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), namespace) if last else None


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_assignments():
    assert NAMES[:3] == ["week01", "week02", "week03"]


@each
def test_the_stored_notebook_is_what_the_source_makes(source):
    assert not tool.is_stale(source), "run `make assignments`"


@pytest.mark.slow
@each
def test_the_solution_passes_every_check(source, quiet_settings):
    namespace = {"__name__": "assignment"}
    solved = tool.solved_notebook(source)
    size = len(nbformat.writes(solved))
    for cell in code_cells(solved):
        value = run(cell, namespace)
        if hasattr(value, "_repr_png_"):
            size += 4 * len(value._repr_png_()) // 3
    assert size < 980_000, f"{size:,} bytes: a finished notebook has to fit into git's 1 MB"
    grades = questions_of(source).grade(namespace)
    assert all(verdict.ok for verdict in grades.verdicts.values()), grades.verdicts
    assert grades.earned == grades.checkable == 16


@each
def test_the_untouched_notebook_stops_only_at_its_stubs(source, quiet_settings):
    namespace = {"__name__": "assignment"}
    for cell in code_cells(tool.student_notebook(source)):
        marked = "raises-exception" in cell.metadata.get("tags", [])
        if marked:
            with pytest.raises(NotImplementedError, match=r"^Question \d+: "):
                run(cell, namespace)
        else:
            run(cell, namespace)
    grades = questions_of(source).grade(namespace)
    assert grades.earned == 0
    assert all("not written yet" in verdict.message for verdict in grades.verdicts.values())


@each
def test_the_stored_notebook_shows_the_stubs_and_no_place_on_disk(source):
    notebook = nbformat.read(tool.notebook_path(source), as_version=4)
    errors = [
        output for cell in code_cells(notebook) for output in cell.outputs if output.output_type == "error"
    ]
    assert errors
    for error in errors:
        assert error.ename == "NotImplementedError"
        assert error.traceback == [f"NotImplementedError: {error.evalue}"]
    said = "".join(
        output.data["text/plain"]
        for cell in code_cells(notebook)
        for output in cell.outputs
        if output.output_type == "execute_result"
    )
    n_checked = sum(question.check is not None for question in questions_of(source).QUESTIONS)
    assert said.count("It is not written yet.") == n_checked


@each
def test_points_and_titles_agree_with_the_checks(source):
    text = "\n".join(
        cell.source for cell in tool.student_notebook(source).cells if cell.cell_type == "markdown"
    )
    questions = questions_of(source).QUESTIONS
    headings = re.findall(r"^## Question (\d+): (.+) \((\d+) points?\)$", text, re.MULTILINE)
    rows = re.findall(r"^\| (\d+) (.+?) \| (\d+) \| (\d+) \|$", text, re.MULTILINE)
    wanted = [(str(question.number), question.title, str(question.points)) for question in questions]
    assert headings == wanted
    assert [row[:3] for row in rows] == wanted
    total = re.search(r"^\| \*\*all\*\* \| \*\*(\d+)\*\* \| \*\*(\d+)\*\* \|$", text, re.MULTILINE)
    assert int(total[1]) == sum(question.points for question in questions) == 20
    assert int(total[2]) == sum(int(row[3]) for row in rows)
    assert 120 <= int(total[2]) <= 180, "two to three hours"
    rubric = re.findall(
        r"^\| (?:[^|]|\\\|)+ \| (\d+) \|$", text.split("what a reader looks for")[1], re.MULTILINE
    )
    assert sum(map(int, rubric)) == questions[-1].points


@each
def test_nothing_of_a_solution_is_left(source):
    student, solved = tool.student_notebook(source), tool.solved_notebook(source)
    text = nbformat.writes(student)
    assert "# solution" not in text
    assert "# end solution" not in text
    stubs = text.count('raise NotImplementedError(\\"Question')
    assert stubs == nbformat.writes(solved).count("# solution: Question")
    answers = [cell.source for cell in student.cells if "answer" in cell.metadata.get("tags", [])]
    assert answers == ["*Write your answer here.*"]


@each
def test_ids_are_unique_and_always_the_same(source):
    first, second = tool.student_notebook(source), tool.student_notebook(source)
    nbformat.validate(first)
    ids = [cell.id for cell in first.cells]
    assert len(set(ids)) == len(ids)
    assert ids == [cell.id for cell in second.cells]


def test_solution_regions_become_stubs():
    body = "    # solution: Question 1: square it.\n    y = x * x\n    return y\n    # end solution\n"
    code = f"def f(x):\n{body}\n\nf"
    made = 'def f(x):\n    raise NotImplementedError("Question 1: square it.")\n\n\nf'
    assert tool.without_solutions(code) == made
    assert tool.without_solutions("x = 1  # the solution") == "x = 1  # the solution"
    top = '# solution: Question 2: "M" halves.\nplot()\n# end solution'
    assert tool.without_solutions(top) == r'raise NotImplementedError("Question 2: \"M\" halves.")'


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("# solution: a\nx = 1", "without an end"),
        ("x = 1\n# end solution", "without a beginning"),
        ("# solution: a\n# solution: b\n# end solution", "a region in a region"),
        ("# solution\nx = 1\n# end solution", "no reminder"),
    ],
)
def test_broken_regions_are_refused(code, complaint):
    with pytest.raises(ValueError, match=complaint):
        tool.without_solutions(code)


@pytest.fixture
def course(tmp_path):
    """A course of one assignment, with its notebook."""
    for name in ("pyproject.toml", "tools/first_cell.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    source = tmp_path / "week09_tea" / "assignment" / "source.py"
    source.parent.mkdir(parents=True)
    source.write_text(
        "# %% [markdown]\n# # Tea\n#\n# Boil it.\n\n# %%\nimport math\n\n"
        "# %%\ndef f(x):\n    # solution: Question 1: square it.\n    return x * x\n    # end solution\n\n"
        '\nf\n\n# %% tags=["raises-exception"]\nf(3)\n\n# %% [markdown] tags=["answer"]\n# Well boiled.\n'
    )
    nbformat.write(tool.student_notebook(source, tmp_path), tool.notebook_path(source))
    return tmp_path, source


def test_a_small_source_becomes_a_notebook(course):
    root, source = course
    assert tool.sources(root) == [source]
    notebook = nbformat.read(tool.notebook_path(source), as_version=4)
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds == ["markdown", "code", "code", "code", "code", "markdown"]
    title, first, _, stub, use, answer = notebook.cells
    assert title.source.startswith("# Tea\n\n[![Open in Colab]")
    assert "/blob/main/week09_tea/assignment/assignment.ipynb)\n\nBoil it." in title.source
    assert first.source == (ROOT / "tools" / "first_cell.py").read_text().rstrip("\n")
    assert "raise NotImplementedError" in stub.source
    assert "x * x" not in stub.source
    assert use.metadata.tags == ["raises-exception"]
    assert answer.source == "*Write your answer here.*"
    solved = tool.solved_notebook(source, root)
    assert "x * x" in solved.cells[3].source
    assert "tags" not in solved.cells[4].metadata


@pytest.mark.parametrize("change", ["source", "stub", "tag", "cell", "gone"])
def test_stale_notebooks_are_seen(course, change):
    root, source = course
    path = tool.notebook_path(source)
    assert not tool.is_stale(source, root)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[2].execution_count = 3
    notebook.cells[2].outputs = [nbformat.v4.new_output("stream", text="3\n")]
    nbformat.write(notebook, path)
    assert not tool.is_stale(source, root), "outputs do not count"
    if change == "source":
        source.write_text(source.read_text().replace("square it", "cube it"))
    elif change == "gone":
        path.unlink()
    else:
        if change == "stub":
            notebook.cells[3].source += "\n# solved"
        elif change == "tag":
            notebook.cells[4].metadata = {}
        else:
            del notebook.cells[4]
        nbformat.write(notebook, path)
    assert tool.is_stale(source, root)


def test_another_address_changes_no_id(course):
    root, source = course
    before = tool.student_notebook(source, root)
    project = root / "pyproject.toml"
    project.write_text(
        re.sub(r'(Repository = ")[^"]*', r"\g<1>https://github.com/ada/tea", project.read_text())
    )
    after = tool.student_notebook(source, root)
    assert "ada/tea" in after.cells[0].source
    assert [cell.id for cell in before.cells] == [cell.id for cell in after.cells]


def test_a_source_without_a_title_is_refused(course):
    root, source = course
    source.write_text(source.read_text().replace("# # Tea", "# Tea"))
    with pytest.raises(ValueError, match="begins with 'Tea'"):
        tool.student_notebook(source, root)


def test_the_check_of_the_command_tells_by_its_exit_code():
    done = subprocess.run(
        [sys.executable, "tools/make_assignments.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == ""


def test_run_notebooks_goes_on_after_a_stub_and_keeps_one_line_of_it(course, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    from run_notebooks import execute

    path = tool.notebook_path(course[1])
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [notebook.cells[2], notebook.cells[3], notebook.cells[4]]
    notebook.cells.append(nbformat.v4.new_code_cell("print(math.pi > 3)"))
    nbformat.write(notebook, path)
    execute(path, timeout_s=60)
    done = nbformat.read(path, as_version=4)
    assert [cell.execution_count for cell in done.cells] == [1, 2, 3, 4]
    (error,) = done.cells[2].outputs
    assert error.traceback == ["NotImplementedError: Question 1: square it."]
    assert done.cells[3].outputs[0].text == "True\n"


def test_badges_in_a_notebook_follow_the_address_and_nothing_else_changes(course):
    from badges import renewed_notebook

    text = tool.notebook_path(course[1]).read_text()
    first_cell = (ROOT / "tools" / "first_cell.py").read_text().rstrip("\n")
    url = tool.address(ROOT)
    assert renewed_notebook(text, first_cell, url) == text
    moved = renewed_notebook(text, first_cell, "https://github.com/ada/tea")
    assert "github/ada/tea/blob/main/week09_tea/assignment/assignment.ipynb" in moved
    assert renewed_notebook(moved, first_cell, url) == text
