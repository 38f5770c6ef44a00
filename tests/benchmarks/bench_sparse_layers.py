"""Pruned fully connected layers on this CPU: AlexNet's and VGG-16's fc6 to fc8, and the shipped VGG-16.

The densities are those of Deep Compression (Han, Mao, Dally 2016, tables 4 and 5), whose figure 9 finds
pruned layers 3 times as fast on a CPU at batch 1, and none the faster at batch 64. The weights are normal,
pruned by magnitude and shared by k-means, 32 values.

Ours multiplies from the codebook (`common.deploy.sparse`). The peers' matrices have int32 indices (with
int64, torch's default, they read more and are slower): torch's CSR, which is MKL's, and SciPy's. Dense is
torch's. A vector has one axis at batch 1. One thread.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

from common.codec import container
from common.codec.tensors import SharedTensor
from common.deploy.sparse import SparseMatrix, csr_bytes, product_energy
from common.sharing.weight_sharing import share_weights

LAYERS = {  # name: outputs, inputs, density
    "alexnet.fc6": (4096, 9216, 0.09),
    "alexnet.fc7": (4096, 4096, 0.09),
    "alexnet.fc8": (1000, 4096, 0.25),
    "vgg16.fc6": (4096, 25088, 0.04),
    "vgg16.fc7": (4096, 4096, 0.04),
    "vgg16.fc8": (1000, 4096, 0.23),
}
OURS = "this course, from the codebook"
PEERS = (OURS, "SciPy's CSR, int32", "torch's CSR, int32", "torch's dense")
SHIPPED = Path(__file__).resolve().parents[2] / "capstone" / "vgg16_cifar10.dcz"


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@lru_cache(maxsize=1)
def pruned_layer(name: str) -> SharedTensor:
    """Normal weights, of which the paper's share is kept, the largest."""
    n_out, n_in, density = LAYERS[name]
    weight = np.random.default_rng(0).standard_normal((n_out, n_in), dtype=np.float32)
    magnitudes = np.abs(weight)
    threshold = np.quantile(magnitudes.reshape(-1)[:1_000_000], 1 - density)
    return share_weights(weight, magnitudes > threshold, n_clusters=32, init="linear")


def torch_csr(dense: np.ndarray) -> torch.Tensor:
    csr = torch.from_numpy(dense).to_sparse_csr()
    columns, rows = csr.col_indices().to(torch.int32), csr.crow_indices().to(torch.int32)
    return torch.sparse_csr_tensor(rows, columns, csr.values(), csr.shape, check_invariants=True)


def product(peer: str, tensor: SharedTensor, x: np.ndarray):
    """What is timed."""
    if peer == OURS:
        matrix = SparseMatrix.of(tensor)
        return lambda: matrix @ x
    dense = tensor.to_dense().reshape(tensor.shape[0], -1)
    if peer.startswith("SciPy"):
        from scipy.sparse import csr_array

        csr = csr_array(dense)
        assert csr.indices.dtype == np.int32
        return lambda: csr @ x
    weight = torch_csr(dense) if "CSR" in peer else torch.from_numpy(dense)
    wide = torch.from_numpy(x)
    return lambda: weight @ wide


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("batch", [1, 64])
@pytest.mark.parametrize("name", LAYERS)
def bench_layer(benchmark, name, batch, peer):
    n_out, n_in, density = LAYERS[name]
    benchmark.group = f"pruned layer {name}, {n_out} x {n_in} at density {density}, batch {batch}"
    tensor = pruned_layer(name)
    shape = (n_in,) if batch == 1 else (n_in, batch)
    x = np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
    expected = tensor.to_dense().astype(np.float64) @ x
    result = benchmark(product(peer, tensor, x))
    np.testing.assert_allclose(np.asarray(result), expected, rtol=1e-3, atol=1e-2)
    n_bytes, n_multiplied = 4 * tensor.n_weights, tensor.n_weights
    if peer == OURS:
        matrix = SparseMatrix.of(tensor)
        n_bytes, n_multiplied = matrix.n_bytes, matrix.n_units
    elif "CSR" in peer:
        n_bytes, n_multiplied = csr_bytes(tensor.n_kept, n_out), tensor.n_kept
    n_read = tensor.n_weights if "dense" in peer else tensor.n_kept
    microjoules = 1e6 * product_energy(n_bytes, n_read, n_multiplied=n_multiplied)
    benchmark.extra_info |= {
        "peer": peer,
        "MB of weights": n_bytes / 1e6,
        "µJ per image, estimated": microjoules,
    }


@pytest.mark.parametrize("peer", [OURS, "torch's dense"])
def bench_shipped_convolutions(benchmark, peer):
    """The convolutions of the shipped VGG-16 on 8 images, each on an input of its size: gathered columns."""
    benchmark.group = "convolutions of the shipped VGG-16, 8 images"
    layers = [t for t in container.load(SHIPPED.read_bytes()).tensors.values() if len(t.shape) == 4]
    sizes = [32] * 2 + [16] * 2 + [8] * 3 + [4] * 3 + [2] * 3
    rng = np.random.default_rng(0)
    inputs = [
        rng.standard_normal((8, layer.shape[1], size, size), dtype=np.float32)
        for layer, size in zip(layers, sizes, strict=True)
    ]
    weights = [torch.from_numpy(layer.to_dense()) for layer in layers]
    wide = [torch.from_numpy(x) for x in inputs]
    expected = [torch.nn.functional.conv2d(x, w, padding=1) for x, w in zip(wide, weights, strict=True)]
    if peer == OURS:
        matrices = [SparseMatrix.of(layer) for layer in layers]

        def run():
            return [m.convolve(x, 3, padding=1) for m, x in zip(matrices, inputs, strict=True)]
    else:

        def run():
            return [torch.nn.functional.conv2d(x, w, padding=1) for x, w in zip(wide, weights, strict=True)]

    result = benchmark(run)
    for found, right in zip(result, expected, strict=True):
        np.testing.assert_allclose(np.asarray(found), right.numpy(), rtol=1e-3, atol=1e-3)
    benchmark.extra_info |= {"peer": peer}
