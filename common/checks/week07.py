"""The questions of week 7: a canonical Huffman codec."""

from __future__ import annotations

from collections.abc import Mapping

from common.checks import grading
from common.checks.code_book import (
    check_canonical_codes,
    check_code_lengths,
    check_entropy,
    check_is_complete,
)
from common.checks.code_stream import check_decode, check_encode, check_read_lengths
from common.checks.grading import Grades, Question

__all__ = [
    "QUESTIONS",
    "check_canonical_codes",
    "check_code_lengths",
    "check_decode",
    "check_encode",
    "check_entropy",
    "check_is_complete",
    "check_read_lengths",
    "grade",
]

QUESTIONS = (
    Question(1, "Entropy", 1, "entropy", check_entropy),
    Question(2, "Huffman's lengths", 3, "code_lengths", check_code_lengths),
    Question(3, "Complete or not", 1, "is_complete", check_is_complete),
    Question(4, "Canonical words", 3, "canonical_codes", check_canonical_codes),
    Question(5, "Encode", 3, "encode", check_encode),
    Question(6, "Decode", 3, "decode", check_decode),
    Question(7, "The table in the file", 2, "read_lengths", check_read_lengths),
    Question(8, "What do the bits buy?", 4),
)


def grade(namespace: Mapping[str, object]) -> Grades:
    """Points of all questions; `namespace` is the notebook's ``globals()``."""
    return grading.grade(QUESTIONS, namespace)
