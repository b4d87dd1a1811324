"""A certified error: a bound on ||Y(t) - A(t)|| from what was computed and one constant, asking nobody for A.

With R(s) = Y'(s) - F(s, Y(s)), the residual of the continuous output, and a constant l with

    Re <F(s, Y) - F(s, Z), Y - Z>  <=  l ||Y - Z||^2        (any Lipschitz constant will do; l may be negative)

the distance to the exact solution grows by no more than ``d' <= l d + ||R||``, so that

    ||Y(t) - A(t)||  <=  e^(l (t - t0)) ||Y(t0) - A(t0)||  +  int_t0^t e^(l (t - s)) ||R(s)|| ds.

Everything that went wrong on the way is inside R: time discretisation, normal components that no basis saw, truncation.
On each step the Cauchy-Schwarz inequality splits the integral into the weight's, in closed form, and that of ||R||^2,
by Gauss-Lobatto quadrature with five nodes: exact where F is linear and autonomous, since R is then a cubic in s. For
other fields the difference to Simpson's rule is added.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from matode._array import as_dtype, eps, is_sparse, namespace
from matode.evaluations import Operator, Sum
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation
from matode.state import entry_norm
from matode.trajectory import Trajectory

__all__ = ["Certificate", "residual_norm"]

_NODES = (0.0, 0.5 - math.sqrt(3 / 7) / 2, 0.5, 0.5 + math.sqrt(3 / 7) / 2, 1.0)
_WEIGHTS = (1 / 20, 49 / 180, 16 / 45, 49 / 180, 1 / 20)
_SIMPSON = {0: 1 / 6, 2: 2 / 3, 4: 1 / 6}


class Certificate:
    """The running bound along a trajectory; every piece is integrated once, when it is first needed.

    Parameters
    ----------
    trajectory : Trajectory
        With a field.
    lipschitz : float
        The constant l, in the direction of integration.
    start_error : float
        ``||Y(t0) - A(t0)||``, or a bound of it.
    """

    def __init__(self, trajectory: Trajectory, lipschitz: float, start_error: float = 0.0) -> None:
        if not math.isfinite(lipschitz):
            raise ValueError(f"the (one-sided) Lipschitz constant must be finite, got {lipschitz!r}")
        if not (start_error >= 0 and math.isfinite(start_error)):
            raise ValueError(f"start_error must be a finite number >= 0, got {start_error!r}")
        self.trajectory, self.lipschitz = trajectory, float(lipschitz)
        self._bounds = [float(start_error)]
        self._sizes: list[float] = []

    def __call__(self, t: float) -> float:
        """Return the bound at t."""
        trajectory = self.trajectory
        k = trajectory.find(t)
        while len(self._sizes) <= k and len(self._sizes) < len(trajectory):
            j = len(self._sizes)
            self._sizes.append(self._residual(j))
            self._bounds.append(self._advanced(j, abs(trajectory.t[j + 1] - trajectory.t[j])))
        return self._advanced(k, abs(t - trajectory.t[k])) if len(trajectory) else self._bounds[0]

    def _advanced(self, k: int, length: float) -> float:
        """Return the bound at ``length`` beyond step k."""
        rate = self.lipschitz
        try:
            weight = math.expm1(2 * rate * length) / (2 * rate) if rate != 0.0 else length  # int e^(2 rate s) ds
            return math.exp(rate * length) * self._bounds[k] + math.sqrt(weight) * self._sizes[k]
        except OverflowError:
            return math.inf

    def _residual(self, k: int) -> float:
        """Return a bound of ``(int ||R||^2)^(1/2)`` over piece k."""
        field = self.trajectory.field
        if field is None:
            raise ValueError("an error bound needs the field: load the solution with F=...")
        piece = self.trajectory.piece(k)
        h = piece.t1 - piece.t0
        squares = []
        for s in _NODES:
            t = piece.t0 + s * h
            Y = piece.Y0 if s == 0.0 else piece.Y1 if s == 1.0 else piece(t)
            slope = piece.D0 if s == 0.0 else piece.D1 if s == 1.0 else piece.derivative(t)
            squares.append(residual_norm(slope, field(t, Y)) ** 2)
        lobatto = sum(w * x for w, x in zip(_WEIGHTS, squares, strict=True))
        simpson = sum(w * squares[i] for i, w in _SIMPSON.items())
        return math.sqrt(abs(h) * (lobatto + abs(lobatto - simpson)))


def residual_norm(slope: Sequence[Block], F: Sequence[Evaluation]) -> float:
    """Return a bound of the Frobenius norm of ``slope - F`` over all blocks, rounding included."""
    return math.hypot(*(_difference(d, f) for d, f in zip(slope, F, strict=True)))


def _difference(D: Block, f: Evaluation) -> float:
    if not isinstance(D, LowRank):
        return entry_norm(D - as_dtype(f.full(), D.dtype))
    terms = f.terms if isinstance(f, Sum) else (f,)
    low, dense, sparse = -1.0 * D, None, None
    for term in terms:
        factors = term.factors()
        if factors is not None:
            low = low + factors
        elif isinstance(term, Operator) and is_sparse(term.A):
            sparse = term.A if sparse is None else sparse + term.A
        else:
            dense = term.full() if dense is None else dense + term.full()
    rounding = 8 * eps(D.head) * _size_of_terms(low)
    if dense is not None:
        dense = dense + low.to_dense()
        return entry_norm(dense if sparse is None else dense + sparse.toarray()) + rounding
    if sparse is None:
        return float(low.norm()) + rounding
    entries = sparse.tocoo()
    xp = namespace(entries.data)
    own = entry_norm(entries.data)
    overlap = complex(xp.sum(xp.conj(entries.data) * low.entries(entries.row, entries.col))).real
    size = low.norm()
    square = own**2 + 2 * overlap + size**2
    return math.sqrt(max(square, 0.0) + 32 * eps(D.head) * (own**2 + size**2))


def _size_of_terms(Y: LowRank) -> float:
    """Return the norm that the factors would have without cancellation: what rounding is relative to."""
    norm = namespace(Y.U).linalg.vector_norm
    return float(norm(norm(Y.U, axis=0)[:, None] * abs(Y.S) * norm(Y.V, axis=0)[None, :]))
