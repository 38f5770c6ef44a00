"""The published figures of distillation beside ours, as markdown."""

from __future__ import annotations

from collections.abc import Mapping

from common.markdown import markdown_table

_HINTON = "Hinton, Vinyals, Dean 2015, section 3"
# Errors among the 10,000 test digits. `bias` was chosen on the test set there, on the validation split here.
_STUDENT = {"network": "mlp_800", "dataset": "mnist", "source": _HINTON}
PUBLISHED = [
    {"method": "teacher", "network": "mlp_1200", "dataset": "mnist", "source": _HINTON, "errors": 67},
    _STUDENT | {"method": "distilled student", "errors": 74, "temperature": 20.0},
    _STUDENT | {"method": "student alone", "errors": 146},
    _STUDENT
    | {
        "method": "distilled without 3s", "errors": 206, "errors_on_omitted": 133, "errors_after": 109,
        "errors_on_omitted_after": 14, "n_omitted": 1010, "bias": 3.5,
    },
    _STUDENT
    | {"method": "distilled on 7s and 8s only", "errors": 4730, "errors_after": 1320, "bias": 7.6},
]  # fmt: skip
BUDGETS = {
    "published": "60,000 training images; epochs, learning rates and batch size are not stated",
    "ours": "55,000 training images, 5,000 to choose by; epochs, rates and batch size stand in the plan",
}


def to_markdown(figures: Mapping) -> str:
    """Every published row, and ours below it; parts that are not yet made are left out."""
    published, n_test = {row["method"]: row for row in figures["published"]}, figures["n_test"]
    rows = []
    if figures["teacher"]:
        rows += _pair(published["teacher"], [figures["teacher"]["errors"]])
    for kind, method in (("alone", "student alone"), ("distilled", "distilled student")):
        if figures["errors"]:
            rows += _pair(published[method], figures["errors"][kind])
    if figures["errors"]:
        rows += [
            [name, "ours", _numbers(figures["errors"][kind]), "", ""]
            for kind, name in (("noisy", "noisy teacher"), ("relational", "relational distillation"))
        ]
    if figures["omitted"]:
        for kind, method in (("taught", "distilled without 3s"), ("few", "distilled on 7s and 8s only")):
            rows += [_omitted_published(published[method]), ["", *_omitted_ours(figures["omitted"][kind])]]
        rows.append(["labels only, without 3s", *_omitted_ours(figures["omitted"]["alone"])])
    heads = ["network", "whose", f"errors of {n_test:,}", "after raising the bias", "of them on omitted"]
    lines = [*markdown_table(heads, rows)]
    if figures["points"]:
        heads = ["file", "bytes", "smaller than the teacher", "top-1", "teacher's"]
        lines += ["", *markdown_table(heads, [_point(point) for point in figures["points"]])]
    if figures["vgg"]:
        vgg = figures["vgg"]
        lines += ["", *markdown_table(["VGG-16's student on CIFAR-10", "top-1"], vgg_rows(vgg)), ""]
        lines.append(f"{vgg['n_train']:,} training images, {vgg['epochs']} epochs, one seed.")
        if vgg["epochs"] < vgg["epochs_on_gpu"]:
            lines.append(f"On a GPU the command trains {vgg['epochs_on_gpu']} epochs.")
    return "\n".join(lines)


def vgg_rows(vgg: Mapping) -> list[list[str]]:
    """Names and accuracies in percent."""
    names = {
        "teacher": f"teacher, {vgg['parameters']['teacher']:,} parameters",
        "alone": f"student alone, {vgg['parameters']['student']:,} parameters",
        "distilled": "student distilled",
    }
    return [[names[kind], f"{100 * vgg['top1'][kind]:.2f} %"] for kind in names]


def _pair(published: Mapping, ours: list[int]) -> list[list[str]]:
    return [
        [published["method"], "paper", str(published["errors"]), "", ""],
        ["", "ours", _numbers(ours), "", ""],
    ]


def _numbers(errors: list[int]) -> str:
    """One number, or a mean with its seeds."""
    if len(errors) == 1:
        return str(errors[0])
    return f"{sum(errors) / len(errors):.1f} ({', '.join(map(str, errors))})"


def _omitted_published(row: Mapping) -> list[str]:
    hidden = ""
    if "errors_on_omitted" in row:
        hidden = f"{row['errors_on_omitted']} → {row['errors_on_omitted_after']}"
    return [row["method"], "paper", str(row["errors"]), f"{row['errors_after']} (by {row['bias']:g})", hidden]


def _omitted_ours(found: Mapping) -> list[str]:
    before, after = found["before"], found["after"]
    return [
        "ours", str(before["errors"]), f"{after['errors']} (by {found['bias']:g})",
        f"{before['errors_on_omitted']} → {after['errors_on_omitted']}",
    ]  # fmt: skip


def _point(point: Mapping) -> list[str]:
    return [
        f"{point['network']}: {point['label']}", f"{point['file_bytes']:,}",
        f"{point['dense_bytes'] / point['file_bytes']:.1f}×", f"{100 * point['top1']:.2f} %",
        f"{100 * point['baseline_top1']:.2f} %",
    ]  # fmt: skip
