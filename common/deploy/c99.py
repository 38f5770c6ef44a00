r"""A LeNet from a .dcz file as a C99 header: codebooks, gaps, and a forward pass without any library.

The header is made for microcontrollers. Its tables are constants, which stay in flash memory; it needs RAM
only for the outputs of a few layers, and allocates nothing. Per kept weight it holds two bytes: the gap,
which is the number of pruned weights before it (`common.codec.gaps`; 255 is a skip), and the index of its
value in the layer's codebook. A weight is decoded when it is used, and a pruned one costs no time.

A convolution is computed one output channel at a time and pooled at once, so no layer's whole output has to
be held at full resolution. The weights of a channel follow each other, so the stream is still read only once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from common.codec.container import CompressedModel
from common.codec.gaps import encode_gaps
from common.codec.tensors import DenseTensor, SharedTensor
from common.compress.packing import unpack
from common.data.catalog import CATALOG

NETWORKS = ("lenet_300_100", "lenet_5")
_DATASET = "mnist"
_WIDTH = 100  # characters of a line of numbers


def c_header(model: CompressedModel, name: str) -> str:
    """Return the header's text.

    Parameters
    ----------
    model : CompressedModel
        A LeNet-300-100 or a LeNet-5 with shared weights.
    name : str
        Prefix of every name in the header; what is not a letter, a digit or _ becomes _.

    Raises
    ------
    ValueError
        When it is another network, the tensors do not fit it, or weights are not shared or have more than 256
        values.
    """
    architecture = model.metadata.get("architecture")
    if architecture not in NETWORKS:
        raise ValueError(f"architecture {architecture!r}: C is written for {' and '.join(NETWORKS)} only")
    names = list(unpack(model).state_dict())  # refuses tensors that do not fit
    tensors = model.tensors
    if set(tensors) != set(names):  # a file without names has its tensors in this order
        tensors = dict(zip(names, tensors.values(), strict=True))
    name = re.sub(r"\W", "_", name, flags=re.ASCII)
    if not name or name[0].isdigit():
        name = f"net_{name}"
    layers = [key.removesuffix(".weight") for key in names if key.endswith(".weight")]
    parts = [_layer(name, layer, tensors[f"{layer}.weight"], tensors[f"{layer}.bias"]) for layer in layers]
    facts = CATALOG[_DATASET]
    fields = {
        "name": name,
        "guard": f"{name.upper()}_H",
        "architecture": architecture,
        "mean": _float(255 * facts.mean[0]),
        "std": _float(255 * facts.std[0]),
        **{layer: tensors[f"{layer}.weight"].shape[0] for layer in layers},
        "n_classes": tensors[f"{layers[-1]}.weight"].shape[0],
    }
    before, after = (
        (_HEAD, _FORWARD_300_100) if architecture == NETWORKS[0] else (_HEAD + _CONVOLVE, _FORWARD_5)
    )
    return "\n".join([_fill(before, fields), *parts, _fill(after + _TAIL, fields)])


def _layer(
    name: str, layer: str, weight: DenseTensor | SharedTensor, bias: DenseTensor | SharedTensor
) -> str:
    """Return a layer's constants."""
    if not isinstance(weight, SharedTensor) or weight.row_scales is not None:
        raise ValueError(f"{layer}: expected shared weights without row scales, as dnnc compress makes them")
    if weight.n_clusters > 256:
        raise ValueError(f"{layer}: got {weight.n_clusters} shared values, expected at most 256: share fewer")
    positions = np.arange(weight.n_weights) if weight.positions is None else weight.positions
    gaps = encode_gaps(positions, 8)
    prefix = f"{name}_{layer}"
    tables = f"{prefix}_gaps, {prefix}_indices, {prefix}_codebook, {prefix}_bias"
    return "\n".join(
        [
            f"/* {layer}: {weight.n_kept} of {weight.n_weights} weights, {weight.n_clusters} values */",
            _table("uint8_t", f"{prefix}_gaps", gaps),
            _table("uint8_t", f"{prefix}_indices", weight.indices),
            _table("float", f"{prefix}_codebook", map(_float, weight.codebook)),
            _table("float", f"{prefix}_bias", map(_float, bias.to_dense())),
            f"static const {name}_layer {prefix} = {{",
            f"    {tables}, {gaps.size}, {weight.shape[0]}, {weight.n_weights // weight.shape[0]}",
            "};",
            "",
        ]
    )


def _table(dtype: str, name: str, values: Iterable[object]) -> str:
    """Return an array of constants; an empty one holds an unused zero, because C has no empty arrays."""
    texts = [str(value) for value in values] or ["0"]
    lines, line = [], "   "
    for text in texts:
        if len(line) + len(text) + 2 > _WIDTH:
            lines.append(line)
            line = "   "
        line += f" {text},"
    return "\n".join([f"static const {dtype} {name}[{len(texts)}] = {{", *lines, line, "};"])


def _float(value: float) -> str:
    """Return a C literal that reads back as the same float32.

    >>> _float(0.1), _float(2)
    ('0.1f', '2.0f')
    """
    text = f"{np.float32(value):.9g}"
    text = min(text, repr(float(str(np.float32(value)))), key=len)
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def _fill(text: str, fields: dict[str, object]) -> str:
    """Return a template with its @fields@ filled in (not {fields}: C itself uses braces)."""
    for key, value in fields.items():
        text = text.replace(f"@{key}@", str(value))
    return text


_HEAD = """\
/* @architecture@ for 28 x 28 digits, compressed: written by `dnnc export --c`.
 *
 *     #include "@name@.h"
 *     int digit = @name@_classify(pixels);    784 bytes, row by row, 255 for full ink
 *
 * The tables are constants and stay in flash. Buffers are static: one call at a time.
 */
#ifndef @guard@
#define @guard@

#include <stdint.h>

enum { @name@_CLASSES = @n_classes@, @name@_PIXELS = 784 };

/* A layer whose weights are pruned and shared. They are numbered row by row, a row per output. Before each
 * kept weight, a gap: the number of pruned ones that are passed. 255 passes 255 and stands for no weight. */
typedef struct {
    const uint8_t *gaps;
    const uint8_t *indices;  /* of each kept weight, into the codebook */
    const float *codebook;
    const float *bias;
    uint32_t n_gaps;
    uint32_t n_rows;
    uint32_t n_columns;
} @name@_layer;

static inline void @name@_relu(float *values, uint32_t n)
{
    uint32_t i;
    for (i = 0; i < n; i++) {
        if (values[i] < 0.0f) values[i] = 0.0f;
    }
}

/* outputs = bias + weights * inputs */
static inline void @name@_linear(const @name@_layer *layer, const float *inputs, float *outputs)
{
    uint32_t i, row, column = 0, kept = 0;
    for (row = 0; row < layer->n_rows; row++) outputs[row] = layer->bias[row];
    row = 0;
    for (i = 0; i < layer->n_gaps; i++) {
        column += layer->gaps[i];
        if (layer->gaps[i] == 255) continue;
        while (column >= layer->n_columns) {
            column -= layer->n_columns;
            row++;
        }
        outputs[row] += layer->codebook[layer->indices[kept++]] * inputs[column++];
    }
}
"""

_CONVOLVE = """
/* The largest of each 2 x 2 numbers of a plane. */
static inline void @name@_pool(const float *plane, uint32_t size, float *outputs)
{
    uint32_t y, x;
    for (y = 0; y + 1 < size; y += 2) {
        for (x = 0; x + 1 < size; x += 2) {
            const float *corner = plane + y * size + x;
            float most = corner[0];
            if (corner[1] > most) most = corner[1];
            if (corner[size] > most) most = corner[size];
            if (corner[size + 1] > most) most = corner[size + 1];
            *outputs++ = most;
        }
    }
}

/* A 5 x 5 convolution of size x size planes, then pooling. `plane` has room for one output at full size: an
 * output channel is finished before the next one begins. */
static inline void @name@_convolve(const @name@_layer *layer, const float *inputs, uint32_t size,
                                  float *plane, float *outputs)
{
    const uint32_t out = size - 4, pooled = (out / 2) * (out / 2);
    const int32_t n_columns = (int32_t)layer->n_columns;
    uint32_t i, y, x, row, next = 0, kept = 0;
    int32_t column = 0;
    for (row = 0; row < layer->n_rows; row++) {
        for (i = 0; i < out * out; i++) plane[i] = layer->bias[row];
        /* The weights of this row. A gap that reaches beyond it is left for a later row. */
        while (next < layer->n_gaps) {
            const int32_t ahead = column + layer->gaps[next];
            if (ahead >= n_columns) break;
            column = ahead;
            if (layer->gaps[next++] == 255) continue;
            {
                const float weight = layer->codebook[layer->indices[kept++]];
                const uint32_t channel = (uint32_t)column / 25, tap = (uint32_t)column % 25;
                const float *source = inputs + channel * size * size + (tap / 5) * size + tap % 5;
                for (y = 0; y < out; y++) {
                    for (x = 0; x < out; x++) plane[y * out + x] += weight * source[y * size + x];
                }
            }
            column++;
        }
        column -= n_columns;  /* below 0 where a gap is left */
        @name@_pool(plane, out, outputs + row * pooled);
    }
}
"""

_FORWARD_300_100 = """\
/* The outputs before softmax, from 784 normalized pixels. */
static inline void @name@_forward(const float *pixels, float *logits)
{
    static float first[@fc1@], second[@fc2@];
    @name@_linear(&@name@_fc1, pixels, first);
    @name@_relu(first, @fc1@);
    @name@_linear(&@name@_fc2, first, second);
    @name@_relu(second, @fc2@);
    @name@_linear(&@name@_fc3, second, logits);
}
"""

_FORWARD_5 = """\
/* The outputs before softmax, from 784 normalized pixels. */
static inline void @name@_forward(const float *pixels, float *logits)
{
    static float plane[24 * 24], first[@conv1@ * 12 * 12], second[@conv2@ * 4 * 4], hidden[@fc1@];
    @name@_convolve(&@name@_conv1, pixels, 28, plane, first);
    @name@_convolve(&@name@_conv2, first, 12, plane, second);
    @name@_linear(&@name@_fc1, second, hidden);
    @name@_relu(hidden, @fc1@);
    @name@_linear(&@name@_fc2, hidden, logits);
}
"""

_TAIL = """
/* The most probable class of 784 bytes, 0 for paper and 255 for ink. */
static inline int @name@_classify(const uint8_t *pixels)
{
    static float inputs[@name@_PIXELS], logits[@name@_CLASSES];
    int i, best = 0;
    for (i = 0; i < @name@_PIXELS; i++) inputs[i] = ((float)pixels[i] - @mean@) / @std@;
    @name@_forward(inputs, logits);
    for (i = 1; i < @name@_CLASSES; i++) {
        if (logits[i] > logits[best]) best = i;
    }
    return best;
}

#endif /* @guard@ */
"""
