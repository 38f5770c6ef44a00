"""Week 5, lecture 2: right answers in several forms, and the usual mistakes with a word of their hint."""

import numpy as np
import torch


def by_lists(channels, n_places):
    return [n_places * c + place for c in channels.tolist() for place in range(n_places)]


def columns(channels, n_places):
    return n_places * channels[:, None] + torch.arange(n_places)


def fold(factor, bias=lambda s, beta, mean: beta - s * mean):
    def answer(weight, gamma, beta, mean, variance, eps):
        s = factor(gamma, variance, eps)
        return weight * s[:, None, None, None], bias(s, beta, mean)

    return answer


def factor(gamma, variance, eps):
    return gamma / (variance + eps).sqrt()


def by_loops(weight, gamma, beta, mean, variance, eps):
    weight, bias = weight.float().clone(), torch.zeros(len(weight))
    for c in range(len(weight)):
        s = gamma[c] / (variance[c] + eps) ** 0.5
        weight[c] *= s
        bias[c] = beta[c] - s * mean[c]
    return [weight.numpy(), bias.tolist()]


def along_inputs(weight, gamma, beta, mean, variance, eps):
    s = factor(gamma, variance, eps)
    return weight * s[: weight.shape[1]][None, :, None, None], beta - s * mean


def in_place(weight, gamma, beta, mean, variance, eps):
    s = factor(gamma, variance, eps)
    weight *= s[:, None, None, None]
    return weight, beta - s * mean


RIGHT = {
    "inputs_of_channels": [
        by_lists,
        lambda channels, n: columns(channels, n).numpy().ravel(),
        lambda channels, n: torch.cat([torch.arange(n * c, n * c + n) for c in channels]),
    ],
    "folded": [fold(factor), by_loops],
    "roofline": [
        lambda i, p, b: np.where(i * b < p, i * b, p).astype(np.float32),
        lambda i, p, b: [min(p, each * b) for each in i],
        lambda i, p, b: torch.from_numpy(i * b).clamp(max=p),
    ],
}
MISTAKES = {
    "inputs_of_channels": {
        "flatten it": columns,
        "only the first place": lambda channels, n: n * channels,
        "side by side": lambda channels, n: columns(channels, n).T.flatten(),
        "begins at n_places times c": lambda channels, n: (channels[:, None] + torch.arange(n)).flatten(),
        "counted from 0": lambda channels, n: columns(channels, n).flatten() + 1,
        "numbers of the whole layer": lambda channels, n: torch.arange(len(channels) * n),
    },
    "folded": {
        "divide by its root": fold(lambda gamma, variance, eps: gamma / (variance + eps)),
        "eps is added to the variance": fold(lambda gamma, variance, eps: gamma / variance.sqrt()),
        "gamma is missing": fold(lambda gamma, variance, eps: 1 / (variance + eps).sqrt()),
        "s also divides": lambda w, g, b, m, v, e: (w * g[:, None, None, None], b),
        "do not divide": fold(lambda gamma, variance, eps: (variance + eps).sqrt() / gamma),
        "have not been multiplied": lambda w, g, b, m, v, e: (w, b - factor(g, v, e) * m),
        "per *filter*": along_inputs,
        "The sign": fold(factor, lambda s, beta, mean: beta + s * mean),
        "beta is missing": fold(factor, lambda s, beta, mean: -s * mean),
        "multiplied by s as well": fold(factor, lambda s, beta, mean: beta - mean),
        "beta comes after": fold(factor, lambda s, beta, mean: s * (beta - mean)),
        "The mean is missing": fold(factor, lambda s, beta, mean: beta),
        "expected two results": lambda w, g, b, m, v, e: w,
        "changes its argument": in_place,
    },
    "roofline": {
        "the *smaller* one": lambda i, p, b: np.maximum(p, i * b),
        "np.minimum": lambda i, p, b: min(p, i * b),
        "memory alone": lambda i, p, b: i * b,
        "arithmetic alone": lambda i, p, b: np.full(len(i), p),
        "multiply": lambda i, p, b: np.minimum(p, i / b),
        "do not add up": lambda i, p, b: p + i * b,
        "smallest of all": lambda i, p, b: min(p, (i * b).min()),
    },
}
