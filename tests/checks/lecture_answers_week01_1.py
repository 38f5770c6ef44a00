"""Week 1, lecture 1: right answers in several forms, and the usual mistakes with a word of their hint."""

import cv2
import numpy as np
from scipy import ndimage

SQUARE = np.ones((3, 3), dtype=np.uint8)


def with_opencv(picture, amount):
    return cv2.add(picture, np.float64(amount)) if amount >= 0 else cv2.subtract(picture, np.float64(-amount))


def with_loops(picture, amount):
    result = np.zeros_like(picture)
    for place, value in np.ndenumerate(picture):
        result[place] = min(255, max(0, int(value) + amount))
    return result


BRIGHTEN = {
    "It wraps around": lambda p, a: (p.astype(int) + a).astype(np.uint8),
    "nothing fits into a byte": lambda p, a: p.astype(np.int16) + a,
    "Clipped at 255 only": lambda p, a: np.minimum(p.astype(np.int16) + a, 255),
    "keeps no old value": lambda p, a: np.where(
        (p.astype(int) + a > 255) | (p.astype(int) + a < 0), p, p.astype(int) + a
    ),
    "makes them bytes again": lambda p, a: np.clip(p.astype(float) + a, 0, 255),
}


def dilated(mask):
    return ndimage.binary_dilation(mask, SQUARE)


ERODE = {
    "That is a dilation": dilated,
    "The rim is eaten": lambda mask: ndimage.binary_erosion(mask, SQUARE),
    "diagonal neighbours count": lambda mask: ndimage.binary_erosion(mask, border_value=1),
    "invert the result as well": lambda mask: dilated(~mask),
    "*before* the dilation": lambda mask: ~dilated(mask),
    "Nothing was removed": lambda mask: mask.copy(),
    "not of truth values": lambda mask: ndimage.binary_erosion(mask, SQUARE, border_value=1).astype(np.uint8),
}


def otsu(*, squared=True, weighed=True, whole=False, start=True, own=True, upto=1, levels=True):
    def answer(counts, t):
        place = np.arange(len(counts))
        low, high = counts[: t + upto], counts[t + upto :]
        total = 1 if whole else counts.sum()
        w0, w1 = low.sum() / total, high.sum() / total
        above = place[t + upto :] if start else np.arange(len(high))
        below = place[: t + upto]
        n0, n1 = (low.sum(), high.sum()) if own else (counts.sum(), counts.sum())
        m0, m1 = (low @ below / n0, high @ above / n1) if levels else (low.mean(), high.mean())
        return (w0 * w1 if weighed else 1) * ((m0 - m1) ** 2 if squared else m0 - m1)

    return answer


def by_within(counts, t):
    values = np.repeat(np.arange(len(counts)), counts).astype(np.float32)
    low, high = values[values <= t], values[values > t]
    return values.var() - (low.size * low.var() + high.size * high.var()) / values.size


OTSU = {
    "The square is missing": otsu(squared=False),
    "The two shares are missing": otsu(weighed=False),
    "divide by the number of all pixels": otsu(whole=True),
    "mean of the *levels*": otsu(levels=False),
    "begin at t + 1": otsu(start=False),
    "its own pixels": otsu(own=False),
    "belongs to the lower class": otsu(upto=0),
}
RIGHT = {
    "brighten": [with_opencv, with_loops, lambda p, a: np.uint8(np.clip(p.astype(np.float32) + a, 0, 255))],
    "erode": [
        lambda mask: cv2.erode(mask.astype(np.uint8), SQUARE) > 0,
        lambda mask: ~dilated(~mask),
        lambda mask: ndimage.binary_erosion(mask, SQUARE, border_value=1).tolist(),
    ],
    "between_variance": [otsu(), by_within],
}
MISTAKES = {"brighten": BRIGHTEN, "erode": ERODE, "between_variance": OTSU}
