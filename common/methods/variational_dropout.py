"""Sparse variational dropout: every weight learns its own noise, and what is mostly noise is left out.

    model = to_variational(build("lenet_300_100"))
    objective = VariationalObjective(model, n_images=len(data), warmup_steps=4000)
    train(model, data, config, objective=objective, callbacks=[objective])
    network, masks = to_plain(model)                    # exact zeros where log α >= 3

Molchanov, Ashukha, Vetrov 2017, "Variational Dropout Sparsifies Deep Neural Networks", arXiv:1701.05369. A
weight is a Gaussian N(θ, σ²) with σ² = αθ²; θ and log σ² are learnt (section 4.2: with such additive noise
the gradients have little variance where α is large). The prior p(log|w|) ∝ const has no hyperparameter and
favours large α. A weight whose noise variance σ² is e³ ≈ 20 times θ² carries hardly any information, and is
set to zero. The loss per image is

    cross-entropy + weight · KL(q ‖ prior) / n_images

where q is the distribution of all weights. Each layer draws the noise of its outputs, not of its weights
(local reparameterization: Kingma, Salimans, Welling 2015, arXiv:1506.02557): a sum of independent Gaussians
is a Gaussian with the summed variance.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.pruning.masks import Masks

THRESHOLD = 3.0  # of log α: from here on a weight is left out (section 4.3 of the paper)
K1, K2, K3 = 0.63576, 1.87320, 1.48695  # of the paper's equation 14
_TINY = 1e-16  # added to θ² before its logarithm is taken: a weight of exactly 0 has a gradient


def kl_divergence(log_alpha: Tensor) -> Tensor:
    """KL divergence of N(θ, αθ²) from the log-uniform prior, up to a constant: 0 nats where α is infinite.

    The paper's equation 14 with its sign flipped, k1 (1 − σ(k2 + k3 log α)) + ½ log(1 + 1/α), where σ is the
    sigmoid: an approximation, within 0.0094 of the exact value for every α (the paper says 0.009; its
    constant k1 stands for (γ + ln 2)/2 = 0.63518). It falls as α grows, so it pushes every weight towards
    more noise.

    Parameters
    ----------
    log_alpha : float tensor of any shape
        Natural logarithm of α.

    Returns
    -------
    Tensor
        Of the same shape, one divergence per weight, in nats.
    """
    return K1 * torch.sigmoid(-(K2 + K3 * log_alpha)) + 0.5 * F.softplus(-log_alpha)


class Noise:
    """Standard normal noise that depends on (seed, step) alone, so that a resumed run draws the same.

    All layers of a network share one such object.
    """

    def __init__(self, seed: int = 0, step: int = 0) -> None:
        self._generators: dict[torch.device, torch.Generator] = {}
        self.rewind(seed, step)

    def rewind(self, seed: int, step: int) -> None:
        """Start the noise of the given step from its beginning."""
        self._words = int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0] >> 1)
        for generator in self._generators.values():
            generator.manual_seed(self._words)

    def like(self, value: Tensor) -> Tensor:
        """Noise of the shape, dtype, device and memory layout of `value`."""
        if value.device not in self._generators:
            self._generators[value.device] = torch.Generator(value.device).manual_seed(self._words)
        options = {"generator": self._generators[value.device], "device": value.device}
        if value.ndim != 4:
            return torch.randn(value.shape, **options).to(value.dtype)
        n, channels, height, width = value.shape  # drawn in the channels-last order of the layers' outputs
        return torch.randn(n, height, width, channels, **options).to(value.dtype).permute(0, 3, 1, 2)

    def __deepcopy__(self, memo: dict) -> Noise:
        # torch's generators cannot be copied: the copy makes its own, from the same seed and step.
        twin = Noise.__new__(Noise)
        twin._generators, twin._words = {}, self._words
        return twin


class _Variational:
    """What noisy linear layers and convolutions have in common; ``weight`` is the mean θ."""

    def _become(self, log_sigma2: float, threshold: float, noise: Noise) -> None:
        self.log_sigma2 = nn.Parameter(torch.full_like(self.weight, log_sigma2))
        self.threshold, self.noise = threshold, noise

    def log_alpha(self) -> Tensor:
        """log σ² − log θ², of the weight's shape."""
        return self.log_sigma2 - torch.log(self.weight.square() + _TINY)

    @torch.no_grad()
    def mask(self) -> Tensor:
        """Which weights are kept: bool, True where log α is below the threshold."""
        return self.log_alpha() < self.threshold

    def forward(self, images: Tensor) -> Tensor:
        """In training, with noise; in evaluation, with the means of the kept weights and without noise."""
        if not self.training:
            return self._outputs(images, self.weight * self.mask(), self.bias)
        mean = self._outputs(images, self.weight, self.bias)
        variance = self._outputs(images.square(), self.log_sigma2.exp(), None)
        # Rounding may leave a variance just below 0, and the root's gradient is infinite at 0: hence + 1e-8.
        return torch.addcmul(mean, torch.sqrt(F.relu(variance) + 1e-8), self.noise.like(mean))


class VariationalLinear(_Variational, nn.Linear):
    """A linear layer with noisy weights."""

    def _outputs(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(images, weight, bias)


class VariationalConv2d(_Variational, nn.Conv2d):
    """A convolution with noisy weights."""

    def _outputs(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return self._conv_forward(images, weight, bias)


_TWINS = {nn.Linear: VariationalLinear, nn.Conv2d: VariationalConv2d}


def to_variational(
    model: nn.Module, *, log_sigma2: float = -10.0, threshold: float = THRESHOLD, seed: int = 0
) -> nn.Module:
    """A copy of a network with noise on every weight of its linear layers and convolutions.

    Parameters
    ----------
    model : nn.Module
        Trained, or with its random start.
    log_sigma2 : float
        log σ² of every weight at the start: the paper's -10 is a standard deviation of 0.007.
    threshold : float
        Value of log α from which on a weight is left out.
    seed : int
        Of the noise.

    Returns
    -------
    nn.Module
        Its layers are still ``nn.Linear`` and ``nn.Conv2d``; each has one more parameter, ``log_sigma2`` of
        the weight's shape.
    """
    twin, noise = copy.deepcopy(model), Noise(seed)
    for module in twin.modules():
        if type(module) in _TWINS:
            module.__class__ = _TWINS[type(module)]  # in place: weights, hooks and options stay as they are
            module._become(log_sigma2, threshold, noise)
    return twin


def to_plain(model: nn.Module, *, threshold: float | None = None) -> tuple[nn.Module, Masks]:
    """The network that is left: means without noise, exactly 0 where left out.

    Parameters
    ----------
    model : nn.Module
        From `to_variational`.
    threshold : float, optional
        Value of log α from which on a weight is left out; by default the layers' own.

    Returns
    -------
    model : nn.Module
        A plain copy, of the architecture that `to_variational` was given.
    masks : Masks
        By weight name; True where kept.
    """
    twin, masks = copy.deepcopy(model), {}
    plain = {variational: kind for kind, variational in _TWINS.items()}
    for name, layer in variational_layers(twin).items():
        layer.threshold = layer.threshold if threshold is None else threshold
        mask = layer.mask()
        layer.weight.data.masked_fill_(~mask, 0.0)
        del layer.log_sigma2, layer.threshold, layer.noise
        layer.__class__ = plain[type(layer)]
        masks[f"{name}.weight"] = mask
    return twin, masks


def variational_layers(model: nn.Module) -> dict[str, VariationalLinear | VariationalConv2d]:
    """The layers with noise, by name, in the order in which data meets them."""
    return {name: module for name, module in model.named_modules() if isinstance(module, _Variational)}


def total_kl(model: nn.Module) -> Tensor:
    """Sum of `kl_divergence` over all weights, a scalar in nats."""
    return sum(kl_divergence(layer.log_alpha()).sum() for layer in variational_layers(model).values())


class VariationalObjective:
    """What `training.train` minimises, and the callback that counts its steps: pass it as both.

    Parameters
    ----------
    model : nn.Module
        From `to_variational`.
    n_images : int
        Images in the training set. The KL divergence counts once for all of them, so a batch's mean loss gets
        1 / `n_images` of it.
    weight : float >= 0
        Factor on the KL divergence: 1 is the variational bound, more makes the network sparser.
    start : float >= 0
        The factor at the first step.
    warmup_steps : int
        Steps in which the factor goes linearly from `start` to `weight`: while weights are still random, all
        of them look like noise (section 4.4 of the paper).
    seed : int
        Of the noise.

    Raises
    ------
    ValueError
        An option is out of its range, or no layer has noise.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        n_images: int,
        weight: float = 1.0,
        start: float = 0.0,
        warmup_steps: int = 0,
        seed: int = 0,
    ) -> None:
        if not (n_images >= 1 and warmup_steps >= 0 and all(0 <= w < math.inf for w in (weight, start))):
            raise ValueError(
                f"n_images={n_images}, warmup_steps={warmup_steps}, weight={weight}, start={start}: "
                "expected n_images >= 1, and the others finite and >= 0"
            )
        layers = variational_layers(model)
        if not layers:
            raise ValueError("the network has no layer with noise: expected what to_variational returns")
        self._model, self._noise = model, next(iter(layers.values())).noise
        self._n_images, self._weight, self._start = n_images, weight, start
        self._warmup_steps, self._seed = warmup_steps, seed
        self._go_to(0)

    @property
    def options(self) -> dict[str, object]:
        """What a resumed run must find again."""
        return {
            "n_images": self._n_images,
            "weight": self._weight,
            "start": self._start,
            "warmup_steps": self._warmup_steps,
            "seed": self._seed,
        }

    @property
    def kl_weight(self) -> float:
        """Factor on the KL divergence in the next step."""
        if self._step >= self._warmup_steps:
            return self._weight
        return self._start + (self._weight - self._start) * self._step / self._warmup_steps

    def __call__(self, logits: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """Mean loss per image of a batch, a scalar in nats."""
        return F.cross_entropy(logits, labels) + self.kl_weight / self._n_images * total_kl(self._model)

    def after_step(self, model: nn.Module, step: int) -> None:
        """Training hook: the next step has its own noise and weight."""
        self._go_to(step + 1)

    def state_dict(self) -> dict[str, int]:
        """The step that comes next."""
        return {"step": self._step}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from a checkpoint's step."""
        self._go_to(state["step"])

    def _go_to(self, step: int) -> None:
        self._step = step
        self._noise.rewind(self._seed, step)


# ----------------------------------------------------------------------------------------------------
# A callback that records how noisy a variational network's weights are while it learns.

EDGES = tuple(float(edge) for edge in range(-12, 17))  # of log α; what is beyond counts in the outermost bins


class NoiseHistory:
    """A callback for `training.train`: how many weights are kept, and the distribution of log α, over time.

    Parameters
    ----------
    every : int
        Steps of the optimiser between two records.
    model : nn.Module, optional
        From `to_variational`; recorded at once, as step 0.

    Attributes
    ----------
    records : list of dict
        ``step``: steps made so far; ``kept``: number of kept weights, by layer; ``histogram``: number of
        weights of all layers in each bin of log α between `EDGES`.
    """

    def __init__(self, every: int, model: nn.Module | None = None) -> None:
        if every < 1:
            raise ValueError(f"every={every}: expected at least 1")
        self._every = every
        self.records: list[dict] = [] if model is None else [noise_record(model, 0)]

    def after_step(self, model: nn.Module, step: int) -> None:
        """Training hook: record, when it is time."""
        if (step + 1) % self._every == 0:
            self.records.append(noise_record(model, step + 1))

    def state_dict(self) -> dict[str, list[dict]]:
        """All records, for a checkpoint."""
        return {"records": list(self.records)}

    def load_state_dict(self, state: Mapping[str, list[dict]]) -> None:
        """Take the records of a checkpoint."""
        self.records = list(state["records"])


@torch.no_grad()
def noise_record(model: nn.Module, step: int) -> dict:
    """One record, as `NoiseHistory` describes it."""
    kept, counts = {}, np.zeros(len(EDGES) - 1, dtype=np.int64)
    for name, layer in variational_layers(model).items():
        kept[name] = int(layer.mask().sum())
        values = layer.log_alpha().clamp(EDGES[0], EDGES[-1]).flatten().cpu().numpy()
        counts += np.histogram(values, EDGES)[0]
    return {"step": step, "kept": kept, "histogram": counts.tolist()}
