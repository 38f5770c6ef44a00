"""Products straight from shared weights, against the dense tensor in float64."""

import numpy as np
import pytest
import torch

from common.codec.tensors import DenseTensor, SharedTensor
from common.deploy.sparse import SparseMatrix, csr_bytes, product_energy


def pruned(shape, density, n_clusters, *, seed=0, scales=False, all_kept=False):
    rng = np.random.default_rng(seed)
    n = int(np.prod(shape))
    positions = None if all_kept else np.flatnonzero(rng.random(n) < density).astype(np.int64)
    n_kept = n if all_kept else positions.size
    indices = rng.integers(0, max(n_clusters, 1), n_kept).astype(np.uint8 if n_clusters <= 256 else np.uint16)
    codebook = np.sort(rng.normal(size=n_clusters)).astype(np.float32)
    row_scales = DenseTensor(rng.random(shape[0]).astype(np.float32)) if scales else None
    return SharedTensor(shape, codebook, positions, indices, row_scales)


def close(found, expected):
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [None, 1, 3, 16])
@pytest.mark.parametrize(
    "tensor",
    [
        pruned((5, 700), 0.3, 4),
        pruned((64, 300), 0.09, 32),
        pruned((7, 40), 0.5, 256),
        pruned((3, 70_000), 0.01, 2),
        pruned((9, 8), 0.3, 3, scales=True),
        pruned((4, 6), 1, 5, all_kept=True),
        pruned((6, 5, 3, 3), 0.2, 8),
        pruned((4, 10), 0, 0),
        pruned((0, 10), 0, 2),
        pruned((1, 1), 1, 1, all_kept=True),
    ],
    ids=lambda tensor: "x".join(map(str, tensor.shape)),
)
def test_product_is_that_of_the_dense_matrix(tensor, batch):
    dense = tensor.to_dense().reshape(tensor.shape[0], -1 if tensor.shape[0] else 10).astype(float)
    shape = (dense.shape[1],) if batch is None else (dense.shape[1], batch)
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    close(SparseMatrix.of(tensor) @ x, dense @ x)


def test_hand_worked_units():
    # Eight weights of value 0 make two units; column 4, of value 1, one that is filled up with column 9,
    # which is not there: it is the zero behind the input. A group has four rows, three of them none.
    indices = np.uint8([0, 0, 0, 0, 1, 0, 0, 0, 0])
    matrix = SparseMatrix.of(SharedTensor((1, 9), np.float32([2, 3]), np.arange(9), indices))
    (tile,) = matrix.tiles
    assert tile.order.tolist() == [0, 1, 1, 1]
    fields = tile.units[:, None] >> np.uint64([0, 14, 28, 42, 56]) & np.uint64(0x3FFF)
    assert fields[::4].tolist() == [[0, 1, 2, 3, 0], [5, 6, 7, 8, 0], [4, 9, 9, 9, 1]]
    assert set(map(tuple, np.delete(fields, [0, 4, 8], axis=0).tolist())) == {(9, 9, 9, 9, 0)}
    assert (matrix @ np.ones(9, dtype=np.float32)).tolist() == [2 * 8 + 3]


def test_wide_matrices_come_in_tiles():
    matrix = SparseMatrix.of(pruned((3, 20_000), 0.01, 4))
    assert [(tile.first, tile.last) for tile in matrix.tiles] == [(0, 6666), (6666, 13333), (13333, 20000)]


def test_too_many_values():
    with pytest.raises(ValueError, match="codebook: got 300 values, expected at most 256"):
        SparseMatrix.of(pruned((7, 40), 0.5, 300))


@pytest.mark.parametrize(("padding", "size"), [(0, 3), (1, 3), (2, 5)])
def test_convolution_is_torch_s(padding, size):
    tensor = pruned((6, 4, size, size), 0.3, 8, scales=True)
    images = np.random.default_rng(0).normal(size=(2, 4, 9, 7)).astype(np.float32)
    weight = torch.from_numpy(tensor.to_dense())
    expected = torch.nn.functional.conv2d(torch.from_numpy(images), weight, padding=padding)
    close(SparseMatrix.of(tensor).convolve(images, size, padding=padding), expected.numpy())


@pytest.mark.parametrize("x", [np.zeros(5), np.zeros(4, np.float32), np.zeros((5, 1, 1), np.float32)])
def test_inputs_that_do_not_fit(x):
    with pytest.raises(ValueError, match=r"x: got .*, expected float32 of shape \(5,\)"):
        SparseMatrix.of(pruned((2, 5), 1, 2)) @ x


def test_a_vector_is_no_matrix():
    with pytest.raises(ValueError, match="shape: got"):
        SparseMatrix.of(pruned((5,), 1, 2))


def test_bytes_and_energy():
    tensor = pruned((512, 4096), 0.1, 32)
    matrix = SparseMatrix.of(tensor)
    assert matrix.n_bytes < csr_bytes(tensor.n_kept, 512) / 2.5
    assert csr_bytes(10, 3) == 10 * 4 + 10 * 4 + 4 * 4
    # One word from DRAM, and one weight: read from SRAM, multiplied, added.
    assert product_energy(4, 1) == pytest.approx((640 + 5 + 3.7 + 0.9) * 1e-12)
    assert product_energy(4, 4, n_multiplied=1) == pytest.approx((640 + 4 * 5.9 + 3.7) * 1e-12)
