"""Install the dependencies that this Python lacks, and change none that is good enough (Colab's torch).

Run by the notebooks' first cell on Colab: ``python tools/install_missing.py [--dry-run]``. A package counts
as installed when it can be imported, whatever distribution it comes from: OpenCV has four, which overwrite
each other. One that is older than the course needs is upgraded, unless others depend on its version
(`FIXED`); then a note says so.
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
# Import names that differ from the names of their distributions.
MODULES = {
    "markdown-it-py": "markdown_it",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
}
# Packages whose versions depend on each other and on the machine's drivers: never changed.
FIXED = ("torch", "torchvision", "numpy", "scipy", "numba", "opencv-python-headless")


def lacking(requirements: list[str]) -> tuple[list[str], list[str]]:
    """Return what to install, and what is older than needed but stays.

    Returns
    -------
    wanted : list of str
        Requirements whose module cannot be imported, or whose version is too old.
    stale : list of str
        A line for the user for each package of `FIXED` with a version outside its range.
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
    """Return the installed version; None where the module comes from another distribution."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def pins(but: list[str]) -> list[str]:
    """Return a pin on the installed version of every package except those in `but`, which may change."""
    renewed = {Requirement(text).name.lower() for text in but}
    found = {one.metadata["Name"]: one.version for one in metadata.distributions()}
    return sorted(
        f"{name}=={version}" for name, version in found.items() if name and name.lower() not in renewed
    )


def main(arguments: list[str]) -> int:
    """Install what is missing; return 0 when all is installed afterwards."""
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
