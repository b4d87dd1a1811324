"""Midpoint BUG: second order by a Galerkin step in bases that know F at the middle of the step.

Source: G. Ceruti, L. Einkemmer, J. Kusch and Ch. Lubich, A robust second-order low-rank BUG integrator based on the
midpoint rule, BIT 64 (2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from matode.flows import k_rhs, l_rhs, s_flow, with_cores
from matode.integrators.augmenting import Augmented, augmented
from matode.integrators.bug import AugmentedBUG
from matode.integrators.truncating import to_ranks, truncated
from matode.lowrank import LowRank
from matode.protocols import Block, Field, State, Step, Substep
from matode.substeps import rk4
from matode.truncation import Truncation

__all__ = ["MidpointBUG"]


@dataclass(frozen=True)
class MidpointBUG:
    """Second-order rank-adaptive BUG integrator, by the midpoint rule; bases of width 4r or 3r inside the step.

    An untruncated augmented BUG step over h/2 gives the middle, of rank 2r; its bases, augmented once more with F
    there, carry one Galerkin step over h from Y0. Norm, energy and descent are kept up to the truncation.

    Parameters
    ----------
    substep : Substep
        Solver of the small ODEs.
    truncation : Truncation or None
        What to keep after the step; None is ``Relative(1e-10)``.
    width : int
        4: F at the middle, which has rank 2r, adds up to 2r columns to the bases. 3: F at the middle cut back to rank r
        adds r. The Galerkin step is then narrower, and the normal component at rank r enters the error.
    """

    substep: Substep = rk4
    truncation: Truncation | None = None
    width: int = 4
    order: ClassVar[float] = 2.0

    def __post_init__(self) -> None:
        if self.width not in (3, 4):
            raise ValueError(f"the bases inside a midpoint step are 3 or 4 times the rank, got width={self.width!r}")

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h."""
        middle = AugmentedBUG(self.substep).untruncated(field, t, h / 2, Y)
        seen = middle if self.width == 4 else to_ranks(middle, Y)
        F = field(t + h / 2, seen)
        bases = (augmented(z, k, moved) for z, k, moved in zip(middle, k_rhs(F, seen), l_rhs(F, seen), strict=True))
        wide = State(y if basis is None else _start(y, z, basis) for y, z, basis in zip(Y, middle, bases, strict=True))
        S = s_flow(field, t, h, wide, self.substep)
        Y, info = truncated(with_cores(wide, S), self.truncation)
        return Step(Y, info=info)


def _start(y: LowRank, middle: LowRank, basis: Augmented) -> LowRank:
    """Return the start in the wide bases, whose first columns are the start's own."""
    old = Augmented(middle.U[:, y.U.shape[1] :], middle.V[:, y.V.shape[1] :])
    return basis.value(old.value(y))
