"""A figure with sliders: live in a Jupyter kernel, static where it is stored and tested."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from common.base.progress import is_quiet
from common.figures.style import CourseFigure


def sliders(
    draw: Callable[..., CourseFigure], *, start: Mapping[str, Any] | None = None, **values: Sequence
) -> CourseFigure | None:
    """Draw a figure, with one slider per option where a kernel and ipywidgets are live.

    Parameters
    ----------
    draw : callable
        Takes the options as keywords and returns a `CourseFigure`. It is called again whenever a slider is
        moved, so it should take less than about half a second.
    start : mapping of str to value, optional
        Values of some options for the figure that is drawn first, and stored; by default each option's first.
    **values : sequence
        For each option, the values that its slider steps through, such as ``sparsity=(0.5, 0.8, 0.9)``.

    Returns
    -------
    CourseFigure or None
        The figure at `start`, for Jupyter to show; None where the sliders are already shown.

    Raises
    ------
    ValueError
        There is no option, an option has no values, or `start` names no option or none of its values.

    Examples
    --------
    >>> sliders(lambda height: CourseFigure(height=height), height=(2, 3), start={"height": 3})
    <CourseFigure size 720x300 with 0 Axes>
    """
    start = dict(start or {})
    options = {name: list(each) for name, each in values.items()}
    if not options or not all(options.values()):
        raise ValueError(f"sliders: expected values for each option, got {options}")
    if unknown := start.keys() - options.keys():
        raise ValueError(f"sliders: start names {sorted(unknown)}, expected some of {list(options)}")
    first = {name: start.get(name, each[0]) for name, each in options.items()}
    for name, value in first.items():
        if value not in options[name]:
            raise ValueError(f"sliders: start {name}={value!r} is not among its values {options[name]}")
    if not is_live():
        return draw(**first)
    _show_live(draw, options, first)
    return None


def is_live() -> bool:
    """Whether sliders would work: a Jupyter kernel, ipywidgets, and no test (``DNNC_QUIET``, pytest)."""
    if is_quiet() or "pytest" in sys.modules or "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return False
    try:
        import ipywidgets  # noqa: F401
    except ImportError:
        return False
    return True


def _show_live(draw: Callable[..., CourseFigure], options: Mapping[str, list], first: Mapping) -> None:
    import ipywidgets
    from IPython.display import display

    knobs = {
        name: ipywidgets.SelectionSlider(
            options=each,
            value=first[name],
            description=name.replace("_", " "),
            continuous_update=False,
            style={"description_width": "initial"},
        )
        for name, each in options.items()
    }
    picture = ipywidgets.Image(format="png", layout={"width": "fit-content", "max_width": "100%"})

    def redraw(_change: object = None) -> None:
        figure = draw(**{name: knob.value for name, knob in knobs.items()})
        figure.n_colours = None  # a palette saves bytes in a stored notebook, and takes longer than drawing
        png = figure._repr_png_()
        if isinstance(png, tuple):  # a sharp figure comes with the size at which it is shown
            png, size = png
            picture.layout.width = f"{size['width']}px"  # CSS wins over the image's own width
        picture.value = png

    for knob in knobs.values():
        knob.observe(redraw, names="value")
    redraw()
    display(ipywidgets.VBox([*knobs.values(), picture]))
