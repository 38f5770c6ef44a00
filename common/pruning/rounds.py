"""Pruning by relevance, or by any other criterion: filters and weights, in one round or many.

    thin = prune(model, images, sparsity_ratios=(0.2, 0.4), weight_prune_ratios=(0.8, 0.9, 0.95),
                 criterion="relevance", tune=fine_tuning(training, config))

A trained network, reference images, ratios and a criterion go in; a pruned network comes out. Whole filters
are removed first (structured pruning), which makes the network smaller and everything that follows cheaper.
Then single weights are set to zero, ranked over all layers (unstructured, global pruning). Every ratio is a
round: scores are computed again on what is left, and then the network may be fine-tuned (as in Yeom et al.
2021, arXiv 1912.08881).

Filters of all layers are compared with each other. Relevance is conserved, so every layer's filters share the
same sum; the scores of the other criteria are divided by their layer's Euclidean norm first (Molchanov et al.
2017, arXiv 1611.06440, section 2.2).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from common.data.image_set import ImageSet
from common.networks.models import prunable_parameters
from common.networks.training import TrainConfig, train
from common.pruning.callbacks import MaskKeeper, remove_dead_channels_
from common.pruning.channel_criteria import CHANNEL_CRITERIA, best_channels
from common.pruning.channels import input_channels, slim
from common.pruning.criteria import CRITERIA
from common.pruning.masks import apply_masks_, global_masks
from common.pruning.network import ThinNetwork, load_thin, save_thin, whole_network

Tune = Callable[[ThinNetwork, Path | None], None]
SCOPES = ("global", "layer")


def _filter_relevance(model: nn.Module, data: ImageSet, *, seed: int = 0) -> dict[str, Tensor]:
    from common.pruning.relevance import filter_relevance  # imported here: zennit is loaded only when needed

    return filter_relevance(model, data, seed=seed)


def _filter_gradient(model: nn.Module, data: ImageSet, *, seed: int = 0) -> dict[str, Tensor]:
    """Return the squared gradients of the loss, summed over each filter's weights."""
    slopes = CRITERIA["gradient"](model, data, seed=seed)
    return {name: score.flatten(1).sum(1).cpu() for name, score in slopes.items() if score.ndim == 4}


FILTER_CRITERIA: dict[str, Callable[..., dict[str, Tensor]]] = {
    "magnitude": CHANNEL_CRITERIA["l1"],
    "gradient": _filter_gradient,
    "taylor": CHANNEL_CRITERIA["taylor"],
    "relevance": _filter_relevance,
    "random": CHANNEL_CRITERIA["random"],
}


def prune(
    model: nn.Module,
    data: ImageSet,
    *,
    sparsity_ratios: Sequence[float] = (),
    weight_prune_ratios: Sequence[float] = (),
    criterion: str = "relevance",
    scope: str = "global",
    seed: int = 0,
    tune: Tune | None = None,
    workdir: str | Path | None = None,
) -> ThinNetwork:
    """Prune filters, then weights, one round per ratio.

    Parameters
    ----------
    model : nn.Module
        Trained; a `vgg` with batch norm where filters are to be removed. It stays as it is.
    data : ImageSet
        Reference images for the criterion: a handful, or thousands.
    sparsity_ratios : sequence of float in [0, 1)
        Fraction of the original's filters that is gone after each of the first rounds, ascending.
    weight_prune_ratios : sequence of float in [0, 1)
        Fraction of the original's weights that is gone after each further round, ascending; those of removed
        filters count.
    criterion : str
        A key of `FILTER_CRITERIA` and of `criteria.CRITERIA`.
    scope : {"global", "layer"}
        Whether the filters of all layers are ranked together, or every layer loses the same fraction.
    seed : int
        Of the draw of images, and of the criterion ``random``.
    tune : callable (ThinNetwork, checkpoint path or None) -> None, optional
        Called after each round; `fine_tuning` makes one.
    workdir : path, optional
        Folder for the finished rounds; the next call reads them in place of computing them. The files do not
        say which arguments made them, so other arguments need another folder.

    Returns
    -------
    ThinNetwork

    Raises
    ------
    ValueError
        When the criterion or the scope is unknown, or the ratios are not ascending fractions.
    """
    _check(criterion, scope, sparsity_ratios, weight_prune_ratios)
    thin, device = whole_network(copy.deepcopy(model)), next(model.parameters()).device
    rounds = [("filters", r) for r in sparsity_ratios] + [("weights", r) for r in weight_prune_ratios]
    for number, (kind, ratio) in enumerate(rounds):
        path = None if workdir is None else Path(workdir) / f"round{number}.pt"
        if path is not None and path.exists():
            thin = load_thin(path, copy.deepcopy(model))
            thin.model.to(device)
            continue
        if kind == "filters":
            thin = prune_filters(
                thin, data, ratio, original=model, criterion=criterion, scope=scope, seed=seed
            )
        else:
            prune_weights(thin, data, ratio, criterion=criterion, seed=seed, is_tuned=tune is not None)
        if tune is not None:
            tune(thin, None if path is None else path.with_suffix(".tune.pt"))
        if path is not None:
            save_thin(thin, path)
    return thin


def prune_filters(
    thin: ThinNetwork,
    data: ImageSet,
    ratio: float,
    *,
    original: nn.Module,
    criterion: str = "relevance",
    scope: str = "global",
    seed: int = 0,
) -> ThinNetwork:
    """Return a network without the filters of lowest score.

    Afterwards `ratio` of the original's filters are gone, rounded: with scope ``layer`` in every layer. Every
    layer keeps at least one filter. Parameters are as in `prune`; `original` is the unpruned network.
    """
    device = next(thin.model.parameters()).device
    scores = FILTER_CRITERIA[criterion](thin.model, data, seed=seed)
    whole = {name: len(weight) for name, weight in prunable_parameters(original).items() if weight.ndim == 4}
    kept = choose_filters(scores, ratio, whole=whole, scope=scope, is_conserved=criterion == "relevance")
    masks = {}
    for name, source in input_channels(kept, thin.model).items() if thin.masks else ():
        mask = thin.masks[name] if name not in kept else thin.masks[name][kept[name]]
        masks[name] = mask if source is None else mask[:, source]
    names = {name: thin.kept[name][now] for name, now in kept.items()} if thin.kept else kept
    return ThinNetwork(slim(thin.model, kept).eval().to(device), thin.n_weights, masks=masks, kept=names)


def choose_filters(
    scores: Mapping[str, Tensor],
    ratio: float,
    *,
    whole: Mapping[str, int] | None = None,
    scope: str = "global",
    is_conserved: bool = False,
) -> dict[str, Tensor]:
    """Return the filters that stay when `ratio` of all filters are removed: for `channels.slim`.

    Parameters
    ----------
    scores : mapping of weight name to tensor of shape (out_channels,)
        Higher = keep.
    ratio : float in [0, 1)
        Fraction of the filters in `whole` that is to be gone.
    whole : mapping of weight name to int, optional
        Number of filters of each layer of the original, where some are gone already; by default as many as
        there are scores.
    scope : {"global", "layer"}
        Whether the filters of all layers are ranked together, or the ratio holds in every layer.
    is_conserved : bool
        True where the scores of every layer have the same sum (relevance). Else they are divided by their
        layer's Euclidean norm, to be comparable; without effect in scope ``layer``.

    Returns
    -------
    dict of weight name to int64 tensor, ascending
        At least one filter per layer; of equal scores the earlier filter stays.
    """
    scores = {name: score.cpu() for name, score in scores.items()}
    whole = {name: len(score) for name, score in scores.items()} if whole is None else whole
    if scope == "layer":
        kept = {}
        for name, score in scores.items():
            n = min(len(score), max(1, round((1 - ratio) * whole[name])))
            kept |= best_channels({name: score}, n / len(score))
        return kept
    comparable = {
        name: (score if is_conserved else score / max(float(score.norm()), 1e-30)).double().clone()
        for name, score in scores.items()
    }
    for score in comparable.values():
        score[score.argmax()] = torch.inf  # each layer's best filter stays: no data passes an empty layer
    total = sum(len(score) for score in scores.values())
    n_kept = min(total, max(len(scores), round((1 - ratio) * sum(whole.values()))))
    masks = global_masks(comparable, 1 - n_kept / total)
    return {name: mask.nonzero().flatten() for name, mask in masks.items()}


def prune_weights(
    thin: ThinNetwork,
    data: ImageSet,
    ratio: float,
    *,
    criterion: str = "relevance",
    seed: int = 0,
    is_tuned: bool = False,
) -> None:
    """Set the weights of lowest score to zero, in place, until `ratio` of the original's weights are gone.

    Where more are gone already, nothing changes. With `is_tuned`, channels that are left without input or
    without reader are pruned, too: the fine-tuning that follows makes up for the constant they added.
    """
    scores = CRITERIA[criterion](thin.model, data, seed=seed)
    own = sum(score.numel() for score in scores.values())
    n_kept = min(own, round((1 - ratio) * thin.n_weights))
    current = {name: mask.to(scores[name].device) for name, mask in thin.masks.items()}
    thin.masks = global_masks(scores, 1 - n_kept / own, current=current or None)
    if is_tuned:
        remove_dead_channels_(thin.masks, list(scores))
    apply_masks_(thin.model, thin.masks)


def fine_tuning(data: ImageSet, config: TrainConfig, **options) -> Tune:
    """Return a function for `prune` to call after each round: it trains what is left and keeps zeros zero.

    Parameters
    ----------
    data : ImageSet
        Training images.
    config : TrainConfig
        Of the training after each round.
    **options
        Passed on to `training.train`: validation, objective, device, ...
    """

    def tune(thin: ThinNetwork, checkpoint: Path | None) -> None:
        callbacks = [MaskKeeper(thin.masks)] if thin.masks else []
        train(thin.model, data, config, callbacks=callbacks, checkpoint=checkpoint, **options)

    return tune


def _check(criterion: str, scope: str, *ratios: Sequence[float]) -> None:
    known = [name for name in FILTER_CRITERIA if name in CRITERIA]
    if criterion not in known:
        raise ValueError(f"criterion={criterion!r}: expected one of {', '.join(known)}")
    if scope not in SCOPES:
        raise ValueError(f"scope={scope!r}: expected one of {', '.join(SCOPES)}")
    for some in ratios:
        if list(some) != sorted(some) or not all(0 <= ratio < 1 for ratio in some):
            raise ValueError(f"ratios {tuple(some)}: expected fractions in [0, 1), ascending")
