"""Where the bytes of a `.dcz` file go, from the file alone.

>>> report = size_report(open("vgg16_cifar10.dcz", "rb").read())         # doctest: +SKIP
>>> report.ratio, sum(report.bytes_by_kind.values()) == report.file_bytes  # doctest: +SKIP
(163.0, True)

Kinds of bytes: ``header`` (magic, metadata, names, shapes, lengths), ``codebook`` (shared values), ``table``
(Huffman code lengths), ``values`` and ``index`` (Huffman-coded payload: which value, and where), ``dense``
(tensors stored as they are), ``padding`` (bits that fill last bytes), ``checksum``. They add up to the file.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from common.base.text import json_text, markdown_table
from common.codec.byte_io import KINDS
from common.codec.container import DIGEST_BYTES, MAX_DENSE_BYTES, CompressedModel, Container, TensorSizes
from common.codec.huffman import entropy_bits
from common.codec.huffman_kernels import count_symbols
from common.codec.tensors import DenseTensor, SharedTensor
from common.networks.shapes import dense_bytes_of, names_of
from common.report.targets import Target, TargetTable, is_met, target_table

# ----------------------------------------------------------------------------------------------------
# What one tensor takes in a `.dcz` file, and the Shannon bounds of its values and positions.

LAYER_HEADS = (
    "layer",
    "shape",
    "kept",
    "sparsity",
    "clusters",
    "value bits",
    "entropy",
    "index bits",
    "entropy",
    "gap",
    "bytes",
)


@dataclass(frozen=True)
class LayerReport:
    """One tensor of the file, its row scales counted with it.

    Attributes
    ----------
    name : str
        As in the architecture's state dict, also where the file stores no names.
    shape : tuple of int
        Shape of the tensor.
    n_weights, n_kept : int
        Number of weights, and of those that were not pruned.
    n_clusters : int
        Shared values; 0 for a dense tensor.
    file_bytes : int
        Size of the whole record.
    values_bits, index_bits : int
        Huffman-coded payload: values (cluster indices) and positions.
    values_entropy_bits : float
        Shannon bound of the values: what an ideal code takes that knows how often each occurs.
    index_entropy_bits : float
        Shannon bound of the positions if all weights of the layer were equally likely to be kept. A smaller
        index makes use of rows and columns that keep more than others.
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
        """Bits per kept weight for its value."""
        return self.values_bits / max(1, self.n_kept)

    @property
    def index_bits_per_kept(self) -> float:
        """Bits per kept weight for its position."""
        return self.index_bits / max(1, self.n_kept)

    @property
    def value_entropy_per_kept(self) -> float:
        """Shannon bound of the values, bits per kept weight."""
        return self.values_entropy_bits / max(1, self.n_kept)

    @property
    def index_entropy_per_kept(self) -> float:
        """Shannon bound of the positions, bits per kept weight."""
        return self.index_entropy_bits / max(1, self.n_kept)

    @property
    def bits_over_entropy(self) -> float:
        """Payload bits above the two Shannon bounds; negative where the index is below its bound."""
        return self.values_bits + self.index_bits - self.values_entropy_bits - self.index_entropy_bits

    @property
    def entropy_gap(self) -> float:
        """Payload bits above the two Shannon bounds, per kept weight."""
        return self.bits_over_entropy / max(1, self.n_kept)

    def cells(self) -> tuple[str, ...]:
        """Return a line of the report's table, in the order of `LAYER_HEADS`."""
        per_kept = (
            self.value_bits_per_kept,
            self.value_entropy_per_kept,
            self.index_bits_per_kept,
            self.index_entropy_per_kept,
            self.entropy_gap,
        )
        return (
            self.name,
            "×".join(map(str, self.shape)),
            f"{self.n_kept:,}",
            f"{self.sparsity:.4f}",
            str(self.n_clusters or "–"),
            *(f"{bits:.3f}" for bits in per_kept),
            f"{self.file_bytes:,}",
        )


def layer_report(name: str, size: TensorSizes, tensor: DenseTensor | SharedTensor) -> LayerReport:
    """Return the report on a tensor, from its sizes in the file and its content."""
    return LayerReport(
        name=name,
        shape=size.shape,
        n_weights=size.n_weights,
        n_kept=size.n_kept,
        n_clusters=size.n_clusters,
        file_bytes=size.n_bytes,
        values_bits=size.values_bits,
        index_bits=size.index_bits,
        values_entropy_bits=_values_entropy(tensor),
        index_entropy_bits=_index_entropy(tensor),
    )


def _values_entropy(tensor: DenseTensor | SharedTensor | None) -> float:
    if not isinstance(tensor, SharedTensor):
        return 0.0
    counts = count_symbols(tensor.indices, tensor.n_clusters)  # np.bincount would copy all indices as int64
    return entropy_bits(counts) + _values_entropy(tensor.row_scales)


def _index_entropy(tensor: DenseTensor | SharedTensor | None) -> float:
    if not isinstance(tensor, SharedTensor):
        return 0.0
    return entropy_bits([tensor.n_kept, tensor.n_weights - tensor.n_kept]) + _index_entropy(tensor.row_scales)


# ----------------------------------------------------------------------------------------------------
# What each stage of Deep Compression saves: bytes after pruning, weight sharing and Huffman coding.
#
# Only the last stage writes a file; the sizes before it are what a file would hold that stopped there. They
# count all that a decoder needs except headers and names, so the later stages do not look better than they
# are:
#
# dense
#     Every parameter as float32.
# pruned
#     Four bytes per kept weight, and its gap to the one before in a fixed number of bits; where it does not
#     fit, a filler: a zero weight with a gap of its own. The width is the tensor's best. All else is float32.
# shared
#     ``ceil(log2 k)`` bits per kept weight instead of 32, the codebook of k values, and the gaps as before. A
#     filler needs a symbol of its own: k + 1 in a tensor with fillers. All else as in the file, uncoded.
# huffman
#     The file, headers, checksums and all.

MAX_GAP_BITS = 16


def stage_sizes(data: bytes | Container, *, dense_bytes: int) -> dict[str, int]:
    """Return the bytes after each stage, from a `.dcz` file alone.

    Parameters
    ----------
    data : bytes or Container
        The whole file.
    dense_bytes : int
        Bytes of the uncompressed network's parameters as float32.

    Returns
    -------
    dict of str to int
        ``dense``, ``pruned``, ``shared``, ``huffman``, in this order.

    Raises
    ------
    ContainerError
        When the bytes are not a valid container.
    """
    tensors = Container.open(data).tensors.values()
    return {
        "dense": dense_bytes,
        "pruned": sum(_pruned_bytes(tensor) for tensor in tensors),
        "shared": sum(_shared_bytes(tensor) for tensor in tensors),
        "huffman": len(data),
    }


def fixed_gap_bits(positions: np.ndarray, entry_bits: int, *, filler_bits: int | None = None) -> int:
    """Return the fewest bits of entries and gaps when all gaps have one width (Han et al. 2016, figure 2).

    An entry is the value of a kept weight (or its index) or a filler's zero.

    Parameters
    ----------
    positions : ndarray of shape (n_kept,)
        Ascending positions of the kept weights.
    entry_bits : int
        Bits of an entry.
    filler_bits : int, optional
        Bits of every entry when the tensor has fillers, whose zero needs a symbol too; by default the same.

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


__all__ = [
    "KINDS",
    "LayerReport",
    "Report",
    "Target",
    "TargetTable",
    "is_met",
    "layer_rows",
    "size_report",
    "stage_sizes",
    "target_table",
]


@dataclass(frozen=True)
class Report:
    """Sizes of a whole file.

    Attributes
    ----------
    file_bytes, dense_bytes : int
        The file, and the uncompressed network's parameters as float32.
    bytes_by_kind : dict of str to float
        Keys are `KINDS`. Whole eighths of bytes, so they add up to `file_bytes` exactly.
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
        """Bits of the file per weight of the original network, kept or not."""
        return 32 * self.file_bytes / self.dense_bytes if self.dense_bytes else 0.0

    @property
    def sparsity(self) -> float:
        """Fraction of pruned weights among those of convolutions and linear layers, in [0, 1]."""
        weights = [layer for layer in self.layers if len(layer.shape) > 1]
        total = sum(layer.n_weights for layer in weights)
        return 1.0 - sum(layer.n_kept for layer in weights) / total if total else 0.0

    @property
    def share_over_entropy(self) -> float:
        """Fraction of the file by which values and positions exceed their Shannon bounds."""
        return sum(layer.bits_over_entropy for layer in self.layers) / (8 * self.file_bytes)

    def to_markdown(self) -> str:
        """Return totals, bytes by kind, and a line per layer; tensors of one axis (biases) share one line."""
        kinds = self.bytes_by_kind.items()
        weights = [layer.cells() for layer in self.layers if len(layer.shape) > 1]
        rest = [layer for layer in self.layers if len(layer.shape) <= 1]
        if rest:
            n_kept, n_bytes = (sum(getattr(layer, key) for layer in rest) for key in ("n_kept", "file_bytes"))
            weights.append((f"{len(rest)} of one axis", "", f"{n_kept:,}", *[""] * 7, f"{n_bytes:,}"))
        over = 100 * self.share_over_entropy
        lines = [
            f"**{self.file_bytes:,} bytes** of {self.dense_bytes:,} dense ones: {self.ratio:.2f}× smaller, "
            f"{self.bits_per_weight:.4f} bits per weight, sparsity {self.sparsity:.4f}; "
            f"values and positions take {abs(over):.2f} % of the file {'less' if over < 0 else 'more'} than "
            "their entropies",
            "",
            *markdown_table(
                ("kind", "bytes", "share"),
                [(kind, f"{n:,.10g}", f"{100 * n / self.file_bytes:.2f} %") for kind, n in kinds],
            ),
            "",
            *markdown_table(LAYER_HEADS, weights),
            "",
            "Bits, entropies and the gap between them are per kept weight, a layer's scales counted with it. "
            "The index's entropy is that of weights kept at random: an uneven layer's index can beat it.",
        ]
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return the whole report, with the ratios, as JSON."""
        derived = ("ratio", "bits_per_weight", "sparsity", "share_over_entropy")
        of_layer = ("sparsity", "value_bits_per_kept", "index_bits_per_kept", "entropy_gap")
        layers = [asdict(layer) | {name: getattr(layer, name) for name in of_layer} for layer in self.layers]
        figures = {name: getattr(self, name) for name in ("file_bytes", "dense_bytes", *derived)}
        return json_text(figures | {"bytes_by_kind": self.bytes_by_kind, "layers": layers})


def size_report(
    data: bytes | Container, *, dense_bytes: int | None = None, max_dense_bytes: int = MAX_DENSE_BYTES
) -> Report:
    """Return where the bytes of a container go.

    Parameters
    ----------
    data : bytes or Container
        The whole file.
    dense_bytes : int, optional
        Bytes of the uncompressed network as float32. By default those of the architecture that the metadata
        names, with its batch norms, or of the file's own tensors when the metadata names none.
    max_dense_bytes : int
        Limit of the memory, in bytes, that the tensors may take (`container.load`).

    Returns
    -------
    Report

    Raises
    ------
    ContainerError
        When the bytes are not a valid container.
    ValueError
        When the metadata names an architecture that `models.build` does not know.
    """
    opened = Container.open(data, max_dense_bytes=max_dense_bytes)
    names, tensors = _names(opened), opened.tensors.values()
    if dense_bytes is None:
        dense_bytes = _dense_bytes(opened)
    layers = tuple(
        layer_report(name, size, tensor)
        for name, size, tensor in zip(names, opened.sizes, tensors, strict=True)
    )
    return Report(
        file_bytes=len(data), dense_bytes=dense_bytes, bytes_by_kind=_bytes_by_kind(opened), layers=layers
    )


def _bytes_by_kind(opened: Container) -> dict[str, float]:
    """Return the bytes of each kind, over all tensors and the file's own header and digest."""
    own = {"header": opened.own_bytes - DIGEST_BYTES, "checksum": DIGEST_BYTES}
    sizes = opened.sizes
    byte_kinds = ("header", "codebook", "dense", "checksum")
    return {
        kind: own.get(kind, 0) + sum(getattr(size, f"{kind}_bytes") for size in sizes)
        if kind in byte_kinds
        else sum(getattr(size, f"{kind}_bits") for size in sizes) / 8
        for kind in KINDS
    }


def _names(model: Container | CompressedModel) -> list[str]:
    """Return the tensors' names; those of the architecture where the file has numbers only."""
    names = list(model.tensors)
    if "architecture" in model.metadata and names == [str(number) for number in range(len(names))]:
        try:
            known = names_of(model.metadata)
        except ValueError:  # an architecture that is not the course's: the numbers have to do
            return names
        return known if len(known) == len(names) else names
    return names


def _dense_bytes(model: Container) -> int:
    """Return the bytes of the uncompressed network as float32."""
    if "architecture" not in model.metadata:
        return 4 * sum(tensor.n_weights for tensor in model.tensors.values())
    return dense_bytes_of(model.metadata)


def layer_rows(data: bytes | Container) -> list[dict]:
    """Return for each layer of a container what tables 2, 3 and 5 of Han et al. 2016 show.

    ``value_bits`` and ``index_bits`` are per kept weight, in fixed widths; those with ``_huffman`` are what
    the file takes.
    """
    opened, rows = Container.open(data), []
    for layer, tensor in zip(size_report(opened).layers, opened.tensors.values(), strict=True):
        if len(layer.shape) < 2 or not isinstance(tensor, SharedTensor):
            continue
        width, n_kept = max(0, layer.n_clusters - 1).bit_length(), max(1, layer.n_kept)
        index_bits = 0.0
        if tensor.positions is not None:
            index_bits = fixed_gap_bits(tensor.positions, width) / n_kept - width
        rows.append(
            {
                "name": layer.name,
                "n_weights": layer.n_weights,
                "n_kept": layer.n_kept,
                "n_clusters": layer.n_clusters,
                "value_bits": width,
                "value_bits_huffman": layer.values_bits / n_kept,
                "index_bits": index_bits,
                "index_bits_huffman": layer.index_bits / n_kept,
                "file_bytes": layer.file_bytes,
            }
        )
    return rows
