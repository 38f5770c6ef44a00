"""Pruned fully connected layers, sparse against dense, on this CPU: AlexNet's and VGG-16's fc6 to fc8.

The densities are those of Deep Compression (Han, Mao, Dally 2016, tables 4 and 5), whose figure 9 finds
pruned layers 3 times as fast on a CPU at batch 1, and none the faster at batch 64. Sparse is torch's CSR
with int32 indices (int64, the default, reads twice the memory and is slower than dense), and a vector with
one axis at batch 1. One thread.
"""

from functools import lru_cache

import numpy as np
import pytest
import torch

LAYERS = {  # name: outputs, inputs, density
    "alexnet.fc6": (4096, 9216, 0.09),
    "alexnet.fc7": (4096, 4096, 0.09),
    "alexnet.fc8": (1000, 4096, 0.25),
    "vgg16.fc6": (4096, 25088, 0.04),
    "vgg16.fc7": (4096, 4096, 0.04),
    "vgg16.fc8": (1000, 4096, 0.23),
}
PEERS = {"dense": "dense", "sparse": "this course, sparse"}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@lru_cache(maxsize=1)
def pruned_layer(name: str) -> torch.Tensor:
    """Random weights, of which the paper's share is not zero, at random places."""
    n_out, n_in, density = LAYERS[name]
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((n_out, n_in), dtype=np.float32)
    weight[rng.random((n_out, n_in), dtype=np.float32) >= density] = 0
    return torch.from_numpy(weight)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
@pytest.mark.parametrize("kind", PEERS)
@pytest.mark.parametrize("batch", [1, 64])
@pytest.mark.parametrize("name", LAYERS)
def bench_layer(benchmark, name, batch, kind):
    n_out, n_in, density = LAYERS[name]
    benchmark.group = f"pruned layer {name}, {n_out} x {n_in} at density {density}, batch {batch}"
    weight = pruned_layer(name)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((weight.shape[1],) if batch == 1 else (weight.shape[1], batch), generator=generator)
    expected = weight @ x
    if kind == "sparse":
        csr = weight.to_sparse_csr()
        weight = torch.sparse_csr_tensor(
            csr.crow_indices().to(torch.int32),
            csr.col_indices().to(torch.int32),
            csr.values(),
            csr.shape,
            check_invariants=True,
        )
    result = benchmark.pedantic(lambda: weight @ x, rounds=20, warmup_rounds=3)
    torch.testing.assert_close(result, expected, rtol=1e-3, atol=1e-2)
    benchmark.extra_info |= {"peer": PEERS[kind]}
