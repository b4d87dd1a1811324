"""The tangent space of a low-rank weight: projecting a gradient on it, and taking a direction along to another weight.

Thin products only; nothing depends on the gauge of the factors.
"""

from __future__ import annotations

from typing import Any

from matode._array import Array, as_dtype, mH, namespace
from matode.evaluations import foreseeing
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation

__all__ = ["Direction", "Remembered", "tangent"]


def tangent(F: Evaluation, y: LowRank) -> LowRank:
    """Return ``P_T F = F V V* + U U* F (I - V V*)``, of width 2r, from two thin products with F.

    Parameters
    ----------
    F : evaluation, (m, n)
        A gradient, or a direction that was tangent elsewhere: projecting it transports it to ``y``.
    y : LowRank, (m, n)
        With orthonormal bases U and V.

    References
    ----------
    Koch and Lubich, "Dynamical low-rank approximation", SIAM J. Matrix Anal. Appl. 29 (2007), lemma 4.1.
    """
    xp = namespace(y.U)
    FV, FU = as_dtype(F.right(y.V), y.dtype), as_dtype(F.left(y.U), y.dtype)
    rest = FU - y.V @ (mH(FV) @ y.U)
    return LowRank(xp.concat([FV, y.U], axis=1), None, xp.concat([y.V, rest], axis=1))


class Remembered:
    """An evaluation whose products with the bases of one block are computed at most once.

    Parameters
    ----------
    F : evaluation
    y : LowRank or array
        The block it was evaluated at; its bases are recognised by identity.
    """

    def __init__(self, F: Evaluation, y: Block) -> None:
        self.F = F
        self.shape = F.shape
        self._U: Array | None = y.U if isinstance(y, LowRank) else None
        self._V: Array | None = y.V if isinstance(y, LowRank) else None
        self._right: Array | None = None
        self._left: Array | None = None

    def right(self, V: Array) -> Array:
        """Return ``F @ V``."""
        if V is not self._V:
            return self.F.right(V)
        if self._right is None:
            self._right = self.F.right(V)
        return self._right

    def left(self, U: Array) -> Array:
        """Return ``F* @ U``."""
        if U is not self._U:
            return self.F.left(U)
        if self._left is None:
            self._left = self.F.left(U)
        return self._left

    def galerkin(self, U: Array, V: Array) -> Array:
        """Return ``U* @ F @ V``."""
        return self.F.galerkin(U, V)

    def foreseeing(self, U1: Array) -> Remembered:
        """Tell F of the columns that Galerkin products will ask for, as long as ``F* U`` is not known."""
        if self._left is None:
            self.F = foreseeing(self.F, U1)
        return self

    def factors(self) -> LowRank | None:
        """Return F as a low-rank value where it is one."""
        return self.F.factors()

    def full(self) -> Array:
        """Return F as a dense array."""
        return self.F.full()


class Direction:
    """The m x n matrix ``diag(rows) (a F + b M) diag(columns)``, known by its actions.

    Parameters
    ----------
    F, M : evaluations, (m, n)
    a, b : float
    rows, columns : arrays (m,) and (n,), optional
        Real scales; ones where not given.
    """

    def __init__(
        self, F: Evaluation, a: float, M: Evaluation, b: float, rows: Array | None = None, columns: Array | None = None
    ) -> None:
        self.F, self.a, self.M, self.b = F, a, M, b
        self.rows, self.columns = rows, columns
        self.shape = F.shape

    def right(self, V: Array) -> Array:
        """Return the matrix times V."""
        V = _scaled(self.columns, V)
        return _scaled(self.rows, self.a * self.F.right(V) + self.b * self.M.right(V))

    def left(self, U: Array) -> Array:
        """Return the adjoint times U."""
        U = _scaled(self.rows, U)
        return _scaled(self.columns, self.a * self.F.left(U) + self.b * self.M.left(U))

    def galerkin(self, U: Array, V: Array) -> Array:
        """Return U* times the matrix times V."""
        U, V = _scaled(self.rows, U), _scaled(self.columns, V)
        return self.a * self.F.galerkin(U, V) + self.b * self.M.galerkin(U, V)

    def foreseeing(self, U1: Array) -> Direction:
        """Return the matrix, its first part told of the columns that Galerkin products will ask for.

        With scales of the rows it would be asked for others.
        """
        if self.rows is not None:
            return self
        return Direction(foreseeing(self.F, U1), self.a, self.M, self.b, None, self.columns)

    def factors(self) -> LowRank | None:
        """Return None: the sum is kept as it is."""
        return None

    def full(self) -> Array:
        """Return the m x n array."""
        dense = _scaled(self.rows, self.a * self.F.full() + self.b * self.M.full())
        return dense if self.columns is None else dense * self.columns[None, :]


def _scaled(scale: Array | None, X: Array) -> Any:
    return X if scale is None else scale[:, None] * X
