"""The storage stages: pruned weights to a `.dcz` file, and the file back to dense weights.

Three networks of the course with made-up weights, pruned unevenly like real ones (some rows and columns keep
more) to the densities and codebooks of Deep Compression. Peak memory is measured in a process of its own:
``python tests/benchmarks/bench_storage.py decode FOLDER`` prints the bytes that the stage took at its peak.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from common.codec import container
from common.codec.container import CompressedModel
from common.codec.tensors import DenseTensor, SharedTensor
from common.sharing.weight_sharing import share_weights

NETWORKS = {"15M": "vgg16", "57M": "alexnet", "134M": "vgg16_imagenet"}
DENSITY = 0.08
MOST_MEMORY = {"decode": 1.6, "encode": 2.5}  # times the dense bytes
MOST_GROWTH = 2.0  # of the time per weight, where 1 is linear: the larger network leaves the caches
ROUNDS = 3


@dataclass(frozen=True)
class Stored:
    """A network as its files: `model.dcz`, `dense.safetensors` and `dense.pt`, and its dense size."""

    folder: Path
    dense_bytes: int
    file_bytes: int

    @property
    def megabytes(self) -> float:
        """Dense float32 size in MB (1e6 bytes)."""
        return self.dense_bytes / 1e6


@pytest.fixture(scope="module", params=list(NETWORKS))
def stored(request, tmp_path_factory) -> Stored:
    return _store(NETWORKS[request.param], tmp_path_factory.mktemp(request.param))


def _store(name: str, folder: Path) -> Stored:
    import torch
    from safetensors.numpy import save_file

    model = made_up(name)
    data = container.save(model)
    (folder / "model.dcz").write_bytes(data)
    dense = {key: tensor.to_dense() for key, tensor in model.tensors.items()}
    save_file(dense, folder / "dense.safetensors")
    torch.save({key: torch.from_numpy(value) for key, value in dense.items()}, folder / "dense.pt")
    return Stored(folder, sum(value.nbytes for value in dense.values()), len(data))


def made_up(name: str, *, density: float = DENSITY, seed: int = 0) -> CompressedModel:
    """A network of `models.build`, random and pruned; 256 values a convolution, 32 a linear layer."""
    import torch

    from common.networks.models import build

    rng = np.random.default_rng(seed)
    with torch.device("meta"):
        state = build(name, batch_norm="folded").state_dict()
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    tensors: dict[str, DenseTensor | SharedTensor] = {}
    for key, shape in shapes.items():
        if len(shape) == 1:
            tensors[key] = DenseTensor(rng.normal(size=shape).astype(np.float32))
            continue
        rows, columns = (rng.lognormal(0, 0.6, size).astype(np.float32) for size in shape[:2])
        keep = density * np.outer(rows / rows.mean(), columns / columns.mean())
        taps = int(np.prod(shape[2:]))
        chance = rng.random((shape[0], shape[1], taps), dtype=np.float32)
        positions = np.flatnonzero(chance < keep[..., None]).astype(np.int64)
        n_clusters = 256 if len(shape) == 4 else 32
        # Kept weights are those beyond a threshold, and fall off exponentially: two humps, as after pruning.
        values = rng.exponential(0.2, positions.size) + 0.2
        values[rng.random(positions.size) < 0.5] *= -1
        indices = np.clip(np.round((values + 1.2) / 2.4 * (n_clusters - 1)), 0, n_clusters - 1)
        codebook = np.linspace(-0.1, 0.1, n_clusters, dtype=np.float32)
        tensors[key] = SharedTensor(shape, codebook, positions, indices.astype(np.uint8))
    return CompressedModel(tensors, {"architecture": name, "num_classes": 10})


def decode(data: bytes) -> dict[str, np.ndarray]:
    """A file's bytes to dense weights."""
    return {name: tensor.to_dense() for name, tensor in container.load(data).tensors.items()}


def share_and_encode(dense: dict[str, np.ndarray]) -> bytes:
    """Pruned dense weights to a file's bytes: k-means, then coding."""
    tensors: dict[str, DenseTensor | SharedTensor] = {}
    for name, weight in dense.items():
        if weight.ndim == 1:
            tensors[name] = DenseTensor(weight)
        else:
            n_clusters = 256 if weight.ndim == 4 else 32
            tensors[name] = share_weights(weight, weight != 0, n_clusters=n_clusters, init="linear")
    return container.save(CompressedModel(tensors))


def _read_dense(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(folder / "dense.safetensors")


def _describe(benchmark, request, stored: Stored, stage: str, peer: str) -> None:
    size = request.node.callspec.params["stored"]
    benchmark.group = f"storage, {size} weights: {stage}"
    benchmark.extra_info.update(peer=peer, work=stored.megabytes, unit="MB of dense weights")


@pytest.mark.parametrize(
    "peer", ["this course", "torch.load, dense file", "safetensors, load and clone, dense file"]
)
def bench_decode(benchmark, request, stored, peer):
    _describe(benchmark, request, stored, "file to dense weights", peer)
    if peer == "this course":
        path = stored.folder / "model.dcz"

        def read():
            return decode(path.read_bytes())
    elif peer.startswith("torch"):
        import torch

        path = stored.folder / "dense.pt"

        def read():
            return torch.load(path, weights_only=True)
    else:
        path = stored.folder / "dense.safetensors"

        def read():
            from safetensors.torch import load_file

            return {name: tensor.clone() for name, tensor in load_file(path).items()}

    benchmark.extra_info["file bytes"] = path.stat().st_size
    tensors = benchmark(read)
    expected = _read_dense(stored.folder)
    assert all(np.array_equal(np.asarray(tensors[name]), value) for name, value in expected.items())


def bench_encode_shared(benchmark, request, stored):
    _describe(benchmark, request, stored, "shared weights to file", "this course")
    data = (stored.folder / "model.dcz").read_bytes()
    model = container.load(data)
    benchmark.extra_info["file bytes"] = len(data)
    assert benchmark.pedantic(container.save, (model,), rounds=ROUNDS, warmup_rounds=1) == data


def bench_encode_pruned(benchmark, request, stored):
    _describe(benchmark, request, stored, "pruned weights to file, k-means included", "this course")
    dense = _read_dense(stored.folder)
    data = benchmark.pedantic(share_and_encode, (dense,), rounds=ROUNDS, warmup_rounds=1)
    benchmark.extra_info["file bytes"] = len(data)
    assert len(data) < stored.dense_bytes / 9


@pytest.mark.parametrize("stage", ["decode", "encode"])
def bench_peak_memory(benchmark, request, stored, stage):
    size = request.node.callspec.params["stored"]
    benchmark.group = f"storage, {size} weights: peak memory"
    command = [sys.executable, __file__, stage, str(stored.folder)]

    def measure() -> dict:
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    peak = benchmark.pedantic(measure, rounds=1)
    times = peak["bytes"] / stored.dense_bytes
    benchmark.extra_info.update(
        {
            "peer": f"this course, {stage}",
            "untimed": True,
            "peak MB": round(peak["bytes"] / 1e6, 1),
            "times the dense size": round(times, 2),
            "how": peak["how"],
        }
    )
    most = MOST_MEMORY[stage]
    assert times <= most, f"{stage}: {times:.2f} × the dense size, expected at most {most}"


@pytest.mark.parametrize("stage", ["decode", "encode"])
def bench_growth_15M_to_134M(benchmark, tmp_path, stage):
    """Time per weight of the large network over that of the small one: linear growth is at most 1."""
    benchmark.group = "storage: growth from 15 to 134 million weights"
    seconds = {}
    for size in ("15M", "134M"):
        model = made_up(NETWORKS[size])
        data = container.save(model)
        n_weights = sum(tensor.n_weights for tensor in model.tensors.values())
        run, argument = (decode, data) if stage == "decode" else (container.save, model)
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            run(argument)
            times.append(time.perf_counter() - start)
        seconds[size] = min(times) / n_weights
    growth = seconds["134M"] / seconds["15M"]
    benchmark.extra_info.update(
        {
            "peer": f"this course, {stage}",
            "untimed": True,
            "seconds per weight, 134M over 15M": round(growth, 2),
        }
    )
    benchmark.pedantic(run, (argument,), rounds=1)
    assert growth <= MOST_GROWTH, f"{stage}: {growth:.2f}, expected at most {MOST_GROWTH}"


def _peak_bytes(stage: str, folder: Path) -> dict:
    """Most memory that a stage takes beyond the interpreter and its imports, input and output included."""
    share_and_encode({"a": np.eye(64, dtype=np.float32)})  # compiled before the count begins
    decode(container.save(made_up("lenet_5")))
    before = _status("VmRSS")
    how = "high-water mark of this stage"
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the high-water mark starts anew
    except OSError:
        how = "high-water mark of the process"
    if stage == "decode":
        kept = decode((folder / "model.dcz").read_bytes())
    else:
        kept = share_and_encode(_read_dense(folder))
    assert kept
    peak = _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"bytes": peak - before, "how": how}


def _status(field: str) -> int:
    """A line of /proc/self/status, in bytes; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(field + ":")), 0)


if __name__ == "__main__":
    print(json.dumps(_peak_bytes(sys.argv[1], Path(sys.argv[2]))))
