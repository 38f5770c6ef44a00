"""Colours, sizes and the figure class that all figures share.

The colours are those of Okabe and Ito (2008), Color Universal Design: readers with any kind of colour vision
tell them apart. They differ in lightness too, so that they survive printing in grey.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable

import matplotlib
import PIL.Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLACK, GREY, LIGHT = "#000000", "#6E6E6E", "#D9D9D9"
ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE = "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"
CLUSTERS = (VERMILION, GREEN, ORANGE, BLUE, PURPLE, SKY)  # one per cluster, from the start again after six
STAGE_COLORS = {"dense": GREY, "pruned": SKY, "shared": ORANGE, "huffman": GREEN}
STAGE_LABELS = {"dense": "dense", "pruned": "pruned", "shared": "weights shared", "huffman": "Huffman-coded"}

WIDTH = 7.2  # inches: a notebook's text column at `DPI`
DPI = 100

_STYLE = {
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.labelsize": 9.5,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": "#E5E5E5",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


class CourseFigure(Figure):
    """A matplotlib figure that Jupyter shows as PNG, whether or not pyplot was ever imported.

    Parameters
    ----------
    height, width : float
        In inches, of `DPI` pixels each on the page.
    n_colours : int in 2 ... 256, optional
        Show it with a palette of so many colours, chosen by k-means, and one index per pixel. A photograph
        then takes a third of the bytes.
    """

    def __init__(self, *, height: float, width: float = WIDTH, n_colours: int | None = None) -> None:
        super().__init__(figsize=(width, height), dpi=DPI, layout="constrained")
        self.n_colours = n_colours

    def _repr_png_(self) -> bytes | tuple[bytes, dict[str, int]]:
        """The PNG; for a sharp figure also the size, in CSS pixels, at which a page shows it."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=_resolution())
        png = buffer.getvalue() if self.n_colours is None else _few_colours(buffer, self.n_colours)
        return (png, _shown_size(self)) if _resolution() != DPI else png


def _few_colours(png: io.BytesIO, n_colours: int) -> bytes:
    """The same picture as a PNG with a palette."""
    few = io.BytesIO()
    PIL.Image.open(png).convert("RGB").quantize(n_colours, kmeans=1).save(few, "png", optimize=True)
    return few.getvalue()


def _resolution() -> int:
    """Dots per inch of what Jupyter is given; `use_course_style` sets it."""
    dpi = matplotlib.rcParams["savefig.dpi"]
    return DPI if dpi == "figure" else round(dpi)


def _shown_size(figure: Figure) -> dict[str, int]:
    width, height = figure.get_size_inches()
    return {"width": round(width * DPI), "height": round(height * DPI)}


def few_colours(figure: Figure, n_colours: int = 256):
    """The figure as a PNG with a palette, chosen by k-means, and one index per pixel.

    A photograph then takes a third of the bytes.

    Parameters
    ----------
    figure : CourseFigure
        Drawn now; later changes do not show.
    n_colours : int in 2 ... 256
        Size of the palette.

    Returns
    -------
    IPython.display.Image
        For the last line of a cell.
    """
    from IPython.display import Image  # only notebooks have it

    whole = io.BytesIO()
    figure.savefig(whole, format="png", dpi=_resolution())
    return Image(_few_colours(whole, n_colours), **(_shown_size(figure) if _resolution() != DPI else {}))


def styled(draw: Callable[..., CourseFigure]) -> Callable[..., CourseFigure]:
    """Decorator: draw in the course's style, and leave matplotlib's settings as they were."""

    @functools.wraps(draw)
    def wrapper(*args, **kwargs) -> CourseFigure:
        with matplotlib.rc_context(_STYLE):
            figure = draw(*args, **kwargs)
            for axes in figure.axes:
                # Ticks are made when the figure is drawn, outside this context: fix their size now.
                axes.tick_params(labelsize=_STYLE["xtick.labelsize"])
            return figure

    return wrapper


def use_course_style(*, sharp: bool = False) -> None:
    """Set matplotlib's defaults to the course's style: for a notebook that draws figures of its own.

    Parameters
    ----------
    sharp : bool
        Store twice as many pixels in each direction, shown at the same size: for projectors and
        high-resolution screens. Photographs then take about three times the bytes.
    """
    cycle = matplotlib.cycler(color=[BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, BLACK])
    matplotlib.rcParams.update({**_STYLE, "axes.prop_cycle": cycle, "figure.dpi": DPI, "image.cmap": "gray"})
    matplotlib.rcParams["savefig.dpi"] = 2 * DPI if sharp else "figure"


def human_bytes(n_bytes: float, *, digits: int = 3) -> str:
    """A size with three significant digits, or (`digits` other than 3) as a whole number; 1 kB = 1000 bytes.

    >>> human_bytes(59_946_792), human_bytes(129_000), human_bytes(10_000, digits=1)
    ('59.9 MB', '129 kB', '10 kB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= 0.9995 * size:  # 999,600 bytes round to 1.00 MB, not to 1000 kB
            number = n_bytes / size
            return f"{_three_digits(number) if digits == 3 else f'{number:.0f}'} {unit}"
    return f"{n_bytes:.0f} B"


def times(ratio: float) -> str:
    """A ratio with three significant digits.

    >>> times(465.3), times(31.04), times(9.0)
    ('465×', '31.0×', '9.00×')
    """
    return f"{_three_digits(ratio)}×"


def _three_digits(number: float) -> str:
    """A number from 1 to 999 with three significant digits: 9.99, 10.0, 100."""
    return f"{number:.{max(0, 2 - (number >= 9.995) - (number >= 99.95))}f}"


def y_grid(axes: Axes) -> None:
    """Faint horizontal lines, for reading values off."""
    axes.grid(axis="y", which="major", visible=True)
