"""Blocks that gather the stages of a Runge-Kutta step, in bases that every stage widens.

Both families of methods work in the same bases, U^ = [U0, F_1 V_1, F_2 V_2, ...] and V^ = [V0, F_1* U_1, ...] made
orthonormal. A stage value Y_i = U_i S_i V_i* is cut from a matrix in these bases, so that U_i and V_i add nothing to
them. The families differ in what is gathered: F_i projected on the tangent space at Y_i, or on the bases themselves.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from matode._array import Array, as_dtype, finite, mH, namespace, zeros_like_shape
from matode.flows import nonfinite_field
from matode.integrators.truncating import to_ranks
from matode.linalg import complement
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation, Field, State
from matode.substeps import RungeKutta

__all__ = ["GalerkinStages", "Stages", "TangentStages", "combined", "error_estimate", "gather"]


class Stages(ABC):
    """One block of a Runge-Kutta step: its start, and what the stages so far gave. Immutable."""

    @abstractmethod
    def act(self, f: Evaluation, stage: Block) -> tuple[Array, ...]:
        """Return the actions of F at the stage value that :meth:`after` needs."""

    @abstractmethod
    def after(self, f: Evaluation, stage: Block, acted: tuple[Array, ...]) -> Stages:
        """Return the block with one more stage."""

    @abstractmethod
    def combined(self, h: float, weights: Sequence[float]) -> Block:
        """Return start + h * sum of the weighted stages, not truncated."""

    @abstractmethod
    def size(self, weights: Sequence[float]) -> float:
        """Return the Frobenius norm of the sum of the weighted stages."""


@dataclass(frozen=True)
class DenseStages(Stages):
    """A dense block: its stages are the values of the field."""

    start: Array
    moves: tuple[Array, ...] = ()

    def act(self, f: Evaluation, stage: Block) -> tuple[Array, ...]:
        """Return F itself."""
        return (as_dtype(f.full(), self.start.dtype),)

    def after(self, f: Evaluation, stage: Block, acted: tuple[Array, ...]) -> DenseStages:
        """Return the block with one more stage."""
        return replace(self, moves=self.moves + acted)

    def combined(self, h: float, weights: Sequence[float]) -> Array:
        """Return start + h * sum of the weighted stages."""
        return _weighted(self.start, [h * w for w in weights], self.moves)

    def size(self, weights: Sequence[float]) -> float:
        """Return the norm of the sum of the weighted stages."""
        return _norm(_weighted(0.0 * self.start, weights, self.moves))


@dataclass(frozen=True)
class _LowRankStages(Stages):
    """A low-rank block.

    Attributes
    ----------
    start : LowRank
        The block at the start of the step.
    U, V : (m, p) and (n, q) arrays
        The bases so far; their first columns are those of the start.
    moves : tuple
        One entry per stage, of the subclass's kind.
    """

    start: LowRank
    U: Array
    V: Array
    moves: tuple[Any, ...] = ()

    @classmethod
    def of(cls, start: LowRank) -> _LowRankStages:
        """Return the block before the first stage."""
        return cls(start, start.U, start.V)

    @abstractmethod
    def core(self, move: Any) -> Array:
        """Return what one stage moves, (p, q), in the present bases."""

    def combined(self, h: float, weights: Sequence[float]) -> LowRank:
        """Return start + h * sum of the weighted stages, in the present bases."""
        start = padded(self.start.S, (self.U.shape[1], self.V.shape[1]))
        return LowRank(self.U, self._sum(start, [h * w for w in weights]), self.V)

    def size(self, weights: Sequence[float]) -> float:
        """Return the norm of the sum of the weighted stages."""
        return _norm(self._sum(zeros_like_shape((self.U.shape[1], self.V.shape[1]), self.U), weights))

    def _sum(self, core: Array, weights: Sequence[float]) -> Array:
        used = [(w, move) for w, move in zip(weights, self.moves, strict=True) if w != 0.0]
        return _weighted(core, [w for w, _ in used], [self.core(move) for _, move in used])


class TangentStages(_LowRankStages):
    """Stages of projected Runge-Kutta methods: ``P_T(Y_i) F_i``; a move is its core in the bases at that stage."""

    def act(self, f: Evaluation, stage: Block) -> tuple[Array, ...]:
        """Return F V and F* U at the stage value."""
        return as_dtype(f.right(stage.V), self.U.dtype), as_dtype(f.left(stage.U), self.U.dtype)

    def after(self, f: Evaluation, stage: Block, acted: tuple[Array, ...]) -> TangentStages:
        """Return the block with one more stage: ``P_T F = U (F* U)* + (I - U U*) F V V*``, in coordinates."""
        FV, FU = acted
        xp = namespace(FV)
        U = xp.concat([self.U, complement(self.U, FV)], axis=1)
        V = xp.concat([self.V, complement(self.V, FU)], axis=1)
        P, Q, X, Z = mH(U) @ stage.U, mH(V) @ stage.V, mH(U) @ FV, mH(V) @ FU
        core = P @ mH(Z) + (X - P @ (mH(P) @ X)) @ mH(Q)
        return replace(self, U=U, V=V, moves=(*self.moves, core))

    def core(self, move: Array) -> Array:
        """Return the core of one stage, padded to the present bases."""
        return padded(move, (self.U.shape[1], self.V.shape[1]))


class GalerkinStages(_LowRankStages):
    """Stages of Runge-Kutta BUG methods: ``U^ U^* F_i V^ V^*``; a move is the evaluation with ``F_i V^``."""

    def act(self, f: Evaluation, stage: Block) -> tuple[Array, ...]:
        """Return F V^ and F* U at the stage value."""
        return as_dtype(f.right(self.V), self.U.dtype), as_dtype(f.left(stage.U), self.U.dtype)

    def after(self, f: Evaluation, stage: Block, acted: tuple[Array, ...]) -> GalerkinStages:
        """Return the block with one more stage; all stages act on the new columns of V^ too."""
        FV, FU = acted
        xp = namespace(FV)
        U1, V1 = complement(self.U, FV @ (mH(self.V) @ stage.V)), complement(self.V, FU)
        moves = tuple((g, xp.concat([GV, as_dtype(g.right(V1), GV.dtype)], axis=1)) for g, GV in (*self.moves, (f, FV)))
        return replace(self, U=xp.concat([self.U, U1], axis=1), V=xp.concat([self.V, V1], axis=1), moves=moves)

    def core(self, move: tuple[Evaluation, Array]) -> Array:
        """Return ``U^* F V^``."""
        return mH(self.U) @ move[1]


def gather(
    field: Field, t: float, h: float, Y: Sequence[Block], tableau: RungeKutta, kind: type[_LowRankStages]
) -> list[Stages]:
    """Evaluate all stages of a step and return the blocks that gathered them.

    Stage values are cut to the ranks of Y, as Kieri and Vandereycken, and Nobile and Riffaud, do.

    Raises
    ------
    NonFiniteError
        If F gives NaN or inf.
    """
    blocks: list[Stages] = [kind.of(y) if isinstance(y, LowRank) else DenseStages(y) for y in Y]
    for row, node in zip(tableau.a, tableau.c, strict=True):
        s = t + node * h
        stage = to_ranks(combined(blocks, h, row), Y) if any(row) else State(Y)
        F = field(s, stage)
        acted = [block.act(f, y) for block, f, y in zip(blocks, F, stage, strict=True)]
        for i, arrays in enumerate(acted):
            if not all(finite(x) for x in arrays):
                raise nonfinite_field(s, i, Y[i])
        blocks = [block.after(f, y, a) for block, f, y, a in zip(blocks, F, stage, acted, strict=True)]
    return blocks


def combined(blocks: Sequence[Stages], h: float, weights: Sequence[float]) -> State:
    """Return the state start + h * sum of the weighted stages, not truncated."""
    return State(block.combined(h, weights) for block in blocks)


def error_estimate(blocks: Sequence[Stages], h: float, tableau: RungeKutta) -> float | None:
    """Return the distance of the embedded solution before truncation, over all blocks; None where there is none."""
    if not tableau.embedded:
        return None
    weights = [b - e for b, e in zip(tableau.b, tableau.embedded, strict=True)]
    return abs(h) * math.hypot(*(block.size(weights) for block in blocks))


def padded(S: Array, shape: tuple[int, int]) -> Array:
    """Return the core with zeros on the right and below, of the given shape."""
    xp, (p, q) = namespace(S), S.shape
    wide = xp.concat([S, zeros_like_shape((p, shape[1] - q), S)], axis=1)
    return xp.concat([wide, zeros_like_shape((shape[0] - p, shape[1]), S)], axis=0)


def _weighted(start: Array, weights: Sequence[float], moves: Sequence[Array]) -> Array:
    for w, move in zip(weights, moves, strict=True):
        start = start + w * move
    return start


def _norm(x: Array) -> float:
    return float(namespace(x).linalg.vector_norm(x))
