"""The attendance's pages: one for the projector, a form for phones, and a page for every refusal.

======================= ==========================================================================
``/s/<code>``           what the QR code leads to: the form, or the reason why not
``/here``               the form is sent here; afterwards it says who is recorded
``/projector/<secret>`` the link of the terminal: leaves a cookie and leads to ``/projector``,
                        so that the browser's address line on the wall shows no secret
``/projector``          code, counter and names; ``/projector/state`` the same for its script
======================= ==========================================================================

No page needs a script, none loads anything from elsewhere.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import socket
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable

import segno
import waitress
from flask import Flask, Response, g, make_response, redirect, render_template, request
from markupsafe import Markup
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from common.attendance.connections import Door, connection_limit
from common.attendance.refusals import Refusal
from common.attendance.store import AttendanceStore, Presence, StoreError
from common.attendance.tokens import DEVICE_DAYS, PERIOD, AttendanceSigner, new_device
from common.members.roster import Roster

# ----------------------------------------------------------------------------------------------------
# How many requests an address may make, in bounded memory.


class RateLimit:
    """A **token bucket** of permits for each address: `burst` at once, then `per_second`.

    Parameters
    ----------
    burst : int
        Permits of an address that has been quiet: so many requests pass at once.
    per_second : float
        How many permits come back per second.
    clock : callable
        Seconds, from any start.
    max_addresses : int
        How many addresses are remembered; the one that has been quiet for longest is forgotten first.

    Examples
    --------
    >>> limit = RateLimit(2, 1.0, clock=lambda: 0.0)
    >>> [limit.allows("10.0.0.7") for _ in range(3)], limit.allows("10.0.0.8")
    ([True, True, False], True)
    """

    def __init__(
        self, burst: int, per_second: float, *, clock: Callable[[], float], max_addresses: int = 4096
    ) -> None:
        self._burst, self._per_second, self._clock = burst, per_second, clock
        self._max_addresses = max_addresses
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def allows(self, address: str) -> bool:
        """Whether the address may make one more request; if so, a permit is spent."""
        network = _network(address)
        with self._lock:
            now = self._clock()
            permits, before = self._buckets.pop(network, (float(self._burst), now))
            permits = min(float(self._burst), permits + max(0.0, now - before) * self._per_second)
            allowed = permits >= 1
            self._buckets[network] = (permits - allowed, now)
            if len(self._buckets) > self._max_addresses:
                self._buckets.popitem(last=False)
            return allowed

    def __len__(self) -> int:
        return len(self._buckets)


def _network(address: str) -> str:
    """An IPv4 address itself; of an IPv6 address its /64 network, for one machine may use all of that."""
    try:
        parsed = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return address[:64]
    if parsed.version == 4:
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))


MAX_FORM_BYTES = 4096
MAX_NAMES = 30  # on the projector: the last that came
BURST, PER_SECOND = 1500, 30.0  # requests of an address: a class of 300 behind one router passes
DEVICE_BURST, DEVICE_PER_SECOND = 60, 1.0  # of a phone that has our cookie
LOG_BURST, LOG_PER_SECOND = 30, 0.5  # refusals of an address that are logged

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def make_app(
    store: AttendanceStore,
    roster: Roster,
    lecture: int,
    url: str,
    *,
    clock: Callable[[], float] = time.time,
    tell: Callable[[str], None] = print,
    late_after: float | None = None,
) -> Flask:
    """The pages of one lecture's attendance as a WSGI application.

    Parameters
    ----------
    store : AttendanceStore
    roster : Roster
    lecture : int
        A number of the roster's schedule.
    url : str
        The address at which phones find the pages, without a slash at the end.
    clock : callable
        Seconds since 1970.
    tell : callable
        Called with a line for the terminal whenever a phone is recorded or refused.
    late_after : float, optional
        Whoever scans more than so many minutes after the opening is late; by default nobody is.

    Returns
    -------
    flask.Flask
    """
    title = next(one.title for one in roster.lectures if one.number == lecture)
    names = _names(roster)
    signer = AttendanceSigner(store.key, clock=clock)
    secret = signer.projector_secret(lecture)
    # a limit for each of three kinds of requests, so that a flood of one kind does not block the others
    of_devices = RateLimit(DEVICE_BURST, DEVICE_PER_SECOND, clock=clock)
    fresh_scans = RateLimit(BURST, PER_SECOND, clock=clock)
    others = RateLimit(BURST, PER_SECOND, clock=clock)
    logged = RateLimit(LOG_BURST, LOG_PER_SECOND, clock=clock)

    app = Flask(__name__, template_folder="pages", static_folder="pages/static")
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_FORM_BYTES, MAX_FORM_MEMORY_SIZE=MAX_FORM_BYTES, MAX_FORM_PARTS=8
    )
    app.jinja_env.globals.update(lecture=lecture, title=title)
    app.jinja_env.filters["clock_time"] = lambda at: time.strftime("%H:%M", time.localtime(at))

    def address() -> str:
        return request.remote_addr or "unknown"

    def is_projector() -> bool:
        return hmac.compare_digest(request.cookies.get("dnnc_projector", "").encode(), secret.encode())

    def keep_cookie(response: Response, name: str, value: str, days: float) -> None:
        response.set_cookie(
            name,
            value,
            max_age=int(days * 86_400),
            httponly=True,
            samesite="Lax",
            secure=url.startswith("https:"),
        )

    def recorded(presence: Presence | None) -> str:
        name = None if presence is None else names.get(presence.member, presence.member)
        late = presence is not None and store.remarks().get((lecture, presence.member)) == "late"
        return render_template("recorded.html", presence=presence, name=name, late=late)

    @app.before_request
    def limit_requests() -> None:
        g.device = signer.device_of(request.cookies.get("dnnc_device"))
        if request.endpoint == "static" or is_projector():
            return
        if g.device is not None:
            is_allowed = of_devices.allows(g.device)
        elif request.endpoint == "scan" and has_fresh_code():
            is_allowed = fresh_scans.allows(address())
        else:
            is_allowed = others.allows(address())
        if not is_allowed:
            raise Refusal("too_many")

    def has_fresh_code() -> bool:
        try:
            signer.check_code(request.view_args["code"], lecture)
        except Refusal:
            return False
        return True

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(_HEADERS)
        is_static = request.endpoint == "static" and response.status_code == 200
        response.headers["Cache-Control"] = "max-age=600" if is_static else "no-store"
        return response

    @app.get("/")
    def start() -> str:
        return render_template("start.html")

    @app.get("/s/<code>")
    def scan(code: str) -> Response | str:
        presence = None if g.device is None else store.presence_of_device(lecture, g.device)
        if presence is not None:
            return recorded(presence)
        signer.check_code(code, lecture)
        opening = store.opening(lecture)
        if opening is None or opening.closed_at is not None:
            raise Refusal("closed", "scanned")
        device = g.device or new_device()
        remembered = store.last_member(device)
        response = make_response(
            render_template(
                "form.html",
                ticket=signer.ticket(lecture, device),
                groups=_groups(roster, names),
                remembered=remembered if remembered in names else None,
            )
        )
        keep_cookie(response, "dnnc_device", signer.device_cookie(device), DEVICE_DAYS)
        return response

    @app.post("/here")
    def record() -> Response:
        if g.device is None:
            raise Refusal("no_cookie")
        signer.check_ticket(request.form.get("ticket", ""), lecture, g.device)
        member = request.form.get("member", "")
        if member not in names:
            raise Refusal("unknown_name", f"asked for {member[:80]}")
        known = store.presence_of_device(lecture, g.device)
        opening = store.opening(lecture)
        is_late = late_after is not None and opening and clock() > opening.opened_at + 60 * late_after
        mark = signer.address_mark(address())
        store.record(lecture, member, device=g.device, address=mark, is_late=bool(is_late))
        if known is None:
            tell(f"{_time_of(clock())}  recorded  {names[member]}")
        return redirect("/here", 303)

    @app.get("/here")
    def here() -> str:
        return recorded(None if g.device is None else store.presence_of_device(lecture, g.device))

    @app.get("/projector/<given>")
    def enter_projector(given: str) -> Response:
        if not hmac.compare_digest(given.encode(), secret.encode()):
            raise Refusal("projector", "a wrong link")
        response = redirect("/projector", 303)
        keep_cookie(response, "dnnc_projector", secret, 1)
        return response

    def projector_state() -> dict:
        if not is_projector():
            raise Refusal("projector", "no link")
        code, opening = signer.code(lecture), store.opening(lecture)
        present = [one for one in store.presences(lecture) if one.is_present][::-1]
        is_open = opening is not None and opening.closed_at is None
        return {
            "is_open": is_open,
            "seconds_left": round(code.seconds_left, 2),
            "n_present": len(present),
            "qr": qr_code(f"{url}/s/{code.token}") if is_open else "",
            "n_members": len(names),
            "names": [names.get(one.member, one.member) for one in present[:MAX_NAMES]],
            "n_more": max(0, len(present) - MAX_NAMES),
        }

    @app.get("/projector")
    def projector() -> str:
        state = projector_state()
        return render_template(
            "projector.html", **{**state, "qr": Markup(state["qr"])}, url=url, period=PERIOD
        )

    @app.get("/projector/state")
    def state() -> dict:
        return projector_state()

    @app.errorhandler(Refusal)
    def refuse(refusal: Refusal) -> tuple[str, int]:
        if logged.allows(address()):
            tell(f"{_time_of(clock())}  refused   {refusal.reason.title.lower()} ({address()})")
            try:
                mark = signer.address_mark(address())
                store.log_refusal(lecture, refusal, device=g.get("device"), address=mark)
            except StoreError as error:
                tell(str(error))  # the phone gets its page all the same
        return render_template("refused.html", reason=refusal.reason), refusal.reason.status

    @app.errorhandler(StoreError)
    def not_stored(error: StoreError) -> tuple[str, int]:
        tell(str(error))
        reason = Refusal("not_stored").reason
        return render_template("refused.html", reason=reason), reason.status

    @app.errorhandler(HTTPException)
    def no_page(error: HTTPException) -> tuple[str, int]:
        kind = "too_large" if isinstance(error, RequestEntityTooLarge) else "no_page"
        return render_template("refused.html", reason=Refusal(kind).reason), error.code or 404

    return app


def qr_code(text: str) -> str:
    """A QR code as an SVG element: black on white with its quiet zone, whatever the page's colours."""
    code = segno.make(text, error="m", micro=False)
    return code.svg_inline(border=4, omitsize=True, light="#ffffff", dark="#000000", svgclass="qr")


def _names(roster: Roster) -> dict[str, str]:
    """What members are called on the pages: the full name, with the folder's name where two have the same."""
    count = Counter(member.full_name for member in roster.members)
    return {
        one.name: one.full_name if count[one.full_name] == 1 else f"{one.full_name} ({one.name})"
        for one in roster.members
    }


def _groups(roster: Roster, names: dict[str, str]) -> list[tuple[str | None, list[tuple[str, str]]]]:
    """Names for the form: (team, [(folder's name, shown name), ...]); members without a team last."""
    teams = [*roster.teams, None]
    found = [(team, [one for one in roster.members if one.team == team]) for team in teams]
    return [
        (team, sorted(((one.name, names[one.name]) for one in members), key=lambda pair: pair[1].casefold()))
        for team, members in found
        if members
    ]


def _time_of(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


# ----------------------------------------------------------------------------------------------------
# Serving the attendance's pages by waitress: a few threads, and bounds on all that a phone may send.

THREADS = 8


def make_server(app: Flask, sockets: list[socket.socket]):
    """A server on these sockets; it starts with `run()`.

    What a client may send is bounded: 8 kB of headers, 8 kB of body, 15 seconds of silence, 10 seconds for
    one request, and a share of the connections (`common.attendance.connections`).

    Parameters
    ----------
    app : flask.Flask
    sockets : list of socket
        Already bound (`common.attendance.network.listening_sockets`).

    Returns
    -------
    waitress server
        ``run()`` serves until an interrupt, ``close()`` lets go of the sockets.
    """
    # A class that scans at once is nothing to warn of.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    most = connection_limit()
    server = waitress.create_server(
        app,
        sockets=sockets,
        threads=THREADS,
        ident=None,
        connection_limit=most + 100,  # the door closes others before this is reached
        backlog=512,
        channel_timeout=15,
        cleanup_interval=2,
        max_request_header_size=8192,
        max_request_body_size=8192,
        asyncore_use_poll=True,
        clear_untrusted_proxy_headers=True,
    )
    several = [one for one in getattr(server, "map", {}).values() if hasattr(one, "active_channels")]
    Door(several or [server], most=most)
    return server
