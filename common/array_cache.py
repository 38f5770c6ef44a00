"""Decoded data sets in the user's cache: written whole or not at all, verified at every reading.

A file holds the two arrays of an image set, one ``.npy`` after the other, and is named after the SHA-256
of their content. A file that was cut short, altered, or written by another version cannot pass for the
set: it fails the check, and the caller decodes the source again.
"""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np
import platformdirs


def user_cache() -> Path:
    """The cache folder: ``DNNC_CACHE`` if set, else the platform's (``~/.cache/dnnc`` on Linux)."""
    return Path(os.environ.get("DNNC_CACHE") or platformdirs.user_cache_dir("dnnc")).expanduser()


def content_sha256(images: np.ndarray, labels: np.ndarray) -> str:
    """SHA-256 of an image set's content: shapes, pixels and labels, whatever file they came from.

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


def read_arrays(name: str, sha256: str) -> tuple[np.ndarray, np.ndarray] | None:
    """The cached images and labels of `name` whose content has `sha256`; None when there are none."""
    try:
        with open(_path(name, sha256), "rb") as file:
            images = np.lib.format.read_array(file, allow_pickle=False)
            labels = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError):
        return None
    is_sound = (
        images.dtype == np.uint8
        and labels.dtype == np.int64
        and images.ndim == 4
        and labels.shape == images.shape[:1]
        and content_sha256(images, labels) == sha256
    )
    return (images, labels) if is_sound else None


def write_arrays(name: str, images: np.ndarray, labels: np.ndarray, sha256: str) -> bool:
    """Store an image set for `read_arrays`; False when the cache cannot be written."""
    path = _path(name, sha256)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own for each writer, then one rename: a reader sees the whole file or none.
        partial = tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.stem, suffix=".part", delete=False)
        with partial as file:
            try:
                np.lib.format.write_array(file, np.ascontiguousarray(images), allow_pickle=False)
                np.lib.format.write_array(file, np.ascontiguousarray(labels), allow_pickle=False)
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
    return user_cache() / "arrays" / f"{name}-{sha256[:16]}.arrays"
