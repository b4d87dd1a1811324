"""Blocks in bases that a step has widened: they are cut again before anyone needs the bases side by side."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from matode._array import Array, as_dtype, eye_like, from_host, host, joined, mH, namespace, to_host
from matode.linalg import truncated_svd
from matode.lowrank import LowRank
from matode.rows import combined
from matode.truncation import Truncation

__all__ = ["Turned", "Wide", "diagonalised", "turned"]

_WORTHWHILE = 64  # columns from which on a reflector is cheaper than a product, for all that it needs
_WELL_CONDITIONED = 1e-3


class Wide(NamedTuple):
    """The matrix ``[U, U1, ...] S [V, V1, ...]*``, all columns orthonormal, nothing put side by side yet."""

    U: tuple[Array, ...]
    S: Array
    V: tuple[Array, ...]

    @classmethod
    def of(cls, y: LowRank) -> Wide:
        """Return a block with orthonormal bases as it is."""
        return cls((y.U,), y.S, (y.V,))

    def joined(self) -> LowRank:
        """Return the block with its bases put side by side."""
        return LowRank.moving(joined(self.U, 1), self.S, joined(self.V, 1))

    def truncated(self, rule: Truncation) -> tuple[LowRank, host.ndarray, float]:
        """Return the best approximation that ``rule`` allows, its singular values, and the norm of what is discarded.

        The core is diagonal where the bases are turned to the singular vectors, which is most of the work of a cut;
        where few directions go, the bases are turned as little as possible, and the core is dense.
        """
        P, s, Q, discarded = truncated_svd(self.S, rule, double=True)
        left = turned(self.U[0], partial(_times, self.U), P)
        right = turned(self.V[0], partial(_times, self.V), Q)
        return diagonalised(left, s, right), s, discarded


class Turned(NamedTuple):
    """Orthonormal columns W, and A such that ``W A`` are the columns that were asked for; None is the identity."""

    W: Array
    A: Array | None


def diagonalised(left: Turned, s: host.ndarray, right: Turned) -> LowRank:
    """Return the matrix with the singular vectors ``left`` and ``right``."""
    (U, A), (V, B) = left, right
    if A is None and B is None:
        S = from_host(host.diag(s), U, U.dtype)
    else:
        A, B = (eye_like(len(s), other) if X is None else X for X, other in ((A, B), (B, A)))
        S = as_dtype(A * from_host(s, A, A.dtype)[None, :], U.dtype) @ mH(as_dtype(B, U.dtype))
    return LowRank.moving(U, S, V)


def turned(U: Array, times: Callable[[Array], Array], P: Array) -> Turned:
    """Return orthonormal columns W that span ``[U, ...] P``, and the unitary A with ``W A = [U, ...] P``.

    Parameters
    ----------
    U : array
        The first of p orthonormal columns.
    times : callable
        Multiplies all of them with a matrix.
    P : (p, r) array
        Orthonormal columns; in double precision also where the parts are not.

    Returns
    -------
    W : array
    A : (r, r) array or None
        None is the identity.

    Notes
    -----
    Where P leaves out d << r directions Z, any orthonormal basis of the rest will do. The block reflector
    ``H = I - Y (I + Z2)^-1 Y*`` with ``Y = Z + [0; I]`` has -Z for its last columns, if the last d rows ``Z2`` of Z
    are Hermitian and not negative, so that its first r columns span range(P); two products with d columns apply it.
    It follows from ``Z Z* = I - P P*``, without a decomposition larger than d x d.
    """
    p, r = P.shape
    d, dtype = p - r, U.dtype
    if not (r >= _WORTHWHILE and 3 * d <= r and r <= U.shape[1]):
        return Turned(times(P), None)
    if d == 0:
        return Turned(U, P)
    xp = namespace(P)
    upper, lower = P[:r, :], P[r:, :]
    w, X = xp.linalg.eigh(eye_like(d, P) - lower @ mH(lower))
    if not float(to_host(w)[0]) > _WELL_CONDITIONED:
        return Turned(times(P), None)
    root = xp.sqrt(w)
    Z1 = -upper @ (mH(lower) @ ((X / root[None, :]) @ mH(X)))
    Y = xp.concat([Z1, (X * (1.0 + root)[None, :]) @ mH(X)], axis=0)
    T = xp.linalg.inv(0.5 * (mH(Y) @ Y))  # (I + Z2)^-1, and H is unitary whatever rounding did to Y
    W = times(Y) @ as_dtype(-T @ mH(Z1), dtype)
    W += U[:, :r]
    return Turned(W, upper - Z1 @ (T @ (mH(Y) @ P)))


def _times(parts: tuple[Array, ...], P: Array) -> Array:
    """Return ``[*parts] P``, in the precision of the parts."""
    cores, start, P = [], 0, as_dtype(P, parts[0].dtype)
    for part in parts:
        cores.append(P[start : start + part.shape[1], :])
        start += part.shape[1]
    return combined(parts, cores)
