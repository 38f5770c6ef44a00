"""Sphinx's settings for the course's site; `build.py` runs Sphinx on the sources that `stage.py` writes."""

import re
import sys
import tomllib
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT)]
warnings.filterwarnings("ignore", category=SyntaxWarning)

_project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
project = "Deep Neural Network Compression & CV"
author = _project["authors"][0]["name"]
release = _project["version"]
language = "en"
copyright = f"{author}; MIT licence"

extensions = ["myst_nb", "mathml", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
exclude_patterns = ["**.ipynb_checkpoints"]

# Notebooks and Markdown: stored outputs are shown, nothing is executed.
nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "myst"  # the default cannot show tables in outputs
nb_ipywidgets_js = {}
nb_code_prompt_show = "Show the {type}"
nb_code_prompt_hide = "Fold the {type}"
myst_enable_extensions = ["dollarmath", "amsmath", "html_image", "attrs_block", "attrs_inline"]
myst_heading_anchors = 4
myst_update_mathjax = False
html_math_renderer = "mathml"
# A lecture's headings may leave out a level; a short name in a docstring may mean several things.
suppress_warnings = ["myst.header", "misc.highlighting_failure", "ref.python"]

# The API, from the docstrings.
highlight_language = "none"  # what follows :: in a docstring is not Python
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["static"]
html_css_files = ["course.css"]
html_js_files = ["course.js"]
html_copy_source = False
html_show_sourcelink = False
html_last_updated_fmt = None
html_context = {"default_mode": "auto"}
html_theme_options = {
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "use_source_button": False,
    "show_navbar_depth": 1,
    "collapse_navigation": True,  # a list of every module on every page takes a second to build
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def _readable(app, what, name, obj, options, lines: list[str]) -> None:
    """Make |w| in a docstring an absolute value, not a substitution."""
    lines[:] = [re.sub(r"(?<![`\\|])\|(?=\S)", r"\\|", line) for line in lines]


def _is_foreign(app, what, name, obj, skip, options) -> bool | None:
    """Leave out members that a library adds to the course's classes."""
    module = getattr(obj, "__module__", None) or "common"
    return None if module.split(".")[0] in ("common", "builtins") else True


def setup(app) -> None:
    app.connect("autodoc-skip-member", _is_foreign)
    app.connect("autodoc-process-docstring", _readable)
