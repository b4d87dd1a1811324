"""Orthonormal bases and truncated singular value decompositions, near the speed of the matrix products they contain.

Everything is built on Gram matrices and thin products; each function is safe for rank-deficient input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matode._array import (
    Array,
    as_dtype,
    diagonal,
    eps,
    eye_like,
    frobenius,
    from_host,
    host,
    is_complex,
    is_gpu,
    largest,
    mH,
    namespace,
    smallest,
    to_host,
)

if TYPE_CHECKING:
    from matode.truncation import Truncation

__all__ = ["complement", "orthonormality_defect", "qr", "reorthonormalise", "truncated_svd"]

_SMALLEST_PIVOT = 2e-4  # below, one round of Cholesky QR leaves too much for the second
_KEPT = 0.5  # what must be left of a unit vector that is outside of range(U) when it is projected once more
_PASSES = 8  # each pass of the deflation reaches sqrt(64 q eps) further down; three or four reach rounding


def qr(X: Array) -> tuple[Array, Array]:
    """Return the thin factorisation ``X = Q R`` with orthonormal Q, (m, min(m, k)), also for rank-deficient X."""
    xp = namespace(X)
    Q, R = xp.linalg.qr(X, mode="reduced")
    return Q, R


def orthonormality_defect(U: Array) -> float:
    """Return ``||U* U - I||`` in the Frobenius norm (one number crosses to the host)."""
    xp = namespace(U)
    return float(xp.linalg.matrix_norm(mH(U) @ U - eye_like(U.shape[1], U)))


def complement(U: Array, X: Array) -> Array:
    """Return an orthonormal basis of the part of range(X) that lies outside range(U).

    Parameters
    ----------
    U : (m, p) array
        Orthonormal columns.
    X : (m, q) array
        Any columns: they may lie in range(U), repeat each other, be zero, or be badly scaled.

    Returns
    -------
    (m, k) array, k <= min(q, m - p)
        Orthonormal, and orthogonal to U, to rounding. Directions of X whose size is rounding relative to ||X|| are left
        out, so that the basis is as narrow as the innovation: ``X - P_U X - P_W X`` is below ``O(sqrt(q) eps) ||X||``.

    Notes
    -----
    Two projections and two rounds of Cholesky QR, all thin matrix products (CholeskyQR2, Yamamoto, Nakatsukasa,
    Yanagisawa and Fukaya 2015). Where the Gram matrix is too close to singular for that, the directions are split off
    by size, a few orders of magnitude a pass.
    """
    room = min(X.shape[1], U.shape[0] - U.shape[1])
    if room <= 0:
        return X[:, :0]
    size = frobenius(X)
    if not size < 1e15:  # squares of the entries must not overflow
        X = X * (1.0 / largest(X))
        size = frobenius(X)
    N = X - U @ (mH(U) @ X)
    floor = 2.0 * math.sqrt(X.shape[1]) * eps(X) * size
    if room == X.shape[1]:
        Q = _cholesky_qr(N, floor)
        if Q is not None:
            Q = _polished(U, Q)
            if Q is not None:
                return Q
    return _deflated(U, N, room, floor)


def _cholesky_qr(N: Array, floor: float) -> Array | None:
    """Return Q of ``N = Q R`` by one Cholesky QR, or None where N is too ill-conditioned, or a column too small.

    The small matrices are in double precision also where N is in single.
    """
    xp = namespace(N)
    A = as_dtype(N, _double(N))
    G = mH(A) @ A
    d = diagonal(G)
    if not smallest(d) > floor**2:
        return None
    scale = as_dtype(1.0 / xp.sqrt(d), G.dtype)
    try:
        R = mH(xp.linalg.cholesky((scale[:, None] * G) * scale[None, :]))
    except (host.linalg.LinAlgError, RuntimeError):  # RuntimeError is torch's
        return None
    # unit columns: the smallest pivot bounds the condition number; what is lost is repaired by the second round
    if not smallest(diagonal(R)) > _SMALLEST_PIVOT:  # also where CuPy's Cholesky gave NaN instead of an exception
        return None
    return N @ as_dtype(scale[:, None] * xp.linalg.inv(R), N.dtype)


def _polished(U: Array, Q: Array) -> Array | None:
    """Return nearly orthonormal columns made orthonormal, and orthogonal to U, to rounding; None where they are not.

    The second projection and the second Cholesky QR in one: the Gram matrix of what the projection leaves is known from
    its parts. Where it is close to the identity, the series of its inverse root needs no factorisation.
    """
    inside = mH(U) @ Q
    one = eye_like(Q.shape[1], Q)
    G = mH(Q) @ Q - mH(inside) @ inside
    defect = largest(G - one) * Q.shape[1]
    if defect <= 0.5 * math.sqrt(eps(Q)):
        T = 1.5 * one - 0.5 * G
    elif defect <= 0.5:
        xp = namespace(Q)
        T = as_dtype(xp.linalg.inv(mH(xp.linalg.cholesky(as_dtype(G, _double(G))))), G.dtype)
    else:
        return None
    basis = Q @ T
    basis -= U @ (inside @ T)
    return basis


def _double(X: Array) -> Any:
    """Return the double-precision dtype of the kind of X."""
    xp = namespace(X)
    return xp.complex128 if is_complex(X) else xp.float64


def _deflated(U: Array, N: Array, room: int, floor: float) -> Array:
    """Return the complement by splitting off the large directions of N first, then the smaller ones."""
    xp = namespace(U, N)
    found: list[Array] = []
    cutoff = 64 * N.shape[1] * eps(N)
    for _ in range(_PASSES):
        w, W = xp.linalg.eigh(mH(N) @ N)
        sizes = to_host(w)
        keep = int((sizes > max(floor**2, cutoff * float(sizes[-1]))).sum())
        keep = min(keep, room - sum(Q.shape[1] for Q in found))
        if keep == 0:
            break
        Q = _outside(U, found, N @ (W[:, -keep:] / as_dtype(xp.sqrt(w[-keep:]), N.dtype)[None, :]))
        if Q.shape[1] == 0:
            break
        found.append(Q)
        for B in (U, *found):
            N = N - B @ (mH(B) @ N)
    return xp.concat(found, axis=1) if found else N[:, :0]


def _outside(U: Array, found: Sequence[Array], Q: Array) -> Array:
    """Return an orthonormal basis of what lies outside of U and of what was found, out of the unit columns Q.

    Where U is orthonormal to some 1e-14 only, N has parts of that size inside of range(U): they vanish when they are
    projected again, and are left out.
    """
    xp = namespace(U, Q)
    for _ in range(2):
        for B in (U, *found):
            Q = Q - B @ (mH(B) @ Q)
        w, W = xp.linalg.eigh(mH(Q) @ Q)
        keep = int((to_host(w) > _KEPT**2).sum())
        if keep == 0:
            return Q[:, :0]
        Q = Q @ (W[:, -keep:] / as_dtype(xp.sqrt(w[-keep:]), Q.dtype)[None, :])
    return qr(Q)[0]


def truncated_svd(S: Array, rule: Truncation) -> tuple[Array, host.ndarray, Array, float]:
    """Decompose a small core and keep what the rule says.

    Parameters
    ----------
    S : (p, q) array
        The core.
    rule : Truncation
        Which rank to keep.

    Returns
    -------
    P : (p, r) array
        Left singular vectors.
    s : (r,) host array
        Singular values kept. The values cross to the host once.
    Q : (q, r) array
        Right singular vectors, ``S ~ P diag(s) Q*`` (Q, not the ``Vh`` that libraries return).
    discarded : float
        Frobenius norm of what is left out.

    Notes
    -----
    In single precision the eigenvectors of the Gram matrix in double precision give the decomposition to single
    precision at half the price, as long as the smallest value kept is above 1e-4 of the largest.
    """
    if is_gpu(S) and max(S.shape) <= 256:  # many tiny kernels on the device are slower than the round trip
        P, s, Q, discarded = truncated_svd(to_host(S), rule)
        return from_host(P, S), s, from_host(Q, S), discarded
    if eps(S) > 1e-10:
        result = _gram_svd(S, rule)
        if result is not None:
            return result
    xp = namespace(S)
    P, values, Qh = xp.linalg.svd(S, full_matrices=False)
    return _cut(P, host.asarray(to_host(values), dtype=host.float64), mH(Qh), rule)


def _gram_svd(S: Array, rule: Truncation) -> tuple[Array, host.ndarray, Array, float] | None:
    """Return the truncated SVD of a single-precision core by way of its double-precision Gram matrix, where safe."""
    xp = namespace(S)
    wide = S.shape[0] < S.shape[1]
    A = as_dtype(mH(S) if wide else S, _double(S))
    w, W = xp.linalg.eigh(mH(A) @ A)
    s = host.sqrt(host.maximum(to_host(w)[::-1], 0.0))
    r = rule.rank(s)
    if not s[r - 1] > 1e-4 * s[0]:
        return None
    right = xp.flip(W[:, -r:], axis=1)
    left = (A @ right) / from_host(s[:r], A, A.dtype)[None, :]
    left, right = as_dtype(left, S.dtype), as_dtype(right, S.dtype)
    P, Q = (right, left) if wide else (left, right)
    return P, s[:r], Q, float(host.linalg.norm(s[r:]))


def _cut(P: Array, s: host.ndarray, Q: Array, rule: Truncation) -> tuple[Array, host.ndarray, Array, float]:
    r = rule.rank(s)
    return P[:, :r], s[:r], Q[:, :r], float(host.linalg.norm(s[r:]))


def reorthonormalise(U: Array) -> tuple[Array, Array]:
    """Return ``U = Q R`` for nearly orthonormal columns, by one Cholesky QR."""
    xp = namespace(U)
    R = mH(xp.linalg.cholesky(mH(U) @ U))
    return U @ xp.linalg.inv(R), R
