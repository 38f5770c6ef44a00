"""The README's tables: written from stored results, and a stale one is caught."""

import importlib.util
import json
from pathlib import Path

import pytest

from common.experiments import Entry
from common.experiments.methods_map import error_percent, gather
from common.report.published import PUBLISHED

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "capstone/README.md")
EMPTY = {
    "README.md": "<!-- headlines:start -->\n<!-- headlines:end -->\n"
    "<!-- bench:start -->\nold\n<!-- bench:end -->\n",
    "capstone/README.md": "<!-- goals:start -->\n<!-- goals:end -->\n"
    "<!-- results:start -->\n<!-- results:end -->\nand\n<!-- training:start -->\n<!-- training:end -->\n"
    "<!-- methods:start -->\n<!-- methods:end -->\n",
}


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """The tool, on a README and results of its own."""
    spec = importlib.util.spec_from_file_location("readme_tables", ROOT / "tools/readme_tables.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.setattr(tool, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(tool, "draw_figure", lambda: (tmp_path / "drawn").touch())
    (tmp_path / "results").mkdir()
    for page, text in EMPTY.items():
        (tmp_path / page).parent.mkdir(exist_ok=True)
        (tmp_path / page).write_text(text)
    return tool


MADE = {
    "machine": {"processor": "a processor", "cores": 1, "memory_bytes": 2e9, "system": "Linux"},
    "date": "2026-01-01T10:00:00Z",
    "command": "dnnc bench",
}


def store(folder, name, figures, **made):
    (folder / "results" / name).write_text(json.dumps({"figures": figures} | made))


def groups(ratio):
    """Two groups of benchmarks, one with peers; `ratio` is how many times as fast as the fastest ours is."""
    ours = {"peer": "this course", "seconds": 0.1, "rate": 10.0, "unit": "M symbols"}
    peer = ours | {"peer": "a peer", "rate": 10 / ratio, "ours_is_faster": ratio}
    slow = peer | {"peer": "slow", "rate": 1.0, "ours_is_faster": 10.0}
    return {"decoding": [ours, slow, peer], "no peers": [ours]}


def test_the_readme_is_in_step():
    spec = importlib.util.spec_from_file_location("readme_tables", ROOT / "tools/readme_tables.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.main(["--check"]) == 0, "run `make tables`"


def test_what_is_not_stored_is_not_run(tables, tmp_path):
    assert tables.main([]) == 0
    lines = (tmp_path / "README.md").read_text().splitlines()
    assert len([line for line in lines if "not run |" in line]) == len(tables.HEADLINES)
    goals, results = (tmp_path / "capstone/README.md").read_text().split("<!-- results:start -->")
    assert goals.count("| not run | not run | not run |") == len(tables.WITH_GOALS) + 1
    rows = [line for line in results.splitlines() if "not run |" in line]
    assert len(rows) == 4
    assert rows[3].startswith("| AlexNet, 10 classes, 224×224 | not run | ")
    assert "Not run yet: `make bench`." in lines
    assert "old" not in lines
    assert not (tmp_path / "drawn").exists()


def test_measured_rows_stand_beside_published_ones(tables, tmp_path):
    point = {"file": "v.dcz", "file_bytes": 123_456, "ratio": 182.4, "baseline_top1": 0.93, "top1": 0.9345}
    lenet = {
        "network": "lenet_5",
        "file": "l.dcz",
        "file_bytes": 9,
        "ratio": 40,
        "baseline_top1": 0.99,
        "top1": 0.9877,
    }
    store(tmp_path, "operating_points.json", {"v": point, "w": point | {"file": "w.dcz"}})
    store(tmp_path, "lenets.json", {"points": [lenet]})
    store(tmp_path, "bench.json", {"groups": groups(0.5)}, **MADE)
    assert tables.main([]) == 0
    text = (tmp_path / "capstone/README.md").read_text().split("<!-- results:start -->")[1]
    ours = "[v.dcz](v.dcz) | 123,456 | 182× | 93.00 % → 93.45 % | −0.45 |"
    assert f"{ours} LilNetX† 465×, 93.40 % → 92.60 %; LilNetX, extreme† 800×" in text
    assert text.count("| VGG-16, CIFAR-10 |") == 2
    assert "| 9 | 40× | 99.00 % → 98.77 % | 0.23 | Deep Compression 39×, 99.20 % → 99.26 %; EPR" in text
    assert text.count("not run |") == 2 * 5
    text = (tmp_path / "README.md").read_text()
    assert "| decoding | 10 M symbols/s | a peer: 20 M symbols/s | 0.5× |\n<!-- bench:end -->" in text
    assert "Measured on a processor (1 core, 2 GB, Linux), one thread, 2026-01-01" in text
    assert "no peers" not in text
    assert (tmp_path / "drawn").exists()


def test_of_each_method_and_network_the_smallest_good_file_is_shown(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "EXPERIMENTS", {"way": Entry("results/way.json", "a way")})
    point = {
        "method": "a way",
        "network": "net",
        "dataset": "own",
        "file_bytes": 1000,
        "dense_bytes": 100_000,
        "top1": 0.985,
        "baseline_top1": 0.98,
    }
    smaller, too_bad = point | {"file_bytes": 500, "top1": 0.971}, point | {"file_bytes": 400, "top1": 0.9699}
    other = [point | {"network": "other", "top1": top1} for top1 in (0.5, 0.6)]
    published = [
        {"method": "theirs", "network": "third", "ratio": 1.0},
        {
            "method": "others",
            "network": "net",
            "dataset": "wide",
            "smaller": 0.9,
            "baseline_top1": 0.7,
            "top1": 0.69,
        },
        {"method": "theirs", "network": "net", "ratio": 68.0, "error": 1.9, "counts": "parameters"},
    ]
    wide = point | {"dataset": "wide", "file_bytes": 300}  # it would win, if it were of the same images
    monkeypatch.setattr(tables, "DATASETS", {"net": "own"})
    store(tmp_path, "way.json", {"points": [point, smaller, too_bad, *other, wide], "published": published})
    lines = tables.methods_table().splitlines()
    assert lines[2:] == [
        "| a way | net | 500 | 200× | 98.00 % → 97.10 % | 0.90 | theirs: 68× of the parameters, 98.10 % "
        "| `way` |",
        "| a way | other | 1,000 | 100× | 98.00 % → 60.00 % | 38.00 | – | `way` |",
        "| a way | net, wide | 300 | 333× | 98.00 % → 98.50 % | −0.50 | others: 90.0 % smaller, 70.00 % → "
        "69.00 % | `way` |",
    ]


def test_a_check_writes_nothing_and_catches_what_is_stale(tables, tmp_path, capsys):
    assert tables.main(["--check"]) == 1
    assert "out of step" in capsys.readouterr().out
    assert all((tmp_path / page).read_text() == text for page, text in EMPTY.items())
    tables.main([])
    assert tables.main(["--check"]) == 0
    store(tmp_path, "operating_points.json", {})
    assert tables.main(["--check"]) == 0
    store(tmp_path, "bench.json", {"groups": groups(2.0)}, **MADE)
    assert tables.main(["--check"]) == 1
    assert not (tmp_path / "drawn").exists()


def test_a_readme_without_its_markers_is_refused(tables, tmp_path):
    (tmp_path / "README.md").write_text(EMPTY["README.md"].replace("<!-- bench:end -->", ""))
    with pytest.raises(ValueError, match=r"README.md has 0 places for the table 'bench'"):
        tables.main([])


def test_a_headline_is_a_file_on_the_disk_beside_the_nearest_published_one(tables, tmp_path):
    (tmp_path / "capstone/vgg16_cifar10.dcz").write_bytes(bytes(1000))
    point = {"file": "vgg16_cifar10.dcz", "file_bytes": 1000, "dense_bytes": 500_000}
    store(tmp_path, "operating_points.json", {"v": point | {"baseline_top1": 0.93, "top1": 0.92}})
    rows = tables.file_table().splitlines()[2:]
    assert rows[0] == (
        "| VGG-16, CIFAR-10 | [1,000](capstone/vgg16_cifar10.dcz) | **500×** | 93.00 % → **92.00 %** "
        "| must ≥ 160× at ≤ 0.1 points lost: missed; aim ≥ 250× at no loss: missed "
        "| MIRACLE†: 417,000, 93.43 % |"
    )
    assert all("not run" in row for row in rows[1:])
    (tmp_path / "capstone/vgg16_cifar10.dcz").write_bytes(bytes(999))
    assert "not run" in tables.file_table().splitlines()[2], "a file of other bytes is not that result's"


def test_goals_are_told_for_the_trained_network_and_for_files_that_are_not_made(tables, tmp_path):
    (tmp_path / "capstone/vgg16_cifar10.safetensors").write_bytes(bytes(2000))
    store(tmp_path, "baseline.json", {"top1": 0.936})
    rows = tables.goals_table().splitlines()[2:]
    assert rows[0] == (
        "| VGG-16, CIFAR-10, trained, float16 | [2,000](../capstone/vgg16_cifar10.safetensors) | – "
        "| **93.60 %** | must ≥ 93.50 %: met; aim ≥ 94.00 %: missed | – |"
    )
    assert "| not run | not run | not run | aim ≤ 76,000 bytes at ≥ 90.00 % |" in rows[3]
    assert "| not run | must ≥ 34× at ≥ 73.77 %; aim ≥ 11.4× at ≥ 74.15 % |" in rows[-1]


def test_the_row_of_relevance_is_that_of_cifar_100(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "EXPERIMENTS", {"relevance": Entry("results/relevance.json", "a command")})
    point = {
        "dataset": "cifar100",
        "file_bytes": 1000,
        "dense_bytes": 35_000,
        "baseline_top1": 0.73,
        "top1": 0.74,
    }
    store(tmp_path, "relevance.json", {"points": [point | {"dataset": "cifar10", "top1": 0.9}, point]})
    assert tables.relevance_row()[1:5] == [
        "1,000",
        "**35×**",
        "73.00 % → **74.00 %**",
        "must ≥ 34× at ≥ 73.77 %: met; aim ≥ 11.4× at ≥ 74.15 %: missed",
    ]


def test_each_training_says_where_it_starts_and_what_it_changes(tables, tmp_path):
    stages = [
        {"name": name, "top1": top1} for name, top1 in (("dense", 0.93), ("pruned", 0.925), ("huffman", 0.92))
    ]
    config = {"prune": {"epochs": 16}, "share": {"epochs": 2}}
    further = [
        {"name": "dense", "top1": 0.93},
        {"name": "pruned", "top1": 0.91},
        {"name": "shared", "top1": 0.912},
    ]
    first = {"stages": stages, "config": config, "start": None}
    store(tmp_path, "baseline.json", {"top1": 0.93, "epochs": 23})
    store(tmp_path, "operating_points.json", {"a": first, "b": first | {"stages": further, "start": "a"}})
    assert tables.training_table().splitlines()[2:] == [
        "| the network | training | – | 23 | 93.00 % | – |",
        "| `a` | prune | the network | 16 | 92.50 % | −0.50 |",
        "| `a` | code | the stage before | – | 92.00 % | −0.50 |",
        "| `b` | prune | `a`, pruned | 16 | 91.00 % | −1.50 |",
        "| `b` | share | the stage before | 2 | 91.20 % | +0.20 |",
    ]


def test_a_training_that_goes_on_from_a_file_follows_the_one_that_made_it(tables, tmp_path):
    stages = [{"name": name, "top1": top1} for name, top1 in (("dense", 0.93), ("huffman", 0.92))]
    further = [{"name": "dense", "top1": 0.93}, {"name": "pruned", "top1": 0.925}]
    config = {"prune": {"epochs": 9}, "share": {"epochs": 1}}
    begun = config | {"start_file": {"file": "first.dcz", "sha256": "1f"}}
    first = {"stages": stages, "config": config, "top1": 0.92, "sha256": "1f"}
    store(tmp_path, "vgg16_cifar10_first.json", {"first": first, "unread": first | {"sha256": "2f"}})
    store(tmp_path, "operating_points.json", {"a": {"stages": further, "config": begun, "start": None}})
    assert tables.training_table().splitlines()[2:] == [
        "| `first` | code | the network | – | 92.00 % | −1.00 |",
        "| `a` | prune | `first`, decoded | 9 | 92.50 % | +0.50 |",
    ]


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_what_the_pages_say_of_the_vgg_files_is_stored():
    points = json.loads((ROOT / "capstone/results/operating_points.json").read_text())["figures"]
    sizes = [point["file_bytes"] for point in points.values()]
    readme, page = (" ".join((ROOT / name).read_text().split()) for name in PAGES)
    assert (
        f"a VGG-16 of 60 MB becomes a file of {min(sizes) / 1000:.0f} to {max(sizes) / 1000:.0f} kB" in readme
    )
    vgg = {row.method: row for row in PUBLISHED["vgg16"]}
    large, small, tiny = (points[f"vgg16_cifar10{name}"] for name in ("", "_small", "_tiny"))
    for method in ("LilNetX, extreme", "EPR"):  # our smallest is ahead of both
        assert tiny["file_bytes"] < vgg[method].compressed_bytes
        assert 100 * (1 - tiny["top1"]) < vgg[method].error
    assert 1.4 < 100 * (1 - small["top1"]) - vgg["LilNetX"].error < 1.6, "a point and a half"
    assert large["ratio"] >= 160, "ahead of its must on both axes"
    assert large["drop_points"] <= 0
    assert round(large["dense_bytes"] / 250, -4) == 240_000 < large["file_bytes"], "the aim's bytes"
    assert "and of our aim in accuracy only (it would be 240 kB)" in page
    undone = json.loads((ROOT / "capstone/results/undone_choice.json").read_text())["figures"]["point"]
    older = json.loads((ROOT / "capstone/results/vgg16_cifar10_first.json").read_text())["figures"]
    older, ours = older["vgg16_cifar10_first"], older["vgg16_cifar10_first"]["choice"]
    (taken,) = (one for one in ours["candidates"] if one["name"] == ours["chosen"])
    validated = f"{100 * undone['validation_top1']:.2f} % to {100 * (1 - taken['validation_error']):.2f} %"
    tested = f"{100 * undone['top1']:.2f} % on the test images, where the older one has"
    assert f"{undone['file_bytes']:,} bytes) was ahead" in page
    assert validated in page
    assert f"{tested} {100 * older['top1']:.2f} %" in page
    pruned, values = 100 * undone["sparsity"], undone["config"]["conv_clusters"]
    assert f"({pruned:.1f} % pruned by Fisher information, {values} shared values per" in page
    baseline = json.loads((ROOT / "capstone/results/baseline.json").read_text())["figures"]
    assert f"Our VGG-16 saw {baseline['epochs']} epochs on two CPU cores, a point below" in readme
    assert 0.5 < 100 * (1 - baseline["top1"]) - vgg["LilNetX"].baseline_error < 1.5


def test_what_the_pages_say_of_the_lenets_and_of_other_methods_is_stored():
    readme, page = (" ".join((ROOT / name).read_text().split()) for name in PAGES)
    assert "on the LeNets our files are ahead of EPR on both axes" in readme
    made = gather()
    for network in ("lenet_300_100", "lenet_5"):
        (epr,) = (row for row in PUBLISHED[network] if row.method == "EPR")
        assert any(
            point["file_bytes"] < epr.compressed_bytes and error_percent(point) < epr.error
            for point in made.of(network, "mnist")
        )
    tiny = min(made.of("lenet_5", "mnist"), key=lambda point: point["file_bytes"])
    assert f"our smallest ({tiny['file_bytes']:,} bytes at {100 * tiny['top1']:.2f} %)" in readme
    relevance = json.loads((ROOT / "week05_pruning/results/relevance.json").read_text())["figures"]
    kept = 100 * (1 - relevance["cifar100"]["weights_gone"])
    assert f"8.8 % of them; ours keeps {kept:.0f} %, shared and coded" in page


def test_what_the_capstone_s_page_says_of_the_tiny_lenets_is_stored():
    stored = json.loads((ROOT / "capstone/results/tiny_lenets.json").read_text())["figures"]["files"]
    page = " ".join((ROOT / "capstone/README.md").read_text().split())
    for file in stored:
        for run in file["runs"]:
            said = f"{run['file_bytes']:,} bytes" if run["seed"] == file["seed"] else f"{run['file_bytes']:,}"
            assert any(f"{said}{word}{100 * run['error']:.2f} %" in page for word in (", ", " at "))
        assert file["is_met"] == (file["network"] == "lenet_300_100")
