"""Bases and truncated decompositions: orthonormal whatever the input, and nothing of it lost."""

from __future__ import annotations

import numpy as np
import pytest

from matode import linalg
from matode._array import to_host
from matode.spectrum import leading, nearby_root
from matode.truncation import Absolute, Rank, Relative
from tests.backends import assert_at_home, send

TOLERANCE = {"float64": 1e-14, "complex128": 1e-14, "float32": 3e-6}
DTYPES = tuple(TOLERANCE)


def _basis(rng: np.random.Generator, m: int, p: int, dtype: str) -> np.ndarray:
    X = rng.standard_normal((m, p)) + (1j * rng.standard_normal((m, p)) if dtype == "complex128" else 0)
    return np.linalg.qr(X)[0].astype(dtype)


def _columns(case: str, U: np.ndarray, q: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Return columns, and the rank that they add to U."""
    m, p = U.shape
    inside = U @ rng.standard_normal((p, q))
    generic = rng.standard_normal((m, q))
    match case:
        case "generic":
            return generic, q
        case "inside":
            return inside, 0
        case "zero":
            return np.zeros((m, q)), 0
        case "one direction":
            return np.outer(rng.standard_normal(m), rng.standard_normal(q)) + inside, 1
        case "repeated":
            return np.concatenate([generic[:, : q // 2], generic[:, : q // 2]], axis=1), q // 2
        case "small innovation":
            return inside + 1e-4 * generic, q
        case "mixed sizes":
            return generic * np.geomspace(1.0, 1e-3, q), q
    raise AssertionError(case)


CASES = ("generic", "inside", "zero", "one direction", "repeated", "small innovation", "mixed sizes")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_complement_is_orthonormal_complete_and_no_wider_than_the_innovation(backend, case, dtype):
    rng = np.random.default_rng(1)
    U = _basis(rng, 60, 6, dtype)
    X, added = _columns(case, U, 6, rng)
    X = X.astype(dtype)
    W = linalg.complement(send(backend, U), send(backend, X))
    assert_at_home(W, backend, dtype)
    Q = np.concatenate([U, to_host(W)], axis=1)
    assert W.shape == (60, added)
    assert np.linalg.norm(Q.conj().T @ Q - np.eye(Q.shape[1])) <= TOLERANCE[dtype] * 10
    assert np.linalg.norm(X - Q @ (Q.conj().T @ X)) <= TOLERANCE[dtype] * max(np.linalg.norm(X), 1e-300)


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e30, 1e150])
def test_complement_does_not_depend_on_the_scale(scale):
    rng = np.random.default_rng(2)
    U, X = _basis(rng, 40, 3, "float64"), rng.standard_normal((40, 3))
    W = linalg.complement(U, scale * X)
    assert W.shape == (40, 3)
    Q = np.concatenate([U, W], axis=1)
    assert np.linalg.norm(X - Q @ (Q.T @ X)) <= 1e-13 * np.linalg.norm(X)


@pytest.mark.parametrize("scale", [1e-25, 1e25])
@pytest.mark.parametrize("known", [True, False])
def test_complement_in_single_precision_does_not_depend_on_the_scale(scale, known):
    rng = np.random.default_rng(2)
    U, X = _basis(rng, 40, 3, "float32"), (scale * rng.standard_normal((40, 3))).astype("float32")
    W = linalg.complement(U, X, inside=U.T @ X if known else None)
    assert W.shape == (40, 3)
    Q = np.concatenate([U, W], axis=1)
    assert np.linalg.norm(Q.T @ Q - np.eye(6)) <= 3e-6
    assert np.linalg.norm((X - Q @ (Q.T @ X)) / scale) <= 1e-5


def test_complement_reaches_directions_far_below_the_square_root_of_rounding():
    rng = np.random.default_rng(3)
    U, G = _basis(rng, 50, 4, "float64"), rng.standard_normal((50, 8))
    X = (G * 10.0 ** -np.arange(0, 16, 2)) @ _basis(rng, 8, 8, "float64")
    W = linalg.complement(U, X)
    Q = np.concatenate([U, W], axis=1)
    assert np.linalg.norm(Q.T @ Q - np.eye(Q.shape[1])) <= 1e-13
    assert np.linalg.norm(X - Q @ (Q.T @ X)) <= 5e-15 * np.linalg.norm(X)


@pytest.mark.parametrize("drift", [0.0, 1e-15, 1e-13, 1e-10])
@pytest.mark.parametrize("outside", [0.0, 1e-6])
def test_complement_is_orthogonal_to_bases_that_have_drifted(backend, drift, outside):
    rng = np.random.default_rng(1)
    for q in (1, 2, 3):
        U = np.linalg.qr(rng.standard_normal((12, 3)))[0] @ (np.eye(3) + drift * rng.standard_normal((3, 3)))
        X = U @ rng.standard_normal((3, q))
        X[:, :1] += outside * rng.standard_normal((12, 1))
        W = to_host(linalg.complement(send(backend, U), send(backend, X)))
        assert W.shape[1] == (1 if outside else 0)
        assert np.linalg.norm(U.T @ W) <= 2e-15 + 10 * drift
        assert np.linalg.norm(W.T @ W - np.eye(W.shape[1])) <= 2e-15


@pytest.mark.parametrize(("m", "p"), [(5, 5), (5, 4), (7, 4)])
def test_complement_never_exceeds_the_space(backend, m, p):
    rng = np.random.default_rng(4)
    U = _basis(rng, m, p, "float64")
    W = linalg.complement(send(backend, U), send(backend, rng.standard_normal((m, 4))))
    assert W.shape == (m, m - p)
    Q = np.concatenate([U, to_host(W)], axis=1)
    assert np.linalg.norm(Q.T @ Q - np.eye(m)) <= 1e-13


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("decay", [0.9, 0.7, 0.3])
@pytest.mark.parametrize(("floor", "share"), [(1e-2, 0.0), (1e-5, 0.0), (1e-5, 0.1)])
def test_leading_directions_of_a_large_gram_matrix_are_those_of_all(backend, complex_, decay, floor, share):
    rng = np.random.default_rng(10)
    dtype = "complex128" if complex_ else "float64"
    s = decay ** np.arange(100.0)
    N = (_basis(rng, 150, 100, dtype) * s) @ _basis(rng, 100, 100, dtype).conj().T
    tails = np.sqrt(np.append(np.cumsum(s[::-1] ** 2)[::-1], 0))
    expected = min(int((s > floor).sum()), int((tails > share * tails[0]).sum()))
    T, complete = leading(send(backend, N.conj().T @ N), floor, share * tails[0], 1e-14, 100)
    assert_at_home(T, backend, dtype)
    Q = N @ to_host(T)
    assert complete
    assert Q.shape[1] == expected
    assert np.linalg.norm(Q.conj().T @ Q - np.eye(expected), 2) <= 0.1
    Q = np.linalg.qr(Q)[0]
    assert np.linalg.norm(N - Q @ (Q.conj().T @ N)) <= 1.05 * max(tails[expected], share * tails[0]) + 1e-12
    assert leading(send(backend, N.conj().T @ N), 0.0, 0.0, 1e-14, 7)[0].shape[1] == 7


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(12, 12), (12, 9), (9, 12)])
def test_truncated_svd_keeps_the_best_approximation(backend, dtype, shape):
    rng = np.random.default_rng(5)
    k = min(shape)
    s = np.geomspace(1.0, 1e-3, k)
    S = (_basis(rng, shape[0], k, dtype) * s.astype(dtype)) @ _basis(rng, shape[1], k, dtype).conj().T
    P, kept, Q, discarded = linalg.truncated_svd(send(backend, S), Rank(4))
    assert_at_home(P, backend, dtype)
    assert_at_home(Q, backend, dtype)
    P, Q = to_host(P), to_host(Q)
    tolerance = 10 * TOLERANCE[dtype]
    assert np.allclose(kept, s[:4], rtol=tolerance, atol=0)
    assert np.linalg.norm(S - (P * kept) @ Q.conj().T) == pytest.approx(np.linalg.norm(s[4:]), rel=1e-3)
    assert discarded == pytest.approx(np.linalg.norm(s[4:]), rel=1e-3)
    for X in (P, Q):
        assert np.linalg.norm(X.conj().T @ X - np.eye(4)) <= tolerance


def test_single_precision_keeps_orthonormal_vectors_of_small_singular_values():
    rng = np.random.default_rng(6)
    s = np.geomspace(1.0, 1e-6, 10)
    S = ((_basis(rng, 10, 10, "float64") * s) @ _basis(rng, 10, 10, "float64").T).astype("float32")
    P, kept, Q, _ = linalg.truncated_svd(S, Relative(1e-5))
    assert len(kept) > 7
    for X in (P, Q):
        assert np.linalg.norm(X.T @ X - np.eye(len(kept))) <= 1e-5


def test_zero_core_keeps_one_zero_singular_value(backend):
    P, kept, Q, discarded = linalg.truncated_svd(send(backend, np.zeros((4, 3))), Absolute(0.0))
    assert P.shape == (4, 1)
    assert Q.shape == (3, 1)
    assert kept.tolist() == [0.0]
    assert discarded == 0.0


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_where_lapack_does_not_converge_its_slower_driver_does(monkeypatch, dtype, double):
    S = _basis(np.random.default_rng(5), 7, 4, dtype) * [3.0, 2.0, 1.0, 0.5]
    asked, error = [], np.linalg.LinAlgError("SVD did not converge")

    def failing(*_, **__):
        asked.append(1)
        raise error

    monkeypatch.setattr(np.linalg, "svd", failing)
    P, s, Q, discarded = linalg.truncated_svd(S, Rank(3), double=double)
    assert asked == [1]
    assert s == pytest.approx([3.0, 2.0, 1.0], rel=1e-14)
    assert discarded == pytest.approx(0.5, rel=1e-14)
    for X in (P, Q):
        assert X.dtype == dtype
        assert np.linalg.norm(X.conj().T @ X - np.eye(3)) <= 1e-14
    assert np.linalg.norm((P * s) @ Q.conj().T - S) <= 0.5 * (1 + 1e-14)
    with pytest.raises(np.linalg.LinAlgError, match="did not converge"):  # nothing converges there
        linalg.truncated_svd(np.full((3, 3), np.nan, dtype), Rank(2), double=double)
    error = MemoryError("no room")
    with pytest.raises(MemoryError):
        linalg.truncated_svd(S, Rank(3), double=double)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("smallest", [0.1, 1e-4, 1e-9, 0.0])
def test_orthonormal_columns_span_the_range(backend, dtype, smallest):
    rng, eps = np.random.default_rng(11), np.finfo(dtype).eps
    X = (_basis(rng, 40, 6, dtype) * np.geomspace(1.0, 0.1, 6)) @ _basis(rng, 6, 6, dtype)
    X[:, 5] = X[:, :5].sum(axis=1) + smallest * X[:, 5]
    for columns in (X.astype(dtype), X[:4, :].astype(dtype), 0 * X[:, :2].astype(dtype)):
        W = linalg.orthonormal(send(backend, columns))
        assert_at_home(W, backend, dtype)
        Q, k = to_host(W), min(columns.shape)
        assert Q.shape == (columns.shape[0], k)
        assert np.linalg.norm(Q.conj().T @ Q - np.eye(k)) <= 40 * eps
        assert np.linalg.norm(columns - Q @ (Q.conj().T @ columns)) <= 40 * eps * np.linalg.norm(X)


@pytest.mark.parametrize("drift", [1e-6, 1e-10])
def test_reorthonormalise_keeps_the_product(backend, drift):
    rng = np.random.default_rng(7)
    U = _basis(rng, 30, 5, "complex128") + drift * rng.standard_normal((30, 5))
    Q, R = (to_host(X) for X in linalg.reorthonormalise(send(backend, U)))
    assert np.linalg.norm(Q.conj().T @ Q - np.eye(5)) <= 1e-14
    assert np.linalg.norm(Q @ R - U) <= 1e-14


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("large", [True, False])
def test_complement_of_a_small_part_of_something_large(backend, case, dtype, large):
    """What is known of X beside X itself saves work, and changes only what is rounding of the whole."""
    rng = np.random.default_rng(8)
    U = _basis(rng, 60, 6, dtype)
    X = _columns(case, U, 6, rng)[0].astype(dtype)
    inside, scale = U.conj().T @ X, (1e4 if dtype == "float32" else 1e9) * np.linalg.norm(X) * large
    known = linalg.complement(send(backend, U), send(backend, X), inside=send(backend, inside), scale=scale)
    assert_at_home(known, backend, dtype)
    W = to_host(known)
    Q = np.concatenate([U, W], axis=1)
    assert np.linalg.norm(Q.conj().T @ Q - np.eye(Q.shape[1])) <= TOLERANCE[dtype] * 10
    lost = np.linalg.norm(X - Q @ (Q.conj().T @ X))
    floor = np.finfo(dtype).eps * max(scale, 2 * np.sqrt(6) * np.linalg.norm(X))
    assert lost <= np.sqrt(6) * floor
    plain = to_host(linalg.complement(send(backend, U), send(backend, X), scale=scale))
    s = np.linalg.svd(X - U @ (U.conj().T @ X), compute_uv=False)
    assert plain.shape[1] == W.shape[1] == (s > floor).sum()
    assert np.linalg.norm(plain - W @ (W.conj().T @ plain)) <= 1e-2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("known", [True, False])
def test_complement_sees_what_only_a_mixing_makes_small(backend, dtype, known):
    """Well-conditioned rows mixed over a wide range."""
    rng, eps = np.random.default_rng(10), np.finfo(dtype).eps
    U = _basis(rng, 300, 5, dtype)
    rows = rng.standard_normal((300, 110)).astype(dtype)
    sizes = np.geomspace(1.0, 10 * eps, 110)
    mixing = ((_basis(rng, 110, 110, dtype) * sizes) @ _basis(rng, 130, 110, dtype).conj().T).astype(dtype)
    scale, whole = 1e3 * np.linalg.norm(rows, 2), rows @ mixing
    inside = send(backend, U.conj().T @ whole) if known else None
    W = to_host(linalg.complement(send(backend, U), send(backend, whole), scale=scale, inside=inside))
    Q = np.concatenate([U, W], axis=1)
    assert np.linalg.norm(Q.conj().T @ Q - np.eye(Q.shape[1])) <= TOLERANCE[dtype] * 10
    N = (rows - U @ (U.conj().T @ rows)).astype("complex128") @ mixing
    s = np.linalg.svd(N, compute_uv=False)
    assert 40 < (s > 1.5 * eps * scale).sum() <= W.shape[1] <= (s > 0.7 * eps * scale).sum() < 110
    assert np.linalg.norm(N - W @ (W.conj().T @ N), 2) <= 2 * eps * scale


@pytest.mark.parametrize("tail", [0.0, 0.05, 0.3])
def test_leading_directions_of_a_large_gram_matrix_are_orthonormal(tail):
    rng = np.random.default_rng(13)
    N = rng.standard_normal((200, 150)) @ (_basis(rng, 150, 150, "float64") * np.geomspace(1.0, 1e-6, 150)).T
    G, size = N.T @ N, np.linalg.norm(N)
    T, _ = leading(G, 3e-3 * size, tail * size, 0.0, 150)
    s = np.linalg.svd(N, compute_uv=False)
    tails = np.sqrt(np.append(np.cumsum(s[::-1] ** 2)[::-1], 0))
    assert np.linalg.norm(T.T @ G @ T - np.eye(T.shape[1])) <= 1e-11
    if tail:
        assert (tails > tail * size).sum() <= T.shape[1] <= (tails > 0.7 * tail * size).sum()
        assert np.linalg.norm(N - N @ T @ (T.T @ G)) <= tail * size
    else:
        assert T.shape[1] == (s > 3e-3 * size).sum()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("negligible", [1e-3, 0.03, 0.35])
def test_complement_drops_no_more_than_it_may_on_purpose(backend, dtype, negligible):
    rng = np.random.default_rng(9)
    U = _basis(rng, 70, 5, dtype)
    sizes = np.array([1.0, 0.8, 0.6, 0.5, 0.4, 0.02, 0.02, 5e-4])
    X = ((_basis(rng, 70, 8, dtype) * sizes) @ _basis(rng, 8, 8, dtype).conj().T).astype(dtype)
    N = X - U @ (U.conj().T @ X)
    s = np.linalg.svd(N, compute_uv=False)
    tails = np.sqrt(np.append(np.cumsum(s[::-1] ** 2)[::-1], 0))
    expected = int((tails > negligible * tails[0]).sum())
    for inside in (None, send(backend, U.conj().T @ X)):
        W = to_host(linalg.complement(send(backend, U), send(backend, X), inside=inside, negligible=negligible))
        assert W.shape[1] == expected
        lost = np.linalg.norm(N - W @ (W.conj().T @ N))
        assert tails[expected] * (1 - 1e-3) <= lost <= negligible * np.linalg.norm(N)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("rounding", [1e-7, 2.3e-16])
@pytest.mark.parametrize("case", ["generic", "mixed sizes", "zero", "repeated"])
def test_a_nearby_root_is_that_of_a_matrix_that_is_hardly_above(backend, case, rounding, dtype):
    rng, k = np.random.default_rng(6), 7
    X = rng.standard_normal((30, k)) + (1j * rng.standard_normal((30, k)) if dtype == "complex128" else 0)
    if case == "mixed sizes":
        X *= np.geomspace(1e-6, 1.0, k)
    elif case == "zero":
        X[:, 3] = 0.0
    elif case == "repeated":
        X[:, 4:6] = X[:, :2]
    sizes, noise = np.linalg.norm(X, axis=0), rounding * rng.uniform(-1, 1, (k, k))
    G = X.conj().T @ X + sizes[:, None] * (noise + noise.T) / 2 * sizes
    found = nearby_root(send(backend, G), send(backend, sizes), rounding)
    for Z in found:
        assert_at_home(Z, backend, dtype)
    (R, inverse, E), units, there = map(to_host, found), np.where(sizes > 0, sizes, 1.0), np.diag(1.0 * (sizes > 0))
    assert R.shape == inverse.T.shape == (np.count_nonzero(sizes), k)
    above = (R.conj().T @ R - G) / units[:, None] / units
    shares = 4.0 if case == "repeated" else 0.25
    assert np.abs(above - np.diag(above.diagonal())).max() <= 1e-14
    assert -1e-14 <= above.diagonal().real.min() <= above.diagonal().real.max() <= shares * k * rounding + 1e-14
    assert np.abs(units[:, None] * (inverse @ R) / units - there).max() <= 1e-6
    assert np.abs(R @ inverse - np.eye(len(R))).max() <= 1e-6
    if case != "repeated":  # there two directions are noise
        short = E @ E.conj().T
        wrong = np.eye(len(R)) - inverse.conj().T @ G @ inverse - short
        assert np.abs(wrong).max() <= 1e-2 * np.linalg.norm(short) + 1e-13


def test_there_is_no_nearby_root_of_what_is_not_nearly_definite(backend):
    G, ones = send(backend, np.diag([1.0, -1e-3, 2.0])), send(backend, np.ones(3))
    assert nearby_root(G, ones, 1e-7) is None
    assert nearby_root(G, ones, 1e-3 / 64) is not None
    assert nearby_root(G, ones, 1e-3 / 64 / 4) is None
    assert nearby_root(G, send(backend, [1.0, 0.0, 1.0]), 1e-3) is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e-4, 0.3])
@pytest.mark.parametrize("case", ["lengths", "one length", "angles"])
def test_the_defect_is_estimated_within_a_factor(backend, case, size, dtype):
    rng, k = np.random.default_rng(8), 12
    D = {"lengths": np.diag(rng.standard_normal(k)), "one length": np.diag([1.0] + [0.0] * (k - 1))}.get(case)
    if D is None:
        D = rng.standard_normal((k, k)) + (1j * rng.standard_normal((k, k)) if dtype == "complex128" else 0)
    W = (_basis(rng, 60, k, dtype) @ (np.eye(k) + size * (D + D.conj().T) / np.linalg.norm(D))).astype(dtype)
    defect = np.linalg.norm(W.conj().T @ W - np.eye(k))
    assert 0.3 * defect <= linalg.orthonormality_estimate(send(backend, W)) <= 3.0 * defect


def test_no_columns_are_orthonormal(backend):
    assert linalg.orthonormality_estimate(send(backend, np.zeros((9, 0)))) == 0.0
