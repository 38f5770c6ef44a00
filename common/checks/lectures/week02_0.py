"""Week 2, PyTorch in 60 minutes: one epoch of training, batch normalization, precision and recall."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import as_array, call, expect, pair
from common.checks.grading import NotYet
from common.checks.lectures import fill_in


def _train_epoch(model, loader, optimizer):
    import torch.nn.functional as F

    model.train()
    losses = []
    for x, labels in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


@fill_in(own=_train_epoch)
def train_epoch(answer: Callable) -> str:
    """One pass over the batches: gradients cleared, loss, backward, step; the mean of the losses."""
    for sizes, rate in (((4, 4, 4), 0.5), ((3, 5), 0.2)):
        n_batches = len(sizes)
        loss, moved = _trained(answer, sizes, rate)
        wanted, right = _trained(_train_epoch, sizes, rate)
        slips = {mistake: _trained(_slip(mistake), sizes, rate) for mistake in _SLIPS}
        suspects = [(hint, slips[mistake][1]) for mistake, hint in _SLIPS.items()]
        expect(moved, right, tolerance=1e-5, suspects=suspects, what="The weights after an epoch")
        losses = [
            ("That is the sum over the batches: divide by their number.", wanted * n_batches),
            (
                "That is the last batch's loss: the mean over all batches.",
                _trained(_slip("only the last loss"), sizes, rate)[0],
            ),
        ]
        expect(loss, wanted, tolerance=1e-5, suspects=losses, what="The mean loss")
    return "The weights after two and three batches, and the mean loss."


_SLIPS = {
    "no step": "The weights have not moved: after backward() comes optimizer.step().",
    "no clearing": "Earlier batches' gradients are still in there: optimizer.zero_grad() for each batch.",
    "step first": "The step comes after backward(): before it there is no gradient of this batch.",
    "softmax": "cross_entropy takes the logits, and has its softmax inside.",
    "one batch": "Only one batch was used: every batch takes a step.",
    "summed": "The loss is the mean over the batch, as cross_entropy gives it, and not the sum.",
}


def _slip(mistake: str) -> Callable:
    """Training with one mistake."""
    import torch.nn.functional as F

    def train(model, loader, optimizer):
        losses = []
        for x, labels in loader:
            if mistake == "step first":
                optimizer.step()
            if mistake != "no clearing":
                optimizer.zero_grad()
            logits = model(x).softmax(dim=1) if mistake == "softmax" else model(x)
            loss = F.cross_entropy(logits, labels, reduction="sum" if mistake == "summed" else "mean")
            loss.backward()
            if mistake not in ("no step", "step first"):
                optimizer.step()
            losses.append(loss.item())
            if mistake == "one batch":
                break
        return losses[-1]

    return train


def _trained(train: Callable, sizes: tuple, rate: float) -> tuple[object, np.ndarray]:
    """What a training function returns, and the weights of a small network after it."""
    import torch

    source = np.random.default_rng(len(sizes))
    batches = [
        (torch.from_numpy(source.normal(size=(n, 3)).astype(np.float32)), torch.arange(n) % 2) for n in sizes
    ]
    model = torch.nn.Linear(3, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.5, -1.0, 0.0], [1.0, 0.5, -0.5]]))
        model.bias.zero_()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    try:
        loss = train(model, batches, optimizer)
    except NotImplementedError as error:
        raise NotYet("It is not written yet.", hint=str(error)) from None
    except Exception as error:
        raise NotYet(f"It raises {type(error).__name__} for {len(sizes)} batches: {error}") from None
    if loss is None:
        raise NotYet("It returns nothing.", hint="The last line returns the mean of the losses.")
    return loss, np.concatenate([part.detach().numpy().ravel() for part in model.parameters()])


def _batch_norm(x, gamma, beta, eps=1e-5):
    mean = x.mean(dim=(0, 2, 3), keepdim=True)
    variance = x.var(dim=(0, 2, 3), correction=0, keepdim=True)
    normed = (x - mean) / (variance + eps).sqrt()
    return gamma[:, None, None] * normed + beta[:, None, None]


@fill_in(own=_batch_norm)
def batch_norm(answer: Callable) -> str:
    """Batch normalization in training: every channel by its mean and variance over batch and positions."""
    import torch

    source = np.random.default_rng(4)
    for shape, eps in (((3, 4, 4, 4), 1e-5), ((2, 3, 2, 5), 0.1)):
        x = source.normal(2, 1.5, shape).astype(np.float32)
        gamma, beta = (source.normal(1, 1, shape[1]).astype(np.float32) for _ in range(2))
        told = f"a batch of shape {shape}"
        got = call(answer, *map(torch.from_numpy, (x, gamma, beta)), eps, told=told)

        def normed(
            axes=(0, 2, 3), *, x=x, ddof=0, eps=eps, scale=gamma[:, None, None], shift=beta, outside=False
        ):
            mean, variance = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True, ddof=ddof)
            below = np.sqrt(variance) + eps if outside else np.sqrt(variance + eps)
            return scale * (x - mean) / below + shift[:, None, None]

        centred = x - x.mean(axis=(0, 2, 3), keepdims=True)
        variance = x.var(axis=(0, 2, 3), keepdims=True)
        suspects = [
            ("The mean is over the batch *and* the positions: dim=(0, 2, 3).", normed((0,))),
            (
                "Every image has its own mean here: the batch (axis 0) belongs to the mean, too.",
                normed((2, 3)),
            ),
            ("The mean over everything mixes the channels: axis 1 stays.", normed((0, 1, 2, 3))),
            ("Divide the variance by n, not by n − 1: correction=0.", normed(ddof=1)),
            (
                "Divide by the square root of the variance, not by the variance.",
                _affine(centred / (variance + eps), gamma, beta),
            ),
            (
                "gamma and beta have one value per channel: gamma[:, None, None] lines them up with axis 1.",
                *([gamma * centred / np.sqrt(variance + eps) + beta] if shape[1] == shape[3] else []),
            ),
            (
                "Scale and shift are missing: multiply by gamma, then add beta.",
                centred / np.sqrt(variance + eps),
            ),
            ("beta is missing: it is added at the end.", normed(shift=0 * beta)),
            ("gamma is missing: it multiplies the normalized values.", normed(scale=1)),
            (
                "eps stands under the root: it is added to the variance.",
                normed(outside=True),
                normed(eps=0.0),
            ),
        ]
        wanted = normed()
        expect(got, wanted, tolerance=1e-4, suspects=suspects, what="The normalized batch")
    return "Two batches, two values of eps, scale and shift by channel."


def _affine(values, gamma, beta):
    return gamma[:, None, None] * values + beta[:, None, None]


def _precision_and_recall(confusion):
    return confusion.diagonal() / confusion.sum(axis=0), confusion.diagonal() / confusion.sum(axis=1)


@fill_in(own=_precision_and_recall)
def precision_and_recall(answer: Callable) -> str:
    """Per class, from a confusion matrix: right among those said to be it, right among those that are it."""
    for counts in ([[8, 1, 1], [2, 4, 0], [3, 0, 9]], [[5, 4], [1, 90]]):
        confusion = np.array(counts)
        got = call(answer, confusion, told=f"{len(confusion)} classes")
        precision, recall = pair(got, 2, "precision and recall")
        hit, said, true = confusion.diagonal(), confusion.sum(axis=0), confusion.sum(axis=1)
        shown = {"confusion": confusion}
        exchanged = np.array_equal(_rounded(precision), _rounded(hit / true))
        if exchanged and np.array_equal(_rounded(recall), _rounded(hit / said)):
            raise NotYet(
                "Precision and recall are exchanged.",
                hint="A column holds all that were *said* to be the class: precision divides by its sum.",
            )
        common = [
            ("Divide by a row's or a column's sum, not by the sum of all.", hit / confusion.sum()),
            ("Those are counts: shares are asked for.", hit),
        ]
        for name, values, total, other, hint in (
            ("precision", precision, said, true, "Precision divides by the columns' sums: what was said."),
            ("recall", recall, true, said, "Recall divides by the rows' sums: what is true."),
        ):
            suspects = [
                (hint, hit / other),
                (f"That is one minus the {name}: wrong ones over all.", 1 - hit / total),
                *common,
            ]
            expect(values, hit / total, tolerance=1e-6, suspects=suspects, what=f"The {name}", shown=shown)
    return "Two and three classes, of very different sizes."


def _rounded(values: object) -> np.ndarray:
    return as_array(values).astype(float).round(6)
