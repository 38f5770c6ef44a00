"""Where phones find this machine: its addresses on the local network, the likeliest first."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from dataclasses import dataclass

import psutil

# Interfaces that lead to containers, virtual machines and private networks, never to a phone in the room.
_VIRTUAL = (
    "docker",
    "br-",
    "veth",
    "virbr",
    "vmnet",
    "vmware",
    "vbox",
    "virtualbox",
    "vethernet",
    "hyper-v",
    "tun",
    "tap",
    "wg",
    "ppp",
    "ipsec",
    "tailscale",
    "zerotier",
    "zt",
    "lxc",
    "cni",
    "podman",
)


@dataclass(frozen=True)
class Interface:
    """A network interface that is up, with one of its IPv4 addresses."""

    name: str
    address: str


def lan_addresses() -> list[str]:
    """IPv4 addresses at which a phone may reach this machine, the likeliest first; none without a network."""
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    found = [
        Interface(name, entry.address)
        for name, entries in psutil.net_if_addrs().items()
        if name in up
        for entry in entries
        if entry.family == socket.AF_INET
    ]
    return ranked(found, default=_default_address())


def ranked(interfaces: list[Interface], *, default: str | None) -> list[str]:
    """Addresses in the order in which they are worth a try.

    Parameters
    ----------
    interfaces : list of Interface
    default : str or None
        The address from which this machine reaches the internet.

    Examples
    --------
    >>> found = [Interface("docker0", "172.17.0.1"), Interface("wlan0", "192.168.1.20")]
    >>> ranked(found, default=None)
    ['192.168.1.20', '172.17.0.1']
    """

    def place(interface: Interface) -> tuple[bool, bool, bool]:
        is_virtual = any(word in interface.name.lower() for word in _VIRTUAL)
        is_private = ipaddress.ip_address(interface.address).is_private
        return is_virtual, interface.address != default, not is_private

    usable = [one for one in interfaces if not _leads_nowhere(one.address)]
    return list(dict.fromkeys(one.address for one in sorted(usable, key=place)))


def listening_sockets(host: str, port: int) -> list[socket.socket]:
    """Listening sockets: at an address for phones and, where that is another, at 127.0.0.1 for the projector.

    Parameters
    ----------
    host : str
        Name or address of this machine; ``0.0.0.0`` is every address of it.
    port : int
        0 takes a free one, the same for both.

    Raises
    ------
    OSError
        The address is not this machine's, or the port is taken.
    """
    sockets: list[socket.socket] = []
    try:
        sockets.append(_bound(host, port))
        address, port = sockets[0].getsockname()[:2]
        if address not in ("0.0.0.0", "127.0.0.1"):
            sockets.append(_bound("127.0.0.1", port))
    except OSError:
        for one in sockets:
            one.close()
        raise
    return sockets


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError) as error:
        example = "give an address of this machine, such as 192.168.1.20"
        raise OSError(f"host {host!r} is unknown: {example}") from error
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # a port that a killed server held is free again at once
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(512)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            hint = "it is not an address of this machine"
        elif error.errno == errno.EADDRINUSE:
            hint = "is attendance open already, in another terminal? Else choose another --port"
        else:
            hint = "choose another --host or --port"
        raise OSError(f"cannot serve at {host}, port {port} ({error.strerror}): {hint}") from error
    return listener


def _leads_nowhere(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified


def _default_address() -> str | None:
    """What this machine would call itself to the internet; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))  # an address reserved for documentation
            return probe.getsockname()[0]
        except OSError:
            return None
