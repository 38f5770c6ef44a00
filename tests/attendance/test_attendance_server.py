"""The attendance as it is served: a class that scans at once, hostile clients, a kill in the middle."""

import asyncio
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from attendance_class import LECTURE, Clock, heading_of, roster, roster_text, served, ticket_of

from common.attendance import app as attendance_app
from common.attendance.connections import Door
from common.attendance.refusals import REASONS
from common.attendance.store import AttendanceStore
from common.attendance.tokens import AttendanceSigner

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120  # seconds, for a machine that has much else to do


class Phone:
    """A browser of the plainest kind: one connection, one jar of cookies."""

    def __init__(self, url, *, address="127.0.0.1", cookies=""):
        parts = urlsplit(url)
        self.cookies = cookies
        self.connection = http.client.HTTPConnection(
            parts.hostname, parts.port, timeout=PATIENCE, source_address=(address, 0)
        )

    def ask(self, method, path, **fields):
        """Status and page; what an answer sets as a cookie is sent from then on."""
        headers = {"Cookie": self.cookies} if self.cookies else {}
        if fields:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self.connection.request(method, path, urlencode(fields) or None, headers)
        answer = self.connection.getresponse()
        page = answer.read().decode()
        if cookie := answer.headers["Set-Cookie"]:
            self.cookies = cookie.partition(";")[0]
        return answer.status, page

    def attend(self, link, member):
        """Scan, choose, press the button twice, and read what the page then says."""
        _, page = self.ask("GET", link)
        ticket = ticket_of(page)
        statuses = [self.ask("POST", "/here", ticket=ticket, member=member)[0] for _ in range(2)]
        return statuses, self.ask("GET", "/here")[1]


@pytest.mark.slow
def test_two_hundred_phones_at_once_none_lost_none_twice(tmp_path):
    people = roster(200)
    store, clock = AttendanceStore(tmp_path / "attendance.sqlite3"), Clock()
    store.open_lecture(LECTURE)
    link = f"/s/{AttendanceSigner(store.key, clock=clock).code(LECTURE).token}"
    told, failures, barrier = {}, [], threading.Barrier(len(people.members))
    with served(store, people, clock=clock) as url:

        def attend(member):
            try:
                phone = Phone(url)
                barrier.wait(PATIENCE)
                statuses, page = phone.attend(link, member.name)
                assert statuses == [303, 303]
                assert heading_of(page) == "You are recorded"
                told[member.name] = member.full_name in page
                phone.connection.close()
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=attend, args=(member,)) for member in people.members]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert failures == []
    assert told == {member.name: True for member in people.members}
    stored = store.presences(LECTURE)
    assert sorted(one.member for one in stored) == [member.name for member in people.members]
    assert len({one.device for one in stored}) == len(people.members)
    assert [event.kind for event in store.events()].count("recorded") == len(people.members)
    store.close()


def test_a_name_that_fifty_phones_claim_goes_to_one(tmp_path):
    store, clock = AttendanceStore(tmp_path / "attendance.sqlite3"), Clock()
    store.open_lecture(LECTURE)
    link = f"/s/{AttendanceSigner(store.key, clock=clock).code(LECTURE).token}"
    statuses, barrier = [], threading.Barrier(50)
    with served(store, roster(), clock=clock) as url:

        def claim():
            phone = Phone(url)
            _, page = phone.ask("GET", link)
            barrier.wait(PATIENCE)
            statuses.append(phone.ask("POST", "/here", ticket=ticket_of(page), member="m001")[0])
            phone.connection.close()

        threads = [threading.Thread(target=claim) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert sorted(statuses) == [303] + [409] * 49
    assert [one.member for one in store.presences()] == ["m001"]
    store.close()


def test_what_a_client_may_send_is_bounded(tmp_path):
    store = AttendanceStore(tmp_path / "attendance.sqlite3")
    store.open_lecture(LECTURE)
    with served(store, roster(), clock=Clock()) as url:
        parts = urlsplit(url)
        requests = {
            b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n": b"431",
            b"POST /here HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 100_000: b"413",
            b"POST /here HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n": b"400",
            b"\x16\x03\x01 no HTTP at all\r\n\r\n": b"400",
        }
        for request, status in requests.items():
            with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as client:
                client.sendall(request)
                answer = client.recv(4096)
            assert answer.startswith((b"HTTP/1.1 " + status, b"HTTP/1.0 " + status)), (
                request[:60],
                answer[:60],
            )
            assert b"Traceback" not in answer
        phone = Phone(url)
        token = AttendanceSigner(store.key, clock=Clock()).code(LECTURE).token
        assert phone.ask("GET", f"/s/{token}")[0] == 200, "and the next phone is served"
        assert phone.ask("POST", "/here", member="m001", ticket="x" * 5000)[0] == 413
        phone.connection.close()
    store.close()


class Channel:
    """What the door looks at."""

    def __init__(self, address, at, *, request=None, requests=()):
        self.addr, self.creation_time, self.request = (address, 1), at, request
        self.requests, self.total_outbufs_len, self.will_close = list(requests), 0, False


class Server:
    """What the door watches."""

    def __init__(self, *channels):
        self.active_channels = dict(enumerate(channels))

    def accept(self):
        return None

    def maintenance(self, now):
        pass


def test_a_new_phone_takes_the_place_of_the_connection_that_waits_longest():
    hog = [Channel("10.0.0.1", at) for at in range(6)]
    hog[0].requests = ["is being answered"]
    others = [Channel(f"10.0.0.{i}", -1) for i in range(2, 5)]
    door = Door([Server(*hog[:4]), Server(*hog[4:], *others)], most=9, per_address=100)
    door.make_room("10.0.0.9")
    assert [one.will_close for one in hog] == [False, True, False, False, False, False]
    assert not any(one.will_close for one in others), "the address that holds the most pays"
    door.make_room("10.0.0.9")
    assert sum(one.will_close for one in hog) == 1, "the first one counts as gone"


def test_an_address_has_its_share():
    hog = [Channel("10.0.0.1", at) for at in range(5)]
    door = Door([Server(*hog)], most=100, per_address=5)
    door.make_room("10.0.0.2")
    assert not any(one.will_close for one in hog)
    door.make_room("10.0.0.1")
    assert [one.will_close for one in hog] == [True, False, False, False, False]


def test_a_request_that_does_not_end_is_closed_and_a_connection_that_waits_is_not():
    now = Clock(0.0)
    slow, idle = Channel("a", 0, request=object()), Channel("b", 0)
    door = Door([Server(slow, idle)], most=10, clock=now)
    door.close_slow()
    now.advance(9)
    door.close_slow()
    assert not slow.will_close
    slow.request = object()  # the first one ended, and this is another
    door.close_slow()
    now.advance(9)
    door.close_slow()
    assert not slow.will_close
    now.advance(2)
    door.close_slow()
    assert slow.will_close
    assert not idle.will_close


@pytest.mark.slow
def test_slow_clients_keep_nobody_out(tmp_path, monkeypatch):
    """Connections that send a byte a second, as many as the server holds: others are served meanwhile."""
    monkeypatch.setattr(attendance_app, "connection_limit", lambda: 100)
    store, stop = AttendanceStore(tmp_path / "attendance.sqlite3"), threading.Event()
    store.open_lecture(LECTURE)
    with served(store, roster(), clock=Clock()) as url:
        parts = urlsplit(url)

        def trickle():
            clients = []
            while not stop.is_set():
                while len(clients) < 150:
                    clients.append(socket.create_connection((parts.hostname, parts.port), timeout=5))
                for client in [*clients]:
                    try:
                        client.sendall(b"G")
                    except OSError:
                        clients.remove(client)
                stop.wait(1)
            for client in clients:
                client.close()

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            time.sleep(3)
            token = AttendanceSigner(store.key, clock=Clock()).code(LECTURE).token
            for number in range(6):
                began = time.monotonic()
                phone = Phone(url, address=f"127.0.0.{10 + number}")
                assert phone.attend(f"/s/{token}", f"m{number:03}")[0] == [303, 303]
                assert time.monotonic() - began < 10
                phone.connection.close()
        finally:
            stop.set()
            thread.join(PATIENCE)
    store.close()


@pytest.mark.slow
def test_three_hundred_phones_with_two_connections_each_are_all_recorded(tmp_path):
    """Phones open a spare connection; the server is a process of its own, as in a lecture."""
    (tmp_path / "team.toml").write_text(roster_text(roster(300)))
    process, link = start(tmp_path, "--port", "0")
    parts = urlsplit(link)
    store = AttendanceStore(tmp_path / "attendance.sqlite3")
    signer = AttendanceSigner(store.key, clock=time.time)
    told, waits = {}, []

    async def ask(reader, writer, request):
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(re.search(r"Content-Length: (\d+)", head)[1])
        return head, (await reader.readexactly(length)).decode()

    async def attend(name):
        began = time.monotonic()
        spare = await asyncio.open_connection(parts.hostname, parts.port)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        get = f"GET /s/{signer.code(LECTURE).token} HTTP/1.1\r\nHost: x\r\n\r\n"
        head, page = await ask(reader, writer, get.encode())
        cookie = re.search(r"Set-Cookie: ([^;]+)", head)[1]
        style = f"GET /static/attendance.css HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n"
        assert "200" in (await ask(*spare, style.encode()))[0]
        form = urlencode({"ticket": ticket_of(page), "member": name})
        post = (
            f"POST /here HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nContent-Length: {len(form)}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}"
        )
        head, _ = await ask(reader, writer, post.encode())
        told[name] = head.split()[1]
        waits.append(time.monotonic() - began)
        await asyncio.sleep(3)  # a phone keeps its connections for a while
        for one in (spare[1], writer):
            one.close()

    async def attend_all():
        await asyncio.gather(*(attend(one.name) for one in roster(300).members))

    try:
        began = time.monotonic()
        asyncio.run(asyncio.wait_for(attend_all(), PATIENCE))
        print(f"{time.monotonic() - began:.1f} s in all, the slowest phone {max(waits):.1f} s")
        assert told == {one.name: "303" for one in roster(300).members}
        assert len(store.presences(LECTURE)) == 300
        assert [event for event in store.events() if event.kind.startswith("refused")] == []
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        store.close()


def start(folder, *options):
    """`dnnc attendance open` as an instructor starts it; gives the process and its projector's link."""
    # A shell's background job ignores Ctrl-C, and so would what it starts: the server is to hear it.
    hear = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    main = f"{hear}\nfrom common.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        main,
        "attendance",
        "open",
        str(LECTURE),
        "--host",
        "127.0.0.1",
        "--no-browser",
        "--store",
        str(folder / "attendance.sqlite3"),
        "--roster",
        str(folder / "team.toml"),
        *options,
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    while not lines or "ends it" not in lines[-1]:
        line = process.stdout.readline()
        assert line, f"did not start: {lines}"
        lines.append(line)
    return process, re.search(r"http://\S+/projector/\w+", "".join(lines))[0]


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_with_nothing_lost(tmp_path):
    (tmp_path / "team.toml").write_text(roster_text(roster(60)))
    process, link = start(tmp_path, "--port", "0")
    url = link.partition("/projector")[0]
    store = AttendanceStore(tmp_path / "attendance.sqlite3")
    signer = AttendanceSigner(store.key, clock=time.time)
    told, cookies, lock = [], {}, threading.Lock()
    names = iter(member.name for member in roster(60).members)

    def attend_until_killed():
        while True:
            with lock:
                name = next(names, None)
            phone = Phone(url)
            try:
                _, page = phone.ask("GET", f"/s/{signer.code(LECTURE).token}")
                status, _ = phone.ask("POST", "/here", ticket=ticket_of(page), member=name)
            except (OSError, http.client.HTTPException):
                return
            assert status == 303
            with lock:
                told.append(name)
                cookies[name] = phone.cookies
            if len(told) == 15:
                os.kill(process.pid, signal.SIGKILL)
            phone.connection.close()

    threads = [threading.Thread(target=attend_until_killed) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert process.wait(PATIENCE) == -signal.SIGKILL
    process.stdout.close()
    assert len(told) >= 15
    stored = {one.member for one in store.presences()}
    assert stored >= set(told)
    assert len(stored) <= len(told) + 4, "at most what was on its way"

    again, same_link = start(tmp_path, "--port", str(urlsplit(url).port))
    try:
        assert same_link == link, "the projector's page goes on where it was"
        phone = Phone(url, cookies=cookies[told[0]])
        assert heading_of(phone.ask("GET", "/here")[1]) == "You are recorded", (
            "the same key: cookies are known"
        )
        new = Phone(url)
        _, page = new.ask("GET", f"/s/{signer.code(LECTURE).token}")
        assert new.ask("POST", "/here", ticket=ticket_of(page), member=told[0])[0] == 409
        free = next(one.name for one in roster(60).members if one.name not in stored)
        assert new.ask("POST", "/here", ticket=ticket_of(page), member=free)[0] == 303
        close = [sys.executable, "-m", "common", "attendance", "close", str(LECTURE)]
        files = ["--store", tmp_path / "attendance.sqlite3", "--roster", tmp_path / "team.toml"]
        done = subprocess.run([*close, *files], cwd=ROOT, capture_output=True, text=True, check=True)
        assert f"{len(stored) + 1} of 60 present" in done.stdout
        late = Phone(url)
        status, page = late.ask("GET", f"/s/{signer.code(LECTURE).token}")
        assert (status, heading_of(page)) == (403, REASONS["closed"].title)
        again.send_signal(signal.SIGINT)
        assert again.wait(PATIENCE) == 0
        assert again.stdout.read().endswith("Paused.\n")
    finally:
        again.kill()
        again.wait()
        again.stdout.close()
        store.close()
