"""Serving the attendance's pages by waitress: a few threads, and bounds on all that a phone may send."""

from __future__ import annotations

import logging
import socket

import waitress
from flask import Flask

THREADS = 8
MAX_CONNECTIONS = 500


def make_server(app: Flask, sockets: list[socket.socket]):
    """A server that has the sockets and waits for `run()`.

    What a client may send is bounded: 8 kB of headers, 8 kB of body, 15 seconds of silence.

    Parameters
    ----------
    app : flask.Flask
    sockets : list of socket
        Bound already.

    Returns
    -------
    waitress server
        ``run()`` serves until an interrupt, ``close()`` lets go of the sockets.
    """
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a class that scans at once is no warning
    return waitress.create_server(
        app, sockets=sockets, threads=THREADS, ident=None, connection_limit=MAX_CONNECTIONS, backlog=512,
        channel_timeout=15, cleanup_interval=5, max_request_header_size=8192, max_request_body_size=8192,
        asyncore_use_poll=True, clear_untrusted_proxy_headers=True,
    )  # fmt: skip
