"""Where the bits of one tensor in a container go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from common.shared_tensor import DenseTensor, SharedTensor


@dataclass(frozen=True)
class TensorSizes:
    """Bits and bytes of a record by kind, row scales included; they add up to `n_bytes`.

    Parameters
    ----------
    name, shape
        The tensor's.
    n_weights, n_kept, n_clusters : int
        Weights, those that are stored, and the values they share (0 in a dense tensor).
    header_bytes, codebook_bytes, dense_bytes, checksum_bytes : int
        Shape and sizes; shared values; values of dense tensors; CRC-32.
    table_bits, values_bits, index_bits, padding_bits : int
        Huffman code lengths; which value; where; what fills up last bytes.
    """

    name: str
    shape: tuple[int, ...]
    n_weights: int
    n_kept: int
    n_clusters: int
    header_bytes: int
    codebook_bytes: int
    table_bits: int
    values_bits: int
    index_bits: int
    dense_bytes: int
    padding_bits: int
    checksum_bytes: int

    @classmethod
    def of(cls, name: str, tensor: DenseTensor | SharedTensor, bits: Mapping[str, int]) -> TensorSizes:
        """Return the sizes of a tensor from the reader's tally of bits by kind."""
        return cls(
            name=name,
            shape=tensor.shape,
            n_weights=tensor.n_weights,
            n_kept=tensor.n_kept,
            n_clusters=tensor.n_clusters if isinstance(tensor, SharedTensor) else 0,
            header_bytes=bits["header"] // 8,
            codebook_bytes=bits["codebook"] // 8,
            table_bits=bits["table"],
            values_bits=bits["values"],
            index_bits=bits["index"],
            dense_bytes=bits["dense"] // 8,
            padding_bits=bits["padding"],
            checksum_bytes=bits["checksum"] // 8,
        )

    @property
    def n_bytes(self) -> int:
        """Bytes of the record, everything included."""
        bits = self.table_bits + self.values_bits + self.index_bits + self.padding_bits
        return self.header_bytes + self.codebook_bytes + self.dense_bytes + self.checksum_bytes + bits // 8
