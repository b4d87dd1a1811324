"""Runge-Kutta methods on low-rank matrices, projected and BUG: mistakes in tableaux, projections and bases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from matode._array import Array, as_dtype, mH, namespace
from matode.integrators import ProjectedRungeKutta, RungeKuttaBUG
from matode.integrators.stages import GalerkinStages, TangentStages, combined, gather
from matode.integrators.truncating import to_ranks, truncated
from matode.linalg import complement
from matode.protocols import Block, Evaluation, Field, Step
from matode.substeps import RungeKutta, euler, heun, heun3
from tests.mutants.registry import mutant

Blocks = tuple[Block, ...]


def _projected(kind: type[TangentStages | GalerkinStages], tableau: RungeKutta) -> Callable[..., Step]:
    def step(self: Any, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        return Step(to_ranks(combined(gather(field, t, h, Y, tableau, kind), h, tableau.b), Y))

    return step


def _galerkin(kind: type[GalerkinStages], tableau: RungeKutta) -> Callable[..., Step]:
    def step(self: Any, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        blocks = gather(field, t, h, Y, tableau, kind)
        moved, info = truncated(combined(blocks, h, tableau.b), self.truncation)
        return Step(moved, info=info)

    return step


@mutant("prk2", "tangent_field", "order")
class FirstColumnMissingInTheNodes(ProjectedRungeKutta):
    """The nodes are row sums from the second column on, so that Heun's second stage is at t."""

    step = _projected(TangentStages, replace(heun, c=(0.0, 0.0)))


@mutant("prk3", "order", tableau=heun3)
class FirstColumnMissingInTheNodes3(ProjectedRungeKutta):
    """The same slip in the third-order tableau, where it is the middle stage that is at t."""

    step = _projected(TangentStages, replace(heun3, c=(0.0, 0.0, 2 / 3)))


@mutant("prk1", "euler_identity", tableau=euler)
class GalerkinInsteadOfTangent(ProjectedRungeKutta):
    """The field is projected on the augmented bases instead of the tangent space."""

    step = _projected(GalerkinStages, euler)


class _CountedTwice(TangentStages):
    def after(self, f: Evaluation, stage: Block, acted: tuple[Array, ...]) -> TangentStages:
        wide = super().after(f, stage, acted)
        FV, FU = acted
        P, Q, X, Z = mH(wide.U) @ stage.U, mH(wide.V) @ stage.V, mH(wide.U) @ FV, mH(wide.V) @ FU
        return replace(wide, moves=(*self.moves, P @ mH(Z) + X @ mH(Q)))


@mutant("prk2", "tangent_field", "local_bound")
class TangentCountedTwice(ProjectedRungeKutta):
    """The stages are ``P_U F + F P_V``, without ``- P_U F P_V``."""

    step = _projected(_CountedTwice, heun)


class _Transposed(TangentStages):
    def after(self, f: Evaluation, stage: Block, acted: tuple[Array, ...]) -> TangentStages:
        wide = super().after(f, stage, acted)
        FV, FU = acted
        P, Q, X, Z = mH(wide.U) @ stage.U, mH(wide.V) @ stage.V, mH(wide.U) @ FV, mH(wide.V) @ FU
        return replace(wide, moves=(*self.moves, P @ Z.mT + (X - P @ (mH(P) @ X)) @ Q.mT))


@mutant("prk3", "tangent_field", "gauge_invariance", tableau=heun3)
class TangentTransposed(ProjectedRungeKutta):
    """The core of a stage is put together with plain transposes, which complex data show."""

    step = _projected(_Transposed, heun3)


class _OldTangent(TangentStages):
    def act(self, f: Evaluation, stage: Block) -> tuple[Array, ...]:
        return super().act(f, self.start)

    def after(self, f: Evaluation, stage: Block, acted: tuple[Array, ...]) -> TangentStages:
        return super().after(f, self.start, acted)


@mutant("prk3", "order", tableau=heun3)
class TangentSpaceOfTheStart(ProjectedRungeKutta):
    """All stages are projected on the tangent space at Y0, which second order does not see: the cut is that good."""

    step = _projected(_OldTangent, heun3)


@mutant("prk3", "order", tableau=heun3)
class HeunSoldAsThirdOrder(ProjectedRungeKutta):
    """The third-order tableau has the weights of its embedded solution."""

    step = _projected(TangentStages, replace(heun3, b=heun3.embedded))


@mutant("rk-bug-2", "tangent_field", "order")
class NodesOfAnAutonomousField(RungeKuttaBUG):
    """The stages are all at t."""

    step = _galerkin(GalerkinStages, replace(heun, c=(0.0, 0.0)))


class _LeftOnly(GalerkinStages):
    def after(self, f: Evaluation, stage: Block, acted: tuple[Array, ...]) -> GalerkinStages:
        wide = super().after(f, stage, acted)
        n = self.V.shape[1]
        return replace(wide, V=self.V, moves=tuple((g, GV[:, :n]) for g, GV in wide.moves))


@mutant("rk-bug-2", "transpose", "symmetric", "skew_symmetric", "tangent_field")
class RightBasisNotWidened(RungeKuttaBUG):
    """Only the left basis knows the stages."""

    step = _galerkin(_LeftOnly, heun)


class _FirstStageOnly(GalerkinStages):
    def after(self, f: Evaluation, stage: Block, acted: tuple[Array, ...]) -> GalerkinStages:
        if not self.moves:
            return super().after(f, stage, acted)
        return replace(self, moves=(*self.moves, (f, acted[0])))


@mutant("rk-bug-3", "tangent_field", "order", tableau=heun3)
class LaterStagesNotInTheBases(RungeKuttaBUG):
    """The bases know the first stage only."""

    step = _galerkin(_FirstStageOnly, heun3)


class _Conjugated(GalerkinStages):
    def act(self, f: Evaluation, stage: Block) -> tuple[Array, ...]:
        xp = namespace(self.U)
        return super().act(f, stage)[0], as_dtype(xp.conj(f.left(stage.U)), self.U.dtype)


@mutant("rk-bug-2", "tangent_field", "transpose")
class CorangeConjugated(RungeKuttaBUG):
    """The right basis gets F^T conj(U) where F* U is meant."""

    step = _galerkin(_Conjugated, heun)


@dataclass(frozen=True)
class _NewColumnsOnly(GalerkinStages):
    def after(self, f: Evaluation, stage: Block, acted: tuple[Array, ...]) -> GalerkinStages:
        FV, FU = acted
        xp = namespace(FV)
        U = xp.concat([self.U, complement(self.U, FV @ (mH(self.V) @ stage.V))], axis=1)
        V = xp.concat([self.V, complement(self.V, FU)], axis=1)
        return replace(self, U=U, V=V, moves=(*self.moves, (f, as_dtype(f.right(V), FV.dtype))))

    def core(self, move: tuple[Evaluation, Array]) -> Array:
        GV = move[1]
        xp, missing = namespace(GV), self.V.shape[1] - GV.shape[1]
        return mH(self.U) @ xp.concat([GV, 0.0 * self.V[:1, :missing] + xp.zeros_like(GV[:, :1])], axis=1)


@mutant("rk-bug-3", "transpose", tableau=heun3)
class EarlierStagesNotWidened(RungeKuttaBUG):
    """The bases grow, but the earlier stages are not projected on the new right columns."""

    step = _galerkin(_NewColumnsOnly, heun3)
