"""Week 1, lecture 2: right answers in several forms, and the usual mistakes with a word of their hint."""

import cv2
import numpy as np
from scipy import ndimage, signal

MODES = {"reflect": "mirror", "constant": "constant", "edge": "nearest"}  # NumPy's names and SciPy's
BORDERS = {"reflect": cv2.BORDER_REFLECT_101, "constant": cv2.BORDER_CONSTANT, "edge": cv2.BORDER_REPLICATE}
EIGHT = np.ones((3, 3))


def by_windows(picture, kernel, border="reflect"):
    up, left = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = np.pad(picture.astype(np.float32), ((up, up), (left, left)), mode=border)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape)
    return (windows * kernel.astype(np.float32)).sum(axis=(2, 3))


def by_signal(picture, kernel, border="reflect"):
    up, left = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = np.pad(picture.astype(float), ((up, up), (left, left)), mode=border)
    return signal.correlate2d(padded, kernel, mode="valid")


def correlation(*, turn=False, add=True, shift=True, weigh=True, mean=False, swap=False):
    def answer(picture, kernel, border="reflect"):
        (height, width), (n_rows, n_columns) = picture.shape, kernel.shape
        used = kernel[::-1, ::-1] if turn else kernel
        up, left = n_rows // 2, n_columns // 2
        padded = np.pad(picture.astype(np.float64), ((up, up), (left, left)), mode=border)
        result = np.zeros(picture.shape)
        for i in range(n_rows):
            for j in range(n_columns):
                y, x = (j, i) if swap and n_rows == n_columns else (i, j)
                part = padded[y : y + height, x : x + width] if shift else padded[:height, :width]
                part = part * (used[i, j] if weigh else 1)
                result = result + part if add else part
        return result / kernel.size if mean else result

    return answer


CORRELATE = {
    "The kernel is rotated by 180°": correlation(turn=True),
    "Only the last entry's product": correlation(add=False),
    "Every entry meets the same pixels": correlation(shift=False),
    "entries are left out": correlation(weigh=False),
    "a mean over the window": correlation(mean=True),
    "Rows and columns are exchanged": correlation(swap=True),
    "has shape": lambda picture, kernel, border="reflect": signal.correlate2d(picture, kernel, mode="full"),
}


def dilated(found, allowed, *, footprint=EIGHT):
    return allowed & ndimage.binary_dilation(found, footprint)


def until_nothing_changes(found, allowed):
    return ndimage.binary_propagation(found, EIGHT, mask=allowed)


GROW = {
    "more than the allowed": lambda found, allowed: ndimage.binary_dilation(found, EIGHT),
    "Diagonal neighbours count": lambda found, allowed: allowed & ndimage.binary_dilation(found),
    "What was found before is lost": lambda found, allowed: (
        allowed & ndimage.binary_dilation(found, EIGHT) & ~found
    ),
    "Nothing grew": lambda found, allowed: found & allowed,
    "touching or not": lambda found, allowed: found | allowed,
    "until nothing changed": until_nothing_changes,
    "Truth values are expected": lambda found, allowed: 255 * dilated(found, allowed).astype(np.uint8),
    "not of truth values": lambda found, allowed: dilated(found, allowed).astype(np.uint8),
}


def with_add_at(edges):
    reach = sum(edges.shape)
    votes = np.zeros((2 * reach + 1, 180), dtype=int)
    for y, x in np.argwhere(edges):
        angles = np.radians(np.arange(180))
        rho = np.rint(x * np.cos(angles) + y * np.sin(angles)).astype(int)
        np.add.at(votes, (rho + reach, np.arange(180)), 1)
    return votes


def voting(*, count=None, rounded=np.rint, swap=False, offset=0, single=False, degrees=False):
    def answer(edges):
        y, x = np.nonzero(edges)
        x, y = (y, x) if swap else (x, y)
        if single:
            x, y = x.astype(np.float32), y.astype(np.float32)
        reach = sum(edges.shape)
        votes = np.zeros((2 * reach + 1, 180), dtype=int)
        for theta in range(180):
            angle = np.float32(np.radians(theta)) if single else np.radians(theta)
            angle = theta if degrees else angle
            rows = rounded(x * np.cos(angle) + y * np.sin(angle)).astype(int) + reach + offset
            if count == "once":
                votes[rows, theta] += 1
            else:
                votes[:, theta] = np.bincount(rows, minlength=len(votes))
        return votes

    return answer


def without_length(edges):
    y, x = np.nonzero(edges)
    reach = sum(edges.shape)
    votes = np.zeros((2 * reach + 1, 180), dtype=int)
    for theta in range(180):
        angle = np.radians(theta)
        votes[:, theta] = np.bincount(np.rint(x * np.cos(angle) + y * np.sin(angle)).astype(int) + reach)
    return votes


def without_offset(edges):
    y, x = np.nonzero(edges)
    reach = sum(edges.shape)
    votes = np.zeros((2 * reach + 1, 180), dtype=int)
    for theta in range(180):
        angle = np.radians(theta)
        rho = np.rint(x * np.cos(angle) + y * np.sin(angle)).astype(int)
        votes[:, theta] = np.bincount(rho, minlength=len(votes))
    return votes


HOUGH = {
    "counts a row once": voting(count="once"),
    "x and y are exchanged": voting(swap=True),
    "astype alone cuts off": voting(rounded=np.trunc),
    "add `reach` before you count": without_offset,
    "`minlength` makes it that long": without_length,
    "want `angle`, in radians": voting(degrees=True),
    "The row of ρ is R + ρ": voting(offset=1),
    "its sign counts": voting(rounded=lambda rho: np.abs(np.rint(rho))),
}
RIGHT = {
    "correlate": [
        by_windows,
        by_signal,
        lambda p, k, border="reflect": cv2.filter2D(
            p.astype(np.float32), -1, k.astype(np.float32), borderType=BORDERS[border]
        ),
        lambda p, k, border="reflect": ndimage.correlate(p.astype(float), k, mode=MODES[border]).tolist(),
    ],
    "grow": [
        dilated,
        lambda found, allowed: allowed & (cv2.dilate(found.astype(np.uint8), EIGHT) > 0),
        lambda found, allowed: allowed & (ndimage.maximum_filter(found, 3)),
        lambda found, allowed: np.minimum(
            allowed, ndimage.convolve(found.astype(int), EIGHT, mode="constant") > 0
        ),
    ],
    "hough_lines": [with_add_at, voting(single=True), lambda edges: voting()(edges).tolist()],
}
MISTAKES = {"correlate": CORRELATE, "grow": GROW, "hough_lines": HOUGH}
