"""The pages' tables of results and the README's figure, from the JSON files that the commands wrote.

``python tools/readme_tables.py`` rewrites the text between the markers and draws the figure; with ``--check``
it only says whether the tables are outdated. A result that is not stored appears as "not run": none of the
course's own figures is typed by hand.
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
from common.report.targets import GOALS, Goal

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "capstone" / "results"


def read(name: str) -> dict:
    """Return the figures of a results file; an empty dict where there is no file."""
    path = RESULTS / name
    return json.loads(path.read_text())["figures"] if path.exists() else {}


NETWORKS = {
    "vgg16": ("VGG-16, CIFAR-10", ("LilNetX", "LilNetX, extreme", "EPR")),
    "lenet_300_100": ("LeNet-300-100, MNIST", ("Deep Compression", "EPR")),
    "lenet_5": ("LeNet-5, MNIST", ("Deep Compression", "EPR", "MIRACLE")),
    "alexnet": ("AlexNet, 10 classes, 224×224", ("Deep Compression",)),
}
# Network, file, and the published result nearest to it: the README's rows, and what has a goal besides.
HEADLINES = (
    ("vgg16", "capstone/vgg16_cifar10.dcz", "MIRACLE"),
    ("vgg16", "capstone/vgg16_cifar10_small.dcz", "LilNetX"),
    ("vgg16", "capstone/vgg16_cifar10_tiny.dcz", "LilNetX, extreme"),
    ("lenet_5", "week05_pruning/results/lenet_5_variational_middle.dcz", "EPR"),
    ("lenet_300_100", "week05_pruning/results/lenet_300_100_variational_middle.dcz", "EPR"),
    ("lenet_300_100", "capstone/lenet_300_100_tiny.dcz", "EPR"),
    ("alexnet", "capstone/alexnet_cifar10.dcz", "Deep Compression"),
)
WITH_GOALS = (
    ("vgg16", "capstone/vgg16_cifar10.safetensors", None),
    *HEADLINES[:3],
    ("lenet_5", "capstone/lenet_5_small.dcz", "EPR"),
    HEADLINES[3],
    ("lenet_5", "capstone/lenet_5_tiny.dcz", "MIRACLE"),
    ("lenet_300_100", "capstone/lenet_300_100_small.dcz", "EPR"),
    *HEADLINES[4:6],
    ("lenet_300_100", "week05_pruning/results/lenet_300_100_variational_small.dcz", "EPR"),
)


def measured() -> dict[str, list[dict]]:
    """Return the capstone's files by network, each with ``path``, ``baseline_top1`` and ``top1``."""
    found = {"vgg16": list(read("operating_points.json").values())}
    found["alexnet"] = list(read("alexnet.json").values())
    for point in read("lenets.json").get("points", []):
        found.setdefault(point["network"], []).append(point)
    return {
        name: [point | {"path": f"capstone/{point['file']}"} for point in points]
        for name, points in found.items()
    }


def file_table(chosen: tuple = HEADLINES, root: str = "") -> str:
    """Return files beside our goals and the nearest published results; `root` leads to the top folder."""
    found = [point | {"network": name} for name, points in measured().items() for point in points]
    for name in ("variational_dropout", "tiny_lenets"):
        stored = ROOT / EXPERIMENTS[name].result
        found += json.loads(stored.read_text())["figures"]["points"] if stored.exists() else []
    by_size = {(point["network"], point["file_bytes"]): point for point in found}
    rows = []
    for network, path, method in chosen:
        n_bytes = (ROOT / path).stat().st_size if (ROOT / path).exists() else 0
        theirs = nearest(network, method)
        goals = GOALS.get(Path(path).stem if path.endswith(".dcz") else Path(path).name, ())
        ours = by_size.get((network, n_bytes))
        if path.endswith(".safetensors"):
            rows.append(baseline_row(f"[{n_bytes:,}]({root}{path})", goals))
        elif ours is None:
            rows.append([NETWORKS[network][0], *["not run"] * 3, wished(goals), theirs])
        else:
            ratio, before = ours["dense_bytes"] / ours["file_bytes"], ours["baseline_top1"]
            figures = ours | {"ratio": ratio, "drop_points": 100 * (before - ours["top1"])}
            accuracy = f"{100 * before:.2f} % → **{100 * ours['top1']:.2f} %**"
            link = f"[{ours['file_bytes']:,}]({root}{path})"
            told = judged(goals, figures)
            rows.append([NETWORKS[network][0], link, f"**{ratio:,.0f}×**", accuracy, told, theirs])
    heads = ["network", "bytes", "ratio", "top-1: dense → decoded", "our goals", "nearest published"]
    return "\n".join(markdown_table(heads, rows))


def goals_table() -> str:
    """Return all that has goals, for the page in ``capstone/``."""
    return "\n".join([file_table(WITH_GOALS, "../"), *markdown_table([], [relevance_row()])[2:]])


def relevance_row() -> list[str]:
    """Return the row of the VGG-16 for CIFAR-100, whose file is not shipped."""
    stored = ROOT / EXPERIMENTS["relevance"].result
    figures = json.loads(stored.read_text())["figures"] if stored.exists() else {"points": ()}
    title, goals = "VGG-16, CIFAR-100, pruned by relevance", GOALS["vgg16_cifar100_relevance"]
    ours = next((point for point in figures["points"] if point["dataset"] == "cifar100"), None)
    if ours is None:
        return [title, *["not run"] * 3, wished(goals), "–"]
    ratio, before, after = ours["dense_bytes"] / ours["file_bytes"], ours["baseline_top1"], ours["top1"]
    accuracy = f"{100 * before:.2f} % → **{100 * after:.2f} %**"
    told = judged(goals, ours | {"ratio": ratio})
    theirs = neighbour(figures, "vgg16", "cifar100")
    return [title, f"{ours['file_bytes']:,}", f"**{ratio:,.0f}×**", accuracy, told, theirs]


def wished(goals: tuple[Goal, ...]) -> str:
    """Return the goals of what is not made yet."""
    return "; ".join(f"{goal.kind} {goal}" for goal in goals) or "–"


def judged(goals: tuple[Goal, ...], figures: dict) -> str:
    """Return the goals, and whether they are met."""
    return "; ".join(f"{goal.kind} {goal.judged(figures)}" for goal in goals) or "–"


def baseline_row(link: str, goals: tuple[Goal, ...]) -> list[str]:
    """Return the row of the trained VGG-16, which has no ratio and no drop."""
    figures, title = read("baseline.json"), f"{NETWORKS['vgg16'][0]}, trained, float16"
    if not figures:
        return [title, *["not run"] * 3, wished(goals), "–"]
    return [title, link, "–", f"**{100 * figures['top1']:.2f} %**", judged(goals, figures), "–"]


def nearest(network: str, method: str | None) -> str:
    """Return a published result in a few words: bytes and accuracy."""
    if method is None:
        return "–"
    (found,) = (row for row in PUBLISHED[network] if row.method == method)
    where = " (ImageNet)" if network == "alexnet" else ""
    return f"{found.label}: {found.compressed_bytes:,}, {100 - found.error:.2f} %{where}"


def results_table() -> str:
    """Return our results, beside the best published ones of the same network."""
    rows, found = [], measured()
    for name, (title, methods) in NETWORKS.items():
        theirs = "; ".join(quoted(name, method) for method in methods)
        rows += [row(title, figures, theirs) for figures in found.get(name, [])] or [
            [title, *["not run"] * 5, theirs]
        ]
    heads = ["network", "file", "bytes", "ratio", "top-1: dense → decoded", "drop, points", "published"]
    return "\n".join(markdown_table(heads, rows))


def training_table() -> str:
    """Return what each training of the VGG-16 for CIFAR-10 took and brought, in the order of the pipeline."""
    trained, points, rows = read("baseline.json"), read("operating_points.json"), []
    if trained:
        rows.append(["the network", "training", "–", str(trained["epochs"]), f"{trained['top1']:.2%}", "–"])
    first = {
        name: row for name, row in read("vgg16_cifar10_first.json").items() if _who_starts_from(row, points)
    }
    for name, point in (first | points).items():
        stages = {stage["name"]: stage["top1"] for stage in point.get("stages", ())}
        before, origin = stages.get("dense"), "the network"
        if point.get("start") in points:
            origin = f"`{point['start']}`, pruned"
            before = {stage["name"]: stage["top1"] for stage in points[point["start"]]["stages"]}["pruned"]
        for other, row in first.items():
            if point in _who_starts_from(row, points):
                before, origin = row["top1"], f"`{other}`, decoded"
        for stage, told in (("pruned", "prune"), ("shared", "share"), ("huffman", None)):
            if stage in stages:
                epochs = str(point["config"][told]["epochs"]) if told else "–"
                change = f"{100 * (stages[stage] - before):+.2f}".replace("-", "−")
                rows.append([f"`{name}`", told or "code", origin, epochs, f"{stages[stage]:.2%}", change])
                before, origin = stages[stage], "the stage before"
    heads = ["what", "stage", "starts from", "epochs", "top-1 after it", "change, points"]
    return "\n".join(markdown_table(heads, [[cell.replace("%", " %") for cell in row] for row in rows]))


def _who_starts_from(row: dict, points: dict[str, dict]) -> list[dict]:
    """Return the points that start from the file of a row."""
    starts = [(point, point.get("config", {}).get("start_file")) for point in points.values()]
    return [point for point, start in starts if start and start["sha256"] == row["sha256"]]


def methods_table() -> str:
    """Return the other methods' best files.

    For each method, network and data set: the smallest file within a point of its baseline, or else the most
    accurate one.
    """
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
    """Return in a few words the first published row of a network and data set that has sizes or errors."""
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
    """Return a published row in a few words, with accuracies in place of errors, as in ours."""
    (found,) = (row for row in PUBLISHED[network] if row.method == method)
    where = " (ImageNet)" if network == "alexnet" else ""
    before = "" if found.baseline_error is None else f"{100 - found.baseline_error:.2f} % → "
    return f"{found.label} {found.ratio:.0f}×, {before}{100 - found.error:.2f} %{where}"


def row(title: str, figures: dict, published: str) -> list[str]:
    """Return the row of one compressed network."""
    before, after = 100 * figures["baseline_top1"], 100 * figures["top1"]
    return [
        title,
        f"[{figures['file']}]({figures['file']})",
        f"{figures['file_bytes']:,}",
        f"{figures['ratio']:.0f}×",
        f"{before:.2f} % → {after:.2f} %",
        f"{before - after:.2f}".replace("-", "−"),
        published,
    ]


def bench_table() -> str:
    """Return the results of ``make bench``, ours beside the fastest peers only."""
    path = RESULTS / "bench.json"
    return to_summary(json.loads(path.read_text())).strip() if path.exists() else "Not run yet: `make bench`."


def draw_figure(path: Path = ROOT / "capstone/figures/three_stages.png") -> None:
    """Draw the three stages, with the sizes of the headline's file."""
    from common.figures import three_stages  # matplotlib takes a second, and the check needs none

    stages = read("operating_points.json")["vgg16_cifar10"]["stages"]
    path.parent.mkdir(exist_ok=True)
    three_stages(stages).savefig(path, dpi=110, bbox_inches="tight")


# Which tables are in which file.
PAGES = {
    "README.md": {"headlines": file_table, "bench": bench_table},
    "capstone/README.md": {
        "goals": goals_table,
        "results": results_table,
        "training": training_table,
        "methods": methods_table,
    },
}


def renewed(page: str, text: str) -> str:
    """Return a page's text with current tables."""
    for name, table in PAGES[page].items():
        pattern = rf"(<!-- {name}:start -->\n)(?:.*?\n)?(<!-- {name}:end -->)"
        content = table()
        text, n = re.subn(pattern, lambda m, t=content: f"{m[1]}{t}\n{m[2]}", text, flags=re.DOTALL)
        if n != 1:
            raise ValueError(f"{page} has {n} places for the table {name!r}: expected one pair of markers")
    return text


def main(arguments: list[str]) -> int:
    """Rewrite the pages, or with ``--check`` only compare; return 1 when the check finds an outdated one."""
    is_check, status = "--check" in arguments, 0
    for page in PAGES:
        text = (ROOT / page).read_text()
        wanted = renewed(page, text)
        if wanted == text:
            continue
        print(f"{page}: tables of results out of step" if is_check else f"{page} renewed")
        if is_check:
            status = 1
        else:
            (ROOT / page).write_text(wanted)
    if not is_check and read("operating_points.json"):
        draw_figure()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
