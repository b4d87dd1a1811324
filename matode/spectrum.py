"""The leading eigenvectors of a Gram matrix: as few as matter, without the others."""

from __future__ import annotations

import math

from matode._array import Array, from_host, host, to_host
from matode.triangular import cholesky, orthonormalising

__all__ = ["leading", "nearby_root", "root_and_inverse"]

_SMALL = 96  # up to this size all eigenvectors cost no more
_BLOCK = 32  # pivots at a time
_SHARES = 0.25, 4.0, 64.0  # of the noise
_INDEPENDENT = 1e-3  # least eigenvalue among pivots, relative to the largest


def leading(G: Array, floor: float, tail: float, noise: float, room: int) -> tuple[Array, bool]:
    """Return T such that the columns ``N T`` are orthonormal where ``G = N* N``, and whether they are all.

    Parameters
    ----------
    G : (q, q) array
        In double precision. It crosses to the host where it is large.
    floor : float
        Directions of N up to this size are left out.
    tail : float
        The smallest directions are left out that together stay within this Frobenius norm.
    noise : float
        Directions whose square is below this share of the largest cannot be seen: rounding of G.
    room : int
        Largest number of columns.

    Returns
    -------
    T : (q, k) array
    complete : bool
        Whether nothing but noise hid in G that is above the floor or needed for the tail.

    Notes
    -----
    Of a large G, a Cholesky factorisation with pivoting finds a factor L with ``||G - L L*||`` below a sixteenth of the
    square of the floor, or the trace of that below half the square of the tail; where it has few columns, the
    eigenvectors of ``L* L`` tell those of G: what they leave out of the trace of G is at most what they leave out of
    that of ``L L*`` and the rest.
    """
    A = to_host(G)
    total = float(A.diagonal().real.sum())
    smallest = max(floor**2, noise * total)
    L = A if len(A) <= _SMALL else _pivoted(A, smallest / 16, tail**2 / 2)
    w, W = host.linalg.eigh(A if L is A else L.conj().T @ L)
    squares = host.maximum(w, 0.0)
    visible = noise * float(squares[-1]) if len(w) else 0.0
    keep = int((squares > max(floor**2, visible)).sum())
    if tail > 0.0:
        dropped = total - host.cumsum(squares[::-1])  # by the leading 1, 2, ... directions
        keep = min(keep, int((dropped > tail**2).sum()) + 1)
    first = len(w) - min(keep, room)
    T = W[:, first:] / host.sqrt(w[first:])
    if L is not A:
        T = L @ (T / host.sqrt(w[first:]))
        T = T @ orthonormalising(T.conj().T @ A @ T)
    return from_host(T, G), visible <= max(floor, tail / len(A)) ** 2


def root_and_inverse(G: Array, noise: float) -> tuple[Array, Array] | None:
    """Return a root R of a Gram matrix, ``G = R* R``, and its inverse; None where noise could hide a direction.

    Parameters
    ----------
    G : (q, q) array
        In double precision. It crosses to the host.
    noise : float
        Size of the rounding in G: that of no direction may be above a quarter of what G has there.
    """
    A = to_host(G)
    found = cholesky(A + noise * host.eye(len(A)))
    if found is None:
        return None
    L, inverse = found
    if not 4.0 * noise * host.linalg.norm(inverse) ** 2 <= 1.0:
        return None
    return from_host(L.conj().T, G), from_host(inverse.conj().T, G)


def nearby_root(G: Array, sizes: Array, rounding: float) -> tuple[Array, Array, Array] | None:
    """Return R and its right inverse T, where ``R* R`` is hardly above a Gram matrix G, and E: ``I - T* G T = E E*``.

    Parameters
    ----------
    G : (q, q) array
        In double precision. It crosses to the host.
    sizes : (q,) array
        Entry (i, j) is wrong by as much as ``rounding sizes[i] sizes[j]``. Where one is zero, G is zero exactly, so are
        that column of R and that row of the inverse, and R has a row less.
    rounding : float
        None is returned where this, some dozens of times, is not enough.
    """
    A, size = to_host(G), to_host(sizes)
    there = size > 0.0
    if not there.all():
        if A.diagonal()[~there].any():
            return None
        A, size = A[host.ix_(there, there)], size[there]
    A = A / size[:, None] / size
    pivots, own = A.reshape(-1)[:: len(A) + 1], A.diagonal().copy()
    for share in _SHARES:
        added = share * rounding * len(A)
        pivots[:] = own + added
        found = cholesky(A)
        if found is None:
            continue
        L, inverse = found
        E = math.sqrt(added) * inverse
        R, inverse = L.conj().T * size, inverse / size
        if not there.all():
            R, inverse = (_spread(X, there) for X in (R, inverse))
        return from_host(R, G), from_host(inverse.conj().T, G), from_host(E, G)
    return None


def _spread(X: host.ndarray, there: host.ndarray) -> host.ndarray:
    """Return X with columns of zeros where there is none."""
    made = host.zeros((len(X), len(there)), dtype=X.dtype)
    made[:, there] = X
    return made


def _pivoted(G: host.ndarray, enough: float, rest: float) -> host.ndarray:
    """Return L with ``G - L L*`` of a Frobenius norm of at most ``enough``, or of at most the trace ``rest``.

    G itself where that would take more than half of its columns. Pivots are taken a block at a time, those of the
    largest diagonal, as far as they do not depend on each other.
    """
    E = G.copy()
    columns: list[host.ndarray] = [G[:, :0]]
    count = 0
    while host.linalg.norm(E) > enough and E.diagonal().real.sum() > rest:
        pivots = host.argsort(E.diagonal().real)[-_BLOCK:]
        w, W = host.linalg.eigh(E[host.ix_(pivots, pivots)])
        own = w > _INDEPENDENT * max(w[-1], 0.0)
        count += int(own.sum())
        if not own.any() or 2 * count > len(G):
            return G
        columns.append(E[:, pivots] @ (W[:, own] / host.sqrt(w[own])))
        E -= columns[-1] @ columns[-1].conj().T
    return host.concatenate(columns, axis=1)
