"""Photographs that come inside scikit-image, by name: nothing is downloaded."""

import warnings

import numpy as np
from tqdm import TqdmWarning

NAMES = (
    *(
        "astronaut",
        "cat",
        "coffee",
        "hubble_deep_field",
        "immunohistochemistry",
        "retina",
        "rocket",
    ),  # colour
    *("brick", "camera", "cell", "clock", "coins", "grass", "gravel", "moon", "page", "text"),  # grey
)


def photograph(name: str) -> np.ndarray:
    """One of `NAMES`: uint8 of shape (height, width, 3), or (height, width) where it is grey.

    Raises
    ------
    ValueError
        Another name: scikit-image would download it.

    Examples
    --------
    >>> photograph("coffee").shape, photograph("gravel").shape
    ((400, 600, 3), (512, 512))
    """
    if name not in NAMES:
        raise ValueError(f"photograph {name!r} should be one of {', '.join(NAMES)}")
    with warnings.catch_warnings():  # it imports tqdm.auto, which warns in a kernel without ipywidgets
        warnings.simplefilter("ignore", TqdmWarning)
        from skimage import data

        return getattr(data, name)()
