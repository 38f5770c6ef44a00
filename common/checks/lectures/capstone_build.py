"""Capstone, "Build it": masks of the largest weights, layers that share values, the loss of each stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from common.checks.comparing import call, expect, kind_of
from common.checks.grading import NotYet
from common.checks.lectures import fill_in


def _network(seed: int):
    """Two small layers of unequal size and scale, whose weights have distinct magnitudes."""
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        for layer, scale in ((model[0], 1.0), (model[2], 0.5)):
            order = torch.randperm(layer.weight.numel(), generator=generator) + 1
            signs = torch.where(order % 2 == 0, 1.0, -1.0)
            layer.weight.copy_((scale * order * signs / 8).reshape(layer.weight.shape))
            layer.bias.fill_(0.25)
    return model


def _weights(model) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy().copy() for name, value in model.named_parameters() if value.ndim > 1}


def _prune(model, sparsity):
    from common.networks import prunable_parameters
    from common.pruning import apply_masks_, global_masks, magnitude_scores

    masks = global_masks(magnitude_scores(prunable_parameters(model)), sparsity)
    apply_masks_(model, masks)
    return masks


@fill_in(own=_prune)
def prune(answer: Callable) -> str:
    """Global magnitude pruning in place, and the masks of it."""
    for seed, sparsity in ((1, 0.5), (2, 0.75)):
        model, wanted = _network(seed), _network(seed)
        before, biases = _weights(model), model[0].bias.detach().clone()
        masks = _prune(wanted, sparsity)
        got = _run(answer, model, sparsity, told=f"two layers of 12 and 6 weights and sparsity {sparsity}")
        if not isinstance(got, Mapping) or set(got) != set(masks):
            raise NotYet(
                f"It returns {kind_of(got)}, expected a dict with a mask for each of {sorted(masks)}.",
                hint="Return what global_masks makes.",
            )
        kept = {name: np.asarray(got[name]).astype(bool) for name in masks}
        if any(kept[name].shape != masks[name].shape for name in masks):
            raise NotYet("A mask has another shape than its weight.")
        right = {name: mask.numpy() for name, mask in masks.items()}
        if not all(np.array_equal(kept[name], right[name]) for name in masks):
            raise NotYet("It keeps other weights.", hint=_hint_of_masks(kept, right, before, sparsity))
        after = _weights(model)
        if all(np.array_equal(after[name], before[name]) for name in before):
            raise NotYet("The network still has all of its weights.", hint="apply_masks_(model, masks)")
        if not all(np.array_equal(after[name], before[name] * right[name]) for name in before):
            raise NotYet("The kept weights have changed.", hint="Only multiply by the masks: apply_masks_.")
        if not np.array_equal(model[0].bias.detach(), biases):
            raise NotYet("A bias was pruned.", hint="Scores of prunable_parameters(model) alone.")
    return "The masks, and the zeros in the network, at two sparsities."


def _hint_of_masks(kept: dict, right: dict, weights: dict, sparsity: float) -> str:
    n_kept, n_right = (sum(int(mask.sum()) for mask in masks.values()) for masks in (kept, right))
    if all(np.array_equal(kept[name], ~right[name]) for name in right):
        return "The mask is True where a weight is *kept*."
    if n_kept != n_right:
        return f"{n_kept} weights are kept, expected {n_right}: the second argument is the *sparsity*."
    signed = np.concatenate([weights[name][kept[name]] for name in right])
    if (signed > 0).all():
        return "The large *negative* weights are gone: the score is the magnitude."
    if all(int(kept[name].sum()) == round((1 - sparsity) * right[name].size) for name in right):
        return "That many of *each* layer: one list for all layers (global_masks)."
    return "Scores by magnitude_scores, and one threshold for all layers by global_masks."


def _share(model, masks, values):
    from common.networks import prunable_parameters
    from common.sharing import share_weights

    return {
        name: share_weights(weight, masks[name], n_clusters=values, codebook_dtype=np.float16)
        for name, weight in prunable_parameters(model).items()
    }


@fill_in(own=_share)
def share(answer: Callable) -> str:
    """Each layer's kept weights as a `SharedTensor`."""
    from common.codec import SharedTensor

    for seed, sparsity, values in ((3, 0.25, 3), (4, 0.5, 2)):
        model = _network(seed)
        masks = _prune(model, sparsity)
        wanted = _share(model, masks, values)
        got = _run(answer, model, masks, values, told=f"two layers and values={values}")
        if not isinstance(got, Mapping) or set(got) != set(wanted):
            raise NotYet(f"It returns {kind_of(got)}, expected a dict with an entry for {sorted(wanted)}.")
        for name, tensor in wanted.items():
            ours = got[name]
            if not isinstance(ours, SharedTensor):
                raise NotYet(f"{name}: it has {kind_of(ours)}, expected what share_weights returns.")
            _compare_shared(name, ours, tensor, values)
    return "Codebooks, positions and indices of two networks."


def _compare_shared(name: str, got, wanted, values: int) -> None:
    if got.n_kept != wanted.n_kept:
        hint = "Give share_weights the layer's mask: zeros would take a cluster of their own."
        raise NotYet(f"{name}: {got.n_kept} weights are stored, {wanted.n_kept} are kept.", hint=hint)
    if got.n_clusters > values:
        hint = "n_clusters=values; the third argument by place is a number of *bits*."
        raise NotYet(f"{name}: {got.n_clusters} values, at most {values} are allowed.", hint=hint)
    if got.codebook.dtype != np.float16:
        hint = "codebook_dtype=np.float16 saves two bytes per value."
        raise NotYet(f"{name}: the codebook is {got.codebook.dtype}, expected float16.", hint=hint)
    if not np.array_equal(got.to_dense(), wanted.to_dense()):
        raise NotYet(f"{name}: other values.", hint="k-means over the *kept* weights of this layer alone.")


def _run(answer: Callable, *arguments: object, told: str) -> object:
    """The answer's result for these very arguments, which it may change."""
    try:
        got = answer(*arguments)
    except NotImplementedError as error:
        raise NotYet("It is not written yet.", hint=str(error)) from None
    except Exception as error:
        text = " ".join(str(error).split())[:160]
        raise NotYet(f"It raises {type(error).__name__} for {told}: {text}") from None
    if got is None:
        raise NotYet(f"It returns nothing for {told}.", hint="Is there a return at its end?")
    return got


def _lost_points(accuracies):
    accuracies = np.asarray(accuracies)
    return 100 * (accuracies[:-1] - accuracies[1:])


@fill_in(own=_lost_points)
def lost_points(answer: Callable) -> str:
    """Percentage points lost from each accuracy to the next."""
    for accuracies in ([0.95, 0.5, 0.875], [0.75, 0.8125, 0.8125, 0.25]):
        values = np.array(accuracies)
        wanted = 100 * (values[:-1] - values[1:])
        suspects = [
            ("The sign is wrong: a loss is positive where the accuracy falls.", -wanted),
            ("Percentage points are asked for: times 100.", wanted / 100),
            (
                "Subtract each accuracy from the one before, not from the first.",
                100 * (values[0] - values[1:]),
            ),
            ("A difference in points is asked for, not a share of what was there.", wanted / values[:-1]),
        ]
        got = call(answer, accuracies, told=f"{accuracies}")
        expect(got, wanted, tolerance=1e-4, suspects=suspects, what="The loss", shown={"accuracies": values})
    return "Losses and gains of two runs."
