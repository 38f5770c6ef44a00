"""Week 5, lecture 5: bits of a noisy weight, the fitted divergence, and noise drawn at the outputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import call, expect
from common.checks.lectures import fill_in

K1, K2, K3 = 0.63576, 1.87320, 1.48695  # Molchanov et al. 2017, equation 14; the tests compare


def _bits_of_weight(log_alpha):
    return 0.5 * np.log2(1 + np.exp(-np.asarray(log_alpha)))


@fill_in(own=_bits_of_weight)
def bits_of_weight(answer: Callable) -> str:
    """What a weight carries, in bits, from the logarithm of its noise ratio."""
    for log_alpha in (np.array([-5.0, -1.5, 0.5, 2.0]), np.array([[1.0, -3.0]])):
        alpha = np.exp(log_alpha)
        wanted = 0.5 * np.log2(1 + 1 / alpha)
        got = call(answer, log_alpha, told=f"log α = {log_alpha.ravel().tolist()}")
        with np.errstate(all="ignore"):
            suspects = [
                ("The base is 2: np.log2.", wanted * np.log(2), wanted * np.log10(2)),
                ("The half is missing.", 2 * wanted),
                ("1 / α is e to the power of *minus* log α.", 0.5 * np.log2(1 + alpha)),
                (
                    "The argument is the logarithm of α: take np.exp first.",
                    0.5 * np.log2(1 + 1 / log_alpha),
                    0.5 * np.log2(1 - log_alpha),
                ),
                ("log α is natural: e to its power, not 2 or 10.", 0.5 * np.log2(1 + 2.0**-log_alpha)),
                (
                    "The 1 is missing: without it, much noise would give negative bits.",
                    0.5 * np.log2(1 / alpha),
                ),
            ]
        expect(got, wanted, tolerance=1e-6, suspects=suspects, what="The number of bits")
    return "Much noise and little."


def _expit(x):
    return 1 / (1 + np.exp(-x))


def _price(log_alpha):
    return K1 * (1 - _expit(K2 + K3 * log_alpha)) + 0.5 * np.log(1 + np.exp(-log_alpha))


@fill_in(own=_price)
def price(answer: Callable) -> str:
    """The paper's fit of the divergence, in nats."""
    for log_alpha in (np.array([-4.0, -1.0, 0.5, 3.0]), np.array([-2.5, 1.5])):
        logistic, alpha = _expit(K2 + K3 * log_alpha), np.exp(log_alpha)
        second = 0.5 * np.log(1 + 1 / alpha)
        got = call(answer, log_alpha, told=f"log α = {log_alpha.tolist()}")
        suspects = [
            ("The second term is missing.", K1 * (1 - logistic)),
            ("The first term is missing.", second),
            ("The first term has 1 minus the logistic function.", K1 * logistic + second),
            ("The half of the second term is missing.", K1 * (1 - logistic) + 2 * second),
            ("1 / α is e to the power of *minus* log α.", K1 * (1 - logistic) + 0.5 * np.log(1 + alpha)),
            ("The price is in nats: the logarithm is natural.", K1 * (1 - logistic) + second / np.log(2)),
            ("The two terms are added.", K1 * (1 - logistic) - second),
            ("k1 is a factor of the first term.", 1 - logistic + second),
            ("The logistic function takes log α, not α.", K1 * (1 - _expit(K2 + K3 * alpha)) + second),
            (
                "The signs are inverted: that is the negative of the divergence.",
                -(K1 * (1 - logistic) + second),
            ),
            (
                "The price is zero for pure noise: here it tends to -k1. The constant is inside the bracket.",
                -K1 * logistic + second,
            ),
        ]
        wanted = K1 * (1 - logistic) + second
        expect(got, wanted, tolerance=1e-6, suspects=suspects, what="The price")
    return "Both terms, for much noise and for little."


def _noisy_linear(x, theta, log_sigma2, bias, noise):
    import torch

    mean = x @ theta.T + bias
    variance = x.square() @ log_sigma2.exp().T
    return mean + torch.sqrt(variance + 1e-8) * noise


@fill_in(own=_noisy_linear)
def noisy_linear(answer: Callable) -> str:
    """Mean plus deviation times noise, of a layer with Gaussian weights."""
    import torch

    rng = np.random.default_rng(7)
    for n_images, n_inputs, n_outputs in ((3, 4, 2), (5, 3, 3)):
        x, noise = rng.normal(size=(n_images, n_inputs)), rng.normal(size=(n_images, n_outputs))
        theta, log_sigma2 = rng.normal(size=(2, n_outputs, n_inputs))
        bias = rng.normal(size=n_outputs)
        arrays = [torch.from_numpy(each) for each in (x, theta, log_sigma2, bias, noise)]
        told = f"{n_images} images, {n_inputs} inputs and {n_outputs} outputs"
        got = call(answer, *arrays, told=told)
        mean, variance = x @ theta.T + bias, x**2 @ np.exp(log_sigma2).T
        deviation = np.sqrt(variance)
        with np.errstate(invalid="ignore"):  # nan where the sum is negative
            without_square = mean + np.sqrt(x @ np.exp(log_sigma2).T) * noise
        suspects = [
            ("Multiply the noise by the deviation, the *root* of the variance.", mean + variance * noise),
            ("The bias is missing.", mean - bias + deviation * noise),
            ("The noise is missing.", mean, mean + deviation),
            (
                "The variance of x·w is x²·σ²: square the inputs.",
                mean + np.sqrt(np.abs(x @ np.exp(log_sigma2).T)) * noise,
                mean + np.sqrt(np.abs(x) @ np.exp(log_sigma2).T) * noise,
                without_square,
            ),
            (
                "log_sigma2 is a logarithm: take its exp().",
                mean + np.sqrt(np.abs(x**2 @ log_sigma2.T)) * noise,
            ),
            (
                "Deviations do not add up, but variances do: take the root last.",
                mean + np.abs(x) @ np.exp(0.5 * log_sigma2).T * noise,
                mean + x @ np.exp(0.5 * log_sigma2).T * noise,
            ),
            (
                "log_sigma2 is the logarithm of σ² already: do not square it again.",
                mean + np.sqrt(x**2 @ np.exp(2 * log_sigma2).T) * noise,
            ),
            ("The noise is there without its deviation: multiply them.", mean + noise),
        ]
        # a small constant below the root keeps its gradient finite, and is right with or without
        expect(got, mean + deviation * noise, tolerance=1e-5, suspects=suspects, what="The output")
    return "Two layers, with a noise value per output."
