"""Masks: which weights are kept, chosen from scores, with exact counts.

A mask is a boolean tensor of its weight's shape, True = kept; ``Masks`` maps parameter names to masks.
Scores say how much a weight matters (higher = keep). Masks follow from scores alone, so a new criterion is
just a new function ``weights -> scores``.

    global_masks({"a": tensor([3., 1.]), "b": tensor([2., 2.])}, 0.5) -> {"a": [True, False], "b": [True,
    False]}
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

Masks = dict[str, Tensor]


def magnitude_scores(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the magnitude of each weight, the L1 criterion (Han et al. 2015, arXiv 1506.02626).

    Parameters
    ----------
    weights : mapping of name to tensor of any shape

    Returns
    -------
    dict of name to tensor of the same shape
        Absolute values, detached from the graph, in the weight's dtype (float64 for integers).
    """
    return {
        # Integers become float64 first: in int8, abs(-128) would be -128.
        name: (weight.detach() if weight.is_floating_point() else weight.detach().double()).abs()
        for name, weight in weights.items()
    }


def normalized_scores(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return magnitudes divided by their tensor's root mean square.

    The scale of weights differs between layers. With plain magnitudes, global pruning takes most from layers
    of small scale; here only the size relative to the own layer counts.

    Parameters
    ----------
    weights : mapping of name to tensor of any shape

    Returns
    -------
    dict of name to float32 tensor of the same shape
        >= 0; all zeros for an all-zero tensor.
    """
    scores = {}
    for name, magnitude in magnitude_scores(weights).items():
        # In float64 and divided by the largest, since squares may overflow: 1e30 in float32, 1000 in float16.
        exact = magnitude.double()
        largest = exact.max() if exact.numel() else exact.new_ones(())
        exact = exact / torch.where(largest > 0, largest, torch.ones_like(largest))
        rms = exact.square().mean().sqrt() if exact.numel() else exact.new_ones(())
        scores[name] = (exact / torch.where(rms > 0, rms, torch.ones_like(rms))).float()
    return scores


def lamp_scores(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return layer-adaptive magnitudes: w² over the sum of squares of the tensor's weights not below it.

    The largest weight of every tensor scores 1, so global pruning cannot empty a layer before the others
    (Lee et al., "Layer-adaptive sparsity for the magnitude-based pruning", ICLR 2021, arXiv 2010.07611).

    Parameters
    ----------
    weights : mapping of name to tensor of any shape

    Returns
    -------
    dict of name to float32 tensor of the same shape
        In [0, 1]; all zeros for an all-zero tensor.
    """
    scores = {}
    for name, weight in weights.items():
        magnitudes = weight.detach().flatten().double().abs()
        largest = magnitudes.max() if magnitudes.numel() else magnitudes.new_ones(())
        magnitudes = magnitudes / torch.where(largest > 0, largest, torch.ones_like(largest))
        squares, order = magnitudes.square().sort(stable=True)
        not_smaller = squares.flip(0).cumsum(0).flip(0)
        ratio = torch.where(not_smaller > 0, squares / not_smaller, torch.zeros_like(not_smaller))
        score = torch.empty(squares.shape, dtype=torch.float32, device=squares.device)
        score[order] = ratio.to(torch.float32)
        scores[name] = score.view(weight.shape)
    return scores


def global_masks(scores: Mapping[str, Tensor], sparsity: float, *, current: Masks | None = None) -> Masks:
    """Keep the weights with the highest scores, all tensors ranked together.

    Exactly ``round((1 - sparsity) * n)`` of the n weights are kept. Among equal scores the earlier weight
    is kept: tensors in the mapping's order, row-major inside each.

    Parameters
    ----------
    scores : mapping of name to tensor
        Higher = keep; no NaN.
    sparsity : float in [0, 1]
        Fraction of zeros over all tensors.
    current : Masks, optional
        What is pruned in these masks stays pruned. When they keep fewer weights than asked for, all of those
        stay.

    Returns
    -------
    Masks
        A mask for every name in ``scores``.

    Raises
    ------
    ValueError
        When sparsity is outside [0, 1], a score is NaN, or the current masks do not fit the scores.
    """
    check_sparsity(sparsity)
    _check_scores(scores, current)
    if not scores:
        return {}
    flat = torch.cat([score.detach().flatten() for score in scores.values()])
    allowed = None if current is None else torch.cat([current[name].flatten() for name in scores])
    kept = _keep_highest(flat, round((1 - sparsity) * flat.numel()), allowed)
    parts = kept.split([score.numel() for score in scores.values()])
    return {
        name: part.view(score.shape).clone()
        for (name, score), part in zip(scores.items(), parts, strict=True)
    }


def layerwise_masks(
    scores: Mapping[str, Tensor], sparsity: Mapping[str, float], *, current: Masks | None = None
) -> Masks:
    """Keep the weights with the highest scores of each tensor, at a sparsity of its own.

    Parameters
    ----------
    scores : mapping of name to tensor
        Higher = keep; no NaN.
    sparsity : mapping of name to float in [0, 1]
        One entry for every name in ``scores``.
    current : Masks, optional
        As in `global_masks`.

    Returns
    -------
    Masks
        A mask for every name in ``scores``.

    Raises
    ------
    ValueError
        As in `global_masks`; also when the names of ``sparsity`` are not those of ``scores``.
    """
    if set(sparsity) != set(scores):
        raise ValueError(
            f"sparsity must name the tensors of scores: missing {sorted(set(scores) - set(sparsity))}, "
            f"unknown {sorted(set(sparsity) - set(scores))}"
        )
    masks = {}
    for name, score in scores.items():
        masks |= global_masks({name: score}, sparsity[name], current=current)
    return masks


def random_masks(
    weights: Mapping[str, Tensor], sparsity: float, *, seed: int, current: Masks | None = None
) -> Masks:
    """Keep weights drawn uniformly over all tensors: the control experiment for any criterion.

    Parameters
    ----------
    weights : mapping of name to tensor
        Only shapes and devices are used.
    sparsity : float in [0, 1]
        Fraction of zeros over all tensors.
    seed : int
        Of the draw.
    current : Masks, optional
        As in `global_masks`.

    Returns
    -------
    Masks
        The same on every device.
    """
    generator = torch.Generator().manual_seed(seed)
    scores = {
        name: torch.rand(weight.shape, generator=generator).to(weight.device)
        for name, weight in weights.items()
    }
    return global_masks(scores, sparsity, current=current)


def apply_masks_(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Set the pruned weights of a model to exactly 0.0, in place.

    Parameters
    ----------
    model : nn.Module
        Its parameters without a mask stay as they are.
    masks : mapping of parameter name to bool tensor
        Of the parameter's shape, True = kept; on any device.

    Raises
    ------
    ValueError
        When a mask's name, shape or dtype does not fit the model's parameters.
    """
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        if name not in parameters:
            raise ValueError(
                f"masks name {name!r}, which is not a parameter of the model; it has {sorted(parameters)}"
            )
        _check_mask(name, mask, parameters[name].shape)
        with torch.no_grad():
            parameters[name].masked_fill_(~mask.to(parameters[name].device), 0.0)


def sparsity_of(masks: Mapping[str, Tensor]) -> float:
    """Return the fraction of pruned weights over all masks, in [0, 1]; 0.0 without masks."""
    total = sum(mask.numel() for mask in masks.values())
    return 1 - sum(int(mask.sum()) for mask in masks.values()) / total if total else 0.0


def check_sparsity(sparsity: float) -> None:
    """Raise ValueError unless the sparsity is a fraction in [0, 1]."""
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity={sparsity} should be in [0, 1] (a fraction of zeros, not percent)")


def _check_mask(name: str, mask: Tensor, shape: torch.Size) -> None:
    if mask.dtype != torch.bool or mask.shape != shape:
        raise ValueError(
            f"mask of {name!r} has dtype {mask.dtype} and shape {tuple(mask.shape)}; "
            f"expected torch.bool {tuple(shape)}"
        )


def _check_scores(scores: Mapping[str, Tensor], current: Mapping[str, Tensor] | None) -> None:
    for name, score in scores.items():
        if score.isnan().any():
            raise ValueError(f"scores of {name!r} hold NaN; look for a diverged training run")
        if current is not None:
            if name not in current:
                raise ValueError(f"current masks lack {name!r}; they have {sorted(current)}")
            _check_mask(name, current[name], score.shape)


def _keep_highest(scores: Tensor, n_keep: int, allowed: Tensor | None) -> Tensor:
    """Return a mask of the n_keep highest flat scores among the allowed ones; of equal ones the earlier."""
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -torch.inf)
        n_keep = min(n_keep, int(allowed.sum()))
    if n_keep == 0:
        return torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
    threshold = _kth_smallest(scores, scores.numel() - n_keep + 1, by_sorting=scores.is_cuda)
    kept = scores > threshold
    tied = scores == threshold if allowed is None else (scores == threshold) & allowed
    kept[tied.nonzero().flatten()[: n_keep - int(kept.sum())]] = True
    return kept


def _kth_smallest(scores: Tensor, k: int, *, by_sorting: bool) -> Tensor:
    """Return the k-th value in ascending order, counted from 1; both ways give the same.

    On a GPU sorting is faster: there kthvalue searches with a single block of threads, which takes seconds
    for AlexNet's 57 million weights.
    """
    return scores.sort().values[k - 1] if by_sorting else scores.kthvalue(k).values
