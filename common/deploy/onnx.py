"""A network from a .dcz file as an ONNX graph, for runtimes other than torch.

The graph holds the weights as they are in the file: per layer a codebook, the index of each kept weight in
it, and the gaps between kept weights, a byte each (with Deep Compression's fillers where a gap is too long).
A few standard operators turn them into dense weights: Gather looks up the values, CumSum turns gaps into
positions, ScatterElements puts the values there. All of this is constant, so a runtime computes it once, when
it opens the file. `dense=True` stores float32 weights for runtimes that lack these operators.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import nn

from common.base.files import whole_file
from common.codec.container import CompressedModel
from common.codec.gaps import encode_gaps_with_fillers
from common.codec.tensors import DenseTensor, SharedTensor
from common.compress.packing import unpack
from common.networks.models import INPUT_SHAPES

OPSET = 17
_GAP_BITS = 8


def export_onnx(model: CompressedModel, out: str | Path, *, dense: bool = False, int8: bool = False) -> int:
    """Write a network as an ONNX file.

    Its input is ``images``, float32 of shape (n, channels, height, width), normalized; its output ``logits``,
    float32 of shape (n, classes).

    Parameters
    ----------
    model : CompressedModel
        One of the course's networks.
    out : path
        The file to write.
    dense : bool
        Store the weights as float32, in place of codebooks.
    int8 : bool
        Store the weights of convolutions and linear layers as int8 with a scale per output channel, in place
        of codebooks. The ranges of activations are measured at inference (onnxruntime's dynamic
        quantization).

    Returns
    -------
    int
        Bytes of the file.

    Raises
    ------
    ValueError
        When the tensors do not fit one of the course's networks, or a layer has no counterpart here.
    ImportError
        When onnx, or for int8 onnxruntime, is not installed.
    """
    onnx = _import_onnx()
    proto = onnx_model(model, dense=dense or int8)
    with whole_file(out) as aside:
        if int8:
            _quantize(proto, aside)
        else:
            onnx.save_model(proto, str(aside))
    return Path(out).stat().st_size


def onnx_model(model: CompressedModel, *, dense: bool = False):
    """Return the graph of a network as an `onnx.ModelProto`, checked by onnx; options as in `export_onnx`."""
    onnx = _import_onnx()
    network = unpack(model)
    names = list(network.state_dict())
    tensors = model.tensors
    if set(tensors) != set(names):
        tensors = dict(zip(names, tensors.values(), strict=True))
    architecture = model.metadata["architecture"]
    graph = _Graph(onnx, tensors, dense=dense)
    shape = INPUT_SHAPES[architecture]
    graph.network(network, "images", shape)
    info = onnx.helper.make_tensor_value_info
    images = info("images", onnx.TensorProto.FLOAT, ["n", *shape])
    logits = info("logits", onnx.TensorProto.FLOAT, ["n", model.metadata["num_classes"]])
    graph.nodes[-1].output[0] = "logits"
    proto = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, architecture, [images], [logits], graph.constants),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=8,
        producer_name="dnnc",
    )
    onnx.checker.check_model(proto, full_check=True)
    return proto


class _Graph:
    """A growing list of nodes and constants; values are named after the layers."""

    def __init__(self, onnx, tensors: Mapping[str, DenseTensor | SharedTensor], *, dense: bool) -> None:
        self.nodes: list = []
        self.constants: list = []
        self._onnx = onnx
        self._tensors = tensors
        self._dense = dense

    def network(self, network: nn.Module, value: str, shape: tuple[int, ...]) -> str:
        """Append a network layer by layer; return the name of its output. `shape` is that of one input."""
        leaves = [(name, layer) for name, layer in network.named_modules() if not list(layer.children())]
        for name, layer in leaves:
            match layer:
                case nn.Conv2d():
                    weight, bias = self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias")
                    value = self.node(
                        "Conv",
                        [value, weight, bias],
                        name,
                        strides=list(layer.stride),
                        pads=[*layer.padding, *layer.padding],
                        kernel_shape=list(layer.kernel_size),
                    )
                    sizes = zip(shape[1:], layer.padding, layer.kernel_size, layer.stride, strict=True)
                    shape = layer.out_channels, *((n + 2 * p - k) // s + 1 for n, p, k, s in sizes)
                case nn.Linear():
                    if len(shape) > 1:  # torchvision's networks flatten in their forward pass
                        value, shape = (
                            self.node("Flatten", [value], f"{name}.flatten", axis=1),
                            (math.prod(shape),),
                        )
                    weight, bias = self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias")
                    value, shape = (
                        self.node("Gemm", [value, weight, bias], name, transB=1),
                        (layer.out_features,),
                    )
                case nn.MaxPool2d():
                    kernel, stride = _pair(layer.kernel_size), _pair(layer.stride)
                    value = self.node("MaxPool", [value], name, kernel_shape=kernel, strides=stride)
                    sizes = zip(shape[1:], kernel, stride, strict=True)
                    shape = shape[0], *((n - k) // s + 1 for n, k, s in sizes)
                case nn.ReLU():
                    value = self.node("Relu", [value], name)
                case nn.Flatten():
                    value, shape = self.node("Flatten", [value], name, axis=1), (math.prod(shape),)
                case nn.AdaptiveAvgPool2d() if shape[1:] == tuple(_pair(layer.output_size)):
                    pass  # each window is one pixel
                case nn.Dropout():
                    pass
                case _:
                    raise ValueError(
                        f"layer {name}: {type(layer).__name__} has no counterpart in this export"
                    )
        return value

    def node(self, operator: str, inputs: list[str], name: str, **attributes) -> str:
        """Append a node; return the name of its output."""
        output = f"{name}.{operator}"
        self.nodes.append(self._onnx.helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: np.ndarray) -> str:
        """Append a constant; return its name."""
        self.constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def tensor(self, name: str) -> str:
        """Append a tensor of the file; return the name of its dense value."""
        tensor = self._tensors[name]
        if self._dense or isinstance(tensor, DenseTensor):
            return self.constant(name, tensor.to_dense().astype(np.float32))
        codebook, indices = tensor.codebook.astype(np.float32), tensor.indices
        if tensor.positions is not None:
            gaps, is_filler = encode_gaps_with_fillers(tensor.positions, _GAP_BITS)
            codebook = np.append(np.float32(0), codebook)  # a filler's value
            stored = np.zeros(gaps.size, dtype=np.uint16)
            stored[~is_filler] = indices.astype(np.uint16) + 1
            indices = stored
        values = self.gathered(f"{name}.values", codebook, indices)
        if tensor.positions is not None:
            values = self.scattered(name, values, gaps, tensor.n_weights)
        shape = self.constant(f"{name}.shape", np.array(tensor.shape, dtype=np.int64))
        value = self.node("Reshape", [values, shape], name)
        if tensor.row_scales is not None:
            scales = tensor.row_scales.to_dense().astype(np.float32)
            scales = scales.reshape(-1, *[1] * (len(tensor.shape) - 1))
            value = self.node("Mul", [value, self.constant(f"{name}.scales", scales)], f"{name}.scaled")
        return value

    def gathered(self, name: str, codebook: np.ndarray, indices: np.ndarray) -> str:
        """Append a list of values from a codebook: a byte per value in the file where that is enough."""
        dtype = np.uint8 if codebook.size <= 256 else np.uint16
        stored = self.constant(f"{name}.indices", indices.astype(dtype))
        wide = self.node("Cast", [stored], f"{name}.indices", to=self._onnx.TensorProto.INT32)
        return self.node("Gather", [self.constant(f"{name}.codebook", codebook), wide], name, axis=0)

    def scattered(self, name: str, values: str, gaps: np.ndarray, n_weights: int) -> str:
        """Append zeros with the values in their places: the running sums of gap + 1, less one."""
        steps = self.node(
            "Cast",
            [self.constant(f"{name}.gaps", gaps.astype(np.uint8))],
            f"{name}.gaps",
            to=self._onnx.TensorProto.INT32,
        )
        one = self.constant(f"{name}.one", np.array(1, dtype=np.int32))
        axis = self.constant(f"{name}.axis", np.array(0, dtype=np.int32))
        sums = self.node("CumSum", [self.node("Add", [steps, one], f"{name}.steps"), axis], f"{name}.sums")
        places = self.node("Sub", [sums, one], f"{name}.places")
        size = self.constant(f"{name}.size", np.array([n_weights], dtype=np.int64))
        zeros = self.node("ConstantOfShape", [size], f"{name}.zeros")
        return self.node("ScatterElements", [zeros, places, values], f"{name}.flat", axis=0)


def _pair(size: int | tuple[int, int]) -> list[int]:
    return [size, size] if isinstance(size, int) else list(size)


def _quantize(proto, path: Path) -> None:
    """Write the graph with int8 weights."""
    try:
        from onnxruntime import quantization
    except ImportError as error:
        raise ImportError("int8 needs onnxruntime: pip install onnx onnxruntime") from error
    logging.disable(logging.WARNING)  # it recommends a preprocessing that these graphs do not need
    try:
        quantization.quantize_dynamic(
            proto, str(path), weight_type=quantization.QuantType.QInt8, per_channel=True
        )
    finally:
        logging.disable(logging.NOTSET)


def _import_onnx():
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise ImportError("this export needs onnx: pip install onnx onnxruntime") from error
    return onnx
