"""Week 6, lecture 1: right answers in several forms, and the usual mistakes with a word of their hint."""

import numpy as np
import torch
from torch.nn import functional as F


def squares(weights, codebook):
    return np.square(np.subtract.outer(np.asarray(weights), codebook))


def one_by_one(weights, codebook, shares, price):
    found = []
    for weight in weights:
        costs = [(weight - c) ** 2 - price * np.log2(p) for c, p in zip(codebook, shares, strict=True)]
        found.append(costs.index(min(costs)))
    return found


RIGHT = {
    "decoded": [
        lambda codebook, indices: codebook.index_select(0, indices.flatten()).view(indices.shape),
        lambda codebook, indices: F.one_hot(indices, len(codebook)).float() @ codebook,
        lambda codebook, indices: torch.take(codebook, indices),
        lambda codebook, indices: torch.stack([codebook[row] for row in indices]),
    ],
    "sqnr": [
        lambda w, d: np.float32(10 * np.log10((w**2).mean() / ((w - d) ** 2).mean())),
        lambda w, d: 20 * np.log10(np.linalg.norm(w) / np.linalg.norm(d - w)),
        lambda w, d: torch.tensor(10 * np.log10((w**2).sum() / ((w - d) ** 2).sum())),
    ],
    "cheapest": [
        one_by_one,
        lambda w, c, p, price: np.argmin(squares(w, c) + price * np.log2(1 / p), axis=1),
        lambda w, c, p, price: torch.from_numpy(squares(w, c) - price * np.log2(p)).argmin(dim=1),
    ],
}


def energy(x):
    return np.square(x).sum()


MISTAKES = {
    "decoded": {
        "no gradient reaches": lambda c, i: torch.tensor(c.detach().numpy()[i.numpy()]),
        "Stay in torch": lambda c, i: c.data[i],
        "a row stays a row": lambda c, i: c[i.flatten()],
        "Those are the indices": lambda c, i: i.float(),
        "one value per weight": lambda c, i: c,
        "expected a torch tensor": lambda c, i: c.detach().numpy()[i.numpy()],
    },
    "sqnr": {
        "Upside down": lambda w, d: 10 * np.log10(energy(w - d) / energy(w)),
        "20 is for ratios of amplitudes": lambda w, d: 20 * np.log10(energy(w) / energy(w - d)),
        "ten times the logarithm": lambda w, d: np.log10(energy(w) / energy(w - d)),
        "has base 10": lambda w, d: 10 * np.log(energy(w) / energy(w - d)),
        "That is the ratio itself": lambda w, d: energy(w) / energy(w - d),
        "not absolute values": lambda w, d: 10 * np.log10(np.abs(w).sum() / np.abs(w - d).sum()),
        "The noise is the difference": lambda w, d: 10 * np.log10(energy(w) / energy(d)),
    },
    "cheapest": {
        "That is the nearest cluster": lambda w, c, p, price: squares(w, c).argmin(axis=1),
        "a rare cluster is expensive": lambda w, c, p, price: (squares(w, c) + price * np.log2(p)).argmin(
            axis=1
        ),
        "Bits have base 2": lambda w, c, p, price: (squares(w, c) - price * np.log(p)).argmin(axis=1),
        "not of a share": lambda w, c, p, price: (squares(w, c) + price * p).argmin(axis=1),
        "The error counts squared": lambda w, c, p, price: (
            np.sqrt(squares(w, c)) - price * np.log2(p)
        ).argmin(axis=1),
        "The price is missing": lambda w, c, p, price: (squares(w, c) - np.log2(p)).argmin(axis=1),
        "argmin": lambda w, c, p, price: (squares(w, c) - price * np.log2(p)).argmax(axis=1),
        "Those are the costs": lambda w, c, p, price: squares(w, c) - price * np.log2(p),
        "the index is asked for": lambda w, c, p, price: c[
            (squares(w, c) - price * np.log2(p)).argmin(axis=1)
        ],
    },
}
