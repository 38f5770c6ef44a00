"""Preprocessing equals torchvision's, and the tables equal what the images say."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from common.data.batches import imagenet_preprocess, normalization, normalize
from common.data.catalog import CATALOG
from common.data.datasets import load_dataset


@pytest.fixture
def photograph():
    """A real picture, 451 x 300, channels first."""
    from skimage.data import chelsea

    return np.ascontiguousarray(chelsea().transpose(2, 0, 1))


@pytest.mark.parametrize("portrait", [False, True])
def test_imagenet_preprocessing_is_torchvisions(photograph, portrait):
    image = torch.from_numpy(photograph.swapaxes(1, 2).copy() if portrait else photograph)
    theirs = v2.Compose(
        [
            v2.Resize(256, antialias=True),
            v2.CenterCrop(224),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )(image)
    ours = imagenet_preprocess(image[None])[0]
    assert ours.shape == (3, 224, 224)
    assert ours.dtype == torch.float32
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_small_images_are_enlarged_and_grey_becomes_three_channels():
    grey = np.full((2, 1, 32, 32), 128, np.uint8)
    out = imagenet_preprocess(grey)
    assert out.shape == (2, 3, 224, 224)
    mean, std = normalization("imagenet")
    for channel in range(3):
        assert torch.allclose(out[:, channel], torch.tensor((128 / 255 - mean[channel]) / std[channel]))


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (np.zeros((3, 32, 32), np.uint8), {}, r"shape \(3, 32, 32\), expected \(n, 3 or 1"),
        (np.zeros((1, 4, 32, 32), np.uint8), {}, r"shape \(1, 4, 32, 32\)"),
        (np.zeros((1, 3, 32, 32), np.float32), {}, "float32, expected uint8"),
        (np.zeros((1, 3, 32, 32), np.uint8), {"crop": 300}, "crop=300 should be from 1 to resize=256"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(images, options, message):
    with pytest.raises(ValueError, match=message):
        imagenet_preprocess(images, **options)


def test_normalize_is_the_formula():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 3, 4, 4), np.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    ours = normalize(images, mean, std).numpy()
    for n, c, y, x in np.ndindex(images.shape):
        assert ours[n, c, y, x] == pytest.approx((images[n, c, y, x] / 255 - mean[c]) / std[c], abs=1e-5)


def test_normalization_knows_every_set():
    for name, known in CATALOG.items():
        mean, std = normalization(name)
        assert len(mean) == len(std) == known.image_shape[0]
    with pytest.raises(ValueError, match="name='svhn' is not a data set; expected one of cifar10"):
        normalization("svhn")


@pytest.mark.parametrize("name", CATALOG)
def test_mean_and_std_are_those_of_the_training_images(name):
    try:
        images = load_dataset(name, "train").images
    except FileNotFoundError:
        pytest.skip(f"{name} is not on this machine")
    mean, std = normalization(name)
    for channel in range(images.shape[1]):
        counts = np.bincount(images[:, channel].ravel(), minlength=256)
        levels = np.arange(256) / 255
        expected = (counts * levels).sum() / counts.sum()
        assert mean[channel] == pytest.approx(expected, abs=1e-6)
        variance = (counts * (levels - expected) ** 2).sum() / counts.sum()
        assert std[channel] == pytest.approx(np.sqrt(variance), abs=1e-6)
