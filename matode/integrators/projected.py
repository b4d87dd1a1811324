"""Explicit Runge-Kutta methods on low-rank matrices: projected on the tangent space, or in growing bases (RK-BUG).

Sources: E. Kieri and B. Vandereycken, Projection methods for dynamical low-rank approximation of high-dimensional
problems, Comput. Methods Appl. Math. 19 (2019); F. Nobile and S. Riffaud, High-order BUG dynamical low-rank integrators
based on explicit Runge-Kutta methods, arXiv:2502.07040 (2025).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matode.integrators.stages import GalerkinStages, TangentStages, combined, error_estimate, gather
from matode.integrators.truncating import to_ranks, truncated
from matode.protocols import Block, Field, Step
from matode.substeps import RungeKutta, heun
from matode.truncation import Truncation

__all__ = ["ProjectedRungeKutta", "RungeKuttaBUG"]


@dataclass(frozen=True)
class _RungeKuttaMethod:
    """A method made of a tableau: its orders are those of the tableau."""

    tableau: RungeKutta = heun

    def __post_init__(self) -> None:
        tableau: Any = self.tableau
        if not isinstance(tableau, RungeKutta):
            given = type(tableau).__name__
            raise TypeError(f"the tableau must be a RungeKutta, for example matode.heun, got {given}")

    @property
    def order(self) -> float:
        """Order of the tableau."""
        return float(self.tableau.order)

    @property
    def error_order(self) -> float:
        """Order p of the embedded solution, whose error in a step is O(h^(p + 1)); 0 where there is none."""
        return float(self.tableau.embedded_order)


@dataclass(frozen=True)
class ProjectedRungeKutta(_RungeKuttaMethod):
    """Projected Runge-Kutta method (PRK): every stage is projected on the tangent space, every sum cut to the rank.

    With Euler's tableau it is projected Euler, the Riemannian gradient step. The rank stays fixed; the order of the
    tableau is seen until the normal component of F limits the error, independently of small singular values. A step
    costs one evaluation, one F V and one F* U per stage.

    Parameters
    ----------
    tableau : RungeKutta
        Of any order. Where it has embedded weights, ``Step.error`` is the distance of the embedded solution before
        truncation, of order ``error_order``.
    """

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h."""
        blocks = gather(field, t, h, Y, self.tableau, TangentStages)
        moved = to_ranks(combined(blocks, h, self.tableau.b), Y)
        return Step(moved, error=error_estimate(blocks, h, self.tableau))


@dataclass(frozen=True)
class RungeKuttaBUG(_RungeKuttaMethod):
    """Runge-Kutta BUG method (RK-BUG): every stage is a Galerkin step in bases that know all stages before it.

    Stage values keep the rank; the result has up to s + 1 times the rank for s stages and is then truncated. With
    Euler's tableau it is augmented BUG with Euler substeps.

    Parameters
    ----------
    tableau : RungeKutta
        Of any order. Where it has embedded weights, ``Step.error`` is the distance of the embedded solution before
        truncation, of order ``error_order``.
    truncation : Truncation or None
        What to keep after the step; None is ``Relative(1e-10)``.
    """

    truncation: Truncation | None = None

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h."""
        blocks = gather(field, t, h, Y, self.tableau, GalerkinStages)
        moved, info = truncated(combined(blocks, h, self.tableau.b), self.truncation)
        return Step(moved, error=error_estimate(blocks, h, self.tableau), info=info)
