"""Cholesky factors, and inverses of triangular matrices by products: a general inverse takes several times as long."""

from __future__ import annotations

from scipy.linalg import lapack

from matode._array import Array, host, is_gpu, mH, namespace, zeros_like_shape

__all__ = ["cholesky", "lower_inverse", "orthonormalising"]

_SMALL = 40  # rows up to which a general inverse costs no more
_LAPACK = {  # without NumPy's checks, which take three times as long as the work on 20 rows
    host.dtype("float64"): (lapack.dpotrf, lapack.dtrtri),
    host.dtype("complex128"): (lapack.zpotrf, lapack.ztrtri),
}


def cholesky(G: host.ndarray) -> tuple[host.ndarray, host.ndarray] | None:
    """Return the lower triangular L with ``L L* = G``, and its inverse; None where G is not definite.

    Parameters
    ----------
    G : (n, n) array of the host
        In double precision.
    """
    if 0 < len(G) <= _SMALL:
        factor, invert = _LAPACK[G.dtype]
        L, failed = factor(G, lower=True)
        return None if failed else (L, invert(L, lower=True)[0])
    try:
        L = host.linalg.cholesky(G)
    except host.linalg.LinAlgError:
        return None
    return L, lower_inverse(L)


def lower_inverse(L: Array) -> Array:
    """Return the inverse of a lower triangular matrix, from those of its diagonal blocks of half the size."""
    n = L.shape[0]
    if n <= _SMALL or is_gpu(L):
        return namespace(L).linalg.inv(L)
    k = n // 2
    A, B = lower_inverse(L[:k, :k]), lower_inverse(L[k:, k:])
    made = zeros_like_shape(L.shape, L)
    made[:k, :k], made[k:, k:] = A, B
    made[k:, :k] = -(B @ (L[k:, :k] @ A))
    return made


def orthonormalising(G: Array) -> Array:
    """Return a triangular T with ``T* G T = I``, for a Gram matrix that is safely definite."""
    return mH(lower_inverse(namespace(G).linalg.cholesky(G)))
