"""Batches: normalised as stated, cropped and mirrored as stated, and a function of their key alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import image_set

from common.data import batches as augmentation
from common.data.batches import BatchSource, normalization

MEAN, STD = (0.25, 0.5), (0.5, 0.125)


def source(n=12, *, side=6, **options):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, 2, side, side), dtype=np.uint8)
    return images, BatchSource(images, np.arange(n), mean=MEAN, std=STD, **options)


def normalised(image):
    """The formula, pixel by pixel, in float64."""
    expected = np.empty(image.shape)
    for channel, row, column in np.ndindex(*image.shape):
        expected[channel, row, column] = (image[channel, row, column] / 255 - MEAN[channel]) / STD[channel]
    return expected


def test_plain_batches_are_the_images_in_order_normalised():
    images, batches = source(crop_padding=2, flip=True)  # neither must touch an evaluation
    parts = list(batches.plain_batches(5))
    assert [len(labels) for _, labels in parts] == [5, 5, 2]
    assert torch.cat([labels for _, labels in parts]).tolist() == list(range(12))
    pixels = torch.cat([part for part, _ in parts])
    assert pixels.dtype == torch.float32
    for image, got in zip(images, pixels, strict=True):
        np.testing.assert_allclose(got, normalised(image), atol=1e-5)


def test_an_epoch_holds_every_image_at_most_once_in_whole_batches():
    _, batches = source()
    labels = [labels.tolist() for _, labels in batches.epoch_batches(5, seed=0, epoch=0)]
    assert [len(part) for part in labels] == [5, 5]
    flat = [label for part in labels for label in part]
    assert len(set(flat)) == 10
    assert flat != sorted(flat)


def test_without_crop_and_flip_an_epoch_shows_the_images_themselves():
    images, batches = source()
    for pixels, labels in batches.epoch_batches(4, seed=1, epoch=2):
        for got, label in zip(pixels, labels, strict=True):
            np.testing.assert_allclose(got, normalised(images[label]), atol=1e-5)


@pytest.mark.parametrize("flip", [False, True])
def test_a_crop_is_a_window_of_the_reflected_image_mirrored_or_not(flip):
    images, batches = source(n=40, crop_padding=2, flip=flip)
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="reflect")
    seen = set()
    for pixels, labels in batches.epoch_batches(20, seed=0, epoch=0):
        for got, label in zip(pixels.numpy(), labels, strict=True):
            windows = {
                (row, column, mirrored): padded[label, :, row : row + 6, column : column + 6][:, :, ::step]
                for row in range(5)
                for column in range(5)
                for mirrored, step in ((False, 1), (True, -1))
            }
            (found,) = (key for key, part in windows.items() if np.allclose(normalised(part), got, atol=1e-4))
            seen.add(found)
    assert {row for row, _, _ in seen} == {column for _, column, _ in seen} == set(range(5))
    assert {mirrored for _, _, mirrored in seen} == ({False, True} if flip else {False})


def test_batches_are_a_function_of_seed_epoch_and_step():
    _, batches = source(crop_padding=1, flip=True)

    def epoch(**key):
        parts = list(batches.epoch_batches(3, **{"seed": 0, "epoch": 0} | key))
        return torch.cat([pixels for pixels, _ in parts]), torch.cat([labels for _, labels in parts])

    pixels, labels = epoch()
    torch.rand(7)  # the global generator has no say
    assert torch.equal(epoch()[0], pixels)
    assert torch.equal(epoch(first_step=2)[0], pixels[6:])
    assert torch.equal(epoch(first_step=2)[1], labels[6:])
    assert not torch.equal(epoch(epoch=1)[1], labels)
    assert not torch.equal(epoch(seed=1)[1], labels)


def test_processes_share_out_each_batch():
    _, batches = source()
    whole = [labels.tolist() for _, labels in batches.epoch_batches(6, seed=0, epoch=0)]
    shares = [
        [labels.tolist() for _, labels in batches.epoch_batches(6, seed=0, epoch=0, rank=rank, world=3)]
        for rank in range(3)
    ]
    joined = [[label for part in parts for label in part] for parts in zip(*shares, strict=True)]
    assert joined == whole


def test_equal_images_get_crops_of_their_own():
    images = np.broadcast_to(np.arange(36, dtype=np.uint8).reshape(1, 1, 6, 6), (16, 1, 6, 6))
    batches = BatchSource(images, np.zeros(16), mean=(0.0,), std=(1.0,), crop_padding=2)
    pixels, _ = next(batches.epoch_batches(16, seed=0, epoch=0))
    assert len({tuple(image.flatten().tolist()) for image in pixels}) > 4


def enlarged(image, height, width):
    """Bilinear interpolation between pixel centres, by its formula, in float64."""
    rows, columns = image.shape[1:]
    result = np.empty((len(image), height, width))
    for row, column in np.ndindex(height, width):
        y = min(max((row + 0.5) * rows / height - 0.5, 0), rows - 1)
        x = min(max((column + 0.5) * columns / width - 0.5, 0), columns - 1)
        top, left = int(y), int(x)
        bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
        above = (1 - (x - left)) * image[:, top, left] + (x - left) * image[:, top, right]
        below = (1 - (x - left)) * image[:, bottom, left] + (x - left) * image[:, bottom, right]
        result[:, row, column] = (1 - (y - top)) * above + (y - top) * below
    return result


def test_enlarged_images_are_the_small_ones_interpolated():
    images, batches = source(n=8, size=(15, 12))
    parts = [pixels for pixels, _ in batches.plain_batches(3)]
    assert [tuple(part.shape) for part in parts] == [(3, 2, 15, 12), (3, 2, 15, 12), (2, 2, 15, 12)]
    for image, got in zip(images, torch.cat(parts), strict=True):
        np.testing.assert_allclose(got, enlarged(normalised(image), 15, 12), atol=1e-4)


def test_images_are_cropped_and_mirrored_before_they_are_enlarged():
    options = {"n": 8, "crop_padding": 2, "flip": True}
    small, large = (source(**options, size=size)[1] for size in (None, (12, 12)))
    key = {"seed": 3, "epoch": 1}
    for (pixels, labels), (got, same) in zip(
        small.epoch_batches(4, **key), large.epoch_batches(4, **key), strict=True
    ):
        assert torch.equal(labels, same)
        for image, result in zip(pixels.double().numpy(), got, strict=True):
            np.testing.assert_allclose(result, enlarged(image, 12, 12), atol=1e-4)


def test_an_evaluation_on_enlarged_images_takes_bounded_batches(monkeypatch):
    monkeypatch.setattr(augmentation, "ENLARGED_PIXELS", 300)
    for size, expected in (((10, 10), [3, 3, 2]), ((20, 20), [1] * 8), (None, [8])):
        _, batches = source(n=8, size=size)
        assert [len(labels) for _, labels in batches.plain_batches(500)] == expected


def test_cutout_sets_one_square_to_the_mean_and_leaves_the_rest():
    images = np.full((64, 3, 32, 32), 200, np.uint8)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.2, 0.2)
    source = BatchSource(images, np.zeros(64, np.int64), mean=mean, std=std, cutout=8)
    (batch, _), *_ = source.epoch_batches(64, seed=0, epoch=0)
    holes = (batch == 0).all(1)
    assert torch.equal(holes, (batch == 0).any(1)), "a hole goes through all channels"
    for hole in holes:
        rows, columns = hole.any(1), hole.any(0)
        assert torch.equal(hole, rows[:, None] & columns), "a rectangle"
        for side in (rows, columns):
            ones = side.nonzero().ravel()
            assert len(ones) == ones[-1] - ones[0] + 1 <= 8
            assert len(ones) == 8 or ones[0] == 0 or ones[-1] == 31, "whole, or cut by the border"
            assert len(ones) >= 4
    assert holes.sum((1, 2)).float().mean() > 45, "most lie wholly inside"


def test_cutout_is_the_same_at_every_run():
    images = np.random.default_rng(0).integers(0, 255, (32, 3, 32, 32), dtype=np.uint8)
    options = {"mean": (0.5,) * 3, "std": (0.2,) * 3, "cutout": 6}
    sources = [BatchSource(images, np.zeros(32, np.int64), **options) for _ in range(2)]
    (first, _), (again, _) = (next(source.epoch_batches(32, seed=3, epoch=1)) for source in sources)
    assert torch.equal(first, again)


def test_the_batches_of_a_set_are_normalised_and_enlarged_as_the_set_says():
    data = replace(image_set(6, side=4), shown_size=(8, 8))
    (images, labels), *_ = BatchSource.of(data).plain_batches(6)
    mean, std = normalization(data.name)
    small = (torch.from_numpy(data.images).float() / 255 - mean[0]) / std[0]
    expected = torch.nn.functional.interpolate(small, size=(8, 8), mode="bilinear")
    torch.testing.assert_close(images, expected, rtol=1e-5, atol=1e-5)
    assert labels.tolist() == data.labels.tolist()
    (augmented, _), *_ = BatchSource.of(data, crop_padding=1, flip=True).epoch_batches(6, seed=0, epoch=0)
    assert augmented.shape == images.shape
