"""Decoded data sets in the user's cache: written whole or not at all, and checked whenever they are read.

A file holds an image set's pixels (bytes), then its labels (little-endian 64-bit integers), and is named
after the SHA-256 of their content. A file that is truncated, altered, or written by another version fails the
check, and the caller decodes the source again.
"""

import contextlib
import hashlib
import math
import os
import tempfile
from pathlib import Path

import numpy as np

from common.base.files import user_cache


def content_sha256(images: np.ndarray, labels: np.ndarray) -> str:
    """Return the SHA-256 of an image set's content: shapes, pixels and labels, whatever file they came from.

    Parameters
    ----------
    images : uint8 ndarray of shape (n, channels, height, width)
    labels : int64 ndarray of shape (n,)

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256(np.array([*images.shape, *labels.shape], dtype="<i8").tobytes())
    digest.update(np.ascontiguousarray(images, dtype=np.uint8))
    digest.update(np.ascontiguousarray(labels, dtype="<i8"))
    return digest.hexdigest()


def read_arrays(name: str, sha256: str, image_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the cached images and labels of `name` whose content has `sha256`; None when there are none.

    Parameters
    ----------
    name : str
        Name of the set and split, which begins the file's name.
    sha256 : str
        `content_sha256` of the set.
    image_shape : tuple of int
        Channels, height, width: the file holds no header that could be wrong.
    """
    n_pixels = math.prod(image_shape)
    try:
        data = np.fromfile(_path(name, sha256), np.uint8)
    except OSError:
        return None
    n_images, n_left_over = divmod(data.size, n_pixels + 8)
    if n_left_over:
        return None
    images = data[: n_images * n_pixels].reshape(n_images, *image_shape)
    labels = np.frombuffer(data[n_images * n_pixels :].tobytes(), "<i8").astype(np.int64)
    return (images, labels) if content_sha256(images, labels) == sha256 else None


def write_arrays(name: str, images: np.ndarray, labels: np.ndarray, sha256: str) -> bool:
    """Store an image set for `read_arrays`; return False when the cache cannot be written."""
    path = _path(name, sha256)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own for each writer, then one rename: a reader sees the whole file or none.
        partial = tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.stem, suffix=".part", delete=False)
        with partial as file:
            try:
                file.write(np.ascontiguousarray(images, np.uint8))
                file.write(np.ascontiguousarray(labels, "<i8"))
                file.flush()
                os.fsync(file.fileno())
                os.replace(file.name, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(file.name)
                raise
    except OSError:
        return False
    return True


def _path(name: str, sha256: str) -> Path:
    return user_cache() / "arrays" / f"{name}-{sha256[:16]}.bin"
