"""The inner loops of 1-D k-means (numba): sorting, range sums, Lloyd's iteration, assignment.

In sorted order every cluster is an interval, so Lloyd's iteration needs only the sums of n_clusters
intervals. They come from prefix sums in float64, kept at every ``BLOCK``-th value, and a few additions at
either end. That is exact enough and takes a quarter of a byte of memory per value; and as no additions are
reordered, the result has the same bits on every machine.
"""

import numpy as np

from common.base.compiled import njit

BLOCK = 64
_RUN = 4096  # values assigned at a time, so that they and their indices stay in the level-1 cache


@njit
def sort_float32(values, result, spare):
    """Sort float32 values into `result` (uint32, to be viewed as float32) by a radix sort of three passes.

    Each pass sorts by the next 11 bits and keeps the order of equal ones; `spare` (uint32) is its work space.
    For millions of values this is several times faster than a comparison sort. NaN end up at either end,
    outside the infinities.
    """
    bits = values.view(np.uint32)
    sign, low, shift, low_digit = np.uint32(1 << 31), np.uint32((1 << 31) - 1), np.uint32(11), np.uint32(2047)
    at = np.zeros((3, 2048), dtype=np.int64)
    for i in range(bits.size):
        # Floats are a sign and a magnitude. Flip all bits of negative ones and the sign of the others: then
        # the order of the unsigned integers is that of the floats.
        key = ~bits[i] if bits[i] & sign else bits[i] | sign
        spare[i] = key
        at[0, key & low_digit] += 1
        at[1, (key >> shift) & low_digit] += 1
        at[2, key >> np.uint32(22)] += 1
    for digit in range(3):
        before = 0
        for value in range(2048):
            count = at[digit, value]
            at[digit, value] = before
            before += count
    for i in range(bits.size):
        key = spare[i]
        digit = key & low_digit
        result[at[0, digit]] = key
        at[0, digit] += 1
    for i in range(bits.size):
        key = result[i]
        digit = (key >> shift) & low_digit
        spare[at[1, digit]] = key
        at[1, digit] += 1
    for i in range(bits.size):
        key = spare[i]
        digit = key >> np.uint32(22)
        result[at[2, digit]] = key & low if key & sign else ~key
        at[2, digit] += 1


@njit
def block_prefix(values, weights):
    """Return the prefix sums of weights and of weights * values at each block's start; no weights: all 1."""
    n_blocks = (values.size + BLOCK - 1) // BLOCK
    weight_sums = np.zeros(n_blocks + 1)
    value_sums = np.zeros(n_blocks + 1)
    for block in range(n_blocks):
        start, stop = block * BLOCK, min((block + 1) * BLOCK, values.size)
        weight, total = _add_up(values, weights, start, stop)
        weight_sums[block + 1] = weight_sums[block] + weight
        value_sums[block + 1] = value_sums[block] + total
    return weight_sums, value_sums


@njit
def _add_up(values, weights, start, stop):
    total = 0.0
    if weights.size == 0:
        for i in range(start, stop):
            total += values[i]
        return float(stop - start), total
    weight = 0.0
    for i in range(start, stop):
        weight += weights[i]
        total += weights[i] * values[i]
    return weight, total


@njit
def interval_sums(values, weights, weight_sums, value_sums, starts):
    """Return the sums of weights and of weights * values in each interval.

    A long interval is whole blocks, from the prefix sums, and a head and a tail that are added value by
    value.
    """
    weight = np.empty(starts.size - 1)
    total = np.empty(starts.size - 1)
    for k in range(weight.size):
        first, last = starts[k] // BLOCK + 1, starts[k + 1] // BLOCK
        if last - first < 2:
            weight[k], total[k] = _add_up(values, weights, starts[k], starts[k + 1])
        else:
            head_weight, head = _add_up(values, weights, starts[k], first * BLOCK)
            tail_weight, tail = _add_up(values, weights, last * BLOCK, starts[k + 1])
            weight[k] = head_weight + (weight_sums[last] - weight_sums[first]) + tail_weight
            total[k] = head + (value_sums[last] - value_sums[first]) + tail
    return weight, total


@njit
def mean_within(total, weight, least, greatest):
    """Return the mean of an interval, clipped to it: rounding must not make the means of two cross."""
    return min(max(total / weight, float(least)), float(greatest))


@njit
def first_above(values, threshold, guess):
    """Return the number of sorted values <= threshold.

    A galloping search: steps that double lead outwards from a guess, then a binary search ends it. Between
    two iterations thresholds move little, so a few steps are enough.
    """
    low, high, step = 0, values.size, 1
    if guess > 0 and values[guess - 1] > threshold:
        high = guess - 1
        while high - step > 0 and values[high - step - 1] > threshold:
            high -= step
            step *= 2
        low = max(0, high - step)
    else:
        low = guess
        while low + step < values.size and values[low + step - 1] <= threshold:
            low += step
            step *= 2
        high = min(values.size, low + step)
    while low < high:
        middle = (low + high) // 2
        if values[middle] <= threshold:
            low = middle + 1
        else:
            high = middle
    return low


@njit
def partition(values, thresholds, starts):
    """Move the inner starts of the intervals to the thresholds, in place; return whether any moved."""
    moved = False
    for k in range(thresholds.size):
        start = first_above(values, thresholds[k], starts[k + 1])
        moved |= start != starts[k + 1]
        starts[k + 1] = start
    return moved


@njit
def lloyd(values, weights, weight_sums, value_sums, centroids, starts, max_iter):
    """Lloyd's iteration in place, until no value changes its cluster; returns the number of iterations.

    A value on a midpoint belongs to the lower cluster. Where clusters are empty, one of them per iteration
    restarts at the value that is farthest from its centroid.
    """
    n_clusters = centroids.size
    restarted = True
    for iteration in range(max_iter):
        moved = partition(values, (centroids[:-1] + centroids[1:]) / 2, starts)
        if not moved and not restarted:
            return iteration
        weight, total = interval_sums(values, weights, weight_sums, value_sums, starts)
        empty, farthest, distance = -1, 0.0, 0.0
        for k in range(n_clusters):
            if starts[k + 1] > starts[k]:
                least, greatest = values[starts[k]], values[starts[k + 1] - 1]
                centroids[k] = mean_within(total[k], weight[k], least, greatest)
                for end in (least, greatest):  # an interval's farthest value is at one of its ends
                    if abs(end - centroids[k]) > distance:
                        farthest, distance = end, abs(end - centroids[k])
            elif empty < 0:
                empty = k
        restarted = empty >= 0
        if restarted:
            centroids[empty] = farthest
            centroids.sort()
    return max_iter


@njit
def assign(values, thresholds, indices):
    """Write the number of thresholds below each value to `indices`, uint8 or uint16.

    Compares every value with every threshold. Without branches the compiler makes vector instructions of it,
    which beats a binary search for up to a few hundred thresholds.
    """
    one = indices.dtype.type(1)
    zero = indices.dtype.type(0)
    for start in range(0, values.size, _RUN):
        stop = min(start + _RUN, values.size)
        part = values[start:stop]
        out = indices[start:stop]
        out[:] = zero
        for threshold in thresholds:
            for i in range(part.size):
                out[i] += one if part[i] > threshold else zero


@njit
def interval_inertia(values, weights, starts, centroids):
    """Return the sum of weighted squared distances, added up block by block, which loses less to rounding."""
    inertia = 0.0
    for k in range(centroids.size):
        for start in range(starts[k], starts[k + 1], BLOCK):
            part = 0.0
            for i in range(start, min(start + BLOCK, starts[k + 1])):
                squared = (values[i] - centroids[k]) ** 2
                part += squared if weights.size == 0 else weights[i] * squared
            inertia += part
    return inertia


@njit
def distinct_up_to(values, limit):
    """Return the number of distinct values among sorted ones, counted up to limit + 1 at most."""
    count = min(1, values.size)
    for i in range(1, values.size):
        if values[i] != values[i - 1]:
            count += 1
            if count > limit:
                break
    return count
