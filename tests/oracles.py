"""Slow, plain re-implementations that the tests compare with."""

import heapq
import math
from itertools import combinations

import numpy as np

# --- k-means and weight sharing


def lloyd_slow(values, centroids, max_iter=10_000):
    """Plain Lloyd in float64 with all distances; every cluster must stay in use; (centroids, labels)."""
    values = np.asarray(values, dtype=np.float64).reshape(-1)
    centroids = np.sort(np.asarray(centroids, dtype=np.float64))
    labels = None
    for _ in range(max_iter):
        new = np.abs(values[:, None] - centroids[None, :]).argmin(axis=1)
        if labels is not None and (new == labels).all():
            break
        labels = new
        assert np.unique(labels).size == centroids.size, "the oracle knows no empty clusters"
        centroids = np.array([values[labels == k].mean() for k in range(centroids.size)])
    return centroids, labels


def best_inertia_brute_force(points, n_clusters, weights=None):
    """Least weighted inertia over all ways to cut sorted points into at most n_clusters intervals."""
    points = np.asarray(points, dtype=np.float64)
    weights = np.ones(points.size) if weights is None else np.asarray(weights, dtype=np.float64)
    n_clusters = min(n_clusters, points.size)
    best = np.inf
    for cuts in combinations(range(1, points.size), n_clusters - 1):
        total = 0.0
        for start, stop in zip((0, *cuts), (*cuts, points.size), strict=True):
            part, weight = points[start:stop], weights[start:stop]
            total += (weight * (part - np.average(part, weights=weight)) ** 2).sum()
        best = min(best, total)
    return best


def entropy_bits(indices):
    """Shannon entropy of the indices' frequencies, in bits an index."""
    share = np.unique(indices, return_counts=True)[1] / np.size(indices)
    return float(-(share * np.log2(share)).sum())


# --- pruning


def kept_by_sorting(scores, n_keep, allowed):
    """Positions of the n_keep highest scores among the allowed ones; the earlier of equals wins."""
    candidates = [(-score, position) for position, score in enumerate(scores) if allowed[position]]
    return sorted(position for _, position in sorted(candidates)[:n_keep])


# --- the codec


def huffman_slow(counts):
    """Huffman's algorithm by a heap of (count, symbols); the optimal code's total bits, and its lengths."""
    heap = [(int(count), [symbol]) for symbol, count in enumerate(counts) if count]
    lengths = [0] * len(counts)
    if len(heap) == 1:
        lengths[heap[0][1][0]] = 1
    heapq.heapify(heap)
    while len(heap) > 1:
        (count_a, a), (count_b, b) = heapq.heappop(heap), heapq.heappop(heap)
        for symbol in a + b:
            lengths[symbol] += 1
        heapq.heappush(heap, (count_a + count_b, a + b))
    return sum(int(count) * length for count, length in zip(counts, lengths, strict=True)), lengths


def best_limited_bits(counts, max_length):
    """Fewest total bits of a prefix code without longer codes, by dynamic programming over the Kraft budget.

    Symbols by falling count; `left` units of 2 ** -max_length are still to be spent.
    """
    counts = sorted((int(count) for count in counts if count), reverse=True)
    best = {1 << max_length: 0}
    for count in counts:
        new = {}
        for left, bits in best.items():
            for length in range(1, max_length + 1):
                spent = 1 << (max_length - length)
                if spent <= left and bits + count * length < new.get(left - spent, math.inf):
                    new[left - spent] = bits + count * length
        best = new
    return min(best.values())


def canonical_slow(lengths):
    """Canonical codes as strings: count upwards, shorter codes first, lower symbols first."""
    codes, code, before = {}, 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        code <<= length - before
        codes[symbol] = f"{code:0{length}b}"
        code, before = code + 1, length
    return codes


def encode_slow(symbols, lengths):
    """The codes in a row as a string of 0 and 1."""
    codes = canonical_slow(lengths)
    return "".join(codes[symbol] for symbol in symbols)


def encode_bits(symbols, lengths, codes):
    """The bits of a stream as bytes, made of an array with an element per bit: slow, and for long streams."""
    of_symbol = lengths[symbols].astype(np.int64)
    ends = np.cumsum(of_symbol)
    places = np.repeat(ends, of_symbol) - 1 - np.arange(int(of_symbol.sum()))  # from the code's lowest bit on
    bits = np.repeat(codes[symbols], of_symbol) >> places & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


def decode_slow(bits, lengths):
    """Symbols of a string of 0 and 1, one bit at a time."""
    symbols, by_code, code = [], {code: symbol for symbol, code in canonical_slow(lengths).items()}, ""
    for bit in bits:
        code += bit
        if code in by_code:
            symbols.append(by_code[code])
            code = ""
    return symbols


def gaps_slow(positions, n_bits):
    """Gaps with skips, cell by cell."""
    skip, gaps, passed = 2**n_bits - 1, [], 0
    kept = {int(position) for position in positions}
    for cell in range(max(kept, default=-1) + 1):
        if cell in kept:
            gaps.append(passed)
            passed = 0
        else:
            passed += 1
            if passed == skip:
                gaps.append(skip)
                passed = 0
    return gaps


def zones_slow(row_labels, column_labels, tap_labels):
    """The cells of each zone in row-major order: lists of positions, the lowest sum of labels first."""
    cells, position = {}, 0
    for row in row_labels:
        for column in column_labels:
            for tap in tap_labels:
                if row and column and tap:
                    cells.setdefault(int(row) + int(column) + int(tap), []).append(position)
                position += 1
    return [cells.get(label_sum, []) for label_sum in range(3, max(cells, default=2) + 1)]
