"""Inverses of triangular matrices."""

from __future__ import annotations

import numpy as np
import pytest

from matode._array import to_host
from matode.triangular import cholesky, lower_inverse
from tests.backends import assert_at_home, send


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize("n", [1, 40, 41, 163])
def test_the_inverse_by_blocks(backend, n, dtype):
    rng, eps = np.random.default_rng(1), float(np.finfo(dtype).eps)
    G = rng.standard_normal((n, 2 * n)) + (1j * rng.standard_normal((n, 2 * n)) if dtype == "complex128" else 0)
    L = np.linalg.cholesky(G @ G.conj().T / n).astype(dtype)
    found = lower_inverse(send(backend, L))
    assert_at_home(found, backend, dtype)
    T = to_host(found).astype("complex128")
    assert (np.triu(T, 1) == 0).all()
    assert np.linalg.norm(T @ L - np.eye(n), 2) <= 4 * np.sqrt(n) * eps * np.linalg.cond(L)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("n", [0, 1, 7, 40, 41, 90])
def test_the_factor_and_its_inverse(n, dtype):
    rng, eps = np.random.default_rng(n), float(np.finfo(dtype).eps)
    N = rng.standard_normal((2 * n, n)) + (1j * rng.standard_normal((2 * n, n)) if dtype == "complex128" else 0)
    G = N.conj().T @ N
    before = G.copy()
    for given in (G, np.asfortranarray(G)):
        L, inverse = cholesky(given)
        np.testing.assert_array_equal(given, before)
        for X in (L, inverse):
            assert X.dtype == dtype
            assert (np.triu(X, 1) == 0).all()
        assert np.linalg.norm(L @ L.conj().T - G) <= 4 * (n + 1) * eps * np.linalg.norm(G)
        if n:  # nothing has no condition number
            assert np.linalg.norm(L @ inverse - np.eye(n)) <= 4 * (n + 1) * eps * np.linalg.cond(L)


@pytest.mark.parametrize("n", [5, 50])
def test_what_is_not_definite_has_no_factor(n):
    for pivot in (0.0, -1.0):
        assert cholesky(np.diag([1.0] * (n - 1) + [pivot])) is None
    found = cholesky(np.diag([1.0] * (n - 1) + [np.nan]))
    assert found is None or not np.isfinite(found[1]).all()
