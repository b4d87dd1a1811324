"""Products with a low-rank weight W = U S V*, and the gradient for it as a pair of thin factors.

A layer ``y = x W*`` with W (out, in) costs ``((x V) S*) U*``; W is never formed. The gradient for W is
``G = delta* x``, with delta the cotangent of y: a matrix of rank at most the batch size, known by its actions
``G V = delta* (x V)`` and ``G* U = x* (delta U)``. One backward pass gives all of them, where automatic
differentiation for K = U S, for L = V S* and for S takes three (Schotthoefer, Zangrando, Kusch, Ceruti and Tudisco,
NeurIPS 2022, Algorithm 1).
"""

from __future__ import annotations

from typing import Any

from matode._array import Array, accumulated, adjoint, apply, device_of, namespace
from matode.evaluations import DenseEvaluation, Lazy, Thin
from matode.lowrank import LowRank
from nn import ops
from nn.autodiff import apply as apply_op
from nn.autodiff import define, value_of
from nn.deferred import Deferred

__all__ = ["Outer", "linear"]

_NARROW = 128  # columns up to which a bias is cheaper as one column more than as one pass more


class _Product:
    """A product ``x @ B`` that is computed at most once; recognised by the identity of B."""

    __slots__ = ("basis", "value", "x")

    def __init__(self, x: Array, basis: Array | None = None, value: Array | None = None) -> None:
        self.x = x
        self.basis = basis
        self.value = value

    def __call__(self, B: Array) -> Array:
        if B is not self.basis:
            return _rows_times(self.x, B)
        if self.value is None:
            self.value = _rows_times(self.x, B)
        return self.value


def _rows_times(x: Array, B: Array) -> Array:
    """Return ``x @ B`` for thin B, in the way that is faster where the rows of x lie side by side in memory."""
    return (B.mT @ x.mT).mT


class Outer(Lazy):
    """The m x n matrix ``delta* x`` of two batches of rows, real, known by its actions.

    Parameters
    ----------
    delta : (b, m) array
    x : (b, n) array
    U, V : arrays, optional
        Bases that the actions will meet again: ``delta @ U`` and ``x @ V`` are then computed at most once. They are
        recognised by identity, so they must not be changed.
    delta_U, x_V : arrays, optional
        These products, where a forward or backward pass has them already.
    """

    __slots__ = ("_delta", "_x", "shape")

    def __init__(
        self,
        delta: Array,
        x: Array,
        *,
        U: Array | None = None,
        V: Array | None = None,
        delta_U: Array | None = None,
        x_V: Array | None = None,
    ) -> None:
        if delta.ndim != 2 or x.ndim != 2 or delta.shape[0] != x.shape[0]:
            raise ValueError(f"Outer needs two batches of as many rows, got {tuple(delta.shape)} and {tuple(x.shape)}")
        self._delta = _Product(delta, U, delta_U)
        self._x = _Product(x, V, x_V)
        self.shape = (int(delta.shape[1]), int(x.shape[1]))

    @property
    def delta(self) -> Array:
        """The left rows, (b, m)."""
        return self._delta.x

    @property
    def x(self) -> Array:
        """The right rows, (b, n)."""
        return self._x.x

    def right(self, V: Array) -> Array:
        """Return ``delta* (x V)``, (m, k)."""
        return self.delta.mT @ self._x(V)

    def left(self, U: Array) -> Array:
        """Return ``x* (delta U)``, (n, k)."""
        return self.x.mT @ self._delta(U)

    def galerkin(self, U: Array, V: Array) -> Array:
        """Return ``(delta U)* (x V)``, (k, l)."""
        return self._delta(U).mT @ self._x(V)

    def thin(self, U: Array, V: Array) -> Thin:
        """Return the rows that the matrix is made of, and their products with U and V."""
        return Thin(self.delta, self.x, self._delta(U), self._x(V))

    def factors(self) -> LowRank | None:
        """Return the value as a LowRank where the batch is smaller than the matrix, else None."""
        return LowRank(self.delta.mT, None, self.x.mT) if self.x.shape[0] < min(self.shape) else None

    def full(self) -> Array:
        """Return the m x n array: for tests and dense blocks only."""
        return (self.x.mT @ self.delta).mT

    def _scaled(self, c: Any) -> Outer:
        return Outer(c * self.delta, self.x)

    def _multiplied_left(self, A: Any) -> Outer:
        return Outer((A.right(self.delta.mT) if isinstance(A, Lazy) else apply(A, self.delta.mT)).mT, self.x)

    def _multiplied_right(self, B: Any) -> Outer:
        rows = self.x.mT
        product = B.left(rows) if isinstance(B, Lazy) else apply(adjoint(B), rows)
        return Outer(self.delta, product.mT)

    def _hadamard(self, other: Any) -> DenseEvaluation:
        return DenseEvaluation(self.full() * (other.full() if isinstance(other, Lazy) else other))


def linear(x: Any, W: Any, b: Any = None) -> Any:
    """Return ``x W* + b``, (batch, out), for a weight W (out, in), dense or low-rank.

    Parameters
    ----------
    x : Var or array, (batch, in)
    W : Var, array or LowRank, (out, in)
        The cotangent of a low-rank weight is an :class:`Outer`; that of a dense one is an array.
    b : Var or array, (out,), optional

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    if isinstance(value_of(W), LowRank):
        return apply_op("factored_linear", x, W, *(() if b is None else (b,)))
    y = ops.linear(x, W)
    return y if b is None else ops.add(y, b)


def _factored_linear(x: Array, W: LowRank, b: Array | None = None) -> tuple[Array, Any]:
    if x.ndim != 2 or x.shape[1] != W.shape[1]:
        raise ValueError(f"linear (x W*): the shapes {tuple(x.shape)} and {W.shape} do not fit")
    if b is not None and tuple(b.shape) != W.shape[:1]:
        raise ValueError(f"linear (x W* + b): the shapes {W.shape} and {tuple(b.shape)} do not fit")
    x_V = _rows_times(x, W.V)
    U, rows = W.U, W.S @ x_V.mT
    if b is not None and U.shape[1] <= _NARROW and b.dtype == U.dtype == rows.dtype:
        xp = namespace(U, b)
        ones = xp.ones((1, rows.shape[1]), dtype=U.dtype, device=device_of(U))
        U, rows, b = xp.concat([U, b[:, None]], axis=1), xp.concat([rows, ones], axis=0), None
    y = U @ rows
    return (y if b is None else accumulated(y, b[:, None])).mT, (x, W, x_V)


def _factored_linear_vjp(delta: Array, saved: Any, wanted: tuple[bool, ...]) -> tuple[Any, ...]:
    x, W, x_V = saved
    dx = delta_U = None
    if wanted[0]:
        delta_U = _rows_times(delta, W.U)
        dx = (W.V @ (W.S.mT @ delta_U.mT)).mT
    dW = Outer(delta, x, U=W.U, V=W.V, delta_U=delta_U, x_V=x_V) if wanted[1] else None
    if len(wanted) == 2:
        return dx, dW
    return dx, dW, Deferred(lambda: _column_sums(delta), (delta.shape[1],)) if wanted[2] else None


def _column_sums(x: Array) -> Array:
    """Return the sums of the columns: a product with ones, because NumPy's sum takes four times as long."""
    return namespace(x).ones((x.shape[0],), dtype=x.dtype, device=device_of(x)) @ x


define("factored_linear", _factored_linear, _factored_linear_vjp)
