"""The mentees' edition: no answers, all that a mentee needs, the same bytes each time, all or nothing."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from common.members import release as module
from common.members.release import MANIFEST, edition, mentees_notebook, release
from common.members.solutions import without_asserts

ROOT = Path(__file__).resolve().parents[2]
URL = "https://github.com/ada-l/tea"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The edition of this course, made once."""
    folder = tmp_path_factory.mktemp("release") / "tea"
    return folder, release(folder, URL)


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def notebooks(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.ipynb") if "template" not in path.parts]


def lecture(*, tags=("exercise",)) -> str:
    """A lecture with a prediction, a cell to fill in, its check, and a cell that goes on."""
    solved = "def f(x):\n    # solution: square it\n    return x * x\n    # end solution"
    cells = [
        new_code_cell("print(2)", execution_count=1, outputs=[new_output("stream", text="2\n")]),
        new_markdown_cell("What is 2 + 2?\n\nMy prediction: …"),
        new_code_cell("print(2 + 2)\nassert 2 + 2 == 4", execution_count=2, metadata={"tags": ["predict"]}),
        new_markdown_cell("<details><summary>Answer</summary>\n\nFour.\n\n</details>"),
        new_code_cell(solved, execution_count=3, metadata={"tags": list(tags)}),
        new_code_cell("f = checks.f(f)", execution_count=4, metadata={"tags": ["check"]}),
        new_code_cell("print(f(3))", execution_count=5, outputs=[new_output("stream", text="9\n")]),
    ]
    cells[2].metadata["jupyter"] = {"outputs_hidden": True}
    cells[2].outputs = [new_output("stream", text="4\n")]
    cells[5].outputs = [new_output("stream", text="f: right.\n")]
    return nbformat.writes(new_notebook(cells=cells))


def test_a_lecture_loses_its_solutions_and_what_answers_its_predictions():
    before, _, predict, _, stub, check, after = json.loads(mentees_notebook(lecture()))["cells"]
    text = '    # TODO: square it\n    raise NotImplementedError("square it")'
    assert "".join(stub["source"]) == f"def f(x):\n{text}"
    assert "".join(predict["source"]) == "print(2 + 2)"
    for cell in (predict, stub, check, after):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
    assert "jupyter" not in predict["metadata"]
    assert before["outputs"][0]["text"] == ["2\n"]


def test_only_asserts_and_what_would_be_empty_without_them_leave_a_prediction():
    code = """for each in runs:
    if each:
        assert each
    else:
        assert not total
total = 0
for x in (1, 2):
    total += x
    assert (
        total > 0
    )
if total:
    assert total < 9
    assert total > 0
else:
    print("assert")


def check(x):
    assert x
"""
    left = """total = 0
for x in (1, 2):
    total += x
if total:
    pass
else:
    print("assert")


def check(x):
    assert x"""
    assert without_asserts(code) == left


def test_a_solution_without_a_tag_is_refused():
    with pytest.raises(ValueError, match="cell 4: a solution without the tag `exercise`"):
        mentees_notebook(lecture(tags=()))


def test_no_answer_and_no_key_in_any_notebook(made):
    folder, _ = made
    names = tree(folder)
    assert not [name for name in names if name.startswith(("tests/", ".ci/")) or name.endswith("source.py")]
    assert "conftest.py" not in names
    assert ".github/workflows/test.yml" not in names
    stubs = 0
    for path in notebooks(folder):
        for cell in nbformat.read(path, as_version=4).cells:
            assert "# solution:" not in cell.source
            assert "# end solution" not in cell.source
            stubs += "raise NotImplementedError" in cell.source
            if {"predict", "exercise", "check"} & set(cell.metadata.get("tags", [])):
                assert not cell.outputs
            if "predict" in cell.metadata.get("tags", []):
                assert not re.search(r"^ *assert\b", cell.source, flags=re.MULTILINE), path
                compile(cell.source, str(path), "exec")
            for output in cell.get("outputs", []):
                if output.output_type == "error":
                    assert output.ename == "NotImplementedError"
    assert stubs >= 3


def test_every_solution_line_of_the_lectures_is_gone(made):
    from common.members.solutions import solution_lines

    folder, _ = made
    for path in ROOT.glob("week*/*.ipynb"):
        text = (folder / path.relative_to(ROOT)).read_text()
        for cell in nbformat.read(path, as_version=4).cells:
            for lines in solution_lines(cell.source) if cell.cell_type == "code" else []:
                assert json.dumps("\n".join(lines))[1:-1] not in text


def test_it_names_the_groups_repository_and_no_other(made):
    folder, _ = made
    ours = re.search(r'Repository = "https://github.com/([^"]+)', (ROOT / "pyproject.toml").read_text())[1]
    for name, data in tree(folder).items():
        if Path(name).suffix in {".py", ".md", ".toml", ".ipynb", ".cff", ".yml"}:
            assert f"github.com/{ours}" not in data.decode(), name
            assert f"github/{ours}" not in data.decode(), name
    assert f"git clone {URL} && cd tea" in (folder / "README.md").read_text()
    assert f'REPOSITORY = "{URL}"' in (folder / "tools" / "first_cell.py").read_text()


def test_the_readme_says_which_edition_it_is_and_links_to_what_is_there(made):
    folder, _ = made
    assert "**This is the mentees' edition of the course:**" in (folder / "README.md").read_text()
    for page in ("README.md", "CONTRIBUTING.md", "members/README.md"):
        for link in re.findall(r"\]\(((?!https?:)[^)#\s]+)\)", (folder / page).read_text()):
            assert (folder / page).parent.joinpath(link).exists(), f"{page} links to {link}"


def test_the_way_to_a_hand_in_names_the_folder_that_a_clone_makes(made):
    folder, _ = made
    text = (folder / "CONTRIBUTING.md").read_text()
    assert f"git clone {URL} && cd tea\n" in text
    assert "https://github.com/YOU/tea`" in text
    assert "dnn-compression-course" not in text


def test_its_workflows_run_only_what_the_edition_has(made):
    folder, _ = made
    targets = re.findall(r"^(\w+):", (folder / "Makefile").read_text(), re.MULTILINE)
    workflows = sorted((folder / ".github" / "workflows").glob("*.yml"))
    assert [path.name for path in workflows] == ["board.yml", "members.yml"]
    for path in workflows:
        text = path.read_text()
        assert set(re.findall(r"\bmake (\w+)", text)) <= set(targets), path.name
        assert "tests/" not in text, path.name


def test_common_is_complete_and_its_commands_need_nothing_else(made):
    folder, _ = made
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "common"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    for name in filter(None, tracked.stdout.split("\0")):
        if (ROOT / name).is_file():
            assert (folder / name).read_bytes() == (ROOT / name).read_bytes()
    targets = re.findall(r"^(\w+):", (folder / "Makefile").read_text(), re.MULTILINE)
    assert targets == ["help", "setup", "lab", "capstone", "clean"]
    for target in targets:
        subprocess.run(["make", "--dry-run", target], cwd=folder, check=True, capture_output=True)


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    run = [sys.executable, "-m", "common", *arguments]
    return subprocess.run(run, cwd=folder, env=environment, capture_output=True, text=True)


def test_members_begin_and_start_in_it(made, tmp_path):
    folder = shutil.copytree(made[0], tmp_path / "tea")
    assert command(folder, "members", "new", "ada_lovelace").returncode == 0
    assert command(folder, "members", "start", "ada_lovelace", "7").returncode == 0
    assert (folder / "members/ada_lovelace/week07/assignment.ipynb").is_file()


@pytest.mark.slow
def test_members_check_runs_in_it(made, tmp_path):
    folder = shutil.copytree(made[0], tmp_path / "tea")
    command(folder, "members", "new", "ada_lovelace")
    command(folder, "members", "start", "ada_lovelace", "7")
    done = command(folder, "members", "check", "ada_lovelace", "7", "--json")
    (result,) = json.loads(done.stdout)
    assert result["points"] == 0
    assert (result["member"], result["week"]) == ("ada_lovelace", "week07")


def test_both_workflows_call_what_is_there(made):
    folder, _ = made
    found = sorted(path.name for path in (folder / ".github" / "workflows").iterdir())
    assert found == ["board.yml", "members.yml"]
    for name in found:
        for job in yaml.safe_load((folder / ".github/workflows" / name).read_text())["jobs"].values():
            for step in job["steps"]:
                for target in re.findall(r"\bmake (\w+)", step.get("run", "")):
                    assert re.search(rf"^{target}:", (folder / "Makefile").read_text(), re.MULTILINE)
                for script in re.findall(r"(?:\./|tools/)[\w/]+\.(?:sh|py)", step.get("run", "")):
                    assert (folder / script).is_file()


def test_the_gate_judges_a_pull_request_in_it(made, tmp_path):
    folder = shutil.copytree(made[0], tmp_path / "tea")
    roster = folder / "members" / "team.toml"
    roster.write_text(
        roster.read_text() + '\n[[members]]\nname = "ada"\nfull_name = "Ada"\ngithub = "ada-l"\n'
    )

    def git(*arguments):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-qm", "The course")
    base = git("rev-parse", "HEAD")
    (folder / "members" / "ada").mkdir()
    (folder / "members" / "ada" / "profile.md").write_text("# Ada\n")
    git("add", "-A")
    git("commit", "-qm", "Ada")
    gate = [sys.executable, "-m", "common.members.gate", "ada-l", base, git("rev-parse", "HEAD")]
    done = subprocess.run(
        gate, cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True
    )
    assert done.returncode == 0, done.stderr


def test_twice_the_same_bytes(made):
    folder, _ = made
    assert edition(URL) == edition(URL)
    before = tree(folder)
    again = release(folder, URL)
    assert tree(folder) == before
    assert (again.new, again.changed, again.removed) == ((), (), ())
    assert "nothing changed" in again.table()


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A course of three files in place of the whole one: what its edition holds can be set."""
    files = {
        "README.md": (b"one\n", False),
        "week01/a.ipynb": (b"{}\n", False),
        "members/team.toml": (b"#\n", False),
    }
    files["members/template/profile.md"] = (b"# Your name\n", False)
    monkeypatch.setattr(module, "edition", lambda url, *, root: dict(files))
    return tmp_path / "tea", files


def test_over_an_existing_one_members_stay_and_the_rest_is_told(small):
    folder, files = small
    assert release(folder, URL).new == tuple(sorted(files))
    work = {
        "members/ada/profile.md": "# Ada",
        "members/team.toml": "group_weeks = []",
        ".git/config": "x",
        "notes": "y",
    }
    for name, text in work.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "README.md").write_text("edited by the group")
    files["README.md"] = (b"two\n", False)
    files["week02/b.ipynb"] = files.pop("week01/a.ipynb")
    done = release(folder, URL)
    assert (done.new, done.changed, done.removed) == (
        ("week02/b.ipynb",),
        ("README.md",),
        ("week01/a.ipynb",),
    )
    assert done.overwritten == ("README.md",)
    assert done.kept == ("members/ada/", "members/team.toml")
    assert "overwritten: 1 (README.md)" in done.table()
    for name, text in work.items():
        assert (folder / name).read_text() == text
    assert not (folder / "week01").exists()


@pytest.mark.parametrize("is_new", [True, False])
def test_a_failure_on_the_way_leaves_all_as_it_was(small, monkeypatch, is_new):
    folder, files = small
    if not is_new:
        release(folder, URL)
        del files["week01/a.ipynb"]
        files["README.md"], files["x/y"] = (b"two\n", False), (b"new", False)
    before = tree(folder)
    rename, left = os.rename, [0 if is_new else 5]

    def failing(source, target):
        if left[0] == 0 and ".part" in str(source) and ".part" not in str(Path(target).parent.parent):
            left[0] = -1
            raise OSError("no space left")
        left[0] -= 1
        return rename(source, target)

    monkeypatch.setattr(module.os, "rename", failing)
    with pytest.raises(OSError, match="no space left"):
        release(folder, URL)
    assert tree(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ([] if is_new else ["tea"])


@pytest.mark.parametrize(
    "url", ["http://github.com/a/b", "https://gitlab.com/a/b", "https://github.com/a", "a/b", ""]
)
def test_other_addresses_are_refused(url, tmp_path):
    with pytest.raises(ValueError, match="expected https://github"):
        release(tmp_path / "tea", url)
    assert not (tmp_path / "tea").exists()


def test_folders_in_use_are_refused(small):
    folder, _ = small
    folder.mkdir()
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match="not empty and not a mentees' edition"):
        release(folder, URL)
    assert tree(folder) == {"thesis.tex": b"mine"}
    (folder / MANIFEST).write_text('{"files": {"../thesis.tex": "0"}}')
    with pytest.raises(ValueError, match="not a mentees' edition"):
        release(folder, URL)
    for inside in (ROOT, ROOT / "runs" / "tea"):
        with pytest.raises(ValueError, match="inside the course"):
            release(inside, URL)


def test_a_list_that_names_members_work_removes_none_of_it(small):
    folder, _ = small
    release(folder, URL)
    (folder / "members" / "ada").mkdir()
    (folder / "members" / "ada" / "x.py").write_text("mine")
    note = json.loads((folder / MANIFEST).read_text())
    note["files"]["members/ada/x.py"] = "0"
    (folder / MANIFEST).write_text(json.dumps(note))
    assert release(folder, URL).removed == ()
    assert (folder / "members" / "ada" / "x.py").read_text() == "mine"


def test_the_command_tells_what_it_did(small, capsys):
    from common.cli import main

    folder, _ = small
    with pytest.raises(SystemExit) as stop:
        main(["course", "release", str(folder), "--repository", URL])
    assert stop.value.code == 0
    assert "new: 4 (README.md" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["course", "release", str(folder), "--repository", "nowhere"])
    assert stop.value.code == 1
    assert capsys.readouterr().err.startswith("dnnc: repository 'nowhere': expected https://github.com/")


def test_notebooks_stand_in_the_order_in_which_the_page_links_them(tmp_path, made):
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.ipynb").touch()
    (tmp_path / "README.md").write_text("| [First](c.ipynb) |\n| [Second](a.ipynb), after [c](c.ipynb) |\n")
    assert [path.stem for path in module.reading_order(tmp_path / "README.md")] == ["c", "a", "b"]
    text = (made[0] / "README.md").read_text(encoding="utf-8")
    places = [
        text.index(f"(capstone/{name}.ipynb)")
        for name in ("build_it", "your_pipeline", "capstone", "methods")
    ]
    assert places == sorted(places)
