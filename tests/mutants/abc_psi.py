"""The augmented backward-corrected projector splitting (abc-PSI): the correct method, and mistakes in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from matode._array import Array, mH, namespace
from matode.flows import k_flow, k_rhs, l_flow, l_rhs, s_flow
from matode.linalg import complement, qr, truncated_svd
from matode.lowrank import LowRank
from matode.protocols import Block, Field, State, Step, Substep
from matode.substeps import euler, rk4
from matode.truncation import Truncation
from tests.mutants.parts import diagonal, from_s, moved, rule_or_default
from tests.mutants.registry import mutant, twin

Blocks = tuple[Block, ...]


@twin("abc-psi")
@twin("abc-psi", substep=euler)
@dataclass(frozen=True)
class AbcPSI:
    """abc-PSI: K-step, augmented left basis, projection of Y0 in place of the backward S-step, wide L-step, truncation.

    Source: J. Kusch, S. Schotthöfer and A. Walter, An augmented backward-corrected projector splitting integrator for
    dynamical low-rank training (2025).
    """

    substep: Substep = rk4
    truncation: Truncation | None = None

    def basis(self, old: Array, K: Array) -> Array:
        xp = namespace(K)
        return xp.concat([old, complement(old, K)], axis=1)

    def corrected(self, y: LowRank, K: Array) -> LowRank:
        """Return Y0 in the new left basis: core U^* U0 S0, right basis V0."""
        U = self.basis(y.U, K)
        return LowRank(U, mH(U) @ y.U @ y.S, y.V)

    def l_step(self, field: Field, t: float, h: float, Y: Blocks, first: tuple[Array, ...]) -> tuple[Array, ...]:
        return l_flow(field, t, h, Y, self.substep, first)

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        F = field(t, Y)
        K = k_flow(field, t, h, Y, self.substep, k_rhs(F, Y))
        start = State(self.corrected(y, k) if isinstance(y, LowRank) else y for y, k in zip(Y, K, strict=True))
        L = self.l_step(field, t, h, start, l_rhs(F, start))
        done = [self._cut(y, z) if isinstance(y, LowRank) else (z, 0.0) for y, z in zip(start, L, strict=True)]
        return Step(State(y for y, _ in done), info={"truncation_error": tuple(tail for _, tail in done)})

    def _cut(self, y: LowRank, L: Array) -> tuple[LowRank, float]:
        V, R = qr(L)
        P, s, Q, discarded = truncated_svd(mH(R), rule_or_default(self.truncation))
        return LowRank(y.U @ P, diagonal(s, P), V @ Q), discarded


@mutant("abc-psi", "norm_kept", "energy_kept", "descent")
class CorrectedButNotAugmented(AbcPSI):
    """The left basis is that of K alone."""

    def basis(self, old: Array, K: Array) -> Array:
        return qr(K)[0]

    def l_step(self, field: Field, t: float, h: float, Y: Blocks, first: tuple[Array, ...]) -> tuple[Array, ...]:
        return l_flow(field, t, h, Y, self.substep)


@mutant("abc-psi", "zero_field", "exact", "gauge_invariance", "tangent_field")
class ElementwiseCore(AbcPSI):
    """The change of basis is multiplied with S entry by entry (one public class has ``tmp * S``)."""

    def corrected(self, y: LowRank, K: Array) -> LowRank:
        U = self.basis(y.U, K)
        change = mH(U) @ y.U
        return LowRank(U, change * np.vstack([y.S, y.S])[: change.shape[0]], y.V)


@mutant("abc-psi", "exact", "tangent_field", "euler_identity", substep=euler)
class CorrectionLeftOut(AbcPSI):
    """The L-step starts from the K-step's end, without the correction: the field's part in V0 is counted twice."""

    def corrected(self, y: LowRank, K: Array) -> LowRank:
        U = self.basis(y.U, K)
        return LowRank(U, mH(U) @ K, y.V)


@mutant("abc-psi", "exact", "tangent_field", "euler_identity", substep=euler)
class BackwardStepKept(AbcPSI):
    """A backward S-step is made although the projection has replaced it."""

    def l_step(self, field: Field, t: float, h: float, Y: Blocks, first: tuple[Array, ...]) -> tuple[Array, ...]:
        S = s_flow(field, t, h, Y, self.substep, sign=-1.0)
        back = State(y if not isinstance(y, LowRank) else z for y, z in zip(Y, moved(Y, S, from_s), strict=True))
        return l_flow(field, t, h, back, self.substep)


@mutant("abc-psi", "euler_identity", "descent", substep=euler)
class LStepAtK(AbcPSI):
    """The L-step evaluates F where the K-step ended instead of at Y0."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        K = k_flow(field, t, h, Y, self.substep)
        ended = State(LowRank(k, None, y.V) if isinstance(y, LowRank) else y for y, k in zip(Y, K, strict=True))
        start = State(self.corrected(y, k) if isinstance(y, LowRank) else y for y, k in zip(Y, K, strict=True))
        L = l_flow(field, t, h, start, self.substep, l_rhs(field(t, ended), start))
        done = [self._cut(y, z) if isinstance(y, LowRank) else (z, 0.0) for y, z in zip(start, L, strict=True)]
        return Step(State(y for y, _ in done), info={"truncation_error": tuple(tail for _, tail in done)})
