"""The leading eigenvectors of a Gram matrix: as few as matter, without the others."""

from __future__ import annotations

from matode._array import Array, from_host, host, to_host

__all__ = ["leading"]

_SMALL = 96  # up to this size all eigenvectors cost no more
_BLOCK = 16  # pivots between two looks at what is left


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
        Orthonormal to a few percent only where G is large.
    complete : bool
        Whether nothing but noise hid in G that is above the floor or needed for the tail.

    Notes
    -----
    Of a large G, a Cholesky factorisation with pivoting finds a factor L of few columns with ``||G - L L*||`` below a
    sixteenth of the square of the floor, or the trace of that below one of the square of the tail; the eigenvectors of
    ``L* L`` tell those of G.
    """
    A = to_host(G)
    total = float(A.diagonal().real.sum())
    smallest = max(floor**2, noise * total)
    L = A if len(A) <= _SMALL else _pivoted(A, smallest / 16, tail**2 / 16)
    w, W = host.linalg.eigh(A if L is A else L.conj().T @ L)
    squares = host.maximum(w, 0.0)
    visible = noise * float(squares[-1]) if len(w) else 0.0
    keep = int((squares > max(floor**2, visible)).sum())
    if tail > 0.0:
        dropped = total - host.cumsum(squares[::-1])  # by the leading 1, 2, ... directions
        keep = min(keep, int((dropped > tail**2).sum()) + 1)
    first = len(w) - min(keep, room)
    T = W[:, first:] / host.sqrt(w[first:]) if L is A else L @ (W[:, first:] / w[first:])
    return from_host(T, G), visible <= max(floor, tail / len(A)) ** 2


def _pivoted(G: host.ndarray, enough: float, rest: float) -> host.ndarray:
    """Return L with ``G - L L*`` of a Frobenius norm of at most ``enough``, or of at most the trace ``rest``."""
    E = G.copy()
    tiny = 1e-16 * float(G.diagonal().real.sum())
    columns: list[host.ndarray] = [G[:, :0]]
    left = len(G)
    while left > 0 and host.linalg.norm(E) > enough and E.diagonal().real.sum() > rest:
        block = host.zeros((len(G), min(_BLOCK, left)), dtype=G.dtype)
        d = E.diagonal().real.copy()
        for k in range(block.shape[1]):
            i = int(d.argmax())
            if not d[i] > tiny:
                return host.concatenate([*columns, block[:, :k]], axis=1)
            column = (E[:, i] - block[:, :k] @ block[i, :k].conj()) / host.sqrt(d[i])
            block[:, k] = column
            d -= (column * column.conj()).real
            d[i] = 0.0
        columns.append(block)
        left -= block.shape[1]
        E -= block @ block.conj().T
    return host.concatenate(columns, axis=1)
