"""How many requests an address may make, in bounded memory."""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Callable


class RateLimit:
    """A bucket of permits for each address: `burst` at once, then `per_second`.

    Parameters
    ----------
    burst : int
        Permits of an address that has been quiet.
    per_second : float
        How fast they come back.
    clock : callable
        Seconds, from any start.
    max_addresses : int
        Addresses kept; the one unheard of for longest is forgotten first.

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
    """An IPv4 address itself; of an IPv6 one the /64, for one machine may use all of it."""
    try:
        parsed = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return address[:64]
    if parsed.version == 4:
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
