"""From stored pixels to what a network expects: per-set normalization, and ImageNet's preprocessing."""

import numpy as np
import torch
import torch.nn.functional as F

from common.catalog import facts

# Of ImageNet's training images, on the scale [0, 1]: what networks trained on it expect.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
RESIZE = 256
CROP = 224


def normalization(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of a data set's training images, one a channel, on the scale [0, 1].

    Parameters
    ----------
    name : str
        A data set (`catalog.CATALOG`), or ``imagenet``.

    Examples
    --------
    >>> normalization("imagenet")
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    """
    if name == "imagenet":
        return IMAGENET_MEAN, IMAGENET_STD
    known = facts(name.split("/")[0])
    return known.mean, known.std


def normalize(
    images: np.ndarray | torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]
) -> torch.Tensor:
    """Pixels to network inputs: (x / 255 - mean) / std.

    Parameters
    ----------
    images : uint8 array or tensor of shape (n, channels, height, width)
    mean, std : one value a channel, on the scale [0, 1]

    Returns
    -------
    float32 tensor of the same shape
    """
    pixels = torch.as_tensor(images).float()
    shape = (1, -1, 1, 1)
    offset = 255 * torch.tensor(mean, device=pixels.device).view(shape)
    return (pixels - offset) / (255 * torch.tensor(std, device=pixels.device).view(shape))


def imagenet_preprocess(
    images: np.ndarray | torch.Tensor, *, resize: int = RESIZE, crop: int = CROP
) -> torch.Tensor:
    """ImageNet's test-time preprocessing: shorter side to 256, the central 224 x 224, mean and std.

    This is what torchvision's pretrained AlexNet and VGG-16 expect (Krizhevsky et al. 2012, section 2, with
    the later convention of bilinear, antialiased resizing).

    Parameters
    ----------
    images : uint8 array or tensor of shape (n, 3, height, width), or (n, 1, height, width) for grey
        One batch: an output image takes 600 kB.
    resize : int
        Length of the shorter side before the crop, in pixels.
    crop : int, at most `resize`
        Side of the central square that is kept, in pixels.

    Returns
    -------
    float32 tensor of shape (n, 3, crop, crop)

    Raises
    ------
    ValueError
        If the shape is not that of images, or the crop does not fit.
    """
    pixels = torch.as_tensor(images)
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3):
        raise ValueError(f"images have shape {tuple(pixels.shape)}, expected (n, 3 or 1, height, width)")
    if pixels.dtype != torch.uint8:
        raise ValueError(f"images are {pixels.dtype}, expected uint8 in [0, 255]; convert them first")
    if not 1 <= crop <= resize:
        raise ValueError(f"crop={crop} should be from 1 to resize={resize}")
    height, width = pixels.shape[2:]
    shorter = min(height, width)
    size = (int(resize * height / shorter), int(resize * width / shorter))
    # On the CPU torch resizes bytes, as torchvision's transforms do; on a GPU it knows only floats, which are
    # rounded to whole grey levels here: one level apart at most.
    pixels = pixels if pixels.device.type == "cpu" else pixels.float()
    resized = F.interpolate(pixels, size=size, mode="bilinear", antialias=True).round().clamp(0, 255)
    top, left = (round((length - crop) / 2) for length in size)
    window = resized[:, :, top : top + crop, left : left + crop].expand(-1, 3, -1, -1)
    return normalize(window, IMAGENET_MEAN, IMAGENET_STD)
