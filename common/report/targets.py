"""The capstone's targets: those of the course, our own stricter ones, and what was measured.

>>> table = target_table({"ratio": 9.2, "drop_points": 0.3, "bits_per_weight": 3.5, "sparsity": 0.92})
>>> table.all_met, is_met({"ratio": 8.9, "drop_points": 0.3, "bits_per_weight": 3.5, "sparsity": 0.92})
(True, False)

The course's ratio and its bits per weight say the same, since 32 / 3.57 = 9.0: AlexNet for ten classes has
57,044,810 parameters, and with 3.57 bits each its 228 MB become 25.5 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from common.base.text import markdown_table

COURSE_RATIO = 9.0
COURSE_DROP_POINTS = 1.5
COURSE_BITS_PER_WEIGHT = 3.57
COURSE_SPARSITY = 0.90
BASELINE_TOP1 = 0.935

# Our own, by the file's name without suffix: (must or aim, least ratio, most percentage points lost).
OWN_TARGETS: dict[str, tuple[tuple[str, float, float], ...]] = {
    "vgg16_cifar10": (("must", 100.0, 0.5), ("aim", 160.0, 0.1)),
    "vgg16_cifar10_small": (("aim", 465.0, 1.5),),
}


@dataclass(frozen=True)
class Target:
    """One row of the table.

    Attributes
    ----------
    name : str
        What is measured.
    measured : str
        The value with its unit.
    course : str
        The course's target.
    is_met : bool
        Whether the measured value meets the course's target.
    own : str
        Our own targets, and whether they are met, in words; "–" where there are none.
    """

    name: str
    measured: str
    course: str
    is_met: bool
    own: str = "–"


@dataclass(frozen=True)
class TargetTable:
    """The targets of one compressed network, and remarks on them; ``str()`` gives markdown."""

    rows: tuple[Target, ...]
    remarks: tuple[str, ...] = ()

    @property
    def all_met(self) -> bool:
        """Whether all of the course's targets are met; our own do not count."""
        return all(row.is_met for row in self.rows)

    def to_markdown(self) -> str:
        """Return a table, and one line per remark."""
        rows = [(row.name, row.measured, row.course, _word(row.is_met), row.own) for row in self.rows]
        lines = markdown_table(("target", "measured", "course target", "", "our own target"), rows)
        return "\n".join([*lines, *(f"\n{remark}" for remark in self.remarks)])

    __str__ = to_markdown


def target_table(figures: Mapping[str, object], *, stored: Collection[str] = ()) -> TargetTable:
    """Compare the figures of one compressed network with the targets.

    Parameters
    ----------
    figures : mapping
        ``ratio``, ``drop_points`` (percentage points), ``bits_per_weight``, ``sparsity`` (a fraction); where
        known, ``file`` (whose name selects our own targets), ``baseline_top1`` and ``n_test``.
    stored : collection of str
        Keys of figures that come from stored results and were not measured now; the table says so.

    Returns
    -------
    TargetTable
    """
    ratio, bits, sparsity = (float(figures[key]) for key in ("ratio", "bits_per_weight", "sparsity"))
    drop = round(float(figures["drop_points"]), 9)  # a hundred times a difference of fractions is not exact
    own = OWN_TARGETS.get(PurePath(str(figures.get("file", ""))).stem, ())

    def measured(key: str, text: str) -> str:
        return f"{text} (stored, not measured now)" if key in stored else text

    def ours(spell: Callable[[float, float], str], holds: Callable[[float, float], bool]) -> str:
        parts = [f"{kind} {spell(least, most)}: {_word(holds(least, most))}" for kind, least, most in own]
        return "; ".join(parts) or "–"

    rows = (
        Target(
            "compression ratio",
            measured("ratio", f"{ratio:.1f}×"),
            f"≥ {COURSE_RATIO:g}×",
            ratio >= COURSE_RATIO,
            ours(lambda least, _: f"≥ {least:g}×", lambda least, _: ratio >= least),
        ),
        Target(
            "accuracy drop",
            measured("drop_points", f"{drop:.2f} points".replace("-", "−")),
            f"< {COURSE_DROP_POINTS:g} points",
            drop < COURSE_DROP_POINTS,
            ours(lambda _, most: f"≤ {most:g} points", lambda _, most: drop <= most),
        ),
        Target(
            "bits per weight",
            measured("bits_per_weight", f"{bits:.3f}"),
            f"≤ {COURSE_BITS_PER_WEIGHT:g}",
            bits <= COURSE_BITS_PER_WEIGHT,
            ours(lambda least, _: f"≤ {32 / least:.3f}", lambda least, _: bits <= 32 / least),
        ),
        Target(
            "sparsity",
            measured("sparsity", f"{100 * sparsity:.2f} %"),
            f"≥ {100 * COURSE_SPARSITY:g} %",
            sparsity >= COURSE_SPARSITY,
        ),
    )
    return TargetTable(rows, _remarks(figures, own, stored))


def is_met(figures: Mapping[str, object]) -> bool:
    """Return whether the figures meet all of the course's targets (`target_table`)."""
    return target_table(figures).all_met


def _remarks(figures: Mapping[str, object], own: tuple, stored: Collection[str]) -> tuple[str, ...]:
    baseline = figures.get("baseline_top1")
    if baseline is None:
        return ()
    images = f" on {figures['n_test']:,} test images" if "n_test" in figures else ""
    when = " (stored, not measured now)" if "baseline_top1" in stored else ""
    remark = f"Drop against a baseline of {100 * baseline:.2f} % top-1{images}{when}."
    if own and baseline < BASELINE_TOP1:
        remark += f" That is below the {100 * BASELINE_TOP1:g} % that training on a GPU is to reach."
    return (remark,)


def _word(is_met: bool) -> str:
    return "met" if is_met else "missed"
