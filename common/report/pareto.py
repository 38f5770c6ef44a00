"""The Pareto front of two costs: the points that no other point beats in both."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def pareto_front(points: Iterable[T], costs: Callable[[T], tuple[float, float]]) -> list[T]:
    """Return the points of the Pareto front: no other is at least as good in both costs and better in one.

    Parameters
    ----------
    points : iterable
        Points of any kind.
    costs : callable
        Returns a point's two costs, for example bytes and accuracy drop. Less is better.

    Returns
    -------
    list
        Ascending in the first cost. Of points with equal costs, all are on the front or none.

    Examples
    --------
    >>> pareto_front([(3, 1), (1, 3), (2, 3), (1, 3), (4, 1)], lambda point: point)
    [(1, 3), (1, 3), (3, 1)]
    """
    # In ascending order of the first cost, a point is on the front if its second cost is a new minimum.
    front, last = [], (-math.inf, math.inf)
    for point in sorted(points, key=costs):
        found = costs(point)
        if found == last or found[1] < last[1]:
            front.append(point)
            last = found
    return front
