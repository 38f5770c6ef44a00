"""Week 4, second half: what codebook and indices cost, their bytes, and the exact optimum."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

from common.checks.calling import call
from common.checks.comparing import as_array, expect
from common.checks.verdict import NotYet, check


@check(5, "shared_bits")
def check_shared_bits(answer: Callable) -> str:
    """n indices of ceil(log2 k) bits, and k centroids of `bits` bits."""
    for n, k, bits in ((16, 4, 32), (1000, 5, 32), (300, 16, 16), (50, 1, 32)):
        got = as_array(call(answer, n, k, bits=bits, told=f"n={n}, k={k}, bits={bits}"))
        wide = math.ceil(math.log2(k))
        wanted = n * wide + k * bits
        suspects = [
            ("The codebook is missing.", n * wide),
            ("The indices are missing.", k * bits),
            ("An index has a whole number of bits: five clusters need three.", n * math.log2(k) + k * bits),
            ("Rounded down: with two bits there is no fifth index.", n * math.floor(math.log2(k)) + k * bits),
            ("Indices run from 0 to k − 1: four clusters need two bits, and one cluster needs none.",
             n * k.bit_length() + k * bits, n * max(1, wide) + k * bits),
            ("That is bytes; bits are asked for.", wanted / 8, wanted // 8),
            ("That is before sharing, or both: the weights themselves are not stored any more.",
             n * bits, n * bits + n * wide, n * bits + wanted),
            ("`bits` is not used: a centroid may have 16.", n * wide + k * 32),
            ("Each *weight* has an index, each *cluster* a centroid: n and k are exchanged.",
             k * wide + n * bits, k * math.ceil(math.log2(n)) + n * bits),
            ("That is the rate; the bits are asked for.", n * bits / wanted, wanted / (n * bits)),
            ("The base of the logarithm is 2.", n * math.ceil(math.log(k)) + k * bits),
        ]  # fmt: skip
        suspects = [(hint, *(wrong for wrong in wrongs if wrong != wanted)) for hint, *wrongs in suspects]
        expect(got, wanted, tolerance=0, suspects=suspects, what=f"The size for n={n}, k={k}")
    return "Four sizes: k a power of two and not, 16-bit centroids, a single cluster."


def _packed(labels: np.ndarray, n_bits: int, *, low_first: bool = False, bitorder: str = "big") -> np.ndarray:
    shifts = np.arange(n_bits) if low_first else np.arange(n_bits)[::-1]
    bits = (labels.reshape(-1, 1) >> shifts) & 1
    return np.packbits(bits.astype(np.uint8), bitorder=bitorder)


@check(6, "pack")
def check_pack(answer: Callable) -> str:
    """n_bits bits a label, the highest first, one label after the other; zeros fill the last byte."""
    cases = (
        (np.array([5, 0, 7, 2, 1], dtype=np.uint8), 3),
        (np.array([[1, 0, 1], [1, 1, 0], [0, 0, 1]], dtype=np.uint8), 1),
        (np.array([19, 31, 0, 4, 8, 30], dtype=np.int64), 5),
    )
    for labels, n_bits in cases:
        told = f"{labels.size} labels, n_bits={n_bits}"
        got = call(answer, labels, n_bits, told=told)
        if not isinstance(got, bytes | bytearray):
            hint = {
                "str": "Text of 0 and 1 takes a byte a bit: eight bits are one byte.",
                "ndarray": "`.tobytes()` makes bytes of an array of uint8.",
                "list": "`bytes(numbers)` makes bytes of a list of numbers below 256.",
            }.get(type(got).__name__, "")
            raise NotYet(f"It returns a {type(got).__name__}, expected bytes.", hint=hint)
        got, wanted = np.frombuffer(bytes(got), np.uint8), _packed(labels, n_bits)
        flat = labels.ravel()
        number = sum(int(label) << (n_bits * place) for place, label in enumerate(flat[::-1]))
        in_front = np.frombuffer(number.to_bytes(wanted.size, "big"), np.uint8)
        suspects = [
            ("A byte a label, or more: several labels share one byte.",
             flat, np.frombuffer(flat.tobytes(), np.uint8)),
            ("Within a label, the highest bit comes first.", _packed(flat, n_bits, low_first=True)),
            ("Within a byte, the first bit is the highest: np.packbits does so by default.",
             _packed(flat, n_bits, bitorder="little"),
             _packed(flat, n_bits, low_first=True, bitorder="little")),
            ("The zeros that fill up belong at the end, not in front.", in_front),
            ("Eight bits of every label are packed: its lowest n_bits only.", _packed(flat, 8)),
            ("The first label comes first.", _packed(flat[::-1], n_bits)),
            ("A last byte that is not full is still a byte.", wanted[:-1]),
            ("The text of the bits: a byte a digit. Eight bits are one byte.",
             np.frombuffer("".join(f"{label:0{n_bits}b}" for label in flat).encode(), np.uint8)),
        ]  # fmt: skip
        expect(got, wanted, tolerance=0, suspects=suspects, what=f"The packed bytes of {labels.size} labels",
               shown={"labels": labels})  # fmt: skip
    return "Labels of 3, 1 and 5 bits; bytes that are not full."


def _inertia(ordered: np.ndarray, cuts: tuple[int, ...]) -> float:
    """Sum of squared distances from the means of the intervals between cuts."""
    parts = np.split(ordered, cuts)
    return float(sum(((part - part.mean()) ** 2).sum() for part in parts if part.size))


def _least(ordered: np.ndarray, k: int) -> float:
    places = itertools.combinations(range(1, ordered.size), k - 1)
    return min(_inertia(ordered, cuts) for cuts in places)


def _lloyd(ordered: np.ndarray, centroids: np.ndarray) -> float:
    """The inertia where Lloyd's iteration ends."""
    for _ in range(100):
        cuts = np.searchsorted(ordered, (centroids[:-1] + centroids[1:]) / 2, side="right")
        parts = np.split(ordered, cuts)
        centroids = np.array([p.mean() if p.size else c for p, c in zip(parts, centroids, strict=True)])
    return float(sum(((part - c) ** 2).sum() for part, c in zip(parts, centroids, strict=True)))


@check(7, "optimal_inertia")
def check_optimal_inertia(answer: Callable) -> str:
    """The least sum of squared distances over all ways to cut ascending values into k intervals."""
    ordered = np.array([-3.0, -0.5, -0.45, -0.4, -0.1, 0.0, 0.05, 0.1, 0.4, 1.5, 1.6, 1.8])
    n = ordered.size
    for k in (1, 2, 3, 4, 12):
        got = as_array(call(answer, ordered, k, told=f"12 values, k={k}"))
        wanted = _least(ordered, k)
        starts = (
            np.linspace(ordered[0], ordered[-1], k), ordered[((np.arange(k) + 0.5) / k * n).astype(int)],
        )  # fmt: skip
        even = tuple(np.arange(1, k) * n // k)
        suspects = [
            ("That is where Lloyd's algorithm ends from one of the starts: a local minimum.",
             *(_lloyd(ordered, start) for start in starts)),
            ("That is for k intervals of equally many values: the cuts are to be chosen.",
             _inertia(ordered, even)),
            ("One interval too few or too many: k intervals have k − 1 cuts.",
             _least(ordered, max(1, k - 1)), _least(ordered, min(n, k + 1))),
            ("The mean, not the sum.", wanted / n),
            ("The root: the inertia is the sum of the squares itself.", math.sqrt(wanted)),
            ("That is the greatest, not the least.",
             max(_inertia(ordered, cuts) for cuts in itertools.combinations(range(1, n), k - 1))),
            ("Distances from 0: each interval has its own mean, (P_j − P_i) / (j − i).",
             float((ordered**2).sum())),
            ("The cost is the sum of squares *less* (P_j − P_i)² / (j − i); this is without the sum.",
             wanted - float((ordered**2).sum())),
        ]  # fmt: skip
        suspects = [
            (hint, *(wrong for wrong in wrongs if abs(wrong - wanted) > 1e-9)) for hint, *wrongs in suspects
        ]
        hint = "D[q, j] is the least over i < j of D[q - 1, i] + cost(i, j), and D[0, 0] = 0."
        expect(got, wanted, suspects=suspects, what=f"The inertia for k={k}", unknown=hint)
    return "Twelve values in one to twelve clusters."
