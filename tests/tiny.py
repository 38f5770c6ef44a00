"""Tiny networks and images for the tests that train: a whole run takes a few milliseconds."""

import numpy as np
import torch
from torch import nn

from common.data.image_set import ImageSet
from common.networks.models import prunable_parameters, vgg
from common.networks.training import TrainConfig

CONFIG = TrainConfig(epochs=3, batch_size=8, max_lr=0.05, crop_padding=1, precision="fp32")
N_STEPS = 12  # of CONFIG with image_set(): 3 epochs of 4 batches


def image_set(n: int = 35, *, side: int = 8, seed: int = 0, name: str = "digits8x8") -> ImageSet:
    """Noise around one pattern a class, three classes: a network learns it within a few steps."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    patterns = np.random.default_rng(99).integers(0, 200, (3, 1, side, side))
    images = patterns[labels] + rng.integers(0, 56, (n, 1, side, side))
    return ImageSet(images.astype(np.uint8), labels.astype(np.int64), ("a", "b", "c"), name, f"{seed:064}")


def network() -> nn.Module:
    """A VGG of two narrow convolutions, always with the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return vgg([4, "M", 4, "M", "M"], num_classes=3, in_channels=1)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of a model's whole state."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def assert_equal_weights(first, second) -> None:
    """Two states, or two sets of masks, are the same bit for bit."""
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def half_masks(model: nn.Module, *, seed: int = 0, share: float = 0.5) -> dict[str, torch.Tensor]:
    """Masks that keep about `share` of the weights, anywhere."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(weight.shape, generator=generator) < share
        for name, weight in prunable_parameters(model).items()
    }


class Killer:
    """A callback that stops the run before or after a step, as a signal would."""

    def __init__(self, step, hook):
        self.kill_at = step
        setattr(self, hook, self._hook)

    def _hook(self, model, step):
        if step == self.kill_at:
            raise KeyboardInterrupt
