"""Data sets: files that are right, files that are damaged, and no files at all."""

import gzip
import hashlib
import http.server
import io
import logging
import socket
import sys
import tarfile
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from nn import data
from nn.data import DataError, downloads
from nn.data.idx import read_idx

TRAIN, TEST = 30, 20
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(array):
    """The IDX file of an array of bytes."""
    header = b"\x00\x00\x08" + bytes([array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def contents():
    rng = np.random.default_rng(0)
    shapes = ((TRAIN, 28, 28), (TRAIN,), (TEST, 28, 28), (TEST,))
    return {
        name: rng.integers(0, 256 if len(shape) == 3 else 10, shape) for name, shape in zip(NAMES, shapes, strict=True)
    }


@pytest.fixture
def elsewhere(contents, monkeypatch, tmp_path):
    """No cache, no data directory, and no mirror that answers."""
    for name in data._SOURCES:
        served_by(name, monkeypatch, mirrors=("http://127.0.0.1:9/",))
    monkeypatch.setattr(downloads, "_cache", lambda: tmp_path / "cache")
    monkeypatch.delenv("MATODE_DATA_DIR", raising=False)
    return tmp_path


def served_by(name, monkeypatch, **changes):
    monkeypatch.setitem(data._SOURCES, name, replace(data._SOURCES[name], **changes))


@pytest.fixture
def folder(elsewhere, contents, monkeypatch):
    """The data directory: two of the files gzipped, two raw."""
    monkeypatch.setenv("MATODE_DATA_DIR", str(elsewhere))
    folder = elsewhere / "mnist"
    folder.mkdir()
    for k, (name, array) in enumerate(contents.items()):
        if k % 2:
            (folder / name).write_bytes(idx(array))
        else:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
    return folder


def test_mnist_from_files(folder, contents):
    found = data.load("mnist")
    assert found.name == "mnist"
    assert str(folder) in found.reason
    assert found.features == 784
    images = contents[NAMES[0]] / contents[NAMES[0]].max()
    assert found.x_train.shape == (TRAIN, 1, 28, 28)
    assert found.x_test.shape == (TEST, 1, 28, 28)
    assert found.x_train.dtype == found.x_test.dtype == np.float32
    assert found.y_train.dtype == np.int64
    np.testing.assert_allclose(found.x_train[:, 0], images - images.mean(axis=0), atol=1e-6)
    expected = contents[NAMES[2]] / contents[NAMES[0]].max() - images.mean(axis=0)
    np.testing.assert_allclose(found.x_test[:, 0], expected, atol=1e-6)
    np.testing.assert_array_equal(found.y_train, contents[NAMES[1]])
    np.testing.assert_array_equal(found.y_test, contents[NAMES[3]])


def test_mnist_from_the_cache(folder, elsewhere, monkeypatch):
    monkeypatch.delenv("MATODE_DATA_DIR")
    (elsewhere / "cache").mkdir()
    folder.rename(elsewhere / "cache" / "mnist")
    assert "cache" in data.load("auto").reason


def test_head_is_a_view(folder):
    found = data.load("mnist")
    part = found.head(5, 4)
    assert (len(part.x_train), len(part.y_train), len(part.x_test), len(part.y_test)) == (5, 5, 4, 4)
    assert np.shares_memory(part.x_train, found.x_train)


@pytest.mark.parametrize("name", ["mnist", "auto"])
@pytest.mark.parametrize("which", range(4))
def test_truncated_file_is_named(which, name, folder):
    """A file that is there and damaged is an error, never a reason to use other data."""
    path = next(folder.glob(f"{NAMES[which]}*"))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="is damaged") as caught:
        data.load(name)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no IDX file .* begins with nothing"),
        (b"\x00\x00\x08", "no IDX file"),
        (b"<html>not found</html>", "no IDX file"),
        (b"\x00\x00\x0d\x01\x00\x00\x00\x01\x00\x00\x00\x00", "no IDX file of unsigned bytes"),
        (b"\x00\x00\x08\x03\x00\x00", "is damaged"),
        (idx(np.zeros((30, 28, 27))), r"has shape \(30, 28, 27\), expected \(any, 28, 28\)"),
        (idx(np.zeros(30)), r"has shape \(30,\), expected \(any, 28, 28\)"),
        (idx(np.zeros((0, 28, 28))), r"has 0 images, and .*train-labels-idx1-ubyte has 30 labels"),
        (idx(np.zeros((31, 28, 28))), r"has 31 images, and .*train-labels-idx1-ubyte has 30 labels"),
        (idx(np.zeros((30, 28, 28))) + b"\x00", "is damaged: it has 23537 bytes, where its header asks for 23536"),
        (gzip.compress(idx(np.zeros((30, 28, 28))), mtime=0)[:40], "gzip stream"),
        (b"\x1f\x8b\x08\x00garbage", "gzip stream"),
        (gzip.compress(bytes(100), mtime=0)[:10] + b"\xff" * 30, "gzip stream"),
    ],
)
def test_damaged_files_are_refused(content, message, folder):
    path = folder / f"{NAMES[0]}.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        data.mnist()
    assert str(path) in str(caught.value)


def test_files_without_an_example_are_refused(folder):
    for name, shape in zip(NAMES[2:], ((0, 28, 28), (0,)), strict=True):
        next(folder.glob(f"{name}*")).unlink()
        (folder / name).write_bytes(idx(np.zeros(shape)))
    with pytest.raises(DataError, match="has 0 images"):
        data.mnist()


def test_label_that_is_no_digit_is_refused(folder, contents):
    (folder / NAMES[1]).write_bytes(idx(contents[NAMES[1]] + 1))
    with pytest.raises(DataError, match="has the label 10: expected 0 to 9") as caught:
        data.mnist()
    assert NAMES[1] in str(caught.value)


def test_idx_of_any_shape(tmp_path):
    array = np.arange(24).reshape(2, 3, 4)
    (tmp_path / "a").write_bytes(idx(array))
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), array)


def test_mnist_that_is_nowhere_says_where_it_was_looked_for(elsewhere, monkeypatch):
    pytest.importorskip("pooch")
    monkeypatch.setenv("MATODE_DATA_DIR", str(elsewhere / "there"))
    with pytest.raises(FileNotFoundError, match="no mirror answered") as caught:
        data.load("mnist")
    assert str(elsewhere / "there" / "mnist") in str(caught.value)
    assert str(elsewhere / "cache" / "mnist") in str(caught.value)


def test_auto_falls_back_to_the_digits_and_says_why(elsewhere):
    pytest.importorskip("sklearn")
    found = data.load("auto")
    assert found.name == "digits"
    assert "instead of MNIST" in found.reason
    assert "no mirror answered" in found.reason


def test_digits():
    pytest.importorskip("sklearn")
    found = data.load("digits")
    assert found.x_train.shape == (1437, 1, 8, 8)
    assert found.x_test.shape == (360, 1, 8, 8)
    assert found.x_train.dtype == np.float32
    np.testing.assert_allclose(found.x_train.mean(axis=0), 0, atol=1e-5)
    assert 0.9 < found.x_train.max() - found.x_train.min() < 2
    assert set(found.y_train) == set(found.y_test) == set(range(10))


def test_a_silent_network_costs_little_time(elsewhere, monkeypatch):
    """A mirror that accepts the connection and never answers."""
    pytest.importorskip("pooch")
    with socket.create_server(("127.0.0.1", 0)) as server:
        served_by("mnist", monkeypatch, mirrors=(f"http://127.0.0.1:{server.getsockname()[1]}/",))
        assert _seconds_without_network(monkeypatch) < 2


def test_a_name_that_is_never_resolved_costs_little_time(elsewhere, monkeypatch):
    """No timeout of a socket covers the look-up of its name."""
    pytest.importorskip("pooch")
    served_by("mnist", monkeypatch, mirrors=("http://one.invalid/", "http://two.invalid/"))
    resolved = threading.Event()

    def urlopen(*args, **options):
        resolved.wait(3)
        raise OSError

    monkeypatch.setattr(downloads.urllib.request, "urlopen", urlopen)
    seconds = _seconds_without_network(monkeypatch)
    resolved.set()
    assert seconds < 2


def _seconds_without_network(monkeypatch):
    monkeypatch.setattr(downloads, "_PROBE_SECONDS", 0.3)
    began = time.monotonic()
    with pytest.raises(FileNotFoundError, match=r"no mirror answered within 0\.3 s"):
        data.load("mnist")
    return time.monotonic() - began


def test_default_patience_is_below_five_seconds():
    assert downloads._PROBE_SECONDS < 5


@pytest.fixture
def mirror(elsewhere, contents, monkeypatch):
    """A mirror on this machine, and what it serves."""
    pytest.importorskip("pooch")
    served = {f"/{name}.gz": gzip.compress(idx(a), mtime=0) for name, a in contents.items()}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200 if self.path in served else 404)
            self.end_headers()

        def do_GET(self):
            self.do_HEAD()
            self.wfile.write(served.get(self.path, b""))

        def log_message(self, *args):
            pass

    hashes = {f"{name}.gz": hashlib.sha256(served[f"/{name}.gz"]).hexdigest() for name in contents}
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        mirrors = ("http://127.0.0.1:9/", f"http://127.0.0.1:{server.server_port}/")
        served_by("mnist", monkeypatch, mirrors=mirrors, archives=hashes)
        yield served
        server.shutdown()
        thread.join()


def test_download_is_checked_and_kept(mirror, elsewhere, contents, monkeypatch):
    said = []
    logger = pytest.importorskip("pooch").get_logger()
    monkeypatch.setattr(logger, "handlers", [logging.Handler()])
    monkeypatch.setattr(logger.handlers[0], "emit", said.append)
    found = data.load("mnist")
    np.testing.assert_array_equal(found.y_train, contents[NAMES[1]])
    assert found.reason == "MNIST, downloaded"
    assert sorted(p.name for p in (elsewhere / "cache" / "mnist").iterdir()) == sorted(f"{n}.gz" for n in NAMES)
    mirror.clear()
    assert "cache" in data.load("mnist").reason
    assert said == []


def test_download_with_a_wrong_checksum_is_refused(mirror, elsewhere):
    mirror[f"/{NAMES[2]}.gz"] += b"\x00"
    with pytest.raises(FileNotFoundError, match="SHA256"):
        data.load("mnist")
    assert not (elsewhere / "cache" / "mnist" / f"{NAMES[2]}.gz").exists()


@pytest.mark.parametrize(
    ("module", "package", "name"), [("pooch", "pooch", "mnist"), ("sklearn.datasets", "scikit-learn", "digits")]
)
def test_missing_library_is_named(module, package, name, elsewhere, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        (ImportError, FileNotFoundError), match=rf"{package}.*not installed: pip install 'matode\[data\]'"
    ):
        data.load(name)


def test_unknown_name_is_refused():
    with pytest.raises(ValueError, match="unknown data set 'cifar10': did you mean 'cifar-10'") as caught:
        data.load("cifar10")
    assert all(repr(name) in str(caught.value) for name in (*data.NAMES, "auto"))
    with pytest.raises(ValueError, match=r"unknown data set 'x': expected one of 'mnist'"):
        data.load("x")


def test_fashion_mnist_has_its_own_folder(folder, contents):
    with pytest.raises(FileNotFoundError, match=r"fashion-mnist.*MATODE_DATA_DIR"):
        data.load("fashion-mnist")
    folder.rename(folder.with_name("fashion-mnist"))
    found = data.load("fashion-mnist")
    assert found.name == "fashion-mnist"
    np.testing.assert_array_equal(found.y_test, contents[NAMES[3]])
    with pytest.raises(FileNotFoundError, match="MNIST is not in"):
        data.load("mnist")


def test_a_folder_that_lacks_a_file_says_which(folder):
    pytest.importorskip("pooch")
    (folder / NAMES[3]).unlink()
    with pytest.raises(FileNotFoundError, match=rf"\(which lacks {NAMES[3]}\).*no mirror.*put its four IDX files"):
        data.load("mnist")


def records(seed, count, labels, classes):
    """A batch file of CIFAR, and what is in it."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    found = rng.integers(0, classes, (count, labels), dtype=np.uint8)
    return np.hstack([found, images.reshape(count, -1)]).tobytes(), images, found[:, -1]


CIFAR = {
    "cifar-10": ([f"data_batch_{k}.bin" for k in range(1, 6)], "test_batch.bin", 1, 10, "cifar-10-batches-bin"),
    "cifar-100": (["train.bin"], "test.bin", 2, 100, "cifar-100-binary"),
}


@pytest.fixture(params=CIFAR)
def cifar(request, elsewhere, monkeypatch):
    """A small CIFAR on disk: its name, folder, training images and labels."""
    names, test, labels, classes, _ = CIFAR[request.param]
    folder = elsewhere / request.param
    folder.mkdir()
    monkeypatch.setenv("MATODE_DATA_DIR", str(elsewhere))
    parts = [records(k, 3 + k, labels, classes) for k in range(len(names))]
    for name, (content, *_) in zip(names, parts, strict=True):
        (folder / name).write_bytes(content)
    (folder / test).write_bytes(records(9, 4, labels, classes)[0])
    return request.param, folder, *(np.concatenate([part[k] for part in parts]) for k in (1, 2))


def assert_cifar(found, name, images, labels):
    assert (found.name, found.classes, found.shape) == (name, CIFAR[name][3], (3, 32, 32))
    np.testing.assert_array_equal(found.y_train, labels)
    assert found.x_test.shape == (4, 3, 32, 32)
    grey = images / 255
    np.testing.assert_allclose(found.x_train, grey - grey.mean(axis=0), atol=1e-6)


def test_cifar_from_batch_files(cifar):
    name, _, images, labels = cifar
    assert_cifar(data.load(name), name, images, labels)


def test_cifar_as_unpacked_from_its_archive(cifar):
    name, folder, images, labels = cifar
    inside = folder / CIFAR[name][4]
    inside.mkdir()
    for path in folder.glob("*.bin"):
        path.rename(inside / path.name)
    assert_cifar(data.load(name), name, images, labels)


def packed(folder, name):
    """Move the batch files of a folder to an archive."""
    archive = folder / f"{name}-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(folder.glob("*.bin")):
            content = path.read_bytes()
            info = tarfile.TarInfo(f"{CIFAR[name][4]}/{path.name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
            path.unlink()
    return archive


def test_cifar_from_its_archive(cifar):
    name, folder, images, labels = cifar
    packed(folder, name)
    assert_cifar(data.load(name), name, images, labels)


def test_damaged_archive_is_named(cifar):
    name, folder, *_ = cifar
    archive = packed(folder, name)
    archive.write_bytes(archive.read_bytes()[:-5000])
    with pytest.raises(DataError, match="is damaged: it cannot be unpacked") as caught:
        data.load(name)
    assert str(archive) in str(caught.value)


def test_archive_without_a_batch_is_named(cifar):
    name, folder, *_ = cifar
    (folder / CIFAR[name][1]).unlink()
    packed(folder, name)
    with pytest.raises(DataError, match=rf"binary\.tar\.gz lacks {CIFAR[name][1]}"):
        data.load(name)


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: c + b"0", lambda c: b""], ids=["cut", "long", "empty"])
def test_damaged_batch_is_named(change, cifar):
    name, folder, *_ = cifar
    path = folder / CIFAR[name][1]
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=r"is damaged: it has .* record") as caught:
        data.load(name)
    assert str(path) in str(caught.value)


def test_class_out_of_range_is_refused(cifar):
    name, folder, *_ = cifar
    _, test, labels, classes, _ = CIFAR[name]
    content = bytearray((folder / test).read_bytes())
    content[labels - 1] = classes
    (folder / test).write_bytes(content)
    with pytest.raises(DataError, match=f"has the label {classes}: expected 0 to {classes - 1}"):
        data.load(name)


def test_cifar_that_is_nowhere_says_what_to_put_where(elsewhere):
    pytest.importorskip("pooch")
    with pytest.raises(FileNotFoundError, match=r"no mirror.*put cifar-10-binary\.tar\.gz, or .* called cifar-10,"):
        data.load("cifar-10")


def test_every_download_has_a_checksum_and_two_mirrors():
    for source in data._SOURCES.values():
        assert len(source.mirrors) == 2
        for digest in source.archives.values():
            assert len(digest) == 64
            assert set(digest) <= set("0123456789abcdef")
    digests = [digest for source in data._SOURCES.values() for digest in source.archives.values()]
    assert len(set(digests)) == len(digests) == 10


def test_split_is_the_seeds_and_loses_nothing(folder, contents):
    whole = data.load("mnist")
    assert len(whole.x_validation) == 0
    first, again, other = (whole.split(7, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.x_validation, again.x_validation)
    assert not np.array_equal(first.x_validation, other.x_validation)
    assert (len(first.x_train), len(first.x_validation)) == (TRAIN - 7, 7)
    images = np.concatenate([first.x_train, first.x_validation])
    labels = np.concatenate([first.y_train, first.y_validation])
    rows = [np.flatnonzero((whole.x_train == x).all(axis=(1, 2, 3))).item() for x in images]
    assert sorted(rows) == list(range(TRAIN))
    assert np.array_equal(labels, whole.y_train[rows])
    assert rows[: TRAIN - 7] == sorted(rows[: TRAIN - 7])
    assert np.array_equal(first.x_test, whole.x_test)


@pytest.mark.parametrize("validation", [-1, TRAIN])
def test_split_that_leaves_nothing_is_refused(validation, folder):
    with pytest.raises(ValueError, match=f"mnist has 30 training examples: cannot put {validation}"):
        data.load("mnist").split(validation)
