"""The attendance in a real browser: the projector's code is read from the screen, and a phone follows it."""

import re

import cv2
import numpy as np
import pytest
from attendance_class import LECTURE, Clock, roster, scanned, served
from browsers import PATIENCE, chromium, watch_errors

from common.attendance.store import AttendanceStore
from common.attendance.tokens import GRACE, PERIOD, AttendanceSigner

pytestmark = pytest.mark.slow
PHONE, PROJECTOR = {"width": 390, "height": 844}, {"width": 1920, "height": 1080}


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture
def open_page(browser):
    contexts = []

    def open_in(viewport, **options):
        context = browser.new_context(viewport=viewport, **options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        watch_errors(page)
        return page

    yield open_in
    for context in contexts:
        context.close()


@pytest.fixture
def room(tmp_path):
    """The store, the clock, the address, and the projector's link of a lecture that is served."""
    clock = Clock()
    store = AttendanceStore(tmp_path / "attendance.sqlite3", clock=clock)
    store.open_lecture(LECTURE)
    with served(store, roster(), clock=clock) as url:
        secret = AttendanceSigner(store.key, clock=clock).projector_secret(LECTURE)
        yield store, clock, url, f"{url}/projector/{secret}"
    store.close()


def code_on_screen(page) -> str:
    """What the code on the screen says; a page may just be renewing itself, so several pictures are taken."""
    text = ""
    for _ in range(20):
        picture = page.locator("#qr").screenshot()  # the box stays; what is in it is replaced every second
        text = scanned(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE))
        if text:
            break
        page.wait_for_timeout(200)
    return text


def wait_for_another_code(page, old: str) -> str:
    """The markup of the code once it differs from `old`."""
    page.wait_for_function("old => document.querySelector('#qr').innerHTML.trim() !== old", arg=old)
    return page.locator("#qr").inner_html().strip()


def is_as_wide_as_the_screen(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_from_the_projector_to_the_record_and_back(room, open_page):
    store, clock, url, link = room
    projector = open_page(PROJECTOR)
    projector.goto(link)
    assert projector.url == f"{url}/projector", "no secret in the address line on the wall"
    first = code_on_screen(projector)
    assert first.startswith(f"{url}/s/")

    phone = open_page(PHONE, java_script_enabled=False, is_mobile=True, has_touch=True)
    phone.goto(first)
    phone.get_by_label("Your name").select_option("m002")
    phone.get_by_role("button", name="I am here").click()
    assert phone.get_by_role("heading", name="You are recorded").is_visible()
    assert [one.member for one in store.presences(LECTURE)] == ["m002"]
    projector.get_by_text("Member 002").wait_for()
    assert projector.locator("#present").inner_text() == "1"

    old = projector.locator("#qr").inner_html().strip()
    clock.advance(PERIOD)
    wait_for_another_code(projector, old)
    second = code_on_screen(projector)
    assert second.startswith(f"{url}/s/")
    assert second != first

    clock.advance(GRACE + 1)
    late = open_page(PHONE, java_script_enabled=False)
    assert late.goto(first).status == 410, "a photograph of the first code"
    assert late.get_by_role("heading", name="This code has expired").is_visible()
    assert late.goto(second).status == 200
    assert len(store.presences(LECTURE)) == 1

    store.close_lecture(LECTURE)
    projector.get_by_text("Attendance is closed.").wait_for()
    assert projector.locator("#qr svg").count() == 0
    assert projector.errors == []


def test_the_projector_without_a_script(room, open_page):
    store, clock, url, link = room
    projector = open_page(PROJECTOR, java_script_enabled=False)
    projector.goto(link)
    first = code_on_screen(projector)
    clock.advance(PERIOD)  # before the name appears, or a page in between would still show the old code
    store.record(LECTURE, "m004", device="phone", address="")
    projector.get_by_text("Member 004").wait_for()  # the page has renewed itself
    second = code_on_screen(projector)
    assert second.startswith(f"{url}/s/")
    assert second != first


def test_the_projector_finds_a_server_that_was_restarted(tmp_path, open_page):
    clock = Clock()
    store = AttendanceStore(tmp_path / "attendance.sqlite3", clock=clock)
    store.open_lecture(LECTURE)
    secret = AttendanceSigner(store.key, clock=clock).projector_secret(LECTURE)
    projector = open_page(PROJECTOR)
    with served(store, roster(), clock=clock) as url:
        projector.goto(f"{url}/projector/{secret}")
    projector.route("**/projector/state", lambda route: route.abort())
    projector.get_by_text("No answer from the server").wait_for()
    with served(store, roster(), clock=clock) as other:
        # The new server has another port; after a restart in class it would have the same.
        projector.unroute("**/projector/state")
        projector.route(
            "**/projector/state",
            lambda route: route.fulfill(response=projector.context.request.get(f"{other}/projector/state")),
        )
        projector.get_by_text("No answer from the server").wait_for(state="hidden")
    store.close()


def test_pages_fit_their_screens_in_light_and_dark(room, open_page):
    store, clock, url, link = room
    token = AttendanceSigner(store.key, clock=clock).code(LECTURE).token
    phone = open_page(PHONE)
    for path in (f"/s/{token}", "/s/x", "/here"):
        phone.goto(url + path)
        assert is_as_wide_as_the_screen(phone), path
    for scheme in ("light", "dark"):
        phone.emulate_media(color_scheme=scheme)
        colour = phone.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", colour))) < 150) == (scheme == "dark"), colour
    projector = open_page(PROJECTOR, color_scheme="dark")
    projector.goto(link)
    assert projector.evaluate("document.documentElement.scrollHeight <= window.innerHeight")
    code = projector.locator("#qr svg")
    code.wait_for()  # it has no box until it is drawn
    box = code.bounding_box()
    assert min(box["width"], box["height"]) > 800, "large enough for the last row"
    assert code_on_screen(projector).startswith(url), "dark on light on a dark page too"
    for size in ({"width": 1024, "height": 768}, PHONE):
        projector.set_viewport_size(size)
        assert is_as_wide_as_the_screen(projector), size
        assert code_on_screen(projector).startswith(url), size
