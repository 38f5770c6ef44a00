"""What each stage of Deep Compression is worth: bytes after pruning, weight sharing and Huffman coding.

Only the last stage writes a file; the sizes before it are what a file would hold that stopped there. All that
a decoder needs is counted but headers and names, so that the later stages look no better than they are:

dense
    Every parameter as float32.
pruned
    Four bytes a kept weight, and its gap to the one before in a fixed number of bits; where a gap does not
    fit, a filler: a zero weight with a gap of its own. The width is the tensor's best. All else is float32.
shared
    ``ceil(log2 k)`` bits a kept weight instead of 32, the codebook of k values, and the gaps as before. A
    filler needs a symbol of its own: k + 1 in a tensor with fillers. All else as in the file, uncoded.
huffman
    The file, headers, checksums and all.
"""

from __future__ import annotations

import numpy as np

from common import container
from common.shared_tensor import DenseTensor, SharedTensor

MAX_GAP_BITS = 16


def stage_sizes(data: bytes, *, dense_bytes: int) -> dict[str, int]:
    """Bytes after each stage, from the bytes of a `.dcz` file alone.

    Parameters
    ----------
    data : bytes
        A container.
    dense_bytes : int
        Bytes of the uncompressed network's parameters as float32.

    Returns
    -------
    dict of str to int
        ``dense``, ``pruned``, ``shared``, ``huffman``, in this order.

    Raises
    ------
    ContainerError
        The bytes are no container.
    """
    tensors = container.load(data).tensors.values()
    return {
        "dense": dense_bytes,
        "pruned": sum(_pruned_bytes(tensor) for tensor in tensors),
        "shared": sum(_shared_bytes(tensor) for tensor in tensors),
        "huffman": len(data),
    }


def fixed_gap_bits(positions: np.ndarray, entry_bits: int, *, filler_bits: int | None = None) -> int:
    """Fewest bits of entries and gaps when all gaps of a tensor have one width (Han et al. 2016, figure 2).

    Parameters
    ----------
    positions : ndarray of shape (n_kept,)
        Ascending positions of the kept weights.
    entry_bits : int
        Bits of a kept weight.
    filler_bits : int, optional
        Bits of an entry when the tensor has fillers; by default the same.

    Returns
    -------
    int
        Bits of all entries and gaps, fillers included, at the best width of 1 to `MAX_GAP_BITS`.
    """
    passed, counts = np.unique(np.diff(positions, prepend=-1) - 1, return_counts=True)
    sizes = []
    for width in range(1, MAX_GAP_BITS + 1):
        n_fillers = int(counts @ (passed >> width))  # each filler passes 2 ** width weights, itself included
        each = entry_bits if n_fillers == 0 or filler_bits is None else filler_bits
        sizes.append((positions.size + n_fillers) * (each + width))
    return min(sizes)


def _pruned_bytes(tensor: DenseTensor | SharedTensor) -> int:
    if isinstance(tensor, DenseTensor) or len(tensor.shape) < 2:
        return 4 * tensor.n_weights
    scales = 0 if tensor.row_scales is None else 4 * tensor.row_scales.n_weights
    if tensor.positions is None:
        return 4 * tensor.n_weights + scales
    return _bytes(fixed_gap_bits(tensor.positions, 32)) + scales


def _shared_bytes(tensor: DenseTensor | SharedTensor) -> int:
    if isinstance(tensor, DenseTensor):
        return tensor.values.nbytes
    width, with_filler = (_index_width(tensor.n_clusters + more) for more in (0, 1))
    if tensor.positions is None:
        n_bits = width * tensor.n_kept
    else:
        n_bits = fixed_gap_bits(tensor.positions, width, filler_bits=with_filler)
    scales = 0 if tensor.row_scales is None else _shared_bytes(tensor.row_scales)
    return tensor.codebook.nbytes + _bytes(n_bits) + scales


def _index_width(n_symbols: int) -> int:
    """ceil(log2 n_symbols)."""
    return max(0, n_symbols - 1).bit_length()


def _bytes(n_bits: int) -> int:
    return (n_bits + 7) // 8
