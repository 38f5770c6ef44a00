"""Readers of the published layouts: right on sound files, named errors on broken ones, no code ever run."""

import gzip
import hashlib
import io
import os
import pickle
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from common.data import readers as image_layouts
from common.data.readers import read_batches, read_idx, read_parquet

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (20, 3, 32, 32), np.uint8)
GREY = RNG.integers(0, 256, (6, 1, 28, 28), np.uint8)
LABELS = RNG.integers(0, 10, 20)


def encoded(image, form):
    """One image, channels first, as the bytes of a lossless file."""
    pixels = image.transpose(1, 2, 0)
    out = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if len(image) == 1 else pixels).save(out, form, lossless=True)
    return out.getvalue()


def write_parquet(path, images, labels, *, columns=("img", "label"), form="PNG"):
    """A Parquet file with the hub's columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"bytes": encoded(image, form), "path": None} for image in images]
    schema = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({columns[0]: pa.array(rows, schema), columns[1]: pa.array(labels, pa.int64())})
    pq.write_table(table, path, row_group_size=4)


def batch_bytes(images, labels, *, key=b"labels"):
    """A CIFAR batch, pickled with the keys and the protocol of the published ones."""
    return pickle.dumps({b"data": images.reshape(len(images), -1), key: [int(v) for v in labels]}, protocol=2)


@pytest.fixture
def cifar_root(tmp_path, monkeypatch):
    """A folder with CIFAR-10 in torchvision's layout, small, its checksums standing in for the published."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    digests = {}
    for number in range(5):
        data = batch_bytes(COLOUR[4 * number : 4 * number + 4], LABELS[4 * number : 4 * number + 4])
        (folder / f"data_batch_{number + 1}").write_bytes(data)
        digests[f"data_batch_{number + 1}"] = hashlib.md5(data).hexdigest()
    monkeypatch.setitem(image_layouts.BATCH_MD5, ("cifar10", "train"), digests)
    return tmp_path


def test_batches_are_read_in_order(cifar_root):
    images, labels = read_batches(cifar_root, "cifar10", "train")
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert np.array_equal(images, COLOUR)
    assert np.array_equal(labels, LABELS)


def test_batches_are_read_from_the_archive_too(cifar_root):
    folder = cifar_root / "cifar-10-batches-py"
    with tarfile.open(cifar_root / "cifar-10-python.tar.gz", "w:gz") as tar:
        tar.add(folder, "cifar-10-batches-py")
    for path in folder.iterdir():
        path.unlink()
    images, labels = read_batches(cifar_root, "cifar10", "train")
    assert np.array_equal(images, COLOUR)
    assert np.array_equal(labels, LABELS)


def test_truncated_archive_is_named(cifar_root):
    archive = cifar_root / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(cifar_root / "cifar-10-batches-py", "cifar-10-batches-py")
    (cifar_root / "cifar-10-batches-py" / "data_batch_1").unlink()
    archive.write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"cifar-10-python\.tar\.gz"):
        read_batches(cifar_root, "cifar10", "train")


def test_cifar100_has_its_own_names(tmp_path, monkeypatch):
    data = batch_bytes(COLOUR, LABELS, key=b"fine_labels")
    (tmp_path / "cifar-100-python").mkdir()
    (tmp_path / "cifar-100-python" / "test").write_bytes(data)
    digests = {"test": hashlib.md5(data).hexdigest()}
    monkeypatch.setitem(image_layouts.BATCH_MD5, ("cifar100", "test"), digests)
    images, labels = read_batches(tmp_path, "cifar100", "test")
    assert np.array_equal(images, COLOUR)
    assert np.array_equal(labels, LABELS)


def test_altered_batch_is_refused_unopened(cifar_root, monkeypatch):
    path = cifar_root / "cifar-10-batches-py" / "data_batch_3"
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    opened, load = [], image_layouts._ArrayUnpickler.load

    def noting(unpickler):
        opened.append(unpickler)
        return load(unpickler)

    monkeypatch.setattr(image_layouts._ArrayUnpickler, "load", noting)
    with pytest.raises(ValueError, match="data_batch_3 is not the published batch"):
        read_batches(cifar_root, "cifar10", "train")
    assert len(opened) == 2


class Exploit:
    """Pickles as a call of os.mkdir: the harmless stand-in of an attack."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_pickle_that_calls_code_is_refused_even_if_its_checksum_fits(tmp_path, monkeypatch, protocol):
    data = pickle.dumps({b"data": Exploit(tmp_path / "owned"), b"labels": []}, protocol)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "test_batch").write_bytes(data)
    digests = {"test_batch": hashlib.md5(data).hexdigest()}
    monkeypatch.setitem(image_layouts.BATCH_MD5, ("cifar10", "test"), digests)
    with pytest.raises(ValueError, match=r"the pickle asks for .*mkdir: refused"):
        read_batches(tmp_path, "cifar10", "test")
    assert not (tmp_path / "owned").exists()


def test_unpickler_knows_numpys_old_module_names():
    """The published batches name numpy.core.multiarray, which has moved to numpy._core since."""
    data = pickle.dumps(COLOUR, protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core.multiarray" in data
    loaded = image_layouts._ArrayUnpickler(io.BytesIO(data), encoding="bytes").load()
    assert np.array_equal(loaded, COLOUR)


def test_published_checksums_are_torchvisions():
    from torchvision.datasets import CIFAR10, CIFAR100

    for name, theirs in (("cifar10", CIFAR10), ("cifar100", CIFAR100)):
        assert image_layouts.BATCH_MD5[name, "train"] == dict(theirs.train_list)
        assert image_layouts.BATCH_MD5[name, "test"] == dict(theirs.test_list)
        assert image_layouts.BATCH_FOLDERS[name][:2] == (theirs.base_folder, theirs.filename)


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_parquet_is_read_from_the_folder_or_below_it(tmp_path, form):
    write_parquet(tmp_path / "cifar10" / "plain_text" / "train-0.parquet", COLOUR, LABELS, form=form)
    images, labels = read_parquet(tmp_path, "cifar10", "train")
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert np.array_equal(images, COLOUR)
    assert np.array_equal(labels, LABELS)
    assert read_parquet(tmp_path, "cifar10", "test") is None


def test_parquet_in_several_files_is_read_in_the_order_of_their_names(tmp_path):
    write_parquet(tmp_path / "cifar10" / "train-00001-of-00002.parquet", COLOUR[12:], LABELS[12:])
    write_parquet(tmp_path / "cifar10" / "train-00000-of-00002.parquet", COLOUR[:12], LABELS[:12])
    images, labels = read_parquet(tmp_path, "cifar10", "train")
    assert np.array_equal(images, COLOUR)
    assert np.array_equal(labels, LABELS)


def test_grey_parquet_has_one_channel(tmp_path):
    path = tmp_path / "mnist" / "test-0.parquet"
    write_parquet(path, GREY, LABELS[:6], columns=("image", "label"))
    images, _ = read_parquet(tmp_path, "mnist", "test")
    assert np.array_equal(images, GREY)


def test_broken_parquet_is_named(tmp_path):
    path = tmp_path / "cifar10" / "train-0.parquet"
    write_parquet(path, COLOUR, LABELS)
    sound = path.read_bytes()
    for broken in (b"", b"PAR1", sound[:-20], sound[: len(sound) // 2]):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"train-0\.parquet cannot be read"):
            read_parquet(tmp_path, "cifar10", "train")
    write_parquet(path, COLOUR, LABELS, columns=("picture", "label"))
    with pytest.raises(ValueError, match=r"train-0\.parquet cannot be read"):
        read_parquet(tmp_path, "cifar10", "train")


def test_parquet_with_broken_images_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "encoded", lambda image, form: b"no picture")
    write_parquet(tmp_path / "cifar10" / "train-0.parquet", COLOUR, LABELS)
    with pytest.raises(ValueError, match=r"train-0\.parquet cannot be read"):
        read_parquet(tmp_path, "cifar10", "train")


def test_images_of_several_sizes_are_named(tmp_path):
    write_parquet(tmp_path / "cifar10" / "train-0.parquet", [COLOUR[0], COLOUR[1][:, :16]], [0, 1])
    with pytest.raises(ValueError, match="several sizes"):
        read_parquet(tmp_path, "cifar10", "train")


def idx_bytes(array):
    """An idx file of unsigned bytes."""
    shape = b"".join(int(length).to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes()


def write_idx(root, *, images=GREY[:, 0], labels=LABELS[:6], pack=gzip.compress, suffix=".gz"):
    """MNIST's test files in torchvision's layout."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"t10k-images-idx3-ubyte{suffix}").write_bytes(pack(idx_bytes(images)))
    (folder / f"t10k-labels-idx1-ubyte{suffix}").write_bytes(pack(idx_bytes(labels)))
    return folder


@pytest.mark.parametrize(("pack", "suffix"), [(gzip.compress, ".gz"), (bytes, "")])
def test_idx_is_read_packed_or_not(tmp_path, pack, suffix):
    write_idx(tmp_path, pack=pack, suffix=suffix)
    images, labels = read_idx(tmp_path, "mnist", "test")
    assert np.array_equal(images, GREY)
    assert np.array_equal(labels, LABELS[:6])
    assert labels.dtype == np.int64
    assert read_idx(tmp_path, "mnist", "train") is None


def test_idx_cut_short_at_any_place_is_named(tmp_path):
    folder = write_idx(tmp_path, pack=bytes, suffix="")
    path = folder / "t10k-labels-idx1-ubyte"
    sound = path.read_bytes()
    for n_bytes in range(len(sound)):
        path.write_bytes(sound[:n_bytes])
        with pytest.raises(ValueError, match="t10k-labels-idx1-ubyte"):
            read_idx(tmp_path, "mnist", "test")


def test_idx_packed_and_cut_short_or_altered_is_named(tmp_path):
    folder = write_idx(tmp_path)
    path = folder / "t10k-images-idx3-ubyte.gz"
    sound = path.read_bytes()
    for broken in (b"", sound[:9], sound[:-1], sound[:100] + b"\xff" * 8 + sound[108:]):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte\.gz"):
            read_idx(tmp_path, "mnist", "test")


def test_idx_whose_parts_do_not_fit_is_named(tmp_path):
    write_idx(tmp_path, labels=LABELS[:5])
    with pytest.raises(ValueError, match=r"images of shape \(6, 28, 28\), labels of \(5,\)"):
        read_idx(tmp_path, "mnist", "test")


def test_idx_whose_header_claims_too_much_allocates_nothing(tmp_path):
    folder = write_idx(tmp_path, pack=bytes, suffix="")
    huge = bytes([0, 0, 8, 3]) + b"\xff" * 12 + b"1234"
    (folder / "t10k-images-idx3-ubyte").write_bytes(huge)
    with pytest.raises(ValueError, match="holds 4 data bytes"):
        read_idx(tmp_path, "mnist", "test")


@pytest.mark.parametrize("read", [read_batches, read_idx, read_parquet])
@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist", "digits"])
def test_empty_folder_holds_nothing(tmp_path, read, name):
    assert read(tmp_path, name, "train") is None


@pytest.mark.parametrize("inner", ["MNIST/raw", "MNIST", "raw", "mine"])
@pytest.mark.parametrize(
    "form", ["packed", "unpacked", "named .gz but unpacked", "packed without .gz", "dots"]
)
def test_idx_is_found_however_it_lies_and_is_called(tmp_path, inner, form):
    """The folder that is named may be the outer one or an inner one; a name says nothing of the content."""
    folder = tmp_path / "MNIST" / "raw" if "MNIST" in inner else tmp_path / inner
    folder.mkdir(parents=True)
    for kind, values in (
        ("images-idx3-ubyte", GREY[:, 0]),
        ("labels-idx1-ubyte", LABELS[:6].astype(np.uint8)),
    ):
        data = bytes((0, 0, 8, values.ndim)) + np.array(values.shape, ">u4").tobytes() + values.tobytes()
        name = f"t10k-{kind.replace('-idx', '.idx') if form == 'dots' else kind}"
        is_packed = form in ("packed", "packed without .gz")
        suffix = ".gz" if form in ("packed", "named .gz but unpacked") else ""
        (folder / (name + suffix)).write_bytes(gzip.compress(data) if is_packed else data)
    root = tmp_path if inner in ("MNIST/raw", "raw") else tmp_path / inner
    images, labels = read_idx(root, "mnist", "test")
    assert np.array_equal(images, GREY)
    assert np.array_equal(labels, LABELS[:6])
    if inner == "MNIST/raw":
        assert np.array_equal(read_idx(folder, "mnist", "test")[0], GREY)


def test_a_web_page_in_the_place_of_a_file_is_named(tmp_path):
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(b"<!DOCTYPE html><html>")
    with pytest.raises(ValueError, match="is a web page"):
        read_idx(tmp_path, "mnist", "test")


def test_an_archive_that_a_browser_has_unpacked(cifar_root):
    folder = cifar_root / "cifar-10-batches-py"
    with tarfile.open(cifar_root / "cifar-10-python.tar.gz", "w:") as tar:
        tar.add(folder, "cifar-10-batches-py")
    for path in folder.iterdir():
        path.unlink()
    assert np.array_equal(read_batches(cifar_root, "cifar10", "train")[0], COLOUR)
