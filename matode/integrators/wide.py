"""Blocks in bases that a step has widened: they are cut again before anyone needs the bases side by side."""

from __future__ import annotations

from typing import NamedTuple

from matode._array import Array, as_dtype, eye_like, from_host, host, joined, mH, namespace, to_host
from matode.linalg import truncated_svd
from matode.lowrank import LowRank
from matode.rows import combined
from matode.truncation import Truncation

__all__ = ["Wide", "turned"]

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
        (U, A), (V, B) = turned(self.U, P), turned(self.V, Q)
        if A is None and B is None:
            S = from_host(host.diag(s), U, U.dtype)
        else:
            A, B = (eye_like(len(s), P) if X is None else X for X in (A, B))
            S = as_dtype(A * from_host(s, A, P.dtype)[None, :], U.dtype) @ mH(as_dtype(B, U.dtype))
        return LowRank.moving(U, S, V), s, discarded


def turned(parts: tuple[Array, ...], P: Array) -> tuple[Array, Array | None]:
    """Return orthonormal columns W that span ``[*parts] P``, and the unitary A with ``W A = [*parts] P``.

    Parameters
    ----------
    parts : tuple of arrays
        Together p orthonormal columns.
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
    d, dtype = p - r, parts[0].dtype
    if not (r >= _WORTHWHILE and 3 * d <= r and r <= parts[0].shape[1]):
        return _times(parts, as_dtype(P, dtype)), None
    if d == 0:
        return parts[0], P
    xp = namespace(P)
    upper, lower = P[:r, :], P[r:, :]
    w, X = xp.linalg.eigh(eye_like(d, P) - lower @ mH(lower))
    if not float(to_host(w)[0]) > _WELL_CONDITIONED:
        return _times(parts, as_dtype(P, dtype)), None
    root = xp.sqrt(w)
    Z1 = -upper @ (mH(lower) @ ((X / root[None, :]) @ mH(X)))
    Y = xp.concat([Z1, (X * (1.0 + root)[None, :]) @ mH(X)], axis=0)
    T = xp.linalg.inv(0.5 * (mH(Y) @ Y))  # (I + Z2)^-1, and H is unitary whatever rounding did to Y
    W = _times(parts, as_dtype(Y, dtype)) @ as_dtype(-T @ mH(Z1), dtype)
    W += parts[0][:, :r]
    return W, upper - Z1 @ (T @ (mH(Y) @ P))


def _times(parts: tuple[Array, ...], P: Array) -> Array:
    """Return ``[*parts] P``."""
    cores, start = [], 0
    for part in parts:
        cores.append(P[start : start + part.shape[1], :])
        start += part.shape[1]
    return combined(parts, cores)
