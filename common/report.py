"""Where the bytes of a `.dcz` file go, told from the file alone.

>>> report = size_report(open("vgg16_cifar10.dcz", "rb").read())         # doctest: +SKIP
>>> report.ratio, sum(report.bytes_by_kind.values()) == report.file_bytes  # doctest: +SKIP
(163.0, True)

Kinds of bytes: ``header`` (magic, metadata, names, shapes, lengths), ``codebook`` (shared values), ``table``
(Huffman code lengths), ``values`` and ``index`` (Huffman-coded payload: which value, and where), ``dense``
(tensors stored as they are), ``padding`` (bits that fill last bytes), ``checksum``. They add up to the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from common import container
from common.huffman import entropy_bits
from common.shared_tensor import SharedTensor
from common.stage_sizes import stage_sizes

__all__ = ["KINDS", "LayerReport", "Report", "size_report", "stage_sizes"]

KINDS = ("header", "codebook", "table", "values", "index", "dense", "padding", "checksum")
_DIGEST_BYTES = 8


@dataclass(frozen=True)
class LayerReport:
    """One tensor of the file; sizes in bits are whole streams, row scales included.

    Attributes
    ----------
    name : str
        As in the state dict of the architecture that the metadata names, where the file stores no names.
    shape : tuple of int
    n_weights, n_kept, n_clusters, file_bytes : int
    values_bits, index_bits : int
        Huffman-coded payload.
    values_entropy_bits : float
        Shannon bound of the value stream.
    """

    name: str
    shape: tuple[int, ...]
    n_weights: int
    n_kept: int
    n_clusters: int
    file_bytes: int
    values_bits: int
    index_bits: int
    values_entropy_bits: float

    @property
    def sparsity(self) -> float:
        """Fraction of pruned weights, in [0, 1]."""
        return 1.0 - self.n_kept / self.n_weights if self.n_weights else 0.0


@dataclass(frozen=True)
class Report:
    """Sizes of a whole file.

    Attributes
    ----------
    file_bytes, dense_bytes : int
        The file, and the uncompressed network's parameters as float32.
    bytes_by_kind : dict of str to float
        Whole eighths of bytes, that add up to `file_bytes` exactly.
    layers : tuple of LayerReport
        Every tensor, in the order of the file.
    """

    file_bytes: int
    dense_bytes: int
    bytes_by_kind: dict[str, float]
    layers: tuple[LayerReport, ...]

    @property
    def ratio(self) -> float:
        """Compression ratio: dense float32 bytes over file bytes."""
        return self.dense_bytes / self.file_bytes

    @property
    def bits_per_weight(self) -> float:
        """Bits of the file for each of the original weights, kept or not."""
        return 8 * self.file_bytes / (self.dense_bytes / 4)

    @property
    def sparsity(self) -> float:
        """Fraction of pruned weights among those of convolutions and linear layers, in [0, 1]."""
        weights = [layer for layer in self.layers if len(layer.shape) > 1]
        total = sum(layer.n_weights for layer in weights)
        return 1.0 - sum(layer.n_kept for layer in weights) / total if total else 0.0

    def to_json(self) -> str:
        """The report as JSON."""
        figures = asdict(self) | {
            "ratio": self.ratio, "bits_per_weight": self.bits_per_weight, "sparsity": self.sparsity
        }  # fmt: skip
        return json.dumps(figures, indent=1)


def size_report(data: bytes, *, dense_bytes: int | None = None) -> Report:
    """Count the bytes of a container.

    Parameters
    ----------
    data : bytes
        The whole file.
    dense_bytes : int, optional
        Bytes of the uncompressed network as float32. By default those of the architecture that the metadata
        names, batch norm not folded; of the file's own tensors when the metadata names none.

    Raises
    ------
    ContainerError
        The bytes are no container.
    ValueError
        The metadata names an architecture that `models.build` does not know.
    """
    model = container.load(data)
    sizes = container.sizes(data)
    if dense_bytes is None:
        dense_bytes = _dense_bytes(model)
    layers = []
    for size, tensor in zip(sizes, model.tensors.values(), strict=True):
        entropy = 0.0
        if isinstance(tensor, SharedTensor):
            entropy = entropy_bits(np.bincount(tensor.indices))
        layers.append(
            LayerReport(
                name=size.name, shape=size.shape, n_weights=size.n_weights, n_kept=size.n_kept,
                n_clusters=size.n_clusters, file_bytes=size.n_bytes, values_bits=size.values_bits,
                index_bits=size.index_bits, values_entropy_bits=entropy,
            )
        )  # fmt: skip
    return Report(
        file_bytes=len(data), dense_bytes=dense_bytes, bytes_by_kind=_bytes_by_kind(data, sizes),
        layers=tuple(layers),
    )  # fmt: skip


def _bytes_by_kind(data: bytes, sizes: list[container.TensorSizes]) -> dict[str, float]:
    """Bytes of each kind, over all tensors and the file's own header and digest."""
    return {
        "header": sum(size.header_bytes for size in sizes) + container.file_bytes(data) - _DIGEST_BYTES,
        "codebook": sum(size.codebook_bytes for size in sizes),
        "table": sum(size.table_bits for size in sizes) / 8,
        "values": sum(size.values_bits for size in sizes) / 8,
        "index": sum(size.index_bits for size in sizes) / 8,
        "dense": sum(size.dense_bytes for size in sizes),
        "padding": sum(size.padding_bits for size in sizes) / 8,
        "checksum": sum(size.checksum_bytes for size in sizes) + _DIGEST_BYTES,
    }


def _dense_bytes(model: container.CompressedModel) -> int:
    """Bytes of the uncompressed network as float32."""
    if "architecture" not in model.metadata:
        return 4 * sum(tensor.n_weights for tensor in model.tensors.values())
    return _build(model.metadata, "live")


def _build(metadata: Mapping[str, object], batch_norm: str) -> int:
    import torch  # counting needs the architectures; a report with dense_bytes given needs no torch

    from common.models import build, dense_bytes

    with torch.device("meta"):  # shapes only: no memory, no random numbers
        network = build(
            metadata["architecture"], num_classes=metadata.get("num_classes", 10),
            width=metadata.get("width", 1.0), batch_norm=batch_norm,
        )  # fmt: skip
    return dense_bytes(network)
