"""Capstone, the judgement: right answers, and the usual mistakes with a word of their hint."""

import math

import numpy as np

from common.checks.lectures import capstone_judge as checks


def three(*, ratio=lambda r: r, bits=lambda b: b, drop=lambda d: d):
    def answer(n_weights, file_bytes, original_top1, top1):
        r, b, d = checks.three_numbers.own(n_weights, file_bytes, original_top1, top1)
        return ratio(r), bits(b), drop(d)

    return answer


def bits_by_math(density):
    return np.vectorize(lambda d: -math.log2(d) - (1 - d) / d * math.log2(1 - d))(density)


RIGHT = {
    "three_numbers": [
        checks.three_numbers.own,
        three(ratio=np.float32, bits=np.float32, drop=np.float32),
        lambda *given: np.array(checks.three_numbers.own(*given)),
    ],
    "position_bits": [checks.position_bits.own, bits_by_math],
}
THREE = {
    "takes 4 bytes": three(ratio=lambda r: r / 4),
    "not the other way round": three(ratio=lambda r: 1 / r),
    "A byte has 8 bits": three(bits=lambda b: b / 8),
    "times 100": three(drop=lambda d: d / 100),
    "positive where accuracy is lost": three(drop=lambda d: -d),
}
own = checks.position_bits.own
POSITIONS = {
    "per *kept* weight": lambda d: own(d) * d,
    "Both terms": lambda d: -np.log2(d),
    "The base is 2": lambda d: own(d) * np.log(2),
    "The sign": lambda d: -own(d),
    "not by that which is not": lambda d: own(d) * d / (1 - d),
}
MISTAKES = {"three_numbers": THREE, "position_bits": POSITIONS}
