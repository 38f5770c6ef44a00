"""Capstone, "Your own pipeline": right answers, and the usual mistakes with a word of their hint."""

import numpy as np

from common.checks.lectures import capstone_own as checks


def entries_by_loop(mask, indices, n_bits, encode_gaps):
    gaps, is_filler = encode_gaps(np.flatnonzero(mask), n_bits)
    left = iter(np.asarray(indices).tolist())
    return list(gaps), [0 if filler else next(left) + 1 for filler in is_filler]


def back_by_loop(gaps, values):
    at, positions, indices = -1, [], []
    for gap, value in zip(gaps, values, strict=True):
        at += int(gap) + 1
        if value:
            positions.append(at)
            indices.append(int(value) - 1)
    return positions, indices


RIGHT = {
    "to_entries": [checks.to_entries.own, entries_by_loop],
    "from_entries": [checks.from_entries.own, back_by_loop],
}


def entries(change=lambda gaps, values, indices: (gaps, values), mask_of=lambda mask: mask):
    def answer(mask, indices, n_bits, encode_gaps):
        gaps, values = checks.to_entries.own(mask_of(mask), indices, n_bits, encode_gaps)
        return change(gaps, values, np.asarray(indices))

    return answer


def positions_only(mask, indices, n_bits, encode_gaps):
    return np.flatnonzero(mask), entries_by_loop(mask, indices, n_bits, encode_gaps)[1]


def misplaced(gaps, values, indices):
    return gaps, np.roll(values, 1)


ENTRIES = {
    "A filler has an entry in the values": entries(lambda gaps, values, indices: (gaps, values[values > 0])),
    "0 is kept for fillers": entries(lambda gaps, values, indices: (gaps, np.where(values, values - 1, 0))),
    "gives the gaps": positions_only,
    "in their order": entries(lambda gaps, values, indices: (gaps, np.where(values, values[::-1].max(), 0))),
    "exactly where is_filler": entries(misplaced),
}


def back(*, fillers=False, add=1, minus=1, over=False, less=1):
    def answer(gaps, values):
        kept = values > 0
        if over:
            return np.cumsum(gaps[kept] + 1) - 1, values[kept] - 1
        cells = np.cumsum(gaps + add) - minus
        return (cells if fillers else cells[kept]), values[kept] - less

    return answer


BACK = {
    "leave out entries of value 0": back(fillers=True),
    "subtract 1": back(minus=0),
    "sum up gap + 1": back(add=0, minus=0),
    "sum over *all* entries": back(over=True),
    "value - 1": back(less=0),
}
MISTAKES = {"to_entries": ENTRIES, "from_entries": BACK}
