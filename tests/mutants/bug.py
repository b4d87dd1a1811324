"""Wrong fixed-rank BUG integrators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from matode._array import Array, mH
from matode.flows import k_flow, l_flow, s_flow, s_rhs
from matode.integrators import BUG
from matode.linalg import qr
from matode.lowrank import LowRank
from matode.protocols import Block, Field, State, Step, Substep
from matode.substeps import euler, rk4
from tests.mutants.parts import core_of, low_rank
from tests.mutants.registry import mutant, sold_as, twin
from tests.mutants.splitting import WRONG_NODES

Blocks = tuple[Block, ...]


@twin("bug")
@dataclass(frozen=True)
class FixedRank:
    """BUG from its formulas: K and L side by side, the core in the new bases, the Galerkin step."""

    substep: Substep = rk4

    def k_step(self, field: Field, t: float, h: float, Y: Blocks) -> tuple[Array, ...]:
        return k_flow(field, t, h, Y, self.substep)

    def l_step(self, field: Field, t: float, h: float, Y: Blocks, K: tuple[Array, ...]) -> tuple[Array, ...]:
        return l_flow(field, t, h, Y, self.substep)

    def basis(self, X: Array) -> Array:
        return qr(X)[0]

    def core(self, y: LowRank, U: Array, V: Array) -> Array:
        return core_of(y, U, V)

    def galerkin(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        S = s_flow(field, t, h, Y, self.substep)
        return State(LowRank(y.U, s, y.V) if isinstance(y, LowRank) else s for y, s in zip(Y, S, strict=True))

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        K = self.k_step(field, t, h, Y)
        L = self.l_step(field, t, h, Y, K)
        turned = []
        for y, k, moved in zip(Y, K, L, strict=True):
            if isinstance(y, LowRank):
                U, V = self.basis(k), self.basis(moved)
                y = LowRank(U, self.core(y, U, V), V)
            turned.append(y)
        return Step(self.galerkin(field, t, h, State(turned)))


@mutant("bug", "exact", "gauge_invariance", "accumulated_bound")
class NoM(FixedRank):
    """The core is S0 N*: the change of the left basis, M = U1* U0, is left out."""

    def core(self, y: LowRank, U: Array, V: Array) -> Array:
        return y.S @ (mH(y.V) @ V)


@mutant("bug", "exact", "gauge_invariance", "zero_field")
class MTransposed(FixedRank):
    """M is U0* U1 instead of U1* U0."""

    def core(self, y: LowRank, U: Array, V: Array) -> Array:
        return (mH(y.U) @ U) @ y.S @ (mH(y.V) @ V)


@mutant("bug", "exact", "gauge_invariance", "zero_field")
class NInsteadOfNStar(FixedRank):
    """The core is M S0 N instead of M S0 N*."""

    def core(self, y: LowRank, U: Array, V: Array) -> Array:
        return (mH(U) @ y.U) @ y.S @ (mH(V) @ y.V)


@mutant("bug", "tangent_field", "exact")
class MPlainTranspose(FixedRank):
    """M is U1^T U0, without the conjugate."""

    def core(self, y: LowRank, U: Array, V: Array) -> Array:
        return (U.T @ y.U) @ y.S @ (mH(y.V) @ V)


@mutant("bug", "exact", "gauge_invariance", "transpose")
class BugLStartsFromVS(FixedRank):
    """The L-step starts from V0 S0 instead of V0 S0*."""

    def l_step(self, field: Field, t: float, h: float, Y: Blocks, K: tuple[Array, ...]) -> tuple[Array, ...]:
        return l_flow(field, t, h, low_rank(Y, lambda y: LowRank(y.U, mH(y.S), y.V)), self.substep)


@mutant("bug", "transpose", "symmetric", "skew_symmetric")
class LAfterK(FixedRank):
    """The L-step waits for the K-step and uses its basis U1 instead of U0."""

    def l_step(self, field: Field, t: float, h: float, Y: Blocks, K: tuple[Array, ...]) -> tuple[Array, ...]:
        turned = State(
            LowRank(U := qr(k)[0], mH(U) @ y.U @ y.S, y.V) if isinstance(y, LowRank) else y
            for y, k in zip(Y, K, strict=True)
        )
        return l_flow(field, t, h, turned, self.substep)


@mutant("bug", "tangent_field", "exact", "local_bound")
class BackwardGalerkin(FixedRank):
    """The Galerkin step runs against the field, as the S-step of projector splitting does."""

    def galerkin(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        S = s_flow(field, t, h, Y, self.substep, sign=-1.0)
        return State(LowRank(y.U, s, y.V) if isinstance(y, LowRank) else s for y, s in zip(Y, S, strict=True))


@mutant("bug", "euler_identity", substep=euler)
class StaleFirstStage(FixedRank):
    """The Galerkin step takes its first stage from F at Y0, but starts at the projection of Y0 on the new bases."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        F = field(t, Y)

        class Fixed(FixedRank):
            def galerkin(self, field: Field, t: float, h: float, turned: Blocks) -> Blocks:
                S = s_flow(field, t, h, turned, self.substep, s_rhs(F, turned))
                return State(
                    LowRank(y.U, s, y.V) if isinstance(y, LowRank) else s for y, s in zip(turned, S, strict=True)
                )

        return Fixed(self.substep).step(field, t, h, Y)


@mutant("bug", "tangent_field", "exact", "coupled_blocks")
class BugFrozenTime(FixedRank):
    """The Galerkin step evaluates F at the start of the step in all its stages."""

    def galerkin(self, field: Field, t: float, h: float, Y: Blocks) -> Blocks:
        return super().galerkin(lambda s, Z: field(t, Z), t, h, Y)


@mutant("bug", "orthonormal_factors")
class BugNormalisedColumns(FixedRank):
    """The new bases are the columns of K and L, normalised but not orthonormalised."""

    def basis(self, X: Array) -> Array:
        sizes = np.linalg.norm(X, axis=0)
        return X / np.where(sizes > 0, sizes, 1).astype(sizes.dtype)


@mutant("bug", "orthonormal_factors", "exact")
class SinglePrecisionQR(FixedRank):
    """The QR factorisation runs in single precision, and its result is converted back."""

    def basis(self, X: Array) -> Array:
        single = X.astype(np.complex64 if np.iscomplexobj(X) else np.float32)
        return qr(single)[0].astype(X.dtype)


@mutant("bug", "rank_growth", "exact")
class RankRevealingBases(FixedRank):
    """Directions of K and L below 1e-6 are dropped, so that the rank of a fixed-rank method falls."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        done = super().step(field, t, h, Y)

        def cut(y: LowRank) -> LowRank:
            P, s, Qh = np.linalg.svd(y.S)
            r = max(1, int((s > 1e-6 * s[0]).sum()))
            return LowRank(y.U @ P[:, :r], np.diag(s[:r]).astype(y.S.dtype), y.V @ mH(Qh[:r]))

        return Step(low_rank(done.Y, cut))


@mutant("bug", "uncoupled_blocks", "coupled_blocks")
class DenseBlocksTwice(FixedRank):
    """The Galerkin step starts from the dense blocks that the K-step has moved already."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        K = self.k_step(field, t, h, Y)
        done = super().step(field, t, h, Y).Y
        again = s_flow(field, t, h, State(y if isinstance(y, LowRank) else k for y, k in zip(Y, K, strict=True)), rk4)
        return Step(State(y if isinstance(y, LowRank) else z for y, z in zip(done, again, strict=True)))


@mutant("bug", "coupled_blocks")
class PartnersFrozen(FixedRank):
    """Each block is stepped alone, with the other blocks held at the start of the step."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        return Step(State(self._alone(field, t, h, Y, i) for i in range(len(Y))))

    def _alone(self, field: Field, t: float, h: float, Y: Blocks, i: int) -> Block:
        def only(s: float, Z: Blocks) -> tuple[Any, ...]:
            return (field(s, State((*Y[:i], *Z, *Y[i + 1 :])))[i],)

        return super().step(only, t, h, State(Y[i : i + 1])).Y[0]


@mutant("bug", "coupled_blocks")
class BlockAfterBlock(FixedRank):
    """The blocks move one after the other: each sees those before it at t + h, those after it at t."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        done = list(Y)
        for i in range(len(Y)):

            def only(s: float, Z: Blocks, i: int = i) -> tuple[Any, ...]:
                return (field(s, State((*done[:i], *Z, *done[i + 1 :])))[i],)

            done[i] = super().step(only, t, h, State(done[i : i + 1])).Y[0]
        return Step(State(done))


@mutant("bug", "small_singular_values", "local_bound", "exact")
@dataclass(frozen=True)
class InverseCore:
    """The equations of motion of U, S and V are integrated as they stand, with the (pseudo)inverse of S in them."""

    substep: Substep = rk4

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        low_rank_blocks = [isinstance(y, LowRank) for y in Y]

        def packed(Y: Blocks) -> tuple[Array, ...]:
            return tuple(z for y in Y for z in ((y.U, y.S, y.V) if isinstance(y, LowRank) else (y,)))

        def unpacked(Z: tuple[Array, ...]) -> Blocks:
            parts = iter(Z)
            return State(
                LowRank(next(parts), next(parts), next(parts)) if is_low_rank else next(parts)
                for is_low_rank in low_rank_blocks
            )

        def motion(s: float, Z: tuple[Array, ...]) -> tuple[Array, ...]:
            moves: list[Array] = []
            Y = unpacked(Z)
            for f, y in zip(field(s, Y), Y, strict=True):
                if isinstance(y, LowRank):
                    inverse = np.linalg.pinv(y.S, rcond=1e-10)
                    FV, FU = f.right(y.V), f.left(y.U)
                    S = mH(y.U) @ FV
                    moves += [(FV - y.U @ S) @ inverse, S, (FU - y.V @ mH(S)) @ mH(inverse)]
                else:
                    moves.append(f.full())
            return tuple(moves)

        with np.errstate(all="ignore"):
            Z = unpacked(self.substep(motion, t, h, packed(Y)))
            return Step(low_rank(Z, _orthonormal))


def _orthonormal(y: LowRank) -> LowRank:
    U, R = qr(y.U)
    V, T = qr(y.V)
    return LowRank(U, R @ y.S @ mH(T), V)


sold_as("bug", "tangent_field", "exact")(
    "BugFirstNodeDropped", BUG(WRONG_NODES), "The time node c_2 of RK4 is 0 in K-, L- and Galerkin step."
)
