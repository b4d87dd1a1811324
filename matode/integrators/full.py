"""The full-rank baseline: no low-rank approximation at all, behind the same protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from matode._array import eye_like
from matode.flows import full_flow
from matode.integrators.truncating import truncated
from matode.lowrank import LowRank
from matode.protocols import Block, Field, State, Step, Substep
from matode.substeps import rk4
from matode.truncation import Truncation

__all__ = ["FullRank"]


@dataclass(frozen=True)
class FullRank:
    """Full-rank baseline: every block moves as the dense array that it is, by one substep; costs m x n.

    With Euler substeps and a state of dense blocks this is gradient descent, the baseline of low-rank training.

    Parameters
    ----------
    substep : Substep
        Solver of the m x n ODE.
    truncation : Truncation or None
        How a low-rank block is factorised again after the step; None is ``Relative(1e-10)``.
    """

    substep: Substep = rk4
    truncation: Truncation | None = None
    order: ClassVar[float] = 4.0

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h."""
        moved = full_flow(field, t, h, Y, self.substep)
        blocks = (
            LowRank(eye_like(z.shape[0], z), z, eye_like(z.shape[1], z)) if isinstance(y, LowRank) else z
            for y, z in zip(Y, moved, strict=True)
        )
        Y, info = truncated(State(blocks), self.truncation)
        return Step(Y, info=info)
