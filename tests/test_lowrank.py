"""LowRank against dense matrices: every operation, on every backend, with every foreign operand."""

from __future__ import annotations

import operator
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from hypothesis import given
from hypothesis import strategies as st

from matode import LowRank, Operator, _array
from matode._array import Backend
from matode.truncation import Absolute, Rank, Relative
from tests.backends import assert_array, assert_at_home, get, send

M, N = 7, 5
DTYPES = ["float32", "float64", "complex64", "complex128"]
BOTH = ["float64", "complex128"]


def entries(rng: np.random.Generator, shape: tuple[int, ...], dtype: str = "float64") -> np.ndarray:
    values = rng.standard_normal(shape)
    if dtype.startswith("complex"):
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(dtype)


def pair(
    backend: Backend, dtype: str = "float64", p: int = 2, q: int = 3, shape: tuple[int, int] = (M, N), seed: int = 0
) -> tuple[LowRank, np.ndarray]:
    """Return a matrix twice: factored on the backend with general factors, and dense on the host."""
    rng = np.random.default_rng([seed, p, q])
    U, S, V = (entries(rng, s, dtype) for s in ((shape[0], p), (p, q), (shape[1], q)))
    return LowRank(*(send(backend, F, dtype) for F in (U, S, V))), U @ S @ V.conj().T


def dense(value: Any) -> np.ndarray:
    """Return any result of an operation, factored, lazy or dense, as a dense array of the host."""
    if scipy.sparse.issparse(value):
        return value.toarray()
    return _array.to_host(value if _array.is_array(value) else value.full())


def eps_of(dtype: str) -> float:
    return float(np.finfo(dtype).eps)


def tolerance(*arrays: np.ndarray) -> float:
    """Return a bound of the rounding of a product of a few small matrices of these sizes."""
    return 50 * max(eps_of(a.dtype.name) for a in arrays) * float(np.prod([max(1, np.linalg.norm(a)) for a in arrays]))


def assert_factored(Y: Any, expected: np.ndarray, backend: Backend, dtype: str, atol: float) -> None:
    """Assert that ``Y`` is a LowRank, that all its factors are at home on the backend, and its values."""
    assert isinstance(Y, LowRank)
    assert Y.shape == expected.shape
    m, n = Y.shape
    p, q = Y.S.shape
    assert (tuple(Y.U.shape), tuple(Y.V.shape)) == ((m, p), (n, q))
    for factor in (Y.U, Y.S, Y.V):
        assert_at_home(factor, backend, dtype)
    assert Y.dtype == getattr(backend.xp, dtype)
    assert_array(Y.to_dense(), expected, backend, dtype, atol=atol)


# Every operation against its dense twin. One lambda serves both.

OPERATIONS: dict[str, Callable[..., Any]] = {
    "A @ Y": lambda Y, Z, A, B: A @ Y,
    "Y @ B": lambda Y, Z, A, B: Y @ B,
    "A @ Y @ B": lambda Y, Z, A, B: A @ Y @ B,
    "Y + Z": lambda Y, Z, A, B: Y + Z,
    "Y - Z": lambda Y, Z, A, B: Y - Z,
    "Y + Y": lambda Y, Z, A, B: Y + Y,
    "-Y": lambda Y, Z, A, B: -Y,
    "+Y": lambda Y, Z, A, B: +Y,
    "2 * Y": lambda Y, Z, A, B: 2 * Y,
    "Y * -0.5": lambda Y, Z, A, B: Y * -0.5,
    "0 * Y": lambda Y, Z, A, B: 0 * Y,
    "Y / 4": lambda Y, Z, A, B: Y / 4,
    "Y * Z": lambda Y, Z, A, B: Y * Z,
    "Y * Y": lambda Y, Z, A, B: Y * Y,
    "Y @ Z.mT": lambda Y, Z, A, B: Y @ Z.mT,
    "Y.mT @ Z": lambda Y, Z, A, B: Y.mT @ Z,
    "Y.mT": lambda Y, Z, A, B: Y.mT,
    "Y.mT.mT": lambda Y, Z, A, B: Y.mT.mT,
    "(A @ Y).mT": lambda Y, Z, A, B: (A @ Y).mT,
    "sum": lambda Y, Z, A, B: sum([Y, Z, 2 * Y]),
    "Lyapunov": lambda Y, Z, A, B: A[:M, :] @ Y + Y @ B[:, :N] - Z,
    "(Y + Z) * (Y - Z)": lambda Y, Z, A, B: (Y + Z) * (Y - Z),
    "(Y + Z) @ (Y - Z).mT": lambda Y, Z, A, B: (Y + Z) @ (Y - Z).mT,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_is_that_of_dense_matrices(backend, name, dtype):
    (Y, Y_dense), (Z, Z_dense) = pair(backend, dtype, 2, 3), pair(backend, dtype, 3, 1)
    rng = np.random.default_rng(1)
    A, B = entries(rng, (M + 1, M), dtype), entries(rng, (N, N + 2), dtype)
    before = [_array.to_host(F).copy() for F in (Y.U, Y.S, Y.V, Z.U, Z.S, Z.V)]
    result = OPERATIONS[name](Y, Z, send(backend, A), send(backend, B))
    expected = OPERATIONS[name](Y_dense, Z_dense, A, B)
    assert_factored(result, expected, backend, dtype, tolerance(Y_dense, Z_dense, A, B))
    for F, old in zip((Y.U, Y.S, Y.V, Z.U, Z.S, Z.V), before, strict=True):
        np.testing.assert_array_equal(_array.to_host(F), old, err_msg=f"{name} changed its operands")


@pytest.mark.parametrize("dtype", DTYPES)
def test_conjugation(backend, dtype):
    Y, Y_dense = pair(backend, dtype)
    assert_factored(Y.mH, Y_dense.conj().T, backend, dtype, tolerance(Y_dense))
    assert_factored(Y.conj(), Y_dense.conj(), backend, dtype, tolerance(Y_dense))
    assert_factored((Y + 2 * Y).mH, 3 * Y_dense.conj().T, backend, dtype, tolerance(Y_dense))
    assert_factored(Y.mH @ Y, Y_dense.conj().T @ Y_dense, backend, dtype, tolerance(Y_dense, Y_dense))


@given(data=st.data())
def test_operations_of_every_shape(data):
    """Random sizes, p and q apart, rank 1, rank above m and n, and single rows and columns."""
    size = st.integers(1, 6)
    m, n, p, q = (data.draw(size, label) for label in "mnpq")
    k, j, a, b = (data.draw(size, label) for label in "kjab")
    dtype = data.draw(st.sampled_from(BOTH))
    backend = get("array-api-strict")
    (Y, Y_dense), (Z, Z_dense) = pair(backend, dtype, p, q, (m, n)), pair(backend, dtype, k, j, (m, n), seed=1)
    A, B = entries(np.random.default_rng(2), (a, m), dtype), entries(np.random.default_rng(3), (n, b), dtype)
    atol = tolerance(Y_dense, Z_dense, A, B)
    for result, expected in (
        (send(backend, A) @ Y @ send(backend, B), A @ Y_dense @ B),
        (Y - Z, Y_dense - Z_dense),
        (Y * Z, Y_dense * Z_dense),
        (Y @ Z.mH, Y_dense @ Z_dense.conj().T),
        ((Y + Z).mH, (Y_dense + Z_dense).conj().T),
        ((Y + Z).orthonormal(), Y_dense + Z_dense),
        ((Y - Z).truncate(Relative(0.0)), Y_dense - Z_dense),
    ):
        assert_factored(result, expected, backend, dtype, atol)
    assert (Y + Z).norm() == pytest.approx(np.linalg.norm(Y_dense + Z_dense), rel=1e-13)
    assert Y.inner(Z) == pytest.approx(np.vdot(Y_dense, Z_dense), abs=atol)


def test_complex_scalars_make_it_complex(backend):
    for dtype, expected in (("float64", "complex128"), ("complex128", "complex128"), ("float32", "complex64")):
        Y, Y_dense = pair(backend, dtype)
        assert_factored((1 - 2j) * Y, (1 - 2j) * Y_dense, backend, expected, tolerance(Y_dense))
        assert_factored(Y * 2j, 2j * Y_dense, backend, expected, tolerance(Y_dense))
        assert_factored(Y / 2j, Y_dense / 2j, backend, expected, tolerance(Y_dense))


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [("float32", "float64", "float64"), ("complex64", "float64", "complex128"), ("float32", "complex64", "complex64")],
)
def test_mixed_dtypes_promote_as_the_standard_says(backend, left, right, result):
    (Y, Y_dense), (Z, Z_dense) = pair(backend, left), pair(backend, right, 1, 1)
    A = entries(np.random.default_rng(0), (4, M), right)
    atol = 1e-5  # of the less precise operand
    for value, expected in (
        (Y + Z, Y_dense + Z_dense),
        (Z - Y, Z_dense - Y_dense),
        (Y * Z, Y_dense * Z_dense),
        (Y @ Z.mT, Y_dense @ Z_dense.T),
        (send(backend, A) @ Y, A @ Y_dense),
    ):
        assert_factored(value, expected.astype(result), backend, result, atol)


def test_factors_of_different_dtypes_become_one(backend):
    Y, Y_dense = pair(backend, "float64")
    complex_U = _array.as_dtype(Y.U, backend.xp.complex128)
    assert_factored(
        LowRank(complex_U, Y.S, Y.V), Y_dense.astype("complex128"), backend, "complex128", tolerance(Y_dense)
    )


def test_an_identity_core_may_be_left_out(backend):
    Y, _ = pair(backend, "complex128", 2, 2)
    U, V = _array.to_host(Y.U), _array.to_host(Y.V)
    short = LowRank(Y.U, None, Y.V)
    for result, expected in (
        (short, U @ V.conj().T),
        (3 * short, 3 * U @ V.conj().T),
        (short.mH, V @ U.conj().T),
        (short + Y, U @ V.conj().T + dense(Y)),
        (short * short, (U @ V.conj().T) ** 2),
    ):
        assert_factored(result, expected, backend, "complex128", tolerance(U, V, U))
    assert_array(short.S, np.eye(2), backend, "complex128")


# Products with thin arrays and vectors: the actions of an Evaluation


@pytest.mark.parametrize("dtype", DTYPES)
def test_actions(backend, dtype):
    Y, Y_dense = pair(backend, dtype)
    rng = np.random.default_rng(5)
    U, V = entries(rng, (M, 2), dtype), entries(rng, (N, 4), dtype)
    atol = tolerance(Y_dense, U, V)
    on = [send(backend, F) for F in (U, V)]
    for value, reference in ((Y, Y_dense), (Y + 2 * Y, 3 * Y_dense)):
        assert_array(value.right(on[1]), reference @ V, backend, dtype, atol=atol)
        assert_array(value.left(on[0]), reference.conj().T @ U, backend, dtype, atol=atol)
        assert_array(value.galerkin(*on), U.conj().T @ reference @ V, backend, dtype, atol=atol)
        assert_array(value.full(), reference, backend, dtype, atol=atol)
        assert value.factors() is value


def test_products_with_vectors_are_vectors(backend):
    Y, Y_dense = pair(backend, "complex128")
    x, y = entries(np.random.default_rng(0), (N,), "complex128"), entries(np.random.default_rng(1), (M,), "complex128")
    assert_array(Y @ send(backend, x), Y_dense @ x, backend, atol=1e-12)
    assert_array(send(backend, y) @ Y, y @ Y_dense, backend, atol=1e-12)


# Foreign operands, on either side


@pytest.mark.parametrize("dtype", DTYPES)
def test_scalars_of_every_library_keep_the_dtype(backend, dtype):
    """float32 stays float32, also times a NumPy float64 scalar such as ``np.exp(-t)``, and a float64 0-d array."""
    Y, Y_dense = pair(backend, dtype)
    xp = backend.xp
    for c in (
        np.exp(-1.0),
        np.float32(0.5),
        np.int64(3),
        np.array(0.25),
        3,
        xp.asarray(0.5, dtype=xp.float64, device=backend.device),
        xp.asarray(0.5, dtype=xp.float32, device=backend.device),
        xp.max(send(backend, [1.0, 2.0], "float64")),
    ):
        atol = tolerance(Y_dense)
        assert_factored(c * Y, float(c) * Y_dense, backend, dtype, atol)
        assert_factored(Y * c, float(c) * Y_dense, backend, dtype, atol)
        assert_factored(Y / c, Y_dense / np.asarray(float(c), dtype), backend, dtype, atol * 4)


def test_complex_scalars_of_every_library(backend):
    Y, Y_dense = pair(backend, "complex64")
    xp = backend.xp
    for c in (np.complex128(1j), np.complex64(1j), xp.asarray(1j, dtype=xp.complex64, device=backend.device)):
        assert_factored(c * Y, 1j * Y_dense, backend, "complex64", tolerance(Y_dense))
        assert_factored(Y * c, 1j * Y_dense, backend, "complex64", tolerance(Y_dense))


SPARSE = ["csr_array", "csc_array", "coo_array", "dia_array", "bsr_array", "lil_array", "dok_array"]
SPARSE += [name.replace("array", "matrix") for name in SPARSE]


@pytest.mark.parametrize("dtype", BOTH)
@pytest.mark.parametrize("format_", SPARSE)
def test_sparse_operands_on_either_side(format_, dtype):
    backend = get("numpy-readonly")
    Y, Y_dense = pair(backend, dtype)
    rng = np.random.default_rng(0)
    A = entries(rng, (M, M), dtype) * (rng.random((M, M)) < 0.4)
    B = entries(rng, (N, N), dtype) * (rng.random((N, N)) < 0.4)
    C = entries(rng, (M, N), dtype) * (rng.random((M, N)) < 0.4)
    A_sparse, B_sparse, C_sparse = (getattr(scipy.sparse, format_)(X) for X in (A, B, C))
    atol = tolerance(Y_dense, A, B)
    assert_factored(A_sparse @ Y, A @ Y_dense, backend, dtype, atol)
    assert_factored(Y @ B_sparse, Y_dense @ B, backend, dtype, atol)
    assert_factored(A_sparse @ Y + Y @ B_sparse.T, A @ Y_dense + Y_dense @ B.T, backend, dtype, atol)
    for lazy, expected in (
        (Y + C_sparse, Y_dense + C),
        (C_sparse + Y, Y_dense + C),
        (Y - C_sparse, Y_dense - C),
        (C_sparse - Y, C - Y_dense),
        (A_sparse @ Y + Y @ B_sparse + C_sparse, A @ Y_dense + Y_dense @ B + C),
        (2 * (C_sparse - Y), 2 * (C - Y_dense)),
    ):
        assert lazy.factors() is None
        check_actions(lazy, expected, backend, dtype, atol)


@pytest.mark.parametrize("format_", ["csr_array", "csc_array", "coo_array"])
def test_entrywise_products_with_sparse_arrays(format_):
    backend = get("numpy-readonly")
    Y, Y_dense = pair(backend)
    C = np.where(np.random.default_rng(0).random((M, N)) < 0.4, 2.0, 0.0)
    C_sparse = getattr(scipy.sparse, format_)(C)
    np.testing.assert_allclose(dense(C_sparse * Y), C * Y_dense, atol=1e-13)
    np.testing.assert_allclose(dense(Y * C_sparse), C * Y_dense, atol=1e-13)


def test_the_star_of_a_sparse_matrix_is_its_matrix_product():
    """SciPy's ``matrix`` classes, unlike its arrays, write ``*`` for the matrix product."""
    backend = get("numpy")
    Y, Y_dense = pair(backend)
    A = np.diag(np.arange(1.0, M + 1))
    assert_factored(scipy.sparse.csr_matrix(A) * Y, A @ Y_dense, backend, "float64", 1e-12)


def check_actions(value: Any, expected: np.ndarray, backend: Backend, dtype: str, atol: float) -> None:
    """Assert that a lazy value acts as a dense matrix does."""
    rng = np.random.default_rng(9)
    U, V = entries(rng, (expected.shape[0], 2), dtype), entries(rng, (expected.shape[1], 3), dtype)
    on = [send(backend, F) for F in (U, V)]
    assert tuple(value.shape) == expected.shape
    assert_array(value.full(), expected, backend, dtype, atol=atol)
    assert_array(value.right(on[1]), expected @ V, backend, dtype, atol=10 * atol)
    assert_array(value.left(on[0]), expected.conj().T @ U, backend, dtype, atol=10 * atol)
    assert_array(value.galerkin(*on), U.conj().T @ expected @ V, backend, dtype, atol=100 * atol)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dense_operands_on_either_side(backend, dtype):
    """Sums with dense arrays stay lazy: what a field returns may mix both."""
    Y, Y_dense = pair(backend, dtype)
    C = entries(np.random.default_rng(0), (M, N), dtype)
    A, B = entries(np.random.default_rng(1), (M, M), dtype), entries(np.random.default_rng(2), (N, N), dtype)
    C_on, A_on, B_on = (send(backend, X) for X in (C, A, B))
    atol = tolerance(Y_dense, C, A)
    for value, expected in (
        (Y + C_on, Y_dense + C),
        (C_on + Y, Y_dense + C),
        (Y - C_on, Y_dense - C),
        (C_on - Y, C - Y_dense),
        (A_on @ Y + C_on - Y, A @ Y_dense + C - Y_dense),
        (C_on - 0.5 * (Y + C_on), 0.5 * (C - Y_dense)),
        (A_on @ (Y + C_on), A @ (Y_dense + C)),
        (-(C_on + Y) / 2, -(C + Y_dense) / 2),
        ((C_on - Y) @ B_on, (C - Y_dense) @ B),
    ):
        check_actions(value, expected, backend, dtype, atol)
    for value in (Y * C_on, C_on * Y):
        np.testing.assert_allclose(dense(value), C * Y_dense, atol=atol)


@pytest.mark.parametrize("dtype", BOTH)
def test_linear_operators(dtype):
    backend = get("numpy-readonly")
    Y, Y_dense = pair(backend, dtype)
    A, B = entries(np.random.default_rng(0), (M, M), dtype), entries(np.random.default_rng(1), (N, N), dtype)
    L, R = scipy.sparse.linalg.aslinearoperator(A), scipy.sparse.linalg.aslinearoperator(B)
    atol = tolerance(Y_dense, A, B)
    assert_factored(Y @ R, Y_dense @ B, backend, dtype, atol)
    assert_factored(Operator(L) @ Y, A @ Y_dense, backend, dtype, atol)
    assert_factored(Operator(L) @ Y @ R, A @ Y_dense @ B, backend, dtype, atol)


@pytest.mark.skip_backend("numpy", reason="NumPy arrays are at home here")
@pytest.mark.skip_backend("numpy-readonly", reason="NumPy arrays are at home here")
@pytest.mark.parametrize("op", [operator.matmul, operator.mul, operator.add, operator.sub])
def test_host_operands_are_refused_elsewhere(backend, op):
    """No silent transfer: NumPy arrays and SciPy matrices do not mix with the factors of another library."""
    Y, _ = pair(backend, shape=(M, M))
    host = np.ones((M, M))
    for foreign in (host, scipy.sparse.csr_array(host), scipy.sparse.csr_matrix(host)):
        for left, right in ((foreign, Y), (Y, foreign)):
            with pytest.raises(TypeError):
                dense(op(left, right))


# Norm and inner product


@pytest.mark.parametrize("dtype", DTYPES)
def test_norm_and_inner_product_are_numbers_of_the_host(backend, dtype):
    (Y, Y_dense), (Z, Z_dense) = pair(backend, dtype, 2, 3), pair(backend, dtype, 3, 1)
    rel = 100 * eps_of(dtype)
    assert type(Y.norm()) is float
    assert Y.norm() == pytest.approx(np.linalg.norm(Y_dense), rel=rel)
    inner = Y.inner(Z)
    assert type(inner) is (complex if dtype.startswith("complex") else float)
    assert inner == pytest.approx(np.vdot(Y_dense, Z_dense), rel=rel, abs=rel * Y.norm() * Z.norm())
    assert Z.inner(Y) == pytest.approx(np.conj(inner), rel=rel, abs=rel * Y.norm() * Z.norm())
    assert Y.inner(Y) == pytest.approx(Y.norm() ** 2, rel=rel)


@pytest.mark.parametrize(("real", "complex_"), [("float64", "complex128")])
def test_inner_product_of_real_with_complex(backend, real, complex_):
    (Y, Y_dense), (Z, Z_dense) = pair(backend, real), pair(backend, complex_, 1, 1)
    assert Y.inner(Z) == pytest.approx(np.vdot(Y_dense, Z_dense), rel=1e-12)
    assert Z.inner(Y) == pytest.approx(np.vdot(Z_dense, Y_dense), rel=1e-12)


@pytest.mark.parametrize("distance", [1e-4, 1e-8, 1e-12])
def test_norm_of_a_difference_survives_cancellation(backend, distance):
    """The norm of a sum is not the root of a sum of inner products, which is blind below 1e-8."""
    Y = LowRank.random((60, 50), 4, rng=0, backend=backend)
    E = LowRank.random((60, 50), 4, rng=1, backend=backend)
    expected = distance * 2.0  # four singular values of 1
    difference = (Y + distance * E) - Y
    assert difference.norm() == pytest.approx(expected, abs=1e-14)
    assert (Y - Y).norm() <= 1e-14
    assert (Y + Y - 2 * Y).norm() <= 1e-14


# Truncation


def graded(backend: Backend, values: np.ndarray, dtype: str = "float64", seed: int = 0) -> tuple[LowRank, np.ndarray]:
    """Return a matrix with the given singular values, in general (not orthonormal) factors, and its dense twin."""
    rank = len(values)
    rng = np.random.default_rng([seed, 77])
    P, Q = (np.linalg.qr(entries(rng, (k, rank), "complex128" if "c" in dtype else "float64"))[0] for k in (12, 9))
    G = entries(rng, (rank, rank), "float64") + 3 * np.eye(rank)
    U, S, V = P @ G, np.linalg.solve(G, np.diag(values)), Q
    factors = [send(backend, F.astype(dtype)) for F in (U, S, V)]
    return LowRank(*factors), (P * values) @ Q.conj().T


def tail(values: np.ndarray, r: int) -> float:
    return float(np.linalg.norm(values[r:]))


def assert_orthonormal(X: Any, backend: Backend, dtype: str) -> None:
    X = _array.to_host(X)
    np.testing.assert_allclose(X.conj().T @ X, np.eye(X.shape[1]), atol=20 * eps_of(dtype))


VALUES = np.array([3.0, 1.0, 0.5, 1e-2, 3e-3, 1e-3])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "rule",
    [
        *(Absolute(2e-3), Absolute(0.6), Absolute(4.0), Relative(1e-3), Relative(0.2), Rank(1), Rank(4), Rank(99)),
        *(Absolute(0.6, max_rank=1), Absolute(2.0, min_rank=3), Relative(1e-3, min_rank=2, max_rank=3)),
    ],
    ids=str,
)
def test_truncation_is_the_best_approximation_of_the_smallest_rank(backend, rule, dtype):
    """The smallest r with tail <= theta; what is lost is the tail; bases orthonormal, core diagonal."""
    Y, Y_dense = graded(backend, VALUES, dtype)
    result = Y.truncate(rule)
    match rule:
        case Rank():
            theta, r = np.inf, min(rule.r, 6)
        case Absolute():
            theta = rule.theta
        case Relative():
            theta = rule.tau * np.linalg.norm(VALUES)
    if not isinstance(rule, Rank):
        r = next(k for k in range(7) if tail(VALUES, k) <= theta)
        r = min(max(r, rule.min_rank), 6 if rule.max_rank is None else rule.max_rank)
    assert result.rank == r
    assert tuple(result.S.shape) == (r, r)
    eps = 200 * eps_of(dtype)
    lost = np.linalg.norm(_array.to_host(result.to_dense()) - Y_dense)
    assert lost == pytest.approx(tail(VALUES, r), abs=eps)
    S = _array.to_host(result.S)
    np.testing.assert_allclose(S, np.diag(VALUES[:r]), atol=eps)
    assert_orthonormal(result.U, backend, dtype)
    assert_orthonormal(result.V, backend, dtype)
    for factor in (result.U, result.S, result.V):
        assert_at_home(factor, backend, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("p", "q"), [(2, 4), (4, 2), (1, 3), (3, 1)])
def test_truncation_of_rectangular_cores(backend, p, q, dtype):
    Y, Y_dense = pair(backend, dtype, p, q)
    s = np.linalg.svd(Y_dense.astype("complex128"), compute_uv=False)
    eps = tolerance(Y_dense)
    for r in range(1, min(p, q) + 1):
        result = Y.truncate(Rank(r))
        assert result.rank == r
        assert np.linalg.norm(dense(result) - Y_dense) == pytest.approx(tail(s, r), abs=eps)
        assert_orthonormal(result.U, backend, dtype)
        assert_orthonormal(result.V, backend, dtype)


def test_truncation_of_a_cancelling_sum(backend):
    """Y + E - Y has twelve columns and the rank, and the singular values, of E."""
    Y = LowRank.random((30, 20), 4, rng=0, backend=backend)
    E = LowRank.random((30, 20), 4, rng=1, backend=backend)
    result = (Y + 1e-6 * E - Y).truncate(Absolute(1e-12))
    assert result.rank == 4
    np.testing.assert_allclose(dense(result), 1e-6 * dense(E), atol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
def test_truncation_of_zero_keeps_orthonormal_bases(backend, dtype):
    Y, _ = pair(backend, dtype, 3, 2)
    for zero in (0 * Y, Y - Y, LowRank(0 * Y.U, Y.S, 0 * Y.V)):
        result = zero.truncate(Relative(1e-3) if zero is not Y - Y else Absolute(1e-3))
        assert result.rank >= 1
        assert result.norm() <= 100 * eps_of(dtype) * max(1.0, Y.norm())
        assert_orthonormal(result.U, backend, dtype)
        assert_orthonormal(result.V, backend, dtype)


@given(seed=st.integers(0, 10**6), span=st.floats(0, 14), theta=st.floats(1e-15, 10), dtype=st.sampled_from(BOTH))
def test_truncation_of_graded_spectra(seed, span, theta, dtype):
    """Down to singular values at rounding level: minimal, and as close as the tail says."""
    backend = get("numpy")
    values = np.sort(10.0 ** -np.random.default_rng(seed).uniform(0, span, 6))[::-1]
    Y, Y_dense = graded(backend, values, dtype, seed)
    result = Y.truncate(Absolute(theta))
    noise = 1e-13 * np.linalg.norm(Y.S) * np.linalg.norm(Y.U)
    assert np.linalg.norm(dense(result) - Y_dense) <= theta + noise or result.rank == 6
    assert result.rank == 1 or tail(values, result.rank - 1) > theta - noise


def test_orthonormal_changes_the_factors_only(backend):
    Y, Y_dense = pair(backend, "complex128")
    result = Y.orthonormal()
    assert_factored(result, Y_dense, backend, "complex128", tolerance(Y_dense))
    assert_orthonormal(result.U, backend, "complex128")
    assert_orthonormal(result.V, backend, "complex128")


def test_singular_values_are_on_the_host(backend):
    Y, _ = graded(backend, VALUES, "complex128")
    for value, factor in ((Y, 1), (Y + Y, 2)):
        s = value.singular_values()
        assert type(s) is np.ndarray
        np.testing.assert_allclose(s[:6], factor * VALUES, rtol=1e-12)
        np.testing.assert_allclose(s[6:], 0, atol=1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
def test_from_dense_truncates(backend, dtype):
    rng = np.random.default_rng(0)
    A = entries(rng, (M, 2), dtype) @ entries(rng, (2, N), dtype)
    Y = LowRank.from_dense(send(backend, A), Relative(1e-4))
    assert Y.rank == 2
    assert_factored(Y, A, backend, dtype, 1e-5 if dtype in ("float32", "complex64") else 1e-13)


def test_entries(backend):
    Y, Y_dense = pair(backend, "complex128")
    rows, columns = [0, 6, 3, 3], [4, 0, 2, 2]
    taken = (Y + Y).entries(send(backend, rows), send(backend, columns))
    assert_array(taken, 2 * Y_dense[rows, columns], backend, atol=1e-13)


# Random matrices


@pytest.mark.parametrize("dtype", DTYPES)
def test_random_matrices_are_the_same_on_every_backend(backend, dtype):
    values = [2.0, 1.0, 0.5]
    Y = LowRank.random((M, N), 3, singular_values=values, rng=4, dtype=dtype, backend=backend)
    twin = LowRank.random((M, N), 3, singular_values=values, rng=np.random.default_rng(4), dtype=dtype)
    assert_factored(Y, twin.to_dense(), backend, dtype, 20 * eps_of(dtype))
    assert_orthonormal(Y.U, backend, dtype)
    assert_orthonormal(Y.V, backend, dtype)
    np.testing.assert_allclose(Y.singular_values(), values, rtol=20 * eps_of(dtype))
    off_diagonal = _array.to_host(Y.S) - np.diag(np.diag(_array.to_host(Y.S)))
    assert np.linalg.norm(off_diagonal) > 0.1, "a diagonal core would hide mistakes that depend on it"


def test_random_matrices_differ_from_seed_to_seed():
    assert np.linalg.norm(dense(LowRank.random((M, N), 2, rng=0) - LowRank.random((M, N), 2, rng=1))) > 0.1


def test_random_bases_are_haar_distributed():
    """Entries of Haar columns have mean 0 and variance 1/m: the signs of QR would bias the diagonal."""
    rng = np.random.default_rng(0)
    draws = [LowRank.random((4, 3), 2, rng=rng) for _ in range(2000)]
    for factor, size in (("U", 4), ("V", 3)):
        values = np.array([getattr(Y, factor) for Y in draws])
        assert np.max(np.abs(values.mean(axis=0))) < 5 / np.sqrt(size * 2000)
        np.testing.assert_allclose((values**2).mean(axis=0), 1 / size, rtol=0.15)


def test_random_matrices_need_a_rank_that_fits():
    with pytest.raises(ValueError, match="rank between 1 and 3"):
        LowRank.random((4, 3), 4)
    with pytest.raises(ValueError, match="rank between 1 and 3"):
        LowRank.random((4, 3), 0)
    with pytest.raises(ValueError, match="expected 2 singular values"):
        LowRank.random((4, 3), 2, singular_values=[1.0])


# What it is not, and what cannot be changed


def test_it_is_no_array_and_no_sequence(backend):
    """NumPy must never take it for an array of objects, nor Python for a tuple of factors."""
    Y, _ = pair(backend)
    for name in ("__array__", "__array_interface__", "__array_namespace__", "__len__", "__iter__", "__getitem__"):
        assert not hasattr(Y, name)
    assert not isinstance(Y, tuple)
    assert not _array.is_array(Y)
    with pytest.raises(TypeError):
        len(Y)
    with pytest.raises(TypeError):
        iter(Y)
    with pytest.raises(TypeError):
        _, _, _ = Y
    for function in (np.exp, np.linalg.norm, np.sum):
        with pytest.raises(TypeError):
            function(Y)


@pytest.mark.parametrize("name", ["U", "S", "V", "shape", "rank", "dtype", "mT", "new_attribute"])
def test_it_cannot_be_changed(name):
    Y, Y_dense = pair(get("numpy"))
    with pytest.raises(AttributeError):
        setattr(Y, name, np.ones((2, 2)))
    np.testing.assert_allclose(dense(Y), Y_dense)


def test_in_place_operators_make_a_new_value(backend):
    Y, Y_dense = pair(backend)
    old = Y
    Y += Y
    Y *= 3
    Y -= old
    np.testing.assert_allclose(dense(old), Y_dense, rtol=1e-15)
    np.testing.assert_allclose(dense(Y), 5 * Y_dense, rtol=1e-12)


def test_repr_says_size_and_rank_and_shows_no_entries(backend):
    Y, _ = pair(backend)
    assert "7 x 5" in repr(Y)
    assert "rank 2" in repr(Y)
    assert len(repr(Y)) < 80


def test_shape_rank_dtype_and_device(backend):
    Y, _ = pair(backend, "float32", 2, 3)
    assert Y.shape == (M, N)
    assert Y.rank == 2
    assert (Y + Y).rank == 4
    assert Y.dtype == backend.xp.float32
    assert Y.device == backend.device


# Errors say what is wrong


def test_factors_that_do_not_fit(backend):
    def array(*shape: int, dtype: str = "float64") -> Any:
        return send(backend, np.ones(shape), dtype)

    for factors, error, message in (
        ((array(4, 2), array(3, 2), array(5, 2)), ValueError, r"S must be \(2, 2\)"),
        ((array(4, 2), array(2, 2), array(5, 3)), ValueError, r"S must be \(2, 3\)"),
        ((array(4, 2), None, array(5, 3)), ValueError, r"S must be \(2, 3\)"),
        ((array(4), array(1, 1), array(5, 1)), ValueError, "U must be a matrix, got 1 dimension"),
        ((array(4, 1), array(1, 1), array(5)), ValueError, "V must be a matrix, got 1 dimension"),
        ((array(4, 1), array(1), array(5, 1)), ValueError, "S must be a matrix, got 1 dimension"),
        ((array(4, 1, dtype="int64"), array(1, 1), array(5, 1)), TypeError, "U must have a real or complex"),
        (([[1.0]], array(1, 1), array(5, 1)), TypeError, "U must be an array, got list"),
        ((array(4, 1), array(1, 1), None), TypeError, "V must be an array, got NoneType"),
    ):
        with pytest.raises(error, match=message):
            LowRank(*factors)


@pytest.mark.skip_backend("numpy", reason="NumPy arrays are at home here")
@pytest.mark.skip_backend("numpy-readonly", reason="NumPy arrays are at home here")
def test_factors_of_two_libraries(backend):
    Y, _ = pair(backend)
    with pytest.raises(TypeError):
        LowRank(Y.U, Y.S, np.ones((N, 3)))


def test_operands_that_do_not_fit(backend):
    Y, _ = pair(backend)
    wrong = send(backend, np.ones((N + 1, M + 1)))
    Z, _ = pair(backend, shape=(M, N + 1))
    for mistake in (
        lambda: wrong @ Y,
        lambda: Y @ wrong,
        lambda: Y @ Y,
        lambda: Y + Z,
        lambda: Y - Z,
        lambda: Y + wrong,
        lambda: wrong - Y,
        lambda: Y * Z,
        lambda: wrong * Y,
        lambda: Y.inner(Z),
    ):
        with pytest.raises(ValueError, match=r"shape.*\(7, 5\)"):
            mistake()


def test_operands_that_are_no_matrices(backend):
    Y, _ = pair(backend)
    for mistake in (
        lambda: Y + 1.0,
        lambda: 1.0 - Y,
        lambda: Y + "1",
        lambda: "1" * Y,
        lambda: Y * None,
        lambda: Y @ 2.0,
        lambda: 2.0 @ Y,
        lambda: Y / Y,
        lambda: 1 / Y,
        lambda: Y + [[1.0] * N] * M,
    ):
        with pytest.raises(TypeError):
            mistake()


def test_truncation_needs_a_rule(backend):
    Y, _ = pair(backend)
    with pytest.raises(TypeError, match="Absolute"):
        Y.truncate(1e-3)


# Memory

LARGE = 20_000
LARGE_OPERATIONS: dict[str, Callable[..., Any]] = {
    "A @ Y + Y @ B": lambda Y, Z, A: A @ Y + Y @ A,
    "Y * Z": lambda Y, Z, A: Y * Z,
    "Y @ Z.mH": lambda Y, Z, A: Y @ Z.mH,
    "norm of Y - Z": lambda Y, Z, A: (Y - Z).norm(),
    "Y.inner(Z)": lambda Y, Z, A: Y.inner(Z),
    "(Y + Z).truncate": lambda Y, Z, A: (Y + Z).truncate(Relative(1e-6)),
    "(Y + Z).singular_values": lambda Y, Z, A: (Y + Z).singular_values(),
    "actions of Y + A": lambda Y, Z, A: (Y + A).galerkin(Y.U, (Y + A).left(Y.U)),
    "entries": lambda Y, Z, A: Y.entries(np.arange(9), np.arange(9)),
    "A * Y": lambda Y, Z, A: A * Y,
    "random": lambda Y, Z, A: LowRank.random((LARGE, LARGE), 3, rng=2),
}


@pytest.mark.parametrize("name", LARGE_OPERATIONS)
def test_never_m_times_n(name):
    """A 20000 x 20000 array of doubles has 3.2 GB; forty columns of it have 6.4 MB."""
    Y, Z = (LowRank.random((LARGE, LARGE), 3, rng=seed) for seed in (0, 1))
    A = scipy.sparse.diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(LARGE, LARGE), format="csr")
    tracemalloc.start()
    try:
        LARGE_OPERATIONS[name](Y, Z, A)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 80 * LARGE * 8


def test_the_product_with_a_lazy_sum_stays_low_rank(monkeypatch):
    rng = np.random.default_rng(0)
    Y, Z = LowRank.random((8, 6), 2, rng=1), LowRank.random((6, 6), 2, rng=2)
    A = scipy.sparse.csr_array(rng.standard_normal((6, 6)))
    total = A + Z
    expected = Y.to_dense() @ (A.toarray() + Z.to_dense()), (A.toarray() + Z.to_dense()) @ Y.to_dense().T

    def refuse(*arguments):
        raise AssertionError("an m x n array was formed")

    with monkeypatch.context() as patched:
        for cls in (LowRank, type(total), Operator):
            patched.setattr(cls, "full", refuse)
        products = Y @ total, total @ Y.mT
    for product, dense in zip(products, expected, strict=True):
        assert isinstance(product, LowRank)
        assert np.linalg.norm(product.to_dense() - dense) <= 1e-13


@pytest.mark.parametrize("shape", [(12, 9), (9, 12)])
def test_an_entrywise_product_is_never_wider_than_the_matrix(backend, shape):
    Y, Z = (LowRank.random(shape, r, rng=r, dtype="complex128", backend=backend) for r in (3, 4))
    product = Y * Z
    assert max(product.U.shape[1], product.V.shape[1]) == 9
    assert_array(product.to_dense(), _array.to_host(Y.to_dense()) * _array.to_host(Z.to_dense()), backend, atol=1e-13)
