"""Low rank: a layer is replaced by two or three thin ones, whose product is close to its weights.

A linear layer of n inputs and m outputs, at rank r (truncated SVD; Eckart & Young 1936)::

    n ──── m          becomes      n ── r ──── m                        mn  →  r (m + n) weights

A k×k convolution from c to o channels, at ranks (p, q) (Tucker-2; Kim et al. 2016, arXiv:1511.06530,
section 3)::

    c ─k×k─ o         becomes      c ─1×1─ q ─k×k─ p ─1×1─ o            ock²  →  cq + pqk² + po weights

Only the outermost thin layers see all channels. A mode (the output channels, or the input channels) whose
rank is full needs no thin layer: its square factor is multiplied into the core.

    ranks = ranks_by_budget(model, 0.25)       # {"fc1.weight": (44,), ...}
    small = factorize(model, ranks)            # `training.train` takes it like any network
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from common.base.numbers import to_half
from common.codec.container import CompressedModel
from common.codec.tensors import DenseTensor, SharedTensor
from common.compress.packing import fill
from common.networks.models import build, count_parameters, prunable_parameters, skeleton
from common.sharing.weight_sharing import share_weights


def tucker2(weight: Tensor, ranks: tuple[int, int], *, sweeps: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Core and factors with ``weight[o, c] ≈ Σ core[p, q] out[o, p] in[c, q]``, at each tap of the kernel.

    An unfolding is the tensor as a matrix, with one row per output channel, or one per input channel. The
    factors are the leading singular vectors of the two unfoldings (HOSVD; De Lathauwer et al. 2000): not the
    best ones, but within a factor √2 of the least error. Each sweep then finds the best factor of one mode
    while the other is held fixed (HOOI), so the error never increases.

    Parameters
    ----------
    weight : float tensor of shape (o, c, ...)
    ranks : (p, q)
        1 <= p <= o, 1 <= q <= c; not checked here.
    sweeps : int >= 0
        Sweeps of HOOI after the HOSVD.

    Returns
    -------
    core : Tensor of shape (p, q, ...)
    out_factor, in_factor : Tensor of shape (o, p), (c, q)
        Orthonormal columns.
    """
    whole = weight.detach().double()
    taps = whole.flatten(2)
    out_factor, in_factor = _leading(taps.flatten(1), ranks[0]), _leading(_by_inputs(taps), ranks[1])
    for _ in range(sweeps):
        out_factor = _leading(torch.einsum("ock,cq->oqk", taps, in_factor).flatten(1), ranks[0])
        in_factor = _leading(_by_inputs(torch.einsum("ock,op->pck", taps, out_factor)), ranks[1])
    core = torch.einsum("ock,op,cq->pqk", taps, out_factor, in_factor)
    core = core.reshape(*ranks, *weight.shape[2:])
    return tuple(part.to(weight.dtype) for part in (core, out_factor, in_factor))


def factorize_linear(layer: nn.Linear, rank: int) -> nn.Sequential:
    """Two linear layers in place of one: its best approximation of that rank, without an activation between.

    The first layer has no bias, the second has that of the original.

    Raises
    ------
    ValueError
        `rank` is not in [1, min(m, n)].
    """
    weight = layer.weight.detach()
    _check("rank", rank, min(weight.shape))
    u, s, vt = torch.linalg.svd(weight.double(), full_matrices=False)
    root = s[:rank].sqrt()  # √σ goes to each of the layers, so that their gradients are of similar size
    first = nn.Linear(weight.shape[1], rank, bias=False)
    second = nn.Linear(rank, weight.shape[0], bias=layer.bias is not None)
    _set(first, (root[:, None] * vt[:rank]).to(weight.dtype))
    _set(second, (u[:, :rank] * root).to(weight.dtype), layer.bias)
    return nn.Sequential(first, second)


def factorize_conv(layer: nn.Conv2d, ranks: tuple[int, int], *, sweeps: int = 1) -> nn.Sequential:
    """Three convolutions in place of one, 1×1, k×k and 1×1; two or one where a rank is full.

    The ranks are (p, q), of the output and the input channels. The k×k convolution has the original's stride,
    padding and dilation, and the last one has its bias. `sweeps` is that of `tucker2`.

    Raises
    ------
    ValueError
        A rank is out of range, or the layer has groups.
    """
    if layer.groups != 1:
        raise ValueError(f"groups={layer.groups}: expected 1; a grouped layer is small by design")
    weight = layer.weight.detach()
    n_out, n_in = weight.shape[:2]
    _check("rank of the outputs", ranks[0], n_out)
    _check("rank of the inputs", ranks[1], n_in)
    core, out_factor, in_factor = tucker2(weight, ranks, sweeps=sweeps)
    has_out, has_in = ranks[0] < n_out, ranks[1] < n_in
    if not has_out:
        core = torch.einsum("pqkl,op->oqkl", core, out_factor)
    if not has_in:
        core = torch.einsum("pqkl,cq->pckl", core, in_factor)
    middle = nn.Conv2d(
        ranks[1],
        ranks[0],
        layer.kernel_size,
        layer.stride,
        layer.padding,
        layer.dilation,
        bias=layer.bias is not None and not has_out,
        padding_mode=layer.padding_mode,
    )
    layers = [_set(middle, core, layer.bias)]
    if has_in:
        layers.insert(0, _set(nn.Conv2d(n_in, ranks[1], 1, bias=False), in_factor.T[..., None, None]))
    if has_out:
        last = nn.Conv2d(ranks[0], n_out, 1, bias=layer.bias is not None)
        layers.append(_set(last, out_factor[..., None, None], layer.bias))
    return nn.Sequential(*layers)


def factorize(model: nn.Module, ranks: Mapping[str, tuple[int, ...]], *, sweeps: int = 1) -> nn.Module:
    """A copy of a network in which the named layers are replaced by thin ones; all others stay as they are.

    Parameters
    ----------
    model : nn.Module
        Not changed. From a model on torch's "meta" device come shapes without values.
    ranks : mapping of weight name to (r,) for a linear layer, (p, q) for a convolution
    sweeps : int
        As in `tucker2`.

    Raises
    ------
    ValueError
        A name is not that of a layer's weight, a rank is out of range, or a convolution has groups.
    """
    small, names = copy.deepcopy(model), list(prunable_parameters(model))
    for name, rank in ranks.items():
        if name not in names:
            raise ValueError(f"{name!r} is not a layer's weight: expected some of {', '.join(names)}")
        place = name.removesuffix(".weight")
        layer = model.get_submodule(place)
        try:
            if isinstance(layer, nn.Linear):
                (r,) = rank
                _check("rank", r, min(layer.weight.shape))
                thin = factorize_linear(layer, r) if r < min(layer.weight.shape) else copy.deepcopy(layer)
            else:
                p, q = rank
                thin = factorize_conv(layer, (p, q), sweeps=sweeps)
        except ValueError as error:
            raise ValueError(f"{name}, ranks {rank}: {error}") from error
        parent, _, child = place.rpartition(".")
        setattr(small.get_submodule(parent), child, thin)
    return small.train(model.training)


def _by_inputs(taps: Tensor) -> Tensor:
    """(o, c, k) as a matrix with one row per input channel."""
    return taps.transpose(0, 1).flatten(1)


def _leading(matrix: Tensor, rank: int) -> Tensor:
    """The left singular vectors of the largest singular values, from the small Gram matrix's eigenvectors."""
    ascending = torch.linalg.eigh(matrix @ matrix.T).eigenvectors
    return ascending.flip(1)[:, :rank]


def _set(layer: nn.Module, weight: Tensor, bias: Tensor | None = None) -> nn.Module:
    with torch.no_grad():
        layer.weight = nn.Parameter(weight.contiguous())
        if layer.bias is not None:
            layer.bias = nn.Parameter(bias.detach().clone())
    return layer


def _check(what: str, rank: int, most: int) -> None:
    if not 1 <= rank <= most:
        raise ValueError(f"{what}={rank}: expected 1 to {most}")


# ----------------------------------------------------------------------------------------------------
# Which rank each layer of a network takes: by the energy that is kept, or by a budget of parameters.
#
# The energy of a weight matrix is the sum of its squared singular values, ‖W‖². Rank r keeps the r largest of
# them; a convolution has two lists of singular values, one per unfolding (`tucker2`).
#
# >>> n_weights((300, 784), (10,)), n_weights((50, 20, 5, 5), (12, 8)), n_weights((50, 20, 5, 5), (50, 20))
# (10840, 3160, 25000)

Ranks = dict[str, tuple[int, ...]]


def ranks_of(model: nn.Module) -> Ranks:
    """The full ranks by weight name: (min(m, n),) of a linear layer, (o, c) of a convolution."""
    return {name: _full(weight.shape) for name, weight in prunable_parameters(model).items()}


def n_weights(shape: tuple[int, ...], ranks: tuple[int, ...]) -> int:
    """How many weights the thin layers have that replace a layer of this shape; its own at full ranks."""
    if len(shape) == 2:
        return ranks[0] * sum(shape) if ranks[0] < min(shape) else math.prod(shape)
    (n_out, n_in, *taps), (p, q) = shape, ranks
    return p * q * math.prod(taps) + (n_out * p if p < n_out else 0) + (n_in * q if q < n_in else 0)


def ranks_by_energy(model: nn.Module, energy: float) -> Ranks:
    """The smallest ranks that keep a share of every layer's energy, ‖W'‖² ≥ energy · ‖W‖².

    In a convolution each of the two modes may lose half of what is given up, since HOSVD loses at most the
    sum of both.

    Parameters
    ----------
    model : nn.Module
    energy : float in [0, 1]

    Returns
    -------
    dict of weight name to ranks
        For `factorize`. A layer that would have no fewer weights is not named: it stays whole.

    Raises
    ------
    ValueError
        `energy` is not in [0, 1].
    """
    if not 0 <= energy <= 1:
        raise ValueError(f"energy={energy}: expected a share in [0, 1]")
    ranks = {}
    for name, (shape, losses) in _spectra(model).items():
        most = (1.0 - energy) / len(losses)
        # The first rank that loses no more than `most`; 1e-12 lets rounding errors pass.
        rank = tuple(int((lost > most + 1e-12).sum()) + 1 for lost in losses)
        if n_weights(shape, rank) < math.prod(shape):
            ranks[name] = rank
    return ranks


def ranks_by_budget(model: nn.Module, fraction: float) -> Ranks:
    """Ranks within a budget of parameters that keep as much of the layers' energy as possible.

    Layers act one after the other, so the shares of energy that they keep are multiplied. Each layer takes
    the ranks of the least −Σ log(kept share) + price · weights. The price of a weight, a Lagrange multiplier,
    is the same for all layers, and the lowest at which the network is small enough: one more weight would
    then gain about equally much in every layer.

    Parameters
    ----------
    model : nn.Module
    fraction : float in (0, 1]
        Parameters that may be left, as a fraction of the network's, biases and batch norms included.

    Returns
    -------
    dict of weight name to ranks
        For `factorize`. A layer that would have no fewer weights is not named: it stays whole.

    Raises
    ------
    ValueError
        Even ranks of 1 have more parameters.
    """
    layers, total = {}, count_parameters(model)
    for name, (shape, losses) in _spectra(model).items():
        logs = [-torch.log1p(-loss) for loss in losses]
        loss = logs[0] if len(logs) == 1 else logs[0][:, None] + logs[1]
        counts = [torch.arange(1, len(log) + 1, dtype=torch.float64) for log in logs]
        layers[name] = loss, _weights_of_all_ranks(shape, counts)
    others = total - sum(parameter.numel() for parameter in prunable_parameters(model).values())
    most = fraction * total - others

    def choose(price: float) -> Ranks:
        places = {name: int((loss + price * size).argmin()) for name, (loss, size) in layers.items()}
        return {
            name: tuple(int(i) + 1 for i in np.unravel_index(at, layers[name][0].shape))
            for name, at in places.items()
        }

    def size(ranks: Ranks) -> float:
        return sum(float(layers[name][1][tuple(r - 1 for r in rank)]) for name, rank in ranks.items())

    low, high = 1e-15, 1e3  # at a price of 1e3 no weight beyond ranks of 1 is worth it
    if size(choose(high)) > most:
        least = (others + size(choose(high))) / total
        raise ValueError(
            f"fraction={fraction}: ranks of 1 keep {least:.4f} of the parameters: expected no less than that"
        )
    for _ in range(60):  # bisection of the price's logarithm
        middle = math.sqrt(low * high)
        low, high = (low, middle) if size(choose(middle)) <= most else (middle, high)
    full = ranks_of(model)
    shapes = {name: weight.shape for name, weight in prunable_parameters(model).items()}
    return {
        name: rank
        for name, rank in choose(high).items()
        if rank != full[name] and n_weights(shapes[name], rank) < math.prod(shapes[name])
    }


def _weights_of_all_ranks(shape: tuple[int, ...], counts: list[Tensor]) -> Tensor:
    """`n_weights` for a whole grid of ranks; never more than the layer has, since it may stay whole."""
    if len(shape) == 2:
        size = counts[0] * sum(shape)
        size[-1] = math.prod(shape)
    else:
        p, q = counts[0][:, None], counts[1]
        ends = shape[0] * p * (p < shape[0]) + shape[1] * q * (q < shape[1])
        size = p * q * math.prod(shape[2:]) + ends
    return size.clamp(max=math.prod(shape))


def _spectra(model: nn.Module) -> dict[str, tuple[tuple[int, ...], list[Tensor]]]:
    """Each layer's shape, and for each of its modes the share of energy that is lost at ranks 1, 2, ..."""
    spectra = {}
    for name, weight in prunable_parameters(model).items():
        taps = weight.detach().double()
        modes = [taps] if weight.ndim == 2 else [taps.flatten(1), taps.transpose(0, 1).flatten(1)]
        losses = []
        for mode in modes:
            small = mode @ mode.T if mode.shape[0] <= mode.shape[1] else mode.T @ mode
            squares = torch.linalg.eigvalsh(small).flip(0).clamp(min=0)
            lost = squares.flip(0).cumsum(0).flip(0)  # sums from each place to the end
            total = lost[0] if lost[0] > 0 else torch.ones_like(lost[0])
            losses.append(torch.cat([lost[1:], lost.new_zeros(1)]) / total)
        spectra[name] = (tuple(weight.shape), losses)
    return spectra


def _full(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (min(shape),) if len(shape) == 2 else tuple(shape[:2])


# ----------------------------------------------------------------------------------------------------
# A network of thin layers in a `.dcz` file, and back.
#
# The metadata name the whole network, as in every file, and the ranks of its layers in order, null for a
# layer that was left whole::
#
#     {"architecture": "lenet_5", "num_classes": 10, "ranks": [null, [12, 8], [30], null]}
#
# A reader that knows nothing of ranks refuses the file: it holds more tensors than the network has.

# A tensor gets a codebook only if it has at least this many values per centroid: else the codebook costs more
# than it saves.
_LEAST_SHARED = 4
_VECTOR_CLUSTERS = 32  # centroids of a bias or a vector of scales


def pack_low_rank(
    model: nn.Module,
    ranks: Mapping[str, tuple[int, ...]],
    architecture: Mapping[str, object],
    *,
    n_clusters: int | None = None,
) -> CompressedModel:
    """What the container stores of a factorized network; a batch norm becomes scales and biases.

    Parameters
    ----------
    model : nn.Module
        What `factorize` returned, fine-tuned or not.
    ranks : mapping of weight name to ranks
        What it was factorized with: names of the whole network.
    architecture : mapping
        What `models.build` needs for the whole network.
    n_clusters : int, optional
        Shared values per thin layer; by default every weight is stored as float16.
    """
    with torch.device("meta"):
        whole = build(**{"name" if key == "architecture" else key: v for key, v in architecture.items()})
    chosen = [list(ranks[name]) if name in ranks else None for name in prunable_parameters(whole)]
    metadata = {**architecture, "ranks": chosen}
    skeleton = _skeleton(metadata)
    places = [name for name, module in skeleton.named_modules() if _is_layer(module)]
    tensors: dict[str, DenseTensor | SharedTensor] = {}
    for place, (weight, scale, bias) in zip(places, _thin_layers(model), strict=True):
        tensors[f"{place}.weight"] = _weights(weight, scale, n_clusters, f"{place}.weight")
        if bias is not None:
            tensors[f"{place}.bias"] = _vector(bias, f"{place}.bias")
    return CompressedModel({name: tensors[name] for name in skeleton.state_dict()}, metadata)


def unpack_low_rank(compressed: CompressedModel) -> nn.Module:
    """The factorized network that a container holds, ready for `training.evaluate`.

    Raises
    ------
    ValueError
        The metadata name no network of ours or no ranks that it can have, or the tensors do not fit it.
    """
    return fill(_skeleton(compressed.metadata), compressed)


def _skeleton(metadata: Mapping[str, object]) -> nn.Module:
    """The factorized network with folded batch norms, on torch's "meta" device: shapes without memory."""
    whole = skeleton(metadata)
    with torch.device("meta"):
        names, ranks = list(prunable_parameters(whole)), metadata.get("ranks")
        if not isinstance(ranks, list) or len(ranks) != len(names):
            raise ValueError(
                f"ranks {str(ranks)[:60]}: expected a list of {len(names)} entries, one per layer"
            )
        chosen = {}
        for name, rank in zip(names, ranks, strict=True):
            if rank is None:
                continue
            n_modes = 1 if whole.get_parameter(name).ndim == 2 else 2
            if not isinstance(rank, list) or [type(r) for r in rank] != [int] * n_modes:
                raise ValueError(f"ranks of {name} are {str(rank)[:60]}: expected null or {n_modes} integers")
            chosen[name] = tuple(rank)
        return factorize(whole, chosen, sweeps=0)


def _is_layer(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d | nn.Linear)


def _thin_layers(model: nn.Module) -> list[tuple[Tensor, Tensor | None, Tensor | None]]:
    """Weight, scale and bias of each layer as they act at inference, in order."""
    layers: list[list] = []
    for module in model.modules():
        if _is_layer(module):
            bias = None if module.bias is None else module.bias.detach()
            layers.append([module.weight.detach(), None, bias])
        elif isinstance(module, nn.BatchNorm2d):  # see `models.batch_norm_scales`
            scale = module.weight.detach() / torch.sqrt(module.running_var + module.eps)
            layers[-1][1:] = [scale, module.bias.detach() - scale * module.running_mean]
    return [tuple(layer) for layer in layers]


def _weights(
    weight: Tensor, scale: Tensor | None, n_clusters: int | None, name: str
) -> DenseTensor | SharedTensor:
    values = _to_numpy(weight)
    if n_clusters is None or values.size < _LEAST_SHARED * n_clusters:
        whole = weight if scale is None else weight * scale.view(-1, 1, 1, 1)
        return DenseTensor(to_half(_to_numpy(whole), name))
    shared = share_weights(values, n_clusters=n_clusters, codebook_dtype=np.float16, name=name)
    if scale is None:
        return shared
    return replace(shared, row_scales=_vector(scale, f"the batch norm's scale of {name}"))


def _vector(values: Tensor, name: str) -> DenseTensor | SharedTensor:
    if values.numel() < _LEAST_SHARED * _VECTOR_CLUSTERS:
        return DenseTensor(to_half(_to_numpy(values), name))
    return share_weights(_to_numpy(values), n_clusters=_VECTOR_CLUSTERS, codebook_dtype=np.float16, name=name)


def _to_numpy(value: Tensor) -> np.ndarray:
    return value.cpu().numpy().astype(np.float32)
