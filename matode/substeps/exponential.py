"""Exponential substeps: a linear part ``A Y + Y B`` of the field is solved exactly, whatever its norm.

Source: S. M. Cox and P. C. Matthews, Exponential time differencing for stiff systems, J. Comput. Phys. 176 (2002),
method ETD2RK; in the form of M. Hochbruck and A. Ostermann, Exponential integrators, Acta Numerica 19 (2010).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from matode._array import Array, adjoint, as_dtype, finite, from_host, host, is_array, is_complex, is_sparse, to_host
from matode.protocols import Rhs

__all__ = ["Exponential"]


@dataclass(frozen=True)
class Exponential:
    """Exponential substep for fields ``F(t, Y) = A Y + Y B + G(t, Y)`` with A and B of any norm.

    The field itself stays as it is, with all its terms: A and B only say which part of it is stiff. That part is solved
    exactly, and so is a constant G; in general the error is of second order in h, independently of A and B where G is
    smooth along the solution. For a Lyapunov equation give ``Exponential(A, A.T)``.

    Parameters
    ----------
    A : (m, m) matrix, or None
        An array, a SciPy sparse matrix or a ``LinearOperator``. For a system, a tuple with one entry per block; None is
        zero, and the block then moves by Heun's method.
    B : (n, n) matrix, or None
        As A, from the right.
    order : int
        2, or 1 for the exponential Euler method with one evaluation.
    dense : int
        Up to this size, Hermitian and skew-Hermitian A and B are diagonalised, once: n x n numbers on the host.

    Notes
    -----
    The matrix functions are SciPy's, on the host: unknowns and derivatives are copied there and back. Where a matrix is
    larger than ``dense``, or not normal, ``expm_multiply`` acts on the unknown, with about ``h (||A|| + ||B||)``
    products; that is no matter of stability, but of time.

    Raises
    ------
    TypeError
        If the right-hand side is a plain function, which does not say in which bases it moves.
    """

    A: Any
    B: Any = None
    order: int = 2
    dense: int = 2048

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise ValueError(f"the order of an exponential substep must be 1 or 2, got {self.order}")
        for name, given in (("A", self.A), ("B", self.B)):
            for M in given if isinstance(given, tuple) else (given,):
                if M is not None and (len(M.shape) != 2 or M.shape[0] != M.shape[1]):
                    raise ValueError(f"{name} must be a square matrix, got shape {tuple(M.shape)}")

    def __call__(
        self, f: Rhs, t: float, h: float, Z: tuple[Array, ...], first: tuple[Array, ...] | None = None
    ) -> tuple[Array, ...]:
        """Return Z at t + h."""
        if not hasattr(f, "compressed"):
            raise TypeError(
                "an exponential substep needs the right-hand side of a K-, L- or S-flow (matode.flows.Motion), which "
                f"says in which bases it moves; got a {type(f).__name__}"
            )
        f0 = f(t, Z) if first is None else first
        if not all(finite(k) for k in f0):
            return tuple(z + h * k for z, k in zip(Z, f0, strict=True))
        parts = [self._part(f, i, len(Z)) for i in range(len(Z))]
        moved = tuple(z + h * part.phi(1, h, k) for part, z, k in zip(parts, Z, f0, strict=True))
        if self.order == 1:
            return moved
        f1 = f(t + h, moved)
        if not all(finite(k) for k in f1):
            return f1
        changes = (k1 - k0 - part.applied(w - z) for part, k0, k1, w, z in zip(parts, f0, f1, moved, Z, strict=True))
        return tuple(w + h * part.phi(2, h, g) for part, w, g in zip(parts, moved, changes, strict=True))

    def _part(self, f: Any, i: int, count: int) -> _Sylvester:
        """Return the linear part of block i in the bases in which it moves."""
        left, right = self._factors
        if count > 1 and len(left) == 1:
            left, right = left * count, right * count
        if len(left) != count or len(right) != count:
            raise ValueError(
                f"a system of {count} blocks needs {count} matrices A and B each, got {len(left)} and {len(right)}"
            )
        A, B = left[i], right[i]
        a, b = f.compressed(i, A.matrix, B.matrix)
        if a is None and b is None:
            return _Sylvester(A.times(f.sign), B.times(f.sign))
        if a is None:
            return _Sylvester(A, _Factor(b, self.dense))
        if b is None:
            return _Sylvester(B.star, _Factor(adjoint(a), self.dense))
        return _Sylvester(_Factor(a, self.dense), _Factor(b, self.dense))

    @cached_property
    def _factors(self) -> tuple[tuple[_Factor, ...], tuple[_Factor, ...]]:
        """A and B, each with its spectrum once it has been asked for."""
        A, B = ((M if isinstance(M, tuple) else (M,)) for M in (self.A, self.B))
        return tuple(_Factor(M, self.dense) for M in A), tuple(_Factor(M, self.dense) for M in B)


class _Factor:
    """One of the two matrices of the linear part, on the host; None is zero."""

    def __init__(self, matrix: Any, dense: int) -> None:
        self.matrix, self._dense = matrix, dense
        self.host: Any = to_host(matrix) if is_array(matrix) else matrix

    @cached_property
    def star(self) -> _Factor:
        """The conjugate transpose."""
        return self if self.matrix is None else _Factor(adjoint(self.matrix), self._dense)

    def times(self, sign: float) -> _Factor:
        """Return a multiple."""
        return self if sign == 1.0 or self.matrix is None else _Factor(sign * self.matrix, self._dense)

    @cached_property
    def spectrum(self) -> tuple[host.ndarray, host.ndarray | None] | None:
        """Eigenvalues, and orthonormal eigenvectors (None is the identity), of a normal matrix; else None."""
        M = self.host
        if M is None:
            return host.zeros(1), None
        if not (is_array(M) or is_sparse(M)) or M.shape[0] > self._dense:
            return None
        M = M.toarray() if is_sparse(M) else M
        M = M.astype("complex128" if M.dtype.kind == "c" else "float64")
        star, rounding = M.conj().T, 1e-12 * host.linalg.norm(M)
        if host.linalg.norm(M - star) <= rounding:
            return host.linalg.eigh((M + star) / 2)
        if host.linalg.norm(M + star) <= rounding:
            w, W = host.linalg.eigh(0.5j * (M - star))
            return -1j * w, W
        return None


class _Sylvester:
    """The operator ``Z -> X Z + Z R`` and the functions of it that exponential integrators are made of."""

    def __init__(self, X: _Factor, R: _Factor) -> None:
        self.X, self.R = X, R

    def applied(self, Z: Array) -> Array:
        """Return ``X Z + Z R``."""
        return _returned(self._applied(to_host(Z)), Z)

    def phi(self, k: int, h: float, G: Array) -> Array:
        """Return ``phi_k(h L) G``: ``phi_1(z) = (e^z - 1) / z`` and ``phi_2(z) = (e^z - 1 - z) / z^2``."""
        left, right = self.X.spectrum, self.R.spectrum
        values = to_host(G)
        if left is None or right is None:
            return _returned(self._by_products(k, h, values), G)
        (lam, Q), (mu, P) = left, right
        with host.errstate(over="ignore", invalid="ignore"):  # a backward stiff step runs away: the flow says so
            values = values if Q is None else Q.conj().T @ values
            values = values if P is None else values @ P
            values = _phi(k, h * (lam[:, None] + mu[None, :])) * values
            values = values if Q is None else Q @ values
            return _returned(values if P is None else values @ P.conj().T, G)

    def _applied(self, Z: host.ndarray) -> host.ndarray:
        total = host.zeros_like(Z)
        if self.X.host is not None:
            total = total + self.X.host @ Z
        if self.R.host is not None:
            total = total + adjoint(adjoint(self.R.host) @ adjoint(Z))
        return total

    def _by_products(self, k: int, h: float, G: host.ndarray) -> host.ndarray:
        """Return phi_k(h L) G as the last column of an exponential of ``[[h L, G e_1*], [0, shift]]``."""
        from scipy.sparse.linalg import LinearOperator, expm_multiply

        shape, size = G.shape, G.size
        dtype = host.result_type(G.dtype, *(M.host.dtype for M in (self.X, self.R) if M.host is not None), "float64")
        star = _Sylvester(self.X.star, self.R.star)

        def forward(v: host.ndarray) -> host.ndarray:
            v = v.reshape(-1)
            top = h * self._applied(v[:size].reshape(shape)) + v[size] * G
            return host.concatenate([top.reshape(-1), v[size + 1 :], host.zeros(1)])

        def backward(v: host.ndarray) -> host.ndarray:
            v = v.reshape(-1)
            Z = v[:size].reshape(shape)
            first = host.sum(G.conj() * Z)
            return host.concatenate([(h * star._applied(Z)).reshape(-1), [first], v[size:-1]])

        operator = LinearOperator((size + k, size + k), matvec=forward, rmatvec=backward, dtype=dtype)
        start = host.zeros(size + k, dtype=dtype)
        start[-1] = 1.0
        trace = h * sum(_trace(M.host) * n for M, n in ((self.X, shape[1]), (self.R, shape[0])))
        return expm_multiply(operator, start, traceA=trace)[:size].reshape(shape)


def _trace(M: Any) -> Any:
    """Return the trace where it is known; it only makes the products fewer."""
    return M.trace() if is_array(M) or is_sparse(M) else 0.0


def _phi(k: int, z: host.ndarray) -> host.ndarray:
    """Return phi_k entry by entry: by the series near zero."""
    near = host.abs(z) < 0.5
    safe = host.where(near, 1.0, z)
    far = host.expm1(safe) / safe if k == 1 else (host.expm1(safe) - safe) / safe**2
    series = host.zeros_like(z)
    for j in range(16, -1, -1):
        series = 1.0 / math.factorial(j + k) + host.where(near, z, 0.0) * series
    return host.where(near, series, far)


def _returned(values: host.ndarray, like: Array) -> Array:
    """Return host values in the namespace, dtype and device of the unknown; a real one stays real."""
    return as_dtype(from_host(values if is_complex(like) else values.real, like), like.dtype)
