"""Batches from an image set that sits in memory as uint8: random crops, flips and cutouts on whole tensors.

Every batch is a function of (seed, epoch, step, rank) and of nothing else, so a resumed run sees the same
pictures as an unbroken one.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

# Of one batch in an evaluation: 41 images of 224×224, on which VGG-16's widest layer takes half a gigabyte.
ENLARGED_PIXELS = 2**21


class BatchSource:
    """Images of one split, ready to be cut into normalised batches.

    Parameters
    ----------
    images : uint8 ndarray of shape (n, channels, height, width)
    labels : int64 ndarray of shape (n,)
    mean, std : sequences of float, one a channel
        Of the training set, in [0, 1] units: batches hold (x / 255 − mean) / std.
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
        self, images: np.ndarray, labels: np.ndarray, *, mean, std, crop_padding: int = 0, flip: bool = False,
        cutout: int = 0, size: tuple[int, int] | None = None, device: torch.device | str = "cpu",
    ):  # fmt: skip
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

    def __len__(self) -> int:
        return len(self.labels)

    def plain_batches(self, batch_size: int):
        """Yield (float32 images, labels) in order, centred and unmirrored: for evaluation.

        Enlarged images come in smaller batches than asked for: at most `ENLARGED_PIXELS` each.
        """
        edge = self._crop_padding
        if self._size is not None:
            batch_size = min(batch_size, max(1, ENLARGED_PIXELS // (self._size[0] * self._size[1])))
        for start in range(0, len(self), batch_size):
            part = slice(start, start + batch_size)
            window = self._pixels[part, edge : edge + self._height, edge : edge + self._width]
            yield self._normalised(window), self.labels[part]

    def epoch_batches(
        self, batch_size: int, *, seed: int, epoch: int, first_step: int = 0, rank: int = 0, world: int = 1
    ):
        """Yield augmented (float32 images, labels) of one epoch, in a random order, whole batches only.

        With `world` processes, each global batch of `batch_size` is shared out: process `rank` yields its
        `batch_size // world` images of it.
        """
        order = torch.randperm(len(self), generator=_generator(seed, epoch)).to(self._device)
        share = batch_size // world
        for step in range(first_step, len(self) // batch_size):
            start = step * batch_size + rank * share
            chosen = order[start : start + share]
            yield self._augmented(chosen, _generator(seed, epoch, step, rank)), self.labels[chosen]

    def _augmented(self, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
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
        return self._normalised(window, self._holes(n, generator) if self._cutout else None)

    def _holes(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Where to cut: bool of shape (n, 1, height, width); at a border, less than the whole square."""
        corner = [torch.randint(side, (n, 1), generator=generator) for side in (self._height, self._width)]
        inside = [
            (torch.arange(side) - at + self._cutout // 2 + self._cutout) // self._cutout == 1
            for side, at in zip((self._height, self._width), corner, strict=True)
        ]
        return (inside[0][:, None, :, None] & inside[1][:, None, None, :]).to(self._device)

    def _normalised(self, window: torch.Tensor, holes: torch.Tensor | None = None) -> torch.Tensor:
        images = (window.permute(0, 3, 1, 2).float() - self._mean) * self._scale
        images = images if holes is None else images.masked_fill(holes, 0.0)
        return images if self._size is None else F.interpolate(images, size=self._size, mode="bilinear")


def _generator(*key: int) -> torch.Generator:
    """A CPU generator whose stream is fixed by the key, and unlike that of every other key."""
    words = np.random.SeedSequence(key).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)
