"""The README's tables of results and its figure, from the JSON files that the commands wrote.

``python tools/readme_tables.py`` rewrites what stands between the markers and draws the figure; with
``--check`` it only tells whether the tables are out of step. A result that is not stored is "not run": no
figure of ours is typed in.
"""

import json
import re
import sys
from pathlib import Path

from common.base.text import markdown_table
from common.benchmarks import to_summary
from common.experiments import EXPERIMENTS, STUDY
from common.experiments.lenets import TITLES
from common.experiments.methods_map import drop_points
from common.networks.baseline import DATASETS
from common.report.published import PUBLISHED

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "capstone" / "results"


def read(name: str) -> dict:
    """The figures of a results file, or nothing."""
    path = RESULTS / name
    return json.loads(path.read_text())["figures"] if path.exists() else {}


def results_table() -> str:
    """Ours, beside the best published of the same network."""
    networks = {
        "vgg16": ("VGG-16, CIFAR-10", ("LilNetX", "EPR")),
        "lenet_300_100": ("LeNet-300-100, MNIST", ("Deep Compression", "EPR")),
        "lenet_5": ("LeNet-5, MNIST", ("Deep Compression", "EPR")),
        "alexnet": ("AlexNet, 10 classes, 224×224", ("Deep Compression",)),
    }
    measured = {"vgg16": list(read("operating_points.json").values())}
    measured["alexnet"] = list(read("alexnet.json").values())
    for point in read("lenets.json").get("points", []):
        measured.setdefault(point["network"], []).append(point)
    rows = []
    for name, (title, methods) in networks.items():
        theirs = "; ".join(quoted(name, method) for method in methods)
        rows += [row(title, figures, theirs) for figures in measured.get(name, [])] or [
            [title, *["not run"] * 5, theirs]
        ]
    heads = ["network", "file", "bytes", "ratio", "top-1: dense → decoded", "drop, points", "published"]
    return "\n".join(markdown_table(heads, rows))


def methods_table() -> str:
    """For each other method, network, data: the smallest file within a point of its baseline, or the best."""
    rows = []
    for name, entry in EXPERIMENTS.items():
        path = ROOT / entry.result
        figures = json.loads(path.read_text())["figures"] if path.exists() else {}
        kinds: dict[tuple[str, str, str], list[dict]] = {}
        for point in (
            () if entry.command == STUDY or name in ("lenets", "vgg16") else figures.get("points", ())
        ):
            kinds.setdefault((point["method"], point["network"], point["dataset"]), []).append(point)
        for (method, network, dataset), points in kinds.items():
            own = "" if dataset == DATASETS.get(network, dataset) else f", {dataset}"
            good = [point for point in points if drop_points(point) <= 1]
            best = min(good, key=lambda point: point["file_bytes"]) if good else min(points, key=drop_points)
            rows.append(
                [
                    method,
                    f"{TITLES.get(network, network)}{own}",
                    f"{best['file_bytes']:,}",
                    f"{best['dense_bytes'] / best['file_bytes']:.0f}×",
                    f"{100 * best['baseline_top1']:.2f} % → {100 * best['top1']:.2f} %",
                    f"{drop_points(best):.2f}".replace("-", "−"),
                    neighbour(figures, network, dataset),
                    f"`{name}`",
                ]
            )
    heads = [
        "method",
        "network",
        "bytes",
        "ratio",
        "top-1: dense → decoded",
        "drop, points",
        "published",
        "`dnnc reproduce`",
    ]
    return "\n".join(markdown_table(heads, rows)) if rows else "Not run yet."


def neighbour(figures: dict, network: str, dataset: str) -> str:
    """The first published row of a network and data set that counts bytes or errors, in a few words."""
    for row in figures.get("published", ()):
        if (row.get("network", network), row.get("dataset", dataset)) != (network, dataset):
            continue
        said = [f"{row['ratio']:.0f}×"] if row.get("ratio") else []
        if row.get("counts") == "parameters":
            said[-1] += " of the parameters"
        if row.get("smaller"):
            said.append(f"{100 * row['smaller']:.1f} % smaller")
        if "top1" in row:
            said.append(f"{100 * row['baseline_top1']:.2f} % → {100 * row['top1']:.2f} %")
        if "kept" in row and row.get("beside") == "dense" and "points" in row:
            said.append(f"{100 * row['kept']:g} % of the weights, drop {0 - row['points']:g}")
        if "errors" in row:
            said.append(f"{row['errors']} errors of 10,000")
        if row.get("error") is not None:
            said.append(f"{100 - row['error']:.2f} %")
        if row.get("drop_points") is not None:
            said.append(f"drop {row['drop_points']:g}")
        if said:
            return f"{row['method']}: {', '.join(said)}"
    return "–"


def quoted(network: str, method: str) -> str:
    """A published row in a few words, accuracies as in our own."""
    (found,) = (row for row in PUBLISHED[network] if row.method == method)
    where = " (ImageNet)" if network == "alexnet" else ""
    before, after = 100 - found.baseline_error, 100 - found.error
    return f"{method} {found.ratio:.0f}×, {before:.2f} % → {after:.2f} %{where}"


def row(title: str, figures: dict, published: str) -> list[str]:
    """One compressed network."""
    if "error" in figures:  # the LeNets' papers count errors, and so do their results
        before, after = 100 - 100 * figures["baseline_error"], 100 - 100 * figures["error"]
    else:
        before, after = 100 * figures["baseline_top1"], 100 * figures["top1"]
    return [
        title,
        f"[{figures['file']}](capstone/{figures['file']})",
        f"{figures['file_bytes']:,}",
        f"{figures['ratio']:.0f}×",
        f"{before:.2f} % → {after:.2f} %",
        f"{before - after:.2f}".replace("-", "−"),
        published,
    ]


def bench_table() -> str:
    """What ``make bench`` wrote, ours beside the fastest peers only."""
    path = RESULTS / "bench.json"
    return to_summary(json.loads(path.read_text())).strip() if path.exists() else "Not run yet: `make bench`."


def draw_figure(path: Path = ROOT / "capstone/figures/three_stages.png") -> None:
    """The three stages with the sizes of the headline's file."""
    from common.figures import three_stages  # matplotlib takes a second, and the check needs none

    stages = read("operating_points.json")["vgg16_cifar10"]["stages"]
    path.parent.mkdir(exist_ok=True)
    three_stages(stages).savefig(path, dpi=110, bbox_inches="tight")


def renewed(text: str) -> str:
    """The README's text with present tables."""
    tables = {"results": results_table(), "methods": methods_table(), "bench": bench_table()}
    for name, table in tables.items():
        pattern = rf"(<!-- {name}:start -->\n)(?:.*?\n)?(<!-- {name}:end -->)"
        text, n = re.subn(pattern, lambda m, t=table: f"{m[1]}{t}\n{m[2]}", text, flags=re.DOTALL)
        if n != 1:
            raise ValueError(f"README.md has {n} places for the table {name!r}: expected one pair of markers")
    return text


def main(arguments: list[str]) -> int:
    """Rewrite the README, or with ``--check`` only tell; 1 when the check finds it out of step."""
    readme = ROOT / "README.md"
    text = readme.read_text()
    wanted = renewed(text)
    if "--check" not in arguments and read("operating_points.json"):
        draw_figure()
    if wanted == text:
        return 0
    print("README.md: tables of results out of step" if "--check" in arguments else "README.md renewed")
    if "--check" in arguments:
        return 1
    readme.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
