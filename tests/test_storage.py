"""Files of nested values: bit for bit, the same bytes every time, complete or absent."""

import json
import os
import zipfile

import numpy as np
import pytest

from matode import LowRank, State, storage
from matode._array import default_rng, namespace, to_host
from tests.backends import assert_array, assert_at_home, send

RNG = np.random.default_rng(0)
PARTS = [
    None,
    True,
    0,
    -(2**127) + 1,
    0.1,
    -0.0,
    float("inf"),
    "naïve",
    (),
    [],
    {},
    State(),
    (1, (2.5, [None, {"a/b": "x", "a~1b": (), "": [False]}])),
    default_rng(3).bit_generator.state,
]


@pytest.mark.parametrize("value", PARTS, ids=repr)
def test_plain_values_come_back(value, tmp_path):
    storage.save(tmp_path / "a.npz", value)
    found = storage.load(tmp_path / "a.npz")
    assert repr(found) == repr(value)  # tells -0.0 from 0.0, True from 1, a tuple from a list
    assert type(found) is type(value)


@pytest.mark.parametrize("value", [float("nan"), np.float32(0.1), np.float64("nan"), np.int8(-3), np.bool_(True)])
def test_numbers_keep_their_type_and_bits(value, tmp_path):
    storage.save(tmp_path / "a.npz", value)
    found = storage.load(tmp_path / "a.npz")
    assert type(found) is type(value)
    assert np.asarray(found).tobytes() == np.asarray(value).tobytes()


def low_rank(backend, dtype, shape=(6, 5), rank=2, seed=0):
    return LowRank.random(shape, rank, rng=seed, dtype=dtype, backend=backend)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_arrays_and_low_rank_values_come_back_where_they_were(dtype, backend, tmp_path):
    values = RNG.standard_normal((3, 4)).astype(dtype)
    values[0, :2] = np.nan, -np.inf
    value = {
        "array": send(backend, values),
        "nothing": send(backend, np.zeros((0, 3), dtype)),
        "number": send(backend, np.asarray(values[1, 1])),
        "labels": send(backend, np.arange(3)),
        "momentum": (low_rank(backend, dtype), [low_rank(backend, dtype, seed=1)]),
        "state": State((send(backend, values), low_rank(backend, dtype))),
    }
    storage.save(tmp_path / "a.npz", value)
    found = storage.load(tmp_path / "a.npz", backend)
    assert list(found) == list(value)
    for name in ("array", "nothing", "number", "labels"):
        assert_array(found[name], to_host(value[name]), backend)
    assert type(found["momentum"]) is tuple
    assert type(found["momentum"][1]) is list
    assert type(found["state"]) is State
    for there, here in zip(
        (found["momentum"][0], *found["momentum"][1], found["state"][1]),
        (value["momentum"][0], *value["momentum"][1], value["state"][1]),
        strict=True,
    ):
        for name in ("U", "S", "V"):
            assert_array(getattr(there, name), to_host(getattr(here, name)), backend, dtype)


def test_a_file_can_change_backend(backend, tmp_path):
    Y = low_rank(backend, "float32")
    storage.save(tmp_path / "a.npz", Y)
    assert_at_home(storage.load(tmp_path / "a.npz", backend).U, backend, "float32")
    assert type(storage.load(tmp_path / "a.npz").U) is np.ndarray


def test_a_sum_keeps_its_terms(backend, tmp_path):
    """Joined, its products would be rounded differently."""
    A, B = low_rank(backend, "float32"), low_rank(backend, "float32", rank=3, seed=1)
    Y = A + LowRank(B.U, None, B.V).mH.mH
    storage.save(tmp_path / "a.npz", Y)
    found = storage.load(tmp_path / "a.npz", backend)
    assert len(found.terms) == 2
    assert found.terms[1][1] is None
    assert namespace(found.head) is namespace(Y.head)
    X = send(backend, RNG.standard_normal((5, 7)).astype("float32"))
    assert to_host(found.right(X)).tobytes() == to_host(Y.right(X)).tobytes()


def test_memory_layout_is_kept(tmp_path):
    """A transposed matrix takes another path through BLAS, and may be rounded differently."""
    value = [np.ones((3, 4)), np.ones((4, 3)).T]
    storage.save(tmp_path / "a.npz", value)
    found = storage.load(tmp_path / "a.npz")
    assert [A.flags.c_contiguous for A in found] == [True, False]
    assert [A.flags.f_contiguous for A in found] == [False, True]


def test_the_same_value_gives_the_same_bytes(tmp_path, monkeypatch):
    value = {"Y": low_rank(None, "float64"), "n": 3}
    storage.save(tmp_path / "a.npz", value)
    monkeypatch.setattr("time.time", lambda: 2e9)
    (tmp_path / "b").mkdir()
    storage.save(tmp_path / "b" / "other.npz", value)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b" / "other.npz").read_bytes()
    storage.save(tmp_path / "b" / "other.npz", storage.load(tmp_path / "a.npz"))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b" / "other.npz").read_bytes()


def test_numpy_reads_the_arrays(tmp_path):
    storage.save(tmp_path / "a.npz", {"a/b": (np.arange(3),), "a": {"b": np.arange(4)}})
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert set(file.files) == {"header.json", "value/a~1b/0", "value/a/b"}
        np.testing.assert_array_equal(file["value/a~1b/0"], np.arange(3))
        assert json.loads(file["header.json"])["format"] == "matode"


class _Tuple(tuple):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, {2}]}, "a set at value/a/1 cannot be stored: expected None, numbers"),
        ({1: 2}, "a dict at value cannot be stored"),
        (_Tuple(), "a _Tuple at value cannot be stored"),
        (1j, "a complex at value"),
        ([np.array([None])], "an array of Python objects at value/0"),
    ],
)
def test_what_cannot_be_stored_is_named_and_leaves_the_old_file(value, message, tmp_path):
    storage.save(tmp_path / "a.npz", 1)
    with pytest.raises(TypeError, match=message):
        storage.save(tmp_path / "a.npz", value)
    assert os.listdir(tmp_path) == ["a.npz"]
    assert storage.load(tmp_path / "a.npz") == 1


def test_a_failure_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    storage.save(tmp_path / "a.npz", 1)
    names = []

    def full(handle):
        names.extend(os.listdir(tmp_path))
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        storage.save(tmp_path / "a.npz", 2)
    assert len(names) == 2
    assert [name for name in names if name.endswith(".npz")] == ["a.npz"]
    assert os.listdir(tmp_path) == ["a.npz"]
    assert storage.load(tmp_path / "a.npz") == 1


def damaged(content):
    """A file cut short, one with a flipped bit in an array, an empty one, and one that is something else."""
    flipped = bytearray(content)
    flipped[content.index(b"\x93NUMPY") + 130] ^= 1
    return {"cut": content[:-30], "half": content[: len(content) // 2], "flipped": bytes(flipped), "empty": b""}


@pytest.mark.parametrize("how", ["cut", "half", "flipped", "empty"])
def test_damaged_files_are_refused_by_name(how, tmp_path):
    path = tmp_path / "a.npz"
    storage.save(path, np.ones((4, 5)))
    path.write_bytes(damaged(path.read_bytes())[how])
    with pytest.raises(storage.StorageError, match=r"is damaged, or no file that matode wrote") as caught:
        storage.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"format": "matode", "version": 2, "value": 1}, "version 2, expected 1"),
        ({"format": "else", "version": 1, "value": 1}, "not ours"),
        ([], "not ours"),
        ({"format": "matode", "version": 1, "value": {"array": "value"}}, "do not belong together"),
        ({"format": "matode", "version": 1, "value": {"set": []}}, "do not belong together"),
        ({"format": "matode", "version": 1, "value": {"LowRank": {"list": []}}}, "do not belong together"),
    ],
)
def test_headers_that_are_not_ours_are_refused(header, message, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("header.json", json.dumps(header))
    with pytest.raises(storage.StorageError, match=message):
        storage.load(tmp_path / "a.npz")


def test_other_archives_and_missing_files(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones(3))
    with pytest.raises(storage.StorageError, match=r"header\.json"):
        storage.load(tmp_path / "a.npz")
    with pytest.raises(FileNotFoundError):
        storage.load(tmp_path / "b.npz")
