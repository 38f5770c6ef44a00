"""The Pareto front of two costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def pareto_front(points: Iterable[T], costs: Callable[[T], tuple[float, float]]) -> list[T]:
    """The points than which no other is at least as good in both costs and better in one.

    Parameters
    ----------
    points : iterable
    costs : callable
        A point's two costs: bytes and accuracy drop, for example. Less is better.

    Returns
    -------
    list
        Ascending in the first cost; points of equal costs are all on the front, or none of them is.

    Examples
    --------
    >>> pareto_front([(3, 1), (1, 3), (2, 3), (1, 3), (4, 1)], lambda point: point)
    [(1, 3), (1, 3), (3, 1)]
    """
    front, last = [], (-math.inf, math.inf)
    for point in sorted(points, key=costs):
        found = costs(point)
        if found == last or found[1] < last[1]:
            front.append(point)
            last = found
    return front
