"""Knowledge distillation: a student learns from a teacher's softened probabilities (Hinton et al. 2015).

    train(student, data, config, objective=Distillation(teacher, temperature=2.0))

With logits v of the teacher, z of the student, temperature T and weight w, an image's loss is

    w T² KL(softmax(v / T) ‖ softmax(z / T)) + (1 − w) CE(z, label)

Softened probabilities show which wrong classes are nearly right. The gradients of this term shrink as 1 / T²,
so T² keeps them as large as those of the labels (section 2 of the paper). The teacher sees exactly the image
that the student sees, augmentation included.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.data.batches import BatchSource, normalization
from common.data.image_set import ImageSet


def distillation_loss(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Return T² times the mean Kullback–Leibler divergence of the student's from the teacher's probabilities.

    Parameters
    ----------
    student, teacher : float tensors of shape (n, classes)
        Logits.
    temperature : float > 0
        Logits are divided by it before the softmax; higher gives softer probabilities.

    Returns
    -------
    Tensor
        A scalar >= 0, in nats; 0 where both give the same probabilities.
    """
    soft = F.log_softmax(teacher.float() / temperature, 1)
    own = F.log_softmax(student.float() / temperature, 1)
    return temperature**2 * F.kl_div(own, soft, reduction="batchmean", log_target=True)


class Distillation:
    """An objective for `training.train`: distillation from a teacher, and cross-entropy with the labels.

    Parameters
    ----------
    teacher : nn.Module
        Takes the same images. It is copied, so the student may be the same module and change.
    temperature : float > 0
        Higher gives softer probabilities.
    weight : float in [0, 1]
        Weight of the distillation loss; that of the labels is 1 - weight.
    label_smoothing : float in [0, 1)
        Of the labels' part.

    Raises
    ------
    ValueError
        When `temperature` or `weight` is out of its range.
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
        """All options, and a checksum of the teacher's weights: a resumed run must have the same."""
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
        """Return the loss of a batch, a scalar."""
        return self.loss(logits, self.answers(images), labels)

    @torch.no_grad()
    def answers(self, images: Tensor) -> Tensor:
        """Return the teacher's logits, of shape (n, classes)."""
        return self._teacher.to(images.device, memory_format=torch.channels_last)(images)

    def loss(self, logits: Tensor, answers: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch from the student's logits and the teacher's (`answers`)."""
        soft = distillation_loss(logits, answers, temperature=self._temperature)
        hard = F.cross_entropy(logits, labels, label_smoothing=self._label_smoothing)
        return self._weight * soft + (1 - self._weight) * hard


class Ensemble(nn.Module):
    """Several networks as one teacher: the mean of their softened probabilities, as logits.

    Networks that err on different images are often right together where the best of them is not (Hinton et
    al. 2015, section 3).

    Parameters
    ----------
    members : sequence of nn.Module
        They take the same images; in eval mode when the ensemble is.
    temperature : float > 0
        The one of the `Distillation` that the ensemble teaches in: softened by it, these logits are the mean
        of the members' softened probabilities.
    """

    def __init__(self, members: Sequence[nn.Module], *, temperature: float) -> None:
        super().__init__()
        self.members, self.temperature = nn.ModuleList(members), temperature

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of shape (n, classes)."""
        soft = [F.log_softmax(member(images).float() / self.temperature, 1) for member in self.members]
        mean = torch.logsumexp(torch.stack(soft), 0) - math.log(len(soft))
        return self.temperature * mean


class StoredAnswers:
    """An objective for `training.train` with a teacher's answers that were computed once.

    A small student sees the same images in many epochs, and each time the teachers' forward pass would cost
    many times its own. Train on an image set whose labels are the numbers of its images, 0, 1, 2, ...
    (`numbered`): by them the stored answers and the true labels are found.

    Parameters
    ----------
    answers : float tensor of shape (n, classes)
        Softened probabilities of each image: `ensemble_answers`.
    labels : int64 tensor of shape (n,)
        The true class of each image.
    temperature : float > 0
        The one with which the answers were softened.
    weight : float in [0, 1]
        Weight of the distillation loss; that of the labels is 1 - weight.

    Raises
    ------
    ValueError
        When an option is out of its range, or the shapes do not fit.
    """

    def __init__(self, answers: Tensor, labels: Tensor, *, temperature: float, weight: float = 0.8) -> None:
        if not (0 < temperature < math.inf and 0 <= weight <= 1):
            raise ValueError(f"temperature={temperature}, weight={weight}: expected > 0 and in [0, 1]")
        if answers.ndim != 2 or labels.shape != answers.shape[:1]:
            raise ValueError(
                f"answers of shape {tuple(answers.shape)}, labels of shape {tuple(labels.shape)}: expected "
                "(n, classes) and (n,)"
            )
        self._answers, self._labels = answers, labels
        self._temperature, self._weight = temperature, weight

    @property
    def options(self) -> dict[str, object]:
        """All options, and a checksum of answers and labels: a resumed run must have the same."""
        digest = hashlib.sha256(self._answers.contiguous().numpy().tobytes())
        digest.update(self._labels.contiguous().numpy().tobytes())
        return {"temperature": self._temperature, "weight": self._weight, "answers": digest.hexdigest()}

    def __call__(self, logits: Tensor, images: Tensor, numbers: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar; `numbers` are those of its images."""
        numbers = numbers.cpu()
        answers = self._answers[numbers].to(logits.device)
        own = F.log_softmax(logits.float() / self._temperature, 1)
        soft = self._temperature**2 * F.kl_div(own, answers, reduction="batchmean")
        hard = F.cross_entropy(logits, self._labels[numbers].to(logits.device))
        return self._weight * soft + (1 - self._weight) * hard


@torch.no_grad()
def ensemble_answers(
    teachers: Sequence[nn.Module], data: ImageSet, *, temperature: float, batch_size: int = 500
) -> Tensor:
    """Return the mean of several teachers' softened probabilities, for every image, in order.

    Parameters
    ----------
    teachers : sequence of nn.Module
        On the CPU; they are set to eval mode.
    data : ImageSet
        Images, not augmented.
    temperature : float > 0
        Higher gives softer probabilities.
    batch_size : int
        Images at a time.

    Returns
    -------
    float32 tensor of shape (n, classes)
        Rows sum to 1; on the CPU.
    """
    mean, std = normalization(data.name)
    source = BatchSource(data.images, data.labels, mean=mean, std=std, size=data.shown_size)
    answers = []
    for images, _ in source.plain_batches(batch_size):
        shown = images.to(memory_format=torch.channels_last)
        soft = [F.softmax(teacher.eval()(shown).float() / temperature, 1) for teacher in teachers]
        answers.append(torch.stack(soft).mean(0))
    return torch.cat(answers)


def numbered(data: ImageSet) -> ImageSet:
    """Return the same images with their numbers 0, 1, 2, ... as labels: for `StoredAnswers`."""
    return replace(data, labels=np.arange(len(data), dtype=np.int64), sha256=f"{data.sha256}, numbered")


def shifted_copies(data: ImageSet, by: int = 1) -> ImageSet:
    """Return all shifts of all images by up to `by` pixels each way, edges reflected: (2 by + 1)² as many.

    These are all the windows that `BatchSource` can cut with ``crop_padding=by``. So a teacher can answer
    once for each, before training.
    """
    edges = ((0, 0), (0, 0), (by, by), (by, by))
    padded = np.pad(data.images, edges, mode="reflect") if by else data.images
    height, width = data.images.shape[2:]
    windows = [
        padded[:, :, top : top + height, left : left + width]
        for top in range(2 * by + 1)
        for left in range(2 * by + 1)
    ]
    return replace(
        data,
        images=np.concatenate(windows),
        labels=np.tile(data.labels, len(windows)),
        sha256=f"{data.sha256}, shifted by {by}",
    )
