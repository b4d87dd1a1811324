"""Randomised integrators: dynamical randomised SVD (DRSVD) and dynamical generalised Nystroem (DGN).

Source: B. Carrel, Randomised methods for dynamical low-rank approximation, arXiv:2410.17091 (2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from matode._array import (
    Array,
    default_rng,
    eps,
    from_host,
    get_backend,
    host,
    is_complex,
    mH,
    namespace,
    normal,
)
from matode.flows import from_l, k_flow, l_flow, s_flow
from matode.integrators.truncating import rank_of, truncated
from matode.linalg import complement, qr, truncated_svd
from matode.lowrank import LowRank
from matode.protocols import Block, Field, State, Step, Substep
from matode.substeps import rk4
from matode.truncation import Absolute, Truncation

__all__ = ["DGN", "DRSVD"]

Bases = list[Array | None]
"""One orthonormal basis per low-rank block, None per dense one."""

_LEFT, _RIGHT = 0, 1


@dataclass(frozen=True)
class _Sketched:
    """What both methods share: finding the range, or the corange, that the solution has at the end of the step."""

    substep: Substep = rk4
    truncation: Truncation | None = None
    oversampling: int = 5
    power: int = 1
    augment: bool = True
    seed: int = 0
    order: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        for name in ("oversampling", "power", "seed"):
            value = getattr(self, name)
            if not hasattr(value, "__index__") or value < 0:
                raise ValueError(f"{name} must be a whole number >= 0, got {value!r}")

    def _basis(self, side: int, field: Field, t: float, h: float, Y: Sequence[Block], memory: Any) -> Bases:
        """Return a basis of the range (side 0) or corange (side 1): sketch, move, and move again from the other side.

        A power iteration evaluates F where the start is nearly complete, which a random sketch of it is not.
        """
        rng = default_rng([self.seed, memory or 0, side])
        other = 1 - side
        flows = (k_flow, l_flow)
        sketch: Bases = [self._gaussian(rng, y, other) if isinstance(y, LowRank) else None for y in Y]
        for _ in range(self.power):
            sketch = _orthonormal(flows[side](field, t, h, _sketched(Y, {other: sketch}), self.substep), Y)
            sketch = _orthonormal(flows[other](field, t, h, _sketched(Y, {side: sketch}), self.substep), Y)
        moved = flows[side](field, t, h, _sketched(Y, {other: sketch}), self.substep)
        return _augmented(moved, Y, side) if self.augment else _orthonormal(moved, Y)

    def _gaussian(self, rng: host.random.Generator, y: LowRank, side: int) -> Array:
        """Return an orthonormal basis of a random subspace; the same one on every backend."""
        width = min(rank_of(y) + self.oversampling, *y.shape)
        numbers = normal(rng, (y.shape[side], width), get_backend(), "complex128" if is_complex(y.U) else "float64")
        return qr(from_host(numbers, y.U, y.dtype))[0]


@dataclass(frozen=True)
class DRSVD(_Sketched):
    """Dynamical randomised SVD: a sketch of the solution gives its range, then the solution moves within it.

    Exact for given A(t) of the rank, with probability one. With augmented bases it is a Galerkin step on the left side:
    norm and energy are kept up to the truncation.

    Parameters
    ----------
    substep : Substep
        Solver of the small ODEs.
    truncation : Truncation or None
        What to keep after the step; None is ``Relative(1e-10)``.
    oversampling : int
        Columns of a sketch beyond the rank.
    power : int
        Power iterations, two small ODEs each. Without any, F is evaluated at a random part of the start.
    augment : bool
        Whether the bases also contain those of the start.
    seed : int
        Seed of the sketches. ``memory`` is the number of steps made, which decides the next sketch, so that a restart
        goes on with the same numbers.
    """

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h; ``memory`` is the number of steps made."""
        start = _sketched(Y, {_LEFT: self._basis(_LEFT, field, t, h, Y, memory)})
        wide = from_l(start, l_flow(field, t, h, start, self.substep))
        moved, info = truncated(wide, self.truncation)
        return Step(moved, info=info, memory=(memory or 0) + 1)


@dataclass(frozen=True)
class DGN(_Sketched):
    """Dynamical generalised Nystroem: sketches from both sides move in parallel, ``Y1 = B D^+ C*``.

    With bases Q1 of the range and Q2 of the corange, B is ``Y Q2``, C is ``Y* Q1`` and D is ``Q1* Y Q2``, each moved by
    its own small ODE. Singular values of D below the misfit of the three, ``||B - Q1 D||`` or ``||C - Q2 D*||``, are
    left out of its inverse, so that small ones do no harm.

    Exact for given A(t) of the rank, with probability one.

    Parameters
    ----------
    substep : Substep
        Solver of the small ODEs.
    truncation : Truncation or None
        What to keep after the step; None is ``Relative(1e-10)``.
    oversampling : int
        Columns of a sketch beyond the rank.
    power : int
        Power iterations, two small ODEs each. Without any, F is evaluated at a random part of the start.
    augment : bool
        Whether the bases also contain those of the start.
    seed : int
        Seed of the sketches. ``memory`` is the number of steps made, which decides the next sketch, so that a restart
        goes on with the same numbers.
    """

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h; ``memory`` is the number of steps made."""
        left, right = (self._basis(side, field, t, h, Y, memory) for side in (_LEFT, _RIGHT))
        both = _sketched(Y, {_LEFT: left, _RIGHT: right})
        B = k_flow(field, t, h, _sketched(Y, {_RIGHT: right}), self.substep)
        C = l_flow(field, t, h, _sketched(Y, {_LEFT: left}), self.substep)
        D = s_flow(field, t, h, both, self.substep)
        wide = State(_nystroem(y, b, c, d) for y, b, c, d in zip(both, B, C, D, strict=True))
        moved, info = truncated(wide, self.truncation)
        return Step(moved, info=info, memory=(memory or 0) + 1)


def _sketched(Y: Sequence[Block], bases: dict[int, Bases]) -> State:
    """Return the start projected on the given bases, so that the flow of the other side starts at its sketch."""
    blocks: list[Block] = []
    for i, y in enumerate(Y):
        if isinstance(y, LowRank):
            U, V = (bases[side][i] if side in bases else None for side in (_LEFT, _RIGHT))
            if U is None:
                y = LowRank(*qr(y.right(V)), V)
            elif V is None:
                V, R = qr(y.left(U))
                y = LowRank(U, mH(R), V)
            else:
                y = LowRank(U, y.galerkin(U, V), V)
        blocks.append(y)
    return State(blocks)


def _orthonormal(moved: Sequence[Array], Y: Sequence[Block]) -> Bases:
    return [qr(x)[0] if isinstance(y, LowRank) else None for x, y in zip(moved, Y, strict=True)]


def _augmented(moved: Sequence[Array], Y: Sequence[Block], side: int) -> Bases:
    bases: Bases = []
    for x, y in zip(moved, Y, strict=True):
        if isinstance(y, LowRank):
            old = (y.U, y.V)[side]
            bases.append(namespace(old).concat([old, complement(old, x)], axis=1))
        else:
            bases.append(None)
    return bases


def _nystroem(y: Block, B: Array, C: Array, D: Array) -> Block:
    """Return ``B D^+ C*`` in orthonormal bases; y has the bases Q1 and Q2 that belong to D.

    With ``B = Q1 D + E`` and ``C = Q2 D* + G``, it is ``Q1 D Q2*`` up to ``||E|| + ||G|| + ||E D^+|| ||G||`` and what
    D^+ leaves out: singular values up to twice the norms of E and G, which keeps ``||E D^+||`` below 1/2.
    """
    if not isinstance(y, LowRank):
        return D
    xp = namespace(D)
    misfits = (xp.linalg.matrix_norm(B - y.U @ D), xp.linalg.matrix_norm(C - y.V @ mH(D)))
    P, s, Q, _ = truncated_svd(D, Absolute(0.0))
    smallest = max(2.0 * max(float(x) for x in misfits), 10 * eps(D) * s[0])
    kept = (s > smallest) | ((s == s[0]) & (s > 0.0))
    inverse = host.where(kept, 1.0, 0.0) / host.where(kept, s, 1.0)
    U, R = qr(B @ Q)
    V, T = qr(C @ P)
    return LowRank(U, (R * from_host(inverse, R, R.dtype)[None, :]) @ mH(T), V)
