"""Week 2, PyTorch: right answers in several forms, and the usual mistakes with a word of their hint."""

import numpy as np
import torch
import torch.nn.functional as F

from common.checks.lectures import week02_0 as checks


def epoch(
    model, loader, optimizer, *, clear=True, step=True, first=False, loss_of=F.cross_entropy, mean=np.mean
):
    losses = []
    for x, labels in loader:
        if first:
            optimizer.step()
        if clear:
            optimizer.zero_grad()
        loss = loss_of(model(x), labels)
        loss.backward()
        if step and not first:
            optimizer.step()
        losses.append(loss.item())
    return mean(losses)


def cleared_by_hand(model, loader, optimizer):
    total = 0
    for x, labels in loader:
        for parameter in model.parameters():
            parameter.grad = None
        loss = -model(x).log_softmax(dim=1)[torch.arange(len(labels)), labels].mean()
        loss.backward()
        optimizer.step()
        total = total + loss.detach()
    return total / len(loader)


def only_first(model, loader, optimizer):
    return epoch(model, loader[:1], optimizer)


def normed(
    x, gamma, beta, eps, *, dim=(0, 2, 3), correction=0, root=True, outside=False, scale=True, shift=True
):
    centred = x - x.mean(dim=dim, keepdim=True)
    variance = x.var(dim=dim, correction=correction, keepdim=True)
    below = variance + (0 if outside else eps)
    below = (below.sqrt() if root else below) + (eps if outside else 0)
    result = centred / below
    result = result * gamma[:, None, None] if scale else result
    return result + beta[:, None, None] if shift else result


def in_numpy(x, gamma, beta, eps):
    x, gamma, beta = (part.numpy().astype(np.float64) for part in (x, gamma, beta))
    mean, variance = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    return gamma.reshape(1, -1, 1, 1) * (x - mean) / np.sqrt(variance + eps) + beta.reshape(1, -1, 1, 1)


def without_axes(x, gamma, beta, eps):
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    return gamma * (x - mean) / (variance + eps).sqrt() + beta


RIGHT = {
    "train_epoch": [checks.train_epoch.own, epoch, cleared_by_hand],
    "batch_norm": [
        checks.batch_norm.own,
        normed,
        in_numpy,
        lambda x, gamma, beta, eps: F.batch_norm(x, None, None, gamma, beta, training=True, eps=eps),
    ],
    "precision_and_recall": [
        checks.precision_and_recall.own,
        lambda c: np.float32([np.diag(c) / c.sum(axis=0), np.diag(c) / c.sum(axis=1)]),
        lambda c: (
            [c[k, k] / sum(c[:, k]) for k in range(len(c))],
            [c[k, k] / sum(c[k]) for k in range(len(c))],
        ),
    ],
}
EPOCHS = {
    "comes optimizer.step()": lambda *a: epoch(*a, step=False),
    "optimizer.zero_grad() for each batch": lambda *a: epoch(*a, clear=False),
    "The step comes after backward()": lambda *a: epoch(*a, first=True),
    "has its softmax inside": lambda *a: epoch(*a, loss_of=lambda z, y: F.cross_entropy(z.softmax(1), y)),
    "every batch takes a step": only_first,
    "and not the sum": lambda *a: epoch(*a, loss_of=lambda z, y: F.cross_entropy(z, y, reduction="sum")),
    "divide by their number": lambda *a: epoch(*a, mean=sum),
    "That is the last batch's loss": lambda *a: epoch(*a, mean=lambda losses: losses[-1]),
    "It returns nothing": lambda *a: epoch(*a, mean=lambda losses: None),
}
NORMS = {
    "and* the positions": lambda *a: normed(*a, dim=0),
    "Every image has its own mean": lambda *a: normed(*a, dim=(2, 3)),
    "mixes the channels": lambda *a: normed(*a, dim=(0, 1, 2, 3)),
    "n − 1": lambda *a: normed(*a, correction=1),
    "square root of the variance": lambda *a: normed(*a, root=False),
    "one value per channel": without_axes,
    "Scale and shift are missing": lambda *a: normed(*a, scale=False, shift=False),
    "beta is missing": lambda *a: normed(*a, shift=False),
    "gamma is missing": lambda *a: normed(*a, scale=False),
    "eps stands under the root": lambda *a: normed(*a, outside=True),
}
SHARES = {
    "Precision and recall are exchanged": lambda c: (np.diag(c) / c.sum(axis=1), np.diag(c) / c.sum(axis=0)),
    "columns' sums": lambda c: (np.diag(c) / c.sum(axis=1), np.diag(c) / c.sum(axis=1)),
    "rows' sums": lambda c: (np.diag(c) / c.sum(axis=0), np.diag(c) / c.sum(axis=0)),
    "not by the sum of all": lambda c: (np.diag(c) / c.sum(), np.diag(c) / c.sum()),
    "Those are counts": lambda c: (np.diag(c), np.diag(c)),
    "one minus the precision": lambda c: (1 - np.diag(c) / c.sum(axis=0), np.diag(c) / c.sum(axis=1)),
    "precision and recall": lambda c: np.diag(c)[:1] / c.sum(),
}
MISTAKES = {"train_epoch": EPOCHS, "batch_norm": NORMS, "precision_and_recall": SHARES}
