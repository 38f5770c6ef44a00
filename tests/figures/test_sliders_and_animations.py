"""Sliders: a static figure under test, widgets in a live kernel. Animations: small, always the same bytes."""

import io
import sys
from types import SimpleNamespace

import matplotlib
import numpy as np
import PIL.Image
import pytest

from common.figures import animations, show_animation, sliders
from common.figures.animations import MOST_BYTES, ROOT, kmeans_frame, pruning_frame, save_gif, table_look_up
from common.figures.style import BLACK, VERMILION, CourseFigure, use_course_style

module = sys.modules["common.figures.sliders"]


def draw(height, title="a"):
    figure = CourseFigure(height=height)
    figure.suptitle(title)
    return figure


def test_static_figure_at_the_start():
    assert sliders(draw, height=(1, 2)).get_figheight() == 1
    figure = sliders(draw, height=(1, 2), title=("a", "b"), start={"title": "b"})
    assert figure.get_suptitle() == "b"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "expected values for each option"),
        ({"height": ()}, "expected values for each option"),
        ({"height": (1,), "start": {"width": 2}}, "start names"),
        ({"height": (1,), "start": {"height": 2}}, "is not among its values"),
    ],
)
def test_wrong_options_are_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        sliders(draw, **options)


def test_live_only_in_a_kernel_and_never_under_test(monkeypatch):
    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    terminal = SimpleNamespace(get_ipython=lambda: object())
    pytest.importorskip("ipywidgets")
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.delenv("DNNC_QUIET", raising=False)
    assert not module.is_live(), "pytest is there"
    monkeypatch.delitem(sys.modules, "pytest")
    assert module.is_live()
    monkeypatch.setenv("DNNC_QUIET", "1")
    assert not module.is_live()
    monkeypatch.delenv("DNNC_QUIET")
    monkeypatch.setitem(sys.modules, "IPython", terminal)
    assert not module.is_live()
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert not module.is_live()


def test_a_moved_slider_draws_again(monkeypatch):
    ipywidgets = pytest.importorskip("ipywidgets")
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    monkeypatch.setattr(module, "is_live", lambda: True)
    assert sliders(draw, height=(1, 2), title=("a", "b"), start={"height": 2}) is None
    (box,) = shown
    height, title, picture = box.children
    assert isinstance(picture, ipywidgets.Image)
    assert picture.value == draw(2, "a")._repr_png_()
    height.value = 1
    title.value = "b"
    assert picture.value == draw(1, "b")._repr_png_()


def test_a_sharp_figure_is_shown_at_its_size_and_redrawn_without_a_palette(monkeypatch):
    ipywidgets = pytest.importorskip("ipywidgets")
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    monkeypatch.setattr(module, "is_live", lambda: True)
    with matplotlib.rc_context():
        use_course_style(sharp=True)
        sliders(lambda height: CourseFigure(height=height, width=5, n_colours=4), height=(1, 2))
    (box,) = shown
    picture = box.children[-1]
    assert isinstance(picture, ipywidgets.Image)
    assert picture.layout.width == "500px"  # not the PNG's 1000: below it the sliders would scroll away
    png = PIL.Image.open(io.BytesIO(picture.value))
    assert (png.size, png.mode) == ((1000, 200), "RGBA")


def frames(n=3):
    values = np.array([-1.0, -0.9, 0.4, 0.5, 0.5])
    return [
        kmeans_frame(values, np.array([-1.0, 0.1 * step]), title=f"{step}", is_assigned=True)
        for step in range(n)
    ]


def test_a_gif_holds_its_frames_and_is_the_same_each_time(tmp_path):
    size = save_gif(frames(), tmp_path / "a.gif", seconds=[1, 0.5, 2])
    assert (
        size
        == (tmp_path / "a.gif").stat().st_size
        == save_gif(frames(), tmp_path / "b.gif", seconds=[1, 0.5, 2])
    )
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    with PIL.Image.open(tmp_path / "a.gif") as picture:
        assert picture.n_frames == 3
        durations = []
        for frame in range(3):
            picture.seek(frame)
            durations.append(picture.info["duration"])
    assert durations == [1000, 500, 2000]


def test_gifs_without_frames_of_unequal_size_or_too_large_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="at least one frame"):
        save_gif([], tmp_path / "a.gif")
    with pytest.raises(ValueError, match="expected one size"):
        save_gif([draw(1), draw(2)], tmp_path / "a.gif")
    monkeypatch.setattr(animations, "MOST_BYTES", 100)
    with pytest.raises(ValueError, match="expected at most 100"):
        save_gif(frames(), tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())


def test_stored_animations_are_small_and_the_command_knows_them():
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import animations as tool
    finally:
        sys.path.remove(str(ROOT / "tools"))
    stored = sorted(path for path in ROOT.glob("week*/*.gif"))
    assert sorted(path.stem for path in stored) == sorted(tool.ANIMATIONS)
    assert all(path.stat().st_size <= MOST_BYTES for path in stored)


def test_an_animation_is_shown_with_its_text(monkeypatch):
    monkeypatch.chdir(ROOT / "week07_huffman")
    shown = show_animation("week07_huffman/huffman_tree.gif", 'joins, "one by one"')
    assert shown._repr_html_() == '<img src="huffman_tree.gif" alt="joins, &quot;one by one&quot;">'
    assert repr(shown) == 'Animation: joins, "one by one"'
    monkeypatch.setitem(sys.modules, "google.colab", object())
    assert shown._repr_html_().startswith('<img src="data:image/gif;base64,R0lG')
    with pytest.raises(ValueError, match="an empty one"):
        show_animation("week07_huffman/huffman_tree.gif", " ")
    with pytest.raises(FileNotFoundError, match="make animations"):
        show_animation("week07_huffman/nothing.gif", "a tree")


def test_a_look_up_marks_its_line_its_bits_and_nothing_at_the_end():
    table = [("AA", 2), ("A", 1), ("B", 2), ("C", 2)]
    texts = [
        {
            (text.get_text(), text.get_color())
            for text in table_look_up("0010", at, table, "AA", title="t").axes[0].texts
        }
        for at in (2, 4)
    ]
    marked = [{text for text, colour in each if colour == VERMILION} for each in texts]
    assert marked == [{"10", "B", "2", "1", "0"}, set()]
    assert ("AA", BLACK) in texts[0]


def test_a_pruning_frame_shows_what_is_kept_and_the_error_so_far():
    weights = np.array([[2.0, -1.0], [0.5, 4.0]])
    mask = np.array([[True, False], [False, True]])
    matrix, schedule, error = pruning_frame(weights, mask, [0.0, 0.5, 0.6], [3.0, 1.0, 2.0], 1).axes
    shown = matrix.images[0].get_array().astype(float).filled(np.nan)
    assert np.array_equal(np.isnan(shown), ~mask)
    assert np.array_equal(shown[mask], [2, 4])
    assert matrix.get_title() == "2 of 4 weights"
    assert schedule.get_title() == "step 1: sparsity 0.50"
    assert error.lines[0].get_ydata().tolist() == [3, 1]  # nothing of what comes later
