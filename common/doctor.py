"""``dnnc doctor``: is this machine ready for the course? One line per check, and advice where it is not."""

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.base.files import user_cache

SETS = ("cifar10", "cifar100", "mnist", "digits", "digits8x8")  # those of `data.catalog`
GIB = 1 << 30
MIN_PYTHON = (3, 11)
MEMORY_BYTES = 4 * GIB  # CIFAR-10 in memory, and VGG-16's activations for a batch of 500
DISK_BYTES = 2 * GIB  # CIFAR-10 as downloaded and as decoded, and a run's checkpoints
_SET_UP = "build the environment with `make setup`, or activate the one you have"
_MODULES = (
    *("numpy", "scipy", "numba", "safetensors", "sklearn", "skimage", "mlxtend", "cv2", "matplotlib", "PIL"),
    *("pyarrow", "pooch", "requests", "urllib3", "filelock", "platformdirs", "tqdm", "typer", "rich"),
    *("torch_pruning", "zennit", "flask", "waitress", "itsdangerous", "segno", "ipywidgets", "psutil"),
    "markdown_it",
)


@dataclass(frozen=True)
class Check:
    """One finding: `status` is ``ok``, ``note`` (works, with less) or ``fail``; `advice` is empty when ok."""

    what: str
    status: str
    found: str
    advice: str = ""

    def __str__(self) -> str:
        line = f"{self.status:4}  {self.what}: {self.found}"
        return f"{line}; {self.advice}" if self.advice else line


def examine() -> list[Check]:
    """Check everything that the course needs; this takes a few seconds, since the data sets are really read.

    Returns
    -------
    list of Check
        The machine is ready when none of them is ``fail``.
    """
    return [
        _tried("Python", check_python, sys.version_info[:2]),
        _tried("torch", check_torch),
        _tried("packages", check_modules, _MODULES),
        _tried("compression", check_compression),
        _tried("cores", check_cores),
        _tried("memory", check_memory),
        _tried("GPU", check_gpu),
        _tried("DNNC_DATA", check_prepared_folder, os.environ.get("DNNC_DATA")),
        _tried("cache", lambda: check_cache(user_cache())),
        _tried("disk", lambda: check_disk(user_cache())),
        *(_tried(name, check_dataset, name) for name in SETS),
    ]


def _tried(what: str, check: Callable[..., Check], *arguments: object) -> Check:
    """Return a check's finding; an exception becomes a ``fail``, so that the other checks still run."""
    try:
        return check(*arguments)
    except Exception as error:  # a broken package may raise anything at its import
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return Check(what, "fail", f"{type(error).__name__}: {first}", _SET_UP)


def check_compression() -> Check:
    """Check what every command needs: the compiled loops, and a file written and read back."""
    import numpy as np

    from common.base.compiled import cache_place
    from common.codec import container
    from common.sharing.weight_sharing import share_weights

    weights = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    tensor = share_weights(weights, np.abs(weights) > 1, n_clusters=8)
    data = container.save(container.CompressedModel({"weight": tensor}))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tried.dcz"
        path.write_bytes(data)
        read = container.load_file(path).tensors["weight"]
    if not np.array_equal(read.to_dense(), tensor.to_dense()):
        return Check("compression", "fail", "a file read back differs from what was written", _SET_UP)
    place = cache_place()
    if place.startswith("nowhere"):
        return Check(
            "compression",
            "note",
            f"works; compiled code is kept {place}",
            "set DNNC_CACHE to a folder of yours",
        )
    return Check("compression", "ok", f"works; compiled code is kept {place}")


def warm_up() -> float:
    """Compile the inner loops of coding, k-means and sparse products, or load them; return the seconds.

    numba caches them (`base.compiled`), so that the first real call does not wait. All types of arguments
    have to occur, since each is compiled on its own: few kinds of symbols and many, short streams and long
    ones, gaps of one byte and of two.
    """
    import numpy as np

    from common.codec.container import CompressedModel, load, save
    from common.codec.gaps import decode_gaps, encode_gaps
    from common.codec.tensors import SharedTensor
    from common.deploy.sparse import SparseMatrix
    from common.sharing.kmeans import kmeans_1d

    start = time.perf_counter()
    rng = np.random.default_rng(0)
    tensors = {}
    for name, shape, n_clusters in (
        ("few", (400, 2000), 16),
        ("many", (400, 2000), 200),
        ("wide", (300, 300), 300),
        ("kept", (500, 500), 4),
    ):
        weight = rng.normal(size=shape).astype(np.float32)
        weight[: shape[0] // 2] *= 0.3  # uneven, so that the writer uses zones
        result = kmeans_1d(weight, n_clusters)
        positions = None if name == "kept" else np.flatnonzero(np.abs(weight) > 1.2)
        indices = result.indices.reshape(-1)
        indices = indices if positions is None else indices[positions]
        tensors[name] = SharedTensor(shape, result.codebook, positions, indices)
    kmeans_1d(weight, 3, sample_weight=np.ones_like(weight))
    for index in ("smallest", "fillers"):
        for tensor in load(save(CompressedModel(tensors), index=index)).tensors.values():
            tensor.to_dense()
    decode_gaps(encode_gaps(np.arange(0, 4000, 1000), 12), 12)
    matrix = SparseMatrix.of(tensors["few"])
    matrix @ np.ones(2000, dtype=np.float32)
    matrix @ np.ones((2000, 2), dtype=np.float32)
    return time.perf_counter() - start


def is_healthy(checks: Sequence[Check]) -> bool:
    """Return whether nothing that the course needs is missing."""
    return all(check.status != "fail" for check in checks)


def report(checks: Sequence[Check]) -> str:
    """Return the findings, one per line, and a closing line."""
    n_failed = sum(check.status == "fail" for check in checks)
    closing = "Ready." if n_failed == 0 else f"Not ready: {n_failed} of {len(checks)} checks failed."
    return "\n".join([*map(str, checks), closing])


def check_python(version: tuple[int, int]) -> Check:
    """Check the interpreter's version, (major, minor)."""
    found = f"{version[0]}.{version[1]} ({platform.python_implementation()})"
    if version < MIN_PYTHON:
        advice = f"install {MIN_PYTHON[0]}.{MIN_PYTHON[1]} or newer, then `make setup`"
        return Check("Python", "fail", found, advice)
    return Check("Python", "ok", found)


def check_torch() -> Check:
    """Check torch and torchvision, and that their versions match: a wrong pair fails at import, or in nms."""
    try:
        import torch
        import torchvision

        torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except (ImportError, RuntimeError, AttributeError, OSError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        advice = "install the pair of constraints.txt: `rm -r .venv && make setup`"
        return Check("torch", "fail", first, advice)
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "for the CPU only"
    found = f"{torch.__version__} ({build}) with torchvision {torchvision.__version__}"
    return Check("torch", "ok", found)


def check_modules(names: Sequence[str]) -> Check:
    """Check the other dependencies, by their import names."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        return Check("packages", "fail", f"{', '.join(missing)} missing", _SET_UP)
    return Check("packages", "ok", f"all {len(names)} there")


def check_cores() -> Check:
    """Check how many processor cores this process may use, and whether other programs use them."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = os.getloadavg()[0]
    found = f"{n_cores}, load {load:.1f}"
    if load > n_cores / 2:
        return Check("cores", "note", found, "other programs are busy: training may be ten times slower")
    if n_cores < 2:
        return Check("cores", "note", found, "the times in the README are for two")
    return Check("cores", "ok", found)


def check_memory(n_bytes: int | None = None) -> Check:
    """Check the main memory, in bytes; by default that of this machine."""
    if n_bytes is None:
        import psutil

        n_bytes = psutil.virtual_memory().total
    found = f"{n_bytes / GIB:.1f} GiB"
    if n_bytes < MEMORY_BYTES:
        advice = f"below {MEMORY_BYTES / GIB:.0f} GiB choose the offline profile"
        return Check("memory", "note", found, advice)
    return Check("memory", "ok", found)


def check_gpu() -> Check:
    """Check for a GPU that torch can use; none is needed."""
    try:
        import torch

        if torch.cuda.is_available():
            memory = torch.cuda.get_device_properties(0).total_memory
            return Check("GPU", "ok", f"{torch.cuda.get_device_name()}, {memory / GIB:.0f} GiB")
    except (ImportError, RuntimeError, OSError):
        pass  # check_torch reports this
    return Check("GPU", "note", "none", "none is needed: the capstone chooses its profile for two cores")


def check_prepared_folder(value: str | None) -> Check:
    """Check the folder that DNNC_DATA names, where it is set."""
    if not value:
        return Check("DNNC_DATA", "ok", "not set")
    if not Path(value).expanduser().is_dir():
        return Check("DNNC_DATA", "note", f"{value} is not a folder", "correct it, or unset it")
    return Check("DNNC_DATA", "ok", value)


def check_cache(folder: Path) -> Check:
    """Check whether downloads and decoded sets can be stored."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        advice = "set DNNC_CACHE to a folder that can be written; without it every run decodes the sets again"
        return Check("cache", "note", f"{folder} cannot be written ({error.strerror})", advice)
    return Check("cache", "ok", str(folder))


def check_disk(folder: Path) -> Check:
    """Check the free space where the cache is."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    n_free = shutil.disk_usage(existing).free
    if n_free < DISK_BYTES:
        advice = f"free {DISK_BYTES / GIB:.0f} GiB, or set DNNC_CACHE to a folder on another disk"
        return Check("disk", "note", f"{n_free / GIB:.1f} GiB free", advice)
    return Check("disk", "ok", f"{n_free / GIB:.0f} GiB free")


def check_dataset(name: str) -> Check:
    """Check whether the test images of a set can be read without the network, and from where."""
    from common.data.datasets import DatasetNotFoundError, locate_dataset

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            where = locate_dataset(name, "test")
        except DatasetNotFoundError as error:
            why, _, advice = str(error).partition("; to do: ")
            parts = [part.rstrip(")") for part in why.partition("tried ")[2].split("), ")]
            reasons = [f"{part})" for part in parts if " (" in part and not part.endswith(" (not there")]
            found = ": ".join(["not on this machine", *(["; ".join(reasons)] if reasons else [])])
            return Check(name, "note", found, advice)
    broken = [str(warning.message) for warning in caught if "is broken" in str(warning.message)]
    if broken:
        return Check(name, "note", where, f"but {broken[0]}: remove it")
    return Check(name, "ok", where)
