"""Low rank: a layer becomes two or three thin ones, whose weights multiply to nearly its own.

A linear layer of rank r (truncated SVD; Eckart & Young 1936)::

    n ──── m          becomes      n ── r ──── m                        mn  →  r (m + n) weights

A convolution of ranks (p, q) (Tucker-2; Kim et al. 2016, arXiv:1511.06530, section 3)::

    c ─k×k─ o         becomes      c ─1×1─ q ─k×k─ p ─1×1─ o            ock²  →  cq + pqk² + po weights

Only the outermost thin layers see all channels. A mode (channels out, or in) whose rank is full needs no thin
layer: its square factor is multiplied into the core.

    ranks = low_rank_choice.ranks_by_budget(model, 0.25)       # {"fc1.weight": (44,), ...}
    small = factorize(model, ranks)                            # `training.train` takes it as any network
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from common.models import prunable_parameters


def tucker2(weight: Tensor, ranks: tuple[int, int], *, sweeps: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Core and factors with ``weight[o, c] ≈ Σ core[p, q] out[o, p] in[c, q]``, tap by tap.

    The factors are the leading singular vectors of the two unfoldings (HOSVD; De Lathauwer et al. 2000): not
    the best, but within a factor √2 of the least error. Each sweep then finds the best factor of one mode
    while the other is held (HOOI), so the error never increases.

    Parameters
    ----------
    weight : float tensor of shape (o, c, ...)
    ranks : (p, q)
        1 <= p <= o, 1 <= q <= c.
    sweeps : int

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
    """Two linear layers for one: the nearest of that rank, σ shared out evenly between both.

    Raises
    ------
    ValueError
        `rank` is not in [1, min(m, n)].
    """
    weight = layer.weight.detach()
    _check("rank", rank, min(weight.shape))
    u, s, vt = torch.linalg.svd(weight.double(), full_matrices=False)
    root = s[:rank].sqrt()  # even shares: the two layers' gradients have like sizes
    first = nn.Linear(weight.shape[1], rank, bias=False)
    second = nn.Linear(rank, weight.shape[0], bias=layer.bias is not None)
    _set(first, (root[:, None] * vt[:rank]).to(weight.dtype))
    _set(second, (u[:, :rank] * root).to(weight.dtype), layer.bias)
    return nn.Sequential(first, second)


def factorize_conv(layer: nn.Conv2d, ranks: tuple[int, int], *, sweeps: int = 1) -> nn.Sequential:
    """Three convolutions for one, 1×1, k×k and 1×1; two or one where a rank is full.

    Stride, padding and dilation are the middle one's, the bias is the last one's.

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
        ranks[1], ranks[0], layer.kernel_size, layer.stride, layer.padding, layer.dilation,
        bias=layer.bias is not None and not has_out, padding_mode=layer.padding_mode,
    )  # fmt: skip
    layers = [_set(middle, core, layer.bias)]
    if has_in:
        layers.insert(0, _set(nn.Conv2d(n_in, ranks[1], 1, bias=False), in_factor.T[..., None, None]))
    if has_out:
        last = nn.Conv2d(ranks[0], n_out, 1, bias=layer.bias is not None)
        layers.append(_set(last, out_factor[..., None, None], layer.bias))
    return nn.Sequential(*layers)


def factorize(model: nn.Module, ranks: Mapping[str, tuple[int, ...]], *, sweeps: int = 1) -> nn.Module:
    """A copy of a network in which the named layers are thin ones; batch norms stay where they are.

    Parameters
    ----------
    model : nn.Module
        Left as it is. On torch's "meta" device only shapes are made.
    ranks : mapping of weight name to (r,) for a linear layer, (p, q) for a convolution
    sweeps : int
        Of `tucker2`.

    Raises
    ------
    ValueError
        A name is no layer's weight, or a rank is out of range.
    """
    small, names = copy.deepcopy(model), list(prunable_parameters(model))
    for name, rank in ranks.items():
        if name not in names:
            raise ValueError(f"{name!r} is no layer's weight: expected some of {', '.join(names)}")
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
    """(o, c, k) as a matrix with a row an input channel."""
    return taps.transpose(0, 1).flatten(1)


def _leading(matrix: Tensor, rank: int) -> Tensor:
    """The left singular vectors of the largest singular values, from the small Gram matrix's eigenvectors."""
    return torch.linalg.eigh(matrix @ matrix.T).eigenvectors.flip(1)[:, :rank]


def _set(layer: nn.Module, weight: Tensor, bias: Tensor | None = None) -> nn.Module:
    with torch.no_grad():
        layer.weight = nn.Parameter(weight.contiguous())
        if layer.bias is not None:
            layer.bias = nn.Parameter(bias.detach().clone())
    return layer


def _check(what: str, rank: int, most: int) -> None:
    if not 1 <= rank <= most:
        raise ValueError(f"{what}={rank}: expected 1 to {most}")
