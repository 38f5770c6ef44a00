"""Fine-tuning of centroids in a network: the optimiser moves each centroid, and with it all its weights.

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
from torch.nn import functional as F

from common.codec.tensors import SharedTensor
from common.sharing.weight_sharing import as_codebook, merge_equal


class CentroidTuner:
    """Codebooks as torch parameters, trained in place of the weights they stand for; a training callback.

    Parameters
    ----------
    shared : mapping of parameter name to SharedTensor
        What is trained are the codebooks; positions, indices and ``row_scales`` stay as they are.
    model : nn.Module
        Its weights of these names are overwritten now, and by every `write_weights_`.

    Raises
    ------
    ValueError
        When the model has no parameter of a name, or one of another shape.
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
        """The codebooks, one float32 parameter per tensor, of shape (n_clusters,): for the optimiser."""
        return [layer.codebook for layer in self._layers.values()]

    def collect_gradients_(self, model: nn.Module) -> None:
        """Sum the weights' gradients by cluster into the codebooks' ``grad``, and clear them."""
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
        """Return the tensors with the trained codebooks: sorted, equal centroids merged, dtype as before."""
        tensors = {}
        for name, tensor in self._shared.items():
            values = self._layers[name].codebook.detach().cpu().numpy()
            codebook, indices = merge_equal(as_codebook(values, tensor.codebook.dtype, name), tensor.indices)
            tensors[name] = replace(tensor, codebook=codebook, indices=indices)
        return tensors

    def state_dict(self) -> dict[str, Tensor]:
        """The codebooks, for a checkpoint; indices and positions belong to the tensors given at the start."""
        return {name: layer.codebook.detach().clone() for name, layer in self._layers.items()}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Copy the codebooks from a checkpoint of the same tensors."""
        for name, layer in self._layers.items():
            layer.codebook.copy_(state[name])


class _Layer:
    """One tensor's codebook, and the place and the index of each of its kept weights.

    The index ``len(codebook)``, one above the last, stands for a weight that is zero (`trained_sharing`).
    """

    def __init__(self, tensor: SharedTensor, device: torch.device) -> None:
        self.shape = tensor.shape
        self.codebook = nn.Parameter(torch.from_numpy(tensor.codebook.astype(np.float32)).to(device))
        self.indices = torch.from_numpy(tensor.indices.astype(np.int64))
        self.places = None if tensor.positions is None else torch.from_numpy(tensor.positions)
        self.scales = None
        if tensor.row_scales is not None:
            row_size = max(1, tensor.n_weights // max(1, tensor.shape[0]))
            rows = (torch.arange(tensor.n_weights) if self.places is None else self.places) // row_size
            self.scales = torch.from_numpy(tensor.row_scales.to_dense().astype(np.float32))[rows]
        self.to(device)

    def to(self, device: torch.device) -> "_Layer":
        """Move everything to the weights' device; return self."""
        if self.indices.device != device:
            self.indices = self.indices.to(device)
            self.places = None if self.places is None else self.places.to(device)
            self.scales = None if self.scales is None else self.scales.to(device)
            self.codebook.data = self.codebook.data.to(device)
        return self

    def sum_by_cluster(self, grad: Tensor) -> Tensor:
        """Return the codebook's gradient (float32).

        Millions of terms are summed in float64 and rounded once: in float32, their number and order would
        show.
        """
        kept = grad.reshape(-1)
        kept = kept if self.places is None else kept.index_select(0, self.places)
        kept = kept if self.scales is None else kept * self.scales
        sums = torch.zeros(len(self.codebook) + 1, dtype=torch.float64, device=kept.device)
        return sums.index_add_(0, self.indices, kept.to(torch.float64))[:-1].to(torch.float32)

    def to_dense(self) -> Tensor:
        """Return the weights in the tensor's shape, zeros where they are pruned."""
        values = F.pad(self.codebook.detach(), (0, 1)).index_select(0, self.indices)
        values = values if self.scales is None else values * self.scales
        if self.places is not None:
            dense = torch.zeros(self.shape, dtype=torch.float32, device=values.device).view(-1)
            values = dense.scatter_(0, self.places, values)
        return values.view(self.shape)
