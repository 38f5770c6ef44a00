"""Execute notebooks and store their outputs: ``python tools/run_notebooks.py [notebook ...]``, else all.

Each runs in a new kernel of this Python, in its own folder, as in the tests; progress bars are off. A
notebook is only written when it ran to its end. Cells tagged ``raises-exception`` may fail, as the stubs of
an assignment do; of their errors only the last line is stored, without paths of this machine.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[1]


def course_notebooks() -> list[Path]:
    """Return the course's notebooks in reading order, without those of the members."""
    folders = [*sorted(ROOT.glob("week*")), ROOT / "capstone"]
    found = (path for folder in folders for path in sorted(folder.rglob("*.ipynb")))
    return [path for path in found if ".ipynb_checkpoints" not in path.parts]


def execute(path: Path, *, timeout_s: float) -> None:
    """Run one notebook and store its outputs in it."""
    os.environ["DNNC_QUIET"] = "1"  # a progress bar differs in every run
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=timeout_s,
        kernel_name="python3",
        record_timing=False,  # times of day would change the file in every run
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    _shorten_tracebacks(notebook)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    partial = path.with_suffix(".part")
    nbformat.write(notebook, partial)
    os.replace(partial, path)


def _shorten_tracebacks(notebook: nbformat.NotebookNode) -> None:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                output.traceback = [f"{output.ename}: {output.evalue}"]


def main() -> int:
    """Run the notebooks named, or all; return 1 when one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--timeout", type=float, default=3600, help="seconds a cell may take")
    options = parser.parse_args()
    failed = 0
    for path in options.notebooks or course_notebooks():
        start = time.perf_counter()
        try:
            execute(path.resolve(), timeout_s=options.timeout)
            verdict = "stored"
        except CellExecutionError as error:
            failed += 1
            verdict = f"FAILED, not stored\n{error}"
        print(f"{path}  {time.perf_counter() - start:.0f} s  {verdict}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
