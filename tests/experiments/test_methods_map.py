"""The map of methods: its points gathered from stored results, and drawn where they are."""

import itertools

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation

from common.base.results import write_result
from common.experiments import EXPERIMENTS
from common.experiments.low_rank import PUBLISHED as LOW_RANK_PUBLISHED
from common.experiments.methods_map import (
    KEYS,
    PIPELINE,
    drop_points,
    error_percent,
    front,
    gather,
    pipeline_points,
    published_points,
)
from common.figures.trade_off import marks, methods_map
from common.report.published import PUBLISHED


def point(method="low rank", size=20_000, top1=0.98, **rest):
    return {
        "method": method,
        "label": "a label",
        "network": "lenet_5",
        "dataset": "mnist",
        "file_bytes": size,
        "dense_bytes": 1_724_320,
        "top1": top1,
        "baseline_top1": 0.99,
        "note": "",
    } | rest


def store(root, name, figures):
    return write_result(root / name, figures, command="a test", seed=0, dataset=None, device="cpu")


def test_points_come_from_every_result_and_what_is_missing_is_named(tmp_path):
    row = {
        "name": "lenet_5_small",
        "network": "lenet_5",
        "file": "lenet_5_small.dcz",
        "file_bytes": 6087,
        "dense_bytes": 1_724_320,
        "dataset": "mnist",
        "top1": 0.991,
        "baseline_top1": 0.9925,
    }
    store(tmp_path, "capstone/results/lenets.json", {"points": [row]})
    store(tmp_path, EXPERIMENTS["low_rank"].result, {"points": [point() | {"more": 1}], "networks": []})
    store(tmp_path, EXPERIMENTS["vgg16"].result, {"points": [{"name": "of another shape"}]})
    found = gather(tmp_path)
    assert found.panels == [("lenet_5", "mnist")]
    ours, low_rank = found.of("lenet_5", "mnist")
    assert (ours["method"], ours["label"]) == (PIPELINE, "small")
    assert drop_points(ours) == pytest.approx(0.15)
    assert low_rank == point()
    assert set(ours) == set(KEYS)
    assert "dnnc reproduce binary" in found.missing
    assert "dnnc capstone --profile full" in found.missing
    assert not {"dnnc reproduce low_rank", "dnnc reproduce lenets"} & set(found.missing)
    assert found.of("vgg16", "cifar10") == []


def test_a_point_without_an_entry_is_named(tmp_path):
    broken = point()
    del broken["file_bytes"]
    store(tmp_path, EXPERIMENTS["low_rank"].result, {"points": [broken]})
    with pytest.raises(ValueError, match=r"low_rank\.json: a point without file_bytes"):
        gather(tmp_path)


def test_the_stored_results_of_the_repository_are_points():
    found = gather()
    assert {("lenet_300_100", "mnist"), ("lenet_5", "mnist"), ("vgg16", "cifar10")} <= set(found.panels)
    for one in found.points:
        assert 0 < one["file_bytes"] < one["dense_bytes"], one
        assert 0 <= one["top1"] <= 1
        assert 0.5 < one["baseline_top1"] <= 1
        assert one["method"]
        assert isinstance(one["file_bytes"], int)
    ours = [one["label"] for one in found.of("vgg16", "cifar10") if one["method"] == PIPELINE]
    assert ours == ["main", "small", "tiny"]
    files = [p["note"] for p in pipeline_points()[0]]
    assert "capstone/vgg16_cifar10.dcz" in files
    assert "capstone/lenet_5_small.dcz" in files


def test_published_files_have_bytes_and_a_drop_and_the_others_a_reason():
    for network, dataset in (("lenet_300_100", "mnist"), ("lenet_5", "mnist"), ("vgg16", "cifar10")):
        drawn, left_out = published_points(network, dataset)
        known = [row.method for row in PUBLISHED[network]]
        known += [row["method"] for row in LOW_RANK_PUBLISHED if row["network"] == network]
        assert sorted([row["method"] for row in drawn] + [name for name, _ in left_out]) == sorted(known)
        assert all(0 < row["error"] < 100 and row["file_bytes"] > 0 for row in drawn)
    drawn, left_out = published_points("lenet_300_100", "mnist")
    sizes = {row["method"]: row["file_bytes"] for row in drawn}
    assert sizes["EPR"] == 8560
    assert sizes["Soft weight sharing"] == round(4 * 266_610 / 64)
    assert left_out[0] == ("Sparse variational dropout", "counts parameters, not bytes")
    assert "gives no error" in dict(left_out)["SCADA-Tucker"]
    is_quoted = {row["method"]: row["is_quoted"] for row in published_points("vgg16", "cifar10")[0]}
    assert is_quoted["LilNetX"]
    assert is_quoted["MIRACLE"], "its error is known, whatever its baseline"
    assert not is_quoted["EPR"]
    assert published_points("vgg16", "cifar100") == ([], [])


def test_front_by_comparing_all_pairs():
    rng = np.random.default_rng(0)
    sizes, accuracies = rng.integers(1, 40, 30).tolist(), rng.random(30)
    points = [point(size=s, top1=t) for s, t in zip(sizes, accuracies, strict=True)]
    points += [point(size=10, top1=0.5), point(size=10, top1=0.5)]

    def beaten(one):
        return any(
            other["file_bytes"] <= one["file_bytes"]
            and other["top1"] >= one["top1"]
            and (other["file_bytes"], other["top1"]) != (one["file_bytes"], one["top1"])
            for other in points
        )

    expected = {(p["file_bytes"], p["top1"]) for p in points if not beaten(p)}
    found = [(p["file_bytes"], p["top1"]) for p in front(points)]
    assert set(found) == expected
    assert len(found) == len(expected)
    assert found == sorted(found)


def test_marks_differ_and_stay():
    methods = [f"method {i}" for i in range(20)]
    shown = marks(methods)
    assert len(set(shown.values())) == 20
    assert marks(methods[:3]) == dict(list(shown.items())[:3])
    assert marks(["a", "b", "a"]) == marks(["a", "b"])


POINTS = [
    point("low rank", 60_000, 0.985),
    point("low rank", 20_000, 0.981),
    point("low rank", 9_000, 0.80),
    point("binary, ternary", 61_000, 0.988),
    point("prune, share, code", 18_000, 0.9908),
    point("prune, share, code", 6_000, 0.9885),
]
THEIRS = [
    {"method": "EPR", "file_bytes": 2840, "error": 1.0, "is_quoted": False},
    {"method": "A method", "file_bytes": 44_000, "error": 7.0, "is_quoted": True},
]


def test_points_stand_where_they_are_and_those_far_off_at_the_edge():
    before = dict(matplotlib.rcParams)
    figure = methods_map(POINTS, THEIRS, title="a title", most_error=3.0)
    assert dict(matplotlib.rcParams) == before
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    marked = [
        (line.get_xdata()[0], line.get_ydata()[0], line.get_markerfacecolor())
        for line in axes.lines
        if len(line.get_xdata()) == 1
    ]
    assert len(marked) == len(POINTS) + len(THEIRS)
    for one, (x, y, _) in zip(POINTS, marked, strict=False):
        assert (x, y) == (one["file_bytes"], pytest.approx(min(error_percent(one), 3.0)))
    assert [face for *_, face in marked[-2:]] == ["white", "white"]
    texts = [note.get_text() for note in axes.findobj(Annotation)]
    assert sorted(texts) == sorted(["a label", "a label", "↑ 20.0", "EPR", "A method ↑ 7.0"])
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [
        "low rank",
        "binary, ternary",
        "prune, share, code",
        "published",
        "published, second-hand",
    ]
    png = figure._repr_png_()
    assert png.startswith(b"\x89PNG")
    assert len(png) < 150_000


def test_no_label_lies_on_another_or_on_a_mark():
    rng = np.random.default_rng(1)
    crowd = [
        point(f"method {i % 6}", int(10 ** rng.uniform(3.8, 5.2)), 0.99 - rng.uniform(-0.003, 0.03))
        for i in range(24)
    ]
    figure = methods_map(crowd, THEIRS, title="crowded", most_error=4.0)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    (axes,) = figure.axes
    boxes = [note.get_window_extent(renderer) for note in axes.findobj(Annotation)]
    assert len(boxes) >= 5
    for one, two in itertools.combinations(boxes, 2):
        assert not one.overlaps(two)
    places = [
        axes.transData.transform((line.get_xdata()[0], line.get_ydata()[0]))
        for line in axes.lines
        if len(line.get_xdata()) == 1
    ]
    assert not [1 for box in boxes for x, y in places if box.contains(x, y)]


def test_a_mark_is_the_same_in_every_figure_of_a_set():
    methods = ["first", "second", "low rank"]
    figure = methods_map(POINTS[:1], title="one", most_error=3.0, methods=methods)
    (line,) = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    assert (line.get_color(), line.get_marker()) == marks(methods)["low rank"]
