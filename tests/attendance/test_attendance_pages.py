"""The attendance's pages as phones and the projector get them: granted, refused, and made with care."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from attendance_class import LECTURE, URL, Clock, drawn, heading_of, roster, scanned, ticket_of

from common.attendance import app as attendance_app
from common.attendance.app import make_app, qr_code
from common.attendance.refusals import REASONS
from common.attendance.store import AttendanceStore
from common.attendance.tokens import GRACE, PERIOD, TICKET_SECONDS, AttendanceSigner
from common.members.roster import Lecture, Member, Roster

PAGES = Path(attendance_app.__file__).parent / "pages"


class ClassRoom:
    """One lecture's pages, without a network."""

    def __init__(self, path, people=None, url=URL):
        self.clock, self.told = Clock(), []
        self.store = AttendanceStore(path, clock=self.clock)
        self.store.open_lecture(LECTURE)
        self.signer = AttendanceSigner(self.store.key, clock=self.clock)
        self.app = make_app(
            self.store, people or roster(), LECTURE, url, clock=self.clock, tell=self.told.append
        )
        self.n_phones = 0

    def phone(self, address=None):
        """A browser with no cookies yet, at an address of its own unless one is given."""
        self.n_phones += 1
        client = self.app.test_client()
        client.environ_base = {**client.environ_base, "REMOTE_ADDR": address or f"10.0.0.{self.n_phones}"}
        return client

    def link(self, lecture=LECTURE):
        """What the projector's code leads to now."""
        return f"/s/{self.signer.code(lecture).token}"

    def projector(self):
        client = self.phone()
        client.get(f"/projector/{self.signer.projector_secret(LECTURE)}")
        return client

    def present(self):
        return [one.member for one in self.store.presences(LECTURE) if one.is_present]

    def refusals(self):
        return [
            event.kind.removeprefix("refused: ")
            for event in self.store.events()
            if event.kind.startswith("refused: ")
        ]


@pytest.fixture
def room(tmp_path):
    return ClassRoom(tmp_path / "attendance.sqlite3")


def scan(phone, link):
    return phone.get(link).get_data(as_text=True)


def send(phone, page, member):
    return phone.post("/here", data={"ticket": ticket_of(page), "member": member}, follow_redirects=True)


def assert_refused(room, answer, kind):
    reason = REASONS[kind]
    page = answer.get_data(as_text=True)
    assert (answer.status_code, heading_of(page)) == (reason.status, reason.title)
    assert reason.advice in page.replace("&#39;", "'")
    assert room.refusals()[-1] == kind


def test_a_scan_records_the_chosen_name(room):
    phone = room.phone()
    page = scan(phone, room.link())
    assert heading_of(page) == "Are you here?"
    assert room.present() == [], "looking at the form records nobody"
    answer = send(phone, page, "m001")
    assert heading_of(answer.get_data(as_text=True)) == "You are recorded"
    assert "Member 001" in answer.get_data(as_text=True)
    assert room.present() == ["m001"]
    assert "recorded  Member 001" in room.told[-1]
    presence = room.store.presences()[0]
    assert presence.address == room.signer.address_mark("10.0.0.1")
    assert "10.0.0.1" not in str(presence), "the address itself is not kept"


def test_who_comes_late_is_told_so(room):
    phone = room.phone()
    send(phone, scan(phone, room.link()), "m003")
    assert "this counts as late" not in scan(phone, "/here")
    room.store.mark(LECTURE, "m003", is_present=True, remark="late")
    assert "this counts as late" in scan(phone, "/here")


def test_the_same_phone_again_changes_nothing(room):
    phone, link = room.phone(), room.link()
    page = scan(phone, link)
    for _ in range(2):  # the button twice
        assert send(phone, page, "m001").status_code == 200
    assert heading_of(scan(phone, link)) == "You are recorded"
    room.clock.advance(3600)  # the old link once more, as when the phone reloads its page
    assert heading_of(scan(phone, link)) == "You are recorded"
    assert heading_of(scan(phone, "/here")) == "You are recorded"
    assert room.present() == ["m001"]
    assert len(room.told) == 1
    assert heading_of(scan(room.phone(), "/here")) == "Nobody is recorded from this phone yet"


def test_a_photograph_of_the_code_is_good_for_seconds_only(room):
    link = room.link()
    room.clock.advance(PERIOD + GRACE)
    assert heading_of(scan(room.phone(), link)) == "Are you here?"
    room.clock.advance(1)
    assert_refused(room, room.phone().get(link), "stale")


def test_who_scanned_in_time_may_type_slowly_but_not_for_ever(room):
    phone = room.phone()
    page = scan(phone, room.link())
    room.clock.advance(TICKET_SECONDS)
    assert send(phone, page, "m001").status_code == 200
    slow = room.phone()
    page = scan(slow, room.link())
    room.clock.advance(TICKET_SECONDS + 1)
    assert_refused(room, send(slow, page, "m002"), "slow")
    assert room.present() == ["m001"]


def test_forged_codes_and_codes_of_another_lecture(room):
    assert_refused(room, room.phone().get("/s/3.abcd.efgh"), "forged")
    assert_refused(room, room.phone().get("/s/" + "a" * 3000), "forged")
    assert_refused(room, room.phone().get("/s/%00%ff%f0"), "forged")
    assert_refused(room, room.phone().get(room.link(LECTURE + 1)), "other_lecture")


def test_a_form_sent_on_to_a_friend_is_refused(room):
    page = scan(room.phone(), room.link())
    friend = room.phone()
    assert_refused(room, send(friend, page, "m001"), "no_cookie")
    scan(friend, room.link())
    assert_refused(room, send(friend, page, "m001"), "forged")
    assert_refused(room, friend.post("/here", data={"member": "m001"}), "forged")
    friend.set_cookie("dnnc_device", "made-up.signature")
    assert_refused(room, send(friend, page, "m001"), "no_cookie")
    assert room.present() == []


@pytest.mark.parametrize(
    "name", ["", "m999", "Member 001", "m001 ", "' OR 1=1 --", "<script>", "\0", "m001\r\nx"]
)
def test_names_that_are_not_in_the_roster(room, name):
    phone = room.phone()
    page = scan(phone, room.link())
    answer = send(phone, page, name)
    assert_refused(room, answer, "unknown_name")
    assert "<script" not in answer.get_data(as_text=True)
    assert room.present() == []


def test_one_name_a_phone_and_one_phone_a_name(room):
    phone = room.phone()
    page = scan(phone, room.link())
    send(phone, page, "m001")
    assert_refused(room, send(phone, page, "m002"), "second_name")
    other = room.phone()
    assert_refused(room, send(other, scan(other, room.link()), "m001"), "name_taken")
    assert room.present() == ["m001"]


def test_what_the_instructor_set_by_hand_stays(room):
    room.store.mark(LECTURE, "m001", is_present=False)
    phone = room.phone()
    assert_refused(room, send(phone, scan(phone, room.link()), "m001"), "by_hand")


def test_close_is_noticed_at_once(room):
    late, early = room.phone(), room.phone()
    send(early, scan(early, room.link()), "m001")
    page = scan(late, room.link())
    other = AttendanceStore(room.store._file.path, clock=room.clock)  # as another process would
    other.close_lecture(LECTURE)
    other.close()
    assert_refused(room, room.phone().get(room.link()), "closed")
    assert_refused(room, send(late, page, "m002"), "closed")
    assert heading_of(scan(early, "/here")) == "You are recorded"
    projector = room.projector()
    page = projector.get("/projector").get_data(as_text=True)
    assert "<svg" not in page
    assert re.search(r'<p id="closed">Attendance is closed', page)
    assert projector.get("/projector/state").json["is_open"] is False


def test_the_name_is_remembered_until_the_next_lecture(room):
    phone = room.phone()
    page = scan(phone, room.link())
    assert "selected>Member" not in page
    send(phone, page, "m001")
    cookie = phone.get_cookie("dnnc_device")
    room.store.open_lecture(LECTURE + 1)
    room.clock.advance(7 * 86_400)
    app = make_app(room.store, roster(), LECTURE + 1, URL, clock=room.clock, tell=room.told.append)
    client = app.test_client()
    client.set_cookie("dnnc_device", cookie.value)
    page = scan(client, room.link(LECTURE + 1))
    assert re.findall(r'value="(m\d+)" selected', page) == ["m001"]
    assert "choose" not in page


def test_a_remembered_name_that_has_left_the_roster_chooses_nobody_else(room):
    phone = room.phone()
    send(phone, scan(phone, room.link()), "m001")
    room.store.open_lecture(LECTURE + 1)
    people = Roster(roster().members[2:], roster().lectures, roster().teams)
    app = make_app(room.store, people, LECTURE + 1, URL, clock=room.clock, tell=room.told.append)
    client = app.test_client()
    client.set_cookie("dnnc_device", phone.get_cookie("dnnc_device").value)
    page = scan(client, room.link(LECTURE + 1))
    assert '<option value="" selected disabled>' in page
    assert page.count("selected") == 1


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(tmp_path):
    for url, secure in ((URL, False), ("https://class.example", True)):
        room = ClassRoom(tmp_path / f"{secure}.sqlite3", url=url)
        phone = room.phone()
        headers = [
            phone.get(room.link()).headers["Set-Cookie"],
            phone.get(f"/projector/{room.signer.projector_secret(LECTURE)}").headers["Set-Cookie"],
        ]
        for header in headers:
            assert "HttpOnly" in header
            assert "SameSite=Lax" in header
            assert ("Secure" in header) == secure


def test_only_the_terminals_link_opens_the_projectors_page(room):
    phone = room.phone("127.0.0.1")  # through a tunnel, phones come from this machine too
    for page in ("/projector", "/projector/state", "/projector/" + "0" * 32, "/projector/é"):
        assert_refused(room, phone.get(page), "projector")
    phone.set_cookie("dnnc_projector", "0" * 32)
    assert_refused(room, phone.get("/projector/state"), "projector")
    projector = room.phone()
    answer = projector.get(f"/projector/{room.signer.projector_secret(LECTURE)}")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/projector")
    assert projector.get("/projector").status_code == 200
    other = AttendanceSigner(room.store.key, clock=room.clock).projector_secret(LECTURE + 1)
    assert_refused(room, room.phone().get(f"/projector/{other}"), "projector")


def test_the_projectors_code_leads_to_the_form(room):
    """The drawn code, read by OpenCV's detector: it changes every period, and each is good."""
    projector, read = room.projector(), []
    for _ in range(3):
        page = projector.get("/projector").get_data(as_text=True)
        read.append(scanned(drawn(page)))
        assert read[-1].startswith(f"{URL}/s/")
        assert heading_of(scan(room.phone(), urlsplit(read[-1]).path)) == "Are you here?"
        assert read[-1] == scanned(drawn(projector.get("/projector/state").json["qr"]))
        room.clock.advance(PERIOD)
    assert len(set(read)) == 3


@pytest.mark.parametrize(
    "url", [URL, "https://a-rather-long-name.tunnel.example.org:65535", "http://[fd00::2]:8000"]
)
def test_codes_of_any_address_can_be_read(url):
    link = f"{url}/s/{AttendanceSigner(b'k', clock=Clock()).code(15).token}"
    assert scanned(drawn(qr_code(link), scale=6)) == link


def test_the_projector_counts_and_names_who_came(tmp_path):
    room = ClassRoom(tmp_path / "attendance.sqlite3", roster(40))
    projector = room.projector()
    for i in range(35):
        room.store.record(LECTURE, f"m{i:03}", device=f"d{i}", address="")
        room.clock.advance(1)
    room.store.mark(LECTURE, "m000", is_present=False)
    state = projector.get("/projector/state").json
    assert (state["n_present"], state["n_members"], state["n_more"]) == (34, 40, 4)
    assert state["names"] == [f"Member {i:03}" for i in range(34, 4, -1)], "the last first"
    page = projector.get("/projector").get_data(as_text=True)
    assert re.search(r'<strong id="present">34</strong> of <span id="members">40</span>', page)
    assert page.count("<li>") == 30


def test_the_projector_reloads_itself_where_scripts_are_off(room):
    page = room.projector().get("/projector").get_data(as_text=True)
    assert re.search(r'<noscript><meta http-equiv="refresh" content="5"></noscript>', page)
    room.clock.advance(PERIOD - 2)
    page = room.projector().get("/projector").get_data(as_text=True)
    assert re.search(r'content="3"></noscript>', page), "just after the code has changed"


def test_floods_are_refused_in_bounded_space(room, monkeypatch, tmp_path):
    monkeypatch.setattr(attendance_app, "BURST", 50)
    room = ClassRoom(tmp_path / "flood.sqlite3")
    flood, codes = room.phone(), []
    for i in range(200):
        codes.append(flood.get(f"/s/{i}").status_code)
    assert codes == [403] * 50 + [429] * 150
    assert len(room.refusals()) == attendance_app.LOG_BURST
    other = room.phone()
    assert send(other, scan(other, room.link()), "m001").status_code == 200
    projector = room.projector()
    assert [projector.get("/projector/state").status_code for _ in range(100)] == [200] * 100
    assert heading_of(scan(flood, room.link())) == "Are you here?", "a fresh code passes at once"
    room.clock.advance(60)
    assert heading_of(scan(flood, room.link())) == "Are you here?"


def test_a_flood_behind_a_shared_address_locks_nobody_out(room, monkeypatch, tmp_path):
    """As behind a tunnel or a router: one address for the whole class."""
    monkeypatch.setattr(attendance_app, "BURST", 50)
    room = ClassRoom(tmp_path / "shared.sqlite3")
    known, new, flood = (room.phone(address="10.0.0.1") for _ in range(3))
    page = scan(known, room.link())
    assert [flood.get("/here").status_code for _ in range(200)].count(429) == 150
    with known.get("/static/attendance.css") as style:  # else its file stays open
        assert style.status_code == 200
    with flood.get("/static/attendance.css") as style:  # else its file stays open
        assert style.status_code == 200
    assert send(known, page, "m001").status_code == 200
    assert heading_of(scan(new, room.link())) == "Are you here?"


def test_one_phone_alone_is_limited_too(room, monkeypatch):
    phone = room.phone()
    scan(phone, room.link())
    assert [phone.get("/here").status_code for _ in range(200)].count(429) > 100
    room.clock.advance(60)
    assert phone.get("/here").status_code == 200


def test_too_large_and_unknown_requests(room):
    phone = room.phone()
    ticket = ticket_of(scan(phone, room.link()))
    large = phone.post("/here", data={"ticket": ticket, "member": "m" * 5000})
    assert (large.status_code, heading_of(large.get_data(as_text=True))) == (413, REASONS["too_large"].title)
    many = phone.post("/here", data={f"field{i}": "x" for i in range(500)})
    assert many.status_code in (400, 413)
    for path in ("/nothing", "/s/", "/static/../attendance_app.py", "/static/%2e%2e/form.html", "/here/x"):
        assert phone.get(path).status_code == 404
    assert phone.get("/s/a/b").status_code == 404
    assert phone.put("/here").status_code == 405
    assert room.present() == []


def test_a_disk_that_does_not_write_is_told_to_the_phone(room):
    phone = room.phone()
    page = scan(phone, room.link())
    room.store._file.rows("PRAGMA query_only = ON")
    answer = send(phone, page, "m001")
    assert (answer.status_code, heading_of(answer.get_data(as_text=True))) == (
        503,
        "You are not recorded yet",
    )
    assert "cannot be written" in room.told[-1]
    assert room.phone().get("/s/x").status_code == 403, "a refusal that cannot be logged is still told"
    room.store._file.rows("PRAGMA query_only = OFF")
    assert send(phone, page, "m001").status_code == 200


def test_names_and_titles_are_text(tmp_path):
    """Whatever the roster holds: it is shown, and never becomes part of the page."""
    evil = "<b>Bobby</b> & 'Tables' \"{{ 7 * 191 }}\""
    people = Roster((Member("bobby", evil, "team"),), (Lecture(LECTURE, evil),), ("team",))
    room = ClassRoom(tmp_path / "attendance.sqlite3", people)
    phone, projector = room.phone(), room.projector()
    page = scan(phone, room.link())
    answer = send(phone, page, "bobby").get_data(as_text=True)
    for html in (page, answer, projector.get("/projector").get_data(as_text=True)):
        assert "<b>" not in html
        assert "1337" not in re.sub(r"<svg.*?</svg>", "", html).replace(ticket_of(page), "")
        assert evil in Reader(html).text
    assert projector.get("/projector/state").json["names"] == [evil]


def test_two_members_of_the_same_name_are_told_apart(tmp_path):
    people = Roster(
        (Member("ada", "Ada L."), Member("ada_2", "Ada L."), Member("ben", "Ben")),
        (Lecture(LECTURE, "x"),),
        (),
    )
    room = ClassRoom(tmp_path / "attendance.sqlite3", people)
    phone = room.phone()
    page = scan(phone, room.link())
    assert re.findall(r"<option value=\"\w+\">(.*?)</option>", page) == [
        "Ada L. (ada)",
        "Ada L. (ada_2)",
        "Ben",
    ]
    assert "Ada L. (ada_2)" in send(phone, page, "ada_2").get_data(as_text=True)
    assert room.present() == ["ada_2"]


class Reader(HTMLParser):
    """A page as a reader with assistive technology meets it: its tags, labels, and text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def pages_of(room):
    phone = room.phone()
    form = scan(phone, room.link())
    yield form
    yield send(phone, form, "m001").get_data(as_text=True)
    yield from (scan(room.phone(), path) for path in ("/", "/here", "/s/x", "/nothing"))
    yield room.projector().get("/projector").get_data(as_text=True)


def test_pages_are_accessible_and_load_nothing_from_elsewhere(room):
    for html in pages_of(room):
        page = Reader(html)
        assert html.startswith("<!doctype html>")
        assert page.all("html") == [{"lang": "en"}]
        assert [len(page.all(tag)) for tag in ("title", "h1", "main")] == [1, 1, 1]
        assert "width=device-width" in str(page.all("meta"))
        labels = [label["for"] for label in page.all("label")]
        assert labels == [field["id"] for field in page.all("select")]
        identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(set(identifiers)) == len(identifiers)
        for tag, attributes in page.tags:
            assert "style" not in attributes
            assert tag != "style"
            assert not [name for name in attributes if name.startswith("on")]
            if tag == "script":
                assert attributes["src"] == "/static/projector.js"
            address = attributes.get("href") or attributes.get("src") or ""
            assert address.startswith(("/", "data:,")) or not address
    assert any("role" in attributes for attributes in page.all("div")), (
        "the code has a name for a screen reader"
    )


def test_phones_need_no_script(room):
    assert not any(Reader(html).all("script") for html in list(pages_of(room))[:-1])


def test_every_answer_carries_the_security_headers(room):
    phone = room.phone()
    answers = [phone.get(path) for path in ("/", "/s/x", "/nothing", "/projector", "/static/attendance.css")]
    answers.append(phone.post("/here", data={"x": "y" * 9000}))
    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert [answer.headers["Cache-Control"] for answer in answers] == ["no-store"] * 4 + [
        "max-age=600",
        "no-store",
    ]
    for answer in answers:
        answer.close()  # else the style sheet stays open


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.1 of a colour #rrggbb."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_have_the_contrast_of_wcag_aa_in_light_and_dark():
    css = (PAGES / "static" / "attendance.css").read_text()
    themes = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    ]
    assert len(themes) == 2
    assert themes[0].keys() == themes[1].keys()
    texts = [
        ("ink", "paper"),
        ("ink", "panel"),
        ("soft", "paper"),
        ("soft", "panel"),
        ("good", "paper"),
        ("good", "panel"),
        ("bad", "panel"),
        ("accent", "paper"),
        ("on-accent", "accent"),
    ]
    for theme in themes:
        for front, back, least in [*((*pair, 4.5) for pair in texts), ("line", "paper", 3.0)]:
            bright, dark = sorted((luminance(theme[front]), luminance(theme[back])), reverse=True)
            assert (bright + 0.05) / (dark + 0.05) >= least, (front, back)


def test_every_reason_tells_what_to_do():
    for kind, reason in REASONS.items():
        assert 400 <= reason.status < 600, kind
        assert reason.title[0].isupper()
        assert not reason.title.endswith(".")
        assert reason.advice.endswith(".")
