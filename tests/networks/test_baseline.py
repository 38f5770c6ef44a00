"""The data set follows the class count, and what changes weights refuses another."""

import pytest

from common.compress.files import training_sets
from common.data.datasets import load_dataset
from common.data.image_set import fit_images
from common.networks.baseline import DATASETS, dataset_for


@pytest.mark.parametrize("network", DATASETS)
def test_ten_classes_are_the_networks_own_set(network):
    assert dataset_for({"architecture": network, "num_classes": 10}) == DATASETS[network]


@pytest.mark.parametrize("network", ["vgg16", "alexnet", "vgg16_imagenet"])
def test_a_hundred_classes_are_cifar100(network):
    assert dataset_for({"architecture": network, "num_classes": 100}) == "cifar100"


def test_no_set_of_so_many_classes_is_told_with_those_there_are():
    with pytest.raises(ValueError, match=r"7 classes, and no data set has: cifar10 \(10\), cifar100"):
        dataset_for({"architecture": "vgg16", "num_classes": 7})


@pytest.mark.parametrize("n_classes", [7, 11, 100])
def test_images_of_another_class_count_are_refused(n_classes):
    digits = load_dataset("digits", "test")
    with pytest.raises(
        ValueError, match=f"the network has {n_classes} classes, digits has 10: choose another set"
    ):
        fit_images(digits, (1, 28, 28), n_classes=n_classes)
    with pytest.raises(
        ValueError, match=f"the network has {n_classes} classes, digits has 10: choose another set"
    ):
        training_sets("digits", {"architecture": "lenet_5", "num_classes": n_classes})
