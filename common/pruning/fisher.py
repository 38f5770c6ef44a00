"""Pruning by the growth of the loss when a weight is removed, on request per bit that the weight takes.

    pruner = GradualPruner(0.99, 0, 5000, score=FisherScores())
    train(model, data, config, callbacks=[pruner])

At a minimum of the loss, removing weight w raises it by about ½ w² ∂²L/∂w² (LeCun, Denker, Solla 1990,
"Optimal brain damage"). The mean of the weight's squared gradients, the diagonal of the empirical Fisher
information, approximates the second derivative. Training computes the gradients anyway, so no extra images
are needed.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from common.codec.zones import place_bits


class FisherScores:
    """A criterion for `GradualPruner`: squared weight times a running mean of its squared gradients.

    It is both the ``score`` and, through the pruner, a callback that collects the gradients.

    Parameters
    ----------
    decay : float in [0, 1)
        Of the exponential running mean; over the first ``1 / (1 - decay)`` steps it is the plain mean.
    value_bits : float > 0, optional
        If given, the score is divided by the bits that the weight takes: these for its value, and those for
        its position (`codec.zones.place_bits`). Weights that are alone in their row or column are then pruned
        first. By default the bits do not count.
    uses_masks : bool
        Whether `GradualPruner` says which weights are kept. Without that, those that are not 0 count as kept:
        right after an optimizer's step that is nearly every one, the bits hardly count, and the criterion
        ranks as plain Fisher information does. The files that name ``fisher_per_bit`` were made so, and the
        tiny LeNets.

    Raises
    ------
    ValueError
        When an option is out of its range.
    """

    def __init__(
        self, *, decay: float = 0.99, value_bits: float | None = None, uses_masks: bool = True
    ) -> None:
        if not 0 <= decay < 1 or (value_bits is not None and not value_bits > 0):
            raise ValueError(f"decay={decay}, value_bits={value_bits}: expected in [0, 1), and > 0 or None")
        self.decay, self.value_bits = decay, value_bits
        self.uses_masks = uses_masks and value_bits is not None
        self.fisher: dict[str, Tensor] = {}
        self.n_steps = 0

    @property
    def __name__(self) -> str:
        """The options that decide the scores; `GradualPruner` compares them with a checkpoint's."""
        places = ", kept places" if self.uses_masks else ""
        return f"fisher, decay {self.decay}, value bits {self.value_bits}{places}"

    @torch.no_grad()
    def before_step(self, model: nn.Module, step: int) -> None:
        """Training hook: add the squared gradients of this step to the running mean."""
        share = 1 - min(self.decay, self.n_steps / (self.n_steps + 1))
        for name, parameter in model.named_parameters():
            if parameter.ndim < 2 or parameter.grad is None:
                continue
            squares = parameter.grad.float().square()
            if name in self.fisher:
                self.fisher[name] = self.fisher[name].to(squares.device).lerp_(squares, share)
            else:
                self.fisher[name] = squares
        self.n_steps += 1

    def __call__(
        self, weights: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Return the scores of weights.

        Parameters
        ----------
        weights : mapping of name to tensor
        masks : mapping of name to bool tensor, optional
            True = kept. Weights without a mask count as kept where they are not exactly 0.

        Raises
        ------
        ValueError
            When no gradient of a weight was seen.
        """
        scores = {}
        for name, weight in weights.items():
            if name not in self.fisher:
                raise ValueError(f"no gradient of {name!r} was seen: collect some steps first (before_step)")
            weight = weight.detach()
            scores[name] = weight.square() * self.fisher[name].to(weight.device)
            if self.value_bits is not None:
                kept = masks[name] if masks and name in masks else weight != 0
                bits = self.value_bits + place_bits(kept.cpu().numpy())
                scores[name] /= torch.from_numpy(bits).to(scores[name])
        return scores

    def state_dict(self) -> dict[str, object]:
        """The running mean, and the number of steps in it."""
        return {"fisher": dict(self.fisher), "n_steps": self.n_steps}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on from a checkpoint."""
        self.fisher, self.n_steps = dict(state["fisher"]), state["n_steps"]
