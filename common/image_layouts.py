"""CIFAR and MNIST as they lie on disk: Parquet, pickled batches, idx. One reader a layout.

Every reader takes a root folder and returns ``(images, labels)`` (uint8 of shape (n, channels, height, width)
and int64 of shape (n,)), or None when the root does not hold that layout. Files that are there but
broken raise ValueError.
"""

import gzip
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

Arrays = tuple[np.ndarray, np.ndarray]

# The columns that the sets have on the Hugging Face hub: image, label.
_PARQUET_COLUMNS = {"cifar10": ("img", "label"), "cifar100": ("img", "fine_label"), "mnist": ("image", "label")}
_IDX_PREFIX = {"train": "train", "test": "t10k"}


def read_parquet(root: Path, name: str, split: str) -> Arrays | None:
    """Read ``<root>/<name>/{train,test}-*.parquet``: images as PNG or WebP bytes, as on the hub."""
    paths = sorted((root / name).glob(f"**/{split}-*.parquet"))
    if not paths:
        return None
    import pyarrow.parquet as pq  # 0.2 s to import: only those who read Parquet pay it

    image_column, label_column = _PARQUET_COLUMNS[name]
    images, labels = [], []
    for path in paths:
        try:
            table = pq.read_table(path, columns=[image_column, label_column])
            encoded = table[image_column].combine_chunks().field("bytes").to_pylist()
            labels.append(table[label_column].to_numpy().astype(np.int64))
            with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter's lock
                images.extend(pool.map(_decode, encoded, chunksize=500))
        except (OSError, KeyError, ValueError) as error:
            raise ValueError(f"cannot read {path}: {error}; remove the file or fetch it again") from error
    return np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2)), np.concatenate(labels)


def _decode(encoded: bytes) -> np.ndarray:
    pixels = np.asarray(Image.open(io.BytesIO(encoded)))
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def read_idx(root: Path, name: str, split: str) -> Arrays | None:
    """Read ``<root>/MNIST/raw/*-ubyte`` or ``*-ubyte.gz``, torchvision's layout of MNIST."""
    arrays = []
    for kind in ("images-idx3", "labels-idx1"):
        stem = root / "MNIST" / "raw" / f"{_IDX_PREFIX[split]}-{kind}-ubyte"
        path = next((path for path in (stem.with_name(stem.name + ".gz"), stem) if path.is_file()), None)
        if path is None:
            return None
        arrays.append(_parse_idx(path))
    images, labels = arrays
    return images[:, None], labels.astype(np.int64)


def _parse_idx(path: Path) -> np.ndarray:
    """One idx file of unsigned bytes: 0, 0, type 8, number of axes, big-endian axis lengths, data."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise ValueError(f"cannot read {path}: {error}; remove the file or fetch it again") from error
    n_axes = data[3] if len(data) > 3 else 0
    start = 4 + 4 * n_axes
    if data[:3] != b"\0\0\x08" or len(data) < start:
        raise ValueError(f"{path} is not an idx file of bytes; remove the file or fetch it again")
    shape = [int(length) for length in np.frombuffer(data, ">u4", n_axes, 4)]
    if len(data) - start != np.prod(shape, dtype=object):
        raise ValueError(f"{path} holds {len(data) - start} data bytes, expected {shape}; fetch it again")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
