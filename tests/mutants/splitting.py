"""Wrong projector splittings: KSL, its adjoint LSK, and Strang."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from matode._array import Array, mH
from matode.flows import k_flow, l_flow, s_flow
from matode.integrators import KSL, LSK
from matode.linalg import qr
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation, Field, State, Step, Substep
from matode.substeps import RungeKutta, rk4
from tests.mutants.parts import diagonal, from_k, from_l, from_s, low_rank, moved
from tests.mutants.registry import mutant, sold_as, twin

Blocks = tuple[Block, ...]


@twin("ksl")
@dataclass(frozen=True)
class Splitting:
    """KSL in three moves, each of which a mutant may get wrong."""

    substep: Substep = rk4

    def k_step(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        return moved(Y, k_flow(field, t, h, Y, self.substep), from_k)

    def s_step(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        return moved(Y, s_flow(field, t, h, Y, self.substep, sign=-1.0), from_s)

    def l_step(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        return moved(Y, l_flow(field, t, h, Y, self.substep), from_l)

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        for move in (self.k_step, self.s_step, self.l_step):
            Y = move(field, t, h, Y)
        return Step(Y)


@twin("lsk")
class AdjointSplitting(Splitting):
    """LSK in the same moves."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        for move in (self.l_step, self.s_step, self.k_step):
            Y = move(field, t, h, Y)
        return Step(Y)


@mutant("ksl", "sylvester", "exact", "accumulated_bound", "plateau")
class ForwardSStep(Splitting):
    """The S-step runs with the field instead of against it."""

    def s_step(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        return moved(Y, s_flow(field, t, h, Y, self.substep), from_s)


@mutant("ksl", "sylvester", "exact", "adjoint", "local_bound")
class NoSStep(Splitting):
    """The S-step is left out: the L-step starts from the K-step's core."""

    def s_step(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        return Y


@mutant("ksl", "adjoint")
class SStepTimeBackward(Splitting):
    """The time inside F runs from t + h back to t in the S-step."""

    def s_step(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        return moved(Y, s_flow(field, t + h, -h, Y, self.substep), from_s)


@mutant("ksl", "tangent_field", "exact", "energy_kept")
class PlainTransposeAfterL(Splitting):
    """The core after the L-step is R^T instead of R*."""

    def l_step(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        def put(y: LowRank, L: Array) -> LowRank:
            V, R = qr(L)
            return LowRank(y.U, R.T, V)

        return moved(Y, l_flow(field, t, h, Y, self.substep), put)


@mutant("ksl", "zero_field", "exact", "gauge_invariance")
class LStartsFromVS(Splitting):
    """The L-step starts from V S instead of V S*."""

    def l_step(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        wrong = low_rank(Y, lambda y: LowRank(y.U, mH(y.S), y.V))
        return moved(Y, l_flow(field, t, h, wrong, self.substep), from_l)


@mutant("ksl", "tangent_field", "exact")
class FrozenTime(Splitting):
    """Every substep evaluates F at the start of the step."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        return super().step(lambda s, Z: field(t, Z), t, h, Y)


@mutant("ksl", "tangent_field", "exact", "adjoint")
class ClockAdvancedAfterEachSubstep(Splitting):
    """The time is advanced by h after the K-step, so that S- and L-step run from t + h on."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        Y = self.k_step(field, t, h, Y)
        return Step(self.l_step(field, t + h, h, self.s_step(field, t + h, h, Y)))


@mutant("ksl", "local_bound")
class StepMadePositive(Splitting):
    """The absolute value of h is taken, so that steps back in time go forward."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        return super().step(field, t, abs(h), Y)


class _Transposed:
    """An evaluation whose action from the left is F^T U instead of F* U."""

    def __init__(self, f: Evaluation) -> None:
        self._f = f
        self.shape, self.right, self.galerkin, self.full = f.shape, f.right, f.galerkin, f.full

    def left(self, U: Array) -> Array:
        return np.conj(self._f.left(np.conj(U)))


@mutant("ksl", "tangent_field", "exact", "energy_kept", "sylvester")
class PlainTransposeInTheLStep(Splitting):
    """The L-step takes F^T U instead of F* U, which is right for real data only."""

    def l_step(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        return super().l_step(lambda s, Z: tuple(map(_Transposed, field(s, Z))), t, h, Y)


@mutant("ksl", "exact", "sylvester", "local_bound")
class OldBasisInTheLStep(Splitting):
    """The S- and the L-step still use U0, while the core is that of the new basis."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        after_k = self.k_step(field, t, h, Y)
        stale = State(LowRank(y.U, z.S, z.V) if isinstance(y, LowRank) else z for y, z in zip(Y, after_k, strict=True))
        return Step(self.l_step(field, t, h, self.s_step(field, t, h, stale)))


@mutant("ksl", "orthonormal_factors")
class NormalisedColumns(Splitting):
    """The columns of K are normalised, not orthonormalised."""

    def k_step(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        def put(y: LowRank, K: Array) -> LowRank:
            sizes = np.linalg.norm(K, axis=0)
            sizes[sizes == 0] = 1
            return LowRank(K / sizes, diagonal(sizes, K), y.V)

        return moved(Y, k_flow(field, t, h, Y, self.substep), put)


@mutant("ksl", "zero_field", "exact", "gauge_invariance")
class SignsFlippedInQOnly(Splitting):
    """The columns of Q are flipped so that R has a positive diagonal, but R itself is not."""

    def k_step(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        def put(y: LowRank, K: Array) -> LowRank:
            Q, R = qr(K)
            return LowRank(np.where(np.diagonal(R).real < 0, -Q, Q), R, y.V)

        return moved(Y, k_flow(field, t, h, Y, self.substep), put)


@mutant("ksl", "zero_field", "gauge_invariance", "exact")
class SAssumedDiagonal(Splitting):
    """K = U S is formed with the diagonal of S alone."""

    def k_step(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        diagonal_only = low_rank(Y, lambda y: LowRank(y.U, np.diag(np.diag(y.S)), y.V))
        return super().k_step(field, t, h, diagonal_only)


@mutant("ksl", "coupled_blocks", "uncoupled_blocks")
class DenseBlocksThreeTimes(Splitting):
    """The S-step moves the dense blocks forward too: over the whole step they move by 3 h."""

    def s_step(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        S = s_flow(field, t, h, Y, self.substep, sign=-1.0)
        forward = s_flow(field, t, h, Y, self.substep)
        return State(from_s(y, s) if isinstance(y, LowRank) else z for y, s, z in zip(Y, S, forward, strict=True))


@mutant("lsk", "tangent_field", "exact", "zero_field")
class KStartsFromUSStar(AdjointSplitting):
    """The K-step starts from U S* instead of U S."""

    def k_step(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        return super().k_step(field, t, h, low_rank(Y, lambda y: LowRank(y.U, mH(y.S), y.V)))


@mutant("lsk", "sylvester", "exact", "plateau")
class AdjointForwardSStep(AdjointSplitting):
    """The S-step of the adjoint runs with the field."""

    def s_step(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        return moved(Y, s_flow(field, t, h, Y, self.substep), from_s)


@twin("ksl-strang")
@dataclass(frozen=True)
class Strang:
    """KSL over the first half step, LSK over the second."""

    substep: Substep = rk4

    def first(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        return KSL(self.substep).step(field, t, h / 2, Y).Y

    def second(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        return LSK(self.substep).step(field, t + h / 2, h / 2, Y).Y

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        return Step(self.second(field, t, h, self.first(field, t, h, Y)))


@mutant("ksl-strang", "reversible")
class StrangOfTwoLies(Strang):
    """The second half is KSL again instead of its adjoint."""

    def second(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        return KSL(self.substep).step(field, t + h / 2, h / 2, Y).Y


@mutant("ksl-strang", "tangent_field", "exact", "reversible")
class StrangSecondHalfAtTheStart(Strang):
    """The second half step starts at t instead of t + h/2."""

    def second(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        return LSK(self.substep).step(field, t, h / 2, Y).Y


@mutant("ksl-strang", "sylvester", "exact", "reversible", "coupled_blocks")
class StrangWholeSStep(Strang):
    """The S-step of the first half takes the whole step h."""

    def first(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        Y = moved(Y, k_flow(field, t, h / 2, Y, self.substep), from_k)
        Y = moved(Y, s_flow(field, t, h, Y, self.substep, sign=-1.0), from_s)
        return moved(Y, l_flow(field, t, h / 2, Y, self.substep), from_l)


WRONG_NODES = RungeKutta(rk4.a, rk4.b, (0.0, 0.0, 1 / 2, 1.0), name="RK4 with c_2 = 0")

sold_as("ksl", "tangent_field", "exact")(
    "FirstNodeDropped", KSL(WRONG_NODES), "The time node c_2 of RK4 is 0: the sum of row i of the tableau skips a_i1."
)
sold_as("ksl-strang", "tangent_field", "exact")(
    "StrangFirstNodeDropped", Strang(WRONG_NODES), "The time node c_2 of RK4 is 0, in all six substeps."
)
