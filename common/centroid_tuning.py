"""Fine-tuning of centroids in a network: the optimiser moves codebooks, all weights of a cluster move
together.

    tuner = CentroidTuner(shared, model)                  # writes the shared weights into the model
    train(model, data, config, parameters=tuner.parameters(), callbacks=[tuner])
    tuner.shared_tensors()                                # what goes into the file

The gradient of a centroid is the sum of the gradients of its weights (Han, Mao, Dally 2016, eq. 3); pruned
weights stay 0, and indices stay as they are.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from common.shared_tensor import SharedTensor
from common.weight_sharing import merge_equal


class CentroidTuner:
    """Codebooks as torch parameters, in place of the weights that they stand for.

    Parameters
    ----------
    shared : mapping of parameter name to SharedTensor
        ``row_scales``, where there are any, stay fixed.
    model : nn.Module
        Its weights of these names are overwritten now, and at every `write_weights_`.

    Raises
    ------
    ValueError
        A name that the model lacks, or a shape that is not its parameter's.
    """

    def __init__(self, shared: Mapping[str, SharedTensor], model: nn.Module) -> None:
        parameters = dict(model.named_parameters())
        for name, tensor in shared.items():
            if name not in parameters:
                raise ValueError(f"shared names {name!r}; the model's parameters are {sorted(parameters)}")
            shape = tuple(parameters[name].shape)
            if shape != tensor.shape:
                raise ValueError(f"{name!r} has shape {tensor.shape} in shared, {shape} in the model")
        self._shared = dict(shared)
        self._layers = {name: _Layer(tensor, parameters[name].device) for name, tensor in shared.items()}
        self.write_weights_(model)

    def parameters(self) -> list[nn.Parameter]:
        """The codebooks, one float32 parameter a tensor: what the optimiser is to move."""
        return [layer.codebook for layer in self._layers.values()]

    def collect_gradients_(self, model: nn.Module) -> None:
        """Sum the weights' gradients by cluster into the codebooks' ``grad``, and drop them."""
        parameters = dict(model.named_parameters())
        for name, layer in self._layers.items():
            weight = parameters[name]
            if weight.grad is not None:
                layer.codebook.grad = layer.to(weight.device).sum_by_cluster(weight.grad)
                weight.grad = None  # the optimiser does not know these weights, so it would not clear it

    @torch.no_grad()
    def write_weights_(self, model: nn.Module) -> None:
        """Write every centroid to the places of its weights, and 0 where weights are pruned."""
        parameters = dict(model.named_parameters())
        for name, layer in self._layers.items():
            parameters[name].copy_(layer.to(parameters[name].device).to_dense())

    def before_step(self, model: nn.Module, step: int) -> None:
        """Training hook: `collect_gradients_`."""
        self.collect_gradients_(model)

    def after_step(self, model: nn.Module, step: int) -> None:
        """Training hook: `write_weights_`."""
        self.write_weights_(model)

    def shared_tensors(self) -> dict[str, SharedTensor]:
        """The tensors with their codebooks as they are now, sorted, equal centroids merged, dtype kept."""
        tensors = {}
        for name, tensor in self._shared.items():
            values = self._layers[name].codebook.detach().cpu().numpy().astype(tensor.codebook.dtype)
            codebook, indices = merge_equal(values, tensor.indices)
            tensors[name] = replace(tensor, codebook=codebook, indices=indices)
        return tensors

    def state_dict(self) -> dict[str, Tensor]:
        """The codebooks, for a checkpoint; indices and positions belong to the tensors given at the start."""
        return {name: layer.codebook.detach().clone() for name, layer in self._layers.items()}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take the codebooks of a checkpoint."""
        for name, layer in self._layers.items():
            layer.codebook.copy_(state[name])


class _Layer:
    """One tensor's codebook and, sorted by cluster, the places of its weights."""

    def __init__(self, tensor: SharedTensor, device: torch.device) -> None:
        order = np.argsort(tensor.indices, kind="stable")
        places = order if tensor.positions is None else tensor.positions[order]
        self.shape = tensor.shape
        self.codebook = nn.Parameter(torch.from_numpy(tensor.codebook.astype(np.float32)).to(device))
        self.places = torch.from_numpy(places)
        self.counts = torch.from_numpy(np.bincount(tensor.indices, minlength=tensor.codebook.size))
        self.scales = None
        if tensor.row_scales is not None:
            row_size = max(1, tensor.n_weights // max(1, tensor.shape[0]))
            scales = tensor.row_scales.to_dense().astype(np.float32)
            self.scales = torch.from_numpy(scales)[self.places // row_size]
        self.to(device)

    def to(self, device: torch.device) -> "_Layer":
        """Follow the weights to their device."""
        if self.places.device != device:
            self.places, self.counts = self.places.to(device), self.counts.to(device)
            self.codebook.data = self.codebook.data.to(device)
            self.scales = None if self.scales is None else self.scales.to(device)
        return self

    def sum_by_cluster(self, grad: Tensor) -> Tensor:
        """Segment sums in float64: deterministic, and exact enough for millions of weights a cluster."""
        kept = grad.reshape(-1)[self.places].to(torch.float64)
        if self.scales is not None:
            kept = kept * self.scales
        return torch.segment_reduce(kept, "sum", lengths=self.counts, unsafe=True).to(torch.float32)

    def to_dense(self) -> Tensor:
        """The weights, zeros where pruned."""
        values = self.codebook.detach().repeat_interleave(self.counts, output_size=self.places.numel())
        if self.scales is not None:
            values = values * self.scales
        dense = torch.zeros(self.shape, dtype=torch.float32, device=self.places.device)
        dense.view(-1)[self.places] = values
        return dense
