"""Figures draw what was given, their labels keep clear of each other, and nothing global is touched."""

import io
import sys
from dataclasses import replace

import matplotlib
import numpy as np
import PIL.Image
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation, Text

from common import figures
from common.codec.huffman import code_lengths
from common.codec.tensors import SharedTensor
from common.figures.style import BLUE, CourseFigure, human_bytes, times, use_course_style
from common.report.published import PUBLISHED
from common.report.sizes import LayerReport, Report

STAGES = [
    {"name": "dense", "bytes": 59_946_792, "top1": 0.9371},
    {"name": "pruned", "bytes": 1_313_988, "top1": 0.9384},
    {"name": "shared", "bytes": 421_226, "top1": 0.9368},
    {"name": "huffman", "bytes": 359_213, "top1": 0.9366},
]
POINTS = [
    {"ratio": 468.0, "drop_points": 1.31, "file_bytes": 128_000},
    {"ratio": 163.0, "drop_points": 0.06, "file_bytes": 367_000},
    {"ratio": 250.0, "drop_points": 0.35, "file_bytes": 240_000},
    {"ratio": 90.0, "drop_points": -0.1, "file_bytes": 666_000},
]


def report() -> Report:
    layers = [
        LayerReport(
            name=f"features.{at}.weight",
            shape=(64, 64, 3, 3),
            n_weights=36_864,
            n_kept=kept,
            n_clusters=16,
            file_bytes=2 * kept + 60,
            values_bits=4 * kept,
            index_bits=7 * kept,
            values_entropy_bits=3.9 * kept,
            index_entropy_bits=7.2 * kept,
        )
        for at, kept in enumerate([18_000, 3_000, 400, 0])
    ]
    bias = LayerReport("features.0.bias", (64,), 64, 64, 0, 150, 0, 0, 0.0, 0.0)
    return Report(45_000, 4 * 4 * 36_864, {"header": 45_000.0}, (*layers, bias))


def histograms() -> dict:
    values = np.random.default_rng(0).laplace(0, 0.02, 20_000)
    kept = values[np.abs(values) > 0.04]
    parts = {"dense": values, "pruned": kept, "shared": np.round(kept, 2)}
    return {
        name: {"counts": np.histogram(part, 201, (-0.5, 0.5))[0].tolist(), "edges": [-0.5, 0.5]}
        for name, part in parts.items()
    }


def streams() -> dict:
    counts = {"values": [40, 3, 30, 9, 18], "one symbol": [0, 7], "nothing": [0, 0]}
    return {name: (each, code_lengths(each)) for name, each in counts.items()}


DRAW = {
    "size": lambda: figures.size_after_each_stage(STAGES),
    "accuracy": lambda: figures.accuracy_along_pipeline(STAGES),
    "histograms": lambda: figures.weight_histograms(histograms(), centroids=[-0.1, -0.05, 0.05, 0.1]),
    "layers": lambda: figures.layer_sparsity_and_bits(report()),
    "codes": lambda: figures.code_length_distribution(streams()),
    "trade_off": lambda: figures.trade_off_curve(POINTS, PUBLISHED["vgg16"]),
    "overview": lambda: figures.three_stages(STAGES, title="VGG-16 on CIFAR-10"),
}


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_jupyter_shows_a_png_and_nothing_global_changes(draw, tmp_path):
    before = dict(matplotlib.rcParams)
    figure = draw()
    png = figure._repr_png_()
    assert png.startswith(b"\x89PNG")
    assert len(png) < 150_000
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    assert 600 <= width <= 920
    assert 250 <= height <= 620
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5000


def test_sharp_figures_have_twice_the_pixels_and_are_shown_at_the_same_size():
    with matplotlib.rc_context():
        figures.use_course_style()
        plain = figures.CourseFigure(height=1, width=2)._repr_png_()
        figures.use_course_style(sharp=True)
        sharp, size = figures.CourseFigure(height=1, width=2)._repr_png_()
        image = figures.few_colours(figures.CourseFigure(height=1, width=2), 8)
    assert [int.from_bytes(png[16:20], "big") for png in (plain, sharp, image.data)] == [200, 400, 400]
    assert size == {"width": 200, "height": 100} == {"width": image.width, "height": image.height}


def test_few_colours_are_chosen_when_a_figure_is_shown():
    figure = figures.CourseFigure(height=1, width=2, n_colours=5)
    figure.subplots().imshow(np.linspace(0, 1, 400).reshape(20, 20), cmap="viridis")
    shown = PIL.Image.open(io.BytesIO(figure._repr_png_()))
    assert shown.mode == "P"
    assert len(shown.getcolors()) == 5


def test_size_bars_are_the_sizes():
    figure = DRAW["size"]()
    axes = figure.axes[0]
    assert [bar.get_height() for bar in axes.patches] == [stage["bytes"] for stage in STAGES]
    assert axes.get_yscale() == "log"
    assert "359 kB\n167× smaller" in texts(figure)


def test_accuracy_line_is_the_accuracies():
    figure = DRAW["accuracy"]()
    line = next(line for line in figure.axes[0].lines if len(line.get_xdata()) == 4)
    np.testing.assert_allclose(line.get_ydata(), [93.71, 93.84, 93.68, 93.66])
    assert "93.66 %\n−0.05" in texts(figure)
    assert "%" in figure.axes[0].get_ylabel()


def test_histogram_panels_share_the_axis_and_mark_the_centroids():
    figure = DRAW["histograms"]()
    assert len(figure.axes) == 3
    low, high = figure.axes[0].get_xlim()
    assert -0.5 < low < -0.1 < 0.1 < high < 0.5, "zoomed to where weights are"
    marks = figure.axes[-1].lines[0].get_xdata()
    assert marks.tolist() == [-0.1, -0.05, 0.05, 0.1]
    assert "before pruning: 20,000 weights" in [axes.get_title(loc="left") for axes in figure.axes]


def test_layers_stack_to_the_bits_of_the_file():
    figure = DRAW["layers"]()
    upper, lower = figure.axes
    assert [round(bar.get_height(), 3) for bar in upper.patches[:3]] == [48.828, 8.138, 1.085]
    tops = {}
    for bar in lower.patches:
        tops[bar.get_x()] = tops.get(bar.get_x(), 0) + bar.get_height()
    assert [round(top, 3) for top in list(tops.values())[:3]] == [
        round(8 * (2 * kept + 60) / kept, 3) for kept in (18_000, 3_000, 400)
    ]
    assert [label.get_text() for label in lower.get_xticklabels()] == [f"features.{at}" for at in range(4)]


def test_bounds_of_layers_touch_neither_the_legend_nor_the_numbers():
    kept = [(5, 900), (5, 14), (9, 9.3), (9, 9), (14, 5)]  # bits per weight: in the file, and the bound
    layers = [
        replace(report().layers[1], file_bytes=bits * 375, index_entropy_bits=(bound - 3.9) * 3_000)
        for bits, bound in kept
    ]
    for chosen in (layers, layers[1:], layers[2:]):
        figure = figures.layer_sparsity_and_bits(replace(report(), layers=tuple(chosen)))
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        lower = figure.axes[1]
        numbers = [text for text in lower.texts if isinstance(text, Annotation)]
        boxes = [item.get_window_extent(canvas.get_renderer()) for item in (lower.get_legend(), *numbers)]
        marks = lower.transData.transform(np.column_stack(lower.lines[0].get_data()))
        assert len(marks) == len(numbers) == len(chosen)
        assert not any(box.padded(-1).contains(x, y) for box in boxes for x, y in marks)


def test_a_layer_without_weights_has_no_bits_a_kept_weight():
    numbers = [text.get_text() for text in DRAW["layers"]().axes[1].texts]
    assert numbers == ["16.0", "16.2", "17.2", "–"]


def test_code_lengths_beside_mean_and_entropy():
    figure = DRAW["codes"]()
    assert len(figure.axes) == 3
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert sum(heights) == pytest.approx(100)
    counts, lengths = streams()["values"]
    mean = np.dot(counts, lengths) / 100
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert f"mean length {mean:.3f}" in labels
    assert any(label.startswith("entropy 1.9") for label in labels)


def test_codes_of_a_tensor():
    positions = np.array([0, 5, 6, 400, 401])
    tensor = SharedTensor((10, 50), np.float32([-1, 1, 2]), positions, np.uint8([0, 1, 1, 0, 1]))
    codes = figures.codes_of(tensor)
    assert codes["values"][0].tolist() == [2, 3, 0]
    assert codes["values"][1].tolist() == [1, 1, 0]
    counts, lengths = codes["gaps"]
    # passed before each: 0, 4, 0, 393 (one skip of 255, then 138), 0
    assert {int(gap): int(counts[gap]) for gap in np.flatnonzero(counts)} == {0: 3, 4: 1, 138: 1, 255: 1}
    assert lengths[0] == 1
    kept = SharedTensor((2,), np.float32([1]), None, np.uint8([0, 0]))
    assert list(figures.codes_of(kept)) == ["values"]


def boxes(figure, wanted) -> list:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    notes = [text for text in figure.axes[0].texts if isinstance(text, Annotation)]
    return [wanted(note, canvas.get_renderer()) for note in notes]


def test_trade_off_labels_overlap_neither_each_other_nor_the_points():
    figure = DRAW["trade_off"]()
    axes = figure.axes[0]
    found = boxes(figure, Text.get_window_extent)
    assert len(found) == 1 + len(POINTS) + len(PUBLISHED["vgg16"])
    for at, box in enumerate(found):
        assert not any(box.overlaps(other) for other in found[:at])
    places = [(point["ratio"], point["drop_points"]) for point in POINTS]
    places += [(row.ratio, row.drop_points) for row in PUBLISHED["vgg16"] if row.drop_points is not None]
    for place in places:
        x, y = axes.transData.transform(place)
        assert not any(box.contains(x, y) for box in found), place


def test_trade_off_draws_every_point():
    figure = DRAW["trade_off"]()
    lines = [line.get_data() for line in figure.axes[0].lines]
    drawn = {(float(x), float(y)) for xs, ys in lines for x, y in zip(xs, ys, strict=True)}
    assert {(point["ratio"], point["drop_points"]) for point in POINTS} <= drawn
    assert (465.0, 0.8) in drawn
    assert any(ratio == 144 and drop == pytest.approx(-0.03) for ratio, drop in drawn), "counted from 6.6 %"


def test_a_curve_of_one_point_and_no_published_rows():
    figure = figures.trade_off_curve(POINTS[:1], [])
    assert "128 kB" in texts(figure)
    figure._repr_png_()


def test_overview_writes_the_measured_sizes():
    written = texts(DRAW["overview"]())
    for text in ("59.9 MB", "1.31 MB", "421 kB", "359 kB", "167× smaller", "VGG-16 on CIFAR-10"):
        assert text in written


def test_same_data_same_picture():
    pictures = []
    for _ in range(2):
        buffer = io.BytesIO()
        DRAW["trade_off"]().savefig(buffer, format="png", metadata={"Software": None})
        pictures.append(buffer.getvalue())
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (9_996, "10.0 kB"), (99_960, "100 kB"), (2e9, "2.00 GB")],
)
def test_human_bytes(number, text):
    assert human_bytes(number) == text


def test_times_have_three_digits():
    assert [times(ratio) for ratio in (1, 9.996, 99.96, 1110)] == ["1.00×", "10.0×", "100×", "1110×"]


def test_the_course_style_is_what_a_notebook_draws_with():
    with matplotlib.rc_context():
        use_course_style()
        axes = CourseFigure(height=2).subplots()
        (line,) = axes.plot([0, 1])
        assert (line.get_color(), axes.spines["top"].get_visible()) == (BLUE, False)
