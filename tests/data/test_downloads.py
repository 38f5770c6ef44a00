"""Downloads against mirrors of our own: whole or absent, resumed, and a dead network found out in time."""

import hashlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from common.data import datasets, downloads
from common.data.datasets import DatasetNotFoundError, load_dataset
from common.data.downloads import SOURCES, DownloadError, RemoteFile, fetch

CONTENT = bytes(range(256)) * 4000  # a megabyte


class Mirror:
    """A web server on this machine that serves CONTENT, well or badly.

    `behaviour` is ``good``, ``no ranges``, ``breaks`` (after half of what is left), ``other`` (a file of the
    same size), ``page`` (a login page), ``missing``, or ``silent`` (takes connections, says nothing).
    """

    def __init__(self, behaviour="good"):
        self.behaviour, self.requests = behaviour, []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                mirror.answer(self, body=False)

            def do_GET(self):
                mirror.answer(self, body=True)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, handler, *, body):
        if self.behaviour == "silent":
            time.sleep(60)
        asked = handler.headers.get("Range")
        if body:
            self.requests.append(asked)
        if self.behaviour == "missing":
            return handler.send_error(404)
        content = CONTENT[::-1] if self.behaviour == "other" else CONTENT
        content = b"<html>log in</html>" if self.behaviour == "page" and body else content
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if asked and self.behaviour not in ("no ranges", "page"):
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            content = content[start:]
        else:
            handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        if body:
            handler.wfile.write(content[: len(content) // 2] if self.behaviour == "breaks" else content)
            handler.wfile.flush()
        handler.close_connection = True
        return None

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def mirrors():
    """Starts mirrors: ``mirrors("good", "breaks")`` gives a file on both, and the two mirrors."""
    started = []

    def start(*behaviours):
        started.extend(Mirror(behaviour) for behaviour in behaviours)
        urls = tuple(mirror.url for mirror in started)
        digest = hashlib.sha256(CONTENT).hexdigest()
        return RemoteFile("sets/set.bin", len(CONTENT), digest, urls), *started

    yield start
    for mirror in started:
        mirror.close()


@pytest.fixture(autouse=True)
def _forget_refusals(monkeypatch):
    monkeypatch.setattr(downloads, "_refused", {})
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)


def names(folder):
    return sorted(path.name for path in (folder / "sets").iterdir() if path.suffix != ".lock")


def test_good_mirror_gives_the_file(tmp_path, mirrors):
    file, mirror = mirrors("good")
    fetch((file,), tmp_path)
    assert (tmp_path / "sets" / "set.bin").read_bytes() == CONTENT
    assert names(tmp_path) == ["set.bin"]
    fetch((file,), tmp_path)
    assert len(mirror.requests) == 1, "what is there and sound is not fetched again"


def test_damaged_file_is_fetched_again(tmp_path, mirrors):
    file, _ = mirrors("good")
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "set.bin").write_bytes(CONTENT[:-1] + b"x")
    fetch((file,), tmp_path)
    assert (tmp_path / "sets" / "set.bin").read_bytes() == CONTENT


def test_next_mirror_is_asked_when_one_has_not_the_file(tmp_path, mirrors):
    file, missing, good = mirrors("missing", "good")
    fetch((file,), tmp_path)
    assert (tmp_path / "sets" / "set.bin").read_bytes() == CONTENT
    assert (missing.requests, good.requests) == ([], [None])


def test_broken_download_goes_on_at_the_next_mirror(tmp_path, mirrors):
    file, broken, good = mirrors("breaks", "good")
    fetch((file,), tmp_path)
    assert (tmp_path / "sets" / "set.bin").read_bytes() == CONTENT
    assert broken.requests == [None]
    (asked,) = good.requests
    assert asked is not None, "the second mirror was asked for the rest only"
    assert names(tmp_path) == ["set.bin"]


def test_broken_download_goes_on_in_the_next_run(tmp_path, mirrors):
    file, mirror = mirrors("breaks")
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1: "):
        fetch((file,), tmp_path)
    assert names(tmp_path) == ["set.bin.part"]
    mirror.behaviour = "good"
    fetch((file,), tmp_path)
    assert (tmp_path / "sets" / "set.bin").read_bytes() == CONTENT
    n_kept = int(mirror.requests[1].removeprefix("bytes=").removesuffix("-"))
    assert 0 < n_kept <= len(CONTENT) // 2


def test_mirror_without_ranges_starts_anew(tmp_path, mirrors):
    file, mirror = mirrors("no ranges")
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "set.bin.part").write_bytes(b"left over from an earlier run")
    fetch((file,), tmp_path)
    assert (tmp_path / "sets" / "set.bin").read_bytes() == CONTENT
    assert mirror.requests == ["bytes=29-"]


def test_complete_partial_file_needs_no_download(tmp_path, mirrors):
    file, mirror = mirrors("good")
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "set.bin.part").write_bytes(CONTENT)
    fetch((file,), tmp_path)
    assert (tmp_path / "sets" / "set.bin").read_bytes() == CONTENT
    assert mirror.requests == []


def test_too_long_partial_file_is_dropped(tmp_path, mirrors):
    file, mirror = mirrors("good")
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "set.bin.part").write_bytes(CONTENT + b"more")
    fetch((file,), tmp_path)
    assert (tmp_path / "sets" / "set.bin").read_bytes() == CONTENT
    assert mirror.requests == [None]


def test_wrong_content_is_never_kept(tmp_path, mirrors):
    file, _ = mirrors("other")
    with pytest.raises(DownloadError, match="sent a file with another checksum"):
        fetch((file,), tmp_path)
    assert names(tmp_path) == []


def test_login_page_is_no_file_and_spoils_nothing(tmp_path, mirrors):
    file, page, _ = mirrors("page", "good")
    fetch((file,), tmp_path)
    assert (tmp_path / "sets" / "set.bin").read_bytes() == CONTENT
    assert page.requests == [None]


def test_two_processes_fetch_once(tmp_path, mirrors):
    file, mirror = mirrors("good")
    workers = [threading.Thread(target=fetch, args=((file,), tmp_path)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert (tmp_path / "sets" / "set.bin").read_bytes() == CONTENT
    assert len(mirror.requests) == 1


def assert_refused_in_time(tmp_path, monkeypatch, reason):
    """A set that needs the network is refused within ten seconds, both splits of it together.

    Mirrors have `PROBE_S` of these to answer; here they have one, so that the test does not wait.
    """
    spare = 10 - downloads.PROBE_S
    assert spare >= 4
    monkeypatch.setattr(downloads, "PROBE_S", 1.0)
    monkeypatch.setenv("DNNC_OFFLINE", "0")
    monkeypatch.setenv("DNNC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DNNC_DATA", raising=False)
    start = time.monotonic()
    for split in ("train", "test"):
        with pytest.raises(DatasetNotFoundError, match=reason):
            load_dataset("cifar10", split)
    assert time.monotonic() - start < 1 + spare


def test_network_without_names_is_found_out_at_once(tmp_path, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    told = r"the network \(data\.brainchip\.com: no connection; .*toronto"
    assert_refused_in_time(tmp_path, monkeypatch, told)


def test_resolver_that_hangs_is_found_out_in_ten_seconds(tmp_path, monkeypatch):
    released = threading.Event()

    def hanging(*_, **__):
        released.wait(60)
        raise socket.gaierror(-3, "too late")

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    try:
        assert_refused_in_time(tmp_path, monkeypatch, "no answer within 1 s")
    finally:
        released.set()


def test_network_that_swallows_packets_is_found_out_in_ten_seconds(tmp_path, monkeypatch, mirrors):
    file, *_ = mirrors("silent", "silent")
    for split in ("train", "test"):
        monkeypatch.setitem(SOURCES, ("cifar10", split), (file,))
    assert_refused_in_time(tmp_path, monkeypatch, "no answer")


def test_refusal_is_remembered_for_a_while(tmp_path, monkeypatch, mirrors):
    file, mirror = mirrors("missing")
    with pytest.raises(DownloadError, match="HTTP 404"):
        fetch((file,), tmp_path)
    mirror.behaviour = "good"
    with pytest.raises(DownloadError, match="HTTP 404"):
        fetch((file,), tmp_path)
    monkeypatch.setattr(downloads, "REFUSAL_S", 0.0)
    fetch((file,), tmp_path)
    assert (tmp_path / "sets" / "set.bin").read_bytes() == CONTENT


def test_offline_switch_asks_nobody(tmp_path, monkeypatch):
    monkeypatch.setenv("DNNC_OFFLINE", "1")
    monkeypatch.setenv("DNNC_CACHE", str(tmp_path))
    monkeypatch.delenv("DNNC_DATA", raising=False)
    monkeypatch.setattr(datasets, "fetch", None)
    with pytest.raises(DatasetNotFoundError):
        load_dataset("cifar100", "train")


def test_every_source_has_two_mirrors_and_the_published_checksum():
    from torchvision.datasets import CIFAR10, CIFAR100, MNIST

    published = {CIFAR10.filename, CIFAR100.filename, *(name for name, _ in MNIST.resources)}
    files = {file for source in SOURCES.values() for file in source}
    assert {file.path.split("/")[-1] for file in files} == published
    for file in files:
        assert len(set(file.mirrors)) >= 2
        assert all(url.startswith("https://") and url.endswith(file.path.split("/")[-1]) for url in file.urls)
        assert len(file.sha256) == 64


def test_prepared_mnist_has_the_checksums_of_the_sources():
    import os
    from pathlib import Path

    prepared = Path(os.environ.get("DNNC_DATA", "/nowhere")) / "MNIST" / "raw"
    if not prepared.is_dir():
        pytest.skip("no MNIST on this machine")
    for file in (*SOURCES["mnist", "train"], *SOURCES["mnist", "test"]):
        data = (prepared / Path(file.path).name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.n_bytes, file.sha256)
