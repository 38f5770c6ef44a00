"""The questions of week 5: the highest sparsity within one point."""

from __future__ import annotations

from collections.abc import Mapping

from common.checks import grading
from common.checks.gaps import check_encode_gaps, check_layer_bits
from common.checks.grading import Grades, Question
from common.checks.mask_rules import check_global_masks, check_layerwise_masks, check_magnitude
from common.checks.pruner import check_cubic_sparsity, check_masked_step, check_sensitivity

__all__ = [
    "QUESTIONS",
    "check_cubic_sparsity",
    "check_encode_gaps",
    "check_global_masks",
    "check_layer_bits",
    "check_layerwise_masks",
    "check_magnitude",
    "check_masked_step",
    "check_sensitivity",
    "grade",
]

QUESTIONS = (
    Question(1, "Scores", 1, "magnitude", check_magnitude),
    Question(2, "One threshold for all", 3, "global_masks", check_global_masks),
    Question(3, "A sparsity for each layer", 1, "layerwise_masks", check_layerwise_masks),
    Question(4, "Little by little", 2, "cubic_sparsity", check_cubic_sparsity),
    Question(5, "Zeros that stay", 2, "masked_step", check_masked_step),
    Question(6, "Which layers bear it", 2, "sensitivity", check_sensitivity),
    Question(7, "Gaps with fillers", 3, "encode_gaps", check_encode_gaps),
    Question(8, "What a layer costs", 2, "layer_bits", check_layer_bits),
    Question(9, "Defend your schedule", 4),
)


def grade(namespace: Mapping[str, object]) -> Grades:
    """Points of all questions; `namespace` is the notebook's ``globals()``."""
    return grading.grade(QUESTIONS, namespace)
