"""What one tensor takes in a `.dcz` file, beside the Shannon bounds of what it says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.container import TensorSizes
from common.huffman import entropy_bits
from common.shared_tensor import DenseTensor, SharedTensor

LAYER_HEADS = (
    "layer", "shape", "kept", "sparsity", "clusters", "value bits", "entropy", "index bits", "entropy", "gap",
    "bytes",
)  # fmt: skip


@dataclass(frozen=True)
class LayerReport:
    """One tensor of the file, its row scales counted with it.

    Attributes
    ----------
    name : str
        As in the architecture's state dict, also where the file stores no names.
    shape : tuple of int
    n_weights, n_kept : int
    n_clusters : int
        Shared values; 0 for a tensor that is stored as it is.
    file_bytes : int
        The whole record.
    values_bits, index_bits : int
        Huffman-coded payload.
    values_entropy_bits : float
        Shannon bound of the values: what an ideal code takes that knows how often each occurs.
    index_entropy_bits : float
        Shannon bound of the positions, if every weight of the layer were as likely to be kept: an index below
        it makes use of rows and columns that keep more than others.
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
    index_entropy_bits: float

    @property
    def sparsity(self) -> float:
        """Fraction of pruned weights, in [0, 1]."""
        return 1.0 - self.n_kept / self.n_weights if self.n_weights else 0.0

    @property
    def value_bits_per_kept(self) -> float:
        """Bits that say which value, a kept weight."""
        return self.values_bits / max(1, self.n_kept)

    @property
    def index_bits_per_kept(self) -> float:
        """Bits that say where, a kept weight."""
        return self.index_bits / max(1, self.n_kept)

    @property
    def value_entropy_per_kept(self) -> float:
        """Shannon bound of the values, bits a kept weight."""
        return self.values_entropy_bits / max(1, self.n_kept)

    @property
    def index_entropy_per_kept(self) -> float:
        """Shannon bound of the positions, bits a kept weight."""
        return self.index_entropy_bits / max(1, self.n_kept)

    @property
    def bits_over_entropy(self) -> float:
        """Payload bits over both bounds; negative where the index beats its own."""
        return self.values_bits + self.index_bits - self.values_entropy_bits - self.index_entropy_bits

    @property
    def entropy_gap(self) -> float:
        """Payload bits over both bounds, a kept weight."""
        return self.bits_over_entropy / max(1, self.n_kept)

    def cells(self) -> tuple[str, ...]:
        """A line of the report's table."""
        per_kept = (
            self.value_bits_per_kept, self.value_entropy_per_kept, self.index_bits_per_kept,
            self.index_entropy_per_kept, self.entropy_gap,
        )  # fmt: skip
        return (
            self.name, "×".join(map(str, self.shape)), f"{self.n_kept:,}", f"{self.sparsity:.4f}",
            str(self.n_clusters or "–"), *(f"{bits:.3f}" for bits in per_kept), f"{self.file_bytes:,}",
        )  # fmt: skip


def layer_report(name: str, size: TensorSizes, tensor: DenseTensor | SharedTensor) -> LayerReport:
    """The report on a tensor, from its sizes in the file and its content."""
    return LayerReport(
        name=name, shape=size.shape, n_weights=size.n_weights, n_kept=size.n_kept,
        n_clusters=size.n_clusters, file_bytes=size.n_bytes, values_bits=size.values_bits,
        index_bits=size.index_bits, values_entropy_bits=_values_entropy(tensor),
        index_entropy_bits=_index_entropy(tensor),
    )  # fmt: skip


def _values_entropy(tensor: DenseTensor | SharedTensor | None) -> float:
    if not isinstance(tensor, SharedTensor):
        return 0.0
    return entropy_bits(np.bincount(tensor.indices)) + _values_entropy(tensor.row_scales)


def _index_entropy(tensor: DenseTensor | SharedTensor | None) -> float:
    if not isinstance(tensor, SharedTensor):
        return 0.0
    return entropy_bits([tensor.n_kept, tensor.n_weights - tensor.n_kept]) + _index_entropy(tensor.row_scales)
