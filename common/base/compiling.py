"""A notice on stderr before numba compiles the first loop, so that users know what they are waiting for.

numba caches what it compiled (`compiled`), so only the first call takes long. `doctor.warm_up` makes that
call ahead of time: ``dnnc doctor --warm``, and at the end of ``make setup``.
"""

from __future__ import annotations

import sys

from numba.core import event


class _Notice(event.Listener):
    """Says once on a terminal that the course's loops are being compiled."""

    def __init__(self) -> None:
        self.was_told = False

    def on_start(self, event: event.Event) -> None:
        module = event.data["dispatcher"].py_func.__module__
        if self.was_told or not module.startswith("common.") or not sys.stderr.isatty():
            return
        self.was_told = True
        print(
            "compiling the inner loops for this machine, once; `dnnc doctor --warm` does it ahead of time",
            file=sys.stderr,
            flush=True,
        )

    def on_end(self, event: event.Event) -> None:
        pass


event.register("numba:compile", NOTICE := _Notice())
