"""Install the dependencies that this Python lacks, and change none that will do (Colab's torch above all).

Run by the notebooks' first cell on Colab: ``python tools/install_missing.py [--dry-run]``. A package counts
as there when it can be imported, whatever distribution it came in: OpenCV has four, which overwrite each
other. One that is older than the course needs is renewed, unless others hang on it; then that is told.
"""

import importlib.util
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
# Names of modules that are not those of their distributions.
MODULES = {
    "markdown-it-py": "markdown_it",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
}
# What a machine has chosen as a set, for its drivers and for each other: never changed.
FIXED = ("torch", "torchvision", "numpy", "scipy", "numba", "opencv-python-headless")


def lacking(requirements: list[str]) -> tuple[list[str], list[str]]:
    """What to install, and what is older than needed but stays.

    Returns
    -------
    wanted : list of str
        Requirements whose module cannot be imported, or whose version is too old.
    stale : list of str
        A line for people for each package of `FIXED` with a version outside its range.
    """
    wanted, stale = [], []
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        if not _is_importable(MODULES.get(requirement.name, requirement.name.replace("-", "_"))):
            wanted.append(text)
            continue
        version = _version(requirement.name)
        if version is None or requirement.specifier.contains(version, prereleases=True):
            continue
        if requirement.name in FIXED:
            stale.append(
                f"{requirement.name} is {version}, the course is tested with {requirement.specifier}"
            )
        else:
            wanted.append(text)
    return wanted, stale


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _version(distribution: str) -> str | None:
    """The installed version; None where the module comes from another distribution."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def pins(but: list[str]) -> list[str]:
    """Every installed package at its present version: what the installer may not touch, but for some."""
    renewed = {Requirement(text).name.lower() for text in but}
    found = {one.metadata["Name"]: one.version for one in metadata.distributions()}
    return sorted(
        f"{name}=={version}" for name, version in found.items() if name and name.lower() not in renewed
    )


def main(arguments: list[str]) -> int:
    """Install what is lacking; 0 when all is there afterwards."""
    wanted, stale = lacking(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    for line in stale:
        print("note:", line, file=sys.stderr)
    if not wanted or "--dry-run" in arguments:
        print("\n".join(wanted))
        return 0
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write("\n".join(pins(but=wanted)))
        constraints.flush()
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", constraints.name]
        code = subprocess.run([*pip, *wanted]).returncode
    if code:
        print(f"not installed: {', '.join(wanted)}; check the network, and run this again", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
