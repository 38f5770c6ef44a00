"""Week 6, lecture 2: right answers in several forms, and the usual mistakes with a word of their hint."""

import numpy as np


def codes(r, scale, zero_point, n_bits, *, rounding=np.round, low=0, over=0):
    return np.clip(rounding(r / scale) + zero_point, low, 2**n_bits - 1 + over).astype(int)


def folded(weight, gamma, beta, mean, var, eps, *, power=0.5, bias=None):
    factor = gamma / (var + eps) ** power
    return weight * factor[:, None, None, None], beta - mean * factor if bias is None else bias(factor)


def shifted(sums, multiplier, shift, zero_point, *, half=True, clip=True, kind=np.int64):
    product = sums.astype(kind) * np.asarray(multiplier).astype(kind)
    rounded = (product.astype(np.int64) + (half << (shift - 1) if half else 0)) >> shift
    return np.clip(rounded + zero_point, 0, 255) if clip else rounded + zero_point


def one_by_one(sums, multiplier, shift, zero_point):
    def one(x, m, n):
        return min(max(((int(x) * int(m) + (1 << int(n) - 1)) >> int(n)) + zero_point, 0), 255)

    return np.vectorize(one, otypes=[int])(sums, multiplier, shift)


RIGHT = {
    "to_codes": [
        codes,
        lambda r, s, z, n: [min(max(round(float(x / s)) + z, 0), 2**n - 1) for x in r],
        lambda r, s, z, n: np.minimum(np.maximum(np.rint(r / s + z), 0), 2**n - 1).astype(np.uint8),
    ],
    "fold": [
        lambda w, g, b, m, v, eps: folded(w, g, b, m, v, eps),
        lambda w, g, b, m, v, eps: [a.astype(np.float32) for a in folded(w, g, b, m, v, eps)],
        lambda w, g, b, m, v, eps: (
            np.einsum("oikl,o->oikl", w, g / np.sqrt(v + eps)),
            b - g * m / np.sqrt(v + eps),
        ),
    ],
    "requantize": [shifted, one_by_one],
}
MISTAKES = {
    "to_codes": {
        "no codes below 0": lambda r, s, z, n: (np.round(r / s) + z).astype(int),
        "The zero-point is missing": lambda r, s, z, n: codes(r, s, 0, n),
        "Clamp after adding": lambda r, s, z, n: codes(r, s, 0, n) + z,
        "added, not subtracted": lambda r, s, z, n: codes(r, s, -z, n),
        "Cut off instead of rounded": lambda r, s, z, n: codes(r, s, z, n, rounding=np.floor),
        "the last is one less": lambda r, s, z, n: codes(r, s, z, n, over=1),
        "Divide by the scale": lambda r, s, z, n: codes(r, 1 / s, z, n),
        "expected integers": lambda r, s, z, n: codes(r, s, z, n).astype(float),
    },
    "fold": {
        "np.sqrt": lambda w, g, b, m, v, eps: folded(w, g, b, m, v, eps, power=1),
        "gamma is missing": lambda w, g, b, m, v, eps: folded(w, g / g, b, m, v, eps),
        "eps stands inside": lambda w, g, b, m, v, eps: folded(w, g, b, m, v, 0),
        "The weight is as it was": lambda w, g, b, m, v, eps: (w, b),
        "The mean has to be scaled, too": lambda w, g, b, m, v, eps: folded(
            w, g, b, m, v, eps, bias=lambda factor: b - m
        ),
        "the mean is subtracted": lambda w, g, b, m, v, eps: folded(w, g, b, -m, v, eps),
        "beta is missing": lambda w, g, b, m, v, eps: folded(w, g, 0, m, v, eps),
        "so it is not scaled": lambda w, g, b, m, v, eps: folded(
            w, g, b, m, v, eps, bias=lambda factor: (b - m) * factor
        ),
        "expected 2 results": lambda w, g, b, m, v, eps: w,
    },
    "requantize": {
        "add a half": lambda s, m, shift, z: shifted(s, m, shift, z, half=False),
        "does not fit into 32 bits": lambda s, m, shift, z: shifted(s, m, shift, z, kind=np.int32),
        "end at 0 and 255": lambda s, m, shift, z: shifted(s, m, shift, z, clip=False),
        "The zero-point is missing": lambda s, m, shift, z: shifted(s, m, shift, 0),
        "The multiplier is missing": lambda s, m, shift, z: shifted(s, 1, shift, z, half=False),
        "expected integers": lambda s, m, shift, z: shifted(s, m, shift, z).astype(float),
    },
}
