"""Bytes of the shipped files' weights, beside lossless compressors and the ISO standard's coder (NNC).

All get the same weights, those that the file decodes to. zstd, xz and ZipNN (which was made for dense float
weights) are lossless, as ours is from there on. nncodec, the reference of ISO/IEC 15938-17, quantizes once
more: it runs in its codebook mode with its finest step, and its error is told. It wants NumPy below 2, and so
an interpreter of its own:

    uv venv nnc && uv pip install --python nnc/bin/python nncodec
    NNCODEC_PYTHON=nnc/bin/python dnnc bench -k size
"""

import lzma
import os
import subprocess
import tempfile
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pytest

from common.base.files import ROOT
from common.codec import container

FILES = ("vgg16_cifar10", "vgg16_cifar10_small", "lenet_5", "lenet_300_100_small")
_NNC = """
import sys, numpy as np
from nncodec import nnc
weights = dict(np.load(sys.argv[1]))
options = dict(qp=-32, nonweight_qp=-40, codebook_mode=2, use_dq=False, return_bitstream=True)
coded = min((nnc.compress(dict(weights), bitstream_path=sys.argv[2] + '.nnc', tca=tca, **options)
             for tca in (True, False)), key=len)
back = nnc.decompress(coded)
error = sum(((back[name] - weight) ** 2).sum() for name, weight in weights.items())
np.save(sys.argv[2], [len(coded), error / sum((weight ** 2).sum() for weight in weights.values())])
"""


@lru_cache(maxsize=1)
def weights_of(name: str) -> dict[str, np.ndarray]:
    """Dense float32 weights of a shipped file."""
    data = (ROOT / "capstone" / f"{name}.dcz").read_bytes()
    return {key: tensor.to_dense().astype(np.float32) for key, tensor in container.load(data).tensors.items()}


def bytes_of(weights: dict[str, np.ndarray]) -> bytes:
    return b"".join(weight.tobytes() for weight in weights.values())


def zstandard_19(raw: bytes) -> bytes:
    import zstandard

    data = zstandard.ZstdCompressor(level=19).compress(raw)
    assert zstandard.ZstdDecompressor().decompress(data) == raw
    return data


def xz(raw: bytes) -> bytes:
    data = lzma.compress(raw, preset=9)
    assert lzma.decompress(data) == raw
    return data


def zipnn(raw: bytes) -> bytes:
    module = pytest.importorskip("zipnn", reason="`make peers` installs it")
    coder = module.ZipNN(bytearray_dtype="float32")
    data = coder.compress(bytearray(raw))
    assert coder.decompress(data) == raw
    return data


def nncodec(weights: dict[str, np.ndarray], told: dict) -> int:
    python = os.environ.get("NNCODEC_PYTHON")
    if not python:
        pytest.skip("NNCODEC_PYTHON names no interpreter with nncodec")
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "weights.npz", Path(folder) / "result.npy"
        np.savez(source, **weights)
        subprocess.run([python, "-c", _NNC, str(source), str(result)], check=True, capture_output=True)
        n_bytes, error = np.load(result)
    assert error < 1e-3
    told["squared error, relative"] = f"{error:.1e}"
    return int(n_bytes)


LOSSLESS: dict[str, Callable[[bytes], bytes]] = {"zstandard -19": zstandard_19, "xz -9": xz, "ZipNN": zipnn}
NNC = "nncodec, codebook mode"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("peer", ["this course", *LOSSLESS, NNC])
def bench_size(benchmark, name, peer):
    benchmark.group = f"size of {name}.dcz"
    weights, told = weights_of(name), {}
    ours = (ROOT / "capstone" / f"{name}.dcz").stat().st_size
    counts = {"this course": lambda: ours, NNC: partial(nncodec, weights, told)}
    count = counts.get(peer) or (lambda: len(LOSSLESS[peer](bytes_of(weights))))
    n_bytes = benchmark.pedantic(count, rounds=1)
    benchmark.extra_info |= {
        "peer": peer,
        "untimed": True,
        "bytes": n_bytes,
        "times ours": round(n_bytes / ours, 3),
        **told,
    }
