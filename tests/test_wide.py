"""Bases that a step has widened: what turning and cutting them gives is the same however it is done."""

from __future__ import annotations

import numpy as np
import pytest

from matode._array import as_dtype, to_host
from matode.integrators.wide import Wide, turned
from matode.truncation import Rank, Relative
from tests.backends import assert_at_home, send

EPS = {"float64": 2e-16, "complex128": 2e-16, "float32": 1.2e-7}


def _basis(rng: np.random.Generator, m: int, p: int, dtype: str) -> np.ndarray:
    X = rng.standard_normal((m, p)) + (1j * rng.standard_normal((m, p)) if dtype == "complex128" else 0)
    return np.linalg.qr(X)[0]


def _core(case: str, p: int, q: int, rng: np.random.Generator, dtype: str) -> np.ndarray:
    """Return a core whose last directions are the small ones, or the first, or none in particular."""
    s = np.geomspace(1.0, 1e-2, min(p, q))
    nearly = [_basis(rng, k, k, dtype) for k in (p, q)]
    if case != "generic":
        nearly = [np.linalg.qr(np.eye(k) + 0.02 * Z)[0] for k, Z in zip((p, q), nearly, strict=True)]
    S = (nearly[0][:, : len(s)] * s) @ nearly[1][:, : len(s)].conj().T
    return S[::-1, ::-1].copy() if case == "the old go" else S


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("case", ["the new go", "the old go", "generic"])
@pytest.mark.parametrize(("kept", "new"), [(70, (9, 6)), (66, (9, 6)), (20, (5, 4)), (70, (50, 60)), (70, (0, 6))])
def test_a_cut_is_that_of_the_joined_matrix(backend, dtype, case, kept, new):
    rng = np.random.default_rng(1)
    r = max(kept, 70) if kept > 20 else 20
    U, V = _basis(rng, 150, r + new[0], dtype).astype(dtype), _basis(rng, 140, r + new[1], dtype).astype(dtype)
    S = _core(case, r + new[0], r + new[1], rng, dtype).astype(dtype)
    wide = Wide(*(send(backend, X) for X in (U[:, :r], S, V[:, :r])))
    wide = Wide((wide.U, send(backend, U[:, r:])), wide.S, (wide.V, send(backend, V[:, r:])))
    y, s, discarded = wide.truncated(Rank(kept))
    for X in (y.U, y.S, y.V):
        assert_at_home(X, backend, dtype)
    for X in (to_host(y.U), to_host(y.V)):
        assert X.shape[1] == kept
        assert np.linalg.norm(X.conj().T @ X - np.eye(kept)) <= 100 * EPS[dtype]
    P, values, Qh = np.linalg.svd(S)
    assert np.allclose(s, values[:kept], rtol=0, atol=20 * EPS[dtype])
    assert discarded == pytest.approx(np.linalg.norm(values[kept:]), rel=1e-2, abs=20 * EPS[dtype])
    best = (U @ P[:, :kept] * values[:kept]) @ (Qh[:kept] @ V.conj().T)
    assert np.linalg.norm(to_host(y.to_dense()) - best) <= (1e-12 if EPS[dtype] < 1e-10 else 2e-4)
    whole = U @ S @ V.conj().T
    lost = np.linalg.norm(to_host(y.to_dense()).astype("complex128") - whole)
    assert lost <= discarded * (1 + 1e-5) + 300 * EPS[dtype]


@pytest.mark.parametrize("dtype", EPS)
def test_bases_are_turned_as_little_as_possible_where_few_directions_go(backend, dtype):
    rng = np.random.default_rng(2)
    parts = tuple(np.split(_basis(rng, 150, 80, dtype).astype(dtype), [72], axis=1))
    P = np.linalg.qr(np.eye(80)[:, :72] + 0.02 * _basis(rng, 80, 72, dtype))[0] @ _basis(rng, 72, 72, dtype)
    double = "complex128" if dtype == "complex128" else "float64"
    U, whole = send(backend, parts[0]), send(backend, np.concatenate(parts, axis=1))
    W, A = turned(U, lambda X: whole @ as_dtype(X, whole.dtype), send(backend, P.astype(double)))
    assert_at_home(W, backend, dtype)
    assert A is not None
    W, A = to_host(W), to_host(A)
    assert np.linalg.norm(W - parts[0], 2) <= 0.1
    assert np.linalg.norm(A.conj().T @ A - np.eye(72)) <= 1e-12
    assert np.linalg.norm(W.conj().T @ W - np.eye(72)) <= 100 * EPS[dtype]
    assert np.linalg.norm(W @ A - np.concatenate(parts, axis=1) @ P) <= 100 * EPS[dtype]


def test_a_tolerance_that_keeps_everything_leaves_the_bases_alone(backend):
    rng = np.random.default_rng(3)
    U, V, S = _basis(rng, 90, 66, "float64"), _basis(rng, 80, 66, "float64"), rng.standard_normal((66, 66))
    U, S, V = (send(backend, X) for X in (U, S, V))
    y, s, discarded = Wide((U,), S, (V,)).truncated(Relative(0.0))
    assert y.U is U
    assert y.V is V
    assert len(s) == 66
    assert discarded == 0.0
    assert np.linalg.norm(to_host(y.S) - to_host(S)) <= 1e-12
