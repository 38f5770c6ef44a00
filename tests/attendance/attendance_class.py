"""A class for the attendance's tests: a clock that stands until it is moved, a roster, and phones."""

import re
import threading
from contextlib import contextmanager
from html import unescape

import cv2
import numpy as np

from common.attendance.app import make_app, make_server
from common.attendance.network import listening_sockets
from common.members.roster import Lecture, Member, Roster

LECTURE = 3
URL = "http://192.168.1.20:8000"


class Clock:
    """Seconds since 1970 that pass only when told."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def roster(n: int = 6) -> Roster:
    """Members ``m000``, ``m001``, ... in two teams, the last one in none; lectures 1 to 4."""
    members = tuple(
        Member(f"m{i:03}", f"Member {i:03}", "even odd".split()[i % 2] if i < n - 1 else None)
        for i in range(n)
    )
    lectures = tuple(Lecture(number, f"Lecture on {number}") for number in range(1, 5))
    return Roster(members, lectures, ("even", "odd"))


def roster_text(people: Roster) -> str:
    """The roster as it stands in a file."""
    text = "".join(
        f'[[members]]\nname = "{one.name}"\nfull_name = "{one.full_name}"\n' for one in people.members
    )
    return text + "".join(
        f'[[lectures]]\nnumber = {one.number}\ntitle = "{one.title}"\n' for one in people.lectures
    )


def ticket_of(page: str) -> str:
    """What the form carries."""
    return unescape(re.search(r'name="ticket" value="([^"]+)"', page)[1])


def heading_of(page: str) -> str:
    """The text of the page's heading."""
    return unescape(re.search(r"<h1>(.*?)</h1>", page, re.DOTALL)[1])


@contextmanager
def served(store, people: Roster, *, clock, lecture: int = LECTURE):
    """Serve a lecture on this machine, on a free port; gives the address."""
    sockets = listening_sockets("127.0.0.1", 0)
    url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    server = make_server(make_app(store, people, lecture, url, clock=clock, tell=lambda line: None), sockets)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield url
    finally:
        server.task_dispatcher.shutdown()  # answers under way are finished first
        server.close()
        thread.join(2)  # a browser may keep its connection: the thread ends with the process


def drawn(svg: str, *, scale: int = 8) -> np.ndarray:
    """A QR code's SVG as pixels, by the few commands that its path is made of."""
    side = int(re.search(r'viewBox="0 0 (\d+) \1"', svg)[1])
    image = np.full((side, side), 255, np.uint8)
    x = y = 0.0
    for command, numbers in re.findall(
        r"([Mmh])([-\d. ]+)", re.search(r'stroke="#000(?:000)?" d="([^"]+)"', svg)[1]
    ):
        values = [float(number) for number in re.findall(r"-?\d*\.?\d+", numbers)]
        if command == "M":
            x, y = values
        elif command == "m":
            x, y = x + values[0], y + values[1]
        else:
            image[int(y), int(x) : int(x + values[0])] = 0
            x += values[0]
    return np.kron(image, np.ones((scale, scale), np.uint8))


def scanned(image: np.ndarray) -> str:
    """What a camera reads in a picture; an empty text if it finds no code.

    OpenCV's older detector, `cv2.QRCodeDetector`, fails on one in twenty flawless codes, whatever their size.
    """
    return cv2.QRCodeDetectorAruco().detectAndDecode(image)[0]
