"""The questions of week 3: what VGG sees."""

from __future__ import annotations

from collections.abc import Mapping

from common.checks import grading
from common.checks.grading import Grades, Question
from common.checks.vgg_input import check_center_crop, check_resize_shorter, check_to_input
from common.checks.vgg_layers import (
    check_build_features,
    check_feature_maps,
    check_feature_vectors,
    check_layer_costs,
)

__all__ = [
    "QUESTIONS",
    "check_build_features",
    "check_center_crop",
    "check_feature_maps",
    "check_feature_vectors",
    "check_layer_costs",
    "check_resize_shorter",
    "check_to_input",
    "grade",
]

QUESTIONS = (
    Question(1, "Resize", 2, "resize_shorter", check_resize_shorter),
    Question(2, "Crop", 1, "center_crop", check_center_crop),
    Question(3, "Normalize", 3, "to_input", check_to_input),
    Question(4, "Layers from a configuration", 3, "build_features", check_build_features),
    Question(5, "What a layer costs", 2, "layer_costs", check_layer_costs),
    Question(6, "Feature maps", 3, "feature_maps", check_feature_maps),
    Question(7, "Feature vectors", 2, "feature_vectors", check_feature_vectors),
    Question(8, "What do the maps show?", 4),
)


def grade(namespace: Mapping[str, object]) -> Grades:
    """Points of all questions; `namespace` is the notebook's ``globals()``."""
    return grading.grade(QUESTIONS, namespace)
