"""Install the dependencies that this Python lacks, and change none that it has (Colab's torch above all).

Run by the notebooks' first cell on Colab: ``python tools/install_missing.py [--dry-run]``.
"""

import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]


def missing(requirements: list[str]) -> list[str]:
    """Those of the requirements whose package is not installed, in whatever version."""
    absent = []
    for requirement in requirements:
        try:
            metadata.version(Requirement(requirement).name)
        except metadata.PackageNotFoundError:
            absent.append(requirement)
    return absent


def installed_pins() -> list[str]:
    """Every installed package at its present version: what the installer may not touch."""
    names = {distribution.metadata["Name"]: distribution.version for distribution in metadata.distributions()}
    return sorted(f"{name}=={version}" for name, version in names.items() if name)


def main(arguments: list[str]) -> int:
    """Install what is missing; 0 when all is there afterwards."""
    wanted = missing(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    if not wanted or "--dry-run" in arguments:
        print("\n".join(wanted))
        return 0
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write("\n".join(installed_pins()))
        constraints.flush()
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", constraints.name]
        return subprocess.run([*pip, *wanted]).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
