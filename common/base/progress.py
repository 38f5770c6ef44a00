"""Progress bars, with one switch: ``DNNC_QUIET=1`` in the environment turns all of them off.

Bars write timings to stderr, so a notebook under test would never compare equal with its stored
outputs; the switch lives here, and no notebook needs to know of it.
"""

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def is_quiet() -> bool:
    """Whether ``DNNC_QUIET`` asks for silence (set, and neither empty nor ``0``)."""
    return os.environ.get("DNNC_QUIET", "") not in ("", "0")


def has_bars() -> bool:
    """Whether a bar can be drawn: in a terminal or a notebook; a log file would get thousands of lines."""
    return "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())


def progress(iterable: Iterable | None = None, **options: Any) -> tqdm:
    """A progress bar over `iterable`; none when ``DNNC_QUIET`` is set, nor where it cannot be drawn.

    Parameters
    ----------
    iterable : iterable, optional
        What to walk through; without it, the bar is moved by ``update(n)``.
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
    options.setdefault("dynamic_ncols", True)
    return tqdm(iterable, **options)
