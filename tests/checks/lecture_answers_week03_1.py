"""Week 3, lecture 1: right answers in several forms, and the usual mistakes with a word of their hint."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.signal import correlate2d

from common.checks.lectures import week03_1 as checks


def gradient(
    x, delta, *, part=lambda x, u, v, rows, columns: x[u : u + rows, v : v + columns], reduce=np.sum
):
    rows, columns = delta.shape
    k = len(x) - rows + 1
    return np.array([[reduce(delta * part(x, u, v, rows, columns)) for v in range(k)] for u in range(k)])


def fields(layers, *, first="field", one=1, grow=None, times=True):
    size, jump, sizes = 1, 1, []
    for kernel, stride in layers:
        grown = jump * stride if grow is None else grow(jump, stride)
        if first == "jump":
            jump = grown
        size += (kernel - one) * (jump if times else 1)
        jump = grown
        sizes.append(size)
    return sizes


RIGHT = {
    "output_size": [
        checks.output_size.own,
        lambda n, k, s, p: math.floor((n + 2 * p - k) / s) + 1,
        lambda n, k, s, p: len(range(-p, n + p - k + 1, s)),
        lambda n, k, s, p: F.conv1d(torch.zeros(1, 1, n), torch.zeros(1, 1, k), stride=s, padding=p).shape[
            -1
        ],
    ],
    "kernel_gradient": [
        checks.kernel_gradient.own,
        lambda x, delta: correlate2d(x.astype(np.float32), delta, mode="valid"),
        lambda x, delta: F.conv2d(torch.tensor(x)[None, None], torch.tensor(delta)[None, None])[0, 0],
    ],
    "receptive_fields": [checks.receptive_fields.own, lambda layers: np.array(fields(layers))],
}
SIZES = {
    "One too few": lambda n, k, s, p: (n + 2 * p - k) // s,
    "on *both* sides": lambda n, k, s, p: (n + p - k) // s + 1,
    "The padding is missing": lambda n, k, s, p: (n - k) // s + 1,
    "round down, //": lambda n, k, s, p: (n + 2 * p - k) / s + 1,
    "is left out: round down.": lambda n, k, s, p: math.ceil((n + 2 * p - k) / s) + 1,
    "The stride is missing": lambda n, k, s, p: n + 2 * p - k + 1,
    "The padding makes the picture longer": lambda n, k, s, p: (n - 2 * p - k) // s + 1,
}
GRADIENTS = {
    "not a mean": lambda x, d: gradient(x, d, reduce=np.mean),
    "u and v are exchanged": lambda x, d: gradient(x, d).T,
    "The window must move": lambda x, d: gradient(x, d, part=lambda x, u, v, r, c: x[:r, :c]),
    "The kernel is not flipped here": lambda x, d: gradient(x, d)[::-1, ::-1],
    "multiply them by delta": lambda x, d: gradient(x, np.ones_like(d)),
    "That is delta alone": lambda x, d: np.full(gradient(x, d).shape, d.sum()),
    "keeps its sign": lambda x, d: -gradient(x, d),
}
FIELDS = {
    "first the field, then the jump": lambda layers: fields(layers, first="jump"),
    "(kernel − 1) jumps": lambda layers: fields(layers, one=0),
    "Strides multiply": lambda layers: fields(layers, grow=lambda jump, stride: jump + stride),
    "multiply (kernel − 1) by the jump": lambda layers: fields(layers, times=False),
}
MISTAKES = {"output_size": SIZES, "kernel_gradient": GRADIENTS, "receptive_fields": FIELDS}
