"""Augmented backward-corrected projector splitting (abc-PSI): the backward S-step becomes a projection.

Source: J. Kusch, S. Schotthoefer and A. Walter, An augmented backward-corrected projector splitting integrator for
dynamical low-rank training, arXiv:2502.03006 (2025).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from matode._array import Array, as_dtype
from matode.flows import from_l, k_flow, k_rhs, l_flow
from matode.integrators.augmenting import Augmented
from matode.integrators.truncating import truncated
from matode.linalg import complement
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation, Field, State, Step, Substep
from matode.substeps import rk4
from matode.truncation import Truncation

__all__ = ["ABCPSI"]


@dataclass(frozen=True)
class ABCPSI:
    """Rank-adaptive projector splitting: K-step, projection on the augmented left basis, L-step of width 2r.

    Exact for given A(t) of the rank; norm, energy and descent are kept up to the truncation; not symmetric in rows and
    columns. With Euler substeps a step costs one evaluation and is ``Y0 + h U^ U^* F(Y0)``.

    Parameters
    ----------
    substep : Substep
        Solver of the two small ODEs. Their first stage is shared.
    truncation : Truncation or None
        What to keep after the step; None is ``Relative(1e-10)``.
    """

    substep: Substep = rk4
    truncation: Truncation | None = None
    order: ClassVar[float] = 1.0

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h."""
        F = field(t, Y)
        FV = k_rhs(F, Y)
        K = k_flow(field, t, h, Y, self.substep, FV)
        wide = State(_left_augmented(y, k) for y, k in zip(Y, K, strict=True))
        first = tuple(_first(f, y, fv) for f, y, fv in zip(F, wide, FV, strict=True))
        L = l_flow(field, t, h, wide, self.substep, first)
        Y, info = truncated(from_l(wide, L), self.truncation)
        return Step(Y, info=info)


def _left_augmented(y: Block, K: Array) -> Block:
    """Return the block itself in the left basis [U, U1]."""
    if not isinstance(y, LowRank):
        return y
    return Augmented(complement(y.U, K), y.V[:, :0]).value(y)


def _first(f: Evaluation, y: Block, dense: Array) -> Array:
    return as_dtype(f.left(y.U), dense.dtype) if isinstance(y, LowRank) else dense
