"""Week 4, lecture 1: right answers in several forms, and the usual mistakes with a word of their hint."""

import math

import numpy as np
from scipy.spatial.distance import cdist

from common.checks.lectures import week04_1 as checks


def squared(points, centroids):
    return cdist(points, centroids, "sqeuclidean")


def left(nearest, points, candidates):
    return [
        [min(near, ((point - candidate) ** 2).sum()) for near, point in zip(nearest, points, strict=True)]
        for candidate in candidates
    ]


RIGHT = {
    "assign": [
        checks.assign.own,
        lambda points, centroids: squared(points, centroids).argmin(axis=1).astype(np.uint8),
        lambda points, centroids: [int(((centroids - p) ** 2).sum(axis=1).argmin()) for p in points],
    ],
    "what_is_left": [
        checks.what_is_left.own,
        left,
        lambda nearest, points, candidates: np.float32(left(nearest, points, candidates)),
    ],
    "palette_bits": [
        checks.palette_bits.own,
        lambda n, k: n * (k - 1).bit_length() + 24 * k,
        lambda n, k: np.float32(n * math.ceil(math.log2(k)) + 24 * k),
    ],
}
LABELS = {
    "the farthest": lambda p, c: squared(p, c).argmax(axis=1),
    "The distances themselves": squared,
    "the nearest distance": lambda p, c: squared(p, c).min(axis=1),
    "the nearest point of every centroid": lambda p, c: squared(p, c).argmin(axis=0),
    "square them": lambda p, c: (p[:, None] - c).sum(axis=2).argmin(axis=1),
    "the lower number wins": lambda p, c: len(c) - 1 - squared(p, c)[:, ::-1].argmin(axis=1),
}
LEFT = {
    "The centroids so far count": lambda nearest, p, c: squared(c, p),
    "The nearer one counts": lambda nearest, p, c: np.maximum(nearest, squared(c, p)),
    "the new distances have to be squared": lambda nearest, p, c: np.minimum(nearest, cdist(c, p)),
    "One row per candidate": lambda nearest, p, c: np.minimum(nearest[:, None], squared(p, c)),
    "The sum over the points comes later": lambda n, p, c: np.minimum(n, squared(c, p)).sum(axis=1),
    "Sum the squares over the axes": lambda n, p, c: np.minimum(n, (c[:, None] - p).sum(axis=2) ** 2),
}
BITS = {
    "The palette has to be stored": lambda n, k: n * math.ceil(math.log2(k)),
    "round up.": lambda n, k: n * math.log2(k) + 24 * k,
    "not down": lambda n, k: n * math.floor(math.log2(k)) + 24 * k,
    "one too many": lambda n, k: n * k.bit_length() + 24 * k,
    "A colour of the palette has 24 bits": lambda n, k: n * math.ceil(math.log2(k)) + 8 * k,
    "not 24": lambda n, k: 24 * n + 24 * k,
    "That is in bytes": lambda n, k: (n * math.ceil(math.log2(k)) + 24 * k) / 8,
}
MISTAKES = {"assign": LABELS, "what_is_left": LEFT, "palette_bits": BITS}
