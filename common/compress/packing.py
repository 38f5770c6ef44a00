"""From a compressed network to what the container stores, and back to a network.

What is stored is the network as it is at inference: each batch norm becomes one scale and one bias per
channel (`models.batch_norm_scales`). Multiplied into the weights, the scale would give every channel values
of its own and undo the sharing. So it is stored beside them, and multiplied in when the file is read. Names
are not stored: the tensors have the order of the architecture's state dict.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from common.base.numbers import check_finite, to_half
from common.codec.container import CompressedModel
from common.codec.tensors import DenseTensor, SharedTensor
from common.networks.models import batch_norm_scales, rectified_layers, skeleton
from common.pruning.channels import input_channels
from common.sharing.kmeans import kmeans_1d

# Biases and scales share a codebook of float16 only where they are at least this many times its entries:
# fewer take no more bytes as they are.
_LEAST_SHARED = 4


def pack(
    model: nn.Module,
    shared: Mapping[str, SharedTensor],
    architecture: Mapping[str, object],
    *,
    kept: Mapping[str, Tensor] | None = None,
    bias_clusters: int = 32,
) -> CompressedModel:
    """Return a network with shared weights as a container's content, in the order of its architecture.

    Parameters
    ----------
    model : nn.Module
        Fine-tuned; a slim one when `kept` is given. Its biases and batch norms are stored, not its weights.
    shared : mapping of weight name to SharedTensor
        Every convolution's and linear layer's weights, in the model's own shapes.
    architecture : mapping
        ``{"architecture": name, "num_classes": ..., "width": ...}``: what `models.build` needs.
    kept : mapping of weight name to int64 tensor, optional
        Output channels of the whole network that the slim one has (`channels.choose_channels`).
    bias_clusters : int
        Biases and scales share this many values per layer where that is smaller than float16.

    Returns
    -------
    CompressedModel
        In the shapes of the whole network, batch norm folded into scales and biases.
    """
    kept = kept or {}
    shapes = {name: tuple(value.shape) for name, value in skeleton(architecture).state_dict().items()}
    norms = batch_norm_scales(model)
    modules = dict(model.named_modules())
    sources = input_channels(kept, model)
    rectified = rectified_layers(model)
    # The folded network has no batch norms, so its layers are numbered differently: match them in order.
    weight_names = [name for name in shapes if name.endswith("weight")]
    readers = [*[*shared.values()][1:], None]
    tensors: dict[str, DenseTensor | SharedTensor] = {}
    for whole_name, (name, tensor), reader in zip(weight_names, shared.items(), readers, strict=True):
        layer = name.removesuffix(".weight")
        outputs = kept.get(name)
        scale, bias = norms.get(layer, (None, modules[layer].bias))
        alive = np.zeros(tensor.shape[0], dtype=bool)
        per_row = int(np.prod(tensor.shape[1:]))
        alive[np.arange(tensor.shape[0]) if tensor.positions is None else tensor.positions // per_row] = True
        rows = np.arange(shapes[whole_name][0]) if outputs is None else outputs.cpu().numpy()
        bias = _to_numpy(bias)
        # A bias matters where its channel is read and not always 0. Behind a ReLU, a row without weights is
        # the constant max(0, bias), so a bias <= 0 there is not stored.
        is_constant = bias > 0 if layer in rectified else bias != 0
        voiced = _read_channels(reader, len(bias)) & (alive | is_constant)
        row_scales = None
        if scale is not None:
            norm = f"the batch norm's scale of {name}"
            row_scales = _pack_vector(
                _to_numpy(scale), alive, rows, shapes[whole_name][0], bias_clusters, norm
            )
        tensors[whole_name] = _scatter(tensor, shapes[whole_name], rows, sources[name], row_scales)
        whole_bias = whole_name.removesuffix("weight") + "bias"
        tensors[whole_bias] = _pack_vector(
            bias, voiced, rows, shapes[whole_bias][0], bias_clusters, whole_bias
        )
    return CompressedModel(tensors={name: tensors[name] for name in shapes}, metadata=dict(architecture))


def unpack(compressed: CompressedModel) -> nn.Module:
    """Return the network that a container holds, with batch norm folded, ready for `training.evaluate`.

    Raises
    ------
    ValueError
        When the metadata names none of the course's architectures, or the tensors do not fit it.
    """
    return fill(skeleton(compressed.metadata), compressed)  # no memory before the file is known to fit


def fill(model: nn.Module, compressed: CompressedModel) -> nn.Module:
    """Give a network on torch's "meta" device (shapes without memory) the tensors of a container.

    They are matched by name or, where the file has no names, by their order. Returns the network in eval
    mode.

    Raises
    ------
    ValueError
        When the tensors do not fit it.
    """
    state = {}
    for name, tensor in named_tensors(model, compressed).items():
        is_own = isinstance(tensor, SharedTensor)  # a new array; a dense tensor's belongs to the container
        state[name] = torch.from_numpy(tensor.to_dense().astype(np.float32, copy=not is_own))
    model.load_state_dict(state, assign=True)
    return model.eval()


def named_tensors(model: nn.Module, compressed: CompressedModel) -> dict[str, DenseTensor | SharedTensor]:
    """Return the tensors of a container by the names of a network that they fit, in its order.

    They are matched by name or, where the file has no names, by their order.

    Raises
    ------
    ValueError
        When they do not fit it.
    """
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    tensors = compressed.tensors
    if list(tensors) == [str(i) for i in range(len(own))]:
        tensors = dict(zip(own, tensors.values(), strict=True))
    if set(tensors) != set(own):
        raise ValueError(
            f"the file holds {len(tensors)} tensors, {compressed.metadata['architecture']} has {len(own)}: "
            "expected one for each; the file belongs to another network"
        )
    for name, shape in own.items():
        if tensors[name].shape != shape:
            raise ValueError(f"tensor {name} has shape {tensors[name].shape}: expected {shape}")
    return {name: tensors[name] for name in own}


def _read_channels(reader: SharedTensor | None, n_channels: int) -> np.ndarray:
    """Return which channels the next layer reads (bool of shape (n_channels,)); all where there is none."""
    read = np.ones(n_channels, dtype=bool)
    if reader is not None and reader.positions is not None:
        # Behind a flatten, the inputs that come from one channel are consecutive.
        row_size = reader.n_weights // reader.shape[0]
        read[:] = False
        read[reader.positions % row_size // (row_size // n_channels)] = True
    return read


def _scatter(
    tensor: SharedTensor, shape: tuple[int, ...], rows: np.ndarray, columns: Tensor | None, row_scales
) -> SharedTensor:
    """Return a slim tensor's kept weights at their places in the whole tensor."""
    positions = tensor.positions
    if tensor.shape != shape:
        flat = np.arange(tensor.n_weights) if positions is None else positions
        row, column, *taps = np.unravel_index(flat, tensor.shape)
        column = column if columns is None else columns.cpu().numpy()[column]
        positions = np.ravel_multi_index((rows[row], column, *taps), shape).astype(np.int64)
    return SharedTensor(
        shape=shape,
        codebook=tensor.codebook,
        positions=positions,
        indices=tensor.indices,
        row_scales=row_scales,
    )


def _pack_vector(
    values: np.ndarray, chosen: np.ndarray, rows: np.ndarray, length: int, n_clusters: int, name: str
) -> DenseTensor | SharedTensor:
    """Return one value per channel, zero where not chosen: as float16, or shared where that is smaller."""
    check_finite(values, name)
    values = np.where(chosen, values, 0.0).astype(np.float32)
    n = int(chosen.sum())
    if n < _LEAST_SHARED * n_clusters:
        # Few values, or none: a codebook with one entry per value costs no more than the values themselves.
        whole = np.zeros(length, dtype=np.float16)
        whole[rows] = to_half(values, name)
        if n == length:
            return DenseTensor(whole)
        n_clusters = max(1, n)
    result = kmeans_1d(values[chosen], n_clusters)
    codebook, inverse = np.unique(to_half(result.codebook, name), return_inverse=True)
    positions = rows[chosen].astype(np.int64)
    return SharedTensor(
        shape=(length,),
        codebook=codebook,
        positions=None if n == length else positions,
        indices=inverse[result.indices].astype(np.uint8),
    )


def _to_numpy(value: Tensor) -> np.ndarray:
    return value.detach().cpu().numpy().astype(np.float32)
