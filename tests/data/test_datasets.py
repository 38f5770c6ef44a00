"""``load_dataset``: the same arrays from every layout, in the stated order of search, or one clear line."""

import gzip
import hashlib
import os
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from test_readers import batch_bytes, idx_bytes, write_parquet

from common.data import cache as array_cache
from common.data import catalog, datasets, downloads
from common.data import readers as image_layouts
from common.data.cache import content_sha256, read_arrays, write_arrays
from common.data.catalog import CATALOG, SPLITS
from common.data.datasets import DatasetNotFoundError, load_dataset, locate_dataset
from common.data.readers import canonical_order, image_digests

PREPARED = Path(os.environ.get("DNNC_DATA", "/nowhere"))  # before the tests below hide it
RNG = np.random.default_rng(1)
COLOUR = RNG.integers(0, 256, (40, 3, 32, 32), np.uint8)
LABELS = RNG.integers(0, 10, 40)
ORDERED = canonical_order(COLOUR, LABELS)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """An empty cache for every test, no prepared data, no network."""
    monkeypatch.setenv("DNNC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DNNC_DATA", raising=False)
    monkeypatch.setenv("DNNC_OFFLINE", "1")


@pytest.fixture
def small_cifar(monkeypatch):
    """The catalog as if CIFAR-10's test split were our forty images."""
    known = catalog.SetFacts(
        **(vars(CATALOG["cifar10"]) | {"n_test": 40, "test_sha256": content_sha256(*ORDERED)})
    )
    monkeypatch.setitem(CATALOG, "cifar10", known)


def put_parquet(root, order=slice(None), images=COLOUR):
    write_parquet(root / "cifar10" / "test-0.parquet", images[order], LABELS[order])


def put_batches(root, monkeypatch):
    data = batch_bytes(COLOUR, LABELS)
    (root / "cifar-10-batches-py").mkdir(parents=True)
    (root / "cifar-10-batches-py" / "test_batch").write_bytes(data)
    digests = {"test_batch": hashlib.md5(data).hexdigest()}
    monkeypatch.setitem(image_layouts.BATCH_MD5, ("cifar10", "test"), digests)


def assert_is_small_cifar(image_set):
    assert np.array_equal(image_set.images, ORDERED[0])
    assert np.array_equal(image_set.labels, ORDERED[1])
    assert image_set.sha256 == content_sha256(*ORDERED)
    assert image_set.name == "cifar10"
    assert image_set.classes == CATALOG["cifar10"].classes
    assert len(image_set) == 40


@pytest.mark.parametrize("seed", range(3))
def test_every_layout_and_order_gives_the_same_arrays(tmp_path, monkeypatch, small_cifar, seed):
    shuffled = np.random.default_rng(seed).permutation(40)
    put_parquet(tmp_path / "hub", shuffled)
    put_batches(tmp_path / "torchvision", monkeypatch)
    from_hub = load_dataset("cifar10", "test", root=tmp_path / "hub")
    for path in (tmp_path / "cache" / "arrays").iterdir():
        path.unlink()
    from_batches = load_dataset("cifar10", "test", root=tmp_path / "torchvision")
    assert_is_small_cifar(from_hub)
    assert_is_small_cifar(from_batches)


def test_search_goes_from_root_to_environment_to_cache(tmp_path, monkeypatch, small_cifar):
    places = {place: tmp_path / place for place in ("root", "data", "cache")}
    for folder in places.values():
        put_parquet(folder)
    monkeypatch.setenv("DNNC_DATA", str(places["data"]))
    read, reading = [], datasets.read_parquet

    def noting(root, *rest):
        read.append(root)
        return reading(root, *rest)

    monkeypatch.setattr(datasets, "read_parquet", noting)
    monkeypatch.setattr(datasets, "write_arrays", lambda *_: False)  # so that every call has to look
    assert_is_small_cifar(load_dataset("cifar10", "test", root=places["root"]))
    assert_is_small_cifar(load_dataset("cifar10", "test"))
    monkeypatch.delenv("DNNC_DATA")
    assert_is_small_cifar(load_dataset("cifar10", "test"))
    assert read == list(places.values())


def test_locate_tells_where_and_reads_for_it(tmp_path, monkeypatch, small_cifar):
    put_parquet(tmp_path / "data")
    monkeypatch.setenv("DNNC_DATA", str(tmp_path / "data"))
    assert locate_dataset("cifar10", "test") == f"DNNC_DATA {tmp_path / 'data'}"
    assert locate_dataset("cifar10", "test") == f"the cache {tmp_path / 'cache'}, decoded"
    assert locate_dataset("digits8x8", "test") == "the installed packages"
    with pytest.raises(DatasetNotFoundError):
        locate_dataset("cifar100", "test")


def test_second_load_reads_no_source(tmp_path, monkeypatch, small_cifar):
    put_parquet(tmp_path / "data")
    load_dataset("cifar10", "test", root=tmp_path / "data")
    monkeypatch.setattr(datasets, "_find", None)
    assert_is_small_cifar(load_dataset("cifar10", "test"))


def test_nothing_to_be_had_is_one_line_that_lists_what_was_tried(tmp_path, monkeypatch):
    monkeypatch.setenv("DNNC_DATA", str(tmp_path / "data"))
    with pytest.raises(DatasetNotFoundError) as caught:
        load_dataset("cifar10", "train", root=tmp_path / "mine")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("cifar10/train not found; tried ")
    for place in (
        "root {}/mine (no such folder)",
        "DNNC_DATA {}/data (no such folder)",
        "the cache {}/cache (not there)",
    ):
        assert place.format(tmp_path) in message
    assert "the network" not in message, "DNNC_OFFLINE forbids it"
    assert "put cifar-10-python.tar.gz or cifar10/*.parquet in a folder and set DNNC_DATA to it" in message


def test_network_is_asked_last_and_its_failure_told(monkeypatch):
    def fail(files, folder):
        raise downloads.DownloadError("one.example: no answer within 6 s; two.example: HTTP 503")

    monkeypatch.setenv("DNNC_OFFLINE", "0")
    monkeypatch.setattr(datasets, "fetch", fail)
    with pytest.raises(DatasetNotFoundError, match=r"the network \(one\.example: no answer within 6 s; two"):
        load_dataset("mnist", "test")
    with pytest.raises(DatasetNotFoundError) as caught:
        load_dataset("mnist", "test", download=False)
    assert "the network" not in str(caught.value)


def test_download_lands_in_the_cache_and_is_read_from_there(tmp_path, monkeypatch, small_cifar):
    monkeypatch.setenv("DNNC_OFFLINE", "0")
    monkeypatch.setattr(datasets, "fetch", lambda files, folder: put_batches(folder, monkeypatch))
    assert_is_small_cifar(load_dataset("cifar10", "test"))
    assert (tmp_path / "cache" / "cifar-10-batches-py").is_dir()


def test_broken_copy_is_told_and_passed_over(tmp_path, monkeypatch, small_cifar):
    put_parquet(tmp_path / "broken")
    path = tmp_path / "broken" / "cifar10" / "test-0.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    put_parquet(tmp_path / "sound")
    monkeypatch.setenv("DNNC_DATA", str(tmp_path / "sound"))
    with pytest.warns(UserWarning, match=r"test is broken in root .*cannot be read.*; read from DNNC_DATA"):
        assert_is_small_cifar(load_dataset("cifar10", "test", root=tmp_path / "broken"))


@pytest.mark.parametrize("damage", ["one pixel", "one label", "an image less"])
def test_other_content_is_refused(tmp_path, small_cifar, damage):
    images, order = COLOUR.copy(), slice(None)
    if damage == "one pixel":
        images[7, 1, 3, 4] ^= 1
    if damage == "an image less":
        order = slice(39)
    put_parquet(tmp_path, order, images)
    if damage == "one label":
        write_parquet(tmp_path / "cifar10" / "test-0.parquet", COLOUR, (LABELS + (np.arange(40) == 3)) % 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the reason is told once: in the error
        with pytest.raises(
            DatasetNotFoundError, match=r"(39|40) images that are not those of the published set"
        ):
            load_dataset("cifar10", "test", root=tmp_path)


@pytest.mark.parametrize("inner", ["cifar10", "cifar10/plain_text", "cifar-10-batches-py"])
def test_a_root_one_level_too_deep_is_read(tmp_path, monkeypatch, small_cifar, inner):
    if inner.startswith("cifar10"):
        put_parquet(tmp_path)
    else:
        put_batches(tmp_path, monkeypatch)
    if inner == "cifar10/plain_text":
        (tmp_path / inner).mkdir()
        for path in (tmp_path / "cifar10").glob("*.parquet"):
            path.rename(tmp_path / inner / path.name)
    monkeypatch.setenv("DNNC_DATA", str(tmp_path / inner))
    assert_is_small_cifar(load_dataset("cifar10", "test"))


def test_what_was_looked_for_and_found_is_told(tmp_path, monkeypatch):
    (tmp_path / "cifar").mkdir()
    monkeypatch.setenv("DNNC_DATA", str(tmp_path))
    with pytest.raises(DatasetNotFoundError) as error:
        load_dataset("cifar10", "test", download=False)
    assert (
        "looked for cifar10/test-*.parquet, cifar-10-batches-py/ or cifar-10-python.tar.gz; found cifar/"
        in str(error.value)
    )
    monkeypatch.setenv("DNNC_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DatasetNotFoundError, match="no such folder"):
        load_dataset("mnist", "test", download=False)


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="name='imagenet' is not a data set; expected one of cifar10"):
        load_dataset("imagenet", "test")
    with pytest.raises(ValueError, match="split='validation' should be one of train, test"):
        load_dataset("digits", "validation")


@pytest.mark.parametrize("name", ["digits", "digits8x8"])
def test_embedded_sets_need_no_folder_and_no_network(name, monkeypatch):
    monkeypatch.setattr(datasets, "fetch", None)
    known = CATALOG[name]
    seen = []
    for split, n_images in (("train", known.n_train), ("test", known.n_test)):
        image_set = load_dataset(name, split)
        assert image_set.images.shape == (n_images, *known.image_shape)
        assert image_set.images.dtype == np.uint8
        assert image_set.images.max() == 255
        assert image_set.sha256 == content_sha256(image_set.images, image_set.labels) == known.sha256(split)
        seen.append(np.bincount(image_set.labels, minlength=10) / n_images)
    assert np.abs(seen[0] - seen[1]).max() < 0.005, "stratified: the classes' shares agree"


def test_no_digit_is_in_both_splits():
    train, test = (load_dataset("digits", split) for split in SPLITS)
    assert not set(image_digests(train.images)) & set(image_digests(test.images))


@pytest.mark.slow
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", CATALOG)
def test_real_sets_are_the_published_ones(name, split, monkeypatch):
    """With the prepared data or the user's cache at hand: content, counts and classes as published."""
    monkeypatch.undo()
    try:
        image_set = load_dataset(name, split)
    except DatasetNotFoundError as error:
        pytest.skip(str(error).partition(";")[0])
    known = CATALOG[name]
    n_images = {"train": known.n_train, "test": known.n_test}[split]
    assert image_set.images.shape == (n_images, *known.image_shape)
    assert image_set.labels.shape == (n_images,)
    assert image_set.labels.dtype == np.int64
    assert content_sha256(image_set.images, image_set.labels) == known.sha256(split)
    counts = np.bincount(image_set.labels, minlength=len(known.classes))
    assert (counts > 0).all()
    if name.startswith("cifar"):
        assert (counts == n_images / len(known.classes)).all()


def test_real_cifar_is_the_same_in_torchvisions_layout(tmp_path, monkeypatch):
    """The published test images, packed into a batch as torchvision has them, give the same set."""
    arrays = image_layouts.read_parquet(PREPARED, "cifar10", "test")
    if arrays is None:
        pytest.skip("no Parquet files of CIFAR-10 on this machine")
    data = batch_bytes(*arrays)
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(data)
    digests = {"test_batch": hashlib.md5(data).hexdigest()}
    monkeypatch.setitem(image_layouts.BATCH_MD5, ("cifar10", "test"), digests)
    assert load_dataset("cifar10", "test", root=tmp_path).sha256 == CATALOG["cifar10"].test_sha256


def test_real_mnist_is_the_same_unpacked(tmp_path):
    packed = PREPARED / "MNIST" / "raw"
    if not packed.is_dir():
        pytest.skip("no MNIST on this machine")
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for path in packed.glob("t10k-*.gz"):
        (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    assert load_dataset("mnist", "test", root=tmp_path).sha256 == CATALOG["mnist"].test_sha256


def test_order_is_that_of_the_digests():
    images, labels = ORDERED
    digests = [hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in images]
    slow = [int.from_bytes(digest, "big") for digest in digests]
    assert slow == sorted(slow)
    assert np.array_equal(image_digests(images), np.array(slow, dtype=np.uint64))
    position = next(i for i, image in enumerate(COLOUR) if np.array_equal(image, images[0]))
    assert LABELS[position] == labels[0], "labels stay with their images"


def test_equal_images_are_ordered_by_label():
    twins = np.repeat(COLOUR[:1], 4, axis=0)
    assert canonical_order(twins, np.array([3, 1, 2, 1]))[1].tolist() == [1, 1, 2, 3]


def test_content_checksum_is_that_of_shapes_pixels_and_labels():
    images, labels = np.arange(8, dtype=np.uint8).reshape(2, 1, 2, 2), np.array([5, 6])
    shapes = np.array([2, 1, 2, 2, 2], "<i8").tobytes()
    by_hand = shapes + bytes(range(8)) + b"\5" + bytes(7) + b"\6" + bytes(7)
    assert content_sha256(images, labels) == hashlib.sha256(by_hand).hexdigest()
    assert content_sha256(images.reshape(2, 1, 1, 4), labels) != content_sha256(images, labels)


class TestCache:
    """The cache of decoded arrays: a file in it is right, or as good as absent."""

    SHA256 = content_sha256(*ORDERED)

    def path(self):
        (path,) = (array_cache.user_cache() / "arrays").iterdir()
        return path

    def test_what_is_written_is_read(self):
        assert write_arrays("set", *ORDERED, self.SHA256)
        images, labels = read_arrays("set", self.SHA256, (3, 32, 32))
        assert np.array_equal(images, ORDERED[0])
        assert np.array_equal(labels, ORDERED[1])
        assert read_arrays("other", self.SHA256, (3, 32, 32)) is None
        assert read_arrays("set", "0" * 64, (3, 32, 32)) is None

    def test_file_cut_short_anywhere_is_not_read(self):
        write_arrays("set", *ORDERED, self.SHA256)
        sound = self.path().read_bytes()
        for n_bytes in [*range(200), *range(200, len(sound), 997), len(sound) - 1]:
            self.path().write_bytes(sound[:n_bytes])
            assert read_arrays("set", self.SHA256, (3, 32, 32)) is None

    def test_altered_byte_is_noticed(self):
        write_arrays("set", *ORDERED, self.SHA256)
        sound = self.path().read_bytes()
        for position in [*range(130), 5000, len(sound) - 400, len(sound) - 1]:
            damaged = bytearray(sound)
            damaged[position] ^= 1
            self.path().write_bytes(damaged)
            assert read_arrays("set", self.SHA256, (3, 32, 32)) is None

    def test_set_in_a_damaged_cache_is_decoded_again_and_the_cache_mended(self, tmp_path, small_cifar):
        put_parquet(tmp_path / "data")
        load_dataset("cifar10", "test", root=tmp_path / "data")
        self.path().write_bytes(b"not an array")
        assert_is_small_cifar(load_dataset("cifar10", "test", root=tmp_path / "data"))
        assert read_arrays("cifar10-test", self.SHA256, (3, 32, 32)) is not None

    def test_other_shape_is_not_the_set(self):
        write_arrays("set", *ORDERED, self.SHA256)
        assert read_arrays("set", self.SHA256, (3, 16, 64)) is None
        assert read_arrays("set", self.SHA256, (1, 28, 28)) is None

    def test_interrupted_write_leaves_nothing(self, monkeypatch):
        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(array_cache.os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_arrays("set", *ORDERED, self.SHA256)
        assert list((array_cache.user_cache() / "arrays").iterdir()) == []

    def test_cache_that_cannot_be_written_does_no_harm(self, tmp_path, monkeypatch, small_cifar):
        (tmp_path / "file").write_text("in the way")
        monkeypatch.setenv("DNNC_CACHE", str(tmp_path / "file" / "cache"))
        put_parquet(tmp_path / "data")
        assert not write_arrays("set", *ORDERED, self.SHA256)
        assert_is_small_cifar(load_dataset("cifar10", "test", root=tmp_path / "data"))

    def test_default_folder_is_the_platforms(self, monkeypatch):
        monkeypatch.delenv("DNNC_CACHE")
        assert array_cache.user_cache().name == "dnnc"


def test_second_load_of_cifar_takes_less_than_a_second(monkeypatch):
    monkeypatch.undo()
    try:
        load_dataset("cifar10", "train")
    except DatasetNotFoundError:
        pytest.skip("CIFAR-10 is not on this machine")
    best_s = min(_cpu_seconds(lambda: load_dataset("cifar10", "train")) for _ in range(2))
    assert best_s < 1.0


def _cpu_seconds(action):
    """Processor time, which other programs on the machine do not disturb."""
    start = time.process_time()
    action()
    return time.process_time() - start


def test_catalog_is_consistent():
    for known in CATALOG.values():
        assert len(set(known.classes)) == len(known.classes)
        assert len(known.mean) == len(known.std) == known.image_shape[0]
        assert len(known.train_sha256) == len(known.test_sha256) == 64
    assert len(CATALOG["cifar100"].classes) == 100
    assert list(CATALOG["cifar100"].classes) == sorted(CATALOG["cifar100"].classes)


def test_idx_helper_of_these_tests_is_the_published_format():
    assert idx_bytes(np.array([[1, 2]])) == b"\0\0\x08\x02\0\0\0\x01\0\0\0\x02\x01\x02"
