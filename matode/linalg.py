"""Orthonormal bases and truncated singular value decompositions, near the speed of the matrix products they contain.

Everything is built on Gram matrices and thin products; each function is safe for rank-deficient input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import scipy.linalg

from matode._array import (
    Array,
    as_dtype,
    default_rng,
    diagonal,
    eps,
    eye_like,
    finite,
    frobenius,
    from_host,
    host,
    is_complex,
    is_gpu,
    largest,
    mH,
    namespace,
    to_host,
)
from matode.rows import combined, inner
from matode.spectrum import leading
from matode.triangular import lower_inverse, orthonormalising

if TYPE_CHECKING:
    from matode.truncation import Truncation

__all__ = [
    "complement",
    "in_double",
    "orthonormal",
    "orthonormality_defect",
    "orthonormality_estimate",
    "orthonormality_rounding",
    "qr",
    "reorthonormalise",
    "repaired",
    "truncated_svd",
]

_KEPT = 0.5  # what must be left of a unit vector that is outside of range(U) when it is projected once more
_SAFE = 1e-15, 1e15  # sizes whose squares, and those of smaller parts, neither overflow nor vanish
_PASSES = 8  # each reaches a factor of sqrt(16 eps) further down; two or three reach rounding
_ROUNDING = 8.0  # units of eps a column
_SAMPLES = 2  # random vectors that tell whether columns are orthonormal
_ROUNDS = 4  # of the repair: one is the rule, two follow where columns vanished


def qr(X: Array) -> tuple[Array, Array]:
    """Return the thin factorisation ``X = Q R`` with orthonormal Q, (m, min(m, k)), also for rank-deficient X."""
    xp = namespace(X)
    Q, R = xp.linalg.qr(X, mode="reduced")
    return Q, R


def orthonormal(X: Array) -> Array:
    """Return orthonormal columns whose span contains range(X): k for X of shape (m, k), m where that is less.

    Two Cholesky factorisations give it in double precision, several times faster than Householder reflections; those
    take over where a column is within 1e-5 or so of the span of the others, and in single precision.
    """
    m, k = X.shape
    if m > k > 0 and eps(X) < 1e-10:
        G, one = inner(X, X), eye_like(k, X)
        shift = 16 * eps(X) * _trace(G)  # no rounding makes the matrix less than definite
        if _SAFE[0] < shift / eps(X) < _SAFE[1]:
            Q = repaired(combined([X], [orthonormalising(G + shift * one)]))
            if Q is not None:
                return Q
    return qr(X)[0]


def repaired(Q: Array) -> Array | None:
    """Return nearly orthonormal columns made orthonormal; None where rounding could hide one. Q may be written to."""
    G = inner(Q, Q)
    if not largest(G - eye_like(Q.shape[1], Q)) * Q.shape[1] <= 0.5:
        return None
    return combined([Q], [orthonormalising(G)], into=Q)


def orthonormality_defect(U: Array) -> float:
    """Return ``||U* U - I||`` in the Frobenius norm (one number crosses to the host)."""
    xp = namespace(U)
    return float(xp.linalg.matrix_norm(mH(U) @ U - eye_like(U.shape[1], U)))


def orthonormality_estimate(W: Array) -> float:
    """Return an estimate of ``||W* W - I||`` in the Frobenius norm, from products with random vectors."""
    k, rng = W.shape[1], default_rng(0)
    vectors = (from_host(rng.standard_normal(k), W, W.dtype) for _ in range(_SAMPLES))
    return max(frobenius(mH(W) @ (W @ z) - z) for z in vectors)


def orthonormality_rounding(W: Array) -> float:
    """Return the Frobenius norm of ``W* W - I`` up to which it is rounding that is spread over all columns."""
    return _ROUNDING * eps(W) * math.sqrt(W.shape[1])


def complement(
    U: Array,
    X: Array,
    *,
    inside: Array | None = None,
    scale: float = 0.0,
    negligible: float = 0.0,
) -> Array:
    """Return an orthonormal basis of the part of range(X) that lies outside range(U).

    Parameters
    ----------
    U : (m, p) array
        Orthonormal columns.
    X : (m, q) array
        Any columns: they may lie in range(U), repeat each other, be zero, or be badly scaled.
    inside : (p, q) array, optional
        ``U* X``, where it is known.
    scale : float
        Size of what X is a part of: its rounding is left out of the basis, even where it is large relative to X.
    negligible : float
        Share of the Frobenius norm of the part outside range(U) that may be left out on purpose.

    Returns
    -------
    (m, k) array, k <= min(q, m - p)
        Orthonormal, and orthogonal to U, to rounding, and as narrow as the innovation: directions of X outside of
        range(U) are left out where they are below ``eps max(2 sqrt(q) ||X||, scale)``, so that
        ``X - P_U X - P_W X`` is below ``sqrt(q)`` times that, or ``negligible ||X - P_U X||`` where that is more.

    Notes
    -----
    The leading eigenvectors of the Gram matrix of the innovation, in double precision, give the columns; a second
    projection and a second Gram matrix repair what rounding did to both. All but that are thin matrix products. What
    a Gram matrix cannot show, below the root of rounding, takes further passes.
    """
    q = X.shape[1]
    room = min(q, U.shape[0] - U.shape[1])
    if room <= 0:
        return X[:, :0]
    size = frobenius(X)
    if not _SAFE[0] < size < _SAFE[1]:
        unit = largest(X)
        if unit == 0.0:
            return X[:, :0]
        X, scale, inside = X * (1.0 / unit), scale / unit, None
        size = frobenius(X)
    N = combined([U, X], [-(inner(U, X) if inside is None else inside), None])
    floor, left = eps(X) * max(2.0 * math.sqrt(q) * size, scale), frobenius(N)
    tail = negligible * left
    bases = [U]
    for _ in range(_PASSES):
        if not frobenius(N) > max(floor, tail):
            break
        noise = 16 * eps(N)
        if eps(N) > 1e-10 and noise * left**2 > max(floor, tail / q) ** 2:
            A = as_dtype(N, _double(N))
            G, noise = inner(A, A), eps(N) ** 2
        else:
            G = inner(N, N)
        T, complete = leading(in_double(G), floor, tail, noise, room)
        Q = _polished(bases, combined([N], [as_dtype(T, N.dtype)])) if T.shape[1] else N[:, :0]
        room -= Q.shape[1]
        if Q.shape[1] == 0:
            break
        bases.append(Q)
        if complete or room == 0:
            break
        for B in bases:
            N = combined([B, N], [-inner(B, N), None])
    return namespace(U).concat(bases[1:], axis=1) if len(bases) > 2 else bases[-1] if len(bases) == 2 else X[:, :0]


def _polished(bases: Sequence[Array], Q: Array) -> Array:
    """Return nearly orthonormal columns made orthonormal, and orthogonal to the bases, to rounding.

    Projection and Cholesky QR in one: the Gram matrix of what the projection leaves is known from its parts. Where it
    is close to the identity, the series of its inverse root needs no factorisation. Columns that were rounding inside
    the bases nearly vanish in the projection, and are left out. Q may be written to.
    """
    xp = namespace(Q)
    for _ in range(_ROUNDS):
        if Q.shape[1] == 0:
            break
        inside = [inner(B, Q) for B in bases]
        G = inner(Q, Q)
        for part in inside:
            G = G - mH(part) @ part
        one = eye_like(Q.shape[1], Q)
        defect = largest(G - one) * Q.shape[1]
        last = defect <= 0.5
        if defect <= 0.5 * math.sqrt(eps(Q)):
            T = 1.5 * one - 0.5 * G
        elif last:
            T = as_dtype(orthonormalising(in_double(G)), G.dtype)
        else:
            w, W = xp.linalg.eigh(in_double(G))
            first = W.shape[1] - int((to_host(w) > _KEPT**2).sum())
            T = as_dtype(W[:, first:] / xp.sqrt(w[first:])[None, :], G.dtype)
        same = T.shape[1] == Q.shape[1]
        Q = combined([Q, *bases], [T, *[-(part @ T) for part in inside]], into=Q if same else None)
        if last:
            break
    return Q


def in_double(X: Array) -> Array:
    """Return a small matrix in double precision, of its kind."""
    return as_dtype(X, _double(X))


def _trace(G: Array) -> float:
    return float(namespace(G).sum(diagonal(G)))


def _double(X: Array) -> Any:
    """Return the double-precision dtype of the kind of X."""
    xp = namespace(X)
    return xp.complex128 if is_complex(X) else xp.float64


def truncated_svd(S: Array, rule: Truncation, *, double: bool = False) -> tuple[Array, host.ndarray, Array, float]:
    """Decompose a small core and keep what the rule says.

    Parameters
    ----------
    S : (p, q) array
        The core.
    rule : Truncation
        Which rank to keep.
    double : bool
        Whether the vectors come back in double precision, where the core is in single.

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
        P, s, Q, discarded = truncated_svd(to_host(S), rule, double=double)
        return from_host(P, S), s, from_host(Q, S), discarded
    if eps(S) > 1e-10:
        result = _gram_svd(S, rule)
        if result is not None:
            P, s, Q, discarded = result
            return (P, s, Q, discarded) if double else (as_dtype(P, S.dtype), s, as_dtype(Q, S.dtype), discarded)
    P, values, Qh = _svd(in_double(S) if double else S)
    return _cut(P, host.asarray(to_host(values), dtype=host.float64), mH(Qh), rule)


def _svd(S: Array) -> tuple[Array, Array, Array]:
    """Return the thin SVD, by the slower LAPACK driver where the one that libraries call does not converge."""
    try:
        return namespace(S).linalg.svd(S, full_matrices=False)
    except Exception as error:  # of a class of its own in every library
        if "converge" not in str(error) or not finite(S):
            raise
    P, values, Qh = scipy.linalg.svd(to_host(S), full_matrices=False, lapack_driver="gesvd")
    return from_host(P, S), from_host(values, S), from_host(Qh, S)


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
    P, Q = (right, left) if wide else (left, right)
    return P, s[:r], Q, float(host.linalg.norm(s[r:]))


def _cut(P: Array, s: host.ndarray, Q: Array, rule: Truncation) -> tuple[Array, host.ndarray, Array, float]:
    r = rule.rank(s)
    return P[:, :r], s[:r], Q[:, :r], float(host.linalg.norm(s[r:]))


def reorthonormalise(U: Array) -> tuple[Array, Array]:
    """Return ``U = Q R`` for nearly orthonormal columns, by one Cholesky QR or the first terms of its series."""
    G = inner(U, U)
    one = eye_like(U.shape[1], U)
    if largest(G - one) * U.shape[1] <= 0.5 * math.sqrt(eps(U)):
        return combined([U], [1.5 * one - 0.5 * G]), 0.5 * one + 0.5 * G
    L = namespace(U).linalg.cholesky(G)
    return combined([U], [mH(lower_inverse(L))]), mH(L)
