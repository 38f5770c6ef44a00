"""Progress bars, with one switch: ``DNNC_QUIET=1`` in the environment turns all of them off.

Bars write timings to stderr, so a notebook under test would never equal its stored outputs. The switch is
here, so that no notebook has to care about it.
"""

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def is_quiet() -> bool:
    """Return whether ``DNNC_QUIET`` turns bars off (set, and neither empty nor ``0``)."""
    return os.environ.get("DNNC_QUIET", "") not in ("", "0")


def has_bars() -> bool:
    """Return whether a bar can be drawn, in a terminal or a notebook; a log would get thousands of lines."""
    return _in_notebook() or (sys.stderr is not None and sys.stderr.isatty())


def progress(iterable: Iterable | None = None, **options: Any) -> tqdm:
    """Return a progress bar over `iterable`; invisible when ``DNNC_QUIET`` is set or it cannot be drawn.

    Parameters
    ----------
    iterable : iterable, optional
        What to iterate over; without it, ``update(n)`` advances the bar.
    **options
        Passed on to ``tqdm`` (``desc``, ``total``, ``unit``, ...).

    Returns
    -------
    tqdm
        Iterable, and a context manager.

    Examples
    --------
    >>> [epoch for epoch in progress(range(3), disable=True)]
    [0, 1, 2]
    """
    options["disable"] = options.get("disable", is_quiet()) or not has_bars()
    if _in_notebook():  # it shows stderr in red, and in a box apart from the lines of `write`
        options.setdefault("file", sys.stdout)
    options.setdefault("dynamic_ncols", True)
    return tqdm(iterable, **options)


def note(bar: tqdm, label: str, text: str) -> None:
    """Say how far a bar's work has come: on a line of its own, and in a notebook at the end of the bar.

    There a dozen short trainings would otherwise fill the screen, and the figure below them be cut off.
    """
    if _in_notebook():
        bar.set_postfix_str(text)
    else:
        bar.write(f"{label}: {text}")


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules
