"""The questions of week 4: k-means from scratch on weights."""

from __future__ import annotations

from collections.abc import Mapping

from common.checks import grading
from common.checks.clusters import check_assign, check_kmeans, check_starting_centroids, check_update
from common.checks.codebooks import check_optimal_inertia, check_pack, check_shared_bits
from common.checks.grading import Grades, Question

__all__ = [
    "QUESTIONS",
    "check_assign",
    "check_kmeans",
    "check_optimal_inertia",
    "check_pack",
    "check_shared_bits",
    "check_starting_centroids",
    "check_update",
    "grade",
]

QUESTIONS = (
    Question(1, "Where to start", 2, "starting_centroids", check_starting_centroids),
    Question(2, "Assign", 2, "assign", check_assign),
    Question(3, "Update", 3, "update", check_update),
    Question(4, "The loop", 3, "kmeans", check_kmeans),
    Question(5, "What it costs", 1, "shared_bits", check_shared_bits),
    Question(6, "Pack", 2, "pack", check_pack),
    Question(7, "The exact optimum", 3, "optimal_inertia", check_optimal_inertia),
    Question(8, "Which start would you use?", 4),
)


def grade(namespace: Mapping[str, object]) -> Grades:
    """Points of all questions; `namespace` is the notebook's ``globals()``."""
    return grading.grade(QUESTIONS, namespace)
