"""Wrong augmented BUG integrators, with RK4 and with Euler substeps: bases, core and evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any

import numpy as np

from matode._array import Array, mH, namespace
from matode.flows import k_flow, k_rhs, l_flow, l_rhs, s_flow, s_rhs
from matode.integrators import AugmentedBUG
from matode.linalg import complement, qr, truncated_svd
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation, Field, State, Step, Substep
from matode.substeps import euler, rk4
from matode.truncation import Truncation
from tests.mutants.parts import diagonal, from_s, low_rank, moved, projected, rule_or_default
from tests.mutants.registry import mutant, sold_as, twin
from tests.mutants.splitting import WRONG_NODES

Blocks = tuple[Block, ...]


@twin("augmented-bug")
@twin("augmented-bug", substep=euler)
@dataclass(frozen=True)
class Augmented:
    """Augmented BUG from its formulas, one method per ingredient, so that a mutant changes one of them."""

    substep: Substep = rk4
    truncation: Truncation | None = None

    def basis(self, old: Array, new: Array) -> Array:
        """Return ``orth [U0, K]``."""
        xp = namespace(old)
        return xp.concat([old, complement(old, new)], axis=1)

    def widened(self, y: LowRank, K: Array, L: Array) -> LowRank:
        """Return Y0 in the augmented bases."""
        return projected(y, self.basis(y.U, K), self.basis(y.V, L))

    def first_stage(self, F: Sequence[Evaluation], wide: Blocks, Y: Blocks) -> tuple[Array, ...] | None:
        """Return the Galerkin step's first stage from the evaluation at Y0."""
        return s_rhs(F, wide)

    def galerkin(self, field: Field, t: float, h: float, wide: Blocks, first: Any) -> Blocks:
        """Make the S-step in the augmented bases."""
        return moved(wide, s_flow(field, t, h, wide, self.substep, first), from_s)

    def cut(self, y: LowRank) -> tuple[LowRank, float]:
        """Truncate, and return what that discarded."""
        P, s, Q, discarded = truncated_svd(y.S, rule_or_default(self.truncation))
        return LowRank(y.U @ P, diagonal(s, P), y.V @ Q), discarded

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        F = field(t, Y)
        K = k_flow(field, t, h, Y, self.substep, k_rhs(F, Y))
        L = l_flow(field, t, h, Y, self.substep, l_rhs(F, Y))
        wide = State(
            self.widened(y, k, moved) if isinstance(y, LowRank) else y for y, k, moved in zip(Y, K, L, strict=True)
        )
        return self.finished(self.galerkin(field, t, h, wide, self.first_stage(F, wide, Y)))

    def finished(self, wide: Blocks) -> Step:
        """Truncate all blocks."""
        done = [self.cut(y) if isinstance(y, LowRank) else (y, 0.0) for y in wide]
        return Step(State(y for y, _ in done), info={"truncation_error": tuple(discarded for _, discarded in done)})


@mutant("augmented-bug", "norm_kept", "energy_kept", "descent", "norm_truncated")
class NoAugmentation(Augmented):
    """The new bases are those of K and L alone."""

    def basis(self, old: Array, new: Array) -> Array:
        return qr(new)[0]

    def first_stage(self, F: Sequence[Evaluation], wide: Blocks, Y: Blocks) -> tuple[Array, ...] | None:
        return None


@mutant("augmented-bug", "euler_identity", "evaluation_count", "descent", substep=euler)
class NoAugmentationEuler(NoAugmentation):
    """The new bases are those of K and L alone, with Euler substeps."""


@mutant("augmented-bug", "norm_kept", "energy_kept", "transpose", "symmetric", "skew_symmetric")
class OneSideAugmented(Augmented):
    """Only the left basis is augmented, the right one is that of L alone."""

    def widened(self, y: LowRank, K: Array, L: Array) -> LowRank:
        return projected(y, self.basis(y.U, K), qr(L)[0])

    def first_stage(self, F: Sequence[Evaluation], wide: Blocks, Y: Blocks) -> tuple[Array, ...] | None:
        return None


@mutant("augmented-bug", "exact", "tangent_field", "euler_identity", "symmetric", substep=euler)
class GalerkinStartsFromK(Augmented):
    """The Galerkin step starts from the projection of K V0*, which has moved already, instead of that of Y0."""

    def widened(self, y: LowRank, K: Array, L: Array) -> LowRank:
        return projected(LowRank(K, None, y.V), self.basis(y.U, K), self.basis(y.V, L))


@mutant("augmented-bug", "tangent_field", "exact", "gauge_invariance")
class CorePaddedForTheOtherOrder(Augmented):
    """The core is padded as for [U0, U1], but the basis is [U1, U0]."""

    def widened(self, y: LowRank, K: Array, L: Array) -> LowRank:
        U1, V1 = complement(y.U, K), complement(y.V, L)
        core = np.pad(y.S, ((0, U1.shape[1]), (0, V1.shape[1])))
        return LowRank(np.concatenate([U1, y.U], axis=1), core, np.concatenate([V1, y.V], axis=1))


@mutant("augmented-bug", "tangent_field", "exact", "energy_truncated")
class PlainTransposeInM(Augmented):
    """The core of Y0 in the new bases is formed with plain transposes."""

    def widened(self, y: LowRank, K: Array, L: Array) -> LowRank:
        U, V = self.basis(y.U, K), self.basis(y.V, L)
        return LowRank(U, (U.T @ y.U) @ y.S @ (y.V.T @ V), V)


@mutant("augmented-bug", "local_bound", "gauge_invariance", "transpose")
class AugmentedLStartsFromVS(Augmented):
    """The L-step starts from V0 S0 instead of V0 S0*, which turns the right basis."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        F = field(t, Y)
        K = k_flow(field, t, h, Y, self.substep, k_rhs(F, Y))
        L = l_flow(field, t, h, low_rank(Y, lambda y: LowRank(y.U, mH(y.S), y.V)), self.substep)
        wide = State(
            self.widened(y, k, moved) if isinstance(y, LowRank) else y for y, k, moved in zip(Y, K, L, strict=True)
        )
        return self.finished(self.galerkin(field, t, h, wide, s_rhs(F, wide)))


@mutant("augmented-bug", "norm_kept", "energy_kept", "descent")
class CutBeforeTheSStep(Augmented):
    """The augmented bases are cut back to r columns before the S-step."""

    def basis(self, old: Array, new: Array) -> Array:
        P, _, _ = np.linalg.svd(np.concatenate([old, new / max(np.linalg.norm(new), 1e-300)], axis=1))
        return P[:, : old.shape[1]].astype(old.dtype)

    def first_stage(self, F: Sequence[Evaluation], wide: Blocks, Y: Blocks) -> tuple[Array, ...] | None:
        return None


@mutant("augmented-bug", "tangent_field", "exact", "unitary_equivariance")
class PaddedWithUnitVectors(Augmented):
    """The bases are augmented with unit vectors instead of K and L."""

    def basis(self, old: Array, new: Array) -> Array:
        return super().basis(old, np.eye(*new.shape, dtype=new.dtype))


@mutant("augmented-bug", "orthonormal_factors")
class OneProjectionOnly(Augmented):
    """K is projected once and orthonormalised: where little of K is outside of U0, that is not orthogonal to U0."""

    def basis(self, old: Array, new: Array) -> Array:
        Q, _ = qr(new - old @ (mH(old) @ new))
        return np.concatenate([old, Q[:, : old.shape[0] - old.shape[1]]], axis=1)


@mutant("augmented-bug", "exact", "tangent_field")
class SinglePrecisionInnovation(Augmented):
    """The new directions are computed in single precision, then made orthonormal in double."""

    def basis(self, old: Array, new: Array) -> Array:
        single = np.complex64 if np.iscomplexobj(new) else np.float32
        N = (new - old @ (mH(old) @ new)).astype(single).astype(new.dtype)
        return super().basis(old, N)


@mutant("augmented-bug", "extreme_shapes")
class WidthNotClipped(Augmented):
    """The augmented basis keeps 2 r columns also where the matrix has fewer rows."""

    def basis(self, old: Array, new: Array) -> Array:
        Q = super().basis(old, new)
        missing = 2 * old.shape[1] - Q.shape[1]
        return np.concatenate([Q, np.zeros((Q.shape[0], max(missing, 0)), Q.dtype)], axis=1)

    def cut(self, y: LowRank) -> tuple[LowRank, float]:
        if min(y.S.shape) > min(y.shape):
            return y, 0.0
        return super().cut(y)


@mutant("augmented-bug", "extreme_shapes")
class BothWidthsClippedAlike(Augmented):
    """Both bases are clipped to the smaller side of the matrix, where each has its own number of rows."""

    def widened(self, y: LowRank, K: Array, L: Array) -> LowRank:
        k = min(y.shape)
        return projected(y, self.basis(y.U, K)[:, :k], self.basis(y.V, L)[:, :k])

    def first_stage(self, F: Sequence[Evaluation], wide: Blocks, Y: Blocks) -> tuple[Array, ...] | None:
        return None


@mutant("augmented-bug", "exact")
class SmallInnovationsDropped(Augmented):
    """Directions of K outside of U0 that are below 1e-8 of K are taken for rounding and dropped."""

    def basis(self, old: Array, new: Array) -> Array:
        P, s, _ = np.linalg.svd(new - old @ (mH(old) @ new), full_matrices=False)
        return super().basis(old, P[:, s > 1e-8 * np.linalg.norm(new)])


@mutant("augmented-bug", "rank_growth")
class ThreeTimesTheRank(Augmented):
    """F V0 and F* U0 join K and L in the bases, which then have 3 r columns."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        F = field(t, Y)
        K = k_flow(field, t, h, Y, self.substep, k_rhs(F, Y))
        L = l_flow(field, t, h, Y, self.substep, l_rhs(F, Y))
        K = tuple(np.concatenate([k, z], axis=1) for k, z in zip(K, k_rhs(F, Y), strict=True))
        L = tuple(np.concatenate([k, z], axis=1) for k, z in zip(L, l_rhs(F, Y), strict=True))
        wide = State(
            self.widened(y, k, moved) if isinstance(y, LowRank) else y for y, k, moved in zip(Y, K, L, strict=True)
        )
        return self.finished(self.galerkin(field, t, h, wide, None))


@mutant("augmented-bug", "tangent_field", "exact", "coupled_blocks")
class GalerkinTimeFrozen(Augmented):
    """All stages of the Galerkin step evaluate F at the start of the step."""

    def galerkin(self, field: Field, t: float, h: float, wide: Blocks, first: Any) -> Blocks:
        return super().galerkin(lambda s, Z: field(t, Z), t, h, wide, first)


@mutant("augmented-bug", "tangent_field", "exact", "euler_identity", "local_bound", substep=euler)
class SignOfTheGalerkinStep(Augmented):
    """The Galerkin step runs against the field, as in projector splitting."""

    def galerkin(self, field: Field, t: float, h: float, wide: Blocks, first: Any) -> Blocks:
        return moved(wide, s_flow(field, t, h, wide, self.substep, sign=-1.0), from_s)


@mutant("augmented-bug", "evaluation_count", substep=euler)
class EvaluatesTwice(Augmented):
    """The Galerkin step evaluates F again at Y0, where K- and L-step have done so."""

    def first_stage(self, F: Sequence[Evaluation], wide: Blocks, Y: Blocks) -> tuple[Array, ...] | None:
        return None


@mutant("augmented-bug", "euler_identity", "descent", "transpose", substep=euler)
class GalerkinAtK(Augmented):
    """The Galerkin step takes F at K V0*, where the K-step ended, instead of at Y0."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        K = k_flow(field, t, h, Y, self.substep)
        ended = State(LowRank(k, None, y.V) if isinstance(y, LowRank) else y for y, k in zip(Y, K, strict=True))
        return super().step(lambda s, Z: field(s, Z) if Z is Y else field(s, ended), t, h, State(Y))


@mutant("augmented-bug", "restartable", substep=euler)
class FirstStageOfTheStepBefore(Augmented):
    """The evaluation kept in memory is that of the start of the step before, not of where it ended."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        F = field(t, Y)
        done = super().step(lambda s, Z: F if memory is None else memory, t, h, Y)
        return Step(done.Y, info=done.info, memory=F)


@mutant("augmented-bug", "uncoupled_blocks", "coupled_blocks")
class DenseBlocksLeftBehind(Augmented):
    """Dense blocks are returned as they came."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        done = super().step(field, t, h, Y)
        return Step(State(z if isinstance(y, LowRank) else y for y, z in zip(Y, done.Y, strict=True)), info=done.info)


@mutant("augmented-bug", "inputs_untouched", raises=True)
class WritesIntoTheCore(Augmented):
    """The core of the start is updated in place."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        done = super().step(field, t, h, Y)
        for y, z in zip(Y, done.Y, strict=True):
            if isinstance(y, LowRank):
                S = y.S
                S += z.S[: S.shape[0], : S.shape[1]] - S
        return done


@mutant("augmented-bug", "type_kept")
class DoublePrecisionCore(Augmented):
    """The new core is made of the host's singular values, in double precision whatever came in."""

    def cut(self, y: LowRank) -> tuple[LowRank, float]:
        z, discarded = super().cut(y)
        return LowRank(z.U, z.S.astype(np.float64 if not np.iscomplexobj(z.S) else np.complex128), z.V), discarded


@mutant("augmented-bug", "zero_field", "tangent_field", "exact")
class SinglePrecisionCore(Augmented):
    """The core is kept in single precision to save memory."""

    def cut(self, y: LowRank) -> tuple[LowRank, float]:
        z, discarded = super().cut(y)
        return LowRank(z.U, z.S.astype(np.float32 if not np.iscomplexobj(z.S) else np.complex64), z.V), discarded


@mutant("augmented-bug", "repeatable")
@dataclass(frozen=True)
class FirstStepByEuler(Augmented):
    """The object remembers that it has made its first step, which it makes by Euler, instead of asking ``memory``."""

    started: list[bool] = attribute(default_factory=list, compare=False)

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        substep = self.substep if self.started else euler
        self.started.append(True)
        return Augmented(substep, self.truncation).step(field, t, h, Y)


@mutant("augmented-bug", "repeatable", "restartable")
@dataclass(frozen=True)
class TurnByTurn(Augmented):
    """Every second step is made by Euler: a counter in the object, not ``memory``, says whose turn it is."""

    turns: list[int] = attribute(default_factory=list, compare=False)

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        self.turns.append(0)
        substep = self.substep if len(self.turns) % 2 else euler
        return Augmented(substep, self.truncation).step(field, t, h, Y)


sold_as("augmented-bug", "tangent_field", "exact")(
    "AugmentedFirstNodeDropped",
    AugmentedBUG(WRONG_NODES),
    "The node c_2 of RK4 is 0, the shared first stage apart.",
)
