"""The basis that a K- or L-step by Euler's method leads to, at fixed rank; the moved factor is not formed."""

from __future__ import annotations

import math

from matode._array import Array, as_dtype, eps, finite, frobenius, joined, mH
from matode.linalg import complement, in_double, orthonormal, orthonormality_estimate, orthonormality_rounding, repaired
from matode.rows import combined, inner
from matode.spectrum import root_and_inverse

__all__ = ["updated_basis"]

_SAFE = 1e15  # sizes up to which no square overflows in single precision


def updated_basis(U: Array, S: Array, h: float, X: Array, C: Array | None, inside: Array) -> tuple[Array, Array] | None:
    """Return an orthonormal basis W of ``K = U S + h X C``, and ``W* U``; None where K is not finite.

    Parameters
    ----------
    U : (m, p) array
        Orthonormal columns.
    S : (p, k) array
    h : float
    X : (m, q) array
        Finite.
    C : (q, k) array or None
        Finite; None is the identity. K may be of any rank.
    inside : (p, q) array
        ``U* X``.

    Returns
    -------
    W : (m, min(m, k)) array
        Orthonormal to rounding, also where the columns of U have drifted; its range contains that of K.
    overlap : (min(m, k), p) array

    Notes
    -----
    With ``B = U* K``, the Cholesky factor R of ``K* K = B* B + h^2 C* (X* X - inside* inside) C`` gives
    ``W = U (S R^-1) + X (h C R^-1)`` (Cholesky QR): one long Gram matrix and one long product, in the precision of X.
    The small matrices are in double precision, which sees the small singular values of a core. They cross to the host.

    Where rounding hides what is small in K, K is written in the basis ``[U, complement(U, X C)]`` instead. Random
    vectors tell whether W is orthonormal to rounding: if it is not, as U has drifted or rounding was large, a second
    Cholesky factorisation repairs it.
    """
    for way in (_by_cholesky, _by_complement):
        found = way(U, S, h, X, C, inside)
        if found is None:
            continue
        if _seems_orthonormal(found[0]):
            return found
        W = repaired(found[0])
        if W is not None:
            return W, inner(W, U)
    return found


def _by_cholesky(U: Array, S: Array, h: float, X: Array, C: Array | None, inside: Array) -> tuple[Array, Array] | None:
    """Return W and the overlap by one Cholesky factorisation; None where it breaks down."""
    size = abs(h) * frobenius(X)
    if not max(frobenius(S), frobenius(X), size if C is None else size * frobenius(C)) < _SAFE:
        return None
    A, H = in_double(S), inner(X, X) - mH(inside) @ inside
    B = A + h * in_double(inside if C is None else inside @ C)
    G = mH(B) @ B + h**2 * in_double(H if C is None else mH(C) @ (H @ C))
    roots = root_and_inverse(G, eps(G) * frobenius(G))
    if roots is None:
        return None
    T = roots[1]
    old, new = as_dtype(A @ T, U.dtype), as_dtype(h * (T if C is None else in_double(C) @ T), U.dtype)
    return combined([U, X], [old, new]), mH(old + inside @ new)


def _by_complement(
    U: Array, S: Array, h: float, X: Array, C: Array | None, inside: Array
) -> tuple[Array, Array] | None:
    """Return W and the overlap whatever the rank of K is; None where K is not finite."""
    FV, part = (X, inside) if C is None else (X @ C, inside @ C)
    N = complement(U, FV, inside=part, scale=frobenius(S) / abs(h) if h else math.inf)
    coordinates = joined([S + h * part, h * inner(N, FV)], 0)
    if not finite(coordinates):
        return None
    P, p = as_dtype(orthonormal(in_double(coordinates)), U.dtype), U.shape[1]
    return combined([U, N], [P[:p, :], P[p:, :]]), mH(P[:p, :])


def _seems_orthonormal(W: Array) -> bool:
    return orthonormality_estimate(W) <= orthonormality_rounding(W)
