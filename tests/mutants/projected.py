"""Projected Runge-Kutta methods and step truncation: the correct methods, and mistakes in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from matode._array import Array, mH
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation, Field, State, Step, Substep
from matode.substeps import euler
from matode.truncation import Rank, Truncation
from tests.mutants.parts import rule_or_default
from tests.mutants.registry import mutant, twin

Blocks = tuple[Block, ...]


def _dense(y: Block) -> Array:
    return y.to_dense() if isinstance(y, LowRank) else y


def _tangent(f: Evaluation, y: Block) -> Array:
    """Return ``P_U F + F P_V - P_U F P_V`` for a low-rank block, F itself for a dense one."""
    F = np.asarray(f.full()).astype(y.dtype)
    if not isinstance(y, LowRank):
        return F
    left, right = y.U @ (mH(y.U) @ F), (F @ y.V) @ mH(y.V)
    return left + right - (left @ y.V) @ mH(y.V)


def _rounded(y: Block, A: Array, rule: Truncation) -> Block:
    """Return the best approximation that the rule allows, where the block is a low-rank one."""
    return LowRank.from_dense(A, rule) if isinstance(y, LowRank) else A


@twin("prk1")
@dataclass(frozen=True)
class ProjectedEuler:
    """Projected Euler (PRK1): the truncation of ``Y0 + h P_T F`` to the rank of Y0.

    Source: E. Kieri and B. Vandereycken, Projection methods for dynamical low-rank approximation of high-dimensional
    problems, Comput. Methods Appl. Math. 19 (2019).
    """

    substep: Substep = euler

    def increment(self, f: Evaluation, y: Block) -> Array:
        return _tangent(f, y)

    def retracted(self, y: Block, A: Array) -> Block:
        return _rounded(y, A, Rank(y.S.shape[0])) if isinstance(y, LowRank) else A

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        F = field(t, Y)
        return Step(State(self.retracted(y, _dense(y) + h * self.increment(f, y)) for f, y in zip(F, Y, strict=True)))


@mutant("prk1", "tangent_field", "euler_identity", "local_bound", "plateau")
class DoublyCountedTangent(ProjectedEuler):
    """The projection on the tangent space is P_U F + F P_V, without - P_U F P_V."""

    def increment(self, f: Evaluation, y: Block) -> Array:
        if not isinstance(y, LowRank):
            return super().increment(f, y)
        F = np.asarray(f.full()).astype(y.dtype)
        return y.U @ (mH(y.U) @ F) + (F @ y.V) @ mH(y.V)


@mutant("prk1", "euler_identity", "tangent_field", "transpose", "symmetric")
class LeftProjectionOnly(ProjectedEuler):
    """The field is projected on the range of U alone."""

    def increment(self, f: Evaluation, y: Block) -> Array:
        if not isinstance(y, LowRank):
            return super().increment(f, y)
        return y.U @ (mH(y.U) @ np.asarray(f.full()).astype(y.dtype))


@mutant("prk1", "euler_identity", "rank_growth")
class TruncatedBeforeAdding(ProjectedEuler):
    """The increment is truncated before it is added: the sum has up to twice the rank."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        done = []
        for f, y in zip(field(t, Y), Y, strict=True):
            move = self.retracted(y, h * self.increment(f, y))
            done.append((y + move).orthonormal() if isinstance(y, LowRank) else y + move)
        return Step(State(done))


@mutant("prk1", "zero_field", "tangent_field", "euler_identity", "unitary_equivariance")
class RetractedWithVStar(ProjectedEuler):
    """The right singular vectors are the columns of the V* that the SVD returns."""

    def retracted(self, y: Block, A: Array) -> Block:
        if not isinstance(y, LowRank):
            return super().retracted(y, A)
        r = y.S.shape[0]
        P, s, Qh = np.linalg.svd(A)
        return LowRank(P[:, :r], np.diag(s[:r]).astype(A.dtype), Qh[:, :r])


@twin("step-truncation")
@dataclass(frozen=True)
class StepTruncation:
    """Euler's step with the whole field, then truncated."""

    substep: Substep = euler
    truncation: Truncation | None = None

    def cut(self, y: LowRank, A: Array) -> LowRank:
        return LowRank.from_dense(A, rule_or_default(self.truncation))

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        ends = [_dense(y) + h * np.asarray(f.full()).astype(y.dtype) for f, y in zip(field(t, Y), Y, strict=True)]
        done = [self.cut(y, A) if isinstance(y, LowRank) else A for y, A in zip(Y, ends, strict=True)]
        return Step(State(done), info={"truncation_error": _discarded(ends, done)})


def _discarded(ends: Sequence[Array], done: Sequence[Block]) -> tuple[float, ...]:
    return tuple(float(np.linalg.norm(A - _dense(y))) for A, y in zip(ends, done, strict=True))


@mutant("step-truncation", "symmetric", "skew_symmetric", "transpose")
class ProjectedOnTheOldBasis(StepTruncation):
    """The step is projected on the old left basis before it is truncated."""

    def cut(self, y: LowRank, A: Array) -> LowRank:
        return super().cut(y, y.U @ (mH(y.U) @ A))


@mutant("step-truncation", "truncation")
class IncrementTruncated(StepTruncation):
    """The tolerance is applied to the increment alone, so that the sum is never cut."""

    def cut(self, y: LowRank, A: Array) -> LowRank:
        return (y + LowRank.from_dense(A - y.to_dense(), rule_or_default(self.truncation))).orthonormal()
