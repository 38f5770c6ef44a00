"""Batches from an image set in memory (uint8): random crops, flips and cutouts, a whole batch at a time.

Every batch depends on (seed, epoch, step, rank) alone, so a resumed run sees the same images as an
uninterrupted one.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from common.data.catalog import facts
from common.data.image_set import CROP, ImageSet

# Most pixels of an evaluation's batch: 41 images of 224×224, for which VGG-16's widest layer takes 0.5 GB.
ENLARGED_PIXELS = 2**21


class BatchSource:
    """Images of one split, ready to be cut into normalised batches.

    Parameters
    ----------
    images : uint8 ndarray of shape (n, channels, height, width)
        Pixels from 0 to 255.
    labels : int64 ndarray of shape (n,)
        Classes, from 0.
    mean, std : sequences of float, one per channel
        Of the training set, on the scale [0, 1]: batches hold (x / 255 − mean) / std.
    crop_padding : int
        Pixels of reflection added on each side, from which a random window is cut; 0 for no crop.
    flip : bool
        Mirror half of the images left to right (wrong for digits).
    cutout : int
        Side in pixels of a square, centred anywhere in the image, that is set to the mean colour (DeVries &
        Taylor 2017, "Improved regularization of convolutional neural networks with cutout"); 0 for none.
    size : (height, width), optional
        Pixels to which each batch is enlarged, bilinearly, after crop and flip; by default the images' own.
    device : torch.device or str
        Where the images are kept and the batches are made.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        mean,
        std,
        crop_padding: int = 0,
        flip: bool = False,
        cutout: int = 0,
        size: tuple[int, int] | None = None,
        device: torch.device | str = "cpu",
    ):
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        if crop_padding:
            pixels = F.pad(pixels.float(), (crop_padding,) * 4, mode="reflect").to(torch.uint8)
        # Channels last: a gathered window is then already in the layout in which convolutions run fastest.
        self._pixels = pixels.permute(0, 2, 3, 1).contiguous()
        self.labels = torch.from_numpy(np.asarray(labels, dtype=np.int64)).to(device)
        self._mean = (255.0 * torch.tensor(mean, device=device)).view(1, -1, 1, 1)
        self._scale = (1.0 / (255.0 * torch.tensor(std, device=device))).view(1, -1, 1, 1)
        self._height, self._width = images.shape[2:]
        self._crop_padding, self._flip, self._cutout = crop_padding, flip, cutout
        self._size, self._device = size, device

    @classmethod
    def of(
        cls,
        data: ImageSet,
        *,
        crop_padding: int = 0,
        flip: bool = False,
        cutout: int = 0,
        device: torch.device | str = "cpu",
    ) -> BatchSource:
        """Return a source of a set's images, with its mean and std, resized to `data.shown_size`."""
        mean, std = normalization(data.name)
        return cls(
            data.images,
            data.labels,
            mean=mean,
            std=std,
            crop_padding=crop_padding,
            flip=flip,
            cutout=cutout,
            size=data.shown_size,
            device=device,
        )

    def __len__(self) -> int:
        return len(self.labels)

    def steps(self, batch_size: int) -> int:
        """Return the number of whole batches in an epoch."""
        return len(self) // batch_size

    def plain_batches(self, batch_size: int):
        """Yield (float32 images, int64 labels) in order and without augmentation: for evaluation.

        The last batch may be smaller. Images that are enlarged come in smaller batches than asked for, of at
        most `ENLARGED_PIXELS` pixels.
        """
        edge = self._crop_padding
        if self._size is not None:
            batch_size = min(batch_size, max(1, ENLARGED_PIXELS // (self._size[0] * self._size[1])))
        for start in range(0, len(self), batch_size):
            part = slice(start, start + batch_size)
            window = self._pixels[part, edge : edge + self._height, edge : edge + self._width]
            yield self._normalised(window), self.labels[part]

    def epoch_batches(
        self,
        batch_size: int,
        *,
        seed: int,
        epoch: int,
        first_step: int = 0,
        rank: int = 0,
        world: int = 1,
        cutout: int | None = None,
    ):
        """Yield augmented (float32 images, int64 labels) of one epoch, in a random order, whole batches only.

        `first_step` skips the batches that a resumed run has seen. With `world` processes, each batch of
        `batch_size` is split: process `rank` yields its `batch_size // world` images of it. `cutout` is this
        epoch's, by default the source's.
        """
        cutout = self._cutout if cutout is None else cutout
        order = torch.randperm(len(self), generator=_generator(seed, epoch)).to(self._device)
        share = batch_size // world
        for step in range(first_step, len(self) // batch_size):
            start = step * batch_size + rank * share
            chosen = order[start : start + share]
            yield self._augmented(chosen, _generator(seed, epoch, step, rank), cutout), self.labels[chosen]

    def _augmented(self, chosen: torch.Tensor, generator: torch.Generator, cutout: int) -> torch.Tensor:
        n = len(chosen)
        if self._crop_padding:
            offsets = torch.randint(0, 2 * self._crop_padding + 1, (2, n, 1), generator=generator)
            rows = (offsets[0] + torch.arange(self._height)).to(self._device)
            columns = (offsets[1] + torch.arange(self._width)).to(self._device)
            window = self._pixels[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
        else:
            window = self._pixels[chosen]
        if self._flip:
            mirrored = (torch.rand(n, generator=generator) < 0.5).to(self._device)
            window = torch.where(mirrored.view(-1, 1, 1, 1), window.flip(2), window)
        return self._normalised(window, self._holes(n, generator, cutout) if cutout else None)

    def _holes(self, n: int, generator: torch.Generator, cutout: int) -> torch.Tensor:
        """Return what to cut out: bool of shape (n, 1, height, width); less than a square at a border."""
        corner = [torch.randint(side, (n, 1), generator=generator) for side in (self._height, self._width)]
        inside = [
            (torch.arange(side) - at + cutout // 2 + cutout) // cutout == 1
            for side, at in zip((self._height, self._width), corner, strict=True)
        ]
        return (inside[0][:, None, :, None] & inside[1][:, None, None, :]).to(self._device)

    def _normalised(self, window: torch.Tensor, holes: torch.Tensor | None = None) -> torch.Tensor:
        images = (window.permute(0, 3, 1, 2).float() - self._mean) * self._scale
        images = images if holes is None else images.masked_fill(holes, 0.0)
        return images if self._size is None else F.interpolate(images, size=self._size, mode="bilinear")


class LoaderSource:
    """Batches of a DataLoader, or of any iterable of (inputs, labels) that can be iterated more than once.

    Order, size and augmentation are the loader's own. Inputs may be a tensor of any kind, or lists and
    dictionaries of tensors. An iterator, which can be used once only, is a ValueError.
    """

    def __init__(self, loader, device: torch.device | str = "cpu"):
        if iter(loader) is loader:
            raise ValueError(
                "data is an iterator, which is empty after one epoch: give a DataLoader or a list"
            )
        self._loader, self._device = loader, device

    def __len__(self) -> int:
        dataset = getattr(self._loader, "dataset", None)
        try:
            return len(dataset) if dataset is not None else sum(len(labels) for _, labels in self._loader)
        except TypeError:  # an IterableDataset does not know
            return len(self._loader)

    def steps(self, batch_size: int) -> int:
        """Return the number of batches in an epoch; `batch_size` is not used."""
        return len(self._loader)

    def plain_batches(self, batch_size: int):
        """Yield (inputs, labels), on the device; ValueError for a batch that is not such a pair."""
        for batch in self._loader:
            if not isinstance(batch, list | tuple) or len(batch) != 2:
                raise ValueError(f"a batch is a {type(batch).__name__}: expected a pair of inputs and labels")
            yield _moved(batch[0], self._device), _moved(batch[1], self._device)

    def epoch_batches(
        self,
        batch_size: int,
        *,
        seed: int,
        epoch: int,
        first_step: int = 0,
        rank: int = 0,
        world: int = 1,
        cutout: int = 0,
    ):
        """Yield what `plain_batches` does from `first_step` on; the loader itself shuffles and augments."""
        if world > 1:
            raise ValueError("a DataLoader cannot be split over several processes: give an ImageSet")
        for step, batch in enumerate(self.plain_batches(batch_size)):
            if step >= first_step:
                yield batch


def _moved(value, device):
    """Return a tensor, or lists and dictionaries of tensors, on a device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: _moved(item, device) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_moved(item, device) for item in value)
    return value


def _generator(*key: int) -> torch.Generator:
    """Return a CPU generator whose random numbers depend on the key alone, and differ between keys."""
    words = np.random.SeedSequence(key).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)


# ----------------------------------------------------------------------------------------------------
# From stored pixels to what a network expects: per-set normalization, and ImageNet's preprocessing.

# Of ImageNet's training images, on the scale [0, 1]: what networks trained on it expect.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
RESIZE = 256


def normalization(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of a data set's training images, per channel, on the scale [0, 1].

    Parameters
    ----------
    name : str
        A data set (`catalog.CATALOG`), or ``imagenet``; what follows a slash is ignored.

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
    """Return pixels as network inputs: (x / 255 - mean) / std.

    Parameters
    ----------
    images : uint8 array or tensor of shape (n, channels, height, width)
        Pixels from 0 to 255.
    mean, std : tuple of float
        One value per channel, on the scale [0, 1].

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
    """Preprocess images as for ImageNet's tests: shorter side to 256, the central 224 x 224, mean and std.

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
        When the shape or the dtype is not that of images, or the crop does not fit.
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
    # On the CPU torch resizes uint8, as torchvision's transforms do. On a GPU it can only resize floats, and
    # the result is rounded to whole grey levels here; both differ by one level at most.
    pixels = pixels if pixels.device.type == "cpu" else pixels.float()
    resized = F.interpolate(pixels, size=size, mode="bilinear", antialias=True).round().clamp(0, 255)
    top, left = (round((length - crop) / 2) for length in size)
    window = resized[:, :, top : top + crop, left : left + crop].expand(-1, 3, -1, -1)
    return normalize(window, IMAGENET_MEAN, IMAGENET_STD)
