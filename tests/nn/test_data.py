"""Data sets: files that are right, files that are damaged, and no files at all."""

import gzip
import hashlib
import http.server
import logging
import socket
import sys
import threading
import time

import numpy as np
import pytest

from nn import data
from nn.idx import DataError, read_idx

TRAIN, TEST = 30, 20
NAMES = tuple(data._ARCHIVES)


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
    """A small MNIST, no cache, and no mirror that answers."""
    monkeypatch.setattr(data, "_ARCHIVES", {name: (a.shape, "") for name, a in contents.items()})
    monkeypatch.setattr(data, "_MIRRORS", ("http://127.0.0.1:9/",))
    monkeypatch.setattr(data, "_cache", lambda: tmp_path / "cache" / "mnist")
    monkeypatch.delenv("MATODE_DATA_DIR", raising=False)
    return tmp_path


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
        (idx(np.zeros((30, 28, 27))), r"has shape \(30, 28, 27\), expected \(30, 28, 28\)"),
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
        monkeypatch.setattr(data, "_MIRRORS", (f"http://127.0.0.1:{server.getsockname()[1]}/",))
        assert _seconds_without_network(monkeypatch) < 2


def test_a_name_that_is_never_resolved_costs_little_time(elsewhere, monkeypatch):
    """No timeout of a socket covers the look-up of its name."""
    pytest.importorskip("pooch")
    monkeypatch.setattr(data, "_MIRRORS", ("http://one.invalid/", "http://two.invalid/"))
    resolved = threading.Event()

    def urlopen(*args, **options):
        resolved.wait(3)
        raise OSError

    monkeypatch.setattr(data.urllib.request, "urlopen", urlopen)
    seconds = _seconds_without_network(monkeypatch)
    resolved.set()
    assert seconds < 2


def _seconds_without_network(monkeypatch):
    monkeypatch.setattr(data, "_PROBE_SECONDS", 0.3)
    began = time.monotonic()
    with pytest.raises(FileNotFoundError, match=r"no mirror answered within 0\.3 s"):
        data.load("mnist")
    return time.monotonic() - began


def test_default_patience_is_below_five_seconds():
    assert data._PROBE_SECONDS < 5


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

    hashes = {name: (a.shape, hashlib.sha256(served[f"/{name}.gz"]).hexdigest()) for name, a in contents.items()}
    monkeypatch.setattr(data, "_ARCHIVES", hashes)
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(data, "_MIRRORS", ("http://127.0.0.1:9/", f"http://127.0.0.1:{server.server_port}/"))
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
    with pytest.raises(ValueError, match="expected 'mnist', 'digits' or 'auto'"):
        data.load("cifar")
