"""The validation split: disjoint, complete, stratified, and the same for everyone."""

import numpy as np
import pytest

from common.data.image_set import ImageSet, train_val_split


def image_set(labels, *, n_classes=3):
    """Images whose every pixel is their number, so that they can be told apart."""
    labels = np.asarray(labels, dtype=np.int64)
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 2), np.uint8)
    return ImageSet(images, labels, tuple(map(str, range(n_classes))), "digits", "0" * 64)


def test_the_two_parts_are_disjoint_ordered_and_together_all():
    data = image_set([0, 1, 2] * 20)
    training, validation = train_val_split(data, n_validation=15)
    numbers = [part.images[:, 0, 0, 0].tolist() for part in (training, validation)]
    assert [len(part) for part in numbers] == [45, 15]
    assert sorted(numbers[0] + numbers[1]) == list(range(60))
    assert all(part == sorted(part) for part in numbers)
    for part, own in zip((training, validation), numbers, strict=True):
        assert part.labels.tolist() == data.labels[own].tolist()


@pytest.mark.parametrize("n_validation", [1, 7, 10, 29])
def test_each_class_gives_its_share_and_the_total_is_exact(n_validation):
    data = image_set([0] * 15 + [1] * 10 + [2] * 5)
    _, validation = train_val_split(data, n_validation=n_validation)
    assert len(validation) == n_validation
    counts = np.bincount(validation.labels, minlength=3)
    shares = n_validation * np.array([15, 10, 5]) / 30
    assert (np.abs(counts - shares) < 1).all()


def test_largest_remainders_win_and_the_lower_class_on_a_tie():
    # shares 1.0, 0.5 and 0.5: one image is left over, and class 1 stands before class 2
    _, validation = train_val_split(image_set([0] * 4 + [1] * 2 + [2] * 2), n_validation=2)
    assert sorted(validation.labels.tolist()) == [0, 1]


def test_the_seed_decides():
    data = image_set([0, 1, 2] * 20)
    first, again, other = (train_val_split(data, n_validation=9, seed=seed)[1] for seed in (1, 1, 2))
    assert np.array_equal(first.images, again.images)
    assert first.sha256 == again.sha256
    assert not np.array_equal(first.images, other.images)
    assert first.sha256 != other.sha256


def test_the_split_stays_the_same_for_ever():
    # Every stored accuracy was chosen on this split: a changed one would let training images judge.
    _, validation = train_val_split(image_set([0, 1, 2] * 20), n_validation=6)
    assert validation.images[:, 0, 0, 0].tolist() == [12, 23, 34, 35, 49, 57]


def test_both_parts_have_checksums_of_their_own():
    data = image_set([0, 1, 2] * 4)
    training, validation = train_val_split(data, n_validation=3)
    assert len({data.sha256, training.sha256, validation.sha256}) == 3


@pytest.mark.parametrize("n_validation", [0, -1, 12, 13])
def test_a_part_without_images_is_refused(n_validation):
    with pytest.raises(ValueError, match=f"n_validation={n_validation}: expected 1 to 11 of 12"):
        train_val_split(image_set([0, 1, 2] * 4), n_validation=n_validation)
