"""Randomised methods (DRSVD, DGN): mistakes in sketches, bases and the inverse of the core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from matode._array import Array, host, mH
from matode.flows import from_l, k_flow, l_flow, s_flow
from matode.integrators import DGN, DRSVD
from matode.integrators import randomized as library
from matode.integrators.truncating import truncated
from matode.linalg import qr
from matode.lowrank import LowRank
from matode.protocols import Block, Field, State, Step
from tests.mutants.registry import mutant, sold_as

Blocks = tuple[Block, ...]

sold_as("drsvd", "norm_kept", "energy_kept", "norm_truncated")(
    "RangeWithoutTheStart", DRSVD(augment=False), "The range found is not augmented with the old basis."
)


@mutant("drsvd", "repeatable")
class GeneratorKept(DRSVD):
    """The generator lives in the object, so that a step depends on how many there were before."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        made = getattr(self, "made", 0)
        object.__setattr__(self, "made", made + 1)
        return replace(DRSVD(), power=0, augment=False).step(field, t, h, Y, made)


@mutant("drsvd", "zero_field", "exact", "tangent_field")
class CoreTransposed(DRSVD):
    """The L-step starts from Y0^T Q instead of Y0* Q."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        bases = self._basis(0, field, t, h, Y, memory)
        start = State(
            LowRank(Q, None, y.to_dense().mT @ Q) if isinstance(y, LowRank) else y
            for y, Q in zip(Y, bases, strict=True)
        )
        moved, info = truncated(from_l(start, l_flow(field, t, h, start, self.substep)), self.truncation)
        return Step(moved, info=info)


@mutant("drsvd", "exact", "local_bound", "tangent_field")
class RangeNotMoved(DRSVD):
    """The basis is the old one: the range is not moved."""

    def _basis(self, side: int, field: Field, t: float, h: float, Y: Sequence[Block], memory: Any) -> library.Bases:
        return [(y.U, y.V)[side] if isinstance(y, LowRank) else None for y in Y]


@mutant("drsvd", "exact")
class RangeAtTheStartOnly(DRSVD):
    """The basis is that of the sketch of Y0, before the K-step."""

    def _basis(self, side: int, field: Field, t: float, h: float, Y: Sequence[Block], memory: Any) -> library.Bases:
        return super()._basis(side, field, t, 0.0 * h, Y, memory)


def _nystroem_step(method: DGN, field: Field, t: float, h: float, Y: Blocks, put: Any, moved_core: bool = True) -> Step:
    left, right = (method._basis(side, field, t, h, Y, None) for side in (0, 1))
    both = library._sketched(Y, {0: left, 1: right})
    B = k_flow(field, t, h, library._sketched(Y, {1: right}), method.substep)
    C = l_flow(field, t, h, library._sketched(Y, {0: left}), method.substep)
    D = s_flow(field, t, h if moved_core else 1e-300, both, method.substep)
    wide = State(put(y, b, c, d) for y, b, c, d in zip(both, B, C, D, strict=True))
    moved, info = truncated(wide, method.truncation)
    return Step(moved, info=info)


def _inverted(B: Array, C: Array, P: Array, s: Array, Q: Array) -> LowRank:
    kept = s > 1e-15 * s[0]
    U, R = qr(B @ Q)
    V, T = qr(C @ P)
    return LowRank(U, (R * host.where(kept, 1.0, 0.0) / host.where(kept, s, 1.0)) @ mH(T), V)


@mutant("dgn", "local_bound")
class SmallSingularValuesInverted(DGN):
    """All singular values of D are inverted, also those that are smaller than the errors of the three substeps."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        def put(y: Block, B: Array, C: Array, D: Array) -> Block:
            P, s, Qh = host.linalg.svd(D, full_matrices=False)
            return _inverted(B, C, P, s, mH(Qh))

        return _nystroem_step(self, field, t, h, Y, put)


@mutant("dgn", "zero_field", "exact")
class InverseTransposed(DGN):
    """The inverse of D is taken as P S^-1 Q* instead of Q S^-1 P*."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        def put(y: Block, B: Array, C: Array, D: Array) -> Block:
            k = min(D.shape)
            P, s, Qh = host.linalg.svd(D[:k, :k])
            return _inverted(B[:, :k], C[:, :k], mH(Qh), s, P)

        return _nystroem_step(self, field, t, h, Y, put)


@mutant("dgn", "exact", "tangent_field", "local_bound")
class CoreNotMoved(DGN):
    """D stays Q1* Y0 Q2."""

    def step(self, field: Field, t: float, h: float, Y: Blocks, memory: Any = None) -> Step:
        return _nystroem_step(self, field, t, h, Y, library._nystroem, moved_core=False)
