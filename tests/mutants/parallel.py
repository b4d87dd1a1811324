"""Parallel BUG: the correct method, and mistakes in how its three substeps are put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matode._array import Array, mH, namespace, zeros_like_shape
from matode.flows import k_flow, k_rhs, l_flow, l_rhs, s_flow, s_rhs
from matode.linalg import complement, qr, truncated_svd
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation, Field, State, Step, Substep
from matode.substeps import euler, rk4
from matode.truncation import Truncation
from tests.mutants.parts import diagonal, rule_or_default
from tests.mutants.registry import mutant, twin

Blocks = tuple[Block, ...]


@twin("parallel-bug")
@twin("parallel-bug", substep=euler)
@dataclass(frozen=True)
class ParallelBUG:
    """Parallel BUG: K-, L- and S-step side by side, put together to ``[[S, L* V1], [U1* K, 0]]``, truncated.

    Source: G. Ceruti, J. Kusch and Ch. Lubich, A parallel rank-adaptive integrator for dynamical low-rank
    approximation, SIAM J. Sci. Comput. 46 (2024).
    """

    substep: Substep = rk4
    truncation: Truncation | None = None

    def new_columns(self, old: Array, moved: Array) -> Array:
        return complement(old, moved)

    def corner(self, f: Evaluation, h: float, U1: Array, V1: Array) -> Array:
        """Return the (2, 2) block."""
        return zeros_like_shape((U1.shape[1], V1.shape[1]), U1)

    def core(self, y: LowRank, K: Array, L: Array, S: Array, U1: Array, V1: Array, corner: Array) -> Array:
        xp = namespace(K)
        top = xp.concat([S, mH(L) @ V1], axis=1)
        return xp.concat([top, xp.concat([mH(U1) @ K, corner], axis=1)], axis=0)

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        F = field(t, Y)
        K = k_flow(field, t, h, Y, self.substep, k_rhs(F, Y))
        L = l_flow(field, t, h, Y, self.substep, l_rhs(F, Y))
        S = s_flow(field, t, h, Y, self.substep, s_rhs(F, Y))
        done, discarded = [], []
        for f, y, k, moved, s in zip(F, Y, K, L, S, strict=True):
            tail = 0.0
            if isinstance(y, LowRank):
                U1, V1 = self.new_columns(y.U, k), self.new_columns(y.V, moved)
                s, tail = self._cut(y, U1, self.core(y, k, moved, s, U1, V1, self.corner(f, h, U1, V1)), V1)
            done.append(s)
            discarded.append(tail)
        return Step(State(done), info={"truncation_error": tuple(discarded)})

    def _cut(self, y: LowRank, U1: Array, S: Array, V1: Array) -> tuple[LowRank, float]:
        xp = namespace(S)
        P, s, Q, discarded = truncated_svd(S, rule_or_default(self.truncation))
        U, V = xp.concat([y.U, U1], axis=1), xp.concat([y.V, V1], axis=1)
        return LowRank(U @ P, diagonal(s, P), V @ Q), discarded


@mutant("parallel-bug", "tangent_field", "euler_identity", "descent", substep=euler)
class SBlockNotMoved(ParallelBUG):
    """The (1, 1) block is S0: the S-step is left out."""

    def core(self, y: LowRank, K: Array, L: Array, S: Array, U1: Array, V1: Array, corner: Array) -> Array:
        return super().core(y, K, L, y.S, U1, V1, corner)


@mutant("parallel-bug", "euler_identity", "transpose", "gauge_invariance", substep=euler)
class LBlockNotTransposed(ParallelBUG):
    """The (1, 2) block is V1* L instead of L* V1."""

    def core(self, y: LowRank, K: Array, L: Array, S: Array, U1: Array, V1: Array, corner: Array) -> Array:
        xp = namespace(K)
        block = mH(V1) @ L if U1.shape[1] == V1.shape[1] == S.shape[0] else mH(L) @ V1
        top = xp.concat([S, block], axis=1)
        return xp.concat([top, xp.concat([mH(U1) @ K, corner], axis=1)], axis=0)


@mutant("parallel-bug", "transpose", "symmetric", "skew_symmetric", "tangent_field")
class LBlockMissing(ParallelBUG):
    """The (1, 2) block is zero."""

    def core(self, y: LowRank, K: Array, L: Array, S: Array, U1: Array, V1: Array, corner: Array) -> Array:
        return super().core(y, K, 0 * L, S, U1, V1, corner)


@mutant("parallel-bug", "orthonormal_factors")
class NewColumnsNotOrthogonal(ParallelBUG):
    """The new columns are orth(K) instead of the part of K outside of U0."""

    def new_columns(self, old: Array, moved: Array) -> Array:
        return qr(moved)[0][:, : max(old.shape[0] - old.shape[1], 0)]


@mutant("parallel-bug", "euler_identity", substep=euler)
class CornerFilled(ParallelBUG):
    """The (2, 2) block has the Galerkin term h U1* F V1, which makes it another method."""

    def corner(self, f: Evaluation, h: float, U1: Array, V1: Array) -> Array:
        return h * f.galerkin(U1, V1)


@mutant("parallel-bug", "euler_identity", "evaluation_count", "transpose", substep=euler)
class SAfterK(ParallelBUG):
    """The S-step evaluates F where the K-step ended instead of running beside it."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        K = k_flow(field, t, h, Y, self.substep)
        ended = State(LowRank(k, None, y.V) if isinstance(y, LowRank) else y for y, k in zip(Y, K, strict=True))
        late = s_rhs(field(t, ended), Y)

        def core(y: LowRank, K: Array, L: Array, S: Array, U1: Array, V1: Array, corner: Array) -> Array:
            i = next(i for i, block in enumerate(Y) if block is y)
            return ParallelBUG.core(self, y, K, L, y.S + h * late[i], U1, V1, corner)

        other = ParallelBUG(self.substep, self.truncation)
        object.__setattr__(other, "core", core)
        return other.step(field, t, h, Y)
