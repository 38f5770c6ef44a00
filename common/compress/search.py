"""How far may a network be compressed? A search for the sparsity and the bits of each layer.

Two numbers are varied: the sparsity, and the distortion that weight sharing may add to the kept weights, from
which `bits_per_layer` finds the bits of every layer. A trial is the whole pipeline without fine-tuning:
prune, share, code, read back, and measure on the validation split. Test images are not used for any choice.

For a target ratio: at each distortion the lowest sparsity whose file is small enough; the most accurate wins.
For a target drop: at each distortion the highest sparsity whose drop is small enough; the smallest file wins.
Bisection finds both, because with growing sparsity files shrink and accuracy falls (the latter nearly
always).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import nn

from common.base.progress import progress
from common.compress.pipeline import CompressConfig, decompress, encode, share
from common.data.image_set import ImageSet
from common.networks.models import dense_bytes, prunable_parameters
from common.networks.training import evaluate
from common.pruning.network import prune, whole_network
from common.sharing.weight_sharing import bits_per_layer

DISTORTIONS = (0.003, 0.01, 0.03, 0.1)
_MOST = 0.9999  # the highest sparsity tried
_STEPS = 7  # of bisection: 2 ** -7 is less than a hundredth of the range


@dataclass(frozen=True)
class Trial:
    """One way to compress, measured.

    Attributes
    ----------
    config : CompressConfig
        With the `sparsity` and `layer_bits` tried; add epochs to fine-tune what the search has found.
    distortion : float
        Budget of weight sharing: squared error over the sum of squares of the kept weights.
    data : bytes
        The file.
    ratio : float
        Dense float32 bytes of the whole network over those of the file.
    drop_points : float or None
        Top-1 accuracy lost on the validation images, in percentage points; None where not measured.
    """

    config: CompressConfig
    distortion: float
    data: bytes
    ratio: float
    drop_points: float | None = None


class TargetMissed(ValueError):
    """No trial met the target."""


def search(
    model: nn.Module,
    architecture: Mapping[str, object],
    validation: ImageSet,
    *,
    target_ratio: float | None = None,
    target_drop: float | None = None,
    criterion: str = "magnitude",
    distortions: Sequence[float] = DISTORTIONS,
    device: str | None = None,
) -> tuple[Trial, list[Trial]]:
    """Find the sparsity and the bits of each layer that meet a target.

    Parameters
    ----------
    model : nn.Module
        Trained; stays as it is.
    architecture : mapping
        As for `pipeline.compress`.
    validation : ImageSet
        Images that were split off the training set.
    target_ratio : float > 1, optional
        Compression ratio that is wanted at least. Give this or `target_drop`.
    target_drop : float in [0, 100], optional
        Drop of top-1 accuracy that is allowed at most, in percentage points.
    criterion : {"magnitude", "normalized", "lamp"}
        Which weights are pruned.
    distortions : sequence of float
        Budgets of weight sharing to try (`bits_per_layer`).
    device : str, optional
        By default the GPU if there is one.

    Returns
    -------
    best : Trial
        The most accurate trial for a ratio, the smallest file for a drop.
    trials : list of Trial
        All trials, in the order in which they were made.

    Raises
    ------
    ValueError
        When both targets or neither are given, or one is out of its range.
    TargetMissed
        When no trial meets the target: it needs fine-tuning, or is out of reach.
    """
    _check_targets(target_ratio, target_drop)
    whole_bytes, trials = dense_bytes(model), []
    steps = len(distortions) * (_STEPS + 1)
    bar = progress(total=steps, desc="search", unit="trial")
    baseline = evaluate(model, validation, device=device).top1

    def attempt(sparsity: float, distortion: float, *, is_measured: bool) -> Trial:
        config, data = _compress(model, architecture, sparsity, distortion, criterion)
        trial = Trial(config, distortion, data, whole_bytes / len(data))
        trial = measured(trial) if is_measured else trial
        trials.append(trial)
        bar.update(1)
        return trial

    def measured(trial: Trial) -> Trial:
        top1 = evaluate(decompress(trial.data), validation, device=device).top1
        return replace(trial, drop_points=100 * (baseline - top1))

    met = []
    for distortion in distortions:
        if target_ratio is not None:
            found = _lowest(
                lambda s, d=distortion: attempt(s, d, is_measured=False), lambda t: t.ratio >= target_ratio
            )
            met += [] if found is None else [measured(found)]
        else:
            found = _highest(
                lambda s, d=distortion: attempt(s, d, is_measured=True),
                lambda t: t.drop_points <= target_drop + 1e-9,
            )
            met += [] if found is None else [found]
    bar.close()
    if not met:
        wanted = f"ratio {target_ratio}" if target_ratio is not None else f"drop {target_drop} points"
        raise TargetMissed(f"{wanted}: none of {len(trials)} trials (not fine-tuned) meets it; ask for less")
    if target_ratio is not None:
        return min(met, key=lambda trial: (trial.drop_points, -trial.ratio)), trials
    return max(met, key=lambda trial: (trial.ratio, -trial.drop_points)), trials


def _compress(
    model: nn.Module, architecture: Mapping, sparsity: float, distortion: float, criterion: str
) -> tuple[CompressConfig, bytes]:
    thin = whole_network(copy.deepcopy(model))
    config = CompressConfig(sparsity=sparsity, criterion=criterion)
    prune(thin, None, config.prune, sparsity=sparsity, criterion=criterion)
    parameters = prunable_parameters(thin.model)
    weights = {name: weight.detach().cpu().numpy() for name, weight in parameters.items()}
    masks = {name: mask.cpu().numpy() for name, mask in thin.masks.items()}
    bits = bits_per_layer(weights, masks, distortion)
    config = replace(config, layer_bits=tuple(sorted(bits.items())))
    return config, encode(thin, share(thin, None, config), config, architecture)


def _lowest(attempt: Callable[[float], Trial], is_met: Callable[[Trial], bool]) -> Trial | None:
    """Return the trial of the lowest sparsity that meets the target, by bisection; None if `_MOST` fails."""
    low, high, best = 0.0, _MOST, attempt(_MOST)
    if not is_met(best):
        return None
    for _ in range(_STEPS):
        middle = (low + high) / 2
        trial = attempt(middle)
        low, high, best = (low, middle, trial) if is_met(trial) else (middle, high, best)
    return best


def _highest(attempt: Callable[[float], Trial], is_met: Callable[[Trial], bool]) -> Trial | None:
    """Return the trial of the highest sparsity that meets the target, by bisection; None if 0 fails."""
    low, high, best = 0.0, _MOST, attempt(0.0)
    if not is_met(best):
        return None
    for _ in range(_STEPS):
        middle = (low + high) / 2
        trial = attempt(middle)
        low, high, best = (middle, high, trial) if is_met(trial) else (low, middle, best)
    return best


def _check_targets(ratio: float | None, drop: float | None) -> None:
    if (ratio is None) == (drop is None):
        raise ValueError(f"target_ratio={ratio}, target_drop={drop}: give one of them")
    if ratio is not None and not 1 < ratio < 1e6:
        raise ValueError(f"target_ratio={ratio}: expected more than 1 and less than 1,000,000")
    if drop is not None and not 0 <= drop <= 100:
        raise ValueError(f"target_drop={drop}: expected percentage points from 0 to 100")
