"""Inverses of triangular matrices."""

from __future__ import annotations

import numpy as np
import pytest

from matode._array import to_host
from matode.triangular import lower_inverse
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
