"""Who may hold a connection to the attendance's server: a class at once, and no single machine for all of it.

By itself, waitress stops accepting when its connections are used up, and lets a client that sends one byte
per second go on (a **Slowloris** attack). Here a new phone is always let in, and the oldest connection
without a whole request is closed: one of the same address, if that has its share, else one of the address
that holds the most. Phones open a spare connection or two; losing one costs them nothing.
"""

from __future__ import annotations

import select
import time
from collections import Counter
from collections.abc import Callable, Iterable

MAX_CONNECTIONS = 2000
PER_ADDRESS = 700  # 300 phones behind one router or tunnel, two connections each, and some
REQUEST_SECONDS = 10.0  # from a request's first byte to its last
_SPARE = 200  # files that the server itself, its log and its store need


def connection_limit() -> int:
    """How many connections this system lets the process hold, up to `MAX_CONNECTIONS`."""
    if not hasattr(select, "poll"):
        return 450  # Windows: select() knows 512
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + _SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(50, min(MAX_CONNECTIONS, soft - _SPARE))


class Door:
    """Watches the connections of waitress servers that share one loop.

    Parameters
    ----------
    servers : iterable of waitress servers
        One for each socket.
    most, per_address : int
        How many connections there may be in all, and from one address.
    clock : callable
        Seconds, from any start; never steps back.
    """

    def __init__(
        self,
        servers: Iterable,
        *,
        most: int,
        per_address: int = PER_ADDRESS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._servers, self._most, self._clock = list(servers), most, clock
        self._per_address = min(per_address, max(1, most // 2))
        self._begun: dict[
            int, tuple[object, float]
        ] = {}  # of each channel: its unfinished request, since when
        for server in self._servers:
            self._watch(server)

    def _watch(self, server) -> None:
        accept, maintenance = server.accept, server.maintenance

        def accept_and_make_room():
            accepted = accept()
            if accepted is not None:
                self.make_room(accepted[1][0])
            return accepted

        def maintain(now: float) -> None:
            maintenance(now)
            self.close_slow()

        server.accept, server.maintenance = accept_and_make_room, maintain

    def make_room(self, address: str) -> None:
        """Close one connection that waits, where a new one of this address would be one too many."""
        channels = self._channels()
        held = Counter(one.addr[0] for one in channels)
        if held[address] >= self._per_address:
            self._close_oldest(one for one in channels if one.addr[0] == address)
        elif len(channels) >= self._most:
            largest = held.most_common(1)[0][0]
            self._close_oldest(one for one in channels if one.addr[0] == largest)

    def close_slow(self) -> None:
        """Close connections whose request began more than `REQUEST_SECONDS` ago and is not complete."""
        now, begun = self._clock(), {}
        for channel in self._channels():
            request = channel.request
            if request is None:
                continue
            known, since = self._begun.get(id(channel), (None, now))
            since = since if known is request else now
            begun[id(channel)] = (request, since)
            if now - since > REQUEST_SECONDS:
                _close(channel)
        self._begun = begun

    def _channels(self) -> list:
        return [
            one
            for server in self._servers
            for one in list(server.active_channels.values())
            if not one.will_close
        ]

    def _close_oldest(self, channels: Iterable) -> None:
        waiting = [one for one in channels if not one.requests and not one.total_outbufs_len]
        if waiting:
            _close(min(waiting, key=lambda one: one.creation_time))


def _close(channel) -> None:
    """Mark a channel to be closed: the server's loop does it at its next turn."""
    channel.will_close = True
