"""Midpoint BUG: the correct method, and mistakes in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matode._array import Array, namespace
from matode.flows import k_flow, k_rhs, l_flow, l_rhs, s_flow
from matode.linalg import complement, truncated_svd
from matode.lowrank import LowRank
from matode.protocols import Block, Field, State, Step, Substep
from matode.substeps import rk4
from matode.truncation import Rank, Truncation
from tests.mutants.parts import diagonal, from_s, low_rank, moved, projected, rule_or_default
from tests.mutants.registry import mutant, twin

Blocks = tuple[Block, ...]


@twin("midpoint-bug")
@dataclass(frozen=True)
class MidpointBUG:
    """Midpoint BUG: untruncated augmented BUG to t + h/2, bases augmented with F there, one Galerkin step over h.

    Source: G. Ceruti, L. Einkemmer, J. Kusch and Ch. Lubich, A robust second-order low-rank BUG integrator based on the
    midpoint rule, BIT 64 (2024).
    """

    substep: Substep = rk4
    truncation: Truncation | None = None

    def half(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        K = k_flow(field, t, h / 2, Y, self.substep)
        L = l_flow(field, t, h / 2, Y, self.substep)
        wide = State(
            projected(y, _joined(y.U, k), _joined(y.V, z)) if isinstance(y, LowRank) else y
            for y, k, z in zip(Y, K, L, strict=True)
        )
        return moved(wide, s_flow(field, t, h / 2, wide, self.substep), from_s)

    def middle(self, field: Field, t: float, h: float, Y: Blocks, Z: Blocks) -> Any:
        """Return F at the middle of the step."""
        return field(t + h / 2, Z)

    def bases(self, y: LowRank, z: LowRank, FV: Array, FU: Array) -> LowRank:
        return projected(y, _joined(z.U, FV), _joined(z.V, FU))

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        Z = self.half(field, t, h, Y)
        F = self.middle(field, t, h, Y, Z)
        wide = State(
            self.bases(y, z, fv, fu) if isinstance(y, LowRank) else y
            for y, z, fv, fu in zip(Y, Z, k_rhs(F, Z), l_rhs(F, Z), strict=True)
        )
        wide = moved(wide, s_flow(field, t, h, wide, self.substep), from_s)
        done = [self._cut(y) if isinstance(y, LowRank) else (y, 0.0) for y in wide]
        return Step(State(y for y, _ in done), info={"truncation_error": tuple(tail for _, tail in done)})

    def _cut(self, y: LowRank) -> tuple[LowRank, float]:
        P, s, Q, discarded = truncated_svd(y.S, rule_or_default(self.truncation))
        return LowRank(y.U @ P, diagonal(s, P), y.V @ Q), discarded


def _joined(old: Array, new: Array) -> Array:
    xp = namespace(old)
    return xp.concat([old, complement(old, new)], axis=1)


@mutant("midpoint-bug", "tangent_field")
class MiddleNotUsed(MidpointBUG):
    """The bases of the half step are not augmented with F at the middle."""

    def bases(self, y: LowRank, z: LowRank, FV: Array, FU: Array) -> LowRank:
        return projected(y, z.U, z.V)


@mutant("midpoint-bug", "order")
class MiddleAtTheStart(MidpointBUG):
    """The bases are augmented with F at t and Y0 instead of at the middle."""

    def middle(self, field: Field, t: float, h: float, Y: Blocks, Z: Blocks) -> Any:
        return field(t, Y)


@mutant("midpoint-bug", "tangent_field")
class HalfStepCutToTheRank(MidpointBUG):
    """The half step is truncated to rank r before its bases are augmented, so that they do not contain the old ones."""

    def half(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        Z = super().half(field, t, h, Y)
        ranks = {id(z): y.S.shape[0] for y, z in zip(Y, Z, strict=True) if isinstance(y, LowRank)}

        def cut(z: LowRank) -> LowRank:
            P, s, Q, _ = truncated_svd(z.S, Rank(ranks[id(z)]))
            return LowRank(z.U @ P, diagonal(s, P), z.V @ Q)

        return low_rank(Z, cut)


@mutant("midpoint-bug", "tangent_field", "accumulated_bound", "local_bound")
class GalerkinFromTheMiddle(MidpointBUG):
    """The Galerkin step over h starts from the half step's result instead of Y0."""

    def bases(self, y: LowRank, z: LowRank, FV: Array, FU: Array) -> LowRank:
        return super().bases(z, z, FV, FU)


@mutant("midpoint-bug", "transpose", "symmetric", "skew_symmetric")
class RightBasisNotAugmentedAgain(MidpointBUG):
    """F at the middle augments the left basis only."""

    def bases(self, y: LowRank, z: LowRank, FV: Array, FU: Array) -> LowRank:
        return projected(y, _joined(z.U, FV), z.V)
