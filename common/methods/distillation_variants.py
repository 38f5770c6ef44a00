"""Two variants of distillation: a noisy teacher, and a loss on the relations between a batch's images.

    train(student, data, config, objective=NoisyTeacher(teacher, sigma=0.5))
    train(student, data, config, objective=RelationalDistillation(teacher))

**Noisy teacher** (Sau & Balasubramanian 2016, arXiv 1610.09650). In each step, every image is chosen with
probability α. The logits v of a chosen image are multiplied by fresh noise, independent for each class:

    v' = (1 + ξ) v        ξ ~ N(0, σ²)

A student that sees the same images in every epoch then hardly ever sees the same answers: one teacher acts
as many.

**Relational distillation** (Park et al. 2019, arXiv 1904.05068, equations 6 to 11). The student does not
imitate the teacher's answers t themselves, but how the images of a batch lie relative to each other: their
distances, in units of the mean distance, and the angles of their triangles (here at the corner j):

    ψ_D(i, j) = ‖t_i − t_j‖ / mean of all distances        ψ_A(i, j, k) = cos ∠ t_i t_j t_k

The loss is the Huber loss between the student's values and the teacher's, averaged over all pairs and triples
of different images. Rotating, shifting or scaling all answers changes neither ψ_D nor ψ_A, so the teacher's
answers may even have another dimension than the student's. Here the answers are the logits, which is what
`training.train` hands over; the paper compares the layer before them.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.networks.distillation import Distillation
from common.networks.models import prunable_parameters


class NoisyTeacher(Distillation):
    """An objective for `training.train`: `Distillation` from a teacher with noisy logits.

    Parameters
    ----------
    teacher : nn.Module
        The trained network; it is copied.
    sigma : float >= 0
        Standard deviation σ of the noise, relative to the logit.
    share : float in [0, 1]
        Probability α that an image's logits are noisy.
    seed : int
        The noise of a batch is a function of the seed and its images, so a resumed run sees the same.
    **options
        Passed to `Distillation`: temperature, weight, label_smoothing.

    Raises
    ------
    ValueError
        An option is out of its range.
    """

    def __init__(
        self, teacher: nn.Module, *, sigma: float = 0.5, share: float = 0.5, seed: int = 0, **options
    ) -> None:
        super().__init__(teacher, **options)
        if not (sigma >= 0 and 0 <= share <= 1):
            raise ValueError(f"sigma={sigma}, share={share}: expected sigma >= 0 and share in [0, 1]")
        self._sigma, self._share, self._seed = sigma, share, seed

    @property
    def options(self) -> dict[str, object]:
        """What a resumed run must find again."""
        return super().options | {"sigma": self._sigma, "share": self._share, "seed": self._seed}

    def answers(self, images: Tensor) -> Tensor:
        """The teacher's logits with noise, float32 of shape (n, classes)."""
        logits = super().answers(images).float()
        return noisy_logits(
            logits, sigma=self._sigma, share=self._share, generator=_generator(self._seed, images)
        )


def noisy_logits(logits: Tensor, *, sigma: float, share: float, generator: torch.Generator) -> Tensor:
    """Multiply some rows by 1 + noise (see the module's docstring).

    The noise is drawn on the CPU, so that it is the same on every device: first one uniform number per row,
    then one normal number per logit.

    Parameters
    ----------
    logits : float tensor of shape (n, classes)
    sigma : float >= 0
        Standard deviation of the noise.
    share : float in [0, 1]
        Probability that a row is multiplied; the others stay as they are.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    Tensor
        Of the same shape and device.
    """
    chosen = torch.rand(len(logits), 1, generator=generator) < share
    noise = sigma * torch.randn(logits.shape, generator=generator)
    return logits * (1.0 + noise * chosen).to(logits.device)


class RelationalDistillation(Distillation):
    """An objective for `training.train`: labels, and the teacher's distances and angles within a batch.

    Parameters
    ----------
    teacher : nn.Module
    distance, angle : float >= 0
        Weights λ of the two losses; the defaults are the paper's.
    n_related : int >= 3, optional
        Only the first `n_related` images of a batch are compared, since the number of triples grows with the
        cube of it. None compares all.
    weight : float in [0, 1]
        Weight of the soft targets in `Distillation`'s loss, to which the two losses are added. By default 0:
        only labels and relations.
    **options
        Passed to `Distillation`: temperature, label_smoothing.

    Raises
    ------
    ValueError
        An option is out of its range.
    """

    def __init__(
        self,
        teacher: nn.Module,
        *,
        distance: float = 25.0,
        angle: float = 50.0,
        n_related: int | None = 64,
        weight: float = 0.0,
        **options,
    ) -> None:
        super().__init__(teacher, weight=weight, **options)
        if not (distance >= 0 and angle >= 0) or (n_related is not None and n_related < 3):
            raise ValueError(
                f"distance={distance}, angle={angle}, n_related={n_related}: expected distance >= 0, "
                "angle >= 0 and n_related >= 3"
            )
        self._distance, self._angle, self._n_related = distance, angle, n_related

    @property
    def options(self) -> dict[str, object]:
        """What a resumed run must find again."""
        own = {"distance": self._distance, "angle": self._angle, "n_related": self._n_related}
        return super().options | own

    def loss(self, logits: Tensor, answers: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch, a scalar, from the teacher's logits (`answers`)."""
        own, theirs = logits[: self._n_related].float(), answers[: self._n_related].float()
        with torch.autocast(logits.device.type, enabled=False):  # bfloat16 has too few digits for cosines
            relations = self._distance * distance_loss(own, theirs) + self._angle * angle_loss(own, theirs)
        return super().loss(logits, answers, labels) + relations


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean Huber loss of relative distances over all pairs of different images (Park et al., equation 8).

    Parameters
    ----------
    student, teacher : float tensors of shape (n, d) and (n, e), n >= 2
        One row per image; their dimensions may differ.

    Returns
    -------
    Tensor
        A scalar >= 0; 0 where one is the other rotated, shifted and scaled.
    """
    return F.smooth_l1_loss(_relative_distances(student), _relative_distances(teacher))


def angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean Huber loss of cosines over all triples of different images (Park et al., equation 11).

    Parameters and result are those of `distance_loss`, with n >= 3. Images at the same place span no angle:
    their cosines count as 0.
    """
    n = len(student)
    # Entries with i = j or k = j are 0 on both sides, those with i = k are 1: only true triples contribute.
    total = F.smooth_l1_loss(_cosines(student), _cosines(teacher), reduction="sum")
    return total / (n * (n - 1) * (n - 2))


def _relative_distances(rows: Tensor) -> Tensor:
    """Distances of all pairs i < j over their mean."""
    distances = F.pdist(rows)
    return distances / distances.mean().clamp_min(1e-12)  # where all answers are equal, the mean is 0


def _cosines(rows: Tensor) -> Tensor:
    """[j, i, k]: cosine of the angle at image j between i and k; 0 where i = j or k = j, 1 where i = k."""
    steps = rows[None, :, :] - rows[:, None, :]  # [j, i] points from j to i
    lengths = steps.norm(dim=2, keepdim=True)
    # Where images coincide there is no direction, and dividing by next to nothing would make a huge gradient.
    steps = torch.where(lengths > 1e-6, steps / lengths.clamp_min(1e-6), 0.0)
    return steps @ steps.transpose(1, 2)


def _generator(seed: int, images: Tensor) -> torch.Generator:
    """A CPU generator whose stream is fixed by the seed and by what a batch shows."""
    # One pixel of every image and the whole first image tell batches apart, and are cheap to hash.
    middle = images[:, :, images.shape[2] // 2, images.shape[3] // 2]
    digest = hashlib.sha256(str(seed).encode())
    for part in (middle, images[0]):
        digest.update(part.detach().cpu().contiguous().numpy().tobytes())
    return torch.Generator().manual_seed(int.from_bytes(digest.digest()[:7], "little"))  # fits into 64 bits


# ----------------------------------------------------------------------------------------------------
# Dropout as large networks were first trained with it (Hinton et al. 2012, arXiv 1207.0580).
#
#     with torch.random.fork_rng():
#         train(mlp(1200, dropout=0.5), data, config, callbacks=[MaxNorm(3.9), DropoutSeed(0)])
#
# Half of the hidden units are left out at random in each step. The incoming weights of each unit form a
# vector; a bound on its length keeps a high learning rate from making it ever longer (the paper's section 2).


class MaxNorm:
    """A callback for `training.train`: weight vectors longer than the bound are scaled back to it.

    Unlike weight decay it leaves short vectors alone.

    Parameters
    ----------
    limit : float > 0
        Largest Euclidean norm of the weights that enter one unit or channel; the bias does not count.

    Raises
    ------
    ValueError
        The limit is not positive and finite.
    """

    def __init__(self, limit: float) -> None:
        if not 0 < limit < math.inf:
            raise ValueError(f"limit={limit}: expected a positive, finite length")
        self._limit = limit

    @torch.no_grad()
    def after_step(self, model: nn.Module, step: int) -> None:
        """Scale back what has grown too long; all else stays bit for bit."""
        for weight in prunable_parameters(model).values():
            rows = weight.view(len(weight), -1)
            lengths = rows.norm(dim=1)
            too_long = lengths > self._limit
            if too_long.any():
                rows[too_long] *= (self._limit / lengths[too_long]).unsqueeze(1)


class DropoutSeed:
    """A callback for `training.train`: which units are left out becomes a function of (seed, step) alone.

    PyTorch's dropout draws from the global generator, which a resumed run finds in another state. This
    callback seeds the generator again before every step, for the first time when the callback is created.
    Create it right before training, inside `torch.random.fork_rng`, which restores the generator afterwards.
    """

    def __init__(self, seed: int) -> None:
        self._seed, self._step = seed, 0
        self._reseed()

    def after_step(self, model: nn.Module, step: int) -> None:
        """Seed the dropout of the next step."""
        self._step = step + 1
        self._reseed()

    def state_dict(self) -> dict[str, int]:
        """What a resumed run must know."""
        return {"step": self._step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where another run was."""
        self._step = state["step"]
        self._reseed()

    def _reseed(self) -> None:
        key = np.random.SeedSequence((self._seed, self._step)).generate_state(1, np.uint64)
        torch.manual_seed(int(key[0] >> np.uint64(1)))  # 63 bits fit into a signed 64-bit integer
