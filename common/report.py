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
from dataclasses import asdict, dataclass

from common import container
from common.byte_reader import KINDS
from common.layer_report import LAYER_HEADS, LayerReport, layer_report
from common.markdown import markdown_table
from common.stage_sizes import stage_sizes
from common.targets import Target, TargetTable, is_met, target_table

__all__ = [
    "KINDS",
    "LayerReport",
    "Report",
    "Target",
    "TargetTable",
    "is_met",
    "size_report",
    "stage_sizes",
    "target_table",
]

_DIGEST_BYTES = 8


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
        """Bits of the file for each of the original weights, kept or not."""
        return 32 * self.file_bytes / self.dense_bytes if self.dense_bytes else 0.0

    @property
    def sparsity(self) -> float:
        """Fraction of pruned weights among those of convolutions and linear layers, in [0, 1]."""
        weights = [layer for layer in self.layers if len(layer.shape) > 1]
        total = sum(layer.n_weights for layer in weights)
        return 1.0 - sum(layer.n_kept for layer in weights) / total if total else 0.0

    @property
    def share_over_entropy(self) -> float:
        """Fraction of the file by which its values and index lie over their Shannon bounds."""
        return sum(layer.bits_over_entropy for layer in self.layers) / (8 * self.file_bytes)

    def to_markdown(self) -> str:
        """Totals, bytes by kind, and a line a layer; tensors of one axis, such as biases, share a line."""
        kinds = self.bytes_by_kind.items()
        weights = [layer.cells() for layer in self.layers if len(layer.shape) > 1]
        rest = [layer for layer in self.layers if len(layer.shape) <= 1]
        if rest:
            n_kept, n_bytes = (sum(getattr(layer, key) for layer in rest) for key in ("n_kept", "file_bytes"))
            weights.append((f"{len(rest)} of one axis", "", f"{n_kept:,}", *[""] * 7, f"{n_bytes:,}"))
        lines = [
            f"**{self.file_bytes:,} bytes** of {self.dense_bytes:,} dense ones: {self.ratio:.2f}× smaller, "
            f"{self.bits_per_weight:.4f} bits per weight, sparsity {self.sparsity:.4f}; "
            f"{100 * self.share_over_entropy:.2f} % of the file lies over the Shannon bounds",
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
        """All of it, with the ratios, as JSON."""
        derived = ("ratio", "bits_per_weight", "sparsity", "share_over_entropy")
        of_layer = ("sparsity", "value_bits_per_kept", "index_bits_per_kept", "entropy_gap")
        layers = [asdict(layer) | {name: getattr(layer, name) for name in of_layer} for layer in self.layers]
        figures = {name: getattr(self, name) for name in ("file_bytes", "dense_bytes", *derived)}
        return json.dumps(figures | {"bytes_by_kind": self.bytes_by_kind, "layers": layers}, indent=1)


def size_report(data: bytes, *, dense_bytes: int | None = None) -> Report:
    """Count the bytes of a container.

    Parameters
    ----------
    data : bytes
        The whole file.
    dense_bytes : int, optional
        Bytes of the uncompressed network as float32. By default those of the architecture that the metadata
        names, with its batch norms; of the file's own tensors when the metadata names none.

    Returns
    -------
    Report

    Raises
    ------
    ContainerError
        The bytes are no container.
    ValueError
        The metadata names an architecture that `models.build` does not know.
    """
    model = container.load(data)
    sizes = container.sizes(data)
    names = _names(model)
    if dense_bytes is None:
        dense_bytes = _dense_bytes(model)
    tensors = model.tensors.values()
    layers = tuple(
        layer_report(name, size, tensor) for name, size, tensor in zip(names, sizes, tensors, strict=True)
    )
    return Report(
        file_bytes=len(data), dense_bytes=dense_bytes, bytes_by_kind=_bytes_by_kind(data, sizes),
        layers=layers,
    )  # fmt: skip


def _bytes_by_kind(data: bytes, sizes: list[container.TensorSizes]) -> dict[str, float]:
    """Bytes of each kind, over all tensors and the file's own header and digest."""
    own = {"header": container.file_bytes(data) - _DIGEST_BYTES, "checksum": _DIGEST_BYTES}
    byte_kinds = ("header", "codebook", "dense", "checksum")
    return {
        kind: own.get(kind, 0) + sum(getattr(size, f"{kind}_bytes") for size in sizes)
        if kind in byte_kinds
        else sum(getattr(size, f"{kind}_bits") for size in sizes) / 8
        for kind in KINDS
    }


def _names(model: container.CompressedModel) -> list[str]:
    """The tensors' names; those of the architecture where the file only numbers them."""
    names = list(model.tensors)
    if "architecture" in model.metadata and names == [str(number) for number in range(len(names))]:
        from common.skeleton import names_of  # needs torch; a file without an architecture does not

        try:
            known = names_of(model.metadata)
        except ValueError:  # a network of somebody else's: the numbers must do
            return names
        return known if len(known) == len(names) else names
    return names


def _dense_bytes(model: container.CompressedModel) -> int:
    """Bytes of the uncompressed network as float32."""
    if "architecture" not in model.metadata:
        return 4 * sum(tensor.n_weights for tensor in model.tensors.values())
    from common.skeleton import dense_bytes_of

    return dense_bytes_of(model.metadata)
