"""Week 6, lecture 4: right answers in several forms, and the usual mistakes with a word of their hint."""

import math
from collections import Counter

import numpy as np
from scipy.stats import entropy


def extra(shape, n_bits, kind):
    return {"per_tensor": 1, "per_channel": shape[0], "k_means": 2**n_bits}[kind]


def shares_of(codes):
    return np.unique(codes, return_counts=True)[1] / np.size(codes)


RIGHT = {
    "bits_per_weight": [
        lambda shape, b, kind: (math.prod(shape) * b + 32 * extra(shape, b, kind)) / math.prod(shape),
        lambda shape, b, kind: np.float32(b + 32 * extra(shape, b, kind) / math.prod(shape)),
    ],
    "entropy_of": [
        lambda codes: entropy(np.unique(codes, return_counts=True)[1], base=2),
        lambda codes: (
            -sum(n / codes.size * math.log2(n / codes.size) for n in Counter(codes.ravel().tolist()).values())
        ),
        lambda codes: np.float32(entropy(np.bincount((codes - codes.min()).ravel()), base=2)),
    ],
}
MISTAKES = {
    "bits_per_weight": {
        "are missing": lambda shape, b, kind: b,
        "divide by its number": lambda shape, b, kind: math.prod(shape) * b + 32 * extra(shape, b, kind),
        "2 to the power": lambda shape, b, kind: (
            b + 32 * (b if kind == "k_means" else extra(shape, b, kind)) / math.prod(shape)
        ),
        "a float of 32 bits": lambda shape, b, kind: b + extra(shape, b, kind) / math.prod(shape),
        "the first axis": lambda shape, b, kind: b + 32 * extra(shape[::-1], b, kind) / math.prod(shape),
        "they differ": lambda shape, b, kind: b + 32 / math.prod(shape),
        "Spread over all weights": lambda shape, b, kind: b + 32 * extra(shape, b, kind),
    },
    "entropy_of": {
        "The base is 2": lambda codes: entropy(shares_of(codes)),
        "the mean is per code": lambda codes: entropy(shares_of(codes), base=2) * codes.size,
        "The sign": lambda codes: -entropy(shares_of(codes), base=2),
        "Weight each logarithm": lambda codes: -np.log2(shares_of(codes)).mean(),
        "a fixed width": lambda codes: np.log2(shares_of(codes).size),
        "Counts are not shares": lambda codes: (n := np.unique(codes, return_counts=True)[1]) @ np.log2(n),
        "0 · log 0": lambda codes: -np.sum((p := np.bincount((codes + 9).ravel()) / codes.size) * np.log2(p)),
    },
}
