"""The door to the array libraries, on every backend: values, dtype, device and namespace of every result."""

from __future__ import annotations

import array_api_compat.numpy
import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

from matode import _array
from matode._array import Backend
from tests.backends import assert_array, assert_at_home, get, send

DTYPES = ["float32", "float64", "complex64", "complex128"]
REAL = np.array([[1.0, -2.0, 3.0], [0.5, 0.25, -4.0]])
COMPLEX = REAL + 1j * REAL[::-1]


def example(backend: Backend, dtype: str = "float64") -> object:
    return send(backend, COMPLEX if dtype.startswith("complex") else REAL, dtype)


# Where a value belongs


def test_namespace_is_shared_by_the_arrays_of_a_backend(backend):
    x = example(backend)
    assert _array.namespace(x, x) is _array.namespace(x @ x.mT)


def test_namespace_of_two_libraries_is_an_error(backend):
    other = example(Backend("numpy", array_api_compat.numpy, "cpu"))
    x = example(backend)
    if isinstance(x, np.ndarray):
        assert _array.namespace(x, other) is array_api_compat.numpy
    else:
        with pytest.raises(TypeError, match=r"[Mm]ultiple"):
            _array.namespace(x, other)


def test_device_of_is_where_the_backend_put_it(backend):
    assert _array.device_of(example(backend)) == backend.device


def test_strict_backend_is_not_on_its_default_device():
    backend = get("array-api-strict")
    assert backend.device != _array.device_of(backend.xp.zeros(1))


def test_is_array(backend):
    assert _array.is_array(example(backend))
    assert not _array.is_array([[1.0]])
    assert not _array.is_array(1.0)
    assert not _array.is_array(scipy.sparse.eye_array(2))


def test_only_gpu_backends_are_on_a_gpu(backend):
    assert _array.is_gpu(example(backend)) == (backend.name == "cupy")


@pytest.mark.parametrize("name", ["numpy", pytest.param("torch", marks=pytest.mark.needs_backend("torch"))])
def test_get_backend_gives_a_namespace_that_works_on_its_device(name):
    backend = _array.get_backend(name)
    assert backend.name == name
    assert_array(send(backend, REAL), REAL, backend, "float64")


def test_get_backend_is_numpy_unless_told_otherwise():
    assert _array.get_backend().xp is array_api_compat.numpy


def test_get_backend_names_the_choices_when_it_does_not_know_one():
    with pytest.raises(ValueError, match="'nunpy': expected 'numpy', 'cupy' or 'torch'"):
        _array.get_backend("nunpy")


def test_cupy_without_a_gpu_is_an_error_that_says_why():
    available, reason = _array.gpu_available()
    if available:
        pytest.skip("a GPU is here")
    assert "CuPy" in reason
    with pytest.raises(RuntimeError) as error:
        _array.get_backend("cupy")
    assert str(error.value) == reason


class FakeCuPy:
    """Stands for ``cupy`` on machines of every sort: ``arange`` is the first call that reaches the card."""

    def __init__(self, listed, compute):
        self.is_available = lambda: listed
        self.arange = compute


def broken(size):
    raise RuntimeError("no kernel image is available")


@pytest.mark.parametrize(
    ("listed", "compute", "available", "sentence"),
    [
        (False, broken, False, "finds no usable NVIDIA GPU or driver"),
        (True, broken, False, "cannot compute on it: no kernel image is available"),
        (True, np.zeros, False, "computes wrong results"),
        (True, np.arange, True, ""),
    ],
)
def test_gpu_available_computes_before_it_says_yes(monkeypatch, listed, compute, available, sentence):
    monkeypatch.setitem(_array.sys.modules, "cupy", FakeCuPy(listed, compute))
    answer, reason = _array.gpu_available()
    assert answer is available
    assert sentence in reason
    assert bool(reason) != available


def test_gpu_available_says_how_to_install_cupy_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(_array.sys.modules, "cupy", None)
    available, reason = _array.gpu_available()
    assert not available
    assert "pip install 'matode[gpu]'" in reason
    assert "matode[gpu12]" in reason


@pytest.mark.gpu
def test_cupy_computes_on_a_gpu():
    backend = _array.get_backend("cupy")
    x = example(backend, "float32")
    assert _array.is_gpu(x)
    assert_array(x @ x.mT, (REAL @ REAL.T).astype("float32"), backend, "float32", rtol=1e-5)


# To the host and back


@pytest.mark.parametrize("dtype", DTYPES)
def test_host_round_trip(backend, dtype):
    x = example(backend, dtype)
    on_host = _array.to_host(x)
    assert type(on_host) is np.ndarray
    assert on_host.dtype == dtype
    assert_array(_array.from_host(on_host, x), on_host, backend, dtype)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_to_host_of_lazy_views(backend, dtype):
    """Transposes and conjugates are views, in torch even conjugates; they arrive as what they mean."""
    x = example(backend, dtype)
    np.testing.assert_array_equal(_array.to_host(_array.mH(x)), _array.to_host(x).conj().T)
    np.testing.assert_array_equal(_array.to_host(x[:, ::2]), _array.to_host(x)[:, ::2])


def test_to_host_of_a_scalar_array(backend):
    total = _array.to_host(backend.xp.sum(example(backend)))
    assert total.shape == ()
    assert total == REAL.sum()


def test_to_host_of_a_tensor_that_records_gradients(torch):
    x = torch.ones(2, requires_grad=True)
    np.testing.assert_array_equal(_array.to_host(x), [1, 1])


def test_to_host_of_a_tensor_whose_conjugation_is_pending(torch):
    x = torch.tensor([1 + 2j])
    np.testing.assert_array_equal(_array.to_host(torch.conj(x)), [1 - 2j])
    np.testing.assert_array_equal(_array.to_host(torch.conj(x).imag), [-2])


def test_from_host_takes_what_numpy_takes(backend):
    like = example(backend, "float32")
    assert_array(_array.from_host([1, 2], like, like.dtype), np.array([1.0, 2.0]), backend, "float32")
    assert_array(_array.from_host(REAL, like), REAL, backend, "float64")


def test_from_host_copies(backend):
    """A host array that is overwritten, or may not be written to, has nothing to do with the result."""
    source = REAL.copy()
    x = _array.from_host(source, example(backend))
    source[:] = 0
    assert_array(x, REAL, backend)
    source.flags.writeable = False
    y = _array.from_host(source, example(backend))
    y[0, 0] = 1.0
    assert source[0, 0] == 0


# Random numbers


@pytest.mark.parametrize("dtype", DTYPES)
def test_normal_gives_the_same_numbers_everywhere(backend, dtype):
    x = _array.normal(_array.default_rng(3), (4, 5), backend, dtype)
    on_numpy = _array.normal(_array.default_rng(3), (4, 5), _array.get_backend("numpy"), dtype)
    assert_array(x, on_numpy, backend, dtype)
    assert np.unique(on_numpy).size == 20


@pytest.mark.parametrize("dtype", DTYPES)
def test_normal_has_mean_zero_and_variance_one(dtype):
    z = _array.normal(_array.default_rng(0), (200, 200), _array.get_backend("numpy"), dtype)
    assert abs(z.mean()) < 5 / 200
    assert abs(np.mean(np.abs(z) ** 2) - 1) < 5 * np.sqrt(2) / 200
    if dtype.startswith("complex"):
        assert abs(np.mean(z**2)) < 5 * np.sqrt(2) / 200, "real and imaginary part differ, or are correlated"


def test_default_rng_is_a_generator_with_a_seed():
    assert _array.default_rng(1).random() == _array.default_rng(1).random()
    assert _array.default_rng(1).random() != _array.default_rng(2).random()
    rng = np.random.default_rng(5)
    assert _array.default_rng(rng) is rng


# Dtypes


@pytest.mark.parametrize("dtype", DTYPES)
def test_questions_about_dtypes(backend, dtype):
    x = example(backend, dtype)
    assert _array.is_complex(x) is dtype.startswith("complex")
    assert _array.is_floating(x) is True
    assert _array.eps(x) == np.finfo(dtype).eps
    assert type(_array.eps(x)) is float


@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_integers_and_booleans_are_not_floating(backend, dtype):
    x = send(backend, [1, 0], dtype)
    assert _array.is_floating(x) is False
    assert _array.is_complex(x) is False


def test_as_dtype_converts_and_leaves_alone_what_fits(backend):
    x = example(backend, "float32")
    assert _array.as_dtype(x, x.dtype) is x
    assert_array(_array.as_dtype(x, backend.xp.complex128), REAL, backend, "complex128")


@pytest.mark.parametrize("dtype", DTYPES)
def test_eye_and_zeros_are_like_their_model(backend, dtype):
    x = example(backend, dtype)
    assert_array(_array.eye_like(3, x), np.eye(3), backend, dtype)
    assert_array(_array.zeros_like_shape((2, 0, 4), x), np.zeros((2, 0, 4)), backend, dtype)
    assert_array(_array.zeros_like_shape([2], x), np.zeros(2), backend, dtype)


# The conjugate transpose, and numbers


@pytest.mark.parametrize("dtype", DTYPES)
def test_mH_is_the_conjugate_transpose(backend, dtype):
    x = example(backend, dtype)
    expected = _array.to_host(x).conj().T
    assert_array(_array.mH(x), expected, backend, dtype)
    assert_array(_array.mH(x) @ x, expected @ expected.conj().T, backend, dtype, rtol=1e-6)
    assert_array(_array.adjoint(x), expected, backend, dtype)


def test_mH_of_a_stack_transposes_the_last_two_axes(backend):
    x = send(backend, np.stack([COMPLEX, 2 * COMPLEX]))
    assert_array(_array.mH(x), np.stack([COMPLEX.conj().T, 2 * COMPLEX.conj().T]), backend)


def test_mH_of_a_real_array_is_a_view():
    x = REAL.copy()
    assert np.shares_memory(_array.mH(x), x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_finite(backend, dtype, bad):
    values = COMPLEX.copy() if dtype.startswith("complex") else REAL.copy()
    assert _array.finite(send(backend, values, dtype)) is True
    values[1, 2] = bad
    assert _array.finite(send(backend, values, dtype)) is False


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_write_only_into_what_they_made(backend, dtype):
    x = example(backend, dtype)
    values = np.array(_array.to_host(x))
    assert _array.total([x]) is x
    for count in (2, 3, 5):
        assert_array(_array.total([x] * count), count * values, backend, dtype)
    assert_array(_array.shifted(x, -0.5, x), 0.5 * values, backend, dtype)
    assert_array(x, values, backend, dtype)


def test_sums_promote(backend):
    x, z = example(backend), example(backend, "complex128")
    assert_array(_array.total([x, x, z, x]), 3 * REAL + COMPLEX, backend, "complex128")
    assert_array(_array.shifted(x, 2.0, z), REAL + 2 * COMPLEX, backend, "complex128")
    assert_array(_array.shifted(z, 2.0, x), COMPLEX + 2 * REAL, backend, "complex128")


@pytest.mark.parametrize("dtype", DTYPES)
def test_sizes_of_arrays(backend, dtype):
    x, values = example(backend, dtype), COMPLEX if dtype.startswith("complex") else REAL
    rtol = 1e-6 if dtype in ("float32", "complex64") else 1e-14
    assert _array.frobenius(x) == pytest.approx(np.linalg.norm(values), rel=rtol)
    assert _array.frobenius(x.mT) == pytest.approx(np.linalg.norm(values), rel=rtol)
    assert _array.largest(x) == pytest.approx(np.abs(values).max(), rel=rtol)
    d = _array.diagonal(x)
    assert_array(d, [1.0, 0.25], backend, "float32" if dtype in ("float32", "complex64") else "float64")
    wrong = np.array(values)
    wrong[1, 2] = np.nan
    assert not _array.largest(send(backend, wrong, dtype)) < np.inf
    assert not _array.frobenius(send(backend, wrong, dtype)) < np.inf


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("wanted", ["float32", "float64"])
def test_where_numbers_are_positive(backend, dtype, wanted):
    x = send(backend, [[1e-45, -1.0, 0.0], [-0.0, np.nan, np.inf]], dtype)
    expected = [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    found = _array.positive(x, getattr(backend.xp, wanted))
    assert_array(found, expected, backend, wanted)
    assert_array(_array.positive(x.mT, getattr(backend.xp, wanted)), np.transpose(expected), backend, wanted)


def test_kinds_of_matrices(backend):
    A = scipy.sparse.eye_array(2, format="csr")
    given = [
        example(backend),
        A,
        scipy.sparse.csr_matrix(A),
        scipy.sparse.linalg.aslinearoperator(A),
        [[1.0]],
        1.0,
        None,
    ]
    assert [_array.matrix_kind(x) for x in given] == ["array", "sparse", "sparse", "operator", "", "", ""]


def test_scalars_of_every_kind(backend):
    for c in (1, 2.0, 3j, np.float32(4), np.complex128(5), np.int64(6), np.array(7.0)):
        assert _array.is_scalar(c)
        number = _array.scalar(c)
        assert type(number) in (int, float, complex)
        assert number == c
    x = example(backend)
    assert _array.is_scalar(x[0, 0])
    for no_scalar in (x, x[0, :], "1", None, [1.0]):
        assert not _array.is_scalar(no_scalar)


def test_a_scalar_never_widens_float32(backend):
    x = example(backend, "float32")
    assert_array(_array.scalar(np.float64(2)) * x, 2 * REAL, backend, "float32")


def test_a_scalar_array_stays_on_its_device(backend):
    c = _array.scalar(example(backend)[0, 0])
    if backend.name.startswith("numpy"):
        assert type(c) is float
    else:
        assert_at_home(c, backend, "float64")


# Operators


def host_operators(matrix):
    """Yield the host's ways to write one matrix, beside the array itself."""
    yield scipy.sparse.csr_array(matrix)
    yield scipy.sparse.csc_matrix(matrix)
    yield scipy.sparse.linalg.aslinearoperator(matrix)


def test_sparse_matrices_and_operators_are_told_apart(backend):
    new, old, operator = host_operators(REAL)
    x = example(backend)
    assert [_array.is_sparse(A) for A in (new, old, operator, x)] == [True, True, False, False]
    assert [_array.is_operator(A) for A in (new, old, operator, x)] == [False, False, True, False]


@pytest.mark.parametrize("matrix", [REAL, COMPLEX], ids=["real", "complex"])
def test_adjoint_of_host_operators(matrix):
    for A in host_operators(matrix):
        adjoint = _array.adjoint(A)
        assert type(adjoint).__module__.startswith("scipy.sparse")
        np.testing.assert_allclose(adjoint @ np.eye(2), matrix.conj().T, rtol=1e-15)


@pytest.mark.parametrize("matrix", [REAL, COMPLEX], ids=["real", "complex"])
def test_apply_host_operators_to_host_arrays(matrix):
    X = np.arange(6.0).reshape(3, 2)
    for A in host_operators(matrix):
        product = _array.apply(A, X)
        assert type(product) is np.ndarray
        np.testing.assert_allclose(product, matrix @ X, rtol=1e-15)


def test_apply_arrays(backend):
    A, X = example(backend), send(backend, np.arange(6.0).reshape(3, 2))
    assert_array(_array.apply(A, X), REAL @ np.arange(6.0).reshape(3, 2), backend, rtol=1e-15)


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        ("float32", "float32", "float32"),
        ("float32", "float64", "float64"),
        ("float32", "complex64", "complex64"),
        ("complex64", "float64", "complex128"),
    ],
)
def test_apply_promotes_as_the_standard_does(backend, left, right, result):
    A, X = example(backend, left), send(backend, np.eye(3), right)
    assert_array(_array.apply(A, X), _array.to_host(A), backend, result)


@pytest.mark.skip_backend("numpy", reason="NumPy arrays live on the host")
@pytest.mark.skip_backend("numpy-readonly", reason="NumPy arrays live on the host")
def test_apply_of_a_host_operator_to_a_device_array_is_refused_in_words(backend):
    X = send(backend, np.eye(3))
    for A in host_operators(REAL):
        with pytest.raises(TypeError, match=r"acts on NumPy arrays.*convert the operator"):
            _array.apply(A, X)


# The tests' own instruments


def test_read_only_arrays_refuse_to_be_written_to():
    xp = get("numpy-readonly").xp
    source = np.zeros((2, 2))
    for x in (xp.zeros(2), xp.asarray(source), xp.linalg.qr(xp.eye(2)).Q, xp.meshgrid(xp.ones(2))[0]):
        with pytest.raises(ValueError, match="read-only"):
            x[...] = 1
    source[:] = 1  # the caller's own array stays writeable


def test_assert_array_sees_each_thing_it_is_for(backend):
    x = example(backend)
    assert_array(x, REAL, backend)
    for actual, expected, dtype in (
        (x, REAL + 1e-15, None),
        (x, REAL[:1], None),
        (x[0, :], np.stack([REAL[0]] * 2), None),
        (x[0, 0], np.full((2, 2), REAL[0, 0]), None),
        (x, REAL, "float32"),
        (example(backend, "float32"), REAL, None),
        (REAL.tolist(), REAL, None),
    ):
        with pytest.raises(AssertionError):
            assert_array(actual, expected, backend, dtype)
    if not isinstance(x, np.ndarray):
        with pytest.raises(AssertionError):
            assert_array(REAL, REAL, backend)


def test_assert_array_sees_the_wrong_device():
    backend = get("array-api-strict")
    with pytest.raises(AssertionError, match="device"):
        assert_array(backend.xp.asarray(REAL), REAL, backend)
