"""The container: what goes in comes out, in bytes that never change, every one of them accounted for."""

import hashlib
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.codec import container
from common.codec.container import (
    CompressedModel,
    ContainerError,
    load,
    load_tensor,
    natural_order,
    save,
    sizes,
)
from common.codec.tensors import DenseTensor, SharedTensor
from tests import oracles
from tests.tiny_container import DTYPES, assert_same, assert_same_tensor, sparse_tensor, tiny_model

GOLDEN = Path(__file__).parents[1] / "data" / "tiny.dcz"


def test_golden_bytes():
    """The format is frozen: this file is read and written for ever; another version gets another file."""
    assert save(tiny_model()) == GOLDEN.read_bytes()
    assert_same(load(GOLDEN.read_bytes()), tiny_model())


def test_golden_bytes_follow_the_specification():
    """Read by hand: the file around the records, and the record of the last tensor, an int64 of no axes."""
    data = GOLDEN.read_bytes()
    metadata = b'{"architecture":"tiny","num_classes":10}'
    assert data[:5] == b"DCZ\x01\x01"
    assert data[5] == len(metadata)
    assert data[6 : 6 + len(metadata)] == metadata
    at = 6 + len(metadata)
    assert data[at : at + 12] == b"\x06\x0aconv2.bias"
    record = b"\x0b\x00" + (3).to_bytes(8, "little")
    crc = zlib.crc32(b"norm.n" + record).to_bytes(4, "little")
    assert data[-8 - 14 : -8] == record + crc
    assert data[-8:] == hashlib.blake2b(data[:-8], digest_size=8).digest()


@pytest.mark.parametrize("index", ["smallest", "gaps", "fillers", "bitmap"])
@pytest.mark.parametrize("store_names", [True, False])
def test_round_trip(index, store_names):
    model = tiny_model()
    data = save(model, store_names=store_names, index=index)
    assert_same(load(data), model, names=store_names)
    if not store_names:
        assert list(load(data).tensors) == [str(number) for number in range(len(model.tensors))]


TENSORS = st.one_of(
    st.builds(
        lambda shape, code, seed: DenseTensor(np.random.default_rng(seed).integers(0, 2, shape).astype(code)),
        st.lists(st.integers(0, 4), max_size=4),
        st.sampled_from(DTYPES),
        st.integers(0, 99),
    ),
    st.builds(
        lambda shape, density, n_clusters, dtype, seed: sparse_tensor(
            tuple(shape), int(density * np.prod(shape)), n_clusters, dtype=dtype, seed=seed
        ),
        st.lists(st.integers(0, 7), min_size=1, max_size=4),
        st.sampled_from([0, 0.02, 0.3, 0.9, 1]),
        st.integers(1, 300),
        st.sampled_from([np.float16, np.float32]),
        st.integers(0, 99),
    ),
)
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**60), 2**60),
        st.text(st.characters(codec="utf-8"), max_size=5),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("aZ é"), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(
    st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=6), TENSORS, max_size=4),
    st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), JSON, max_size=3),
    st.booleans(),
    st.sampled_from(["smallest", "gaps", "fillers", "bitmap"]),
)
def test_any_model_comes_back(tensors, metadata, store_names, index):
    model = CompressedModel(tensors, metadata)
    data = save(model, store_names=store_names, index=index)
    assert_same(load(data), model, names=store_names)
    assert sum(size.n_bytes for size in sizes(data)) + container.file_bytes(data) == len(data)
    assert save(load(data), store_names=store_names, index=index) == data


@pytest.mark.parametrize("order", [">", "<", "="])
@pytest.mark.parametrize("code", DTYPES)
def test_dtypes_come_back(code, order):
    values = np.array([[0, 1, 1], [1, 0, 0]]).astype(np.dtype(code).newbyteorder(order))
    back = load(save(CompressedModel({"w": DenseTensor(values.T)}))).tensors["w"].values
    assert back.dtype == np.dtype(code)
    assert back.tolist() == values.T.tolist()


def test_floats_come_back_bit_for_bit():
    values = np.array([np.nan, -0.0, np.inf, 1e-45, 3.4e38], dtype=np.float32)
    back = load(save(CompressedModel({"w": DenseTensor(values)}))).tensors["w"].values
    assert back.tobytes() == values.tobytes()


def test_many_clusters():
    tensor = sparse_tensor((70, 70), 2000, 300)
    assert tensor.indices.dtype == np.uint16
    assert_same_tensor(load(save(CompressedModel({"w": tensor}))).tensors["w"], tensor)


def test_order_of_the_dictionary_does_not_matter():
    model = tiny_model()
    turned = CompressedModel(dict(reversed(model.tensors.items())), dict(reversed(model.metadata.items())))
    assert save(turned) == save(model)
    names = list(load(save(model)).tensors)
    assert names[:3] == ["conv2.bias", "conv2.weight", "conv10.weight"]
    assert names[3:] == ["empty.weight", "norm.mean", "norm.n"]


def test_natural_order():
    names = ["a", "a1", "a01", "a2b", "a10", "b", "", "10", "9", "é"]
    assert sorted(names, key=natural_order) == ["", "9", "10", "a", "a01", "a1", "a2b", "a10", "b", "é"]


def test_one_tensor_alone():
    model = tiny_model()
    data = save(model)
    for number, name in enumerate(load(data).tensors):
        assert_same_tensor(load_tensor(data, name), model.tensors[name])
        assert_same_tensor(load_tensor(data, number), model.tensors[name])
    for wrong in ("conv3.weight", 6, -1):
        with pytest.raises(ContainerError, match="tensor: got"):
            load_tensor(data, wrong)


def test_one_tensor_can_be_read_when_another_is_damaged():
    data = bytearray(save(tiny_model()))
    data[-8 - 14] ^= 1  # in the last tensor
    assert_same_tensor(load_tensor(bytes(data), "norm.mean"), tiny_model().tensors["norm.mean"])
    with pytest.raises(ContainerError, match=r"norm\.n: checksum"):
        load_tensor(bytes(data), "norm.n")


def test_sizes_add_up_and_are_the_tensors():
    model = tiny_model()
    data = save(model)
    for size in sizes(data):
        tensor = model.tensors[size.name]
        assert (size.shape, size.n_weights, size.n_kept) == (tensor.shape, tensor.n_weights, tensor.n_kept)
        assert size.checksum_bytes == 4
        if isinstance(tensor, DenseTensor):
            assert size.dense_bytes == tensor.values.nbytes
            assert size.n_bytes == size.dense_bytes + size.header_bytes + 4
        else:
            scales = 0 if tensor.row_scales is None else tensor.row_scales.codebook.nbytes
            assert size.n_clusters == tensor.n_clusters
            assert size.codebook_bytes == tensor.codebook.nbytes + scales
    assert container.file_bytes(data) == 8 + 6 + 40 + 1 + sum(2 + len(name) for name in model.tensors)
    assert sum(size.n_bytes for size in sizes(data)) + container.file_bytes(data) == len(data)


def test_values_take_what_huffmans_code_takes():
    rng = np.random.default_rng(0)
    indices = rng.choice(32, 50_000, p=np.arange(1, 33) / 528).astype(np.uint8)
    tensor = SharedTensor((500, 100), np.arange(32).astype(np.float32), None, indices)
    (size,) = sizes(save(CompressedModel({"w": tensor})))
    counts = np.bincount(indices)
    assert size.values_bits == oracles.huffman_slow(counts)[0]
    assert size.index_bits == 0
    assert size.table_bits < 32 * 4


def test_few_clusters_are_spelt_in_blocks():
    """A symbol of probability 0.9 has 0.47 bits of entropy; one by one it would cost a whole bit."""
    indices = (np.random.default_rng(0).random(20_000) > 0.9).astype(np.uint8)
    tensor = SharedTensor((20_000,), np.float32([0, 1]), None, indices)
    data = save(CompressedModel({"w": tensor}))
    assert sizes(data)[0].values_bits < 0.5 * 20_000
    assert_same_tensor(load(data).tensors["w"], tensor)


def test_what_cannot_be_stored():
    for metadata in ({"x": np.nan}, {"x": {1, 2}}, {"x": np.float32(1)}, {1: 2, "a": 3}):
        with pytest.raises(ContainerError, match="metadata"):
            save(CompressedModel({}, metadata))
    with pytest.raises(ContainerError, match=r"big.*dtype"):
        save(CompressedModel({"big": DenseTensor(np.zeros(2, np.complex64))}))
    with pytest.raises(ContainerError, match=r"many.*axes"):
        save(CompressedModel({"many": DenseTensor(np.zeros((1,) * 9))}))
    with pytest.raises(ContainerError, match=r"raw.*ndarray"):
        save(CompressedModel({"raw": np.zeros(3)}))
    with pytest.raises(ContainerError, match="name"):
        save(CompressedModel({"n" * 2000: DenseTensor(np.zeros(3))}))
    with pytest.raises(ContainerError, match="surrogates"):
        save(CompressedModel({"\ud800": DenseTensor(np.zeros(3))}))
    with pytest.raises(ContainerError, match="metadata"):
        save(CompressedModel({}, {"x": "y" * (1 << 21)}))
    with pytest.raises(ContainerError, match=r"metadata: got the key 1, expected text"):
        save(CompressedModel({}, {"x": [{1: "a"}]}))
    nested = []
    nested.append(nested)
    with pytest.raises(ContainerError, match=r"metadata: got more than 64"):
        save(CompressedModel({}, {"x": nested}))
    with pytest.raises(ValueError, match="index: got 'tiny'"):
        save(tiny_model(), index="tiny")


def test_files(tmp_path):
    path = tmp_path / "model.dcz"
    assert container.save_file(tiny_model(), path) == len(path.read_bytes())
    assert_same(container.load_file(path), tiny_model())
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.dcz"
    container.save_file(tiny_model(), path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="no space"):
        container.save_file(CompressedModel({}), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_errors_of_files_begin_with_the_path(tmp_path):
    path = tmp_path / "broken.dcz"
    path.write_bytes(b"PK\x03\x04 not ours at all")
    with pytest.raises(ContainerError, match=r"broken\.dcz: file"):
        container.load_file(path)
    with pytest.raises(FileNotFoundError):
        container.load_file(tmp_path / "missing.dcz")


def test_more_than_the_reader_allows():
    data = save(CompressedModel({"a": DenseTensor(np.zeros(600)), "b": DenseTensor(np.zeros(600))}))
    each = 600 * (8 + 4)  # the float64 values, and the float32 that a network needs
    assert load(data, max_dense_bytes=2 * each).tensors["b"].shape == (600,)
    with pytest.raises(ContainerError, match=r"b: values.*max_dense_bytes"):
        load(data, max_dense_bytes=2 * each - 1)
    with pytest.raises(ContainerError, match=r"b: shape.*max_dense_bytes"):
        load(data, max_dense_bytes=each + 4 * 600 - 1)
    assert load_tensor(data, "b", max_dense_bytes=each).shape == (600,)
    with pytest.raises(ContainerError, match="b: values"):
        load_tensor(data, "b", max_dense_bytes=each - 1)


@pytest.mark.parametrize("density", [0.05, 0.5])
def test_memory_is_in_proportion(density):
    """Writing, and reading and unpacking, take at most 2.5 times the dense tensor, the model included."""
    rng = np.random.default_rng(0)
    shape = (1024, 512, 3, 3)
    dense_bytes = 4 * int(np.prod(shape))
    small = CompressedModel({"w": sparse_tensor((8, 8, 3, 3), 40, 8)})
    load(save(small)).tensors["w"].to_dense()  # what is compiled or imported on the way is not counted
    tracemalloc.start()
    kept = rng.random(np.prod(shape), dtype=np.float32) < density
    indices = rng.binomial(31, 0.5, np.count_nonzero(kept)).astype(np.uint8)
    tensor = SharedTensor(shape, np.arange(32, dtype=np.float32), np.flatnonzero(kept), indices)
    del kept, indices
    tracemalloc.reset_peak()
    data = save(CompressedModel({"w": tensor}))
    writing = tracemalloc.get_traced_memory()[1]
    del tensor
    tracemalloc.reset_peak()
    load(data).tensors["w"].to_dense()
    reading = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert writing < 2.5 * dense_bytes
    assert reading < 2.5 * dense_bytes
