"""Chromium without a window, for the tests of pages; where it or playwright is missing, they are skipped."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE = 120_000  # milliseconds, for a machine that has much else to do
SIZES = {"phone": (390, 844), "laptop": (1366, 768), "projector": (1920, 1080)}


@contextmanager
def chromium(*flags: str) -> Iterator[object]:
    """A browser, playwright's object."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra: dev)")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium on this machine: install the package chromium")
    own = ["--no-sandbox"] if os.geteuid() == 0 else []  # its own sandbox refuses root
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=[*own, *flags], timeout=PATIENCE)
        yield browser
        browser.close()


@contextmanager
def pages_from_disk(browser, folder: Path) -> Iterator[Callable]:
    """A function that opens a page of a folder, offline; in the end none had an error or asked for more."""
    contexts = []

    def open_in(name: str, size: str = "laptop", **options):
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, offline=True, **options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.addresses = []
        watch_errors(page)
        page.on("request", lambda request: page.addresses.append(request.url))
        page.goto((folder / name).as_uri())
        return page

    yield open_in
    for context in contexts:
        for page in context.pages:
            assert page.errors == []
            assert all(re.match("file:|data:|blob:", address) for address in page.addresses)
        context.close()


def watch_errors(page) -> None:
    """Collect in `page.errors` what scripts raise and what the console calls an error."""
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda line: line.type == "error" and page.errors.append(line.text))
