"""The basis of a moved factor, which is not formed: orthonormal, and all of the factor, whatever moves it."""

from __future__ import annotations

import numpy as np
import pytest

from matode._array import get_backend, to_host
from matode.integrators import basis_update
from matode.integrators.basis_update import updated_basis
from tests.backends import assert_at_home, send

NUMPY = get_backend()
EPS = {dtype: float(np.finfo(dtype).eps) for dtype in ("float64", "complex128", "float32", "complex64")}


def _gaussian(rng: np.random.Generator, m: int, k: int, dtype: str) -> np.ndarray:
    return rng.standard_normal((m, k)) + (1j * rng.standard_normal((m, k)) if dtype.startswith("complex") else 0)


def _basis(rng: np.random.Generator, m: int, k: int, dtype: str) -> np.ndarray:
    return np.linalg.qr(_gaussian(rng, m, k, dtype))[0]


class _Moved:
    """``K = U S + h X C`` in a dtype, and what :func:`updated_basis` takes on a backend."""

    def __init__(self, U, S, X, C, dtype, h=0.3):
        self.h, self.dtype = h, dtype
        self.U, self.S, self.X = (A.astype(dtype) for A in (U, S, X))
        self.C = None if C is None else C.astype(dtype)
        self.inside = (self.U.conj().T @ self.X).astype(dtype)
        U, S, X = (A.astype("complex128") for A in (self.U, self.S, self.X))
        parts = U @ S, h * (X if C is None else X @ self.C)
        self.K, self.size = parts[0] + parts[1], max(np.linalg.norm(part, 2) for part in parts)

    def on(self, backend):
        U, S, X, C, inside = (
            None if A is None else send(backend, A) for A in (self.U, self.S, self.X, self.C, self.inside)
        )
        return U, S, self.h, X, C, inside

    def assert_updated(self, W, overlap, bound, orthonormal=None):
        """Assert that W is orthonormal, that K lies in its range, and that the overlap is ``W* U``."""
        assert str(W.dtype) == str(overlap.dtype) == self.dtype
        assert W.shape == (self.K.shape[0], min(self.K.shape))
        W = W.astype("complex128")
        assert np.linalg.norm(W.conj().T @ W - np.eye(W.shape[1]), 2) <= (orthonormal or bound)
        assert np.linalg.norm(self.K - W @ (W.conj().T @ self.K), 2) <= bound * max(self.size, 1e-300)
        assert np.linalg.norm(overlap - W.conj().T @ self.U, 2) <= bound


def _moved(case: str, dtype: str) -> _Moved:
    """Return a factor of 6 columns that moves in some way: with X in place of X C where the case does not say more."""
    rng = np.random.default_rng(1)
    m, p = 60, 6
    U, S, X = _basis(rng, m, p, dtype), _gaussian(rng, p, p, dtype), _gaussian(rng, m, p, dtype)
    C, dark = None, np.concatenate([np.ones(4), np.zeros(2)])
    graded = (_basis(rng, p, p, dtype) * np.geomspace(1.0, EPS[dtype] ** 0.75, p)) @ _basis(rng, p, p, dtype)
    match case:
        case "few rows":
            X, C = X[:, :3], _gaussian(rng, 3, p, dtype)
        case "many rows":
            X, C = _gaussian(rng, m, 20, dtype), _gaussian(rng, 20, p, dtype)
        case "no rows":
            X, C = X[:, :0], np.zeros((0, p))
        case "nothing moves":
            X = 0 * X
        case "from zero":
            S = 0 * S
        case "zero":
            S, X = 0 * S, 0 * X
        case "inside":
            X = U @ _gaussian(rng, p, p, dtype)
        case "back to zero":
            X, C = U, -S / 0.3
        case "singular":
            S, C = S * dark, np.diag(dark)
        case "singular core":
            S = S * dark
        case "uneven core":
            S, X = _basis(rng, p, p, dtype) * np.geomspace(1.0, 1e-3, p) @ _basis(rng, p, p, dtype), 1e-3 * X
        case "graded core":
            S, X = graded, X * 1e-3
        case "graded":
            S, C = S @ graded, graded
        case "small innovation":
            X = 1e-5 * X
        case "large rows":
            S, X = 1e-4 * S, U @ _gaussian(rng, p, p, dtype) + 1e-2 * X
        case "most of the space":
            U, X = U[:9], X[:9]
            U = np.linalg.qr(U)[0]
        case "all of the space":
            U, X = np.linalg.qr(U[:6])[0], X[:6]
        case "wider than tall":
            U, S, X = _basis(rng, 4, 4, dtype), S[:4], X[:4]
        case "more columns":
            S, X = _gaussian(rng, p, 8, dtype), _gaussian(rng, m, 8, dtype)
        case "fewer columns":
            S, X = S[:, :4], X[:, :4]
        case "huge":
            S, X = 1e18 * S, 1e18 * X
        case "tiny":
            S, X = 1e-25 * S, 1e-25 * X
        case _:
            assert case == "generic"
    return _Moved(U, S, X, C, dtype)


BY_CHOLESKY = (
    "generic",
    "few rows",
    "many rows",
    "no rows",
    "nothing moves",
    "inside",
    "small innovation",
    "fewer columns",
)
HARDER = (
    "from zero",
    "zero",
    "back to zero",
    "singular",
    "singular core",
    "graded core",
    "graded",
    "large rows",
    "most of the space",
    "all of the space",
    "wider than tall",
    "more columns",
    "tiny",
)


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("case", BY_CHOLESKY + HARDER)
def test_the_basis_is_orthonormal_and_has_all_of_the_moved_factor(backend, case, dtype):
    moved = _moved(case, dtype)
    W, overlap = updated_basis(*moved.on(backend))
    assert_at_home(W, backend, dtype)
    assert_at_home(overlap, backend, dtype)
    moved.assert_updated(to_host(W), to_host(overlap), 40 * EPS[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("h", [1e-30, 1.0])
def test_sizes_whose_squares_overflow(dtype, h):
    moved = _moved("huge", dtype)
    moved = _Moved(moved.U, moved.S, moved.X, None, dtype, h)
    moved.assert_updated(*updated_basis(*moved.on(NUMPY)), 40 * EPS[dtype])


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("case", BY_CHOLESKY)
def test_both_ways_give_the_same_block(monkeypatch, dtype, case):
    """With a core that is not graded, Cholesky factorisations do, and only rounding tells the two ways apart."""
    moved = _moved(case, dtype)
    W, overlap = basis_update._by_complement(*moved.on(NUMPY))
    moved.assert_updated(W, overlap, 40 * EPS[dtype])
    monkeypatch.setattr(basis_update, "_by_complement", None)
    Q, turn = updated_basis(*moved.on(NUMPY))
    bound = 10 * np.linalg.cond(moved.K) * EPS[dtype]
    assert bound < 1e3 * EPS[dtype]
    assert np.linalg.norm(Q @ Q.conj().T - W @ W.conj().T, 2) <= bound
    assert np.linalg.norm((Q @ turn - W @ overlap) @ moved.S, 2) <= bound * np.linalg.norm(moved.S, 2)


@pytest.mark.parametrize("case", [*BY_CHOLESKY, "uneven core"])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_single_precision_takes_one_pass(monkeypatch, case, dtype):
    """The small matrices are in double precision, so that a core of a wide range costs no second pass."""
    moved = _moved(case, dtype)
    monkeypatch.setattr(basis_update, "_by_complement", None)
    monkeypatch.setattr(basis_update, "repaired", None)
    moved.assert_updated(*updated_basis(*moved.on(NUMPY)), 40 * EPS[dtype])


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("case", ["zero", "singular", "wider than tall"])
def test_a_factor_without_full_rank_is_written_in_a_wider_basis(dtype, case):
    found = basis_update._by_cholesky(*_moved(case, dtype).on(NUMPY))
    if found is not None:
        assert not basis_update._seems_orthonormal(found[0])
        assert basis_update.repaired(found[0]) is None


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("case", ["generic", "many rows", "singular"])
def test_drift_is_repaired_where_it_shows(dtype, case):
    moved, rng, drift = _moved(case, dtype), np.random.default_rng(2), 1e3 * EPS[dtype]
    moved = _Moved(moved.U @ (np.eye(6) + drift * rng.standard_normal((6, 6))), moved.S, moved.X, moved.C, dtype)
    defect = moved.U.astype("complex128")
    assert np.linalg.norm(defect.conj().T @ defect - np.eye(6), 2) >= drift
    moved.assert_updated(*updated_basis(*moved.on(NUMPY)), 10 * drift, orthonormal=10 * EPS[dtype])


@pytest.mark.parametrize("ratio", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5])
def test_rounding_of_large_rows_is_repaired_or_avoided(ratio):
    """Rows that nearly cancel hide the factor in their Gram matrix, the more so the closer they do."""
    rng, dtype = np.random.default_rng(3), "float32"
    U, rows = _basis(rng, 80, 5, dtype), rng.standard_normal((80, 7))
    alike = np.concatenate([rows, rows + ratio * rng.standard_normal((80, 7))], axis=1)
    C = np.concatenate([np.eye(7)[:, :5], -np.eye(7)[:, :5]])
    moved = _Moved(U, ratio * rng.standard_normal((5, 5)), alike, C, dtype, 1.0)
    moved.size = np.linalg.norm(alike, 2)  # whose rounding is that of the product
    moved.assert_updated(*updated_basis(*moved.on(NUMPY)), 40 * EPS[dtype])


def test_a_factor_that_overflows_is_none():
    moved = _Moved(
        *(1.0 * A for A in (_moved("generic", "float32").U, np.eye(6), np.ones((60, 6)))), None, "float32", 1e39
    )
    with np.errstate(over="ignore", invalid="ignore"):
        assert updated_basis(*moved.on(NUMPY)) is None


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("k", [1, 5, 70])
def test_random_vectors_see_more_than_rounding(backend, dtype, k):
    rng, m = np.random.default_rng(4), 150
    W = _basis(rng, m, k, dtype)
    assert basis_update._seems_orthonormal(send(backend, W.astype(dtype)))
    x = _gaussian(rng, k, 1, dtype)
    for E in (
        np.eye(k),
        np.eye(k)[:, :1] @ np.eye(k)[-1:, :],
        x @ x.conj().T / k,
        _gaussian(rng, k, k, dtype) / np.sqrt(k),
    ):
        wrong = W @ (np.eye(k) + 200 * EPS[dtype] * E)
        assert not basis_update._seems_orthonormal(send(backend, wrong.astype(dtype)))
    assert not basis_update._seems_orthonormal(send(backend, np.full((m, k), np.nan).astype(dtype)))
