"""What is signed for the attendance, how many requests pass, and which address is shown."""

import base64
import hashlib
import hmac
import socket

import pytest
from attendance_class import Clock

from common.attendance import network as attendance_addresses
from common.attendance.app import RateLimit
from common.attendance.network import Interface, lan_addresses, listening_sockets, ranked
from common.attendance.refusals import Refusal
from common.attendance.tokens import GRACE, PERIOD, TICKET_SECONDS, AttendanceSigner, new_device

KEY = b"k" * 32


@pytest.fixture
def clock():
    return Clock(1_800_000_000.0)  # a multiple of the period: a code begins here


@pytest.fixture
def signer(clock):
    return AttendanceSigner(KEY, clock=clock)


def refused(call, *arguments) -> str:
    with pytest.raises(Refusal) as caught:
        call(*arguments)
    return caught.value.kind


def test_code_is_what_its_formula_says(signer, clock):
    """lecture . start of the period . HMAC-SHA-256 of both, under a key derived from the salt."""
    clock.advance(7)
    stamp = base64.urlsafe_b64encode((1_800_000_000).to_bytes(4, "big")).rstrip(b"=")
    value = b"3." + stamp
    derived = hmac.new(KEY, b"attendance code", hashlib.sha256).digest()
    signature = base64.urlsafe_b64encode(hmac.new(derived, value, hashlib.sha256).digest()).rstrip(b"=")
    code = signer.code(3)
    assert code.token == (value + b"." + signature).decode()
    assert code.seconds_left == PERIOD - 7


def test_code_changes_once_a_period(signer, clock):
    tokens = []
    for _ in range(4 * PERIOD):
        tokens.append(signer.code(3).token)
        clock.advance(1)
    assert [tokens.count(token) for token in dict.fromkeys(tokens)] == [PERIOD] * 4
    assert 20 <= PERIOD <= 30


@pytest.mark.parametrize(
    ("wait", "is_fresh"), [(0, True), (PERIOD + GRACE, True), (PERIOD + GRACE + 1, False)]
)
def test_code_lasts_its_period_and_the_grace(signer, clock, wait, is_fresh):
    token = signer.code(3).token
    clock.advance(wait)
    if is_fresh:
        signer.check_code(token, 3)
    else:
        assert refused(signer.check_code, token, 3) == "stale"


def test_a_clock_that_steps_back_by_seconds_refuses_nobody(signer, clock):
    """A laptop's clock is set right by seconds now and then; forms that are open go on."""
    token, ticket = signer.code(3).token, signer.ticket(3, "device")
    clock.advance(-8)
    signer.check_code(token, 3)
    signer.check_ticket(ticket, 3, "device")


def test_code_from_the_future_is_refused(signer, clock):
    token, ticket = signer.code(3).token, signer.ticket(3, "device")
    clock.advance(-60)
    assert refused(signer.check_code, token, 3) == "stale"
    assert refused(signer.check_ticket, ticket, 3, "device") == "slow"


def test_code_of_another_lecture_is_refused(signer):
    assert refused(signer.check_code, signer.code(4).token, 3) == "other_lecture"


def test_no_changed_character_passes(signer):
    token = signer.code(3).token
    for place, old in enumerate(token):
        for new in "3.aZ" if place < 10 else "aZ":
            changed = token[:place] + new + token[place + 1 :]
            if old == new or base64_equal(changed, token):
                continue
            assert refused(signer.check_code, changed, 3) == "forged", changed


def base64_equal(first: str, second: str) -> bool:
    """The last character of a signature has spare bits: another spelling of the same bytes is no forgery."""
    decode = base64.urlsafe_b64decode
    heads = first.rpartition(".")[0], second.rpartition(".")[0]
    tails = first.rpartition(".")[2], second.rpartition(".")[2]
    return heads[0] == heads[1] and decode(tails[0] + "==") == decode(tails[1] + "==")


@pytest.mark.parametrize(
    "token", ["", ".", "3", "3..", "3.aaaa.", "é.é.é", "\0", "3." + "a" * 300, "..." * 50, "3.____________.x"]
)
def test_nonsense_is_forged(signer, token):
    assert refused(signer.check_code, token, 3) == "forged"


def test_another_key_is_another_class(clock):
    token = AttendanceSigner(b"x" * 32, clock=clock).code(3).token
    assert refused(AttendanceSigner(KEY, clock=clock).check_code, token, 3) == "forged"


def test_what_is_signed_for_one_purpose_passes_for_no_other(signer):
    device = "3"  # as hostile as can be: its cookie holds the same text as a code
    code, ticket, cookie = signer.code(3).token, signer.ticket(3, device), signer.device_cookie(device)
    assert refused(signer.check_code, ticket, 3) == "forged"
    assert refused(signer.check_code, cookie, 3) == "forged"
    assert refused(signer.check_ticket, code, 3, device) == "forged"
    assert signer.device_of(code) is None
    assert signer.device_of(cookie) == device


def test_ticket_is_of_one_device_one_lecture_and_a_few_minutes(signer, clock):
    ticket = signer.ticket(3, "mine")
    clock.advance(TICKET_SECONDS)
    signer.check_ticket(ticket, 3, "mine")
    assert refused(signer.check_ticket, ticket, 3, "yours") == "forged"
    assert refused(signer.check_ticket, ticket, 4, "mine") == "forged"
    clock.advance(1)
    assert refused(signer.check_ticket, ticket, 3, "mine") == "slow"


def test_forged_or_missing_cookies_are_no_device(signer):
    cookie = signer.device_cookie(new_device())
    for forged in (None, "", "x", cookie[:-5] + "AAAAA", "y" + cookie, cookie * 9):
        assert signer.device_of(forged) is None
    assert len({new_device() for _ in range(1000)}) == 1000


def test_projector_secret_and_marks_depend_on_the_key(signer, clock):
    other = AttendanceSigner(b"x" * 32, clock=clock)
    assert len(signer.projector_secret(3)) == 32
    assert len({signer.projector_secret(3), signer.projector_secret(4), other.projector_secret(3)}) == 3
    assert (
        signer.address_mark("10.0.0.7") == signer.address_mark("10.0.0.7") != other.address_mark("10.0.0.7")
    )
    assert "10.0.0.7" not in signer.address_mark("10.0.0.7")


def test_rate_limit_counts_each_address_and_gives_back():
    clock = Clock(0.0)
    limit = RateLimit(3, 0.5, clock=clock)
    assert [limit.allows("10.0.0.7") for _ in range(4)] == [True, True, True, False]
    assert limit.allows("10.0.0.8")
    clock.advance(2)
    assert [limit.allows("10.0.0.7") for _ in range(2)] == [True, False]
    clock.advance(1000)  # never more than the burst
    assert [limit.allows("10.0.0.7") for _ in range(4)] == [True, True, True, False]


def test_rate_limit_takes_one_ipv6_network_for_one_address():
    limit = RateLimit(2, 0.0, clock=Clock())
    assert [limit.allows(f"2001:db8::{i:x}") for i in range(3)] == [True, True, False]
    assert limit.allows("2001:db8:0:1::1")
    assert [limit.allows(one) for one in ("::ffff:10.0.0.7", "10.0.0.7", "::ffff:10.0.0.7")] == [
        True,
        True,
        False,
    ]


def test_rate_limit_has_bounded_memory():
    limit = RateLimit(3, 0.1, clock=Clock(), max_addresses=100)
    for i in range(5000):
        assert limit.allows(f"10.{i // 65536}.{i // 256 % 256}.{i % 256}")
    limit.allows("no address at all" * 1000)
    assert len(limit) == 100


def test_the_address_shown_is_that_of_the_room():
    found = [
        Interface("lo", "127.0.0.1"),
        Interface("docker0", "172.17.0.1"),
        Interface("tun0", "10.8.0.2"),
        Interface("eth1", "169.254.3.4"),
        Interface("eth0", "131.220.5.6"),
        Interface("wlan0", "192.168.1.20"),
    ]
    assert ranked(found, default="10.8.0.2")[:2] == ["192.168.1.20", "131.220.5.6"]  # a VPN leads elsewhere
    assert ranked(found, default="131.220.5.6")[0] == "131.220.5.6"
    assert set(ranked(found, default=None)) == {"172.17.0.1", "10.8.0.2", "131.220.5.6", "192.168.1.20"}
    assert ranked(found[:1], default="127.0.0.1") == []


def test_this_machines_addresses_are_addresses():
    for address in lan_addresses():
        socket.inet_aton(address)
        assert not address.startswith("127.")


def test_a_network_that_is_off_is_not_shown(monkeypatch):
    state = type("State", (), {"isup": False})()
    monkeypatch.setattr(attendance_addresses.psutil, "net_if_stats", lambda: {"wlan0": state})
    assert lan_addresses() == []


def test_sockets_stand_at_the_address_and_at_home():
    sockets = listening_sockets("127.0.0.2", 0)
    try:
        (first, port), (second, same) = (one.getsockname() for one in sockets)
        assert (first, second, port) == ("127.0.0.2", "127.0.0.1", same)
        with pytest.raises(OSError, match="open already, in another terminal"):
            listening_sockets("127.0.0.1", port)
    finally:
        for one in sockets:
            one.close()
    with pytest.raises(OSError, match="not an address of this machine"):
        listening_sockets("203.0.113.77", 0)
    with pytest.raises(OSError, match="is unknown: give an address"):
        listening_sockets("no such host.invalid", 0)
