"""What a range coder would reach in Huffman's place: a figure to compare with, not a format.

A range coder (Martin 1979) spends fractions of a bit on a symbol, so it comes within a few bytes of the
Shannon bound of its model. Here the model is the plainest: how often each value occurs in a tensor, and how
many of its weights are kept. The coder is that of the optional package constriction.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from common.codec import container
from common.codec.tensors import DenseTensor, SharedTensor


def range_coded_bytes(data: bytes) -> dict[str, int] | None:
    """Bytes of a container's values and positions, each tensor range-coded on its own; models not counted.

    Parameters
    ----------
    data : bytes
        A container.

    Returns
    -------
    dict of str to int, or None
        ``values`` (which centroid each kept weight has) and ``index`` (whether each weight is kept), to set
        beside the same kinds of `report.Report.bytes_by_kind`; None when constriction is not installed.

    Raises
    ------
    ContainerError
        The bytes are no container.
    """
    try:
        import constriction
    except ImportError:
        return None

    def coded(symbols: np.ndarray) -> int:
        counts = np.bincount(symbols)
        if np.count_nonzero(counts) < 2:
            return 0
        model = constriction.stream.model.Categorical(counts / symbols.size, perfect=False)
        encoder = constriction.stream.queue.RangeEncoder()
        encoder.encode(symbols.astype(np.int32), model)
        return encoder.get_compressed().nbytes

    sizes = {"values": 0, "index": 0}
    for tensor in container.load(data).tensors.values():
        for part in _shared_parts(tensor):
            sizes["values"] += coded(part.indices)
            if part.positions is not None:
                is_kept = np.zeros(part.n_weights, dtype=np.uint8)
                is_kept[part.positions] = 1
                sizes["index"] += coded(is_kept)
    return sizes


def _shared_parts(tensor: DenseTensor | SharedTensor | None) -> Iterator[SharedTensor]:
    """The tensor, and its row scales, where they share values."""
    if isinstance(tensor, SharedTensor):
        yield tensor
        yield from _shared_parts(tensor.row_scales)
