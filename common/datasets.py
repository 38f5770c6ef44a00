"""Images enter the house here: whole sets in memory, the same arrays whatever file they came from.

Images stand in the order of their digests, not of any file: torchvision's batches, the Hugging Face
Parquet files and a download then give identical arrays, and the first n images are a fair sample.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.array_cache import content_sha256, read_arrays, user_cache, write_arrays
from common.image_layouts import read_idx, read_parquet


class DatasetNotFoundError(FileNotFoundError):
    """A data set is nowhere to be had; the message lists what was tried and what to do."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with labels, in memory.

    Attributes
    ----------
    images : uint8 ndarray of shape (n, channels, height, width)
    labels : int64 ndarray of shape (n,), values in [0, len(classes))
    classes : tuple of str
    name : str
        Set and split, such as ``cifar10/train``.
    sha256 : str
        SHA-256 of the content (`content_sha256`).
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    name: str
    sha256: str

    def __len__(self) -> int:
        return len(self.labels)


_CLASSES = {
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "cifar100": tuple(str(i) for i in range(100)),
    "mnist": tuple("0123456789"),
}
_READERS = {"cifar10": [read_parquet], "cifar100": [read_parquet], "mnist": [read_idx, read_parquet]}
# Measured once; every layout must give these.
_SHA256 = {
    ("mnist", "test"): "86af96f8268d190f1cb77c1ebb6ef099cc0f3b9eeaf1526b1898fe915798f9f2",
    ("mnist", "train"): "5657f40e582d97fb70aaac97f30009c64d1b27689f00ef3fceee3a5b7ddb4817",
    ("cifar10", "test"): "8f41e257e861a0a8b168926721d1fee84b47c2939fb0e1305c56bf0005af90ae",
    ("cifar10", "train"): "2b7810af8bace4c093b932feb0e98536c2983c39d9cdce13ba7633fbb785f2cf",
    ("cifar100", "test"): "9318339bf87efde162177bf52689672112e72bc9832079e5a38a1e96d47e3ebe",
    ("cifar100", "train"): "7c4bbd16ffa1e2bb4f540d89872cc4cf7113e6e0096974bf27bee674a02acb3a",
}


def load_dataset(name: str, split: str, *, root: str | Path | None = None, download: bool = True) -> ImageSet:
    """Load a whole data set into memory."""
    if name not in _CLASSES:
        raise ValueError(f"name={name!r} is no data set; expected one of {', '.join(_CLASSES)}")
    if split not in ("train", "test"):
        raise ValueError(f"split={split!r} should be 'train' or 'test'")
    sha256 = _SHA256.get((name, split), "")
    arrays = read_arrays(f"{name}-{split}", sha256) if sha256 else None
    if arrays is None:
        roots = [Path(r) for r in (root, os.environ.get("DNNC_DATA"), user_cache()) if r]
        for folder in roots:
            for reader in _READERS[name]:
                if arrays is None:
                    arrays = reader(folder, name, split)
        if arrays is None:
            raise DatasetNotFoundError(f"{name} is not in {', '.join(map(str, roots))}; set DNNC_DATA to its folder")
        arrays = _canonical_order(*arrays)
        found = content_sha256(*arrays)
        if sha256 and found != sha256:
            raise ValueError(f"{name}/{split}: content has SHA-256 {found}, expected {sha256}; fetch the set again")
        sha256 = found
        write_arrays(f"{name}-{split}", *arrays, sha256)
    return ImageSet(*arrays, _CLASSES[name], f"{name}/{split}", sha256)


def _canonical_order(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort by the images' digests, then labels: an order that only the content decides."""
    digests = np.array([int.from_bytes(hashlib.blake2b(image, digest_size=8).digest()) for image in images])
    order = np.lexsort((labels, digests))
    return np.ascontiguousarray(images[order]), labels[order]
