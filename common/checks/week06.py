"""The questions of week 6: centroid fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping

from common.checks import grading
from common.checks.centroids import check_centroid_gradient, check_fine_tune, check_take_step
from common.checks.grading import Grades, Question
from common.checks.sharing import check_assign, check_decode, check_shrink_factor, check_tidy

__all__ = [
    "QUESTIONS",
    "check_assign",
    "check_centroid_gradient",
    "check_decode",
    "check_fine_tune",
    "check_shrink_factor",
    "check_take_step",
    "check_tidy",
    "grade",
]

QUESTIONS = (
    Question(1, "Decode", 2, "decode", check_decode),
    Question(2, "Assign", 2, "assign", check_assign),
    Question(3, "What sharing saves", 2, "shrink_factor", check_shrink_factor),
    Question(4, "The gradient by the centroids", 3, "centroid_gradient", check_centroid_gradient),
    Question(5, "One step", 2, "take_step", check_take_step),
    Question(6, "Fine-tuning", 3, "fine_tune", check_fine_tune),
    Question(7, "A tidy codebook", 2, "tidy", check_tidy),
    Question(8, "How many bits does a layer need?", 4),
)


def grade(namespace: Mapping[str, object]) -> Grades:
    """Points of all questions; `namespace` is the notebook's ``globals()``."""
    return grading.grade(QUESTIONS, namespace)
