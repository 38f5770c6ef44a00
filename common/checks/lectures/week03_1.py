"""Week 3, lecture 1: rows of a feature map, the gradient of a kernel, receptive fields."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from common.checks.comparing import call, expect
from common.checks.lectures import fill_in


def _output_size(n, kernel, stride, padding):
    return (n + 2 * padding - kernel) // stride + 1


@fill_in(own=_output_size)
def output_size(answer: Callable) -> str:
    """floor((n + 2p - k) / s) + 1."""
    for n, kernel, stride, padding in (
        (21, 4, 3, 7),
        (11, 4, 3, 1),
        (28, 5, 2, 2),
        (227, 11, 4, 0),
        (5, 5, 2, 0),
    ):
        length = n + 2 * padding - kernel
        suspects = [
            ("One too few: the first position counts, too.", length // stride),
            ("The padding is on *both* sides: 2p.", (n + padding - kernel) // stride + 1),
            ("The padding makes the picture longer: add it.", (n - 2 * padding - kernel) // stride + 1),
            ("The padding is missing.", (n - kernel) // stride + 1),
            (
                "A number of rows is whole, and a window that sticks out is left out: round down, //.",
                length / stride + 1,
            ),
            (
                "A window that sticks out of the frame is left out: round down.",
                math.ceil(length / stride) + 1,
            ),
            ("The stride is missing: with stride s only every s-th position counts.", length + 1),
        ]
        told = f"n = {n}, kernel {kernel}, stride {stride}, padding {padding}"
        got = call(answer, n, kernel, stride, padding, told=told)
        wanted = _output_size(n, kernel, stride, padding)
        expect(got, wanted, tolerance=0, suspects=suspects, what=f"For {told} it")
    return "Five windows, some of which do not reach the edge."


def _kernel_gradient(x, delta):
    x, delta = np.asarray(x), np.asarray(delta)
    rows, columns = delta.shape
    k = x.shape[0] - rows + 1
    return np.array([[(delta * x[u : u + rows, v : v + columns]).sum() for v in range(k)] for u in range(k)])


@fill_in(own=_kernel_gradient)
def kernel_gradient(answer: Callable) -> str:
    """Each weight collects delta times the pixels that it has met."""
    rng = np.random.default_rng(3)
    for shape, k in (((5, 7), 3), ((6, 5), 2), ((4, 4), 1)):
        x = rng.integers(-4, 6, shape).astype(float)
        delta = rng.integers(-3, 4, (shape[0] - k + 1, shape[1] - k + 1)).astype(float)
        wanted = _kernel_gradient(x, delta)
        suspects = [
            (
                "Take the sum over all positions, not a mean: each position adds its share.",
                wanted / delta.size,
            ),
            ("u and v are exchanged: u moves down the rows, v along the columns.", wanted.T),
            (
                "The window must move with u and v: the corner is not what every weight has met.",
                np.full((k, k), wanted[0, 0]),
            ),
            (
                "The kernel is not flipped here: weight (u, v) met the pixels from (u, v) on.",
                wanted[::-1, ::-1],
            ),
            ("Those are the pixels alone: multiply them by delta.", _kernel_gradient(x, np.ones_like(delta))),
            (
                "That is delta alone: multiply it by the pixels that the weight has met.",
                np.full((k, k), delta.sum()),
            ),
            ("The signs are wrong or lost: a gradient keeps its sign.", -wanted, np.abs(wanted)),
        ]
        expect(
            call(answer, x, delta, told=f"a {shape[0]}×{shape[1]} picture and a {k}×{k} kernel"),
            wanted,
            tolerance=1e-6,
            suspects=suspects,
            what="The gradient",
            shown={"picture": x, "delta": delta},
        )
    return "Kernels of one, two and three pixels, on pictures that are not square."


def _receptive_fields(layers):
    size, jump, sizes = 1, 1, []
    for kernel, stride in layers:
        size += (kernel - 1) * jump
        jump *= stride
        sizes.append(size)
    return sizes


def _variant(layers, *, grow=lambda k: k - 1, add=False, jump_first=False, by_jump=True):
    size, jump, sizes = 1, 1, []
    for kernel, stride in layers:
        if jump_first:
            jump *= stride
        size += grow(kernel) * (jump if by_jump else 1)
        if not jump_first:
            jump = jump + stride if add else jump * stride
        sizes.append(size)
    return sizes


@fill_in(own=_receptive_fields)
def receptive_fields(answer: Callable) -> str:
    """r grows by (k - 1) jumps, the jump by the factor s."""
    for layers in ([(5, 2), (3, 2), (3, 1)], [(3, 1), (2, 2), (7, 3), (3, 1)], [(1, 4), (3, 2)]):
        suspects = [
            (
                "The field grows with the jump *before* this layer: first the field, then the jump.",
                _variant(layers, jump_first=True),
            ),
            (
                "A window of k has k − 1 steps: the field grows by (kernel − 1) jumps.",
                _variant(layers, grow=lambda k: k),
            ),
            ("Strides multiply: two layers of stride 2 are 4 pixels apart.", _variant(layers, add=True)),
            (
                "Behind a stride, neighbours are further apart: multiply (kernel − 1) by the jump.",
                _variant(layers, by_jump=False),
            ),
            (
                "The jump never grows: multiply it by the stride.",
                _variant([(kernel, 1) for kernel, _ in layers]),
            ),
        ]
        got = call(answer, layers, told=f"layers {layers}")
        wanted = _receptive_fields(layers)
        expect(got, wanted, tolerance=0, suspects=suspects, what=f"For {layers} the field")
    return "Three stacks of layers, with strides."
