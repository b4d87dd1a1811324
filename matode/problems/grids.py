"""Difference and differentiation matrices of the problems, on the host."""

from __future__ import annotations

from typing import Any

from matode._array import host

__all__ = ["central", "fourier", "laplacian", "stencil"]


def laplacian(n: int, *, periodic: bool = False) -> Any:
    """Return ``tridiag(1, -2, 1)`` as a sparse array; periodic with the two corners filled."""
    return stencil(n, 1.0, -2.0, 1.0, periodic)


def central(n: int, *, periodic: bool = False) -> Any:
    """Return ``tridiag(-1/2, 0, 1/2)`` as a sparse array; periodic with the two corners filled."""
    return stencil(n, -0.5, 0.0, 0.5, periodic)


def fourier(n: int, length: float) -> host.ndarray:
    """Return the real n x n Fourier differentiation matrix of a periodic interval; skew-symmetric, n even.

    The highest mode, that the grid cannot tell from its mirror image, has derivative 0.
    """
    if n < 2 or n % 2:
        raise ValueError(f"the Fourier grid needs an even number of points, at least 2, got {n}")
    symbol = 2j * host.pi / length * host.fft.fftfreq(n, 1.0 / n)
    symbol[n // 2] = 0.0
    return host.real(host.fft.ifft(symbol[:, None] * host.fft.fft(host.eye(n), axis=0), axis=0))


def stencil(n: int, lower: float, middle: float, upper: float, periodic: bool = False) -> Any:
    """Return the n x n sparse ``tridiag(lower, middle, upper)``; periodic with the two corners filled."""
    from scipy import sparse

    if n < 3:
        raise ValueError(f"need at least 3 grid points, got {n}")
    values, offsets = [lower, middle, upper], [-1, 0, 1]
    if periodic:
        values, offsets = [upper, *values, lower], [1 - n, *offsets, n - 1]
    diagonals = [host.full(n - abs(k), v) for v, k in zip(values, offsets, strict=True)]
    return sparse.diags_array(diagonals, offsets=offsets, format="csr")
