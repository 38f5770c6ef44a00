"""A network that is being pruned: its weights, its masks, and which of the original channels it still has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from common.base.files import whole_file
from common.data.image_set import ImageSet
from common.networks.models import batch_norm_scales, prunable_parameters, rectified_layers, vgg
from common.networks.training import History, TrainConfig, train
from common.pruning.callbacks import (
    GradualPruner,
    Masks,
    apply_masks_,
    global_masks,
    lamp_scores,
    magnitude_scores,
    normalized_scores,
    remove_dead_channels_,
)
from common.pruning.channels import channel_importance, choose_channels, configuration, slim
from common.pruning.criteria import gradient
from common.pruning.fisher import FisherScores

SCORES = {
    "magnitude": lambda: magnitude_scores,
    "normalized": lambda: normalized_scores,
    "lamp": lambda: lamp_scores,
    "fisher": FisherScores,
    # Three bits for the value: that of an index into eight shared values.
    "fisher_by_rate": lambda: FisherScores(value_bits=3.0),
    # As older files were made: the bits of places hardly count (`FisherScores`, uses_masks).
    "fisher_per_bit": lambda: FisherScores(value_bits=3.0, uses_masks=False),
}


def one_shot_scores(criterion: str) -> Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]:
    """Return a criterion's function ``weights -> scores``, for a criterion that needs no gradients.

    Raises
    ------
    ValueError
        When the criterion learns from the gradients of fine-tuning.
    """
    score = SCORES[criterion]()
    if hasattr(score, "before_step"):
        alone = [name for name, make in SCORES.items() if not hasattr(make(), "before_step")]
        raise ValueError(
            f"criterion={criterion!r} learns from gradients: give epochs, or take one of {', '.join(alone)}"
        )
    return score


@dataclass
class ThinNetwork:
    """A network, its masks, and the channels of the original that it has.

    Parameters
    ----------
    model : nn.Module
        The network, without the removed channels.
    n_weights : int
        Prunable weights of the original network: sparsity is always measured against them.
    masks : Masks
        In the shapes of `model`; empty when no single weight was pruned.
    kept : dict of weight name to int64 tensor
        Output channels of the original that each convolution still has, ascending; empty when no channel was
        removed.
    """

    model: nn.Module
    n_weights: int
    masks: Masks = field(default_factory=dict)
    kept: dict[str, Tensor] = field(default_factory=dict)

    @property
    def n_kept(self) -> int:
        """Number of weights that are not pruned."""
        if self.masks:
            return sum(int(mask.sum()) for mask in self.masks.values())
        return sum(weight.numel() for weight in prunable_parameters(self.model).values())

    @property
    def sparsity(self) -> float:
        """Fraction of the original network's weights that are gone, in [0, 1]."""
        return 1.0 - self.n_kept / self.n_weights


def whole_network(model: nn.Module) -> ThinNetwork:
    """Return the `ThinNetwork` of a model of which nothing has been pruned."""
    return ThinNetwork(model, sum(weight.numel() for weight in prunable_parameters(model).values()))


def take_out_channels(
    thin: ThinNetwork, data: ImageSet, *, macs_fraction: float, least: int = 32, seed: int = 0
) -> ThinNetwork:
    """Return the network without its least important channels (see `channels`); the given one stays whole.

    Parameters
    ----------
    thin : ThinNetwork
        A `vgg` with batch norm. It may have lost channels and weights before; pruned weights stay pruned.
    data : ImageSet
        Training images, for the importance of channels.
    macs_fraction : float in (0, 1]
        Fraction of the convolutions' present multiply-adds that may be left.
    least : int
        Channels that a layer keeps at least, where it has as many.
    seed : int
        Of the draw of images.
    """
    importance = channel_importance(thin.model, data, seed=seed)
    chosen = choose_channels(importance, thin.model, macs_fraction=macs_fraction, least=least)
    model = slim(thin.model, chosen)
    kept = {name: thin.kept[name].cpu()[now] if thin.kept else now for name, now in chosen.items()}
    masks = {name: weight != 0 for name, weight in prunable_parameters(model).items()} if thin.masks else {}
    return ThinNetwork(model, thin.n_weights, masks=masks, kept=kept)


def prune(
    thin: ThinNetwork,
    data: ImageSet | None,
    config: TrainConfig,
    *,
    sparsity: float,
    criterion: str = "magnitude",
    ramp: float = 0.6,
    **options,
) -> History:
    """Prune in place to a sparsity while fine-tuning, then fine-tune what is left.

    Sparsity rises along a cubic curve (Zhu & Gupta 2017) over the first `ramp` of the steps. With zero epochs
    the pruning is one-shot. In the end, channels that are left without input or without reader are pruned,
    too (`channels.remove_dead_channels_`).

    Parameters
    ----------
    thin : ThinNetwork
        Its weights and masks change.
    data : ImageSet, optional
        Training images; not needed without epochs, unless the criterion uses gradients.
    config : TrainConfig
        Of the fine-tuning.
    sparsity : float in [0, 1]
        Fraction of the original network's weights that is to be gone, removed channels included.
    criterion : {"magnitude", "normalized", "lamp", "fisher", "fisher_by_rate", "fisher_per_bit"}
        The last three use gradients: those of the fine-tuning, or, without epochs, those of some training
        images.
    ramp : float in (0, 1]
        Fraction of the steps during which the sparsity rises.
    **options
        Passed on to `training.train`: validation, checkpoint, device, ...

    Returns
    -------
    History
        Of the fine-tuning; empty without epochs.

    Raises
    ------
    ValueError
        When the criterion is unknown or lacks images, or fewer weights are left than the sparsity keeps.
    """
    if criterion not in SCORES:
        raise ValueError(f"criterion={criterion!r}: expected one of {', '.join(SCORES)}")
    score = SCORES[criterion]()
    names = list(prunable_parameters(thin.model))
    own = sum(weight.numel() for weight in prunable_parameters(thin.model).values())
    n_kept = round((1.0 - sparsity) * thin.n_weights)
    if n_kept > own:
        raise ValueError(f"sparsity={sparsity} keeps {n_kept} weights: only {own} are left after slimming")
    own_sparsity = 1.0 - n_kept / own
    steps = config.epochs * (len(data) // config.batch_size) if config.epochs else 0
    history = History()
    if steps:
        end = max(1, int(ramp * steps))
        start_sparsity = 1.0 - thin.n_kept / own if thin.masks else 0.0
        pruner = GradualPruner(
            own_sparsity,
            0,
            end,
            every=max(1, end // 60),
            initial_sparsity=min(start_sparsity, own_sparsity),
            score=score,
            names=names,
            masks=thin.masks or None,
        )
        history = train(thin.model, data, config, callbacks=[pruner], **options)
        thin.masks = pruner.masks
    elif isinstance(score, FisherScores):
        if data is None:
            raise ValueError(f"criterion={criterion!r} looks at gradients: give it training images")
        score.fisher = gradient(thin.model, data, seed=config.seed)
    weights = prunable_parameters(thin.model)
    thin.masks = global_masks(score(weights), own_sparsity, current=thin.masks or None)
    remove_dead_channels_(thin.masks, names, biases=None if steps else _inference_biases(thin.model))
    apply_masks_(thin.model, thin.masks)
    return history


def save_thin(thin: ThinNetwork, path: str | Path) -> None:
    """Write a thin network; a file that was at `path` is replaced only when the new one is complete."""
    slimmed = configuration(thin.model) if thin.kept else None
    state = {
        "channels": slimmed,
        "model": thin.model.state_dict(),
        "masks": thin.masks,
        "kept": thin.kept,
        "n_weights": thin.n_weights,
    }
    with whole_file(path) as aside:
        torch.save(state, aside)


def load_thin(path: str | Path, whole: nn.Module) -> ThinNetwork:
    """Read `save_thin`'s file; `whole` is a network of the original architecture, and may be overwritten."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    model = whole
    if state["channels"] is not None:
        model = vgg(
            state["channels"],
            num_classes=whole.classifier[-1].out_features,
            hidden=whole.classifier[0].out_features,
            in_channels=whole.features[0].in_channels,
        )
    model.load_state_dict(state["model"])
    return ThinNetwork(model, state["n_weights"], state["masks"], state["kept"])


def _inference_biases(model: nn.Module) -> Mapping[str, Tensor]:
    """Return biases by weight name, as they act at inference: with the batch norm behind folded in.

    Without a ReLU behind it a negative constant has an effect, too: there biases' magnitudes are returned.
    """
    norms, rectified = batch_norm_scales(model), rectified_layers(model)
    biases = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bias = norms[name][1] if name in norms else module.bias.detach()
            biases[f"{name}.weight"] = bias if name in rectified else bias.abs()
    return biases
