"""What Colab lacks is installed, and what will do is left alone."""

import importlib.util
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_SPEC = importlib.util.spec_from_file_location("install_missing", ROOT / "tools" / "install_missing.py")
tool = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(tool)


@pytest.fixture
def machine(monkeypatch):
    """A machine with these modules, and these distributions."""

    def have(modules, versions):
        def version(name):
            if name not in versions:
                raise metadata.PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(tool, "_is_importable", lambda module: module in modules)
        monkeypatch.setattr(tool.metadata, "version", version)

    return have


def test_no_opencv_is_installed_over_another(machine):
    machine({"cv2"}, {"opencv-contrib-python": "5.1.0"})
    assert tool.lacking(["opencv-python-headless>=4.8,<5"]) == ([], [])
    machine({"cv2"}, {"opencv-python-headless": "5.1.0"})
    wanted, stale = tool.lacking(["opencv-python-headless>=4.8,<5"])
    assert wanted == []
    assert stale == ["opencv-python-headless is 5.1.0, the course is tested with <5,>=4.8"]
    machine(set(), {})
    assert tool.lacking(["opencv-python-headless>=4.8,<5"]) == (["opencv-python-headless>=4.8,<5"], [])


def test_versions_are_looked_at_but_torch_stays(machine):
    machine({"typer", "torch", "PIL"}, {"typer": "0.15.4", "torch": "2.4.0+cu121", "pillow": "11.0"})
    wanted, stale = tool.lacking(["typer>=0.16", "torch>=2.6", "pillow>=10.3", "torch-pruning>=1.5"])
    assert wanted == ["typer>=0.16", "torch-pruning>=1.5"]
    assert stale == ["torch is 2.4.0+cu121, the course is tested with >=2.6"]


def test_markers_count(machine):
    machine(set(), {})
    assert tool.lacking(["nothing>=1; sys_platform == 'no such system'"]) == ([], [])


def test_what_is_renewed_is_not_pinned():
    assert any(line.startswith("pytest==") for line in tool.pins(but=[]))
    assert not any(line.startswith("pytest==") for line in tool.pins(but=["pytest>=8"]))


def test_this_environment_lacks_nothing(capsys):
    assert tool.main(["--dry-run"]) == 0
    assert capsys.readouterr().out.strip() == ""


def test_a_failed_installation_is_told(machine, monkeypatch, capsys):
    machine(set(), {})
    called = []
    monkeypatch.setattr(
        tool.subprocess, "run", lambda command: called.append(command) or type("Done", (), {"returncode": 1})
    )
    assert tool.main([]) == 1
    assert called[0][:4] == [sys.executable, "-m", "pip", "install"]
    assert "run this again" in capsys.readouterr().err


def test_every_dependency_has_the_module_that_is_looked_for():
    import tomllib

    from packaging.requirements import Requirement

    for text in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        name = Requirement(text).name
        module = tool.MODULES.get(name, name.replace("-", "_"))
        assert importlib.util.find_spec(module) is not None, module
