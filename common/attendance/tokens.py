"""Codes, tickets and cookies of the attendance: what is signed, with what, and for how long.

=========== =============================== ============================ ==================================
what        holds                           valid                        proves
=========== =============================== ============================ ==================================
code        lecture, start of its period    25 s on the projector, and   who opens it has seen the projector
                                            10 s more for slow phones    within the last 35 s
ticket      lecture, device                 5 minutes after the scan     this device opened a fresh code
device      a random number                 200 days, as a cookie        the same browser as before
projector   lecture                         while the key is the same    who opens it has seen the terminal
=========== =============================== ============================ ==================================

All are signed with HMAC-SHA-256 (codes, tickets and devices by itsdangerous), under one key, but each with a
salt of its own, so that none passes for another.

A code cannot prove that its reader sits in the room. A friend who sends a photograph of a fresh code at once
lets somebody elsewhere in; a phone with two browsers, or with its cookies deleted, is two devices. The report
names what looks like it, and counting heads settles it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from itsdangerous import BadSignature, Signer, TimestampSigner

from common.attendance.refusals import Refusal

PERIOD = 25  # seconds that a code is on the projector
GRACE = 10  # seconds that it stays valid after that
TICKET_SECONDS = 300
DEVICE_DAYS = 200
CLOCK_STEP = 15  # seconds that this machine's clock may be set back between signing and checking
MAX_SIGNED = 200  # characters; ours have fewer than 110


@dataclass(frozen=True)
class Code:
    """What the projector shows: the token, and the seconds until the next one."""

    token: str
    seconds_left: float


class _ClockSigner(TimestampSigner):
    """A timestamp signer that reads the clock it is given."""

    def __init__(self, key: bytes, salt: str, clock: Callable[[], float]) -> None:
        super().__init__(key, salt=salt, key_derivation="hmac", digest_method=hashlib.sha256)
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(self._clock())


class AttendanceSigner:
    """Signs and checks what travels between the projector, the phones and this machine.

    Parameters
    ----------
    key : bytes
        The secret; the same after a restart, so that nothing signed is lost.
    clock : callable
        Seconds since 1970, as `time.time`.

    Examples
    --------
    >>> signer = AttendanceSigner(b"secret", clock=lambda: 1_000_010.0)
    >>> code = signer.code(3)
    >>> code.seconds_left
    15.0
    >>> signer.check_code(code.token, 3)
    >>> signer.check_code(code.token, 4)
    Traceback (most recent call last):
    common.attendance.refusals.Refusal: other_lecture
    """

    def __init__(self, key: bytes, *, clock: Callable[[], float]) -> None:
        self._key, self._clock = key, clock
        self._tickets = _ClockSigner(key, "attendance ticket", clock)
        self._codes = _ClockSigner(key, "attendance code", clock)
        self._devices = Signer(
            key, salt="attendance device", key_derivation="hmac", digest_method=hashlib.sha256
        )

    def code(self, lecture: int) -> Code:
        """The code of this moment: the same for everyone who asks within one period."""
        now = self._clock()
        start = int(now) // PERIOD * PERIOD
        # signed with the period's start, not with this moment: so everyone gets the same code within a period
        signer = _ClockSigner(self._key, "attendance code", lambda: start)
        return Code(signer.sign(str(lecture)).decode(), start + PERIOD - now)

    def check_code(self, token: str, lecture: int) -> None:
        """Raise `Refusal` for a code that is forged, stale, or another lecture's."""
        signed_lecture = _unsigned(self._codes, token, PERIOD + GRACE, expired="stale")
        if signed_lecture != str(lecture):
            raise Refusal("other_lecture", f"a code of lecture {signed_lecture}")

    def ticket(self, lecture: int, device: str) -> str:
        """What the form carries, as proof that its device opened a fresh code just now."""
        return self._tickets.sign(f"{lecture} {device}").decode()

    def check_ticket(self, ticket: str, lecture: int, device: str) -> None:
        """Raise `Refusal` for a ticket that is forged, too old, another lecture's or another device's."""
        signed = _unsigned(self._tickets, ticket, TICKET_SECONDS, expired="slow")
        if signed != f"{lecture} {device}":
            raise Refusal("forged", "a ticket of another device or lecture")

    def device_cookie(self, device: str) -> str:
        """A device's number, signed."""
        return self._devices.sign(device).decode()

    def device_of(self, cookie: str | None) -> str | None:
        """The device's number from a cookie; None without a cookie, or for a forged one."""
        if not cookie or len(cookie) > MAX_SIGNED:
            return None
        try:
            return self._devices.unsign(cookie).decode()
        except BadSignature:
            return None

    def projector_secret(self, lecture: int) -> str:
        """The last part of the projector's address."""
        return self._digest("projector", str(lecture))[:32]

    def address_mark(self, address: str) -> str:
        """A fingerprint of a network address: equal addresses have equal ones, and nothing else is stored."""
        return self._digest("address", address)[:12]

    def _digest(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"attendance {purpose}: {text}".encode(), "sha256").hexdigest()


def new_device() -> str:
    """A number for a browser that has none."""
    return secrets.token_urlsafe(16)


def _unsigned(signer: _ClockSigner, signed: str, max_age: int, *, expired: str) -> str:
    if len(signed) > MAX_SIGNED:
        raise Refusal("forged", f"{len(signed)} characters")
    try:
        text, signed_at = signer.unsign(signed, return_timestamp=True)
        age = signer.get_timestamp() - int(signed_at.timestamp())
    except (BadSignature, UnicodeError, ValueError, OverflowError) as error:
        raise Refusal("forged", type(error).__name__) from error
    if not -CLOCK_STEP <= age <= max_age:
        raise Refusal(expired, f"signed {age} seconds ago, at most {max_age}")
    return text.decode()
