"""Entrywise powers and products: equal to the dense ones in both forms, and the cheaper form is taken."""

from __future__ import annotations

import tracemalloc
from math import comb

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

from matode import LowRank, Operator
from matode._array import to_host
from matode.entrywise import Entrywise, cubic, power, product, stays_low_rank
from matode.evaluations import Chain
from tests.backends import assert_at_home

FORMS = {"low-rank": ((60, 45), 2), "by entries": ((9, 8), 4)}
TYPES = {"low-rank": LowRank, "by entries": Entrywise}


def _drawn(form, dtype, backend, seed=0):
    shape, rank = FORMS[form]
    return LowRank.random(shape, rank, rng=seed, dtype=dtype, backend=backend)


def _check(value, expected, form, dtype, backend):
    assert type(value) is TYPES[form]
    assert_at_home(value.full(), backend, dtype)
    tolerance = {"float32": 1e-5, "complex64": 1e-5}.get(dtype, 1e-13)
    assert np.linalg.norm(to_host(value.full()) - expected) <= tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize("dtype", ["float64", "complex64", "complex128"])
@pytest.mark.parametrize("form", list(FORMS))
def test_powers_and_cubes_are_the_dense_ones(backend, form, dtype):
    Y = _drawn(form, dtype, backend)
    x = to_host(Y.to_dense())
    _check(power(Y, 2), x * x, form, dtype, backend)
    _check(Y**3, x * x * x, form, dtype, backend)
    _check(cubic(Y, 1.0, -1.0), x - x**3, form, dtype, backend)
    _check(cubic(Y, modulus=True), np.abs(x) ** 2 * x, form, dtype, backend)
    _check(cubic(Y, 0.5, 2.0, modulus=True), 0.5 * x + 2 * np.abs(x) ** 2 * x, form, dtype, backend)
    if dtype.startswith("complex"):
        _check(cubic(Y, 0.0, 0.3j, modulus=True), 0.3j * np.abs(x) ** 2 * x, form, dtype, backend)
    Z = _drawn(form, dtype, backend, seed=1)
    _check(product(Y, Z), x * to_host(Z.to_dense()), form, dtype, backend)


@pytest.mark.parametrize("shape", [(2, 3), (3, 2)])
def test_rectangular_cores(shape):
    rng = np.random.default_rng(0)
    Y = LowRank(rng.standard_normal((40, shape[0])), rng.standard_normal(shape), rng.standard_normal((50, shape[1])))
    assert np.allclose((Y**3).full(), Y.to_dense() ** 3)
    assert (Y**3).rank == comb(4, 3)


def test_equal_factors_are_multiplied_once():
    Y = LowRank.random((400, 300), 5, rng=0)
    assert (Y**2).rank == 15
    assert (Y**3).rank == 35
    assert (Y**4).rank == 70
    assert Y**1 is Y


def test_arrays_stay_arrays_and_inputs_are_kept():
    x = np.random.default_rng(0).standard_normal((4, 3))
    x.flags.writeable = False
    assert np.allclose(cubic(x, 2.0, -3.0), 2 * x - 3 * x**3)
    assert np.allclose(product(x, x), x * x)
    Y = LowRank(np.eye(4), x, np.eye(3))  # the m x n array is the core itself
    before = x.copy()
    cubic(Y, 1.0, -1.0)
    assert np.array_equal(x, before)


def test_the_rule_follows_the_operations():
    assert stays_low_rank((1024, 1024), 5, 35)
    assert stays_low_rank((1024, 1024), 10, 220)
    assert not stays_low_rank((1024, 1024), 20, 1540)
    assert not stays_low_rank((1024, 32), 16, 64)
    assert stays_low_rank((10**6, 10**6), 20, 1540)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_entries_act_some_rows_at_a_time(backend, dtype):
    """With enough entries for three pieces, the last one shorter."""
    Y = LowRank.random((300, 500), 12, rng=0, dtype=dtype, backend=backend)
    x = to_host(Y.to_dense())
    F, value = x - 2 * np.abs(x) ** 2 * x, cubic(Y, 1.0, -2.0, modulus=True)
    assert type(value) is Entrywise
    U, V = (to_host(X) for X in (Y.U, Y.V))
    _check_array(value.right(Y.V), F @ V, dtype, backend)
    _check_array(value.left(Y.U), F.conj().T @ U, dtype, backend)
    _check_array(value.galerkin(Y.U, Y.V), U.conj().T @ F @ V, dtype, backend)
    _check_array(value.full(), F, dtype, backend)
    _check_array((-3.0 * value).right(Y.V), -3 * F @ V, dtype, backend)
    _check_array((Y @ Y.mT + value @ Y.mT).full(), x @ x.T + F @ x.T, dtype, backend)
    _check_array((Y.mT @ value).full(), x.T @ F, dtype, backend)


def _check_array(actual, expected, dtype, backend):
    assert_at_home(actual, backend, dtype)
    assert np.linalg.norm(to_host(actual) - expected) <= 1e-13 * np.linalg.norm(expected)


@pytest.mark.parametrize("wrap", [lambda A: A, Operator], ids=["plain", "operator"])
def test_products_with_matrices_act_one_after_the_other(backend, wrap):
    Y = LowRank.random((9, 8), 4, rng=0, dtype="complex128", backend=backend)
    A, B = (LowRank.random(shape, 5, rng=1, dtype="complex128", backend=backend) for shape in ((7, 9), (8, 6)))
    a, x, b = (to_host(X.to_dense()) for X in (A, Y, B))
    expected = -2.0 * a @ (x * x * x) @ b
    value = -2.0 * (wrap(A.to_dense()) @ Y**3 @ wrap(B.to_dense()))
    assert type(value) is Chain
    assert value.shape == (7, 6)
    _check_array(value.full(), expected, "complex128", backend)
    _check_array(value.right(B.V), expected @ to_host(B.V), "complex128", backend)
    _check_array(value.left(A.U), expected.conj().T @ to_host(A.U), "complex128", backend)
    _check_array(value.galerkin(A.U, B.V), to_host(A.U).conj().T @ expected @ to_host(B.V), "complex128", backend)
    _check_array((wrap(A.mT.to_dense()) @ value).full(), a.T @ expected, "complex128", backend)
    _check_array((value @ wrap(B.mT.to_dense())).full(), expected @ b.T, "complex128", backend)


def test_sparse_products_with_entries_stay_thin():
    Y = LowRank.random((2000, 2000), 20, rng=0)
    D = sparse.eye_array(2000, format="csr") * 2.0
    tracemalloc.start()
    moved = [(D @ Y**3).right(Y.V), (Operator(D) @ Y**3).right(Y.V), (Y**3 @ D).right(Y.V)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4e6  # the array has 3.2e7 bytes
    assert all(np.allclose(value, 2.0 * (Y**3).right(Y.V)) for value in moved)


def test_entries_are_never_all_there():
    Y = LowRank.random((2000, 2000), 20, rng=0)
    value = cubic(Y, 1.0, -1.0)
    assert type(value) is Entrywise
    tracemalloc.start()
    value.right(Y.V), value.left(Y.U), value.galerkin(Y.U, Y.V)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4e6  # the array has 3.2e7 bytes


def test_low_rank_cubes_of_large_matrices_take_little_memory():
    Y = LowRank.random((20000, 20000), 3, rng=0)
    tracemalloc.start()
    value = cubic(Y, 1.0, -1.0)
    value.right(Y.V)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40e6  # the array has 3.2e9 bytes


def test_complex_coefficients_and_mixed_libraries_are_refused(torch):
    Y = LowRank.random((9, 8), 4, rng=0)
    with pytest.raises(TypeError, match="complex coefficients need a complex Y"):
        cubic(Y, 0.0, 1j)
    for value in (Y**3, np.eye(9) @ Y**3, Y**3 @ aslinearoperator(np.eye(8))):
        with pytest.raises(TypeError):
            value + torch.ones((9, 8))


def test_nan_passes_through():
    U = np.ones((30, 1))
    U[3, 0] = np.nan
    value = (LowRank(U, None, np.ones((20, 1))) ** 3).full()
    assert np.isnan(value[3]).all()
    assert np.isfinite(value[4]).all()
