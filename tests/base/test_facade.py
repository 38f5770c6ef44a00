"""What folders hand on: every name is there, and importing a folder loads nothing else."""

import importlib
import subprocess
import sys

import pytest

FACADES = ("codec", "data", "networks", "pruning", "report", "sharing")


@pytest.mark.parametrize("folder", FACADES)
def test_every_name_is_handed_on(folder):
    package = importlib.import_module(f"common.{folder}")
    assert len(package.__all__) == len(set(package.__all__)) <= 16
    for name in package.__all__:
        assert getattr(package, name).__name__ == name if callable(getattr(package, name)) else True
        assert name in dir(package)
    with pytest.raises(AttributeError, match=f"module 'common.{folder}' has no attribute 'nothing'"):
        _ = package.nothing


def test_a_folder_loads_nothing_that_nobody_asked_for():
    imports = ", ".join(f"common.{folder}" for folder in FACADES)
    code = f"import sys, {imports}; assert not {{'torch', 'numba', 'numpy'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
