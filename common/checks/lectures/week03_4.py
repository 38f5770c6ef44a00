"""Week 3, lecture 4: the rank for a share of the energy, the costs of three layers, a layer's decision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import as_array, call, expect
from common.checks.grading import NotYet
from common.checks.lectures import fill_in


def _rank_for_energy(sigma, share):
    squares = np.asarray(sigma, dtype=float) ** 2
    return int(np.argmax(np.cumsum(squares) / squares.sum() >= share - 1e-12)) + 1


@fill_in(own=_rank_for_energy)
def rank_for_energy(answer: Callable) -> str:
    """The first rank whose share of the squares is large enough."""
    for sigma, share in (
        ([8, 2, 2, 2, 2, 2], 0.75),
        ([9, 4, 4, 2, 2], 0.9),
        ([3, 3, 3], 0.3),
        ([6, 1, 1, 1], 0.999),
    ):
        sigma = np.array(sigma, dtype=float)
        wanted = _rank_for_energy(sigma, share)
        plain = np.cumsum(sigma) / sigma.sum()
        suspects = [
            ("An index counts from 0, a rank from 1.", wanted - 1),
            ("One piece too many: the rank whose share is reached is enough.", wanted + 1),
            ("Energy is the sum of *squares* of the singular values.", int(np.argmax(plain >= share)) + 1),
            (
                "The smallest rank that is enough is asked for: the first in the list, not the last.",
                len(sigma),
            ),
        ]
        got = call(answer, sigma, share, told=f"singular values {sigma.tolist()}, share {share}")
        expect(got, wanted, tolerance=0, suspects=suspects, what=f"For {sigma.tolist()} and {share} the rank")
    return "Four lists of singular values, one of equal ones."


def _three_costs(o, c, k, p, q):
    return {"1 × 1 in": c * q, f"{k} × {k} core": p * q * k * k, "1 × 1 out": o * p}


@fill_in(own=_three_costs)
def three_costs(answer: Callable) -> str:
    """c q, p q k², o p."""
    for o, c, k, p, q in ((7, 5, 3, 4, 2), (6, 9, 5, 3, 8)):
        told = f"o = {o}, c = {c}, k = {k}, p = {p}, q = {q}"
        got = call(answer, o, c, k, p, q, told=told)
        wanted = _three_costs(o, c, k, p, q)
        if not isinstance(got, dict) or len(got) != 3:
            raise NotYet(
                f"It returns {got!r:.60}, expected a dictionary of three layers.",
                hint='Like {"1 × 1 in": ..., f"{k} × {k} core": ..., "1 × 1 out": ...}.',
            )
        values = as_array(list(got.values()), "The dictionary's values")
        first, core, last = wanted.values()
        suspects = [
            ("P belongs to the outputs, Q to the inputs: c meets q, o meets p.", [c * p, core, o * q]),
            (
                "The core has k × k weights per pair of channels.",
                [first, p * q, last],
                [first, p * q * k, last],
            ),
            (
                "The layers stand in the order in which a picture passes them: first the inputs.",
                [last, core, first],
            ),
            ("The core connects the few channels, q to p, not c to o.", [first, o * c * k * k, last]),
            (
                "The outer layers are 1 × 1: one weight per pair of channels.",
                [first * k * k, core, last * k * k],
            ),
        ]
        expect(values, list(wanted.values()), tolerance=0, suspects=suspects, what=f"The costs for {told}")
    return "Two convolutions with unequal ranks."


def _best_rank(kept, weights, price):
    return int(np.argmin(-np.log(np.asarray(kept)) + price * np.asarray(weights))) + 1


@fill_in(own=_best_rank)
def best_rank(answer: Callable) -> str:
    """The rank of the smallest cost, -log kept + price · weights."""
    kept = np.array([0.25, 0.32, 0.37, 0.55, 0.72, 0.83, 0.85, 0.91, 1.0])
    uneven = np.array([15, 16, 46, 54, 60, 65, 92, 108, 109])
    for weights, price in ((uneven, 0.014), (7 * np.arange(1, 10), 0.03), (uneven, 0.2), (uneven, 0.0)):
        loss, paid = -np.log(kept), price * weights
        suspects = [
            ("An index counts from 0, a rank from 1.", int(np.argmin(loss + paid))),
            ("The *smallest* cost is asked for: np.argmin.", int(np.argmax(loss + paid)) + 1),
            (
                "The sign is wrong: −log of a share is positive, and large where little is kept.",
                int(np.argmin(-loss + paid)) + 1,
            ),
            (
                "The price of the weights is *added* to the loss: more weights cost more.",
                int(np.argmin(loss - paid)) + 1,
            ),
            ("The loss is −log of what is kept, not what is lost.", int(np.argmin(1 - kept + paid)) + 1),
            ("That is the cost itself: return the rank where it is smallest.", (loss + paid).min()),
        ]
        got = call(answer, kept, weights, price, told=f"price {price}")
        what = f"For weights {weights[0]}, {weights[1]}, … and price {price} the rank"
        expect(got, _best_rank(kept, weights, price), tolerance=0, suspects=suspects, what=what)
    return "Four prices, from free to expensive."
