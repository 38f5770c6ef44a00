"""The Pareto front, compared with all pairs."""

from hypothesis import given
from hypothesis import strategies as st

from common.report.pareto import pareto_front

COST = st.integers(0, 5)


@given(st.lists(st.tuples(COST, COST)))
def test_the_front_is_what_no_other_point_beats(points):
    def is_beaten(point):
        return any(other != point and other[0] <= point[0] and other[1] <= point[1] for other in points)

    assert pareto_front(points, lambda point: point) == sorted(p for p in points if not is_beaten(p))
