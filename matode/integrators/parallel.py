"""Parallel BUG integrators: K-, L- and S-step from the same start, side by side; first and second order.

Sources: G. Ceruti, J. Kusch and Ch. Lubich, A parallel rank-adaptive integrator for dynamical low-rank approximation,
SIAM J. Sci. Comput. 46 (2024); J. Kusch, Second-order robust parallel integrators for dynamical low-rank approximation,
arXiv:2403.02834 (2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matode._array import Array, mH, zeros_like_shape
from matode.flows import k_flow, k_rhs, l_flow, l_rhs, s_flow
from matode.integrators.augmenting import augmented
from matode.integrators.truncating import truncated
from matode.lowrank import LowRank
from matode.protocols import Block, Field, State, Step, Substep
from matode.substeps import rk4
from matode.truncation import Truncation

__all__ = ["ParallelBUG", "ParallelBUG2"]


@dataclass(frozen=True)
class ParallelBUG:
    """Rank-adaptive parallel BUG integrator: three independent substeps, put together to ``[[S, L* V1], [U1* K, 0]]``.

    Cheaper than augmented BUG, since no substep is wider than the rank. It is not exact for given A(t), and keeps
    neither norm nor positive semidefiniteness. With Euler substeps a step is ``Y0 + h P_T F(Y0)``, the Riemannian
    gradient step.

    Parameters
    ----------
    substep : Substep
        Solver of the three small ODEs. Their first stage is shared.
    truncation : Truncation or None
        What to keep after the step; None is ``Relative(1e-10)``.
    """

    substep: Substep = rk4
    truncation: Truncation | None = None

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h."""
        F = field(t, Y)
        FV, FU = k_rhs(F, Y), l_rhs(F, Y)
        K = k_flow(field, t, h, Y, self.substep, FV)
        L = l_flow(field, t, h, Y, self.substep, FU)
        first = tuple(mH(y.U) @ fv if isinstance(y, LowRank) else fv for y, fv in zip(Y, FV, strict=True))
        S = s_flow(field, t, h, Y, self.substep, first)
        wide = State(_assembled(y, k, moved, s) for y, k, moved, s in zip(Y, K, L, S, strict=True))
        Y, info = truncated(wide, self.truncation)
        return Step(Y, info=info)


@dataclass(frozen=True)
class ParallelBUG2:
    """Second-order parallel BUG integrator: the bases are augmented with F V0 and F* U0 before the three substeps.

    Parameters
    ----------
    substep : Substep
        Solver of the small ODEs, of width 2r.
    truncation : Truncation or None
        What to keep after the step; None is ``Relative(1e-10)``.
    """

    substep: Substep = rk4
    truncation: Truncation | None = None

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h."""
        F = field(t, Y)
        bases = (augmented(y, k, z) for y, k, z in zip(Y, k_rhs(F, Y), l_rhs(F, Y), strict=True))
        wide = State(y if basis is None else basis.value(y) for y, basis in zip(Y, bases, strict=True))
        return ParallelBUG(self.substep, self.truncation).step(field, t, h, wide)


def _assembled(y: Block, K: Array, L: Array, S: Array) -> Block:
    """Return the block that the three substeps give together; a dense block moves in the S-step."""
    basis = augmented(y, K, L)
    if basis is None:
        return S
    corner = zeros_like_shape((basis.U1.shape[1], basis.V1.shape[1]), S)
    return basis.assembled(y, S, mH(L) @ basis.V1, mH(basis.U1) @ K, corner)
