"""Loading whole data sets into memory: the same arrays, whatever file they come from.

``load_dataset`` looks, in this order, for arrays decoded before, in an explicit root, in ``DNNC_DATA``, in
the cache, and on the network (unless ``DNNC_OFFLINE`` is set); ``digits`` and ``digits8x8`` come inside the
installed packages. In every folder it reads torchvision's layout and the Hugging Face hub's::

    cifar-10-batches-py/data_batch_1 ...      or cifar-10-python.tar.gz
    cifar-100-python/train, test              or cifar-100-python.tar.gz
    MNIST/raw/train-images-idx3-ubyte.gz ...  or without .gz
    cifar10/train-*.parquet ...               (also below: cifar10/plain_text/), likewise cifar100/, mnist/

The named folder may also be the inner one (cifar10/, cifar-10-batches-py/, MNIST/, or whatever folder
holds MNIST's four files), and files may have been unpacked without losing their ``.gz``.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from common.data.cache import content_sha256, read_arrays, user_cache, write_arrays
from common.data.catalog import SPLITS, facts
from common.data.downloads import SOURCES, DownloadError, fetch, is_offline
from common.data.image_set import ImageSet
from common.data.readers import (
    BATCH_FOLDERS,
    IDX_PREFIX,
    PARQUET_COLUMNS,
    Arrays,
    canonical_order,
    read_batches,
    read_embedded,
    read_idx,
    read_parquet,
)


class DatasetNotFoundError(FileNotFoundError):
    """A data set was not found anywhere; the message lists what was tried and what to do."""


def load_dataset(name: str, split: str, *, root: str | Path | None = None, download: bool = True) -> ImageSet:
    """Load a whole data set into memory.

    Parameters
    ----------
    name : {"cifar10", "cifar100", "mnist", "digits", "digits8x8"}
        The last two come inside the dependencies: 5,000 of MNIST's digits, and 1,797 small ones.
    split : {"train", "test"}
        Part of the set.
    root : path, optional
        A folder to search first.
    download : bool
        Whether the set may be downloaded when no folder has it.

    Returns
    -------
    ImageSet
        Images in the order of their digests (`readers.canonical_order`), so the first n are a random sample.

    Raises
    ------
    ValueError
        When there is no such set or split.
    DatasetNotFoundError
        When the set is not found anywhere; without a network, after ten seconds at most.

    Examples
    --------
    >>> digits = load_dataset("digits", "test")
    >>> digits.images.shape, digits.labels[:5].tolist(), len(digits.classes)
    ((1000, 1, 28, 28), [7, 6, 3, 4, 0], 10)
    """
    known = facts(name)
    if split not in SPLITS:
        raise ValueError(f"split={split!r} should be one of {', '.join(SPLITS)}")
    sha256 = known.sha256(split)
    arrays = read_arrays(f"{name}-{split}", sha256, known.image_shape)
    if arrays is None:
        arrays, _ = _find(name, split, sha256, root=root, download=download)
        write_arrays(f"{name}-{split}", *arrays, sha256)
    return ImageSet(*arrays, known.classes, name, sha256)


def locate_dataset(name: str, split: str) -> str:
    """Return, in words, where `load_dataset` would find a set without the network.

    The set is read and checked, and cached.

    Raises
    ------
    DatasetNotFoundError
        When no folder holds it.
    """
    known = facts(name)
    sha256 = known.sha256(split)
    if read_arrays(f"{name}-{split}", sha256, known.image_shape) is not None:
        return f"the cache {user_cache()}, decoded"
    arrays, where = _find(name, split, sha256, root=None, download=False)
    write_arrays(f"{name}-{split}", *arrays, sha256)
    return where


def _find(
    name: str, split: str, sha256: str, *, root: str | Path | None, download: bool
) -> tuple[Arrays, str]:
    """Return the first source's arrays that are the published content, and the source's name."""
    tried, broken = [], []
    for where, read in _sources(name, split, root=root, download=download):
        try:
            arrays = read()
            if arrays is None:
                tried.append(f"{where} ({_looked_for(where, name, split, root)})")
                continue
            arrays = canonical_order(*arrays)
            if content_sha256(*arrays) == sha256:
                for failing in broken:  # only where the set is found: else the error below lists them
                    warnings.warn(f"{name}/{split} is broken in {failing}; read from {where}", stacklevel=4)
                return arrays, where
            failing = f"{where} ({len(arrays[1])} images that are not those of the published set)"
        except (ValueError, DownloadError) as error:
            failing = f"{where} ({error})"
        tried.append(failing)
        broken.append(failing)
    raise DatasetNotFoundError(f"{name}/{split} not found; tried {', '.join(tried)}; to do: {_advice(name)}")


_NETWORK = "the network"


def _sources(
    name: str, split: str, *, root: str | Path | None, download: bool
) -> Iterator[tuple[str, Callable[[], Arrays | None]]]:
    """Yield where a set may be, in the order of the search: a name for messages, and how to read it there."""
    if (name, split) not in SOURCES:
        yield "the installed packages", lambda: read_embedded(name, split)
        return
    cache = user_cache()
    prepared = os.environ.get("DNNC_DATA")
    if root is not None:
        yield f"root {root}", lambda: _read_folder(Path(root), name, split)
    if prepared:
        yield f"DNNC_DATA {prepared}", lambda: _read_folder(Path(prepared).expanduser(), name, split)
    yield f"the cache {cache}", lambda: _read_folder(cache, name, split)
    if download and not is_offline():
        yield _NETWORK, lambda: _download(cache, name, split)


def _read_folder(folder: Path, name: str, split: str) -> Arrays | None:
    for read in (read_batches, read_idx, read_parquet):
        arrays = read(folder, name, split)
        if arrays is not None:
            return arrays
    return None


def _looked_for(where: str, name: str, split: str, root: str | Path | None) -> str:
    """Return why a set is "not there": what was looked for in the folder, and what is in it."""
    prepared = os.environ.get("DNNC_DATA")
    folder = {f"root {root}": root, f"DNNC_DATA {prepared}": prepared}.get(where)
    if folder is None:
        return "not there"
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        return "not a folder" if folder.exists() else "no such folder"
    found = sorted(path.name + "/" * path.is_dir() for path in islice(folder.iterdir(), 1000))
    shown = ", ".join(found[:4]) + (", ..." if found[4:] else "") if found else "nothing"
    return f"not there: looked for {_layouts(name, split)}; found {shown}"


def _layouts(name: str, split: str) -> str:
    if name == "mnist":
        return f"mnist/{split}-*.parquet or MNIST/raw/{IDX_PREFIX[split]}-images-idx3-ubyte.gz"
    batches, archive, _ = BATCH_FOLDERS[name]
    return f"{name}/{split}-*.parquet, {batches}/ or {archive}"


def _download(cache: Path, name: str, split: str) -> Arrays | None:
    fetch(SOURCES[name, split], cache)
    return _read_folder(cache, name, split)


def _advice(name: str) -> str:
    if name not in PARQUET_COLUMNS:
        return "install the versions of constraints.txt"
    published = "MNIST/raw/*-ubyte.gz" if name == "mnist" else BATCH_FOLDERS[name][1]
    return f"put {published} or {name}/*.parquet in a folder and set DNNC_DATA to it, or load it once online"
