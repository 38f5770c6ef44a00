"""Knowledge distillation: a student learns from a teacher's soft answers (Hinton, Vinyals, Dean 2015).

    train(student, data, config, objective=Distillation(teacher, temperature=2.0))

With logits v of the teacher, z of the student, temperature T and weight w, an image's loss is

    w T² KL(softmax(v / T) ‖ softmax(z / T)) + (1 − w) CE(z, label)

Softened probabilities tell which wrong classes are nearly right. T² keeps their gradients as large as those
of the labels whatever T (section 2 of the paper). The teacher sees the very picture that the student sees.
"""

from __future__ import annotations

import copy
import hashlib
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def distillation_loss(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    """T² times the mean Kullback–Leibler divergence of softened answers, in nats.

    Parameters
    ----------
    student, teacher : float tensors of shape (n, classes)
        Logits.
    temperature : float > 0

    Returns
    -------
    Tensor
        A scalar >= 0; 0 where both give the same answers.
    """
    soft = F.log_softmax(teacher.float() / temperature, 1)
    own = F.log_softmax(student.float() / temperature, 1)
    return temperature**2 * F.kl_div(own, soft, reduction="batchmean", log_target=True)


class Distillation:
    """An objective for `training.train`.

    Parameters
    ----------
    teacher : nn.Module
        Copied, so that a student that starts as its teacher may change; takes the same images.
    temperature : float > 0
        Higher is softer.
    weight : float in [0, 1]
        Of the teacher's answers; the labels have the rest.
    label_smoothing : float in [0, 1)
        Of the labels' part.

    Raises
    ------
    ValueError
        An option is out of its range.
    """

    def __init__(
        self,
        teacher: nn.Module,
        *,
        temperature: float = 2.0,
        weight: float = 0.7,
        label_smoothing: float = 0.0,
    ) -> None:
        if not (0 < temperature < math.inf and 0 <= weight <= 1):
            raise ValueError(f"temperature={temperature}, weight={weight}: expected > 0 and in [0, 1]")
        self._teacher = copy.deepcopy(teacher).eval()
        for parameter in self._teacher.parameters():
            parameter.requires_grad_(False)
        self._temperature, self._weight, self._label_smoothing = temperature, weight, label_smoothing

    @property
    def options(self) -> dict[str, object]:
        """What a resumed run must find again: all options, and the teacher's weights by their checksum."""
        digest = hashlib.sha256()
        for value in self._teacher.state_dict().values():
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return {
            "temperature": self._temperature,
            "weight": self._weight,
            "teacher": digest.hexdigest(),
            "label_smoothing": self._label_smoothing,
        }

    def __call__(self, logits: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch, a scalar."""
        return self.loss(logits, self.answers(images), labels)

    @torch.no_grad()
    def answers(self, images: Tensor) -> Tensor:
        """The teacher's logits."""
        return self._teacher.to(images.device, memory_format=torch.channels_last)(images)

    def loss(self, logits: Tensor, answers: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch whose answers are known already."""
        soft = distillation_loss(logits, answers, temperature=self._temperature)
        hard = F.cross_entropy(logits, labels, label_smoothing=self._label_smoothing)
        return self._weight * soft + (1 - self._weight) * hard
