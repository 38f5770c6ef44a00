"""The course's site: its sources are made as they should be, and, built once, it works from disk."""

import html
import importlib
import json
import os
import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browsers import SIZES, chromium, pages_from_disk

ROOT = Path(__file__).resolve().parents[1]


def tool(name: str):
    """A module of tools/site."""
    sys.path.insert(0, str(ROOT / "tools" / "site"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ROOT / "tools" / "site"))


stage = tool("stage")
URL = "https://github.com/ada/engine"
PAGES = ["README.md", "week01_x/README.md", "week01_x/01_a.ipynb", "week01_x/assignment/assignment.ipynb"]


@pytest.fixture
def course(tmp_path) -> stage.Course:
    """A small course in a folder of its own."""
    for name in PAGES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "common/codec").mkdir(parents=True)
    for name in ("common/__init__.py", "common/codec/__init__.py", "common/codec/gaps.py", "tools.py"):
        (tmp_path / name).write_text('"""What it does."""\n')
    (tmp_path / "results.json").write_text("{}")
    return stage.Course(tmp_path, {name: stage._page_of(name) for name in PAGES}, URL)


@pytest.mark.parametrize(
    ("link", "name", "wanted"),
    [
        ("week01_x/README.md#assignment", "README.md", "week01_x/index.md#assignment"),
        ("week01_x", "README.md", "week01_x/index.md"),
        ("../README.md", "week01_x/README.md", "../index.md"),
        ("01_a.ipynb", "week01_x/README.md", "01_a.ipynb"),
        ("../common/codec/gaps.py", "week01_x/README.md", "../api/codec/gaps.rst"),
        ("common/codec", "README.md", "api/codec/index.rst"),
        ("../common/deploy/web/huffman.html", "week01_x/README.md", "../explore/huffman.md"),
        ("common/deploy/web/index.html", "README.md", "explore/network.md"),
        ("results.json", "README.md", "results.json"),
        ("tools.py", "README.md", f"{URL}/blob/main/tools.py"),
        ("week01_x/assignment", "README.md", f"{URL}/tree/main/week01_x/assignment"),
        ("https://example.org/a.md", "README.md", "https://example.org/a.md"),
        ("#here", "README.md", "#here"),
        ("gone.md", "README.md", "gone.md"),
    ],
)
def test_links_lead_to_pages(course, link, name, wanted):
    assert stage.target(link, name, course) == wanted


def test_badges_become_buttons_and_code_stays(course):
    badge = f"[![Open in Colab](https://x.org/b.svg)](https://colab.research.google.com/github/{URL[19:]}/blob/main/"
    text = f"| [A](01_a.ipynb) | 60 | {badge}week01_x/01_a.ipynb) |\n\n```sh\n[x](01_a.ipynb)\n```\n"
    renewed = stage.renewed_text(text, "week01_x/README.md", course)
    assert "b.svg" not in renewed
    assert "https://colab.research.google.com/github/ada/engine/blob/main/week01_x/01_a.ipynb" in renewed
    assert "https://mybinder.org/v2/gh/ada/engine/main?urlpath=lab%2Ftree%2Fweek01_x%2F01_a.ipynb" in renewed
    assert "```sh\n[x](01_a.ipynb)\n```" in renewed
    assert stage.hours(text) == "1 h for one notebook."
    assert stage.hours(text * 2 + "## Assignment\n\nIn a pair, 2 to 3 hours.\n") == (
        "2 h for 2 notebooks. The assignment takes 2 to 3 hours more."
    )
    assert stage.hours("# A week\n") is None


def test_what_a_notebook_folds_stays_folded(course):
    ask = "How many?\n\nMy prediction: …"
    solved = "def f(x):\n    # solution: square it\n    return x * x\n    # end solution"
    picture = {"output_type": "display_data", "data": {"image/png": "AA=="}, "metadata": {}}
    hidden = {"jupyter": {"source_hidden": True}}
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "# A title\n\nA text."},
        {"cell_type": "code", "metadata": hidden, "source": "import common", "outputs": []},
        {"cell_type": "code", "metadata": {"tags": ["exercise"]}, "source": solved, "outputs": []},
        {"cell_type": "code", "metadata": {}, "source": "#@title Figure: a tree\nfig", "outputs": [picture]},
        {"cell_type": "markdown", "metadata": {}, "source": ask},
        {"cell_type": "code", "metadata": {}, "source": "print(4)", "outputs": [picture]},
    ]
    notebook = {"cells": cells, "metadata": {"widgets": {}}, "nbformat": 4, "nbformat_minor": 5}
    before = json.dumps(notebook)
    renewed = stage.renewed_notebook(notebook, "week01_x/01_a.ipynb", course)
    assert json.dumps(notebook) == before
    title, first, stub, solution, figure, _, answer = renewed["cells"]
    assert title["source"].startswith('# A title\n\n<a class="launch"')
    assert 'href="../notebooks/week01_x/01_a.ipynb" download' in title["source"]
    assert first["metadata"]["tags"] == ["hide-input"]
    assert "NotImplementedError" in stub["source"]
    assert "hide-input" not in stub["metadata"]["tags"]
    assert solution["source"] == solved
    assert "hide-input" in solution["metadata"]["tags"]
    assert figure["source"] == "fig"
    assert figure["metadata"]["mystnb"]["code_prompt_show"] == "Code of the figure: a tree"
    assert figure["metadata"]["mystnb"]["image"]["alt"].startswith("Figure: a tree;")
    assert answer["metadata"]["tags"] == ["hide-output"]
    assert "widgets" not in renewed["metadata"]


def test_every_page_of_the_checkout_is_in_a_list():
    """Read from the sources, without Sphinx: nothing is forgotten when a notebook or a week is added."""
    course = stage.Course.of()
    files = {
        name: data.decode() for name, data in stage.sources(course).items() if name.endswith((".md", ".rst"))
    }
    listed = {"index"}
    for name, text in files.items():
        lists = re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL)
        lists += re.findall(r"^\.\. toctree::\n((?:   .*\n|\n)*)", text, re.MULTILINE)
        for entry in re.findall(r"^ *(?:\w+ <)?([\w/.]+)>?$", "\n".join(lists), re.MULTILINE):
            listed.add(os.path.normpath(os.path.join(os.path.dirname(name), entry)))
    pages = set(course.pages.values()) | set(course.modules().values())
    assert not sorted(pages - listed)
    capstone = [
        files["capstone/index.md"].index(f"\n{name}\n") for name in ("build_it", "your_pipeline", "capstone")
    ]
    assert capstone == sorted(capstone), "in reading order, not by name"


@pytest.mark.parametrize(
    "latex", [r"\sum_k 2^{-\ell_k} \le 1", r"\sum_{\substack{a \\ b}} x", r"\mathbb{E}[x]"]
)
def test_formulas_become_mathml(latex):
    pytest.importorskip("math_core", reason="math-core is not installed (extra: site)")
    mathml = tool("mathml")
    assert mathml.mathml(latex, display=True).startswith("<math")
    with pytest.raises(ValueError, match="Unknown command"):
        mathml.mathml(r"\nosuchcommand", display=False)


# ------------------------------------------------------------------------------ the site itself, built once


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The built site, without a warning; ``DNNC_SITE`` names one that is built already."""
    if built := os.environ.get("DNNC_SITE"):
        return Path(built).resolve()
    for package in ("myst_nb", "sphinx_book_theme", "math_core", "ziamath"):
        pytest.importorskip(package, reason=f"{package} is not installed (extra: site)")
    out = tmp_path_factory.mktemp("site") / "site"
    assert tool("build").build(out, strict=True) == 0, "Sphinx has warnings: see above"
    return out


def html_pages(site: Path) -> list[Path]:
    return [path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]


LINK = re.compile(r'<(\w+)\b[^>]*?\s(?:href|src)="([^"]*)"')
ANCHOR = re.compile(r'\s(?:id|name)="([^"]+)"')


@pytest.mark.slow
def test_no_link_is_broken(site):
    texts = {path: path.read_text(encoding="utf-8") for path in html_pages(site)}
    anchors = {path: set(ANCHOR.findall(text)) for path, text in texts.items()}
    broken, n_links = [], 0
    for path, text in texts.items():
        for _, link in LINK.findall(text):
            parts = urlsplit(link)
            if parts.scheme or link.startswith(("//", "data:")):
                continue
            n_links += 1
            wanted = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            if not wanted.is_file():
                broken.append(f"{path.relative_to(site)}: {link}")
            elif parts.fragment and wanted in anchors and unquote(parts.fragment) not in anchors[wanted]:
                broken.append(f"{path.relative_to(site)}: {link}")
    print(f"{len(texts)} pages, {n_links:,} links within the site")
    assert not broken


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site):
    for path in html_pages(site):
        text = path.read_text(encoding="utf-8")
        for tag, link in LINK.findall(text):
            assert tag in ("a", "base") or not re.match(r"(?:[a-z]+:)?//", link), f"{path.name} loads {link}"
    for path in [*site.rglob("*.css"), *site.rglob("*.js")]:
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not re.search(
            r"@import\s+(?:url\()?[\"']?https?:|url\([\"']?https?:|import\([\"']https?:", text
        ), path


@pytest.mark.slow
def test_every_notebook_week_and_module_has_its_page(site):
    course = stage.Course.of()
    for page in [*course.pages.values(), *course.modules().values(), "format", "results", "explore/huffman"]:
        assert (site / f"{page}.html").is_file(), page
    lecture = (site / "week07_huffman/01_entropy_and_huffman.html").read_text(encoding="utf-8")
    assert "<math" in lecture
    assert "<summary>Answer</summary>" in lecture
    assert "At most 4 GiB" in (site / "format.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_no_markup_is_left_over(site):
    """Tables and formulas came out as such: no row of pipes, no dollar, outside code."""
    left = []
    for path in sorted([*site.glob("week*/**/*.html"), *site.glob("capstone/**/*.html")]):
        page = re.search(r"<main.*</main>", path.read_text(encoding="utf-8"), re.DOTALL)[0]
        page = re.sub(r"<(pre|code|script|style|math|svg)\b.*?</\1>", "", page, flags=re.DOTALL)
        text = html.unescape(re.sub(r"<[^>]+>", " ", page))
        left += [f"{path.name}: {found}" for found in re.findall(r".{0,40}(?:\$|\| [-—]+ \|).{0,40}", text)]
    assert not left


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture
def open_page(browser, site):
    with pages_from_disk(browser, site) as open_in:
        yield open_in


@pytest.mark.slow
def test_the_search_finds_gap_from_disk(open_page, site):
    page = open_page("search.html")
    page.goto(f"{(site / 'search.html').as_uri()}?q=gap")
    page.locator("#search-results ul.search li").first.wait_for()
    found = page.locator("#search-results ul.search li a").all_inner_texts()
    assert any("codec.gaps" in title for title in found), found[:10]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["huffman", "bytes", "network"])
def test_explorables_are_embedded_and_have_a_figure_without_scripts(open_page, name):
    page = open_page(f"explore/{name}.html")
    frame = page.frame_locator(".explorable iframe")
    frame.locator("h1").wait_for()
    page.wait_for_function("document.querySelector('.explorable iframe').style.height !== ''")
    still = open_page(f"explore/{name}.html", java_script_enabled=False)
    assert still.locator(".explorable iframe").count() == 0
    assert still.locator(".explorable img").evaluate("image => image.naturalWidth") > 300


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_pages_fit_the_window(open_page, size, scheme):
    for name in (
        "index",
        "week07_huffman/index",
        "week07_huffman/01_entropy_and_huffman",
        "results",
        "format",
    ):
        page = open_page(f"{name}.html", size, color_scheme=scheme)
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{name} is {wide} pixels wider than a {size}"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible(open_page, scheme):
    """axe-core finds nothing serious, on a page of each kind."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe (extra: site)").Axe()
    counts: dict[str, int] = {}
    serious = []
    for name in AXE_PAGES:
        page = open_page(f"{name}.html", color_scheme=scheme)
        # without preload: axe would fetch the style sheets again, which a page from disk may not
        for found in axe.run(page, options={"preload": False}).response["violations"]:
            counts[found["impact"]] = counts.get(found["impact"], 0) + len(found["nodes"])
            if found["impact"] in ("serious", "critical"):
                places = [node["target"] for node in found["nodes"][:3]]
                serious.append(f"{name}: {found['id']}, {len(found['nodes'])} times, as at {places}")
    print(f"axe, {scheme}: {counts}")
    assert not serious


AXE_PAGES = [
    "index",
    "week07_huffman/index",
    "week07_huffman/01_entropy_and_huffman",
    "week07_huffman/assignment/assignment",
    "capstone/methods",
    "results",
    "format",
    "api/codec/container",
    "explore/huffman",
    "search",
]
