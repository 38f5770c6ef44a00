"""Capstone, the map of methods: right answers, and the usual mistakes with a word of their hint."""

from common.checks.lectures import capstone_methods as checks


def by_sweep(points):
    kept, best = [], float("inf")
    for size, error in sorted(points):
        if error < best:
            kept.append((size, error))
            best = error
    return kept


def front(beaten, *, once=set):
    def answer(points):
        return sorted(p for p in once(points) if not any(beaten(q, p) for q in points))

    return answer


own = checks.pareto_front.own
RIGHT = {
    "pareto_front": [own, by_sweep],
    "smallest": [
        checks.smallest.own,
        lambda points, most, error: next(
            (p for p in sorted(points, key=lambda p: p["file_bytes"]) if error(p) <= most + 1e-9), None
        ),
    ],
}
FRONTS = {
    "sort what is kept": lambda points: own(points)[::-1],
    "is in front once": front(lambda q, p: q[0] <= p[0] and q[1] <= p[1] and q != p, once=list),
    "No pair beats itself": front(lambda q, p: q[0] <= p[0] and q[1] <= p[1]),
    "one of the two is equal": front(lambda q, p: q[0] < p[0] and q[1] < p[1]),
    "a larger file with fewer errors": lambda points: own(points)[:1],
}
SMALLEST = {
    "The limit itself is allowed": lambda points, most, error: min(
        [p for p in points if error(p) < most - 1e-9] or [points[3]], key=lambda p: p["file_bytes"]
    ),
    "Only points within the limit": lambda points, most, error: min(points, key=lambda p: p["file_bytes"]),
    "not the fewest errors": lambda points, most, error: min(points, key=error),
    "default=None": lambda points, most, error: min(
        [p for p in points if error(p) <= most + 1e-9], key=lambda p: p["file_bytes"]
    ),
}
MISTAKES = {"pareto_front": FRONTS, "smallest": SMALLEST}
