"""Formulas as MathML, made when the site is built: browsers show it without a script or a network.

A formula that cannot be converted is a warning of the build. The font is STIX Two Math (SIL Open Font
License), from the package ziamath; a browser that cannot load it uses a mathematical font of the machine.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.util import logging

FONT = "STIXTwoMath-Regular.ttf"
_MACROS = {"substack": r"\begin{matrix}#1\end{matrix}"}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_converter = LatexToMathML(macros=_MACROS, annotation=False)
_log = logging.getLogger(__name__)


def mathml(latex: str, *, display: bool) -> str:
    """Return a formula's MathML.

    Parameters
    ----------
    latex : str
        The formula, without dollar signs.
    display : bool
        Whether it is set on a line of its own.

    Raises
    ------
    ValueError
        When the converter does not know the LaTeX.
    """
    latex = re.sub(r"\\label\{[^}]*\}", "", latex).strip()
    try:
        return _converter.convert_with_local_state(latex, displaystyle=display)
    except LatexError as error:
        raise ValueError(_COLOURS.sub("", str(error)).strip()) from None


def _put(writer, node: nodes.Element, *, display: bool) -> None:
    try:
        formula = mathml(node.astext(), display=display)
    except ValueError as error:
        _log.warning("a formula cannot be converted: %s", error, location=node)
        formula = f"<code>{writer.encode(node.astext())}</code>"
    if node.get("behind"):
        formula = f'<span class="together">{formula}{writer.encode(node["behind"])}</span>'
    # A wide formula scrolls on its own (tabindex: by keyboard, too), so that a phone's page does not have to.
    html = f'<div class="formula" tabindex="0">{formula}</div>' if display else formula
    writer.body.append(html)


def _inline(writer, node: nodes.math) -> None:
    _put(writer, node, display=False)
    raise nodes.SkipNode


def _block(writer, node: nodes.math_block) -> None:
    _put(writer, node, display=True)
    raise nodes.SkipNode


def _keep_punctuation(app: Sphinx, tree: nodes.document, name: str) -> None:
    """Keep punctuation behind a formula on the formula's line."""
    for node in list(tree.findall(nodes.math)):
        behind = node.next_node(descend=False, siblings=True)
        mark = re.match(r"[,.;:!?)\]–—-]+(?=\s|$)", behind) if isinstance(behind, nodes.Text) else None
        if mark:
            node["behind"] = mark[0]
            behind.parent.replace(behind, nodes.Text(behind[mark.end() :]))


def _copy_font(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        [folder] = importlib.util.find_spec("ziamath").submodule_search_locations
        source = Path(folder) / "fonts" / FONT
        shutil.copyfile(source, Path(app.outdir) / "_static" / FONT)


def setup(app: Sphinx) -> dict:
    """Register the renderer under the name ``mathml``."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("doctree-resolved", _keep_punctuation)
    app.connect("build-finished", _copy_font)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
