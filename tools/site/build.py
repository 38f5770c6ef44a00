"""The course as static pages with search: ``make site``, or ``python tools/site/build.py [FOLDER]``.

The pages work from disk: open ``build/site/index.html``. Nothing is loaded from another host, and no notebook
is executed. The exit code is 1 if Sphinx reports an error, and with ``--strict`` also at any of its warnings.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT)]

from stage import copy_notebooks, stage  # noqa: E402


def build(out: Path, *, strict: bool = False) -> int:
    """Build the site into a folder; its sources are beside it, in a folder named ``…-sources``.

    `strict` makes every warning of Sphinx a failure.

    Returns
    -------
    int
        Sphinx's exit code.
    """
    import figures
    from sphinx.cmd.build import main as sphinx_build

    from common.deploy.web_page import export_web

    sources = out.with_name(f"{out.name}-sources")
    course = stage(sources)
    figures.draw(sources / "explore")
    options = ["-b", "html", "-c", str(HERE), "-d", str(out.with_name(f"{out.name}-doctrees"))]
    options += ["-q", "-j", "auto", *(["-W", "--keep-going"] if strict else [])]
    code = sphinx_build([*options, str(sources), str(out)])
    export_web([], out / "app")
    copy_notebooks(out, course)
    (out / ".nojekyll").touch()  # GitHub Pages: folders that begin with an underscore are pages, too
    return code


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "site")
    parser.add_argument("--strict", action="store_true", help="fail at any warning")
    options = parser.parse_args(arguments)
    code = build(options.folder.resolve(), strict=options.strict)
    if code == 0:
        print(f"site: open {options.folder / 'index.html'}")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
