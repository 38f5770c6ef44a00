"""Run a member's notebook from top to bottom, then grade it: the process inside the sandbox.

``python -m common.sandbox.notebook NOTEBOOK WEEK RESULT`` writes the result as JSON, and before each cell
how far it has come, so that after a sudden end the place is known. The cells run in IPython's shell without a
kernel: no sockets, one process. A cell that fails ends the run unless it is tagged
``raises-exception``; what is defined by then is graded.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path


def main(notebook: Path, week: str, result: Path) -> None:
    """Run and grade; the result goes to a file, what the cells print to stdout."""
    state: dict[str, object] = {"cell": 0, "stage": "start", "error": None, "verdicts": None}
    note = _noter(result, state)
    note()
    questions = importlib.import_module(f"common.checks.{week}")
    shell = _shell()
    sys.path.insert(0, os.getcwd())
    for number, cell in enumerate(code_cells(json.loads(notebook.read_bytes())), 1):
        note(cell=number, stage="cells")
        outcome = shell.run_cell(cell["source"], store_history=False)
        error = outcome.error_before_exec or outcome.error_in_exec
        if error is not None and not cell["may_fail"]:
            note(error={"name": type(error).__name__, "message": _said(error)})
            break
    note(stage="checks")
    verdicts = questions.grade(shell.user_ns).verdicts
    plain = [
        {"question": number, "ok": verdict.ok is True, "message": verdict.message, "hint": verdict.hint}
        for number, verdict in verdicts.items()
    ]
    note(stage="done", verdicts=plain)
    sys.stdout.flush()
    os._exit(0)  # without running what the notebook registered for the end (atexit, threads)


def code_cells(notebook: Mapping) -> list[dict]:
    """The code cells of a notebook (format 4) that are not empty.

    Returns
    -------
    list of dict
        ``source`` (str), ``may_fail`` and ``was_run`` (bool).

    Raises
    ------
    ValueError
        It is not a notebook of format 4.

    Examples
    --------
    >>> cell = {"cell_type": "code", "source": ["1 +\\n", "1"], "execution_count": 3, "metadata": {}}
    >>> code_cells({"nbformat": 4, "cells": [cell, {"cell_type": "markdown", "source": "text"}]})
    [{'source': '1 +\\n1', 'may_fail': False, 'was_run': True}]
    """
    if not isinstance(notebook, Mapping) or notebook.get("nbformat") != 4:
        raise ValueError("expected a notebook of format 4: open it in JupyterLab and save it again")
    found = []
    try:
        for cell in notebook["cells"]:
            source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
            if cell["cell_type"] == "code" and source.strip():
                tags = cell.get("metadata", {}).get("tags", [])
                was_run = cell.get("execution_count") is not None
                may_fail = "raises-exception" in tags
                found.append({"source": source, "may_fail": may_fail, "was_run": was_run})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a cell is broken ({error}): open it in JupyterLab, and save it") from error
    return found


def _shell():
    """IPython's shell, in which magics work, with no window and no history."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    class Shell(InteractiveShell):
        def enable_gui(self, gui=None) -> None:
            """What ``%matplotlib inline`` asks for; there is no window here."""

    return Shell.instance(config=Config(HistoryManager={"enabled": False}), colors="nocolor")


def _noter(path: Path, state: dict[str, object]):
    """A function that brings the state up to date, on disk too."""
    aside = path.with_suffix(".part")

    def note(**changes: object) -> None:
        state.update(changes)
        aside.write_text(json.dumps(state))
        os.replace(aside, path)

    return note


def _said(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())[:300]
    except Exception:
        return ""


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
