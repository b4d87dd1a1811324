"""Parallel BUG integrators: K-, L- and S-step from the same start, side by side; first and second order.

Sources: G. Ceruti, J. Kusch and Ch. Lubich, A parallel rank-adaptive integrator for dynamical low-rank approximation,
SIAM J. Sci. Comput. 46 (2024); J. Kusch, Second-order robust parallel integrators for dynamical low-rank approximation,
arXiv:2403.02834 (2024).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from matode._array import Array, host, mH, namespace, zeros_like_shape
from matode.flows import k_flow, k_rhs, l_flow, l_rhs, reusing, s_flow
from matode.integrators.augmenting import Augmented, augmented
from matode.integrators.truncating import rules_of, truncated
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation, Field, State, Step, Substep
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
    retries : int
        How often a step may be rejected and made again from bases twice as wide, which then know F at the start. None
        by default: a step then costs one action of F less and is the one that the error bounds are about, and with a
        tolerance near rounding every step would be rejected.
    factor : float
        A block is rejected where all of its 2r singular values are kept, or where what the zero block of its core
        leaves out, ``h ||U1* F(Y0) V1||``, is more than this factor times the truncation tolerance.
    """

    substep: Substep = rk4
    truncation: Truncation | None = None
    retries: int = 0
    factor: float = 10.0
    order: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        if not hasattr(self.retries, "__index__") or self.retries < 0:
            raise ValueError(f"retries must be a whole number >= 0, got {self.retries!r}")
        if not self.factor > 0:
            raise ValueError(f"factor must be a positive number, got {self.factor!r}")

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h; ``info["rejections"]`` says how often the step was made again."""
        start = Y = reusing(Y, field)
        F = field(t, Y)
        for rejections in range(self.retries + 1):
            wide, bases = self._untruncated(field, F, t, h, start)
            moved, info = truncated(wide, self.truncation)
            if rejections < self.retries:
                cuts = zip(moved, info["truncation_error"], rules_of(Y, self.truncation), strict=True)
                wider = State(
                    basis.value(y) if basis is not None and self._rejects(f, h, y, basis, *cut) else y
                    for f, y, basis, cut in zip(F, start, bases, cuts, strict=True)
                )
                if all(y is z for y, z in zip(wider, start, strict=True)):
                    break
                start = wider
        return Step(moved, info={**info, "rejections": rejections})

    def _untruncated(
        self, field: Field, F: Sequence[Evaluation], t: float, h: float, Y: State
    ) -> tuple[State, list[Augmented | None]]:
        """Return the state at t + h before the truncation, and what was added to the bases."""
        FV, FU = k_rhs(F, Y), l_rhs(F, Y)
        K = k_flow(field, t, h, Y, self.substep, FV)
        L = l_flow(field, t, h, Y, self.substep, FU)
        first = tuple(mH(y.U) @ fv if isinstance(y, LowRank) else fv for y, fv in zip(Y, FV, strict=True))
        S = s_flow(field, t, h, Y, self.substep, first)
        bases = [augmented(y, k, moved) for y, k, moved in zip(Y, K, L, strict=True)]
        wide = State(_assembled(y, basis, *moved) for y, basis, *moved in zip(Y, bases, K, L, S, strict=True))
        return wide, bases

    def _rejects(
        self,
        f: Evaluation,
        h: float,
        start: LowRank,
        basis: Augmented,
        moved: LowRank,
        discarded: float,
        rule: Truncation,
    ) -> bool:
        """Whether the bases of a block were too narrow for its step."""
        if 0 in (basis.U1.shape[1], basis.V1.shape[1]):  # nothing to widen by
            return False
        if moved.rank >= 2 * start.rank:
            return True
        xp = namespace(moved.S)
        norm = host.asarray([math.hypot(float(xp.linalg.matrix_norm(moved.S)), discarded)])
        missed = abs(h) * float(xp.linalg.matrix_norm(f.galerkin(basis.U1, basis.V1)))
        return missed > self.factor * rule.tolerance(norm)


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
    order: ClassVar[float] = 2.0

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h."""
        Y = reusing(Y, field)
        F = field(t, Y)
        bases = (augmented(y, k, z) for y, k, z in zip(Y, k_rhs(F, Y), l_rhs(F, Y), strict=True))
        wide = State(y if basis is None else basis.value(y) for y, basis in zip(Y, bases, strict=True))
        return ParallelBUG(self.substep, self.truncation).step(field, t, h, wide)


def _assembled(y: Block, basis: Augmented | None, K: Array, L: Array, S: Array) -> Block:
    """Return the block that the three substeps give together; a dense block moves in the S-step."""
    if basis is None:
        return S
    corner = zeros_like_shape((basis.U1.shape[1], basis.V1.shape[1]), S)
    return basis.assembled(y, S, mH(L) @ basis.V1, mH(basis.U1) @ K, corner)
