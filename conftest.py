"""What holds for every test and every notebook under test: no bars, no network, the cache only read."""

import os
import shutil
import tempfile
from pathlib import Path

import forked_kernels  # in tests/
import pytest
from hypothesis import settings

ROOT = Path(__file__).parent
MEMBERS = ROOT / "members"
BENCHMARKS = ROOT / "tests" / "benchmarks"
# The same examples at every run, so that a red run says something about the change, and a slow machine is no
# failure; `pytest --hypothesis-profile search` looks for new ones.
settings.register_profile("course", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("course")
_own_cache = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Set the environment before any module or notebook kernel reads it."""
    from common.data.cache import user_cache

    os.environ["DNNC_QUIET"] = "1"
    os.environ.setdefault("DNNC_OFFLINE", "1")  # DNNC_OFFLINE=0 lets the tests download the data sets
    os.environ.setdefault("DNNC_CAPSTONE_PROFILE", "test")  # a minute, whatever the machine could do
    own = config.stash[_own_cache] = tempfile.mkdtemp(prefix="dnnc-tests-")
    _link_cache(user_cache(), Path(own))
    os.environ["DNNC_CACHE"] = own
    forked_kernels.install()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the session's cache: links, and what the tests put beside them."""
    shutil.rmtree(config.stash.get(_own_cache, ""), ignore_errors=True)


def _link_cache(real: Path, own: Path) -> None:
    """Give `own` what `real` holds, file by file: writing replaces a link, never the file behind it."""
    for path in real.rglob("*"):
        if path.is_file() and path.suffix not in (".part", ".lock"):
            link = own / path.relative_to(real)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Members' folders are never collected, benchmarks only when asked for."""
    if collection_path == MEMBERS or MEMBERS in collection_path.parents:
        return True
    is_benchmark = collection_path == BENCHMARKS or BENCHMARKS in collection_path.parents
    return True if is_benchmark and not config.getoption("benchmark_only", False) else None
