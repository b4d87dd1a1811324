"""Step truncation: Euler's step with the whole field, cut afterwards.

Source: A. Rodgers, A. Dektor and D. Venturi, Adaptive integration of nonlinear evolution equations on tensor manifolds,
J. Sci. Comput. 92 (2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from matode._array import Array, as_dtype, eye_like, finite, is_array, mH
from matode.evaluations import DenseEvaluation, Operator, Sum
from matode.flows import nonfinite_field
from matode.integrators.truncating import truncated
from matode.linalg import qr
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation, Field, State, Step
from matode.truncation import Truncation

__all__ = ["StepTruncation"]


@dataclass(frozen=True)
class StepTruncation:
    """Step truncation: Euler's step ``Y0 + h F(Y0)``, not projected, then truncated.

    It needs F as low-rank factors, whose rank r_F makes the cost ``O((m + n) (r + r_F)^2)``; where F is a dense array
    anyway, the step is dense. A field that is known by its products only has neither.

    Parameters
    ----------
    truncation : Truncation or None
        What to keep after the step; None is ``Relative(1e-10)``.
    """

    truncation: Truncation | None = None
    order: ClassVar[float] = 1.0

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h.

        Raises
        ------
        TypeError
            If F of a low-rank block has neither low-rank factors nor the entries of a dense array.
        NonFiniteError
            If F gives NaN or inf.
        """
        moved = [_moved(f, t, h, y, i) for i, (f, y) in enumerate(zip(field(t, Y), Y, strict=True))]
        blocks, info = truncated(State(moved), self.truncation)
        return Step(blocks, info=info)


def _moved(f: Evaluation, t: float, h: float, y: Block, i: int) -> Block:
    """Return ``y + h F``, a low-rank block with orthonormal bases."""
    if not isinstance(y, LowRank):
        moved = y + h * as_dtype(f.full(), y.dtype)
        core = moved
    else:
        low = f.factors() if hasattr(f, "factors") else None
        if low is not None:
            moved = (y + h * low.astype(y.dtype)).orthonormal()
        elif _has_entries(f):
            moved = _orthonormal(y.to_dense() + h * as_dtype(f.full(), y.dtype))
        else:
            raise TypeError(
                f"step truncation needs F(t, Y) of block {i} as low-rank factors or as a dense array, but it is known "
                "by its products only: return a LowRank from F, or choose a projecting method such as 'prk1'"
            )
        core = moved.S
    if not finite(core):
        raise nonfinite_field(t, i, y)
    return moved


def _has_entries(f: Evaluation) -> bool:
    """Whether a dense m x n array is among the terms of F, so that forming F costs no more than it did."""
    if isinstance(f, Sum):
        return any(_has_entries(term) for term in f.terms)
    return isinstance(f, DenseEvaluation) or (isinstance(f, Operator) and is_array(f.A))


def _orthonormal(A: Array) -> LowRank:
    """Return a dense matrix in orthonormal bases: QR of its longer side."""
    if A.shape[0] < A.shape[1]:
        V, R = qr(mH(A))
        return LowRank(eye_like(A.shape[0], A), mH(R), V)
    U, R = qr(A)
    return LowRank(U, R, eye_like(A.shape[1], A))
