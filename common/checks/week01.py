"""The questions of week 1: from edges to lines."""

from __future__ import annotations

from collections.abc import Mapping

from common.checks import grading
from common.checks.edges import check_convolve, check_gaussian_kernel, check_gradient, check_to_grey
from common.checks.grading import Grades, Question
from common.checks.lines import check_hough, check_hysteresis, check_road_lines, check_thin

__all__ = [
    "QUESTIONS",
    "check_convolve",
    "check_gaussian_kernel",
    "check_gradient",
    "check_hough",
    "check_hysteresis",
    "check_road_lines",
    "check_thin",
    "check_to_grey",
    "grade",
]

QUESTIONS = (
    Question(1, "Grey", 1, "to_grey", check_to_grey),
    Question(2, "Convolution", 3, "convolve", check_convolve),
    Question(3, "A Gaussian kernel", 2, "gaussian_kernel", check_gaussian_kernel),
    Question(4, "Gradient", 2, "gradient", check_gradient),
    Question(5, "Thin edges", 2, "thin", check_thin),
    Question(6, "Hysteresis", 2, "hysteresis", check_hysteresis),
    Question(7, "Votes for lines", 2, "hough", check_hough),
    Question(8, "The lane", 2, "road_lines", check_road_lines),
    Question(9, "Defend your parameters", 4),
)


def grade(namespace: Mapping[str, object]) -> Grades:
    """Points of all questions; `namespace` is the notebook's ``globals()``."""
    return grading.grade(QUESTIONS, namespace)
