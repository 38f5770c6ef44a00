"""Week 3, lecture 3: a channel shuffle, the weights of a separable pair, the thin layers of a matrix."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import as_array, call, expect, pair
from common.checks.grading import NotYet
from common.checks.lectures import fill_in


def _shuffle(x, groups):
    n, c, h, w = x.shape
    return x.reshape(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


@fill_in(own=_shuffle)
def shuffle(answer: Callable) -> str:
    """One channel from each group in turn; rows and columns stay."""
    import torch  # the lecture's tensors

    for n, c, groups in ((2, 6, 2), (1, 12, 4), (2, 4, 4)):
        x = torch.arange(n * c * 2 * 3, dtype=torch.float32).reshape(n, c, 2, 3)
        wanted = _shuffle(x, groups).numpy()
        suspects = [
            ("The channels stand as before: exchange the two axes, groups and members.", x.numpy()),
            (
                "The two new axes have each other's length: groups is the first, c // groups the second.",
                _shuffle(x, c // groups).numpy(),
            ),
        ]
        got = as_array(call(answer, x, groups, told=f"{c} channels in {groups} groups"), "The result")
        if got.shape == wanted.shape and not np.array_equal(got, wanted):
            order = _order_of(got, x.numpy())
            right = _order_of(wanted, x.numpy())
            if order is None:
                raise NotYet(
                    "A feature map is no longer one of the input's.",
                    hint="Only channels change places: rows and columns, and the pictures, keep theirs.",
                )
            expect(
                got, wanted, tolerance=0, suspects=suspects, what="The result", unknown=_hint(order, right)
            )
        expect(got, wanted, tolerance=0, suspects=suspects, what="The result")
    return "Two, three and one channel per group."


def _order_of(got: np.ndarray, x: np.ndarray) -> list[int] | None:
    """Which channel of x stands at each place, by the first picture; None where a map was changed."""
    maps = {channel.tobytes(): number for number, channel in enumerate(x[0])}
    order = [maps.get(np.ascontiguousarray(channel, dtype=x.dtype).tobytes()) for channel in got[0]]
    return None if None in order else order


def _hint(order: list[int], right: list[int]) -> str:
    return f"The channels stand in the order {order}; it should begin with {right[:2]}."


def _separable_weights(c, o, k):
    return c * k * k + c * o


@fill_in(own=_separable_weights)
def separable_weights(answer: Callable) -> str:
    """c k² for the depth-wise layer, c o for the 1 × 1 layer."""
    for c, o, k in ((4, 7, 3), (10, 6, 5), (3, 8, 1)):
        suspects = [
            ("That is an ordinary convolution.", c * o * k * k),
            ("The depth-wise layer is missing: one k × k kernel per input channel.", c * o),
            ("The 1 × 1 layer is missing: it connects every channel with every output.", c * k * k),
            (
                "The depth-wise layer keeps the number of channels: it has c kernels, not o.",
                o * k * k + c * o,
            ),
            ("A kernel has k × k weights.", c * k + c * o),
            ("The depth-wise layer has a kernel of its own for *every* channel.", k * k + c * o),
            ("Biases are left out here.", c * k * k + c * o + o, c * k * k + c * o + c + o),
            ("The weights of both layers have to be added, not multiplied.", c * k * k * c * o),
            (
                "The 1 × 1 layer connects c channels with o outputs.",
                c * k * k + o,
                c * k * k + c * c,
                c * k * k + o * o,
            ),
        ]
        got = call(answer, c, o, k, told=f"c = {c}, o = {o}, k = {k}")
        expect(
            got,
            _separable_weights(c, o, k),
            tolerance=0,
            suspects=suspects,
            what=f"For c, o, k = {c}, {o}, {k} it",
        )
    return "Three pairs of layers."


def _thin_layers(W, r):
    u, s, vt = np.linalg.svd(W, full_matrices=False)
    return u[:, :r] * s[:r], vt[:r]


@fill_in(own=_thin_layers)
def thin_layers(answer: Callable) -> str:
    """A (m, r) and B (r, n); their product is the nearest matrix of rank r."""
    rng = np.random.default_rng(11)
    for m, n, r in ((5, 4, 2), (3, 6, 1), (4, 4, 3)):
        W = rng.normal(size=(m, n))
        told = f"a {m}×{n} matrix and rank {r}"
        got = pair(call(answer, W, r, told=told), 2, "A and B")
        A, B = as_array(got[0], "A"), as_array(got[1], "B")
        if A.shape != (m, r) or B.shape != (r, n):
            hint = "Take r of them: the first r columns of U, the first r rows of Vt."
            if A.shape == (r, n) and B.shape == (m, r):
                hint = "A and B are exchanged: A is the tall one."
            elif A.shape == (m, r) and B.shape == (n, r):
                hint = (
                    "B is transposed: np.linalg.svd returns V already transposed, and its *rows* are taken."
                )
            elif m == n and A.shape == (r, n):
                hint = "Take columns of U: U[:, :r], not U[:r]."
            raise NotYet(
                f"A has shape {A.shape} and B {B.shape}, expected {(m, r)} and {(r, n)}, for {told}.",
                hint=hint,
            )
        u, s, vt = np.linalg.svd(W, full_matrices=False)
        suspects = [
            ("The singular values are missing: without them every piece counts the same.", u[:, :r] @ vt[:r]),
            (
                "The singular values came in twice: multiply only one factor by them.",
                (u[:, :r] * s[:r] ** 2) @ vt[:r],
            ),
            (
                "These are the *last* pieces: singular values come sorted, the largest first.",
                (u[:, -r:] * s[-r:]) @ vt[-r:],
            ),
            (
                "You divide by the singular values: multiply one factor by them, or both by their roots.",
                (u[:, :r] / s[:r]) @ vt[:r],
            ),
            (
                "Each piece has its *own* singular value: multiply the columns of U by s[:r].",
                s[0] * u[:, :r] @ vt[:r],
            ),
        ]
        expect(
            A @ B, _thin_layers(W, r)[0] @ vt[:r], tolerance=1e-6, suspects=suspects, what="The product A B"
        )
    return "Tall, wide and square matrices; the singular values may stand in either factor."
