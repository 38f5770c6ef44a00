"""Week 5, lecture 5: right answers in several forms, and the usual mistakes with a word of their hint."""

import math

import numpy as np
import torch
from scipy.special import expit

from common.methods.variational_dropout import K1, K2, K3, kl_divergence


def second(log_alpha):
    return 0.5 * np.log1p(np.exp(-log_alpha))


def first(log_alpha):
    return K1 * (1 - expit(K2 + K3 * log_alpha))


def mean(x, theta, bias):
    return x @ theta.T + bias


def deviation(x, log_sigma2):
    return (x**2 @ log_sigma2.exp().T).sqrt()


def by_loops(x, theta, log_sigma2, bias, noise):
    return [
        [
            float(bias[j] + x[n] @ theta[j])
            + math.sqrt(sum(float(x[n, i]) ** 2 * math.exp(log_sigma2[j, i]) for i in range(x.shape[1])))
            * float(noise[n, j])
            for j in range(len(theta))
        ]
        for n in range(len(x))
    ]


RIGHT = {
    "bits_of_weight": [
        lambda a: (np.log1p(np.exp(-a)) / (2 * np.log(2))).astype(np.float32),
        lambda a: torch.from_numpy(0.5 * np.log2(1 + 1 / np.exp(a))),
        lambda a: np.vectorize(lambda x: math.log2(1 + math.exp(-x)) / 2)(a),
    ],
    "price": [
        lambda a: first(a) + second(a),
        lambda a: kl_divergence(torch.from_numpy(a)).float(),
        lambda a: [K1 - K1 / (1 + math.exp(-K2 - K3 * x)) + math.log(1 + math.exp(-x)) / 2 for x in a],
    ],
    "noisy_linear": [
        by_loops,
        lambda x, t, s, b, e: (mean(x, t, b) + deviation(x, s) * e).float(),
        lambda x, t, s, b, e: torch.nn.functional.linear(x, t, b) + e * deviation(x, s),
    ],
}
BITS = {
    "The base is 2": lambda a: 0.5 * np.log(1 + np.exp(-a)),
    "The half": lambda a: np.log2(1 + np.exp(-a)),
    "*minus* log α": lambda a: 0.5 * np.log2(1 + np.exp(a)),
    "take np.exp first": lambda a: 0.5 * np.log2(1 + 1 / a),
    "not 2 or 10": lambda a: 0.5 * np.log2(1 + 2.0**-a),
    "The 1 is missing": lambda a: 0.5 * np.log2(np.exp(-a)),
}
PRICES = {
    "The second term is missing": first,
    "The first term is missing": second,
    "1 minus the logistic": lambda a: K1 * expit(K2 + K3 * a) + second(a),
    "The half": lambda a: first(a) + 2 * second(a),
    "*minus* log α": lambda a: first(a) + second(-a),
    "the logarithm is natural": lambda a: first(a) + second(a) / np.log(2),
    "The two terms are added": lambda a: first(a) - second(a),
    "k1 is a factor": lambda a: first(a) / K1 + second(a),
    "takes log α, not α": lambda a: first(np.exp(a)) + second(a),
    "The signs": lambda a: -first(a) - second(a),
    "inside the bracket": lambda a: -K1 * expit(K2 + K3 * a) + second(a),
}
OUTPUTS = {
    "the *root* of the variance": lambda x, t, s, b, e: mean(x, t, b) + deviation(x, s) ** 2 * e,
    "The bias is missing": lambda x, t, s, b, e: x @ t.T + deviation(x, s) * e,
    "The noise is missing": lambda x, t, s, b, e: mean(x, t, b),
    "square the inputs": lambda x, t, s, b, e: mean(x, t, b) + (x.abs() @ s.exp().T).sqrt() * e,
    "x²·σ²": lambda x, t, s, b, e: mean(x, t, b) + (x @ s.exp().T + 1e-8).sqrt() * e,
    "take its exp()": lambda x, t, s, b, e: mean(x, t, b) + (x**2 @ s.T).abs().sqrt() * e,
    "variances do": lambda x, t, s, b, e: mean(x, t, b) + x @ (s / 2).exp().T * e,
    "of σ² already": lambda x, t, s, b, e: mean(x, t, b) + deviation(x, 2 * s) * e,
    "without its deviation": lambda x, t, s, b, e: mean(x, t, b) + e,
}
MISTAKES = {"bits_of_weight": BITS, "price": PRICES, "noisy_linear": OUTPUTS}
