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


@dataclass(frozen=True)
class Goal:
    """What we want of a file beyond the course's targets: a bound on its size, and one on its accuracy.

    Attributes
    ----------
    kind : {"must", "aim"}
    least_ratio : float, optional
        Dense float32 bytes over the file's.
    most_bytes : int, optional
        Of the file.
    least_top1 : float, optional
        Accuracy of the decoded file, in percent.
    most_points : float, optional
        Percentage points lost against the trained network.
    """

    kind: str
    least_ratio: float | None = None
    most_bytes: int | None = None
    least_top1: float | None = None
    most_points: float | None = None

    @property
    def size(self) -> str:
        """The bound on the size in words; empty where there is none."""
        if self.most_bytes is not None:
            return f"≤ {self.most_bytes:,} bytes"
        return "" if self.least_ratio is None else f"≥ {self.least_ratio:g}×"

    @property
    def accuracy(self) -> str:
        """The bound on the accuracy in words."""
        if self.least_top1 is not None:
            return f"≥ {self.least_top1:.2f} %"
        return f"≤ {self.most_points:g} points lost" if self.most_points else "no loss"

    def is_small_enough(self, figures: Mapping[str, object]) -> bool:
        """Whether ``file_bytes`` or ``ratio`` is within the bound."""
        if self.most_bytes is not None:
            return figures["file_bytes"] <= self.most_bytes
        return self.least_ratio is None or figures["ratio"] >= self.least_ratio

    def is_accurate_enough(self, figures: Mapping[str, object]) -> bool:
        """Whether ``top1`` (a fraction) or ``drop_points`` is within the bound."""
        if self.least_top1 is not None:  # rounded: 100 times a fraction is not exact
            return round(100 * figures["top1"], 9) >= self.least_top1
        return round(figures["drop_points"], 9) <= self.most_points

    def __str__(self) -> str:
        return " at ".join(filter(None, (self.size, self.accuracy)))

    def judged(self, figures: Mapping[str, object]) -> str:
        """Both bounds, and whether the figures keep them, in words."""
        return f"{self}: {_word(self.is_small_enough(figures) and self.is_accurate_enough(figures))}"


_BASELINE = "vgg16_cifar10.safetensors"
# By the file's name without folder and, but for the baseline, suffix.
GOALS: dict[str, tuple[Goal, ...]] = {
    _BASELINE: (Goal("must", least_top1=93.5), Goal("aim", least_top1=94.0)),
    "vgg16_cifar10": (
        Goal("must", least_ratio=160, most_points=0.1),
        Goal("aim", least_ratio=250, most_points=0.0),
    ),
    "vgg16_cifar10_small": (
        Goal("must", most_bytes=129_000, least_top1=92.6),
        Goal("aim", most_bytes=100_000, least_top1=92.6),
    ),
    "vgg16_cifar10_tiny": (Goal("aim", most_bytes=76_000, least_top1=90.0),),
    "lenet_5_small": (Goal("must", most_bytes=5_987, least_top1=99.32),),
    "lenet_5_variational_middle": (Goal("must", most_bytes=2_637, least_top1=99.01),),
    "lenet_5_tiny": (Goal("aim", most_bytes=1_520, least_top1=99.04),),
    "lenet_300_100_small": (Goal("must", most_bytes=7_072, least_top1=98.92),),
    "lenet_300_100_variational_middle": (Goal("must", most_bytes=3_336, least_top1=98.16),),
    "lenet_300_100_variational_small": (Goal("must", most_bytes=2_512, least_top1=97.66),),
    "lenet_300_100_tiny": (Goal("aim", most_bytes=2_500, least_top1=98.1),),
    "vgg16_cifar100_relevance": (
        Goal("must", least_ratio=34, least_top1=73.77),
        Goal("aim", least_ratio=11.4, least_top1=74.15),
    ),
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
        known, ``file`` (whose name selects our own targets, which need ``file_bytes`` and ``top1``),
        ``baseline_top1`` and ``n_test``.
    stored : collection of str
        Keys of figures that come from stored results and were not measured now; the table says so.

    Returns
    -------
    TargetTable
    """
    ratio, bits, sparsity = (float(figures[key]) for key in ("ratio", "bits_per_weight", "sparsity"))
    drop = round(float(figures["drop_points"]), 9)  # a hundred times a difference of fractions is not exact
    own = GOALS.get(PurePath(str(figures.get("file", ""))).stem, ())

    def measured(key: str, text: str) -> str:
        return f"{text} (stored, not measured now)" if key in stored else text

    def ours(bound: Callable[[Goal], str], holds: Callable[[Goal, Mapping], bool]) -> str:
        return "; ".join(f"{goal.kind} {bound(goal)}: {_word(holds(goal, figures))}" for goal in own) or "–"

    rows = (
        Target(
            "compression ratio",
            measured("ratio", f"{ratio:.1f}×"),
            f"≥ {COURSE_RATIO:g}×",
            ratio >= COURSE_RATIO,
            ours(lambda goal: goal.size, Goal.is_small_enough),
        ),
        Target(
            "accuracy drop",
            measured("drop_points", f"{drop:.2f} points".replace("-", "−")),
            f"< {COURSE_DROP_POINTS:g} points",
            drop < COURSE_DROP_POINTS,
            ours(lambda goal: goal.accuracy, Goal.is_accurate_enough),
        ),
        Target(
            "bits per weight",
            measured("bits_per_weight", f"{bits:.3f}"),
            f"≤ {COURSE_BITS_PER_WEIGHT:g}",
            bits <= COURSE_BITS_PER_WEIGHT,
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
    must = GOALS[_BASELINE][0].least_top1
    file = PurePath(str(figures.get("file", ""))).stem
    if own and f"{file}_".startswith("vgg16_cifar10_") and 100 * baseline < must:
        remark += f" That is below our own must for it, {must:g} %."
    return (remark,)


def _word(is_met: bool) -> str:
    return "met" if is_met else "missed"
