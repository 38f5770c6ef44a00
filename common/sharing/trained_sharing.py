"""Weight sharing that goes on while the network trains: weights may change their cluster, or become zero.

    sharing = TrainedSharing(shared, model, rate_weight=1e-3)         # before the weights are overwritten
    train(model, data, config, parameters=sharing.parameters(), callbacks=[sharing])
    sharing.shared_tensors()                                          # what goes into the file

K-means rounds each weight to the nearest of a few values, once. Here every kept weight has a *latent* value,
which the optimiser moves as if it were the weight (straight-through estimator: Bengio, Léonard, Courville
2013). Every few steps it is assigned again, to the cluster k with the smallest cost

    importance * (latent - c_k)^2 - rate_weight * log2 p_k

where p_k is the probability of cluster k at this place (entropy-constrained quantization: Chou, Lookabaugh,
Gray 1989). Zero is a cluster like the others, except that no value has to be stored for it. Codebooks are
trained as in `centroid_tuning`; with ``every=0`` nothing else is trained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from common.codec.tensors import SharedTensor
from common.codec.zones import keep_probability
from common.sharing.centroid_tuning import CentroidTuner
from common.sharing.weight_sharing import merge_equal

_LN2 = math.log(2.0)


class TrainedSharing(CentroidTuner):
    """Codebooks and latent weights as torch parameters, in place of the weights that they stand for.

    Parameters
    ----------
    shared : mapping of parameter name to SharedTensor
        The codebooks and assignments at the start; without ``row_scales``.
    model : nn.Module
        Its present weights of these names are the first latent values; then they are overwritten.
    every : int >= 0
        Steps from one assignment to the next; 0 keeps the first one, and there are no latent values.
    rate_weight : float >= 0
        How much error one bit is worth. Without `importance` the error is the squared error over the mean
        square of the tensor's kept weights; with it, importance times squared error.
    ramp_steps : int >= 0
        Steps over which the rate weight rises linearly from 0 to `rate_weight`; 0: it is constant.
    importance : mapping of parameter name to tensor of the weight's shape, optional
        How much a squared error counts, for example the Fisher information (`common.pruning.fisher`).
    with_zero : bool
        Whether a weight may become zero (and come back).

    Raises
    ------
    ValueError
        As in `CentroidTuner`; also when an option is out of its range, or a tensor has row scales.
    """

    def __init__(
        self, shared: Mapping[str, SharedTensor], model: nn.Module, *, every: int = 10,
        rate_weight: float = 0.0, ramp_steps: int = 0, importance: Mapping[str, Tensor] | None = None,
        with_zero: bool = True,
    ) -> None:  # fmt: skip
        if every < 0 or ramp_steps < 0 or not 0 <= rate_weight < float("inf"):
            raise ValueError(
                f"every={every}, ramp_steps={ramp_steps}, rate_weight={rate_weight}: expected all >= 0"
            )
        scaled = [name for name, tensor in shared.items() if tensor.row_scales is not None]
        if scaled:
            raise ValueError(f"{scaled[0]!r} has row scales: expected the values themselves")
        weights = {name: value.detach().clone() for name, value in model.named_parameters()}
        super().__init__(shared, model)
        self.every, self.rate_weight, self.ramp_steps = every, rate_weight, ramp_steps
        self._clusters = {
            name: _Assignment(
                layer, weights[name], None if importance is None else importance[name], with_zero=with_zero
            )
            for name, layer in self._layers.items()
        }

    def parameters(self) -> list[nn.Parameter]:
        """The codebooks, and the latent values where there are any."""
        return [*super().parameters(), *self.latents()]

    def groups(self, *, codebooks: float = 1.0, latents: float = 1.0) -> list[dict]:
        """Return the same as `parameters`, with a factor on the learning rate of each kind: for `train`.

        A centroid's gradient is the sum over all its weights and so is large: give codebooks the smaller
        factor.
        """
        groups = [{"params": super().parameters(), "rate": codebooks}]
        return groups + ([{"params": self.latents(), "rate": latents}] if self.every else [])

    def latents(self) -> list[nn.Parameter]:
        """The latent values, one parameter per tensor, of shape (n_kept,); none where ``every`` is 0."""
        return [one.latent for one in self._clusters.values()] if self.every else []

    def before_step(self, model: nn.Module, step: int) -> None:
        """Copy the weights' gradients to the latent values and, summed by cluster, to the codebooks."""
        if self.every:
            parameters = dict(model.named_parameters())
            for name, one in self._clusters.items():
                if parameters[name].grad is not None:
                    one.take_gradient(parameters[name].grad)
        super().before_step(model, step)

    def after_step(self, model: nn.Module, step: int) -> None:
        """Assign again every ``every`` steps, and write the weights."""
        if self.every and (step + 1) % self.every == 0:
            self.assign_(self.price_at(step))
        super().after_step(model, step)

    def price_at(self, step: int) -> float:
        """Return the rate weight at a step, from 0: rising until ``ramp_steps``, then constant."""
        return self.rate_weight * (min(1.0, step / self.ramp_steps) if self.ramp_steps else 1.0)

    def assign_(self, rate_weight: float) -> None:
        """Assign every kept weight to the cluster with the smallest cost at this rate weight."""
        for one in self._clusters.values():
            one.assign_(rate_weight)

    def priced_bits(self) -> dict[str, float]:
        """Return the bits of each tensor with the present assignment, as the cost function estimates them.

        They are those of an ideal code, not of the file. Where weights may become zero, positions are
        included.
        """
        return {name: one.priced_bits() for name, one in self._clusters.items()}

    def shared_tensors(self) -> dict[str, SharedTensor]:
        """Return the tensors as they are now.

        Codebooks are sorted, without equal values and, where ``every`` > 0, without unused ones; weights that
        became zero are not kept any more.
        """
        tensors = {}
        for name, tensor in self._shared.items():
            layer = self._layers[name]
            indices = layer.indices.cpu().numpy()
            places = np.arange(tensor.n_weights) if layer.places is None else layer.places.cpu().numpy()
            values = layer.codebook.detach().cpu().numpy().astype(tensor.codebook.dtype)
            if self.every:
                kept = indices < len(values)
                used, inverse = np.unique(indices[kept], return_inverse=True)
                places, indices, values = places[kept], inverse, values[used]
            dtype = np.uint8 if len(values) <= 256 else np.uint16
            codebook, indices = merge_equal(values, indices.astype(dtype))
            order = np.argsort(codebook, kind="stable")
            codebook, indices = codebook[order], np.argsort(order).astype(dtype)[indices]
            positions = None if len(places) == tensor.n_weights else places.astype(np.int64)
            tensors[name] = replace(tensor, codebook=codebook, indices=indices, positions=positions)
        return tensors

    def state_dict(self) -> dict[str, object]:
        """Codebooks, assignments and latent values."""
        return {
            "codebooks": super().state_dict(),
            "indices": {name: layer.indices.clone() for name, layer in self._layers.items()},
            "latents": {name: one.latent.detach().clone() for name, one in self._clusters.items()},
            "rule": [self.every, self.rate_weight, self.ramp_steps],
        }

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on from a checkpoint.

        Raises
        ------
        ValueError
            When it was made with another ``every``, ``rate_weight`` or ``ramp_steps``.
        """
        rule = [self.every, self.rate_weight, self.ramp_steps]
        if list(state["rule"]) != rule:
            raise ValueError(
                f"the checkpoint was shared with every, rate_weight, ramp_steps = {state['rule']}, not "
                f"{rule}: delete it, or use its options again"
            )
        super().load_state_dict(state["codebooks"])
        for name, layer in self._layers.items():
            layer.indices = state["indices"][name].to(layer.codebook.device)
            self._clusters[name].latent.copy_(state["latents"][name])


class _Assignment:
    """One tensor's latent values, and what each cluster costs them."""

    def __init__(self, layer: object, weight: Tensor, importance: Tensor | None, *, with_zero: bool) -> None:
        self.layer, self.with_zero = layer, with_zero
        kept = weight.reshape(-1) if layer.places is None else weight.reshape(-1)[layer.places]
        self.latent = nn.Parameter(kept.float().clone())
        if importance is None:
            # Relative to the mean square: so one rate weight suits all tensors, whatever their scale.
            mean_square = kept.float().square().mean() if kept.numel() else kept.new_ones(())
            self.importance = (1.0 / mean_square.clamp_min(1e-30)).expand_as(self.latent)
        else:
            flat = importance.reshape(-1).to(kept.device).float()
            self.importance = flat if layer.places is None else flat[layer.places]

    def to(self, device: torch.device) -> _Assignment:
        """Move the latent values and what they are weighed by to a device; return self."""
        if self.latent.device != device:
            self.latent.data = self.latent.data.to(device)  # the optimizer holds this very parameter
            self.importance = self.importance.to(device)
        return self

    def take_gradient(self, grad: Tensor) -> None:
        """Straight-through estimator: the latent values get the gradient of the weights, as it is."""
        self.to(grad.device).layer.to(grad.device)
        flat = grad.reshape(-1)
        self.latent.grad = (flat if self.layer.places is None else flat[self.layer.places]).clone()

    def bits(self) -> Tensor:
        """Return the bits of each cluster at each weight's place, zero last: (n_kept, n_clusters + 1).

        A cell that is kept with probability p takes -log2 p bits for its place and -log2 of its cluster's
        share for its value; a cell that becomes zero takes -log2 (1 - p). See `zones.keep_probability`.
        """
        indices, n_clusters = self.layer.indices, len(self.layer.codebook)
        counts = torch.bincount(indices, minlength=n_clusters + 1)[:n_clusters].float()
        value = -(counts / counts.sum().clamp_min(1)).log2()  # infinite for an empty cluster: it stays empty
        if not self.with_zero:
            bits = value.expand(len(indices), n_clusters)
            return torch.cat([bits, torch.full_like(bits[:, :1], float("inf"))], 1)
        p = self.place_probability()
        p = p.float()
        return torch.cat([value - p.log2()[:, None], -torch.log1p(-p)[:, None] / _LN2], 1)

    def place_probability(self) -> Tensor:
        """Return the probability of a kept weight at each latent value's place, strictly between 0 and 1."""
        p = self._probabilities()
        p = p if self.layer.places is None else p[self.layer.places]
        return p.clamp_min(1.0 / max(2, len(p)))

    def _probabilities(self) -> Tensor:
        """Return those of all cells, flat; at most 0.99, so that weights of a full tensor can become zero."""
        mask = self.mask()
        return torch.from_numpy(keep_probability(mask.cpu().numpy())).to(mask.device).view(-1).clamp_max(0.99)

    def mask(self) -> Tensor:
        """Return which weights are not zero: bool, of the weight's shape."""
        kept = self.layer.indices < len(self.layer.codebook)
        if self.layer.places is None:
            return kept.view(self.layer.shape)
        mask = torch.zeros(self.layer.shape, dtype=torch.bool, device=kept.device)
        mask.view(-1)[self.layer.places] = kept
        return mask

    @torch.no_grad()
    def assign_(self, rate_weight: float) -> None:
        """Assign each weight to the cluster with the smallest cost; of equal ones, to the lower index."""
        values = nn.functional.pad(self.layer.codebook, (0, 1))
        cost = self.importance[:, None] * (self.latent[:, None] - values).square()
        if not self.with_zero:
            cost[:, -1] = float("inf")
        if rate_weight:
            cost = cost + rate_weight * self.bits()
        self.layer.indices = cost.argmin(1)

    def priced_bits(self) -> float:
        """Return the bits of the whole tensor, cells without a weight included."""
        chosen = self.bits().gather(1, self.layer.indices[:, None])[:, 0].double().sum()
        if self.with_zero:  # the cells that were pruned from the start
            p = self._probabilities()
            outside = torch.ones(len(p), dtype=torch.bool, device=p.device)
            outside[slice(None) if self.layer.places is None else self.layer.places] = False
            chosen = chosen - torch.log1p(-p[outside]).sum() / _LN2
        return float(chosen)
