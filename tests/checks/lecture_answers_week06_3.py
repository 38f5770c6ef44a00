"""Week 6, lecture 3: right answers in several forms, and the usual mistakes with a word of their hint."""

import numpy as np


def codes(w, scale):
    return np.round(w / scale)


def inside(w, scale, low, high):
    return (codes(w, scale) >= low) & (codes(w, scale) <= high)


def signs_of(w):
    return np.sign(w)


RIGHT = {
    "straight_through": [
        lambda g, w, s, a, b: np.where(inside(w, s, a, b), g, 0),
        lambda g, w, s, a, b: np.float32(g * (np.clip(codes(w, s), a, b) == codes(w, s))),
        lambda g, w, s, a, b: [x if a <= round(v / s) <= b else 0.0 for x, v in zip(g, w, strict=True)],
    ],
    "binary": [
        lambda w: (np.abs(w).mean(), np.sign(w)),
        lambda w: (np.float32(w @ np.sign(w) / w.size), np.where(w > 0, 1, -1)),
        lambda w: [sum(map(abs, w)) / len(w), [1 if v > 0 else -1 for v in w]],
    ],
    "signed_dot": [
        lambda x, w, n: n - 2 * bin(x ^ w).count("1"),
        lambda x, w, n: sum(1 if (x >> k & 1) == (w >> k & 1) else -1 for k in range(n)),
    ],
}
MISTAKES = {
    "straight_through": {
        "What was clamped gets nothing": lambda g, w, s, a, b: g,
        "Inverted": lambda g, w, s, a, b: g * ~inside(w, s, a, b),
        "<= and >=": lambda g, w, s, a, b: g * (codes(w, s) > a) * (codes(w, s) < b),
        "not w": lambda g, w, s, a, b: g * (w >= a) * (w <= b),
        "Compare the *rounded* code": lambda g, w, s, a, b: g * (w / s >= a) * (w / s <= b),
        "true derivative": lambda g, w, s, a, b: 0 * g,
        "no factor of the scale": lambda g, w, s, a, b: g * inside(w, s, a, b) * s,
        "not where it passes": lambda g, w, s, a, b: inside(w, s, a, b),
        "rounded weights": lambda g, w, s, a, b: np.clip(codes(w, s), a, b) * s,
    },
    "binary": {
        "not of w": lambda w: (w.mean(), signs_of(w)),
        "divide by n": lambda w: (np.abs(w).sum(), signs_of(w)),
        "no root, no square": lambda w: (np.sqrt((w**2).mean()), signs_of(w)),
        "not its largest": lambda w: (np.abs(w).max(), signs_of(w)),
        "stand for −1 and +1": lambda w: (np.abs(w).mean(), (w > 0).astype(int)),
        "the signs alone": lambda w: (np.abs(w).mean(), np.abs(w).mean() * signs_of(w)),
        "expected 2 results": lambda w: np.abs(w).mean() * signs_of(w),
    },
    "signed_dot": {
        "costs two": lambda x, w, n: n - (x ^ w).bit_count(),
        "Those are the different pairs": lambda x, w, n: (x ^ w).bit_count(),
        "equal pairs are +1": lambda x, w, n: 2 * (x ^ w).bit_count() - n,
        "& is the product of 0 and 1": lambda x, w, n: n - 2 * (x & w).bit_count(),
        "negative": lambda x, w, n: 2 * (~(x ^ w)).bit_count() - n,
        "not the number itself": lambda x, w, n: n - 2 * (x ^ w),
    },
}
