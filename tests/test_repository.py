"""The repository keeps its own promises: pins, addresses, no data in git, and who may import whom."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import common

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ADDRESS = PYPROJECT["project"]["urls"]["Repository"]


def tracked_files() -> list[Path]:
    """What git holds, so that a clone would have it; in an unpacked archive, what is there.

    But for the members' own work: `common.members.gate` says what may be in it.
    """
    if not (ROOT / ".git").exists():
        found = [path for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts]
    else:
        listing = ["git", "ls-files", "-z"]
        listed = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True)
        found = [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    return [path for path in found if not is_members_work(path.relative_to(ROOT))]


def is_members_work(path: Path) -> bool:
    """Whether a path lies in a member's folder."""
    return path.parts[0] == "members" and len(path.parts) > 2 and path.parts[1] != "template"


def pins() -> dict[str, list[str]]:
    """Package name to its pinned versions (more than one where they differ by Python version)."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        match = re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)", line)
        if match:
            found.setdefault(canonicalize_name(match[1]), []).append(match[2])
    return found


def requirements() -> list[Requirement]:
    """All that pyproject.toml asks for, the development extra included."""
    project = PYPROJECT["project"]
    return [Requirement(line) for line in project["dependencies"] + project["optional-dependencies"]["dev"]]


def concepts() -> set[str]:
    """The folders of the package."""
    return {path.parent.name for path in (ROOT / "common").glob("*/__init__.py")}


def imports_of(path: Path) -> set[str]:
    """Names of the package's folders and modules that a module, or a folder of them, imports anywhere."""
    found = set()
    for file in [path] if path.is_file() else path.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name.split(".") for alias in node.names]
                found |= {name[1] for name in names if name[0] == "common" and len(name) > 1}
            elif isinstance(node, ast.ImportFrom) and node.level:
                found.add(f"relative import in {file.name}: write it out")
            elif isinstance(node, ast.ImportFrom) and node.module == "common":
                found |= {alias.name for alias in node.names if not alias.name.startswith("__")}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("common."):
                found.add(node.module.split(".")[1])
    return found - {path.stem}


def test_the_map_and_the_table_name_every_folder_once():
    listed = re.findall(r"^``(\w+)``", common.__doc__, re.MULTILINE)
    assert sorted(listed) == sorted(common.MAY_IMPORT) == sorted(concepts())


@pytest.mark.parametrize("name", sorted(common.MAY_IMPORT))
def test_a_folder_imports_what_the_table_allows(name):
    imported, allowed = imports_of(ROOT / "common" / name), set(common.MAY_IMPORT[name].split())
    assert imported <= allowed, f"common/{name} imports {sorted(imported - allowed)}: see common/__init__.py"


def test_the_table_has_no_cycle():
    seen: set[str] = set()
    while left := {name for name in common.MAY_IMPORT if name not in seen}:
        ready = {name for name in left if set(common.MAY_IMPORT[name].split()) <= seen}
        assert ready, f"these import each other: {sorted(left)}"
        seen |= ready


def test_import_check_sees_every_kind_of_import(tmp_path):
    file = tmp_path / "late.py"
    body = "    from common.pruning.masks import g\n    from common import report\n"
    file.write_text(f"import common.codec.huffman\ndef f():\n{body}")
    assert imports_of(file) == {"codec", "pruning", "report"}


def test_codec_sharing_and_data_import_without_torch():
    """But for what trains codebooks, and for batches of tensors."""
    with_torch = {"centroid_tuning", "trained_sharing", "batches"}
    modules = [
        f"common.{folder}.{path.stem}".removesuffix(".__init__")
        for folder in ("base", "codec", "sharing", "data", "checks")
        for path in sorted((ROOT / "common" / folder).glob("*.py"))
        if path.stem not in with_torch
    ]
    code = f"import sys; sys.modules['torch'] = None; import {', '.join(modules)}"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_gate_needs_the_standard_library_only():
    """The workflow runs it before anything is installed."""
    code = "import sys; import common.members.gate, common.members.roster; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], check=True, cwd=ROOT, capture_output=True, text=True
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert loaded - {"common"} <= sys.stdlib_module_names | {"__main__"}


def test_importing_the_package_is_light():
    code = "import sys, common; assert not {'numpy', 'torch'} & set(sys.modules), 'heavy imports in __init__'"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_every_requirement_is_pinned_within_its_range():
    pinned = pins()
    for requirement in requirements():
        versions = pinned.get(canonicalize_name(requirement.name), [])
        assert versions, f"{requirement.name} is not in constraints.txt: run `make constraints`"
        for version in versions:
            assert requirement.specifier.contains(version), f"{requirement} excludes the pinned {version}"


def test_pins_hold_hashes_and_no_addresses():
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in entry for entry in entries)


def test_torch_and_torchvision_are_a_pair():
    from importlib.metadata import requires, version

    if version("torchvision") not in pins()["torchvision"]:
        pytest.skip("another torchvision than the pinned one is installed")
    wanted = [Requirement(line) for line in requires("torchvision") if Requirement(line).name == "torch"]
    assert all(wanted[0].specifier.contains(version) for version in pins()["torch"])


def test_conda_environment_uses_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python = next(line for line in environment["dependencies"] if str(line).startswith("python="))
    from_pip = next(line for line in environment["dependencies"] if isinstance(line, dict))["pip"]
    supported = Requirement(f"python{PYPROJECT['project']['requires-python']}").specifier
    assert supported.contains(python.split("=")[1])
    assert from_pip == ["--requirement constraints.txt"]
    assert "pip install --no-deps --editable ." in (ROOT / "postBuild").read_text()


@pytest.mark.parametrize("script", [".ci/run", "tools/setup.sh", "postBuild"])
def test_scripts_are_executable_and_parse(script):
    path = ROOT / script
    assert path.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_ci_calls_make_with_the_shared_data(tmp_path):
    shared, checkout, tools = tmp_path / "shared" / "data", tmp_path / "checkout", tmp_path / "bin"
    for folder in (shared, checkout / ".ci", tools):
        folder.mkdir(parents=True)
    script = checkout / ".ci" / "run"
    script.write_bytes((ROOT / ".ci" / "run").read_bytes())
    fake_make = tools / "make"
    fake_make.write_text(
        '#!/bin/sh\necho "make $* in $PWD with $DNNC_DATA"\n[ "$1" != test-slow ] || exit 7\n'
    )
    for path in (script, fake_make):
        path.chmod(0o755)
    environment = {"PATH": f"{tools}:/usr/bin:/bin"}
    done = subprocess.run([str(script)], env=environment, capture_output=True, text=True, cwd=tmp_path)
    called = [f"make {target} in {checkout} with {shared}" for target in ("lint", "test", "test-slow")]
    assert done.stdout.splitlines() == called
    assert done.returncode == 7


@pytest.mark.parametrize(
    "target",
    [
        *(
            "animations",
            "assignments",
            "badges",
            "bench",
            "capstone",
            "clean",
            "lab",
            "lint",
            "notebooks",
            "site",
        ),
        *("tables", "tags", "test", "test-slow"),
    ],
)
def test_make_knows_its_targets(target):
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_data_sets_or_build_outputs_in_git():
    forbidden = re.compile(r"\.parquet$|-ubyte(\.gz)?$|cifar-10|\.pyc$|\.egg-info|\.part$|\.ckpt$|\.pt$")
    held = [path.relative_to(ROOT).as_posix() for path in tracked_files()]
    assert not [name for name in held if forbidden.search(name)]


def test_nothing_large_in_git_but_the_baselines():
    """32 MB for a baseline's safetensors, 2 MB for a .dcz (AlexNet's: 1.4) or a notebook, 1 MB for others."""
    limits = {".safetensors": 32_000_000, ".dcz": 2_000_000, ".ipynb": 2_000_000}
    for path in tracked_files():
        limit = limits.get(path.suffix, 1_000_000)
        size = path.stat().st_size
        assert size <= limit, f"{path.relative_to(ROOT)} takes {size:,} bytes, at most {limit:,}"


def test_no_machine_paths_in_text_files():
    home = re.compile(r"/home/\w+/|/Users/\w+/|/root/")
    texts = {".py", ".md", ".toml", ".yml", ".ipynb", ".json", ".sh", ".cff", ".txt"}
    for path in tracked_files():
        if path.suffix in texts and path.name not in ("test_repository.py", "test_notebooks.py"):
            text = path.read_text(encoding="utf-8")
            found = home.search(text) or re.search(re.escape(f"{ROOT}/"), text)
            assert not found, f"{path.relative_to(ROOT)} names a place on somebody's machine: {found[0]}"


def test_members_work_is_not_held_to_the_courses_rules():
    assert is_members_work(Path("members/ada/capstone/vgg16.dcz"))
    for name in ("members/team.toml", "members/template/week01/README.md", "README.md"):
        assert not is_members_work(Path(name))


@pytest.mark.slow
def test_members_and_benchmarks_are_not_collected(tmp_path):
    """A member's folder not even when asked for by name: unfinished work must not fail the course."""
    for name in ("conftest.py", "pyproject.toml", "tests/forked_kernels.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for place in ("members/ada", "tests", "tests/benchmarks"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / f"test_{Path(place).name}.py").write_text("def test_it(): pass\n")
    (tmp_path / "members" / "ada" / "work.ipynb").write_text("not even JSON")
    command = [sys.executable, "-m", "pytest", "--nbval", "--collect-only", "-q", "-p", "no:cacheprovider"]
    for asked, found in (([], True), (["members"], False), (["members/ada/work.ipynb"], False)):
        done = subprocess.run([*command, *asked], cwd=tmp_path, capture_output=True, text=True)
        collected = [line for line in done.stdout.splitlines() if "::" in line]
        assert collected == (["tests/test_tests.py::test_it"] if found else []), done.stdout + done.stderr


def test_addresses_are_in_step_with_pyproject():
    check = [sys.executable, "tools/badges.py", "--check"]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"run `make badges`: {done.stdout}{done.stderr}"


def test_notebooks_in_the_readme_exist():
    text = (ROOT / "README.md").read_text()
    for link in re.findall(r"\]\(([^)\s:#]+\.ipynb)\)", text):
        assert (ROOT / link).is_file(), f"README.md links to {link}, which is not there"


def test_badges_follow_the_address():
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import badges
    finally:
        sys.path.remove(str(ROOT / "tools"))
    url = "https://github.com/ada/engine"
    row = "| 1 | [Images](week01/images.ipynb) | 60 |  |\n"
    renewed = badges.renewed_markdown(row, url)
    assert renewed.startswith("| 1 | [Images](week01/images.ipynb) | 60 | [![Open in Colab](")
    assert "github/ada/engine/blob/main/week01/images.ipynb)" in renewed
    assert badges.renewed_markdown(renewed, url) == renewed, "renewing twice changes nothing"
    moved = badges.renewed_markdown(renewed, "https://github.com/grace/compiler")
    assert moved == renewed.replace("ada/engine", "grace/compiler")
    in_week = badges.renewed_markdown("| [Images](images.ipynb) | |\n", url, "week01")
    assert "blob/main/week01/images.ipynb" in in_week
    prose = "see [Images](week01/images.ipynb) | and so on |\n"
    assert badges.renewed_markdown(prose, url) == prose
    assert badges.renewed_links("git clone https://x.org/y.git", url) == f"git clone {url}"
    with pytest.raises(ValueError, match="as Colab wants"):
        badges.owner_and_name("https://example.org/ada/engine")


def test_licence_citation_and_changelog_agree_with_pyproject():
    version = PYPROJECT["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert common.__version__ == version == str(citation["version"])
    assert citation["repository-code"] == ADDRESS
    assert citation["license"] == PYPROJECT["project"]["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()
