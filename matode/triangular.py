"""Inverses of triangular matrices by products: LAPACK's general inverse takes several times as long."""

from __future__ import annotations

from matode._array import Array, is_gpu, mH, namespace, zeros_like_shape

__all__ = ["lower_inverse", "orthonormalising"]

_SMALL = 40  # rows up to which a general inverse costs no more


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
