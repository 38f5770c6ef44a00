"""Week 7, lecture 3: right answers in several forms, and the usual mistakes with a word of their hint."""

from itertools import pairwise

import numpy as np

from common.checks.lectures import week07_3 as checks

RIGHT = {
    "table_bytes": [
        checks.table_bytes.own,
        lambda gaps, kept, clusters, outputs: (
            np.int64(gaps + kept) + np.dtype("float32").itemsize * (clusters + outputs)
        ),
    ],
    "peak_bytes": [
        checks.peak_bytes.own,
        lambda outputs: 4 * (np.array(outputs)[1:] + np.array(outputs)[:-1]).max(),
        lambda outputs: np.float32(max(4 * a + 4 * b for a, b in pairwise(outputs))),
    ],
    "picojoules": [
        checks.picojoules.own,
        lambda n, products, on: np.float32(n * (1.25 if on else 160) + 19.6 * products),
    ],
}


def energy(*, word=4, near=5, far=640, product=4.6, access=15, access_far=None, weights=1):
    def answer(n_bytes, n_products, on_chip):
        each = access if on_chip or access_far is None else access_far
        return weights * n_bytes / word * (near if on_chip else far) + (each + product) * n_products

    return answer


MISTAKES = {
    "table_bytes": {
        "a gap or an index takes one byte": lambda g, k, c, o: 4 * (g + k + c + o),
        "biases are floats": lambda g, k, c, o: g + k + c + o,
        "indices of one byte": lambda g, k, c, o: g + 4 * k + 4 * c + 4 * o,
        "The gaps are stored": lambda g, k, c, o: k + 4 * c + 4 * o,
        "the codebook is a float": lambda g, k, c, o: g + k + c + 4 * o,
        "a bias, a float": lambda g, k, c, o: g + k + 4 * c,
        "gaps and indices are two counts": lambda g, k, c, o: 2 * k + 4 * c + 4 * o,
    },
    "peak_bytes": {
        "four bytes": lambda outputs: max(a + b for a, b in pairwise(outputs)),
        "not all live at once": lambda outputs: 4 * sum(outputs),
        "also needs its input": lambda outputs: 4 * max(outputs),
        "add the two neighbours": lambda outputs: 8 * max(outputs),
        "need not be neighbours": lambda outputs: 4 * sum(sorted(outputs)[-2:]),
    },
    "picojoules": {
        "divide the bytes by 4": energy(word=1),
        "are to be fetched": energy(weights=0),
        "has three accesses": energy(access=5),
        "a multiplication and an addition": energy(product=3.7),
        "comes from outside": energy(near=640, far=5),
        "stay on the chip": energy(access_far=1920),
    },
}
