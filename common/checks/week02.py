"""The questions of week 2: digits, and a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping

from common.checks import grading
from common.checks.grading import Grades, Question
from common.checks.perceptron import check_learning_curve, check_mlp_gradients
from common.checks.regression import (
    check_cross_entropy,
    check_fit_logistic,
    check_logistic_gradients,
    check_softmax,
    check_standardize,
)

__all__ = [
    "QUESTIONS",
    "check_cross_entropy",
    "check_fit_logistic",
    "check_learning_curve",
    "check_logistic_gradients",
    "check_mlp_gradients",
    "check_softmax",
    "check_standardize",
    "grade",
]

QUESTIONS = (
    Question(1, "Standardize", 2, "standardize", check_standardize),
    Question(2, "Softmax", 2, "softmax", check_softmax),
    Question(3, "Cross-entropy", 2, "cross_entropy", check_cross_entropy),
    Question(4, "The gradient of logistic regression", 3, "logistic_gradients", check_logistic_gradients),
    Question(5, "Gradient descent", 2, "fit_logistic", check_fit_logistic),
    Question(6, "Backpropagation", 3, "mlp_gradients", check_mlp_gradients),
    Question(7, "The learning curve", 2, "learning_curve", check_learning_curve),
    Question(8, "A diagnosis", 4),
)


def grade(namespace: Mapping[str, object]) -> Grades:
    """Points of all questions; `namespace` is the notebook's ``globals()``."""
    return grading.grade(QUESTIONS, namespace)
