"""Capstone, the map of methods: the Pareto front, and the smallest file within a limit of errors."""

from __future__ import annotations

from collections.abc import Callable

from common.checks.comparing import call, kind_of
from common.checks.grading import NotYet
from common.checks.lectures import fill_in


def _pareto_front(points):
    kept = []
    for size, error in set(points):
        beaten = any(s <= size and e <= error and (s, e) != (size, error) for s, e in points)
        kept += [] if beaten else [(size, error)]
    return sorted(kept)


@fill_in(own=_pareto_front)
def pareto_front(answer: Callable) -> str:
    """Pairs that no other one beats, ascending in bytes."""
    for points in (
        [(500, 3.0), (300, 4.0), (400, 4.0), (900, 2.0), (950, 2.5)],
        [(70, 1.0), (70, 2.0), (60, 2.0), (80, 1.0), (60, 2.0), (90, 0.5)],
    ):
        got = call(answer, points, told=f"{points}")
        try:
            got = [(float(size), float(error)) for size, error in got]
        except (TypeError, ValueError):
            raise NotYet(f"It returns {kind_of(got)}, expected a list of (bytes, errors).") from None
        wanted = [(float(size), float(error)) for size, error in _pareto_front(points)]
        if got != wanted:
            raise NotYet(
                f"Of {points} it finds {[(int(s), e) for s, e in got]}, which is wrong.",
                hint=_hint_of_front(got, wanted, points),
            )
    return "Two lists, with equal sizes, equal errors and a pair that stands twice."


def _hint_of_front(got: list, wanted: list, points: list) -> str:
    if sorted(got) == wanted:
        return "Ascending in bytes: sort what is kept."
    if sorted(set(got)) == wanted:
        return "A pair that stands in the list twice is in front once."
    if not got:
        return "No pair beats itself: leave the pair out of its own comparison."
    if len(got) == 1:
        return "Better in *both* is not asked for: a larger file with fewer errors is in front, too."
    if set(got) > set(wanted):
        return "A pair is also beaten when one of the two is equal and the other is better."
    return (
        "In front is what no other pair beats. A pair beats another when it is at most as large, has at "
        "most as many errors, and is not the same."
    )


def _smallest(points, most_error, error):
    good = [point for point in points if error(point) <= most_error + 1e-9]
    return min(good, key=lambda point: point["file_bytes"], default=None)


@fill_in(own=_smallest)
def smallest(answer: Callable) -> str:
    """The point of the fewest bytes within a limit; None where there is none."""
    points = [
        {"file_bytes": 900, "wrong": 1.0, "name": "a"},
        {"file_bytes": 400, "wrong": 2.0, "name": "b"},
        {"file_bytes": 100, "wrong": 5.0, "name": "c"},
        {"file_bytes": 600, "wrong": 1.5, "name": "d"},
    ]
    for most in (2.0, 1.75, 6.0, 0.1 + 0.9):
        wanted = _smallest(points, most, lambda point: point["wrong"])
        got = call(answer, points, most, lambda point: point["wrong"], told=f"at most {most:g} errors")
        if got == wanted:
            continue
        if not isinstance(got, dict):
            raise NotYet(f"It returns {kind_of(got)}, expected one of the points.", hint="The point itself.")
        hint = "The limit itself is allowed: <=, not <." if most == 2.0 and got.get("name") == "d" else ""
        if got.get("name") == "c":
            hint = "Only points within the limit count: error(point) <= most_error."
        elif got.get("name") == "a":
            hint = "The fewest *bytes* of those within the limit, not the fewest errors."
        raise NotYet(
            f"For at most {most:g} errors it chooses {got.get('name')!r}, which is wrong.", hint=hint
        )
    try:
        nothing = answer(points, 0.5, lambda point: point["wrong"])
    except NotImplementedError as error:
        raise NotYet("It is not written yet.", hint=str(error)) from None
    except Exception as error:
        raise NotYet(
            f"It raises {type(error).__name__} where no point is within the limit.",
            hint="min(..., default=None) of an empty list is None.",
        ) from None
    if nothing is not None:
        raise NotYet(f"It returns {kind_of(nothing)} where no point is within the limit, expected None.")
    return "Four limits, and one that no point is within."
