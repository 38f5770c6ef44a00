"""numba without what it imports in case somebody needs it, for commands that are to answer at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Matrix products, C functions that are called from compiled code, and coverage of compiled lines.
_EXTRAS = ("scipy.linalg.cython_blas", "cffi", "coverage")


@contextmanager
def lean_numba() -> Iterator[None]:
    """Import numba, and load compiled functions, without SciPy's linear algebra, cffi and coverage.

    numba looks for them once, and goes on without what it does not find. So this is for a process that needs
    none of them in compiled code, and only where nothing has imported numba yet does it save the time.
    """
    hidden = [name for name in _EXTRAS if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # None: an import fails at once
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
