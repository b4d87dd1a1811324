"""Basis-update and Galerkin (BUG) integrators: fixed rank, and augmented with rank adaptation.

Sources: G. Ceruti and Ch. Lubich, An unconventional robust integrator for dynamical low-rank approximation, BIT 62
(2022); G. Ceruti, J. Kusch and Ch. Lubich, A rank-adaptive robust integrator for dynamical low-rank approximation,
BIT 62 (2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from matode._array import Array, mH
from matode.evaluations import foreseeing
from matode.flows import k_flow, k_rhs, l_flow, l_rhs, nonfinite_field, released, reusing, run_away, s_flow, with_cores
from matode.integrators.augmenting import Augmented
from matode.integrators.basis_update import updated_basis
from matode.integrators.galerkin_euler import actions, galerkin_euler
from matode.integrators.truncating import truncated
from matode.integrators.unformed import Unformed
from matode.integrators.wide import Wide
from matode.linalg import complement, orthonormal, reorthonormalise
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation, Field, State, Step, Substep
from matode.substeps import euler, rk4
from matode.truncation import Truncation

__all__ = ["BUG", "AugmentedBUG"]

_CLEANING_PERIOD = 16  # steps between re-orthonormalisations: single-precision bases drift by up to 1e-7 a step


@dataclass(frozen=True)
class BUG:
    """Fixed-rank BUG (also KLS, or "unconventional") integrator: K- and L-step side by side, then a Galerkin step.

    Exact for given A(t) of the rank, robust to small singular values, no backward step. Norm and energy drift at
    second order in h.

    Parameters
    ----------
    substep : Substep
        Solver of the three small ODEs.
    """

    substep: Substep = rk4
    order: ClassVar[float] = 1.0

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h."""
        Y = reusing(Y, field)
        F = field(t, Y)
        if self.substep == euler:
            rotated = State(_rotated_by_euler(f, t, h, i, y) for i, (f, y) in enumerate(zip(F, Y, strict=True)))
        else:
            K = k_flow(field, t, h, Y, self.substep, k_rhs(F, Y))
            L = l_flow(field, t, h, Y, self.substep, l_rhs(F, Y))
            rotated = State(_rotated(y, k, moved) for y, k, moved in zip(Y, K, L, strict=True))
        del F  # the activations of a network, which the second evaluation needs the room of
        S = s_flow(field, t, h, rotated, self.substep)
        return Step(with_cores(rotated, S))


@dataclass(frozen=True)
class AugmentedBUG:
    """Rank-adaptive BUG integrator: the new bases contain the old ones, then the result is truncated.

    Exact for given A(t) of the rank, robust to small singular values; norm, energy and descent are kept up to the
    truncation. With Euler substeps it is the DLRT method, and a step costs one evaluation of the field: K-, L- and
    S-step all start at Y itself, and only the Galerkin block of the two new bases is new work.

    Parameters
    ----------
    substep : Substep
        Solver of the three small ODEs. Their first stage is shared.
    truncation : Truncation or None
        What to keep after the step; None is ``Relative(1e-10)``.
    negligible : float
        0 augments the bases with all that is new in K and L, but for rounding. A positive number leaves out the
        smallest directions as long as, in the Frobenius norm, ``||(I - P_U1) K|| <= negligible ||(I - P_U0) K||`` for
        the augmented basis U1, and the like for L: that much of ``F V0`` outside of the old basis is lost to the step,
        and all that follows is as much smaller. What is lost of the part of F that is new on both sides is not bounded
        by it. 0.1 loses one percent of the squares.

    Raises
    ------
    ValueError
        Unless 0 <= negligible < 1.
    """

    substep: Substep = rk4
    truncation: Truncation | None = None
    negligible: float = 0.0
    order: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.negligible < 1.0:
            raise ValueError(
                f"negligible is the share of the new directions that may be left out, at least 0 and below 1, got "
                f"{self.negligible!r}"
            )

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h.

        ``info["truncation_error"]`` has the discarded Frobenius norm per block, ``info["capped"]`` says whether the
        rank's maximum made it more than the tolerance; ``memory`` is the number of steps made.
        """
        steps = memory or 0
        if steps % _CLEANING_PERIOD == _CLEANING_PERIOD - 1:
            Y = State(_cleaned(y) for y in Y)
        Y, info = truncated(self._wide(field, t, h, Y), self.truncation)
        return Step(Y, info=info, memory=steps + 1)

    def untruncated(self, field: Field, t: float, h: float, Y: tuple[Block, ...]) -> State:
        """Return the state at t + h before the truncation: bases up to twice as wide, cores that are not diagonal."""
        return released([y.joined() if isinstance(y, Wide | Unformed) else y for y in self._wide(field, t, h, Y)])

    def _wide(self, field: Field, t: float, h: float, Y: tuple[Block, ...]) -> Sequence[Block | Wide | Unformed]:
        Y = reusing(Y, field)
        F = field(t, Y)
        if self.substep == euler:
            return galerkin_euler(F, t, h, Y, self.negligible)
        FV = k_rhs(F, Y)
        K = k_flow(field, t, h, Y, self.substep, FV)
        U1 = [
            complement(y.U, k, negligible=self.negligible) if isinstance(y, LowRank) else None
            for y, k in zip(Y, K, strict=True)
        ]
        F = [f if columns is None else foreseeing(f, columns) for f, columns in zip(F, U1, strict=True)]
        FU = l_rhs(F, Y)
        L = l_flow(field, t, h, Y, self.substep, FU)
        bases = [
            None if columns is None else Augmented(columns, complement(y.V, moved, negligible=self.negligible))
            for y, columns, moved in zip(Y, U1, L, strict=True)
        ]
        wide = State(y if basis is None else basis.value(y) for y, basis in zip(Y, bases, strict=True))
        first = tuple(
            fv if basis is None else basis.galerkin(f, y, fv, fu, w)
            for f, y, w, fv, fu, basis in zip(F, Y, wide, FV, FU, bases, strict=True)
        )
        return with_cores(wide, s_flow(field, t, h, wide, self.substep, first))


def _rotated(y: Block, K: Array, L: Array) -> Block:
    """Return the block projected on the new bases, with the core ``(U1* U) S (V1* V)*``."""
    if not isinstance(y, LowRank):
        return y
    U1, V1 = orthonormal(K), orthonormal(L)
    return LowRank(U1, (mH(U1) @ y.U) @ y.S @ mH(mH(V1) @ y.V), V1)


def _rotated_by_euler(f: Evaluation, t: float, h: float, i: int, y: Block) -> Block:
    """Return the block projected on the bases of ``U S + h F V`` and ``V S* + h F* U``, which are not formed."""
    if not isinstance(y, LowRank):
        return y
    found = actions(f, y)
    if found is None:
        raise nonfinite_field(t, i, y)
    bases: list[Array] = []
    overlaps: list[Array] = []
    for name, basis, core, (X, C, inside) in zip("KL", (y.U, y.V), (y.S, mH(y.S)), found, strict=True):
        update = updated_basis(basis, core, h, X, C, inside)
        if update is None:
            raise run_away(name, t, h, i, y)
        bases.append(update[0])
        overlaps.append(update[1])
    return LowRank.moving(bases[0], overlaps[0] @ y.S @ mH(overlaps[1]), bases[1])


def _cleaned(y: Block) -> Block:
    """Return the same matrix with bases that are orthonormal to rounding again."""
    if not isinstance(y, LowRank):
        return y
    U, R = reorthonormalise(y.U)
    V, T = reorthonormalise(y.V)
    return LowRank(U, R @ y.S @ mH(T), V)
