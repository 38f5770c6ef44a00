"""Dense and shared tensors: their dense form, and every part that does not fit the others."""

import numpy as np
import pytest

from common.codec.tensors import DenseTensor, SharedTensor


def shared(**changes) -> SharedTensor:
    """A 2 x 3 tensor with three kept weights, one part changed."""
    parts = {
        "shape": (2, 3),
        "codebook": np.float32([-1.5, 0.5]),
        "positions": np.array([0, 2, 5]),
        "indices": np.uint8([1, 0, 1]),
    }
    return SharedTensor(**{**parts, **changes})


def test_dense_form_has_zeros_where_pruned():
    tensor = shared()
    assert tensor.to_dense().tolist() == [[0.5, 0, -1.5], [0, 0, 0.5]]
    assert tensor.to_dense().dtype == np.float32
    assert (tensor.n_weights, tensor.n_kept, tensor.n_clusters, tensor.sparsity) == (6, 3, 2, 0.5)


def test_all_weights_kept():
    tensor = shared(positions=None, indices=np.uint8([0, 1, 0, 1, 1, 0]))
    assert tensor.to_dense().tolist() == [[-1.5, 0.5, -1.5], [0.5, 0.5, -1.5]]
    assert tensor.sparsity == 0.0


def test_rows_are_scaled():
    scales = DenseTensor(np.float16([2, -4]))
    assert shared(row_scales=scales).to_dense().tolist() == [[1, 0, -3], [0, 0, -2]]
    of_scales = SharedTensor((2,), np.float16([2, 3]), None, np.uint8([1, 0]))
    assert shared(row_scales=of_scales).to_dense().tolist() == [[1.5, 0, -4.5], [0, 0, 1]]


@pytest.mark.parametrize("shape", [(0,), (0, 4), (3, 0, 2)])
def test_tensor_without_weights(shape):
    tensor = SharedTensor(shape, np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros(0, np.uint8))
    assert tensor.to_dense().shape == shape
    assert (tensor.n_weights, tensor.sparsity) == (0, 0.0)


def test_scalar():
    assert SharedTensor((), np.float32([7]), None, np.uint8([0])).to_dense().tolist() == 7.0


def test_dense_tensor_keeps_its_array():
    values = np.arange(6).reshape(2, 3)
    tensor = DenseTensor(values)
    assert tensor.to_dense() is values
    assert (tensor.shape, tensor.n_weights, tensor.n_kept, tensor.sparsity) == ((2, 3), 6, 6, 0.0)
    with pytest.raises(TypeError, match="NumPy"):
        DenseTensor([1, 2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (2, -3)}, "shape"),
        ({"codebook": np.float64([0, 1])}, "codebook.*float64"),
        ({"codebook": np.float32([[0, 1]])}, "codebook"),
        ({"codebook": np.float32([1, 0])}, "codebook.*ascending"),
        ({"codebook": np.float32([1, 1])}, "codebook.*ascending"),
        ({"codebook": np.float32([0, np.inf])}, "codebook.*finite"),
        ({"codebook": np.float32([np.nan])}, "codebook.*finite"),
        ({"positions": np.array([0, 2, 6])}, "positions.*0 to 5"),
        ({"positions": np.array([-1, 2, 5])}, "positions.*0 to 5"),
        ({"positions": np.array([0, 2, 2])}, "positions.*ascending"),
        ({"positions": np.array([0, 5, 2])}, "positions"),
        ({"positions": np.int32([0, 2, 5])}, "positions.*int32"),
        ({"positions": None}, "indices.*got 3.*6"),
        ({"positions": np.array([0])}, "indices.*got 3.*1"),
        ({"indices": np.uint8([0, 2, 1])}, "indices.*got 2.*n_clusters=2"),
        ({"indices": np.int64([0, 1, 1])}, "indices.*int64"),
        ({"row_scales": DenseTensor(np.ones(3))}, "row_scales.*3.*2"),
        ({"row_scales": np.ones(2)}, "row_scales.*ndarray"),
    ],
)
def test_parts_that_do_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        shared(**changes)


def test_values_beyond_float16_are_told_from_unsorted_ones():
    with np.errstate(over="ignore"):
        codebook = np.array([0, 70_000]).astype(np.float16)
    with pytest.raises(ValueError, match=r"values beyond float16, expected finite ones, within ±65504"):
        SharedTensor((1, 2), codebook, None, np.uint8([0, 1]))
    with pytest.raises(ValueError, match="repeated or unsorted"):
        SharedTensor((1, 2), np.float16([1, 1]), None, np.uint8([0, 1]))
