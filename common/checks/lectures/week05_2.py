"""Week 5, lecture 2: inputs behind a flatten, batch-norm folding, and the roofline."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import call, expect, pair
from common.checks.grading import NotYet
from common.checks.lectures import fill_in


def _inputs_of_channels(channels, n_places):
    import torch

    return (n_places * channels[:, None] + torch.arange(n_places)).flatten()


@fill_in(own=_inputs_of_channels)
def inputs_of_channels(answer: Callable) -> str:
    """The inputs behind a flatten that hold the places of some channels, channel by channel."""
    import torch

    for kept, n_places in (([0, 2], 3), ([1, 4, 5], 4), ([3], 9)):
        channels, offsets = np.array(kept), np.arange(n_places)
        wanted = (n_places * channels[:, None] + offsets).ravel()
        told = f"channels {kept} with {n_places} places each"
        got = call(answer, torch.tensor(kept), n_places, told=told)
        suspects = [
            ("That is a table: flatten it to one row of inputs.", wanted.reshape(len(kept), n_places)),
            ("That is only the first place of each channel: count on from there.", n_places * channels),
            (
                "The places of one channel stand side by side: all of the first channel, then the second.",
                (n_places * channels[:, None] + offsets).T.ravel(),
                (n_places * channels[:, None] + offsets).T,
            ),
            (
                "Channel c begins at n_places times c, not at c.",
                (channels[:, None] + offsets).ravel(),
                np.repeat(channels, n_places),
            ),
            ("Inputs are counted from 0: channel c begins at n_places times c.", wanted + 1),
            (
                "The channels are numbers of the whole layer: do not count the kept ones again from 0.",
                np.arange(len(kept) * n_places),
            ),
        ]
        expect(got, wanted, tolerance=0, suspects=suspects, what="The list of inputs")
    return "The inputs of three lists of channels, in order."


def _folded(weight, gamma, beta, mean, variance, eps):
    s = gamma / (variance + eps).sqrt()
    return weight * s[:, None, None, None], beta - s * mean


@fill_in(own=_folded)
def folded(answer: Callable) -> str:
    """Weights and bias of the convolution that does the work of its batch norm, too."""
    import torch

    rng = np.random.default_rng(5)
    for shape, eps in (((2, 2, 1, 1), 0.5), ((3, 2, 3, 3), 0.1)):
        weight = rng.normal(size=shape)
        gamma, beta, mean = rng.normal(size=(3, shape[0]))
        variance = rng.uniform(0.2, 2, size=shape[0])
        arrays = [torch.from_numpy(each) for each in (weight, gamma, beta, mean, variance)]
        got = call(answer, *arrays, eps, told=f"weights of shape {shape}")
        if hasattr(got, "shape"):
            raise NotYet("It returns one tensor, expected two results: weights and bias.")
        got_weight, got_bias = pair(got, 2, "weights and bias")

        def scaled(s, weight=weight):
            return weight * s[:, None, None, None]

        s = gamma / np.sqrt(variance + eps)
        no_root, no_eps = gamma / (variance + eps), gamma / np.sqrt(variance)
        outside = gamma / (np.sqrt(variance) + eps)
        forgotten = 1 / np.sqrt(variance + eps)
        suspects = [
            ("The variance is a square: divide by its root.", scaled(no_root)),
            ("eps is added to the variance before the root is taken.", scaled(no_eps), scaled(outside)),
            ("gamma is missing in the factor s.", scaled(forgotten)),
            ("s also divides by the root of the variance plus eps.", scaled(gamma)),
            ("Multiply by s, do not divide by it.", scaled(1 / s)),
            ("The weights have not been multiplied by s.", weight),
        ]
        if shape[0] == shape[1]:
            by_input = (weight * s[None, :, None, None], weight * s)
            suspects.append(("s is one number per *filter*, along the first axis.", *by_input))
        expect(got_weight, scaled(s), tolerance=1e-6, suspects=suspects, what="The weight")
        suspects = [
            ("The sign is wrong: batch norm subtracts the mean.", beta + s * mean, s * mean - beta),
            ("beta is missing: it is added last.", -s * mean),
            ("The mean is multiplied by s as well.", beta - mean),
            ("s is in front of the mean only: beta comes after the factor.", s * (beta - mean)),
            ("The mean is missing: a bias of beta alone leaves it in.", beta),
        ]
        expect(got_bias, beta - s * mean, tolerance=1e-6, suspects=suspects, what="The bias")
    return "Weights and bias of two convolutions."


def _roofline(intensity, peak, bandwidth):
    return np.minimum(peak, intensity * bandwidth)


@fill_in(own=_roofline)
def roofline(answer: Callable) -> str:
    """The smaller of peak and intensity times bandwidth."""
    for peak, bandwidth in ((40.0, 8.0), (200.0, 25.0)):
        intensity = np.array([0.25, 1.0, 4.0, 16.0, 100.0])
        slope = intensity * bandwidth
        got = call(answer, intensity, peak, bandwidth, told=f"P = {peak:g} and B = {bandwidth:g}")
        suspects = [
            ("Both limits hold, so the *smaller* one counts.", np.maximum(peak, slope)),
            ("That is the limit of memory alone: no speed is above the peak.", slope),
            ("That is the limit of arithmetic alone.", np.full(5, peak), peak),
            (
                "Operations per byte times bytes per second are operations per second: multiply.",
                np.minimum(peak, intensity / bandwidth),
                np.minimum(peak, bandwidth / intensity),
            ),
            ("The limits do not add up: take the smaller one.", peak + slope),
            (
                "That is the smallest of all: compare the two limits at each intensity (np.minimum).",
                min(peak, slope.min()),
            ),
        ]
        expect(got, np.minimum(peak, slope), tolerance=1e-6, suspects=suspects, what="The speed")
    return "On the slope, at the edge, and on the flat part."
