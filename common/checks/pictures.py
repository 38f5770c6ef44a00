"""Small matrices side by side, as text."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

LARGEST = 9  # rows and columns of a matrix that is still shown


def side_by_side(matrices: Mapping[str, np.ndarray]) -> str:
    """Matrices beside each other, each below its name; those too large to read are left out.

    >>> print(side_by_side({"image": np.eye(2, dtype=int), "yours": np.array([[0.5, 2], [-1, 0]])}))
    image    yours
     1 0      0.5   2
     0 1       -1   0
    """
    blocks = [block(name, matrix) for name, matrix in matrices.items() if is_small(matrix)]
    height = max((len(lines) for lines in blocks), default=0)
    for lines in blocks:
        width = max(map(len, lines))
        lines += [""] * (height - len(lines))
        lines[:] = [line.ljust(width) for line in lines]
    return "\n".join("    ".join(row).rstrip() for row in zip(*blocks, strict=True))


def block(name: str, matrix: np.ndarray) -> list[str]:
    """A matrix' lines, its name above."""
    rows = np.atleast_2d(matrix)
    cells = [[entry(value) for value in row] for row in rows]
    width = max(len(cell) for row in cells for cell in row)
    return [name, *(" " + " ".join(cell.rjust(width) for cell in row) for row in cells)]


def entry(value: object) -> str:
    """One number in few characters, a truth value as a mark.

    >>> [entry(value) for value in (3, 2.50001, -0.0, 1234.5, float("nan"), True)]
    ['3', '2.5', '0', '1.2e+03', 'nan', 'x']
    """
    if isinstance(value, bool | np.bool_):
        return "x" if value else "·"
    number = float(value)
    return f"{number:.0f}" if number.is_integer() and abs(number) < 1e4 else f"{number:.2g}"


def is_small(matrix: np.ndarray) -> bool:
    """Whether it can be shown: of one or two dimensions, and few numbers."""
    return matrix.ndim in (1, 2) and 0 < matrix.size and max(matrix.shape) <= LARGEST
