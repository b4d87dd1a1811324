"""Orthonormal columns that are not formed: a basis, and what rows mix to outside of it.

The new ones are ``N T`` with a small T and ``N = d* C - U (d U)* C`` for rows d, C being the identity or orthonormal.
What a cut keeps of ``[U, N T]`` is a combination of U and ``d*``, or of U and N, by small matrices.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from matode._array import Array, as_dtype, diagonal, eps, frobenius, joined, mH, namespace
from matode.integrators.wide import Turned, turned
from matode.linalg import in_double, orthonormal, orthonormality_estimate, orthonormality_rounding, reorthonormalise
from matode.rows import combined, inner
from matode.spectrum import leading, nearby_root

__all__ = ["Columns", "columns"]

_FEW = 2  # rows, in units of the columns they mix to, up to which their Gram matrix costs less than to combine them
_SHORT = 0.05  # what ``I - Q* Q`` may be at most for one step of Newton's method to make combinations Q orthonormal
_REPAIRABLE = 0.1  # what ``||W* W - I||`` may be at most for a Cholesky factorisation to repair W


class Columns(NamedTuple):
    """Columns ``[U, N T]`` with ``N = X - U inside``, of which only U and X are there.

    Parameters
    ----------
    U : (m, p) array
        Orthonormal.
    X : (m, k) array
    inside : (p, k) array or None
        ``U* X``; None where X is orthogonal to U.
    T : (k, q) array
        In double precision; ``N T`` is orthonormal up to the rounding of a Gram matrix.
    size : float
        X has the rounding of numbers of this Frobenius norm.
    coordinates : (b, p + q) array
        Of the rows d in these columns: ``[U, N T] coordinates*`` is their projection, or ``d*`` itself.
    """

    U: Array
    X: Array
    inside: Array | None
    T: Array
    size: float
    coordinates: Array

    def turned(self, P: Array) -> Turned | None:
        """Return orthonormal columns W and A such that ``W A`` are these times P; None where rounding hides them."""
        p = self.U.shape[1]
        new = self.T @ P[p:, :]
        growth = (self.size * frobenius(new)) ** 2  # of what rounding leaves oblique
        if not eps(self.U) * growth <= _REPAIRABLE:
            return None
        W, A = turned(self.U, lambda Q: self._combined(Q[:p, :], new if Q is P else self.T @ Q[p:, :]), P)
        if growth <= 1.0:
            return Turned(W, A)
        defect = orthonormality_estimate(W)
        if defect <= orthonormality_rounding(W):
            return Turned(W, A)
        if not defect <= _REPAIRABLE:
            return None
        W, R = reorthonormalise(W)
        return Turned(W, in_double(R) if A is None else in_double(R) @ A)

    def _combined(self, old: Array, new: Array) -> Array:
        """Return ``U old + N new``."""
        dtype = self.U.dtype
        if self.inside is not None:
            old = old - in_double(self.inside) @ new
        return combined([self.U, self.X], [as_dtype(old, dtype), as_dtype(new, dtype)])


class _Outside(NamedTuple):
    """What rows have outside of a basis, N, or combinations N C of that.

    Parameters
    ----------
    X, inside : arrays
        ``N = X - U inside``; inside is None where X is N C itself, which is formed.
    C : (b, k) array or None
        None is the identity, or where N C is formed.
    G : (k, k) array
        The Gram matrix of N C, with errors of ``rounding sizes[i] sizes[j]``.
    sizes : (k,) array
    rounding : float
    mixing : (k, q) array or None
        ``N C mixing`` is what F V has outside of the basis; None is the identity.
    met : (b, k) array or None
        The rows times N C; None where C is the identity, and N all that they have outside.
    size : float
        Frobenius norm of X, with what was projected out of it.
    hidden : float
        Frobenius norm up to which a part of ``N C mixing`` may be rounding.
    """

    X: Array
    inside: Array | None
    C: Array | None
    G: Array
    sizes: Array
    rounding: float
    mixing: Array | None
    met: Array | None
    size: float
    hidden: float


def columns(
    U: Array,
    rows: Array,
    inside: Array,
    mixing: Array,
    *,
    scale: float = 0.0,
    negligible: float = 0.0,
) -> Columns | None:
    """Return columns that span U and ``rows* mixing``; None where rounding hides too much of them.

    Parameters
    ----------
    U : (m, p) array
        Orthonormal columns.
    rows : (b, m) array
        Finite.
    inside : (b, p) array
        ``rows U``.
    mixing : (b, q) array
        Its columns may be of very different sizes, and depend on each other.
    scale : float
        Size of what ``rows* mixing`` is a part of: where something may be left out, its rounding is.
    negligible : float
        Share of the Frobenius norm of the part of ``rows* mixing`` outside range(U) that may be left out on purpose.
        With 0 there are min(b, q) new columns, whatever the rank of the rows, but none for what is zero exactly.

    Notes
    -----
    One Gram matrix is formed in the precision of the rows, and all that follows in double precision. Where ``R* R`` is
    ``N* N``, or close to it, ``N = (N R^-1) R`` whatever R is: rounding of the Gram matrix does not change what is
    written in these columns, but makes some a little shorter or longer than 1. Rows that have more outside than N C are
    met by a projection, which short columns would damp: these are made orthonormal. Small singular values of the mixing
    are seen down to the rounding of double precision: it enters after that Gram matrix, or is orthonormalised before.
    """
    (b, q), (m, p) = mixing.shape, U.shape
    if p + min(b, q) > m:
        return None
    N = _few(rows, inside, mixing) if b < _FEW * q else _many(U, rows, inside, mixing)
    roots = None if N is None else nearby_root(N.G, N.sizes, N.rounding)
    if N is None or roots is None:
        return None
    R, T, E = roots
    met = mH(R)
    if negligible:
        W = _needed(N, R, eps(rows) * scale, negligible)
        if W is None:
            return None
        T, met, E = T @ W, met @ W, mH(W) @ E
    if N.met is not None:
        short = E @ mH(E)
        if not frobenius(short) <= _SHORT:
            return None
        T = T + 0.5 * (T @ short)  # one step of Newton's method for the inverse root
        met = N.met @ T
    T = T if N.C is None else N.C @ T
    return Columns(U, N.X, N.inside, T, N.size, joined([inside, as_dtype(met, rows.dtype)], 1))


def _few(rows: Array, inside: Array, mixing: Array) -> _Outside:
    """Return all that few rows have outside, or what the mixing makes of it, where that has fewer columns."""
    X = mH(rows)
    W, part, M = in_double(inner(X, X)), in_double(inside), in_double(mixing)
    G, sizes = _hermitian(W - part @ mH(part)), _root(diagonal(W))
    size, hidden = frobenius(sizes), math.sqrt(eps(rows)) * frobenius(sizes[:, None] * M)
    if M.shape[0] <= M.shape[1]:
        return _Outside(X, mH(inside), None, G, sizes, eps(rows), M, None, size, hidden)
    met = G @ M
    H = _hermitian(mH(M) @ met)
    return _Outside(X, mH(inside), M, H, _root(diagonal(H)), 4 * eps(H), None, met, size, hidden)


def _many(U: Array, rows: Array, inside: Array, mixing: Array) -> _Outside | None:
    """Return combinations of what many rows have outside, those orthonormal; None where mixing is not finite."""
    X, M = mH(rows), in_double(mixing)
    H = mH(M) @ M
    roots = nearby_root(H, _root(diagonal(H)), 4 * eps(H))
    if roots is None:
        return None
    C = M @ roots[1]
    single = as_dtype(C, rows.dtype)
    part = mH(inside) @ single
    N = combined([X, U], [single, -part])
    met = in_double(mH(mH(N) @ X))  # this way round, since rows lie side by side in memory
    G = _hermitian(mH(C) @ met)
    xp = namespace(G)
    sizes = _root(diagonal(G) + xp.sum(xp.abs(in_double(part)) ** 2, axis=0))
    hidden = math.sqrt(eps(rows)) * frobenius(sizes[:, None] * roots[0])
    return _Outside(N, None, None, G, sizes, eps(rows), roots[0], met, frobenius(sizes), hidden)


def _needed(N: _Outside, R: Array, floor: float, negligible: float) -> Array | None:
    """Return orthonormal coordinates of what F V has outside, without the negligible; None where that is noise."""
    M, F = N.mixing, R if N.mixing is None else R @ N.mixing
    xp, (k, q) = namespace(F), F.shape
    squares = diagonal(N.G) if M is None else xp.real(xp.conj(M) * (N.G @ M))
    left = math.sqrt(max(float(xp.sum(squares)), 0.0))  # not that of F, with what made it definite
    tail = negligible * left
    H = F @ mH(F)
    if not (N.hidden <= max(floor, tail) and 4.0 * math.sqrt(eps(H) * frobenius(H)) <= max(floor, tail / q)):
        return None
    return R[:, :0] if left <= floor else orthonormal(leading(H, floor, tail, 0.0, k)[0])


def _hermitian(G: Array) -> Array:
    """Return the Hermitian part: what rounding adds to it on one side of the diagonal would hide small directions."""
    return 0.5 * (G + mH(G))


def _root(squares: Array) -> Array:
    xp = namespace(squares)
    return xp.sqrt(xp.maximum(squares, 0.0))  # of few numbers: positive_part is made for many
